/* recsys/protocols/elliot_split.c: reads and writes a file of interactions as pandas does; Elliot's prefilters and
 * splitters (elliot/prefiltering/standard_prefilters.py, elliot/splitter/base_splitter.py), with the same rows. */
#include "recsys/protocols/elliot.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

const char *const elliot_strategies[ELLIOT_STRATEGIES] = {"fixed_timestamp", "temporal_hold_out", "random_subsampling",
                                                          "random_cross_validation"};

/* ---- prefilters ------------------------------------------------------------------------------ */

/* Removes the rows i with kept[i] false. */
static void keep(ElliotRows *rows, const bool *kept)
{
    size_t n = 0;
    for (size_t i = 0; i < rows->count; i++)
        if (kept[i])
            rows->row[n++] = rows->row[i];
    rows->count = n;
}

static double rating_of(const ElliotSource *s, uint32_t row)
{
    return s->rating ? s->rating[row] : 1;
}

/* Keeps rows with a rating of at least the mean: of all rows (`of` NULL), or of the rows of the same user. of [rows of
 * the file]: the user of each row. sum, count, kept: scratch. */
static void keep_by_mean(const ElliotSource *s, ElliotRows *rows, const int32_t *of, double *sum, int64_t *count,
                         bool *kept)
{
    for (size_t i = 0; i < rows->count; i++) {
        sum[of ? of[rows->row[i]] : 0] += rating_of(s, rows->row[i]);
        count[of ? of[rows->row[i]] : 0]++;
    }
    for (size_t i = 0; i < rows->count; i++) {
        int32_t k = of ? of[rows->row[i]] : 0;
        kept[i] = rating_of(s, rows->row[i]) >= sum[k] / (double)count[k];
    }
    keep(rows, kept);
}

/* Keeps rows of users or items that have at least `min` and at most `max` rows. of [rows of the file]: the user or
 * the item of each row, below `groups`. */
static void keep_by_count(ElliotRows *rows, const int32_t *of, int64_t groups, int64_t min, int64_t max, int64_t *count,
                          bool *kept)
{
    memset(count, 0, sizeof *count * (size_t)groups);
    for (size_t i = 0; i < rows->count; i++)
        count[of[rows->row[i]]]++;
    for (size_t i = 0; i < rows->count; i++)
        kept[i] = count[of[rows->row[i]]] >= min && count[of[rows->row[i]]] <= max;
    keep(rows, kept);
}

/* Keeps rows of users and items that have at least `min` rows each. */
static bool keep_core(const ElliotSource *s, ElliotRows *rows, int64_t min, bool *kept, Error *e)
{
    const Ratings *r = s->ratings;
    bool *out = NEW(s->arena, bool, r->count + 1, e);
    if (!out)
        return false;
    memset(out, true, r->count);
    for (size_t i = 0; i < rows->count; i++)
        out[rows->row[i]] = false;
    if (!core_rows(r->user, r->item, r->count, text_index_count(r->users), text_index_count(r->items), min, min, out,
                   s->arena, e))
        return false;
    for (size_t i = 0; i < rows->count; i++)
        kept[i] = !out[rows->row[i]];
    keep(rows, kept);
    return true;
}

bool elliot_filter(const ElliotSource *s, const ElliotFilter *f, ElliotRows *rows, Error *e)
{
    const Ratings *r = s->ratings;
    ArenaMark mark = arena_mark(s->arena);
    int64_t users = text_index_count(r->users), items = text_index_count(r->items);
    int64_t *count = NEW(s->arena, int64_t, MAX(users, items) + 1, e);
    double *sum = NEW(s->arena, double, users + 1, e);
    bool *kept = NEW(s->arena, bool, rows->count + 1, e);
    if (!count || !sum || !kept)
        return false;
    size_t before;
    bool ok = true;
    switch (f->kind) {
    case ELLIOT_RATING:
        for (size_t i = 0; i < rows->count; i++)
            kept[i] = rating_of(s, rows->row[i]) >= (double)f->limit;
        keep(rows, kept);
        break;
    case ELLIOT_RATING_MEAN: keep_by_mean(s, rows, NULL, sum, count, kept); break;
    case ELLIOT_USER_MEAN: keep_by_mean(s, rows, r->user, sum, count, kept); break;
    case ELLIOT_USER_CORE: keep_by_count(rows, r->user, users, f->limit, INT64_MAX, count, kept); break;
    case ELLIOT_ITEM_CORE: keep_by_count(rows, r->item, items, f->limit, INT64_MAX, count, kept); break;
    case ELLIOT_COLD: keep_by_count(rows, r->user, users, 0, f->limit, count, kept); break;
    case ELLIOT_CORE: ok = keep_core(s, rows, f->limit, kept, e); break;
    case ELLIOT_ROUNDS:
        for (int64_t round = 0; round < f->rounds; round++) {
            before = rows->count;
            keep_by_count(rows, r->user, users, f->limit, INT64_MAX, count, kept);
            keep_by_count(rows, r->item, items, f->limit, INT64_MAX, count, kept);
            if (rows->count == before) /* more rounds would change nothing */
                break;
        }
        break;
    }
    arena_rewind(s->arena, mark);
    return ok;
}

/* ---- users ----------------------------------------------------------------------------------- */

typedef struct UserRows { /* ElliotRows sorted by user */
    int64_t *start;       /* [users+1] user u has the entries start[u] to start[u + 1] - 1 of `at` and `row` */
    uint32_t *at, *row;   /* position in ElliotRows, and row of the file */
    int64_t longest;      /* largest number of rows of a user */
} UserRows;

static bool group_users(UserRows *g, const ElliotSource *s, const ElliotRows *rows, Error *e)
{
    int64_t users = text_index_count(s->ratings->users);
    const int32_t *user = s->ratings->user;
    int64_t *next = NEW(s->arena, int64_t, users + 1, e);
    *g = (UserRows){.start = NEW(s->arena, int64_t, users + 2, e),
                    .at = NEW(s->arena, uint32_t, rows->count + 1, e),
                    .row = NEW(s->arena, uint32_t, rows->count + 1, e)};
    if (!next || !g->start || !g->at || !g->row)
        return false;
    for (size_t i = 0; i < rows->count; i++)
        g->start[user[rows->row[i]] + 1]++;
    for (int64_t u = 0; u < users; u++) {
        g->longest = MAX(g->longest, g->start[u + 1]);
        next[u] = g->start[u];
        g->start[u + 1] += g->start[u];
    }
    for (size_t i = 0; i < rows->count; i++) {
        int64_t k = next[user[rows->row[i]]]++;
        g->at[k] = (uint32_t)i;
        g->row[k] = rows->row[i];
    }
    return true;
}

/* ---- fixed_timestamp ------------------------------------------------------------------------- */

/* A change of the number of users who have enough rows on both sides of a time t. It counts for each t > after. */
typedef struct CountChange {
    int64_t after;
    int64_t by; /* 1: one user more; -1: one user less */
} CountChange;

static int compare_changes(const void *a, const void *b)
{
    const CountChange *x = a, *y = b;
    return (x->after > y->after) - (x->after < y->after);
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Finds the time at which the largest number of users have min_below rows before it and min_over rows from it on; if
 * several times have this number, the latest. Let time[1] <= ... <= time[n] be the times of a user's n rows. If n is at
 * least min_below and min_over, the user has these rows at a time t if
 *
 *   time[min_below] < t <= time[n - min_over + 1]
 *
 * If min_below or min_over is 0, its side of the condition is always true. */
static bool best_timestamp(const ElliotSource *s, const ElliotSplit *how, const UserRows *g, const ElliotRows *rows,
                           int64_t *best, Error *e)
{
    int64_t users = text_index_count(s->ratings->users), *time = NEW(s->arena, int64_t, rows->count + 1, e);
    /* enough, max: numbers of users with enough rows on both sides */
    int64_t *all = NEW(s->arena, int64_t, rows->count + 1, e), enough = 0, max = -1;
    CountChange *change = NEW(s->arena, CountChange, 2 * users + 2, e);
    size_t changes = 0, t = 0;
    if (!time || !all || !change)
        return false;
    for (int64_t u = 0; u < users; u++) {
        int64_t n = g->start[u + 1] - g->start[u], over = MAX(how->min_over, (int64_t)0);
        for (int64_t k = 0; k < n; k++)
            time[k] = s->ratings->time[g->row[g->start[u] + k]];
        qsort(time, (size_t)n, sizeof *time, compare_i64);
        if (n == 0 || how->min_below > n || over > n)
            continue;
        int64_t from = how->min_below > 0 ? time[how->min_below - 1] : INT64_MIN;
        int64_t until = over > 0 ? time[n - over] : INT64_MAX;
        if (from < until) {
            change[changes++] = (CountChange){from, 1};
            change[changes++] = (CountChange){until, -1};
        }
    }
    qsort(change, changes, sizeof *change, compare_changes);
    for (size_t i = 0; i < rows->count; i++)
        all[i] = s->ratings->time[rows->row[i]];
    qsort(all, rows->count, sizeof *all, compare_i64);
    for (size_t i = 0; i < rows->count; i++) {
        for (; t < changes && change[t].after < all[i]; t++)
            enough += change[t].by;
        if (enough >= max) {
            max = enough;
            *best = all[i];
        }
    }
    return true;
}

static bool cut_at_time(const ElliotSource *s, const ElliotSplit *how, const UserRows *g, const ElliotRows *rows,
                        uint8_t *flag, Error *e)
{
    int64_t time = how->timestamp;
    if (how->best && !best_timestamp(s, how, g, rows, &time, e))
        return false;
    for (size_t i = 0; i < rows->count; i++)
        flag[i] = s->ratings->time[rows->row[i]] >= time;
    return true;
}

/* ---- splits of one user after the other ------------------------------------------------------ */

/* Returns how many of a user's n rows stay in train. */
static int64_t staying(const ElliotSplit *how, int64_t n)
{
    return how->ratio > 0 ? (int64_t)floor((double)n * (1 - how->ratio)) : MAX(n - how->leave_n, (int64_t)0);
}

/* Flags the test rows of each user, at random or the latest ones. Elliot's random leave_n_out fails if a user has fewer
 * rows. Here all rows of such a user are test. */
static bool cut_users(const ElliotSource *s, const ElliotSplit *how, const UserRows *g, Mt19937 *random, uint8_t *flag,
                      Error *e)
{
    int64_t users = text_index_count(s->ratings->users);
    uint8_t *user_flag = NEW(s->arena, uint8_t, g->longest + 1, e);
    for (int64_t k = 0; user_flag && k < users; k++) {
        int64_t u = s->users[k], first = g->start[u], n = g->start[u + 1] - first, stay = staying(how, n);
        if (how->strategy == ELLIOT_RANDOM)
            split_random(random, user_flag, n, stay);
        else if (!split_latest(user_flag, s->ratings->time, &g->row[first], n, stay, how->ratio == 0, s->arena, e))
            return false;
        for (int64_t i = 0; i < n; i++)
            flag[g->at[first + i]] = user_flag[i];
    }
    return user_flag != NULL;
}

/* The fold of a row is its index among the user's rows, modulo the number of folds. */
static void cut_fold(const ElliotSource *s, const ElliotSplit *how, const UserRows *g, int64_t fold, uint8_t *flag)
{
    int64_t users = text_index_count(s->ratings->users);
    for (int64_t u = 0; u < users; u++)
        for (int64_t k = g->start[u]; k < g->start[u + 1]; k++)
            flag[g->at[k]] = (k - g->start[u]) % how->folds == fold;
}

bool elliot_cut(const ElliotSource *s, const ElliotSplit *how, const ElliotRows *rows, Mt19937 *random, uint8_t *flag,
                Error *e)
{
    UserRows g;
    ArenaMark mark = arena_mark(s->arena);
    if (!group_users(&g, s, rows, e))
        return false;
    bool ok = true;
    for (int64_t fold = 0; ok && fold < how->folds; fold++, flag += rows->count)
        switch (how->strategy) {
        case ELLIOT_TIMESTAMP: ok = cut_at_time(s, how, &g, rows, flag, e); break;
        case ELLIOT_FOLDS: cut_fold(s, how, &g, fold, flag); break;
        default: ok = cut_users(s, how, &g, random, flag, e);
        }
    arena_rewind(s->arena, mark);
    return ok;
}

bool elliot_part(ElliotRows *part, const ElliotRows *rows, const uint8_t *flag, uint8_t which, Arena *a, Error *e)
{
    *part = (ElliotRows){.row = NEW(a, uint32_t, rows->count + 1, e)};
    for (size_t i = 0; part->row && i < rows->count; i++)
        if (flag[i] == which)
            part->row[part->count++] = rows->row[i];
    return part->row != NULL;
}

/* ---- the file -------------------------------------------------------------------------------- */

typedef enum Column { COLUMN_INT, COLUMN_FLOAT, COLUMN_TEXT } Column;
/* Returns the type of a column of type c after one more field. */
static Column column_with(Column c, Text field)
{
    int64_t whole;
    double number;
    return text_i64(field, &whole) ? c : text_f64(field, &number) ? MAX(c, COLUMN_FLOAT) : COLUMN_TEXT;
}

/* Finds the types that pandas gives to the third and fourth column: whole numbers if all values are. */
static bool find_columns(ElliotSource *s, Column kind[2], Error *e)
{
    kind[0] = kind[1] = COLUMN_INT;
    Table t = ratings_rows(s->ratings, s->arena);
    while (table_next(&t, e))
        for (size_t i = 0; i < 2 && i + 2 < t.count; i++)
            kind[i] = column_with(kind[i], t.field[i + 2]);
    return e->code == SP_OK;
}

static const char *as_written(Text field, Column kind, Arena *a, Error *e)
{
    return python_str(kind == COLUMN_INT ? PYTHON_INT : kind == COLUMN_FLOAT ? PYTHON_FLOAT : PYTHON_STR, field, a, e);
}

/* Returns a field for CSV: if it has double quotes, it is written between double quotes, and each of them twice. */
static const char *quoted(Text field, Arena *a, Error *e)
{
    if (!memchr(field.p, '"', field.n))
        return arena_strndup(a, field.p, field.n, e);
    char *text = arena_alloc(a, field.n * 2 + 3, 1, e), *to = text;
    if (!text)
        return NULL;
    *to++ = '"';
    for (size_t i = 0; i < field.n; i++) {
        if (field.p[i] == '"')
            *to++ = '"';
        *to++ = field.p[i];
    }
    *to = '"';
    return text;
}

/* Sets *line to a row as pandas writes it: 5 becomes 5.0 in a column that contains 4.5. */
static bool write_line(Text *line, const ElliotSource *s, const Table *t, const Column kind[2], bool binary, Arena *a,
                       Error *e)
{
    const Ratings *r = s->ratings;
    size_t width = r->time ? 4 : 3;
    const char *rating = binary || !r->rating ? "1" : as_written(t->field[2], kind[0], a, e);
    const char *time = r->time ? as_written(t->field[3], kind[1], a, e) : "";
    if (!rating || !time)
        return false;
    Text raw = t->raw;
    while (raw.n && strchr("\r\n", raw.p[raw.n - 1]))
        raw.n--;
    if (t->count == width && t->raw.n && !memchr(raw.p, '"', raw.n) && text_is(t->field[2], rating) &&
        (!r->time || text_is(t->field[3], time))) {
        *line = raw;
        return true;
    }
    const char *user = quoted(t->field[0], a, e), *item = quoted(t->field[1], a, e), *text = NULL;
    if (user && item)
        text = arena_printf(a, e, "%s\t%s\t%s%s%s", user, item, rating, r->time ? "\t" : "", time);
    *line = text ? text_of(text) : (Text){0};
    return text != NULL;
}

static bool read_lines(ElliotSource *s, bool binary, Arena *a, Error *e)
{
    Column kind[2];
    size_t row = 0;
    if (!find_columns(s, kind, e))
        return false;
    Table t = ratings_rows(s->ratings, a);
    while (row < s->ratings->count && table_next(&t, e)) {
        if (s->rating && !text_f64(t.field[2], &s->rating[row]))
            s->rating[row] = (double)s->ratings->rating[row];
        if (!write_line(&s->line[row++], s, &t, kind, binary, a, e))
            return false;
    }
    return e->code == SP_OK;
}

bool elliot_source(ElliotSource *s, const char *path, bool binary, Arena *a, Error *e)
{
    Ratings *r = NEW(a, Ratings, 1, e);
    if (!r || !ratings_read_as(r, path, FORMAT_TSV, &(Layout){.separator = '\t'}, a, e) || !ratings_sure(r, e))
        return false;
    if (r->header)
        return fail(e, SP_FORMAT,
                    "%s:%u: names of columns; Elliot's files have rows of user, item, rating and time alone: "
                    "remove this line",
                    path, (unsigned)r->header);
    *s = (ElliotSource){.ratings = r,
                        .rating = r->rating ? NEW(a, double, r->count, e) : NULL,
                        .line = NEW(a, Text, r->count + 1, e),
                        .users = NEW(a, int32_t, text_index_count(r->users) + 1, e),
                        .arena = a};
    return (s->rating || !r->rating) && s->line && s->users && split_users(s->users, r, a, e) &&
           read_lines(s, binary, a, e);
}

bool elliot_rows_all(ElliotRows *rows, const ElliotSource *s, Error *e)
{
    *rows = (ElliotRows){NEW(s->arena, uint32_t, s->ratings->count + 1, e), s->ratings->count};
    for (size_t i = 0; rows->row && i < rows->count; i++)
        rows->row[i] = (uint32_t)i;
    return rows->row != NULL;
}

/* Reports whether the file already has these rows. */
static bool is_written(const ElliotSource *s, const char *path, const ElliotRows *rows)
{
    Error ignored = {0};
    Map map;
    if (!file_exists(path) || !map_open(&map, path, &ignored))
        return false;
    size_t at = 0;
    bool same = true;
    for (size_t i = 0; same && i < rows->count; i++) {
        Text line = s->line[rows->row[i]];
        same = map.bytes - at > line.n && !memcmp(map.data + at, line.p, line.n) && map.data[at + line.n] == '\n';
        at += line.n + 1;
    }
    same = same && at == map.bytes;
    map_close(&map);
    return same;
}

/* Opens an output that several processes may want to write: they write the same bytes, and only one process writes at a
 * time. The others wait, for at most a minute. *written: the file already has these rows; then NULL is returned without
 * an error. */
static Out *open_shared(const ElliotSource *s, const char *path, const ElliotRows *rows, bool *written, Error *e)
{
    enum { TRIES = 600, WAIT = 100 * 1000 * 1000 }; /* WAIT: nanoseconds between two tries */
    for (int i = 0;; i++) {
        Error why = {0};
        if ((*written = is_written(s, path, rows)))
            return NULL;
        Out *o = out_open(path, arena_heap(s->arena), &why);
        if (!o && (i == TRIES || !strstr(why.message, "is being written")))
            fail(e, why.code, "%s", why.message);
        if (o || e->code)
            return o;
        nanosleep(&(struct timespec){.tv_nsec = WAIT}, NULL);
    }
}

bool elliot_write_rows(const ElliotSource *s, const char *path, const ElliotRows *rows, Error *e)
{
    bool written;
    Out *o = open_shared(s, path, rows, &written, e);
    bool ok = o != NULL;
    for (size_t i = 0; ok && i < rows->count; i++) {
        Text line = s->line[rows->row[i]];
        ok = out_write(o, line.p, line.n, e) && out_write(o, "\n", 1, e);
    }
    if (!ok)
        out_discard(o);
    return written || (ok && out_commit(o, e));
}
