/* recsys/train/vectors.c: makes and checks the vectors of an epoch, and evaluates them. */
#include "recsys/train/train.h"

#include <float.h>
#include <math.h>

bool products_fit(double user, double item, int64_t D)
{
    return user * item * (double)D < (double)FLT_MAX;
}

/* *largest: the largest magnitude in x. Every number must be finite. */
static bool check_finite(const Model *m, const Tensor *x, const char *whose, int64_t epoch, double *largest, Arena *a,
                         Error *e)
{
    enum { CHUNK = 1 << 16 };
    ArenaMark mark = arena_mark(a);
    float *host = NEW(a, float, MIN(x->count, (int64_t)CHUNK), e);
    *largest = 0;
    for (int64_t at = 0; host && at < x->count; at += CHUNK) {
        int64_t n = MIN((int64_t)CHUNK, x->count - at);
        tensor_read(store_device(m->store), x, at, n, host);
        for (int64_t i = 0; i < n; i++) {
            if (!isfinite(host[i]))
                return fail(e, SP_FORMAT, "%s: the %s vectors contain %f after epoch %lld; try a smaller lr than %s",
                            m->kind->name, whose, (double)host[i], (long long)epoch, LR_AS_GIVEN(m));
            *largest = fmax(*largest, fabs((double)host[i]));
        }
    }
    arena_rewind(a, mark);
    return host != NULL;
}

/* Checks the vectors. A step can exceed float32 after its loss was computed. Such vectors are not ranked, and vectors
 * that trained_open would refuse are not written. */
static bool check_vectors(const Model *m, const Evaluation *v, int64_t epoch, Arena *a, Error *e)
{
    double user, item;
    return check_finite(m, v->users, "users'", epoch, &user, a, e) &&
           check_finite(m, v->items, "items'", epoch, &item, a, e) &&
           (products_fit(user, item, cols_of(v->users)) ||
            fail(e, SP_FORMAT,
                 "%s: the users' vectors contain %g and the items' %g after epoch %lld: their products are too large "
                 "for float32; try a smaller lr than %s",
                 m->kind->name, user, item, (long long)epoch, LR_AS_GIVEN(m)));
}

bool evaluation_make(Evaluation *v, Model *m, int64_t epoch, const EvalConfig *c, bool by_user, Arena *scratch,
                     Error *e)
{
    *v = (Evaluation){.tape = tape_new(store_device(m->store), false, e)};
    (m->data->test.start ? &v->test : &v->valid)->keep_by_user = by_user;
    bool ok = v->tape != NULL;
    if (ok && m->kind->represent) {
        tape_reset(v->tape, (Draw){m->seed, DRAW_EVALUATION, (uint32_t)epoch});
        ok = m->kind->represent(v->tape, m, &v->users, &v->items) && tape_ok(v->tape, e) &&
             check_vectors(m, v, epoch, scratch, e);
    }
    return ok && evaluate_model(m, v->users, v->items, c, &v->valid, &v->test, scratch, e);
}

const Scores *evaluation_by_user(const Evaluation *v)
{
    return v->test.mean ? &v->test : v->valid.mean ? &v->valid : NULL;
}

void evaluation_free(Evaluation *v)
{
    tape_free(v->tape);
}
