/* tokenizers/unicode.h: what the pinned Hugging Face tokenizers think of a code point (unicode.c). */
#ifndef SAPOR_TOKENIZERS_UNICODE_H
#define SAPOR_TOKENIZERS_UNICODE_H

#include "base/base.h"

enum { U_DROP = 1, U_SPACE = 2, U_CLEAN = 4, U_PUNCT = 8, U_MARK = 16, U_KNOWN = 32, U_UPPER = 64, U_CHINESE = 128 };
enum { UNICODE_PLANE = 0x10000 };
void unicode_plane(uint8_t flags[UNICODE_PLANE]); /* the flags of the first plane, for look-up at once */
uint8_t unicode_flags(uint32_t c);                /* the same by search, for any code point */
uint32_t unicode_lower(uint32_t c);               /* of one with U_UPPER; U+0130 gives 'i', the caller adds U+0307 */
bool unicode_is_word(uint32_t c);                 /* \w */
bool unicode_is_mark(uint32_t c);                 /* combining marks of any kind; U_MARK are those without width */
/* Grapheme clusters: it belongs to the one before it; the next one belongs to its own; it is one alone. */
enum { CLUSTER_JOINS = 1, CLUSTER_PREPENDS = 2, CLUSTER_CONTROL = 4 };
int unicode_cluster(uint32_t c);
bool unicode_is_number(uint32_t c); /* of any kind: also Roman numerals and fractions */

/* What the regular expressions of tokenizers distinguish: \p{L}, \p{N}, \s and the rest. */
typedef enum CodeKind { CODE_OTHER, CODE_LETTER, CODE_NUMBER, CODE_SPACE } CodeKind;
CodeKind unicode_kind(uint32_t c);

/* Normal forms of the Unicode version that the fast tokenizers have. */
enum { UNICODE_PARTS = 18 };
int unicode_decompose(uint32_t c, bool compatible, uint32_t out[UNICODE_PARTS]); /* how many parts; 1: itself, or one */
int unicode_class(uint32_t c);                                                   /* combining class */
uint32_t unicode_compose(uint32_t a, uint32_t b); /* the character that two make; 0: none */

/* Of bytes that are not UTF-8, n > 0: how many begin a character (Unicode 3.9, maximal subpart), at least 1; *open: it
 * may go on behind them. */
size_t unicode_part(const char *p, size_t n, bool *open);

/* One code point. What is not UTF-8 reads as U+FFFD, one for each part of a character, as Python's errors="replace".
 * n > 0. */
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

/* The bytes of the character, or of the part of one, that ends p[0, n), n > 0. */
static inline size_t code_length_before(const char *p, size_t n)
{
    size_t back = 1, length;
    while (back < 4 && back < n && ((unsigned char)p[n - back] & 0xc0) == 0x80)
        back++;
    next_code(p + n - back, back, &length);
    return length == back ? back : 1;
}

#endif
