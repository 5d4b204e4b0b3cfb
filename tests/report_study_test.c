/* tests/report_study_test.c: the page about a study and its tables: drawn studies, incomplete studies, and names that
 * could break a format. */
#include "tools/study/study.h"

#include "tests/drawn_study.h"

typedef struct Written { /* a page and the folder of its tables */
    char folder[256];
    Arena *a;
    Error e;
    Text page;
} Written;

static const char *file_in(Written *w, const char *name)
{
    return arena_printf(w->a, &w->e, "%s/%s", w->folder, name);
}

static Text table(Written *w, const char *name)
{
    Text text = {0};
    assert_ok(file_read(&text, w->a, arena_printf(w->a, &w->e, "%s/tables/%s", w->folder, name), 0, &w->e), w->e);
    return text;
}

static void begin(Written *w)
{
    memset(w, 0, sizeof *w);
    test_folder(w->folder);
    w->a = arena_new(NULL, 0);
}

static void end(Written *w)
{
    arena_free(w->a);
    test_folder_remove(w->folder);
}

static bool write_page(Written *w, const StudyView *v, const Heap *heap)
{
    StudyPageConfig c = {.out = file_in(w, "report.html"), .tables = file_in(w, "tables"), .heap = heap};
    return report_page_write(v, &c, &w->e);
}

/* Checks that every element is closed in order, every attribute is quoted, every & begins an entity, and nothing is
 * loaded from elsewhere. */
static void check_page(Text page)
{
    static const char *const EMPTY[] = {"meta", "br", "!doctype"};
    char stack[64][16];
    size_t depth = 0;
    assert_true(utf8_valid(page, &(size_t){0}));
    for (size_t i = 0; i < page.n; i++) {
        const char *p = page.p + i;
        if (*p == '&')
            assert_true(!strncmp(p, "&lt;", 4) || !strncmp(p, "&gt;", 4) || !strncmp(p, "&amp;", 5) ||
                        !strncmp(p, "&quot;", 6));
        assert_false(*p == '>');
        if (*p != '<')
            continue;
        bool closes = p[1] == '/', quoted = false;
        size_t name = strcspn(p + 1 + closes, " >/"), n = 1;
        for (; i + n < page.n && (quoted || page.p[i + n] != '>'); n++) {
            quoted ^= page.p[i + n] == '"';
            assert_true(page.p[i + n] != '<');
        }
        assert_in_range(name, 1, 15);
        bool empty = page.p[i + n - 1] == '/';
        for (size_t k = 0; k < COUNT(EMPTY); k++)
            empty |= text_is((Text){p + 1, name}, EMPTY[k]);
        if (closes) {
            assert_true(depth > 0);
            if (!text_is((Text){p + 2, name}, stack[--depth]))
                fail_msg("%.*s closes %s", (int)n, p, stack[depth]);
        } else if (!empty) {
            assert_true(depth < COUNT(stack));
            snprintf(stack[depth++], sizeof stack[0], "%.*s", (int)name, p + 1);
        }
        i += n;
        if (!closes && !strncmp(p, "<style", 6)) /* not markup: skipped */
            i = (size_t)(strstr(p, "</style>") - page.p) - 1;
    }
    assert_int_equal(depth, 0);
    static const char *const FROM_ELSEWHERE[] = {"<script", "http", " src=", "<link", "url(", "@import"};
    for (size_t i = 0; i < COUNT(FROM_ELSEWHERE); i++)
        assert_null(strstr(page.p, FROM_ELSEWHERE[i]));
}

/* Checks that every section is linked at the top, and that every link leads to a section. */
static void check_links(Text page)
{
    static const char SECTION[] = "<h2 id=\"", LINK[] = "<a href=\"#";
    char other[80];
    for (const char *p = page.p; (p = strstr(p, SECTION)) != NULL;) {
        p += sizeof SECTION - 1;
        snprintf(other, sizeof other, "%s%.*s\"", LINK, (int)strcspn(p, "\""), p);
        assert_non_null(strstr(page.p, other));
    }
    for (const char *p = page.p; (p = strstr(p, LINK)) != NULL;) {
        p += sizeof LINK - 1;
        snprintf(other, sizeof other, "%s%.*s\"", SECTION, (int)strcspn(p, "\""), p);
        assert_non_null(strstr(page.p, other));
    }
}

static void draw_page(Written *w, const DrawnStudy *d, StudyView *v)
{
    begin(w);
    study_drawn(v, d, w->a);
    assert_ok(write_page(w, v, NULL), w->e);
    assert_ok(file_read(&w->page, w->a, file_in(w, "report.html"), 0, &w->e), w->e);
    check_page(w->page);
    check_links(w->page);
}

static bool has(const Written *w, const char *text)
{
    return strstr(w->page.p, text) != NULL;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *p = strstr(text, word); p; p = strstr(p + 1, word))
        n++;
    return n;
}

static const char *const DATA[] = {"office", "music"}, *const MODELS[] = {"external.BPRMF", "external.VBPR", "FREEDOM"},
                         *const SETTINGS[] = {"ResNet50", "CLIP", "CLIP without visual (noise)",
                                              "CLIP without textual (noise)"};
static const DrawnStudy FULL = {.data = DATA,
                                .data_count = 2,
                                .settings = SETTINGS,
                                .setting_count = 4,
                                .models = MODELS,
                                .model_count = 3,
                                .rates = 3,
                                .weights = 2,
                                .seeds = 2,
                                .epochs = 12,
                                .without_features = 1,
                                .failures = true,
                                .absent = "images of Amazon are missing",
                                .t_test = true,
                                .wilcoxon = true};

/* ---- the whole page -------------------------------------------------------------------------- */

static void page_has_every_section(void **state)
{
    static const char *const HEADS[] = {"Best results",    "Accuracy",     "Learning curves", "Hyper-parameters",
                                        "Time and memory", "Significance", "Knock-outs",      "Failed trials"};
    Written w;
    StudyView v;
    const char *at;
    (void)state;
    draw_page(&w, &FULL, &v);
    at = w.page.p;
    for (size_t i = 0; i < COUNT(HEADS); i++) { /* in this order */
        const char *head = arena_printf(w.a, &w.e, "\">%s</h2>", HEADS[i]);
        at = head ? strstr(at, head) : NULL;
        if (!at)
            fail_msg("no section %s behind the one before", HEADS[i]);
    }
    /* BPRMF uses no features, so it has one row for all settings; knock-outs have no rows */
    Text accuracy = table(&w, "office-accuracy.csv");
    assert_int_equal(count(accuracy.p, "\nBPRMF,-,"), 1);
    assert_int_equal(count(accuracy.p, "\nVBPR,ResNet50,"), 1);
    assert_int_equal(count(accuracy.p, "\nVBPR,"), 2);
    assert_null(strstr(accuracy.p, "without"));
    assert_non_null(strstr(accuracy.p, "Recall@20,Recall@20 deviation,"));
    assert_non_null(strstr(accuracy.p, "12 of 12 trials failed: lr: <b>0.01</b> & more"));
    assert_true(has(&w, "2 of 12 trials failed: lr: &lt;b&gt;0.01&lt;/b&gt; &amp; more"));
    assert_true(has(&w, "<dt>trials done</dt>"));
    assert_true(has(&w, "<h4>VBPR: lr</h4>"));
    assert_true(has(&w, "<h4>VBPR: l_w</h4>"));
    assert_true(has(&w, "images of Amazon are missing")); /* an absent knock-out */
    end(&w);
}

static void best_figures_are_marked(void **state)
{
    Written w;
    StudyView v;
    double best = 0, second = 0;
    (void)state;
    draw_page(&w, &FULL, &v);
    for (size_t g = 0; g < v.group_count; g++) {
        const Group *group = &v.groups[g];
        double value = group->best < 0 ? 0 : group->points[group->best].test[0];
        if (strcmp(group->data, "office") != 0 || strstr(group->setting, "without"))
            continue;
        second = value > best ? best : value < best ? fmax(second, value) : second;
        best = fmax(best, value);
    }
    Text latex = table(&w, "office-accuracy.tex"), markdown = table(&w, "office-accuracy.md");
    assert_true(has(&w, arena_printf(w.a, &w.e, "<b>%.4f</b>", best)));
    assert_true(has(&w, arena_printf(w.a, &w.e, "<u>%.4f</u>", second)));
    assert_non_null(strstr(latex.p, arena_printf(w.a, &w.e, "\\textbf{%.4f}", best)));
    assert_non_null(strstr(latex.p, arena_printf(w.a, &w.e, "\\underline{%.4f}", second)));
    assert_non_null(strstr(markdown.p, arena_printf(w.a, &w.e, "**%.4f**", best)));
    end(&w);
}

static void low_is_best_where_a_metric_says_so(void **state)
{
    bool lower;
    (void)state;
    assert_true(report_direction("Recall@20", &lower) && !lower);
    assert_true(report_direction("PopREO@20", &lower) && lower);
    assert_false(report_direction("Gini@10", &lower));
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Sheet s = sheet_new("x", "x", a, &e);
    sheet_column(&s, "x", 'r');
    double value[] = {0.3, NAN, 0.1, 0.2, 0.1};
    for (size_t i = 0; i < COUNT(value); i++)
        assert_non_null(sheet_row(&s, false));
    CellMark low[] = {MARK_NONE, MARK_NONE, MARK_BEST, MARK_SECOND, MARK_BEST},
             high[] = {MARK_BEST, MARK_NONE, MARK_NONE, MARK_SECOND, MARK_NONE};
    sheet_mark(&s, 0, value, true);
    for (size_t i = 0; i < COUNT(value); i++)
        assert_int_equal(s.cells[i].mark, low[i]);
    sheet_mark(&s, 0, value, false);
    for (size_t i = 0; i < COUNT(value); i++)
        assert_int_equal(s.cells[i].mark, high[i]);
    assert_int_equal(sheet_note(&s, "why"), 1);
    assert_int_equal(sheet_note(&s, "other"), 2);
    assert_int_equal(sheet_note(&s, "why"), 1);
    arena_free(a);
}

/* settings: without knock-out, then without images and without texts, in one of the forms of their names */
static void check_knock_outs(const char *const settings[4], const char *name)
{
    Written w;
    StudyView v;
    DrawnStudy d = FULL;
    d.settings = settings;
    draw_page(&w, &d, &v);
    Text text = table(&w, "office-knock-outs.csv");
    const Group *with = NULL, *without = NULL;
    for (size_t g = 0; g < v.group_count; g++)
        if (!strcmp(v.groups[g].data, "office") && !strcmp(v.groups[g].model, "external.VBPR")) {
            with = !strcmp(v.groups[g].setting, settings[1]) ? &v.groups[g] : with;
            without = !strcmp(v.groups[g].setting, settings[2]) ? &v.groups[g] : without;
        }
    if (!with || !without)
        fail_msg("VBPR has no such groups");
    double x = with->points[with->best].test[0], y = without->points[without->best].test[0];
    assert_non_null(
        strstr(text.p, arena_printf(w.a, &w.e, "VBPR,CLIP,%s,%.4f,%.4f,%.9g,", name, x, y, 100 * (y - x) / x)));
    assert_null(strstr(text.p, "BPRMF")); /* it has no features to leave out */
    end(&w);
}

static void knock_outs_are_compared(void **state)
{
    static const char *const OF_BENCHMARK[] = {"ResNet50", "CLIP", "CLIP, visual noise", "CLIP, textual zero"};
    (void)state;
    check_knock_outs(SETTINGS, "visual (noise)");
    check_knock_outs(OF_BENCHMARK, "visual noise");
}

static void absent_data_say_why(void **state)
{
    DrawnStudy d = FULL;
    Written w;
    StudyView v;
    (void)state;
    d.setting_count = 2;
    d.failures = false;
    draw_page(&w, &d, &v);
    assert_true(has(&w, "<sup>1</sup> images of Amazon are missing</p>"));
    Text csv = table(&w, "music-accuracy.csv"), latex = table(&w, "music-accuracy.tex"),
         markdown = table(&w, "music-accuracy.md");
    /* BPRMF has its result from another setting */
    assert_int_equal(count(csv.p, ",images of Amazon are missing\n"), 2);
    assert_non_null(strstr(csv.p, "\nVBPR,CLIP,,,"));
    assert_non_null(strstr(latex.p, " & CLIP & -\\textsuperscript{1} & "));
    assert_non_null(strstr(markdown.p, "| VBPR | CLIP | - <sup>1</sup> |"));
    assert_null(strstr(table(&w, "office-accuracy.csv").p, ",note"));
    end(&w);
}

static void studies_may_lack_anything(void **state)
{
    static const char *const none[] = {""};
    DrawnStudy d = {.data = DATA,
                    .data_count = 1,
                    .settings = none,
                    .setting_count = 1,
                    .models = MODELS,
                    .model_count = 1,
                    .rates = 1,
                    .weights = 1,
                    .seeds = 1,
                    .epochs = 1};
    Written w;
    StudyView v;
    (void)state;
    draw_page(&w, &d, &v); /* one group of one point, no tests */
    assert_false(has(&w, ">Significance<") || has(&w, ">Knock-outs<") || has(&w, ">Failed trials<"));
    assert_false(has(&w, "extractors"));
    assert_false(has(&w, "<polyline"));
    Text accuracy = table(&w, "office-accuracy.csv");
    assert_true(text_starts(accuracy, "model,Recall@20,nDCG@20,"));
    end(&w);
    d.failures = true; /* no trial is finished */
    draw_page(&w, &d, &v);
    assert_true(has(&w, ">Failed trials<") && has(&w, "1 of 1 trials failed"));
    end(&w);
    begin(&w);
    study_drawn(&v, &d, w.a);
    v.groups[0].count = 0; /* no trial was started */
    v.row_count = v.extraction_count = 0;
    assert_ok(write_page(&w, &v, NULL), w.e);
    v.figure_count = 0;
    v.metric = "no such metric";
    assert_ok(write_page(&w, &v, NULL), w.e);
    v = (StudyView){.name = "", .system = "", .metric = ""};
    assert_ok(write_page(&w, &v, NULL), w.e);
    assert_ok(file_read(&w.page, w.a, file_in(&w, "report.html"), 0, &w.e), w.e);
    check_page(w.page);
    end(&w);
}

static void errors_leave_no_page(void **state)
{
    Written w;
    StudyView v;
    (void)state;
    begin(&w);
    study_drawn(&v, &FULL, w.a);
    for (size_t i = 0; i < v.row_count; i++)
        v.rows[i].history = "epoch\tloss\tvalid Recall@20\n1\t0.5\tmuch\n";
    assert_false(write_page(&w, &v, NULL));
    assert_error(w.e, SP_FORMAT, "history of trial ");
    assert_false(file_exists(file_in(&w, "report.html")));
    study_drawn(&v, &FULL, w.a);
    v.groups[2].model = "another";
    assert_false(write_page(&w, &v, NULL));
    assert_error(w.e, SP_FORMAT, "not in the lists of its study");
    assert_false(file_exists(file_in(&w, "report.html")));
    end(&w);
}

static void memory_that_is_refused_is_an_error(void **state)
{
    DrawnStudy d = FULL;
    Written w;
    StudyView v;
    TestHeap heap;
    bool ok = false;
    (void)state;
    d.data_count = 1;
    begin(&w);
    study_drawn(&v, &d, w.a);
    for (size_t at = 1; !ok; at += 1 + at / 8) {
        test_heap(&heap, at);
        ok = write_page(&w, &v, &heap.heap);
        assert_int_equal(heap.live, 0);
        if (ok)
            break;
        assert_int_equal(w.e.code, SP_MEMORY);
        error_clear(&w.e);
        assert_false(file_exists(file_in(&w, "report.html")));
    }
    end(&w);
}

/* ---- names that are not trusted -------------------------------------------------------------- */

static const char HOSTILE[] = "a</td><script>alert(1)</script>\"'|*_{}\\end{document}$^~#%&<!--\t\n,--`[x](http)\xFF";

static void hostile_names_stay_text(void **state)
{
    const char *data[] = {HOSTILE, "a/b", "a_b", ".."}, *settings[] = {HOSTILE, "*", "[CLIP]"},
               *models[] = {"|x|", HOSTILE, "=1+1"};
    DrawnStudy d = FULL;
    d.data = data;
    d.data_count = COUNT(data);
    d.settings = settings;
    d.setting_count = COUNT(settings);
    d.models = models;
    d.model_count = COUNT(models);
    d.without_features = 0;
    d.absent = HOSTILE;
    Written w;
    StudyView v;
    (void)state;
    begin(&w);
    study_drawn(&v, &d, w.a);
    const char *figures[COUNT(study_figures)];
    memcpy(figures, study_figures, sizeof figures);
    figures[1] = HOSTILE;
    v.figures = figures;
    v.name = v.system = HOSTILE;
    static const char *const points[] = {"= lr=a&b k|=x lr", "k|=<b> (1, 2) lr=\""};
    for (size_t g = 0; g < v.group_count; g++)
        for (size_t i = 0; i < v.groups[g].count; i++)
            v.groups[g].points[i].point = points[i % 2];
    for (size_t i = 0; i < v.row_count; i++)
        v.rows[i].point = points[v.rows[i].number % 2];
    assert_ok(write_page(&w, &v, NULL), w.e);
    assert_ok(file_read(&w.page, w.a, file_in(&w, "report.html"), 0, &w.e), w.e);
    char *http = arena_strndup(w.a, w.page.p, w.page.n, &w.e);
    for (char *p = strstr(http, "http"); p; p = strstr(p, "http")) /* as text it is allowed */
        memcpy(p, "text", 4);
    check_page((Text){http, w.page.n});

    /* names of files have only letters, digits and _, and are distinct */
    static const char *const FILES[] = {"a_b-accuracy.csv", "a_b-2-accuracy.csv", "_.-accuracy.csv"};
    for (size_t i = 0; i < COUNT(FILES); i++)
        table(&w, FILES[i]);

    /* CSV: a name is one field when it is read */
    Table rows = table_open(table(&w, "failed.csv"), ',', "failed.csv", w.a);
    size_t n = 0, hostile = 0;
    while (table_next(&rows, &w.e)) {
        assert_int_equal(rows.count, 5);
        hostile +=
            n++ && text_starts(rows.field[0], "a</td><script>") && text_ends(rows.field[0], "(http)\xEF\xBF\xBD");
    }
    assert_int_equal(w.e.code, SP_OK);
    assert_true(hostile > 0);

    /* Markdown: every row has the number of separators of the first; LaTeX: a name adds no command */
    Text rest = table(&w, "a_b-accuracy.md"), line;
    size_t bars = 0;
    while (text_line(&rest, &line)) {
        size_t k = 0;
        for (size_t i = 0; i < line.n; i++)
            k += line.p[i] == '|' && (!i || line.p[i - 1] != '\\');
        if (line.n && line.p[0] == '|') {
            bars = bars ? bars : k;
            assert_int_equal(k, bars);
        }
        for (size_t i = 0; i < line.n; i++)
            assert_false(line.p[i] == '<' && (!i || line.p[i - 1] != '\\') && strncmp(line.p + i, "<sup>", 5) &&
                         strncmp(line.p + i, "</sup>", 6) && strncmp(line.p + i, "<u>", 3) &&
                         strncmp(line.p + i, "</u>", 4));
    }
    Text latex = table(&w, "a_b-accuracy.tex");
    assert_null(strstr(latex.p, "\\end{document}"));
    assert_non_null(
        strstr(latex.p, "\\textbackslash{}end\\{document\\}\\$\\textasciicircum{}\\textasciitilde{}\\#\\%\\&"));
    assert_non_null(strstr(latex.p, "& {[}CLIP] &"));
    assert_non_null(strstr(latex.p, "-{}-"));
    end(&w);
}

/* ---- size ------------------------------------------------------------------------------------ */

static void many_trials_make_a_page(void **state)
{
    static const char *const data[] = {"office", "music", "baby", "toys", "beauty"},
                             *const settings[] = {"A", "B", "C", "D"}, *const models[] = {"m0", "m1", "m2", "m3",
                                                                                          "m4", "m5", "m6"};
    DrawnStudy d = {.data = data,
                    .data_count = COUNT(data),
                    .settings = settings,
                    .setting_count = COUNT(settings),
                    .models = models,
                    .model_count = COUNT(models),
                    .rates = 5,
                    .weights = 2,
                    .seeds = 1,
                    .epochs = 60,
                    .t_test = true};
    Written w;
    StudyView v;
    (void)state;
    draw_page(&w, &d, &v);
    assert_in_range(v.row_count, 1400, 2000);
    assert_in_range(w.page.n, 100000, 3000000);
    Text again, first = w.page;
    assert_ok(write_page(&w, &v, NULL), w.e);
    assert_ok(file_read(&again, w.a, file_in(&w, "report.html"), 0, &w.e), w.e);
    assert_true(text_equal(first, again));
    end(&w);
}

int main(void)
{
#ifdef SAPOR_MINIMAL
    printf("skipped: MINIMAL has no page of studies\n");
    return 0;
#else
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_has_every_section),
        cmocka_unit_test(best_figures_are_marked),
        cmocka_unit_test(knock_outs_are_compared),
        cmocka_unit_test(low_is_best_where_a_metric_says_so),
        cmocka_unit_test(absent_data_say_why),
        cmocka_unit_test(studies_may_lack_anything),
        cmocka_unit_test(errors_leave_no_page),
        cmocka_unit_test(hostile_names_stay_text),
        cmocka_unit_test(memory_that_is_refused_is_an_error),
        cmocka_unit_test(many_trials_make_a_page),
    };
    test_folders_in_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
