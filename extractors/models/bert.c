/* extractors/models/bert.c: BERT (Devlin et al. 2019) as Hugging Face's BertModel computes it: all-MiniLM-L6-v2,
 * bert-base-uncased and similar models. */
// flags: -Os
#include "extractors/models/postnorm.h"

/* Many families use these names. A BERT inside a model of texts and images has the prefix "text_model.". */
static int matches(const ModelSource *s)
{
    Text prefix;
    return model_has(s, "encoder.layer.0.attention.self.query.weight", &prefix) &&
           (model_stated(s) || !text_ends(prefix, "text_model."));
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
    return postnorm_config(&l, m, 12, 12) && postnorm_load(&l, m, &bert_names, eps, 0);
}

const EncoderKind encoder_bert = {.name = "bert",
                                  .about = "BERT: sentence-transformers/all-MiniLM-L6-v2, bert-base-uncased (folders)",
                                  .checked = "transformers 5.23: 4e-6",
                                  .model_type = "bert",
                                  .modalities = MODALITY_TEXT,
                                  .narrow = true,
                                  .matches = matches,
                                  .load = load,
                                  .forward_text = postnorm_forward};
