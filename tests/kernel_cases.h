/* tests/kernel_cases.h: the table of kernel cases. A family holds the cases of one kernel of kernels/kernels.h. The
 * cases are used for:
 * - correctness: a call is compared with a reference in plain double precision, or, for a backward kernel, with finite
 *   differences of the forward loss in double. Every buffer has guard pages. Inputs must not change. The bits must be
 *   the same for 1, 2 and 3 threads, for any alignment, and in place where this is allowed.
 * - speed: a case has its number of flops and bytes; `kernels_test NAME` times the cases that are `timed`.
 * - coverage: every member of Kernels is in one of the lists below: a member that is missing does not compile
 *   (frame.c), a family that is missing does not link.
 *
 * To add a kernel, add one line to KERNEL_FAMILIES and `const Family family_NAME = {...}` in tests/cases/. To add a
 * case, add one line to the list of its family. A family with more than four numbers has a struct in Case, so that a
 * row names its numbers.
 *
 * `sapor bench` (tools/bench/) and the ladders (bench/ladder/) have short lists of their own. The command may not link
 * tests, and --against compares the names of its shapes between releases. A step of a ladder needs the shapes that show
 * the effect of the step. */
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
/* More cases of a kernel, with another tolerance */
#define KERNEL_VARIANTS(LINE) LINE(conv_wide)
/* The cases of a family call these: sizes of scratch, and packing */
#define KERNEL_COMPANIONS(LINE) \
    LINE(layer_norm_back_work) LINE(col_sum_work) LINE(sum_work) LINE(knn_work) LINE(topk_work) \
    LINE(adam_factored_work) LINE(gemm_packs) LINE(gemm_pack_bytes) LINE(gemm_pack) LINE(gemm_work) \
    LINE(conv_pack_bytes) LINE(conv_pack) LINE(conv_work) LINE(conv_back_work) \
    LINE(batch_norm_work) LINE(batch_norm_back_work) LINE(attention_work) LINE(attention_back_work) \
    LINE(knn_lists_work) LINE(gemm_way) LINE(conv_way) LINE(attention_way) LINE(topk_way) \
    LINE(supports)
/* Memory and the device: kernels_test.c and cuda_test.c test these */
#define KERNEL_MEMORY(LINE) \
    LINE(alloc) LINE(free) LINE(upload) LINE(download) LINE(download_later) LINE(arrive) LINE(copy) LINE(zero) \
    LINE(check) LINE(memory) \
    LINE(step_begin) LINE(step_end) LINE(clock) LINE(range)
/* clang-format on */

/* What a kernel does with a buffer. ROLE_WORK: its scratch. */
typedef enum Role { ROLE_IN, ROLE_OUT, ROLE_INOUT, ROLE_WORK } Role;

typedef struct Buffer {
    const char *name;
    Role role;
    char type;          /* 'f' float, 'i' int32_t, 'l' int64_t, 'b' bytes */
    size_t count, size; /* elements; bytes per element */
    void *data;         /* the numbers in host memory; on the CPU, the same memory as `device` */
    /* the kernel's argument; NULL: an optional output that the kernel does not write. On the CPU a guard page is right
     * after the memory, or right before it (Place) */
    void *device;
    void *before; /* the bytes of the buffer before the call */
    /* 'f': the numbers of an input; for an output, the reference writes the expected numbers here */
    double *exact;
    double *rounding;  /* 'f': NULL, or an addition to the tolerance of each number: case_rounding */
    int32_t *expected; /* 'i' and 'l': the numbers that the reference expects of an output; NULL for other types */
    /* whole pages that contain data and device */
    unsigned char *block, *device_block;
    size_t block_bytes;
} Buffer;

enum { CASE_BUFFERS = 16, CASE_SIZES = 12 };

/* Sizes and settings of one call. Most families have a few numbers, `n`. Families with more than four numbers, and some
 * with four, have a struct, so that each row of the table names its numbers. All members are int64_t, in the order of
 * the names in Family.names. */
typedef struct Case {
    union {
        int64_t n[CASE_SIZES];
        struct {
            int64_t M, N, K;
            int64_t A, B;           /* layouts: tests/cases/gemm.c */
            int64_t alpha4, beta4;  /* in quarters */
            int64_t bias, residual; /* 1: present; residual 2: the residual is C itself */
            int64_t act;
            int64_t pad; /* unused numbers between two rows */
        } gemm;
        struct {
            int64_t pack, K, N, first, n;
            int64_t pad; /* unused numbers between two rows of the result */
        } unpack;
        struct {
            int64_t B, H, W, C, O; /* C 0: depthwise */
            int64_t kh, kw, stride;
            /* padding, two numbers of one digit: top_left 23 means 2 rows at the top and 3 columns at the left */
            int64_t top_left, bottom_right;
            int64_t groups; /* 0: one group, or depthwise if C is 0 */
            /* bits: 1 bias, 2 residual, 4 Winograd's F(6,3). For conv_back: 1 adds to dx, 2 adds to dw */
            int64_t extra;
            int64_t act;
        } conv;
        struct {
            int64_t B, H, W, C, k, stride;
            int64_t pad; /* rows and columns of padding around the image */
        } max_pool;
        struct {
            int64_t B, T, H, D, R, causal;
            int64_t Tk, Hk, window; /* 0: equal to T, equal to H, no window */
            int64_t type; /* the DType of q, k and v; F32 is used if the kernels do not support it (Kernels.supports) */
            int64_t narrow; /* 1: `out` has this type too, if the kernels support it */
        } attention;
        struct {
            int64_t rows, cols;
            int64_t mean; /* entries per row on average */
            int64_t D;
            /* bits of tests/cases/sparse.c. HAS_VAL and others: this array of the Sparse is not NULL. NAN_FIRST: row 0
             * of x is NaN */
            int64_t has;
            int64_t pad;   /* unused numbers between two rows of x and y */
            int64_t beta2; /* in halves */
        } spmm;
        struct {
            int64_t rows, cols, mean, D, has, beta; /* mean, has: as in spmm */
        } sddmm;
        struct {
            int64_t S, D, mean, order, beta;
        } segment_sum;
        struct {
            int64_t M, C, skip_x, skip_y, beta;
        } copy_cols;
        struct {
            int64_t n, D, rows, now, K, decay;
            int64_t named; /* 1: the kernel gets ids of rows; 0: NULL */
        } lazy_adam;
        struct {
            int64_t n, decay, momentum, nesterov;
        } sgd;
        struct {
            int64_t n, D, rows, decay, named; /* named: as in lazy_adam */
        } adagrad;
        struct {
            int64_t n, decay, centred, momentum;
        } rmsprop;
        struct {
            int64_t Q, I, D, k, itself; /* itself: 1 if q is x */
            int64_t type; /* a DType; F32 is used if the kernels do not support it. The same for `type` below */
        } knn;
        struct {
            int64_t Q, I, L, D, P, k; /* I rows in L lists; each query searches P of the lists */
            int64_t type;
        } knn_lists;
        struct {
            int64_t B, I, D, k;
            int64_t flags; /* bits: BY_ROW, WITH_BIAS, ... (tests/cases/topk.c) */
            int64_t type;
        } topk;
        struct {
            int64_t B, D;  /* D: numbers per row of the first part */
            int64_t E;     /* numbers per row of the second part; 0: there is no second part */
            int64_t width; /* the inputs, draws in [-1.5, 1.5), are multiplied by it */
            int64_t l2;    /* in hundredths */
            /* 0: the kernel's list of parts has each part once; n: it has the same parts n more times */
            int64_t repeats;
        } bpr;
    };
    bool timed; /* large enough to be timed, too large for the naive reference */
} Case;
/* A row of a family that uses `n` */
/* clang-format off */
#define CASE(...)  {.n = {__VA_ARGS__}}
#define TIMED(...) {.n = {__VA_ARGS__}, .timed = true}
/* clang-format on */

/* The place of a buffer in its pages.
 * - AT_END: next to the guard page after it.
 * - AT_FRONT: next to the guard page before it.
 * - AT_ODD: as AT_END, but some buffers (the seed selects them) end one number before the guard page. Otherwise a
 *   buffer whose size is a multiple of a vector would always begin at a multiple of a vector. */
typedef enum Place { AT_END, AT_FRONT, AT_ODD } Place;

/* A case that is ready to be called: its buffers are in memory. A family's functions get it as `j`. */
typedef struct Job {
    const Kernels *k;
    Run run; /* the context; `work` is set by case_work */
    Place place;
    uint64_t seed;
    Buffer b[CASE_BUFFERS];
    int n;
    double flops, bytes; /* of one call */
    bool ok;             /* false: out of memory */
} Job;

typedef struct Family {
    const char *kernel;
    const char *names; /* the names of the numbers of a case, in the order of its members: "M C" */
    const Case *cases;
    size_t count;
    /* Makes the buffers and sets flops and bytes. The order of the buffers matters: `call` and `reference` name a
     * buffer by its index in Job.b. */
    void (*make)(Job *j, const Case *s);
    void (*call)(Job *j, const Case *s);
    void (*reference)(Job *j, const Case *s); /* naive; NULL if the family has a `loss` */
    /* For a backward kernel: returns a scalar in double of the exact inputs. For each i < by_count, its derivative by
     * the numbers of buffer by[i][0] is expected in buffer by[i][1]. In a ROLE_INOUT buffer, the derivative is added to
     * the earlier numbers. */
    double (*loss)(const Job *j, const Case *s);
    int by[6][2], by_count;
    double tolerance;   /* |got - expected| <= tolerance (1 + |expected|) + rounding; 0: 1e-5 */
    int in_place[2][2]; /* pairs: output, input that may share its memory */
    int in_place_count;
    int optional[4]; /* outputs that may be NULL; the other outputs keep their bits */
    int optional_count;
} Family;

#define DECLARE_FAMILY(name) extern const Family family_##name;
KERNEL_FAMILIES(DECLARE_FAMILY)
KERNEL_TRAINING_FAMILIES(DECLARE_FAMILY) KERNEL_VARIANTS(DECLARE_FAMILY) extern const Family *const kernel_families[];
extern const size_t kernel_family_count;

/* ---- buffers, for a family's functions ------------------------------------------------------- */

/* Each makes a buffer and returns its numbers in host memory; if memory ran out, j->ok is false, and the result must
 * not be used. case_f32 fills inputs with draws of the job's seed: floats in [-1.5, 1.5). `make` fills the other
 * inputs. */
float *case_f32(Job *j, const char *name, Role role, int64_t count);
int32_t *case_i32(Job *j, const char *name, Role role, int64_t count);
int64_t *case_i64(Job *j, const char *name, Role role, int64_t count);
void *case_bytes(Job *j, const char *name, Role role, size_t bytes);
void case_work(Job *j, size_t bytes); /* makes the scratch, and sets run.work and run.work_bytes */
/* For a `make` that calls a kernel: case_send copies an input to the device, case_fetch copies a result back. */
void case_send(Job *j, int buffer);
void case_fetch(Job *j, int buffer);
/* Returns draw number `index`, an integer below `below`. The draws depend on the seed of the job and on the number of
 * its buffers so far. */
uint32_t case_draw(Job *j, uint64_t index, uint32_t below);
double case_uniform(Job *j, uint64_t index); /* [0, 1) */
/* Copies the numbers of an input to Buffer.exact. Call it after they were set by hand. */
void case_set(Job *j, int buffer);

/* Return the memory of a buffer, by its type. device_of, f32_of, i32_of and i64_of are for the kernel; the host_
 * functions return host memory, which `make` fills and references read. The inputs of a job are sent to the device
 * after `make`; the outputs are fetched after `call`. */
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
/* Returns the number of type F16 or BF16 that is nearest to x, ties to even (F16: at most 65504), and writes its bits.
 */
float case_narrow(DType type, float x, uint16_t *bits);
/* For a kernel that makes long sums in float32: returns memory for the rounding error of each number of an output, 0 at
 * first. An error of 2^-24 in each addition of K terms t grows to about
 *
 *   2^-24 sqrt(K sum t^2)
 *
 * (Higham and Mary, A New Approach to Probabilistic Rounding Error Analysis, 2019). */
double *case_rounding(Job *j, int buffer);
/* exact_of returns the exact numbers of a buffer, expected_of the expected integers. */
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

/* Makes the buffers of a case and sends the inputs to the device. False: out of memory; job_close is not needed then.
 */
bool job_open(Job *j, const Family *f, const Case *c, const Kernels *k, void *context, Place place);
void job_close(Job *j);
void case_name(char text[160], const Family *f, const Case *c); /* "spmm rows=7 cols=9 D=64" */
/* Checks all properties of a case on one level. Returns false with the reason in one line of `why`. contexts: three
 * values of Run.context; for the CPU: NULL (one thread), and pools of 2 and 3 threads. */
bool case_check(const Family *f, const Case *c, const Kernels *k, void *const contexts[3], char why[512]);
/* For a table with kernels of another library, or with kernels that round their operands. Checks that the result is
 * near the reference, and that a second call gives the same bits.
 *
 * - `bits`: the number of bits of the fraction that the operands keep; 23: no operand is rounded. */
bool case_check_near(const Family *f, const Case *c, const Kernels *k, void *context, int bits, char why[512]);
/* Checks that both tables give the same bits. */
bool case_same(const Family *f, const Case *c, const Kernels *a, const Kernels *b, void *context, char why[512]);
/* Checks that every form of Adam gives the bits of the dense form (lazy_adam.c). */
bool lazy_adam_check(const Kernels *k, void *context, char why[512]);

#endif
