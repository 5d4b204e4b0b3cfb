/* tests/fuzz/model_fuzz.c: the folder of a model with one replaced file: the first byte chooses the file. config.json
 * and similar files are read together with the weights. */
#include "tests/fuzz/fuzz.h"

#include "extractors/extractors.h"
#include "tests/drawn.h"

static const char *const FILES[] = {
    "config.json",           "modules.json", "1_Pooling/config.json",    "sentence_bert_config.json",
    "tokenizer_config.json", "vocab.txt",    "preprocessor_config.json", "tokenizer.json"};
static const char *const MODELS[] = {"tests/golden/encoders/bert", "tests/golden/encoders/resnet_basic"};
static char folder[COUNT(MODELS)][64];

static void copy_file(const char *from, const char *to)
{
    Error e = {0};
    Map m;
    if (!map_open(&m, from, &e))
        return;
    put_file(to, m.data, m.bytes);
    map_close(&m);
}

static void remove_folders(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s' '%s'", folder[0], folder[1]);
    if (system(command) != 0)
        perror(command);
}

static void make_folders(void)
{
    static const char *const MORE[] = {"model.safetensors"};
    char from[300], to[300];
    for (size_t m = 0; m < COUNT(MODELS); m++) {
        snprintf(folder[m], sizeof folder[m], "/dev/shm/sapor-fuzz-XXXXXX");
        REQUIRE(mkdtemp(folder[m]));
        snprintf(to, sizeof to, "%s/1_Pooling", folder[m]);
        Error e = {0};
        REQUIRE(folder_make(to, &e));
        for (size_t i = 0; i < COUNT(FILES) + COUNT(MORE); i++) {
            const char *name = i < COUNT(FILES) ? FILES[i] : MORE[i - COUNT(FILES)];
            snprintf(from, sizeof from, "%s/%s", drawn(MODELS[m]), name);
            snprintf(to, sizeof to, "%s/%s", folder[m], name);
            copy_file(from, to);
        }
    }
    atexit(remove_folders);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Device device;
    Error e = {0};
    if (size == 0)
        return 0;
    if (!device.k) {
        REQUIRE(device_open(&device, NULL, 1, NULL, NULL, &e));
        make_folders();
    }
    size_t which = data[0] % COUNT(FILES), model = data[0] & 64 ? 1 : 0;
    char path[300], original[300];
    snprintf(path, sizeof path, "%s/%s", folder[model], FILES[which]);
    snprintf(original, sizeof original, "%s/%s", MODELS[model], FILES[which]);
    put_file(path, data + 1, size - 1);
    Device d = device;
    d.heap = fuzz_heap(size);
    EncoderOptions o = {0};
    Encoder *en = encoder_open(&d, folder[model], &o, &e);
    check_end(en != NULL, &e);
    encoder_close(en);
    unlink(path);
    copy_file(original, path);
    return 0;
}
