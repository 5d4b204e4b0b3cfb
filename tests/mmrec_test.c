/* tests/mmrec_test.c: MMRec's configurations, published and malformed, as studies; the files written at the end. */
#include "tests/folder_testing.h"

#include <time.h>

#include "recsys/protocols/protocols.h"

#ifdef HAVE_YAML
#define CONFIGS "tests/golden/mmrec"
typedef struct Fixture {
    Arena *arena;
    char folder[256], data[300];
    char notes[4096];
} Fixture;

static void keep_note(void *arg, const char *line)
{
    Fixture *f = arg;
    size_t n = strlen(f->notes);
    snprintf(f->notes + n, sizeof f->notes - n, "%s\n", line);
}

/* Writes features F32 [rows, cols]: row r has r + 1 in column r mod cols. */
static void write_features(const char *folder, const char *name, int rows, int cols)
{
    char path[512], header[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    int n =
        snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, cols);
    fprintf(f, "\x93NUMPY\1%c\x76%c%s%*s\n", 0, 0, header, 117 - n, "");
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) {
            float x = c == r % cols ? (float)r + 1 : 0;
            fwrite(&x, sizeof x, 1, f);
        }
    fclose(f);
}

static int setup(void **state)
{
    static Fixture f;
    char path[512];
    f.arena = arena_new(NULL, 0);
    test_folder(f.folder);
    snprintf(f.data, sizeof f.data, "data_path=%s/data/", f.folder);
    snprintf(path, sizeof path, "%s/data/tiny", f.folder);
    assert_true(folder_make(path, &(Error){0}));
    snprintf(path, sizeof path, "%s/data/tiny/tiny.inter", f.folder);
    FILE *inter = fopen(path, "w");
    assert_non_null(inter);
    fprintf(inter, "userID\titemID\trating\ttimestamp\tx_label\n");
    for (int u = 0; u < 8; u++)
        for (int j = 0; j < 5; j++)
            fprintf(inter, "%d\t%d\t5.0\t%d\t%d\n", u, (u + j * j) % 10, 100 + j, j < 3 ? 0 : j - 2);
    fclose(inter);
    snprintf(path, sizeof path, "%s/data/tiny", f.folder);
    write_features(path, "image_feat.npy", 10, 4);
    write_features(path, "text_feat.npy", 10, 3);
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

/* Reads `path` with the fixture's data and more overrides. */
static bool read_with(Fixture *f, Study *s, const char *path, const char *model, const char *const *set, size_t n,
                      Error *e)
{
    const char *overrides[8] = {f->data};
    f->notes[0] = 0;
    for (size_t i = 0; i < n; i++)
        overrides[1 + i] = set[i];
    ProtocolConfig c = {.path = path,
                        .model = model,
                        .dataset = "tiny",
                        .overrides = overrides,
                        .override_count = n + 1,
                        .note = keep_note,
                        .arg = f};
    return mmrec_read(s, &c, f->arena, e);
}

static size_t points_of(const StudyModel *m)
{
    size_t n = 1;
    for (size_t i = 0; i < m->dim_count; i++)
        n *= m->dims[i].count;
    return n;
}

static const CommonSettings *settings_of(Fixture *f, const StudyModel *m)
{
    Error e = {0};
    const CommonSettings *s = settings_make(m->kind, PROTOCOL_MMREC, m->set, m->set_count, f->arena, &e);
    if (!s)
        fail_msg("%s", e.message);
    return s;
}

/* Checks the published file of each recommender that Sapor has: the number of combinations, and the keys without
 * effect. */
static void test_published(void **state)
{
    Fixture *f = *state;
    static const struct {
        const char *model, *first, *idle; /* the dimensions in order; the keys with a note */
        size_t points, features;
        double decay;
    } CASES[] = {
        {"BM3", "n_layers reg_weight dropout", "feat_embed_dim", 8, 2, 1},
        {"BPR", "reg_weight", "", 7, 0, 1},
        {"FREEDOM", "dropout reg_weight", "weight_size lambda_coeff", 8, 2, 1},
        {"GRCN", "reg_weight learning_rate", "n_layers", 25, 2, 1},
        {"LATTICE", "reg_weight learning_rate", "", 16, 2, 0.96},
        {"LightGCN", "n_layers reg_weight", "", 20, 0, 1},
        {"MGCN", "cl_loss", "lambda_coeff", 3, 2, 0.96},
        {"MMGCN", "reg_weight learning_rate", "n_layers", 30, 2, 1},
        {"VBPR", "reg_weight", "", 7, 2, 1},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        Error e = {0};
        Study s;
        if (!read_with(f, &s, CONFIGS, CASES[i].model, NULL, 0, &e))
            fail_msg("%s: %s", CASES[i].model, e.message);
        const StudyModel *m = s.models;
        const CommonSettings *c = settings_of(f, m);
        assert_string_equal(m->name, CASES[i].model);
        assert_int_equal(points_of(m), CASES[i].points);
        Text rest = text_of(CASES[i].first), word;
        for (size_t d = 0; d < m->dim_count; d++) {
            assert_true(text_next(&rest, ' ', &word));
            assert_true(text_is(word, m->dims[d].key));
        }
        assert_null(rest.p);
        for (rest = text_of(CASES[i].idle); rest.n && text_next(&rest, ' ', &word);)
            if (!strstr(f->notes, arena_strndup(f->arena, word.p, word.n, &e)))
                fail_msg("%s: no note about %.*s in %s", CASES[i].model, (int)word.n, word.p, f->notes);
        assert_int_equal(s.data->config.feature_count, CASES[i].features);
        assert_int_equal(s.data->config.protocol, PROTOCOL_MMREC);
        assert_int_equal(m->seed_count, 1);
        assert_int_equal(m->seeds[0], 999);
        assert_int_equal(m->save_recs, 50);
        assert_string_equal(s.metric, "Recall");
        assert_int_equal(s.cutoff, 20);
        assert_int_equal(s.select, SELECT_VALID);
        assert_non_null(strstr(f->notes, "select=test"));
        assert_true(c->lr == 0.001 && c->lr_decay == CASES[i].decay && c->weight_decay == 0 && !c->mg);
        assert_true(c->batch_size == 2048 && c->epochs == 1000 && c->patience == 20 && c->validation_rate == 1);
    }
}

static void test_values(void **state)
{
    Fixture *f = *state;
    Error e = {0};
    Study s;
    assert_ok(read_with(f, &s, CONFIGS, "LATTICE", NULL, 0, &e), e);
    const CommonSettings *c = settings_of(f, s.models);
    static const char *const EXPECTED[][2] = {{"n_ui_layers", "2"}, {"mess_dropout", "0.1"}, {"top_k", "10"},
                                              {"l_m", "0.9"},       {"factors", "64"},       {"n_layers", "1"}};
    for (size_t i = 0; i < COUNT(EXPECTED); i++) {
        size_t k = 0;
        while (k < settings_count(c) && strcmp(settings_key(c, k), EXPECTED[i][0]) != 0)
            k++;
        assert_true(k < settings_count(c));
        assert_string_equal(settings_value(c, k), EXPECTED[i][1]);
    }
    assert_string_equal(s.models->dims[0].values[1], "1e-05");
    /* mg: its file; its dimensions come after those of the model */
    static const char *const MIRROR[] = {"mg=True"};
    assert_ok(read_with(f, &s, CONFIGS, "BPR", MIRROR, 1, &e), e);
    assert_int_equal(points_of(s.models), 21);
    assert_string_equal(s.models->dims[1].key, "alpha1");
    assert_true(settings_of(f, s.models)->mg);
    /* the data are read as MMRec reads them */
    DataSet d;
    assert_ok(dataset_load(&d, &s.data->config, f->arena, &e), e);
    assert_true(d.U == 8 && d.I == 10 && d.train.count == 24 && d.valid.count == 8 && d.test.count == 8);
    dataset_close(&d);
}

/* Checks the precedence: overall file, data set's file, model's file, user's file, overrides. The last value is used.
 */
static void test_precedence(void **state)
{
    Fixture *f = *state;
    Error e = {0};
    Study s;
    char file[512];
    static const char *const SET[] = {"epochs=7", "select=test", "seed=[1, 2]"};
    assert_true(folder_make(arena_printf(f->arena, &e, "%s/own/configs/model", f->folder), &e));
    test_write(f->folder, "own/configs/overall.yaml",
               TEXT("seed: [3]\nepochs: 5\nlearning_rate: 0.1\ntopk: [5, 10]\nmetrics: [Recall]\n"
                    "valid_metric: recall@10\ndata_path: 'x/'\nembedding_size: 8\n"));
    test_write(f->folder, "own/configs/model/VBPR.yaml",
               TEXT("learning_rate: 0.2\nreg_weight: [1e-2, 1e-3]\nhyper_parameters: [reg_weight]\n"));
    test_write(f->folder, "own/mine.yaml",
               TEXT("model: VBPR\ndataset: other\nepochs: 6\nlearning_rate: [0.3, 1e-4]\n"
                    "hyper_parameters: [learning_rate, reg_weight]\nuse_gpu: False\n"));
    snprintf(file, sizeof file, "%s/own/mine.yaml", f->folder);
    assert_ok(read_with(f, &s, file, NULL, SET, COUNT(SET), &e), e);
    assert_string_equal(s.name, "tiny");
    assert_int_equal(settings_of(f, s.models)->epochs, 7);
    assert_int_equal(s.models->seed_count, 2);
    assert_int_equal(s.models->seeds[1], 2);
    assert_int_equal(s.models->dim_count, 2);
    assert_string_equal(s.models->dims[0].key, "reg_weight");
    assert_string_equal(s.models->dims[1].key, "learning_rate");
    assert_string_equal(s.models->dims[1].values[1], "1e-4");
    assert_int_equal(s.cutoff, 10);
    assert_int_equal(s.select, SELECT_TEST);
    assert_non_null(strstr(f->notes, "mine.yaml:6:10: use_gpu: no effect"));
    assert_non_null(strstr(f->notes, "dataset/tiny.yaml: is missing"));
    assert_null(strstr(f->notes, "select"));
    assert_string_equal(s.out, arena_printf(f->arena, &e, "%s/own/results/VBPR-tiny", f->folder));
    /* without configs/: the values that MMRec publishes; the path of a data set is relative to the file */
    test_write(f->folder, "alone.yaml", TEXT("model: BM3\ndataset: tiny\ndata_path: data\nn_layers: 2\n"));
    snprintf(file, sizeof file, "%s/alone.yaml", f->folder);
    ProtocolConfig c = {.path = file, .out = "somewhere"};
    assert_ok(mmrec_read(&s, &c, f->arena, &e), e);
    assert_int_equal(settings_of(f, s.models)->epochs, 1000);
    assert_int_equal(s.models->dim_count, 0);
    assert_string_equal(s.out, "somewhere");
    assert_string_equal(s.data->config.train, arena_printf(f->arena, &e, "%s/data/tiny/tiny.inter", f->folder));
}

/* Checks that each malformed file gives an error of one line with the place and the allowed values. */
static void test_malformed(void **state)
{
    Fixture *f = *state;
    static const struct {
        const char *yaml, *why;
    } CASES[] = {
        {"- a\n", "the file: found a list of 1 value; allowed is a map"},
        {"a: [\n", ".yaml:"},
        {"lerning_rate: 0.1\n", ".yaml:1:15: lerning_rate: found an unknown key; did you mean \"learning_rate\"?"},
        {"learning_rate: fast\n", ".yaml:1:16: learning_rate: found fast; allowed is"},
        {"learning_rate: [0.1, 0.2]\n", "found a list of 2 values; allowed is one value, or a list if hyper_param"},
        {"learning_rate: {a: 1}\n", "learning_rate: found a map (a); allowed is"},
        {"learning_rate: []\nhyper_parameters: [learning_rate]\n", "learning_rate: found a list of 0 values"},
        {"learning_rate: [0.1, x]\nhyper_parameters: [learning_rate]\n", ".yaml:1:22: learning_rate: found x"},
        {"hyper_parameters: [alpha]\n", ".yaml:1:20: hyper_parameters: found alpha, which has no value"},
        {"hyper_parameters: [topk]\n", "hyper_parameters: found topk; allowed is seed or a setting of LATTICE"},
        {"hyper_parameters: [weight_size]\nweight_size: [64]\n", "hyper_parameters: found weight_size"},
        {"hyper_parameters: {a: 1}\n", "hyper_parameters: found a map (a); allowed is a list of keys"},
        {"hyper_parameters: [[a]]\n", "hyper_parameters: found a list of 1 value"},
        {"epochs: 1.5\n", "epochs: found 1.5; allowed is"},
        {"epochs: 0\n", "epochs: found 0; allowed is"},
        {"stopping_step: 0\n", "stopping_step: found 0; allowed is"},
        {"train_batch_size: many\n", "train_batch_size: found many"},
        {"embedding_size: -3\n", "embedding_size: found -3"},
        {"weight_size: 64\n", "weight_size: found 64; allowed is a list"},
        {"weight_size: [64, 32]\n", "weight_size: found 32; allowed is the value of embedding_size"},
        {"mess_dropout: [0.1, 0.2]\n", "mess_dropout: found a list of 2 values; allowed is a list of equal numbers"},
        {"mess_dropout: [2, 2]\n", "mess_dropout: found a list of 2 values; allowed is"},
        {"cf_model: gcn\n", "cf_model: found gcn; allowed is"},
        {"learning_rate_scheduler: [0.9, 20]\n", "learning_rate_scheduler: found a list of 2 values; allowed is"},
        {"learning_rate_scheduler: [[1], 20]\n", "learning_rate_scheduler: found"},
        {"seed: abc\n", "seed: found abc; allowed is a whole number"},
        {"seed: [1, -2]\n", "seed: found -2; allowed is a whole number"},
        {"seed: []\n", "seed: found nothing; allowed is a list"},
        {"metrics: [Recall, AUC2]\n", ".yaml:1:10: metrics: unknown metric 'AUC2'; did you mean"},
        {"metrics: []\n", "metrics: found a list of 0 values; allowed is a list of one or more"},
        {"topk: [0]\n", "topk: found 0; allowed is"},
        {"topk: [5, 5]\n", "cutoffs"},
        {"topk: ten\n", "topk: found ten"},
        {"valid_metric: Recall@7\n",
         "valid_metric: found Recall@7; allowed is one of the metrics at one of the cutoffs"},
        {"valid_metric: Recall\n", "valid_metric: found Recall; allowed is"},
        {"valid_metric: HR@20\n", "valid_metric: found HR@20; allowed is"},
        {"select: best\n", "select: found best; allowed is valid or test"},
        {"mg: maybe\n", "mg: found maybe; allowed is True or False"},
        {"learner: sgd\n", "learner: found sgd; allowed is adam or Adam"},
        {"filter_out_cod_start_users: False\n", "filter_out_cod_start_users: found False; allowed is True"},
        {"use_full_sampling: True\n", "use_full_sampling: found True; allowed is False"},
        {"use_neg_sampling: False\n", "use_neg_sampling: found False; allowed is True"},
        {"end2end: True\n", "end2end: found True; allowed is False"},
        {"use_raw_features: True\n", "use_raw_features: found True; allowed is False"},
        {"req_training: False\n", "req_training: found False; allowed is True"},
        {"inter_splitting_label: part\n", "inter_splitting_label: found part; allowed is x_label"},
        {"is_multimodal_model: False\n", "is_multimodal_model: found False; allowed is True: LATTICE needs features"},
        {"is_multimodal_model: 2\n", "is_multimodal_model: found 2; allowed is True or False"},
        {"inter_file_name: gone.inter\n", ".yaml:1:18: inter_file_name: found gone.inter; allowed is a file: "},
        {"inter_file_name: [a]\n", "inter_file_name: found a list of 1 value; allowed is a text"},
        {"field_separator: '|'\n", "field_separator: found \"|\"; allowed is a tab, a comma or a semicolon"},
        {"vision_feature_file: a\ntext_feature_file: b\n", "/data/tiny/b: is not there, and LATTICE needs features"},
        {"clip_grad_norm: {max_norm: 5}\n", "clip_grad_norm: found a map (max_norm); allowed is nothing"},
        {"save_recommended_topk: 5\n", "save_recommended_topk: found 5; allowed is True or False"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        Error e = {0};
        Study s;
        char file[512];
        test_write(f->folder, "bad.yaml", text_of(CASES[i].yaml));
        snprintf(file, sizeof file, "%s/bad.yaml", f->folder);
        if (read_with(f, &s, file, "LATTICE", NULL, 0, &e))
            fail_msg("accepted: %s", CASES[i].yaml);
        if (!strstr(e.message, CASES[i].why) || strchr(e.message, '\n'))
            fail_msg("%s: \"%s\" is not in \"%s\"", CASES[i].yaml, CASES[i].why, e.message);
    }
    Error e = {0};
    Study s;
    assert_false(read_with(f, &s, CONFIGS, "DRAGON", NULL, 0, &e));
    assert_error(e, SP_USAGE, "model: found DRAGON; allowed is a recommender of Sapor: ");
    assert_false(read_with(f, &s, CONFIGS, "../BM3", NULL, 0, &e));
    assert_error(e, SP_USAGE, "model: found ../BM3; allowed is a name without a folder");
    assert_false(read_with(f, &s, f->folder, "BM3", NULL, 0, &e));
    assert_error(e, SP_IO, "has no configs/overall.yaml and no src/configs/overall.yaml");
    ProtocolConfig c = {.path = CONFIGS, .dataset = "tiny"};
    assert_false(mmrec_read(&s, &c, f->arena, &e));
    assert_error(e, SP_USAGE, "model: found nothing; allowed is the name of a model: give it with --model");
}

/* Checks that each refused allocation is an error without a crash or a leak. */
static void test_memory(void **state)
{
    Fixture *f = *state;
    for (size_t n = 1; n < 1000; n++) {
        Error e = {0};
        Study s;
        TestHeap h;
        test_heap(&h, n);
        Arena *a = arena_new(&h.heap, 0);
        const char *set[] = {f->data, "learning_rate=[0.1, 0.2]", "hyper_parameters=[reg_weight, learning_rate]"};
        ProtocolConfig c = {
            .path = CONFIGS, .model = "LATTICE", .dataset = "tiny", .overrides = set, .override_count = COUNT(set)};
        bool ok = a && mmrec_read(&s, &c, a, &e);
        if (!ok && a && e.code != SP_MEMORY)
            fail_msg("request %zu: %d %s", n, e.code, e.message);
        arena_free(a);
        assert_int_equal(h.live, 0);
        if (ok)
            return;
    }
    fail_msg("it never succeeds");
}

/* ---- what is written ------------------------------------------------------------------------- */

static void test_written(void **state)
{
    Fixture *f = *state;
    Error e = {0};
    Study s;
    static const char *const SET[] = {"reg_weight=[0.00001, 2.0]", "hyper_parameters=[reg_weight]", "topk=[1, 2]",
                                      "metrics=[Recall, NDCG]", "valid_metric=Recall@2"};
    setenv("TZ", "UTC", 1);
    tzset();
    assert_ok(read_with(f, &s, CONFIGS, "VBPR", SET, COUNT(SET), &e), e);
    s.out = arena_printf(f->arena, &e, "%s/out", f->folder);
    const char *figures[] = {"Recall@1", "Recall@2", "nDCG@1", "nDCG@2"};
    TrialRow rows[2] = {
        {.model = "VBPR",
         .point = "reg_weight=0.00001",
         .seed = 999,
         .number = 0,
         .key = "k0",
         .state = TRIAL_DONE,
         .message = "",
         .best_epoch = 2,
         .epochs = 3,
         .epoch_seconds = 0.25,
         .eval_seconds = 0.125,
         .valid = "{\"Recall@1\":0.1,\"Recall@2\":0.25,\"nDCG@1\":0.1,\"nDCG@2\":0.2}",
         .test = "{\"Recall@1\":0.05,\"Recall@2\":0.15,\"nDCG@1\":0.05,\"nDCG@2\":0.12}",
         .history = "epoch\tloss\tvalid Recall@1\tvalid Recall@2\tvalid nDCG@1\tvalid nDCG@2\ttest Recall@1\t"
                    "test Recall@2\ttest nDCG@1\ttest nDCG@2\n"
                    "1\t0.7\t0.1\t0.2\t0.1\t0.15\t0.05\t0.1\t0.05\t0.1\n"
                    "2\t0.6\t0.1\t0.25\t0.1\t0.2\t0.05\t0.15\t0.05\t0.12\n"},
        {.model = "VBPR",
         .point = "reg_weight=2.0",
         .seed = 999,
         .number = 1,
         .key = "k1",
         .state = TRIAL_FAILED,
         .message = "the loss is not finite",
         .valid = "{}",
         .test = "{}",
         .history = ""},
    };
    const TrialRow *one[] = {&rows[0]}, *two[] = {&rows[1]};
    GroupPoint points[] = {{.point = rows[0].point, .number = 0, .trials = 1, .finished = 1, .rows = one},
                           {.point = rows[1].point, .number = 1, .trials = 1, .finished = 1, .rows = two}};
    Group group = {.data = "tiny", .setting = "", .model = "VBPR", .points = points, .count = 2, .best = 0};
    StudyView v = {.metric = "Recall@2",
                   .figures = figures,
                   .figure_count = 4,
                   .rows = rows,
                   .row_count = 2,
                   .groups = &group,
                   .group_count = 1};
    assert_true(folder_make(arena_printf(f->arena, &e, "%s/trials/k0", s.out), &e));
    test_write(s.out, "trials/k0/recs-2.tsv", TEXT("0\t3\t0.5\n0\t4\t0.25\n1\t7\t1.5\n1\t2\t1\n"));
    assert_int_equal(s.models[0].save_recs, 2);
    assert_ok(mmrec_write(&s, &v, 1700000000, f->arena, &e), e);
    Text table, log;
    assert_ok(
        file_read(&table, f->arena,
                  arena_printf(f->arena, &e, "%s/recommend_topk/VBPR-tiny-idx0-top2-Nov-14-2023-22-13-20.csv", s.out),
                  0, &e),
        e);
    assert_string_equal(table.p, "id\ttop_0\ttop_1\n0\t3\t4\n1\t7\t2\n");
    assert_ok(file_read(&log, f->arena, arena_printf(f->arena, &e, "%s/log/VBPR-tiny-Nov-14-2023-22-13-20.log", s.out),
                        0, &e),
              e);
    static const char *const LINES[] = {
        "Tue 14 Nov 2023 22:13:20 INFO =========1/2: Parameters:['seed', 'reg_weight']=(999, 1e-05)=======\n",
        "INFO epoch 0 training [time: 0.25s, train loss: 0.7000]\n",
        "INFO epoch 0 evaluating [time: 0.12s, valid_score: 0.200000]\n",
        "INFO valid result: \nrecall@1: 0.1000    recall@2: 0.2500    ndcg@1: 0.1000    ndcg@2: 0.2000    \n",
        "INFO test result: \nrecall@1: 0.0500    recall@2: 0.1500    ndcg@1: 0.0500    ndcg@2: 0.1200    \n",
        "VBPR--Best validation results updated!!!\n",
        "+++++Finished training, best eval result in epoch 1\n",
        "=========2/2: Parameters:['seed', 'reg_weight']=(999, 2.0)=======\n",
        "INFO failed: the loss is not finite\n",
        "============All Over=====================\n",
        "\tParameters: ['seed', 'reg_weight']=(999, 1e-05),\nValid: recall@1: 0.1000",
    };
    const char *at = log.p;
    for (size_t i = 0; i < COUNT(LINES); i++)
        if (!(at = strstr(at, LINES[i])))
            fail_msg("not there, or not in this order: %s\n%s", LINES[i], log.p);
}

/* ---- a whole search -------------------------------------------------------------------------- */

#ifdef HAVE_SQLITE3
static void run_all(const Device *d, const Study *s, Arena *a)
{
    Error e = {0};
    StudyRun *r = study_open(s, (TrialShare){0, 1}, a, &e);
    if (!r)
        fail_msg("%s", e.message);
    for (;;) {
        Trial t;
        TrialRow row;
        TrialOutcome outcome;
        bool found;
        assert_ok(study_next(r, &t, &found, &e), e);
        if (!found)
            break;
        assert_ok(study_trial(d, s, &t, NULL, NULL, &outcome, &row, a, &e), e);
        if (outcome != OUTCOME_DONE)
            fail_msg("%s", row.message);
    }
    study_close(r);
}

/* Runs a search from MMRec's folder to its files: the log has every combination, and the table has the lists of the
 * best combination. */
static void test_search(void **state)
{
    Fixture *f = *state;
    Error e = {0};
    Study s;
    StudyView v;
    Device d;
    static const char *const SET[] = {"epochs=2",   "seed=[1, 2]",   "topk=[2, 3]", "valid_metric=Recall@3",
                                      "n_layers=1", "reg_weight=0.1"};
    assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
    assert_ok(read_with(f, &s, CONFIGS, "BM3", SET, COUNT(SET), &e), e);
    s.out = path_join(f->arena, f->folder, "search", &e);
    assert_true(folder_make(s.out, &e));
    run_all(&d, &s, f->arena);
    device_close(&d);
    Ledger *l = ledger_open(path_join(f->arena, s.out, "ledger.sqlite", &e), &e);
    assert_ok(l && study_view(&v, l, f->arena, &e), e);
    ledger_close(l);
    assert_int_equal(v.row_count, 4); /* two dropouts, two seeds */
    assert_ok(mmrec_write(&s, &v, 1700000000, f->arena, &e), e);
    Text log, table, line;
    FolderEntry *files;
    size_t n, lines = 0;
    assert_ok(file_read(&log, f->arena, path_join(f->arena, s.out, "log/BM3-tiny-Nov-14-2023-22-13-20.log", &e), 0, &e),
              e);
    static const char *const COMBINATIONS[] = {
        "1/4: Parameters:['seed', 'n_layers', 'reg_weight', 'dropout']=(1, 1, 0.1, 0.3)",
        "2/4: Parameters:['seed', 'n_layers', 'reg_weight', 'dropout']=(1, 1, 0.1, 0.5)",
        "3/4: Parameters:['seed', 'n_layers', 'reg_weight', 'dropout']=(2, 1, 0.1, 0.3)",
        "4/4: Parameters:['seed', 'n_layers', 'reg_weight', 'dropout']=(2, 1, 0.1, 0.5)"};
    const char *at = log.p;
    for (size_t i = 0; i < COUNT(COMBINATIONS); i++)
        assert_non_null(at = strstr(at, COMBINATIONS[i]));
    assert_non_null(strstr(at, "All Over"));
    const char *folder = path_join(f->arena, s.out, "recommend_topk", &e);
    assert_ok(folder_list(&files, &n, f->arena, folder, &e), e);
    assert_int_equal(n, 1);
    assert_ok(file_read(&table, f->arena, path_join(f->arena, folder, files[0].name, &e), 0, &e), e);
    assert_true(text_starts(table, "id\ttop_0\ttop_1\ttop_2\n0\t"));
    while (text_line(&table, &line) && line.n)
        lines++;
    assert_int_equal(lines, 1 + 8);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_values), cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_memory), cmocka_unit_test(test_written),
#ifdef HAVE_SQLITE3
        cmocka_unit_test(test_search),
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
