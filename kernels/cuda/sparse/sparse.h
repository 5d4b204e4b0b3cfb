/* kernels/cuda/sparse/sparse.h: rows of a sparse matrix that differ in length by orders of magnitude, dealt out to
 * warps.
 *
 * A block has WARPS warps and takes WARPS rows in a turn. A warp computes its row alone where that has at most LONG_ROW
 * entries; a longer one, which would keep a warp busy long after all others, is then computed by the whole block. Which
 * of the two it is depends on the row's length alone, and so do the bits of its result. The host cannot deal out rows
 * by their lengths: they are in memory of the device. */
#ifndef SAPOR_CUDA_SPARSE_H
#define SAPOR_CUDA_SPARSE_H

#include "kernels/cuda/sparse/columns.h"

enum { LONG_ROW = 512 }; /* entries */

/* The row of a warp in a turn. Rows of one turn are gridDim.x apart: neighbours are often long together, as nodes that
 * were numbered by their degree. */
static __device__ inline int64_t turn_row(int64_t turn, int warp)
{
    return (turn * WARPS + warp) * gridDim.x + blockIdx.x;
}
static __device__ inline int64_t row_length(const Sparse &A, int64_t r)
{
    return A.start[r + 1] - A.start[r];
}
/* Bit w: the row of warp w is a long one. All warps of a block get the same bits. */
static __device__ inline unsigned long_rows(const Sparse &A, int64_t turn)
{
    const int64_t r = turn_row(turn, lane_id());
    return __ballot_sync(FULL_MASK, lane_id() < WARPS && r < A.rows && row_length(A, r) > LONG_ROW);
}
/* `alone` for the rows that a warp computes, then `together` for those of a block, each with the row's number as r. */
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
