/* extractors/loading.c: reads an architecture's tensors by name, and its config.json. */
// flags: -Os
#include "extractors/loading.h"

static const Array *find_suffix(const ModelSource *s, const char *suffix)
{
    size_t n = strlen(suffix);
    for (size_t i = 0; i < weights_count(s->weights); i++) {
        const Array *x = weights_at(s->weights, i);
        if (text_ends(x->name, suffix) && (x->name.n == n || x->name.p[x->name.n - n - 1] == '.'))
            return x;
    }
    return NULL;
}

bool model_has(const ModelSource *s, const char *suffix, Text *prefix)
{
    const Array *x = find_suffix(s, suffix);
    if (x && prefix)
        *prefix = (Text){x->name.p, x->name.n - strlen(suffix)};
    return x != NULL;
}

int64_t model_rows(const ModelSource *s, const char *suffix)
{
    const Array *x = find_suffix(s, suffix);
    return x && x->dims > 0 ? x->shape[0] : 0;
}

bool model_stated(const ModelSource *s)
{
    const Json *type = json_get(s->config, "model_type");
    return type && type->type == JSON_STRING && type->text.n;
}

bool loader_start(Loader *l, Encoder *en, const ModelSource *s, const char *suffix, Error *e)
{
    Text prefix;
    *l = (Loader){.encoder = en, .source = s, .prefix = "", .config = s->config, .error = e};
    if (!model_has(s, suffix, &prefix))
        return fail(e, SP_FORMAT, "%s: has no tensor %s: is this a %s model?", s->path, suffix, en->kind->name);
    return (l->prefix = arena_strndup(en->arena, prefix.p, prefix.n, e)) != NULL;
}

Loader loader_part(Loader *l, const char *section, const char *prefix)
{
    Loader part = *l;
    part.prefix = load_name(l, "%s%s", l->prefix, prefix);
    if (!section)
        return part;
    part.section = section;
    part.config = config_get(l, section);
    if (part.config && part.config->type != JSON_OBJECT)
        config_bad(l, part.config, section, "an object with the settings of a tower");
    return part;
}

static const char *name_of(const Loader *l, const char *format, va_list args)
{
    char text[512]; /* a longer name is cut, and is then not found */
    vsnprintf(text, sizeof text, format, args);
    return arena_printf(l->encoder->arena, l->error, "%s%s", l->prefix, text);
}

bool loader_has(const Loader *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *name = name_of(l, format, args);
    va_end(args);
    return name && weights_find(l->source->weights, name);
}

int64_t loader_rows(const Loader *l, const char *name)
{
    const char *whole = arena_printf(l->encoder->arena, l->error, "%s%s.weight", l->prefix, name);
    const Array *x = whole ? weights_find(l->source->weights, whole) : NULL;
    return x && x->dims > 0 ? x->shape[0] : 0;
}

const char *load_name(Loader *l, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *name = arena_strndup(l->encoder->arena, text, strlen(text), l->error);
    return name ? name : "";
}

const Array *load_array(Loader *l, int dims, const int64_t *shape, const char *format, ...)
{
    if (l->error->code != SP_OK)
        return NULL;
    va_list args;
    va_start(args, format);
    const char *name = name_of(l, format, args);
    va_end(args);
    return name ? weights_need_shape(l->source->weights, l->error, name, dims, shape) : NULL;
}

Tensor *load_tensor(Loader *l, int dims, const int64_t *shape, const char *format, ...)
{
    if (l->error->code != SP_OK)
        return NULL;
    va_list args;
    va_start(args, format);
    const char *name = name_of(l, format, args);
    va_end(args);
    const Array *a = name ? weights_need_shape(l->source->weights, l->error, name, dims, shape) : NULL;
    WeightForm how = tuning_weight_form(l->encoder, a != NULL, &a, NULL, false);
    return a ? tensor_load(l->encoder->store, a, &how, l->error) : NULL;
}

float load_number(Loader *l, const char *name)
{
    const char *whole = arena_printf(l->encoder->arena, l->error, "%s%s", l->prefix, name);
    const Array *a = whole ? weights_find(l->source->weights, whole) : NULL;
    float x = 0;
    if (a && a->count == 1)
        array_f32(a, 0, 1, &x);
    else if (whole)
        fail(l->error, SP_FORMAT, "%s: expected a tensor %s of one number, found %lld", l->source->path, whole,
             a ? (long long)a->count : 0);
    return x;
}

Tensor *load_words(Loader *l, const char *name)
{
    Tensor *x = load_tensor(l, 2, (int64_t[]){-1, -1}, "%s.weight", name);
    if (x)
        l->encoder->text.vocabulary = x->shape[0];
    return x;
}

Tensor *load_positions(Loader *l, int64_t C, int32_t first, const char *name)
{
    TextTower *to = &l->encoder->text;
    const Array *a = load_array(l, 2, (int64_t[]){-1, C}, "%s.weight", name);
    if (a && a->shape[0] <= first)
        fail(l->error, SP_FORMAT, "%s: tensor %s: %lld positions are too few", a->file, a->name.p,
             (long long)a->shape[0]);
    Tensor *x = a ? load_tensor(l, 2, a->shape, "%s.weight", name) : NULL;
    if (x) {
        to->first_position = first;
        to->max_tokens = x->shape[0] - first;
    }
    return x;
}

bool load_stacked(Loader *l, Linear *to, int n, int64_t N, int64_t K, bool bias, const char *const *names)
{
    const Array *w[4], *b[4] = {NULL};
    for (int i = 0; i < n; i++) {
        w[i] = load_array(l, 2, (int64_t[]){N, K}, "%s.weight", names[i]);
        if (!w[i] || (bias && !(b[i] = load_array(l, 1, w[i]->shape, "%s.bias", names[i]))))
            return false;
    }
    WeightForm how = tuning_weight_form(l->encoder, n, w, b, true);
    return linear_load(to, l->encoder->store, n, w, bias ? b : NULL, &how, l->error);
}

bool load_fused(Loader *l, Linear *to, int64_t N, int64_t K, const char *weight, const char *bias)
{
    const Array *w = load_array(l, 2, (int64_t[]){N, K}, "%s", weight), *b = NULL;
    if (!w || (bias && !(b = load_array(l, 1, w->shape, "%s", bias))))
        return false;
    WeightForm how = tuning_weight_form(l->encoder, 1, &w, &b, true);
    return linear_load(to, l->encoder->store, 1, &w, bias ? &b : NULL, &how, l->error);
}

bool load_linear(Loader *l, Linear *to, int64_t N, int64_t K, bool bias, const char *name)
{
    return load_stacked(l, to, 1, N, K, bias, &name);
}

bool load_norm(Loader *l, Norm *to, int64_t C, double eps, const char *name)
{
    bool old = loader_has(l, "%s.gamma", name);
    if (!(eps >= 0 && eps <= 1))
        return fail(l->error, SP_FORMAT, "%s: %s%s: expected a norm's epsilon from 0 to 1, found %g", l->source->path,
                    l->prefix, name, eps);
    const Array *gamma = load_array(l, 1, &C, "%s.%s", name, old ? "gamma" : "weight");
    const Array *beta = load_array(l, 1, &C, "%s.%s", name, old ? "beta" : "bias");
    if (!gamma || !beta)
        return false;
    WeightForm how = tuning_weight_form(l->encoder, 1, &gamma, &beta, false);
    return norm_load(to, l->encoder->store, gamma, beta, (float)eps, &how, l->error);
}

/* Checks the settings of a pickled module against what the family computes. */
static bool check_module(Loader *l, const char *layer, int64_t stride, int64_t pad, int64_t groups, double eps)
{
    static const char *const NAMES[] = {"stride", "padding", "dilation", "groups"};
    const char *name = arena_printf(l->encoder->arena, l->error, "%s%s", l->prefix, layer);
    const PickledModule *m = name ? weights_module_find(l->source->weights, name) : NULL;
    if (!m)
        return name != NULL;
    const int64_t stated[] = {m->stride, m->padding, m->dilation, m->groups}, expected[] = {stride, pad, 1, groups};
    for (size_t k = 0; k < COUNT(stated); k++)
        if (stated[k] != SETTING_ABSENT && stated[k] != expected[k])
            return fail(l->error, SP_UNSUPPORTED, "%s: module %s: expected %s %lld, found %s", l->source->path, name,
                        NAMES[k], (long long)expected[k],
                        stated[k] == SETTING_OTHER ? "another form" : load_name(l, "%lld", (long long)stated[k]));
    return m->eps < 0 || m->eps == eps ||
           fail(l->error, SP_UNSUPPORTED, "%s: module %s: expected eps %g, found %g", l->source->path, name, eps,
                m->eps);
}

bool load_conv(Loader *l, Conv2d *to, int64_t C, const char *conv, const char *norm, double eps, int64_t stride,
               int64_t pad, int64_t groups)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    const Array *w = load_array(l, 4, (int64_t[]){-1, C / groups, -1, -1}, "%s.weight", conv), *n[4] = {NULL};
    const Array *bias =
        w && !norm && loader_has(l, "%s.bias", conv) ? load_array(l, 1, w->shape, "%s.bias", conv) : NULL;
    for (int i = 0; norm && i < 4; i++)
        if (!w || !(n[i] = load_array(l, 1, w->shape, "%s.%s", norm, parts[i])))
            return false;
    if (l->error->code != SP_OK || !check_module(l, conv, stride, pad, groups, eps) ||
        (norm && !check_module(l, norm, SETTING_ABSENT, SETTING_ABSENT, SETTING_ABSENT, eps)))
        return false;
    WeightForm how =
        tuning_weight_form(l->encoder, 2, (const Array *[]){w, n[0]}, (const Array *[]){bias, n[1]}, false);
    how.plain = l->encoder->options.train.weights != NULL; /* layers before this one may have parameters */
    return conv_load(to, l->encoder->store, w, bias, n[0], n[1], n[2], n[3], eps, stride, pad, groups, &how, l->error);
}

int64_t load_groups(const Loader *l, int64_t C, const char *name)
{
    const char *whole = arena_printf(l->encoder->arena, l->error, "%s%s.weight", l->prefix, name);
    const Array *w = whole ? weights_find(l->source->weights, whole) : NULL;
    return w && w->dims == 4 && w->shape[1] > 0 && C % w->shape[1] == 0 ? C / w->shape[1] : 1;
}

/* Cuts `begin` off a name; # in `begin` is a number. Returns false if the name begins differently. */
static bool cut_begin(Text *name, const char *begin)
{
    for (; *begin; begin++) {
        size_t n = 0;
        while (*begin == '#' && n < name->n && name->p[n] >= '0' && name->p[n] <= '9')
            n++;
        n += *begin != '#' && name->n && *name->p == *begin;
        if (!n)
            return false;
        *name = (Text){name->p + n, name->n - n};
    }
    return true;
}

bool load_only(Loader *l, const char *begin, const char *const *parts)
{
    const Weights *w = l->source->weights;
    size_t prefix = strlen(l->prefix);
    for (size_t i = 0; l->error->code == SP_OK && i < weights_count(w); i++) {
        Text name = weights_at(w, i)->name, rest = {name.p + prefix, name.n - prefix}, part;
        if (!text_starts(name, l->prefix) || !cut_begin(&rest, begin) || !text_next(&rest, '.', &part))
            continue;
        bool known = false;
        for (size_t k = 0; parts[k]; k++)
            known |= text_is(part, parts[k]);
        if (!known)
            return fail(l->error, SP_UNSUPPORTED,
                        "%s: tensor %.200s: a %s has no such layer, and the result would be wrong", l->source->path,
                        name.p, l->encoder->kind->name);
    }
    return l->error->code == SP_OK;
}

/* ---- config.json ----------------------------------------------------------------------------- */

/* Returns the value of a key; NULL if absent or null. transformers also uses the default for null. */
const Json *config_get(const Loader *l, const char *key)
{
    const Json *j = json_get(l->config, key);
    return j && j->type != JSON_NULL ? j : NULL;
}

/* Returns "vision_config.", which is put before a key of that section, in the encoder's arena; "" without a section. */
static const char *section_of(Loader *l)
{
    return l->section ? load_name(l, "%s.", l->section) : "";
}

bool config_bad(Loader *l, const Json *value, const char *key, const char *expected)
{
    return fail(l->error, SP_FORMAT, "%s/config.json:%u:%u: %s%s: expected %s", l->source->folder, value->line,
                value->column, section_of(l), key, expected);
}

int64_t config_i64(Loader *l, const char *key, int64_t fallback)
{
    const Json *j = config_get(l, key);
    int64_t n = fallback;
    if (j && !json_i64(j, &n))
        config_bad(l, j, key, "a whole number");
    return n;
}

int64_t config_heads(Loader *l, const char *key, int64_t fallback)
{
    if (!l->source->config)
        fail(l->error, SP_FORMAT, "%s: config.json is missing: the tensors do not state the number of heads (%s%s)",
             l->source->path, section_of(l), key);
    return config_i64(l, key, fallback);
}

double config_f64(Loader *l, const char *key, double fallback)
{
    const Json *j = config_get(l, key);
    if (j && j->type != JSON_NUMBER)
        config_bad(l, j, key, "a number");
    return j && j->type == JSON_NUMBER ? j->number : fallback;
}

bool config_is(const Loader *l, const char *key, const char *value)
{
    return json_is_text(config_get(l, key), value);
}

bool config_fits(Loader *l, int64_t layers, int64_t found, int64_t heads, int64_t width)
{
    const char *of = l->section ? load_name(l, "%s of ", l->section) : "";
    return (layers >= 1 && layers <= found && width >= 1 && heads >= 1 && width % heads == 0) ||
           fail(l->error, SP_FORMAT,
                "%s: %lld layers and %lld heads (%sconfig.json, or the family's default) do not fit the "
                "tensors, which have %lld layers of width %lld",
                l->source->path, (long long)layers, (long long)heads, of, (long long)found, (long long)width);
}

bool config_act(Loader *l, const char *key, Act fallback, Act *act)
{
    const Json *j = config_get(l, key);
    *act = fallback;
    if (!j || (j->type == JSON_STRING && act_find(j->text, act)))
        return true;
    Text names = act_names();
    return fail(l->error, SP_UNSUPPORTED, "%s/config.json:%u:%u: %s%s: expected %.*s", l->source->folder, j->line,
                j->column, section_of(l), key, (int)names.n, names.p);
}
