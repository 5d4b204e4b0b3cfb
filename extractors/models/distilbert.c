/* extractors/models/distilbert.c: DistilBERT (Sanh et al. 2019) as Hugging Face's DistilBertModel computes it:
 * distilbert-base-uncased and the sentence-transformers based on it. Like BERT without token types and pooler, with
 * other names. */
// flags: -Os
#include "extractors/models/postnorm.h"

static const PostNormNames NAMES = {.words = "embeddings.word_embeddings",
                                    .positions = "embeddings.position_embeddings",
                                    .norm = "embeddings.LayerNorm",
                                    .layer = "transformer.layer",
                                    .q = "attention.q_lin",
                                    .k = "attention.k_lin",
                                    .v = "attention.v_lin",
                                    .out = "attention.out_lin",
                                    .norm1 = "sa_layer_norm",
                                    .fc1 = "ffn.lin1",
                                    .fc2 = "ffn.lin2",
                                    .norm2 = "output_layer_norm"};

static int matches(const ModelSource *s)
{
    return model_has(s, "transformer.layer.0.attention.q_lin.weight", NULL);
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    PostNormModel *m = NEW(en->arena, PostNormModel, 1, e);
    en->model = m;
    if (!m || !loader_start(&l, en, s, "embeddings.word_embeddings.weight", e))
        return false;
    m->H = config_heads(&l, "n_heads", 12);
    m->layers = config_i64(&l, "n_layers", 6);
    return config_act(&l, "activation", ACT_GELU, &m->act) && e->code == SP_OK &&
           postnorm_load(&l, m, &NAMES, 1e-12, 0);
}

const EncoderKind encoder_distilbert = {.name = "distilbert",
                                        .about =
                                            "DistilBERT: distilbert-base-uncased, multi-qa-distilbert-cos-v1 (folders)",
                                        .checked = "transformers 5.23: 2e-6",
                                        .model_type = "distilbert",
                                        .modalities = MODALITY_TEXT,
                                        .narrow = true,
                                        .matches = matches,
                                        .load = load,
                                        .forward_text = postnorm_forward};
