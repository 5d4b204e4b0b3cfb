/* tools/run/run.c: sapor run CONFIG.yml: runs a configuration of Elliot or MMRec, or a benchmark, from the data to the
 * results. */
// flags: -Os
#include "tools/tools.h"

const Option run_options[] = {
    {"out", 'o', "DIR", "folder of the ledger, trials and results (default: as the configuration says)"},
    {"set", 0, "KEY=VALUE", "override a top-level key, such as epochs=50; may be repeated"},
    {"jobs", 0, "J", "trials to train in parallel; they share the threads (default 2; 1 with one thread)"},
    {"retry", 0, NULL, "train failed trials again"},
    {"worker", 0, "I/N",
     "train share I of N; I starts at 0; auto reads both from Slurm's job array or mpirun. Workers may share one "
     "folder, or use one each: --ledger joins them"},
    {"slurm", 0, NULL, "only print a file for sbatch: a job array of N workers; --worker 0/N sets N (default 8)"},
    {"ledger", 0, "FILE",
     "add the finished trials of another run: a ledger.sqlite or a file of --export; may be repeated"},
    {"export", 0, "FILE.tsv", "write the finished trials at the end, sorted; the same trials give the same file"},
    {"model", 0, "M", "MMRec: the model"},
    {"dataset", 0, "D", "MMRec: the data set"},
    {"select", 0, "P", "valid or test: the part that chooses the best point (default: CONFIG's, else valid)"},
    {NULL, 0, NULL, NULL},
};

#include <time.h>

#include "tools/run/benchmark.h"
#include "tools/run/run.h"

/* ---- the configuration ----------------------------------------------------------------------- */

static bool read_mmrec(Study *s, const ProtocolConfig *p, const Yaml *root, Context *c, Arena *a, Error *e)
{
    (void)root, (void)c; /* MMRec's configuration may also be a folder; mmrec_read reads all files */
    return mmrec_read(s, p, a, e);
}

static bool read_elliot(Study *s, const ProtocolConfig *p, const Yaml *root, Context *c, Arena *a, Error *e)
{
    (void)c;
    return elliot_read(s, p, root, a, e);
}

static const RunSystem SYSTEMS[] = {
    {"experiment", read_elliot, elliot_write},
    {"benchmark", benchmark_read, NULL},
    {NULL, read_mmrec, mmrec_write},
};

static void note(void *arg, const char *line)
{
    const Context *c = arg;
    if (!c->progress)
        return;
    fputs("note: ", c->progress);
    for (; *line; line++) /* the message may contain words of the file: remove characters that control a terminal */
        fputc((unsigned char)*line < 0x20 || *line == 0x7f ? '?' : *line, c->progress);
    fputc('\n', c->progress);
}

static const RunSystem *find_system(const Yaml *root)
{
    const RunSystem *s = SYSTEMS;
    while (s->key && !yaml_get(root, s->key))
        s++;
    return s;
}

/* Reads --key.path=value, then --set. */
static bool read_overrides(ProtocolConfig *p, Context *c, Error *e)
{
    const char *const *set;
    size_t n;
    if (!option_list(c, "set", 0, &set, &n, e))
        return false;
    const char **all = NEW(c->arena, const char *, c->override_count + n, e);
    for (size_t i = 0; all && i < c->override_count; i++)
        all[p->override_count++] = c->overrides[i];
    for (size_t i = 0; all && i < n; i++) {
        const char *equals = strchr(set[i], '=');
        if (!equals || equals == set[i])
            return fail(e, SP_USAGE, "--set: \"%s\" is not KEY=VALUE, such as epochs=50", set[i]);
        all[p->override_count++] = set[i];
    }
    p->overrides = all;
    return all != NULL;
}

static bool read_study(Study *s, const RunSystem **system, Context *c, Error *e)
{
    ProtocolConfig p = {.path = c->args[0],
                        .model = option_text(c, "model"),
                        .dataset = option_text(c, "dataset"),
                        .out = option_text(c, "out"),
                        .note = note,
                        .arg = c};
    Text source;
    Yaml *root = NULL;
    int select = -1;
    if (!read_overrides(&p, c, e) || !option_choice(c, "select", study_selects, COUNT(study_selects), &select, e))
        return false;
    if (!folder_exists(p.path) &&
        (!stream_read(&source, c->arena, p.path, 16 << 20, e) || !text_decode(&source, p.path, c->arena, e) ||
         !(root = yaml_parse(c->arena, source, p.path, e))))
        return false;
    *system = find_system(root);
    if (!(*system)->read(s, &p, root, c, c->arena, e))
        return false;
    if (select >= 0)
        s->select = (StudySelect)select;
    return true;
}

/* ---- the ledger ------------------------------------------------------------------------------ */

static bool import_ledgers(const Study *s, Context *c, Error *e)
{
    const char *const *files;
    size_t n;
    if (!option_list(c, "ledger", 0, &files, &n, e) || !n)
        return e->code == SP_OK;
    const char *path = path_join(c->arena, s->out, "ledger.sqlite", e);
    Ledger *l = path && folder_make(s->out, e) ? ledger_open(path, e) : NULL;
    bool ok = l != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        int64_t added;
        ok = ledger_import(l, files[i], &added, e);
        if (ok && c->progress)
            fprintf(c->progress, "%s: %lld trials are new\n", files[i], (long long)added);
    }
    ledger_close(l);
    return ok;
}

/* ---- results --------------------------------------------------------------------------------- */

static bool keeps_weights(const Study *s, const Group *g)
{
    for (size_t m = 0; m < s->model_count; m++)
        if (!strcmp(s->models[m].name, g->model))
            return s->models[m].save_weights;
    return false;
}

static void prune_point(const Study *s, const GroupPoint *p, const TextIndex *keep)
{
    for (size_t k = 0; k < p->finished; k++)
        if (text_index_find(keep, text_of(p->rows[k]->key)) < 0)
            study_prune(s, p->rows[k]);
}

/* Removes vectors of trials. They were kept until the best points are known. Only the vectors of the best points stay,
 * if the configuration requests them. Models with equal settings share a folder. */
static bool prune(const Study *s, const StudyView *v, Arena *a, Error *e)
{
    TextIndex *keep = text_index_new(a, e);
    for (size_t g = 0; keep && g < v->group_count; g++) {
        const Group *x = &v->groups[g];
        const GroupPoint *best = x->best >= 0 && keeps_weights(s, x) ? &x->points[x->best] : NULL;
        for (size_t k = 0; best && k < best->finished; k++)
            if (text_index_add(keep, text_of(best->rows[k]->key), e) < 0)
                return false;
    }
    for (size_t g = 0; keep && g < v->group_count; g++)
        for (size_t i = 0; i < v->groups[g].count; i++)
            prune_point(s, &v->groups[g].points[i], keep);
    return keep != NULL;
}

static bool write_results(const Study *s, const RunSystem *system, Context *c, Error *e)
{
    StudyView v;
    const char *path = path_join(c->arena, s->out, "ledger.sqlite", e);
    Ledger *l = path ? ledger_open(path, e) : NULL;
    bool ok = l && study_view(&v, l, c->arena, e);
    ledger_close(l);
    size_t missing = 0;
    if (ok && (s->t_test || s->wilcoxon) &&
        (ok = view_tests(&v, s->out, s->t_test, s->wilcoxon, &missing, c->arena, e)) && missing && c->progress)
        fprintf(c->progress,
                "note: %zu best points have no by_user.tsv in %s/trials, because they were trained elsewhere: they are "
                "not in the tests of significance\n",
                missing, s->out);
    if (!ok || (system->write && !system->write(s, &v, (int64_t)time(NULL), c->arena, e)))
        return false;
    if (!prune(s, &v, c->arena, e) || !run_show_results(&v, c, e))
        return false;
    if (c->progress)
        fprintf(c->progress, "The trials are in %s; the results are in %s\n", path, s->out);
    return true;
}

static bool print_missing(const Study *s, const StudyCounts *n, Context *c, Error *e)
{
    int64_t missing = n->all - n->done - n->failed;
    if (c->json) {
        JsonWriter w = json_record(stdout, "event", "missing");
        json_members(&w, "trials %lld missing %lld running %lld", (long long)n->all, (long long)missing,
                     (long long)n->running);
        json_finish(&w);
    }
    if (c->progress)
        fprintf(c->progress,
                "%s: %lld of %lld trials are not finished (%lld run in other processes): there are no results yet. The "
                "last worker writes them. The same command writes them, too; --ledger FILE adds trials of other "
                "folders\n",
                s->name, (long long)missing, (long long)n->all, (long long)n->running);
    (void)e;
    return true;
}

static bool export_trials(const Study *s, Context *c, Error *e)
{
    const char *to = option_text(c, "export"), *path = to ? path_join(c->arena, s->out, "ledger.sqlite", e) : NULL;
    if (!to)
        return true;
    Ledger *l = path ? ledger_open(path, e) : NULL;
    bool ok = l && ledger_export(l, to, e);
    ledger_close(l);
    return ok;
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool run_share(const Study *s, const RunSystem *system, RunJobs *j, Context *c, Error *e)
{
    StudyCounts n;
    if ((option_given(c, "retry") && !study_retry(j->run, e)) || !study_counts(j->run, &n, e))
        return false;
    run_show_begin(j->printer, s, &n, c);
    bool ok = run_jobs(j, e);
    run_show_end(j->printer);
    if (!ok || !study_counts_all(j->run, &n, e))
        return false;
    ok = n.done + n.failed == n.all ? write_results(s, system, c, e) : print_missing(s, &n, c, e);
    if (!ok || !export_trials(s, c, e))
        return false;
    return !n.failed || fail(e, SP_IO, "%lld of %lld trials failed%s%s; --retry trains them again", (long long)n.failed,
                             (long long)n.all, j->failed ? ", such as " : "", j->failed ? j->failed : "");
}

bool run_command(Context *c, Error *e)
{
    Study s = {0};
    const RunSystem *system;
    TrialShare share;
    RunPrinter printer;
    RunJobs j = {
        .study = &s, .device = context_device_name(c), .heap = c->heap, .printer = &printer, .arena = c->arena};
    if (!read_share(c, &share, e) || !option_i64(c, "jobs", 1, 1024, &j.jobs, e) ||
        !option_i64(c, "threads", 1, 4096, &j.threads, e))
        return false;
    /* docs/measuring.md: two parallel trials with one thread each take less time than two trials in turn with two
     * threads */
    if (!j.jobs)
        j.jobs = MIN(j.threads ? j.threads : threads_available(), 2);
    if (option_given(c, "slurm"))
        return print_sbatch(c, &share, e);
    const char *to = option_text(c, "export");
    if (to && !output_check(c, "export", to, e))
        return false;
    if (!read_study(&s, &system, c, e) || !import_ledgers(&s, c, e) || !(j.run = study_open(&s, share, c->arena, e)))
        return false;
    bool ok = run_share(&s, system, &j, c, e);
    study_close(j.run);
    return ok;
}
