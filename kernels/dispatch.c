/* Which table this machine gets, and what belongs to no level. */
#include <math.h>
#include <stdlib.h>

#include "kernels/kernels.h"

extern const Kernels kernels_baseline;
#if defined(__x86_64__)
extern const Kernels kernels_avx2;
#ifndef SAPOR_MINIMAL /* 0.2 MB */
extern const Kernels kernels_avx512;
#endif
#endif

typedef struct Level {
    const char *name;
    const Kernels *kernels;
    const char *missing; /* NULL: usable */
} Level;

enum { MAX_LEVELS = 8 };

/* Best last. The compiler's run-time check asks cpuid, and XGETBV whether the system saves the wide registers. */
static size_t find_levels(Level list[MAX_LEVELS])
{
    size_t n = 0;
    list[n++] = (Level){"baseline", &kernels_baseline, NULL};
#if defined(__x86_64__)
    __builtin_cpu_init();
    const char *lack = !__builtin_cpu_supports("avx2")  ? "no AVX2 (or the system does not save its registers)"
                       : !__builtin_cpu_supports("fma") ? "no FMA"
                                                        : NULL;
    list[n++] = (Level){"avx2", &kernels_avx2, lack};
#ifndef SAPOR_MINIMAL
    if (lack == NULL) {
        lack = !__builtin_cpu_supports("avx512f")    ? "no AVX-512 (or the system does not save its registers)"
               : !__builtin_cpu_supports("avx512bw") ? "no AVX-512 BW"
               : !__builtin_cpu_supports("avx512vl") ? "no AVX-512 VL"
               : !__builtin_cpu_supports("avx512dq") ? "no AVX-512 DQ"
                                                     : NULL;
    }
    list[n++] = (Level){"avx512", &kernels_avx512, lack};
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
    const char *asked_by = "level";
    if (force == NULL) {
        force = getenv("SAPOR_CPU");
        asked_by = "SAPOR_CPU";
    }
    const Kernels *best = NULL;
    char there[256] = "";
    for (size_t i = 0; i < n; i++) {
        if (list[i].missing == NULL) {
            best = list[i].kernels;
            snprintf(there + strlen(there), sizeof there - strlen(there), "%s%s", there[0] ? ", " : "", list[i].name);
        }
    }
    if (force == NULL || force[0] == '\0') {
        return best;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].name, force) == 0) {
            if (list[i].missing != NULL) {
                fail(e, SP_UNSUPPORTED, "%s=%s: this machine has %s; usable: %s", asked_by, force, list[i].missing, there);
                return NULL;
            }
            return list[i].kernels;
        }
    }
    fail(e, SP_USAGE, "%s=%s: no such level; usable: %s", asked_by, force, there);
    return NULL;
}

const char *pack_name(Pack p)
{
    static const char *const NAMES[PACK_COUNT] = {"f32", "f16", "bf16", "bf16", "int8"};
    return NAMES[p];
}

/* Seconds of a product of BERT's kind in little, the best of some. `floats` hold A, B and C, zeros. */
static double time_pack(const Kernels *k, Pack pack, float *floats, void *packed, Run run)
{
    enum { TIMES = 10 };
    const int64_t M = 56, N = 64, K = 384;
    k->gemm_pack(&run, pack, K, N, floats, N, 1, packed);
    const Gemm g = {M, N, K, floats, K, 1, NULL, 0, 0, packed, pack, floats + M * K, N, 1, 0, NULL, NULL, 0, ACT_NONE, 0};
    double best = 1;
    for (int i = 0; i < TIMES; i++) {
        const double begin = now_seconds();
        k->gemm(&run, &g);
        best = MIN(best, now_seconds() - begin);
    }
    return best;
}

bool kernels_pack(const Kernels *k, const Heap *heap, Pack wish, Pack *best, Error *e)
{
    *best = wish;
    if (!k->gemm_packs(wish)) {
        return fail(e, SP_UNSUPPORTED,
                    "%s: this processor lacks its products at level %s; SAPOR_CPU=avx2 has them", pack_name(wish), k->level);
    }
    if (wish != PACK_BF16 || !k->gemm_packs(PACK_BF16_DOTS)) {
        return true;
    }
    enum { FLOATS = 1 << 15, BYTES = 1 << 20 }; /* A, B, C; packed B, half of it scratch */
    char *block = k->alloc(heap, BYTES);
    if (!block) {
        return fail_memory(e, BYTES, "timing products");
    }
    Run run = {.work = block + BYTES / 2, .work_bytes = BYTES / 2};
    k->zero(&run, block, BYTES);
    float *floats = (float *)(void *)block;
    void *packed = floats + FLOATS;
    const double dots = time_pack(k, PACK_BF16_DOTS, floats, packed, run),
                 wide = time_pack(k, PACK_F32, floats, packed, run);
    *best = dots < wide ? PACK_BF16_DOTS : PACK_BF16;
    k->free(heap, block, BYTES);
    return true;
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
    };
}
