/* recsys/data/features.c: loads the features of one modality, in the order of the data set's items. */
#include "recsys/data/data.h"

#include <math.h>

const char *const gap_names[GAPS_COUNT] = {"error", "drop", "zero", "mean"};

/* The items without features, for a one-line error. */
typedef struct Missing {
    int64_t count;    /* number of all of them */
    int64_t first[3]; /* the first three, or all if there are fewer */
} Missing;

static void note_missing(Missing *m, int64_t item)
{
    if (m->count < 3)
        m->first[m->count] = item;
    m->count++;
}

/* Fails if items have no features. `hint`: additional information about the source for the message, or "". */
static bool report_missing(const Missing *m, const DataSet *d, const char *path, const char *hint, Error *e)
{
    if (m->count == 0)
        return true;
    if (m->count == d->I && !*hint && folder_exists(path))
        return fail(e, SP_SHAPE,
                    "%s: has no <item id>.npy for any of the %lld items: is this the folder of features? `sapor "
                    "encode` and `sapor "
                    "extract` make them",
                    path, (long long)m->count);
    char names[256] = "";
    for (int64_t i = 0; i < MIN(m->count, (int64_t)3); i++) {
        Text id = text_index_at(d->items, m->first[i]);
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%.*s", i ? ", " : "", (int)MIN(id.n, (size_t)60), id.p);
    }
    return fail(e, SP_SHAPE,
                "%s: %lld of %lld items have no features (%s%s): extract the missing features, or choose with "
                "--missing-features: drop, zero or mean%s",
                path, (long long)m->count, (long long)d->I, names, m->count > 3 ? ", ..." : "", hint);
}

static bool check_finite(const Feature *f, const DataSet *d, const char *path, Error *e)
{
    for (int64_t i = 0; i < d->I; i++)
        for (int64_t c = 0; c < f->D; c++)
            if (!isfinite(f->data[i * f->D + c])) {
                Text id = text_index_at(d->items, i);
                return fail(e, SP_FORMAT,
                            "%s: features of item %.*s contain %g in column %lld; finite numbers are expected", path,
                            (int)MIN(id.n, (size_t)60), id.p, (double)f->data[i * f->D + c], (long long)c);
            }
    return true;
}

/* Returns the item of an image file as Ducho names it: the file name up to its first dot (recipes.md 2.3). */
static Text bare_name(Text name)
{
    for (size_t i = name.n; i > 0; i--)
        if (name.p[i - 1] == '/') {
            name = (Text){name.p + i, name.n - i};
            break;
        }
    const char *dot = name.n ? memchr(name.p, '.', name.n) : NULL;
    return dot && dot > name.p ? (Text){name.p, (size_t)(dot - name.p)} : name;
}

/* ---- a folder of <item id>.npy --------------------------------------------------------------- */

/* Returns the file of an item: named by its id or, as Ducho does, by its id up to the first dot. "" if there is no such
 * file; NULL if memory ran out. *cut: the shortened name, if it was used; else empty. */
static const char *file_of(Text id, const char *path, Text *cut, Arena *scratch, Error *e)
{
    *cut = (Text){0};
    if (memchr(id.p, '/', id.n))
        return "";
    const char *file = arena_printf(scratch, e, "%s/%.*s.npy", path, (int)id.n, id.p);
    Text bare = bare_name(id);
    if (!file || file_exists(file) || bare.n == id.n)
        return !file || file_exists(file) ? file : "";
    file = arena_printf(scratch, e, "%s/%.*s.npy", path, (int)bare.n, bare.p);
    if (!file || !file_exists(file))
        return file ? "" : NULL;
    *cut = bare;
    return file;
}

/* Checks that the file with the shortened name `cut` belongs to `item` only: `cut` must not be the full id of another
 * item or the shortened name of an earlier one. cuts: the shortened names so far; (*items)[k], of capacity *room: the
 * item of name k. */
static bool check_cut(TextIndex *cuts, int64_t **items, size_t *room, Text cut, int64_t item, const DataSet *d,
                      const char *file, Arena *a, Error *e)
{
    int64_t before = text_index_count(cuts), other = text_index_find(d->items, cut);
    if (other < 0 || other >= d->I) {
        int64_t number = text_index_add(cuts, cut, e);
        if (number < 0)
            return false;
        if (number == before || !*items) {
            if ((!*items || (size_t)before == *room) &&
                !(*items = arena_grow(a, *items, (size_t)before, room, sizeof **items, e)))
                return false;
            (*items)[before] = item;
            return true;
        }
        other = (*items)[number];
    }
    Text x = text_index_at(d->items, other), y = text_index_at(d->items, item);
    return fail(e, SP_FORMAT,
                "%s: may belong to item %.*s or to item %.*s, because names end at the first dot; name each file by "
                "its full id",
                file, (int)MIN(x.n, (size_t)60), x.p, (int)MIN(y.n, (size_t)60), y.p);
}

bool feature_row_open(Npy *n, const char *file, Arena *a, Error *e)
{
    if (!npy_read(n, file, a, e))
        return false;
    const Array *x = &n->array;
    if (x->dims > 0 && x->count > 0 && x->count == x->shape[x->dims - 1])
        return true;
    fail(e, SP_SHAPE, "%s: holds %lld numbers in %d dimensions; an item's features are (1, D) or (D,)", file,
         (long long)x->count, x->dims);
    npy_close(n);
    return false;
}

/* Reads the file of item i into row i of *data [I, D]. The first file gives D, and the array is then allocated in `a`.
 */
static bool read_item(Feature *f, const DataSet *d, const char *file, int64_t i, float **data, Arena *scratch, Arena *a,
                      Error *e)
{
    Npy n;
    if (!feature_row_open(&n, file, scratch, e))
        return false;
    const Array *x = &n.array;
    bool ok = true;
    if (!*data) {
        f->D = x->count;
        ok = (*data = arena_alloc(a, (size_t)d->I, (size_t)f->D * sizeof(float), e)) != NULL;
    }
    if (ok && x->count != f->D)
        ok = fail(e, SP_SHAPE, "%s: has %lld columns, the earlier files have %lld", file, (long long)x->count,
                  (long long)f->D);
    if (ok)
        array_f32(x, 0, f->D, *data + i * f->D);
    npy_close(&n);
    return ok;
}

/* Fills the rows of the items i with lacks[i] as d->gaps says: with zeros or with the mean. data [I, D], which is
 * f->data, has zeros in these rows. If the mean is not finite, the rows stay zero, so that check_finite names the item
 * that causes it. */
static bool fill_missing(const Feature *f, const DataSet *d, const bool *lacks, float *data, Arena *scratch, Error *e)
{
    float *mean = NEW(scratch, float, f->D, e);
    if (!mean || (d->gaps == GAPS_MEAN && !feature_mean(f, d->I, lacks, mean, scratch, e)))
        return false;
    bool finite = true;
    for (int64_t c = 0; c < f->D; c++)
        finite = finite && isfinite(mean[c]);
    for (int64_t i = 0; finite && i < d->I; i++)
        if (lacks[i])
            memcpy(data + i * f->D, mean, (size_t)f->D * sizeof *mean);
    return true;
}

/* Reports whether items without features get replacements. If no item has features, this is an error instead. */
static bool fills(const DataSet *d, const Missing *m)
{
    return m->count > 0 && m->count < d->I && (d->gaps == GAPS_ZERO || d->gaps == GAPS_MEAN);
}

static bool from_folder(Feature *f, const DataSet *d, const char *path, Arena *a, Error *e)
{
    Missing missing = {0};
    float *data = NULL;
    Arena *scratch = arena_new(arena_heap(a), 0), *names = arena_new(arena_heap(a), 0);
    TextIndex *cuts = names ? text_index_new(names, e) : NULL;
    int64_t *items = NULL;
    size_t room = 0;
    bool ok = (scratch && names) || fail_memory(e, 4096, "reading features");
    bool *lacks = ok ? NEW(names, bool, d->I, e) : NULL;
    ok = ok && cuts && lacks;
    for (int64_t i = 0; ok && i < d->I; i++) {
        ArenaMark mark = arena_mark(scratch);
        Text cut;
        const char *file = file_of(text_index_at(d->items, i), path, &cut, scratch, e);
        if (file && !*file) {
            note_missing(&missing, i);
            lacks[i] = true;
        } else {
            ok = file && (!cut.n || check_cut(cuts, &items, &room, cut, i, d, file, names, e)) &&
                 read_item(f, d, file, i, &data, scratch, a, e);
        }
        arena_rewind(scratch, mark);
    }
    f->data = data;
    f->missing = missing.count;
    ok = ok &&
         (fills(d, &missing) ? fill_missing(f, d, lacks, data, scratch, e) : report_missing(&missing, d, path, "", e));
    arena_free(scratch);
    arena_free(names);
    return ok;
}

/* ---- one .npy -------------------------------------------------------------------------------- */

bool feature_names(TextIndex **names, const char **ids_path, const char *path, int64_t rows, Arena *a, Error *e)
{
    *names = NULL;
    if (!(*ids_path = npy_ids_path(path, a, e)))
        return false;
    if (!file_exists(*ids_path))
        return true;
    Text content, line;
    if (!file_read(&content, a, *ids_path, 0, e) || !text_decode(&content, *ids_path, a, e) ||
        !(*names = text_index_new(a, e)))
        return false;
    int64_t count = 0;
    while (text_line(&content, &line)) {
        if (!id_check(line, *ids_path, (size_t)count + 1, e))
            return false;
        int64_t number = text_index_add(*names, line, e);
        if (number < 0)
            return false;
        if (number != count++)
            return fail(e, SP_FORMAT, "%s:%lld: duplicate row name '%.*s' (first in line %lld)", *ids_path,
                        (long long)count, (int)MIN(line.n, (size_t)60), line.p, (long long)number + 1);
    }
    if (count != rows)
        return fail(e, SP_SHAPE, "%s: names %lld rows, but %s has %lld", *ids_path, (long long)count, path,
                    (long long)rows);
    return true;
}

/* Makes an index `bare` of the shortened row names. (*row)[k]: the row of name k; -2 if several rows have it. */
static bool index_bare(TextIndex **bare, int64_t **row, const TextIndex *names, Arena *a, Error *e)
{
    int64_t n = text_index_count(names);
    *bare = text_index_new(a, e);
    *row = NEW(a, int64_t, n, e);
    if (!*bare || !*row)
        return false;
    for (int64_t r = 0; r < n; r++) {
        int64_t before = text_index_count(*bare), number = text_index_add(*bare, bare_name(text_index_at(names, r)), e);
        if (number < 0)
            return false;
        (*row)[number] = number == before ? r : -2;
    }
    return true;
}

bool feature_find_rows(int64_t *row, const TextIndex *items, int64_t n, const char *path, int64_t rows,
                       const char **hint, Arena *a, Error *e)
{
    TextIndex *names, *bare = NULL;
    const char *ids_path;
    int64_t *bare_row = NULL;
    *hint = "";
    if (!feature_names(&names, &ids_path, path, rows, a, e))
        return false;
    if (names && !index_bare(&bare, &bare_row, names, a, e))
        return false;
    for (int64_t i = 0; i < n; i++) {
        Text id = text_index_at(items, i);
        row[i] = -1;
        if (names) {
            row[i] = text_index_find(names, id);
            int64_t b = row[i] < 0 ? text_index_find(bare, id) : -1;
            if (b >= 0)
                row[i] = bare_row[b];
            if (row[i] == -2)
                return fail(e, SP_FORMAT, "%s: several rows have the name of item %.*s; remove all but one", ids_path,
                            (int)MIN(id.n, (size_t)60), id.p);
        } else if (!all_whole(&id, 1, &row[i])) {
            return fail(e, SP_SHAPE, "%s: item '%.*s' is not a row number; put the row names in %s, one per line", path,
                        (int)MIN(id.n, (size_t)60), id.p, ids_path);
        } else if (row[i] >= rows) {
            row[i] = -1;
        }
    }
    if (names && rows) {
        Text first = text_index_at(names, 0);
        *hint =
            arena_printf(a, e, " (in its .ids.txt the first row is '%.*s')", (int)MIN(first.n, (size_t)40), first.p);
    }
    return *hint != NULL;
}

static bool open_matrix(Npy *file, const char *path, Arena *a, Error *e)
{
    if (!npy_open(file, path, a, e))
        return false;
    const Array *x = &file->array;
    if (x->dims != 2)
        return fail(e, SP_SHAPE, "%s: has %d dimensions; features are [rows, D]", path, x->dims);
    return x->shape[1] > 0 ||
           fail(e, SP_SHAPE, "%s: its rows have no numbers: [%lld, 0]", path, (long long)x->shape[0]);
}

static bool from_matrix(Feature *f, const DataSet *d, const char *path, Arena *scratch, Arena *a, Error *e)
{
    if (!open_matrix(&f->file, path, a, e))
        return false;
    const Array *x = &f->file.array;
    int64_t rows = x->shape[0], *row = NEW(scratch, int64_t, d->I, e);
    bool *lacks = NEW(scratch, bool, d->I, e);
    const char *hint, *ids = npy_ids_path(path, scratch, e);
    Missing missing = {0};
    f->D = x->shape[1];
    f->rows = rows;
    if (!row || !lacks || !ids)
        return false;
    if (d->protocol == PROTOCOL_MMREC && !file_exists(ids) && (rows > d->I || (rows < d->I && d->gaps == GAPS_ERROR)))
        return fail(e, SP_SHAPE, "%s: has %lld rows, but the interactions have %lld items: row r must belong to item r",
                    path, (long long)rows, (long long)d->I);
    if (!feature_find_rows(row, d->items, d->I, path, rows, &hint, scratch, e))
        return false;
    for (int64_t i = 0; i < d->I; i++)
        if ((lacks[i] = row[i] < 0))
            note_missing(&missing, i);
    f->missing = missing.count;
    if (!fills(d, &missing) && !report_missing(&missing, d, path, hint, e))
        return false;
    bool in_order = x->type == F32 && (uintptr_t)x->data % sizeof(float) == 0;
    for (int64_t i = 0; in_order && i < d->I; i++)
        in_order = row[i] == i;
    if (in_order) {
        f->data = x->data;
        return true;
    }
    float *data = arena_alloc(a, (size_t)d->I, (size_t)f->D * sizeof(float), e);
    if (!data)
        return false;
    for (int64_t i = 0; i < d->I; i++)
        if (!lacks[i])
            array_f32(x, row[i] * f->D, f->D, data + i * f->D);
    f->data = data;
    npy_close(&f->file);
    f->file = (Npy){0};
    return !missing.count || fill_missing(f, d, lacks, data, scratch, e);
}

/* Returns the path of name=path; NULL if the text has another form. */
static const char *spec_path(const char *spec, Error *e)
{
    const char *equals = strchr(spec, '=');
    if (equals && equals > spec && equals[1])
        return equals + 1;
    fail(e, SP_USAGE, "features '%s': give them as name=path, for example visual=features/resnet50.npy", spec);
    return NULL;
}

bool feature_lacks(const char *spec, const TextIndex *items, int64_t n, bool *lacks, Arena *scratch, Error *e)
{
    const char *path = spec_path(spec, e), *hint;
    if (path && folder_exists(path)) {
        for (int64_t i = 0; i < n; i++) {
            ArenaMark mark = arena_mark(scratch);
            Text cut;
            const char *file = file_of(text_index_at(items, i), path, &cut, scratch, e);
            if (!file)
                return false;
            lacks[i] = lacks[i] || !*file;
            arena_rewind(scratch, mark);
        }
        return true;
    }
    Npy file = {0};
    int64_t *row = path ? NEW(scratch, int64_t, n, e) : NULL;
    bool ok = row && open_matrix(&file, path, scratch, e) &&
              feature_find_rows(row, items, n, path, file.array.shape[0], &hint, scratch, e);
    for (int64_t i = 0; ok && i < n; i++)
        lacks[i] = lacks[i] || row[i] < 0;
    npy_close(&file);
    return ok;
}

bool feature_load(Feature *f, const DataSet *d, const char *spec, Arena *a, Error *e)
{
    *f = (Feature){0};
    const char *path = spec_path(spec, e);
    if (!path || !(f->name = arena_strndup(a, spec, (size_t)(path - 1 - spec), e)) ||
        !(f->path = arena_strndup(a, path, strlen(path), e)))
        return false;
    bool ok;
    if (folder_exists(path)) {
        ok = from_folder(f, d, path, a, e);
    } else {
        Arena *scratch = arena_new(arena_heap(a), 0);
        ok = scratch ? from_matrix(f, d, path, scratch, a, e) : fail_memory(e, 4096, "reading features");
        arena_free(scratch);
    }
    ok = ok && check_finite(f, d, path, e);
    if (!ok)
        npy_close(&f->file);
    return ok;
}
