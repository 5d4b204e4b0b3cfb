/* recsys/data/prepare/prepare.h: private to this folder: declarations that its files share. */
#ifndef SAPOR_DATA_PREPARE_H
#define SAPOR_DATA_PREPARE_H

#include "recsys/data/data.h"
#include "recsys/prepare.h"

typedef struct ItemInfo { /* the metadata of an item; n of a text is 0 if it is missing */
    Text title, description, url;
    Text more;                     /* MMRec's text between title and description: brand and categories */
    bool found;                    /* the metadata have an entry of the item */
    uint8_t text_lack, image_lack; /* values of Lack */
} ItemInfo;

typedef struct Preparation {
    const PrepareConfig *c;
    Arena *arena;    /* arena of the result */
    Arena *scratch;  /* every function that uses it rewinds it */
    Ratings r;       /* rows in the order of the sources; after prepare_number it contains only ids that rows have */
    size_t room;     /* capacity of the rows */
    int64_t read;    /* number of rows read, including incomplete ones */
    bool decimal;    /* a rating in the sources has a decimal point; then all ratings are written with one */
    bool rated;      /* the rows have ratings; unset until the first source shows it */
    int64_t timed;   /* number of rows with a time */
    bool *untimed;   /* [room] rows without a time */
    int64_t entries; /* number of entries of metadata */
    ItemInfo *info;  /* [items] by the numbers in r.items when prepare_items ran; NULL: no metadata and no images */
    TextIndex *all;  /* the items when prepare_items ran */
    bool *dropped;   /* [items of `all`] left out because text or image is missing; NULL if `info` is NULL */
    int32_t *origin; /* [items] the item's number in `all` */
    int8_t *part;    /* [rows] 0 train, 1 validation, 2 test; NULL: no split */
    uint32_t *order; /* [rows] numbers of the rows in the order in which an .inter has them; NULL: no split */
    /* [users], [items] the numbers that are written, from 0; NULL: ids are written */
    int32_t *user_number, *item_number;
    PrepareResult result;
} Preparation;

/* ---- record.c -------------------------------------------------------------------------------- */

enum { LONGEST_RECORD = 8 << 20 };
/* Parses a line of an Amazon file: an object as JSON, or a dict as Python prints it. Python's strings are read as
 * Python 3 reads them: '\xe9' is U+00E9. Unpaired surrogates become U+FFFD. The tree is in the arena. A dict is first
 * converted to JSON, which has at most six times the bytes of the line. The limits of json_parse apply to the JSON.
 * Errors are "path:line: what". */
const Json *record_parse(Arena *a, Text line, const char *path, size_t number, Error *e);
/* Reads the lines of an Amazon file and calls `visit` for each record. `visit` must not allocate in the arena of the
 * record. */
typedef bool RecordVisit(Preparation *p, const Json *record, const char *path, size_t line, Error *e);
bool records_read(Preparation *p, const char *path, RecordVisit *visit, Error *e);
/* Checks whether the first line that is not blank begins with {. If the file cannot be read, *records is false. The
 * function fails only if memory runs out. */
bool is_records(bool *records, const char *path, const Heap *heap, Error *e);

/* ---- read.c, items.c ------------------------------------------------------------------------- */

bool prepare_read(Preparation *p, Error *e); /* reads the sources into the rows p->r */
/* Reads metadata and the list of images, and records what each item lacks. */
bool prepare_items(Preparation *p, Error *e);
bool metadata_table(Preparation *p, const char *path, Error *e); /* tables.c */
/* Stores a copy of the texts for item `id`, if the item has interactions. Of several entries, the first with a
 * description and a url is used; if there is none, the first. */
bool item_note(Preparation *p, Text id, const ItemInfo *found, Error *e);

/* ---- steps.c --------------------------------------------------------------------------------- */

/* Records a step that left out this number of rows. */
bool prepare_note(Preparation *p, const char *name, const char *words, int64_t dropped, Error *e);
/* Leaves out the rows i with out[i]. The step is recorded if `always` is true, or if rows were left out. */
bool prepare_drop(Preparation *p, const bool *out, const char *name, const char *words, bool always, Error *e);
/* Steps that leave out rows: duplicates; rows of items without text or image; rows outside of the k-core. */
bool prepare_unique(Preparation *p, Error *e);
bool prepare_filter(Preparation *p, Error *e);
bool prepare_core(Preparation *p, Error *e);
bool prepare_number(Preparation *p, Error *e); /* numbers users and items by first appearance in the remaining rows */
bool prepare_split(Preparation *p, Error *e);  /* makes `part`, `order`, `user_number` and `item_number` */

/* ---- write.c --------------------------------------------------------------------------------- */

bool prepare_write(Preparation *p, Error *e); /* writes all files of the output */

#endif
