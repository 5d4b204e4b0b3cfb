/* tokenizers/tokenizers.h: text to token ids exactly as Hugging Face's tokenizers give them. */
#ifndef SAPOR_TOKENIZERS_H
#define SAPOR_TOKENIZERS_H

#include "base/base.h"

/* Immutable after loading; shared by threads. Valid until its arena is freed. */
typedef struct Tokenizer Tokenizer;

/* PATH is a model folder (tokenizer.json is preferred, then vocab.txt with tokenizer_config.json), or one of those
 * files. */
Tokenizer *tokenizer_load(const char *path, Arena *a, Error *e);
const char *tokenizer_kind(const Tokenizer *t); /* "WordPiece" */
int64_t tokenizer_vocabulary(const Tokenizer *t);
int64_t tokenizer_max_length(const Tokenizer *t); /* model_max_length of tokenizer_config.json; 0: none stated */

typedef struct TokenIds {
    int32_t *ids;
    size_t count, capacity; /* grown by tokenize inside the arena */
} TokenIds;
/* Appends the ids of one text, special tokens included, at most max_length of them (0: no limit; truncation keeps the
 * closing special token, as Hugging Face). Invalid UTF-8 is read as U+FFFD, one for each bad byte.
 * Memory: up to 3 bytes per byte of text for its normal form, 4 bytes per id (16 while the list grows). Time: linear in
 * the text, with a factor that follows from the longest piece (256 characters at most) and the logarithm of the number
 * of added tokens. */
bool tokenize(const Tokenizer *t, Text text, size_t max_length, TokenIds *out, Arena *a, Error *e);
Text token_text(const Tokenizer *t, int32_t id);  /* its piece, "" for an unknown id */
int32_t token_id(const Tokenizer *t, Text piece); /* -1 when absent */

#endif
