/* kernels/cuda/sparse/sparse.h: how the rows of a sparse matrix are divided among warps. Their lengths differ by orders
 * of magnitude.
 *
 * A block has WARPS warps and takes WARPS rows per turn. One warp computes a row of at most LONG_ROW entries. The whole
 * block computes each longer row, after the short rows of the turn: one warp would still be busy with it long after all
 * others have finished. The choice depends only on the row's length, so the bits of the result do, too. The host cannot
 * divide the rows by their lengths: the lengths are in the memory of the device. */
#ifndef SAPOR_CUDA_SPARSE_H
#define SAPOR_CUDA_SPARSE_H

#include "kernels/cuda/sparse/columns.h"

enum { LONG_ROW = 512 }; /* entries */

/* Returns the row of a warp in a turn. The rows of one turn are gridDim.x apart: neighbouring rows are often long
 * together, for example if nodes are numbered by their degree. */
static __device__ inline int64_t turn_row(int64_t turn, int warp)
{
    return (turn * WARPS + warp) * gridDim.x + blockIdx.x;
}
static __device__ inline int64_t row_length(const Sparse &A, int64_t r)
{
    return A.start[r + 1] - A.start[r];
}
/* Returns a word in which bit w is set if the row of warp w is long. All warps of a block get the same bits. */
static __device__ inline unsigned long_rows(const Sparse &A, int64_t turn)
{
    const int64_t r = turn_row(turn, lane_id());
    return __ballot_sync(FULL_MASK, lane_id() < WARPS && r < A.rows && row_length(A, r) > LONG_ROW);
}
/* Runs `alone` for each row that one warp computes, then `together` for each row that the whole block computes. `r` is
 * the row's number in both. */
#define FOR_ROWS(A, r, alone, together)                                                                                \
    for (int64_t turn_ = 0; turn_row(turn_, 0) < (A).rows; turn_++) {                                                  \
        const int warp_ = warp_in_block();                                                                             \
        const unsigned long_ = long_rows(A, turn_);                                                                    \
        {                                                                                                              \
            const int64_t r = turn_row(turn_, warp_);                                                                  \
            if (r < (A).rows && !(long_ >> warp_ & 1))                                                                 \
                alone;                                                                                                 \
        }                                                                                                              \
        for (int w_ = 0; long_ >> w_ > 0; w_++) {                                                                      \
            const int64_t r = turn_row(turn_, w_);                                                                     \
            if (long_ >> w_ & 1)                                                                                       \
                together;                                                                                              \
        }                                                                                                              \
    }
static inline unsigned row_blocks(const Sparse *A)
{
    return (unsigned)blocks_for(A->rows, WARPS);
}

#endif
