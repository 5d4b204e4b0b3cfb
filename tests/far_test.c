/* tests/far_test.c: the far device (tests/far/far.h): the accesses that it refuses; the case table, recommenders and
 * encoders with the bits of the CPU; the number of copies between host and device in a step and in an epoch.
 *
 * FAR=all runs every encoder; otherwise one text and one image encoder are run. tests/far_programs_test.sh runs other
 * programs. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/trial_testing.h" /* before cmocka, which has a macro named fail */

#include "tests/kernel_cases.h"
#include "tests/testing.h"

static bool all(void)
{
    const char *far = getenv("FAR");
    return far && !strcmp(far, "all");
}

/* Opens a CPU device, and a far device with the same kernels. */
static void open_both(Device *cpu, Device *far, int threads)
{
    Error e = {0};
    assert_ok(device_open(cpu, "cpu", threads, NULL, NULL, &e), e);
    *far = *cpu;
    far_device(far);
    far_reset();
}

static void no_host_pointers(void)
{
    FarCounts c = far_counts();
    if (c.host_pointers)
        fail_msg("%llu pointers of the host; the first: %s", (unsigned long long)c.host_pointers, c.first);
}

/* ---- positive controls ----------------------------------------------------------------------- */

/* Reports whether the host faults when it reads or writes p. A separate process makes the access, because sanitizers
 * handle the signal themselves and end the process with a report. */
static bool faults(volatile float *p, bool writes)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGSEGV, SIG_DFL); /* cmocka's handler would continue with the next test */
        if (writes)
            p[0] = 1;
        else
            (void)p[0];
        _exit(0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void the_host_cannot_touch_it(void **state)
{
    (void)state;
    Device cpu, far;
    open_both(&cpu, &far, 1);
    Run run = device_run(&far);
    float host[4] = {1, 2, 3, 4}, back[4] = {0};
    float *x = far.k->alloc(&run, NULL, sizeof host);
    assert_non_null(x);
    far.k->upload(&run, x, host, sizeof host);
    assert_true(faults(x, false));
    assert_true(faults(x, true));
    far.k->axpby(&run, 4, 2, x, 0, x);
    assert_true(faults(x + 3, false)); /* also after a kernel */
    far.k->download(&run, back, x, sizeof back);
    assert_int_equal(back[3], 8);
    assert_true(far_live_bytes() == sizeof host);
    far.k->free(&run, NULL, x, sizeof host);
    assert_true(faults(x, false));
    FarCounts c = far_counts();
    assert_true(c.uploads == 1 && c.upload_bytes == 16 && c.downloads == 1 && c.kernels == 1 && !c.host_pointers);
    device_close(&cpu);
}

static void host_pointers_are_counted(void **state)
{
    (void)state;
    Device cpu, far;
    open_both(&cpu, &far, 1);
    Run run = device_run(&far);
    float host[4] = {1, 2, 3, 4}, *x = far.k->alloc(&run, NULL, sizeof host);
    far.k->axpby(&run, 4, 1, host, 0, x);
    FarCounts c = far_counts();
    assert_int_equal(c.host_pointers, 1);
    assert_string_equal(c.first, "axpby: x");
    const Gemm g = {.M = 2,
                    .N = 2,
                    .K = 1,
                    .A = x,
                    .a_row = 1,
                    .a_col = 1,
                    .B = host,
                    .b_row = 2,
                    .b_col = 1,
                    .C = x,
                    .ldc = 2,
                    .alpha = 1};
    float *work = far.k->alloc(&run, NULL, far.k->gemm_work(&run, &g) + 64);
    run.work = work;
    run.work_bytes = far.k->gemm_work(&run, &g) + 64;
    far.k->gemm(&run, &g);
    assert_int_equal(far_counts().host_pointers, 2);
    far.k->free(&run, NULL, work, run.work_bytes);
    far.k->free(&run, NULL, x, sizeof host);
    far_reset();
    device_close(&cpu);
}

/* ---- kernels --------------------------------------------------------------------------------- */

static void cases_have_the_bits_of_the_cpu(void **state)
{
    (void)state;
    Device cpu, far;
    open_both(&cpu, &far, 2);
    size_t count = 0;
    for (size_t f = 0; f < kernel_family_count; f++)
        for (size_t i = 0; i < kernel_families[f]->count; i++) {
            const Family *family = kernel_families[f];
            char name[160], why[512];
            if (family->cases[i].timed)
                continue;
            if (!case_same(family, &family->cases[i], cpu.k, far.k, cpu.context, why)) {
                case_name(name, family, &family->cases[i]);
                fail_msg("%s: %s", name, why);
            }
            count++;
        }
    print_message("%zu cases\n", count);
    no_host_pointers();
    assert_int_equal(far_live_bytes(), 0);
    device_close(&cpu);
}

/* ---- recommenders ---------------------------------------------------------------------------- */

/* Copies between host and device.
 * - `step`: uploads of a step, all of them small. A step has no download.
 * - `first`: uploads and downloads of the first step of an epoch.
 * - `opening`: of a first step without an evaluation before it.
 * - `begin`: of the recommender's work before an epoch.
 * - `evaluation`: of an evaluation. */
typedef struct Copies {
    uint64_t step, first[2], opening[2], begin[2], evaluation[2];
} Copies;

/* The expected copies of a recommender that is not listed below: one upload per step, also in the first step; before an
 * epoch nothing, or one upload for each graph that `epoch` draws; in an evaluation the list of users, the lists of
 * their items, and the two results. `score` computes scores on the host, which needs one more upload. */
enum { MOST_DRAWN = 2 };
static Copies usual(const Recommender *kind)
{
    if (!kind->represent)
        return (Copies){.evaluation = {4, 2}};
    return (Copies){.step = 1,
                    .first = {1, 0},
                    .opening = {1, 0},
                    .begin = {kind->epoch ? MOST_DRAWN : 0, 0},
                    .evaluation = {3, 2}};
}

/* Recommenders whose copies differ from `usual`, and recommenders with `epoch`: `usual` has only an upper bound for its
 * uploads, and a row here has the exact number. `why` is the reason. A new recommender needs no row. */
static const struct {
    const char *name, *variant; /* NULL: all variants */
    Copies copies;
    const char *why;
} exceptions[] = {
    {"LATTICE", NULL, {1, {1, 0}, {1, 2}, {0, 0}, {6, 4}}, "neighbours are read where they are found: two modalities"},
    {"NGCF", NULL, {1, {1, 0}, {1, 0}, {1, 0}, {3, 2}}, "one graph is drawn"},
    {"NGCF", "variant=paper", {1, {1, 0}, {1, 0}, {0, 0}, {3, 2}}, "its node dropout is off"},
};

static void expect(const char *name, const char *what, const FarCounts *c, uint64_t up, uint64_t down)
{
    if (c->uploads != up || c->downloads != down)
        fail_msg("%s: %s has %llu uploads and %llu downloads, expected %llu and %llu: make lists before the first op "
                 "that reads one (CONTRIBUTING.md, What an op costs), or name the reason in tests/far_test.c",
                 name, what, (unsigned long long)c->uploads, (unsigned long long)c->downloads, (unsigned long long)up,
                 (unsigned long long)down);
}

static void check_counts(const Recommender *kind, const char *variant, const Trial *r)
{
    Copies x = usual(kind);
    const char *why = NULL;
    for (size_t i = 0; i < COUNT(exceptions); i++)
        if (!strcmp(exceptions[i].name, kind->name) &&
            (!exceptions[i].variant || (variant && !strcmp(exceptions[i].variant, variant)))) {
            x = exceptions[i].copies;
            why = exceptions[i].why;
        }
    print_message("  %-8s %-13s step %llu up (%5llu bytes) %llu down, first %llu up %llu down (opening %llu down), "
                  "epoch %llu up %llu down, evaluation %llu up %llu down%s%s\n",
                  kind->name, variant ? variant : "", (unsigned long long)r->step.uploads,
                  (unsigned long long)r->step.upload_bytes, (unsigned long long)r->step.downloads,
                  (unsigned long long)r->first.uploads, (unsigned long long)r->first.downloads,
                  (unsigned long long)r->opening.downloads, (unsigned long long)r->begin.uploads,
                  (unsigned long long)r->begin.downloads, (unsigned long long)r->evaluation.uploads,
                  (unsigned long long)r->evaluation.downloads, why ? ": " : "", why ? why : "");
    expect(kind->name, "a step", &r->step, x.step, 0);
    expect(kind->name, "an epoch's first step", &r->first, x.first[0], x.first[1]);
    expect(kind->name, "a first step without an evaluation before it", &r->opening, x.opening[0], x.opening[1]);
    if (!kind->epoch || why || r->begin.uploads > MOST_DRAWN || r->begin.downloads)
        expect(kind->name, "the beginning of an epoch", &r->begin, x.begin[0], x.begin[1]);
    expect(kind->name, "an evaluation", &r->evaluation, x.evaluation[0], x.evaluation[1]);
}

static void try_both(const Recommender *kind, const char *variant)
{
    Device cpu, far;
    Arena *a = arena_new(NULL, 0);
    DataSet data;
    Trial one = {0}, other = {0};
    open_both(&cpu, &far, 2);
    make_data(&data, a);
    try_recommender(&cpu, kind, variant, &data, &one, a);
    try_recommender(&far, kind, variant, &data, &other, a);
    no_host_pointers();
    assert_int_equal(far_live_bytes(), 0);
    assert_int_equal(one.users_count, other.users_count);
    assert_memory_equal(one.losses, other.losses, one.losses_count * sizeof(float));
    assert_memory_equal(one.users, other.users, one.users_count * sizeof(float));
    assert_memory_equal(one.items, other.items, one.items_count * sizeof(float));
    assert_memory_equal(one.top, other.top, one.top_count * sizeof *one.top);
    assert_memory_equal(one.scores, other.scores, one.top_count * sizeof(float));
    check_counts(kind, variant, &other);
    arena_free(a);
    device_close(&cpu);
}

static const Setting *variants_of(const Recommender *kind)
{
    for (const Setting *s = kind->settings; s && s->key; s++)
        if (!strcmp(s->key, "variant"))
            return s;
    return NULL;
}

/* Tests every recommender of the registry with each of its recipes. A recommender with a step of its own is trained by
 * the trainer only: tests/own_step_test.c. */
static void recommenders_have_the_bits_of_the_cpu(void **state)
{
    (void)state;
    for (size_t i = 0; i < recommender_count(); i++) {
        const Recommender *kind = recommender_at(i);
        if (kind->step)
            continue;
        const Setting *variants = variants_of(kind);
        try_both(kind, NULL);
        for (size_t v = 1; variants && v < variants->member.word_count; v++) { /* 0, elliot, is the default */
            char set[40];
            snprintf(set, sizeof set, "variant=%s", variants->member.words[v]);
            if (variants->member.words[v])
                try_both(kind, set);
        }
    }
}

/* ---- encoders -------------------------------------------------------------------------------- */

static void encoders_have_the_bits_of_the_cpu(void **state)
{
    (void)state;
    for (size_t i = 0; i < (all() ? COUNT(trial_encoders) : 2); i++) {
        Device cpu, far;
        Arena *a = arena_new(NULL, 0);
        size_t n, m;
        open_both(&cpu, &far, 2);
        const float *x = encode(&cpu, trial_encoders[i].name, trial_encoders[i].tower, &n, a),
                    *y = encode(&far, trial_encoders[i].name, trial_encoders[i].tower, &m, a);
        FarCounts c = far_counts();
        no_host_pointers();
        assert_int_equal(far_live_bytes(), 0);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n * sizeof *x);
        print_message("  %-40s %llu up, %llu down, %llu kernels\n", trial_encoders[i].name,
                      (unsigned long long)c.uploads, (unsigned long long)c.downloads, (unsigned long long)c.kernels);
        arena_free(a);
        device_close(&cpu);
    }
}

int main(void)
{
    unsetenv("SAPOR_TEST_DEVICE"); /* this program opens both devices itself */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_cannot_touch_it),          cmocka_unit_test(host_pointers_are_counted),
        cmocka_unit_test(cases_have_the_bits_of_the_cpu),    cmocka_unit_test(recommenders_have_the_bits_of_the_cpu),
        cmocka_unit_test(encoders_have_the_bits_of_the_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
