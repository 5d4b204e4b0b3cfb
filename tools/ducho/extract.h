/* tools/ducho/extract.h: a Ducho configuration (recipes.md 9.1) as a checked list of extractions. */
#ifndef SAPOR_EXTRACT_H
#define SAPOR_EXTRACT_H

#include "tools/features.h"
#include "base/yaml.h"

typedef enum Fusion { FUSION_NONE, FUSION_SUM, FUSION_CONCAT, FUSION_MUL, FUSION_MEAN } Fusion;

/* One folder of .npy files: one output layer of a model, or the fusion of two. */
typedef struct FeatureFolder {
    const char *layer;        /* as the configuration names it: the last part of `path` */
    unsigned modality;        /* of its features; both: fused */
    const char *image, *text; /* the outputs of the model that it needs; NULL: the usual one */
    const char *root;         /* dataset_path/output_path */
    const char *path;         /* root/backend/model/layer */
} FeatureFolder;

/* One model of the configuration. All its folders come from one pass over the items. */
typedef struct Extraction {
    const char *where;   /* "file:line:column" of the model's entry, for messages */
    const char *name;    /* "visual", "textual" or "visual_textual" */
    const char *source;  /* "items" or "interactions" */
    unsigned modality;   /* what it reads: images, texts, or both */
    const char *backend; /* "torch", "transformers" or "sentence_transformers" */
    const char *model;
    const char *images;        /* a folder of images, or NULL */
    const char *texts;         /* a table of texts, or NULL */
    const char *id_columns[2]; /* of the table; items have one, interactions two */
    const char *text_column;
    bool clear_text;
    bool as_ducho; /* compat: ducho */
    Fusion fusion;
    int64_t reshape[2]; /* width, height; 0: none */
    Resizer resizer;    /* of an image processor: --resize */
    int scale;          /* Preset's */
    float mean[3], std[3];
    int64_t batch;
    FeatureFolder *folders;
    size_t count;
} Extraction;

/* Reads and checks everything before anything runs: unknown keys, wrong types and missing ones are errors with their
 * line. */
bool extraction_plan(Extraction **list, size_t *count, const Yaml *root, Arena *a, Error *e);
/* The same from a file, or of a folder from its first .yml file, with the overrides of the command line. */
#ifdef HAVE_YAML
bool extract_config(Extraction **list, size_t *count, Context *c, const char *path, Error *e);
#else /* always false: the compiler then leaves out the code that uses a configuration */
static inline bool extract_config(Extraction **list, size_t *count, Context *c, const char *path, Error *e)
{
    *list = NULL;
    *count = 0;
    yaml_parse(c->arena, TEXT(""), path, e);
    return false;
}
#endif
/* The seconds that x takes for its first *items items with each of the batch sizes [count]: decoded and encoded, but
 * not written. *items becomes the number that there is. */
bool extraction_times(Context *c, const Extraction *x, size_t *items, const int64_t *batches, size_t count,
                      double *seconds, Error *e);

/* The images of x, by file name. The id is the file's name without its last ending; with as_ducho, up to its first
 * dot. */
bool extraction_images(Input **items, size_t *count, const Extraction *x, FILE *notes, Arena *a, Error *e);
/* The texts of x in the order of the table. Of rows with the same id the first counts. */
bool extraction_texts(Input **items, size_t *count, const Extraction *x, FILE *notes, Arena *a, Error *e);
/* The text of each image: the row with its id; with as_ducho, the row at its position. texts [n] have the names of
 * the images; source is NULL where an image has none. `alone`: rows without an image. */
typedef struct PairedTexts {
    Input *texts, *alone;
    size_t alone_count;
} PairedTexts;
bool extraction_pairs(PairedTexts *p, const Input *images, size_t n, const Extraction *x, FILE *notes, Arena *a,
                      Error *e);

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
