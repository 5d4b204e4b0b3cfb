/* sapor.c: the public functions for sessions, encoders and tokenizers. They check arguments and call the folders below.
 */
// flags: -Os
#include "sapor_objects.h"

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

bool given(const void *p, const char *what, Error *e)
{
    return p || fail(e, SP_USAGE, "%s is NULL", what);
}

bool size_fits(size_t size, const char *what, Error *e)
{
    enum { MOST = 4096 };
    return (size >= sizeof size && size <= MOST && size % sizeof size == 0) ||
           fail(e, SP_USAGE, "%s: its size is %zu; set it to sizeof (%s)", what, size, what);
}

bool read_options(void *to, size_t bytes, const void *from, const char *what, Error *e)
{
    size_t size = 0;
    memset(to, 0, bytes);
    if (!from)
        return true;
    memcpy(&size, from, sizeof size);
    if (!size_fits(size, what, e))
        return false;
    for (size_t i = bytes; i < size; i++)
        if (((const unsigned char *)from)[i])
            return fail(e, SP_UNSUPPORTED, "%s: has members that version %s does not have", what, SAPOR_VERSION);
    memcpy(to, from, MIN(size, bytes));
    return true;
}

bool read_allocator(const sp_allocator *memory, Error *e)
{
    return !memory || given((const void *)(uintptr_t)memory->resize, "resize of the sp_allocator", e);
}

void *new_object(size_t bytes, const sp_allocator *memory, Error *e)
{
    if (!read_allocator(memory, e))
        return NULL;
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

bool open_device(Device *d, const char *name, int threads, const sp_allocator *memory, Error *e)
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
        fail_memory(e, 1, "a session"); /* no effect after an earlier error */
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

bool session_enter(sp_session *s, Error *e)
{
    if (!given(s, "the session", e))
        return false;
    if (atomic_exchange(&s->busy, true))
        return fail(e, SP_USAGE, "the session is in another call; each thread needs a session of its own");
    arena_rewind(s->scratch, (ArenaMark){0});
    return true;
}

bool session_leave(sp_session *s, bool ok)
{
    atomic_store(&s->busy, false);
    return ok;
}

/* ---- encoders -------------------------------------------------------------------------------- */

bool read_output(sp_pool pool, int normalize, OutputOptions *to, Error *e)
{
    static const Pooling POOLS[] = {[SP_POOL_MODEL] = POOL_MODEL,
                                    [SP_POOL_CLS] = POOL_CLS,
                                    [SP_POOL_MEAN] = POOL_MEAN,
                                    [SP_POOL_MAX] = POOL_MAX,
                                    [SP_POOL_NONE] = POOL_NONE};
    if ((size_t)pool >= COUNT(POOLS))
        return fail(e, SP_USAGE, "pool: %d is not an sp_pool", (int)pool);
    to->pool = POOLS[pool];
    to->normalize = normalize;
    return (normalize >= -1 && normalize <= 1) ||
           fail(e, SP_USAGE, "normalize: %d; expected 1 (yes), -1 (no) or 0 (as the model does)", normalize);
}

static bool read_dtype(const char *name, Pack *to, Error *e)
{
    *to = PACK_F32;
    while (name && *to < PACK_COUNT && strcmp(pack_name(*to), name) != 0)
        (*to)++;
    return *to < PACK_COUNT || fail(e, SP_USAGE, "unknown number type %s; choose one of f32, f16, bf16, int8", name);
}

static bool read_resize(const char *name, Resizer *to, Error *e)
{
    bool torchvision = name && strcmp(name, "torchvision") == 0;
    *to = torchvision ? RESIZE_TORCHVISION : RESIZE_PILLOW;
    return !name || torchvision || strcmp(name, "pil") == 0 ||
           fail(e, SP_USAGE, "resize: unknown library %s; choose pil or torchvision", name);
}

/* Prepares the call of the functions that take no call options. Its output is the usual output of a tower, pooled as
 * `usual` says. *call does not change if the encoder does not have the tower, or has not loaded this output. */
static bool usual_call(sp_encoder *m, unsigned tower, const OutputOptions *usual, Call **call, Error *e)
{
    int number = output_find(m->encoder, tower, NULL);
    CallOptions o = {.outputs = usual, .output_count = 1};
    if (!(m->encoder->towers & tower) || number < 0 || !m->encoder->outputs[number].loaded)
        return true;
    o.max_tokens = tower == MODALITY_TEXT ? m->max_length : 0;
    return (*call = call_new(m->encoder, tower, &o, m->arena, e)) != NULL;
}

bool outputs_given(const void *outputs, size_t count, Error *e)
{
    return outputs || !count || fail(e, SP_USAGE, "output_count: %zu, but outputs is NULL", count);
}

/* Prepares m->texts and m->images: the calls of functions that take no call options. An encoder of texts and images may
 * have one row per token as its usual output of texts. Then `pool` applies to texts only, because the usual output of
 * images has nothing to pool. Otherwise `pool` applies to both. */
static bool usual_calls(sp_encoder *m, const sp_encoder_options *o, Error *e)
{
    const Encoder *en = m->encoder;
    OutputOptions pooled = {0}, usual;
    if (!read_output(o->pool, o->normalize, &pooled, e))
        return false;
    usual = (OutputOptions){.normalize = o->normalize};
    if (o->max_length > INT64_MAX || (o->max_length && !(en->towers & MODALITY_TEXT)))
        return fail(e, SP_USAGE, "max_length: %zu is too large, or this encoder does not read texts", o->max_length);
    int text = output_find(en, en->towers & MODALITY_TEXT, NULL);
    bool two = en->towers == (MODALITY_IMAGE | MODALITY_TEXT);
    m->max_length = (int64_t)o->max_length;
    m->usual_text = pooled;
    m->usual_image = two && text >= 0 && en->outputs[text].rows == ROWS_TOKENS ? usual : pooled;
    if (!usual_call(m, MODALITY_TEXT, &m->usual_text, &m->texts, e) ||
        !usual_call(m, MODALITY_IMAGE, &m->usual_image, &m->images, e))
        return false;
    return m->texts || m->images || (!o->pool && !o->normalize) ||
           fail(e, SP_USAGE, "%s: pool and normalize are for the usual output, which is not among `outputs`", en->path);
}

static bool has_towers(const Encoder *en, unsigned towers, Error *e)
{
    unsigned missing = towers & ~en->towers;
    return !missing || fail(e, SP_USAGE, "%s: %s models do not read %s; change modalities", en->path, en->kind->name,
                            missing & MODALITY_TEXT ? "texts" : "images");
}

static sp_encoder *open_encoder(const char *model, const Files *files, const sp_encoder_options *options,
                                const sp_allocator *memory, Error *e)
{
    sp_encoder_options o;
    EncoderOptions settings = {0};
    error_clear(e);
    if (!read_options(&o, sizeof o, options, "sp_encoder_options", e) || !read_dtype(o.dtype, &settings.dtype, e) ||
        !read_resize(o.resize, &settings.resizer, e) || !outputs_given(o.outputs, o.output_count, e))
        return NULL;
    if (o.modalities & ~(unsigned)(SP_IMAGES | SP_TEXTS)) {
        fail(e, SP_USAGE, "modalities: %u; expected SP_IMAGES, SP_TEXTS, both or 0", o.modalities);
        return NULL;
    }
    settings.arch = o.arch;
    settings.outputs = o.outputs;
    settings.output_count = o.output_count;
    settings.towers = (o.modalities & SP_IMAGES ? MODALITY_IMAGE : 0) | (o.modalities & SP_TEXTS ? MODALITY_TEXT : 0);
    sp_encoder *m = new_object(sizeof *m, memory, e);
    if (!m)
        return NULL;
    m->device.heap = arena_heap(m->arena);
    if (open_device(&m->device, o.device, 1, m->device.heap, e) &&
        (m->encoder = files ? encoder_open_files(&m->device, files, &settings, e)
                            : encoder_open(&m->device, model ? model : "", &settings, e)) &&
        has_towers(m->encoder, settings.towers, e) && usual_calls(m, &o, e))
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
    if (n && !given(files, "the list of files", e))
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (!files[i].name || (!files[i].data && files[i].bytes)) {
            fail(e, SP_USAGE, "file %zu in memory: has no %s", i + 1, files[i].name ? "data" : "name");
            return NULL;
        }
    static const sp_file NONE = {.name = ""}; /* a list that is NULL means a folder on disk, also if n is 0 */
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

double sp_encoder_logit_scale(const sp_encoder *m)
{
    return m ? m->encoder->logit_scale : 0;
}

size_t sp_encoder_output_count(const sp_encoder *m)
{
    return m ? m->encoder->output_count : 0;
}

bool sp_encoder_output(const sp_encoder *m, size_t i, sp_output *out, sp_error *e)
{
    static const sp_pool POOLS[] = {SP_POOL_MODEL, SP_POOL_CLS, SP_POOL_MEAN, SP_POOL_MAX, SP_POOL_NONE, SP_POOL_MODEL};
    static const sp_rows ROWS[] = {SP_ROWS_VECTOR, SP_ROWS_TOKENS, SP_ROWS_MAP};
    sp_output known;
    error_clear(e);
    if (i >= sp_encoder_output_count(m))
        return fail(e, SP_USAGE, "output %zu: this encoder has %zu", i, sp_encoder_output_count(m));
    if (!given(out, "out", e) || !size_fits(out->size, "sp_output", e))
        return false;
    size_t size = out->size;
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
    memset(out, 0, size); /* additional members of a later version become zeros */
    memcpy(out, &known, MIN(size, sizeof known));
    return true;
}

/* ---- tokenizers ------------------------------------------------------------------------------ */

struct sp_tokenizer {
    Arena *arena;
    Tokenizer *tokenizer;
};

sp_tokenizer *sp_tokenizer_open(const char *path, const sp_allocator *memory, sp_error *e)
{
    error_clear(e);
    sp_tokenizer *t = given(path, "the path of the tokenizer", e) ? new_object(sizeof *t, memory, e) : NULL;
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
    error_clear(e);
    *count = 0;
    if (!given(t, "the tokenizer", e) || (bytes && !given(text, "the text", e)) || (room && !given(ids, "ids", e)))
        return false;
    Arena *scratch = arena_new(arena_heap(t->arena), 0);
    bool ok = scratch ? tokenize(t->tokenizer, (Text){text, bytes}, max_length, &all, scratch, e)
                      : fail_memory(e, bytes, "token ids");
    if (ok && all.count && room)
        memcpy(ids, all.ids, MIN(room, all.count) * sizeof *ids);
    *count = ok ? all.count : 0;
    arena_free(scratch);
    return ok;
}
