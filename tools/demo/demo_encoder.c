/* tools/demo/demo_encoder.c: trains the two encoders of `sapor demo`: the ViT (Dosovitskiy et al. 2021) and the BERT
 * (Devlin et al. 2019) of extractors/, whose outputs are vectors of length 1. The training data are things that the
 * catalogue draws with another seed. The loss is that of SigLIP (Zhai et al. 2023), for each image x_i and text y_j of
 * a batch:
 *
 *   -log sigmoid(s (a x_i . y_j + b)), s = 1 if the two belong together, otherwise -1
 *
 * A model begins as a folder in memory with drawn weights. It is opened like any other model, with all weights as
 * parameters, and saved like any other model. `sapor demo --train-encoder DIR` writes DIR/vision and DIR/text as
 * Hugging Face folders, which `sapor encode`, transformers and sentence-transformers read. The weights depend on the
 * seed and on the level of instructions, not on the number of threads. */
// flags: -Os
#include "extractors/extractors.h"
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
    POSITIONS = 64, /* tokens of a text */
    /* The look of a thing is its kind, colour and pattern. Things of the same look differ in material and adjective. */
    LOOKS = CATALOGUE_KINDS * CATALOGUE_HUES * CATALOGUE_PATTERNS,
    SEED = 7,   /* seed of the training data; the catalogue of the demo has another seed */
    EACH = 32,  /* images per look */
    BATCH = 96, /* things per batch; no two have the same look */
    STEPS = 1500,
    WARM_UP = 100
};
#define TEMPERATURE 10.0f   /* a */
#define BIAS        (-5.0f) /* b; negative, because most pairs of a batch do not belong together */
#define RATE        2e-3

typedef struct Tower { /* one of the two models: its folder, which is in memory until it is written, and the encoder */
    const char *folder;
    sp_file *files;
    size_t count, room;
    Encoder *encoder;
    Call *call;
} Tower;

typedef struct Pair {
    Context *c;
    const Device *d;
    Tower vision, text;
    const char *vocabulary; /* vocab.txt */
    int64_t words;
    unsigned char *pixels; /* [LOOKS EACH, SIDE, SIDE, 3] */
} Pair;

/* ---- drawn weights --------------------------------------------------------------------------- */

static const Init SMALL = {INIT_NORMAL, 0.02}, ZERO = {INIT_ZERO, 0}, ONE = {INIT_CONSTANT, 1};

typedef struct Start { /* the tensors that a model begins with: a safetensors file in two parts */
    Store *s;
    Arena *a;
    const char *header;
    float *data;
    size_t count; /* numbers in `data` */
    Error *e;
} Start;

static void put(Start *to, Init init, int dims, const int64_t *shape, const char *name)
{
    enum { MOST = 1 << 20 }; /* a bound: a model has far fewer numbers */
    int64_t n = 1;
    const char *sizes = "";
    if (to->e->code != SP_OK)
        return;
    for (int i = 0; i < dims && sizes; n *= shape[i++])
        sizes = arena_printf(to->a, to->e, "%s%s%lld", sizes, i ? "," : "", (long long)shape[i]);
    Tensor *x = param_new(to->s, name, shape[0], dims > 1 ? n / shape[0] : 0, init, SEED, to->e);
    if (!to->data)
        to->data = NEW(to->a, float, MOST, to->e);
    if (!x || !to->data || !sizes)
        return;
    if (to->count + (size_t)n > MOST) {
        fail(to->e, SP_USAGE, "the weights of the demo's encoders have more than %d numbers", MOST);
        return;
    }
    to->header = arena_printf(to->a, to->e, "%s%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                              to->header, *to->header ? "," : "{", name, sizes, to->count * sizeof(float),
                              (to->count + (size_t)n) * sizeof(float));
    if (!to->header)
        to->header = "";
    tensor_read(store_device(to->s), x, 0, n, to->data + to->count);
    to->count += (size_t)n;
}

static void put_layer(Start *to, Init weights, int dims, const int64_t *shape, const char *before, const char *name)
{
    const char *w = arena_printf(to->a, to->e, "%s%s.weight", before, name),
               *b = arena_printf(to->a, to->e, "%s%s.bias", before, name);
    if (w && b) {
        put(to, weights, dims, shape, w);
        put(to, ZERO, 1, shape, b);
    }
}

static void put_norm(Start *to, const char *before, const char *name)
{
    put_layer(to, ONE, 1, (int64_t[]){WIDTH}, before, name);
}

/* Adds the linear layers of a block and its norms, with the names of published checkpoints. */
static void put_block(Start *to, int i, const char *const linear[6], const char *const norm[2])
{
    static const int64_t sizes[6][2] = {{WIDTH, WIDTH}, {WIDTH, WIDTH}, {WIDTH, WIDTH},
                                        {WIDTH, WIDTH}, {INNER, WIDTH}, {WIDTH, INNER}};
    const char *before = arena_printf(to->a, to->e, "encoder.layer.%d.", i);
    for (int k = 0; before && k < 6; k++)
        put_layer(to, SMALL, 2, sizes[k], before, linear[k]);
    for (int k = 0; before && k < 2; k++)
        put_norm(to, before, norm[k]);
}

static void put_vision_weights(Start *to)
{
    static const char *const LINEAR[] = {"attention.attention.query", "attention.attention.key",
                                         "attention.attention.value", "attention.output.dense",
                                         "intermediate.dense",        "output.dense"},
                             *const NORM[] = {"layernorm_before", "layernorm_after"};
    put(to, SMALL, 3, (int64_t[]){1, 1, WIDTH}, "embeddings.cls_token");
    put(to, SMALL, 3, (int64_t[]){1, PATCHES + 1, WIDTH}, "embeddings.position_embeddings");
    put_layer(to, SMALL, 4, (int64_t[]){WIDTH, 3, PATCH, PATCH}, "embeddings.", "patch_embeddings.projection");
    for (int i = 0; i < IMAGE_LAYERS; i++)
        put_block(to, i, LINEAR, NORM);
    put_norm(to, "", "layernorm");
}

static void put_text_weights(Start *to, int64_t words)
{
    static const char *const LINEAR[] = {"attention.self.query",   "attention.self.key", "attention.self.value",
                                         "attention.output.dense", "intermediate.dense", "output.dense"},
                             *const NORM[] = {"attention.output.LayerNorm", "output.LayerNorm"};
    put(to, SMALL, 2, (int64_t[]){words, WIDTH}, "embeddings.word_embeddings.weight");
    put(to, SMALL, 2, (int64_t[]){POSITIONS, WIDTH}, "embeddings.position_embeddings.weight");
    put(to, SMALL, 2, (int64_t[]){2, WIDTH}, "embeddings.token_type_embeddings.weight");
    put_norm(to, "embeddings.", "LayerNorm");
    for (int i = 0; i < TEXT_LAYERS; i++)
        put_block(to, i, LINEAR, NORM);
}

static bool add_file(Pair *p, Tower *m, const char *name, const void *data, size_t bytes, Error *e)
{
    sp_file *files = data ? arena_grow(p->c->arena, m->files, m->count, &m->room, sizeof *files, e) : NULL;
    if (!files)
        return false;
    m->files = files;
    m->files[m->count++] = (sp_file){name, data, bytes};
    return true;
}

/* Adds model.safetensors of a model: the length of the header, the header, the numbers. */
static bool add_weights(Pair *p, Tower *m, Error *e)
{
    Start to = {.a = p->c->arena, .header = "", .e = e, .s = store_new(p->d, e)};
    if (to.s && m == &p->vision)
        put_vision_weights(&to);
    else if (to.s)
        put_text_weights(&to, p->words);
    size_t n = strlen(to.header) + 1, data = to.count * sizeof(float);
    n = (n + 7) / 8 * 8; /* padded with spaces, so that the numbers are aligned */
    unsigned char *bytes = e->code == SP_OK ? arena_alloc(to.a, 1, 8 + n + data, e) : NULL;
    if (bytes) {
        for (int i = 0; i < 8; i++)
            bytes[i] = (unsigned char)((uint64_t)n >> 8 * i);
        memset(bytes + 8, ' ', n);
        memcpy(bytes + 8, to.header, strlen(to.header));
        bytes[8 + strlen(to.header)] = '}';
        memcpy(bytes + 8 + n, to.data, data);
    }
    store_free(to.s);
    return bytes && add_file(p, m, "model.safetensors", bytes, 8 + n + data, e);
}

/* ---- training -------------------------------------------------------------------------------- */

/* A batch on the host.
 *
 * - pixels: the prepared images
 * - ids, positions, offsets: the tokens of text i are offsets[i] .. offsets[i + 1] - 1
 * - bias: every element is BIAS */
typedef struct PairBatch {
    float pixels[BATCH * SIDE * SIDE * 3];
    int32_t ids[BATCH * POSITIONS], positions[BATCH * POSITIONS], offsets[BATCH + 1];
    float bias[BATCH * BATCH];
} PairBatch;

/* Returns the loss + b. With l = a X Y' + b and -log sigmoid(l) = softplus(l) - l, the loss is
 *
 *   (sum over i, j of softplus(l_ij) - sum over i of l_ii) / number of images
 *
 * The second sum, divided by the number of images, contains the constant b. It has no gradient, so it is left out. */
static Tensor *pair_loss(Tape *t, const Pair *p, const PairBatch *b)
{
    ImageBatch images = {.B = BATCH, .height = SIDE, .width = SIDE, .pixels = b->pixels};
    TextBatch texts = {.ragged = {.B = BATCH, .total = b->offsets[BATCH], .offsets = b->offsets},
                       .ids = b->ids,
                       .positions = b->positions};
    Tensor *x, *y;
    call_forward(t, p->vision.call, NULL, &images, &x);
    call_forward(t, p->text.call, &texts, NULL, &y);
    Tensor *l = scale(t, matmul(t, x, false, y, true), TEMPERATURE);
    Tensor *all = sum(t, activate(t, add(t, l, input_f32(t, b->bias, 2, (int64_t[]){BATCH, BATCH})), ACT_SOFTPLUS, 0));
    return scale(t, add_scaled(t, all, sum(t, row_dot(t, x, y)), -TEMPERATURE), 1.0f / BATCH);
}

/* training data */

/* Returns the thing of number `at` of the training data, with the given look. Its material and adjective are drawn. */
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

static bool make_batch(const Pair *p, int step, PairBatch *b, Arena *a, Error *e)
{
    uint32_t look[LOOKS];
    uint64_t scratch[2 * LOOKS];
    Draw order = {SEED, DRAW_SHUFFLE, (uint32_t)step}, pick = {SEED, DRAW_POSITIVE, (uint32_t)step};
    for (uint32_t i = 0; i < LOOKS; i++)
        look[i] = i;
    draw_shuffle(order, look, LOOKS, scratch);
    for (int i = 0; i < BATCH; i++) {
        uint64_t at = look[i] * EACH + draw_below(pick, 2 * (uint64_t)i, EACH);
        Thing t = thing_of((int)look[i], at);
        char text[THING_TEXT];
        TokenIds ids = {0};
        Image image = {.width = SIDE, .height = SIDE, .pixels = p->pixels + at * SIDE * SIDE * 3};
        image_values(&image, &p->vision.encoder->image.preset, b->pixels + (int64_t)i * SIDE * SIDE * 3);
        thing_describe(&t, draw_below(pick, 2 * (uint64_t)i + 1, 4) ? THING_DESCRIPTION : THING_TITLE, text);
        if (!tokenize(p->text.encoder->text.tokenizer, text_of(text), POSITIONS, &ids, a, e))
            return false;
        int32_t first = b->offsets[i];
        for (size_t k = 0; k < ids.count; k++) {
            b->ids[first + (int32_t)k] = ids.ids[k];
            b->positions[first + (int32_t)k] = (int32_t)k;
        }
        b->offsets[i + 1] = first + (int32_t)ids.count;
    }
    return true;
}

/* Makes the vocabulary: special tokens, characters, and the words of all descriptions. Titles have no other words, so
 * every word is known. */
static bool make_vocabulary(Pair *p, Error *e)
{
    Arena *a = p->c->arena;
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
    size_t bytes = 0, at = 0;
    p->words = ok ? text_index_count(words) : 0;
    for (int64_t i = 0; i < p->words; i++)
        bytes += text_index_at(words, i).n + 1;
    char *text = ok ? NEW(a, char, bytes + 1, e) : NULL;
    for (int64_t i = 0; text && i < p->words; i++) {
        Text word = text_index_at(words, i);
        memcpy(text + at, word.p, word.n);
        at += word.n;
        text[at++] = '\n';
    }
    return (p->vocabulary = text) != NULL;
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool add_text(Pair *p, Tower *m, const char *name, const char *text, Error *e)
{
    return text && add_file(p, m, name, text, strlen(text), e);
}

/* Adds the files of a folder, without the weights. */
static bool add_settings(Pair *p, Error *e)
{
    Arena *a = p->c->arena;
    Tower *v = &p->vision, *t = &p->text;
    const char *numbers = "\"hidden_size\": %d, \"num_hidden_layers\": %d, \"num_attention_heads\": %d, "
                          "\"intermediate_size\": %d, \"hidden_act\": \"gelu\", "
                          "\"layer_norm_eps\": 1e-12, ";
    const char *of_vision = arena_printf(a, e, numbers, WIDTH, IMAGE_LAYERS, HEADS, INNER),
               *of_text = arena_printf(a, e, numbers, WIDTH, TEXT_LAYERS, HEADS, INNER);
    if (!of_vision || !of_text)
        return false;
    const char
        *vision = arena_printf(
            a, e,
            "{\"model_type\": \"vit\", \"architectures\": [\"ViTModel\"], %s\"image_size\": %d, \"patch_size\": %d, "
            "\"num_channels\": 3, \"qkv_bias\": true}\n",
            of_vision, SIDE, PATCH),
        *preprocessor = arena_printf(
            a, e,
            "{\"image_processor_type\": \"ViTImageProcessor\", \"do_resize\": true, \"size\": {\"height\": %d, "
            "\"width\": %d}, "
            "\"resample\": 2, \"do_rescale\": true, \"do_normalize\": true, \"image_mean\": [0.5, 0.5, 0.5], "
            "\"image_std\": [0.5, 0.5, 0.5]}\n",
            SIDE, SIDE),
        *text = arena_printf(a, e,
                             "{\"model_type\": \"bert\", \"architectures\": [\"BertModel\"], %s\"vocab_size\": "
                             "%lld, \"type_vocab_size\": 2, "
                             "\"max_position_embeddings\": %d, \"pad_token_id\": 0}\n",
                             of_text, (long long)p->words, POSITIONS),
        *mean = arena_printf(a, e,
                             "{\"word_embedding_dimension\": %d, \"pooling_mode_cls_token\": false, "
                             "\"pooling_mode_mean_tokens\": true}\n",
                             WIDTH);
    return add_text(p, v, "config.json", vision, e) && add_text(p, v, "preprocessor_config.json", preprocessor, e) &&
           add_text(p, t, "vocab.txt", p->vocabulary, e) && add_text(p, t, "config.json", text, e) &&
           add_text(p, t, "1_Pooling/config.json", mean, e) &&
           add_text(p, t, "modules.json",
                    "[{\"idx\": 0, \"name\": \"0\", \"path\": \"\", \"type\": "
                    "\"sentence_transformers.models.Transformer\"},\n"
                    " {\"idx\": 1, \"name\": \"1\", \"path\": \"1_Pooling\", \"type\": "
                    "\"sentence_transformers.models.Pooling\"},\n"
                    " {\"idx\": 2, \"name\": \"2\", \"path\": \"2_Normalize\", \"type\": "
                    "\"sentence_transformers.models.Normalize\"}]\n",
                    e) &&
           add_text(p, t, "tokenizer_config.json",
                    "{\"tokenizer_class\": \"BertTokenizer\", \"do_lower_case\": true, \"model_max_length\": 64}\n", e);
}

/* Writes the files without the weights. Weights of an earlier run are removed first, and the new weights are written
 * last: a folder never has files of two runs. */
static bool write_settings(const Pair *p, const Tower *m, Error *e)
{
    Arena *a = p->c->arena;
    const char *weights = path_join(a, m->folder, "model.safetensors", e),
               *pooling = path_join(a, m->folder, "1_Pooling", e);
    if (!weights || !pooling || !folder_make(m == &p->text ? pooling : m->folder, e) || !file_remove(weights, e))
        return false;
    for (size_t i = 0; i < m->count; i++) {
        const sp_file *f = &m->files[i];
        const char *path = path_join(a, m->folder, f->name, e);
        Out *o = path ? out_open(path, p->c->heap, e) : NULL;
        if (!o || !out_write(o, f->data, f->bytes, e)) {
            out_discard(o);
            return false;
        }
        if (!out_commit(o, e))
            return false;
    }
    return true;
}

/* Opens a model with all weights as parameters. The call returns one vector of length 1 per input. */
static bool open_model(Pair *p, Tower *m, Error *e)
{
    static const char *const USUAL[] = {NULL};
    EncoderOptions o = {.outputs = USUAL, .output_count = 1, .train = {.weights = "*"}};
    CallOptions call = {.outputs = &(OutputOptions){.normalize = 1}, .output_count = 1};
    unsigned modality = m == &p->vision ? MODALITY_IMAGE : MODALITY_TEXT;
    Files *files = NEW(p->c->arena, Files, 1, e);
    if (!files || !add_weights(p, m, e))
        return false;
    *files = (Files){m->folder, m->files, m->count};
    return (m->encoder = encoder_open_files(p->d, files, &o, e)) &&
           (m->call = call_new(m->encoder, modality, &call, p->c->arena, e));
}

/* ---- the run --------------------------------------------------------------------------------- */

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
        if (backward(t, l, e) && optim_step(&o, p->vision.encoder->store, t, e) &&
            optim_step(&o, p->text.encoder->store, t, e)) {
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
    if (!p || !vision || !text)
        return false;
    *p = (Pair){.c = c, .d = context_device(c, e), .vision = {.folder = vision}, .text = {.folder = text}};
    if (!p->d || !make_vocabulary(p, e) || !add_settings(p, e) || !write_settings(p, &p->vision, e) ||
        !write_settings(p, &p->text, e) || !(p->pixels = NEW(c->arena, unsigned char, LOOKS *EACH *SIDE *SIDE * 3, e)))
        return false;
    pool_run(p->d->pool, LOOKS * EACH, draw_one, p);
    const char *of_vision = path_join(c->arena, vision, "model.safetensors", e),
               *of_text = path_join(c->arena, text, "model.safetensors", e);
    bool ok = of_vision && of_text && open_model(p, &p->vision, e) && open_model(p, &p->text, e) && train(p, e) &&
              encoder_save(p->vision.encoder, of_vision, e) && encoder_save(p->text.encoder, of_text, e);
    encoder_close(p->vision.encoder);
    encoder_close(p->text.encoder);
    return ok;
}
