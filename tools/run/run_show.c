/* tools/run/run_show.c: prints a search as text and as JSON: its progress, each trial, the best points. */
// flags: -Os
#include <math.h>

#include "tools/run/run.h"

/* ---- progress -------------------------------------------------------------------------------- */

void run_show_begin(RunPrinter *p, const Study *s, const StudyCounts *c, Context *context)
{
    int64_t finished = c->done + c->failed;
    *p = (RunPrinter){
        .text = context->progress, .json = context->json ? stdout : NULL, .counts = *c, .study = s, .best = NAN};
    if (p->json) {
        JsonWriter w = json_record(p->json, "event", "study");
        json_members(&w, "name %s system %s out %s trials %lld done %lld failed %lld running %lld", s->name, s->system,
                     s->out, (long long)c->all, (long long)c->done, (long long)c->failed, (long long)c->running);
        json_finish(&w);
        fflush(p->json);
    }
    if (p->text && finished)
        fprintf(p->text, "%s: %lld of %lld trials are finished already\n", s->name, (long long)finished,
                (long long)c->all);
    progress_start(&p->progress, finished < c->all ? p->text : NULL, s->name, "trials", (double)c->all);
    p->progress.done = p->progress.before = (double)finished;
}

void run_show_step(RunPrinter *p, double running)
{
    progress_step(&p->progress, (double)(p->counts.done + p->counts.failed) + running, p->note);
}

/* Prints the validation or test figures of a trial: `object` is the JSON object in its row. */
static void put_figures(JsonWriter *w, const char *key, const char *object)
{
    Error ignored = {0};
    Arena *a = arena_new(NULL, 0);
    const Json *j = a ? json_parse(a, text_of(object), "figures", &ignored) : NULL;
    json_object(w, key);
    for (const Json *f = j ? j->first : NULL; f; f = f->next) {
        char name[100];
        snprintf(name, sizeof name, "%.*s", (int)MIN(f->key.n, sizeof name - 1), f->key.p);
        json_put_number(w, name, "%.*s", (int)MIN(f->text.n, (size_t)30), f->text.p);
    }
    json_end(w);
    arena_free(a);
}

static void put_trial(FILE *to, const TrialRow *row, TrialOutcome outcome)
{
    JsonWriter w = json_record(to, "event", "trial");
    json_members(&w, "data %s setting %s fold %s model %s point %s", row->data, row->setting, row->fold, row->model,
                 row->point);
    json_put_number(&w, "seed", "%llu", (unsigned long long)row->seed);
    json_members(&w, "key %s state %s", row->key, trial_states[row->state]);
    json_put_bool(&w, "copied", outcome == OUTCOME_COPIED);
    if (*row->message)
        json_put_string(&w, "message", row->message);
    json_members(&w, "best_epoch %lld epochs %lld seconds %.3f", (long long)row->best_epoch, (long long)row->epochs,
                 row->seconds);
    put_figures(&w, "valid", row->valid);
    put_figures(&w, "test", row->test);
    json_finish(&w);
    fflush(to);
}

void run_show_trial(RunPrinter *p, const TrialRow *row, TrialOutcome outcome)
{
    double figure = study_figure(p->study, row);
    bool failed = row->state == TRIAL_FAILED;
    p->counts.done += !failed;
    p->counts.failed += failed;
    if (p->json)
        put_trial(p->json, row, outcome);
    if (figure > p->best || (isnan(p->best) && isfinite(figure))) {
        p->best = figure;
        snprintf(p->best_model, sizeof p->best_model, ", best %s@%lld %.4f (%s)", p->study->metric,
                 (long long)p->study->cutoff, figure, row->model);
    }
    snprintf(p->note, sizeof p->note, "%lld failed%s", (long long)p->counts.failed, p->best_model);
    if (failed && p->text)
        fprintf(p->text, "%s%s%s%s %s%s%s seed %llu failed: %s\n", p->progress.is_terminal ? "\r\033[K" : "", row->data,
                *row->setting ? "/" : "", row->setting, row->model, *row->point ? " " : "", row->point,
                (unsigned long long)row->seed, row->message);
}

void run_show_end(RunPrinter *p)
{
    if (p->progress.to)
        progress_end(&p->progress, p->note);
}

/* ---- results --------------------------------------------------------------------------------- */

enum { FIGURES_SHOWN = 4 };

static const char *cutoff_of(const char *figure)
{
    const char *at = strrchr(figure, '@');
    return at ? at : "";
}

/* Chooses the figures of the table: first the study's metric, then the other figures of its cutoff, then the rest in
 * their order. */
static size_t shown_figures(const StudyView *v, size_t shown[FIGURES_SHOWN])
{
    size_t n = 0;
    for (int rank = 0; rank < 3; rank++)
        for (size_t i = 0; i < v->figure_count && n < FIGURES_SHOWN; i++) {
            bool first = !strcmp(v->figures[i], v->metric);
            bool same = !strcmp(cutoff_of(v->figures[i]), cutoff_of(v->metric));
            if ((first ? 0 : same ? 1 : 2) == rank)
                shown[n++] = i;
        }
    return n;
}

/* Returns the test figures of the best point; the validation figures if the study has no test part. */
static const double *figures_of(const GroupPoint *p, size_t figure)
{
    return isfinite(p->test[figure]) ? p->test : p->valid;
}

/* Fills the cells of a group, or of the heading if g is NULL. Returns their number; 0: out of memory. */
static size_t fill_row(const char **cell, const Group *g, const StudyView *v, const size_t *shown, size_t n, Arena *a,
                       Error *e)
{
    const GroupPoint *best = g && g->best >= 0 ? &g->points[g->best] : NULL;
    bool has_settings = v->setting_count > 1 || (v->setting_count && *v->settings[0]);
    size_t cols = 0;
    cell[cols++] = g ? g->data : "data";
    if (has_settings)
        cell[cols++] = g ? g->setting : "features";
    cell[cols++] = g ? g->model : "model";
    for (size_t i = 0; i < n; i++) {
        double x = best ? figures_of(best, shown[i])[shown[i]] : (double)NAN;
        const char *text = !g ? v->figures[shown[i]] : isfinite(x) ? arena_printf(a, e, "%.4f", x) : "-";
        if (!(cell[cols++] = text))
            return 0;
    }
    cell[cols++] = !g ? "best point" : best ? best->point : g->absent ? g->absent : "no point is complete";
    return cols;
}

static bool print_table(const StudyView *v, Context *c, Error *e)
{
    enum { COLUMNS = 4 + FIGURES_SHOWN };
    size_t shown[FIGURES_SHOWN], n = shown_figures(v, shown), cols = 0, rows = 1 + v->group_count;
    const char **cells = NEW(c->arena, const char *, rows *COLUMNS, e);
    if (!cells)
        return false;
    for (size_t r = 0; r < rows; r++)
        if (!(cols = fill_row(cells + r * cols, r ? &v->groups[r - 1] : NULL, v, shown, n, c->arena, e)))
            return false;
    char align[COLUMNS + 1] = "www";
    memset(align + cols - n - 1, 'r', n);
    align[cols - 1] = 'w';
    return table_print(stdout, cells, rows, cols, align, c->arena, e);
}

static void print_json(const StudyView *v)
{
    for (size_t i = 0; i < v->group_count; i++) {
        const Group *g = &v->groups[i];
        JsonWriter w = json_record(stdout, "event", "result");
        json_members(&w, "data %s setting %s model %s", g->data, g->setting, g->model);
        if (g->absent)
            json_put_string(&w, "absent", g->absent);
        if (g->best >= 0) {
            const GroupPoint *p = &g->points[g->best];
            json_members(&w, "point %s trials %zu seconds %.3f", p->point, p->finished, p->seconds);
            for (int part = 0; part < 2; part++) {
                json_object(&w, part ? "test" : "valid");
                for (size_t f = 0; f < v->figure_count; f++)
                    json_put_number(&w, v->figures[f], "%.17g", part ? p->test[f] : p->valid[f]);
                json_end(&w);
            }
        }
        json_finish(&w);
    }
}

static bool print_pairs(const StudyView *v, Context *c, Error *e)
{
    for (size_t i = 0; i < v->test_count; i++) {
        const PairTest *t = &v->tests[i];
        const char *name[2];
        for (int k = 0; k < 2; k++) {
            const Group *g = &v->groups[k ? t->second : t->first];
            if (!(name[k] = arena_printf(c->arena, e, "%s%s%s", g->setting, *g->setting ? "/" : "", g->model)))
                return false;
        }
        JsonWriter w = json_record(stdout, "event", "pair");
        json_members(&w, "data %s metric %s run_a %s run_b %s users %lld", v->groups[t->first].data,
                     v->figures[t->figure], name[0], name[1], (long long)t->users);
        json_members(&w, "t %.17g t_p %.17g t_holm %.17g w %.17g w_p %.17g w_holm %.17g", t->t, t->t_p, t->t_holm, t->w,
                     t->w_p, t->w_holm);
        json_finish(&w);
    }
    return true;
}

bool run_show_results(const StudyView *v, Context *c, Error *e)
{
    if (!c->json)
        return print_table(v, c, e);
    print_json(v);
    return print_pairs(v, c, e);
}
