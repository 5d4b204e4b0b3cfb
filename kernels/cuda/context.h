/* kernels/cuda/context.h: the context of a GPU: one stream of work, the memory it comes from, the first error.
 *
 * Work of a context is done in the order of the calls: all of it is in one stream. An upload is copied to pinned memory
 * of the host first, a ring of segments, so that it need not wait for the device; a segment is written again when the
 * event behind its last copy is done. While the device is behind, the ring grows: a copy is behind all that was called
 * before it, so without that a host with many images would wait for the computing of earlier ones.
 *
 * download_later copies to pinned memory, too, the landing, and notes where the numbers belong; `arrive` waits for the
 * event behind the copy and brings them there. Landed numbers are in the order of the calls, round and round; one that
 * finds no room there brings the oldest to their places first.
 *
 * Between step_begin and step_end the calls are captured to a CUDA graph. At the end it takes the place of the nodes of
 * an earlier step's graph of the same shape, if there is one (their addresses and numbers may differ), and is launched
 * as a whole: one launch a step. What cannot be captured (a download, a wait) ends the capture early: what was captured
 * is launched, the rest of the step goes call by call. */
#ifndef SAPOR_CUDA_CONTEXT_H
#define SAPOR_CUDA_CONTEXT_H

#include "kernels/cuda/cuda.h"

enum { RING_SEGMENTS = 4, RING_MOST = 32, STEP_GRAPHS = 4, ARRIVALS = 32 };
#define SEGMENT_BYTES ((size_t)4 << 20)
#define LANDING_BYTES ((size_t)8 << 20)

typedef struct Segment { /* of pinned memory */
    char *p;
    cudaEvent_t written; /* behind the last copy from it */
} Segment;
typedef struct Arrival { /* a download_later */
    void *host;
    size_t at, bytes; /* in the landing */
    cudaEvent_t landed;
} Arrival;

struct Cuda {
    cudaStream_t stream;
    int device;
    const Heap *heap; /* of the host */
    bool failed;      /* nothing is launched any more */
    sp_error error;   /* the first cause */

    Segment ring[RING_MOST];    /* the next one is the one used longest ago */
    int segments, segment;      /* how many; which is written */
    size_t used;                /* of it */
    char *landing;              /* [LANDING_BYTES], pinned; NULL until the first download_later */
    size_t landed;              /* where the next one lands */
    Arrival arrivals[ARRIVALS]; /* a ring: those that wait begin with `oldest` */
    int oldest, waiting;
    bool stepping;                       /* the stream is captured; written with the arena's lock */
    cudaGraphExec_t graphs[STEP_GRAPHS]; /* of the shapes of steps, the one used last first */
    cudaEvent_t last, now;               /* of `clock` */
    double clock;                        /* seconds up to `last` */

    Kernels kernels;  /* the table that `open` gave: ours, and what its options replaced */
    char level[32];   /* of the table: the options, or "f32" */
    bool tf32;        /* products of float32 may round their operands to tf32 */
    void *blas, *dnn; /* what libs/ keeps of cuBLAS and cuDNN, or NULL */
};

/* Keeps the first error of a call of the runtime. False where it failed. */
bool cuda_worked(Cuda *c, cudaError_t code, const char *doing);
/* The same of a library's call: false. */
bool cuda_broke(Cuda *c, sp_status code, const char *doing, const char *why);
/* Plugin.peak (peak.cu) */
double cuda_peak(const Run *run, const char *what, double seconds);
/* Launches what a step has captured so far: before a call that cannot be captured. */
void cuda_flush(Cuda *c);

/* ---- the table's entries for memory and the device (memory.cu, context.cu) ------------------- */

double cuda_clock(const Run *run);
void *cuda_alloc(const Run *run, const Heap *heap, size_t bytes);
void cuda_free(const Run *run, const Heap *heap, void *p, size_t bytes);
void cuda_memory(const Run *run, size_t *available, size_t *total);
/* Blocks that the context freed are no longer used by its stream. */
void cuda_memory_forget(Cuda *c);
/* Sets c->stepping: true before a capture begins, false when what was captured is in the stream. Between the two no
 * other context takes the blocks that c has freed. */
void cuda_memory_stepping(Cuda *c, bool stepping);

#endif
