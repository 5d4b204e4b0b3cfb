/* Winograd's F(4 x 4, 3 x 3) (Lavin & Gray 2016), for the later steps: a 4 x 4 square of outputs from its 6 x 6 square
 * of inputs, by 36 products instead of 144. Along one axis, inputs and kernel are polynomials. The input and filter
 * transforms compute their values at the six points 0, +-P, +-Q, infinity. The values are multiplied, and the output
 * transform computes the outputs from the products. For two axes, each transform is applied to the columns of a square
 * and then to its rows. Place p of all transformed squares is a matrix [squares, C]. It is multiplied with place p of
 * the transformed weights. */
#ifndef SAPOR_LADDER_WINOGRAD_H
#define SAPOR_LADDER_WINOGRAD_H

#include "bench/ladder/conv/case.h"

enum {
    IN = 6,
    OUT = 4,
    PLACES = IN * IN,
    SLACK = 16 /* rows of A at a distance of a power of two would share cache sets */
};

static inline void filter_transform_1d(const double w[3], double P, double Q, double to[IN])
{
    const double PP = P * P, QQ = Q * Q, p = 1 / (2 * PP * (PP - QQ)), q = 1 / (2 * QQ * (QQ - PP));
    to[0] = w[0] / (PP * QQ);
    to[1] = p * (w[0] + P * w[1] + PP * w[2]);
    to[2] = p * (w[0] - P * w[1] + PP * w[2]);
    to[3] = q * (w[0] + Q * w[1] + QQ * w[2]);
    to[4] = q * (w[0] - Q * w[1] + QQ * w[2]);
    to[5] = w[2];
}

static inline size_t weights_of_place(const Case *c) /* in numbers */
{
    return ladder_kernels()->gemm_pack_bytes(PACK_F32, c->C, c->O) / sizeof(float);
}

/* Makes 36 packed matrices [C, O], computed in double. */
static inline void pack_weights(Case *c, double P, double Q)
{
    for (int64_t o = 0; o < c->O; o++) {
        for (int64_t ch = 0; ch < c->C; ch++) {
            const float *w = c->weights + (o * c->C + ch) * 9;
            double column[3][IN], row[IN];
            for (int j = 0; j < 3; j++)
                filter_transform_1d((double[]){w[j], w[3 + j], w[6 + j]}, P, Q, column[j]);
            for (int i = 0; i < IN; i++) {
                filter_transform_1d((double[]){column[0][i], column[1][i], column[2][i]}, P, Q, row);
                for (int j = 0; j < IN; j++)
                    c->work[((i * IN + j) * c->C + ch) * c->O + o] = (float)row[j];
            }
        }
    }
    for (int64_t p = 0; p < PLACES; p++)
        ladder_kernels()->gemm_pack(&c->run, PACK_F32, c->C, c->O, c->work + p * c->C * c->O, c->O, 1,
                                    c->packed + (size_t)p * weights_of_place(c));
}

INLINE vf multiply_add(double a, vf x, vf y) /* a x + y */
{
    return v_fma(v_set((float)a), x, y);
}

/* Input transform: computes the values of six vectors at the six points. */
INLINE void input_transform_1d(const double P, const double Q, const vf d[IN], vf to[IN])
{
    const double PP = P * P, QQ = Q * Q;
    const vf p = multiply_add(-QQ, d[2], d[4]), p_odd = multiply_add(-QQ, d[1], d[3]);
    const vf q = multiply_add(-PP, d[2], d[4]), q_odd = multiply_add(-PP, d[1], d[3]);
    to[0] = multiply_add(PP * QQ, d[0], multiply_add(-(PP + QQ), d[2], d[4]));
    to[1] = multiply_add(P, p_odd, p);
    to[2] = multiply_add(-P, p_odd, p);
    to[3] = multiply_add(Q, q_odd, q);
    to[4] = multiply_add(-Q, q_odd, q);
    to[5] = multiply_add(PP * QQ, d[1], multiply_add(-(PP + QQ), d[3], d[5]));
}

/* Output transform: computes four outputs from six products. */
INLINE void output_transform_1d(const double P, const double Q, const vf m[IN], vf to[OUT])
{
    const vf p = m[1] + m[2], p_odd = m[1] - m[2], q = m[3] + m[4], q_odd = m[3] - m[4];
    to[0] = m[0] + p + q;
    to[1] = multiply_add(P, p_odd, q_odd * (float)Q);
    to[2] = multiply_add(P * P, p, q * (float)(Q * Q));
    to[3] = multiply_add(P * P * P, p_odd, multiply_add(Q * Q * Q, q_odd, m[5]));
}

/* Transforms the 6 x 6 inputs whose upper left corner is at (h, w), for the channels ch .. ch + VW - 1. The numbers of
 * place p of the transformed square are written to `to` + p ld + ch. */
INLINE void input_transform_2d(const Case *c, const double P, const double Q, int64_t h, int64_t w, int64_t ch,
                               float *to, int64_t ld)
{
    vf half[IN][IN], d[IN], t[IN];
    for (int j = 0; j < IN; j++) {
        for (int i = 0; i < IN; i++) {
            const int64_t y = h + i, x = w + j;
            d[i] = y >= 0 && y < c->H && x >= 0 && x < c->W ? v_load(c->x + (y * c->W + x) * c->C + ch) : v_zero();
        }
        input_transform_1d(P, Q, d, t);
        for (int i = 0; i < IN; i++)
            half[i][j] = t[i];
    }
    for (int i = 0; i < IN; i++) {
        input_transform_1d(P, Q, half[i], t);
        for (int j = 0; j < IN; j++)
            v_store(to + (i * IN + j) * ld + ch, t[j]);
    }
}

INLINE void output_transform_2d(const Case *c, const double P, const double Q, const float *from, int64_t ld, int64_t o,
                                int64_t h, int64_t w)
{
    vf half[OUT][IN], m[IN], t[OUT];
    for (int j = 0; j < IN; j++) {
        for (int i = 0; i < IN; i++)
            m[i] = v_load(from + (i * IN + j) * ld + o);
        output_transform_1d(P, Q, m, t);
        for (int i = 0; i < OUT; i++)
            half[i][j] = t[i];
    }
    for (int i = 0; i < OUT && h + i < c->H; i++) {
        output_transform_1d(P, Q, half[i], t);
        for (int j = 0; j < OUT && w + j < c->W; j++)
            v_store(c->y + ((h + i) * c->W + w + j) * c->O + o, t[j]);
    }
}

/* Computes the convolution in bands of `rows` rows of squares. P and Q are constants after inlining. */
INLINE void winograd(Case *c, const double P, const double Q, int64_t rows)
{
    const int64_t high = div_up(c->H, OUT), wide = div_up(c->W, OUT), in_ld = c->C + SLACK, out_ld = c->O + SLACK;
    for (int64_t r0 = 0; r0 < high; r0 += rows) {
        const int64_t squares = MIN(rows, high - r0) * wide;
        float *in = c->work, *out = in + PLACES * squares * in_ld;
        for (int64_t s = 0; s < squares; s++) {
            for (int64_t ch = 0; ch < c->C; ch += VW)
                input_transform_2d(c, P, Q, (r0 + s / wide) * OUT - 1, s % wide * OUT - 1, ch, in + s * in_ld,
                                   squares * in_ld);
        }
        for (int64_t p = 0; p < PLACES; p++)
            ladder_product(&c->run, squares, c->O, c->C, 1.0f, in + p * squares * in_ld, in_ld,
                           c->packed + (size_t)p * weights_of_place(c), out + p * squares * out_ld, out_ld, false);
        for (int64_t s = 0; s < squares; s++) {
            for (int64_t o = 0; o < c->O; o += VW)
                output_transform_2d(c, P, Q, out + s * out_ld, squares * out_ld, o, (r0 + s / wide) * OUT,
                                    s % wide * OUT);
        }
    }
}

#endif
