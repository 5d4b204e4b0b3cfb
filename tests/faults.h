/* tests/faults.h: makes system calls fail. A program that includes this file is linked with --wrap for the functions
 * below (FAULTS in mk/build.mk), so that Sapor calls the wrappers here instead of these functions. The product has no
 * code for it. */
#ifndef SAPOR_FAULTS_H
#define SAPOR_FAULTS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/testing.h"

typedef enum FaultKind {
    FAULT_NONE,
    FAULT_MEMORY,    /* request number `at` to malloc and similar functions is refused */
    FAULT_ARENA,     /* request number `at` to an arena is refused */
    FAULT_ERROR,     /* file call number `at` fails: EIO */
    FAULT_FULL,      /* write number `at` writes half of its bytes, and every later write writes nothing: ENOSPC */
    FAULT_INTERRUPT, /* every second file call that may wait fails with EINTR */
    FAULT_SHORT,     /* reads and writes transfer 1, 2, ... 7 bytes, again and again */
    FAULT_KILL       /* the process is killed before call number `at` of the calls that change files */
} FaultKind;

static struct {
    atomic_int kind;
    size_t at;
    atomic_size_t calls;
} fault;

static void fault_arm(FaultKind kind, size_t at)
{
    fault.at = at;
    atomic_store(&fault.calls, 0);
    atomic_store(&fault.kind, (int)kind);
}

/* Disarms the fault and returns the number of calls of the kind since fault_arm. If this number is `at` or more, the
 * fault has occurred. */
static size_t fault_disarm(void)
{
    atomic_store(&fault.kind, FAULT_NONE);
    return atomic_load(&fault.calls);
}

static bool is_next(FaultKind kind)
{
    return atomic_load(&fault.kind) == (int)kind && atomic_fetch_add(&fault.calls, 1) + 1 == fault.at;
}

static bool fault_error(void)
{
    if (!is_next(FAULT_ERROR))
        return false;
    errno = EIO;
    return true;
}

static bool fault_interrupt(void)
{
    if (atomic_load(&fault.kind) != FAULT_INTERRUPT || atomic_fetch_add(&fault.calls, 1) % 2)
        return false;
    errno = EINTR;
    return true;
}

static void fault_kill(void)
{
    if (is_next(FAULT_KILL))
        raise(SIGKILL);
}

static size_t fault_short(size_t n)
{
    if (atomic_load(&fault.kind) != FAULT_SHORT)
        return n;
    size_t few = atomic_fetch_add(&fault.calls, 1) % 7 + 1;
    return MIN(n, few);
}

/* ---- memory: the live allocations of calls while a fault is armed, to find leaks ------------- */

enum { SLOTS = 1 << 18 };
static struct {
    pthread_mutex_t lock;
    uintptr_t slot[SLOTS]; /* 0: empty, 1: was used before */
    size_t count;
} live = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void live_change(const void *p, bool is_new)
{
    uintptr_t key = (uintptr_t)p;
    pthread_mutex_lock(&live.lock);
    size_t i = (key >> 4) * 0x9E3779B97F4A7C15u % SLOTS;
    while (is_new ? live.slot[i] > 1 : live.slot[i] && live.slot[i] != key)
        i = (i + 1) % SLOTS;
    if (is_new && live.count < SLOTS / 2) {
        live.slot[i] = key;
        live.count++;
    } else if (!is_new && live.slot[i]) {
        live.slot[i] = 1;
        live.count--;
    }
    pthread_mutex_unlock(&live.lock);
}

static void live_forget(void)
{
    memset(live.slot, 0, sizeof live.slot);
    live.count = 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);

void *__wrap_malloc(size_t n)
{
    void *p = is_next(FAULT_MEMORY) ? NULL : __real_malloc(n);
    if (p && atomic_load(&fault.kind))
        live_change(p, true);
    return p;
}

void *__wrap_calloc(size_t n, size_t size)
{
    void *p = is_next(FAULT_MEMORY) ? NULL : __real_calloc(n, size);
    if (p && atomic_load(&fault.kind))
        live_change(p, true);
    return p;
}

void *__wrap_realloc(void *p, size_t n)
{
    if (is_next(FAULT_MEMORY))
        return NULL;
    if (p)
        live_change(p, false); /* before another thread can be given the same address */
    void *q = __real_realloc(p, n);
    if (atomic_load(&fault.kind) && (q || p))
        live_change(q ? q : p, true);
    return q;
}

void __wrap_free(void *p)
{
    if (p)
        live_change(p, false);
    __real_free(p);
}

int __real_pthread_create(pthread_t *t, const pthread_attr_t *how, void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *how, void *(*start)(void *), void *arg)
{
    return is_next(FAULT_MEMORY) ? EAGAIN : __real_pthread_create(t, how, start, arg);
}

#define ARENA_WRAP(result, name, parameters, arguments)                                                                \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        return is_next(FAULT_ARENA) ? (fail_memory(e, 1, #name), NULL) : __real_##name arguments;                      \
    }
ARENA_WRAP(void *, arena_alloc, (Arena * a, size_t count, size_t size, Error *e), (a, count, size, e))
ARENA_WRAP(char *, arena_strndup, (Arena * a, const char *text, size_t n, Error *e), (a, text, n, e))
ARENA_WRAP(void *, arena_grow, (Arena * a, void *items, size_t count, size_t *room, size_t size, Error *e),
           (a, items, count, room, size, e))
Arena *__real_arena_new(const Heap *heap, size_t most);
Arena *__wrap_arena_new(const Heap *heap, size_t most)
{
    return is_next(FAULT_ARENA) ? NULL : __real_arena_new(heap, most);
}
void *__real_heap_alloc(const Heap *heap, size_t n);
void *__wrap_heap_alloc(const Heap *heap, size_t n)
{
    return is_next(FAULT_ARENA) ? NULL : __real_heap_alloc(heap, n);
}

/* ---- files ----------------------------------------------------------------------------------- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (flags & O_CREAT)
        fault_kill();
    return fault_interrupt() || fault_error() ? -1 : __real_open(path, flags, mode);
}

ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n)
{
    if (fault_interrupt() || fault_error())
        return -1;
    return __real_read(fd, p, fault_short(n));
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    fault_kill();
    if (fault_interrupt() || fault_error())
        return -1;
    if (atomic_load(&fault.kind) == FAULT_FULL) {
        size_t call = atomic_fetch_add(&fault.calls, 1) + 1;
        if (call > fault.at || (call == fault.at && n < 2)) {
            errno = ENOSPC;
            return -1;
        }
        n = call == fault.at ? n / 2 : n;
    }
    return __real_write(fd, p, fault_short(n));
}

#define WRAP(result, failed, name, parameters, arguments, before)                                                      \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        before;                                                                                                        \
        return fault_error() ? (failed) : __real_##name arguments;                                                     \
    }
#define MAY_WAIT                                                                                                       \
    do {                                                                                                               \
        fault_kill();                                                                                                  \
        if (fault_interrupt())                                                                                         \
            return -1;                                                                                                 \
    } while (0)
WRAP(int, -1, fsync, (int fd), (fd), MAY_WAIT)
WRAP(int, -1, flock, (int fd, int how), (fd, how), (void)0)
WRAP(int, -1, rename, (const char *from, const char *to), (from, to), fault_kill())
WRAP(int, -1, unlink, (const char *path), (path), fault_kill())
WRAP(int, -1, mkdir, (const char *path, mode_t mode), (path, mode), fault_kill())
WRAP(DIR *, NULL, fdopendir, (int fd), (fd), (void)0)
WRAP(struct dirent *, NULL, readdir, (DIR * dir), (dir), (void)0)
WRAP(void *, MAP_FAILED, mmap, (void *at, size_t n, int protection, int flags, int fd, off_t offset),
     (at, n, protection, flags, fd, offset), (void)0)

#endif
