/* extractors/extractors.h: images and texts in, features out.
 *
 * A model has one or two towers: images, texts. A tower has outputs, each with a name. A call (Call) says which outputs
 * it asks for and how they are pooled; all of them come from one forward pass. The features of n texts:
 *
 *     Encoder *en = encoder_open(device, "all-MiniLM-L6-v2", &(EncoderOptions){0}, e);
 *     Call *c = en ? call_new(en, MODALITY_TEXT, &(CallOptions){0}, arena, e) : NULL;
 *     Tape *t = tape_new(device, false, e);
 *     float *rows = c ? NEW(arena, float, n * c->outputs[0].floats, e) : NULL;
 *     bool ok = t && rows && encode_texts(c, t, texts, n, &(Results){.out = &rows}, e);
 *
 * encoder.c opens a model: model_find.c finds it, registry.c lists the architectures, models/ has them, loading.c reads
 * their tensors and config.json, and processors.c, hf_files.c and sentence.c the other files of a folder. outputs.c and
 * call.c check what is asked for; texts.c, images.c and batches.c encode. tuning.c says which weights are trained. What
 * these files share is in loading.h.
 *
 * A new encoder is one file in extractors/models/ (loading by tensor names, its outputs, a forward function for each
 * tower) and one line in extractors/registry.c. */
#ifndef SAPOR_EXTRACTORS_H
#define SAPOR_EXTRACTORS_H

#include "extractors/media/media.h"
#include "nn/nn.h"
#include "tokenizers/tokenizers.h"

enum { MODALITY_IMAGE = 1, MODALITY_TEXT = 2 };

/* ---- outputs --------------------------------------------------------------------------------- */

typedef enum RowKind {
    ROWS_VECTOR, /* one row per input */
    ROWS_TOKENS, /* one row per token, or per patch of an image; a call may pool them to one row per input */
    ROWS_MAP     /* a feature map; its numbers are in torch's order, [channels, height, width] */
} RowKind;
/* POOL_MODEL: the output's own. POOL_SENTENCE: by the modules of sentence-transformers that the folder has; a call
 * cannot choose it. */
typedef enum Pooling { POOL_MODEL, POOL_CLS, POOL_MEAN, POOL_MAX, POOL_NONE, POOL_SENTENCE } Pooling;
typedef struct Output {
    const char *name; /* "last_hidden_state" */
    const char *also; /* other names for it, between spaces; or NULL */
    unsigned modality;
    RowKind rows;
    bool inner;      /* a node inside a block: loaded and computed only where EncoderOptions.outputs names it */
    int64_t depth;   /* of an inner one: how many blocks must run for it */
    int64_t width;   /* of a vector; of a token's row; channels of a map */
    Pooling pool;    /* what POOL_MODEL is for tokens: POOL_NONE unless the model states one */
    bool normalized; /* where POOL_MODEL and no other wish hold, rows have length 1 */
    bool loaded;     /* set by output_add: calls may ask for it */
} Output;

/* ---- architectures --------------------------------------------------------------------------- */

/* What an architecture file sees when it is asked whether this is its model, and when it loads. */
typedef struct ModelSource {
    const char *path, *folder; /* folder NULL for a bare weights file */
    const Files *files;        /* of the folder, on disk or in memory */
    const Json *config;        /* config.json, or NULL */
    const Weights *weights;
    const char *arch; /* --arch, or NULL */
} ModelSource;

typedef struct TextBatch { /* what a forward function sees of B texts */
    Ragged ragged;
    const int32_t *ids, *positions; /* host [total] */
} TextBatch;
typedef struct ImageBatch {
    int64_t B, height, width;
    const float *pixels; /* host [B, height, width, 3] */
} ImageBatch;
/* One forward pass through a tower. `texts` or `images` is the input. */
typedef struct Pass {
    const TextBatch *texts;
    const ImageBatch *images;
    size_t outputs;
    const Output *table; /* [outputs]: the encoder's */
    const bool *asked;   /* [outputs] */
    Tensor **out;        /* [outputs]: the results of those asked for, by pass_put */
} Pass;
/* Puts the outputs asked for: vectors [B, width]; tokens [total, width] of texts, [B T, width] of images; maps
 * [B, h, w, width]. It runs twice, first without numbers, and its ops and their shapes follow from shapes and `asked`
 * alone. It may read the ids of texts, to find a token (text_rows); what it computes of them is in tape_scratch and
 * reaches ops by input_i32. */
typedef void TowerForward(Tape *t, const void *model, Pass *p);
static inline bool pass_asks(const Pass *p, int output) /* output -1: none */
{
    return output >= 0 && p->asked[output];
}
static inline void pass_put(Pass *p, int output, Tensor *x)
{
    if (output >= 0)
        p->out[output] = x;
}
/* How many of `blocks` blocks must run, where output first + i is what the first i blocks give, an inner output states
 * its depth, and every other output needs all of them. */
int64_t pass_blocks(const Pass *p, int first, int64_t blocks);
/* Rows [B] of a batch [total, C], for gather: of each text the first token with this id, or its first token where it
 * has none. id LARGEST_ID: the first token whose id is the largest. */
enum { LARGEST_ID = -1 };
Tensor *text_rows(Tape *t, const TextBatch *b, int64_t id);

typedef struct Encoder Encoder;
typedef struct EncoderKind {
    const char *name;  /* "bert": for --arch and `sapor models` */
    const char *about; /* one line: which published models */
    /* What its outputs were compared with, and the largest difference: max|a-b| / max|b| of an input, of all outputs
     * (tests/golden/check_full.py at full size). */
    const char *checked;
    const char *model_type; /* config.json's, several between spaces; NULL: files of this kind state none */
    unsigned modalities;    /* of its towers */
    /* Classes of the modules of which a pickled model may be made, between spaces; NULL: pickled models are not read as
     * this kind. A tensor's name and shape do not say what another class does with it. */
    const char *classes;
    bool narrow;       /* supports other types than float32 */
    bool winograd;     /* supports wider squares of 3 x 3 convolutions */
    const char *sized; /* --arch may begin with one of these words: "resnet wide_resnet", as wide_resnet50_2; or NULL */
    /* Of images, else NULL: the defaults of transformers' image processor, which hold where preprocessor_config.json
     * has no value. A single number as its "size" is the short side for FIT_SHORT_SIDE, else width and height. */
    const Preset *usual;
    const Preset *unstated; /* the same for a folder whose config.json states no model_type; NULL: usual */
    /* Whether weights whose config.json states no model_type are of this kind, by their tensors: how many facts say so,
     * as names that they have; 0: they are not. The kind with the largest number is chosen, so that a kind need not
     * know those that have its names and others. */
    int (*matches)(const ModelSource *s);
    /* Loads into e->store and e->model, adds the outputs (output_add), sets the members of the towers that struct
     * Encoder lists for it. */
    bool (*load)(Encoder *e, const ModelSource *s, Error *err);
    TowerForward *forward_text, *forward_image; /* of e->model; NULL: no such tower */
} EncoderKind;

/* Which weights of an encoder are trained, and how. Lists are patterns between commas: a name, or its end behind a dot,
 * with * ? [] as in file names; after ! a pattern takes names out again, and the last that fits decides. "*" is all
 * weights, "encoder.layer.11.*, pooler.*, !*.key.bias" some. A pattern that no weight fits is an error. */
typedef struct TrainOptions {
    const char *weights;  /* names of tensors, as "encoder.layer.0.output.dense.weight"; NULL: all are frozen */
    const char *adapters; /* names of linear layers with a low-rank adapter, as "query, value"; NULL: none */
    int64_t rank;         /* of adapters; 0: 8 */
    double alpha;         /* 0: the rank; the adapter's part of the result is scaled by alpha / rank */
    float dropout;        /* of the adapter's input */
    bool batch_norm; /* trained batch norms: by the batch, moving their running numbers; false: by the running ones */
    uint64_t seed;
} TrainOptions;
typedef struct EncoderOptions { /* how a model is opened; zeros are the defaults */
    const char *arch;           /* NULL: found from config.json and tensors */
    /* Which towers calls will use; the others are not opened. 0: all that the folder has the files for, at least one.
     * Of a model that has none of these towers, all are opened. */
    unsigned towers;
    /* [output_count]: names of the outputs that calls will ask for, NULL for the usual one; weights that only other
     * outputs need are not loaded. output_count 0: all but the inner ones. */
    const char *const *outputs;
    size_t output_count;
    Pack dtype;   /* of weights and products: PACK_F32, _F16, _BF16 or _INT8 */
    int winograd; /* 6: wider squares for 3 x 3 convolutions, coarser (Conv.winograd) */
    /* RESIZE_TORCHVISION: images as the model's image processor on torchvision, the default of transformers 5, or
     * torchvision's preset of a tensor; needs the tower of images. A call's own preset is not changed. */
    Resizer resizer;
    TrainOptions train;
} EncoderOptions;

typedef struct ImageTower {
    const char *missing; /* why the tower is not open, or NULL */
    Preset preset;       /* of the folder (preprocessor_config.json), else set by load; width 0: not set */
} ImageTower;
typedef struct TextTower {
    const char *missing;
    Tokenizer *tokenizer;
    Pooling pool;              /* of the folder (modules.json), else POOL_MEAN: for all outputs that are tokens */
    const char *no_pool;       /* why the folder's is not supported, so that a call must choose one; or NULL */
    bool normalize;            /* of the folder: pooled rows are scaled to length 1 */
    struct Sentence *sentence; /* of POOL_SENTENCE: the modules behind the tokens (sentence.c); else NULL */
    int64_t sentence_width;    /* floats of a text's row behind these modules */
    Text prompt;               /* of the folder: put before each text */
    bool lower;                /* of the folder: texts are made lower-case first */
    /* Set by load: */
    int64_t vocabulary; /* how many tokens have a vector: larger ids are an error; 0: not stated */
    int64_t max_tokens; /* the most that the model supports; then: texts are cut to this length */
    /* of a text's first token: 0 for BERT; 2 for MPNet, whose padding token (1) keeps position 1 */
    int32_t first_position;
} TextTower;

struct Encoder { /* immutable after encoder_open; shared by threads */
    const EncoderKind *kind;
    const char *path;
    EncoderOptions options;
    unsigned towers; /* those that are open */
    Arena *arena;
    Store *store;
    Weights *weights;
    Hold hold;             /* of frozen weights */
    struct Tuning *tuning; /* options.train, read; NULL: all weights are frozen */
    Output *outputs;       /* those of one tower are in the order of `sapor models`; its usual one is the first */
    size_t output_count, output_room;
    const void *model; /* the architecture's own struct, in `arena`; set by load */
    /* Of a model whose towers have a common space: what the products of its usual outputs, images' and texts', are
     * multiplied by for logits. 0: it has none. Set by load. */
    double logit_scale;
    ImageTower image;
    TextTower text;
};

size_t encoder_kind_count(void);
const EncoderKind *encoder_kind_at(size_t i);
/* The kind of a model: by --arch, else by config.json's model_type, else by tensors. */
const EncoderKind *encoder_kind_of(const ModelSource *s, Arena *a, Error *e);

/* ---- opening --------------------------------------------------------------------------------- */

/* NAME is a path (folder or weights file) or is looked up: in $SAPOR_MODELS, the Hugging Face hub cache, torch's hub
 * checkpoints; in the first and the last also as the beginning of torchvision's NAME-HASH.pth. The error lists the
 * paths that were tried, and says how to get the model. */
const char *model_find(const char *name, Arena *a, Error *e);
Encoder *encoder_open(const Device *d, const char *name, const EncoderOptions *o, Error *e);
/* Of a folder on disk or in memory: what it points to is kept until the close. */
Encoder *encoder_open_files(const Device *d, const Files *f, const EncoderOptions *o, Error *e);
void encoder_close(Encoder *en);
/* The weights as a safetensors file with the names and shapes of the file that was opened: parameters as they are now,
 * float32; adapters merged, W + alpha / rank B A; all others unchanged. PATH may be the file that was opened. */
bool encoder_save(const Encoder *en, const char *path, Error *e);

/* The number of an output of these modalities; name NULL: the first, the usual one. -1: there is no such output. Names
 * are those of torchvision's nodes ("layer4.2.conv3") and of transformers' results: "pooler_output", "hidden_states.2",
 * "hidden_states.-1" (the last), of a model with two towers also "vision_model_output.pooler_output". */
int output_find(const Encoder *en, unsigned modality, const char *name);

/* ---- calls ----------------------------------------------------------------------------------- */

typedef struct OutputOptions { /* one output of a call */
    const char *name;          /* NULL: the modality's usual one */
    Pooling pool;
    int normalize; /* 1: rows of length 1; -1: not; 0: as the model states */
} OutputOptions;
typedef struct CallOptions { /* zeros are the defaults. An option that does not apply is an error. */
    const OutputOptions *outputs;
    size_t output_count;  /* 0: the usual one */
    int64_t max_tokens;   /* texts: a limit below the model's */
    const Preset *preset; /* images: instead of the model's */
    bool keep_size;       /* images: no resize and no crop; each is encoded with its own size */
    /* images: > 0: a bicubic resize before the preset's; alpha has no effect, as Ducho drops it before this */
    int64_t reshape_width, reshape_height;
} CallOptions;

typedef struct CallOutput { /* an output that a call asks for, checked */
    int number;             /* in the encoder's table */
    Pooling pool;           /* POOL_NONE where nothing is pooled */
    bool normalize;
    /* How many floats an input's row has; of unpooled tokens of a text: one token's (`per_token`). */
    int64_t floats;
    bool per_token;
    int64_t map[3]; /* c, h, w of a feature map, else zeros */
} CallOutput;
typedef struct Call { /* checked; immutable, shared by threads; valid until its arena is freed or the encoder closed */
    const Encoder *encoder;
    unsigned modality;
    CallOutput *outputs;
    size_t count;
    const bool *asked; /* Pass.asked */
    int64_t max_tokens;
    Preset preset;
    bool keep_size;
    bool one_size; /* an output has rows of places of an image: all images have the preset's size */
    int64_t reshape_width, reshape_height;
    /* Called between batches, and with 0 while texts are tokenised, with the number of inputs that are done and of all;
     * false ends the call (SP_CANCELLED). May be NULL. */
    bool (*progress)(void *arg, size_t done, size_t n);
    void *progress_arg;
} Call;
/* Checks the options and finds the sizes of the rows. */
Call *call_new(const Encoder *en, unsigned modality, const CallOptions *o, Arena *a, Error *e);

/* The call's outputs of a batch, `texts` or `images`, as tensors out [the call's outputs]: for training. On a training
 * tape gradients flow to the weights and adapters of EncoderOptions.train. The tape says whether it failed. */
void call_forward(Tape *t, const Call *c, const TextBatch *texts, const ImageBatch *images, Tensor **out);

/* What a call gives. An input that fails leaves zeros in its rows and its reason in `status`; with status NULL the
 * first one ends the call, with its number in the line ("text 3: ..."). */
typedef struct Results {
    float *const *out; /* [the call's outputs]: each receives [n, its floats] */
    Error *status;     /* [n], or NULL */
    size_t refused;    /* adds up: inputs that could be read, but that the encoder failed on */
    double seconds;    /* adds up, of images: the time after decoding and resizing */
} Results;
/* Each calling thread uses a tape of its own (inference); the threads of the tape's device do the work. */

typedef struct TokenLists { /* text i owns ids[start[i]] .. ids[start[i + 1] - 1]: none, if it failed */
    TokenIds ids;
    size_t n, *start; /* [n + 1] */
    bool *cut;        /* [n]: the text is longer than the call's max_tokens, its end was left out */
} TokenLists;
/* In the arena. */
bool call_tokenize(const Call *c, Tape *t, const Text *texts, size_t n, TokenLists *out, Results *r, Arena *a,
                   Error *e);
/* Unpooled tokens are [start[n], floats]: rows in the order of the ids. */
bool encode_tokens(const Call *c, Tape *t, const TokenLists *tokens, Results *r, Error *e);
/* Both at once; not for unpooled tokens, whose number the caller does not know. */
bool encode_texts(const Call *c, Tape *t, const Text *texts, size_t n, Results *r, Error *e);

typedef struct ImageInput { /* a file, the bytes of a file, or pixels */
    const char *path;
    Text bytes;
    Image pixels;
} ImageInput;
bool encode_images(const Call *c, Tape *t, const ImageInput *images, size_t n, Results *r, Error *e);
/* The same for several calls [count], of one encoder or of several, each with its results [count]: an image is decoded
 * once for all of them, except for those with keep_size. */
bool encode_images_all(const Call *const *calls, Results *results, size_t count, Tape *t, const ImageInput *images,
                       size_t n, Error *e);
/* Decodes images by the threads of the tape's device: each holds one image at a time, in its scratch arena, and gives
 * it to `use`. A failure of either leaves its reason in errors [n]. False only when out of memory. */
typedef bool ImageUse(void *arg, size_t i, const Image *image, Arena *scratch, Error *e);
bool images_each(Tape *t, const ImageInput *images, size_t n, ImageUse *use, void *arg, Error *errors, Error *e);

#endif
