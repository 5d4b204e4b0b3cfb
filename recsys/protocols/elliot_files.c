/* recsys/protocols/elliot_files.c: writes results as Elliot's files: performance, recommendations, weights, log
 * (elliot/result_handler/result_handler.py, elliot/utils/write.py). */
// flags: -Os
#include "recsys/protocols/elliot.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

typedef struct Best { /* the result of a model */
    const ElliotModel *model;
    const StudyModel *study_model;
    const Group *group;      /* NULL: the view has no group of the model */
    size_t index;            /* index of the group in the view */
    const GroupPoint *point; /* the best point; NULL: no result */
    const char *name;        /* elliot_name of the best point */
} Best;
typedef struct Writer {
    const Study *study;
    const StudyView *view;
    const Elliot *x;
    Best *best;                /* [model_count], in the order of the configuration */
    char stamp[32], clock[32]; /* the time, for file names and for lines of the log */
    Arena *arena;
    Error *e;
} Writer;

/* ---- figures --------------------------------------------------------------------------------- */

/* Returns the metric of a figure at the cutoff: "Recall" of "Recall@20". n 0: the figure has another cutoff. */
static Text metric_at_cutoff(const char *figure, int64_t cutoff)
{
    char number[32];
    const char *at = strrchr(figure, '@');
    int n = snprintf(number, sizeof number, "%lld", (long long)cutoff);
    bool same = at && !strncmp(at + 1, number, (size_t)n) && (at[n + 1] == 0 || at[n + 1] == ' ');
    return same ? (Text){figure, (size_t)(at - figure)} : (Text){0};
}

static const GroupPoint *best_of(const Group *g)
{
    return g && !g->absent && g->best >= 0 ? &g->points[g->best] : NULL;
}

/* Finds the group and the best point of each model. */
static bool find_best(Writer *w)
{
    const Study *s = w->study;
    if (!(w->best = NEW(w->arena, Best, s->model_count, w->e)))
        return false;
    for (size_t i = 0; i < s->model_count; i++) {
        Best *b = &w->best[i];
        *b = (Best){.model = &w->x->models[i], .study_model = &s->models[i]};
        for (size_t k = 0; k < w->view->group_count; k++)
            if (!strcmp(w->view->groups[k].model, s->models[i].name)) {
                b->group = &w->view->groups[k];
                b->index = k;
            }
        b->point = best_of(b->group);
        if (b->point && !(b->name = elliot_name(w->x, b->model, b->point->point, w->arena, w->e)))
            return false;
    }
    return true;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static Out *open_table(const Writer *w, const char *kind, const char *rec, int64_t cutoff, const char *ending)
{
    const char *name = arena_printf(w->arena, w->e, "%s%s%s_cutoff_%lld_relthreshold_%s_%s.%s", kind, *rec ? "_" : "",
                                    rec, (long long)cutoff, w->x->threshold, w->stamp, ending);
    const char *path = name ? path_join(w->arena, w->x->performance, name, w->e) : NULL;
    return path ? out_open(path, arena_heap(w->arena), w->e) : NULL;
}

static bool close_table(Out *o, bool ok, Error *e)
{
    if (!ok)
        out_discard(o);
    return ok && out_commit(o, e);
}

static bool put_header(const Writer *w, Out *o, int64_t cutoff)
{
    bool ok = out_printf(o, w->e, "model");
    for (size_t i = 0; ok && i < w->view->figure_count; i++) {
        Text metric = metric_at_cutoff(w->view->figures[i], cutoff);
        ok = !metric.n || out_printf(o, w->e, "\t%.*s", (int)metric.n, metric.p);
    }
    return ok && out_printf(o, w->e, "\n");
}

/* NaN is an empty field, as pandas writes it. */
static bool put_figure(Out *o, double figure, Error *e)
{
    char text[32];
    return isnan(figure) || out_printf(o, e, "%s", python_float(figure, text));
}

/* Writes one line with all metrics; or, as triplets, one line per metric that has a value. */
static bool put_point(const Writer *w, Out *o, const char *name, const GroupPoint *p, int64_t cutoff, bool triplets)
{
    bool ok = triplets || out_tsv_field(o, text_of(name), w->e);
    for (size_t i = 0; ok && i < w->view->figure_count; i++) {
        Text metric = metric_at_cutoff(w->view->figures[i], cutoff);
        if (!metric.n || (triplets && isnan(p->test[i])))
            continue;
        if (triplets)
            ok = out_tsv_field(o, text_of(name), w->e) && out_printf(o, w->e, "\t%.*s", (int)metric.n, metric.p);
        ok = ok && out_write(o, "\t", 1, w->e) && put_figure(o, p->test[i], w->e) &&
             (!triplets || out_write(o, "\n", 1, w->e));
    }
    return ok && (triplets || out_write(o, "\n", 1, w->e));
}

static bool put_title(const Writer *w, Out *o, int64_t cutoff, bool triplets)
{
    return triplets ? out_printf(o, w->e, "model\tmetric\tvalue\n") : put_header(w, o, cutoff);
}

/* Writes rec_cutoff_...: the best point of each model. */
static bool write_best(const Writer *w, int64_t cutoff, bool triplets)
{
    Out *o = open_table(w, triplets ? "triplets_rec" : "rec", "", cutoff, "tsv");
    bool ok = o && put_title(w, o, cutoff, triplets);
    for (size_t i = 0; ok && i < w->study->model_count; i++)
        if (w->best[i].point)
            ok = put_point(w, o, w->best[i].name, w->best[i].point, cutoff, triplets);
    return close_table(o, ok, w->e);
}

/* Writes rec_VBPR_cutoff_...: all points of a model with a search. */
static bool write_points(const Writer *w, const Best *b, int64_t cutoff, bool triplets)
{
    Out *o = open_table(w, triplets ? "triplets_rec" : "rec", b->model->kind->name, cutoff, "tsv");
    bool ok = o && put_title(w, o, cutoff, triplets);
    for (size_t i = 0; ok && i < b->group->count; i++) {
        const GroupPoint *p = &b->group->points[i];
        ArenaMark mark = arena_mark(w->arena);
        const char *name = p->finished ? elliot_name(w->x, b->model, p->point, w->arena, w->e) : "";
        ok = name && (!*name || put_point(w, o, name, p, cutoff, triplets));
        arena_rewind(w->arena, mark);
    }
    return close_table(o, ok, w->e);
}

static bool write_tables(const Writer *w)
{
    bool ok = true;
    for (size_t k = 0; ok && k < w->study->eval.cutoff_count; k++)
        for (int triplets = 0; ok && triplets < (w->x->triplets ? 2 : 1); triplets++) {
            int64_t cutoff = w->study->eval.cutoffs[k];
            ok = write_best(w, cutoff, triplets);
            for (size_t i = 0; ok && i < w->study->model_count; i++)
                if (w->best[i].group && w->best[i].study_model->dim_count)
                    ok = write_points(w, &w->best[i], cutoff, triplets);
        }
    return ok;
}

/* Writes bestmodelparams_...: the configuration of each model at its best point. */
static bool write_configurations(const Writer *w)
{
    int64_t cutoff = w->study->eval.cutoffs[0];
    Out *o = open_table(w, "bestmodelparams", "", cutoff, "json");
    bool ok =
        o && out_printf(o, w->e, "[\n    {\n        \"default_validation_metric\": ") &&
        elliot_put_string(o, w->x->first_metric, w->e) &&
        out_printf(o, w->e, ",\n        \"default_validation_cutoff\": %lld,\n        \"rel_threshold\": %s\n    }",
                   (long long)cutoff, w->x->threshold);
    for (size_t i = 0; ok && i < w->study->model_count; i++) {
        const Best *b = &w->best[i];
        if (!b->point)
            continue;
        int64_t epoch = b->point->finished ? b->point->rows[0]->best_epoch : 0;
        ok = out_printf(o, w->e, ",\n    {\n        \"meta\": ") && elliot_put_meta(o, b->model, w->e) &&
             out_printf(o, w->e, ",\n        \"recommender\": ") && elliot_put_string(o, b->name, w->e) &&
             out_printf(o, w->e, ",\n        \"configuration\": ") &&
             elliot_put_configuration(o, b->model, b->name, b->point->point, epoch, w->arena, w->e) &&
             out_printf(o, w->e, "\n    }");
    }
    return close_table(o, ok && out_printf(o, w->e, "\n]"), w->e);
}

/* ---- tests of significance ------------------------------------------------------------------- */

static const PairTest *find_test(const StudyView *v, size_t i, size_t j, size_t figure)
{
    for (size_t t = 0; t < v->test_count; t++) {
        const PairTest *p = &v->tests[t];
        if (p->figure == figure && ((p->first == i && p->second == j) || (p->first == j && p->second == i)))
            return p;
    }
    return NULL;
}

/* Writes the p values of two models at a cutoff in both orders, as Elliot does. */
static bool put_pair(const Writer *w, Out *o, const Best *one, const Best *two, int64_t cutoff, bool wilcoxon)
{
    bool ok = true;
    char text[32];
    for (size_t f = 0; ok && f < w->view->figure_count; f++) {
        Text metric = metric_at_cutoff(w->view->figures[f], cutoff);
        const PairTest *p = metric.n ? find_test(w->view, one->index, two->index, f) : NULL;
        const char *value = p ? python_float(wilcoxon ? p->w_p : p->t_p, text) : NULL;
        ok = !value ||
             (out_printf(o, w->e, "%s\t%s\t%.*s\t%s\n", one->name, two->name, (int)metric.n, metric.p, value) &&
              out_printf(o, w->e, "%s\t%s\t%.*s\t%s\n", two->name, one->name, (int)metric.n, metric.p, value));
    }
    return ok;
}

static bool write_tests(const Writer *w, bool wilcoxon)
{
    bool ok = true;
    for (size_t k = 0; ok && k < w->study->eval.cutoff_count; k++) {
        int64_t cutoff = w->study->eval.cutoffs[k];
        Out *o = open_table(w, wilcoxon ? "stat_wilcoxon_test" : "stat_paired_ttest", "", cutoff, "tsv");
        ok = o != NULL;
        for (size_t i = 0; ok && i < w->study->model_count; i++)
            for (size_t j = i + 1; ok && j < w->study->model_count; j++)
                if (w->best[i].point && w->best[j].point)
                    ok = put_pair(w, o, &w->best[i], &w->best[j], cutoff, wilcoxon);
        ok = close_table(o, ok, w->e);
    }
    return ok;
}

/* ---- files of trials ------------------------------------------------------------------------- */

/* Copies *from to the file `to`. */
static bool copy_file(const Writer *w, const char *from, const char *to)
{
    Map map;
    if (!map_open(&map, from, w->e))
        return false;
    Out *o = out_open(to, arena_heap(w->arena), w->e);
    bool ok = o && out_write(o, map.data, map.bytes, w->e);
    map_close(&map);
    return close_table(o, ok, w->e);
}

/* Elliot writes lists at each evaluation; here only those of the best epoch are written. */
static bool copy_recs(const Writer *w, const Best *b)
{
    const TrialRow *row = b->point->rows[0];
    bool learns = b->model->kind->batch != BATCH_NONE;
    const char *from, *name = learns
                                  ? arena_printf(w->arena, w->e, "%s_it=%lld.tsv", b->name, (long long)row->best_epoch)
                                  : arena_printf(w->arena, w->e, "%s.tsv", b->name);
    const char *path = name ? path_join(w->arena, w->x->recs, name, w->e) : NULL;
    return path && study_recs(w->study, row, b->study_model->save_recs, &from, w->arena, w->e) &&
           (!from || copy_file(w, from, path));
}

static bool copy_weights(const Writer *w, const Best *b)
{
    static const char *const files[] = {"user.npy",          "item.npy",         "user.ids.txt", "item.ids.txt",
                                        "model.safetensors", "seen.safetensors", "config.json"};
    const char *folder = path_join(w->arena, w->x->weights, b->name, w->e);
    bool ok = folder && folder_make(folder, w->e);
    for (size_t i = 0; ok && i < COUNT(files); i++) {
        const char *from =
            arena_printf(w->arena, w->e, "%s/trials/%s/%s", w->study->out, b->point->rows[0]->key, files[i]);
        const char *to = path_join(w->arena, folder, files[i], w->e);
        ok = from && to && (!file_exists(from) || copy_file(w, from, to));
    }
    return ok;
}

static bool copy_files(const Writer *w)
{
    bool ok = true;
    for (size_t i = 0; ok && i < w->study->model_count; i++) {
        const Best *b = &w->best[i];
        if (!b->point || !b->point->finished)
            continue;
        ok = (!b->study_model->save_recs || copy_recs(w, b)) && (!b->study_model->save_weights || copy_weights(w, b));
    }
    return ok;
}

/* ---- log ------------------------------------------------------------------------------------- */

/* Writes {20: {'Recall': 0.1, ...}}; scripts search for "Best Model results". */
static bool put_results(const Writer *w, Out *o, const GroupPoint *p)
{
    bool ok = out_printf(o, w->e, "{");
    char text[32];
    for (size_t k = 0; ok && k < w->study->eval.cutoff_count; k++) {
        int64_t cutoff = w->study->eval.cutoffs[k];
        const char *between = "";
        ok = out_printf(o, w->e, "%s%lld: {", k ? ", " : "", (long long)cutoff);
        for (size_t f = 0; ok && f < w->view->figure_count; f++) {
            Text metric = metric_at_cutoff(w->view->figures[f], cutoff);
            if (!metric.n)
                continue;
            ok = out_printf(o, w->e, "%s'%.*s': %s", between, (int)metric.n, metric.p, python_float(p->test[f], text));
            between = ", ";
        }
        ok = ok && out_printf(o, w->e, "}");
    }
    return ok && out_printf(o, w->e, "}\n");
}

static bool write_log(const Writer *w)
{
    const char *path = path_join(w->arena, w->x->log, "elliot.log", w->e);
    Out *o = path ? out_open(path, arena_heap(w->arena), w->e) : NULL;
    bool ok = o != NULL;
    for (size_t i = 0; ok && i < w->study->model_count; i++) {
        const Best *b = &w->best[i];
        if (!b->group || !b->point)
            ok = out_printf(o, w->e, "%s: E %s: no result%s%s\n", w->clock, b->study_model->name,
                            b->group && b->group->absent ? ": " : "",
                            b->group && b->group->absent ? b->group->absent : "");
        else
            ok = out_printf(o, w->e, "%s: I %s: Best Model params:\t%s\n%s: I %s: Best Model results:\t", w->clock,
                            b->study_model->name, b->name, w->clock, b->study_model->name) &&
                 put_results(w, o, b->point);
    }
    return close_table(o, ok, w->e);
}

/* ---- all files ------------------------------------------------------------------------------- */

static bool set_stamp(Writer *w, int64_t now)
{
    time_t seconds = (time_t)now;
    struct tm tm;
    if (!localtime_r(&seconds, &tm))
        return fail(w->e, SP_USAGE, "a time of %lld seconds has no date", (long long)now);
    strftime(w->stamp, sizeof w->stamp, "%Y_%m_%d_%H_%M_%S", &tm);
    strftime(w->clock, sizeof w->clock, "%Y-%m-%d %H:%M:%S", &tm);
    return true;
}

/* Reports whether a model of the study is EASER. The names of its files contain its parameter neighborhood, with the
 * number of items if the value is -1. elliot_sizes counts the items. */
static bool needs_items(const Study *s, const Elliot *x)
{
    for (size_t i = 0; i < s->model_count; i++)
        if (!strcmp(x->models[i].kind->name, "EASER"))
            return true;
    return false;
}

bool elliot_write(const Study *s, const StudyView *v, int64_t now, Arena *a, Error *e)
{
    Elliot *x = NEW(a, Elliot, 1, e);
    if (!x)
        return false;
    *x = *(const Elliot *)s->own;
    Writer w = {.study = s, .view = v, .x = x, .arena = a, .e = e};
    if (needs_items(s, x) && !elliot_sizes(x, s, a, e))
        return false;
    return set_stamp(&w, now) && folder_make(x->recs, e) && folder_make(x->weights, e) &&
           folder_make(x->performance, e) && folder_make(x->log, e) && find_best(&w) && write_tables(&w) &&
           write_configurations(&w) && (!s->t_test || write_tests(&w, false)) &&
           (!s->wilcoxon || write_tests(&w, true)) && copy_files(&w) && write_log(&w);
}
