/* tools/evaluate.c: sapor evaluate RECS --test F. */
#include "tools/recommendations.h"

#include "recsys/training.h"

const Option evaluate_options[] = {
    {"test", 0, "F", "test interactions; they define the relevant items of each user"},
    {"train", 0, "F", "training interactions; they define the known users and items (default: those of --test)"},
    {"metrics", 0, "M,...", "metrics to compute (default Recall,nDCG,HR); `--metrics help` lists them"},
    {"cutoffs", 0, "K,...", "list lengths to evaluate (default 10,20)"},
    {"protocol", 0, "P", "elliot or mmrec: definitions of the metrics (default elliot)"},
    {"few", 0, "N",
     "evaluate only items with fewer than N interactions in --train; other items are removed from lists and test data"},
#ifndef SAPOR_MINIMAL
    {"relevance-threshold", 0, "R", "elliot: items rated below R are not relevant (default 0)"},
    {"by-user", 0, "OUT.tsv", "file to write the values of each user to"},
#endif
    FORMAT_OPTIONS("format of --test and --train: "),
    {NULL, 0, NULL, NULL},
};

/* Makes one list per user, of at most K items. The items of a user are in the order of r, which is sorted by user and
 * rank. The list of a user who is not in the file is empty. */
static bool make_lists(Lists *l, const Recs *r, const DataSet *d, int64_t K, Arena *a, Error *e)
{
    int32_t *users = NEW(a, int32_t, d->U, e), *top = NEW(a, int32_t, r->count, e);
    int64_t *start = NEW(a, int64_t, d->U + 1, e), kept = 0;
    double *score = NEW(a, double, r->count, e);
    size_t i = 0;
    if (!users || !top || !start || !score)
        return false;
    for (int64_t u = 0; u < d->U; u++) {
        users[u] = (int32_t)u;
        for (start[u] = kept; i < r->count && r->list[i].user == u; i++)
            if (kept - start[u] < K) {
                score[kept] = r->list[i].score;
                top[kept++] = r->list[i].item;
            }
    }
    start[d->U] = kept;
    *l = (Lists){.users = users, .n = d->U, .start = start, .top = top, .score = r->scored ? score : NULL, .data = d};
    return true;
}

/* Returns the number of users who have relevant test items and no list. */
static int64_t count_users_without_list(const EvalConfig *c, const Lists *l, const DataSet *d)
{
    int64_t n = 0;
    for (int64_t u = 0; u < d->U; u++) {
        Pairs one = d->test;
        one.start += u;
        n += l->start[u + 1] == l->start[u] && relevant_users_of(c, &one, d->protocol, 1);
    }
    return n;
}

static bool print_result(Context *c, const Scores *s, int64_t without, size_t unknown, Error *e)
{
    size_t columns = 1 + s->cutoffs;
    if (c->json) {
        char name[SCORE_NAME_BYTES];
        JsonWriter w = json_record(stdout, "event", "result");
        json_members(&w, "users %lld without_list %lld lines_of_unknown_users %zu", (long long)s->users,
                     (long long)without, unknown);
        for (size_t i = 0; i < s->metrics * s->cutoffs; i++)
            json_put_number(&w, score_name(s, i, name, sizeof name), "%.17g", s->mean[i]);
        json_finish(&w);
        return true;
    }
    const char **cells;
    char *align;
    if (!table_cells(&cells, &align, 1 + s->metrics, columns, c->arena, e))
        return false;
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
    if (!table_print(stdout, cells, 1 + s->metrics, columns, align, c->arena, e))
        return false;
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

/* Applies --few N. Items with N or more interactions in --train are removed from the lists and from the test
 * interactions. In a list, the items behind a removed item move up one rank. An item without train
 * interactions stays. A user whose list becomes empty counts as 0 under both protocols: otherwise each model would be
 * evaluated on different users. */
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
    return (n && kept) || fail(e, SP_FORMAT, "--few %lld: no %s has an item with fewer than %lld interactions",
                               (long long)few, kept ? "recommendation" : "interaction of --test", (long long)few);
}

static bool read_metrics(const Context *c, Protocol p, EvalConfig *m, Error *e)
{
    static const char *const METRICS[] = {"Recall", "nDCG", "HR"};
    const char *const *metrics;
    if (!option_list(c, "metrics", ',', &metrics, &m->metric_count, e))
        return false;
    if (m->metric_count == 0) {
        metrics = METRICS;
        m->metric_count = COUNT(METRICS);
    }
    m->metrics = metrics;
    return metrics_expand(&m->metrics, &m->metric_count, p, c->arena, e) && measures_check(m, c->arena, e);
}

static bool needs_train(const Context *c, const EvalConfig *m, Protocol p, Error *e)
{
    for (size_t i = 0; ALL_METRICS && !option_given(c, "train") && i < m->metric_count; i++) {
        EvalConfig one = {.metrics = m->metrics + i, .metric_count = 1};
        if (measures_needs(&one, p) & (METRIC_TRAIN | METRIC_CATALOGUE))
            return fail(e, SP_USAGE, "--metrics: %.60s counts items and interactions of the train file: give --train F",
                        m->metrics[i]);
    }
    return true;
}

typedef struct Evaluating {
    DataConfig data;
    EvalConfig config;
    const char *by_user;
    int64_t few, K;
    Recs recs;
    Lists lists;
    Scores scores;
    int64_t without; /* number of users who have relevant test items and no list */
} Evaluating;

static bool read_options(Context *c, Evaluating *x, Error *e)
{
    int64_t *at;
    x->data.train = option_text(c, "train");
    if (!(x->data.test = option_text(c, "test")))
        return fail(e, SP_USAGE, "evaluate: --test F (test interactions) is missing");
    if (!read_format(c, &x->data.format, &x->data.layout, e) || !read_protocol(c, &x->data.protocol, e) ||
        !option_i64(c, "few", 1, INT32_MAX, &x->few, e) || !read_cutoffs(c, &at, &x->config.cutoff_count, &x->K, e))
        return false;
    x->config.cutoffs = at;
#ifndef SAPOR_MINIMAL
    x->by_user = option_text(c, "by-user");
    if ((x->by_user && !output_check(c, "by-user", x->by_user, e)) ||
        !option_f64(c, "relevance-threshold", -1e6, 1e6, &x->config.relevance_threshold, e))
        return false;
#endif
    if (!read_metrics(c, x->data.protocol, &x->config, e)) {
        error_prefix(e, "--");
        return false;
    }
    if (x->few && !x->data.train)
        return fail(e, SP_USAGE, "--few: --train F is missing; --few counts its interactions");
    if (ALL_METRICS && measures_needs(&x->config, x->data.protocol) & METRIC_WHOLE)
        x->K = INT64_MAX;
    x->scores.keep_by_user = x->by_user != NULL;
    return needs_train(c, &x->config, x->data.protocol, e);
}

static bool load_and_score(Evaluating *x, const char *recs, DataSet *d, Arena *a, Error *e)
{
    bool is_mmrec = x->data.protocol == PROTOCOL_MMREC;
    if (!dataset_load(d, &x->data, a, e) ||
        (!d->test.start && !fail(e, SP_FORMAT, "%s: holds no test rows (x_label 2)", x->data.test)) ||
        !recommendations_read(&x->recs, recs, d, a, e) || (x->few && !keep_few(&x->recs, d, x->few, a, e)) ||
        !ratings_check(&x->config, x->data.protocol, &d->test, x->data.test, e) ||
        !make_lists(&x->lists, &x->recs, d, x->K, a, e))
        return false;
    x->lists.count_empty = x->few > 0;
    if (ALL_METRICS && !x->recs.scored && measures_needs(&x->config, x->data.protocol) & METRIC_SCORES)
        return fail(e, SP_FORMAT, "%s: has no scores, which these metrics compare", recs);
    if (!score_lists_of(&x->scores, x->data.protocol, &x->lists, &d->test, &x->config, a, e))
        return false;
    x->without = count_users_without_list(&x->config, &x->lists, d);
    return x->scores.users ||
           (is_mmrec ? fail(e, SP_FORMAT, "%s: has no relevant item for any user of %s", x->data.test, recs)
                     : fail(e, SP_FORMAT,
                            "%s: has no relevant item for any user of %s (elliot: relevant items have a rating of at "
                            "least %g)",
                            x->data.test, recs, x->config.relevance_threshold));
}

static void print_warnings(const Context *c, const Evaluating *x)
{
    /* Under protocol elliot, users without a list do not count. MMRec's lists have every user. */
    bool all_count = x->few || x->data.protocol == PROTOCOL_MMREC;
    if (x->without && c->progress)
        fprintf(c->progress, "warning: %lld of %lld users with %s: %s\n", (long long)x->without,
                (long long)(all_count ? x->scores.users : x->scores.users + x->without),
                x->few ? "test items that --few keeps have no such item in their list" : "test items have no list",
                x->few      ? "each counts as 0 (--few)"
                : all_count ? "each counts as 0 (mmrec)"
                            : "they are skipped (elliot)");
    if (x->recs.unknown && c->progress)
        fprintf(c->progress, "%s: skipped lines of unknown users: %zu\n", c->args[0], x->recs.unknown);
}

#ifndef SAPOR_MINIMAL
static bool write_by_user(const Evaluating *x, const DataSet *d, Error *e)
{
    Out *o = by_user_write(x->by_user, &x->scores, d->users, NULL, e);
    return o && out_commit(o, e);
}
#endif

bool evaluate_command(Context *c, Error *e)
{
    Evaluating x = {0};
    DataSet d = {0};
#ifndef SAPOR_MINIMAL
    const char *metrics = option_text(c, "metrics");
    if (metrics && !strcmp(metrics, "help"))
        return show_metrics(c, e);
#endif
    if (!c->arg_count)
        return fail(e, SP_USAGE, "evaluate: an argument is missing; usage: sapor evaluate RECS.tsv --test F");
    if (!read_options(c, &x, e))
        return false;
    x.data.train = x.data.train ? x.data.train : x.data.test;
    bool ok = load_and_score(&x, c->args[0], &d, c->arena, e);
#ifndef SAPOR_MINIMAL
    ok = ok && (!x.by_user || write_by_user(&x, &d, e));
#endif
    /* Without --train, the train rows are a copy of the test rows: they are printed as test rows only. A .inter file
     * has train rows of its own. */
    if (!option_given(c, "train") && d.format != FORMAT_INTER)
        d.counted[0] = (Counted){0};
    if (ok) /* printed only now, when nothing can fail: an error is one line */
        print_dataset(&d, c->progress, c->json ? stdout : NULL);
    dataset_close(&d);
    if (ok)
        print_warnings(c, &x);
    return ok && print_result(c, &x.scores, x.without, x.recs.unknown, e);
}
