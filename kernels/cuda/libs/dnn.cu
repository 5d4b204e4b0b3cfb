/* kernels/cuda/libs/dnn.cu: float32 convolutions by cuDNN: the option "cudnn". With the option "tf32", cuDNN may round
 * operands to tf32.
 *
 * cuDNN reads weights as [O, kh, kw, C/groups]. Packed weights are our own packed form, followed in memory by cuDNN's
 * form. The backward pass converts the weights to cuDNN's form in scratch memory. In the forward pass, cuDNN computes
 * the convolution, and a kernel of ours then applies the bias, the residual and the activation. If the residual is
 * already in y, cuDNN adds it. Our own kernels compute the convolutions
 *
 * - with narrow types,
 * - with different padding on two opposite sides,
 * - with images that are not aligned to 16 bytes,
 * - with sizes above an int,
 * - for which cuDNN has no deterministic algorithm.
 *
 * A plan has the descriptors and the algorithm of one shape and pass. It is made once. The context keeps the last PLANS
 * plans. */
#include "kernels/cuda/libs/libs.h"

#ifndef HAVE_CUDNN

bool cudnn_use(Cuda *c, Error *e)
{
    (void)c;
    return fail(e, SP_UNSUPPORTED,
                "device cuda:cudnn: this plug-in was built without cuDNN's headers; `make deps CUDA=1` gets them");
}
void cudnn_close(Cuda *c)
{
    (void)c;
}

#else

#include <cudnn.h>
#include <stdio.h>

#include "kernels/cuda/image/image.h"

/* clang-format off */
#define FUNCTIONS(LINE)                                                                                                \
    LINE(cudnnCreate) LINE(cudnnDestroy) LINE(cudnnSetStream) LINE(cudnnGetErrorString)                                \
    LINE(cudnnCreateTensorDescriptor) LINE(cudnnSetTensor4dDescriptor) LINE(cudnnDestroyTensorDescriptor)              \
    LINE(cudnnCreateFilterDescriptor) LINE(cudnnSetFilter4dDescriptor) LINE(cudnnDestroyFilterDescriptor)              \
    LINE(cudnnCreateConvolutionDescriptor) LINE(cudnnSetConvolution2dDescriptor)                                       \
    LINE(cudnnDestroyConvolutionDescriptor) LINE(cudnnSetConvolutionMathType) LINE(cudnnSetConvolutionGroupCount)      \
    LINE(cudnnGetConvolutionForwardAlgorithm_v7) LINE(cudnnGetConvolutionBackwardDataAlgorithm_v7)                     \
    LINE(cudnnGetConvolutionBackwardFilterAlgorithm_v7) LINE(cudnnConvolutionForward)                                  \
    LINE(cudnnConvolutionBackwardData) LINE(cudnnConvolutionBackwardFilter)
/* clang-format on */

typedef enum Pass { FORWARD, BACK_DATA, BACK_WEIGHTS } Pass;
enum { SIZES = 13, PLANS = 64, MOST_ALGORITHMS = 16 };

typedef struct Plan {
    int64_t size[SIZES]; /* the sizes of the shape, and the pass: the key of the plan */
    bool usable;         /* false: our kernel computes this shape */
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t conv;
    int algorithm;
    size_t work_bytes;
} Plan;
typedef struct Dnn {
#define MEMBER(name) decltype(&::name) name;
    FUNCTIONS(MEMBER)
    cudnnHandle_t handle;
    Plan plans[PLANS];
    size_t made; /* number of plans made so far; plan i is in place i % PLANS */
} Dnn;

static Dnn *dnn_of(const Run *run)
{
    return (Dnn *)((Cuda *)run->context)->dnn;
}
static bool worked(Cuda *c, cudnnStatus_t status, const char *function)
{
    return status == CUDNN_STATUS_SUCCESS ||
           cuda_broke(c, SP_UNSUPPORTED, function, ((const Dnn *)c->dnn)->cudnnGetErrorString(status));
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* Chooses the first algorithm that gives the same bits in every run. The list is sorted by the time that cuDNN expects.
 * Returns false if there is no such algorithm. */
template <class Perf> static bool choose(Plan *p, const Perf *list, int count, bool tf32)
{
    for (int i = 0; i < count; i++) {
        if (list[i].status != CUDNN_STATUS_SUCCESS || list[i].determinism != CUDNN_DETERMINISTIC)
            continue;
        if (list[i].mathType != CUDNN_FMA_MATH && !tf32 && list[i].mathType != CUDNN_DEFAULT_MATH)
            continue;
        p->algorithm = (int)list[i].algo;
        p->work_bytes = list[i].memory;
        return true;
    }
    return false;
}

static bool find_algorithm(Dnn *d, Plan *p, Pass pass, bool tf32)
{
    int count = 0;
    if (pass == FORWARD) {
        cudnnConvolutionFwdAlgoPerf_t list[MOST_ALGORITHMS];
        return d->cudnnGetConvolutionForwardAlgorithm_v7(d->handle, p->x, p->w, p->conv, p->y, MOST_ALGORITHMS, &count,
                                                         list) == CUDNN_STATUS_SUCCESS &&
               choose(p, list, count, tf32);
    }
    if (pass == BACK_DATA) {
        cudnnConvolutionBwdDataAlgoPerf_t list[MOST_ALGORITHMS];
        return d->cudnnGetConvolutionBackwardDataAlgorithm_v7(d->handle, p->w, p->y, p->conv, p->x, MOST_ALGORITHMS,
                                                              &count, list) == CUDNN_STATUS_SUCCESS &&
               choose(p, list, count, tf32);
    }
    cudnnConvolutionBwdFilterAlgoPerf_t list[MOST_ALGORITHMS];
    return d->cudnnGetConvolutionBackwardFilterAlgorithm_v7(d->handle, p->x, p->y, p->conv, p->w, MOST_ALGORITHMS,
                                                            &count, list) == CUDNN_STATUS_SUCCESS &&
           choose(p, list, count, tf32);
}

static void drop_plan(Dnn *d, Plan *p)
{
    if (p->x)
        (void)d->cudnnDestroyTensorDescriptor(p->x);
    if (p->y)
        (void)d->cudnnDestroyTensorDescriptor(p->y);
    if (p->w)
        (void)d->cudnnDestroyFilterDescriptor(p->w);
    if (p->conv)
        (void)d->cudnnDestroyConvolutionDescriptor(p->conv);
    *p = {};
}

/* Makes a plan. If a call fails, or if no algorithm is suitable, the plan is not usable. This is not an error: our
 * kernel computes the shape. */
static void make_plan(Cuda *cuda, Plan *p, const Conv *c, Pass pass)
{
    Dnn *d = (Dnn *)cuda->dnn;
    const int O = (int)c->O, high = (int)conv_high(c), wide = (int)conv_wide(c);
    p->usable =
        d->cudnnCreateTensorDescriptor(&p->x) == CUDNN_STATUS_SUCCESS &&
        d->cudnnCreateTensorDescriptor(&p->y) == CUDNN_STATUS_SUCCESS &&
        d->cudnnCreateFilterDescriptor(&p->w) == CUDNN_STATUS_SUCCESS &&
        d->cudnnCreateConvolutionDescriptor(&p->conv) == CUDNN_STATUS_SUCCESS &&
        d->cudnnSetTensor4dDescriptor(p->x, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, (int)c->B, (int)c->C, (int)c->H,
                                      (int)c->W) == CUDNN_STATUS_SUCCESS &&
        d->cudnnSetTensor4dDescriptor(p->y, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, (int)c->B, O, high, wide) ==
            CUDNN_STATUS_SUCCESS &&
        d->cudnnSetFilter4dDescriptor(p->w, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, O, (int)(c->C / c->groups), (int)c->kh,
                                      (int)c->kw) == CUDNN_STATUS_SUCCESS &&
        d->cudnnSetConvolution2dDescriptor(p->conv, (int)c->top, (int)c->left, (int)c->stride, (int)c->stride, 1, 1,
                                           CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT) == CUDNN_STATUS_SUCCESS &&
        d->cudnnSetConvolutionMathType(p->conv, cuda->tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH) ==
            CUDNN_STATUS_SUCCESS &&
        d->cudnnSetConvolutionGroupCount(p->conv, (int)c->groups) == CUDNN_STATUS_SUCCESS &&
        find_algorithm(d, p, pass, cuda->tf32);
    if (!p->usable)
        (void)cudaGetLastError(); /* clears the library's error: otherwise the next launch would report it */
}

/* Returns the plan, and makes it if it is new. NULL: our kernel computes the shape. The sizes must fit in an int for
 * cuDNN. */
static const Plan *plan_of(const Run *run, const Conv *c, Pass pass)
{
    const int64_t size[SIZES] = {c->B,      c->H,      c->W,   c->C,    c->O,      c->kh, c->kw,
                                 c->stride, c->groups, c->top, c->left, (int)pass, 0};
    Cuda *cuda = (Cuda *)run->context;
    Dnn *d = (Dnn *)cuda->dnn;
    if (c->top != c->bottom || c->left != c->right || c->x_type != F32 || c->y_type != F32 || c->pack != PACK_F32 ||
        c->B * MAX(c->H * c->W * c->C, conv_high(c) * conv_wide(c) * c->O) > INT32_MAX || c->B == 0 || c->C == 0 ||
        c->O == 0 || conv_high(c) == 0 || conv_wide(c) == 0)
        return NULL;
    for (size_t i = 0; i < MIN(d->made, (size_t)PLANS); i++) {
        if (memcmp(d->plans[i].size, size, sizeof size) == 0)
            return d->plans[i].usable ? &d->plans[i] : NULL;
    }
    Plan *p = &d->plans[d->made++ % PLANS];
    drop_plan(d, p);
    memcpy(p->size, size, sizeof size);
    make_plan(cuda, p, c, pass);
    return p->usable ? p : NULL;
}

/* ---- weights --------------------------------------------------------------------------------- */

static size_t weight_bytes(const Conv *c)
{
    return (size_t)(c->O * (c->C / c->groups) * c->kh * c->kw) * sizeof(float);
}

/* y[o, t, d] = x[o, d, t] + beta y[o, t, d]: changes [O, depth, taps] to [O, taps, depth]. One thread per number;
 * writes are coalesced, reads are not. It runs for weights only, which are small. */
static __global__ void __launch_bounds__(256)
    transpose_kernel(int64_t n, int64_t depth, int64_t taps, const float *x, float beta, float *y)
{
    for (int64_t i = first_index(); i < n; i += all_threads()) {
        const int64_t o = i / (depth * taps), t = i / depth % taps, k = i % depth;
        const float value = x[(o * depth + k) * taps + t];
        y[i] = beta != 0.0f ? fmaf(beta, y[i], value) : value;
    }
}
static void transpose(const Run *run, const Conv *c, bool to_library, const float *x, float beta, float *y)
{
    const int64_t depth = c->C / c->groups, taps = c->kh * c->kw, n = c->O * depth * taps;
    LAUNCH(run, transpose_kernel, blocks_for(n, 256), 256, 0, n, to_library ? depth : taps, to_library ? taps : depth,
           x, beta, y);
}

static size_t own_pack_bytes(const Conv *c)
{
    return size_round_up(cuda_conv_pack_bytes(c), 64);
}
static size_t cudnn_pack_bytes(const Conv *c)
{
    return own_pack_bytes(c) + weight_bytes(c);
}
static void cudnn_pack(const Run *run, const Conv *c, const float *weights, void *packed)
{
    cuda_conv_pack(run, c, weights, packed);
    transpose(run, c, true, weights, 0, (float *)((char *)packed + own_pack_bytes(c)));
}

/* ---- forward --------------------------------------------------------------------------------- */

static size_t cudnn_conv_work(const Run *run, const Conv *c)
{
    const Plan *p = plan_of(run, c, FORWARD);
    return MAX(cuda_conv_work(run, c), p ? p->work_bytes : 0);
}

static Way cudnn_conv_way(const Run *run, const Conv *c)
{
    const Plan *p = plan_of(run, c, FORWARD);
    if (!p)
        return cuda_conv_way(run, c);
    Way way = {};
    snprintf(way.name, sizeof way.name, "cudnn %d", p->algorithm);
    way.why = "the option cudnn; the number is cuDNN's number of the algorithm";
    return way;
}

static void cudnn_conv(const Run *run, const Conv *c)
{
    Cuda *cuda = (Cuda *)run->context;
    const Dnn *d = dnn_of(run);
    const Plan *p = plan_of(run, c, FORWARD);
    if (!p || !aligned16(c->x) || !aligned16(c->y) || !aligned16(c->packed)) {
        cuda_conv(run, c);
        return;
    }
    const bool onto_residual = c->residual && c->residual == c->y; /* cuDNN adds the residual, by beta */
    const float one = 1, beta = onto_residual ? 1.0f : 0.0f;
    if (!cuda_ready(run) || !worked(cuda,
                                    d->cudnnConvolutionForward(d->handle, &one, p->x, c->x, p->w,
                                                               (const char *)c->packed + own_pack_bytes(c), p->conv,
                                                               (cudnnConvolutionFwdAlgo_t)p->algorithm, run->work,
                                                               p->work_bytes, &beta, p->y, c->y),
                                    "cudnnConvolutionForward"))
        return;
    Finish f = {};
    f.M = c->B * conv_high(c) * conv_wide(c);
    f.N = f.ldc = f.ldr = c->O;
    f.alpha = 1;
    f.C = c->y;
    f.bias = c->bias;
    f.residual = onto_residual ? NULL : c->residual;
    f.act = c->act;
    finish_product(run, &f);
}

/* ---- backward pass: scratch memory has the weights in cuDNN's form, then cuDNN's memory ------ */

static size_t cudnn_conv_back_work(const Run *run, const ConvBack *b)
{
    const Plan *data = plan_of(run, &b->forward, BACK_DATA), *weights = plan_of(run, &b->forward, BACK_WEIGHTS);
    const size_t own = cuda_conv_back_work(run, b);
    const size_t most = MAX(data ? data->work_bytes : 0, weights ? weights->work_bytes : 0);
    return MAX(own, size_round_up(weight_bytes(&b->forward), 256) + most);
}

/* Computes dx. First converts the weights to cuDNN's layout, into `weights`. */
static bool back_data(const Run *run, const ConvBack *b, const Plan *p, float *weights, void *work)
{
    const Dnn *d = dnn_of(run);
    const float one = 1;
    transpose(run, &b->forward, true, b->weights, 0, weights);
    return worked((Cuda *)run->context,
                  d->cudnnConvolutionBackwardData(d->handle, &one, p->w, weights, p->y, b->dy, p->conv,
                                                  (cudnnConvolutionBwdDataAlgo_t)p->algorithm, work, p->work_bytes,
                                                  &b->x_beta, p->x, b->dx),
                  "cudnnConvolutionBackwardData");
}

/* Computes the gradient of the weights in cuDNN's layout, into `dweights`, and converts it to ours. */
static bool back_weights(const Run *run, const ConvBack *b, const Plan *p, float *dweights, void *work)
{
    const Dnn *d = dnn_of(run);
    const float one = 1, zero = 0;
    const bool ok = worked((Cuda *)run->context,
                           d->cudnnConvolutionBackwardFilter(d->handle, &one, p->x, b->forward.x, p->y, b->dy, p->conv,
                                                             (cudnnConvolutionBwdFilterAlgo_t)p->algorithm, work,
                                                             p->work_bytes, &zero, p->w, dweights),
                           "cudnnConvolutionBackwardFilter");
    if (ok)
        transpose(run, &b->forward, false, dweights, b->w_beta, b->dweights);
    return ok;
}

static void cudnn_conv_back(const Run *run, const ConvBack *b)
{
    const bool dy = aligned16(b->dy), to_x = b->dx && dy && aligned16(b->dx),
               to_w = b->dweights && dy && aligned16(b->forward.x);
    const Plan *data = to_x ? plan_of(run, &b->forward, BACK_DATA) : NULL;
    const Plan *weights = to_w ? plan_of(run, &b->forward, BACK_WEIGHTS) : NULL;
    ConvBack rest = *b; /* the gradients that our kernel computes */
    float *transposed = (float *)run->work;
    void *work = (char *)run->work + size_round_up(weight_bytes(&b->forward), 256);
    if (!cuda_ready(run) || (data && !back_data(run, b, data, transposed, work)) ||
        (weights && !back_weights(run, b, weights, transposed, work)))
        return;
    rest.dx = data ? NULL : b->dx;
    rest.dweights = weights ? NULL : b->dweights;
    if (rest.dx || rest.dweights)
        cuda_conv_back(run, &rest);
}

/* ---- the option ------------------------------------------------------------------------------ */

bool cudnn_use(Cuda *c, Error *e)
{
    static const char *const FILES[] = {"libcudnn.so.9", "libcudnn.so"};
    void *library = library_open("cudnn", FILES, COUNT(FILES), e);
    Dnn *d = library ? (Dnn *)heap_alloc(c->heap, sizeof *d) : NULL;
    if (!d)
        return !library ? false : fail_memory(e, sizeof *d, "device cuda:cudnn");
    memset((void *)d, 0, sizeof *d);
    c->dnn = d;
#define FIND(name)                                                                                                     \
    if (!(d->name = (decltype(d->name))library_find(library, "cudnn", #name, e)))                                      \
        return false;
    FUNCTIONS(FIND)
    if (!worked(c, d->cudnnCreate(&d->handle), "cudnnCreate") ||
        !worked(c, d->cudnnSetStream(d->handle, c->stream), "cudnnSetStream"))
        return fail(e, c->error.code, "%s", c->error.message);
    c->kernels.conv_pack_bytes = cudnn_pack_bytes;
    c->kernels.conv_pack = cudnn_pack;
    c->kernels.conv_work = cudnn_conv_work;
    c->kernels.conv_way = cudnn_conv_way;
    c->kernels.conv = cudnn_conv;
    c->kernels.conv_back_work = cudnn_conv_back_work;
    c->kernels.conv_back = cudnn_conv_back;
    return true;
}

void cudnn_close(Cuda *c)
{
    Dnn *d = (Dnn *)c->dnn;
    if (!d)
        return;
    for (size_t i = 0; i < PLANS; i++)
        drop_plan(d, &d->plans[i]);
    if (d->handle)
        (void)d->cudnnDestroy(d->handle);
    heap_free(c->heap, d, sizeof *d);
    c->dnn = NULL;
}

#endif
