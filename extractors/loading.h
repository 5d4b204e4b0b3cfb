/* extractors/loading.h: what architecture files share while they load: names with a prefix, checked shapes, values of
 * config.json. Private to this folder. */
#ifndef SAPOR_LOADING_H
#define SAPOR_LOADING_H

#include "extractors/extractors.h"

/* Loads the tensors PREFIX + NAME of a model into an encoder. A failure is kept in `error`, and every later call that
 * reads tensors (load_*, output_*) fails too. Therefore one check at the end is enough. Calls that only look up
 * (loader_has, loader_rows, config_*) do not stop after a failure: check what they return before it is used as a size.
 */
typedef struct Loader {
    Encoder *encoder;
    const ModelSource *source;
    /* "bert.", "module.", or "": found by loader_start. An encoder may set another prefix for some of its tensors. */
    const char *prefix;
    const Json *config;  /* config.json, or a section of it (loader_part); NULL: there is none */
    const char *section; /* the section's name, or NULL */
    Error *error;
} Loader;

/* Reports whether a tensor is named SUFFIX, or its name ends in ".SUFFIX". *prefix (may be NULL) becomes the part
 * before the suffix. */
bool model_has(const ModelSource *s, const char *suffix, Text *prefix);
/* Returns the first dimension of that tensor; 0 if there is no such tensor. For `matches`. */
int64_t model_rows(const ModelSource *s, const char *suffix);
/* Reports whether config.json states a model_type. Then `matches` only checks whether the tensors can be of this kind.
 */
bool model_stated(const ModelSource *s);
/* Begins a load. The prefix is the part before `suffix` in the name of the tensor that ends in it. Fails if there is no
 * such tensor. */
bool loader_start(Loader *l, Encoder *en, const ModelSource *s, const char *suffix, Error *e);
/* Reports whether there is a tensor with the loader's prefix and this name. */
bool loader_has(const Loader *l, const char *format, ...) PRINTF_LIKE(2, 3);
/* Returns the loader of one tower. Its tensors have PREFIX after the prefix of `l`; its settings are the object SECTION
 * of config.json ("vision_config"). If config.json has no such section, every setting is the family's default, as in
 * transformers. A section that is not an object is a failure. SECTION NULL: the settings of `l`. */
Loader loader_part(Loader *l, const char *section, const char *prefix);

/* Adds an output to the end of the encoder's table. Returns its index in the table, or -1 if no call will use it
 * (EncoderOptions.outputs). On -1 the output is in the table too, but the encoder does not load what only this output
 * needs. Returns -1 on an error too. */
int output_add(Loader *l, Output o);
/* Add outputs of the two usual forms: one row per input; one row per token, or per patch of an image. */
int output_vector(Loader *l, unsigned modality, const char *name, int64_t width);
int output_tokens(Loader *l, unsigned modality, const char *name, int64_t width);
/* Adds a vector that the model itself scales to length 1 (Output.normalized), such as CLIP's image_embeds. */
static inline int output_unit(Loader *l, unsigned modality, const char *name, int64_t width)
{
    Output o = {.name = name, .modality = modality, .rows = ROWS_VECTOR, .width = width, .normalized = true};
    return output_add(l, o);
}
/* Adds a node inside a block (Output.inner) under the name that `format` gives; o.depth must be set. Usually returns
 * -1, because no call names the node. */
int output_inner(Loader *l, Output o, const char *format, ...) PRINTF_LIKE(3, 4);
/* Adds other names to output `number`. `names`: names separated by spaces, or NULL for none. */
void output_also(Loader *l, int number, const char *names);
/* Adds the hidden states of a transformer: "hidden_states.0" (the input of the first block) to "hidden_states.BLOCKS",
 * also counted from the end, as "hidden_states.-1". Returns the index of the first. */
int output_add_hidden(Loader *l, unsigned modality, int64_t blocks, int64_t width);
/* Returns how many of `blocks` blocks of a tower must be loaded: pass_blocks over all outputs that calls may use. Only
 * for encoders that add their outputs before they load their blocks (resnet.c, efficientnet.c, efficientnet_hf.c).
 * prenorm_load and postnorm_load load all blocks. */
int64_t load_blocks(const Loader *l, int first, int64_t blocks);
/* Returns the first dimension of a tensor: N of NAME.weight [N, K]; 0 if there is no such tensor. */
int64_t loader_rows(const Loader *l, const char *name);

/* Returns the tensor with that name and shape; -1 in the shape means any length. NULL on failure. */
const Array *load_array(Loader *l, int dims, const int64_t *shape, const char *format, ...) PRINTF_LIKE(4, 5);
/* Loads the same as a tensor, for a table of embeddings or a class token. NULL on failure. */
Tensor *load_tensor(Loader *l, int dims, const int64_t *shape, const char *format, ...) PRINTF_LIKE(4, 5);
/* Load the tables of a text tower, NAME.weight: words [V, C], and positions [P, C], in which the first token of a text
 * has number `first`. load_words sets the tower's vocabulary; load_positions sets first_position and max_tokens. A
 * table without a position for the first token is a failure. */
Tensor *load_words(Loader *l, const char *name);
Tensor *load_positions(Loader *l, int64_t C, int32_t first, const char *name);
/* Returns the only number of a tensor, such as a logit scale; 0 on failure. */
float load_number(Loader *l, const char *name);
/* Load NAME.weight [N, K] and NAME.bias [N]; bias false: no biases. N = -1 means any N. A width that config.json states
 * must be checked to be above 0 before it is passed as N. load_stacked stacks n such layers (at most 4) along N: a
 * fused QKV. */
bool load_linear(Loader *l, Linear *to, int64_t N, int64_t K, bool bias, const char *name);
bool load_stacked(Loader *l, Linear *to, int n, int64_t N, int64_t K, bool bias, const char *const *names);
/* Loads the same from arrays with whole names: WEIGHT [N, K], BIAS [N] or NULL. */
bool load_fused(Loader *l, Linear *to, int64_t N, int64_t K, const char *weight, const char *bias);
/* Loads NAME.weight and NAME.bias [C], or .gamma and .beta as in old checkpoints. An eps outside [0, 1] is a failure.
 */
bool load_norm(Loader *l, Norm *to, int64_t C, double eps, const char *name);
/* Loads CONV.weight [-1, C / groups, k, k] with the batch norm NORM.weight, .bias, .running_mean, .running_var. If norm
 * is NULL, loads CONV.bias if the file has it. */
bool load_conv(Loader *l, Conv2d *to, int64_t C, const char *conv, const char *norm, double eps, int64_t stride,
               int64_t pad, int64_t groups);
/* Returns the number of groups of a convolution of C channels: C / the second dimension of NAME.weight; 1 if that does
 * not divide C. */
int64_t load_groups(const Loader *l, int64_t C, const char *name);
/* Fails if the model has a layer that this architecture does not compute, because the results would be wrong. Checks
 * each tensor whose name (after the prefix) begins with `begin`; # in `begin` is a number ("layer#.#."). The next word
 * of the name must be in `parts`, which ends in NULL. */
bool load_only(Loader *l, const char *begin, const char *const *parts);
/* All load_* functions above store the weights as the encoder's options state: packed, as parameters, with adapters
 * (tuning.c). */

/* Returns the formatted name, without the loader's prefix, in the encoder's arena; "" on failure. */
const char *load_name(Loader *l, const char *format, ...) PRINTF_LIKE(2, 3);

/* How weights are stored (tuning.c). tuning_open parses options.train into en->tuning. */
bool tuning_open(Encoder *en, Error *e);
/* Checks after the load that every pattern has matched a weight. */
bool tuning_check(const Encoder *en, const ModelSource *s, Error *e);
/* Returns how n arrays w and their biases b are stored. Entries of w and b may be NULL, and so may b. `adapts`: the
 * arrays belong to a linear layer, which may have an adapter. */
WeightForm tuning_weight_form(const Encoder *en, int n, const Array *const *w, const Array *const *b, bool adapts);

/* Returns the value of a key in config.json, or in the loader's section of it; `fallback` if the key is absent. A value
 * of another type is a failure and also returns `fallback`. The number may have any sign. */
int64_t config_i64(Loader *l, const char *key, int64_t fallback);
/* Returns the number of heads. The tensors do not show it, so a missing config.json is a failure. */
int64_t config_heads(Loader *l, const char *key, int64_t fallback);
double config_f64(Loader *l, const char *key, double fallback);
const Json *config_get(const Loader *l, const char *key);            /* NULL if absent or null */
bool config_is(const Loader *l, const char *key, const char *value); /* false if absent or null */
/* Fails with the place of a value: "FOLDER/config.json:3:7: vision_config.image_size: expected WHAT". */
bool config_bad(Loader *l, const Json *value, const char *key, const char *expected);
/* Checks a transformer's layers and heads in config.json against the tensors: `found` layers of this width. */
bool config_fits(Loader *l, int64_t layers, int64_t found, int64_t heads, int64_t width);
/* Reads an activation by its name; the key differs between families ("hidden_act"). */
bool config_act(Loader *l, const char *key, Act fallback, Act *act);

/* Returns a JSON file of the folder, an object or a list as `type` says. NULL without an error if there is no such
 * file. */
const Json *folder_json(const Files *f, const char *name, JsonType type, const char **path, Arena *a, Error *e);
/* Reads preprocessor_config.json into *p, as Hugging Face's image processors do. Values that the file does not have are
 * taken from `usual` (EncoderKind). Without the file, *p is unchanged. False on failure. */
bool preset_from_folder(Preset *p, const Preset *usual, const Files *folder, Arena *a, Error *e);
/* Reads modules.json and the files it names into *t: pooling, normalisation, the prompt; also max_seq_length (0: not
 * stated). Without the file, *t is unchanged. */
bool modules_from_folder(TextTower *t, const Files *folder, int64_t *max_seq_length, Arena *a, Error *e);
/* Loads the weights of en->text.sentence for token rows of this width, and sets sentence_width. */
bool sentence_load(Encoder *en, const Files *folder, int64_t width, Error *e);
/* If pooling leaves out the prompt of the folder, counts the prompt's tokens, for sentence_left_out. */
bool sentence_prompt(TextTower *t, Arena *a, Error *e);
/* Returns the number of tokens at the beginning of each text that this call's pooling leaves out: those of the prompt,
 * without a special token at its end; usually 0. A text must have more tokens than that. */
int64_t sentence_left_out(const Call *c);
/* Applies the modules of `s` to the rows x of tokens, without the first `left_out` tokens of each text. Returns the
 * rows of the texts [B, width]; NULL on failure. */
Tensor *sentence_rows(Tape *t, const struct Sentence *s, Tensor *x, const Ragged *r, int64_t left_out);
/* Reports whether images of this size are supported: each side 1 to 16384 pixels, 16,777,216 pixels in all (published
 * models read up to 1536 x 1536). */
bool image_size_fits(int64_t width, int64_t height);
/* Reads the pretrained_cfg of timm's config.json into *p. *p is unchanged if it already has a width, or if there is no
 * pretrained_cfg. */
bool preset_from_timm(Preset *p, const ModelSource *s, Error *e);
/* Fails if the folder has its own Python code for the model, unless --arch names an architecture. */
bool custom_code_check(const ModelSource *s, Error *e);
/* Returns torchvision's preset of this geometry, with ImageNet's mean and standard deviation. */
Preset preset_imagenet(int64_t resize, int64_t crop, Filter filter);
/* `usual` of families without an image processor in transformers: 224 x 224, bicubic, no crop, ImageNet's mean and
 * standard deviation. */
extern const Preset preset_224;
/* Sets e->image.preset unless it is already set. */
void encoder_preset(Encoder *en, Preset p);

/* ---- the encoder's files share these --------------------------------------------------------- */

/* Returns what follows an output's name in messages: " for texts" or " for images" if the model has two towers, else
 * "". */
const char *of_tower(const Encoder *en, unsigned modality);
/* Fails with "PATH: has no layer NAME; it has ...". */
bool output_unknown(const Encoder *en, unsigned modality, const char *name, Arena *a, Error *e);
/* Runs one pass of a call over a batch; results [the call's outputs]. */
bool call_infer(const Call *c, Tape *t, const TextBatch *texts, const ImageBatch *images, Inferred *results, Error *e);

/* ---- batches.c ------------------------------------------------------------------------------- */

/* Records why input i failed. If the call has `status`, the reason is written to status[i]. Without `status`, or if
 * memory ran out, e gets the reason after a prefix such as "text 3: " (`what` NULL: no prefix). Returns false if the
 * call ends. */
bool input_failed(const Results *r, size_t i, const char *what, const Error *why, Error *e);
bool call_goes_on(const Call *c, size_t done, size_t n, Error *e); /* false: cancelled */

/* The rows of one input of a batch, in one output of the call: where they are in the batch's results, and where they
 * are copied to in the caller's memory. */
typedef struct InputRows {
    const float *from;
    float *to;
    size_t count; /* floats */
} InputRows;
typedef struct InputBatch { /* a batch that was begun */
    Inferred *results;      /* [call's outputs]: with memory for a batch */
    int32_t *offsets;       /* of texts */
    const uint32_t *inputs;
    size_t B;
} InputBatch;
/* The batches of a call: the first member of a struct with what is specific to texts or to images. */
typedef struct Batches Batches;
struct Batches {
    const Call *call;
    Tape *tape;
    Results *to;
    const char *what; /* "text" or "image", for messages */
    /* Input i of this struct is input first + i of the call. The inputs of this struct may be a part of the call's. */
    size_t first;
    /* Batch i is ring[i % slots]. `begun` counts the batches that were begun. `kept` counts the batches whose rows were
     * copied to the caller's memory. The CPU has one slot. On other devices, the host continues while they compute. */
    InputBatch *ring, *now;
    size_t slots, begun, kept;
    /* Computes inputs[0 .. B - 1] as one batch, into now->results. */
    bool (*infer)(Batches *b, const uint32_t *inputs, size_t B, Error *e);
    /* Returns the rows of input number `input` of this struct. It is number i of the batch `now`. */
    InputRows (*rows)(const Batches *b, size_t output, size_t i, uint32_t input);
    /* Called after each batch, with the end of its inputs; false ends the call. May be NULL. */
    bool (*goes_on)(const Batches *b, const uint32_t *end, Error *e);
};
/* Reports whether several batches may be in progress at the same time: not on the CPU, which is the only device of
 * MINIMAL. */
static inline bool batches_overlap(const Batches *b)
{
#ifdef SAPOR_MINIMAL
    (void)b;
    return false;
#else
    return !device_is_host(tape_device(b->tape));
#endif
}
/* Allocates memory for batches of at most `inputs` inputs and `tokens` tokens; `slots`: the most batches in progress.
 */
bool batches_room(Batches *b, size_t slots, size_t inputs, size_t tokens, Arena *a, Error *e);
/* Begins a batch. If no slot is free, first waits for the oldest batch and copies its rows to the caller's memory. On
 * the CPU, computes the batch and copies its rows. `inputs` must stay valid until the rows are copied. If a batch
 * fails, its inputs are tried one by one, because a row does not depend on the other rows of the batch. An input that
 * fails has zeros. Errors, and calls of goes_on, are in the order of the batches. */
bool batch_run(Batches *b, const uint32_t *inputs, size_t B, Error *e);
/* Waits for all batches that were begun, and copies their rows to the caller's memory. After a failure, infer_arrive
 * must be called before the memory is freed. */
bool batches_end(Batches *b, Error *e);

#endif
