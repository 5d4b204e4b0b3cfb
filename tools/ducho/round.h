/* tools/ducho/round.h: models of a configuration that run together over the same inputs.
 *
 * The inputs of a round are the images of a folder, with their texts, or the rows of a table. The jobs of a round are
 * models. The targets of a job are the folders of features that it fills. Each image is decoded once for all jobs, and
 * one forward pass computes all targets of a job. */
#ifndef SAPOR_ROUND_H
#define SAPOR_ROUND_H

#include "tools/ducho/extract.h"

typedef struct Shard { /* the items whose number modulo `count` is `index` */
    int64_t index, count;
} Shard;

/* Hashes of an item's input and of its features. */
typedef struct Done {
    uint64_t input, output;
} Done;

typedef struct Job Job;
typedef struct Round Round;

/* A folder of features, and the state of its files (targets.c). */
typedef struct Target {
    const FeatureFolder *x;
    Job *job;
    uint64_t key;         /* a hash of the settings and the model */
    const char *state;    /* ROOT/.sapor/<key>: the manifests of these settings */
    const char *manifest; /* written by this process */
    const char *missing;  /* the list of unreadable items */
    /* folders of the locks: one that all shards of a run share, and one of this shard */
    const char *shared_lock, *shard_lock;
    TextIndex *ids; /* ids of the finished items */
    Done *done;     /* [ids], by the numbers in `ids` */
    size_t room;
    bool *todo;     /* [the round's inputs]: the input must be computed */
    size_t items;   /* of the shard */
    size_t left;    /* items that the run must compute; not reduced while it computes them */
    size_t skipped; /* items with unchanged features */
    size_t made;    /* items that were computed */
    UnreadableList unreadable;
    FolderLock group, lock;
    bool locked;
    double noted;    /* time of the last write of the manifest, as of now_seconds() */
    int image, text; /* indices of the outputs in the job's calls; -1: none */
    int dims;
    int64_t shape[4], floats; /* of one item's features */
} Target;

/* One model of a round. */
struct Job {
    const Extraction *x;
    const char *model; /* its path, or the name of statistics (Statistics) */
    Input *texts;      /* [inputs], or NULL */
    Input *alone;      /* rows of the table without an image */
    size_t alone_count;
    Target *targets;
    size_t count, left;           /* left: the sum over the targets */
    const Statistics *statistics; /* NULL: an encoder */
    Encoder *encoder;
    Call *image_call, *text_call;      /* of the encoder; NULL: not needed */
    size_t image_count, text_count;    /* numbers of different outputs of the two calls */
    float **image_rows, **text_rows;   /* [outputs]: [batch, floats] */
    Error *image_errors, *text_errors; /* [batch] */
    size_t done, refused;              /* inputs that the encoder encoded, and inputs that it refused */
    double seconds;                    /* time in its encoder; for statistics of images, decoding is included */
};

struct Round {
    Context *c;
    Shard shard;
    Arena *arena;
    bool dry;      /* features are computed, but not kept: no folder and no manifest */
    Input *inputs; /* [n]: images (with or without texts), or texts only */
    size_t n;
    uint64_t *hashes;      /* [n]: hashes of the images; NULL: texts only */
    const char **problems; /* [n]: why an image file cannot be read, or NULL */
    Job *jobs;
    size_t count;
    Tape *tape;
    size_t batch;
};

/* ---- targets.c ------------------------------------------------------------------------------- */

/* Computes the hash of a model's files. */
bool model_hash(uint64_t *h, const char *path, Arena *a, Error *e);
/* Sets the paths of a target for this model and these settings. */
bool target_paths(Target *t, uint64_t model, Shard s, Arena *a, Error *e);
/* Locks the folders, reads the manifests and selects the items that must be computed. */
bool target_begin(Target *t, const Round *r, Error *e);
/* Writes the features of input i. */
bool target_write(Target *t, const Round *r, size_t i, const float *row, Error *e);
bool target_manifest(Target *t, const Context *c, Error *e);
/* Writes the list of items that could not be read. If such an item has features from an earlier input, they are
 * removed, because they no longer belong to it. With --strict, *strict becomes an error about these items. */
bool target_missing(Target *t, const Context *c, Arena *a, Error *strict, Error *e);
void target_end(Target *t);
/* Returns the hash of input i as this target reads it. */
uint64_t target_input(const Target *t, const Round *r, size_t i);
/* Writes ROOT/.../LAYER.npy, the features of all finished items in the order of the inputs, and LAYER.ids.txt. If no
 * item is finished, writes nothing and returns true. */
bool target_single(const Target *t, const Round *r, Error *e);

/* ---- round.c --------------------------------------------------------------------------------- */

/* Opens the job's model and finds the shapes of its targets. */
bool job_open(Job *j, Context *c, Arena *a, Error *e);
void job_close(Job *j);
/* Computes the features that the targets do not have yet. */
bool round_run(Round *r, const char *label, Error *e);

#endif
