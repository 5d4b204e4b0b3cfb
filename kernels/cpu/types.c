/* kernels/cpu/types.c: converts numbers from one type to another, and reports which kernels accept which types. */
// flags baseline: -Os
#include "kernels/cpu/loops.h"

#ifdef SAPOR_MINIMAL
#define NARROW_TABLES 0
#else
#define NARROW_TABLES (1u << F16 | 1u << BF16)
#endif

bool FN(supports)(const char *entry, const char *operand, DType type)
{
    static const struct {
        const char *entry, *operand;
        unsigned types; /* in addition to F32 */
    } NARROW[] = {{"gather", "table", NARROW_TABLES}, {"convert", "x", NARROW_TABLES}, {"convert", "y", NARROW_TABLES}};
    for (size_t i = 0; i < COUNT(NARROW); i++)
        if (strcmp(NARROW[i].entry, entry) == 0 && strcmp(NARROW[i].operand, operand) == 0 &&
            (NARROW[i].types >> type & 1u))
            return true;
    return type == F32;
}

typedef struct Convert {
    DType from, to;
    const void *x;
    void *y;
} Convert;

/* Stores n numbers of x as the type F32, F16 or BF16, beginning at number i. `type` is a constant in every call. */
INLINE void store_as(const DType type, void *y, int64_t i, vf x, int n)
{
    if (type == F32) {
        store_part((float *)y + i, x, n);
        return;
    }
    uint16_t part[VW], *to = (uint16_t *)y + i;
    vh_store(n == VW ? to : part, __builtin_convertvector(type == F16 ? v_to_f16(x) : v_to_bf16(x) >> 16, vh));
    if (n < VW)
        memcpy(to, part, (size_t)n * sizeof *to);
}

INLINE void convert_range(const Convert *c, const DType from, const DType to, int64_t first, int64_t last)
{
    FOR_VECTORS(first, last, store_as(to, c->y, i, load_as(from, c->x, i, n), n))
}

static void convert_any(const void *arg, int64_t first, int64_t last)
{
    const Convert *c = arg;
    const size_t size = dtype_bytes(c->from);
    if (c->from == c->to)
        memcpy((char *)c->y + (size_t)first * size, (const char *)c->x + (size_t)first * size,
               (size_t)(last - first) * size);
#ifndef SAPOR_MINIMAL
    else if (c->to == F32)
        c->from == F16 ? convert_range(c, F16, F32, first, last) : convert_range(c, BF16, F32, first, last);
    else if (c->to == F16)
        c->from == F32 ? convert_range(c, F32, F16, first, last) : convert_range(c, BF16, F16, first, last);
    else
        c->from == F32 ? convert_range(c, F32, BF16, first, last) : convert_range(c, F16, BF16, first, last);
#endif
}

void FN(convert)(const Run *run, int64_t n, DType x_type, const void *x, DType y_type, void *y)
{
    const Convert c = {x_type, y_type, x, y};
    run_ranges(run, n, 16384, convert_any, &c);
}
