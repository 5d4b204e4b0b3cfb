/* tests/encoder_errors_test.c: models that are wrong, incomplete, changed on disk or too large for memory. Each ends in
 * an error of one line. */
#include "tests/encoder_testing.h" /* before cmocka, which has a macro named fail */

#include "tests/device_testing.h"

#define GOLDEN   "tests/golden/"
#define ENCODERS GOLDEN "encoders/"

static const Text TEXTS[] = {{"a small red leather bag", 23}};

static int set_up(void **state)
{
    return bench_open(state, 2);
}

static void refuses(TestBench *b, const char *name, TestOptions w, sp_status code, const char *why)
{
    OpenModel m = open_encoder(&b->d, name, &w, b->a, &b->e);
    if (m.en)
        fail_msg("%s opens", name);
    assert_null(strchr(b->e.message, '\n'));
    assert_error(b->e, code, why);
}

static void put(const char *folder, const char *name, const char *text)
{
    test_write(folder, name, (Text){text, strlen(text)});
}

static void copy_file(TestBench *b, const char *from, const char *folder, const char *name)
{
    Text text;
    assert_ok(file_read(&text, b->a, drawn(from), 0, &b->e), b->e);
    test_write(folder, name, text);
}

static void wrong_models_fail_in_one_line(void **state)
{
    TestBench *b = *state;
    char folder[256];
    refuses(b, ENCODERS "efficientnet_lite.safetensors", (TestOptions){.dtype = PACK_INT8}, SP_UNSUPPORTED, "f32 only");
    refuses(b, ENCODERS "efficientnet_lite.safetensors", (TestOptions){.winograd = 6}, SP_UNSUPPORTED, "--winograd");
    refuses(b, "no-such-model", (TestOptions){0}, SP_IO, "tried no-such-model");
    refuses(b, ENCODERS "bert", (TestOptions){.arch = "vgg"}, SP_USAGE, "unknown architecture vgg; known are bert");
    refuses(b, ENCODERS "bert", (TestOptions){.arch = "mpnet"}, SP_FORMAT, "relative_attention_bias");
    refuses(b, ENCODERS "bert", (TestOptions){.layer = "layer9"}, SP_USAGE, "no layer layer9");
    refuses(b, ENCODERS "resnet_basic", (TestOptions){.layer = "layer9"}, SP_USAGE, "no layer layer9");
    refuses(b, ENCODERS "resnet_basic.safetensors", (TestOptions){.layer = "layer2.7"}, SP_USAGE, "no layer layer2.7");
    refuses(b, ENCODERS "resnet_basic.safetensors", (TestOptions){.arch = "resnet50"}, SP_FORMAT, "is not a resnet50");
    refuses(b, ENCODERS "resnet_basic.safetensors", (TestOptions){.arch = "resnet51"}, SP_USAGE,
            "unknown architecture resnet51");
    refuses(b, ENCODERS "efficientnet", (TestOptions){.arch = "efficientnet_b4"}, SP_FORMAT,
            "is not an efficientnet_b4: it has the 16 blocks of an efficientnet_b0");
    refuses(b, ENCODERS "efficientnet", (TestOptions){.arch = "efficientnet_b9"}, SP_USAGE,
            "unknown architecture efficientnet_b9");
    refuses(b, ENCODERS "efficientnet", (TestOptions){.layer = "features.9"}, SP_USAGE, "no layer features.9");
    refuses(b, ENCODERS "efficientnet_lite.safetensors", (TestOptions){.layer = "x"}, SP_USAGE, "no layer x");
    refuses(b, ENCODERS "expected.safetensors", (TestOptions){0}, SP_UNSUPPORTED, "no known architecture");
    refuses(b, GOLDEN "images", (TestOptions){0}, SP_IO, "images");

    refuses(b, ENCODERS "distilbert", (TestOptions){.layer = "pooler_output"}, SP_USAGE, "no layer pooler_output");
    refuses(b, ENCODERS "distilbert", (TestOptions){.layer = "x"}, SP_USAGE,
            "it has last_hidden_state, hidden_states.0 to hidden_states.2");
    refuses(b, ENCODERS "vit", (TestOptions){.layer = "pooler_output"}, SP_USAGE,
            "it has cls, last_hidden_state, logits, hidden");
    refuses(b, ENCODERS "vit_pooler", (TestOptions){.layer = "logits"}, SP_USAGE,
            "it has cls, last_hidden_state, pooler_output, hidden");
    refuses(b, ENCODERS "vit", (TestOptions){.preset = &(Preset){.width = 40, .height = 24}}, SP_USAGE,
            "expected images of 32 x 32, not 40 x 24");
    refuses(b, ENCODERS "vit/model.safetensors", (TestOptions){.arch = "distilbert"}, SP_FORMAT,
            "is this a distilbert model");

    test_folder(folder);
    char weights[512];
    snprintf(weights, sizeof weights, "%s/bare.safetensors", folder);
    copy_file(b, ENCODERS "bert/model.safetensors", folder, "bare.safetensors");
    refuses(b, weights, (TestOptions){0}, SP_FORMAT, "config.json");
    copy_file(b, ENCODERS "bert/model.safetensors", folder, "model.safetensors");
    put(folder, "config.json", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 7}");
    refuses(b, folder, (TestOptions){0}, SP_FORMAT, "7 layers");
    put(folder, "config.json", "{\"num_attention_heads\": 3, \"num_hidden_layers\": 2}");
    refuses(b, folder, (TestOptions){0}, SP_FORMAT, "3 heads");
    put(folder, "config.json", "{\"num_attention_heads\": \"2\"}");
    refuses(b, folder, (TestOptions){0}, SP_FORMAT, "num_attention_heads: expected a whole number");
    put(folder, "config.json", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2, \"hidden_act\": \"mish\"}");
    refuses(b, folder, (TestOptions){0}, SP_UNSUPPORTED, "hidden_act");
    put(folder, "config.json", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2}");
    refuses(b, folder, (TestOptions){0}, SP_IO, "tokenizer");
    put(folder, "modules.json", "[{\"path\": \"\", \"type\": \"sentence_transformers.models.Dense\"}]");
    refuses(b, folder, (TestOptions){0}, SP_UNSUPPORTED, "each Dense after it");
    put(folder, "modules.json", "[{\"path\": \"../x\", \"type\": \"Pooling\"}]");
    refuses(b, folder, (TestOptions){0}, SP_FORMAT, "inside the folder");
    put(folder, "modules.json", "[{\"path\": \"1_Pooling\", \"type\": \"Pooling\"}]");
    refuses(b, folder, (TestOptions){0}, SP_IO, "modules.json names it");
    put(folder, "modules.json", "[{");
    refuses(b, folder, (TestOptions){0}, SP_FORMAT, "modules.json:1:");
    test_folder_remove(folder);
}

/* Changes one file of a folder that is otherwise valid. No change may crash, and each error names the file and the
 * cause. */
static void changed_files_fail_in_one_line(void **state)
{
    static const char GOOD[] = "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2}";
    static const struct {
        const char *name, *text, *why; /* `why` NULL: opening succeeds */
    } cases[] = {
        {"config.json", "", "config.json:1:1"},
        {"config.json", "null", "expected a JSON object"},
        {"config.json", "[]", "expected a JSON object"},
        {"config.json", "{\"num_attention_heads\": 9223372036854775807, \"num_hidden_layers\": 2}",
         "9223372036854775807 heads"},
        {"config.json", "{\"num_attention_heads\": -1, \"num_hidden_layers\": 2}", "-1 heads"},
        {"config.json", "{\"num_attention_heads\": 1e400}", "too large"},
        {"config.json", "{\"num_attention_heads\": 2.5}", "whole number"},
        {"config.json", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 99999999999999999999}", "whole number"},
        {"config.json", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 0}", "0 layers"},
        {"config.json", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2, \"layer_norm_eps\": []}",
         "layer_norm_eps"},
        {"config.json", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2, \"layer_norm_eps\": -1}", "epsilon"},
        {"config.json", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2, \"hidden_act\": 7}", "hidden_act"},
        {"config.json",
         "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2, \"hidden_act\": null, \"layer_norm_eps\": null, "
         "\"model_type\": null, \"position_embedding_type\": null}",
         NULL},
        {"config.json",
         "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2, \"position_embedding_type\": \"relative_key\"}",
         "only absolute"},
        {"modules.json", "{}", "modules.json:1:1: expected a list"},
        {"modules.json", "[1]", "expected a module with a type and a path"},
        {"modules.json", "[{\"type\": \"Pooling\", \"path\": \"/etc\"}]", "inside the folder"},
        {"modules.json", "[{\"type\": \"Pooling\", \"path\": \"a\\u0000b\"}]", "inside the folder"},
        {"sentence_bert_config.json", "[]", "expected an object"},
        {"sentence_bert_config.json", "{\"max_seq_length\": 0}", "max_seq_length: expected"},
        {"sentence_bert_config.json", "{\"max_seq_length\": 9223372036854775807}", NULL},
        {"tokenizer.json", "null", "not a tokenizer.json"},
        {"model.safetensors", "x", "too few"},
    };
    TestBench *b = *state;
    char folder[256], deep[512];
    test_folder(folder);
    for (size_t i = 0; i < COUNT(cases); i++) {
        copy_file(b, ENCODERS "bert/model.safetensors", folder, "model.safetensors");
        copy_file(b, ENCODERS "bert/vocab.txt", folder, "vocab.txt");
        put(folder, "modules.json", "[{\"type\": \"x.Transformer\", \"path\": \"\"}]");
        put(folder, "config.json", GOOD);
        put(folder, cases[i].name, cases[i].text);
        if (cases[i].why) {
            Encoder *en = encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e);
            if (en || !strstr(b->e.message, cases[i].why) || strchr(b->e.message, '\n'))
                fail_msg("%s: expected \"%s\", got \"%s\"", cases[i].text, cases[i].why, en ? "success" : b->e.message);
            error_clear(&b->e);
        } else {
            Encoder *en = encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e);
            if (!en)
                fail_msg("%s: %s", cases[i].text, b->e.message);
            encoder_close(en);
        }
        snprintf(deep, sizeof deep, "%s/%s", folder, cases[i].name);
        unlink(deep);
    }
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    put(folder, "config.json", deep);
    copy_file(b, ENCODERS "bert/model.safetensors", folder, "model.safetensors");
    refuses(b, folder, (TestOptions){0}, SP_FORMAT, "nested more than 64 deep");
    test_folder_remove(folder);
}

/* A vocabulary that is larger than the model's table of tokens, and weights with NaN: the model opens. Checks that the
 * error comes when a text is encoded, and that it names the text. */
static void wrong_numbers_fail_where_they_show(void **state)
{
    TestBench *b = *state;
    char folder[256], vocabulary[2048] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    Text weights;
    float x[64];
    test_folder(folder);
    Tape *t = tape_new(&b->d, false, &b->e);
    copy_file(b, ENCODERS "bert/model.safetensors", folder, "model.safetensors");
    copy_file(b, ENCODERS "bert/config.json", folder, "config.json");
    for (int i = 5; i < 304; i++)
        sprintf(vocabulary + strlen(vocabulary), "x%d\n", i);
    strcat(vocabulary, "cat\n");
    put(folder, "vocab.txt", vocabulary);
    OpenModel m = open_encoder(&b->d, folder, &(TestOptions){0}, b->a, &b->e);
    assert_non_null(m.en);
    assert_false(encode_some_texts(&m, t, (Text[]){TEXT("[SEP]"), TEXT("cat")}, 2, x, &b->e));
    assert_error(b->e, SP_FORMAT, "text 2: token 'cat' has id 304");
    encoder_close(m.en);
    copy_file(b, ENCODERS "bert/vocab.txt", folder, "vocab.txt");
    assert_ok(file_read(&weights, b->a, drawn(ENCODERS "bert/model.safetensors"), 0, &b->e), b->e);
    char path[512];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    size_t keep = weights.n / 2; /* the second half is replaced by NaN */
    assert_int_equal(fwrite(weights.p, 1, keep, f), keep);
    for (; keep < weights.n; keep++)
        fputc(0xff, f);
    fclose(f);
    m = open_encoder(&b->d, folder, &(TestOptions){0}, b->a, &b->e);
    assert_non_null(m.en);
    assert_false(encode_some_texts(&m, t, TEXTS, 1, x, &b->e));
    assert_error(b->e, SP_FORMAT, "text 1: its features are NaN or infinite");
    encoder_close(m.en);
    tape_free(t);
    test_folder_remove(folder);
}

/* Refuses one allocation per attempt: each of the first 40, then every seventh. Every attempt ends with an error, and
 * no memory is leaked. */
static void refused_memory_is_an_error(void **state)
{
    TestBench *b = *state;
    static const struct {
        const char *path;
        bool image;
    } models[] = {{ENCODERS "bert", false},          {ENCODERS "efficientnet_lite.safetensors", true},
                  {ENCODERS "distilbert", false},    {ENCODERS "vit", true},
                  {ENCODERS "xlm_roberta", false},   {ENCODERS "clip", false},
                  {ENCODERS "altclip", false},       {ENCODERS "align", true},
                  {ENCODERS "efficientnet_hf", true}};
    Image im;
    assert_ok(image_open(&im, GOLDEN "images/RGB.png", b->a, &b->e), b->e);
    for (size_t m = 0; m < COUNT(models); m++) {
        bool done = false, image = models[m].image;
        for (size_t at = 1; !done; at += at < 40 ? 1 : 7) {
            TestHeap h;
            Error e = {0};
            test_heap(&h, at);
            Device d = b->d;
            d.heap = &h.heap;
            Preset p = {.width = 32, .height = 32, .std = {1, 1, 1}};
            Arena *a = arena_new(&h.heap, 0);
            OpenModel en = {0};
            if (a)
                en = open_encoder(&d, models[m].path,
                                  &(TestOptions){.modality = image ? MODALITY_IMAGE : 0, .preset = image ? &p : NULL},
                                  a, &e);
            Tape *t = en.en ? tape_new(&d, false, &e) : NULL;
            float x[256];
            assert_true(en.D <= COUNT(x));
            done =
                t && (image ? encode_some_images(&en, t, &im, 1, x, &e) : encode_some_texts(&en, t, TEXTS, 1, x, &e));
            if (!done && a)
                assert_true(e.message[0]);
            tape_free(t);
            encoder_close(en.en);
            arena_free(a);
            assert_int_equal(h.live, 0);
        }
    }
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_models_fail_in_one_line),
        cmocka_unit_test(changed_files_fail_in_one_line),
        cmocka_unit_test(wrong_numbers_fail_where_they_show),
        cmocka_unit_test(refused_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
