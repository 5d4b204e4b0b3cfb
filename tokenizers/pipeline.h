/* tokenizers/pipeline.h: the stages of a tokenizer, as data. A text goes through
 *
 *     added tokens     cut out of the raw text, and later out of the normalised text        added.c
 *     normalizer       bytes to bytes; each byte keeps the place that it comes from         normalizers.c
 *     pre_tokenizer    the normalised text into words                     pre_tokenizers.c, split.c, byte_level.c
 *     model            a word into tokens                                                   models/
 *     post_processor   special tokens around one text or two; padding                       post_processors.c
 *     decoder          ids back to a text                                                   decoders.c
 *
 * sentencepiece/ has the stages that came with SentencePiece: Precompiled, Replace, Metaspace, Unigram and others.
 * pipeline.c runs them. A kind of a stage is a StageKind (or ModelKind) and a line in the lists of stages.c, which
 * reads the sections of tokenizer.json by these lists. BERT's normaliser and pre-tokeniser with WordPiece are also one
 * pass (bert.c), which `tokenize` uses: it gives the same ids and no places. */
#ifndef SAPOR_TOKENIZERS_PIPELINE_H
#define SAPOR_TOKENIZERS_PIPELINE_H

#include <stdatomic.h>

#include "tokenizers/tokenizers.h"
#include "tokenizers/unicode.h"

/* The time for a byte of a word grows with the longest word: by default words have 100 characters. */
enum { MAX_WORD = 256 };
enum { MAX_TOKENS = 1 << 21, MAX_ADDED = 200 * 1000, MAX_ADDED_BYTES = 256, MAX_AROUND = 64, MAX_STAGES = 32 };

/* ---- added.c: tokens found in the text before anything splits it ----------------------------- */

typedef struct Added {
    Text content; /* what is looked for: normalised already where `normalized` */
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
    bool was_special, was_normalized; /* in any of its entries in the file */
} Added;

typedef struct AddedText { /* of an added token in a decoded text */
    Text text;
    bool hidden; /* it is left out with the special tokens */
} AddedText;

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
    size_t begin, end;       /* of the token that was found, with the white space that it takes */
    size_t white, white_end; /* white space that was met: each stretch is read once */
    bool done;
} AddedScan;
bool added_next(const AddedSet *set, AddedScan *scan, Text *gap, int32_t *id);

/* ---- a text on its way ----------------------------------------------------------------------- */

/* What stages may make of a text: so many bytes for each byte of it, and some more; more for a token that is decoded.
 * The longest compatibility form has 11 bytes for each byte, and 13 where marks of 3 bytes replace its blanks. */
enum { MOST_GROWTH = 16, MOST_MORE = 4096, MOST_MORE_DECODED = 256 };

typedef struct Normal {
    char *p; /* UTF-8 */
    /* [room], where the work is traced: the place in the text where the character begins that a byte comes from. Every
     * byte comes from one character: what a stage puts in comes from its neighbour, as in Hugging Face's alignments. */
    uint32_t *from;
    size_t n, room;
    size_t bytes; /* of both, from the heap */
} Normal;

typedef struct Word {
    uint32_t begin, end; /* bytes of the normalised text; not empty */
    int32_t id;          /* of an added token; -1: a part of the text that the model splits */
} Word;

typedef struct Words {
    Word *list;
    size_t count, room;
} Words;

typedef struct Formed { /* a character of a normal form */
    uint32_t code;
    int32_t replaces; /* characters of the source */
    uint8_t class;
} Formed;

typedef struct FormedList {
    Formed *items;
    size_t count, room;
} FormedList;

typedef struct TokenEnds { /* beside ids: where each token ends, in bytes of its word */
    size_t *list;
    size_t count, room;
} TokenEnds;

/* A stretch of text between added tokens and what the stages make of it. The memory is used again for the next one. */
typedef struct Work {
    const Tokenizer *t;
    Arena *a;
    Error *e;
    bool traced;
    /* Bytes of all stretches so far, of what was made of those before this one, and the most that is made of this one:
     * the growth of a text as a whole is bounded. */
    size_t given, made, largest;
    RegexTime regex;
    Normal text;  /* what a stage reads; the next one reads what it wrote */
    Normal other; /* what it writes */
    Words words, next;
    FormedList waiting, held; /* of a normal form: what waits for its order, and what cannot be composed */
    TokenEnds ends;           /* of a word */
} Work;

typedef struct WorkCode { /* a character of `text` */
    uint32_t code, from;
    size_t at, end;
} WorkCode;

bool work_begin(Work *w, Text text, size_t begin, size_t end); /* `text` becomes these bytes of a whole text */
void work_end(Work *w);                                        /* gives the memory of the texts back */
bool work_next(const Work *w, WorkCode *c);                    /* the next character; false at the end */
bool work_put(Work *w, uint32_t c, uint32_t from);             /* appends to `other` */
bool work_copy(Work *w, size_t begin, size_t end);             /* these bytes of `text` as they are */
void work_swap(Work *w);                                       /* what was written is what is read */
bool work_word(Work *w, size_t begin, size_t end, int32_t id); /* appends to `next`, unless it is empty */
void work_swap_words(Work *w);

bool normal_form(Work *w, bool compatible, bool compose); /* NFD, NFC, NFKD, NFKC as the fast tokenizers */
bool normal_lower(Work *w);

/* What becomes of the characters where words are split, as Hugging Face's SplitDelimiterBehavior. */
typedef enum SplitRule { SPLIT_REMOVED, SPLIT_ISOLATED, SPLIT_WITH_LAST, SPLIT_WITH_NEXT, SPLIT_CONTIGUOUS } SplitRule;
/* Where the part of the text ends that begins at `at`, and whether it is a match. */
typedef size_t SplitPart(const void *how, const Tokenizer *t, Text text, size_t at, bool *match);
bool split_parts(Work *w, const void *how, SplitPart *part, SplitRule rule);
/* Whether a part joins the one before it. */
static inline bool split_joins(SplitRule rule, bool match, bool matched)
{
    return rule == SPLIT_CONTIGUOUS  ? match == matched
           : rule == SPLIT_WITH_LAST ? match && !matched
           : rule == SPLIT_WITH_NEXT ? !match && matched
                                     : false;
}
bool split_where(Work *w, bool (*is)(const Tokenizer *t, uint32_t c), SplitRule rule);
bool is_space(const Tokenizer *t, uint32_t c);
bool is_punctuation(const Tokenizer *t, uint32_t c);

/* ---- stages.c: the kinds of stages, and the sections of tokenizer.json ----------------------- */

typedef struct TokenBytes { /* text of a token on its way through the decoder */
    char *p;
    size_t n, room;
    size_t most;     /* bytes that a decoder may make of it */
    RegexTime *time; /* of the texts that are decoded with it */
} TokenBytes;
bool token_bytes_room(TokenBytes *b, size_t n, Arena *a, Error *e); /* room for n bytes; what is in it stays */

typedef struct Load {
    Tokenizer *t;
    const char *folder, *path, *second; /* the file, and one that goes with it or NULL */
    const Files *memory;                /* the folder in memory, or NULL */
    const Json *config, *map;           /* tokenizer_config.json, special_tokens_map.json, or NULL */
    Arena *a;
    Error *e;
    Added *added;
    size_t added_count, added_capacity;
    size_t distinct; /* pieces in the vocabulary */
    uint32_t keys;   /* the line of a vocabulary whose pieces are keys, so that two equal ones are an error; else 0 */
    char *kept;      /* where the next text goes that is kept */
    size_t kept_left;
} Load;
#define NAME(text) (int)MIN((text).n, (size_t)100), (text).p /* of a file, for messages */

/* What a decoder makes one token of: byte tokens ("<0x41>") in a row, with U+FFFD for each of them where they are not
 * UTF-8; the same, with U+FFFD only for those bytes that are not UTF-8; all tokens. */
typedef enum Joins { JOIN_NONE, JOIN_BYTES, JOIN_CHARACTERS, JOIN_ALL } Joins;

typedef struct StageKind {
    const char *name; /* its "type" */
    /* Reads and checks the settings, into the arena. NULL: it has none. A post-processor sets t->one and t->two. */
    bool (*parse)(Load *l, const Json *j, const void **settings);
    union {
        bool (*normalize)(const void *settings, Work *w); /* `text` to `other`, then work_swap */
        /* `words` to `next`, then work_swap_words; it may also write the text anew. Words with an id pass. */
        bool (*split)(const void *settings, Work *w);
        /* The bytes of one token to what it adds to the text; `first`: nothing is before it. */
        bool (*decode)(const void *settings, bool first, TokenBytes *token, Arena *a, Error *e);
    };
    bool no_template, trims; /* of a post-processor: it sets neither t->one nor t->two; it may set t->trims */
    Joins joins;             /* of a decoder without `decode` */
    bool leads;              /* of a decoder: tokens are the first until one adds to the text */
    bool partial; /* of a decoder: it gives bytes, and characters may be parted between tokens. It is the last one */
    /* Of a decoder that is the last one: instead of `decode`, of the last token of all, which only gets shorter. */
    void (*decode_last)(const void *settings, TokenBytes *token);
} StageKind;

typedef struct Stage {
    const StageKind *kind;
    const void *settings;
} Stage;

typedef struct Stages { /* in their order; those of a Sequence are put in its place */
    Stage list[MAX_STAGES];
    size_t count;
} Stages;

typedef struct ModelKind {
    const char *name;
    const char *mark; /* a key that only this kind has: it names the kind where a file has no "type" */
    bool (*parse)(Load *l, const Json *j, const void **model); /* sets t->pieces, t->ids and l->distinct too */
    /* Appends the tokens of a word that is not empty; their ends too unless `ends` is NULL. A token with the end of the
     * one before it has all of its place. */
    bool (*run)(const void *model, Text word, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e);
    int32_t (*find)(const void *model, Text piece); /* -1: no such piece */
    /* The ids of a word whose bytes are not letters of ByteLevel yet: the stage leaves them so if t->bytes */
    bool (*run_bytes)(const void *model, Text word, TokenIds *ids, Arena *a, Error *e);
    /* Where the part of a word ends that begins at `at`: each part has its tokens alone. NULL: a word is one part. Not
     * of words for run_bytes. */
    size_t (*part_end)(const void *model, Text word, size_t at);
} ModelKind;

/* One of the sections of tokenizer.json into stages; a Sequence is opened. Nothing for null. */
bool read_normalizers(Load *l, const Json *j, Stages *out);
bool read_pre_tokenizers(Load *l, const Json *j, Stages *out);
bool read_post_processors(Load *l, const Json *j);
bool read_decoders(Load *l, const Json *j, Stages *out);
bool read_model(Load *l, const Json *j);
/* An object of pieces and their ids, to t->pieces, t->ids and l->distinct. */
bool read_vocabulary(Load *l, const Json *vocab);
bool keep_text(Load *l, const Json *list, Text *text); /* of a child of a list, which may be folded: into the arena */
bool duplicate_piece(Load *l, Text piece);             /* fails */
bool pieces_new(Load *l, size_t ids);                  /* room for the pieces of so many ids, and of the added tokens */
extern const StageKind normalizer_bert, pre_tokenizer_bert, decoder_wordpiece; /* what a vocab.txt has */
extern const struct DecoderWordPiece decoder_wordpiece_default;
extern const ModelKind model_wordpiece;

/* The "behavior" of a pre-tokeniser. */
bool read_split_rule(Load *l, const Json *j, const char *name, SplitRule *rule);

static inline bool is_absent(const Json *j)
{
    return !j || j->type == JSON_NULL;
}

/* ---- post_processors.c ----------------------------------------------------------------------- */

typedef struct TemplatePart {
    int text;           /* 0 or 1: the tokens of that text; -1: special tokens */
    int32_t type;       /* type id of all of them */
    const int32_t *ids; /* of special tokens */
    size_t count;
} TemplatePart;

typedef struct Template {
    const TemplatePart *parts;
    size_t count;
    size_t special; /* special tokens in all of it */
} Template;
/* first A last; for two texts first A, `last` once or twice, B last, with type ids 0 and second_type. first -1: no
 * such token. */
bool template_around(Load *l, int32_t first, int32_t last, size_t between, int32_t second_type);
bool template_ends(Load *l, int32_t first, int32_t last); /* the same around each of two texts; -1: none */
bool template_default(Load *l);                           /* A; A B */
bool template_finish(Load *l);                            /* checks the ids, and sets `before` and `after` */
/* The sections "truncation" and "padding" of tokenizer.json, either may be null: sets t->stated, t->padding and
 * t->from_left. */
bool read_limits(Load *l, const Json *truncation, const Json *padding);
bool read_side(Load *l, const Json *config); /* truncation_side of tokenizer_config.json: t->from_left */

/* ---- split.c, byte_level.c ------------------------------------------------------------------- */

/* A regular expression by Oniguruma (regex.c), freed with the arena. Fails where it is malformed, and in a build
 * without Oniguruma. Time: linear in the expression (of 4096 bytes at most), save for what Oniguruma expands. */
typedef struct Regex Regex;
const Regex *regex_new(Load *l, Text text, unsigned line);
/* Each match in its order, some of them empty; false of `match` ends it. SP_UNSUPPORTED: it takes too many steps. Time
 * of all calls with the same `time`: 4 s and 2 us for a byte of time->bytes at most. Memory: 50 MB at most. */
typedef bool RegexMatch(void *to, size_t begin, size_t end);
bool regex_each(const Regex *r, Text text, RegexTime *time, RegexMatch *match, void *to, Error *e);
bool regex_split(const Regex *r, bool invert, SplitRule rule, Work *w);

/* Where a match ends that begins at `at`; 0: none does. */
typedef struct Pattern Pattern;
typedef size_t PatternMatch(const Pattern *p, Text text, size_t at);
enum { LOW_KINDS = 0x800 };
struct Pattern {
    PatternMatch *match;
    const Regex *regex; /* instead of `match` */
    Text literal;
    bool invert; /* what is between matches counts as a match */
    SplitRule rule;
    uint8_t low[LOW_KINDS]; /* unicode_kind of the first characters */
};
#define CONTRACTIONS         "'s|'t|'re|'ve|'m|'ll|'d"
#define PATTERN_GPT2         CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define PATTERN_CLIP         CONTRACTIONS "|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"
#define PATTERN_CLIP_SPECIAL "<\\|startoftext\\|>|<\\|endoftext\\|>|" /* in front of CLIP's, in some files */
#define PATTERN_QWEN2                                                                                                  \
    "(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"         \
    "\\s+(?!\\S)|\\s+"
Pattern *pattern_new(Load *l, Text text); /* one of these; the caller sets `invert` and `rule` */
bool pattern_split(const Pattern *p, Work *w);
extern const StageKind pre_tokenizer_split, pre_tokenizer_byte_level, decoder_byte_level;
extern const StageKind normalizer_nfc, normalizer_lowercase;
const void *byte_level_new(Load *l, bool prefix_space, bool pattern); /* settings of the pre-tokeniser */
uint32_t byte_level_code(unsigned char byte);                         /* the letter of a byte */
/* Sets t->bytes, where ByteLevel is the last stage before byte pair encoding. */
void byte_level_prepare(Tokenizer *t);

/* Of a piece: a word that is this piece is known to be this one token. Any thread may find that out. */
typedef atomic_bool WholeFlag;
static inline bool whole_get(const WholeFlag *f)
{
    return atomic_load_explicit(f, memory_order_relaxed);
}
static inline void whole_set(WholeFlag *f)
{
    atomic_store_explicit(f, true, memory_order_relaxed);
}

/* ---- load.c, classes/: files of a folder, on disk or in memory ------------------------------- */

bool load_path(Load *l, const char *folder, const char *name, const char **path); /* FOLDER/name; NULL: it is missing */
bool load_source(Load *l, const char *path, Text *source);
const Json *load_file_json(Load *l, const char *path);
bool load_added(Load *l, const Json *list); /* a list of added tokens; nothing for null */
/* The named special token from special_tokens_map.json or tokenizer_config.json, as a string or an object, else
 * fallback; it becomes an added token. Empty where fallback is NULL and no file names one. */
bool load_special(Load *l, const Json *map, const Json *config, const char *name, const char *fallback, bool lstrip,
                  Text *text);
/* The same from l->map and l->config, without fallback where they say null. Flags that the file has for it as an added
 * token stay, or (`again`) are lost. */
bool load_named(Load *l, const char *name, const char *fallback, bool again, Text *text);
bool load_special_id(Load *l, Text token, int32_t *id); /* of an added token that the vocabulary has */
bool add_token(Load *l, Added token, const char *path, uint32_t line);
/* tokenizer_class of tokenizer_config.json without "Fast", else "" and model_type of config.json, else "". */
bool load_class(Load *l, Text *class, Text *model_type);
bool load_finish(Load *l); /* numbers the added tokens, checks the templates */
/* Tokenizers as a class of transformers builds them, which tokenizer_class or model_type names. l->path is vocab.json,
 * l->second merges.txt; l->path is a SentencePiece .model (without a class: as sentencepiece reads it). */
bool load_vocab_json(Load *l);
bool load_model(Load *l);
bool load_clip_merges(Load *l); /* bpe_simple_vocab_16e6.txt, also packed by gzip, as CLIPTokenizer */
bool load_tiktoken(Load *l);    /* ranks of Qwen's first models */
/* RFC 4648, with its padding. out has room for from.n / 4 * 3 bytes. False: it is something else. */
bool base64_decode(Text from, char *out, size_t *n);

/* ---- bpe.c ----------------------------------------------------------------------------------- */

enum { MAX_AFFIX = 64 }; /* bytes of a prefix, of a suffix */
typedef struct Bpe Bpe;
typedef struct BpeSettings {
    /* unk_token, continuing_subword_prefix, end_of_word_suffix. Without an unknown token what is unknown is left out */
    Text unknown, prefix, suffix;
    bool fuse;     /* unknown characters in a row are one token */
    bool fallback; /* an unknown character is its bytes, where the vocabulary has <0x00> to <0xFF> */
    bool whole;    /* a word that is a piece is not split (ignore_merges) */
} BpeSettings;
/* A model of t->pieces with room for so many merges; sets t->kind. Then the merges in their order, each with the line
 * that it is in. A line of a file has two tokens, or begins with "#version". */
Bpe *bpe_new(Load *l, const BpeSettings *settings, size_t merges);
bool bpe_merge(Load *l, Bpe *m, Text left, Text right, const char *path, unsigned line);
bool bpe_merge_line(Load *l, Bpe *m, Text row, const char *path, unsigned line);
/* The same where no list of merges is there: every way to cut a piece into two pieces is one, the lowest id first.
 * `apart`: the ways of one piece follow each other, the shortest left part first (generate_merges of transformers);
 * else they have the same rank (tiktoken). Time: for a byte of a piece its length. */
Bpe *bpe_from_pieces(Load *l, const BpeSettings *settings, bool apart);
extern const ModelKind model_bpe;
bool bpe_has_bytes(const Bpe *m); /* its pieces have every letter of ByteLevel */

/* ---- wordpiece.c, bert.c --------------------------------------------------------------------- */

typedef struct Slot { /* open addressing; id -1: empty */
    uint32_t tag;
    int32_t id;
} Slot;

typedef struct WordPiece {
    const char *path;
    const Text *pieces; /* t->pieces */
    /* pieces by hash, those that continue a word a second time without their prefix */
    Slot *slots;
    uint32_t slot_mask;
    /* of hashes, by an address: a file cannot be prepared to collide. A word's beginning, its continuation */
    uint64_t seed[2];
    size_t longest[2]; /* bytes of the longest piece that begins, that continues a word */
    Text prefix;
    int32_t unknown; /* -1: not in the vocabulary */
    size_t max_word; /* characters; at most MAX_WORD */
} WordPiece;
/* From t->pieces and t->ids, as t->model; the caller sets `unknown`. */
WordPiece *wordpiece_new(Load *l, Text prefix, size_t max_word);
bool wordpiece_word(const WordPiece *m, Text word, TokenIds *out, Arena *a, Error *e);
bool ids_push(TokenIds *out, int32_t id, Arena *a, Error *e);
bool ends_push(TokenEnds *ends, size_t end, Arena *a, Error *e);

typedef struct BertSwitches {
    bool on, clean, chinese, strip, lower; /* on: false where there is no normaliser */
} BertSwitches;

/* BertNormalizer in one pass. out has room for NORMAL_ROOM(text.n) bytes; a is used only for texts with misplaced
 * combining marks. */
#define NORMAL_ROOM(n) (3 * (n) + 16)
bool bert_normalize(const Tokenizer *t, Text text, char *out, size_t *n, Arena *a, Error *e);
/* BertPreTokenizer: the next word of a normalised text; false at the end. */
bool bert_next_word(const Tokenizer *t, Text *rest, Text *word);
/* Sets t->bert, where the stages are those of BERT alone. */
void bert_prepare(Tokenizer *t);

/* ---- models/word_cache.c --------------------------------------------------------------------- */

typedef struct CachedWord {
    uint32_t hash;
    uint16_t bytes, count;
    int32_t ids[]; /* [count], then the bytes of the word */
} CachedWord;
/* The ids of words that were met: the first 20,000 or so of at most 64 bytes. Any thread may use it. Memory: 0.9 MB,
 * freed with the arena; most of it is not touched before it is needed. */
typedef struct WordCache WordCache;
WordCache *word_cache_new(Arena *a, Error *e);
/* NULL: it is not there; word_cache_add takes the hash then. Where the cache is NULL it finds and keeps nothing. */
const CachedWord *word_cache_find(const WordCache *c, Text word, uint64_t *hash);
void word_cache_add(WordCache *c, Text word, uint64_t hash, const int32_t *ids, size_t count);

/* ---- the tokenizer --------------------------------------------------------------------------- */

struct Tokenizer {
    const char *path;
    Text *pieces; /* [ids]; .p NULL where an id has none */
    int64_t ids;
    int64_t max_length;

    AddedSet raw, normal; /* looked for in the raw text, in the normalised text */
    const Added *added;   /* all of them, as given */
    size_t added_count;
    const AddedText *shown;   /* as they are decoded */
    const uint32_t *shown_of; /* [ids]: number in `shown` and 1; 0: the piece is decoded */

    Stages normalizers, pre_tokenizers, decoders;
    Error no_decoder;    /* why its decoder is not supported */
    Text word_end;       /* becomes a blank in a decoded text, whose ends lose their white space; .n 0: nothing does */
    TokenOptions stated; /* truncation of tokenizer.json */
    const TokenPadding *padding; /* NULL: none is stated */
    bool from_left;              /* the side of truncation in any of the files */
    const ModelKind *kind;
    const void *model;
    WordCache *cache; /* of what the model takes where only ids are asked for; NULL: none */

    Template one, two;        /* two.count 0: the file has none for two texts */
    bool traced;              /* a stage needs the places, also where only ids are asked for */
    bool bytes;               /* where only ids are asked for, the model takes the words before ByteLevel */
    bool trims, prefix_space; /* white space at both ends of a token does not count as its place (RobertaProcessing) */
    const int32_t *before, *after; /* special tokens around one text */
    size_t before_count, after_count;

    bool fused; /* bert.c does what the first stages and the model do */
    BertSwitches bert;
    int16_t ascii[128]; /* what normalising makes of it; -1: nothing */
    uint8_t plane[UNICODE_PLANE];
};

static inline uint8_t flags_of(const Tokenizer *t, uint32_t c)
{
    return c < UNICODE_PLANE ? t->plane[c] : unicode_flags(c);
}

/* ---- decoders.c ------------------------------------------------------------------------------ */

typedef struct DecoderWordPiece {
    Text prefix;
    bool cleanup;
} DecoderWordPiece;

/* ---- replace.c ------------------------------------------------------------------------------- */

bool strip_decoder_leads(const Stage *stage); /* a decoder Strip that takes one character of the beginning at most */

/* ---- pipeline.c ------------------------------------------------------------------------------ */

bool max_length_fits(const Tokenizer *t, size_t max_length, size_t special, Error *e);
bool pipeline_normalize(Work *w, Text text, Text *out); /* its normal form, copied into the arena */
/* Appends the ids of one text without special tokens until `out` has more than `limit`. By the fused pass, or by all
 * stages. */
bool pipeline_fused(const Tokenizer *t, Text text, size_t limit, TokenIds *out, Arena *a, Error *e);
bool pipeline_stages(const Tokenizer *t, Text text, size_t limit, TokenIds *out, Arena *a, Error *e);

#endif
