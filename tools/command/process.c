/* tools/command/process.c: what the command has and a library may not: descriptors 0 to 2 opened, signals handled, and
 * a list of the files that are mapped or half-written, so that a handler can name the one and remove the other. The
 * list is of fixed size: handlers may not allocate. What finds no room in it is not named; a temporary file that is
 * left is removed by the next run that writes there. */
// flags: -Os
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tools/tools.h"

enum { MAPS = 256, TEMPORARIES = 32, SHOWN = 512, PATH = 4096 };

/* Threads change an entry under the lock, while it is not ready. Handlers take no lock and read what is ready. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
    atomic_bool ready;
    const unsigned char *at;
    size_t bytes;
    char path[SHOWN]; /* its end, where it is longer */
} maps[MAPS];

static struct {
    atomic_bool ready;
    char path[PATH];
} temporaries[TEMPORARIES];

static bool is_terminal;

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

/* ---- in handlers: what POSIX calls async-signal-safe ----------------------------------------- */

static void remove_temporaries(void)
{
    for (size_t i = 0; i < TEMPORARIES; i++)
        if (temporaries[i].ready)
            unlink(temporaries[i].path);
}

static void say(const char *text)
{
    for (size_t n = strlen(text); n;) {
        ssize_t wrote = write(STDERR_FILENO, text, n);
        if (wrote < 0 && errno != EINTR)
            return;
        text += MAX(wrote, 0);
        n -= (size_t)MAX(wrote, 0);
    }
}

/* The first thread that calls it ends the process; other threads wait. */
static void end(const char *where, const char *what)
{
    static atomic_flag ends = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&ends))
        pause();
    remove_temporaries();
    say(is_terminal ? "\r\033[Ksapor: " : "sapor: ");
    say(where);
    say(what);
    _exit(1);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    const unsigned char *at = info->si_addr;
    (void)context;
    for (size_t i = 0; i < MAPS; i++)
        if (maps[i].ready && at >= maps[i].at && (size_t)(at - maps[i].at) < maps[i].bytes)
            end(maps[i].path, ": became shorter or unreadable while it was read; run again when it is complete\n");
    /* not in a mapped file: a defect, or a signal of another process; both end this one as without a handler */
    signal(number, SIG_DFL);
    raise(number);
}

static void on_limit(int number)
{
    (void)number;
    end("", "the limit on CPU time is reached (ulimit -t)\n");
}

static void on_end(int number)
{
    remove_temporaries();
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- at the start ---------------------------------------------------------------------------- */

/* Opens /dev/null on descriptors 0 to 2 where the caller closed them, so that no file that is opened later becomes
 * standard output or error. Standard input is opened to write and standard output to read: a command that uses one of
 * them fails with a message. */
static void open_standard_descriptors(void)
{
    static const int WAY[] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", WAY[fd]) != fd)
            _exit(1);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction now, then = {.sa_handler = handler, .sa_flags = SA_NODEFER | SA_RESTART};
    if (sigaction(number, NULL, &now) == 0 && now.sa_handler != SIG_IGN) /* nohup */
        sigaction(number, &then, NULL);
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
    signal(SIGXFSZ, SIG_IGN); /* writing then fails with EFBIG */
    signal(SIGPIPE, SIG_IGN); /* and with EPIPE */
}

bool output_whole(Error *e)
{
    return stream_whole(stdout, "standard output", e);
}
