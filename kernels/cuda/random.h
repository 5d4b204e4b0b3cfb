/* kernels/cuda/random.h: the draws of base/random.c in kernels, with the same bits. The functions are those of
 * base/draw.h: uniform_of, normal_of, below_of, draw_words, log_of and cos2pi_of. A draw is ten rounds of two 32-bit
 * products, about 100 instructions. A normal draw also has about 20 divisions of float64. */
#ifndef SAPOR_CUDA_RANDOM_H
#define SAPOR_CUDA_RANDOM_H

#include "kernels/cuda/cuda.h"

#define DRAW_FUNCTION static __device__ inline
#include "base/draw.h"

#endif
