/* tests/cuda_emu/runtime.cc: the run-time library: streams, copies, events, graphs. */
#include "tests/cuda_emu/emu.h"

#include <deque>
#include <functional>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <vector>

typedef std::function<void()> Work;
typedef struct Item {
    Work work;
    EmuEvent *waits; /* the work begins after record number `until` of this event is done; NULL: no wait */
    uint64_t until;
    /* the kernel of a launch, otherwise NULL: an executable graph can be updated to a graph of the same kernels */
    const void *kernel;
} Item;
struct EmuStream {
    std::deque<Item> queue;
    EmuGraph *capture; /* may be NULL */
    bool spoilt;       /* a call during the capture cannot be captured */
};
struct EmuEvent {
    uint64_t recorded, done; /* counts of cudaEventRecord: called, done */
    double at;
    EmuStream *stream;
    bool captured; /* last recorded in a capture: only work of that graph may wait for it */
};
struct EmuGraph {
    std::vector<Item> items;
};
struct EmuGraphExec {
    std::vector<Item> items;
};

static std::vector<EmuStream *> streams;
static cudaError_t last_error;

static cudaError_t failed(cudaError_t code)
{
    last_error = code;
    return code;
}
cudaError_t emu_failed(cudaError_t code)
{
    return failed(code);
}

void emu_forget_faults(void)
{
    emu.faults = 0;
    emu.first[0] = '\0';
    emu.counts = {};
    last_error = cudaSuccess;
}

/* After a fault of a kernel every call fails, as on a card. */
static cudaError_t state(void)
{
    return emu.faults ? failed(cudaErrorIllegalAddress) : cudaSuccess;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void put(EmuStream *s, Item item)
{
    if (s->capture)
        s->capture->items.push_back(item);
    else
        s->queue.push_back(item);
}

static void drain(EmuStream *s);

static void wait_for(EmuEvent *e, uint64_t until)
{
    if (e && e->done < until && e->stream)
        drain(e->stream);
}

static void drain(EmuStream *s)
{
    while (!s->queue.empty()) {
        Item item = s->queue.front();
        s->queue.pop_front();
        wait_for(item.waits, item.until);
        if (item.work)
            item.work();
    }
}

/* ---- streams --------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    *stream = new EmuStream{};
    streams.push_back(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    drain(stream);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream)
            streams.erase(streams.begin() + (ptrdiff_t)i);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    emu.counts.waits++;
    if (stream->capture) {
        stream->spoilt = true;
        return failed(cudaErrorStreamCaptureUnsupported);
    }
    drain(stream);
    return state();
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    return stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaDeviceSynchronize(void)
{
    for (EmuStream *s : streams)
        drain(s);
    return state();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    put(stream, {Work(), event, event->recorded, NULL});
    return cudaSuccess;
}

/* ---- events ---------------------------------------------------------------------------------- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    *event = new EmuEvent{};
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    event->stream = stream;
    event->captured = stream->capture != NULL;
    const uint64_t number = ++event->recorded;
    put(stream, {[event, number] {
                     event->done = number;
                     event->at = seconds();
                 },
                 NULL, 0, NULL});
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    emu.counts.waits++;
    if (event->captured)
        return failed(cudaErrorStreamCaptureUnsupported);
    wait_for(event, event->recorded);
    return state();
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return event->done == event->recorded ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    if (from->done != from->recorded || to->done != to->recorded || !from->done || !to->done)
        return failed(cudaErrorNotReady);
    *ms = (float)(1e3 * (to->at - from->at));
    return cudaSuccess;
}

/* ---- memory of an arena ---------------------------------------------------------------------- */

void emu_memory_show(cudaStream_t stream, void *p, size_t bytes)
{
    put(stream, {[=] { emu_show(p, bytes); }, NULL, 0, NULL});
}

void emu_memory_hide(cudaStream_t stream, void *p, size_t bytes)
{
    put(stream, {[=] { emu_hide(p, bytes); }, NULL, 0, NULL});
}

/* Checks the device side of a copy, at the time the copy is made. */
static bool usable(const void *p, size_t bytes, const char *call)
{
    if (emu_in_use(p, bytes))
        return true;
    emu_fault("%s of %zu bytes: memory of the device that is not in use", call, bytes);
    return false;
}

/* ---- launches and copies --------------------------------------------------------------------- */

size_t emu_shared_allowed(const void *kernel);
static uint32_t launches;

void emu_submit(cudaStream_t stream, const char *name, dim3 grid, dim3 block, size_t dynamic, const void *function,
                EmuKernel *kernel, size_t kernel_bytes)
{
    const uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (threads == 0 || threads > EMU_MOST_THREADS || block.z > 64 || grid.x == 0 || grid.x > 0x7fffffff ||
        grid.y == 0 || grid.y > 65535 || grid.z == 0 || grid.z > 65535 || dynamic > emu_shared_allowed(function)) {
        emu_fault("%s: no card accepts a grid of %u x %u x %u, a block of %u x %u x %u and %zu bytes of shared memory",
                  name, grid.x, grid.y, grid.z, block.x, block.y, block.z, dynamic);
        failed(cudaErrorInvalidConfiguration);
        delete kernel;
        return;
    }
    /* The kernel's arguments are kept: a graph may launch the kernel again. */
    put(stream, {[=] {
                     const Launch l = {name, grid, block, dynamic, kernel, kernel_bytes, ++launches};
                     if (!emu.faults)
                         emu_run(&l);
                 },
                 NULL, 0, function});
}

static std::vector<std::pair<char *, size_t>> pinned;

cudaError_t emu_host_alloc(void **p, size_t bytes)
{
    *p = aligned_alloc(256, (bytes + 255) / 256 * 256 + 256);
    if (!*p)
        return failed(cudaErrorMemoryAllocation);
    pinned.push_back({(char *)*p, bytes});
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    cudaDeviceSynchronize();
    for (size_t i = 0; i < pinned.size(); i++)
        if (pinned[i].first == p)
            pinned.erase(pinned.begin() + (ptrdiff_t)i);
    free(p);
    return cudaSuccess;
}

static bool is_pinned(const void *p)
{
    for (const auto &block : pinned)
        if ((const char *)p >= block.first && (const char *)p < block.first + block.second)
            return true;
    return false;
}

/* Returns 1 to 5. The number changes with each download. */
int64_t emu_most_blocks(void)
{
    return 5 - (int64_t)(emu.downloads % 5);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    if (bytes == 0)
        return state();
    const bool up = kind == cudaMemcpyHostToDevice, down = kind == cudaMemcpyDeviceToHost;
    if (kind != cudaMemcpyHostToDevice && kind != cudaMemcpyDeviceToHost && kind != cudaMemcpyDeviceToDevice) {
        emu_fault("cudaMemcpyAsync: the direction is missing");
        return failed(cudaErrorInvalidValue);
    }
    if (emu_is_device(to, bytes) == down || emu_is_device(from, bytes) == up) {
        emu_fault("cudaMemcpyAsync of %zu bytes: an address does not match the direction, or is not in use", bytes);
        return failed(cudaErrorInvalidValue);
    }
    emu.counts.uploads += up;
    emu.counts.downloads += down;
    emu.downloads += down;
    if (up && !is_pinned(from)) { /* the run-time library copies pageable memory before it returns */
        std::vector<char> kept((const char *)from, (const char *)from + bytes);
        put(stream, {[=] {
                         if (!usable(to, bytes, "an upload"))
                             return;
                         memcpy(to, kept.data(), bytes);
                         emu_written(to, bytes);
                     },
                     NULL, 0, NULL});
        return state();
    }
    put(stream, {[=] {
                     if ((!down && !usable(to, bytes, "a copy")) || (!up && !usable(from, bytes, "a copy")))
                         return;
                     memmove(to, from, bytes);
                     if (!down)
                         emu_written(to, bytes);
                 },
                 NULL, 0, NULL});
    if (down && !is_pinned(to)) { /* a download to pageable memory waits for the device */
        if (stream->capture)
            return failed(cudaErrorStreamCaptureUnsupported);
        drain(stream);
    }
    return state();
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream)
{
    if (bytes > 0 && !emu_is_device(p, bytes)) {
        emu_fault("cudaMemsetAsync of %zu bytes: not memory of the device that is in use", bytes);
        return failed(cudaErrorInvalidValue);
    }
    put(stream, {[=] {
                     if (bytes > 0 && usable(p, bytes, "cudaMemsetAsync")) {
                         memset(p, value, bytes);
                         emu_written(p, bytes);
                     }
                 },
                 NULL, 0, NULL});
    return state();
}

/* ---- graphs ---------------------------------------------------------------------------------- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    if (stream->capture)
        return failed(cudaErrorInvalidValue);
    stream->capture = new EmuGraph{};
    stream->spoilt = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    if (!stream->capture)
        return failed(cudaErrorInvalidValue);
    *graph = stream->capture;
    stream->capture = NULL;
    if (!stream->spoilt)
        return cudaSuccess;
    delete *graph;
    *graph = NULL;
    return failed(cudaErrorStreamCaptureUnsupported);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    *exec = new EmuGraphExec{graph->items};
    return cudaSuccess;
}

/* Succeeds if both graphs have the same nodes in the same order: the kernels must be the same, their arguments may
 * differ. */
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *info)
{
    info->result = 1;
    if (exec->items.size() != graph->items.size())
        return failed(cudaErrorGraphExecUpdateFailure); /* cudaGetLastError returns it, too */
    for (size_t i = 0; i < graph->items.size(); i++)
        if (exec->items[i].kernel != graph->items[i].kernel)
            return failed(cudaErrorGraphExecUpdateFailure);
    exec->items = graph->items;
    info->result = 0;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    emu.counts.graphs++;
    for (const Item &item : exec->items)
        put(stream, item);
    return state();
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

/* ---- the device ------------------------------------------------------------------------------ */

const char *cudaGetErrorString(cudaError_t code)
{
    switch (code) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorIllegalAddress: return emu.faults ? emu.first : "an illegal memory access was encountered";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    default: return "invalid argument";
    }
}

const char *cudaGetErrorName(cudaError_t code)
{
    return cudaGetErrorString(code);
}

cudaError_t cudaGetLastError(void)
{
    const cudaError_t code = last_error;
    last_error = cudaSuccess;
    return code;
}

cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

/* EMU_DEVICES=0 behaves as a machine without a GPU, EMU_CAPABILITY=7 as one with an older GPU. */
cudaError_t cudaGetDeviceCount(int *count)
{
    const char *devices = getenv("EMU_DEVICES");
    *count = devices ? atoi(devices) : 1;
    return *count > 0 ? cudaSuccess : failed(cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int *number)
{
    *number = 0;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int number)
{
    return number == 0 ? cudaSuccess : failed(cudaErrorInvalidValue);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    *p = {};
    snprintf(p->name, sizeof p->name, "emulator");
    p->major = 8;
    p->multiProcessorCount = 4;
    p->sharedMemPerBlockOptin = EMU_MOST_SHARED;
    p->l2CacheSize = 4 << 20;
    p->warpSize = EMU_WARP;
    size_t available;
    cudaMemGetInfo(&available, &p->totalGlobalMem);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int)
{
    const char *major = getenv("EMU_CAPABILITY");
    *value = what == cudaDevAttrMultiProcessorCount      ? 4
             : what == cudaDevAttrComputeCapabilityMajor ? (major ? atoi(major) : 8)
                                                         : 0;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

/* 16-bit numbers */

float emu_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
    if (e == 31)
        return bits_f32(sign | 0x7f800000 | m << 13);
    const float x = e ? bits_f32((e + 112) << 23 | m << 13) : (float)m * 0x1p-24f;
    return sign ? -x : x;
}

uint16_t emu_f32_to_f16(float x)
{
    const uint32_t bits = f32_bits(x), sign = bits >> 16 & 0x8000;
    if (x != x)
        return 0x7fff;
    const float a = fabsf(x);
    if (a >= 65520.0f)
        return (uint16_t)(sign | 0x7c00);
    if (a < 0x1p-14f) /* below the normal range: multiples of 2^-24 */
        return (uint16_t)(sign | (uint32_t)nearbyintf(a * 0x1p24f));
    const uint32_t rounded = (bits & 0x7fffffff) + 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | ((rounded >> 13) - (112 << 10)));
}
