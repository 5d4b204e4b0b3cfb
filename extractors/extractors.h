/* extractors/extractors.h: images and texts in, features out.
 *
 * A new encoder is one file in extractors/models/ (loading by tensor names, the forward function, its preprocessing)
 * and one line in extractors/registry.c. */
#ifndef SAPOR_EXTRACTORS_H
#define SAPOR_EXTRACTORS_H

#include "extractors/media/media.h"
#include "nn/nn.h"
#include "tokenizers/tokenizers.h"

/* ---- encoders -------------------------------------------------------------------------------- */

enum { MODALITY_IMAGE = 1, MODALITY_TEXT = 2 };
/* Which weights of an encoder are trained, and how. Lists are patterns between commas: a name, or its end behind a dot,
 * with * ? [] as in file names; after ! a pattern takes names out again, and the last that fits decides. "*" is all
 * weights, "encoder.layer.11.*, pooler.*, !*.key.bias" some. A pattern that no weight fits is an error. */
typedef struct TrainOptions {
    const char *weights;  /* names of tensors, as "encoder.layer.0.output.dense.weight"; NULL: all are frozen */
    const char *adapters; /* names of linear layers with a low-rank adapter, as "query, value"; NULL: none */
    int64_t rank;         /* of adapters; 0: 8 */
    double alpha;         /* 0: the rank; the adapter's part of the result is scaled by alpha / rank */
    float dropout;        /* of the adapter's input */
    uint64_t seed;
} TrainOptions;
typedef enum Pooling { POOL_MODEL, POOL_CLS, POOL_MEAN, POOL_MAX, POOL_NONE } Pooling;
typedef struct EncoderOptions {
    const char *arch;     /* NULL: found from tensors and config */
    Pooling pool;         /* POOL_MODEL: as modules.json or the architecture states */
    int normalize;        /* 0, 1; -1: as the model states */
    const char *layer;    /* which output: "avgpool", "pooler_output", "last_hidden_state", ...; NULL: the model's */
    int64_t max_tokens;   /* 0: the model's */
    const Preset *preset; /* NULL: the model's */
    Pack dtype;           /* of weights and products: PACK_F32, _F16, _BF16 or _INT8 */
    int winograd;         /* 6: wider squares for 3 x 3 convolutions, coarser (Conv.winograd) */
    TrainOptions train;
} EncoderOptions;

/* What an architecture file sees when it is asked whether this is its model, and when it loads. */
typedef struct ModelSource {
    const char *path, *folder; /* folder NULL for a bare weights file */
    const Json *config;        /* config.json, or NULL */
    const Weights *weights;
    const char *arch; /* --arch, or NULL */
} ModelSource;

typedef struct TextBatch { /* what forward sees of B texts */
    Ragged ragged;
    const int32_t *ids, *positions; /* host [total] */
} TextBatch;
typedef struct ImageBatch {
    int64_t B, height, width;
    const float *pixels; /* host [B, height, width, 3] */
} ImageBatch;

typedef struct Encoder Encoder;
typedef struct EncoderKind {
    const char *name;  /* "bert": for --arch and `sapor models` */
    const char *about; /* one line: which published models */
    unsigned modalities;
    bool narrow;   /* supports other types than float32 */
    bool winograd; /* supports wider squares of 3 x 3 convolutions */
    bool (*matches)(const ModelSource *s);
    /* Loads into e->store and e->model; sets the members that struct Encoder lists for it. */
    bool (*load)(Encoder *e, const ModelSource *s, Error *err);
    /* Of e->model and a TextBatch: [total, C] hidden states, pooled afterwards; [B, D] where e->pools. */
    Forward *forward_text;
    /* Of e->model and an ImageBatch: [B, D], or a feature map [B, h, w, c]. */
    Forward *forward_image;
} EncoderKind;

struct Encoder { /* immutable after encoder_open; shared by threads */
    const EncoderKind *kind;
    EncoderOptions options;
    Arena *arena;
    Store *store;
    Weights *weights;
    Tokenizer *tokenizer;
    Hold hold;             /* of frozen weights */
    struct Tuning *tuning; /* options.train, read; NULL: all weights are frozen */
    /* Set by load: */
    const void *model; /* the architecture's own struct, in `arena` */
    int64_t features;  /* D of the output; of a feature map c h w */
    /* c, h, w of a feature map: outputs are then in that order, as torch's; zeros where the output is a vector. */
    int64_t map[3];
    bool pools;         /* forward_text gives [B, D] itself */
    int64_t vocabulary; /* how many tokens have a vector: larger ids are an error; 0: not stated */
    int64_t max_tokens; /* load: the most that the model supports; encoder_open: texts are cut to this length */
    /* of a text's first token: 0 for BERT; 2 for MPNet, whose padding token (1) keeps position 1 */
    int32_t first_position;
    /* Set by load unless the options or the folder's files (preprocessor_config.json, modules.json) state them: */
    Preset preset; /* width 0: not set */
    Pooling pool;  /* POOL_MODEL: not set */
    bool normalize;
};

/* NAME is a path (folder or weights file) or is looked up: in $SAPOR_MODELS, the Hugging Face hub cache, torch's hub
 * checkpoints; in the first and the last also as the beginning of torchvision's NAME-HASH.pth. The error lists the
 * paths that were tried, and says how to get the model. */
const char *model_find(const char *name, Arena *a, Error *e);
Encoder *encoder_open(const Device *d, const char *name, const EncoderOptions *o, Error *e);
void encoder_close(Encoder *en);
/* The weights as a safetensors file with the names and shapes of the file that was opened: parameters as they are now,
 * float32; adapters merged, W + alpha / rank B A; all others unchanged. PATH may be the file that was opened. */
bool encoder_save(const Encoder *en, const char *path, Error *e);
/* Each calling thread uses its own tape (inference). out [n, features] (with POOL_NONE: use encoder_hidden). */
bool encode_texts(const Encoder *en, Tape *t, const Text *texts, size_t n, float *out, Error *e);
bool encode_images(const Encoder *en, Tape *t, const Image *images, size_t n, float *out, Error *e);
/* The same for images that image_fit made with the encoder's preset. */
bool encode_fitted(const Encoder *en, Tape *t, const Image *images, size_t n, float *out, Error *e);
/* One text's hidden states [T, C] (POOL_NONE); *out is in the arena. */
bool encode_hidden(const Encoder *en, Tape *t, Text text, float **out, int64_t *tokens, Arena *a, Error *e);

size_t encoder_kind_count(void);
const EncoderKind *encoder_kind_at(size_t i);

#endif
