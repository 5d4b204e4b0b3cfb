/* tests/fuzz/sentencepiece_fuzz.c: if the first byte is 0, the rest is a SentencePiece .model, with which a text and
 * ids from its bytes are processed. Otherwise the rest is a charsmap, and a text is normalised by Precompiled. */
#include "tests/fuzz/fuzz.h"

#include "tokenizers/sentencepiece/sentencepiece.h"

static const char TEXTS[] =
    "The caf\xc3\xa9 <s>  red\r\n12,5\xe4\xbd\xa0\xe5\xa5\xbd e\xcc\x81\xff\0 a\xe2\x96\x81\tb \xef\xac\x81";

static void through_model(const uint8_t *data, size_t size, Arena *a)
{
    Error e = {0};
    sp_file file = {"tokenizer.model", data, size};
    Tokenizer *t = tokenizer_load_files(&(Files){"model", &file, 1}, a, &e);
    check_end(t != NULL, &e);
    if (!t)
        return;
    Text text = {TEXTS, sizeof TEXTS - 1}, back;
    TokenList list = {0};
    int32_t ids[64];
    bool ok = tokenize_texts(t, &text, 1, &(TokenOptions){.max_length = 200}, &list, a, &e);
    check_end(ok, &e);
    for (size_t i = 0; i < list.count; i++)
        REQUIRE(list.places[i].begin <= list.places[i].end && list.places[i].end <= text.n);
    error_clear(&e);
    for (size_t i = 0; i < COUNT(ids); i++)
        ids[i] = size ? data[i % size] * (int32_t)(1 + i % 3) : 0;
    ok = detokenize(t, ids, COUNT(ids), &(DecodeOptions){.keep_special = size % 2}, &back, a, &e);
    check_end(ok, &e);
}

static void through_charsmap(const uint8_t *data, size_t size, Arena *a)
{
    Error e = {0};
    Tokenizer *t = NEW(a, Tokenizer, 1, &e);
    REQUIRE(t);
    Charsmap map;
    Load l = {.t = t, .path = "charsmap", .a = a, .e = &e};
    Work w = {.t = t, .a = a, .e = &e, .traced = true};
    Text out;
    bool ok = charsmap_read(&map, (Text){(const char *)data, size}, &l, 1);
    t->path = l.path;
    t->normalizers = (Stages){.list = {{&normalizer_precompiled, &map}}, .count = 1};
    ok = ok && pipeline_normalize(&w, (Text){TEXTS, sizeof TEXTS - 1}, &out);
    check_end(ok, &e);
    work_end(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    Arena *a = arena_new(fuzz_heap(size), 0);
    if (data[0])
        through_charsmap(data + 1, size - 1, a);
    else
        through_model(data + 1, size - 1, a);
    arena_free(a);
    return 0;
}
