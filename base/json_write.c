/* base/json_write.c: the only writer of JSON. It adds commas, quotes and escapes. */
#include "base/base.h"

static void pass_on(JsonWriter *w, const char *text, size_t n)
{
    if (w->out) {
        Error ignored = {0}; /* the Out keeps the error */
        out_write(w->out, text, n, &ignored);
    } else {
        fwrite(text, 1, n, w->to);
    }
}

static void flush(JsonWriter *w)
{
    pass_on(w, w->buffer, w->used);
    w->used = 0;
}

static void put(JsonWriter *w, const char *text, size_t n)
{
    if (n > sizeof w->buffer - w->used)
        flush(w);
    if (n > sizeof w->buffer) {
        pass_on(w, text, n);
    } else {
        memcpy(w->buffer + w->used, text, n);
        w->used += n;
    }
}

/* Writes a string in quotes. Bytes that are not UTF-8 (file names may have some) become U+FFFD, so that every reader
 * accepts the output. The bytes from `run` to i are written unchanged. */
static void put_quoted(JsonWriter *w, Text t)
{
    put(w, "\"", 1);
    for (size_t i = 0, run = 0; i <= t.n;) {
        uint32_t code = 0;
        while (i < t.n && (signed char)t.p[i] >= ' ' && t.p[i] != '"' && t.p[i] != '\\') /* ASCII */
            i++;
        size_t length = i < t.n ? utf8_decode(t.p + i, t.n - i, &code) : 0;
        if (length > 1) {
            i += length;
            continue;
        }
        put(w, t.p + run, i - run);
        if (i < t.n) {
            char escape[8];
            int n = snprintf(escape, sizeof escape, length && code >= ' ' ? "\\%c" : "\\u%04x",
                             length ? code & 0xff : 0xfffdU);
            put(w, escape, (size_t)n);
        }
        run = ++i;
    }
    put(w, "\"", 1);
}

static void put_line(JsonWriter *w, int indent)
{
    static const char blanks[] = "\n          ";
    if (indent >= 0)
        put(w, blanks, 1 + (size_t)indent);
}

/* Writes everything before a value: a comma unless it is the first, a line end, the key. */
static void put_key(JsonWriter *w, const char *key)
{
    if (w->depth) {
        int indent = w->level[w->depth - 1].indent;
        if (w->filled)
            put(w, ", ", w->spaced && indent < 0 ? 2 : 1);
        put_line(w, indent);
    }
    w->filled = true;
    if (key) {
        put_quoted(w, text_of(key));
        put(w, ": ", w->spaced ? 2 : 1);
    }
}

static void begin(JsonWriter *w, const char *key, const char *bracket)
{
    put_key(w, key);
    put(w, bracket, 1);
    w->level[w->depth++] = (JsonLevel){bracket[1], -1};
    w->filled = false;
}

void json_object(JsonWriter *w, const char *key)
{
    begin(w, key, "{}");
}

void json_array(JsonWriter *w, const char *key)
{
    begin(w, key, "[]");
}

void json_lines(JsonWriter *w, int indent)
{
    w->level[w->depth - 1].indent = (signed char)indent;
}

void json_end(JsonWriter *w)
{
    JsonLevel *l = &w->level[--w->depth];
    put_line(w, l->indent > 0 ? l->indent - 2 : l->indent);
    put(w, &l->close, 1);
    w->filled = true;
    if (!w->depth)
        flush(w);
}

void json_finish(JsonWriter *w)
{
    while (w->depth)
        json_end(w);
    put(w, "\n", 1);
    flush(w);
}

void json_put_text(JsonWriter *w, const char *key, Text value)
{
    put_key(w, key);
    put_quoted(w, value);
}

static void put_word(JsonWriter *w, const char *key, const char *word)
{
    put_key(w, key);
    put(w, word, strlen(word));
}

void json_put_string(JsonWriter *w, const char *key, const char *value)
{
    if (value)
        json_put_text(w, key, text_of(value));
    else
        put_word(w, key, "null");
}

void json_put_bool(JsonWriter *w, const char *key, bool value)
{
    put_word(w, key, value ? "true" : "false");
}

void json_put_i64(JsonWriter *w, const char *key, int64_t value)
{
    json_put_number(w, key, "%lld", (long long)value);
}

void json_put_number(JsonWriter *w, const char *key, const char *format, ...)
{
    char text[400]; /* the largest double has 309 digits */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_word(w, key, strchr(text, 'n') ? "null" : text); /* JSON has no nan and no inf */
}

void json_members(JsonWriter *w, const char *format, ...)
{
    char text[256], *rest = text;
    va_list args;
    snprintf(text, sizeof text, "%s", format);
    va_start(args, format);
    for (const char *key; (key = strsep(&rest, " "));) {
        const char *conversion = strsep(&rest, " ");
        char kind = conversion[strlen(conversion) - 1];
        if (kind == 's')
            json_put_string(w, key, va_arg(args, const char *));
        else if (kind == 'd')
            json_put_i64(w, key, va_arg(args, long long));
        else if (kind == 'u')
            json_put_i64(w, key, (int64_t)va_arg(args, size_t));
        else
            json_put_number(w, key, conversion, va_arg(args, double));
    }
    va_end(args);
}

JsonWriter json_record(FILE *to, const char *key, const char *value)
{
    JsonWriter w = {.to = to};
    json_object(&w, NULL);
    json_put_string(&w, key, value);
    return w;
}
