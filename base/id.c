/* base/id.c: checks and writes ids. base.h states the rule for ids. */
#include "base/base.h"

static const char *character_problem(uint32_t code)
{
    switch (code) {
    case '\0': return "holds a NUL byte";
    case '\t': return "holds a tab";
    case '\n': return "holds a line end";
    case '\r': return "holds a carriage return";
    case 0x2028: /* some programs end a line at these two */
    case 0x2029: return "holds a line separator (U+2028 or U+2029)";
    default: return code < 0x20 || (code >= 0x7f && code < 0xa0) ? "holds a control character" : NULL;
    }
}

const char *id_problem(Text id)
{
    if (id.n == 0)
        return "is empty";
    if (text_starts(id, "\xEF\xBB\xBF"))
        return "begins with a byte order mark";
    for (size_t i = 0; i < id.n;) {
        unsigned char first = (unsigned char)id.p[i];
        if (first >= 0x20 && first < 0x7f) {
            i++;
            continue;
        }
        uint32_t code;
        size_t length = utf8_decode(id.p + i, id.n - i, &code);
        const char *problem = length ? character_problem(code) : "is not valid UTF-8";
        if (problem)
            return problem;
        i += length;
    }
    return NULL;
}

bool id_check(Text id, const char *path, size_t line, Error *e)
{
    const char *problem = id_problem(id);
    if (id.n == 0)
        return fail(e, SP_FORMAT, line ? "%s:%zu: the id is empty" : "%s: the id is empty", path, line);
    int shown = (int)MIN(id.n, (size_t)60);
    if (!problem)
        return true;
    if (line)
        return fail(e, SP_FORMAT, "%s:%zu: the id \"%.*s\" %s; rename it", path, line, shown, id.p, problem);
    return fail(e, SP_FORMAT, "%s: the id \"%.*s\" %s; rename it", path, shown, id.p, problem);
}

/* Writes a field by calls of `put`, for both writers. */
static bool put_field(Text field, bool (*put)(void *to, const char *p, size_t n, Error *e), void *to, Error *e)
{
    if (!text_starts(field, "\""))
        return put(to, field.p, field.n, e);
    bool ok = put(to, "\"", 1, e);
    for (size_t i = 0; ok && i < field.n; i++)
        ok = put(to, field.p[i] == '"' ? "\"\"" : field.p + i, field.p[i] == '"' ? 2 : 1, e);
    return ok && put(to, "\"", 1, e);
}

static bool put_out(void *to, const char *p, size_t n, Error *e)
{
    return out_write(to, p, n, e);
}

static bool put_file(void *to, const char *p, size_t n, Error *e)
{
    (void)e;
    fwrite(p, 1, n, to);
    return true;
}

bool out_tsv_field(Out *o, Text field, Error *e)
{
    return put_field(field, put_out, o, e);
}

void tsv_print_field(FILE *to, Text field)
{
    put_field(field, put_file, to, NULL);
}
