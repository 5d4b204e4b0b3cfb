/* weights/weights.h: files of numbers. Safetensors, torch files, NumPy files; checkpoints are safetensors too.
 *
 * Nothing here is trusted: lengths, offsets, shapes and types are checked before a byte is used; a pickle is read by a
 * small machine that builds inert values: nothing is imported, nothing is called. */
#ifndef SAPOR_WEIGHTS_H
#define SAPOR_WEIGHTS_H

#include "base/base.h"

enum { MAX_DIMS = 8 };
typedef struct Array { /* a named block of numbers, C order, somewhere in a mapped file or an arena */
    Text name;         /* "" in an .npy; NUL-terminated behind its end */
    DType type;
    int dims;
    int64_t shape[MAX_DIMS];
    int64_t count;    /* product of the shape */
    const void *data; /* any alignment; little endian */
    const char *file; /* for messages */
    bool mapped;      /* data is in a mapped file */
} Array;
/* Elements [first, first + n) as float32, whatever the type. */
void array_f32(const Array *a, int64_t first, int64_t n, float *out);
void array_i64(const Array *a, int64_t first, int64_t n, int64_t *out);
bool array_is_integer(const Array *a);
/* The numbers were copied or packed: the memory that holds them of a mapped file goes back to the system, so that a
 * model is not in memory twice. What reads them later reads the file again. */
void array_done(const Array *a);

/* The tensors of a model: one file or several. Opening maps; reading converts. */
typedef struct Weights Weights;
/* PATH is a .safetensors file, a model.safetensors.index.json, a torch file (.pth, .pt, .bin: zip archive or the legacy
 * stream; a pickled module is searched for tensors, names joined by '.'), or a folder holding model.safetensors, its
 * index, or pytorch_model.bin. The kind follows from the content, not from the name. */
Weights *weights_open(const char *path, Arena *a, Error *e); /* maps the files */
/* The same of a folder on disk or in memory; `f` and what it points to are kept until weights_close. */
Weights *weights_open_files(const Files *f, Arena *a, Error *e);
/* reads them into the arena: for what is copied from them */
Weights *weights_read(const char *path, Arena *a, Error *e);
/* Of arrays in memory, which outlive it; `name` is for messages. */
Weights *weights_of(const Array *list, size_t n, const char *name, Arena *a, Error *e);
void weights_close(Weights *w);                                /* unmaps; arena memory goes with the arena */
const Array *weights_find(const Weights *w, const char *name); /* NULL when absent */
size_t weights_count(const Weights *w);
const Array *weights_at(const Weights *w, size_t i); /* in file order */
const char *weights_path(const Weights *w);
/* The tensor `name` with exactly this shape (dims numbers follow; -1 takes any length), or NULL and "file: tensor name:
 * has shape [..], expected [..]". */
#define weights_need(w, e, name, dims, ...) weights_need_shape((w), (e), (name), (dims), (const int64_t[]){__VA_ARGS__})
const Array *weights_need_shape(const Weights *w, Error *e, const char *name, int dims, const int64_t *shape);
/* The modules of a pickled module (torch.save of a whole model), in file order, each with what its results depend on
 * beside its tensors. The modules that hold others come before them. */
enum {
    SETTING_ABSENT = -1,
    SETTING_OTHER = -2
}; /* the module does not state it; it is no whole number, or two unequal */
typedef struct PickledModule {
    Text name;  /* "" of the whole model; "layer1.0.conv1" */
    Text class; /* "torch.nn.modules.conv.Conv2d"; long ones are cut */
    int64_t stride, padding, dilation, groups;
    double eps; /* -1: not stated */
} PickledModule;
size_t weights_module_count(const Weights *w); /* 0: no pickled module */
const PickledModule *weights_module_at(const Weights *w, size_t i);
const PickledModule *weights_module_find(const Weights *w, const char *name); /* NULL when absent */
/* The string map under "__metadata__" of a safetensors file, or NULL. */
const Json *weights_metadata(const Weights *w);

/* Writing safetensors: declare every tensor, then give the bytes in the same order. Bytes are the same for the same
 * input. */
typedef struct SafetensorsOut SafetensorsOut;
SafetensorsOut *safetensors_open(const char *path, const Heap *heap, Error *e);
bool safetensors_meta(SafetensorsOut *s, const char *key, const char *value, Error *e);
bool safetensors_declare(SafetensorsOut *s, const char *name, DType type, int dims, const int64_t *shape, Error *e);
/* Any split of the whole payload, in order. */
bool safetensors_data(SafetensorsOut *s, const void *data, size_t bytes, Error *e);
bool safetensors_commit(SafetensorsOut *s, Error *e); /* frees s; fails unless exactly the declared bytes were given */
Out *safetensors_finish(SafetensorsOut *s, Error *e); /* as npy_finish */
void safetensors_discard(SafetensorsOut *s);

/* .npy, versions 1 to 3, little-endian; f2 f4 f8 i1 i2 i4 i8 u1 b1. An array in Fortran order is copied into the arena
 * in C order. Arrays of objects are an error. */
typedef struct Npy {
    Array array;
    Map map;
} Npy;
bool npy_open(Npy *n, const char *path, Arena *a, Error *e); /* maps it */
bool npy_read(Npy *n, const char *path, Arena *a, Error *e); /* reads it into the arena: for what is copied from it */
void npy_close(Npy *n);
/* The file of an .npy's row names, one per line: X.ids.txt of X.npy. In the arena; NULL on failure. */
const char *npy_ids_path(const char *path, Arena *a, Error *e);
/* Writes a header for shape, then as many rows as follow; the count is checked at commit. path "-": standard output. */
typedef struct NpyOut NpyOut;
NpyOut *npy_create(const char *path, DType type, int dims, const int64_t *shape, const Heap *heap, Error *e);
bool npy_data(NpyOut *n, const void *data, size_t bytes, Error *e);
bool npy_rows(NpyOut *n, int64_t rows, Error *e); /* before the commit: fewer rows than declared; a plain file only */
bool npy_commit(NpyOut *n, Error *e);
/* frees n and gives its file to be committed with others (out_commit_set), or NULL */
Out *npy_finish(NpyOut *n, Error *e);
void npy_discard(NpyOut *n);
bool npy_write_f32(const char *path, int dims, const int64_t *shape, const float *data, const Heap *heap, Error *e);

#endif
