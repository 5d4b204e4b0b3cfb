/* tests/kernels_test.c: Every case of tests/kernel_cases.h at every level of instructions that this machine can run.
 * With names of kernels, `kernels_test clip`, only their cases; the TIMED ones are then also timed, on one thread. */
#include "tests/kernel_cases.h"
#include "tests/testing.h"

typedef struct OneTest {
    const Family *family;
    const char *level, *why_not; /* why_not "": usable */
} OneTest;

static void *contexts[3]; /* one thread, two, three */

static void check_family(void **state)
{
    const OneTest *t = *state;
    if (t->why_not[0]) {
        print_message("skipped: %s: this machine has %s\n", t->level, t->why_not);
        skip();
    }
    Error e = {0};
    const Kernels *k = kernels_cpu(t->level, &e);
    assert_non_null(k);
    assert_true(t->family->count > 0);
    for (size_t i = 0; i < t->family->count; i++) {
        if (t->family->cases[i].timed) {
            continue; /* too long for the naive reference; the shapes are others' */
        }
        char name[160], why[512];
        case_name(name, t->family, &t->family->cases[i]);
        if (getenv("VERBOSE"))
            print_message("%s\n", name); /* what crashes, crashed in the last one named */
        if (!case_check(t->family, &t->family->cases[i], k, contexts, why))
            fail_msg("%s, %s: %s", name, t->level, why);
    }
}

/* Sixty steps, each with a gradient for some rows: the dense form over the whole table, the lazy ones over the rows
 * named. */
static void check_lazy_adam(void **state)
{
    const OneTest *t = *state;
    if (t->why_not[0]) {
        print_message("skipped: %s: this machine has %s\n", t->level, t->why_not);
        skip();
    }
    enum { R = 50, D = 37, INNER = 5, STEPS = 60, TABLE = R * D };
    Error e = {0};
    const Kernels *k = kernels_cpu(t->level, &e);
    for (int decays = 0; decays < 2; decays++) {
        float *x = calloc(12 * TABLE + R * INNER + INNER * D, sizeof *x), *g = x + 9 * TABLE, *all = g + TABLE,
              *dy = x + 12 * TABLE;
        float *w = dy + R * INNER; /* three copies of p, m, v: dense, by rows, factored */
        AdamStep history[STEPS + 1];
        int32_t ids[R], last[2][R] = {{0}};
        size_t work = k->adam_factored_work(&(Run){0}, R, D, INNER);
        Run run = {.work = k->alloc(&(Run){0}, NULL, work), .work_bytes = work};
        assert_non_null(x);
        for (int i = 0; i < TABLE; i++)
            x[i] = x[3 * TABLE + i] = x[6 * TABLE + i] = draw_normal((Draw){1, DRAW_TEST, 0}, (uint64_t)i);
        for (int step = 1; step <= STEPS; step++) {
            const Draw d = {2, DRAW_TEST, (uint32_t)step};
            history[step] = adam_step(0.01 / step, 0.9, 0.999, 1e-8, decays ? 0.1 : 0, step);
            int n = 0;
            for (int32_t r = 0; r < R; r++) { /* early rows rarely, row 0 never */
                if ((int)draw_below(d, (uint64_t)r, R) < r / 2)
                    ids[n++] = r;
            }
            for (int i = 0; i < R * INNER + INNER * D; i++)
                dy[i] = draw_normal(d, (uint64_t)(1000 + i));
            const Gemm product = {.M = n,
                                  .N = D,
                                  .K = INNER,
                                  .A = dy,
                                  .a_row = INNER,
                                  .a_col = 1,
                                  .B = w,
                                  .b_row = D,
                                  .b_col = 1,
                                  .C = g,
                                  .ldc = D,
                                  .alpha = 1.0f};
            size_t bytes = k->gemm_work(&(Run){0}, &product);
            Run gemm_run = {.work = k->alloc(&(Run){0}, NULL, bytes + 1), .work_bytes = bytes};
            k->gemm(&gemm_run, &product);
            k->free(&(Run){0}, NULL, gemm_run.work, bytes + 1);
            memset(all, 0, TABLE * sizeof *all);
            for (int i = 0; i < n; i++)
                memcpy(all + ids[i] * D, g + i * D, D * sizeof *g);
            k->adam(&run, TABLE, &history[step], all, x, x + TABLE, x + 2 * TABLE);
            float *y = x + 3 * TABLE, *z = x + 6 * TABLE;
            k->adam_rows(&run, n, D, ids, history, step, g, last[0], y, y + TABLE, y + 2 * TABLE);
            k->adam_factored(&run, n, D, INNER, ids, history, step, dy, w, last[1], z, z + TABLE, z + 2 * TABLE);
        }
        for (int form = 0; form < 2; form++) {
            float *y = x + (3 + 3 * form) * TABLE;
            k->adam_replay(&run, R, D, NULL, history, STEPS, last[form], y, y + TABLE, y + 2 * TABLE);
            for (int32_t r = 0; r < R; r++)
                assert_int_equal(last[form][r], STEPS);
            assert_memory_equal(x, y, 3 * TABLE * sizeof *x);
        }
        k->free(&(Run){0}, NULL, run.work, work);
        free(x);
    }
}

static void check_memory(void **state)
{
    const OneTest *t = *state;
    if (t->why_not[0]) {
        print_message("skipped: %s: this machine has %s\n", t->level, t->why_not);
        skip();
    }
    Error e = {0};
    const Kernels *k = kernels_cpu(t->level, &e);
    const Run run = {0};
    assert_int_equal(k->bytes, sizeof(Kernels));
    assert_int_equal(k->version, KERNELS_VERSION);
    assert_string_equal(k->level, t->level);
    TestHeap heap;
    test_heap(&heap, 0);
    char *a = k->alloc(&run, &heap.heap, 100), *b = k->alloc(&run, &heap.heap, 100), host[100];
    assert_int_equal((uintptr_t)a % 64, 0);
    memset(host, 7, sizeof host);
    k->upload(&run, a, host, 100);
    k->copy(&run, b, a, 100);
    k->zero(&run, b + 50, 50);
    k->download(&run, host, b, 100);
    assert_int_equal(host[49], 7);
    assert_int_equal(host[50], 0);
    k->zero(&run, b, 0);
    k->free(&run, &heap.heap, a, 100);
    k->free(&run, &heap.heap, b, 100);
    assert_int_equal(heap.live, 0);
}

/* The least time of many calls. */
static void time_family(void **state)
{
    const OneTest *t = *state;
    check_family(state);
    Error e = {0};
    const Kernels *k = kernels_cpu(t->level, &e);
    for (size_t i = 0; i < t->family->count; i++) {
        const Case *c = &t->family->cases[i];
        Job j;
        char name[160];
        if (!c->timed)
            continue;
        assert_true(job_open(&j, t->family, c, k, NULL, AT_END));
        double least = 1e9;
        for (double end = now_seconds() + 0.2, begun = 0; begun < end;) {
            begun = now_seconds();
            t->family->call(&j, c);
            least = MIN(least, now_seconds() - begun);
        }
        case_name(name, t->family, c);
        print_message("%s at %s: %.4f ms, %.1f GFLOP/s, %.1f GB/s\n", name, t->level, least * 1e3,
                      j.flops / least / 1e9, j.bytes / least / 1e9);
        job_close(&j);
    }
}

int main(int argc, char **argv)
{
    Error e = {0};
    const struct {
        const char *name;
        CMUnitTestFunction check;
    } others[] = {{"memory", check_memory}, {"lazy Adam", check_lazy_adam}};
    const char *levels[8], *why[8];
    bool usable[8];
    size_t L = kernels_levels(levels, usable, why), each = kernel_family_count + COUNT(others);
    struct CMUnitTest *list = calloc(L * each, sizeof *list);
    OneTest *states = calloc(L * each, sizeof *states);
    char(*names)[64] = calloc(L * each, sizeof *names);
    contexts[1] = pool_new(NULL, 2, &e);
    contexts[2] = pool_new(NULL, 3, &e);
    if (!list || !states || !names || !contexts[1] || !contexts[2])
        return 1;
    size_t tests = 0;
    for (size_t i = 0; i < L * each; i++) {
        size_t level = i / each, f = i % each;
        const Family *family = f < kernel_family_count ? kernel_families[f] : NULL;
        const char *name = family ? family->kernel : others[f - kernel_family_count].name;
        bool wanted = argc < 2;
        for (int w = 1; w < argc && family; w++)
            wanted |= strcmp(argv[w], name) == 0;
        if (!wanted)
            continue;
        states[tests] = (OneTest){family, levels[level], usable[level] ? "" : why[level]};
        snprintf(names[tests], sizeof names[tests], "%s at %s", name, levels[level]);
        const CMUnitTestFunction check = !family     ? others[f - kernel_family_count].check
                                         : argc >= 2 ? time_family
                                                     : check_family;
        list[tests] = (struct CMUnitTest){names[tests], check, NULL, NULL, &states[tests]};
        tests++;
    }
    if (tests == 0)
        fprintf(stderr, "kernels_test: no kernel of that name; tests/kernel_cases.h lists them\n");
    int failed = tests == 0 || _cmocka_run_group_tests("kernels", list, tests, NULL, NULL);
    pool_free(contexts[1]);
    pool_free(contexts[2]);
    free(list);
    free(states);
    free(names);
    return failed;
}
