/* recsys/data/data_hash.c: hashes of a data set. Two runs whose hashes differ have different data. */
// flags: -Os
#include "recsys/recsys.h"

static uint64_t part_hash(const Pairs *p, int64_t U, HashBytes *hash, uint64_t h)
{
    if (!p->start)
        return hash("", 0, h);
    h = hash(p->start, (size_t)(U + 1) * sizeof *p->start, h);
    h = hash(p->item, (size_t)p->count * sizeof *p->item, h);
    return p->rating ? hash(p->rating, (size_t)p->count * sizeof *p->rating, h) : h;
}

uint64_t pairs_hash(const DataSet *d, HashBytes *hash)
{
    uint64_t h = part_hash(&d->train, d->U, hash, 1);
    h = part_hash(&d->valid, d->U, hash, h);
    return part_hash(&d->test, d->U, hash, h);
}

uint64_t features_hash(const DataSet *d, HashBytes *hash, uint64_t seed)
{
    uint64_t h = seed;
    for (size_t i = 0; i < d->feature_count; i++) {
        h = hash(d->features[i].data, (size_t)(d->I * d->features[i].D) * sizeof(float), h);
        array_done(&d->features[i].file.array); /* gives the pages back; a later reader maps them again */
    }
    return h;
}
