/* tools/ducho/extract.h: a Ducho configuration (recipes.md 9.1) as a checked list of extractions. */
#ifndef SAPOR_EXTRACT_H
#define SAPOR_EXTRACT_H

#include "tools/features.h"
#include "base/yaml.h"

typedef enum Fusion { FUSION_NONE, FUSION_SUM, FUSION_CONCAT, FUSION_MUL, FUSION_MEAN } Fusion;

/* One folder of .npy files: one output layer of a model, or the fusion of two. */
typedef struct FeatureFolder {
    const char *layer;        /* its name in the configuration: the last part of `path` */
    unsigned modality;        /* MODALITY_ flags of its features; both flags: fused */
    const char *image, *text; /* the outputs of the model that the folder needs; NULL: the usual one */
    const char *root;         /* dataset_path/output_path */
    const char *path;         /* root/backend/model/layer */
} FeatureFolder;

/* One model of the configuration. All its folders come from one pass over the items. */
typedef struct Extraction {
    const char *where;   /* "file:line:column" of the model in the configuration, for messages */
    const char *name;    /* "visual", "textual" or "visual_textual" */
    const char *source;  /* "items" or "interactions" */
    unsigned modality;   /* the inputs of the model: images, texts, or both */
    const char *backend; /* "torch", "transformers" or "sentence_transformers" */
    const char *model;
    const char *images;        /* a folder of images, or NULL */
    const char *texts;         /* a table of texts, or NULL */
    const char *id_columns[2]; /* columns of the table: the item; for interactions, user and item */
    const char *text_column;
    bool clear_text;
    bool as_ducho; /* compat: ducho */
    Fusion fusion;
    int64_t reshape[2]; /* width, height in pixels; 0: no reshape */
    Resizer resizer;    /* the resizer of an image processor (--resize) */
    int scale;          /* SCALE_ constant for Preset.scale */
    float mean[3], std[3];
    int64_t batch;
    FeatureFolder *folders;
    size_t count;
} Extraction;

/* Reads a configuration and checks it completely before anything runs. Unknown keys, wrong types and missing keys are
 * errors with their line. */
bool extraction_plan(Extraction **list, size_t *count, const Yaml *root, Arena *a, Error *e);
/* Does the same for a file, or for the first .yml or .yaml file of a folder. The overrides of the command line are
 * applied. */
#ifdef HAVE_YAML
bool extract_config(Extraction **list, size_t *count, Context *c, const char *path, Error *e);
#else /* always false, so that the compiler removes the code that uses a configuration */
static inline bool extract_config(Extraction **list, size_t *count, Context *c, const char *path, Error *e)
{
    *list = NULL;
    *count = 0;
    yaml_parse(c->arena, TEXT(""), path, e);
    return false;
}
#endif
/* Measures x on its first *items items with each of the batch sizes [count]: seconds [count] for decoding and encoding,
 * without writing. *items becomes the number of available items if that is lower. */
bool extraction_times(Context *c, const Extraction *x, size_t *items, const int64_t *batches, size_t count,
                      double *seconds, Error *e);

/* Lists the images of x, sorted by file name. The id is the file's name without its last ending; with as_ducho, the
 * name up to its first dot. Messages are printed to `notes`; NULL: no messages. */
bool extraction_images(Input **items, size_t *count, const Extraction *x, FILE *notes, Arena *a, Error *e);
/* Lists the texts of x in the order of the table. If rows have the same id, the first is used. */
bool extraction_texts(Input **items, size_t *count, const Extraction *x, FILE *notes, Arena *a, Error *e);
/* The text of each image: the row with the image's id; with as_ducho, the row at the image's position.
 *
 * - texts [n]: their names are those of the images; `source` is NULL if an image has no text.
 * - alone: rows without an image. */
typedef struct PairedTexts {
    Input *texts, *alone;
    size_t alone_count;
} PairedTexts;
bool extraction_pairs(PairedTexts *p, const Input *images, size_t n, const Extraction *x, FILE *notes, Arena *a,
                      Error *e);

/* Reads the columns `item` and `text` of a table with column names, separated by tabs, commas or semicolons. Quoted
 * fields are read as in pandas. path "-": standard input. Ids must satisfy id_check; duplicates are allowed. For a
 * text that is not UTF-8, input_problem returns a problem. */
bool table_rows(Input **rows, size_t *count, const char *path, const char *item, const char *text, Arena *a, Error *e);
/* Reads the same table, but ids must be valid file names, and a text that is not UTF-8 is an error. */
bool table_read(Input **rows, size_t *count, const char *path, const char *item, const char *text, Arena *a, Error *e);
/* Returns a file name without its folder and its last ending, as os.path.splitext does: "ResNet50" for
 * "./x/ResNet50.pt". */
const char *file_stem(const char *path, Arena *a, Error *e);
/* Applies Ducho's clear_text. *text is replaced by a text in the arena. */
bool clear_text(Text *text, Arena *a, Error *e);

#endif
