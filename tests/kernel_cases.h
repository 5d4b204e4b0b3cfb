/* tests/kernel_cases.h: the one table of kernel cases. A family holds the cases of one kernel of kernels/kernels.h and
 * drives
 *   correctness   its call against a reference in plain double precision, or, for a backward kernel, against finite
 *                 differences of the forward loss in double; with guard pages round every buffer, unchanged inputs, and
 *                 the same bits for 1, 2 and 3 threads, for any alignment, and in place where that is allowed
 *   speed         flops and bytes of each case; `kernels_test NAME` times the cases that are `timed`
 *   coverage      every member of Kernels is named below; a name without a family does not link.
 *
 * To add a kernel: one line in KERNEL_FAMILIES and `const Family family_NAME = {...}` in tests/cases/. To add a case:
 * one line in its family's list. A family of more than four numbers has a struct in Case, so that rows name them.
 *
 * `sapor bench` (tools/bench/) and the ladders (bench/ladder/) have short lists of their own. The command may not link
 * tests, and its shapes are names that --against compares from release to release; a step of a ladder needs the shapes
 * that show what the step does. */
#ifndef SAPOR_KERNEL_CASES_H
#define SAPOR_KERNEL_CASES_H

#include "kernels/kernels.h"

/* clang-format off */
#define KERNEL_FAMILIES(LINE) \
    LINE(layer_norm) LINE(layer_norm_back) LINE(softmax) LINE(softmax_back) LINE(row_normalize) \
    LINE(row_normalize_back) LINE(row_dot) LINE(row_scale) LINE(row_sum) LINE(log_sum_exp) LINE(col_sum) \
    LINE(copy_cols) \
    LINE(act) LINE(act_back) LINE(binary) LINE(broadcast) LINE(unary) LINE(noise) LINE(axpby) LINE(add_bias) \
    LINE(dropout) LINE(fill) LINE(sum) \
    LINE(sum_squares) LINE(gather) LINE(segment_sum) LINE(segment_pool) LINE(segment_pool_back) \
    LINE(spmm) LINE(sddmm) LINE(edge_softmax) LINE(edge_softmax_back) LINE(edge_row_sum) LINE(edge_scale) \
    LINE(inverse_root) LINE(inverse_root_back) \
    LINE(knn) LINE(topk) LINE(topk_rows) LINE(bpr) LINE(bpr_back) LINE(adam) LINE(adam_replay) LINE(adam_note) \
    LINE(adam_rows) LINE(adam_factored) LINE(sgd) LINE(gemm) LINE(conv) LINE(max_pool) LINE(mean_pool) \
    LINE(channel_scale) LINE(attention) LINE(convert)
/* Kernels that MINIMAL leaves out */
#define KERNEL_TRAINING_FAMILIES(LINE) \
    LINE(conv_back) LINE(max_pool_back) LINE(mean_pool_back) LINE(channel_dot) LINE(batch_norm) \
    LINE(batch_norm_back) LINE(attention_back) LINE(gemm_unpack) LINE(adagrad) LINE(rmsprop) LINE(clip_factor) \
    LINE(knn_lists)
/* More of a kernel's cases, with another tolerance */
#define KERNEL_VARIANTS(LINE) LINE(conv_wide)
/* Called by a family's cases: how much scratch, and packing */
#define KERNEL_COMPANIONS(LINE) \
    LINE(layer_norm_back_work) LINE(col_sum_work) LINE(sum_work) LINE(knn_work) LINE(topk_work) \
    LINE(adam_factored_work) LINE(gemm_packs) LINE(gemm_pack_bytes) LINE(gemm_pack) LINE(gemm_work) \
    LINE(conv_pack_bytes) LINE(conv_pack) LINE(conv_work) LINE(conv_back_work) \
    LINE(batch_norm_work) LINE(batch_norm_back_work) LINE(attention_work) LINE(attention_back_work) \
    LINE(knn_lists_work) LINE(gemm_way) LINE(conv_way) LINE(attention_way) LINE(topk_way) \
    LINE(supports)
/* Memory and the device, tested in kernels_test.c and cuda_test.c */
#define KERNEL_MEMORY(LINE) \
    LINE(alloc) LINE(free) LINE(upload) LINE(download) LINE(download_later) LINE(arrive) LINE(copy) LINE(zero) \
    LINE(check) LINE(memory) \
    LINE(step_begin) LINE(step_end) LINE(clock) LINE(range)
/* clang-format on */

typedef enum Role { ROLE_IN, ROLE_OUT, ROLE_INOUT, ROLE_WORK } Role;

typedef struct Buffer {
    const char *name;
    Role role;
    char type;          /* 'f' float, 'i' int32_t, 'l' int64_t, 'b' bytes */
    size_t count, size; /* elements; bytes of one */
    void *data;         /* the numbers in host memory: on the CPU what the kernel gets */
    void *device;       /* what the kernel gets; on the CPU a guard page lies right behind it (or before it) */
    void *before;       /* its bytes before the call */
    double *exact;      /* 'f': the numbers of an input; the reference leaves here what it expects of an output */
    double *rounding;   /* 'f': NULL, or what is added to the tolerance of each number: case_rounding */
    int32_t *expected;  /* 'i' and 'l': what the reference expects of an output */
    /* whole pages round data and device */
    unsigned char *block, *device_block;
    size_t block_bytes;
} Buffer;

enum { CASE_BUFFERS = 16, CASE_SIZES = 12 };

/* Sizes and settings: of most families up to four numbers, `n`; of the others a struct, so that each row of the table
 * names its numbers. All are int64_t in the order of the family's letters. */
typedef struct Case {
    union {
        int64_t n[CASE_SIZES];
        struct {
            int64_t M, N, K;
            int64_t A, B;           /* layouts: tests/cases/gemm.c */
            int64_t alpha4, beta4;  /* in quarters */
            int64_t bias, residual; /* 1: there is one; residual 2: it is C itself */
            int64_t act, pad;
        } gemm;
        struct {
            int64_t pack, K, N, first, n, pad;
        } unpack;
        struct {
            int64_t B, H, W, C, O; /* C 0: depthwise */
            int64_t kh, kw, stride;
            int64_t top_left, bottom_right; /* padding: 23 is 2 and 3 */
            int64_t groups;                 /* 0: 1, or with C 0 depthwise */
            int64_t extra; /* bits: 1 bias, 2 residual, 4 Winograd's F(6,3); conv_back: 1, 2 add to dx, dw */
            int64_t act;
        } conv;
        struct {
            int64_t B, H, W, C, k, stride, pad;
        } max_pool;
        struct {
            int64_t B, T, H, D, R, causal;
            int64_t Tk, Hk, window; /* 0: as T, as H, none */
            int64_t type;           /* a DType: of q, k and v; F32 where the table has no other */
            int64_t narrow;         /* 1: out has this type, too */
        } attention;
        struct {
            int64_t rows, cols, mean, D, has, pad;
            int64_t beta2; /* in halves */
        } spmm;
        struct {
            int64_t rows, cols, mean, D, has, beta;
        } sddmm;
        struct {
            int64_t S, D, mean, order, beta;
        } segment_sum;
        struct {
            int64_t M, C, skip_x, skip_y, beta;
        } copy_cols;
        struct {
            int64_t n, D, rows, now, K, decay, named;
        } lazy_adam;
        struct {
            int64_t n, decay, momentum, nesterov;
        } sgd;
        struct {
            int64_t n, D, rows, decay, named;
        } adagrad;
        struct {
            int64_t n, decay, centred, momentum;
        } rmsprop;
        struct {
            int64_t Q, I, D, k, itself; /* itself: q is x */
            int64_t type;               /* where the table takes it, as those below */
        } knn;
        struct {
            int64_t Q, I, L, D, P, k; /* I rows in L lists, of which each query searches P */
            int64_t type;
        } knn_lists;
        struct {
            int64_t B, I, D, k, flags, type;
        } topk;
        struct {
            int64_t B, D, E, width, l2, again;
        } bpr;
    };
    bool timed; /* large enough to be timed, too long for the naive reference */
} Case;
/* A row of a family that uses `n` */
/* clang-format off */
#define CASE(...)  {.n = {__VA_ARGS__}}
#define TIMED(...) {.n = {__VA_ARGS__}, .timed = true}
/* clang-format on */

/* Where buffers are in their pages: next to the guard page behind, or to the one before; AT_ODD: some of them one
 * number before the end, so that those whose size is a multiple of a vector do not always begin at a multiple, too */
typedef enum Place { AT_END, AT_FRONT, AT_ODD } Place;

typedef struct Job {
    const Kernels *k;
    Run run;
    Place place;
    uint64_t seed;
    Buffer b[CASE_BUFFERS];
    int n;
    double flops, bytes; /* of one call */
    bool ok;             /* false: out of memory */
} Job;

typedef struct Family {
    const char *kernel;
    const char *letters; /* "M C": the names of a case's numbers */
    const Case *cases;
    size_t count;
    /* makes the buffers, in the order of the numbers that call and reference use; flops and bytes */
    void (*make)(Job *j, const Case *s);
    void (*call)(Job *j, const Case *s);
    void (*reference)(Job *j, const Case *s); /* naive; NULL where `loss` is used instead */
    /* A backward kernel: a scalar in double of the exact inputs, of whose derivative by buffer by[i][0] is expected in
     * buffer by[i][1] (added to what a ROLE_INOUT buffer held) */
    double (*loss)(const Job *j, const Case *s);
    int by[6][2], by_count;
    double tolerance;   /* |got - expected| <= tolerance (1 + |expected|) + rounding; 0: 1e-5 */
    int in_place[2][2]; /* pairs: output, input that may share its memory */
    int in_place_count;
    int optional[4]; /* outputs that may be NULL: the others keep their bits */
    int optional_count;
} Family;

#define DECLARE_FAMILY(name) extern const Family family_##name;
KERNEL_FAMILIES(DECLARE_FAMILY)
KERNEL_TRAINING_FAMILIES(DECLARE_FAMILY) KERNEL_VARIANTS(DECLARE_FAMILY) extern const Family *const kernel_families[];
extern const size_t kernel_family_count;

/* ---- buffers, for a family's functions ------------------------------------------------------- */

/* Each returns the numbers in host memory. Inputs are filled at once with draws of the job's seed: floats in [-1.5,
 * 1.5). */
float *case_f32(Job *j, const char *name, Role role, int64_t count);
int32_t *case_i32(Job *j, const char *name, Role role, int64_t count);
int64_t *case_i64(Job *j, const char *name, Role role, int64_t count);
void *case_bytes(Job *j, const char *name, Role role, size_t bytes);
void case_work(Job *j, size_t bytes); /* becomes run.work */
/* For a `make` that calls a kernel: its input to the device, its result back. */
void case_send(Job *j, int buffer);
void case_fetch(Job *j, int buffer);
uint32_t case_draw(Job *j, uint64_t index, uint32_t below);
double case_uniform(Job *j, uint64_t index); /* [0, 1) */
/* After an input's numbers were set by hand: takes them over as exact. */
void case_set(Job *j, int buffer);

/* A buffer's memory, by its type: for the kernel, and in host memory, which `make` fills and references read. A job's
 * inputs are sent to the device after `make`, what it holds is fetched after `call`. */
static inline void *device_of(const Job *j, int buffer)
{
    return j->b[buffer].device;
}
static inline float *f32_of(const Job *j, int buffer)
{
    return j->b[buffer].device;
}
static inline int32_t *i32_of(const Job *j, int buffer)
{
    return j->b[buffer].device;
}
static inline int64_t *i64_of(const Job *j, int buffer)
{
    return j->b[buffer].device;
}
static inline float *host_f32(const Job *j, int buffer)
{
    return j->b[buffer].data;
}
static inline int32_t *host_i32(const Job *j, int buffer)
{
    return j->b[buffer].data;
}
static inline int64_t *host_i64(const Job *j, int buffer)
{
    return j->b[buffer].data;
}
/* The number of type F16 or BF16 that is nearest to x, ties to even (F16 at most 65504), and its bits */
float case_narrow(DType type, float x, uint16_t *bits);
/* A buffer's exact numbers; what is expected of it */
/* For a reference of long sums in float32: memory for the rounding error of each number of an output, 0 at first. An
 * error of 2^-24 in each addition of K terms t grows to about 2^-24 sqrt(K sum t^2) (Higham and Mary, A New Approach to
 * Probabilistic Rounding Error Analysis, 2019). */
double *case_rounding(Job *j, int buffer);
static inline double *exact_of(const Job *j, int buffer)
{
    return j->b[buffer].exact;
}
static inline int32_t *expected_of(const Job *j, int buffer)
{
    return j->b[buffer].expected;
}

double case_act(Act act, double param, double x); /* act(x) */

/* ---- for tests and benchmarks ---------------------------------------------------------------- */

/* Makes a case ready to be called. False: out of memory (nothing to close). */
bool job_open(Job *j, const Family *f, const Case *c, const Kernels *k, void *context, Place place);
void job_close(Job *j);
void case_name(char text[160], const Family *f, const Case *c); /* "spmm rows=7 cols=9 D=64" */
/* Everything a case promises, on one level. False: what went wrong, in one line. contexts: of Runs; for the CPU NULL
 * and pools of 2 and 3 threads. */
bool case_check(const Family *f, const Case *c, const Kernels *k, void *const contexts[3], char why[512]);
/* For a table whose kernels are others than ours (libraries), or round their operands: the result is near the
 * reference, and the same call again gives the same bits. bits: of the fraction that operands keep; 23: no operand is
 * rounded. */
bool case_check_near(const Family *f, const Case *c, const Kernels *k, void *context, int bits, char why[512]);
/* The same bits by both tables. */
bool case_same(const Family *f, const Case *c, const Kernels *a, const Kernels *b, void *context, char why[512]);
/* Every form of Adam gives the bits of the dense one (lazy_adam.c). */
bool lazy_adam_check(const Kernels *k, void *context, char why[512]);

#endif
