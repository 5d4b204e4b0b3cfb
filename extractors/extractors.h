/* extractors/extractors.h: encodes images and texts into features.
 *
 * A model has one tower or two: for images, for texts. A tower has outputs, and each output has a name. A call (Call)
 * says which outputs it needs and how they are pooled. One forward pass computes all outputs of a call. The features of
 * n texts:
 *
 *     Encoder *en = encoder_open(device, "all-MiniLM-L6-v2", &(EncoderOptions){0}, e);
 *     Call *c = en ? call_new(en, MODALITY_TEXT, &(CallOptions){0}, arena, e) : NULL;
 *     Tape *t = tape_new(device, false, e);
 *     float *rows = c ? NEW(arena, float, n * c->outputs[0].floats, e) : NULL;
 *     bool ok = t && rows && encode_texts(c, t, texts, n, &(Results){.out = &rows}, e);
 *
 * The files:
 *
 * - encoder.c opens a model. model_find.c finds the model, and registry.c lists the architectures, which are in
 *   models/.
 * - loading.c reads tensors and config.json. processors.c, hf_files.c and sentence.c read the other files of a folder.
 * - outputs.c and call.c check the options of a call. texts.c, images.c and batches.c encode.
 * - tuning.c selects the weights that are trained.
 * - loading.h declares what these files share.
 *
 * To add an encoder, write one file in extractors/models/ (it loads tensors by their names, adds outputs, and has a
 * forward function for each tower) and add one line to extractors/registry.c. */
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
/* How the rows of the tokens of an input become one row.
 *
 * - POOL_MODEL: the output's own pooling.
 * - POOL_SENTENCE: the sentence-transformers modules of the folder. A call cannot choose it. */
typedef enum Pooling { POOL_MODEL, POOL_CLS, POOL_MEAN, POOL_MAX, POOL_NONE, POOL_SENTENCE } Pooling;
typedef struct Output {
    const char *name; /* "last_hidden_state" */
    const char *also; /* other names of the output, separated by spaces; or NULL */
    unsigned modality;
    RowKind rows;
    bool inner;    /* a node inside a block: loaded and computed only if EncoderOptions.outputs names it */
    int64_t depth; /* for an inner output: the number of blocks that must run to compute it */
    int64_t width; /* of a vector, or of a token's row; of a map: its channels */
    Pooling pool;  /* what POOL_MODEL means if the rows are tokens: POOL_NONE for images; TextTower.pool for texts */
    /* If a call gets one row per input from this output (a vector, or pooled tokens), the row is scaled to length 1,
     * unless the call states otherwise. */
    bool normalized;
    bool loaded; /* set by output_add and output_also: calls may name the output */
} Output;

/* ---- architectures --------------------------------------------------------------------------- */

/* What an architecture file reads when it checks whether a model is of its kind, and when it loads the model. */
typedef struct ModelSource {
    const char *path, *folder; /* `folder` is NULL for a weights file without a folder */
    const Files *files;        /* of the folder, on disk or in memory */
    const Json *config;        /* config.json, or NULL */
    const Weights *weights;
    const char *arch; /* --arch, or NULL */
} ModelSource;

typedef struct TextBatch { /* the input of a forward function: B texts */
    Ragged ragged;
    const int32_t *ids, *positions; /* host [total] */
} TextBatch;
typedef struct ImageBatch {
    int64_t B, height, width;
    const float *pixels; /* host [B, height, width, 3] */
} ImageBatch;
/* One forward pass through a tower. Either `texts` or `images` is the input. */
typedef struct Pass {
    const TextBatch *texts;
    const ImageBatch *images;
    size_t outputs;
    const Output *table;   /* [outputs]: the encoder's table */
    const bool *requested; /* [outputs]: true: the output is requested */
    Tensor **out;          /* [outputs]: the results of the requested outputs; set by pass_put */
} Pass;
/* Computes the requested outputs and stores them by pass_put:
 *
 * - vectors [B, width];
 * - tokens of texts [total, width]; tokens of images [B T, width], with T tokens per image;
 * - maps [B, h, w, width].
 *
 * The function runs twice; the first run has shapes, but no numbers. Its ops and their shapes must depend on shapes and
 * `requested` only. It may read the ids of texts, to find a token (row_numbers_of_token). Anything computed from
 * ids must be in tape_scratch and enter ops by input_i32. */
typedef void TowerForward(Tape *t, const void *model, Pass *p);
/* Reports whether an output is requested; output -1: false. */
static inline bool pass_requests(const Pass *p, int output)
{
    return output >= 0 && p->requested[output];
}
/* Stores the tensor x as the result of an output; output -1: does nothing. */
static inline void pass_put(Pass *p, int output, Tensor *x)
{
    if (output >= 0)
        p->out[output] = x;
}
/* Returns how many of `blocks` blocks must run. Output first + i is the result of the first i blocks. An inner output
 * states its depth. Every other output needs all blocks. */
int64_t pass_blocks(const Pass *p, int first, int64_t blocks);
/* Returns one row number per text [B], for gather from a batch [total, C] with one row per token. It is the row of the
 * text's first token with this id, or of its first token if no token has the id. With id LARGEST_ID, it is the row of
 * the first token whose id is the largest in the text. */
enum { LARGEST_ID = -1 };
Tensor *row_numbers_of_token(Tape *t, const TextBatch *b, int64_t id);

typedef struct Encoder Encoder;
typedef struct EncoderKind {
    const char *name;  /* "bert": for --arch and `sapor models` */
    const char *about; /* one line that names published models */
    /* What the outputs were compared with, and the largest difference: max|a-b| / max|b| per input, over all outputs
     * (tests/golden/check_full.py, models of full size). */
    const char *checked;
    /* values of model_type in config.json, separated by spaces; NULL: files of this kind state none */
    const char *model_type;
    unsigned modalities; /* the modalities of its towers */
    /* The module classes that a pickled model of this kind may have, separated by spaces. NULL: pickled models are not
     * read as this kind. Other classes are refused, because names and shapes of tensors do not say what a class
     * computes. */
    const char *classes;
    bool narrow;   /* supports types other than float32 */
    bool winograd; /* supports larger tiles for 3 x 3 convolutions (Conv.winograd) */
    /* Names of families, separated by spaces, or NULL. In --arch a size may follow such a name: with
     * "resnet wide_resnet", the kind is chosen for resnet50 and for wide_resnet50_2. */
    const char *families;
    /* For images, else NULL: the defaults of transformers' image processor. They apply if preprocessor_config.json has
     * no value. If "size" in that file is a single number, the number is the short side for FIT_SHORT_SIDE, otherwise
     * width and height. */
    const Preset *usual;
    const Preset *unstated; /* the same for a folder whose config.json states no model_type; NULL: `usual` */
    /* Checks from the names and shapes of the tensors whether weights are of this kind, if config.json states no
     * model_type. Returns the number of facts (names of tensors) that say so; 0: the weights are not of this kind. The
     * kind with the largest number is chosen. Therefore a check may also accept the weights of another kind that has
     * all names of this kind and further names: the other kind then has the larger number. */
    int (*matches)(const ModelSource *s);
    /* Loads the model into e->store and e->model, adds the outputs (output_add), and sets the members of ImageTower,
     * TextTower and Encoder that are marked "set by `load`". */
    bool (*load)(Encoder *e, const ModelSource *s, Error *err);
    TowerForward *forward_text, *forward_image; /* run on e->model; NULL: the kind has no such tower */
} EncoderKind;

/* Which weights of an encoder are trained, and how. The lists are patterns separated by commas or white space. A
 * pattern is a name, or the end of a name after a dot, with * ? [] as in file names. A pattern after ! excludes names
 * again. If several patterns match, the last one decides. "*" selects all weights; "encoder.layer.11.*, pooler.*,
 * !*.key.bias" selects some. A pattern that matches no weight is an error. */
typedef struct TrainOptions {
    const char *weights;  /* names of tensors, such as "encoder.layer.0.output.dense.weight"; NULL: all are frozen */
    const char *adapters; /* names of linear layers with a low-rank adapter, such as "query, value"; NULL: none */
    int64_t rank;         /* of adapters; 0: 8 */
    double alpha;         /* the adapter's part of the result is scaled by alpha / rank; 0: alpha = rank */
    float dropout;        /* dropout rate of the adapter's input */
    /* trained batch norms. true: normalise by the batch and update the running statistics; false: normalise by the
     * running statistics */
    bool batch_norm;
    uint64_t seed;
} TrainOptions;
typedef struct EncoderOptions { /* how a model is opened; zeros are the defaults */
    const char *arch;           /* NULL: found from config.json and the tensors */
    /* The towers that calls will use; the model's other towers are not opened. 0: all towers that can be opened with
     * the files of the folder; at least one must open. If only towers are named that the model does not have, this is
     * the same as 0. */
    unsigned towers;
    /* [output_count]: names of the outputs that calls will use; NULL is the usual output. Weights that only other
     * outputs need are not loaded. output_count 0: all outputs except the inner ones. */
    const char *const *outputs;
    size_t output_count;
    Pack dtype;   /* of weights and products: PACK_F32, _F16, _BF16 or _INT8 */
    int winograd; /* 6: larger tiles for 3 x 3 convolutions, with a larger error (Conv.winograd) */
    /* RESIZE_TORCHVISION: images are resized as by the model's image processor with the torchvision backend (the
     * default of transformers 5). The preset transforms of torchvision's models resize in the same way if their input
     * is a uint8 tensor, not a PIL image. Needs the tower of images. A preset of a call is not changed. */
    Resizer resizer;
    TrainOptions train;
} EncoderOptions;

typedef struct ImageTower {
    const char *missing; /* why the tower is not open, or NULL */
    Preset preset;       /* from the folder (preprocessor_config.json), else set by `load`; width 0: not set */
} ImageTower;
typedef struct TextTower {
    const char *missing;
    Tokenizer *tokenizer;
    Pooling pool;              /* of all outputs that are tokens; from the folder (modules.json), else POOL_MEAN */
    const char *no_pool;       /* why the folder's pooling is not supported, so that a call must choose one; or NULL */
    bool normalize;            /* from the folder: pooled rows are scaled to length 1 */
    struct Sentence *sentence; /* for POOL_SENTENCE: the modules after the tokens (sentence.c); else NULL */
    int64_t sentence_width;    /* floats of a text's row after these modules */
    Text prompt;               /* from the folder: put before each text */
    bool lower;                /* from the folder: texts are made lower-case first */
    /* Set by `load`: */
    int64_t vocabulary; /* the number of token vectors; every id must be below it; 0: not stated */
    /* the most tokens that the model supports, later lowered to the folder's limit; texts are cut to this length */
    int64_t max_tokens;
    /* position of a text's first token: 0 for BERT; 2 for MPNet, because its padding token (1) has position 1 */
    int32_t first_position;
} TextTower;

struct Encoder { /* immutable after encoder_open; shared by threads */
    const EncoderKind *kind;
    const char *path;
    EncoderOptions options;
    unsigned towers; /* the open towers */
    Arena *arena;
    Store *store;
    Weights *weights;
    WeightForm weight_form; /* how weights are stored */
    struct Tuning *tuning;  /* options.train, parsed; NULL: all weights are frozen */
    Output *outputs; /* the outputs of one tower are in the order of `sapor models`; the usual one is the first */
    size_t output_count, output_room;
    const void *model; /* the architecture's own struct, in `arena`; set by `load` */
    /* For a model whose towers have a common space: logits are this number times the products of the usual outputs of
     * images and texts. 0: there is no common space. Set by `load`. */
    double logit_scale;
    ImageTower image;
    TextTower text;
};

/* The list of encoders (registry.c). encoder_kind_at returns NULL if i is out of range. */
size_t encoder_kind_count(void);
const EncoderKind *encoder_kind_at(size_t i);
/* Returns the kind of a model: by --arch, else by config.json's model_type, else by the tensors. NULL on failure. */
const EncoderKind *encoder_kind_of(const ModelSource *s, Arena *a, Error *e);

/* ---- opening --------------------------------------------------------------------------------- */

/* Returns the path of a model. NAME is a path (a folder or a weights file), or is searched for in $SAPOR_MODELS, the
 * hub cache of Hugging Face, and torch's hub checkpoints. In $SAPOR_MODELS and in torch's checkpoints, NAME also
 * matches torchvision's NAME-HASH.pth. The error lists the paths that were tried, and says how to get the model. */
const char *model_find(const char *name, Arena *a, Error *e);
/* Opens the model that model_find finds for NAME. encoder_close must close it. Returns NULL on failure. */
Encoder *encoder_open(const Device *d, const char *name, const EncoderOptions *o, Error *e);
/* Opens a model of a folder on disk or in memory, like encoder_open. What `f` points to must stay valid until
 * encoder_close. */
Encoder *encoder_open_files(const Device *d, const Files *f, const EncoderOptions *o, Error *e);
void encoder_close(Encoder *en);
/* Writes the weights to a safetensors file with the names and shapes of the file that was opened. Trained parameters,
 * and running statistics that training updates, are written in float32, with their present values. Adapters are merged:
 * W + alpha / rank B A. All other tensors are unchanged. PATH may be the file that was opened. */
bool encoder_save(const Encoder *en, const char *path, Error *e);

/* Returns the number of an output of these modalities; -1: there is no such output. name NULL: the first output, which
 * is the usual one. Names are those of torchvision's nodes ("layer4.2.conv3") and of transformers' results:
 * "pooler_output", "hidden_states.2", "hidden_states.-1" (the last); for a model with two towers also
 * "vision_model_output.pooler_output". */
int output_find(const Encoder *en, unsigned modality, const char *name);

/* ---- calls ----------------------------------------------------------------------------------- */

typedef struct OutputOptions { /* one output of a call */
    const char *name;          /* NULL: the modality's usual one */
    Pooling pool;
    int normalize; /* 1: rows of length 1; -1: rows are not scaled; 0: as the model states */
} OutputOptions;
typedef struct CallOptions { /* zeros are the defaults. An option that does not apply is an error. */
    const OutputOptions *outputs;
    size_t output_count;  /* 0: the usual one */
    int64_t max_tokens;   /* texts: a limit below the model's */
    const Preset *preset; /* images: instead of the model's */
    bool keep_size;       /* images: no resize and no crop; each image is encoded in its own size */
    /* images: if above 0, a bicubic resize before that of the preset, as the key `reshape` of Ducho (a toolkit that
     * extracts features) does. Alpha has no effect, because Ducho removes it before this resize. */
    int64_t reshape_width, reshape_height;
} CallOptions;

typedef struct CallOutput { /* an output of a call, checked */
    int number;             /* in the encoder's table */
    Pooling pool;           /* POOL_NONE: nothing is pooled */
    bool normalize;
    /* Floats in the row of an input. For unpooled tokens of a text (`per_token`): floats per token. */
    int64_t floats;
    bool per_token;
    int64_t map[3]; /* c, h, w of a feature map, else zeros */
} CallOutput;
/* A checked call: immutable, shared by threads, valid until its arena is freed or the encoder is closed. */
typedef struct Call {
    const Encoder *encoder;
    unsigned modality;
    CallOutput *outputs;
    size_t count;
    const bool *requested; /* Pass.requested */
    int64_t max_tokens;
    Preset preset;
    bool keep_size;
    bool one_size; /* an output has rows for positions in the image, so all images must have the preset's size */
    int64_t reshape_width, reshape_height;
    /* Called between batches, with the number of finished inputs and the number of all inputs; also while texts are
     * tokenised, with 0 finished. If it returns false, the call ends (SP_CANCELLED). May be NULL. */
    bool (*progress)(void *arg, size_t done, size_t n);
    void *progress_arg;
} Call;
/* Returns a checked call in the arena, with the sizes of its rows; NULL on failure. */
Call *call_new(const Encoder *en, unsigned modality, const CallOptions *o, Arena *a, Error *e);

/* Computes the call's outputs of one batch (`texts` or `images`) as tensors out [the call's outputs]; used for
 * training. On a training tape, gradients flow to the weights and adapters of EncoderOptions.train. An error is kept in
 * the tape. */
void call_forward(Tape *t, const Call *c, const TextBatch *texts, const ImageBatch *images, Tensor **out);

/* The results of a call. If an input fails, its rows are zeros and `status` has the reason. If status is NULL, the
 * first failure ends the call, and the error names the input ("text 3: ..."). */
typedef struct Results {
    float *const *out; /* [the call's outputs]: each receives [n, its floats] */
    Error *status;     /* [n], or NULL */
    size_t refused;    /* accumulates: inputs that could be read, but that the encoder failed on */
    double seconds;    /* accumulates, for images: the time after decoding and resizing */
} Results;
/* For the functions below: each calling thread must use its own inference tape; the threads of the tape's device do the
 * work. */

typedef struct TokenLists { /* text i has ids[start[i]] .. ids[start[i + 1] - 1]; no ids if it failed */
    TokenIds ids;
    size_t n, *start; /* [n + 1] */
    bool *cut; /* [n]: the text was longer than the call's max_tokens, and one end was removed (tokenizer_from_left) */
} TokenLists;
/* Tokenises n texts into the arena. */
bool call_tokenize(const Call *c, Tape *t, const Text *texts, size_t n, TokenLists *out, Results *r, Arena *a,
                   Error *e);
/* Encodes tokenised texts. Unpooled tokens are [start[n], floats]: rows in the order of the ids. */
bool encode_tokens(const Call *c, Tape *t, const TokenLists *tokens, Results *r, Error *e);
/* Tokenises and encodes n texts. Refuses outputs of unpooled tokens, because the caller does not know their number. */
bool encode_texts(const Call *c, Tape *t, const Text *texts, size_t n, Results *r, Error *e);

typedef struct ImageInput { /* a file, the bytes of a file, or pixels */
    const char *path;
    Text bytes;
    Image pixels;
} ImageInput;
/* Encodes n images. */
bool encode_images(const Call *c, Tape *t, const ImageInput *images, size_t n, Results *r, Error *e);
/* Encodes n images by several calls [count], of one encoder or of several. Each call has its results [count]. An image
 * is decoded once for all calls, except for calls with keep_size. */
bool encode_images_all(const Call *const *calls, Results *results, size_t count, Tape *t, const ImageInput *images,
                       size_t n, Error *e);
/* Decodes images with the threads of the tape's device. Each thread holds one image at a time, in its scratch arena,
 * and passes the image to `use`. If decoding or `use` fails, errors [n] has the reason. Returns false only if memory
 * runs out. */
typedef bool ImageUse(void *arg, size_t i, const Image *image, Arena *scratch, Error *e);
bool images_each(Tape *t, const ImageInput *images, size_t n, ImageUse *use, void *arg, Error *errors, Error *e);

#endif
