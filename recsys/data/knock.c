/* recsys/data/knock.c: knock-outs: replaces features by numbers without information about their items. Training then
 * shows how much a modality helps (recipes.md 2.4). */
// flags: -Os
#include "recsys/data/data.h"

const char *const knock_modalities[KNOCK_MODALITIES] = {"visual", "textual", "both"};
const char *const knock_modes[KNOCK_MODES] = {"noise", "zero", "one", "mean", "shuffle"};

bool knocks(const Knock *k, const char *modality)
{
    for (size_t i = 0; i < k->count; i++)
        if (!strcmp(k->names[i], modality) || !strcmp(k->names[i], "both"))
            return true;
    return false;
}

static bool check_names(const DataSet *d, const Knock *k, Arena *a, Error *e)
{
    const char *known = "";
    for (size_t f = 0; known && f < d->feature_count; f++)
        known = arena_printf(a, e, "%s%s, ", known, d->features[f].name);
    if (known && !d->feature_count)
        return fail(e, SP_USAGE, "knock %s: there are no features to knock out: give them with --features",
                    k->names[0]);
    for (size_t i = 0; known && i < k->count; i++) {
        bool found = !strcmp(k->names[i], "both");
        for (size_t f = 0; f < d->feature_count; f++)
            found = found || !strcmp(d->features[f].name, k->names[i]);
        if (!found)
            return fail(e, SP_USAGE, "knock %s: there are no features of this name; choose of %sboth", k->names[i],
                        known);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(k->names[i], k->names[j]))
                return fail(e, SP_USAGE, "knock %s: is given twice", k->names[i]);
    }
    return known != NULL;
}

bool feature_mean(const Feature *f, int64_t I, const bool *lacks, float *mean, Arena *scratch, Error *e)
{
    ArenaMark mark = arena_mark(scratch);
    double *sum = NEW(scratch, double, f->D, e);
    int64_t count = 0;
    for (int64_t i = 0; sum && i < I; i++) {
        count += !lacks || !lacks[i];
        for (int64_t c = 0; c < f->D && (!lacks || !lacks[i]); c++)
            sum[c] += (double)f->data[i * f->D + c];
    }
    for (int64_t c = 0; sum && c < f->D; c++)
        mean[c] = (float)(sum[c] / (double)count);
    arena_rewind(scratch, mark);
    return sum != NULL;
}

/* Writes the replacements to `to` [I, D]. */
static bool replace(const Feature *f, int64_t I, const Knock *k, float *to, Arena *scratch, Error *e)
{
    int64_t D = f->D;
    Draw d = {k->seed, DRAW_KNOCK, draw_name(f->name)};
    uint32_t *order = NEW(scratch, uint32_t, I, e);
    uint64_t *keys = NEW(scratch, uint64_t, 2 * I, e);
    float *mean = NEW(scratch, float, D, e);
    if (!order || !keys || !mean || !feature_mean(f, I, NULL, mean, scratch, e))
        return false;
    for (int64_t i = 0; i < I; i++)
        order[i] = (uint32_t)i;
    draw_shuffle(d, order, (size_t)I, keys);
    for (int64_t i = 0; i < I; i++)
        for (int64_t c = 0; c < D; c++)
            switch (k->mode) {
            case KNOCK_NOISE: to[i * D + c] = 1 + 0.1f * draw_normal(d, (uint64_t)(i * D + c)); break;
            case KNOCK_MEAN: to[i * D + c] = mean[c]; break;
            case KNOCK_SHUFFLE: to[i * D + c] = f->data[(int64_t)order[i] * D + c]; break;
            default: to[i * D + c] = k->mode == KNOCK_ONE;
            }
    return true;
}

bool features_knock(DataSet *d, const Knock *k, Arena *a, Error *e)
{
    Arena *scratch = arena_new(arena_heap(a), 0);
    Feature *list = NEW(a, Feature, d->feature_count, e);
    bool ok = (scratch || fail_memory(e, 4096, "knocking out features")) && list && check_names(d, k, scratch, e);
    for (size_t i = 0; ok && i < d->feature_count; i++) {
        Feature *f = &list[i];
        *f = d->features[i];
        if (!knocks(k, f->name))
            continue;
        float *to = arena_alloc(a, (size_t)d->I, (size_t)f->D * sizeof(float), e);
        ok = to && replace(f, d->I, k, to, scratch, e);
        arena_rewind(scratch, (ArenaMark){0});
        f->data = to;
        f->knocked = knock_modes[k->mode];
    }
    arena_free(scratch);
    if (ok)
        d->features = list;
    return ok;
}
