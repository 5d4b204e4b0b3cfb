/* kernels/cuda/libs/libs.cu: loads a library, and computes what follows a library's product. */
#include "kernels/cuda/libs/libs.h"

#include <dlfcn.h>

void *library_open(const char *word, const char *const *files, size_t count, Error *e)
{
    for (size_t i = 0; i < count; i++) {
        void *library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
        if (library)
            return library;
    }
    fail(e, SP_UNSUPPORTED, "device cuda:%s: no library: %s; install it or set LD_LIBRARY_PATH, or use --blas own",
         word, dlerror());
    return NULL;
}

void *library_find(void *library, const char *word, const char *function, Error *e)
{
    void *found = dlsym(library, function);
    if (!found)
        fail(e, SP_UNSUPPORTED, "device cuda:%s: the library has no %s; use --blas own", word, function);
    return found;
}

/* C = act(C + bias + residual). One thread per four columns of a row; a warp accesses whole lines. Memory-bound: a
 * kernel of ours computes this before it stores its product, so C is read and written once more here. */
static __global__ void __launch_bounds__(256) finish_kernel(Finish f)
{
    const int64_t across = (f.N + 3) / 4;
    for (int64_t i = first_index(); i < f.M * across; i += all_threads()) {
        const int64_t m = i / across, n = i % across * 4;
        const float *y = (const float *)f.C + m * f.ldc + n;
        float x[4] = {0, 0, 0, 0};
        for (int k = 0; k < 4; k++)
            x[k] = n + k < f.N ? y[k] : 0.0f;
        finish4(f, m, n, make_float4(x[0], x[1], x[2], x[3]));
    }
}

void finish_product(const Run *run, const Finish *f)
{
    if (f->bias || f->residual || f->act != ACT_NONE)
        LAUNCH(run, finish_kernel, blocks_for(f->M * ((f->N + 3) / 4), 256), 256, 0, *f);
}
