/* kernels/cuda/context.h: the context of a GPU: one stream of work, the memory of its copies, the first error.
 *
 * A context has one stream, so its work is done in the order of the calls.
 *
 * Upload: the numbers are first copied to pinned memory of the host, so that the call does not wait for the device. The
 * copy to the device is queued in the stream, after all earlier calls. The pinned memory is a ring of segments. An
 * event follows the last copy from a segment: after this event the segment may be reused. If the copies from the next
 * segment are unfinished, the ring grows by one segment, so that the host can prepare more inputs while the device
 * computes. If the ring already has RING_MOST segments, the upload waits instead.
 *
 * download_later also copies to pinned memory (download_buffer), and stores the caller's address (Arrival.host).
 * `arrive` waits for the event that follows the copy, and moves the numbers from download_buffer to the caller's
 * address. download_buffer is filled from its start to its end and then from its start again, in the order of the
 * calls. If a download finds no room, the oldest downloads are moved to the addresses of their callers first. A
 * download of more than half of download_buffer waits for the device, as `download` does.
 *
 * Between step_begin and step_end the calls are captured to a CUDA graph, so that a step is one launch. If one of the
 * last STEP_GRAPHS graphs has the same shape, its executable graph is updated with the new addresses and numbers and
 * launched. A call that cannot be captured (a download, a wait) ends the capture early: the captured part is launched,
 * and the rest of the step is launched call by call. */
#ifndef SAPOR_CUDA_CONTEXT_H
#define SAPOR_CUDA_CONTEXT_H

#include "kernels/cuda/cuda.h"

/* RING_SEGMENTS, RING_MOST: the number of segments at first and at most. STEP_GRAPHS: executable graphs that are kept.
 * ARRIVALS: downloads that may wait. */
enum { RING_SEGMENTS = 4, RING_MOST = 32, STEP_GRAPHS = 4, ARRIVALS = 32 };
#define SEGMENT_BYTES  ((size_t)4 << 20)
#define DOWNLOAD_BYTES ((size_t)8 << 20)

typedef struct Segment { /* pinned memory of the host */
    char *p;
    cudaEvent_t written; /* recorded after the last copy from `p` */
} Segment;
typedef struct Arrival { /* a download_later whose numbers are not yet at `host` */
    void *host;
    size_t at, bytes;   /* its place in download_buffer, in bytes */
    cudaEvent_t copied; /* recorded after the copy */
} Arrival;

struct Cuda {
    cudaStream_t stream;
    int device;
    const Heap *heap; /* for memory of the host */
    bool failed;      /* true: nothing is launched any more */
    sp_error error;   /* the first error, if `failed` */

    Segment ring[RING_MOST];    /* used in turn: the next one is the one used longest ago */
    int segments, segment;      /* the number of segments; the one that is being written */
    size_t used;                /* bytes of that segment that are in use */
    char *download_buffer;      /* [DOWNLOAD_BYTES], pinned; NULL until the first download_later */
    size_t next_at;             /* where the next download begins, in bytes */
    Arrival arrivals[ARRIVALS]; /* a ring: `waiting` downloads, from `oldest` on */
    int oldest, waiting;
    bool stepping;                       /* the stream is being captured; written under the lock of memory.cu */
    cudaGraphExec_t graphs[STEP_GRAPHS]; /* executable graphs of different shapes, the last used one first */
    cudaEvent_t last, now;               /* events of `clock` */
    double clock;                        /* the time of `last` in seconds; starts at now_seconds() */

    Kernels kernels;  /* the table that `open` returns, with the entries that the options replaced */
    char level[32];   /* the table's level: the options, or "f32" */
    bool tf32;        /* products of float32 may round their operands to tf32 */
    void *blas, *dnn; /* the state of libs/ for cuBLAS and cuDNN, or NULL */
};

/* Checks the result of a call of the CUDA runtime. Returns true if it is a success. Otherwise stores the error, if it
 * is the context's first one, and returns false. `doing` names the call in the message. */
bool cuda_worked(Cuda *c, cudaError_t code, const char *doing);
/* The same for an error of a library. Always returns false. */
bool cuda_broke(Cuda *c, sp_status code, const char *doing, const char *why);
/* Plugin.peak (peak.cu) */
double cuda_peak(const Run *run, const char *what, double seconds);
/* Launches the captured part of a step. Must be called before a call that cannot be captured. */
void cuda_flush(Cuda *c);

/* ---- the table's entries for memory and the device (memory.cu, context.cu) ------------------- */

double cuda_clock(const Run *run);
void *cuda_alloc(const Run *run, const Heap *heap, size_t bytes);
void cuda_free(const Run *run, const Heap *heap, void *p, size_t bytes);
void cuda_memory(const Run *run, size_t *available, size_t *total);
/* A freed block is marked with the context that freed it, because work of this context may still use the block. Removes
 * this mark from all blocks that c freed: every other context may then take them. Call it when the context closes and
 * its stream has finished. */
void cuda_memory_forget(Cuda *c);
/* Sets c->stepping: to true before a capture begins, and to false after the captured work is in the stream. While it is
 * true, no other context takes the blocks that c has freed. */
void cuda_memory_stepping(Cuda *c, bool stepping);

#endif
