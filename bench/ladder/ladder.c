/* bench/ladder/ladder.c: checks and times the steps of a ladder. Usage: NAME [--check | --rounds N] [STEP ...]. STEP is
 * the start of a step's file name ("03"). */
#include "bench/ladder/ladder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/bench/peak.h"

enum { ROUNDS_MAX = 400, STEPS_MAX = 32, ROUND_SAMPLES = 32, READ_BYTES = 256 << 20 };

/* the bounds of the section in which LADDER_STEP puts the steps; defined by the linker */
extern const Step *const __start_ladder_steps[], *const __stop_ladder_steps[];

static Arena *arena;
static const Kernels *kernels;
static uint32_t drawn; /* number of arrays drawn so far */

/* Allocates memory through the kernel table: the same memory for the steps, which are host code, and for Sapor's
 * kernel. */
static void *from_table(void *user, void *p, size_t old, size_t size)
{
    (void)user;
    if (!p)
        return kernels->alloc(&(Run){0}, NULL, size);
    kernels->free(&(Run){0}, NULL, p, old);
    return NULL;
}
static const Heap table_heap = {.resize = from_table};

void *ladder_room(size_t count, size_t size)
{
    Error e = {0};
    void *p = arena_alloc(arena, MAX(count, 1), size, &e);
    if (!p) {
        fprintf(stderr, "%s\n", e.message);
        exit(1);
    }
    return memset(p, 0, count * size);
}

float *ladder_numbers(size_t n)
{
    float *x = ladder_room(n, sizeof *x);
    const Draw d = {1, DRAW_TEST, drawn++};
    for (size_t i = 0; i < n; i += 4) {
        uint32_t four[4];
        draw4(d, i / 4, 0, four);
        for (size_t k = 0; k < MIN(4, n - i); k++)
            x[i + k] = (float)(four[k] >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

double ladder_difference(const float *x, const double *expected, size_t n)
{
    double largest_error = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        const double off = fabs((double)x[i] - expected[i]);
        if (isnan(off))
            return off;
        largest_error = fmax(largest_error, off);
        largest = fmax(largest, fabs(expected[i]));
    }
    return largest > 0 ? largest_error / largest : largest_error;
}

Arena *ladder_arena(void)
{
    return arena;
}

const Kernels *ladder_kernels(void)
{
    return kernels;
}

void ladder_product(const Run *run, int64_t M, int64_t N, int64_t K, float alpha, const float *A, int64_t lda,
                    const float *packed, float *C, int64_t ldc, bool adds)
{
    const Gemm g = {.M = M,
                    .N = N,
                    .K = K,
                    .A = A,
                    .a_row = lda,
                    .a_col = 1,
                    .packed = packed,
                    .C = C,
                    .ldc = ldc,
                    .alpha = alpha,
                    .beta = adds ? 1.0f : 0.0f};
    ladder_kernels()->gemm(run, &g);
}

typedef struct Row {
    const Step *step;
    char name[32];
    double error, once;                       /* once: the seconds of the second run, the first that is timed */
    double times[ROUND_SAMPLES * ROUNDS_MAX]; /* the seconds per run of each sample */
    int samples;
} Row;

/* A step is slow if one run takes more than this number of tenths of a second. A slow step runs only three times: once
 * in check, once as sample 0 (`once`), and once more as sample 1. */
enum { SLOW = 3 };

/* Takes samples for about 40 ms, and not more than ROUND_SAMPLES. A sample is one run, or the number of runs that take
 * 0.2 ms. A slow step gets no sample after its second one. */
static void sample(Row *r, Case *c)
{
    if (r->once > 0.1 * SLOW && r->samples > 1)
        return;
    if (r->step->prepare)
        r->step->prepare(c);
    if (r->once < 0.1 * SLOW)
        r->step->run(c); /* fills the caches */
    const int inner = r->once < 2e-4 ? (int)(2e-4 / fmax(r->once, 1e-8)) + 1 : 1, before = r->samples;
    const double begun = now_seconds();
    do {
        const double start = now_seconds();
        for (int i = 0; i < inner; i++)
            r->step->run(c);
        r->times[r->samples++] = (now_seconds() - start) / inner;
    } while (now_seconds() - begun < 0.04 && r->samples < before + ROUND_SAMPLES);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Reports whether the result of the step is correct. */
static bool right(const Row *r, const Work *w)
{
    return r->error <= w->limit; /* false for NaN */
}

/* Runs the step once, and sets its error. */
static void check(Row *r, Case *c)
{
    ladder.reset(c);
    if (r->step->prepare)
        r->step->prepare(c);
    r->step->run(c);
    r->error = ladder.error(c);
}

/* Prints the names of the processor and the compiler. */
static void print_machine(void)
{
    char line[256], name[256] = "", model[64] = "", family[64] = "";
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "model name : %255[^\n]", name);
        sscanf(line, "cpu family : %63s", family);
        sscanf(line, "model : %63s", model);
    }
    if (f)
        fclose(f);
    printf("%s (family %s, model %s), ", name[0] ? name : "a processor without a name", family, model);
#if defined(__clang__)
    printf("clang %d", __clang_major__);
#else
    printf("gcc %d", __GNUC__);
#endif
    printf(", one thread; Sapor's level is %s.\n", kernels->level);
}

/* Prints the table of a shape. gflops, gbs: the measured peaks. Returns false if a result is wrong. */
static bool print_table(Row *rows, int count, const Work *w, double gflops, double gbs)
{
    const double compute = w->flops / (gflops * 1e9), memory = gbs > 0 ? w->bytes / (gbs * 1e9) : 0;
    const bool bandwidth = memory > compute;
    int width = 4;
    bool all_right = true;
    for (int i = 0; i < count; i++)
        width = MAX(width, (int)strlen(rows[i].step->what) + (rows[i].step->aside ? 8 : 0));
    printf("\n%s: ", w->name);
    if (bandwidth)
        printf("%.4g MB are to be moved, %.1f GB/s can be read from what holds them; %.4g ms at best\n\n",
               w->bytes / 1e6, gbs, memory * 1e3);
    else
        printf("%.4g million operations, peak %.1f GFLOP/s; %.4g ms at best\n\n", w->flops / 1e6, gflops,
               compute * 1e3);
    printf("| %-18s | %-*s | %9s | %9s | %8s | %8s | %7s | %7s |\n|---|---|---:|---:|---:|---:|---:|---:|\n", "file",
           width, "step", "ms", "median", bandwidth ? "GB/s" : "GFLOP/s", "of peak", "gain", "error");
    double before = 0;
    for (int i = 0; i < count; i++) {
        Row *r = &rows[i];
        char what[256];
        qsort(r->times, (size_t)r->samples, sizeof *r->times, ascending);
        const double fastest = r->times[0];
        snprintf(what, sizeof what, r->step->aside ? "(aside) %s" : "%s", r->step->what);
        printf("| %-18s | %-*s | %9.4g | %9.4g | %8.4g | %6.1f %% | ", r->name, width, what, fastest * 1e3,
               r->times[r->samples / 2] * 1e3, (bandwidth ? w->bytes : w->flops) / fastest / 1e9,
               100 * fmax(compute, memory) / fastest);
        if (before > 0)
            printf("%7.2f | ", before / fastest);
        else
            printf("%7s | ", "");
        if (right(r, w)) {
            printf("%7.1e |\n", r->error);
        } else {
            printf("%7s |\n", "WRONG");
            all_right = false;
        }
        before = r->step->aside ? before : fastest;
    }
    fflush(stdout);
    return all_right;
}

/* Checks and times all steps on a shape. `memory` [READ_BYTES] is read to measure the bandwidth. Returns false if a
 * result is wrong. */
static bool measure(int shape, int rounds, Row *rows, int count, const float *memory)
{
    Work w = {.limit = 0};
    Case *c = ladder.make(shape, &w);
    for (int i = 0; i < count; i++) {
        Row *r = &rows[i];
        check(r, c);
        const double start = now_seconds();
        r->step->run(c);
        r->times[0] = r->once = now_seconds() - start;
        /* If the step is slow, the run above counts as its first sample. Otherwise it is not counted. */
        r->samples = r->once > 0.1 * SLOW;
    }
    double gflops = 0, gbs = 0;
    for (int round = 0; round < rounds; round++) {
        gflops = fmax(gflops, peak_gflops(kernels->level, "f32", NULL, 0.03));
        if (w.bytes > 0)
            gbs = fmax(gbs, peak_read_gbs(kernels->level, memory, (size_t)fmin(fmax(w.working_set, 32768), READ_BYTES),
                                          NULL, 0.03));
        for (int i = 0; i < count; i++)
            sample(&rows[i], c);
    }
    return print_table(rows, count, &w, gflops, gbs);
}

/* Fills `rows` with the steps whose file names begin with one of `prefixes`, or with all steps if `prefix_count` is 0.
 * Sapor's step, the last, is always included. Returns the number of rows. */
static int find_steps(Row *rows, int prefix_count, char **prefixes)
{
    int count = 0;
    for (const Step *const *step = __start_ladder_steps; step != __stop_ladder_steps && count < STEPS_MAX; step++) {
        Row *r = &rows[count];
        const char *slash = strrchr((*step)->file, '/');
        bool included = prefix_count == 0;
        r->step = *step;
        snprintf(r->name, sizeof r->name, "%s", slash ? slash + 1 : (*step)->file);
        r->name[strcspn(r->name, ".")] = '\0';
        if (strcmp(r->name, "main") == 0) {
            snprintf(r->name, sizeof r->name, "sapor");
            included = true;
        }
        for (int a = 0; a < prefix_count; a++)
            included = included || strncmp(r->name, prefixes[a], strlen(prefixes[a])) == 0;
        count += included;
    }
    return count;
}

int main(int argc, char **argv)
{
    static Row rows[STEPS_MAX];
    Error e = {0};
    bool checks = argc > 1 && strcmp(argv[1], "--check") == 0, good = true;
    const bool has_rounds = argc > 2 && strcmp(argv[1], "--rounds") == 0;
    const int first = has_rounds ? 3 : 1 + checks, count = find_steps(rows, argc - first, argv + first);
    const int rounds = has_rounds ? MAX(1, MIN(ROUNDS_MAX, (int)strtol(argv[2], NULL, 10))) : 9;
    if (!(kernels = kernels_cpu(NULL, &e)) || !(arena = arena_new(&table_heap, 0))) {
        fprintf(stderr, "%s\n", e.code ? e.message : "out of memory");
        return 1;
    }
    if (checks) { /* TAP, without timing */
        Work w = {.limit = 0};
        Case *c = ladder.make(-1, &w);
        printf("1..%d\n", count);
        for (int i = 0; i < count; i++) {
            check(&rows[i], c);
            good = good && right(&rows[i], &w);
            printf("%s %d - %s: error %.1e, %.1e allowed\n", right(&rows[i], &w) ? "ok" : "not ok", i + 1, rows[i].name,
                   rows[i].error, w.limit);
        }
    } else {
        const float *memory = ladder_room(READ_BYTES, 1);
        const ArenaMark mark = arena_mark(arena);
        print_machine();
        for (int shape = 0; shape < ladder.shapes; shape++) {
            arena_rewind(arena, mark);
            drawn = 0;
            good = measure(shape, rounds, rows, count, memory) && good;
        }
    }
    arena_free(arena);
    return good ? 0 : 1;
}
