/* recsys/train/measures.c: what the settings metrics, cutoffs and validation_metric say. */
// flags: -Os
#include "recsys/train/train.h"

static bool read_metrics(Measures *m, const CommonSettings *s, Arena *a, Error *e)
{
    const char **names = NEW(a, const char *, s->metrics.count, e);
    if (!names)
        return false;
    for (size_t i = 0; i < s->metrics.count; i++) {
        int found = metric_find(s->metrics.at[i]);
        if (found < 0)
            return fail(e, SP_USAGE, "setting metrics=%s: unknown metric '%s'; choose one of %s",
                        TEXT_AS_GIVEN(s, metrics), s->metrics.at[i], metric_names());
        names[i] = metric_at((size_t)found)->name;
    }
    m->eval = (EvalConfig){names, s->metrics.count, s->cutoffs.at, s->cutoffs.count};
    if (measures_check(&m->eval, a, e))
        return true;
    error_prefix(e, "setting ");
    return false;
}

/* "Recall@20" must be one of the figures that are measured. */
static bool read_validation_metric(Measures *m, const CommonSettings *s, Arena *a, Error *e)
{
    Text rest = text_of(s->validation_metric), name;
    text_next(&rest, '@', &name);
    bool known = false;
    if (!text_i64(rest, &m->cutoff))
        return fail(e, SP_USAGE, "setting validation_metric=%s: METRIC@CUTOFF is expected, such as Recall@20",
                    s->validation_metric);
    const char *copy = arena_strndup(a, name.p, name.n, e);
    int found = copy ? metric_find(copy) : -1;
    for (size_t i = 0; found >= 0 && i < m->eval.metric_count; i++)
        if (!strcmp(m->eval.metrics[i], metric_at((size_t)found)->name)) {
            m->metric = m->eval.metrics[i];
            for (size_t j = 0; j < m->eval.cutoff_count; j++)
                known = known || m->eval.cutoffs[j] == m->cutoff;
        }
    if (!copy)
        return false;
    return known || fail(e, SP_USAGE, "setting validation_metric=%s: is not among metrics=%s at cutoffs=%s",
                         s->validation_metric, TEXT_AS_GIVEN(s, metrics), TEXT_AS_GIVEN(s, cutoffs));
}

bool measures_read(Measures *m, const CommonSettings *s, Arena *a, Error *e)
{
    return read_metrics(m, s, a, e) && read_validation_metric(m, s, a, e);
}
