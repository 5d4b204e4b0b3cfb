/* tokenizers/sentencepiece/sentencepiece.h: the parts of SentencePiece models, which tokenizer.json may contain too: a
 * trie of pieces, Unigram, BPE by scores, the rules of a charsmap, and the model file. */
#ifndef SAPOR_TOKENIZERS_SENTENCEPIECE_H
#define SAPOR_TOKENIZERS_SENTENCEPIECE_H

#include "tokenizers/pipeline.h"

enum { MAX_PIECE = 1024 }; /* bytes; the time per byte of text grows with the longest piece */

/* ---- trie.c ---------------------------------------------------------------------------------- */

/* A node of the trie. Its children are consecutive nodes, sorted by byte. */
typedef struct TrieNode {
    uint32_t first; /* index of the first child; if `count` is TRIE_TABLE: index into `tables` */
    int32_t id;     /* the piece that ends here; -1: none */
    uint16_t count; /* number of children, or TRIE_TABLE */
    uint8_t byte;   /* byte of the edge to this node */
} TrieNode;

enum { TRIE_TABLE = 0xffff };
typedef uint32_t TrieTable[256]; /* child by byte; 0: none */

typedef struct Trie {
    TrieNode *nodes;
    TrieTable *tables; /* the root's first, then those of nodes near the root that have more than 4 children */
} Trie;
/* Builds a trie of the pieces whose `in` is true (NULL: of all). Of equal pieces, the last one counts. Time: n log n.
 * Memory: at most 16 bytes per byte of the pieces and 64 KB; during the build, also 12 bytes per byte and 24 per piece.
 */
bool trie_build(Trie *t, const Text *pieces, size_t n, const bool *in, Arena *a, Error *e);
int32_t trie_find(const Trie *t, Text piece); /* -1 if there is no such piece */

/* Returns the child of a node (0: the root) by a byte; 0 if there is none. */
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

/* largest number of bytes of a rule, and of its replacement: the time per byte of text grows with both */
enum { MAX_RULE = 1024 };
typedef struct Charsmap {
    /* [units] u32, little endian: a trie (a tree of bytes) in the double-array form of the library Darts */
    const unsigned char *trie;
    size_t units;
    Text text;       /* the replacements, each followed by a NUL */
    bool plain[128]; /* ASCII characters without a rule, except CR */
} Charsmap;

bool charsmap_read(Charsmap *m, Text bytes, Load *l, unsigned line); /* the bytes must stay valid */
/* Finds the shortest or the longest rule that p[0, n) begins with. Returns how many bytes it replaces; *to is the
 * replacement. 0: no rule, and *to stays unchanged. */
size_t charsmap_find(const Charsmap *m, const char *p, size_t n, bool longest, Text *to);

extern const StageKind normalizer_precompiled;

/* ---- unigram.c, bpe.c ------------------------------------------------------------------------ */

typedef struct Pieces { /* data of both models */
    const char *path;
    Trie trie;
    const double *scores; /* [ids] */
    double unknown_score;
    int32_t unknown;    /* -1: none */
    int32_t bytes[256]; /* ids of <0x00> to <0xFF> for byte fallback; -1: no such piece */
    bool byte_fallback;
    /* true: as sentencepiece computes: sums in float, and the bytes of an unknown character have its position. false:
     * as Hugging Face */
    bool plain;
    WholeFlag *known; /* [ids] flag: the best split of a word equal to this piece is the piece itself. NULL: not used */
    Trie whole;       /* bpe.c: pieces that are not split, and not merged with others */
} Pieces;
/* Appends the tokens of the consecutive unknown characters [begin, end) of a word: the piece that equals them (not if
 * m->plain), else their bytes if the model has byte fallback and pieces for all of these bytes, else the unknown token.
 */
bool put_unknown(const Pieces *m, Text word, size_t begin, size_t end, TokenIds *ids, TokenEnds *ends, Arena *a,
                 Error *e);
bool put_token(int32_t id, size_t end, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e);
/* Makes a Unigram as Hugging Face computes it, from t->pieces and their scores [ids]. Sets t->kind, t->model and
 * l->distinct. */
bool unigram_new(Load *l, const double *scores, int32_t unknown, bool byte_fallback);
extern const ModelKind model_unigram, model_scored_bpe;

/* ---- model_file.c, plain.c ------------------------------------------------------------------- */

typedef struct PlainText { /* normalizer_spec of a model file */
    Charsmap map;          /* units 0: no charsmap */
    Trie whole;            /* pieces that are not normalised */
    bool has_whole;
    bool prefix;  /* a blank is added before the text */
    bool trims;   /* blanks at both ends, and repeated blanks, are removed */
    bool escapes; /* blanks become U+2581 */
    bool suffix;  /* with `prefix`: the blank is added after the text instead */
} PlainText;
extern const StageKind normalizer_plain, decoder_plain, decoder_plain_trims, decoder_plain_bytes;

typedef struct ModelFile {
    Pieces *pieces; /* scores, the unknown piece, byte_fallback */
    PlainText *text;
    Text unknown_text; /* text of an unknown token when ids are decoded */
    double *scores;    /* [ids] */
    /* [ids] found: searched in texts (normal and user-defined pieces); whole: user-defined, not split; hidden: control
     * tokens */
    bool *found, *whole, *hidden;
    /* number of user-defined pieces, and of byte pieces */
    size_t wholes, byte_pieces;
    int64_t unused; /* id of the last piece of the type UNUSED; -1: none */
    uint64_t kind;  /* 1 Unigram, 2 BPE */
} ModelFile;
/* Parses the bytes of a .model file; t->pieces become its pieces. They point into these bytes. */
ModelFile *model_file_read(Load *l, Text bytes);
bool model_file_plain(Load *l, ModelFile *m); /* makes the tokenizer with the ids of the library sentencepiece */

#endif
