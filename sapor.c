/* sapor.c: the public functions of sapor.h over the folders below. Nothing is computed here. */
#include "extractors/extractors.h"
#include "recsys/recsys.h"

const char *sp_version(void)
{
    return SAPOR_VERSION;
}

/* Every object is in an arena of its own, with the caller's allocator; the arena is the object's first member. */
static void *new_object(size_t bytes, const sp_allocator *memory, Error *e)
{
    Arena *a = arena_new(memory, 0);
    Arena **object = a ? arena_alloc(a, 1, bytes, e) : NULL;
    if (!object) {
        fail_memory(e, bytes, "an object of the library");
        arena_free(a);
        return NULL;
    }
    *object = a;
    return object;
}

/* ---- sessions -------------------------------------------------------------------------------- */

struct sp_session {
    Arena *arena;
    Device device;
    Tape *tape;
    Arena *scratch; /* of one call */
};

static bool open_device(Device *d, int threads, const sp_allocator *memory, Error *e)
{
    if (threads < 0)
        return fail(e, SP_USAGE, "threads: %d is below 0; expected 0 or more", threads);
    return device_open(d, NULL, threads, memory, NULL, e);
}

sp_session *sp_session_open(int threads, const sp_allocator *memory, sp_error *e)
{
    error_clear(e);
    sp_session *s = new_object(sizeof *s, memory, e);
    if (!s)
        return NULL;
    s->device.heap = memory = arena_heap(s->arena);
    if (!open_device(&s->device, threads, memory, e) || !(s->tape = tape_new(&s->device, false, e)) ||
        !(s->scratch = arena_new(memory, 0))) {
        fail_memory(e, 1, "a session"); /* keeps an earlier error */
        sp_session_close(s);
        return NULL;
    }
    return s;
}

void sp_session_close(sp_session *s)
{
    if (!s)
        return;
    arena_free(s->scratch);
    tape_free(s->tape);
    device_close(&s->device);
    arena_free(s->arena);
}

/* ---- encoders -------------------------------------------------------------------------------- */

struct sp_encoder {
    Arena *arena;
    Device device; /* for loading; calls compute on their session's */
    Encoder *encoder;
    Call *texts, *images; /* of the usual outputs; NULL: no such tower */
};

sp_encoder *sp_encoder_open(const char *model, const sp_allocator *memory, sp_error *e)
{
    return sp_encoder_open_as(model, NULL, memory, e);
}

static bool usual_calls(sp_encoder *m, Error *e)
{
    static const CallOptions USUAL = {0};
    unsigned towers = m->encoder->towers;
    return (!(towers & MODALITY_TEXT) || (m->texts = call_new(m->encoder, MODALITY_TEXT, &USUAL, m->arena, e))) &&
           (!(towers & MODALITY_IMAGE) || (m->images = call_new(m->encoder, MODALITY_IMAGE, &USUAL, m->arena, e)));
}

sp_encoder *sp_encoder_open_as(const char *model, const char *dtype, const sp_allocator *memory, sp_error *e)
{
    error_clear(e);
    const char *usual = NULL;
    EncoderOptions o = {.outputs = &usual, .output_count = 1};
    while (dtype && o.dtype < PACK_COUNT && strcmp(pack_name(o.dtype), dtype) != 0)
        o.dtype++;
    if (o.dtype == PACK_COUNT) {
        fail(e, SP_USAGE, "unknown number type %s; choose one of f32, f16, bf16, int8", dtype);
        return NULL;
    }
    sp_encoder *m = new_object(sizeof *m, memory, e);
    if (!m)
        return NULL;
    m->device.heap = arena_heap(m->arena);
    if (open_device(&m->device, 1, m->device.heap, e) && (m->encoder = encoder_open(&m->device, model, &o, e)) &&
        usual_calls(m, e))
        return m;
    sp_encoder_close(m);
    return NULL;
}

void sp_encoder_close(sp_encoder *m)
{
    if (!m)
        return;
    encoder_close(m->encoder);
    device_close(&m->device);
    arena_free(m->arena);
}

size_t sp_encoder_features(const sp_encoder *m)
{
    return m ? (size_t)(m->texts ? m->texts : m->images)->outputs[0].floats : 0;
}

bool sp_encoder_reads_texts(const sp_encoder *m)
{
    return m && m->texts;
}

bool sp_encoder_reads_images(const sp_encoder *m)
{
    return m && m->images;
}

bool sp_encode_texts(const sp_encoder *m, sp_session *s, const char *const *texts, size_t n, float *out, sp_error *e)
{
    error_clear(e);
    if (!sp_encoder_reads_texts(m))
        return fail(e, SP_USAGE, "this encoder does not read texts");
    arena_rewind(s->scratch, (ArenaMark){0});
    Text *list = NEW(s->scratch, Text, n, e);
    for (size_t i = 0; list && i < n; i++)
        list[i] = text_of(texts[i]);
    return list && encode_texts(m->texts, s->tape, list, n, &(Results){.out = &out}, e);
}

static bool encode_list(const sp_encoder *m, sp_session *s, const ImageInput *images, size_t n, float *out, Error *e)
{
    return encode_images(m->images, s->tape, images, n, &(Results){.out = &out}, e);
}

bool sp_encode_image_files(const sp_encoder *m, sp_session *s, const char *const *paths, size_t n, float *out,
                           sp_error *e)
{
    error_clear(e);
    if (!sp_encoder_reads_images(m))
        return fail(e, SP_USAGE, "this encoder does not read images");
    arena_rewind(s->scratch, (ArenaMark){0});
    ImageInput *images = NEW(s->scratch, ImageInput, n, e);
    for (size_t i = 0; images && i < n; i++)
        images[i].path = paths[i];
    return images && encode_list(m, s, images, n, out, e);
}

bool sp_encode_image(const sp_encoder *m, sp_session *s, const void *data, size_t bytes, float *out, sp_error *e)
{
    error_clear(e);
    if (!sp_encoder_reads_images(m))
        return fail(e, SP_USAGE, "this encoder does not read images");
    return encode_list(m, s, &(ImageInput){.bytes = {data, bytes}}, 1, out, e);
}

bool sp_encode_pixels(const sp_encoder *m, sp_session *s, const unsigned char *rgb, size_t width, size_t height,
                      float *out, sp_error *e)
{
    size_t pixels;
    error_clear(e);
    if (!sp_encoder_reads_images(m))
        return fail(e, SP_USAGE, "this encoder does not read images");
    if (!width || !height || !size_mul(width, height, &pixels) || pixels > INT32_MAX)
        return fail(e, SP_USAGE, "an image of %zu x %zu pixels is not supported", width, height);
    Image im = {(int64_t)width, (int64_t)height, (unsigned char *)rgb}; /* only read */
    return encode_list(m, s, &(ImageInput){.pixels = im}, 1, out, e);
}

/* ---- tokenizers ------------------------------------------------------------------------------ */

struct sp_tokenizer {
    Arena *arena;
    Tokenizer *tokenizer;
};

sp_tokenizer *sp_tokenizer_open(const char *path, const sp_allocator *memory, sp_error *e)
{
    error_clear(e);
    sp_tokenizer *t = new_object(sizeof *t, memory, e);
    if (t && !(t->tokenizer = tokenizer_load(path, t->arena, e))) {
        sp_tokenizer_close(t);
        return NULL;
    }
    return t;
}

void sp_tokenizer_close(sp_tokenizer *t)
{
    if (t)
        arena_free(t->arena);
}

bool sp_tokenize(const sp_tokenizer *t, const char *text, size_t bytes, size_t max_length, int32_t *ids, size_t room,
                 size_t *count, sp_error *e)
{
    TokenIds all = {0};
    Arena *scratch = arena_new(arena_heap(t->arena), 0);
    error_clear(e);
    bool ok = scratch ? tokenize(t->tokenizer, (Text){text, bytes}, max_length, &all, scratch, e)
                      : fail_memory(e, bytes, "token ids");
    if (ok && all.count && room)
        memcpy(ids, all.ids, MIN(room, all.count) * sizeof *ids);
    *count = ok ? all.count : 0;
    arena_free(scratch);
    return ok;
}

/* ---- recommenders ---------------------------------------------------------------------------- */

struct sp_recommender {
    Arena *arena;
    Device device;
    Trained *trained;
    Arena *answer; /* ids of the last answer */
};

sp_recommender *sp_recommender_open(const char *folder, int threads, const sp_allocator *memory, sp_error *e)
{
    error_clear(e);
    sp_recommender *r = new_object(sizeof *r, memory, e);
    if (!r)
        return NULL;
    r->device.heap = arena_heap(r->arena);
    if (!open_device(&r->device, threads, r->device.heap, e) ||
        !(r->trained = trained_open(&r->device, folder, false, e)) || !(r->answer = arena_new(r->device.heap, 0))) {
        fail_memory(e, 1, "a recommender"); /* keeps an earlier error */
        sp_recommender_close(r);
        return NULL;
    }
    return r;
}

void sp_recommender_close(sp_recommender *r)
{
    if (!r)
        return;
    trained_close(r->trained);
    device_close(&r->device);
    arena_free(r->answer);
    arena_free(r->arena);
}

typedef struct Answer {
    Arena *arena;
    sp_recommendation *out;
    size_t room, count;
} Answer;

static bool keep_answer(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    Answer *a = arg;
    (void)user;
    for (int64_t i = 0; i < k && a->count < a->room; i++) {
        const char *id = arena_strndup(a->arena, items[i].p, items[i].n, e);
        if (!id)
            return false;
        a->out[a->count++] = (sp_recommendation){id, scores[i]};
    }
    return true;
}

bool sp_recommend(sp_recommender *r, const char *user, size_t k, sp_recommendation *out, size_t *count, sp_error *e)
{
    Text one = text_of(user);
    Answer a = {r->answer, out, k, 0};
    error_clear(e);
    *count = 0;
    if (k == 0 || k > INT32_MAX)
        return fail(e, SP_USAGE, "k: %zu is out of range; expected 1 to %d", k, INT32_MAX);
    arena_rewind(r->answer, (ArenaMark){0});
    if (!trained_recommend(r->trained, &one, 1, (int64_t)k, keep_answer, &a, e))
        return false;
    *count = a.count;
    return true;
}
