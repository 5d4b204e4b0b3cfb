/* tests/bounds.h: large hostile inputs, and the bounds of their readers: 64 MB plus 20 bytes of memory per byte of
 * input, and SECONDS of processor time for a whole program. For resources_test.c and table_bounds_test.c. */
#ifndef SAPOR_TESTS_BOUNDS_H
#define SAPOR_TESTS_BOUNDS_H

#include <time.h>

#include "tests/testing.h"

enum { SECONDS = 60 };

static char folder[256];

/* ---- inputs ---------------------------------------------------------------------------------- */

typedef struct Bytes {
    char *p;
    size_t n, room;
} Bytes;

static void add_bytes(Bytes *b, const void *data, size_t n)
{
    if (b->room - b->n < n) {
        b->room = 2 * b->room + n + 4096;
        b->p = realloc(b->p, b->room);
        assert_non_null(b->p);
    }
    memcpy(b->p + b->n, data, n);
    b->n += n;
}

static void print(Bytes *b, const char *format, ...) PRINTF_LIKE(2, 3);
static void print(Bytes *b, const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof text);
    add_bytes(b, text, (size_t)n);
}

/* Appends the text `times` times. */
static void repeat(Bytes *b, Text what, size_t times)
{
    size_t from = b->n, total = what.n * times;
    if (!total)
        return;
    add_bytes(b, what.p, what.n);
    while (b->n - from < total) { /* doubles the content, so that 100 MB are a few copies */
        size_t have = b->n - from, n = MIN(have, total - have);
        if (b->room - b->n < n) {
            b->room = b->n + n + total;
            b->p = realloc(b->p, b->room);
            assert_non_null(b->p);
        }
        memcpy(b->p + b->n, b->p + from, n);
        b->n += n;
    }
}

/* Writes the bytes as a file of `folder`. Returns its path, which is valid until the next call. */
static const char *put(const char *name, Bytes *b)
{
    static char path[512];
    test_write(folder, name, (Text){b->p, b->n});
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Checks how a call ended, then clears `e`. `ok` is the result of the call. `why` must be in the message of its error;
 * NULL: the call must succeed. Also checks that the heap stayed within its bound, and the program within SECONDS. */
static void check(const char *what, bool ok, const char *why, Error *e, const TestHeap *h)
{
    if (ok != !why || (why && (!strstr(e->message, why) || strchr(e->message, '\n') || e->code == SP_MEMORY)))
        fail_msg("%s: expected \"%s\", got \"%s\"", what, why ? why : "success", ok ? "success" : e->message);
    assert_true(h->peak <= h->most);
    assert_true(clock() < (clock_t)SECONDS * CLOCKS_PER_SEC);
    error_clear(e);
}

#endif
