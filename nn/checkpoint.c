/* nn/checkpoint.c: parameters, their optimiser state and kept tensors, as safetensors.
 *
 * A parameter NAME is stored under its name. After its first step, the file also has optim.step.NAME [1] I64 and the
 * state of the optimiser: optim.m.NAME and optim.v.NAME for Adam; optim.momentum.NAME, optim.square.NAME and
 * optim.mean.NAME for the others. Delayed steps are done first, so a file does not depend on when rows were last read.
 * A tensor of kept_new is stored under its name. */
// flags: -Os
#include <math.h>

#include "nn/tape.h"

/* The arrays of a parameter, in the order of the file. */
typedef enum Part { PART_VALUE, PART_STATE, PART_STEP = PART_STATE + STATE_COUNT, PART_COUNT } Part;
static const char *const prefix[PART_COUNT] = {"",
                                               [PART_STATE + STATE_M] = "optim.m.",
                                               [PART_STATE + STATE_V] = "optim.v.",
                                               [PART_STATE + STATE_MOMENTUM] = "optim.momentum.",
                                               [PART_STATE + STATE_SQUARE] = "optim.square.",
                                               [PART_STATE + STATE_MEAN] = "optim.mean.",
                                               [PART_STEP] = "optim.step."};

Tensor *kept_new(Store *s, const char *name, int64_t rows, int64_t cols, Error *e)
{
    Tensor *x = store_f32(s, name, cols ? 2 : 1, (int64_t[]){rows, cols}, NULL, e);
    if (x)
        ((Stored *)x)->kept = true; /* a Stored begins with its tensor */
    return x;
}

bool store_keeps(const Store *s)
{
    bool some = false;
    for (size_t i = 0; i < store_count(s); i++)
        some = some || ((const Stored *)store_at(s, i))->kept;
    return some;
}

void tape_keep(Tape *t, const Tensor *x, Tensor *kept, int64_t first)
{
    if (!tape_live(t))
        return;
    if (x->id >= 0 && t->nodes[x->id]->dropped) {
        tape_fail(t, SP_USAGE, "tape_keep: the memory of the tensor is given back already: call it before backward");
        return;
    }
    if (kept->id >= 0 || kept->param || kept->type != x->type || first < 0 || x->count > kept->count - first) {
        tape_fail(t, SP_USAGE, "tape_keep: %lld numbers do not go into a stored constant of %lld from number %lld",
                  (long long)x->count, (long long)kept->count, (long long)first);
        return;
    }
    tensor_settle(x);
    size_t size = dtype_bytes(x->type);
    t->k->copy(&t->run, (char *)kept->data + (size_t)first * size, x->data, (size_t)x->count * size);
}

static const char *part_name(Store *s, const Tensor *x, Part part, Error *e)
{
    return arena_printf(store_arena(s), e, "%s%s", prefix[part], store_name(s, x));
}

static bool is_saved(const Tensor *x)
{
    return x->param || ((const Stored *)x)->kept;
}

static const float *part_data(const Tensor *x, Part part)
{
    return part == PART_VALUE ? x->data : x->param->state[part - PART_STATE];
}

static bool has_part(const Tensor *x, Part part)
{
    if (!x->param)
        return part == PART_VALUE;
    return part == PART_STEP ? x->param->steps > 0 : part_data(x, part) != NULL;
}

bool store_declare(Store *s, SafetensorsOut *out, Error *e)
{
    ArenaMark mark = arena_mark(store_arena(s));
    bool ok = true;
    for (size_t i = 0; ok && i < store_count(s); i++) {
        const Tensor *x = store_at(s, i);
        for (Part part = 0; ok && is_saved(x) && part < PART_COUNT; part++) {
            const char *name = has_part(x, part) ? part_name(s, x, part, e) : NULL;
            if (name && part == PART_STEP)
                ok = safetensors_declare(out, name, I64, 1, (int64_t[]){1}, e);
            else if (name)
                ok = safetensors_declare(out, name, F32, x->dims, x->shape, e);
        }
    }
    arena_rewind(store_arena(s), mark);
    return ok && e->code == SP_OK;
}

enum { CHUNK = 1 << 16 };             /* numbers per copy */
#define MOST_STEPS ((int64_t)1 << 53) /* largest integer that a double counts exactly */

/* Reports whether the sum of x [n] is finite. If it is, all numbers of x are finite. If it is not, they may still be
 * finite, because a sum can overflow: the caller then checks them one by one. `sum`: room on the device for one number.
 */
static bool sum_is_finite(const Device *d, const Run *r, int64_t n, const float *x, float *sum)
{
    float value;
    d->k->sum(r, n, x, sum);
    d->k->download(r, &value, sum, sizeof value);
    return isfinite(value);
}

/* Reads `data`, a part of x, from the device. Sets *found to the first number that is not finite, if there is one. */
static void look_for_not_finite(const Device *d, const Run *r, const Tensor *x, const float *data, float *host,
                                NotFinite *found)
{
    for (int64_t at = 0; at < x->count && !found->name; at += CHUNK) {
        int64_t n = MIN((int64_t)CHUNK, x->count - at);
        d->k->download(r, host, data + at, (size_t)n * sizeof *host);
        for (int64_t i = 0; i < n && !found->name; i++)
            if (!isfinite(host[i]))
                *found =
                    (NotFinite){((const Stored *)x)->name, data != x->data, (at + i) / cols_of(x), (double)host[i]};
    }
}

bool store_find_not_finite(const Store *s, NotFinite *found, Error *e)
{
    const Device *d = store_device(s);
    Run run = store_run(s);
    size_t work = 0;
    *found = (NotFinite){0};
    for (size_t i = 0; i < store_count(s); i++)
        if (is_saved(store_at(s, i)))
            work = MAX(work, d->k->sum_work(&run, store_at(s, i)->count));
    work = (work + ALIGN - 1) / ALIGN * ALIGN; /* the sum is stored after the scratch */
    char *scratch = d->k->alloc(&run, d->heap, work + ALIGN);
    float *host = heap_alloc(d->heap, CHUNK * sizeof *host);
    bool ok = (scratch && host) || fail_memory(e, work + ALIGN + CHUNK * sizeof *host, "checking numbers");
    run.work = scratch;
    run.work_bytes = work;
    for (size_t i = 0; ok && i < store_count(s) && !found->name; i++) {
        const Tensor *x = store_at(s, i);
        for (Part part = 0; is_saved(x) && part < PART_STEP && !found->name; part++)
            if (has_part(x, part) && x->count > 0 &&
                !sum_is_finite(d, &run, x->count, part_data(x, part), (float *)(void *)(scratch + work)))
                look_for_not_finite(d, &run, x, part_data(x, part), host, found);
    }
    if (scratch)
        d->k->free(&run, d->heap, scratch, work + ALIGN);
    if (host)
        heap_free(d->heap, host, CHUNK * sizeof *host);
    return ok;
}

bool store_save(Store *s, SafetensorsOut *out, Error *e)
{
    const Device *d = store_device(s);
    Run run = store_run(s);
    float *host = heap_alloc(d->heap, CHUNK * sizeof *host);
    bool ok = host || fail_memory(e, CHUNK * sizeof *host, "a checkpoint");
    store_settle(s);
    for (size_t i = 0; ok && i < store_count(s); i++) {
        const Tensor *x = store_at(s, i);
        for (Part part = 0; ok && is_saved(x) && part < PART_COUNT; part++) {
            if (!has_part(x, part))
                continue;
            if (part == PART_STEP) {
                ok = safetensors_data(out, &x->param->steps, sizeof x->param->steps, e);
                continue;
            }
            for (int64_t at = 0; ok && at < x->count; at += CHUNK) {
                size_t bytes = (size_t)MIN((int64_t)CHUNK, x->count - at) * sizeof *host;
                d->k->download(&run, host, part_data(x, part) + at, bytes);
                ok = d->k->check(&run, e) && safetensors_data(out, host, bytes, e);
            }
        }
    }
    if (host)
        heap_free(d->heap, host, CHUNK * sizeof *host);
    return ok;
}

/* Returns the array of a part, or NULL if it is missing or its shape differs from the tensor's. Both are errors, except
 * a missing state or step count: a parameter without a step has none. */
static const Array *part_array(Store *s, const Weights *w, const Tensor *x, Part part, Error *e)
{
    const char *name = part_name(s, x, part, e);
    const Array *a = name ? weights_find(w, name) : NULL;
    if (!a) {
        if (name && part == PART_VALUE)
            fail(e, SP_FORMAT, "%s: tensor %s: missing: is this a checkpoint of another model?", weights_path(w), name);
        return NULL;
    }
    bool same = part == PART_STEP ? a->count == 1 && array_is_integer(a) : a->dims == x->dims && !array_is_integer(a);
    for (int k = 0; same && part != PART_STEP && k < a->dims; k++)
        same = a->shape[k] == x->shape[k];
    if (!same)
        fail(e, SP_SHAPE,
             "%s: tensor %s: the model's shape is [%lld, %lld]: was it trained with other settings or data?",
             weights_path(w), name, (long long)rows_of(x), (long long)cols_of(x));
    return same ? a : NULL;
}

static bool load_part(const Device *d, const Array *a, float *to, float *host)
{
    Run run = device_run(d);
    for (int64_t at = 0; at < a->count; at += CHUNK) {
        int64_t n = MIN((int64_t)CHUNK, a->count - at);
        array_f32(a, at, n, host);
        d->k->upload(&run, to + at, host, (size_t)n * sizeof *host);
    }
    return true;
}

static bool load_param(Store *s, const Weights *w, Param *p, float *host, bool really, Error *e)
{
    const Array *a[PART_COUNT];
    int64_t steps = 0;
    for (Part part = 0; part < PART_COUNT; part++)
        a[part] = part_array(s, w, p->x, part, e);
    if (a[PART_STEP])
        array_i64(a[PART_STEP], 0, 1, &steps);
    unsigned states = 0;
    for (int i = 0; i < STATE_COUNT; i++)
        states |= a[PART_STATE + i] ? 1u << i : 0;
    unsigned adam = states & STATES_ADAM;
    if (e->code == SP_OK && ((adam && adam != STATES_ADAM) || (states && steps < 1) || steps < 0 || steps > MOST_STEPS))
        fail(e, SP_FORMAT, "%s: tensor %s: its optimiser state is incomplete or out of range", weights_path(w),
             store_name(s, p->x));
    if (e->code != SP_OK || !really)
        return e->code == SP_OK;
    Run run = store_run(s);
    p->steps = 0; /* the old numbers are replaced, so param_state must not check their steps */
    if (!param_state(p, states, false, e))
        return false;
    const Device *d = store_device(s);
    load_part(d, a[PART_VALUE], p->x->data, host);
    for (int i = 0; i < STATE_COUNT; i++) {
        float *to = p->state[i];
        if (a[PART_STATE + i])
            load_part(d, a[PART_STATE + i], to, host);
        else if (to)
            d->k->zero(&run, to, (size_t)p->x->count * sizeof *to);
    }
    p->steps = steps;
    if (p->last)
        param_mark_settled(&run, p); /* the delayed steps belong to the old numbers: they are dropped */
    return true;
}

static bool load_kept(Store *s, const Weights *w, const Tensor *x, float *host, bool really, Error *e)
{
    const Array *a = part_array(s, w, x, PART_VALUE, e);
    return a && (!really || load_part(store_device(s), a, x->data, host));
}

bool store_load(Store *s, const Weights *w, Error *e)
{
    const Device *d = store_device(s);
    float *host = heap_alloc(d->heap, CHUNK * sizeof *host);
    bool ok = host || fail_memory(e, CHUNK * sizeof *host, "a checkpoint");
    ArenaMark mark = arena_mark(store_arena(s));
    for (int really = 0; ok && really < 2; really++) /* everything is checked before anything changes */
        for (size_t i = 0; ok && i < store_count(s); i++) {
            const Tensor *x = store_at(s, i);
            ok = !is_saved(x) ||
                 (x->param ? load_param(s, w, x->param, host, really, e) : load_kept(s, w, x, host, really, e));
            if (!really)
                arena_rewind(store_arena(s), mark);
        }
    if (host)
        heap_free(d->heap, host, CHUNK * sizeof *host);
    return ok;
}
