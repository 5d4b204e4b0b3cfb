/* sapor.c: the public functions of sapor.h over the folders below. Nothing is computed here. */
#include "extractors/extractors.h"
#include "recsys/recsys.h"

const char *sp_version(void)
{
    return SAPOR_VERSION;
}

int sp_version_number(void)
{
    return SAPOR_VERSION_NUMBER;
}

const char *sp_status_name(sp_status code)
{
    static const char *const NAMES[] = {[SP_OK] = "SP_OK",
                                        [SP_IO] = "SP_IO",
                                        [SP_FORMAT] = "SP_FORMAT",
                                        [SP_MEMORY] = "SP_MEMORY",
                                        [SP_USAGE] = "SP_USAGE",
                                        [SP_SHAPE] = "SP_SHAPE",
                                        [SP_UNSUPPORTED] = "SP_UNSUPPORTED",
                                        [SP_CANCELLED] = "SP_CANCELLED"};
    return (size_t)code < COUNT(NAMES) ? NAMES[code] : "unknown";
}

/* A struct of the caller's with its size in front. One of an earlier version is shorter: the rest are zeros; one of a
 * later version is longer: what this version does not know must be zeros. NULL is all zeros. */
static bool read_options(void *to, size_t bytes, const void *from, const char *what, Error *e)
{
    enum { MOST = 4096 };
    size_t size = 0;
    memset(to, 0, bytes);
    if (!from)
        return true;
    memcpy(&size, from, sizeof size);
    if (size < sizeof size || size > MOST)
        return fail(e, SP_USAGE, "%s: its size is %zu; set it to sizeof (%s)", what, size, what);
    for (size_t i = bytes; i < size; i++)
        if (((const unsigned char *)from)[i])
            return fail(e, SP_UNSUPPORTED, "%s: has members that version %s does not know", what, SAPOR_VERSION);
    memcpy(to, from, MIN(size, bytes));
    return true;
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

static bool open_device(Device *d, const char *name, int threads, const sp_allocator *memory, Error *e)
{
    if (threads < 0)
        return fail(e, SP_USAGE, "threads: %d is below 0; expected 0 or more", threads);
    return device_open(d, name, threads, memory, NULL, e);
}

sp_session *sp_session_open(int threads, const sp_allocator *memory, sp_error *e)
{
    error_clear(e);
    sp_session *s = new_object(sizeof *s, memory, e);
    if (!s)
        return NULL;
    s->device.heap = memory = arena_heap(s->arena);
    if (!open_device(&s->device, NULL, threads, memory, e) || !(s->tape = tape_new(&s->device, false, e)) ||
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
    OutputOptions usual_text, usual_image; /* of calls that name no output */
    int64_t max_length;
    Call *texts, *images; /* of the usual outputs; NULL: not loaded, or no such tower */
};

static bool read_pool(sp_pool from, Pooling *to, Error *e)
{
    static const Pooling POOLS[] = {[SP_POOL_MODEL] = POOL_MODEL,
                                    [SP_POOL_CLS] = POOL_CLS,
                                    [SP_POOL_MEAN] = POOL_MEAN,
                                    [SP_POOL_MAX] = POOL_MAX,
                                    [SP_POOL_NONE] = POOL_NONE};
    if ((size_t)from >= COUNT(POOLS))
        return fail(e, SP_USAGE, "pool: %d is no sp_pool", (int)from);
    *to = POOLS[from];
    return true;
}

static bool read_dtype(const char *name, Pack *to, Error *e)
{
    *to = PACK_F32;
    while (name && *to < PACK_COUNT && strcmp(pack_name(*to), name) != 0)
        (*to)++;
    return *to < PACK_COUNT || fail(e, SP_USAGE, "unknown number type %s; choose one of f32, f16, bf16, int8", name);
}

static bool usual_call(sp_encoder *m, unsigned tower, const OutputOptions *usual, Call **call, Error *e)
{
    int number = output_find(m->encoder, tower, NULL);
    CallOptions o = {.outputs = usual, .output_count = 1};
    if (!(m->encoder->towers & tower) || number < 0 || !m->encoder->outputs[number].loaded)
        return true;
    o.max_tokens = tower == MODALITY_TEXT ? m->max_length : 0;
    return (*call = call_new(m->encoder, tower, &o, m->arena, e)) != NULL;
}

/* The calls without options. Where the model has two towers, pooling is for those whose usual output is tokens. */
static bool usual_calls(sp_encoder *m, const sp_encoder_options *o, Error *e)
{
    const Encoder *en = m->encoder;
    OutputOptions usual = {.normalize = o->normalize}, pooled = usual;
    if (!read_pool(o->pool, &pooled.pool, e))
        return false;
    if (o->max_length > INT64_MAX || (o->max_length && !(en->towers & MODALITY_TEXT)))
        return fail(e, SP_USAGE, "max_length: %zu is too large, or this encoder does not read texts", o->max_length);
    int text = output_find(en, en->towers & MODALITY_TEXT, NULL);
    bool two = en->towers == (MODALITY_IMAGE | MODALITY_TEXT);
    m->max_length = (int64_t)o->max_length;
    m->usual_text = pooled;
    m->usual_image = two && text >= 0 && en->outputs[text].rows == ROWS_TOKENS ? usual : pooled;
    return usual_call(m, MODALITY_TEXT, &m->usual_text, &m->texts, e) &&
           usual_call(m, MODALITY_IMAGE, &m->usual_image, &m->images, e);
}

static sp_encoder *open_encoder(const char *model, const Files *files, const sp_encoder_options *given,
                                const sp_allocator *memory, Error *e)
{
    sp_encoder_options o;
    EncoderOptions wish = {0};
    error_clear(e);
    if (!read_options(&o, sizeof o, given, "sp_encoder_options", e) || !read_dtype(o.dtype, &wish.dtype, e))
        return NULL;
    if (o.modalities & ~(unsigned)(SP_IMAGES | SP_TEXTS)) {
        fail(e, SP_USAGE, "modalities: %u; expected SP_IMAGES, SP_TEXTS, both or 0", o.modalities);
        return NULL;
    }
    wish.arch = o.arch;
    wish.outputs = o.outputs;
    wish.output_count = o.outputs ? o.output_count : 0;
    wish.towers = (o.modalities & SP_IMAGES ? MODALITY_IMAGE : 0) | (o.modalities & SP_TEXTS ? MODALITY_TEXT : 0);
    sp_encoder *m = new_object(sizeof *m, memory, e);
    if (!m)
        return NULL;
    m->device.heap = arena_heap(m->arena);
    if (open_device(&m->device, o.device, 1, m->device.heap, e) &&
        (m->encoder =
             files ? encoder_open_files(&m->device, files, &wish, e) : encoder_open(&m->device, model, &wish, e)) &&
        usual_calls(m, &o, e))
        return m;
    sp_encoder_close(m);
    return NULL;
}

sp_encoder *sp_encoder_open_with(const char *model, const sp_encoder_options *o, const sp_allocator *memory,
                                 sp_error *e)
{
    return open_encoder(model, NULL, o, memory, e);
}

sp_encoder *sp_encoder_open_as(const char *model, const char *dtype, const sp_allocator *memory, sp_error *e)
{
    const char *usual = NULL;
    sp_encoder_options o = {.size = sizeof o, .dtype = dtype, .outputs = &usual, .output_count = 1};
    return open_encoder(model, NULL, &o, memory, e);
}

sp_encoder *sp_encoder_open(const char *model, const sp_allocator *memory, sp_error *e)
{
    return sp_encoder_open_as(model, NULL, memory, e);
}

sp_encoder *sp_encoder_open_memory(const sp_file *files, size_t n, const sp_encoder_options *o,
                                   const sp_allocator *memory, sp_error *e)
{
    error_clear(e);
    for (size_t i = 0; i < n; i++)
        if (!files[i].name || (!files[i].data && files[i].bytes)) {
            fail(e, SP_USAGE, "file %zu in memory: has no %s", i + 1, files[i].name ? "data" : "name");
            return NULL;
        }
    static const sp_file NONE = {.name = ""};
    return open_encoder(NULL, &(Files){.folder = "model in memory", .list = n ? files : &NONE, .count = n}, o, memory,
                        e);
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
    const Call *c = !m ? NULL : m->texts ? m->texts : m->images;
    return c && !c->outputs[0].per_token ? (size_t)c->outputs[0].floats : 0;
}

bool sp_encoder_reads_texts(const sp_encoder *m)
{
    return m && (m->encoder->towers & MODALITY_TEXT);
}

bool sp_encoder_reads_images(const sp_encoder *m)
{
    return m && (m->encoder->towers & MODALITY_IMAGE);
}

size_t sp_encoder_output_count(const sp_encoder *m)
{
    return m ? m->encoder->output_count : 0;
}

bool sp_encoder_output(const sp_encoder *m, size_t i, sp_output *out, sp_error *e)
{
    static const sp_pool POOLS[] = {SP_POOL_MODEL, SP_POOL_CLS, SP_POOL_MEAN, SP_POOL_MAX, SP_POOL_NONE};
    static const sp_rows ROWS[] = {SP_ROWS_VECTOR, SP_ROWS_TOKENS, SP_ROWS_MAP};
    sp_output known;
    error_clear(e);
    if (i >= sp_encoder_output_count(m))
        return fail(e, SP_USAGE, "output %zu: this encoder has %zu", i, sp_encoder_output_count(m));
    size_t size = out->size;
    if (size < sizeof size || size > sizeof known)
        return fail(e, SP_USAGE, "sp_output: its size is %zu; set it to sizeof (sp_output)", size);
    const Output *o = &m->encoder->outputs[i];
    known = (sp_output){.size = size,
                        .name = o->name,
                        .modality = o->modality == MODALITY_TEXT ? SP_TEXTS : SP_IMAGES,
                        .rows = ROWS[o->rows],
                        .width = (size_t)o->width,
                        .pool = POOLS[o->pool],
                        .normalized = o->normalized,
                        .usual = output_find(m->encoder, o->modality, NULL) == (int)i,
                        .loaded = o->loaded};
    memcpy(out, &known, size);
    return true;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* The call of an encoder with these options (or NULL), in the arena. */
static bool make_call(const sp_encoder *m, unsigned modality, const sp_call_options *given, Call *call, Arena *a,
                      Error *e)
{
    bool text = modality == SP_TEXTS;
    const Call *usual = text ? m->texts : m->images, *made = usual;
    sp_call_options o;
    if (modality != SP_TEXTS && modality != SP_IMAGES)
        return fail(e, SP_USAGE, "modality: %u; expected SP_IMAGES or SP_TEXTS", modality);
    if (!(text ? sp_encoder_reads_texts(m) : sp_encoder_reads_images(m))) {
        const char *why = text ? m->encoder->text.missing : m->encoder->image.missing;
        return fail(e, SP_USAGE, "this encoder does not read %s%s%s", text ? "texts" : "images", why ? ": " : "",
                    why ? why : "");
    }
    if (!read_options(&o, sizeof o, given, "sp_call_options", e))
        return false;
    if (o.max_length > INT64_MAX)
        return fail(e, SP_USAGE, "max_length: %zu is too large", o.max_length);
    if (o.output_count || o.max_length || !usual) {
        size_t n = MAX(o.output_count, (size_t)1);
        OutputOptions *outputs = NEW(a, OutputOptions, n, e);
        if (!outputs)
            return false;
        outputs[0] = text ? m->usual_text : m->usual_image;
        for (size_t i = 0; i < o.output_count; i++) {
            outputs[i] = (OutputOptions){.name = o.outputs[i].name, .normalize = o.outputs[i].normalize};
            if (!read_pool(o.outputs[i].pool, &outputs[i].pool, e))
                return false;
        }
        CallOptions wish = {.outputs = outputs, .output_count = n, .max_tokens = (int64_t)o.max_length};
        if (text && m->max_length && (!wish.max_tokens || wish.max_tokens > m->max_length))
            wish.max_tokens = m->max_length;
        if (!(made = call_new(m->encoder, text ? MODALITY_TEXT : MODALITY_IMAGE, &wish, a, e)))
            return false;
    }
    *call = *made;
    call->progress = o.progress;
    call->progress_arg = o.user;
    return true;
}

/* The call of this session: its scratch memory is empty. */
static bool begin_call(const sp_encoder *m, sp_session *s, unsigned modality, const sp_call_options *o, size_t n,
                       sp_error *status, Call *call, Error *e)
{
    error_clear(e);
    arena_rewind(s->scratch, (ArenaMark){0});
    for (size_t i = 0; status && i < n; i++)
        error_clear(&status[i]);
    return make_call(m, modality, o, call, s->scratch, e);
}

bool sp_row_sizes(const sp_encoder *m, unsigned modality, const sp_call_options *o, size_t *floats, sp_error *e)
{
    Call call;
    error_clear(e);
    Arena *a = arena_new(arena_heap(m->arena), 0);
    bool ok = a ? make_call(m, modality, o, &call, a, e) : fail_memory(e, 1, "a call");
    for (size_t i = 0; ok && i < call.count; i++)
        floats[i] = (size_t)call.outputs[i].floats;
    arena_free(a);
    return ok;
}

/* Texts to ids in the session's scratch memory. */
static bool tokenize_list(const Call *call, sp_session *s, const sp_text *texts, size_t n, TokenLists *tokens,
                          sp_text_info *info, Results *r, Error *e)
{
    Text *list = NEW(s->scratch, Text, n, e);
    for (size_t i = 0; list && i < n; i++)
        list[i] = (Text){texts[i].text, texts[i].bytes};
    if (!list || !call_tokenize(call, s->tape, list, n, tokens, r, s->scratch, e))
        return false;
    for (size_t i = 0; info && i < n; i++)
        info[i] = (sp_text_info){.tokens = tokens->start[i + 1] - tokens->start[i], .truncated = tokens->cut[i]};
    return true;
}

bool sp_text_lengths(const sp_encoder *m, sp_session *s, const sp_text *texts, size_t n, const sp_call_options *o,
                     sp_text_info *info, sp_error *status, sp_error *e)
{
    Call call;
    TokenLists tokens;
    Results r = {.status = status};
    return begin_call(m, s, SP_TEXTS, o, n, status, &call, e) &&
           tokenize_list(&call, s, texts, n, &tokens, info, &r, e);
}

bool sp_encode_text_batch(const sp_encoder *m, sp_session *s, const sp_text *texts, size_t n, const sp_call_options *o,
                          float *const *out, sp_text_info *info, sp_error *status, sp_error *e)
{
    Call call;
    TokenLists tokens;
    Results r = {.out = out, .status = status};
    return begin_call(m, s, SP_TEXTS, o, n, status, &call, e) &&
           tokenize_list(&call, s, texts, n, &tokens, info, &r, e) && encode_tokens(&call, s->tape, &tokens, &r, e);
}

bool sp_encode_texts(const sp_encoder *m, sp_session *s, const char *const *texts, size_t n, float *out, sp_error *e)
{
    Call call;
    if (!begin_call(m, s, SP_TEXTS, NULL, n, NULL, &call, e))
        return false;
    Text *list = NEW(s->scratch, Text, n, e);
    for (size_t i = 0; list && i < n; i++)
        list[i] = text_of(texts[i]);
    return list && encode_texts(&call, s->tape, list, n, &(Results){.out = &out}, e);
}

/* What is wrong with how the caller describes an image is the caller's mistake, not the image's. */
static bool read_image(const sp_image *from, size_t i, ImageInput *to, Error *e)
{
    size_t pixels, bytes;
    *to = (ImageInput){.path = from->path};
    if (!from->path == !from->data)
        return fail(e, SP_USAGE, "image %zu: set path or data, and only one of them", i + 1);
    if (from->path || (!from->width && !from->height)) {
        to->bytes = (Text){from->data, from->bytes};
        return true;
    }
    if (!from->width || !from->height || !size_mul(from->width, from->height, &pixels) || pixels > INT32_MAX)
        return fail(e, SP_USAGE, "an image of %zu x %zu pixels is not supported", from->width, from->height);
    if (from->bytes && (!size_mul(pixels, 3, &bytes) || bytes != from->bytes))
        return fail(e, SP_USAGE, "image %zu: %zu bytes are not the pixels of %zu x %zu", i + 1, from->bytes,
                    from->width, from->height);
    to->pixels = (Image){(int64_t)from->width, (int64_t)from->height, (unsigned char *)from->data}; /* only read */
    return true;
}

bool sp_encode_image_batch(const sp_encoder *m, sp_session *s, const sp_image *images, size_t n,
                           const sp_call_options *o, float *const *out, sp_error *status, sp_error *e)
{
    Call call;
    if (!begin_call(m, s, SP_IMAGES, o, n, status, &call, e))
        return false;
    ImageInput *list = NEW(s->scratch, ImageInput, n, e);
    for (size_t i = 0; list && i < n; i++)
        if (!read_image(&images[i], i, &list[i], e))
            return false;
    return list && encode_images(&call, s->tape, list, n, &(Results){.out = out, .status = status}, e);
}

bool sp_encode_image_files(const sp_encoder *m, sp_session *s, const char *const *paths, size_t n, float *out,
                           sp_error *e)
{
    Call call;
    if (!begin_call(m, s, SP_IMAGES, NULL, n, NULL, &call, e))
        return false;
    ImageInput *list = NEW(s->scratch, ImageInput, n, e);
    for (size_t i = 0; list && i < n; i++)
        list[i].path = paths[i];
    return list && encode_images(&call, s->tape, list, n, &(Results){.out = &out}, e);
}

bool sp_encode_image(const sp_encoder *m, sp_session *s, const void *data, size_t bytes, float *out, sp_error *e)
{
    Call call;
    ImageInput image = {.bytes = {data, bytes}};
    return begin_call(m, s, SP_IMAGES, NULL, 1, NULL, &call, e) &&
           encode_images(&call, s->tape, &image, 1, &(Results){.out = &out}, e);
}

bool sp_encode_pixels(const sp_encoder *m, sp_session *s, const unsigned char *rgb, size_t width, size_t height,
                      float *out, sp_error *e)
{
    Call call;
    ImageInput image;
    sp_image from = {.data = rgb, .width = width, .height = height};
    if (!begin_call(m, s, SP_IMAGES, NULL, 1, NULL, &call, e))
        return false;
    if (!width && !height)
        return fail(e, SP_USAGE, "an image of 0 x 0 pixels is not supported");
    return read_image(&from, 0, &image, e) && encode_images(&call, s->tape, &image, 1, &(Results){.out = &out}, e);
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
    if (!open_device(&r->device, NULL, threads, r->device.heap, e) ||
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
