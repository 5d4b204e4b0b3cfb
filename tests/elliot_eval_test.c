/* tests/elliot_eval_test.c: evaluation and negative_sampling of Elliot configurations. */
#include "tests/elliot_testing.h"

static const char interactions[] = "1\t1\t5\n1\t2\t3\n2\t1\t4\n2\t3\t1\n3\t2\t2\n3\t3\t5\n";

static bool read_with(Study *s, const char *evaluation, const char *more, Arena *a, Error *e)
{
    const char *yaml = arena_printf(a, e,
                                    "experiment:\n  dataset: x\n  top_k: 10\n  data_config:\n    strategy: fixed\n"
                                    "    train_path: ../x.tsv\n    validation_path: ../x.tsv\n    test_path: ../x.tsv\n"
                                    "  evaluation: {cutoffs: [5, 10], %s}\n%s  models: {MostPop: {}}\n",
                                    evaluation, more);
    put("x.tsv", interactions);
    put("groups.tsv", "1\t0\n2\t1\n3\t0\n");
    return read_elliot(s, yaml, in_dir(a, "out"), a, e);
}

static void metrics_with_parameters(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    Study s;
    assert_ok(
        read_with(&s,
                  "simple_metrics: [recall, NDCG, itemcoverage], relevance_threshold: 3.5, complex_metrics: [{metric: "
                  "DSC, beta: 2}, {metric: UserMADranking, clustering_name: Age, clustering_file: ../groups.tsv}, "
                  "{metric: ExtendedF1, metric_0: Precision, metric_1: Recall}]",
                  "", a, &e),
        e);
    const char *groups = arena_printf(a, &e, "UserMADranking:clustering_name=Age:clustering_file=%s/groups.tsv", dir);
    const char *const names[] = {"Recall",     "nDCG", "ItemCoverage",
                                 "DSC:beta=2", groups, "ExtendedF1:metric_0=Precision:metric_1=Recall"};
    assert_int_equal(s.eval.metric_count, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++)
        assert_string_equal(s.eval.metrics[i], names[i]);
    assert_true(s.eval.relevance_threshold == 3.5);
    assert_string_equal(((const Elliot *)s.own)->threshold, "3.5");
    assert_true(measures_check(&s.eval, a, &e));
    arena_free(a);
}

static void ranks_among_few(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    Study s;
    assert_ok(
        read_with(&s, "simple_metrics: [Recall]", "  negative_sampling: {strategy: random, num_items: 99}\n", a, &e),
        e);
    assert_int_equal(s.eval.negatives, 99);
    assert_ok(read_with(&s, "simple_metrics: [Recall]",
                        "  negative_sampling: {strategy: fixed, files: [../groups.tsv, ../x.tsv]}\n", a, &e),
              e);
    assert_string_equal(s.eval.negative_files[0], in_dir(a, "x.tsv")); /* of validation: Elliot's second file */
    assert_string_equal(s.eval.negative_files[1], in_dir(a, "groups.tsv"));
    arena_free(a);
}

static const char *const refused[][3] = {
    {"simple_metrics: [Recall, inequality]", "", "simple_metrics: found inequality; allowed is"},
    {"simple_metrics: [Recal]", "", "simple_metrics: found Recal; allowed is \"Recall\""},
    {"simple_metrics: [Recall], complex_metrics: {metric: DSC}", "",
     "complex_metrics: found a map (metric); allowed is a list"},
    {"simple_metrics: [Recall], complex_metrics: [DSC]", "", "complex_metrics[0]: found DSC; allowed is a map"},
    {"simple_metrics: [Recall], complex_metrics: [{beta: 2}]", "",
     "complex_metrics[0].metric: found nothing; allowed is Recall,"},
    {"simple_metrics: [Recall], complex_metrics: [{metric: DSK}]", "",
     "complex_metrics[0].metric: found DSK; allowed is"},
    {"simple_metrics: [Recall], complex_metrics: [{metric: DSC, alpha: 2}]", "",
     "complex_metrics[0].alpha: found 2; allowed is one of the parameters beta=1"},
    {"simple_metrics: [Recall], complex_metrics: [{metric: DSC, beta: two}]", "",
     "complex_metrics[0]: found a map (metric, beta); allowed is what fits DSC:"},
    {"simple_metrics: [Recall], complex_metrics: [{metric: UserMADranking, clustering_name: a, clustering_file: "
     "../no.tsv}]",
     "", "complex_metrics[0].clustering_file: found ../no.tsv; allowed is a file;"},
    {"simple_metrics: [Recall], complex_metrics: [{metric: DSC}, {metric: DSC}]", "", "allowed is each metric once"},
    {"simple_metrics: [Recall], relevance_threshold: high", "", "relevance_threshold: found high; allowed is a number"},
    {"simple_metrics: [Recall]", "  negative_sampling: {strategy: some}\n",
     "negative_sampling.strategy: found some; allowed is random or fixed"},
    {"simple_metrics: [Recall]", "  negative_sampling: {strategy: random}\n",
     "negative_sampling.num_items: found nothing; allowed is a whole number"},
    {"simple_metrics: [Recall]", "  negative_sampling: {strategy: fixed}\n",
     "negative_sampling.files: found nothing; allowed is a file"},
    {"simple_metrics: [Recall]", "  negative_sampling: {strategy: fixed, files: ../no.tsv}\n", "no.tsv is not there"},
    {"simple_metrics: [Recall]", "  negative_sampling: {strategy: fixed, file: ../x.tsv}\n",
     "negative_sampling.file: found an unknown key; did you mean \"files\"?"},
};

static void keys_are_refused_with_their_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        Arena *a = arena_new(NULL, 0);
        Error e = {0};
        Study s;
        unsigned line;
        if (read_with(&s, refused[i][0], refused[i][1], a, &e) || !strstr(e.message, refused[i][2]))
            fail_msg("row %zu: \"%s\" is not in \"%s\"", i, refused[i][2], e.message);
        assert_int_equal(sscanf(e.message, "test.yml:%u:", &line), 1);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_with_parameters),
        cmocka_unit_test(ranks_among_few),
        cmocka_unit_test(keys_are_refused_with_their_line),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
