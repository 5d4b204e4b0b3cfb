/* recsys/search/recs.c: writes the recommendations of a trial, with the vectors that it keeps. */
// flags: -Os
#include "recsys/search/study.h"
#include "recsys/trained.h"

static bool put_list(void *out, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    for (int64_t i = 0; i < k; i++)
        if (!out_tsv_field(out, user, e) || !out_write(out, "\t", 1, e) || !out_tsv_field(out, items[i], e) ||
            !out_printf(out, e, "\t%.9g\n", (double)scores[i]))
            return false;
    return true;
}

static bool write_recs(const Device *d, const char *folder, const char *path, int64_t k, const Heap *heap, Error *e)
{
    Trained *t = trained_open(d, folder, false, e);
    Out *o = t ? out_open(path, heap, e) : NULL;
    bool ok = o && trained_recommend(t, NULL, 0, k, put_list, o, e);
    trained_close(t);
    if (ok)
        return out_commit(o, e);
    out_discard(o);
    return false;
}

bool study_recs(const Study *s, const TrialRow *row, int64_t k, const char **path, Arena *a, Error *e)
{
    const char *trials = study_trials(s, a, e), *folder = trials ? path_join(a, trials, row->key, e) : NULL;
    const char *recs = folder ? arena_printf(a, e, "%s/recs-%lld.tsv", folder, (long long)k) : NULL;
    /* this file exists as long as the vectors do */
    const char *ids = recs ? path_join(a, folder, "item.ids.txt", e) : NULL;
    Device d;
    *path = recs;
    if (!ids || file_exists(recs))
        return ids != NULL;
    if (!file_exists(ids)) {
        *path = NULL;
        return true;
    }
    if (!device_open(&d, NULL, 0, arena_heap(a), NULL, e))
        return false;
    bool ok = write_recs(&d, folder, recs, k, arena_heap(a), e);
    device_close(&d);
    return ok;
}
