/* tests/fuzz/classes_fuzz.c: the first byte chooses a file and a class of transformers; the rest is this file. Then a
 * text is tokenised, and its ids are decoded. */
#include "tests/fuzz/fuzz.h"

#include "tokenizers/tokenizers.h"

static const struct {
    const char *file, *class;
} KINDS[] = {
    {"sentencepiece.bpe.model", "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}"},
    {"spiece.model", "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":2}"},
    {"spiece.model", "{\"tokenizer_class\":\"AlbertTokenizer\"}"},
    {"tokenizer.model", "{\"tokenizer_class\":\"LlamaTokenizer\"}"},
    {"tokenizer.model", "{\"tokenizer_class\":\"TokenizersBackend\"}"},
    {"qwen.tiktoken", "{}"},
    {"bpe_simple_vocab_16e6.txt.gz", "{}"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char TEXT_OF_ALL[] =
        "The caf\xc3\xa9 <s>  red\r\n12,5\xe4\xbd\xa0 e\xcc\x81\xff\0 a\xe2\x96\x81\tb <|im_end|>";
    if (!size)
        return 0;
    Error e = {0};
    Arena *a = arena_new(fuzz_heap(size), 0);
    size_t kind = data[0] % COUNT(KINDS);
    const sp_file files[] = {{KINDS[kind].file, data + 1, size - 1},
                             {"tokenizer_config.json", KINDS[kind].class, strlen(KINDS[kind].class)}};
    Tokenizer *t = tokenizer_load_files(&(Files){"model", files, COUNT(files)}, a, &e);
    check_end(t != NULL, &e);
    if (t) {
        Text text = {TEXT_OF_ALL, sizeof TEXT_OF_ALL - 1}, back;
        TokenList list = {0};
        bool ok = tokenize_texts(t, &text, 1, &(TokenOptions){.max_length = 200}, &list, a, &e) &&
                  detokenize(t, list.ids, list.count, &(DecodeOptions){0}, &back, a, &e);
        check_end(ok, &e);
        for (size_t i = 0; i < list.count; i++)
            REQUIRE(list.places[i].begin <= list.places[i].end && list.places[i].end <= text.n);
    }
    arena_free(a);
    return 0;
}
