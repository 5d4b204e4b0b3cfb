/* weights/private.h: shared by the readers of the file formats. */
#ifndef SAPOR_WEIGHTS_PRIVATE_H
#define SAPOR_WEIGHTS_PRIVATE_H

#include "weights/weights.h"

/* A name from an untrusted file, for a message: `"%.*s", NAME(text)`. Only the first 200 bytes are printed. */
#define NAME(text) (int)MIN((text).n, (size_t)200), (text).p

typedef struct MapNode { /* maps that the tensors point into; closed with the Weights */
    Map map;
    struct MapNode *next;
} MapNode;

struct Weights {
    Arena *arena;
    bool reads;         /* files are read into the arena instead of mapped */
    const Files *files; /* files in memory instead of on disk; or NULL */
    const char *path;
    Array *arrays; /* in file order */
    size_t count, capacity;
    TextIndex *names; /* arrays[i] is number i */
    MapNode *maps;
    const Json *metadata;
    PickledModule *modules;
    size_t module_count;
    TextIndex *module_names; /* modules[i] is number i; NULL: no modules */
};

/* Appends a tensor whose data are in a map or the arena. A duplicate name, or a name with a NUL, is an error. */
bool weights_add(Weights *w, const Array *a, Error *e);
/* Appends n tensors of one file. `list` is in the arena of w, which may keep it. */
bool weights_add_all(Weights *w, Array *list, size_t n, Error *e);
/* Computes a->count from the shape, and the size in *bytes. Returns false if a length is negative, or if a result does
 * not fit 63 bits. */
bool array_size(Array *a, size_t *bytes);
/* Writes "[2, 3]" into buffer, for messages, and returns buffer. */
const char *shape_text(int dims, const int64_t *shape, char *buffer, size_t size);
enum { SHAPE_TEXT = 24 * MAX_DIMS };

/* Readers. m is a whole file of this format. */
bool safetensors_read(Weights *w, const Map *m, const char *path, Error *e);
bool torch_zip_read(Weights *w, const Map *m, const char *path, Error *e);
bool torch_legacy_read(Weights *w, const Map *m, const char *path, Error *e);

static inline uint64_t read_little(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

#endif
