/* Convolution: ResNet's 3 x 3 layers, reference, and Sapor's kernel as the last step. */
#include <math.h>

#include "bench/ladder/conv/case.h"

static const int64_t SHAPES[][3] = {{56, 64, 64}, {28, 128, 128}, {14, 256, 256}, {7, 512, 512}},
                     TINY[3] = {13, 32, 48};

static void reference(const Case *c)
{
    for (int64_t at = 0; at < c->H * c->W; at++) {
        for (int64_t tap = 0; tap < 9; tap++) {
            const int64_t y = at / c->W + tap / 3 - 1, x = at % c->W + tap % 3 - 1;
            for (int64_t ch = 0; ch < c->C && y >= 0 && y < c->H && x >= 0 && x < c->W; ch++) {
                const double in = (double)c->x[(y * c->W + x) * c->C + ch];
                for (int64_t o = 0; o < c->O; o++) { /* `packed` contains the transposed weights here */
                    c->expected[at * c->O + o] += in * (double)c->packed[(tap * c->C + ch) * c->O + o];
                }
            }
        }
    }
}

static Case *make(int shape, Work *work)
{
    const int64_t *s = shape < 0 ? TINY : SHAPES[shape], H = s[0], C = s[1], O = s[2];
    const Kernels *k = ladder_kernels();
    Case *c = ladder_room(1, sizeof *c);
    *c = (Case){.H = H,
                .W = H,
                .C = C,
                .O = O,
                .x = ladder_numbers((size_t)(H * H * C)),
                .weights = ladder_numbers((size_t)(O * C * 9)),
                .y = ladder_room((size_t)(H * H * O), sizeof(float)),
                .packed = ladder_room((size_t)(64 * C * (O + 64)), sizeof(float)),
                .work = ladder_room((size_t)MAX((H + 4) * (H + 4) * (6 * (C + O) + 64), 36 * C * O), sizeof(float)),
                .expected = ladder_room((size_t)(H * H * O), sizeof(double))};
    for (int64_t i = 0; i < O * C * 9; i++)
        c->packed[(i % 9 * C + i / 9 % C) * O + i / 9 / C] = c->weights[i];
    reference(c);
    const Gemm largest = {
        .M = H * H, .N = O, .K = 9 * C, .A = c->x, .a_row = 512, .a_col = 1, .packed = c->packed, .alpha = 1};
    c->run.work_bytes = k->gemm_work(&(Run){0}, &largest);
    c->run.work = ladder_room(1, c->run.work_bytes);
    c->conv = (Conv){.B = 1, .H = H, .W = H, .C = C, .O = O, .kh = 3, .kw = 3, .stride = 1, .groups = 1};
    c->conv.top = c->conv.left = c->conv.bottom = c->conv.right = 1;
    c->conv.x = c->x;
    c->conv.packed = c->packed;
    c->conv.y = c->y;
    c->conv_run.work_bytes = k->conv_work(&(Run){0}, &c->conv);
    c->conv.winograd = 6;
    c->conv_run.work_bytes = MAX(c->conv_run.work_bytes, k->conv_work(&(Run){0}, &c->conv));
    c->conv_run.work = ladder_room(1, c->conv_run.work_bytes);
    *work = (Work){.flops = 18.0 * (double)(H * H) * (double)(C * O), .limit = 1e-4};
    snprintf(work->name, sizeof work->name, "%lld x %lld pixels, %lld to %lld channels", (long long)H, (long long)H,
             (long long)C, (long long)O);
    return c;
}

static void reset(Case *c)
{
    for (int64_t i = 0; i < c->H * c->W * c->O; i++)
        c->y[i] = NAN;
}

static double error_of(const Case *c)
{
    return ladder_difference(c->y, c->expected, (size_t)(c->H * c->W * c->O));
}

const Ladder ladder = {COUNT(SHAPES), make, reset, error_of};

static void pack(Case *c)
{
    c->conv.winograd = 0;
    ladder_kernels()->conv_pack(&c->conv_run, &c->conv, c->weights, c->packed);
}

static void sapor(Case *c)
{
    c->conv.winograd = 0;
    ladder_kernels()->conv(&c->conv_run, &c->conv);
}
STEP("Sapor", pack, sapor)
