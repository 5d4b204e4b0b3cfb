/* tools/features.c: features of images and texts in batches. */
// flags: -Os
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

bool option_resize(const Context *c, Resizer *resizer, Error *e)
{
    static const char *const LIBRARIES[] = {"pil", "torchvision"};
    int which = 0;
    if (!option_choice(c, "resize", LIBRARIES, COUNT(LIBRARIES), &which, e))
        return false;
    *resizer = which ? RESIZE_TORCHVISION : RESIZE_PILLOW;
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

/* Makes the call of each open tower. It is an error if the rows of the two towers differ in length. */
static bool make_calls(FeatureSource *x, Context *c, const CallOptions *o, Error *e)
{
    const Encoder *en = x->encoder;
    CallOptions texts = *o, images = *o;
    images.max_tokens = 0; /* an option of the other modality */
    texts.preset = NULL;
    texts.keep_size = false;
    texts.reshape_width = texts.reshape_height = 0;
    if ((en->towers & MODALITY_IMAGE) && !(x->images = call_new(en, MODALITY_IMAGE, &images, c->arena, e)))
        return false;
    if ((en->towers & MODALITY_TEXT) && !(x->texts = call_new(en, MODALITY_TEXT, &texts, c->arena, e)))
        return false;
    const CallOutput *a = x->images ? &x->images->outputs[0] : NULL, *b = x->texts ? &x->texts->outputs[0] : a;
    if (!b)
        return fail(e, SP_UNSUPPORTED, "%s: does not encode images or texts", en->path);
    if (a && a->floats != b->floats)
        return fail(e, SP_SHAPE, "%s: images have %lld features, texts %lld; encode them into two files", en->path,
                    (long long)a->floats, (long long)b->floats);
    x->features = b->floats;
    return true;
}

bool feature_source_open(FeatureSource *x, Context *c, const char *name, unsigned towers, const EncoderOptions *o,
                         const CallOptions *call, Error *e)
{
    *x = (FeatureSource){.statistics = statistics_find(name)};
    if (x->statistics) {
        x->features = x->statistics->features;
        x->modalities = x->statistics->modality;
        return true;
    }
    const Device *d = context_device(c, e);
    const char *output = call->output_count ? call->outputs[0].name : NULL;
    EncoderOptions only = *o; /* load only the weights that one output of the used towers needs */
    only.towers = towers;
    only.outputs = &output;
    only.output_count = 1;
    double begun = now_seconds();
    if (!d || !(x->encoder = encoder_open(d, name, &only, e))) {
        const char *names[8] = {NULL}, *near = NULL;
        size_t n = MIN(statistics_count(), COUNT(names));
        for (size_t i = 0; i < n; i++)
            names[i] = statistics_at(i)->name;
        if (e->code == SP_IO && (near = nearest_word(name, names, n, c->arena)))
            error_prefix(e, "did you mean \"%s\"? ", near);
        return false;
    }
    trace_end(d->trace, begun, "open model", 0, (double)store_bytes(x->encoder->store));
    x->modalities = x->encoder->towers;
    if (make_calls(x, c, call, e))
        return true;
    feature_source_close(x);
    return false;
}

void feature_source_close(FeatureSource *x)
{
    encoder_close(x->encoder);
    *x = (FeatureSource){0};
}

/* ---- batches --------------------------------------------------------------------------------- */

/* If the encoder fails on this number of inputs and has encoded none, the encoder is at fault: the run ends. */
enum { TRIES = 16 };

/* The state of a batch. */
typedef struct Work {
    Context *c;
    const FeatureSource *x;
    Tape *tape;                 /* NULL: statistics of texts */
    const Input *inputs;        /* inputs of this batch */
    ImageInput *images;         /* [batch] */
    Text *texts;                /* [batch] */
    Error *errors;              /* [batch] */
    float *rows;                /* [batch, features] */
    UnreadableList *unreadable; /* NULL: the first failure ends the run */
    size_t done, refused;       /* number of inputs that the encoder did and did not encode, over all batches */
} Work;

static bool image_statistics(void *arg, size_t i, const Image *image, Arena *scratch, Error *e)
{
    const Work *w = arg;
    return w->x->statistics->of_image(image, w->rows + (int64_t)i * w->x->features, scratch, e);
}

static bool compute_statistics(Work *w, size_t n, Error *e)
{
    Trace *trace = w->tape ? tape_device(w->tape)->trace : NULL;
    double begun = trace_begin(trace);
    if (w->inputs[0].image) {
        bool ok = images_each(w->tape, w->images, n, image_statistics, w, w->errors, e);
        trace_end(trace, begun, "decode, count", 0, 0);
        return ok;
    }
    for (size_t i = 0; i < n; i++)
        w->x->statistics->of_text(w->texts[i], w->rows + (int64_t)i * w->x->features);
    return true;
}

/* Computes the rows of the batch's n inputs, each in its place. errors[i] is set if input i has no row. */
static bool compute_rows(Work *w, size_t n, Error *e)
{
    const FeatureSource *x = w->x;
    bool images = w->inputs[0].image != NULL;
    for (size_t i = 0; i < n; i++) {
        w->images[i] = (ImageInput){.path = w->inputs[i].image};
        w->texts[i] = input_problem(&w->inputs[i]) ? TEXT("") : w->inputs[i].text;
        w->errors[i] = (Error){0};
    }
    if (x->statistics)
        return compute_statistics(w, n, e);
    Results r = {.out = &w->rows, .status = w->errors};
    bool ok = images ? encode_images(x->images, w->tape, w->images, n, &r, e)
                     : encode_texts(x->texts, w->tape, w->texts, n, &r, e);
    w->refused += r.refused;
    return ok;
}

/* Reports whether the run ends because input i of the batch cannot be read. If so, the error is in e. */
static bool ends_run(const Work *w, size_t i, Error *e)
{
    const Input *in = &w->inputs[i];
    bool ends = !w->unreadable || in->by_position || w->errors[i].code == SP_MEMORY;
    if (ends)
        unreadable_add(NULL, in, &w->errors[i], w->c->arena, e);
    return ends;
}

/* Computes the batch's n inputs. errors[i] is set if input i has no row. */
static bool do_batch(Work *w, size_t n, Error *e)
{
    if (!compute_rows(w, n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *problem = input_problem(&w->inputs[i]);
        if (problem) {
            error_clear(&w->errors[i]);
            fail(&w->errors[i], SP_FORMAT, "%s", problem);
        }
        if (w->errors[i].code == SP_OK)
            w->done++;
        else if (ends_run(w, i, e))
            return false;
        else if (!unreadable_add(w->unreadable, &w->inputs[i], &w->errors[i], w->c->arena, e))
            return false;
    }
    return true;
}

/* Passes the batch's rows to the sink. Rows of consecutive inputs are passed together. */
static bool sink_rows(const Work *w, size_t first, size_t n, FeatureSink *sink, void *arg, Error *e)
{
    for (size_t i = 0, run; i < n; i += run) {
        for (run = 0; i + run < n && w->errors[i + run].code == SP_OK;)
            run++;
        if (run && !sink(arg, first + i, run, w->rows + (int64_t)i * w->x->features, e))
            return false;
        run += !run;
    }
    return true;
}

static bool run_batches(Work *w, const Input *inputs, size_t n, size_t batch, const char *label, FeatureSink *sink,
                        void *arg, Error *e)
{
    Progress p;
    progress_start(&p, w->c->progress, label, "items", (double)n);
    for (size_t first = 0, now; first < n; first += now) {
        bool image = inputs[first].image != NULL;
        size_t most = w->done ? batch : MIN(batch, (size_t)TRIES);
        for (now = 1; now < most && first + now < n && (inputs[first + now].image != NULL) == image;)
            now++;
        w->inputs = inputs + first;
        if (!do_batch(w, now, e) || !sink_rows(w, first, now, sink, arg, e))
            return false;
        if (w->done == 0 && w->refused >= TRIES)
            return unreadable_add(NULL, &w->inputs[now - 1], &w->errors[now - 1], w->c->arena, e);
        progress_step(&p, (double)(first + now), NULL);
    }
    if (w->done > 0) /* otherwise an error follows */
        progress_end(&p, NULL);
    return true;
}

size_t inputs_at_once(const Device *d, size_t batch)
{
#ifndef SAPOR_MINIMAL /* MINIMAL has one device, the CPU */
    if (d && !device_is_host(d))
        return MAX(batch, (size_t)256);
#endif
    (void)d;
    return batch;
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
    const Device *d = x->encoder || (x->modalities & MODALITY_IMAGE) ? context_device(c, e) : NULL;
    batch = MAX(MIN(inputs_at_once(d, batch), n), 1);
    size_t numbers = 0;
    Work w = {.c = c,
              .x = x,
              .tape = d ? tape_new(d, false, e) : NULL,
              .images = NEW(c->arena, ImageInput, batch, e),
              .texts = NEW(c->arena, Text, batch, e),
              .errors = NEW(c->arena, Error, batch, e),
              .unreadable = unreadable};
    bool ok = e->code == SP_OK;
    if (ok && !size_mul(batch, (size_t)x->features, &numbers))
        ok = fail_memory(e, SIZE_MAX, "a batch of features");
    ok = ok && (w.rows = NEW(c->arena, float, numbers, e)) && run_batches(&w, inputs, n, batch, label, sink, arg, e);
    tape_free(w.tape);
    return ok;
}

/* output to a file */

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
    if (strcmp(out, "-") == 0) /* standard output has no place for names */
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
    /* The .npy is renamed last: if it exists, the names next to it are those of its rows. */
    Out *set[2] = {npy_finish(npy, e), o};
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
