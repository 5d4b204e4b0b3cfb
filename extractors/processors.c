/* extractors/processors.c: reads preprocessor_config.json as transformers' image processors do
 * (image_processing_backends.py, and the classes of EfficientNet and ConvNeXT). */
// flags: -Os
#include "extractors/loading.h"

bool image_size_fits(int64_t width, int64_t height)
{
    enum { MAX_SIDE = 1 << 14, MAX_PIXELS = 1 << 24 };
    return width > 0 && width <= MAX_SIDE && height > 0 && height <= MAX_SIDE && width * height <= MAX_PIXELS;
}

typedef struct Reading {
    const Json *config;
    const char *path;
    Error *error;
} Reading;

static bool bad(const Reading *r, const Json *j, const char *key, const char *what)
{
    return fail(r->error, SP_FORMAT, "%s:%u:%u: %s: %s", r->path, j->line, j->column, key, what);
}

static bool unsupported(const Reading *r, const Json *j, const char *key, const char *what)
{
    return fail(r->error, SP_UNSUPPORTED, "%s:%u:%u: %s: %s", r->path, j->line, j->column, key, what);
}

/* Returns the value of a key. NULL if absent or null: the family's default applies. */
static const Json *value_of(const Json *config, const char *key)
{
    const Json *j = json_get(config, key);
    return j && j->type != JSON_NULL ? j : NULL;
}

static bool read_flag(const Reading *r, const char *key, bool fallback, bool *out)
{
    const Json *j = value_of(r->config, key);
    *out = j ? json_is_true(j) : fallback;
    return !j || j->type == JSON_BOOL || bad(r, j, key, "expected true or false");
}

static bool in_range(const Reading *r, const Json *j, const char *key, const char *what, double least, double largest)
{
    return (j->type == JSON_NUMBER && j->number >= least && j->number <= largest) ||
           fail(r->error, SP_FORMAT, "%s:%u:%u: %s: expected %s %sfrom %g to %g", r->path, j->line, j->column, key,
                what, least > 0 ? "above 0, " : "", least, largest);
}

/* Reads a number from `least` to `largest`; unchanged if the key is absent or null. */
static bool read_number(const Reading *r, const char *key, double least, double largest, double *out)
{
    const Json *j = value_of(r->config, key);
    if (!j)
        return true;
    *out = j->number;
    return in_range(r, j, key, "a number", least, largest);
}

/* Reads three numbers, or one for all channels. The bounds keep the results that are computed from them finite in
 * float32. */
static bool read_three(const Reading *r, const char *key, double least, double largest, float out[3])
{
    const Json *j = value_of(r->config, key);
    if (j && j->type != JSON_NUMBER && (j->type != JSON_ARRAY || j->count != 3))
        return bad(r, j, key, "expected three numbers, or one");
    for (size_t c = 0; j && c < 3; c++) {
        const Json *v = j->type == JSON_ARRAY ? json_at(j, c) : j;
        if (!in_range(r, v, key, "numbers", least, largest))
            return false;
        out[c] = (float)v->number;
    }
    return true;
}

/* Reads size or crop_size: a number, [height, width], {"height", "width"} or {"shortest_edge"}. *shorter is set for
 * shortest_edge, and for a number if `short_side` is true; otherwise it is 0. */
static bool read_size(const Reading *r, const Json *j, const char *key, bool short_side, int64_t *w, int64_t *h,
                      int64_t *shorter)
{
    static const char *const OTHERS[] = {"longest_edge", "max_height", "max_width"};
    int64_t n;
    *shorter = 0;
    for (size_t i = 0; i < COUNT(OTHERS); i++)
        if (value_of(j, OTHERS[i]))
            return unsupported(r, value_of(j, OTHERS[i]), OTHERS[i],
                               "sizes that depend on the image are not supported");
    bool list = j->type == JSON_ARRAY && j->count == 2;
    const Json *height = list ? json_at(j, 0) : value_of(j, "height"),
               *width = list ? json_at(j, 1) : value_of(j, "width");
    if (json_i64(j, &n)) {
        *w = *h = n;
        *shorter = short_side ? n : 0;
    } else if (json_i64(value_of(j, "shortest_edge"), &n)) {
        *w = *h = *shorter = n;
    } else if (!json_i64(height, h) || !json_i64(width, w)) {
        return bad(r, j, key, "expected a size: a number, height and width, or shortest_edge");
    }
    return image_size_fits(*w, *h) ||
           bad(r, j, key,
               "expected a size from 1 to 16384 pixels; more than 16,777,216 pixels in all are not supported");
}

/* Reports whether the file names this class of image processors, by its present or its former name. */
static bool is_class(const Reading *r, const char *name)
{
    const Json *type = value_of(r->config, "image_processor_type");
    if (!type)
        type = value_of(r->config, "feature_extractor_type");
    return type && type->type == JSON_STRING && text_starts(type->text, name);
}

/* Reads the geometry of ConvNextImageProcessor, which ResNets use. Below size 384, the short side is resized to size /
 * crop_pct and the centre is cropped. From 384 on, the image is squashed to the size. */
static bool read_crop_pct(const Reading *r, Preset *p, int64_t size)
{
    const Json *crop = value_of(r->config, "do_center_crop");
    double part = 224.0 / 256.0;
    if (crop && json_is_true(crop))
        return unsupported(r, crop, "do_center_crop", "a second crop after that of crop_pct is not supported");
    if (!read_number(r, "crop_pct", 0.05, 1, &part))
        return false;
    p->fit = size < 384 ? FIT_SHORT_SIDE : FIT_SQUASH;
    p->resize = (int64_t)((double)size / part);
    p->width = p->height = size;
    p->across = p->down = 0;
    return true;
}

/* Reads size, crop_pct, do_resize, do_center_crop and crop_size. */
static bool read_geometry(const Reading *r, Preset *p, const Preset *usual)
{
    const Json *size = value_of(r->config, "size"), *crop_size = value_of(r->config, "crop_size");
    bool usually = usual->fit == FIT_SHORT_SIDE, resize, crop;
    int64_t shorter = usually ? usual->resize : 0, w = shorter ? shorter : usual->width,
            h = shorter ? shorter : usual->height, ignored;
    if ((size && !read_size(r, size, "size", usually, &w, &h, &shorter)) || !read_flag(r, "do_resize", true, &resize))
        return false;
    if (resize && (json_get(r->config, "crop_pct") || is_class(r, "ConvNext")))
        return read_crop_pct(r, p, w);
    if (!read_flag(r, "do_center_crop", usually || (shorter && crop_size), &crop))
        return false;
    int64_t across = usually ? usual->width : w, down = usually ? usual->height : h;
    if (crop && crop_size && !read_size(r, crop_size, "crop_size", false, &across, &down, &ignored))
        return false;
    if ((shorter || !resize) && !crop)
        return fail(r->error, SP_UNSUPPORTED, "%s: images of different sizes (%s without a crop) are not supported",
                    r->path, resize ? "shortest_edge" : "do_resize: false");
    p->fit = !resize ? FIT_OWN : shorter ? FIT_SHORT_SIDE : FIT_SQUASH;
    p->resize = shorter;
    p->width = crop ? across : w;
    p->height = crop ? down : h;
    bool two = p->fit == FIT_SQUASH && (p->width != w || p->height != h); /* a resize, then a crop */
    p->across = two ? w : 0;
    p->down = two ? h : 0;
    return true;
}

static bool read_filter(const Reading *r, Filter *filter)
{
    static const Filter PILLOW[] = {FILTER_NEAREST, FILTER_LANCZOS, FILTER_BILINEAR,
                                    FILTER_BICUBIC, FILTER_BOX,     FILTER_HAMMING};
    const Json *j = value_of(r->config, "resample");
    int64_t n = 0;
    if (!j)
        return true;
    if (!json_i64(j, &n) || n < 0 || n >= (int64_t)COUNT(PILLOW))
        return bad(r, j, "resample",
                   "expected 0 (nearest), 1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming)");
    *filter = PILLOW[n];
    return true;
}

/* Reads the settings of the pixel values. rescale_offset and include_top are settings of EfficientNetImageProcessor
 * only: transformers' other classes ignore them, so they are not read if the file names another class. If the file
 * names no class, transformers takes the class of the model's family; both settings are then read, and `usual` has the
 * family's defaults. */
static bool read_values(const Reading *r, Preset *p, const Preset *usual)
{
    bool rescale, named = value_of(r->config, "image_processor_type") || value_of(r->config, "feature_extractor_type"),
                  efficient = is_class(r, "EfficientNet");
    p->scale = SCALE_PROCESSOR;
    p->factor = usual->factor > 0 ? usual->factor : 1.0 / 255.0;
    if (!read_three(r, "image_mean", -1e6, 1e6, p->mean) || !read_three(r, "image_std", 1e-6, 1e6, p->std) ||
        !read_number(r, "rescale_factor", 1e-6, 1e6, &p->factor) || !read_flag(r, "do_rescale", true, &rescale) ||
        !read_flag(r, "do_normalize", true, &p->normalize))
        return false;
    if (!read_flag(r, "do_convert_rgb", usual->white, &p->white))
        return false;
    p->offset = p->again = false;
    if ((efficient || !named) && (!read_flag(r, "rescale_offset", usual->offset, &p->offset) ||
                                  !read_flag(r, "include_top", efficient || usual->again, &p->again)))
        return false;
    if (!rescale) { /* without a rescale there is no offset */
        p->factor = 1.0;
        p->offset = false;
    }
    return true;
}

/* Memory and time: as json_parse states for a file of at most 64 KB. Accepted values give finite means and deviations
 * in float32. */
bool preset_from_folder(Preset *p, const Preset *usual, const Files *folder, Arena *a, Error *e)
{
    Reading r = {.error = e};
    r.config = folder_json(folder, "preprocessor_config.json", JSON_OBJECT, &r.path, a, e);
    if (!r.config)
        return e->code == SP_OK;
    Preset read = *usual;
    const Json *pad = value_of(r.config, "do_pad");
    read.crop = CROP_FLOOR;
    if (pad && json_is_true(pad))
        return unsupported(&r, pad, "do_pad", "images that are padded are not supported");
    if (!read_geometry(&r, &read, usual) || !read_filter(&r, &read.how.filter) || !read_values(&r, &read, usual))
        return false;
    *p = read;
    return true;
}

const Preset preset_224 = {.fit = FIT_SQUASH,
                           .width = 224,
                           .height = 224,
                           .how = {.filter = FILTER_BICUBIC},
                           .mean = {0.485f, 0.456f, 0.406f},
                           .std = {0.229f, 0.224f, 0.225f}};

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
