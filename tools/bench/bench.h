/* tools/bench/bench.h: what the files of `sapor bench` share. */
#ifndef SAPOR_BENCH_H
#define SAPOR_BENCH_H

#include "tools/features.h"

enum { BENCH_LARGEST = 28 }; /* 256 MB count as memory */

typedef struct Bench {
    Context *c;
    const Device *d;
    Device *own;   /* with options of a GPU (--blas): the same GPU without them, to compare with; else NULL */
    bool emulated; /* the GPU is the emulator of tests: shapes are small, times mean nothing */
    Arena *arena;  /* rewound after each figure */
    struct BenchMemory *memory;
    double seconds;     /* for each figure */
    double peak[5];     /* GFLOP/s of this level and these threads, by BENCH_TYPES; 0: not measured yet */
    double gbs[4 * 32]; /* reading 2^(i/4) bytes; 0: not measured yet */
    float *data;        /* what is read for that */
    size_t figures;
    int heading;                  /* of the table so far */
    const char *filter;           /* only shapes that contain it, or NULL */
    bool found;                   /* something matched the filter */
    struct BenchAgainst *against; /* an earlier run, or NULL */
} Bench;

typedef void BenchBody(void *arg);
/* What a figure is about. Its bound is the larger of two times at peak: flops / peak, and bytes / the bandwidth of the
 * cache or memory that holds so many. */
typedef struct Figure {
    const char *bench, *shape;
    const char *dtype, *variant; /* NULL: "f32"; the level of instructions serves all shapes alike */
    double flops, bytes;         /* of one run; 0: not known */
    double working_set;          /* bytes that are read again and again: they decide which cache; 0: `bytes` */
    double items, megabytes;     /* of input in one run: texts, images, training pairs; else 0 */
    const char *item;            /* NULL: "items/s" */
    double outside;              /* share of the time outside of kernels, where it is measured; else 0 */
} Figure;
/* Whether --shape selects it */
bool bench_selects(Bench *b, const char *shape);
/* Warms up, repeats for b->seconds, prints one figure. */
bool bench_measure(Bench *b, const Figure *f, BenchBody *body, void *arg, Error *e);
#ifdef SAPOR_MINIMAL
enum { CONTENDERS = 1 };
#else
enum { CONTENDERS = 2 };
#endif
/* One of CONTENDERS implementations that are timed in turn: arg is body's, variant takes the place of the figure's. */
typedef struct Contender {
    const Device *d;
    void *arg;
    const char *variant;
} Contender;
bool bench_compare(Bench *b, const Figure *f, BenchBody *body, const Contender *list, size_t n, Error *e);
typedef struct Times {
    double least, median, quartiles; /* quartiles: their distance, as a share of the median */
} Times;
Times times_of(double *times, size_t n); /* of times [n], n at least 1, which it sorts */
/* Prints a figure from times [n] in seconds, which it sorts. */
bool bench_print(Bench *b, const Figure *f, double *times, size_t n, Error *e);
/* Numbers that look like data: draws, the same every time. In host memory; on the device. */
float *bench_draws(Bench *b, size_t n, Error *e);
float *bench_floats(Bench *b, size_t n, Error *e);
/* Memory of the device for one figure, zeroed; and a copy of the host's there. */
void *bench_memory(Bench *b, size_t bytes, Error *e);
void *bench_copy(Bench *b, const void *host, size_t bytes, Error *e);
/* Gives back what the last figure took: the arena, and memory of the device. */
void bench_again(Bench *b);
bool bench_run(Bench *b, const Device *d, Run *r, size_t work_bytes, Error *e);
/* A drawn text of `words` words, the same for the same `which`. */
Text bench_text(Bench *b, int64_t words, size_t which, Error *e);
/* movielens-1m's users, items and pairs, drawn; in b->arena. Only train. */
bool bench_pairs(Bench *b, DataSet *d, Error *e);

/* `sapor bench --against` (bench_against.c): lines of an earlier `--json`. `speed` is the figure, larger is better. */
bool against_open(Bench *b, const char *path, double margin, Error *e);
bool against_note(Bench *b, const Figure *f, int threads, double speed, double spread, Error *e);
bool against_show(Bench *b, Error *e); /* what got slower and faster; fails where something got slower */

struct Peak;
/* Of a type of numbers where p is given, else of memory at gbs GB/s; threads 0: a GPU */
bool bench_print_peak(Bench *b, const char *shape, const char *dtype, const char *level, const struct Peak *p,
                      double gbs, int threads, Error *e);
void bench_print_device(const Bench *b); /* what computes, before a table */

/* GPUs (bench_gpu.c): what the plug-in measures, and what is compared. */
#ifndef SAPOR_MINIMAL
static inline bool bench_on_gpu(const Bench *b)
{
    return b->d->plugin.plugin != NULL;
}
bool bench_gpu_open(Bench *b, Error *e); /* sets b->own and b->emulated */
void bench_gpu_close(Bench *b);
/* The devices whose tables have different functions at `member` (offsetof(Kernels, gemm)), b->own first: 1 or 2 */
size_t bench_devices(const Bench *b, size_t member, const Device *list[2]);
/* The type that products of `dtype` are computed in: "tf32" where an option rounds float32 */
const char *bench_rounded(const Device *d, const char *dtype);
/* What b->d was called for is there for other devices then. True */
bool bench_settle(const Bench *b);
int64_t bench_size(const Bench *b, int64_t n, int64_t part); /* n; on the emulator a part of it, at least 1 */
/* what: a type of numbers, or "copy" with the bytes of the working set; 0: not known */
double bench_gpu_peak(Bench *b, const char *what, size_t bytes, double seconds);
/* GB/s that the GPU copies in a working set of 2^(i/4) bytes; from BENCH_LARGEST on in one that no cache holds */
double bench_gpu_bandwidth(Bench *b, int i);
bool bench_gpu_peaks(Bench *b, Error *e); /* prints them */
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

/* Each a bench of its name. */
bool bench_dense(Bench *b, const char *what, Error *e);     /* gemm, conv, attention, norm (bench_dense.c) */
bool bench_sparse(Bench *b, const char *what, Error *e);    /* spmm, topk, optimizer (bench_sparse.c) */
bool bench_encoder(Bench *b, const char *model, Error *e);  /* bench_encoder.c */
bool bench_tokenizer(Bench *b, const char *path, Error *e); /* NULL: the demo's (bench_input.c) */
/* an image or a folder of images; NULL: drawn ones (bench_input.c) */
bool bench_image(Bench *b, const char *path, Error *e);
bool bench_train(Bench *b, const char *model, Error *e);    /* bench_train.c */
bool bench_extract(Bench *b, const char *config, Error *e); /* bench_extract.c */
#ifndef SAPOR_MINIMAL
bool bench_data(Bench *b, const char *what, Error *e);   /* bench_data.c */
bool bench_plot(Bench *b, const char *points, Error *e); /* bench_plot.c */
/* The steps of bench_train's model after the first, one by one, where --steps is given (bench_steps.c). load_seconds:
 * to read the data. */
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
