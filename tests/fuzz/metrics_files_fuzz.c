/* tests/fuzz/metrics_files_fuzz.c: files that metrics read: clusters of users and items, features of items, and the
 * items among which a user's items are ranked. The first byte chooses the reader. */
#include "tests/fuzz/fuzz.h"

#include "recsys/metrics/metrics.h"

enum { USERS = 3, ITEMS = 5, K = 3 };

static const struct {
    const char *first, *second; /* parameters whose value is the file */
} METRICS[] = {
    {"RSP:clustering_file", NULL},
    {"REO:clustering_name=a:clustering_file", NULL},
    {"UserMADranking:clustering_file", NULL},
    {"UserMADrating:clustering_file", NULL},
    {"ItemMADranking:clustering_file", NULL},
    {"ItemMADrating:clustering_file", NULL},
    {"BiasDisparityBD:user_clustering_file", "item_clustering_file"},
    {"BiasDisparityBS:item_clustering_file", NULL},
    {"clustered_nDCG:user_clustering_file", NULL},
    {"clustered_APLT:user_clustering_file", NULL},
    {"clustered_GiniIndex:user_clustering_file", NULL},
    {"SRecall:feature_data", NULL},
};

static void fill_index(TextIndex *ids, char letter, int n, Error *e)
{
    for (int i = 0; i < n; i++) {
        const char id[] = {letter, (char)('0' + i)};
        REQUIRE(text_index_add(ids, (Text){id, sizeof id}, e) == i);
    }
}

static void check_metric(const DataSet *d, const Pairs *truth, const char *metric, Arena *a, Error *e)
{
    static const int32_t users[] = {0, 1, 2}, top[] = {1, 2, 4, 0, 3, -1, 4, 3, 2};
    static const double score[] = {3, 2, 1, 3, 2, 1, 3, 2, 1};
    static const int64_t cutoffs[] = {1, K};
    const Lists lists = {.users = users, .n = USERS, .K = K, .top = top, .score = score, .data = d};
    const EvalConfig config = {.metrics = &metric, .metric_count = 1, .cutoffs = cutoffs, .cutoff_count = 2};
    Scores s = {0};
    bool ok = score_lists_of(&s, PROTOCOL_ELLIOT, &lists, truth, &config, a, e);
    check_end(ok, e);
    for (size_t i = 0; ok && i < s.metrics; i++)
        REQUIRE(s.names[i] && *s.names[i]);
}

static void rank(const DataSet *d, const char *path, Arena *a, Error *e)
{
    Candidates x;
    bool ok = candidates_make(&x, d, &(EvalConfig){.negative_files = {path, path}}, true, a, e);
    check_end(ok, e);
    for (int64_t i = 0; ok && i < x.count; i++)
        REQUIRE(x.item[i] >= 0 && x.item[i] < d->I);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int64_t train_start[] = {0, 2, 4, 5}, test_start[] = {0, 2, 3, 4};
    static int32_t train_item[] = {0, 3, 1, 2, 0}, test_item[] = {1, 4, 0, 2};
    static float train_rating[] = {1, 2, 3, 4, 5}, test_rating[] = {5, 1, 2, 3};
    Error e = {0};
    if (size == 0)
        return 0;
    Arena *a = arena_new(fuzz_heap(size), 0);
    DataSet d = {.U = USERS,
                 .I = ITEMS,
                 .users = text_index_new(a, &e),
                 .items = text_index_new(a, &e),
                 .train = {.start = train_start, .item = train_item, .rating = train_rating},
                 .test = {.start = test_start, .item = test_item, .rating = test_rating},
                 .arena = a};
    REQUIRE(d.users && d.items);
    fill_index(d.users, 'u', USERS, &e);
    fill_index(d.items, 'i', ITEMS, &e);
    const char *path = as_file(data + 1, size - 1);
    size_t which = data[0] % (COUNT(METRICS) + 1);
    if (which == COUNT(METRICS)) {
        rank(&d, path, a, &e);
    } else {
        char metric[256];
        snprintf(metric, sizeof metric, "%s=%s%s%s", METRICS[which].first, path, METRICS[which].second ? ":" : "",
                 METRICS[which].second ? METRICS[which].second : "");
        if (METRICS[which].second)
            snprintf(metric + strlen(metric), sizeof metric - strlen(metric), "=%s", path);
        check_metric(&d, &d.test, metric, a, &e);
    }
    arena_free(a);
    return 0;
}
