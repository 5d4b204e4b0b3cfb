/* tools/features.h: pictures and texts through an encoder in batches: what encode, extract and the demo share. */
#ifndef SAPOR_TOOLS_FEATURES_H
#define SAPOR_TOOLS_FEATURES_H

#include "tools/tools.h"

typedef struct Input {
    const char *name;    /* the row's or item's id, as id_check wants it */
    const char *picture; /* path of an image file, or NULL: `text` it is */
    Text text;
    const char *source; /* of a text: its file, or NULL */
    uint32_t line;      /* in source, from 1 */
    bool by_place;      /* the row is known by its position alone: it cannot be left out */
} Input;                /* short: a table may have a row for every three bytes */
/* Why the text of an input cannot be read ("is not valid UTF-8"), or NULL. An image's reason is known when it is
 * decoded. */
const char *input_problem(const Input *in);

/* Inputs that could not be read, in their order (unread.c). */
typedef struct Unreadable {
    const char *id, *path, *reason; /* path: of the image or of the text's file, or NULL */
    uint32_t line;                  /* of a text in its file; 0: an image */
} Unreadable;
typedef struct Unread {
    Unreadable *list;
    size_t count, room;
} Unread;
/* Where it stands, "path" or "path:line" or "text ID", cut to the buffer. */
void unread_place(const Unreadable *one, char *buffer, size_t size);
/* Keeps the input and its reason in the arena; with u NULL fails: "place: reason". */
bool unread_add(Unread *u, const Input *in, const Error *why, Arena *a, Error *e);
/* The failure of a run that could read none of its n inputs. */
bool unread_fail(const Unread *u, size_t n, Error *e);
/* Writes PATH, a TSV of id and reason with a header. With nothing to list, an earlier list at PATH is removed; another
 * file there stays. */
bool unread_write(const Unread *u, const char *path, const Heap *heap, Error *e);
/* One line, where there is something to list; `to` may be NULL. */
void unread_warn(const Unread *u, size_t n, const char *path, FILE *to);

/* What turns inputs into rows of features: an encoder, or one of the statistics of statistics.h. */
typedef struct Extractor {
    Encoder *encoder;             /* NULL: statistics */
    const struct Statistics *own; /* NULL: an encoder */
    int64_t features;
    unsigned modalities;
    bool as_they_are;                  /* pictures keep their size: no resize and no crop, one at a time */
    int64_t first_width, first_height; /* > 0: bicubic resize to this before the encoder's own preparation */
} Extractor;

/* NAME is a model (model_find) or one of the statistics. */
bool extractor_open(Extractor *x, Context *c, const char *name, const EncoderOptions *o, Error *e);
void extractor_close(Extractor *x);
bool option_dtype(const Context *c, Pack *dtype, Error *e);     /* --dtype */
bool option_winograd(const Context *c, int *outputs, Error *e); /* --winograd 6; else 0 */

/* Receives rows first .. first+n-1, [n, features]. */
typedef bool FeatureSink(void *arg, size_t first, size_t n, const float *rows, Error *e);
/* All inputs in order, `batch` at a time; pictures of a batch are decoded by all threads, each of which keeps one
 * decoded picture at a time. An input that cannot be read goes to `unread`, its row does not come, and the run goes on.
 * The run fails at the first such input where `unread` is NULL or the input is by_place; and where memory is refused,
 * or an encoder takes none of the first inputs. */
bool extract_readable(Context *c, const Extractor *x, const Input *inputs, size_t n, size_t batch, const char *label,
                      FeatureSink *sink, void *arg, Unread *unread, Error *e);
/* The same without `unread`. */
bool extract_features(Context *c, const Extractor *x, const Input *inputs, size_t n, size_t batch, const char *label,
                      FeatureSink *sink, void *arg, Error *e);

/* The same into OUT.npy [n, features] and OUT.ids.txt, which appear whole or not at all: the .npy is what says done.
 * What is in `unread` has no row; that nothing could be read is a failure. OUT "-": the .npy goes to standard output,
 * and there are no names. */
bool features_write_readable(Context *c, const Extractor *x, const Input *inputs, size_t n, size_t batch,
                             const char *label, const char *out, Unread *unread, Error *e);
bool features_write(Context *c, const Extractor *x, const Input *inputs, size_t n, size_t batch, const char *label,
                    const char *out, Error *e);
/* Ends an OUT.npy: the names of its rows go beside it, one a line. Frees `npy`. */
bool features_commit(Context *c, NpyOut *npy, const char *out, const char *const *names, size_t n, Error *e);

/* Statistics that need no weights, for the demo and for trying things out (statistics.c). */
typedef struct Statistics {
    const char *name, *about;
    unsigned modality;
    int64_t features;
    bool (*of_image)(const Image *im, float *out, Arena *scratch, Error *e);
    void (*of_text)(Text text, float *out);
} Statistics;
size_t statistics_count(void);
const Statistics *statistics_at(size_t i);
const Statistics *statistics_find(const char *name); /* NULL when there is none of that name */

/* Whether a file's name ends like a picture's: .jpg .jpeg .png .webp, in any case. */
bool is_picture_name(const char *name);

#endif
