/* tests/base_threads_test.c: pools of threads, progress, traces. */
#include "tests/testing.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* ---- threads --------------------------------------------------------------------------------- */

typedef struct Job {
    Pool *pool;
    _Atomic int done[1000], workers[8], nested;
    bool nest;
} Job;

static void inner_task(void *arg, size_t task, int worker)
{
    Job *j = arg;
    (void)task;
    atomic_fetch_add(&j->nested, worker + 1);
}

static void count_task(void *arg, size_t task, int worker)
{
    Job *j = arg;
    atomic_fetch_add(&j->done[task], 1);
    atomic_fetch_add(&j->workers[worker], 1);
    if (j->nest) { /* inner tasks run on the same worker */
        Job inner = {0};
        pool_run(j->pool, 10, inner_task, &inner);
        assert_int_equal(inner.nested, 10 * (worker + 1));
    }
}

static void pools_run_each_task_once(void **state)
{
    (void)state;
    Error e = {0};
    for (int threads = 1; threads <= 5; threads += 2) {
        Pool *p = pool_new(NULL, threads, &e);
        assert_non_null(p);
        assert_int_equal(pool_threads(p), threads);
        for (int nest = 0; nest < 2; nest++)
            for (size_t tasks = 0; tasks <= 1000; tasks = tasks < 10 ? tasks + 1 : tasks * 10) {
                Job j = {.pool = p, .nest = nest && tasks > 1};
                for (int round = 0; round < 20; round++) {
                    pool_run(p, tasks, count_task, &j);
                    if (round == 10)
                        usleep(300); /* long enough for the workers to sleep */
                }
                size_t sum = 0;
                for (int w = 0; w < threads; w++)
                    sum += (size_t)j.workers[w];
                assert_int_equal(sum, 20 * tasks);
                for (size_t i = 0; i < 1000; i++)
                    assert_int_equal(j.done[i], i < tasks ? 20 : 0);
            }
        pool_free(p);
    }
    Job alone = {0};
    pool_run(NULL, 7, count_task, &alone);
    assert_int_equal(alone.workers[0], 7);
    assert_int_equal(pool_threads(NULL), 1);
    pool_free(NULL);
    assert_null(pool_new(NULL, -1, &e));
    assert_error(e, SP_USAGE, "-1 threads");
    Pool *all = pool_new(NULL, 0, &e);
    assert_true(pool_threads(all) >= 1);
    pool_free(all);
}

static void *run_many(void *arg)
{
    Job *j = arg;
    for (int round = 0; round < 500; round++)
        pool_run(j->pool, 50, count_task, j);
    return NULL;
}

static void pools_serve_several_callers(void **state)
{
    (void)state;
    Error e = {0};
    TestHeap heap;
    test_heap(&heap, 0);
    Pool *p = pool_new(&heap.heap, 3, &e);
    static Job jobs[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        jobs[i].pool = p;
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, &jobs[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        for (int t = 0; t < 50; t++)
            assert_int_equal(jobs[i].done[t], 500);
    }
    pool_free(p);
    assert_int_equal(heap.live, 0);
}

/* ---- progress and trace ---------------------------------------------------------------------- */

static void progress_speaks_plainly(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    Progress p;
    progress_start(&p, to, "extract", "items", 50);
    p.started -= 20;
    p.drawn -= 20;
    progress_step(&p, 10, "cold");
    progress_step(&p, 11, NULL);
    p.is_terminal = true;
    p.drawn -= 1;
    progress_step(&p, 25, NULL);
    progress_end(&p, "done");
    progress_start(&p, NULL, "silent", "items", 1);
    progress_step(&p, 1, NULL);
    progress_end(&p, NULL);
    progress_start(&p, to, "count", "rows", 0);
    p.started -= 4000;
    p.drawn -= 4000;
    progress_step(&p, 1e6, NULL);
    fclose(to);
    assert_non_null(strstr(text, "extract 10/50 items (20 %), 0.5 items/s, 1:20 left, cold\n"));
    assert_null(strstr(text, "11/50"));
    assert_non_null(
        strstr(text, "\r\033[Kextract [============            ] 25/50 items (50 %), 1.25 items/s, 0:20 left"));
    assert_non_null(strstr(text, "count 1000000 rows, 250 rows/s in 1:06:40\n"));
    free(text);
    double before = now_seconds();
    usleep(1000);
    assert_true(now_seconds() - before >= 0.001);
    assert_true(peak_rss_bytes() > 100000);
}

static void trace_task(void *arg, size_t task, int worker)
{
    Trace *t = arg;
    (void)worker;
    double begun = trace_begin(t);
    trace_end(t, begun, task % 3 ? "gemm" : "spmm \"csr\"", 2e6, 100);
}

static void traces_add_up(void **state)
{
    (void)state;
    Error e = {0};
    trace_end(NULL, trace_begin(NULL), "nothing", 1, 1);
    TestHeap heap;
    test_heap(&heap, 0);
    Trace *t = trace_new(&heap.heap, true, &e);
    Pool *pool = pool_new(NULL, 3, &e);
    pool_run(pool, 300, trace_task, t);
    pool_free(pool);
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/trace.json", folder);
    assert_ok(trace_write(t, path, &e), e);
    Arena *a = arena_new(NULL, 0);
    Text source;
    assert_ok(file_read(&source, a, path, 0, &e), e);
    const Json *root = json_parse(a, source, path, &e);
    assert_ok(root, e);
    const Json *events = json_get(root, "traceEvents");
    size_t spans = 0, named = 0;
    for (const Json *v = events->first; v; v = v->next) {
        spans += text_is(json_get(v, "ph")->text, "X");
        named += text_is(json_get(v, "name")->text, "spmm \"csr\"");
        assert_non_null(json_get(v, "pid"));
    }
    assert_int_equal(spans, 300);
    assert_int_equal(named, 100);
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    trace_table(t, to, 100);
    fclose(to);
    Text rest = {text, n}, line;
    size_t lines = 0;
    while (text_line(&rest, &line)) {
        assert_true(line.n <= 100);
        lines++;
    }
    assert_int_equal(lines, 3 + 1); /* a heading, two ops, the total */
    assert_non_null(strstr(text, "gemm "));
    free(text);
    arena_free(a);
    trace_free(t);
    trace_free(NULL);
    assert_int_equal(heap.live, 0);
    test_folder_remove(folder);
}

static void short_nap(void *arg, size_t task, int worker)
{
    (void)arg, (void)task, (void)worker;
    usleep(100);
}

/* Checks that every task is in a span, that spans of one thread do not overlap, that workers have names, and that tasks
 * have the name of the op around them. */
static void pools_are_traced(void **state)
{
    (void)state;
    enum { TASKS = 100 };
    Error e = {0};
    Trace *totals = trace_new(NULL, false, &e), *t = trace_new(NULL, true, &e);
    Pool *pool = pool_new(NULL, 3, &e);
    assert_false(trace_keeps_events(NULL) || trace_keeps_events(totals));
    pool_trace(pool, totals);
    pool_run(pool, TASKS, short_nap, NULL);
    pool_trace(pool, t);
    double begun = trace_begin(t);
    pool_run(pool, TASKS, short_nap, NULL);
    trace_end(t, begun, "nap", 0, 0);
    pool_run(pool, 2, short_nap, NULL);
    pool_trace(pool, NULL);
    pool_run(pool, TASKS, short_nap, NULL);
    char folder[256], path[300];
    snprintf(path, sizeof path, "%s/trace.json", test_folder(folder));
    assert_ok(trace_write(t, path, &e), e);
    Arena *a = arena_new(NULL, 0);
    Text source;
    assert_ok(file_read(&source, a, path, 0, &e), e);
    const Json *root = json_parse(a, source, path, &e);
    assert_ok(root, e);
    double tasks = 0, unnamed = 0, ended[64] = {0};
    int64_t threads[64];
    size_t thread_count = 0, names = 0, waits = 0;
    for (const Json *v = json_get(root, "traceEvents")->first; v; v = v->next) {
        const Json *cat = json_get(v, "cat"), *args = json_get(v, "args");
        names += text_is(json_get(v, "name")->text, "thread_name");
        if (!cat || text_is(cat->text, "op"))
            continue;
        waits += text_is(cat->text, "wait");
        if (text_is(cat->text, "tasks")) {
            tasks += json_get(args, "tasks")->number;
            unnamed += text_is(json_get(v, "name")->text, "nap") ? 0 : json_get(args, "tasks")->number;
        }
        int64_t thread;
        assert_true(json_i64(json_get(v, "tid"), &thread));
        size_t at = 0;
        while (at < thread_count && threads[at] != thread)
            at++;
        threads[at] = thread;
        thread_count = MAX(thread_count, at + 1);
        double ts = json_get(v, "ts")->number;
        assert_true(ts >= ended[at] - 0.01);
        ended[at] = ts + json_get(v, "dur")->number;
    }
    assert_true(tasks == TASKS + 2);
    assert_true(unnamed == 2);
    assert_true(waits > 0);
    assert_true(thread_count <= 3);
    assert_int_equal(names, thread_count);
    arena_free(a);
    pool_free(pool);
    trace_free(t);
    trace_free(totals);
    test_folder_remove(folder);
}

static void mask_task(void *arg, size_t task, int worker)
{
    atomic_int *met = arg;
    sigset_t now;
    (void)task;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
    if (worker > 0) {
        atomic_store(
            met, sigismember(&now, SIGTERM) == 1 && !sigismember(&now, SIGBUS) && !sigismember(&now, SIGSEGV) ? 1 : -1);
        return;
    }
    for (int i = 0; i < 5000 && !atomic_load(met); i++) /* until the worker has taken its task */
        usleep(1000);
}

/* Checks that workers do not block SIGBUS. If they did, the process would end without the message of the handler, which
 * names the file that was truncated. */
static void workers_leave_faults_to_the_handlers(void **state)
{
    (void)state;
    Error e = {0};
    atomic_int met = 0;
    Pool *p = pool_new(NULL, 2, &e);
    assert_non_null(p);
    pool_run(p, 2, mask_task, &met);
    assert_int_equal(met, 1);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_run_each_task_once), cmocka_unit_test(pools_serve_several_callers),
        cmocka_unit_test(progress_speaks_plainly),  cmocka_unit_test(traces_add_up),
        cmocka_unit_test(pools_are_traced),         cmocka_unit_test(workers_leave_faults_to_the_handlers),
    };
    return cmocka_run_group_tests_name("base_threads", tests, NULL, NULL);
}
