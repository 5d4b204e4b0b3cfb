/* kernels/cuda/elementwise.cu: y[i] = f(x[i]): one thread a number, limited by the bandwidth of memory. */
#include "kernels/cuda/cuda.h"

static __global__ void __launch_bounds__(256) fill_kernel(int64_t n, float value, float *y)
{
    for (int64_t i = first_index(); i < n; i += all_threads())
        y[i] = value;
}
void cuda_fill(const Run *run, int64_t n, float value, float *y)
{
    LAUNCH(run, fill_kernel, blocks_for(n, 256), 256, 0, n, value, y);
}
