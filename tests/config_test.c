/* tests/config_test.c: Ducho's configurations and tables of texts, valid and malformed. A malformed one ends in an
 * error of one line with its place. */
#include "tools/ducho/extract.h"

#include "tests/testing.h"

#define HEAD        "dataset_path: d\nvisual:\n  items:\n    input_path: i\n    output_path: o\n    model:\n"
#define MODEL(rest) HEAD "      - {model_name: color, backend: torch, output_layers: avgpool" rest "}\n"
#define TEXTS(columns, rest)                                                                                           \
    "dataset_path: d\ntextual: {items: {input_path: t.tsv, output_path: o" columns ", model: [" rest "]}}\n"
#define REVIEWS(columns, rest)                                                                                         \
    "dataset_path: d\ntextual: {interactions: {input_path: t.tsv, output_path: o, text_column: c" columns              \
    ", model: [" rest "]}}\n"
#define PAIRS(in, out, rest)                                                                                           \
    "dataset_path: d\nvisual_textual: {items: {input_path: " in ", output_path: " out                                  \
    ", item_column: a, text_column: b, model: [{model_name: m, backend: transformers" rest "}]}}\n"

static Yaml *read_yaml(const char *text, size_t n, Arena *a, Error *e)
{
    char *exact = malloc(n ? n : 1); /* no NUL after the text */
    memcpy(exact, text, n);
    Yaml *y = yaml_parse(a, (Text){exact, n}, "c.yml", e);
    free(exact);
    return y;
}

static void check_error(const char *source, const Error *e, const char *why)
{
    if (!strstr(e->message, why) || strchr(e->message, '\n') || e->code == SP_OK)
        fail_msg("%s: wanted \"%s\", got \"%s\"", source, why, e->message);
}

static void trees_are_read(void **state)
{
    (void)state;
    const char *text = "# a comment\n\xc3\xa9: [1, -2.5, 'no', no, ~]\nd: &x {k: v}\ne: *x\n\"f\": |\n  two\n  lines\n";
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Yaml *root = read_yaml(text, strlen(text), a, &e), *list;
    assert_ok(root, e);
    assert_int_equal(root->count, 4);
    list = yaml_get(root, "\xc3\xa9");
    int64_t i;
    double f;
    bool b = true;
    assert_true(list && list->count == 5 && yaml_i64(list->first, &i) && i == 1);
    assert_true(yaml_f64(list->first->next, &f) && f == -2.5);
    assert_false(yaml_bool(list->first->next->next, &b)); /* quoted, so it is a text */
    assert_true(yaml_bool(list->first->next->next->next, &b) && !b);
    assert_true(yaml_is_null(list->first->next->next->next->next));
    assert_true(text_is(yaml_get(yaml_get(root, "e"), "k")->text, "v"));
    assert_true(text_is(yaml_get(root, "f")->text, "two\nlines\n"));
    assert_ok(yaml_override(root, TEXT("d.k"), TEXT("w"), a, &e), e);
    assert_true(text_is(yaml_get(yaml_get(root, "d"), "k")->text, "w"));
    root = yaml_parse(a, TEXT("m: {a: {l: 0}, a.b: {l: 1}, a.bc: 2}"), "dots.yml", &e); /* keys may have dots */
    assert_ok(root && yaml_override(root, TEXT("m.a.b.l"), TEXT("3"), a, &e), e);
    assert_ok(yaml_override(root, TEXT("m.a.l"), TEXT("4"), a, &e), e);
    assert_ok(yaml_override(root, TEXT("m.a.bc"), TEXT("5"), a, &e), e);
    const Yaml *m = yaml_get(root, "m");
    assert_true(m->count == 3 && text_is(yaml_get(yaml_get(m, "a.b"), "l")->text, "3"));
    assert_true(text_is(yaml_get(yaml_get(m, "a"), "l")->text, "4") && text_is(yaml_get(m, "a.bc")->text, "5"));
    arena_free(a);
}

#define CASE(text, why)                                                                                                \
    {                                                                                                                  \
        text, sizeof text - 1, why                                                                                     \
    }

static void malformed_yaml_names_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        const char *why;
    } cases[] = {
        CASE("", "c.yml: is empty"),
        CASE("# nothing\n", "c.yml: is empty"),
        CASE("a: [1\n", "c.yml:2:1: "),
        CASE("a: ]\n", "c.yml:1:4: "),
        CASE("a: {b\n", "c.yml:2:1: "),
        CASE("a: \"x\n", "c.yml:"),
        CASE("a: b: c\n", "c.yml:1:5: "),
        CASE("a: 1\n b: 2\n", "c.yml:2:3: "),
        CASE("\tx: 1\n", "c.yml:1:1: "),
        CASE("a: 1\na: 2\n", "c.yml:2:1: duplicate key \"a\" (first c.yml:1:4)"),
        CASE("a: 1\n---\nb: 2\n", "a second document"),
        CASE("a: *b\n", "no anchor &b"),
        CASE("a: &a [*a]\n", "an alias is inside the value of its own anchor"),
        CASE("a: !!python/object/apply:os.system [id]\n", "c.yml:1:4: tags (!...) are not supported"),
        CASE("a: !!str 1\n", "tags (!...) are not supported"),
        CASE("!map {a: 1}\n", "c.yml:1:1: tags"),
        CASE("[a]: 1\n", "a key must be a word"),
        CASE("{a: 1}: 1\n", "a key must be a word"),
        CASE("a: \xff\n", "c.yml: byte "),
        CASE("a: \xc3\n", "c.yml: byte "),
        CASE("a: \xed\xa0\x80\n", "c.yml: byte "),
        CASE("a: \0b\n", "c.yml: byte "),
        CASE("a: \"\\0\"\n", "a NUL character is not supported"),
        CASE("a: \x01\n", "c.yml: byte "),
        CASE("%YAML 3.0\n---\na: 1\n", "c.yml:1:1: "),
        CASE("a: @b\n", "c.yml:1:4: "),
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        assert_null(read_yaml(cases[i].text, cases[i].n, a, &e));
        check_error(cases[i].text, &e, cases[i].why);
        arena_free(a);
    }
}

/* Tests hostile configurations: lists nested 100,000 deep; a list of nine aliases of a list of nine aliases, thirty
 * levels; 200,000 keys; 200,000 anchors. Each is refused, or read in little memory and time. */
static void bombs_do_not_explode(void **state)
{
    (void)state;
    enum { ROOM = 6 << 20, MANY = 200000 };
    char *text = malloc(ROOM), *p = text;
    Error e = {0};
    Arena *a = arena_new(NULL, 64 << 20);
    double begun = now_seconds();
    memset(text, '[', 100000);
    assert_null(read_yaml(text, 100000, a, &e));
    check_error("deep", &e, "c.yml:1:33: nested too deeply");
    error_clear(&e);
    p += sprintf(p, "a0: &a0 [x, x]\n");
    for (int i = 1; i < 30; i++) {
        p += sprintf(p, "a%d: &a%d [", i, i);
        for (int k = 0; k < 9; k++)
            p += sprintf(p, "%s*a%d", k ? ", " : "", i - 1);
        p += sprintf(p, "]\n");
    }
    Extraction *list;
    size_t n;
    Yaml *laughs = read_yaml(text, (size_t)(p - text), a, &e);
    assert_ok(laughs, e);
    assert_false(extraction_plan(&list, &n, laughs, a, &e));
    check_error("laughs", &e, "unknown key");
    error_clear(&e);
    p = text;
    for (int i = 0; i < MANY; i++)
        p += sprintf(p, "k%d: \n", i);
    assert_null(read_yaml(text, (size_t)(p - text), a, &e));
    check_error("keys", &e, "keys in one map, the limit");
    error_clear(&e);
    p = text;
    for (int i = 0; i < MANY; i++)
        p += sprintf(p, "- &k%d \n", i);
    assert_null(read_yaml(text, (size_t)(p - text), a, &e));
    check_error("anchors", &e, "anchors, the limit");
    assert_true(now_seconds() - begun < 20);
    arena_free(a);
    free(text);
}

static void plans_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"just words\n", "c.yml:1:1: a map of keys and values is expected"},
        {"[a]\n", "c.yml:1:1: a map of keys and values is expected"},
        {"dataset_path: d\n", "nothing to extract"},
        {"visual: {}\n", "the key \"dataset_path\" is missing"},
        {"dataset_path: [d]\n", "c.yml:1:15: dataset_path: a text is expected"},
        {"dataset_path: ~\n", "dataset_path: a text is expected"},
        {"dataset_path: d\nvisul: {}\n", "c.yml:2:8: unknown key \"visul\"; did you mean \"visual\"?"},
        {"dataset_path: d\nxyzzy: 1\n", "unknown key \"xyzzy\""},
        {"dataset_path: d\nvisual: 3\n", "c.yml:2:9: a map of keys and values is expected"},
        {"dataset_path: d\naudio: {}\n", "the modality audio is not supported yet"},
        {"dataset_path: d\ncompat: elliot\n", "compat: ducho or null is expected"},
        {"dataset_path: d\nvisual: {interactions: {}}\n", "\"input_path\" is missing"},
        {"dataset_path: d\nvisual: {items: {input_path: i, output_path: o, item_column: a}}\n",
         "unknown key \"item_column\""},
        {"dataset_path: d\nvisual: {items: {output_path: o, model: []}}\n", "\"input_path\" is missing"},
        {"dataset_path: d\nvisual: {items: {input_path: i, model: []}}\n", "\"output_path\" is missing"},
        {"dataset_path: d\nvisual: {items: {input_path: i, output_path: o}}\n", "the key \"model\" is missing"},
        {"dataset_path: d\nvisual: {items: {input_path: i, output_path: o, model: []}}\n",
         "the key \"model\" is missing"},
        {"dataset_path: d\nvisual: {items: {input_path: i, output_path: o, model: color}}\n",
         "model: a list is expected"},
        {HEAD "      - color\n", "c.yml:7:9: a map of keys and values is expected"},
        {HEAD "      - {backend: torch}\n", "\"model_name\" is missing"},
        {HEAD "      - {model_name: color}\n", "\"backend\" is missing: torch or transformers"},
        {HEAD "      - {model_name: color, backend: tensorflow}\n",
         "backend \"tensorflow\" is not supported: weights of Keras are not read; write \"backend: torch\""},
        {HEAD "      - {model_name: color, backend: [torch, transformers]}\n", "backend: one name is expected"},
        {HEAD "      - {model_name: color, backend: torch}\n", "output_layers: a layer name"},
        {HEAD "      - {model_name: color, backend: torch, output_layers: []}\n", "the list is empty"},
        {HEAD "      - {model_name: color, backend: torch, output_layers: 3}\n", "instead of an index"},
        {HEAD "      - {model_name: color, backend: torch, output_layers: [[a]]}\n",
         "output_layers: names are expected"},
        {HEAD "      - {model_name: color, backend: torch, output_layers: ../x}\n", "cannot be a folder name"},
        {HEAD "      - {model_name: color, backend: torch, output_layers: [a, a]}\n",
         "the same folder as the extraction at c.yml:7:9"},
        {MODEL(", preprocessing: whiten"), "zscore, minmax or null is expected"},
        {MODEL(", mean: [0, 0, 0]"), "are only valid with preprocessing: zscore"},
        {MODEL(", preprocessing: zscore, mean: [0, 0]"), "a list of 3 numbers is expected"},
        {MODEL(", preprocessing: zscore, std: [1, 0, 1]"), "numbers above 0 are expected"},
        {MODEL(", preprocessing: zscore, std: [1, nan, 1]"), "a number is expected"},
        {MODEL(", preprocessing: zscore, mean: [0, inf, 0]"), "a number is expected"},
        {MODEL(", preprocessing: zscore, std: [1, 1e30, 1]"), "std: numbers from 1e-06 to 1e+06 are expected"},
        {MODEL(", preprocessing: zscore, std: [1, 1, 1e-40]"), "std: numbers from 1e-06 to 1e+06 are expected"},
        {MODEL(", preprocessing: zscore, mean: [-1e30, 1, 1]"), "mean: numbers from -1e+06 to 1e+06 are expected"},
        {MODEL(", reshape: [0, 224]"), "whole numbers from 1 to 16384"},
        {MODEL(", reshape: [224, 224.5]"), "whole numbers from 1 to 16384"},
        {MODEL(", reshape: [99999999999999999999, 1]"), "whole numbers from 1 to 16384"},
        {MODEL(", reshape: 224"), "reshape: a list of 2 numbers is expected"},
        {MODEL(", batch_size: 0"), "batch_size: a whole number from 1"},
        {MODEL(", batch_size: many"), "batch_size: a whole number from 1"},
        {MODEL(", fusion: concat"), "fusion is only valid in visual_textual"},
        {MODEL(", bacth_size: 3"), "did you mean \"batch_size\"?"},
        {MODEL(", task: sentiment-analysis"), "\"task\" is a key of Ducho 1; remove it"},
        {HEAD "      - {name: VGG19, backend: torch, output_layers: a}\n",
         "c.yml:7:16: \"name\" is a key of Ducho 1; write \"model_name\""},
        {HEAD "      - {model_name: x/..., backend: torch, output_layers: a}\n",
         "model_name: \"x/...\" cannot be a folder name"},
        {HEAD "      - {model_name: x/, backend: torch, output_layers: a}\n", "\"x/\" cannot be a folder name"},
        {TEXTS(", item_column: a, text_column: b", "{model_name: ./, backend: transformers}"),
         "\"./\" cannot be a folder name"},
        {TEXTS("", "{model_name: words, backend: transformers}"), "\"item_column\" is missing"},
        {TEXTS(", item_column: a, text_column: b", "{model_name: words, backend: torch}"),
         "backend \"torch\" is not supported"},
        {TEXTS(", item_column: a, text_column: b", "{model_name: words, backend: transformers, clear_text: maybe}"),
         "True or False is expected"},
        {TEXTS(", item_column: a, text_column: b", "{model_name: w, backend: transformers, tokenizer_name: x}"),
         "tokenizer_name: only the model's own is supported; copy these files"},
        {MODEL(", image_processor: x"), "image_processor: only the model's own"},
        {REVIEWS("", "{model_name: w, backend: transformers}"), "\"interaction_columns\" is missing"},
        {REVIEWS(", interaction_columns: [a]", "{model_name: w, backend: transformers}"),
         "[user column, item column] is expected"},
        {REVIEWS(", interaction_columns: [a, [b]]", "{model_name: w, backend: transformers}"),
         "the name of a column is expected"},
        {REVIEWS(", item_column: a", "{model_name: w, backend: transformers}"), "unknown key \"item_column\""},
        {PAIRS("i", "{visual: v, textual: t}", ""), "input_path: {visual: PATH, textual: PATH} is expected"},
        {PAIRS("{visual: v}", "{visual: v, textual: t}", ""), "\"textual\" is missing"},
        {PAIRS("{visual: v, text: t}", "{visual: v, textual: t}", ""), "unknown key \"text\""},
        {PAIRS("{visual: v, textual: t}", "o", ""), "output_path: {visual: PATH, textual: PATH} is expected"},
        {PAIRS("{visual: v, textual: t}", "{visual: o, textual: p}", ", fusion: [sum, mul]"),
         "sum, concat, mul or mean is expected"},
        {PAIRS("{visual: v, textual: t}", "{visual: o, textual: p}", ", fusion: add"),
         "sum, concat, mul or mean is expected"},
        {PAIRS("{visual: v, textual: t}", "{visual: o, textual: p}", ", output_layers: [1, a]"),
         "a number, one name, or the names of images and of texts are expected"},
        {PAIRS("{visual: v, textual: t}", "{visual: o, textual: p}", ", output_layers: [a, b, c]"),
         "a number, one name, or the names of images and of texts are expected"},
        {PAIRS("{visual: v, textual: t}", "{visual: o, textual: o}", ""), "writes to d/o/transformers/m/1, the same"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Extraction *list;
        size_t n;
        Arena *a = arena_new(NULL, 0);
        Yaml *root = read_yaml(cases[i].text, strlen(cases[i].text), a, &e);
        assert_ok(root, e);
        if (extraction_plan(&list, &n, root, a, &e))
            fail_msg("%s: was taken", cases[i].text);
        check_error(cases[i].text, &e, cases[i].why);
        arena_free(a);
    }
}

/* Checks that the folders of a plan have the names that Ducho gives them. */
static void folders_are_ducho_s(void **state)
{
    (void)state;
    static const struct {
        const char *text, *folders; /* separated by spaces */
    } cases[] = {
        {HEAD "      - {model_name: ResNet50, backend: torch, output_layers: [avgpool, layer4], batch_size: '2'}\n"
              "      - {model_name: ./demos/demo_office/MMFashion.pt, backend: torch, output_layers: avgpool}\n"
              "      - {model_name: google/vit-base, backend: transformers, output_layers: pooler_output}\n",
         "d/o/torch/ResNet50/avgpool d/o/torch/ResNet50/layer4 d/o/torch/MMFashion/avgpool "
         "d/o/transformers/vit-base/pooler_output"},
        {TEXTS(", item_column: a, text_column: b",
               "{model_name: sentence-transformers/mpnet, output_layers: 1, backend: [sentence-transformers]}"),
         "d/o/sentence_transformers/sentence-transformers/mpnet/1"},
        {TEXTS(", item_column: a, text_column: b", "{model_name: ./models/bert, backend: transformers}"),
         "d/o/transformers/models/bert/pooler_output"},
        {TEXTS(", item_column: a, text_column: b", "{model_name: ../models/bert, backend: transformers}"),
         "d/o/transformers/bert/pooler_output"},
        {PAIRS("{visual: v, textual: t}", "{visual: o, textual: p}", ", output_layers: 1"),
         "d/o/transformers/m/1 d/p/transformers/m/1"},
        {PAIRS("{visual: v, textual: t}", "{visual: o, textual: p}", ", output_layers: [a.x, b.y]"),
         "d/o/transformers/m/a.x d/p/transformers/m/a.x d/o/transformers/m/b.y d/p/transformers/m/b.y"},
        {PAIRS("{visual: v, textual: t}", "{visual: e/o/, textual: f/p/}", ", output_layers: [1], fusion: mean"),
         "d/e/o_p_mean/transformers/m/1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Extraction *list;
        size_t n = 0;
        char folders[1000] = "";
        Arena *a = arena_new(NULL, 0);
        Yaml *root = read_yaml(cases[i].text, strlen(cases[i].text), a, &e);
        assert_ok(root && extraction_plan(&list, &n, root, a, &e), e);
        for (size_t k = 0; k < n; k++)
            for (size_t m = 0; m < list[k].count; m++)
                snprintf(folders + strlen(folders), sizeof folders - strlen(folders), "%s%s", *folders ? " " : "",
                         list[k].folders[m].path);
        assert_string_equal(folders, cases[i].folders);
        arena_free(a);
    }
}

static void overrides_that_lead_nowhere(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value, *why;
    } cases[] = {
        {"visual.items.model.1.backend", "x", "--visual.items.model.1.backend: \"1\" is not an index of the list"},
        {"visual.items.model.-1", "x", "is not an index of the list"},
        {"visual.items.model.first", "x", "is not an index of the list"},
        {"dataset_path.x", "y", "has a single value, not keys"},
        {"visual..items", "x", "an empty part of the path"},
        {"dataset_path", "[", "--dataset_path:2:1: "},
        {"dataset_path", "*a", "no anchor &a"},
        {"dataset_path", "!!str x", "tags (!...) are not supported"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Yaml *root = read_yaml(MODEL(""), strlen(MODEL("")), a, &e);
        assert_ok(root, e);
        assert_false(yaml_override(root, text_of(cases[i].path), text_of(cases[i].value), a, &e));
        check_error(cases[i].path, &e, cases[i].why);
        arena_free(a);
    }
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Yaml *root = read_yaml("k: []\n", 6, a, &e);
    assert_ok(root, e);
    assert_false(yaml_override(root, TEXT("k.0"), TEXT("x"), a, &e));
    check_error("an empty list", &e, "which has length 0");
    arena_free(a);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void tables(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        const char *why; /* NULL: two rows, "a" with "red" and "b" with "bag" */
    } cases[] = {
        CASE("id\ttext\na\tred\nb\tbag\n", NULL),
        CASE("\xef\xbb\xbfid\ttext\r\na\tred\r\n\r\nb\tbag", NULL),
        CASE("text\tmore\tid\n\"red\"\t\"x\ty\n\"\ta\nbag\t\tb\n", NULL),
        CASE("", "the header has no column \"id\""),
        CASE("id\n", "the header has no column \"text\""),
        CASE("id\ttext\n", "has a header but no rows"),
        CASE("id\ttext\na\n", ":2: has 1 columns, the header has 2"),
        CASE("id\ttext\na\tred\nb\tbag\tx\n", ":3: has 3 columns, the header has 2"),
        CASE("id\ttext\n\tred\n", ":2: the column \"id\" is empty"),
        CASE("id\ttext\na\t\"red\n", ":2: a field opens a double quote that is never closed"),
        CASE("id\ttext\n../a\tred\n", ":2: the id \"../a\" cannot be a file name"),
        CASE("id\ttext\n..\tred\n", ":2: the id \"..\" cannot be a file name"),
        CASE("id\ttext\na\0b\tred\n", ":2: the id \"a\" holds a NUL byte; rename it"),
        CASE("id\ttext\n\"a\nb\"\tred\n", ":2: the id \"a?b\" holds a line end; rename it"),
        CASE("id\ttext\n\"a\tb\"\tred\n", ":2: the id \"a?b\" holds a tab; rename it"),
        CASE("id\ttext\na\tred\xff\n", ":2: is not valid UTF-8"),
        CASE("id\ttext\n\xc3\tred\n", ":2: the id \"?\" is not valid UTF-8; rename it"),
        CASE("id\ttext\na\tre\0d\n", ":2: holds a NUL byte"),
    };
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/t.tsv", folder);
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Input *rows;
        size_t n;
        Arena *a = arena_new(NULL, 0);
        Out *o = out_open(path, NULL, &e);
        assert_true(o && out_write(o, cases[i].text, cases[i].n, &e) && out_commit(o, &e));
        bool ok = table_read(&rows, &n, path, "id", "text", a, &e);
        if (cases[i].why && ok)
            fail_msg("%s: was taken", cases[i].text);
        if (cases[i].why)
            check_error(cases[i].text, &e, cases[i].why);
        else if (!ok || n != 2 || strcmp(rows[0].name, "a") || strcmp(rows[1].name, "b") ||
                 !text_is(rows[0].text, "red") || !text_is(rows[1].text, "bag"))
            fail_msg("%s: %s", cases[i].text, e.message);
        arena_free(a);
    }
    /* a megabyte of quoted fields needs memory in proportion to its size */
    enum { FIELDS = 250000 };
    Error e = {0};
    Input *rows;
    size_t n;
    Arena *a = arena_new(NULL, 64 << 20);
    Out *o = out_open(path, NULL, &e);
    assert_true(o && out_printf(o, &e, "id\ttext\na"));
    for (size_t i = 0; i < FIELDS; i++)
        assert_true(out_write(o, "\t\"\"", 3, &e));
    assert_ok(out_commit(o, &e), e);
    assert_false(table_read(&rows, &n, path, "id", "text", a, &e));
    assert_error(e, SP_FORMAT, ":2: has 250001 columns");
    arena_free(a);
    test_folder_remove(folder);
}

int main(void)
{
#ifndef HAVE_YAML
    puts("1..0 # SKIP skipped: this build has no libyaml");
    return 0;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_read),
        cmocka_unit_test(malformed_yaml_names_its_place),
        cmocka_unit_test(bombs_do_not_explode),
        cmocka_unit_test(plans_that_cannot_be),
        cmocka_unit_test(folders_are_ducho_s),
        cmocka_unit_test(overrides_that_lead_nowhere),
        cmocka_unit_test(tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
