/* recsys/protocols/elliot_names.c: numbers and words as in Python and PyYAML; Elliot's name of a model with its
 * parameters, and its configuration as JSON. */
// flags: -Os
#include "recsys/protocols/elliot.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

/* ---- Python's values ------------------------------------------------------------------------- */

const char *python_float(double x, char buffer[32])
{
    char text[40] = "", digits[24] = "";
    int count = 0, exponent = 0, n = 0;
    if (!isfinite(x)) {
        snprintf(buffer, 32, "%s", isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
        return buffer;
    }
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, fabs(x));
        if (strtod(text, NULL) == fabs(x))
            break;
    }
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (isdigit((unsigned char)*p)) /* skips the decimal point, which depends on the locale */
            digits[count++] = *p;
    exponent = *p ? (int)strtol(p + 1, NULL, 10) : 0;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    if (signbit(x))
        buffer[n++] = '-';
    if (exponent < -4 || exponent >= 16) {
        buffer[n++] = digits[0];
        if (count > 1)
            n += snprintf(buffer + n, (size_t)(32 - n), ".%.*s", count - 1, digits + 1);
        snprintf(buffer + n, (size_t)(32 - n), "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return buffer;
    }
    if (exponent < 0)
        n += snprintf(buffer + n, (size_t)(32 - n), "0.%.*s", -exponent - 1, "0000");
    for (int i = 0; i < MAX(count, exponent + (exponent < 0 ? 1 : 2)); i++) {
        if (exponent >= 0 && i == exponent + 1)
            buffer[n++] = '.';
        buffer[n++] = i < count ? digits[i] : '0';
    }
    buffer[n] = 0;
    return buffer;
}

/* Returns the number of digits at a.p[i]. */
static size_t digits_at(Text a, size_t i)
{
    size_t n = 0;
    while (i + n < a.n && isdigit((unsigned char)a.p[i + n]))
        n++;
    return n;
}

static bool is_sign(Text a, size_t i)
{
    return i < a.n && (a.p[i] == '+' || a.p[i] == '-');
}

/* Reports whether the text ends at i, or has an exponent from i to its end. sign: the exponent must have a sign, as in
 * PyYAML. */
static bool is_exponent(Text a, size_t i, bool sign)
{
    if (i == a.n)
        return true;
    if (a.p[i] != 'e' && a.p[i] != 'E')
        return false;
    i++;
    if (is_sign(a, i))
        i++;
    else if (sign)
        return false;
    return digits_at(a, i) > 0 && i + digits_at(a, i) == a.n;
}

/* Returns the type of a plain number in PyYAML (`yaml`) or in Python. */
static PythonType number_type(Text a, bool yaml)
{
    size_t i = is_sign(a, 0), whole = digits_at(a, i);
    i += whole;
    if (i == a.n)
        return whole ? PYTHON_INT : PYTHON_STR;
    bool point = a.p[i] == '.';
    size_t fraction = point ? digits_at(a, i + 1) : 0;
    if ((!point && (yaml || !whole)) || (!whole && !fraction))
        return PYTHON_STR;
    return is_exponent(a, i + point + fraction, yaml) ? PYTHON_FLOAT : PYTHON_STR;
}

PythonType python_type(const Yaml *y)
{
    bool value;
    if (y->type != YAML_TEXT || y->quoted)
        return PYTHON_STR;
    return yaml_is_null(y) ? PYTHON_NONE : yaml_bool(y, &value) ? PYTHON_BOOL : number_type(y->text, true);
}

PythonType python_literal(Text text)
{
    return text_is(text, "None")                             ? PYTHON_NONE
           : text_is(text, "True") || text_is(text, "False") ? PYTHON_BOOL
                                                             : number_type(text, false);
}

const char *python_str(PythonType type, Text text, Arena *a, Error *e)
{
    char buffer[32];
    double number;
    int64_t whole;
    Yaml y = {.text = text};
    bool yes;
    switch (type) {
    case PYTHON_NONE: return "None";
    case PYTHON_BOOL: return yaml_bool(&y, &yes) && yes ? "True" : "False";
    case PYTHON_INT:
        if (text_i64(text, &whole))
            return arena_printf(a, e, "%lld", (long long)whole);
        break;
    case PYTHON_FLOAT:
        if (text_f64(text, &number))
            return arena_printf(a, e, "%s", python_float(number, buffer));
        break;
    case PYTHON_STR: break;
    }
    return arena_strndup(a, text.p, text.n, e);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Returns value `dim` of "lr=0.001 l_w=1e-05". */
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

/* Returns the type of a value in PyYAML or, if it is a text there, in Python. */
static PythonType type_of(Text value)
{
    Yaml y = {.type = YAML_TEXT, .text = value};
    PythonType type = python_type(&y);
    return type == PYTHON_STR ? python_literal(value) : type;
}

/* Returns a parameter's value at a point, as Python prints it. */
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

/* ---- JSON, as json.dump(indent=4) writes it -------------------------------------------------- */

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
            ok = out_printf(o, e, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
                            0xDC00 + ((code - 0x10000) & 0x3FF));
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
    for (const Yaml *child = y->first; ok && child; child = child->next)
        ok = out_printf(o, e, "%s\n%*s", child == y->first ? "" : ",", indent + 4, "") &&
             (!map || (put_string(o, child->key, e) && out_printf(o, e, ": "))) && put_yaml(o, child, indent + 4, e);
    return ok && out_printf(o, e, "\n%*s%c", indent, "", map ? '}' : ']');
}

/* Writes the value of a dimension as hyperopt gives it: an entry of the list, or a number. */
static bool put_drawn(Out *o, const ElliotModel *m, size_t i, const char *point, Arena *a, Error *e)
{
    const ElliotParam *p = elliot_param(m->kind, i);
    const Yaml *list = m->dims[m->dim[i]];
    Text value = value_at(point, m->dim[i]);
    const char *text = arena_strndup(a, value.p ? value.p : "", value.n, e), *entry;
    const char *printed = text ? elliot_printed(p, type_of(text_of(text)), text_of(text), a, e) : NULL;
    bool texts = true;
    if (!text || e->code)
        return false;
    for (const Yaml *y = list->first; y; y = y->next)
        texts = texts && python_type(y) == PYTHON_STR;
    for (const Yaml *y = list->first; y; y = y->next) {
        PythonType type = texts || y->quoted ? PYTHON_STR : type_of(y->text);
        if ((entry = elliot_printed(p, type, y->text, a, e)) && printed && !strcmp(entry, printed))
            return put_scalar(o, type, y->text, e);
    }
    if (e->code)
        return false;
    double number; /* a value of a distribution; randint draws whole numbers */
    char buffer[32];
    bool whole = list->first && text_is(list->first->text, "randint");
    return text_f64(text_of(text), &number) ? out_printf(o, e, "%s", whole ? text : python_float(number, buffer))
                                            : put_string(o, text_of(text), e);
}

bool elliot_put_configuration(Out *o, const ElliotModel *m, const char *name, const char *point, int64_t best_epoch,
                              Arena *a, Error *e)
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
