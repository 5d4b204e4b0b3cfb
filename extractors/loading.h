/* extractors/loading.h: what architecture files share while they load: names under a prefix, checked shapes, config
 * values. Private to this folder. */
#ifndef SAPOR_LOADING_H
#define SAPOR_LOADING_H

#include "extractors/extractors.h"

/* Loads tensors PREFIX + NAME of a model into an encoder. A failure leaves its line in `error`, and every later call
 * that reads tensors (load_*, output_*) fails too: ask once, at the end. Calls that only look (loader_has, loader_rows,
 * config_*) go on, so check what they return before it is used as a size. */
typedef struct Loader {
    Encoder *encoder;
    const ModelSource *source;
    /* "bert.", "module.", or "": found by loader_start. An encoder may set it, where some tensors have another one. */
    const char *prefix;
    const Json *config;  /* config.json, or a section of it (loader_part); NULL: there is none */
    const char *section; /* the section's name, or NULL */
    Error *error;
} Loader;

/* Whether a tensor is named SUFFIX, or ends in ".SUFFIX"; *prefix (may be NULL) becomes the part before it. */
bool model_has(const ModelSource *s, const char *suffix, Text *prefix);
/* The first length of that tensor, for `matches`; 0 if there is none. */
int64_t model_rows(const ModelSource *s, const char *suffix);
/* Whether config.json states a model_type. Then `matches` is asked only whether the tensors can be of this kind. */
bool model_stated(const ModelSource *s);
/* The prefix is the part before `suffix` in the name of the tensor that ends in it; fails if there is none. */
bool loader_start(Loader *l, Encoder *en, const ModelSource *s, const char *suffix, Error *e);
bool loader_has(const Loader *l, const char *format, ...) PRINTF_LIKE(2, 3);
/* The loader of one tower: its tensors have PREFIX behind l's own, its settings are the object SECTION of config.json
 * ("vision_config"). Where config.json has no such object, every setting is the family's default, as in transformers;
 * a section of another kind is a failure. SECTION NULL: the settings are l's. */
Loader loader_part(Loader *l, const char *section, const char *prefix);

/* Adds an output to the encoder's table; its number, or -1 where no call will ask for it (EncoderOptions.outputs): then
 * what only this output needs is not loaded. It is in the table either way, with the number that output_count had. */
int output_add(Loader *l, Output o);
/* The two usual forms: one row per input; one row per token, or per patch of an image. */
int output_vector(Loader *l, unsigned modality, const char *name, int64_t width);
int output_tokens(Loader *l, unsigned modality, const char *name, int64_t width);
/* A vector that the model itself scales to length 1 (Output.normalized), as CLIP's image_embeds. */
static inline int output_unit(Loader *l, unsigned modality, const char *name, int64_t width)
{
    Output o = {.name = name, .modality = modality, .rows = ROWS_VECTOR, .width = width, .normalized = true};
    return output_add(l, o);
}
/* A node inside a block, by its name: Output.inner. What o.depth says must be set; -1 where no call names it, which is
 * the usual case. */
int output_inner(Loader *l, Output o, const char *format, ...) PRINTF_LIKE(3, 4);
/* Adds names to an output that has been added: several between spaces, or NULL. */
void output_also(Loader *l, int number, const char *names);
/* Hidden states of a transformer: "hidden_states.0" (what the first block reads) to "hidden_states.BLOCKS", and from
 * the end as "hidden_states.-1"; the number of the first. */
int output_add_hidden(Loader *l, unsigned modality, int64_t blocks, int64_t width);
/* How many of `blocks` blocks of a tower are to be loaded: pass_blocks of all the outputs that calls may ask for. For
 * encoders that load their blocks after their outputs (resnet.c); prenorm_load and postnorm_load load all blocks. */
int64_t load_blocks(const Loader *l, int first, int64_t blocks);
/* The first length of a tensor: N of NAME.weight [N, K]; 0 if there is no such tensor. */
int64_t loader_rows(const Loader *l, const char *name);

/* The tensor of that name with that shape, -1 for any length; NULL on failure. */
const Array *load_array(Loader *l, int dims, const int64_t *shape, const char *format, ...) PRINTF_LIKE(4, 5);
/* The same as a tensor: a table of embeddings, a class token. */
Tensor *load_tensor(Loader *l, int dims, const int64_t *shape, const char *format, ...) PRINTF_LIKE(4, 5);
/* The tables of a text tower, NAME.weight: words [V, C], positions [P, C] of which a text's first token has number
 * `first`. They set the tower's vocabulary; first_position and max_tokens. No position for the first token is a
 * failure. */
Tensor *load_words(Loader *l, const char *name);
Tensor *load_positions(Loader *l, int64_t C, int32_t first, const char *name);
/* The only number of a tensor, as a logit scale; 0 on failure. */
float load_number(Loader *l, const char *name);
/* NAME.weight [N, K] and NAME.bias [N]; N -1: any; a width that config.json states is checked to be above 0 and passed
 * as N. n of them (at most 4) stacked along N: a fused QKV.
 * bias false: without biases. */
bool load_linear(Loader *l, Linear *to, int64_t N, int64_t K, bool bias, const char *name);
bool load_stacked(Loader *l, Linear *to, int n, int64_t N, int64_t K, bool bias, const char *const *names);
/* The same of one array of its own name: WEIGHT [N, K], BIAS [N] or NULL. */
bool load_fused(Loader *l, Linear *to, int64_t N, int64_t K, const char *weight, const char *bias);
/* NAME.weight and NAME.bias [C], or .gamma and .beta as old checkpoints have them. An eps outside [0, 1] is a
 * failure. */
bool load_norm(Loader *l, Norm *to, int64_t C, double eps, const char *name);
/* CONV.weight [-1, C / groups, k, k] with the batch norm NORM.weight, .bias, .running_mean, .running_var; norm NULL:
 * with CONV.bias, where there is one. */
bool load_conv(Loader *l, Conv2d *to, int64_t C, const char *conv, const char *norm, double eps, int64_t stride,
               int64_t pad, int64_t groups);
/* The groups of a convolution of C channels: C / the second length of NAME.weight; 1 where that does not divide C. */
int64_t load_groups(const Loader *l, int64_t C, const char *name);
/* A failure where a tensor with this beginning (behind the prefix), in which # stands for a number ("layer#.#."), goes
 * on with another word than PARTS has, which ends in NULL: a layer that this architecture does not have would be left
 * out of the results. */
bool load_only(Loader *l, const char *begin, const char *const *parts);
/* All of these hold the weights as the encoder's options say: packed, as parameters, with adapters (tuning.c). */

/* PREFIX formatted into the encoder's arena; "" on failure. */
const char *load_name(Loader *l, const char *format, ...) PRINTF_LIKE(2, 3);

/* How weights are held (tuning.c). Reads options.train into en->tuning. */
bool tuning_open(Encoder *en, Error *e);
/* After the load: every pattern has matched a weight. */
bool tuning_check(const Encoder *en, const ModelSource *s, Error *e);
/* How arrays and their biases are held; b NULL or with NULL entries. `adapts`: a linear layer, which may have an
 * adapter. */
Hold tuning_hold(const Encoder *en, int n, const Array *const *w, const Array *const *b, bool adapts);

/* config.json, or the loader's section of it: the value of a key, or `fallback` where it is absent; a failure where it
 * is of another kind, and then `fallback`. The number may have any sign. */
int64_t config_i64(Loader *l, const char *key, int64_t fallback);
/* The number of heads, which is not in the tensors: no config.json is a failure. */
int64_t config_heads(Loader *l, const char *key, int64_t fallback);
double config_f64(Loader *l, const char *key, double fallback);
const Json *config_get(const Loader *l, const char *key);            /* NULL where absent or null */
bool config_is(const Loader *l, const char *key, const char *value); /* false where absent or null */
/* A failure at a value: "FOLDER/config.json:3:7: vision_config.image_size: expected WHAT". */
bool config_bad(Loader *l, const Json *value, const char *key, const char *expected);
/* A transformer's layers and heads against the tensors: how many layers they have, and how wide. */
bool config_fits(Loader *l, int64_t layers, int64_t found, int64_t heads, int64_t width);
/* An activation by name ("hidden_act"; what the key is differs between families). */
bool config_act(Loader *l, const char *key, Act fallback, Act *act);

/* A JSON file of the folder, an object or a list, of the given type; NULL without an error if there is no such file. */
const Json *folder_json(const Files *f, const char *name, JsonType type, const char **path, Arena *a, Error *e);
/* What preprocessor_config.json says to Hugging Face's image processors, and `usual` (EncoderKind) where it has no
 * value; false on failure, untouched without the file. */
bool preset_from_folder(Preset *p, const Preset *usual, const Files *folder, Arena *a, Error *e);
/* Reads modules.json and the files it names: pooling, normalise, max_seq_length (0: not stated). Untouched without the
 * file. */
bool modules_from_folder(TextTower *t, const Files *folder, int64_t *max_seq_length, Arena *a, Error *e);
/* Loads the weights of en->text.sentence, for rows of tokens of this width, and sets sentence_width. */
bool sentence_load(Encoder *en, const Files *folder, int64_t width, Error *e);
/* Counts the tokens of a prompt that pooling leaves out. */
bool sentence_prompt(TextTower *t, Arena *a, Error *e);
/* How many tokens at the beginning of a text pooling leaves out in this call: usually none. A text must have more. */
int64_t sentence_left_out(const Call *c);
/* The rows of texts [B, width] by these modules, from rows of tokens. */
Tensor *sentence_rows(Tape *t, const struct Sentence *s, Tensor *x, const Ragged *r, int64_t left_out);
/* Whether images of this size are supported: a side of 1 to 16384 pixels, 16,777,216 in all (published models read up
 * to 1536 x 1536). */
bool image_size_fits(int64_t width, int64_t height);
/* What timm's config.json says of images (pretrained_cfg); untouched where p has a width, or without it. */
bool preset_from_timm(Preset *p, const ModelSource *s, Error *e);
/* A failure where the folder has Python code of its own for the model, unless --arch names an architecture. */
bool custom_code_check(const ModelSource *s, Error *e);
/* ImageNet's mean and standard deviation with a given geometry: torchvision's presets. */
Preset preset_imagenet(int64_t resize, int64_t crop, Filter filter);
/* `usual` of families for whose files transformers has no image processor: 224 x 224, bicubic, without a crop, with
 * ImageNet's mean and deviation. */
extern const Preset preset_224;
/* Sets e->image.preset unless it is set already. */
void encoder_preset(Encoder *en, Preset p);

/* ---- the encoder's files share these --------------------------------------------------------- */

/* What follows an output's name in messages: " for texts" or " for images" where the model has two towers, else "". */
const char *of_tower(const Encoder *en, unsigned modality);
/* "PATH: has no layer NAME; it has ..." */
bool output_unknown(const Encoder *en, unsigned modality, const char *name, Arena *a, Error *e);
/* One pass of a call over a batch; results [call's outputs]. */
bool call_infer(const Call *c, Tape *t, const TextBatch *texts, const ImageBatch *images, Inferred *results, Error *e);

/* ---- batches.c ------------------------------------------------------------------------------- */

/* The reason why input i failed: kept in its status, or without one in e, behind "text 3: " (`what` NULL: behind
 * nothing). False where the call ends. */
bool input_failed(const Results *r, size_t i, const char *what, const Error *why, Error *e);
bool call_goes_on(const Call *c, size_t done, size_t n, Error *e); /* false: cancelled */

/* The rows of an input of a batch, in one output of the call: in the results of the batch, in the caller's memory. */
typedef struct InputRows {
    const float *from;
    float *to;
    size_t count; /* floats */
} InputRows;
typedef struct InputBatch { /* one that was begun */
    Inferred *results;      /* [call's outputs]: with memory for a batch */
    int32_t *offsets;       /* of texts */
    const uint32_t *inputs;
    size_t B;
} InputBatch;
/* The batches of a call: first member of a struct that has what is particular to texts or images. */
typedef struct Batches Batches;
struct Batches {
    const Call *call;
    Tape *tape;
    Results *to;
    const char *what; /* "text" or "image", for messages */
    size_t first;     /* the number in the call of input 0 */
    /* Batch number i is ring[i % slots]; kept: how many have their rows in the caller's memory. On the CPU there is one
     * slot, on other devices the host goes on while they compute. */
    InputBatch *ring, *now;
    size_t slots, begun, kept;
    /* Computes inputs[0 : B] as one batch, into now->results. */
    bool (*infer)(Batches *b, const uint32_t *inputs, size_t B, Error *e);
    /* The rows of input number `input`, which is number i of the batch `now`. */
    InputRows (*rows)(const Batches *b, size_t output, size_t i, uint32_t input);
    /* Called behind each batch, with the end of its inputs; false ends the call. May be NULL. */
    bool (*goes_on)(const Batches *b, const uint32_t *end, Error *e);
};
/* Whether several batches may be begun at once: not on the CPU, the one device of MINIMAL. */
static inline bool batches_overlap(const Batches *b)
{
#ifdef SAPOR_MINIMAL
    (void)b;
    return false;
#else
    return !device_is_host(tape_device(b->tape));
#endif
}
/* Memory for batches of so many inputs and tokens; slots: of how many at most. */
bool batches_room(Batches *b, size_t slots, size_t inputs, size_t tokens, Arena *a, Error *e);
/* Begins a batch, and keeps the rows of the oldest one where no slot is free; on the CPU, computes it and keeps its
 * rows. `inputs` stays until then. Inputs that fail together are tried one by one, as a row does not depend on its
 * neighbours; an input that fails has zeros. Errors and calls of goes_on come in the order of the batches. */
bool batch_run(Batches *b, const uint32_t *inputs, size_t B, Error *e);
/* Keeps the rows of all batches that were begun. After a failure, infer_arrive comes before the memory goes. */
bool batches_end(Batches *b, Error *e);

#endif
