/* extractors/models/roberta.c: RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2020) as Hugging Face's RobertaModel
 * and XLMRobertaModel compute them: FacebookAI/roberta-base, FacebookAI/xlm-roberta-base, BAAI/bge-m3. Like BERT, but
 * with one kind of token, and with positions that begin at the padding token's number + 1. */
// flags: -Os
#include "extractors/models/postnorm.h"

/* BERT is excluded because it has two kinds of token. A RoBERTa inside a model of texts and images is excluded because
 * its prefix is longer. */
static int matches(const ModelSource *s)
{
    Text prefix;
    return model_has(s, "encoder.layer.0.attention.self.query.weight", &prefix) &&
                   (model_stated(s) || ((prefix.n == 0 || text_is(prefix, "roberta.")) &&
                                        model_rows(s, "embeddings.token_type_embeddings.weight") == 1))
               ? 2
               : 0;
}

static bool load(Encoder *en, const ModelSource *s, Error *e)
{
    Loader l;
    PostNormModel *m = NEW(en->arena, PostNormModel, 1, e);
    PostNormNames names = bert_names;
    en->model = m;
    if (!m || !loader_start(&l, en, s, "embeddings.word_embeddings.weight", e))
        return false;
    if (!loader_has(&l, "%s.weight", names.pooler)) /* masked language models and classifiers have no pooler */
        names.pooler = NULL;
    int32_t first;
    double eps = config_f64(&l, "layer_norm_eps", 1e-12);
    return postnorm_after_padding(&l, &first) && postnorm_config(&l, m, 12, 12) &&
           postnorm_load(&l, m, &names, eps, first);
}

const EncoderKind encoder_roberta = {.name = "roberta",
                                     .about = "RoBERTa, XLM-R: FacebookAI/roberta-base, BAAI/bge-m3 (folders)",
                                     .checked = "transformers 5.23: 4e-6",
                                     .model_type = "roberta xlm-roberta",
                                     .modalities = MODALITY_TEXT,
                                     .narrow = true,
                                     .matches = matches,
                                     .load = load,
                                     .forward_text = postnorm_forward};
