/* tools/ducho/extract.c: the command `sapor extract CONFIG.yml`. It reads a configuration of Ducho and writes its
 * folders of .npy files (recipes.md 9.3). Models that read the same folder of images run together (round.h). */
// flags: -Os
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "tools/ducho/round.h"

const Option extract_options[] = {
    {"shard", 0, "I/N",
     "process only every Nth item, starting with the Ith: 1/4, 2/4, ... divide the work among processes"},
    {"dataset_path", 0, "DIR", "replaces dataset_path of the configuration"},
    {"strict", 0, NULL, "exit status 1 if an item cannot be read; the other items are still processed"},
    OPTION_RESIZE,
    {"single", 0, NULL, "also write all features of a layer to one file, layer.npy, and their ids to layer.ids.txt"},
    {NULL, 0, NULL, NULL},
};

/* Prints a line in the format of Ducho's log. */
static void log_line(const Context *c, const char *level, const char *format, ...) PRINTF_LIKE(3, 4);
static void log_line(const Context *c, const char *level, const char *format, ...)
{
    char when[32] = "";
    time_t now = time(NULL);
    struct tm local;
    va_list args;
    if (!c->progress)
        return;
    if (localtime_r(&now, &local))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
    fprintf(c->progress, "%s | %-8s | ", when, level);
    va_start(args, format);
    vfprintf(c->progress, format, args);
    va_end(args);
    fputc('\n', c->progress);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/* Extractions over the same inputs. They run in one round, or in several rounds if their models together are too large.
 */
typedef struct Group {
    Round round; /* its inputs; it has no jobs */
    const Extraction **list;
    size_t count;
    Error *strict; /* with --strict: the first error, reported at the end */
} Group;

/* Fails if every text has an input_problem, such as invalid UTF-8. Then nothing is written, not even a folder. */
static bool any_readable(const Input *texts, size_t n, Arena *a, Error *e)
{
    for (size_t i = 0; i < n; i++)
        if (!input_problem(&texts[i]))
            return true;
    Error why = {0};
    UnreadableList u = {0};
    for (size_t i = 0; i < n; i++) {
        error_clear(&why);
        fail(&why, SP_FORMAT, "%s", input_problem(&texts[i]));
        if (!unreadable_add(&u, &texts[i], &why, a, e))
            return false;
    }
    return unreadable_fail(&u, n, e);
}

static bool find_inputs(Job *j, Round *r, Error *e)
{
    const Extraction *x = j->x;
    PairedTexts pairs;
    if (!x->texts)
        return true;
    if (!x->images) {
        if (!extraction_texts(&r->inputs, &r->n, x, r->c->progress, r->arena, e) ||
            !any_readable(r->inputs, r->n, r->arena, e))
            return false;
        j->texts = r->inputs;
        return true;
    }
    if (!extraction_pairs(&pairs, r->inputs, r->n, x, r->c->progress, r->arena, e))
        return false;
    j->texts = pairs.texts;
    j->alone = pairs.alone;
    j->alone_count = pairs.alone_count;
    return true;
}

/* Returns the bytes of weights after which a round takes no further model: a quarter of the memory. The last model of a
 * round may exceed the limit. */
static double weights_limit(const Context *c)
{
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    return (c->max_memory ? MIN(memory, (double)c->max_memory) : memory) / 4;
}

/* Opens the job's model, or sets *later: the job must run in a later round. This happens if the round has too many
 * weights already, or if memory runs out while other models are open. */
static bool open_in_round(Job *j, Round *r, bool *later, Error *e)
{
    double weights = 0;
    for (size_t i = 0; i < r->count; i++)
        weights += r->jobs[i].encoder ? (double)store_bytes(r->jobs[i].encoder->store) : 0;
    *later = weights > weights_limit(r->c);
    if (*later || job_open(j, r->c, r->arena, e))
        return true;
    *later = weights > 0 && e->code == SP_MEMORY;
    if (*later)
        error_clear(e);
    return *later;
}

static void end_targets(Job *j)
{
    for (size_t i = 0; i < j->count; i++)
        target_end(&j->targets[i]);
}

/* Begins a job and its targets: selects the items to compute, and opens the model if there are any. If *later becomes
 * true, the job is not begun. */
static bool begin_job(Job *j, Round *r, const Extraction *x, bool *later, Error *e)
{
    uint64_t model;
    bool fresh = false;
    *j = (Job){.x = x, .model = statistics_find(x->model) ? x->model : model_find(x->model, r->arena, e)};
    if (!j->model) {
        error_prefix(e, "%s: ", x->where);
        return false;
    }
    if (!find_inputs(j, r, e) || !model_hash(&model, j->model, r->arena, e) ||
        !(j->targets = NEW(r->arena, Target, x->count, e)))
        return false;
    j->count = x->count;
    for (size_t i = 0; i < j->count; i++) {
        Target *t = &j->targets[i];
        *t = (Target){.x = &x->folders[i], .job = j};
        if (!target_paths(t, model, r->shard, r->arena, e))
            return false;
        fresh = fresh || !folder_exists(t->shard_lock);
    }
    /* If a target has no folder of locks yet, the model is opened first: an unsupported model creates no folder. */
    if (fresh && (!open_in_round(j, r, later, e) || *later))
        return *later;
    for (size_t i = 0; fresh && i < j->count && option_given(r->c, "single"); i++)
        if (j->targets[i].dims != 2)
            return fail(e, SP_SHAPE, "%s: --single: layer %s has feature maps; remove the layer or --single", x->where,
                        j->targets[i].x->layer);
    bool ok = true;
    for (size_t i = 0; ok && i < j->count; i++) {
        ok = target_begin(&j->targets[i], r, e);
        j->left += j->targets[i].left;
    }
    if (ok && j->left && !fresh)
        ok = open_in_round(j, r, later, e);
    if (!ok || *later)
        end_targets(j);
    return ok;
}

static void report(const Target *t, const Context *c, double seconds)
{
    const Extraction *x = t->job->x;
    if (c->json) {
        JsonWriter j = json_record(stdout, "event", "extraction");
        json_members(&j, "model %s layer %s output %s made %zu skipped %zu missing %zu seconds %.2f peak_rss_bytes %zu",
                     x->model, t->x->layer, t->x->path, t->made, t->skipped, t->unreadable.count, seconds,
                     peak_rss_bytes());
        json_finish(&j);
        fflush(stdout);
    }
    log_line(c, "INFO", "%s: %zu made, %zu skipped (unchanged)", t->x->path, t->made, t->skipped);
}

/* Writes the manifests and reports what was done. After a failure, only the manifests are written. */
static bool end_job(Job *j, const Group *g, const Round *r, double seconds, Error *e)
{
    bool ok = e->code == SP_OK;
    for (size_t i = 0; i < j->count; i++) {
        Target *t = &j->targets[i];
        Error ignored = {0};
        if (t->left && !target_manifest(t, r->c, ok ? e : &ignored))
            ok = false;
        ok = ok && target_missing(t, r->c, r->arena, g->strict, e) &&
             (!option_given(r->c, "single") || target_single(t, r, e));
        target_end(t);
    }
    for (size_t i = 0; ok && i < j->count; i++) {
        const char *layer = j->targets[i].x->layer;
        report(&j->targets[i], r->c, seconds);
        if (i + 1 == j->count || strcmp(layer, j->targets[i + 1].x->layer) != 0)
            log_line(r->c, "SUCCESS", "Extraction with layer: %s.%s has been completed in %.2f seconds!", j->x->model,
                     layer, seconds);
    }
    if (ok)
        log_line(r->c, "SUCCESS", "Extraction with model: %s is complete", j->x->model);
    job_close(j);
    return ok;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static const char *round_label(const Round *r, Error *e)
{
    const Extraction *x = r->jobs[0].x;
    Text base = path_base(x->model);
    if (r->count > 1)
        return arena_printf(r->arena, e, "%zu models", r->count);
    return arena_printf(r->arena, e, "%.*s/%s", (int)base.n, base.p, x->folders[0].layer);
}

/* Runs the extractions of the group that fit into one round. The others stay in the group's list. */
static bool run_round(Group *g, Arena *a, Error *e)
{
    Round r = g->round;
    size_t put_off = 0;
    r.arena = a;
    r.batch = 1;
    if (!(r.jobs = NEW(a, Job, g->count, e)))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < g->count; i++) {
        bool later = put_off > 0; /* keeps the order of the configuration */
        ok = later || begin_job(&r.jobs[r.count], &r, g->list[i], &later, e);
        if (!ok)
            job_close(&r.jobs[r.count]);
        else if (later)
            g->list[put_off++] = g->list[i];
        else
            r.count++;
    }
    for (size_t i = 0; i < r.count; i++)
        r.batch = MAX(r.batch, (size_t)r.jobs[i].x->batch);
    for (size_t i = 0; ok && i < r.count; i++) {
        log_line(r.c, "INFO", "Extraction on %s for %s modality", r.jobs[i].x->source, r.jobs[i].x->name);
        log_line(r.c, "INFO", "Extraction model: %s", r.jobs[i].x->model);
        for (size_t k = 0; k < r.jobs[i].count; k++)
            if (k == 0 || strcmp(r.jobs[i].targets[k].x->layer, r.jobs[i].targets[k - 1].x->layer) != 0)
                log_line(r.c, "INFO", "Extraction layer: %s.%s", r.jobs[i].x->model, r.jobs[i].targets[k].x->layer);
    }
    const char *label = ok ? round_label(&r, e) : NULL;
    double begun = now_seconds(), encoders = 0;
    ok = label && round_run(&r, label, e);
    double all = now_seconds() - begun;
    for (size_t i = 0; i < r.count; i++)
        encoders += r.jobs[i].seconds;
    for (size_t i = 0; i < r.count; i++) /* without the time of the other jobs' encoders */
        ok = end_job(&r.jobs[i], g, &r, all - encoders + r.jobs[i].seconds, e) && ok;
    g->count = put_off;
    return ok;
}

/* Hashes the images of the shard. */
static bool read_images(Round *r, Error *e)
{
    r->hashes = NEW(r->arena, uint64_t, r->n, e);
    r->problems = NEW(r->arena, const char *, r->n, e);
    for (size_t i = 0; r->problems && i < r->n; i++) {
        Error why = {0};
        Map m;
        if ((int64_t)(i % (size_t)r->shard.count) != r->shard.index)
            continue;
        if (map_open(&m, r->inputs[i].image, &why)) {
            r->hashes[i] = hash_bytes(m.data, m.bytes, 0);
            map_close(&m);
        } else if (!(r->problems[i] = arena_strndup(r->arena, why.message, strlen(why.message), e))) {
            return false;
        }
    }
    return r->hashes && r->problems;
}

static bool run_group(Group *g, Arena *a, Error *e)
{
    g->round.arena = a;
    if (g->list[0]->images &&
        (!extraction_images(&g->round.inputs, &g->round.n, g->list[0], g->round.c->progress, a, e) ||
         !read_images(&g->round, e)))
        return false;
    while (g->count > 0) {
        Arena *round_arena = arena_new(g->round.c->heap, 0);
        bool ok = round_arena ? run_round(g, round_arena, e) : fail_memory(e, 1, "an extraction");
        arena_free(round_arena);
        if (!ok)
            return false;
    }
    return true;
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool read_shard(const Context *c, Shard *s, Error *e)
{
    const char *given = option_text(c, "shard");
    Text rest = text_of(given ? given : "1/1"), first = rest, total;
    *s = (Shard){0, 1};
    if (!text_next(&rest, '/', &first) || !text_next(&rest, '/', &total) || rest.p || !text_i64(first, &s->index) ||
        !text_i64(total, &s->count) || s->index < 1 || s->index > s->count || s->count > 1 << 20)
        return fail(e, SP_USAGE, "--shard: \"%s\" is not I/N, such as 1/4, with I from 1 to N", given);
    s->index--;
    return s->count == 1 || !option_given(c, "single") ||
           fail(e, SP_USAGE, "--single: run all shards first, then once without --shard: nothing is computed again");
}

#ifdef HAVE_YAML
/* Returns the configuration's path. For a folder: the first .yml or .yaml file in it, as in Ducho. */
static const char *find_config(const char *path, Arena *a, Error *e)
{
    FolderEntry *entries;
    size_t n;
    if (!folder_exists(path))
        return path;
    if (!folder_list(&entries, &n, a, path, e))
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (!entries[i].is_folder &&
            (text_ends(text_of(entries[i].name), ".yml") || text_ends(text_of(entries[i].name), ".yaml")))
            return path_join(a, path, entries[i].name, e);
    fail(e, SP_IO, "%s: holds no .yml or .yaml file", path);
    return NULL;
}

bool extract_config(Extraction **list, size_t *count, Context *c, const char *given, Error *e)
{
    Text source;
    const char *path = find_config(given, c->arena, e), *root = option_text(c, "dataset_path");
    if (!path || !stream_read(&source, c->arena, path, 16 << 20, e))
        return false;
    Yaml *tree = yaml_parse(c->arena, source, path, e);
    if (!tree || (root && !yaml_override(tree, TEXT("dataset_path"), text_of(root), c->arena, e)))
        return false;
    for (size_t i = 0; i < c->override_count; i++) {
        Text value = text_of(c->overrides[i]), key;
        text_next(&value, '=', &key);
        if (!yaml_override(tree, key, value, c->arena, e))
            return false;
    }
    if (!extraction_plan(list, count, tree, c->arena, e))
        return false;
    const Yaml *gpu = yaml_get(tree, "gpu list") ? yaml_get(tree, "gpu list") : yaml_get(tree, "gpu_list");
    if (c->progress && gpu && !text_is(gpu->text, "-1"))
        fprintf(c->progress, "%s: \"%s\" has no effect; --device chooses the device\n", gpu->where, gpu->key.p);
    return true;
}

#endif

bool extraction_times(Context *c, const Extraction *x, size_t *items, const int64_t *batches, size_t count,
                      double *seconds, Error *e)
{
    enum { WARM = 4 }; /* items of the unmeasured first pass, which warms up pages and plans */
    Arena *a = arena_new(c->heap, 0);
    Job j = {.x = x, .count = x->count};
    Round r = {.c = c, .arena = a, .dry = true, .jobs = &j, .count = 1, .shard = {0, 1}};
    if (!a)
        return fail_memory(e, 1, "a benchmark");
    bool ok = (j.model = statistics_find(x->model) ? x->model : model_find(x->model, a, e)) &&
              (!x->images || extraction_images(&r.inputs, &r.n, x, NULL, a, e)) && find_inputs(&j, &r, e) &&
              (j.targets = NEW(a, Target, x->count, e));
    for (size_t i = 0; ok && i < x->count; i++) {
        j.targets[i] = (Target){.x = &x->folders[i], .job = &j, .todo = NEW(a, bool, r.n, e)};
        ok = j.targets[i].todo != NULL;
    }
    size_t all = MIN(*items, r.n);
    ok = ok && job_open(&j, c, a, e);
    for (size_t k = 0; ok && k <= count; k++) {
        size_t now = k ? all : MIN(all, (size_t)WARM);
        for (size_t i = 0; i < x->count; i++)
            for (size_t m = 0; m < r.n; m++)
                j.targets[i].todo[m] = m < now;
        r.batch = k ? (size_t)batches[k - 1] : WARM;
        double begun = now_seconds();
        ok = round_run(&r, "", e);
        if (k)
            seconds[k - 1] = now_seconds() - begun;
    }
    *items = all;
    job_close(&j);
    arena_free(a);
    return ok;
}

static bool same_images(const Extraction *a, const Extraction *b)
{
    return a->images && b->images && strcmp(a->images, b->images) == 0;
}

bool extract_command(Context *c, Error *e)
{
    Shard s;
    Extraction *list;
    Error strict = {0};
    size_t count;
    Resizer resizer = RESIZE_PILLOW;
    if (!read_shard(c, &s, e) || !option_resize(c, &resizer, e) || !extract_config(&list, &count, c, c->args[0], e))
        return false;
    /* --resize applies to models of transformers only: their image processors resize. For torch models, Ducho itself
     * resizes, with Pillow. */
    for (size_t i = 0; i < count; i++)
        if (list[i].images && strcmp(list[i].backend, "transformers") == 0 && !statistics_find(list[i].model))
            list[i].resizer = resizer;
    const Extraction **group = NEW(c->arena, const Extraction *, count, e);
    bool *taken = NEW(c->arena, bool, count, e);
    if (!group || !taken)
        return false;
    for (size_t i = 0; i < count; i++) {
        Group g = {.round = {.c = c, .shard = s}, .list = group, .strict = &strict};
        for (size_t k = i; k < count; k++) {
            if (taken[k] || (k != i && !same_images(&list[i], &list[k])))
                continue;
            taken[k] = true;
            group[g.count++] = &list[k];
        }
        Arena *a = g.count ? arena_new(c->heap, 0) : NULL;
        bool ok = !g.count || (a ? run_group(&g, a, e) : fail_memory(e, 1, "an extraction"));
        arena_free(a);
        if (!ok)
            return false;
    }
    log_line(c, "SUCCESS", "Extraction is complete");
    if (strict.code)
        *e = strict;
    return strict.code == SP_OK;
}
