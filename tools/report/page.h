/* tools/report/page.h: one self-contained HTML page: text, tables, SVG charts and thumbnails. After a failure every
 * call does nothing, and page_close returns the error. */
#ifndef SAPOR_PAGE_H
#define SAPOR_PAGE_H

#include "base/base.h"

typedef struct Page {
    Out *out; /* NULL: failed */
    const Heap *heap;
    Error *e;
} Page;

/* Opens PATH and writes the head of a page. The style sheet is for light and dark colours, for telephones and large
 * screens; `style` is added to it. */
bool page_open(Page *p, const char *path, const char *title, const char *style, const Heap *heap, Error *e);
bool page_close(Page *p);                                     /* completes the file; if it fails, no file is written */
void put(Page *p, const char *format, ...) PRINTF_LIKE(2, 3); /* not escaped */
/* Writes the text with HTML escapes. Control characters become blanks, and bytes that are not UTF-8 become U+FFFD. */
void put_text(Page *p, Text text);

/* ---- charts (chart.c) ------------------------------------------------------------------------ */

typedef struct Series {
    const char *name;
    size_t n;
    const double *x, *y; /* [n] */
    /* [n]: the series is drawn as dots with these names ("": no name) instead of a line; or NULL */
    const char *const *labels;
    int colour; /* number of a colour in the style sheet's palette */
} Series;
typedef struct Chart {
    const char *about; /* text alternative: what the chart shows */
    const char *x_label, *y_label;
    bool log_x, log_y;
    bool small; /* one of many charts: lower, and drawn in one size for every screen */
    /* positions of the ticks of the horizontal axis, sorted in ascending order, and their names; 0: ticks at round
     * numbers */
    const double *tick;
    const char *const *tick_name;
    size_t ticks;
} Chart;
enum { CHART_COLOURS = 8 }; /* number of colours in the palette; higher numbers begin again */
#define CHART_PALETTE                                                                                                  \
    "--c0:#2f6fde;--c1:#d9480f;--c2:#2b8a3e;--c3:#ae3ec9;--c4:#c99700;--c5:#0b8a8f;--c6:#c2255c;--c7:#6b7280"
void put_chart(Page *p, const Chart *c, const Series *s, size_t n);
/* Writes the chart with a legend as an SVG file, for pages that show it as an image. */
bool chart_write(const char *path, const Chart *c, const Series *s, size_t n, const Heap *heap, Error *e);
/* Draws bars with a legend. The bar of series s in group g is value[s * groups + g]; its colour is the number of the
 * series. */
void put_bars(Page *p, const Chart *c, const char *const *names, size_t n, const char *const *group, size_t groups,
              const double *value);
void put_legend(Page *p, const Series *s, size_t n);

/* ---- images (thumbnail.c) -------------------------------------------------------------------- */

enum { THUMBNAIL = 64 }; /* length of the longer side, in pixels */
/* Writes a style rule that shows the image on elements of class pN. Returns false, and writes no rule, if the image
 * cannot be read. */
bool put_thumbnail(Page *p, const char *path, int64_t number);

#endif
