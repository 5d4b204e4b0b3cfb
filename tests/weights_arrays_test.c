/* tests/weights_arrays_test.c: conversion of numbers; valid and malformed NumPy files. */
#include "tests/weights_testing.h"

#include <math.h>

/* ---- conversion ------------------------------------------------------------------------------ */

static void every_f16_and_bf16(void **state)
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

/* ---- npy ------------------------------------------------------------------------------------- */

static void put_npy(const char *name, const char *header, size_t data)
{
    char file[1024] = "\x93NUMPY\1\0";
    size_t n = strlen(header);
    file[8] = (char)n;
    memcpy(file + 10, header, n);
    put(name, file, 10 + n + data);
}

static void npy_files(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *why; /* NULL: opening succeeds */
    } table[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n", 24, NULL},
        {"{\"shape\":(3L,),\"fortran_order\":False,\"descr\":\"|b1\"}", 3, NULL},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (), }", 8, NULL},
        {"{'descr': '<i2', 'fortran_order': False, 'shape': (0, 7), }", 0, NULL},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24, NULL},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (0, 4294967296, 4294967296), }", 0, NULL},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 23, "truncated?"},
        {"{'descr': '<f4', 'fortran_order': None, 'shape': (2, 3), }", 24, "not True or False"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", 24, "type '>f4'"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", 24, "type '|O'"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8, "structured"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 23, "truncated?"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 25, "does not fit"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 0, "does not fit"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4, "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 2), }", 8, "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4, "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 4, "tuple"},
        {"{'descr': '<f4', 'fortran_order': False, }", 4, "lacks"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4, "duplicate"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'os': 'x'}", 4, "unknown key 'os'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + 1", 4, "continues"},
        {"{'descr': '<f4", 4, "structured"},
        {"{", 4, "malformed"},
        {"", 4, "not a dictionary"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        put_npy("x.npy", table[i].header, table[i].data);
        Error e = {0};
        Npy n;
        Arena *a = arena_new(NULL, 0);
        bool ok = npy_open(&n, at("x.npy"), a, &e);
        if (ok != !table[i].why || (!ok && !strstr(e.message, table[i].why)))
            fail_msg("%s: expected %s, got \"%s\"", table[i].header, table[i].why ? table[i].why : "success",
                     e.message);
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
        put("x.npy", starts[i].bytes, starts[i].n);
        assert_false(npy_open(&n, at("x.npy"), a, &e));
        assert_non_null(strstr(e.message, "x.npy: "));
    }
    arena_free(a);
}

static void npy_is_read_back(void **state)
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
    assert_int_equal(n.map.bytes, 128 + 24); /* the layout of numpy.save */
    float y;
    array_f32(&n.array, 5, 1, &y);
    assert_true(y == -6 && n.array.mapped);
    array_done(&n.array); /* numbers that are read again come from the file */
    array_f32(&n.array, 4, 1, &y);
    assert_true(y == 5);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_f16_and_bf16),
        cmocka_unit_test(conversions),
        cmocka_unit_test(npy_files),
        cmocka_unit_test(npy_is_read_back),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
