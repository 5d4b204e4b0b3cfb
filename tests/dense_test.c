/* tests/dense_test.c: properties that tests/kernel_cases.h cannot check: a row of a product, a text of a batch and an
 * image of a batch have the same bits, whatever else is computed with them. */
#include <math.h>

#include "tests/testing.h"

#include "kernels/cpu/forms.h"

static float *numbers(int64_t n, uint32_t which)
{
    float *x = malloc((size_t)n * sizeof *x + 4);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = 2 * draw_uniform((Draw){1, DRAW_TEST, which}, (uint64_t)i) - 1;
    return x;
}

static Run run_with(size_t bytes)
{
    Run r = {.work = heap_alloc(NULL, bytes + 1), .work_bytes = bytes};
    assert_non_null(r.work);
    memset(r.work, 0xff, bytes); /* NaN: a read of unwritten scratch shows in the result */
    return r;
}

typedef void Check(const Kernels *k);
static void at_every_level(Check *check)
{
    const char *names[8], *why[8];
    bool usable[8];
    Error e = {0};
    for (size_t i = 0, n = kernels_levels(names, usable, why); i < n; i++) {
        if (!usable[i]) {
            print_message("skipped: %s: this machine has %s\n", names[i], why[i]);
            continue;
        }
        const Kernels *k = kernels_cpu(names[i], &e);
        assert_non_null(k);
        check(k);
    }
}

/* ---- gemm ------------------------------------------------------------------------------------ */

static void gemm_run(const Kernels *k, const Gemm *g)
{
    Run r = run_with(k->gemm_work(&(Run){0}, g));
    k->gemm(&r, g);
    heap_free(NULL, r.work, r.work_bytes + 1);
}

/* Returns the product C[M,N] = A[M,K] B[K,N], where B is packed as `pack`. */
static Gemm packed_product(int64_t M, int64_t N, int64_t K, const float *A, Pack pack, const void *packed, float *C)
{
    return (Gemm){.M = M,
                  .N = N,
                  .K = K,
                  .A = A,
                  .a_row = K,
                  .a_col = 1,
                  .packed = packed,
                  .pack = pack,
                  .C = C,
                  .ldc = N,
                  .alpha = 1};
}

static void rows_separately(const Kernels *k)
{
    static const int64_t shapes[][3] = {{64, 100, 50}, {61, 33, 900}, {100, 20, 7}, {45, 340, 400}, {30, 64, 1024}};
    for (size_t i = 0; i < COUNT(shapes) * 8 * PACK_COUNT; i++) {
        const Pack pack = (Pack)(i / 8 % PACK_COUNT);
        const int64_t *shape = shapes[i / 8 / PACK_COUNT];
        int64_t M = shape[0], N = shape[1], K = shape[2];
        bool columns_a = i & 1, columns_b = i & 2, packs = i & 4;
        if (pack != PACK_F32 && (columns_a || !packs)) /* narrow weights are packed, and A is row-major */
            continue;
        float *A = numbers(M * K, 1), *B = numbers(K * N, 2), *C = numbers(M * N, 3), *separate = numbers(M * N, 4),
              *residual = numbers(M * N, 5);
        Gemm g = {.M = M,
                  .N = N,
                  .K = K,
                  .A = A,
                  .a_row = columns_a ? 1 : K,
                  .a_col = columns_a ? M : 1,
                  .B = B,
                  .b_row = columns_b ? 1 : N,
                  .b_col = columns_b ? K : 1,
                  .C = C,
                  .ldc = N,
                  .alpha = 0.5f,
                  .residual = residual,
                  .ldr = N,
                  .act = ACT_GELU};
        void *packed = heap_alloc(NULL, k->gemm_pack_bytes(pack, K, N));
        if (packs) {
            Run r = {0};
            k->gemm_pack(&r, pack, K, N, B, g.b_row, g.b_col, packed);
            g.packed = packed;
            g.pack = pack;
        }
        gemm_run(k, &g);
        for (int64_t m = 0, step = 1; m < M; m += step, step = step % 9 + 1) {
            Gemm h = g;
            h.M = MIN(step, M - m);
            h.A = A + m * g.a_row;
            h.C = separate + m * N;
            h.residual = residual + m * N;
            gemm_run(k, &h);
        }
        assert_memory_equal(separate, C, (size_t)(M * N) * sizeof *C);
        heap_free(NULL, packed, k->gemm_pack_bytes(pack, K, N));
        free(A), free(B), free(C), free(separate), free(residual);
    }
}

/* Tests narrow weights at the limits of their numbers: rows near zero, infinities and NaN in A and in B. */
static void narrow_ends(const Kernels *k)
{
    enum { M = 4, N = 40, K = 70 };
    static const float extreme[] = {1e-38f, 1e-45f, INFINITY, NAN};
    for (Pack pack = PACK_F32; pack < (Pack)PACK_FORMS; pack++) {
        if (!k->gemm_packs(pack))
            continue;
        float *A = numbers(M * K, 1), *B = numbers(K * N, 2), *C = numbers(M * N, 3);
        void *packed = heap_alloc(NULL, k->gemm_pack_bytes(pack, K, N));
        const Gemm g = packed_product(M, N, K, A, pack, packed, C);
        Run no_scratch = {0};
        assert_non_null(packed);
        k->gemm_pack(&no_scratch, pack, K, N, B, N, 1, packed);
        /* two rows of numbers near zero, two rows with one number that is infinite or NaN */
        for (int m = 0; m < M; m++)
            for (int i = 0; i < K; i++)
                A[m * K + i] = m < 2 ? (i % 2 ? -extreme[m] : extreme[m]) : i == 3 ? extreme[m] : A[m * K + i];
        gemm_run(k, &g);
        for (int n = 0; n < N; n++) {
            assert_true(fabsf(C[n]) < 1e-30f && fabsf(C[N + n]) < 1e-30f);
            assert_false(isfinite(C[2 * N + n]) || isfinite(C[3 * N + n]));
        }
        B[5 * N + 1] = INFINITY;
        B[5 * N + 2] = NAN;
        k->gemm_pack(&no_scratch, pack, K, N, B, N, 1, packed);
        for (int i = 0; i < M * K; i++)
            A[i] = 1;
        gemm_run(k, &g);
        for (int n = 0; n < N; n++)
            assert_true((isfinite(C[n]) != 0) == (n != 1 && n != 2));
        heap_free(NULL, packed, k->gemm_pack_bytes(pack, K, N));
        free(A);
        free(B);
        free(C);
    }
}

/* Checks that packing for a type (PACK_BF16, PACK_INT8) uses one of the forms of this type (PACK_BF16_WIDE, ...): the
 * product has the same bits as the product with weights that are packed in this form. */
static void types_take_a_form(const Kernels *k)
{
    enum { M = 5, N = 40, K = 70 };
    static const Pack FORMS[][4] = {{PACK_BF16, PACK_BF16_WIDE, PACK_BF16_DOTS, PACK_BF16_AMX},
                                    {PACK_INT8, PACK_INT8_DOTS, PACK_INT8_AMX, PACK_INT8_AMX}};
    for (size_t i = 0; i < COUNT(FORMS); i++) {
        float *A = numbers(M * K, 1), *B = numbers(K * N, 2), C[4][M * N];
        int same = 0;
        for (int f = 0; f < 4; f++) {
            const Pack pack = FORMS[i][f];
            Run no_scratch = {0};
            void *packed = k->gemm_packs(pack) ? heap_alloc(NULL, k->gemm_pack_bytes(pack, K, N)) : NULL;
            if (!packed)
                continue;
            k->gemm_pack(&no_scratch, pack, K, N, B, N, 1, packed);
            const Gemm g = packed_product(M, N, K, A, pack, packed, C[f]);
            gemm_run(k, &g);
            same += f > 0 && memcmp((void *)C[0], (void *)C[f], sizeof C[0]) == 0;
            heap_free(NULL, packed, k->gemm_pack_bytes(pack, K, N));
        }
        assert_true(same > 0 || !k->gemm_packs(FORMS[i][0]));
        free(A);
        free(B);
    }
}

/* Checks that sums of bytes never overflow. B has only the numbers -1, 0 and 1, times a factor close to 1 and the size
 * of the matrix. Row n of A is `selected` where column n of B is positive, and 0 elsewhere; row N + n selects the
 * negative numbers. A product is then a sum of numbers of the packed B, times `selected`. */
static void sums_of_bytes(const Kernels *k)
{
    enum { N = 48, M = 2 * N, K = 200 };
    static const float sizes[] = {1, 3e38f, 1e-30f, 2e-35f, 1e-44f};
    float *A = numbers((int64_t)M * K, 1), *B = numbers((int64_t)K * N, 2), *C = numbers((int64_t)M * N, 3),
          *unpacked = numbers((int64_t)K * N, 4);
    void *packed = heap_alloc(NULL, k->gemm_pack_bytes(PACK_INT8, K, N));
    Run no_scratch = {0};
    assert_non_null(packed);
    for (size_t i = 0; i < COUNT(sizes) * 3 && k->gemm_unpack; i++) {
        int jitter = (int)(i % 3); /* 0: all columns have equal numbers */
        /* the sums of the largest numbers are finite, and the products of scales are not subnormal */
        float selected = sizes[i / 3] > 1 ? 1.0f / 1024 : 1024;
        for (int64_t at = 0; at < (int64_t)K * N; at++) {
            float draw = 2 * draw_uniform((Draw){1, DRAW_TEST, (uint32_t)i}, (uint64_t)at) - 1;
            float sign = jitter == 0 || at % N < 8 ? (at % N % 2 ? -1.0f : 1.0f) : (float)(int)(draw * 2.5f);
            B[at] = (sign < 0 ? -1 : sign > 0 ? 1 : 0) * (1 - (float)jitter * 0.004f * fabsf(draw)) * sizes[i / 3];
        }
        for (int64_t m = 0; m < M; m++)
            for (int64_t at = 0; at < K; at++)
                A[m * K + at] = (m < N ? B[at * N + m] > 0 : B[at * N + m - N] < 0) ? selected : 0.0f;
        k->gemm_pack(&no_scratch, PACK_INT8, K, N, B, N, 1, packed);
        k->gemm_unpack(&no_scratch, PACK_INT8, K, N, packed, 0, N, unpacked, N);
        const Gemm g = packed_product(M, N, K, A, PACK_INT8, packed, C);
        gemm_run(k, &g);
        for (int64_t m = 0; m < M; m++) {
            for (int64_t n = 0; n < N; n++) {
                double sum = 0, size = 0;
                for (int64_t at = 0; at < K; at++) {
                    sum += (double)(A[m * K + at] * unpacked[at * N + n]);
                    size += fabs((double)selected * (double)unpacked[at * N + n]);
                }
                assert_true(fabs((double)C[m * N + n] - sum) <= 1e-6 * size + 1e-42);
            }
        }
    }
    heap_free(NULL, packed, k->gemm_pack_bytes(PACK_INT8, K, N));
    free(A), free(B), free(C), free(unpacked);
}

/* ---- attention ------------------------------------------------------------------------------- */

static void texts_apart(const Kernels *k)
{
    static const int32_t offsets[] = {0, 1, 1, 14, 31, 48, 348, 353};
    enum { H = 3, D = 40, R = 9, B = COUNT(offsets) - 1, C = H * D };
    int64_t rows = offsets[B];
    for (int causal = 0; causal < 4; causal++) { /* with a window if 2 or more */
        float *qkv = numbers(rows * 3 * C, 1), *relative = numbers((2 * R + 1) * H, 2), *out = numbers(rows * C, 3),
              *separate = numbers(rows * C, 4);
        Attention t = {.B = B,
                       .H = H,
                       .D = D,
                       .q_offsets = offsets,
                       .q_longest = 300,
                       .q = qkv,
                       .k = qkv + C,
                       .v = qkv + 2 * C,
                       .q_ld = 3 * C,
                       .k_ld = 3 * C,
                       .v_ld = 3 * C,
                       .out = out,
                       .out_ld = C,
                       .scale = 0.2f,
                       .relative = relative,
                       .R = R,
                       .causal = causal % 2,
                       .window = causal / 2 * 40};
        Run r = run_with(k->attention_work(&(Run){0}, &t));
        k->attention(&r, &t);
        for (int b = 0; b < B; b++) {
            const int32_t alone[2] = {0, offsets[b + 1] - offsets[b]};
            int64_t at = (int64_t)offsets[b] * 3 * C;
            Attention one = t;
            one.B = 1;
            one.q_offsets = alone;
            one.q_longest = alone[1];
            one.q = qkv + at;
            one.k = qkv + C + at;
            one.v = qkv + 2 * C + at;
            one.out = separate + at / 3;
            k->attention(&r, &one);
        }
        assert_memory_equal(separate, out, (size_t)(rows * C) * sizeof *out);
        heap_free(NULL, r.work, r.work_bytes + 1);
        free(qkv), free(relative), free(out), free(separate);
    }
}

/* ---- convolution ----------------------------------------------------------------------------- */

static void images_apart(const Kernels *k)
{
    static const int64_t shapes[][8] = {
        /* H W C O k stride groups winograd */
        {15, 17, 3, 40, 7, 2, 1}, {14, 14, 130, 70, 3, 1, 1}, {30, 18, 96, 64, 3, 1, 1}, {20, 13, 96, 64, 3, 1, 1, 6},
        {9, 8, 60, 33, 1, 1, 1},  {9, 8, 256, 33, 1, 2, 1},   {12, 11, 37, 37, 5, 2, 37}};
    enum { B = 3 };
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const int64_t *s = shapes[i], pad = s[4] / 2;
        Conv c = {.B = B,
                  .H = s[0],
                  .W = s[1],
                  .C = s[2],
                  .O = s[3],
                  .kh = s[4],
                  .kw = s[4],
                  .stride = s[5],
                  .groups = s[6],
                  .top = pad,
                  .left = pad,
                  .bottom = pad,
                  .right = pad,
                  .act = ACT_SWISH,
                  .winograd = (int)s[7]};
        int64_t in = s[0] * s[1] * s[2],
                outputs = conv_out(s[0], s[4], s[5], 2 * pad) * conv_out(s[1], s[4], s[5], 2 * pad) * s[3];
        float *x = numbers(B * in, 1), *w = numbers(s[3] * s[2] / s[6] * s[4] * s[4], 2), *y = numbers(B * outputs, 3),
              *separate = numbers(B * outputs, 4);
        void *packed = heap_alloc(NULL, k->conv_pack_bytes(&c));
        Run r = run_with(k->conv_work(&(Run){0}, &c));
        k->conv_pack(&r, &c, w, packed);
        c.x = x;
        c.packed = packed;
        c.y = y;
        k->conv(&r, &c);
        c.B = 1;
        for (int64_t b = 0; b < B; b++) {
            c.x = x + b * in;
            c.y = separate + b * outputs;
            k->conv(&r, &c);
        }
        assert_memory_equal(separate, y, (size_t)(B * outputs) * sizeof *y);
        heap_free(NULL, r.work, r.work_bytes + 1);
        c.B = B;
        heap_free(NULL, packed, k->conv_pack_bytes(&c));
        free(x), free(w), free(y), free(separate);
    }
}

static void rows_apart_test(void **state)
{
    (void)state;
    at_every_level(rows_separately);
}
static void narrow_ends_test(void **state)
{
    (void)state;
    at_every_level(narrow_ends);
}
static void types_take_a_form_test(void **state)
{
    (void)state;
    at_every_level(types_take_a_form);
}
static void sums_of_bytes_test(void **state)
{
    (void)state;
    at_every_level(sums_of_bytes);
}
static void texts_apart_test(void **state)
{
    (void)state;
    at_every_level(texts_apart);
}
static void images_apart_test(void **state)
{
    (void)state;
    at_every_level(images_apart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_apart_test),        cmocka_unit_test(narrow_ends_test),
        cmocka_unit_test(types_take_a_form_test), cmocka_unit_test(sums_of_bytes_test),
        cmocka_unit_test(texts_apart_test),       cmocka_unit_test(images_apart_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
