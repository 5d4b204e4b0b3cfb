/* recsys/recsys.h: data sets, splits, samplers, recommenders, trainer, metrics.
 *
 * A new recommender is one file in recsys/models/ and one line in registry.c. */
#ifndef SAPOR_RECSYS_H
#define SAPOR_RECSYS_H

#include "nn/nn.h"

/* ---- data ------------------------------------------------------------------------------------------------------------------ */

typedef struct Ratings { /* as read, in file order, ids as texts */
    size_t count;
    Text *user, *item;
    double *rating; /* 1 where the file has none */
    int64_t *time;  /* NULL where the file has none */
    int8_t *part;   /* MMRec's x_label: 0 train, 1 validation, 2 test; NULL where the file has none */
    const char *path;
} Ratings;
typedef enum Format { FORMAT_AUTO, FORMAT_TSV, FORMAT_INTER /* MMRec: header with x_label */, FORMAT_RECBOLE /* typed headers */,
                      FORMAT_LIGHTGCN /* user item item ... */ } Format;
bool ratings_read(Ratings *r, const char *path, Format f, Arena *a, Error *e);

typedef struct Pairs { /* one part of the data by user: CSR over U users, items ascending in a user */
    int64_t count;
    int64_t *start;
    int32_t *item;
    float *rating;
} Pairs;
typedef struct Feature { /* one modality; row i belongs to item i of the data set */
    const char *name; /* "visual", "textual" */
    int64_t D;
    const float *data; /* [I, D], in the arena or mapped */
} Feature;
typedef enum Protocol { PROTOCOL_ELLIOT, PROTOCOL_MMREC } Protocol;
typedef struct DataSet {
    int64_t U, I;
    TextIndex *users, *items; /* number <-> id */
    Pairs train, valid, test; /* start NULL where absent */
    Feature *features;
    size_t feature_count;
    Protocol protocol;
    Arena *arena;
} DataSet;
/* Elliot: users and items are train's, numbered as DE 3.3. MMRec: ids are integers, U and I are the largest + 1 over all rows. valid and
 * test may be NULL. features: "name=path" strings; items without features are an error that names the first few. */
typedef struct DataConfig {
    const char *train, *valid, *test;
    Format format;
    Protocol protocol;
    const char *const *features;
    size_t feature_count;
} DataConfig;
bool dataset_load(DataSet *d, const DataConfig *c, Arena *a, Error *e);

/* ---- splits (split.c): DE 5.3, DE 3.4 ------------------------------------------------------------------------------------------- */

typedef struct SplitConfig {
    enum { SPLIT_RANDOM, SPLIT_TEMPORAL, SPLIT_LEAVE_N_OUT } strategy;
    double test_ratio, validation_ratio; /* 0: no such part */
    int64_t leave_n;
    int64_t k_core; /* 0: none; iterative, users and items */
    uint32_t seed;
} SplitConfig;
/* Writes DIR/train.tsv, val.tsv, test.tsv: the lines of the source file in their order, byte for byte. */
bool split_file(const char *ratings, const char *dir, const SplitConfig *c, size_t counts[3], Error *e);

/* ---- metrics (metrics.c): DE 3.7 and M 2.4, each exactly --------------------------------------------------------------------------- */

typedef struct Metric { /* one figure a user; `summary` averages over users */
    const char *name;   /* "Recall", "Precision", "nDCG", "HR", "MRR", "MAP", ... */
    const char *about;
} Metric;
typedef struct Scores {
    size_t metrics, cutoffs;
    const char **names;
    int64_t *at;     /* cutoffs */
    double *mean;    /* [metrics, cutoffs] */
    double *by_user; /* [metrics, cutoffs, users] or NULL */
    int64_t users;
} Scores;
/* top [n, K] item numbers (-1: none) of users ids [n], judged by `truth`; only users with truth count. */
bool score_lists(Scores *s, Protocol p, const int32_t *users, int64_t n, int64_t K, const int32_t *top, const Pairs *truth,
                 const char *const *metrics, size_t metric_count, const int64_t *cutoffs, size_t cutoff_count, Arena *a, Error *e);

/* ---- recommenders --------------------------------------------------------------------------------------------------------------------- */

typedef struct Setting { /* a hyper-parameter; its value is a text until the model asks */
    const char *key, *elliot, *mmrec; /* defaults by protocol */
    const char *about;
} Setting;
typedef struct Settings Settings;
double setting_f64(const Settings *s, const char *key);
int64_t setting_i64(const Settings *s, const char *key);
const char *setting_text(const Settings *s, const char *key);
bool setting_bool(const Settings *s, const char *key);

typedef enum Sampling { /* what an epoch is made of: DE 4.1, M 2.3 */
    SAMPLE_NONE,         /* nothing to train */
    SAMPLE_UNIFORM_USER, /* S1/S2: #train triples, user uniform, positive uniform in user, one negative */
    SAMPLE_DISTINCT_USERS, /* S3: batches of distinct users, one positive and one negative each */
    SAMPLE_EVERY_EDGE,   /* S4, M 2.3: every train pair once, shuffled, one negative */
    SAMPLE_EVERY_EDGE_NO_NEGATIVE
} Sampling;
typedef struct Batch { /* tensors on the tape, and host copies for those who want them */
    int64_t B, index; /* index in the epoch: 0 is the first */
    Tensor *user, *pos, *neg; /* I32 [B] */
    const int32_t *users, *positives, *negatives;
} Batch;

typedef struct Model { /* one recommender at work */
    const struct Recommender *kind;
    const DataSet *data;
    const Settings *settings;
    Store *store;
    Arena *arena;
    uint64_t seed;
    int64_t epoch;
    void *own; /* the recommender's struct, in `arena` */
} Model;
typedef struct Recommender {
    const char *name, *paper;
    const Setting *settings; /* ends with key NULL */
    Sampling (*sampling)(const Model *m);
    bool needs_features;
    bool (*init)(Model *m, Error *e);
    bool (*epoch)(Model *m, Error *e);                 /* before each epoch; may be NULL */
    Tensor *(*loss)(Tape *t, Model *m, const Batch *b); /* scalar */
    /* Final vectors for scoring by dot product: users [U, D], items [I, D]; on an inference tape. NULL where `score` is given. */
    bool (*represent)(Tape *t, Model *m, Tensor **users, Tensor **items);
    /* Dense scores [n, I] of users ids, for models without vectors (ItemKNN, MostPop, Random). */
    bool (*score)(Model *m, const int32_t *ids, int64_t n, float *scores, Error *e);
} Recommender;
size_t recommender_count(void);
const Recommender *recommender_at(size_t i);
const Recommender *recommender_find(const char *name); /* any case; NULL when absent */

/* ---- training (train.c) --------------------------------------------------------------------------------------------------------------- */

typedef struct TrainConfig {
    const char *model;
    DataConfig data;
    const char *const *set; /* "key=value" */
    size_t set_count;
    const char *out; /* folder, or NULL: nothing is written */
    uint64_t seed;
    int64_t max_memory; /* 0: no limit */
    FILE *progress;     /* NULL: silent */
    FILE *json;         /* one object a line: epochs, then the result; NULL: none */
} TrainConfig;
typedef struct TrainResult {
    int64_t best_epoch, epochs;
    Scores valid, test;
    double epoch_seconds, eval_seconds; /* medians */
} TrainResult;
bool train_run(const Device *d, const TrainConfig *c, TrainResult *r, Arena *a, Error *e);

/* A folder that train_run wrote, opened to recommend from. */
typedef struct Trained Trained;
Trained *trained_open(const Device *d, const char *dir, Error *e);
void trained_close(Trained *t);
/* Top k for users (NULL: all); `visit` is called once a user in order with k item ids and scores. */
typedef bool RecommendVisit(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e);
bool trained_recommend(Trained *t, const Text *users, size_t n, int64_t k, RecommendVisit *visit, void *arg, Error *e);

#endif
