/* recsys/prepare.h: converts the published files of data sets to interactions, items and splits, as the scripts of
 * Ducho and MMRec do (recipes.md 3.5). docs/formats.md describes the files that are read and written. */
#ifndef SAPOR_PREPARE_H
#define SAPOR_PREPARE_H

#include "recsys/recsys.h"

typedef enum Recipe { RECIPE_NONE, RECIPE_DUCHO, RECIPE_MMREC, RECIPE_COUNT } Recipe;
extern const char *const recipe_names[RECIPE_COUNT];
/* Which rows are duplicates; the first one is kept. */
typedef enum Unique {
    UNIQUE_NONE,
    UNIQUE_PAIR,   /* equal user and item */
    UNIQUE_RATING, /* equal user, item and rating: Ducho */
    UNIQUE_TIME,   /* equal user, item and time: MMRec */
    UNIQUE_COUNT
} Unique;
extern const char *const unique_names[UNIQUE_COUNT];
/* Which descriptions and urls count as missing.
 *
 * - NAN_OFF: none.
 * - NAN_WHOLE: a text that is equal to one of the words nan, NaN, n/a, ...
 * - NAN_ANYWHERE: Ducho's rule: a text that contains one of these words anywhere. "banana" contains "nan". */
typedef enum NanRule { NAN_OFF, NAN_WHOLE, NAN_ANYWHERE, NAN_COUNT } NanRule;
extern const char *const nan_names[NAN_COUNT];

/* The reason why an item has no text or no image. */
typedef enum Lack {
    LACK_NOTHING,
    LACK_METADATA,
    LACK_DESCRIPTION,
    LACK_DESCRIPTION_IS_NAN,
    LACK_URL,
    LACK_URL_IS_NAN,
    LACK_FILE,
    LACK_READABLE_FILE,
    LACK_COUNT
} Lack;
extern const char *const lack_names[LACK_COUNT]; /* "no_metadata", ... */
extern const char *const lack_words[LACK_COUNT]; /* descriptions for people */

/* a step: the number of rows that it left out, and the numbers of rows, users and items that remain after it */
typedef struct PrepareStep {
    const char *name, *words;
    int64_t dropped; /* rows */
    int64_t rows, users, items;
} PrepareStep;
typedef struct PrepareResult {
    const char *read_as; /* "Amazon reviews", "tab-separated table", ... */
    PrepareStep step[LACK_COUNT + 8];
    size_t steps;
    int64_t no_text, no_image; /* items of the output without text, without image */
    /* the recipe leaves out items without text or image, but no file shows which items these are */
    bool unfiltered;
    bool has_parts;
    size_t parts[3];    /* numbers of rows of train, validation, test */
    int64_t skipped;    /* number of malformed lines in JSON files */
    const char *broken; /* message of the first malformed line */
    bool latin1;        /* the file of items is not UTF-8; it was read as Latin-1 */
} PrepareResult;

typedef struct PrepareConfig {
    const char *const *sources; /* the files are read one after the other, as a single file */
    size_t source_count;
    const char *meta;   /* items: Amazon metadata, or a table; NULL: none */
    const char *images; /* a folder of <item>.jpg, .png, ...; NULL: none */
    const char *out;    /* the folder that is written */
    /* the sources are JSON lines. If false, and format and layout are not set, a source whose first character (after
     * blanks) is { has JSON lines */
    bool amazon;
    Format format; /* format of tables */
    Layout layout;
    Recipe recipe; /* sets the names of files and columns */
    bool skip_broken;
    Unique unique;
    bool need_text, need_image; /* leave out items without text, without image */
    NanRule nan_rule;
    int64_t user_core, item_core; /* smallest number of rows per user and per item; 0: any number */
    bool number;                  /* replace ids by numbers from 0 on */
    bool inter;                   /* write a single MMRec .inter instead of TSV files */
    bool splits;
    SplitConfig split; /* strategy, shares, seed */
    /* Called repeatedly while JSON lines are read, with the number of bytes read so far and in total; may be NULL. */
    void (*reading)(void *arg, const char *path, size_t bytes, size_t of);
    /* Reports whether an image can be read; NULL: every file counts as readable. */
    bool (*readable)(const char *path, const Heap *heap);
    void (*visit)(void *arg, const PrepareResult *r); /* called once, after the files are written; or NULL */
    void *arg;
    const Heap *heap; /* NULL: malloc */
} PrepareConfig;
/* Sets the settings of the recipe, from `unique` to `split`. Files, format and seed do not change. */
void prepare_preset(PrepareConfig *c, Recipe recipe);

/* Runs a preparation.
 *
 * Time: linear in the files, plus sorting of rows if `unique` or a split needs it. Memory: JSON lines and Amazon
 * metadata are read line by line, also if gzipped. Each interaction takes 21 bytes (up to 84 in total while the list
 * grows, 25 more while duplicates are searched). Each id is kept once. The texts of metadata are kept only for items
 * with interactions. Tables are in memory as a whole, as with ratings_read. */
bool prepare_files(const PrepareConfig *c, Error *e);

#endif
