/* bench/ladder/cuda_gemm/main.cu: compares every step with the product in double precision and times it. On a card:
 * `make cuda-ladder`. On the emulator only `--check` is available, which is a test. */
#include "bench/ladder/cuda_gemm/case.h"
#include "kernels/cuda/gemm/gemm.h"

#include <stdio.h>
#include <stdlib.h>

static cudaStream_t stream;
static cudaError_t failed;

/* LAUNCH calls these functions of a context. Here the context is only a stream. */
cudaStream_t cuda_stream(const Run *)
{
    return stream;
}
bool cuda_ready(const Run *)
{
    return failed == cudaSuccess;
}
void cuda_launched(const Run *, const char *kernel)
{
    cudaError_t code = cudaGetLastError();
    if (code != cudaSuccess && failed == cudaSuccess)
        fprintf(stderr, "%s: %s\n", kernel, cudaGetErrorString(failed = code));
}

static Gemm product_of(const Case *c)
{
    Gemm g = {};
    g.M = c->M, g.N = c->N, g.K = c->K, g.alpha = 1;
    g.A = c->A, g.a_row = c->K, g.a_col = 1;
    g.packed = c->packed, g.C = c->C, g.ldc = c->N;
    return g;
}
void step_sapor(const Case *c)
{
    Gemm g = product_of(c);
    cuda_gemm(&c->run, &g);
}
void step_sapor_tf32(const Case *c)
{
    Gemm g = product_of(c);
    cuda_gemm_tf32(&c->run, &g);
}

typedef struct Step {
    const char *file, *what;
    void (*run)(const Case *);
    double limit;
} Step;
#define LIST_STEP(name, file, what, limit) {file, what, step_##name, limit},
static const Step STEPS[] = {CUDA_GEMM_STEPS(LIST_STEP)};

static float *numbers(size_t n, uint64_t seed) /* in [-1, 1) */
{
    float *x = (float *)malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int32_t)(seed >> 32) * 0x1p-31f;
    }
    return x;
}
static void *on_device(size_t bytes, const void *host)
{
    void *p = NULL;
    if (cudaMalloc(&p, bytes) != cudaSuccess)
        return NULL;
    if (host)
        cudaMemcpyAsync(p, host, bytes, cudaMemcpyHostToDevice, stream);
    cudaStreamSynchronize(stream);
    return p;
}

/* Returns the largest difference from double precision, divided by the largest number, over 10,000 to 32,768 elements
 * (all, if there are fewer). */
static double error_of(const Case *c, const float *A, const float *B)
{
    const size_t bytes = (size_t)(c->M * c->N) * sizeof(float);
    float *C = (float *)malloc(bytes);
    cudaMemcpyAsync(C, c->C, bytes, cudaMemcpyDeviceToHost, stream);
    cudaStreamSynchronize(stream);
    const int64_t every = MAX(c->M * c->N / 16384 / 2 * 2 + 1, (int64_t)1); /* odd, so that all columns are sampled */
    double most = 0, largest = 0;
    for (int64_t i = 0; i < c->M * c->N; i += every) {
        double x = 0;
        for (int64_t k = 0; k < c->K; k++)
            x += (double)A[i / c->N * c->K + k] * (double)B[k * c->N + i % c->N];
        const double error = fabs((double)C[i] - x);
        most = error <= most ? most : error; /* keeps a NaN */
        largest = fmax(largest, fabs(x));
    }
    free(C);
    return most / largest;
}

#ifdef SAPOR_CUDA_EMU
static double seconds_of(const Step *, const Case *)
{
    return 0;
}
static bool computed(void)
{
    if (emu_faults() > 0)
        printf("%s\n", emu_first_fault());
    return emu_faults() == 0;
}
#else
static bool computed(void)
{
    return failed == cudaSuccess;
}
static double seconds_of(const Step *s, const Case *c) /* the fastest of 20 calls */
{
    cudaEvent_t begin, end;
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    float best = INFINITY;
    for (int i = 0; i < 20; i++) {
        float ms = INFINITY;
        cudaEventRecord(begin, stream);
        s->run(c);
        cudaEventRecord(end, stream);
        cudaEventSynchronize(end);
        cudaEventElapsedTime(&ms, begin, end);
        best = fminf(best, ms);
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return (double)best / 1e3;
}
#endif

static bool shape(int64_t M, int64_t N, int64_t K, bool check)
{
    Case c = {};
    float *A = numbers((size_t)(M * K), 1), *B = numbers((size_t)(K * N), 2);
    c.M = M, c.N = N, c.K = K;
    c.A = (float *)on_device((size_t)(M * K) * sizeof(float), A);
    c.B = (float *)on_device((size_t)(K * N) * sizeof(float), B);
    c.C = (float *)on_device((size_t)(M * N) * sizeof(float), NULL);
    c.packed = on_device(cuda_gemm_pack_bytes(PACK_F32, K, N), NULL);
    Gemm g = product_of(&c);
    c.run.work_bytes = cuda_gemm_work(&c.run, &g);
    c.run.work = on_device(c.run.work_bytes + 1, NULL);
    cuda_gemm_pack(&c.run, PACK_F32, K, N, c.B, N, 1, c.packed);
    bool right = true;
    if (!check)
        printf("\n%lld x %lld x %lld\n\n| file | step | ms | TFLOP/s | error |\n|---|---|---:|---:|---:|\n",
               (long long)M, (long long)N, (long long)K);
    for (size_t i = 0; i < COUNT(STEPS); i++) {
        cudaMemsetAsync(c.C, 0xff, (size_t)(M * N) * sizeof(float), stream);
        STEPS[i].run(&c);
        const double error = error_of(&c, A, B);
        const bool ok = error <= STEPS[i].limit && computed();
        right &= ok;
        if (check) {
            printf("%s %s: error %.1e\n", ok ? "ok" : "not ok", STEPS[i].file, error);
            continue;
        }
        const double seconds = seconds_of(&STEPS[i], &c);
        printf("| %s | %s | %.3f | %.2f | %.1e%s |\n", STEPS[i].file, STEPS[i].what, seconds * 1e3,
               2.0 * (double)(M * N) * (double)K / seconds / 1e12, error, ok ? "" : " WRONG");
    }
    cudaFree((void *)c.A), cudaFree((void *)c.B), cudaFree(c.C), cudaFree(c.packed), cudaFree(c.run.work);
    free(A), free(B);
    return right;
}

int main(int argc, char **argv)
{
    const bool check = argc > 1 && strcmp(argv[1], "--check") == 0;
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        printf("skipped: no GPU was found\n");
        return 0;
    }
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    bool right = shape(128, 256, 64, true);
    for (int64_t size = 1024; size <= 4096 && !check; size *= 2)
        right &= shape(size, size, size, false);
    cudaStreamDestroy(stream);
    return !right;
}
