/* kernels/cpu/knn_lists.c: nearest neighbours among the rows of some lists: the search in an inverted file (nn/knn.c).
 *
 * How the loop is arranged: a task has some queries. First it converts "the lists of each query" to "the queries of
 * each list". Then a list is packed once for all queries of the task that search it, and their product with the list is
 * one gemm. The scores of QUERY_ROWS queries against LIST_ROWS rows stay in the L2 cache, where they are read once
 * more. Scores that are better than the last neighbour of a query are inserted into the query's row of the output.
 *
 * A query belongs to one task. The order in which its lists are searched does not change the result, because neighbours
 * are compared by value and then by number. So the bits do not depend on how the queries are cut into tasks. */
// flags: -O3
// flags baseline: -Os
#ifndef SAPOR_MINIMAL
#include "kernels/cpu/loops.h"
#include "kernels/cpu/gemm/tile.h"

static const float LOWEST = -__builtin_inff();
/* SHARE, MAX_ENTRIES: the most queries per task, and the most pairs of a query and a list per task. LIST_ROWS,
 * QUERY_ROWS: the most rows of a list and the most queries per product. */
enum { SHARE = 2048, MAX_ENTRIES = 1 << 23, LIST_ROWS = 320, QUERY_ROWS = 8 * TILE_ROWS };

/* The arguments of knn_lists (kernels.h), for its tasks. */
typedef struct Search {
    int64_t Q, L, D, P, k;
    const float *q, *x;
    const int32_t *probe;
    const int64_t *start;
    const int32_t *number;
    int32_t *ids;
    float *values;
    int64_t share; /* queries per task */
    char *scratch;
} Search;

/* The bytes of the parts of a worker's scratch: the start of each list's queries (`begin`), the queries sorted by list,
 * the rows of QUERY_ROWS queries, LIST_ROWS packed rows of a list, their scores, and the scratch of gemm; `all` is
 * their sum. */
typedef struct Space {
    size_t begin, query, rows, packed, scores, product, all;
} Space;

static Gemm product_of(const Search *s, int64_t M, int64_t N, const float *A, const void *packed, float *C)
{
    return (Gemm){.M = M,
                  .N = N,
                  .K = s->D,
                  .A = A,
                  .a_row = s->D,
                  .a_col = 1,
                  .packed = packed,
                  .C = C,
                  .ldc = N,
                  .alpha = 1.0f};
}

static Space space_for(const Search *s)
{
    const char any = 0; /* stands for a packed list: only whether it is NULL is checked */
    const Gemm g = product_of(s, QUERY_ROWS, LIST_ROWS, NULL, &any, NULL);
    Space x = {
        .begin = size_round_up((size_t)(s->L + 2) * sizeof(int64_t), 64),
        .query = size_round_up((size_t)(s->share * s->P) * sizeof(int32_t), 64),
        .rows = size_round_up((size_t)(QUERY_ROWS * s->D) * sizeof(float), 64),
        .packed = size_round_up(FN(gemm_pack_bytes)(PACK_F32, s->D, LIST_ROWS), 64),
        .scores = size_round_up((size_t)QUERY_ROWS * LIST_ROWS * sizeof(float), 64),
        .product = size_round_up(FN(gemm_work)(&(Run){0}, &g), 64),
    };
    x.all = x.begin + x.query + x.rows + x.packed + x.scores + x.product;
    return x;
}

/* Inserts a row into the k best rows so far, if it is better than the last of them. They are sorted by value, largest
 * first, and rows of equal value in ascending order of their numbers. */
static void put(int64_t k, float *values, int32_t *ids, float value, int32_t number)
{
    int64_t at = k - 1;
    if (!(value > values[at]) && !(value == values[at] && number < ids[at]))
        return;
    for (; at > 0 && (value > values[at - 1] || (value == values[at - 1] && number < ids[at - 1])); at--) {
        values[at] = values[at - 1];
        ids[at] = ids[at - 1];
    }
    values[at] = value;
    ids[at] = number;
}

/* Calls `put` for those of the scores x [N] that are not below the last value; number[j] is the number of the row with
 * the score x[j]. */
static void put_all(int64_t k, float *values, int32_t *ids, int64_t N, const float *x, const int32_t *number)
{
    FOR_VECTORS(0, N, {
        uint32_t above = v_mask((load_part(x + i, n) >= v_set(values[k - 1])) & (v_lanes() < n));
        for (; above; above &= above - 1) {
            const int64_t j = i + __builtin_ctz(above);
            put(k, values, ids, x[j], number[j]);
        }
    });
}

/* Groups the queries first .. first+n-1 by list. The queries of list l are query[begin[l]] .. query[begin[l + 1] - 1].
 * `begin` has L + 2 places. Before `query` is filled, begin[l + 1] is the start of list l. The filling advances it to
 * the end of list l. */
static void queries_by_list(const Search *s, int64_t first, int64_t n, int64_t *begin, int32_t *query)
{
    memset(begin, 0, (size_t)(s->L + 2) * sizeof *begin);
    const int32_t *probe = s->probe + first * s->P;
    for (int64_t i = 0; i < n * s->P; i++)
        if (probe[i] >= 0)
            begin[probe[i] + 2]++;
    for (int64_t l = 2; l < s->L + 2; l++)
        begin[l] += begin[l - 1];
    for (int64_t i = 0; i < n * s->P; i++)
        if (probe[i] >= 0)
            query[begin[probe[i] + 1]++] = (int32_t)(first + i / s->P);
}

static void search_task(void *arg, size_t task, int worker)
{
    const Search *s = arg;
    const Space space = space_for(s);
    char *at = s->scratch + space.all * (size_t)worker;
    int64_t *begin = (int64_t *)(void *)at;
    int32_t *query = (int32_t *)(void *)(at += space.begin);
    float *rows = (float *)(void *)(at += space.query);
    float *packed = (float *)(void *)(at += space.rows);
    float *scores = (float *)(void *)(at += space.packed);
    const Run inner = {.work = at + space.scores, .work_bytes = space.product};
    const int64_t first = (int64_t)task * s->share, n = MIN(s->share, s->Q - first), D = s->D, k = s->k;
    queries_by_list(s, first, n, begin, query);
    for (int64_t i = first * k; i < (first + n) * k; i++) {
        s->values[i] = LOWEST;
        s->ids[i] = -1;
    }
    for (int64_t l = 0; l < s->L; l++) {
        /* the end of the list, or its start if no query is compared with it */
        const int64_t end = begin[l] == begin[l + 1] ? s->start[l] : s->start[l + 1];
        for (int64_t r = s->start[l]; r < end; r += LIST_ROWS) {
            const int64_t N = MIN(LIST_ROWS, end - r);
            FN(gemm_pack)(&inner, PACK_F32, D, N, s->x + r * D, 1, D, packed);
            for (int64_t b = begin[l]; b < begin[l + 1]; b += QUERY_ROWS) {
                const int64_t M = MIN(QUERY_ROWS, begin[l + 1] - b);
                for (int64_t m = 0; m < M; m++)
                    memcpy(rows + m * D, s->q + query[b + m] * D, (size_t)D * sizeof *rows);
                const Gemm g = product_of(s, M, N, rows, packed, scores);
                FN(gemm)(&inner, &g);
                for (int64_t m = 0; m < M; m++)
                    put_all(k, s->values + query[b + m] * k, s->ids + query[b + m] * k, N, scores + m * N,
                            s->number + r);
            }
        }
    }
}

/* Returns the number of queries per task: about two tasks per thread, within SHARE and MAX_ENTRIES. */
static int64_t share_of(const Run *run, int64_t Q, int64_t P)
{
    const int64_t most = MIN((int64_t)SHARE, MAX_ENTRIES / MAX(P, (int64_t)1));
    return MAX(MIN(most, div_up(Q, (int64_t)2 * threads_of(run))), (int64_t)1);
}

size_t FN(knn_lists_work)(const Run *run, int64_t Q, int64_t L, int64_t D, int64_t P)
{
    const Search s = {.L = L, .D = D, .P = P, .share = share_of(run, Q, P)};
    return space_for(&s).all * (size_t)threads_of(run);
}

void FN(knn_lists)(const Run *run, int64_t Q, int64_t L, int64_t D, int64_t P, int64_t k, DType type, const void *q,
                   const int32_t *probe, const int64_t *start, const void *x, const int32_t *number, int32_t *ids,
                   float *values)
{
    (void)type; /* F32: the only type that `supports` reports */
    Search s = {.Q = Q,
                .L = L,
                .D = D,
                .P = P,
                .k = k,
                .q = q,
                .x = x,
                .probe = probe,
                .start = start,
                .number = number,
                .ids = ids,
                .values = values,
                .share = share_of(run, Q, P),
                .scratch = run->work};
    if (k > 0 && Q > 0)
        pool_run(run->context, (size_t)div_up(Q, s.share), search_task, &s);
}
#endif
