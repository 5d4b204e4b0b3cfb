/* tests/drawn_study.h: makes a StudyView with drawn figures, for any number of data sets, settings, models and points.
 * It may have failures, missing data, copied trials and knock-outs. */
#ifndef SAPOR_DRAWN_STUDY_H
#define SAPOR_DRAWN_STUDY_H

#include <math.h>

#include "recsys/search/search.h"
#include "tests/testing.h"

typedef struct DrawnStudy {
    const char *const *data, *const *settings, *const *models;
    size_t data_count, setting_count, model_count;
    size_t rates, weights; /* number of values of lr and of l_w */
    size_t seeds, epochs;
    /* number of models without features, which come first: their trials are the same in every setting */
    size_t without_features;
    bool failures;      /* every trial of the last model fails, and one point of the first model */
    const char *absent; /* why the last setting of the last data set is missing, or NULL */
    bool t_test, wilcoxon;
} DrawnStudy;

static const char *const study_figures[] = {"Recall@20", "nDCG@20", "HR@20", "Precision@20", "PopREO@20", "Recall@10"};

/* Returns draw number `index`, in [0, 1). */
static inline double study_draw(uint64_t index)
{
    return draw_uniform((Draw){1, DRAW_TEST, 5}, index);
}

/* Returns the text of a history whose metric rises to about 0.9 `top` and then falls a little. */
static inline const char *study_history(Arena *a, double top, size_t epochs, uint64_t draw, Error *e)
{
    size_t room = 64 + 48 * (epochs + 1), n = 0;
    char *text = arena_alloc(a, room, 1, e);
    n += (size_t)snprintf(text, room, "epoch\tloss\tvalid Recall@20\ttest Recall@20\n");
    for (size_t k = 1; k <= epochs; k++) {
        double t = (double)k / (double)epochs,
               y = top * (1 - exp(-5 * t)) * (1 - 0.1 * t) * (1 + 0.02 * study_draw(draw + k));
        n += (size_t)snprintf(text + n, room - n, "%zu\t%.6g\t%.6g\t%.6g\n", k, 0.7 * (1 - 0.8 * t), y, 0.98 * y);
    }
    return text;
}

/* Draws point number `at` of a group, with its trials. place: the number of the group in the draws; groups with equal
 * numbers have equal figures. fails: all trials of the point fail. */
static inline void study_draw_point(StudyView *v, const DrawnStudy *d, Group *g, GroupPoint *p, size_t place, size_t at,
                                    bool fails, Arena *a, Error *e)
{
    static const double RATES[] = {1e-4, 5e-4, 1e-3, 5e-3, 1e-2}, WEIGHTS[] = {1e-5, 1e-2, 1e-1};
    double rate = RATES[at / d->weights % COUNT(RATES)], weight = WEIGHTS[at % d->weights % COUNT(WEIGHTS)],
           top = 0.05 + 0.04 * study_draw(place) - 0.004 * fabs(log10(rate) + 3) - 0.002 * fabs(log10(weight) + 2);
    const char *point = arena_printf(a, e, "lr=%g l_w=%g", rate, weight);
    *p = (GroupPoint){.point = point, .number = (int64_t)at, .trials = d->seeds};
    p->valid = NEW(a, double, v->figure_count, e);
    p->test = NEW(a, double, v->figure_count, e);
    p->deviation = NEW(a, double, v->figure_count, e);
    p->rows = NEW(a, const TrialRow *, d->seeds, e);
    for (size_t k = 0; k < d->seeds; k++) {
        TrialRow *r = &v->rows[v->row_count++];
        *r = (TrialRow){.data = g->data,
                        .setting = g->setting,
                        .fold = "",
                        .model = g->model,
                        .point = point,
                        .seed = k + 1,
                        .number = (int64_t)at,
                        .key = arena_printf(a, e, "%016zx%08zx%08zx", place, at, k),
                        .state = fails ? TRIAL_FAILED : TRIAL_DONE,
                        .message = fails ? "lr: <b>0.01</b> & more: the loss is not finite after epoch 3" : "",
                        .settings = "{}",
                        .best_epoch = 20,
                        .epochs = (int64_t)d->epochs,
                        .valid = "{}",
                        .test = "{}",
                        .history = fails ? "" : study_history(a, top, d->epochs, place * 1000 + at * 100, e),
                        .worker = "",
                        .seconds = 20 * exp(3 * study_draw(place + 77)),
                        .epoch_seconds = 0.4 * exp(3 * study_draw(place + 77)),
                        .peak_bytes = (int64_t)(1e8 + 1e9 * study_draw(place + 99))};
        p->seconds += r->seconds;
        if (!fails)
            p->rows[p->finished++] = r;
    }
    for (size_t f = 0; f < v->figure_count; f++) {
        double scale = f == 1 ? 0.5 : f == 2 ? 1.6 : f == 3 ? 0.09 : f == 5 ? 0.6 : 1;
        p->valid[f] = fails ? NAN : top * scale;
        p->test[f] = fails ? NAN : 0.98 * top * scale;
        p->deviation[f] = fails || d->seeds < 2 ? NAN : 0.0008 * scale;
    }
}

static inline void study_draw_tests(StudyView *v, const DrawnStudy *d, Arena *a, Error *e)
{
    v->tests = NEW(a, PairTest, v->group_count * v->group_count * v->figure_count + 1, e);
    for (size_t i = 0; i < v->group_count; i++)
        for (size_t k = i + 1; k < v->group_count; k++)
            for (size_t f = 0; f < v->figure_count; f++) {
                const Group *x = &v->groups[i], *y = &v->groups[k];
                if (strcmp(x->data, y->data) != 0 || x->best < 0 || y->best < 0)
                    continue;
                double by = x->points[x->best].test[f] - y->points[y->best].test[f], p = exp(-fabs(by) * 900);
                v->tests[v->test_count++] = (PairTest){.first = i,
                                                       .second = k,
                                                       .figure = f,
                                                       .users = 4905,
                                                       .t = d->t_test ? by * 900 : NAN,
                                                       .t_p = d->t_test ? p / 20 : NAN,
                                                       .t_holm = d->t_test ? p : NAN,
                                                       .w = d->wilcoxon ? 1e5 : NAN,
                                                       .w_p = d->wilcoxon ? p / 10 : NAN,
                                                       .w_holm = d->wilcoxon ? fmin(1, 1.3 * p) : NAN};
            }
}

static inline void study_draw_extractions(StudyView *v, const DrawnStudy *d, Arena *a, Error *e)
{
    static const char *const MODALITIES[] = {"visual", "textual"};
    v->extractions = NEW(a, ExtractionRow, v->data_count * v->setting_count * 2 + 1, e);
    for (size_t i = 0; i < d->data_count; i++)
        for (size_t k = 0; k < d->setting_count; k++)
            for (size_t m = 0; m < COUNT(MODALITIES) && !strstr(d->settings[k], "without"); m++)
                v->extractions[v->extraction_count++] = (ExtractionRow){.data = d->data[i],
                                                                        .setting = d->settings[k],
                                                                        .modality = MODALITIES[m],
                                                                        .model = m ? "all-mpnet-base-v2" : "resnet50",
                                                                        .items = 2420,
                                                                        .width = m ? 768 : 2048,
                                                                        .seconds = 30 + 40 * (double)(k + m),
                                                                        .peak_bytes = 900000000};
}

/* Makes the view of the study `d` in the arena. */
static inline void study_drawn(StudyView *v, const DrawnStudy *d, Arena *a)
{
    Error e = {0};
    size_t points = d->rates * d->weights;
    *v = (StudyView){.name = "Ducho meets Elliot",
                     .system = "benchmark",
                     .metric = "Recall@20",
                     .data_count = d->data_count,
                     .setting_count = d->setting_count,
                     .model_count = d->model_count,
                     .figures = (const char **)study_figures,
                     .figure_count = COUNT(study_figures)};
    v->data = (const char **)d->data;
    v->settings = (const char **)d->settings;
    v->models = (const char **)d->models;
    v->groups = NEW(a, Group, d->data_count * d->setting_count * d->model_count + 1, &e);
    v->rows = NEW(a, TrialRow, d->data_count * d->setting_count * d->model_count * points * d->seeds + 1, &e);
    for (size_t i = 0; i < d->data_count; i++)
        for (size_t k = 0; k < d->setting_count; k++)
            for (size_t m = 0; m < d->model_count; m++) {
                Group *g = &v->groups[v->group_count++];
                *g = (Group){.data = d->data[i], .setting = d->settings[k], .model = d->models[m], .best = -1};
                if (d->absent && i + 1 == d->data_count && k + 1 == d->setting_count) {
                    g->absent = d->absent;
                    continue;
                }
                g->count = points;
                g->points = NEW(a, GroupPoint, points + 1, &e);
                size_t place = m < d->without_features ? 1000 * i + m : 1000 * i + 100 * k + m + 40;
                for (size_t p = 0; p < points; p++) {
                    bool fails = d->failures && (m + 1 == d->model_count || (m == 0 && p == 1));
                    study_draw_point(v, d, g, &g->points[p], place, p, fails, a, &e);
                    if (!fails && (g->best < 0 || g->points[p].valid[0] > g->points[g->best].valid[0]))
                        g->best = (int64_t)p;
                }
            }
    if (d->t_test || d->wilcoxon)
        study_draw_tests(v, d, a, &e);
    study_draw_extractions(v, d, a, &e);
    assert_int_equal(e.code, SP_OK);
}

#endif
