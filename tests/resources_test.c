/* tests/resources_test.c: small hostile files. Each reader of texts and weights needs less than 64 MB plus 20 bytes per
 * byte of input, whatever the input is, and time in proportion to it. The heap refuses more memory. The whole program
 * has SECONDS of processor time: a reader of quadratic time would need minutes for these sizes. A file is read, or
 * there is an error of one line. */
#include "extractors/extractors.h"
#include "tokenizers/tokenizers.h"
#include "tools/ducho/extract.h"
#include "weights/weights.h"

#include "tests/bounds.h"

static void number(Bytes *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++, v >>= 8) {
        char low = (char)v;
        add_bytes(b, &low, 1);
    }
}

/* ---- JSON and safetensors -------------------------------------------------------------------- */

static void json(const char *what, Bytes *b, const char *why)
{
    Error e = {0};
    TestHeap h;
    test_heap_bounded(&h, b->n);
    Arena *a = arena_new(&h.heap, 0);
    bool ok = json_parse(a, (Text){b->p, b->n}, "j", &e);
    check(what, ok, why, &e, &h);
    arena_free(a);
    assert_int_equal(h.live, 0);
    *b = (Bytes){.p = b->p, .room = b->room};
}

static void small_json_values(void **state)
{
    (void)state;
    static const char *const VALUES[] = {"0,", "[],", "{},", "\"\",", "{\"\":0},", "[0,0,0,0,0,0,0,0,0],"};
    Bytes b = {0};
    for (size_t i = 0; i < COUNT(VALUES); i++) {
        print(&b, "[");
        repeat(&b, text_of(VALUES[i]), (i ? 10u : 100u) * 1000 * 1000 / strlen(VALUES[i]));
        print(&b, "0]");
        json(VALUES[i], &b, "too many small values for a file of this size");
    }
    print(&b, "{");
    for (int i = 0; i < 200000; i++)
        print(&b, "\"%x\":0,", i);
    print(&b, "\"\":0}");
    json("an object of many keys", &b, NULL);
    print(&b, "[");
    repeat(&b, TEXT("1234567,"), 600000); /* many numbers, not small ones */
    print(&b, "0]");
    json("a list of numbers", &b, NULL);
    free(b.p);
}

static void weights(const char *what, const char *path, size_t bytes, const char *why)
{
    Error e = {0};
    TestHeap h;
    test_heap_bounded(&h, bytes);
    Arena *a = arena_new(&h.heap, 0);
    Weights *w = weights_open(path, a, &e);
    check(what, w, why, &e, &h);
    weights_close(w);
    arena_free(a);
    assert_int_equal(h.live, 0);
}

static void safetensors(const char *what, Bytes *header, const char *why)
{
    Bytes b = {0};
    number(&b, header->n, 8);
    add_bytes(&b, header->p, header->n);
    weights(what, put("x.safetensors", &b), b.n, why);
    free(b.p);
    *header = (Bytes){.p = header->p, .room = header->room};
}

static void safetensors_headers(void **state)
{
    (void)state;
    Bytes b = {0};
    print(&b, "{\"__metadata__\":[");
    repeat(&b, TEXT("0,"), 49000000); /* 98 MB; the limit of a safetensors header is 100 MB */
    print(&b, "0]}");
    safetensors("a list of small numbers", &b, "too many small values");
    print(&b, "{");
    for (int i = 0; i < 60000; i++)
        print(&b, "%s\"%x\":{\"dtype\":\"U8\",\"shape\":[0,0,0,0,0,0,0,0],\"data_offsets\":[0,0]}", i ? "," : "", i);
    print(&b, "}");
    safetensors("empty tensors of eight dimensions", &b, NULL);
    print(&b, "{");
    for (int i = 0; i < 100000; i++)
        print(&b, "%s\"%x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "", i);
    print(&b, "}");
    safetensors("empty tensors", &b, NULL);
    free(b.p);
}

/* ---- torch files ----------------------------------------------------------------------------- */

#define STORAGE "(U\7storagectorch\nFloatStorage\nU\0010U\3cpuK\4tQ"
#define TENSOR  "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\0(K\4t(K\1t\x89NtR"

/* Writes a torch archive of data.pkl and four floats, and checks that it cannot be loaded for the reason `why`. If
 * claims > 0, data.pkl is marked as deflated, with an unpacked size of `claims` bytes. */
static void torch_file(const char *what, Bytes *pickle, uint64_t claims, const char *why)
{
    static const char *const NAMES[] = {"a/data.pkl", "a/data/0"};
    Bytes b = {0}, directory = {0};
    for (int i = 0; i < 2; i++) {
        uint64_t at = b.n, bytes = i ? 16 : pickle->n, method = !i && claims ? 8 : 0;
        for (int central = 0; central < 2; central++) {
            Bytes *to = central ? &directory : &b;
            number(to, central ? 0x02014b50 : 0x04034b50, 4);
            number(to, 0, central ? 6 : 4); /* versions, flags */
            number(to, method, 2);
            number(to, 0, 8); /* time, checksum */
            number(to, bytes, 4);
            number(to, method ? claims : bytes, 4);
            number(to, strlen(NAMES[i]), 2);
            number(to, 0, central ? 12 : 2); /* extra; comment, disk, attributes */
            if (central)
                number(to, at, 4);
            print(to, "%s", NAMES[i]);
        }
        add_bytes(&b, i ? "0123456789abcdef" : pickle->p, bytes);
    }
    uint64_t start = b.n;
    add_bytes(&b, directory.p, directory.n);
    number(&b, 0x06054b50, 4);
    number(&b, 0, 4);
    number(&b, 2, 2);
    number(&b, 2, 2);
    number(&b, directory.n, 4);
    number(&b, start, 4);
    number(&b, 0, 2);
    weights(what, put("x.pt", &b), b.n, why);
    free(b.p);
    free(directory.p);
    *pickle = (Bytes){.p = pickle->p, .room = pickle->room};
}

static void long_key(Bytes *b, size_t n)
{
    print(b, "X");
    number(b, n, 4);
    repeat(b, TEXT("k"), n);
}

/* Level 0 is a tensor. Each further level is a dictionary with `fan` keys whose values are all the previous level. */
static void levels(Bytes *b, int depth, int fan)
{
    add_bytes(b,
              TENSOR "q\0"
                     "0",
              sizeof TENSOR - 1 + 3);
    for (int l = 1; l <= depth; l++) {
        print(b, "}(");
        for (int f = 0; f < fan; f++) {
            print(b, "U\1%c", 'A' + f);
            add_bytes(b, (char[]){'h', (char)(l - 1)}, 2);
        }
        print(b, "uq%c0", l);
    }
    add_bytes(b, (char[]){'h', (char)depth, '.'}, 3);
}

static void torch_files(void **state)
{
    (void)state;
    static const char PROPORTION[] = "too large for a file of this size";
    Bytes b = {0};
    add_bytes(&b,
              "}" TENSOR "q\0"
              "0(",
              sizeof TENSOR - 1 + 5);
    long_key(&b, 10 * 1000 * 1000);
    print(&b, "](");
    repeat(&b, (Text){"h\0", 2}, 200000);
    print(&b, "eu.");
    torch_file("a tensor 200,000 times under a key of 10 MB", &b, 0, PROPORTION);
    levels(&b, 20, 40);
    torch_file("dictionaries of dictionaries", &b, 0, PROPORTION);
    levels(&b, 7, 10);
    torch_file("dictionaries of fewer", &b, 0, PROPORTION);
    add_bytes(&b,
              TENSOR "q\0"
                     "0](",
              sizeof TENSOR - 1 + 5);
    repeat(&b, (Text){"h\0", 2}, 500000);
    print(&b, "e.");
    torch_file("a list of one tensor", &b, 0, PROPORTION);
    repeat(&b, TEXT("N0"), 3000000);
    print(&b, "N.");
    torch_file("values that are thrown away", &b, 0, PROPORTION);
    print(&b, "](");
    repeat(&b, TEXT(")"), 5000000);
    print(&b, "e.");
    torch_file("empty tuples", &b, 0, PROPORTION);
    print(&b, "]q");
    number(&b, 0, 1);
    print(&b, "0}(");
    long_key(&b, 1000 * 1000);
    add_bytes(&b,
              "h\0uq\1"
              "0](",
              8);
    repeat(&b, (Text){"h\1", 2}, 1000000);
    print(&b, "e.");
    torch_file("a long key of nothing, again and again", &b, 0, "too many nested values");
#ifdef HAVE_ZLIB
    repeat(&b, TEXT("0"), 1000 * 1000);
    torch_file("a packed pickle", &b, 1000 * 1000 * 1000, "cannot unpack to");
#endif
    free(b.p);
}

/* ---- tokenizers ------------------------------------------------------------------------------ */

#define VOCABULARY "{\"[UNK]\":0,\"a\":1,\"##a\":2,\"b\":3}"

/* Appends a tokenizer.json (WordPiece) to `b`. added: the added tokens; after: the post-processor. Both are JSON, or
 * NULL for none. */
static void tokenizer_json(Bytes *b, const Bytes *added, const Bytes *after, const char *vocabulary)
{
    print(
        b,
        "{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
        "\"vocab\":");
    add_bytes(b, vocabulary, strlen(vocabulary));
    print(b, "},\"added_tokens\":[");
    add_bytes(b, added ? added->p : "", added ? added->n : 0);
    print(b, "],\"post_processor\":");
    add_bytes(b, after ? after->p : "null", after ? after->n : 4);
    print(b, "}");
}

/* Loads the tokenizer and splits `text`, if given. Checks memory, time and the expected error `why` (`check`). Returns
 * the number of ids. */
static size_t tokenizer(const char *what, const char *path, size_t bytes, const Bytes *text, const char *why)
{
    Error e = {0};
    TestHeap h;
    TokenIds ids = {0};
    bytes += text ? text->n : 0;
    test_heap_bounded(&h, bytes);
    Arena *a = arena_new(&h.heap, 0);
    Tokenizer *t = tokenizer_load(path, a, &e);
    bool ok = t && (!text || tokenize(t, (Text){text->p, text->n}, 0, &ids, a, &e));
    check(what, ok, why, &e, &h);
    arena_free(a);
    assert_int_equal(h.live, 0);
    return ids.count;
}

/* Splits `text`, finds the places of its tokens, and decodes them. Checks that the memory is linear in the text, and
 * that there are `count` tokens. */
static void check_places(const char *what, const char *path, const Bytes *text, size_t count)
{
    Error e = {0};
    TestHeap h;
    TokenList list = {0};
    Text back, whole = {text->p, text->n};
    Arena *a = arena_new(NULL, 0);
    Tokenizer *t = tokenizer_load(path, a, &e);
    test_heap_bounded(&h, 15 * text->n); /* 300 bytes per byte */
    Arena *scratch = arena_new(&h.heap, 0);
    bool ok = t && tokenize_texts(t, &whole, 1, &(TokenOptions){0}, &list, scratch, &e) &&
              token_code_points(&list, 0, whole, scratch, &e) &&
              detokenize(t, list.ids, list.count, &(DecodeOptions){0}, &back, scratch, &e);
    check(what, ok, NULL, &e, &h);
    assert_int_equal(list.count, count);
    arena_free(scratch);
    arena_free(a);
    assert_int_equal(h.live, 0);
}

/* Loads a tokenizer.json with the added tokens `added` (JSON), and splits `text`, if given. Checks memory, time and the
 * expected error `why`; `what` names the case. Clears `added`. Returns the number of ids. */
static size_t check_added(const char *what, Bytes *added, const Bytes *text, const char *why)
{
    Bytes b = {0};
    tokenizer_json(&b, added, NULL, VOCABULARY);
    const char *path = put("tokenizer.json", &b);
    size_t n = tokenizer(what, path, b.n, text, why);
    if (text)
        check_places(what, path, text, n);
    free(b.p);
    *added = (Bytes){.p = added->p, .room = added->room};
    return n;
}

static void added_tokens(void **state)
{
    (void)state;
    Bytes b = {0}, text = {0};
    for (int i = 0; i < 1000000; i++)
        print(&b, "%s{\"content\":\"a%06d\"}", i ? "," : "", i);
    check_added("a million added tokens with the same first byte", &b, NULL,
                "1000000 added tokens; at most 200000 are supported");
    for (int i = 0; i < 100000; i++)
        print(&b, "%s{\"content\":\"a%06d\"}", i ? "," : "", i);
    repeat(&text, TEXT("a000017 aa"), 100000);
    assert_int_equal(check_added("100,000 added tokens with the same first byte", &b, &text, NULL), 300000);
    text.n = 0;
    repeat(&text, TEXT("a"), 300000);
    for (int i = 1; i <= 255; i++) {
        print(&b, "%s{\"content\":\"", i > 1 ? "," : "");
        add_bytes(&b, text.p, (size_t)i);
        print(&b, "%s\"}", i == 255 ? "" : "b");
    }
    check_added("added tokens that share their beginnings", &b, &text, NULL);
    print(&b, "{\"content\":\" \",\"lstrip\":true,\"rstrip\":true}");
    text.n = 0;
    repeat(&text, TEXT(" "), 1000000);
    assert_int_equal(check_added("an added token that strips white space", &b, &text, NULL), 1000000);
    print(&b, "{\"content\":\"");
    repeat(&b, TEXT("x"), 10000);
    print(&b, "\"}");
    check_added("an added token that is too long", &b, NULL,
                "an added token of 10000 bytes; at most 256 are supported");
    free(b.p);
    free(text.p);
}

/* Loads a tokenizer.json with the post-processor `after` (JSON), then clears `after`. See check_added. */
static void check_processor(const char *what, Bytes *after, const char *why)
{
    Bytes b = {0};
    tokenizer_json(&b, NULL, after, VOCABULARY);
    tokenizer(what, put("tokenizer.json", &b), b.n, NULL, why);
    free(b.p);
    *after = (Bytes){.p = after->p, .room = after->room};
}

static void templates(void **state)
{
    (void)state;
    Bytes b = {0};
    for (size_t n = 100000; n <= 1000000; n *= 10) {
        print(&b, "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{\"Sequence\":{"
                  "\"id\":\"A\"}}],"
                  "\"special_tokens\":{\"x\":{\"ids\":[");
        repeat(&b, TEXT("10,"), n);
        print(&b, "1]}}}");
        check_processor("a special token with many ids", &b,
                        n > 100000 ? "too many small values for a file of this size"
                                   : "more than 64 special tokens around a text");
    }
    print(&b, "{\"type\":\"TemplateProcessing\",\"single\":[");
    for (int i = 0; i < 20000; i++)
        print(&b, "{\"SpecialToken\":{\"id\":\"%d\"}},", i);
    print(&b, "{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{");
    for (int i = 0; i < 20000; i++)
        print(&b, "%s\"%d\":{\"ids\":[]}", i ? "," : "", i);
    print(&b, "}}");
    check_processor("special tokens without ids", &b, "has 20001 parts; at most 129 are supported");
    free(b.p);
}

static void vocabularies(void **state)
{
    (void)state;
    Bytes v = {0}, b = {0}, text = {0};
    print(&v, "{");
    for (int i = 0; i < 50000; i++)
        print(&v, "\"%x\":%d,", i, 16 * (50000 - i));
    add_bytes(&v, "\"[UNK]\":0}", 11);
    tokenizer_json(&b, NULL, NULL, v.p);
    tokenizer("ids far apart", put("tokenizer.json", &b), b.n, NULL, "is out of range for 50001 tokens");
    b.n = 0;
    print(&b, "[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\n");
    repeat(&b, TEXT("\n"), 10 * 1000 * 1000);
    tokenizer("empty lines", put("vocab.txt", &b), b.n, NULL, "more than 2097152 tokens");
    b.n = strlen("[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\n");
    repeat(&b, TEXT("\n"), 2 * 1000 * 1000);
    tokenizer("fewer empty lines", put("vocab.txt", &b), b.n, NULL, NULL);
    /* each letter of a word of a's becomes one piece. The 99 pieces ##ab, ##abb, ... begin with a, too, so longer
     * matches are tried at each place */
    b.n = v.n = 0;
    print(&v, "{\"[UNK]\":0,\"a\":1,\"##a\":2");
    for (int i = 1; i < 100; i++) {
        print(&v, ",\"##a");
        repeat(&v, TEXT("b"), (size_t)i);
        print(&v, "\":%d", i + 2);
    }
    add_bytes(&v, "}", 2);
    tokenizer_json(&b, NULL, NULL, v.p);
    repeat(&text, TEXT("a"), 99);
    print(&text, " ");
    for (size_t i = 0, n = text.n; i < 5000; i++)
        print(&text, "%.*s", (int)n, text.p);
    const char *path = put("tokenizer.json", &b);
    assert_int_equal(tokenizer("long words", path, b.n, &text, NULL), 99 * 5001);
    check_places("long words", path, &text, 99 * 5001);
    text.n = 0;
    repeat(&text, TEXT("."), 3000000);
    assert_int_equal(tokenizer("one line", path, b.n, &text, NULL), 3000000);
    check_places("one line", path, &text, 3000000);
    b.n = v.n = 0;
    free(v.p);
    free(b.p);
    free(text.p);
}

/* ---- YAML ------------------------------------------------------------------------------------ */

#ifdef HAVE_YAML

static void yaml(const char *what, Bytes *b, const char *why)
{
    Error e = {0};
    TestHeap h;
    Extraction *list;
    size_t n;
    test_heap_bounded(&h, b->n);
    Arena *a = arena_new(&h.heap, 0);
    const Yaml *root = yaml_parse(a, (Text){b->p, b->n}, "c.yml", &e);
    bool ok = root && extraction_plan(&list, &n, root, a, &e);
    check(what, ok, why, &e, &h);
    arena_free(a);
    assert_int_equal(h.live, 0);
    *b = (Bytes){.p = b->p, .room = b->room};
}

#define MODELS "dataset_path: d\nvisual:\n  items:\n    input_path: i\n    output_path: o\n    model:\n"

static void configurations(void **state)
{
    (void)state;
    Bytes b = {0};
    for (int i = 0; i < 900; i++)
        print(&b, "a%d: &n%d x\n", i, i);
    print(&b, "b:\n");
    repeat(&b, TEXT("- *n0\n"), 3000000);
    yaml("aliases", &b, "more than 20000 values");
    print(&b, "b:\n");
    size_t from = b.n;
    print(&b, "- {");
    for (int k = 0; k < 1000; k++)
        print(&b, "k%d: x,", k);
    print(&b, "}\n");
    char *map = malloc(b.n - from);
    assert_non_null(map);
    memcpy(map, b.p + from, b.n - from);
    repeat(&b, (Text){map, b.n - from}, 8900);
    free(map);
    assert_true(b.n > 70 * 1000 * 1000);
    yaml("keys", &b, "more than 20000 values");
    for (int i = 0; i < 1000000; i++)
        print(&b, "k%d: x\n", i);
    repeat(&b, TEXT("k: x\n"), 12000000); /* 70 MB in all */
    yaml("keys of one map", &b, "more than 1000 keys");
    for (int i = 0; i < 200000; i++)
        print(&b, "%%TAG !a%d! x%s", i, i % 2 ? "\r" : "\n");
    print(&b, "---\na: b\n");
    yaml("tags", &b, "more than 100 %TAG lines");
    print(&b, MODELS "      - {model_name: m, backend: torch, output_layers: &l [");
    for (int i = 0; i < 4000; i++)
        print(&b, "x%d,", i);
    print(&b, "]}\n");
    for (int i = 0; i < 1500; i++)
        print(&b, "      - {model_name: m%d, backend: torch, output_layers: *l}\n", i);
    yaml("layers times models", &b, "more than 4096 extractions are not supported");
    print(&b, MODELS "      - {model_name: ");
    repeat(&b, TEXT("m"), 1000000);
    print(&b, ", backend: torch, output_layers: [a, b]}\n");
    yaml("a long name", &b, "longer than 4096 bytes");
    free(b.p);
}
#endif

/* ---- a model's settings ---------------------------------------------------------------------- */

static void modules_of_a_pipeline(void **state)
{
    (void)state;
    static const char *const FILES[] = {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt"};
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Bytes b = {0};
    for (size_t i = 0; i < COUNT(FILES); i++) {
        Text text;
        if (file_read(&text, a, drawn(arena_printf(a, &e, "tests/golden/encoders/bert/%s", FILES[i])), 0, &e))
            test_write(folder, FILES[i], text);
        error_clear(&e);
    }
    print(&b, "[");
    repeat(&b, TEXT("{\"type\":\"Transformer\",\"path\":\"\"},"), 1500);
    print(&b, "{\"type\":\"Normalize\",\"path\":\"\"}]");
    put("modules.json", &b);
    Device d;
    assert_ok(device_open(&d, NULL, 1, NULL, NULL, &e), e);
    assert_null(encoder_open(&d, folder, &(EncoderOptions){0}, &e));
    assert_error(e, SP_UNSUPPORTED, "1501 modules; at most 16 are supported");
    device_close(&d);
    arena_free(a);
    free(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_json_values),     cmocka_unit_test(safetensors_headers), cmocka_unit_test(torch_files),
        cmocka_unit_test(added_tokens),          cmocka_unit_test(templates),           cmocka_unit_test(vocabularies),
#ifdef HAVE_YAML
        cmocka_unit_test(configurations),
#endif
        cmocka_unit_test(modules_of_a_pipeline),
    };

    test_folder(folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_folder_remove(folder);
    return failed;
}
