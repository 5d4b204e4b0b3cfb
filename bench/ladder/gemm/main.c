/* The matrix product: shapes, reference, and Sapor's kernel as the last step. */
#include <math.h>

#include "bench/ladder/gemm/case.h"

/* MiniLM's first feed-forward layer; a long K and a wide N, for which both kinds of blocks matter; and the square that
 * libraries are usually compared by */
static const int64_t SHAPES[][3] = {{128, 1536, 384}, {140, 4096, 1024}, {1024, 1024, 1024}}, TINY[3] = {17, 384, 390};

static Case *make(int shape, Work *work)
{
    const int64_t *s = shape < 0 ? TINY : SHAPES[shape], M = s[0], N = s[1], K = s[2];
    const Kernels *k = ladder_kernels();
    Case *c = ladder_room(1, sizeof *c);
    *c = (Case){.M = M,
                .N = N,
                .K = K,
                .A = ladder_numbers((size_t)(M * K)),
                .B = ladder_numbers((size_t)(K * N)),
                .C = ladder_room((size_t)(M * N), sizeof(float)),
                .packed = ladder_room(1, k->gemm_pack_bytes(PACK_F32, K, N)),
                .work = ladder_room((size_t)(MAX(M, 16) * (K + 16)), sizeof(float)),
                .expected = ladder_room((size_t)(M * N), sizeof(double))};
    for (int64_t m = 0; m < M; m++) {
        for (int64_t i = 0; i < K; i++) {
            for (int64_t n = 0; n < N; n++)
                c->expected[m * N + n] += (double)c->A[m * K + i] * (double)c->B[i * N + n];
        }
    }
    c->gemm =
        (Gemm){.M = M, .N = N, .K = K, .A = c->A, .a_row = K, .a_col = 1, .packed = c->packed, .C = c->C, .ldc = N};
    c->gemm.alpha = 1;
    c->run.work_bytes = k->gemm_work(&(Run){0}, &c->gemm);
    c->run.work = ladder_room(1, c->run.work_bytes);
    *work = (Work){.flops = 2.0 * (double)(M * N) * (double)K, .limit = 1e-5};
    snprintf(work->name, sizeof work->name, "%lld x %lld x %lld", (long long)M, (long long)N, (long long)K);
    return c;
}

static void reset(Case *c)
{
    for (int64_t i = 0; i < c->M * c->N; i++)
        c->C[i] = NAN;
}

static double error_of(const Case *c)
{
    return ladder_difference(c->C, c->expected, (size_t)(c->M * c->N));
}

const Ladder ladder = {COUNT(SHAPES), make, reset, error_of};

static void sapor_pack(Case *c)
{
    ladder_kernels()->gemm_pack(&c->run, PACK_F32, c->K, c->N, c->B, c->N, 1, c->packed);
}

static void sapor(Case *c)
{
    ladder_kernels()->gemm(&c->run, &c->gemm);
}
STEP("Sapor", sapor_pack, sapor)
