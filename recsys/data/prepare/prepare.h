/* recsys/data/prepare/prepare.h: what the files of this folder share and nobody else sees. */
#ifndef SAPOR_DATA_PREPARE_H
#define SAPOR_DATA_PREPARE_H

#include "recsys/data/data.h"
#include "recsys/prepare.h"

typedef struct ItemInfo { /* the metadata of an item; texts have n 0 where there is none */
    Text title, description, url;
    Text more; /* what MMRec puts between title and description: brand and categories */
    bool found;
    uint8_t text_lack, image_lack; /* Lack */
} ItemInfo;

typedef struct Preparation {
    const PrepareConfig *c;
    Arena *arena;    /* of the result */
    Arena *scratch;  /* rewound by who uses it */
    Ratings r;       /* rows in the order of the sources; after prepare_number only ids that rows have */
    size_t room;     /* of rows */
    int64_t read;    /* rows, with those that are incomplete */
    bool decimal;    /* a rating was written with a point: then all are */
    bool rated;      /* the rows have ratings, or the first source shows whether they do */
    int64_t timed;   /* rows with a time */
    bool *untimed;   /* [room] */
    int64_t entries; /* of metadata */
    ItemInfo *info;  /* [items] by number in r.items at the time of prepare_items; NULL: no metadata and no images */
    TextIndex *all;  /* the items at that time */
    bool *dropped;   /* [items of all] left out for what they lack */
    int32_t *origin; /* [items] the number in `all` of an item */
    int8_t *part;    /* of each row; NULL: no split */
    uint32_t *order; /* of rows in an .inter */
    int32_t *user_number, *item_number; /* NULL: ids are kept; else a permutation */
    PrepareResult result;
} Preparation;

/* ---- record.c -------------------------------------------------------------------------------- */

enum { LONGEST_RECORD = 8 << 20 };
/* A line of an Amazon file, an object: JSON, or a dict as Python prints it. Strings of Python are what Python 3 reads:
 * '\xe9' is U+00E9. Unpaired surrogates become U+FFFD. The tree is in the arena. Bounds: those of json_parse, on at
 * most six bytes for each byte of the line. Errors are "path:line: what". */
const Json *record_parse(Arena *a, Text line, const char *path, size_t number, Error *e);
/* The lines of such a file. `visit` gets a record and may add to the arena it was opened with, not to the record's. */
typedef bool RecordVisit(Preparation *p, const Json *record, const char *path, size_t line, Error *e);
bool records_read(Preparation *p, const char *path, RecordVisit *visit, Error *e);
/* Whether its first line that is not blank begins with {; a file that cannot be read is none. Fails for lack of memory
 * only. */
bool is_records(bool *records, const char *path, const Heap *heap, Error *e);

/* ---- read.c, items.c ------------------------------------------------------------------------- */

bool prepare_read(Preparation *p, Error *e);
/* Reads metadata and the list of images, and says what each item lacks. */
bool prepare_items(Preparation *p, Error *e);
bool metadata_table(Preparation *p, const char *path, Error *e); /* tables.c */
/* Keeps a copy of the texts for the item `id`, where it has interactions and no better entry. */
bool item_note(Preparation *p, Text id, const ItemInfo *found, Error *e);

/* ---- steps.c --------------------------------------------------------------------------------- */

/* Lists a step that left out that many rows. */
bool prepare_note(Preparation *p, const char *name, const char *words, int64_t dropped, Error *e);
/* Leaves out the rows marked in `out`; the step is listed where it is `told` or rows were left out. */
bool prepare_drop(Preparation *p, const bool *out, const char *name, const char *words, bool told, Error *e);
bool prepare_unique(Preparation *p, Error *e);
bool prepare_filter(Preparation *p, Error *e);
bool prepare_core(Preparation *p, Error *e);
bool prepare_number(Preparation *p, Error *e); /* users and items by first appearance in the rows that are left */
bool prepare_split(Preparation *p, Error *e);

/* ---- write.c --------------------------------------------------------------------------------- */

bool prepare_write(Preparation *p, Error *e);

#endif
