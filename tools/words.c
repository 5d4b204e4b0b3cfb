/* words.c: which words of a list are near a misspelt one. */
#include "tools/tools.h"

/* Levenshtein's distance with swaps of neighbours; row [3 (n + 1)]. */
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

const char *nearest_word(const char *word, const char *const *words, size_t count, Arena *a)
{
    const char *best = NULL;
    size_t best_distance = MAX(strlen(word) / 3, (size_t)1) + 1;
    if (strlen(word) > 64)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        Error ignored = {0};
        size_t *row = NEW(a, size_t, 3 * (strlen(words[i]) + 1), &ignored);
        size_t distance = row ? word_distance(word, words[i], row) : best_distance;
        if (distance < best_distance) {
            best_distance = distance;
            best = words[i];
        }
    }
    return best;
}

static const char *lower(const char *word, Arena *a)
{
    char *copy = arena_strndup(a, word, strlen(word), &(Error){0});
    for (char *p = copy; p && *p; p++)
        *p += *p >= 'A' && *p <= 'Z' ? 'a' - 'A' : 0;
    return copy;
}

const char *near_words(const char *word, const char *const *words, size_t count, Arena *a)
{
    Error ignored = {0};
    const char *list = NULL, *small = strlen(word) > 64 ? NULL : lower(word, a);
    size_t *distance = NEW(a, size_t, count, &ignored), found = 0, most = MAX(strlen(word) / 3, (size_t)1), listed = 0;
    if (!small || !distance)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const char *other = lower(words[i], a);
        size_t *row = NEW(a, size_t, 3 * (strlen(words[i]) + 1), &ignored);
        distance[i] = row && other ? word_distance(small, other, row) : most + 1;
        found += distance[i] <= most;
    }
    for (size_t d = 0; d <= most; d++)
        for (size_t i = 0; i < count; i++)
            if (distance[i] == d) {
                const char *link = listed == 0 ? "" : listed + 1 == found ? " or " : ", ";
                listed++;
                if (!(list = arena_printf(a, &ignored, "%s%s\"%s\"", list ? list : "", link, words[i])))
                    return NULL;
            }
    return list;
}
