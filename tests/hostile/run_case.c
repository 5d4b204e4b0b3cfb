/* tests/hostile/run_case.c: runs one command with limits, and prints each broken rule of tests/hostile.sh on a line.
 *
 *   usage: run_case RULE ... -- COMMAND [ARGUMENT ...]
 *
 * Exit status 0: no rule was broken. 1: one line of standard output per broken rule. 2: this program was called
 * wrongly.
 *
 *   status=012        exit statuses that are right (default 012)
 *   tree=DIR          the folder that is compared before and after (default .)
 *   log=PREFIX        standard output and error of the command are written to PREFIX.out and PREFIX.err
 *   in=FILE out=FILE err=FILE    standard streams are these files instead (in: /dev/null)
 *                     out=broken-pipe: a pipe without a reader; death by SIGPIPE is right then
 *   closed=02         descriptors that are closed when the command starts
 *   new=GLOB          may appear or change when the exit status is 0; may be repeated. * matches a slash too
 *   left=GLOB         may appear or change in any case
 *   says=TEXT         the error line has this text
 *   loud              other lines on standard error are right even with --quiet
 *   seconds=N base=BYTES extra=BYTES memory=off    limits: time, without the time in which the process waited for a
 *                     processor; memory above base + extra + 64 MB + 20 bytes per byte of input
 *   fsize=N nofile=N as=N stack=N data=N core=N    limits of the system (setrlimit), in bytes or files; with
 *                     fsize standard error is a pipe, because the limit applies to its file too
 *   user=NAME         changes from root to this user, because root can read forbidden files
 *   gone              the command starts in a folder that is removed
 *   kill=NAME@MS      sends KILL, TERM, INT or HUP after MS milliseconds; then status and files are not compared
 *   peak prints the peak of memory in bytes; only the limits of time and memory are checked
 *   xfsz=ignore pipe=ignore      signal dispositions that a parent can leave */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_GLOBS = 16, MOST_HASHED = 64 << 20 };
typedef struct Entry {
    char *path;
    char kind; /* f: file, d: folder, l: link, o: other */
    uint64_t bytes, hash;
} Entry;
typedef struct Tree {
    Entry *list;
    size_t n, room;
    uint64_t bytes; /* of plain files */
} Tree;
typedef struct Rules {
    const char *status, *tree, *log, *in, *out, *err, *closed, *says, *user;
    const char *new[MOST_GLOBS], *left[MOST_GLOBS];
    size_t new_count, left_count;
    bool loud, quiet, gone, any_memory, peak;
    bool ignore_xfsz, ignore_pipe;
    double seconds;
    uint64_t base, extra;
    int kill_signal;
    double kill_after;
    struct {
        int what;
        rlim_t most;
    } limits[8];
    size_t limit_count;
} Rules;
static int broken;
static int error_pipe[2] = {-1, -1};

/* Prints a broken rule on a line. */
static void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    broken++;
}

static void stop(const char *what)
{
    printf("run_case: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- the folder ------------------------------------------------------------------------------ */

/* Returns FNV-1a of a file's bytes, or 0 if it cannot be opened. If the file is larger than MOST_HASHED, only its first
 * and its last MiB are hashed. */
static uint64_t hash_file(const char *path, uint64_t bytes)
{
    static unsigned char buffer[1 << 16];
    uint64_t h = 14695981039346656037u;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return 0;
    uint64_t seen = 0;
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) {
        for (ssize_t i = 0; i < got; i++)
            h = (h ^ buffer[i]) * 1099511628211u;
        seen += (uint64_t)got;
        if (bytes > MOST_HASHED && seen == 1 << 20)
            lseek(fd, (off_t)(bytes - (1 << 20)), SEEK_SET);
    }
    close(fd);
    return h;
}

static char *joined(const char *folder, const char *name)
{
    char *path = malloc(strlen(folder) + strlen(name) + 2);
    if (!path)
        stop("memory");
    sprintf(path, "%s%s%s", folder, *folder && *name ? "/" : "", name);
    return path;
}

static void tree_add(Tree *t, const char *root, const char *path, int depth, bool with_hash)
{
    char *full = joined(root, path);
    struct stat st;
    if (depth > 100 || lstat(full, &st) != 0) {
        free(full);
        return;
    }
    Entry e = {.kind = S_ISREG(st.st_mode) ? 'f' : S_ISDIR(st.st_mode) ? 'd' : S_ISLNK(st.st_mode) ? 'l' : 'o'};
    if (e.kind == 'f') {
        e.bytes = (uint64_t)st.st_size;
        t->bytes += e.bytes;
        e.hash = with_hash ? hash_file(full, e.bytes) : 0;
    } else if (e.kind == 'l') {
        char target[PATH_MAX];
        ssize_t n = readlink(full, target, sizeof target);
        for (ssize_t i = 0; i < n; i++)
            e.hash = e.hash * 31 + (unsigned char)target[i];
    } else if (e.kind == 'o') {
        e.hash = st.st_mode;
    }
    if (*path) {
        if (t->n == t->room) {
            t->room = t->room ? 2 * t->room : 64;
            t->list = realloc(t->list, t->room * sizeof *t->list);
            if (!t->list)
                stop("memory");
        }
        e.path = strdup(path);
        t->list[t->n++] = e;
    }
    DIR *dir = e.kind == 'd' ? opendir(full) : NULL;
    for (const struct dirent *d; dir && (d = readdir(dir));) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        char *below = joined(path, d->d_name);
        tree_add(t, root, below, depth + 1, with_hash);
        free(below);
    }
    if (dir)
        closedir(dir);
    free(full);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const Entry *)a)->path, ((const Entry *)b)->path);
}

static Tree tree_read(const char *root, bool with_hash)
{
    Tree t = {0};
    tree_add(&t, root, "", 0, with_hash);
    if (t.n)
        qsort(t.list, t.n, sizeof *t.list, by_path);
    return t;
}

static bool matches(const char *path, const char *const *globs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fnmatch(globs[i], path, 0) == 0)
            return true;
    return false;
}

/* Returns a path for a message: characters that cannot be printed are replaced by ?. */
static const char *shown(const char *path)
{
    static char text[200];
    size_t i = 0;
    for (; path[i] && i + 1 < sizeof text; i++)
        text[i] = (unsigned char)path[i] < ' ' || path[i] == 127 || (unsigned char)path[i] > 127 ? '?' : path[i];
    text[i] = '\0';
    return text;
}

/* Reports whether the command may make or change a file. done: the command succeeded. A lock file may always stay,
 * because the lock itself ends with its process. */
static bool may_change(const Rules *r, const char *path, bool done)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    if (matches(path, r->left, r->left_count))
        return true;
    size_t n = strlen(name);
    if (n > 4 && !strcmp(name + n - 4, ".tmp"))
        return false;
    return (done && matches(path, r->new, r->new_count)) || !strcmp(name, ".sapor.lock");
}

static void tree_compare(const Rules *r, const Tree *before, const Tree *after, bool done)
{
    size_t i = 0, j = 0;
    int said = broken;
    while ((i < before->n || j < after->n) && broken < said + 4) {
        int order = i == before->n ? 1 : j == after->n ? -1 : strcmp(before->list[i].path, after->list[j].path);
        const Entry *b = order <= 0 ? &before->list[i] : NULL, *a = order >= 0 ? &after->list[j] : NULL;
        i += order <= 0;
        j += order >= 0;
        const char *path = order >= 0 ? after->list[j - 1].path : before->list[i - 1].path;
        if ((a && b && a->kind == b->kind && a->bytes == b->bytes && a->hash == b->hash) || may_change(r, path, done))
            continue;
        complain(!b ? "left behind: %s" : !a ? "removed: %s" : "changed: %s", shown(path));
    }
}

/* ---- standard error -------------------------------------------------------------------------- */

static bool printable(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)p[i];
        if (c < ' ' || c == 127 || (c & 0xc0) == 0x80 || c >= 0xf8)
            return false;
        size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (i + more >= n)
            return false;
        for (size_t k = 1; k <= more; k++)
            if (((unsigned char)p[i + k] & 0xc0) != 0x80)
                return false;
        i += more + 1;
    }
    return true;
}

static void check_error_lines(const Rules *r, const char *path, int status)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        stop(path);
    char *line = NULL;
    size_t room = 0, errors = 0, others = 0;
    bool said = false;
    char other[120] = "";
    for (ssize_t n; (n = getline(&line, &room, in)) >= 0;) {
        if (n && line[n - 1] == '\n')
            line[--n] = '\0';
        if (n == 0)
            continue;
        bool ours = !strncmp(line, "sapor: ", 7), warning = ours && strcasestr(line, "warning");
        if (ours && !printable(line, (size_t)n))
            complain("a line on standard error has bytes that are not printable UTF-8: %s", shown(line));
        if (warning)
            continue;
        if (!ours) {
            if (!others++)
                snprintf(other, sizeof other, "%s", shown(line));
            continue;
        }
        errors++;
        said |= !r->says || strcasestr(line, r->says) != NULL;
        if (n < 20)
            complain("the line says too little: %s", line);
    }
    if (status == 0 && errors)
        complain("exit status 0 with an error line");
    if (status != 0 && errors != 1)
        complain("exit status %d with %zu error lines%s%s", status, errors, *other ? ", but: " : "", other);
    else if (status != 0 && !said)
        complain("the error line does not say \"%s\"", r->says);
    if (others && !r->loud && (r->quiet || status == 2))
        complain("another line on standard error: %s", other);
    free(line);
    fclose(in);
}

/* ---- the process ----------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void redirect(int fd, const char *path, int flags)
{
    int opened = open(path, flags, 0666);
    if (opened < 0) {
        fprintf(stderr, "run_case: %s: %s\n", path, strerror(errno));
        _exit(120);
    }
    if (opened != fd) {
        dup2(opened, fd);
        close(opened);
    }
}

static bool is_broken_pipe(const Rules *r)
{
    return r->out && !strcmp(r->out, "broken-pipe");
}

static void start(const Rules *r, char **command, const char *out, const char *err)
{
    setpgid(0, 0);
    redirect(0, r->in ? r->in : "/dev/null", O_RDONLY | O_NONBLOCK);
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) & ~O_NONBLOCK);
    if (error_pipe[1] < 0)
        redirect(2, err, O_WRONLY | O_CREAT | O_TRUNC);
    else if (dup2(error_pipe[1], 2) != 2)
        _exit(120);
    int ends[2];
    if (!is_broken_pipe(r))
        redirect(1, out, O_WRONLY | O_CREAT | O_TRUNC);
    else if (pipe(ends) != 0 || close(ends[0]) != 0 || dup2(ends[1], 1) != 1)
        _exit(120);
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    if (r->gone) {
        char folder[] = "gone-XXXXXX";
        if (!mkdtemp(folder) || chdir(folder) != 0)
            _exit(120);
        char above[64];
        snprintf(above, sizeof above, "../%s", folder);
        if (rmdir(above) != 0)
            _exit(120);
    }
    if (r->user && getuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
        _exit(120);
    if (r->ignore_xfsz)
        signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, r->ignore_pipe ? SIG_IGN : SIG_DFL);
    for (size_t i = 0; i < r->limit_count; i++)
        setrlimit(r->limits[i].what, &(struct rlimit){r->limits[i].most, r->limits[i].most});
    for (const char *c = r->closed; c && *c; c++)
        close(*c - '0');
    execvp(command[0], command);
    _exit(121);
}

/* Returns the second number of a line under /proc/PID, or 0 if it is missing. */
static uint64_t second_number(pid_t pid, const char *name)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *space = strchr(text, ' ');
    return space ? strtoull(space, NULL, 10) : 0;
}

static uint64_t rss_now(pid_t pid)
{
    return second_number(pid, "statm") * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Returns how long the process was ready to run while other processes used the processors. This time is not counted. */
static double seconds_queued(pid_t pid)
{
    return 1e-9 * (double)second_number(pid, "schedstat");
}

/* Waits for the process and stops it at the limits of time and memory. Returns the status of wait4, or -1 if it was
 * stopped. */
static int wait_within(const Rules *r, pid_t pid, uint64_t memory, struct rusage *use)
{
    double begun = now(), pause = 0.0005;
    bool was_stopped = false, was_killed = false;
    int status = 0;
    for (pid_t got; (got = wait4(pid, &status, WNOHANG, use)) != pid;) {
        if (got < 0 && errno != EINTR)
            stop("wait4");
        double passed = now() - begun;
        if (r->kill_signal && !was_killed && passed >= r->kill_after) {
            kill(pid, r->kill_signal);
            was_killed = true;
        }
        uint64_t rss = rss_now(pid);
        bool is_late = passed > r->seconds && (passed - seconds_queued(pid) > r->seconds || passed > 6 * r->seconds);
        if (!was_stopped && (is_late || (!r->any_memory && rss > memory + memory / 4))) {
            if (is_late)
                complain("did not end within %g s", r->seconds);
            else
                complain("stopped at %llu MB of memory, %llu are allowed", (unsigned long long)(rss >> 20),
                         (unsigned long long)(memory >> 20));
            kill(-pid, SIGKILL);
            was_stopped = true;
        }
        nanosleep(&(struct timespec){0, (long)(pause * 1e9)}, NULL);
        if (pause < 0.004)
            pause *= 1.5;
    }
    kill(-pid, SIGKILL); /* the processes that it may have started */
    return was_stopped ? -1 : status;
}

static bool has_file_limit(const Rules *r)
{
    for (size_t i = 0; i < r->limit_count; i++)
        if (r->limits[i].what == RLIMIT_FSIZE)
            return true;
    return false;
}

/* Writes the command's output in the pipe to a file. It is a line or two, which fit into the pipe. */
static void keep_error_pipe(const char *err)
{
    char buffer[1 << 16];
    close(error_pipe[1]);
    FILE *to = fopen(err, "wb");
    if (!to)
        stop(err);
    for (ssize_t n; (n = read(error_pipe[0], buffer, sizeof buffer)) > 0;)
        fwrite(buffer, 1, (size_t)n, to);
    close(error_pipe[0]);
    fclose(to);
}

/* Returns the bytes of the files and folders outside of the tree that the arguments of the command name. */
static uint64_t bytes_named(const char *tree, char **command)
{
    uint64_t sum = 0;
    size_t n = strlen(tree);
    for (char **a = command + 1; *a; a++) {
        for (const char *p = strchr(*a, '/'); p; p = NULL) { /* NAME=/path, a=/x,b=/y: the last path */
            const char *path = strrchr(*a, '=') && strrchr(*a, '=')[1] == '/' ? strrchr(*a, '=') + 1 : *a;
            struct stat st;
            if (strncmp(path, tree, n) != 0 && strncmp(path, "/dev/", 5) != 0 && strncmp(path, "/proc", 5) != 0 &&
                stat(path, &st) == 0)
                sum += tree_read(path, false).bytes;
        }
    }
    return sum;
}

/* ---- the rules ------------------------------------------------------------------------------- */

static bool is_rule(const char *arg, const char *key, const char **value)
{
    size_t n = strlen(key);
    if (strncmp(arg, key, n) != 0 || arg[n] != '=')
        return false;
    *value = arg + n + 1;
    return true;
}

static void read_rule(Rules *r, const char *arg)
{
    static const struct {
        const char *name;
        int what;
    } limits[] = {{"fsize", RLIMIT_FSIZE}, {"nofile", RLIMIT_NOFILE}, {"as", RLIMIT_AS},
                  {"stack", RLIMIT_STACK}, {"data", RLIMIT_DATA},     {"core", RLIMIT_CORE}};
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"KILL", SIGKILL}, {"TERM", SIGTERM}, {"INT", SIGINT}, {"HUP", SIGHUP}};
    const char *v;
    if (is_rule(arg, "status", &r->status) || is_rule(arg, "tree", &r->tree) || is_rule(arg, "log", &r->log) ||
        is_rule(arg, "in", &r->in) || is_rule(arg, "out", &r->out) || is_rule(arg, "err", &r->err) ||
        is_rule(arg, "closed", &r->closed) || is_rule(arg, "says", &r->says) || is_rule(arg, "user", &r->user))
        return;
    if (is_rule(arg, "new", &v) && r->new_count < MOST_GLOBS) {
        r->new[r->new_count++] = v;
    } else if (is_rule(arg, "left", &v) && r->left_count < MOST_GLOBS) {
        r->left[r->left_count++] = v;
    } else if (is_rule(arg, "seconds", &v)) {
        r->seconds = atof(v);
    } else if (is_rule(arg, "base", &v)) {
        r->base = strtoull(v, NULL, 10);
    } else if (is_rule(arg, "extra", &v)) {
        r->extra = strtoull(v, NULL, 10);
    } else if (!strcmp(arg, "memory=off")) {
        r->any_memory = true;
    } else if (!strcmp(arg, "loud")) {
        r->loud = true;
    } else if (!strcmp(arg, "peak")) {
        r->peak = true;
    } else if (!strcmp(arg, "gone")) {
        r->gone = true;
    } else if (!strcmp(arg, "xfsz=ignore")) {
        r->ignore_xfsz = true;
    } else if (!strcmp(arg, "pipe=ignore")) {
        r->ignore_pipe = true;
    } else if (is_rule(arg, "kill", &v)) {
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            if (!strncmp(v, signals[i].name, strlen(signals[i].name)))
                r->kill_signal = signals[i].number;
        r->kill_after = strchr(v, '@') ? atof(strchr(v, '@') + 1) / 1000 : 0;
    } else {
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
            if (is_rule(arg, limits[i].name, &v) && r->limit_count < 8) {
                r->limits[r->limit_count].what = limits[i].what;
                r->limits[r->limit_count++].most = strtoull(v, NULL, 10);
                return;
            }
        printf("run_case: unknown rule %s\n", arg);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    Rules r = {.status = "012", .tree = ".", .log = "run_case", .seconds = 10};
    int at = 1;
    for (; at < argc && strcmp(argv[at], "--") != 0; at++)
        read_rule(&r, argv[at]);
    if (++at >= argc) {
        printf("usage: run_case RULE ... -- COMMAND [ARGUMENT ...]\n");
        return 2;
    }
    char **command = argv + at, out[PATH_MAX], err[PATH_MAX];
    for (char **a = command; *a; a++)
        r.quiet |= !strcmp(*a, "-q") || !strcmp(*a, "--quiet");
    snprintf(out, sizeof out, "%s.out", r.log);
    snprintf(err, sizeof err, "%s.err", r.log);
    Tree before = tree_read(r.tree, true);
    uint64_t input = before.bytes + bytes_named(r.tree, command);
    uint64_t memory = r.base + r.extra + ((uint64_t)64 << 20) + 20 * input;
    fflush(stdout);
    if (has_file_limit(&r) && !r.err && pipe(error_pipe) != 0)
        stop("pipe");
    pid_t pid = fork();
    if (pid < 0)
        stop("fork");
    if (pid == 0)
        start(&r, command, r.out ? r.out : out, r.err ? r.err : err);
    struct rusage use;
    int status = wait_within(&r, pid, memory, &use);
    if (error_pipe[0] >= 0)
        keep_error_pipe(err);
    uint64_t peak = (uint64_t)use.ru_maxrss << 10;
    if (r.peak)
        printf("%llu\n", (unsigned long long)peak);
    if (r.kill_signal || r.peak)
        return broken ? 1 : 0;
    int code = status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == 120 || code == 121) {
        printf("run_case: the command could not be started (%d)\n", code);
        return 2;
    }
    if (status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE && is_broken_pipe(&r))
        ; /* the usual end of a command whose reader has ended */
    else if (status >= 0 && WIFSIGNALED(status))
        complain("killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (code >= 0 && (code > 2 || !strchr(r.status, '0' + code)))
        complain("exit status %d, not %s", code, r.status);
    if (status >= 0 && !r.any_memory && peak > memory)
        complain("%llu MB of memory, %llu are allowed", (unsigned long long)(peak >> 20),
                 (unsigned long long)(memory >> 20));
    if (code >= 0 && !r.err && !(r.closed && strchr(r.closed, '2')))
        check_error_lines(&r, err, code);
    Tree after = tree_read(r.tree, true);
    tree_compare(&r, &before, &after, code == 0);
    return broken ? 1 : 0;
}
