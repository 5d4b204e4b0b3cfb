/* tokenizers/models/word_cache.c: a cache of the ids of words, shared by all threads. A word is stored once and never
 * removed. When the memory is full, no more words are stored. */
#include "tokenizers/pipeline.h"

/* SLOTS: size of the table; TRIES: consecutive slots in which a word may be; POOL: bytes of the pool */
enum { SLOTS = 1 << 15, TRIES = 8, POOL = 3 << 18 };
enum { MOST_BYTES = 64, MOST_IDS = 16 }; /* limits of a word */

struct WordCache {
    const Heap *heap;
    uint64_t seed; /* derived from an address, so that no text can be prepared to cause collisions */
    /* bytes of the pool that are taken, or requested without success */
    atomic_uint used;
    atomic_uint slots[SLOTS]; /* positions in the pool; 0: empty */
    char *pool;
};

static const CachedWord *at_place(const WordCache *c, unsigned place)
{
    return (const void *)(c->pool + place);
}

const CachedWord *word_cache_find(const WordCache *c, Text word, uint64_t *hash)
{
    *hash = 0;
    if (!c || word.n > MOST_BYTES)
        return NULL;
    *hash = hash_bytes(word.p, word.n, c->seed);
    for (size_t i = *hash % SLOTS, n = 0; n < TRIES; i = (i + 1) % SLOTS, n++) {
        unsigned place = atomic_load_explicit(&c->slots[i], memory_order_acquire);
        const CachedWord *w = at_place(c, place);
        if (!place)
            return NULL;
        if (w->hash == (uint32_t)(*hash >> 32) && w->bytes == word.n && !memcmp(w->ids + w->count, word.p, word.n))
            return w;
    }
    return NULL;
}

void word_cache_add(WordCache *c, Text word, uint64_t hash, const int32_t *ids, size_t count)
{
    size_t size = sizeof(CachedWord) + count * sizeof *ids + (word.n + 3) / 4 * 4, i = hash % SLOTS, n = 0;
    if (!c || word.n > MOST_BYTES || count > MOST_IDS ||
        atomic_load_explicit(&c->used, memory_order_relaxed) > POOL - size)
        return;
    while (n < TRIES && atomic_load_explicit(&c->slots[i], memory_order_relaxed)) {
        i = (i + 1) % SLOTS;
        n++;
    }
    if (n == TRIES) /* checked before memory is taken */
        return;
    unsigned place = atomic_fetch_add_explicit(&c->used, (unsigned)size, memory_order_relaxed);
    if (place > POOL - size) /* another thread took the last memory */
        return;
    CachedWord *w = (void *)(c->pool + place);
    *w = (CachedWord){(uint32_t)(hash >> 32), (uint16_t)word.n, (uint16_t)count};
    memcpy(w->ids, ids, count * sizeof *ids);
    memcpy(w->ids + count, word.p, word.n);
    for (; n < TRIES; i = (i + 1) % SLOTS, n++) { /* a slot that is used stays used */
        unsigned empty = 0;
        if (atomic_compare_exchange_strong_explicit(&c->slots[i], &empty, place, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
}

static void end(void *p)
{
    WordCache *c = p;
    heap_free(c->heap, c->pool, POOL);
}

WordCache *word_cache_new(Arena *a, Error *e)
{
    WordCache *c = NEW(a, WordCache, 1, e);
    if (!c)
        return NULL;
    c->heap = arena_heap(a);
    c->seed = hash_bytes("words", 5, (uint64_t)(uintptr_t)c);
    atomic_init(&c->used, 8); /* position 0 means empty */
    if (!(c->pool = heap_alloc(c->heap, POOL))) {
        fail_memory(e, POOL, "the words of a tokenizer");
        return NULL;
    }
    if (!arena_at_end(a, end, c, e)) {
        heap_free(c->heap, c->pool, POOL);
        return NULL;
    }
    return c;
}
