/* base/text.c: texts with a length, numbers, UTF-8. */
#include "base/base.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

Text text_of(const char *cstring)
{
    return (Text){cstring, strlen(cstring)};
}

bool text_equal(Text a, Text b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool text_is(Text a, const char *cstring)
{
    return text_equal(a, text_of(cstring));
}

int text_compare(Text a, Text b)
{
    size_t n = MIN(a.n, b.n);
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

bool text_starts(Text a, const char *prefix)
{
    size_t n = strlen(prefix);
    return n <= a.n && (n == 0 || memcmp(a.p, prefix, n) == 0);
}

bool text_ends(Text a, const char *suffix)
{
    size_t n = strlen(suffix);
    return n <= a.n && (n == 0 || memcmp(a.p + a.n - n, suffix, n) == 0);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

Text text_trim(Text a)
{
    while (a.n && is_space(a.p[0]))
        a.p++, a.n--;
    while (a.n && is_space(a.p[a.n - 1]))
        a.n--;
    return a;
}

bool text_next(Text *rest, char sep, Text *part)
{
    if (!rest->p)
        return false;
    const char *cut = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    if (cut) {
        *part = (Text){rest->p, (size_t)(cut - rest->p)};
        *rest = (Text){cut + 1, rest->n - part->n - 1};
    } else {
        *part = *rest;
        *rest = (Text){NULL, 0};
    }
    return true;
}

bool text_line(Text *rest, Text *line)
{
    if (rest->n == 0)
        return false;
    const char *cut = memchr(rest->p, '\n', rest->n);
    *line = (Text){rest->p, cut ? (size_t)(cut - rest->p) : rest->n};
    size_t taken = line->n + (cut != NULL);
    *rest = (Text){rest->p + taken, rest->n - taken};
    if (cut && line->n && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool text_i64(Text a, int64_t *value)
{
    bool minus = a.n && a.p[0] == '-';
    size_t i = a.n && (a.p[0] == '-' || a.p[0] == '+');
    if (i == a.n)
        return false;
    int64_t v = 0;
    for (; i < a.n; i++) {
        int digit = a.p[i] - '0';
        if (!is_digit(a.p[i]) || __builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, digit, &v))
            return false;
    }
    if (!minus && v == INT64_MIN)
        return false;
    *value = minus ? v : -v;
    return true;
}

/* Parses a number. If the digits are at most 2^53 and the power of ten is exact in a double, one product or quotient
 * rounds correctly (Clinger 1990). This covers most numbers. The others use strtod in the C locale. 1,000 characters
 * are more than any double needs (767). */
bool text_f64(Text a, double *value)
{
    static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    bool minus = a.n && a.p[0] == '-';
    size_t i = a.n && (a.p[0] == '-' || a.p[0] == '+');
    size_t word = a.n - i;
    if ((word == 3 && !strncasecmp(a.p + i, "nan", 3)) || (word == 3 && !strncasecmp(a.p + i, "inf", 3)) ||
        (word == 8 && !strncasecmp(a.p + i, "infinity", 8))) {
        double x = (a.p[i] | 0x20) == 'n' ? NAN : INFINITY;
        *value = minus ? -x : x;
        return true;
    }
    uint64_t mantissa = 0;
    int exponent = 0;
    size_t digits = 0, kept = 0;
    bool point = false;
    for (; i < a.n && (is_digit(a.p[i]) || (a.p[i] == '.' && !point)); i++) {
        if (a.p[i] == '.') {
            point = true;
            continue;
        }
        digits++;
        if (mantissa || a.p[i] != '0')
            kept++;
        if (kept <= 18)
            mantissa = mantissa * 10 + (uint64_t)(a.p[i] - '0');
        exponent -= point;
    }
    if (digits == 0)
        return false;
    if (i < a.n && (a.p[i] | 0x20) == 'e') {
        i++;
        bool down = i < a.n && a.p[i] == '-';
        i += i < a.n && (a.p[i] == '-' || a.p[i] == '+');
        if (i == a.n)
            return false;
        int power = 0;
        for (; i < a.n && is_digit(a.p[i]); i++)
            power = MIN(power * 10 + (a.p[i] - '0'), 100000);
        exponent += down ? -power : power;
    }
    if (i != a.n || a.n > 1000)
        return false;
    if (kept <= 18 && mantissa <= (UINT64_C(1) << 53) && exponent >= -22 && exponent <= 22) {
        double x = exponent < 0 ? (double)mantissa / ten[-exponent] : (double)mantissa * ten[exponent];
        *value = minus ? -x : x;
        return true;
    }
    char copy[1001];
    memcpy(copy, a.p, a.n);
    copy[a.n] = '\0';
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return false;
    *value = strtod_l(copy, NULL, c);
    freelocale(c);
    return isfinite(*value);
}

size_t utf8_decode(const char *p, size_t n, uint32_t *code)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (n == 0)
        return 0;
    uint32_t lead = (unsigned char)p[0];
    *code = lead;
    if (lead < 0x80)
        return 1;
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || length > n)
        return 0;
    uint32_t c = lead & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        uint32_t next = (unsigned char)p[i];
        if ((next & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (next & 0x3f);
    }
    if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code = c;
    return length;
}

size_t utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00u >> length & 0xff) | code);
    return length;
}

bool utf8_valid(Text a, size_t *bad_at)
{
    size_t i = 0;
    while (i < a.n) {
        uint64_t eight;
        if (a.n - i >= 8 && (memcpy(&eight, a.p + i, 8), (eight & UINT64_C(0x8080808080808080)) == 0)) {
            i += 8; /* eight ASCII bytes */
            continue;
        }
        uint32_t code;
        size_t length = utf8_decode(a.p + i, a.n - i, &code);
        if (length == 0) {
            if (bad_at)
                *bad_at = i;
            return false;
        }
        i += length;
    }
    return true;
}

/* ---- near words ------------------------------------------------------------------------------ */

/* Returns Levenshtein's distance, in which a swap of neighbours counts 1. row [3 (n + 1)] is scratch, n = strlen(b). */
static size_t word_distance(const char *a, const char *b, size_t *row)
{
    size_t n = strlen(b);
    size_t *before = row, *last = row + n + 1, *now = row + 2 * (n + 1);
    for (size_t j = 0; j <= n; j++)
        last[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        now[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = MIN(change, MIN(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = MIN(now[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[n];
}

/* Returns the distance of two words, ignoring case. SIZE_MAX if they are not near, or if memory ran out. */
static size_t near_distance(const char *word, const char *other, Arena *a)
{
    enum { LONGEST = 64 };
    size_t most = MAX(strlen(word) / 3, (size_t)1), *row = NEW(a, size_t, 3 * (strlen(other) + 1), &(Error){0});
    const char *x = arena_lower(a, word, strlen(word), &(Error){0}),
               *y = arena_lower(a, other, strlen(other), &(Error){0});
    size_t distance = row && x && y && strlen(word) <= LONGEST ? word_distance(x, y, row) : SIZE_MAX;
    return distance <= most ? distance : SIZE_MAX;
}

const char *nearest_word(const char *word, const char *const *words, size_t count, Arena *a)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t distance = near_distance(word, words[i], a);
        if (distance < best_distance) {
            best_distance = distance;
            best = words[i];
        }
    }
    return best;
}

const char *near_words(const char *word, const char *const *words, size_t count, Arena *a)
{
    enum { MOST = 3 };
    const char *list = NULL;
    size_t *distance = NEW(a, size_t, count, &(Error){0}), found = 0, listed = 0;
    if (!distance)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        distance[i] = near_distance(word, words[i], a);
        found += distance[i] != SIZE_MAX;
    }
    found = MIN(found, (size_t)MOST);
    for (size_t d = 0; listed < found; d++)
        for (size_t i = 0; i < count && listed < found; i++)
            if (distance[i] == d) {
                const char *link = listed == 0 ? "" : listed + 1 == found ? " or " : ", ";
                listed++;
                if (!(list = arena_printf(a, &(Error){0}, "%s%s\"%s\"", list ? list : "", link, words[i])))
                    return NULL;
            }
    return list;
}
