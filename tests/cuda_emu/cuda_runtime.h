/* tests/cuda_emu/cuda_runtime.h: the emulator's interface to the sources of kernels/cuda: the part of CUDA's run-time
 * library and of its built-in variables and functions that these sources use. It replaces the header of the same name
 * of the toolkit, so that g++ alone compiles the .cu files.
 *
 * How it works. A launch runs the blocks of the grid one after the other. The threads of a block are fibers of one
 * thread of the host (fibers.cc): each fiber runs until it waits for others, at a barrier or in an operation of its
 * warp. The .cu files are compiled with -fsanitize=thread, so that the compiler inserts calls of __tsan_read4(address)
 * and similar functions before every access to memory. The emulator defines these functions (memory.cc); the
 * sanitizer's library is not used. For each byte they record whether it may be used, whether it was written, and which
 * thread used it last.
 *
 * What ends a launch with a fault (emu_first_fault gives the reason, with file and line):
 * - an access outside device memory, outside an array in shared memory, or to a part of device memory that memory.cu
 *   has not handed out at this time (ptx.h: MEMORY_SHOW, MEMORY_HIDE);
 * - an access whose address is not a multiple of its size;
 * - a read of memory that was never written;
 * - a race: two threads of a launch use the same byte, one of them writes, and no barrier (of their block) and no
 *   __syncwarp (of their warp) is between the two uses;
 * - threads of a block that wait at different barriers, or at a barrier while other threads have ended;
 * - an operation of a warp that some lanes of its mask do not reach, or a shuffle from a lane outside its mask;
 * - a cp.async that is never waited for;
 * - a configuration that no card accepts.
 *
 * Streams are queues. Work in a stream is done only when something waits for it, so that a missing wait is found.
 * emu_order chooses other orders of blocks and threads.
 *
 * What is left out: wgmma, the tensor memory accelerator, thread block clusters, textures, printf, and launches by
 * kernels. Time and occupancy are not modelled. */
#ifndef SAPOR_EMU_CUDA_RUNTIME_H
#define SAPOR_EMU_CUDA_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- qualifiers ------------------------------------------------------------------------------ */

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __constant__ const
#define __align__(n) __attribute__((aligned(n)))

/* ---- vectors and built-in variables ---------------------------------------------------------- */

typedef struct uint3 {
    unsigned x, y, z;
} uint3;
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z)
    {
    }
};
#define EMU_VECTOR(type, name, bytes)                                                                                  \
    typedef struct __align__(bytes) name##2                                                                            \
    {                                                                                                                  \
        type x, y;                                                                                                     \
    }                                                                                                                  \
    name##2;                                                                                                           \
    typedef struct __align__(2 * bytes) name##4                                                                        \
    {                                                                                                                  \
        type x, y, z, w;                                                                                               \
    }                                                                                                                  \
    name##4;                                                                                                           \
    static inline name##2 make_##name##2(type x, type y)                                                               \
    {                                                                                                                  \
        return (name##2){x, y};                                                                                        \
    }                                                                                                                  \
    static inline name##4 make_##name##4(type x, type y, type z, type w)                                               \
    {                                                                                                                  \
        return (name##4){x, y, z, w};                                                                                  \
    }
EMU_VECTOR(float, float, 8)
EMU_VECTOR(int, int, 8)
EMU_VECTOR(unsigned, uint, 8)
EMU_VECTOR(unsigned short, ushort, 4)

typedef struct EmuThread {
    uint3 thread, block;
    dim3 threads, blocks;
} EmuThread;
/* A fiber stays on one thread of the host until it ends, so the compiler may keep the result. */
extern "C" const EmuThread *emu_thread(void) __attribute__((const));
#define threadIdx (emu_thread()->thread)
#define blockIdx  (emu_thread()->block)
#define blockDim  (emu_thread()->threads)
#define gridDim   (emu_thread()->blocks)
enum { warpSize = 32 };

/* ---- shared memory, barriers, warps ---------------------------------------------------------- */

extern "C" {
/* emu_shared returns the memory of an array that the macro SHARED (kernels/cuda/cuda.h) declares: one array per block.
 * `site` identifies the declaration. emu_dynamic_shared returns the dynamic shared memory of the block. */
void *emu_shared(const void *site, const char *name, size_t bytes);
void *emu_dynamic_shared(void);
void emu_barrier(const char *file, int line);
void emu_warp_barrier(uint32_t mask);
typedef enum EmuShuffle { EMU_SHFL, EMU_SHFL_XOR, EMU_SHFL_UP, EMU_SHFL_DOWN } EmuShuffle;
uint64_t emu_shuffle(EmuShuffle kind, uint32_t mask, uint64_t value, int which, int width);
uint32_t emu_ballot(uint32_t mask, int predicate);
uint32_t emu_active(void);
uint64_t emu_atomic(int op, void *p, size_t bytes, uint64_t value, uint64_t expected);
void emu_thread_fence(void);
}
#define __syncthreads()       emu_barrier(__FILE__, __LINE__)
#define __syncwarp(...)       emu_warp_barrier(emu_mask(__VA_ARGS__))
#define __threadfence()       emu_thread_fence()
#define __threadfence_block() emu_thread_fence()
static inline uint32_t emu_mask(uint32_t mask = 0xffffffffu)
{
    return mask;
}
template <class T> static inline T emu_shuffled(EmuShuffle kind, uint32_t mask, T value, int which, int width)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle is of 4 or 8 bytes");
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    bits = emu_shuffle(kind, mask, bits, which, width);
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T> static inline T __shfl_sync(uint32_t mask, T value, int lane, int width = 32)
{
    return emu_shuffled(EMU_SHFL, mask, value, lane, width);
}
template <class T> static inline T __shfl_xor_sync(uint32_t mask, T value, int apart, int width = 32)
{
    return emu_shuffled(EMU_SHFL_XOR, mask, value, apart, width);
}
template <class T> static inline T __shfl_up_sync(uint32_t mask, T value, unsigned apart, int width = 32)
{
    return emu_shuffled(EMU_SHFL_UP, mask, value, (int)apart, width);
}
template <class T> static inline T __shfl_down_sync(uint32_t mask, T value, unsigned apart, int width = 32)
{
    return emu_shuffled(EMU_SHFL_DOWN, mask, value, (int)apart, width);
}
static inline uint32_t __ballot_sync(uint32_t mask, int predicate)
{
    return emu_ballot(mask, predicate);
}
static inline int __any_sync(uint32_t mask, int predicate)
{
    return emu_ballot(mask, predicate) != 0;
}
static inline int __all_sync(uint32_t mask, int predicate)
{
    return emu_ballot(mask, predicate) == mask;
}

/* Atomics on integers. No kernel of the table has an atomic on floats: the order of a sum would not be fixed. */
enum { EMU_ADD, EMU_MIN, EMU_MAX, EMU_AND, EMU_OR, EMU_EXCHANGE, EMU_CAS, EMU_MIN_SIGNED, EMU_MAX_SIGNED };
#define EMU_ATOMIC(name, op, type)                                                                                     \
    static inline type name(type *p, type value)                                                                       \
    {                                                                                                                  \
        return (type)emu_atomic(op, p, sizeof *p, (uint64_t)value, 0);                                                 \
    }
EMU_ATOMIC(atomicAdd, EMU_ADD, int)
EMU_ATOMIC(atomicAdd, EMU_ADD, unsigned)
EMU_ATOMIC(atomicAdd, EMU_ADD, unsigned long long)
EMU_ATOMIC(atomicMin, EMU_MIN_SIGNED, int)
EMU_ATOMIC(atomicMin, EMU_MIN, unsigned)
EMU_ATOMIC(atomicMin, EMU_MIN, unsigned long long)
EMU_ATOMIC(atomicMax, EMU_MAX_SIGNED, int)
EMU_ATOMIC(atomicMax, EMU_MAX, unsigned)
EMU_ATOMIC(atomicMax, EMU_MAX, unsigned long long)
EMU_ATOMIC(atomicOr, EMU_OR, unsigned)
EMU_ATOMIC(atomicAnd, EMU_AND, unsigned)
EMU_ATOMIC(atomicExch, EMU_EXCHANGE, int)
EMU_ATOMIC(atomicExch, EMU_EXCHANGE, unsigned)
static inline int atomicCAS(int *p, int expected, int value)
{
    return (int)emu_atomic(EMU_CAS, p, sizeof *p, (uint64_t)(uint32_t)value, (uint64_t)(uint32_t)expected);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
static inline double rsqrt(double x)
{
    return 1.0 / sqrt(x);
}
static inline float __frcp_rn(float x)
{
    return 1.0f / x;
}
static inline float __fmul_rn(float x, float y)
{
    return x * y;
}
static inline float __fadd_rn(float x, float y)
{
    return x + y;
}
static inline double __dmul_rn(double x, double y)
{
    return x * y;
}
static inline double __dadd_rn(double x, double y)
{
    return x + y;
}
static inline float __fmaf_rn(float x, float y, float z)
{
    return fmaf(x, y, z);
}
static inline float __int_as_float(int x)
{
    float y;
    __builtin_memcpy(&y, &x, sizeof y);
    return y;
}
static inline float __uint_as_float(unsigned x)
{
    return __int_as_float((int)x);
}
static inline int __float_as_int(float x)
{
    int y;
    __builtin_memcpy(&y, &x, sizeof y);
    return y;
}
static inline unsigned __float_as_uint(float x)
{
    return (unsigned)__float_as_int(x);
}
static inline double __longlong_as_double(long long x)
{
    double y;
    __builtin_memcpy(&y, &x, sizeof y);
    return y;
}
static inline long long __double_as_longlong(double x)
{
    long long y;
    __builtin_memcpy(&y, &x, sizeof y);
    return y;
}
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
static inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
static inline unsigned __umulhi(unsigned x, unsigned y)
{
    return (unsigned)((uint64_t)x * y >> 32);
}
template <class T> static inline T __ldg(const T *p)
{
    return *p;
}
static inline int min(int x, int y)
{
    return x < y ? x : y;
}
static inline int max(int x, int y)
{
    return x > y ? x : y;
}
static inline long long min(long long x, long long y)
{
    return x < y ? x : y;
}
static inline long long max(long long x, long long y)
{
    return x > y ? x : y;
}

/* ---- the run-time library -------------------------------------------------------------------- */

typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorNoDevice = 100,
    cudaErrorNotReady = 600,
    cudaErrorIllegalAddress = 700,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorGraphExecUpdateFailure = 910
} cudaError_t;
typedef struct EmuStream *cudaStream_t;
typedef struct EmuEvent *cudaEvent_t;
typedef struct EmuGraph *cudaGraph_t;
typedef struct EmuGraphExec *cudaGraphExec_t;
typedef enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
} cudaMemcpyKind;
typedef enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
} cudaFuncAttribute;
typedef enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal,
    cudaStreamCaptureModeThreadLocal,
    cudaStreamCaptureModeRelaxed
} cudaStreamCaptureMode;
typedef struct cudaGraphExecUpdateResultInfo {
    int result;
} cudaGraphExecUpdateResultInfo;
typedef struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor, multiProcessorCount;
    size_t sharedMemPerBlockOptin;
    int l2CacheSize;
    int warpSize;
} cudaDeviceProp;
typedef enum cudaDeviceAttr {
    cudaDevAttrClockRate = 13,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrMemoryClockRate = 36,
    cudaDevAttrGlobalMemoryBusWidth = 37,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76
} cudaDeviceAttr;
enum { cudaStreamNonBlocking = 1, cudaStreamDefault = 0 };
enum { cudaEventDefault = 0, cudaEventBlockingSync = 1, cudaEventDisableTiming = 2 };
enum { cudaHostAllocDefault = 0 };

extern "C" {
const char *cudaGetErrorString(cudaError_t);
const char *cudaGetErrorName(cudaError_t);
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaMemGetInfo(size_t *available, size_t *total);
cudaError_t cudaFree(void *p);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *info);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute what, int value);
cudaError_t emu_malloc(void **p, size_t bytes);
cudaError_t emu_host_alloc(void **p, size_t bytes);

#pragma GCC visibility push(default)
/* For tests: the number of faults since emu_forget_faults, and the text of the first one: "" if there is none. */
int emu_faults(void);
const char *emu_first_fault(void);
void emu_forget_faults(void);
/* Chooses the order of blocks and threads in the launches that follow. 0: each launch has another order; 1: ascending;
 * 2: descending. */
void emu_order(uint64_t order);
typedef struct EmuCounts { /* since emu_forget_faults */
    uint64_t launches, uploads, downloads, waits, graphs;
} EmuCounts;
EmuCounts emu_counts(void);
/* From now on cudaMalloc fails if more than this would be in use. */
void emu_memory_limit(size_t bytes);
#pragma GCC visibility pop
}
template <class T> static inline cudaError_t cudaMalloc(T **p, size_t bytes)
{
    return emu_malloc((void **)p, bytes);
}
template <class T> static inline cudaError_t cudaMallocHost(T **p, size_t bytes)
{
    return emu_host_alloc((void **)p, bytes);
}
template <class T> static inline cudaError_t cudaHostAlloc(T **p, size_t bytes, unsigned)
{
    return emu_host_alloc((void **)p, bytes);
}

/* ---- launches -------------------------------------------------------------------------------- */

/* A kernel with its arguments. They are copied and converted to the types of the kernel's parameters. */
struct EmuKernel {
    virtual void run() = 0;
    virtual ~EmuKernel()
    {
    }
};
template <class... P> struct EmuArgs;
template <> struct EmuArgs<> {
    template <class F, class... Done> void call(F f, Done... done)
    {
        f(done...);
    }
};
template <class P, class... Rest> struct EmuArgs<P, Rest...> {
    P first;
    EmuArgs<Rest...> rest;
    template <class A, class... More> EmuArgs(A a, More... more) : first((P)a), rest{more...}
    {
    }
    template <class F, class... Done> void call(F f, Done... done)
    {
        rest.call(f, done..., first);
    }
};
template <class... P> struct EmuCall : EmuKernel {
    void (*kernel)(P...);
    EmuArgs<P...> args;
    template <class... A> EmuCall(void (*kernel)(P...), A... a) : kernel(kernel), args{a...}
    {
    }
    void run() override
    {
        args.call(kernel);
    }
};
extern "C" void emu_submit(cudaStream_t stream, const char *name, dim3 grid, dim3 block, size_t dynamic,
                           const void *function, EmuKernel *kernel, size_t kernel_bytes);
template <class... P, class... A>
static inline void emu_launch(cudaStream_t stream, const char *name, dim3 grid, dim3 block, size_t dynamic,
                              void (*kernel)(P...), A... args)
{
    static_assert(sizeof...(P) == sizeof...(A), "as many arguments as the kernel has parameters");
    typedef EmuCall<P...> Call;
    Call *call = new Call(kernel, args...);
    emu_submit(stream, name, grid, block, dynamic, (const void *)kernel, call, sizeof *call);
}

#endif
