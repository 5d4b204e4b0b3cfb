/* tools/run/run_jobs.c: runs each trial in a separate process. If a trial is killed or runs out of memory, the other
 * trials continue. This process has no threads and no device: fork would copy only one of the threads. A child reports
 * through a pipe; the end of the pipe is the end of the child. */
// flags: -Os
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "tools/run/run.h"

/* A message of a child: its progress (many times), then how it ended. It is small enough that a write to a pipe is
 * atomic. */
typedef struct Report {
    bool ended, ok; /* ok false: nothing was recorded; e has the reason */
    double share;   /* the share of the epochs that are trained, 0 to 1 */
    TrialOutcome outcome;
    Error e;
} Report;
typedef struct Child {
    pid_t pid; /* 0: none */
    int pipe;
    Trial trial;
    Report last;
} Child;

static volatile sig_atomic_t stop_signal;

static void on_stop(int number)
{
    stop_signal = number;
}

/* ---- in the child ---------------------------------------------------------------------------- */

typedef struct ChildRun {
    int pipe;
    double sent; /* time of the last message */
} ChildRun;

static void send(int fd, const Report *r)
{
    while (write(fd, r, sizeof *r) < 0 && errno == EINTR)
        continue;
}

static bool visit_child(void *arg, const TrainEvent *event, Error *e)
{
    ChildRun *c = arg;
    double now = now_seconds();
    (void)e;
    if (event->batches > 0 && (event->kind == TRAIN_EPOCH || event->kind == TRAIN_BATCH) && now - c->sent > 0.2) {
        double within = event->kind == TRAIN_BATCH ? (double)(event->batch + 1) / (double)event->batches : 0;
        c->sent = now;
        send(c->pipe, &(Report){.share = ((double)event->epoch + within) / (double)MAX(event->settings->epochs, 1)});
    }
    return true;
}

/* Ends the child when its parent ends, for any reason, or immediately if the parent has already ended. */
static void follow_parent(pid_t parent)
{
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
    if (getppid() != parent)
        _exit(1);
}

static void run_child(const RunJobs *j, const Trial *t, int64_t threads, int fd)
{
    Report r = {.ended = true};
    ChildRun run = {.pipe = fd};
    TrialRow row;
    Device d = {0};
    Arena *a = arena_new(j->heap, 0);
    train_memory();
    r.ok = a || fail_memory(&r.e, 1, "an arena");
    r.ok = r.ok && device_open(&d, j->device, (int)threads, j->heap, NULL, &r.e) &&
           study_trial(&d, j->study, t, visit_child, &run, &r.outcome, &row, a, &r.e);
    send(fd, &r);
    _exit(0);
}

/* ---- the scheduler --------------------------------------------------------------------------- */

static int64_t threads_of(const RunJobs *j)
{
    int64_t all = j->threads ? j->threads : threads_available();
    return MAX(all / j->jobs, (int64_t)1);
}

static bool start(const RunJobs *j, Child *c, const struct sigaction before[2], Error *e)
{
    int ends[2];
    fflush(NULL);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail_system(e, "a pipe", "make", errno);
    c->last = (Report){0};
    pid_t parent = getpid();
    c->pid = fork();
    if (c->pid < 0) {
        c->pid = 0;
        close(ends[0]);
        close(ends[1]);
        return fail_system(e, "a process", "start", errno);
    }
    if (c->pid == 0) {
        sigaction(SIGINT, &before[0], NULL);
        sigaction(SIGTERM, &before[1], NULL);
        follow_parent(parent);
        close(ends[0]);
        run_child(j, &c->trial, threads_of(j), ends[1]);
    }
    close(ends[1]);
    c->pipe = ends[0];
    return true;
}

/* Reads the row that the child recorded, and prints it. */
static bool show(RunJobs *j, const Child *c, TrialOutcome outcome, Error *e)
{
    TrialRow row;
    bool found = false;
    Arena *a = arena_new(j->heap, 0);
    bool ok = a ? study_row(j->run, &c->trial, &row, &found, a, e) : fail_memory(e, 1, "an arena");
    if (ok && found) {
        run_show_trial(j->printer, &row, outcome);
        if (row.state == TRIAL_FAILED && !j->failed)
            j->failed =
                arena_printf(j->arena, e, "%s%s%s: %s", row.model, *row.point ? " " : "", row.point, row.message);
    }
    arena_free(a);
    return ok;
}

/* Records a child that ended without a message: it was killed, or memory or another resource ran out. */
static bool record_death(RunJobs *j, const Child *c, int status, Error *e)
{
    char message[100];
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (number == SIGINT || number == SIGTERM || number == SIGHUP || stop_signal)
        return true; /* the child was stopped by a signal; the next run continues the trial */
    if (number)
        snprintf(message, sizeof message, "killed by signal %d (%s)", number, strsignal(number));
    else
        snprintf(message, sizeof message, "ended with exit status %d", WEXITSTATUS(status));
    return study_died(j->run, &c->trial, message, e) && show(j, c, OUTCOME_FAILED, e);
}

static bool finish(RunJobs *j, Child *c, Error *e)
{
    int status = 0;
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    close(c->pipe);
    c->pid = 0;
    study_over(j->run, &c->trial);
    if (!c->last.ended)
        return record_death(j, c, status, e);
    if (!c->last.ok) {
        *e = e->code ? *e : c->last.e;
        return false;
    }
    return c->last.outcome == OUTCOME_BUSY || show(j, c, c->last.outcome, e);
}

/* Reads the messages of a child. Returns false at the end of its pipe. */
static bool listen_to(Child *c)
{
    Report r;
    ssize_t n = read(c->pipe, &r, sizeof r);
    if (n == (ssize_t)sizeof r)
        c->last = r;
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Waits for a message of a child, for at most half a second. */
static bool wait_children(RunJobs *j, Child *children, Error *e)
{
    enum { MILLISECONDS = 500, JOBS_MOST = 4096 };
    struct pollfd fds[JOBS_MOST];
    double running = 0;
    for (int64_t i = 0; i < j->jobs; i++)
        fds[i] = (struct pollfd){.fd = children[i].pid ? children[i].pipe : -1, .events = POLLIN};
    if (poll(fds, (nfds_t)j->jobs, MILLISECONDS) < 0 && errno != EINTR)
        return fail_system(e, "the trials", "wait for", errno);
    bool ok = true;
    for (int64_t i = 0; i < j->jobs; i++) {
        if (children[i].pid && fds[i].revents && !listen_to(&children[i]))
            ok = finish(j, &children[i], e) && ok;
        running += children[i].pid ? children[i].last.share : 0;
    }
    run_show_step(j->printer, running);
    return ok;
}

static int64_t count(const RunJobs *j, const Child *children)
{
    int64_t n = 0;
    for (int64_t i = 0; i < j->jobs; i++)
        n += children[i].pid != 0;
    return n;
}

/* Starts trials while fewer than j->jobs are running and trials are left. */
static bool start_some(RunJobs *j, Child *children, const struct sigaction before[2], Error *e)
{
    bool found = true;
    for (int64_t i = 0; found && i < j->jobs; i++)
        if (!children[i].pid &&
            (!study_next(j->run, &children[i].trial, &found, e) || (found && !start(j, &children[i], before, e))))
            return false;
    return true;
}

static void stop_children(Child *children, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (children[i].pid)
            kill(children[i].pid, SIGTERM);
}

bool run_jobs(RunJobs *j, Error *e)
{
    /* on_stop only notes the signal, which also ends poll */
    struct sigaction stop = {.sa_handler = on_stop}, before[2];
    Child *children = NEW(j->arena, Child, j->jobs, e);
    if (!children)
        return false;
    sigaction(SIGINT, &stop, &before[0]);
    sigaction(SIGTERM, &stop, &before[1]);
    bool ok = true, stopped = false;
    for (;;) {
        if (ok && !stop_signal)
            ok = start_some(j, children, before, e);
        if (!count(j, children))
            break;
        if ((!ok || stop_signal) && !stopped) {
            stop_children(children, j->jobs);
            stopped = true;
        }
        ok = wait_children(j, children, ok ? e : &(Error){0}) && ok;
    }
    sigaction(SIGINT, &before[0], NULL);
    sigaction(SIGTERM, &before[1], NULL);
    if (ok && stop_signal)
        return fail(e, SP_CANCELLED, "stopped by signal %d (%s); the same command continues", (int)stop_signal,
                    strsignal(stop_signal));
    return ok;
}
