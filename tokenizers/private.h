/* tokenizers/private.h: what the stages of a tokenizer share. A text goes through added tokens (added.c), normalising
 * (normalize.c), added tokens again, and words to pieces (wordpiece.c); load.c reads the settings. */
#ifndef SAPOR_TOKENIZERS_PRIVATE_H
#define SAPOR_TOKENIZERS_PRIVATE_H

#include "tokenizers/tokenizers.h"

/* ---- unicode.c: what the pinned Hugging Face tokenizers think of a code point ---------------- */

enum { U_DROP = 1, U_SPACE = 2, U_CLEAN = 4, U_PUNCT = 8, U_MARK = 16, U_KNOWN = 32, U_UPPER = 64, U_CHINESE = 128 };
enum { UNICODE_PLANE = 0x10000 };
void unicode_plane(uint8_t flags[UNICODE_PLANE]); /* the flags of the first plane, for look-up at once */
uint8_t unicode_flags(uint32_t c);                /* the same by search, for any code point */
uint32_t unicode_lower(uint32_t c);               /* of one with U_UPPER; U+0130 gives 'i', the caller adds U+0307 */
bool unicode_is_word(uint32_t c);                 /* \w */
/* NFD of one code point with U_KNOWN into out[4], and the combining class of one (0 for the others). */
int unicode_decompose(uint32_t c, uint32_t out[4]);
int unicode_class(uint32_t c);

/* ---- added.c: tokens found in the text before anything splits it ----------------------------- */

typedef struct Added {
    Text content; /* what is looked for: normalised already where `normalized` */
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} Added;

typedef struct AddedNode { /* of token - 1; node 0 is the empty text */
    /* the longest other token that this one begins with; one further up, to climb in few steps */
    uint32_t parent, jump;
    uint32_t depth;
} AddedNode;

typedef struct AddedSet {
    Added *tokens; /* sorted as bytes, all different */
    AddedNode *nodes;
    size_t count;
    uint32_t first[257]; /* tokens[first[b]] .. tokens[first[b + 1] - 1] begin with byte b */
} AddedSet;
/* Those of the tokens that are looked for in raw or in normalised text; where two are equal the first counts. */
bool added_build(AddedSet *set, const Added *tokens, size_t count, bool normalized, Arena *a, Error *e);

/* Cuts text: `gap` is what lies before the next token (maybe empty), *id the token, -1 at the end. *at begins as 0. */
typedef struct AddedScan {
    Text text;
    size_t at, found;        /* where the next gap begins; where to look for the next match */
    size_t white, white_end; /* white space that was met: each stretch is read once */
    bool done;
} AddedScan;
bool added_next(const AddedSet *set, AddedScan *scan, Text *gap, int32_t *id);

/* ---- the tokenizer --------------------------------------------------------------------------- */

typedef struct Slot { /* open addressing; id -1: empty */
    uint32_t tag;
    int32_t id;
} Slot;

/* The time for a byte of a word grows with the longest word: by default words have 100 characters. */
enum { MAX_WORD = 256 };
enum { MAX_TOKENS = 1 << 21, MAX_ADDED = 200 * 1000, MAX_ADDED_BYTES = 256, MAX_AROUND = 64 };

struct Tokenizer {
    const char *path;
    Text *pieces; /* [ids]; .p NULL where an id has none */
    int64_t ids;
    int64_t max_length;

    /* WordPiece: pieces by hash, those that continue a word a second time without their prefix */
    Slot *slots;
    uint32_t slot_mask;
    /* of hashes, by an address: a file cannot be prepared to collide. A word's beginning, its continuation */
    uint64_t seed[2];
    size_t longest[2]; /* bytes of the longest piece that begins, that continues a word */
    Text prefix;
    int32_t unknown; /* -1: not in the vocabulary */
    size_t max_word; /* characters; at most MAX_WORD */

    AddedSet raw, normal; /* looked for in the raw text, in the normalised text */
    const Added *added;   /* all of them, as given */
    size_t added_count;

    bool normalizes, clean, chinese, strip, lower;
    int16_t ascii[128]; /* what normalising makes of it; -1: nothing */
    uint8_t plane[UNICODE_PLANE];

    int32_t *before, *after; /* special tokens around one text */
    size_t before_count, after_count;
};

static inline uint8_t flags_of(const Tokenizer *t, uint32_t c)
{
    return c < UNICODE_PLANE ? t->plane[c] : unicode_flags(c);
}

/* One code point; a byte that is not UTF-8 reads as U+FFFD. n > 0. */
static inline uint32_t next_code(const char *p, size_t n, size_t *length)
{
    uint32_t c;
    *length = utf8_decode(p, n, &c);
    if (*length)
        return c;
    *length = 1;
    return 0xfffd;
}

/* BertNormalizer. out has room for NORMAL_ROOM(text.n) bytes; a is used only for texts with misplaced combining
 * marks. */
#define NORMAL_ROOM(n) (3 * (n) + 16)
bool normalize(const Tokenizer *t, Text text, char *out, size_t *n, Arena *a, Error *e);
void normalize_prepare(Tokenizer *t); /* fills ascii and plane from the switches */

/* BertPreTokenizer: the next word of a normalised text; false at the end. */
bool next_word(const Tokenizer *t, Text *rest, Text *word);

/* From pieces, ids and prefix; *distinct is how many different pieces there are. */
bool wordpiece_build(Tokenizer *t, size_t *distinct, Arena *a, Error *e);
bool wordpiece_word(const Tokenizer *t, Text word, TokenIds *out, Arena *a, Error *e);
int32_t piece_find(const Tokenizer *t, Text piece, bool continues);
bool ids_push(TokenIds *out, int32_t id, Arena *a, Error *e);

#endif
