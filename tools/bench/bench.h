/* tools/bench/bench.h: what the files of `sapor bench` share. */
#ifndef SAPOR_BENCH_H
#define SAPOR_BENCH_H

#include "tools/features.h"

typedef struct Bench {
    Context *c;
    const Device *d;
    Arena *arena; /* rewound after each figure */
    struct BenchMemory *memory;
    double seconds;     /* for each figure */
    double peak[4];     /* GFLOP/s of this level and these threads, by BENCH_TYPES; 0: not measured yet */
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
bool bench_run(Bench *b, Run *r, size_t work_bytes, Error *e);
/* A drawn text of `words` words, the same for the same `which`. */
Text bench_text(Bench *b, int64_t words, size_t which, Error *e);
/* movielens-1m's users, items and pairs, drawn; in b->arena. Only train. */
bool bench_pairs(Bench *b, DataSet *d, Error *e);

/* `sapor bench --against` (bench_against.c): lines of an earlier `--json`. `speed` is the figure, larger is better. */
bool against_open(Bench *b, const char *path, double margin, Error *e);
bool against_note(Bench *b, const Figure *f, int threads, double speed, double spread, Error *e);
bool against_show(Bench *b, Error *e); /* what got slower and faster; fails where something got slower */

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
