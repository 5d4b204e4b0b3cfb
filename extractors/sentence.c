/* extractors/sentence.c: reads sentence-transformers' modules.json and the files that it names: pooling, Dense,
 * Normalize, the length of texts and the prompt before them. Computes the rows of texts from the rows of tokens by
 * these modules. */
// flags: -Os
#include <math.h>

#include "extractors/loading.h"

/* Limits of a pipeline, which usually has three modules. A file is read once for each module that names it; json_parse
 * states its memory. */
enum { MAX_MODULES = 16, MAX_WIDTH = 1 << 20 };

/* The sentence-transformers modules after the tokens, if a Pooling and a Normalize at the end do not describe them
 * completely: one or more modes of pooling, whose rows are concatenated; then steps. */
typedef enum PoolMode {
    MODE_CLS,
    MODE_MAX,
    MODE_MEAN,
    MODE_MEAN_SQRT_LEN, /* the sum divided by the square root of the length */
    MODE_WEIGHTED_MEAN, /* the weights are 1, 2, 3, ... */
    MODE_LAST,
    MODE_COUNT
} PoolMode;
typedef struct SentenceStep { /* act(x W' + b); if `where` is NULL: scale to length 1 */
    const char *where;        /* the folder of its weights, inside the model's folder */
    int64_t in, out;
    bool bias;
    Act act;
    Linear dense; /* set by sentence_load */
} SentenceStep;
struct Sentence {
    PoolMode mode[MODE_COUNT];
    int modes;
    SentenceStep *step;
    size_t steps, room;
    bool without_prompt;   /* pooling leaves out the prompt's tokens */
    int64_t prompt_tokens; /* with its special tokens; set by sentence_prompt */
    bool prompt_ends;      /* the prompt ends with a special token, which pooling does not leave out */
};
typedef struct Sentence Sentence;

typedef struct Reading {
    TextTower *tower;
    const Files *folder;
    Sentence *sentence;
    Arena *arena;
    Error *error;
    bool pooled; /* a module of pooling has been read */
} Reading;

static bool bad_value(Error *e, const char *path, const Json *j, const char *what)
{
    return fail(e, SP_FORMAT, "%s:%u:%u: %s", path, j->line, j->column, what);
}

/* Returns "1_Pooling/config.json" for a module's folder inside the model's folder; the module's folder may be "". */
static const char *inside(const char *where, const char *name, Arena *a, Error *e)
{
    return *where ? path_join(a, where, name, e) : name;
}

/* Returns the config.json of a module. A missing file is an error. */
static const Json *module_config(const Reading *r, const char *where, const char **path)
{
    const char *name = inside(where, "config.json", r->arena, r->error);
    const Json *config = name ? folder_json(r->folder, name, JSON_OBJECT, path, r->arena, r->error) : NULL;
    if (!config) /* if the file is damaged, its own error is kept */
        fail(r->error, SP_IO, "%s/%s: is missing, but modules.json names it; fetch the whole folder of the model",
             r->folder->folder, name ? name : "config.json");
    return config;
}

/* ---- modules.json ---------------------------------------------------------------------------- */

static const struct {
    const char *key, *mode;
    Pooling alone; /* the pooling if there are no other modes; POOL_SENTENCE: no Pooling describes it */
} MODES[MODE_COUNT] = {
    [MODE_CLS] = {"pooling_mode_cls_token", "cls", POOL_CLS},
    [MODE_MAX] = {"pooling_mode_max_tokens", "max", POOL_MAX},
    [MODE_MEAN] = {"pooling_mode_mean_tokens", "mean", POOL_MEAN},
    [MODE_MEAN_SQRT_LEN] = {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", POOL_SENTENCE},
    [MODE_WEIGHTED_MEAN] = {"pooling_mode_weightedmean_tokens", "weightedmean", POOL_SENTENCE},
    [MODE_LAST] = {"pooling_mode_lasttoken", "lasttoken", POOL_SENTENCE}};

static bool add_mode(Sentence *s, const Json *word)
{
    for (int i = 0; word && word->type == JSON_STRING && s->modes < MODE_COUNT && i < MODE_COUNT; i++)
        if (text_is(word->text, MODES[i].mode)) {
            s->mode[s->modes++] = (PoolMode)i;
            return true;
        }
    return false;
}

/* Reads "pooling_mode": a word or a list of words. Before version 5, there is one key per mode, and no key means the
 * mean. */
static bool read_pooling(Reading *r, const char *where)
{
    const char *path;
    const Json *config = module_config(r, where, &path), *mode = json_get(config, "pooling_mode"),
               *prompt = json_get(config, "include_prompt");
    Sentence *s = r->sentence;
    bool known = true;
    if (!config)
        return false;
    r->pooled = true;
    for (const Json *j = mode && mode->type == JSON_ARRAY ? mode->first : NULL; j; j = j->next)
        known = known && add_mode(s, j);
    if (mode && mode->type != JSON_ARRAY)
        known = add_mode(s, mode);
    for (int i = 0; !mode && i < MODE_COUNT; i++)
        if (json_is_true(json_get(config, MODES[i].key)))
            s->mode[s->modes++] = (PoolMode)i;
    if (!mode && !s->modes)
        s->mode[s->modes++] = MODE_MEAN;
    s->without_prompt = prompt && prompt->type == JSON_BOOL && !json_is_true(prompt);
    if (known && s->modes)
        return true;
    s->modes = 0; /* a call that chooses its own pooling does not need it */
    r->tower->no_pool =
        arena_printf(r->arena, r->error,
                     "%s: pooling_mode: expected cls, max, mean, mean_sqrt_len_tokens, weightedmean or lasttoken, or a "
                     "list of them; choose one with --pool",
                     path);
    return r->tower->no_pool != NULL;
}

/* Returns "Pooling" of "sentence_transformers.models.Pooling". */
static Text class_name(Text type)
{
    size_t n = type.n;
    while (n && type.p[n - 1] != '.')
        n--;
    return (Text){type.p + n, type.n - n};
}

/* Reads the activation of a Dense: a class of torch, such as "torch.nn.modules.activation.Tanh", which is the default.
 */
static bool read_activation(const Reading *r, const Json *config, const char *path, Act *act)
{
    const Json *j = json_get(config, "activation_function");
    if (!j) {
        *act = ACT_TANH;
        return true;
    }
    Text class = j->type == JSON_STRING ? class_name(j->text) : (Text){0};
    const char *word = arena_lower(r->arena, class.p ? class.p : "", class.n, r->error);
    if (!word)
        return false;
    *act = strcmp(word, "softplus") == 0 ? ACT_SOFTPLUS : ACT_NONE;
    return *act != ACT_NONE || strcmp(word, "identity") == 0 || act_find(text_of(word), act) ||
           fail(r->error, SP_UNSUPPORTED,
                "%s:%u:%u: activation_function: expected Identity, Tanh, ReLU, ReLU6, GELU, SiLU, Sigmoid or Softplus "
                "of torch.nn",
                path, j->line, j->column);
}

static SentenceStep *add_step(Reading *r)
{
    Sentence *s = r->sentence;
    SentenceStep *more = arena_grow(r->arena, s->step, s->steps, &s->room, sizeof *more, r->error);
    if (!more)
        return NULL;
    s->step = more;
    more[s->steps] = (SentenceStep){.where = NULL};
    return &more[s->steps++];
}

static bool read_dense(Reading *r, const char *where)
{
    const char *path;
    const Json *config = module_config(r, where, &path), *in = json_get(config, "in_features"),
               *out = json_get(config, "out_features"), *bias = json_get(config, "bias"),
               *input = json_get(config, "module_input_name"), *residual = json_get(config, "use_residual");
    SentenceStep *step = config ? add_step(r) : NULL;
    if (!step)
        return false;
    if ((input && !json_is_text(input, "sentence_embedding")) || json_is_true(residual))
        return fail(r->error, SP_UNSUPPORTED, "%s: a Dense of tokens, or with a residual, is not supported", path);
    if (!json_i64(in, &step->in) || !json_i64(out, &step->out) || step->in < 1 || step->out < 1 ||
        step->in > MAX_WIDTH || step->out > MAX_WIDTH)
        return bad_value(r->error, path, in ? in : config,
                         "in_features and out_features: expected whole numbers from 1 to 1048576");
    step->where = where;
    step->bias = !bias || json_is_true(bias);
    return read_activation(r, config, path, &step->act);
}

/* Reads the settings of a Transformer. Its file is named after one of the first models of the package. */
static bool read_transformer(const Reading *r, const char *where, int64_t *max_seq_length)
{
    static const char *const MODELS[] = {"bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta"};
    const char *path;
    const Json *config = NULL;
    for (size_t i = 0; i < COUNT(MODELS) && !config && r->error->code == SP_OK; i++) {
        char name[64];
        snprintf(name, sizeof name, "sentence_%s_config.json", MODELS[i]);
        const char *file = inside(where, name, r->arena, r->error);
        config = file ? folder_json(r->folder, file, JSON_OBJECT, &path, r->arena, r->error) : NULL;
    }
    const Json *n = json_get(config, "max_seq_length");
    if (r->error->code != SP_OK)
        return false;
    r->tower->lower = json_is_true(json_get(config, "do_lower_case"));
    return !n || n->type == JSON_NULL || (json_i64(n, max_seq_length) && *max_seq_length >= 1) ||
           bad_value(r->error, path, n, "max_seq_length: expected a whole number above 0");
}

/* Reads the prompt that is put before each text: default_prompt_name of config_sentence_transformers.json. */
static bool read_prompt(const Reading *r)
{
    const char *path;
    const Json *config =
        folder_json(r->folder, "config_sentence_transformers.json", JSON_OBJECT, &path, r->arena, r->error);
    const Json *name = json_get(config, "default_prompt_name"), *prompts = json_get(config, "prompts");
    if (r->error->code != SP_OK)
        return false;
    if (!name || name->type == JSON_NULL)
        return true;
    for (const Json *j = prompts && prompts->type == JSON_OBJECT ? prompts->first : NULL; j; j = j->next)
        if (name->type == JSON_STRING && text_equal(j->key, name->text) && j->type == JSON_STRING) {
            r->tower->prompt = j->text;
            return true;
        }
    return bad_value(r->error, path, name, "default_prompt_name: expected the name of a text in prompts");
}

static bool read_module(Reading *r, const char *path, const Json *m, int64_t *max_seq_length)
{
    const Json *type = json_get(m, "type"), *place = json_get(m, "path");
    const char *where = json_cstring(place);
    if (!type || type->type != JSON_STRING || !where || where[0] == '/' || strstr(where, ".."))
        return bad_value(r->error, path, m, "expected a module with a type and a path inside the folder");
    Text class = class_name(type->text);
    bool dense = text_is(class, "Dense"), pooling = text_is(class, "Pooling");
    if (text_is(class, "Transformer"))
        return read_transformer(r, where, max_seq_length);
    if ((dense && !r->pooled) || (pooling && r->pooled))
        return fail(r->error, SP_UNSUPPORTED, "%s:%u:%u: expected one Pooling, and each Dense after it", path, m->line,
                    m->column);
    if (pooling)
        return read_pooling(r, where);
    if (dense)
        return read_dense(r, where);
    if (text_is(class, "Normalize"))
        return add_step(r) != NULL;
    return text_is(class, "Dropout") || /* for training only */
           fail(r->error, SP_UNSUPPORTED,
                "%s:%u:%u: modules of type %.*s are not supported; Transformer, Pooling, Dense, Normalize and Dropout "
                "are",
                path, m->line, m->column, (int)MIN(type->text.n, (size_t)100), type->text.p);
}

bool modules_from_folder(TextTower *t, const Files *folder, int64_t *max_seq_length, Arena *a, Error *e)
{
    const char *path;
    const Json *modules = folder_json(folder, "modules.json", JSON_ARRAY, &path, a, e);
    *max_seq_length = 0;
    if (!modules)
        return e->code == SP_OK;
    if (modules->count > MAX_MODULES)
        return fail(e, SP_UNSUPPORTED, "%s:%u:%u: %zu modules; at most %d are supported", path, modules->line,
                    modules->column, modules->count, MAX_MODULES);
    Reading r = {.tower = t, .folder = folder, .sentence = NEW(a, Sentence, 1, e), .arena = a, .error = e};
    Sentence *s = r.sentence;
    for (const Json *m = modules->first; s && m; m = m->next)
        if (!read_module(&r, path, m, max_seq_length))
            return false;
    if (!s || !read_prompt(&r))
        return false;
    for (; s->steps && !s->step[s->steps - 1].where; s->steps--)
        t->normalize = true; /* a call may choose differently */
    s->without_prompt = s->without_prompt && t->prompt.n;
    if (s->modes == 1 && !s->steps && !s->without_prompt && MODES[s->mode[0]].alone != POOL_SENTENCE) {
        t->pool = MODES[s->mode[0]].alone;
    } else if (s->modes) {
        t->pool = POOL_SENTENCE;
        t->sentence = s;
    }
    return true;
}

/* ---- weights --------------------------------------------------------------------------------- */

/* Makes the list of the files of a folder inside this folder. */
static bool files_inside(Files *to, const Files *from, const char *where, Arena *a, Error *e)
{
    size_t n = strlen(where);
    sp_file *list = from->list ? NEW(a, sp_file, from->count + 1, e) : NULL;
    *to = (Files){.folder = path_join(a, from->folder, where, e), .list = list};
    for (size_t i = 0; list && i < from->count; i++)
        if (strncmp(from->list[i].name, where, n) == 0 && from->list[i].name[n] == '/') {
            list[to->count] = from->list[i];
            list[to->count++].name += n + 1;
        }
    return e->code == SP_OK;
}

static bool load_dense(Encoder *en, const Files *folder, SentenceStep *step, Error *e)
{
    Files files;
    Weights *w = files_inside(&files, folder, step->where, en->arena, e)
                     ? files.list ? weights_open_files(&files, en->arena, e) : weights_open(files.folder, en->arena, e)
                     : NULL;
    const Array *weight = w ? weights_need(w, e, "linear.weight", 2, step->out, step->in) : NULL;
    const Array *bias = weight && step->bias ? weights_need(w, e, "linear.bias", 1, step->out) : NULL;
    bool ok = weight && (!step->bias || bias) &&
              linear_load(&step->dense, en->store, 1, &weight, step->bias ? &bias : NULL, &en->weight_form, e);
    weights_close(w);
    return ok;
}

bool sentence_load(Encoder *en, const Files *folder, int64_t width, Error *e)
{
    Sentence *s = en->text.sentence;
    width *= s->modes;
    for (size_t i = 0; i < s->steps; i++) {
        SentenceStep *step = &s->step[i];
        if (!step->where)
            continue;
        if (step->in != width)
            return fail(e, SP_FORMAT,
                        "%s/%s/config.json: in_features: expected %lld, the width of what comes before it, "
                        "found %lld",
                        folder->folder, step->where, (long long)width, (long long)step->in);
        if (!load_dense(en, folder, step, e))
            return false;
        width = step->out;
    }
    en->text.sentence_width = width;
    return true;
}

/* ---- the prompt ------------------------------------------------------------------------------ */

bool sentence_prompt(TextTower *t, Arena *a, Error *e)
{
    Sentence *s = t->sentence;
    TokenList list;
    TokenOptions o = {.max_length = (size_t)t->max_tokens};
    if (!s->without_prompt)
        return true;
    if (!tokenize_texts(t->tokenizer, &t->prompt, 1, &o, &list, a, e))
        return false;
    s->prompt_tokens = (int64_t)list.count;
    s->prompt_ends = list.count && list.places[list.count - 1].special;
    return true;
}

int64_t sentence_left_out(const Call *c)
{
    const Sentence *s = c->encoder->text.sentence;
    bool used = false;
    for (size_t i = 0; i < c->count; i++)
        used = used || c->outputs[i].pool == POOL_SENTENCE;
    if (!used || !s->without_prompt)
        return 0;
    int64_t n = c->max_tokens ? MIN(s->prompt_tokens, c->max_tokens) : s->prompt_tokens;
    return n - s->prompt_ends; /* prompt_ends: pooling keeps the special token at the end, so it is not counted */
}

/* Returns the rows of each text after its first `count` rows. */
static Tensor *rows_behind(Tape *t, Tensor *x, const Ragged *r, int64_t count, Ragged *rest)
{
    int32_t *offsets = tape_scratch(t, r->B + 1, sizeof *offsets), *at = NULL;
    int64_t total = r->total - r->B * count, n = 0;
    for (int64_t b = 0; b < r->B; b++)
        if (r->offsets[b + 1] - r->offsets[b] <= count)
            return tape_fail(t, SP_SHAPE, "a text has only tokens of the prompt"), NULL;
    if (!offsets || !(at = tape_scratch(t, total, sizeof *at)))
        return NULL;
    for (int64_t b = 0; b < r->B; b++) {
        offsets[b] = (int32_t)n;
        for (int64_t i = r->offsets[b] + count; i < r->offsets[b + 1]; i++)
            at[n++] = (int32_t)i;
    }
    offsets[r->B] = (int32_t)n;
    *rest = (Ragged){.B = r->B, .total = total, .offsets = offsets};
    return gather(t, x, input_i32(t, at, total));
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Returns one of two kinds of factors; each text has n tokens after `before` tokens that are left out.
 *
 * - of_tokens false [B]: sqrt(n) of each text.
 * - of_tokens true [total]: the weight of each token i in the mean. It is proportional to the token's number in the
 *   text, before + i + 1. */
static Tensor *factors(Tape *t, const Ragged *r, bool of_tokens, int64_t before)
{
    int64_t count = of_tokens ? r->total : r->B;
    float *f = tape_scratch(t, count, sizeof *f);
    for (int64_t b = 0; f && b < r->B; b++) {
        int32_t first = r->offsets[b], n = r->offsets[b + 1] - first;
        if (!of_tokens)
            f[b] = sqrtf((float)n);
        for (int32_t i = 0; of_tokens && i < n; i++)
            f[first + i] = 2.0f * (float)(before + i + 1) / (float)(n + 2 * before + 1);
    }
    return input_f32(t, f, 1, &count);
}

static Tensor *last_rows(Tape *t, Tensor *x, const Ragged *r)
{
    int32_t *at = tape_scratch(t, r->B, sizeof *at);
    for (int64_t b = 0; at && b < r->B; b++)
        at[b] = r->offsets[b + 1] - 1;
    return gather(t, x, input_i32(t, at, r->B));
}

static Tensor *pool_by(Tape *t, Tensor *x, const Ragged *r, PoolMode mode, int64_t before)
{
    switch (mode) {
    case MODE_CLS: return pool_ragged(t, x, r, REDUCE_FIRST);
    case MODE_MAX: return pool_ragged(t, x, r, REDUCE_MAX);
    case MODE_MEAN_SQRT_LEN: return row_scale(t, pool_ragged(t, x, r, REDUCE_MEAN), factors(t, r, false, before));
    case MODE_WEIGHTED_MEAN: return pool_ragged(t, row_scale(t, x, factors(t, r, true, before)), r, REDUCE_MEAN);
    case MODE_LAST: return last_rows(t, x, r);
    default: return pool_ragged(t, x, r, REDUCE_MEAN);
    }
}

Tensor *sentence_rows(Tape *t, const Sentence *s, Tensor *x, const Ragged *r, int64_t left_out)
{
    Ragged rest;
    if (left_out && !(x = rows_behind(t, x, r, left_out, &rest)))
        return NULL;
    r = left_out ? &rest : r;
    Tensor *y = pool_by(t, x, r, s->mode[0], left_out);
    for (int i = 1; i < s->modes; i++)
        y = concat(t, y, pool_by(t, x, r, s->mode[i], left_out));
    for (size_t i = 0; i < s->steps; i++)
        y = s->step[i].where ? linear_act(t, y, &s->step[i].dense, s->step[i].act, 0) : row_normalize(t, y, 1e-12f);
    return y;
}
