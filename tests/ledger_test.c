/* tests/ledger_test.c: a ledger as a file and as TSV, and files that are not ledgers. */
#include "tests/testing.h"

#include <sys/stat.h>

#include "recsys/search/search.h"

#ifdef HAVE_SQLITE3
#include <sqlite3.h>

typedef struct Place {
    Arena *arena;
    char folder[256];
} Place;

static const char *in(Place *p, const char *name)
{
    return arena_printf(p->arena, &(Error){0}, "%s/%s", p->folder, name);
}

static int setup(void **state)
{
    Arena *a = arena_new(NULL, 0);
    Place *p = NEW(a, Place, 1, &(Error){0});
    p->arena = a;
    test_folder(p->folder);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    Place *p = *state;
    test_folder_remove(p->folder);
    arena_free(p->arena);
    return 0;
}

static TrialRow row_of(int i, TrialState state)
{
    static const char *const KEYS[] = {"0123456789abcdef0123456789abcdef", "ffffffffffffffffffffffffffffffff"};
    static const char *const POINTS[] = {"lr=0.1", "lr=0.01", "lr=0.001 path=a\\b"};
    return (TrialRow){.data = "baby",
                      .setting = "CLIP",
                      .fold = "",
                      .model = "external.VBPR",
                      .point = POINTS[i % 3],
                      .seed = i % 2 ? UINT64_MAX : 3,
                      .number = i % 3,
                      .key = KEYS[i % 2],
                      .state = state,
                      .message = state == TRIAL_FAILED ? "out of memory: a \"table\"" : "",
                      .settings = "{\"lr\":\"0.1\"}",
                      .best_epoch = state == TRIAL_DONE ? 2 : 0,
                      .epochs = state == TRIAL_DONE ? 4 : 0,
                      .valid = state == TRIAL_DONE ? "{\"Recall@20\":0.125}" : "{}",
                      .test = state == TRIAL_DONE ? "{\"Recall@20\":0.0625}" : "{}",
                      .history =
                          state == TRIAL_DONE ? "epoch\tloss\tvalid Recall@20\n2\t0.5\t0.125\n4\t0.25\t0.1\n" : "",
                      .worker = "here:1",
                      .started = 1700000000 + i,
                      .seconds = 1.5 * i,
                      .epoch_seconds = 0.25,
                      .eval_seconds = 0.5,
                      .peak_bytes = 1 << 20};
}

static void fill(const char *path, int from, int to)
{
    Error e = {0};
    Ledger *l = ledger_open(path, &e);
    assert_ok(l, e);
    for (int i = from; i < to; i++) {
        TrialRow row = row_of(i, i % 4 == 3 ? TRIAL_FAILED : TRIAL_DONE);
        assert_ok(ledger_put(l, &row, &e), e);
    }
    ledger_close(l);
}

static void export_to(Place *p, const char *ledger, const char *tsv)
{
    Error e = {0};
    Ledger *l = ledger_open(in(p, ledger), &e);
    assert_ok(l && ledger_export(l, in(p, tsv), &e), e);
    ledger_close(l);
}

static int64_t import_to(Place *p, const char *ledger, const char *file, Error *e)
{
    int64_t added = -1;
    Ledger *l = ledger_open(in(p, ledger), e);
    bool ok = l && ledger_import(l, in(p, file), &added, e);
    ledger_close(l);
    return ok ? added : -1;
}

static void same_files(Place *p, const char *a, const char *b)
{
    Error e = {0};
    Text x, y;
    assert_ok(file_read(&x, p->arena, in(p, a), 0, &e) && file_read(&y, p->arena, in(p, b), 0, &e), e);
    assert_true(text_equal(x, y));
}

static void rows_come_back(void **state)
{
    Place *p = *state;
    Error e = {0};
    TrialRow row = row_of(1, TRIAL_DONE), back, *rows;
    bool found;
    size_t n;
    Ledger *l = ledger_open(in(p, "l.sqlite"), &e);
    assert_ok(l, e);
    assert_ok(ledger_get(l, &row, &back, &found, p->arena, &e), e);
    assert_false(found);
    row.state = TRIAL_RUNNING;
    assert_ok(ledger_put(l, &row, &e), e);
    assert_ok(ledger_done(l, row.key, &back, &found, p->arena, &e), e);
    assert_false(found);
    row.state = TRIAL_DONE;
    assert_ok(ledger_put(l, &row, &e), e);
    assert_ok(ledger_done(l, row.key, &back, &found, p->arena, &e), e);
    assert_true(found);
    assert_true(back.seed == UINT64_MAX && back.number == 1 && back.started == row.started && back.seconds == 1.5);
    assert_string_equal(back.history, row.history);
    assert_string_equal(back.worker, "here:1");
    assert_ok(ledger_rows(l, &rows, &n, p->arena, &e), e);
    assert_int_equal(n, 1);
    ExtractionRow x = {"office", "CLIP", "visual", "openai/clip", 100, 512, 12.5, 1 << 20}, *all;
    assert_ok(ledger_put_extraction(l, &x, &e) && ledger_put_extraction(l, &x, &e), e);
    assert_ok(ledger_extractions(l, &all, &n, p->arena, &e), e);
    assert_int_equal(n, 1);
    assert_true(all[0].width == 512 && all[0].seconds == 12.5);
    row.key = "short";
    assert_false(ledger_put(l, &row, &e));
    assert_error(e, SP_FORMAT, "l.sqlite: column key: is not 32 hexadecimal digits");
    ledger_close(l);
}

/* Checks that the exported bytes do not depend on which process finished which trial. */
static void exports_merge(void **state)
{
    Place *p = *state;
    Error e = {0};
    fill(in(p, "all.sqlite"), 0, 6);
    fill(in(p, "a.sqlite"), 0, 3);
    fill(in(p, "b.sqlite"), 2, 6);
    export_to(p, "all.sqlite", "all.tsv");
    export_to(p, "b.sqlite", "b.tsv");
    assert_int_equal(import_to(p, "a.sqlite", "b.tsv", &e), 3);
    assert_int_equal(import_to(p, "a.sqlite", "b.tsv", &e), 0);
    export_to(p, "a.sqlite", "a.tsv");
    same_files(p, "a.tsv", "all.tsv");
    assert_int_equal(import_to(p, "c.sqlite", "b.sqlite", &e), 4);
    assert_int_equal(import_to(p, "c.sqlite", "all.tsv", &e), 2);
    export_to(p, "c.sqlite", "c.tsv");
    same_files(p, "c.tsv", "all.tsv");
}

static void other_results_are_refused(void **state)
{
    Place *p = *state;
    Error e = {0};
    fill(in(p, "a.sqlite"), 0, 3);
    TrialRow row = row_of(2, TRIAL_DONE), failed = row_of(1, TRIAL_FAILED);
    Ledger *l = ledger_open(in(p, "b.sqlite"), &e);
    assert_ok(l && ledger_put(l, &failed, &e), e);
    row.test = "{\"Recall@20\":0.5}";
    assert_ok(ledger_put(l, &row, &e), e);
    ledger_close(l);
    export_to(p, "b.sqlite", "b.tsv");
    assert_int_equal(import_to(p, "a.sqlite", "b.tsv", &e), -1);
    assert_error(e, SP_FORMAT, "the trial baby/CLIP/external.VBPR lr=0.001 path=a\\b seed 3 is in");
    export_to(p, "a.sqlite", "a.tsv");
    fill(in(p, "again.sqlite"), 0, 3);
    export_to(p, "again.sqlite", "again.tsv");
    same_files(p, "a.tsv", "again.tsv"); /* the import added nothing */
    /* a trial that failed here is replaced by its result from elsewhere */
    l = ledger_open(in(p, "c.sqlite"), &e);
    assert_ok(l && ledger_put(l, &failed, &e), e);
    ledger_close(l);
    assert_int_equal(import_to(p, "c.sqlite", "a.tsv", &e), 3);
    export_to(p, "c.sqlite", "c.tsv");
    same_files(p, "c.tsv", "again.tsv");
}

/* ---- hostile files --------------------------------------------------------------------------- */

static void sql(const char *path, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void refuses(Place *p, const char *name, const char *why)
{
    Error e = {0};
    TrialRow *rows;
    ExtractionRow *extractions;
    size_t n;
    Ledger *l = ledger_open(in(p, name), &e);
    bool ok = l && ledger_rows(l, &rows, &n, p->arena, &e) && ledger_extractions(l, &extractions, &n, p->arena, &e);
    ledger_close(l);
    assert_false(ok);
    if (!strstr(e.message, why) || strchr(e.message, '\n'))
        fail_msg("\"%s\" is not in \"%s\"", why, e.message);
}

static void foreign_files_are_refused(void **state)
{
    Place *p = *state;
    test_write(p->folder, "text", TEXT("model\tseed\n"));
    test_write(p->folder, "short", (Text){"SQLite format 3", 16});
    refuses(p, "text", "is not a ledger of sapor run (no SQLite file)");
    refuses(p, "short", "is not a ledger of sapor run (no SQLite file)");
    refuses(p, "", "folder");
    sql(in(p, "other"), "CREATE TABLE t(a); PRAGMA application_id=7");
    refuses(p, "other", "is the SQLite file of another application");
    sql(in(p, "none"), "CREATE TABLE t(a)");
    refuses(p, "none", "is the SQLite file of another application");
    static const struct {
        const char *sql, *why;
    } CASES[] = {
        {"PRAGMA user_version=2", "is a ledger of version 2; this sapor reads version 1"},
        {"CREATE TABLE more(a)", "its tables are not those of a ledger"},
        {"DROP INDEX trial_key", "its tables are not those of a ledger"},
        {"CREATE TRIGGER t AFTER INSERT ON trial BEGIN DELETE FROM study; END", "its tables are not those of a ledger"},
        {"PRAGMA journal_mode=WAL", "another program has given this ledger a write-ahead log"},
        {"CREATE VIEW v AS SELECT 1", "its tables are not those of a ledger"},
        {"UPDATE trial SET state=9", "column state: -1 is no state"},
        {"UPDATE trial SET state='done'", "column state of a row is not a number"},
        {"UPDATE trial SET point=x'00ff'", "column point of a row is not a text"},
        {"UPDATE trial SET point='a'||char(10)", "column point: contains a control character"},
        {"UPDATE trial SET history=CAST(x'ff' AS TEXT)", "column history: byte 1 is not UTF-8"},
        {"UPDATE trial SET seconds=-1", "column seconds: -1 is not a time"},
        {"UPDATE trial SET seconds=9e999", "column seconds: inf is not a time"},
        {"UPDATE trial SET best_epoch=9", "column best_epoch: 9 is above the 4 epochs"},
        {"UPDATE trial SET data=''", "column data: is empty"},
        {"UPDATE trial SET data=hex(zeroblob(600))", "column data: has 1200 bytes, at most 1000 are allowed"},
        {"UPDATE trial SET history=hex(zeroblob(9000000))", ""},
        {"INSERT INTO extraction VALUES('a','','visual',char(27),1,1,1,1)", "extraction: contains a control character"},
        {"INSERT INTO extraction VALUES('a','','visual','m',1,-1,1,1)", "an extraction has a number below 0"},
        {"INSERT INTO study VALUES(1,'[]')", "an object is expected"},
        {"INSERT INTO study VALUES(1,'{}')", "key name: a text is expected"},
        {"INSERT INTO study VALUES(1,'{')", "l.sqlite:1:2"},
    };
    Error e = {0};
    Text whole;
    fill(in(p, "whole.sqlite"), 0, 1);
    assert_ok(file_read(&whole, p->arena, in(p, "whole.sqlite"), 0, &e), e);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        test_write(p->folder, "l.sqlite", whole);
        sql(in(p, "l.sqlite"), CASES[i].sql);
        refuses(p, "l.sqlite", CASES[i].why);
    }
}

/* Checks that a journal which names a file shared by several databases is refused: SQLite would remove that file. */
static void planted_journals_are_refused(void **state)
{
    Place *p = *state;
    enum { HEADER = 512, NAME = HEADER + 4 };
    static const char MAGIC[] = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7";
    const char *victim = in(p, "victim");
    uint32_t n = (uint32_t)strlen(victim), sum = 0;
    size_t bytes = NAME + n + 16;
    unsigned char *journal = NEW(p->arena, unsigned char, bytes, &(Error){0});
    fill(in(p, "l.sqlite"), 0, 1);
    test_write(p->folder, "victim", TEXT("mine\n"));
    memcpy(journal, MAGIC, 8);
    journal[22] = HEADER >> 8;
    journal[26] = 4096 >> 8;
    memcpy(journal + NAME, victim, n);
    for (uint32_t i = 0; i < n; i++)
        sum += (uint32_t)(signed char)victim[i];
    for (int i = 0; i < 4; i++) {
        journal[NAME + n + (uint32_t)i] = (unsigned char)(n >> (24 - 8 * i));
        journal[NAME + n + 4 + (uint32_t)i] = (unsigned char)(sum >> (24 - 8 * i));
    }
    memcpy(journal + NAME + n + 8, MAGIC, 8);
    test_write(p->folder, "l.sqlite-journal", (Text){(const char *)journal, bytes});
    refuses(p, "l.sqlite", "l.sqlite-journal: is not a journal of sapor run");
    assert_int_equal(symlink(in(p, "l.sqlite"), in(p, "link.sqlite")), 0);
    refuses(p, "link.sqlite", "l.sqlite-journal: is not a journal of sapor run");
    assert_int_equal(access(victim, F_OK), 0);
    assert_int_equal(unlink(in(p, "l.sqlite-journal")) || mkfifo(in(p, "l.sqlite-journal"), 0600), 0);
    refuses(p, "l.sqlite", "l.sqlite-journal: is not a regular file");
}

/* Checks that any changed bytes of a ledger give rows or an error of one line. */
static void damage_is_one_line(void **state)
{
    Place *p = *state;
    Error e = {0};
    Text whole;
    fill(in(p, "l.sqlite"), 0, 6);
    assert_ok(file_read(&whole, p->arena, in(p, "l.sqlite"), 0, &e), e);
    for (uint64_t i = 0; i < 300; i++) {
        char *copy = arena_strndup(p->arena, whole.p, whole.n, &e);
        Draw d = {5, DRAW_TEST, 0};
        uint32_t n = i % 3 ? (uint32_t)whole.n : draw_below(d, i, (uint32_t)whole.n);
        for (uint64_t k = 0; k < 1 + i % 20; k++)
            copy[draw_below(d, 1000 + i * 50 + k, (uint32_t)whole.n)] = (char)draw_below(d, 90000 + i * 50 + k, 256);
        test_write(p->folder, "damaged", (Text){copy, n});
        TrialRow *rows;
        size_t count;
        Ledger *l = ledger_open(in(p, "damaged"), &e);
        bool ok = l && ledger_rows(l, &rows, &count, p->arena, &e) && ledger_put(l, &rows[0], &e);
        ledger_close(l);
        assert_true(ok == (e.code == SP_OK));
        assert_null(strchr(e.message, '\n'));
        error_clear(&e);
        unlink(in(p, "damaged-journal"));
    }
}

static void tsv_is_checked(void **state)
{
    Place *p = *state;
    fill(in(p, "l.sqlite"), 0, 1);
    export_to(p, "l.sqlite", "l.tsv");
    Error e = {0};
    Text whole;
    assert_ok(file_read(&whole, p->arena, in(p, "l.tsv"), 0, &e), e);
    static const struct {
        const char *old, *new, *why;
    } CASES[] = {
        {"data\tsetting", "model\tsetting", "x.tsv:1: column 1 is not data"},
        {"history\n", "history\tmore\n", "x.tsv:1: has 17 columns, 16 are expected"},
        {"baby\t", "", "x.tsv:2: has 15 columns, the first line names 16"},
        {"\t3\t", "\t-3\t", "x.tsv:2: column seed: \"-3\" is no whole number"},
        {"\t3\t", "\t18446744073709551616\t", "column seed: \"18446744073709551616\" is no whole number"},
        {"\tdone\t", "\trunning\t", "column state: \"running\", done or failed is expected"},
        {"\t4\t{", "\t1\t{", "column best_epoch: 2 is above the 1 epochs"},
        {"0123456789abcdef0", "0123456789ABCDEF0", "column key: is not 32 hexadecimal digits"},
        {"{\"lr\":\"0.1\"}", "{\"lr\":0.1}", "column settings: the value of lr is not a text"},
        {"{\"lr\":\"0.1\"}", "[]", "column settings: is not a JSON object"},
        {"0.0625}", "1e999}", "column test:1:14: this number is too large"},
        {"0.0625}", "0.0625", "column test:1:"},
        {"\\n4\\t", "\\n1\\t", "column history:3: epoch 1 does not follow epoch 2"},
        {"\\n4\\t", "\\x4\\t", "column history: only t, n, r or a backslash may follow a backslash"},
        {"\\n\n", "\\n\\", "column history: only t, n, r or a backslash"},
        {"baby", "\x80", "is not valid UTF-8"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const char *at = strstr(whole.p, CASES[i].old);
        assert_non_null(at);
        const char *text = arena_printf(p->arena, &e, "%.*s%s%s", (int)(at - whole.p), whole.p, CASES[i].new,
                                        at + strlen(CASES[i].old));
        test_write(p->folder, "x.tsv", text_of(text));
        assert_int_equal(import_to(p, "other.sqlite", "x.tsv", &e), -1);
        if (!strstr(e.message, CASES[i].why) || strchr(e.message, '\n'))
            fail_msg("\"%s\" is not in \"%s\"", CASES[i].why, e.message);
        error_clear(&e);
    }
    test_write(p->folder, "x.tsv", TEXT(""));
    assert_int_equal(import_to(p, "other.sqlite", "x.tsv", &e), -1);
    assert_error(e, SP_FORMAT, "x.tsv: is empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(exports_merge, setup, teardown),
        cmocka_unit_test_setup_teardown(other_results_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(planted_journals_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(tsv_is_checked, setup, teardown),
    };
    test_folders_in_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void a_ledger_needs_sqlite(void **state)
{
    (void)state;
    Error e = {0};
    assert_null(ledger_open("l.sqlite", &e));
    assert_error(e, SP_UNSUPPORTED, "this build has no SQLite");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_ledger_needs_sqlite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
