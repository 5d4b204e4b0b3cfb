/* weights/weights.h: files of numbers: safetensors (checkpoints too), torch files, NumPy files.
 *
 * No file is trusted. Lengths, offsets, shapes and types are checked before a byte is used. A pickle is read by a small
 * interpreter that builds inert values: it imports nothing and calls nothing. */
#ifndef SAPOR_WEIGHTS_H
#define SAPOR_WEIGHTS_H

#include "base/base.h"

enum { MAX_DIMS = 8 };
typedef struct Array { /* a named array in C order, in a mapped file or an arena */
    Text name;         /* "" in an .npy; NUL-terminated */
    DType type;
    int dims;
    int64_t shape[MAX_DIMS];
    int64_t count;    /* product of the shape */
    const void *data; /* any alignment; little endian */
    const char *file; /* for messages */
    bool mapped;      /* data is in a mapped file */
} Array;
/* Convert the elements [first, first + n) of any type. array_i64 rounds towards zero; numbers outside int64 become its
 * smallest or largest value, NaN becomes 0. */
void array_f32(const Array *a, int64_t first, int64_t n, float *out);
void array_i64(const Array *a, int64_t first, int64_t n, int64_t *out);
bool array_is_integer(const Array *a);
/* Releases the memory of an array in a mapped file, after its numbers were copied or packed, so that a model is not in
 * memory twice. A later access reads the file again. */
void array_done(const Array *a);

/* The tensors of a model, from one file or several. Opening maps the files; reading an array converts it. */
typedef struct Weights Weights;
/* `path` is one of:
 * - a .safetensors file, or the index of several files, such as model.safetensors.index.json;
 * - a torch file (.pth, .pt, .bin): a zip archive or the legacy stream. A pickled module is searched for tensors; their
 *   names are joined by '.';
 * - a folder that contains model.safetensors or pytorch_model.bin, or the index of one of them.
 *
 * The kind is recognised by the content, not by the name. */
Weights *weights_open(const char *path, Arena *a, Error *e); /* maps the files */
/* The same for a folder on disk or in memory. `f` and the memory it points to must be valid until weights_close. */
Weights *weights_open_files(const Files *f, Arena *a, Error *e);
/* Reads the files into the arena instead of mapping them. For numbers that are copied anyway. */
Weights *weights_read(const char *path, Arena *a, Error *e);
/* Makes Weights of arrays in memory, which must be valid longer than the result. `name` is for messages. */
Weights *weights_of(const Array *list, size_t n, const char *name, Arena *a, Error *e);
void weights_close(Weights *w);                                /* unmaps the files; the rest is freed with the arena */
const Array *weights_find(const Weights *w, const char *name); /* NULL if missing */
size_t weights_count(const Weights *w);
const Array *weights_at(const Weights *w, size_t i); /* in file order; NULL if there is no number i */
const char *weights_path(const Weights *w);
/* Returns the tensor `name` if it has exactly this shape: `dims` numbers follow, -1 matches any length. Otherwise NULL
 * and "file: tensor name: has shape [..], expected [..]". */
#define weights_need(w, e, name, dims, ...) weights_need_shape((w), (e), (name), (dims), (const int64_t[]){__VA_ARGS__})
const Array *weights_need_shape(const Weights *w, Error *e, const char *name, int dims, const int64_t *shape);
/* The modules of a pickled module (torch.save of a whole model), in file order. A module precedes the modules that it
 * contains. Each has the settings that its results depend on, in addition to its tensors. */
enum {
    SETTING_ABSENT = -1, /* the module does not state it */
    /* not a whole number of 0 or more; or a pair (height, width) of different numbers, such as stride (2, 1) */
    SETTING_OTHER = -2
};
typedef struct PickledModule {
    Text name;  /* "" for the whole model; "layer1.0.conv1" */
    Text class; /* "torch.nn.modules.conv.Conv2d"; long names are cut */
    int64_t stride, padding, dilation, groups;
    double eps; /* -1: not stated */
} PickledModule;
size_t weights_module_count(const Weights *w); /* 0: no pickled module */
const PickledModule *weights_module_at(const Weights *w, size_t i);
const PickledModule *weights_module_find(const Weights *w, const char *name); /* NULL if missing */
/* Returns the map of strings under "__metadata__" of a safetensors file, or NULL. */
const Json *weights_metadata(const Weights *w);

/* Writes safetensors: declare every tensor, then give the bytes in the same order. The same input gives the same bytes.
 */
typedef struct SafetensorsOut SafetensorsOut;
SafetensorsOut *safetensors_open(const char *path, const Heap *heap, Error *e);
bool safetensors_meta(SafetensorsOut *s, const char *key, const char *value, Error *e);
bool safetensors_declare(SafetensorsOut *s, const char *name, DType type, int dims, const int64_t *shape, Error *e);
/* The payload may be split anywhere, in order. */
bool safetensors_data(SafetensorsOut *s, const void *data, size_t bytes, Error *e);
/* frees s; fails unless the number of bytes given is exactly the declared number */
bool safetensors_commit(SafetensorsOut *s, Error *e);
/* frees s; returns its file for out_commit_set, or NULL after a failure */
Out *safetensors_finish(SafetensorsOut *s, Error *e);
void safetensors_discard(SafetensorsOut *s);

/* .npy, versions 1 to 3, little-endian: f2 f4 f8 i1 i2 i4 i8 u1 b1. An array in Fortran order is copied into the arena
 * in C order. Arrays of objects are an error. */
typedef struct Npy {
    Array array;
    Map map;
} Npy;
bool npy_open(Npy *n, const char *path, Arena *a, Error *e); /* maps it */
/* reads it into the arena; for data that are copied anyway */
bool npy_read(Npy *n, const char *path, Arena *a, Error *e);
void npy_close(Npy *n);
/* Returns the path of the file with the row names of an .npy, one per line: X.ids.txt of X.npy. In the arena; NULL on
 * failure. */
const char *npy_ids_path(const char *path, Arena *a, Error *e);
/* Writes a header for `shape`, then the rows as they are given. The commit checks their count. path "-": standard
 * output. */
typedef struct NpyOut NpyOut;
NpyOut *npy_create(const char *path, DType type, int dims, const int64_t *shape, const Heap *heap, Error *e);
bool npy_data(NpyOut *n, const void *data, size_t bytes, Error *e);
/* before the commit: sets a smaller number of rows; only for a regular file */
bool npy_rows(NpyOut *n, int64_t rows, Error *e);
bool npy_commit(NpyOut *n, Error *e);
/* Frees n and returns its file, to be committed with others (out_commit_set), or NULL. */
Out *npy_finish(NpyOut *n, Error *e);
void npy_discard(NpyOut *n);
bool npy_write_f32(const char *path, int dims, const int64_t *shape, const float *data, const Heap *heap, Error *e);

#endif
