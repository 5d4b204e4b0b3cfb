/* tools/ducho/extract_plan.c: makes the list of extractions from the YAML tree. */
// flags: -Os
#include <float.h>

#include "tools/ducho/extract.h"

enum { MAX_RESHAPED = 1 << 26 }; /* pixels; below the limit of image_resize */
/* Limits of a plan. By aliases, a short file can name many layers for each of many models, and a path is made for each
 * combination. */
enum { MAX_EXTRACTIONS = 4096, MAX_PATH = 4096 };
/* Bounds of a deviation, for pixels from 0 to 1. The larger one also bounds the absolute value of a mean. */
static const double LEAST_STD = 1e-6, LARGEST_STD = 1e6;

static const char *const TOP_KEYS[] = {"dataset_path", "gpu list", "gpu_list",       "model map", "compat",
                                       "visual",       "textual",  "visual_textual", "audio"},
                         *const MODALITY_KEYS[] = {"items", "interactions"}, *const SIDES[] = {"visual", "textual"},
                         *const IMAGE_KEYS[] = {"input_path", "output_path", "model"},
                         *const ITEM_KEYS[] = {"input_path", "output_path", "model", "text_column", "item_column"},
                         *const PAIR_KEYS[] = {"input_path", "output_path", "model", "text_column",
                                               "interaction_columns"},
                         *const MODEL_KEYS[] = {
                             "model_name",     "backend",       "output_layers",  "reshape",
                             "clear_text",     "preprocessing", "mean",           "std",
                             "batch_size",     "fusion",        "tokenizer_name", "image_processor_name",
                             "image_processor"};

/* Returns what replaced `key` since Ducho 1, or NULL if it is not a key of Ducho 1. */
static const char *ducho1_key(Text key)
{
    static const char *const KEYS[][2] = {
        {"name", "a key of Ducho 1; write \"model_name\""},
        {"task", "a key of Ducho 1; remove it"},
        {"interaction_column", "a key of Ducho 1; write \"text_column\", and \"interaction_columns: [user, item]\""}};
    for (size_t i = 0; i < COUNT(KEYS); i++)
        if (text_is(key, KEYS[i][0]))
            return KEYS[i][1];
    return NULL;
}

static bool check_map(const Yaml *y, const char *const *keys, size_t n, Arena *a, Error *e)
{
    if (y->type != YAML_MAP)
        return fail(e, SP_FORMAT, "%s: a map of keys and values is expected", y->where);
    for (const Yaml *k = y->first; k; k = k->next) {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || text_is(k->key, keys[i]);
        const char *old = known ? NULL : ducho1_key(k->key), *near = known ? NULL : nearest_word(k->key.p, keys, n, a);
        if (old)
            return fail(e, SP_FORMAT, "%s: \"%s\" is %s", k->where, k->key.p, old);
        if (!known)
            return near ? fail(e, SP_FORMAT, "%s: unknown key \"%s\"; did you mean \"%s\"?", k->where, k->key.p, near)
                        : fail(e, SP_FORMAT, "%s: unknown key \"%s\"", k->where, k->key.p);
    }
    return true;
}

static bool need_text(const Yaml *map, const char *key, const char **value, Error *e)
{
    const Yaml *y = yaml_get(map, key);
    if (!y)
        return fail(e, SP_FORMAT, "%s: the key \"%s\" is missing", map->where, key);
    if (y->type != YAML_TEXT || (yaml_is_null(y) && !y->quoted) || y->text.n == 0)
        return fail(e, SP_FORMAT, "%s: %s: a text is expected", y->where, key);
    *value = y->text.p;
    return true;
}

static bool read_numbers(const Yaml *y, size_t n, double *out, Error *e)
{
    const Yaml *k = y->type == YAML_LIST && y->count == n ? y->first : NULL;
    for (size_t i = 0; k && i < n; i++, k = k->next)
        if (!yaml_f64(k, &out[i]) || !(out[i] >= -FLT_MAX && out[i] <= FLT_MAX))
            return fail(e, SP_FORMAT, "%s: a number is expected", k->where);
    return (y->type == YAML_LIST && y->count == n) ||
           fail(e, SP_FORMAT, "%s: %s: a list of %zu numbers is expected", y->where, y->key.p, n);
}

const char *file_stem(const char *path, Arena *a, Error *e)
{
    Text base = path_base(path);
    size_t n = base.n;
    while (n > 1 && base.p[n - 1] != '.')
        n--;
    return arena_strndup(a, base.p, n > 1 ? n - 1 : base.n, e);
}

/* Returns a model's folder: for an image model the bare name, otherwise the full name with its organisation, as in
 * Ducho. If the path would lead out of the output folder, only its last part is used. */
static const char *model_folder(const Extraction *x, Arena *a, Error *e)
{
    if (x->modality == MODALITY_IMAGE)
        return file_stem(x->model, a, e);
    const char *name = x->model;
    while (strncmp(name, "./", 2) == 0)
        name += 2;
    Text rest = text_of(name), part;
    bool leads_out = name[0] == '/';
    while (text_next(&rest, '/', &part))
        leads_out = leads_out || text_is(part, "..") || text_is(part, ".");
    Text base = path_base(x->model);
    return leads_out ? arena_strndup(a, base.p, base.n, e) : name;
}

static bool read_backend(Extraction *x, const Yaml *model, Error *e)
{
    static const struct {
        const char *name, *backend;
        unsigned modality; /* of a backend for one modality; models of both modalities are from transformers */
    } BACKENDS[] = {{"torch", "torch", MODALITY_IMAGE},
                    {"transformers", "transformers", MODALITY_IMAGE},
                    {"transformers", "transformers", MODALITY_TEXT},
                    {"transformers", "transformers", MODALITY_IMAGE | MODALITY_TEXT},
                    {"sentence_transformers", "sentence_transformers", MODALITY_TEXT},
                    {"sentence-transformers", "sentence_transformers", MODALITY_TEXT}};
    const Yaml *y = yaml_get(model, "backend");
    const char *choice = x->modality == MODALITY_IMAGE  ? "torch or transformers"
                         : x->modality == MODALITY_TEXT ? "sentence_transformers or transformers"
                                                        : "transformers";
    x->backend = NULL;
    if (!y)
        return fail(e, SP_FORMAT, "%s: the key \"backend\" is missing: %s", model->where, choice);
    if (y->type == YAML_LIST && y->count == 1)
        y = y->first;
    if (y->type != YAML_TEXT)
        return fail(e, SP_FORMAT, "%s: backend: one name is expected", y->where);
    for (size_t i = 0; i < COUNT(BACKENDS); i++)
        if (BACKENDS[i].modality == x->modality && text_is(y->text, BACKENDS[i].name))
            x->backend = BACKENDS[i].backend;
    if (!x->backend && x->modality == MODALITY_IMAGE && text_is(y->text, "tensorflow"))
        return fail(e, SP_UNSUPPORTED,
                    "%s: backend \"tensorflow\" is not supported: weights of Keras are not read; write \"backend: "
                    "torch\" with the torchvision model and layer (ResNet50, output_layers: avgpool)",
                    y->where);
    return x->backend || fail(e, SP_UNSUPPORTED, "%s: backend \"%s\" is not supported for this modality; choose %s",
                              y->where, y->text.p, choice);
}

/* Refuses keys that name a tokenizer or an image processor other than the model's own. */
static bool check_processors(const Extraction *x, const Yaml *model, Error *e)
{
    static const char *const KEYS[] = {"tokenizer_name", "image_processor_name", "image_processor"};
    for (size_t i = 0; i < COUNT(KEYS); i++) {
        const Yaml *y = yaml_get(model, KEYS[i]);
        if (y && !yaml_is_null(y) && (y->type != YAML_TEXT || !text_is(y->text, x->model)))
            return fail(e, SP_UNSUPPORTED,
                        "%s: %s: only the model's own is supported; copy these files into the model's folder", y->where,
                        KEYS[i]);
    }
    return true;
}

static bool read_fusion(Extraction *x, const Yaml *model, Error *e)
{
    static const char *const NAMES[] = {
        [FUSION_SUM] = "sum", [FUSION_CONCAT] = "concat", [FUSION_MUL] = "mul", [FUSION_MEAN] = "mean"};
    const Yaml *y = yaml_get(model, "fusion");
    if (!y || yaml_is_null(y))
        return true;
    if (x->modality != (MODALITY_IMAGE | MODALITY_TEXT))
        return fail(e, SP_FORMAT, "%s: fusion is only valid in visual_textual", y->where);
    for (int i = FUSION_SUM; y->type == YAML_TEXT && i <= FUSION_MEAN; i++)
        if (text_is(y->text, NAMES[i]))
            x->fusion = (Fusion)i;
    return x->fusion != FUSION_NONE || fail(e, SP_FORMAT, "%s: fusion: sum, concat, mul or mean is expected", y->where);
}

static bool read_preparation(Extraction *x, const Yaml *model, Error *e)
{
    /* ImageNet's values, as in torchvision */
    static const double MEAN[3] = {0.485, 0.456, 0.406}, STD[3] = {0.229, 0.224, 0.225};
    const Yaml *how = yaml_get(model, "preprocessing"), *mean = yaml_get(model, "mean"), *std = yaml_get(model, "std"),
               *reshape = yaml_get(model, "reshape"), *clear = yaml_get(model, "clear_text"),
               *batch = yaml_get(model, "batch_size");
    double m[3], s[3], size[2] = {0, 0};
    memcpy(m, MEAN, sizeof m);
    memcpy(s, STD, sizeof s);
    x->scale = SCALE_UNIT;
    if (how && !yaml_is_null(how)) {
        if (how->type != YAML_TEXT || (!text_is(how->text, "zscore") && !text_is(how->text, "minmax")))
            return fail(e, SP_FORMAT, "%s: preprocessing: zscore, minmax or null is expected", how->where);
        x->scale = text_is(how->text, "zscore") ? SCALE_ZSCORE : SCALE_MINMAX;
    }
    mean = mean && yaml_is_null(mean) ? NULL : mean;
    std = std && yaml_is_null(std) ? NULL : std;
    if ((mean || std) && x->scale != SCALE_ZSCORE)
        return fail(e, SP_FORMAT, "%s: mean and std are only valid with preprocessing: zscore",
                    (mean ? mean : std)->where);
    if ((mean && !read_numbers(mean, 3, m, e)) || (std && !read_numbers(std, 3, s, e)))
        return false;
    for (int k = 0; k < 3; k++) {
        x->mean[k] = (float)m[k];
        x->std[k] = (float)s[k];
        if (!(s[k] > 0))
            return fail(e, SP_FORMAT, "%s: std: numbers above 0 are expected", std ? std->where : model->where);
        if (!(s[k] >= LEAST_STD && s[k] <= LARGEST_STD))
            return fail(e, SP_FORMAT, "%s: std: numbers from %g to %g are expected", std ? std->where : model->where,
                        LEAST_STD, LARGEST_STD);
        if (!(m[k] >= -LARGEST_STD && m[k] <= LARGEST_STD))
            return fail(e, SP_FORMAT, "%s: mean: numbers from %g to %g are expected", mean ? mean->where : model->where,
                        -LARGEST_STD, LARGEST_STD);
    }
    if (reshape && !yaml_is_null(reshape)) {
        if (!read_numbers(reshape, 2, size, e))
            return false;
        for (int k = 0; k < 2; k++)
            if (!(size[k] >= 1 && size[k] <= 16384) || size[k] != (double)(int64_t)size[k])
                return fail(e, SP_FORMAT, "%s: reshape: [width, height], whole numbers from 1 to 16384, is expected",
                            reshape->where);
        if (size[0] * size[1] > MAX_RESHAPED)
            return fail(e, SP_FORMAT, "%s: reshape: %g x %g are more than %d pixels, the maximum", reshape->where,
                        size[0], size[1], MAX_RESHAPED);
        x->reshape[0] = (int64_t)size[0];
        x->reshape[1] = (int64_t)size[1];
    }
    if (clear && !yaml_is_null(clear) && !yaml_bool(clear, &x->clear_text))
        return fail(e, SP_FORMAT, "%s: clear_text: True or False is expected", clear->where);
    x->batch = 1;
    if (batch && !yaml_is_null(batch) && /* a quoted number is valid too, as in Ducho */
        (batch->type != YAML_TEXT || !text_i64(batch->text, &x->batch) || x->batch < 1 || x->batch > 1 << 16))
        return fail(e, SP_FORMAT, "%s: batch_size: a whole number from 1 to 65536 is expected", batch->where);
    return true;
}

typedef struct Plan {
    Extraction *list;
    size_t count, room, folders;
    Arena *arena;
    const char *dataset;
    bool as_ducho;
} Plan;

/* The output folders of a source: for features of images, of texts, and fused ones. */
typedef struct Roots {
    const char *image, *text, *fused;
} Roots;

static bool is_folder_name(const char *name)
{
    return *name && strcmp(name, "..") != 0 && strcmp(name, ".") != 0;
}

static bool add_folder(Plan *p, Extraction *x, FeatureFolder f, const Yaml *layer, Error *e)
{
    const char *where = layer ? layer->where : x->where;
    if (!is_folder_name(f.layer) || strchr(f.layer, '/'))
        return fail(e, SP_FORMAT, "%s: output_layers: \"%s\" cannot be a folder name", where, f.layer);
    const char *model = strlen(x->model) <= MAX_PATH ? model_folder(x, p->arena, e) : x->model;
    if (++p->folders > MAX_EXTRACTIONS)
        return fail(e, SP_FORMAT, "%s: more than %d extractions are not supported", x->where, MAX_EXTRACTIONS);
    if (model && strlen(f.root) + strlen(model) + strlen(f.layer) > MAX_PATH)
        return fail(e, SP_FORMAT, "%s: the output path is longer than %d bytes", x->where, MAX_PATH);
    if (model && !is_folder_name(model))
        return fail(e, SP_FORMAT, "%s: model_name: \"%s\" cannot be a folder name", x->where, x->model);
    if (!model || !(f.path = arena_printf(p->arena, e, "%s/%s/%s/%s", f.root, x->backend, model, f.layer)))
        return false;
    for (size_t i = 0; i <= p->count; i++) {
        const Extraction *other = i < p->count ? &p->list[i] : x;
        for (size_t k = 0; k < other->count; k++)
            if (strcmp(other->folders[k].path, f.path) == 0)
                return fail(e, SP_FORMAT, "%s: writes to %s, the same folder as the extraction at %s", x->where, f.path,
                            other->where);
    }
    x->folders[x->count++] = f;
    return true;
}

/* Names the outputs of the two towers. Numbers mean the usual outputs. One name is used for both towers. Of two names,
 * the first is for images and the second for texts. */
static bool name_outputs(const Yaml *layers, size_t n, const char *names[2], Error *e)
{
    size_t numbers = 0;
    int64_t number;
    const Yaml *l = layers;
    for (size_t i = 0; l && i < n; i++, l = l->next)
        numbers += l->type == YAML_TEXT && !l->quoted && yaml_i64(l, &number);
    names[0] = "image_embeds";
    names[1] = "text_embeds";
    if (!layers || numbers == n)
        return true;
    if (numbers || n > 2)
        return fail(e, SP_FORMAT,
                    "%s: output_layers: a number, one name, or the names of images and of texts are expected",
                    layers->where);
    names[0] = layers->text.p;
    names[1] = (n == 2 && layers->next ? layers->next : layers)->text.p;
    return true;
}

/* Adds the folder of a layer. A model with two towers has one folder per tower, or one folder of fused features. */
static bool add_layer(Plan *p, Extraction *x, const Roots *roots, const Yaml *layer, const char *const names[2],
                      Error *e)
{
    bool both = x->modality == (MODALITY_IMAGE | MODALITY_TEXT), torch = strcmp(x->backend, "torch") == 0;
    int64_t number;
    if (layer && layer->type != YAML_TEXT)
        return fail(e, SP_FORMAT, "%s: output_layers: names are expected", layer->where);
    if (torch && (!layer || yaml_i64(layer, &number)))
        return fail(e, SP_FORMAT, "%s: output_layers: a layer name, such as avgpool, is expected instead of an index",
                    layer ? layer->where : x->where);
    FeatureFolder f = {.layer = layer                                              ? layer->text.p
                                : !both && strcmp(x->backend, "transformers") == 0 ? "pooler_output"
                                                                                   : "1"};
    if (both) {
        f.image = names[0];
        f.text = names[1];
        /* for sentence_transformers, output_layers is only the name of a folder */
    } else if (strcmp(x->backend, "sentence_transformers") != 0) {
        *(x->modality == MODALITY_IMAGE ? &f.image : &f.text) = f.layer;
    }
    /* For an image model of transformers, Ducho makes the names of layers lower-case before it looks them up in the
     * model's results. */
    bool lower =
        x->modality == MODALITY_IMAGE && !torch && strlen(f.layer) <= MAX_PATH; /* add_folder refuses longer names */
    if (lower && !(f.image = arena_lower(p->arena, f.layer, strlen(f.layer), e)))
        return false;
    if (x->fusion != FUSION_NONE) {
        f.modality = x->modality;
        f.root = roots->fused;
        return add_folder(p, x, f, layer, e);
    }
    for (unsigned m = MODALITY_IMAGE; m <= MODALITY_TEXT; m <<= 1) {
        f.modality = m;
        f.root = m == MODALITY_IMAGE ? roots->image : roots->text;
        if ((x->modality & m) && !add_folder(p, x, f, layer, e))
            return false;
    }
    return true;
}

/* Returns "visual_textual_concat", next to "visual", for the output folders "visual" and "textual". */
static const char *fused_root(const Roots *roots, Fusion fusion, Arena *a, Error *e)
{
    static const char *const NAMES[] = {"", "sum", "concat", "mul", "mean"};
    Text parts[2] = {text_of(roots->image), text_of(roots->text)};
    for (int i = 0; i < 2; i++)
        while (parts[i].n > 1 && parts[i].p[parts[i].n - 1] == '/')
            parts[i].n--;
    size_t text = parts[1].n;
    while (text > 0 && parts[1].p[text - 1] != '/')
        text--;
    return arena_printf(a, e, "%.*s_%.*s_%s", (int)parts[0].n, parts[0].p, (int)(parts[1].n - text), parts[1].p + text,
                        NAMES[fusion]);
}

static bool add_model(Plan *p, Extraction x, Roots roots, const Yaml *model, Error *e)
{
    const char *names[2] = {NULL, NULL};
    x.where = model->where;
    if (!check_map(model, MODEL_KEYS, COUNT(MODEL_KEYS), p->arena, e) || !need_text(model, "model_name", &x.model, e) ||
        !read_backend(&x, model, e) || !read_preparation(&x, model, e) || !check_processors(&x, model, e) ||
        !read_fusion(&x, model, e))
        return false;
    const Yaml *layers = yaml_get(model, "output_layers");
    layers = layers && yaml_is_null(layers) ? NULL : layers;
    bool list = layers && layers->type == YAML_LIST;
    if (list && layers->count == 0)
        return fail(e, SP_FORMAT, "%s: output_layers: the list is empty", layers->where);
    const Yaml *layer = list ? layers->first : layers;
    size_t n = list ? layers->count : 1;
    if (x.modality == (MODALITY_IMAGE | MODALITY_TEXT)) {
        x.reshape[0] = x.reshape[1] = 0; /* as in Ducho: the image processor reads the original image */
        x.clear_text = x.clear_text && !x.as_ducho;
        if (!name_outputs(layer, n, names, e))
            return false;
        if (x.fusion != FUSION_NONE && !(roots.fused = fused_root(&roots, x.fusion, p->arena, e)))
            return false;
    }
    if (n > MAX_EXTRACTIONS)
        return fail(e, SP_FORMAT, "%s: more than %d extractions are not supported", x.where, MAX_EXTRACTIONS);
    if (!(x.folders = NEW(p->arena, FeatureFolder, 2 * n, e)))
        return false;
    for (size_t i = 0; i < n; i++, layer = list ? layer->next : NULL)
        if (!add_layer(p, &x, &roots, layer, names, e))
            return false;
    if (p->count == p->room && !(p->list = arena_grow(p->arena, p->list, p->count, &p->room, sizeof *p->list, e)))
        return false;
    p->list[p->count++] = x;
    return true;
}

/* Reads the value of a key: one path, or for visual_textual a map with one path per modality. */
static bool read_paths(const Plan *p, const Extraction *x, const Yaml *source, const char *key, const char *paths[2],
                       Error *e)
{
    const Yaml *y = yaml_get(source, key);
    const char *path = NULL;
    if (x->modality != (MODALITY_IMAGE | MODALITY_TEXT)) {
        const char **to = &paths[x->modality == MODALITY_TEXT];
        return need_text(source, key, &path, e) && (*to = path_join(p->arena, p->dataset, path, e));
    }
    if (!y)
        return fail(e, SP_FORMAT, "%s: the key \"%s\" is missing", source->where, key);
    if (y->type != YAML_MAP)
        return fail(e, SP_FORMAT, "%s: %s: {visual: PATH, textual: PATH} is expected", y->where, key);
    if (!check_map(y, SIDES, COUNT(SIDES), p->arena, e))
        return false;
    for (size_t i = 0; i < COUNT(SIDES); i++)
        if (!need_text(y, SIDES[i], &path, e) || !(paths[i] = path_join(p->arena, p->dataset, path, e)))
            return false;
    return true;
}

static bool read_columns(Extraction *x, const Yaml *source, bool pairs, Error *e)
{
    const Yaml *y = yaml_get(source, "interaction_columns"), *k = y && y->type == YAML_LIST ? y->first : NULL;
    if (!pairs)
        return need_text(source, "item_column", &x->id_columns[0], e) &&
               need_text(source, "text_column", &x->text_column, e);
    if (!y)
        return fail(e, SP_FORMAT, "%s: the key \"interaction_columns\" is missing", source->where);
    if (!k || y->count != 2)
        return fail(e, SP_FORMAT, "%s: interaction_columns: [user column, item column] is expected", y->where);
    for (int i = 0; i < 2; i++, k = k->next) {
        if (k->type != YAML_TEXT || k->text.n == 0)
            return fail(e, SP_FORMAT, "%s: the name of a column is expected", k->where);
        x->id_columns[i] = k->text.p;
    }
    return need_text(source, "text_column", &x->text_column, e);
}

static bool add_source(Plan *p, Extraction x, const Yaml *source, Error *e)
{
    const char *in[2] = {NULL, NULL}, *out[2] = {NULL, NULL};
    bool pairs = strcmp(x.source, "interactions") == 0, texts = x.modality & MODALITY_TEXT;
    const char *const *keys = !texts ? IMAGE_KEYS : pairs ? PAIR_KEYS : ITEM_KEYS;
    if (!check_map(source, keys, texts ? COUNT(ITEM_KEYS) : COUNT(IMAGE_KEYS), p->arena, e) ||
        !read_paths(p, &x, source, "input_path", in, e) || !read_paths(p, &x, source, "output_path", out, e) ||
        (texts && !read_columns(&x, source, pairs, e)))
        return false;
    x.images = in[0];
    x.texts = in[1];
    x.as_ducho = p->as_ducho;
    Roots roots = {out[0] ? out[0] : "", out[1] ? out[1] : "", ""};
    const Yaml *models = yaml_get(source, "model");
    if (!models || (models->type == YAML_LIST && models->count == 0))
        return fail(e, SP_FORMAT, "%s: the key \"model\" is missing: the list of models to run", source->where);
    if (models->type == YAML_MAP)
        return add_model(p, x, roots, models, e);
    if (models->type != YAML_LIST)
        return fail(e, SP_FORMAT, "%s: model: a list is expected", models->where);
    for (const Yaml *m = models->first; m; m = m->next)
        if (!add_model(p, x, roots, m, e))
            return false;
    return true;
}

bool extraction_plan(Extraction **list, size_t *count, const Yaml *root, Arena *a, Error *e)
{
    static const struct {
        const char *key;
        unsigned modality;
        /* in Ducho's order, which is independent of the order in the file */
    } MODALITIES[] = {
        {"visual", MODALITY_IMAGE}, {"textual", MODALITY_TEXT}, {"visual_textual", MODALITY_IMAGE | MODALITY_TEXT}};
    Plan p = {.arena = a};
    if (!check_map(root, TOP_KEYS, COUNT(TOP_KEYS), a, e) || !need_text(root, "dataset_path", &p.dataset, e))
        return false;
    const Yaml *audio = yaml_get(root, "audio"), *compat = yaml_get(root, "compat");
    if (audio)
        return fail(e, SP_UNSUPPORTED, "%s: the modality audio is not supported yet; use visual or textual",
                    audio->where);
    if (compat && !yaml_is_null(compat) && !(p.as_ducho = compat->type == YAML_TEXT && text_is(compat->text, "ducho")))
        return fail(e, SP_FORMAT, "%s: compat: ducho or null is expected", compat->where);
    for (size_t i = 0; i < COUNT(MODALITIES); i++) {
        const Yaml *y = yaml_get(root, MODALITIES[i].key);
        if (!y || yaml_is_null(y))
            continue;
        if (!check_map(y, MODALITY_KEYS, COUNT(MODALITY_KEYS), a, e))
            return false;
        for (const Yaml *source = y->first; source; source = source->next) {
            Extraction x = {.modality = MODALITIES[i].modality, .name = MODALITIES[i].key, .source = source->key.p};
            if (!add_source(&p, x, source, e))
                return false;
        }
    }
    if (p.count == 0)
        return fail(e, SP_FORMAT, "%s: nothing to extract; expected the key items in visual or textual", root->where);
    *list = p.list;
    *count = p.count;
    return true;
}
