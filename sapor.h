/* sapor.h: the public C API of Sapor, written as its own manual.
 *
 * Sapor computes features of product photos and texts with published encoders, trains recommenders on them and measures
 * how much each modality contributes. This header is the whole interface of libsapor; everything else is hidden.
 *
 * Rules that hold everywhere
 *   - Errors are values. A function that can fail takes an `sp_error *` last; it returns false or NULL and fills it
 *     with one line: what is wrong, where (file, line, key, tensor), what to do. The library never prints, exits or
 *     aborts. `e` is never NULL. It need not be initialised: each call that takes one clears it first. An object or a
 *     list that is NULL is SP_USAGE.
 *   - Sizes are size_t or int64_t; products of sizes are checked.
 *   - An object of an `_open` function is valid until its `_close`; objects may be closed in any order, and NULL may be
 *     closed. The caller owns the buffers for results: the library keeps no pointer to one, nor to a text, path or
 *     image, after the call.
 *   - After an error in a call the object can be used as before. The contents of `out` are then undefined; *count is 0.
 *   - An encoder, a tokenizer and a recommender are immutable and may be used by several threads at once; a session
 *     belongs to one thread at a time: a session that is in a call refuses another (SP_USAGE). No call needs another
 *     thread to make progress, and there is no global state.
 *   - Files are read into memory, with two exceptions that stay mapped until the object's `_close`: a model's weight
 *     files, and the user.npy and item.npy (or features) of a recommender. These may be replaced by rename or removed
 *     meanwhile. They must not be truncated or written in place: the system then ends the process by SIGBUS. The
 *     library installs no signal handler.
 *   - The library opens regular files only and never waits for a pipe. It keeps no descriptor below 3, so that a
 *     program may have closed its standard streams.
 *   - Texts and paths are UTF-8 and end with NUL, unless a length is given too. The same input gives the same bits,
 *     for any number of threads and any other inputs in the call.
 *
 * A whole program (cc program.c $(pkg-config --cflags --libs sapor); cc -static program.c $(pkg-config --static
 * --cflags --libs sapor)):
 *
 *     #include <sapor.h>
 *     #include <stdio.h>
 *     #include <stdlib.h>
 *
 *     int main(int argc, char **argv)
 *     {
 *         sp_error e;
 *         sp_encoder *m = argc > 1 ? sp_encoder_open(argv[1], NULL, &e) : NULL;
 *         sp_session *s = m ? sp_session_open(0, NULL, &e) : NULL;
 *         float *out = s ? malloc(sp_encoder_features(m) * sizeof *out) : NULL;
 *         const char *text = "a red leather bag";
 *         bool ok = out && sp_encode_texts(m, s, &text, 1, out, &e);
 *         for (size_t i = 0; ok && i < sp_encoder_features(m); i++)
 *             printf("%g\n", out[i]);
 *         if (!ok)
 *             fprintf(stderr, "%s\n", argc < 2                ? "usage: program MODEL"
 *                                     : m && s && !out ? "out of memory"
 *                                                      : e.message);
 *         free(out);
 *         sp_session_close(s);
 *         sp_encoder_close(m);
 *         return ok ? 0 : 1;
 *     }
 *
 * tests/embed.c and tests/embed_recommend.c are others: they call every function below, rightly and wrongly, from C and
 * C++.
 */
#ifndef SAPOR_H
#define SAPOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SAPOR_VERSION        "0.1.0"
#define SAPOR_VERSION_NUMBER 100 /* 10000 major + 100 minor + patch */

#if defined(__GNUC__)
#define SP_API __attribute__((visibility("default")))
#else
#define SP_API
#endif

/* ---- errors ---------------------------------------------------------------------------------- */

typedef enum sp_status {
    SP_OK = 0,
    SP_IO,          /* an error of the system: no such file, disk full, ... */
    SP_FORMAT,      /* a file or text is malformed */
    SP_MEMORY,      /* out of memory, or over the limit that the caller set */
    SP_USAGE,       /* the arguments are wrong: unknown names, values out of range */
    SP_SHAPE,       /* two shapes or sizes that must match do not */
    SP_UNSUPPORTED, /* not available in this build or for this model */
    SP_CANCELLED    /* a call-back of the caller ended the call */
} sp_status;
SP_API const char *sp_status_name(sp_status code); /* "SP_IO"; "unknown" for any other number */

typedef struct sp_error {
    sp_status code;
    char message[1024]; /* one line of UTF-8, no newline; "" while code is SP_OK */
} sp_error;

/* ---- memory ---------------------------------------------------------------------------------- */

/* Where memory comes from. `resize(user, p, old_bytes, new_bytes)` works like realloc: p NULL allocates, new_bytes 0
 * frees and returns NULL; it returns NULL on failure, and p is then unchanged. Results are aligned for any C type.
 * Calls come from the session's threads, several at a time. The struct is copied; what `user` points to must outlive
 * the object. NULL instead of an sp_allocator means malloc. */
typedef struct sp_allocator {
    void *(*resize)(void *user, void *p, size_t old_bytes, size_t new_bytes);
    void *user;
} sp_allocator;

SP_API const char *sp_version(void); /* SAPOR_VERSION of the library that runs */
SP_API int sp_version_number(void);  /* its SAPOR_VERSION_NUMBER */

/* ---- sessions: threads and scratch memory ---------------------------------------------------- */

/* A session belongs to one thread: it has worker threads of its own and scratch memory that grows to the largest call
 * and is used again. A server opens one model, and a session for each of its threads (with threads 1: no
 * workers). */
typedef struct sp_session sp_session;
/* threads 0: as many as are available; 1: the calling thread only. */
SP_API sp_session *sp_session_open(int threads, const sp_allocator *memory, sp_error *e);
SP_API void sp_session_close(sp_session *s);

/* ---- encoders: texts and images to features -------------------------------------------------- */

/* `model` is a Hugging Face folder, a weights file of torchvision or timm, or a name that is looked up in
 * $SAPOR_MODELS, the Hugging Face cache and torch's. The features are those that sentence-transformers, transformers or
 * torchvision give for the same model: see `sapor models`. An open encoder may be used by several threads, each with a
 * session of its own, whose threads do the work; a row does not depend on the other inputs in the call. Texts for an
 * image encoder, or images for a text encoder, are SP_USAGE. An option that does not apply is SP_USAGE too, never
 * ignored.
 *
 *     const char *paths[] = {"bag.jpg", "lamp.png"};
 *     float *out = malloc(2 * sp_encoder_features(m) * sizeof *out);
 *     if (!out || !sp_encode_image_files(m, s, paths, 2, out, &e)) ...
 */
typedef struct sp_encoder sp_encoder;
enum { SP_IMAGES = 1, SP_TEXTS = 2 }; /* modalities */
/* How the rows of a text's tokens, or of an image's patches, become one. */
typedef enum sp_pool {
    SP_POOL_MODEL = 0, /* as the model does it */
    SP_POOL_CLS,       /* the first row */
    SP_POOL_MEAN,
    SP_POOL_MAX,
    SP_POOL_NONE /* they stay: one row per token */
} sp_pool;

/* Structs with a member `size` may grow in later versions, at their end. Set it to sizeof; zeros are the defaults.
 * Members that a library does not know must be zero where it reads them (else SP_UNSUPPORTED); it writes zeros there.
 *
 *     sp_encoder_options o = {.size = sizeof o, .dtype = "int8"};
 */
typedef struct sp_encoder_options {
    size_t size;
    /* "f32" (or NULL), "f16", "bf16" or "int8": fewer bits, for transformers and ResNet. Weights take a half or a
     * quarter of the memory. Where the processor has the instructions, bf16 is about 1.9 times as fast (cosine with
     * f32's features 0.9999), int8 about 3 times (0.99); four and five times on Intel's matrix unit (AMX; Linux then
     * refuses the process signal stacks of less than 12 KB). Rows still do not depend on threads or on the other
     * inputs in the call. */
    const char *dtype;
    const char *device;  /* NULL or "cpu", the only one of this version */
    const char *arch;    /* NULL: found; else a name of `sapor models`, for a weights file without config.json */
    unsigned modalities; /* SP_IMAGES, SP_TEXTS: what calls will encode; 0: all that the model has the files for */
    /* [output_count]: names of the outputs that calls will ask for, NULL for the usual one; weights that only other
     * outputs need are not loaded. output_count 0: all but the nodes inside a block, as "layer4.2.conv3" of a ResNet,
     * which are loaded only where they are named. */
    const char *const *outputs;
    size_t output_count;
    /* Defaults of calls: pool and normalize of those that name no output, max_length of those that state none. See
     * sp_output_options and sp_call_options. */
    sp_pool pool;
    int normalize;
    size_t max_length;
    /* Images: NULL or "pil", or "torchvision", whose pixels the image processors of transformers 5 give by default. */
    const char *resize;
} sp_encoder_options;
SP_API sp_encoder *sp_encoder_open_with(const char *model, const sp_encoder_options *o, const sp_allocator *memory,
                                        sp_error *e);
/* With the defaults, and the weights of the usual outputs only. */
SP_API sp_encoder *sp_encoder_open(const char *model, const sp_allocator *memory, sp_error *e);
SP_API sp_encoder *sp_encoder_open_as(const char *model, const char *dtype, const sp_allocator *memory, sp_error *e);

typedef struct sp_file { /* a file in memory */
    const char *name;    /* "config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json", ... */
    const void *data;
    size_t bytes;
} sp_file;
/* A model whose folder is in memory; o may be NULL. The caller keeps the files' bytes, unchanged, until the close; the
 * list and the names only during the call. */
SP_API sp_encoder *sp_encoder_open_memory(const sp_file *files, size_t n, const sp_encoder_options *o,
                                          const sp_allocator *memory, sp_error *e);
SP_API void sp_encoder_close(sp_encoder *m);

/* D: floats of one row of the usual output, of texts where the encoder reads both; 0 for NULL, and where rows are per
 * token. */
SP_API size_t sp_encoder_features(const sp_encoder *m);
SP_API bool sp_encoder_reads_texts(const sp_encoder *m);
SP_API bool sp_encoder_reads_images(const sp_encoder *m);
/* Of CLIP, AltCLIP and ALIGN: the logit of an image and a text is the dot product of their rows (of the usual outputs,
 * which have length 1) times this number. An image's logits of all texts, by a softmax, are the probabilities of the
 * texts. 0 for NULL and for other models. */
SP_API double sp_encoder_logit_scale(const sp_encoder *m);

/* What a model gives besides its usual features: named outputs, hidden states among them. */
typedef enum sp_rows {
    SP_ROWS_VECTOR = 0, /* one row per input */
    SP_ROWS_TOKENS,     /* one row per token, or per patch of an image, unless a call pools them */
    SP_ROWS_MAP         /* a feature map of an image: [channels, height, width] */
} sp_rows;
typedef struct sp_output {
    size_t size;
    const char *name;  /* valid until the close */
    unsigned modality; /* SP_IMAGES or SP_TEXTS */
    sp_rows rows;
    size_t width;    /* floats of a vector, or of a token's row; channels of a map */
    sp_pool pool;    /* of tokens: what SP_POOL_MODEL is */
    bool normalized; /* rows have length 1, unless a call says otherwise */
    bool usual;      /* what calls without options give */
    bool loaded;     /* calls may ask for it: see sp_encoder_options.outputs */
} sp_output;
SP_API size_t sp_encoder_output_count(const sp_encoder *m); /* 0 for NULL */
/* Output i; false (SP_USAGE) if there is none. Set out->size. */
SP_API bool sp_encoder_output(const sp_encoder *m, size_t i, sp_output *out, sp_error *e);

/* One output of a call. */
typedef struct sp_output_options {
    const char *name; /* NULL: the usual one of the modality */
    sp_pool pool;     /* SP_POOL_NONE: rows per token */
    int normalize;    /* 1: rows of length 1; -1: not; 0: as the model does */
} sp_output_options;
/* A call asks for any set of outputs and pays for one pass through the model. */
typedef struct sp_call_options {
    size_t size;
    const sp_output_options *outputs;
    size_t output_count; /* 0: the usual output, with the encoder's defaults */
    /* Of texts: they are cut to so many tokens, special tokens included, and to the model's limit; 0: to that only. */
    size_t max_length;
    /* Called now and then, on the thread of the call, with the number of inputs that are done, of the n of the call;
     * false ends the call, and its error is SP_CANCELLED. The session refuses calls meanwhile. May be NULL. */
    bool (*progress)(void *user, size_t done, size_t n);
    void *user;
} sp_call_options;
/* How many floats one row has, of each output of such a call ([1] where o is NULL or names none): the sizes for the
 * buffers below. Of texts' tokens that are not pooled: one token's row. modality: SP_IMAGES or SP_TEXTS. */
SP_API bool sp_row_sizes(const sp_encoder *m, unsigned modality, const sp_call_options *o, size_t *floats, sp_error *e);

typedef struct sp_text {
    const char *text; /* UTF-8; need not end with NUL */
    size_t bytes;
} sp_text;
typedef struct sp_text_info {
    size_t tokens;  /* that the model reads, special tokens included; 0 for a text that has none (see its status) */
    bool truncated; /* the text is longer, its end was left out */
} sp_text_info;
/* How many tokens the texts [n] have, without encoding them; o, info and status as below. */
SP_API bool sp_text_lengths(const sp_encoder *m, sp_session *s, const sp_text *texts, size_t n,
                            const sp_call_options *o, sp_text_info *info, sp_error *status, sp_error *e);
/* texts [n]; o may be NULL. out [outputs of the call]: out[k] receives n rows, or with SP_POOL_NONE as many rows as the
 * texts have tokens together (sp_text_lengths), in their order. info [n] and status [n] may be NULL. With status, an
 * input that fails leaves its reason there and zeros in its rows, and the call goes on; without, it ends the call. */
SP_API bool sp_encode_text_batch(const sp_encoder *m, sp_session *s, const sp_text *texts, size_t n,
                                 const sp_call_options *o, float *const *out, sp_text_info *info, sp_error *status,
                                 sp_error *e);

typedef struct sp_image { /* a file, the bytes of a file, or pixels; set one of them */
    const char *path;     /* of a JPEG, PNG or WebP file */
    const void *data;     /* its contents, `bytes` of them; with a width: pixels */
    size_t bytes;         /* of pixels 0, or 3 width height; of a path 0 */
    size_t width, height; /* of pixels, RGB with 8 bits, rows without padding; else 0 */
} sp_image;
/* The same for images [n]. The session's threads decode and resize them. An sp_image that describes none (no path and
 * no data, pixels without a height) is a mistake of the caller's: it ends the call. */
SP_API bool sp_encode_image_batch(const sp_encoder *m, sp_session *s, const sp_image *images, size_t n,
                                  const sp_call_options *o, float *const *out, sp_error *status, sp_error *e);

/* Short forms: the usual output, no status. texts [n] end with NUL; out [n, D] */
SP_API bool sp_encode_texts(const sp_encoder *m, sp_session *s, const char *const *texts, size_t n, float *out,
                            sp_error *e);
/* paths [n] of JPEG, PNG or WebP files; out [n, D] */
SP_API bool sp_encode_image_files(const sp_encoder *m, sp_session *s, const char *const *paths, size_t n, float *out,
                                  sp_error *e);
/* The contents of one image file, in memory (data, bytes); out [D] */
SP_API bool sp_encode_image(const sp_encoder *m, sp_session *s, const void *data, size_t bytes, float *out,
                            sp_error *e);
/* The pixels of one image, RGB with 8 bits, rows without padding; out [D] */
SP_API bool sp_encode_pixels(const sp_encoder *m, sp_session *s, const unsigned char *rgb, size_t width, size_t height,
                             float *out, sp_error *e);

/* ---- tokenizers ------------------------------------------------------------------------------ */

/* Token ids as Hugging Face's tokenizers give them, special tokens included. `path` is a model folder, tokenizer.json
 * or vocab.txt. Immutable once open, shared by threads.
 *
 *     int32_t ids[512];
 *     size_t count;
 *     if (sp_tokenize(t, text, strlen(text), 512, ids, 512, &count, &e)) ... ids[0 .. count-1]
 */
typedef struct sp_tokenizer sp_tokenizer;
SP_API sp_tokenizer *sp_tokenizer_open(const char *path, const sp_allocator *memory, sp_error *e);
SP_API void sp_tokenizer_close(sp_tokenizer *t);
/* Writes at most `room` ids; *count is how many there are (if more than room: call again with more room; with room 0
 * ids may be NULL). max_length: the most ids, special tokens included; 0: no limit. The truncation and padding that a
 * tokenizer.json may state are not applied, as in transformers. */
SP_API bool sp_tokenize(const sp_tokenizer *t, const char *text, size_t bytes, size_t max_length, int32_t *ids,
                        size_t room, size_t *count, sp_error *e);

/* ---- recommenders: data ---------------------------------------------------------------------- */

/* Users and items are numbers from 0 on, and so are rows of features and of vectors. A list of K items for each of n
 * users is an array [n, K]; places behind the last item hold -1, and a score of -infinity.
 *
 *     int32_t user[] = {0, 0, 1, 2, 2}, item[] = {0, 1, 1, 2, 3};
 *     sp_interactions pairs = {.count = 5, .user = user, .item = item};
 *     sp_data data = {.size = sizeof data, .users = 3, .items = 4, .train = &pairs};
 *     sp_train_options o = {.size = sizeof o, .model = "LightGCN", .seed = 123};
 *     sp_recommender *r = sp_train(session, &data, &o, NULL, &e);
 *     int32_t ask = 1, best[2];
 *     if (r && sp_recommend(r, session, &ask, 1, 2, NULL, best, NULL, &e)) ...
 */
typedef struct
    sp_interactions { /* rows in any order; a user may have an item once: of a repeated pair the last row counts */
    size_t count;
    const int32_t *user, *item; /* [count] */
    const float *rating;        /* [count], or NULL: each is 1 */
    const int64_t *time;        /* [count], or NULL; only sp_split reads it */
} sp_interactions;
typedef struct sp_feature { /* one modality */
    const char *name;       /* "visual", "textual" */
    size_t width;           /* D */
    const float *data;      /* [rows, D], finite; row i is item i's */
} sp_feature;
typedef struct sp_data {
    size_t size;
    size_t users, items; /* numbers are below these; some need not occur */
    const sp_interactions *train;
    const sp_interactions *valid, *test; /* or NULL. Rows of users without a train row are left out */
    const sp_feature *features;          /* [feature_count] of all items */
    size_t feature_count;
    const char *protocol; /* the rules of "elliot" (or NULL) or "mmrec": docs/recipes.md */
} sp_data;

typedef struct sp_split_options {
    size_t size;
    const char *strategy;                /* "random" (or NULL), "temporal" or "leave-n-out", as `sapor split` does it */
    double test_ratio, validation_ratio; /* of each user's rows; 0: no such part */
    size_t leave_n; /* > 0: so many rows of a user instead of a share; validation too, unless its ratio is 0 */
    size_t k_core;  /* > 0: users and items with fewer rows are dropped, until there is none */
    uint32_t seed;
} sp_split_options;
typedef enum sp_part { SP_TRAIN = 0, SP_VALIDATION, SP_TEST, SP_DROPPED } sp_part;
/* part [x->count]: each row's sp_part. The rows are those that `sapor split` takes of a file with these numbers as
 * ids. users, items: as in sp_data. */
SP_API bool sp_split(const sp_interactions *x, size_t users, size_t items, const sp_split_options *o,
                     const sp_allocator *memory, unsigned char *part, sp_error *e);

/* ---- recommenders: training and evaluation --------------------------------------------------- */

/* An open recommender is immutable: any number of threads may use it at once, each with a session of its own. */
typedef struct sp_recommender sp_recommender;

/* What a training run does, as it happens. */
typedef struct sp_train_event {
    size_t size;           /* of the library's struct */
    size_t epoch;          /* epochs that are trained, or that this batch belongs to, from 0 */
    size_t batch, batches; /* batches of the epoch that are trained, of how many; batches 0: the model learns nothing */
    bool evaluated;        /* after an epoch that was evaluated: figures follow */
    double loss;           /* of the epoch, after its last batch */
    /* Figures [figure_count] of the parts, by name: "Recall@20"; NULL where there is no such part. */
    const char *const *names;
    const double *valid, *test;
    size_t figure_count;
    /* Before the first epoch, of a model that is made at once (ItemKNN, EASER, ...): so many parts of its work are
     * done; else 0 */
    size_t made, parts;
    const char *note; /* what the model says of its work; else NULL */
} sp_train_event;
typedef struct sp_train_options {
    size_t size;
    const char *model;           /* a recommender's name, as `sapor models` lists them */
    const char *const *settings; /* [setting_count] "key=value", as for `sapor train --set` */
    size_t setting_count;
    uint64_t seed;
    /* NULL, or a folder that is made as `sapor train --out` makes it: a run that was ended goes on where it was, and
     * sp_recommender_open opens the folder. */
    const char *out;
    /* Called after each batch and after each epoch, while a model is made that needs no epochs, and with a note, on the
     * thread of the call; false ends the run, and the error is SP_CANCELLED. May be NULL. */
    bool (*progress)(void *user, const sp_train_event *event);
    void *user;
} sp_train_options;
/* Trains on the session's threads; the best epoch's state becomes the recommender, which keeps nothing of `data` and
 * does not need the session. memory: of the recommender. The same data, settings and seed give the same bits for any
 * number of threads. */
SP_API sp_recommender *sp_train(sp_session *s, const sp_data *data, const sp_train_options *o,
                                const sp_allocator *memory, sp_error *e);

typedef struct sp_measures {
    size_t size;
    const char *const *metrics; /* [metric_count]: "Recall", "nDCG", ...: `sapor evaluate --metrics help` lists them */
    size_t metric_count;
    const size_t *cutoffs; /* [cutoff_count]: lengths of lists */
    size_t cutoff_count;
    const char *protocol;                                /* of sp_evaluate_lists; as in sp_data */
    bool (*progress)(void *user, size_t done, size_t n); /* as in sp_recommend_options */
    void *user;
} sp_measures;
/* How well the recommender's lists, without each user's train items, match `truth`: figures [metrics, cutoffs], means
 * over users. Rows of users without a train row are left out, as in training. */
SP_API bool sp_evaluate(const sp_recommender *r, sp_session *s, const sp_interactions *truth, const sp_measures *m,
                        double *figures, sp_error *e);
/* The same for lists [n, K] of any origin (-1: no item), the best first, of users user [n], each once. users, items: as
 * in sp_data. Metrics that need train interactions or scores are SP_USAGE here, and metrics with a figure for each
 * cluster in both calls. */
SP_API bool sp_evaluate_lists(sp_session *s, size_t users, size_t items, const int32_t *user, size_t n,
                              const int32_t *lists, size_t K, const sp_interactions *truth, const sp_measures *m,
                              double *figures, sp_error *e);

/* ---- recommenders: answers ------------------------------------------------------------------- */

/* A folder that a finished `sapor train --out DIR` or sp_train wrote. It is checked like any input. */
SP_API sp_recommender *sp_recommender_open(const char *folder, const sp_allocator *memory, sp_error *e);
SP_API void sp_recommender_close(sp_recommender *r);
typedef struct sp_recommender_info {
    size_t size;
    const char *model;   /* "LightGCN"; valid until the close, as the names below */
    size_t users, items; /* numbers are below these */
    /* D of the vectors whose dot product is a score; 0: the model scores by itself (ItemKNN, MostPop, ...), and calls
     * for vectors are SP_UNSUPPORTED. */
    size_t width;
    /* Whether sp_recommend_new answers: models with vectors, by the mean of the vectors of the user's items; ItemKNN,
     * AttributeItemKNN, EASER and MostPop by their own rule. */
    bool new_users;
    /* Whether sp_new_item_vectors answers, with these features: VBPR and NGCF-M, which project an item's features by
     * trained weights. Other models make an item's vector of interactions, or of other items' features, which a run
     * folder does not hold (docs/recipes.md 7.8, 7.21). */
    bool new_items;
    const char *const *feature_names; /* [feature_count] */
    const size_t *feature_widths;
    size_t feature_count;
} sp_recommender_info;
/* Set info->size. */
SP_API bool sp_recommender_describe(const sp_recommender *r, sp_recommender_info *info, sp_error *e);
typedef enum sp_role { SP_USERS = 0, SP_ITEMS } sp_role;
/* The number of an id of the training files, or -1; where the data were arrays, an id is its number in decimal. */
SP_API int32_t sp_recommender_number(const sp_recommender *r, sp_role role, const char *id);
/* The id of a number, valid until the close; NULL where there is no such number. */
SP_API const char *sp_recommender_id(const sp_recommender *r, sp_role role, int32_t number);

typedef struct sp_recommend_options {
    size_t size;
    bool keep_seen;         /* lists may hold what the user has in training, or likes */
    const int32_t *exclude; /* [exclude_count] items that no list may hold, in any order */
    size_t exclude_count;
    /* Called now and then, on the thread of the call, with the number of rows that are done, of n; false ends the call,
     * and its error is SP_CANCELLED. The session refuses calls meanwhile. May be NULL. */
    bool (*progress)(void *user, size_t done, size_t n);
    void *user;
} sp_recommend_options;
/* The K best items for each of users [n], by number; best first, equal scores by the lower number; o may be NULL.
 * items, scores [n, K]; scores may be NULL. A user's list does not depend on the other users of the call. */
SP_API bool sp_recommend(const sp_recommender *r, sp_session *s, const int32_t *users, size_t n, size_t K,
                         const sp_recommend_options *o, int32_t *items, float *scores, sp_error *e);
typedef struct sp_liked { /* what a user likes who is not in training: one item or more, in any order */
    const int32_t *items;
    const float *ratings; /* NULL: each is 1; read by models that train on ratings (ItemKNN without implicit) */
    size_t count;
} sp_liked;
/* The same for users [n] who are not in training. */
SP_API bool sp_recommend_new(const sp_recommender *r, sp_session *s, const sp_liked *users, size_t n, size_t K,
                             const sp_recommend_options *o, int32_t *items, float *scores, sp_error *e);
/* The K items that are most similar to each of items [n], itself left out: by the cosine of their vectors (an item
 * whose vector is zero has none); a model without vectors gives what it recommends to a new user who likes this item.
 * keep_seen does not apply. */
SP_API bool sp_similar_items(const sp_recommender *r, sp_session *s, const int32_t *items, size_t n, size_t K,
                             const sp_recommend_options *o, int32_t *similar, float *scores, sp_error *e);
/* scores [n] of the pairs users[i], items[i]: those that lists have. Pairs of one user that follow each other are
 * computed together. */
SP_API bool sp_scores(const sp_recommender *r, sp_session *s, const int32_t *users, const int32_t *items, size_t n,
                      float *scores, sp_error *e);
/* Vectors [n, D] of users or items of these numbers, of new users, and of items that are not in training, by their
 * features [n, width] under the names of training (in any order). An item's score is the dot product of its vector and
 * a user's: sp_nearest ranks new items beside those of training. The part of a new item's vector that interactions make
 * is zero. */
SP_API bool sp_vectors(const sp_recommender *r, sp_session *s, sp_role role, const int32_t *numbers, size_t n,
                       float *out, sp_error *e);
SP_API bool sp_new_user_vectors(const sp_recommender *r, sp_session *s, const sp_liked *users, size_t n, float *out,
                                sp_error *e);
SP_API bool sp_new_item_vectors(const sp_recommender *r, sp_session *s, const sp_feature *features,
                                size_t feature_count, size_t n, float *out, sp_error *e);

typedef struct sp_nearest_options {
    size_t size;
    bool dot;              /* by dot product; else by cosine, where rows of zeros are never listed */
    const int32_t *except; /* [n], or NULL: a row that is not listed for query i, -1: none */
    bool (*progress)(void *user, size_t done, size_t n); /* as in sp_recommend_options */
    void *user;
} sp_nearest_options;
/* The K rows of a matrix [N, D] that are nearest to each of the queries [n, D], all finite: features, vectors, or both
 * modalities of CLIP; o may be NULL. ids, similarity [n, K]; similarity may be NULL. Many queries in one call cost much
 * less than as many calls; the results are the same, bit for bit. */
SP_API bool sp_nearest(sp_session *s, const float *rows, size_t N, size_t D, const float *queries, size_t n, size_t K,
                       const sp_nearest_options *o, int32_t *ids, float *similarity, sp_error *e);

#ifdef __cplusplus
}
#endif
#endif
