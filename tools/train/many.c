/* tools/train/many.c: sapor train with several seeds, or several values of settings: runs one after the other on the
 * same data, their summary, and the best run. Not in MINIMAL.
 *
 * A run does the same as `train` alone, in a separate folder. A stopped command continues where it ended: a finished
 * run is recognised by its files and is not trained again. */
// flags: -Os
#include "tools/train/many.h"

enum { MOST_RUNS = 10000 };

/* the plan of the runs */

static bool read_seeds(Many *m, Error *e)
{
    const char *const *texts;
    size_t n;
    if (!option_list(m->context, "seeds", ',', &texts, &n, e))
        return false;
    m->seeds_given = n > 0;
    if (n > MOST_RUNS)
        return fail(e, SP_USAGE, "--seeds: %zu seeds are given; at most %d are accepted", n, MOST_RUNS);
    m->seed_count = MAX(n, (size_t)1);
    if (!(m->seeds = NEW(m->arena, uint64_t, m->seed_count, e)))
        return false;
    m->seeds[0] = m->config->seed;
    for (size_t i = 0; i < n; i++) {
        int64_t seed;
        if (!text_i64(text_of(texts[i]), &seed) || seed < 0)
            return fail(e, SP_USAGE, "--seeds: \"%s\" is not a whole number of at least 0", texts[i]);
        for (size_t k = 0; k < i; k++)
            if (m->seeds[k] == (uint64_t)seed)
                return fail(e, SP_USAGE, "--seeds: %s is given twice", texts[i]);
        m->seeds[i] = (uint64_t)seed;
    }
    return true;
}

/* Names a run: its folder and its words. */
static bool name_run(const Many *m, OneRun *r, Error *e)
{
    const Grid *g = &m->grid;
    Arena *a = m->arena;
    const char **values = NEW(a, const char *, g->dim_count, e);
    if (!values)
        return false;
    grid_point(g->dims, g->dim_count, r->point, values);
    r->folder = point_folder(g->dims, g->dim_count, values, a, e);
    r->words = point_name(g->dims, g->dim_count, values, ' ', a, e);
    if (!r->folder || !r->words || !m->seeds_given)
        return r->folder && r->words;
    const char *slash = *r->folder ? "/" : "", *blank = *r->words ? " " : "";
    return (r->folder = arena_printf(a, e, "%s%sseed-%llu", r->folder, slash, (unsigned long long)r->seed)) &&
           (r->words = arena_printf(a, e, "%s%sseed %llu", r->words, blank, (unsigned long long)r->seed));
}

/* Plans the runs, as far as possible before the data are read. */
static bool plan(Many *m, Error *e)
{
    Arena *scratch = arena_new(m->context->heap, 0);
    m->count = (size_t)m->grid.points * m->seed_count;
    bool ok = scratch || fail_memory(e, 1, "several runs");
    if (ok && m->count > MOST_RUNS)
        ok = fail(e, SP_USAGE, "train: %zu seeds and %lld combinations of settings are more than %d runs; try fewer",
                  m->seed_count, (long long)m->grid.points, MOST_RUNS);
    ok =
        ok && (m->runs = NEW(m->arena, OneRun, m->count, e)) && (m->points = NEW(m->arena, Summary, m->grid.points, e));
    for (size_t i = 0; ok && i < m->count; i++) {
        OneRun *r = &m->runs[i];
        *r = (OneRun){.point = (int64_t)(i / m->seed_count), .seed = m->seeds[i % m->seed_count]};
        ok = name_run(m, r, e);
    }
    for (int64_t p = 0; ok && p < m->grid.points; p++) {
        TrainConfig t = *m->config;
        ok = grid_set(&m->grid, p, &t.set, &t.set_count, scratch, e) && train_check(&t, scratch, e);
        arena_rewind(scratch, (ArenaMark){0});
    }
    arena_free(scratch);
    return ok;
}

bool many_path(const Many *m, const char *name, const char **path, Error *e)
{
    *path = NULL;
    return !m->config->out || (*path = path_join(m->arena, m->config->out, name, e));
}

static bool check_folder(Many *m, Error *e)
{
    const char *summary, *trials, *config;
    if (!many_path(m, "summary.json", &summary, e) || !many_path(m, "trials.tsv", &trials, e) ||
        !many_path(m, "config.json", &config, e))
        return false;
    if (!summary)
        return true;
    if (file_exists(config))
        return fail(e, SP_USAGE, "%s: is the folder of one run; choose another folder for several", m->config->out);
    return output_check(m->context, "out", summary, e) && output_check(m->context, "out", trials, e);
}

/* Reads the data once, without --knock: each run replaces its features later, with its own seed. */
static bool load_data(Many *m, Error *e)
{
    DataConfig files = m->config->data;
    files.knock.count = 0;
    if (!dataset_load(&m->data, &files, m->arena, e))
        return false;
    return !m->grid.dim_count || m->data.valid.start ||
           fail(e, SP_USAGE,
                "train: --valid F is missing: of several values of %s the best is chosen by the validation part",
                m->grid.dims[0].key);
}

/* ---- the runs -------------------------------------------------------------------------------- */

/* Called before the first epoch of each run. Locks DIR at the first call. If the run is not finished, removes
 * summary.json and trials.tsv, which mark all runs as finished. */
static bool enter_folder(Many *m, bool finished, Error *e)
{
    const char *summary, *trials;
    if (!m->config->out)
        return true;
    if (!m->locked && !(m->locked = folder_lock(&m->lock, m->config->out, e)))
        return false;
    if (m->cleared || finished)
        return true;
    m->cleared = true;
    return many_path(m, "summary.json", &summary, e) && many_path(m, "trials.tsv", &trials, e) &&
           file_remove(summary, e) && file_remove(trials, e);
}

static bool visit(void *arg, const TrainEvent *event, Error *e)
{
    Many *m = arg;
    const Context *c = m->context;
    if (!m->printed_data)
        print_dataset(event->data, c->progress, c->json ? stdout : NULL);
    m->printed_data = m->printer.data = true;
    if (event->kind == TRAIN_BEGIN) {
        m->began = true;
        if (!m->metric && !(m->metric = arena_strndup(m->arena, event->metric, strlen(event->metric), e)))
            return false;
        m->cutoff = event->cutoff;
        if (!enter_folder(m, event->finished, e))
            return false;
    }
    return train_print(&m->printer, event, e);
}

/* Copies the result from the arena of the run. */
static bool keep_result(Many *m, OneRun *r, const TrainResult *result, Error *e)
{
    r->best_epoch = result->best_epoch;
    r->epochs = result->epochs;
    if (!scores_like(&r->valid, &result->valid, m->arena, e) || !scores_like(&r->test, &result->test, m->arena, e))
        return false;
    for (size_t i = 0; i < figures_of(&r->valid); i++)
        r->valid.mean[i] = result->valid.mean[i];
    for (size_t i = 0; i < figures_of(&r->test); i++)
        r->test.mean[i] = result->test.mean[i];
    return true;
}

/* Notes a failed run of a grid and returns true: training may fail for some values of a setting, and the next run is
 * trained. An error before training, an error of the system, or a failure without a grid ends the command: returns
 * false. */
static bool note_failure(Many *m, OneRun *r, Error *e)
{
    FILE *to = m->context->progress;
    if (!m->grid.dim_count || !m->began || e->code != SP_FORMAT)
        return false;
    Error why = *e;
    error_clear(e);
    if (!(r->failed = arena_strndup(m->arena, why.message, strlen(why.message), e)))
        return false;
    if (to)
        fprintf(to, "%s failed: %s\n", m->printer.label, r->failed);
    return true;
}

static bool train_one(Many *m, const Device *d, size_t i, Error *e)
{
    OneRun *r = &m->runs[i];
    Context *c = m->context;
    Arena *a = arena_new(c->heap, 0);
    if (!a)
        return fail_memory(e, 1, "a run");
    TrainConfig t = *m->config;
    TrainResult result = {0};
    t.given = &m->data;
    t.seed = t.data.knock.seed = r->seed;
    t.visit = visit;
    t.arg = m;
    m->printer = (TrainPrinter){.model = t.model, .text = c->progress, .again = i > 0};
    m->printer.label = arena_printf(a, e, "%zu of %zu, %s:", i + 1, m->count, r->words);
    m->began = false;
    bool ok = m->printer.label && (!t.out || (t.out = path_join(a, t.out, r->folder, e))) &&
              grid_set(&m->grid, r->point, &t.set, &t.set_count, a, e) && train_run(d, &t, &result, a, e);
    train_print_end(&m->printer);
    ok = ok ? keep_result(m, r, &result, e) : note_failure(m, r, e);
    arena_free(a);
    if (!ok)
        error_prefix(e, "run %zu of %zu, %s: ", i + 1, m->count, r->words);
    return ok && (!c->json || json_trial(m, i, e));
}

static bool write_recs(const Many *m, int64_t best, int64_t k, Error *e)
{
    for (size_t i = 0; k && i < m->count; i++) {
        const char *folder = NULL;
        if (m->runs[i].point == best &&
            (!many_path(m, m->runs[i].folder, &folder, e) || !save_recommendations(m->context, folder, k, e)))
            return false;
    }
    return true;
}

/* ---- the command ----------------------------------------------------------------------------- */

bool train_many(Context *c, const TrainConfig *t, int64_t save_recs, Error *e)
{
    Many m = {.context = c, .config = t, .arena = c->arena, .lock = {-1}};
    const Device *d = NULL;
    bool ok = read_seeds(&m, e) && grid_read(&m.grid, recommender_find(t->model), t->set, t->set_count, c->arena, e) &&
              plan(&m, e) && check_folder(&m, e) && (d = context_device(c, e)) && load_data(&m, e);
    for (size_t i = 0; ok && i < m.count; i++)
        ok = train_one(&m, d, i, e);
    int64_t best = 0;
    ok = ok && many_summarize(&m, &best, e) && write_recs(&m, best, save_recs, e) && many_write(&m, best, e) &&
         (c->json ? many_json(&m, best, e) : many_show(&m, best, e));
    folder_unlock(&m.lock);
    dataset_close(&m.data);
    return ok;
}
