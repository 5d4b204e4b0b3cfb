/* tools/features.h: features of images and texts in batches, for encode, extract, nearest and the demo. */
#ifndef SAPOR_TOOLS_FEATURES_H
#define SAPOR_TOOLS_FEATURES_H

#include "tools/tools.h"

/* One row of a table file, or one image. The rows of a file may be as short as three bytes, and each row needs one
 * Input. So the struct must be small. */
typedef struct Input {
    const char *name;  /* the id of the row or item; id_check checks the id */
    const char *image; /* path of an image file; NULL: the input is `text` */
    Text text;
    const char *source; /* the file of a text, or NULL */
    uint32_t line;      /* the line in `source`, from 1 */
    bool by_position;   /* only the position identifies the row: the row cannot be skipped */
} Input;
/* Returns why the text of an input cannot be read ("is not valid UTF-8"), or NULL. The problem of an image is known
 * only after decoding. */
const char *input_problem(const Input *in);

/* Inputs that could not be read, in input order (unreadable.c). */
typedef struct UnreadableInput {
    const char *id, *path, *reason; /* path: of the image, or of the file of the text, or NULL */
    uint32_t line;                  /* the line of a text in its file; 0: an image */
} UnreadableInput;
typedef struct UnreadableList {
    UnreadableInput *list;
    size_t count, room;
} UnreadableList;
/* Writes "path", "path:line" or "text ID" to the buffer, truncated to the size of the buffer. */
void unreadable_place(const UnreadableInput *one, char *buffer, size_t size);
/* Adds the input. Only its reason is copied, into the arena: the list points to the id and the path of the input, which
 * must stay valid. If u is NULL, the function fails with "place: reason". */
bool unreadable_add(UnreadableList *u, const Input *in, const Error *why, Arena *a, Error *e);
/* Sets the error of a run that could read none of its n inputs. */
bool unreadable_fail(const UnreadableList *u, size_t n, Error *e);
/* Writes PATH, a TSV of id and reason with a header. If the list is empty, the function removes a list that an earlier
 * run wrote to PATH. Any other file at PATH stays. */
bool unreadable_write(const UnreadableList *u, const char *path, const Heap *heap, Error *e);
/* Prints one line if the list is not empty. n: number of all inputs; `path`: the file with the list; `to` NULL: nothing
 * is printed. */
void unreadable_warn(const UnreadableList *u, size_t n, const char *path, FILE *to);

/* Computes rows of features: an encoder, or one of the statistics below. */
typedef struct FeatureSource {
    Encoder *encoder;                    /* NULL: statistics */
    Call *images, *texts;                /* calls with one output each; NULL: this tower is not open */
    const struct Statistics *statistics; /* NULL: an encoder */
    int64_t features;                    /* length of a row */
    unsigned modalities;                 /* MODALITY_ flags of the inputs that can be computed */
} FeatureSource;

/* Opens NAME, a model (model_find) or one of the statistics.
 * - towers: the towers that the inputs will use; 0: all
 * - call: the requested output and its options (one OutputOptions, or none) */
bool feature_source_open(FeatureSource *x, Context *c, const char *name, unsigned towers, const EncoderOptions *o,
                         const CallOptions *call, Error *e);
void feature_source_close(FeatureSource *x);
bool option_dtype(const Context *c, Pack *dtype, Error *e);       /* Reads --dtype. */
bool option_winograd(const Context *c, int *outputs, Error *e);   /* Reads --winograd: 6, or 0 for the default. */
bool option_resize(const Context *c, Resizer *resizer, Error *e); /* Reads --resize. */
#define OPTION_RESIZE                                                                                                  \
    {                                                                                                                  \
        "resize", 0, "LIBRARY",                                                                                        \
            "pil (default) or torchvision: resize images as this library does; torchvision is the default of "         \
            "transformers 5"                                                                                           \
    }

/* Returns the number of inputs per call if the user requested `batch`. On a device other than the CPU it is at least
 * 256: the device computes some inputs while the host decodes other inputs of the same call. The features are the same.
 */
size_t inputs_at_once(const Device *d, size_t batch);
/* Receives the rows [n, features] of inputs first .. first+n-1. */
typedef bool FeatureSink(void *arg, size_t first, size_t n, const float *rows, Error *e);
/* Computes the rows of all inputs in order, `batch` at a time. An input that cannot be read has no row and is added to
 * `unreadable`. The run fails at the first such input if `unreadable` is NULL or the input is by_position. The run also
 * fails if memory runs out, and if the encoder fails on each of the first 16 inputs that can be read. */
bool extract_features(Context *c, const FeatureSource *x, const Input *inputs, size_t n, size_t batch,
                      const char *label, FeatureSink *sink, void *arg, UnreadableList *unreadable, Error *e);

/* Computes rows as extract_features does, and writes OUT.npy [n, features] and OUT.ids.txt. Both files appear whole or
 * not at all; the .npy is renamed last. Inputs in `unreadable` have no row. It is an error if no input could be read.
 * If OUT is "-", the .npy is written to standard output, and no ids are written. */
bool features_write(Context *c, const FeatureSource *x, const Input *inputs, size_t n, size_t batch, const char *label,
                    const char *out, UnreadableList *unreadable, Error *e);
/* Completes OUT.npy and writes the ids of its rows to OUT.ids.txt, one per line. Frees `npy`. If OUT is "-", no
 * ids are written. */
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

/* Reports whether a file name ends in .jpg, .jpeg, .png or .webp, in upper or lower case. */
bool is_image_name(const char *name);

#endif
