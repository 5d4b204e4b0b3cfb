/* base/index.c: maps texts to numbers and back. A hash table with open addressing and linear probing, at most half
 * full. */
#include "base/base.h"

struct TextIndex {
    Arena *arena;
    uint64_t seed; /* from an address, which is unpredictable: no file can choose keys that all collide */
    Text *keys;
    size_t count, capacity;
    uint32_t *slots; /* number + 1; 0 is empty */
    size_t slot_count;
};

TextIndex *text_index_new(Arena *a, Error *e)
{
    TextIndex *ix = NEW(a, TextIndex, 1, e);
    if (!ix)
        return NULL;
    ix->arena = a;
    ix->seed = (uint64_t)(uintptr_t)ix;
    ix->slot_count = 64;
    ix->slots = NEW(a, uint32_t, ix->slot_count, e);
    return ix->slots ? ix : NULL;
}

/* Returns the slot of the key, or the empty slot where the key belongs. */
static size_t slot_of(const TextIndex *ix, Text key)
{
    size_t mask = ix->slot_count - 1, s = (size_t)hash_bytes(key.p, key.n, ix->seed) & mask;
    while (ix->slots[s] && !text_equal(ix->keys[ix->slots[s] - 1], key))
        s = (s + 1) & mask;
    return s;
}

/* Makes a table of `count` slots, a power of two, and inserts all keys. */
static bool new_slots(TextIndex *ix, size_t count, Error *e)
{
    uint32_t *slots = NEW(ix->arena, uint32_t, count, e);
    if (!slots)
        return false;
    ix->slots = slots;
    ix->slot_count = count;
    for (size_t i = 0; i < ix->count; i++)
        slots[slot_of(ix, ix->keys[i])] = (uint32_t)(i + 1);
    return true;
}

static bool double_slots(TextIndex *ix, Error *e)
{
    size_t doubled;
    return size_mul(ix->slot_count, 2, &doubled) ? new_slots(ix, doubled, e) : fail_memory(e, SIZE_MAX, "an index");
}

bool text_index_reserve(TextIndex *ix, size_t n, Error *e)
{
    size_t slots = ix->slot_count;
    while (slots / 2 < n)
        if (!size_mul(slots, 2, &slots))
            return fail_memory(e, SIZE_MAX, "an index");
    if (slots > ix->slot_count && !new_slots(ix, slots, e))
        return false;
    if (n <= ix->capacity)
        return true;
    Text *keys = NEW(ix->arena, Text, n, e);
    if (!keys)
        return false;
    if (ix->count)
        memcpy(keys, ix->keys, ix->count * sizeof *keys);
    ix->keys = keys;
    ix->capacity = n;
    return true;
}

int64_t text_index_add(TextIndex *ix, Text key, Error *e)
{
    size_t s = slot_of(ix, key);
    if (ix->slots[s])
        return (int64_t)ix->slots[s] - 1;
    if (ix->count >= UINT32_MAX - 1) {
        fail(e, SP_UNSUPPORTED, "an index holds at most %u different names", UINT32_MAX - 1);
        return -1;
    }
    if (2 * (ix->count + 1) > ix->slot_count) {
        if (!double_slots(ix, e))
            return -1;
        s = slot_of(ix, key);
    }
    Text *keys = arena_grow(ix->arena, ix->keys, ix->count, &ix->capacity, sizeof(Text), e);
    if (!keys)
        return -1;
    ix->keys = keys;
    char *copy = arena_strndup(ix->arena, key.p, key.n, e);
    if (!copy)
        return -1;
    keys[ix->count] = (Text){copy, key.n};
    ix->slots[s] = (uint32_t)++ix->count;
    return (int64_t)ix->count - 1;
}

int64_t text_index_find(const TextIndex *ix, Text key)
{
    return (int64_t)ix->slots[slot_of(ix, key)] - 1;
}

Text text_index_at(const TextIndex *ix, int64_t number)
{
    return number >= 0 && (size_t)number < ix->count ? ix->keys[number] : (Text){"", 0};
}

int64_t text_index_count(const TextIndex *ix)
{
    return (int64_t)ix->count;
}
