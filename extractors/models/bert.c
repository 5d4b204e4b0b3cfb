/* extractors/models/bert.c: BERT (Devlin et al. 2019) as Hugging Face's BertModel computes it: all-MiniLM-L6-v2,
 * bert-base-uncased and similar models. */
// flags: -Os
#include "extractors/models/postnorm.h"

static const PostNormNames NAMES = {.words = "embeddings.word_embeddings",
                                    .positions = "embeddings.position_embeddings",
                                    .types = "embeddings.token_type_embeddings",
                                    .norm = "embeddings.LayerNorm",
                                    .layer = "encoder.layer",
                                    .q = "attention.self.query",
                                    .k = "attention.self.key",
                                    .v = "attention.self.value",
                                    .out = "attention.output.dense",
                                    .norm1 = "attention.output.LayerNorm",
                                    .fc1 = "intermediate.dense",
                                    .fc2 = "output.dense",
                                    .norm2 = "output.LayerNorm",
                                    .pooler = "pooler.dense"};

/* RoBERTa has these names too, with one kind of token. */
static bool matches(const ModelSource *s)
{
    return model_has(s, "encoder.layer.0.attention.self.query.weight", NULL) &&
           (model_stated(s) || model_rows(s, "embeddings.token_type_embeddings.weight") != 1);
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    PostNormModel *m = NEW(en->arena, PostNormModel, 1, e);
    en->model = m;
    if (!m || !loader_start(&l, en, s, "embeddings.word_embeddings.weight", e))
        return false;
    if (config_get(&l, "position_embedding_type") && !config_is(&l, "position_embedding_type", "absolute"))
        return fail(e, SP_UNSUPPORTED, "%s/config.json: only absolute position embeddings are supported", s->folder);
    double eps = config_f64(&l, "layer_norm_eps", 1e-12);
    m->H = config_heads(&l, "num_attention_heads", 12);
    m->layers = config_i64(&l, "num_hidden_layers", 12);
    return config_act(&l, "hidden_act", ACT_GELU, &m->act) && e->code == SP_OK && postnorm_load(&l, m, &NAMES, eps, 0);
}

const EncoderKind encoder_bert = {.name = "bert",
                                  .about = "BERT: sentence-transformers/all-MiniLM-L6-v2, bert-base-uncased (folders)",
                                  .model_type = "bert",
                                  .modalities = MODALITY_TEXT,
                                  .narrow = true,
                                  .matches = matches,
                                  .load = load,
                                  .forward_text = postnorm_forward};
