/* tests/base_test.c: errors, memory, text, files, threads, random numbers, trace. JSON has json_test.c. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- errors -------------------------------------------------------------------------------------------------------- */

static void errors_keep_the_first_cause(void **state)
{
    (void)state;
    Error e = {0};
    assert_false((fail)(&e, SP_FORMAT, "%s:%d: bad\nthing\x7f \xff", "a.txt", 7));
    assert_string_equal(e.message, "a.txt:7: bad?thing? ?");
    assert_false((fail)(&e, SP_IO, "second"));
    assert_int_equal(e.code, SP_FORMAT);
    error_prefix(&e, "key %s: ", "x");
    assert_string_equal(e.message, "key x: a.txt:7: bad?thing? ?");
    error_clear(&e);
    assert_int_equal(e.code, SP_OK);
    error_prefix(&e, "nothing: ");
    assert_string_equal(e.message, "");
    fail_system(&e, "f.bin", "open", ENOENT);
    assert_error(e, SP_IO, "f.bin: cannot open: No such file");
    fail_memory(&e, 77, "a list");
    assert_error(e, SP_MEMORY, "out of memory: a list needs 77 bytes");
}

static void errors_are_cut_between_characters(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        char text[2001] = "xxx";
        for (size_t at = shift; at + 4 <= 2000; at += 4)
            memcpy(text + at, "\xf0\x9f\x98\x80", 4);
        Error e = {0};
        (fail)(&e, SP_USAGE, "%.1990s", text);
        assert_true(strlen(e.message) > 1000);
        assert_true(utf8_valid(text_of(e.message), NULL));
        assert_null(strchr(e.message, '?'));
        error_prefix(&e, "%.1000s", text);
        assert_true(utf8_valid(text_of(e.message), NULL));
    }
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

static void sizes_are_checked(void **state)
{
    (void)state;
    size_t r;
    assert_true(size_mul(1u << 16, 1u << 15, &r) && r == (size_t)1 << 31);
    assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &r));
    assert_true(size_add(SIZE_MAX - 1, 1, &r) && r == SIZE_MAX);
    assert_false(size_add(SIZE_MAX, 1, &r));
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    assert_null(arena_alloc(a, SIZE_MAX / 2, 3, &e));
    assert_error(e, SP_MEMORY, "more than an address can count");
    assert_null(arena_alloc(a, SIZE_MAX - 10, 1, &e));
    assert_int_equal(e.code, SP_MEMORY);
    error_clear(&e);
    assert_null(arena_strndup(a, "x", SIZE_MAX, &e));
    assert_int_equal(e.code, SP_MEMORY);
    arena_free(a);
}

static void arenas_align_zero_and_reuse(void **state)
{
    (void)state;
    TestHeap heap;
    test_heap(&heap, 0);
    Error e = {0};
    Arena *a = arena_new(&heap.heap, 0);
    assert_ptr_equal(arena_heap(a)->user, &heap);
    size_t after_first = 0;
    char *kept = arena_strndup(a, "kept", 4, &e);
    ArenaMark mark = arena_mark(a);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 2000; i++) {
            size_t n = (i * 37) % 5000;
            unsigned char *p = arena_alloc(a, n, 1, &e);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % (n < 64 ? 16 : 64), 0);
            for (size_t k = 0; k < n; k++)
                assert_true(p[k] == 0);
            if (n)
                memset(p, 0xff, n);
        }
        if (round == 0)
            after_first = heap.requests;
        arena_rewind(a, mark);
    }
    assert_int_equal(heap.requests, after_first);
    assert_string_equal(kept, "kept");
    assert_true(arena_bytes(a) <= heap.live && arena_bytes(a) > 2000 * 2000);
    assert_ptr_not_equal(arena_alloc(a, 0, 1, &e), arena_alloc(a, 0, 1, &e));
    arena_rewind(a, (ArenaMark){0});
    assert_ptr_equal(arena_alloc(a, 5, 1, &e), kept);
    arena_free(a);
    arena_free(NULL);
    assert_int_equal(heap.live, 0);
}

static void arenas_obey_their_limit(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 100000);
    size_t got = 0;
    while (arena_alloc(a, 1000, 1, &e))
        got += 1000;
    assert_true(got > 80000 && got <= 100000);
    assert_true(arena_bytes(a) <= 100000);
    assert_error(e, SP_MEMORY, "under the limit of 100000");
    assert_non_null(arena_alloc(a, 1, 1, &e));
    arena_free(a);
}

static void arenas_grow_lists_and_print(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    int *list = NULL;
    size_t capacity = 0;
    for (size_t n = 0; n < 10000; n++) {
        list = arena_grow(a, list, n, &capacity, sizeof(int), &e);
        assert_non_null(list);
        list[n] = (int)n;
    }
    for (int n = 0; n < 10000; n++)
        assert_int_equal(list[n], n);
    char *text = arena_printf(a, &e, "%s-%05d", "x", 42);
    assert_string_equal(text, "x-00042");
    capacity = SIZE_MAX / 2 + 1;
    assert_null(arena_grow(a, list, capacity, &capacity, 8, &e));
    assert_int_equal(e.code, SP_MEMORY);
    arena_free(a);
}

/* ---- text ---------------------------------------------------------------------------------------------------------- */

static void texts_compare_and_cut(void **state)
{
    (void)state;
    assert_true(text_equal(TEXT("ab"), text_of("ab")) && !text_equal(TEXT("ab"), TEXT("abc")));
    assert_true(text_equal((Text){NULL, 0}, TEXT("")) && text_is(TEXT("q"), "q"));
    assert_true(text_compare(TEXT("a"), TEXT("b")) < 0 && text_compare(TEXT("ab"), TEXT("a")) > 0);
    assert_true(text_compare(TEXT("\xff"), TEXT("a")) > 0 && text_compare((Text){NULL, 0}, TEXT("")) == 0);
    assert_true(text_starts(TEXT("abc"), "ab") && !text_starts(TEXT("a"), "ab") && text_starts(TEXT(""), ""));
    assert_true(text_ends(TEXT("a.npy"), ".npy") && !text_ends(TEXT("npy"), ".npy"));
    assert_true(text_is(text_trim(TEXT(" \t a b\r\n\v\f")), "a b") && text_trim(TEXT("  ")).n == 0);
    static const struct {
        const char *whole, *parts[4];
        size_t count;
    } cuts[] = {
        {"", {""}, 1}, {"a", {"a"}, 1}, {"a\tb", {"a", "b"}, 2}, {"\t", {"", ""}, 2}, {"a\t\tb\t", {"a", "", "b", ""}, 4}};
    for (size_t c = 0; c < COUNT(cuts); c++) {
        Text rest = text_of(cuts[c].whole), part;
        size_t n = 0;
        for (; text_next(&rest, '\t', &part); n++) {
            assert_true(n < cuts[c].count);
            assert_true(text_is(part, cuts[c].parts[n]));
        }
        assert_int_equal(n, cuts[c].count);
    }
    Text rest = TEXT("one\r\n\ntwo\rx\nlast\r"), line;
    static const char *const lines[] = {"one", "", "two\rx", "last\r"};
    for (size_t i = 0; i < COUNT(lines); i++) {
        assert_true(text_line(&rest, &line));
        assert_true(text_is(line, lines[i]));
    }
    assert_false(text_line(&rest, &line));
}

static void whole_numbers_are_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"+7", 7},
                {"007", 7},
                {"-12", -12},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x10",
                                      "1e3",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "a"};
    int64_t v;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(text_i64(text_of(good[i].text), &v));
        assert_int_equal(v, good[i].value);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (text_i64(text_of(bad[i]), &v))
            fail_msg("\"%s\" was read as a whole number", bad[i]);
}

static void real_numbers_are_exact(void **state)
{
    (void)state;
    static const char *const good[] = {"0",
                                       "-0.0",
                                       "1",
                                       "0.1",
                                       "-2.5e3",
                                       "5.",
                                       ".5",
                                       "1e22",
                                       "1e23",
                                       "9007199254740993",
                                       "123456789012345678901234567890",
                                       "1.7976931348623157e308",
                                       "2.2250738585072011e-308",
                                       "4.9406564584124654e-324",
                                       "1e-400",
                                       "0.000000000000000000000000000001",
                                       "3.14159265358979323846",
                                       "000000000000000000000000000001.5",
                                       "0e999999999999",
                                       "9007199254740992e-22",
                                       "+4E+2"};
    static const char *const bad[] = {"",   ".",     "-",   "e5",    "1e",    "1e+",  "1.2.3", "1 ",
                                      " 1", "0x1p3", "1,5", "1e999", "infin", "nanx", "1f"};
    double v;
    for (size_t i = 0; i < COUNT(good); i++) {
        if (!text_f64(text_of(good[i]), &v))
            fail_msg("\"%s\" was refused", good[i]);
        double want = strtod(good[i], NULL);
        assert_memory_equal(&v, &want, sizeof(v));
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (text_f64(text_of(bad[i]), &v))
            fail_msg("\"%s\" was read as a number", bad[i]);
    assert_true(text_f64(TEXT("NaN"), &v) && isnan(v));
    assert_true(text_f64(TEXT("-Infinity"), &v) && v == -INFINITY && text_f64(TEXT("inf"), &v) && v == INFINITY);
    char many[1200];
    memset(many, '1', sizeof(many));
    many[1] = '.';
    assert_true(text_f64((Text){many, 1000}, &v) && fabs(v - 1.1111) < 1e-4);
    assert_false(text_f64((Text){many, 1200}, &v));
    for (uint64_t i = 0; i < 20000; i++) { /* what %.17g wrote comes back */
        uint32_t x[4];
        draw4((Draw){1, DRAW_TEST, 0}, i, 0, x);
        uint64_t bits = (uint64_t)x[0] << 32 | x[1];
        double want;
        memcpy(&want, &bits, sizeof(want));
        if (!isfinite(want))
            continue;
        char text[64];
        int n = snprintf(text, sizeof(text), i % 2 ? "%.17g" : "%.6g", want);
        want = strtod(text, NULL);
        assert_true(text_f64((Text){text, (size_t)n}, &v));
        assert_memory_equal(&v, &want, sizeof(v));
    }
}

static void utf8_is_checked(void **state)
{
    (void)state;
    char bytes[4];
    uint32_t code;
    for (uint32_t c = 0; c <= 0x10ffff; c += c < 0x3000 ? 1 : 17) {
        size_t n = utf8_encode(c, bytes);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        assert_int_equal(utf8_decode(bytes, n, &code), surrogate ? 0 : n);
        if (!surrogate)
            assert_int_equal(code, c);
        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(utf8_decode(bytes, cut, &code), 0);
    }
    static const char *const bad[] = {"\x80",         "\xbf",         "\xc0\x80",         "\xc1\xbf",
                                      "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
                                      "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                      "\xff",         "\xc3\x28",     "\xe2\x82\x28",     "\xf0\x9f\x98\x28"};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(utf8_decode(bad[i], strlen(bad[i]), &code), 0);
    size_t at = 99;
    assert_true(utf8_valid(TEXT("plain ASCII, then \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and more"), &at));
    assert_int_equal(at, 99);
    assert_false(utf8_valid(TEXT("0123456789\xc3"), &at));
    assert_int_equal(at, 10);
}

static void indexes_number_texts(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    TextIndex *ix = text_index_new(a, &e);
    char name[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20000; i++) {
            int n = snprintf(name, sizeof(name), "item %d", i);
            assert_int_equal(text_index_add(ix, (Text){name, (size_t)n}, &e), i);
        }
    assert_int_equal(text_index_count(ix), 20000);
    assert_int_equal(text_index_find(ix, TEXT("item 19999")), 19999);
    assert_int_equal(text_index_find(ix, TEXT("item 20000")), -1);
    assert_int_equal(text_index_add(ix, TEXT(""), &e), 20000);
    assert_int_equal(text_index_add(ix, (Text){"a\0b", 3}, &e), 20001);
    assert_int_equal(text_index_find(ix, (Text){"a\0c", 3}), -1);
    assert_string_equal(text_index_at(ix, 123).p, "item 123");
    assert_int_equal(text_index_at(ix, 20002).n + text_index_at(ix, -1).n, 0);
    arena_free(a);
}

static void hashes_spread(void **state)
{
    (void)state;
    char zeros[64] = {0};
    uint64_t seen[65 * 2];
    for (size_t n = 0; n <= 64; n++) {
        seen[2 * n] = hash_bytes(zeros, n, 0);
        seen[2 * n + 1] = hash_bytes(zeros, n, 1);
    }
    for (size_t i = 0; i < COUNT(seen); i++)
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    assert_true(hash_bytes("abc", 3, 5) == hash_bytes("abc", 3, 5));
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    Error e = {0};
    Out *o = out_open(path, NULL, &e);
    assert_ok(o && out_write(o, text, strlen(text), &e), e);
    assert_ok(out_commit(o, &e), e);
}

static void files_are_read_and_mapped(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof(path), "%s/a.txt", folder);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text t;
    Map m;
    write_text(path, "hello\n");
    assert_ok(file_read(&t, a, path, 6, &e), e);
    assert_string_equal(t.p, "hello\n");
    assert_false(file_read(&t, a, path, 5, &e));
    assert_error(e, SP_FORMAT, "larger than the 5 bytes");
    assert_ok(map_open(&m, path, &e), e);
    assert_int_equal(m.bytes, 6);
    assert_memory_equal(m.data, "hello\n", 6);
    map_close(&m);
    map_close(&m);
    write_text(path, "");
    assert_ok(map_open(&m, path, &e) && m.bytes == 0 && m.data, e);
    assert_ok(file_read(&t, a, path, 0, &e) && t.n == 0, e);
    assert_false(map_open(&m, folder, &e));
    assert_error(e, SP_IO, "is a folder");
    assert_false(file_read(&t, a, folder, 0, &e));
    assert_error(e, SP_IO, "is a folder");
    assert_false(map_open(&m, "/dev/null", &e));
    assert_error(e, SP_IO, "not a plain file");
    snprintf(path, sizeof(path), "%s/none", folder);
    assert_false(file_read(&t, a, path, 0, &e));
    assert_error(e, SP_IO, "cannot open: No such file");
    assert_ok(file_read(&t, a, "/proc/self/status", 0, &e) && t.n > 100, e); /* says its size is 0 */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char big[50000];
    memset(big, 'x', sizeof(big));
    assert_int_equal(write(ends[1], big, sizeof(big)), sizeof(big));
    close(ends[1]);
    FILE *in = fdopen(ends[0], "rb");
    assert_ok(input_read(&t, a, in, "standard input", 0, &e) && t.n == sizeof(big) && t.p[t.n] == '\0', e);
    fclose(in);
    arena_free(a);
    test_folder_remove(folder);
}

static void folders_are_made_and_listed(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    snprintf(path, sizeof(path), "%s/x//y/", folder);
    assert_ok(folder_make(path, &e) && folder_make(path, &e) && folder_make("/", &e), e);
    assert_true(folder_exists(path) && !file_exists(path));
    static const char *const names[] = {"b.txt", "B.txt", "a10", "a2", ".hidden"};
    for (size_t i = 0; i < COUNT(names); i++)
        write_text(path_join(a, folder, names[i], &e), "");
    snprintf(path, sizeof(path), "%s/link", folder);
    assert_int_equal(symlink("x", path), 0);
    FolderEntry *entries;
    size_t n;
    assert_ok(folder_list(&entries, &n, a, folder, &e), e);
    static const char *const sorted[] = {".hidden", "B.txt", "a10", "a2", "b.txt", "link", "x"};
    assert_int_equal(n, COUNT(sorted));
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(entries[i].name, sorted[i]);
        assert_int_equal(entries[i].is_folder, i >= 5);
    }
    unlink(path);
    snprintf(path, sizeof(path), "%s/b.txt/z", folder);
    assert_false(folder_make(path, &e));
    assert_error(e, SP_IO, "is a file, a folder is wanted");
    assert_false(folder_list(&entries, &n, a, path, &e));
    assert_error(e, SP_IO, "cannot list the folder");
    assert_string_equal(path_join(a, "a/", "b", &e), "a/b");
    assert_string_equal(path_join(a, "a", "b", &e), "a/b");
    assert_string_equal(path_join(a, "", "b", &e), "b");
    assert_string_equal(path_join(a, "a", "/b", &e), "/b");
    assert_true(text_is(path_base("a/b.c"), "b.c") && text_is(path_base("b"), "b") && path_base("a/").n == 0);
    snprintf(path, sizeof(path), "%s/x", folder);
    test_folder_remove(path);
    arena_free(a);
    test_folder_remove(folder);
}

static size_t entries_in(const char *folder)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    FolderEntry *entries;
    size_t n = 0;
    assert_ok(folder_list(&entries, &n, a, folder, &e), e);
    arena_free(a);
    return n;
}

static void outputs_appear_whole_or_not(void **state)
{
    (void)state;
    char folder[256], path[300], link[300], stale[300];
    test_folder(folder);
    snprintf(path, sizeof(path), "%s/out.bin", folder);
    snprintf(link, sizeof(link), "%s/link", folder);
    snprintf(stale, sizeof(stale), "%s/.out.bin.tmp", folder);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text t;
    write_text(path, "old");
    TestHeap heap;
    test_heap(&heap, 0);
    Out *o = out_open(path, &heap.heap, &e);
    char *big = arena_alloc(a, 300000, 1, &e);
    memset(big, 'z', 300000);
    assert_ok(out_printf(o, &e, "%d,%s;", 5, "x") && out_write(o, big, 300000, &e) && out_write(o, NULL, 0, &e), e);
    big[99999] = '\0';
    assert_ok(out_printf(o, &e, "%s|", big), e);
    assert_ok(file_read(&t, a, path, 0, &e) && text_is(t, "old"), e);
    Out *second = out_open(path, NULL, &e);
    assert_null(second);
    assert_error(e, SP_IO, "is being written by another");
    assert_ok(out_commit(o, &e), e);
    assert_int_equal(heap.live, 0);
    assert_ok(file_read(&t, a, path, 0, &e), e);
    assert_int_equal(t.n, 4 + 300000 + 100000);
    assert_true(text_starts(t, "5,x;zzz") && text_ends(t, "zz|"));
    o = out_open(path, NULL, &e);
    assert_ok(out_printf(o, &e, "half"), e);
    out_discard(o);
    out_discard(NULL);
    assert_int_equal(entries_in(folder), 1);
    assert_int_equal(symlink("out.bin", link), 0);
    write_text(link, "through");
    struct stat st;
    assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    assert_ok(file_read(&t, a, path, 0, &e) && text_is(t, "through"), e);
    pid_t child = fork(); /* dies while it writes: its temporary file is taken over by the next writer */
    if (child == 0) {
        o = out_open(path, NULL, &e);
        out_write(o, big, 300000, &e);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    assert_true(file_exists(stale));
    write_text(path, "after");
    assert_false(file_exists(stale));
    assert_ok(file_read(&t, a, path, 0, &e) && text_is(t, "after"), e);
    arena_free(a);
    test_folder_remove(folder);
}

static void outputs_report_failures(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    Error e = {0};
    snprintf(path, sizeof(path), "%s/none/x", folder);
    assert_null(out_open(path, NULL, &e));
    assert_error(e, SP_IO, "none/x: cannot create: No such file");
    assert_null(out_open(folder, NULL, &e));
    assert_error(e, SP_IO, "is a folder");
    snprintf(path, sizeof(path), "%s/none/", folder);
    assert_null(out_open(path, NULL, &e));
    assert_error(e, SP_IO, "names a folder");
    Out *o = out_open("/dev/full", NULL, &e);
    if (o) {
        char big[70000] = {0};
        assert_false(out_write(o, big, sizeof(big), &e));
        assert_error(e, SP_IO, "/dev/full: cannot write: No space left");
        assert_false(out_printf(o, &e, "x"));
        assert_error(e, SP_IO, "No space left");
        assert_false(out_write(o, "x", 1, &e));
        error_clear(&e);
        assert_false(out_commit(o, &e));
        assert_error(e, SP_IO, "No space left");
    }
    o = out_open("/dev/null", NULL, &e);
    assert_ok(o && out_printf(o, &e, "gone") && out_commit(o, &e), e);
    struct stat st;
    assert_true(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    snprintf(path, sizeof(path), "%s/lost", folder);
    o = out_open(path, NULL, &e);
    rmdir(folder);
    char temporary[320];
    snprintf(temporary, sizeof(temporary), "%s/.lost.tmp", folder);
    unlink(temporary);
    assert_false(out_commit(o, &e));
    assert_error(e, SP_IO, "cannot rename");
    test_folder_remove(folder);
}

static void folders_are_locked(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
    Error e = {0};
    FolderLock first, second;
    assert_ok(folder_lock(&first, folder, &e), e);
    assert_false(folder_lock(&second, folder, &e));
    assert_error(e, SP_IO, "another run is writing here");
    folder_unlock(&second);
    folder_unlock(&first);
    assert_ok(folder_lock(&second, folder, &e), e);
    folder_unlock(&second);
    test_folder_remove(folder);
    assert_false(folder_lock(&second, folder, &e));
    assert_error(e, SP_IO, "cannot lock the folder");
}

static void groups_share_a_folder(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
    Error e = {0};
    FolderLock a, b, c;
    const int64_t most = INT64_C(1) << 62;
    assert_ok(folder_join(&a, folder, 7, &e), e);
    assert_ok(folder_join(&b, folder, 7, &e), e);
    for (size_t i = 0; i < 4; i++) {
        assert_false(folder_join(&c, folder, (const int64_t[]){6, 8, 1, most}[i], &e));
        assert_error(e, SP_IO, "another run is writing here");
    }
    folder_unlock(&a);
    assert_false(folder_join(&a, folder, 6, &e));
    assert_error(e, SP_IO, "another run is writing here");
    folder_unlock(&b);
    assert_ok(folder_join(&a, folder, most, &e), e);
    assert_false(folder_join(&b, folder, 7, &e));
    assert_error(e, SP_IO, "another run is writing here");
    folder_unlock(&a);
    test_folder_remove(folder);
}

/* ---- threads ------------------------------------------------------------------------------------------------------- */

typedef struct Job {
    Pool *pool;
    _Atomic int done[1000], workers[8], nested;
    bool nest;
} Job;

static void inner_task(void *arg, size_t task, int worker)
{
    Job *j = arg;
    (void)task;
    atomic_fetch_add(&j->nested, worker + 1);
}

static void count_task(void *arg, size_t task, int worker)
{
    Job *j = arg;
    atomic_fetch_add(&j->done[task], 1);
    atomic_fetch_add(&j->workers[worker], 1);
    if (j->nest) { /* stays on this worker */
        Job inner = {0};
        pool_run(j->pool, 10, inner_task, &inner);
        assert_int_equal(inner.nested, 10 * (worker + 1));
    }
}

static void pools_run_each_task_once(void **state)
{
    (void)state;
    Error e = {0};
    for (int threads = 1; threads <= 5; threads += 2) {
        Pool *p = pool_new(NULL, threads, &e);
        assert_non_null(p);
        assert_int_equal(pool_threads(p), threads);
        for (int nest = 0; nest < 2; nest++)
            for (size_t tasks = 0; tasks <= 1000; tasks = tasks < 10 ? tasks + 1 : tasks * 10) {
                Job j = {.pool = p, .nest = nest && tasks > 1};
                for (int round = 0; round < 20; round++) {
                    pool_run(p, tasks, count_task, &j);
                    if (round == 10)
                        usleep(300); /* workers fall asleep */
                }
                size_t sum = 0;
                for (int w = 0; w < threads; w++)
                    sum += (size_t)j.workers[w];
                assert_int_equal(sum, 20 * tasks);
                for (size_t i = 0; i < 1000; i++)
                    assert_int_equal(j.done[i], i < tasks ? 20 : 0);
            }
        pool_free(p);
    }
    Job alone = {0};
    pool_run(NULL, 7, count_task, &alone);
    assert_int_equal(alone.workers[0], 7);
    assert_int_equal(pool_threads(NULL), 1);
    pool_free(NULL);
    assert_null(pool_new(NULL, -1, &e));
    assert_error(e, SP_USAGE, "-1 threads");
    Pool *all = pool_new(NULL, 0, &e);
    assert_true(pool_threads(all) >= 1);
    pool_free(all);
}

static void *run_many(void *arg)
{
    Job *j = arg;
    for (int round = 0; round < 500; round++)
        pool_run(j->pool, 50, count_task, j);
    return NULL;
}

static void pools_serve_several_callers(void **state)
{
    (void)state;
    Error e = {0};
    TestHeap heap;
    test_heap(&heap, 0);
    Pool *p = pool_new(&heap.heap, 3, &e);
    static Job jobs[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        jobs[i].pool = p;
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, &jobs[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        for (int t = 0; t < 50; t++)
            assert_int_equal(jobs[i].done[t], 500);
    }
    pool_free(p);
    assert_int_equal(heap.live, 0);
}

/* ---- random numbers ------------------------------------------------------------------------------------------------ */

/* Known answers of Random123 (tests/kat_vectors, philox4x32 10). */
static void philox_gives_the_published_numbers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        uint32_t out[4];
        philox(known[i].key, known[i].counter, out);
        assert_memory_equal(out, known[i].want, sizeof(out));
    }
}

static void draws_have_their_distribution(void **state)
{
    (void)state;
    enum { N = 200000 };
    Draw d = {42, DRAW_TEST, 3};
    double sum = 0, squares = 0, fourth = 0, uniform = 0;
    int counts[7] = {0};
    for (uint64_t i = 0; i < N; i++) {
        double z = draw_normal(d, i), u = draw_uniform(d, i);
        assert_true(isfinite(z) && u >= 0 && u < 1);
        sum += z;
        squares += z * z;
        fourth += z * z * z * z;
        uniform += u;
        counts[draw_below(d, i, 7)]++;
    }
    assert_true(fabs(sum / N) < 0.01 && fabs(squares / N - 1) < 0.015 && fabs(fourth / N - 3) < 0.1);
    assert_true(fabs(uniform / N - 0.5) < 0.003);
    for (int i = 0; i < 7; i++)
        assert_true(abs(counts[i] - N / 7) < 700);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_true(draw_below(d, i, 1) == 0);
        assert_true(draw_below(d, i, UINT32_MAX) < UINT32_MAX);
    }
    assert_true(draw_uniform(d, 5) == draw_uniform(d, 5));
    assert_true(draw_uniform(d, 5) != draw_uniform((Draw){43, DRAW_TEST, 3}, 5));
    assert_true(draw_uniform(d, 5) != draw_uniform((Draw){42, DRAW_INIT, 3}, 5));
    assert_true(draw_uniform(d, 5) != draw_uniform((Draw){42, DRAW_TEST, 4}, 5));
}

static void shuffles_are_permutations(void **state)
{
    (void)state;
    enum { N = 100000 };
    Arena *a = arena_new(NULL, 0);
    Error e = {0};
    uint32_t *x = NEW(a, uint32_t, N, &e), *seen = NEW(a, uint32_t, N, &e);
    uint64_t *scratch = NEW(a, uint64_t, 2 * N, &e);
    for (uint32_t i = 0; i < N; i++)
        x[i] = i;
    draw_shuffle((Draw){7, DRAW_SHUFFLE, 0}, x, N, scratch);
    double moved = 0;
    for (uint32_t i = 0; i < N; i++) {
        seen[x[i]]++;
        moved += fabs((double)x[i] - i) / N;
    }
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    assert_true(fabs(moved / N - 1.0 / 3) < 0.01);
    int orders[6] = {0}; /* every order of three is as likely */
    for (uint32_t epoch = 0; epoch < 6000; epoch++) {
        uint32_t three[3] = {0, 1, 2};
        draw_shuffle((Draw){7, DRAW_SHUFFLE, epoch}, three, 3, scratch);
        orders[2 * three[0] + (three[1] > three[2])]++;
    }
    for (int i = 0; i < 6; i++)
        assert_true(abs(orders[i] - 1000) < 150);
    draw_shuffle((Draw){7, DRAW_SHUFFLE, 0}, x, 0, scratch);
    arena_free(a);
}

/* numpy 2.4: RandomState(seed).randint(0, 2**32, dtype=uint32), its 1,000th value, and shuffle(arange(12)). */
static void mt19937_draws_as_numpy(void **state)
{
    (void)state;
    static const struct {
        uint32_t seed, first[5], thousandth;
    } known[] = {{0, {2357136044, 2546248239, 3071714933, 3626093760, 2588848963}, 3043451800},
                 {42, {1608637542, 3421126067, 4083286876, 787846414, 3143890026}, 1946654618},
                 {123456789, {2288500408, 4254805660, 2294099250, 56498137, 2188513626}, 3871123946},
                 {4294967295, {419326371, 479346978, 3918654476, 2416749639, 3388880820}, 2673539693}};
    Mt19937 m;
    for (size_t k = 0; k < COUNT(known); k++) {
        mt_seed(&m, known[k].seed);
        for (int i = 0; i < 1000; i++) {
            uint32_t x = mt_u32(&m);
            if (i < 5)
                assert_true(x == known[k].first[i]);
            if (i == 999)
                assert_true(x == known[k].thousandth);
        }
    }
    static const uint32_t want[12] = {10, 9, 0, 8, 5, 2, 1, 11, 4, 7, 3, 6};
    uint32_t x[12];
    for (uint32_t i = 0; i < 12; i++)
        x[i] = i;
    mt_seed(&m, 42);
    for (uint32_t i = 11; i > 0; i--) {
        uint32_t j = mt_interval(&m, i), swap = x[i];
        x[i] = x[j];
        x[j] = swap;
    }
    assert_memory_equal(x, want, sizeof(x));
    assert_int_equal(mt_interval(&m, 0), 0);
}

static void own_functions_are_accurate(void **state)
{
    (void)state;
    double worst_log = 0, worst_cos = 0;
    for (uint64_t i = 0; i < 300000; i++) {
        uint32_t r[4];
        draw4((Draw){9, DRAW_TEST, 0}, i, 0, r);
        double x = i % 3 == 0 ? 1 + ldexp((double)r[0] - 0x1p31, -33 - (int)(i % 20))
                              : ldexp(1 + r[0] * 0x1p-32, (int)(r[1] % 2140) - 1070);
        long double want = logl((long double)x);
        worst_log = fmax(worst_log, want != 0 ? (double)fabsl((own_log(x) - want) / want) : fabs(own_log(x)));
        double turns = ldexp((double)r[2] - 0x1p31, (int)(r[3] % 40) - 50);
        worst_cos = fmax(worst_cos, (double)fabsl(own_cos2pi(turns) -
                                                  cosl(2 * 3.14159265358979323846264338328L * (turns - floor(turns)))));
    }
    if (sizeof(long double) > sizeof(double))
        assert_true(worst_log < 1e-15 && worst_cos < 1e-15);
    assert_true(own_log(1) == 0 && own_log(0) == -INFINITY && isnan(own_log(-1)) && isnan(own_log(NAN)));
    assert_true(own_log(INFINITY) == INFINITY && fabs(own_log(0x1p-1074) + 744.44007192138126) < 1e-12);
    static const double quarters[] = {1, 0, -1, 0};
    for (int i = -9; i < 9; i++)
        assert_true(own_cos2pi(0.25 * i) == quarters[i & 3]);
    assert_true(own_cos2pi(0x1p60) == 1 && isnan(own_cos2pi(INFINITY)) && isnan(own_cos2pi(NAN)));
}

/* ---- progress and trace -------------------------------------------------------------------------------------------- */

static void progress_speaks_plainly(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    Progress p;
    progress_start(&p, to, "extract", "items", 50);
    p.started -= 20;
    p.drawn -= 20;
    progress_step(&p, 10, "cold");
    progress_step(&p, 11, NULL);
    p.is_terminal = true;
    p.drawn -= 1;
    progress_step(&p, 25, NULL);
    progress_end(&p, "done");
    progress_start(&p, NULL, "silent", "items", 1);
    progress_step(&p, 1, NULL);
    progress_end(&p, NULL);
    progress_start(&p, to, "count", "rows", 0);
    p.started -= 4000;
    p.drawn -= 4000;
    progress_step(&p, 1e6, NULL);
    fclose(to);
    assert_non_null(strstr(text, "extract 10/50 items (20 %), 0.5 items/s, 1:20 left, cold\n"));
    assert_null(strstr(text, "11/50"));
    assert_non_null(strstr(text, "\r\033[Kextract [============            ] 25/50 items (50 %), 1.25 items/s, 0:20 left"));
    assert_non_null(strstr(text, "count 1000000 rows, 250 rows/s in 1:06:40\n"));
    free(text);
    double before = now_seconds();
    usleep(1000);
    assert_true(now_seconds() - before >= 0.001);
    assert_true(peak_rss_bytes() > 100000);
}

static void trace_task(void *arg, size_t task, int worker)
{
    Trace *t = arg;
    (void)worker;
    double begun = trace_begin(t);
    trace_end(t, begun, task % 3 ? "gemm" : "spmm \"csr\"", 2e6, 100);
}

static void traces_add_up(void **state)
{
    (void)state;
    Error e = {0};
    trace_end(NULL, trace_begin(NULL), "nothing", 1, 1);
    TestHeap heap;
    test_heap(&heap, 0);
    Trace *t = trace_new(&heap.heap, true, &e);
    Pool *pool = pool_new(NULL, 3, &e);
    pool_run(pool, 300, trace_task, t);
    pool_free(pool);
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof(path), "%s/trace.json", folder);
    assert_ok(trace_write(t, path, &e), e);
    Arena *a = arena_new(NULL, 0);
    Text source;
    assert_ok(file_read(&source, a, path, 0, &e), e);
    const Json *root = json_parse(a, source, path, &e);
    assert_ok(root, e);
    const Json *events = json_get(root, "traceEvents");
    size_t spans = 0, named = 0;
    for (const Json *v = events->first; v; v = v->next) {
        spans += text_is(json_get(v, "ph")->text, "X");
        named += text_is(json_get(v, "name")->text, "spmm \"csr\"");
        assert_non_null(json_get(v, "pid"));
    }
    assert_int_equal(spans, 300);
    assert_int_equal(named, 100);
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    trace_table(t, to, 100);
    fclose(to);
    Text rest = {text, n}, line;
    size_t lines = 0;
    while (text_line(&rest, &line)) {
        assert_true(line.n <= 100);
        lines++;
    }
    assert_int_equal(lines, 3 + 1); /* heading, two ops, all */
    assert_non_null(strstr(text, "gemm "));
    free(text);
    arena_free(a);
    trace_free(t);
    trace_free(NULL);
    assert_int_equal(heap.live, 0);
    test_folder_remove(folder);
}

static void short_nap(void *arg, size_t task, int worker)
{
    (void)arg, (void)task, (void)worker;
    usleep(100);
}

/* Every task is in some span, spans of one thread do not overlap, workers have names, tasks that of the op around them. */
static void pools_are_traced(void **state)
{
    (void)state;
    enum { TASKS = 100 };
    Error e = {0};
    Trace *totals = trace_new(NULL, false, &e), *t = trace_new(NULL, true, &e);
    Pool *pool = pool_new(NULL, 3, &e);
    assert_false(trace_keeps_events(NULL) || trace_keeps_events(totals));
    pool_trace(pool, totals);
    pool_run(pool, TASKS, short_nap, NULL);
    pool_trace(pool, t);
    double begun = trace_begin(t);
    pool_run(pool, TASKS, short_nap, NULL);
    trace_end(t, begun, "nap", 0, 0);
    pool_run(pool, 2, short_nap, NULL);
    pool_trace(pool, NULL);
    pool_run(pool, TASKS, short_nap, NULL);
    char folder[256], path[300];
    snprintf(path, sizeof(path), "%s/trace.json", test_folder(folder));
    assert_ok(trace_write(t, path, &e), e);
    Arena *a = arena_new(NULL, 0);
    Text source;
    assert_ok(file_read(&source, a, path, 0, &e), e);
    const Json *root = json_parse(a, source, path, &e);
    assert_ok(root, e);
    double tasks = 0, unnamed = 0, ended[64] = {0};
    int64_t threads[64];
    size_t thread_count = 0, names = 0, waits = 0;
    for (const Json *v = json_get(root, "traceEvents")->first; v; v = v->next) {
        const Json *cat = json_get(v, "cat"), *args = json_get(v, "args");
        names += text_is(json_get(v, "name")->text, "thread_name");
        if (!cat || text_is(cat->text, "op"))
            continue;
        waits += text_is(cat->text, "wait");
        if (text_is(cat->text, "tasks")) {
            tasks += json_get(args, "tasks")->number;
            unnamed += text_is(json_get(v, "name")->text, "nap") ? 0 : json_get(args, "tasks")->number;
        }
        int64_t thread;
        assert_true(json_i64(json_get(v, "tid"), &thread));
        size_t at = 0;
        while (at < thread_count && threads[at] != thread)
            at++;
        threads[at] = thread;
        thread_count = MAX(thread_count, at + 1);
        double ts = json_get(v, "ts")->number;
        assert_true(ts >= ended[at] - 0.01);
        ended[at] = ts + json_get(v, "dur")->number;
    }
    assert_true(tasks == TASKS + 2);
    assert_true(unnamed == 2);
    assert_true(waits > 0);
    assert_true(thread_count <= 3);
    assert_int_equal(names, thread_count);
    arena_free(a);
    pool_free(pool);
    trace_free(t);
    trace_free(totals);
    test_folder_remove(folder);
}

/* Every request refused in turn: a clean error each time, nothing left over. */
static void refused_memory_is_an_error(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof(path), "%s/f", folder);
    bool whole = false;
    for (size_t refuse = 1; !whole; refuse++) {
        TestHeap heap;
        test_heap(&heap, refuse);
        Error e = {0};
        Arena *a = arena_new(&heap.heap, 0);
        Text t;
        FolderEntry *entries;
        size_t n;
        Out *o = a ? out_open(path, &heap.heap, &e) : NULL;
        bool ok = o && out_printf(o, &e, "%070000d", 1);
        if (ok)
            ok = out_commit(o, &e);
        else
            out_discard(o);
        ok = ok && file_read(&t, a, path, 0, &e) && folder_list(&entries, &n, a, folder, &e);
        TextIndex *ix = ok ? text_index_new(a, &e) : NULL;
        for (int64_t i = 0; ix && ok && i < 3000; i++)
            ok = text_index_add(ix, (Text){(char *)&i, sizeof(i)}, &e) == i;
        Pool *pool = ok && ix ? pool_new(&heap.heap, 2, &e) : NULL;
        Trace *trace = pool ? trace_new(&heap.heap, true, &e) : NULL;
        whole = trace != NULL;
        assert_true(whole || !a || e.code == SP_MEMORY);
        assert_true(refuse < 100);
        trace_free(trace);
        pool_free(pool);
        arena_free(a);
        assert_int_equal(heap.live, 0);
    }
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_keep_the_first_cause),
        cmocka_unit_test(errors_are_cut_between_characters),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(arenas_align_zero_and_reuse),
        cmocka_unit_test(arenas_obey_their_limit),
        cmocka_unit_test(arenas_grow_lists_and_print),
        cmocka_unit_test(texts_compare_and_cut),
        cmocka_unit_test(whole_numbers_are_strict),
        cmocka_unit_test(real_numbers_are_exact),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(indexes_number_texts),
        cmocka_unit_test(hashes_spread),
        cmocka_unit_test(files_are_read_and_mapped),
        cmocka_unit_test(folders_are_made_and_listed),
        cmocka_unit_test(outputs_appear_whole_or_not),
        cmocka_unit_test(outputs_report_failures),
        cmocka_unit_test(folders_are_locked),
        cmocka_unit_test(groups_share_a_folder),
        cmocka_unit_test(pools_run_each_task_once),
        cmocka_unit_test(pools_serve_several_callers),
        cmocka_unit_test(philox_gives_the_published_numbers),
        cmocka_unit_test(draws_have_their_distribution),
        cmocka_unit_test(shuffles_are_permutations),
        cmocka_unit_test(mt19937_draws_as_numpy),
        cmocka_unit_test(own_functions_are_accurate),
        cmocka_unit_test(progress_speaks_plainly),
        cmocka_unit_test(traces_add_up),
        cmocka_unit_test(pools_are_traced),
        cmocka_unit_test(refused_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
