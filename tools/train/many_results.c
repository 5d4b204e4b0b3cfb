/* tools/train/many_results.c: the summary of several runs: means and deviations, the best run, files, tables. */
// flags: -Os
#include "tools/train/many.h"

#include <math.h>
#include <stdlib.h>

static const char *const PARTS[] = {"valid", "test"};

/* summary */

bool scores_like(Scores *s, const Scores *like, Arena *a, Error *e)
{
    *s = (Scores){0};
    if (!scores_copy(s, like, a, e))
        return false;
    for (size_t f = 0; f < figures_of(s); f++)
        s->mean[f] = 0;
    return true;
}

size_t figures_of(const Scores *s)
{
    return s->mean ? s->metrics * s->cutoffs : 0;
}

/* Computes the mean and the sample standard deviation (n - 1) of one part of the data over n runs. */
static bool summarize_part(Summary *s, const OneRun *runs, size_t n, int part, Arena *a, Error *e)
{
    const Scores *first = part ? &runs[0].test : &runs[0].valid;
    if (!scores_like(&s->mean[part], first, a, e) || !scores_like(&s->deviation[part], first, a, e))
        return false;
    for (size_t f = 0; f < figures_of(first); f++) {
        /* relative to the first value: equal figures have a deviation of exactly 0 */
        double base = first->mean[f], sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++)
            sum += (part ? runs[i].test : runs[i].valid).mean[f] - base;
        double mean = base + sum / (double)n;
        for (size_t i = 0; i < n; i++) {
            double off = (part ? runs[i].test : runs[i].valid).mean[f] - mean;
            squares += off * off;
        }
        s->mean[part].mean[f] = mean;
        s->deviation[part].mean[f] = n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
    }
    return true;
}

/* Gives each failed run the same list of figures as the other runs have. All its values are NaN. */
static bool fill_failed(Many *m, Error *e)
{
    const OneRun *like = m->runs;
    for (size_t i = 0; i < m->count && like->failed; i++)
        like = &m->runs[i];
    if (like->failed)
        return fail(e, SP_FORMAT, "all %zu runs failed; the last one, %s: %.200s", m->count, like->words, like->failed);
    for (size_t i = 0; i < m->count; i++) {
        OneRun *r = &m->runs[i];
        if (!r->failed)
            continue;
        if (!scores_like(&r->valid, &like->valid, m->arena, e) || !scores_like(&r->test, &like->test, m->arena, e))
            return false;
        for (size_t f = 0; f < figures_of(&r->valid); f++)
            r->valid.mean[f] = NAN;
        for (size_t f = 0; f < figures_of(&r->test); f++)
            r->test.mean[f] = NAN;
    }
    return true;
}

bool many_summarize(Many *m, int64_t *best, Error *e)
{
    if (!fill_failed(m, e))
        return false;
    for (int64_t p = 0; p < m->grid.points; p++) {
        Summary *s = &m->points[p];
        const OneRun *runs = m->runs + (size_t)p * m->seed_count;
        for (int part = 0; part < 2; part++)
            if (!summarize_part(s, runs, m->seed_count, part, m->arena, e))
                return false;
        s->figure = figures_of(&s->mean[0]) ? score_of(&s->mean[0], m->metric, m->cutoff) : NAN;
        *best = p == 0 || isnan(m->points[*best].figure) || s->figure > m->points[*best].figure ? p : *best;
    }
    for (size_t i = 0; i < m->seed_count; i++) {
        const OneRun *r = &m->runs[(size_t)*best * m->seed_count + i];
        if (r->failed)
            return fail(e, SP_FORMAT, "each point of the grid has a run that failed, as %s: %.200s", r->words,
                        r->failed);
    }
    return true;
}

/* Returns the best run among the runs of one point. */
static const OneRun *best_run(const Many *m, int64_t point)
{
    const OneRun *runs = m->runs + (size_t)point * m->seed_count, *best = runs;
    for (size_t i = 1; i < m->seed_count; i++)
        if (score_of(&runs[i].valid, m->metric, m->cutoff) > score_of(&best->valid, m->metric, m->cutoff))
            best = &runs[i];
    return best;
}

/* ---- summary.json and trials.tsv ------------------------------------------------------------- */

/* "settings":{"lr":"0.001"} */
static bool put_settings(JsonWriter *w, const Many *m, int64_t point, Error *e)
{
    const Grid *g = &m->grid;
    const char **values = NEW(m->arena, const char *, g->dim_count, e);
    if (!values)
        return false;
    grid_point(g->dims, g->dim_count, point, values);
    json_object(w, "settings");
    for (size_t i = 0; i < g->dim_count; i++) {
        const char *value = point_value(values[i], m->arena, e);
        if (!value)
            return false;
        json_put_string(w, g->dims[i].key, value);
    }
    json_end(w);
    return true;
}

bool json_trial(const Many *m, size_t i, Error *e)
{
    const OneRun *r = &m->runs[i];
    JsonWriter w = json_record(stdout, "event", "trial");
    json_members(&w, "trial %zu of %zu", i + 1, m->count);
    if (!put_settings(&w, m, r->point, e))
        return false;
    json_put_i64(&w, "seed", (int64_t)r->seed);
    if (m->config->out)
        json_put_string(&w, "folder", r->folder);
    if (r->failed)
        json_put_string(&w, "failed", r->failed);
    if (r->epochs)
        json_members(&w, "best_epoch %lld epochs %lld", (long long)r->best_epoch, (long long)r->epochs);
    scores_json(&w, &r->valid, &r->test);
    json_finish(&w);
    return output_flush(e);
}

static void put_parts(JsonWriter *w, const char *key, const Scores parts[2])
{
    char name[SCORE_NAME_BYTES];
    json_object(w, key);
    for (int p = 0; p < 2; p++) {
        json_object(w, PARTS[p]);
        for (size_t i = 0; i < figures_of(&parts[p]); i++)
            json_put_number(w, score_name(&parts[p], i, name, sizeof name), "%.17g", parts[p].mean[i]);
        json_end(w);
    }
    json_end(w);
}

/* Writes the best run of several seeds, or the best point of a grid. Writes nothing without a validation part. */
static bool put_best(JsonWriter *w, const Many *m, int64_t best, Error *e)
{
    const OneRun *run =
        m->seeds_given && m->grid.dim_count == 0 ? best_run(m, best) : &m->runs[(size_t)best * m->seed_count];
    const char *slash = m->grid.dim_count ? strchr(run->folder, '/') : NULL;
    Text folder = text_of(run->folder);
    if (!m->data.valid.start)
        return true;
    json_object(w, "best");
    if (m->grid.dim_count && !put_settings(w, m, best, e))
        return false;
    if (!m->grid.dim_count)
        json_put_i64(w, "seed", (int64_t)run->seed);
    if (slash)
        folder.n = (size_t)(slash - run->folder);
    if (m->config->out)
        json_put_text(w, "folder", folder);
    json_end(w);
    return true;
}

/* Writes the members of summary.json, which are also the members of the result's event. */
static bool put_summary(JsonWriter *w, const Many *m, int64_t best, Error *e)
{
    const Grid *g = &m->grid;
    char chosen_by[80];
    json_members(w, "what %s model %s protocol %s", g->dim_count ? "grid" : "seeds",
                 recommender_find(m->config->model)->name, protocol_names[m->data.protocol]);
    if (g->dim_count)
        json_object(w, "grid");
    for (size_t i = 0; i < g->dim_count; i++) {
        json_array(w, g->dims[i].key);
        for (size_t v = 0; v < g->dims[i].count; v++) {
            const char *value = point_value(g->dims[i].values[v], m->arena, e);
            if (!value)
                return false;
            json_put_string(w, NULL, value);
        }
        json_end(w);
    }
    if (g->dim_count)
        json_end(w);
    json_array(w, "seeds");
    for (size_t i = 0; i < m->seed_count; i++)
        json_put_i64(w, NULL, (int64_t)m->seeds[i]);
    json_end(w);
    if (m->data.valid.start) {
        snprintf(chosen_by, sizeof chosen_by, "%s@%lld of valid", m->metric, (long long)m->cutoff);
        json_put_string(w, "chosen_by", chosen_by);
    }
    if (!put_best(w, m, best, e))
        return false;
    put_parts(w, "mean", m->points[best].mean);
    if (m->seed_count > 1) {
        put_parts(w, "deviation", m->points[best].deviation);
        json_put_string(w, "deviation_of", "the sample: divided by n - 1");
    }
    return true;
}

/* Writes a line of trials.tsv. If `r` is NULL, it writes the names of the columns. */
static bool print_trial(FILE *f, const Many *m, const OneRun *r, Error *e)
{
    const Grid *g = &m->grid;
    const char **values = NEW(m->arena, const char *, g->dim_count, e);
    char name[SCORE_NAME_BYTES];
    if (!values)
        return false;
    if (r)
        grid_point(g->dims, g->dim_count, r->point, values);
    for (size_t i = 0; i < g->dim_count; i++) {
        const char *value = r ? point_value(values[i], m->arena, e) : g->dims[i].key;
        if (!value)
            return false;
        fprintf(f, "%s\t", value);
    }
    if (r)
        fprintf(f, "%llu\t%lld", (unsigned long long)r->seed, (long long)r->best_epoch);
    else
        fputs("seed\tbest epoch", f);
    for (int p = 0; p < 2; p++) {
        const Scores *s = r ? (p ? &r->test : &r->valid) : &m->points[0].mean[p];
        for (size_t i = 0; i < figures_of(s); i++)
            if (r)
                fprintf(f, "\t%.17g", s->mean[i]);
            else
                fprintf(f, "\t%s %s", PARTS[p], score_name(s, i, name, sizeof name));
    }
    return true;
}

static const char *trial_line(const Many *m, const OneRun *r, Error *e)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    bool ok = f && print_trial(f, m, r, e);
    ok = f && fclose(f) == 0 && ok;
    const char *line = ok ? arena_strndup(m->arena, text, bytes, e) : NULL;
    free(text);
    if (!line)
        fail_memory(e, 4096, "a line of trials.tsv");
    return line;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static Out *write_trials(const Many *m, const char *path, Error *e)
{
    const char **lines = NEW(m->arena, const char *, m->count, e), *head = trial_line(m, NULL, e);
    bool ok = lines && head;
    for (size_t i = 0; ok && i < m->count; i++)
        ok = (lines[i] = trial_line(m, &m->runs[i], e)) != NULL;
    Out *o = ok ? out_open(path, m->context->heap, e) : NULL;
    if (o)
        qsort(lines, m->count, sizeof *lines, by_bytes);
    ok = o && out_printf(o, e, "%s\n", head);
    for (size_t i = 0; ok && i < m->count; i++)
        ok = out_printf(o, e, "%s\n", lines[i]);
    if (ok)
        return o;
    out_discard(o);
    return NULL;
}

static Out *write_summary(const Many *m, const char *path, int64_t best, Error *e)
{
    Out *o = out_open(path, m->context->heap, e);
    JsonWriter w = {.out = o, .spaced = true};
    if (!o)
        return NULL;
    json_object(&w, NULL);
    json_lines(&w, 2);
    if (put_summary(&w, m, best, e)) {
        json_finish(&w);
        return o;
    }
    out_discard(o);
    return NULL;
}

/* summary.json is written last: it marks all runs as finished. */
bool many_write(const Many *m, int64_t best, Error *e)
{
    const char *summary, *trials;
    Out *set[2] = {NULL};
    if (!many_path(m, "summary.json", &summary, e) || !many_path(m, "trials.tsv", &trials, e))
        return false;
    if (!summary)
        return true;
    if ((set[1] = write_trials(m, trials, e)) && (set[0] = write_summary(m, summary, best, e)))
        return out_commit_set(set, COUNT(set), e);
    out_discard(set[1]);
    return false;
}

/* tables */

/* Prints a row per seed, then mean and deviation, for valid and test. */
static bool show_seeds(const Many *m, int64_t point, Error *e)
{
    size_t most = 2 * (m->seed_count + 2), n = 0;
    const char **labels = NEW(m->arena, const char *, most, e);
    const Scores **scores = NEW(m->arena, const Scores *, most, e);
    if (!labels || !scores)
        return false;
    for (int p = 0; p < 2; p++) {
        const Summary *s = &m->points[point];
        if (!figures_of(&s->mean[p]))
            continue;
        for (size_t i = 0; i < m->seed_count; i++) {
            const OneRun *r = &m->runs[(size_t)point * m->seed_count + i];
            scores[n] = p ? &r->test : &r->valid;
            labels[n] = m->seeds_given
                            ? arena_printf(m->arena, e, "%s seed %llu", PARTS[p], (unsigned long long)r->seed)
                            : PARTS[p];
            if (!labels[n++])
                return false;
        }
        for (int of = 0; m->seeds_given && of < (m->seed_count > 1 ? 2 : 1); of++) {
            scores[n] = of ? &s->deviation[p] : &s->mean[p];
            if (!(labels[n++] = arena_printf(m->arena, e, "%s %s", PARTS[p], of ? "deviation" : "mean")))
                return false;
        }
    }
    return !n || show_scores(stdout, m->context, labels, scores, n, e);
}

/* Prints a row per point: its values, and the figure that chooses, for valid and test. */
static bool show_points(const Many *m, int64_t best, Error *e)
{
    const Grid *g = &m->grid;
    Arena *a = m->arena;
    bool test = figures_of(&m->points[0].mean[1]) > 0;
    size_t cols = g->dim_count + 2 + test, rows = (size_t)g->points + 1;
    const char **cells;
    char *align;
    if (!table_cells(&cells, &align, rows, cols, a, e))
        return false;
    for (size_t i = 0; i < g->dim_count; i++)
        cells[i] = g->dims[i].key;
    cells[cols - 1] = "";
    align[cols - 1] = 'l';
    for (int p = 0; p < 1 + test; p++)
        if (!(cells[g->dim_count + (size_t)p] =
                  arena_printf(a, e, "%s %s@%lld", PARTS[p], m->metric, (long long)m->cutoff)))
            return false;
    for (int64_t point = 0; point < g->points; point++) {
        const char **row = cells + (size_t)(point + 1) * cols;
        grid_point(g->dims, g->dim_count, point, row);
        for (size_t i = 0; i < g->dim_count; i++)
            if (!(row[i] = point_value(row[i], a, e)))
                return false;
        for (int p = 0; p < 1 + test; p++) {
            double figure = score_of(&m->points[point].mean[p], m->metric, m->cutoff);
            if (!(row[g->dim_count + (size_t)p] = isnan(figure) ? "failed" : arena_printf(a, e, "%.4f", figure)))
                return false;
        }
        row[cols - 1] = point == best ? "best" : "";
    }
    return table_print(stdout, cells, rows, cols, align, a, e) && putchar('\n') != EOF;
}

bool many_show(const Many *m, int64_t best, Error *e)
{
    const char *name = recommender_find(m->config->model)->name, *out = m->config->out;
    if (m->grid.dim_count && !show_points(m, best, e))
        return false;
    if (!show_seeds(m, best, e))
        return false;
    if (m->context->quiet)
        return true;
    if (m->grid.dim_count) {
        const Grid *g = &m->grid;
        const char **values = NEW(m->arena, const char *, g->dim_count, e), *words = NULL;
        if (values)
            grid_point(g->dims, g->dim_count, best, values);
        if (!values || !(words = point_name(g->dims, g->dim_count, values, ' ', m->arena, e)))
            return false;
        printf("%s: best of %lld combinations by %s@%lld of valid%s: %s\n", name, (long long)m->grid.points, m->metric,
               (long long)m->cutoff, m->seeds_given ? ", mean over the seeds" : "", words);
    }
    if (m->seed_count > 1)
        printf("%s: %zu seeds; deviation: standard deviation of the sample (n - 1)\n", name, m->seed_count);
    printf("%s: %zu runs, %speak memory %.0f MB\n", name, m->count,
           figures_of(&m->points[best].mean[0]) + figures_of(&m->points[best].mean[1])
               ? ""
               : "not evaluated (no --valid and no --test), ",
           (double)peak_rss_bytes() / 1e6);
    if (out)
        printf("The result is in %s: summary.json, trials.tsv and a run folder for each run\n", out);
    else
        printf("The result is not saved; --out DIR saves it\n");
    return true;
}

bool many_json(const Many *m, int64_t best, Error *e)
{
    JsonWriter w = json_record(stdout, "event", "result");
    if (!put_summary(&w, m, best, e))
        return false;
    json_members(&w, "peak_rss_bytes %zu", peak_rss_bytes());
    json_finish(&w);
    return true;
}
