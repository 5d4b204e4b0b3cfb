/* tokenizers/charsmap.h: the rules of a SentencePiece model's precompiled_charsmap (charsmap.c). */
#ifndef SAPOR_TOKENIZERS_CHARSMAP_H
#define SAPOR_TOKENIZERS_CHARSMAP_H

#include "tokenizers/pipeline.h"

typedef struct Charsmap {
    const unsigned char *trie;
    size_t units;
    Text text; /* the replacements, with a NUL behind each */
} Charsmap;

bool charsmap_read(Charsmap *m, Text bytes, Load *l, unsigned line); /* the bytes are kept */
/* The shortest or the longest rule that p[0, n) begins with: how many bytes it replaces, 0: no rule, and by what. */
size_t charsmap_find(const Charsmap *m, const char *p, size_t n, bool longest, Text *to);

#endif
