/* recsys/models/shared/sparse.h: sparse matrices in host memory, for models without gradients. */
#ifndef SAPOR_SPARSE_H
#define SAPOR_SPARSE_H

#include "recsys/models/models.h"

typedef struct SparseRows { /* CSR; columns of a row are in ascending order */
    int64_t rows, cols;
    const int64_t *start; /* [rows+1] */
    const int32_t *col;   /* [start[rows]] */
    const float *value;   /* [start[rows]]; NULL: each is 1 */
} SparseRows;
/* Returns the train pairs as R [U, I]. rating: of each pair, or NULL. */
SparseRows train_rows(const Model *m, const float *rating);
/* Makes the transposed matrix in the arena. */
bool sparse_transpose(SparseRows *t, const SparseRows *x, Arena *a, Error *e);
/* Computes rows ids [n] (NULL: 0 to n - 1) of A B as dense scores [n, columns of B]. Each number is summed in double
 * precision, in the order of the entries of A and of B. */
bool sparse_products(const Device *d, const SparseRows *a, const SparseRows *b, const int32_t *ids, int64_t n,
                     float *scores, Error *e);

#endif
