/* weights/torch.h: what the readers of torch files share (torch.c, torch_search.c). */
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
    Arena *scratch; /* the pickle's values; gone after opening */
    Error *e;
    const char *path;
    Zip zip;
    Text folder;     /* "archive/" */
    TextIndex *keys; /* legacy, instead of zip: storages[i] is key number i; NULL: a zip archive */
    Storage *storages;
    Array *found;
    size_t count, capacity;
    PickledModule *modules;
    size_t module_count, module_capacity;
    char *name; /* of the value being looked at */
    size_t name_capacity;
    /* to values: a small pickle can put one list into another a thousand times, again and again */
    size_t visits;
    size_t file_bytes, before; /* of the file; of w's arena before it */
} Torch;

/* What may still be unpacked or copied: memory is in proportion to the file (torch.c). */
size_t room_left(const Torch *t);
bool value_integer(const Value *v, int64_t *out); /* false where v is NULL or no whole number */
/* The rebuilding call below parameters and subclasses: its arguments, or NULL when v is no tensor. */
const Value *tensor_args(const Value *v, const Value **dtype);
/* Adds a tensor by the arguments of _rebuild_tensor: storage, offset, size, stride, ... */
bool add_tensor(Torch *t, const Value *args, const Value *dtype, Text name);
/* All tensors and modules of a value, into t->w. */
bool torch_collect(Torch *t, Value *root);

#endif
