/* recsys/data/neighbour_file.c: reads the nearest items by features that another program found: an .npy [rows, k] of
 * row numbers; its rows are those of the features (docs/formats.md). */
// flags: -Os
#include "recsys/data/data.h"

static bool check_array(const Array *x, const DataSet *d, const Feature *f, const char *path, bool named, Error *e)
{
    int64_t expected = f->path ? f->rows : d->I;
    if (x->dims != 2 || x->shape[1] < 1)
        return fail(e, SP_SHAPE, "%s: has %d dimensions and %lld numbers; neighbours are [rows, k]", path, x->dims,
                    (long long)x->count);
    if (!array_is_integer(x))
        return fail(e, SP_FORMAT, "%s: holds %s; numbers of rows are expected, such as int64", path,
                    dtype_name(x->type));
    if (x->shape[0] > INT32_MAX)
        return fail(e, SP_UNSUPPORTED, "%s: has more than %d rows", path, INT32_MAX);
    return named || !expected || x->shape[0] == expected ||
           fail(e, SP_SHAPE, "%s: has %lld rows, the features %s have %lld; row r must have the neighbours of row r",
                path, (long long)x->shape[0], f->path ? f->path : f->name, (long long)expected);
}

/* Computes item [rows]: the item of each row; -1: the row belongs to no item of the data set. Fails if an item has no
 * row, or if two items have the same one. named: the file has its own .ids.txt. */
static bool find_items(int32_t *item, const Array *x, const DataSet *d, const Feature *f, const char *path, bool named,
                       Arena *a, Error *e)
{
    const char *hint, *by = named || !f->path || !f->rows ? path : f->path;
    int64_t rows = x->shape[0], *row = NEW(a, int64_t, d->I, e);
    if (!row || !feature_find_rows(row, d->items, d->I, by, rows, &hint, a, e))
        return false;
    memset(item, 0xff, (size_t)rows * sizeof *item); /* sets all to -1 */
    for (int64_t i = 0; i < d->I; i++) {
        Text id = text_index_at(d->items, i);
        int shown = (int)MIN(id.n, (size_t)60);
        if (row[i] < 0)
            return fail(e, SP_SHAPE, "%s: item %.*s has no row%s; write one for each item, or leave out knn_file", path,
                        shown, id.p, hint);
        if (item[row[i]] >= 0)
            return fail(e, SP_FORMAT, "%s: row %lld is of item %.*s and of another one; name each row by its full id",
                        by, (long long)row[i], shown, id.p);
        item[row[i]] = (int32_t)i;
    }
    return true;
}

typedef struct Reader {
    const char *path;
    const Array *array;  /* [rows, W] the file: each row has up to W neighbours, then -1 */
    const int32_t *item; /* [rows] of find_items */
    int32_t *seen;       /* [rows] 1 + the last row that lists this row; 0: none yet */
    int64_t *line;       /* [W] the row that is being read */
    int64_t k;           /* length of the lists that are made */
} Reader;

/* Reads and checks row r of the file. near [k]: the item of row r, then its neighbours that are items of the data set,
 * in the order of the file, then -1. *n: the number of items. */
static bool read_row(const Reader *x, int64_t r, int32_t *near, int64_t *n, Error *e)
{
    int64_t rows = x->array->shape[0], W = x->array->shape[1], others = 0, count = 0, c = 0;
    array_i64(x->array, r * W, W, x->line);
    near[count++] = x->item[r];
    for (; c < W && x->line[c] != -1; c++) {
        int64_t other = x->line[c];
        if (other < 0 || other >= rows)
            return fail(e, SP_FORMAT,
                        "%s: row %lld has %lld in column %lld; a row from 0 to %lld is expected, or -1 behind the last",
                        x->path, (long long)r, (long long)other, (long long)c, (long long)rows - 1);
        if (x->seen[other] == (int32_t)r + 1)
            return fail(e, SP_FORMAT, "%s: row %lld has row %lld twice; list each neighbour once", x->path,
                        (long long)r, (long long)other);
        x->seen[other] = (int32_t)r + 1;
        others += other != r;
        if (other != r && x->item[other] >= 0 && count < x->k)
            near[count++] = x->item[other];
    }
    if (c == W && others < x->k - 1)
        return fail(e, SP_SHAPE, "%s: row %lld has %lld neighbours, %lld are needed; add some, or lower knn_k", x->path,
                    (long long)r, (long long)others, (long long)x->k - 1);
    for (; c < W; c++)
        if (x->line[c] != -1)
            return fail(e, SP_FORMAT, "%s: row %lld has %lld in column %lld, behind a -1; put -1 behind the last",
                        x->path, (long long)r, (long long)x->line[c], (long long)c);
    *n = count;
    for (; count < x->k; count++)
        near[count] = -1;
    return true;
}

bool neighbour_file_read(int32_t *near, const DataSet *d, const Feature *f, const char *path, int64_t k, int64_t *few,
                         Arena *a, Error *e)
{
    Npy file;
    const char *ids = npy_ids_path(path, a, e);
    if (!ids || !npy_read(&file, path, a, e))
        return false;
    const Array *x = &file.array;
    bool named = file_exists(ids);
    bool ok = check_array(x, d, f, path, named, e);
    int64_t rows = ok ? x->shape[0] : 0, W = ok ? x->shape[1] : 0, n = 0;
    int32_t *item = ok ? NEW(a, int32_t, rows, e) : NULL, *unused = item ? NEW(a, int32_t, k, e) : NULL;
    Reader r = {path, x, item, NEW(a, int32_t, rows, e), NEW(a, int64_t, W, e), k};
    ok = unused && r.seen && r.line && find_items(item, x, d, f, path, named, a, e);
    *few = 0;
    for (int64_t i = 0; ok && i < rows; i++) { /* rows without an item are checked too */
        ok = read_row(&r, i, item[i] < 0 ? unused : near + item[i] * k, &n, e);
        *few += ok && item[i] >= 0 && n < k;
    }
    npy_close(&file);
    return ok;
}
