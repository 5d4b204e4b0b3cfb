/* kernels/cuda/random.h: the draws of base/random.c in kernels, bit for bit: uniform_of, normal_of, below_of, draw_words,
 * log_of and cos2pi_of of base/draw.h. A draw is ten rounds of two 32-bit products each, about 100 instructions; a
 * normal one has 30 divisions of float64 beside it. */
#ifndef SAPOR_CUDA_RANDOM_H
#define SAPOR_CUDA_RANDOM_H

#include "kernels/cuda/cuda.h"

#define DRAW_FUNCTION static __device__ inline
#include "base/draw.h"

#endif
