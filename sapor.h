/* sapor.h: the public C API of Sapor. This header is also its manual.
 *
 * Sapor computes features of product images and texts with published encoders. It trains recommenders on these features
 * and measures how much each modality contributes. This header is the whole interface of libsapor. No other symbol is
 * exported.
 *
 * Rules for all functions:
 * - Errors are values. A function that can fail has an `sp_error *` as its last parameter. On failure it returns false
 *   or NULL and fills the error with one line: what is wrong, where (file, line, key, tensor), what to do. The library
 *   never prints, exits or aborts.
 * - `e` must not be NULL. It need not be initialised: each call clears it first. If an object or a list is NULL, the
 *   error is SP_USAGE.
 * - Sizes are size_t or int64_t. Products of sizes are checked for overflow.
 * - An object is valid from its `_open` function to its `_close` function. Objects may be closed in any order, and NULL
 *   may be closed.
 * - The caller owns the buffers for results. The library keeps no pointer to a buffer, text, path or image after the
 *   call.
 * - After an error in a call, the object can be used as before. The contents of `out` are then undefined, and *count of
 *   sp_tokenize is 0.
 * - Encoders, tokenizers and recommenders are immutable. Several threads may use the same one at the same time. A
 *   session belongs to one thread at a time: if a session is in a call, a second call is refused (SP_USAGE). No call
 *   waits for another thread of the caller. There is no global state.
 * - Files are read into memory, with two exceptions: the weight files of a model, and the user.npy and item.npy of
 *   a recommender. These files are mapped until the `_close` of the object. Meanwhile they may be replaced
 *   by a rename, or removed. They must not be truncated or written in place: the system then ends the process by
 *   SIGBUS. The library installs no signal handler.
 * - The library opens regular files only and never waits for a pipe. It keeps no file descriptor below 3, so that a
 *   program may have closed its standard streams.
 * - Texts and paths are UTF-8. They end with NUL, unless the function also takes a length.
 * - The same input gives the same bits, for any number of threads and any other inputs in the call.
 *
 * A complete program. Build it with one of these commands:
 *
 *   cc program.c $(pkg-config --cflags --libs sapor)
 *   cc -static program.c $(pkg-config --static --cflags --libs sapor)
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
 * Two more programs are tests/embed.c and tests/embed_recommend.c. They call almost every function below, with correct
 * and with wrong arguments, from C and from C++. */
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
    SP_IO,          /* an error of the system: a missing file, a full disk, ... */
    SP_FORMAT,      /* a file or text is malformed */
    SP_MEMORY,      /* out of memory, or over the limit that the caller's allocator set */
    SP_USAGE,       /* the arguments are wrong: unknown names, values out of range */
    SP_SHAPE,       /* two shapes or sizes that must be equal are different */
    SP_UNSUPPORTED, /* not available in this build or for this model */
    SP_CANCELLED    /* a callback of the caller ended the call */
} sp_status;
SP_API const char *sp_status_name(sp_status code); /* "SP_IO"; "unknown" for other numbers */

typedef struct sp_error {
    sp_status code;
    char message[1024]; /* one line of UTF-8, no newline; "" while code is SP_OK */
} sp_error;

/* ---- memory ---------------------------------------------------------------------------------- */

/* The source of all memory of an object. `resize(user, p, old_bytes, new_bytes)` works like realloc:
 * - If `p` is NULL, it allocates new_bytes.
 * - If new_bytes is 0, it frees `p` and returns NULL.
 * - On failure it returns NULL, and `p` is unchanged.
 * - The returned memory is aligned for any C type.
 *
 * The calling thread and the workers of a session may call `resize` at the same time. The struct is copied. The memory
 * that `user` points to must be valid until the object is closed. A NULL sp_allocator means malloc. */
typedef struct sp_allocator {
    void *(*resize)(void *user, void *p, size_t old_bytes, size_t new_bytes);
    void *user;
} sp_allocator;

SP_API const char *sp_version(void); /* SAPOR_VERSION of the library that is loaded */
SP_API int sp_version_number(void);  /* its SAPOR_VERSION_NUMBER */

/* ---- sessions: threads and scratch memory ---------------------------------------------------- */

/* A session has worker threads and scratch memory. The scratch memory grows to the size of the largest call and is
 * reused. A server opens one model, and one session per server thread (with threads 1, which has no workers). */
typedef struct sp_session sp_session;
/* Opens a session. Returns NULL on an error.
 * - `threads`: the number of threads, the calling thread included. 1: the calling thread only. 0: all that are
 *   available.
 * - `memory`: NULL means malloc. */
SP_API sp_session *sp_session_open(int threads, const sp_allocator *memory, sp_error *e);
/* Ends the worker threads and frees the memory. No call of the session may be in progress. */
SP_API void sp_session_close(sp_session *s);

/* ---- encoders: texts and images to features -------------------------------------------------- */

/* An encoder computes features of texts or images. `model` is one of:
 * - a folder in the layout of Hugging Face;
 * - a weights file of torchvision or timm;
 * - a name, which is searched in $SAPOR_MODELS, then in the caches of Hugging Face and torch.
 *
 * The features are the same as those of sentence-transformers, transformers or torchvision for this model; `sapor
 * models` lists the models. Several threads may use an open encoder at the same time. Each thread needs its own
 * session; the threads of the session do the work. The row of an input does not depend on the other inputs in the call.
 * It is SP_USAGE to give texts to an image encoder, images to a text encoder, or an option that does not apply. Options
 * are never ignored.
 *
 *     const char *paths[] = {"bag.jpg", "lamp.png"};
 *     float *out = malloc(2 * sp_encoder_features(m) * sizeof *out);
 *     if (!out || !sp_encode_image_files(m, s, paths, 2, out, &e)) ... */
typedef struct sp_encoder sp_encoder;
enum { SP_IMAGES = 1, SP_TEXTS = 2 }; /* modalities */
/* Pooling: how the rows of a text's tokens, or of an image's patches, are combined into one row. */
typedef enum sp_pool {
    SP_POOL_MODEL = 0, /* as the model does it */
    SP_POOL_CLS,       /* the first row */
    SP_POOL_MEAN,
    SP_POOL_MAX,
    SP_POOL_NONE /* no pooling: one row per token */
} sp_pool;

/* A struct with a member `size` may grow at its end in later versions. Set `size` to the sizeof of the struct. A member
 * that is 0 or NULL has its default. If the struct is larger than the library's:
 * - as an input, the members that the library does not have must be zero. Otherwise the error is SP_UNSUPPORTED;
 * - as an output, the library writes zeros to these members.
 *
 *     sp_encoder_options o = {.size = sizeof o, .dtype = "int8"}; */
typedef struct sp_encoder_options {
    size_t size;
    /* The number type of the weights: "f32" (or NULL), "f16", "bf16" or "int8". The types with fewer bits are for
     * transformers and ResNet. Their weights take a half (f16, bf16) or a quarter (int8) of the memory. If the
     * processor has the instructions:
     * - bf16 is about 1.9 times as fast as f32; the cosine with the features of f32 is 0.9999;
     * - int8 is about 3 times as fast; the cosine is 0.99;
     * - on Intel's matrix unit (AMX), bf16 is about 4 times and int8 about 5 times as fast. Linux then refuses signal
     *   stacks of less than 12 KB in this process.
     *
     * A row still does not depend on the number of threads or on the other inputs in the call. */
    const char *dtype;
    /* A device, by a name that `--device` of the command accepts (docs/gpu.md). NULL: that of the environment variable
     * SAPOR_DEVICE, otherwise "cpu". A session always uses the device of SAPOR_DEVICE, or the CPU if this variable is
     * not set. The encoder and a session that is given to its calls must be on the same device. */
    const char *device;
    /* NULL: found automatically. Otherwise a name of `sapor models`, for a weights file without a config.json */
    const char *arch;
    /* SP_IMAGES, SP_TEXTS or both: what calls will encode. 0: all that the files of the model allow */
    unsigned modalities;
    /* [output_count]: the names of the outputs that calls will request. NULL as an element means the usual output
     * (sp_output.usual) of texts and of images. The encoder loads only the weights that these outputs need. The
     * default, output_count 0, loads all outputs except the nodes inside a block, such as "layer4.2.conv3" of a ResNet:
     * these are loaded only if they are named here. */
    const char *const *outputs;
    size_t output_count;
    /* Defaults of calls. `pool` and `normalize` apply to a call that names no output. `max_length` applies to a call
     * that sets none. See sp_output_options and sp_call_options. */
    sp_pool pool;
    int normalize;
    size_t max_length;
    /* How images are resized. NULL or "pil": as Pillow does. "torchvision": as torchvision does, which is the default
     * of the image processors of transformers 5. */
    const char *resize;
} sp_encoder_options;
/* Opens an encoder. `o` NULL means the default options: all outputs are loaded (see `outputs` for the exception).
 * `memory` NULL means malloc. Returns NULL on an error. */
SP_API sp_encoder *sp_encoder_open_with(const char *model, const sp_encoder_options *o, const sp_allocator *memory,
                                        sp_error *e);
/* Open an encoder for the usual outputs only: `outputs` has one element, which is NULL, and other outputs are not
 * loaded. All other options have their defaults. `dtype` as in sp_encoder_options. */
SP_API sp_encoder *sp_encoder_open(const char *model, const sp_allocator *memory, sp_error *e);
SP_API sp_encoder *sp_encoder_open_as(const char *model, const char *dtype, const sp_allocator *memory, sp_error *e);

typedef struct sp_file { /* a file in memory */
    const char *name;    /* "config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json", ... */
    const void *data;
    size_t bytes;
} sp_file;
/* Opens a model whose files are in memory: files [n]. `o` may be NULL. The bytes of the files must stay valid and
 * unchanged until the close. The list and the names are needed only during the call. */
SP_API sp_encoder *sp_encoder_open_memory(const sp_file *files, size_t n, const sp_encoder_options *o,
                                          const sp_allocator *memory, sp_error *e);
/* Frees the encoder and unmaps its files. No call may use it any more. */
SP_API void sp_encoder_close(sp_encoder *m);

/* Returns D, the number of floats in a row of the usual output. If the encoder reads texts and images, this is the
 * output of texts. Returns 0 for NULL, and if the usual output has one row per token. */
SP_API size_t sp_encoder_features(const sp_encoder *m);
/* Report whether the encoder accepts texts or images; false for NULL. */
SP_API bool sp_encoder_reads_texts(const sp_encoder *m);
SP_API bool sp_encoder_reads_images(const sp_encoder *m);
/* Returns the logit scale of CLIP, AltCLIP and ALIGN; 0 for NULL and for other models. The logit of an image and a text
 * is
 *
 *   logit = scale * dot(image row, text row)
 *
 * The rows are of the usual outputs, which have length 1. The softmax of an image's logits over all texts gives the
 * probabilities of the texts. */
SP_API double sp_encoder_logit_scale(const sp_encoder *m);

/* A model has named outputs: its usual features, hidden states and others. sp_rows is the kind of rows that an output
 * has. */
typedef enum sp_rows {
    SP_ROWS_VECTOR = 0, /* one row per input */
    SP_ROWS_TOKENS,     /* one row per token, or per patch of an image, unless the call pools them */
    SP_ROWS_MAP         /* a feature map of an image: [channels, height, width] */
} sp_rows;
typedef struct sp_output {
    size_t size;
    const char *name;  /* valid until the encoder is closed */
    unsigned modality; /* SP_IMAGES or SP_TEXTS */
    sp_rows rows;
    size_t width;    /* floats of a vector or of a token's row; channels of a map */
    sp_pool pool;    /* of tokens: the pooling that SP_POOL_MODEL means */
    bool normalized; /* rows have length 1, unless the call sets otherwise */
    bool usual;      /* the output of calls without options */
    bool loaded;     /* calls may request it: see sp_encoder_options.outputs */
} sp_output;
SP_API size_t sp_encoder_output_count(const sp_encoder *m); /* returns 0 for NULL */
/* Describes output `i` in *out. The caller sets out->size first. If there is no output `i`, the error is SP_USAGE. */
SP_API bool sp_encoder_output(const sp_encoder *m, size_t i, sp_output *out, sp_error *e);

/* One output of a call. */
typedef struct sp_output_options {
    const char *name; /* NULL: the usual output of the modality */
    sp_pool pool;     /* SP_POOL_NONE: one row per token */
    int normalize;    /* 1: rows have length 1; -1: no normalization; 0: as the model does */
} sp_output_options;
/* A call may request any set of outputs. The model runs once for all of them. */
typedef struct sp_call_options {
    size_t size;
    const sp_output_options *outputs;
    size_t output_count; /* 0: the usual output, with the encoder's defaults */
    /* Of texts: the largest number of tokens, special tokens included. Longer texts are cut. The limit of the model
     * applies too. 0: only the limit of the model. */
    size_t max_length;
    /* Called from time to time, on the thread of the call. `done` of `n` inputs are finished. If it returns false, the
     * call ends with SP_CANCELLED. During the callback the session refuses other calls. May be NULL. */
    bool (*progress)(void *user, size_t done, size_t n);
    void *user;
} sp_call_options;
/* Writes the number of floats of one row, for each output of a call with these options: the sizes for the buffers of
 * the functions below. For tokens that are not pooled, this is the row of one token.
 * - `modality`: SP_IMAGES or SP_TEXTS.
 * - `floats`: [outputs of the call]; [1] if `o` is NULL or names no output. */
SP_API bool sp_row_sizes(const sp_encoder *m, unsigned modality, const sp_call_options *o, size_t *floats, sp_error *e);

typedef struct sp_text {
    const char *text; /* UTF-8; need not end with NUL */
    size_t bytes;
} sp_text;
typedef struct sp_text_info {
    /* number of tokens that the model reads, special tokens included; 0: none (see the status of the text) */
    size_t tokens;
    bool truncated; /* the text is longer; its end was cut off */
} sp_text_info;
/* Counts the tokens of texts [n] without encoding them. `o`, `info` and `status` as in sp_encode_text_batch. */
SP_API bool sp_text_lengths(const sp_encoder *m, sp_session *s, const sp_text *texts, size_t n,
                            const sp_call_options *o, sp_text_info *info, sp_error *status, sp_error *e);
/* Encodes texts [n].
 * - `o`: NULL means the defaults.
 * - `out` [outputs of the call]: out[k] receives n rows. With SP_POOL_NONE it receives one row per token of all texts,
 *   in the order of the texts; sp_text_lengths counts the tokens.
 * - `info` [n]: may be NULL.
 * - `status` [n]: may be NULL. With a status, an input that fails leaves its error in its status and zeros in its rows,
 *   and the call continues. Without a status, the first failure ends the call. */
SP_API bool sp_encode_text_batch(const sp_encoder *m, sp_session *s, const sp_text *texts, size_t n,
                                 const sp_call_options *o, float *const *out, sp_text_info *info, sp_error *status,
                                 sp_error *e);

typedef struct sp_image { /* an image file, the bytes of an image file, or pixels */
    const char *path;     /* of a JPEG, PNG or WebP file; otherwise NULL */
    const void *data;     /* `bytes` bytes of an image file; if width is set: pixels */
    size_t bytes;         /* of pixels: 0 or 3 * width * height; of a path: 0 */
    size_t width, height; /* of pixels: RGB, 8 bits, rows without padding; otherwise 0 */
} sp_image;
/* Encodes images [n]. The parameters are those of sp_encode_text_batch. The threads of the session also decode and
 * resize the images. An sp_image that describes no image (no path and no data, or pixels without a height) is an error
 * of the caller: it ends the call even with a status. */
SP_API bool sp_encode_image_batch(const sp_encoder *m, sp_session *s, const sp_image *images, size_t n,
                                  const sp_call_options *o, float *const *out, sp_error *status, sp_error *e);

/* Encodes texts [n], each ending with NUL, to out [n, D]. This function and the next three are short forms: they
 * compute the usual output and have no status. */
SP_API bool sp_encode_texts(const sp_encoder *m, sp_session *s, const char *const *texts, size_t n, float *out,
                            sp_error *e);
/* Encodes the JPEG, PNG or WebP files paths [n] to out [n, D]. */
SP_API bool sp_encode_image_files(const sp_encoder *m, sp_session *s, const char *const *paths, size_t n, float *out,
                                  sp_error *e);
/* Encodes one image file, whose `bytes` bytes are at `data`, to out [D]. */
SP_API bool sp_encode_image(const sp_encoder *m, sp_session *s, const void *data, size_t bytes, float *out,
                            sp_error *e);
/* Encodes the pixels of one image (RGB, 8 bits, rows without padding) to out [D]. */
SP_API bool sp_encode_pixels(const sp_encoder *m, sp_session *s, const unsigned char *rgb, size_t width, size_t height,
                             float *out, sp_error *e);

/* ---- tokenizers ------------------------------------------------------------------------------ */

/* Token ids as the tokenizers of Hugging Face give them, special tokens included. `path` is a model folder, a
 * tokenizer.json or a vocab.txt. An open tokenizer is immutable and may be used by several threads.
 *
 *     int32_t ids[512];
 *     size_t count;
 *     if (sp_tokenize(t, text, strlen(text), 512, ids, 512, &count, &e)) ... ids[0 .. count-1] */
typedef struct sp_tokenizer sp_tokenizer;
/* Opens a tokenizer: a model folder or one of its files. Returns NULL on failure. */
SP_API sp_tokenizer *sp_tokenizer_open(const char *path, const sp_allocator *memory, sp_error *e);
/* Frees the tokenizer; NULL is allowed. No call with it may be in progress. */
SP_API void sp_tokenizer_close(sp_tokenizer *t);
/* Writes the token ids of a text.
 * - `max_length`: the largest number of ids, special tokens included. 0: no limit.
 * - `ids` [room]: receives at most `room` ids. May be NULL if `room` is 0.
 * - `count`: the number of ids of the text. If it is larger than `room`, call again with more room.
 *
 * As in transformers, the truncation and padding of a tokenizer.json are not applied. */
SP_API bool sp_tokenize(const sp_tokenizer *t, const char *text, size_t bytes, size_t max_length, int32_t *ids,
                        size_t room, size_t *count, sp_error *e);

/* ---- recommenders: data ---------------------------------------------------------------------- */

/* Users and items are numbers from 0 on. Row i of features or vectors belongs to number i. The lists of the K best
 * items for n users are an array [n, K]. Unused places at the end of a list have the item -1 and the score -infinity.
 *
 *     int32_t user[] = {0, 0, 1, 2, 2}, item[] = {0, 1, 1, 2, 3};
 *     sp_interactions pairs = {.count = 5, .user = user, .item = item};
 *     sp_data data = {.size = sizeof data, .users = 3, .items = 4, .train = &pairs};
 *     sp_train_options o = {.size = sizeof o, .model = "LightGCN", .seed = 123};
 *     sp_recommender *r = sp_train(session, &data, &o, NULL, &e);
 *     int32_t ask = 1, best[2];
 *     if (r && sp_recommend(r, session, &ask, 1, 2, NULL, best, NULL, &e)) ... */
typedef struct sp_interactions { /* in any order. If a pair of user and item is repeated, the last row counts */
    size_t count;
    const int32_t *user, *item; /* [count] */
    const float *rating;        /* [count]; NULL: all ratings are 1 */
    const int64_t *time;        /* [count]; NULL: none. Only sp_split reads it */
} sp_interactions;
typedef struct sp_feature { /* the features of one modality */
    const char *name;       /* "visual", "textual" */
    size_t width;           /* D */
    const float *data;      /* [rows, D], finite; row i belongs to item i */
} sp_feature;
typedef struct sp_data {
    size_t size;
    size_t users, items; /* all numbers are below these; some numbers may have no row */
    const sp_interactions *train;
    const sp_interactions *valid, *test; /* NULL: none. Rows of users without a train row are skipped */
    const sp_feature *features;          /* [feature_count], each with a row for every item */
    size_t feature_count;
    const char *protocol; /* the rules of "elliot" (or NULL) or of "mmrec": docs/recipes.md */
} sp_data;

typedef struct sp_split_options {
    size_t size;
    const char *strategy;                /* "random" (or NULL), "temporal" or "leave-n-out", as in `sapor split` */
    double test_ratio, validation_ratio; /* share of the rows of each user; 0: the part is empty */
    /* > 0: leave_n rows of each user (all, if the user has fewer) become test rows, whatever test_ratio is. Then
     * leave_n of the user's other rows become validation rows, unless validation_ratio is 0. A
     * validation_ratio above 0 has the same effect whatever its value is: leave_n is the number of rows */
    size_t leave_n;
    size_t k_core; /* > 0: drops users and items with fewer rows, until all have at least this number */
    uint32_t seed;
} sp_split_options;
typedef enum sp_part { SP_TRAIN = 0, SP_VALIDATION, SP_TEST, SP_DROPPED } sp_part;
/* Writes to part [x->count] the sp_part of each row. The parts are the same as those of `sapor split` for a file that
 * has these numbers as ids. `users` and `items` as in sp_data. */
SP_API bool sp_split(const sp_interactions *x, size_t users, size_t items, const sp_split_options *o,
                     const sp_allocator *memory, unsigned char *part, sp_error *e);

/* ---- recommenders: training and evaluation --------------------------------------------------- */

/* An open recommender is immutable. Any number of threads may use it at the same time, each with its own session. */
typedef struct sp_recommender sp_recommender;

/* An event of a training run, for the progress callback. */
typedef struct sp_train_event {
    size_t size;  /* size of this struct in the library */
    size_t epoch; /* number of finished epochs. During an epoch this is also its number, from 0 */
    /* finished batches of the epoch, and their total. batches 0: the model is not trained in batches */
    size_t batch, batches;
    bool evaluated; /* the epoch is finished and was evaluated: the figures below are set */
    double loss;    /* of the epoch, set after its last batch */
    /* Figures [figure_count] of the validation part and the test part, and their names, for example "Recall@20". NULL
     * if there is no such part. */
    const char *const *names;
    const double *valid, *test;
    size_t figure_count;
    /* Before the first epoch, for models that are computed without epochs (ItemKNN, EASER, ...): the work has `parts`
     * pieces, and `made` of them are done. Otherwise both are 0. */
    size_t made, parts;
    const char *note; /* a message of the model about its work; otherwise NULL */
} sp_train_event;
typedef struct sp_train_options {
    size_t size;
    const char *model;           /* the name of a recommender in `sapor models` */
    const char *const *settings; /* [setting_count] "key=value", as for `sapor train --set` */
    size_t setting_count;
    uint64_t seed;
    /* NULL, or the folder to write, as `sapor train --out` writes it. A run that was interrupted continues from this
     * folder. sp_recommender_open opens the folder of a finished run. */
    const char *out;
    /* Called on the thread of the call: after each batch, after each epoch, during the work of a model without epochs,
     * and with each note. If it returns false, the run ends with SP_CANCELLED. May be NULL. */
    bool (*progress)(void *user, const sp_train_event *event);
    void *user;
} sp_train_options;
/* Trains a recommender on the threads of the session. The result has the state of the best epoch. It keeps no pointer
 * to `data` and does not need the session. `memory` is for the recommender. The same data, settings and seed give the
 * same bits for any number of threads. */
SP_API sp_recommender *sp_train(sp_session *s, const sp_data *data, const sp_train_options *o,
                                const sp_allocator *memory, sp_error *e);

/* The metrics of sp_evaluate and sp_evaluate_lists. */
typedef struct sp_measures {
    size_t size;
    const char *const *metrics; /* [metric_count]: "Recall", "nDCG", ...: `sapor evaluate --metrics help` lists them */
    size_t metric_count;
    const size_t *cutoffs; /* [cutoff_count]: lengths of lists */
    size_t cutoff_count;
    const char *protocol;                                /* of sp_evaluate_lists only; as in sp_data */
    bool (*progress)(void *user, size_t done, size_t n); /* as in sp_recommend_options */
    void *user;
} sp_measures;
/* Compares the lists of the recommender with `truth`. The lists do not contain the train items of the user. Writes
 * figures [metrics, cutoffs]: means over users. Rows of users without a train row are skipped, as in training. */
SP_API bool sp_evaluate(const sp_recommender *r, sp_session *s, const sp_interactions *truth, const sp_measures *m,
                        double *figures, sp_error *e);
/* Compares given lists with `truth` and writes figures [metrics, cutoffs].
 * - `user` [n]: the users of the lists, each once.
 * - `lists` [n, K]: the best item first; -1: no item.
 * - `users`, `items`: as in sp_data.
 *
 * Metrics that need train interactions or scores are SP_USAGE here. Metrics with a figure for each cluster are SP_USAGE
 * here and in sp_evaluate. */
SP_API bool sp_evaluate_lists(sp_session *s, size_t users, size_t items, const int32_t *user, size_t n,
                              const int32_t *lists, size_t K, const sp_interactions *truth, const sp_measures *m,
                              double *figures, sp_error *e);

/* ---- recommenders: recommendations ----------------------------------------------------------- */

/* Opens a folder that a finished `sapor train --out DIR` or sp_train wrote. The files of the folder are checked like
 * any input. */
SP_API sp_recommender *sp_recommender_open(const char *folder, const sp_allocator *memory, sp_error *e);
/* Frees the recommender and unmaps its files. No call may use it any more. */
SP_API void sp_recommender_close(sp_recommender *r);
typedef struct sp_recommender_info {
    size_t size;
    const char *model;   /* "LightGCN"; valid until the close, like the names below */
    size_t users, items; /* all numbers are below these */
    /* D of the vectors whose dot product is a score. 0: the model has no vectors (ItemKNN, MostPop, ...), and the
     * functions for vectors fail with SP_UNSUPPORTED. */
    size_t width;
    /* Whether sp_recommend_new is supported. Models with vectors use the mean of the vectors of the user's items.
     * ItemKNN, AttributeItemKNN, EASER and MostPop have their own rules. */
    bool new_users;
    /* Whether sp_new_item_vectors is supported, with the features below. VBPR and NGCF-M support it: they project the
     * features of an item by trained weights. Other models compute the vector of an item from interactions or from the
     * features of other items, which a run folder does not contain (docs/recipes.md 7.8, 7.21). */
    bool new_items;
    const char *const *feature_names; /* [feature_count] */
    const size_t *feature_widths;
    size_t feature_count;
} sp_recommender_info;
/* Describes the recommender in *info. The caller sets info->size first. The pointers in *info are valid until the
 * close. */
SP_API bool sp_recommender_describe(const sp_recommender *r, sp_recommender_info *info, sp_error *e);
typedef enum sp_role { SP_USERS = 0, SP_ITEMS } sp_role;
/* Returns the number of an id of the training files, or -1. If the training data were arrays (sp_train), the id of
 * number 7 is "7". */
SP_API int32_t sp_recommender_number(const sp_recommender *r, sp_role role, const char *id);
/* Returns the id of a number, valid until the close; NULL if there is no such number. */
SP_API const char *sp_recommender_id(const sp_recommender *r, sp_role role, int32_t number);

typedef struct sp_recommend_options {
    size_t size;
    bool keep_seen;         /* lists may contain the user's own items: those of the train part, or those in sp_liked */
    const int32_t *exclude; /* [exclude_count] items that no list may contain, in any order */
    size_t exclude_count;
    /* Called from time to time, on the thread of the call. `done` of `n` rows are finished. If it returns false, the
     * call ends with SP_CANCELLED. During the callback the session refuses other calls. May be NULL. */
    bool (*progress)(void *user, size_t done, size_t n);
    void *user;
} sp_recommend_options;
/* Writes the K best items for each of users [n], the best first. Of equal scores, the lower item number comes first.
 * - `o`: NULL means the defaults.
 * - `items`, `scores` [n, K]: `scores` may be NULL.
 *
 * The list of a user does not depend on the other users of the call. */
SP_API bool sp_recommend(const sp_recommender *r, sp_session *s, const int32_t *users, size_t n, size_t K,
                         const sp_recommend_options *o, int32_t *items, float *scores, sp_error *e);
typedef struct sp_liked { /* the items of a user who is not in the training data: at least one, in any order */
    const int32_t *items;
    /* [count]; NULL: all are 1. Only models that train on ratings read it (ItemKNN, unless implicit=true) */
    const float *ratings;
    size_t count;
} sp_liked;
/* Writes the K best items for users [n] who are not in the training data; the parameters of sp_recommend. */
SP_API bool sp_recommend_new(const sp_recommender *r, sp_session *s, const sp_liked *users, size_t n, size_t K,
                             const sp_recommend_options *o, int32_t *items, float *scores, sp_error *e);
/* Writes the K items that are most similar to each of items [n]; the item itself is not listed. For models with
 * vectors, the similarity is the cosine of two vectors; an item whose vector is zero has no similar items. For models
 * without vectors, the list is that of a new user who likes only this item. `keep_seen` has no effect. */
SP_API bool sp_similar_items(const sp_recommender *r, sp_session *s, const int32_t *items, size_t n, size_t K,
                             const sp_recommend_options *o, int32_t *similar, float *scores, sp_error *e);
/* Writes scores [n] of the pairs users[i], items[i]: the same scores as in lists. Consecutive pairs of one user are
 * computed together. */
SP_API bool sp_scores(const sp_recommender *r, sp_session *s, const int32_t *users, const int32_t *items, size_t n,
                      float *scores, sp_error *e);
/* Write vectors [n, D].
 * - sp_vectors: of the users or items with these numbers.
 * - sp_new_user_vectors: of users who are not in the training data.
 * - sp_new_item_vectors: of items that are not in the training data, from their features [n, width]. The features have
 *   the names of the training features, in any order. The part of the vector that comes from interactions is zero.
 *
 * The score of an item is the dot product of its vector and the user's vector. sp_nearest can therefore rank new items
 * together with the items of the training data. */
SP_API bool sp_vectors(const sp_recommender *r, sp_session *s, sp_role role, const int32_t *numbers, size_t n,
                       float *out, sp_error *e);
SP_API bool sp_new_user_vectors(const sp_recommender *r, sp_session *s, const sp_liked *users, size_t n, float *out,
                                sp_error *e);
SP_API bool sp_new_item_vectors(const sp_recommender *r, sp_session *s, const sp_feature *features,
                                size_t feature_count, size_t n, float *out, sp_error *e);

typedef struct sp_nearest_options {
    size_t size;
    bool dot; /* use the dot product; otherwise the cosine, and rows of zeros are never listed */
    /* [n]: the row that is not listed for query i; -1: all rows may be listed. NULL: -1 for every query */
    const int32_t *except;
    bool (*progress)(void *user, size_t done, size_t n); /* as in sp_recommend_options */
    void *user;
} sp_nearest_options;
/* Finds the K rows of a matrix rows [N, D] that are nearest to each of the queries [n, D]. All numbers must be finite.
 * The rows may be features, vectors, or images and texts of CLIP.
 * - `o`: NULL means the defaults.
 * - `ids`, `similarity` [n, K]: `similarity` may be NULL.
 *
 * One call with many queries takes much less time than many calls. The results are the same, bit for bit. */
SP_API bool sp_nearest(sp_session *s, const float *rows, size_t N, size_t D, const float *queries, size_t n, size_t K,
                       const sp_nearest_options *o, int32_t *ids, float *similarity, sp_error *e);

#ifdef __cplusplus
}
#endif
#endif
