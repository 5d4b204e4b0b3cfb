/* tests/api_recommend_hostile_test.c: the recommenders of sapor.h with arguments that are wrong on purpose: NULL, sizes
 * of structs, numbers out of range or not finite, a session in two calls, refused memory. Each must end in an error. */
#include "tests/recommend_testing.h"

static int32_t no[TOP];
static float nowhere[USERS * ITEMS];

#define WRONG(what, status, why)                                                                                       \
    do {                                                                                                               \
        assert_false(what);                                                                                            \
        assert_null(strchr(e.message, '\n'));                                                                          \
        assert_error(e, status, why);                                                                                  \
    } while (0)
#define USAGE(what, why) WRONG(what, SP_USAGE, why)

/* ---- data and training ----------------------------------------------------------------------- */

static void wrong_data(void **state)
{
    TestBench *b = *state;
    sp_error e;
    sp_train_options o = short_run("BPRMF");
    sp_session *s = b->session;
    const float inf[] = {INFINITY};
    int32_t at[] = {0}, low[] = {-1}, user[] = {USERS}, item[] = {ITEMS};
    const sp_data right = b->data;
    sp_data d = right;
    sp_interactions x = {.count = 1, .user = at, .item = at};
#define DATA(change, why)                                                                                              \
    do {                                                                                                               \
        d = right;                                                                                                     \
        x = (sp_interactions){.count = 1, .user = at, .item = at};                                                     \
        change;                                                                                                        \
        USAGE(sp_train(s, &d, &o, NULL, &e), why);                                                                     \
    } while (0)
    DATA(d.train = NULL, "train has no interactions");
    DATA((d.train = &x, x.count = 0), "train has no interactions");
    DATA(d.users = 0, "the number of users is 0");
    DATA(d.items = 0, "the number of items is 0");
    DATA((d.train = &x, x.user = NULL), "train: has 1 interactions, but user is NULL");
    DATA((d.valid = &x, x.item = NULL), "valid: has 1 interactions, but item is NULL");
    DATA((d.train = &x, x.user = user), "train: user[0] is 30; a number from 0 to 29");
    DATA((d.train = &x, x.item = low), "train: item[0] is -1; a number from 0 to 23");
    DATA((d.test = &x, x.item = item), "test: item[0] is 24");
    DATA((d.test = &x, x.rating = inf), "test: rating[0] is inf");
    DATA(d.protocol = "recbole", "unknown protocol recbole; choose elliot or mmrec");
    DATA(d.features = NULL, "feature_count is 2, but features is NULL");
    d = right;
    d.users = (size_t)1 << 31;
    WRONG(sp_train(s, &d, &o, NULL, &e), SP_UNSUPPORTED, "more than 1073741823 users and items");
    d.users = SIZE_MAX;
    d.items = SIZE_MAX;
    WRONG(sp_train(s, &d, &o, NULL, &e), SP_UNSUPPORTED, "more than 1073741823 users and items");
    /* a validation row of a user without train rows */
    int32_t some[] = {1, 2, 3}, other[] = {4};
    sp_interactions few = {.count = 3, .user = some, .item = some};
    x = (sp_interactions){.count = 1, .user = other, .item = at};
    d = right;
    d.train = &few;
    d.valid = &x;
    d.test = NULL;
    USAGE(sp_train(s, &d, &o, NULL, &e), "valid: none of its users has interactions in train");

    sp_feature f[2];
    d = right;
    d.features = f;
#define FEATURE(change, why)                                                                                           \
    do {                                                                                                               \
        memcpy(f, b->features, sizeof f);                                                                              \
        change;                                                                                                        \
        USAGE(sp_train(s, &d, &o, NULL, &e), why);                                                                     \
    } while (0)
    FEATURE(f[1].name = NULL, "features[1]: its name is NULL");
    FEATURE(f[1].name = "", "features[1]: its name");
    FEATURE(f[1].name = "a=b", "features[1]: its name holds =");
    FEATURE(f[1].name = "a\nb", "features[1]: its name holds");
    FEATURE(f[1].name = "visual", "features 'visual' are given twice");
    FEATURE(f[0].data = NULL, "features 'visual': data is NULL");
    FEATURE(f[0].width = 0, "features 'visual': their width is 0");
    FEATURE(f[0].width = SIZE_MAX, "features 'visual': their width is too large");
    float *copy = malloc(sizeof b->visual);
    memcpy(copy, b->visual, sizeof b->visual);
    copy[3 * WIDE + 2] = NAN;
    FEATURE(f[0].data = copy, "features 'visual': item 3 contains nan in column 2");
    free(copy);
}

static void wrong_training(void **state)
{
    TestBench *b = *state;
    sp_error e;
    const char *none[] = {"epochs=1", NULL}, *unknown[] = {"depth=3"};
    sp_train_options o = short_run("BPRMF");
    sp_data without = b->data;
    without.feature_count = 0;
    const sp_allocator empty = {NULL, NULL};
    USAGE(sp_train(NULL, &b->data, &o, NULL, &e), "the session is NULL");
    USAGE(sp_train(b->session, NULL, &o, NULL, &e), "sp_data is NULL");
    USAGE(sp_train(b->session, &b->data, NULL, NULL, &e), "sp_train_options is NULL");
    USAGE(sp_train(b->session, &b->data, &o, &empty, &e), "resize of the sp_allocator is NULL");
    o.model = NULL;
    USAGE(sp_train(b->session, &b->data, &o, NULL, &e), "the model is NULL");
    o.model = "nothing";
    USAGE(sp_train(b->session, &b->data, &o, NULL, &e), "unknown recommender nothing; choose one of");
    o.model = "VBPR";
    USAGE(sp_train(b->session, &without, &o, NULL, &e), "VBPR needs features: give them with the data");
    o.settings = NULL;
    USAGE(sp_train(b->session, &b->data, &o, NULL, &e), "settings is NULL");
    o.settings = none;
    o.setting_count = 2;
    USAGE(sp_train(b->session, &b->data, &o, NULL, &e), "settings[1] is NULL");
    o.settings = unknown;
    o.setting_count = 1;
    USAGE(sp_train(b->session, &b->data, &o, NULL, &e), "depth");
}

static void wrong_splits(void **state)
{
    TestBench *b = *state;
    sp_error e;
    unsigned char part[ROWS];
    sp_split_options o = {.size = sizeof o, .test_ratio = 0.2};
    sp_interactions x = b->part[0];
    USAGE(sp_split(NULL, USERS, ITEMS, &o, NULL, part, &e), "the interactions is NULL");
    USAGE(sp_split(&x, USERS, ITEMS, NULL, NULL, part, &e), "sp_split_options is NULL");
    USAGE(sp_split(&x, USERS, ITEMS, &o, NULL, NULL, &e), "part is NULL");
    USAGE(sp_split(&x, USERS - 1, ITEMS, &o, NULL, part, &e), "is 29; a number from 0 to 28");
    USAGE(sp_split(&x, 0, ITEMS, &o, NULL, part, &e), "the number of users is 0");
    o.test_ratio = NAN;
    USAGE(sp_split(&x, USERS, ITEMS, &o, NULL, part, &e), "test ratio");
    o.test_ratio = 1;
    USAGE(sp_split(&x, USERS, ITEMS, &o, NULL, part, &e), "test ratio");
    o = (sp_split_options){.size = sizeof o, .strategy = "by chance"};
    USAGE(sp_split(&x, USERS, ITEMS, &o, NULL, part, &e), "unknown strategy by chance");
    o.strategy = "temporal";
    USAGE(sp_split(&x, USERS, ITEMS, &o, NULL, part, &e), "has no times");
    o.strategy = "leave-n-out";
    USAGE(sp_split(&x, USERS, ITEMS, &o, NULL, part, &e), "leave-n-out needs");
    o = (sp_split_options){.size = sizeof o, .k_core = 1000};
    USAGE(sp_split(&x, USERS, ITEMS, &o, NULL, part, &e), "leaves no training rows");
    o.k_core = SIZE_MAX;
    USAGE(sp_split(&x, USERS, ITEMS, &o, NULL, part, &e), "is too large");
    x.count = 0;
    o.k_core = 0;
    assert_ok(sp_split(&x, USERS, ITEMS, &o, NULL, NULL, &e), e);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void wrong_questions(void **state)
{
    TestBench *b = *state;
    sp_error e;
    sp_session *s = b->session;
    sp_recommender *r = train(b, "VBPR");
    int32_t ok = 1, beyond[] = {0, USERS}, low[] = {-1}, item[TOP];
    const float nan[] = {NAN};
    sp_recommend_options o = {.size = sizeof o, .exclude_count = 1};
    const sp_liked one = {&ok, NULL, 1};
    USAGE(sp_recommend(NULL, s, &ok, 1, TOP, NULL, item, NULL, &e), "the recommender is NULL");
    USAGE(sp_recommend(r, NULL, &ok, 1, TOP, NULL, item, NULL, &e), "the session is NULL");
    USAGE(sp_recommend(r, s, NULL, 1, TOP, NULL, item, NULL, &e), "users: the list is NULL");
    USAGE(sp_recommend(r, s, &ok, 1, TOP, NULL, NULL, NULL, &e), "the list of results is NULL");
    USAGE(sp_recommend(r, s, &ok, 1, 0, NULL, item, NULL, &e), "K: 0 is out of range");
    USAGE(sp_recommend(r, s, &ok, 1, SIZE_MAX, NULL, item, NULL, &e), "is out of range");
    USAGE(sp_recommend(r, s, &ok, SIZE_MAX / 2, 5, NULL, item, NULL, &e), "do not fit into memory");
    USAGE(sp_recommend(r, s, beyond, 2, 2, NULL, item, NULL, &e), "users[1] is 30; a number from 0 to 29");
    USAGE(sp_recommend(r, s, low, 1, 2, NULL, item, NULL, &e), "users[0] is -1");
    USAGE(sp_recommend(r, s, &ok, 1, 2, &o, item, NULL, &e), "exclude: the list is NULL");
    o.exclude = low;
    USAGE(sp_recommend(r, s, &ok, 1, 2, &o, item, NULL, &e), "exclude[0] is -1");
    assert_ok(sp_recommend(r, s, NULL, 0, TOP, NULL, NULL, NULL, &e), e);

    sp_liked liked = {.count = 0};
    USAGE(sp_recommend_new(r, s, NULL, 1, 2, NULL, item, NULL, &e), "users: the list is NULL");
    USAGE(sp_recommend_new(r, s, &liked, 1, 2, NULL, item, NULL, &e), "users[0]: likes no item");
    liked.count = 1;
    USAGE(sp_recommend_new(r, s, &liked, 1, 2, NULL, item, NULL, &e), "users[0]: items: the list is NULL");
    liked.items = low;
    USAGE(sp_recommend_new(r, s, &liked, 1, 2, NULL, item, NULL, &e), "users[0]: items[0] is -1");
    liked.items = &ok;
    liked.ratings = nan;
    USAGE(sp_recommend_new(r, s, &liked, 1, 2, NULL, item, NULL, &e), "users[0]: ratings[0] is nan");
    USAGE(sp_new_user_vectors(r, s, &one, 1, NULL, &e), "out is NULL");

    USAGE(sp_similar_items(r, s, low, 1, 2, NULL, item, NULL, &e), "items[0] is -1");
    o = (sp_recommend_options){.size = sizeof o, .keep_seen = true};
    USAGE(sp_similar_items(r, s, &ok, 1, 2, &o, item, NULL, &e), "keep_seen does not apply");
    USAGE(sp_scores(r, s, &ok, low, 1, nowhere, &e), "items[0] is -1");
    USAGE(sp_scores(r, s, beyond + 1, &ok, 1, nowhere, &e), "users[0] is 30");
    USAGE(sp_scores(r, s, &ok, &ok, 1, NULL, &e), "scores is NULL");
    USAGE(sp_vectors(r, s, (sp_role)7, &ok, 1, nowhere, &e), "role: 7");
    USAGE(sp_vectors(r, s, SP_ITEMS, beyond, 2, nowhere, &e), "items[1] is 30; a number from 0 to 23");
    USAGE(sp_vectors(r, s, SP_USERS, &ok, 1, NULL, &e), "out is NULL");

    sp_feature f[2];
    float bad[WIDE] = {0, INFINITY};
    memcpy(f, b->features, sizeof f);
    USAGE(sp_new_item_vectors(r, s, NULL, 2, 1, nowhere, &e), "features is NULL");
    USAGE(sp_new_item_vectors(r, s, f, 1, 1, nowhere, &e), "2 features, ");
    USAGE(sp_new_item_vectors(r, s, f, 2, 1, NULL, &e), "out is NULL");
    f[1].name = NULL;
    USAGE(sp_new_item_vectors(r, s, f, 2, 1, nowhere, &e), "textual among them; 2 are given without it");
    memcpy(f, b->features, sizeof f);
    f[0].width++;
    WRONG(sp_new_item_vectors(r, s, f, 2, 1, nowhere, &e), SP_SHAPE, "rows of 8 numbers; training had 7");
    f[0].width--;
    f[0].data = NULL;
    WRONG(sp_new_item_vectors(r, s, f, 2, 1, nowhere, &e), SP_SHAPE, "data is NULL");
    f[0].data = bad;
    USAGE(sp_new_item_vectors(r, s, f, 2, 1, nowhere, &e), "item 0 contains inf");
    USAGE(sp_recommender_describe(NULL, NULL, &e), "the recommender is NULL");
    USAGE(sp_recommender_describe(r, NULL, &e), "info is NULL");
    USAGE(sp_recommender_open(NULL, NULL, &e), "folder of the recommender is NULL");
    sp_recommender_close(NULL);
    sp_recommender_close(r);
}

/* Checks ratings that are too large for a score. */
static void ratings_beyond_float32(void **state)
{
    TestBench *b = *state;
    sp_error e;
    sp_recommender *r = train(b, "ItemKNN");
    int32_t items[] = {0, 1, 2};
    const float large[] = {FLT_MAX, FLT_MAX, FLT_MAX};
    const sp_liked liked = {items, large, 3};
    assert_false(sp_recommend_new(r, b->session, &liked, 1, TOP, NULL, no, NULL, &e));
    assert_error(e, SP_USAGE, "users[0]: its ratings give scores too large");
    sp_recommender_close(r);
}

static void wrong_measures(void **state)
{
    static const char *const RECALL[] = {"Recall"}, *const UNKNOWN[] = {"Luck"}, *const NONE[] = {NULL};
    static const size_t FIVE[] = {5}, HUGE_ONE[] = {SIZE_MAX}, ZERO[] = {0};
    TestBench *b = *state;
    sp_error e;
    double figure;
    sp_session *s = b->session;
    sp_recommender *r = train(b, "MostPop");
    const sp_measures right = {
        .size = sizeof right, .metrics = RECALL, .metric_count = 1, .cutoffs = FIVE, .cutoff_count = 1};
    sp_measures m = right;
#define MEASURE(change, why)                                                                                           \
    do {                                                                                                               \
        m = right;                                                                                                     \
        change;                                                                                                        \
        USAGE(sp_evaluate(r, s, &b->part[2], &m, &figure, &e), why);                                                   \
    } while (0)
    MEASURE(m.metrics = NULL, "metrics and cutoffs are empty or NULL");
    MEASURE(m.cutoff_count = 0, "metrics and cutoffs are empty or NULL");
    MEASURE(m.metrics = UNKNOWN, "unknown metric 'Luck'");
    MEASURE(m.metrics = NONE, "metrics[0] is NULL");
    MEASURE(m.cutoffs = HUGE_ONE, "is not a whole number from 1 to");
    MEASURE(m.cutoffs = ZERO, "is not a whole number from 1 to");
    MEASURE(m.protocol = "mmrec", "protocol: is for sp_evaluate_lists");
    USAGE(sp_evaluate(NULL, s, &b->part[2], &right, &figure, &e), "the recommender is NULL");
    USAGE(sp_evaluate(r, s, NULL, &right, &figure, &e), "truth is NULL");
    USAGE(sp_evaluate(r, s, &b->part[2], NULL, &figure, &e), "sp_measures is NULL");
    USAGE(sp_evaluate(r, s, &b->part[2], &right, NULL, &e), "figures is NULL");
    const sp_interactions nobody = {.count = 0};
    USAGE(sp_evaluate(r, s, &nobody, &right, &figure, &e), "truth: has no relevant item");

    int32_t user[] = {3, 3}, lists[] = {1, 2, 4, 4}, wild[] = {1, ITEMS, -2, 0};
    const sp_interactions *truth = &b->part[2];
    USAGE(sp_evaluate_lists(s, USERS, ITEMS, user, 2, lists, 2, truth, &right, &figure, &e), "user[1] is 3");
    user[1] = 4;
    USAGE(sp_evaluate_lists(s, USERS, ITEMS, user, 2, lists, 2, truth, &right, &figure, &e), "lists[1, 1] is 4");
    USAGE(sp_evaluate_lists(s, USERS, ITEMS, user, 2, wild, 2, truth, &right, &figure, &e), "lists[0, 1] is 24");
    USAGE(sp_evaluate_lists(s, USERS, ITEMS, user, 1, wild + 2, 2, truth, &right, &figure, &e), "lists[0, 0] is -2");
    USAGE(sp_evaluate_lists(s, USERS, ITEMS, user, 2, lists, 0, truth, &right, &figure, &e), "K: 0");
    USAGE(sp_evaluate_lists(s, 0, ITEMS, user, 2, lists, 2, truth, &right, &figure, &e), "the number of users is 0");
    USAGE(sp_evaluate_lists(s, USERS, ITEMS, NULL, 2, lists, 2, truth, &right, &figure, &e), "user is NULL");
    USAGE(sp_evaluate_lists(s, USERS, ITEMS, user, 2, lists, 2, NULL, &right, &figure, &e), "truth is NULL");
    m = right;
    m.protocol = "both";
    USAGE(sp_evaluate_lists(s, USERS, ITEMS, user, 1, lists, 2, truth, &m, &figure, &e), "unknown protocol both");
    assert_ok(sp_evaluate_lists(s, USERS, ITEMS, user, 2, lists, 1, truth, &right, &figure, &e), e);
    assert_ok(sp_evaluate_lists(s, USERS, ITEMS, NULL, 0, NULL, 1, truth, &right, &figure, &e) && figure == 0, e);
    sp_recommender_close(r);
}

static void wrong_matrices(void **state)
{
    TestBench *b = *state;
    sp_error e;
    sp_session *s = b->session;
    float *x = malloc(sizeof b->visual);
    int32_t except[] = {ITEMS};
    sp_nearest_options o = {.size = sizeof o, .except = except};
    memcpy(x, b->visual, sizeof b->visual);
    USAGE(sp_nearest(NULL, x, ITEMS, WIDE, x, 1, 2, NULL, no, NULL, &e), "the session is NULL");
    USAGE(sp_nearest(s, NULL, ITEMS, WIDE, x, 1, 2, NULL, no, NULL, &e), "the matrix is NULL");
    USAGE(sp_nearest(s, x, ITEMS, WIDE, NULL, 1, 2, NULL, no, NULL, &e), "list of queries is NULL");
    USAGE(sp_nearest(s, x, ITEMS, WIDE, x, 1, 2, NULL, NULL, NULL, &e), "ids is NULL");
    USAGE(sp_nearest(s, x, 0, WIDE, x, 1, 2, NULL, no, NULL, &e), "a matrix of 0 x 7");
    USAGE(sp_nearest(s, x, ITEMS, 0, x, 1, 2, NULL, no, NULL, &e), "a matrix of 24 x 0");
    USAGE(sp_nearest(s, x, ITEMS, SIZE_MAX, x, 1, 2, NULL, no, NULL, &e), "a matrix of 24 x");
    USAGE(sp_nearest(s, x, ITEMS, WIDE, x, SIZE_MAX, 2, NULL, no, NULL, &e), "queries of 7 numbers");
    USAGE(sp_nearest(s, x, ITEMS, WIDE, x, 1, 0, NULL, no, NULL, &e), "K: 0");
    USAGE(sp_nearest(s, x, ITEMS, WIDE, x, 1, 2, &o, no, NULL, &e), "except[0] is 24");
    assert_ok(sp_nearest(s, x, ITEMS, WIDE, NULL, 0, 2, NULL, NULL, NULL, &e), e);
    x[5 * WIDE + 1] = NAN;
    WRONG(sp_nearest(s, x, ITEMS, WIDE, b->visual, 1, 2, NULL, no, NULL, &e), SP_FORMAT, "row 5 contains a number");
    WRONG(sp_nearest(s, b->visual, ITEMS, WIDE, x, 6, 1, NULL, no, NULL, &e), SP_FORMAT, "query 5 holds a number");
    free(x);
}

/* ---- a folder whose projections are damaged -------------------------------------------------- */

/* Writes a model.safetensors with one tensor. dims 1: its shape is [rows]. */
static void put_tensor(const char *folder, const char *name, DType type, int dims, int64_t rows, float first)
{
    sp_error e = {0};
    float data[64] = {first};
    char path[400];
    int64_t shape[] = {rows, 2}, count = dims == 2 ? rows * 2 : rows;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    SafetensorsOut *o = safetensors_open(path, NULL, &e);
    assert_ok(o && safetensors_declare(o, name, type, dims, shape, &e) &&
                  safetensors_data(o, data, (size_t)count * dtype_bytes(type), &e) && safetensors_commit(o, &e),
              e);
}

static void damaged_projections(void **state)
{
    static const struct {
        const char *name;
        DType type;
        int dims, rows;
        float first;
        const char *why; /* NULL: opening succeeds */
    } CASES[] = {
        {"projection.visual.weight", F32, 2, 3, NAN, "model.safetensors: row 0 contains nan"},
        {"projection.visual.weight", F32, 1, 3, 0, "projection.visual.weight is no projection"},
        {"projection.visual.weight", I32, 2, 3, 0, "is no projection"},
        {"projection.visual.bias", F32, 2, 3, 0, "is no projection"},
        {"projection..weight", F32, 2, 3, 0, "is no projection"},
        {"projection.visual.weight", F32, 2, 0, 0, "is no projection"},
        {"user", F32, 2, 3, 0, "tensor user is no projection"},
        {"projection.a.bias", F32, 1, 3, 0, NULL},
        {"projection.visual.weight", F32, 2, 3, 0, NULL},
    };
    TestBench *b = *state;
    sp_error e;
    char folder[256], out[300], path[400];
    test_folder(folder);
    snprintf(out, sizeof out, "%s/run", folder);
    sp_train_options o = short_run("VBPR");
    o.out = out;
    sp_recommender *r = sp_train(b->session, &b->data, &o, NULL, &e);
    assert_ok(r != NULL, e);
    sp_recommender_close(r);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        put_tensor(out, CASES[i].name, CASES[i].type, CASES[i].dims, CASES[i].rows, CASES[i].first);
        r = sp_recommender_open(out, NULL, &e);
        if (CASES[i].why) {
            assert_null(r);
            assert_error(e, SP_FORMAT, CASES[i].why);
            continue;
        }
        assert_ok(r != NULL, e);
        const sp_feature two = {"visual", 2, b->visual};
        assert_false(sp_new_item_vectors(r, b->session, &two, 1, 2, nowhere, &e));
        assert_true(strstr(e.message, "train again") && !strchr(e.message, '\n'));
        sp_recommender_close(r);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", out); /* a run of a version that wrote no projections */
    assert_int_equal(unlink(path), 0);
    assert_ok((r = sp_recommender_open(out, NULL, &e)) != NULL, e);
    WRONG(sp_new_item_vectors(r, b->session, b->features, 2, 1, nowhere, &e), SP_UNSUPPORTED, "has no projections");
    sp_recommender_close(r);
    test_folder_remove(folder);
}

/* Checks features whose projection overflows float32: the result must not have NaN and must not be a vector of zeros.
 */
static void features_that_are_too_large(void **state)
{
    static const float LARGE[] = {3.4e38f, 1e38f, 1e30f, 1e20f};
    TestBench *b = *state;
    sp_error e;
    for (int turn = 0; turn < 4; turn++) {
        b->data.protocol = turn % 2 ? "mmrec" : "elliot";
        sp_recommender *r = train(b, turn < 2 ? "VBPR" : "NGCF-M");
        sp_recommender_info info = {.size = sizeof info};
        assert_ok(sp_recommender_describe(r, &info, &e), e);
        float *out = calloc(ITEMS * info.width, sizeof *out), visual[ITEMS * WIDE];
        sp_feature f[] = {b->features[1], {"visual", WIDE, visual}};
        memcpy(visual, b->visual, sizeof visual);
        for (size_t i = 0; i < COUNT(LARGE); i++) {
            char says[200];
            visual[3 * WIDE + 1] = -LARGE[i];
            snprintf(says, sizeof says, "features 'visual': item 3 contains %g: its vector may be too large",
                     (double)LARGE[i]);
            USAGE(sp_new_item_vectors(r, b->session, f, 2, ITEMS, out, &e), says);
        }
        visual[3 * WIDE + 1] = 1e15f; /* large but valid */
        assert_ok(sp_new_item_vectors(r, b->session, f, 2, ITEMS, out, &e), e);
        double square = 0;
        for (size_t c = 0; c < info.width; c++) {
            double x = (double)out[3 * info.width + c];
            assert_true(isfinite(x));
            square += x * x;
        }
        assert_true(turn == 1 ? square > 1e20 : fabs(square - 1) < 1e-4);
        free(out);
        sp_recommender_close(r);
    }
    b->data.protocol = NULL;
}

/* ---- structs and sessions -------------------------------------------------------------------- */

/* For every size, a struct is read completely or refused. */
static void sizes_of_structs(void **state)
{
    enum { MOST = 4200 };
    _Alignas(max_align_t) static char bytes[MOST];
    TestBench *b = *state;
    sp_error e;
    sp_recommender *r = train(b, "MostPop");
    sp_recommender_info known;
    sp_train_options nothing = {.size = sizeof nothing};
    int32_t user = 0;
    for (size_t size = 0; size < MOST; size += size < 200 ? 1 : 977) {
        bool whole = size >= sizeof size && size % sizeof size == 0 && size <= 4096;
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, &size, sizeof size);
        assert_int_equal(sp_recommend(r, b->session, &user, 1, 2, (void *)bytes, no, NULL, &e), whole);
        assert_true(whole || strstr(e.message, "sp_recommend_options: its size is "));
        assert_int_equal(sp_nearest(b->session, b->visual, ITEMS, WIDE, b->visual, 1, 2, (void *)bytes, no, NULL, &e),
                         whole);
        unsigned char part[ROWS];
        assert_int_equal(sp_split(&b->part[0], USERS, ITEMS, (void *)bytes, NULL, part, &e), whole);
        double figure;
        assert_false(sp_evaluate(r, b->session, &b->part[2], (void *)bytes, &figure, &e));
        assert_true(strstr(e.message, whole ? "empty or NULL" : "sp_measures: its size is ") != NULL);
        assert_null(sp_train(b->session, (void *)bytes, &nothing, NULL, &e));
        assert_true(strstr(e.message, whole ? "the model is NULL" : "sp_data: its size is ") != NULL);
        assert_null(sp_train(b->session, &b->data, (void *)bytes, NULL, &e));
        assert_true(strstr(e.message, whole ? "the model is NULL" : "sp_train_options: its size is ") != NULL);
        memset(bytes, 0x55, sizeof bytes);
        memcpy(bytes, &size, sizeof size);
        assert_int_equal(sp_recommender_describe(r, (void *)bytes, &e), whole);
        assert_true(bytes[MAX(size, sizeof size)] == 0x55); /* no byte after the struct is written */
        for (size_t i = sizeof known; whole && i < size; i++)
            assert_int_equal(bytes[i], 0);
    }
    sp_recommender_close(r);
}

typedef struct Again {
    TestBench *b;
    const sp_recommender *r;
    size_t refused;
} Again;

static void call_again(Again *a)
{
    sp_error e;
    int32_t user = 0;
    sp_train_options o = short_run("MostPop");
    a->refused += !sp_nearest(a->b->session, a->b->visual, ITEMS, WIDE, a->b->visual, 1, 2, NULL, no, NULL, &e) &&
                  e.code == SP_USAGE && strstr(e.message, "in another call");
    a->refused += !sp_train(a->b->session, &a->b->data, &o, NULL, &e) && e.code == SP_USAGE;
    if (a->r)
        a->refused += !sp_recommend(a->r, a->b->session, &user, 1, 2, NULL, no, NULL, &e) && e.code == SP_USAGE;
}

static bool during_lists(void *user, size_t done, size_t n)
{
    call_again(user);
    return done <= n;
}

static bool during_training(void *user, const sp_train_event *event)
{
    call_again(user);
    return event->batch > 0;
}

static void a_session_is_in_one_call(void **state)
{
    TestBench *b = *state;
    sp_error e;
    int32_t user = 0;
    Again a = {.b = b};
    sp_train_options o = short_run("BPRMF");
    o.progress = during_training;
    o.user = &a;
    sp_recommender *r = sp_train(b->session, &b->data, &o, NULL, &e);
    assert_ok(r != NULL, e);
    assert_true(a.refused >= 4 && a.refused % 2 == 0);
    a = (Again){b, r, 0};
    sp_recommend_options ask = {.size = sizeof ask, .progress = during_lists, .user = &a};
    assert_ok(sp_recommend(r, b->session, &user, 1, 2, &ask, no, NULL, &e), e);
    assert_int_equal(a.refused, 3);
    sp_recommender_close(r);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Makes every call that allocates memory, one after the other. */
static bool live_once(TestBench *b, const char *model, const sp_allocator *memory, sp_error *e)
{
    static const char *const METRICS[] = {"Recall"};
    static const size_t CUTOFFS[] = {5};
    const sp_measures m = {
        .size = sizeof m, .metrics = METRICS, .metric_count = 1, .cutoffs = CUTOFFS, .cutoff_count = 1};
    unsigned char part[ROWS];
    double figure;
    int32_t users[] = {0, 5}, item[4 * TOP];
    const sp_split_options split = {.size = sizeof split, .test_ratio = 0.2};
    const sp_liked liked = {users, NULL, 2};
    const sp_recommend_options ask = {.size = sizeof ask, .exclude = users, .exclude_count = 2};
    sp_train_options o = short_run(model);
    sp_session *s = sp_session_open(1, memory, e);
    sp_recommender *r = NULL;
    bool ok = s && sp_split(&b->part[0], USERS, ITEMS, &split, memory, part, e) &&
              (r = sp_train(s, &b->data, &o, memory, e)) && sp_recommend(r, s, users, 2, TOP, &ask, item, NULL, e) &&
              sp_recommend_new(r, s, &liked, 1, TOP, &ask, item, NULL, e) &&
              sp_similar_items(r, s, users, 2, TOP, &ask, item, NULL, e) &&
              sp_scores(r, s, users, users, 2, nowhere, e) && sp_evaluate(r, s, &b->part[2], &m, &figure, e) &&
              sp_nearest(s, b->visual, ITEMS, WIDE, b->visual, 3, 4, NULL, item, NULL, e) &&
              (strcmp(model, "VBPR") != 0 || (sp_new_item_vectors(r, s, b->features, 2, 4, nowhere, e) &&
                                              sp_new_user_vectors(r, s, &liked, 1, nowhere, e)));
    sp_recommender_close(r);
    sp_session_close(s);
    return ok;
}

static void refused_memory_is_an_error(void **state)
{
    static const char *const MODELS[] = {"ItemKNN", "VBPR"};
    for (size_t i = 0; i < COUNT(MODELS); i++) {
        size_t at = 1;
        for (bool ok = false; !ok; at++) {
            sp_error e;
            TestHeap heap;
            test_heap(&heap, at);
            ok = live_once(*state, MODELS[i], &heap.heap, &e);
            assert_int_equal(heap.live, 0);
            if (ok)
                assert_true(heap.requests < at);
            else if (e.code != SP_MEMORY || strchr(e.message, '\n'))
                fail_msg("%s, request %zu refused: %s", MODELS[i], at, e.message);
        }
        printf("# %s: %zu requests\n", MODELS[i], at - 2);
        assert_true(at > 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_data),
        cmocka_unit_test(wrong_training),
        cmocka_unit_test(wrong_splits),
        cmocka_unit_test(wrong_questions),
        cmocka_unit_test(ratings_beyond_float32),
        cmocka_unit_test(wrong_measures),
        cmocka_unit_test(wrong_matrices),
        cmocka_unit_test(damaged_projections),
        cmocka_unit_test(features_that_are_too_large),
        cmocka_unit_test(sizes_of_structs),
        cmocka_unit_test(a_session_is_in_one_call),
        cmocka_unit_test(refused_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
