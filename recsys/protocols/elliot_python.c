/* recsys/protocols/elliot_python.c: numbers and words as Python and PyYAML have them: Elliot's files are full of them. */
// flags: -Os
#include "recsys/protocols/elliot.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

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
        if (isdigit((unsigned char)*p)) /* not the point, which a locale may write otherwise */
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

/* An exponent at i; PyYAML asks for its sign. */
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

/* A plain number as PyYAML (`yaml`) or Python has it. */
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
    return text_is(text, "None")                            ? PYTHON_NONE
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
