/* The K best scores so far as a binary heap in the output, with the worst at the root. Items arrive in ascending order
 * of id, so the later of two equal scores is the worse. */
#ifndef SAPOR_LADDER_HEAP_H
#define SAPOR_LADDER_HEAP_H

#include "bench/ladder/topk/case.h"

typedef struct Best {
    float *score;
    int32_t *id;
    int64_t n;
} Best;

static inline bool worse(const Best *b, int64_t i, int64_t j)
{
    return b->score[i] != b->score[j] ? b->score[i] < b->score[j] : b->id[i] > b->id[j];
}

static inline void swap(Best *b, int64_t i, int64_t j)
{
    const float score = b->score[i];
    const int32_t id = b->id[i];
    b->score[i] = b->score[j];
    b->id[i] = b->id[j];
    b->score[j] = score;
    b->id[j] = id;
}

static inline void sink(Best *b, int64_t i)
{
    for (int64_t child = 2 * i + 1; child < b->n; i = child, child = 2 * i + 1) {
        child += child + 1 < b->n && worse(b, child + 1, child);
        if (!worse(b, child, i))
            return;
        swap(b, i, child);
    }
}

/* Enters a score if it is above the worst one, or if there are fewer than K. */
static inline void enter(Best *b, int64_t K, float score, int32_t id)
{
    if (b->n < K) {
        b->score[b->n] = score;
        b->id[b->n] = id;
        for (int64_t i = b->n++; i > 0 && worse(b, i, (i - 1) / 2); i = (i - 1) / 2)
            swap(b, i, (i - 1) / 2);
    } else if (score > b->score[0]) {
        b->score[0] = score;
        b->id[0] = id;
        sink(b, 0);
    }
}

/* Turns the heap into a list, best first. */
static inline void in_order(Best *b)
{
    const int64_t n = b->n;
    while (b->n > 1) {
        swap(b, 0, b->n - 1);
        b->n--;
        sink(b, 0);
    }
    b->n = n;
}

#endif
