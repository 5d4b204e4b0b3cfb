/* extractors/encoder.c: opens a model: its kind, its weights, and the files that its towers need. */
// flags: -Os
#include "extractors/loading.h"

/* ---- the kind of a model --------------------------------------------------------------------- */

/* Returns the folder of a model. A weights file inside a Hugging Face folder means that folder. NULL: a weights file
 * without a folder, or an error. */
static const char *folder_of(const char *path, Arena *a, Error *e)
{
    Text base = path_base(path);
    if (folder_exists(path))
        return path;
    if (!text_is(base, "model.safetensors") && !text_is(base, "model.safetensors.index.json") &&
        !text_is(base, "pytorch_model.bin"))
        return NULL;
    size_t n = (size_t)(base.p - path);
    const char *folder = n ? arena_strndup(a, path, n - 1 + (n == 1), e) : ".";
    const char *config = folder ? path_join(a, folder, "config.json", e) : NULL;
    return config && file_exists(config) ? folder : NULL;
}

/* Reports whether a list of words separated by spaces (or NULL) has this word. */
static bool list_has(const char *list, const char *word)
{
    Text rest = list ? text_of(list) : (Text){0}, part;
    while (list && text_next(&rest, ' ', &part))
        if (text_is(part, word))
            return true;
    return false;
}

/* Returns transformers' model_type; NULL if config.json states none. */
static const char *model_type_of(const ModelSource *s)
{
    const char *type = json_cstring(json_get(s->config, "model_type"));
    return type && *type ? type : NULL;
}

/* Returns "bert, distilbert, ..."; "" if memory runs out. */
static const char *kind_names(Arena *a, Error *e)
{
    const char *list = "";
    for (size_t i = 0; i < encoder_kind_count() && list; i++)
        list = arena_printf(a, e, "%s%s%s", list, i ? ", " : "", encoder_kind_at(i)->name);
    return list ? list : "";
}

static const EncoderKind *kind_of_type(const char *type)
{
    for (size_t i = 0; i < encoder_kind_count(); i++)
        if (list_has(encoder_kind_at(i)->model_type, type))
            return encoder_kind_at(i);
    return NULL;
}

/* Returns the length of the longest name in `families` that `arch` begins with; 0: it begins with none.
 * kind_of_arch chooses the kind with the largest length. */
static size_t family_length(const EncoderKind *k, const char *arch)
{
    Text rest = k->families ? text_of(k->families) : (Text){0}, part;
    size_t longest = 0;
    while (k->families && text_next(&rest, ' ', &part))
        if (strncmp(arch, part.p, part.n) == 0)
            longest = MAX(longest, part.n);
    return longest;
}

static const EncoderKind *kind_of_arch(const char *arch)
{
    const EncoderKind *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < encoder_kind_count(); i++) {
        const EncoderKind *k = encoder_kind_at(i);
        if (strcmp(arch, k->name) == 0)
            return k;
        if (family_length(k, arch) > longest) {
            longest = family_length(k, arch);
            found = k;
        }
    }
    return found;
}

static const EncoderKind *unsupported_kind(const ModelSource *s, const char *stated, Arena *a, Error *e)
{
    error_clear(e);
    fail(e, SP_UNSUPPORTED, "%s: config.json states %s, which is not supported (supported: %s)", s->path, stated,
         kind_names(a, &(Error){0}));
    return NULL;
}

/* Checks that all classes of a pickled model are among the kind's. With --arch, the classes are not checked. */
static bool check_classes(const ModelSource *s, const EncoderKind *k, Error *e)
{
    for (size_t i = 0; !s->arch && i < weights_module_count(s->weights); i++) {
        const PickledModule *m = weights_module_at(s->weights, i);
        if (!k || !list_has(k->classes, m->class.p))
            return fail(
                e, SP_UNSUPPORTED,
                "%s: %s%.100s is a pickled module of class %.100s, which is not supported, as its code is not in "
                "the file; save model.state_dict() instead, or name the architecture with --arch",
                s->path, m->name.n ? "its part " : "the model", m->name.p, m->class.p);
    }
    return true;
}

const EncoderKind *encoder_kind_of(const ModelSource *s, Arena *a, Error *e)
{
    const char *type = model_type_of(s), *timm = json_cstring(json_get(s->config, "architecture")), *known;
    const char *first = weights_count(s->weights) ? weights_at(s->weights, 0)->name.p : "none";
    int most = 0;
    const EncoderKind *k = s->arch ? kind_of_arch(s->arch) : type ? kind_of_type(type) : NULL;
    if (k && !s->arch && !k->matches(s)) {
        fail(e, SP_FORMAT, "%s: config.json states %s, but these tensors (%s, ...) are not those of a %s", s->path,
             type, first, type);
        return NULL;
    }
    for (size_t i = 0; i < encoder_kind_count() && !s->arch && !type; i++) {
        int facts = encoder_kind_at(i)->matches(s);
        if (facts > most) {
            most = facts;
            k = encoder_kind_at(i);
        }
    }
    if (!check_classes(s, k, e))
        return NULL;
    if (k)
        return k;
    if (!s->arch && (type || (timm && *timm)))
        return unsupported_kind(s, type ? type : timm, a, e);
    known = kind_names(a, e);
    if (s->arch)
        fail(e, SP_USAGE, "%s: unknown architecture %s; known are %s", s->path, s->arch, known);
    else
        fail(e, SP_UNSUPPORTED, "%s: these tensors (%s, ...) belong to no known architecture (%s)%s", s->path, first,
             known, s->folder ? "" : "; choose one with --arch");
    return NULL;
}

static bool read_config(ModelSource *s, Arena *a, Error *e)
{
    Text text;
    const char *config = s->files ? files_path(s->files, "config.json", a, e) : NULL;
    if (!config)
        return e->code == SP_OK;
    if (!files_read(&text, a, s->files, "config.json", 16 << 20, e) || !(s->config = json_parse(a, text, config, e)))
        return false;
    return s->config->type == JSON_OBJECT ||
           fail(e, SP_FORMAT, "%s:1:1: expected a JSON object with the model's settings", config);
}

/* Reads the files in memory, or finds and reads the model `name`. */
static bool read_source(ModelSource *s, const char *name, const Files *memory, const EncoderOptions *o, Arena *a,
                        Error *e)
{
    *s = (ModelSource){.path = memory ? memory->folder : model_find(name, a, e), .arch = o->arch};
    Files *files = s->path ? NEW(a, Files, 1, e) : NULL;
    if (!files)
        return false;
    s->folder = memory ? memory->folder : folder_of(s->path, a, e);
    *files = memory ? *memory : (Files){.folder = s->folder};
    s->files = s->folder ? files : NULL;
    if (e->code != SP_OK || !read_config(s, a, e) || !custom_code_check(s, e))
        return false;
    if ((s->weights = memory ? weights_open_files(files, a, e) : weights_open(s->path, a, e)))
        return true;
    const char *type = model_type_of(s), *timm = json_cstring(json_get(s->config, "architecture"));
    bool known = type ? kind_of_type(type) != NULL : !timm || !*timm || kind_of_arch(timm);
    if (!known && !s->arch && e->code != SP_MEMORY) /* other weights would not make this model supported */
        unsupported_kind(s, type ? type : timm, a, e);
    return false;
}

/* ---- towers ---------------------------------------------------------------------------------- */

static int64_t lower_of(int64_t limit, int64_t other) /* 0: not stated */
{
    return other > 0 ? MIN(limit, other) : limit;
}

/* Reads the settings of the folder. Must be called before `load`. */
static bool read_settings(Encoder *en, const ModelSource *s, unsigned tower, int64_t *max_seq_length, Error *e)
{
    if (!s->folder)
        return true;
    if (tower == MODALITY_TEXT)
        return modules_from_folder(&en->text, s->files, max_seq_length, en->arena, e);
    const Preset *usual = en->kind->unstated && !model_stated(s) ? en->kind->unstated : en->kind->usual;
    return preset_from_folder(&en->image.preset, usual, s->files, en->arena, e) &&
           preset_from_timm(&en->image.preset, s, e);
}

/* Loads the tokenizer and the modules after the tokens. Must be called after `load`. */
static bool finish_text(Encoder *en, const ModelSource *s, int64_t max_seq_length, Error *e)
{
    TextTower *t = &en->text;
    int64_t width = 0; /* of tokens */
    if (t->pool == POOL_MODEL)
        t->pool = POOL_MEAN;
    for (size_t i = 0; i < en->output_count; i++) {
        Output *o = &en->outputs[i];
        if (o->modality != MODALITY_TEXT || o->rows != ROWS_TOKENS)
            continue;
        o->pool = t->pool;
        width = o->width;
        o->normalized = t->normalize;
    }
    if (!s->folder)
        return fail(e, SP_FORMAT,
                    "%s: is only a weights file; give the folder of the text encoder (config.json, tokenizer.json)",
                    s->path);
    if (t->sentence && !sentence_load(en, s->files, width, e))
        return false;
    if (!(t->tokenizer = tokenizer_load_files(s->files, en->arena, e)) ||
        (t->lower && !tokenizer_lower_case(t->tokenizer, e)))
        return false;
    t->max_tokens = lower_of(t->max_tokens, max_seq_length ? max_seq_length : tokenizer_max_length(t->tokenizer));
    return !t->sentence || sentence_prompt(t, en->arena, e);
}

/* Leaves out a tower that cannot be opened, if the model has another open tower and the options do not name this one.
 * Otherwise returns false. */
static bool tower_fails(Encoder *en, unsigned tower, Error *e)
{
    if (e->code == SP_MEMORY || en->towers == tower || (en->options.towers & tower))
        return false;
    const char *why = arena_strndup(en->arena, e->message, strlen(e->message), &(Error){0});
    *(tower == MODALITY_IMAGE ? &en->image.missing : &en->text.missing) = why ? why : "out of memory";
    en->towers &= ~tower;
    error_clear(e);
    return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool use_precision(Encoder *en, const Device *d, Error *e)
{
    const EncoderOptions *o = &en->options;
    if (o->dtype != PACK_F32 && !en->kind->narrow)
        return fail(e, SP_UNSUPPORTED, "%s: %s models run in f32 only; choose dtype f32", en->path, en->kind->name);
    if (!kernels_packs(d->k, o->dtype, e))
        return false;
    en->weight_form.pack = o->dtype;
    if (o->winograd && !en->kind->winograd)
        return fail(e, SP_UNSUPPORTED, "%s: %s does not support --winograd; remove it", en->path, en->kind->name);
    en->weight_form.winograd = o->winograd;
    return tuning_open(en, e);
}

static bool use_resizer(Encoder *en, Error *e)
{
    if (en->options.resizer == RESIZE_PILLOW)
        return true;
    if (!(en->towers & MODALITY_IMAGE))
        return fail(e, SP_USAGE, "%s: resize torchvision is for images, but no tower of images is open; remove it",
                    en->path);
    if (preset_resizer(&en->image.preset, en->options.resizer, e))
        return true;
    return error_prefix(e, "%s: ", en->path), false;
}

/* Checks that the model has the outputs that calls will use. */
static bool check_outputs(const Encoder *en, Error *e)
{
    for (size_t i = 0; i < en->options.output_count; i++) {
        const char *name = en->options.outputs[i];
        if (name && output_find(en, en->towers, name) < 0)
            return output_unknown(en, en->towers, name, en->arena, e);
    }
    return true;
}

static bool open_into(Encoder *en, const Device *d, const char *name, const Files *memory, Error *e)
{
    static const unsigned TOWERS[] = {MODALITY_IMAGE, MODALITY_TEXT};
    ModelSource s;
    int64_t max_seq_length = 0;
    if (!read_source(&s, name, memory, &en->options, en->arena, e))
        return false;
    en->weights = (Weights *)s.weights;
    en->path = s.path;
    if (!(en->kind = encoder_kind_of(&s, en->arena, e)) || !(en->store = store_new(d, e)) || !use_precision(en, d, e))
        return false;
    en->towers = en->kind->modalities;
    if (en->towers & en->options.towers)
        en->towers &= en->options.towers;
    for (size_t i = 0; i < COUNT(TOWERS); i++)
        if ((en->towers & TOWERS[i]) && !read_settings(en, &s, TOWERS[i], &max_seq_length, e) &&
            !tower_fails(en, TOWERS[i], e))
            return false;
    if (!en->kind->load(en, &s, e))
        return fail(e, SP_FORMAT, "%s: cannot be loaded as %s", s.path, en->kind->name);
    if (!tuning_check(en, &s, e) || !check_outputs(en, e) || !use_resizer(en, e))
        return false;
    return !(en->towers & MODALITY_TEXT) || finish_text(en, &s, max_seq_length, e) || tower_fails(en, MODALITY_TEXT, e);
}

static Encoder *open_new(const Device *d, const char *name, const Files *memory, const EncoderOptions *o, Error *e)
{
    Arena *a = arena_new(d->heap, 0);
    Encoder *en = a ? NEW(a, Encoder, 1, e) : NULL;
    if (!en) {
        arena_free(a);
        fail_memory(e, sizeof *en, "an encoder");
        return NULL;
    }
    en->arena = a;
    en->options = *o;
    bool ok = open_into(en, d, name, memory, e);
    en->options.arch = NULL; /* the caller's memory */
    en->options.outputs = NULL;
    if (ok)
        return en;
    encoder_close(en);
    return NULL;
}

Encoder *encoder_open(const Device *d, const char *name, const EncoderOptions *o, Error *e)
{
    return open_new(d, name, NULL, o, e);
}

Encoder *encoder_open_files(const Device *d, const Files *f, const EncoderOptions *o, Error *e)
{
    return f->list ? open_new(d, NULL, f, o, e) : open_new(d, f->folder, NULL, o, e);
}

void encoder_close(Encoder *en)
{
    if (!en)
        return;
    store_free(en->store);
    weights_close(en->weights);
    arena_free(en->arena);
}
