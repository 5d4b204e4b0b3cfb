/* kernels/cpu/elementwise.c: kernels that compute each number independently, and the sum of all numbers. They are
 * memory-bound. The loops use whole vectors and have no branch inside. A task has GRAIN numbers. */
// flags baseline: -Os
#include "kernels/cpu/act.h"
#include "kernels/cpu/loops.h"

enum { GRAIN = 16384 }; /* numbers per task: 64 KB, a multiple of every vector width */

/* The arguments of a kernel, for its tasks. Each kernel uses some members. */
typedef struct Elements {
    const float *a, *b, *bias;
    float *y;
    float alpha, beta; /* the factors of axpby; alpha: param, p or value; both: lo and hi of unary */
    Act act;
    Binary op;
    Spread how;
    Unary unary;
    Noise noise;
    int64_t C;
    Draw draw;
    uint64_t begin; /* the index of the first draw */
} Elements;

/* There is one loop per activation. Whole vectors and the last vector share one loop body, because there are many
 * activations and each has many instructions. */
INTERLEAVED void FN(act_span)(Act act, float param, int64_t n, const float *x, float *y)
{
    int64_t i = 0;
    switch (act) {
#define ACT_LOOP(NAME, ...)                                                                                            \
    case ACT_##NAME:                                                                                                   \
        for (; CHAINS > 1 && n - i >= CHAINS * VW; i += CHAINS * VW) {                                                 \
            vf to[CHAINS];                                                                                             \
            UNROLL                                                                                                     \
            for (int c = 0; c < CHAINS; c++)                                                                           \
                to[c] = act_##NAME(v_load(x + i + c * VW), param);                                                     \
            UNROLL                                                                                                     \
            for (int c = 0; c < CHAINS; c++)                                                                           \
                v_store(y + i + c * VW, to[c]);                                                                        \
        }                                                                                                              \
        for (; i < n; i += VW) {                                                                                       \
            const int lanes = (int)MIN(n - i, VW);                                                                     \
            store_part(y + i, act_##NAME(load_part(x + i, lanes), param), lanes);                                      \
        }                                                                                                              \
        break;
        ACT_LIST(ACT_LOOP)
#undef ACT_LOOP
    case ACT_COUNT: break;
    }
}

static void act_range(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    FN(act_span)(e->act, e->alpha, last - first, e->a + first, e->y + first);
}

void FN(act)(const Run *run, int64_t n, Act act, float param, DType type, const void *x, void *y)
{
    (void)type; /* F32: the only type that `supports` reports */

    Elements e = {.a = x, .y = y, .act = act, .alpha = param};
    run_ranges(run, n, GRAIN, act_range, &e);
}

static void act_back_range(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    switch (e->act) {
#define ACT_LOOP(NAME, ...)                                                                                            \
    case ACT_##NAME:                                                                                                   \
        for (int64_t i = first; i < last; i += VW) {                                                                   \
            const int lanes = (int)MIN(last - i, VW);                                                                  \
            const vf slope = slope_##NAME(load_part(e->a + i, lanes), e->alpha);                                       \
            store_part(e->y + i, load_part(e->b + i, lanes) * slope, lanes);                                           \
        }                                                                                                              \
        break;
        ACT_LIST(ACT_LOOP)
#undef ACT_LOOP
    case ACT_COUNT: break;
    }
}

void FN(act_back)(const Run *run, int64_t n, Act act, float param, const float *x, const float *dy, float *dx)
{
    Elements e = {.a = x, .b = dy, .y = dx, .act = act, .alpha = param};
    run_ranges(run, n, GRAIN, act_back_range, &e);
}

static void binary_span(Binary op, int64_t count, const float *x, const float *v, float *y)
{
#define LOOP(expression)                                                                                               \
    FOR_VECTORS(0, count, {                                                                                            \
        const vf a = load_part(x + i, n), b = load_part(v + i, n);                                                     \
        store_part(y + i, expression, n);                                                                              \
    })                                                                                                                 \
    break
    switch (op) {
    case BIN_ADD: LOOP(a + b);
    case BIN_SUB: LOOP(a - b);
    case BIN_MUL: LOOP(a * b);
    case BIN_DIV: LOOP(a / b);
    case BIN_MAX: LOOP(v_max(a, b));
    case BIN_ABOVE: LOOP(v_select(a > b, v_set(1.0f), v_select(a == b, v_set(0.5f), v_zero())));
    }
#undef LOOP
}

static void binary_range(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    binary_span(e->op, last - first, e->a + first, e->b + first, e->y + first);
}

void FN(binary)(const Run *run, int64_t n, Binary op, const float *a, const float *b, float *y)
{
    Elements e = {.a = a, .b = b, .y = y, .op = op};
    run_ranges(run, n, GRAIN, binary_range, &e);
}

/* y[i] = x[i] op v. v is copied to a block of equal numbers, so that binary_span has one loop per op. */
static void number_span(Binary op, int64_t n, const float *x, float v, float *y)
{
    enum { BLOCK_V = 256 };
    float same[BLOCK_V];
    for (int i = 0; i < MIN(BLOCK_V, n); i++)
        same[i] = v;
    for (int64_t i = 0; i < n; i += BLOCK_V)
        binary_span(op, MIN(BLOCK_V, n - i), x + i, same, y + i);
}

static void number_range(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    number_span(e->op, last - first, e->a + first, e->b[0], e->y + first);
}

static void broadcast_rows(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    for (int64_t m = first; m < last; m++) {
        if (e->how == SPREAD_ROW)
            binary_span(e->op, e->C, e->a + m * e->C, e->b, e->y + m * e->C);
        else
            number_span(e->op, e->C, e->a + m * e->C, e->b[m], e->y + m * e->C);
    }
}

void FN(broadcast)(const Run *run, int64_t M, int64_t C, Binary op, Spread how, const float *x, const float *v,
                   float *y)
{
    Elements e = {.a = x, .b = v, .y = y, .op = op, .how = how, .C = C};
    if (how == SPREAD_NUMBER || (how == SPREAD_ROW && C == 1))
        run_ranges(run, M * C, GRAIN, number_range, &e);
    else if (C == 1)
        run_ranges(run, M, GRAIN, binary_range, &e);
    else
        run_rows(run, M, C, broadcast_rows, &e);
}

/* As in act_span, whole vectors and the last vector share one loop body, because the bodies are long. */
static void unary_range(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    const vf lo = v_set(e->alpha), hi = v_set(e->beta), one = v_set(1.0f), zero = v_zero();
#define LOOP(expression)                                                                                               \
    for (int64_t i = first; i < last; i += VW) {                                                                       \
        const int lanes = (int)MIN(last - i, VW);                                                                      \
        const vf x = load_part(e->a + i, lanes);                                                                       \
        store_part(e->y + i, expression, lanes);                                                                       \
    }                                                                                                                  \
    break
    switch (e->unary) {
    case UN_EXP: LOOP(v_exp(x));
    case UN_LOG: LOOP(v_log(x));
    case UN_SQRT: LOOP(v_sqrt(x));
    case UN_SIGN: LOOP(v_select(x == zero, zero, v_copysign(one, x)));
    case UN_CLAMP: LOOP(v_min(hi, v_max(lo, x)));
    case UN_INSIDE: LOOP(v_select((x >= lo) & (x <= hi), one, zero));
    }
#undef LOOP
}

void FN(unary)(const Run *run, int64_t n, Unary op, float lo, float hi, const float *x, float *y)
{
    Elements e = {.a = x, .y = y, .unary = op, .alpha = lo, .beta = hi};
    run_ranges(run, n, GRAIN, unary_range, &e);
}

static void axpby_range(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    vf a = v_set(e->alpha), b = v_set(e->beta);
    if (e->beta == 0.0f) {
        FOR_VECTORS(first, last, store_part(e->y + i, a * load_part(e->a + i, n), n))
    } else {
        FOR_VECTORS(first, last, store_part(e->y + i, v_fma(a, load_part(e->a + i, n), b * load_part(e->y + i, n)), n))
    }
}

void FN(axpby)(const Run *run, int64_t n, float a, const float *x, float b, float *y)
{
    Elements e = {.a = x, .y = y, .alpha = a, .beta = b};
    run_ranges(run, n, GRAIN, axpby_range, &e);
}

static void add_bias_rows(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    /* rows that stay in the L1 cache until the activation is applied */
    const int64_t step = MAX(1, 4096 / MAX(1, e->C));
    for (int64_t m = first; m < last; m += step) {
        const int64_t end = MIN(m + step, last);
        for (int64_t r = m; r < end; r++) {
            FOR_VECTORS(
                0, e->C,
                store_part(e->y + r * e->C + i, load_part(e->a + r * e->C + i, n) + load_part(e->bias + i, n), n))
        }
        if (e->act != ACT_NONE)
            FN(act_span)(e->act, e->alpha, (end - m) * e->C, e->y + m * e->C, e->y + m * e->C);
    }
}

/* add_bias for C = 1, where the bias is one number: the vectors contain numbers of consecutive rows. */
static void add_scalar_range(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    const vf bias = v_set(e->bias[0]);
    for (int64_t m = first; m < last; m += 4096) {
        const int64_t end = MIN(m + 4096, last);
        FOR_VECTORS(m, end, store_part(e->y + i, load_part(e->a + i, n) + bias, n))
        if (e->act != ACT_NONE)
            FN(act_span)(e->act, e->alpha, end - m, e->y + m, e->y + m);
    }
}

void FN(add_bias)(const Run *run, int64_t M, int64_t C, DType type, const void *x, const float *bias, Act act,
                  float param, void *y)
{
    (void)type; /* F32: the only type that `supports` reports */

    Elements e = {.a = x, .bias = bias, .y = y, .act = act, .alpha = param, .C = C};
    if (C == 1)
        run_ranges(run, M, GRAIN, add_scalar_range, &e);
    else
        run_rows(run, M, C, add_bias_rows, &e);
}

/* Returns word 0 of draw4 for VW / 2 indices. It is the Philox of base/random.c with a 32-bit word in the lower half of
 * each 64-bit lane. The upper halves may contain anything, because vl_multiply ignores them. */
INLINE vl draw_lanes(Draw d, vl index)
{
    uint32_t k0 = (uint32_t)d.seed, k1 = (uint32_t)(d.seed >> 32);
    vl c0 = index, c1 = index >> 32, c2 = (vl){0} + d.epoch, c3 = (vl){0} + (uint64_t)(d.purpose << 24);
    UNROLL
    for (int round = 0; round < 10; round++) {
        const vl a = vl_multiply(c0, 0xd2511f53u), b = vl_multiply(c2, 0xcd9e8d57u);
        c0 = (b >> 32) ^ c1 ^ k0;
        c1 = b;
        c2 = (a >> 32) ^ c3 ^ k1;
        c3 = a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    return c0;
}

/* Returns the even indices of a vector of draws that begins at `first`. */
INLINE vl even_indices(uint64_t first)
{
    vl even = {0};
    for (int k = 0; k < VW / 2; k++)
        even[k] = first + 2 * (uint64_t)k;
    return even;
}

/* Returns draw_uniform for VW consecutive indices. `even` + first has the indices of the lanes 0, 2, ... */
INLINE vf uniform_lanes(Draw d, vl even, int64_t first)
{
    const vl a = draw_lanes(d, even + (uint64_t)first), b = draw_lanes(d, even + (uint64_t)first + 1);
    return v_from_int((vi)((a >> 8 & 0xffffff) | b >> 8 << 32) & 0xffffff) * 0x1p-24f;
}

static void dropout_range(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    const float scale = 1.0f / (1.0f - e->alpha);
    const vl even = even_indices(e->begin);
    FOR_VECTORS(first, last, {
        const vf draws = uniform_lanes(e->draw, even, i);
        store_part(e->y + i, v_select(draws >= e->alpha, scale * load_part(e->a + i, n), v_zero()), n);
    })
}

void FN(dropout)(const Run *run, int64_t n, float p, Draw d, uint64_t first, const float *x, float *y)
{
    Elements e = {.a = x, .y = y, .alpha = p, .draw = d, .begin = first};
    run_ranges(run, n, GRAIN, dropout_range, &e);
}

static void noise_range(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    const vl even = even_indices(e->begin);
    if (e->noise == NOISE_UNIFORM) {
        for (int64_t i = first; i < last; i += VW)
            store_part(e->y + i, uniform_lanes(e->draw, even, i), (int)MIN(last - i, VW));
        return;
    }
    for (int64_t i = first; i < last; i++) {
        const uint64_t index = e->begin + (uint64_t)i;
        if (e->noise == NOISE_NORMAL)
            e->y[i] = draw_normal(e->draw, index);
        else /* 2^-25 is half a step of draw_uniform: so u is in (0, 1) */
            e->y[i] = (float)-own_log(-own_log((double)draw_uniform(e->draw, index) + 0x1p-25));
    }
}

void FN(noise)(const Run *run, int64_t n, Noise kind, Draw d, uint64_t first, float *y)
{
    Elements e = {.y = y, .noise = kind, .draw = d, .begin = first};
    run_ranges(run, n, GRAIN, noise_range, &e);
}

static void fill_range(const void *arg, int64_t first, int64_t last)
{
    const Elements *e = arg;
    vf value = v_set(e->alpha);
    FOR_VECTORS(first, last, store_part(e->y + i, value, n))
}

void FN(fill)(const Run *run, int64_t n, float value, float *y)
{
    Elements e = {.y = y, .alpha = value};
    run_ranges(run, n, GRAIN, fill_range, &e);
}

/* ---- the sum of all numbers: blocks in float32, their sums added in float64 in order --------- */

enum { BLOCK = 4096 }; /* numbers */

typedef struct Sum {
    const float *x;
    int64_t n;
    float *parts; /* the sum of each block */
    bool squares;
} Sum;

INLINE vf sum_term(vf x, vf acc, bool squares)
{
    return squares ? v_fma(x, x, acc) : acc + x;
}

INLINE float block_sum(const float *x, int64_t n, bool squares)
{
    vf a0 = v_zero(), a1 = a0, a2 = a0, a3 = a0;
    int64_t i = 0;
    for (; i + 4 * VW <= n; i += 4 * VW) {
        a0 = sum_term(v_load(x + i), a0, squares);
        a1 = sum_term(v_load(x + i + VW), a1, squares);
        a2 = sum_term(v_load(x + i + 2 * VW), a2, squares);
        a3 = sum_term(v_load(x + i + 3 * VW), a3, squares);
    }
    for (; i < n; i += VW)
        a0 = sum_term(load_part(x + i, (int)MIN(VW, n - i)), a0, squares);
    return v_sum((a0 + a1) + (a2 + a3));
}

static void sum_blocks(const void *arg, int64_t first, int64_t last)
{
    const Sum *s = arg;
    for (int64_t b = first; b < last; b++) {
        const float *x = s->x + b * BLOCK;
        int64_t n = MIN(BLOCK, s->n - b * BLOCK);
        s->parts[b] = s->squares ? block_sum(x, n, true) : block_sum(x, n, false);
    }
}

size_t FN(sum_work)(const Run *run, int64_t n)
{
    (void)run;
    return (size_t)div_up(n, BLOCK) * sizeof(float);
}

static void sum_all(const Run *run, int64_t n, const float *x, bool squares, float *out)
{
    Sum s = {x, n, run->work, squares};
    int64_t blocks = div_up(n, BLOCK);
    run_ranges(run, blocks, 8, sum_blocks, &s);
    double total = 0;
    for (int64_t b = 0; b < blocks; b++)
        total += s.parts[b];
    *out = (float)total;
}

void FN(sum)(const Run *run, int64_t n, const float *x, float *out)
{
    sum_all(run, n, x, false, out);
}

void FN(sum_squares)(const Run *run, int64_t n, const float *x, float *out)
{
    sum_all(run, n, x, true, out);
}
