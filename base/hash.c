/* base/hash.c: 64-bit hashes of bytes, for the keys of tables and caches. */
#include "base/base.h"

/* Mixes all bits of a and b: the product has 128 bits, and its halves are combined by XOR. */
static uint64_t fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else /* 32-bit processors: the product by halves of 32 bits gives the same bits */
    uint64_t low = (uint32_t)a * (b & UINT32_MAX), left = (a >> 32) * (b & UINT32_MAX), right = (uint32_t)a * (b >> 32),
             middle = left + (low >> 32) + (uint32_t)right;
    return (a * b) ^ ((a >> 32) * (b >> 32) + (middle >> 32) + (right >> 32));
#endif
}

uint64_t hash_own(const void *data, size_t bytes, uint64_t seed)
{
    uint64_t odd = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 divided by the golden ratio */
    const unsigned char *p = data;
    uint64_t h = fold(seed ^ odd, (uint64_t)bytes ^ UINT64_C(0xd1b54a32d192ed03));
    for (; bytes > 0; p += MIN(bytes, (size_t)8), bytes -= MIN(bytes, (size_t)8)) {
        uint64_t word = 0;
        memcpy(&word, p, MIN(bytes, (size_t)8));
        h = fold(h ^ word, odd) + word;
    }
    return fold(h ^ odd, UINT64_C(0xd1b54a32d192ed03));
}

#ifdef HAVE_XXHASH
#include <xxhash.h>

uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}
#else

uint64_t hash_bytes(const void *data, size_t bytes, uint64_t seed)
{
    return hash_own(data, bytes, seed);
}
#endif
