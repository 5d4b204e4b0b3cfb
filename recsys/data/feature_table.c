/* recsys/data/feature_table.c: features as a table of named rows, without a data set: an .npy with its row names, or a
 * folder of <id>.npy. */
#include "recsys/data/data.h"

#include <math.h>

/* Reads a file into row `row` of t->rows [rows, D]. The first file gives D, and the array is then allocated in `a`. */
static bool read_row(FeatureTable *t, const char *file, size_t row, size_t rows, Arena *a, Arena *scratch, Error *e)
{
    Npy n;
    if (!feature_row_open(&n, file, scratch, e))
        return false;
    const Array *x = &n.array;
    bool ok = true;
    if (!t->rows.data) {
        t->rows.shape[1] = x->count;
        ok = (t->rows.data = arena_alloc(a, rows, (size_t)x->count * sizeof(float), e)) != NULL;
    }
    if (ok && x->count != t->rows.shape[1])
        ok = fail(e, SP_SHAPE, "%s: has %lld columns, the earlier files have %lld", file, (long long)x->count,
                  (long long)t->rows.shape[1]);
    if (ok) /* the cast is safe: this function allocated the array */
        array_f32(x, 0, x->count, (float *)(uintptr_t)t->rows.data + (int64_t)row * x->count);
    npy_close(&n);
    return ok;
}

static bool open_folder(FeatureTable *t, const char *path, Arena *a, Arena *scratch, Error *e)
{
    FolderEntry *entries;
    size_t all, n = 0;
    if (!folder_list(&entries, &all, a, path, e) || !(t->names = text_index_new(a, e)))
        return false;
    for (size_t i = 0; i < all; i++)
        if (!entries[i].is_folder && entries[i].name[0] != '.' && text_ends(text_of(entries[i].name), ".npy"))
            entries[n++] = entries[i];
    if (n == 0)
        return fail(e, SP_FORMAT, "%s: holds no <id>.npy", path);
    t->rows = (Array){.type = F32, .dims = 2, .shape = {(int64_t)n}, .file = path};
    for (size_t i = 0; i < n; i++) {
        ArenaMark mark = arena_mark(scratch);
        Text name = text_of(entries[i].name);
        const char *file = path_join(scratch, path, entries[i].name, e);
        Text id = {name.p, name.n - 4};
        if (!file || !id_check(id, file, 0, e) || text_index_add(t->names, id, e) < 0 ||
            !read_row(t, file, i, n, a, scratch, e))
            return false;
        arena_rewind(scratch, mark);
    }
    t->rows.count = (int64_t)n * t->rows.shape[1];
    return true;
}

static bool open_matrix(FeatureTable *t, const char *path, Arena *a, Error *e)
{
    const char *ids;
    if (!npy_open(&t->file, path, a, e))
        return false;
    t->rows = t->file.array;
    if (t->rows.dims != 2)
        return fail(e, SP_SHAPE, "%s: has %d dimensions; features are [rows, D]", path, t->rows.dims);
    if (t->rows.shape[0] < 1 || t->rows.shape[1] < 1)
        return fail(e, SP_SHAPE, "%s: is empty: [%lld, %lld]", path, (long long)t->rows.shape[0],
                    (long long)t->rows.shape[1]);
    return feature_names(&t->names, &ids, path, t->rows.shape[0], a, e);
}

bool feature_table_open(FeatureTable *t, const char *path, Arena *a, Error *e)
{
    *t = (FeatureTable){.path = path};
    bool ok;
    if (folder_exists(path)) {
        Arena *scratch = arena_new(arena_heap(a), 0);
        ok = scratch ? open_folder(t, path, a, scratch, e) : fail_memory(e, 4096, "reading features");
        arena_free(scratch);
    } else {
        ok = open_matrix(t, path, a, e);
    }
    if (!ok)
        feature_table_close(t);
    return ok;
}

void feature_table_close(FeatureTable *t)
{
    npy_close(&t->file);
    t->file = (Npy){0};
}

int64_t feature_table_find(const FeatureTable *t, Text id)
{
    int64_t row;
    if (t->names)
        return text_index_find(t->names, id);
    return all_whole(&id, 1, &row) && row < t->rows.shape[0] ? row : -1;
}

/* ---- similarity ------------------------------------------------------------------------------ */

bool feature_table_nearest(const FeatureTable *t, const Device *d, const float *query, int64_t except, int64_t k,
                           int32_t *ids, float *similarity, int64_t *zeros, Error *e)
{
    int64_t start[] = {0, 1}; /* one query, with one row that is left out */
    int32_t row = (int32_t)except;
    NearestRows x = {.rows = &t->rows,
                     .queries = query,
                     .n = 1,
                     .k = k,
                     .start = except >= 0 ? start : NULL,
                     .left_out = &row,
                     .ids = ids,
                     .similarity = similarity};
    double square = 0;
    for (int64_t c = 0; c < t->rows.shape[1]; c++)
        square += (double)query[c] * (double)query[c];
    *zeros = 0;
    if (!isfinite(square) || square == 0)
        return fail(e, SP_FORMAT, "the query's features %s, so no similarity can be computed; use another query",
                    square == 0 ? "are all zero" : "hold a number that is not finite");
    bool ok = rows_nearest(&x, d, e);
    *zeros = x.zeros;
    if (x.bad && t->names) {
        Text name = text_index_at(t->names, x.bad - 1);
        error_clear(e);
        fail(e, SP_FORMAT, "row %lld, %.*s contains a number that is not finite", (long long)x.bad - 1,
             (int)MIN(name.n, (size_t)60), name.p);
    }
    if (!ok)
        error_prefix(e, "%s: ", t->path);
    return ok;
}
