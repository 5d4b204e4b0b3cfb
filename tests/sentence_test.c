/* tests/sentence_test.c: the modules of sentence-transformers give the results of that package
 * (tests/golden/make_sentence.py). Malformed ones end in an error of one line. */
#include <sys/stat.h>

#include "tests/encoder_testing.h" /* before cmocka, which has a macro named fail */

#include "tests/device_testing.h"

#define BERT     "tests/golden/encoders/bert/"
#define SENTENCE "tests/golden/sentence/"

static int set_up(void **state)
{
    return bench_open(state, 2);
}

static void copy_file(TestBench *b, const char *from, const char *folder, const char *name)
{
    Text text;
    from = drawn(from);
    if (!file_exists(from))
        return;
    assert_ok(file_read(&text, b->a, from, 0, &b->e), b->e);
    test_write(folder, name, text);
}

static void put(const char *folder, const char *name, const char *text)
{
    test_write(folder, name, (Text){text, strlen(text)});
}

/* Makes a folder with the tiny BERT, without modules. */
static void make_folder(TestBench *b, char folder[256])
{
    static const char *const FILES[] = {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"};
    static const char *const PARTS[] = {"1_Pooling", "2_Dense", "4_Dense"};
    char path[512];
    test_folder(folder);
    for (size_t i = 0; i < COUNT(FILES); i++) {
        snprintf(path, sizeof path, BERT "%s", FILES[i]);
        copy_file(b, path, folder, FILES[i]);
    }
    for (size_t i = 0; i < COUNT(PARTS); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, PARTS[i]);
        assert_int_equal(mkdir(path, 0777), 0);
    }
}

/* Adds the modules of a golden folder. */
static void add_modules(TestBench *b, const char *folder, const char *name)
{
    static const char *const FILES[] = {
        "modules.json",          "sentence_bert_config.json", "1_Pooling/config.json",
        "2_Dense/config.json",   "4_Dense/config.json",       "2_Dense/model.safetensors",
        "tokenizer_config.json", "4_Dense/model.safetensors", "config_sentence_transformers.json"};
    char path[512];
    for (size_t i = 0; i < COUNT(FILES); i++) {
        snprintf(path, sizeof path, SENTENCE "%s/%s", name, FILES[i]);
        copy_file(b, path, folder, FILES[i]);
    }
}

static void modules_are_the_packages(void **state)
{
    static const char *const NAMES[] = {
        "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken", "all", "words", "prompt",
        "without_prompt",       "long_prompt",         "lower"};
    TestBench *b = *state;
    Weights *expected = weights_open(SENTENCE "expected.safetensors", b->a, &b->e);
    Text rest, texts[16];
    size_t n = 0;
    assert_non_null(expected);
    assert_ok(file_read(&rest, b->a, "tests/golden/encoders/texts.txt", 0, &b->e), b->e);
    while (n < COUNT(texts) && text_line(&rest, &texts[n]))
        n++;
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        char folder[256];
        make_folder(b, folder);
        add_modules(b, folder, NAMES[i]);
        const Array *expected_rows = weights_find(expected, NAMES[i]);
        OpenModel m = open_encoder(&b->d, folder, &(TestOptions){0}, b->a, &b->e);
        if (!m.en || !expected_rows)
            fail_msg("%s: %s", NAMES[i], b->e.message);
        assert_int_equal(expected_rows->count, n * m.D);
        float *x = NEW(b->a, float, n *m.D, &b->e), *one = NEW(b->a, float, m.D, &b->e);
        float *y = NEW(b->a, float, n *m.D, &b->e), worst = 0, largest = 0;
        Tape *t = tape_new(&b->d, false, &b->e);
        assert_ok(encode_some_texts(&m, t, texts, n, x, &b->e), b->e);
        array_f32(expected_rows, 0, expected_rows->count, y);
        for (size_t k = 0; k < n * m.D; k++) {
            worst = MAX(worst, x[k] > y[k] ? x[k] - y[k] : y[k] - x[k]);
            largest = MAX(largest, y[k] > 0 ? y[k] : -y[k]);
        }
        if (!(worst <= 2e-5f * largest))
            fail_msg("%s: off by %g, the largest is %g", NAMES[i], (double)worst, (double)largest);
        for (size_t k = 0; k < n; k++) { /* a text has the same bits alone and among others */
            assert_ok(encode_some_texts(&m, t, &texts[k], 1, one, &b->e), b->e);
            assert_memory_equal(one, x + k * m.D, m.D * sizeof *one);
        }
        tape_free(t);
        encoder_close(m.en);
        test_folder_remove(folder);
    }
    weights_close(expected);
}

/* Checks that a call with its own pooling uses only that pooling. */
static void calls_may_choose_their_pooling(void **state)
{
    TestBench *b = *state;
    char folder[256];
    make_folder(b, folder);
    add_modules(b, folder, "words");
    OpenModel with_pooling = open_encoder(&b->d, folder, &(TestOptions){.pool = POOL_CLS}, b->a, &b->e);
    assert_non_null(with_pooling.en);
    assert_int_equal(with_pooling.D, 8);
    OpenModel without_pooling = open_encoder(&b->d, folder, &(TestOptions){0}, b->a, &b->e);
    assert_non_null(without_pooling.en);
    assert_int_equal(without_pooling.D, 3);
    encoder_close(with_pooling.en);
    encoder_close(without_pooling.en);
    test_folder_remove(folder);
}

#define POOLING "{\"type\": \"x.Pooling\", \"path\": \"1_Pooling\"}"
#define DENSE   "{\"type\": \"x.Dense\", \"path\": \"2_Dense\"}"

static void wrong_modules_fail_in_one_line(void **state)
{
    static const struct {
        const char *name, *text, *why; /* `why` NULL: opening succeeds */
    } cases[] = {
        {"modules.json", "[" DENSE ", " POOLING "]", "expected one Pooling, and each Dense after it"},
        {"modules.json", "[" POOLING ", " POOLING "]", "expected one Pooling"},
        {"modules.json", "[" POOLING ", {\"type\": \"sentence_transformers.models.CNN\", \"path\": \"2_CNN\"}]",
         "modules of type sentence_transformers.models.CNN are not supported"},
        {"modules.json", "[" POOLING ", {\"type\": \"x.NotDense\", \"path\": \"2_Dense\"}]", "x.NotDense"},
        {"modules.json", "[" POOLING ", {\"type\": \"x.Dropout\", \"path\": \"2_Dropout\"}]", NULL},
        {"modules.json", "[" POOLING ", {\"type\": \"x.Dense\", \"path\": \"3_Dense\"}]",
         "3_Dense/config.json: is missing, but modules.json names it"},
        {"1_Pooling/config.json", "{\"pooling_mode\": [\"mean\", \"median\"]}", "pooling_mode: expected cls, max"},
        {"1_Pooling/config.json", "{\"pooling_mode\": 7}", "pooling_mode: expected cls, max"},
        {"1_Pooling/config.json", "{\"pooling_mode\": []}", "pooling_mode: expected cls, max"},
        {"1_Pooling/config.json", "{\"pooling_mode\": [\"cls\", \"cls\", \"cls\", \"cls\", \"cls\", \"cls\", \"cls\"]}",
         "pooling_mode: expected"},
        {"1_Pooling/config.json", "{\"pooling_mode\": [\"cls\", \"cls\"]}", "in_features: expected 16, the width"},
        {"1_Pooling/config.json", "[]", "expected an object"},
        {"2_Dense/config.json", "{\"in_features\": 24}", "in_features and out_features: expected whole numbers"},
        {"2_Dense/config.json", "{\"in_features\": 24, \"out_features\": 0}", "expected whole numbers"},
        {"2_Dense/config.json", "{\"in_features\": 24, \"out_features\": 9007199254740991}", "expected whole numbers"},
        {"2_Dense/config.json", "{\"in_features\": 8, \"out_features\": 6}", "in_features: expected 24, the width"},
        {"2_Dense/config.json", "{\"in_features\": 24, \"out_features\": 7}",
         "linear.weight: has shape [6, 24], expected [7, 24]"},
        {"2_Dense/config.json", "{\"in_features\": 24, \"out_features\": 6}", "tensor linear.bias: is missing"},
        {"2_Dense/config.json",
         "{\"in_features\": 24, \"out_features\": 6, \"bias\": false, \"activation_function\": \"torch.nn.Mish\"}",
         "activation_function: expected Identity, Tanh"},
        {"2_Dense/config.json",
         "{\"in_features\": 24, \"out_features\": 6, \"bias\": false, \"module_input_name\": \"token_embeddings\"}",
         "a Dense of tokens"},
        {"2_Dense/config.json", "{\"in_features\": 24, \"out_features\": 6, \"bias\": false}", NULL},
        {"2_Dense/model.safetensors", "x", "too few"},
        {"config_sentence_transformers.json", "{\"default_prompt_name\": \"query\"}",
         "default_prompt_name: expected the name of a text in prompts"},
        {"config_sentence_transformers.json", "{\"default_prompt_name\": 3, \"prompts\": {\"3\": \"x\"}}",
         "default_prompt_name: expected"},
        {"config_sentence_transformers.json", "{\"default_prompt_name\": null, \"prompts\": 7}", NULL},
        {"config_sentence_transformers.json", "{", "config_sentence_transformers.json:1:"},
        {"config.json",
         "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2, \"auto_map\": {\"AutoConfig\": \"a.B\", "
         "\"AutoModel\": \"modeling_new.NewModel\"}}",
         "auto_map: Python code of this folder (modeling_new.NewModel) computes the model, and it is not run; if the "
         "tensors are those of a known architecture, name it with --arch"},
        {"config.json",
         "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2, \"auto_map\": {\"AutoTokenizer\": \"a\"}}", NULL},
    };
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char folder[256];
        make_folder(b, folder);
        add_modules(b, folder, "words");
        put(folder, cases[i].name, cases[i].text);
        OpenModel m = open_encoder(&b->d, folder, &(TestOptions){0}, b->a, &b->e);
        if (!m.en != (cases[i].why != NULL))
            fail_msg("%s: %s", cases[i].text, m.en ? "opens" : b->e.message);
        if (cases[i].why) {
            if (!strstr(b->e.message, cases[i].why) || strchr(b->e.message, '\n'))
                fail_msg("%s: expected \"%s\", got \"%s\"", cases[i].text, cases[i].why, b->e.message);
            error_clear(&b->e);
        }
        encoder_close(m.en);
        test_folder_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_are_the_packages),
        cmocka_unit_test(calls_may_choose_their_pooling),
        cmocka_unit_test(wrong_modules_fail_in_one_line),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
