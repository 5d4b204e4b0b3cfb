/* tools/nearest.c: sapor nearest FEATURES (--id ID | --query TEXT|IMAGE --model MODEL). */
// flags: -Os
#include <unistd.h>

#include "tools/features.h"

const Option nearest_options[] = {
    {"id", 0, "ID",
     "find rows similar to this row, given by its name in .ids.txt, its file name, or its number from 0; the row "
     "itself is not listed"},
    {"query", 0, "TEXT|IMAGE", "find rows similar to a text or an image file (.jpg, .jpeg, .png, .webp)"},
    {"model", 0, "MODEL", "with --query: the model that made FEATURES; it encodes the query"},
    {"top", 'k', "K", "number of rows (default 10)"},
    {"out", 'o', "FILE",
     "output file: rank, id, similarity separated by tabs (default: standard output; a table on a terminal)"},
    {"pool", 0, "P",
     "with --query: cls, mean or max; must be the pooling that made FEATURES (default: the model's own)"},
    {"layer", 0, "NAME", "with --query: output layer of the model (default: the layer that is usual for the model)"},
    {"arch", 0, "NAME", "with --query: architecture of a weights file without config.json (`sapor models` lists them)"},
    {NULL, 0, NULL, NULL},
};

/* Copies the only row. arg: two pointers, the begin and the end of the destination. */
static bool keep_row(void *arg, size_t first, size_t n, const float *rows, Error *e)
{
    float **to = arg;
    (void)first, (void)n, (void)e;
    memcpy(to[0], rows, (size_t)(to[1] - to[0]) * sizeof *rows);
    return true;
}

/* Encodes one text or image. *row [D] is in the context's arena. It is an error if the model gives another length. */
static bool encode_query(Context *c, const char *query, int64_t D, float **row, Error *e)
{
    static const char *const POOLS[] = {"model", "cls", "mean", "max"};
    static const Pooling CODES[] = {POOL_MODEL, POOL_CLS, POOL_MEAN, POOL_MAX};
    const char *model = option_text(c, "model");
    int pool = 0;
    if (!model)
        return fail(e, SP_USAGE, "nearest: --model MODEL is missing; --query needs the model that made FEATURES");
    if (!option_choice(c, "pool", POOLS, COUNT(POOLS), &pool, e))
        return false;
    bool is_image = is_image_name(query);
    if (is_image && !file_exists(query))
        return fail(e, SP_IO, "--query: there is no image file %s", query);
    EncoderOptions o = {.arch = option_text(c, "arch")};
    OutputOptions output = {.name = option_text(c, "layer"), .pool = CODES[pool]};
    CallOptions call = {.outputs = &output, .output_count = 1};
    Input input = {.name = "--query", .image = is_image ? query : NULL, .text = text_of(query)};
    FeatureSource x;
    if (!feature_source_open(&x, c, model, is_image ? MODALITY_IMAGE : MODALITY_TEXT, &o, &call, e))
        return false;
    float *to[2] = {NULL};
    bool ok = x.features == D ||
              fail(e, SP_SHAPE, "--model: %s gives %lld numbers, but %s has %lld columns; use the model that made it",
                   model, (long long)x.features, c->args[0], (long long)D);
    ok = ok && (to[0] = NEW(c->arena, float, D, e));
    to[1] = to[0] + (ok ? D : 0);
    ok = ok && extract_features(c, &x, &input, 1, 1, "encode", keep_row, to, NULL, e);
    feature_source_close(&x);
    *row = to[0];
    return ok;
}

/* Reads the query [D]: a row of the table, or an encoded text or image. *except is the row that is not listed; -1:
 * none. */
static bool read_query(Context *c, const FeatureTable *t, float **query, int64_t *except, Error *e)
{
    const char *id = option_text(c, "id"), *text = option_text(c, "query");
    int64_t D = t->rows.shape[1];
    *except = -1;
    if (text)
        return encode_query(c, text, D, query, e);
    if ((*except = feature_table_find(t, text_of(id))) < 0) {
        if (!t->names)
            return fail(e, SP_USAGE,
                        "--id: %s is not a row of %s; without .ids.txt, a number from 0 to %lld is expected", id,
                        t->path, (long long)t->rows.shape[0] - 1);
        Text first = text_index_at(t->names, 0);
        return fail(e, SP_USAGE, "--id: no row of %s is named %s; the first of its %lld rows is %.*s", t->path, id,
                    (long long)t->rows.shape[0], (int)MIN(first.n, (size_t)60), first.p);
    }
    if (!(*query = NEW(c->arena, float, D, e)))
        return false;
    array_f32(&t->rows, *except * D, D, *query);
    return true;
}

static bool name_of(const FeatureTable *t, int32_t row, Arena *a, const char **name, Error *e)
{
    if (!t->names)
        return (*name = arena_printf(a, e, "%d", row)) != NULL;
    *name = text_index_at(t->names, row).p;
    return true;
}

static bool write_list(Context *c, const FeatureTable *t, const int32_t *ids, const float *similarity, int64_t n,
                       Error *e)
{
    enum { TABLE_ROWS = 1000 };
    const char *path = option_text(c, "out");
    bool is_table = !path && !c->json && isatty(STDOUT_FILENO) && n <= TABLE_ROWS;
    const char **cells = NEW(c->arena, const char *, 3 * (n + 1), e);
    Out *out = NULL;
    if (!cells)
        return false;
    for (int64_t i = 0; i < n; i++)
        if (!(cells[3 * (i + 1)] = arena_printf(c->arena, e, "%lld", (long long)i + 1)) ||
            !name_of(t, ids[i], c->arena, &cells[3 * (i + 1) + 1], e) ||
            !(cells[3 * (i + 1) + 2] = arena_printf(c->arena, e, is_table ? "%.4f" : "%.9g", (double)similarity[i])))
            return false;
    if (is_table) {
        cells[0] = "rank", cells[1] = "id", cells[2] = "similarity";
        return table_print(stdout, cells, (size_t)n + 1, 3, "rlr", c->arena, e);
    }
    if (path && !(out = out_open(path, c->heap, e)))
        return false;
    for (const char **cell = cells + 3; cell < cells + 3 * (n + 1); cell += 3)
        if (out) {
            if (!out_printf(out, e, "%s\t", cell[0]) || !out_tsv_field(out, text_of(cell[1]), e) ||
                !out_printf(out, e, "\t%s\n", cell[2])) {
                out_discard(out);
                return false;
            }
        } else if (c->json) {
            JsonWriter w = {.to = stdout};
            json_object(&w, NULL);
            json_put_number(&w, "rank", "%s", cell[0]);
            json_put_string(&w, "id", cell[1]);
            json_put_number(&w, "similarity", "%s", cell[2]);
            json_finish(&w);
        } else {
            printf("%s\t", cell[0]);
            tsv_print_field(stdout, text_of(cell[1]));
            printf("\t%s\n", cell[2]);
        }
    return !out || out_commit(out, e);
}

bool nearest_command(Context *c, Error *e)
{
    static const char *const WITH_QUERY[] = {"model", "pool", "layer", "arch"};
    int64_t k = 10, except, zeros = 0, n = 0;
    if (option_given(c, "id") == option_given(c, "query"))
        return fail(e, SP_USAGE, "nearest: %s",
                    option_given(c, "id") ? "--id and --query together; one of them is expected"
                                          : "--id ID or --query TEXT|IMAGE is missing");
    for (size_t i = 0; i < COUNT(WITH_QUERY) && option_given(c, "id"); i++)
        if (option_given(c, WITH_QUERY[i]))
            return fail(e, SP_USAGE, "--%s is only valid with --query; --id needs no model", WITH_QUERY[i]);
    if (!option_i64(c, "top", 1, INT32_MAX, &k, e))
        return false;
    FeatureTable t;
    const Device *d = context_device(c, e);
    if (!d || !feature_table_open(&t, c->args[0], c->arena, e))
        return false;
    k = MIN(k, t.rows.shape[0]);
    float *query = NULL, *similarity = NEW(c->arena, float, k, e);
    int32_t *ids = NEW(c->arena, int32_t, k, e);
    bool ok = similarity && ids && read_query(c, &t, &query, &except, e) &&
              feature_table_nearest(&t, d, query, except, k, ids, similarity, &zeros, e);
    while (ok && n < k && ids[n] >= 0)
        n++;
    if (ok && zeros && c->progress)
        fprintf(c->progress, "%s: skipped rows of zeros (no cosine is defined): %lld\n", t.path, (long long)zeros);
    ok = ok && write_list(c, &t, ids, similarity, n, e);
    feature_table_close(&t);
    return ok;
}
