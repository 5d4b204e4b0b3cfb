/* kernels/cpu/intrinsics.h: the intrinsics of x86-64 for one level of instructions.
 *
 * The immintrin.h of gcc declares the instructions of all processors: compiling it takes longer than compiling a
 * typical kernel. This file includes only the parts that vec.h uses. A part refuses to be included without immintrin.h:
 * it checks the name that is defined here. A file that uses more intrinsics includes immintrin.h first (dots.c, amx.c).
 * Other compilers, and versions of gcc that were not tested, include immintrin.h. */
#ifndef SAPOR_INTRINSICS_H
#define SAPOR_INTRINSICS_H

#if !defined(__AVX2__)
#include <emmintrin.h>
#elif defined(__clang__) || __GNUC__ != 12
#include <immintrin.h>
#elif !defined(_IMMINTRIN_H_INCLUDED)
#define _IMMINTRIN_H_INCLUDED
/* clang-format off: a part uses types of the parts above it */
#include <smmintrin.h>
#include <avxintrin.h>
#include <avx2intrin.h>
#include <fmaintrin.h>
#include <f16cintrin.h>
#if defined(__AVX512F__)
#include <avx512fintrin.h>
#include <avx512dqintrin.h>
#endif
/* clang-format on */
#endif

#endif
