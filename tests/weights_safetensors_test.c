/* tests/weights_safetensors_test.c: valid and malformed safetensors with their index; files that are not weights. */
#include "tests/weights_testing.h"

static void put_safetensors(const char *name, const char *header, size_t data)
{
    size_t n = strlen(header);
    char *file = calloc(1, 8 + n + data);
    memcpy(file, &n, 8);
    memcpy(file + 8, header, n);
    put(name, file, 8 + n + data);
    free(file);
}

static void safetensors_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *why;
    } table[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}", 8, "x.safetensors:1:"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}x", 8, "x.safetensors:1:"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"F32\",\"shape\":[0],"
         "\"data_offsets\":[8,8]}}",
         8, "a"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "tensor a: ends at byte 8 of 7"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, "1 bytes after the last tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
         "shape [3] of F32 does not fit its 8 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "does not fit"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, "does not fit"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,0,2],\"data_offsets\":[0,0]}}", 8, "after the last"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "invalid length"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "invalid length"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", 4, "invalid length"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "9 dimensions"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "dtype F8_E4M3"},
        {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "expected dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "expected dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "expected dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "expected dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "not a range"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "not a range"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[18446744073709551612,0]}}", 4, "not a range"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "leaving a gap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],"
         "\"data_offsets\":[4,12]}}",
         12, "tensor b: begins at byte 4, inside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],"
         "\"data_offsets\":[8,12]}}",
         12, "tensor b: begins at byte 8, leaving a gap"},
        {"{\"a\":[]}", 0, "expected dtype"},
        {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "NUL"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "not a string"},
        {"[1]", 0, "does not begin with '{'"},
        {"", 8, "does not begin with '{'"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        put_safetensors("x.safetensors", table[i].header, table[i].data);
        must_fail(at("x.safetensors"), table[i].why);
    }
    put("x.safetensors", "", 0);
    must_fail(at("x.safetensors"), "too few");
    put("x.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    must_fail(at("x.safetensors"), "at most 100000000");
    put("x.safetensors", "\1\xe1\xf5\5\0\0\0\0{}", 10); /* 100,000,001 */
    must_fail(at("x.safetensors"), "at most 100000000");
    put("x.safetensors", "\3\0\0\0\0\0\0\0{}", 10);
    must_fail(at("x.safetensors"), "truncated?");
    /* 100,000,000, with this number of bytes after it: a sparse file */
    put("x.safetensors", "\0\xe1\xf5\5\0\0\0\0{", 9);
    assert_int_equal(truncate(at("x.safetensors"), 100000008), 0);
    must_fail(at("x.safetensors"), "x.safetensors:1:");
    must_fail(at("absent.safetensors"), "No such file");
    must_fail(folder, "contains no model.safetensors");
    put("x.bin", "version https://git-lfs.github.com/spec/v1\n", 43);
    must_fail(at("x.bin"), "git lfs pull");
    put("x.bin", "\x93NUMPY\1\0 ", 9);
    must_fail(at("x.bin"), "NumPy");
    put("x.bin", "\x80\4N.", 4);
    must_fail(at("x.bin"), "plain pickle");
    put("x.bin", "\xff\xd8\xff", 3);
    must_fail(at("x.bin"), "not a safetensors file or a torch file");
}

static void write_two(const char *path)
{
    Error e = {0};
    SafetensorsOut *s = safetensors_open(path, NULL, &e);
    assert_non_null(s);
    float a[6] = {1, 2, 3, 4, 5, 6};
    int64_t b = -7;
    assert_true(safetensors_meta(s, "format", "pt", &e));
    assert_true(safetensors_meta(s, "said", "a \"quote\"\n", &e));
    assert_true(safetensors_declare(s, "layer.weight", F32, 2, (const int64_t[]){2, 3}, &e));
    assert_true(safetensors_declare(s, "steps", I64, 0, NULL, &e));
    assert_true(safetensors_declare(s, "none", F32, 2, (const int64_t[]){0, 3}, &e));
    assert_true(safetensors_data(s, a, 10, &e)); /* any split */
    assert_true(safetensors_data(s, (char *)a + 10, 14, &e));
    assert_true(safetensors_data(s, &b, 8, &e));
    assert_true(safetensors_commit(s, &e));
}

static void safetensors_are_read_back(void **state)
{
    (void)state;
    Error e = {0};
    write_two(at("a.safetensors"));
    write_two(at("b.safetensors"));
    Map x, y;
    assert_true(map_open(&x, at("a.safetensors"), &e) && map_open(&y, at("b.safetensors"), &e));
    assert_int_equal(x.bytes, y.bytes);
    assert_memory_equal(x.data, y.data, x.bytes);
    map_close(&x);
    map_close(&y);
    Arena *a = arena_new(NULL, 0);
    Weights *w = weights_open(at("a.safetensors"), a, &e);
    if (!w)
        fail_msg("%s", e.message);
    assert_int_equal(weights_count(w), 3);
    assert_string_equal(weights_at(w, 0)->name.p, "layer.weight");
    assert_null(weights_at(w, 3));
    const Array *t = weights_need(w, &e, "layer.weight", 2, 2, -1);
    assert_non_null(t);
    assert_int_equal((uintptr_t)t->data % 64, 0);
    float f[2];
    array_f32(t, 4, 2, f);
    assert_true(f[0] == 5 && f[1] == 6);
    int64_t steps;
    array_i64(weights_find(w, "steps"), 0, 1, &steps);
    assert_int_equal(steps, -7);
    assert_string_equal(json_cstring(json_get(weights_metadata(w), "said")), "a \"quote\"\n");
    assert_null(weights_need(w, &e, "layer.weight", 2, 3, 2));
    assert_non_null(strstr(e.message, "tensor layer.weight: has shape [2, 3], expected [3, 2]"));
    error_clear(&e);
    assert_null(weights_need(w, &e, "layer.bias", 1, 3));
    assert_non_null(strstr(e.message, "tensor layer.bias: is missing"));
    error_clear(&e);
    weights_close(w);
    arena_free(a);

    SafetensorsOut *s = safetensors_open(at("c.safetensors"), NULL, &e);
    assert_true(safetensors_declare(s, "a", F32, 1, (const int64_t[]){2}, &e));
    assert_false(safetensors_declare(s, "a", F32, 1, (const int64_t[]){2}, &e));
    error_clear(&e);
    assert_false(safetensors_declare(s, "big", F32, 2, (const int64_t[]){INT64_MAX, 4}, &e));
    error_clear(&e);
    assert_true(safetensors_data(s, f, 4, &e));
    assert_false(safetensors_data(s, f, 8, &e));
    error_clear(&e);
    assert_false(safetensors_commit(s, &e));
    assert_non_null(strstr(e.message, "4 of the declared 8 bytes"));
    assert_false(file_exists(at("c.safetensors")));
}

static void safetensors_index(void **state)
{
    (void)state;
    put_safetensors("m-1.safetensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
    put_safetensors("m-2.safetensors", "{\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3);
    static const struct {
        const char *text, *why;
    } table[] = {
        {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\"}}",
         "tensor b: is not in m-1.safetensors"},
        {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-3.safetensors\"}}", "No such file"},
        {"{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", "in the same folder"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "in the same folder"},
        {"{\"weight_map\":{\"a\":\"model.safetensors.index.json\"}}",
         "is an index of weights; expected a file of weights"},
        {"{\"weight_map\":{\"a\":1}}", "in the same folder"},
        {"{\"weight_map\":{}}", "weight_map"},
        {"{\"a\":1}", "weight_map"},
        {"{\"weight_map\":", "index.json:1:"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        put("model.safetensors.index.json", table[i].text, strlen(table[i].text));
        must_fail(at("model.safetensors.index.json"), table[i].why);
    }
    const char *good = "{\"metadata\":{},\"weight_map\":{\"b\":\"m-2.safetensors\",\"a\":\"m-1.safetensors\"}}";
    put("model.safetensors.index.json", good, strlen(good));
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Weights *w = weights_open(folder, a, &e); /* opening the folder finds the index */
    if (!w)
        fail_msg("%s", e.message);
    assert_int_equal(weights_count(w), 2);
    assert_non_null(weights_need(w, &e, "b", 1, 3));
    weights_close(w);
    arena_free(a);
}

/* Checks that numbers whose memory was released are the same when they are read again, from a file and from memory. */
static void arrays_done(void **state)
{
    (void)state;
    enum { N = 40000 }; /* several pages */
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    float *x = NEW(a, float, N, &e), *y = NEW(a, float, N, &e);
    for (int i = 0; i < N; i++)
        x[i] = (float)(i + 1);
    SafetensorsOut *s = safetensors_open(at("many.safetensors"), NULL, &e);
    assert_true(safetensors_declare(s, "x", F32, 1, (const int64_t[]){N}, &e));
    assert_true(safetensors_data(s, x, N * sizeof *x, &e) && safetensors_commit(s, &e));
    Text bytes;
    assert_true(file_read(&bytes, a, at("many.safetensors"), 0, &e));
    const sp_file file = {"model.safetensors", bytes.p, bytes.n};
    const Files memory = {.folder = "memory", .list = &file, .count = 1};
    for (int in_memory = 0; in_memory < 2; in_memory++) {
        Weights *w = in_memory ? weights_open_files(&memory, a, &e) : weights_open(at("many.safetensors"), a, &e);
        if (!w)
            fail_msg("%s", e.message);
        const Array *t = weights_find(w, "x");
        assert_int_equal(t->mapped, !in_memory);
        for (int times = 0; times < 2; times++) {
            array_f32(t, 0, N, y);
            assert_memory_equal(x, y, N * sizeof *x);
            array_done(t);
        }
        weights_close(w);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_malformed),
        cmocka_unit_test(safetensors_are_read_back),
        cmocka_unit_test(safetensors_index),
        cmocka_unit_test(arrays_done),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
