/* tokenizers/wordpiece.c: WordPiece, greedy longest match first (Wu et al. 2016; Devlin et al. 2018). */
#include "tokenizers/private.h"

static const uint64_t PRIME = 0x9E3779B97F4A7C15ULL;
enum { LONGEST_MATCH = 4 * MAX_WORD }; /* bytes */

static inline uint64_t hash_step(uint64_t h, char byte)
{
    return (h ^ (unsigned char)byte) * PRIME;
}

static inline int32_t slot_find(const Tokenizer *t, uint64_t h, const char *p, size_t n, size_t cut)
{
    uint32_t tag = (uint32_t)(h >> 32);
    for (uint32_t i = ((uint32_t)h ^ tag) & t->slot_mask;; i = (i + 1) & t->slot_mask) {
        const Slot *s = &t->slots[i];
        if (s->id < 0)
            return -1;
        if (s->tag != tag)
            continue;
        const Text *piece = &t->pieces[s->id];
        if (piece->n == n + cut && !memcmp(piece->p + cut, p, n) && (!cut || !memcmp(piece->p, t->prefix.p, cut)))
            return s->id;
    }
}

int32_t piece_find(const Tokenizer *t, Text piece, bool continues)
{
    uint64_t h = t->seed[continues];
    for (size_t i = 0; i < piece.n; i++)
        h = hash_step(h, piece.p[i]);
    return t->slots ? slot_find(t, h, piece.p, piece.n, continues ? t->prefix.n : 0) : -1;
}

/* False where the piece is there already. */
static bool slot_put(Tokenizer *t, int32_t id, bool continues)
{
    Text piece = t->pieces[id];
    size_t cut = continues ? t->prefix.n : 0;
    uint64_t h = t->seed[continues];
    for (size_t i = cut; i < piece.n; i++)
        h = hash_step(h, piece.p[i]);
    if (slot_find(t, h, piece.p + cut, piece.n - cut, cut) >= 0)
        return false;
    uint32_t tag = (uint32_t)(h >> 32), i = ((uint32_t)h ^ tag) & t->slot_mask;
    while (t->slots[i].id >= 0)
        i = (i + 1) & t->slot_mask;
    t->slots[i] = (Slot){.tag = tag, .id = id};
    t->longest[continues] = MAX(t->longest[continues], piece.n - cut);
    return true;
}

bool wordpiece_build(Tokenizer *t, size_t *distinct, Arena *a, Error *e)
{
    size_t slots = 1024, entries = 0;
    for (int64_t i = 0; i < t->ids; i++)
        if (t->pieces[i].p)
            entries += t->pieces[i].n >= t->prefix.n && !memcmp(t->pieces[i].p, t->prefix.p, t->prefix.n) ? 2 : 1;
    while (slots < entries + entries / 2)
        slots *= 2;
    t->seed[0] = hash_bytes("begins", 6, (uint64_t)(uintptr_t)t);
    t->seed[1] = hash_bytes("continues", 9, (uint64_t)(uintptr_t)t);
    t->slot_mask = (uint32_t)(slots - 1);
    t->slots = NEW(a, Slot, slots, e);
    if (!t->slots)
        return false;
    memset(t->slots, 0xff, slots * sizeof *t->slots);
    *distinct = 0;
    for (int64_t i = t->ids; i-- > 0;) { /* of equal lines in a vocab.txt the last one counts */
        Text piece = t->pieces[i];
        if (!piece.p || !slot_put(t, (int32_t)i, false))
            continue;
        ++*distinct;
        if (piece.n >= t->prefix.n && !memcmp(piece.p, t->prefix.p, t->prefix.n))
            slot_put(t, (int32_t)i, true);
    }
    return true;
}

bool ids_push(TokenIds *out, int32_t id, Arena *a, Error *e)
{
    if (out->count == out->capacity) {
        int32_t *grown = arena_grow(a, out->ids, out->count, &out->capacity, sizeof *grown, e);
        if (!grown)
            return false;
        out->ids = grown;
    }
    out->ids[out->count++] = id;
    return true;
}

/* The id of the longest piece that p[0, n) begins with, its bytes in *used; -1: none. */
static int32_t longest_match(const Tokenizer *t, const char *p, size_t n, bool continues, size_t *used)
{
    uint64_t hashes[LONGEST_MATCH];
    size_t window = MIN(MIN(n, t->longest[continues]), (size_t)LONGEST_MATCH), cut = continues ? t->prefix.n : 0;
    uint64_t h = t->seed[continues];
    for (size_t i = 0; i < window; i++)
        hashes[i] = h = hash_step(h, p[i]);
    for (size_t i = window; i > 0; i--) {
        if (i < n && ((unsigned char)p[i] & 0xc0) == 0x80)
            continue; /* inside a character */
        int32_t id = slot_find(t, hashes[i - 1], p, i, cut);
        if (id >= 0) {
            *used = i;
            return id;
        }
    }
    return -1;
}

/* A word of more than max_word characters, or with a part that no piece covers, is one unknown token. */
bool wordpiece_word(const Tokenizer *t, Text word, TokenIds *out, Arena *a, Error *e)
{
    size_t begin = out->count, characters = word.n;
    if (characters > t->max_word) {
        characters = 0;
        for (size_t i = 0; i < word.n; i++)
            characters += ((unsigned char)word.p[i] & 0xc0) != 0x80;
    }
    for (size_t at = 0, used = 0; at < word.n; at += used) {
        int32_t id = characters > t->max_word ? -1 : longest_match(t, word.p + at, word.n - at, at > 0, &used);
        if (id < 0) {
            out->count = begin;
            if (t->unknown < 0)
                return fail(e, SP_FORMAT,
                            "%s: the vocabulary has no token for unknown words, and the text has such a word", t->path);
            return ids_push(out, t->unknown, a, e);
        }
        if (!ids_push(out, id, a, e))
            return false;
    }
    return true;
}
