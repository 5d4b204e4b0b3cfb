/* tools/features.c: features of images and texts in batches. */
#include <strings.h>

#include "tools/features.h"

bool is_image_name(const char *name)
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

bool feature_source_open(FeatureSource *x, Context *c, const char *name, const EncoderOptions *o, Error *e)
{
    *x = (FeatureSource){.statistics = statistics_find(name)};
    if (x->statistics) {
        x->features = x->statistics->features;
        x->modalities = x->statistics->modality;
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

void feature_source_close(FeatureSource *x)
{
    encoder_close(x->encoder);
    *x = (FeatureSource){0};
}

/* ---- batches --------------------------------------------------------------------------------- */

/* Bytes of scratch memory that a thread keeps from one image to the next, and of fitted images that wait for the
 * encoder. */
enum { KEPT = 64 << 20, WAITING = 64 << 20 };
/* An encoder that fails on so many inputs and has done none is itself at fault: the run ends. */
enum { TRIES = 16 };

/* One batch at work. A thread opens one image at a time and keeps only its fitted pixels, so that a batch of large
 * files takes no more memory than its threads do. */
typedef struct Work {
    Context *c;
    const FeatureSource *x;
    const Device *device;
    Tape *tape;
    const Input *inputs;        /* of this batch */
    Arena **scratch;            /* one per thread */
    Image *fitted;              /* [batch] */
    Text *texts;                /* [batch] */
    Error *errors;              /* [batch] */
    size_t *good;               /* [batch]: which inputs the rows are of */
    float *rows;                /* [batch, features] */
    UnreadableList *unreadable; /* NULL: the first failure ends the run */
    size_t done, refused;       /* inputs that the encoder did and did not take */
} Work;

/* Opens an image and makes it small; statistics of images are taken here too. Images that keep their size stay in
 * their scratch, one per image then. */
static void image_task(void *arg, size_t i, int worker)
{
    Work *w = arg;
    const FeatureSource *x = w->x;
    Error *e = &w->errors[i];
    Arena *a = w->scratch[x->keep_size ? (int)i : worker];
    Image whole, first, fitted;
    arena_trim(a, KEPT);
    if (!image_open(&whole, w->inputs[i].image, a, e))
        return;
    if (x->statistics)
        x->statistics->of_image(&whole, w->rows + (int64_t)i * x->features, a, e);
    else if (x->keep_size)
        w->fitted[i] = whole;
    else if ((x->reshape_width == 0 || image_resize(&first, &whole, x->reshape_width, x->reshape_height,
                                                    (Resampling){.filter = FILTER_BICUBIC}, a, e)) &&
             image_fit(&fitted, x->reshape_width ? &first : &whole, &x->encoder->preset, a, e))
        memcpy(w->fitted[i].pixels, fitted.pixels, (size_t)(fitted.width * fitted.height * 3));
}

static void open_images(Work *w, size_t n)
{
    Trace *trace = w->device->trace;
    double begun = trace_begin(trace), bytes = 0;
    pool_run(w->device->pool, n, image_task, w);
    for (size_t i = 0; i < n && !w->x->statistics; i++)
        bytes += 3.0 * (double)w->fitted[i].width * (double)w->fitted[i].height;
    trace_end(trace, begun, w->x->statistics ? "decode, count" : "decode", 0, bytes);
}

/* Computes the rows of the inputs which[0 .. n-1] of the batch, without gaps. */
static bool encode_some(const Work *w, const size_t *which, size_t n, float *rows, Error *e)
{
    const FeatureSource *x = w->x;
    bool images = w->inputs[which[0]].image != NULL;
    if (x->statistics) {
        for (size_t i = 0; i < n; i++) { /* rows of images are computed already, in w->rows */
            float *to = rows + (int64_t)i * x->features, *from = w->rows + (int64_t)which[i] * x->features;
            if (!images)
                x->statistics->of_text(w->inputs[which[i]].text, to);
            else if (to != from)
                memmove(to, from, (size_t)x->features * sizeof *to);
        }
        return true;
    }
    if (!images) {
        for (size_t i = 0; i < n; i++)
            w->texts[i] = w->inputs[which[i]].text;
        return encode_texts(x->encoder, w->tape, w->texts, n, rows, e);
    }
    for (size_t i = 0; x->keep_size && i < n; i++) { /* the same encoder, but made for this image's size */
        const Image *im = &w->fitted[which[i]];
        Encoder sized = *x->encoder;
        sized.preset.fit = FIT_SQUASH;
        sized.preset.width = im->width;
        sized.preset.height = im->height;
        if (!encode_images(&sized, w->tape, im, 1, rows + (int64_t)i * x->features, e))
            return false;
    }
    if (x->keep_size)
        return true;
    if (n == 1)
        return encode_fitted(x->encoder, w->tape, &w->fitted[which[0]], 1, rows, e);
    Image *list = arena_alloc(w->c->arena, n, sizeof *list, e);
    for (size_t i = 0; list && i < n; i++)
        list[i] = w->fitted[which[i]];
    return list && encode_fitted(x->encoder, w->tape, list, n, rows, e);
}

/* Whether the run ends where input i of the batch cannot be read: its error is then in e. */
static bool ends_run(const Work *w, size_t i, Error *e)
{
    const Input *in = &w->inputs[i];
    bool ends = !w->unreadable || in->by_position || w->errors[i].code == SP_MEMORY;
    if (ends)
        unreadable_add(NULL, in, &w->errors[i], w->c->arena, e);
    return ends;
}

/* The rows of the batch's n inputs: w->good[0 .. *done-1] are those that have one. Inputs that fail together are tried
 * one by one: a row does not depend on its neighbours. */
static bool do_batch(Work *w, size_t n, size_t *done, Error *e)
{
    size_t read = 0;
    *done = 0;
    for (size_t i = 0; i < n; i++)
        w->errors[i] = (Error){0};
    if (w->inputs[0].image)
        open_images(w, n);
    for (size_t i = 0; i < n; i++) {
        if (input_problem(&w->inputs[i]))
            fail(&w->errors[i], SP_FORMAT, "%s", input_problem(&w->inputs[i]));
        if (w->errors[i].code == SP_OK)
            w->good[read++] = i;
        else if (ends_run(w, i, e))
            return false;
    }
    Error all = {0};
    if (read == 0 || encode_some(w, w->good, read, w->rows, &all))
        *done = read;
    if (all.code == SP_MEMORY) {
        *e = all;
        return false;
    }
    for (size_t i = 0; i < read && all.code != SP_OK; i++) {
        size_t at = w->good[i];
        if (encode_some(w, &at, 1, w->rows + (int64_t)*done * w->x->features, &w->errors[at]))
            w->good[(*done)++] = at;
        else if (ends_run(w, at, e))
            return false;
        else if (w->done + *done == 0 && ++w->refused >= TRIES)
            return unreadable_add(NULL, &w->inputs[at], &w->errors[at], w->c->arena, e);
    }
    for (size_t i = 0; i < n; i++)
        if (w->errors[i].code != SP_OK && !unreadable_add(w->unreadable, &w->inputs[i], &w->errors[i], w->c->arena, e))
            return false;
    return true;
}

static bool run_batches(Work *w, const Input *inputs, size_t n, size_t batch, size_t images, const char *label,
                        FeatureSink *sink, void *arg, Error *e)
{
    Progress p;
    progress_start(&p, w->c->progress, label, "items", (double)n);
    for (size_t first = 0, now, done; first < n; first += now) {
        bool image = inputs[first].image != NULL;
        for (now = 1;
             now < (image ? images : batch) && first + now < n && (inputs[first + now].image != NULL) == image;)
            now++;
        w->inputs = inputs + first;
        ArenaMark mark = arena_mark(w->c->arena);
        size_t unreadable = w->unreadable ? w->unreadable->count : 0;
        if (!do_batch(w, now, &done, e))
            return false;
        if (!w->unreadable || w->unreadable->count == unreadable) /* what was noted stays */
            arena_rewind(w->c->arena, mark);
        for (size_t i = 0, run; i < done; i += run) { /* rows whose inputs follow each other */
            for (run = 1; i + run < done && w->good[i + run] == w->good[i] + run;)
                run++;
            if (!sink(arg, first + w->good[i], run, w->rows + (int64_t)i * w->x->features, e))
                return false;
        }
        w->done += done;
        progress_step(&p, (double)(first + now), NULL);
    }
    if (w->done > 0) /* else an error follows */
        progress_end(&p, NULL);
    return true;
}

/* Room for the images of a batch; *images: how many are opened before they are encoded. */
static bool image_room(Work *w, size_t batch, size_t threads, size_t *images, Error *e)
{
    const FeatureSource *x = w->x;
    Context *c = w->c;
    const Preset *p = x->encoder && !x->keep_size ? &x->encoder->preset : &(Preset){.width = 0};
    size_t each;
    if (!size_mul((size_t)p->width * 3, (size_t)p->height, &each))
        return fail_memory(e, SIZE_MAX, "an image");
    *images = x->keep_size ? MIN(batch, threads) : MIN(batch, MAX((size_t)WAITING / MAX(each, 1), 1));
    if (!(w->scratch = NEW(c->arena, Arena *, threads, e)) || !(w->fitted = NEW(c->arena, Image, *images, e)))
        return false;
    for (size_t i = 0; i < threads; i++)
        if (!(w->scratch[i] = arena_new(c->heap, 0)))
            return fail_memory(e, 1, "images");
    unsigned char *pixels = arena_alloc(c->arena, *images, each, e);
    for (size_t i = 0; pixels && i < *images; i++)
        w->fitted[i] = (Image){p->width, p->height, pixels + i * each};
    return pixels != NULL;
}

bool extract_features(Context *c, const FeatureSource *x, const Input *inputs, size_t n, size_t batch,
                      const char *label, FeatureSink *sink, void *arg, UnreadableList *unreadable, Error *e)
{
    for (size_t i = 0; i < n; i++)
        if (!(x->modalities & (inputs[i].image ? MODALITY_IMAGE : MODALITY_TEXT)))
            return inputs[i].image
                       ? fail(e, SP_USAGE, "%s: this model supports texts only (.txt files and tables)",
                              inputs[i].image)
                       : fail(e, SP_USAGE, "text %s: this model supports images only (.jpg, .jpeg, .png, .webp)",
                              inputs[i].name);
    batch = MAX(MIN(batch, n), 1);
    const Device *d = x->encoder || (x->modalities & MODALITY_IMAGE) ? context_device(c, e) : NULL;
    size_t numbers = 0, threads = d ? (size_t)pool_threads(d->pool) : 1, images = batch;
    Work w = {.c = c,
              .x = x,
              .device = d,
              .tape = d && x->encoder ? tape_new(d, false, e) : NULL,
              .texts = NEW(c->arena, Text, batch, e),
              .errors = NEW(c->arena, Error, batch, e),
              .good = NEW(c->arena, size_t, batch, e),
              .unreadable = unreadable};
    bool ok = e->code == SP_OK;
    if (ok && !size_mul(batch, (size_t)x->features, &numbers))
        ok = fail_memory(e, SIZE_MAX, "a batch of features");
    ok = ok && (w.rows = NEW(c->arena, float, numbers, e)) &&
         (!(x->modalities & MODALITY_IMAGE) || image_room(&w, batch, threads, &images, e)) &&
         run_batches(&w, inputs, n, batch, images, label, sink, arg, e);
    for (size_t i = 0; w.scratch && i < threads; i++)
        arena_free(w.scratch[i]);
    tape_free(w.tape);
    return ok;
}

/* ---- to a file ------------------------------------------------------------------------------- */

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

bool features_commit(Context *c, NpyOut *npy, const char *out, const char *const *names, size_t n, Error *e)
{
    if (strcmp(out, "-") == 0) /* no place for names */
        return npy_commit(npy, e);
    const char *path = npy_ids_path(out, c->arena, e);
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

bool features_write(Context *c, const FeatureSource *x, const Input *inputs, size_t n, size_t batch, const char *label,
                    const char *out, UnreadableList *unreadable, Error *e)
{
    RowsOut o = {npy_create(out, F32, 2, (int64_t[]){(int64_t)n, x->features}, c->heap, e), x->features};
    const char **names = NEW(c->arena, const char *, n, e);
    size_t rows = 0, left_out = 0;
    bool ok = o.npy && names && extract_features(c, x, inputs, n, batch, label, write_rows, &o, unreadable, e);
    for (size_t i = 0; ok && i < n; i++)
        if (unreadable && left_out < unreadable->count && unreadable->list[left_out].id == inputs[i].name)
            left_out++;
        else
            names[rows++] = inputs[i].name;
    ok = ok && (rows > 0 || unreadable_fail(unreadable, n, e)) && (rows == n || npy_rows(o.npy, (int64_t)rows, e));
    if (ok)
        return features_commit(c, o.npy, out, names, rows, e);
    npy_discard(o.npy);
    return false;
}
