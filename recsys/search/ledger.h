/* recsys/search/ledger.h: shared by the files that read and write a ledger. */
#ifndef SAPOR_LEDGER_H
#define SAPOR_LEDGER_H

#include "recsys/search/search.h"

/* ---- a row (row.c) --------------------------------------------------------------------------- */

typedef enum ColumnKind {
    COLUMN_NAME, /* a text without control characters */
    COLUMN_TEXT, /* any UTF-8 text without NUL bytes */
    COLUMN_JSON, /* a JSON object */
    COLUMN_U64,
    COLUMN_I64,  /* 0 or more */
    COLUMN_REAL, /* 0 or more, finite */
    COLUMN_STATE
} ColumnKind;
typedef struct Column {
    const char *name;
    ColumnKind kind;
    size_t at;   /* offsetof TrialRow */
    size_t most; /* largest number of bytes of a text */
    bool exported;
} Column;
enum { TRIAL_COLUMNS = 22, UNIQUE_COLUMNS = 6 /* the first columns */ };
extern const Column trial_columns[TRIAL_COLUMNS];
/* Returns the member of a row that belongs to a column. */
static inline void *column_of(const Column *c, const TrialRow *row)
{
    return (char *)row + c->at;
}
static inline bool column_is_text(const Column *c)
{
    return c->kind == COLUMN_NAME || c->kind == COLUMN_TEXT || c->kind == COLUMN_JSON;
}
/* Checks that values are within the bounds of their columns: "where: column seed: ...". `deep`: objects and history are
 * parsed too. */
bool row_check(const TrialRow *row, bool deep, const char *where, Error *e);
bool extraction_check(const ExtractionRow *x, const char *where, Error *e);
/* Returns the name of a trial for messages: "baby/CLIP/VBPR lr=0.001 seed 1". */
const char *row_name(const TrialRow *row, Arena *a, Error *e);
/* Compares the unique columns as bytes. */
int row_compare(const TrialRow *a, const TrialRow *b);
/* Sorts rows by data set, `setting` (the extractors that made the features), fold and model, in the order of the study;
 * then by number and seed. Names that are not in the study come last, sorted by bytes. `s` NULL: there is no study, and
 * all names are sorted by bytes. */
bool rows_sort(TrialRow *rows, size_t n, const Study *s, Arena *a, Error *e);

/* ---- a study as text (study_json.c) ---------------------------------------------------------- */

/* Returns the study as text, in the arena. NULL: memory ran out. */
const char *study_json(const Study *s, Arena *a, Error *e);
/* Parses a study. Members that JSON does not contain are not set: data.config, source, out; kind is NULL if no
 * recommender has the name. */
bool study_parse(Study *s, Text json, const char *name, Arena *a, Error *e);

/* ---- the file (ledger.c) --------------------------------------------------------------------- */

const char *ledger_path(const Ledger *l);
/* Checks that SQLite may open the file, including its journal (ledger_check.c). A missing file is allowed. */
bool ledger_check(const char *path, Error *e);
/* Reads the study that was stored last. *found false: there is none. */
bool ledger_study(Ledger *l, Study *s, bool *found, Arena *a, Error *e);
/* Write several rows together: after ledger_end(.., true) all of them are in the file; otherwise none. */
bool ledger_begin(Ledger *l, Error *e);
bool ledger_end(Ledger *l, bool keep, Error *e);

#endif
