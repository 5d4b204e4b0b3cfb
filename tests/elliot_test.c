/* tests/elliot_test.c: Elliot configurations become studies: keys, models, searches, paths. */
#include "tests/elliot_testing.h"

/* ---- files of the configurations ------------------------------------------------------------- */

static const char train[] = "1\t1\t5\n1\t2\t3\n2\t1\t4\n2\t3\t1\n3\t2\t2\n3\t3\t5\n", held[] = "1\t3\t4\n2\t2\t2\n";

static void put_parts(const char *folder, const char *suffix)
{
    char name[200];
    static const char *const parts[] = {"train", "val", "test"};
    for (size_t i = 0; i < COUNT(parts); i++) {
        snprintf(name, sizeof name, "%s/%s%s.tsv", folder, parts[i], suffix);
        put_file(name, i ? held : train);
    }
}

static void put_npy(const char *name)
{
    static const char bytes[] =
        "\x93NUMPY\1\0\x46\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }          "
        "\n\0\0\x80?\0\0\0@";
    put_file(name, "");
    put_bytes(name, bytes, sizeof bytes - 1);
}

static void put_features(const char *folder, int items)
{
    char name[200];
    for (int i = 1; i <= items; i++) {
        snprintf(name, sizeof name, "%s/%d.npy", folder, i);
        put_npy(name);
    }
}

static const char *golden(Arena *a, const char *name)
{
    Error e = {0};
    Text text;
    assert_ok(file_read(&text, a, name, 0, &e), e);
    return text.p;
}

/* ---- studies as text ------------------------------------------------------------------------- */

static char shown[8000];
static void show(const char *format, ...) PRINTF_LIKE(1, 2);
static void show(const char *format, ...)
{
    size_t n = strlen(shown);
    va_list list;
    va_start(list, format);
    vsnprintf(shown + n, sizeof shown - n, format, list);
    va_end(list);
}

static const char *show_model(const StudyModel *m)
{
    static const char *const searches[] = {"grid", "random", "tpe"};
    shown[0] = 0;
    show("%s %s %s %lld seed %llu:", m->name, m->kind->name, searches[m->search], (long long)m->evals,
         (unsigned long long)m->seeds[0]);
    for (size_t i = 0; i < m->set_count; i++)
        show(" %s", m->set[i]);
    for (size_t i = 0; i < m->dim_count; i++) {
        const Dimension *d = &m->dims[i];
        show(" %s~%s", d->key, distribution_names[d->distribution]);
        for (size_t k = 0; k < d->count; k++)
            show("%c%s", k ? ',' : '(', d->values[k]);
        if (d->count)
            show(")");
        else
            show("(%g,%g,%g)", d->low, d->high, d->q);
    }
    if (m->save_recs)
        show(" recs %lld", (long long)m->save_recs);
    return shown;
}

/* Checks that the recommender accepts the settings with the first value of each list. */
static void check_settings(const StudyModel *m)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    const char **set = NEW(a, const char *, m->set_count + m->dim_count, &e);
    size_t n = 0;
    for (; n < m->set_count; n++)
        set[n] = m->set[n];
    for (size_t i = 0; i < m->dim_count; i++)
        if (m->dims[i].count)
            set[n++] = arena_printf(a, &e, "%s=%s", m->dims[i].key, m->dims[i].values[0]);
    assert_ok(settings_make(m->kind, PROTOCOL_ELLIOT, set, n, a, &e), e);
    arena_free(a);
}

static void assert_models(const Study *s, const char *const *expected, size_t n)
{
    assert_int_equal(s->model_count, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(show_model(&s->models[i]), expected[i]);
        check_settings(&s->models[i]);
    }
}

static void read_golden(Study *s, const char *name, Arena *a)
{
    Error e = {0};
    char path[200];
    snprintf(path, sizeof path, "tests/golden/elliot/%s", name);
    assert_ok(read_elliot(s, golden(a, path), NULL, a, &e), e);
}

#define GRID_LR " lr~choice(0.0001,0.0005,0.001,0.005,0.01)"

static void the_multimodal_benchmark(void **state)
{
    (void)state;
    static const char *const models[] = {
        "external.VBPR VBPR grid 0 seed 123: epochs=200 batch_size=1024 factors=64 validation_rate=10 "
        "patience=0" GRID_LR " l_w~choice(1e-5,1e-2)",
        "external.BM3 BM3 grid 0 seed 123: epochs=200 batch_size=1024 factors=64 cl_weight=2.0 dropout=0.3 n_layers=2 "
        "lr_decay=1.0 validation_rate=10 patience=0" GRID_LR " reg_weight~choice(0.1,0.01)",
        "external.FREEDOM FREEDOM grid 0 seed 123: epochs=200 batch_size=1024 factors=64 n_layers=1 n_ui_layers=2 "
        "top_k=10 "
        "mm_image_weight=0.1 drop=0.8 lr_decay=1.0 validation_rate=10 patience=0" GRID_LR " l_w~choice(1e-5,1e-2)",
        "external.NGCFM NGCF-M grid 0 seed 123: epochs=200 batch_size=1024 factors=64 n_layers=3 node_dropout=0.1 "
        "message_dropout=0.1 validation_rate=10 patience=0" GRID_LR " l_w~choice(1e-5,1e-2)",
        "external.GRCN GRCN grid 0 seed 123: epochs=200 batch_size=1024 factors=64 num_layers=2 num_routings=3 "
        "factors_multimod=128 weight_mode=confid pruning=true has_act=false fusion_mode=concat validation_rate=10 "
        "patience=0 "
        "lr~choice(0.0001,0.001,0.01,0.1,1) l_w~choice(1e-5,1e-2)",
        "external.LATTICE LATTICE grid 0 seed 123: epochs=200 batch_size=1024 factors=64 n_layers=1 n_ui_layers=2 "
        "top_k=20 "
        "factors_multimod=64 l_m=0.7 validation_rate=10 patience=0" GRID_LR " l_w~choice(1e-5,1e-2)",
    };
    Arena *a = arena_new(NULL, 0);
    Study s;
    put_parts("data/office", "_indexed");
    put_features("data/office/visual_embeddings_indexed_32/torch/ResNet50/avgpool", 3);
    put_features(
        "data/office/textual_embeddings_indexed_32/sentence_transformers/sentence-transformers/all-mpnet-base-v2/1", 3);
    read_golden(&s, "multimodal.yml", a);
    assert_models(&s, models, COUNT(models));
    assert_string_equal(s.metric, "Recall");
    assert_int_equal(s.cutoff, 20);
    assert_int_equal(s.select, SELECT_VALID);
    assert_int_equal(s.eval.metric_count, 4);
    assert_int_equal(s.data_count, 1);
    const DataConfig *c = &s.data[0].config;
    assert_string_equal(c->train, in_dir(a, "data/office/train_indexed.tsv"));
    assert_string_equal(c->valid, in_dir(a, "data/office/val_indexed.tsv"));
    assert_int_equal(c->gaps, GAPS_DROP);
    assert_int_equal(c->feature_count, 2);
    assert_true(!strncmp(c->features[1], "textual=", 8));
    assert_string_equal(s.out, in_dir(a, "results/office"));
    const Elliot *x = s.own;
    assert_string_equal(x->recs, in_dir(a, "results/office/recs"));
    assert_string_equal(x->log, in_dir(a, "log"));
    assert_non_null(strstr(notes, ": experiment.gpu: --device says where to compute\n"));
    assert_non_null(strstr(notes, "external.GRCN.aggregation: Elliot does not use it\n"));
    const char *verbose = strstr(notes, "verbose");
    assert_true(!verbose || !strstr(verbose + 1, "verbose")); /* the note occurs once for all models */
    arena_free(a);
}

static void classical_recommenders(void **state)
{
    (void)state;
    static const char *const models[] = {
        "ItemKNN ItemKNN tpe 20 seed 42: implementation=standard implicit=false neighbors~quniform(5,1000,1) "
        "similarity~choice(cosine,euclidean,dot) recs 20",
        "external.BPRMF BPRMF grid 0 seed 123: epochs=200 batch_size=1024 factors=64 validation_rate=10 "
        "patience=0" GRID_LR " l_w~choice(1e-5,1e-2)",
        "external.NGCF NGCF grid 0 seed 123: epochs=200 batch_size=1024 lr=0.0005 factors=64 l_w=1e-5 n_layers=3 "
        "weight_size=64 "
        "node_dropout=0.1 message_dropout=0.1 validation_rate=10 patience=0",
        "external.DGCF DGCF grid 0 seed 123: epochs=200 batch_size=1024 lr=0.0005 factors=64 l_w_bpr=1e-3 l_w_ind=0.01 "
        "n_layers=1 intents=4 routing_iterations=2 validation_rate=10 patience=0",
        "external.LightGCN LightGCN random 5 seed 123: epochs=200 batch_size=1024 factors=64 validation_rate=10 "
        "patience=5 "
        "lr~loguniform(-10,-1,0) n_layers~choice(1,2,3) l_w~choice(1e-5,1e-2)",
        "external.SGL SGL grid 0 seed 42: epochs=200 batch_size=1024 lr=0.0005 factors=64 l_w=0.01 n_layers=1 "
        "ssl_temp=0.2 "
        "ssl_reg=0.1 ssl_ratio=0.1 sampling=ed validation_rate=10 patience=0",
        "external.SimGCL SimGCL grid 0 seed 123: epochs=200 batch_size=1024 factors=64 l_w=1e-4 n_layers=3 eps=0.1 "
        "validation_rate=10 patience=0" GRID_LR " reg_cl~choice(0.5,2)",
        "EASER EASER grid 0 seed 42: l2_norm=500",
        "MostPop MostPop grid 0 seed 42: recs 20",
        "Random Random grid 0 seed 7:",
    };
    Arena *a = arena_new(NULL, 0);
    Study s;
    put_parts("data/toys", "");
    read_golden(&s, "classical.yml", a);
    assert_models(&s, models, COUNT(models));
    assert_true(s.t_test && s.wilcoxon);
    assert_int_equal(s.data[0].config.gaps, GAPS_ERROR);
    arena_free(a);
}

static void other_keys(void **state)
{
    (void)state;
    static const char *const models[] = {
        "BPRMF BPRMF random 4 seed 42: batch_size=6 epochs=3 l_w=0.1 validation_rate=1 patience=0 "
        "lr~choice(0.01,0.001) factors~qloguniform(1,3,1)",
        "UserKNN UserKNN grid 0 seed 42: neighbors=40 similarity=cosine implementation=standard implicit=false",
    };
    Arena *a = arena_new(NULL, 0);
    Study s;
    put_file("data/small/dataset.tsv",
             "1\t1\t5\t1\n1\t2\t5\t2\n1\t3\t5\t3\n1\t4\t5\t9\n2\t1\t5\t1\n2\t2\t5\t2\n2\t3\t5\t3\n2\t4\t5\t9\n"
             "3\t1\t5\t1\n3\t2\t5\t2\n3\t3\t5\t3\n3\t4\t5\t9\n");
    read_golden(&s, "schema.yml", a);
    assert_models(&s, models, COUNT(models));
    assert_file(a, s.data[0].config.train, "1\t1\t1\t1\n1\t2\t1\t2\n2\t1\t1\t1\n2\t2\t1\t2\n3\t1\t1\t1\n3\t2\t1\t2\n");
    assert_file(a, s.data[0].config.valid, "1\t3\t1\t3\n2\t3\t1\t3\n3\t3\t1\t3\n");
    assert_file(a, s.data[0].config.test, "1\t4\t1\t9\n2\t4\t1\t9\n3\t4\t1\t9\n");
    assert_string_equal(s.data[0].config.train, in_dir(a, "results/small/splits/0/0/train.tsv"));
    const Elliot *x = s.own;
    assert_string_equal(x->recs, "results/small/recs"); /* relative to the working directory, as in Elliot */
    assert_non_null(strstr(notes, "experiment.models.BPRMF: trained as external.BPRMF"));
    arena_free(a);
}

static void the_split_of_the_benchmark(void **state)
{
    (void)state;
    static const char *const names[] = {"amazon-office", "amazon-baby"}, *const parts[] = {"train", "val", "test"};
    const char *root = getenv("SAPOR_DATA");
    for (size_t i = 0; i < COUNT(names); i++) {
        Arena *a = arena_new(NULL, 0);
        Error e = {0};
        Text reviews, one, two;
        Study s;
        const char *folder = path_join(a, root && *root ? root : "../shared/data", names[i], &e);
        const char *source = path_join(a, folder, "reviews.tsv", &e);
        if (!file_exists(source)) {
            printf("skipped: %s is not here\n", source);
            arena_free(a);
            skip();
        }
        assert_ok(file_read(&reviews, a, source, 0, &e), e);
        put_file("data/office/reviews.tsv", reviews.p);
        read_golden(&s, "split.yml", a);
        for (size_t p = 0; p < COUNT(parts); p++) {
            const char *made =
                in_dir(a, arena_printf(a, &e, "data/office_splits/0/%s%s.tsv", p < 2 ? "0/" : "", parts[p]));
            assert_ok(file_read(&one, a, made, 0, &e), e);
            assert_ok(file_read(&two, a, arena_printf(a, &e, "%s/%s.tsv", folder, parts[p]), 0, &e), e);
            assert_true(text_equal(one, two));
        }
        arena_free(a);
    }
}

static void folders_of_folds(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    Study s;
    put_file("data/h/0/test.tsv", held);
    put_file("data/h/0/train.tsv", train);
    put_file("data/h/1/test.tsv", held);
    for (int j = 0; j < 2; j++) {
        put_file(j ? "data/h/1/1/train.tsv" : "data/h/1/0/train.tsv", train);
        put_file(j ? "data/h/1/1/val.tsv" : "data/h/1/0/val.tsv", held);
    }
    static const char yaml[] =
        "experiment:\n  dataset: h\n  top_k: 2\n  data_config: {strategy: hierarchy, root_folder: "
        "\"../data/{0}\"}\n  evaluation: {simple_metrics: [Recall], wilcoxon_test: True}\n  models: "
        "{MostPop: {}}\n";
    assert_ok(read_elliot(&s, yaml, NULL, a, &e), e);
    static const char *const folds[] = {"0", "1.0", "1.1"};
    assert_int_equal(s.data_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(s.data[i].fold, folds[i]);
    assert_null(s.data[0].config.valid);
    assert_string_equal(s.data[2].config.valid, in_dir(a, "data/h/1/1/val.tsv"));
    assert_false(s.wilcoxon);
    assert_non_null(strstr(notes, "no tests of significance, as there are folds"));
    arena_free(a);
}

/* ---- refused --------------------------------------------------------------------------------- */

static const char usual[] = "experiment:\n"
                            "  dataset: x\n"
                            "  data_config:\n"
                            "    strategy: dataset\n"
                            "    dataset_path: ../data/{0}.tsv\n"
                            "  splitting:\n"
                            "    test_splitting:\n"
                            "      strategy: random_subsampling\n"
                            "      test_ratio: 0.5\n"
                            "  top_k: 10\n"
                            "  evaluation:\n"
                            "    cutoffs: [5, 10]\n"
                            "    simple_metrics: [Recall, nDCG]\n"
                            "  models:\n"
                            "    external.BPRMF:\n"
                            "      meta: {validation_metric: nDCG@5}\n"
                            "      epochs: 10\n"
                            "      batch_size: 16\n"
                            "      lr: [0.1, 0.01]\n";

/* A part of `usual`, its replacement, and the error. */
static const char *const refused[][3] = {
    {"experiment:", "experimen:", "2:3: experimen: found an unknown key; did you mean \"experiment\"?"},
    {usual, "- a\n", "1:1: the file: found a list of 1 value; allowed is a map"},
    {usual, "experiment: 5\n", "1:13: experiment: found 5; allowed is a map"},
    {usual, "experiment:\n", "1:1: experiment: found nothing; allowed is a map"},
    {"  dataset: x\n", "", "2:3: experiment.dataset: found nothing; allowed is the name of the data set"},
    {"dataset: x", "dataset: a/b", "2:12: experiment.dataset: found a/b; allowed is"},
    {"  dataset: x", "  dataset: x\n  topk: 3", "3:9: experiment.topk: found an unknown key; did you mean \"top_k\"?"},
    {"  dataset: x", "  dataset: x\n  version: 0.3.0", "3:12: experiment.version: found 0.3.0; allowed is 0.3.1"},
    {"  top_k: 10\n", "", "experiment.top_k: found nothing; allowed is a whole number of at least 1"},
    {"top_k: 10", "top_k: 0", "10:10: experiment.top_k: found 0; allowed is a whole number from 1 to"},
    {"top_k: 10", "top_k: ten", "found ten; allowed is a whole number"},
    {"  dataset: x", "  dataset: x\n  random_seed: -1",
     "experiment.random_seed: found -1; allowed is a whole number from 0"},
    {"  dataset: x", "  dataset: x\n  binarize: 1", "experiment.binarize: found 1; allowed is True or False"},
    {"  dataset: x", "  dataset: x\n  align_side_with_train: False",
     "align_side_with_train: found False; allowed is True"},
    {"strategy: dataset", "strategy: datasets",
     "4:15: experiment.data_config.strategy: found datasets; allowed is dataset, fixed or hierarchy"},
    {"    strategy: dataset\n", "", "experiment.data_config.strategy: found nothing; allowed is dataset"},
    {"../data/{0}.tsv", "../data/{1}.tsv",
     "5:19: experiment.data_config.dataset_path: found ../data/{1}.tsv; allowed is a path, in which"},
    {"../data/{0}.tsv", "../data/y.tsv", "y.tsv, which is not there; allowed is a file"},
    {"dataset_path", "data_path",
     "5:16: experiment.data_config.data_path: found an unknown key; did you mean \"dataset_path\""},
    {"    strategy: dataset", "    strategy: fixed",
     "experiment.data_config.train_path: found nothing; allowed is a file"},
    {"    strategy: dataset", "    strategy: hierarchy",
     "experiment.data_config.root_folder: found nothing; allowed is a folder of"},
    {"    strategy: dataset", "    strategy: dataset\n    dataloader: KnowledgeChains",
     "found KnowledgeChains; allowed is DataSetLoader"},
    {"    strategy: dataset", "    side_information: {a: 1}\n    strategy: dataset",
     "side_information: found a map (a); allowed is a list of loaders"},
    {"    strategy: dataset", "    side_information: [{dataloader: ItemAttributes}]\n    strategy: dataset",
     "experiment.data_config.side_information[0].dataloader: found ItemAttributes; allowed is VisualAttribute, "
     "TextualAttribute or AudioAttribute"},
    {"    strategy: dataset", "    side_information: [{dataloader: VisualAttribute}]\n    strategy: dataset",
     "side_information[0].visual_features: found nothing; allowed is a folder"},
    {"    strategy: dataset",
     "    side_information: [{dataloader: VisualAttribute, images_src_folder: x}]\n    strategy: dataset",
     "side_information[0].images_src_folder: found x; allowed is no value"},
    {"    strategy: dataset",
     "    side_information: [{dataloader: VisualAttribute, visual_features: ../no.where}]\n    strategy: dataset",
     "which is not there; allowed is a folder of .npy files"},
    {"strategy: random_subsampling", "strategy: random",
     "8:17: experiment.splitting.test_splitting.strategy: found random; allowed is fixed_timestamp,"},
    {"strategy: random_subsampling", "strategy: temporal_hold_out",
     "found temporal_hold_out; allowed is random_subsampling or random_cross_validation, as"},
    {"test_ratio: 0.5", "test_ratio: 1",
     "9:19: experiment.splitting.test_splitting.test_ratio: found 1; allowed is a number between 0 and 1"},
    {"      test_ratio: 0.5\n", "",
     "test_splitting.test_ratio: found nothing; allowed is a number between 0 and 1; or leave_n_out"},
    {"test_ratio: 0.5", "leave_n_out: 0", "leave_n_out: found 0; allowed is a whole number from 1"},
    {"test_ratio: 0.5", "test_ratio: 0.5\n      folds: 0", "folds: found 0; allowed is a whole number from 1 to 1000"},
    {"random_subsampling\n      test_ratio: 0.5", "random_cross_validation",
     "test_splitting.folds: found nothing; allowed is"},
    {"test_splitting:", "testsplitting:", "testsplitting: found an unknown key; did you mean \"test_splitting\"?"},
    {"  splitting:", "  splitting:\n    save_on_disk: True",
     "experiment.splitting.save_folder: found nothing; allowed is a folder"},
    {"test_ratio: 0.5", "test_ratio: 0.999", "experiment.splitting: leaves no rows for"},
    {"  splitting:", "  prefiltering: {strategy: k_core}\n  splitting:",
     "experiment.prefiltering.strategy: found k_core; allowed is global_threshold,"},
    {"  splitting:", "  prefiltering: {strategy: global_threshold, threshold: 3.5}\n  splitting:",
     "found 3.5; allowed is a whole number from 0 on or average"},
    {"  splitting:", "  prefiltering: [{strategy: user_k_core}]\n  splitting:",
     "experiment.prefiltering[0].core: found nothing; allowed is a whole number"},
    {"  splitting:", "  prefiltering: {strategy: user_k_core, core: 100}\n  splitting:",
     "experiment.prefiltering: leaves no rows of"},
    {"  splitting:", "  negative_sampling: {strategy: random, num_items: 0}\n  splitting:",
     "experiment.negative_sampling.num_items: found 0; allowed is a whole number from 1"},
    {"[Recall, nDCG]", "[Recall, nDGC]",
     "13:30: experiment.evaluation.simple_metrics: found nDGC; allowed is \"nDCG\" (did you mean this?), of"},
    {"[Recall, nDCG]", "[Recall, recall]", "found recall; allowed is each metric once"},
    {"    simple_metrics: [Recall, nDCG]\n", "",
     "experiment.evaluation.simple_metrics: found nothing; allowed is a list of metrics"},
    {"[5, 10]", "[5, 20]", "12:18: experiment.evaluation.cutoffs: found 20; allowed is a whole number from 1 to 10"},
    {"[5, 10]", "[5, 5]", "experiment.evaluation.cutoffs: found a list of 2 values; allowed is each cutoff once"},
    {"[5, 10]", "[]", "experiment.evaluation.cutoffs: found a list of 0 values; allowed is 1 to"},
    {"external.BPRMF:", "external.BPR:",
     "16:7: experiment.models.external.BPR: found an unknown recommender; did you mean external.BPRMF? allowed"},
    {"external.BPRMF:", "GRCN:", "experiment.models.GRCN: found an unknown recommender; did you mean external.GRCN?"},
    {"external.BPRMF:", "RecommendationFolder:",
     "experiment.models.RecommendationFolder: found a reader of lists; allowed is"},
    {"external.BPRMF:", "external.VBPR:",
     "experiment.models.external.VBPR: found a recommender that needs features; give them in"},
    {"nDCG@5", "nDCG@7", "experiment.models.external.BPRMF.meta.validation_metric: found nDCG@7; allowed is a name of"},
    {"nDCG@5", "HR@5", "validation_metric: found HR@5; allowed is a name of"},
    {"{validation_metric: nDCG@5}", "{hyper_opt_alg: atpe}",
     "experiment.models.external.BPRMF.meta.hyper_opt_alg: found atpe; allowed is grid, rand or tpe"},
    {"{validation_metric: nDCG@5}", "{hyper_max_eval: 3}",
     "meta.hyper_max_eval: found an unknown key; did you mean \"hyper_max_evals\""},
    {"{validation_metric: nDCG@5}", "{optimize_internal_loss: True}",
     "optimize_internal_loss: found True; allowed is False"},
    {"{validation_metric: nDCG@5}", "{validation_rate: 11}",
     "17:15: experiment.models.external.BPRMF.epochs: found 10; allowed is at least validation_rate, which is 11"},
    {"epochs: 10", "epochs: 0",
     "experiment.models.external.BPRMF.epochs: found 0; allowed is what fits the setting epochs: must be at least 1"},
    {"epochs: 10", "epochs: many", "found many; allowed is a whole number"},
    {"epochs: 10", "seed: [1, 2]\n      epochs: 10", "seed: found a list of 2 values; allowed is one number"},
    {"lr: [0.1, 0.01]", "lr: [0.1, 0.10]",
     "19:17: experiment.models.external.BPRMF.lr: found 0.10; allowed is each value once"},
    {"lr: [0.1, 0.01]", "lr: [0.1, x]", "found x; allowed is a number"},
    {"lr: [0.1, 0.01]", "lr: -1", "found -1; allowed is what fits the setting lr: must be at least 0"},
    {"lr: [0.1, 0.01]", "lr: {a: 1}", "found a map (a); allowed is a number, or a list of them"},
    {"lr: [0.1, 0.01]", "lr: [uniform, 0, 1]", "meta.hyper_max_evals: found nothing; allowed is a whole number"},
    {"lr: [0.1, 0.01]", "lr: [uniform, 1, 0]",
     "lr: found a list of 3 values; allowed is [uniform, low, high], low below high"},
    {"lr: [0.1, 0.01]", "factors: [uniform, 1, 9]",
     "factors: found a list of 3 values; allowed is a distribution of whole numbers"},
    {"lr: [0.1, 0.01]", "lr: []", "lr: found a list of 0 values; allowed is a list with at least one value"},
    {"lr: [0.1, 0.01]", "l_b: 0.1", "experiment.models.external.BPRMF.l_b: found an unknown key; did you mean"},
    {"lr: [0.1, 0.01]", "early_stopping: {patience: 5, min_delta: 0.1}",
     "early_stopping.min_delta: found 0.1; allowed is no such key"},
    {"lr: [0.1, 0.01]", "early_stopping: {mode: max}", "early_stopping.mode: found max; allowed is auto"},
    {"lr: [0.1, 0.01]", "early_stopping: {monitor: Recall@5}",
     "monitor: found Recall@5; allowed is nDCG@5, the validation_metric"},
    {"lr: [0.1, 0.01]", "early_stopping: {monitor: loss}", "monitor: found loss; allowed is nDCG@5"},
    {"lr: [0.1, 0.01]\n",
     "lr: 0.1\n    external.NGCF: {meta: {validation_metric: Recall@5}, epochs: 2, batch_size: 4}\n",
     "external.NGCF.meta.validation_metric: found Recall@5; allowed is nDCG@5, as in the models before"},
    {"lr: [0.1, 0.01]\n", "lr: 0.1\n    external.LightGCN: {meta: {validation_metric: nDCG@5}, normalize: False}\n",
     "external.LightGCN.normalize: found False; allowed is True"},
    {"lr: [0.1, 0.01]\n", "lr: 0.1\n    ItemKNN: {row_weights: tfidf}\n",
     "ItemKNN.row_weights: found tfidf; allowed is None"},
};

static void assert_at_a_key(const char *message)
{
    unsigned line, column;
    int n = 0;
    if (strncmp(message, "test.yml:", 9) != 0 || sscanf(message + 9, "%u:%u: %n", &line, &column, &n) != 2 || !n)
        fail_msg("\"%s\" does not begin with file:line:column", message);
    assert_null(strchr(message, '\n'));
}

static void keys_are_refused_with_their_line(void **state)
{
    (void)state;
    char out[600];
    size_t wrong = 0;
    put_file("data/x.tsv", "1\t1\t5\n1\t2\t3\n2\t1\t4\n2\t3\t1\n3\t2\t2\n3\t3\t5\n");
    for (size_t i = 0; i < COUNT(refused); i++) {
        Arena *a = arena_new(NULL, 0);
        Error e = {0};
        Study s;
        const char *const *r = refused[i], *at = strstr(usual, r[0]);
        assert_non_null(at);
        const char *yaml = arena_printf(a, &e, "%.*s%s%s", (int)(at - usual), usual, r[1], at + strlen(r[0]));
        snprintf(out, sizeof out, "%s/out%zu", dir, i);
        bool ok = read_elliot(&s, yaml, out, a, &e);
        if (ok || !strstr(e.message, r[2])) {
            print_error("row %zu: \"%s\" is not in \"%s\"\n", i, r[2], e.message);
            wrong++;
        } else {
            assert_at_a_key(e.message);
        }
        arena_free(a);
    }
    assert_int_equal(wrong, 0);
    assert_true(COUNT(refused) >= 60);
}

static void tuples_of_modalities(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"modalities: ('visual',)", "modalities: found ('visual',); allowed is ('visual', 'textual'), all of"},
        {"modalities: ('visual','audio')", "allowed is ('visual', 'textual'), all of"},
        {"modalities: visual", "found visual; allowed is a tuple between brackets"},
        {"modalities: ('textual','visual')",
         "loaders: found nothing, which is ('VisualAttribute','TextualAttribute'); allowed"},
        {"loaders: ('VisualAttribute','ItemAttributes')", "allowed is ('VisualAttribute', 'TextualAttribute'), all of"},
        {"mw: (0.3,0.9)", "mw: found (0.3,0.9); allowed is two weights from 0 to 1 that add up to 1"},
        {"lr_sched: (1.0)", "lr_sched: found (1.0); allowed is (a, b)"},
        {"lr_sched: [1.0, 50]", "lr_sched: found a list of 2 values; allowed is one value"},
        {"factors: 32", "factors_multimod: found nothing, which is 64; allowed is 32, the value of factors"},
        {"factors: [32, 64]", "allowed is one value, as factors has several"},
    };
    put_features("data/visual", 3);
    put_features("data/textual", 3);
    put_parts("data/f", "");
    for (size_t i = 0; i <= COUNT(rows); i++) {
        Arena *a = arena_new(NULL, 0);
        Error e = {0};
        Study s;
        const char *yaml = arena_printf(
            a, &e,
            "experiment:\n  dataset: f\n  top_k: 2\n  data_config:\n    strategy: fixed\n    train_path: "
            "../data/f/train.tsv\n"
            "    test_path: ../data/f/test.tsv\n    side_information:\n    - {dataloader: VisualAttribute, "
            "visual_features: "
            "../data/visual}\n    - {dataloader: TextualAttribute, textual_features: ../data/textual}\n  evaluation: "
            "{simple_metrics: [Recall]}\n  models:\n    external.FREEDOM:\n      batch_size: -1\n      %s\n",
            i < COUNT(rows) ? rows[i][0] : "mw: (0.25, 0.75)\n      lr_sched: (0.5, 25)");
        bool ok = read_elliot(&s, yaml, in_dir(a, "out"), a, &e);
        if (i == COUNT(rows)) {
            assert_ok(ok, e);
            assert_string_equal(
                show_model(s.models),
                "external.FREEDOM FREEDOM grid 0 seed 42: batch_size=3 epochs=2 lr=0.0005 factors=64 l_w=0.01 "
                "n_layers=1 n_ui_layers=3 top_k=100 mm_image_weight=0.25 drop=0.1 lr_decay=0.25 "
                "validation_rate=1 patience=0");
            assert_int_equal(s.select, SELECT_TEST);
        } else if (ok || !strstr(e.message, rows[i][1])) {
            fail_msg("row %zu: \"%s\" is not in \"%s\"", i, rows[i][1], e.message);
        } else {
            assert_at_a_key(e.message);
        }
        arena_free(a);
    }
}

static void numbers_as_python_writes_them(void **state)
{
    (void)state;
    static const struct {
        double x;
        const char *text;
    } rows[] = {{0, "0.0"},
                {1, "1.0"},
                {0.1, "0.1"},
                {1e-5, "1e-05"},
                {0.0001, "0.0001"},
                {123456, "123456.0"},
                {1e15, "1000000000000000.0"},
                {1e16, "1e+16"},
                {-2.5, "-2.5"},
                {1.0 / 3, "0.3333333333333333"},
                {1.5e300, "1.5e+300"},
                {0.00123, "0.00123"},
                {100, "100.0"},
                {5e-324, "5e-324"},
                {123.456, "123.456"}};
    char buffer[32];
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(python_float(rows[i].x, buffer), rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_multimodal_benchmark),
        cmocka_unit_test(classical_recommenders),
        cmocka_unit_test(other_keys),
        cmocka_unit_test(the_split_of_the_benchmark),
        cmocka_unit_test(folders_of_folds),
        cmocka_unit_test(keys_are_refused_with_their_line),
        cmocka_unit_test(tuples_of_modalities),
        cmocka_unit_test(numbers_as_python_writes_them),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
