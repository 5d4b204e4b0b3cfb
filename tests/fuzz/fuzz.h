/* tests/fuzz/fuzz.h: what the fuzz targets share. A target gives LLVMFuzzerTestOneInput; tests/fuzz/run.sh runs them.
 * Whatever the bytes are, a reader ends with what it read or with one line; the sanitizers see the rest. */
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

/* The bytes as a file in memory, for readers that open a path; the path stays valid until the next call. */
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

/* The same as a file of this name in a folder. */
static inline void put_file(const char *path, const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

/* A heap of the bound of every reader, 64 MB and 20 bytes for each byte of input: over it requests are refused. */
typedef struct FuzzHeap {
    Heap heap;
    size_t live, most;
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

/* The heap for an input of that size; it is valid until the next call. */
static inline const Heap *fuzz_heap(size_t size)
{
    static FuzzHeap h;
    h = (FuzzHeap){.heap = {fuzz_resize, &h}, .most = ((size_t)64 << 20) + 20 * size};
    return &h.heap;
}

/* Success without an error, or failure with one line; not for lack of memory: then the bound does not hold. */
static inline void check_end(bool ok, const Error *e)
{
    REQUIRE(e->code != SP_MEMORY);
    REQUIRE(ok == (e->code == SP_OK));
    REQUIRE(ok || (e->message[0] && !strchr(e->message, '\n')));
}

#endif
