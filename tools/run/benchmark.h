/* tools/run/benchmark.h: one YAML file that names data sets, settings of extractors, recommenders and grids becomes a
 * study. docs/formats.md has its keys.
 *
 *   benchmark.c         the file, settings, knock-outs, evaluation; the cells of the study
 *   benchmark_data.c    data sets: files, splits, reasons why they are absent
 *   benchmark_models.c  recommenders and their spaces
 *   benchmark_extract.c extraction of what is missing, in processes of its own */
#ifndef SAPOR_BENCHMARK_H
#define SAPOR_BENCHMARK_H

#include "recsys/protocols/keys.h"
#include "tools/ducho/extract.h"

typedef struct BenchData {
    const char *name, *folder; /* folder: where its paths begin */
    const char *images;        /* a folder, or NULL */
    const char *table, *id, *text;
    const char *why;    /* the key `absent`: for people, why files are not there */
    const char *absent; /* why no trial runs on it; NULL: it is here */
    Keys features;      /* ready features by setting */
    /* interactions that are split: the file, and how */
    const char *interactions;
    SplitConfig split;
    DataConfig config;
} BenchData;
typedef struct BenchPart { /* one encoder of a setting */
    const char *name;      /* "visual", "textual" or "visual_textual" */
    const Yaml *at;        /* its keys */
    const char *label;     /* its key `model` */
    const char *encoder;   /* the same as Ducho's model_name: of demo/NAME a path */
    const char *missing;   /* why the encoder is not here, or NULL */
} BenchPart;
enum { BENCH_PARTS = 3 };
typedef struct BenchSetting {
    const char *name;
    BenchPart parts[BENCH_PARTS];
    size_t part_count;
    Keys features; /* ready features: paths with {0} for the data set */
} BenchSetting;
typedef struct BenchKnock {
    const char *name; /* ", both noise" */
    Knock knock;
} BenchKnock;
typedef struct Benchmark {
    Keys k;             /* the map `benchmark` */
    const char *folder; /* of the file: where its paths begin */
    const char *out;
    Protocol protocol;
    Context *context; /* threads and messages of extractions; NULL: nothing is extracted, what is missing is absent */
    BenchData *data;
    BenchSetting *settings;
    BenchKnock *knocks;
    size_t data_count, setting_count, knock_count;
} Benchmark;

/* Reads and checks the file, splits and extracts what is missing, and records the extractions in the ledger. One worker
 * at a time prepares; others wait. c->out replaces the key `out`. */
bool benchmark_read(Study *s, const ProtocolConfig *c, const Yaml *root, Context *ctx, Arena *a, Error *e);

/* benchmark_data.c */
bool benchmark_data(Benchmark *b);
/* Fills d->config.train, valid, test of data with `interactions`: OUT/data/NAME-HASH. */
bool benchmark_split(Benchmark *b, BenchData *d);
/* "WHY (PATH is not there)" */
const char *benchmark_missing(const Benchmark *b, const BenchData *d, const char *path);
/* benchmark_models.c */
bool benchmark_models(const Benchmark *b, StudyModel **models, size_t *count);
/* benchmark_extract.c: Ducho's configuration of one part; d NULL: of no data set, to check the part. */
Yaml *benchmark_tree(const Benchmark *b, const BenchPart *p, const BenchData *d);
/* Extracts and adds "visual=PATH" and the like to features; d->absent is set where it fails. */
bool benchmark_extract(Benchmark *b, const BenchData *d, const BenchSetting *s, StudyData *cell);

/* A name for files of a data set, or of its encoder: "office-CLIP-visual_textual" (benchmark.c). */
const char *benchmark_file_name(const Benchmark *b, const char *data, const char *setting, const char *part);

#endif
