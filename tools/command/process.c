/* tools/command/process.c: work that a command must do and a library must not: it opens descriptors 0 to 2, handles
 * signals, and keeps lists of mapped files and of half-written files. A handler names the mapped file of an error and
 * removes half-written files. The lists have a fixed size, because handlers may not allocate. If a list is full, a
 * mapped file is not named, and a temporary file stays until the next run that writes there removes it. */
// flags: -Os
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tools/tools.h"

/* Lengths of the lists, and bytes of a path in each list. */
enum { MAPS = 256, TEMPORARIES = 32, SHOWN = 512, PATH = 4096 };

/* A thread changes an entry under the lock; members other than `ready`, only while the entry is not ready. Handlers
 * take no lock: they read entries that are ready. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
    atomic_bool ready;
    const unsigned char *at;
    size_t bytes;
    char path[SHOWN]; /* the end of the path, if the path is longer */
} maps[MAPS];

static struct {
    atomic_bool ready;
    char path[PATH];
} temporaries[TEMPORARIES];

static bool is_terminal; /* standard error is a terminal */

static void note_map(const void *at, size_t bytes, const char *path)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MAPS; i++)
        if (!maps[i].ready) {
            size_t n = strlen(path);
            maps[i].at = at;
            maps[i].bytes = bytes;
            snprintf(maps[i].path, SHOWN, "%s", path + (n < SHOWN ? 0 : n - SHOWN + 1));
            for (char *p = maps[i].path; *p; p++)
                *p = (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p;
            maps[i].ready = true;
            break;
        }
    pthread_mutex_unlock(&lock);
}

static void forget_map(const void *at)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MAPS; i++)
        if (maps[i].ready && maps[i].at == at) {
            maps[i].ready = false;
            break;
        }
    pthread_mutex_unlock(&lock);
}

static void note_temporary(const char *path, bool is_there)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < TEMPORARIES && strlen(path) < PATH; i++)
        if (is_there && !temporaries[i].ready) {
            strcpy(temporaries[i].path, path);
            temporaries[i].ready = true;
            break;
        } else if (!is_there && temporaries[i].ready && strcmp(temporaries[i].path, path) == 0) {
            temporaries[i].ready = false;
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* in handlers: only functions that are async-signal-safe (POSIX) */

static void remove_temporaries(void)
{
    for (size_t i = 0; i < TEMPORARIES; i++)
        if (temporaries[i].ready)
            unlink(temporaries[i].path);
}

static void print_error(const char *text)
{
    for (size_t n = strlen(text); n;) {
        ssize_t wrote = write(STDERR_FILENO, text, n);
        if (wrote < 0 && errno != EINTR)
            return;
        text += MAX(wrote, 0);
        n -= (size_t)MAX(wrote, 0);
    }
}

/* Removes temporary files, prints the message `where` `what` and ends the process. Only the first thread that calls it
 * does the work; other threads wait. */
static void end_process(const char *where, const char *what)
{
    static atomic_flag ends = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&ends))
        pause();
    remove_temporaries();
    print_error(is_terminal ? "\r\033[Ksapor: " : "sapor: ");
    print_error(where);
    print_error(what);
    _exit(1);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    const unsigned char *at = info->si_addr;
    (void)context;
    for (size_t i = 0; i < MAPS; i++)
        if (maps[i].ready && at >= maps[i].at && (size_t)(at - maps[i].at) < maps[i].bytes)
            end_process(maps[i].path,
                        ": became shorter or unreadable while it was read; run again when it is complete\n");
    /* The address is not in a mapped file: a defect, or a signal of another process. Both end this process as without a
     * handler. */
    signal(number, SIG_DFL);
    raise(number);
}

static void on_limit(int number)
{
    (void)number;
    end_process("", "the limit on CPU time is reached (ulimit -t)\n");
}

static void on_end(int number)
{
    remove_temporaries();
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- at the start ---------------------------------------------------------------------------- */

/* Opens /dev/null on each of the descriptors 0 to 2 that the caller closed. Otherwise the next opened file would become
 * standard output or error. Standard input is opened for writing and standard output for reading: a command that uses
 * one of them fails with a message. */
static void open_standard_descriptors(void)
{
    static const int WAY[] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", WAY[fd]) != fd)
            _exit(1);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction old, action = {.sa_handler = handler, .sa_flags = SA_NODEFER | SA_RESTART};
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* SIG_IGN was set by nohup */
        sigaction(number, &action, NULL);
}

void process_begin(void)
{
    static const FileHooks HOOKS = {note_map, forget_map, note_temporary};
    open_standard_descriptors();
    is_terminal = isatty(STDERR_FILENO) == 1;
    file_hooks = &HOOKS;
    sigaction(SIGBUS, &(struct sigaction){.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, NULL);
    handle(SIGXCPU, on_limit);
    handle(SIGHUP, on_end);
    handle(SIGINT, on_end);
    handle(SIGTERM, on_end);
    signal(SIGXFSZ, SIG_IGN); /* writing too much then fails with EFBIG */
    signal(SIGPIPE, SIG_IGN); /* writing to a closed pipe then fails with EPIPE */
}

bool output_flush(Error *e)
{
    return stream_flush(stdout, "standard output", e);
}
