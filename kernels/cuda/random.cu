/* kernels/cuda/random.cu: kernels that draw a random number for each element: noise and dropout.
 *
 * Dropout and uniform noise have one thread per four consecutive numbers, or one per number if a pointer is not aligned
 * to 16 bytes. The other noises have one thread per number. Accesses are coalesced. Uniform draws are bounded by
 * integer instructions and memory about equally, the other draws by float64 arithmetic. */
#include "kernels/cuda/loops.h"
#include "kernels/cuda/random.h"

static __device__ inline float noise_of(Noise kind, Draw d, uint64_t index)
{
    switch (kind) {
    case NOISE_UNIFORM: break;
    case NOISE_NORMAL: return normal_of(d, index);
    case NOISE_GUMBEL: /* uniform_of returns multiples of 2^-24; half of this step makes 0 impossible */
        return (float)-log_of(-log_of((double)uniform_of(d, index) + 0x1p-25));
    }
    return uniform_of(d, index);
}

template <int V>
static __global__ void __launch_bounds__(256) noise_kernel(int64_t n, Noise kind, Draw d, uint64_t first, float *y)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        float v[V];
        for (int j = 0; j < V; j++)
            v[j] = noise_of(kind, d, first + (uint64_t)(i + j));
        store_part<V>(v, y, i, n);
    }
}
void cuda_noise(const Run *run, int64_t n, Noise kind, Draw d, uint64_t first, float *y)
{
    if (kind == NOISE_UNIFORM)
        LAUNCH_NUMBERS(run, noise_kernel, n, aligned16(y), n, kind, d, first, y);
    else /* One thread per number: each number needs much work, so more threads are better. */
        LAUNCH(run, noise_kernel<1>, blocks_for(n, 256), 256, 0, n, kind, d, first, y);
}

template <int V>
static __global__ void __launch_bounds__(256)
    dropout_kernel(int64_t n, float p, Draw d, uint64_t first, const float *x, float *y)
{
    const float scale = 1.0f / (1.0f - p);
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        float v[V];
        load_part<V>(x, i, n, v);
        for (int j = 0; j < V; j++)
            v[j] = uniform_of(d, first + (uint64_t)(i + j)) >= p ? scale * v[j] : 0.0f;
        store_part<V>(v, y, i, n);
    }
}
void cuda_dropout(const Run *run, int64_t n, float p, Draw d, uint64_t first, const float *x, float *y)
{
    LAUNCH_NUMBERS(run, dropout_kernel, n, aligned16(x) && aligned16(y), n, p, d, first, x, y);
}
