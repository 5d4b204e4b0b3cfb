/* tools/report/page.h: one self-contained HTML page: text, tables, SVG charts and thumbnails. Writing is sticky: after
 * a failure every call does nothing, and page_close says what went wrong. */
#ifndef SAPOR_PAGE_H
#define SAPOR_PAGE_H

#include "base/base.h"

typedef struct Page {
    Out *out; /* NULL: failed */
    const Heap *heap;
    Error *e;
} Page;

/* Opens PATH with the head of a page: style sheet for light and dark, phone and desktop; `style` is added to it. */
bool page_open(Page *p, const char *path, const char *title, const char *style, const Heap *heap, Error *e);
bool page_close(Page *p);                                     /* completes the file; on failure there is none */
void put(Page *p, const char *format, ...) PRINTF_LIKE(2, 3); /* not escaped */
/* Escaped; control characters become blanks, bytes that are not UTF-8 U+FFFD. */
void put_text(Page *p, Text text);

/* ---- charts (chart.c) ------------------------------------------------------------------------ */

typedef struct Series {
    const char *name;
    size_t n;
    const double *x, *y;       /* [n] */
    const char *const *labels; /* [n]: dots with names, "" for none, instead of a line; or NULL */
    int colour;                /* a number of the style sheet's palette */
} Series;
typedef struct Chart {
    const char *about; /* what it shows, for those who cannot see it */
    const char *x_label, *y_label;
    bool log_x, log_y;
    bool small; /* one of many: lower, and drawn once, for every screen */
    /* Where the horizontal axis has ticks, ascending, and their names; 0: at round numbers */
    const double *tick;
    const char *const *tick_name;
    size_t ticks;
} Chart;
enum { CHART_COLOURS = 8 }; /* of the palette; higher numbers begin again */
#define CHART_PALETTE                                                                                                  \
    "--c0:#2f6fde;--c1:#d9480f;--c2:#2b8a3e;--c3:#ae3ec9;--c4:#c99700;--c5:#0b8a8f;--c6:#c2255c;--c7:#6b7280"
void put_chart(Page *p, const Chart *c, const Series *s, size_t n);
/* The chart with a legend as an SVG file, for pages that show it as an image. */
bool chart_write(const char *path, const Chart *c, const Series *s, size_t n, const Heap *heap, Error *e);
/* Bars with a legend: value[s * groups + g] of series s, coloured by its number, in group g. */
void put_bars(Page *p, const Chart *c, const char *const *names, size_t n, const char *const *group, size_t groups,
              const double *value);
void put_legend(Page *p, const Series *s, size_t n);

/* ---- images (thumbnail.c) -------------------------------------------------------------------- */

enum { THUMBNAIL = 64 }; /* pixels of the longer side */
/* A style rule that shows the image on elements of class pN. False, and no rule, where it cannot be read. */
bool put_thumbnail(Page *p, const char *path, int64_t number);

#endif
