/* extractors/tuning.c: finds by patterns of names which weights of an encoder are trained or have adapters; writes the
 * file of a trained encoder. */
// flags: -Os
#include <fnmatch.h>

#include "extractors/loading.h"

#ifdef SAPOR_MINIMAL /* does not train encoders */

bool tuning_open(Encoder *en, Error *e)
{
    const TrainOptions *o = &en->options.train;
    return (!o->weights && !o->adapters) ||
           fail(e, SP_UNSUPPORTED, "this build does not train encoders; build without MINIMAL=1");
}

WeightForm tuning_weight_form(const Encoder *en, int n, const Array *const *w, const Array *const *b, bool adapts)
{
    (void)n, (void)w, (void)b, (void)adapts;
    return en->weight_form;
}

bool tuning_check(const Encoder *en, const ModelSource *s, Error *e)
{
    (void)en, (void)s, (void)e;
    return true;
}

bool encoder_save(const Encoder *en, const char *path, Error *e)
{
    (void)en;
    return fail(e, SP_UNSUPPORTED, "%s: this build does not train encoders; build without MINIMAL=1", path);
}

#else

typedef struct Pattern {
    const char *text;
    bool excludes;
    bool used;
} Pattern;
typedef struct Patterns {
    Pattern *list;
    size_t count, room;
} Patterns;
struct Tuning {
    Patterns weights, adapters;
    Error failed; /* memory ran out for a name */
};

static bool read_patterns(Patterns *to, const char *list, Arena *a, Error *e)
{
    static const char SEPARATORS[] = " ,\t\n";
    for (const char *p = list ? list + strspn(list, SEPARATORS) : ""; *p; p += strspn(p, SEPARATORS)) {
        size_t n = strcspn(p, SEPARATORS);
        bool excludes = *p == '!';
        Pattern *grown = arena_grow(a, to->list, to->count, &to->room, sizeof *grown, e);
        const char *text = grown ? arena_strndup(a, p + excludes, n - excludes, e) : NULL;
        if (!text)
            return false;
        to->list = grown;
        to->list[to->count++] = (Pattern){.text = text, .excludes = excludes};
        p += n;
    }
    return true;
}

bool tuning_open(Encoder *en, Error *e)
{
    const TrainOptions *o = &en->options.train;
    if (!o->weights && !o->adapters)
        return true;
    if (!(o->rank >= 0 && o->alpha >= 0 && o->dropout >= 0 && o->dropout < 1))
        return fail(e, SP_USAGE,
                    "adapters: expected a rank and an alpha of at least 0 and a dropout from 0 to below 1, found rank "
                    "%lld, alpha %g, dropout %g",
                    (long long)o->rank, o->alpha, (double)o->dropout);
    en->weight_form.rank = o->rank ? o->rank : 8;
    en->weight_form.alpha = o->alpha > 0 ? o->alpha : (double)en->weight_form.rank;
    en->weight_form.dropout = o->dropout;
    en->weight_form.batch = o->batch_norm;
    en->weight_form.seed = o->seed;
    return (en->tuning = NEW(en->arena, struct Tuning, 1, e)) &&
           read_patterns(&en->tuning->weights, o->weights, en->arena, e) &&
           read_patterns(&en->tuning->adapters, o->adapters, en->arena, e);
}

/* Reports whether a pattern matches the name, or an end of the name after a dot. */
static bool fits(const Pattern *p, const char *name)
{
    for (; name; name = strchr(name, '.') ? strchr(name, '.') + 1 : NULL)
        if (fnmatch(p->text, name, 0) == 0)
            return true;
    return false;
}

static bool chosen(Patterns *p, const char *name)
{
    bool is = false;
    for (size_t i = 0; i < p->count; i++)
        if (fits(&p->list[i], name)) {
            p->list[i].used = true;
            is = !p->list[i].excludes;
        }
    return is;
}

/* Returns the layer of a weight: its name without .weight. */
static const char *layer_of(const Array *w, Arena *a, Error *e)
{
    static const char SUFFIX[] = ".weight";
    return arena_strndup(a, w->name.p, w->name.n - (text_ends(w->name, SUFFIX) ? strlen(SUFFIX) : 0), e);
}

WeightForm tuning_weight_form(const Encoder *en, int n, const Array *const *w, const Array *const *b, bool adapts)
{
    WeightForm how = en->weight_form;
    for (int i = 0; en->tuning && i < n; i++) {
        how.train_w |= w[i] && chosen(&en->tuning->weights, w[i]->name.p) ? 1u << i : 0;
        how.train_b |= b && b[i] && chosen(&en->tuning->weights, b[i]->name.p) ? 1u << i : 0;
        const char *layer = adapts && w[i] ? layer_of(w[i], en->arena, &en->tuning->failed) : NULL;
        how.adapt |= layer && chosen(&en->tuning->adapters, layer) ? 1u << i : 0;
    }
    return how;
}

bool tuning_check(const Encoder *en, const ModelSource *s, Error *e)
{
    const Patterns *all[] = {en->tuning ? &en->tuning->weights : NULL, en->tuning ? &en->tuning->adapters : NULL};
    if (en->tuning && en->tuning->failed.code)
        return fail(e, en->tuning->failed.code, "%s", en->tuning->failed.message);
    for (size_t k = 0; en->tuning && k < COUNT(all); k++)
        for (size_t i = 0; i < all[k]->count; i++)
            if (!all[k]->list[i].used)
                return fail(e, SP_USAGE, "%s: no %s that the encoder uses matches %s", s->path,
                            k ? "linear layer" : "weight", all[k]->list[i].text);
    return true;
}

/* ---- the file -------------------------------------------------------------------------------- */

enum { CHUNK = 1 << 16 }; /* numbers */

/* Returns the tensor of this name if training changes it: a parameter, or the running statistics of a batch norm.
 * Otherwise NULL. */
static const Tensor *param_of(const Encoder *en, const char *name)
{
    const Tensor *x = name ? store_find(en->store, name) : NULL;
    return x && (x->param || (en->weight_form.batch && strstr(name, ".running_"))) ? x : NULL;
}

/* Returns the tensor whose numbers replace an array in the file: a parameter, or a constant with its own memory, which
 * training may change (of a batch norm). Otherwise NULL. */
static const Tensor *tensor_of(const Encoder *en, const Array *w)
{
    const Tensor *x = store_find(en->store, w->name.p);
    return x && x->count == w->count && (x->param || (w->type == F32 && x->type == F32 && x->data != w->data)) ? x
                                                                                                               : NULL;
}

typedef struct Change {   /* what changed in an array */
    const Tensor *tensor; /* by tensor_of */
    float *a, *b;         /* the adapter of the array, on the host: [rank, K], [N, rank]; or NULL */
    int64_t rank;
} Change;

static bool change_of(const Encoder *en, const Array *w, Change *c, Arena *a, Error *e)
{
    const Device *d = store_device(en->store);
    *c = (Change){.tensor = tensor_of(en, w)};
    const char *layer = en->weight_form.rank ? layer_of(w, a, e) : NULL;
    const Tensor *A = layer ? param_of(en, arena_printf(a, e, "%s.lora_A.weight", layer)) : NULL,
                 *B = layer ? param_of(en, arena_printf(a, e, "%s.lora_B.weight", layer)) : NULL;
    if (!A || !B || !text_ends(w->name, ".weight"))
        return e->code == SP_OK;
    c->rank = rows_of(A);
    if (!(c->a = NEW(a, float, A->count, e)) || !(c->b = NEW(a, float, B->count, e)))
        return false;
    tensor_read(d, A, 0, A->count, c->a);
    tensor_read(d, B, 0, B->count, c->b);
    return true;
}

/* Adds the adapter to the elements first .. first + n - 1 of an array with rows of K numbers:
 *
 *   x += alpha / rank B A */
static void merge(const Encoder *en, const Change *c, int64_t K, int64_t first, int64_t n, float *x)
{
    double scale = en->weight_form.alpha / (double)c->rank;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = (first + i) / K, column = (first + i) % K;
        double sum = 0;
        for (int64_t r = 0; r < c->rank; r++)
            sum += (double)c->b[row * c->rank + r] * (double)c->a[r * K + column];
        x[i] = (float)((double)x[i] + scale * sum);
    }
}

static bool put_array(const Encoder *en, SafetensorsOut *out, const Array *w, float *host, Arena *a, Error *e)
{
    const Device *d = store_device(en->store);
    Change c;
    if (!change_of(en, w, &c, a, e))
        return false;
    if (!c.tensor && !c.a)
        return safetensors_data(out, w->data, (size_t)w->count * dtype_bytes(w->type), e);
    for (int64_t first = 0; first < w->count; first += CHUNK) {
        int64_t n = MIN((int64_t)CHUNK, w->count - first);
        if (c.tensor)
            tensor_read(d, c.tensor, first, n, host);
        else
            array_f32(w, first, n, host);
        if (c.a)
            merge(en, &c, w->count / w->shape[0], first, n, host);
        if (!safetensors_data(out, host, (size_t)n * sizeof *host, e))
            return false;
    }
    return true;
}

static bool put_all(const Encoder *en, SafetensorsOut *out, Arena *a, Error *e)
{
    float *host = NEW(a, float, CHUNK, e);
    bool ok = host && safetensors_meta(out, "format", "pt", e);
    for (size_t i = 0; ok && i < weights_count(en->weights); i++) {
        const Array *w = weights_at(en->weights, i);
        ArenaMark mark = arena_mark(a);
        Change c;
        ok = change_of(en, w, &c, a, e) &&
             safetensors_declare(out, w->name.p, c.tensor || c.a ? F32 : w->type, w->dims, w->shape, e);
        arena_rewind(a, mark);
    }
    for (size_t i = 0; ok && i < weights_count(en->weights); i++) {
        ArenaMark mark = arena_mark(a);
        ok = put_array(en, out, weights_at(en->weights, i), host, a, e);
        arena_rewind(a, mark);
    }
    return ok;
}

bool encoder_save(const Encoder *en, const char *path, Error *e)
{
    const Heap *heap = store_device(en->store)->heap;
    Arena *a = arena_new(heap, 0);
    SafetensorsOut *out = a ? safetensors_open(path, heap, e) : NULL;
    if (!a)
        fail_memory(e, CHUNK, "saving an encoder");
    bool ok = out && put_all(en, out, a, e);
    arena_free(a);
    if (ok)
        return safetensors_commit(out, e);
    if (out)
        safetensors_discard(out);
    return false;
}

#endif
