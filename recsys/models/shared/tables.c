/* recsys/models/shared/tables.c: embeddings, features and their projections: see models.h. */
#include <math.h>

#include "recsys/models/models.h"

bool tables_new(Model *m, Tables *x, int64_t D, Init init, Error *e)
{
    x->user = param_new(m->store, "user", m->data->U, D, init, m->seed, e);
    x->item = x->user ? param_new(m->store, "item", m->data->I, D, init, m->seed, e) : NULL;
    return x->item != NULL;
}

Tensor *feature_tensor(Model *m, const Feature *f, Error *e)
{
    const char *name = arena_printf(m->arena, e, "features.%s", f->name);
    Array view = {.name = text_of(name ? name : ""),
                  .type = F32,
                  .dims = 2,
                  .shape = {m->data->I, f->D},
                  .count = m->data->I * f->D,
                  .data = f->data,
                  .file = f->name};
    return name ? store_array(m->store, &view, e) : NULL;
}

/* Returns the Init of a piece of a matrix [rows, cols], or of its bias, as if the whole matrix were drawn. */
static Init of_whole(Init init, int64_t rows, int64_t cols)
{
    switch (init.kind) {
    case INIT_XAVIER_UNIFORM: return (Init){INIT_UNIFORM, sqrt(6.0 / (double)(rows + cols))};
    case INIT_XAVIER_NORMAL: return (Init){INIT_NORMAL, sqrt(2.0 / (double)(rows + cols))};
    case INIT_FAN_IN: return (Init){INIT_UNIFORM, 1 / sqrt((double)cols)};
    default: return init;
    }
}

Modality *modalities_new(Model *m, ModalityPlan plan, Error *e)
{
    size_t n = m->data->feature_count;
    Modality *x = NEW(m->arena, Modality, n, e);
    int64_t total_width = 0;
    for (size_t i = 0; i < n; i++)
        total_width += m->data->features[i].D;
    for (size_t i = 0; x && i < n; i++) {
        const Feature *f = &m->data->features[i];
        const char *table = arena_printf(m->arena, e, "features.%s", f->name),
                   *linear = table ? arena_printf(m->arena, e, "projection.%s", f->name) : NULL;
        if (!linear)
            return NULL;
        x[i].name = f->name;
        x[i].features =
            plan.trained ? param_from(m->store, table, m->data->I, f->D, f->data, e) : feature_tensor(m, f, e);
        if (plan.trained) /* a copy, so the pages of the file are no longer needed */
            array_done(&f->file.array);
        Init w = plan.joined ? of_whole(plan.w, plan.width, total_width) : plan.w,
             b = plan.joined ? of_whole(plan.b, plan.width, total_width) : plan.b;
        if (x[i].features && plan.width)
            x[i].linear = linear_new(m->store, linear, plan.width, f->D, !plan.joined || i == 0, w, b, m->seed, e);
        if (e->code != SP_OK)
            return NULL;
    }
    return x;
}

static Tensor *pick(Tape *t, Tensor *x, Tensor *ids)
{
    return ids ? gather(t, x, ids) : x;
}

Tensor *project(Tape *t, const Modality *x, Tensor *ids)
{
    return linear(t, pick(t, x->features, ids), &x->linear);
}

Tensor *project_joined(Tape *t, const Modality *x, size_t n, Tensor *ids)
{
    Tensor *sum = project(t, &x[0], ids);
    for (size_t i = 1; i < n; i++)
        sum = linear_add(t, pick(t, x[i].features, ids), &x[i].linear, sum);
    return sum;
}

Tensor *project_new(Tape *t, const Model *m, Tensor *const *features)
{
    Tensor *sum = NULL;
    for (size_t i = 0; i < m->data->feature_count; i++) {
        const char *name = m->data->features[i].name;
        Tensor *part[2]; /* weight and bias; only the first piece has a bias */
        for (int k = 0; k < 2; k++) {
            size_t room = strlen(name) + sizeof "projection..weight";
            char *key = tape_scratch(t, (int64_t)room, 1);
            if (!key)
                return features[i];
            snprintf(key, room, k ? "projection.%s.bias" : "projection.%s.weight", name);
            part[k] = store_find(m->store, key);
        }
        bool fits = part[0] && cols_of(part[0]) == cols_of(features[i]) &&
                    (!part[1] || part[1]->count == rows_of(part[0])) && (!sum || cols_of(sum) == rows_of(part[0]));
        if (!fits) {
            tape_fail(t, SP_FORMAT, "%s: the projections of features do not fit each other; train again",
                      m->kind->name);
            return features[i];
        }
        const Linear l = {.w = part[0], .b = part[1], .N = rows_of(part[0]), .K = cols_of(part[0])};
        sum = sum ? linear_add(t, features[i], &l, sum) : linear(t, features[i], &l);
    }
    return sum;
}
