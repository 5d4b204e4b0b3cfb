/* tools/ducho/round.h: models of a configuration that run together over the same inputs.
 *
 * A round has inputs: the images of a folder, with the texts that belong to them, or the rows of a table. Its jobs are
 * models; a job has targets, the folders of features that it fills. Each image is decoded once for all jobs, and all
 * targets of a job come from one forward pass. */
#ifndef SAPOR_ROUND_H
#define SAPOR_ROUND_H

#include "tools/ducho/extract.h"

typedef struct Shard { /* every item whose number leaves `index` when divided by `count` */
    int64_t index, count;
} Shard;

/* Hashes of an item's input and of its features. */
typedef struct Done {
    uint64_t input, output;
} Done;

typedef struct Job Job;
typedef struct Round Round;

/* A folder of features and what is known of its files (targets.c). */
typedef struct Target {
    const FeatureFolder *x;
    Job *job;
    uint64_t key;          /* a hash of settings and model */
    const char *state;     /* ROOT/.sapor/<key>: the manifests of these settings */
    const char *manifest;  /* this process's */
    const char *missing;   /* the list of unreadable items */
    const char *all, *own; /* folders of the locks: of every run that writes these features; of this shard */
    TextIndex *ids;        /* of finished items */
    Done *done;            /* by their number */
    size_t room;
    bool *todo;     /* [the round's inputs] */
    size_t items;   /* of the shard */
    size_t left;    /* items to compute */
    size_t skipped; /* items with unchanged features */
    size_t made;    /* items that were computed */
    UnreadableList unreadable;
    FolderLock group, lock;
    bool locked;
    double noted;    /* when the manifest was written */
    int image, text; /* the outputs' numbers in the job's calls */
    int dims;
    int64_t shape[4], floats; /* of an item's features */
} Target;

/* A model at work. */
struct Job {
    const Extraction *x;
    const char *model; /* its path, or the name of statistics */
    Input *texts;      /* [inputs], or NULL */
    Input *alone;      /* rows of the table without an image */
    size_t alone_count;
    Target *targets;
    size_t count, left;           /* left: of all targets */
    const Statistics *statistics; /* NULL: an encoder */
    Encoder *encoder;
    Call *images, *words;              /* of the encoder; NULL: not needed */
    size_t image_count, text_count;    /* their outputs */
    float **image_rows, **text_rows;   /* [outputs]: [batch, floats] */
    Error *image_errors, *text_errors; /* [batch] */
    size_t done, refused;              /* inputs that the encoder did and did not take */
    double seconds;                    /* of its encoder alone */
};

struct Round {
    Context *c;
    Shard shard;
    Arena *arena;
    bool dry;      /* features are computed, but not kept: no folder, no manifest */
    Input *inputs; /* [n]: with images, or with texts alone */
    size_t n;
    uint64_t *hashes;      /* [n] of images; NULL: texts alone */
    const char **problems; /* [n]: why an image's file cannot be read, or NULL */
    Job *jobs;
    size_t count;
    Tape *tape;
    size_t batch;
};

/* ---- targets.c ------------------------------------------------------------------------------- */

/* The hash of a model's files. */
bool model_hash(uint64_t *h, const char *path, Arena *a, Error *e);
/* The paths of a target, of this model and these settings. */
bool target_paths(Target *t, uint64_t model, Shard s, Arena *a, Error *e);
/* Locks the folders, reads the manifests and chooses the items that are still to do. */
bool target_begin(Target *t, const Round *r, Error *e);
/* Writes the features of input i. */
bool target_write(Target *t, const Round *r, size_t i, const float *row, Error *e);
bool target_manifest(Target *t, const Context *c, Error *e);
/* Lists the items that could not be read. Features that such an item has from an earlier input are removed: they are
 * not its own now. With --strict the first of them is in *strict. */
bool target_missing(Target *t, const Context *c, Arena *a, Error *strict, Error *e);
void target_end(Target *t);
/* The hash of input i as this target reads it. */
uint64_t target_input(const Target *t, const Round *r, size_t i);
/* ROOT/.../LAYER.npy with the features of all items, in the order of the inputs, and LAYER.ids.txt. */
bool target_single(const Target *t, const Round *r, Error *e);

/* ---- round.c --------------------------------------------------------------------------------- */

/* Opens the job's model and finds the shapes of its targets. */
bool job_open(Job *j, Context *c, Arena *a, Error *e);
void job_close(Job *j);
/* Computes what the targets still need. */
bool round_run(Round *r, const char *label, Error *e);

#endif
