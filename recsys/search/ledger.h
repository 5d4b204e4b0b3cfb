/* recsys/search/ledger.h: what the files that read and write a ledger share. */
#ifndef SAPOR_LEDGER_H
#define SAPOR_LEDGER_H

#include "recsys/search/search.h"

/* ---- a row (row.c) --------------------------------------------------------------------------- */

typedef enum ColumnKind {
    COLUMN_NAME, /* a text without control characters */
    COLUMN_TEXT, /* any text of UTF-8 without NUL bytes */
    COLUMN_JSON, /* an object */
    COLUMN_U64,
    COLUMN_I64,  /* 0 or more */
    COLUMN_REAL, /* 0 or more, finite */
    COLUMN_STATE
} ColumnKind;
typedef struct Column {
    const char *name;
    ColumnKind kind;
    size_t at;   /* offsetof TrialRow */
    size_t most; /* bytes of a text */
    bool exported;
} Column;
enum { TRIAL_COLUMNS = 22, UNIQUE_COLUMNS = 6 /* the first of them */ };
extern const Column trial_columns[TRIAL_COLUMNS];
/* The member of a row that a column names. */
static inline void *column_of(const Column *c, const TrialRow *row)
{
    return (char *)row + c->at;
}
static inline bool column_is_text(const Column *c)
{
    return c->kind == COLUMN_NAME || c->kind == COLUMN_TEXT || c->kind == COLUMN_JSON;
}
/* Refuses a value out of its column's bounds: "where: column seed: ...". `deep`: objects and history are parsed too. */
bool row_check(const TrialRow *row, bool deep, const char *where, Error *e);
bool extraction_check(const ExtractionRow *x, const char *where, Error *e);
/* What a trial is called in messages: "baby/CLIP/VBPR lr=0.001 seed 1". */
const char *row_name(const TrialRow *row, Arena *a, Error *e);
/* By the unique columns, as bytes. */
int row_compare(const TrialRow *a, const TrialRow *b);
/* In the order of the study, by bytes where it does not have a name; then the number and the seed. `s` NULL: none. */
bool rows_sort(TrialRow *rows, size_t n, const Study *s, Arena *a, Error *e);

/* ---- a study as text (study_json.c) ---------------------------------------------------------- */

/* NULL: no memory. In the arena. */
const char *study_json(const Study *s, Arena *a, Error *e);
/* Without what JSON does not hold: data.config, kind (NULL where no recommender has the name), source, out. */
bool study_parse(Study *s, Text json, const char *name, Arena *a, Error *e);

/* ---- the file (ledger.c) --------------------------------------------------------------------- */

const char *ledger_path(const Ledger *l);
/* Whether SQLite may open the file, its journal included (ledger_check.c). No file is right, too. */
bool ledger_check(const char *path, Error *e);
/* The study that was put last; *found false: none. */
bool ledger_study(Ledger *l, Study *s, bool *found, Arena *a, Error *e);
/* Several rows at once: all of them are there after ledger_end(.., true), or none. */
bool ledger_begin(Ledger *l, Error *e);
bool ledger_end(Ledger *l, bool keep, Error *e);

#endif
