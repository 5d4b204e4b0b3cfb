/* kernels/cuda/context.cu: opens and closes a GPU; its copies, its steps as CUDA graphs, its clock. */
#include "kernels/cuda/context.h"
#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/libs/libs.h"

#if !defined(SAPOR_CUDA_EMU) && __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define HAVE_NVTX
#endif

/* ---- errors ---------------------------------------------------------------------------------- */

bool cuda_worked(Cuda *c, cudaError_t code, const char *doing)
{
    if (code == cudaSuccess)
        return true;
    (void)cudaGetLastError(); /* The runtime keeps the error for the thread, and another context would receive it. */
    return cuda_broke(c, code == cudaErrorMemoryAllocation ? SP_MEMORY : SP_UNSUPPORTED, doing,
                      cudaGetErrorString(code));
}

bool cuda_broke(Cuda *c, sp_status code, const char *doing, const char *why)
{
    if (!c->failed)
        fail(&c->error, code, "device cuda: %s: %s", doing, why);
    c->failed = true;
    return false;
}

static Cuda *context_of(const Run *run)
{
    return (Cuda *)run->context;
}

cudaStream_t cuda_stream(const Run *run)
{
    return context_of(run)->stream;
}

bool cuda_ready(const Run *run)
{
    return !context_of(run)->failed;
}

void cuda_launched(const Run *run, const char *kernel)
{
    cuda_worked(context_of(run), cudaGetLastError(), kernel);
}

static bool cuda_check(const Run *run, Error *e)
{
    const Cuda *c = context_of(run);
    return !c->failed || fail(e, c->error.code, "%s", c->error.message);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Launches a graph. If one of the kept executable graphs has the same shape, it is updated and used. Otherwise a new
 * one is made, which replaces the one that was unused for longest. */
static void launch_graph(Cuda *c, cudaGraph_t graph)
{
    cudaGraphExec_t exec = NULL;
    int at = 0;
    for (; at < STEP_GRAPHS && c->graphs[at] && !exec; at++) {
        cudaGraphExecUpdateResultInfo info;
        if (cudaGraphExecUpdate(c->graphs[at], graph, &info) == cudaSuccess)
            exec = c->graphs[at];
        else
            /* A different shape is not an error: it must not be reported after the next launch. */
            (void)cudaGetLastError();
    }
    if (exec) {
        at--; /* the index of the one that was found */
    } else {
        if (!cuda_worked(c, cudaGraphInstantiate(&exec, graph, 0), "graph"))
            return;
        if (at == STEP_GRAPHS)
            cuda_worked(c, cudaGraphExecDestroy(c->graphs[--at]), "graph");
    }
    for (; at > 0; at--)
        c->graphs[at] = c->graphs[at - 1];
    c->graphs[0] = exec;
    cuda_worked(c, cudaGraphLaunch(exec, c->stream), "graph");
}

/* Ends the capture. Returns the captured graph, or NULL after an error; the caller destroys it. */
static cudaGraph_t end_capture(Cuda *c)
{
    cudaGraph_t graph = NULL;
    return cuda_worked(c, cudaStreamEndCapture(c->stream, &graph), "graph") ? graph : NULL;
}

void cuda_flush(Cuda *c)
{
    if (!c->stepping)
        return;
    const cudaGraph_t graph = end_capture(c);
    if (graph) {
        launch_graph(c, graph);
        cuda_worked(c, cudaGraphDestroy(graph), "graph");
    }
    cuda_memory_stepping(c, false); /* the captured work is now in the stream */
}

/* Adds a new segment to the ring, at index `at`. */
static cudaError_t add_segment(Cuda *c, int at)
{
    Segment s = {NULL, NULL};
    cudaError_t code = cudaHostAlloc(&s.p, SEGMENT_BYTES, cudaHostAllocDefault);
    if (code == cudaSuccess)
        code = cudaEventCreateWithFlags(&s.written, cudaEventDisableTiming);
    if (code != cudaSuccess) {
        if (s.p)
            (void)cudaFreeHost(s.p);
        return code;
    }
    for (int i = c->segments++; i > at; i--)
        c->ring[i] = c->ring[i - 1];
    c->ring[at] = s;
    return cudaSuccess;
}

/* Begins the next segment. If copies from the next segment of the ring are unfinished, a new segment is added, or, if
 * that is not possible, the call waits for these copies. */
static void next_segment(Cuda *c)
{
    cuda_worked(c, cudaEventRecord(c->ring[c->segment].written, c->stream), "upload");
    c->used = 0;
    const int next = (c->segment + 1) % c->segments;
    if (cudaEventQuery(c->ring[next].written) == cudaErrorNotReady) {
        const bool added = c->segments < RING_MOST && add_segment(c, c->segment + 1) == cudaSuccess;
        (void)cudaGetLastError(); /* "not ready" and a failed allocation are no errors here */
        if (added) {
            c->segment++;
            return;
        }
        cuda_worked(c, cudaEventSynchronize(c->ring[next].written), "upload");
    }
    c->segment = next;
}

static void cuda_step_begin(const Run *run)
{
    Cuda *c = context_of(run);
    cuda_flush(c); /* if the last step did not end */
    if (c->used > SEGMENT_BYTES / 2)
        next_segment(c); /* so that there is room for the batch of this step */
    cuda_memory_stepping(c, !c->failed);
    if (c->stepping && !cuda_worked(c, cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeRelaxed), "graph"))
        cuda_memory_stepping(c, false);
}

static void cuda_step_end(const Run *run)
{
    cuda_flush(context_of(run));
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void cuda_upload(const Run *run, void *device, const void *host, size_t bytes)
{
    Cuda *c = context_of(run);
    const char *from = (const char *)host;
    char *to = (char *)device;
    while (bytes > 0 && !c->failed) {
        const size_t room = SEGMENT_BYTES - c->used;
        if (room < MIN(bytes, SEGMENT_BYTES)) {
            cuda_flush(c); /* The event of the segment must follow its copies in the stream. */
            next_segment(c);
            continue;
        }
        const size_t n = MIN(bytes, room);
        char *pinned = c->ring[c->segment].p + c->used;
        memcpy(pinned, from, n);
        cuda_worked(c, cudaMemcpyAsync(to, pinned, n, cudaMemcpyHostToDevice, c->stream), "upload");
        c->used += size_round_up(n, 64);
        from += n;
        to += n;
        bytes -= n;
    }
}

static void cuda_download(const Run *run, void *host, const void *device, size_t bytes)
{
    Cuda *c = context_of(run);
    cuda_flush(c);
    if (!c->failed)
        cuda_worked(c, cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, c->stream), "download");
    if (!c->failed)
        cuda_worked(c, cudaStreamSynchronize(c->stream), "download");
    if (c->failed)
        /* After a failure the numbers are zeros, the same in every run; `check` reports the error. */
        memset(host, 0, bytes);
}

/* Waits for the n oldest waiting downloads and moves their numbers to their addresses in the host's memory. */
static void arrive_oldest(Cuda *c, int n)
{
    if (n == 0)
        return;
    cuda_flush(c); /* A wait is not allowed during a capture. */
    if (!c->failed)
        cuda_worked(c, cudaEventSynchronize(c->arrivals[(c->oldest + n - 1) % ARRIVALS].copied), "download");
    for (; n > 0; n--) {
        const Arrival *a = &c->arrivals[c->oldest];
        if (c->failed)
            memset(a->host, 0, a->bytes); /* as cuda_download does */
        else
            memcpy(a->host, c->download_buffer + a->at, a->bytes);
        c->oldest = (c->oldest + 1) % ARRIVALS;
        c->waiting--;
    }
}

static bool open_download_buffer(Cuda *c)
{
    if (c->download_buffer || c->failed)
        return !c->failed;
    for (int i = 0; i < ARRIVALS; i++)
        if (!c->arrivals[i].copied &&
            !cuda_worked(c, cudaEventCreateWithFlags(&c->arrivals[i].copied, cudaEventDisableTiming), "event"))
            return false;
    return cuda_worked(c, cudaHostAlloc(&c->download_buffer, DOWNLOAD_BYTES, cudaHostAllocDefault),
                       "pinned memory of the host");
}

static bool is_taken(const Cuda *c, size_t at, size_t bytes)
{
    for (int i = 0; i < c->waiting; i++) {
        const Arrival *a = &c->arrivals[(c->oldest + i) % ARRIVALS];
        if (at < a->at + a->bytes && a->at < at + bytes)
            return true;
    }
    return false;
}

static void cuda_download_later(const Run *run, void *host, const void *device, size_t bytes)
{
    Cuda *c = context_of(run);
    cuda_flush(c);
    if (bytes == 0)
        return;
    if (bytes > DOWNLOAD_BYTES / 2 || !open_download_buffer(c)) {
        cuda_download(run, host, device, bytes);
        return;
    }
    const size_t at = c->next_at + bytes <= DOWNLOAD_BYTES ? c->next_at : 0;
    while (c->waiting == ARRIVALS || is_taken(c, at, bytes))
        arrive_oldest(c, 1);
    Arrival *a = &c->arrivals[(c->oldest + c->waiting) % ARRIVALS];
    a->host = host;
    a->at = at;
    a->bytes = bytes;
    c->waiting++;
    c->next_at = at + size_round_up(bytes, 64);
    if (!c->failed &&
        cuda_worked(c, cudaMemcpyAsync(c->download_buffer + at, device, bytes, cudaMemcpyDeviceToHost, c->stream),
                    "download"))
        cuda_worked(c, cudaEventRecord(a->copied, c->stream), "download");
}

static void cuda_arrive(const Run *run, const void *host)
{
    Cuda *c = context_of(run);
    int n = c->waiting;
    while (host && n > 0 && c->arrivals[(c->oldest + n - 1) % ARRIVALS].host != host)
        n--;
    arrive_oldest(c, n);
}

/* Copies in the memory of the device. `to` and `from` may overlap. A copy of the CUDA runtime must not overlap, so
 * overlapping memory is copied in pieces that do not overlap. */
static void cuda_copy(const Run *run, void *to, const void *from, size_t bytes)
{
    Cuda *c = context_of(run);
    char *y = (char *)to;
    const char *x = (const char *)from;
    const size_t apart = y > x ? (size_t)(y - x) : (size_t)(x - y);
    const size_t piece = apart < bytes ? apart : bytes;
    for (size_t done = 0; piece > 0 && done < bytes && !c->failed;) {
        const size_t n = MIN(piece, bytes - done), at = y > x ? bytes - done - n : done;
        cuda_worked(c, cudaMemcpyAsync(y + at, x + at, n, cudaMemcpyDeviceToDevice, c->stream), "copy");
        done += n;
    }
}

static void cuda_zero(const Run *run, void *p, size_t bytes)
{
    Cuda *c = context_of(run);
    if (bytes > 0 && !c->failed)
        cuda_worked(c, cudaMemsetAsync(p, 0, bytes, c->stream), "zero");
}

/* ---- profiles -------------------------------------------------------------------------------- */

/* Waits for the stream and returns the time in seconds. The time is added up from event to event: an event gives
 * milliseconds in float32, whose resolution is 1 us only up to 16 seconds. */
double cuda_clock(const Run *run)
{
    Cuda *c = context_of(run);
    float ms = 0;
    cuda_flush(c);
    if (c->failed || !cuda_worked(c, cudaEventRecord(c->now, c->stream), "clock") ||
        !cuda_worked(c, cudaEventSynchronize(c->now), "clock") ||
        !cuda_worked(c, cudaEventElapsedTime(&ms, c->last, c->now), "clock"))
        return c->clock;
    cudaEvent_t last = c->last;
    c->last = c->now;
    c->now = last;
    c->clock += 1e-3 * (double)ms;
    return c->clock;
}

static void cuda_range(const Run *run, const char *op)
{
    (void)run, (void)op;
#ifdef HAVE_NVTX
    if (op)
        nvtxRangePushA(op);
    else
        nvtxRangePop();
#endif
}

/* ---- the table ------------------------------------------------------------------------------- */

static Kernels table(void)
{
    Kernels k = {};
    k.bytes = sizeof(Kernels);
    k.version = KERNELS_VERSION;
    k.device = "cuda";
    k.alloc = cuda_alloc;
    k.free = cuda_free;
    k.upload = cuda_upload;
    k.download = cuda_download;
    k.download_later = cuda_download_later;
    k.arrive = cuda_arrive;
    k.copy = cuda_copy;
    k.zero = cuda_zero;
    k.check = cuda_check;
    k.memory = cuda_memory;
    k.step_begin = cuda_step_begin;
    k.step_end = cuda_step_end;
    k.clock = cuda_clock;
    k.range = cuda_range;
#define SET_KERNEL(name) k.name = cuda_##name;
    KERNEL_LIST(SET_KERNEL)
    return k;
}

/* ---- options --------------------------------------------------------------------------------- */

static bool tf32_use(Cuda *c, Error *e)
{
    (void)e;
    c->tf32 = true;
    c->kernels.gemm = cuda_gemm_tf32;
    c->kernels.gemm_way = cuda_gemm_way_tf32;
    return true;
}

/* Uses wgmma for large products with f16 or bf16 weights. It cannot be combined with tf32, because both replace the
 * kernel `gemm`. */
static bool wgmma_use(Cuda *c, Error *e)
{
    if (c->tf32)
        return fail(e, SP_USAGE, "device cuda:tf32,wgmma: use only one of them");
    c->kernels.gemm = cuda_gemm_wgmma;
    c->kernels.gemm_way = cuda_gemm_way_wgmma;
    return true;
}

/* The words after "cuda:". Each one replaces entries of the context's table. They are applied in the order of this
 * list, whatever the order of the words in the option. */
typedef struct Option {
    const char *word;
    bool (*use)(Cuda *, Error *);
} Option;
static const Option OPTIONS[] = {
    {"tf32", tf32_use}, {"wgmma", wgmma_use}, {"cublas", cublas_use}, {"cudnn", cudnn_use}};

static bool use_options(Cuda *c, const char *options, Error *e)
{
    bool given[sizeof OPTIONS / sizeof *OPTIONS] = {};
    Text rest = text_of(options), word;
    while (options[0] != '\0' && text_next(&rest, ',', &word)) {
        size_t i = 0;
        while (i < COUNT(OPTIONS) && !text_is(word, OPTIONS[i].word))
            i++;
        if (i == COUNT(OPTIONS))
            return fail(
                e, SP_USAGE,
                "device cuda:%.*s: unknown option; expected cuda, or cuda: and one or more of tf32,wgmma,cublas,cudnn",
                (int)MIN(word.n, (size_t)100), word.p);
        given[i] = true;
    }
    c->kernels = table();
    snprintf(c->level, sizeof c->level, "%s", options[0] != '\0' ? options : "f32");
    c->kernels.level = c->level;
    for (size_t i = 0; i < COUNT(OPTIONS); i++) {
        if (given[i] && !OPTIONS[i].use(c, e))
            return false;
    }
    return true;
}

/* ---- open and close -------------------------------------------------------------------------- */

static void cuda_close(void *context)
{
    Cuda *c = (Cuda *)context;
    cuda_flush(c);
    if (c->stream)
        (void)cudaStreamSynchronize(c->stream);
    cublas_close(c);
    cudnn_close(c);
    cuda_memory_forget(c);
    for (int i = 0; i < STEP_GRAPHS; i++)
        if (c->graphs[i])
            (void)cudaGraphExecDestroy(c->graphs[i]);
    for (int i = 0; i < c->segments; i++) {
        (void)cudaEventDestroy(c->ring[i].written);
        (void)cudaFreeHost(c->ring[i].p);
    }
    for (int i = 0; i < ARRIVALS; i++)
        if (c->arrivals[i].copied)
            (void)cudaEventDestroy(c->arrivals[i].copied);
    if (c->last)
        (void)cudaEventDestroy(c->last);
    if (c->now)
        (void)cudaEventDestroy(c->now);
    if (c->download_buffer)
        (void)cudaFreeHost(c->download_buffer);
    if (c->stream)
        (void)cudaStreamDestroy(c->stream);
    heap_free(c->heap, c, sizeof *c);
}

static bool open_context(Cuda *c)
{
    if (!cuda_worked(c, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "stream") ||
        !cuda_worked(c, cudaEventCreateWithFlags(&c->last, cudaEventDefault), "event") ||
        !cuda_worked(c, cudaEventCreateWithFlags(&c->now, cudaEventDefault), "event"))
        return false;
    for (int i = 0; i < RING_SEGMENTS; i++)
        if (!cuda_worked(c, add_segment(c, i), "pinned memory of the host"))
            return false;
    c->clock = now_seconds();
    return cuda_worked(c, cudaEventRecord(c->last, c->stream), "event");
}

/* Returns a description of the GPU, as "NVIDIA H100 80GB HBM3, compute capability 9.0, 132 multiprocessors, 79.1 GiB".
 * It is valid until the next call. */
static const char *describe(void)
{
    static char about[400];
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, 0) != cudaSuccess)
        return "a GPU";
    snprintf(about, sizeof about, "%s, compute capability %d.%d, %d multiprocessors, %.1f GiB", p.name, p.major,
             p.minor, p.multiProcessorCount, (double)p.totalGlobalMem / (1 << 30));
    return about;
}

/* Reports whether the GPU is too old, with an error. The code needs compute capability 8.0 (cp.async, bf16). */
static bool is_too_old(Error *e)
{
    enum { LEAST = 8 };
    int major = LEAST, minor = 0;
    (void)cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
    (void)cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
    (void)cudaGetLastError();
    return major < LEAST && !fail(e, SP_UNSUPPORTED,
                                  "device cuda: no GPU can be used: this one has compute capability %d.%d, %d.0 is the "
                                  "least; use --device cpu",
                                  major, minor, LEAST);
}

static const Kernels *cuda_open(const char *options, const Heap *heap, void **context, Error *e)
{
    int devices = 0;
    const cudaError_t found = cudaGetDeviceCount(&devices);
    (void)cudaGetLastError(); /* so that a later call does not report this error */
    if (found != cudaSuccess || devices == 0) {
        fail(e, SP_UNSUPPORTED, "device cuda: no GPU can be used: %s; use --device cpu",
             found != cudaSuccess ? cudaGetErrorString(found) : "there is none");
        return NULL;
    }
    if (is_too_old(e))
        return NULL;
    Cuda *c = (Cuda *)heap_alloc(heap, sizeof *c);
    if (!c) {
        fail_memory(e, sizeof *c, "device cuda");
        return NULL;
    }
    memset((void *)c, 0, sizeof *c);
    c->heap = heap;
    if (!open_context(c)) {
        fail(e, c->error.code, "%s", c->error.message);
        cuda_close(c);
        return NULL;
    }
    if (!use_options(c, options, e)) {
        cuda_close(c);
        return NULL;
    }
    c->kernels.about = describe();
    *context = c;
    return &c->kernels;
}

extern "C" __attribute__((visibility("default")))
const Plugin sapor_cuda = {sizeof(Plugin), KERNELS_VERSION, cuda_open, cuda_close, cuda_peak};
