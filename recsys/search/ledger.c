/* recsys/search/ledger.c: the trials of a study in an SQLite file (docs/formats.md).
 *
 * The file has a rollback journal, not a write-ahead log, because the latter needs memory shared between processes,
 * which file systems of clusters do not support. A commit is on the disk before the call returns. SQLite opens the file
 * itself, so ledger_check checks it before. */
// flags: -Os
#include "recsys/search/ledger.h"

#ifdef HAVE_SQLITE3

#include <sqlite3.h>
#include <stdlib.h>

enum {
    APPLICATION = 0x5361706f, /* "Sapo", the application id of the file */
    VERSION = 1,
    WAIT_SECONDS = 60,        /* how long to wait for other processes */
    LONGEST_VALUE = 17 << 20, /* above the limit of the longest column */
    ROWS_MOST = 1 << 20,
    STUDY_MOST = 16 << 20,
    TICK = 100 * 1000, /* SQLite instructions per tick */
    TICKS_MOST = 200   /* ticks per step of a statement; sorting 1 << 20 rows needs fewer */
};

/* The schema, as in sqlite_schema. A file with anything else is refused, so that no trigger, view or other index is
 * run. */
static const char *const SCHEMA[] = {
    "CREATE TABLE study(id INTEGER PRIMARY KEY CHECK(id=1),json TEXT NOT NULL)",
    "CREATE TABLE trial(data TEXT NOT NULL,setting TEXT NOT NULL,fold TEXT NOT NULL,model TEXT NOT NULL,"
    "point TEXT NOT NULL,seed INTEGER NOT NULL,number INTEGER NOT NULL,\"key\" TEXT NOT NULL,state INTEGER NOT NULL,"
    "message TEXT NOT NULL,settings TEXT NOT NULL,best_epoch INTEGER NOT NULL,epochs INTEGER NOT NULL,"
    "valid TEXT NOT NULL,test TEXT NOT NULL,history TEXT NOT NULL,worker TEXT NOT NULL,started INTEGER NOT NULL,"
    "seconds REAL NOT NULL,epoch_seconds REAL NOT NULL,eval_seconds REAL NOT NULL,peak_bytes INTEGER NOT NULL,"
    "PRIMARY KEY(data,setting,fold,model,point,seed))",
    "CREATE TABLE extraction(data TEXT NOT NULL,setting TEXT NOT NULL,modality TEXT NOT NULL,model TEXT NOT NULL,"
    "items INTEGER NOT NULL,width INTEGER NOT NULL,seconds REAL NOT NULL,peak_bytes INTEGER NOT NULL,"
    "PRIMARY KEY(data,setting,modality))",
    "CREATE INDEX trial_key ON trial(\"key\")",
};
#define ALL_COLUMNS                                                                                                    \
    "data,setting,fold,model,point,seed,number,\"key\",state,message,settings,best_epoch,epochs,valid,test,history,"   \
    "worker,started,seconds,epoch_seconds,eval_seconds,peak_bytes"

typedef enum Statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    PUT,
    GET,
    DONE,
    ROWS,
    PUT_EXTRACTION,
    EXTRACTIONS,
    PUT_STUDY,
    STUDY,
    STATEMENTS
} Statement;
static const char *const SQL[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [PUT] = "INSERT OR REPLACE INTO trial(" ALL_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [GET] =
        "SELECT " ALL_COLUMNS " FROM trial WHERE data=? AND setting=? AND fold=? AND model=? AND point=? AND seed=?",
    [DONE] = /* state 2 is TRIAL_DONE */
    "SELECT " ALL_COLUMNS " FROM trial WHERE \"key\"=? AND state=2 ORDER BY data,setting,fold,model,point,seed",
    [ROWS] = "SELECT " ALL_COLUMNS " FROM trial",
    [PUT_EXTRACTION] = "INSERT OR REPLACE INTO extraction(data,setting,modality,model,items,width,seconds,peak_bytes) "
                       "VALUES(?,?,?,?,?,?,?,?)",
    [EXTRACTIONS] = "SELECT data,setting,modality,model,items,width,seconds,peak_bytes FROM extraction "
                    "ORDER BY data,setting,modality",
    [PUT_STUDY] = "INSERT OR REPLACE INTO study(id,json) VALUES(1,?)",
    [STUDY] = "SELECT json FROM study WHERE id=1",
};

struct Ledger {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *made[STATEMENTS]; /* prepared statements; NULL: not prepared yet */
    int ticks;                      /* ticks of the step that runs */
    size_t room;                    /* how many bytes of text the statement may still read (set_room) */
};

const char *ledger_path(const Ledger *l)
{
    return l->path;
}

/* ---- errors and statements ------------------------------------------------------------------- */

static bool fail_sql(const Ledger *l, int rc, const char *doing, Error *e)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return fail_memory(e, 0, l->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return fail(e, SP_IO, "%s: other processes have kept this ledger locked for %d s; try again", l->path,
                    WAIT_SECONDS);
    case SQLITE_INTERRUPT: return fail(e, SP_FORMAT, "%s: is damaged: reading it does not end", l->path);
    case SQLITE_NOTADB: return fail(e, SP_FORMAT, "%s: is not a ledger of sapor run", l->path);
    case SQLITE_CORRUPT:
        return fail(
            e, SP_FORMAT,
            "%s: this ledger is damaged (%s); move it away; an earlier file of --export can be added with --ledger",
            l->path, sqlite3_errmsg(l->db));
    case SQLITE_READONLY:
    case SQLITE_PERM: return fail(e, SP_IO, "%s: cannot %s: it may not be written to", l->path, doing);
    case SQLITE_FULL: return fail(e, SP_IO, "%s: cannot %s: no space is left on this disk", l->path, doing);
    default: return fail(e, SP_IO, "%s: cannot %s: %s", l->path, doing, sqlite3_errmsg(l->db));
    }
}

/* Limits the number of ticks, because the pages of a hostile file may form cycles. */
static int count_tick(void *arg)
{
    Ledger *l = arg;
    return ++l->ticks > TICKS_MOST;
}

/* Returns a prepared statement, which the ledger owns. NULL on an error. */
static sqlite3_stmt *statement(Ledger *l, Statement which, Error *e)
{
    int rc = SQLITE_OK;
    l->ticks = 0;
    l->room = SIZE_MAX;
    if (!l->made[which])
        rc = sqlite3_prepare_v3(l->db, SQL[which], -1, SQLITE_PREPARE_PERSISTENT, &l->made[which], NULL);
    if (rc != SQLITE_OK)
        fail_sql(l, rc, "read it", e);
    return l->made[which];
}

/* Runs one step of a statement. *row: there is a row to read. */
static bool step(Ledger *l, sqlite3_stmt *s, bool *row, const char *doing, Error *e)
{
    l->ticks = 0;
    int rc = sqlite3_step(s);
    *row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE || fail_sql(l, rc, doing, e);
}

/* Runs a statement without rows. */
static bool run_once(Ledger *l, Statement which, const char *doing, Error *e)
{
    bool row;
    sqlite3_stmt *s = statement(l, which, e);
    bool ok = s && step(l, s, &row, doing, e);
    if (s)
        sqlite3_reset(s);
    return ok;
}

bool ledger_begin(Ledger *l, Error *e)
{
    return run_once(l, BEGIN, "write to it", e);
}

bool ledger_end(Ledger *l, bool keep, Error *e)
{
    Error ignored = {0};
    if (keep && run_once(l, COMMIT, "write to it", e))
        return true;
    if (!sqlite3_get_autocommit(l->db))
        run_once(l, ROLLBACK, "write to it", &ignored);
    return false;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool pragma_number(Ledger *l, const char *sql, int64_t *value, Error *e)
{
    sqlite3_stmt *s = NULL;
    bool row = false;
    l->ticks = 0;
    int rc = sqlite3_prepare_v2(l->db, sql, -1, &s, NULL);
    bool ok = rc == SQLITE_OK ? step(l, s, &row, "read it", e) : fail_sql(l, rc, "read it", e);
    *value = row ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return ok;
}

static bool execute(Ledger *l, const char *sql, Error *e)
{
    l->ticks = 0;
    int rc = sqlite3_exec(l->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK || fail_sql(l, rc, "write to it", e);
}

/* Counts the tables and indices of the file. *known: number of those that are in SCHEMA; *others: number of all others.
 */
static bool read_schema(Ledger *l, size_t *known, size_t *others, Error *e)
{
    sqlite3_stmt *s = NULL;
    bool row = true;
    /* indices that a PRIMARY KEY makes have no text */
    int rc = sqlite3_prepare_v2(l->db, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL", -1, &s, NULL);
    bool ok = rc == SQLITE_OK || fail_sql(l, rc, "read it", e);
    *known = *others = 0;
    while (ok && (ok = step(l, s, &row, "read it", e)) && row) {
        const char *sql = (const char *)sqlite3_column_text(s, 0);
        bool ours = false;
        for (size_t i = 0; sql && i < COUNT(SCHEMA); i++)
            ours = ours || !strcmp(sql, SCHEMA[i]);
        *known += ours;
        *others += !ours;
    }
    sqlite3_finalize(s);
    return ok;
}

static bool make_schema(Ledger *l, Error *e)
{
    char sql[100];
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION, VERSION);
    bool ok = execute(l, sql, e);
    for (size_t i = 0; ok && i < COUNT(SCHEMA); i++)
        ok = execute(l, SCHEMA[i], e);
    return ok;
}

/* Checks that the file is a ledger of this version. If it is empty and `make` is true, makes the tables. *is_empty: it
 * was empty. */
static bool check_schema(Ledger *l, bool make, bool *is_empty, Error *e)
{
    int64_t application, version;
    size_t known, others;
    if (!pragma_number(l, "PRAGMA application_id", &application, e) ||
        !pragma_number(l, "PRAGMA user_version", &version, e) || !read_schema(l, &known, &others, e))
        return false;
    *is_empty = !application && !version && !known && !others;
    if (*is_empty)
        return make ? make_schema(l, e) : true;
    if (application != APPLICATION)
        return fail(e, SP_FORMAT, "%s: is the SQLite file of another application, not a ledger of sapor run", l->path);
    if (version != VERSION)
        return fail(e, SP_FORMAT, "%s: is a ledger of version %lld; this sapor reads version %d", l->path,
                    (long long)version, VERSION);
    return (known == COUNT(SCHEMA) && others == 0) ||
           fail(e, SP_FORMAT, "%s: its tables are not those of a ledger; move it away", l->path);
}

static int wait_for_others(void *arg, int count)
{
    enum { MILLISECONDS = 10 };
    (void)arg;
    sqlite3_sleep(MILLISECONDS);
    return count < WAIT_SECONDS * 1000 / MILLISECONDS;
}

static bool open_file(Ledger *l, Error *e)
{
    int rc = sqlite3_open_v2(l->path, &l->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return l->db ? fail_sql(l, rc, "open it", e) : fail_memory(e, 0, l->path);
    sqlite3_extended_result_codes(l->db, 1);
    sqlite3_busy_handler(l->db, wait_for_others, NULL);
    sqlite3_progress_handler(l->db, TICK, count_tick, l);
    sqlite3_limit(l->db, SQLITE_LIMIT_LENGTH, LONGEST_VALUE + (1 << 20));
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    bool is_empty;
    /* in one transaction, because another process may make the tables between two reads */
    if (!execute(l, "BEGIN", e) || !ledger_end(l, check_schema(l, false, &is_empty, e), e))
        return false;
    if (!is_empty)
        return true;
    /* if several processes come here at the same time, one of them makes the tables */
    return ledger_begin(l, e) && ledger_end(l, check_schema(l, true, &is_empty, e), e);
}

Ledger *ledger_open(const char *path, Error *e)
{
    if (!ledger_check(path, e))
        return NULL;
    Ledger *l = calloc(1, sizeof *l);
    if (!l || !(l->path = strdup(path)))
        fail_memory(e, sizeof *l, path);
    else if (open_file(l, e))
        return l;
    ledger_close(l);
    return NULL;
}

void ledger_close(Ledger *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(l->made[i]);
    sqlite3_close(l->db);
    free(l->path);
    free(l);
}

/* ---- values ---------------------------------------------------------------------------------- */

static int bind_text(sqlite3_stmt *s, int at, const char *text)
{
    return sqlite3_bind_text(s, at, text ? text : "", -1, SQLITE_STATIC);
}

static int bind_column(sqlite3_stmt *s, int at, const Column *c, const TrialRow *row)
{
    const void *value = column_of(c, row);
    switch (c->kind) {
    case COLUMN_U64:
    case COLUMN_I64: return sqlite3_bind_int64(s, at, *(const int64_t *)value);
    case COLUMN_REAL: return sqlite3_bind_double(s, at, *(const double *)value);
    case COLUMN_STATE: return sqlite3_bind_int64(s, at, (int64_t)row->state);
    default: return bind_text(s, at, *(const char *const *)value);
    }
}

static bool bind_row(Ledger *l, sqlite3_stmt *s, const TrialRow *row, int columns, Error *e)
{
    int rc = SQLITE_OK;
    for (int i = 0; rc == SQLITE_OK && i < columns; i++)
        rc = bind_column(s, i + 1, &trial_columns[i], row);
    return rc == SQLITE_OK || fail_sql(l, rc, "write to it", e);
}

/* A value whose type differs from its column's was written by another program. */
static bool read_text_value(Ledger *l, sqlite3_stmt *s, int at, const char **text, Arena *a, Error *e)
{
    const char *p = sqlite3_column_type(s, at) == SQLITE_TEXT ? (const char *)sqlite3_column_text(s, at) : NULL;
    size_t n = p ? (size_t)sqlite3_column_bytes(s, at) : 0;
    if (!p || memchr(p, 0, n))
        return fail(e, SP_FORMAT, "%s: column %s of a row is not a text; another program has changed this ledger",
                    l->path, sqlite3_column_name(s, at));
    if (n > l->room)
        return fail(e, SP_FORMAT, "%s: is damaged: its texts are larger than the file", l->path);
    l->room -= n;
    return (*text = arena_strndup(a, p, n, e)) != NULL;
}

static bool refuse_number(const Ledger *l, sqlite3_stmt *s, int at, Error *e)
{
    return fail(e, SP_FORMAT, "%s: column %s of a row is not a number; another program has changed this ledger",
                l->path, sqlite3_column_name(s, at));
}

static bool read_whole(const Ledger *l, sqlite3_stmt *s, int at, int64_t *value, Error *e)
{
    *value = sqlite3_column_int64(s, at);
    return sqlite3_column_type(s, at) == SQLITE_INTEGER || refuse_number(l, s, at, e);
}

static bool read_real(const Ledger *l, sqlite3_stmt *s, int at, double *value, Error *e)
{
    int type = sqlite3_column_type(s, at);
    *value = sqlite3_column_double(s, at);
    return type == SQLITE_INTEGER || type == SQLITE_FLOAT || refuse_number(l, s, at, e);
}

static bool read_column(Ledger *l, sqlite3_stmt *s, int at, const Column *c, TrialRow *row, Arena *a, Error *e)
{
    void *value = column_of(c, row);
    int64_t state = 0;
    switch (c->kind) {
    case COLUMN_U64:
    case COLUMN_I64: return read_whole(l, s, at, value, e);
    case COLUMN_REAL: return read_real(l, s, at, value, e);
    case COLUMN_STATE:
        if (!read_whole(l, s, at, &state, e))
            return false;
        row->state = state >= 0 && state < (int64_t)COUNT(trial_states) ? (TrialState)state : (TrialState)-1;
        return true;
    default: return read_text_value(l, s, at, value, a, e);
    }
}

static bool read_row(Ledger *l, sqlite3_stmt *s, TrialRow *row, Arena *a, Error *e)
{
    bool ok = true;
    for (int i = 0; ok && i < TRIAL_COLUMNS; i++)
        ok = read_column(l, s, i, &trial_columns[i], row, a, e);
    return ok && row_check(row, false, l->path, e);
}

/* ---- trials ---------------------------------------------------------------------------------- */

bool ledger_put(Ledger *l, const TrialRow *row, Error *e)
{
    bool more;
    sqlite3_stmt *s = row_check(row, false, l->path, e) ? statement(l, PUT, e) : NULL;
    bool ok = s && bind_row(l, s, row, TRIAL_COLUMNS, e) && step(l, s, &more, "write to it", e);
    if (s) {
        sqlite3_reset(s);
        sqlite3_clear_bindings(s);
    }
    return ok;
}

/* Returns the first row of a statement whose values are bound. */
static bool first_row(Ledger *l, sqlite3_stmt *s, TrialRow *row, bool *found, Arena *a, Error *e)
{
    *found = false;
    bool ok = step(l, s, found, "read it", e) && (!*found || read_row(l, s, row, a, e));
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return ok;
}

bool ledger_get(Ledger *l, const TrialRow *which, TrialRow *row, bool *found, Arena *a, Error *e)
{
    sqlite3_stmt *s = statement(l, GET, e);
    return s && bind_row(l, s, which, UNIQUE_COLUMNS, e) && first_row(l, s, row, found, a, e);
}

bool ledger_done(Ledger *l, const char *key, TrialRow *row, bool *found, Arena *a, Error *e)
{
    sqlite3_stmt *s = statement(l, DONE, e);
    int rc = s ? bind_text(s, 1, key) : SQLITE_OK;
    return s && (rc == SQLITE_OK || fail_sql(l, rc, "read it", e)) && first_row(l, s, row, found, a, e);
}

/* Limits the text of all rows to twice the size of the file. (UTF-16 in the file becomes at most 1.5 times as long.) In
 * a damaged file many rows may refer to the same pages, so that a small file would need much memory. */
static bool set_room(Ledger *l, Error *e)
{
    int64_t pages, bytes;
    size_t all;
    if (!pragma_number(l, "PRAGMA page_count", &pages, e) || !pragma_number(l, "PRAGMA page_size", &bytes, e))
        return false;
    l->room = pages >= 0 && bytes >= 0 && size_mul((size_t)pages, (size_t)bytes * 2, &all) ? all : SIZE_MAX;
    return true;
}

static bool read_rows(Ledger *l, TrialRow **rows, size_t *count, Arena *a, Error *e)
{
    sqlite3_stmt *s = statement(l, ROWS, e);
    size_t capacity = 0;
    bool more = false, ok = s && set_room(l, e);
    *rows = NULL;
    *count = 0;
    while (ok && (ok = step(l, s, &more, "read it", e)) && more) {
        TrialRow *grown = arena_grow(a, *rows, *count, &capacity, sizeof *grown, e);
        ok = grown != NULL &&
             (*count < ROWS_MOST || fail(e, SP_FORMAT, "%s: has more than %d trials", l->path, ROWS_MOST));
        *rows = grown ? grown : *rows;
        ok = ok && read_row(l, s, &(*rows)[(*count)++], a, e);
    }
    if (s)
        sqlite3_reset(s);
    return ok;
}

bool ledger_rows(Ledger *l, TrialRow **rows, size_t *count, Arena *a, Error *e)
{
    Study s;
    bool found;
    Arena *scratch = arena_new(arena_heap(a), 0);
    bool ok = scratch ? read_rows(l, rows, count, a, e) && ledger_study(l, &s, &found, scratch, e) &&
                            rows_sort(*rows, *count, found ? &s : NULL, scratch, e)
                      : fail_memory(e, 1, "an arena");
    arena_free(scratch);
    return ok;
}

/* ---- extractions, the study ------------------------------------------------------------------ */

bool ledger_put_extraction(Ledger *l, const ExtractionRow *x, Error *e)
{
    const char *const texts[] = {x->data, x->setting, x->modality, x->model};
    sqlite3_stmt *s = statement(l, PUT_EXTRACTION, e);
    int rc = SQLITE_OK, at = 1;
    bool more;
    if (!s)
        return false;
    for (size_t i = 0; rc == SQLITE_OK && i < COUNT(texts); i++)
        rc = bind_text(s, at++, texts[i]);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(s, at++, x->items);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(s, at++, x->width);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_double(s, at++, x->seconds);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(s, at++, x->peak_bytes);
    bool ok = rc == SQLITE_OK ? step(l, s, &more, "write to it", e) : fail_sql(l, rc, "write to it", e);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return ok;
}

bool ledger_extractions(Ledger *l, ExtractionRow **rows, size_t *count, Arena *a, Error *e)
{
    sqlite3_stmt *s = statement(l, EXTRACTIONS, e);
    size_t capacity = 0;
    bool more = false, ok = s && set_room(l, e);
    *rows = NULL;
    *count = 0;
    while (ok && (ok = step(l, s, &more, "read it", e)) && more) {
        ExtractionRow *grown = arena_grow(a, *rows, *count, &capacity, sizeof *grown, e);
        if (!(ok = grown != NULL))
            break;
        *rows = grown;
        ExtractionRow *x = &grown[(*count)++];
        const char **texts[] = {&x->data, &x->setting, &x->modality, &x->model};
        for (int i = 0; ok && i < (int)COUNT(texts); i++)
            ok = read_text_value(l, s, i, texts[i], a, e);
        ok = ok && read_whole(l, s, 4, &x->items, e) && read_whole(l, s, 5, &x->width, e) &&
             read_real(l, s, 6, &x->seconds, e) && read_whole(l, s, 7, &x->peak_bytes, e) &&
             extraction_check(x, l->path, e);
    }
    if (s)
        sqlite3_reset(s);
    return ok;
}

bool ledger_put_study(Ledger *l, const Study *study, Error *e)
{
    Arena *a = arena_new(NULL, 0);
    const char *json = a ? study_json(study, a, e) : NULL;
    bool more, ok = a || fail_memory(e, 1, "an arena");
    if (json && strlen(json) > STUDY_MOST)
        ok = fail(e, SP_USAGE, "%s: this study needs %zu bytes to be described, at most %d are allowed", l->path,
                  strlen(json), STUDY_MOST);
    Study again; /* checks that the written study can be read */
    ok = ok && json && study_parse(&again, text_of(json), l->path, a, e);
    sqlite3_stmt *s = ok ? statement(l, PUT_STUDY, e) : NULL;
    int rc = s ? bind_text(s, 1, json) : SQLITE_OK;
    ok = s && (rc == SQLITE_OK || fail_sql(l, rc, "write to it", e)) && step(l, s, &more, "write to it", e);
    if (s) {
        sqlite3_reset(s);
        sqlite3_clear_bindings(s);
    }
    arena_free(a);
    return ok;
}

bool ledger_study(Ledger *l, Study *study, bool *found, Arena *a, Error *e)
{
    sqlite3_stmt *s = statement(l, STUDY, e);
    const char *json = NULL;
    *found = false;
    bool ok = s && step(l, s, found, "read it", e) && (!*found || read_text_value(l, s, 0, &json, a, e)) &&
              (!json || study_parse(study, text_of(json), l->path, a, e));
    if (s)
        sqlite3_reset(s);
    return ok;
}

#else

/* Without SQLite a ledger is never opened. The other functions exist only for the linker. */
#ifdef SAPOR_MINIMAL
static const char NO_SQLITE[] = "this build has no SQLite; build without MINIMAL=1";
#else
static const char NO_SQLITE[] = "this build has no SQLite; install it (libsqlite3-dev) and build again";
#endif

#pragma GCC diagnostic ignored "-Wunused-parameter"
#define ABSENT(name, ...)                                                                                              \
    bool name(__VA_ARGS__, Error *e)                                                                                   \
    {                                                                                                                  \
        return fail(e, SP_UNSUPPORTED, "%s", NO_SQLITE);                                                               \
    }
ABSENT(ledger_begin, Ledger *l)
ABSENT(ledger_end, Ledger *l, bool keep)
ABSENT(ledger_put, Ledger *l, const TrialRow *row)
ABSENT(ledger_get, Ledger *l, const TrialRow *which, TrialRow *row, bool *found, Arena *a)
ABSENT(ledger_done, Ledger *l, const char *key, TrialRow *row, bool *found, Arena *a)
ABSENT(ledger_rows, Ledger *l, TrialRow **rows, size_t *count, Arena *a)
ABSENT(ledger_put_extraction, Ledger *l, const ExtractionRow *row)
ABSENT(ledger_extractions, Ledger *l, ExtractionRow **rows, size_t *count, Arena *a)
ABSENT(ledger_put_study, Ledger *l, const Study *s)
ABSENT(ledger_study, Ledger *l, Study *s, bool *found, Arena *a)

Ledger *ledger_open(const char *path, Error *e)
{
    fail(e, SP_UNSUPPORTED, "%s: %s", path, NO_SQLITE);
    return NULL;
}

void ledger_close(Ledger *l)
{
}

const char *ledger_path(const Ledger *l)
{
    return "";
}

#endif
