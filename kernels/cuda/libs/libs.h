/* kernels/cuda/libs/libs.h: cuBLAS and cuDNN in place of some of our kernels: the options "cublas" and "cudnn".
 *
 * The libraries are loaded when an option asks for them; nothing is linked. What a library cannot compute is computed
 * by our kernel. Each entry of the table checks every status, and the first error is the context's (Kernels.check). The
 * emulator has no libraries, and refuses the options. */
#ifndef SAPOR_CUDA_LIBS_H
#define SAPOR_CUDA_LIBS_H

#include "kernels/cuda/context.h"
#include "kernels/cuda/gemm/gemm.h"

/* Replaces entries of c->kernels. False: *e says why it cannot. `close` is for every context. */
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

/* The first of some names of files that can be loaded. word: the option, for the error */
void *library_open(const char *word, const char *const *files, size_t count, Error *e);
/* A function of it. NULL: *e says that it is missing. */
void *library_find(void *library, const char *word, const char *function, Error *e);

/* What is left of `f` for a product that a library has stored in f->C, float32: alpha is 1, beta 0, there are no
 * scales. Nothing is launched where nothing is left. */
void follow(const Run *run, const Finish *f);
#endif

#endif
