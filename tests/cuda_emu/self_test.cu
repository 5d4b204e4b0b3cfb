/* tests/cuda_emu/self_test.cu: the emulator's own test: kernels with one mistake each and the fault that the emulator
 * must report; kernels without a mistake and what they must compute. Writes TAP. */
#include "kernels/cuda/cuda.h"

#include <stdio.h>

static cudaStream_t stream;
static int number, bad;
static bool ready = true;

/* LAUNCH calls these functions of a context. This test has only a stream. */
cudaStream_t cuda_stream(const Run *)
{
    return stream;
}
bool cuda_ready(const Run *)
{
    return ready;
}
void cuda_launched(const Run *, const char *)
{
}

static void report(bool ok, const char *name, const char *got)
{
    printf("%sok %d %s\n", ok ? "" : "not ", ++number, name);
    if (!ok)
        printf("# got: %s\n", got);
    bad += !ok;
}

/* Is called after a launch. Checks that the fault contains `text`; NULL: that there is no fault. Forgets the fault. */
static void expect(const char *name, const char *text)
{
    cudaStreamSynchronize(stream);
    const char *fault = emu_first_fault();
    report(text ? strstr(fault, text) != NULL : emu_faults() == 0, name, fault[0] ? fault : "no fault");
    emu_forget_faults();
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static __global__ void read_past(const float *x, float *y)
{
    y[threadIdx.x] = x[threadIdx.x + 1];
}
static __global__ void write_before(float *y)
{
    y[(int)threadIdx.x - 1] = 1;
}
static __global__ void read_host(const float *x, float *y)
{
    y[threadIdx.x] = x[0];
}
static __global__ void read_shared_past(float *y)
{
    SHARED(float, tile, [32]);
    SHARED(float, other, [32]);
    tile[threadIdx.x] = other[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x + 1] + other[0];
}
static __global__ void read_unwritten(float *y)
{
    SHARED(float, tile, [32]);
    if (threadIdx.x > 0)
        tile[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];
}
static __global__ void no_barrier(float *y)
{
    SHARED(float, tile, [64]);
    tile[threadIdx.x] = 1;
    y[threadIdx.x] = tile[63 - threadIdx.x];
}
static __global__ void no_second_barrier(float *y)
{
    SHARED(float, tile, [64]);
    for (int i = 0; i < 2; i++) {
        tile[threadIdx.x] = (float)i;
        __syncthreads();
        y[threadIdx.x] = tile[63 - threadIdx.x];
    }
}
static __global__ void no_warp_sync(float *y)
{
    SHARED(float, tile, [32]);
    tile[threadIdx.x] = 1;
    (void)__shfl_xor_sync(FULL_MASK, 1.0f, 1); /* a shuffle does not order memory */
    y[threadIdx.x] = tile[31 - threadIdx.x];
}
static __global__ void warp_sync_between_warps(float *y)
{
    SHARED(float, tile, [64]);
    tile[threadIdx.x] = 1;
    __syncwarp();
    y[threadIdx.x] = tile[63 - threadIdx.x];
}
static __global__ void race_in_global(float *y)
{
    y[threadIdx.x / 2] = 1;
}
static __global__ void race_of_blocks(float *y)
{
    y[threadIdx.x] = 1;
}
static __global__ void divergent(float *y)
{
    if (threadIdx.x < 32)
        __syncthreads();
    y[threadIdx.x] = 1;
}
static __global__ void divergent_lines(float *y)
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
    y[threadIdx.x] = 1;
}
static __global__ void lanes_missing(float *y)
{
    if (threadIdx.x < 16)
        y[threadIdx.x] = __shfl_xor_sync(FULL_MASK, 1.0f, 1);
}
static __global__ void not_aligned(const float *x, float *y)
{
    const float4 v = load4(x + 1);
    y[0] = v.x;
}
static __global__ void no_wait(const float *x, float *y)
{
    SHARED(float, tile, [4]);
    cp_async16(tile, x, 16);
    cp_async_commit();
    y[0] = tile[0];
    cp_async_wait<0>();
}
static __global__ void never_waited(const float *x, float *y)
{
    SHARED(float, tile, [4]);
    cp_async16(tile, x, 16);
    cp_async_commit();
    y[0] = 0;
}

static __global__ void copies_too_early(const float *x, float *y)
{
    SHARED(float, tile, [64]);
    tile[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = tile[63 - threadIdx.x];
    cp_async4(&tile[threadIdx.x], x + threadIdx.x, 4); /* others may still have to read it */
    cp_async_commit();
    __syncthreads();
    cp_async_wait<0>();
}

/* kernels without a mistake */

static __global__ void neighbours(float *y)
{
    SHARED(float, tile, [64]);
    for (int i = 0; i < 3; i++) {
        tile[threadIdx.x] = (float)(threadIdx.x + 100 * (unsigned)i);
        __syncthreads();
        y[threadIdx.x] = tile[63 - threadIdx.x];
        __syncthreads();
    }
}
static __global__ void by_warps(float *y)
{
    SHARED(float, tile, [64]);
    tile[threadIdx.x] = (float)threadIdx.x;
    __syncwarp();
    y[threadIdx.x] = tile[threadIdx.x ^ 31];
}
static __global__ void count(unsigned *y)
{
    atomicAdd(y, 1u);
}
static __global__ void halves(uint16_t *y)
{
    y[threadIdx.x] = (uint16_t)threadIdx.x;
}
static __global__ void sums(const float *x, float *y)
{
    float all = block_sum<64>(x[threadIdx.x]);
    float most = block_max<64>(x[threadIdx.x]);
    y[threadIdx.x] = all + most;
}
static __global__ void product(const uint16_t *a, const uint16_t *b, float *c, int kind)
{
    SHARED(uint16_t, tile, [16][16]);
    SHARED(uint16_t, other, [16][16]); /* [k][n]; columns 8 to 15 are zeros */
    int l = lane_id(), g = l / 4, t = l % 4;
    for (int i = l; i < 256; i += WARP) {
        tile[i / 16][i % 16] = a[i];
        other[i / 16][i % 16] = i % 16 < 8 ? b[i / 16 * 8 + i % 16] : 0;
    }
    __syncwarp();
    uint32_t fa[4], fb[4];
    float sum[4] = {1, 1, 1, 1};
    ldmatrix_x4(fa, &tile[l % 16][l / 16 * 8]);
    ldmatrix_x4_trans(fb, &other[l % 16][l / 16 * 8]);
    if (kind == 0)
        mma_bf16(sum, fa, fb);
    else
        mma_f16(sum, fa, fb);
    c[g * 8 + 2 * t] = sum[0];
    c[g * 8 + 2 * t + 1] = sum[1];
    c[(g + 8) * 8 + 2 * t] = sum[2];
    c[(g + 8) * 8 + 2 * t + 1] = sum[3];
}
static __global__ void product_tf32(const float *a, const float *b, float *c)
{
    int l = lane_id(), g = l / 4, t = l % 4;
    const uint32_t fa[4] = {f32_to_tf32(a[g * 8 + t]), f32_to_tf32(a[(g + 8) * 8 + t]), f32_to_tf32(a[g * 8 + t + 4]),
                            f32_to_tf32(a[(g + 8) * 8 + t + 4])};
    const uint32_t fb[2] = {f32_to_tf32(b[t * 8 + g]), f32_to_tf32(b[(t + 4) * 8 + g])};
    float sum[4] = {};
    mma_tf32(sum, fa, fb);
    c[g * 8 + 2 * t] = sum[0];
    c[g * 8 + 2 * t + 1] = sum[1];
    c[(g + 8) * 8 + 2 * t] = sum[2];
    c[(g + 8) * 8 + 2 * t + 1] = sum[3];
}
static __global__ void product_s8(const int8_t *a, const int8_t *b, int32_t *c)
{
    int l = lane_id(), g = l / 4, t = l % 4;
    uint32_t fa[4] = {}, fb[2] = {};
    for (int i = 0; i < 4; i++) {
        for (int r = 0; r < 4; r++)
            fa[r] |= (uint32_t)(uint8_t)a[(g + 8 * (r % 2)) * 32 + 4 * t + i + 16 * (r / 2)] << 8 * i;
        for (int r = 0; r < 2; r++)
            fb[r] |= (uint32_t)(uint8_t)b[(4 * t + i + 16 * r) * 8 + g] << 8 * i;
    }
    int32_t sum[4] = {};
    mma_s8(sum, fa, fb);
    c[g * 8 + 2 * t] = sum[0];
    c[g * 8 + 2 * t + 1] = sum[1];
    c[(g + 8) * 8 + 2 * t] = sum[2];
    c[(g + 8) * 8 + 2 * t + 1] = sum[3];
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void test_mistakes(float *x, float *y, const float *host)
{
    const Run *run = NULL;
    LAUNCH(run, read_past, 1, 64, 0, x, y);
    expect("a read past the end", "out of bounds: a read of 4 bytes");
    LAUNCH(run, read_past, 1, 64, 0, x, y);
    expect("the fault has file and line", "self_test.cu:");
    LAUNCH(run, write_before, 1, 64, 0, y);
    expect("a write before the beginning", "out of bounds: a write of 4 bytes");
    LAUNCH(run, read_host, 1, 32, 0, host, y);
    expect("a read of the host's memory", "which is not of the device");
    LAUNCH(run, read_shared_past, 1, 32, 0, y);
    expect("a read past an array in shared memory", "shared array tile of 128 bytes");
    LAUNCH(run, read_unwritten, 1, 32, 0, y);
    expect("a read of shared memory that was never written", "uninitialised: a read");
    LAUNCH(run, no_barrier, 1, 64, 0, y);
    expect("no barrier between write and read", "r"); /* uninitialised, or a race: depends on the order of threads */
    LAUNCH(run, no_second_barrier, 1, 64, 0, y);
    expect("no barrier between read and write", "race with thread");
    LAUNCH(run, no_warp_sync, 1, 32, 0, y);
    expect("a shuffle does not order memory", "race with thread");
    LAUNCH(run, warp_sync_between_warps, 1, 64, 0, y);
    expect("__syncwarp does not order two warps", "r");
    LAUNCH(run, race_in_global, 1, 64, 0, y);
    expect("two threads write one number", "race with thread");
    LAUNCH(run, race_of_blocks, 2, 64, 0, y);
    expect("two blocks write one number", "race with thread");
    LAUNCH(run, divergent, 1, 64, 0, y);
    expect("a barrier that some threads do not reach", "divergent barrier");
    LAUNCH(run, divergent_lines, 1, 64, 0, y);
    expect("threads at two barriers", "divergent barrier");
    LAUNCH(run, lanes_missing, 1, 32, 0, y);
    expect("a shuffle that some lanes do not reach", "do not reach the operation");
    LAUNCH(run, not_aligned, 1, 1, 0, x, y);
    expect("load4 of an address that is not aligned", "not aligned");
    LAUNCH(run, no_wait, 1, 1, 0, x, y);
    expect("cp.async that was not waited for", "uninitialised");
    LAUNCH(run, never_waited, 1, 1, 0, x, y);
    expect("cp.async that is never waited for", "cp_async");
    LAUNCH(run, copies_too_early, 1, 64, 0, x, y);
    /* a race, or uninitialised: depends on the order of threads */
    expect("cp.async to memory that others still read", "r");
    LAUNCH(run, neighbours, 1, 2048, 0, y);
    expect("a block of 2048 threads", "no card accepts");
    LAUNCH(run, neighbours, 1, 64, 100 << 10, y);
    expect("more shared memory than a kernel may have", "no card accepts");
    float *gone = NULL;
    cudaMalloc(&gone, 256);
    cudaFree(gone);
    LAUNCH(run, count, 1, 1, 0, (unsigned *)gone);
    expect("memory that was freed", "out of bounds");
}

static void test_right(float *x, float *y)
{
    const Run *run = NULL;
    float got[128], in[64];
    bool ok = true;
    LAUNCH(run, neighbours, 1, 64, 0, y);
    expect("barriers order a block", NULL);
    LAUNCH(run, by_warps, 1, 64, 0, y);
    expect("__syncwarp orders a warp", NULL);
    LAUNCH(run, halves, 1, 64, 0, (uint16_t *)y);
    expect("threads write two halves of a word", NULL);
    cudaMemsetAsync(y, 0, 4, stream);
    LAUNCH(run, count, 7, 64, 0, (unsigned *)y);
    cudaMemcpyAsync(got, y, 4, cudaMemcpyDeviceToHost, stream);
    unsigned counted;
    memcpy(&counted, got, sizeof counted);
    report(counted == 7 * 64 && emu_faults() == 0, "atomics of all blocks", emu_first_fault());
    for (int i = 0; i < 64; i++)
        in[i] = (float)i;
    cudaMemcpyAsync(x, in, sizeof in, cudaMemcpyHostToDevice, stream);
    LAUNCH(run, sums, 1, 64, 0, x, y);
    cudaMemcpyAsync(got, y, sizeof in, cudaMemcpyDeviceToHost, stream);
    for (int i = 0; i < 64; i++)
        ok = ok && got[i] == 2016 + 63;
    report(ok && emu_faults() == 0, "the sum and the maximum of a block", emu_first_fault());
}

static void test_mma(float *x, float *y)
{
    const Run *run = NULL;
    static float fa[256], fb[128], c[128];
    uint16_t a[256], b[128];
    int8_t sa[512], sb[256];
    for (int kind = 0; kind < 4; kind++) {
        int K = kind == 2 ? 8 : kind == 3 ? 32 : 16;
        for (int i = 0; i < 16 * K; i++) {
            float v = (float)(i * 37 % 19 - 9);
            if (kind < 3)
                fa[i % 256] = v;
            if (kind < 2)
                a[i] = kind ? f32_to_f16(v) : f32_to_bf16(v);
            sa[i] = (int8_t)v;
        }
        for (int i = 0; i < K * 8; i++) {
            float v = (float)(i * 23 % 17 - 8);
            if (kind < 3)
                fb[i % 128] = v;
            if (kind < 2)
                b[i] = kind ? f32_to_f16(v) : f32_to_bf16(v);
            sb[i] = (int8_t)v;
        }
        const void *from_a = kind < 2 ? (void *)a : kind == 2 ? (void *)fa : (void *)sa;
        const void *from_b = kind < 2 ? (void *)b : kind == 2 ? (void *)fb : (void *)sb;
        size_t bytes_a = (size_t)(16 * K * (kind < 2 ? 2 : kind == 2 ? 4 : 1)), bytes_b = bytes_a / 2;
        cudaMemcpyAsync(x, from_a, bytes_a, cudaMemcpyHostToDevice, stream);
        cudaMemcpyAsync(x + 256, from_b, bytes_b, cudaMemcpyHostToDevice, stream);
        if (kind < 2)
            LAUNCH(run, product, 1, 32, 0, (const uint16_t *)x, (const uint16_t *)(x + 256), y, kind);
        else if (kind == 2)
            LAUNCH(run, product_tf32, 1, 32, 0, x, x + 256, y);
        else
            LAUNCH(run, product_s8, 1, 32, 0, (const int8_t *)x, (const int8_t *)(x + 256), (int32_t *)y);
        cudaMemcpyAsync(c, y, sizeof c, cudaMemcpyDeviceToHost, stream);
        bool ok = emu_faults() == 0;
        for (int i = 0; ok && i < 16; i++) {
            for (int j = 0; j < 8; j++) {
                double sum = kind < 2 ? 1 : 0;
                for (int k = 0; k < K; k++)
                    sum += kind == 3 ? (double)sa[i * K + k] * sb[k * 8 + j] : (double)fa[i * K + k] * fb[k * 8 + j];
                int32_t whole;
                memcpy(&whole, &c[i * 8 + j], sizeof whole);
                ok = ok && sum == (kind == 3 ? (double)whole : (double)c[i * 8 + j]);
            }
        }
        static const char *const names[] = {"mma of bf16 by ldmatrix", "mma of f16", "mma of tf32", "mma of int8"};
        report(ok, names[kind], emu_faults() ? emu_first_fault() : "another product");
    }
}

/* Checks that tensor cores truncate: 1 + 1.5 2^-24 is 1 on a card. Rounded to the nearest it would be 1 + 2^-23. */
static void test_mma_truncates(float *x, float *y)
{
    const Run *run = NULL;
    uint16_t a[256] = {f32_to_f16(1.5f * 0x1p-12f)}, b[128] = {f32_to_f16(0x1p-12f)};
    float c[128] = {};
    cudaMemcpyAsync(x, a, sizeof a, cudaMemcpyHostToDevice, stream);
    cudaMemcpyAsync(x + 256, b, sizeof b, cudaMemcpyHostToDevice, stream);
    LAUNCH(run, product, 1, 32, 0, (const uint16_t *)x, (const uint16_t *)(x + 256), y, 1);
    cudaMemcpyAsync(c, y, sizeof c, cudaMemcpyDeviceToHost, stream);
    report(c[0] == 1.0f, "mma truncates to the bits of a float", emu_first_fault());
}

static void test_streams(float *x, float *y)
{
    const Run *run = NULL;
    float *pinned = NULL;
    cudaHostAlloc(&pinned, 256, 0);
    pinned[0] = 1;
    cudaStream_t other;
    cudaEvent_t event;
    cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaMemcpyAsync(x, pinned, 4, cudaMemcpyHostToDevice, other);
    pinned[0] = 2; /* too early: the copy has not begun */
    cudaEventRecord(event, other);
    cudaStreamWaitEvent(stream, event, 0);
    float got = 0;
    cudaMemcpyAsync(&got, x, 4, cudaMemcpyDeviceToHost, stream);
    report(got == 2, "a copy from pinned memory reads it later", "the first number");
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaMemsetAsync(y, 0, 4, stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
    LAUNCH(run, count, 1, 32, 0, (unsigned *)y);
    cudaStreamEndCapture(stream, &graph);
    cudaGraphInstantiate(&exec, graph, 0);
    for (int i = 0; i < 3; i++)
        cudaGraphLaunch(exec, stream);
    unsigned counted = 0;
    cudaMemcpyAsync(&counted, y, 4, cudaMemcpyDeviceToHost, stream);
    report(counted == 96, "a graph is launched three times", emu_first_fault());
    cudaGraphExecUpdateResultInfo info;
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
    cudaMemsetAsync(y, 0, 4, stream);
    cudaStreamEndCapture(stream, &graph);
    cudaError_t code = cudaGraphExecUpdate(exec, graph, &info);
    report(code != cudaSuccess && cudaGetLastError() == code, "a graph of another shape is refused, and the error kept",
           cudaGetErrorString(code));
    cudaGraphDestroy(graph);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
    report(cudaStreamSynchronize(stream) != cudaSuccess, "a wait inside a capture is refused", "success");
    report(cudaStreamEndCapture(stream, &graph) != cudaSuccess, "and the capture fails", "success");
    cudaGraphExecDestroy(exec);
    cudaEventDestroy(event);
    cudaStreamDestroy(other);
    cudaFreeHost(pinned);
}

int main(void)
{
    float *x = NULL, *y = NULL, host[32] = {};
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaMalloc(&x, 64 * sizeof(float));
    cudaMalloc(&y, 64 * sizeof(float));
    cudaMemsetAsync(x, 0, 64 * sizeof(float), stream);
    test_mistakes(x, y, host);
    test_right(x, y);
    cudaFree(x);
    cudaFree(y);
    cudaMalloc(&x, 512 * sizeof(float));
    cudaMalloc(&y, 128 * sizeof(float));
    cudaMemsetAsync(x, 0, 512 * sizeof(float), stream);
    test_mma(x, y);
    test_mma_truncates(x, y);
    test_streams(x, y);
    cudaStreamDestroy(stream);
    printf("1..%d\n", number);
    return bad > 0;
}
