/* extractors/models/convnorm.c: a convolution with its batch norm and activation, and its intermediate results. */
// flags: -Os
#include "extractors/models/convnorm.h"

void convnorm_none(ConvNorm *c)
{
    c->conv = c->norm = c->sum = c->act = -1;
}

bool convnorm_load(Loader *l, ConvNorm *to, int64_t C, const char *conv, const char *norm, double eps, int64_t stride,
                   int64_t pad, int64_t groups)
{
    if (!load_conv(l, &to->whole, C, conv, norm, eps, stride, pad, groups))
        return false;
    if (to->whole.norm.gamma) { /* the norm is not folded: `bare` uses the same weights, which may be parameters */
        to->bare = to->whole;
        to->bare.norm = (Norm2d){0};
        return true;
    }
    return to->conv < 0 || load_conv(l, &to->bare, C, conv, NULL, 0, stride, pad, groups);
}

Tensor *convnorm(Tape *t, Pass *p, Tensor *x, const ConvNorm *c, Tensor *residual, Act act)
{
    if (pass_requests(p, c->conv))
        pass_put(p, c->conv, conv(t, x, &c->bare, NULL, ACT_NONE));
    if (pass_requests(p, c->norm))
        pass_put(p, c->norm, conv(t, x, &c->whole, NULL, ACT_NONE));
    if (pass_requests(p, c->sum))
        pass_put(p, c->sum, conv(t, x, &c->whole, residual, ACT_NONE));
    x = conv(t, x, &c->whole, residual, act);
    pass_put(p, c->act, x);
    return x;
}

Tensor *convnorm_head(Tape *t, Pass *p, Tensor *x, bool need_mean, int pool, int logits, const Linear *fc)
{
    if (!need_mean && !pass_requests(p, pool) && !pass_requests(p, logits))
        return NULL;
    x = mean_pool(t, x);
    pass_put(p, pool, x);
    if (pass_requests(p, logits))
        pass_put(p, logits, linear(t, x, fc));
    return x;
}

/* Returns the padding of one side, divided into *before and *after. */
static void same_padding(int64_t in, int64_t kernel, int64_t stride, int64_t *before, int64_t *after)
{
    int64_t all = MAX(((in + stride - 1) / stride - 1) * stride + kernel - in, 0);
    *before = all / 2;
    *after = all - *before;
}

const Conv2d *conv_same(Tape *t, const Tensor *x, const Conv2d *c)
{
    Conv2d *same = tape_scratch(t, 1, sizeof *same);
    if (!same)
        return c;
    *same = *c;
    same_padding(x->shape[1], c->kh, c->stride, &same->top, &same->bottom);
    same_padding(x->shape[2], c->kw, c->stride, &same->left, &same->right);
    return same;
}
