/* tools/run/benchmark.h: makes a study from one YAML file with data sets, settings of extractors, recommenders and
 * grids. docs/formats.md describes the keys of the file.
 *
 * - A knock-out replaces the features of a modality, by noise for example, and trains with them (recsys.h: KnockMode).
 *   The metrics then show how much the modality helps.
 * - A cell is a data set with one setting of the extractors, or with a setting and a knock-out (StudyData).
 *
 *   benchmark.c         the file, settings, knock-outs, evaluation; the cells of the study
 *   benchmark_data.c    data sets: files, splits, reasons why data are missing
 *   benchmark_models.c  recommenders and their search spaces
 *   benchmark_extract.c extracts missing features, in separate processes */
#ifndef SAPOR_BENCHMARK_H
#define SAPOR_BENCHMARK_H

#include "recsys/protocols/keys.h"
#include "tools/ducho/extract.h"

typedef struct BenchData {
    const char *name, *folder;     /* folder: where relative paths of the data set start */
    const char *images;            /* a folder, or NULL */
    const char *table, *id, *text; /* the table of texts, its columns of ids and of texts; NULL: no texts */
    /* the user's text under the key `absent`: the reason to print if files are missing. It is set whenever the key is
     * there, even if no file is missing. NULL: the key is not there */
    const char *why;
    /* the message about a missing file: `why` (if there is one) and the path. No trial then runs on the data. NULL: no
     * file is missing */
    const char *absent;
    Keys features; /* existing features, by setting */
    /* interactions that are split: the file, and the options of the split */
    const char *interactions;
    SplitConfig split;
    DataConfig config;
} BenchData;
typedef struct BenchPart { /* one encoder of a setting */
    const char *name;      /* "visual", "textual" or "visual_textual" */
    const Yaml *at;        /* its keys */
    const char *label;     /* its key `model` */
    const char *encoder;   /* the same as Ducho's model_name; for demo/NAME it is a path */
    const char *missing;   /* why the encoder is missing, or NULL */
} BenchPart;
enum { BENCH_PARTS = 3 };
typedef struct BenchSetting {
    const char *name;
    BenchPart parts[BENCH_PARTS];
    size_t part_count;
    Keys features; /* existing features: paths with {0} for the data set */
} BenchSetting;
typedef struct BenchKnock {
    const char *name; /* modality and mode: "both noise" */
    Knock knock;
} BenchKnock;
typedef struct Benchmark {
    Keys k;             /* the map `benchmark` */
    const char *folder; /* folder of the file: relative paths start here */
    const char *out;
    Protocol protocol;
    /* threads and messages of extractions; NULL: nothing is extracted, and cells without features stay empty */
    Context *context;
    BenchData *data;
    BenchSetting *settings;
    BenchKnock *knocks;
    size_t data_count, setting_count, knock_count;
} Benchmark;

/* Reads and checks the file, makes the splits, extracts the missing features, and records the extractions in the
 * ledger. One worker at a time prepares; the other workers wait. c->out replaces the key `out`. */
bool benchmark_read(Study *s, const ProtocolConfig *c, const Yaml *root, Context *ctx, Arena *a, Error *e);

/* benchmark_data.c */
bool benchmark_data(Benchmark *b);
/* Splits data with `interactions` into OUT/data/NAME-HASH, and sets the train, valid and test part of d->config. A part
 * that the split does not have is NULL. */
bool benchmark_split(Benchmark *b, BenchData *d);
/* Returns "WHY (PATH is not there)". */
const char *benchmark_missing(const Benchmark *b, const BenchData *d, const char *path);
/* benchmark_models.c */
bool benchmark_models(const Benchmark *b, StudyModel **models, size_t *count);
/* benchmark_extract.c: returns Ducho's configuration of one part. d NULL: the configuration has no data set; it is only
 * used to check the part. */
Yaml *benchmark_tree(const Benchmark *b, const BenchPart *p, const BenchData *d);
/* Extracts the features of a cell and adds "visual=PATH" and "textual=PATH" to its features. If the extraction fails,
 * the cell's `absent` is set, and the function returns true. */
bool benchmark_extract(Benchmark *b, const BenchData *d, const BenchSetting *s, StudyData *cell);

/* Returns a file name for a data set ("office"), or, if setting is not NULL, for the features of one part on it:
 * "office-CLIP-visual_textual" (benchmark.c). */
const char *benchmark_file_name(const Benchmark *b, const char *data, const char *setting, const char *part);

#endif
