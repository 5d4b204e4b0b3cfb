/* recsys/train/kept.c: keeps the result of a run in memory for recommendations. The parts are the same as the files of
 * a run folder. */
// flags: -Os
#include "recsys/train/train.h"

static const char PROJECTION[] = "projection.";

static bool read_tensor(const Device *d, const char *name, const Tensor *x, Array *to, Arena *a, Error *e)
{
    float *data = NEW(a, float, x->count, e);
    char *copy = data ? arena_strndup(a, name, strlen(name), e) : NULL;
    if (!copy)
        return false;
    tensor_read(d, x, 0, x->count, data);
    *to = (Array){.name = text_of(copy), .type = F32, .dims = x->dims, .count = x->count, .data = data, .file = copy};
    memcpy(to->shape, x->shape, sizeof x->shape);
    return true;
}

bool model_arrays(const Model *m, const Array **list, size_t *n, Arena *a, Error *e)
{
    *list = NULL;
    *n = 0;
    if (m->kind->arrays)
        return (*list = m->kind->arrays(m, n, e)) != NULL;
    if (!m->kind->new_items)
        return true;
    Array *all = NEW(a, Array, store_count(m->store), e);
    if (!all)
        return false;
    for (size_t i = 0; i < store_count(m->store); i++) {
        const Tensor *x = store_at(m->store, i);
        const char *name = store_name(m->store, x);
        if (name && !strncmp(name, PROJECTION, strlen(PROJECTION)) &&
            !read_tensor(store_device(m->store), name, x, &all[(*n)++], a, e))
            return false;
    }
    *list = all;
    return true;
}

/* ---- the best epoch of a run ----------------------------------------------------------------- */

/* Copies everything that is the same in all epochs. */
static bool keep_run(Trained *t, const Model *m, Error *e)
{
    const DataSet *d = m->data;
    size_t n = settings_count(m->settings);
    const char **set = NEW(t->arena, const char *, n, e);
    for (size_t i = 0; set && i < n; i++)
        if (!(set[i] =
                  arena_printf(t->arena, e, "%s=%s", settings_key(m->settings, i), settings_value(m->settings, i))))
            return false;
    Pairs *p = &t->data.train;
    if (!set || !(t->config.settings = settings_make(m->kind, d->protocol, set, n, t->arena, e)) ||
        !(p->start = NEW(t->arena, int64_t, d->U + 1, e)) || !(p->item = NEW(t->arena, int32_t, d->train.count, e)))
        return false;
    p->count = d->train.count;
    memcpy(p->start, d->train.start, sizeof *p->start * (size_t)(d->U + 1));
    memcpy(p->item, d->train.item, sizeof *p->item * (size_t)p->count);
    t->config.kind = m->kind;
    t->config.train.seed = m->seed;
    t->config.train.data.protocol = d->protocol;
    t->config.users = d->U;
    t->config.items = d->I;
    t->config.pairs = p->count;
    return true;
}

static bool keep_arrays(Trained *t, const Model *m, Error *e)
{
    const Array *list;
    if (!model_arrays(m, &list, &t->state_count, t->kept, e))
        return false;
    Array *copy = NEW(t->kept, Array, t->state_count, e);
    for (size_t i = 0; copy && i < t->state_count; i++) {
        size_t bytes = (size_t)list[i].count * dtype_bytes(list[i].type);
        copy[i] = list[i];
        void *data = arena_alloc(t->kept, bytes, 1, e);
        char *name = data ? arena_strndup(t->kept, list[i].name.p, list[i].name.n, e) : NULL;
        if (!name)
            return false;
        memcpy(data, list[i].data, bytes);
        copy[i].data = data;
        copy[i].name = (Text){name, list[i].name.n};
        copy[i].file = m->kind->name;
    }
    return (t->state = copy) != NULL;
}

bool trained_keep(Trained *t, const Model *m, const Tensor *users, const Tensor *items, Error *e)
{
    const Device *d = store_device(m->store);
    if (!t->config.kind && !keep_run(t, m, e))
        return false;
    if (!t->kept && !(t->kept = arena_new(t->device->heap, 0)))
        return fail_memory(e, 1, "a recommender");
    arena_rewind(t->kept, (ArenaMark){0});
    return (!users || (read_tensor(d, "user", users, &t->vectors[0], t->kept, e) &&
                       read_tensor(d, "item", items, &t->vectors[1], t->kept, e))) &&
           keep_arrays(t, m, e);
}

bool trained_kept(Trained *t, Error *e)
{
    const Weights *arrays = NULL;
    if (t->state_count && !(arrays = weights_of(t->state, t->state_count, t->config.kind->name, t->arena, e)))
        return false;
    return ids_count(&t->data.users, t->config.users, t->arena, e) &&
           ids_count(&t->data.items, t->config.items, t->arena, e) && trained_build(t, arrays, e);
}
