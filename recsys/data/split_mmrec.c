/* recsys/data/split_mmrec.c: the two splits of MMRec's preprocessing (recipes.md 3.4). */
// flags: -Os
#include "recsys/data/data.h"

#include <math.h>
#include <stdlib.h>

#ifndef SAPOR_MINIMAL
/* Computes how many of a user's n shuffled rows are validation rows, and how many are test rows. The published code
 * fails for a user with one row; here this row stays in train. */
static void label_counts(int64_t n, int64_t *valid, int64_t *test)
{
    int64_t held = (int64_t)((double)n * 0.2);
    *valid = n < 2 ? 0 : n < 10 ? 1 : held / 2;
    *test = n < 2 ? 0 : n < 10 ? 1 : held - held / 2;
}

bool split_v4(const Ratings *r, uint32_t seed, int8_t *part, uint32_t *drawn, Arena *a, Error *e)
{
    ArenaMark mark = arena_mark(a);
    int64_t users = text_index_count(r->users);
    uint32_t *rows = NEW(a, uint32_t, r->count, e);
    uint64_t *scratch = NEW(a, uint64_t, 2 * r->count, e);
    int64_t *start = NEW(a, int64_t, users + 1, e), *at = NEW(a, int64_t, users, e);
    if (!rows || !scratch || !start || !at)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        if (part[i] == 0) {
            rows[n++] = (uint32_t)i;
            start[r->user[i] + 1]++;
        }
    for (int64_t u = 0; u < users; u++) {
        start[u + 1] += start[u];
        at[u] = start[u];
    }
    draw_shuffle((Draw){seed, DRAW_SPLIT, 0}, rows, n, scratch);
    for (size_t i = 0; i < n; i++) {
        uint32_t row = rows[i];
        int32_t u = r->user[row];
        int64_t count = start[u + 1] - start[u], valid, test, k = at[u]++ - start[u];
        label_counts(count, &valid, &test);
        part[row] = (int8_t)(k >= count - test ? 2 : k >= count - test - valid ? 1 : 0);
        if (drawn)
            drawn[start[u] + k] = row;
    }
    arena_rewind(a, mark);
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Returns numpy.quantile of sorted numbers with the same bits: linear between the two neighbours, computed from the
 * nearer one. */
static double quantile(const int64_t *sorted, size_t n, double q)
{
    double at = (double)(n - 1) * q, below = floor(at), t = at - below;
    size_t i = (size_t)below;
    int64_t low = sorted[i], high = sorted[MIN(i + 1, n - 1)];
    double step = (double)high - (double)low;
    return t >= 0.5 ? (double)high - step * (1 - t) : (double)low + step * t;
}

bool split_global_time(const Ratings *r, double valid, double test, int8_t *part, Arena *a, Error *e)
{
    if (!r->time)
        return fail(e, SP_USAGE, "%s: has no times, which a split by time needs", r->path);
    if (valid + test >= 1)
        return fail(e, SP_USAGE, "test ratio %g and validation ratio %g leave no rows for training", test, valid);
    ArenaMark mark = arena_mark(a);
    int64_t *times = NEW(a, int64_t, r->count, e);
    if (!times)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        if (part[i] == 0)
            times[n++] = r->time[i];
    if (n) {
        qsort(times, n, sizeof *times, compare_numbers);
        double stay = 1 - valid - test;
        double first = quantile(times, n, stay), second = quantile(times, n, stay + valid);
        for (size_t i = 0; i < r->count; i++)
            if (part[i] == 0)
                part[i] = (int8_t)((double)r->time[i] < first ? 0 : valid > 0 && (double)r->time[i] < second ? 1 : 2);
    }
    arena_rewind(a, mark);
    return true;
}
#else
bool split_v4(const Ratings *r, uint32_t seed, int8_t *part, uint32_t *drawn, Arena *a, Error *e)
{
    (void)r, (void)seed, (void)part, (void)drawn, (void)a;
    return fail(e, SP_UNSUPPORTED, "this build has no splits of MMRec (MINIMAL=1)");
}

bool split_global_time(const Ratings *r, double valid, double test, int8_t *part, Arena *a, Error *e)
{
    (void)valid, (void)test;
    return split_v4(r, 0, part, NULL, a, e);
}
#endif
