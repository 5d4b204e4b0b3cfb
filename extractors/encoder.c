/* extractors/encoder.c: opening a model, and running it over texts and images in batches. */
#include "extractors/loading.h"

#include <stdlib.h>

/* A thread's share of a batch, about. Chosen for caches only, as no row's bits depend on its neighbours: the widest
 * activations of MiniLM for 128 tokens still fit the second level, and a fetched weight is used for all of them. */
enum { TOKENS_EACH = 128, PIXELS_EACH = 224 * 224, IMAGES_MOST = 16 };

/* ---- opening --------------------------------------------------------------------------------- */

/* A weights file inside a Hugging Face folder means the folder. */
static const char *folder_of(const char *path, Arena *a, Error *e)
{
    Text base = path_base(path);
    if (folder_exists(path))
        return path;
    if (!text_is(base, "model.safetensors") && !text_is(base, "model.safetensors.index.json") &&
        !text_is(base, "pytorch_model.bin"))
        return NULL;
    size_t n = (size_t)(base.p - path);
    const char *folder = n ? arena_strndup(a, path, n - 1 + (n == 1), e) : ".";
    const char *config = folder ? path_join(a, folder, "config.json", e) : NULL;
    return config && file_exists(config) ? folder : NULL;
}

/* The architecture that config.json states: transformers' model_type, timm's architecture. NULL where it states
 * none. */
static const char *stated_kind(const ModelSource *s)
{
    const char *type = json_cstring(json_get(s->config, "model_type"));
    return type && *type ? type : json_cstring(json_get(s->config, "architecture"));
}

/* "bert, distilbert, ..."; *has: `name` is among them. */
static const char *kind_names(const char *name, bool *has, Arena *a, Error *e)
{
    const char *list = "";
    *has = false;
    for (size_t i = 0; i < encoder_kind_count() && list; i++) {
        const EncoderKind *k = encoder_kind_at(i);
        *has = *has || (name && strcmp(name, k->name) == 0);
        list = arena_printf(a, e, "%s%s%s", list, i ? ", " : "", k->name);
    }
    return list ? list : "";
}

static bool unsupported_kind(const ModelSource *s, const char *stated, const char *known, Error *e)
{
    error_clear(e);
    return fail(e, SP_UNSUPPORTED, "%s: config.json states %s, which is not supported (supported: %s)", s->path, stated,
                known);
}

static bool read_source(ModelSource *s, const char *name, const EncoderOptions *o, Arena *a, Error *e)
{
    *s = (ModelSource){.path = model_find(name, a, e), .arch = o->arch};
    if (!s->path)
        return false;
    s->folder = folder_of(s->path, a, e);
    const char *config = s->folder ? path_join(a, s->folder, "config.json", e) : NULL;
    Text text;
    if (config && file_exists(config) &&
        (!file_read(&text, a, config, 16 << 20, e) || !(s->config = json_parse(a, text, config, e))))
        return false;
    if (s->config && s->config->type != JSON_OBJECT)
        return fail(e, SP_FORMAT, "%s:1:1: expected a JSON object with the model's settings", config);
    if (e->code != SP_OK)
        return false;
    if ((s->weights = weights_open(s->path, a, e)))
        return true;
    bool has;
    const char *stated = stated_kind(s), *known = kind_names(stated, &has, a, &(Error){0});
    if (stated && !has && !s->arch && e->code != SP_MEMORY) /* weights in another format would not help */
        return unsupported_kind(s, stated, known, e);
    return false;
}

static const EncoderKind *find_kind(const ModelSource *s, Arena *a, Error *e)
{
    for (size_t i = 0; i < encoder_kind_count(); i++)
        if (encoder_kind_at(i)->matches(s))
            return encoder_kind_at(i);
    bool has;
    const char *stated = stated_kind(s), *known = kind_names(stated, &has, a, e),
               *first = weights_count(s->weights) ? weights_at(s->weights, 0)->name.p : "none";
    if (s->arch)
        fail(e, SP_USAGE, "%s: unknown architecture %s; known are %s", s->path, s->arch, known);
    else if (stated && !has)
        unsupported_kind(s, stated, known, e);
    else if (stated)
        fail(e, SP_FORMAT, "%s: config.json states %s, but these tensors (%s, ...) are not those of a %s", s->path,
             stated, first, stated);
    else
        fail(e, SP_UNSUPPORTED, "%s: these tensors (%s, ...) belong to no known architecture (%s)%s", s->path, first,
             known, s->folder ? "" : "; choose one with --arch");
    return NULL;
}

static int64_t lower_of(int64_t limit, int64_t other) /* 0: not stated */
{
    return other > 0 ? MIN(limit, other) : limit;
}

static bool open_into(Encoder *en, const Device *d, const char *name, Error *e)
{
    ModelSource s;
    int64_t max_seq_length = 0;
    if (!read_source(&s, name, &en->options, en->arena, e))
        return false;
    en->weights = (Weights *)s.weights;
    en->pool = en->options.pool;
    en->normalize = en->options.normalize == 1;
    if (en->options.preset)
        en->preset = *en->options.preset;
    if (!(en->kind = find_kind(&s, en->arena, e)) || !(en->store = store_new(d, e)))
        return false;
    Pack pack = PACK_F32;
    if (en->options.dtype != PACK_F32 && !en->kind->narrow)
        return fail(e, SP_UNSUPPORTED, "%s: a %s runs in f32 only; remove --dtype", s.path, en->kind->name);
    if (!kernels_pack(d->k, d->heap, en->options.dtype, &pack, e))
        return false;
    en->hold.pack = pack;
    if (en->options.winograd && !en->kind->winograd)
        return fail(e, SP_UNSUPPORTED, "%s: %s does not support --winograd; remove it", s.path, en->kind->name);
    en->hold.winograd = en->options.winograd;
    if (s.folder && (en->kind->modalities & MODALITY_IMAGE) && !en->options.preset &&
        !preset_from_folder(&en->preset, s.folder, en->arena, e))
        return false;
    if (s.folder && (en->kind->modalities & MODALITY_TEXT) &&
        !pipeline_from_folder(en, s.folder, &max_seq_length, en->arena, e))
        return false;
    if (!tuning_open(en, e))
        return false;
    if (!en->kind->load(en, &s, e))
        return fail(e, SP_FORMAT, "%s: cannot be loaded as %s", s.path, en->kind->name);
    if (!tuning_check(en, &s, e))
        return false;
    if (en->pool == POOL_MODEL)
        en->pool = POOL_MEAN;
    if (en->pools) /* the pipeline normalises only its own pooling */
        en->normalize = en->options.normalize == 1;
    if (en->kind->modalities & MODALITY_TEXT) {
        if (!s.folder)
            return fail(e, SP_FORMAT,
                        "%s: is only a weights file; give the folder of the text encoder (config.json, tokenizer.json)",
                        s.path);
        if (!(en->tokenizer = tokenizer_load(s.folder, en->arena, e)))
            return false;
        en->max_tokens =
            lower_of(en->max_tokens, max_seq_length ? max_seq_length : tokenizer_max_length(en->tokenizer));
        en->max_tokens = lower_of(en->max_tokens, en->options.max_tokens);
    }
    return true;
}

Encoder *encoder_open(const Device *d, const char *name, const EncoderOptions *o, Error *e)
{
    Arena *a = arena_new(d->heap, 0);
    Encoder *en = a ? NEW(a, Encoder, 1, e) : NULL;
    if (!en) {
        arena_free(a);
        fail_memory(e, sizeof *en, "an encoder");
        return NULL;
    }
    en->arena = a;
    en->options = *o;
    if (open_into(en, d, name, e))
        return en;
    encoder_close(en);
    return NULL;
}

void encoder_close(Encoder *en)
{
    if (!en)
        return;
    store_free(en->store);
    weights_close(en->weights);
    arena_free(en->arena);
}

/* Damaged weights give NaN or infinity. They are an error here, so that they do not reach a recommender unnoticed. */
static bool check_finite(const Encoder *en, const float *x, size_t n, const char *what, size_t at, Error *e)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * 0.0f; /* 0 or NaN */
    return sum == 0.0f || fail(e, SP_FORMAT, "%s %zu: its features are NaN or infinite: is %s damaged?", what, at + 1,
                               weights_count(en->weights) ? weights_at(en->weights, 0)->file : "the model");
}

/* ---- texts ----------------------------------------------------------------------------------- */

static Tensor *forward_texts(Tape *t, const void *model, const void *input)
{
    static const Reduce how[] = {[POOL_MODEL] = REDUCE_MEAN,
                                 [POOL_CLS] = REDUCE_FIRST,
                                 [POOL_MEAN] = REDUCE_MEAN,
                                 [POOL_MAX] = REDUCE_MAX,
                                 [POOL_NONE] = REDUCE_MEAN};
    const Encoder *en = model;
    const TextBatch *b = input;
    Tensor *x = en->kind->forward_text(t, en->model, b);
    if (!en->pools)
        x = pool_ragged(t, x, &b->ragged, how[en->pool]);
    return en->normalize ? row_normalize(t, x, 1e-12f) : x;
}

typedef struct Tokens { /* text i owns ids[start[i]] .. ids[start[i + 1] - 1] */
    TokenIds ids;
    size_t *start;
} Tokens;

static bool tokenize_all(const Encoder *en, const Text *texts, size_t n, Tokens *out, Arena *a, Error *e)
{
    *out = (Tokens){.start = NEW(a, size_t, n + 1, e)};
    if (!out->start)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!tokenize(en->tokenizer, texts[i], (size_t)en->max_tokens, &out->ids, a, e))
            return false;
        if (out->ids.count == out->start[i])
            return fail(e, SP_FORMAT, "text %zu: has no tokens", i + 1);
        for (size_t j = out->start[i]; en->vocabulary && j < out->ids.count; j++)
            if (out->ids.ids[j] >= en->vocabulary) {
                Text piece = token_text(en->tokenizer, out->ids.ids[j]);
                return fail(
                    e, SP_FORMAT,
                    "text %zu: token '%.*s' has id %d, the model has %lld tokens: is the tokenizer of another model?",
                    i + 1, (int)MIN(piece.n, (size_t)50), piece.p, (int)out->ids.ids[j], (long long)en->vocabulary);
            }
        out->start[i + 1] = out->ids.count;
    }
    return true;
}

/* Texts order[0 : B] as one batch; arrays have room for them. */
static void fill_batch(const Encoder *en, const Tokens *tokens, const uint32_t *order, size_t B, int32_t *offsets,
                       int32_t *ids, int32_t *positions, TextBatch *b)
{
    int32_t at = 0, padding = en->first_position - 1;
    int64_t longest = 0;
    for (size_t i = 0; i < B; i++) {
        size_t from = tokens->start[order[i]], to = tokens->start[order[i] + 1];
        int32_t position = en->first_position;
        offsets[i] = at;
        longest = MAX(longest, (int64_t)(to - from));
        for (size_t j = from; j < to; j++, at++) {
            ids[at] = tokens->ids.ids[j];
            positions[at] = padding >= 0 && ids[at] == padding ? padding : position++;
        }
    }
    offsets[B] = at;
    *b = (TextBatch){.ragged = {.B = (int64_t)B, .total = at, .longest = longest, .offsets = offsets},
                     .ids = ids,
                     .positions = positions};
}

typedef struct Length {
    size_t tokens;
    uint32_t text;
} Length;

static int longest_first(const void *a, const void *b)
{
    const Length *x = a, *y = b;
    return x->tokens != y->tokens ? (x->tokens < y->tokens ? 1 : -1) : (x->text > y->text) - (x->text < y->text);
}

static bool can_encode(const Encoder *en, unsigned modality, size_t n, Error *e)
{
    if (!(en->kind->modalities & modality))
        return fail(e, SP_USAGE, "%s models encode %s", en->kind->name,
                    modality == MODALITY_TEXT ? "images, not texts" : "texts, not images");
    return n <= INT32_MAX || fail(e, SP_USAGE, "%zu inputs are too many for one call", n);
}

static bool run_texts(const Encoder *en, Tape *t, const Text *texts, size_t n, float *out, Arena *a, Error *e)
{
    Tokens tokens;
    Trace *trace = store_device(en->store)->trace;
    double begun = trace_begin(trace);
    if (!tokenize_all(en, texts, n, &tokens, a, e))
        return false;
    trace_end(trace, begun, "tokenize", 0, 4.0 * (double)tokens.ids.count);
    size_t most = TOKENS_EACH * (size_t)pool_threads(store_device(en->store)->pool);
    size_t D = (size_t)en->features, room = MAX(most, (size_t)en->max_tokens);
    Length *length = NEW(a, Length, n, e);
    uint32_t *order = NEW(a, uint32_t, n, e);
    int32_t *offsets = NEW(a, int32_t, room + 1, e), *ids = NEW(a, int32_t, room, e),
            *positions = NEW(a, int32_t, room, e);
    float *result = arena_alloc(a, MIN(room, n), D * sizeof(float), e);
    if (!length || !order || !offsets || !ids || !positions || !result)
        return false;
    for (size_t i = 0; i < n; i++)
        length[i] = (Length){tokens.start[i + 1] - tokens.start[i], (uint32_t)i};
    qsort(length, n, sizeof *length, longest_first);
    for (size_t i = 0; i < n; i++)
        order[i] = length[i].text;
    for (size_t i = 0, B; i < n; i += B) {
        size_t total = 0;
        for (B = 0; i + B < n && (B == 0 || total + length[i + B].tokens <= most); B++)
            total += length[i + B].tokens;
        TextBatch batch;
        int64_t shape[4];
        fill_batch(en, &tokens, order + i, B, offsets, ids, positions, &batch);
        if (!infer(t, forward_texts, en, &batch, result, B * D, shape, e))
            return false;
        for (size_t j = 0; j < B; j++) {
            if (!check_finite(en, result + j * D, D, "text", order[i + j], e))
                return false;
            memcpy(out + order[i + j] * D, result + j * D, D * sizeof(float));
        }
    }
    return true;
}

bool encode_texts(const Encoder *en, Tape *t, const Text *texts, size_t n, float *out, Error *e)
{
    Arena *a;
    if (!can_encode(en, MODALITY_TEXT, n, e))
        return false;
    if (n == 0)
        return true;
    return (a = tape_arena(t, 0, e)) && run_texts(en, t, texts, n, out, a, e);
}

bool encode_hidden(const Encoder *en, Tape *t, Text text, float **out, int64_t *count, Arena *a, Error *e)
{
    Tokens tokens;
    TextBatch batch;
    int64_t shape[4];
    if (!can_encode(en, MODALITY_TEXT, 1, e) || !tokenize_all(en, &text, 1, &tokens, a, e))
        return false;
    if (en->pools)
        return fail(e, SP_USAGE, "%s gives one row per text; use last_hidden_state for hidden states",
                    en->options.layer);
    size_t n = tokens.ids.count, D = (size_t)en->features;
    int32_t offsets[2], *ids = NEW(a, int32_t, n, e), *positions = NEW(a, int32_t, n, e);
    if (!ids || !positions || !(*out = arena_alloc(a, n, D * sizeof(float), e)))
        return false;
    fill_batch(en, &tokens, (uint32_t[]){0}, 1, offsets, ids, positions, &batch);
    *count = (int64_t)n;
    return infer(t, en->kind->forward_text, en->model, &batch, *out, n * D, shape, e) &&
           check_finite(en, *out, n * D, "text", 0, e);
}

/* ---- images ---------------------------------------------------------------------------------- */

static Tensor *forward_images(Tape *t, const void *model, const void *input)
{
    const Encoder *en = model;
    Tensor *x = en->kind->forward_image(t, en->model, input);
    return en->normalize && !en->map[0] ? row_normalize(t, x, 1e-12f) : x;
}

typedef struct Prepare {
    const Encoder *en;
    Tape *tape; /* has an arena for each of them */
    const Image *images;
    bool fitted;
    float *pixels;
    Error *errors; /* one per image: tasks run in parallel */
} Prepare;

static void prepare_one(void *arg, size_t i, int worker)
{
    Prepare *p = arg;
    (void)worker;
    const Preset *preset = &p->en->preset;
    float *to = p->pixels + (int64_t)i * preset->width * preset->height * 3;
    if (p->fitted)
        image_values(&p->images[i], preset, to);
    else
        image_prepare(&p->images[i], preset, to, tape_arena(p->tape, 1 + (int)i, &p->errors[i]), &p->errors[i]);
}

/* [h, w, c] -> [c, h, w] */
static void to_torch_order(const int64_t map[3], const float *in, float *out)
{
    int64_t C = map[0], HW = map[1] * map[2];
    for (int64_t c = 0; c < C; c++)
        for (int64_t i = 0; i < HW; i++)
            out[c * HW + i] = in[i * C + c];
}

static bool run_images(const Encoder *en, Tape *t, const Image *images, size_t n, bool fitted, float *out, Arena *a,
                       Error *e)
{
    const Device *d = store_device(en->store);
    size_t D = (size_t)en->features, each;
    if (!size_mul((size_t)en->preset.width, (size_t)en->preset.height * 3 * sizeof(float), &each))
        return fail(e, SP_USAGE, "images of %lld x %lld are too large", (long long)en->preset.width,
                    (long long)en->preset.height);
    size_t images_each = PIXELS_EACH * 3 * sizeof(float) / MAX(each, 1); /* of a thread */
    size_t chunk = MIN(n, (size_t)pool_threads(d->pool) * MIN(MAX(images_each, 1), IMAGES_MOST));
    float *pixels = arena_alloc(a, chunk, each, e),
          *result = en->map[0] ? arena_alloc(a, chunk, D * sizeof(float), e) : NULL;
    Error *errors = NEW(a, Error, chunk, e);
    if (!pixels || !errors || (en->map[0] && !result) || !tape_arena(t, (int)chunk, e))
        return false;
    for (size_t i = 0; i < n; i += chunk) {
        size_t B = MIN(chunk, n - i);
        Prepare p = {.en = en, .tape = t, .images = images + i, .fitted = fitted, .pixels = pixels, .errors = errors};
        double begun = trace_begin(d->trace);
        pool_run(d->pool, B, prepare_one, &p);
        trace_end(d->trace, begun, "prepare", 0, (double)(B * each));
        for (size_t j = 0; j < B; j++)
            if (errors[j].code != SP_OK)
                return fail(e, errors[j].code, "image %zu: %s", i + j + 1, errors[j].message);
        ImageBatch batch = {.B = (int64_t)B, .height = en->preset.height, .width = en->preset.width, .pixels = pixels};
        int64_t shape[4];
        float *to = result ? result : out + i * D;
        if (!infer(t, forward_images, en, &batch, to, B * D, shape, e))
            return false;
        for (size_t j = 0; j < B; j++) {
            if (!check_finite(en, to + j * D, D, "image", i + j, e))
                return false;
            if (result)
                to_torch_order(en->map, result + j * D, out + (i + j) * D);
        }
    }
    return true;
}

static bool images_in(const Encoder *en, Tape *t, const Image *images, size_t n, bool fitted, float *out, Error *e)
{
    Arena *a;
    if (!can_encode(en, MODALITY_IMAGE, n, e))
        return false;
    if (n == 0)
        return true;
    return (a = tape_arena(t, 0, e)) && run_images(en, t, images, n, fitted, out, a, e);
}

bool encode_images(const Encoder *en, Tape *t, const Image *images, size_t n, float *out, Error *e)
{
    return images_in(en, t, images, n, false, out, e);
}

bool encode_fitted(const Encoder *en, Tape *t, const Image *images, size_t n, float *out, Error *e)
{
    return images_in(en, t, images, n, true, out, e);
}
