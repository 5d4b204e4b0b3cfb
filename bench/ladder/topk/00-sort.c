/* As written: all scores of a user are sorted, and the first K are kept. */
#include <stdlib.h>

#include "bench/ladder/topk/plain.h"

typedef struct Scored {
    float score;
    int32_t id;
} Scored;

static int best_first(const void *a, const void *b)
{
    const Scored *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : (x->id > y->id) - (x->id < y->id);
}

static void topk(Case *c)
{
    float *s = c->work;
    Scored *all = (Scored *)(c->work + c->I);
    for (int64_t u = 0; u < c->U; u++) {
        plain_scores(c, u, s);
        for (int64_t i = 0; i < c->I; i++)
            all[i] = (Scored){s[i], (int32_t)i};
        qsort(all, (size_t)c->I, sizeof *all, best_first);
        for (int64_t k = 0; k < c->K; k++) {
            c->ids[u * c->K + k] = all[k].id;
            c->scores[u * c->K + k] = all[k].score;
        }
    }
}
STEP("as written: all scores, sorted", NULL, topk)
