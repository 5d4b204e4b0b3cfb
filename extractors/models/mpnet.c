/* extractors/models/mpnet.c: MPNet (Song et al. 2020) as Hugging Face's MPNetModel computes it: all-mpnet-base-v2. Like
 * BERT without token types; positions begin at the padding token's number + 1. All layers share a bias by relative
 * position, in buckets. */
// flags: -Os
#include "extractors/models/postnorm.h"

#include <math.h>

enum { MAX_DISTANCE = 128, PADDING = 1 };

static const PostNormNames NAMES = {.words = "embeddings.word_embeddings",
                                    .positions = "embeddings.position_embeddings",
                                    .norm = "embeddings.LayerNorm",
                                    .layer = "encoder.layer",
                                    .q = "attention.attn.q",
                                    .k = "attention.attn.k",
                                    .v = "attention.attn.v",
                                    .out = "attention.attn.o",
                                    .norm1 = "attention.LayerNorm",
                                    .fc1 = "intermediate.dense",
                                    .fc2 = "output.dense",
                                    .norm2 = "output.LayerNorm",
                                    .pooler = "pooler.dense"};

static int matches(const ModelSource *s)
{
    return model_has(s, "encoder.layer.0.attention.attn.q.weight", NULL);
}

/* Returns the bucket of `distance` = key - query. Each sign has half the buckets. Half of these are for one exact
 * distance each; the others are logarithmic up to MAX_DISTANCE. The computation is in float, like torch's, because
 * rounding decides the edges of the buckets. */
static int64_t bucket(int64_t distance, int64_t buckets)
{
    int64_t half = buckets / 2, exact = half / 2, n = distance < 0 ? -distance : distance,
            side = distance > 0 ? half : 0;
    if (n < exact)
        return side + n;
    float span = (float)log((double)MAX_DISTANCE / (double)exact);
    int64_t far = exact + (int64_t)(logf((float)n / (float)exact) / span * (float)(half - exact));
    return side + MIN(far, half - 1);
}

/* Loads the table of biases [buckets, H], computes the bucket of each distance, and sets H from the table. */
static bool load_bias(Loader *l, PostNormModel *m)
{
    static const char NAME[] = "encoder.relative_attention_bias.weight";
    const Array *w = load_array(l, 2, (int64_t[]){-1, -1}, "%s", NAME);
    if (!w)
        return false;
    if (w->shape[0] < 4 || w->shape[0] / 4 >= MAX_DISTANCE || w->shape[1] < 1)
        return fail(l->error, SP_UNSUPPORTED, "%s: tensor %s: %lld buckets of relative positions are not supported",
                    w->file, w->name.p, (long long)w->shape[0]);
    int32_t *buckets = NEW(l->encoder->arena, int32_t, 2 * MAX_DISTANCE + 1, l->error);
    if (!buckets || !(m->bias = load_tensor(l, 2, w->shape, "%s", NAME)))
        return false;
    for (int64_t d = -MAX_DISTANCE; d <= MAX_DISTANCE; d++)
        buckets[d + MAX_DISTANCE] = (int32_t)bucket(d, w->shape[0]);
    m->bucket = buckets;
    m->R = MAX_DISTANCE;
    m->H = w->shape[1];
    return true;
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    PostNormModel *m = NEW(en->arena, PostNormModel, 1, e);
    en->model = m;
    if (!m || !loader_start(&l, en, s, "embeddings.word_embeddings.weight", e))
        return false;
    double eps = config_f64(&l, "layer_norm_eps", 1e-5);
    m->layers = config_i64(&l, "num_hidden_layers", 12);
    if (!config_act(&l, "hidden_act", ACT_GELU, &m->act) || e->code != SP_OK || !load_bias(&l, m))
        return false;
    int64_t heads = config_i64(&l, "num_attention_heads", m->H);
    if (heads != m->H)
        return fail(e, SP_FORMAT, "%s: config.json states %lld heads, the table of relative positions has %lld",
                    s->path, (long long)heads, (long long)m->H);
    return postnorm_load(&l, m, &NAMES, eps, PADDING + 1);
}

const EncoderKind encoder_mpnet = {.name = "mpnet",
                                   .about = "MPNet: sentence-transformers/all-mpnet-base-v2 (folders)",
                                   .checked = "transformers 5.23: 4e-6",
                                   .model_type = "mpnet",
                                   .modalities = MODALITY_TEXT,
                                   .narrow = true,
                                   .matches = matches,
                                   .load = load,
                                   .forward_text = postnorm_forward};
