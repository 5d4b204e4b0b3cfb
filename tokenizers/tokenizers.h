/* tokenizers/tokenizers.h: text to token ids, exactly as Hugging Face's tokenizers, and ids to text. */
#ifndef SAPOR_TOKENIZERS_H
#define SAPOR_TOKENIZERS_H

#include "base/base.h"

/* Immutable after loading, so threads may share it. Valid until its arena is freed. */
typedef struct Tokenizer Tokenizer;

/* Loads a tokenizer. `path` is a model folder or one of its files. In a folder, the first of these is read:
 *
 * - tokenizer.json;
 * - vocab.txt;
 * - vocab.json with merges.txt;
 * - a SentencePiece .model (spiece.model, sentencepiece.bpe.model, tokenizer.model);
 * - qwen.tiktoken;
 * - CLIP's bpe_simple_vocab_16e6.txt.gz.
 *
 * The class of transformers that makes the tokenizer is tokenizer_class of tokenizer_config.json, else it follows from
 * model_type of config.json. A .model without either gives the ids of the library sentencepiece, and no special tokens.
 */
Tokenizer *tokenizer_load(const char *path, Arena *a, Error *e);
/* The same for a folder on disk or in memory. Files in memory must stay valid as long as the tokenizer. */
Tokenizer *tokenizer_load_files(const Files *f, Arena *a, Error *e);
/* Makes texts lower-case before the tokenizer's normalisers, unless the normaliser Lowercase is one of them:
 * `do_lower_case` of sentence-transformers. Call it only directly after loading. */
bool tokenizer_lower_case(Tokenizer *t, Error *e);
const char *tokenizer_kind(const Tokenizer *t); /* "WordPiece", "Unigram", "BPE" */
int64_t tokenizer_vocabulary(const Tokenizer *t);
int64_t tokenizer_max_length(const Tokenizer *t); /* model_max_length of tokenizer_config.json; 0: not stated */
/* Turns the cache of words off, for measurements. Call it before other threads use the tokenizer. */
void tokenizer_no_cache(Tokenizer *t);
Text token_text(const Tokenizer *t, int32_t id);  /* piece of an id; "" for an unknown id */
int32_t token_id(const Tokenizer *t, Text piece); /* -1 if there is no such piece */

/* ---- texts to ids ---------------------------------------------------------------------------- */

typedef struct TokenIds {
    int32_t *ids;
    size_t count, capacity; /* `ids` [capacity]: [count] are used; grows in the arena */
    bool truncated;         /* the last text has more tokens than max_length allows */
} TokenIds;
/* Appends the ids of one text with special tokens, at most max_length ids (0: no limit). Truncation keeps the special
 * tokens, and removes the end of the text, or its beginning (tokenizer_from_left). Invalid UTF-8 is read as U+FFFD, as
 * with Python's errors="replace".
 *
 * Memory: up to 3 bytes per byte of text for its normal form, and 4 bytes per id (16 while the list grows). Time:
 * linear in the text; the factor depends on the longest piece (at most 256 characters) and on the logarithm of the
 * number of added tokens. These limits are for BERT's stages; for others see tokenize_texts. */
bool tokenize(const Tokenizer *t, Text text, size_t max_length, TokenIds *out, Arena *a, Error *e);

/* The source of a token, as Hugging Face's offsets, word_ids, type_ids, sequence_ids and special_tokens_mask. */
typedef struct TokenPlace {
    /* Bytes [begin, end) of the original text. Hugging Face counts code points: see token_code_points. Text that a
     * normaliser inserts has the position of its neighbour, so two tokens may have the same position. */
    size_t begin, end;
    int64_t word; /* number of the word or of the added token in its text; -1: a special token of the template */
    int32_t type; /* type id */
    uint8_t text; /* 0 or 1; 0 for a special token of the template */
    bool special; /* true: it belongs to the template or is padding; begin and end are 0 */
    bool padding;
} TokenPlace;

/* Which of two texts is shortened if both together are too long. */
typedef enum TokenCut {
    CUT_LONGEST, /* the longer one; both, once they have the same length; or the single text */
    CUT_FIRST,
    CUT_SECOND
} TokenCut;

typedef struct TokenOptions {
    size_t max_length; /* including special tokens; 0: no limit */
    TokenCut cut;
    bool from_left; /* the beginning of a text that is too long is removed */
    bool bare;      /* without special tokens */
    bool ids_only;  /* `places` stays NULL */
} TokenOptions;

typedef struct TokenList {
    int32_t *ids;       /* [count] */
    TokenPlace *places; /* [count] */
    size_t count;
    size_t total; /* number of tokens without a limit, including special tokens */
    bool truncated;
} TokenList;
/* Tokenizes one text, or two (a pair, n is 2) that are joined by the tokenizer's template. *out is overwritten; its
 * lists are in the arena.
 *
 * Errors: SP_USAGE if max_length is below the number of special tokens, or if CUT_FIRST or CUT_SECOND would remove its
 * text completely. SP_UNSUPPORTED if the tokenizer has no template for two texts, or a text has 4 GB.
 *
 * Time: linear in the text, times the number of stages (at most 32 of a kind). Memory:
 *
 * - Two copies of the normal form, with 5 bytes per byte of it. It has at most 16 n + 4096 bytes if the text has n
 *   bytes (SP_UNSUPPORTED if stages make more).
 * - 12 bytes per word. The list of words needs up to four times that while it grows.
 * - 36 bytes per token in the results, and 40 bytes per token in lists that need up to four times that while they grow.
 *   With max_length, unless from_left, at most max_length tokens per text are kept.
 *
 * Some parts of a tokenizer need more:
 *
 * - Unigram: 16 bytes per byte of the longest word; the time per byte depends on the longest piece (at most 1024
 *   bytes).
 * - BPE of a .model: 68 bytes per byte of the longest word; time n log n.
 * - Regular expressions: 50 MB; at most about 4 s and 2 us per byte of the text (SP_UNSUPPORTED names an expression
 *   that takes longer). */
bool tokenize_texts(const Tokenizer *t, const Text *texts, size_t n, const TokenOptions *options, TokenList *out,
                    Arena *a, Error *e);
/* Converts begin and end of the positions in text 0 or 1 from bytes to code points, as in Hugging Face's Python.
 * Invalid UTF-8 is counted as tokenize reads it. Memory: 8 bytes per byte of text. */
bool token_code_points(TokenList *list, int number, Text text, Arena *a, Error *e);

/* ---- truncation and padding of tokenizer.json ------------------------------------------------ */

/* Hugging Face's Tokenizer.from_file truncates and pads every text as these two sections of the file say. transformers
 * and sentence-transformers do not: they truncate at the length given by the call or by another file of the folder, and
 * pad a batch to its longest text. tokenize and tokenize_texts behave as transformers. To get the results of from_file:
 *
 *     TokenOptions o = tokenizer_truncation(t);
 *     for (size_t i = 0; i < n; i++)
 *         if (!tokenize_texts(t, &texts[i], 1, &o, &lists[i], a, e)) ...
 *     const TokenPadding *p = tokenizer_padding(t);
 *     if (p && !pad_tokens(lists, n, p, a, e)) ... */
typedef struct TokenPadding {
    size_t length;   /* length of the padded lists; 0: that of the longest list */
    size_t multiple; /* the length is rounded up to a multiple of this; 0: no rounding */
    int32_t id, type;
    bool left; /* padding goes before the tokens */
} TokenPadding;
TokenOptions tokenizer_truncation(const Tokenizer *t);     /* max_length 0: not stated in the file */
const TokenPadding *tokenizer_padding(const Tokenizer *t); /* NULL: not stated in the file */
/* Reports whether transformers removes the beginning of a text that is too long: truncation_side of
 * tokenizer_config.json, else the side in tokenizer.json. tokenize follows it too. */
bool tokenizer_from_left(const Tokenizer *t);
/* Pads lists [n] of a batch; longer lists do not change. Memory: 36 bytes per token of a padded list. */
bool pad_tokens(TokenList *lists, size_t n, const TokenPadding *padding, Arena *a, Error *e);

/* ---- ids to text ----------------------------------------------------------------------------- */

typedef struct DecodeOptions {
    bool keep_special; /* keep special tokens (skip_special_tokens=False); unknown ids are always left out */
    bool clean_up;     /* transformers' clean_up_tokenization_spaces for the whole text: " ." becomes ".", and so on */
} DecodeOptions;
/* Converts ids to text, in the arena, with the decoder of the tokenizer. This is not always the original text, because
 * a normaliser changes it. SP_UNSUPPORTED: the decoder is not supported, makes a piece more than 16 times as long, or
 * has a regular expression that takes too long. Time and memory: linear in the pieces of the ids. */
bool detokenize(const Tokenizer *t, const int32_t *ids, size_t count, const DecodeOptions *options, Text *out, Arena *a,
                Error *e);

typedef struct RegexTime { /* the time that all regular expressions have used for a text; it is limited */
    size_t bytes;          /* bytes of the text */
    size_t searches;
    double seconds; /* processor time so far */
} RegexTime;

/* Like detokenize, but for one id after the other, for text that is being generated. The parts together are equal to
 * the result of detokenize without clean_up. Exception: for CLIPTokenizer, detokenize replaces each "</w>" (the end of
 * a word) by a blank, but the parts keep it.
 *
 *     TokenStream s = {.tokenizer = t};
 *     while (...)
 *         if (token_stream_next(&s, id, &part, a, e)) ...
 *     if (token_stream_end(&s, &part, a, e)) ... */
typedef struct TokenStream {
    const Tokenizer *tokenizer;
    bool keep_special;
    uint32_t begun; /* private from here on. Bit i: decoder i has processed its first token */
    bool any;       /* a token was processed */
    char *p, *token, *held;
    size_t room, token_room, held_room;
    /* bytes in `held`, which wait for the next token: byte tokens, an incomplete character, or a whole token if the
     * decoder treats the last token differently */
    size_t held_count;
    RegexTime regex;
} TokenStream;
/* Returns the text that this id adds, which may be empty; valid until the next call. All calls must use the same arena.
 */
bool token_stream_next(TokenStream *s, int32_t id, Text *part, Arena *a, Error *e);
/* Returns the end of the text: bytes that were kept for later tokens. U+FFFD if the tokens end inside a character. */
bool token_stream_end(TokenStream *s, Text *part, Arena *a, Error *e);

#endif
