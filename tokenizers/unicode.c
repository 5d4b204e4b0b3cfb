/* tokenizers/unicode.c: the properties of code points that tokenizers use. */
#include "tokenizers/unicode.h"

#include "tokenizers/unicode_tables.h"

/* Declares `at`: the index of the last entry whose `from` is at most c. The table is sorted; its first `from` is at
 * most c. */
#define FIND(table, c, at)                                                                                             \
    size_t at = 0, above_##at = COUNT(table);                                                                          \
    while (above_##at - at > 1) {                                                                                      \
        size_t middle = (at + above_##at) / 2;                                                                         \
        if (table[middle].from <= (c))                                                                                 \
            at = middle;                                                                                               \
        else                                                                                                           \
            above_##at = middle;                                                                                       \
    }

/* Returns the value of the last entry whose code point is at most c. The entries are code point << 8 | value. */
static uint8_t step_at(const uint32_t *table, size_t count, uint32_t c)
{
    size_t at = 0, above = count;
    while (above - at > 1) {
        size_t middle = (at + above) / 2;
        if (table[middle] >> 8 <= c)
            at = middle;
        else
            above = middle;
    }
    return (uint8_t)table[at];
}

/* Reports a property of c. The table has the sorted code points at which the property begins and ends to hold, by
 * turns. */
static bool holds(const uint32_t *table, size_t count, uint32_t c)
{
    size_t low = 0, high = count; /* number of bounds that are at most c */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table[middle] <= c)
            low = middle + 1;
        else
            high = middle;
    }
    return low % 2;
}

static bool is_upper(uint32_t c, size_t i)
{
    return c >= LOWER[i].from && c <= LOWER[i].to && (c - LOWER[i].from) % (uint32_t)LOWER[i].step == 0;
}

uint8_t unicode_flags(uint32_t c)
{
    FIND(LOWER, c, l);
    FIND(CHINESE, c, h);
    uint8_t flags = step_at(FLAGS, COUNT(FLAGS), c);
    if (is_upper(c, l) || c == 0x130)
        flags |= U_UPPER;
    if (c >= CHINESE[h].from && c <= CHINESE[h].to)
        flags |= U_CHINESE;
    return flags;
}

void unicode_plane(uint8_t flags[UNICODE_PLANE])
{
    for (size_t i = 0; i < COUNT(FLAGS); i++) {
        uint32_t from = MIN(FLAGS[i] >> 8, (uint32_t)UNICODE_PLANE),
                 end = i + 1 < COUNT(FLAGS) ? MIN(FLAGS[i + 1] >> 8, (uint32_t)UNICODE_PLANE) : UNICODE_PLANE;
        memset(flags + from, (uint8_t)FLAGS[i], end - from);
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
    return holds(WORD, COUNT(WORD), c);
}

bool unicode_is_mark(uint32_t c)
{
    return holds(MARK, COUNT(MARK), c);
}

int unicode_cluster(uint32_t c)
{
    return step_at(CLUSTER, COUNT(CLUSTER), c) ^ (unicode_is_mark(c) ? CLUSTER_JOINS : 0);
}

bool unicode_is_number(uint32_t c)
{
    return holds(NUMBER, COUNT(NUMBER), c);
}

CodeKind unicode_kind(uint32_t c)
{
    bool number = unicode_is_number(c), letter = !number && unicode_is_word(c) && !unicode_is_mark(c);
    if (letter != holds(LETTER_NOT, COUNT(LETTER_NOT), c))
        return CODE_LETTER;
    if (number != holds(NUMBER_NOT, COUNT(NUMBER_NOT), c))
        return CODE_NUMBER;
    return step_at(FLAGS, COUNT(FLAGS), c) & U_SPACE ? CODE_SPACE : CODE_OTHER;
}

size_t unicode_part(const char *p, size_t n, bool *open)
{
    unsigned char b = (unsigned char)p[0];
    size_t need = b >= 0xc2 && b < 0xe0 ? 2 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xf0 && b < 0xf5 ? 4 : 1, i = 1;
    unsigned char low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80, high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    for (; i < need && i < n && (unsigned char)p[i] >= low && (unsigned char)p[i] <= high; i++) {
        low = 0x80;
        high = 0xbf;
    }
    *open = i == n && i < need;
    return i;
}

/* ---- normal forms ---------------------------------------------------------------------------- */

/* Hangul syllables are computed (Unicode 3.12): 19 leads, 21 vowels, 27 tails or none. */
enum { SYLLABLE = 0xac00, LEAD = 0x1100, VOWEL = 0x1161, TAIL = 0x11a7, LEADS = 19, VOWELS = 21, TAILS = 28 };
enum { SYLLABLES = LEADS * VOWELS * TAILS };

static int decompose_once(uint32_t c, bool compatible, uint32_t *out)
{
    *out = c;
    if (c - SYLLABLE < SYLLABLES) {
        uint32_t i = c - SYLLABLE;
        out[0] = LEAD + i / TAILS / VOWELS;
        out[1] = VOWEL + i / TAILS % VOWELS;
        out[2] = TAIL + i % TAILS;
        return i % TAILS ? 3 : 2;
    }
    if (c >> 16 >= COUNT(FORM_PLANE) - 1)
        return 1;
    size_t at = FORM_PLANE[c >> 16], end = FORM_PLANE[(c >> 16) + 1], above = end;
    while (above - at > 1) {
        size_t middle = (at + above) / 2;
        if (FORM[middle].from <= (uint16_t)c)
            at = middle;
        else
            above = middle;
    }
    if (at == end)
        return 1;
    /* i is very large if c is below `from`, because it is unsigned */
    uint32_t i = (uint16_t)c - FORM[at].from, units = FORM[at].units & 0x7f;
    if (i >= FORM[at].count || (FORM[at].units & 0x80 && !compatible))
        return 1;
    const uint16_t *unit = &FORM_UNITS[FORM[at].at + i * units], *stop = unit + units;
    int n = 0;
    while (unit < stop) {
        uint32_t u = *unit++;
        out[n++] = u - 0xd800 < 0x400 ? 0x10000 + ((u - 0xd800) << 10) + (*unit++ - 0xdc00u) : u;
    }
    return n;
}

int unicode_decompose(uint32_t c, bool compatible, uint32_t out[UNICODE_PARTS])
{
    uint32_t parts[UNICODE_PARTS];
    if (!compatible)
        return decompose_once(c, false, out);
    int n = decompose_once(c, true, parts), count = 0;
    for (int i = 0; i < n; i++) /* the parts of canonical forms may have compatibility forms */
        count += decompose_once(parts[i], compatible, out + count);
    return count;
}

int unicode_class(uint32_t c)
{
    return step_at(CLASS, COUNT(CLASS), c);
}

uint32_t unicode_compose(uint32_t a, uint32_t b)
{
    /* Hangul: a leading consonant and a vowel, or a syllable of these two and a final consonant */
    if (a - LEAD < LEADS && b - VOWEL < VOWELS)
        return SYLLABLE + ((a - LEAD) * VOWELS + b - VOWEL) * TAILS;
    if (a - SYLLABLE < SYLLABLES && (a - SYLLABLE) % TAILS == 0 && b - TAIL - 1 < TAILS - 1)
        return a + b - TAIL;
    if (b < 0x300) /* no combining mark is below U+0300 */
        return 0;
    for (size_t i = 0; a >= UNICODE_PLANE && i < COUNT(PAIR_FAR); i++)
        if (PAIR_FAR[i][0] == a && PAIR_FAR[i][1] == b)
            return PAIR_FAR[i][2];
    if (a >= UNICODE_PLANE || b >= UNICODE_PLANE)
        return 0;
    size_t low = 0, high = COUNT(PAIR);
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint32_t first = PAIR[middle][0], second = PAIR[middle][1];
        if (first < a || (first == a && second < b))
            low = middle + 1;
        else
            high = middle;
    }
    return low < COUNT(PAIR) && PAIR[low][0] == a && PAIR[low][1] == b ? PAIR[low][2] : 0;
}
