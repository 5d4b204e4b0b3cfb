/* extractors/models/roberta.c: RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2020) as Hugging Face's RobertaModel
 * and XLMRobertaModel compute them: FacebookAI/roberta-base, FacebookAI/xlm-roberta-base, BAAI/bge-m3. BERT with one
 * kind of token, its positions counted from the padding token's number + 1. */
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

/* BERT has two kinds of token. A RoBERTa inside a model of texts and images has a longer prefix. */
static bool matches(const ModelSource *s)
{
    Text prefix;
    return model_has(s, "encoder.layer.0.attention.self.query.weight", &prefix) &&
           (model_stated(s) || ((prefix.n == 0 || text_is(prefix, "roberta.")) &&
                                model_rows(s, "embeddings.token_type_embeddings.weight") == 1));
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    PostNormModel *m = NEW(en->arena, PostNormModel, 1, e);
    PostNormNames names = NAMES;
    en->model = m;
    if (!m || !loader_start(&l, en, s, "embeddings.word_embeddings.weight", e))
        return false;
    if (!loader_has(&l, "%s.weight", names.pooler)) /* models of masked words and classifiers have none */
        names.pooler = NULL;
    int64_t padding = config_i64(&l, "pad_token_id", 1);
    if (padding < 0 || padding >= INT32_MAX)
        return config_bad(&l, config_get(&l, "pad_token_id"), "pad_token_id", "the id of a token");
    double eps = config_f64(&l, "layer_norm_eps", 1e-12);
    m->H = config_heads(&l, "num_attention_heads", 12);
    m->layers = config_i64(&l, "num_hidden_layers", 12);
    return config_act(&l, "hidden_act", ACT_GELU, &m->act) && e->code == SP_OK &&
           postnorm_load(&l, m, &names, eps, (int32_t)padding + 1);
}

const EncoderKind encoder_roberta = {.name = "roberta",
                                     .about = "RoBERTa, XLM-R: FacebookAI/roberta-base, BAAI/bge-m3 (folders)",
                                     .model_type = "roberta xlm-roberta",
                                     .modalities = MODALITY_TEXT,
                                     .narrow = true,
                                     .matches = matches,
                                     .load = load,
                                     .forward_text = postnorm_forward};
