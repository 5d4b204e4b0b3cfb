/* kernels/dispatch.c: selects the table for this machine, and has the functions that are the same on all levels.
 * HAS_avx2, HAS_avx512: this build has the level (LEVELS of the Makefile). */
#include <math.h>
#include <stdlib.h>

#include "kernels/kernels.h"

extern const Kernels kernels_baseline;
#ifdef HAS_avx2
extern const Kernels kernels_avx2;
#endif
#ifdef HAS_avx512
extern const Kernels kernels_avx512;
#endif

typedef struct Level {
    const char *name;
    const Kernels *kernels;
    const char *missing; /* what the machine lacks; NULL: the level is usable */
} Level;

enum { MAX_LEVELS = 8 };

/* Writes the levels of this build, the best last, and returns their number. The compiler's run-time check uses cpuid,
 * and XGETBV to check that the system saves the wide registers. */
static size_t find_levels(Level list[MAX_LEVELS])
{
    size_t n = 0;
    list[n++] = (Level){"baseline", &kernels_baseline, NULL};
#if defined(HAS_avx2) || defined(HAS_avx512)
    __builtin_cpu_init();
    const char *missing = !__builtin_cpu_supports("avx2")  ? "no AVX2 (or the system does not save its registers)"
                          : !__builtin_cpu_supports("fma") ? "no FMA"
                                                           : NULL;
#ifdef HAS_avx2
    list[n++] = (Level){"avx2", &kernels_avx2, missing};
#endif
#ifdef HAS_avx512
    if (missing == NULL)
        missing = !__builtin_cpu_supports("avx512f")    ? "no AVX-512 (or the system does not save its registers)"
                  : !__builtin_cpu_supports("avx512bw") ? "no AVX-512 BW"
                  : !__builtin_cpu_supports("avx512vl") ? "no AVX-512 VL"
                  : !__builtin_cpu_supports("avx512dq") ? "no AVX-512 DQ"
                                                        : NULL;
    list[n++] = (Level){"avx512", &kernels_avx512, missing};
#endif
#endif
    return n;
}

size_t kernels_levels(const char *names[8], bool usable[8], const char *why[8])
{
    Level list[MAX_LEVELS];
    size_t n = find_levels(list);
    for (size_t i = 0; i < n; i++) {
        names[i] = list[i].name;
        usable[i] = list[i].missing == NULL;
        why[i] = list[i].missing ? list[i].missing : "";
    }
    return n;
}

const Kernels *kernels_cpu(const char *force, Error *e)
{
    Level list[MAX_LEVELS];
    size_t n = find_levels(list);
    const char *source = "level";
    if (force == NULL) {
        force = getenv("SAPOR_CPU");
        source = "SAPOR_CPU";
    }
    const Kernels *best = NULL;
    char usable[256] = "";
    for (size_t i = 0; i < n; i++) {
        if (list[i].missing == NULL) {
            best = list[i].kernels;
            const size_t used = strlen(usable);
            snprintf(usable + used, sizeof usable - used, "%s%s", used ? ", " : "", list[i].name);
        }
    }
    if (force == NULL || force[0] == '\0')
        return best;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].name, force) == 0) {
            if (list[i].missing != NULL) {
                fail(e, SP_UNSUPPORTED, "%s=%s: this machine has %s; usable levels: %s", source, force, list[i].missing,
                     usable);
                return NULL;
            }
            return list[i].kernels;
        }
    }
    fail(e, SP_USAGE, "%s=%s: unknown level; usable levels: %s", source, force, usable);
    return NULL;
}

const char *pack_name(Pack p)
{
    static const char *const NAMES[PACK_COUNT] = {"f32", "f16", "bf16", "int8"};
    return NAMES[p];
}

bool kernels_packs(const Kernels *k, Pack type, Error *e)
{
    return k->gemm_packs(type) ||
           fail(e, SP_UNSUPPORTED, "%s: is not supported at level %s of this processor; use SAPOR_CPU=avx2",
                pack_name(type), k->level);
}

AdamStep adam_step(double lr, double beta1, double beta2, double eps, double weight_decay, int64_t t)
{
    return (AdamStep){
        .step_size = (float)(lr / (1.0 - pow(beta1, (double)t))),
        .root_scale = (float)(1.0 / sqrt(1.0 - pow(beta2, (double)t))),
        .beta1 = (float)beta1,
        .beta2 = (float)beta2,
        .eps = (float)eps,
        .weight_decay = (float)weight_decay,
        .shrink = 1.0f,
    };
}

AdamStep adamw_step(double lr, double beta1, double beta2, double eps, double weight_decay, int64_t t)
{
    AdamStep s = adam_step(lr, beta1, beta2, eps, 0, t);
    s.shrink = (float)(1.0 - lr * weight_decay);
    return s;
}
