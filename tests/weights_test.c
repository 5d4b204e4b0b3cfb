/* tests/weights_test.c: files of numbers, well formed and not. Goldens: tests/golden/make_weights.py, which also calls
 * `weights_test FILE` and compares every tensor that it writes to standard output with torch's. */
#include "weights/weights.h" /* before cmocka, which has a macro named fail */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/sapor-weights-XXXXXX";

static const char *at(const char *name)
{
    static char path[4][512];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void put(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
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

/* The one line must say why. */
static void must_fail(const char *path, const char *why)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Weights *w = weights_open(path, a, &e);
    if (w || !strstr(e.message, why) || strchr(e.message, '\n'))
        fail_msg("%s: wanted \"%s\", got \"%s\"", path, why, w ? "success" : e.message);
    arena_free(a);
}

/* ---- conversion ---------------------------------------------------------------------------------------------------- */

static void every_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint16_t bits = (uint16_t)h;
        Array a = {.type = F16, .dims = 1, .shape = {1}, .count = 1, .data = &bits};
        float f;
        array_f32(&a, 0, 1, &f);
        int exponent = h >> 10 & 31, fraction = h & 1023;
        double expect = exponent == 31  ? (fraction ? NAN : INFINITY)
                        : exponent == 0 ? ldexp(fraction, -24)
                                        : ldexp(1024 + fraction, exponent - 25);
        if (isnan(expect))
            assert_true(isnan(f));
        else
            assert_true((double)f == (h & 0x8000 ? -expect : expect) && !!signbit(f) == !!(h & 0x8000));
        a.type = BF16;
        uint32_t wide = h << 16, got;
        array_f32(&a, 0, 1, &f);
        memcpy(&got, &f, 4);
        assert_true(got == wide);
    }
}

static void conversions(void **state)
{
    (void)state;
    unsigned char odd[1 + 3 * 8];
    double d[3] = {1.5, -2.75, 1e300};
    memcpy(odd + 1, d, sizeof d); /* at an odd address */
    Array a = {.type = F64, .dims = 1, .shape = {3}, .count = 3, .data = odd + 1};
    float f[3];
    int64_t i[3];
    array_f32(&a, 0, 3, f);
    array_i64(&a, 0, 3, i);
    assert_true(f[0] == 1.5f && f[1] == -2.75f && isinf(f[2]));
    assert_true(i[0] == 1 && i[1] == -2 && i[2] == INT64_MAX);
    array_f32(&a, 1, 1, f);
    assert_true(f[0] == -2.75f);
    const struct {
        DType type;
        unsigned char bytes[8];
        int64_t value;
        bool integer;
    } table[] = {
        {I64, {0xfe, 255, 255, 255, 255, 255, 255, 255}, -2, true},
        {I32, {0xfe, 255, 255, 255}, -2, true},
        {I16, {0xfe, 255}, -2, true},
        {I8, {0xfe}, -2, true},
        {U8, {0xfe}, 254, true},
        {BOOL8, {7}, 1, true},
        {F32, {0, 0, 0, 0xc0}, -2, false},
        {F16, {0, 0xc0}, -2, false},
        {BF16, {0, 0xc0}, -2, false},
    };
    for (size_t k = 0; k < COUNT(table); k++) {
        a = (Array){.type = table[k].type, .dims = 0, .count = 1, .data = table[k].bytes};
        array_f32(&a, 0, 1, f);
        array_i64(&a, 0, 1, i);
        assert_true(f[0] == (float)table[k].value);
        assert_int_equal(i[0], table[k].value);
        assert_int_equal(array_is_integer(&a), table[k].integer);
    }
}

/* ---- safetensors --------------------------------------------------------------------------------------------------- */

static void put_safetensors(const char *path, const char *header, size_t data)
{
    size_t n = strlen(header);
    char *file = calloc(1, 8 + n + data);
    memcpy(file, &n, 8);
    memcpy(file + 8, header, n);
    put(path, file, 8 + n + data);
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
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, "1 bytes behind the last tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
         "shape [3] of F32 does not fill its 8 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "does not fill"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, "does not fill"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,0,2],\"data_offsets\":[0,0]}}", 8, "behind the last"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "not a length"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "not a length"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", 4, "not a length"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "9 dimensions"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "dtype F8_E4M3"},
        {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "needs dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "needs dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "needs dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "needs dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "not a range"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "not a range"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[18446744073709551612,0]}}", 4, "not a range"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "leaving a hole"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],"
         "\"data_offsets\":[4,12]}}",
         12, "tensor b: begins at byte 4, inside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],"
         "\"data_offsets\":[8,12]}}",
         12, "tensor b: begins at byte 8, leaving a hole"},
        {"{\"a\":[]}", 0, "needs dtype"},
        {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "NUL"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "not a string"},
        {"[1]", 0, "does not begin with '{'"},
        {"", 8, "does not begin with '{'"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        put_safetensors(at("x.safetensors"), table[i].header, table[i].data);
        must_fail(at("x.safetensors"), table[i].why);
    }
    put(at("x.safetensors"), "", 0);
    must_fail(at("x.safetensors"), "too few");
    put(at("x.safetensors"), "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    must_fail(at("x.safetensors"), "at most 100000000");
    put(at("x.safetensors"), "\1\xe1\xf5\5\0\0\0\0{}", 10); /* 100,000,001 */
    must_fail(at("x.safetensors"), "at most 100000000");
    put(at("x.safetensors"), "\3\0\0\0\0\0\0\0{}", 10);
    must_fail(at("x.safetensors"), "truncated?");
    put(at("x.safetensors"), "\0\xe1\xf5\5\0\0\0\0{",
        9); /* 100,000,000, and as many bytes behind it, which a hole in the file holds */
    assert_int_equal(truncate(at("x.safetensors"), 100000008), 0);
    must_fail(at("x.safetensors"), "x.safetensors:1:");
    must_fail(at("absent.safetensors"), "No such file");
    must_fail(folder, "holds no model.safetensors");
    put(at("x.bin"), "version https://git-lfs.github.com/spec/v1\n", 43);
    must_fail(at("x.bin"), "git lfs pull");
    put(at("x.bin"), "\x93NUMPY\1\0 ", 9);
    must_fail(at("x.bin"), "NumPy");
    put(at("x.bin"), "\x80\4N.", 4);
    must_fail(at("x.bin"), "bare pickle");
    put(at("x.bin"), "\xff\xd8\xff", 3);
    must_fail(at("x.bin"), "neither safetensors nor a torch file");
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

static void safetensors_round(void **state)
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
    assert_non_null(strstr(e.message, "tensor layer.weight: has shape [2, 3], needs [3, 2]"));
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
    put_safetensors(at("m-1.safetensors"), "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
    put_safetensors(at("m-2.safetensors"), "{\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3);
    static const struct {
        const char *text, *why;
    } table[] = {
        {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\"}}", "tensor b: is not in m-1.safetensors"},
        {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-3.safetensors\"}}", "No such file"},
        {"{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", "beside the index"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "beside the index"},
        {"{\"weight_map\":{\"a\":\"model.safetensors.index.json\"}}", "an index where weights are due"},
        {"{\"weight_map\":{\"a\":1}}", "beside the index"},
        {"{\"weight_map\":{}}", "weight_map"},
        {"{\"a\":1}", "weight_map"},
        {"{\"weight_map\":", "index.json:1:"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        put(at("model.safetensors.index.json"), table[i].text, strlen(table[i].text));
        must_fail(at("model.safetensors.index.json"), table[i].why);
    }
    const char *good = "{\"metadata\":{},\"weight_map\":{\"b\":\"m-2.safetensors\",\"a\":\"m-1.safetensors\"}}";
    put(at("model.safetensors.index.json"), good, strlen(good));
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Weights *w = weights_open(folder, a, &e); /* the folder: finds the index */
    if (!w)
        fail_msg("%s", e.message);
    assert_int_equal(weights_count(w), 2);
    assert_non_null(weights_need(w, &e, "b", 1, 3));
    weights_close(w);
    arena_free(a);
}

/* ---- npy ----------------------------------------------------------------------------------------------------------- */

static void put_npy(const char *path, const char *header, size_t data)
{
    char file[1024] = "\x93NUMPY\1\0";
    size_t n = strlen(header);
    file[8] = (char)n;
    memcpy(file + 10, header, n);
    put(path, file, 10 + n + data);
}

static void npy_files(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *why; /* NULL: must open */
    } table[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n", 24, NULL},
        {"{\"shape\":(3L,),\"fortran_order\":False,\"descr\":\"|b1\"}", 3, NULL},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (), }", 8, NULL},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': (0, 7), }", 0, NULL},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24, "Fortran"},
        {"{'descr': '<f4', 'fortran_order': None, 'shape': (2, 3), }", 24, "neither"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", 24, "type '>f4'"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", 24, "type '|O'"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8, "structured"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 23, "truncated?"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 25, "does not fill"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 0, "does not fill"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4, "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 2), }", 8, "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4, "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 4, "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, }", 4, "lacks"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4, "twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'os': 'x'}", 4, "unknown key 'os'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + 1", 4, "goes on"},
        {"{'descr': '<f4", 4, "structured"},
        {"{", 4, "malformed"},
        {"", 4, "not a dictionary"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        put_npy(at("x.npy"), table[i].header, table[i].data);
        Error e = {0};
        Npy n;
        Arena *a = arena_new(NULL, 0);
        bool ok = npy_open(&n, at("x.npy"), a, &e);
        if (ok != !table[i].why || (!ok && !strstr(e.message, table[i].why)))
            fail_msg("%s: wanted %s, got \"%s\"", table[i].header, table[i].why ? table[i].why : "success", e.message);
        if (ok)
            npy_close(&n);
        arena_free(a);
    }
    Arena *a = arena_new(NULL, 0);
    static const struct {
        const char *bytes;
        size_t n;
    } starts[] = {{"\x93NUMPY\1\0\xff\xff{", 11},
                  {"\x93NUMPY\4\0\1\0{}", 12},
                  {"\x93NUMPY\2\0\xff\xff\xff\xff", 12},
                  {"\x93NUMPY\2\0\1\0", 10},
                  {"\x93NUMP", 5},
                  {"", 0}};
    for (size_t i = 0; i < COUNT(starts); i++) {
        Error e = {0};
        Npy n;
        put(at("x.npy"), starts[i].bytes, starts[i].n);
        assert_false(npy_open(&n, at("x.npy"), a, &e));
        assert_non_null(strstr(e.message, "x.npy: "));
    }
    arena_free(a);
}

static void npy_round(void **state)
{
    (void)state;
    Error e = {0};
    float x[6] = {1, 2, 3, 4, 5, -6};
    assert_true(npy_write_f32(at("y.npy"), 2, (const int64_t[]){2, 3}, x, NULL, &e));
    Arena *a = arena_new(NULL, 0);
    Npy n;
    assert_true(npy_open(&n, at("y.npy"), a, &e));
    assert_int_equal(n.array.dims, 2);
    assert_int_equal(n.array.shape[1], 3);
    assert_int_equal(n.map.bytes, 128 + 24); /* as numpy.save */
    float y;
    array_f32(&n.array, 5, 1, &y);
    assert_true(y == -6);
    npy_close(&n);
    NpyOut *o = npy_create(at("z.npy"), I64, 1, (const int64_t[]){3}, NULL, &e);
    assert_true(npy_data(o, x, 8, &e));
    assert_false(npy_commit(o, &e));
    assert_non_null(strstr(e.message, "8 of the declared 24"));
    assert_false(file_exists(at("z.npy")));
    error_clear(&e);
    assert_null(npy_create(at("z.npy"), BF16, 1, (const int64_t[]){3}, NULL, &e));
    assert_non_null(strstr(e.message, "BF16"));
    arena_free(a);
}

/* ---- torch files ---------------------------------------------------------------------------------------------------- */

#define GOLDEN "tests/golden/torch/"

static void torch_goldens(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text expect, line, column[5];
    assert_true(file_read(&expect, a, GOLDEN "expect.txt", 0, &e));
    FolderEntry *entries;
    size_t files, checked = 0;
    assert_true(folder_list(&entries, &files, a, "tests/golden/torch", &e));
    for (size_t i = 0; i < files; i++) {
        Text file = text_of(entries[i].name), what = file;
        if (!text_ends(file, ".pt"))
            continue;
        what.n = strcspn(what.p, ".");
        Weights *w = weights_open(arena_printf(a, &e, GOLDEN "%s", entries[i].name), a, &e);
#ifndef HAVE_ZLIB
        if (!w && e.code == SP_UNSUPPORTED && strstr(entries[i].name, "deflated")) {
            printf("# skipped: %s: this build has no zlib\n", entries[i].name);
            error_clear(&e);
            continue;
        }
#endif
        if (!w)
            fail_msg("%s", e.message);
        size_t n = 0;
        for (Text rest = expect; text_line(&rest, &line);) {
            for (int k = 0; k < 5; k++)
                if (!text_next(&line, '\t', &column[k]))
                    column[k] = TEXT("");
            if (!text_equal(column[0], what))
                continue;
            const Array *t = weights_at(w, n++);
            char shape[200] = "", *hex = NEW(a, char, 2 * (size_t)t->count * dtype_bytes(t->type) + 1, &e);
            for (int d = 0; d < t->dims; d++)
                snprintf(shape + strlen(shape), 20, "%s%d", d ? "," : "", (int)t->shape[d]);
            for (size_t b = 0; b < (size_t)t->count * dtype_bytes(t->type); b++)
                snprintf(hex + 2 * b, 3, "%02x", ((const unsigned char *)t->data)[b]);
            if (!text_equal(t->name, column[1]) || !text_is(column[2], dtype_name(t->type)) || !text_is(column[3], shape) ||
                !text_is(column[4], hex))
                fail_msg("%s: tensor %s differs", entries[i].name, t->name.p);
            checked++;
        }
        assert_int_equal(n, weights_count(w));
        weights_close(w);
    }
    assert_true(checked > 50);
    arena_free(a);
}

typedef struct Bytes {
    unsigned char data[4096];
    size_t n;
} Bytes;

static void add(Bytes *b, const void *data, size_t n)
{
    assert_true(b->n + n <= sizeof b->data);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void add_number(Bytes *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)(i < 8 ? v >> 8 * i : 0);
        add(b, &byte, 1);
    }
}

typedef struct Member {
    const char *name;
    const void *data;
    size_t n;
} Member;

/* A zip archive of stored members. */
static void put_zip(const char *path, const Member *members, size_t count)
{
    Bytes b = {.n = 0}, directory = {.n = 0};
    for (size_t i = 0; i < count; i++) {
        uint64_t offset = b.n, name = strlen(members[i].name);
        for (int central = 0; central < 2; central++) {
            Bytes *to = central ? &directory : &b;
            add_number(to, central ? 0x02014b50 : 0x04034b50, 4);
            add_number(to, 0, central ? 4 : 2); /* versions */
            add_number(to, 0, 12);              /* flags, method, time, checksum */
            add_number(to, members[i].n, 4);
            add_number(to, members[i].n, 4);
            add_number(to, name, 2);
            add_number(to, 0, central ? 12 : 2); /* extra; comment, disk, attributes */
            if (central)
                add_number(to, offset, 4);
            add(to, members[i].name, name);
        }
        add(&b, members[i].data, members[i].n);
    }
    uint64_t start = b.n;
    add(&b, directory.data, directory.n);
    add_number(&b, 0x06054b50, 4);
    add_number(&b, 0, 4);
    add_number(&b, count, 2);
    add_number(&b, count, 2);
    add_number(&b, directory.n, 4);
    add_number(&b, start, 4);
    add_number(&b, 0, 2);
    put(path, b.data, b.n);
}

#define STORAGE(type, key, length) "(U\7storagectorch\n" type "\nU\1" key "U\3cpuK" length "tQ"
#define REBUILD(storage, offset, size, stride)                                                                              \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage "K" offset size stride "\x89Nt"                                          \
    "R"
#define FLOATS(offset, size, stride) "}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), offset, size, stride) "s."
#define PICKLE(text, why)                                                                                                   \
    {                                                                                                                       \
        text, sizeof(text) - 1, why                                                                                         \
    }
#define PAIR(a, b) "(K" a "K" b "t"

/* data.pkl with a storage "0" of four floats beside it. */
static const struct {
    const char *pickle;
    size_t n;
    const char *why; /* NULL: must open */
} PICKLES[] = {
    PICKLE(FLOATS("\0", PAIR("\2", "\2"), PAIR("\2", "\1")), NULL),
    PICKLE(FLOATS("\1", PAIR("\3", "\1"), PAIR("\1", "\1")), NULL),
    PICKLE(FLOATS("\0", PAIR("\2", "\2"), PAIR("\0", "\0")), NULL),
    PICKLE(FLOATS("\0", ")", ")"), NULL),
    PICKLE(FLOATS("\4", PAIR("\0", "\2"), PAIR("\2", "\1")), NULL),
    PICKLE("\x80\2" FLOATS("\0", ")", ")"), NULL),
    /* circles, and calls that are not made */
    PICKLE("}q\0U\4selfh\0sU\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.", NULL),
    PICKLE("}U\3bomcos\nsystem\n(U\4exittRsU\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.", NULL),
    PICKLE("cmodel\nThing\n)\x81}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "sb.", NULL),
    PICKLE("(imodel\nThing\n}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "sb.", NULL),
    PICKLE("((cmodel\nThing\noU\1xt}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.", NULL),
    /* tensors that are not */
    PICKLE(FLOATS("\0", PAIR("\3", "\2"), PAIR("\2", "\1")), "tensor a: reaches beyond its storage of 4"),
    PICKLE(FLOATS("\1", PAIR("\2", "\2"), PAIR("\2", "\1")), "tensor a: reaches beyond"),
    PICKLE(FLOATS("\4", ")", ")"), "tensor a: reaches beyond"),
    PICKLE(FLOATS("\0", "(K\2t", "(\x8a\10\377\377\377\377\377\377\377\177t"), "tensor a: reaches beyond"),
    PICKLE(FLOATS("\0", "(K\2t", "(J\377\377\377\377t"), "strides are not ones"),
    PICKLE(FLOATS("\0", "(J\377\377\377\377t", "(K\1t"), "strides are not ones"),
    PICKLE(FLOATS("\0", "(\x8a\10\0\0\0\0\0\0\0\100K\7t", "(K\0K\0t"), "tensor a: its size overflows"),
    PICKLE(FLOATS("\0", "(J\0\0\0\100t", "(K\0t"), "out of proportion"),
    PICKLE(FLOATS("\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", ")"), "at most 8 dimensions"),
    PICKLE(FLOATS("\0", "(K\2t", ")"), "strides are not ones"),
    PICKLE(FLOATS("\0", "N", "N"), "strides are not ones"),
    PICKLE("}U\1a" REBUILD(STORAGE("FloatStorage", "9", "\4"), "\0", ")", ")") "s.", "storage x/data/9 is missing"),
    PICKLE("}U\1a" REBUILD(STORAGE("ComplexFloatStorage", "0", "\4"), "\0", ")", ")") "s.",
           "type ComplexFloatStorage is not"),
    PICKLE("}U\1a" REBUILD("N", "\0", ")", ")") "s.", "tensor a: its storage"),
    PICKLE("}U\1a" REBUILD("K\1Q", "\0", ")", ")") "s.", "tensor a: its storage"),
    PICKLE("}U\3a\0b" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.", "NUL"),
    PICKLE("}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")",
                           ")") "sU\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.",
           "tensor a: is there twice"),
    PICKLE("}.", "holds no tensors"),
    PICKLE("N.", "holds no tensors"),
    PICKLE("(t.", "holds no tensors"),
    PICKLE("(1.", "empty stack"),
    PICKLE("cos\nsystem\n(U\4exittR.", "holds no tensors"),
    PICKLE("]q\0h\0a.", "holds no tensors"),
    /* the machine */
    PICKLE("", "truncated?"),
    PICKLE("}", "truncated?"),
    PICKLE(".", "empty stack"),
    PICKLE("s.", "empty stack"),
    PICKLE("K\1K\2s.", "empty stack"),
    PICKLE("N(0(s.", "empty stack"),
    PICKLE("N(R.", "empty stack"),
    PICKLE("\x85.", "empty stack"),
    PICKLE("2.", "empty stack"),
    PICKLE("q\0.", "empty stack"),
    PICKLE("b.", "empty stack"),
    PICKLE("Q.", "empty stack"),
    PICKLE("t.", "lacks a mark"),
    PICKLE("1.", "lacks a mark"),
    PICKLE("]e.", "lacks a mark"),
    PICKLE("(K\1d.", "a key and no value"),
    PICKLE("}(K\1u.", "adds items to what cannot"),
    PICKLE("]K\1K\2s.", "adds items to what cannot"),
    PICKLE("}K\1a.", "adds items to what cannot"),
    PICKLE("K\1K\2a.", "adds items to what cannot"),
    PICKLE("h\0.", "not in the memo"),
    PICKLE("Nq\5h\4.", "a memo number is out of range"),
    PICKLE("Nr\377\377\377\377.", "a memo number is out of range"),
    PICKLE("Np-1\n.", "a memo number is not one"),
    PICKLE("Npx\n.", "a memo number is not one"),
    PICKLE("X\377\377\377\377a.", "truncated?"),
    PICKLE("\x8d\377\377\377\377\377\377\377\377a.", "truncated?"),
    PICKLE("\x8b\377\377\377\377a.", "truncated?"),
    PICKLE("U\5a.", "truncated?"),
    PICKLE("cos", "a line does not end"),
    PICKLE("K\1K\2\x93.", "whose name is no text"),
    PICKLE("Fx\n.", "a number is not one"),
    PICKLE("Sx\n.", "lacks its quotes"),
    PICKLE("(o.", "object of no class"),
    PICKLE("\x80\6N.", "a protocol over 5"),
    PICKLE("\x82\1.", "opcode 0x82"),
    PICKLE("Pid\n.", "opcode 0x50"),
    PICKLE("\x97.", "opcode 0x97"),
    PICKLE("\377.", "opcode 0xff"),
};

static void torch_pickles(void **state)
{
    (void)state;
    const float floats[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < COUNT(PICKLES); i++) {
        const Member members[] = {{"x/data.pkl", PICKLES[i].pickle, PICKLES[i].n}, {"x/data/0", floats, sizeof floats}};
        put_zip(at("x.pt"), members, 2);
        if (PICKLES[i].why) {
            must_fail(at("x.pt"), PICKLES[i].why);
            continue;
        }
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Weights *w = weights_open(at("x.pt"), a, &e);
        if (!w || weights_count(w) != 1 || !text_ends(weights_at(w, 0)->name, "a"))
            fail_msg("pickle %zu: %s", i, w ? weights_at(w, 0)->name.p : e.message);
        weights_close(w);
        arena_free(a);
    }
}

/* Lists of lists, each twice in the next: 2^60 ways through 60 lists; and 100,000 lists, each in the next. */
static void torch_bombs(void **state)
{
    (void)state;
    Bytes b = {.n = 0};
    add(&b, "]", 1);
    for (int i = 0; i < 60; i++)
        add(&b, "2\x86", 2);
    add(&b, ".", 1);
    put_zip(at("x.pt"), &(Member){"x/data.pkl", b.data, b.n}, 1);
    must_fail(at("x.pt"), "too many values hang into each other");
    size_t n = 300;
    b.n = 0;
    for (size_t i = 0; i < n; i++)
        add(&b, "]", 1);
    for (size_t i = 1; i < n; i++)
        add(&b, "a", 1);
    add(&b, ".", 1);
    put_zip(at("x.pt"), &(Member){"x/data.pkl", b.data, b.n}, 1);
    must_fail(at("x.pt"), "nested more than 256 deep");
}

static void torch_archives(void **state)
{
    (void)state;
    const char pickle[] = FLOATS("\0", "(K\4t", "(K\1t");
    const float floats[4] = {1, 2, 3, 4};
    const Member good[] = {
        {"x/data.pkl", pickle, sizeof pickle - 1}, {"x/data/0", floats, 16}, {"x/byteorder", "little", 6}};
    put_zip(at("x.pt"), good, 3);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text whole;
    assert_true(file_read(&whole, a, at("x.pt"), 0, &e));
    Weights *w = weights_open(at("x.pt"), a, &e);
    if (!w)
        fail_msg("%s", e.message);
    assert_memory_equal(weights_need(w, &e, "a", 1, 4)->data, floats, 16);
    weights_close(w);
    /* cut anywhere, and every byte of the directory set to 255: an error or not, never a crash */
    for (size_t n = 4; n < whole.n; n++) {
        put(at("y.pt"), whole.p, n);
        must_fail(at("y.pt"), "y.pt: ");
    }
    for (size_t i = 4; i < whole.n; i++) {
        char *copy = arena_strndup(a, whole.p, whole.n, &e);
        copy[i] = (char)255;
        put(at("y.pt"), copy, whole.n);
        Error why = {0};
        Arena *b = arena_new(NULL, 0);
        weights_close(weights_open(at("y.pt"), b, &why));
        arena_free(b);
    }
    const Member big[] = {good[0], good[1], {"x/byteorder", "big", 3}};
    put_zip(at("x.pt"), big, 3);
    must_fail(at("x.pt"), "big-endian");
    const Member twice[] = {good[0], good[1], good[1]};
    put_zip(at("x.pt"), twice, 3);
    must_fail(at("x.pt"), "holds x/data/0 twice");
    put_zip(at("x.pt"), good + 1, 1);
    must_fail(at("x.pt"), "without data.pkl");
    const Member brief[] = {good[0], {"x/data/0", floats, 15}};
    put_zip(at("x.pt"), brief, 2);
    must_fail(at("x.pt"), "tensor a: reaches beyond its storage of 3");
    arena_free(a);
}

static void torch_legacy(void **state)
{
    (void)state;
#define MAGIC  "\x80\2\x8a\12\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define SYSTEM "}U\15little_endian\x88s."
#define OBJECT FLOATS("\0", "(K\4t", "(K\1t")
#define KEYS   "]U\0010a."
    static const struct {
        const char *text;
        size_t n;
        const char *why;
    } table[] = {
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT KEYS "\4\0\0\0\0\0\0\0"
                     "0123456789abcdef",
               NULL),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT KEYS "\4\0\0\0\0\0\0\0"
                     "0123456789abcde",
               "storage 0 ends too soon"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT KEYS "\4\0\0", "storage 0 ends too soon"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT KEYS "\377\377\377\377\377\377\377\377", "storage 0 ends too soon"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT KEYS "\3\0\0\0\0\0\0\0"
                     "0123456789abcdef",
               "reaches beyond its storage of 3"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT "].", "storage 0 is not in the file"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT "N.", "lacks the list of its storages"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT "]K\0a.", "storage 0 of its list is unknown"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT "]U\0011a.", "storage 0 of its list is unknown"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT "](U\0010U\0010e.\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "storage 1 of its list"),
        PICKLE(MAGIC "M\351\3." SYSTEM, "truncated?"),
        PICKLE(MAGIC "M\350\3." SYSTEM OBJECT KEYS, "a version that is not read"),
        PICKLE(MAGIC "M\351\3."
                     "}U\15little_endian\x89s." OBJECT KEYS,
               "big-endian"),
        PICKLE(MAGIC "M\351\3."
                     "}." OBJECT KEYS,
               "big-endian"),
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        put(at("x.pth"), table[i].text, table[i].n);
        if (table[i].why) {
            must_fail(at("x.pth"), table[i].why);
            continue;
        }
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Weights *w = weights_open(at("x.pth"), a, &e);
        if (!w)
            fail_msg("%s", e.message);
        assert_memory_equal(weights_need(w, &e, "a", 1, 4)->data, "0123456789abcdef", 16);
        weights_close(w);
        arena_free(a);
    }
}

/* Name, type and shape as a line, then the bytes, for every tensor. */
static int dump(const char *path)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Weights *w = weights_open(path, a, &e);
    for (size_t i = 0; w && i < weights_count(w); i++) {
        const Array *t = weights_at(w, i);
        printf("%s\t%s", t->name.p, dtype_name(t->type));
        for (int d = 0; d < t->dims; d++)
            printf("\t%lld", (long long)t->shape[d]);
        printf("\n");
        fwrite(t->data, dtype_bytes(t->type), (size_t)t->count, stdout);
    }
    fprintf(stderr, "%s\n", e.message);
    weights_close(w);
    arena_free(a);
    return e.code != SP_OK;
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return dump(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half),        cmocka_unit_test(conversions),       cmocka_unit_test(safetensors_malformed),
        cmocka_unit_test(safetensors_round), cmocka_unit_test(safetensors_index), cmocka_unit_test(npy_files),
        cmocka_unit_test(npy_round),         cmocka_unit_test(torch_goldens),     cmocka_unit_test(torch_pickles),
        cmocka_unit_test(torch_bombs),       cmocka_unit_test(torch_archives),    cmocka_unit_test(torch_legacy),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
