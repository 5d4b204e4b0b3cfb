/* weights/zip.h: zip archives in memory, as torch.save writes them. */
#ifndef SAPOR_WEIGHTS_ZIP_H
#define SAPOR_WEIGHTS_ZIP_H

#include "weights/private.h"

typedef struct ZipEntry {
    Text name;
    uint64_t offset, packed, bytes; /* of the local header; sizes in the file and unpacked */
    int method;                     /* 0 stored, 8 deflated */
    const void *unpacked;           /* once asked for */
} ZipEntry;

typedef struct Zip {
    const Map *map;
    const char *path;
    ZipEntry *entries;
    size_t count;
    TextIndex *names; /* entries[i] is number i */
    size_t room;      /* bytes that the next entry may unpack to; the caller sets it */
} Zip;

/* Memory: the directory takes about four times its bytes in the arena. Time: linear. */
bool zip_open(Zip *z, const Map *m, const char *path, Arena *a, Error *e);
ZipEntry *zip_find(const Zip *z, Text name); /* NULL when absent */
/* The bytes of an entry: in the map when stored, else unpacked into the arena, once. NULL on failure. */
const unsigned char *zip_bytes(Zip *z, ZipEntry *entry, Arena *a, Error *e);

#endif
