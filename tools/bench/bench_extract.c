/* tools/bench/bench_extract.c: measures the models of a Ducho configuration by batch size: one row per model, one
 * column per batch size, as in Table 6 of Attimonelli et al. 2024. */
// flags: -Os
#include "tools/bench/bench.h"
#include "tools/ducho/extract.h"

static const int64_t SIZES[] = {1, 2, 4, 8, 16, 32, 64};

typedef struct Sizes {
    const int64_t *list;
    size_t count;
} Sizes;

static void print_row(const Bench *b, const Extraction *x, Sizes sizes, size_t items, const double *seconds)
{
    for (size_t i = 0; b->c->json && i < sizes.count; i++) {
        JsonWriter w = json_record(stdout, "bench", "extract");
        json_members(
            &w, "model %s modality %s batch %lld threads %lld level %s items %zu seconds %.4f items_per_second %.5g",
            x->model, x->name, (long long)sizes.list[i], (long long)pool_threads(b->d->pool), b->d->k->level, items,
            seconds[i], (double)items / seconds[i]);
        json_finish(&w);
    }
    if (b->c->json)
        return;
    Text base = path_base(x->model);
    printf("%-24.*s %-14s %6zu", (int)MIN(base.n, (size_t)24), base.p, x->name, items);
    for (size_t i = 0; i < sizes.count; i++)
        printf(" %8.2f", seconds[i]);
    printf("\n");
    fflush(stdout);
}

bool bench_extract(Bench *b, const char *config, Error *e)
{
    Extraction *list;
    size_t count;
    int64_t most = 50, one = 0;
    double seconds[COUNT(SIZES)];
    if (!option_i64(b->c, "items", 1, 1 << 20, &most, e) || !option_i64(b->c, "batch", 1, 4096, &one, e) ||
        !extract_config(&list, &count, b->c, config, e))
        return false;
    const Sizes sizes = {one ? &one : SIZES, one ? 1 : COUNT(SIZES)};
    if (!b->c->json) {
        printf("%s kernels, %d thread%s; seconds by batch size: images are decoded and encoded, nothing is written\n",
               b->d->k->level, pool_threads(b->d->pool), pool_threads(b->d->pool) == 1 ? "" : "s");
        printf("%-24s %-14s %6s", "model", "modality", "items");
        for (size_t i = 0; i < sizes.count; i++)
            printf(" %8lld", (long long)sizes.list[i]);
        printf("\n");
    }
    for (size_t i = 0; i < count; i++) {
        size_t items = (size_t)most;
        if (!bench_selects(b, list[i].model))
            continue;
        bench_release(b);
        if (!extraction_times(b->c, &list[i], &items, sizes.list, sizes.count, seconds, e))
            return false;
        print_row(b, &list[i], sizes, items, seconds);
    }
    return true;
}
