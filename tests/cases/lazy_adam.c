/* tests/cases/lazy_adam.c: checks that every form of Adam gives the bits of the dense form. */
#include <stdlib.h>

#include "tests/kernel_cases.h"

enum { R = 50, D = 37, INNER = 5, STEPS = 60, TABLE = R * D, FORMS = 3 /* dense, by rows, factored */ };

/* The inputs of a step, and for each form the table with its two moments: p, then m, then v. One copy is in host
 * memory, one on the device. */
typedef struct Host {
    float x[FORMS][3 * TABLE];
    float dy[R * INNER], w[INNER * D], g[TABLE], all[TABLE];
    AdamStep history[STEPS + 1];
    int32_t ids[R], last[2][R];
} Host;

typedef struct Test {
    const Kernels *k;
    Run run;
    Host *host, *device;
    void *gemm_work;
    size_t gemm_bytes;
} Test;

static Gemm gradient(const Test *t, int64_t n)
{
    return (Gemm){.M = n,
                  .N = D,
                  .K = INNER,
                  .A = t->device->dy,
                  .a_row = INNER,
                  .a_col = 1,
                  .B = t->device->w,
                  .b_row = D,
                  .b_col = 1,
                  .C = t->device->g,
                  .ldc = D,
                  .alpha = 1.0f};
}

/* Draws the rows of the step and their gradient. Rows with low numbers are drawn rarely, rows 0 and 1 never: row r has
 * probability (r / 2) / R, with r / 2 rounded down. The dense form gets the gradient of all rows (`all`), with zeros in
 * the rows that were not drawn. */
static void take_step(Test *t, int step, bool decays)
{
    const Kernels *k = t->k;
    Host *h = t->host, *d = t->device;
    const Draw draw = {2, DRAW_TEST, (uint32_t)step};
    const AdamStep s = adam_step(0.01 / step, 0.9, 0.999, 1e-8, decays ? 0.1 : 0, step);
    int n = 0;
    for (int32_t r = 0; r < R; r++)
        if ((int)draw_below(draw, (uint64_t)r, R) < r / 2)
            h->ids[n++] = r;
    for (int i = 0; i < R * INNER; i++)
        h->dy[i] = draw_normal(draw, (uint64_t)(1000 + i));
    for (int i = 0; i < INNER * D; i++)
        h->w[i] = draw_normal(draw, (uint64_t)(1000 + R * INNER + i));
    k->upload(&t->run, d->ids, h->ids, sizeof h->ids);
    k->upload(&t->run, d->dy, h->dy, sizeof h->dy);
    k->upload(&t->run, d->w, h->w, sizeof h->w);
    k->adam_note(&t->run, &s, step, d->history);
    const Run run = {.context = t->run.context, .work = t->gemm_work, .work_bytes = t->gemm_bytes};
    const Gemm product = gradient(t, n);
    k->gemm(&run, &product);
    k->download(&t->run, h->g, d->g, sizeof h->g);
    memset(h->all, 0, sizeof h->all);
    for (int i = 0; i < n; i++)
        memcpy(h->all + h->ids[i] * D, h->g + i * D, D * sizeof *h->g);
    k->upload(&t->run, d->all, h->all, sizeof h->all);
    k->adam(&t->run, TABLE, &s, d->all, d->x[0], d->x[0] + TABLE, d->x[0] + 2 * TABLE);
    k->adam_rows(&t->run, n, D, d->ids, d->history, step, d->g, d->last[0], d->x[1], d->x[1] + TABLE,
                 d->x[1] + 2 * TABLE);
    k->adam_factored(&t->run, n, D, INNER, d->ids, d->history, step, d->dy, d->w, d->last[1], d->x[2], d->x[2] + TABLE,
                     d->x[2] + 2 * TABLE);
}

static bool same_bits(float a, float b)
{
    uint32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

static bool compare(Test *t, char why[512])
{
    static const char *const names[FORMS] = {"adam", "adam_rows", "adam_factored"};
    Host *h = t->host, *d = t->device;
    for (int form = 1; form < FORMS; form++)
        t->k->adam_replay(&t->run, R, D, NULL, d->history, STEPS, d->last[form - 1], d->x[form], d->x[form] + TABLE,
                          d->x[form] + 2 * TABLE);
    t->k->download(&t->run, h->x, d->x, sizeof h->x);
    t->k->download(&t->run, h->last, d->last, sizeof h->last);
    for (int form = 1; form < FORMS; form++) {
        for (int r = 0; r < R; r++)
            if (h->last[form - 1][r] != STEPS)
                return snprintf(why, 512, "%s: row %d is at step %d", names[form], r, h->last[form - 1][r]) < 0;
        for (int i = 0; i < 3 * TABLE; i++)
            if (!same_bits(h->x[0][i], h->x[form][i]))
                return snprintf(why, 512, "%s: %c[%d] has other bits than adam's: %.9g, %.9g", names[form],
                                "pmv"[i / TABLE], i % TABLE, (double)h->x[form][i], (double)h->x[0][i]) < 0;
    }
    return true;
}

/* Takes sixty steps, each with a gradient for some rows. The dense form updates the whole table, the lazy forms the
 * listed rows only. Delayed steps must not change a bit. */
bool lazy_adam_check(const Kernels *k, void *context, char why[512])
{
    const Run plain = {.context = context};
    size_t work = 0;
    for (int n = 0; n <= R; n++) /* a shorter list may need more scratch than a longer one */
        work = MAX(work, k->adam_factored_work(&plain, n, D, INNER));
    Test t = {.k = k, .host = calloc(1, sizeof *t.host), .device = k->alloc(&plain, NULL, sizeof *t.device)};
    t.run = (Run){.context = context, .work = k->alloc(&plain, NULL, work + 1), .work_bytes = work};
    for (int n = 0; n <= R && t.device; n++) {
        const Gemm product = gradient(&t, n);
        t.gemm_bytes = MAX(t.gemm_bytes, k->gemm_work(&plain, &product));
    }
    t.gemm_work = k->alloc(&plain, NULL, t.gemm_bytes + 1);
    bool ok = t.host && t.device && t.run.work && t.gemm_work;
    snprintf(why, 512, "out of memory");
    for (int decays = 0; ok && decays < 2; decays++) {
        memset(t.host, 0, sizeof *t.host);
        for (int form = 0; form < FORMS; form++)
            for (int i = 0; i < TABLE; i++)
                t.host->x[form][i] = draw_normal((Draw){1, DRAW_TEST, 0}, (uint64_t)i);
        k->upload(&t.run, t.device, t.host, sizeof *t.host);
        for (int step = 1; step <= STEPS; step++)
            take_step(&t, step, decays);
        ok = compare(&t, why);
    }
    if (t.gemm_work)
        k->free(&plain, NULL, t.gemm_work, t.gemm_bytes + 1);
    if (t.run.work)
        k->free(&plain, NULL, t.run.work, work + 1);
    if (t.device)
        k->free(&plain, NULL, t.device, sizeof *t.device);
    free(t.host);
    return ok;
}
