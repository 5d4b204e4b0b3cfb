/* kernels/cuda/image/image.h: what the kernels of images share: sums over the windows of an image, and blocks whose
 * warps read 32 channels of a pixel.
 *
 * A convolution and its gradient to x are the same sum with other numbers: a result is the sum over taps (t, u) and
 * channels of a pixel of the source times a weight. Windows has the numbers; product.cu and direct.cu compute the
 * sum. */
#ifndef SAPOR_CUDA_IMAGE_H
#define SAPOR_CUDA_IMAGE_H

#include "kernels/cuda/act.h"

/* Result (r, c), 0 <= r < high, 0 <= c < wide, of each image reads for tap (t, u) the source's pixel
 * (r scale + first_h + t step, c scale + first_w + u step), or zeros where that is outside of the source. */
typedef struct Windows {
    const float *x; /* the source [B, H, W, C] */
    int64_t B, C;
    int H, W;
    int high, wide, scale, first_h, first_w, step;
    int taps_h, taps_w;
    /* Each group has `depth` channels of the source and `columns` of the result. Row (tap depth + d) of the weights
     * has the group's columns from group `apart` on; tap (t, u) is number tap_first + t tap_h + u tap_w. */
    const float *packed;
    int groups, depth, columns, apart, ld;
    int tap_first, tap_h, tap_w;
    /* The result is pixel b y_image + y_first + r y_row + c y_column of y, which has groups columns channels:
     * y = act(sum + bias + residual) */
    float *y;
    int64_t y_image, y_first, y_row, y_column;
    const float *bias, *residual; /* or NULL; residual may be y */
    Act act;
} Windows;

/* kernels/cuda/image/product.cu: as a product of matrices; the weights are 16-byte aligned, apart and ld multiples of
 * 4 */
void windows_product(const Run *run, const Windows *w);
/* kernels/cuda/image/direct.cu: a thread for each few results; apart is columns */
void windows_direct(const Run *run, const Windows *w);

/* Where the source's pixels of a result begin */
typedef struct Origin {
    int64_t from, to; /* numbers of x and of y before channel 0: of tap (0, 0), which may be outside; of the result */
    int h, w;         /* row and column of tap (0, 0) */
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

/* VECTOR (4 or 1) numbers to shared memory without waiting, or zeros where !in */
template <int VECTOR> static __device__ inline void copy_async(float *to, const float *from, bool in)
{
    if (VECTOR == 4)
        cp_async16(to, from, in ? 16 : 0);
    else
        cp_async4(to, from, in ? 4 : 0);
}

/* Outputs of a convolution along one axis; none where the image is smaller than the kernel */
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

/* Weights [O, C/groups, kh, kw] as Windows reads them: [taps depth, groups apart]. The number of tap, channel d of the
 * source and column n of group g is weights[(g columns + n) by_column + d by_depth + tap]; columns from `columns` to
 * apart are zeros. */
typedef struct Packing {
    int64_t taps, depth, groups, columns, apart;
    int64_t by_depth, by_column;
} Packing;
static inline int64_t packed_floats(const Packing *p)
{
    return p->taps * p->depth * p->groups * p->apart;
}
void windows_pack(const Run *run, const Packing *p, const float *weights, float *packed); /* conv.cu */

/* ---- an image's row -------------------------------------------------------------------------- */

/* For kernels without long sums: a block has some results of one row of an image, blockIdx.x. Threads next to each
 * other have channels next to each other, so that a warp reads and writes whole lines of memory. A row has less than
 * 2^31 numbers: their divisions by the channels are of 32 bits, which are few instructions and no calls. */
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

/* A block of COLUMNS x LANES threads: threadIdx.x is a column, 32 of which are a line of memory; LANES rows are read
 * at once. A sum down a column is of each lane's rows, then of the lanes from the first to the last. */
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
/* All threads of a column get the sum of their x. May be called again at once. */
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

/* Long sums are cut into pieces, whose number the length alone decides: at least ROWS long, at most `most` of them. */
static inline int64_t piece_count(int64_t length, int64_t shortest, int64_t most)
{
    return MIN(div_up(length, shortest), most);
}
/* base.h's part_begin, on the device */
static __device__ inline int64_t piece_begin(int64_t length, int64_t pieces, int64_t piece)
{
    return length / pieces * piece + MIN(length % pieces, piece);
}

#endif
