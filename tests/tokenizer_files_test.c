/* tests/tokenizer_files_test.c: malformed files of tokenizers, with the words that the error of each must contain. */
#include "tokenizers/tokenizers.h" /* before cmocka, which has a macro named fail */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/sapor-tokenizers-XXXXXX";

static const char *put(const char *name, const char *data, size_t n)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[600];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static Tokenizer *load(const char *path, Arena *a)
{
    Error e = {0};
    Tokenizer *t = tokenizer_load(path, a, &e);
    if (!t)
        fail_msg("%s", e.message);
    return t;
}

/* Returns a tokenizer.json with one part replaced. */
static char *json_with(Arena *a, const char *normalizer, const char *split, const char *post, const char *added,
                       const char *model)
{
    Error e = {0};
    return arena_printf(
        a, &e, "{\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":%s,\"added_tokens\":%s,\"model\":%s}",
        normalizer ? normalizer : "null", split ? split : "{\"type\":\"BertPreTokenizer\"}", post ? post : "null",
        added ? added : "[]",
        model ? model : "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"a\":1}}");
}

#define TEMPLATE(pair)                                                                                                 \
    "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}}],\"pair\":[" pair "]}"

#define LEVEL_POST "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true}"
#define BERT_POST  "{\"type\":\"BertProcessing\",\"cls\":[\"u\",0],\"sep\":[\"a\",1]}"
#define SPLIT(pattern, behavior, invert)                                                                               \
    "{\"type\":\"Split\",\"pattern\":" pattern ",\"behavior\":\"" behavior "\",\"invert\":" invert "}"
#define BPE_VOCAB                "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}"
#define BPE(merges, more)        "{\"type\":\"BPE\"," BPE_VOCAB ",\"merges\":[" merges "]" more "}"
#define CHARSMAP(base64)         "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"" base64 "\"}"
#define METASPACE(more)          "{\"type\":\"Metaspace\",\"replacement\":\"_\"" more "}"
#define UNIGRAM(unknown, pieces) "{\"type\":\"Unigram\",\"unk_id\":" unknown ",\"vocab\":[" pieces "]}"

static void malformed(void **state)
{
    (void)state;
    static const struct {
        const char *normalizer, *split, *post, *added, *model, *why;
    } table[] = {
        {.normalizer = "{\"type\":\"Nothing\"}", .why = "normalizer Nothing is not supported (supported: BertN"},
        {.split = "{\"type\":\"Punctuation\",\"behavior\":\"Kept\"}", .why = "Punctuation: expected Removed, Isolated"},
        {.split = "{\"type\":\"Punctuation\",\"behavior\":null}", .why = "Punctuation: expected Removed, Isolated"},
        {.split = "{\"type\":\"Digits\"}", .why = "Digits: expected true or false as its individual_digits"},
        {.split = "{\"type\":\"Digits\",\"individual_digits\":1}", .why = "Digits: expected true or false"},
        {.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[]}", .why = "normalizer Sequence"},
        {.normalizer = "[]", .why = "normalizer (no type)"},
        {.split = "{\"type\":\"ByteLevel\"}",
         .why = "pre_tokenizer ByteLevel: expected true or false as add_prefix_sp"},
        {.split = "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":0}",
         .why = "pre_tokenizer ByteLevel: expected true or false"},
        {.split = SPLIT("{}", "Isolated", "false"), .why = "expected a pattern (Regex or String)"},
        {.split = SPLIT("{\"Regex\":1}", "Isolated", "false"), .why = "expected a pattern (Regex or String)"},
        {.split = SPLIT("{\"String\":\"\"}", "Isolated", "false"), .why = "expected a pattern (Regex or String)"},
        {.split = SPLIT("{\"String\":\"a\"}", "Isolated", "null"), .why = "expected a pattern (Regex or String)"},
        {.split = SPLIT("{\"String\":\"a\"}", "isolated", "false"), .why = "Split: expected Removed, Isolated"},
        {.split = SPLIT("{\"Regex\":\"a(\"}", "Isolated", "false"), .why = "the regular expression 'a('"},
        {.split = "[]", .why = "pre_tokenizer (no type)"},
        {.post = "{\"type\":\"ByteLevel\"}", .why = "post_processor ByteLevel: expected true or false"},
        {.post = "{\"type\":\"Sequence\",\"processors\":[" BERT_POST "," LEVEL_POST "]}",
         .why = "one is supported, or ByteLevel and one"},
        {.post = "{\"type\":\"Sequence\",\"processors\":[" LEVEL_POST "," LEVEL_POST "]}",
         .why = "one is supported, or ByteLevel and one"},
        {.post = "{\"type\":\"BertProcessing\",\"cls\":[\"a\"],\"sep\":[\"a\",1]}", .why = "has no id"},
        {.post = "{\"type\":\"BertProcessing\",\"cls\":[\"a\",-1],\"sep\":[\"a\",1]}", .why = "has no id"},
        {.post = "{\"type\":\"BertProcessing\",\"cls\":[\"a\",2],\"sep\":[\"a\",1]}",
         .why = "id 2 is not in the vocabulary"},
        {.post = "{\"type\":\"TemplateProcessing\"}", .why = "does not contain the text"},
        {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"B\"}}]}",
         .why = "special tokens around A"},
        {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}},{\"Sequence\":{\"id\":"
                 "\"A\"}}]}",
         .why = "special tokens around A"},
        {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]}", .why = "names x"},
        {.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}],\"special_tokens\":{"
                 "\"x\":"
                 "{\"ids\":"
                 "[\"1\"]}}}",
         .why = "has no id"},
        {.normalizer = "{\"type\":\"Sequence\"}", .why = "normalizer Sequence has no normalizers"},
        {.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"BertNormalizer\"},{\"type\":\"Sequence\","
                       "\"normalizers\":[null]}]}",
         .why = "normalizer (no type)"},
        {.split = "{\"type\":\"Sequence\",\"pretokenizers\":{\"a\":1}}",
         .why = "pre_tokenizer Sequence has no pretokenizers"},
        {.post = "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"Nothing\"}]}", .why = "post_processor Nothing"},
        {.post = "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"BertProcessing\",\"cls\":[\"u\",0],\"sep\":"
                 "[\"a\",1]},{\"type\":\"BertProcessing\",\"cls\":[\"u\",0],\"sep\":[\"a\",1]}]}",
         .why = "post_processor: 2 in a Sequence; one is supported"},
        {.post = TEMPLATE("{\"Sequence\":{\"id\":\"A\"}}"), .why = "does not contain the text (B)"},
        {.post = TEMPLATE("{\"Sequence\":{\"id\":\"A\"}},{\"Sequence\":{\"id\":\"A\"}}"),
         .why = "special tokens around A and B in the template of two texts"},
        {.post = TEMPLATE("{\"Sequence\":{\"id\":\"A\"}},{\"Sequence\":{\"id\":\"C\"}}"), .why = "around A and B"},
        {.post = TEMPLATE("{\"Sequence\":{\"id\":\"A\"}},3"), .why = "around A and B"},
        {.post = TEMPLATE("{\"Sequence\":{\"id\":\"A\",\"type_id\":-1}},{\"Sequence\":{\"id\":\"B\"}}"),
         .why = "the type_id of a template is not a number from 0 on"},
        {.post =
             TEMPLATE("{\"Sequence\":{\"id\":\"A\"}},{\"Sequence\":{\"id\":\"B\"}},{\"SpecialToken\":{\"id\":\"y\"}}"),
         .why = "names y"},
        {.added = "[{\"id\":1}]", .why = "added token has no content"},
        {.added = "[3]", .why = "added token has no content"},
        {.model = "{\"type\":\"Nothing\"}", .why = "model Nothing is not supported (supported: BPE, WordPiece"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{}}", .why = "expected vocab and merges"},
        {.model = "{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}", .why = "expected vocab and merges"},
        {.model = "{\"vocab\":{},\"merges\":{}}", .why = "expected vocab and merges in the BPE model"},
        {.model = "{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}", .why = "token id -1 is out of range"},
        {.model = BPE("\"a\"", ""), .why = "expected a merge of two tokens, found 'a'"},
        {.model = BPE("\"a b c\"", ""), .why = "expected a merge of two tokens, found 'a b c'"},
        {.model = BPE("\"\"", ""), .why = "expected a merge of two tokens, found ''"},
        {.model = BPE("\"a b\",\"b a\"", ""), .why = "t.json:1: the merge 'b' 'a' has or makes a token"},
        {.model = BPE("\"a c\"", ""), .why = "the merge 'a' 'c' has or makes a token"},
        {.model = BPE("[\"a\"]", ""), .why = "expected a merge as"},
        {.model = BPE("[\"a\",1]", ""), .why = "expected a merge as"},
        {.model = BPE("[\"a\",\"b\",\"b\"]", ""), .why = "expected a merge as"},
        {.model = BPE("1", ""), .why = "expected a merge as"},
        {.model = BPE("\"a b\"", ",\"continuing_subword_prefix\":\"##\""), .why = "the merge 'a' 'b' has or makes"},
        {.model = BPE("", ",\"dropout\":0.1"), .why = "dropout of the BPE model is not supported"},
        {.model = BPE("", ",\"dropout\":\"0\""), .why = "dropout of the BPE model is not supported"},
        {.model = BPE("", ",\"unk_token\":1"), .why = "unk_token of the BPE model: expected a string"},
        {.model = BPE("", ",\"end_of_word_suffix\":[]"), .why = "end_of_word_suffix of the BPE model: expected a str"},
        {.model =
             BPE("", ",\"end_of_word_suffix\":\"12345678901234567890123456789012345678901234567890123456789012345\""),
         .why = "end_of_word_suffix of 65 bytes; at most 64 are supported"},
        {.model = BPE("", ",\"fuse_unk\":1"), .why = "fuse_unk of the BPE model: expected true or false"},
        {.model = BPE("", ",\"byte_fallback\":\"\""), .why = "byte_fallback of the BPE model: expected true or false"},
        {.model = BPE("", ",\"ignore_merges\":{}"), .why = "ignore_merges of the BPE model: expected true or false"},
        {.model = BPE("", ",\"byte_fallback\":true,\"end_of_word_suffix\":\"x\""),
         .why = "byte_fallback with continuing_subword_prefix or end_of_word_suffix is not supported"},
        {.model = "{\"vocab\":{\"a\":0}}", .why = "model (no type)"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{}}", .why = "expected vocab"},
        {.model = "{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}", .why = "expected vocab, unk_token"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":[\"a\"]}", .why = "expected vocab"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":\"0\"}}", .why = "token 'a' has no id"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":0.5}}", .why = "token 'a' has no id"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":-1}}",
         .why = "token id -1 is out of range"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":2147483647}}",
         .why = "out of range for 1 tokens"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":0,\"b\":0}}",
         .why = "'a' and 'b' have the same id"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":0,\"a\":1}}", .why = "t.json:1:"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"max_input_chars_per_word\":-1,\"vocab\":{\"a\":0}}",
         .why = "is -1"},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"max_input_chars_per_word\":1e9,\"vocab\":{\"a\":0}}",
         .why = "max_input_chars_per_word is 1000000000"},
        {.normalizer = "{\"type\":\"Precompiled\"}", .why = "expected precompiled_charsmap, in base64"},
        {.normalizer = CHARSMAP("AAA"), .why = "expected precompiled_charsmap, in base64"},
        {.normalizer = CHARSMAP("BAAA*AAA"), .why = "expected precompiled_charsmap, in base64"},
        {.normalizer = CHARSMAP(""), .why = "its 0 bytes do not hold the trie"},
        {.normalizer = CHARSMAP("AAAA"), .why = "its 3 bytes do not hold the trie"},
        {.normalizer = CHARSMAP("AAAAAAAAAAA="), .why = "its 8 bytes do not hold the trie"},
        {.normalizer = CHARSMAP("CAAAAAAAAAA="), .why = "its 8 bytes do not hold the trie"},
        {.normalizer = CHARSMAP("/////wAAAAA="), .why = "its 8 bytes do not hold the trie"},
        {.normalizer = CHARSMAP("BAAAAAAAAAD/"), .why = "byte 0 of its replacements is not UTF-8"},
        {.normalizer = "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}", .why = "Replace: expected a pattern"},
        {.normalizer = "{\"type\":\"Replace\",\"pattern\":\"a\",\"content\":\"b\"}",
         .why = "Replace: expected a pattern, String or Regex"},
        {.normalizer = "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"b\"}",
         .why = "Replace: a pattern of 0 bytes; 1 to 256 are supported"},
        {.normalizer = "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a(\"},\"content\":\"b\"}",
         .why = "the regular expression 'a('"},
        {.normalizer = "{\"type\":\"Strip\",\"strip_left\":true}", .why = "expected strip_left and strip_right"},
        {.normalizer = "{\"type\":\"Prepend\",\"prepend\":\"\"}", .why = "Prepend: expected 1 to 256 bytes"},
        {.split = "{\"type\":\"Metaspace\"}", .why = "Metaspace: expected one character as its replacement"},
        {.split = "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}",
         .why = "expected one character as its replacement"},
        {.split = METASPACE(",\"prepend_scheme\":\"last\""), .why = "expected always, first or never"},
        {.split = METASPACE(",\"prepend_scheme\":1"), .why = "expected always, first or never"},
        {.split = METASPACE(",\"split\":1"), .why = "expected true or false as its split"},
        {.split = METASPACE(",\"add_prefix_space\":false"), .why = "add_prefix_space is false, and prepend_scheme is"},
        {.model = "{\"type\":\"Unigram\"}", .why = "expected vocab, unk_id and byte_fallback"},
        {.model = UNIGRAM("null", ""), .why = "expected vocab, unk_id and byte_fallback"},
        {.model = UNIGRAM("1", "[\"a\",0]"), .why = "the unk_id of the Unigram model is not a number below 1"},
        {.model = UNIGRAM("-1", "[\"a\",0]"), .why = "the unk_id of the Unigram model is not a number below 1"},
        {.model = UNIGRAM("\"a\"", "[\"a\",0]"), .why = "the unk_id of the Unigram model is not a number below 1"},
        {.model = UNIGRAM("0", "[\"a\"]"), .why = "expected a piece and its score"},
        {.model = UNIGRAM("0", "[\"a\",\"b\"]"), .why = "expected a piece and its score"},
        {.model = UNIGRAM("0", "[0,\"a\"]"), .why = "expected a piece and its score"},
        {.model = UNIGRAM("0", "[\"a\",0,0]"), .why = "expected a piece and its score"},
        {.model = UNIGRAM("0", "\"a\""), .why = "expected a piece and its score"},
        {.model = "null", .why = "no \"model\""},
        {.model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"a\":2}}",
         .added = "[{\"content\":\"b\"}]",
         .why = "gets id 2, which the vocabulary already uses"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        char *text = json_with(a, table[i].normalizer, table[i].split, table[i].post, table[i].added, table[i].model);
        if (tokenizer_load(put("t.json", text, strlen(text)), a, &e) || !strstr(e.message, table[i].why))
            fail_msg("%s: wanted \"%s\", got \"%s\"", text, table[i].why, e.message);
        arena_free(a);
    }
    static const struct {
        const char *name, *text, *why;
    } files[] = {
        {"t.json", "", "t.json:1:"},
        {"t.json", "{\"a\":[1,", "t.json:1:"},
        {"t.json", "[]", "no \"model\""},
        {"vocab.txt", "", "is empty"},
        {"vocab.txt", "a\nb\n", "the special token '[CLS]' is missing"},
        {"vocab.txt", "a\n\xff\n", "byte 2 is not UTF-8"},
    };
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } models[] = {
#define MODEL(bytes) bytes, sizeof bytes - 1
        {MODEL(""), "no pieces: not the file of a SentencePiece model"},
        {MODEL("\x0a"), "a field: not the file"},
        {MODEL("\x0a\x05"
               "a"),
         "a field: not the file"},
        {MODEL("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
               "a"),
         "a field: not the file"},
        {MODEL("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "a field: not the file"},
        {MODEL("\x0b\x00"), "a field: not the file"},
        {MODEL("\x12\x00"), "no pieces: not the file"},
        {MODEL("\x0a\x02\x0a\x05"), "a piece: not the file"},
        {MODEL("\x0a\x00"), "piece 0: expected 1 to 1024 bytes of UTF-8"},
        {MODEL("\x0a\x03\x0a\x01\xff"), "piece 0: expected 1 to 1024 bytes of UTF-8"},
        {MODEL("\x0a\x08\x0a\x01"
               "a\x15\x00\x00\x80\x7f"),
         "piece 0: expected 1 to 1024 bytes of UTF-8, a finite"},
        {MODEL("\x0a\x05\x0a\x01"
               "a\x18\x07"),
         "a finite score and a known type"},
        {MODEL("\x0a\x03\x0a\x01"
               "a"),
         "no unknown piece"},
        {MODEL("\x0a\x05\x0a\x01"
               "a\x18\x02\x0a\x05\x0a\x01"
               "b\x18\x02"),
         "piece 1: a second unknown piece"},
        {MODEL("\x0a\x05\x0a\x01"
               "a\x18\x06"),
         "piece 0: expected one of <0x00> to <0xFF>, once"},
        {MODEL("\x0a\x05\x0a\x01"
               "a\x18\x02\x12\x03\x98\x02\x01"),
         "byte_fallback with 0 of 256 bytes as pieces"},
        {MODEL("\x0a\x05\x0a\x01"
               "a\x18\x02\x12\x02\x18\x03"),
         "model_type 3 is not supported"},
        {MODEL("\x0a\x05\x0a\x01"
               "a\x18\x05\x12\x02\x18\x02"),
         "a BPE model with unused pieces is not supported"},
        {MODEL("\x0a\x05\x0a\x01"
               "a\x18\x02\x12\x01\x18"),
         "trainer_spec: not the file"},
        {MODEL("\x0a\x05\x0a\x01"
               "a\x18\x02\x1a\x01\x12"),
         "normalizer_spec: not the file"},
        {MODEL("\x0a\x05\x0a\x01"
               "a\x18\x02\x1a\x03\x12\x01"
               "a"),
         "its 1 bytes do not hold the trie"},
    };
    for (size_t i = 0; i < COUNT(models); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        if (tokenizer_load(put("t.model", models[i].bytes, models[i].n), a, &e) || !strstr(e.message, models[i].why))
            fail_msg("model %zu: expected \"%s\", got \"%s\"", i, models[i].why, e.message);
        arena_free(a);
    }
    for (size_t i = 0; i < COUNT(files); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        if (tokenizer_load(put(files[i].name, files[i].text, strlen(files[i].text)), a, &e) ||
            !strstr(e.message, files[i].why))
            fail_msg("%s: wanted \"%s\", got \"%s\"", files[i].text, files[i].why, e.message);
        arena_free(a);
    }
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    put("vocab.txt", "[CLS]\n[SEP]\n", 12);
    put("tokenizer_config.json", "{\"tokenizer_class\":\"XLNetTokenizer\"}", 36);
    assert_null(tokenizer_load(folder, a, &e));
    assert_non_null(strstr(e.message, "tokenizer_class XLNetTokenizer is not supported"));
    error_clear(&e);
    put("tokenizer_config.json", "{", 1);
    assert_null(tokenizer_load(folder, a, &e));
    assert_non_null(strstr(e.message, "tokenizer_config.json:1:"));
    error_clear(&e);
    assert_null(tokenizer_load("tests/golden", a, &e));
    assert_non_null(strstr(e.message, "contains no tokenizer (tokenizer.json, vocab.txt"));
    error_clear(&e);
    assert_null(tokenizer_load("tests/golden/absent", a, &e));
    assert_non_null(strstr(e.message, "No such file"));
    error_clear(&e);
    /* no [UNK] in the vocabulary: an error only if a text needs it */
    put("tokenizer_config.json", "{}", 2);
    Tokenizer *t = load(folder, a);
    TokenIds ids = {0};
    assert_true(tokenize(t, TEXT("[SEP]"), 0, &ids, a, &e));
    assert_int_equal(ids.count, 3);
    arena_free(a);
    a = arena_new(NULL, 0);
    char *text =
        json_with(a, NULL, NULL, NULL, NULL, "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"a\":0}}");
    t = load(put("t.json", text, strlen(text)), a);
    ids = (TokenIds){0};
    assert_false(tokenize(t, TEXT("b"), 0, &ids, a, &e));
    assert_non_null(strstr(e.message, "no token for unknown words"));
    arena_free(a);
}

/* Checks that texts are tokenised if only the decoder is unsupported. */
static void decoders(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"{\"type\":\"Nothing\"}", "decoder Nothing is not supported (supported: WordPiece"},
        {"{\"type\":\"WordPiece\"}", "expected prefix and cleanup in the WordPiece decoder"},
        {"{\"type\":\"WordPiece\",\"prefix\":\"\",\"cleanup\":1}", "expected prefix and cleanup"},
        {"{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteLevel\"},{\"type\":\"WordPiece\",\"prefix\":\"\","
         "\"cleanup\":true}]}",
         "decoder: WordPiece cannot follow the decoders before it"},
        {"{\"type\":\"Sequence\",\"decoders\":[]}", "decoder Sequence has no decoders"},
        {"[]", "decoder (no type)"},
        {"{\"type\":\"Strip\",\"content\":\"ab\",\"start\":1,\"stop\":0}", "Strip: expected a character as content"},
        {"{\"type\":\"Strip\",\"content\":\"a\",\"start\":-1,\"stop\":0}", "Strip: expected a character as content"},
        {"{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"}," METASPACE("") "]}",
         "decoder: Metaspace cannot follow the decoders before it"},
        {"{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":\"ByteFallback\"}]}",
         "decoder: ByteFallback cannot follow"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        char *text = json_with(a, NULL, NULL, "null,\"decoder\":", NULL, NULL), *mark = strstr(text, "\"decoder\":,");
        text = arena_printf(a, &e, "%.*s\"decoder\":%s%s", (int)(mark - text), text, table[i][0], mark + 10);
        Tokenizer *t = load(put("t.json", text, strlen(text)), a);
        TokenIds ids = {0};
        Text out;
        assert_true(tokenize(t, TEXT("a"), 0, &ids, a, &e));
        if (detokenize(t, ids.ids, ids.count, &(DecodeOptions){0}, &out, a, &e) || !strstr(e.message, table[i][1]))
            fail_msg("%s: expected \"%s\", got \"%s\"", text, table[i][1], e.message);
        arena_free(a);
    }
}

/* Checks byte tokens at the end of a text. The expected texts are those of the library `tokenizers` 0.23.3. */
static void last_byte_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *stages, *first, *second, *text; /* decoders after ByteFallback; two tokens */
    } table[] = {
        {"", "<0xE2>", "<0x96>", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"", "<0x41>", "<0xE2>", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"", "<0xC3>", "<0xA9>", "\xc3\xa9"},
        {"", "x", "<0xE2>", "x\xef\xbf\xbd"},
        {",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}", "<0x20>", "<0x41>", "A"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        const char *text = arena_printf(
            a, &e,
            "{\"normalizer\":null,\"pre_tokenizer\":null,\"post_processor\":null,\"added_tokens\":[],\"decoder\":"
            "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}%s]},\"model\":"
            "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"%s\":1,\"%s\":2}}}",
            table[i].stages, table[i].first, table[i].second);
        Tokenizer *t = load(put("t.json", text, strlen(text)), a);
        Text out;
        if (!detokenize(t, (const int32_t[]){1, 2}, 2, &(DecodeOptions){0}, &out, a, &e))
            fail_msg("%s", e.message);
        if (!text_equal(out, text_of(table[i].text)))
            fail_msg("%zu: gives '%.*s'", i, (int)out.n, out.p);
        arena_free(a);
    }
}

/* Checks a charsmap whose trie leads outside of itself, or into the middle of a character: it has no rule there. */
static void charsmaps(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 300; seed++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        enum { UNITS = 256, BYTES = 4 + 4 * UNITS + 8 };
        static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        unsigned char bytes[BYTES + 2] = {0, 4};
        Draw d = {.seed = seed, .purpose = DRAW_TEST};
        for (uint32_t i = 0; i < UNITS; i++) { /* half of them are units of that byte, with any next index */
            uint32_t unit = draw_below(d, i, 2) ? draw_below(d, UNITS + i, UINT32_MAX)
                                                : i | 0x100 | draw_below(d, UNITS + i, 700) << 10;
            memcpy(bytes + 4 + 4 * i, &unit, 4);
        }
        memset(bytes + 4, 0, 4);
        memcpy(bytes + 4 + 4 * UNITS, "\xc3\xa9\0ab\0\0", 8);
        char base64[4 * (BYTES + 2) / 3 + 4] = "";
        size_t n = 0;
        for (size_t i = 0; i < BYTES; i += 3) {
            uint32_t three = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
            for (int shift = 18; shift >= 0; shift -= 6)
                base64[n++] = DIGITS[three >> shift & 63];
        }
        for (size_t i = 0; i < (3 - BYTES % 3) % 3; i++)
            base64[n - 1 - i] = '=';
        char *map = arena_printf(a, &e, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"%s\"}", base64);
        char *text = json_with(a, map, METASPACE(""), NULL, NULL, UNIGRAM("0", "[\"u\",0],[\"a\",-1],[\"b\",-2.5]"));
        Tokenizer *t = load(put("t.json", text, strlen(text)), a);
        TokenList list;
        Text in = TEXT("abc \xc3\xa9 e\xcc\x81 \r\n\xe6\x97\xa5 xyz");
        assert_true(tokenize_texts(t, &in, 1, &(TokenOptions){0}, &list, a, &e));
        for (size_t i = 0; i < list.count; i++)
            assert_true(list.places[i].begin <= list.places[i].end && list.places[i].end <= in.n);
        arena_free(a);
    }
}

/* Checks that a piece of 1024 bytes is read and a longer one is refused; also a text whose characters are all known,
 * for a model without an unknown piece. */
static void unigram(void **state)
{
    (void)state;
    for (size_t n = 1024; n <= 1025; n++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        char piece[1026] = "";
        memset(piece, 'a', n);
        char *model = arena_printf(a, &e, UNIGRAM("null", "[\"a\",-1],[\"%s\",-1]"), piece);
        char *text = json_with(a, NULL, METASPACE(",\"prepend_scheme\":\"never\""), NULL, NULL, model);
        Tokenizer *t = tokenizer_load(put("t.json", text, strlen(text)), a, &e);
        TokenIds ids = {0};
        if (n > 1024) {
            assert_null(t);
            assert_non_null(strstr(e.message, "a piece of 1025 bytes; at most 1024 are supported"));
        } else {
            assert_true(tokenize(t, text_of(piece), 0, &ids, a, &e));
            assert_int_equal(ids.count, 1);
            assert_false(tokenize(t, TEXT("b"), 0, &ids, a, &e));
            assert_non_null(strstr(e.message, "the model has no unk_id, and the text has a character that is in no"));
        }
        arena_free(a);
    }
}

/* Checks that a Sequence may have 32 normalisers. */
static void many_stages(void **state)
{
    (void)state;
    for (size_t n = 32; n <= 33; n++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        char *list = arena_printf(a, &e, "{\"type\":\"BertNormalizer\",\"handle_chinese_chars\":true}");
        char *one = list;
        for (size_t i = 1; i < n; i++)
            list = arena_printf(a, &e, "%s,%s", list, one);
        char *text = json_with(a, arena_printf(a, &e, "{\"type\":\"Sequence\",\"normalizers\":[%s]}", list), NULL, NULL,
                               NULL, NULL);
        Tokenizer *t = tokenizer_load(put("t.json", text, strlen(text)), a, &e);
        if (n > 32) {
            assert_null(t);
            assert_non_null(strstr(e.message, "more than 32 in a Sequence are not supported"));
        } else { /* 32 times a blank on both sides of a Chinese character */
            TokenIds ids = {0};
            assert_true(tokenize(t, TEXT("\xe4\xb8\x80"), 0, &ids, a, &e));
            assert_int_equal(ids.count, 1);
        }
        arena_free(a);
    }
}

/* Tests vocab.json and merges.txt without tokenizer.json. */
static void merges(void **state)
{
    (void)state;
    static const char *const table[][4] = {
        /* vocab.json, merges.txt, tokenizer_config.json, the error */
        {"{\"a\":0,\"b\":1,\"ab\":2}", "#version: 0.2\na b\n", "{\"tokenizer_class\":\"GPT2Tokenizer\"}", NULL},
        {"[]", "", "{\"tokenizer_class\":\"GPT2Tokenizer\"}", "vocab.json: expected an object of tokens"},
        {"{}", "", "{\"tokenizer_class\":\"GPT2Tokenizer\"}", "vocab.json: expected an object of tokens"},
        {"{\"a\":\"0\"}", "", "{\"tokenizer_class\":\"GPT2Tokenizer\"}", "token 'a' has no id"},
        {"{\"a\":0}", "a\n", "{\"tokenizer_class\":\"GPT2Tokenizer\"}", "merges.txt:1: expected a merge of two tokens"},
        {"{\"a\":0}", "#version\n\n", "{\"tokenizer_class\":\"GPT2Tokenizer\"}", "merges.txt:2: expected a merge"},
        {"{\"a\":0}", "a a\n", "{\"tokenizer_class\":\"GPT2Tokenizer\"}",
         "merges.txt:1: the merge 'a' 'a' has or makes"},
        {"{\"a\":0}", "\xff\n", "{\"tokenizer_class\":\"GPT2Tokenizer\"}", "merges.txt: byte 0 is not UTF-8"},
        {"{\"a\":0}", "", "{\"tokenizer_class\":\"BartTokenizer\"}", "tokenizer_config.json, found BartTokenizer"},
        {"{\"a\":0}", "", "{}", "expected GPT2Tokenizer, RobertaTokenizer, CLIPTokenizer or Qwen2Tokenizer as"},
        {"{\"a\":0}", "", "{\"tokenizer_class\":\"GPT2Tokenizer\",\"add_bos_token\":true}",
         "add_bos_token and add_eos"},
        {"{\"a\":0}", "", "{\"tokenizer_class\":\"RobertaTokenizer\"}", "the special token '<s>' is missing"},
    };
    char path[600];
    snprintf(path, sizeof path, "%s/merges", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < COUNT(table); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        put("merges/vocab.json", table[i][0], strlen(table[i][0]));
        put("merges/merges.txt", table[i][1], strlen(table[i][1]));
        put("merges/tokenizer_config.json", table[i][2], strlen(table[i][2]));
        Tokenizer *t = tokenizer_load(path, a, &e);
        if (!t != !!table[i][3] || (!t && !strstr(e.message, table[i][3])))
            fail_msg("%zu: expected \"%s\", got \"%s\"", i, table[i][3], e.message);
        TokenIds ids = {0};
        if (t) {
            assert_true(tokenize(t, TEXT("ab"), 0, &ids, a, &e));
            assert_int_equal(ids.count, 1);
            assert_int_equal(ids.ids[0], 2);
        }
        arena_free(a);
    }
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    assert_int_equal(remove(put("merges/merges.txt", "", 0)), 0);
    assert_null(tokenizer_load(path, a, &e));
    assert_non_null(strstr(e.message, "contains one of vocab.json and merges.txt; expected both"));
    arena_free(a);
}

/* Checks that a word of a million characters needs less than a second, because of a heap, and that its memory is freed.
 * An unknown character is an error only if the text has one. */
static void long_words(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    char *text = json_with(a, NULL, "null", NULL, NULL,
                           "{\"type\":\"BPE\",\"unk_token\":\"u\",\"vocab\":{\"a\":0,\"aa\":1,\"aaaa\":2,\"b\":3},"
                           "\"merges\":[\"a a\",[\"aa\",\"aa\"]]}");
    Tokenizer *t = load(put("t.json", text, strlen(text)), a);
    char *word = NEW(a, char, N, &e);
    memset(word, 'a', N);
    TokenIds ids = {0};
    clock_t begun = clock(); /* CPU time: the machine may be busy */
    assert_true(tokenize(t, (Text){word, N}, 0, &ids, a, &e));
    assert_true(clock() - begun < 5 * CLOCKS_PER_SEC);
    assert_int_equal(ids.count, N / 4);
    assert_int_equal(ids.ids[0], 2);
    assert_int_equal(ids.ids[N / 4 - 1], 2);
    assert_true(arena_bytes(a) < 100 * (size_t)N);
    assert_false(tokenize(t, TEXT("ac"), 0, &ids, a, &e));
    assert_non_null(strstr(e.message, "unk_token 'u' is missing from the vocabulary, and the text needs it"));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(malformed),        cmocka_unit_test(decoders),
                                       cmocka_unit_test(last_byte_tokens), cmocka_unit_test(many_stages),
                                       cmocka_unit_test(merges),           cmocka_unit_test(long_words),
                                       cmocka_unit_test(charsmaps),        cmocka_unit_test(unigram)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
