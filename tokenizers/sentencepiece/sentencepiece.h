/* tokenizers/sentencepiece/sentencepiece.h: what SentencePiece's models have, also where tokenizer.json states it: a
 * trie of pieces, Unigram, BPE by scores, the rules of a charsmap, and the model file. */
#ifndef SAPOR_TOKENIZERS_SENTENCEPIECE_H
#define SAPOR_TOKENIZERS_SENTENCEPIECE_H

#include "tokenizers/pipeline.h"

enum { MAX_PIECE = 1024 }; /* bytes: the time for a byte of text grows with the longest piece */

/* ---- trie.c ---------------------------------------------------------------------------------- */

/* The children of a node are one stretch of nodes, in the order of their bytes. */
typedef struct TrieNode {
    uint32_t first; /* child; of TRIE_TABLE children: number of the table */
    int32_t id;     /* of the piece that ends here; -1: none */
    uint16_t count; /* of children, or TRIE_TABLE */
    uint8_t byte;   /* of the edge to this node */
} TrieNode;

enum { TRIE_TABLE = 0xffff };
typedef uint32_t TrieTable[256]; /* child by byte; 0: none */

typedef struct Trie {
    TrieNode *nodes;
    TrieTable *tables; /* of the nodes with most children that are nearest to the root, the first one the root's */
} Trie;
/* Of those pieces whose `in` is true (NULL: of all); of equal ones the last one counts. Time: n log n. Memory: 16 bytes
 * for each byte of the pieces at most and 64 KB, and 12 more while it is made. */
bool trie_build(Trie *t, const Text *pieces, size_t n, const bool *in, Arena *a, Error *e);
int32_t trie_find(const Trie *t, Text piece); /* -1: no such piece */

/* The child of a node (0: the root) by a byte; 0: none. */
static inline uint32_t trie_step(const Trie *t, uint32_t node, uint8_t byte)
{
    const TrieNode *n = &t->nodes[node];
    if (n->count == TRIE_TABLE)
        return t->tables[n->first][byte];
    uint32_t low = n->first, end = low + n->count, high = end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->nodes[middle].byte < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && t->nodes[low].byte == byte ? low : 0;
}

/* ---- charsmap.c ------------------------------------------------------------------------------ */

enum { MAX_RULE = 1024 }; /* bytes of a rule, and of what it puts: the time for a byte of text grows with both */
typedef struct Charsmap {
    const unsigned char *trie;
    size_t units;
    Text text;       /* the replacements, with a NUL behind each */
    bool plain[128]; /* characters without a rule, and not CR */
} Charsmap;

bool charsmap_read(Charsmap *m, Text bytes, Load *l, unsigned line); /* the bytes are kept */
/* The shortest or the longest rule that p[0, n) begins with: how many bytes it replaces, 0: no rule, and by what. */
size_t charsmap_find(const Charsmap *m, const char *p, size_t n, bool longest, Text *to);

extern const StageKind normalizer_precompiled;

/* ---- unigram.c, bpe.c ------------------------------------------------------------------------ */

typedef struct Pieces { /* of both models */
    const char *path;
    Trie trie;
    const double *scores; /* [ids] */
    double unknown_score;
    int32_t unknown;    /* -1: none */
    int32_t bytes[256]; /* of byte fallback; -1: no such piece */
    bool byte_fallback;
    /* As sentencepiece computes: sums in float, and an unknown character has its own bytes. Else as Hugging Face. */
    bool plain;
    WholeFlag *known; /* [ids]: a word that is this piece has it as its best cut. NULL: not asked */
    Trie whole;       /* bpe.c: pieces that are not cut, and not merged with others */
} Pieces;
/* The token of unknown characters in a row, or those of their bytes. */
bool put_unknown(const Pieces *m, Text word, size_t begin, size_t end, TokenIds *ids, TokenEnds *ends, Arena *a,
                 Error *e);
bool put_token(int32_t id, size_t end, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e);
/* Unigram as Hugging Face computes it, of t->pieces and their scores [ids]; sets t->kind, t->model and l->distinct. */
bool unigram_new(Load *l, const double *scores, int32_t unknown, bool byte_fallback);
extern const ModelKind model_unigram, model_scored_bpe;

/* ---- model_file.c, plain.c ------------------------------------------------------------------- */

typedef struct PlainText { /* normalizer_spec of a model file */
    Charsmap map;          /* units 0: none */
    Trie whole;            /* pieces that are not normalised */
    bool has_whole, prefix, trims, escapes, suffix;
} PlainText;
extern const StageKind normalizer_plain, decoder_plain, decoder_plain_trims, decoder_plain_bytes;

typedef struct ModelFile {
    Pieces *pieces; /* its scores, the unknown piece, byte_fallback */
    PlainText *text;
    Text unknown_text;            /* what an unknown token is in a decoded text */
    double *scores;               /* [ids] */
    bool *found, *whole, *hidden; /* [ids]: found in texts; user-defined, not cut; control tokens */
    size_t wholes, byte_pieces;
    int64_t unused; /* a piece that is not used; -1: none */
    uint64_t kind;  /* 1 Unigram, 2 BPE */
} ModelFile;
/* The bytes of a .model file; its pieces are t->pieces then. What is read from them is kept. */
ModelFile *model_file_read(Load *l, Text bytes);
bool model_file_plain(Load *l, ModelFile *m); /* the tokenizer with the ids that sentencepiece gives */

#endif
