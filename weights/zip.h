/* weights/zip.h: reads zip archives in memory, as torch.save writes them. */
#ifndef SAPOR_WEIGHTS_ZIP_H
#define SAPOR_WEIGHTS_ZIP_H

#include "weights/private.h"

typedef struct ZipEntry {
    Text name;
    uint64_t offset, packed, bytes; /* offset of the local header; packed size; unpacked size */
    int method;                     /* 0 stored, 8 deflated */
    const void *unpacked;           /* the unpacked bytes after the first request; otherwise NULL */
} ZipEntry;

typedef struct Zip {
    const Map *map;
    const char *path;
    ZipEntry *entries;
    size_t count;
    TextIndex *names; /* entries[i] is number i */
    size_t room;      /* a compressed entry must be smaller than this after unpacking; the caller sets it */
} Zip;

/* Memory: about four times the bytes of the directory, in the arena. Time: linear. */
bool zip_open(Zip *z, const Map *m, const char *path, Arena *a, Error *e);
ZipEntry *zip_find(const Zip *z, Text name); /* NULL if missing */
/* Returns the bytes of an entry. A stored entry is in the map; a deflated entry is unpacked into the arena, once. NULL
 * on failure. */
const unsigned char *zip_bytes(Zip *z, ZipEntry *entry, Arena *a, Error *e);

#endif
