/* tools/study/study.h: the page about a study: the content of a ledger as tables and charts.
 *
 *   page.c    the whole page
 *   rows.c    groups in the order of the tables; numbers and names for readers
 *   sheet.c   fills a table
 *   write.c   writes a table as HTML, CSV, LaTeX and Markdown
 *   command.c `report` of a folder of `sapor run`
 *   others    one section of the page each; the file has its name
 *
 * Texts of a study come from configurations and ledgers. They are not trusted: every writer escapes them. */
#ifndef SAPOR_STUDY_PAGE_H
#define SAPOR_STUDY_PAGE_H

#include "recsys/search/search.h"
#include "tools/report/page.h"
#include "tools/tools.h"

/* ---- tables (sheet.c, write.c) --------------------------------------------------------------- */

typedef enum CellMark { MARK_NONE, MARK_BEST, MARK_SECOND } CellMark;
typedef struct Cell {
    const char *text;   /* "0.0931"; NULL: an empty cell */
    const char *exact;  /* CSV contains this instead of the text; NULL: the text */
    const char *spread; /* printed after the text, such as the deviation "0.0012"; NULL: none */
    CellMark mark;
    size_t note; /* number of a footnote, from 1; 0: none */
    int shade;   /* -3 to 3: class of the background colour on the page */
} Cell;
typedef struct Column {
    const char *head;
    char align;  /* 'l' or 'r' */
    bool spread; /* the cells have a `spread`; in CSV it is a separate column */
    bool more;   /* on a narrow screen the column is shown below the first column */
} Column;
typedef struct Sheet {
    const char *file;  /* name of its files without the extension: "baby-accuracy" */
    const char *title; /* title for readers: "baby: accuracy" */
    const char *class; /* class of the HTML table; NULL: none */
    Column *columns;
    size_t cols, col_room;
    Cell *cells;  /* [rows, cols] */
    bool *begins; /* [rows]: a line is drawn above the row */
    size_t rows, row_room, begin_room;
    const char **notes;
    size_t note_count, note_room;
    TextIndex *note_index;
    Arena *arena;
    Error *e; /* after a failure every call does nothing */
} Sheet;
enum { SHEET_FORMATS = 3 };                         /* number of formats in addition to HTML */
extern const char *const sheet_ends[SHEET_FORMATS]; /* ".csv", ".tex", ".md" */

Sheet sheet_new(const char *file, const char *title, Arena *a, Error *e);
/* Adds a column and returns its number. All columns must be added before the first row. */
size_t sheet_column(Sheet *s, const char *head, char align);
/* Adds a row and returns its cells. They are valid until the next row is added. NULL after a failure. */
Cell *sheet_row(Sheet *s, bool begins);
size_t sheet_note(Sheet *s, const char *text); /* returns the number of the note, from 1; equal texts share a number */
/* Marks the best and the second best numbers of a column, and all numbers equal to them. A table with one row gets no
 * marks. value [rows]; NaN is never marked. */
void sheet_mark(Sheet *s, size_t column, const double *value, bool lower);
/* writes some rows of the table, and the footnotes */
void sheet_html(Page *p, const Sheet *s, size_t from, size_t rows);
void sheet_file(Page *p, const Sheet *s, int format); /* writes the whole table as a file */

/* shared by the sections (rows.c) */

/* A group as a row of tables. Rows are sorted by data, then model, then setting. */
typedef struct StudyRow {
    const Group *group;
    size_t data, model, setting; /* indices into the lists of the view */
    const char *extractors;      /* the setting for readers; "-" if the model has the same trials in all settings */
    const char *name;            /* "VBPR, CLIP" */
    bool alike;                  /* the same trials in all settings: the model uses no features */
    bool shown;                  /* false: the row is a knock-out, or an earlier row has the same trials */
    bool begins;                 /* the first shown row of its model */
    size_t base;                 /* of a knock-out: the row without the knock-out; otherwise the row itself */
    /* modality and mode of a knock-out: the part of the group's setting after "without " or after ", ".
     *
     * - setting "CLIP without visual (noise)": "visual (noise)"
     * - setting "CLIP, visual noise" (benchmarks write this form): "visual noise"
     *
     * NULL: no knock-out, or no row to compare it with */
    const char *knocked;
} StudyRow;
typedef struct StudyPage {
    const StudyView *v;
    Page page;
    StudyRow *rows;      /* [group_count] */
    size_t *first;       /* [data_count + 1]: the first row of each data set */
    const char **files;  /* [data_count]: names of the data sets in file names */
    const char **models; /* [model_count]: names for readers */
    bool has_extractors; /* settings have names */
    bool on_test;        /* true: tables show figures of the test part; false: of the validation part */
    size_t metric;       /* index into v->figures; figure_count: not in the list */
    int *decimals;       /* [figure_count]: digits after the point */
    TextIndex *points;   /* the points of all groups */
    size_t untested;     /* groups whose figures by user are missing */
    const char *tables;  /* folder of the tables, or NULL */
    Context *c;          /* used to check that no table replaces an input of the command; NULL: not checked */
    Arena *a;
    Error *e;
} StudyPage;

bool report_rows(StudyPage *s);
/* returns text in the arena; "" on failure */
const char *report_text(StudyPage *s, const char *format, ...) PRINTF_LIKE(2, 3);
/* Reports whether a row of the ledger belongs to a point of the present configuration. */
bool report_has(StudyPage *s, const TrialRow *row);
/* returns the number of trials of a group */
size_t report_planned(const Group *g, size_t *finished);
const GroupPoint *report_best(const Group *g);                                /* NULL: no point is complete */
double report_figure(const StudyPage *s, const GroupPoint *p, size_t figure); /* the value that tables show, or NaN */
/* the value that chooses points, or NaN */
double report_metric(const StudyPage *s, const GroupPoint *p);
const char *report_number(StudyPage *s, double value, size_t figure); /* "-" for NaN */
Cell report_cell(StudyPage *s, int decimals, double value);           /* CSV gets nine digits; "-" for NaN */
/* Finds the better direction of a figure: sets *lower to true if smaller values are better, or to false if larger
 * values are better. Returns false if neither direction is better; *lower is then false. */
bool report_direction(const char *figure, bool *lower);
const char *report_duration(StudyPage *s, double seconds); /* "1 h 5 min" */
int report_colour(const StudyRow *r);
/* the colours of settings; writes nothing if there is only one setting */
void report_legend(StudyPage *s);
/* returns the row after the last row of the model of row `begin` */
size_t report_family_end(const StudyPage *s, size_t begin);
void report_heading(StudyPage *s, size_t data);
/* Begins a card: one chart with its title, in the grid of its section. If *open is false, the function first begins the
 * grid and sets *open to true. The caller closes the card with "</div>", and, if *open is true at the end, the grid. */
void report_card(StudyPage *s, bool *open, const char *title);
/* Add a column for the model and, if extractors have names, a column for the extractors; fill the cells of these
 * columns. */
void report_name_columns(StudyPage *s, Sheet *t);
Cell *report_name_cells(StudyPage *s, Cell *row, const StudyRow *r);
/* the file name contains the row's data set; NULL: no data set */
Sheet report_sheet(StudyPage *s, const StudyRow *r, const char *what);
/* Writes the table to the page, at most `most` rows (0: none), and to files. */
void report_show(StudyPage *s, const Sheet *t, size_t most);

/* ---- sections -------------------------------------------------------------------------------- */

void report_summary(StudyPage *s);
void report_accuracy(StudyPage *s);
void report_curves(StudyPage *s);
void report_effects(StudyPage *s);
void report_costs(StudyPage *s);
/* Report whether the page has these sections. */
bool report_has_significance(const StudyPage *s);
bool report_has_knocks(const StudyPage *s);
void report_significance(StudyPage *s);
void report_knocks(StudyPage *s);
void report_failures(StudyPage *s);

/* ---- the page (page.c) ----------------------------------------------------------------------- */

typedef struct StudyPageConfig {
    const char *title;  /* NULL: the study's name */
    const char *out;    /* path of the page */
    const char *tables; /* folder of the table files, or NULL */
    size_t untested;    /* number of groups whose figures by user view_tests did not find */
    Context *c;         /* used to check that no table replaces an input of the command; NULL: not checked */
    const Heap *heap;
} StudyPageConfig;
/* Writes the page, whole or not at all. Tables are written before the page. */
bool report_page_write(const StudyView *v, const StudyPageConfig *c, Error *e);

#endif
