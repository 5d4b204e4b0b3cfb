/* process.c: what the command has and a library may not: descriptors 0 to 2 opened, signals handled, and a list of the files that are mapped or
 * half-written, so that a handler can name the one and remove the other. The list is of fixed size: handlers may not allocate. What finds no
 * room in it is not named; a temporary file that is left is removed by the next run that writes there. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tools/tools.h"

enum { MAPS = 256, TEMPORARIES = 32, SHOWN = 512, PATH = 4096 };
enum { FREE, CHANGING, READY };

static struct {
    atomic_int state;
    const unsigned char *at;
    size_t bytes;
    char path[SHOWN]; /* its end, where it is longer */
} maps[MAPS];

static struct {
    atomic_int state;
    char path[PATH];
} temporaries[TEMPORARIES];

static bool is_terminal;

static bool claim(atomic_int *state)
{
    int expected = FREE;
    return atomic_compare_exchange_strong(state, &expected, CHANGING);
}

static void note_map(const void *at, size_t bytes, const char *path)
{
    for (size_t i = 0; i < MAPS; i++)
        if (claim(&maps[i].state)) {
            size_t n = strlen(path);
            maps[i].at = at;
            maps[i].bytes = bytes;
            snprintf(maps[i].path, SHOWN, "%s", path + (n < SHOWN ? 0 : n - SHOWN + 1));
            for (char *p = maps[i].path; *p; p++)
                *p = (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p;
            atomic_store(&maps[i].state, READY);
            return;
        }
}

static void forget_map(const void *at)
{
    for (size_t i = 0; i < MAPS; i++)
        if (atomic_load(&maps[i].state) == READY && maps[i].at == at) {
            atomic_store(&maps[i].state, FREE);
            return;
        }
}

static void note_temporary(const char *path, bool is_there)
{
    for (size_t i = 0; i < TEMPORARIES && strlen(path) < PATH; i++)
        if (is_there && claim(&temporaries[i].state)) {
            strcpy(temporaries[i].path, path);
            atomic_store(&temporaries[i].state, READY);
            return;
        } else if (!is_there && atomic_load(&temporaries[i].state) == READY && strcmp(temporaries[i].path, path) == 0) {
            atomic_store(&temporaries[i].state, FREE);
            return;
        }
}

/* ---- in handlers: what POSIX calls async-signal-safe --------------------------------------------------------------------- */

static void remove_temporaries(void)
{
    for (size_t i = 0; i < TEMPORARIES; i++)
        if (atomic_load(&temporaries[i].state) == READY)
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

/* The first thread that comes ends the process; others wait for that. */
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
        if (atomic_load(&maps[i].state) == READY && at >= maps[i].at && (size_t)(at - maps[i].at) < maps[i].bytes)
            end(maps[i].path, ": was cut short or could not be read while it was in use; run again when it is complete\n");
    signal(number, SIG_DFL); /* no file's: a defect, which ends the process as without a handler */
}

static void on_limit(int number)
{
    (void)number;
    end("", "the limit on processor time is reached (ulimit -t)\n");
}

static void on_end(int number)
{
    remove_temporaries();
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- at the start ---------------------------------------------------------------------------------------------------------- */

/* A file that is opened later must not become standard output or error. The wrong way round: who reads or prints there hears of it. */
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
