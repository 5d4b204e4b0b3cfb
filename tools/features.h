/* tools/features.h: features of images and texts in batches, for encode, extract, nearest and the demo. */
#ifndef SAPOR_TOOLS_FEATURES_H
#define SAPOR_TOOLS_FEATURES_H

#include "tools/tools.h"

typedef struct Input {
    const char *name;  /* the id of the row or item; id_check checks it */
    const char *image; /* path of an image file; NULL: the input is `text` */
    Text text;
    const char *source; /* of a text: its file, or NULL */
    uint32_t line;      /* in source, from 1 */
    bool by_position;   /* the position alone names the row, so the row cannot be skipped */
} Input;                /* small: a table may have one row per three bytes */
/* Why the text of an input cannot be read ("is not valid UTF-8"), or NULL. The problem of an image is known after
 * decoding. */
const char *input_problem(const Input *in);

/* Inputs that could not be read, in input order (unreadable.c). */
typedef struct UnreadableInput {
    const char *id, *path, *reason; /* path: of the image or of the text's file, or NULL */
    uint32_t line;                  /* of a text in its file; 0: an image */
} UnreadableInput;
typedef struct UnreadableList {
    UnreadableInput *list;
    size_t count, room;
} UnreadableList;
/* Writes "path", "path:line" or "text ID" to the buffer, truncated to its size. */
void unreadable_place(const UnreadableInput *one, char *buffer, size_t size);
/* Copies the input and its reason into the arena. With u NULL it fails with "place: reason". */
bool unreadable_add(UnreadableList *u, const Input *in, const Error *why, Arena *a, Error *e);
/* The error of a run that could read none of its n inputs. */
bool unreadable_fail(const UnreadableList *u, size_t n, Error *e);
/* Writes PATH, a TSV of id and reason with a header. If the list is empty, a list that an earlier run wrote to PATH is
 * removed; any other file there stays. */
bool unreadable_write(const UnreadableList *u, const char *path, const Heap *heap, Error *e);
/* Prints one line if the list is not empty; `to` may be NULL. */
void unreadable_warn(const UnreadableList *u, size_t n, const char *path, FILE *to);

/* Computes rows of features: an encoder, or one of the statistics below. */
typedef struct FeatureSource {
    Encoder *encoder;                    /* NULL: statistics */
    Call *images, *texts;                /* of one output each; NULL where the encoder has no such tower */
    const struct Statistics *statistics; /* NULL: an encoder */
    int64_t features;
    unsigned modalities;
} FeatureSource;

/* NAME is a model (model_find) or one of the statistics. `towers` are those that inputs will use (0: all); `call` says
 * which output is asked for and how (its one OutputOptions, or none). */
bool feature_source_open(FeatureSource *x, Context *c, const char *name, unsigned towers, const EncoderOptions *o,
                         const CallOptions *call, Error *e);
void feature_source_close(FeatureSource *x);
bool option_dtype(const Context *c, Pack *dtype, Error *e);       /* --dtype */
bool option_winograd(const Context *c, int *outputs, Error *e);   /* --winograd 6; else 0 */
bool option_resize(const Context *c, Resizer *resizer, Error *e); /* --resize */
#define OPTION_RESIZE                                                                                                  \
    {                                                                                                                  \
        "resize", 0, "LIBRARY",                                                                                        \
            "pil (default) or torchvision: resize images as this library does; torchvision is the default of "         \
            "transformers 5"                                                                                           \
    }

/* How many inputs a call gets where the user asks for `batch`: more on a device that is not the CPU, which computes
 * some of them while the host decodes others of the same call. The features are the same. */
size_t inputs_at_once(const Device *d, size_t batch);
/* Receives rows first .. first+n-1, [n, features]. */
typedef bool FeatureSink(void *arg, size_t first, size_t n, const float *rows, Error *e);
/* Computes the rows of all inputs in order, `batch` at a time. An input that cannot be read has no row and is added to
 * `unreadable`. The run fails at the first such input if `unreadable` is NULL or the input is by_position. It also
 * fails when out of memory, and when an encoder fails on the first inputs. */
bool extract_features(Context *c, const FeatureSource *x, const Input *inputs, size_t n, size_t batch,
                      const char *label, FeatureSink *sink, void *arg, UnreadableList *unreadable, Error *e);

/* The same into OUT.npy [n, features] and OUT.ids.txt. Both appear whole or not at all; the .npy is renamed last.
 * Inputs in `unreadable` have no row; it is an error if no input could be read. OUT "-": the .npy goes to standard
 * output, and no ids are written. */
bool features_write(Context *c, const FeatureSource *x, const Input *inputs, size_t n, size_t batch, const char *label,
                    const char *out, UnreadableList *unreadable, Error *e);
/* Completes OUT.npy and writes the ids of its rows to OUT.ids.txt, one per line. Frees `npy`. */
bool features_commit(Context *c, NpyOut *npy, const char *out, const char *const *names, size_t n, Error *e);

/* Features that need no weights, for the demo and for trials (statistics.c). */
typedef struct Statistics {
    const char *name, *about;
    unsigned modality;
    int64_t features;
    bool (*of_image)(const Image *im, float *out, Arena *scratch, Error *e);
    void (*of_text)(Text text, float *out);
} Statistics;
size_t statistics_count(void);
const Statistics *statistics_at(size_t i);
const Statistics *statistics_find(const char *name); /* NULL if the name is unknown */

/* Whether a file name ends like that of an image: .jpg .jpeg .png .webp, in any case. */
bool is_image_name(const char *name);

#endif
