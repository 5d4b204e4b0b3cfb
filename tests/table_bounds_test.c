/* tests/table_bounds_test.c: tables of the shortest rows also stay below the bound of resources_test.c. */
#include "tools/ducho/extract.h"

#include "tests/bounds.h"

static void interactions_of(const char *what, Bytes *b, const char *why)
{
    Error e = {0};
    TestHeap h;
    const char *path = put("r", b);
    test_heap_bounded(&h, b->n);
    Arena *a = arena_new(&h.heap, 0);
    DataSet d;
    bool ok = dataset_load(&d, &(DataConfig){.train = path}, a, &e);
    check(what, ok, why, &e, &h);
    if (ok)
        dataset_close(&d);
    arena_free(a);
    size_t counts[3];
    test_heap_bounded(&h, b->n);
    ok = split_file(path, folder, &(SplitConfig){.test_ratio = .5, .heap = &h.heap}, counts, &e);
    check(what, ok, why, &e, &h);
    assert_int_equal(h.live, 0);
    *b = (Bytes){.p = b->p, .room = b->room};
}

static void interactions(void **state)
{
    (void)state;
    Bytes b = {0};
    print(&b, "1");
    repeat(&b, TEXT(" 2"), 3000000);
    interactions_of("LightGCN text of one item", &b, NULL);
    repeat(&b, TEXT("1\t2\n"), 1000000);
    interactions_of("a table of one pair", &b, NULL);
    repeat(&b, TEXT("1\t2\t3\t4\n"), 1000000);
    interactions_of("a table of one pair with its time", &b, NULL);
    for (int u = 0; u < 200000; u++)
        print(&b, "%d 0 1 2 3 4 5 6 7 8 9\n", u);
    interactions_of("LightGCN text of one digit an item", &b, NULL);
    for (int u = 0; u < 300000; u++)
        print(&b, "%d\t%d\n%d\t%d\n", u, u, u, u + 1);
    interactions_of("a table of new users and items", &b, NULL);
    free(b.p);
}

static void texts_of(const char *what, Bytes *b)
{
    Error e = {0};
    TestHeap h;
    Input *rows;
    size_t n;
    UnreadableList unreadable = {0};
    const char *path = put("texts", b);
    test_heap_bounded(&h, b->n);
#ifdef __SANITIZE_ADDRESS__
    /* base/memory.c: with this sanitizer, the name of a row is aligned and followed by a gap */
    h.most += b->n / 3 * 32;
#endif
    Arena *a = arena_new(&h.heap, 0);
    bool ok = table_rows(&rows, &n, path, "i", "t", a, &e);
    for (size_t i = 0; ok && i < n; i++) {
        const char *problem = input_problem(&rows[i]);
        Error why = {.code = SP_FORMAT};
        snprintf(why.message, sizeof why.message, "%s", problem ? problem : "");
        ok = !problem || unreadable_add(&unreadable, &rows[i], &why, a, &e);
    }
    check(what, ok, NULL, &e, &h);
    arena_free(a);
    *b = (Bytes){.p = b->p, .room = b->room};
}

static void tables_of_texts(void **state)
{
    (void)state;
    Bytes b = {0};
    print(&b, "i\tt\n");
    repeat(&b, TEXT("a\t\n"), 3000000);
    texts_of("rows of three bytes", &b);
    print(&b, "i\tt\n");
    for (int i = 0; i < 1000000; i++)
        print(&b, "%d\t\xff\n", i);
    texts_of("texts that are not UTF-8", &b);
    free(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(interactions), cmocka_unit_test(tables_of_texts)};
    test_folder(folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_folder_remove(folder);
    return failed;
}
