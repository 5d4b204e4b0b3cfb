/* evaluate.c: sapor evaluate RECS.tsv --test F. */
#include <math.h>
#include <stdlib.h>

#include "tools/tools.h"

const Option evaluate_options[] = {
    {"test", 0, "F", "what users chose in the end: the truth"},
    {"train", 0, "F", "defines the users and items that count (default: the test's)"},
    {"metrics", 0, "M,...", "which figures (default Recall,nDCG,HR)"},
    {"cutoffs", 0, "K,...", "at which lengths of the list (default 10,20)"},
    {"protocol", 0, "P", "elliot or mmrec: whose definitions (default elliot)"},
    {"few", 0, "N",
     "judge apart the items with fewer than N interactions in --train: no other item counts in lists or truth"},
    {"format", 0, "K", "of --test and --train: auto, tsv, inter, recbole or lightgcn (default auto)"},
    {NULL, 0, NULL, NULL},
};

typedef struct Rec {
    double score;
    int32_t user, item;
    size_t line;
} Rec;

typedef struct Recs {
    Rec *list;
    size_t count, room;
    size_t unknown; /* lines of users that do not count */
} Recs;

static int by_user_item(const void *a, const void *b)
{
    const Rec *x = a, *y = b;
    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

/* Best score first; equal scores stay in the file's order. */
static int by_user_score(const void *a, const void *b)
{
    const Rec *x = a, *y = b;
    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

/* Items that the data set does not know still take their place in a list: they get numbers behind its own. */
static bool read_recs(Recs *r, const char *path, DataSet *d, Arena *a, Error *e)
{
    Text rest, line;
    if (!text_file_read(&rest, a, path, e))
        return false;
    for (size_t number = 1; text_line(&rest, &line); number++) {
        Text left = line, user, item, score;
        if (text_trim(line).n == 0)
            continue;
        if (!text_next(&left, '\t', &user) || !text_next(&left, '\t', &item) || !text_next(&left, '\t', &score) || left.p)
            return fail(e, SP_FORMAT, "%s:%zu: three columns are wanted (user, item, score, by tabs)", path, number);
        Rec one = {.line = number};
        if (user.n == 0 || item.n == 0)
            return fail(e, SP_FORMAT, "%s:%zu: the %s id is empty", path, number, user.n ? "item" : "user");
        if (!text_f64(score, &one.score) || isnan(one.score))
            return fail(e, SP_FORMAT, "%s:%zu: the score \"%.*s\" is not a number", path, number, (int)MIN(score.n, 40),
                        score.p);
        int64_t u = text_index_find(d->users, user), i = u < 0 ? 0 : text_index_add(d->items, item, e);
        if (i < 0 || (r->count == r->room && !(r->list = arena_grow(a, r->list, r->count, &r->room, sizeof *r->list, e))))
            return false;
        one.user = (int32_t)u;
        one.item = (int32_t)i;
        if (u < 0)
            r->unknown++;
        else
            r->list[r->count++] = one;
    }
    if (r->count == 0)
        return fail(e, SP_FORMAT, r->unknown ? "%s: none of its users is in the data" : "%s: holds no recommendation", path);
    qsort(r->list, r->count, sizeof *r->list, by_user_item);
    for (size_t i = 1; i < r->count; i++)
        if (r->list[i].user == r->list[i - 1].user && r->list[i].item == r->list[i - 1].item)
            return fail(e, SP_FORMAT, "%s:%zu: recommends an item that line %zu recommends to the same user", path,
                        r->list[i].line, r->list[i - 1].line);
    qsort(r->list, r->count, sizeof *r->list, by_user_score);
    return true;
}

/* Lists of K items, -1 where they are shorter; users ascending. */
static bool make_lists(const Recs *r, int64_t K, int32_t **users, int32_t **top, int64_t *n, Arena *a, Error *e)
{
    size_t different = 0, numbers;
    for (size_t i = 0; i < r->count; i++)
        different += i == 0 || r->list[i].user != r->list[i - 1].user;
    if (!size_mul(different, (size_t)K, &numbers))
        return fail_memory(e, SIZE_MAX, "the lists");
    *users = NEW(a, int32_t, different, e);
    *top = NEW(a, int32_t, numbers, e);
    if (!*users || !*top)
        return false;
    memset(*top, 0xff, numbers * sizeof **top);
    int64_t row = -1, rank = 0;
    for (size_t i = 0; i < r->count; i++, rank++) {
        if (i == 0 || r->list[i].user != r->list[i - 1].user) {
            (*users)[++row] = r->list[i].user;
            rank = 0;
        }
        if (rank < K)
            (*top)[row * K + rank] = r->list[i].item;
    }
    *n = row + 1;
    return true;
}

static bool print_result(Context *c, const Scores *s, Error *e)
{
    size_t columns = 1 + s->cutoffs;
    if (c->json) {
        printf("{\"event\":\"result\",\"users\":%lld", (long long)s->users);
        for (size_t m = 0; m < s->metrics; m++)
            for (size_t k = 0; k < s->cutoffs; k++)
                printf(",\"%s@%lld\":%.17g", s->names[m], (long long)s->at[k], s->mean[m * s->cutoffs + k]);
        printf("}\n");
        return true;
    }
    const char **cells = NEW(c->arena, const char *, (1 + s->metrics) * columns, e);
    char *align = arena_alloc(c->arena, columns, 1, e);
    if (!cells || !align)
        return false;
    memset(align, 'r', columns);
    align[0] = 'l';
    cells[0] = "metric";
    for (size_t k = 0; k < s->cutoffs; k++) {
        cells[1 + k] = arena_printf(c->arena, e, "@%lld", (long long)s->at[k]);
        for (size_t m = 0; m < s->metrics; m++) {
            cells[(1 + m) * columns] = s->names[m];
            cells[(1 + m) * columns + 1 + k] = arena_printf(c->arena, e, "%.6f", s->mean[m * s->cutoffs + k]);
        }
    }
    if (e->code)
        return false;
    table_print(stdout, cells, 1 + s->metrics, columns, align);
    printf("%lld users\n", (long long)s->users);
    return true;
}

static bool read_cutoffs(const Context *c, int64_t **at, size_t *count, int64_t *largest, Error *e)
{
    const char *const *words;
    if (!option_list(c, "cutoffs", ',', &words, count, e))
        return false;
    bool given = *count > 0;
    *count = given ? *count : 2;
    if (!(*at = NEW(c->arena, int64_t, *count, e)))
        return false;
    *largest = 0;
    for (size_t i = 0; i < *count; i++) {
        if (!given)
            (*at)[i] = i ? 20 : 10;
        else if (!text_i64(text_of(words[i]), &(*at)[i]))
            return fail(e, SP_USAGE, "--cutoffs: \"%.40s\" is not a whole number", words[i]);
        *largest = MAX(*largest, (*at)[i]);
    }
    return true;
}

/* --few N: other items are taken out of the lists, whose ranks close up, and out of the truth, as if they did not exist. Items that train
 * does not have stay: they have no interactions. */
static bool keep_few(Recs *r, DataSet *d, int64_t few, Arena *a, Error *e)
{
    int64_t *count = NEW(a, int64_t, text_index_count(d->items), e), kept = 0, first = 0;
    size_t n = 0;
    if (!count)
        return false;
    for (int64_t i = 0; i < d->train.count; i++)
        count[d->train.item[i]]++;
    for (size_t i = 0; i < r->count; i++)
        if (count[r->list[i].item] < few)
            r->list[n++] = r->list[i];
    r->count = n;
    for (int64_t u = 0; u < d->U; u++) {
        int64_t end = d->test.start[u + 1];
        for (int64_t i = first; i < end; i++)
            if (count[d->test.item[i]] < few) {
                d->test.item[kept] = d->test.item[i];
                d->test.rating[kept++] = d->test.rating[i];
            }
        first = end;
        d->test.start[u + 1] = kept;
    }
    d->test.count = kept;
    return (n && kept) || fail(e, SP_FORMAT, "--few %lld: no %s is of an item with fewer interactions", (long long)few,
                               kept ? "recommendation" : "interaction of --test");
}

/* Longer lists than the longest one there is would hold nothing more. */
static int64_t longest_list(const Recs *r)
{
    int64_t most = 0, run = 0;
    for (size_t i = 0; i < r->count; i++) {
        run = i && r->list[i].user == r->list[i - 1].user ? run + 1 : 1;
        most = MAX(most, run);
    }
    return most;
}

bool evaluate_command(Context *c, Error *e)
{
    static const char *const METRICS[] = {"Recall", "nDCG", "HR"};
    DataConfig data = {.train = option_text(c, "train"), .test = option_text(c, "test")};
    const char *const *metrics;
    size_t metric_count, cutoff_count;
    int64_t *at, K, n = 0, few = 0;
    if (!data.test)
        return fail(e, SP_USAGE, "evaluate: --test F is missing: what users chose in the end");
    if (!read_format(c, &data.format, e) || !read_protocol(c, &data.protocol, e) ||
        !option_list(c, "metrics", ',', &metrics, &metric_count, e) || !option_i64(c, "few", 1, INT32_MAX, &few, e) ||
        !read_cutoffs(c, &at, &cutoff_count, &K, e))
        return false;
    if (metric_count == 0) {
        metrics = METRICS;
        metric_count = COUNT(METRICS);
    }
    if (!measures_check(&(EvalConfig){metrics, metric_count, at, cutoff_count}, c->arena, e)) {
        error_prefix(e, "--");
        return false;
    }
    if (few && !data.train)
        return fail(e, SP_USAGE, "--few: --train F is missing: the interactions that are counted");
    data.train = data.train ? data.train : data.test;
    DataSet d = {0};
    Recs recs = {0};
    int32_t *users = NULL, *top = NULL;
    Scores s = {0};
    bool ok =
        dataset_load(&d, &data, c->arena, e) && read_recs(&recs, c->args[0], &d, c->arena, e) &&
        (!few || keep_few(&recs, &d, few, c->arena, e)) &&
        make_lists(&recs, K = MIN(K, longest_list(&recs)), &users, &top, &n, c->arena, e) &&
        score_lists(&s, data.protocol, users, n, K, top, &d.test, metrics, metric_count, at, cutoff_count, c->arena, e);
    dataset_close(&d);
    if (ok && recs.unknown && c->progress)
        fprintf(c->progress, "%s: lines of users that are not in the data and do not count: %zu\n", c->args[0],
                recs.unknown);
    return ok && print_result(c, &s, e);
}
