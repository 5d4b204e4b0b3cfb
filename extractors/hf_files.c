/* extractors/hf_files.c: JSON files of a folder, and the parts of config.json other than the architecture: the folder's
 * own code, and timm's settings of images. */
// flags: -Os
#include "extractors/loading.h"

enum { MAX_JSON = 1 << 16 }; /* bytes per file */

const Json *folder_json(const Files *f, const char *name, JsonType type, const char **path, Arena *a, Error *e)
{
    Text text;
    *path = files_path(f, name, a, e);
    if (!*path || !files_read(&text, a, f, name, MAX_JSON, e))
        return NULL;
    const Json *j = json_parse(a, text, *path, e);
    if (!j || j->type == type)
        return j;
    fail(e, SP_FORMAT, "%s:%u:%u: %s", *path, j->line, j->column,
         type == JSON_ARRAY ? "expected a list" : "expected an object");
    return NULL;
}

bool custom_code_check(const ModelSource *s, Error *e)
{
    const Json *map = json_get(s->config, "auto_map");
    for (const Json *j = map && map->type == JSON_OBJECT && !s->arch ? map->first : NULL; j; j = j->next)
        if (text_starts(j->key, "AutoModel"))
            return fail(
                e, SP_UNSUPPORTED,
                "%s/config.json:%u:%u: auto_map: Python code of this folder (%.*s) computes the model, and it is "
                "not run; if the tensors are those of a known architecture, name it with --arch",
                s->folder, j->line, j->column, j->type == JSON_STRING ? (int)MIN(j->text.n, (size_t)100) : 9,
                j->type == JSON_STRING ? j->text.p : "AutoModel");
    return true;
}

/* ---- timm ------------------------------------------------------------------------------------ */

static bool bad(Error *e, const ModelSource *s, const Json *j, const char *key, const char *what)
{
    return fail(e, SP_FORMAT, "%s/config.json:%u:%u: pretrained_cfg.%s: %s", s->folder, j->line, j->column, key, what);
}

/* Reads a list of three numbers, each at least `least`; unchanged if the key is absent. */
static bool read_three(const ModelSource *s, const Json *cfg, const char *key, double least, float out[3], Error *e)
{
    const Json *j = json_get(cfg, key);
    for (size_t c = 0; j && c < 3; c++) {
        const Json *v = j->type == JSON_ARRAY ? json_at(j, c) : NULL;
        if (!v || v->type != JSON_NUMBER || !(v->number >= least && v->number <= 1e6))
            return bad(e, s, j, key, least > 0 ? "expected three numbers above 0" : "expected three numbers");
        out[c] = (float)v->number;
    }
    return true;
}

static bool read_filter(const ModelSource *s, const Json *cfg, Filter *to, Error *e)
{
    static const char *const NAMES[] = {"bilinear", "bicubic", "nearest", "box", "hamming", "lanczos"};
    static const Filter FILTERS[] = {FILTER_BILINEAR, FILTER_BICUBIC, FILTER_NEAREST,
                                     FILTER_BOX,      FILTER_HAMMING, FILTER_LANCZOS};
    const Json *j = json_get(cfg, "interpolation");
    *to = FILTER_BICUBIC;
    if (!j)
        return true;
    for (size_t i = 0; j->type == JSON_STRING && i < COUNT(NAMES); i++)
        if (text_is(j->text, NAMES[i])) {
            *to = FILTERS[i];
            return true;
        }
    return bad(e, s, j, "interpolation", "expected bilinear, bicubic, nearest, box, hamming or lanczos");
}

/* Reads the settings as timm's create_transform does for evaluation. The short side is resized to size / crop_pct,
 * rounded down, and the centre is cropped. With crop_mode squash, both sides are resized without keeping the image's
 * proportions. */
bool preset_from_timm(Preset *p, const ModelSource *s, Error *e)
{
    const Json *cfg = json_get(s->config, "pretrained_cfg"), *size = json_get(cfg, "input_size"), *j;
    int64_t h = 0, w = 0;
    double part = 0.875;
    if (!cfg || p->width)
        return true;
    if (cfg->type != JSON_OBJECT || !size || size->type != JSON_ARRAY || !json_i64(json_at(size, 1), &h) ||
        !json_i64(json_at(size, 2), &w) || !image_size_fits(w, h))
        return bad(e, s, size ? size : cfg, "input_size",
                   "expected three numbers: 3, height and width; more than 16,777,216 pixels are not supported");
    if ((j = json_get(cfg, "crop_pct")) && j->type != JSON_NULL) {
        if (j->type != JSON_NUMBER || !(j->number >= 0.05 && j->number <= 1))
            return bad(e, s, j, "crop_pct", "expected a number from 0.05 to 1");
        part = j->number;
    }
    if (!image_size_fits((int64_t)((double)w / part), (int64_t)((double)h / part)))
        return bad(e, s, j ? j : size, "crop_pct", "more than 16,777,216 pixels before the crop are not supported");
    j = json_get(cfg, "crop_mode");
    bool squash = json_is_text(j, "squash");
    if (!squash && (h != w || (j && !json_is_text(j, "center"))))
        return fail(e, SP_UNSUPPORTED,
                    "%s/config.json:%u:%u: pretrained_cfg: only squares cropped from the centre, and crop_mode squash, "
                    "are supported",
                    s->folder, cfg->line, cfg->column);
    Preset r = preset_imagenet((int64_t)((double)h / part), h, FILTER_BICUBIC);
    r.width = w;
    if (squash) {
        r.fit = FIT_SQUASH;
        r.across = (int64_t)((double)w / part);
        r.down = (int64_t)((double)h / part);
    }
    if (!read_filter(s, cfg, &r.how.filter, e) || !read_three(s, cfg, "mean", -1e6, r.mean, e) ||
        !read_three(s, cfg, "std", 1e-6, r.std, e))
        return false;
    *p = r;
    return true;
}
