/* base/file.c: opens and reads files, streams, maps and folders. out.c writes. No other source file opens files,
 * except ledgers and their journals (recsys/search/). */
#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const FileHooks *file_hooks;

int descriptor_high(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), why = errno;
    close(fd);
    errno = why;
    return high;
}

int descriptor_open(const char *path, int flags, unsigned mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, (mode_t)mode);
    while (fd < 0 && errno == EINTR);
    return descriptor_high(fd);
}

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

/* Opens a path for reading and returns the descriptor; *st describes it. Does not block: opening a pipe without a
 * writer would otherwise wait forever. Returns -1 on failure. */
static int open_any(const char *path, struct stat *st, Error *e)
{
    int fd = descriptor_open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) {
        fail_system(e, path, "open", errno);
        return -1;
    }
    if (fstat(fd, st) == 0)
        return fd;
    fail_system(e, path, "access", errno);
    close(fd);
    return -1;
}

/* Opens a regular file in the same way. Everything else is refused. */
static int open_file(const char *path, struct stat *st, Error *e)
{
    int fd = open_any(path, st, e);
    if (fd < 0 || S_ISREG(st->st_mode))
        return fd;
    fail(e, SP_IO, "%s: is %s, a regular file is expected", path, kind_of(st->st_mode));
    close(fd);
    return -1;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Reports whether an empty pipe has ended: a process opened it for writing and closed it without writing. Otherwise no
 * process has opened it yet, or one has just opened it. Waits at most 20 ms for an answer. */
static bool has_ended(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 20) > 0 && !(p.revents & POLLIN);
}

static bool has_changed(int fd, const struct stat *st)
{
    struct stat now;
    return fstat(fd, &now) == 0 && now.st_size != st->st_size;
}

/* Reads until the end; `st` is from fstat. Streams also end at a NUL byte: a text with a NUL byte is refused anyway,
 * and an endless stream usually has one early. */
static bool read_all(Text *out, Arena *a, int fd, const struct stat *st, const char *name, size_t max_bytes, Error *e)
{
    bool regular = S_ISREG(st->st_mode), sized = regular && st->st_size > 0; /* files of /proc have the size 0 */
    size_t n = 0, size = sized ? (size_t)st->st_size : (size_t)1 << 16, limit = sized ? SIZE_MAX - 2 : STREAM_MOST;
    if (max_bytes)
        limit = MIN(limit, max_bytes);
    if (sized && size > limit)
        return fail(e, SP_FORMAT, "%s: is larger than %zu bytes, the limit for a file of this kind", name, limit);
    size_t capacity = MIN(size, limit) + 2; /* the NUL, and one byte to detect the end */
    double begun = now_seconds();
    char *buffer = arena_alloc(a, capacity, 1, e);
    while (buffer) {
        ssize_t got = read(fd, buffer + n, capacity - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
            continue;
        }
        if (got < 0)
            return fail_system(e, name, "read", errno);
        if (got == 0 && n == 0 && S_ISFIFO(st->st_mode) && !has_ended(fd)) {
            if (now_seconds() - begun > PIPE_SECONDS)
                return fail(e, SP_IO, "%s: is a pipe that no process writes to", name);
            continue;
        }
        bool binary = !regular && memchr(buffer + n, 0, (size_t)got);
        n += (size_t)got;
        if (n > limit && limit == max_bytes)
            return fail(e, SP_FORMAT, "%s: is larger than %zu bytes, the limit for a file of this kind", name, limit);
        if (n > limit)
            return fail(e, SP_FORMAT,
                        "%s: more than %zu bytes, the limit for a pipe or device; write them to a file first", name,
                        limit);
        bool ended = got == 0 || binary;
        if (sized && (n > size || (ended && n != size)) && has_changed(fd, st))
            return fail(e, SP_IO, "%s: changed while it was read; wait until it is complete", name);
        if (ended) {
            buffer[n] = '\0';
            *out = (Text){buffer, n};
            return true;
        }
        if (n == capacity - 1) { /* arena_grow would double beyond the limit */
            size_t more = MIN(capacity, limit + 2 - capacity);
            char *grown = arena_alloc(a, capacity + more, 1, e);
            buffer = grown ? memcpy(grown, buffer, n) : NULL;
            capacity += more;
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
    bool ok = read_all(out, a, fd, &st, path, max_bytes, e);
    close(fd);
    return ok;
}

/* Reads a file, a pipe, a terminal or /dev/null. Other devices are refused, because they may be endless. */
static bool read_stream(Text *out, Arena *a, int fd, const struct stat *st, const char *name, size_t max_bytes,
                        Error *e)
{
    struct stat null;
    bool device = S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode);
    if (device && !isatty(fd) && (stat("/dev/null", &null) != 0 || st->st_rdev != null.st_rdev))
        return fail(e, SP_IO, "%s: is a device; expected a file or a pipe", name);
    if (S_ISDIR(st->st_mode))
        return fail(e, SP_IO, "%s: is a folder, a file is expected", name);
    return read_all(out, a, fd, st, name, max_bytes, e);
}

bool stream_read(Text *out, Arena *a, const char *path, size_t max_bytes, Error *e)
{
    struct stat st;
    int fd = open_any(path, &st, e);
    if (fd < 0)
        return false;
    bool ok = read_stream(out, a, fd, &st, path, max_bytes, e);
    close(fd);
    return ok;
}

bool input_read(Text *out, Arena *a, FILE *in, const char *name, size_t max_bytes, Error *e)
{
    struct stat st;
    if (fstat(fileno(in), &st) != 0)
        return fail_system(e, name, "read", errno);
    return read_stream(out, a, fileno(in), &st, name, max_bytes, e);
}

/* ---- maps ------------------------------------------------------------------------------------ */

bool map_open(Map *m, const char *path, Error *e)
{
    *m = (Map){(const unsigned char *)"", 0, false};
    struct stat st;
    int fd = open_file(path, &st, e);
    if (fd < 0)
        return false;
    bool ok = true;
    if (st.st_size > 0) {
        void *p = MAP_FAILED;
        errno = EFBIG; /* if the file is larger than the address space of 32 bits */
        if ((uint64_t)st.st_size <= SIZE_MAX)
            p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            ok = fail_system(e, path, "map", errno);
        else
            *m = (Map){p, (size_t)st.st_size, true};
        if (ok && file_hooks)
            file_hooks->mapped(p, (size_t)st.st_size, path);
    }
    close(fd);
    return ok;
}

void map_forget(const void *p, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = size_round_up((size_t)(uintptr_t)p, page),
           end = ((size_t)(uintptr_t)p + bytes) / page * page;
    if (begin < end)
        madvise((void *)(uintptr_t)begin, end - begin, MADV_DONTNEED);
}

void map_close(Map *m)
{
    if (m->mapped) {
        if (file_hooks)
            file_hooks->unmapped(m->data);
        munmap((void *)(uintptr_t)m->data, m->bytes);
    }
    *m = (Map){(const unsigned char *)"", 0, false};
}

bool map_read(Map *m, Arena *a, const char *path, Error *e)
{
    Text bytes;
    *m = (Map){(const unsigned char *)"", 0, false};
    if (!file_read(&bytes, a, path, 0, e))
        return false;
    *m = (Map){(const unsigned char *)bytes.p, bytes.n, false};
    return true;
}

/* ---- names and folders ----------------------------------------------------------------------- */

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

bool file_remove(const char *path, Error *e)
{
    return unlink(path) == 0 || errno == ENOENT || fail_system(e, path, "remove", errno);
}

bool folder_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool folder_make(const char *path, Error *e)
{
    size_t n = strlen(path), made = 0; /* the length of the first folder that this call made */
    char *partial = heap_alloc(NULL, n + 1);
    if (!partial)
        return fail_memory(e, n + 1, "a path");
    bool ok = true;
    for (size_t i = 1; i <= n && ok; i++) {
        if (i < n && path[i] != '/')
            continue;
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, 0777) == 0) {
            made = made ? made : i;
        } else {
            int why = errno; /* for an existing parent, mkdir may fail with EEXIST, EROFS or EACCES */
            ok = folder_exists(partial) ||
                 (file_exists(partial) ? fail(e, SP_IO, "%s: is a file, a folder is expected", partial)
                                       : fail_system(e, partial, "make the folder", why));
        }
    }
    /* on failure, the folders that were made are removed */
    for (size_t i = strlen(partial); !ok && made && i >= made; i--)
        if (partial[i] == '/' || partial[i] == '\0') {
            partial[i] = '\0';
            (void)rmdir(partial);
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
    int fd = descriptor_open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return file_exists(path) ? fail(e, SP_IO, "%s: is a file, a folder is expected", path)
                                 : fail_system(e, path, "list the folder", why);
    }
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
        FolderEntry *grown = arena_grow(a, list, n, &capacity, sizeof *list, e);
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
        qsort(list, n, sizeof *list, by_name);
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

const char *path_folder(const char *path, Arena *a, Error *e)
{
    size_t n = (size_t)(path_base(path).p - path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n ? arena_strndup(a, path, n, e) : ".";
}

/* ---- files with several names ---------------------------------------------------------------- */

typedef struct FileId {
    dev_t device;
    ino_t inode;
    const char *path;
} FileId;
struct FileSet {
    Arena *arena;
    FileId *list;
    size_t count, capacity;
    bool sorted;
};

FileSet *file_set_new(Arena *a, Error *e)
{
    FileSet *s = NEW(a, FileSet, 1, e);
    if (s)
        s->arena = a;
    return s;
}

bool file_set_add(FileSet *s, const char *path, Error *e)
{
    struct stat st;
    if ((strcmp(path, "-") ? stat(path, &st) : fstat(STDIN_FILENO, &st)) != 0 || !S_ISREG(st.st_mode))
        return true;
    FileId *list = arena_grow(s->arena, s->list, s->count, &s->capacity, sizeof *list, e);
    if (!list)
        return false;
    s->list = list;
    s->list[s->count++] = (FileId){st.st_dev, st.st_ino, path};
    s->sorted = false;
    return true;
}

static int by_id(const void *a, const void *b)
{
    const FileId *x = a, *y = b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

bool file_set_check(FileSet *s, const char *out, Error *e)
{
    struct stat st;
    if (stat(out, &st) != 0 || !S_ISREG(st.st_mode) || s->count == 0)
        return true;
    if (!s->sorted)
        qsort(s->list, s->count, sizeof *s->list, by_id);
    s->sorted = true;
    FileId id = {st.st_dev, st.st_ino, out};
    const FileId *same = bsearch(&id, s->list, s->count, sizeof *s->list, by_id);
    if (!same)
        return true;
    if (strcmp(same->path, out) == 0 || strcmp(same->path, "-") == 0)
        return fail(e, SP_USAGE, "%s: is an input too and would be replaced; choose another output", out);
    return fail(e, SP_USAGE, "%s: is the same file as the input %s, which would be replaced; choose another output",
                out, same->path);
}

/* ---- a folder on disk or in memory ----------------------------------------------------------- */

static const sp_file *find_file(const Files *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->list[i].name, name) == 0)
            return &f->list[i];
    return NULL;
}

static bool absent(const Files *f, const char *name, Error *e)
{
    return fail(e, SP_IO, "%s/%s: there is no such file", f->folder, name);
}

const char *files_path(const Files *f, const char *name, Arena *a, Error *e)
{
    const char *path = path_join(a, f->folder, name, e);
    return path && (f->list ? find_file(f, name) != NULL : file_exists(path)) ? path : NULL;
}

bool files_read(Text *out, Arena *a, const Files *f, const char *name, size_t max_bytes, Error *e)
{
    const sp_file *one = f->list ? find_file(f, name) : NULL;
    const char *path = path_join(a, f->folder, name, e);
    if (!path)
        return false;
    if (!f->list)
        return file_read(out, a, path, max_bytes, e);
    if (!one)
        return absent(f, name, e);
    if (max_bytes && one->bytes > max_bytes)
        return fail(e, SP_FORMAT, "%s: %zu bytes are too many; at most %zu are supported", path, one->bytes, max_bytes);
    *out = (Text){one->bytes ? one->data : "", one->bytes};
    return true;
}

bool files_map(Map *m, Arena *a, const Files *f, const char *name, Error *e)
{
    const sp_file *one = f->list ? find_file(f, name) : NULL;
    const char *path = path_join(a, f->folder, name, e);
    if (!path)
        return false;
    if (!f->list)
        return map_open(m, path, e);
    if (!one)
        return absent(f, name, e);
    *m = (Map){.data = one->bytes ? one->data : (const void *)"", .bytes = one->bytes};
    return true;
}
