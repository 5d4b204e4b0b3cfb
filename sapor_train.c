/* sapor_train.c: the public functions that split, train and evaluate with arrays in memory. */
// flags: -Os
#include "sapor_objects.h"

/* ---- split ----------------------------------------------------------------------------------- */

static bool read_strategy(const char *name, SplitConfig *c, Error *e)
{
    static const char *const NAMES[] = {"random", "temporal", "leave-n-out"};
    static const int CODES[] = {SPLIT_RANDOM, SPLIT_TEMPORAL, SPLIT_LEAVE_N_OUT};
    size_t i = 0;
    while (name && i < COUNT(NAMES) && strcmp(name, NAMES[i]) != 0)
        i++;
    if (i == COUNT(NAMES))
        return fail(e, SP_USAGE, "unknown strategy %.60s; choose random, temporal or leave-n-out", name);
    c->strategy = CODES[i];
    return true;
}

bool sp_split(const sp_interactions *x, size_t users, size_t items, const sp_split_options *options,
              const sp_allocator *memory, unsigned char *part, sp_error *e)
{
    sp_split_options o;
    SplitConfig c = {.heap = memory};
    error_clear(e);
    if (!given(x, "the interactions", e) || (x->count && !given(part, "part", e)) ||
        !given(options, "sp_split_options", e) || !read_options(&o, sizeof o, options, "sp_split_options", e) ||
        !read_allocator(memory, e) || !catalogue_check(users, items, e) || !read_strategy(o.strategy, &c, e))
        return false;
    if (o.leave_n > INT64_MAX || o.k_core > INT64_MAX)
        return fail(e, SP_USAGE, "leave_n and k_core count rows: %zu is too large", MAX(o.leave_n, o.k_core));
    c.test_ratio = o.test_ratio;
    c.validation_ratio = o.validation_ratio;
    c.leave_n = (int64_t)o.leave_n;
    c.k_core = (int64_t)o.k_core;
    c.seed = o.seed;
    return split_arrays(x, (int64_t)users, (int64_t)items, &c, part, e);
}

/* ---- training -------------------------------------------------------------------------------- */

typedef struct EventReport {
    const sp_train_options *o;
    Arena *arena;
    const char **names; /* of figures; NULL until the first evaluation */
    size_t count;
} EventReport;

static bool name_figures(EventReport *t, const Scores *s, Error *e)
{
    char name[SCORE_NAME_BYTES];
    t->count = s->metrics * s->cutoffs;
    t->names = NEW(t->arena, const char *, t->count, e);
    for (size_t i = 0; t->names && i < t->count; i++)
        if (!(t->names[i] = arena_printf(t->arena, e, "%s", score_name(s, i, name, sizeof name))))
            return false;
    return t->names != NULL;
}

static bool report_event(void *arg, const TrainEvent *from, Error *e)
{
    EventReport *t = arg;
    if (!t->o->progress || (from->kind != TRAIN_BATCH && from->kind != TRAIN_EPOCH && from->kind != TRAIN_NOTE &&
                            from->kind != TRAIN_MAKE))
        return true;
    bool whole = from->kind == TRAIN_EPOCH;
    /* `batch` of a TRAIN_NOTE is 0 */
    int64_t done = whole ? from->batches : from->batch + (from->kind == TRAIN_BATCH);
    const double *valid = whole && from->valid ? from->valid->mean : NULL,
                 *test = whole && from->test ? from->test->mean : NULL;
    if ((valid || test) && !t->names && !name_figures(t, valid ? from->valid : from->test, e))
        return false;
    sp_train_event event = {.size = sizeof event,
                            .epoch = (size_t)from->epoch,
                            .batch = (size_t)done,
                            .batches = (size_t)from->batches,
                            .evaluated = valid || test,
                            .loss = from->loss,
                            .names = t->names,
                            .valid = valid,
                            .test = test,
                            .figure_count = t->count,
                            .made = (size_t)from->made,
                            .parts = (size_t)from->parts,
                            .note = from->note};
    return t->o->progress(t->o->user, &event) ||
           fail(e, SP_CANCELLED, "training was cancelled after %lld epochs", (long long)from->epoch);
}

static bool read_train(const sp_data *data, const sp_train_options *options, sp_data *d, sp_train_options *o, Error *e)
{
    if (!given(data, "sp_data", e) || !read_options(d, sizeof *d, data, "sp_data", e) ||
        !given(options, "sp_train_options", e) || !read_options(o, sizeof *o, options, "sp_train_options", e) ||
        !given(o->model, "the model", e) || (o->setting_count && !given(o->settings, "settings", e)))
        return false;
    for (size_t i = 0; i < o->setting_count; i++)
        if (!o->settings[i])
            return fail(e, SP_USAGE, "settings[%zu] is NULL", i);
    return true;
}

/* Trains on the session's device. The result is in the memory of the recommender. */
static bool train(sp_session *s, sp_recommender *r, const sp_data *data, const sp_train_options *o, Arena *a, Error *e)
{
    DataSet d;
    TrainResult result = {0};
    EventReport report = {.o = o, .arena = a};
    TrainConfig c = {.model = o->model,
                     .given = &d,
                     .set = o->settings,
                     .set_count = o->setting_count,
                     .out = o->out,
                     .seed = o->seed,
                     .visit = report_event,
                     .arg = &report};
    if (!o->out && !(c.keep = r->trained = trained_new(&r->device, e)))
        return false;
    return dataset_make(&d, data, a, e) && train_run(&s->device, &c, &result, a, e) &&
           (r->trained || (r->trained = trained_open(&r->device, o->out, false, e)));
}

sp_recommender *sp_train(sp_session *s, const sp_data *data, const sp_train_options *options,
                         const sp_allocator *memory, sp_error *e)
{
    sp_data d;
    sp_train_options o;
    error_clear(e);
    if (!read_train(data, options, &d, &o, e) || !session_enter(s, e))
        return NULL;
    sp_recommender *r = new_recommender(memory, e);
    Arena *a = r ? arena_new(s->device.heap, 0) : NULL;
    bool ok = a ? train(s, r, &d, &o, a, e) : r && fail_memory(e, 1, "training");
    arena_free(a);
    session_leave(s, ok);
    if (ok)
        return r;
    sp_recommender_close(r);
    return NULL;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static bool read_measures(const sp_measures *from, sp_measures *m, EvalConfig *c, Arena *a, Error *e)
{
    if (!given(from, "sp_measures", e) || !read_options(m, sizeof *m, from, "sp_measures", e))
        return false;
    if (!m->metric_count || !m->metrics || !m->cutoff_count || !m->cutoffs)
        return fail(e, SP_USAGE, "sp_measures: metrics and cutoffs are empty or NULL; give one of each or more");
    int64_t *cutoffs = NEW(a, int64_t, m->cutoff_count, e);
    if (!cutoffs)
        return false;
    for (size_t i = 0; i < m->metric_count; i++)
        if (!m->metrics[i])
            return fail(e, SP_USAGE, "metrics[%zu] is NULL", i);
    for (size_t i = 0; i < m->cutoff_count; i++)
        cutoffs[i] = (int64_t)MIN(m->cutoffs[i], (size_t)INT64_MAX);
    *c = (EvalConfig){
        .metrics = m->metrics, .metric_count = m->metric_count, .cutoffs = cutoffs, .cutoff_count = m->cutoff_count};
    return measures_check(c, a, e);
}

/* Copies the figures. The caller has room for one figure per metric and cutoff. */
static bool put_figures(const Scores *s, const EvalConfig *c, double *figures, Error *e)
{
    if (ALL_METRICS && s->metrics != c->metric_count)
        return fail(e, SP_USAGE,
                    "metrics: one of them has a figure for each cluster; such metrics are for `sapor "
                    "evaluate` and training");
    memcpy(figures, s->mean, s->metrics * s->cutoffs * sizeof *figures);
    return true;
}

static bool evaluate(const sp_recommender *r, sp_session *s, const sp_interactions *truth, const sp_measures *from,
                     double *figures, Error *e)
{
    sp_measures m;
    EvalConfig c;
    Scores scores = {0};
    if (!read_measures(from, &m, &c, s->scratch, e))
        return false;
    if (m.protocol)
        return fail(e, SP_USAGE, "protocol: is for sp_evaluate_lists; this recommender has its own");
    const sp_recommend_options o = {.progress = m.progress, .user = m.user};
    return trained_evaluate(r->trained, &s->device, truth, &c, &o, &scores, s->scratch, e) &&
           put_figures(&scores, &c, figures, e);
}

bool sp_evaluate(const sp_recommender *r, sp_session *s, const sp_interactions *truth, const sp_measures *m,
                 double *figures, sp_error *e)
{
    error_clear(e);
    return given(r, "the recommender", e) && given(truth, "truth", e) && given(figures, "figures", e) &&
           session_enter(s, e) && session_leave(s, evaluate(r, s, truth, m, figures, e));
}

/* Checks that each user occurs once, and that items are in range and distinct in a list. */
static bool check_lists(const Lists *l, int64_t users, int64_t items, Arena *a, Error *e)
{
    bool *seen = NEW(a, bool, users, e);
    int64_t *row_of = NEW(a, int64_t, items, e); /* the last row that contains the item, from 1 */
    if (!seen || !row_of)
        return false;
    for (int64_t i = 0; i < l->n; i++) {
        int32_t u = l->users[i];
        if (u < 0 || u >= users || seen[u])
            return fail(e, SP_USAGE, "user[%lld] is %d; a number from 0 to %lld is expected, each once", (long long)i,
                        u, (long long)users - 1);
        seen[u] = true;
        for (int64_t k = 0; k < l->K; k++) {
            int32_t item = l->top[i * l->K + k];
            if (item < -1 || item >= items || (item >= 0 && row_of[item] == i + 1))
                return fail(e, SP_USAGE,
                            "lists[%lld, %lld] is %d; a number from -1 to %lld is expected, each once in a list",
                            (long long)i, (long long)k, item, (long long)items - 1);
            if (item >= 0)
                row_of[item] = i + 1;
        }
    }
    return true;
}

static bool evaluate_lists(sp_session *s, size_t users, size_t items, const Lists *l, const sp_interactions *truth,
                           const sp_measures *from, double *figures, Error *e)
{
    sp_measures m;
    EvalConfig c;
    Pairs pairs;
    Protocol p;
    Scores scores = {0};
    Arena *a = s->scratch;
    return read_measures(from, &m, &c, a, e) && protocol_find(m.protocol, &p, e) &&
           check_lists(l, (int64_t)users, (int64_t)items, a, e) &&
           pairs_make(&pairs, truth, "truth", (int64_t)users, (int64_t)items, NULL, a, e) &&
           ratings_check(&c, p, &pairs, "truth", e) && score_lists_of(&scores, p, l, &pairs, &c, a, e) &&
           put_figures(&scores, &c, figures, e);
}

bool sp_evaluate_lists(sp_session *s, size_t users, size_t items, const int32_t *user, size_t n, const int32_t *lists,
                       size_t K, const sp_interactions *truth, const sp_measures *m, double *figures, sp_error *e)
{
    size_t cells;
    error_clear(e);
    if ((n && (!given(user, "user", e) || !given(lists, "lists", e))) || !given(truth, "truth", e) ||
        !given(figures, "figures", e) || !catalogue_check(users, items, e))
        return false;
    if (!K || !size_mul(n, K, &cells) || cells > PTRDIFF_MAX / sizeof *lists)
        return fail(e, SP_USAGE, "K: %zu is out of range; expected 1 or more, and lists that fit into memory", K);
    const DataSet data = {.U = (int64_t)users, .I = (int64_t)items};
    const Lists l = {.users = user, .n = (int64_t)n, .K = (int64_t)K, .top = lists, .data = &data};
    return session_enter(s, e) && session_leave(s, evaluate_lists(s, users, items, &l, truth, m, figures, e));
}
