/* tokenizers/tokenizers.h: text to token ids exactly as Hugging Face's tokenizers give them, and back. */
#ifndef SAPOR_TOKENIZERS_H
#define SAPOR_TOKENIZERS_H

#include "base/base.h"

/* Immutable after loading; shared by threads. Valid until its arena is freed. */
typedef struct Tokenizer Tokenizer;

/* PATH is a model folder or one of its files. Of a folder the first of these is read: tokenizer.json; vocab.txt;
 * vocab.json with merges.txt; a SentencePiece .model (spiece.model, sentencepiece.bpe.model, tokenizer.model);
 * qwen.tiktoken; CLIP's bpe_simple_vocab_16e6.txt.gz. tokenizer_class of tokenizer_config.json, or else model_type of
 * config.json, says which class of transformers builds the tokenizer. A .model without either has the ids that
 * sentencepiece itself gives, and no special tokens. */
Tokenizer *tokenizer_load(const char *path, Arena *a, Error *e);
/* The same of a folder on disk or in memory; files in memory are kept as long as the tokenizer. */
Tokenizer *tokenizer_load_files(const Files *f, Arena *a, Error *e);
/* Makes texts lower-case before the tokenizer's own normalisers, unless one of them does so: `do_lower_case` of
 * sentence-transformers. Only right after loading. */
bool tokenizer_lower_case(Tokenizer *t, Error *e);
const char *tokenizer_kind(const Tokenizer *t); /* "WordPiece", "Unigram", "BPE" */
int64_t tokenizer_vocabulary(const Tokenizer *t);
int64_t tokenizer_max_length(const Tokenizer *t); /* model_max_length of tokenizer_config.json; 0: none stated */
/* From now on it remembers no words that it met. Before other threads use it; for measurements. */
void tokenizer_no_cache(Tokenizer *t);
Text token_text(const Tokenizer *t, int32_t id);  /* its piece, "" for an unknown id */
int32_t token_id(const Tokenizer *t, Text piece); /* -1 when absent */

/* ---- texts to ids ---------------------------------------------------------------------------- */

typedef struct TokenIds {
    int32_t *ids;
    size_t count, capacity; /* grown by tokenize inside the arena */
    bool truncated;         /* of the last text: it has more tokens than max_length allows */
} TokenIds;
/* Appends the ids of one text, special tokens included, at most max_length of them (0: no limit; truncation keeps the
 * special tokens, and takes away the end of the text, or its beginning: tokenizer_from_left). Invalid UTF-8 is read as
 * U+FFFD, as Python's errors="replace".
 * Memory: up to 3 bytes per byte of text for its normal form, 4 bytes per id (16 while the list grows). Time: linear in
 * the text, with a factor that follows from the longest piece (256 characters at most) and the logarithm of the number
 * of added tokens. Stages other than those of BERT: see tokenize_texts. */
bool tokenize(const Tokenizer *t, Text text, size_t max_length, TokenIds *out, Arena *a, Error *e);

/* Where a token comes from, as Hugging Face's offsets, word_ids, type_ids, sequence_ids and special_tokens_mask. */
typedef struct TokenPlace {
    /* Bytes [begin, end) of its text, as it was given. Hugging Face counts code points: token_code_points. What a
     * normaliser adds has the place of its neighbour: two tokens may have the same place. */
    size_t begin, end;
    int64_t word; /* number of the word, or of the added token, in its text; -1: a special token of the template */
    int32_t type; /* type id */
    uint8_t text; /* 0 or 1; of a special token of the template 0 */
    bool special; /* it is of the template, or padding, not of a text: begin and end are 0 */
    bool padding;
} TokenPlace;

/* Which of two texts loses tokens when both are too long. */
typedef enum TokenCut {
    CUT_LONGEST, /* both end up equally long at most; of one text: that one */
    CUT_FIRST,
    CUT_SECOND
} TokenCut;

typedef struct TokenOptions {
    size_t max_length; /* 0: no limit; special tokens included */
    TokenCut cut;
    bool from_left; /* a text that is too long loses its beginning */
    bool bare;      /* no special tokens */
    bool ids_only;  /* `places` stays NULL */
} TokenOptions;

typedef struct TokenList {
    int32_t *ids;       /* [count] */
    TokenPlace *places; /* [count] */
    size_t count;
    size_t total; /* how many there are without a limit */
    bool truncated;
} TokenList;
/* One text, or two (a pair, n is 2) joined by the template of the tokenizer. *out is filled anew, in the arena. Fails
 * with SP_USAGE where max_length is shorter than the special tokens, or where CUT_FIRST or CUT_SECOND would leave
 * nothing of its text, and with SP_UNSUPPORTED where the tokenizer has no template for two texts, or for a text of
 * 4 GB.
 * Memory: the normal form twice, each with 5 bytes per byte, and it may be 16 times as long as the text (the error
 * SP_UNSUPPORTED says so where stages make more of it); 12 bytes for each word, up to four times while they grow; 72
 * bytes per token. With max_length, and unless from_left, no more than that many tokens of each text are kept. Time:
 * linear in the text, times the number of stages (32 of a kind at most). Unigram: 16 bytes more for a byte of the
 * longest word, and time for a byte of it with the longest piece (1024 bytes at most). BPE of a .model: 68 bytes more,
 * and time n log n. Regular expressions: 50 MB more, and about 4 s and 2 us for a byte of the text at most (the error
 * SP_UNSUPPORTED names the one that takes longer). */
bool tokenize_texts(const Tokenizer *t, const Text *texts, size_t n, const TokenOptions *options, TokenList *out,
                    Arena *a, Error *e);
/* Makes begin and end of the places in text 0 or 1 numbers of code points, as Hugging Face's Python gives them; what is
 * not UTF-8 counts as tokenize reads it. Memory: 8 bytes for a byte of text. */
bool token_code_points(TokenList *list, int number, Text text, Arena *a, Error *e);

/* ---- truncation and padding of tokenizer.json ------------------------------------------------ */

/* Hugging Face's Tokenizer.from_file cuts and pads every text as these two sections of the file say. transformers and
 * sentence-transformers do not: they cut at the length that the call or another file of the folder states, and pad a
 * batch to its longest text. tokenize and tokenize_texts do as transformers. What from_file gives:
 *
 *     TokenOptions o = tokenizer_truncation(t);
 *     for (size_t i = 0; i < n; i++)
 *         if (!tokenize_texts(t, &texts[i], 1, &o, &lists[i], a, e)) ...
 *     const TokenPadding *p = tokenizer_padding(t);
 *     if (p && !pad_tokens(lists, n, p, a, e)) ... */
typedef struct TokenPadding {
    size_t length;   /* that lists get; 0: that of the longest */
    size_t multiple; /* the length is rounded up to a multiple of it; 0: it is not */
    int32_t id, type;
    bool left; /* in front of the tokens */
} TokenPadding;
TokenOptions tokenizer_truncation(const Tokenizer *t);     /* max_length 0: the file states none */
const TokenPadding *tokenizer_padding(const Tokenizer *t); /* NULL: the file states none */
/* Whether transformers takes away the beginning of a text that is too long: truncation_side of tokenizer_config.json,
 * else the side in tokenizer.json. tokenize does so too. */
bool tokenizer_from_left(const Tokenizer *t);
/* Lists [n] of a batch; longer ones stay. Memory: 52 bytes for a token of a list that is padded. */
bool pad_tokens(TokenList *lists, size_t n, const TokenPadding *padding, Arena *a, Error *e);

/* ---- ids to a text --------------------------------------------------------------------------- */

typedef struct DecodeOptions {
    bool keep_special; /* special tokens too (skip_special_tokens=False); unknown ids are always left out */
    bool clean_up;     /* transformers' clean_up_tokenization_spaces, of the whole text: " ." to "." and the like */
} DecodeOptions;
/* The text of ids, in the arena, by the decoder of the tokenizer. Not the text that they came from: a normaliser loses
 * some of it. SP_UNSUPPORTED: its decoder is not supported, makes a piece more than 16 times as long, or has a regular
 * expression that takes too long. Time and memory: linear in the pieces of the ids. */
bool detokenize(const Tokenizer *t, const int32_t *ids, size_t count, const DecodeOptions *options, Text *out, Arena *a,
                Error *e);

typedef struct RegexTime { /* that all regular expressions take for a text */
    size_t bytes;          /* of the text */
    size_t searches;
    double seconds; /* of the processor */
} RegexTime;

/* The same id by id, for text that is generated: the parts together are what detokenize gives (without clean_up, and
 * of CLIPTokenizer with "</w>" at the ends of words).
 *
 *     TokenStream s = {.tokenizer = t};
 *     while (...)
 *         if (token_stream_next(&s, id, &part, a, e)) ...
 *     if (token_stream_end(&s, &part, a, e)) ... */
typedef struct TokenStream {
    const Tokenizer *tokenizer;
    bool keep_special;
    uint32_t begun; /* the rest: the stream's own. A bit for each decoder that had a token */
    bool any;       /* there was a token */
    char *p, *token, *held;
    size_t room, token_room, held_room;
    size_t held_count; /* bytes of byte tokens, or of a character, that wait for the next tokens */
    RegexTime regex;
} TokenStream;
/* What this id adds to the text, maybe nothing; valid until the next call. All calls take the same arena. */
bool token_stream_next(TokenStream *s, int32_t id, Text *part, Arena *a, Error *e);
/* What the text ends with: what waited for more tokens. U+FFFD where the tokens end inside a character. */
bool token_stream_end(TokenStream *s, Text *part, Arena *a, Error *e);

#endif
