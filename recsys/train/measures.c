/* recsys/train/measures.c: reads the settings metrics, cutoffs and validation_metric. */
// flags: -Os
#include "recsys/metrics/metrics.h"
#include "recsys/train/train.h"

static bool read_metrics(Measures *m, const CommonSettings *s, Protocol p, Arena *a, Error *e)
{
    m->eval = (EvalConfig){.metrics = s->metrics.at,
                           .metric_count = s->metrics.count,
                           .cutoffs = s->cutoffs.at,
                           .cutoff_count = s->cutoffs.count,
                           .relevance_threshold = s->relevance_threshold};
#ifndef SAPOR_MINIMAL
    if (!sampled_read(&m->eval, &s->negatives, e))
        return false;
#endif
    if (metrics_expand(&m->eval.metrics, &m->eval.metric_count, p, a, e) && measures_check(&m->eval, a, e))
        return true;
    error_prefix(e, "setting ");
    return false;
}

/* "Recall@20" must be a figure that is computed, and the metric must have only one figure. */
static bool read_validation_metric(Measures *m, const CommonSettings *s, Arena *a, Error *e)
{
    Text rest = text_of(s->validation_metric), name;
    text_next(&rest, '@', &name);
    bool known = false;
    if (!text_i64(rest, &m->cutoff))
        return fail(e, SP_USAGE, "setting validation_metric=%s: METRIC@CUTOFF is expected, such as Recall@20",
                    s->validation_metric);
    for (size_t j = 0; j < m->eval.cutoff_count; j++)
        known = known || m->eval.cutoffs[j] == m->cutoff;
    return (known && measures_name(&m->eval, name, &m->metric, a, e)) || e->code ||
           fail(e, SP_USAGE, "setting validation_metric=%s: is not among metrics=%s at cutoffs=%s",
                s->validation_metric, TEXT_AS_GIVEN(s, metrics), TEXT_AS_GIVEN(s, cutoffs));
}

bool measures_read(Measures *m, const CommonSettings *s, Protocol p, Arena *a, Error *e)
{
    return read_metrics(m, s, p, a, e) && read_validation_metric(m, s, a, e);
}
