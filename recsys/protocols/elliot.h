/* recsys/protocols/elliot.h: what the files of Elliot's protocol share. DE names the sources: sisinflab/elliot (0.3.1)
 * and sisinflab/Ducho-meets-Elliot. */
#ifndef SAPOR_ELLIOT_H
#define SAPOR_ELLIOT_H

#include "recsys/protocols/keys.h"

/* ---- Python (elliot_names.c) ----------------------------------------------------------------- */

/* repr(float): the shortest decimal that reads back. buffer [32]. */
const char *python_float(double x, char buffer[32]);
typedef enum PythonType { PYTHON_NONE, PYTHON_BOOL, PYTHON_INT, PYTHON_FLOAT, PYTHON_STR } PythonType;
/* What PyYAML makes of a plain word: 1e-5 is a text there, 1.0e-5 a number. */
PythonType python_type(const Yaml *y);
/* The same by ast.literal_eval, for which 1e-5 is a number. */
PythonType python_literal(Text text);
/* str() of such a value */
const char *python_str(PythonType type, Text text, Arena *a, Error *e);

/* ---- splits (elliot_split.c) ----------------------------------------------------------------- */

typedef enum ElliotStrategy {
    ELLIOT_TIMESTAMP, /* fixed_timestamp */
    ELLIOT_TEMPORAL,  /* temporal_hold_out */
    ELLIOT_RANDOM,    /* random_subsampling */
    ELLIOT_FOLDS,     /* random_cross_validation */
    ELLIOT_STRATEGIES
} ElliotStrategy;
extern const char *const elliot_strategies[ELLIOT_STRATEGIES];
typedef struct ElliotSplit {
    ElliotStrategy strategy;
    bool best;                   /* timestamp: best, else `timestamp` */
    int64_t timestamp;           /* rows from then on are test */
    int64_t min_below, min_over; /* of best: rows that a user has before and from then on */
    double ratio;                /* of a user's rows that become test; 0: leave_n of them */
    int64_t leave_n, folds;      /* folds at least 1 */
} ElliotSplit;
typedef enum ElliotFilterKind {
    ELLIOT_RATING,      /* global_threshold: a number */
    ELLIOT_RATING_MEAN, /* global_threshold: average */
    ELLIOT_USER_MEAN,   /* user_average */
    ELLIOT_USER_CORE,   /* user_k_core: users with at least `least` rows */
    ELLIOT_ITEM_CORE,   /* item_k_core */
    ELLIOT_CORE,        /* iterative_k_core */
    ELLIOT_ROUNDS,      /* n_rounds_k_core */
    ELLIOT_COLD         /* cold_users: users with at most `least` rows */
} ElliotFilterKind;
typedef struct ElliotFilter {
    ElliotFilterKind kind;
    int64_t least, rounds;
} ElliotFilter;
/* The rows of a file that are left, in its order. */
typedef struct ElliotRows {
    uint32_t *row; /* [count] rows of the file */
    size_t count;
} ElliotRows;
typedef struct ElliotSource { /* a file of interactions */
    const Ratings *ratings;
    double *rating; /* of each row; NULL: each is 1 */
    Text *line;     /* of each row, as pandas writes it, without its end */
    int32_t *users; /* all, in the order of split_users */
    Arena *arena;
} ElliotSource;
/* binary: ratings are written as 1. */
bool elliot_source(ElliotSource *s, const char *path, bool binary, Arena *a, Error *e);
bool elliot_rows_all(ElliotRows *rows, const ElliotSource *s, Error *e);
bool elliot_write_rows(const ElliotSource *s, const char *path, const ElliotRows *rows, Error *e);
/* Removes rows in place. */
bool elliot_filter(const ElliotSource *s, const ElliotFilter *f, ElliotRows *rows, Error *e);
/* flag [folds][rows->count]: 1 for test. Draws as NumPy does, user by user, fold by fold. */
bool elliot_cut(const ElliotSource *s, const ElliotSplit *how, const ElliotRows *rows, Mt19937 *random, uint8_t *flag,
                Error *e);
/* The rows whose flag is `part`. */
bool elliot_part(ElliotRows *part, const ElliotRows *rows, const uint8_t *flag, uint8_t which, Arena *a, Error *e);

/* ---- the experiment -------------------------------------------------------------------------- */

/* What a parameter of one of Elliot's recommenders becomes here. */
typedef enum ParamKind {
    PARAM_INT,
    PARAM_FLOAT,
    PARAM_BOOL,
    PARAM_TEXT,
    PARAM_RAW,        /* printed as Python prints what YAML gives */
    PARAM_BLANK,      /* the same, but nothing for what is false */
    PARAM_MODALITIES, /* a tuple: all modalities of side_information */
    PARAM_LOADERS,    /* a tuple: the loaders of the modalities */
    PARAM_WEIGHTS,    /* a tuple: weights of two modalities, which add up to 1; the setting has that of visual */
    PARAM_SCHEDULE,   /* a tuple (a, b): the learning rate times a^(epoch / b) */
    PARAM_FIRST       /* a tuple (n, None): the setting is n */
} ParamKind;
typedef struct ElliotParam {
    const char *key, *shortcut, *usual; /* usual: where the key is absent, as in YAML */
    ParamKind kind;
    const char *setting; /* of Sapor; NULL: none */
    const char *only;    /* the one value that there is here, or "=factors": that of the key factors; NULL: any */
} ElliotParam;
typedef enum ElliotBatch { BATCH_NONE, BATCH_PAIRS, BATCH_USERS } ElliotBatch; /* batch_size -1: train pairs, users */
typedef struct ElliotKind { /* one of Elliot's recommenders (elliot_tables.c) */
    const char *name;       /* as in its file names */
    ElliotBatch batch;      /* BATCH_NONE: learns nothing, and its names have no seed, epochs and batch size */
    const ElliotParam *params;
    const char
        *own; /* of an external one: how that of Elliot's core differs, which has the same name; NULL: none has */
    bool external;
} ElliotKind;
/* By the name of a key of `models`, with or without "external."; NULL: there is none. */
const ElliotKind *elliot_kind(const char *name);
enum { ELLIOT_KINDS = 19 };
size_t elliot_kind_names(const char *names[ELLIOT_KINDS], Arena *a, Error *e); /* for messages; 0: out of memory */

/* The two that all models have that learn, before their own: epochs and batch_size. */
enum { PARAM_EPOCHS, PARAM_BATCH, PARAM_OWN, ELLIOT_PARAMS = 24 };
const ElliotParam *elliot_param(const ElliotKind *kind, size_t i); /* NULL behind the last */
typedef struct ElliotModel {                                       /* what the names and files of one model need */
    const ElliotKind *kind;
    const Yaml *map; /* of `models`; NULL: it is empty */
    /* of each parameter, by the number of elliot_param: its value as Python prints it, or the number of its dimension;
     * dim -1: it does not vary */
    const char *printed[ELLIOT_PARAMS];
    int dim[ELLIOT_PARAMS];
    const char **every; /* batch_size -1: the place of that setting, which elliot_batches fills; or NULL */
    int64_t seed;
    const Yaml *const *dims;    /* [dim_count] their lists */
    const ElliotParam **varied; /* [dim_count] */
} ElliotModel;
typedef struct Elliot {
    Keys experiment;
    const char *path, *folder; /* the file, and its folder */
    const char *dataset;
    const char *recs, *weights, *performance, *log; /* folders */
    const char *splits;                             /* OUT/splits */
    const char *threshold;                          /* relevance_threshold as Python prints it */
    size_t simple_count;                            /* of the study's metrics: those of simple_metrics */
    const char *first_metric;                       /* as written in simple_metrics */
    int64_t top_k, seed;
    bool triplets, binarize;
    Keys data;                                      /* data_config */
    size_t strategy;                                /* dataset, fixed, hierarchy */
    DataConfig config;                              /* of each data set, but its files */
    const char *const *modalities, *const *loaders; /* of side_information, in order */
    size_t modality_count;
    /* of each data set of the study, counted where a model needs it: elliot_sizes */
    int64_t *pairs, *users, *items;
    size_t train_count;
    ElliotModel *models; /* [study's model_count] */
} Elliot;

/* elliot.c: a path of the configuration: {0} is the data set; relative to the configuration's folder where Elliot
 * takes it for a path. NULL: an error. */
const char *elliot_path(const Elliot *x, const Keys *k, const char *key, const Yaml *y);
/* elliot_eval.c: evaluation, negative_sampling */
bool elliot_evaluation(Study *s, Elliot *x);
/* elliot_plan.c: prefiltering, a map or a list of maps that are followed in order; one map of splitting, of the file r.
 */
bool elliot_filters(const Elliot *x, ElliotFilter **list, size_t *count, Arena *a, Error *e);
bool elliot_split(ElliotSplit *how, const Keys *splitting, const char *key, const Ratings *r);
/* elliot_data.c: data_config is read, without its files; then the parts are made or found. */
bool elliot_data_begin(Elliot *x, Arena *a, Error *e);
bool elliot_data_end(Study *s, Elliot *x, Error *e);
/* Users, distinct pairs and items of the train part of each data set. */
bool elliot_sizes(Elliot *x, const Study *s, Arena *a, Error *e);
typedef struct ElliotReader { /* one model while it is read (elliot_models.c, elliot_meta.c) */
    Elliot *x;
    Study *study;
    StudyModel *to;
    ElliotModel *m;
    Keys k;
    const char **set;
    Dimension *dims;
    const Yaml **lists;
    bool product;   /* all dimensions are lists of values */
    int64_t points; /* of these lists */
    int64_t rate;   /* validation_rate */
    Arena *a;
    Error *e;
} ElliotReader;
/* elliot_models.c: parameter i, p, of the model: a setting or a dimension. */
bool elliot_read_param(ElliotReader *r, size_t i, const ElliotParam *p);
/* elliot_meta.c: models */
bool elliot_models(Study *s, Elliot *x, Arena *a, Error *e);
/* When the parts are there: batches of -1 are all train pairs or users. */
bool elliot_batches(Study *s, Elliot *x, Arena *a, Error *e);
/* elliot_names.c: the name of a model at a point, TrialRow.point: "VBPR_seed=123_e=200_..." */
const char *elliot_name(const Elliot *x, const ElliotModel *m, const char *point, Arena *a, Error *e);
/* JSON as json.dump(indent=4) writes it: the map `meta`; the others of a model at a point, as at depth 2. */
bool elliot_put_meta(Out *o, const ElliotModel *m, Error *e);
bool elliot_put_configuration(Out *o, const ElliotModel *m, const char *name, const char *point, int64_t best_epoch,
                              Arena *a, Error *e);
bool elliot_put_string(Out *o, const char *text, Error *e);
/* A value of a parameter as Python prints it; NULL without an error: it is none of its kind. */
const char *elliot_printed(const ElliotParam *p, PythonType type, Text value, Arena *a, Error *e);

#endif
