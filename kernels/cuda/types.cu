/* kernels/cuda/types.cu: the conversion of numbers to another type, and which kernels support which types. */
#include "kernels/cuda/cuda.h"

bool cuda_supports(const char *entry, const char *operand, DType type)
{
    enum { BOTH = 1 << F16 | 1 << BF16 };
    static const struct {
        const char *entry, *operand;
        unsigned types; /* in addition to F32 */
    } NARROW[] = {{"gather", "table", BOTH},  {"convert", "x", BOTH},    {"convert", "y", BOTH},
                  {"knn", "q", BOTH},         {"knn", "x", BOTH},        {"knn_lists", "q", BOTH},
                  {"knn_lists", "x", BOTH},   {"topk", "users", BOTH},   {"topk", "items", BOTH},
                  {"attention", "q", BOTH},   {"attention", "k", BOTH},  {"attention", "v", BOTH},
                  {"attention", "out", BOTH}, {"gemm", "A", BOTH},       {"gemm", "B", BOTH},
                  {"gemm", "C", BOTH},        {"gemm", "residual", BOTH}};
    for (size_t i = 0; i < COUNT(NARROW); i++)
        if (strcmp(NARROW[i].entry, entry) == 0 && strcmp(NARROW[i].operand, operand) == 0 &&
            (NARROW[i].types >> type & 1u))
            return true;
    return type == F32;
}

/* V numbers that one access loads or stores: 16 bytes of float32, 8 bytes of a 16-bit type for V = 4 */
template <class T, int V> struct alignas(V * sizeof(T)) Numbers {
    T x[V];
};

/* Converts n numbers x to the type of y. A thread converts four consecutive numbers, or one if the pointers are not
 * aligned. Accesses are coalesced; the kernel is memory-bound. */
template <class X, class Y, int V>
static __global__ void __launch_bounds__(256) convert_kernel(int64_t n, const X *x, Y *y)
{
    for (int64_t i = V * first_index(); i < n; i += V * all_threads()) {
        if (i + V <= n) {
            CHECK_ALIGNED(x + i, V * sizeof(X));
            CHECK_ALIGNED(y + i, V * sizeof(Y));
            const Numbers<X, V> from = *(const Numbers<X, V> *)(x + i);
            Numbers<Y, V> to;
            for (int j = 0; j < V; j++)
                convert_number(from.x[j], &to.x[j]);
            *(Numbers<Y, V> *)(y + i) = to;
        } else {
            for (int64_t j = i; j < n; j++)
                convert_number(x[j], y + j);
        }
    }
}

template <class X, class Y> static void convert(const Run *run, int64_t n, const X *x, Y *y)
{
    if ((uintptr_t)x % (4 * sizeof(X)) == 0 && (uintptr_t)y % (4 * sizeof(Y)) == 0)
        LAUNCH(run, (convert_kernel<X, Y, 4>), blocks_for(n, 1024), 256, 0, n, x, y);
    else
        LAUNCH(run, (convert_kernel<X, Y, 1>), blocks_for(n, 256), 256, 0, n, x, y);
}

void cuda_convert(const Run *run, int64_t n, DType x_type, const void *x, DType y_type, void *y)
{
    WITH_TYPE(x_type, X, WITH_TYPE(y_type, Y, convert(run, n, (const X *)x, (Y *)y)));
}
