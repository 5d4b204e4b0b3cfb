/* data_options.c: options about data that several commands take, texts read and figures printed alike. */
#include "tools/tools.h"

bool text_file_read(Text *out, Arena *a, const char *path, Error *e)
{
    bool in = strcmp(path, "-") == 0;
    const char *name = in ? "standard input" : path;
    if (!(in ? input_read(out, a, stdin, name, 0, e) : stream_read(out, a, path, 0, e)))
        return false;
    if (text_starts(*out, "\xEF\xBB\xBF"))
        *out = (Text){out->p + 3, out->n - 3};
    const char *nul = out->n ? memchr(out->p, 0, out->n) : NULL;
    size_t bad = nul ? (size_t)(nul - out->p) : 0, line = 1;
    if (!nul && utf8_valid(*out, &bad))
        return true;
    for (size_t i = 0; i < bad; i++)
        line += out->p[i] == '\n';
    return fail(e, SP_FORMAT, "%s:%zu: %s", name, line,
                nul ? "holds a NUL byte: not a text file" : "is not valid UTF-8; convert it (iconv -t UTF-8)");
}

bool read_format(const Context *c, Format *f, Error *e)
{
    static const char *const FORMATS[] = {"auto", "tsv", "inter", "recbole", "lightgcn"};
    static const Format CODES[] = {FORMAT_AUTO, FORMAT_TSV, FORMAT_INTER, FORMAT_RECBOLE, FORMAT_LIGHTGCN};
    int format = 0;
    if (!option_choice(c, "format", FORMATS, COUNT(FORMATS), &format, e))
        return false;
    *f = CODES[format];
    return true;
}

bool read_protocol(const Context *c, Protocol *p, Error *e)
{
    static const char *const PROTOCOLS[] = {"elliot", "mmrec"};
    int protocol = 0;
    if (!option_choice(c, "protocol", PROTOCOLS, COUNT(PROTOCOLS), &protocol, e))
        return false;
    *p = protocol ? PROTOCOL_MMREC : PROTOCOL_ELLIOT;
    return true;
}

bool show_scores(FILE *to, Context *c, const char *const *labels, const Scores *const *scores, size_t n, Error *e)
{
    const Scores *first = scores[0];
    size_t columns = 1 + first->metrics * first->cutoffs;
    const char **cells = NEW(c->arena, const char *, (n + 1) * columns, e);
    char *align = arena_alloc(c->arena, columns, 1, e);
    if (!cells || !align)
        return false;
    memset(align, 'r', columns);
    align[0] = 'l';
    cells[0] = "";
    for (size_t r = 0; r < n; r++)
        cells[(r + 1) * columns] = labels[r];
    for (size_t k = 0; k + 1 < columns; k++) {
        size_t m = k % first->metrics, at = k / first->metrics;
        if (!(cells[1 + k] = arena_printf(c->arena, e, "%s@%lld", first->names[m], (long long)first->at[at])))
            return false;
        for (size_t r = 0; r < n; r++)
            if (!(cells[(r + 1) * columns + 1 + k] =
                      arena_printf(c->arena, e, "%.4f", scores[r]->mean[m * first->cutoffs + at])))
                return false;
    }
    table_print(to, cells, n + 1, columns, align);
    return true;
}
