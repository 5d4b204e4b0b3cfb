/* extractors/batches.c: the common part of batches of texts and of images: inputs that fail, copying rows to the
 * caller's memory, callbacks. */
// flags: -Os
#include "extractors/loading.h"

/* Fails if a number is NaN or infinite, which damaged weights cause. Without this check, such features would reach a
 * recommender unnoticed. */
static bool check_finite(const Encoder *en, const float *x, size_t n, Error *e)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * 0.0f; /* 0 or NaN */
    return sum == 0.0f || fail(e, SP_FORMAT, "its features are NaN or infinite: is %s damaged?",
                               weights_count(en->weights) ? weights_at(en->weights, 0)->file : "the model");
}

bool input_failed(const Results *r, size_t i, const char *what, const Error *why, Error *e)
{
    if (r->status && why->code != SP_MEMORY) {
        r->status[i] = *why;
        return true;
    }
    return what ? fail(e, why->code, "%s %zu: %s", what, i + 1, why->message) : fail(e, why->code, "%s", why->message);
}

bool call_goes_on(const Call *c, size_t done, size_t n, Error *e)
{
    return !c->progress || c->progress(c->progress_arg, done, n) ||
           fail(e, SP_CANCELLED, "cancelled after %zu of %zu inputs", done, n);
}

/* [h, w, c] -> [c, h, w] */
static void to_torch_order(const int64_t map[3], const float *in, float *out)
{
    int64_t C = map[0], HW = map[1] * map[2];
    for (int64_t c = 0; c < C; c++)
        for (int64_t i = 0; i < HW; i++)
            out[c * HW + i] = in[i * C + c];
}

/* Fills all rows of input i of the batch with zeros, and records the reason. */
static bool input_refused(const Batches *b, size_t i, uint32_t input, const Error *why, Error *e)
{
    b->to->refused++;
    for (size_t k = 0; k < b->call->count; k++) {
        InputRows rows = b->rows(b, k, i, input);
        memset(rows.to, 0, rows.count * sizeof *rows.to);
    }
    return input_failed(b->to, b->first + input, b->what, why, e);
}

static bool copy_rows(const Batches *b, size_t i, uint32_t input, Error *e)
{
    Error why = {0};
    for (size_t k = 0; k < b->call->count; k++) {
        InputRows rows = b->rows(b, k, i, input);
        if (!check_finite(b->call->encoder, rows.from, rows.count, &why))
            return input_refused(b, i, input, &why, e);
    }
    for (size_t k = 0; k < b->call->count; k++) {
        InputRows rows = b->rows(b, k, i, input);
        const int64_t *map = b->call->outputs[k].map;
        if (map[0])
            to_torch_order(map, rows.from, rows.to);
        else
            memcpy(rows.to, rows.from, rows.count * sizeof *rows.to);
    }
    return true;
}

bool batches_room(Batches *b, size_t slots, size_t inputs, size_t tokens, Arena *a, Error *e)
{
    const Call *c = b->call;
    slots = batches_overlap(b) ? slots : 1;
    b->slots = slots;
    b->ring = b->now = NEW(a, InputBatch, slots, e);
    for (size_t s = 0; b->ring && s < slots; s++) {
        Inferred *results = b->ring[s].results = NEW(a, Inferred, c->count, e);
        if (!results || !(b->ring[s].offsets = NEW(a, int32_t, inputs + 1, e)))
            return false;
        for (size_t k = 0; k < c->count; k++) {
            size_t D = (size_t)c->outputs[k].floats, rows = c->outputs[k].per_token ? tokens : inputs;
            if (!(results[k].to = arena_alloc(a, rows, D * sizeof(float), e)))
                return false;
            results[k].room = rows * D;
        }
    }
    return b->ring != NULL;
}

/* Copies the rows of the batch `now` to the caller's memory, or records why it failed. */
static bool finish_batch(Batches *b, const uint32_t *inputs, size_t B, const Error *why, Error *e)
{
    if (why->code == SP_MEMORY)
        return fail(e, why->code, "%s", why->message);
    for (size_t i = 0; i < B; i++)
        if (!(why->code == SP_OK ? copy_rows(b, i, inputs[i], e) : input_refused(b, i, inputs[i], why, e)))
            return false;
    return true;
}

static bool run_now(Batches *b, const uint32_t *inputs, size_t B, Error *e)
{
    Error why = {0};
    bool ok = b->infer(b, inputs, B, &why) && infer_arrive(b->tape, NULL, &why);
    if (ok || B == 1 || why.code == SP_MEMORY)
        return finish_batch(b, inputs, B, &why, e);
    for (size_t i = 0; i < B; i++)
        if (!run_now(b, inputs + i, 1, e))
            return false;
    return true;
}

static bool goes_on(const Batches *b, const uint32_t *end, Error *e)
{
    return !b->goes_on || b->goes_on(b, end, e);
}

static bool finish_oldest(Batches *b, Error *e)
{
    Error why = {0};
    const InputBatch *x = b->now = &b->ring[b->kept++ % b->slots];
    infer_arrive(b->tape, x->results[b->call->count - 1].to, &why);
    return finish_batch(b, x->inputs, x->B, &why, e) && goes_on(b, x->inputs + x->B, e);
}

bool batches_end(Batches *b, Error *e)
{
    if (!batches_overlap(b))
        return true;
    infer_arrive(b->tape, NULL, &(Error){0}); /* waits once for all batches; finish_oldest reports a failure */
    while (b->kept < b->begun)
        if (!finish_oldest(b, e))
            return false;
    return true;
}

bool batch_run(Batches *b, const uint32_t *inputs, size_t B, Error *e)
{
    if (batches_overlap(b)) {
        if (b->begun - b->kept == b->slots && !finish_oldest(b, e))
            return false;
        InputBatch *x = b->now = &b->ring[b->begun % b->slots];
        /* the error is ignored here: run_now tries again, and reports the error of each input */
        if (b->infer(b, inputs, B, &(Error){0})) {
            x->inputs = inputs;
            x->B = B;
            b->begun++;
            return true;
        }
        if (!batches_end(b, e)) /* the errors of earlier inputs come first */
            return false;
    }
    return run_now(b, inputs, B, e) && goes_on(b, inputs + B, e);
}
