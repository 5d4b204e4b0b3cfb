/* data_options.c: options about data that several commands take, and figures printed alike. */
#include "tools/tools.h"

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
            if (!(cells[(r + 1) * columns + 1 + k] = arena_printf(c->arena, e, "%.4f", scores[r]->mean[m * first->cutoffs + at])))
                return false;
    }
    table_print(to, cells, n + 1, columns, align);
    return true;
}
