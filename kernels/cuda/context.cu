/* kernels/cuda/context.cu: opens a GPU, and what the table says of memory and of the device. */
#include "kernels/cuda/context.h"

bool cuda_worked(Cuda *c, cudaError_t code, const char *doing)
{
    if (code == cudaSuccess)
        return true;
    if (!c->failed)
        fail(&c->error, SP_UNSUPPORTED, "CUDA: %s: %s", doing, cudaGetErrorString(code));
    c->failed = true;
    return false;
}

cudaStream_t cuda_stream(const Run *run)
{
    return ((Cuda *)run->context)->stream;
}

bool cuda_ready(const Run *run)
{
    return !((Cuda *)run->context)->failed;
}

void cuda_launched(const Run *run, const char *kernel)
{
    cuda_worked((Cuda *)run->context, cudaGetLastError(), kernel);
}

static void *cuda_alloc(const Run *run, const Heap *heap, size_t bytes)
{
    (void)run, (void)heap;
    void *p = NULL;
    return cudaMalloc(&p, MAX(bytes, (size_t)1)) == cudaSuccess ? p : NULL;
}

static void cuda_free(const Run *run, const Heap *heap, void *p, size_t bytes)
{
    (void)heap, (void)bytes;
    cuda_worked((Cuda *)run->context, cudaFree(p), "free");
}

static void cuda_upload(const Run *run, void *device, const void *host, size_t bytes)
{
    cuda_worked((Cuda *)run->context, cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, cuda_stream(run)),
                "upload");
}

static void cuda_download(const Run *run, void *host, const void *device, size_t bytes)
{
    Cuda *c = (Cuda *)run->context;
    cuda_worked(c, cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, c->stream), "download");
    cuda_worked(c, cudaStreamSynchronize(c->stream), "download");
}

static void cuda_copy(const Run *run, void *to, const void *from, size_t bytes)
{
    cuda_worked((Cuda *)run->context, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, cuda_stream(run)),
                "copy");
}

static void cuda_zero(const Run *run, void *p, size_t bytes)
{
    cuda_worked((Cuda *)run->context, cudaMemsetAsync(p, 0, bytes, cuda_stream(run)), "zero");
}

static bool cuda_check(const Run *run, Error *e)
{
    const Cuda *c = (const Cuda *)run->context;
    return !c->failed || fail(e, c->error.code, "%s", c->error.message);
}

static void cuda_memory(const Run *run, size_t *available, size_t *total)
{
    (void)run;
    if (cudaMemGetInfo(available, total) != cudaSuccess)
        *available = *total = 0;
}

static void cuda_step(const Run *run)
{
    (void)run;
}

static double cuda_clock(const Run *run)
{
    cuda_worked((Cuda *)run->context, cudaStreamSynchronize(cuda_stream(run)), "wait");
    return 0;
}

static void cuda_range(const Run *run, const char *op)
{
    (void)run, (void)op;
}

/* While kernels are being written: those that are not there are NULL. */
#define WEAK(name) extern "C" __attribute__((weak)) Pointee<decltype(Kernels::name)>::type cuda_##name;
KERNEL_LIST(WEAK)

#define LIST_KERNEL(name) .name = cuda_##name,
/* Members stand in the order of Kernels, which C++ asks for; list.h has another one. */
static Kernels table(void)
{
    Kernels k = {};
    k.bytes = sizeof(Kernels);
    k.version = KERNELS_VERSION;
    k.device = "cuda";
    k.level = "f32";
    k.about = "CUDA";
    k.alloc = cuda_alloc;
    k.free = cuda_free;
    k.upload = cuda_upload;
    k.download = cuda_download;
    k.copy = cuda_copy;
    k.zero = cuda_zero;
    k.check = cuda_check;
    k.memory = cuda_memory;
    k.step_begin = k.step_end = cuda_step;
    k.clock = cuda_clock;
    k.range = cuda_range;
#define SET_KERNEL(name) k.name = cuda_##name;
    KERNEL_LIST(SET_KERNEL)
    return k;
}

static const Kernels *cuda_open(const char *level, const char *blas, const Heap *heap, void **context, Error *e)
{
    static Kernels kernels;
    (void)level, (void)blas;
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        fail(e, SP_UNSUPPORTED, "device cuda: no GPU was found");
        return NULL;
    }
    Cuda *c = (Cuda *)heap_alloc(heap, sizeof *c);
    if (!c) {
        fail_memory(e, sizeof *c, "device cuda");
        return NULL;
    }
    memset((void *)c, 0, sizeof *c);
    c->heap = heap;
    if (!cuda_worked(c, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "stream")) {
        *e = c->error;
        heap_free(heap, c, sizeof *c);
        return NULL;
    }
    kernels = table();
    *context = c;
    return &kernels;
}

static void cuda_close(void *context)
{
    Cuda *c = (Cuda *)context;
    cudaStreamDestroy(c->stream);
    heap_free(c->heap, c, sizeof *c);
}

extern "C" __attribute__((visibility("default"))) const Plugin sapor_cuda = {sizeof(Plugin), KERNELS_VERSION, cuda_open,
                                                                         cuda_close};
