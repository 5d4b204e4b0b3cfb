/* tools/demo/demo_encoder.c: trains the pair of encoders of `sapor demo`: an image tower (ViT, Dosovitskiy et al.
 * 2021) and a text tower (BERT, Devlin et al. 2019) whose outputs meet on the unit sphere, on things that the catalogue
 * draws with a seed of its own. The loss is that of SigLIP (Zhai et al. 2023): for each image x_i and text y_j of a
 * batch, -log sigmoid(+-(a x_i . y_j + b)), plus where they belong together.
 *
 * `sapor demo --train-encoder DIR` writes DIR/vision and DIR/text as Hugging Face folders, which `sapor encode`,
 * transformers and sentence-transformers read. The numbers are those of this seed at this level of instructions, for
 * any number of threads. */
#include "tools/demo/catalogue.h"
#include "tools/demo/demo.h"

#include <ctype.h>

enum {
    WIDTH = 64,
    HEADS = 4,
    INNER = 4 * WIDTH,
    IMAGE_LAYERS = 4,
    TEXT_LAYERS = 2,
    SIDE = CATALOGUE_SIDE,
    PATCH = 16,
    PATCHES = (SIDE / PATCH) * (SIDE / PATCH),
    PIXELS = 3 * PATCH * PATCH, /* of a patch */
    POSITIONS = 64,             /* of a text */
    LOOKS = CATALOGUE_KINDS * CATALOGUE_HUES * CATALOGUE_PATTERNS,
    SEED = 7,   /* of the things learnt from; the demo's catalogue has another */
    EACH = 32,  /* images of a look */
    BATCH = 96, /* things of different looks */
    STEPS = 1500,
    WARM_UP = 100,
    WORDS = 4096 /* room for the vocabulary: words and single characters */
};
#define TEMPERATURE 10.0f /* a, and b = -5: a pair that belongs together starts near 0 */
#define BIAS        (-5.0f)
#define RATE        2e-3

typedef struct Block {
    Norm norm1, norm2;
    Linear qkv, out, fc1, fc2;
} Block;

typedef struct Pair {
    Context *c;
    const Device *d;
    Store *vision, *text;
    Linear patches;
    Tensor *cls, *place; /* [1, C], [PATCHES + 1, C] */
    Block image_block[IMAGE_LAYERS], text_block[TEXT_LAYERS];
    Norm image_norm, text_norm;
    Tensor *words, *positions, *kind; /* [V, C], [POSITIONS, C]; kind of token [2, C]: the first is every token's */
    Tokenizer *tokenizer;
    unsigned char *pixels; /* [LOOKS EACH, SIDE, SIDE, 3] */
} Pair;

/* ---- the towers ------------------------------------------------------------------------------ */

static const Init SMALL = {INIT_NORMAL, 0.02}, ZERO = {INIT_ZERO, 0}, ONE = {INIT_CONSTANT, 1};

typedef struct Names { /* of a block's parts, as published checkpoints have them; NAME.i. stands before them */
    const char *layer, *norm1, *qkv, *out, *norm2, *fc1, *fc2;
} Names;
static const Names VIT = {"encoder.layer",
                          "layernorm_before",
                          "attention.attention.qkv",
                          "attention.output.dense",
                          "layernorm_after",
                          "intermediate.dense",
                          "output.dense"},
                   BERT = {
                       "encoder.layer",    "attention.output.LayerNorm", "attention.self.qkv", "attention.output.dense",
                       "output.LayerNorm", "intermediate.dense",         "output.dense"};

static Norm norm_new(Pair *p, Store *s, const char *name, Error *e)
{
    Arena *a = p->c->arena;
    const char *gamma = arena_printf(a, e, "%s.weight", name), *beta = arena_printf(a, e, "%s.bias", name);
    Norm n = {.eps = 1e-12f};
    if (gamma && beta) {
        n.gamma = param_new(s, gamma, WIDTH, 0, ONE, SEED, e);
        n.beta = param_new(s, beta, WIDTH, 0, ZERO, SEED, e);
    }
    return n;
}

static void block_new(Pair *p, Store *s, const Names *n, int i, Block *b, Error *e)
{
    const char *parts[] = {n->norm1, n->qkv, n->out, n->norm2, n->fc1, n->fc2}, *name[COUNT(parts)];
    for (size_t k = 0; k < COUNT(parts); k++)
        if (!(name[k] = arena_printf(p->c->arena, e, "%s.%d.%s", n->layer, i, parts[k])))
            return;
    b->norm1 = norm_new(p, s, name[0], e);
    b->qkv = linear_new(s, name[1], 3 * WIDTH, WIDTH, true, SMALL, ZERO, SEED, e);
    b->out = linear_new(s, name[2], WIDTH, WIDTH, true, SMALL, ZERO, SEED, e);
    b->norm2 = norm_new(p, s, name[3], e);
    b->fc1 = linear_new(s, name[4], INNER, WIDTH, true, SMALL, ZERO, SEED, e);
    b->fc2 = linear_new(s, name[5], WIDTH, INNER, true, SMALL, ZERO, SEED, e);
}

static bool towers_new(Pair *p, Error *e)
{
    if (!(p->vision = store_new(p->d, e)) || !(p->text = store_new(p->d, e)))
        return false;
    p->cls = param_new(p->vision, "embeddings.cls_token", 1, WIDTH, SMALL, SEED, e);
    p->place = param_new(p->vision, "embeddings.position_embeddings", PATCHES + 1, WIDTH, SMALL, SEED, e);
    p->patches =
        linear_new(p->vision, "embeddings.patch_embeddings.projection", WIDTH, PIXELS, true, SMALL, ZERO, SEED, e);
    for (int i = 0; i < IMAGE_LAYERS; i++)
        block_new(p, p->vision, &VIT, i, &p->image_block[i], e);
    p->image_norm = norm_new(p, p->vision, "layernorm", e);
    p->words = param_new(p->text, "embeddings.word_embeddings.weight", tokenizer_vocabulary(p->tokenizer), WIDTH, SMALL,
                         SEED, e);
    p->positions = param_new(p->text, "embeddings.position_embeddings.weight", POSITIONS, WIDTH, SMALL, SEED, e);
    p->kind = param_new(p->text, "embeddings.token_type_embeddings.weight", 2, WIDTH, SMALL, SEED, e);
    p->text_norm = norm_new(p, p->text, "embeddings.LayerNorm", e);
    for (int i = 0; i < TEXT_LAYERS; i++)
        block_new(p, p->text, &BERT, i, &p->text_block[i], e);
    return e->code == SP_OK;
}

typedef struct PairBatch { /* a batch, on the host */
    float pixels[BATCH * PATCHES * PIXELS];
    int32_t token[BATCH * (PATCHES + 1)], place[BATCH * (PATCHES + 1)], offsets[BATCH + 1];
    int32_t ids[BATCH * POSITIONS], positions[BATCH * POSITIONS], kinds[BATCH * POSITIONS], text_offsets[BATCH + 1];
    float bias[BATCH * BATCH];
    int64_t longest;
} PairBatch;

/* Images to unit vectors [B, C]: class token and patches, pre-norm blocks, the class token behind the last norm. */
static Tensor *image_tower(Tape *t, const Pair *p, const PairBatch *b)
{
    Ragged r = {.B = BATCH, .total = BATCH * (PATCHES + 1), .longest = PATCHES + 1, .offsets = b->offsets};
    Tensor *x = linear(t, input_f32(t, b->pixels, 2, (int64_t[]){BATCH * PATCHES, PIXELS}), &p->patches);
    x = gather(t, stack_rows(t, p->cls, x), input_i32(t, b->token, r.total)); /* row 0 is the class token */
    x = add(t, x, gather(t, p->place, input_i32(t, b->place, r.total)));
    for (int i = 0; i < IMAGE_LAYERS; i++) {
        const Block *k = &p->image_block[i];
        Tensor *h = attention(t, linear(t, layer_norm(t, x, &k->norm1), &k->qkv), &r, HEADS, (Relative){0}, false);
        x = linear_add(t, h, &k->out, x);
        h = linear_act(t, layer_norm(t, x, &k->norm2), &k->fc1, ACT_GELU, 0);
        x = linear_add(t, h, &k->fc2, x);
    }
    return row_normalize(t, layer_norm(t, pool_ragged(t, x, &r, REDUCE_FIRST), &p->image_norm), 1e-12f);
}

/* Texts to unit vectors [B, C]: post-norm blocks, the mean over tokens. */
static Tensor *text_tower(Tape *t, const Pair *p, const PairBatch *b)
{
    Ragged r = {.B = BATCH, .total = b->text_offsets[BATCH], .longest = b->longest, .offsets = b->text_offsets};
    Tensor *x = gather(t, p->words, input_i32(t, b->ids, r.total));
    x = add(t, x, gather(t, p->kind, input_i32(t, b->kinds, r.total)));
    x = layer_norm_add(t, x, gather(t, p->positions, input_i32(t, b->positions, r.total)), &p->text_norm);
    for (int i = 0; i < TEXT_LAYERS; i++) {
        const Block *k = &p->text_block[i];
        Tensor *h = attention(t, linear(t, x, &k->qkv), &r, HEADS, (Relative){0}, false);
        x = layer_norm(t, linear_add(t, h, &k->out, x), &k->norm1);
        h = linear_act(t, x, &k->fc1, ACT_GELU, 0);
        x = layer_norm(t, linear_add(t, h, &k->fc2, x), &k->norm2);
    }
    return row_normalize(t, pool_ragged(t, x, &r, REDUCE_MEAN), 1e-12f);
}

/* sum over i, j of softplus(l_ij) - sum over i of l_ii, by image; l = a X Y' + b. -log sigmoid(l) = softplus(l) -
 * l. */
static Tensor *pair_loss(Tape *t, const Pair *p, const PairBatch *b)
{
    Tensor *x = image_tower(t, p, b), *y = text_tower(t, p, b);
    Tensor *l = scale(t, matmul(t, x, false, y, true), TEMPERATURE);
    Tensor *all = sum(t, activate(t, add(t, l, input_f32(t, b->bias, 2, (int64_t[]){BATCH, BATCH})), ACT_SOFTPLUS, 0));
    return scale(t, add_scaled(t, all, sum(t, row_dot(t, x, y)), -TEMPERATURE), 1.0f / BATCH);
}

/* ---- what they learn from -------------------------------------------------------------------- */

/* Thing number `at` of a look; its material and adjective are drawn. */
static Thing thing_of(int look, uint64_t at)
{
    Thing t;
    thing_draw(&t, SEED, at);
    t.pattern = look % CATALOGUE_PATTERNS;
    t.hue = look / CATALOGUE_PATTERNS % CATALOGUE_HUES;
    t.kind = look / CATALOGUE_PATTERNS / CATALOGUE_HUES;
    return t;
}

static void draw_one(void *arg, size_t i, int worker)
{
    Pair *p = arg;
    Thing t = thing_of((int)(i / EACH), i);
    (void)worker;
    thing_image(&t, SEED, i, p->pixels + i * SIDE * SIDE * 3);
}

/* An image as rows of its patches, each [3, PATCH, PATCH] as torch's convolution has them; bytes to [-1, 1]. */
static void cut_patches(const unsigned char *rgb, float *out)
{
    for (int at = 0; at < PATCHES; at++)
        for (int k = 0; k < PIXELS; k++) {
            int c = k / (PATCH * PATCH), y = at / (SIDE / PATCH) * PATCH + k / PATCH % PATCH,
                x = at % (SIDE / PATCH) * PATCH + k % PATCH;
            out[at * PIXELS + k] = ((float)rgb[(y * SIDE + x) * 3 + c] / 255.0f - 0.5f) / 0.5f;
        }
}

static bool make_batch(const Pair *p, int step, PairBatch *b, Arena *a, Error *e)
{
    uint32_t look[LOOKS];
    uint64_t scratch[2 * LOOKS];
    Draw order = {SEED, DRAW_SHUFFLE, (uint32_t)step}, pick = {SEED, DRAW_POSITIVE, (uint32_t)step};
    for (uint32_t i = 0; i < LOOKS; i++)
        look[i] = i;
    draw_shuffle(order, look, LOOKS, scratch);
    b->longest = 0;
    for (int i = 0; i < BATCH; i++) {
        uint64_t at = look[i] * EACH + draw_below(pick, 2 * (uint64_t)i, EACH);
        Thing t = thing_of((int)look[i], at);
        char text[THING_TEXT];
        TokenIds ids = {0};
        cut_patches(p->pixels + at * SIDE * SIDE * 3, b->pixels + i * PATCHES * PIXELS);
        thing_describe(&t, draw_below(pick, 2 * (uint64_t)i + 1, 4) ? THING_DESCRIPTION : THING_TITLE, text);
        if (!tokenize(p->tokenizer, text_of(text), POSITIONS, &ids, a, e))
            return false;
        int32_t first = b->text_offsets[i];
        for (size_t k = 0; k < ids.count; k++) {
            b->ids[first + (int32_t)k] = ids.ids[k];
            b->positions[first + (int32_t)k] = (int32_t)k;
        }
        b->text_offsets[i + 1] = first + (int32_t)ids.count;
        b->longest = MAX(b->longest, (int64_t)ids.count);
    }
    return true;
}

/* Words of all descriptions and titles, then characters, so that no word is unknown. */
static bool write_vocabulary(const char *path, Arena *a, const Heap *heap, Error *e)
{
    static const char *const SPECIAL[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    TextIndex *words = text_index_new(a, e);
    bool ok = words != NULL;
    for (size_t i = 0; ok && i < COUNT(SPECIAL); i++)
        ok = text_index_add(words, text_of(SPECIAL[i]), e) >= 0;
    for (int c = '!'; ok && c <= '~'; c++) {
        char piece[] = {'#', '#', (char)c};
        if (isupper(c))
            continue;
        ok = text_index_add(words, (Text){piece + 2, 1}, e) >= 0 &&
             (!isalnum(c) || text_index_add(words, (Text){piece, 3}, e) >= 0);
    }
    for (uint64_t i = 0; ok && i < LOOKS * EACH; i++) {
        Thing t = thing_of((int)(i / EACH), i);
        char text[THING_TEXT];
        thing_describe(&t, THING_DESCRIPTION, text);
        for (char *c = text; ok && *c;) {
            size_t n = 0;
            while (isalpha((unsigned char)c[n])) {
                c[n] = (char)tolower((unsigned char)c[n]);
                n++;
            }
            ok = !n || text_index_add(words, (Text){c, n}, e) >= 0;
            c += n ? n : 1;
        }
    }
    Out *o = ok ? out_open(path, heap, e) : NULL;
    ok = o != NULL;
    for (int64_t i = 0; ok && i < text_index_count(words); i++)
        ok = out_printf(o, e, "%s\n", text_index_at(words, i).p);
    if (ok)
        return out_commit(o, e);
    out_discard(o);
    return false;
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool write_text(const Pair *p, const char *folder, const char *name, const char *text, Error *e)
{
    const char *path = path_join(p->c->arena, folder, name, e);
    Out *o = path ? out_open(path, p->c->heap, e) : NULL;
    if (o && out_printf(o, e, "%s\n", text))
        return out_commit(o, e);
    out_discard(o);
    return false;
}

/* The files next to the weights. */
static bool write_settings(const Pair *p, const char *vision, const char *text, Error *e)
{
    Arena *a = p->c->arena;
    const char *pooling = path_join(a, text, "1_Pooling", e);
    const char *numbers = "\"hidden_size\": %d, \"num_hidden_layers\": %d, \"num_attention_heads\": %d, "
                          "\"intermediate_size\": %d, \"hidden_act\": \"gelu\", "
                          "\"layer_norm_eps\": 1e-12, ";
    const char *of_vision = arena_printf(a, e, numbers, WIDTH, IMAGE_LAYERS, HEADS, INNER),
               *of_text = arena_printf(a, e, numbers, WIDTH, TEXT_LAYERS, HEADS, INNER);
    if (!pooling || !of_vision || !of_text || !folder_make(pooling, e))
        return false;
    const char
        *vision_config = arena_printf(
            a, e,
            "{\"model_type\": \"vit\", \"architectures\": [\"ViTModel\"], %s\"image_size\": %d, \"patch_size\": %d, "
            "\"num_channels\": 3, \"qkv_bias\": true}",
            of_vision, SIDE, PATCH),
        *preprocessor = arena_printf(
            a, e,
            "{\"image_processor_type\": \"ViTImageProcessor\", \"do_resize\": true, \"size\": {\"height\": %d, "
            "\"width\": %d}, "
            "\"resample\": 2, \"do_rescale\": true, \"do_normalize\": true, \"image_mean\": [0.5, 0.5, 0.5], "
            "\"image_std\": [0.5, 0.5, 0.5]}",
            SIDE, SIDE),
        *text_config = arena_printf(a, e,
                                    "{\"model_type\": \"bert\", \"architectures\": [\"BertModel\"], %s\"vocab_size\": "
                                    "%lld, \"type_vocab_size\": 2, "
                                    "\"max_position_embeddings\": %d, \"pad_token_id\": 0}",
                                    of_text, (long long)tokenizer_vocabulary(p->tokenizer), POSITIONS),
        *mean = arena_printf(
            a, e,
            "{\"word_embedding_dimension\": %d, \"pooling_mode_cls_token\": false, \"pooling_mode_mean_tokens\": true}",
            WIDTH);
    return vision_config && preprocessor && text_config && mean &&
           write_text(p, vision, "config.json", vision_config, e) &&
           write_text(p, vision, "preprocessor_config.json", preprocessor, e) &&
           write_text(p, text, "config.json", text_config, e) && write_text(p, pooling, "config.json", mean, e) &&
           write_text(p, text, "modules.json",
                      "[{\"idx\": 0, \"name\": \"0\", \"path\": \"\", \"type\": "
                      "\"sentence_transformers.models.Transformer\"},\n"
                      " {\"idx\": 1, \"name\": \"1\", \"path\": \"1_Pooling\", \"type\": "
                      "\"sentence_transformers.models.Pooling\"},\n"
                      " {\"idx\": 2, \"name\": \"2\", \"path\": \"2_Normalize\", \"type\": "
                      "\"sentence_transformers.models.Normalize\"}]",
                      e);
}

/* A parameter of the store as the file's tensors: a fused projection in its three parts, the image's tokens with the
 * shapes of torch's modules. `write`: their numbers, else their declarations. */
static bool put_param(SafetensorsOut *out, const Pair *p, const Store *s, const Tensor *x, bool write, Error *e)
{
    static const char *const PARTS[] = {"query", "key", "value"};
    const char *name = store_name(s, x), *fused = strstr(name, ".qkv.");
    int64_t shape[4] = {x->shape[0], x->dims > 1 ? x->shape[1] : 1, PATCH, PATCH};
    int dims = x->dims, parts = fused ? 3 : 1;
    float *host = write ? NEW(p->c->arena, float, x->count, e) : NULL;
    if (write && !host)
        return false;
    if (write) {
        tensor_read(p->d, x, 0, x->count, host);
        return safetensors_data(out, host, (size_t)x->count * sizeof *host, e);
    }
    if (x == p->cls || x == p->place) {
        memcpy(shape, (int64_t[]){1, x->shape[0], WIDTH}, 3 * sizeof *shape);
        dims = 3;
    } else if (x == p->patches.w) {
        shape[1] = 3;
        dims = 4;
    }
    shape[0] /= parts;
    for (int i = 0; i < parts; i++) {
        const char *own = !fused ? name
                                 : arena_printf(p->c->arena, e, "%.*s.%s.%s", (int)(fused - name), name, PARTS[i],
                                                fused + strlen(".qkv."));
        if (!own || !safetensors_declare(out, own, F32, dims, shape, e))
            return false;
    }
    return true;
}

static bool write_weights(const Pair *p, const Store *s, const char *folder, Error *e)
{
    const char *path = path_join(p->c->arena, folder, "model.safetensors", e);
    SafetensorsOut *out = path ? safetensors_open(path, p->c->heap, e) : NULL;
    bool ok = out && safetensors_meta(out, "format", "pt", e);
    for (int write = 0; write < 2; write++)
        for (size_t i = 0; ok && i < store_count(s); i++)
            ok = put_param(out, p, s, store_at(s, i), write, e);
    if (ok)
        return safetensors_commit(out, e);
    safetensors_discard(out);
    return false;
}

/* Weights of an earlier run go before anything of this one is there, and are written last: a folder holds files of one
 * run. */
static bool remove_weights(const Pair *p, const char *folder, Error *e)
{
    const char *path = path_join(p->c->arena, folder, "model.safetensors", e);
    return path && file_remove(path, e);
}

/* ---- training -------------------------------------------------------------------------------- */

static bool train(Pair *p, Error *e)
{
    Context *c = p->c;
    Arena *scratch = arena_new(c->heap, 0);
    Tape *t = tape_new(p->d, true, e);
    PairBatch *b = NEW(c->arena, PairBatch, 1, e);
    Progress bar;
    char note[64] = "";
    float loss = 0;
    if (!scratch)
        fail_memory(e, sizeof *b, "a batch");
    for (int i = 0; b && i < BATCH * (PATCHES + 1); i++) {
        b->place[i] = i % (PATCHES + 1);
        b->token[i] = b->place[i] ? 1 + i / (PATCHES + 1) * PATCHES + b->place[i] - 1 : 0;
    }
    for (int i = 0; b && i <= BATCH; i++)
        b->offsets[i] = i * (PATCHES + 1);
    for (int i = 0; b && i < BATCH * BATCH; i++)
        b->bias[i] = BIAS;
    progress_start(&bar, c->progress, "train the encoder", "steps", STEPS);
    for (int step = 0; e->code == SP_OK && t && step < STEPS; step++) {
        Optim o = optim_adam(RATE * MIN(1.0, (step + 1.0) / WARM_UP) * (1.0 - (double)step / STEPS));
        ArenaMark mark = arena_mark(scratch);
        if (!make_batch(p, step, b, scratch, e))
            break;
        arena_rewind(scratch, mark);
        tape_reset(t, (Draw){SEED, DRAW_DROPOUT, (uint32_t)step});
        Tensor *l = pair_loss(t, p, b);
        if (!tape_ok(t, e))
            break;
        tensor_read(p->d, l, 0, 1, &loss);
        if (backward(t, l, e) && optim_step(&o, p->vision, t, e) && optim_step(&o, p->text, t, e)) {
            snprintf(note, sizeof note, "loss %.3f", (double)(loss - BIAS));
            progress_step(&bar, step + 1, note);
        }
    }
    if (e->code == SP_OK)
        progress_end(&bar, note);
    tape_free(t);
    arena_free(scratch);
    return e->code == SP_OK;
}

bool demo_encoder_train(Context *c, const char *folder, Error *e)
{
    Pair *p = NEW(c->arena, Pair, 1, e);
    const char *vision = path_join(c->arena, folder, "vision", e), *text = path_join(c->arena, folder, "text", e);
    const char *vocabulary = text ? path_join(c->arena, text, "vocab.txt", e) : NULL;
    if (!p || !vision || !vocabulary)
        return false;
    *p = (Pair){.c = c, .d = context_device(c, e)};
    if (!p->d || !folder_make(vision, e) || !folder_make(text, e) || !remove_weights(p, vision, e) ||
        !remove_weights(p, text, e) || !write_vocabulary(vocabulary, c->arena, c->heap, e) ||
        !write_text(p, text, "tokenizer_config.json",
                    "{\"tokenizer_class\": \"BertTokenizer\", \"do_lower_case\": true, \"model_max_length\": 64}", e) ||
        !(p->tokenizer = tokenizer_load(text, c->arena, e)) ||
        !(p->pixels = NEW(c->arena, unsigned char, LOOKS *EACH *SIDE *SIDE * 3, e)))
        return false;
    pool_run(p->d->pool, LOOKS * EACH, draw_one, p);
    bool ok = towers_new(p, e) && train(p, e) && write_settings(p, vision, text, e) &&
              write_weights(p, p->vision, vision, e) && write_weights(p, p->text, text, e);
    store_free(p->vision);
    store_free(p->text);
    return ok;
}
