/* The classic form. The 9 C inputs of each output are copied into a row of a matrix, nine times the image in total. One
 * gemm computes the rest. */
#include "bench/ladder/conv/taps.h"

static void pack(Case *c)
{
    pack_rows_of_b(c, 1);
}

static void conv(Case *c)
{
    float *to = c->work;
    for (int64_t h = 0; h < c->H; h++) {
        for (int64_t w = 0; w < c->W; w++) {
            for (int64_t i = h - 1; i <= h + 1; i++) {
                for (int64_t j = w - 1; j <= w + 1; j++, to += c->C) {
                    if (i >= 0 && i < c->H && j >= 0 && j < c->W)
                        memcpy(to, c->x + (i * c->W + j) * c->C, (size_t)c->C * sizeof *to);
                    else
                        memset(to, 0, (size_t)c->C * sizeof *to);
                }
            }
        }
    }
    ladder_product(&c->run, c->H * c->W, c->O, 9 * c->C, 1.0f, c->work, 9 * c->C, c->packed, c->y, c->O, false);
}
STEP("im2col: inputs copied into a matrix, one gemm", pack, conv)
