/* recsys/recsys.h: data sets, splits, samplers, recommenders. Beside it: recsys/evaluation.h (metrics), training.h.
 *
 * A new recommender is one file in recsys/models/ and one line in registry.c. */
#ifndef SAPOR_RECSYS_H
#define SAPOR_RECSYS_H

#include "nn/nn.h"

/* ---- data ------------------------------------------------------------------------------------ */

typedef enum Format {
    FORMAT_AUTO,
    /* a table: user item [rating [time]]; columns by name where the first line names a user and an item column */
    FORMAT_TSV,
    FORMAT_INTER,    /* MMRec: columns by name, x_label 0 1 2 */
    FORMAT_RECBOLE,  /* columns by typed name: user_id:token */
    FORMAT_LIGHTGCN, /* user item item ... */
} Format;
/* Every name of a format, once: what links it to the one before in a sentence, the name, the format, and its words for
 * people where it is not a table. */
#define FORMAT_NAMES(LINE)                                                                                             \
    LINE("", "auto", FORMAT_AUTO, NULL)                                                                                \
    LINE(", ", "tsv", FORMAT_TSV, NULL)                                                                                \
    LINE(", ", "csv", FORMAT_TSV, NULL)                                                                                \
    LINE(", ", "inter", FORMAT_INTER, "MMRec .inter")                                                                  \
    LINE(", ", "recbole", FORMAT_RECBOLE, "RecBole .inter")                                                            \
    LINE(" or ", "lightgcn", FORMAT_LIGHTGCN, "LightGCN text")
Format format_find(const char *name);         /* -1 when unknown */
const char *format_name(Format f);            /* the first that it has */
const char *format_words(Format f, char cut); /* "tab-separated table", "LightGCN text" */
/* How a file of interactions is laid out, where its content does not say so: docs/formats.md. */
typedef struct Layout {
    /* Names of the file's columns for user, item[, rating[, time]]; or, for a file without names, what its columns are
     * in their order: the words user, item, rating, time, and - for a column that is not read. NULL: found by name or
     * place */
    const char *columns;
    char cut; /* the separator: '\t', ',', ';', ':' for "::", ' '; 0: found */
} Layout;
/* "tab", "comma", "semicolon", "colons", "blank" or the character */
bool layout_separator(const char *word, char *cut);
typedef struct Ratings { /* as read, in file order */
    size_t count;
    /* ids, numbered by their first appearance in the file; each keeps the rule of ids (id_check) */
    TextIndex *users, *items;
    int32_t *user, *item; /* [count] numbers in users and items */
    float *rating;        /* NULL where the file has none: each is 1 */
    bool decimal;         /* a rating is written with a point */
    int64_t *time;        /* NULL where the file has none */
    int8_t *part;         /* MMRec's x_label: 0 train, 1 validation, 2 test; NULL where the file has none */
    uint32_t *line;       /* where a row begins, from 1; a LightGCN line gives several rows */
    const char *path;
    Format format;       /* as found */
    Text content;        /* the file, unpacked, without its byte order mark; ratings_rows reads it again */
    uint32_t header;     /* number of the line that names the columns; 0: none */
    char cut;            /* as found */
    const char *columns; /* what is read, for people: "user_id, book_id, rating" */
    const char *doubt;   /* not NULL: the first row may be names of columns that are not known; the message */
} Ratings;
/* Every malformed line is an error "file:line: what", and so is a first row in doubt. */
bool ratings_read(Ratings *r, const char *path, Format f, Arena *a, Error *e);
/* The same with a layout; a doubt is left to the caller: ratings_sure, or what else is known of the row. */
bool ratings_read_as(Ratings *r, const char *path, Format f, const Layout *layout, Arena *a, Error *e);
bool ratings_sure(const Ratings *r, Error *e);
/* A first row of recommendations that names its columns: at[0] the user's, at[1] the item's, at[2] the score's or
 * -1. */
bool recommendations_header(const Text *field, size_t n, int at[3]);
/* The rows of r->content as they stand, for table_skip; one a line in LightGCN text. */
Table ratings_rows(const Ratings *r, Arena *a);

/* One part of the data by user: CSR over U users, items ascending in a user, each once (the last row counts), as in
 * Elliot. MMRec draws a pair that a file has twice twice an epoch, and counts it twice in the truth, so that Recall
 * cannot reach 1: not done here. */
typedef struct Pairs {
    int64_t count;
    int64_t *start; /* [U+1]; NULL: there is no such part */
    int32_t *item;
    float *rating; /* NULL: each is 1 */
} Pairs;
/* Where an item is among a user's, which ascend: its place in p->item; -1 where the user does not have it. */
static inline int64_t pairs_find(const Pairs *p, int64_t user, int32_t item)
{
    int64_t low = p->start[user], high = p->start[user + 1];
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (p->item[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->start[user + 1] && p->item[low] == item ? low : -1;
}
typedef struct Feature { /* one modality; row i belongs to item i of the data set */
    const char *name;    /* "visual", "textual" */
    int64_t D;
    const float *data;   /* [I, D], finite; in the arena or in the mapped file */
    Npy file;            /* open until dataset_close */
    const char *path;    /* NULL: the numbers were not in files */
    int64_t rows;        /* of the one .npy; 0: they were not in one */
    int64_t missing;     /* items that the source lacks, filled */
    const char *knocked; /* the mode of a knock-out, or NULL */
} Feature;
/* Items that a modality has no features for: an error; left out with their interactions, as in Elliot; or filled with
 * zeros, or with the mean of the items that have some. */
typedef enum Gaps { GAPS_ERROR, GAPS_DROP, GAPS_ZERO, GAPS_MEAN, GAPS_COUNT } Gaps;
extern const char *const gap_names[GAPS_COUNT]; /* "error", "drop", "zero", "mean" */
/* A knock-out (knock.c): what features are replaced by. Noise is N(1, 0.1), drawn for each number; the mean is that of
 * all items; shuffle gives each item the features of another one, each modality by an order of its own. */
typedef enum KnockMode { KNOCK_NOISE, KNOCK_ZERO, KNOCK_ONE, KNOCK_MEAN, KNOCK_SHUFFLE, KNOCK_MODES } KnockMode;
extern const char *const knock_modes[KNOCK_MODES];
typedef struct Knock {
    const char *const *names; /* of modalities; "both": all */
    size_t count;             /* 0: none */
    KnockMode mode;
    uint64_t seed;
} Knock;
bool knocks(const Knock *k, const char *modality);
typedef enum Protocol { PROTOCOL_ELLIOT, PROTOCOL_MMREC } Protocol;
extern const char *const protocol_names[2];                  /* "elliot", "mmrec" */
bool protocol_find(const char *name, Protocol *p, Error *e); /* NULL: elliot */

typedef struct Counted { /* rows of one part, in numbers */
    int64_t rows;        /* in the file */
    int64_t cold;        /* left out: train has no row of their user */
    int64_t repeated;    /* left out: a later row has the same user and item */
    int64_t below;       /* of valid and test under Elliot, left out by the metrics: the rating is below 0 */
    int64_t unknown;     /* kept, and always missed: train has no row of their item */
    int64_t bare;        /* left out with GAPS_DROP: their item has no features */
} Counted;
typedef struct DataSet {
    int64_t U, I;
    /* number <-> id; items that only valid or test know are numbered from I on: they count as missed */
    TextIndex *users, *items;
    Pairs train, valid, test;
    int64_t cold;        /* rows of valid and test left out because train does not know their user */
    Counted counted[3];  /* train, valid, test */
    const char *columns; /* Ratings of train: what was read */
    Format format;       /* of train, as found; and its separator */
    char cut;
    Feature *features;
    size_t feature_count;
    Gaps gaps;
    int64_t dropped; /* items of the files that GAPS_DROP has left out */
    Protocol protocol;
    Arena *arena;
} DataSet;
/* Elliot (recipes.md 2.1): users and items are train's, users by first appearance, items by number where all ids are
 * whole numbers, else the last that appears first. MMRec (recipes.md 2.2): ids are whole numbers, U and I are the
 * largest + 1 over all rows; tokens of a RecBole file that are no such numbers are numbered by first appearance over
 * train, valid, test. valid and test may be NULL or the train file; a train file with x_label splits itself. features:
 * "name=path", path a folder of <item id>.npy, (1, D) or (D,); one .npy [rows, D] with the row names in .ids.txt beside
 * it (OUT.ids.txt of OUT.npy; a path counts as its file's name up to the first dot); or one .npy whose row r is item id
 * r. Items without features are an error that names the first few, unless `gaps` says what becomes of them. Under MMRec
 * items keep their numbers, so that GAPS_DROP is an error. `knock` replaces features after they are read. */
typedef struct DataConfig {
    const char *train, *valid, *test;
    Format format;
    Layout layout;
    Protocol protocol;
    const char *const *features;
    size_t feature_count;
    Gaps gaps;
    Knock knock;
} DataConfig;
bool dataset_load(DataSet *d, const DataConfig *c, Arena *a, Error *e);
void dataset_close(DataSet *d); /* unmaps features; the rest goes with the arena */
/* Hashes of the numbers of all parts, and of all features in their order (data_hash.c); `hash` is hash_bytes or
 * hash_own. Ids, which are texts, are not in them. */
typedef uint64_t HashBytes(const void *data, size_t bytes, uint64_t seed);
uint64_t pairs_hash(const DataSet *d, HashBytes *hash);
uint64_t features_hash(const DataSet *d, HashBytes *hash, uint64_t seed);
/* Replaces features as k says, in a list of its own in `a`. A name that no modality has is an error. */
bool features_knock(DataSet *d, const Knock *k, Arena *a, Error *e);

/* lacks [n] becomes true for each of n items that the source "name=path" has no features of (features.c). */
bool feature_lacks(const char *spec, const TextIndex *items, int64_t n, bool *lacks, Arena *scratch, Error *e);

/* near [I, k]: each item, then the k - 1 that are nearest to it by features f, as the .npy `path` says
 * (neighbour_file.c, docs/formats.md), -1 behind the last; k at most I. *few: items with fewer. `a` is scratch. */
bool neighbour_file_read(int32_t *near, const DataSet *d, const Feature *f, const char *path, int64_t k, int64_t *few,
                         Arena *a, Error *e);

bool catalogue_check(size_t users, size_t items, Error *e); /* as many as sp_data may have */
/* Data from arrays of the caller's, checked (arrays.c): users and items are the caller's numbers, their ids these
 * numbers. Features stay the caller's. */
bool dataset_make(DataSet *d, const sp_data *from, Arena *a, Error *e);
/* One part of it, by users and items of these numbers. `train`: rows of users without pairs there are left out; or
 * NULL. name: of the part, for messages. */
bool pairs_make(Pairs *p, const sp_interactions *from, const char *name, int64_t users, int64_t items,
                const Pairs *train, Arena *a, Error *e);

bool ids_count(TextIndex **ix, int64_t n, Arena *a, Error *e); /* the ids "0" to "n - 1" */

/* The k rows of a matrix that are nearest to each query, best first, ties to the lower row (nearest.c). By cosine a row
 * of zeros is never listed, nor has a query of zeros a list. Rows and queries must be finite. */
typedef struct NearestRows {
    const Array *rows;    /* [N, D], any type of number; N and D at least 1 */
    const float *queries; /* [n, D] */
    int64_t n, k;
    bool dot; /* else cosine */
    /* rows that are not listed, ascending: those of query q are left_out[start[q]] to left_out[start[q + 1] - 1]; start
     * NULL: none */
    const int64_t *start;
    const int32_t *left_out;
    int32_t *ids;                                        /* [n, k], -1 where there are fewer */
    float *similarity;                                   /* [n, k] or NULL */
    bool (*progress)(void *user, size_t done, size_t n); /* sp_call_options', or NULL */
    void *user;
    int64_t zeros; /* result: rows of zeros */
    int64_t bad;   /* result: the first row that is not finite + 1, where that is the error */
} NearestRows;
bool rows_nearest(NearestRows *x, const Device *d, Error *e);

/* Features apart from a data set (feature_table.c): an .npy [rows, D] with its row names in .ids.txt beside it, or
 * without names; or a folder of <id>.npy, each (1, D) or (D,), in the order of their names. */
typedef struct FeatureTable {
    const char *path;
    Array rows;       /* [N, D], N and D at least 1 */
    TextIndex *names; /* row r is name r; NULL: rows are known by number, from 0 */
    Npy file;
} FeatureTable;
bool feature_table_open(FeatureTable *t, const char *path, Arena *a, Error *e);
void feature_table_close(FeatureTable *t);
int64_t feature_table_find(const FeatureTable *t, Text id); /* -1 when absent */
/* The k rows of largest cosine with query [D], best first, ties to the lower row: ids and similarity [k], -1 where
 * there are fewer. Row `except` (-1: none) and rows of zeros, which have no cosine, are left out. A query or row that
 * is not finite is an error. */
bool feature_table_nearest(const FeatureTable *t, const Device *d, const float *query, int64_t except, int64_t k,
                           int32_t *ids, float *similarity, int64_t *zeros, Error *e);

/* ---- splits (split.c): recipes.md 3 ---------------------------------------------------------- */

typedef struct SplitSource { /* what was read; rows, users and items that the core left */
    const Ratings *ratings;
    int64_t k_core, users, items, rows;
    int64_t repeated; /* rows whose user and item occur before, kept */
} SplitSource;
typedef struct SplitConfig {
    enum {
        /* a share of each user's rows, shuffled by MT19937 as NumPy does; leave_n > 0: that many instead */
        SPLIT_RANDOM,
        /* the latest rows of each user; of equal times the last in the file; leave_n > 0: as the next */
        SPLIT_TEMPORAL,
        /* leave_n rows of each user: the latest where the file has times (of equal times the first in the file),
         * else at random; all rows of a user who has no more */
        SPLIT_LEAVE_N_OUT,
        /* MMRec's (recipes.md 3.4): of each user's shuffled rows the last; its shares are fixed */
        SPLIT_V4,
        /* MMRec's: the latest rows of all, by quantiles of the times; both ratios are shares of all rows */
        SPLIT_GLOBAL_TIME
    } strategy;
    /* 0: no such part. With leave_n validation takes leave_n rows too, unless its ratio is 0 */
    double test_ratio, validation_ratio;
    int64_t leave_n;
    int64_t k_core; /* 0: none; else users and items with fewer rows go, until none does */
    uint32_t seed;
    Format format;
    Layout layout;
    void (*visit)(void *arg, const SplitSource *s); /* called once, after the files are written; NULL: none */
    void *arg;
    const Heap *heap; /* NULL: malloc */
} SplitConfig;
/* Writes DIR/train.tsv, val.tsv, test.tsv: the lines of the source file in their order, byte for byte (its header
 * first, if it has one); LightGCN's as user and item between tabs. counts: rows of train, validation, test. A
 * validation file that an earlier split left in DIR, where there is no such part now, is an error. */
bool split_file(const char *ratings, const char *dir, const SplitConfig *c, size_t counts[3], Error *e);
/* The same of numbers: part [x->count], an sp_part of each row. */
bool split_arrays(const sp_interactions *x, int64_t users, int64_t items, const SplitConfig *c, unsigned char *part,
                  Error *e);
/* out [n] becomes true for the rows that the core leaves out: rows of users with fewer than user_least rows, and of
 * items with fewer than item_least, until there is none (core.c). Rows that are out before do not count. Time and
 * memory are linear in n, users and items; `a` is scratch. */
bool core_rows(const int32_t *user, const int32_t *item, size_t n, int64_t users, int64_t items, int64_t user_least,
               int64_t item_least, bool *out, Arena *a, Error *e);

/* What splits are made of, for recipes that combine it (recsys/protocols/elliot_split.c).
 * sorted [users]: the users in the order in which Elliot goes through them, pandas' order of the id column: as numbers
 * where all ids are whole numbers, else by the bytes of their ids. */
bool split_users(int32_t *sorted, const Ratings *r, Arena *a, Error *e);
/* flag [n]: `stay` zeros, then ones, shuffled as numpy.random.shuffle does; the k-th of a user's rows follows the k-th
 * flag. */
void split_random(Mt19937 *m, uint8_t *flag, int64_t n, int64_t stay);
/* flag [n] of a user's rows: one for the latest n - stay. time: by row. Rows with the same time: Elliot ranks them in
 * file order, by rising time for a share of the rows and by falling time for a number of them. A share thus takes the
 * last of them in the file, a number (`first_of_ties`) the first. */
bool split_latest(uint8_t *flag, const int64_t *time, const uint32_t *rows, int64_t n, int64_t stay, bool first_of_ties,
                  Arena *a, Error *e);

/* ---- recommenders ---------------------------------------------------------------------------- */

typedef struct Recommender Recommender;
typedef struct StepContext StepContext;
typedef struct TrainEvent TrainEvent; /* recsys/training.h */
/* The event is valid during the call. false ends the run with e; its last checkpoint stays. */
typedef bool TrainVisit(void *arg, const TrainEvent *event, Error *e);

/* The recipe that a recommender follows: the setting `variant`. The first two are numbered as their protocols. */
typedef enum Variant { VARIANT_ELLIOT, VARIANT_MMREC, VARIANT_PAPER, VARIANT_COUNT } Variant;

/* What MMRec, RecBole or Elliot call a setting. A name that means something else there, or nothing here, is refused
 * with what to set. */
typedef enum AliasUse { ALIAS_SAME, ALIAS_VARIANT_MMREC, ALIAS_PROTOCOL_MMREC, ALIAS_REFUSED } AliasUse;
typedef struct Alias {
    const char *name;
    const char *instead; /* what to do where the name is refused */
    AliasUse use;        /* accepted always, with variant mmrec, under protocol mmrec, or never */
    double least;        /* smallest value that means the same */
} Alias;
/* Where a setting's value goes: a member of a struct of settings, by its kind. */
typedef enum SettingKind {
    SETTING_I64,  /* int64_t */
    SETTING_F64,  /* double; finite as a float too */
    SETTING_BOOL, /* bool: true or false */
    SETTING_WORD, /* int: the number of one of `words` */
    SETTING_TEXT, /* const char * */
    SETTING_I64S, /* I64List: numbers between commas */
    SETTING_TEXTS /* TextList: texts between commas */
} SettingKind;
typedef struct I64List {
    const int64_t *at;
    size_t count;
} I64List;
typedef struct TextList {
    const char *const *at;
    size_t count;
} TextList;
typedef struct Member {
    SettingKind kind;
    size_t at;                /* offsetof */
    const char *const *words; /* of SETTING_WORD; NULL where a number has no word */
    size_t word_count;
} Member;
/* A member that is missing or has another type is a compile error. */
#define MEMBER_OF(S, member, type, kind, ...)                                                                          \
    {                                                                                                                  \
        kind, _Generic(((S *)0)->member, type : offsetof(S, member)), __VA_ARGS__                                      \
    }
#define I64_OF(S, member)         MEMBER_OF(S, member, int64_t, SETTING_I64, NULL, 0)
#define F64_OF(S, member)         MEMBER_OF(S, member, double, SETTING_F64, NULL, 0)
#define BOOL_OF(S, member)        MEMBER_OF(S, member, bool, SETTING_BOOL, NULL, 0)
#define WORD_OF(S, member, words) MEMBER_OF(S, member, int, SETTING_WORD, words, COUNT(words))
#define TEXT_OF(S, member)        MEMBER_OF(S, member, const char *, SETTING_TEXT, NULL, 0)
#define I64S_OF(S, member)        MEMBER_OF(S, member, I64List, SETTING_I64S, NULL, 0)
#define TEXTS_OF(S, member)       MEMBER_OF(S, member, TextList, SETTING_TEXTS, NULL, 0)
/* `most` of a number that must be below 1 as a float */
#define BELOW_ONE 0x1.fffffep-1

typedef struct Setting {              /* a hyper-parameter */
    const char *key, *elliot, *mmrec; /* defaults by protocol */
    const char *about;
    Member member;
    double least, most;   /* of SETTING_I64 and SETTING_F64 */
    const Alias *aliases; /* ends with name NULL; NULL: none */
} Setting;
#define ALIASES(...)                                                                                                   \
    (const Alias[])                                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__,                                                                                                   \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }
/* What becomes of a parameter that no batch of a step uses: recipes.md 5.1. */
typedef enum ZeroGrad { ZERO_GRAD_NONE, ZERO_GRAD_ZEROS } ZeroGrad;
/* The settings that every recommender has. A recommender's own struct begins with this one and goes on with its own
 * settings:
 *
 *     typedef struct NameSettings {
 *         CommonSettings common;
 *         int64_t layers;
 *     } NameSettings;
 *
 * Its table of settings names each member (I64_OF(NameSettings, layers)); its functions read
 * `const NameSettings *s = m->settings`. */
typedef struct CommonSettings {
    const struct Written *written; /* the values as texts: settings_value */
    int variant;                   /* a Variant. Without a setting `variant` that of the data's protocol */
    double lr, lr_decay, weight_decay;
    int zero_grad;         /* a ZeroGrad */
    bool mg;               /* Mirror Gradient: recipes.md 5.8 */
    double alpha1, alpha2; /* its weights of the first and of the second loss of a batch */
    int64_t beta;          /* it has every beta-th batch */
    int64_t batch_size, epochs, validation_rate, patience, checkpoint_seconds;
    const char *validation_metric;
    TextList metrics;
    I64List cutoffs;
    double relevance_threshold;
    TextList negatives;
} CommonSettings;
/* Their table; ends with key NULL. A recommender's table may have a row with one of its keys and another default. */
extern const Setting common_settings[];
extern const Alias lr_decay_aliases[]; /* for a recommender with a default of its own */
/* The protocol's defaults, those of the recommender's table, with variant paper those of paper_settings, then
 * "key=value" texts; a key may be an alias, a list may
 * be written as in YAML, "[5, 10]". Of a key that is given twice the last value counts. Unknown keys, values of the
 * wrong kind or outside the bounds and a setting that is given under two names are errors that name what there is. The
 * result is the recommender's own struct, valid until the arena is freed. */
const CommonSettings *settings_make(const Recommender *kind, Protocol p, const char *const *set, size_t set_count,
                                    Arena *a, Error *e);
/* What a comma means in a value that is given under this name: nothing, or a part of one value (knn_file, an alias of
 * lr_decay); the next of a list; or, where the setting takes one value, the next one to try. */
typedef enum Commas { COMMAS_OWN, COMMAS_LIST, COMMAS_CHOICES } Commas;
Commas setting_commas(const Recommender *kind, Text name); /* COMMAS_OWN of an unknown name */
/* The settings as texts, in the order of the tables. */
size_t settings_count(const CommonSettings *s);
const char *settings_key(const CommonSettings *s, size_t i);
const char *settings_value(const CommonSettings *s, size_t i);
/* the name it was given under, where that is another; else NULL */
const char *settings_alias(const CommonSettings *s, size_t i);
/* The text of the setting whose member is at this offset, for messages: settings_text(s, offsetof(CommonSettings,
 * lr)). */
const char *settings_text(const CommonSettings *s, size_t member);

/* What an epoch is made of: recipes.md 4.1. */
typedef enum Sampling {
    SAMPLE_NONE,         /* nothing to train */
    SAMPLE_UNIFORM_USER, /* S1/S2: #train triples, user uniform, positive uniform in user, one negative */
    /* S3: batches of distinct users, one positive and one negative each; the last batch is cut */
    SAMPLE_DISTINCT_USERS,
    SAMPLE_DISTINCT_USERS_FULL,    /* the same, the last batch as long as the others */
    SAMPLE_EVERY_EDGE,             /* S4: every train pair once, shuffled, one negative */
    SAMPLE_EVERY_EDGE_REPEATED,    /* the same, and every epoch has the order and the negatives of the first: SimGCL */
    SAMPLE_EVERY_EDGE_NO_NEGATIVE, /* S5 of BM3 */
    SAMPLE_UNIFORM_EDGE,           /* #train triples, pair uniform, with replacement, one negative: LearnBPR */
} Sampling;
/* Draws the events of an epoch: all numbers are functions of (seed, epoch, event), so an epoch can be drawn again.
 * Negatives are items that occur in train and that the user has no train pair with. Users who have every such item are
 * left out: Elliot and MMRec draw for them without end. A batch of distinct users has at most as many as there are,
 * where Elliot stops with an error. */
typedef struct Sampler Sampler;
Sampler *sampler_new(const DataSet *d, Sampling how, int64_t batch_size, uint64_t seed, Arena *a, Error *e);
int64_t sampler_batches(const Sampler *s); /* in an epoch; 0 with SAMPLE_NONE */
void sampler_epoch(Sampler *s, Pool *pool, int64_t epoch);
/* Batch b of the epoch drawn: pointers into the sampler, negatives NULL where there are none. Returns its size. */
int64_t sampler_batch(const Sampler *s, int64_t b, const int32_t **users, const int32_t **positives,
                      const int32_t **negatives);

typedef struct Batch {        /* tensors on the tape, and host copies for those who want them */
    int64_t B, index;         /* index in the epoch: 0 is the first */
    bool again;               /* Mirror Gradient's second loss of this batch: what is made once an epoch is there */
    Tensor *user, *pos, *neg; /* I32 [B]; neg NULL where there are none */
    const int32_t *users, *positives, *negatives;
} Batch;
/* user, pos and neg from the host's lists: a step begins with this. */
bool batch_inputs(Tape *t, Batch *b);

typedef struct Model { /* one recommender at work */
    const Recommender *kind;
    const DataSet *data;
    const void *settings; /* the recommender's struct of settings, which begins with CommonSettings */
    Store *store;
    Arena *arena;
    uint64_t seed;
    int64_t epoch;
    uint64_t files_hash;  /* a hash of what `init` read from files that its settings name; 0: nothing */
    void *own;            /* the recommender's struct, in `arena` */
    const Device *device; /* where a trained model scores; NULL: the store's */
    TrainVisit *tell;     /* a run's: model_note and model_made call it; NULL: no one listens */
    void *tell_arg;
} Model;
static inline const Device *model_device(const Model *m)
{
    return m->device ? m->device : store_device(m->store);
}
/* What a step has to work with (train/loop.c). */
struct StepContext {
    const Optim *optim; /* as the settings say, for all parameters, at the epoch's rate */
    double decay;       /* the factor that lr_decay gives in this epoch, for the rates of a model's own optimisers */
    int64_t step;       /* number of the step in the whole run, from 0: for schedule_rate */
    int64_t batch;      /* the same in the epoch */
    struct Loop *loop;
};
/* Adds a scalar of the tape to the loss that the epoch reports; to be called before backward. Where kernels read host
 * memory it is read at once, else within 16 steps: a loss that is not finite ends the run then, with the epoch, the
 * step and the parameter that made it so. */
bool step_report(StepContext *c, Tape *t, const Tensor *loss, Error *e);
/* step_report, backward and a step of `o`. The next loss of the same step is made by new ops after it. */
bool step_learn(StepContext *c, Tape *t, Tensor *loss, const Optim *o, Error *e);

struct Recommender {
    const char *name, *paper;
    const char *alias;       /* its name in other systems, or NULL */
    const Setting *settings; /* ends with key NULL; NULL: it has the common ones alone */
    size_t settings_size;    /* of its struct of settings; 0: CommonSettings */
    /* "lr=0.0001 l_w=1e-4": the defaults of variant paper that are not those of elliot; NULL: none */
    const char *paper_settings;
    Sampling (*sampling)(const Model *m);
    Optim (*optim)(const Model *m); /* at the rate of the setting lr; NULL: Adam */
    bool needs_features;
    bool (*init)(Model *m, Error *e);
    bool (*epoch)(Model *m, Error *e); /* before each epoch; may be NULL */
    /* One of the two, NULL for a model that learns nothing. loss: a scalar, which the settings' optimiser follows.
     * step: the model does the whole step itself, by step_learn: several losses, optimisers, phases. */
    Tensor *(*loss)(Tape *t, Model *m, const Batch *b);
    bool (*step)(Tape *t, Model *m, const Batch *b, StepContext *c, Error *e);
    /* Final vectors for scoring by dot product: users [U, D], items [I, D]; on an inference tape. NULL where `score` is
     * given. */
    bool (*represent)(Tape *t, Model *m, Tensor **users, Tensor **items);
    /* Dense scores [n, I] of users ids, for models without vectors (ItemKNN, MostPop, Random). */
    bool (*score)(Model *m, const int32_t *ids, int64_t n, float *scores, Error *e);
    /* For a model with `score`. A run writes these arrays, in host memory, to model.safetensors; `restore` makes the
     * model from them and the train pairs, without ratings. Both NULL: `init` makes it from the train pairs alone. */
    const Array *(*arrays)(const Model *m, size_t *count, Error *e);
    bool (*restore)(Model *m, const Weights *w, Error *e);
    /* The next two may be NULL: the model does not know such users or items.
     * Of a model with `score`: the same of n users who are not in training, by their items; rating NULL: each is 1. A
     * model with vectors takes the mean of the items' vectors instead. */
    bool (*score_new)(const Model *m, const Pairs *liked, int64_t n, float *scores, Error *e);
    /* Of a model with `represent` whose item vectors can be made of features alone: those [n, D] of features[i] [n,
     * D_m] for each of m->data->features. `store` has the parameters "projection.*" alone; init was not called. */
    Tensor *(*new_items)(Tape *t, const Model *m, Tensor *const *features);
};
size_t recommender_count(void);
const Recommender *recommender_at(size_t i);
/* By name or alias, in any case, with or without Elliot's "external."; NULL when absent. */
const Recommender *recommender_find(const char *name);

#endif
