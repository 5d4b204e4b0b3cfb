/* Attention: shapes, reference, and Sapor's kernel as the last step. */
#include <math.h>

#include "bench/ladder/attention/case.h"

/* Tokens, heads, size of a head: MiniLM, ViT-B/16, a long text of BERT-base */
static const int64_t SHAPES[][3] = {{128, 12, 32}, {197, 12, 64}, {512, 12, 64}}, TINY[3] = {300, 2, 48};

static void attend(const Case *c, int64_t h, int64_t i, double *s)
{
    double *out = c->expected + (i * c->H + h) * c->D, largest_score = -INFINITY, sum = 0;
    for (int64_t j = 0; j < c->T; j++) {
        s[j] = 0;
        for (int64_t d = 0; d < c->D; d++)
            s[j] += (double)c->q[i * c->ld + h * c->D + d] * (double)c->k[j * c->ld + h * c->D + d];
        s[j] *= (double)c->scale;
        largest_score = fmax(largest_score, s[j]);
    }
    for (int64_t j = 0; j < c->T; j++) {
        const double weight = exp(s[j] - largest_score);
        sum += weight;
        for (int64_t d = 0; d < c->D; d++)
            out[d] += weight * (double)c->v[j * c->ld + h * c->D + d];
    }
    for (int64_t d = 0; d < c->D; d++)
        out[d] /= sum;
}

static Case *make(int shape, Work *work)
{
    const int64_t *s = shape < 0 ? TINY : SHAPES[shape], T = s[0], H = s[1], D = s[2], padded = T + 256;
    const Kernels *k = ladder_kernels();
    double *row = ladder_room((size_t)T, sizeof *row);
    int32_t *offsets = ladder_room(2, sizeof *offsets);
    float *qkv = ladder_numbers((size_t)(T * 3 * H * D));
    Case *c = ladder_room(1, sizeof *c);
    for (int64_t i = 0; i < T * 3 * H * D; i++) { /* spreads the scores as widely as those of a trained model */
        qkv[i] *= i % (3 * H * D) < 2 * H * D ? 3.0f : 1.0f;
    }
    *c = (Case){.T = T,
                .H = H,
                .D = D,
                .ld = 3 * H * D,
                .q = qkv,
                .k = qkv + H * D,
                .v = qkv + 2 * H * D,
                .scale = 1.0f / sqrtf((float)D),
                .out = ladder_room((size_t)(T * H * D), sizeof(float)),
                .scores = ladder_room((size_t)((T + 16) * (T + 64)), sizeof(float)),
                .keys = ladder_room(1, k->gemm_pack_bytes(PACK_F32, D, padded)),
                .values = ladder_room(1, k->gemm_pack_bytes(PACK_F32, padded, D)),
                .expected = ladder_room((size_t)(T * H * D), sizeof(double))};
    for (int64_t i = 0; i < T * H; i++)
        attend(c, i % H, i / H, row);
    const Gemm largest = {
        .M = T, .N = T, .K = MAX(T, D), .A = c->q, .a_row = T + 16, .a_col = 1, .packed = c->keys, .alpha = 1};
    c->run.work_bytes = k->gemm_work(&(Run){0}, &largest);
    c->run.work = ladder_room(1, c->run.work_bytes);
    offsets[1] = (int32_t)T;
    c->attention =
        (Attention){.B = 1, .H = H, .D = D, .q_offsets = offsets, .q_longest = T, .q = c->q, .k = c->k, .v = c->v};
    c->attention.q_ld = c->attention.k_ld = c->attention.v_ld = c->ld;
    c->attention.out = c->out;
    c->attention.out_ld = H * D;
    c->attention.scale = c->scale;
    c->attention_run.work_bytes = k->attention_work(&(Run){0}, &c->attention);
    c->attention_run.work = ladder_room(1, c->attention_run.work_bytes);
    *work = (Work){.flops = 4.0 * (double)(T * T) * (double)(H * D), .limit = 1e-5};
    snprintf(work->name, sizeof work->name, "%lld tokens, %lld heads of %lld", (long long)T, (long long)H,
             (long long)D);
    return c;
}

static void reset(Case *c)
{
    for (int64_t i = 0; i < c->T * c->H * c->D; i++)
        c->out[i] = NAN;
}

static double error_of(const Case *c)
{
    return ladder_difference(c->out, c->expected, (size_t)(c->T * c->H * c->D));
}

const Ladder ladder = {COUNT(SHAPES), make, reset, error_of};

static void sapor(Case *c)
{
    ladder_kernels()->attention(&c->attention_run, &c->attention);
}
STEP("Sapor", NULL, sapor)
