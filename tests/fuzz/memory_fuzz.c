/* tests/fuzz/memory_fuzz.c: models in memory, through sapor.h. The first byte chooses the model, its number type and
 * its pooling. Then come files that replace the model's files. Each has one byte with its index in FILES, a length in 3
 * bytes, and its bytes. If 128 is added to the index, the file is missing. A model that opens also encodes. */
#include "tests/fuzz/fuzz.h"

#include "tests/drawn.h"

static const char *const FILES[] = {"config.json",
                                    "model.safetensors",
                                    "preprocessor_config.json",
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "vocab.txt",
                                    "modules.json",
                                    "1_Pooling/config.json",
                                    "sentence_bert_config.json",
                                    "special_tokens_map.json",
                                    "model.safetensors.index.json",
                                    "pytorch_model.bin",
                                    "config_sentence_transformers.json",
                                    "2_Dense/config.json",
                                    "2_Dense/model.safetensors"};
static const char *const MODELS[] = {"tests/golden/encoders/bert", "tests/golden/encoders/vit",
                                     "tests/golden/encoders/resnet_basic", "tests/golden/encoders/mpnet"};
enum { MOST = 24 };

static Map original[COUNT(MODELS)][COUNT(FILES)]; /* data NULL: the model does not have this file */

static void read_models(void)
{
    for (size_t m = 0; m < COUNT(MODELS); m++)
        for (size_t i = 0; i < COUNT(FILES); i++) {
            char path[200];
            Error e = {0};
            snprintf(path, sizeof path, "%s/%s", drawn(MODELS[m]), FILES[i]);
            if (file_exists(path))
                REQUIRE(map_open(&original[m][i], path, &e));
        }
}

/* Copies a file to memory that ends where the file ends: no byte after it may be read, and the copy need not be
 * aligned. */
static sp_file copy_of(size_t name, const void *data, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    REQUIRE(copy);
    if (bytes)
        memcpy(copy + 1, data, bytes);
    return (sp_file){FILES[name], copy + 1, bytes};
}

static size_t make_files(sp_file files[MOST], size_t model, const uint8_t *data, size_t size)
{
    bool replaced[COUNT(FILES)] = {false};
    size_t n = 0;
    while (size >= 4 && n < MOST - COUNT(FILES)) {
        size_t which = (data[0] & 127) % COUNT(FILES), bytes = data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16;
        bytes = MIN(bytes, size - 4);
        if (data[0] < 128) /* otherwise the file is missing */
            files[n++] = copy_of(which, data + 4, bytes);
        replaced[which] = true;
        data += 4 + bytes;
        size -= 4 + bytes;
    }
    for (size_t i = 0; i < COUNT(FILES); i++)
        if (!replaced[i] && original[model][i].data)
            files[n++] = copy_of(i, original[model][i].data, original[model][i].bytes);
    return n;
}

static bool check_progress(void *user, size_t done, size_t n)
{
    (void)user;
    REQUIRE(done <= n);
    return true;
}

static void check_rows(const float *x, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * 0.0f;
    REQUIRE(sum == 0.0f);
}

static void encode(const sp_encoder *m, unsigned modality, sp_pool pool)
{
    static const unsigned char pixels[3 * 5 * 4] = {200, 10, 30, 255};
    static const sp_text texts[] = {{"a red leather bag", 17}, {"\xff\xe4\xbd\xa0 lamp\0[MASK]", 16}, {"", 0}};
    static sp_session *session;
    /* above this limit SP_MEMORY is the right error */
    static FuzzHeap heap = {.heap = {fuzz_resize, &heap}, .most = (size_t)100 << 20};
    const sp_image image = {.data = pixels, .width = 5, .height = 4};
    sp_output_options output = {.pool = pool};
    sp_call_options o = {.size = sizeof o, .outputs = &output, .output_count = 1, .progress = check_progress};
    size_t floats = 0, rows = modality == SP_TEXTS ? COUNT(texts) : 1;
    sp_text_info info[COUNT(texts)];
    sp_error e, status[COUNT(texts)];
    if (!session)
        REQUIRE(session = sp_session_open(1, &heap.heap, &e));
    if (!sp_row_sizes(m, modality, &o, &floats, &e))
        return;
    if (modality == SP_TEXTS && pool == SP_POOL_NONE) {
        if (!sp_text_lengths(m, session, texts, COUNT(texts), &o, info, status, &e))
            return;
        rows = 0;
        for (size_t i = 0; i < COUNT(texts); i++)
            rows += info[i].tokens;
    }
    float *x = floats < ((size_t)1 << 22) / (rows + 1) ? malloc(rows * floats * sizeof *x + 1) : NULL;
    bool ok =
        x && (modality == SP_TEXTS ? sp_encode_text_batch(m, session, texts, COUNT(texts), &o, &x, info, status, &e)
                                   : sp_encode_image_batch(m, session, &image, 1, &o, &x, status, &e));
    if (ok)
        check_rows(x, rows * floats);
    REQUIRE(!x || ok == (e.code == SP_OK));
    free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const TYPES[] = {NULL, NULL, "bf16", "int8"};
    static const sp_pool POOLS[] = {SP_POOL_MODEL, SP_POOL_CLS, SP_POOL_MAX, SP_POOL_NONE};
    static bool read;
    sp_file files[MOST];
    Error e;
    if (size == 0)
        return 0;
    if (!read)
        read_models();
    read = true;
    size_t n = make_files(files, data[0] % COUNT(MODELS), data + 1, size - 1), bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += files[i].bytes;
    sp_encoder_options o = {.size = sizeof o, .dtype = TYPES[data[0] >> 2 & 3]};
    sp_encoder *m = sp_encoder_open_memory(files, n, &o, fuzz_heap(bytes), &e);
    check_end(m != NULL, &e);
    if (m && sp_encoder_reads_texts(m))
        encode(m, SP_TEXTS, POOLS[data[0] >> 4 & 3]);
    if (m && sp_encoder_reads_images(m))
        encode(m, SP_IMAGES, POOLS[data[0] >> 4 & 3]);
    sp_encoder_close(m);
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)files[i].data - 1);
    return 0;
}
