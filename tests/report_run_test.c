/* tests/report_run_test.c: runs a small study, then sapor report for its folder with a ledger. */
#include "tests/study_testing.h"

#include "tools/tools.h"

extern const Option report_options[];

/* Returns the exit status of `sapor report` with these arguments. */
static int report(const char *const *words, size_t count)
{
    static const Command COMMAND = {.name = "report",
                                    .summary = "writes an HTML page",
                                    .arguments = "RUN...",
                                    .example = "sapor report run",
                                    .options = report_options,
                                    .min_args = 1,
                                    .max_args = -1,
                                    .run = report_command};
    char *argv[16] = {(char *)"report"};
    for (size_t i = 0; i < count; i++)
        argv[i + 1] = (char *)words[i];
    return command_run(&COMMAND, (int)count + 1, argv);
}

static Text written(StudyFixture *b, const char *name)
{
    Error e = {0};
    Text text = {0};
    assert_ok(file_read(&text, b->arena, arena_printf(b->arena, &e, "%s/%s", b->folder, name), 0, &e), e);
    return text;
}

static void a_ledger_becomes_a_page(void **state)
{
    StudyFixture b;
    Error e = {0};
    (void)state;
    study_fixture(&b);
    assert_int_equal(study_all(&b, (TrialShare){0, 1}), 16);
    const char *page = arena_printf(b.arena, &e, "%s/page.html", b.folder),
               *tables = arena_printf(b.arena, &e, "%s/tables", b.folder);
    const char *words[] = {b.out, "-o", page, "--tables", tables, "--quiet"};
    assert_int_equal(report(words, COUNT(words)), 0);
    Text text = written(&b, "page.html");
    static const char *const PARTS[] = {
        "<h1>toys</h1>",           "<dt>trials done</dt><dd>16</dd>", "<dt>missing</dt><dd>0</dd>",
        "<h4>BPRMF: factors</h4>", "<h4>LightGCN: lr</h4>",           "Recall@5"};
    for (size_t i = 0; i < COUNT(PARTS); i++)
        if (!strstr(text.p, PARTS[i]))
            fail_msg("%s is not on the page", PARTS[i]);
    Table rows = table_open(written(&b, "tables/toy-accuracy.csv"), ',', "toy-accuracy.csv", b.arena);
    size_t n = 0;
    for (; table_next(&rows, &e); n++) {
        double value;
        assert_true(n == 0 || (text_f64(rows.field[1], &value) && value >= 0 && value <= 1));
    }
    assert_int_equal(e.code, SP_OK);
    assert_int_equal(n, 3); /* the head and two models */
    assert_non_null(strstr(written(&b, "tables/toy-pairs.csv").p, "\nRecall@5,BPRMF,LightGCN,"));

    /* an output does not replace the ledger; options of other pages and other folders are refused */
    const char *ledger = arena_printf(b.arena, &e, "%s/ledger.sqlite", b.out);
    const char *onto[] = {b.out, "-o", ledger, "-q"}, *two_folders[] = {b.out, b.out, "-o", page, "-q"},
               *items[] = {b.out, "--stages", b.train, "-o", page, "-q"};
    unlink(page);
    assert_int_equal(report(onto, COUNT(onto)), 2);
    assert_int_equal(report(two_folders, COUNT(two_folders)), 2);
    assert_int_equal(report(items, COUNT(items)), 2);
    test_write(b.out, "ledger.sqlite", TEXT("no ledger"));
    assert_int_equal(report(words, COUNT(words)), 1);
    assert_false(file_exists(page));
    study_fixture_end(&b);
}

int main(void)
{
#if defined SAPOR_MINIMAL || !defined HAVE_SQLITE3
    printf("skipped: this build has no ledger\n");
    return 0;
#else
    static const struct CMUnitTest tests[] = {cmocka_unit_test(a_ledger_becomes_a_page)};
    test_folders_in_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
