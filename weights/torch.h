/* weights/torch.h: shared by the readers of torch files (torch.c, torch_search.c). */
#ifndef SAPOR_WEIGHTS_TORCH_H
#define SAPOR_WEIGHTS_TORCH_H

#include "weights/pickle.h"
#include "weights/zip.h"

typedef struct Storage {
    const unsigned char *data;
    uint64_t bytes;
} Storage;

typedef struct Torch {
    Weights *w;
    Arena *scratch; /* the values of the pickle; freed after opening */
    Error *e;
    const char *path;
    Zip zip;
    Text folder;     /* "archive/" */
    TextIndex *keys; /* legacy files, instead of zip: storages[i] is key number i; NULL: a zip archive */
    Storage *storages;
    Array *found;
    size_t count, capacity;
    PickledModule *modules;
    size_t module_count, module_capacity;
    char *name; /* the name of the current value */
    size_t name_capacity;
    /* The number of values visited. A small pickle can contain one list a thousand times in another, at several depths;
     * the count is limited. */
    size_t visits;
    size_t file_bytes, bytes_before; /* size of the file; bytes of w's arena before it was read */
} Torch;

/* Returns how many bytes may still be unpacked or copied: memory is limited in proportion to the file (torch.c). */
size_t room_left(const Torch *t);
bool value_integer(const Value *v, int64_t *out); /* false if v is NULL or not a whole number */
/* Returns the arguments of the call of _rebuild_tensor (or _v2, _v3) that makes the tensor v. If v is a parameter or of
 * a subclass of Tensor, these are the arguments for the tensor inside v. NULL: v is not a tensor. *dtype is the type
 * that the call states (_v3), or NULL: the type is that of the storage. */
const Value *tensor_args(const Value *v, const Value **dtype);
/* Adds a tensor from the arguments of _rebuild_tensor: storage, offset, size, stride, ... */
bool add_tensor(Torch *t, const Value *args, const Value *dtype, Text name);
/* Adds all tensors and modules in a value to t->w. */
bool torch_collect(Torch *t, Value *root);

#endif
