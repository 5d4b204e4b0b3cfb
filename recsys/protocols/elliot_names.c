/* recsys/protocols/elliot_names.c: the names that Elliot gives to a model with its parameters, and its configuration as
 * JSON. */
// flags: -Os
#include "recsys/protocols/elliot.h"

#include <string.h>

/* Value `dim` of "lr=0.001 l_w=1e-05". */
static Text value_at(const char *point, int dim)
{
    Text rest = text_of(point), part = {0}, key;
    for (int i = 0; i <= dim; i++)
        if (!text_next(&rest, ' ', &part))
            return (Text){0};
    Text value = part;
    text_next(&value, '=', &key);
    return value;
}

static PythonType type_of(Text value)
{
    Yaml y = {.type = YAML_TEXT, .text = value};
    PythonType type = python_type(&y);
    return type == PYTHON_STR ? python_literal(value) : type;
}

/* A parameter's value at a point, as Python prints it. */
static const char *printed_at(const Elliot *x, const ElliotModel *m, size_t i, const char *point, Arena *a, Error *e)
{
    const ElliotParam *p = elliot_param(m->kind, i);
    if (m->dim[i] >= 0) {
        Text value = value_at(point, m->dim[i]);
        const char *text = arena_strndup(a, value.p ? value.p : "", value.n, e);
        const char *printed = text ? elliot_printed(p, type_of(text_of(text)), text_of(text), a, e) : NULL;
        return printed || e->code ? printed : text;
    }
    if (!strcmp(p->key, "neighborhood") && !strcmp(m->printed[i], "-1") && x->train_count)
        return arena_printf(a, e, "%lld", (long long)x->items[0]);
    return m->printed[i];
}

const char *elliot_name(const Elliot *x, const ElliotModel *m, const char *point, Arena *a, Error *e)
{
    const char *name = m->kind->name;
    bool learns = m->kind->batch != BATCH_NONE;
    if (learns)
        name = arena_printf(a, e, "%s_seed=%lld", name, (long long)m->seed);
    for (size_t i = learns ? 0 : PARAM_OWN; name && elliot_param(m->kind, i); i++) {
        const char *value = printed_at(x, m, i, point, a, e);
        char *clean = value ? arena_strndup(a, value, strlen(value), e) : NULL;
        for (char *c = clean; c && *c; c++)
            *c = *c == '.' ? '$' : *c == '/' ? '_' : *c;
        name = clean ? arena_printf(a, e, "%s_%s=%s", name, elliot_param(m->kind, i)->shortcut, clean) : NULL;
    }
    return name;
}

/* ---- JSON as json.dump(indent=4) writes it --------------------------------------------------- */

static bool put_string(Out *o, Text text, Error *e)
{
    bool ok = out_write(o, "\"", 1, e);
    for (size_t i = 0; ok && i < text.n;) {
        uint32_t code;
        size_t n = utf8_decode(text.p + i, text.n - i, &code);
        if (n == 0) {
            code = 0xFFFD;
            n = 1;
        }
        i += n;
        if (code == '"' || code == '\\')
            ok = out_printf(o, e, "\\%c", (char)code);
        else if (code == '\n' || code == '\t' || code == '\r')
            ok = out_printf(o, e, "\\%c", code == '\n' ? 'n' : code == '\t' ? 't' : 'r');
        else if (code < ' ' || (code > '~' && code < 0x10000))
            ok = out_printf(o, e, "\\u%04x", code);
        else if (code >= 0x10000)
            ok = out_printf(o, e, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF));
        else
            ok = out_printf(o, e, "%c", (char)code);
    }
    return ok && out_write(o, "\"", 1, e);
}

static bool put_scalar(Out *o, PythonType type, Text value, Error *e)
{
    Arena *a = arena_new(NULL, 0);
    const char *text = a ? python_str(type, value, a, e) : NULL;
    bool ok = text || fail_memory(e, value.n, "JSON");
    if (ok && (type == PYTHON_STR || (type == PYTHON_FLOAT && strpbrk(text, "n"))))
        ok = put_string(o, value, e);
    else if (ok && (type == PYTHON_NONE || type == PYTHON_BOOL))
        ok = out_printf(o, e, "%s", type == PYTHON_NONE ? "null" : *text == 'T' ? "true" : "false");
    else
        ok = ok && out_printf(o, e, "%s", text);
    arena_free(a);
    return ok;
}

static bool put_yaml(Out *o, const Yaml *y, int indent, Error *e)
{
    if (y->type == YAML_TEXT)
        return put_scalar(o, python_type(y), y->text, e);
    bool map = y->type == YAML_MAP;
    if (y->count == 0)
        return out_printf(o, e, "%s", map ? "{}" : "[]");
    bool ok = out_printf(o, e, "%c", map ? '{' : '[');
    for (const Yaml *child = y->first; ok && child; child = child->next) {
        ok = out_printf(o, e, "%s\n%*s", child == y->first ? "" : ",", indent + 4, "") &&
             (!map || (put_string(o, child->key, e) && out_printf(o, e, ": "))) && put_yaml(o, child, indent + 4, e);
    }
    return ok && out_printf(o, e, "\n%*s%c", indent, "", map ? '}' : ']');
}

/* The value of a dimension as hyperopt gives it: an entry of the list, or a number. */
static bool put_drawn(Out *o, const ElliotModel *m, size_t i, const char *point, Arena *a, Error *e)
{
    const ElliotParam *p = elliot_param(m->kind, i);
    const Yaml *list = m->dims[m->dim[i]];
    Text value = value_at(point, m->dim[i]);
    const char *text = arena_strndup(a, value.p ? value.p : "", value.n, e), *own;
    const char *printed = text ? elliot_printed(p, type_of(text_of(text)), text_of(text), a, e) : NULL;
    bool texts = true;
    if (!text || e->code)
        return false;
    for (const Yaml *y = list->first; y; y = y->next)
        texts = texts && python_type(y) == PYTHON_STR;
    for (const Yaml *y = list->first; y; y = y->next) {
        PythonType type = texts || y->quoted ? PYTHON_STR : type_of(y->text);
        if ((own = elliot_printed(p, type, y->text, a, e)) && printed && !strcmp(own, printed))
            return put_scalar(o, type, y->text, e);
    }
    if (e->code)
        return false;
    double number; /* a distribution's: randint draws whole numbers */
    char buffer[32];
    bool whole = text_is(list->first->text, "randint");
    return text_f64(text_of(text), &number) ? out_printf(o, e, "%s", whole ? text : python_float(number, buffer))
                                            : put_string(o, text_of(text), e);
}

bool elliot_put_configuration(Out *o, const ElliotModel *m, const char *name, const char *point, int64_t best_epoch, Arena *a,
                              Error *e)
{
    bool ok = out_printf(o, e, "{");
    for (const Yaml *y = m->map ? m->map->first : NULL; ok && y; y = y->next) {
        size_t i = 0;
        if (text_is(y->key, "meta"))
            continue;
        while (elliot_param(m->kind, i) && !text_is(y->key, elliot_param(m->kind, i)->key))
            i++;
        bool drawn = elliot_param(m->kind, i) && m->dim[i] >= 0 && y->type == YAML_LIST;
        ok = out_printf(o, e, "\n            ") && put_string(o, y->key, e) && out_printf(o, e, ": ") &&
             (drawn ? put_drawn(o, m, i, point, a, e) : put_yaml(o, y, 12, e)) && out_printf(o, e, ",");
    }
    ok = ok && out_printf(o, e, "\n            \"name\": ") && put_string(o, text_of(name), e);
    if (ok && m->kind->batch != BATCH_NONE)
        ok = out_printf(o, e, ",\n            \"best_iteration\": %lld", (long long)best_epoch);
    return ok && out_printf(o, e, "\n        }");
}

bool elliot_put_meta(Out *o, const ElliotModel *m, Error *e)
{
    const Yaml *meta = m->map ? yaml_get(m->map, "meta") : NULL;
    return meta && meta->type == YAML_MAP ? put_yaml(o, meta, 8, e) : out_printf(o, e, "{}");
}

bool elliot_put_string(Out *o, const char *text, Error *e)
{
    return put_string(o, text_of(text), e);
}
