/* tests/benchmark_test.c: the file of a benchmark: the study that its keys give, malformed files, absent data, an
 * extraction. */
#include "tests/folder_testing.h"

#include "tools/demo/catalogue.h"
#include "tools/run/benchmark.h"

#ifdef HAVE_YAML
typedef struct Fixture {
    Arena *arena;
    char folder[256], notes[2048];
} Fixture;

#define SPLIT "split: {strategy: random, test_ratio: 0.25, validation_ratio: 0.25, seed: 1}"
#define SHOP                                                                                                           \
    "    - name: shop\n      folder: shop\n      interactions: reviews.tsv\n      " SPLIT "\n      images: images\n"   \
    "      items: {table: items.tsv, id: asin, text: title}\n"
#define COLOURS                                                                                                        \
    "    - name: colours and words\n      visual: {model: colour-statistics, backend: torch, layer: all}\n"            \
    "      textual: {model: word-statistics, backend: sentence_transformers, layer: 1}\n"
#define MODELS "  models:\n    VBPR: {meta: {validation_rate: 2}, epochs: 4, lr: [0.001, 1e-2], l_w: [1e-5]}\n"
#define WHOLE  "benchmark:\n  data:\n" SHOP "  settings:\n" COLOURS MODELS

static void keep_note(void *arg, const char *line)
{
    Fixture *f = arg;
    size_t n = strlen(f->notes);
    snprintf(f->notes + n, sizeof f->notes - n, "%s\n", line);
}

static int setup(void **state)
{
    static Fixture f;
    char path[512], name[32];
    unsigned char rgb[12];
    f.arena = arena_new(NULL, 0);
    test_folder(f.folder);
    snprintf(path, sizeof path, "%s/shop/images", f.folder);
    assert_true(folder_make(path, &(Error){0}));
    snprintf(path, sizeof path, "%s/shop/reviews.tsv", f.folder);
    FILE *reviews = fopen(path, "w");
    assert_non_null(reviews);
    for (int u = 0; u < 12; u++)
        for (int j = 0; j < 8; j++)
            fprintf(reviews, "u%d\ti%d\t5\n", u, (u + j * j) % 10);
    fclose(reviews);
    snprintf(path, sizeof path, "%s/shop/items.tsv", f.folder);
    FILE *items = fopen(path, "w");
    assert_non_null(items);
    fprintf(items, "asin\ttitle\n");
    for (int i = 0; i < 10; i++) {
        fprintf(items, "i%d\tthe thing number %d\n", i, i);
        for (int k = 0; k < 12; k++)
            rgb[k] = (unsigned char)(20 * i + k);
        snprintf(name, sizeof name, "i%d.png", i);
        snprintf(path, sizeof path, "%s/shop/images/%s", f.folder, name);
        assert_true(png_write(path, 2, 2, rgb, NULL, &(Error){0}));
    }
    fclose(items);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    test_folder_remove(f->folder);
    arena_free(f->arena);
    return 0;
}

static bool read_text(Fixture *f, Study *s, const char *text, Context *ctx, Error *e)
{
    const char *path = path_join(f->arena, f->folder, "b.yml", e);
    f->notes[0] = 0;
    Yaml *root = yaml_parse(f->arena, text_of(text), path, e);
    ProtocolConfig c = {.path = path, .note = keep_note, .arg = f};
    return root && benchmark_read(s, &c, root, ctx, f->arena, e);
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void test_study(void **state)
{
    Fixture *f = *state;
    Error e = {0};
    Study s;
    assert_ok(read_text(f, &s,
                        "benchmark:\n  name: two\n  out: there\n  data:\n" SHOP
                        "    - {name: parts, folder: shop, train: reviews.tsv, test: reviews.tsv,\n"
                        "       features: {ready: {visual: images}}, gaps: zero}\n"
                        "  settings:\n" COLOURS "    - {name: ready, features: {textual: 'shop/{0}.npy'}}\n"
                        "  models:\n"
                        "    external.BM3: {meta: {hyper_opt_alg: tpe, hyper_max_evals: 30, save_recs: 20,\n"
                        "      verbose: True}, lr: [loguniform, -9, -4], n_layers: [1, 2], dropout: 0.3}\n"
                        "    ItemKNN: {neighbors: [20, 40]}\n"
                        "  evaluation: {cutoffs: [5, 10], metrics: [ndcg, Recall], metric: recall@10, select: test,\n"
                        "    tests: [wilcoxon]}\n"
                        "  seeds: [1, 2, 3]\n"
                        "  knock: [{modality: both, mode: noise}, {modality: textual, mode: zero, seed: 7}]\n",
                        NULL, &e),
              e);
    assert_string_equal(s.name, "two");
    assert_string_equal(s.system, "benchmark");
    assert_string_equal(s.out, path_join(f->arena, f->folder, "there", &e));
    assert_string_equal(s.metric, "Recall");
    assert_int_equal(s.cutoff, 10);
    assert_int_equal(s.select, SELECT_TEST);
    assert_true(s.wilcoxon && !s.t_test);
    assert_int_equal(s.data_count, 2 * 2 * 3);
    static const char *const CELLS[][3] = {
        {"shop", "colours and words", "its features are not extracted"},
        {"shop", "colours and words, both noise", "its features are not extracted"},
        {"shop", "colours and words, textual zero", "its features are not extracted"},
        {"shop", "ready", "shop/shop.npy is not there"},
        {"shop", "ready, both noise", "shop/shop.npy is not there"},
        {"shop", "ready, textual zero", "shop/shop.npy is not there"},
        {"parts", "colours and words", "the data set has no images"},
        {"parts", "colours and words, both noise", "the data set has no images"},
        {"parts", "colours and words, textual zero", "the data set has no images"},
        {"parts", "ready", NULL},
        {"parts", "ready, both noise", NULL},
        {"parts", "ready, textual zero", NULL},
    };
    for (size_t i = 0; i < COUNT(CELLS); i++) {
        assert_string_equal(s.data[i].name, CELLS[i][0]);
        assert_string_equal(s.data[i].setting, CELLS[i][1]);
        assert_string_equal(s.data[i].fold, "");
        assert_int_equal(s.data[i].absent != NULL, CELLS[i][2] != NULL);
        if (CELLS[i][2] && !strstr(s.data[i].absent, CELLS[i][2]))
            fail_msg("%s: %s", CELLS[i][1], s.data[i].absent);
        assert_int_equal(s.data[i].config.knock.count, i % 3 > 0);
        assert_int_equal(s.data[i].config.gaps, i < 6 ? GAPS_DROP : GAPS_ZERO);
    }
    assert_int_equal(s.data[11].config.knock.mode, KNOCK_ZERO);
    assert_int_equal(s.data[11].config.knock.seed, 7);
    assert_int_equal(s.data[9].config.feature_count, 1);
    assert_non_null(strstr(s.data[9].config.features[0], "visual="));
    assert_null(s.data[9].config.valid);
    /* the split has its own folder */
    size_t counts[3];
    assert_ok(split_file(path_join(f->arena, f->folder, "shop/reviews.tsv", &e),
                         path_join(f->arena, f->folder, "by_hand", &e),
                         &(SplitConfig){.test_ratio = 0.25, .validation_ratio = 0.25, .seed = 1}, counts, &e),
              e);
    const char *cell = arena_strndup(f->arena, s.data[0].config.train, strlen(s.data[0].config.train) - 10, &e);
    assert_same_folders(f->arena, path_join(f->arena, f->folder, "by_hand", &e), cell);
    /* models */
    assert_int_equal(s.model_count, 2);
    const StudyModel *m = s.models;
    assert_string_equal(m->name, "external.BM3");
    assert_true(m->search == SEARCH_TPE && m->evals == 30 && m->save_recs == 20 && !m->save_weights);
    assert_int_equal(m->dim_count, 2);
    assert_int_equal(m->dims[0].distribution, DIST_LOGUNIFORM);
    assert_true(m->dims[0].low == -9 && m->dims[0].high == -4);
    assert_int_equal(m->dims[1].count, 2);
    assert_int_equal(m->set_count, 1);
    assert_string_equal(m->set[0], "dropout=0.3");
    assert_int_equal(m->seed_count, 3);
    assert_non_null(strstr(f->notes, "verbose: no effect"));
    assert_int_equal(s.models[1].search, SEARCH_GRID);
}

static void test_defaults(void **state)
{
    Fixture *f = *state;
    Error e = {0};
    Study s;
    assert_ok(read_text(f, &s, "benchmark:\n  data:\n" SHOP "  models: {MostPop: }\n", NULL, &e), e);
    assert_int_equal(s.data_count, 1);
    assert_string_equal(s.data->setting, "");
    assert_null(s.data->absent);
    assert_int_equal(s.models->seeds[0], 123);
    assert_int_equal(s.eval.metric_count, 4);
    assert_string_equal(s.metric, "Recall");
    assert_int_equal(s.cutoff, 20);
    assert_int_equal(s.select, SELECT_VALID);
    assert_string_equal(s.out, path_join(f->arena, f->folder, "results", &e));
}

/* Checks that missing data give a reason in the study, and never an error. */
static void test_absent(void **state)
{
    Fixture *f = *state;
    Error e = {0};
    Study s;
    assert_ok(read_text(f, &s,
                        "benchmark:\n  data:\n"
                        "    - {name: gone, folder: gone, interactions: reviews.tsv, " SPLIT
                        ", absent: Not to be had}\n"
                        "    - {name: half, folder: shop, interactions: reviews.tsv, " SPLIT ", images: nowhere}\n"
                        "    - {name: text, folder: shop, interactions: reviews.tsv, " SPLIT ", images: images,\n"
                        "       items: {table: meta.tsv, id: a, text: b}, absent: Ask for them}\n" SHOP
                        "  settings:\n" COLOURS
                        "    - {name: big, visual: {model: NoSuchModel, backend: torch, layer: avgpool}}\n" MODELS,
                        NULL, &e),
              e);
    static const char *const SAYS[] = {"Not to be had (",
                                       "Not to be had (",
                                       "/shop/nowhere is not there",
                                       "/shop/nowhere is not there",
                                       "Ask for them (",
                                       "the encoder NoSuchModel is not there",
                                       "its features are not extracted",
                                       "the encoder NoSuchModel is not there"};
    assert_int_equal(s.data_count, COUNT(SAYS));
    for (size_t i = 0; i < COUNT(SAYS); i++)
        if (!s.data[i].absent || !strstr(s.data[i].absent, SAYS[i]))
            fail_msg("%zu: \"%s\" is not in \"%s\"", i, SAYS[i], s.data[i].absent ? s.data[i].absent : "(here)");
}

/* ---- malformed ------------------------------------------------------------------------------- */

#define DATA(keys)    "benchmark:\n  data:\n    - {name: a, " keys "}\n" MODELS
#define SETTINGS(one) "benchmark:\n  data:\n" SHOP "  settings:\n    - {name: s, " one "}\n" MODELS
#define MODEL(one)    "benchmark:\n  data:\n" SHOP "  models: {" one "}\n"
static void test_malformed(void **state)
{
    Fixture *f = *state;
    static const struct {
        const char *yaml, *why;
    } CASES[] = {
        {"- a\n", "b.yml:1:1: the file: found a list of 1 value; allowed is a map"},
        {"experiment: {}\n", "experiment: found an unknown key; allowed is benchmark"},
        {"benchmark: 3\n", "b.yml:1:12: benchmark: found 3; allowed is a map"},
        {"benchmark:\n", "benchmark: found nothing; allowed is a map"},
        {"benchmark: {dta: 1}\n", "benchmark.dta: found an unknown key; did you mean \"data\"?"},
        {"benchmark: {protocol: recbole}\n", "benchmark.protocol: found recbole; allowed is elliot or mmrec"},
        {"benchmark: {name: a}\n", "benchmark.data: found nothing; allowed is a list of data sets"},
        {"benchmark: {data: 1}\n", "benchmark.data: found 1; allowed is a list"},
        {"benchmark: {data: [1]}\n", "benchmark.data[0]: found 1; allowed is a map"},
        {"benchmark: {data: [null]}\n", "benchmark.data[0]: found nothing; allowed is a map"},
        {"benchmark: {data: [{folder: a}]}\n", "benchmark.data[0].name: found nothing; allowed is a name"},
        {DATA("train: t, form: tsv"), "benchmark.data[0].form: found an unknown key; allowed is name, folder"},
        {DATA("format: tsv"), "benchmark.data[0].interactions: found nothing; allowed is a file to split"},
        {DATA("interactions: i"), "benchmark.data[0].split: found nothing; allowed is a map"},
        {DATA("interactions: i, train: t"), "data[0].interactions: found i; allowed is either"},
        {DATA("test: t"), "data[0].train: found nothing; allowed is a file"},
        {DATA("train: t, split: {seed: 1}"), "data[0].split: found a map (seed); allowed is nothing"},
        {DATA("interactions: i, split: {strategy: best}"), "split.strategy: found best; allowed is random"},
        {DATA("interactions: i, split: {test_ratio: 2}"), "split.test_ratio: found 2; allowed is a number"},
        {DATA("interactions: i, split: {strategy: leave-n-out}"), "split.leave_n: found nothing"},
        {DATA("interactions: i, split: {seed: -1}"), "split.seed: found -1; allowed is a whole number"},
        {DATA("interactions: i, split: {ratio: 1}"), "split.ratio: found an unknown key"},
        {DATA("train: t, format: xml"), "format: found xml; allowed is auto, tsv"},
        {DATA("train: t, separator: pipe |"), "separator: found pipe |; allowed is tab"},
        {DATA("train: t, gaps: leave"), "gaps: found leave; allowed is error, drop, zero or mean"},
        {DATA("train: t, items: {table: t}"), "items.id: found nothing; allowed is a table"},
        {DATA("train: t, items: t.tsv"), "items: found t.tsv; allowed is a map"},
        {DATA("train: t, features: {other: {visual: v}}"), "features.other: found an unknown key"},
        {DATA("train: [t]"), "train: found a list of 1 value; allowed is a text"},
        {"benchmark: {data: [{name: a, train: t}, {name: a, train: t}]}\n", "data[1].name: found a; allowed is a name"},
        {"benchmark:\n  data:\n" SHOP "  settings: {name: a}\n" MODELS,
         "settings: found a map (name); allowed is a li"},
        {"benchmark:\n  data:\n" SHOP "  settings: [{visual: }]\n" MODELS, "settings[0].name: found nothing"},
        {"benchmark:\n  data:\n" SHOP "  settings: [{name: a}, {name: a}]\n" MODELS, "settings[1].name: found a; all"},
        {SETTINGS("audio: {}"), "settings[0].audio: found an unknown key"},
        {SETTINGS("visual: {layer: all}"), "settings[0].visual.model: found nothing; allowed is the name of an enc"},
        {SETTINGS("visual: {model: colour-statistics, layer: [a, b], backend: torch}"),
         "visual.layer: found a list of 2 values; allowed is one layer"},
        {SETTINGS("visual: {model: colour-statistics, layer: all, backend: jax}"),
         "b.yml:10:73: backend \"jax\" is not supported for this modality; choose torch"},
        {SETTINGS("visual: {model: colour-statistics, layer: all, backend: torch, batch_size: 0}"), "batch_size"},
        {SETTINGS("visual: {model: colour-statistics, layer: all, backend: torch, mean: [1, 2, 3]}"), "mean and std"},
        {SETTINGS("visual: {model: m, layer: all, backend: torch, output_layers: 1}"),
         "output_layers: found an unknown"},
        {SETTINGS("visual: {model: m, layer: l, backend: torch}, visual_textual: {model: m, backend: transformers}"),
         "settings[0].visual_textual: found a map"},
        {SETTINGS("visual_textual: {model: m, backend: transformers, fusion: sum}"), "fusion: found sum; allowed is n"},
        {SETTINGS("visual: {model: m, layer: l, backend: torch}, features: {visual: v}"),
         "settings[0].features: found a map (visual); allowed is encoders, or ready features"},
        {SETTINGS("features: {audio: v}"), "features.audio: found an unknown key"},
        {"benchmark:\n  data:\n" SHOP, "benchmark.models: found nothing; allowed is a map of recommenders"},
        {MODEL("VBPRR: {}"), "b.yml:9:19: model: found VBPRR; allowed is a recommender of Sapor: "},
        {MODEL("VBPR: 3"), "models.VBPR: found 3; allowed is a map"},
        {MODEL("VBPR: {epoch: 3}"), "models.VBPR.epoch: found an unknown key; did you mean \"epochs\"?"},
        {MODEL("VBPR: {lr: fast}"), "b.yml:9:23: benchmark.models.VBPR.lr: found fast; allowed is"},
        {MODEL("VBPR: {lr: [0.1, fast]}"), "models.VBPR.lr: found fast; allowed is"},
        {MODEL("VBPR: {lr: []}"), "models.VBPR.lr: found a list of 0 values"},
        {MODEL("VBPR: {lr: [uniform, 0, 1]}"), "models.VBPR.lr: found a list of 3 values; allowed is a list of values"},
        {MODEL("VBPR: {meta: {hyper_opt_alg: tpe, hyper_max_evals: 3}, lr: [uniform, 0]}"), "allowed is [uniform, low"},
        {MODEL("VBPR: {meta: {hyper_opt_alg: tpe, hyper_max_evals: 3}, lr: [quniform, 0, a, 1]}"), "found a; allowed"},
        {MODEL("VBPR: {meta: {hyper_opt_alg: tpe}}"), "meta.hyper_max_evals: found nothing; allowed is the number"},
        {MODEL("VBPR: {meta: {hyper_opt_alg: anneal}}"), "hyper_opt_alg: found anneal; allowed is grid, random or tpe"},
        {MODEL("VBPR: {meta: {validation_metric: HR@5}}"), "validation_metric: found HR@5; allowed is nothing"},
        {MODEL("VBPR: {meta: {metric: HR@5}}"), "meta.metric: found an unknown key"},
        {WHOLE "  evaluation: {metric: Recall@7}\n",
         "evaluation.metric: found Recall@7; allowed is one of the metrics at one"},
        {WHOLE "  evaluation: {metrics: [Recal]}\n",
         "b.yml:15:25: metrics: unknown metric 'Recal'; did you mean \"Recall\"?"},
        {WHOLE "  evaluation: {metrics: []}\n", "evaluation.metrics: found a list of 0 values"},
        {WHOLE "  evaluation: {cutoffs: [0]}\n", "evaluation.cutoffs: found 0; allowed is"},
        {WHOLE "  evaluation: {cutoffs: [5, 5]}\n", "cutoffs"},
        {WHOLE "  evaluation: {tests: [anova]}\n",
         "evaluation.tests: found anova; allowed is paired_ttest or wilcoxon"},
        {WHOLE "  evaluation: {select: all}\n", "evaluation.select: found all; allowed is valid or test"},
        {WHOLE "  seeds: []\n", "benchmark.seeds: found a list of 0 values"},
        {WHOLE "  seeds: [1, 1]\n", "benchmark.seeds: found a list of 2 values; allowed is a list without 1 twice"},
        {WHOLE "  seeds: x\n", "benchmark.seeds: found x; allowed is a whole number"},
        {WHOLE "  knock: both\n", "benchmark.knock: found both; allowed is a list"},
        {WHOLE "  knock: [{modality: both}]\n", "knock[0].mode: found nothing; allowed is noise"},
        {WHOLE "  knock: [{modality: audio, mode: zero}]\n", "knock[0].modality: found audio; allowed is visual"},
        {WHOLE "  knock: [{modality: both, mode: one}, {modality: both, mode: one}]\n",
         "knock[1].mode: found one; allowed is a knock-out other than both one"},
        {WHOLE "  knock: [{modality: both, mode: half}]\n", "knock[0].mode: found half; allowed is noise"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        Error e = {0};
        Study s;
        if (read_text(f, &s, CASES[i].yaml, NULL, &e))
            fail_msg("accepted: %s", CASES[i].yaml);
        if (!strstr(e.message, CASES[i].why) || strchr(e.message, '\n'))
            fail_msg("%s: \"%s\" is not in \"%s\"", CASES[i].yaml, CASES[i].why, e.message);
    }
}

/* ---- the shipped files ----------------------------------------------------------------------- */

static void test_shipped(void **state)
{
    Fixture *f = *state;
    static const struct {
        const char *path;
        size_t data, models, points;
    } FILES[] = {{"share/benchmarks/paper.yml", 25, 6, 10}, {"share/benchmarks/demo.yml", 2, 6, 2}};
    for (size_t i = 0; i < COUNT(FILES); i++) {
        Error e = {0};
        Study s;
        Text source;
        assert_ok(file_read(&source, f->arena, FILES[i].path, 0, &e), e);
        Yaml *root = yaml_parse(f->arena, source, FILES[i].path, &e);
        ProtocolConfig c = {.path = FILES[i].path, .out = path_join(f->arena, f->folder, "shipped", &e)};
        assert_ok(root && benchmark_read(&s, &c, root, NULL, f->arena, &e), e);
        assert_int_equal(s.data_count, FILES[i].data);
        assert_int_equal(s.model_count, FILES[i].models);
        for (size_t m = 0; m < s.model_count; m++) {
            size_t points = 1;
            for (size_t k = 0; k < s.models[m].dim_count; k++)
                points *= s.models[m].dims[k].count;
            assert_int_equal(points, FILES[i].points);
        }
    }
}

/* ---- extraction ------------------------------------------------------------------------------ */

#ifdef HAVE_SQLITE3
static Fixture *at_work;
static bool extract_twice(Context *ctx, Error *e)
{
    Fixture *f = at_work;
    Study s;
    ExtractionRow *rows;
    size_t n;
    static const char *const TEXT_AGAIN = "    - {name: again, textual: {model: word-statistics, layer: 1,"
                                          " backend: sentence_transformers}}\n";
    const char *text =
        arena_printf(f->arena, e, "benchmark:\n  data:\n%s  settings:\n%s%s%s", SHOP, COLOURS, TEXT_AGAIN, MODELS);
    double seconds = 0;
    for (int run = 0; run < 2; run++) {
        if (!read_text(f, &s, text, ctx, e))
            return false;
        assert_int_equal(s.data_count, 2);
        for (size_t i = 0; i < 2; i++) {
            if (s.data[i].absent)
                fail_msg("%s", s.data[i].absent);
            assert_int_equal(s.data[i].config.feature_count, 2 - i);
            DataSet d;
            if (!dataset_load(&d, &s.data[i].config, f->arena, e))
                return false;
            assert_int_equal(d.feature_count, 2 - i);
            assert_int_equal(d.I, 10);
            dataset_close(&d);
        }
        Ledger *l = ledger_open(path_join(f->arena, s.out, "ledger.sqlite", e), e);
        if (!l || !ledger_extractions(l, &rows, &n, f->arena, e))
            return false;
        assert_int_equal(n, 3);
        double words[2] = {-1, -2};
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(rows[i].items, 10);
            assert_true(rows[i].width > 0 && rows[i].seconds > 0 && rows[i].peak_bytes > 0);
            if (!strcmp(rows[i].model, "word-statistics"))
                words[!strcmp(rows[i].setting, "again")] = rows[i].seconds;
        }
        assert_true(words[0] == words[1]); /* the encoder of the second setting had run */
        assert_true(!run || words[0] == seconds);
        seconds = words[0];
        ledger_close(l);
    }
    return e->code == SP_OK;
}

static void test_extraction(void **state)
{
    static const Option no_options[] = {{0}};
    static const Command TRY = {.name = "try", .arguments = "", .options = no_options, .run = extract_twice};
    char *words[] = {"try", "--quiet", "--threads", "1"};
    at_work = *state;
    assert_int_equal(command_run(&TRY, COUNT(words), words), 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_study),      cmocka_unit_test(test_defaults), cmocka_unit_test(test_absent),
        cmocka_unit_test(test_malformed),  cmocka_unit_test(test_shipped),
#ifdef HAVE_SQLITE3
        cmocka_unit_test(test_extraction),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

#else

int main(void)
{
    puts("1..0 # SKIP skipped: this build has no libyaml");
    return 0;
}

#endif
