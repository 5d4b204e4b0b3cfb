/* tools/ducho/extract_plan.c: from the YAML tree to a list of extractions. */
// flags: -Os
#include <float.h>

#include "tools/ducho/extract.h"

enum { MAX_RESHAPED = 1 << 26 }; /* pixels; what resize makes at most is a little more */
/* Of a plan. By aliases a short file can name each of many layers for each of many models; a path is made for each of
 * them. */
enum { MAX_EXTRACTIONS = 4096, MAX_PATH = 4096 };
/* of pixels from 0 to 1; also of the distance of a mean from 0 */
static const double LEAST_STD = 1e-6, LARGEST_STD = 1e6;

static const char *const TOP_KEYS[] = {"dataset_path", "gpu list", "gpu_list",       "model map",
                                       "visual",       "textual",  "visual_textual", "audio"},
                         *const MODALITY_KEYS[] = {"items", "interactions"},
                         *const SOURCE_KEYS[] = {"input_path", "output_path", "item_column", "text_column", "model"},
                         *const MODEL_KEYS[] = {
                             "model_name",     "backend",       "output_layers",  "reshape",
                             "clear_text",     "preprocessing", "mean",           "std",
                             "batch_size",     "fusion",        "tokenizer_name", "image_processor_name",
                             "image_processor"};

static bool check_map(const Yaml *y, const char *const *keys, size_t n, Arena *a, Error *e)
{
    if (y->type != YAML_MAP)
        return fail(e, SP_FORMAT, "%s: a map of keys and values is expected", y->where);
    for (const Yaml *k = y->first; k; k = k->next) {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || text_is(k->key, keys[i]);
        const char *near = known ? NULL : nearest_word(k->key.p, keys, n, a);
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

/* A model's folder: an image model's bare name; otherwise the full name, organisation and all, as Ducho. A path that
 * leads out of the output folder is cut to its last part. */
static const char *model_folder(const Extraction *x, Arena *a, Error *e)
{
    if (x->modality == MODALITY_IMAGE)
        return file_stem(x->model, a, e);
    Text rest = text_of(x->model), part;
    bool leads_out = x->model[0] == '/';
    while (text_next(&rest, '/', &part))
        leads_out = leads_out || text_is(part, "..") || text_is(part, ".");
    Text base = path_base(x->model);
    return leads_out ? arena_strndup(a, base.p, base.n, e) : x->model;
}

static bool read_backend(Extraction *x, const Yaml *model, Error *e)
{
    const Yaml *y = yaml_get(model, "backend");
    bool visual = x->modality == MODALITY_IMAGE;
    x->backend = "";
    if (!y)
        return fail(e, SP_FORMAT, "%s: the key \"backend\" is missing: %s", model->where,
                    visual ? "torch or transformers" : "sentence_transformers or transformers");
    if (y->type == YAML_LIST && y->count == 1)
        y = y->first;
    if (y->type != YAML_TEXT)
        return fail(e, SP_FORMAT, "%s: backend: one name is expected", y->where);
    if (visual && (text_is(y->text, "torch") || text_is(y->text, "transformers")))
        x->backend = y->text.p;
    else if (!visual && text_is(y->text, "transformers"))
        x->backend = "transformers";
    else if (!visual && (text_is(y->text, "sentence_transformers") || text_is(y->text, "sentence-transformers")))
        x->backend = "sentence_transformers";
    else
        return fail(e, SP_UNSUPPORTED, "%s: backend \"%s\" is not supported for this modality; choose %s", y->where,
                    y->text.p, visual ? "torch or transformers" : "sentence_transformers or transformers");
    return true;
}

static bool read_preparation(Extraction *x, const Yaml *model, Error *e)
{
    /* ImageNet's, as torchvision */
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
    if (batch && !yaml_is_null(batch) && (!yaml_i64(batch, &x->batch) || x->batch < 1 || x->batch > 1 << 16))
        return fail(e, SP_FORMAT, "%s: batch_size: a whole number from 1 to 65536 is expected", batch->where);
    return true;
}

typedef struct Plan {
    Extraction *list;
    size_t count, room;
    Arena *arena;
} Plan;

static bool add_layer(Plan *p, Extraction x, const Yaml *layer, Error *e)
{
    int64_t number;
    if (layer && layer->type != YAML_TEXT)
        return fail(e, SP_FORMAT, "%s: output_layers: names are expected", layer->where);
    if (strcmp(x.backend, "torch") == 0 && (!layer || yaml_i64(layer, &number)))
        return fail(e, SP_FORMAT, "%s: output_layers: a layer name, such as avgpool, is expected instead of an index",
                    layer ? layer->where : x.where);
    x.layer = layer ? layer->text.p : strcmp(x.backend, "transformers") == 0 ? "pooler_output" : "1";
    if (!x.layer || strchr(x.layer, '/') || strcmp(x.layer, "..") == 0 || strcmp(x.layer, ".") == 0 || !*x.layer)
        return fail(e, SP_FORMAT, "%s: output_layers: \"%s\" cannot be a folder name", layer ? layer->where : x.where,
                    x.layer ? x.layer : "");
    const char *model = strlen(x.model) <= MAX_PATH ? model_folder(&x, p->arena, e) : x.model;
    if (p->count == MAX_EXTRACTIONS)
        return fail(e, SP_FORMAT, "%s: more than %d extractions are not supported", x.where, MAX_EXTRACTIONS);
    if (model && strlen(x.output) + strlen(model) + strlen(x.layer) > MAX_PATH)
        return fail(e, SP_FORMAT, "%s: the output path is longer than %d bytes", x.where, MAX_PATH);
    x.folder = model ? arena_printf(p->arena, e, "%s/%s/%s/%s", x.output, x.backend, model, x.layer) : NULL;
    if (!x.folder ||
        (p->count == p->room && !(p->list = arena_grow(p->arena, p->list, p->count, &p->room, sizeof *p->list, e))))
        return false;
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->list[i].folder, x.folder) == 0)
            return fail(e, SP_FORMAT, "%s: writes to %s, the same folder as the extraction at %s", x.where, x.folder,
                        p->list[i].where);
    p->list[p->count++] = x;
    return true;
}

static bool add_model(Plan *p, Extraction x, const Yaml *model, Error *e)
{
    x.where = model->where;
    if (!check_map(model, MODEL_KEYS, COUNT(MODEL_KEYS), p->arena, e) || !need_text(model, "model_name", &x.model, e) ||
        !read_backend(&x, model, e) || !read_preparation(&x, model, e))
        return false;
    const Yaml *other = yaml_get(model, "tokenizer_name"), *fusion = yaml_get(model, "fusion"),
               *layers = yaml_get(model, "output_layers");
    if (other && !yaml_is_null(other) && !text_is(other->text, x.model))
        return fail(e, SP_UNSUPPORTED, "%s: a tokenizer_name other than the model's own is not supported",
                    other->where);
    if (fusion && !yaml_is_null(fusion))
        return fail(e, SP_FORMAT, "%s: fusion is only valid in visual_textual", fusion->where);
    layers = layers && yaml_is_null(layers) ? NULL : layers;
    if (!layers || layers->type != YAML_LIST)
        return add_layer(p, x, layers, e);
    if (layers->count == 0)
        return fail(e, SP_FORMAT, "%s: output_layers: the list is empty", layers->where);
    for (const Yaml *l = layers->first; l; l = l->next)
        if (!add_layer(p, x, l, e))
            return false;
    return true;
}

static bool add_source(Plan *p, Extraction x, const Yaml *source, const char *root, Error *e)
{
    const char *input = NULL, *output = NULL;
    if (!check_map(source, SOURCE_KEYS, COUNT(SOURCE_KEYS), p->arena, e) ||
        !need_text(source, "input_path", &input, e) || !need_text(source, "output_path", &output, e) ||
        !(x.input = path_join(p->arena, root, input, e)) || !(x.output = path_join(p->arena, root, output, e)))
        return false;
    if (x.modality == MODALITY_TEXT &&
        (!need_text(source, "item_column", &x.item_column, e) || !need_text(source, "text_column", &x.text_column, e)))
        return false;
    const Yaml *models = yaml_get(source, "model");
    if (!models || (models->type == YAML_LIST && models->count == 0))
        return fail(e, SP_FORMAT, "%s: the key \"model\" is missing: the list of models to run", source->where);
    if (models->type == YAML_MAP)
        return add_model(p, x, models, e);
    if (models->type != YAML_LIST)
        return fail(e, SP_FORMAT, "%s: model: a list is expected", models->where);
    for (const Yaml *m = models->first; m; m = m->next)
        if (!add_model(p, x, m, e))
            return false;
    return true;
}

bool extraction_plan(Extraction **list, size_t *count, const Yaml *root, Arena *a, Error *e)
{
    static const struct {
        const char *key;
        unsigned modality;
        /* in Ducho's order, whatever the file's */
    } MODALITIES[] = {{"visual", MODALITY_IMAGE}, {"textual", MODALITY_TEXT}};
    static const char *const LATER[] = {"visual_textual", "audio"};
    Plan p = {.arena = a};
    const char *dataset = NULL;
    if (!check_map(root, TOP_KEYS, COUNT(TOP_KEYS), a, e) || !need_text(root, "dataset_path", &dataset, e))
        return false;
    for (size_t i = 0; i < COUNT(LATER); i++)
        if (yaml_get(root, LATER[i]))
            return fail(e, SP_UNSUPPORTED, "%s: the modality %s is not supported yet; use visual or textual",
                        yaml_get(root, LATER[i])->where, LATER[i]);
    for (size_t i = 0; i < COUNT(MODALITIES); i++) {
        const Yaml *y = yaml_get(root, MODALITIES[i].key);
        if (!y || yaml_is_null(y))
            continue;
        if (!check_map(y, MODALITY_KEYS, COUNT(MODALITY_KEYS), a, e))
            return false;
        if (yaml_get(y, "interactions"))
            return fail(e, SP_UNSUPPORTED, "%s: interactions are not supported yet; use items",
                        yaml_get(y, "interactions")->where);
        if (yaml_get(y, "items") &&
            !add_source(&p, (Extraction){.modality = MODALITIES[i].modality}, yaml_get(y, "items"), dataset, e))
            return false;
    }
    if (p.count == 0)
        return fail(e, SP_FORMAT, "%s: nothing to extract; visual: items: or textual: items: is expected", root->where);
    *list = p.list;
    *count = p.count;
    return true;
}
