/* extractors/loading.c: reading an architecture's tensors by name, and its config.json. */
// flags: -Os
#include "extractors/loading.h"

bool model_has(const ModelSource *s, const char *suffix, Text *prefix)
{
    size_t n = strlen(suffix);
    for (size_t i = 0; i < weights_count(s->weights); i++) {
        Text name = weights_at(s->weights, i)->name;
        if (!text_ends(name, suffix) || (name.n > n && name.p[name.n - n - 1] != '.'))
            continue;
        if (prefix)
            *prefix = (Text){name.p, name.n - n};
        return true;
    }
    return false;
}

bool loader_start(Loader *l, Encoder *en, const ModelSource *s, const char *suffix, Error *e)
{
    Text prefix;
    *l = (Loader){.encoder = en, .source = s, .prefix = "", .error = e};
    if (!model_has(s, suffix, &prefix))
        return fail(e, SP_FORMAT, "%s: has no tensor %s: is this a %s model?", s->path, suffix, en->kind->name);
    return (l->prefix = arena_strndup(en->arena, prefix.p, prefix.n, e)) != NULL;
}

static const char *name_of(const Loader *l, const char *format, va_list args)
{
    char text[512]; /* longer names are cut, and then not found */
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
    Hold how = tuning_hold(l->encoder, a != NULL, &a, NULL, false);
    return a ? tensor_load(l->encoder->store, a, &how, l->error) : NULL;
}

bool load_stacked(Loader *l, Linear *to, int n, int64_t N, int64_t K, bool bias, const char *const *names)
{
    const Array *w[4], *b[4] = {NULL};
    for (int i = 0; i < n; i++) {
        w[i] = load_array(l, 2, (int64_t[]){N, K}, "%s.weight", names[i]);
        if (!w[i] || (bias && !(b[i] = load_array(l, 1, w[i]->shape, "%s.bias", names[i]))))
            return false;
    }
    Hold how = tuning_hold(l->encoder, n, w, b, true);
    return linear_load(to, l->encoder->store, n, w, bias ? b : NULL, &how, l->error);
}

bool load_linear(Loader *l, Linear *to, int64_t N, int64_t K, const char *name)
{
    return load_stacked(l, to, 1, N, K, true, &name);
}

bool load_norm(Loader *l, Norm *to, int64_t C, double eps, const char *name)
{
    bool old = loader_has(l, "%s.gamma", name);
    if (!(eps >= 0 && eps <= 1))
        return fail(l->error, SP_FORMAT, "%s: %s: expected a norm's epsilon from 0 to 1, found %g", l->source->path,
                    name, eps);
    const Array *gamma = load_array(l, 1, &C, "%s.%s", name, old ? "gamma" : "weight");
    const Array *beta = load_array(l, 1, &C, "%s.%s", name, old ? "beta" : "bias");
    if (!gamma || !beta)
        return false;
    Hold how = tuning_hold(l->encoder, 1, &gamma, &beta, false);
    return norm_load(to, l->encoder->store, gamma, beta, (float)eps, &how, l->error);
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
    if (l->error->code != SP_OK)
        return false;
    Hold how = tuning_hold(l->encoder, 2, (const Array *[]){w, n[0]}, (const Array *[]){bias, n[1]}, false);
    how.plain = l->encoder->options.train.weights != NULL; /* below it there may be parameters */
    return conv_load(to, l->encoder->store, w, bias, n[0], n[1], n[2], n[3], eps, stride, pad, groups, &how, l->error);
}

/* ---- config.json ----------------------------------------------------------------------------- */

/* NULL where the key is absent or null: transformers takes both for "as usual". */
static const Json *config_get(const ModelSource *s, const char *key)
{
    const Json *j = json_get(s->config, key);
    return j && j->type != JSON_NULL ? j : NULL;
}

static bool bad_config(Loader *l, const Json *j, const char *key, const char *expected)
{
    return fail(l->error, SP_FORMAT, "%s/config.json:%u:%u: %s: expected %s", l->source->folder, j->line, j->column,
                key, expected);
}

int64_t config_i64(Loader *l, const char *key, int64_t fallback)
{
    const Json *j = config_get(l->source, key);
    int64_t n = fallback;
    if (j && !json_i64(j, &n))
        bad_config(l, j, key, "a whole number");
    return n;
}

int64_t config_heads(Loader *l, const char *key, int64_t fallback)
{
    if (!l->source->config)
        fail(l->error, SP_FORMAT, "%s: config.json is missing: the tensors do not state the number of heads",
             l->source->path);
    return config_i64(l, key, fallback);
}

double config_f64(Loader *l, const char *key, double fallback)
{
    const Json *j = config_get(l->source, key);
    if (j && j->type != JSON_NUMBER)
        bad_config(l, j, key, "a number");
    return j && j->type == JSON_NUMBER ? j->number : fallback;
}

bool config_has(const ModelSource *s, const char *key)
{
    return config_get(s, key) != NULL;
}

bool config_is(const ModelSource *s, const char *key, const char *value)
{
    const Json *j = config_get(s, key);
    return j && j->type == JSON_STRING && text_is(j->text, value);
}

bool config_fits(Loader *l, int64_t layers, int64_t found, int64_t heads, int64_t width)
{
    return (layers >= 1 && layers <= found && width >= 1 && heads >= 1 && width % heads == 0) ||
           fail(l->error, SP_FORMAT,
                "%s: %lld layers and %lld heads (config.json, or the family's default) do not fit the "
                "tensors, which have %lld layers of width %lld",
                l->source->path, (long long)layers, (long long)heads, (long long)found, (long long)width);
}

bool config_act(Loader *l, const char *key, Act fallback, Act *act)
{
    const Json *j = config_get(l->source, key);
    *act = fallback;
    if (!j || (j->type == JSON_STRING && act_find(j->text, act)))
        return true;
    Text names = act_names();
    return fail(l->error, SP_UNSUPPORTED, "%s/config.json:%u:%u: %s: expected %.*s", l->source->folder, j->line,
                j->column, key, (int)names.n, names.p);
}
