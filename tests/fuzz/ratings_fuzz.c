/* tests/fuzz/ratings_fuzz.c: interactions. The first byte chooses the format and the protocol. The rest is the file,
 * which is read alone and then as a data set. */
#include "tests/fuzz/fuzz.h"

#include "recsys/recsys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    Error e = {0};
    Ratings r;
    DataSet d;
    Arena *a = arena_new(fuzz_heap(size), 0);
    static const Layout LAYOUTS[4] = {{0}, {"user,item,rating", 0}, {"reader,novel", 0}, {NULL, ';'}};
    Format f = (Format)(data[0] % (FORMAT_LIGHTGCN + 1));
    const Layout *layout = &LAYOUTS[data[0] >> 5 & 3];
    const char *path = as_file(data + 1, size - 1);
    bool ok = ratings_read_as(&r, path, f, layout, a, &e) && ratings_sure(&r, &e);
    check_end(ok, &e);
    error_clear(&e);
    size_t rows = 0; /* each interaction begins at a row of the table */
    Table t = ratings_rows(&r, a);
    while (ok && table_skip(&t, &e))
        for (; rows < r.count && r.line[rows] == t.line; rows++)
            continue;
    REQUIRE(!ok || (e.code == SP_OK && rows == r.count));
    DataConfig c = {
        .train = path, .format = f, .layout = *layout, .protocol = data[0] & 128 ? PROTOCOL_MMREC : PROTOCOL_ELLIOT};
    if (ok && !r.part)
        c.valid = c.test = path;
    ok = ok && dataset_load(&d, &c, a, &e);
    for (int64_t u = 0; ok && u < d.U; u++)
        for (int64_t k = d.train.start[u]; k < d.train.start[u + 1]; k++)
            REQUIRE(d.train.item[k] >= 0 && d.train.item[k] < d.I &&
                    (k == d.train.start[u] || d.train.item[k] > d.train.item[k - 1]));
    REQUIRE(e.code == SP_OK || !strchr(e.message, '\n'));
    if (ok)
        dataset_close(&d);
    arena_free(a);
    return 0;
}
