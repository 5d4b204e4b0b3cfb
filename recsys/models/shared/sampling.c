/* recsys/models/shared/sampling.c: the recipe that a model follows, and its sampling: see models.h. */
#include "recsys/models/models.h"

const char *const mmrec_variants[] = {[VARIANT_ELLIOT] = "elliot", [VARIANT_MMREC] = "mmrec"};
const char *const paper_variants[] = {
    [VARIANT_ELLIOT] = "elliot", [VARIANT_MMREC] = "mmrec", [VARIANT_PAPER] = "paper"};
const char *const elliot_variants[] = {[VARIANT_ELLIOT] = "elliot", [VARIANT_PAPER] = "paper"};

bool is_mmrec(const Model *m)
{
    const CommonSettings *s = m->settings;
    return s->variant == VARIANT_MMREC;
}

bool is_paper(const Model *m)
{
    const CommonSettings *s = m->settings;
    return s->variant == VARIANT_PAPER;
}

Sampling sampling_none(const Model *m)
{
    (void)m;
    return SAMPLE_NONE;
}

Sampling sampling_uniform_user(const Model *m)
{
    (void)m;
    return SAMPLE_UNIFORM_USER;
}

Sampling sampling_distinct_users_full(const Model *m)
{
    (void)m;
    return SAMPLE_DISTINCT_USERS_FULL;
}

Sampling sampling_every_edge(const Model *m)
{
    (void)m;
    return SAMPLE_EVERY_EDGE;
}

Sampling sampling_every_edge_repeated(const Model *m)
{
    (void)m;
    return SAMPLE_EVERY_EDGE_REPEATED;
}

Sampling sampling_no_negative(const Model *m)
{
    (void)m;
    return SAMPLE_EVERY_EDGE_NO_NEGATIVE;
}

Sampling sampling_by_variant(const Model *m)
{
    return is_mmrec(m) ? SAMPLE_EVERY_EDGE : SAMPLE_UNIFORM_USER;
}
