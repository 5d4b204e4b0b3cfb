/* tools/ducho/extract.h: a Ducho configuration (recipes.md 9.1) as a checked list of extractions. */
#ifndef SAPOR_EXTRACT_H
#define SAPOR_EXTRACT_H

#include "tools/features.h"
#include "base/yaml.h"

/* One extraction: one model, one output layer, one folder of .npy files. */
typedef struct Extraction {
    const char *where; /* "file:line:column" of the model's entry, for messages */
    unsigned modality;
    const char *backend; /* "torch", "transformers" or "sentence_transformers" */
    const char *model, *layer;
    const char *input;  /* folder of images, or a table of texts */
    const char *output; /* dataset_path/output_path */
    const char *folder; /* output/backend/model/layer */
    const char *item_column, *text_column;
    bool clear_text;
    int64_t reshape[2]; /* width, height; 0: none */
    int scale;          /* Preset's */
    float mean[3], std[3];
    int64_t batch;
} Extraction;

/* Reads and checks everything before anything runs: unknown keys, wrong types and missing ones are errors with their
 * line. */
bool extraction_plan(Extraction **list, size_t *count, const Yaml *root, Arena *a, Error *e);
/* The items of one extraction in order: images by file name, texts by row. Of rows with the same id the first
 * counts. */
bool extraction_items(Input **items, size_t *count, const Extraction *x, FILE *notes, Arena *a, Error *e);
/* The columns `item` and `text` of a table with a header, between tabs, commas or semicolons; fields in double quotes
 * as pandas reads them. path "-": standard input. Ids keep the rule of id_check; one may come twice. A text that is not
 * UTF-8 is the row's `problem`. */
bool table_rows(Input **rows, size_t *count, const char *path, const char *item, const char *text, Arena *a, Error *e);
/* The same, but ids must be names of files, and a text that is not UTF-8 is an error. */
bool table_read(Input **rows, size_t *count, const char *path, const char *item, const char *text, Arena *a, Error *e);
/* A file name without its folder and its last ending: "ResNet50" of "./x/ResNet50.pt", as os.path.splitext. */
const char *file_stem(const char *path, Arena *a, Error *e);
/* Ducho's clear_text; *text is replaced by one in the arena. */
bool clear_text(Text *text, Arena *a, Error *e);

#endif
