/* kernels/cuda/image/batch_norm.cu: batch norm (Ioffe & Szegedy 2015) over the columns of x [M, C]. Sums down a column
 * are divided into parts of rows, whose number depends only on M. The parts' sums are in scratch: [parts, C], in the
 * backward pass [parts + 1, 2, C]. All kernels are memory-bound: the forward pass reads x three times (once with the
 * running statistics), the backward pass reads x and dy twice. The blocks are those of image.h ("columns of a matrix");
 * reads and writes are coalesced. */
#include "kernels/cuda/image/image.h"

enum {
    PART = 64,   /* rows per part, eight for each lane: the `length_limit` of piece_count */
    PARTS = 256, /* parts, at most */
    ROWS = 64    /* rows per block of the kernels without sums */
};

static int64_t part_count(int64_t M)
{
    return piece_count(M, PART, PARTS);
}

size_t cuda_batch_norm_work(const Run *run, const BatchNorm *t)
{
    (void)run;
    return t->batch ? (size_t)(part_count(t->M) * t->C) * sizeof(float) : 0;
}

/* Computes a part's sums of x, or of (x - mean)^2 if `squares` is true. One block per part and 32 columns. The squares
 * are summed in a second pass, when the mean is known: one pass for both sums would round more if the mean is large. */
static __global__ void __launch_bounds__(COLUMNS *LANES)
    part_kernel(BatchNorm t, int64_t parts, bool squares, float *sums)
{
    const int64_t c = column_id(), end = piece_begin(t.M, parts, blockIdx.x + 1);
    const float mean = squares && c < t.C ? t.mean[c] : 0.0f;
    float sum = 0;
    for (int64_t m = piece_begin(t.M, parts, blockIdx.x) + threadIdx.y; m < end && c < t.C; m += LANES) {
        const float away = t.x[m * t.C + c] - mean;
        sum = squares ? fmaf(away, away, sum) : sum + away;
    }
    sum = lanes_sum(sum);
    if (threadIdx.y == 0 && c < t.C)
        sums[blockIdx.x * t.C + c] = sum;
}

/* Adds up the parts' sums of one column: the sum of a part is sums[part * ld]. All threads of the column get the total.
 * If `any` is false, the column is not in the matrix: the threads read nothing, but take part in the barriers of
 * lanes_sum. */
static __device__ inline float parts_sum(int64_t parts, int64_t ld, const float *sums, bool any)
{
    float sum = 0;
    for (int64_t part = threadIdx.y; part < parts && any; part += LANES)
        sum += sums[part * ld];
    return lanes_sum(sum);
}

/* Computes the statistics of 32 columns per block. If `squares` is false, `sums` are the parts' sums of x, and the
 * kernel writes the mean. Otherwise they are the sums of squares, and it writes rstd and updates the running
 * statistics. */
static __global__ void __launch_bounds__(COLUMNS *LANES)
    statistics_kernel(BatchNorm t, int64_t parts, bool squares, const float *sums)
{
    const int64_t c = column_id();
    const float sum = parts_sum(parts, t.C, sums + c, c < t.C), by = 1.0f / (float)t.M;
    if (threadIdx.y > 0 || c >= t.C)
        return;
    if (!squares) {
        t.mean[c] = sum * by;
        return;
    }
    const float var = sum * by, unbiased = (float)t.M / (float)MAX(t.M - 1, (int64_t)1);
    t.rstd[c] = 1.0f / sqrtf(var + t.eps);
    t.running_mean[c] = fmaf(t.mean[c] - t.running_mean[c], t.momentum, t.running_mean[c]);
    t.running_var[c] = fmaf(var * unbiased - t.running_var[c], t.momentum, t.running_var[c]);
}

/* Computes y = (x - mean) rstd gamma + beta. A thread normalises eight numbers of a column. If the running statistics
 * are used, the threads of the first row also write them to mean and rstd, for the backward pass. */
static __global__ void __launch_bounds__(COLUMNS *LANES) normalise_kernel(BatchNorm t)
{
    const int64_t c = column_id(), first = (int64_t)blockIdx.x * ROWS + threadIdx.y;
    if (c >= t.C)
        return;
    const float mean = t.batch ? t.mean[c] : t.running_mean[c],
                rstd = t.batch ? t.rstd[c] : 1.0f / sqrtf(t.running_var[c] + t.eps), gamma = t.gamma[c],
                beta = t.beta[c];
    if (!t.batch && first == 0) {
        t.mean[c] = mean;
        t.rstd[c] = rstd;
    }
    for (int64_t m = first; m < MIN((int64_t)(blockIdx.x + 1) * ROWS, t.M); m += LANES)
        t.y[m * t.C + c] = fmaf((t.x[m * t.C + c] - mean) * rstd, gamma, beta);
}

void cuda_batch_norm(const Run *run, const BatchNorm *t)
{
    const int64_t parts = part_count(t->M);
    float *sums = (float *)run->work;
    for (int squares = 0; t->batch && t->M > 0 && squares < 2; squares++) {
        LAUNCH(run, part_kernel, column_grid(parts, t->C), column_block(), 0, *t, parts, squares != 0, sums);
        LAUNCH(run, statistics_kernel, column_grid(1, t->C), column_block(), 0, *t, parts, squares != 0, sums);
    }
    LAUNCH(run, normalise_kernel, column_grid(div_up(t->M, ROWS), t->C), column_block(), 0, *t);
}

/* backward pass */

size_t cuda_batch_norm_back_work(const Run *run, const BatchNormBack *b)
{
    (void)run; /* two sums per part, and two totals: of dy, and of dy times the normalised x */
    return (size_t)((part_count(b->forward.M) + 1) * 2 * b->forward.C) * sizeof(float);
}

/* Computes a part's sums [2, C] of dy and of dy times the normalised x. One block per part and 32 columns. */
static __global__ void __launch_bounds__(COLUMNS *LANES) slopes_kernel(BatchNormBack b, int64_t parts, float *sums)
{
    const BatchNorm &t = b.forward;
    const int64_t c = column_id(), end = piece_begin(t.M, parts, blockIdx.x + 1);
    const float mean = c < t.C ? t.mean[c] : 0.0f, rstd = c < t.C ? t.rstd[c] : 0.0f;
    float sum = 0, product = 0;
    for (int64_t m = piece_begin(t.M, parts, blockIdx.x) + threadIdx.y; m < end && c < t.C; m += LANES) {
        const float dy = b.dy[m * t.C + c];
        sum += dy;
        product = fmaf(dy, (t.x[m * t.C + c] - mean) * rstd, product);
    }
    sum = lanes_sum(sum);
    product = lanes_sum(product);
    if (threadIdx.y == 0 && c < t.C) {
        sums[blockIdx.x * 2 * t.C + c] = sum;
        sums[(blockIdx.x * 2 + 1) * t.C + c] = product;
    }
}

/* Adds up the parts' sums of 32 columns per block. Writes the totals after the parts' sums, and adds them to the
 * gradients of the parameters. */
static __global__ void __launch_bounds__(COLUMNS *LANES) parameters_kernel(BatchNormBack b, int64_t parts, float *sums)
{
    const int64_t c = column_id(), C = b.forward.C;
    const float sum = parts_sum(parts, 2 * C, sums + c, c < C), product = parts_sum(parts, 2 * C, sums + C + c, c < C);
    if (threadIdx.y > 0 || c >= C)
        return;
    sums[parts * 2 * C + c] = sum;
    sums[(parts * 2 + 1) * C + c] = product;
    if (b.dbeta)
        b.dbeta[c] += sum;
    if (b.dgamma)
        b.dgamma[c] += product;
}

/* Computes the gradient to the input. With the batch's own mean and variance:
 *
 *   dx = gamma rstd (dy - mean(dy) - normal mean(dy normal)),   normal = (x - mean) rstd
 *
 * With the running statistics: dx = gamma rstd dy. A thread computes eight numbers of a column. */
static __global__ void __launch_bounds__(COLUMNS *LANES) input_kernel(BatchNormBack b, const float *total)
{
    const BatchNorm &t = b.forward;
    const int64_t c = column_id();
    if (c >= t.C)
        return;
    const float mean = t.mean[c], rstd = t.rstd[c], scale = t.gamma[c] * rstd, by = t.batch ? 1.0f / (float)t.M : 0.0f,
                sum = total[c], product = total[t.C + c];
    for (int64_t m = (int64_t)blockIdx.x * ROWS + threadIdx.y; m < MIN((int64_t)(blockIdx.x + 1) * ROWS, t.M);
         m += LANES) {
        const float normal = (t.x[m * t.C + c] - mean) * rstd;
        b.dx[m * t.C + c] = (b.dy[m * t.C + c] - fmaf(normal, product, sum) * by) * scale;
    }
}

void cuda_batch_norm_back(const Run *run, const BatchNormBack *b)
{
    const int64_t M = b->forward.M, C = b->forward.C, parts = part_count(M);
    float *sums = (float *)run->work;
    if (M == 0)
        return;
    LAUNCH(run, slopes_kernel, column_grid(parts, C), column_block(), 0, *b, parts, sums);
    LAUNCH(run, parameters_kernel, column_grid(1, C), column_block(), 0, *b, parts, sums);
    if (b->dx)
        LAUNCH(run, input_kernel, column_grid(div_up(M, ROWS), C), column_block(), 0, *b, sums + parts * 2 * C);
}
