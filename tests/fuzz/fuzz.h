/* tests/fuzz/fuzz.h: shared by the fuzz targets. A target defines LLVMFuzzerTestOneInput; tests/fuzz/run.sh runs the
 * targets. For any bytes, a reader must return a result or an error of one line. The sanitizers find the other faults.
 */
#ifndef SAPOR_FUZZ_H
#define SAPOR_FUZZ_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(what)                                                                                                  \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                                         \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Writes the bytes to a file in memory, for readers that open a path. Returns its path, which is valid until the next
 * call. */
static inline const char *as_file(const uint8_t *data, size_t size)
{
    static char path[64];
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

/* Writes the bytes to a file at this path. */
static inline void put_file(const char *path, const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

/* A heap with the bound of every reader: 64 MB plus 20 bytes per byte of input. Requests above the bound are refused.
 */
typedef struct FuzzHeap {
    Heap heap;
    size_t live, most; /* allocated bytes; the bound */
} FuzzHeap;

static inline void *fuzz_resize(void *user, void *p, size_t old_bytes, size_t new_bytes)
{
    FuzzHeap *h = user;
    if (new_bytes && h->live - old_bytes + new_bytes > h->most)
        return NULL;
    void *q = new_bytes ? realloc(p, new_bytes) : NULL;
    if (!new_bytes)
        free(p);
    if (q || !new_bytes)
        h->live += new_bytes - old_bytes;
    return q;
}

/* Returns the heap for an input of this size. It is valid until the next call. */
static inline const Heap *fuzz_heap(size_t size)
{
    static FuzzHeap h;
    h = (FuzzHeap){.heap = {fuzz_resize, &h}, .most = ((size_t)64 << 20) + 20 * size};
    return &h.heap;
}

/* Checks that a call either succeeds without an error, or fails with a one-line error. An error of memory means that
 * the reader needs more than the bound: it is a failure. */
static inline void check_end(bool ok, const Error *e)
{
    REQUIRE(e->code != SP_MEMORY);
    REQUIRE(ok == (e->code == SP_OK));
    REQUIRE(ok || (e->message[0] && !strchr(e->message, '\n')));
}

#endif
