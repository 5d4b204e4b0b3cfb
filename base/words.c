/* base/words.c: which words of a list are near a misspelt one. */
#include "base/base.h"

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

/* The distance of two words in any case; SIZE_MAX where they are not near, or memory is refused. */
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
