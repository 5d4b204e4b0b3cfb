/* tools/study/sheet.c: fills a table: columns, rows, footnotes, marks of the best numbers. */
// flags: -Os
#include "tools/study/study.h"

#include <math.h>

Sheet sheet_new(const char *file, const char *title, Arena *a, Error *e)
{
    return (Sheet){.file = file, .title = title, .note_index = text_index_new(a, e), .arena = a, .e = e};
}

size_t sheet_column(Sheet *s, const char *head, char align)
{
    if (s->cols == s->col_room &&
        !(s->columns = arena_grow(s->arena, s->columns, s->cols, &s->col_room, sizeof *s->columns, s->e)))
        return 0;
    s->columns[s->cols] = (Column){.head = head, .align = align};
    return s->cols++;
}

Cell *sheet_row(Sheet *s, bool begins)
{
    if (s->e->code != SP_OK)
        return NULL;
    if ((s->rows == s->row_room &&
         !(s->cells = arena_grow(s->arena, s->cells, s->rows, &s->row_room, s->cols * sizeof *s->cells, s->e))) ||
        (s->rows == s->begin_room &&
         !(s->begins = arena_grow(s->arena, s->begins, s->rows, &s->begin_room, sizeof *s->begins, s->e))))
        return NULL;
    Cell *row = s->cells + s->rows * s->cols;
    memset(row, 0, s->cols * sizeof *row);
    s->begins[s->rows++] = begins;
    return row;
}

size_t sheet_note(Sheet *s, const char *text)
{
    int64_t known = s->note_index ? text_index_count(s->note_index) : 0;
    int64_t at = s->e->code == SP_OK ? text_index_add(s->note_index, text_of(text), s->e) : -1;
    if (at < 0)
        return 0;
    if (at == known) {
        if (s->note_count == s->note_room &&
            !(s->notes = arena_grow(s->arena, s->notes, s->note_count, &s->note_room, sizeof *s->notes, s->e)))
            return 0;
        s->notes[s->note_count++] = text;
    }
    return (size_t)at + 1;
}

void sheet_mark(Sheet *s, size_t column, const double *value, bool lower)
{
    double best = NAN, second = NAN, sign = lower ? -1 : 1;
    if (s->e->code != SP_OK || s->rows < 2)
        return;
    for (size_t r = 0; r < s->rows; r++) {
        double v = sign * value[r];
        if (isnan(best) || v > best) {
            second = best;
            best = isnan(v) ? best : v;
        } else if (v < best && (isnan(second) || v > second)) {
            second = v;
        }
    }
    for (size_t r = 0; r < s->rows; r++) {
        double v = sign * value[r];
        s->cells[r * s->cols + column].mark = v == best ? MARK_BEST : v == second ? MARK_SECOND : MARK_NONE;
    }
}
