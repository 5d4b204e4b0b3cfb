/* recsys/train/by_user.c: by_user.tsv, the figures of each user, by which runs are compared; and a hash of the truth,
 * which shows that two runs were evaluated with the same truth. */
// flags: -Os
#include "recsys/train/train.h"

#include <math.h>

/* ---- writing --------------------------------------------------------------------------------- */

/* Two short cases: most figures of most users are 0, and HR is always 0 or 1. */
static bool put_figure(Out *o, double x, Error *e)
{
    return x == 0 ? out_write(o, "\t0", 2, e) : x == 1 ? out_write(o, "\t1", 2, e) : out_printf(o, e, "\t%.17g", x);
}

Out *by_user_write(const char *path, const Scores *s, const TextIndex *ids, const Heap *heap, Error *e)
{
    size_t figures = s->metrics * s->cutoffs;
    char name[SCORE_NAME_BYTES];
    Out *o = out_open(path, heap, e);
    bool ok = o && out_write(o, "user", 4, e);
    for (size_t f = 0; ok && f < figures; f++)
        if (!s->has_users || s->has_users[f / s->cutoffs])
            ok = out_printf(o, e, "\t%s", score_name(s, f, name, sizeof name));
    for (int64_t u = 0; ok && u < s->users; u++) {
        ok = out_write(o, "\n", 1, e) && out_tsv_field(o, text_index_at(ids, s->user[u]), e);
        for (size_t f = 0; ok && f < figures; f++)
            if (!s->has_users || s->has_users[f / s->cutoffs])
                ok = put_figure(o, s->by_user[f * (size_t)s->users + (size_t)u], e);
    }
    if (ok && out_write(o, "\n", 1, e))
        return o;
    out_discard(o);
    return NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool read_header(ByUser *b, const Table *t, Arena *a, Error *e)
{
    if (t->count < 2 || !text_is(t->field[0], "user"))
        return fail(e, SP_FORMAT,
                    "%s:%zu: is not a file of figures by user: its first line is `user` and the names of figures, such "
                    "as Recall@20, between tabs",
                    b->path, t->line);
    b->figures = t->count - 1;
    if (!(b->numbers = text_index_new(a, e)) || !(b->names = NEW(a, const char *, b->figures, e)))
        return false;
    for (size_t f = 0; f < b->figures; f++) {
        Text name = t->field[1 + f];
        const char *problem = id_problem(name);
        if (problem)
            return fail(e, SP_FORMAT, "%s:%zu: column %zu: its name %s", b->path, t->line, f + 2, problem);
        if (text_index_find(b->numbers, name) >= 0)
            return fail(e, SP_FORMAT, "%s:%zu: column %zu: \"%.*s\" is a duplicate", b->path, t->line, f + 2,
                        (int)MIN(name.n, (size_t)40), name.p);
        if (text_index_add(b->numbers, name, e) < 0 || !(b->names[f] = arena_strndup(a, name.p, name.n, e)))
            return false;
    }
    return true;
}

/* Reads row r of `rows`. */
static bool read_row(ByUser *b, const Table *t, int64_t r, int64_t rows, Error *e)
{
    Text id = t->field[0];
    if (t->count != b->figures + 1)
        return fail(e, SP_FORMAT, "%s:%zu: has %zu columns, the first line names %zu", b->path, t->line, t->count,
                    b->figures + 1);
    if (!id_check(id, b->path, t->line, e))
        return false;
    if (text_index_find(b->users, id) >= 0)
        return fail(e, SP_FORMAT, "%s:%zu: user \"%.*s\" is a duplicate", b->path, t->line, (int)MIN(id.n, (size_t)40),
                    id.p);
    for (size_t f = 0; f < b->figures; f++) {
        double *x = &b->value[f * (size_t)rows + (size_t)r];
        Text field = t->field[1 + f];
        if (!text_f64(field, x) || !(fabs(*x) <= 1e100))
            return fail(e, SP_FORMAT, "%s:%zu: %s: \"%.*s\" is not a number of at most 1e100", b->path, t->line,
                        b->names[f], (int)MIN(field.n, (size_t)40), field.p);
    }
    return text_index_add(b->users, id, e) >= 0;
}

bool by_user_read(ByUser *b, const char *path, Arena *a, Error *e)
{
    Text content;
    *b = (ByUser){.path = path, .users = text_index_new(a, e)};
    if (!b->users || !file_read(&content, a, path, 0, e) || !text_decode(&content, path, a, e))
        return false;
    Table t = table_open(content, '\t', path, a);
    if (!table_next(&t, e))
        return e->code == SP_OK ? fail(e, SP_FORMAT, "%s: is empty", path) : false;
    if (!read_header(b, &t, a, e))
        return false;
    /* A row has at least two bytes per figure. The memory is therefore at most four times the content, even if the
     * first line has many names and the other lines are short. */
    size_t rows = 0, most = t.rest.n / (2 * b->figures) + 1, r = 0;
    for (Table ahead = t; rows < most && table_skip(&ahead, e);)
        rows++;
    if (e->code || !(b->value = arena_alloc(a, rows, b->figures * sizeof(double), e)))
        return false;
    if (!text_index_reserve(b->users, rows, e))
        return false;
    for (; r < rows && table_next(&t, e); r++)
        if (!read_row(b, &t, (int64_t)r, (int64_t)rows, e))
            return false;
    return e->code == SP_OK && (rows > 0 || fail(e, SP_FORMAT, "%s: has no users", path));
}

/* ---- the hash of the truth ------------------------------------------------------------------- */

static const uint64_t FNV_PRIME = UINT64_C(0x100000001b3);

/* FNV-1a. hash_bytes is not used, because it differs between builds. */
static uint64_t fnv1a(Text id, uint64_t h)
{
    for (size_t i = 0; i < id.n; i++)
        h = (h ^ (unsigned char)id.p[i]) * FNV_PRIME;
    return h * FNV_PRIME; /* marks the end of the id */
}

uint64_t truth_hash(const DataSet *d, const Pairs *truth)
{
    uint64_t sum = 0;
    for (int64_t u = 0; u < d->U; u++) {
        uint64_t user = fnv1a(text_index_at(d->users, u), UINT64_C(0xcbf29ce484222325));
        for (int64_t i = truth->start[u]; i < truth->start[u + 1]; i++) {
            float rating = truth->rating ? truth->rating[i] : 1;
            uint32_t bits;
            memcpy(&bits, &rating, sizeof bits);
            uint64_t pair = (fnv1a(text_index_at(d->items, truth->item[i]), user) ^ bits) * FNV_PRIME;
            sum += pair ^ pair >> 32;
        }
    }
    return sum;
}
