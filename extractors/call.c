/* extractors/call.c: checks the options of a call, and runs one pass of a call. */
// flags: -Os
#include "extractors/loading.h"

/* ---- one pass -------------------------------------------------------------------------------- */

Tensor *row_numbers_of_token(Tape *t, const TextBatch *b, int64_t id)
{
    const Ragged *r = &b->ragged;
    int32_t *at = tape_scratch(t, r->B, sizeof *at);
    for (int64_t i = 0; at && i < r->B; i++) {
        at[i] = r->offsets[i];
        for (int32_t j = r->offsets[i]; j < r->offsets[i + 1]; j++)
            if (id == LARGEST_ID ? b->ids[j] > b->ids[at[i]] : b->ids[j] == id && b->ids[at[i]] != id)
                at[i] = j;
    }
    return input_i32(t, at, r->B);
}

typedef struct PassInput {
    const TextBatch *texts;
    const ImageBatch *images;
} PassInput;

/* Returns the rows of B images as a ragged batch: T = total / B rows per image. NULL on failure. */
static const Ragged *image_rows(Tape *t, int64_t B, int64_t total)
{
    Ragged *r = tape_scratch(t, 1, sizeof *r);
    int32_t *offsets = tape_scratch(t, B + 1, sizeof *offsets);
    if (!r || !offsets)
        return NULL;
    if (total % B || total > INT32_MAX) {
        tape_fail(t, SP_SHAPE, "%lld rows of %lld images", (long long)total, (long long)B);
        return NULL;
    }
    for (int64_t i = 0; i <= B; i++)
        offsets[i] = (int32_t)(i * (total / B));
    *r = (Ragged){.B = B, .total = total, .offsets = offsets};
    return r;
}

static Tensor *pool_rows(Tape *t, const Call *c, Tensor *x, Pooling pool, const PassInput *in)
{
    if (pool == POOL_SENTENCE)
        return tape_ok(t, &(Error){0})
                   ? sentence_rows(t, c->encoder->text.sentence, x, &in->texts->ragged, sentence_left_out(c))
                   : x;
    const Reduce how = pool == POOL_CLS ? REDUCE_FIRST : pool == POOL_MAX ? REDUCE_MAX : REDUCE_MEAN;
    const Ragged *r = !x || !tape_ok(t, &(Error){0}) ? NULL
                      : in->texts                    ? &in->texts->ragged
                                                     : image_rows(t, in->images->B, x->shape[0]);
    return r ? pool_ragged(t, x, r, how) : x;
}

void call_forward(Tape *t, const Call *c, const TextBatch *texts, const ImageBatch *images, Tensor **out)
{
    const Encoder *en = c->encoder;
    const PassInput in = {.texts = texts, .images = images};
    Pass p = {.texts = texts,
              .images = images,
              .outputs = en->output_count,
              .table = en->outputs,
              .requested = c->requested,
              .out = tape_scratch(t, (int64_t)en->output_count, sizeof *p.out)};
    for (size_t i = 0; i < c->count; i++)
        out[i] = NULL;
    if (!p.out)
        return;
    (texts ? en->kind->forward_text : en->kind->forward_image)(t, en->model, &p);
    for (size_t i = 0; i < c->count; i++) {
        const CallOutput *o = &c->outputs[i];
        Tensor *x = p.out[o->number];
        if (x && o->pool != POOL_NONE)
            x = pool_rows(t, c, x, o->pool, &in);
        out[i] = x && o->normalize ? row_normalize(t, x, 1e-12f) : x;
    }
}

static void forward_input(Tape *t, const void *call, const void *input, Tensor **out)
{
    const PassInput *in = input;
    call_forward(t, call, in->texts, in->images, out);
}

bool call_infer(const Call *c, Tape *t, const TextBatch *texts, const ImageBatch *images, Inferred *results, Error *e)
{
    PassInput in = {.texts = texts, .images = images};
    return infer_all(t, forward_input, c, &in, c->count, results, e);
}

/* ---- options of a call ----------------------------------------------------------------------- */

static const char *pool_name(Pooling p)
{
    static const char *const NAMES[] = {"model", "cls", "mean", "max", "none", "model"};
    return NAMES[p];
}

/* Checks that the model has this tower and that the tower is open. */
static bool check_tower(const Encoder *en, unsigned modality, Error *e)
{
    bool text = modality == MODALITY_TEXT;
    const char *missing = text ? en->text.missing : en->image.missing;
    if (!(en->kind->modalities & modality))
        return fail(e, SP_USAGE, "%s models encode %s", en->kind->name,
                    text ? "images, not texts" : "texts, not images");
    if (missing)
        return fail(e, SP_USAGE, "%s: cannot encode %s: %s", en->path, text ? "texts" : "images", missing);
    return (en->towers & modality) ||
           fail(e, SP_USAGE, "%s: was opened without its tower for %s", en->path, text ? "texts" : "images");
}

static bool check_output(const Call *c, const OutputOptions *o, CallOutput *to, Arena *a, Error *e)
{
    const Encoder *en = c->encoder;
    to->number = output_find(en, c->modality, o->name);
    if (to->number < 0)
        return output_unknown(en, c->modality, o->name ? o->name : "", a, e);
    const Output *out = &en->outputs[to->number];
    const char *tower = of_tower(en, c->modality);
    if (!out->loaded)
        return fail(e, SP_USAGE, "%s: %s%s was not loaded; name it when the model is opened", en->path, out->name,
                    tower);
    if (o->pool == POOL_NONE && out->rows == ROWS_VECTOR)
        return fail(e, SP_USAGE, "%s: %s%s gives one row per input, not one per token; remove pool none", en->path,
                    out->name, tower);
    if (o->pool != POOL_MODEL && o->pool != POOL_NONE && out->rows != ROWS_TOKENS)
        return fail(e, SP_USAGE, "%s: %s%s has no tokens to pool; remove pool %s", en->path, out->name, tower,
                    pool_name(o->pool));
    bool tokens = out->rows == ROWS_TOKENS;
    if (tokens && o->pool == POOL_MODEL && c->modality == MODALITY_TEXT && en->text.no_pool)
        return fail(e, SP_UNSUPPORTED, "%s", en->text.no_pool);
    to->pool = !tokens ? POOL_NONE : o->pool == POOL_MODEL ? out->pool : o->pool;
    bool vector = out->rows == ROWS_VECTOR || (tokens && to->pool != POOL_NONE);
    if (o->normalize > 0 && !vector)
        return fail(e, SP_USAGE, "%s: %s%s gives a %s, which is not normalized; remove normalize", en->path, out->name,
                    tower, tokens ? "row per token" : "feature map");
    to->normalize = vector && (o->normalize > 0 || (o->normalize == 0 && out->normalized));
    to->floats = to->pool == POOL_SENTENCE ? en->text.sentence_width : out->width;
    to->per_token = tokens && to->pool == POOL_NONE && c->modality == MODALITY_TEXT;
    return true;
}

/* Finds the sizes of maps and of unpooled patches. They follow from the size of the images, so a pass without numbers
 * computes them. The pass fails if the model does not support images of this size. */
static bool find_sizes(const Call *c, Error *e)
{
    const Encoder *en = c->encoder;
    Arena *a = arena_new(store_device(en->store)->heap, 0);
    Tape *t = tape_new(store_device(en->store), false, e);
    Inferred *results = a ? NEW(a, Inferred, c->count, e) : NULL;
    ImageBatch one = {.B = 1, .height = c->preset.height, .width = c->preset.width};
    bool ok = t && results && call_infer(c, t, NULL, &one, results, e);
    if (!a)
        fail_memory(e, 1, "a call");
    for (size_t i = 0; ok && i < c->count; i++) {
        CallOutput *o = &c->outputs[i];
        const int64_t *shape = results[i].shape;
        o->floats = shape[0] * shape[1] * shape[2] * shape[3];
        if (en->outputs[o->number].rows == ROWS_MAP)
            memcpy(o->map, (int64_t[]){shape[3], shape[1], shape[2]}, sizeof o->map);
    }
    tape_free(t);
    arena_free(a);
    return ok;
}

static bool check_images(Call *c, const CallOptions *o, Error *e)
{
    const Encoder *en = c->encoder;
    bool sizes_known = !o->preset;
    if (o->max_tokens)
        return fail(e, SP_USAGE, "%s: max_tokens is for texts, not for images; remove it", en->path);
    c->preset = o->preset ? *o->preset : en->image.preset;
    c->keep_size = o->keep_size;
    c->reshape_width = o->reshape_width;
    c->reshape_height = o->reshape_height;
    for (size_t i = 0; i < c->count; i++) {
        RowKind rows = en->outputs[c->outputs[i].number].rows;
        sizes_known = sizes_known && rows == ROWS_VECTOR;
        c->one_size |= rows == ROWS_MAP || (rows == ROWS_TOKENS && c->outputs[i].pool == POOL_NONE);
    }
    size_t bytes;
    if (!size_mul((size_t)c->preset.width, (size_t)c->preset.height, &bytes) ||
        !size_mul(bytes, 3 * sizeof(float), &bytes))
        return fail(e, SP_USAGE, "images of %lld x %lld are too large", (long long)c->preset.width,
                    (long long)c->preset.height);
    return sizes_known || find_sizes(c, e);
}

static bool check_texts(Call *c, const CallOptions *o, Error *e)
{
    const Encoder *en = c->encoder;
    if (o->preset || o->keep_size || o->reshape_width || o->reshape_height)
        return fail(e, SP_USAGE, "%s: sizes of images are not for texts; remove them", en->path);
    if (o->max_tokens < 0)
        return fail(e, SP_USAGE, "max_tokens: %lld is below 0", (long long)o->max_tokens);
    c->max_tokens = o->max_tokens ? MIN(o->max_tokens, en->text.max_tokens) : en->text.max_tokens;
    return true;
}

Call *call_new(const Encoder *en, unsigned modality, const CallOptions *o, Arena *a, Error *e)
{
    static const OutputOptions USUAL = {0};
    if (!check_tower(en, modality, e))
        return NULL;
    Call *c = NEW(a, Call, 1, e);
    size_t n = MAX(o->output_count, 1);
    bool *requested = NEW(a, bool, en->output_count, e);
    if (!c || !requested || !(c->outputs = NEW(a, CallOutput, n, e)))
        return NULL;
    c->encoder = en;
    c->modality = modality;
    c->requested = requested;
    c->count = n;
    for (size_t i = 0; i < n; i++) {
        if (!check_output(c, o->output_count ? &o->outputs[i] : &USUAL, &c->outputs[i], a, e))
            return NULL;
        requested[c->outputs[i].number] = true;
    }
    return (modality == MODALITY_IMAGE ? check_images(c, o, e) : check_texts(c, o, e)) ? c : NULL;
}
