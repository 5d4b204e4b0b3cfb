/* tests/prepare_test.c: published files become interactions, items and splits; the results equal plain references. */
#include "recsys/prepare.h"

#include "recsys/data/data.h"

#include "tests/prepare_reference.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

static const char *in_dir(const char *name)
{
    static char path[8][600];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static PrepareResult last;
static void keep_result(void *arg, const PrepareResult *r)
{
    (void)arg;
    last = *r;
}

static PrepareConfig config(const char *const *source, const char *out, Recipe recipe)
{
    PrepareConfig c = {
        .sources = source, .source_count = 1, .out = in_dir(out), .visit = keep_result, .split.seed = 42};
    prepare_preset(&c, recipe);
    return c;
}

static void prepare(const PrepareConfig *c)
{
    Error e = {0};
    assert_ok(prepare_files(c, &e), e);
}

static Text read_path(Arena *a, const char *path)
{
    Error e = {0};
    Text content;
    assert_ok(file_read(&content, a, path, 0, &e), e);
    return content;
}

static Text read_out(Arena *a, const PrepareConfig *c, const char *name)
{
    Error e = {0};
    return read_path(a, path_join(a, c->out, name, &e));
}

static void check_out(const PrepareConfig *c, const char *name, const char *expected)
{
    Arena *a = arena_new(NULL, 0);
    Text found = read_out(a, c, name);
    if (!text_is(found, expected))
        fail_msg("%s: \"%s\", not \"%s\"", name, found.p, expected);
    arena_free(a);
}

static const PrepareStep *step(const char *name)
{
    for (size_t i = 0; i < last.steps; i++)
        if (!strcmp(last.step[i].name, name))
            return &last.step[i];
    return NULL;
}

/* ---- the drawn catalogue --------------------------------------------------------------------- */

#ifdef HAVE_ZLIB
static void pack(const char *from, const char *to)
{
    Arena *a = arena_new(NULL, 0);
    Text bytes = read_path(a, in_dir(from));
    gzFile z = gzopen(in_dir(to), "wb");
    assert_int_equal(gzwrite(z, bytes.p, (unsigned)bytes.n), bytes.n);
    assert_int_equal(gzclose(z), Z_OK);
    arena_free(a);
}
#endif

static int make_catalogue(void **state)
{
    make_dir(state);
    draw_catalogue();
    write_reviews("reviews.json");
    write_metas("meta.json", false);
    write_metas("meta.py", true);
#ifdef HAVE_ZLIB
    pack("reviews.json", "reviews.json.gz");
    pack("meta.py", "meta.py.gz");
#endif
    return 0;
}

static void duchos_script(void **state)
{
    (void)state;
    static const char *const FILES[][2] = {
        {"reviews.json", "meta.json"},
        {"reviews.json", "meta.py"},
#ifdef HAVE_ZLIB
        {"reviews.json.gz", "meta.py.gz"},
#endif
    };
    static char expected[100000], items[100000];
    reference_ducho(expected, sizeof expected, true);
    reference_meta(items);
    for (size_t i = 0; i < COUNT(FILES); i++) {
        char out[32];
        snprintf(out, sizeof out, "ducho%zu", i);
        const char *source = in_dir(FILES[i][0]);
        PrepareConfig c = config(&source, out, RECIPE_DUCHO);
        c.meta = in_dir(FILES[i][1]);
        prepare(&c);
        check_out(&c, "reviews.tsv", expected);
        check_out(&c, "meta.tsv", items);
        assert_true(step("duplicates")->dropped > 0 && step("incomplete")->dropped > 0);
        assert_true(step("nan_description")->dropped > 0 && step("nan_image_url")->dropped > 0);
        assert_int_equal(last.no_text + last.no_image, 0);
    }
}

/* Checks that "banana" stays if the rule is off. Items without a description are removed in any case. */
static void without_the_rule(void **state)
{
    (void)state;
    static char expected[100000], with[100000];
    reference_ducho(with, sizeof with, true);
    reference_ducho(expected, sizeof expected, false);
    assert_true(strlen(with) < strlen(expected));
    const char *source = in_dir("reviews.json");
    PrepareConfig c = config(&source, "off", RECIPE_DUCHO);
    c.meta = in_dir("meta.py");
    c.nan_rule = NAN_OFF;
    prepare(&c);
    check_out(&c, "reviews.tsv", expected);
}

static void mmrecs_notebooks(void **state)
{
    (void)state;
    enum { CORE = 7 };
    const char *source = in_dir("reviews.json");
    PrepareConfig c = config(&source, "mmrec", RECIPE_MMREC);
    c.meta = in_dir("meta.py");
    c.user_core = c.item_core = CORE;
    prepare(&c);
    int left = reference_mmrec(CORE);
    assert_true(left > 0 && left < REVIEWS && step("core")->dropped > 0);
    assert_int_equal(step("core")->rows, left);
    /* each row of the file is a row of the reference, without duplicates; the parts are in order within a user */
    Arena *a = arena_new(NULL, 0);
    Text rest = read_out(a, &c, "mmrec.inter"), line;
    assert_true(text_line(&rest, &line) && text_is(line, "userID\titemID\trating\ttimestamp\tx_label"));
    int at_user = -1, labels[200], n = 0, rows = 0;
    for (bool more = true; more;) {
        int user = -1, item = 0, time = 0, label = 0;
        float rating = 0;
        more = text_line(&rest, &line);
        if (more)
            assert_int_equal(sscanf(line.p, "%d\t%d\t%f\t%d\t%d", &user, &item, &rating, &time, &label), 5);
        if (user != at_user) { /* the rows of the previous user are complete */
            int held = n < 10 ? 2 : n / 5, valid = held / 2;
            for (int i = 0; i < n; i++)
                assert_int_equal(labels[i], i < n - held ? 0 : i < n - held + valid ? 1 : 2);
            assert_int_equal(user, more ? at_user + 1 : -1);
            at_user = user;
            n = 0;
        }
        if (!more)
            break;
        labels[n++] = label;
        rows++;
        bool found = false;
        for (int i = 0; i < REVIEWS && !found; i++)
            if (!reviews[i].out && reviews[i].time == time && reviews[i].rating == (int)rating &&
                number_of(true, reviews[i].user) == user && number_of(false, reviews[i].item) == item)
                found = true;
        assert_true(found);
    }
    assert_int_equal(rows, left);
    rest = read_out(a, &c, "i_id_mapping.csv");
    assert_true(text_line(&rest, &line) && text_is(line, "asin\titemID"));
    for (int i = 0; text_line(&rest, &line); i++) {
        char item[16];
        int number;
        assert_int_equal(sscanf(line.p, "%15s\t%d", item, &number), 2);
        assert_int_equal(number, i);
        assert_int_equal(number_of(false, item), i);
    }
    arena_free(a);
}

/* ---- real data ------------------------------------------------------------------------------- */

static const char *data_file(const char *name)
{
    static char path[4][1024];
    static int turn;
    const char *root = getenv("SAPOR_DATA");
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", root && *root ? root : "../shared/data", name);
    return p;
}

static bool is_there(const char *name)
{
    if (file_exists(data_file(name)))
        return true;
    printf("skipped: no %s; SAPOR_DATA names the folder of data sets\n", data_file(name));
    return false;
}

/* Removes the rows of users with fewer than k rows, then those of such items, in passes over all rows, until a pass
 * removes nothing. out[i]: row i is removed. Returns the number of rows that stay. */
static size_t plain_core(const Ratings *r, int k, bool *out)
{
    size_t left = r->count;
    int64_t most = MAX(text_index_count(r->users), text_index_count(r->items));
    int *count = malloc(sizeof *count * (size_t)most);
    for (size_t before = left + 1; left < before;) {
        before = left;
        for (int side = 0; side < 2; side++) {
            const int32_t *of = side ? r->item : r->user;
            memset(count, 0, sizeof *count * (size_t)most);
            for (size_t i = 0; i < r->count; i++)
                count[of[i]] += !out[i];
            for (size_t i = 0; i < r->count; i++)
                if (!out[i] && count[of[i]] < k) {
                    out[i] = true;
                    left--;
                }
        }
    }
    free(count);
    return left;
}

static void check_core(const char *name, const char *into, int k)
{
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    Ratings r, ours;
    const char *source = data_file(name);
    PrepareConfig c = config(&source, into, RECIPE_NONE);
    c.user_core = c.item_core = k;
    prepare(&c);
    assert_ok(ratings_read(&r, source, FORMAT_AUTO, a, &e), e);
    assert_ok(ratings_read_as(&ours, path_join(a, c.out, "interactions.tsv", &e), FORMAT_AUTO, &(Layout){0}, a, &e), e);
    bool *out = NEW(a, bool, r.count, &e);
    assert_int_equal(plain_core(&r, k, out), ours.count);
    for (size_t i = 0, at = 0; i < r.count; i++)
        if (!out[i]) { /* the same rows in the same order */
            assert_true(text_equal(text_index_at(r.users, r.user[i]), text_index_at(ours.users, ours.user[at])));
            assert_true(text_equal(text_index_at(r.items, r.item[i]), text_index_at(ours.items, ours.item[at])));
            assert_true(!r.rating || r.rating[i] == ours.rating[at]);
            assert_true(!r.time || r.time[i] == ours.time[at]);
            at++;
        }
    arena_free(a);
}

static void cores_of_real_data(void **state)
{
    (void)state;
    if (!is_there("movielens-100k/u.data") || !is_there("tiktok/tiktok.inter"))
        skip();
    check_core("movielens-100k/u.data", "ml5", 5);
    check_core("movielens-100k/u.data", "ml40", 40);
    check_core("tiktok/tiktok.inter", "tiktok5", 5);
    check_core("tiktok/tiktok.inter", "tiktok9", 9);
}

/* Checks core_rows on drawn data with long chains: the removal of a row causes the removal of the next. */
static void cores_of_drawn_data(void **state)
{
    (void)state;
    enum { N = 3000, NODES = 500 };
    static int32_t user[N], item[N];
    for (int k = 2; k < 6; k++)
        for (int spread = 1; spread < 5; spread++) {
            for (int i = 0; i < N; i++) {
                user[i] = i < NODES ? i : (int32_t)drawn_below(NODES) / spread;
                item[i] = i < NODES ? (i + 1) % NODES : (int32_t)drawn_below(NODES);
                if (i >= N / 3)
                    item[i] = user[i], user[i] = (user[i] + 1) % NODES;
            }
            Arena *a = arena_new(NULL, 0);
            Error e = {0};
            Ratings r = {.count = N, .user = user, .item = item};
            assert_true(ids_count(&r.users, NODES, a, &e) && ids_count(&r.items, NODES, a, &e));
            bool *out = NEW(a, bool, N, &e), *plain = NEW(a, bool, N, &e);
            assert_ok(core_rows(user, item, N, NODES, NODES, k, k, out, a, &e), e);
            plain_core(&r, k, plain);
            assert_memory_equal(out, plain, N);
            arena_free(a);
        }
}

static void published_splits(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"amazon-office", "amazon-baby"};
    static const char *const FILES[] = {"reviews.tsv", "train.tsv", "val.tsv", "test.tsv"};
    for (size_t n = 0; n < COUNT(NAMES); n++) {
        char file[300];
        snprintf(file, sizeof file, "%s/reviews.tsv", NAMES[n]);
        if (!is_there(file))
            skip();
        const char *source = data_file(file);
        PrepareConfig c = config(&source, NAMES[n], RECIPE_DUCHO);
        prepare(&c);
        for (size_t f = 0; f < COUNT(FILES); f++) {
            Arena *a = arena_new(NULL, 0);
            snprintf(file, sizeof file, "%s/%s", NAMES[n], FILES[f]);
            assert_true(text_equal(read_out(a, &c, FILES[f]), read_path(a, data_file(file))));
            arena_free(a);
        }
    }
}

/* ---- formats --------------------------------------------------------------------------------- */

static void check_items(const char *name, const char *meta, const char *ratings, const char *expected)
{
    char out[64];
    snprintf(out, sizeof out, "items-%s", name);
    const char *source = put("ratings", ratings);
    PrepareConfig c = config(&source, out, RECIPE_NONE);
    c.meta = put(name, meta);
    prepare(&c);
    check_out(&c, "items.tsv", expected);
}

static void tables_of_items(void **state)
{
    (void)state;
    const char *data = "1\t2\t3\t100\n7\t1\t4\t50\n"; /* u.data */
    check_items(
        "u.item",
        "1|Toy\xe9 Story|x||u|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n2|B|x||u|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|1\n",
        data,
        "item\ttitle\tdescription\timUrl\ttext\n2\tB\t\t\tB unknown Western  \n"
        "1\tToy\xc3\xa9 Story\t\t\tToy\xc3\xa9 Story Animation Children's Comedy  \n");
    assert_true(last.latin1);
    check_items("movies.dat", "1::A: b::Drama|Comedy\n2::C::War\n", "1::2::3::100\n",
                "item\ttitle\tdescription\timUrl\ttext\n2\tC\t\t\tC War  \n");
    check_items("movies.csv", "movieId,title,genres\n2,\"C, the\",War|Film-Noir\n",
                "userId,movieId,rating,timestamp\n1,2,3.5,100\n",
                "item\ttitle\tdescription\timUrl\ttext\n2\tC, the\t\t\tC, the War Film-Noir  \n");
    check_items("ml.item", "item_id:token\tmovie_title:token_seq\tclass:token_seq\n2\tC\tWar\n",
                "user_id:token\titem_id:token\n1\t2\n", "item\ttitle\tdescription\timUrl\ttext\n2\tC\t\t\tC War  \n");
    check_items(
        "own.tsv", "item\ttitle\tdescription\timUrl\n2\tC\t\"a \"\"red\"\"\tbag\"\thttp://e\n", "1 2\n",
        "item\ttitle\tdescription\timUrl\ttext\n2\tC\t\"a \"\"red\"\"\tbag\"\thttp://e\t\"C a \"\"red\"\"\tbag\"\n");
    check_items("2018.json",
                "{\"asin\": \"B\", \"description\": [\"a\", \"b\"], \"imageURLHighRes\": [], \"imageURL\": [\"u1\", "
                "\"u2\"], \"brand\": \"Br\", \"category\": [\"c\", \"d\"]}\n",
                "{\"reviewerID\": \"u\", \"asin\": \"B\", \"overall\": 4, \"unixReviewTime\": 9}\n",
                "item\ttitle\tdescription\timUrl\ttext\nB\t\ta b\tu1\t  Br c d a b\n");
    check_items("2023.json",
                "{\"parent_asin\": \"P\", \"title\": \"T\", \"description\": [], \"images\": [{\"thumb\": \"s\", "
                "\"large\": \"l\"}], \"store\": \"S\", \"categories\": [\"c\"]}\n",
                "{\"user_id\": \"u\", \"asin\": \"B\", \"parent_asin\": \"P\", \"rating\": 4.0, \"timestamp\": "
                "1600000000000}\n",
                "item\ttitle\tdescription\timUrl\ttext\nP\tT\t\tl\tT S c  \n");
}

static void several_sources(void **state)
{
    (void)state;
    char train[600];
    snprintf(train, sizeof train, "%s", put("train.txt", "0 3 4 5\n1\n2 9\n"));
    const char *sources[] = {train, put("test.txt", "0 7\n2 3\n")};
    PrepareConfig c = config(sources, "lists", RECIPE_NONE);
    c.source_count = 2;
    prepare(&c);
    check_out(&c, "interactions.tsv", "0\t3\n0\t4\n0\t5\n2\t9\n0\t7\n2\t3\n");
    sources[1] = put("rated.tsv", "0\t3\t5\n2\t3\t1\n");
    Error e = {0};
    assert_false(prepare_files(&c, &e));
    assert_error(e, SP_FORMAT, "rated.tsv: has ratings, unlike the files before it");
}

/* Checks that ratings are written in their form: 5.0 if a rating has a point, otherwise 5. */
static void numbers_and_ids(void **state)
{
    (void)state;
    const char *source = put("num.csv", "u,a,5.0,30\nv,b,3.5,10\nu,b,0.1,20\nw,c,1,40\n");
    PrepareConfig c = config(&source, "num", RECIPE_NONE);
    prepare(&c);
    check_out(&c, "interactions.tsv", "u\ta\t5.0\t30\nv\tb\t3.5\t10\nu\tb\t0.1\t20\nw\tc\t1.0\t40\n");
    c = config(&source, "time", RECIPE_NONE);
    c.splits = c.number = true;
    c.split.strategy = SPLIT_GLOBAL_TIME; /* numpy.quantile of 10, 20, 30, 40 at 0.5 and 0.75: 25 and 32.5 */
    c.split.test_ratio = c.split.validation_ratio = 0.25;
    prepare(&c);
    /* numbered by first appearance in train, validation, test */
    check_out(&c, "train.tsv", "0\t0\t3.5\t10\n1\t0\t0.1\t20\n");
    check_out(&c, "val.tsv", "1\t1\t5.0\t30\n");
    check_out(&c, "test.tsv", "2\t2\t1.0\t40\n");
    check_out(&c, "users.tsv", "user\tnumber\nv\t0\nu\t1\nw\t2\n");
    check_out(&c, "item_numbers.tsv", "item\tnumber\nb\t0\na\t1\nc\t2\n");
    c = config(&source, "time.inter", RECIPE_NONE);
    c.splits = c.number = c.inter = true;
    c.split.strategy = SPLIT_GLOBAL_TIME;
    c.split.test_ratio = c.split.validation_ratio = 0.25;
    prepare(&c);
    check_out(&c, "time.inter.inter",
              "userID\titemID\trating\ttimestamp\tx_label\n1\t1\t3.5\t10\t0\n0\t1\t0.1\t20\t0\n0\t0\t5."
              "0\t30\t1\n2\t2\t1.0\t40\t2\n");
}

static bool not_broken(const char *path, const Heap *heap)
{
    (void)heap;
    return strstr(path, "broken") == NULL;
}

static void images_of_a_folder(void **state)
{
    (void)state;
    char folder[600];
    Error e = {0};
    snprintf(folder, sizeof folder, "%s", in_dir("pictures"));
    assert_ok(folder_make(folder, &e), e);
    test_write(dir, "pictures/a.jpg", TEXT("x"));
    test_write(dir, "pictures/b.1.png", TEXT("x"));
    test_write(dir, "pictures/broken.jpg", TEXT("x"));
    test_write(dir, "pictures/other.jpg", TEXT("x"));
    const char *source = put("pictured.tsv", "u\ta\t1\nu\tb.1\t2\nv\tbroken\t3\nv\tc\t4\n");
    PrepareConfig c = config(&source, "pictured", RECIPE_NONE);
    c.images = folder;
    c.need_image = true;
    c.readable = not_broken;
    prepare(&c);
    check_out(&c, "interactions.tsv", "u\ta\t1\nu\tb.1\t2\n");
    check_out(&c, "missing_visual.tsv", "broken\tbroken_image\nc\tno_image_file\n");
    assert_int_equal(step("no_image_file")->dropped, 1);
    c = config(&source, "kept", RECIPE_NONE);
    c.images = folder;
    c.readable = not_broken;
    prepare(&c);
    check_out(&c, "interactions.tsv", "u\ta\t1\nu\tb.1\t2\nv\tbroken\t3\nv\tc\t4\n");
    assert_int_equal(last.no_image, 2);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void broken_lines(void **state)
{
    (void)state;
    const char *source = put("broken.json", "{\"reviewerID\": \"u\", \"asin\": \"a\", \"overall\": 4.0}\n"
                                            "{\"reviewerID\": \"u\", \"asin\": \n\n"
                                            "{\"reviewerID\": 7, \"asin\": \"b\", \"overall\": 4.0}\n"
                                            "{\"reviewerID\": \"v\", \"asin\": \"b\", \"overall\": \"many\"}\n"
                                            "{\"reviewerID\": \"v\\n\", \"asin\": \"b\", \"overall\": 1}\n"
                                            "{\"reviewerID\": \"w\", \"asin\": \"c\", \"overall\": 2.0}\n");
    PrepareConfig c = config(&source, "broken", RECIPE_NONE);
    Error e = {0};
    assert_false(prepare_files(&c, &e));
    assert_error(e, SP_FORMAT, "broken.json:2:28: a value is expected");
    assert_false(folder_exists(c.out));
    c.skip_broken = true;
    prepare(&c);
    check_out(&c, "interactions.tsv", "u\ta\t4.0\nw\tc\t2.0\n");
    assert_int_equal(last.skipped, 4);
}

static void what_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *source, *meta, *why;
        bool require, inter;
    } CASES[] = {
        {"{\"a\": 1}\n", NULL, "no record has a user (reviewerID, user_id)", false, false},
        {"{\"reviewerID\": [1]}\n", NULL, ":1: reviewerID is not a text", false, false},
        {"{\"reviewerID\": \"u\", \"asin\": \"a\", \"overall\": 1e99}\n", NULL, ":1: the rating 1e+99 is too large",
         false, false},
        {"[{\"reviewerID\": 1}]\n", NULL, "is JSON; a table", false, false},
        {"u\ta\nv\tb\n", "x\ty\nz\tw\n", "meta:1: the first line names no column of items", false, false},
        {"u\ta\nv\tb\n", "item\ttitle\nz\n", "meta:2: has 1 column, unlike the first line", false, false},
        {"u\ta\nv\tb\n", "item\ttitle\nz\tw\n", "meta: none of its items is in ", false, false},
        {"u\ta\nv\tb\n", "", "meta: is empty", false, false},
        {"u\ta\nv\tb\n", "1::A\n", "meta:1: has 2 columns, 3 are expected", false, false},
        {"u\ta\nv\tb\n", "{'asin': ['a']}\n", "meta:1: asin is not a text", false, false},
        {"u\ta\nv\tb\n", "{'asin': 'a'}\n", "no interaction is left; most were left out by the step", true, false},
        {"u\ta\nv\tb\n", NULL, "give the file that has them with --meta", true, false},
        {"u\ta\nv\tb\n", NULL, "an .inter needs a split", false, true},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const char *source = put("source", CASES[i].source);
        PrepareConfig c = config(&source, "never", RECIPE_NONE);
        c.meta = CASES[i].meta ? put("meta", CASES[i].meta) : NULL;
        c.need_text = CASES[i].require;
        c.inter = CASES[i].inter;
        Error e = {0};
        if (prepare_files(&c, &e))
            fail_msg("%s: was prepared", CASES[i].source);
        if (!strstr(e.message, CASES[i].why))
            fail_msg("\"%s\" is not in \"%s\"", CASES[i].why, e.message);
        assert_false(folder_exists(c.out));
    }
    const char *source = put("again.tsv", "u\ta\t1\nv\tb\t1\nu\tb\t2\nu\tc\t2\nu\td\t2\n");
    PrepareConfig c = config(&source, "again", RECIPE_NONE);
    c.splits = true;
    c.split.validation_ratio = 0;
    prepare(&c);
    c.splits = false;
    Error e = {0};
    assert_false(prepare_files(&c, &e));
    assert_error(e, SP_USAGE, "train.tsv: is a file of an earlier preparation");
    const char *self = in_dir("again/interactions.tsv");
    c = config(&self, "again", RECIPE_NONE);
    c.splits = true;
    assert_false(prepare_files(&c, &e));
    assert_error(e, SP_USAGE, "is an input too");
}

/* Refuses the first request of memory, then the second, and so on, until the call succeeds. */
static void without_memory(void **state)
{
    (void)state;
    char meta[600], inter[600];
    snprintf(inter, sizeof inter, "%s", in_dir("memory/memory.inter"));
    snprintf(meta, sizeof meta, "%s", put("small.py", "{'asin': 'a', 'description': 'x', 'imUrl': 'y'}\n"));
    const char *source =
        put("small.json", "{\"reviewerID\": \"u\", \"asin\": \"a\", \"overall\": 4.0, \"unixReviewTime\": 3}\n"
                          "{\"reviewerID\": \"u\", \"asin\": \"b\", \"overall\": 4.0, \"unixReviewTime\": 3}\n"
                          "{\"reviewerID\": \"u\", \"asin\": \"c\", \"overall\": 4.0, \"unixReviewTime\": 3}\n");
    PrepareConfig c = config(&source, "memory", RECIPE_MMREC);
    c.meta = meta;
    c.user_core = c.item_core = 1;
    bool ok = false;
    for (size_t n = 1; !ok; n++) {
        TestHeap h;
        test_heap(&h, n);
        c.heap = &h.heap;
        Error e = {0};
        ok = prepare_files(&c, &e);
        if (!ok && e.code != SP_MEMORY)
            fail_msg("request %zu: %s", n, e.message);
        assert_int_equal(h.live, 0);
        assert_true(ok || !file_exists(inter));
    }
    assert_true(file_exists(inter));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duchos_script),      cmocka_unit_test(without_the_rule),    cmocka_unit_test(mmrecs_notebooks),
        cmocka_unit_test(cores_of_real_data), cmocka_unit_test(cores_of_drawn_data), cmocka_unit_test(published_splits),
        cmocka_unit_test(tables_of_items),    cmocka_unit_test(several_sources),     cmocka_unit_test(numbers_and_ids),
        cmocka_unit_test(images_of_a_folder), cmocka_unit_test(broken_lines),        cmocka_unit_test(what_cannot_be),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, make_catalogue, remove_dir);
}
