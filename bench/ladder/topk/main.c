/* Evaluation: all items are ranked for all users, at the size of movielens-1m. Shapes, reference, and Sapor's kernel as
 * the last step. */
#include <math.h>

#include "bench/ladder/topk/case.h"

typedef struct Size {
    int64_t U, I, D, K;
} Size;
static const Size SIZES[] = {{6040, 3260, 64, 50}}, TINY = {61, 700, 32, 20};

static double dot(const Case *c, int64_t u, int64_t i)
{
    double sum = 0;
    for (int64_t d = 0; d < c->D; d++)
        sum += (double)c->users[u * c->D + d] * (double)c->items[i * c->D + d];
    return sum;
}

static bool is_excluded(const Case *c, int64_t u, int64_t i)
{
    for (int64_t e = c->exclude.start[u]; e < c->exclude.start[u + 1]; e++) {
        if (c->exclude.item[e] == i)
            return true;
    }
    return false;
}

static void reference(const Case *c, int64_t u)
{
    double *best = c->expected + u * c->K;
    int64_t n = 0;
    for (int64_t i = 0; i < c->I; i++) {
        const double s = dot(c, u, i);
        if ((n == c->K && s <= best[n - 1]) || is_excluded(c, u, i))
            continue;
        n = MIN(n + 1, c->K);
        int64_t at = n - 1;
        for (; at > 0 && best[at - 1] < s; at--)
            best[at] = best[at - 1];
        best[at] = s;
    }
}

static Case *make(int shape, Work *work)
{
    const Size *z = shape < 0 ? &TINY : &SIZES[shape];
    const int64_t U = z->U, I = z->I, D = z->D, each = I / 40; /* items that a user already has: 2.5 % */
    const Kernels *k = ladder_kernels();
    int64_t *start = ladder_room((size_t)(U + 1), sizeof *start);
    int32_t *item = ladder_room((size_t)(U * each), sizeof *item);
    for (int64_t u = 0; u < U; u++) {
        for (int64_t e = 0; e < each; e++)
            item[u * each + e] = (int32_t)(e * 40 + (u * 7 + e * 11) % 40);
        start[u + 1] = (u + 1) * each;
    }
    Case *c = ladder_room(1, sizeof *c);
    *c = (Case){.U = U,
                .I = I,
                .D = D,
                .K = z->K,
                .users = ladder_numbers((size_t)(U * D)),
                .items = ladder_numbers((size_t)(I * D)),
                .exclude = {.start = start, .item = item},
                .ids = ladder_room((size_t)(U * z->K), sizeof(int32_t)),
                .scores = ladder_room((size_t)(U * z->K), sizeof(float)),
                .work = ladder_room((size_t)(U * (I + 16)) + 1024, sizeof(float)),
                .packed = ladder_room(1, k->gemm_pack_bytes(PACK_F32, D, I)),
                .expected = ladder_room((size_t)(U * z->K), sizeof(double))};
    for (int64_t u = 0; u < U; u++)
        reference(c, u);
    const Gemm largest = {
        .M = U, .N = I, .K = D, .A = c->users, .a_row = D, .a_col = 1, .packed = c->packed, .alpha = 1};
    c->run.work_bytes = k->gemm_work(&(Run){0}, &largest);
    c->run.work = ladder_room(1, c->run.work_bytes);
    c->topk_run.work_bytes = k->topk_work(&(Run){0}, U, I, D, c->K);
    c->topk_run.work = ladder_room(1, c->topk_run.work_bytes);
    *work = (Work){.flops = 2.0 * (double)(U * I) * (double)D, .limit = 1e-5};
    snprintf(work->name, sizeof work->name, "%lld users x %lld items, D = %lld, K = %lld", (long long)U, (long long)I,
             (long long)D, (long long)c->K);
    return c;
}

static void reset(Case *c)
{
    for (int64_t i = 0; i < c->U * c->K; i++) {
        c->scores[i] = NAN;
        c->ids[i] = -1;
    }
}

/* Compares the scores with the reference, and with the products of the returned items. An excluded item, or an item
 * returned twice, is an error. */
static double error_of(const Case *c)
{
    double largest_error = ladder_difference(c->scores, c->expected, (size_t)(c->U * c->K));
    for (int64_t at = 0; at < c->U * c->K && largest_error < INFINITY; at++) {
        const int64_t u = at / c->K, id = c->ids[at];
        if (id < 0 || id >= c->I || is_excluded(c, u, id))
            return INFINITY;
        for (int64_t before = u * c->K; before < at; before++) {
            if (c->ids[before] == id)
                return INFINITY;
        }
        largest_error = fmax(largest_error, fabs(dot(c, u, id) - c->expected[at]) / c->expected[u * c->K]);
    }
    return largest_error;
}

const Ladder ladder = {COUNT(SIZES), make, reset, error_of};

static void sapor(Case *c)
{
    ladder_kernels()->topk(&c->topk_run, c->U, c->I, c->D, c->K, F32, c->users, NULL, c->items, NULL, &c->exclude,
                           c->ids, c->scores);
}
STEP("Sapor", NULL, sapor)
