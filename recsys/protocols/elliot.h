/* recsys/protocols/elliot.h: declarations that the files of Elliot's protocol share. The sources are sisinflab/elliot
 * (0.3.1) and sisinflab/Ducho-meets-Elliot. */
#ifndef SAPOR_ELLIOT_H
#define SAPOR_ELLIOT_H

#include "recsys/protocols/keys.h"

/* ---- Python's values (elliot_names.c) -------------------------------------------------------- */

/* Formats repr(float): the shortest decimal that gives the same number. buffer [32]. */
const char *python_float(double x, char buffer[32]);
typedef enum PythonType { PYTHON_NONE, PYTHON_BOOL, PYTHON_INT, PYTHON_FLOAT, PYTHON_STR } PythonType;
/* Returns the type that PyYAML gives to a plain word: 1e-5 is a text, 1.0e-5 is a number. */
PythonType python_type(const Yaml *y);
/* The same for ast.literal_eval, for which 1e-5 is a number. */
PythonType python_literal(Text text);
/* Formats such a value as Python's str(). */
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
    bool best;                   /* the file says `timestamp: best`; else `timestamp` is used */
    int64_t timestamp;           /* rows from this time on are test */
    int64_t min_below, min_over; /* for best: number of rows that a user needs before the time, and from it on */
    double ratio;                /* share of a user's rows that become test; 0: leave_n rows become test */
    int64_t leave_n;             /* number of a user's rows that become test, if ratio is 0 */
    int64_t folds;               /* at least 1 */
} ElliotSplit;
typedef enum ElliotFilterKind {
    ELLIOT_RATING,      /* global_threshold: a number */
    ELLIOT_RATING_MEAN, /* global_threshold: average */
    ELLIOT_USER_MEAN,   /* user_average */
    ELLIOT_USER_CORE,   /* user_k_core: users with at least `limit` rows */
    ELLIOT_ITEM_CORE,   /* item_k_core */
    ELLIOT_CORE,        /* iterative_k_core */
    ELLIOT_ROUNDS,      /* n_rounds_k_core */
    ELLIOT_COLD         /* cold_users: users with at most `limit` rows */
} ElliotFilterKind;
/* a filter; ELLIOT_RATING and the next two keep rows by their ratings, the others by the numbers of rows per user or
 * item */
typedef struct ElliotFilter {
    ElliotFilterKind kind;
    /* smallest number of rows of a kept user or item; ELLIOT_COLD: the largest; ELLIOT_RATING: the smallest rating */
    int64_t limit;
    int64_t rounds; /* ELLIOT_ROUNDS: how often users and items with fewer rows are removed */
} ElliotFilter;
/* The remaining rows of a file, in its order. */
typedef struct ElliotRows {
    uint32_t *row; /* [count] rows of the file */
    size_t count;
} ElliotRows;
typedef struct ElliotSource { /* a file of interactions */
    const Ratings *ratings;
    double *rating; /* [rows of the file]; NULL: each is 1 */
    Text *line;     /* [rows of the file] the row as pandas writes it, without its line end */
    int32_t *users; /* all users, in the order of split_users */
    Arena *arena;
} ElliotSource;
/* Reads a file of interactions. binary: ratings are written as 1. */
bool elliot_source(ElliotSource *s, const char *path, bool binary, Arena *a, Error *e);
bool elliot_rows_all(ElliotRows *rows, const ElliotSource *s, Error *e);
bool elliot_write_rows(const ElliotSource *s, const char *path, const ElliotRows *rows, Error *e);
/* Removes rows in place. */
bool elliot_filter(const ElliotSource *s, const ElliotFilter *f, ElliotRows *rows, Error *e);
/* Computes flag [folds][rows->count]: 1 for test. The random numbers are NumPy's. They are drawn for one fold after the
 * other and, within a fold, for one user after the other. */
bool elliot_cut(const ElliotSource *s, const ElliotSplit *how, const ElliotRows *rows, Mt19937 *random, uint8_t *flag,
                Error *e);
/* Returns the rows whose flag is `which`. */
bool elliot_part(ElliotRows *part, const ElliotRows *rows, const uint8_t *flag, uint8_t which, Arena *a, Error *e);

/* ---- the experiment -------------------------------------------------------------------------- */

/* How a parameter of one of Elliot's recommenders is converted. */
typedef enum ParamKind {
    PARAM_INT,
    PARAM_FLOAT,
    PARAM_BOOL,
    PARAM_TEXT,
    PARAM_RAW,        /* printed as Python prints the value that YAML gives */
    PARAM_BLANK,      /* the same, but empty if the value is false */
    PARAM_MODALITIES, /* a tuple of all modalities of side_information */
    PARAM_LOADERS,    /* a tuple of the loaders of the modalities */
    /* a tuple of the weights of two modalities, which add up to 1; the setting is the weight of visual */
    PARAM_WEIGHTS,
    PARAM_SCHEDULE, /* a tuple (a, b): the learning rate is multiplied by a^(epoch / b) */
    PARAM_FIRST     /* a tuple (n, None): the setting is n */
} ParamKind;
typedef struct ElliotParam {
    const char *key, *shortcut, *usual; /* key; its short form in names of models; the default, as in YAML */
    ParamKind kind;
    const char *setting; /* Sapor's setting; NULL: none */
    /* the only allowed value; "=factors": only the value of the key `factors` is allowed; NULL: any value */
    const char *only;
} ElliotParam;
/* meaning of batch_size -1: all train pairs, or all users */
typedef enum ElliotBatch { BATCH_NONE, BATCH_PAIRS, BATCH_USERS } ElliotBatch;
typedef struct ElliotKind { /* one of Elliot's recommenders (elliot_tables.c) */
    const char *name;       /* name in Elliot's files */
    ElliotBatch batch;      /* BATCH_NONE: no training; its names have no seed, epochs and batch size */
    const ElliotParam *params;
    /* for an external recommender: how the recommender of the same name in Elliot's core differs; NULL: Elliot's core
     * has no recommender of this name */
    const char *core_difference;
    bool external; /* its key in `models` begins with "external." */
} ElliotKind;
/* Finds a recommender by a key of `models`, with or without "external."; NULL: there is none. */
const ElliotKind *elliot_kind(const char *name);
enum { ELLIOT_KINDS = 19 };
size_t elliot_kind_names(const char *names[ELLIOT_KINDS], Arena *a, Error *e); /* for messages; 0: memory ran out */

/* The first two parameters of every model with training: epochs and batch_size. PARAM_OWN: the first of the
 * recommender's own parameters. ELLIOT_PARAMS: more than any recommender has. */
enum { PARAM_EPOCHS, PARAM_BATCH, PARAM_OWN, ELLIOT_PARAMS = 24 };
const ElliotParam *elliot_param(const ElliotKind *kind, size_t i); /* NULL after the last one */
/* what is needed to write the names and files of one model */
typedef struct ElliotModel {
    const ElliotKind *kind;
    const Yaml *map; /* its entry of `models`; NULL: it is empty */
    /* The index of both arrays is that of elliot_param. printed: the value of the parameter as Python prints it, if the
     * parameter does not vary. dim: the number of its dimension; -1 if it does not vary */
    const char *printed[ELLIOT_PARAMS];
    int dim[ELLIOT_PARAMS];
    const char **batch_place; /* where elliot_batches writes "batch_size=N" if the file has batch_size -1; else NULL */
    int64_t seed;
    const Yaml *const *dims;    /* [dim_count] the lists of their values */
    const ElliotParam **varied; /* [dim_count] */
} ElliotModel;
typedef struct Elliot {
    Keys experiment;
    const char *path, *folder; /* the file, and its folder */
    const char *dataset;
    const char *recs, *weights, *performance, *log; /* output folders */
    const char *splits;                             /* OUT/splits */
    const char *threshold;                          /* relevance_threshold as Python prints it */
    size_t simple_count;                            /* number of the study's metrics that are from simple_metrics */
    const char *first_metric;                       /* the first of simple_metrics, as spelled there */
    int64_t top_k, seed;
    /* triplets: the key print_results_as_triplets: results are also written as lines of one model, metric and value.
     * binarize: ratings are written as 1 (see elliot_source) */
    bool triplets, binarize;
    Keys data;                                      /* the map data_config */
    size_t strategy;                                /* dataset, fixed or hierarchy */
    DataConfig config;                              /* common to all data sets, without files */
    const char *const *modalities, *const *loaders; /* of side_information, in order */
    size_t modality_count;
    /* [data sets of the study] numbers of train pairs, users and items; elliot_sizes counts them if a model needs them
     */
    int64_t *pairs, *users, *items;
    size_t train_count;  /* number of data sets that elliot_sizes counted; 0: it was not called */
    ElliotModel *models; /* [model_count of the study] */
} Elliot;

/* elliot.c: returns the path that the value y of `key` gives; NULL: an error. In the value, {0} and {} are replaced by
 * the name of the data set, and {{ and }} by one brace. A relative path is relative to the configuration's folder if
 * Elliot's regular expression recognises it as a path. Otherwise it is relative to the working directory. */
const char *elliot_path(const Elliot *x, const Keys *k, const char *key, const Yaml *y);
/* elliot_eval.c: evaluation, negative_sampling */
bool elliot_evaluation(Study *s, Elliot *x);
/* elliot_plan.c: reads prefiltering (a map, or a list of maps that are applied in order), and the map `key` of
 * splitting. r: the rows to split; some strategies need their times. */
bool elliot_filters(const Elliot *x, ElliotFilter **list, size_t *count, Arena *a, Error *e);
bool elliot_split(ElliotSplit *how, const Keys *splitting, const char *key, const Ratings *r);
/* elliot_data.c. elliot_data_begin reads data_config, but not the files of the data. elliot_data_end makes or finds the
 * parts. */
bool elliot_data_begin(Elliot *x, Arena *a, Error *e);
bool elliot_data_end(Study *s, Elliot *x, Error *e);
/* Counts users, distinct pairs and items of the train part of each data set. */
bool elliot_sizes(Elliot *x, const Study *s, Arena *a, Error *e);
typedef struct ElliotReader { /* the state while one model is read (elliot_models.c, elliot_meta.c) */
    Elliot *x;
    Study *study;
    StudyModel *to;
    ElliotModel *m;
    Keys k;
    const char **set;
    Dimension *dims;
    const Yaml **lists;
    bool product;   /* all dimensions are lists of values */
    int64_t points; /* number of points of the product of these lists */
    int64_t rate;   /* validation_rate */
    Arena *a;
    Error *e;
} ElliotReader;
/* elliot_models.c: reads one parameter of the model. i is its index and p its row: elliot_param(r->m->kind, i). A list
 * of values becomes a dimension, a single value becomes a setting. */
bool elliot_read_param(ElliotReader *r, size_t i, const ElliotParam *p);
/* elliot_meta.c: reads `models` */
bool elliot_models(Study *s, Elliot *x, Arena *a, Error *e);
/* Replaces a batch size of -1 by the number of train pairs or users. It is called when the parts exist. */
bool elliot_batches(Study *s, Elliot *x, Arena *a, Error *e);
/* elliot_names.c: returns the name of a model at a point (TrialRow.point): "VBPR_seed=123_e=200_..." */
const char *elliot_name(const Elliot *x, const ElliotModel *m, const char *point, Arena *a, Error *e);
/* The file of the best parameters is a JSON list with one object per model. Each function writes one value of this
 * object, with the indentation of Python's json.dump(indent=4): the object's keys have 8 blanks before them, and the
 * keys inside the value have 12.
 *
 * - elliot_put_meta: the map `meta` of the model.
 * - elliot_put_configuration: a map of the model's other keys, with their values at a point (TrialRow.point). */
bool elliot_put_meta(Out *o, const ElliotModel *m, Error *e);
bool elliot_put_configuration(Out *o, const ElliotModel *m, const char *name, const char *point, int64_t best_epoch,
                              Arena *a, Error *e);
bool elliot_put_string(Out *o, const char *text, Error *e);
/* Formats a value of a parameter as Python prints it. Returns NULL without an error if the value has another type. */
const char *elliot_printed(const ElliotParam *p, PythonType type, Text value, Arena *a, Error *e);

#endif
