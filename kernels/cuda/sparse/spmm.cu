/* kernels/cuda/sparse/spmm.cu: y = alpha A x + beta y, A sparse [rows, columns], x and y rows of D floats.
 * docs/kernels/spmm.md ("On a GPU") explains each step.
 *
 * What bounds it: each entry reads one row of x, 256 bytes at D = 64, for 128 operations. So the limit is the bandwidth
 * of the L2 cache, or of memory if x does not fit into that cache. A row of x is therefore read in as few accesses as
 * possible, and the loads of many entries are in flight together. */
#include "kernels/cuda/sparse/sparse.h"

/* Returns the factor of entry e, which is in column c, without the row's scale. */
static __device__ inline float entry_weight(const Sparse &A, int64_t e, int64_t c)
{
    const float w = A.val ? A.val[A.val_index ? A.val_index[e] : e] : 1.0f;
    return A.col_scale ? w * A.col_scale[c] : w;
}

/* Adds up w x[c, :] over entries of a row. The warp takes entries first .. first + 31, then the 32 entries that are
 * `step` further on, and stops at `end`.
 *
 * A place is a group of LANES lanes that share a row of x, four columns each. A warp has 32 / LANES places, and each
 * place takes every (32 / LANES)-th entry. First each lane reads the column and the weight of one entry (coalesced).
 * The lanes of the entry's place get these two numbers by shuffles. So the addresses of 32 rows of x are known after
 * one latency, instead of one latency per entry.
 * All lanes get the sum. It is added in the order of the entries in each place, then over the places as a tree. */
template <bool VECTOR, int LANES>
static __device__ inline void sum_entries(const Sparse &A, const float *x, int64_t ldx, int columns, int64_t first,
                                          int64_t end, int step, float sum[EACH])
{
    enum { PLACES = WARP / LANES, DEEP = LANES < 4 ? LANES : 4 }; /* DEEP: entries that a place loads together */
    const int place = lane_id() / LANES, lane = lane_id() % LANES;
    for (int k = 0; k < EACH; k++)
        sum[k] = 0.0f;
    for (int64_t at = first; at < end; at += step) {
        const int n = (int)MIN(end - at, (int64_t)WARP);
        int32_t col = 0;
        float weight = 0.0f;
        if (lane_id() < n) {
            col = A.col[at + lane_id()];
            weight = entry_weight(A, at + lane_id(), col);
        }
        for (int i = 0; i < n; i += PLACES * DEEP) {
            float row[DEEP][EACH], w[DEEP];
            for (int k = 0; k < DEEP; k++) {
                const int entry = i + k * PLACES + place;
                const int64_t c = __shfl_sync(FULL_MASK, col, entry);
                w[k] = __shfl_sync(FULL_MASK, weight, entry);
                load_columns(x + c * ldx, VECTOR, lane, LANES, entry < n ? columns : 0, row[k]);
            }
            for (int k = 0; k < DEEP; k++) {
                for (int j = 0; j < EACH; j++)
                    sum[j] = fmaf(w[k], row[k][j], sum[j]);
            }
        }
    }
    for (int apart = LANES; apart < WARP; apart *= 2) {
        for (int k = 0; k < EACH; k++)
            sum[k] += __shfl_xor_sync(FULL_MASK, sum[k], apart);
    }
}

/* The product y = alpha A x + beta y. A block computes one tile of up to 128 columns. */
typedef struct Spmm {
    int64_t D;
    const float *x;
    int64_t ldx;
    float alpha, beta;
    float *y;
    int64_t ldy;
} Spmm;

template <bool VECTOR, int LANES>
static __device__ inline void row_alone(const Sparse &A, const Spmm &p, int64_t r, float scale)
{
    const int columns = tile_columns(p.D);
    float sum[EACH];
    sum_entries<VECTOR, LANES>(A, p.x + tile_first(), p.ldx, columns, A.start[r], A.start[r + 1], WARP, sum);
    if (lane_id() < LANES)
        write_columns(p.y + r * p.ldy + tile_first(), VECTOR, lane_id(), LANES, columns, scale, p.beta, sum);
}

/* Computes one row by the whole block. The warps take 32 entries each in turn. Their sums go through shared memory and
 * are added from the first warp to the last. */
template <bool VECTOR, int LANES>
static __device__ inline void row_together(const Sparse &A, const Spmm &p, int64_t r, float scale)
{
    SHARED(float, part, [WARPS][EACH * LANES]);
    const int columns = tile_columns(p.D), warp = warp_in_block(), c = (int)threadIdx.x;
    float sum[EACH];
    sum_entries<VECTOR, LANES>(A, p.x + tile_first(), p.ldx, columns, A.start[r] + warp * WARP, A.start[r + 1], BLOCK,
                               sum);
    if (lane_id() < LANES)
        store_columns(part[warp], VECTOR, lane_id(), LANES, columns, sum);
    __syncthreads();
    if (c < columns) {
        float *y = p.y + r * p.ldy + tile_first() + c, total = part[0][c];
        for (int w = 1; w < WARPS; w++)
            total += part[w][c];
        *y = p.beta == 0.0f ? scale * total : fmaf(scale, total, p.beta * *y);
    }
    __syncthreads();
}

template <bool VECTOR, int LANES> static __global__ void __launch_bounds__(BLOCK) spmm_kernel(Sparse A, Spmm p)
{
    FOR_ROWS(A, r, (row_alone<VECTOR, LANES>(A, p, r, A.row_scale ? p.alpha * A.row_scale[r] : p.alpha)),
             (row_together<VECTOR, LANES>(A, p, r, A.row_scale ? p.alpha * A.row_scale[r] : p.alpha)))
}

void cuda_spmm(const Run *run, const Sparse *A, int64_t D, DType type, const void *x, int64_t ldx, float alpha,
               float beta, void *y, int64_t ldy)
{
    (void)type;

    const Spmm p = {D, (const float *)x, ldx, alpha, beta, (float *)y, ldy};
    const dim3 grid(row_blocks(A), tiles_for(D));
    const bool fours = D % EACH == 0 && rows_in_fours(x, ldx, sizeof(float)) && rows_in_fours(y, ldy, sizeof(float));
    WITH_VECTOR(fours, V, WITH_LANES(lanes_for(D), L, LAUNCH(run, (spmm_kernel<V, L>), grid, BLOCK, 0, *A, p)));
}
