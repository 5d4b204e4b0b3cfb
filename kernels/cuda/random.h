/* kernels/cuda/random.h: the draws of base/random.c in kernels, bit for bit, by the functions of base/draw.h:
 * uniform_of, normal_of, below_of, draw_words, log_of and cos2pi_of. A draw is ten rounds of two products of 32 bits,
 * about 100 instructions; a normal one has 20 divisions of float64, too. */
#ifndef SAPOR_CUDA_RANDOM_H
#define SAPOR_CUDA_RANDOM_H

#include "kernels/cuda/cuda.h"

#define DRAW_FUNCTION static __device__ inline
#include "base/draw.h"

#endif
