/* tests/base_memory_test.c: errors, and memory: sizes, arenas, refused requests. */
#include "tests/testing.h"

#include <errno.h>

/* ---- errors ---------------------------------------------------------------------------------- */

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

/* ---- memory ---------------------------------------------------------------------------------- */

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
    assert_error(e, SP_MEMORY, "exceed the address space");
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
    char *first = arena_strndup(a, "kept", 4, &e);
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
    assert_string_equal(first, "kept");
    assert_true(arena_bytes(a) <= heap.live && arena_bytes(a) > 2000 * 2000);
    assert_ptr_not_equal(arena_alloc(a, 0, 1, &e), arena_alloc(a, 0, 1, &e));
    arena_rewind(a, (ArenaMark){0});
    assert_ptr_equal(arena_alloc(a, 5, 1, &e), first);
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
    assert_error(e, SP_MEMORY, "exceed the limit of 100000");
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

/* Refuses each request in turn: each time there is an error, and no memory is leaked. */
static void refused_memory_is_an_error(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/f", folder);
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
            ok = text_index_add(ix, (Text){(char *)&i, sizeof i}, &e) == i;
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

static void arenas_free_large_blocks(void **state)
{
    (void)state;
    TestHeap h;
    Error e = {0};
    test_heap(&h, 0);
    Arena *a = arena_new(&h.heap, 0);
    size_t empty = h.live;
    assert_non_null(NEW(a, char, 1 << 20, &e));
    arena_trim(a, 4 << 20);
    size_t first = h.live;
    assert_true(first > 1 << 20);
    assert_non_null(NEW(a, char, 1 << 20, &e));
    assert_int_equal(h.live, first); /* the same block is used again */
    assert_non_null(NEW(a, char, 8 << 20, &e));
    arena_trim(a, 4 << 20);
    assert_int_equal(h.live, empty);
    assert_non_null(NEW(a, char, 100, &e));
    arena_free(a);
    assert_int_equal(h.live, 0);
}

static void count_up(void *p)
{
    ++*(int *)p;
}

/* Checks that objects registered after a mark are ended by the rewind, and the others with the arena, each once. */
static void arenas_end_what_they_hold(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    int ended[3] = {0};
    assert_true(arena_at_end(a, count_up, &ended[0], &e));
    ArenaMark mark = arena_mark(a);
    for (int round = 1; round <= 2; round++) {
        assert_non_null(NEW(a, char, round * 100000, &e)); /* in another block */
        assert_true(arena_at_end(a, count_up, &ended[1], &e));
        assert_non_null(NEW(a, char, 100000, &e));
        arena_rewind(a, arena_mark(a));
        assert_int_equal(ended[1], round - 1);
        arena_rewind(a, mark);
        assert_int_equal(ended[1], round);
        assert_int_equal(ended[0], 0);
    }
    arena_trim(a, 0);
    assert_int_equal(ended[0], 1);
    assert_true(arena_at_end(a, count_up, &ended[2], &e));
    arena_free(a);
    assert_int_equal(ended[0], 1);
    assert_int_equal(ended[1], 2);
    assert_int_equal(ended[2], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_keep_the_first_cause), cmocka_unit_test(errors_are_cut_between_characters),
        cmocka_unit_test(sizes_are_checked),           cmocka_unit_test(arenas_align_zero_and_reuse),
        cmocka_unit_test(arenas_obey_their_limit),     cmocka_unit_test(arenas_grow_lists_and_print),
        cmocka_unit_test(refused_memory_is_an_error),  cmocka_unit_test(arenas_free_large_blocks),
        cmocka_unit_test(arenas_end_what_they_hold)};
    return cmocka_run_group_tests_name("base_memory", tests, NULL, NULL);
}
