/* features.c: batches of pictures and texts through an encoder. */
#include <strings.h>

#include "tools/features.h"

bool is_picture_name(const char *name)
{
    static const char *const ENDS[] = {".jpg", ".jpeg", ".png", ".webp"};
    size_t n = strlen(name);
    for (size_t i = 0; i < COUNT(ENDS); i++) {
        size_t m = strlen(ENDS[i]);
        if (n > m && strcasecmp(name + n - m, ENDS[i]) == 0)
            return true;
    }
    return false;
}

bool option_dtype(const Context *c, Pack *dtype, Error *e)
{
    static const Pack PACKS[] = {PACK_F32, PACK_F16, PACK_BF16, PACK_INT8};
    const char *names[COUNT(PACKS)];
    int which = 0;
    for (size_t i = 0; i < COUNT(PACKS); i++)
        names[i] = pack_name(PACKS[i]);
    if (!option_choice(c, "dtype", names, COUNT(PACKS), &which, e))
        return false;
    *dtype = PACKS[which];
    return true;
}

bool option_winograd(const Context *c, int *outputs, Error *e)
{
    static const char *const SIZES[] = {"4", "6"};
    int which = 0;
    if (!option_choice(c, "winograd", SIZES, COUNT(SIZES), &which, e))
        return false;
    *outputs = which ? 6 : 0;
    return true;
}

bool extractor_open(Extractor *x, Context *c, const char *name, const EncoderOptions *o, Error *e)
{
    *x = (Extractor){.own = statistics_find(name)};
    if (x->own) {
        x->features = x->own->features;
        x->modalities = x->own->modality;
        return true;
    }
    const Device *d = context_device(c, e);
    double begun = now_seconds();
    if (!d || !(x->encoder = encoder_open(d, name, o, e))) {
        const char *names[8] = {NULL}, *near = NULL;
        size_t n = MIN(statistics_count(), COUNT(names));
        for (size_t i = 0; i < n; i++)
            names[i] = statistics_at(i)->name;
        if (e->code == SP_IO && (near = nearest_word(name, names, n, c->arena)))
            error_prefix(e, "did you mean \"%s\"? ", near);
        return false;
    }
    trace_end(d->trace, begun, "open model", 0, (double)store_bytes(x->encoder->store));
    x->features = x->encoder->features;
    x->modalities = x->encoder->kind->modalities;
    return true;
}

void extractor_close(Extractor *x)
{
    encoder_close(x->encoder);
    *x = (Extractor){0};
}

/* One batch at work. Each picture has an arena and an error of its own, so that threads share nothing. */
typedef struct Work {
    const Extractor *x;
    const Input *inputs; /* of this batch */
    Image *images;
    Arena **arenas;
    Error *errors;
    float *rows;
} Work;

/* Decodes a picture; statistics of pictures are taken here too, a picture a task. */
static void picture_task(void *arg, size_t i, int worker)
{
    Work *w = arg;
    const Extractor *x = w->x;
    Error *e = &w->errors[i];
    Image read;
    (void)worker;
    if (!image_open(&read, w->inputs[i].picture, w->arenas[i], e))
        return;
    if (x->own)
        x->own->of_image(&read, w->rows + (int64_t)i * x->features, w->arenas[i], e);
    else if (x->first_width > 0)
        image_resize(&w->images[i], &read, x->first_width, x->first_height, (Resampling){.filter = FILTER_BICUBIC},
                     w->arenas[i], e);
    else
        w->images[i] = read;
}

static bool encode_pictures(const Work *w, Tape *t, size_t n, Error *e)
{
    if (!w->x->as_they_are)
        return encode_images(w->x->encoder, t, w->images, n, w->rows, e);
    for (size_t i = 0; i < n; i++) { /* the same encoder, but made for this picture's size */
        Encoder sized = *w->x->encoder;
        sized.preset.fit = FIT_SQUASH;
        sized.preset.width = w->images[i].width;
        sized.preset.height = w->images[i].height;
        if (!encode_images(&sized, t, &w->images[i], 1, w->rows + (int64_t)i * w->x->features, e))
            return false;
    }
    return true;
}

static bool do_pictures(Context *c, Work *w, Tape *t, size_t n, Error *e)
{
    const Device *d = context_device(c, e);
    if (!d)
        return false;
    for (size_t i = 0; i < n; i++) {
        arena_rewind(w->arenas[i], (ArenaMark){0});
        w->errors[i] = (Error){0};
    }
    double begun = trace_begin(d->trace), bytes = 0;
    pool_run(d->pool, n, picture_task, w);
    for (size_t i = 0; i < n && !w->x->own; i++)
        bytes += 3.0 * (double)w->images[i].width * (double)w->images[i].height;
    trace_end(d->trace, begun, w->x->own ? "decode, count" : "decode", 0, bytes);
    for (size_t i = 0; i < n; i++)
        if (w->errors[i].code) {
            *e = w->errors[i];
            return false;
        }
    if (w->x->own || encode_pictures(w, t, n, e))
        return true;
    error_prefix(e, n > 1 ? "from %s on: " : "%s: ", w->inputs[0].picture);
    return false;
}

static bool do_texts(const Work *w, Tape *t, Text *texts, size_t n, Error *e)
{
    for (size_t i = 0; i < n; i++) {
        texts[i] = w->inputs[i].text;
        if (w->x->own)
            w->x->own->of_text(texts[i], w->rows + (int64_t)i * w->x->features);
    }
    return w->x->own || encode_texts(w->x->encoder, t, texts, n, w->rows, e);
}

static bool run_batches(Context *c, Work *w, Tape *t, Text *texts, const Input *inputs, size_t n, size_t batch,
                        const char *label, FeatureSink *sink, void *arg, Error *e)
{
    Progress p;
    progress_start(&p, c->progress, label, "items", (double)n);
    for (size_t first = 0, now; first < n; first += now) {
        bool picture = inputs[first].picture != NULL;
        for (now = 1; now < batch && first + now < n && (inputs[first + now].picture != NULL) == picture;)
            now++;
        w->inputs = inputs + first;
        if (!(picture ? do_pictures(c, w, t, now, e) : do_texts(w, t, texts, now, e)) || !sink(arg, first, now, w->rows, e))
            return false;
        progress_step(&p, (double)(first + now), NULL);
    }
    progress_end(&p, NULL);
    return true;
}

bool extract_features(Context *c, const Extractor *x, const Input *inputs, size_t n, size_t batch, const char *label,
                      FeatureSink *sink, void *arg, Error *e)
{
    for (size_t i = 0; i < n; i++)
        if (!(x->modalities & (inputs[i].picture ? MODALITY_IMAGE : MODALITY_TEXT)))
            return inputs[i].picture
                       ? fail(e, SP_USAGE, "%s: this model reads texts only, a .txt file with one a line", inputs[i].picture)
                       : fail(e, SP_USAGE, "text %s: this model reads pictures only (.jpg, .jpeg, .png, .webp)",
                              inputs[i].name);
    batch = MAX(MIN(batch, n), 1);
    const Device *d = x->encoder ? context_device(c, e) : NULL;
    Tape *t = d ? tape_new(d, false, e) : NULL;
    size_t numbers = 0;
    Text *texts = NEW(c->arena, Text, batch, e);
    Work w = {.x = x,
              .images = NEW(c->arena, Image, batch, e),
              .arenas = NEW(c->arena, Arena *, batch, e),
              .errors = NEW(c->arena, Error, batch, e)};
    bool ok = (t || !x->encoder) && texts && w.images && w.arenas && w.errors;
    if (ok && !size_mul(batch, (size_t)x->features, &numbers))
        ok = fail_memory(e, SIZE_MAX, "a batch of features");
    ok = ok && (w.rows = NEW(c->arena, float, numbers, e));
    for (size_t i = 0; ok && i < batch && (x->modalities & MODALITY_IMAGE); i++)
        if (!(w.arenas[i] = arena_new(c->heap, 0)))
            ok = fail_memory(e, 1, "pictures");
    ok = ok && run_batches(c, &w, t, texts, inputs, n, batch, label, sink, arg, e);
    for (size_t i = 0; w.arenas && i < batch; i++)
        arena_free(w.arenas[i]);
    tape_free(t);
    return ok;
}

/* ---- to a file --------------------------------------------------------------------------------------------------------- */

typedef struct RowsOut {
    NpyOut *npy;
    int64_t features;
} RowsOut;

static bool write_rows(void *out, size_t first, size_t n, const float *rows, Error *e)
{
    const RowsOut *o = out;
    (void)first;
    return npy_data(o->npy, rows, n * (size_t)o->features * sizeof *rows, e);
}

const char *features_ids_path(const char *out, Arena *a, Error *e)
{
    return arena_printf(a, e, "%.*s.ids.txt", (int)strlen(out) - (text_ends(text_of(out), ".npy") ? 4 : 0), out);
}

bool features_commit(Context *c, NpyOut *npy, const char *out, const char *const *names, size_t n, Error *e)
{
    const char *path = features_ids_path(out, c->arena, e);
    Out *o = path ? out_open(path, c->heap, e) : NULL;
    bool ok = o != NULL;
    for (size_t i = 0; ok && i < n; i++)
        ok = out_printf(o, e, "%s\n", names[i]);
    if (!ok) {
        out_discard(o);
        npy_discard(npy);
        return false;
    }
    Out *set[2] = {npy_finish(npy, e), o}; /* whenever the features are there, the names beside them are theirs */
    if (set[0])
        return out_commit_set(set, 2, e);
    out_discard(o);
    return false;
}

bool features_write(Context *c, const Extractor *x, const Input *inputs, size_t n, size_t batch, const char *label,
                    const char *out, Error *e)
{
    RowsOut o = {npy_create(out, F32, 2, (int64_t[]){(int64_t)n, x->features}, c->heap, e), x->features};
    const char **names = NEW(c->arena, const char *, n, e);
    for (size_t i = 0; names && i < n; i++)
        names[i] = inputs[i].name;
    if (!o.npy || !names || !extract_features(c, x, inputs, n, batch, label, write_rows, &o, e)) {
        npy_discard(o.npy);
        return false;
    }
    return features_commit(c, o.npy, out, names, n, e);
}
