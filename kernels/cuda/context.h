/* kernels/cuda/context.h: the context of a GPU: one stream of work, memory, and the first error. */
#ifndef SAPOR_CUDA_CONTEXT_H
#define SAPOR_CUDA_CONTEXT_H

#include "kernels/cuda/cuda.h"

struct Cuda {
    cudaStream_t stream;
    int device;
    const Heap *heap; /* of the host */
    bool failed;      /* nothing is launched any more */
    sp_error error;   /* the first cause */
};

/* Keeps the first error of a call of the runtime. False where it failed. */
bool cuda_worked(Cuda *c, cudaError_t code, const char *doing);

#endif
