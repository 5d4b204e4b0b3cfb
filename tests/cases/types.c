/* tests/cases/types.c: cases of kernels/cpu/types.c. */
#include <math.h>

#include "tests/kernel_cases.h"

float case_narrow(DType type, float x, uint16_t *bits)
{
    const bool half = type == F16;
    int exponent;
    uint32_t whole;
    if (isfinite(x)) {
        frexp((double)x, &exponent);
        const double step = ldexp(1, half ? MAX(exponent - 11, -24) : MAX(exponent - 8, -133));
        x = (float)(nearbyint((double)x / step) * step);
        x = half ? fminf(fmaxf(x, -65504), 65504) : x;
    }
    memcpy(&whole, &x, sizeof whole);
    *bits = (uint16_t)(whole >> 16);
    if (half) {
        const uint32_t sign = whole >> 16 & 0x8000;
        const float size = fabsf(x);
        *bits = (uint16_t)(sign | (!isfinite(x)      ? 0x7c00u
                                   : size < 0x1p-14f ? (uint32_t)(size * 0x1p24f)
                                                     : (whole >> 13 & 0x3ffff) - (112 << 10)));
    }
    return x;
}

/* ---- convert --------------------------------------------------------------------------------- */

/* n is even, because 16-bit numbers are compared in pairs. If a table does not support a type (MINIMAL has no narrow
 * types), n is 0. */
static const Case convert_cases[] = {
    CASE(0, F32, F16),     CASE(2, F32, F16),  CASE(46, F32, F16),        CASE(30000, F32, F16), CASE(46, F32, BF16),
    CASE(1000, F32, BF16), CASE(46, F16, F32), CASE(1000, BF16, F32),     CASE(46, F16, BF16),   CASE(46, BF16, F16),
    CASE(30000, F32, F32), CASE(46, F16, F16), TIMED(1000000, F32, BF16),
};
enum { CONVERT_X, CONVERT_NARROW_X, CONVERT_Y, CONVERT_NARROW_Y };
static int64_t convert_count(const Job *j, const Case *s)
{
    const bool supported =
        j->k->supports("convert", "x", (DType)s->n[1]) && j->k->supports("convert", "y", (DType)s->n[2]);
    return supported ? s->n[0] : 0;
}
static void convert_make(Job *j, const Case *s)
{
    static const float ENDS[] = {0.0f, -0.0f, 70000.0f, -1e9f, 1e-6f, -3e-8f, INFINITY, -INFINITY};
    const int64_t n = convert_count(j, s);
    const DType from = (DType)s->n[1];
    float *x = case_f32(j, "x", ROLE_IN, n);
    uint16_t *narrow = case_bytes(j, "narrow x", ROLE_IN, from == F32 ? 0 : (size_t)n * sizeof *narrow);
    for (int64_t i = 0; j->ok && i < n; i++) {
        x[i] = i % 3 == 1 ? ENDS[i / 3 % (int64_t)COUNT(ENDS)] : x[i];
        x[i] = from == F32 ? x[i] : case_narrow(from, x[i], &narrow[i]);
    }
    if (j->ok)
        case_set(j, CONVERT_X);
    case_f32(j, "y", ROLE_OUT, s->n[2] == F32 ? n : 0);
    case_i32(j, "narrow y", ROLE_OUT, s->n[2] == F32 ? 0 : n / 2);
    j->bytes = (double)n * (double)(dtype_bytes(from) + dtype_bytes((DType)s->n[2]));
}
static void convert_call(Job *j, const Case *s)
{
    const DType from = (DType)s->n[1], to = (DType)s->n[2];
    j->k->convert(&j->run, convert_count(j, s), from, device_of(j, from == F32 ? CONVERT_X : CONVERT_NARROW_X), to,
                  device_of(j, to == F32 ? CONVERT_Y : CONVERT_NARROW_Y));
}
static void convert_reference(Job *j, const Case *s)
{
    const DType to = (DType)s->n[2];
    for (int64_t i = 0; i < convert_count(j, s); i++) {
        const double x = exact_of(j, CONVERT_X)[i];
        uint16_t bits;
        if (to == F32) {
            exact_of(j, CONVERT_Y)[i] = x;
            continue;
        }
        case_narrow(to, (float)x, &bits);
        uint16_t *expected = (uint16_t *)(void *)expected_of(j, CONVERT_NARROW_Y);
        expected[i] = bits;
    }
}
const Family family_convert = {.kernel = "convert",
                               .names = "n from to",
                               .cases = convert_cases,
                               .count = COUNT(convert_cases),
                               .make = convert_make,
                               .call = convert_call,
                               .reference = convert_reference};
