/* tools/metrics.c: prints the metrics that `sapor evaluate` computes. */
// flags: -Os
#ifndef SAPOR_MINIMAL
#include "tools/recommendations.h"

static const char *needs_words(const Metric *m)
{
    return m->needs & METRIC_TRAIN && m->needs & METRIC_WHOLE    ? "train, whole lists"
           : m->needs & METRIC_WHOLE && m->needs & METRIC_SCORES ? "scores, whole lists"
           : m->needs & METRIC_WHOLE                             ? "whole lists"
           : m->needs & METRIC_TRAIN && m->needs & METRIC_SCORES ? "train, scores"
           : m->needs & (METRIC_TRAIN | METRIC_CATALOGUE)        ? "train"
                                                                 : "";
}

static void json_metric(const Metric *m)
{
    JsonWriter w = json_record(stdout, "metric", m->name);
    json_put_string(&w, "group", m->group);
    json_put_string(&w, "definition_of", m->systems);
    json_put_string(&w, "about", m->about);
    json_put_string(&w, "parameters", m->parameters);
    json_put_string(&w, "needs", needs_words(m));
    json_finish(&w);
}

static const char *about_with_parameters(const Metric *m, Arena *a, Error *e)
{
    return arena_printf(a, e, "%s%s%s", m->about, *m->parameters ? "; parameters: " : "", m->parameters);
}

bool show_metrics(Context *c, Error *e)
{
    const char **cells;
    char *align;
    size_t n = metric_count();
    for (size_t i = 0; c->json && i < n; i++)
        json_metric(metric_at(i));
    if (c->json)
        return true;
    for (size_t i = 0, end = 0; i < n; i = end) {
        while (end < n && !strcmp(metric_at(end)->group, metric_at(i)->group))
            end++;
        if (!table_cells(&cells, &align, 1 + end - i, 4, c->arena, e))
            return false;
        memcpy(align, "lllw", 4);
        cells[0] = metric_at(i)->group;
        cells[1] = "definition of";
        cells[2] = "needs";
        cells[3] = "what it is";
        for (size_t k = i; k < end; k++) {
            const char **row = cells + (1 + k - i) * 4;
            row[0] = metric_at(k)->name;
            row[1] = *metric_at(k)->systems ? metric_at(k)->systems : "sapor";
            row[2] = needs_words(metric_at(k));
            if (!(row[3] = about_with_parameters(metric_at(k), c->arena, e)))
                return false;
        }
        if (!table_print(stdout, cells, 1 + end - i, 4, align, c->arena, e))
            return false;
        printf("\n");
    }
    print_wrapped(
        stdout,
        "A group's name (accuracy, ...) selects its metrics without a required parameter. `all` selects all metrics "
        "that do not need scores or whole lists. A whole list has every item that the user does not have in train, "
        "even if the cutoff is smaller. The definition of a metric is that of --protocol, or of a prefix, as in "
        "recbole.MAP. "
        "Parameters follow the name: DSC:beta=2, "
        "RSP:clustering_name=genre:clustering_file=genres.tsv.",
        0);
    return true;
}
#endif
