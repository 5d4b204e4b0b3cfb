/* tools/study/study.h: the page about a study: what a ledger holds, as tables and charts.
 *
 *   page.c    the page as a whole
 *   rows.c    groups in the order of the tables; numbers and names for people
 *   sheet.c   a table is filled
 *   write.c   a table as HTML, CSV, LaTeX and Markdown
 *   command.c `report` of such a folder
 *   the rest  the sections, each by its name
 *
 * Texts of a study come from configurations and ledgers: none is trusted, every writer escapes them. */
#ifndef SAPOR_STUDY_PAGE_H
#define SAPOR_STUDY_PAGE_H

#include "recsys/search/search.h"
#include "tools/report/page.h"
#include "tools/tools.h"

/* ---- tables (sheet.c, write.c) --------------------------------------------------------------- */

typedef enum CellMark { MARK_NONE, MARK_BEST, MARK_SECOND } CellMark;
typedef struct Cell {
    const char *text;   /* "0.0931"; NULL: nothing */
    const char *exact;  /* CSV has it instead of the text; NULL: the text */
    const char *spread; /* behind the text, "0.0012" for a deviation; NULL: none */
    CellMark mark;
    size_t note; /* number of a footnote, from 1; 0: none */
    int shade;   /* a class of the page, -3 to 3: colour behind the text */
} Cell;
typedef struct Column {
    const char *head;
    char align;  /* 'l' or 'r' */
    bool spread; /* cells have one: a column of its own in CSV */
    bool more;   /* on a narrow screen it stands below the first column */
} Column;
typedef struct Sheet {
    const char *file;  /* name of its files without an end: "baby-accuracy" */
    const char *title; /* for people: "baby: accuracy" */
    const char *class; /* of its HTML table; NULL: none */
    Column *columns;
    size_t cols, col_room;
    Cell *cells;  /* [rows, cols] */
    bool *begins; /* [rows]: a line stands above the row */
    size_t rows, row_room, begin_room;
    const char **notes;
    size_t note_count, note_room;
    TextIndex *note_index;
    Arena *arena;
    Error *e; /* after a failure every call does nothing */
} Sheet;
enum { SHEET_FORMATS = 3 };                         /* beside HTML */
extern const char *const sheet_ends[SHEET_FORMATS]; /* ".csv", ".tex", ".md" */

Sheet sheet_new(const char *file, const char *title, Arena *a, Error *e);
/* All columns stand before the first row. Returns its number. */
size_t sheet_column(Sheet *s, const char *head, char align);
/* The cells of a new row, valid until the next one; NULL after a failure. */
Cell *sheet_row(Sheet *s, bool begins);
size_t sheet_note(Sheet *s, const char *text); /* its number, from 1; the same text has one */
/* Marks the best and the second best numbers of a column, all that are equal: value [rows], NaN is never marked. */
void sheet_mark(Sheet *s, size_t column, const double *value, bool lower);
void sheet_html(Page *p, const Sheet *s, size_t from, size_t rows); /* some of its rows, and the footnotes */
void sheet_file(Page *p, const Sheet *s, int format);               /* the whole table as a file */

/* ---- what the sections share (rows.c) -------------------------------------------------------- */

/* A group as a row of tables: by data, then model, then setting. */
typedef struct StudyRow {
    const Group *group;
    size_t data, model, setting; /* numbers in the view's lists */
    const char *extractors;      /* the setting for people; "-" where the model has the same trials in all of them */
    const char *name;            /* "VBPR, CLIP" */
    bool alike;                  /* the same trials in all settings: the model uses no features */
    bool shown;                  /* false: a knock-out, or the trials of a row before it */
    bool begins;                 /* the first shown row of its model */
    size_t base;                 /* of a knock-out: the row without it; else the row itself */
    const char *knocked;         /* "visual (noise)" */
} StudyRow;
typedef struct StudyPage {
    const StudyView *v;
    Page page;
    StudyRow *rows;      /* [group_count] */
    size_t *first;       /* [data_count + 1]: rows of a data set */
    const char **files;  /* [data_count]: data sets in names of files */
    const char **models; /* [model_count]: for people */
    bool has_extractors; /* settings have names */
    bool on_test;        /* tables show figures of the test part; else of the validation part */
    size_t metric;       /* of v->figures; figure_count: not among them */
    int *decimals;       /* [figure_count] */
    TextIndex *points;   /* of all groups */
    size_t untested;     /* groups whose figures by user are missing */
    const char *tables;  /* folder, or NULL */
    Context *c;          /* no table may replace one of its inputs; NULL: not checked */
    Arena *a;
    Error *e;
} StudyPage;

bool report_rows(StudyPage *s);
const char *report_say(StudyPage *s, const char *format, ...) PRINTF_LIKE(2, 3); /* in the arena; "" on failure */
/* Whether a row belongs to a point of the view; rows of an earlier configuration do not. */
bool report_has(StudyPage *s, const TrialRow *row);
size_t report_planned(const Group *g, size_t *finished);                      /* trials of a group */
const GroupPoint *report_best(const Group *g);                                /* NULL: none is complete */
double report_figure(const StudyPage *s, const GroupPoint *p, size_t figure); /* as tables show it; or NaN */
double report_metric(const StudyPage *s, const GroupPoint *p);                /* what points are chosen by; or NaN */
const char *report_number(StudyPage *s, double value, size_t figure);         /* "-" for NaN */
Cell report_cell(StudyPage *s, int decimals, double value);                   /* CSV has nine digits; "-" for NaN */
bool report_lower(const char *figure, bool *lower);        /* the better direction; false: there is none */
const char *report_duration(StudyPage *s, double seconds); /* "1 h 5 min" */
int report_colour(const StudyRow *r);
void report_legend(StudyPage *s);                           /* the colours of settings; nothing where there is one */
size_t report_family_end(const StudyPage *s, size_t begin); /* behind the rows of the model of row `begin` */
void report_heading(StudyPage *s, size_t data);
/* Begins a card with a title. The charts of a section stand in a grid; *open: it was begun, and is to be closed. */
void report_card(StudyPage *s, bool *open, const char *title);
/* A column for the model, and one for the extractors where they have names; and their cells. */
void report_name_columns(StudyPage *s, Sheet *t);
Cell *report_name_cells(StudyPage *s, Cell *row, const StudyRow *r);
Sheet report_sheet(StudyPage *s, const StudyRow *r, const char *what); /* named by the row's data set; NULL: by none */
/* On the page, at most `most` rows (0: none), and as files. */
void report_show(StudyPage *s, const Sheet *t, size_t most);

/* ---- sections -------------------------------------------------------------------------------- */

void report_summary(StudyPage *s);
void report_accuracy(StudyPage *s);
void report_curves(StudyPage *s);
void report_effects(StudyPage *s);
void report_costs(StudyPage *s);
/* Whether the page has these sections. */
bool report_has_significance(const StudyPage *s);
bool report_has_knocks(const StudyPage *s);
void report_significance(StudyPage *s);
void report_knocks(StudyPage *s);
void report_failures(StudyPage *s);

/* ---- the page (page.c) ----------------------------------------------------------------------- */

typedef struct StudyPageConfig {
    const char *title;  /* NULL: the study's name */
    const char *out;    /* the page */
    const char *tables; /* folder of the tables as files, or NULL */
    size_t untested;    /* groups that view_tests has found no figures by user of */
    Context *c;         /* no table may replace one of its inputs; NULL: not checked */
    const Heap *heap;
} StudyPageConfig;
/* Writes the page whole or not at all; tables are written before it. */
bool report_page_write(const StudyView *v, const StudyPageConfig *c, Error *e);

#endif
