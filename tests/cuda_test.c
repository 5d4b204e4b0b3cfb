/* tests/cuda_test.c: runs the cases of every kernel on the CUDA table: on the emulator (tests/cuda_emu), or on the
 * device of the plug-in SAPOR_CUDA. On the emulator only the small cases run, at least one per kernel, unless
 * SAPOR_TEST_ALL=1. On a card all cases run, unless SAPOR_TEST_SMALL=1. With names of kernels (`cuda_test spmm`) only
 * their cases run: all of them, unless SAPOR_TEST_ALL=0.
 *
 * SAPOR_CUDA_OPTIONS=cublas (also cudnn, tf32, or several with commas) opens the table with these options. Only the
 * kernels that the options replace are checked. A library may add in another order if the alignment of the operands
 * changes, so bits are compared only with those of the same call. */
#include "tests/kernel_cases.h"
#include "tests/testing.h"

#include "tests/cuda_testing.h"

static OpenPlugin opened;
static bool all_cases, small_cases;
static const char *options; /* "": none */

static bool open_device(Error *e)
{
    if (!plugin_open(&opened, options, NULL, e))
        return false;
    emu_find(&opened);
    return true;
}

/* Returns the approximate cost of a case on the emulator: the number of its operations and memory accesses. */
static double cost(const Family *f, const Case *c)
{
    Job j;
    double numbers = 0;
    if (job_open(&j, f, c, opened.k, opened.context, AT_END)) {
        numbers = j.flops + j.bytes / 4;
        job_close(&j);
    }
    return numbers;
}

/* Is called after each test. Fails with the emulator's first fault, with the table's error, or with `why` if !ok. */
static void finish(const char *name, bool ok, const char *why)
{
    if (emu_fault && emu_fault_count()) {
        char fault[1024];
        snprintf(fault, sizeof fault, "%s", emu_fault());
        emu_forget();
        plugin_close(&opened); /* a context that failed cannot be used again */
        Error e = {0};
        assert_true(open_device(&e));
        fail_msg("%s: %s", name, fault);
    }
    Error e = {0};
    if (!opened.k->check(&(Run){.context = opened.context}, &e))
        fail_msg("%s: %s", name, e.message);
    if (!ok)
        fail_msg("%s: %s", name, why);
}

/* Returns the number of fraction bits of the operands in products of float32. */
static int fraction_bits(void)
{
    return strstr(options, "tf32") ? 10 : 23;
}

/* Reports whether the options replace the kernel. True for every kernel if there are no options. */
static bool is_replaced(const Family *f)
{
    return !*options || strcmp(f->kernel, "gemm") == 0 ||
           (strstr(options, "cudnn") && (strncmp(f->kernel, "conv_", 5) == 0 || strcmp(f->kernel, "conv") == 0));
}

static void check_family(void **state)
{
    const Family *f = *state;
    enum { SMALL = 60000 };
    void *const contexts[3] = {opened.context, opened.context, opened.context};
    size_t cheapest = 0;
    for (size_t i = 1; i < f->count && !all_cases && small_cases; i++)
        if (!f->cases[i].timed && cost(f, &f->cases[i]) < cost(f, &f->cases[cheapest]))
            cheapest = i;
    for (size_t i = 0; i < f->count; i++) {
        char name[160], why[512];
        if (f->cases[i].timed || (!all_cases && small_cases && i != cheapest && cost(f, &f->cases[i]) > SMALL))
            continue;
        case_name(name, f, &f->cases[i]);
        if (getenv("VERBOSE"))
            print_message("%s\n", name);
        double begun = now_seconds();
        bool ok = *options ? case_check_near(f, &f->cases[i], opened.k, opened.context, fraction_bits(), why)
                           : case_check(f, &f->cases[i], opened.k, contexts, why);
        if (getenv("VERBOSE"))
            print_message("  %.3f s, %.0f\n", now_seconds() - begun, cost(f, &f->cases[i]));
        finish(name, ok, why);
    }
}

static void check_lazy_adam(void **state)
{
    (void)state;
    char why[512];
    bool ok = lazy_adam_check(opened.k, opened.context, why);
    finish("lazy Adam", ok, why);
}

int main(int argc, char **argv)
{
    Error e = {0};
    const char *all = getenv("SAPOR_TEST_ALL");
    options = getenv("SAPOR_CUDA_OPTIONS");
    options = options ? options : "";
    all_cases = all ? strcmp(all, "1") == 0 : argc > 1;
    if (!use_emulator())
        return 0;
    if (!open_device(&e)) {
        fprintf(stderr, "cuda_test: %s\n", e.message);
        return 1;
    }
    const char *small = getenv("SAPOR_TEST_SMALL");
    small_cases = emu_fault || (small && strcmp(small, "1") == 0);
    struct CMUnitTest *list = calloc(kernel_family_count + 1, sizeof *list);
    size_t tests = 0;
    for (size_t i = 0; list && i < kernel_family_count; i++) {
        bool is_run = argc < 2 && is_replaced(kernel_families[i]);
        for (int w = 1; w < argc; w++)
            is_run |= strcmp(argv[w], kernel_families[i]->kernel) == 0;
        if (is_run)
            list[tests++] =
                (struct CMUnitTest){kernel_families[i]->kernel, check_family, NULL, NULL, (void *)kernel_families[i]};
    }
    if (list && argc < 2 && !*options)
        list[tests++] = (struct CMUnitTest){"lazy Adam", check_lazy_adam, NULL, NULL, NULL};
    if (tests == 0)
        fprintf(stderr, "cuda_test: no kernel of that name; tests/kernel_cases.h lists them\n");
    int failed = tests == 0 || _cmocka_run_group_tests("cuda", list, tests, NULL, NULL);
    plugin_close(&opened);
    free(list);
    return failed;
}
