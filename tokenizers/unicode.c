/* tokenizers/unicode.c: properties of code points as tokenizers need them. */
#include "tokenizers/unicode.h"

#include <utf8proc.h>

#include "tokenizers/unicode_tables.h"

/* The last entry whose `from` is not above c; entries begin at or below c. */
#define FIND(table, c, at)                                                                                             \
    size_t at = 0, above_##at = COUNT(table);                                                                          \
    while (above_##at - at > 1) {                                                                                      \
        size_t middle = (at + above_##at) / 2;                                                                         \
        if (table[middle].from <= (c))                                                                                 \
            at = middle;                                                                                               \
        else                                                                                                           \
            above_##at = middle;                                                                                       \
    }

static bool is_upper(uint32_t c, size_t i)
{
    return c >= LOWER[i].from && c <= LOWER[i].to && (c - LOWER[i].from) % (uint32_t)LOWER[i].step == 0;
}

uint8_t unicode_flags(uint32_t c)
{
    FIND(FLAGS, c, f);
    FIND(LOWER, c, l);
    FIND(CHINESE, c, h);
    uint8_t flags = FLAGS[f].flags;
    if (is_upper(c, l) || c == 0x130)
        flags |= U_UPPER;
    if (c >= CHINESE[h].from && c <= CHINESE[h].to)
        flags |= U_CHINESE;
    return flags;
}

void unicode_plane(uint8_t flags[UNICODE_PLANE])
{
    for (size_t i = 0; i < COUNT(FLAGS) && FLAGS[i].from < UNICODE_PLANE; i++) {
        uint32_t end = i + 1 < COUNT(FLAGS) ? MIN(FLAGS[i + 1].from, (uint32_t)UNICODE_PLANE) : UNICODE_PLANE;
        memset(flags + FLAGS[i].from, FLAGS[i].flags, end - FLAGS[i].from);
    }
    for (size_t i = 0; i < COUNT(LOWER) && LOWER[i].to < UNICODE_PLANE; i++)
        for (uint32_t c = LOWER[i].from; c <= LOWER[i].to; c += (uint32_t)LOWER[i].step)
            flags[c] |= U_UPPER;
    flags[0x130] |= U_UPPER;
    for (size_t i = 0; i < COUNT(CHINESE) && CHINESE[i].to < UNICODE_PLANE; i++)
        for (uint32_t c = CHINESE[i].from; c <= CHINESE[i].to; c++)
            flags[c] |= U_CHINESE;
}

uint32_t unicode_lower(uint32_t c)
{
    if (c == 0x130)
        return 'i';
    FIND(LOWER, c, l);
    return is_upper(c, l) ? (uint32_t)((int32_t)c + LOWER[l].delta) : c;
}

bool unicode_is_word(uint32_t c)
{
    size_t low = 0, high = COUNT(WORD); /* how many bounds are at or below c */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (WORD[middle] <= c)
            low = middle + 1;
        else
            high = middle;
    }
    return low % 2;
}

int unicode_decompose(uint32_t c, uint32_t out[4])
{
    utf8proc_int32_t parts[8];
    int boundary = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)c, parts, 8, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
    if (n < 1 || n > 4) {
        out[0] = c;
        return 1;
    }
    for (int i = 0; i < n; i++)
        out[i] = (uint32_t)parts[i];
    return (int)n;
}

int unicode_class(uint32_t c)
{
    return utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}
