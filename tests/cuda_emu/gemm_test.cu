/* tests/cuda_emu/gemm_test.cu: tests of the CUDA matrix product on the emulator that the case table cannot make: all
 * tiles give the same bits (the table chooses the tile by the shape), 16-bit operands, tf32. Writes TAP. */
#include "kernels/cuda/gemm/gemm.h"

#include <stdio.h>
#include <stdlib.h>

static cudaStream_t stream;
static int number = 1, bad; /* test 1 is printed by the script */

/* LAUNCH calls these functions of a context. This test has only a stream. */
cudaStream_t cuda_stream(const Run *)
{
    return stream;
}
bool cuda_ready(const Run *)
{
    return true;
}
void cuda_launched(const Run *, const char *)
{
}

static void report(bool ok, const char *name, const char *got)
{
    const char *fault = emu_first_fault();
    printf("%sok %d %s\n", ok && !fault[0] ? "" : "not ", ++number, name);
    if (!ok || fault[0])
        printf("# got: %s\n", fault[0] ? fault : got);
    bad += !ok || fault[0];
    emu_forget_faults();
}

/* ---- operands -------------------------------------------------------------------------------- */

static uint64_t state = 1;
static float draw(void) /* in [-1, 1) */
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(state >> 32) * 0x1p-31f;
}

/* A matrix in device memory, and its exact numbers. It begins `skip` numbers after an aligned address. */
typedef struct Matrix {
    int64_t rows, cols, row, col;
    DType type;
    float *numbers; /* [rows, cols] */
    char *memory;
    void *p;
} Matrix;
static size_t matrix_bytes(const Matrix *m)
{
    return (size_t)((m->rows - 1) * m->row + (m->cols - 1) * m->col + 1) * dtype_bytes(m->type);
}
static float number_at(const Matrix *m, const char *host, int64_t r, int64_t c)
{
    return load_typed(m->type, host, r * m->row + c * m->col);
}
static Matrix matrix(DType type, int64_t rows, int64_t cols, int64_t row, int64_t col, int64_t skip)
{
    Matrix m = {rows, cols, row, col, type, (float *)malloc((size_t)(rows * cols) * sizeof(float)), NULL, NULL};
    size_t bytes = matrix_bytes(&m), before = (size_t)skip * dtype_bytes(type);
    char *host = (char *)calloc(1, bytes);
    for (int64_t i = 0; i < rows * cols; i++) {
        store_typed(type, host, i / cols * row + i % cols * col, draw());
        m.numbers[i] = number_at(&m, host, i / cols, i % cols);
    }
    cudaMalloc((void **)&m.memory, bytes + before);
    m.p = m.memory + before;
    cudaMemcpyAsync(m.p, host, bytes, cudaMemcpyHostToDevice, stream);
    cudaStreamSynchronize(stream);
    free(host);
    return m;
}
static void matrix_free(Matrix *m)
{
    cudaFree(m->memory);
    free(m->numbers);
}
/* Returns the matrix as it is now in device memory, [rows, cols]. The caller frees it. */
static float *fetch(const Matrix *m)
{
    size_t bytes = matrix_bytes(m);
    char *host = (char *)malloc(bytes);
    float *numbers = (float *)malloc((size_t)(m->rows * m->cols) * sizeof(float));
    cudaMemcpyAsync(host, m->p, bytes, cudaMemcpyDeviceToHost, stream);
    cudaStreamSynchronize(stream);
    for (int64_t i = 0; i < m->rows * m->cols; i++)
        numbers[i] = number_at(m, host, i / m->cols, i % m->cols);
    free(host);
    return numbers;
}

static Side side(const Matrix *m, bool across, bool wide) /* across: K is the number of rows, as in B */
{
    Side s = {m->p,
              across ? m->col : m->row,
              across ? m->row : m->col,
              across ? m->cols : m->rows,
              across ? m->rows : m->cols,
              wide};
    return s;
}

/* float32: the bits of one chain per part of K */

static float chain(const Matrix *a, const Matrix *b, int64_t m, int64_t n)
{
    int64_t K = a->cols, parts = MAX(div_up(K, K_STEP), (int64_t)1);
    float sum = 0;
    for (int64_t p = 0; p < parts; p++) {
        float x = 0;
        for (int64_t k = part_begin(K, parts, p); k < part_begin(K, parts, p + 1); k++)
            x = fmaf(a->numbers[m * K + k], b->numbers[k * b->cols + n], x);
        sum = p == 0 ? x : sum + x;
    }
    return sum;
}

/* Checks the bits of one tile. `odd`: nothing is aligned to 16 bytes. `columns`: A and B are in column-major order. */
static void test_tile(Tile tile, int64_t M, int64_t N, int64_t K, bool columns, bool odd)
{
    int64_t more = odd ? 1 : 4 - M % 4, wide = odd ? 1 : 4 - N % 4;
    Matrix a = columns ? matrix(F32, M, K, 1, M + more, odd) : matrix(F32, M, K, round_up(K, 4) + odd, 1, odd);
    Matrix b = columns ? matrix(F32, K, N, 1, round_up(K, 4) + odd, odd) : matrix(F32, K, N, N + wide, 1, odd);
    Matrix c = matrix(F32, M, N, N + wide, 1, odd);
    float *partial = NULL;
    size_t bytes = f32_partial_bytes(M, N, K, tile);
    cudaMalloc((void **)&partial, MAX(bytes, (size_t)1));
    Gemm g = {};
    g.M = M, g.N = N, g.C = c.p, g.ldc = c.row, g.alpha = 0.5f, g.beta = 0.25f, g.residual = c.p, g.ldr = c.row;
    const Side left = side(&a, false, columns && !odd), right = side(&b, true, !columns && !odd);
    f32_product(NULL, left, right, finish_of(&g), tile, partial);
    float *got = fetch(&c);
    int64_t wrong = 0;
    for (int64_t i = 0; i < M * N; i++)
        wrong += got[i] != fmaf(0.25f, c.numbers[i], chain(&a, &b, i / N, i % N) * 0.5f) + c.numbers[i];
    char name[100], text[100];
    snprintf(name, sizeof name, "f32 tile %d, %d x %d x %d%s%s", tile, (int)M, (int)N, (int)K,
             columns ? ", by columns" : "", odd ? ", odd addresses" : "");
    snprintf(text, sizeof text, "%d of %d numbers differ", (int)wrong, (int)(M * N));
    report(wrong == 0, name, text);
    free(got);
    cudaFree(partial);
    matrix_free(&a), matrix_free(&b), matrix_free(&c);
}

/* ---- tensor cores ---------------------------------------------------------------------------- */

static DType type_of(Unit unit)
{
    return unit == UNIT_F16 ? F16 : unit == UNIT_BF16 ? BF16 : F32;
}
static double tf32(double x) /* Rounds to the nearest number with 10 bits of fraction, ties away from zero. */
{
    int exponent;
    frexp(x, &exponent);
    double step = ldexp(1, exponent - 11);
    return round(x / step) * step;
}
static bool near(double got, double expected, double tolerance)
{
    return fabs(got - expected) <= tolerance * (1 + fabs(expected));
}

/* Checks that all tiles of a unit are right and give the same bits. */
static void test_unit(Unit unit)
{
    enum { M = 133, N = 70, K = 56 };
    static const Tile TILES[] = {TILE_128, TILE_64, TILE_16_ROWS};
    Matrix a = matrix(type_of(unit), M, K, K, 1, 0), b = matrix(type_of(unit), K, N, 1, K, 0);
    float *first = NULL;
    for (size_t t = 0; t < COUNT(TILES); t++) {
        Matrix c = matrix(F32, M, N, N, 1, 0);
        Gemm g = {};
        g.M = M, g.N = N, g.C = c.p, g.ldc = N, g.alpha = 1;
        tensor_product(NULL, unit, side(&a, false, true), side(&b, true, true), finish_of(&g), TILES[t]);
        float *got = fetch(&c);
        int64_t wrong = 0, differ = 0;
        for (int64_t i = 0; i < M * N; i++) {
            double sum = 0;
            for (int64_t k = 0; k < K; k++) {
                double x = (double)a.numbers[i / N * K + k], y = (double)b.numbers[k * N + i % N];
                sum += unit == UNIT_TF32 ? tf32(x) * tf32(y) : x * y;
            }
            wrong += !near((double)got[i], sum, 2e-6);
            differ += first && got[i] != first[i];
        }
        char name[100], text[100];
        snprintf(name, sizeof name, "tensor cores, unit %d, tile %d", unit, TILES[t]);
        snprintf(text, sizeof text, "%d wrong, %d differ of %d", (int)wrong, (int)differ, M * N);
        report(wrong + differ == 0, name, text);
        first ? free(got) : (void)(first = got);
        matrix_free(&c);
    }
    free(first);
    matrix_free(&a), matrix_free(&b);
}

/* ---- the entries ----------------------------------------------------------------------------- */

typedef struct Entry {
    DType a, b, c, residual;
    Pack pack; /* PACK_COUNT: B is not packed */
    bool tf32, odd;
    double tolerance;
} Entry;

/* Changes the numbers of A to those that the product uses. */
static void narrow_rows(const Entry *e, Matrix *a)
{
    int64_t K = a->cols;
    for (int64_t m = 0; m < a->rows; m++) {
        float *row = a->numbers + m * K, low = 0, high = 0;
        for (int64_t k = 0; k < K; k++) {
            low = fminf(low, row[k]);
            high = fmaxf(high, row[k]);
        }
        float by = 255 / (high - low), zero = rintf(-low * by);
        for (int64_t k = 0; k < K; k++) {
            Brain near;
            from_f32(row[k], &near);
            row[k] = e->tf32                ? (float)tf32((double)row[k])
                     : e->pack == PACK_BF16 ? to_f32(near)
                     : e->pack == PACK_INT8 ? (high - low) / 255 * (rintf(row[k] * by + zero) - zero)
                                            : row[k];
        }
    }
}

static void test_entry(const Entry *e)
{
    enum { M = 21, N = 35, K = 43 };
    bool packed = e->pack != PACK_COUNT;
    Matrix a = matrix(e->a, M, K, 48 + e->odd, 1, e->odd),
           b = matrix(packed ? F32 : e->b, K, N, 40 + e->odd, 1, e->odd),
           c = matrix(e->c, M, N, 40 + e->odd, 1, e->odd), residual = matrix(e->residual, M, N, 40 + e->odd, 1, e->odd);
    Gemm g = {};
    g.M = M, g.N = N, g.K = K, g.alpha = 1, g.beta = 0.5f;
    g.A = a.p, g.A_type = e->a, g.a_row = a.row, g.a_col = 1;
    g.B = b.p, g.B_type = e->b, g.b_row = b.row, g.b_col = 1;
    g.C = c.p, g.C_type = e->c, g.ldc = c.row;
    g.residual = residual.p, g.residual_type = e->residual, g.ldr = residual.row;
    void *pack = NULL, *work = NULL;
    Run run = {};
    if (packed) {
        cudaMalloc(&pack, cuda_gemm_pack_bytes(e->pack, K, N));
        cuda_gemm_pack(&run, e->pack, K, N, (const float *)b.p, b.row, 1, pack);
        g.packed = pack, g.pack = e->pack;
    }
    run.work_bytes = cuda_gemm_work(&run, &g);
    cudaMalloc(&work, MAX(run.work_bytes, (size_t)1));
    run.work = work;
    (e->tf32 ? cuda_gemm_tf32 : cuda_gemm)(&run, &g);
    narrow_rows(e, &a);
    if (packed) { /* B with the numbers that packing has made */
        Matrix left = matrix(F32, K, N, N, 1, 0);
        cuda_gemm_unpack(&run, e->pack, K, N, pack, 0, N, (float *)left.p, N);
        free(b.numbers);
        b.numbers = fetch(&left);
        matrix_free(&left);
    }
    for (int64_t i = 0; e->tf32 && i < K * N; i++)
        b.numbers[i] = (float)tf32((double)b.numbers[i]);
    float *got = fetch(&c);
    double most = 0;
    for (int64_t i = 0; i < M * N; i++) {
        double sum = 0;
        for (int64_t k = 0; k < K; k++)
            sum += (double)a.numbers[i / N * K + k] * (double)b.numbers[k * N + i % N];
        sum += 0.5 * (double)c.numbers[i] + (double)residual.numbers[i];
        most = fmax(most, fabs((double)got[i] - sum) / (1 + fabs(sum)));
    }
    char name[100], text[100];
    snprintf(name, sizeof name, "A %s, B %s, C %s, residual %s%s%s", dtype_name(e->a),
             packed ? pack_name(e->pack) : dtype_name(e->b), dtype_name(e->c), dtype_name(e->residual),
             e->tf32 ? ", tf32" : "", e->odd ? ", odd addresses" : "");
    snprintf(text, sizeof text, "an error of %g, at most %g", most, e->tolerance);
    report(most <= e->tolerance, name, text);
    free(got);
    cudaFree(pack), cudaFree(work);
    matrix_free(&a), matrix_free(&b), matrix_free(&c), matrix_free(&residual);
}

/* Half a unit in the last place of C's type, plus the error of the sum (43 terms below 1), which is not rounded in the
 * same order. */
#define EXACT      2e-6
#define BF16_ERROR (0x1p-8 + EXACT)
#define F16_ERROR  (0x1p-11 + EXACT)
static const Entry ENTRIES[] = {
    {F16, F16, F32, F32, PACK_COUNT, false, false, EXACT},
    {BF16, BF16, BF16, BF16, PACK_COUNT, false, false, BF16_ERROR},
    {BF16, BF16, F32, BF16, PACK_COUNT, false, true, EXACT},
    {F16, F32, F16, F32, PACK_COUNT, false, false, F16_ERROR},
    {F32, BF16, F32, F16, PACK_COUNT, false, true, EXACT},
    {F16, BF16, F32, F32, PACK_COUNT, true, false, EXACT},
    {F32, F32, F32, F32, PACK_COUNT, true, false, EXACT},
    {F32, F32, F32, F32, PACK_F32, true, true, EXACT},
    {BF16, F32, F32, F32, PACK_F32, false, false, EXACT},
    {F16, F32, F32, F32, PACK_F16, false, false, EXACT},
    {BF16, F32, F16, F32, PACK_F16, false, true, F16_ERROR},
    {BF16, F32, BF16, BF16, PACK_BF16, false, false, BF16_ERROR},
    {F16, F32, F32, F32, PACK_BF16, false, true, EXACT},
    {BF16, F32, F32, BF16, PACK_INT8, false, false, EXACT},
    {F16, F32, F16, F32, PACK_INT8, false, true, F16_ERROR},
};

int main(void)
{
    static const Tile TILES[] = {TILE_128, TILE_64, TILE_32, TILE_8_ROWS, TILE_8_COLUMNS};
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    for (size_t t = 0; t < COUNT(TILES); t++) {
        for (int way = 0; way < 4; way++)
            test_tile(TILES[t], 133, 70, 21, way & 1, way & 2);
        test_tile(TILES[t], 67, 18, 389, false, false);
    }
    test_tile(TILE_64, 700, 12, 9, false, false); /* more than 8 rows of tiles: gemm.h, DOWN */
    static const Unit UNITS[] = {UNIT_TF32, UNIT_F16, UNIT_BF16};
    for (size_t u = 0; u < COUNT(UNITS); u++)
        test_unit(UNITS[u]);
    for (size_t i = 0; i < COUNT(ENTRIES); i++)
        test_entry(&ENTRIES[i]);
    cudaStreamDestroy(stream);
    printf("1..%d\n", number);
    return bad > 0;
}
