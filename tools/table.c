/* table.c: tables for people. */
#include "tools/tools.h"

/* How many columns a text takes on a terminal: code points, near enough for names and numbers. */
static int text_width(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

void table_print(FILE *to, const char *const *cells, size_t rows, size_t cols, const char *align)
{
    const char *bold = is_colourful(to) ? "\033[1m" : "", *plain = is_colourful(to) ? "\033[0m" : "";
    for (size_t r = 0; r < rows; r++) {
        fputs(r == 0 ? bold : "", to);
        for (size_t c = 0; c < cols; c++) {
            int widest = 0;
            for (size_t i = 0; i < rows; i++)
                widest = MAX(widest, text_width(cells[i * cols + c]));
            const char *text = cells[r * cols + c];
            int pad = widest - text_width(text);
            bool last = c + 1 == cols;
            fprintf(to, "%*s%s%*s%s", align[c] == 'r' ? pad : 0, "", text, align[c] == 'r' || last ? 0 : pad, "",
                    last ? "" : "  ");
        }
        fprintf(to, "%s\n", r == 0 ? plain : "");
    }
}
