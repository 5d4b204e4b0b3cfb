/* tests/kernels_test.c: every case of tests/kernel_cases.h at every level of instructions that this machine can run.
 * With names of kernels, as `kernels_test clip`, it runs only their cases, and also times the TIMED cases on one
 * thread. */
#include "tests/kernel_cases.h"
#include "tests/testing.h"

typedef struct OneTest {
    const Family *family;
    const char *level, *why_not; /* why_not "": usable */
} OneTest;

static void *contexts[3]; /* one, two and three threads */

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
            continue; /* too large for the naive reference; other cases have such shapes */
        }
        char name[160], why[512];
        case_name(name, t->family, &t->family->cases[i]);
        if (getenv("VERBOSE"))
            print_message("%s\n", name); /* after a crash, the last name is the case that crashed */
        if (!case_check(t->family, &t->family->cases[i], k, contexts, why))
            fail_msg("%s, %s: %s", name, t->level, why);
    }
}

static void check_lazy_adam(void **state)
{
    const OneTest *t = *state;
    if (t->why_not[0]) {
        print_message("skipped: %s: this machine has %s\n", t->level, t->why_not);
        skip();
    }
    Error e = {0};
    char why[512];
    if (!lazy_adam_check(kernels_cpu(t->level, &e), NULL, why))
        fail_msg("%s: %s", t->level, why);
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

/* Returns the shortest time of many calls. */
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
        double shortest = 1e9;
        for (double end = now_seconds() + 0.2, begun = 0; begun < end;) {
            begun = now_seconds();
            t->family->call(&j, c);
            shortest = MIN(shortest, now_seconds() - begun);
        }
        case_name(name, t->family, c);
        print_message("%s at %s: %.4f ms, %.1f GFLOP/s, %.1f GB/s\n", name, t->level, shortest * 1e3,
                      j.flops / shortest / 1e9, j.bytes / shortest / 1e9);
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
        bool is_run = argc < 2;
        for (int w = 1; w < argc && family; w++)
            is_run |= strcmp(argv[w], name) == 0;
        if (!is_run)
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
