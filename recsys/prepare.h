/* recsys/prepare.h: from the files that data sets are published in to interactions, items and splits, as the scripts of
 * Ducho and MMRec do it (recipes.md 3.5). Files that are read and written: docs/formats.md. */
#ifndef SAPOR_PREPARE_H
#define SAPOR_PREPARE_H

#include "recsys/recsys.h"

typedef enum Recipe { RECIPE_NONE, RECIPE_DUCHO, RECIPE_MMREC, RECIPE_COUNT } Recipe;
extern const char *const recipe_names[RECIPE_COUNT];
/* Which rows are duplicates; the first one stays. */
typedef enum Unique {
    UNIQUE_NONE,
    UNIQUE_PAIR,   /* equal user and item */
    UNIQUE_RATING, /* and equal rating: Ducho */
    UNIQUE_TIME,   /* and equal time: MMRec */
    UNIQUE_COUNT
} Unique;
extern const char *const unique_names[UNIQUE_COUNT];
/* Which descriptions and urls count as missing: none; those that are the word nan, NaN, n/a, ...; Ducho's, which
 * contain it anywhere, as "banana" does. */
typedef enum NanRule { NAN_OFF, NAN_WHOLE, NAN_ANYWHERE, NAN_COUNT } NanRule;
extern const char *const nan_names[NAN_COUNT];

/* Why an item has no text or no image. */
typedef enum Lack {
    LACK_NOTHING,
    LACK_METADATA,
    LACK_DESCRIPTION,
    LACK_NAN_DESCRIPTION,
    LACK_URL,
    LACK_NAN_URL,
    LACK_FILE,
    LACK_READABLE,
    LACK_COUNT
} Lack;
extern const char *const lack_names[LACK_COUNT]; /* "no_metadata", ... */
extern const char *const lack_words[LACK_COUNT]; /* for people */

typedef struct PrepareStep { /* what one step left out, and what was there then */
    const char *name, *words;
    int64_t dropped; /* rows */
    int64_t rows, users, items;
} PrepareStep;
typedef struct PrepareResult {
    const char *read_as; /* "Amazon reviews", "tab-separated table", ... */
    PrepareStep step[LACK_COUNT + 8];
    size_t steps;
    int64_t no_text, no_image; /* items of the output */
    bool unfiltered;           /* the recipe leaves out items, but no file says what they lack */
    bool has_parts;
    size_t parts[3];    /* rows of train, validation, test */
    int64_t skipped;    /* broken lines of JSON files */
    const char *broken; /* the message of the first one */
    bool latin1;        /* the items' file is not UTF-8 and was read as Latin-1 */
} PrepareResult;

typedef struct PrepareConfig {
    const char *const *sources; /* read one after the other, as one file */
    size_t source_count;
    const char *meta;   /* items: Amazon metadata, or a table; NULL: none */
    const char *images; /* a folder of <item>.jpg, .png, ...; NULL: none */
    const char *out;    /* the folder that is written */
    bool amazon;        /* the sources are JSON lines; else they are where they begin with { */
    Format format;      /* of tables */
    Layout layout;
    Recipe recipe; /* names of files and columns */
    bool skip_broken;
    Unique unique;
    bool need_text, need_image; /* items without are left out */
    NanRule nan_rule;
    int64_t user_core, item_core; /* rows that each user, each item must have; 0: any number */
    bool number;                  /* ids become numbers from 0 on */
    bool inter;                   /* one MMRec .inter, else TSV */
    bool splits;
    SplitConfig split; /* strategy, shares, seed */
    /* Called now and then while JSON lines are read, with the bytes that were read of all; NULL: not. */
    void (*reading)(void *arg, const char *path, size_t bytes, size_t of);
    /* Whether an image can be read; NULL: every file can. */
    bool (*readable)(const char *path, const Heap *heap);
    void (*visit)(void *arg, const PrepareResult *r); /* called once, after the files are written; NULL: none */
    void *arg;
    const Heap *heap; /* NULL: malloc */
} PrepareConfig;
/* The recipe's settings, from `unique` to `split`. Files, format and seed are not changed. */
void prepare_preset(PrepareConfig *c, Recipe recipe);

/* Time: linear in the files, and sorting of rows where `unique` or a split needs it.
 * Memory: sources that are JSON lines, and Amazon metadata, are read line by line, packed or not. Of an interaction 21
 * bytes are kept (up to 84 in all while the list of records grows, 25 more while duplicates are sought), and the ids
 * once; of metadata the texts of items that have interactions. Tables are in memory as a whole, as for ratings_read. */
bool prepare_files(const PrepareConfig *c, Error *e);

#endif
