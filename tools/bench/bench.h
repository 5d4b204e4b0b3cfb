/* tools/bench/bench.h: declarations that the files of `sapor bench` share. */
#ifndef SAPOR_BENCH_H
#define SAPOR_BENCH_H

#include "tools/bench/core.h"
#include "tools/features.h"

enum { BENCH_LARGEST = 28 }; /* the binary logarithm of the largest working set: 256 MB do not fit into caches */

typedef struct Bench {
    Context *c;
    const Device *d;
    Device *plain; /* if the GPU has options (--blas): the same GPU without options, for comparison; else NULL */
    bool emulated; /* the GPU is the emulator of the tests: shapes are small, and times are meaningless */
    Arena *arena;  /* rewound after each figure */
    struct BenchMemory *memory;
    double seconds;     /* per figure */
    double peak[5];     /* GFLOP/s of this level and these threads, by type of numbers; 0: not measured yet */
    double gbs[4 * 32]; /* GB/s of reading 2^(i/4) bytes, or on a GPU of copying; 0: not measured yet */
    float *data;        /* the memory that is read to measure gbs */
    size_t figures;
    int heading;                  /* the heading that was printed last */
    const char *filter;           /* only shapes that contain this text; NULL: all */
    bool found;                   /* a shape contained `filter` */
    struct BenchAgainst *against; /* an earlier run, or NULL */
#ifndef SAPOR_MINIMAL
    CoreFacts core;   /* of the first peak that another hyperthread may have disturbed; level NULL: of none */
    bool unconfirmed; /* a peak was not confirmed */
    size_t noisy;     /* number of rows whose times differ much */
    bool above;       /* a row was faster than the peak */
    size_t rounds;    /* of each figure; 0: as many as b->seconds allow */
    size_t warm_up;   /* runs before the first round; 0: the default */
    int format;       /* 0: text; others: bench_export prints the rows */
    CpuSet pinned;    /* the processors of --pin */
    int processors;   /* number of processors that the command may use */
    Progress progress;
    char label[64]; /* of the progress */
#endif
} Bench;

static inline bool bench_is_text(const Bench *b) /* not CSV or Markdown */
{
#ifndef SAPOR_MINIMAL
    return b->format == 0;
#else
    (void)b;
    return true;
#endif
}
/* Return --rounds and --warm-up, or the value if the option is not given. */
static inline size_t bench_rounds(const Bench *b, size_t otherwise)
{
#ifndef SAPOR_MINIMAL
    if (b->rounds > 0)
        return b->rounds;
#endif
    (void)b;
    return otherwise;
}
static inline size_t bench_warm_up(const Bench *b, size_t otherwise)
{
#ifndef SAPOR_MINIMAL
    if (b->warm_up > 0)
        return b->warm_up;
#endif
    (void)b;
    return otherwise;
}

typedef void BenchBody(void *arg);
/* Describes a figure. The bound of a figure is the larger of two times: flops / peak, and bytes / the bandwidth of the
 * cache or memory that holds the working set. */
typedef struct Figure {
    const char *bench, *shape;
    const char *dtype, *variant; /* dtype NULL: "f32"; variant NULL: the level of instructions */
    double flops, bytes;         /* of one run; 0: unknown */
    double working_set;          /* bytes that are read repeatedly: they decide which cache is the bound; 0: `bytes` */
    double items, megabytes;     /* of the input of one run: texts, images, training pairs; else 0 */
    const char *item;            /* NULL: "items/s" */
    double outside;              /* the share of the time outside of kernels, if it is measured; else 0 */
} Figure;
/* Reports whether --shape selects the shape. */
bool bench_selects(Bench *b, const char *shape);
/* Warms up, repeats the body for b->seconds, and prints one figure. */
bool bench_measure(Bench *b, const Figure *f, BenchBody *body, void *arg, Error *e);
#ifdef SAPOR_MINIMAL
enum { CONTENDERS = 1 };
#else
enum { CONTENDERS = 2 };
#endif
/* One of up to CONTENDERS implementations that are timed in turn. `arg` is passed to the body, `variant` replaces that
 * of the figure. */
typedef struct Contender {
    const Device *d;
    void *arg;
    const char *variant;
} Contender;
bool bench_compare(Bench *b, const Figure *f, BenchBody *body, const Contender *list, size_t n, Error *e);
typedef struct Times {
    double least, median, quartiles; /* quartiles: the distance of the quartiles, as a share of the median */
} Times;
Times times_of(double *times, size_t n); /* of times [n], n >= 1; sorts them */
/* Reports whether round n (from 0) of a figure follows, after `spent` of `seconds`. At least three rounds and at most
 * `most` are measured, or exactly --rounds. */
static inline bool bench_continues(const Bench *b, size_t n, size_t most, double spent, double seconds)
{
    if (bench_rounds(b, 0))
        return n < bench_rounds(b, 0);
    return n < most && (n < 3 || spent < seconds);
}
/* Compares two speeds. ratio: the second speed divided by the first. margin: the larger spread of both, or a larger
 * limit; a difference within the margin is none. */
typedef enum BenchVerdict { BENCH_SAME, BENCH_SLOWER, BENCH_FASTER } BenchVerdict;
static inline BenchVerdict bench_verdict(double ratio, double margin)
{
    return ratio * (1 + margin) < 1 ? BENCH_SLOWER : ratio > 1 + margin ? BENCH_FASTER : BENCH_SAME;
}
/* Prints a figure from times [n] in seconds, and sorts them. */
bool bench_print(Bench *b, const Figure *f, double *times, size_t n, Error *e);
/* Return random numbers that look like data, the same in every run. bench_draws: in host memory; bench_floats: in
 * memory of the device. */
float *bench_draws(Bench *b, size_t n, Error *e);
float *bench_floats(Bench *b, size_t n, Error *e);
/* Return memory of the device for one figure: zeroed, or a copy of host memory. */
void *bench_memory(Bench *b, size_t bytes, Error *e);
void *bench_copy(Bench *b, const void *host, size_t bytes, Error *e);
/* Frees what the last figure allocated: the arena, and memory of the device. */
void bench_release(Bench *b);
/* Sets *r to a run of d with work_bytes of zeroed scratch memory. If d is not b->d, waits for the calls on b->d. */
bool bench_run(Bench *b, const Device *d, Run *r, size_t work_bytes, Error *e);
/* Returns a random text of `words` words, the same for the same `which`. */
Text bench_text(Bench *b, int64_t words, size_t which, Error *e);
/* Draws as many random pairs as movielens-1m has, of its numbers of users and items, and removes duplicates. The pairs
 * are in b->arena. Only the train part is filled. */
bool bench_pairs(Bench *b, DataSet *d, Error *e);

/* `sapor bench --against` (bench_against.c): `path` has the lines of an earlier run with --json. `speed` is the value
 * that is compared; larger is better. */
bool against_open(Bench *b, const char *path, double margin, Error *e);
bool against_note(Bench *b, const Figure *f, int threads, double speed, double spread, Error *e);
bool against_show(Bench *b, Error *e); /* prints what became slower and faster; fails if something became slower */

struct Peak;
/* Prints a peak: of a type of numbers if p is not NULL, else of memory at gbs GB/s. threads = 0: a GPU. */
bool bench_print_peak(Bench *b, const char *shape, const char *dtype, const char *level, const struct Peak *p,
                      double gbs, int threads, Error *e);
void bench_print_device(const Bench *b); /* prints the device, before a table */

/* Options of measurements, tables in other formats, and which figures are not reliable (bench_table.c). */
#ifndef SAPOR_MINIMAL
bool bench_setup(Bench *b, const char *what, Error *e); /* reads the options, before the device is opened */
bool bench_pin(Bench *b, Error *e);                     /* pins the threads (--pin) */
void bench_progress_start(Bench *b, const Figure *f);
void bench_progress_end(Bench *b);
#define bench_progress_step(b, n) progress_step(&(b)->progress, (double)(n), NULL)
/* A row of a table in CSV or Markdown. 0 or NULL: the cell is empty. */
typedef struct BenchRow {
    const char *bench, *shape, *variant, *dtype, *bound; /* variant NULL: the level */
    int threads;
    double least, median, spread; /* seconds; spread below 0: unknown */
    double gflops, gbs, mbs, items_per_second, share, outside;
} BenchRow;
void bench_export(Bench *b, const BenchRow *r);
void bench_note_peak(Bench *b, const struct Peak *p); /* keeps what disturbed the measurement of a peak */
void bench_json_core(JsonWriter *w, const struct Peak *p);
/* Report whether a row is marked: its times differ much, or it is faster than the peak. Convolutions by Winograd's
 * algorithm and libraries on a GPU may be faster. The row is kept for the notes (bench_above_peak: if `keep`). */
bool bench_noisy(Bench *b, double spread);
bool bench_above_peak(Bench *b, const Figure *f, double share, bool keep);
void bench_show_difference(const Bench *b, const Figure *f, const Contender list[2], const Times times[2]);
void bench_notes(const Bench *b); /* prints the notes, not with --json */
#else
#define bench_setup(b, what, e)             ((void)(b), (void)(what), true)
#define bench_pin(b, e)                     true
#define bench_progress_start(b, f)          ((void)(b))
#define bench_progress_step(b, n)           ((void)(b))
#define bench_progress_end(b)               ((void)(b))
#define bench_note_peak(b, p)               ((void)(p))
#define bench_json_core(w, p)               ((void)(p))
#define bench_noisy(b, spread)              ((void)(b), false)
#define bench_above_peak(b, f, share, keep) ((void)(b), false)
#define bench_notes(b)                      ((void)(b))
#endif

/* GPUs (bench_gpu.c): the plug-in measures their peaks. */
#ifndef SAPOR_MINIMAL
static inline bool bench_on_gpu(const Bench *b)
{
    return b->d->plugin.plugin != NULL;
}
bool bench_gpu_open(Bench *b, Error *e); /* sets b->plain and b->emulated */
void bench_gpu_close(Bench *b);
/* Writes the devices to compare: those whose tables have different functions at `member` (offsetof(Kernels, gemm)),
 * b->plain first. Returns their number, 1 or 2. */
size_t bench_devices(const Bench *b, size_t member, const Device *list[2]);
/* Returns the type that products of `dtype` are computed in: "tf32" if an option rounds float32. */
const char *bench_rounded(const Device *d, const char *dtype);
/* Waits for all calls on b->d, so that other devices can use its results. Returns true. */
bool bench_settle(const Bench *b);
int64_t bench_size(const Bench *b, int64_t n, int64_t part); /* returns n; on the emulator a part of n, at least 1 */
/* Returns a peak in operations or bytes per second. what: a type of numbers, or "copy" with the bytes of the working
 * set. 0: unknown */
double bench_gpu_peak(Bench *b, const char *what, size_t bytes, double seconds);
/* Returns the GB/s of copies on the GPU in a working set of 2^(i/4) bytes. From i = 4 BENCH_LARGEST on, the working set
 * is 1 GiB, which does not fit into any cache. */
double bench_gpu_bandwidth(Bench *b, int i);
bool bench_gpu_peaks(Bench *b, Error *e); /* prints the peaks */
#else
static inline bool bench_on_gpu(const Bench *b)
{
    (void)b;
    return false;
}
static inline bool bench_gpu_open(Bench *b, Error *e)
{
    (void)b, (void)e;
    return true;
}
static inline void bench_gpu_close(Bench *b)
{
    (void)b;
}
static inline size_t bench_devices(const Bench *b, size_t member, const Device *list[2])
{
    (void)member;
    list[0] = b->d;
    return 1;
}
static inline const char *bench_rounded(const Device *d, const char *dtype)
{
    (void)d;
    return dtype;
}
static inline bool bench_settle(const Bench *b)
{
    (void)b;
    return true;
}
static inline int64_t bench_size(const Bench *b, int64_t n, int64_t part)
{
    (void)b, (void)part;
    return n;
}
static inline double bench_gpu_peak(Bench *b, const char *what, size_t bytes, double seconds)
{
    (void)b, (void)what, (void)bytes, (void)seconds;
    return 0;
}
static inline double bench_gpu_bandwidth(Bench *b, int i)
{
    (void)b, (void)i;
    return 0;
}
static inline bool bench_gpu_peaks(Bench *b, Error *e)
{
    (void)b, (void)e;
    return true;
}
#endif

/* One function per benchmark, or per group of benchmarks. */
bool bench_dense(Bench *b, const char *what, Error *e);     /* gemm, conv, attention, norm (bench_dense.c) */
bool bench_sparse(Bench *b, const char *what, Error *e);    /* spmm, topk, optimizer (bench_sparse.c) */
bool bench_encoder(Bench *b, const char *model, Error *e);  /* bench_encoder.c */
bool bench_tokenizer(Bench *b, const char *path, Error *e); /* path NULL: the tokenizer of the demo (bench_input.c) */
/* path: an image or a folder of images; NULL: drawn images (bench_input.c) */
bool bench_image(Bench *b, const char *path, Error *e);
bool bench_train(Bench *b, const char *model, Error *e);    /* bench_train.c */
bool bench_extract(Bench *b, const char *config, Error *e); /* bench_extract.c */
#ifndef SAPOR_MINIMAL
bool bench_data(Bench *b, const char *what, Error *e);   /* bench_data.c */
bool bench_plot(Bench *b, const char *points, Error *e); /* bench_plot.c */
/* Measures the steps of bench_train's model after the first, one by one, if --steps is given (bench_steps.c).
 * load_seconds: the time that reading the data took. */
bool bench_steps(Bench *b, const TrainConfig *config, const Recommender *kind, double load_seconds, Error *e);
#else
static inline bool bench_data(Bench *b, const char *what, Error *e)
{
    (void)b;
    return fail(e, SP_UNSUPPORTED, "bench %s: not in this build; build without MINIMAL=1", what);
}
#define bench_plot bench_data
static inline bool bench_steps(Bench *b, const TrainConfig *config, const Recommender *kind, double load_seconds,
                               Error *e)
{
    (void)config, (void)kind, (void)load_seconds;
    return bench_data(b, "train --steps", e);
}
#endif

#endif
