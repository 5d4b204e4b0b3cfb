/* recsys/metrics/sampled.c: sampled evaluation. The user's items of a part are ranked among drawn items, or among the
 * items of a file (recipes.md 6.1). The draws depend on the part and the user only, so all runs rank the same items. */
// flags: -Os
#include "recsys/metrics/metrics.h"

#include <stdlib.h>

const char *sampled_words(const EvalConfig *c, Arena *a, Error *e)
{
#ifndef SAPOR_MINIMAL
    if (c->negative_files[0])
        return " (sampled by file)";
    if (c->negatives)
        return arena_printf(a, e, " (%s%lld sampled)", c->negatives_each ? "uni" : "", (long long)c->negatives);
#endif
    (void)c, (void)a, (void)e;
    return "";
}

#ifndef SAPOR_MINIMAL
/* Parses N or uniN. */
static bool negatives_count(const char *word, int64_t *number, bool *each)
{
    Text digits = text_of(word);
    *each = text_starts(digits, "uni");
    if (*each)
        digits = (Text){digits.p + 3, digits.n - 3};
    return text_i64(digits, number);
}

bool negatives_file(const char *word)
{
    int64_t number;
    bool each;
    return strcmp(word, "none") != 0 && !negatives_count(word, &number, &each);
}

bool sampled_read(EvalConfig *c, const TextList *words, Error *e)
{
    const char *word = words->count ? words->at[0] : "none";
    int64_t number;
    bool each;
    if (words->count == 1 && !strcmp(word, "none"))
        return true;
    if (words->count == 1 && negatives_count(word, &number, &each)) {
        c->negatives = number;
        c->negatives_each = each;
        return (number >= 1 && number <= LONGEST_CUTOFF) ||
               fail(e, SP_USAGE, "setting negatives=%s: a number from 1 to %d is expected", word, LONGEST_CUTOFF);
    }
    c->negative_files[0] = word;
    c->negative_files[1] = words->at[words->count - 1];
    return words->count <= 2 || fail(e, SP_USAGE, "setting negatives: N, uniN, or one or two files are expected");
}

/* ---- candidates ------------------------------------------------------------------------------ */

typedef struct Drawing {
    const DataSet *data;
    const EvalConfig *config;
    const Pairs *truth;
    Draw draw;
    int8_t *mark;   /* [I] of the current user: FREE, HELD (cannot be drawn) or CANDIDATE */
    int32_t *free;  /* [I] the items that may be drawn */
    bool *chosen;   /* [I] scratch of draw_subset */
    int32_t *drawn; /* [I] result of draw_subset: indices of `free` */
    size_t room;    /* capacity of Candidates.item */
} Drawing;
enum { FREE, HELD, CANDIDATE };

/* Marks the items of a user in `p`. */
static void mark_items(Drawing *d, const Pairs *p, int64_t user, int8_t mark)
{
    for (int64_t i = p->start ? p->start[user] : 0; p->start && i < p->start[user + 1]; i++)
        if (p->item[i] < d->data->I)
            d->mark[p->item[i]] = mark;
}

/* Draws candidates among the items marked FREE: N without replacement, or, as RecBole's uniN, N with replacement for
 * each item of the user in the part. */
static void draw_negatives(Drawing *d, int64_t user)
{
    const EvalConfig *c = d->config;
    int64_t free = 0, pairs = d->truth->start[user + 1] - d->truth->start[user];
    uint64_t first = (uint64_t)user << 32;
    for (int64_t i = 0; i < d->data->I; i++)
        if (d->mark[i] == FREE)
            d->free[free++] = (int32_t)i;
    if (!free)
        return;
    if (c->negatives_each) {
        for (int64_t k = 0; k < c->negatives * pairs; k++)
            d->mark[d->free[draw_below(d->draw, first + (uint64_t)k, (uint32_t)free)]] = CANDIDATE;
        return;
    }
    int64_t n = MIN(c->negatives, free);
    draw_subset(d->draw, first, (uint32_t)free, (uint32_t)n, d->drawn, d->chosen);
    for (int64_t k = 0; k < n; k++)
        d->mark[d->free[d->drawn[k]]] = CANDIDATE;
}

/* Adds the items marked CANDIDATE to x as those of the user, and marks all items FREE. */
static bool add_candidates(Candidates *x, Drawing *d, int64_t user, Arena *a, Error *e)
{
    x->start[user] = x->count;
    for (int64_t i = 0; i < d->data->I; i++) {
        if (d->mark[i] == CANDIDATE) {
            if ((size_t)x->count == d->room &&
                !(x->item = arena_grow(a, x->item, (size_t)x->count, &d->room, sizeof *x->item, e)))
                return false;
            x->item[x->count++] = (int32_t)i;
        }
        d->mark[i] = FREE;
    }
    x->start[user + 1] = x->count;
    x->max_per_user = MAX(x->max_per_user, x->count - x->start[user]);
    return true;
}

/* A line of Elliot's file: "(7,)" or an id of a user, then items, separated by tabs. */
typedef struct FileLine {
    int64_t user;  /* number of the user */
    Text items;    /* the line after its first tab */
    size_t number; /* number of the line, counted from 1 */
} FileLine;

static int by_user(const void *a, const void *b)
{
    const FileLine *x = a, *y = b;
    return x->user != y->user ? (x->user > y->user) - (x->user < y->user)
                              : (x->number > y->number) - (x->number < y->number);
}

/* Returns the id of a user: "7" of the field "(7,)" or "7". */
static Text id_of(Text field)
{
    field = text_trim(field);
    if (field.n > 3 && field.p[0] == '(' && field.p[field.n - 2] == ',' && field.p[field.n - 1] == ')')
        return (Text){field.p + 1, field.n - 3};
    return field;
}

/* Reads the lines of the users of train, sorted by user. */
static bool read_file(FileLine **lines, size_t *n, const DataSet *d, const char *path, Arena *a, Error *e)
{
    Text rest, line, user;
    size_t room = 0, number = 0;
    *lines = NULL;
    *n = 0;
    if (!stream_read(&rest, a, path, 0, e) || !text_decode(&rest, path, a, e))
        return false;
    while (text_line(&rest, &line)) {
        number++;
        text_next(&line, '\t', &user);
        int64_t u = text_index_find(d->users, id_of(user));
        if (u < 0 || u >= d->U)
            continue; /* users without a train row are left out, as in the parts */
        if (*n == room && !(*lines = arena_grow(a, *lines, *n, &room, sizeof **lines, e)))
            return false;
        (*lines)[(*n)++] = (FileLine){u, line, number};
    }
    if (*n)
        qsort(*lines, *n, sizeof **lines, by_user);
    for (size_t i = 1; i < *n; i++)
        if ((*lines)[i].user == (*lines)[i - 1].user)
            return fail(e, SP_FORMAT, "%s:%zu: the user of line %zu has a second line here", path, (*lines)[i].number,
                        (*lines)[i - 1].number);
    return *n ||
           fail(e, SP_FORMAT, "%s: has no line of a user of train; a user, then items between tabs are expected", path);
}

static void mark_line(Drawing *d, Text items)
{
    for (Text id; text_next(&items, '\t', &id);) {
        int64_t i = text_index_find(d->data->items, text_trim(id));
        if (i >= 0 && i < d->data->I)
            d->mark[i] = CANDIDATE;
    }
}

bool candidates_make(Candidates *x, const DataSet *data, const EvalConfig *c, bool test, Arena *a, Error *e)
{
    FileLine *lines = NULL;
    size_t n = 0, at = 0;
    Drawing d = {.data = data,
                 .config = c,
                 .truth = test ? &data->test : &data->valid,
                 .draw = {42, DRAW_EVALUATION, draw_name(test ? "negatives test" : "negatives valid")}};
    *x = (Candidates){.start = NEW(a, int64_t, data->U + 1, e)};
    d.mark = NEW(a, int8_t, data->I, e);
    d.free = NEW(a, int32_t, data->I, e);
    d.drawn = NEW(a, int32_t, data->I, e);
    d.chosen = NEW(a, bool, data->I, e);
    if (!x->start || !d.mark || !d.free || !d.drawn || !d.chosen ||
        (c->negative_files[0] && !read_file(&lines, &n, data, c->negative_files[test], a, e)))
        return false;
    for (int64_t u = 0; u < data->U; u++) {
        bool has_truth = d.truth->start[u + 1] > d.truth->start[u];
        if (has_truth && !c->negative_files[0]) {
            mark_items(&d, &data->train, u, HELD);
            mark_items(&d, d.truth, u, HELD);
            if (c->negatives_each) /* RecBole draws no item of the other part either */
                mark_items(&d, test ? &data->valid : &data->test, u, HELD);
            draw_negatives(&d, u);
        }
        while (at < n && lines[at].user < u)
            at++;
        if (has_truth && at < n && lines[at].user == u)
            mark_line(&d, lines[at].items);
        if (has_truth)
            mark_items(&d, d.truth, u, CANDIDATE);
        if (!add_candidates(x, &d, u, a, e))
            return false;
    }
    return true;
}

void candidates_exclude(const Candidates *x, const DataSet *data, const int32_t *ids, int64_t n, Excluded *out)
{
    int64_t at = 0, row = 0;
    for (int64_t u = 0; u < data->U; u++) { /* ids[row] is the next user of `ids`, which is in ascending order */
        out->start[u] = at;
        if (row == n || ids[row] != u)
            continue;
        row++;
        int64_t k = x->start[u];
        for (int64_t i = 0; i < data->I; i++) {
            if (k < x->start[u + 1] && x->item[k] == i)
                k++;
            else
                out->item[at++] = (int32_t)i;
        }
    }
    out->start[data->U] = at;
}
#endif
