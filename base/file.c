/* base/file.c: the only place that opens, reads or writes. */
#include "base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_retry(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Opens a file to read and says what it is; folders are refused. -1 on failure. */
static int open_file(const char *path, struct stat *st, Error *e)
{
    int fd = open_retry(path, O_RDONLY, 0);
    if (fd < 0) {
        fail_system(e, path, "open", errno);
        return -1;
    }
    if (fstat(fd, st) != 0)
        fail_system(e, path, "look at", errno);
    else if (S_ISDIR(st->st_mode))
        fail(e, SP_IO, "%s: is a folder, a file is wanted", path);
    else
        return fd;
    close(fd);
    return -1;
}

bool map_open(Map *m, const char *path, Error *e)
{
    *m = (Map){(const unsigned char *)"", 0};
    struct stat st;
    int fd = open_file(path, &st, e);
    if (fd < 0)
        return false;
    bool ok = true;
    if (!S_ISREG(st.st_mode))
        ok = fail(e, SP_IO, "%s: is not a plain file and cannot be mapped", path);
    else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            ok = fail_system(e, path, "map", errno);
        else
            *m = (Map){p, (size_t)st.st_size};
    }
    close(fd);
    return ok;
}

void map_close(Map *m)
{
    if (m->bytes)
        munmap((void *)(uintptr_t)m->data, m->bytes);
    *m = (Map){(const unsigned char *)"", 0};
}

/* Reads until the end. `hint` is how many bytes to expect; max_bytes 0 means no limit. */
static bool read_all(Text *out, Arena *a, FILE *in, const char *name, size_t hint, size_t max_bytes, Error *e)
{
    size_t capacity = hint, n = 0;
    char *buffer = arena_alloc(a, capacity, 1, e);
    while (buffer) {
        errno = 0;
        size_t got = fread(buffer + n, 1, capacity - n, in);
        n += got;
        if (max_bytes && n > max_bytes)
            return fail(e, SP_FORMAT, "%s: is larger than the %zu bytes that are read of such a file", name, max_bytes);
        if (n == capacity) {
            buffer = arena_grow(a, buffer, n, &capacity, 1, e);
        } else if (ferror(in) && errno == EINTR) {
            clearerr(in);
        } else if (ferror(in)) {
            return fail_system(e, name, "read", errno);
        } else if (feof(in)) {
            buffer[n] = '\0';
            *out = (Text){buffer, n};
            return true;
        }
    }
    return false;
}

bool file_read(Text *out, Arena *a, const char *path, size_t max_bytes, Error *e)
{
    struct stat st;
    int fd = open_file(path, &st, e);
    if (fd < 0)
        return false;
    FILE *in = fdopen(fd, "rb");
    if (!in) {
        fail_system(e, path, "open", errno);
        close(fd);
        return false;
    }
    size_t bytes = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 4096;
    if (max_bytes)
        bytes = MIN(bytes, max_bytes);
    bool ok = read_all(out, a, in, path, bytes + 2, max_bytes, e); /* 2: the NUL, and room to see the end */
    fclose(in);
    return ok;
}

bool input_read(Text *out, Arena *a, FILE *in, const char *name, size_t max_bytes, Error *e)
{
    return read_all(out, a, in, name, 4096, max_bytes, e);
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

bool folder_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool folder_make(const char *path, Error *e)
{
    size_t n = strlen(path);
    char *partial = heap_alloc(NULL, n + 1);
    if (!partial)
        return fail_memory(e, n + 1, "a path");
    bool ok = true;
    for (size_t i = 1; i <= n && ok; i++) {
        if (i < n && path[i] != '/')
            continue;
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, 0777) != 0) {
            int why = errno; /* an existing parent may say EEXIST, EROFS or EACCES */
            ok = folder_exists(partial) ||
                 (file_exists(partial) ? fail(e, SP_IO, "%s: is a file, a folder is wanted", partial)
                                       : fail_system(e, partial, "make the folder", why));
        }
    }
    heap_free(NULL, partial, n + 1);
    return ok;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const FolderEntry *)a)->name, ((const FolderEntry *)b)->name);
}

bool folder_list(FolderEntry **entries, size_t *count, Arena *a, const char *path, Error *e)
{
    DIR *dir = opendir(path);
    if (!dir)
        return file_exists(path) ? fail(e, SP_IO, "%s: is a file, a folder is wanted", path)
                                 : fail_system(e, path, "list the folder", errno);
    FolderEntry *list = NULL;
    size_t n = 0, capacity = 0;
    bool ok = true;
    while (ok) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (!d) {
            ok = errno == 0 || fail_system(e, path, "list the folder", errno);
            break;
        }
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        FolderEntry *grown = arena_grow(a, list, n, &capacity, sizeof(*list), e);
        char *name = grown ? arena_strndup(a, d->d_name, strlen(d->d_name), e) : NULL;
        ok = name != NULL;
        if (!ok)
            break;
        bool is_folder = d->d_type == DT_DIR;
        struct stat st;
        if ((d->d_type == DT_LNK || d->d_type == DT_UNKNOWN) && fstatat(dirfd(dir), name, &st, 0) == 0)
            is_folder = S_ISDIR(st.st_mode);
        list = grown;
        list[n++] = (FolderEntry){name, is_folder};
    }
    closedir(dir);
    if (!ok)
        return false;
    if (n)
        qsort(list, n, sizeof(*list), by_name);
    *entries = list;
    *count = n;
    return true;
}

const char *path_join(Arena *a, const char *folder, const char *name, Error *e)
{
    size_t n = strlen(folder);
    if (n == 0 || name[0] == '/')
        return arena_strndup(a, name, strlen(name), e);
    return arena_printf(a, e, "%s%s%s", folder, folder[n - 1] == '/' ? "" : "/", name);
}

Text path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return text_of(slash ? slash + 1 : path);
}

/* ---- files that appear whole ---------------------------------------------------------------------------------------- */

enum { BUFFER = 1 << 16 };
struct Out {
    const Heap *heap;
    Arena *arena;                          /* this struct's texts and buffer */
    const char *path, *temporary, *folder; /* temporary NULL: a device or pipe, written directly */
    int fd;
    bool is_own; /* the temporary file is there and locked */
    bool unsynced;
    size_t filled;
    char *buffer;
    Error error; /* the first failure: nothing can be committed after it */
};

static bool truncate_retry(int fd)
{
    int result;
    do
        result = ftruncate(fd, 0);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

static bool sync_retry(int fd)
{
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

/* Opens FOLDER/.NAME.tmp and locks it. A file of that name without a lock was left by a process that died: it is taken
 * over. Whoever held the lock may have renamed or removed the file since it was opened here: look again. */
static bool open_temporary(Out *o, Error *e)
{
    for (;;) {
        o->fd = open_retry(o->temporary, O_RDWR | O_CREAT | O_NOFOLLOW, 0666);
        if (o->fd < 0)
            return fail_system(e, o->path, "create", errno);
        if (flock(o->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            return fail(e, SP_IO, "%s: is being written by another process or thread", o->path);
        struct stat here, there;
        if (fstat(o->fd, &here) != 0)
            return fail_system(e, o->path, "look at", errno);
        if (stat(o->temporary, &there) == 0 && here.st_ino == there.st_ino && here.st_dev == there.st_dev) {
            o->is_own = true;
            return truncate_retry(o->fd) || fail_system(e, o->path, "write", errno);
        }
        close(o->fd);
    }
}

static void out_close(Out *o)
{
    if (o->fd >= 0)
        close(o->fd);
    arena_free(o->arena);
}

/* The end without a commit: what was written goes. */
static void out_drop(Out *o)
{
    if (o->is_own && o->temporary)
        unlink(o->temporary);
    out_close(o);
}

Out *out_open(const char *path, const Heap *heap, Error *e)
{
    Arena *a = arena_new(heap, 0);
    Out *o = a ? NEW(a, Out, 1, e) : NULL;
    char *buffer = o ? NEW(a, char, BUFFER, e) : NULL;
    if (!buffer) {
        fail_memory(e, sizeof(Out) + BUFFER, path);
        arena_free(a);
        return NULL;
    }
    *o = (Out){.heap = arena_heap(a), .arena = a, .buffer = buffer, .fd = -1};
    struct stat st;
    bool there = stat(path, &st) == 0;
    char *target = there ? realpath(path, NULL) : NULL; /* through links: the link stays, what it names is replaced */
    o->path = arena_strndup(a, target ? target : path, strlen(target ? target : path), e);
    free(target);
    bool ok = o->path != NULL;
    if (ok && there && S_ISDIR(st.st_mode)) {
        ok = fail(e, SP_IO, "%s: is a folder, a file is to be written", path);
    } else if (ok && there && !S_ISREG(st.st_mode)) {
        o->fd = open_retry(o->path, O_WRONLY, 0);
        ok = o->fd >= 0 || fail_system(e, path, "open", errno);
    } else if (ok) {
        Text name = path_base(o->path);
        o->folder = name.p == o->path ? "." : arena_strndup(a, o->path, (size_t)(name.p - o->path), e);
        o->temporary = o->folder ? arena_printf(a, e, "%s/.%s.tmp", o->folder, name.p) : NULL;
        ok = name.n == 0 ? fail(e, SP_IO, "%s: names a folder, a file is to be written", path)
                         : o->temporary && open_temporary(o, e);
    }
    if (ok)
        return o;
    out_drop(o);
    return NULL;
}

void out_unsynced(Out *o)
{
    o->unsynced = true;
}

static bool out_fail(Out *o, Error *e)
{
    if (e->code == SP_OK)
        *e = o->error;
    return false;
}

static bool write_fully(Out *o, const char *p, size_t n)
{
    while (n) {
        ssize_t wrote = write(o->fd, p, n);
        if (wrote < 0 && errno != EINTR)
            return fail_system(&o->error, o->path, "write", errno);
        if (wrote > 0) {
            p += wrote;
            n -= (size_t)wrote;
        }
    }
    return true;
}

static bool out_flush(Out *o)
{
    if (o->error.code != SP_OK)
        return false;
    size_t n = o->filled;
    o->filled = 0;
    return write_fully(o, o->buffer, n);
}

bool out_write(Out *o, const void *data, size_t bytes, Error *e)
{
    if (bytes == 0 && o->error.code == SP_OK)
        return true;
    if (bytes > BUFFER - o->filled && !out_flush(o))
        return out_fail(o, e);
    if (bytes > BUFFER)
        return write_fully(o, data, bytes) || out_fail(o, e);
    memcpy(o->buffer + o->filled, data, bytes);
    o->filled += bytes;
    return o->error.code == SP_OK || out_fail(o, e);
}

bool out_printf(Out *o, Error *e, const char *format, ...)
{
    size_t room = BUFFER - o->filled;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(o->buffer + o->filled, room, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < room && o->error.code == SP_OK) {
        o->filled += (size_t)n;
        return true;
    }
    if (n < 0)
        fail(&o->error, SP_FORMAT, "%s: a text cannot be formatted", o->path);
    char *text = o->error.code == SP_OK ? heap_alloc(o->heap, (size_t)n + 1) : NULL;
    if (!text) {
        fail_memory(&o->error, (size_t)n + 1, o->path);
        return out_fail(o, e);
    }
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    bool ok = out_write(o, text, (size_t)n, e);
    heap_free(o->heap, text, (size_t)n + 1);
    return ok;
}

/* Makes the new name itself durable. A file system that cannot sync folders has done what it can. */
static bool sync_folder(Out *o)
{
    int fd = open_retry(o->folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return errno == EACCES || fail_system(&o->error, o->folder, "open", errno);
    bool ok = sync_retry(fd) || errno == EINVAL || errno == ENOTSUP || fail_system(&o->error, o->folder, "sync", errno);
    close(fd);
    return ok;
}

/* All of it on the disk, still under its other name. */
static bool out_settle(Out *o)
{
    return out_flush(o) &&
           (!o->temporary || o->unsynced || sync_retry(o->fd) || fail_system(&o->error, o->path, "sync", errno));
}

static bool out_appear(Out *o)
{
    if (!o->temporary)
        return true;
    if (rename(o->temporary, o->path) != 0)
        return fail_system(&o->error, o->path, "rename to it", errno);
    o->is_own = false;
    return o->unsynced || sync_folder(o);
}

bool out_commit_pair(Out *side, Out *o, Error *e)
{
    bool ok = out_settle(o);
    if (side) {
        ok = ok && out_settle(side);
        if (ok && o->temporary)
            ok = (unlink(o->path) == 0 || errno == ENOENT || fail_system(&o->error, o->path, "remove", errno)) &&
                 sync_folder(o);
        ok = ok && out_appear(side);
        if (!ok)
            out_fail(side, e); /* says nothing where the fault is o's */
    }
    ok = ok && out_appear(o);
    if (!ok)
        out_fail(o, e);
    out_discard(side);
    out_drop(o);
    return ok;
}

bool out_commit(Out *o, Error *e)
{
    return out_commit_pair(NULL, o, e);
}

void out_discard(Out *o)
{
    if (o)
        out_drop(o);
}

/* Opens FOLDER/NAME; the lock is the caller's to take. */
static bool lock_open(FolderLock *l, const char *folder, const char *name, Error *e)
{
    l->fd = -1;
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = heap_alloc(NULL, n);
    if (!path)
        return fail_memory(e, n, "a path");
    snprintf(path, n, "%s/%s", folder, name);
    l->fd = open_retry(path, O_RDWR | O_CREAT, 0666);
    int why = errno;
    heap_free(NULL, path, n);
    return l->fd >= 0 || fail_system(e, folder, "lock the folder", why);
}

static bool lock_refused(FolderLock *l, const char *folder, int why, Error *e)
{
    folder_unlock(l);
    if (why == EWOULDBLOCK)
        return fail(e, SP_IO, "%s: another run is writing here; wait for it or choose another folder", folder);
    return fail_system(e, folder, "lock the folder", why);
}

bool folder_lock(FolderLock *l, const char *folder, Error *e)
{
    if (!lock_open(l, folder, ".sapor.lock", e))
        return false;
    return flock(l->fd, LOCK_EX | LOCK_NB) == 0 || lock_refused(l, folder, errno, e);
}

/* A group is a byte of a file, locked for reading by each of its runs; one that finds another byte locked goes away. Each
 * locks before it looks: of two groups that come at once none may stay, but never both. */
bool folder_join(FolderLock *l, const char *folder, int64_t group, Error *e)
{
    struct flock own = {.l_type = F_RDLCK, .l_start = group, .l_len = 1}, below = {.l_type = F_WRLCK, .l_len = group},
                 above = {.l_type = F_WRLCK, .l_start = group + 1};
    if (!lock_open(l, folder, ".sapor.group", e))
        return false;
    if (fcntl(l->fd, F_OFD_SETLK, &own) != 0 || fcntl(l->fd, F_OFD_GETLK, &below) != 0 ||
        fcntl(l->fd, F_OFD_GETLK, &above) != 0)
        return errno == EINVAL || lock_refused(l, folder, errno, e); /* EINVAL: a system that knows no such locks */
    return (below.l_type == F_UNLCK && above.l_type == F_UNLCK) || lock_refused(l, folder, EWOULDBLOCK, e);
}

void folder_unlock(FolderLock *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
