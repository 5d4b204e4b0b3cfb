/* tools/command/table.c: prints a table of texts in aligned columns. */
// flags: -Os
#include "tools/tools.h"

#include <limits.h>

enum { TABLE_COLUMNS = 100 }; /* the largest width of a table whose texts may be wrapped */

/* Returns how many columns the first `bytes` bytes of a text take on a terminal. It counts code points, which is near
 * enough for names and numbers. */
static int width_of(const char *s, size_t bytes)
{
    int n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)s[i] & 0xC0) != 0x80;
    return n;
}

/* Returns the bytes of the first unbreakable piece of a text: up to a blank, or up to and including a comma. */
static size_t piece(const char *s)
{
    size_t n = strcspn(s, " ,");
    return n + (s[n] == ',');
}

/* Returns the bytes of a line of at most `width` columns, at least one piece. *next: where the next line begins. */
static size_t line_of(const char *s, int width, const char **next)
{
    size_t n = piece(s);
    while (s[n]) {
        size_t blanks = strspn(s + n, " "), more = n + blanks + piece(s + n + blanks);
        if (width_of(s, more) > width)
            break;
        n = more;
    }
    *next = s + n + strspn(s + n, " ");
    return n;
}

/* Returns the width of the widest cell of column c. If `pieces` is true, returns the width of its widest piece. */
static int widest(const char *const *cells, size_t rows, size_t cols, size_t c, bool pieces)
{
    int most = 0;
    for (size_t r = 0; r < rows; r++)
        for (const char *s = cells[r * cols + c], *next = s; *s; s = next) {
            size_t n = line_of(s, pieces ? 0 : INT_MAX, &next);
            most = MAX(most, width_of(s, n));
        }
    return most;
}

bool table_print(FILE *to, const char *const *cells, size_t rows, size_t cols, const char *align, Arena *a, Error *e)
{
    const char *bold = is_colourful(to) ? "\033[1m" : "", *plain = is_colourful(to) ? "\033[0m" : "";
    int *width = NEW(a, int, cols, e), used = 0;
    const char **rest = NEW(a, const char *, cols, e);
    if (!width || !rest)
        return false;
    for (size_t c = 0; c < cols; c++) {
        bool last = c + 1 == cols;
        width[c] = widest(cells, rows, cols, c, align[c] == 'w');
        if (last && align[c] == 'w')
            width[c] = MAX(width[c], TABLE_COLUMNS - used);
        used += width[c] + 2;
    }
    for (size_t r = 0; r < rows; r++) {
        memcpy(rest, cells + r * cols, cols * sizeof *rest);
        fputs(r == 0 ? bold : "", to);
        for (bool more = true; more;) {
            int gap = 0; /* blanks before the next text; they are not printed at the end of a line */
            more = false;
            for (size_t c = 0; c < cols; c++) {
                const char *text = rest[c];
                size_t n = line_of(text, align[c] == 'w' ? width[c] : INT_MAX, &rest[c]);
                int pad = width[c] - width_of(text, n);
                if (n > 0)
                    fprintf(to, "%*s%.*s", gap + (align[c] == 'r' ? pad : 0), "", (int)n, text);
                gap = (n > 0 ? 0 : gap) + (align[c] == 'r' && n > 0 ? 0 : pad) + 2;
                more = more || *rest[c];
            }
            fprintf(to, "%s\n", r == 0 && !more ? plain : "");
        }
    }
    return true;
}

bool table_cells(const char ***cells, char **align, size_t rows, size_t cols, Arena *a, Error *e)
{
    if (!(*cells = NEW(a, const char *, rows *cols, e)) || !(*align = arena_alloc(a, cols, 1, e)))
        return false;
    memset(*align, 'r', cols);
    (*align)[0] = 'l';
    return true;
}
