/* tools/evaluate.c: sapor evaluate RECS --test F. */
#include "tools/recommendations.h"

const Option evaluate_options[] = {
    {"test", 0, "F", "test interactions; they define the relevant items of each user"},
    {"train", 0, "F", "training interactions; they define the known users and items (default: those of --test)"},
    {"metrics", 0, "M,...", "metrics to compute (default Recall,nDCG,HR)"},
    {"cutoffs", 0, "K,...", "list lengths to evaluate (default 10,20)"},
    {"protocol", 0, "P", "elliot or mmrec: definitions of the metrics (default elliot)"},
    {"few", 0, "N",
     "evaluate only items with fewer than N interactions in --train; other items are removed from lists and test data"},
    FORMAT_OPTIONS("format of --test and --train: "),
    {NULL, 0, NULL, NULL},
};

/* One list a user, users ascending; of each at most the first K. */
static bool make_lists(Lists *l, const Recs *r, int64_t K, Arena *a, Error *e)
{
    size_t different = 0;
    for (size_t i = 0; i < r->count; i++)
        different += i == 0 || r->list[i].user != r->list[i - 1].user;
    int32_t *users = NEW(a, int32_t, different, e), *top = NEW(a, int32_t, r->count, e);
    int64_t *start = NEW(a, int64_t, different + 1, e), n = 0, kept = 0;
    if (!users || !top || !start)
        return false;
    for (size_t i = 0; i < r->count; i++) {
        if (i == 0 || r->list[i].user != r->list[i - 1].user) {
            start[n] = kept;
            users[n++] = r->list[i].user;
        }
        if (kept - start[n - 1] < K)
            top[kept++] = r->list[i].item;
    }
    start[n] = kept;
    *l = (Lists){.users = users, .n = n, .start = start, .top = top};
    return true;
}

/* Users with relevant test items and no list. `all_count`: they count with 0 in every metric, so the means of the
 * others are scaled. */
static int64_t count_users_without_list(Scores *s, const DataSet *d, bool all_count)
{
    int64_t judged = relevant_users(&d->test, d->protocol, d->U), without = judged - s->users;
    if (!all_count || !without)
        return without;
    for (size_t i = 0; i < s->metrics * s->cutoffs; i++)
        s->mean[i] *= (double)s->users / (double)judged;
    s->users = judged;
    return without;
}

static bool print_result(Context *c, const Scores *s, int64_t without, size_t unknown, Error *e)
{
    size_t columns = 1 + s->cutoffs;
    if (c->json) {
        char name[64];
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

/* --few N: other items are removed from the lists, whose ranks close up, and from the truth. Items that train does not
 * have stay: they have no interactions. A user whose list has no such item counts as 0 under both protocols: else every
 * model is judged on users of its own. */
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

bool evaluate_command(Context *c, Error *e)
{
    static const char *const METRICS[] = {"Recall", "nDCG", "HR"};
    DataConfig data = {.train = option_text(c, "train"), .test = option_text(c, "test")};
    const char *const *metrics;
    size_t metric_count, cutoff_count;
    int64_t *at, K, few = 0;
    if (!data.test)
        return fail(e, SP_USAGE, "evaluate: --test F (test interactions) is missing");
    if (!read_format(c, &data.format, &data.layout, e) || !read_protocol(c, &data.protocol, e) ||
        !option_list(c, "metrics", ',', &metrics, &metric_count, e) || !option_i64(c, "few", 1, INT32_MAX, &few, e) ||
        !read_cutoffs(c, &at, &cutoff_count, &K, e))
        return false;
    if (metric_count == 0) {
        metrics = METRICS;
        metric_count = COUNT(METRICS);
    }
    const EvalConfig config = {metrics, metric_count, at, cutoff_count};
    if (!measures_check(&config, c->arena, e)) {
        error_prefix(e, "--");
        return false;
    }
    if (few && !data.train)
        return fail(e, SP_USAGE, "--few: --train F is missing; its interactions are counted");
    data.train = data.train ? data.train : data.test;
    DataSet d = {0};
    Recs recs = {0};
    Lists lists = {0};
    Scores s = {0};
    bool ok =
        dataset_load(&d, &data, c->arena, e) &&
        (d.test.start || fail(e, SP_FORMAT, "%s: holds no test rows (x_label 2)", data.test)) &&
        recommendations_read(&recs, c->args[0], &d, c->arena, e) && (!few || keep_few(&recs, &d, few, c->arena, e)) &&
        ratings_check(&config, data.protocol, &d.test, data.test, e) && make_lists(&lists, &recs, K, c->arena, e) &&
        score_lists_of(&s, data.protocol, &lists, &d.test, &config, c->arena, e);
    /* Under Elliot users without a list do not count. MMRec's lists have every user. */
    bool all_count = few || data.protocol == PROTOCOL_MMREC;
    int64_t without = ok ? count_users_without_list(&s, &d, all_count) : 0;
    if (ok && !s.users)
        ok = fail(e, SP_FORMAT, "%s: has no relevant item for any user of %s%s", data.test, c->args[0],
                  data.protocol == PROTOCOL_MMREC ? "" : " (elliot: relevant items have a rating of at least 0)");
    if (!option_given(c, "train") && d.format != FORMAT_INTER) /* its rows are the test's, and are printed as those */
        d.counted[0] = (Counted){0};
    if (ok) /* now that nothing can fail: an error is one line */
        print_dataset(&d, c->progress, c->json ? stdout : NULL);
    dataset_close(&d);
    if (ok && without && c->progress)
        fprintf(c->progress, "warning: %lld of %lld users with %s: %s\n", (long long)without,
                (long long)(all_count ? s.users : s.users + without),
                few ? "test items that --few keeps have no such item in their list" : "test items have no list",
                few         ? "each counts as 0 (--few)"
                : all_count ? "each counts as 0 (mmrec)"
                            : "they are skipped (elliot)");
    if (ok && recs.unknown && c->progress)
        fprintf(c->progress, "%s: skipped lines of unknown users: %zu\n", c->args[0], recs.unknown);
    return ok && print_result(c, &s, without, recs.unknown, e);
}
