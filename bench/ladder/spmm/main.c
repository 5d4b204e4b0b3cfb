/* Sparse times dense: a graph of the size of movielens-1m, reference, and Sapor's kernel as the last step. */
#include <math.h>
#include <stdlib.h>

#include "bench/ladder/spmm/case.h"

typedef struct Size {
    int64_t users, items, edges;
} Size;
static const Size SIZES[] = {{6040, 3260, 801218}}, TINY = {70, 30, 500};

/* Returns the item of edge k. Edge k belongs to user k users / edges. Item numbers are squares of uniform draws,
 * renumbered by a permutation, so that some items are popular. Duplicate edges are kept: the product accepts them. */
static int32_t item_of(const Size *s, int64_t k)
{
    const float v = draw_uniform((Draw){2, DRAW_TEST, 0}, (uint64_t)k);
    return (int32_t)(s->users + (int64_t)(v * v * (float)s->items) * 7 % s->items);
}

static Case *make(int shape, Work *work)
{
    const Size *s = shape < 0 ? &TINY : &SIZES[shape];
    const int64_t n = s->users + s->items, entries = 2 * s->edges;
    Case *c = ladder_room(1, sizeof *c);
    *c = (Case){.nodes = n,
                .start = ladder_room((size_t)(n + 2), sizeof(int64_t)),
                .col = ladder_room((size_t)entries, sizeof(int32_t)),
                .val = ladder_room((size_t)entries, sizeof(float)),
                .scale = ladder_room((size_t)n, sizeof(float)),
                .x = ladder_numbers((size_t)(n * D)),
                .y = ladder_room((size_t)(n * D), sizeof(float)),
                .work = ladder_room((size_t)(n * (D + 10) + entries + 256), sizeof(float)),
                .expected = ladder_room((size_t)(n * D), sizeof(double))};
    /* `next` has three meanings in turn. After the first loop, next[r + 1] is the number of entries of row r. After the
     * second loop, next[r] is the place of the next entry of row r. After the third loop, next[r] is the start of row
     * r + 1, so c->start[r] is the start of row r. */
    int64_t *next = c->start + 1;
    for (int64_t k = 0; k < s->edges; k++) {
        next[k * s->users / s->edges + 1]++;
        next[item_of(s, k) + 1]++;
    }
    for (int64_t i = 0; i < n; i++) {
        c->scale[i] = 1.0f / sqrtf((float)MAX(next[i + 1], 1));
        next[i + 1] += next[i];
    }
    for (int64_t k = 0; k < s->edges; k++) {
        const int64_t user = k * s->users / s->edges, item = item_of(s, k);
        c->col[next[user]++] = (int32_t)item;
        c->col[next[item]++] = (int32_t)user;
    }
    for (int64_t r = 0; r < n; r++) {
        for (int64_t e = c->start[r]; e < c->start[r + 1]; e++) {
            const int32_t col = c->col[e];
            c->val[e] = c->scale[r] * c->scale[col];
            for (int d = 0; d < D; d++)
                c->expected[r * D + d] +=
                    (double)c->scale[r] * (double)c->scale[col] * (double)c->x[(int64_t)col * D + d];
        }
    }
    c->sparse = (Sparse){.rows = n,
                         .cols = n,
                         .entries = entries,
                         .start = c->start,
                         .col = c->col,
                         .row_scale = c->scale,
                         .col_scale = c->scale};
    *work = (Work){.flops = 2.0 * (double)entries * D,
                   /* per entry: col and a row of x; then y */
                   .bytes = (double)entries * (4 + 4 * D) + 4.0 * (double)n * D,
                   .working_set = 4.0 * (double)n * D,
                   .limit = 1e-5};
    snprintf(work->name, sizeof work->name, "%lld nodes, %lld entries, D = %d", (long long)n, (long long)entries, D);
    return c;
}

static void reset(Case *c)
{
    c->place = NULL;
    for (int64_t i = 0; i < c->nodes * D; i++)
        c->y[i] = NAN;
}

static double error_of(const Case *c)
{
    double largest_error = 0;
    for (int64_t r = 0; r < c->nodes; r++) {
        const int64_t row = c->place ? c->place[r] : r;
        const double off = ladder_difference(c->y + row * D, c->expected + r * D, D);
        largest_error = off <= largest_error ? largest_error : off; /* keeps a NaN */
    }
    return largest_error;
}

const Ladder ladder = {COUNT(SIZES), make, reset, error_of};

static void sapor(Case *c)
{
    const Run run = {0};
    ladder_kernels()->spmm(&run, &c->sparse, D, F32, c->x, D, 1.0f, 0.0f, c->y, D);
}
STEP("Sapor", NULL, sapor)
