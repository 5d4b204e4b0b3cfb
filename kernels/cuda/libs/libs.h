/* kernels/cuda/libs/libs.h: cuBLAS and cuDNN instead of some of our kernels: the options "cublas" and "cudnn".
 *
 * A library is loaded if its option is given; nothing is linked. If a library does not support a call, our kernel
 * computes it. Each entry of the table checks every status, and the first error is kept in the context (Kernels.check).
 * The emulator has no libraries and refuses the options. */
#ifndef SAPOR_CUDA_LIBS_H
#define SAPOR_CUDA_LIBS_H

#include "kernels/cuda/context.h"
#include "kernels/cuda/gemm/gemm.h"

/* The *_use functions replace entries of c->kernels. They return false if they cannot; *e says why. The *_close
 * functions may be called for every context. */
#ifdef SAPOR_CUDA_EMU
static inline bool cublas_use(Cuda *c, Error *e)
{
    (void)c;
    return fail(e, SP_UNSUPPORTED, "device cuda:cublas: the emulator has no cuBLAS; use --blas own");
}
static inline bool cudnn_use(Cuda *c, Error *e)
{
    (void)c;
    return fail(e, SP_UNSUPPORTED, "device cuda:cudnn: the emulator has no cuDNN; use --blas own");
}
static inline void cublas_close(Cuda *c)
{
    (void)c;
}
static inline void cudnn_close(Cuda *c)
{
    (void)c;
}
#else
bool cublas_use(Cuda *c, Error *e);
void cublas_close(Cuda *c);
bool cudnn_use(Cuda *c, Error *e);
void cudnn_close(Cuda *c);

/* ---- for blas.cu and dnn.cu ------------------------------------------------------------------ */

/* Loads the first of `files` that can be loaded. word: the option, for the error. NULL: *e says why. */
void *library_open(const char *word, const char *const *files, size_t count, Error *e);
/* Returns a function of the library. NULL: *e says that the function is missing. */
void *library_find(void *library, const char *word, const char *function, Error *e);

/* Adds the bias and the residual to f->C (float32), a product that a library has stored there, and applies act. In `f`,
 * alpha is 1, beta is 0, and there are no scales. If there is no bias, residual or act, no kernel is launched. */
void finish_product(const Run *run, const Finish *f);
#endif

#endif
