/* tools/bench.h: what the files of `sapor bench` share. */
#ifndef SAPOR_BENCH_H
#define SAPOR_BENCH_H

#include "tools/features.h"

typedef struct Bench {
    Context *c;
    const Device *d;
    Arena *arena;       /* rewound after each figure */
    double seconds;     /* for each figure */
    double peak_gflops; /* of this level and these threads */
    double gbs[32];     /* reading 2^i bytes; 0: not measured yet */
    float *data;        /* what is read for that */
    size_t figures;
    const char *filter; /* only shapes that contain it, or NULL */
} Bench;

typedef void BenchBody(void *arg);
/* What a figure is about. Its bound is the larger of two times at peak: flops / peak, and bytes / the bandwidth of the cache or memory that holds
 * so many. */
typedef struct Figure {
    const char *bench, *shape;
    double flops, bytes; /* of one run; 0: not known */
    double items;        /* inputs of one run, for encoders; else 0 */
    double lives;        /* bytes that are read again and again, where they are fewer: they say which cache; 0: `bytes` */
} Figure;
bool bench_wants(const Bench *b, const char *shape);
/* Warms up, repeats for b->seconds, prints one figure. */
bool bench_measure(Bench *b, const Figure *f, BenchBody *body, void *arg, Error *e);
/* Numbers that look like data: draws, the same every time. */
float *bench_floats(Bench *b, size_t n, Error *e);
bool bench_run(Bench *b, Run *r, size_t work_bytes, Error *e);

bool bench_dense(Bench *b, const char *what, Error *e);    /* gemm, conv, attention, norm (bench_dense.c) */
bool bench_sparse(Bench *b, const char *what, Error *e);   /* spmm, topk, optimizer (bench_sparse.c) */
bool bench_encoder(Bench *b, const char *model, Error *e); /* bench_encoder.c */

#endif
