/* extractors/models/postnorm.c: the post-norm transformer that BERT, MPNet and DistilBERT share. The models differ in
 * names, positions and a bias. */
// flags: -Os
#include "extractors/models/postnorm.h"

const PostNormNames bert_names = {.words = "embeddings.word_embeddings",
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

bool postnorm_config(Loader *l, PostNormModel *m, int64_t H, int64_t layers)
{
    m->H = config_heads(l, "num_attention_heads", H);
    m->layers = config_i64(l, "num_hidden_layers", layers);
    return config_act(l, "hidden_act", ACT_GELU, &m->act) && l->error->code == SP_OK;
}

bool postnorm_after_padding(Loader *l, int32_t *first_position)
{
    int64_t padding = config_i64(l, "pad_token_id", 1);
    if (padding < 0 || padding >= INT32_MAX)
        return config_bad(l, config_get(l, "pad_token_id"), "pad_token_id", "the id of a token");
    *first_position = (int32_t)padding + 1;
    return true;
}

static bool load_block(Loader *l, PostNorm *to, int64_t C, double eps, const char *block, const PostNormNames *n)
{
    const char *qkv[3] = {load_name(l, "%s.%s", block, n->q), load_name(l, "%s.%s", block, n->k),
                          load_name(l, "%s.%s", block, n->v)};
    return load_stacked(l, &to->qkv, 3, C, C, true, qkv) &&
           load_linear(l, &to->out, C, C, true, load_name(l, "%s.%s", block, n->out)) &&
           load_norm(l, &to->norm1, C, eps, load_name(l, "%s.%s", block, n->norm1)) &&
           load_linear(l, &to->fc1, -1, C, true, load_name(l, "%s.%s", block, n->fc1)) &&
           load_linear(l, &to->fc2, C, to->fc1.N, true, load_name(l, "%s.%s", block, n->fc2)) &&
           load_norm(l, &to->norm2, C, eps, load_name(l, "%s.%s", block, n->norm2));
}

bool postnorm_weights(Loader *l, PostNormModel *m, const PostNormNames *n, double eps, int32_t first_position)
{
    if (!(m->words = load_words(l, n->words)) ||
        !(m->positions = load_positions(l, m->words->shape[1], first_position, n->positions)))
        return false;
    int64_t C = m->words->shape[1], found = 0;
    while (loader_has(l, "%s.%lld.%s.weight", n->layer, (long long)found, n->q))
        found++;
    if (!config_fits(l, m->layers, found, m->H, C))
        return false;
    if ((n->types && !(m->types = load_tensor(l, 2, (int64_t[]){-1, C}, "%s.weight", n->types))) ||
        !load_norm(l, &m->norm, C, eps, n->norm) || !(m->layer = NEW(l->encoder->arena, PostNorm, m->layers, l->error)))
        return false;
    for (int64_t i = 0; i < m->layers; i++)
        if (!load_block(l, &m->layer[i], C, eps, load_name(l, "%s.%lld", n->layer, (long long)i), n))
            return false;
    return true;
}

bool postnorm_outputs(Loader *l, PostNormModel *m, const PostNormNames *n)
{
    int64_t C = m->words->shape[1];
    /* "1" is the value of output_layers in Ducho's configurations (backend transformers) */
    m->last = output_add(
        l,
        (Output){.name = "last_hidden_state", .also = "1", .modality = MODALITY_TEXT, .rows = ROWS_TOKENS, .width = C});
    m->pooled = n->pooler ? output_vector(l, MODALITY_TEXT, "pooler_output", C) : -1;
    m->hidden = output_add_hidden(l, MODALITY_TEXT, m->layers, C);
    if (m->pooled >= 0 && !load_linear(l, &m->pooler, C, C, true, n->pooler))
        return false;
    return l->error->code == SP_OK;
}

bool postnorm_load(Loader *l, PostNormModel *m, const PostNormNames *n, double eps, int32_t first_position)
{
    return postnorm_weights(l, m, n, eps, first_position) && postnorm_outputs(l, m, n);
}

/* Returns norm(words + (positions + first row of types)). layer_norm_add does the outer sum, so this sum needs no op of
 * its own. */
static Tensor *embed(Tape *t, const PostNormModel *m, const TextBatch *b)
{
    int64_t n = b->ragged.total;
    Tensor *words = gather(t, m->words, input_i32(t, b->ids, n)),
           *others = gather(t, m->positions, input_i32(t, b->positions, n));
    if (m->types)
        others = broadcast(t, BIN_ADD, SPREAD_ROW, others, rows(t, m->types, 0, 1));
    return layer_norm_add(t, words, others, &m->norm);
}

static Tensor *block(Tape *t, Tensor *x, const PostNorm *w, const Ragged *r, int64_t H, Act act, Relative bias)
{
    Tensor *h = attention(t, linear(t, x, &w->qkv), r, H, bias, false);
    x = layer_norm(t, linear_add(t, h, &w->out, x), &w->norm1);
    h = linear_act(t, x, &w->fc1, act, 0);
    return layer_norm(t, linear_add(t, h, &w->fc2, x), &w->norm2);
}

Tensor *postnorm_run(Tape *t, const PostNormModel *m, Pass *p)
{
    const TextBatch *b = p->texts;
    int64_t layers = pass_blocks(p, m->hidden, m->layers);
    Tensor *x = embed(t, m, b);
    Relative bias = {0};
    if (m->bias && layers) /* once for all blocks */
        bias = (Relative){swap_axes(t, gather(t, m->bias, input_i32(t, m->bucket, 2 * m->R + 1))), m->R};
    pass_put(p, m->hidden, x);
    for (int64_t i = 0; i < layers; i++) {
        x = block(t, x, &m->layer[i], &b->ragged, m->H, m->act, bias);
        pass_put(p, m->hidden + (int)i + 1, x);
    }
    if (layers < m->layers)
        return NULL;
    pass_put(p, m->last, x);
    return x;
}

void postnorm_forward(Tape *t, const void *model, Pass *p)
{
    const PostNormModel *m = model;
    Tensor *x = postnorm_run(t, m, p);
    if (pass_requests(p, m->pooled)) {
        x = pool_ragged(t, x, &p->texts->ragged, REDUCE_FIRST);
        pass_put(p, m->pooled, linear_act(t, x, &m->pooler, ACT_TANH, 0));
    }
}
