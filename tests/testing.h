/* tests/testing.h: what every test program includes. */
#ifndef SAPOR_TESTING_H
#define SAPOR_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/drawn.h"

#include <cmocka.h> /* after base.h: cmocka's macro fail() hides base's function, which tests call as (fail)(...) */

/* Makes a temporary folder under $TMPDIR. The caller removes it with test_folder_remove. */
static inline const char *test_folder(char path[256])
{
    const char *root = getenv("TMPDIR");
    snprintf(path, 256, "%s/sapor-test-XXXXXX", root && *root ? root : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

/* Makes test_folder use /dev/shm, a folder in memory, if it exists and TMPDIR is not set. Used by tests that sync a
 * file every few milliseconds. */
static inline void test_folders_in_memory(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
}

/* Removes a folder and everything in it. Errors are ignored. */
static inline void test_folder_remove(const char *path)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    FolderEntry *entries;
    size_t n;
    if (folder_list(&entries, &n, a, path, &e))
        for (size_t i = 0; i < n; i++) {
            const char *name = path_join(a, path, entries[i].name, &e);
            if (entries[i].is_folder)
                test_folder_remove(name);
            else
                unlink(name);
        }
    rmdir(path);
    arena_free(a);
}

/* Writes a file into a folder. */
static inline void test_write(const char *folder, const char *name, Text bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, f), bytes.n);
    assert_int_equal(fclose(f), 0);
}

/* A heap for tests. It counts the bytes in use (`live`) and their maximum (`peak`). It refuses request number
 * `refuse_at` (0: none) and every request that would exceed `most` bytes (0: no limit). `peak` is exact if only one
 * thread allocates at a time. */
typedef struct TestHeap {
    Heap heap;
    _Atomic size_t live, requests; /* atomic: several threads may allocate */
    size_t refuse_at, most;
    _Atomic size_t peak;
} TestHeap;

static inline void *test_resize(void *user, void *p, size_t old_bytes, size_t new_bytes)
{
    TestHeap *h = user;
    if (new_bytes == 0) {
        h->live -= old_bytes;
        free(p);
        return NULL;
    }
    if (++h->requests == h->refuse_at || (h->most && h->live - old_bytes + new_bytes > h->most))
        return NULL;
    void *q = realloc(p, new_bytes);
    if (q)
        h->live += new_bytes - old_bytes;
    if (h->live > h->peak)
        h->peak = h->live;
    return q;
}

static inline void test_heap(TestHeap *h, size_t refuse_at)
{
    *h = (TestHeap){.heap = {test_resize, h}, .refuse_at = refuse_at};
}

/* Returns the memory bound of every reader of files: 64 MB plus 20 bytes per byte of input. Requests above the bound
 * are refused. So a reader that needs more fails on every machine. */
static inline size_t test_bound(size_t input_bytes)
{
    return ((size_t)64 << 20) + 20 * input_bytes;
}

static inline void test_heap_bounded(TestHeap *h, size_t input_bytes)
{
    test_heap(h, 0);
    h->most = test_bound(input_bytes);
}

/* Checks the status of an error and that its message contains `text`. Then clears the error. */
#define assert_error(e, status, text)                                                                                  \
    do {                                                                                                               \
        assert_int_equal((e).code, (status));                                                                          \
        if (!strstr((e).message, (text)))                                                                              \
            fail_msg("\"%s\" is not in \"%s\"", (text), (e).message);                                                  \
        error_clear(&(e));                                                                                             \
    } while (0)
/* Checks that a call succeeds; otherwise the test fails with the message of `e`. */
#define assert_ok(call, e)                                                                                             \
    do {                                                                                                               \
        if (!(call))                                                                                                   \
            fail_msg("%s: %s", #call, (e).message);                                                                    \
    } while (0)

#endif
