/* sapor_calls.c: the public functions that encode texts and images of the caller. */
// flags: -Os
#include "sapor_objects.h"

/* Prepares *call for texts or images with these options (NULL: the defaults): the outputs, the limit of tokens, the
 * progress callback. Its lists are in the arena. */
static bool make_call(const sp_encoder *m, unsigned modality, const sp_call_options *options, Call *call, Arena *a,
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
    if (!read_options(&o, sizeof o, options, "sp_call_options", e) || !outputs_given(o.outputs, o.output_count, e))
        return false;
    if (o.max_length > INT64_MAX || (o.max_length && !text))
        return fail(e, SP_USAGE, "max_length: %zu is too large, or this call is for images; remove it", o.max_length);
    if (o.output_count || o.max_length || !usual) {
        size_t n = MAX(o.output_count, (size_t)1);
        OutputOptions *outputs = NEW(a, OutputOptions, n, e);
        if (!outputs)
            return false;
        outputs[0] = text ? m->usual_text : m->usual_image;
        for (size_t i = 0; i < o.output_count; i++) {
            outputs[i] = (OutputOptions){.name = o.outputs[i].name};
            if (!read_output(o.outputs[i].pool, o.outputs[i].normalize, &outputs[i], e))
                return false;
        }
        CallOptions call_options = {.outputs = outputs, .output_count = n, .max_tokens = (int64_t)o.max_length};
        if (text && !call_options.max_tokens)
            call_options.max_tokens = m->max_length;
        if (!(made = call_new(m->encoder, text ? MODALITY_TEXT : MODALITY_IMAGE, &call_options, a, e)))
            return false;
    }
    *call = *made;
    call->progress = o.progress;
    call->progress_arg = o.user;
    return true;
}

/* Enters the session and prepares the call. After success session_leave must follow. */
static bool begin_call(const sp_encoder *m, sp_session *s, unsigned modality, const sp_call_options *o, size_t n,
                       sp_error *status, Call *call, Error *e)
{
    error_clear(e);
    if (!given(m, "the encoder", e) || !session_enter(s, e))
        return false;
    for (size_t i = 0; status && i < n; i++)
        error_clear(&status[i]);
    if (make_call(m, modality, o, call, s->scratch, e))
        return true;
    return session_leave(s, false);
}

/* Checks that the caller gave memory for the rows of n inputs. If `tokens` is 0, outputs with one row per token need
 * none. */
static bool check_out(const Call *call, float *const *out, size_t n, size_t tokens, Error *e)
{
    for (size_t k = 0; n && k < call->count; k++)
        if (!out || (!out[k] && (tokens || !call->outputs[k].per_token)))
            return fail(e, SP_USAGE, "out: has no memory for output %zu of the call", k + 1);
    return true;
}

bool sp_row_sizes(const sp_encoder *m, unsigned modality, const sp_call_options *o, size_t *floats, sp_error *e)
{
    Call call = {0};
    error_clear(e);
    if (!given(m, "the encoder", e))
        return false;
    Arena *a = arena_new(arena_heap(m->arena), 0);
    bool ok = a ? make_call(m, modality, o, &call, a, e) : fail_memory(e, 1, "a call");
    for (size_t i = 0; ok && i < call.count; i++)
        floats[i] = (size_t)call.outputs[i].floats;
    arena_free(a);
    return ok;
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* Tokenizes texts into the session's scratch memory. */
static bool tokenize_list(const Call *call, sp_session *s, const sp_text *texts, size_t n, TokenLists *tokens,
                          sp_text_info *info, Results *r, Error *e)
{
    if (n && !given(texts, "the list of texts", e))
        return false;
    Text *list = NEW(s->scratch, Text, n, e);
    for (size_t i = 0; list && i < n; i++) {
        if (!texts[i].text && texts[i].bytes)
            return fail(e, SP_USAGE, "text %zu is NULL", i + 1);
        list[i] = (Text){texts[i].text ? texts[i].text : "", texts[i].bytes};
    }
    if (!list || !call_tokenize(call, s->tape, list, n, tokens, r, s->scratch, e))
        return false;
    for (size_t i = 0; info && i < n; i++)
        info[i] = (sp_text_info){.tokens = tokens->start[i + 1] - tokens->start[i], .truncated = tokens->cut[i]};
    return true;
}

bool sp_text_lengths(const sp_encoder *m, sp_session *s, const sp_text *texts, size_t n, const sp_call_options *o,
                     sp_text_info *info, sp_error *status, sp_error *e)
{
    Call call = {0};
    TokenLists tokens = {0};
    Results r = {.status = status};
    return begin_call(m, s, SP_TEXTS, o, n, status, &call, e) &&
           session_leave(s, tokenize_list(&call, s, texts, n, &tokens, info, &r, e));
}

bool sp_encode_text_batch(const sp_encoder *m, sp_session *s, const sp_text *texts, size_t n, const sp_call_options *o,
                          float *const *out, sp_text_info *info, sp_error *status, sp_error *e)
{
    Call call = {0};
    TokenLists tokens = {0};
    Results r = {.out = out, .status = status};
    return begin_call(m, s, SP_TEXTS, o, n, status, &call, e) &&
           session_leave(s, tokenize_list(&call, s, texts, n, &tokens, info, &r, e) &&
                                check_out(&call, out, n, tokens.ids.count, e) &&
                                encode_tokens(&call, s->tape, &tokens, &r, e));
}

/* Encodes texts [n], each ending with NUL, to out [n, D]. The usual output must be one row per text: an output with one
 * row per token is an error. */
static bool encode_strings(const Call *call, sp_session *s, const char *const *texts, size_t n, float *out, Error *e)
{
    if (call->outputs[0].per_token)
        return fail(e, SP_USAGE, "with pool none a text has a row per token; use sp_encode_text_batch");
    if (!check_out(call, &out, n, 0, e) || (n && !given(texts, "the list of texts", e)))
        return false;
    Text *list = NEW(s->scratch, Text, n, e);
    for (size_t i = 0; list && i < n; i++) {
        if (!texts[i])
            return fail(e, SP_USAGE, "text %zu is NULL", i + 1);
        list[i] = text_of(texts[i]);
    }
    return list && encode_texts(call, s->tape, list, n, &(Results){.out = &out}, e);
}

bool sp_encode_texts(const sp_encoder *m, sp_session *s, const char *const *texts, size_t n, float *out, sp_error *e)
{
    Call call = {0};
    return begin_call(m, s, SP_TEXTS, NULL, n, NULL, &call, e) &&
           session_leave(s, encode_strings(&call, s, texts, n, out, e));
}

/* ---- images ---------------------------------------------------------------------------------- */

/* Checks an image of the caller and converts it. If the fields of `from` contradict each other, the call fails. This is
 * not stored as the error of one image. */
static bool read_image(const sp_image *from, size_t i, ImageInput *to, Error *e)
{
    size_t pixels, bytes;
    *to = (ImageInput){.path = from->path};
    if (!from->path == !from->data)
        return fail(e, SP_USAGE, "image %zu: set path or data, and only one of them", i + 1);
    if (from->path && (from->bytes || from->width || from->height))
        return fail(e, SP_USAGE, "image %zu: bytes, width and height are for data, not for a path", i + 1);
    if (!from->width && !from->height) {
        to->bytes = (Text){from->data, from->bytes};
        return true;
    }
    if (!from->width || !from->height || !size_mul(from->width, from->height, &pixels) || pixels > INT32_MAX)
        return fail(e, SP_USAGE, "an image of %zu x %zu pixels is not supported", from->width, from->height);
    if (from->bytes && (!size_mul(pixels, 3, &bytes) || bytes != from->bytes))
        return fail(e, SP_USAGE, "image %zu: %zu bytes are not the pixels of %zu x %zu", i + 1, from->bytes,
                    from->width, from->height);
    to->pixels = (Image){.width = (int64_t)from->width,
                         .height = (int64_t)from->height,
                         .pixels = (unsigned char *)from->data}; /* only read */
    return true;
}

static bool encode_list(const Call *call, sp_session *s, const sp_image *images, size_t n, Results *r, Error *e)
{
    if (!check_out(call, r->out, n, 0, e) || (n && !given(images, "the list of images", e)))
        return false;
    ImageInput *list = NEW(s->scratch, ImageInput, n, e);
    for (size_t i = 0; list && i < n; i++)
        if (!read_image(&images[i], i, &list[i], e))
            return false;
    return list && encode_images(call, s->tape, list, n, r, e);
}

bool sp_encode_image_batch(const sp_encoder *m, sp_session *s, const sp_image *images, size_t n,
                           const sp_call_options *o, float *const *out, sp_error *status, sp_error *e)
{
    Call call = {0};
    return begin_call(m, s, SP_IMAGES, o, n, status, &call, e) &&
           session_leave(s, encode_list(&call, s, images, n, &(Results){.out = out, .status = status}, e));
}

static bool encode_paths(const Call *call, sp_session *s, const char *const *paths, size_t n, float *out, Error *e)
{
    if (n && !given(paths, "the list of paths", e))
        return false;
    sp_image *list = NEW(s->scratch, sp_image, n, e);
    for (size_t i = 0; list && i < n; i++)
        list[i].path = paths[i];
    return list && encode_list(call, s, list, n, &(Results){.out = &out}, e);
}

bool sp_encode_image_files(const sp_encoder *m, sp_session *s, const char *const *paths, size_t n, float *out,
                           sp_error *e)
{
    Call call = {0};
    return begin_call(m, s, SP_IMAGES, NULL, n, NULL, &call, e) &&
           session_leave(s, encode_paths(&call, s, paths, n, out, e));
}

/* Encodes one image that is in memory. */
static bool encode_one(const sp_encoder *m, sp_session *s, const sp_image *image, float *out, Error *e)
{
    Call call = {0};
    return begin_call(m, s, SP_IMAGES, NULL, 1, NULL, &call, e) &&
           session_leave(s, encode_list(&call, s, image, 1, &(Results){.out = &out}, e));
}

bool sp_encode_image(const sp_encoder *m, sp_session *s, const void *data, size_t bytes, float *out, sp_error *e)
{
    return encode_one(m, s, &(sp_image){.data = data, .bytes = bytes}, out, e);
}

bool sp_encode_pixels(const sp_encoder *m, sp_session *s, const unsigned char *rgb, size_t width, size_t height,
                      float *out, sp_error *e)
{
    error_clear(e);
    if (!width && !height)
        return fail(e, SP_USAGE, "an image of 0 x 0 pixels is not supported");
    return encode_one(m, s, &(sp_image){.data = rgb, .width = width, .height = height}, out, e);
}
