/* weights/array.c: conversions between the types of numbers. */
#include "weights/private.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are used in place: this machine must be little-endian"
#endif

bool array_is_integer(const Array *a)
{
    return a->type >= I64;
}

bool array_size(Array *a, size_t *bytes)
{
    size_t count = 1;
    for (int d = 0; d < a->dims; d++)
        if (a->shape[d] < 0 || !size_mul(count, (size_t)a->shape[d], &count))
            return false;
    a->count = (int64_t)count;
    return size_mul(count, dtype_bytes(a->type), bytes) && *bytes <= INT64_MAX;
}

const char *shape_text(int dims, const int64_t *shape, char *buffer, size_t size)
{
    size_t n = (size_t)snprintf(buffer, size, "[");
    for (int d = 0; d < dims && n < size; d++)
        n += (size_t)snprintf(buffer + n, size - n, "%s%lld", d ? ", " : "", (long long)shape[d]);
    if (n < size)
        snprintf(buffer + n, size - n, "]");
    return buffer;
}

/* Converts an IEEE binary16. Every value is exact in float32. A subnormal is a multiple of 2^-24. The bits are moved as
 * integers, so that flush-to-zero modes have no effect. */
static float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff, bits;
    if (exponent == 31) {
        bits = 0x7f800000 | fraction << 13;
    } else if (exponent) {
        bits = (exponent + 112) << 23 | fraction << 13;
    } else {
        float steps = (float)fraction * 0x1p-24f;
        memcpy(&bits, &steps, 4);
    }
    float f;
    bits |= sign;
    memcpy(&f, &bits, 4);
    return f;
}

static float from_bf16(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* Loops over elements of the C type T at any alignment; v is the element. Ends with the `break` of the case. */
#define EACH(T, store)                                                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        T v;                                                                                                           \
        memcpy(&v, from + (size_t)i * sizeof v, sizeof v);                                                             \
        out[i] = (store);                                                                                              \
    }                                                                                                                  \
    break

void array_f32(const Array *a, int64_t first, int64_t n, float *out)
{
    if (n <= 0)
        return;
    const unsigned char *from = (const unsigned char *)a->data + (size_t)first * dtype_bytes(a->type);
    switch (a->type) {
    case F32: memcpy(out, from, (size_t)n * 4); break;
    case F64: EACH(double, (float)v);
    case F16: EACH(uint16_t, from_f16(v));
    case BF16: EACH(uint16_t, from_bf16(v));
    case I64: EACH(int64_t, (float)v);
    case I32: EACH(int32_t, (float)v);
    case I16: EACH(int16_t, (float)v);
    case I8: EACH(int8_t, (float)v);
    case U8: EACH(uint8_t, (float)v);
    case BOOL8: EACH(uint8_t, v ? 1.0f : 0.0f);
    }
}

void array_done(const Array *a)
{
    if (a->mapped)
        map_forget(a->data, (size_t)a->count * dtype_bytes(a->type));
}

/* Rounds towards zero. Values outside int64 become its smallest or largest value, and NaN becomes 0. */
static int64_t whole(double v)
{
    if (v != v)
        return 0;
    return v >= 0x1p63 ? INT64_MAX : v < -0x1p63 ? INT64_MIN : (int64_t)v;
}

void array_i64(const Array *a, int64_t first, int64_t n, int64_t *out)
{
    if (n <= 0)
        return;
    const unsigned char *from = (const unsigned char *)a->data + (size_t)first * dtype_bytes(a->type);
    switch (a->type) {
    case F32: EACH(float, whole((double)v));
    case F64: EACH(double, whole(v));
    case F16: EACH(uint16_t, whole((double)from_f16(v)));
    case BF16: EACH(uint16_t, whole((double)from_bf16(v)));
    case I64: memcpy(out, from, (size_t)n * 8); break;
    case I32: EACH(int32_t, v);
    case I16: EACH(int16_t, v);
    case I8: EACH(int8_t, v);
    case U8: EACH(uint8_t, v);
    case BOOL8: EACH(uint8_t, v != 0);
    }
}
