/* kernels/cpu/gemm/unpack.c: converts packed weights back to float32. The backward pass of a frozen layer needs them.
 * One panel is one task of the pool. */
#include "kernels/cpu/gemm/narrow.h"

#ifndef SAPOR_MINIMAL

typedef struct Unpacking {
    Pack pack;
    int64_t K, N, first, n;
    const void *packed;
    float *B;
    int64_t ldb;
} Unpacking;

/* Writes row k, TILE_COLS numbers, of the panel that begins at unit `at` to x. scale: the scales of the panel's
 * columns; only for bytes. */
static void panel_row(const Unpacking *u, Unit unit, int64_t at, int64_t k, const float *scale, vf x[2])
{
    for (int half = 0; half < 2; half++) {
        const int64_t j = half * VW;
        if (unit == UNIT_F32) {
            x[half] = v_load((const float *)u->packed + at + k * TILE_COLS + j);
        } else if (unit == UNIT_HALF_F16 || unit == UNIT_HALF_BF16) {
            const vh h = vh_load((const uint16_t *)u->packed + at + k * TILE_COLS + j);
            x[half] = unit == UNIT_HALF_F16 ? v_from_f16(h) : v_from_bf16(h);
        } else if (unit == UNIT_BF16 || unit == UNIT_BF16_AMX) {
            const vi pair = vi_load((const int32_t *)u->packed + at + k / 2 * TILE_COLS + j);
            x[half] = (vf)(k % 2 ? pair & (int32_t)0xffff0000 : pair << 16);
        } else {
            const vi bytes = vi_load((const int32_t *)u->packed + at + k / 4 * TILE_COLS + j);
            x[half] = v_from_int(bytes << (24 - 8 * (int)(k % 4)) >> 24) * v_load(scale + j);
        }
    }
}

static void unpack_panel(void *arg, size_t number, int worker)
{
    (void)worker;
    const Unpacking *u = arg;
    const int64_t begin = (u->first / TILE_COLS + (int64_t)number) * TILE_COLS, from = MAX(u->first, begin),
                  count = MIN(u->first + u->n, begin + TILE_COLS) - from;
    const int64_t whole = round_up(u->N, TILE_COLS), units = narrow_count(u->pack, u->K);
    const float *scale = is_bytes(u->pack) ? (const float *)u->packed + whole * units + begin : NULL;
    const Unit unit = narrow_unit(u->pack);
    for (int64_t k = 0; k < u->K; k++) {
        float *to = u->B + k * u->ldb + from - u->first;
        vf x[2];
        panel_row(u, unit, begin * units, k, scale, x);
        if (count == TILE_COLS) {
            v_store(to, x[0]);
            v_store(to + VW, x[1]);
        } else {
            float row[TILE_COLS];
            v_store(row, x[0]);
            v_store(row + VW, x[1]);
            memcpy(to, row + from - begin, (size_t)count * sizeof(float));
        }
    }
}

void FN(gemm_unpack)(const Run *run, Pack type, int64_t K, int64_t N, const void *packed, int64_t first, int64_t n,
                     float *B, int64_t ldb)
{
    Unpacking u = {FN(pack_form)(type), K, N, first, n, packed, B, ldb};
    if (n > 0)
        pool_run(run->context, (size_t)(div_up(first + n, TILE_COLS) - first / TILE_COLS), unpack_panel, &u);
}

#endif
