/* tests/cuda_test.c: Every kernel's cases on the CUDA table: on the emulator (tests/cuda_emu), or with SAPOR_CUDA set on
 * the device of that plug-in. On the emulator only the small cases run, at least one of each kernel, unless
 * SAPOR_TEST_ALL=1. With names of kernels, `cuda_test spmm`, only theirs, and all of them. */
#include "tests/kernel_cases.h"
#include "tests/testing.h"

#include <dlfcn.h>
#include <libgen.h>
#include <unistd.h>

static Opened opened;
static const char *why_not; /* there is no table */
static bool all_cases;
static int (*faults)(void); /* of the emulator; NULL on a card */
static const char *(*first_fault)(void);
static void (*forget_faults)(void);

/* build/tests/cuda_test has its emulator in build/cuda_emu. */
static bool open_device(Error *e)
{
    if (!getenv("SAPOR_CUDA")) {
        char path[4096];
        const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
        path[n > 0 ? n : 0] = '\0';
        char plugin[4200];
        snprintf(plugin, sizeof plugin, "%s/../cuda_emu/libsapor_cuda.so", dirname(path));
        if (access(plugin, R_OK) != 0) {
            why_not = "the emulator is not in this build (it needs g++, and is not in sanitized builds)";
            return true;
        }
        setenv("SAPOR_CUDA", plugin, 1);
    }
    if (!plugin_open(&opened, "", NULL, e))
        return false;
    *(void **)&faults = dlsym(opened.library, "emu_faults");
    *(void **)&first_fault = dlsym(opened.library, "emu_first_fault");
    *(void **)&forget_faults = dlsym(opened.library, "emu_forget_faults");
    return true;
}

/* What a case costs the emulator, about: its numbers. */
static double cost(const Family *f, const Case *c)
{
    Job j;
    double numbers = 0;
    if (job_open(&j, f, c, opened.k, opened.context, false)) {
        numbers = j.flops + j.bytes / 4;
        job_close(&j);
    }
    return numbers;
}

/* After a test: fails with the emulator's first fault, the table's error, or `why` where it is not ok. */
static void finish(const char *name, bool ok, const char *why)
{
    if (faults && faults()) {
        char fault[1024];
        snprintf(fault, sizeof fault, "%s", first_fault());
        forget_faults();
        plugin_close(&opened); /* a context that failed stays failed */
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

static void check_family(void **state)
{
    const Family *f = *state;
    if (why_not) {
        print_message("skipped: %s\n", why_not);
        skip();
    }
    enum { SMALL = 60000 };
    void *const contexts[3] = {opened.context, opened.context, opened.context};
    size_t least = 0;
    for (size_t i = 1; i < f->count && !all_cases && faults; i++)
        if (!f->cases[i].timed && cost(f, &f->cases[i]) < cost(f, &f->cases[least]))
            least = i;
    for (size_t i = 0; i < f->count; i++) {
        char name[160], why[512];
        if (f->cases[i].timed || (!all_cases && faults && i != least && cost(f, &f->cases[i]) > SMALL))
            continue;
        case_name(name, f, &f->cases[i]);
        if (getenv("VERBOSE"))
            print_message("%s\n", name);
        const double begun = now_seconds();
        const bool ok = case_check(f, &f->cases[i], opened.k, contexts, why);
        if (getenv("VERBOSE"))
            print_message("  %.3f s, %.0f\n", now_seconds() - begun, cost(f, &f->cases[i]));
        finish(name, ok, why);
    }
}

static void check_lazy_adam(void **state)
{
    (void)state;
    if (why_not) {
        print_message("skipped: %s\n", why_not);
        skip();
    }
    char why[512];
    bool ok = lazy_adam_check(opened.k, opened.context, why);
    finish("lazy Adam", ok, why);
}

int main(int argc, char **argv)
{
    Error e = {0};
    const char *all = getenv("SAPOR_TEST_ALL");
    all_cases = argc > 1 || (all && strcmp(all, "1") == 0);
    if (!open_device(&e)) {
        fprintf(stderr, "cuda_test: %s\n", e.message);
        return 1;
    }
    struct CMUnitTest *list = calloc(kernel_family_count + 1, sizeof *list);
    size_t tests = 0;
    for (size_t i = 0; list && i < kernel_family_count; i++) {
        bool wanted = argc < 2;
        for (int w = 1; w < argc; w++)
            wanted |= strcmp(argv[w], kernel_families[i]->kernel) == 0;
        if (wanted)
            list[tests++] =
                (struct CMUnitTest){kernel_families[i]->kernel, check_family, NULL, NULL, (void *)kernel_families[i]};
    }
    if (list && argc < 2)
        list[tests++] = (struct CMUnitTest){"lazy Adam", check_lazy_adam, NULL, NULL, NULL};
    if (tests == 0)
        fprintf(stderr, "cuda_test: no kernel of that name; tests/kernel_cases.h lists them\n");
    const int failed = tests == 0 || _cmocka_run_group_tests("cuda", list, tests, NULL, NULL);
    plugin_close(&opened);
    free(list);
    return failed;
}
