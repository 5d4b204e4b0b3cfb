/* kernels/cuda/image/image.h: what the image kernels share: sums over the windows of an image, and blocks whose warps
 * read 32 channels of a pixel.
 *
 * A convolution and its gradient to x are the same kind of sum: a result is the sum, over taps (t, u) and channels, of
 * a number of the source times a weight. Windows describes this sum; product.cu and direct.cu compute it. */
#ifndef SAPOR_CUDA_IMAGE_H
#define SAPOR_CUDA_IMAGE_H

#include "kernels/cuda/act.h"

/* The windows of a convolution. The result of each image has `high` rows and `wide` columns. For the result in row r
 * and column c, tap (t, u) reads this pixel of the source:
 *
 *   (r scale + first_h + t step, c scale + first_w + u step)
 *
 * Pixels outside the source are zeros. */
typedef struct Windows {
    const float *x; /* the source [B, H, W, C] */
    int64_t B, C;
    int H, W;
    int high, wide, scale, first_h, first_w, step;
    int taps_h, taps_w;
    /* Each group has `depth` channels of the source and `columns` channels of the result. The weights are a matrix with
     * `ld` numbers per row. Channel d of tap number `tap` is row tap * depth + d, and the columns of group g begin at
     * column g * group_step. Tap (t, u) has the number tap_first + t tap_h + u tap_w. */
    const float *packed;
    int groups, depth, columns, group_step, ld;
    int tap_first, tap_h, tap_w;
    /* The result is pixel b y_image + y_first + r y_row + c y_column of y. y has groups * columns channels:
     *
     *   y = act(sum + bias + residual) */
    float *y;
    int64_t y_image, y_first, y_row, y_column;
    const float *bias, *residual; /* may be NULL; residual may be y */
    Act act;
} Windows;

/* kernels/cuda/image/product.cu: computes the sum as a product of matrices. The weights must be aligned to 16 bytes;
 * `group_step` and `ld` must be multiples of 4. */
void windows_product(const Run *run, const Windows *w);
/* kernels/cuda/image/direct.cu: computes the sum with one thread per few results. `group_step` must be equal to
 * `columns`. */
void windows_direct(const Run *run, const Windows *w);

/* The place where the window of a result begins */
typedef struct Origin {
    /* `from`: the offset in x of channel 0 under tap (0, 0), which may be outside the source; `to`: the offset of the
     * result in y */
    int64_t from, to;
    int h, w; /* row and column of the source under tap (0, 0) */
} Origin;
static __device__ inline Origin place_of(const Windows &w, int64_t b, int r, int c)
{
    Origin p;
    p.h = r * w.scale + w.first_h;
    p.w = c * w.scale + w.first_w;
    p.from = ((b * w.H + p.h) * w.W + p.w) * w.C;
    p.to = (b * w.y_image + w.y_first + r * w.y_row + c * w.y_column) * ((int64_t)w.groups * w.columns);
    return p;
}
static __device__ inline bool inside(int i, int size)
{
    return (unsigned)i < (unsigned)size;
}

/* Copies VECTOR (4 or 1) numbers to shared memory asynchronously. Writes zeros if !in. */
template <int VECTOR> static __device__ inline void copy_async(float *to, const float *from, bool in)
{
    if (VECTOR == 4)
        cp_async16(to, from, in ? 16 : 0);
    else
        cp_async4(to, from, in ? 4 : 0);
}

/* Returns the number of outputs of a convolution along one axis: 0 if the image is smaller than the kernel. */
static inline int64_t outputs(int64_t in, int64_t kernel, int64_t stride, int64_t pad)
{
    return in + pad < kernel ? 0 : conv_out(in, kernel, stride, pad);
}
static inline int64_t conv_high(const Conv *c)
{
    return outputs(c->H, c->kh, c->stride, c->top + c->bottom);
}
static inline int64_t conv_wide(const Conv *c)
{
    return outputs(c->W, c->kw, c->stride, c->left + c->right);
}

/* How weights [O, C/groups, kh, kw] are packed into the matrix of Windows, [taps * depth, groups * group_step]. The
 * number for `tap`, channel d of the source and column n of group g is
 *
 *   weights[(g * columns + n) * by_column + d * by_depth + tap]
 *
 * A group has group_step columns in the matrix: its own `columns`, then zeros. */
typedef struct Packing {
    int64_t taps, depth, groups, columns, group_step;
    int64_t by_depth, by_column;
} Packing;
static inline int64_t packed_floats(const Packing *p)
{
    return p->taps * p->depth * p->groups * p->group_step;
}
void windows_pack(const Run *run, const Packing *p, const float *weights, float *packed); /* conv.cu */

/* ---- a row of an image ----------------------------------------------------------------------- */

/* For kernels without long sums. A block computes results of one row of an image, number blockIdx.x. Neighbouring
 * threads have neighbouring channels, so that a warp reads and writes whole cache lines. A row has less than 2^31
 * numbers. So the divisions by the number of channels have 32 bits: they are a few instructions, and not a call of a
 * function. */
enum { ROW_THREADS = 256 };
static inline dim3 row_grid(int64_t rows, int64_t items)
{
    return dim3((unsigned)rows, (unsigned)MIN(div_up(items, ROW_THREADS), 65535));
}
static __device__ inline unsigned first_item(void)
{
    return blockIdx.y * ROW_THREADS + threadIdx.x;
}
static __device__ inline unsigned all_items(void)
{
    return gridDim.y * ROW_THREADS;
}

/* ---- columns of a matrix --------------------------------------------------------------------- */

/* A block has COLUMNS x LANES threads. threadIdx.x is a column: 32 columns of floats are a cache line of 128 bytes.
 * threadIdx.y is called a lane here (it is not the lane of a warp). LANES rows are read at the same time, one per lane.
 * For a sum over a column, each lane first adds up its own rows. Then the LANES sums are added, from the first lane to
 * the last. */
enum { COLUMNS = 32, LANES = 8 };
static inline dim3 column_grid(int64_t pieces, int64_t C)
{
    return dim3((unsigned)pieces, (unsigned)div_up(C, COLUMNS));
}
static inline dim3 column_block(void)
{
    return dim3(COLUMNS, LANES);
}
static __device__ inline int64_t column_id(void)
{
    return (int64_t)blockIdx.y * COLUMNS + threadIdx.x;
}
/* Adds up the x of the LANES threads of a column. Each of these threads gets the sum. All threads of the block must
 * call this function. It may be called again immediately. */
static __device__ inline float lanes_sum(float x)
{
    SHARED(float, part, [LANES][COLUMNS]);
    part[threadIdx.y][threadIdx.x] = x;
    __syncthreads();
    float sum = part[0][threadIdx.x];
    for (int lane = 1; lane < LANES; lane++)
        sum += part[lane][threadIdx.x];
    __syncthreads();
    return sum;
}

/* Returns the number of pieces into which a long sum is divided, at most `most`. It depends only on the length. A piece
 * has at most `length_limit` elements, and more than half as many if there are several pieces. If there are `most`
 * pieces, they may be longer. */
static inline int64_t piece_count(int64_t length, int64_t length_limit, int64_t most)
{
    return MIN(div_up(length, length_limit), most);
}
/* Returns the first element of a piece, like part_begin of base.h. */
static __device__ inline int64_t piece_begin(int64_t length, int64_t pieces, int64_t piece)
{
    return length / pieces * piece + MIN(length % pieces, piece);
}

#endif
