/* tools/data_options.c: options about data that several commands share; reads texts and prints figures for them. */
#include "tools/tools.h"

bool text_file_read(Text *out, Arena *a, const char *path, Error *e)
{
    bool in = strcmp(path, "-") == 0;
    const char *name = in ? "standard input" : path;
    return (in ? input_read(out, a, stdin, name, 0, e) : stream_read(out, a, path, 0, e)) &&
           text_decode(out, name, a, e);
}

bool read_format(const Context *c, Format *f, Layout *layout, Error *e)
{
#define ENTRY(link, name, format, words) name,
    static const char *const FORMATS[] = {FORMAT_NAMES(ENTRY)};
#undef ENTRY
    const char *separator = option_text(c, "separator");
    int format = 0;
    if (!option_choice(c, "format", FORMATS, COUNT(FORMATS), &format, e))
        return false;
    *f = format_find(FORMATS[format]);
    *layout = (Layout){.columns = option_text(c, "columns")};
    if (separator && !layout_separator(separator, &layout->separator))
        return fail(e, SP_USAGE,
                    "--separator: unknown value \"%s\"; choose one of tab, comma, semicolon, colons, blank", separator);
    if (layout->columns && !strchr(layout->columns, ','))
        return fail(e, SP_USAGE, "--columns: \"%s\" is one name; at least two are expected: USER,ITEM[,RATING[,TIME]]",
                    layout->columns);
    if (*f == FORMAT_LIGHTGCN && (layout->columns || layout->separator))
        return fail(e, SP_USAGE, "--format lightgcn: this format has no columns; remove --%s",
                    layout->columns ? "columns" : "separator");
    return true;
}

bool read_protocol(const Context *c, Protocol *p, Error *e)
{
    int protocol = 0;
    if (!option_choice(c, "protocol", protocol_names, COUNT(protocol_names), &protocol, e))
        return false;
    *p = (Protocol)protocol;
    return true;
}

/* If there are more figures, each figure has its own row, and each label its own column. */
enum { FIGURES_IN_A_ROW = 16 };

bool show_scores(FILE *to, Context *c, const char *const *labels, const Scores *const *scores, size_t n, Error *e)
{
    const Scores *first = scores[0];
    size_t figures = first->metrics * first->cutoffs;
    bool down = figures > FIGURES_IN_A_ROW;
    size_t rows = 1 + (down ? figures : n), columns = 1 + (down ? n : figures);
    size_t by_label = down ? 1 : columns, by_figure = down ? columns : 1;
    const char **cells;
    char *align, name[SCORE_NAME_BYTES];
    if (!table_cells(&cells, &align, rows, columns, c->arena, e))
        return false;
    cells[0] = "";
    for (size_t r = 0; r < n; r++)
        cells[(r + 1) * by_label] = labels[r];
    for (size_t k = 0; k < figures; k++) {
        /* all metrics of one cutoff, then those of the next */
        size_t i = k % first->metrics * first->cutoffs + k / first->metrics;
        if (!(cells[(1 + k) * by_figure] = arena_printf(c->arena, e, "%s", score_name(first, i, name, sizeof name))))
            return false;
        for (size_t r = 0; r < n; r++)
            if (!(cells[(r + 1) * by_label + (1 + k) * by_figure] =
                      arena_printf(c->arena, e, "%.4f", scores[r]->mean[i])))
                return false;
    }
    return table_print(to, cells, rows, columns, align, c->arena, e);
}
