/* tests/recsys_testing.h: a folder for the tests of one program, files written into it, and loading of data sets with
 * refused memory. */
#ifndef SAPOR_RECSYS_TESTING_H
#define SAPOR_RECSYS_TESTING_H

#include "recsys/recsys.h"

#include "tests/testing.h"

static char dir[256];

static int make_dir(void **state)
{
    (void)state;
    test_folder(dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    test_folder_remove(dir);
    return 0;
}

/* Writes a file into the folder and returns its path. The path is valid until the eighth call after this one. */
static const char *put_bytes(const char *name, const void *bytes, size_t n)
{
    static char path[8][600];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    test_write(dir, name, (Text){bytes, n});
    return p;
}

static const char *put(const char *name, const char *text)
{
    return put_bytes(name, text, strlen(text));
}

/* Loads the data set while the first request of memory is refused, then the second, and so on, until loading succeeds.
 */
static inline void load_without_memory(const DataConfig *c)
{
    bool ok = false;
    for (size_t n = 1; !ok; n++) {
        TestHeap h;
        test_heap(&h, n);
        Error e = {0};
        DataSet d;
        Arena *a = arena_new(&h.heap, 0);
        if (a) {
            ok = dataset_load(&d, c, a, &e);
            assert_true(ok || e.code == SP_MEMORY);
            if (ok)
                dataset_close(&d);
            arena_free(a);
        }
        assert_int_equal(h.live, 0);
    }
}

#endif
