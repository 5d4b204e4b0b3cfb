/* tools/compare/compare_runs.c: reads the inputs of compare: run folders, folders of seeds, files of figures by user.
 */
// flags: -Os
#include "tools/compare/compare.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

/* ---- one run --------------------------------------------------------------------------------- */

static bool compute_means(const ByUser *b, double *mean)
{
    int64_t n = text_index_count(b->users);
    for (size_t f = 0; f < b->figures; f++) {
        double sum = 0;
        for (int64_t u = 0; u < n; u++)
            sum += b->value[f * (size_t)n + (size_t)u];
        mean[f] = sum / (double)n;
    }
    return true;
}

/* Checks that by_user.tsv and result.json are of the same run. mean [figures]: the means of by_user.tsv; result.json
 * has them with nine digits. The check passes if at least one mean that is not 0 is equal in both files, or if all
 * figures are equal. Some figures of result.json are not means over users, so these may differ. */
static bool check_means(const ByUser *b, const double *mean, const Json *result, Error *e)
{
    bool same = false, other = false;
    for (size_t f = 0; f < b->figures; f++) {
        const Json *j = json_get(result, b->names[f]);
        bool near = j && fabs(j->number - mean[f]) <= 1e-8 * fabs(mean[f]);
        same = same || (near && mean[f] != 0);
        other = other || !near;
    }
    return same || !other ||
           fail(e, SP_FORMAT, "%s: its means differ from result.json: it is of another run; train again", b->path);
}

/* Reads a run folder: its figures in the arena `a`, and mean [figures]. */
static bool read_folder(ComparedRun *run, const char *dir, ByUser *b, double **mean, Arena *a, Error *e)
{
    RunConfig config;
    RunResult result;
    const char *path = path_join(a, dir, "by_user.tsv", e);
    if (!path || !run_config_read(&config, dir, a, e) || !run_result_read(&result, &config, dir, a, e))
        return false;
    if (!file_exists(path) || !result.evaluated_part)
        return fail(e, SP_IO,
                    "%s: has no figures by user: the run has no test or validation part, or an earlier version of "
                    "sapor made it; train again",
                    path);
    bool test = !strcmp(result.evaluated_part, "test");
    run->model = config.kind->name;
    run->protocol = config.train.data.protocol;
    run->evaluated_part = test ? "test" : "validation";
    if (!(run->truth_hash = arena_strndup(a, result.truth_hash, strlen(result.truth_hash), e)) ||
        !by_user_read(b, path, a, e) || !(*mean = NEW(a, double, b->figures, e)) || !compute_means(b, *mean))
        return false;
    return check_means(b, *mean, test ? result.test : result.valid, e);
}

static bool same_truth(const ComparedRun *x, const char *x_path, const ComparedRun *y, const char *y_path, Error *e)
{
    if (x->protocol != y->protocol)
        return fail(e, SP_USAGE, "%s uses protocol %s, but %s uses %s: their metrics are not the same", x_path,
                    protocol_names[x->protocol], y_path, protocol_names[y->protocol]);
    if (strcmp(x->evaluated_part, y->evaluated_part))
        return fail(e, SP_USAGE, "%s is evaluated by its %s part, but %s by its %s part", x_path, x->evaluated_part,
                    y_path, y->evaluated_part);
    return !strcmp(x->truth_hash, y->truth_hash) ||
           fail(e, SP_USAGE, "%s and %s are evaluated by different %s data; compare runs of the same data", x_path,
                y_path, x->evaluated_part);
}

/* ---- a folder of seeds ----------------------------------------------------------------------- */

static bool is_seed(const FolderEntry *f)
{
    const char *digits = f->name + 5;
    return f->is_folder && text_starts(text_of(f->name), "seed-") && *digits &&
           strspn(digits, "0123456789") == strlen(digits);
}

static int by_seed(const void *a, const void *b)
{
    const char *x = ((const FolderEntry *)a)->name, *y = ((const FolderEntry *)b)->name;
    size_t n = strlen(x), m = strlen(y);
    return n != m ? (n > m) - (n < m) : strcmp(x, y);
}

/* Adds the figures of one more seed to the sums. has [users]: the number of seeds that have the user. */
static bool add_seed(ComparedRun *run, const ByUser *b, int64_t *has, Error *e)
{
    ByUser *sum = &run->figures;
    size_t n = (size_t)text_index_count(sum->users), m = (size_t)text_index_count(b->users);
    bool same = b->figures == sum->figures;
    for (size_t f = 0; same && f < b->figures; f++)
        same = !strcmp(b->names[f], sum->names[f]);
    if (!same)
        return fail(e, SP_FORMAT, "%s: has other figures than %s", b->path, sum->path);
    for (size_t u = 0; u < n; u++) {
        int64_t at = text_index_find(b->users, text_index_at(sum->users, (int64_t)u));
        if (at < 0)
            continue;
        has[u]++;
        for (size_t f = 0; f < b->figures; f++)
            sum->value[f * n + u] += b->value[f * m + (size_t)at];
    }
    return true;
}

/* Turns the sums into means, for the users that every seed has. */
static bool keep_common(ComparedRun *run, const int64_t *has, Arena *a, Error *e)
{
    ByUser *b = &run->figures;
    size_t n = (size_t)text_index_count(b->users), kept = 0, at = 0;
    for (size_t u = 0; u < n; u++)
        kept += has[u] == (int64_t)run->seeds;
    TextIndex *users = text_index_new(a, e);
    if (!kept)
        return fail(e, SP_FORMAT, "%s: no user is in the figures of every seed", run->path);
    if (!users || !text_index_reserve(users, kept, e))
        return false;
    for (size_t u = 0; u < n; u++)
        if (has[u] == (int64_t)run->seeds && text_index_add(users, text_index_at(b->users, (int64_t)u), e) < 0)
            return false;
    for (size_t f = 0; f < b->figures; f++)
        for (size_t u = 0; u < n; u++)
            if (has[u] == (int64_t)run->seeds)
                /* in place: `at` is never larger than f n + u */
                b->value[at++] = b->value[f * n + u] / (double)run->seeds;
    b->users = users;
    return true;
}

/* Computes the mean and the sample standard deviation of the means [seeds] of each figure. */
static void over_seeds(ComparedRun *run, double *const *means)
{
    double n = (double)run->seeds;
    for (size_t f = 0; f < run->figures.figures; f++) {
        double sum = 0, squares = 0;
        for (size_t s = 0; s < run->seeds; s++)
            sum += means[s][f];
        run->mean[f] = sum / n;
        for (size_t s = 0; s < run->seeds; s++)
            squares += (means[s][f] - run->mean[f]) * (means[s][f] - run->mean[f]);
        run->deviation[f] = run->seeds > 1 ? sqrt(squares / (n - 1)) : NAN;
    }
}

/* Reads the folders dir[0] to dir[seeds - 1] one after the other, so that memory does not grow with their number. */
static bool read_seeds(ComparedRun *run, const char *const *dir, Arena *a, Error *e)
{
    double **means = NEW(a, double *, run->seeds, e);
    if (!means || !read_folder(run, dir[0], &run->figures, &means[0], a, e))
        return false;
    size_t n = (size_t)text_index_count(run->figures.users);
    int64_t *has = NEW(a, int64_t, n, e);
    Arena *scratch = arena_new(arena_heap(a), 0);
    bool ok = has && (scratch || fail_memory(e, n, "figures by user"));
    for (size_t u = 0; ok && u < n; u++)
        has[u] = 1;
    for (size_t s = 1; ok && s < run->seeds; s++) {
        ComparedRun one = {0};
        ByUser b;
        double *mean;
        ok = read_folder(&one, dir[s], &b, &mean, scratch, e) && same_truth(run, dir[0], &one, dir[s], e) &&
             (!strcmp(one.model, run->model) ||
              fail(e, SP_USAGE, "%s and %s are runs of different recommenders", dir[0], dir[s])) &&
             add_seed(run, &b, has, e) && (means[s] = NEW(a, double, b.figures, e));
        if (ok)
            memcpy(means[s], mean, b.figures * sizeof *mean);
        arena_rewind(scratch, (ArenaMark){0});
    }
    arena_free(scratch);
    size_t figures = run->figures.figures;
    if (!ok || !(run->mean = NEW(a, double, figures, e)) || !(run->deviation = NEW(a, double, figures, e)))
        return false;
    over_seeds(run, means);
    return run->seeds == 1 || keep_common(run, has, a, e);
}

static bool read_run_folder(ComparedRun *run, const char *path, Arena *a, Error *e)
{
    const char *config = path_join(a, path, "config.json", e);
    FolderEntry *entry;
    size_t n = 0, seeds = 0;
    if (!config || (!file_exists(config) && !folder_list(&entry, &n, a, path, e)))
        return false;
    for (size_t i = 0; i < n; i++)
        if (is_seed(&entry[i]))
            entry[seeds++] = entry[i];
    if (seeds)
        qsort(entry, seeds, sizeof *entry, by_seed);
    run->seeds = MAX(seeds, (size_t)1);
    const char **dir = NEW(a, const char *, run->seeds, e);
    if (!dir)
        return false;
    dir[0] = path;
    for (size_t s = 0; s < seeds; s++)
        if (!(dir[s] = path_join(a, path, entry[s].name, e)))
            return false;
    return read_seeds(run, dir, a, e);
}

bool compared_run_read(ComparedRun *run, const char *path, Arena *a, Error *e)
{
    *run = (ComparedRun){.path = path};
    if (folder_exists(path))
        return read_run_folder(run, path, a, e);
    if (!by_user_read(&run->figures, path, a, e))
        return false;
    size_t n = run->figures.figures;
    if (!(run->mean = NEW(a, double, n, e)) || !(run->deviation = NEW(a, double, n, e)))
        return false;
    for (size_t f = 0; f < n; f++)
        run->deviation[f] = NAN;
    return compute_means(&run->figures, run->mean);
}

/* all runs */

/* Returns the last part of the path, without .tsv. */
static const char *short_name(const char *path, Arena *a, Error *e)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t from = n;
    while (from > 0 && path[from - 1] != '/')
        from--;
    if (text_ends((Text){path + from, n - from}, ".tsv"))
        n -= 4;
    return arena_strndup(a, path + from, n - from, e);
}

/* Labels the runs. A name that is too long, not printable, or equal to another name, is replaced by a number. */
static bool label_runs(Compare *x, Error *e)
{
    Arena *a = x->c->arena;
    for (size_t i = 0; i < x->runs; i++)
        if (!(x->run[i].label = short_name(x->run[i].path, a, e)))
            return false;
    const char **number = NEW(a, const char *, x->runs, e);
    for (size_t i = 0; number && i < x->runs; i++) {
        const char *label = x->run[i].label;
        bool unclear = !*label || strlen(label) > MOST_LABEL || id_problem(text_of(label));
        for (size_t k = 0; !unclear && k < x->runs; k++)
            unclear = k != i && !strcmp(label, x->run[k].label);
        if (unclear && !(number[i] = arena_printf(a, e, "run %zu", i + 1)))
            return false;
    }
    for (size_t i = 0; number && i < x->runs; i++)
        x->run[i].label = number[i] ? number[i] : x->run[i].label;
    return number != NULL;
}

static const char *names_of(const ByUser *b, Arena *a, Error *e)
{
    enum { SHOWN = 20 };
    const char *list = "";
    for (size_t f = 0; list && f < MIN(b->figures, (size_t)SHOWN); f++)
        list = arena_printf(a, e, "%s%s%s", list, f ? ", " : "", b->names[f]);
    return list && b->figures > SHOWN ? arena_printf(a, e, "%s, ...", list) : list;
}

static bool has_figure(const ByUser *b, const char *name)
{
    return text_index_find(b->numbers, text_of(name)) >= 0;
}

static bool choose_given(Compare *x, const char *const *given, Error *e)
{
    const ByUser *first = &x->run[0].figures;
    for (size_t m = 0; m < x->metrics; m++) {
        x->metric[m] = given[m]; /* names are compared without case; the spelling of the first run is used */
        for (size_t f = 0; f < first->figures; f++)
            x->metric[m] = strcasecmp(first->names[f], given[m]) ? x->metric[m] : first->names[f];
        for (size_t i = 0; i < x->runs; i++) {
            const ByUser *b = &x->run[i].figures;
            const char *names = has_figure(b, x->metric[m]) ? "" : names_of(b, x->c->arena, e);
            if (!names || *names)
                return names && fail(e, SP_USAGE, "--metrics: %s has no figure \"%s\"; it has %s", x->run[i].path,
                                     given[m], names);
        }
        for (size_t k = 0; k < m; k++)
            if (!strcmp(x->metric[k], x->metric[m]))
                return fail(e, SP_USAGE, "--metrics: %s is given twice", x->metric[m]);
    }
    return true;
}

static bool choose_metrics(Compare *x, Error *e)
{
    const char *const *given;
    const ByUser *first = &x->run[0].figures;
    if (!option_list(x->c, "metrics", ',', &given, &x->metrics, e) ||
        !(x->metric = NEW(x->c->arena, const char *, x->metrics ? x->metrics : first->figures, e)))
        return false;
    if (x->metrics)
        return choose_given(x, given, e);
    for (size_t f = 0; f < first->figures; f++) {
        bool all = true;
        for (size_t i = 1; all && i < x->runs; i++)
            all = has_figure(&x->run[i].figures, first->names[f]);
        if (all)
            x->metric[x->metrics++] = first->names[f];
    }
    return x->metrics || fail(e, SP_USAGE, "no figure is in all runs: a metric and cutoff, such as Recall@20");
}

bool compared_runs_join(Compare *x, Error *e)
{
    const ComparedRun *first = NULL;
    for (size_t i = 0; i < x->runs; i++) {
        const ComparedRun *run = &x->run[i];
        if (first && run->evaluated_part && !same_truth(first, first->path, run, run->path, e))
            return false;
        first = first || !run->evaluated_part ? first : run;
    }
    return label_runs(x, e) && choose_metrics(x, e);
}
