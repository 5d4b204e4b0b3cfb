/* tests/model_find_test.c: where models are searched by name, and the message if a search fails or the result is
 * refused. */
#include "extractors/extractors.h" /* before cmocka, which has a macro named fail */

#include "tests/device_testing.h"

static int set_up(void **state)
{
    return bench_open(state, 1);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    test_write(folder, name, (Text){text, strlen(text)});
}

static void names_are_found(void **state)
{
    TestBench *b = *state;
    char root[256], path[512];
    test_folder(root);
    const char *const saved[] = {"SAPOR_MODELS",          "HF_HOME",    "HF_HUB_CACHE",
                                 "HUGGINGFACE_HUB_CACHE", "TORCH_HOME", "XDG_CACHE_HOME"};
    char *before[COUNT(saved)];
    for (size_t i = 0; i < COUNT(saved); i++) {
        before[i] = getenv(saved[i]) ? strdup(getenv(saved[i])) : NULL;
        unsetenv(saved[i]);
    }
    static const char *const folders[] = {"models/mine",
                                          "hf/hub/models--org--net/snapshots/abc",
                                          "hf/hub/models--org--net/snapshots/zzz",
                                          "hf/hub/models--org--net/refs",
                                          "hf/hub/models--sentence-transformers--mini/snapshots/1",
                                          "torch/hub/checkpoints",
                                          "cache/huggingface/hub/models--org--other/snapshots/1",
                                          "cache/torch/hub/checkpoints"};
    for (size_t i = 0; i < COUNT(folders); i++) {
        snprintf(path, sizeof path, "%s/%s", root, folders[i]);
        assert_ok(folder_make(path, &b->e), b->e);
    }
    write_file(root, "hf/hub/models--org--net/refs/main", "abc\n");
    write_file(root, "torch/hub/checkpoints/resnet50-0676ba61.pth", "");
    write_file(root, "torch/hub/checkpoints/resnet50-11ad3fa6.pth", "");
    write_file(root, "cache/torch/hub/checkpoints/resnet18-f37072fd.pth", "");
    write_file(root, "models/resnet34-333f7ec4.pth", "");
    write_file(root, "models/resnet34-b627a593.pth", "");
    snprintf(path, sizeof path, "%s/models", root);
    setenv("SAPOR_MODELS", path, 1);
    snprintf(path, sizeof path, "%s/hf", root);
    setenv("HF_HOME", path, 1);
    snprintf(path, sizeof path, "%s/torch", root);
    setenv("TORCH_HOME", path, 1);
    static const char *const cases[][2] = {{"mine", "models/mine"},
                                           {"org/net", "hf/hub/models--org--net/snapshots/abc"},
                                           {"mini", "hf/hub/models--sentence-transformers--mini/snapshots/1"},
                                           {"ResNet50", "torch/hub/checkpoints/resnet50-11ad3fa6.pth"},
                                           {"resnet50-0676ba61.pth", "torch/hub/checkpoints/resnet50-0676ba61.pth"},
                                           {"ResNet34", "models/resnet34-b627a593.pth"},
                                           {"resnet34-333f7ec4.pth", "models/resnet34-333f7ec4.pth"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *found = model_find(cases[i][0], b->a, &b->e);
        if (!found)
            fail_msg("%s", b->e.message);
        snprintf(path, sizeof path, "%s/%s", root, cases[i][1]);
        assert_string_equal(found, path);
    }
    assert_null(model_find("org/none", b->a, &b->e));
    assert_non_null(strstr(b->e.message, "models/org/none"));
    assert_non_null(
        strstr(b->e.message,
               "; run `hf download org/none` (formerly huggingface-cli), or put its folder or weights file into "));
    assert_true(text_ends(text_of(b->e.message), "/models"));
    assert_error(b->e, SP_IO, "models--org--none");
    /* the name of a file does not suggest a download from a hub */
    assert_null(model_find("resnet50-00000000.pth", b->a, &b->e));
    assert_null(strstr(b->e.message, "huggingface-cli"));
    assert_error(b->e, SP_IO, "; put its file into ");
    assert_null(model_find("./none", b->a, &b->e));
    assert_error(b->e, SP_IO, "no model ./none: no such file or folder");
    unsetenv("SAPOR_MODELS");
    assert_null(model_find("none", b->a, &b->e));
    assert_true(text_ends(text_of(b->e.message), "into a folder and set SAPOR_MODELS to that folder"));
    error_clear(&b->e);
    char deep[900];
    memset(deep, 'x', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_null(model_find(deep, b->a, &b->e)); /* the list of places is cut, the advice is not */
    assert_true(text_ends(text_of(b->e.message), "into a folder and set SAPOR_MODELS to that folder"));
    error_clear(&b->e);
    unsetenv("HF_HOME");
    unsetenv("TORCH_HOME");
    snprintf(path, sizeof path, "%s/cache", root);
    setenv("XDG_CACHE_HOME", path, 1);
    for (int i = 0; i < 2; i++) {
        static const char *const in_cache[][2] = {{"org/other", "cache/huggingface/hub/models--org--other/snapshots/1"},
                                                  {"resnet18", "cache/torch/hub/checkpoints/resnet18-f37072fd.pth"}};
        snprintf(path, sizeof path, "%s/%s", root, in_cache[i][1]);
        const char *found = model_find(in_cache[i][0], b->a, &b->e);
        assert_ok(found != NULL, b->e);
        assert_string_equal(found, path);
    }
    assert_null(model_find("", b->a, &b->e));
    error_clear(&b->e);
    for (size_t i = 0; i < COUNT(saved); i++) {
        if (before[i])
            setenv(saved[i], before[i], 1);
        else
            unsetenv(saved[i]);
        free(before[i]);
    }
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

/* Checks that the message follows from the files of a folder. No folder here is a model that can be read. */
static void unsupported_folders(void **state)
{
    static const struct {
        const char *file, *text, *more, *why; /* `more`: an empty file next to it */
    } cases[] = {
        {"config.json", "{\"model_type\": \"yolos\"}", NULL,
         "config.json states yolos, which is not supported (supported: bert, "},
        {"config.json", "{\"model_type\": \"yolos\"}", "flax_model.msgpack",
         "config.json states yolos, which is not supported (supported: bert, "},
        {"config.json", "{\"architecture\": \"convnext_base\"}", "pytorch_model.bin",
         "states convnext_base, which is not supported (supported: bert, "},
        {"config.json", "{\"model_type\": \"yolos\\n\"}", NULL,
         "config.json states yolos?, which is not supported (supported: bert, "},
        {"config.json", "{\"model_type\": \"bert\"}", "tf_model.h5",
         "the format of tf_model.h5 (Keras) is not supported; fetch or save"},
        {"config.json", "{}", "model.onnx", "the format of model.onnx (ONNX) is not supported; fetch or save"},
        {"model.gguf", "GGUF", NULL, "the format of model.gguf (GGUF of llama.cpp) is"},
        {"flax_model.msgpack", "", NULL, "the format of flax_model.msgpack (Flax)"},
        {"pytorch_model-00001-of-00002.bin", "", NULL, "but not the index (pytorch_model.bin.index.json); fetch"},
        {"model-00001-of-00002.safetensors", "", NULL, "but not the index (model.safetensors.index.json); fetch"},
        {"resnet50-11ad3fa6.pth", "", NULL,
         "but resnet50-11ad3fa6.pth; if this is the model, give the path of the file"},
        {"notes.txt", "", NULL, "is this the folder of the model?"},
    };
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char folder[256];
        test_folder(folder);
        write_file(folder, cases[i].file, cases[i].text);
        if (cases[i].more)
            write_file(folder, cases[i].more, "");
        if (encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e))
            fail_msg("%s opens", cases[i].file);
        assert_null(strstr(b->e.message, "--arch"));
        assert_error(b->e, b->e.code, cases[i].why);
        const char *path = path_join(b->a, folder, cases[i].more ? cases[i].more : cases[i].file, &b->e);
        assert_null(weights_open(path, b->a, &b->e)); /* the file itself cannot be opened by name either */
        error_clear(&b->e);
        test_folder_remove(folder);
    }
}

/* Checks that --arch is accepted for a bare file of weights only: a folder states its architecture. */
static void arch_is_for_bare_files(void **state)
{
    TestBench *b = *state;
    char folder[256];
    test_folder(folder);
    const char *path = path_join(b->a, folder, "model.safetensors", &b->e);
    SafetensorsOut *out = safetensors_open(path, NULL, &b->e);
    assert_ok(safetensors_declare(out, "some.weight", F32, 1, (int64_t[]){1}, &b->e) &&
                  safetensors_data(out, (float[]){1}, 4, &b->e) && safetensors_commit(out, &b->e),
              b->e);
    assert_null(encoder_open(&b->d, path, &(EncoderOptions){0}, &b->e));
    if (!strstr(b->e.message, "no known architecture (bert, "))
        fail_msg("%s", b->e.message);
    assert_error(b->e, SP_UNSUPPORTED, "); choose one with --arch");
    assert_null(encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e));
    assert_null(strstr(b->e.message, "--arch"));
    assert_error(b->e, SP_UNSUPPORTED, "no known architecture");
    write_file(folder, "config.json", "{\"model_type\": \"bert\"}");
    assert_null(encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e));
    assert_null(strstr(b->e.message, "--arch"));
    assert_error(b->e, SP_FORMAT,
                 "config.json states bert, but these tensors (some.weight, ...) are not those of a bert");
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unsupported_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arch_is_for_bare_files, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
