/* tests/golden_data.h: reads the data set in a golden file: pairs.user, pairs.item (by user, then item), pairs.rating
 * if there are ratings; `users` and `items` are in the metadata. */
#ifndef SAPOR_GOLDEN_DATA_H
#define SAPOR_GOLDEN_DATA_H

#include "tests/testing.h"

#include "recsys/recsys.h"

/* A golden file, and what the test makes from its numbers. `data`, `model` and `optim` are set by the test, or by
 * load_pairs. */
typedef struct Case {
    const Weights *golden;
    Arena *arena;
    Device device;
    DataSet data;
    Model model;
    Optim optim;
    Error e;
} Case;

#define OK(c, condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("%s: %s", #condition, (c)->e.message);                                                            \
    } while (0)

/* Returns the array whose name is `format` filled with `name`, or NULL. */
static inline const Array *array_if(Case *c, const char *format, const char *name)
{
    return weights_find(c->golden, arena_printf(c->arena, &c->e, format, name));
}

/* Returns the array whose name is `format` filled with `name`. If it is missing, the test fails. */
static inline const Array *array(Case *c, const char *format, const char *name)
{
    const Array *a = array_if(c, format, name);
    if (!a)
        fail_msg("the golden file has no %s for %s", format, name);
    return a;
}

static inline float *floats_of(Case *c, const Array *a)
{
    float *out = NEW(c->arena, float, a->count, &c->e);
    array_f32(a, 0, a->count, out);
    return out;
}

static inline float *floats(Case *c, const char *format, const char *name)
{
    return floats_of(c, array(c, format, name));
}

/* Returns a value of the metadata. If it is missing, the test fails. */
static inline const char *meta(Case *c, const char *key)
{
    const Json *j = json_get(weights_metadata(c->golden), key);
    if (!j)
        fail_msg("the golden file's metadata have no %s", key);
    return arena_strndup(c->arena, j->text.p, j->text.n, &c->e);
}

static inline int64_t meta_i64(Case *c, const char *key)
{
    int64_t value = 0;
    assert_true(text_i64(text_of(meta(c, key)), &value));
    return value;
}

static inline void case_open(Case *c, const char *path)
{
    *c = (Case){.arena = arena_new(NULL, 0)};
    OK(c, (c->golden = weights_open(path, c->arena, &c->e)) != NULL);
    OK(c, device_open(&c->device, NULL, 2, NULL, NULL, &c->e));
}

static inline void case_close(Case *c)
{
    device_close(&c->device);
    weights_close((Weights *)c->golden);
    arena_free(c->arena);
}

/* Makes the train part of `data` from the pairs of the file. There are no features, and no other parts. */
static inline void load_pairs(Case *c)
{
    const Array *user = array(c, "%s", "pairs.user"), *item = array(c, "%s", "pairs.item");
    const Array *rating = array_if(c, "%s", "pairs.rating");
    DataSet *d = &c->data;
    *d = (DataSet){.U = meta_i64(c, "users"), .I = meta_i64(c, "items"), .arena = c->arena};
    d->train = (Pairs){.count = user->count,
                       .start = NEW(c->arena, int64_t, d->U + 1, &c->e),
                       .item = NEW(c->arena, int32_t, item->count, &c->e),
                       .rating = rating ? floats_of(c, rating) : NULL};
    const int32_t *users = user->data;
    memcpy(d->train.item, item->data, (size_t)item->count * 4);
    for (int64_t i = 0; i < user->count; i++)
        d->train.start[users[i] + 1]++;
    for (int64_t u = 0; u < d->U; u++)
        d->train.start[u + 1] += d->train.start[u];
}

#endif
