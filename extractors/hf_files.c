/* extractors/hf_files.c: settings of a Hugging Face folder: preprocessor_config.json, and
 * sentence-transformers' modules.json with the files that it names. */
// flags: -Os
#include "extractors/loading.h"

/* Limits of an image that a model reads, in pixels (published models read up to 1536 x 1536); and of a pipeline, which
 * usually has three modules. Each file is read once for each module that names it; json_parse states its memory. */
enum { MAX_JSON = 1 << 16, MAX_SIDE = 1 << 14, MAX_PIXELS = 1 << 24, MAX_MODULES = 16 };

static bool bad_value(Error *e, const char *path, const Json *j, const char *what)
{
    return fail(e, SP_FORMAT, "%s:%u:%u: %s", path, j->line, j->column, what);
}

/* A file of the folder, an object or a list, of the given type; NULL without an error if there is no such file. */
static const Json *read_json(const Files *f, const char *name, JsonType type, const char **path, Arena *a, Error *e)
{
    Text text;
    *path = files_path(f, name, a, e);
    if (!*path || !files_read(&text, a, f, name, MAX_JSON, e))
        return NULL;
    const Json *j = json_parse(a, text, *path, e);
    if (!j || j->type == type)
        return j;
    bad_value(e, *path, j, type == JSON_ARRAY ? "expected a list" : "expected an object");
    return NULL;
}

/* ---- preprocessor_config.json ---------------------------------------------------------------- */

/* The value of a key; NULL where it is absent or null: then the family's holds. */
static const Json *value_of(const Json *config, const char *key)
{
    const Json *j = json_get(config, key);
    return j && j->type != JSON_NULL ? j : NULL;
}

/* size or crop_size: a number, {"height", "width"} or {"shortest_edge"}; *shorter is set for the last, and for a number
 * where `fit` is FIT_SHORT_SIDE. */
static bool read_size(const Json *j, const char *path, Fit fit, int64_t *w, int64_t *h, int64_t *shorter, Error *e)
{
    int64_t n;
    *shorter = 0;
    if (json_i64(j, &n)) {
        *w = *h = n;
        *shorter = fit == FIT_SHORT_SIDE ? n : 0;
    } else if (json_i64(json_get(j, "shortest_edge"), &n)) {
        *w = *h = *shorter = n;
    } else if (!json_i64(json_get(j, "height"), h) || !json_i64(json_get(j, "width"), w)) {
        return bad_value(e, path, j, "expected a size: a number, height and width, or shortest_edge");
    }
    if (!(*h > 0 && *h <= MAX_SIDE && *w > 0 && *w <= MAX_SIDE))
        return bad_value(e, path, j, "expected a size from 1 to 16384 pixels");
    return *h * *w <= MAX_PIXELS ||
           bad_value(e, path, j, "a size of more than 16,777,216 pixels in all is not supported");
}

/* Three numbers of least .. largest: so they and what is computed of them stay finite in float32. */
static bool read_three(const Json *config, const char *key, double least, double largest, float out[3],
                       const char *path, Error *e)
{
    const Json *j = value_of(config, key);
    for (size_t c = 0; j && c < 3; c++) {
        const Json *v = j->type == JSON_ARRAY ? json_at(j, c) : NULL;
        if (!v || v->type != JSON_NUMBER)
            return bad_value(e, path, j, "expected three numbers");
        if (!(v->number >= least && v->number <= largest))
            return fail(e, SP_FORMAT, "%s:%u:%u: %s: expected numbers %sfrom %g to %g", path, v->line, v->column, key,
                        least > 0 ? "above 0, " : "", least, largest);
        out[c] = (float)v->number;
    }
    return true;
}

/* A number of least .. largest; `fallback` where the key is absent or null. */
static bool read_number(const Json *config, const char *key, double least, double largest, double fallback, double *out,
                        const char *path, Error *e)
{
    const Json *j = value_of(config, key);
    *out = fallback;
    if (!j)
        return true;
    if (j->type != JSON_NUMBER || !(j->number >= least && j->number <= largest))
        return fail(e, SP_FORMAT, "%s:%u:%u: %s: expected a number above 0, from %g to %g", path, j->line, j->column,
                    key, least, largest);
    *out = j->number;
    return true;
}

/* Width, height and fit: what size, crop_pct, do_center_crop and crop_size say. */
static bool read_geometry(Preset *r, const Json *config, const char *path, const Preset *usual, Error *e)
{
    const Json *j;
    int64_t shorter = usual->fit == FIT_SHORT_SIDE ? usual->resize : 0, w = usual->width, h = usual->height, ignored;
    if (shorter)
        w = h = shorter;
    if ((j = value_of(config, "size")) && !read_size(j, path, usual->fit, &w, &h, &shorter, e))
        return false;
    if (json_get(config, "crop_pct")) {
        /* ConvNextImageProcessor, which ResNets use: below 384 the short side goes to size / crop_pct, then the centre;
         * else squash */
        double part;
        if (!read_number(config, "crop_pct", 0.05, 1, 0.875, &part, path, e))
            return false;
        r->fit = w < 384 ? FIT_SHORT_SIDE : FIT_SQUASH;
        r->resize = (int64_t)((double)w / part);
        r->width = r->height = w;
        return true;
    }
    const Json *centre = value_of(config, "do_center_crop"), *size = value_of(config, "crop_size");
    bool usually = usual->fit == FIT_SHORT_SIDE, crop = centre ? json_is_true(centre) : usually || (shorter && size);
    int64_t across = usually ? usual->width : w, down = usually ? usual->height : h;
    if (crop && size && !read_size(size, path, FIT_SQUASH, &across, &down, &ignored, e))
        return false;
    if (shorter && !crop)
        return fail(e, SP_UNSUPPORTED, "%s: images of different sizes (shortest_edge without a crop) are not supported",
                    path);
    if (!shorter && crop && (across != w || down != h))
        return fail(e, SP_UNSUPPORTED, "%s: a centre crop after a resize to height and width is not supported", path);
    r->fit = shorter ? FIT_SHORT_SIDE : FIT_SQUASH;
    r->resize = shorter;
    r->width = across;
    r->height = down;
    return true;
}

/* Memory and time: as json_parse states for a file of at most MAX_JSON bytes. Accepted values give finite means and
 * deviations in float32. */
bool preset_from_folder(Preset *p, const Preset *usual, const Files *folder, Arena *a, Error *e)
{
    const char *path;
    const Json *config = read_json(folder, "preprocessor_config.json", JSON_OBJECT, &path, a, e), *j;
    if (!config)
        return e->code == SP_OK;
    Preset r = *usual;
    int64_t n;
    double factor;
    r.crop = CROP_FLOOR;
    if (!read_geometry(&r, config, path, usual, e))
        return false;
    if ((j = value_of(config, "resample"))) {
        if (!json_i64(j, &n) || (n != 2 && n != 3))
            return fail(e, SP_UNSUPPORTED, "%s:%u:%u: resample: expected 2 (bilinear) or 3 (bicubic)", path, j->line,
                        j->column);
        r.how.filter = n == 2 ? FILTER_BILINEAR : FILTER_BICUBIC;
    }
    if (!read_three(config, "image_mean", -1e6, 1e6, r.mean, path, e) ||
        !read_three(config, "image_std", 1e-6, 1e6, r.std, path, e) ||
        !read_number(config, "rescale_factor", 1e-6, 1e6, 1.0 / 255.0, &factor, path, e))
        return false;
    if ((j = value_of(config, "do_rescale")) && !json_is_true(j))
        factor = 1.0;
    if ((j = value_of(config, "do_resize")) && !json_is_true(j))
        return fail(e, SP_UNSUPPORTED, "%s:%u:%u: do_resize: false is not supported; images are always resized", path,
                    j->line, j->column);
    bool normalize = !(j = value_of(config, "do_normalize")) || json_is_true(j);
    for (int c = 0; c < 3; c++) { /* (v factor - mean) / std, of v / 255 */
        r.mean[c] = normalize ? (float)(r.mean[c] / (255.0 * factor)) : 0.0f;
        r.std[c] = (float)((normalize ? r.std[c] : 1.0) / (255.0 * factor));
    }
    *p = r;
    return true;
}

Preset preset_imagenet(int64_t resize, int64_t crop, Filter filter)
{
    return (Preset){.fit = FIT_SHORT_SIDE,
                    .resize = resize,
                    .width = crop,
                    .height = crop,
                    .how = {.filter = filter},
                    .mean = {0.485f, 0.456f, 0.406f},
                    .std = {0.229f, 0.224f, 0.225f}};
}

void encoder_preset(Encoder *en, Preset p)
{
    if (en->image.preset.width == 0)
        en->image.preset = p;
}

/* ---- modules.json ---------------------------------------------------------------------------- */

/* "1_Pooling/config.json" of a module's folder inside the model's, which may be "". */
static const char *inside(const char *where, const char *name, Arena *a, Error *e)
{
    return *where ? path_join(a, where, name, e) : name;
}

/* where: the folder of the module inside the model's, "" or "1_Pooling". */
static bool read_pooling(TextTower *t, const Files *folder, const char *where, Arena *a, Error *e)
{
    static const struct {
        const char *key, *mode;
        Pooling pool;
    } known[] = {{"pooling_mode_cls_token", "cls", POOL_CLS},
                 {"pooling_mode_mean_tokens", "mean", POOL_MEAN},
                 {"pooling_mode_max_tokens", "max", POOL_MAX}};
    static const char *const unknown[] = {"pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens",
                                          "pooling_mode_lasttoken"};
    const char *path, *name = inside(where, "config.json", a, e);
    const Json *config = name ? read_json(folder, name, JSON_OBJECT, &path, a, e) : NULL,
               *mode = json_get(config, "pooling_mode");
    int found = 0;
    if (!config) /* or it is damaged: then its own error is kept */
        return fail(e, SP_IO, "%s/%s: is missing, but modules.json names it; fetch the whole folder of the model",
                    folder->folder, name ? name : "config.json");
    for (size_t i = 0; i < COUNT(known); i++)
        if (mode ? mode->type == JSON_STRING && text_is(mode->text, known[i].mode)
                 : json_is_true(json_get(config, known[i].key))) {
            t->pool = known[i].pool;
            found++;
        }
    for (size_t i = 0; !mode && i < COUNT(unknown); i++)
        found += json_is_true(json_get(config, unknown[i])) ? 2 : 0;
    if (found == 1)
        return true;
    t->pool = POOL_MODEL; /* a call that chooses its own can do without */
    t->no_pool = arena_printf(a, e, "%s: expected exactly one pooling: cls, mean or max; choose it with --pool", path);
    return t->no_pool != NULL;
}

bool modules_from_folder(TextTower *t, const Files *folder, int64_t *max_seq_length, Arena *a, Error *e)
{
    const char *path;
    const Json *modules = read_json(folder, "modules.json", JSON_ARRAY, &path, a, e);
    *max_seq_length = 0;
    if (!modules)
        return e->code == SP_OK;
    if (modules->count > MAX_MODULES)
        return fail(e, SP_UNSUPPORTED, "%s:%u:%u: %zu modules; at most %d are supported", path, modules->line,
                    modules->column, modules->count, MAX_MODULES);
    for (const Json *m = modules->first; m; m = m->next) {
        const Json *type = json_get(m, "type"), *place = json_get(m, "path");
        const char *where = json_cstring(place);
        if (!type || type->type != JSON_STRING || !where || where[0] == '/' || strstr(where, ".."))
            return bad_value(e, path, m, "expected a module with a type and a path inside the folder");
        if (text_ends(type->text, "Transformer")) {
            const char *name = where, *file = inside(where, "sentence_bert_config.json", a, e);
            const Json *config = file ? read_json(folder, file, JSON_OBJECT, &name, a, e) : NULL,
                       *n = json_get(config, "max_seq_length");
            if (e->code != SP_OK)
                return false;
            if (n && n->type != JSON_NULL && (!json_i64(n, max_seq_length) || *max_seq_length < 1))
                return bad_value(e, name, n, "max_seq_length: expected a whole number above 0");
        } else if (text_ends(type->text, "Pooling")) {
            if (t->pool == POOL_MODEL && !t->no_pool && !read_pooling(t, folder, where, a, e))
                return false;
        } else if (text_ends(type->text, "Normalize")) {
            t->normalize = true;
        } else {
            return fail(e, SP_UNSUPPORTED, "%s:%u:%u: modules of type %.*s are not supported", path, m->line, m->column,
                        (int)MIN(type->text.n, (size_t)100), type->text.p);
        }
    }
    return true;
}
