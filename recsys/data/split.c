/* recsys/data/split.c: makes train, validation and test files from a file of ratings, by the recipe of recipes.md 3. */
#include "recsys/data/data.h"

#include <math.h>
#include <stdlib.h>

enum { TRAIN, VALID, TEST, PARTS, DROPPED = PARTS };

typedef struct Splitting {
    const SplitConfig *c;
    const Ratings *r;
    int64_t users, items;
    int32_t *sorted; /* [users] numbers of the users, in the order in which they are split (split_users) */
    int8_t *part;    /* [rows] TRAIN, VALID, TEST or DROPPED */
    int64_t *start;  /* [users+1] the rows of user u are row[start[u]] to row[start[u+1] - 1] */
    uint32_t *row;   /* rows sorted by user, in file order, without DROPPED ones */
    /* scratch, as long as the most rows of a user: whether a row of the user leaves train; the user's rows in train */
    uint8_t *flag;
    uint32_t *order;
    uint32_t *drawn; /* result of split_ratings; or NULL */
    Mt19937 random;
} Splitting;

typedef struct Name {
    Text text;
    int64_t value;  /* the id as a whole number; 0 for all users if an id is not a whole number */
    int32_t number; /* the user's number in Ratings */
} Name;

static int compare_names(const void *a, const void *b)
{
    const Name *x = a, *y = b;
    return x->value != y->value ? (x->value > y->value) - (x->value < y->value) : text_compare(x->text, y->text);
}

bool split_users(int32_t *sorted, const Ratings *r, Arena *a, Error *e)
{
    int64_t users = text_index_count(r->users);
    ArenaMark mark = arena_mark(a);
    Name *names = NEW(a, Name, users, e);
    Text *ids = NEW(a, Text, users, e);
    int64_t *values = NEW(a, int64_t, users, e);
    if (!names || !ids || !values)
        return false;
    for (int64_t u = 0; u < users; u++)
        ids[u] = text_index_at(r->users, u);
    bool numbers = all_whole(ids, (size_t)users, values);
    for (int64_t u = 0; u < users; u++)
        names[u] = (Name){ids[u], numbers ? values[u] : 0, (int32_t)u};
    qsort(names, (size_t)users, sizeof *names, compare_names);
    for (int64_t u = 0; u < users; u++)
        sorted[u] = names[u].number;
    arena_rewind(a, mark);
    return true;
}

static bool begin(Splitting *w, Arena *a, Error *e)
{
    w->users = text_index_count(w->r->users);
    w->items = text_index_count(w->r->items);
    w->sorted = NEW(a, int32_t, w->users, e);
    return w->sorted && split_users(w->sorted, w->r, a, e);
}

/* Marks the rows outside of the k-core as DROPPED. */
static bool keep_core(Splitting *w, Arena *a, Error *e)
{
    const Ratings *r = w->r;
    int64_t k = w->c->k_core;
    ArenaMark mark = arena_mark(a);
    bool *out = k > 0 ? NEW(a, bool, r->count, e) : NULL;
    if (k > 0 && (!out || !core_rows(r->user, r->item, r->count, w->users, w->items, k, k, out, a, e)))
        return false;
    for (size_t row = 0; k > 0 && row < r->count; row++)
        if (out[row])
            w->part[row] = DROPPED;
    arena_rewind(a, mark);
    return true;
}

/* Makes w->start and w->row, and allocates the scratch of a user. */
static bool group_rows(Splitting *w, Arena *a, Error *e)
{
    size_t n = w->r->count;
    int64_t *at = NEW(a, int64_t, w->users, e), longest = 0;
    w->start = NEW(a, int64_t, w->users + 1, e);
    w->row = NEW(a, uint32_t, n, e);
    if (!at || !w->start || !w->row)
        return false;
    for (size_t r = 0; r < n; r++)
        if (w->part[r] != DROPPED)
            w->start[w->r->user[r] + 1]++;
    for (int64_t u = 0; u < w->users; u++) {
        longest = MAX(longest, w->start[u + 1]);
        at[u] = w->start[u];
        w->start[u + 1] += w->start[u];
    }
    for (size_t r = 0; r < n; r++)
        if (w->part[r] != DROPPED)
            w->row[at[w->r->user[r]]++] = (uint32_t)r;
    w->flag = NEW(a, uint8_t, longest, e);
    w->order = NEW(a, uint32_t, longest, e);
    return w->flag && w->order;
}

void split_random(Mt19937 *m, uint8_t *flag, int64_t n, int64_t stay)
{
    for (int64_t k = 0; k < n; k++)
        flag[k] = k >= stay;
    for (int64_t k = n - 1; k > 0; k--) {
        uint32_t j = mt_interval(m, (uint32_t)k);
        uint8_t swap = flag[k];
        flag[k] = flag[j];
        flag[j] = swap;
    }
}

typedef struct Timed {
    int64_t time;
    int64_t tie; /* order of rows with the same time: the larger one is later */
    int64_t at;  /* index of the row among the user's rows */
} Timed;

static int compare_times(const void *a, const void *b)
{
    const Timed *x = a, *y = b;
    return x->time != y->time ? (x->time > y->time) - (x->time < y->time) : (x->tie > y->tie) - (x->tie < y->tie);
}

bool split_latest(uint8_t *flag, const int64_t *time, const uint32_t *rows, int64_t n, int64_t stay, bool first_of_ties,
                  Arena *a, Error *e)
{
    ArenaMark mark = arena_mark(a);
    Timed *t = NEW(a, Timed, n, e);
    if (!t)
        return false;
    for (int64_t k = 0; k < n; k++)
        t[k] = (Timed){time[rows[k]], first_of_ties ? -k : k, k};
    qsort(t, (size_t)n, sizeof *t, compare_times);
    for (int64_t k = 0; k < n; k++)
        flag[t[k].at] = k >= stay;
    arena_rewind(a, mark);
    return true;
}

/* Moves rows that are still in train to `part`, one user after the other: the share `ratio` of the user's rows, or
 * leave_n of them. */
static bool take(Splitting *w, int8_t part, double ratio, Arena *a, Error *e)
{
    const SplitConfig *c = w->c;
    bool by_count = c->strategy == SPLIT_LEAVE_N_OUT || c->leave_n > 0;
    bool latest = c->strategy == SPLIT_TEMPORAL || (c->strategy == SPLIT_LEAVE_N_OUT && w->r->time);
    if (ratio <= 0 && !(by_count && part == TEST))
        return true;
    for (int64_t s = 0; s < w->users; s++) {
        int64_t u = w->sorted[s], n = 0;
        for (int64_t k = w->start[u]; k < w->start[u + 1]; k++)
            if (w->part[w->row[k]] == TRAIN)
                w->order[n++] = w->row[k];
        int64_t stay = by_count ? MAX(n - c->leave_n, (int64_t)0) : (int64_t)floor((double)n * (1 - ratio));
        if (!latest)
            split_random(&w->random, w->flag, n, stay);
        else if (!split_latest(w->flag, w->r->time, w->order, n, stay, by_count, a, e))
            return false;
        for (int64_t k = 0; k < n; k++)
            if (w->flag[k])
                w->part[w->order[k]] = part;
    }
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Writes the lines of the source whose rows are in `part`, after the header. A LightGCN line has rows of several parts,
 * so its rows are written as lines "user<tab>item". */
static bool write_part(const Splitting *w, Out *o, int8_t part, Arena *a, Error *e)
{
    const Ratings *r = w->r;
    bool ok = true;
    size_t row = 0;
    ArenaMark mark = arena_mark(a);
    Table t = ratings_rows(r, a);
    while (ok && table_skip(&t, e)) {
        bool copied = t.line == r->header; /* the line is written as it is */
        for (; ok && row < r->count && r->line[row] == t.line; row++) {
            if (r->format != FORMAT_LIGHTGCN)
                copied = w->part[row] == part;
            else if (w->part[row] == part)
                ok = out_printf(o, e, "%s\t%s\n", text_index_at(r->users, r->user[row]).p,
                                text_index_at(r->items, r->item[row]).p);
        }
        if (ok && copied)
            ok = out_write(o, t.raw.p, t.raw.n, e) && (t.raw.p[t.raw.n - 1] == '\n' || out_write(o, "\n", 1, e));
    }
    arena_rewind(a, mark);
    return ok && e->code == SP_OK;
}

static bool write_parts(const Splitting *w, const char *dir, size_t counts[3], Arena *a, Error *e)
{
    static const char *const names[PARTS] = {"train.tsv", "val.tsv", "test.tsv"};
    const char *path[PARTS];
    memset(counts, 0, sizeof *counts * PARTS);
    for (size_t r = 0; r < w->r->count; r++)
        if (w->part[r] != DROPPED)
            counts[w->part[r]]++;
    if (counts[TRAIN] == 0)
        return fail(e, SP_USAGE, "%s: the split leaves no training rows%s", w->r->path,
                    w->c->k_core > 0 ? "; use a smaller --k-core" : "");
    FileSet *inputs = file_set_new(a, e);
    if (!inputs || !file_set_add(inputs, w->r->path, e) || !folder_make(dir, e))
        return false;
    for (int p = 0; p < PARTS; p++)
        if (!(path[p] = path_join(a, dir, names[p], e)) || !file_set_check(inputs, path[p], e))
            return false;
    for (int p = 0; p < PARTS; p++)
        if (counts[p] == 0 && file_exists(path[p]))
            return fail(e, SP_USAGE,
                        "%s: is a file of an earlier split, and this split has no such part; remove it first", path[p]);
    FolderLock lock;
    if (!folder_lock(&lock, dir, e))
        return false;
    bool ok = true;
    Out *out[PARTS] = {NULL};
    for (int p = 0; ok && p < PARTS; p++)
        if (counts[p])
            ok = (out[p] = out_open(path[p], arena_heap(a), e)) && write_part(w, out[p], (int8_t)p, a, e);
    if (ok)
        ok = out_commit_set(out, PARTS, e); /* train.tsv appears last: without it there is no split */
    else
        for (int p = 0; p < PARTS; p++)
            out_discard(out[p]);
    folder_unlock(&lock);
    return ok;
}

typedef struct Remaining { /* what remains after the k-core, as in SplitSource */
    int64_t users, items, rows, repeated;
} Remaining;

static bool count_remaining(Remaining *n, const Splitting *w, Arena *a, Error *e)
{
    ArenaMark mark = arena_mark(a);
    int32_t *seen = NEW(a, int32_t, w->items, e); /* 1 + the last user that had the item */
    if (!seen)
        return false;
    *n = (Remaining){.rows = w->start[w->users]};
    for (int64_t u = 0; u < w->users; u++) {
        n->users += w->start[u + 1] > w->start[u];
        for (int64_t k = w->start[u]; k < w->start[u + 1]; k++) {
            int32_t *last = &seen[w->r->item[w->row[k]]];
            n->items += *last == 0;
            n->repeated += *last == (int32_t)u + 1;
            *last = (int32_t)u + 1;
        }
    }
    arena_rewind(a, mark);
    return true;
}

static bool check_config(const SplitConfig *c, Error *e)
{
    const double ratios[] = {c->test_ratio, c->validation_ratio};
    for (size_t i = 0; i < COUNT(ratios); i++)
        if (!(ratios[i] >= 0 && ratios[i] < 1))
            return fail(e, SP_USAGE, "%s ratio %g: must be at least 0 and less than 1", i ? "validation" : "test",
                        ratios[i]);
    if (c->leave_n < 0 || c->k_core < 0)
        return fail(e, SP_USAGE, "leave-n and k-core count rows: they cannot be negative");
    if (c->strategy == SPLIT_LEAVE_N_OUT && c->leave_n == 0)
        return fail(e, SP_USAGE, "leave-n-out needs --leave-n N, with N at least 1");
    return true;
}

/* Computes w->part of all rows. The strategies random, temporal and leave-n-out use the users in the order
 * w->sorted. */
static bool set_parts(Splitting *w, Arena *a, Error *e)
{
    const SplitConfig *c = w->c;
    if (c->strategy == SPLIT_TEMPORAL && !w->r->time)
        return fail(e, SP_USAGE, "%s: has no times, which a temporal split needs", w->r->path);
    mt_seed(&w->random, c->seed); /* seeded once: the draws of validation follow those of test */
    if (!(w->part = NEW(a, int8_t, w->r->count, e)) || !keep_core(w, a, e) || !group_rows(w, a, e))
        return false;
    if (c->strategy == SPLIT_V4)
        return split_v4(w->r, c->seed, w->part, w->drawn, a, e);
    if (c->strategy == SPLIT_GLOBAL_TIME)
        return split_global_time(w->r, c->validation_ratio, c->test_ratio, w->part, a, e);
    return take(w, TEST, c->test_ratio, a, e) && take(w, VALID, c->validation_ratio, a, e);
}

bool split_ratings(const Ratings *r, const SplitConfig *c, int8_t *part, uint32_t *drawn, Arena *a, Error *e)
{
    Splitting w = {.c = c, .r = r, .drawn = drawn};
    if (!check_config(c, e) || !begin(&w, a, e) || !set_parts(&w, a, e))
        return false;
    memcpy(part, w.part, r->count);
    return true;
}

bool split_arrays(const sp_interactions *x, int64_t users, int64_t items, const SplitConfig *c, unsigned char *part,
                  Error *e)
{
    if (!check_config(c, e) || !interactions_check(x, "sp_split", users, items, e))
        return false;
    Arena *a = arena_new(c->heap, 0);
    if (!a)
        return fail_memory(e, 4096, "splitting");
    const Ratings r = {.count = x->count,
                       .user = (int32_t *)(uintptr_t)x->user, /* the cast is safe: the array is only read */
                       .item = (int32_t *)(uintptr_t)x->item,
                       .time = (int64_t *)(uintptr_t)x->time,
                       .path = "sp_split"};
    Splitting w = {.c = c, .r = &r, .users = users, .items = items, .sorted = NEW(a, int32_t, users, e)};
    for (int64_t u = 0; w.sorted && u < users; u++)
        w.sorted[u] = (int32_t)u;
    bool ok = w.sorted && set_parts(&w, a, e), has_train = !x->count;
    for (size_t i = 0; ok && i < x->count; i++) {
        part[i] = (unsigned char)w.part[i];
        has_train = has_train || w.part[i] == TRAIN;
    }
    arena_free(a);
    return ok && (has_train || fail(e, SP_USAGE, "sp_split: the split leaves no training rows"));
}

bool split_file(const char *ratings, const char *dir, const SplitConfig *c, size_t counts[3], Error *e)
{
    if (!check_config(c, e))
        return false;
    Arena *a = arena_new(c->heap, 0);
    if (!a)
        return fail_memory(e, 4096, "splitting");
    Ratings r;
    Splitting w = {.c = c, .r = &r};
    Remaining left = {0};
    bool ok = ratings_read_as(&r, ratings, c->format, &c->layout, a, e) && ratings_sure(&r, e) && begin(&w, a, e) &&
              set_parts(&w, a, e) && count_remaining(&left, &w, a, e) && write_parts(&w, dir, counts, a, e);
    if (ok && c->visit) /* called when nothing can fail any more, so that an error stays one line */
        c->visit(c->arg, &(SplitSource){&r, c->k_core, left.users, left.items, left.rows, left.repeated});
    arena_free(a);
    return ok;
}
