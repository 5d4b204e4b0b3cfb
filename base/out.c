/* base/out.c: output files that appear completely or not at all, alone or as a set, and locks of folders. */
// flags: -Os
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 16 };
struct Out {
    const Heap *heap;
    Arena *arena;                          /* of this struct's texts and buffer */
    const char *path, *temporary, *folder; /* temporary NULL: a device or pipe, written directly */
    int fd;
    bool is_own; /* the temporary file exists and is locked by this Out */
    bool unsynced;
    size_t filled;
    char *buffer;
    Error error; /* the first failure: after it, a commit fails */
};

static bool sync_retry(int fd)
{
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

/* Blocks the signals that end the command. A temporary file and its entry in the list of the signal handler then change
 * together. */
static void hold_signals(sigset_t *old)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGHUP);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGXCPU);
    if (file_hooks)
        pthread_sigmask(SIG_BLOCK, &ends, old);
}

static void release_signals(const sigset_t *old)
{
    if (file_hooks)
        pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* Removes a file with the temporary name that a killed process left behind: no process holds its lock. Nothing is
 * written to it, because it may be a link to another file. Returns false if the file remains. */
static bool remove_leftover(const Out *o, Error *e)
{
    struct stat here, there;
    int fd = descriptor_open(o->temporary, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0 && errno == ENOENT)
        return true;
    if (fd < 0 && errno == ELOOP)
        return fail(e, SP_IO, "%s: is a link with the name of a temporary file; remove it", o->temporary);
    if (fd < 0)
        return fail_system(e, o->temporary, "open", errno);
    bool ok = false;
    if (fstat(fd, &here) != 0)
        fail_system(e, o->temporary, "access", errno);
    else if (!S_ISREG(here.st_mode))
        fail(e, SP_IO, "%s: has the name of a temporary file, but is not a regular file; remove it", o->temporary);
    else if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        fail(e, SP_IO, "%s: is being written by another process or thread", o->path);
    else /* the process that held the lock may have renamed the file after it was opened here */
        ok = lstat(o->temporary, &there) != 0 || here.st_ino != there.st_ino || here.st_dev != there.st_dev ||
             unlink(o->temporary) == 0 || errno == ENOENT || fail_system(e, o->temporary, "remove", errno);
    close(fd);
    return ok;
}

/* Makes FOLDER/.NAME.tmp and locks it. The file must be new (O_EXCL), so that nothing is written through a link that
 * someone placed there. */
static bool make_temporary(Out *o, Error *e)
{
    enum { TRIES = 1000 };
    for (int i = 0; i < TRIES; i++) {
        struct stat here, there;
        o->fd = descriptor_open(o->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
        if (o->fd < 0 && errno != EEXIST)
            return fail_system(e, o->path, "create", errno);
        if (o->fd < 0) {
            if (!remove_leftover(o, e))
                return false;
            continue;
        }
        /* before this lock, another process may remove the file as a leftover */
        bool refused = flock(o->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!refused && fstat(o->fd, &here) == 0 && lstat(o->temporary, &there) == 0 && here.st_ino == there.st_ino &&
            here.st_dev == there.st_dev) {
            o->is_own = true;
            if (file_hooks)
                file_hooks->temporary(o->temporary, true);
            return true;
        }
        close(o->fd);
        o->fd = -1;
    }
    return fail(e, SP_IO, "%s: is being written by another process or thread", o->path);
}

static bool open_temporary(Out *o, Error *e)
{
    sigset_t old;
    hold_signals(&old);
    bool ok = make_temporary(o, e);
    release_signals(&old);
    return ok;
}

/* Opens a pipe or a character device. Waits up to PIPE_SECONDS for the reader of a pipe. */
static bool open_stream(Out *o, const char *path, mode_t mode, Error *e)
{
    if (!S_ISCHR(mode) && !S_ISFIFO(mode))
        return fail(e, SP_IO, "%s: is not a file, a pipe or a character device, so it cannot be written", path);
    double begun = now_seconds();
    while ((o->fd = descriptor_open(path, O_WRONLY | O_NONBLOCK, 0)) < 0 && errno == ENXIO && S_ISFIFO(mode)) {
        if (now_seconds() - begun > PIPE_SECONDS)
            return fail(e, SP_IO, "%s: is a pipe that no process reads from", path);
        poll(NULL, 0, 20);
    }
    return o->fd >= 0 || fail_system(e, path, "open", errno);
}

static void out_close(Out *o)
{
    if (o->fd >= 0)
        close(o->fd);
    arena_free(o->arena);
}

/* Frees o without a commit and removes the temporary file. */
static void out_drop(Out *o)
{
    if (o->is_own) {
        sigset_t old;
        hold_signals(&old);
        if (file_hooks)
            file_hooks->temporary(o->temporary, false);
        unlink(o->temporary);
        release_signals(&old);
    }
    out_close(o);
}

static Out *out_new(const Heap *heap, const char *path, Error *e)
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
    return o;
}

/* Follows links and returns the path that they lead to. The link stays, and its target is replaced, or made if it does
 * not exist. */
static const char *through_links(Arena *a, const char *path, Error *e)
{
    enum { MOST_LINKS = 40 };
    char to[PATH_MAX];
    char *target = realpath(path, NULL);
    const char *at = arena_strndup(a, target ? target : path, strlen(target ? target : path), e);
    if (target) {
        free(target);
        return at;
    }
    for (int i = 0; at && i < MOST_LINKS; i++) {
        ssize_t n = readlink(at, to, sizeof to - 1);
        if (n <= 0)
            return at;
        to[n] = '\0';
        size_t folder = (size_t)(path_base(at).p - at);
        at = to[0] == '/' ? arena_strndup(a, to, (size_t)n, e) : arena_printf(a, e, "%.*s%s", (int)folder, at, to);
    }
    if (at)
        fail(e, SP_IO, "%s: is a link to itself; remove it", path);
    return NULL;
}

Out *out_open(const char *path, const Heap *heap, Error *e)
{
    Out *o = out_new(heap, path, e);
    if (!o)
        return NULL;
    Arena *a = o->arena;
    struct stat st;
    bool there = stat(path, &st) == 0;
    o->path = through_links(a, path, e);
    bool ok = o->path != NULL;
    if (ok && there && S_ISDIR(st.st_mode)) {
        ok = fail(e, SP_IO, "%s: is a folder, a file is expected", path);
    } else if (ok && there && !S_ISREG(st.st_mode)) {
        ok = open_stream(o, path, st.st_mode, e);
    } else if (ok) {
        Text name = path_base(o->path);
        o->folder = name.p == o->path ? "." : arena_strndup(a, o->path, (size_t)(name.p - o->path), e);
        o->temporary = o->folder ? arena_printf(a, e, "%s/.%s.tmp", o->folder, name.p) : NULL;
        ok = name.n == 0 ? fail(e, SP_IO, "%s: names a folder, a file is expected", path)
                         : o->temporary && open_temporary(o, e);
    }
    if (ok)
        return o;
    out_drop(o);
    return NULL;
}

Out *out_standard(const Heap *heap, Error *e)
{
    Out *o = out_new(heap, "standard output", e);
    if (!o)
        return NULL;
    o->path = "standard output";
    if ((o->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)) >= 0)
        return o;
    fail_system(e, o->path, "open", errno);
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
        if (wrote < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = o->fd, .events = POLLOUT}, 1, -1);
        else if (wrote < 0 && errno != EINTR)
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

bool out_patch(Out *o, size_t at, const void *data, size_t bytes, Error *e)
{
    if (!o->temporary)
        fail(&o->error, SP_IO,
             "%s: is not a regular file, so bytes already written cannot be replaced; write to a regular file",
             o->path);
    if (!out_flush(o))
        return out_fail(o, e);
    bool ok = lseek(o->fd, (off_t)at, SEEK_SET) >= 0 || fail_system(&o->error, o->path, "write", errno);
    ok = ok && write_fully(o, data, bytes);
    ok = ok && (lseek(o->fd, 0, SEEK_END) >= 0 || fail_system(&o->error, o->path, "write", errno));
    return ok || out_fail(o, e);
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

/* Syncs the folder, so that the new name is durable. If the file system cannot sync folders, this is not an error. */
static bool sync_folder(Out *o)
{
    if (!o->temporary || o->unsynced)
        return true;
    int fd = descriptor_open(o->folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return errno == EACCES || fail_system(&o->error, o->folder, "open", errno);
    bool ok = sync_retry(fd) || errno == EINVAL || errno == ENOTSUP || fail_system(&o->error, o->folder, "sync", errno);
    close(fd);
    return ok;
}

/* Writes everything to the disk, still under the temporary name. */
static bool sync_file(Out *o)
{
    return out_flush(o) &&
           (!o->temporary || o->unsynced || sync_retry(o->fd) || fail_system(&o->error, o->path, "sync", errno));
}

static bool rename_to_path(Out *o)
{
    if (!o->temporary)
        return true;
    sigset_t old;
    hold_signals(&old);
    bool ok = rename(o->temporary, o->path) == 0 || fail_system(&o->error, o->path, "rename to it", errno);
    if (ok && file_hooks)
        file_hooks->temporary(o->temporary, false);
    release_signals(&old);
    o->is_own = !ok;
    return ok;
}

static bool sync_folders(Out *const *set, size_t from, size_t n)
{
    bool ok = true;
    for (size_t i = from; ok && i < n; i++)
        if (i == from || !set[i]->folder || !set[i - 1]->folder || strcmp(set[i]->folder, set[i - 1]->folder) != 0)
            ok = sync_folder(set[i]);
    return ok;
}

/* Removes the old file. */
static bool remove_old_file(Out *o)
{
    return !o->temporary || unlink(o->path) == 0 || errno == ENOENT || fail_system(&o->error, o->path, "remove", errno);
}

static bool commit_all(Out *const *set, size_t n)
{
    size_t removed = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = sync_file(set[i]);
    for (; ok && n > 1 && removed < n; removed += ok)
        ok = remove_old_file(set[removed]);
    ok = ok && (n < 2 || sync_folders(set, 0, n));
    for (size_t i = n; ok && i > 1; i--)
        ok = rename_to_path(set[i - 1]);
    ok = ok && sync_folders(set, 1, n) && (n == 0 || (rename_to_path(set[0]) && sync_folder(set[0])));
    /* the old set is broken and the new one is incomplete: the files of both are removed, so that no mixed set stays */
    for (size_t i = 0; !ok && removed > 0 && set[0]->is_own && i < n; i++)
        if (set[i]->temporary)
            unlink(set[i]->path);
    return ok;
}

bool out_commit_set(Out **set, size_t n, Error *e)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (set[i])
            set[count++] = set[i];
    bool ok = commit_all(set, count);
    for (size_t i = 0; i < count; i++) {
        if (!ok)
            out_fail(set[i], e); /* no effect if the failure belongs to another file */
        out_drop(set[i]);
    }
    return ok;
}

bool out_commit(Out *o, Error *e)
{
    return out_commit_set(&o, 1, e);
}

bool stream_flush(FILE *to, const char *name, Error *e)
{
    errno = 0;
    if (fflush(to) == 0 && !ferror(to))
        return true;
    return errno ? fail_system(e, name, "write", errno) : fail(e, SP_IO, "%s: cannot write", name);
}

void out_discard(Out *o)
{
    if (o)
        out_drop(o);
}

/* Opens FOLDER/NAME; the caller takes the lock. Nothing is written to the file, and a link is not followed. */
static bool lock_open(FolderLock *l, const char *folder, const char *name, Error *e)
{
    struct stat st;
    l->fd = -1;
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = heap_alloc(NULL, n);
    if (!path)
        return fail_memory(e, n, "a path");
    snprintf(path, n, "%s/%s", folder, name);
    l->fd = descriptor_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0666);
    int why = errno;
    bool ok = l->fd >= 0 && fstat(l->fd, &st) == 0 && S_ISREG(st.st_mode);
    if (!ok && (l->fd >= 0 || why == ELOOP))
        fail(e, SP_IO, "%s: is not a regular file, so it cannot lock the folder; remove it", path);
    else if (!ok)
        fail_system(e, folder, "lock the folder", why);
    if (!ok)
        folder_unlock(l);
    heap_free(NULL, path, n);
    return ok;
}

static bool lock_refused(FolderLock *l, const char *folder, int why, Error *e)
{
    folder_unlock(l);
    if (why == EWOULDBLOCK)
        return fail(e, SP_IO, "%s: another run is writing to this folder; wait until it ends or choose another folder",
                    folder);
    return fail_system(e, folder, "lock the folder", why);
}

bool folder_lock(FolderLock *l, const char *folder, Error *e)
{
    if (!lock_open(l, folder, ".sapor.lock", e))
        return false;
    return flock(l->fd, LOCK_EX | LOCK_NB) == 0 || lock_refused(l, folder, errno, e);
}

/* A group is the byte at the offset `group` of a file. Each of its runs holds a read lock on this byte. A run that
 * finds another byte locked fails. Each run takes its lock before it looks for others: if two groups start at the same
 * time, at most one of them continues, and both may fail. */
bool folder_join(FolderLock *l, const char *folder, int64_t group, Error *e)
{
    struct flock own = {.l_type = F_RDLCK, .l_start = group, .l_len = 1}, below = {.l_type = F_WRLCK, .l_len = group},
                 above = {.l_type = F_WRLCK, .l_start = group + 1};
    if (!lock_open(l, folder, ".sapor.group", e))
        return false;
    if (fcntl(l->fd, F_OFD_SETLK, &own) != 0 || fcntl(l->fd, F_OFD_GETLK, &below) != 0 ||
        fcntl(l->fd, F_OFD_GETLK, &above) != 0)
        /* EINVAL: the system does not support these locks */
        return errno == EINVAL || lock_refused(l, folder, errno, e);
    return (below.l_type == F_UNLCK && above.l_type == F_UNLCK) || lock_refused(l, folder, EWOULDBLOCK, e);
}

void folder_unlock(FolderLock *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

/* Reports whether the locked file still has its name. lock_drop of another process may have removed the name between
 * the open and the lock here. */
static bool lock_is_named(const FolderLock *l, const char *path)
{
    struct stat here, there;
    return fstat(l->fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino &&
           here.st_dev == there.st_dev;
}

bool lock_take(FolderLock *l, const char *folder, const char *name, bool *taken, Error *e)
{
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = heap_alloc(NULL, n);
    bool ok = path || fail_memory(e, n, "a path");
    *taken = false;
    if (ok)
        snprintf(path, n, "%s/%s", folder, name);
    while (ok && !*taken && (ok = lock_open(l, folder, name, e))) {
        bool locked = flock(l->fd, LOCK_EX | LOCK_NB) == 0;
        int why = errno;
        *taken = locked && lock_is_named(l, path);
        if (!*taken)
            folder_unlock(l);
        if (!locked) {
            ok = why == EWOULDBLOCK || fail_system(e, folder, "lock the folder", why);
            break;
        }
    }
    heap_free(NULL, path, n);
    return ok;
}

void lock_drop(FolderLock *l, const char *folder, const char *name)
{
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = l->fd >= 0 ? heap_alloc(NULL, n) : NULL;
    if (path) {
        snprintf(path, n, "%s/%s", folder, name);
        unlink(path);
        heap_free(NULL, path, n);
    }
    folder_unlock(l);
}
