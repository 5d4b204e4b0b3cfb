/* tokenizers/unicode.h: properties of code points, as in the pinned version of Hugging Face's tokenizers (unicode.c).
 */
#ifndef SAPOR_TOKENIZERS_UNICODE_H
#define SAPOR_TOKENIZERS_UNICODE_H

#include "base/base.h"

/* Flags of a code point, with the options of BertNormalizer that use them:
 * - U_DROP: removed by clean_text; U_CLEAN: replaced by a blank by clean_text;
 * - U_SPACE: white space; U_PUNCT: punctuation, which is a word of its own;
 * - U_MARK: a non-spacing mark, removed by strip_accents;
 * - U_NFD: the normal form NFD may replace or reorder the code point;
 * - U_UPPER: has a lower case; U_CHINESE: gets a blank on both sides (handle_chinese_chars). */
enum { U_DROP = 1, U_SPACE = 2, U_CLEAN = 4, U_PUNCT = 8, U_MARK = 16, U_NFD = 32, U_UPPER = 64, U_CHINESE = 128 };
enum { UNICODE_PLANE = 0x10000 };
/* copies the flags of the first plane into a table, for fast access */
void unicode_plane(uint8_t flags[UNICODE_PLANE]);
uint8_t unicode_flags(uint32_t c); /* the same by search, for any code point */
/* returns the lower case, or c itself if it has none; for U+0130 'i', and the caller adds U+0307 */
uint32_t unicode_lower(uint32_t c);
bool unicode_is_word(uint32_t c); /* \w */
bool unicode_is_mark(uint32_t c); /* combining marks of any kind; U_MARK: non-spacing marks only */
/* Grapheme clusters. JOINS: the code point belongs to the cluster before it. PREPENDS: the next code point belongs to
 * its cluster. CONTROL: it is a cluster of its own. */
enum { CLUSTER_JOINS = 1, CLUSTER_PREPENDS = 2, CLUSTER_CONTROL = 4 };
int unicode_cluster(uint32_t c);
bool unicode_is_number(uint32_t c); /* numbers of any kind, including Roman numerals and fractions */

/* The classes that regular expressions of tokenizers distinguish: \p{L}, \p{N}, \s and the rest. */
typedef enum CodeKind { CODE_OTHER, CODE_LETTER, CODE_NUMBER, CODE_SPACE } CodeKind;
CodeKind unicode_kind(uint32_t c);

/* Normal forms, for the Unicode version of the fast tokenizers. */
enum { UNICODE_PARTS = 18 };
/* returns the number of parts; 1: the code point itself, or a single replacement */
int unicode_decompose(uint32_t c, bool compatible, uint32_t out[UNICODE_PARTS]);
int unicode_class(uint32_t c);                    /* combining class */
uint32_t unicode_compose(uint32_t a, uint32_t b); /* the composition of two characters; 0: none */

/* For bytes that are not UTF-8, n > 0: returns the length of the incomplete character at p (Unicode 3.9, maximal
 * subpart), at least 1. *open: later bytes may complete it. */
size_t unicode_part(const char *p, size_t n, bool *open);

/* Reads one code point, n > 0. Invalid UTF-8 gives U+FFFD for each part of a character, as with Python's
 * errors="replace". */
static inline uint32_t next_code(const char *p, size_t n, size_t *length)
{
    uint32_t c;
    *length = utf8_decode(p, n, &c);
    if (*length)
        return c;
    bool open;
    *length = unicode_part(p, n, &open);
    return 0xfffd;
}

/* Returns the number of bytes of the character, or of the part of one, at the end of p[0, n), n > 0. */
static inline size_t code_length_before(const char *p, size_t n)
{
    size_t back = 1, length;
    while (back < 4 && back < n && ((unsigned char)p[n - back] & 0xc0) == 0x80)
        back++;
    next_code(p + n - back, back, &length);
    return length == back ? back : 1;
}

#endif
