/* extractors/batches.c: what batches of texts and of images have in common: inputs that fail, rows to the caller's
 * memory, call-backs. */
// flags: -Os
#include "extractors/loading.h"

/* Damaged weights give NaN or infinity. They are an error, so that they do not reach a recommender unnoticed. */
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

/* Input i of the batch leaves zeros in all its rows. */
static bool input_refused(const Batches *b, size_t i, uint32_t input, const Error *why, Error *e)
{
    b->to->refused++;
    for (size_t k = 0; k < b->call->count; k++) {
        InputRows rows = b->rows(b, k, i, input);
        memset(rows.to, 0, rows.count * sizeof *rows.to);
    }
    return input_failed(b->to, b->first + input, b->what, why, e);
}

static bool keep_rows(const Batches *b, size_t i, uint32_t input, Error *e)
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

bool batch_run(Batches *b, const uint32_t *inputs, size_t B, Error *e)
{
    Error why = {0};
    if (!b->infer(b, inputs, B, &why)) {
        if (why.code == SP_MEMORY)
            return fail(e, why.code, "%s", why.message);
        for (size_t i = 0; B > 1 && i < B; i++)
            if (!batch_run(b, inputs + i, 1, e))
                return false;
        return B > 1 || input_refused(b, 0, inputs[0], &why, e);
    }
    for (size_t i = 0; i < B; i++)
        if (!keep_rows(b, i, inputs[i], e))
            return false;
    return true;
}
