/* kernels/cuda/rank/knn_lists.cu: the nearest rows among those of some lists: the search of an inverted file
 * (nn/knn.c).
 *
 * One block per 32 queries, 4 per warp. The block keeps the k best of each query, as in topk.cu. For each list, a word
 * of 32 bits says which of the block's queries search it. The block takes the lists that have a bit, one after the
 * other, and each warp ranks those of its queries whose bit is set. So a list is read once for all queries of the block
 * that search it.
 *
 * What bounds it: nn/knn.c gives queries sorted by list, so that the queries of a block search mostly the same lists.
 * If queries come in any order, a block reads a list for a few of them only, and the kernel is memory-bound. Each list
 * begins with a barrier and a wait for memory. The other block of the multiprocessor hides a part of this wait. */
#include "kernels/cuda/rank/rank.h"

/* The largest number of blocks: more than a card runs at the same time. Each block has one word per list in scratch. */
enum { MOST_SEARCHES = 512, R = 4, QUERIES = RANK_WARPS * R, MOST_IN_SHARED = 128 };

typedef struct Search {
    Product product;
    int64_t Q, L, P; /* queries, lists, lists that a query searches */
    int k;
    bool in_shared;       /* the k best are in shared memory during the search; otherwise in the result */
    const int32_t *probe; /* [Q, P]: these lists; -1: none */
    const int64_t *start; /* [L+1]: list l has the rows start[l] .. start[l+1] - 1 of the items */
    uint32_t *searches;   /* [blocks, L]: bit q is set if query q of the block searches the list */
    float *values;
    int32_t *ids;
} Search;

/* Computes the block's words. */
static __device__ inline void mark_searches(const Search *x, int64_t begin, int64_t queries, uint32_t *searches)
{
    for (int64_t l = threadIdx.x; l < x->L; l += RANK_THREADS)
        searches[l] = 0;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < queries * x->P; i += RANK_THREADS) {
        const int32_t l = x->probe[begin * x->P + i];
        if (l >= 0)
            atomicOr(&searches[l], 1u << (uint32_t)(i / x->P));
    }
    __syncthreads();
}

/* Searches the lists for 32 queries per block and turn. Registers are limited so that two blocks fit into a
 * multiprocessor. */
template <class T> static __global__ void __launch_bounds__(RANK_THREADS, 2) search_kernel(Search x)
{
    DYNAMIC_SHARED(RankShared<R>, s);
    float *value = (float *)(s + 1);
    uint32_t *searches = x.searches + blockIdx.x * x.L;
    const int warp = (int)threadIdx.x / WARP;
    for (int64_t begin = blockIdx.x * (int64_t)QUERIES; begin < x.Q; begin += gridDim.x * (int64_t)QUERIES) {
        Lists lists = {x.k, value, (int32_t *)(value + QUERIES * x.k)};
        if (!x.in_shared)
            lists = Lists{x.k, x.values + begin * x.k, x.ids + begin * x.k};
        const int64_t queries = MIN(x.Q - begin, (int64_t)QUERIES), copied = threadIdx.x / 4;
        const int rows = (int)MAX(MIN(queries - warp * R, (int64_t)R), (int64_t)0);
        const T *row = copied < queries ? (const T *)x.product.rows.data + (begin + copied) * x.product.rows.D : NULL;
        lists_begin(s, &lists, rows);
        mark_searches(&x, begin, queries, searches);
        for (int64_t first = 0; first < x.L; first += WARP) {
            const uint32_t word = first + lane_id() < x.L ? searches[first + lane_id()] : 0;
            for (uint32_t some = __ballot_sync(FULL_MASK, word != 0); some; some &= some - 1) {
                const int at = __ffs((int)some) - 1;
                const uint32_t active = __shfl_sync(FULL_MASK, word, at) >> warp * R & ((1u << R) - 1);
                rank_range<R, T>(&x.product, s, &lists, NULL, row, NULL, x.start[first + at], x.start[first + at + 1],
                                 active);
            }
        }
        lists_end(s, &lists, rows, x.values + begin * x.k, x.ids + begin * x.k);
        __syncthreads();
    }
}

static int64_t blocks_of(int64_t Q)
{
    return MIN(div_up(Q, QUERIES), (int64_t)MOST_SEARCHES);
}

size_t cuda_knn_lists_work(const Run *run, int64_t Q, int64_t L, int64_t D, int64_t P)
{
    (void)run, (void)D, (void)P;
    return (size_t)(blocks_of(Q) * L) * sizeof(uint32_t);
}

template <class T> static void launch_search(const Run *run, const Search *x)
{
    const size_t lists = x->in_shared ? (size_t)(QUERIES * x->k) * (sizeof(float) + sizeof(int32_t)) : 0;
    typedef RankShared<R> Shared;
    const size_t shared = sizeof(Shared) + lists;
    allow_shared((search_kernel<T>), shared);
    LAUNCH(run, (search_kernel<T>), blocks_of(x->Q), RANK_THREADS, shared, *x);
}

void cuda_knn_lists(const Run *run, int64_t Q, int64_t L, int64_t D, int64_t P, int64_t k, DType type, const void *q,
                    const int32_t *probe, const int64_t *start, const void *x, const int32_t *number, int32_t *ids,
                    float *values)
{
    Search search = {};
    search.product.rows = rows_of(q, D);
    search.product.items = rows_of(x, D);
    search.product.number = number;
    search.Q = Q;
    search.L = L;
    search.P = P;
    search.k = (int)k;
    search.in_shared = k <= MOST_IN_SHARED;
    search.probe = probe;
    search.start = start;
    search.searches = (uint32_t *)run->work;
    search.values = values;
    search.ids = ids;
    if (k > 0)
        WITH_TYPE(type, T, launch_search<T>(run, &search));
}
