/* tools/bench/bench_dense.c: measures gemm, conv, attention and norm. */
// flags: -Os
#include <math.h>

#include "tools/bench/bench.h"

/* ---- gemm ------------------------------------------------------------------------------------ */

/* A product C [M,N] = A B, by how A and B are stored. */
typedef struct GemmCase {
    int64_t M, N, K;
    enum {
        WEIGHT,       /* A [M,K], B [N,K], packed once */
        ROWS,         /* A [M,K], B [K,N] */
        B_TRANSPOSED, /* A [M,K], B [N,K] */
        A_TRANSPOSED  /* A [K,M], B [K,N] */
    } how;
} GemmCase;
/* The shapes of this file and of bench_sparse.c are independent of those in tests/kernel_cases.h, because a command
 * does not link tests. --against finds an earlier figure by its shape, so a shape never changes.
 *
 * The shapes are: blocks of transformers with 197 and 128 tokens; the last layers of ResNet; one row; the scores and
 * the projection of a recommender, each with its two backward products; a square. The last ones are for GPUs: batches
 * of 32 images, and a large square. */
static const GemmCase GEMMS[] = {
    {197, 768, 768, WEIGHT},  {197, 3072, 768, WEIGHT},       {197, 768, 3072, WEIGHT},
    {128, 1536, 384, WEIGHT}, {128, 384, 1536, WEIGHT},       {49, 2048, 512, WEIGHT},
    {49, 512, 2048, WEIGHT},  {1, 768, 768, WEIGHT},          {2048, 7050, 64, B_TRANSPOSED},
    {2048, 64, 7050, ROWS},   {7050, 64, 2048, A_TRANSPOSED}, {2800, 64, 4480, B_TRANSPOSED},
    {2800, 4480, 64, ROWS},   {64, 4480, 2800, A_TRANSPOSED}, {1024, 1024, 1024, WEIGHT},
#ifndef SAPOR_MINIMAL
    {6304, 768, 768, WEIGHT}, {6304, 3072, 768, WEIGHT},      {4096, 4096, 4096, WEIGHT},
#endif
};

typedef struct GemmRun {
    const Kernels *k;
    Run run;
    Gemm g;
} GemmRun;

static void gemm_body(void *arg)
{
    GemmRun *r = arg;
    r->k->gemm(&r->run, &r->g);
}

/* Opens the product on a device, with its own packed weights and its own scratch. */
static bool open_gemm(Bench *b, const Device *d, const Gemm *g, Pack how, bool packs, GemmRun *r, Error *e)
{
    const Run pack = device_run(d);
    void *packed = packs ? bench_memory(b, d->k->gemm_pack_bytes(how, g->K, g->N), e) : NULL;
    if (packs && (!packed || !bench_settle(b)))
        return false;
    *r = (GemmRun){.k = d->k, .g = *g};
    r->g.packed = packed;
    if (packed)
        d->k->gemm_pack(&pack, how, g->K, g->N, g->B, g->b_row, g->b_col, packed);
    return bench_run(b, d, &r->run, d->k->gemm_work(&pack, &r->g), e);
}

static bool bench_gemm(Bench *b, const GemmCase *c, const char *shape, Error *e)
{
    bool b_transposed = c->how == WEIGHT || c->how == B_TRANSPOSED, a_transposed = c->how == A_TRANSPOSED;
    size_t mk, kn, mn;
    Pack how;
    if (!option_dtype(b->c, &how, e) || !kernels_packs(b->d->k, how, e))
        return false;
    if (!size_mul((size_t)c->M, (size_t)c->K, &mk) || !size_mul((size_t)c->K, (size_t)c->N, &kn) ||
        !size_mul((size_t)c->M, (size_t)c->N, &mn))
        return fail(e, SP_USAGE, "--shape %s: does not fit in memory", shape);
    float *A = bench_floats(b, mk, e), *B = bench_floats(b, kn, e), *C = bench_memory(b, mn * sizeof *C, e);
    if (!A || !B || !C)
        return false;
    const Gemm g = {.M = c->M,
                    .N = c->N,
                    .K = c->K,
                    .A = A,
                    .a_row = a_transposed ? 1 : c->K,
                    .a_col = a_transposed ? c->M : 1,
                    .B = B,
                    .b_row = b_transposed ? 1 : c->N,
                    .b_col = b_transposed ? c->K : 1,
                    .pack = how,
                    .C = C,
                    .ldc = c->N,
                    .alpha = 1};
    const Device *list[2];
    size_t devices = bench_devices(b, offsetof(Kernels, gemm), list);
    GemmRun run[CONTENDERS];
    Way way[CONTENDERS];
    Contender contender[CONTENDERS];
    for (size_t i = 0; i < devices; i++) {
        if (!open_gemm(b, list[i], &g, how, c->how == WEIGHT, &run[i], e))
            return false;
        way[i] = run[i].k->gemm_way(&run[i].run, &run[i].g);
        contender[i] = (Contender){list[i], &run[i], way[i].name};
    }
    size_t weights = c->how == WEIGHT ? b->d->k->gemm_pack_bytes(how, c->K, c->N) : 4 * kn;
    Figure f = {"gemm", shape, .dtype = option_text(b->c, "dtype"), .flops = 2.0 * (double)mk * (double)c->N,
                .bytes = 4.0 * (double)(mk + mn) + (double)weights};
    return bench_compare(b, &f, gemm_body, contender, devices, e);
}

/* Reports whether `text` (--shape 12x34x56) is three sizes, and writes the product to *c. */
static bool is_product(const char *text, GemmCase *c)
{
    int64_t *at[] = {&c->M, &c->N, &c->K};
    Text rest = text_of(text ? text : ""), part;
    size_t n = 0;
    while (text_next(&rest, 'x', &part))
        if (n == COUNT(at) || !text_i64(part, at[n++]) || *at[n - 1] < 1)
            return false;
    c->how = WEIGHT;
    return n == COUNT(at);
}

/* ---- convolution ----------------------------------------------------------------------------- */

/* H: height and width; C, O: input and output channels; k: height and width of the kernel. */
static const struct {
    int64_t H, C, O, k, stride, groups;
} CONVS[] = {{224, 3, 64, 7, 2, 1},  {112, 128, 128, 3, 1, 1}, {56, 64, 64, 3, 1, 1},
             {56, 64, 256, 1, 1, 1}, {28, 128, 128, 3, 1, 1},  {14, 256, 256, 3, 1, 1},
             {7, 512, 512, 3, 1, 1}, {7, 512, 2048, 1, 1, 1},  {112, 96, 96, 3, 1, 96}};

typedef struct ConvRun {
    const Kernels *k;
    Run run;
    Conv c;
} ConvRun;

static void conv_body(void *arg)
{
    ConvRun *r = arg;
    r->k->conv(&r->run, &r->c);
}

/* Opens the convolution on a device, with its own packed weights and its own scratch. */
static bool open_conv(Bench *b, const Device *d, const Conv *c, const float *weights, ConvRun *r, Error *e)
{
    const Run pack = device_run(d);
    void *packed = bench_memory(b, d->k->conv_pack_bytes(c), e);
    if (!packed || !bench_settle(b))
        return false;
    *r = (ConvRun){.k = d->k, .c = *c};
    r->c.packed = packed;
    d->k->conv_pack(&pack, c, weights, packed);
    return bench_run(b, d, &r->run, d->k->conv_work(&pack, &r->c), e);
}

/* Returns the number of images: one, or 32 on a GPU. */
static int64_t conv_batch(const Bench *b)
{
    return bench_on_gpu(b) && !b->emulated ? 32 : 1;
}

static void conv_shape(const Bench *b, size_t i, char shape[80])
{
    const long long H = bench_size(b, CONVS[i].H, 8), C = bench_size(b, CONVS[i].C, 16),
                    O = bench_size(b, CONVS[i].O, 16), B = conv_batch(b), k = CONVS[i].k;
    size_t n = B > 1 ? (size_t)snprintf(shape, 80, "B%lld-", B) : 0;
    snprintf(shape + n, 80 - n, "%lldx%lldx%lld-%lldx%lldx%lld-s%lld%s", H, H, C, k, k, O, (long long)CONVS[i].stride,
             CONVS[i].groups > 1 ? "-dw" : "");
}

static bool bench_conv(Bench *b, size_t i, const char *shape, Error *e)
{
    int64_t H = bench_size(b, CONVS[i].H, 8), C = bench_size(b, CONVS[i].C, 16), O = bench_size(b, CONVS[i].O, 16),
            k = CONVS[i].k, pad = k / 2, B = conv_batch(b);
    Conv c = {.B = B,
              .H = H,
              .W = H,
              .C = C,
              .O = O,
              .kh = k,
              .kw = k,
              .stride = CONVS[i].stride,
              .groups = bench_size(b, CONVS[i].groups, 16),
              .top = pad,
              .left = pad,
              .bottom = pad,
              .right = pad};
    if (!option_winograd(b->c, &c.winograd, e))
        return false;
    int64_t out = conv_out(H, k, c.stride, 2 * pad), weights = O * (C / c.groups) * k * k;
    float *x = bench_floats(b, (size_t)(B * H * H * C), e), *w = bench_floats(b, (size_t)weights, e),
          *y = bench_memory(b, (size_t)(B * out * out * O) * sizeof *y, e);
    if (!x || !w || !y)
        return false;
    c.x = x;
    c.y = y;
    const Device *list[2];
    size_t devices = bench_devices(b, offsetof(Kernels, conv), list);
    ConvRun run[CONTENDERS];
    Way way[CONTENDERS];
    Contender contender[CONTENDERS];
    for (size_t d = 0; d < devices; d++) {
        if (!open_conv(b, list[d], &c, w, &run[d], e))
            return false;
        way[d] = run[d].k->conv_way(&run[d].run, &run[d].c);
        contender[d] = (Contender){list[d], &run[d], way[d].name};
    }
    char named[96]; /* distinct names for --against */
    snprintf(named, sizeof named, "%s%s", shape, c.winograd ? "-w6" : "");
    Figure f = {"conv", named, .flops = 2.0 * (double)(B * out * out) * (double)weights,
                .bytes = 4.0 * (double)(B * H * H * C + weights + B * out * out * O)};
    return bench_compare(b, &f, conv_body, contender, devices, e);
}

/* ---- attention ------------------------------------------------------------------------------- */

/* B sequences of T tokens, H heads of D numbers. */
static const struct {
    int64_t B, T, H, D;
} ATTENTIONS[] = {
    {1, 128, 12, 32},  {1, 197, 12, 64}, {16, 128, 12, 64}, {1, 512, 12, 64},
#ifndef SAPOR_MINIMAL
    {32, 197, 12, 64},
#endif
};

/* The number of entries at the end of the two lists that are measured only on GPUs. */
#ifdef SAPOR_MINIMAL
enum { GPU_GEMMS = 0, GPU_ATTENTIONS = 0 };
#else
enum { GPU_GEMMS = 3, GPU_ATTENTIONS = 1 };
#endif

typedef struct AttentionRun {
    const Kernels *k;
    Run run;
    Attention a;
} AttentionRun;

static void attention_body(void *arg)
{
    AttentionRun *r = arg;
    r->k->attention(&r->run, &r->a);
}

static bool bench_attention(Bench *b, size_t i, const char *shape, Error *e)
{
    int64_t B = bench_size(b, ATTENTIONS[i].B, 8), T = bench_size(b, ATTENTIONS[i].T, 16),
            H = bench_size(b, ATTENTIONS[i].H, 6), D = ATTENTIONS[i].D, rows = B * T, ld = 3 * H * D;
    float *qkv = bench_floats(b, (size_t)(rows * ld), e),
          *out = bench_memory(b, (size_t)(rows * H * D) * sizeof *out, e);
    int32_t *host = NEW(b->arena, int32_t, B + 1, e);
    for (int64_t t = 0; host && t <= B; t++)
        host[t] = (int32_t)(t * T);
    const int32_t *offsets = bench_copy(b, host, (size_t)(B + 1) * sizeof *host, e);
    if (!qkv || !out || !offsets)
        return false;
    AttentionRun r = {.k = b->d->k,
                      .a = {.B = B,
                            .H = H,
                            .D = D,
                            .q_offsets = offsets,
                            .q_longest = T,
                            .q = qkv,
                            .k = qkv + H * D,
                            .v = qkv + 2 * H * D,
                            .q_ld = ld,
                            .k_ld = ld,
                            .v_ld = ld,
                            .out = out,
                            .out_ld = H * D,
                            .scale = (float)(1 / sqrt((double)D))}};
    const Run run = device_run(b->d);
    if (!bench_run(b, b->d, &r.run, r.k->attention_work(&run, &r.a), e))
        return false;
    Figure f = {"attention", shape, .flops = 4.0 * (double)(B * T * T) * (double)(H * D),
                .bytes = 4.0 * (double)(rows * 4 * H * D)};
    return bench_measure(b, &f, attention_body, &r, e);
}

/* ---- rows ------------------------------------------------------------------------------------ */

typedef struct NormRun {
    const Kernels *k;
    Run run;
    int which; /* 0 layer_norm, 1 softmax, 2 row_normalize; of x [M, C] */
    int64_t M, C;
    const float *x, *gamma;
    float *y;
} NormRun;

static void norm_body(void *arg)
{
    NormRun *r = arg;
    if (r->which == 0)
        r->k->layer_norm(&r->run, r->M, r->C, F32, r->x, NULL, r->gamma, r->gamma, 1e-12f, r->y, NULL, NULL);
    else if (r->which == 1)
        r->k->softmax(&r->run, r->M, r->C, r->x, r->y);
    else
        r->k->row_normalize(&r->run, r->M, r->C, 1e-12f, r->x, r->y, NULL);
}

/* flops: the approximate number of operations per number. layer_norm: two sums, scale, shift. softmax: maximum,
 * difference, exponential (counted as 10), sum, scale. row_normalize: square, sum, scale. */
static const struct {
    int which;
    int64_t M, C;
    double flops;
} NORMS[] = {{0, 197, 768, 7}, {0, 2048, 384, 7}, {1, 2048, 512, 14}, {2, 7050, 384, 3}};

static bool bench_norm(Bench *b, size_t i, const char *shape, Error *e)
{
    NormRun r = {.k = b->d->k, .which = NORMS[i].which, .M = bench_size(b, NORMS[i].M, 64), .C = NORMS[i].C};
    r.x = bench_floats(b, (size_t)(r.M * r.C), e);
    r.gamma = bench_floats(b, (size_t)r.C, e);
    r.y = bench_memory(b, (size_t)(r.M * r.C) * sizeof *r.y, e);
    if (!r.x || !r.gamma || !r.y || !bench_run(b, b->d, &r.run, 0, e))
        return false;
    Figure f = {"norm", shape, .flops = NORMS[i].flops * (double)(r.M * r.C), .bytes = 8.0 * (double)(r.M * r.C)};
    return bench_measure(b, &f, norm_body, &r, e);
}

bool bench_dense(Bench *b, const char *what, Error *e)
{
    static const char *const NORM_NAMES[] = {"layer_norm", "softmax", "row_normalize"};
    bool gemm = strcmp(what, "gemm") == 0, conv = strcmp(what, "conv") == 0, attention = strcmp(what, "attention") == 0;
    GemmCase given = {0};
    bool cpu = !bench_on_gpu(b);
    size_t count = gemm        ? COUNT(GEMMS) - (cpu ? GPU_GEMMS : 0)
                   : conv      ? COUNT(CONVS)
                   : attention ? COUNT(ATTENTIONS) - (cpu ? GPU_ATTENTIONS : 0)
                               : COUNT(NORMS);
    for (size_t i = 0; i < count; i++) {
        char shape[80];
        GemmCase g = gemm ? GEMMS[i] : given;
        g.M = bench_size(b, g.M, 32);
        g.N = bench_size(b, g.N, 32);
        g.K = bench_size(b, g.K, 32);
        bench_release(b);
        if (gemm)
            snprintf(shape, sizeof shape, "%lldx%lldx%lld", (long long)g.M, (long long)g.N, (long long)g.K);
        else if (conv)
            conv_shape(b, i, shape);
        else if (attention)
            snprintf(shape, sizeof shape, "B%lld-T%lld-H%lld-D%lld", (long long)bench_size(b, ATTENTIONS[i].B, 8),
                     (long long)bench_size(b, ATTENTIONS[i].T, 16), (long long)bench_size(b, ATTENTIONS[i].H, 6),
                     (long long)ATTENTIONS[i].D);
        else
            snprintf(shape, sizeof shape, "%s-%lldx%lld", NORM_NAMES[NORMS[i].which],
                     (long long)bench_size(b, NORMS[i].M, 64), (long long)NORMS[i].C);
        if (gemm && GEMMS[i].how != WEIGHT && option_given(b->c, "dtype")) /* only weights can have another type */
            continue;
        if (!bench_selects(b, shape))
            continue;
        if (!(gemm        ? bench_gemm(b, &g, shape, e)
              : conv      ? bench_conv(b, i, shape, e)
              : attention ? bench_attention(b, i, shape, e)
                          : bench_norm(b, i, shape, e)))
            return false;
    }
    if (!gemm || b->found || !is_product(b->filter, &given))
        return true;
    b->found = true;
    bench_release(b);
    return bench_gemm(b, &given, b->filter, e);
}
