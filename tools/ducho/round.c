/* tools/ducho/round.c: runs several models over the same items, batch by batch. */
// flags: -Os
#include "tools/ducho/round.h"

/* If an encoder has failed on this many inputs and succeeded on none, the encoder itself is faulty, and the run ends.
 */
enum { TRIES = 16 };

/* ---- a model --------------------------------------------------------------------------------- */

/* Returns Ducho's preprocessing before a torch model: images are resized to `reshape`, or keep their size. */
static Preset torch_preset(const Extraction *x)
{
    Preset p = {.fit = FIT_SQUASH, .width = x->reshape[0], .height = x->reshape[1], .how = {.filter = FILTER_BICUBIC}};
    p.scale = x->scale == SCALE_ZSCORE ? SCALE_ZSCORE : x->scale == SCALE_MINMAX ? SCALE_MINMAX : SCALE_UNIT;
    memcpy(p.mean, x->mean, sizeof p.mean);
    memcpy(p.std, x->std, sizeof p.std);
    if (p.width == 0) /* images keep their sizes: each image's own size replaces this one */
        p.width = p.height = 224;
    return p;
}

/* Returns the number of `name` in a list without duplicates; a new name is added. */
static int output_number(OutputOptions *list, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (list[i].name == name || (name && list[i].name && strcmp(list[i].name, name) == 0))
            return (int)i;
    list[*n] = (OutputOptions){.name = name};
    return (int)(*n)++;
}

static bool open_encoder(Job *j, Context *c, OutputOptions *images, OutputOptions *texts, Arena *a, Error *e)
{
    const Extraction *x = j->x;
    const Device *d = context_device(c, e);
    size_t n = j->image_count + j->text_count;
    const char **names = NEW(a, const char *, n, e);
    if (!d || !names)
        return false;
    for (size_t i = 0; i < n; i++)
        names[i] = i < j->image_count ? images[i].name : texts[i - j->image_count].name;
    EncoderOptions o = {.towers = x->modality, .outputs = names, .output_count = n, .resizer = x->resizer};
    if (!(j->encoder = encoder_open(d, j->model, &o, e)))
        return false;
    unsigned lacks = x->modality & ~j->encoder->kind->modalities;
    if (lacks)
        return fail(e, SP_FORMAT, "%s does not support %s", x->model, lacks & MODALITY_IMAGE ? "images" : "texts");
    bool torch = strcmp(x->backend, "torch") == 0;
    Preset preset = torch ? torch_preset(x) : j->encoder->image.preset;
    preset.white = false; /* Ducho calls convert("RGB") first */
    CallOptions image = {.outputs = images, .output_count = j->image_count},
                text = {.outputs = texts, .output_count = j->text_count};
    if (x->modality & MODALITY_IMAGE)
        image.preset = &preset;
    if (torch) {
        image.keep_size = x->reshape[0] == 0;
    } else {
        image.reshape_width = x->reshape[0];
        image.reshape_height = x->reshape[1];
    }
    return (!j->image_count || (j->image_call = call_new(j->encoder, MODALITY_IMAGE, &image, a, e))) &&
           (!j->text_count || (j->text_call = call_new(j->encoder, MODALITY_TEXT, &text, a, e)));
}

/* Sets the shape of a feature map. For torch models, Ducho removes axes of length 1 (numpy's squeeze). */
static void shape_of_map(Target *t, const int64_t map[3])
{
    bool torch = strcmp(t->job->x->backend, "torch") == 0;
    t->dims = 1;
    for (int i = 0; i < 3; i++)
        if (!torch || map[i] != 1)
            t->shape[t->dims++] = map[i];
    if (t->dims == 1) /* a single number */
        t->shape[t->dims++] = 1;
}

/* Sets the shape of a target: (1, D); of a feature map (1, channels, height, width); of an image's patches (1, patches,
 * D). */
static void shape_of(Target *t, const Call *c, int output)
{
    const CallOutput *o = &c->outputs[output];
    const Output *out = &c->encoder->outputs[o->number];
    t->floats = o->floats;
    t->shape[0] = 1;
    if (o->map[0]) {
        shape_of_map(t, o->map);
    } else if (out->rows == ROWS_TOKENS && o->pool == POOL_NONE) {
        t->dims = 3;
        t->shape[1] = o->floats / out->width;
        t->shape[2] = out->width;
    } else {
        t->dims = 2;
        t->shape[1] = o->floats;
    }
}

static bool find_shape(Target *t, Error *e)
{
    const Job *j = t->job;
    Target text = {.job = t->job};
    if (j->statistics) {
        t->floats = j->statistics->features;
        t->dims = 2;
        t->shape[0] = 1;
        t->shape[1] = t->floats;
        return true;
    }
    shape_of(t, t->image >= 0 ? j->image_call : j->text_call, t->image >= 0 ? t->image : t->text);
    if (t->image < 0 || t->text < 0)
        return true;
    shape_of(&text, j->text_call, t->text);
    if (t->dims != 2 || text.dims != 2)
        return fail(e, SP_SHAPE, "fusion is for one vector per item; choose other output_layers");
    if (j->x->fusion == FUSION_CONCAT)
        t->floats = t->shape[1] += text.floats;
    else if (t->floats != text.floats)
        return fail(e, SP_SHAPE, "images have %lld features, texts %lld; with different lengths use fusion: concat",
                    (long long)t->floats, (long long)text.floats);
    return true;
}

bool job_open(Job *j, Context *c, Arena *a, Error *e)
{
    const Extraction *x = j->x;
    OutputOptions *images = NEW(a, OutputOptions, j->count, e), *texts = NEW(a, OutputOptions, j->count, e);
    bool ok = images && texts;
    for (size_t i = 0; ok && i < j->count; i++) {
        Target *t = &j->targets[i];
        t->image = t->x->modality & MODALITY_IMAGE ? output_number(images, &j->image_count, t->x->image) : -1;
        t->text = t->x->modality & MODALITY_TEXT ? output_number(texts, &j->text_count, t->x->text) : -1;
    }
    if (ok && (j->statistics = statistics_find(j->model)))
        ok = j->statistics->modality == x->modality ||
             fail(e, SP_FORMAT, "%s does not support %s", x->model,
                  j->statistics->modality == MODALITY_TEXT ? "images" : "texts");
    else
        ok = ok && open_encoder(j, c, images, texts, a, e);
    for (size_t i = 0; ok && i < j->count; i++)
        ok = find_shape(&j->targets[i], e);
    if (ok)
        return true;
    error_prefix(e, "%s: ", x->where);
    job_close(j);
    return false;
}

void job_close(Job *j)
{
    encoder_close(j->encoder);
    j->encoder = NULL;
    j->image_call = j->text_call = NULL;
    j->statistics = NULL;
    j->image_count = j->text_count = 0;
}

/* ---- a batch --------------------------------------------------------------------------------- */

/* A batch of inputs. Arrays of inputs have `n` elements; arrays of jobs have one per job that reads images in this
 * batch.
 *
 * - which: the numbers of the inputs in the round
 * - texts: the texts of the present job */
typedef struct ItemBatch {
    const size_t *which;
    size_t n;
    ImageInput *images;
    Text *texts;
    const Call **calls; /* calls, results and readers: of the jobs */
    Results *results;
    Job **readers;
} ItemBatch;

static bool batch_needs(const Job *j, unsigned modality, const ItemBatch *b)
{
    for (size_t k = 0; k < j->count; k++)
        for (size_t i = 0; (j->targets[k].x->modality & modality) && i < b->n; i++)
            if (j->targets[k].todo[b->which[i]])
                return true;
    return false;
}

static bool image_statistics(void *arg, size_t i, const Image *image, Arena *scratch, Error *e)
{
    const Job *j = arg;
    return j->statistics->of_image(image, j->image_rows[0] + (int64_t)i * j->statistics->features, scratch, e);
}

/* Computes the image rows of the batch for all jobs. All encoders share one call of encode_images_all. */
static bool compute_image_rows(Round *r, ItemBatch *b, Error *e)
{
    size_t count = 0;
    for (size_t i = 0; i < b->n; i++)
        b->images[i] = (ImageInput){.path = r->inputs[b->which[i]].image};
    for (size_t k = 0; k < r->count; k++) {
        Job *j = &r->jobs[k];
        if (!batch_needs(j, MODALITY_IMAGE, b))
            continue;
        memset(j->image_errors, 0, b->n * sizeof *j->image_errors);
        if (!j->statistics) {
            b->calls[count] = j->image_call;
            b->results[count] = (Results){.out = j->image_rows, .status = j->image_errors};
            b->readers[count++] = j;
            continue;
        }
        double begun = now_seconds();
        if (!images_each(r->tape, b->images, b->n, image_statistics, j, j->image_errors, e))
            return false;
        j->seconds += now_seconds() - begun;
    }
    if (!encode_images_all(b->calls, b->results, count, r->tape, b->images, b->n, e))
        return false;
    for (size_t k = 0; k < count; k++) {
        b->readers[k]->refused += b->results[k].refused;
        b->readers[k]->seconds += b->results[k].seconds;
    }
    return true;
}

/* Computes the text rows of the batch for one job. The text of an item without a source, or with a problem,
 * is empty. */
static bool compute_text_rows(Round *r, Job *j, ItemBatch *b, Error *e)
{
    double begun = now_seconds();
    Results to = {.out = j->text_rows, .status = j->text_errors};
    if (!batch_needs(j, MODALITY_TEXT, b))
        return true;
    for (size_t i = 0; i < b->n; i++) {
        const Input *in = &j->texts[b->which[i]];
        b->texts[i] = !in->source || input_problem(in) ? TEXT("") : in->text;
        j->text_errors[i] = (Error){0};
    }
    for (size_t i = 0; j->statistics && i < b->n; i++)
        j->statistics->of_text(b->texts[i], j->text_rows[0] + (int64_t)i * j->statistics->features);
    if (!j->statistics && !encode_texts(j->text_call, r->tape, b->texts, b->n, &to, e))
        return false;
    j->refused += to.refused;
    j->seconds += now_seconds() - begun;
    return true;
}

static int64_t row_length(const Job *j, bool text, int output)
{
    return j->statistics ? j->statistics->features : (text ? j->text_call : j->image_call)->outputs[output].floats;
}

/* Returns the features of input i of the batch. Fused features are computed in `fused`. */
static const float *target_row(const Target *t, size_t i, float *fused)
{
    const Job *j = t->job;
    const float *image = NULL, *text = NULL;
    if (t->image >= 0)
        image = j->image_rows[t->image] + (int64_t)i * row_length(j, false, t->image);
    if (t->text >= 0)
        text = j->text_rows[t->text] + (int64_t)i * row_length(j, true, t->text);
    if (!image || !text)
        return image ? image : text;
    int64_t n = row_length(j, false, t->image);
    if (j->x->fusion == FUSION_CONCAT) {
        memcpy(fused, image, (size_t)n * sizeof *fused);
        memcpy(fused + n, text, (size_t)(t->floats - n) * sizeof *fused);
        return fused;
    }
    for (int64_t k = 0; k < n; k++)
        fused[k] = j->x->fusion == FUSION_MUL   ? image[k] * text[k]
                   : j->x->fusion == FUSION_SUM ? image[k] + text[k]
                                                : (image[k] + text[k]) / 2;
    return fused;
}

/* Writes the batch's features of one target to its folder; inputs that failed go to its list of unreadable items. */
static bool keep_rows(Round *r, Target *t, const ItemBatch *b, float *fused, Error *e)
{
    Job *j = t->job;
    for (size_t i = 0; i < b->n; i++) {
        size_t item = b->which[i];
        if (!t->todo[item])
            continue;
        bool image = (t->x->modality & MODALITY_IMAGE) && j->image_errors[i].code != SP_OK;
        bool text = (t->x->modality & MODALITY_TEXT) && j->text_errors[i].code != SP_OK;
        const Input *in = image || !j->texts ? &r->inputs[item] : &j->texts[item];
        const Error *why = image ? &j->image_errors[i] : text ? &j->text_errors[i] : NULL;
        if (why && why->code == SP_MEMORY)
            return unreadable_add(NULL, in, why, r->arena, e);
        if (why && !r->dry && !unreadable_add(&t->unreadable, in, why, r->arena, e))
            return false;
        if (!why && !r->dry && !target_write(t, r, item, target_row(t, i, fused), e))
            return false;
        j->done += !why;
        if (why && j->done == 0 && j->refused >= TRIES)
            return unreadable_add(NULL, in, why, r->arena, e);
    }
    return true;
}

/* ---- the round ------------------------------------------------------------------------------- */

static bool make_rows(float ***rows, Error **errors, size_t outputs, const Job *j, bool text, size_t batch, Arena *a,
                      Error *e)
{
    *rows = NEW(a, float *, MAX(outputs, 1), e);
    *errors = NEW(a, Error, batch, e);
    for (size_t i = 0; *rows && i < outputs; i++) {
        size_t n;
        if (!size_mul(batch, (size_t)row_length(j, text, (int)i), &n))
            return fail_memory(e, SIZE_MAX, "a batch of features");
        if (!((*rows)[i] = NEW(a, float, n, e)))
            return false;
    }
    return *rows && *errors;
}

/* Selects the inputs that at least one target needs. */
static bool choose_inputs(const Round *r, size_t **which, size_t *count, Error *e)
{
    if (!(*which = NEW(r->arena, size_t, r->n, e)))
        return false;
    for (size_t i = 0; i < r->n; i++) {
        bool needed = false;
        for (size_t k = 0; k < r->count && !needed; k++)
            for (size_t m = 0; m < r->jobs[k].count; m++)
                needed = needed || r->jobs[k].targets[m].todo[i];
        if (needed)
            (*which)[(*count)++] = i;
    }
    return true;
}

static bool run_batch(Round *r, ItemBatch *b, float *fused, Error *e)
{
    if (r->inputs[0].image && !compute_image_rows(r, b, e))
        return false;
    for (size_t k = 0; k < r->count; k++)
        if (r->jobs[k].texts && !compute_text_rows(r, &r->jobs[k], b, e))
            return false;
    for (size_t k = 0; k < r->count; k++)
        for (size_t m = 0; m < r->jobs[k].count; m++)
            if (!keep_rows(r, &r->jobs[k].targets[m], b, fused, e))
                return false;
    return true;
}

static bool run_batches(Round *r, ItemBatch *b, const size_t *which, size_t count, float *fused, const char *label,
                        Error *e)
{
    Progress progress;
    progress_start(&progress, r->dry ? NULL : r->c->progress, label, "items", (double)count);
    for (size_t first = 0; first < count; first += b->n) {
        bool proven = true;
        for (size_t k = 0; k < r->count; k++)
            proven = proven && (r->jobs[k].done || !r->jobs[k].left);
        b->which = which + first;
        b->n = MIN(count - first, proven ? r->batch : MIN(r->batch, (size_t)TRIES));
        if (!run_batch(r, b, fused, e))
            return false;
        progress_step(&progress, (double)(first + b->n), NULL);
    }
    progress_end(&progress, NULL);
    return true;
}

bool round_run(Round *r, const char *label, Error *e)
{
    size_t *which, count = 0, longest = 1;
    if (!choose_inputs(r, &which, &count, e) || count == 0)
        return e->code == SP_OK;
    const Device *d = context_device(r->c, e);
    r->batch = MIN(inputs_at_once(d, r->batch), count);
    ItemBatch b = {.images = NEW(r->arena, ImageInput, r->batch, e),
                   .texts = NEW(r->arena, Text, r->batch, e),
                   .calls = NEW(r->arena, const Call *, r->count, e),
                   .results = NEW(r->arena, Results, r->count, e),
                   .readers = NEW(r->arena, Job *, r->count, e)};
    bool ok = d && b.images && b.texts && b.calls && b.results && b.readers && (r->tape = tape_new(d, false, e));
    for (size_t k = 0; ok && k < r->count; k++) {
        Job *j = &r->jobs[k];
        ok = make_rows(&j->image_rows, &j->image_errors, j->image_count, j, false, r->batch, r->arena, e) &&
             make_rows(&j->text_rows, &j->text_errors, j->text_count, j, true, r->batch, r->arena, e);
        for (size_t m = 0; m < j->count; m++)
            longest = MAX(longest, (size_t)j->targets[m].floats);
    }
    float *fused = ok ? NEW(r->arena, float, longest, e) : NULL;
    ok = fused && run_batches(r, &b, which, count, fused, label, e);
    tape_free(r->tape);
    r->tape = NULL;
    return ok;
}
