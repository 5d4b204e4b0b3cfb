/* recsys/recsys.h: data sets, splits, samplers and recommenders. Two more headers: recsys/evaluation.h (metrics) and
 * recsys/training.h.
 *
 * A new recommender is one file in recsys/models/ and one line in registry.c. */
#ifndef SAPOR_RECSYS_H
#define SAPOR_RECSYS_H

#include "nn/nn.h"

/* ---- data ------------------------------------------------------------------------------------ */

typedef enum Format {
    FORMAT_AUTO,
    /* a table: user item [rating [time]]. Columns are found by name if the first line names a user and an item column
     */
    FORMAT_TSV,
    FORMAT_INTER,    /* MMRec: columns by name; x_label is 0, 1 or 2 */
    FORMAT_RECBOLE,  /* columns by name and type: user_id:token */
    FORMAT_LIGHTGCN, /* lines: user item item ... */
} Format;
/* One line per name of a format: LINE(separator before the name in a list of names, name, format, description). The
 * description is NULL for tables. */
#define FORMAT_NAMES(LINE)                                                                                             \
    LINE("", "auto", FORMAT_AUTO, NULL)                                                                                \
    LINE(", ", "tsv", FORMAT_TSV, NULL)                                                                                \
    LINE(", ", "csv", FORMAT_TSV, NULL)                                                                                \
    LINE(", ", "inter", FORMAT_INTER, "MMRec .inter")                                                                  \
    LINE(", ", "recbole", FORMAT_RECBOLE, "RecBole .inter")                                                            \
    LINE(" or ", "lightgcn", FORMAT_LIGHTGCN, "LightGCN text")
Format format_find(const char *name);               /* -1 if the name is unknown */
const char *format_name(Format f);                  /* the first name of the format */
const char *format_words(Format f, char separator); /* "tab-separated table", "LightGCN text" */
/* The layout of a file of interactions, if the file does not show it: see docs/formats.md. */
typedef struct Layout {
    /* Names of the file's columns for user, item[, rating[, time]]. For a file without names: the meaning of its
     * columns in order, from the words user, item, rating, time, and - for a column that is ignored. NULL: found by
     * name or position */
    const char *columns;
    char separator; /* '\t', ',', ';', ':' for "::", ' '; 0: detected */
} Layout;
/* Parses "tab", "comma", "semicolon", "colons", "blank", or the character itself. */
bool layout_separator(const char *word, char *separator);
typedef struct Ratings { /* the rows of a file, in file order */
    size_t count;
    /* ids, numbered by their first appearance in the file; each satisfies id_check */
    TextIndex *users, *items;
    int32_t *user, *item; /* [count] indices into users and items */
    float *rating;        /* NULL if the file has none: each rating is 1 */
    bool decimal;         /* a rating is written with a decimal point */
    int64_t *time;        /* NULL if the file has none */
    int8_t *part;         /* MMRec's x_label: 0 train, 1 validation, 2 test; NULL if the file has none */
    uint32_t *line;       /* the line where each row begins, from 1; a LightGCN line gives several rows */
    const char *path;
    Format format;       /* the format that was found */
    Text content;        /* the file, unpacked, without its byte order mark; ratings_rows reads it again */
    uint32_t header;     /* number of the line with the column names; 0: none */
    char separator;      /* as found */
    const char *columns; /* the columns that are read, for messages: "user_id, book_id, rating" */
    const char *doubt;   /* a message if the first row may contain unknown column names; else NULL */
} Ratings;
/* Reads a file. A malformed line is an error "file:line: what". A first row in doubt (Ratings.doubt) is an error too.
 */
bool ratings_read(Ratings *r, const char *path, Format f, Arena *a, Error *e);
/* The same with a layout. A doubt is not an error here: the caller calls ratings_sure, which fails if there is a doubt,
 * or decides itself whether the first row is a header. */
bool ratings_read_as(Ratings *r, const char *path, Format f, const Layout *layout, Arena *a, Error *e);
bool ratings_sure(const Ratings *r, Error *e);
/* Reports whether the first row of recommendations names its columns. Then at[0] is the column of the user, at[1] of
 * the item, and at[2] of the score, or -1. */
bool recommendations_header(const Text *field, size_t n, int at[3]);
/* Opens r->content as a table again, to copy rows byte for byte. table_skip goes to the next row. In LightGCN text each
 * line is one row. */
Table ratings_rows(const Ratings *r, Arena *a);

/* One part of the data, sorted by user: CSR over U users. The items of a user are in ascending order, each once (the
 * last row counts), as in Elliot. In MMRec a duplicate pair is drawn twice per epoch and counts twice in the truth, so
 * that Recall cannot reach 1: Sapor does not do this. */
typedef struct Pairs {
    int64_t count;
    int64_t *start; /* [U+1]; NULL: the part does not exist */
    int32_t *item;  /* [count] */
    float *rating;  /* [count]; NULL: each rating is 1 */
} Pairs;
/* Returns the position of an item of a user in p->item, or -1 if the user does not have it. (Binary search: the items
 * are in ascending order.) */
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
    const char *path;    /* NULL: the numbers are not from files */
    int64_t rows;        /* number of rows of the single .npy; 0: the numbers are from elsewhere */
    int64_t missing;     /* number of items without features in the source; they got zeros or the mean */
    const char *knocked; /* mode of the knock-out, or NULL */
} Feature;
/* What happens to items without features in a modality.
 * - GAPS_ERROR: they are an error.
 * - GAPS_DROP: they are left out with their interactions, as in Elliot.
 * - GAPS_ZERO, GAPS_MEAN: their features are zeros, or the mean of the other items. */
typedef enum Gaps { GAPS_ERROR, GAPS_DROP, GAPS_ZERO, GAPS_MEAN, GAPS_COUNT } Gaps;
extern const char *const gap_names[GAPS_COUNT]; /* "error", "drop", "zero", "mean" */
/* A knock-out (knock.c): what replaces the features of a modality.
 * - noise: random numbers from a normal distribution (mean 1, standard deviation 0.1).
 * - zero, one: the number 0 or 1.
 * - mean: the mean of all items.
 * - shuffle: the features of the items in a random order, which differs between modalities. */
typedef enum KnockMode { KNOCK_NOISE, KNOCK_ZERO, KNOCK_ONE, KNOCK_MEAN, KNOCK_SHUFFLE, KNOCK_MODES } KnockMode;
extern const char *const knock_modes[KNOCK_MODES];
/* The modalities of a benchmark's knock-outs. The name of a knock-out is a modality and a mode: "both noise". */
enum { KNOCK_MODALITIES = 3 };
extern const char *const knock_modalities[KNOCK_MODALITIES];
typedef struct Knock {
    const char *const *names; /* names of modalities; "both" means all */
    size_t count;             /* 0: none */
    KnockMode mode;
    uint64_t seed;
} Knock;
bool knocks(const Knock *k, const char *modality);
typedef enum Protocol { PROTOCOL_ELLIOT, PROTOCOL_MMREC } Protocol;
extern const char *const protocol_names[2];                  /* "elliot", "mmrec" */
bool protocol_find(const char *name, Protocol *p, Error *e); /* name NULL: elliot */

typedef struct Counted { /* numbers of rows of one part */
    int64_t rows;        /* rows of the part in the file */
    int64_t cold;        /* left out: train has no row of the user */
    int64_t repeated;    /* left out: a later row has the same user and item */
    /* of valid and test under Elliot: ratings below 0, which metrics leave out by default */
    int64_t below;
    int64_t unknown;     /* kept, but never recommended: train has no row of the item */
    int64_t no_features; /* left out with GAPS_DROP: the item has no features */
} Counted;
typedef struct DataSet {
    int64_t U, I;
    /* number <-> id; items that occur only in valid or test are numbered from I on: they count as missed */
    TextIndex *users, *items;
    Pairs train, valid, test;
    int64_t cold;        /* rows of valid and test that are left out, because train does not have their user */
    Counted counted[3];  /* train, valid, test */
    const char *columns; /* columns that were read (Ratings.columns of train) */
    Format format;       /* format and separator of train, as found */
    char separator;
    Feature *features;
    size_t feature_count;
    Gaps gaps;
    int64_t dropped; /* number of items that GAPS_DROP left out */
    Protocol protocol;
    Arena *arena;
} DataSet;
/* The sources of a data set.
 *
 * - Elliot (recipes.md 2.1): users and items are those of train. Users are numbered by first appearance. Items are
 *   numbered by value if all ids are whole numbers. Otherwise they are numbered in the reverse order of their first
 *   appearance.
 * - MMRec (recipes.md 2.2): ids are whole numbers; U and I are the largest id + 1 over all rows. Tokens of a RecBole
 *   file that are not such numbers are numbered by first appearance over train, valid, test.
 * - valid and test may be NULL, or the train file: a train file with x_label contains all parts.
 * - features: "name=path". The path is a folder of <item id>.npy, each (1, D) or (D,); or one OUT.npy [rows, D] whose
 *   row names are in OUT.ids.txt; or one .npy whose row r belongs to item id r. If a row name is a path, only its file
 *   name up to the first dot is used.
 * - Items without features are an error that names the first few, unless `gaps` says otherwise. Under MMRec items keep
 *   their numbers, so GAPS_DROP is an error.
 * - `knock` replaces features after they are read. */
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
void dataset_close(DataSet *d); /* unmaps features; everything else is in the arena */
/* Hash the numbers of all parts, and all features in their order (data_hash.c). `hash` is hash_bytes or hash_own. Ids,
 * which are texts, are not included. */
typedef uint64_t HashBytes(const void *data, size_t bytes, uint64_t seed);
uint64_t pairs_hash(const DataSet *d, HashBytes *hash);
uint64_t features_hash(const DataSet *d, HashBytes *hash, uint64_t seed);
/* Replaces features as `k` says, in a new list in `a`. A name that no modality has is an error. */
bool features_knock(DataSet *d, const Knock *k, Arena *a, Error *e);

/* Sets lacks[i], of [n], to true for each item i for which the source "name=path" has no features (features.c). */
bool feature_lacks(const char *spec, const TextIndex *items, int64_t n, bool *lacks, Arena *scratch, Error *e);

/* Reads nearest neighbours from the .npy `path` (neighbour_file.c, docs/formats.md). near [I, k]: the item itself, then
 * the k - 1 items that are nearest by features f, then -1. k is at most I. *few: number of items with fewer neighbours.
 * `a` is scratch. */
bool neighbour_file_read(int32_t *near, const DataSet *d, const Feature *f, const char *path, int64_t k, int64_t *few,
                         Arena *a, Error *e);

/* Checks that there are users and items, and not more than sp_data allows. */
bool catalogue_check(size_t users, size_t items, Error *e);
/* Makes a data set from the caller's arrays, and checks them (arrays.c). Users and items have the caller's numbers;
 * their ids are these numbers as text. The features stay owned by the caller. */
bool dataset_make(DataSet *d, const sp_data *from, Arena *a, Error *e);
/* Makes one part of a data set from arrays. `train`: the train part; rows of users who have no pair in it are left out.
 * NULL: no row is left out. `name`: name of the part, for messages. */
bool pairs_make(Pairs *p, const sp_interactions *from, const char *name, int64_t users, int64_t items,
                const Pairs *train, Arena *a, Error *e);

bool ids_count(TextIndex **ix, int64_t n, Arena *a, Error *e); /* makes the ids "0" to "n - 1" */

/* The k rows of a matrix that are nearest to each query, best first; ties go to the lower row (nearest.c). With
 * cosines, a row of zeros is never listed, and a query of zeros has an empty list. Rows and queries must be finite. */
typedef struct NearestRows {
    const Array *rows;    /* [N, D], any numeric type; N and D are at least 1 */
    const float *queries; /* [n, D] */
    int64_t n, k;
    bool dot; /* true: dot product; false: cosine */
    /* rows that are not listed, in ascending order: for query q, left_out[start[q]] to left_out[start[q + 1] - 1].
     * start NULL: none */
    const int64_t *start;
    const int32_t *left_out;
    int32_t *ids;                                        /* [n, k]; -1 if there are fewer rows */
    float *similarity;                                   /* [n, k] or NULL */
    bool (*progress)(void *user, size_t done, size_t n); /* as in sp_call_options; or NULL */
    void *user;
    int64_t zeros; /* result: number of rows of zeros */
    int64_t bad;   /* result: 1 + the first row that is not finite, if that is the error */
} NearestRows;
bool rows_nearest(NearestRows *x, const Device *d, Error *e);

/* Features without a data set (feature_table.c): an .npy [rows, D], with row names in .ids.txt or without names; or a
 * folder of <id>.npy, each (1, D) or (D,), sorted by name. */
typedef struct FeatureTable {
    const char *path;
    Array rows;       /* [N, D]; N and D are at least 1 */
    TextIndex *names; /* row r has name r; NULL: a row is named by its number, from 0 */
    Npy file;
} FeatureTable;
bool feature_table_open(FeatureTable *t, const char *path, Arena *a, Error *e);
void feature_table_close(FeatureTable *t);
int64_t feature_table_find(const FeatureTable *t, Text id); /* -1 if there is no such row */
/* Finds the k rows with the largest cosine to query [D], best first; ties go to the lower row. ids and similarity are
 * [k]; ids are -1 if there are fewer rows. Row `except` (-1: none) is left out, and so are rows of zeros, which have no
 * cosine. A query of zeros is an error, and so is a query or a row that is not finite. */
bool feature_table_nearest(const FeatureTable *t, const Device *d, const float *query, int64_t except, int64_t k,
                           int32_t *ids, float *similarity, int64_t *zeros, Error *e);

/* ---- splits (split.c): recipes.md 3 ---------------------------------------------------------- */

/* the file that was read, and the numbers of users, items and rows that remain after the k-core */
typedef struct SplitSource {
    const Ratings *ratings;
    int64_t k_core, users, items, rows;
    int64_t repeated; /* number of rows whose user and item also occur in an earlier row; these rows are kept */
} SplitSource;
typedef struct SplitConfig {
    enum {
        /* a share of each user's rows, shuffled by MT19937 as NumPy does; leave_n > 0: leave_n rows instead */
        SPLIT_RANDOM,
        /* the latest rows of each user; of equal times, the last in the file. leave_n > 0: as SPLIT_LEAVE_N_OUT */
        SPLIT_TEMPORAL,
        /* leave_n rows of each user: the latest if the file has times (of equal times, the first in the file), else at
         * random. If a user has at most leave_n rows, all of them are taken */
        SPLIT_LEAVE_N_OUT,
        /* The split of version v4 of MMRec's script (recipes.md 3.4): all rows are shuffled, and the last rows of each
         * user are taken. The shares are fixed */
        SPLIT_V4,
        /* MMRec's split: the latest rows of all users, by quantiles of the times; both ratios are shares of all rows */
        SPLIT_GLOBAL_TIME
    } strategy;
    /* 0: the part does not exist. With leave_n, the test part always has leave_n rows of each user, and the validation
     * part has leave_n other rows of each user, or none if its ratio is 0 */
    double test_ratio, validation_ratio;
    int64_t leave_n;
    int64_t k_core; /* 0: none; else users and items with fewer rows are removed, until all have enough */
    uint32_t seed;
    Format format;
    Layout layout;
    void (*visit)(void *arg, const SplitSource *s); /* called once, after the files are written; or NULL */
    void *arg;
    const Heap *heap; /* NULL: malloc */
} SplitConfig;
/* Writes DIR/train.tsv, val.tsv and test.tsv: the lines of the source file in their order, byte for byte (after its
 * header, if it has one). Lines of LightGCN text become user and item, separated by a tab. counts: rows of train,
 * validation, test. If a part has no rows, but DIR has its file from an earlier split, this is an error. */
bool split_file(const char *ratings, const char *dir, const SplitConfig *c, size_t counts[3], Error *e);
/* The same for arrays. part [x->count]: the sp_part of each row. */
bool split_arrays(const sp_interactions *x, int64_t users, int64_t items, const SplitConfig *c, unsigned char *part,
                  Error *e);
/* Computes the core (core.c). out [n] becomes true for rows that are left out: rows of users with fewer than
 * min_user_rows rows, and of items with fewer than min_item_rows, repeated until none is left. Rows with out[i] already
 * true do not count. Time and memory are linear in n, users and items; `a` is scratch. */
bool core_rows(const int32_t *user, const int32_t *item, size_t n, int64_t users, int64_t items, int64_t min_user_rows,
               int64_t min_item_rows, bool *out, Arena *a, Error *e);

/* The steps of a split, for recipes that combine them (recsys/protocols/elliot_split.c).
 *
 * split_users: sorted [users] becomes the users in the order in which Elliot processes them. This is pandas' order of
 * the id column: by value if all ids are whole numbers, else by the bytes of the ids. */
bool split_users(int32_t *sorted, const Ratings *r, Arena *a, Error *e);
/* flag [n]: `stay` zeros, then ones, shuffled as numpy.random.shuffle does. Flag k belongs to the k-th row of the user.
 */
void split_random(Mt19937 *m, uint8_t *flag, int64_t n, int64_t stay);
/* flag [n] of the user's rows becomes 1 for the latest n - stay rows. time: of each row of the file. If rows have equal
 * times, the last of them in the file are taken; with first_of_ties, the first of them. Elliot takes the last of them
 * if a share of the rows is held out, and the first of them if a fixed number of rows is held out. */
bool split_latest(uint8_t *flag, const int64_t *time, const uint32_t *rows, int64_t n, int64_t stay, bool first_of_ties,
                  Arena *a, Error *e);

/* ---- recommenders ---------------------------------------------------------------------------- */

typedef struct Recommender Recommender;
typedef struct StepContext StepContext;
typedef struct TrainEvent TrainEvent; /* recsys/training.h */
/* The event is valid during the call. Returning false ends the run with `e`; the last checkpoint stays. */
typedef bool TrainVisit(void *arg, const TrainEvent *event, Error *e);

/* The recipe that a recommender follows: the setting `variant`. The first two have the same numbers as their protocols.
 */
typedef enum Variant { VARIANT_ELLIOT, VARIANT_MMREC, VARIANT_PAPER, VARIANT_COUNT } Variant;

/* The name of a setting in MMRec, RecBole or Elliot. A name is refused if it means something else in that system, or if
 * Sapor has no such setting. The message says what to set. */
typedef enum AliasUse { ALIAS_SAME, ALIAS_VARIANT_MMREC, ALIAS_PROTOCOL_MMREC, ALIAS_REFUSED } AliasUse;
typedef struct Alias {
    const char *name;
    const char *instead; /* what to set if the name is refused */
    AliasUse use;        /* accepted always, with variant mmrec, under protocol mmrec, or never */
    double least;        /* accepted only from this value on: smaller ones mean something else there; 0: no limit */
} Alias;
/* The type of the member of a settings struct that holds a setting's value. */
typedef enum SettingKind {
    SETTING_I64,  /* int64_t */
    SETTING_F64,  /* double; also finite as a float */
    SETTING_BOOL, /* bool: true or false */
    SETTING_WORD, /* int: index into `words` */
    SETTING_TEXT, /* const char * */
    SETTING_I64S, /* I64List: numbers separated by commas */
    SETTING_TEXTS /* TextList: texts separated by commas */
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
    const char *const *words; /* of SETTING_WORD: the word of value i is words[i]; NULL: this value cannot be chosen */
    size_t word_count;
} Member;
/* A missing member, or a member of another type, is a compile error. */
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
/* The upper limit of a number that must be below 1 as a float. */
#define BELOW_ONE 0x1.fffffep-1

typedef struct Setting {              /* a hyper-parameter */
    const char *key, *elliot, *mmrec; /* key, and defaults by protocol or variant: see settings_make */
    const char *about;
    Member member;
    double least, most;   /* limits of SETTING_I64 and SETTING_F64 */
    const Alias *aliases; /* the last one has name NULL; NULL: no aliases */
} Setting;
#define ALIASES(...)                                                                                                   \
    (const Alias[])                                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__,                                                                                                   \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }
/* How the optimiser treats a parameter that the loss of a step does not use, so that it has no gradient (recipes.md
 * 5.1). NONE: the parameter does not change. ZEROS: its gradient is zero. */
typedef enum ZeroGrad { ZERO_GRAD_NONE, ZERO_GRAD_ZEROS } ZeroGrad;
/* The settings that every recommender has. A recommender's own struct begins with this one; its own settings follow:
 *
 *     typedef struct NameSettings {
 *         CommonSettings common;
 *         int64_t layers;
 *     } NameSettings;
 *
 * Its table of settings names each member (I64_OF(NameSettings, layers)). Its functions read `const NameSettings *s =
 * m->settings`. */
typedef struct CommonSettings {
    const struct Written *written; /* the values as texts: settings_value */
    int variant;                   /* a Variant; if there is no setting `variant`, that of the data's protocol */
    double lr, lr_decay, weight_decay;
    int zero_grad;         /* a ZeroGrad */
    bool mg;               /* Mirror Gradient: recipes.md 5.8 */
    double alpha1, alpha2; /* Mirror Gradient's weights of the first and the second loss of a batch */
    int64_t beta;          /* Mirror Gradient is used for every beta-th batch */
    int64_t batch_size, epochs, validation_rate, patience, checkpoint_seconds;
    const char *validation_metric;
    TextList metrics;
    I64List cutoffs;
    double relevance_threshold;
    TextList negatives;
} CommonSettings;
/* The table of the common settings; the last key is NULL. A recommender's table may have a row with the same key and
 * another default. */
extern const Setting common_settings[];
extern const Alias lr_decay_aliases[]; /* for a recommender with its own default */
/* Makes the struct of settings. Later sources replace earlier ones:
 *
 * - the common defaults of the protocol (zero_grad: of the variant);
 * - the defaults of the variant in the recommender's table;
 * - with variant paper, those of paper_settings;
 * - the "key=value" texts of `set`. A key may be an alias. A list may be written as in YAML, "[5, 10]". If a key is
 *   given twice, the last value counts.
 *
 * Errors: unknown keys, values of the wrong kind or outside the limits, and a setting that is given under two names.
 * The message lists what is allowed. The result is the recommender's own struct, valid until the arena is freed. */
const CommonSettings *settings_make(const Recommender *kind, Protocol p, const char *const *set, size_t set_count,
                                    Arena *a, Error *e);
/* What a comma means in the value of a setting:
 *
 * - COMMAS_OWN: the comma is a part of the single value. This holds for texts, such as knn_file. A check may refuse the
 *   comma later, as in validation_metric. It also holds for learning_rate_scheduler and lr_sched: the value of these
 *   aliases of lr_decay is a pair, such as [0.96, 50].
 * - COMMAS_LIST: the value is a list, and the comma separates its elements.
 * - COMMAS_CHOICES: the setting has a single value, and the comma separates values to try one after the other. */
typedef enum Commas { COMMAS_OWN, COMMAS_LIST, COMMAS_CHOICES } Commas;
Commas setting_commas(const Recommender *kind, Text name); /* COMMAS_OWN if the name is unknown */
/* The settings as texts, in the order of the tables. */
size_t settings_count(const CommonSettings *s);
const char *settings_key(const CommonSettings *s, size_t i);
const char *settings_value(const CommonSettings *s, size_t i);
/* the alias under which it was given, or NULL */
const char *settings_alias(const CommonSettings *s, size_t i);
/* Returns the text of the setting whose member has this offset, for messages: settings_text(s, offsetof(CommonSettings,
 * lr)). */
const char *settings_text(const CommonSettings *s, size_t member);

/* The samples of an epoch: recipes.md 4.1. "#train" is the number of train pairs. */
typedef enum Sampling {
    SAMPLE_NONE,         /* nothing to train */
    SAMPLE_UNIFORM_USER, /* S1/S2: #train triples: a uniform user, a uniform positive of the user, one negative */
    /* S3: batches of distinct users, with one positive and one negative each; the last batch is smaller */
    SAMPLE_DISTINCT_USERS,
    SAMPLE_DISTINCT_USERS_FULL,    /* the same; the last batch has the size of the others */
    SAMPLE_EVERY_EDGE,             /* S4: every train pair once, shuffled, with one negative */
    SAMPLE_EVERY_EDGE_REPEATED,    /* the same; every epoch has the order and the negatives of the first (SimGCL) */
    SAMPLE_EVERY_EDGE_NO_NEGATIVE, /* S5: every train pair once, shuffled, without negatives (BM3) */
    /* #train triples: a uniform train pair, drawn with replacement, with one negative (LearnBPR) */
    SAMPLE_UNIFORM_EDGE,
} Sampling;
/* Draws the events of an epoch. All numbers are functions of (seed, epoch, event), so an epoch can be drawn again.
 *
 * Negatives are items that occur in train and that the user does not have in train. A user who has every such item is
 * left out; Elliot and MMRec never stop drawing for such a user. A batch of distinct users has at most as many entries
 * as there are users who are not left out. If batch_size is larger, Elliot stops with an error. */
typedef struct Sampler Sampler;
Sampler *sampler_new(const DataSet *d, Sampling how, int64_t batch_size, uint64_t seed, Arena *a, Error *e);
int64_t sampler_batches(const Sampler *s); /* number of batches per epoch; 0 with SAMPLE_NONE */
void sampler_epoch(Sampler *s, Pool *pool, int64_t epoch);
/* Gives batch b of the drawn epoch: pointers into the sampler; *negatives is NULL if there are none. Returns the size
 * of the batch. */
int64_t sampler_batch(const Sampler *s, int64_t b, const int32_t **users, const int32_t **positives,
                      const int32_t **negatives);

typedef struct Batch { /* tensors on the tape, and the same ids on the host */
    int64_t B, index;  /* number of inputs; index of the batch in the epoch, from 0 */
    /* true: this is the second loss of the same batch (Mirror Gradient), with the same `index`. If `loss` makes
     * something once per epoch, at index 0, it must not make it again if `again` is true */
    bool again;
    Tensor *user, *pos, *neg; /* I32 [B]; neg is NULL if there are no negatives */
    const int32_t *users, *positives, *negatives;
} Batch;
/* Makes user, pos and neg from the host's lists. Every step begins with it. */
bool batch_inputs(Tape *t, Batch *b);

typedef struct Model { /* a recommender and its state */
    const Recommender *kind;
    const DataSet *data;
    const void *settings; /* the recommender's struct of settings; it begins with CommonSettings */
    Store *store;
    Arena *arena;
    uint64_t seed;
    int64_t epoch;
    uint64_t files_hash;  /* hash of the contents of files that settings name and `init` read; 0: none */
    void *own;            /* the recommender's struct, in `arena` */
    const Device *device; /* the device on which a trained model computes scores; NULL: that of the store */
    TrainVisit *tell;     /* called by model_note and model_made during a run; or NULL */
    void *tell_arg;
} Model;
static inline const Device *model_device(const Model *m)
{
    return m->device ? m->device : store_device(m->store);
}
/* The context of one training step (train/loop.c). */
struct StepContext {
    const Optim *optim; /* the optimiser of the settings, for all parameters, with the learning rate of this epoch */
    double decay;       /* the factor of lr_decay in this epoch, for the learning rates of a model's own optimisers */
    int64_t step;       /* number of the step in the whole run, from 0: for schedule_rate */
    int64_t batch;      /* number of the step in the epoch, from 0 */
    struct Loop *loop;
};
/* Adds a scalar of the tape to the loss that the epoch reports. Call it before `backward`. The value is read
 * immediately if kernels read host memory, else within 16 steps. If it is not finite, the run ends; the error names the
 * epoch, the step and the parameter that caused it. */
bool step_report(StepContext *c, Tape *t, const Tensor *loss, Error *e);
/* Calls step_report and backward, then takes a step of `o`. To train a second loss in the same step, compute it with
 * new ops after this call, because the parameters have changed. */
bool step_learn(StepContext *c, Tape *t, Tensor *loss, const Optim *o, Error *e);

struct Recommender {
    const char *name, *paper;
    const char *alias;       /* its name in other systems, or NULL */
    const Setting *settings; /* the last key is NULL; NULL: only the common settings */
    size_t settings_size;    /* size of its settings struct; 0: CommonSettings */
    /* "lr=0.0001 l_w=1e-4": defaults of variant paper that differ from those of elliot; or NULL */
    const char *paper_settings;
    Sampling (*sampling)(const Model *m);
    Optim (*optim)(const Model *m); /* with the learning rate of the setting lr; NULL: Adam */
    bool needs_features;
    bool (*init)(Model *m, Error *e);
    bool (*epoch)(Model *m, Error *e); /* before each epoch; may be NULL */
    /* One of the two; both are NULL for a model without training. loss: returns a scalar, which the optimiser of the
     * settings minimises. step: does the whole step with step_learn, for several losses, optimisers or phases. */
    Tensor *(*loss)(Tape *t, Model *m, const Batch *b);
    bool (*step)(Tape *t, Model *m, const Batch *b, StepContext *c, Error *e);
    /* Makes the final vectors, whose dot products are the scores: users [U, D], items [I, D], on an inference tape.
     * NULL for a model with `score`. */
    bool (*represent)(Tape *t, Model *m, Tensor **users, Tensor **items);
    /* Computes dense scores [n, I] of users ids [n], for models without vectors (ItemKNN, MostPop, Random). */
    bool (*score)(Model *m, const int32_t *ids, int64_t n, float *scores, Error *e);
    /* For a model with `score`. A run writes these arrays (in host memory) to model.safetensors. `restore` makes the
     * model from them and the train pairs, without ratings. If both are NULL, `init` makes the model from the train
     * pairs. */
    const Array *(*arrays)(const Model *m, size_t *count, Error *e);
    bool (*restore)(Model *m, const Weights *w, Error *e);
    /* For a model with `score`: computes the scores of n users who are not in training, from their items. rating NULL:
     * each is 1. The function is NULL if the model does not support new users. For a model with vectors, a new user is
     * the mean of the items' vectors instead. */
    bool (*score_new)(const Model *m, const Pairs *liked, int64_t n, float *scores, Error *e);
    /* NULL, or for a model with `represent` that can make item vectors from features only (new items): makes vectors
     * [n, D] from features[i] [n, D_m], one array for each of m->data->features. `store` contains only the parameters
     * "projection.*"; init was not called. */
    Tensor *(*new_items)(Tape *t, const Model *m, Tensor *const *features);
};
size_t recommender_count(void);
const Recommender *recommender_at(size_t i);
/* Finds a recommender by name or alias, in upper or lower case, with or without Elliot's "external.". NULL if there is
 * none. */
const Recommender *recommender_find(const char *name);

#endif
