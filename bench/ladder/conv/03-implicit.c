/* No matrix is copied: its rows are contiguous numbers of the image. With channels last, the three pixels under a row
 * of the kernel are 3 C contiguous numbers, and those of the next output begin C numbers later. So the rows of A
 * overlap. Only the zero border needs a copy. A row of outputs is three products with an inner dimension of 3 C each.
 */
#include "bench/ladder/conv/taps.h"

static void pack(Case *c)
{
    pack_rows_of_b(c, 3);
}

static void conv(Case *c)
{
    const int64_t row = (c->W + 2) * c->C;
    const size_t piece = ladder_kernels()->gemm_pack_bytes(PACK_F32, 3 * c->C, c->O) / sizeof(float);
    memset(c->work, 0, (size_t)row * sizeof *c->work);
    memset(c->work + (c->H + 1) * row, 0, (size_t)row * sizeof *c->work);
    for (int64_t h = 0; h < c->H; h++) {
        float *to = c->work + (h + 1) * row;
        memset(to, 0, (size_t)c->C * sizeof *to);
        memcpy(to + c->C, c->x + h * c->W * c->C, (size_t)(c->W * c->C) * sizeof *to);
        memset(to + row - c->C, 0, (size_t)c->C * sizeof *to);
    }
    for (int64_t h = 0; h < c->H; h++) {
        for (int64_t i = 0; i < 3; i++)
            ladder_product(&c->run, c->W, c->O, 3 * c->C, 1.0f, c->work + (h + i) * row, c->C,
                           c->packed + (size_t)i * piece, c->y + h * c->W * c->O, c->O, i > 0);
    }
}
STEP("implicit: rows of A overlap in the image, only its border is copied", pack, conv)
