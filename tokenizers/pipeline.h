/* tokenizers/pipeline.h: the stages of a tokenizer, as data. The stages in their order:
 *
 *     added tokens     found in the raw text, and later in the normalised text              added.c
 *     normalizer       bytes to bytes; the source position of each byte is recorded         normalizers.c
 *     pre_tokenizer    the normalised text into words                     pre_tokenizers.c, split.c, byte_level.c
 *     model            a word into tokens                                                   models/
 *     post_processor   special tokens around one text or two; padding                       post_processors.c
 *     decoder          ids back to a text                                                   decoders.c
 *
 * sentencepiece/ has the stages of SentencePiece: Precompiled, Replace, Metaspace, Unigram and others.
 *
 * pipeline.c runs the stages. For each kind of stage there is a StageKind (or ModelKind), and one line in a list of
 * stages.c. stages.c reads the sections of tokenizer.json with these lists. BERT's normaliser and pre-tokeniser with
 * WordPiece also exist as a single pass (bert.c), which `tokenize` uses. It gives the same ids, but no positions. */
#ifndef SAPOR_TOKENIZERS_PIPELINE_H
#define SAPOR_TOKENIZERS_PIPELINE_H

#include <stdatomic.h>

#include "tokenizers/tokenizers.h"
#include "tokenizers/unicode.h"

/* A word has at most MAX_WORD characters; the usual limit in files is 100. The time per byte grows with the length of
 * the word. */
enum { MAX_WORD = 256 };
enum { MAX_TOKENS = 1 << 21, MAX_ADDED = 200 * 1000, MAX_ADDED_BYTES = 256, MAX_SPECIAL = 64, MAX_STAGES = 32 };

/* ---- added.c: tokens that are found in the text before it is split --------------------------- */

typedef struct Added {
    Text content; /* the searched text; already normalised if `normalized` */
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
    /* was_special and was_normalized: true if any entry of the files for this token has the flag. special and
     * normalized: the flag of the last entry */
    bool was_special, was_normalized;
} Added;

typedef struct AddedText { /* text of an added token, for decoding */
    Text text;
    bool hidden; /* left out together with the special tokens */
} AddedText;

typedef struct AddedNode { /* nodes[i] belongs to tokens[i - 1]; nodes[0] is the empty text */
    /* parent: the longest other token that is a prefix of this one. jump: a shortcut to a far ancestor. With the jumps,
     * the longest prefix of at most n bytes is found in about log(depth) steps */
    uint32_t parent, jump;
    /* number of tokens that are prefixes of this one, including itself; 0 for node 0 */
    uint32_t depth;
} AddedNode;

typedef struct AddedSet {
    Added *tokens; /* sorted by bytes, distinct */
    AddedNode *nodes;
    size_t count;
    uint32_t first[257]; /* tokens[first[b]] .. tokens[first[b + 1] - 1] begin with byte b */
} AddedSet;
/* Builds the set of the added tokens that are searched in raw text, or in normalised text. If two are equal, the first
 * counts. */
bool added_build(AddedSet *set, const Added *tokens, size_t count, bool normalized, Arena *a, Error *e);

/* The state of added_next. At first, all members but `text` are 0. */
typedef struct AddedScan {
    Text text;
    size_t at, search_at;    /* start of the next gap; position where the next search starts */
    size_t begin, end;       /* the token that was found, including the white space that it takes */
    size_t white, white_end; /* white space that was already read, so that each stretch is read once */
    bool done;
} AddedScan;
/* Splits scan->text at added tokens. Each call writes the next token to *id, and the text before this token to *gap
 * (may be empty). After the last token, *id is -1 and *gap is the rest of the text. The next call returns false. */
bool added_next(const AddedSet *set, AddedScan *scan, Text *gap, int32_t *id);

/* ---- a text during processing ---------------------------------------------------------------- */

/* Limits of the text that stages may make of n bytes: MOST_GROWTH n + MOST_MORE. For a token that is decoded:
 * MOST_GROWTH n + MOST_MORE_DECODED. NFKC and NFKD make at most 11 n bytes of n bytes, or 13 n if a later stage
 * replaces each blank by SentencePiece's mark (3 bytes). */
enum { MOST_GROWTH = 16, MOST_MORE = 4096, MOST_MORE_DECODED = 256 };

typedef struct Normal {
    char *p; /* UTF-8 */
    /* [room] if positions are recorded: the source position of each byte, as the start of the character that it comes
     * from. Every byte comes from one character. Bytes that a stage inserts come from a neighbour, as in Hugging Face's
     * alignments. */
    uint32_t *from;
    size_t n, room;
    size_t bytes; /* bytes of the one block from the heap that holds `from` and `p` */
} Normal;

typedef struct Word {
    uint32_t begin, end; /* a part of the normalised text, in bytes; not empty */
    int32_t id;          /* id of an added token; -1: text that the model splits */
} Word;

typedef struct Words {
    Word *list;
    size_t count, room;
} Words;

typedef struct Formed { /* a character of a normal form */
    uint32_t code;
    int32_t replaces; /* number of source characters that it replaces */
    uint8_t class;
} Formed;

typedef struct FormedList {
    Formed *items;
    size_t count, room;
} FormedList;

typedef struct TokenEnds { /* parallel to the ids: the end of each token, in bytes of its word */
    size_t *list;
    size_t count, room;
} TokenEnds;

/* A stretch of text between added tokens, and the results of its stages. The memory is used again for the next stretch.
 */
typedef struct Work {
    const Tokenizer *t;
    Arena *a;
    Error *e;
    bool traced; /* source positions are recorded */
    /* These bound the growth of the whole text. given: source bytes of the stretches up to this one, including it;
     * made: bytes that the stages made of the stretches before this one; largest: the most bytes that one stage has
     * made of this stretch so far */
    size_t given, made, largest;
    RegexTime regex;
    Normal text;  /* input of a stage; the output of the stage before */
    Normal other; /* output of a stage */
    /* words of the stretch: the input of a pre-tokeniser, and its output */
    Words words, next;
    /* for normal forms: marks that wait to be ordered; marks that were not composed with the starter before them */
    FormedList waiting, held;
    TokenEnds ends; /* ends of the tokens of a word */
} Work;

/* the character at bytes [at, end) of `text`; `from`: its source position (0 if not traced) */
typedef struct WorkCode {
    uint32_t code, from;
    size_t at, end;
} WorkCode;

bool work_begin(Work *w, Text text, size_t begin, size_t end); /* sets `text` to these bytes of a whole text */
void work_end(Work *w);                                        /* frees the memory of the texts */
bool work_next(const Work *w, WorkCode *c);                    /* reads the character at c->end; false at the end */
bool work_put(Work *w, uint32_t c, uint32_t from);             /* appends a character to `other` */
bool work_copy(Work *w, size_t begin, size_t end);             /* copies these bytes of `text` unchanged */
void work_swap(Work *w);                                       /* the output becomes the input of the next stage */
bool work_word(Work *w, size_t begin, size_t end, int32_t id); /* appends a word to `next`, unless it is empty */
void work_swap_words(Work *w);

/* NFD, NFC, NFKD or NFKC, as the fast tokenizers compute them */
bool normal_form(Work *w, bool compatible, bool compose);
bool normal_lower(Work *w);

/* What happens to the matches, at which a text is split into words: Hugging Face's SplitDelimiterBehavior. */
typedef enum SplitRule {
    SPLIT_REMOVED,       /* matches are left out */
    SPLIT_ISOLATED,      /* each match is a word */
    SPLIT_WITH_PREVIOUS, /* MergedWithPrevious: a match is the end of the word before it, if there is one */
    SPLIT_WITH_NEXT,     /* MergedWithNext: a match is the beginning of the word after it, if there is one */
    SPLIT_CONTIGUOUS     /* neighbouring matches are one word */
} SplitRule;
/* Returns the end of the part of the text that begins at `at`. *match: whether this part is a match. */
typedef size_t SplitPart(const void *how, const Tokenizer *t, Text text, size_t at, bool *match);
bool split_parts(Work *w, const void *how, SplitPart *part, SplitRule rule);
/* Reports whether a part is joined to the part before it. `match` and `matched`: whether this part and the one before
 * are matches. */
static inline bool split_joins(SplitRule rule, bool match, bool matched)
{
    return rule == SPLIT_CONTIGUOUS      ? match == matched
           : rule == SPLIT_WITH_PREVIOUS ? match && !matched
           : rule == SPLIT_WITH_NEXT     ? !match && matched
                                         : false;
}
bool split_where(Work *w, bool (*is)(const Tokenizer *t, uint32_t c), SplitRule rule);
bool is_space(const Tokenizer *t, uint32_t c);
bool is_punctuation(const Tokenizer *t, uint32_t c);

/* ---- stages.c: the kinds of stages, and the sections of tokenizer.json ----------------------- */

typedef struct TokenBytes { /* text of a token during decoding */
    char *p;
    size_t n, room;
    size_t most;     /* largest number of bytes that a decoder may make of it */
    RegexTime *time; /* time of all texts that are decoded together */
} TokenBytes;
bool token_bytes_room(TokenBytes *b, size_t n, Arena *a, Error *e); /* makes space for n bytes; the content stays */

typedef struct Load {
    Tokenizer *t;
    /* the folder of the files; the file that is read; a second file if the format has two, or NULL */
    const char *folder, *path, *second;
    const Files *memory;      /* the folder in memory, or NULL */
    const Json *config, *map; /* tokenizer_config.json, special_tokens_map.json, or NULL */
    Arena *a;
    Error *e;
    Added *added;
    size_t added_count, added_capacity;
    size_t distinct; /* number of distinct pieces in the vocabulary */
    /* If the vocabulary is a JSON object: the line where the object begins. Its keys must be distinct. Else 0: equal
     * pieces are allowed. */
    uint32_t vocabulary_line;
    char *kept;       /* keep_text: where it writes the next copy */
    size_t kept_left; /* keep_text: number of free bytes at `kept` */
} Load;
#define NAME(text) (int)MIN((text).n, (size_t)100), (text).p /* a name in a file, for messages */

/* Which tokens a decoder combines into one:
 * - JOIN_BYTES: consecutive byte tokens ("<0x41>"); if they are not UTF-8, each of them becomes U+FFFD;
 * - JOIN_CHARACTERS: the same, but only bytes that are not UTF-8 become U+FFFD;
 * - JOIN_ALL: all tokens. */
typedef enum Joins { JOIN_NONE, JOIN_BYTES, JOIN_CHARACTERS, JOIN_ALL } Joins;

typedef struct StageKind {
    const char *name; /* its "type" in tokenizer.json */
    /* Reads and checks the settings, into the arena. NULL: the stage has no settings. A post-processor sets the
     * templates: t->one for one text, t->two for two texts. */
    bool (*parse)(Load *l, const Json *j, const void **settings);
    union {
        bool (*normalize)(const void *settings, Work *w); /* reads `text`, writes `other`, then calls work_swap */
        /* Reads `words`, writes `next`, then calls work_swap_words. It may also rewrite the text. Words with an id are
         * copied. */
        bool (*split)(const void *settings, Work *w);
        /* Replaces the bytes of one token by the text that it adds. `first`: no token is before it. */
        bool (*decode)(const void *settings, bool first, TokenBytes *token, Arena *a, Error *e);
    };
    bool no_template, trims; /* of a post-processor: it does not set t->one and t->two; it may set t->trims */
    Joins joins;             /* for a decoder without `decode` */
    bool leads;              /* of a decoder: `first` stays true until a token adds text */
    /* of a decoder: it gives bytes, so a character may be split between tokens. Such a decoder must be the last one */
    bool partial;
    /* For the last decoder only, instead of `decode`: called for the last token, which it may only shorten. */
    void (*decode_last)(const void *settings, TokenBytes *token);
} StageKind;

typedef struct Stage {
    const StageKind *kind;
    const void *settings;
} Stage;

typedef struct Stages { /* stages in order; a Sequence is replaced by its stages */
    Stage list[MAX_STAGES];
    size_t count;
} Stages;

typedef struct ModelKind {
    const char *name; /* its "type" in tokenizer.json */
    const char *mark; /* a key that only this kind has, which identifies the kind if a file has no "type" */
    bool (*parse)(Load *l, const Json *j, const void **model); /* also sets t->pieces, t->ids and l->distinct */
    /* Appends the tokens of a word that is not empty, and their ends unless `ends` is NULL. Tokens with equal
     * ends have the same position, such as the bytes of one character. */
    bool (*run)(const void *model, Text word, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e);
    int32_t (*find)(const void *model, Text piece); /* returns -1 if there is no such piece */
    /* Appends the ids of a word of plain bytes. If t->bytes is set and only ids are requested, the ByteLevel stage does
     * not convert bytes to letters, and this function is called instead of `run`. NULL: t->bytes is never set. */
    bool (*run_bytes)(const void *model, Text word, TokenIds *ids, Arena *a, Error *e);
    /* Returns the end of the part of a word that begins at `at`; each part is tokenized separately. NULL: a word is one
     * part. Not used with run_bytes. */
    size_t (*part_end)(const void *model, Text word, size_t at);
} ModelKind;

/* Reads a section of tokenizer.json into stages. A Sequence is replaced by its stages. null gives none. */
bool read_normalizers(Load *l, const Json *j, Stages *out);
bool read_pre_tokenizers(Load *l, const Json *j, Stages *out);
bool read_post_processors(Load *l, const Json *j);
bool read_decoders(Load *l, const Json *j, Stages *out);
bool read_model(Load *l, const Json *j);
/* Reads an object of pieces and ids, into t->pieces, t->ids and l->distinct. */
bool read_vocabulary(Load *l, const Json *vocab);
/* If `list` is folded (base/base.h), copies the text of one of its children into the arena, because the text is valid
 * only until the next child is read. Otherwise changes nothing. Returns false if memory ran out. */
bool keep_text(Load *l, const Json *list, Text *text);
bool duplicate_piece(Load *l, Text piece); /* reports the error; returns false */
/* allocates t->pieces for this number of ids, for the added tokens, and for 16 special tokens that are added later */
bool pieces_new(Load *l, size_t ids);
extern const StageKind normalizer_bert, pre_tokenizer_bert, decoder_wordpiece; /* the stages of a vocab.txt */
extern const struct DecoderWordPiece decoder_wordpiece_default;
extern const ModelKind model_wordpiece;

/* Reads the "behavior" of a pre-tokeniser. */
bool read_split_rule(Load *l, const Json *j, const char *name, SplitRule *rule);

static inline bool is_absent(const Json *j)
{
    return !j || j->type == JSON_NULL;
}

/* ---- post_processors.c ----------------------------------------------------------------------- */

typedef struct TemplatePart {
    int text;           /* 0 or 1: the tokens of text A or B; -1: special tokens */
    int32_t type;       /* type id of these tokens */
    const int32_t *ids; /* ids of special tokens */
    size_t count;
} TemplatePart;

typedef struct Template {
    const TemplatePart *parts;
    size_t count;
    size_t special; /* number of special tokens in the template */
} Template;
/* Makes the template [first] A [last] for one text, and [first] A [last] B [last] for two. Between A and B,
 * the token `last` is written `between` times (BERT: 1, RoBERTa: 2). B and the token after B have the type id
 * second_type, all others 0. first -1: no token before A. */
bool template_around(Load *l, int32_t first, int32_t last, size_t between, int32_t second_type);
/* Makes [first] A [last] for one text, and [first] A [last] [first] B [last] for two, with type ids 0 and 1. An id of
 * -1: no such token. */
bool template_ends(Load *l, int32_t first, int32_t last);
bool template_default(Load *l); /* one text: A; two texts: A B */
bool template_finish(Load *l);  /* checks the ids; sets t->before and t->after from t->one */
/* Reads the sections "truncation" and "padding" of tokenizer.json; either may be null. Sets t->stated, t->padding and
 * t->from_left. */
bool read_limits(Load *l, const Json *truncation, const Json *padding);
bool read_side(Load *l, const Json *config); /* reads truncation_side of tokenizer_config.json: sets t->from_left */

/* ---- split.c, byte_level.c ------------------------------------------------------------------- */

/* Compiles a regular expression with Oniguruma (regex.c); it is freed with the arena. A malformed expression is an
 * error; so is any expression in a build without Oniguruma. Time: linear in the expression (at most 4096 bytes), except
 * for repetitions that Oniguruma expands. */
typedef struct Regex Regex;
const Regex *regex_new(Load *l, Text text, unsigned line);
/* Calls `match` for each match in order, also for empty ones, until it returns false. SP_UNSUPPORTED: the expression
 * takes too many steps. All calls with the same `time` together may take 4 s, and 2 us per byte of time->bytes. Memory:
 * at most 50 MB. */
typedef bool RegexMatch(void *to, size_t begin, size_t end);
bool regex_each(const Regex *r, Text text, RegexTime *time, RegexMatch *match, void *to, Error *e);
bool regex_split(const Regex *r, bool invert, SplitRule rule, Work *w);

/* Returns the end of a match that begins at `at`; 0: there is none. */
typedef struct Pattern Pattern;
typedef size_t PatternMatch(const Pattern *p, Text text, size_t at);
enum { LOW_KINDS = 0x800 };
struct Pattern {
    PatternMatch *match;
    const Regex *regex; /* used instead of `match` */
    Text literal;
    bool invert; /* the text between matches counts as a match */
    SplitRule rule;
    uint8_t low[LOW_KINDS]; /* unicode_kind of the lowest code points */
};
#define CONTRACTIONS         "'s|'t|'re|'ve|'m|'ll|'d"
#define PATTERN_GPT2         CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define PATTERN_CLIP         CONTRACTIONS "|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"
#define PATTERN_CLIP_SPECIAL "<\\|startoftext\\|>|<\\|endoftext\\|>|" /* prefix of CLIP's expression in some files */
#define PATTERN_QWEN2                                                                                                  \
    "(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"         \
    "\\s+(?!\\S)|\\s+"
/* Makes the hand-written matcher of `text`. `text` must be PATTERN_GPT2, PATTERN_QWEN2, or PATTERN_CLIP with or without
 * PATTERN_CLIP_SPECIAL before it: this is not checked. `invert` is false and `rule` is SPLIT_ISOLATED until the caller
 * changes them. */
Pattern *pattern_new(Load *l, Text text);
bool pattern_split(const Pattern *p, Work *w);
extern const StageKind pre_tokenizer_split, pre_tokenizer_byte_level, decoder_byte_level;
extern const StageKind normalizer_nfc, normalizer_lowercase;
const void *byte_level_new(Load *l, bool prefix_space, bool pattern); /* makes the settings of the pre-tokeniser */
uint32_t byte_level_code(unsigned char byte);                         /* returns the letter that stands for a byte */
/* Sets t->bytes if ByteLevel is the last stage before byte pair encoding. */
void byte_level_prepare(Tokenizer *t);

/* A flag per piece: a word equal to this piece is known to be this one token. Any thread may set it. */
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

/* makes FOLDER/name; NULL if it is missing */
bool load_path(Load *l, const char *folder, const char *name, const char **path);
bool load_source(Load *l, const char *path, Text *source);
const Json *load_file_json(Load *l, const char *path);
bool load_added(Load *l, const Json *list); /* reads a list of added tokens; nothing for null */
/* Finds a special token by name in special_tokens_map.json or tokenizer_config.json, as a string or an object; else
 * uses `fallback`. It becomes an added token. Empty if fallback is NULL and no file names one. */
bool load_special(Load *l, const Json *map, const Json *config, const char *name, const char *fallback, bool lstrip,
                  Text *text);
/* The same from l->map and l->config. `fallback` is not used if one of them has the key, even with null. If the token
 * was already added, its flags stay; but with `again` it is added once more, with the flag `special` only. */
bool load_named(Load *l, const char *name, const char *fallback, bool again, Text *text);
bool load_special_id(Load *l, Text token, int32_t *id); /* id of an added token that is in the vocabulary */
bool add_token(Load *l, Added token, const char *path, uint32_t line);
/* Reads tokenizer_class of tokenizer_config.json, without "Fast" at its end. If there is none, *class is "" and
 * *model_type is model_type of config.json, or ""; otherwise *model_type is "". */
bool load_class(Load *l, Text *class, Text *model_type);
bool load_finish(Load *l); /* numbers the added tokens and checks the templates */
/* Make tokenizers as the classes of transformers do; tokenizer_class or model_type names the class. load_vocab_json:
 * l->path is vocab.json, l->second merges.txt. load_model: l->path is a SentencePiece .model; without a class, as the
 * library sentencepiece reads it. */
bool load_vocab_json(Load *l);
bool load_model(Load *l);
bool load_clip_merges(Load *l); /* bpe_simple_vocab_16e6.txt, also gzipped, as CLIPTokenizer reads it */
bool load_tiktoken(Load *l);    /* token ranks of the first Qwen models */
/* Decodes base64 (RFC 4648, with padding). `out` must have space for from.n / 4 * 3 bytes. Returns false if the text is
 * not base64. */
bool base64_decode(Text from, char *out, size_t *n);

/* ---- models/bpe.c ---------------------------------------------------------------------------- */

enum { MAX_AFFIX = 64 }; /* bytes of a prefix or a suffix */
typedef struct Bpe Bpe;
typedef struct BpeSettings {
    /* unk_token, continuing_subword_prefix, end_of_word_suffix. Without an unknown token, unknown characters are left
     * out */
    Text unknown, prefix, suffix;
    bool fuse;     /* consecutive unknown characters are one token */
    bool fallback; /* an unknown character becomes its bytes, if the vocabulary has <0x00> to <0xFF> */
    bool whole;    /* a word that is a piece is not split (ignore_merges) */
} BpeSettings;
/* Makes a model of t->pieces with space for `merges` merges, and sets t->kind. Then add the merges in order; `path` and
 * `line` are for messages. A row of a file has two tokens, or begins with "#version" and is ignored. */
Bpe *bpe_new(Load *l, const BpeSettings *settings, size_t merges);
bool bpe_merge(Load *l, Bpe *m, Text left, Text right, const char *path, unsigned line);
bool bpe_merge_line(Load *l, Bpe *m, Text row, const char *path, unsigned line);
/* Makes a BPE without a list of merges: every split of a piece into two pieces is a merge, the lowest id first. The
 * time for a piece grows with the square of its length.
 *
 * - own_ranks true: each split has its own rank. The splits of one piece have consecutive ranks, the shortest left part
 *   first (generate_merges of transformers).
 * - own_ranks false: all splits of one piece have the same rank, the id of the piece (tiktoken). */
Bpe *bpe_from_pieces(Load *l, const BpeSettings *settings, bool own_ranks);
extern const ModelKind model_bpe;
bool bpe_has_bytes(const Bpe *m); /* reports whether its pieces contain every letter of ByteLevel */

/* ---- models/wordpiece.c, bert.c -------------------------------------------------------------- */

typedef struct Slot { /* open addressing; id -1: empty. tag: the upper half of the hash */
    uint32_t tag;
    int32_t id;
} Slot;

typedef struct WordPiece {
    const char *path;
    const Text *pieces; /* t->pieces */
    /* pieces by hash; a piece that continues a word is stored a second time, without its prefix */
    Slot *slots;
    uint32_t slot_mask;
    /* seeds of the hashes of a word's beginning and of its continuation. They are derived from an address, so that no
     * file can be prepared to cause collisions */
    uint64_t seed[2];
    size_t longest[2]; /* bytes of the longest piece that begins a word, and that continues one */
    Text prefix;
    int32_t unknown; /* -1: not in the vocabulary */
    size_t max_word; /* characters; at most MAX_WORD */
} WordPiece;
/* Makes t->model from t->pieces and t->ids; the caller sets `unknown`. */
WordPiece *wordpiece_new(Load *l, Text prefix, size_t max_word);
bool wordpiece_word(const WordPiece *m, Text word, TokenIds *out, Arena *a, Error *e);
bool ids_push(TokenIds *out, int32_t id, Arena *a, Error *e);
bool ends_push(TokenEnds *ends, size_t end, Arena *a, Error *e);

typedef struct BertSwitches {
    bool on, clean, chinese, strip, lower; /* on: false if there is no normaliser */
} BertSwitches;

/* Computes BertNormalizer in one pass. If t->bert.on is false, the text is decoded and encoded again, and nothing else
 * is done. `out` must have room for NORMAL_ROOM(text.n) bytes. *n must be 0 at the call; the function sets it to the
 * number of bytes that it wrote. The arena is used only for texts with
 * combining marks in the wrong order. */
#define NORMAL_ROOM(n) (3 * (n) + 16)
bool bert_normalize(const Tokenizer *t, Text text, char *out, size_t *n, Arena *a, Error *e);
/* BertPreTokenizer: returns the next word of a normalised text; false at the end. */
bool bert_next_word(const Tokenizer *t, Text *rest, Text *word);
/* Sets t->fused, which is true if all stages are BERT's; also t->bert and t->ascii, which the single pass uses. */
void bert_prepare(Tokenizer *t);

/* ---- models/word_cache.c --------------------------------------------------------------------- */

typedef struct CachedWord {
    uint32_t hash;
    uint16_t bytes, count;
    int32_t ids[]; /* [count] ids, followed by the bytes of the word */
} CachedWord;
/* Stores the ids of words that occurred: about the first 20,000 words of at most 64 bytes and 16 tokens. Any thread may
 * use it. Memory: 0.9 MB, freed with the arena; most of it is not touched before it is needed. */
typedef struct WordCache WordCache;
WordCache *word_cache_new(Arena *a, Error *e);
/* Returns NULL if the word is not stored; pass *hash to word_cache_add then. If the cache is NULL, nothing is found or
 * stored. */
const CachedWord *word_cache_find(const WordCache *c, Text word, uint64_t *hash);
void word_cache_add(WordCache *c, Text word, uint64_t hash, const int32_t *ids, size_t count);

/* ---- the tokenizer --------------------------------------------------------------------------- */

struct Tokenizer {
    const char *path;
    Text *pieces; /* [ids]; .p is NULL for an id without a piece */
    int64_t ids;
    int64_t max_length;

    AddedSet raw, normal; /* added tokens that are searched in the raw text, and in the normalised text */
    /* all added tokens, distinct, in the order of their first entries; contents as in the files */
    const Added *added;
    size_t added_count;
    const AddedText *shown;   /* their texts for decoding */
    const uint32_t *shown_of; /* [ids] 1 + index into `shown`; 0: the piece is decoded */

    Stages normalizers, pre_tokenizers, decoders;
    Error no_decoder; /* the reason if its decoder is not supported */
    /* The decoder writes a blank for this text, and removes white space at both ends of the result; .n 0: none */
    Text word_end;
    TokenOptions stated;         /* truncation in tokenizer.json */
    const TokenPadding *padding; /* padding in tokenizer.json; NULL: none */
    bool from_left;              /* side of truncation, from any of the files */
    const ModelKind *kind;
    const void *model;
    WordCache *cache; /* used by the model when only ids are requested; NULL: none */

    Template one, two; /* for one text, and for two texts. two.count 0: the file has no template for two texts */
    bool traced;       /* a stage needs positions, even when only ids are requested */
    bool bytes;        /* when only ids are requested, the model gets plain bytes, before ByteLevel */
    /* trims: white space at both ends of a token is not part of its position (RobertaProcessing, ByteLevel).
     * prefix_space: the tokenizer may insert a blank before the text. If the first token begins with exactly one blank,
     * trimming assumes that the tokenizer inserted it. Trimming moves the beginning of a token behind its white space.
     * For an inserted blank it does not, because this blank is no byte of the text. */
    bool trims, prefix_space;
    const int32_t *before, *after; /* special tokens around one text */
    size_t before_count, after_count;

    bool fused; /* bert.c replaces the first stages and the model */
    BertSwitches bert;
    int16_t ascii[128]; /* the normalised character; -1: the character is removed */
    /* flags of the code points below UNICODE_PLANE (unicode.h) */
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

/* ---- sentencepiece/replace.c ----------------------------------------------------------------- */

/* Reports whether a stage is the decoder Strip and removes at most one character, from the beginning. */
bool strip_decoder_leads(const Stage *stage);

/* ---- pipeline.c ------------------------------------------------------------------------------ */

bool max_length_fits(const Tokenizer *t, size_t max_length, size_t special, Error *e);
bool pipeline_normalize(Work *w, Text text, Text *out); /* the normal form of a text, copied into the arena */
/* Append the ids of one text, without special tokens, until `out` has more than `limit` ids. pipeline_fused uses the
 * single pass of bert.c; pipeline_stages runs all stages. */
bool pipeline_fused(const Tokenizer *t, Text text, size_t limit, TokenIds *out, Arena *a, Error *e);
bool pipeline_stages(const Tokenizer *t, Text text, size_t limit, TokenIds *out, Arena *a, Error *e);

#endif
