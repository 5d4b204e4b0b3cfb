/* tokenizers/models/bpe.h: a byte pair encoding in memory. bpe.c builds it; bpe_word.c tokenizes words with it. */
#ifndef SAPOR_TOKENIZERS_BPE_H
#define SAPOR_TOKENIZERS_BPE_H

#include <assert.h>

#include "tokenizers/pipeline.h"

/* The ids of the characters below LOW_CODES are in a table. ByteLevel replaces each of the 256 bytes by a printable
 * character, its "letter" (byte_level_code). All letters are below LOW_CODES. */
enum { LOW_CODES = 0x250 };

/* A merge in a table with open addressing. From the highest bit to the lowest: the left piece, the right piece, the
 * rank. All bits set: an empty slot, whose rank is NO_RANK. */
typedef uint64_t Merge;
enum { PIECE_BITS = 21, RANK_BITS = 22, NO_RANK = (1 << RANK_BITS) - 1 };
static_assert(MAX_TOKENS <= 1 << PIECE_BITS && 2 * PIECE_BITS + RANK_BITS == 64, "a merge has 64 bits");
#define MARK "\xe2\x96\x81" /* U+2581, which stands for a blank in SentencePiece */

struct Bpe {
    const char *path;
    const Text *pieces; /* t->pieces */
    int32_t *slots;     /* pieces by hash; -1: empty */
    Merge *merges;
    int32_t *made; /* [ranks]: id of the piece that the merge of this rank makes */
    uint32_t slot_mask, merge_mask;
    uint64_t seed; /* derived from an address, so that no file can be prepared to cause collisions */
    BpeSettings set;
    uint32_t count;               /* number of merges that have been added; the next rank */
    int32_t unknown_id;           /* -1: not in the vocabulary */
    int32_t low[2][2][LOW_CODES]; /* [first in the word][last in the word]; -1: not in the vocabulary */
    int32_t bytes[256];           /* ids of <0x00> to <0xFF>, for byte fallback */
    int32_t letters[2][256];      /* ids of the letters of bytes: [last in the word][byte]; -1: not in the vocabulary */
    char letter_text[256][2];     /* UTF-8 of each letter; second byte 0: the UTF-8 has one byte */
    WholeFlag *known;             /* [ids] flag: a word equal to this piece is not split */
    bool grows;                   /* every merge makes a piece that is longer than both parts */
    bool marked;                  /* words are split before each MARK (bpe_part_end) */
};

/* -1 if there is no such piece */
static inline int32_t bpe_find(const Bpe *m, Text piece)
{
    for (uint32_t i = (uint32_t)hash_bytes(piece.p, piece.n, m->seed) & m->slot_mask;; i = (i + 1) & m->slot_mask) {
        int32_t id = m->slots[i];
        if (id < 0 || text_equal(m->pieces[id], piece))
            return id;
    }
}

static inline uint32_t pair_hash(const Bpe *m, Merge pair)
{
    uint64_t h = (pair ^ m->seed) * 0x9E3779B97F4A7C15ULL;
    return (uint32_t)((h ^ h >> 29) * 0xBF58476D1CE4E5B9ULL >> 32);
}

static inline Merge merge_of(int32_t a, int32_t b, uint32_t rank)
{
    return (Merge)(uint32_t)a << (PIECE_BITS + RANK_BITS) | (Merge)(uint32_t)b << RANK_BITS | rank;
}

/* Returns the slot of a pair, or the empty slot where it may be stored. */
static inline Merge *merge_at(const Bpe *m, int32_t a, int32_t b)
{
    Merge pair = merge_of(a, b, NO_RANK);
    for (uint32_t i = pair_hash(m, pair) & m->merge_mask;; i = (i + 1) & m->merge_mask) {
        Merge *x = &m->merges[i];
        if ((*x | NO_RANK) == pair || *x == UINT64_MAX)
            return x;
    }
}

/* Returns the rank of the merge of two pieces; NO_RANK: there is no such merge. */
static inline uint32_t rank_of(const Bpe *m, int32_t a, int32_t b)
{
    return (uint32_t)*merge_at(m, a, b) & NO_RANK;
}

/* ---- bpe_word.c ------------------------------------------------------------------------------ */

/* Returns the id of the piece for a character p[0, n) of a word: with the prefix if it is not the first character, with
 * the suffix if it is the last one. -1: no such piece. */
int32_t bpe_character(const Bpe *m, const char *p, size_t n, bool first, bool last);
/* These functions are described at ModelKind. */
bool bpe_run(const void *model, Text word, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e);
bool bpe_run_bytes(const void *model, Text word, TokenIds *ids, Arena *a, Error *e);
size_t bpe_part_end(const void *model, Text word, size_t at);

#endif
