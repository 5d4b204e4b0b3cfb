/* extractors/models/prenorm.c: the pre-norm transformer that ViT, both towers of CLIP and similar models share. The
 * models differ in their names, in the tokens at the beginning, and in the rows that are used at the end. */
// flags: -Os
#include "extractors/models/prenorm.h"

enum { MAX_TOKENS = 1 << 20 };

/* ---- blocks ---------------------------------------------------------------------------------- */

/* "encoder.layer.3" */
static const char *block_name(Loader *l, const PreNormNames *n, int64_t at)
{
    return load_name(l, "%s%s%lld", n->layer, n->between ? n->between : ".", (long long)at);
}

static bool load_qkv(Loader *l, Linear *to, const PreNormNames *n, int64_t C, bool bias, const char *block)
{
    if (!n->q)
        return load_fused(l, to, 3 * C, C, load_name(l, "%s.%s", block, n->qkv_weight),
                          bias ? load_name(l, "%s.%s", block, n->qkv_bias) : NULL);
    const char *qkv[3] = {load_name(l, "%s.%s", block, n->q), load_name(l, "%s.%s", block, n->k),
                          load_name(l, "%s.%s", block, n->v)};
    return load_stacked(l, to, 3, C, C, bias, qkv);
}

static bool load_block(Loader *l, PreNorm *b, const PreNormNames *n, int64_t C, double eps, bool qkv_bias, int64_t at)
{
    const char *block = block_name(l, n, at);
    return load_norm(l, &b->norm1, C, eps, load_name(l, "%s.%s", block, n->norm1)) &&
           load_qkv(l, &b->qkv, n, C, qkv_bias, block) &&
           load_linear(l, &b->out, C, C, true, load_name(l, "%s.%s", block, n->out)) &&
           load_norm(l, &b->norm2, C, eps, load_name(l, "%s.%s", block, n->norm2)) &&
           load_linear(l, &b->fc1, -1, C, true, load_name(l, "%s.%s", block, n->fc1)) &&
           load_linear(l, &b->fc2, C, b->fc1.N, true, load_name(l, "%s.%s", block, n->fc2));
}

bool prenorm_load(Loader *l, PreNormModel *m, const PreNormNames *n, int64_t C, double eps, bool qkv_bias)
{
    int64_t found = 0;
    m->C = C;
    while (loader_has(l, "%s.%s.weight", block_name(l, n, found), n->norm1))
        found++;
    if (!config_fits(l, m->layers, found, m->H, C) ||
        !(m->layer = NEW(l->encoder->arena, PreNorm, m->layers, l->error)))
        return false;
    for (int64_t i = 0; i < m->layers; i++)
        if (!load_block(l, &m->layer[i], n, C, eps, qkv_bias, i))
            return false;
    return true;
}

/* Adds one node. The first name is its own; the other names go to `also`. Returns its number, or -1. */
static int add_node(Loader *l, Output o, const char *block, const char *names)
{
    Text rest = text_of(names ? names : ""), part;
    const char *first = NULL, *also = NULL;
    while (names && text_next(&rest, ' ', &part)) {
        const char *name = load_name(l, "%s.%.*s", block, (int)part.n, part.p);
        if (!first)
            first = name;
        else
            also = also ? load_name(l, "%s %s", also, name) : name;
    }
    o.also = also;
    return first ? output_inner(l, o, "%s", first) : -1;
}

bool prenorm_nodes(Loader *l, PreNormModel *m, unsigned modality, const PreNormNames *names,
                   const PreNormNodeNames *nodes)
{
    PreNormNodes *list = NEW(l->encoder->arena, PreNormNodes, m->layers, l->error);
    m->nodes = list;
    for (int64_t i = 0; list && i < m->layers; i++) {
        const char *block = block_name(l, names, i);
        Output o = {.modality = modality, .rows = ROWS_TOKENS, .depth = i + 1, .width = m->C}, wide = o;
        wide.width = m->layer[i].fc1.N;
        list[i] = (PreNormNodes){.norm1 = add_node(l, o, block, nodes->norm1),
                                 .attended = add_node(l, o, block, nodes->attended),
                                 .sum = add_node(l, o, block, nodes->sum),
                                 .norm2 = add_node(l, o, block, nodes->norm2),
                                 .fc1 = add_node(l, wide, block, nodes->fc1),
                                 .act = add_node(l, wide, block, nodes->act),
                                 .mlp = add_node(l, o, block, nodes->mlp)};
    }
    return l->error->code == SP_OK;
}

static Tensor *attend(Tape *t, const PreNormModel *m, const PreNorm *b, Pass *p, const PreNormNodes *n, Tensor *x,
                      const Ragged *r)
{
    Tensor *h = layer_norm(t, x, &b->norm1);
    pass_put(p, n->norm1, h);
    return attention(t, linear(t, h, &b->qkv), r, m->H, (Relative){0}, m->causal);
}

/* Computes the rest of a block after the attention. The fused ops do not give some of the nodes; such a node is
 * computed by its own op. */
static Tensor *finish(Tape *t, const PreNormModel *m, const PreNorm *b, Pass *p, const PreNormNodes *n, Tensor *x,
                      Tensor *attended)
{
    if (pass_requests(p, n->attended))
        pass_put(p, n->attended, linear(t, attended, &b->out));
    x = linear_add(t, attended, &b->out, x);
    pass_put(p, n->sum, x);
    Tensor *h = layer_norm(t, x, &b->norm2);
    pass_put(p, n->norm2, h);
    if (pass_requests(p, n->fc1))
        pass_put(p, n->fc1, linear(t, h, &b->fc1));
    h = linear_act(t, h, &b->fc1, m->act, 0);
    pass_put(p, n->act, h);
    if (pass_requests(p, n->mlp))
        pass_put(p, n->mlp, linear(t, h, &b->fc2));
    return linear_add(t, h, &b->fc2, x);
}

/* Reports whether a call needs rows of all tokens inside a block. */
static bool asks_inside(const Pass *p, const PreNormNodes *n)
{
    return pass_requests(p, n->attended) || pass_requests(p, n->sum) || pass_requests(p, n->norm2) ||
           pass_requests(p, n->fc1) || pass_requests(p, n->act) || pass_requests(p, n->mlp);
}

static Tensor *pick(Tape *t, Tensor *x, const Ragged *r, Tensor *at)
{
    return at ? gather(t, x, at) : pool_ragged(t, x, r, REDUCE_FIRST);
}

Tensor *prenorm_run(Tape *t, const PreNormModel *m, Pass *p, Tensor *x, const Ragged *r, Tensor *at)
{
    static const PreNormNodes NONE = {-1, -1, -1, -1, -1, -1, -1};
    int64_t blocks = pass_blocks(p, m->hidden, m->layers), last = m->layers - 1;
    /* all blocks must compute the rows of all tokens */
    bool whole = pass_requests(p, m->last) || pass_requests(p, m->hidden + (int)m->layers);
    pass_put(p, m->hidden, x);
    for (int64_t i = 0; i < blocks; i++) {
        const PreNorm *b = &m->layer[i];
        const PreNormNodes *n = m->nodes ? &m->nodes[i] : &NONE;
        Tensor *h = attend(t, m, b, p, n, x, r);
        if (i == last && asks_inside(p, n))
            whole = true;
        if (i == last && !whole) {
            x = pick(t, x, r, at);
            h = pick(t, h, r, at);
        }
        x = finish(t, m, b, p, n, x, h);
        pass_put(p, m->hidden + (int)i + 1, x);
    }
    if (blocks <= last)
        return NULL;
    if (m->last_before)
        pass_put(p, m->last, x);
    if (whole && m->last_before)
        return layer_norm(t, pick(t, x, r, at), &m->norm);
    x = layer_norm(t, x, &m->norm);
    if (!m->last_before)
        pass_put(p, m->last, x);
    return whole ? pick(t, x, r, at) : x;
}

/* ---- tokens of images ------------------------------------------------------------------------ */

/* Reads image_size: a number or [height, width]; if absent, the square that the positions make. */
static bool image_size(Loader *l, PatchTokens *p, int64_t patch, int64_t N, const char *positions)
{
    const Json *size = config_get(l, "image_size"), *h = size, *w = size;
    if (size && size->type == JSON_ARRAY) {
        h = json_at(size, 0);
        w = json_at(size, 1);
    }
    int64_t side = 1;
    while (side * side < N)
        side++;
    p->height = p->width = side * patch;
    if (size && (!json_i64(h, &p->height) || !json_i64(w, &p->width)))
        return config_bad(l, size, "image_size", "a whole number, or height and width");
    int64_t down = p->height / patch, across = p->width / patch;
    if (down < 1 || across < 1 || N % down != 0 || N / down != across)
        return fail(l->error, SP_FORMAT,
                    "%s: images of %lld x %lld in patches of %lld x %lld do not fit its %lld positions (%s%s)",
                    l->source->path, (long long)p->width, (long long)p->height, (long long)patch, (long long)patch,
                    (long long)N, l->prefix, positions);
    return image_size_fits(p->width, p->height) ||
           fail(l->error, SP_UNSUPPORTED,
                "%s: images of %lld x %lld are not supported: at most 16384 pixels per side, 16,777,216 in all",
                l->source->path, (long long)p->width, (long long)p->height);
}

bool patch_tokens_load(Loader *l, PatchTokens *p, const PatchNames *n)
{
    const Array *w = load_array(l, 4, (int64_t[]){-1, 3, -1, -1}, "%s.weight", n->patches);
    if (!w || (n->bias && !load_array(l, 1, w->shape, "%s.bias", n->patches)))
        return false;
    int64_t C = p->C = w->shape[0], patch = w->shape[2], one[] = {1, 1, C}, all[] = {1, -1, C};
    int dims = n->flat ? 2 : 3;
    if (n->cls && !(p->cls = load_tensor(l, n->flat ? 1 : 3, n->flat ? &C : one, "%s", n->cls)))
        return false;
    if (!(p->positions = load_tensor(l, dims, all + 3 - dims, "%s", n->positions)))
        return false;
    p->T = p->positions->shape[dims - 2];
    int64_t N = p->T - (p->cls != NULL);
    if (C < 1 || patch < 1 || patch != w->shape[3] || N < 1 || p->T > MAX_TOKENS)
        return fail(l->error, SP_UNSUPPORTED, "%s: %lld positions of width %lld, patches of %lld x %lld: not supported",
                    l->source->path, (long long)p->T, (long long)C, (long long)w->shape[3], (long long)patch);
    return image_size(l, p, patch, N, n->positions) && load_conv(l, &p->patches, 3, n->patches, NULL, 0, patch, 0, 1);
}

bool patch_tokens_preset(Loader *l, const PatchTokens *p)
{
    Preset usual = *l->encoder->kind->usual;
    usual.resize = usual.resize * MIN(p->width, p->height) / MIN(usual.width, usual.height);
    usual.width = p->width;
    usual.height = p->height;
    encoder_preset(l->encoder, usual);
    const Preset *set = &l->encoder->image.preset;
    return (set->width == p->width && set->height == p->height) ||
           fail(l->error, SP_USAGE, "%s: expected images of %lld x %lld, not %lld x %lld", l->source->path,
                (long long)p->width, (long long)p->height, (long long)set->width, (long long)set->height);
}

/* Computes the patches and adds their positions by one convolution. The class token's row is before them. */
Tensor *patch_tokens(Tape *t, const PatchTokens *p, const ImageBatch *b, Ragged *r)
{
    int32_t *offsets = tape_scratch(t, b->B + 1, sizeof *offsets);
    const int32_t *zeros = tape_scratch(t, b->B, sizeof *zeros); /* the same row for every image */
    *r = (Ragged){.B = b->B, .total = b->B * p->T, .offsets = offsets};
    if (b->height != p->height || b->width != p->width)
        tape_fail(t, SP_USAGE, "expected images of %lld x %lld, not %lld x %lld", (long long)p->width,
                  (long long)p->height, (long long)b->width, (long long)b->height);
    if (r->total > INT32_MAX)
        tape_fail(t, SP_UNSUPPORTED, "%lld images of %lld patches are too many for one batch", (long long)b->B,
                  (long long)p->T - 1);
    for (int64_t i = 0; offsets && i <= b->B; i++)
        offsets[i] = (int32_t)(i * p->T);
    int64_t cls = p->cls != NULL, N = p->T - cls;
    Tensor *each = input_i32(t, zeros, b->B), *positions = reshape(t, p->positions, 2, (int64_t[]){p->T, p->C});
    Tensor *of_patches = reshape(t, rows(t, positions, cls, N), 2, (int64_t[]){1, N * p->C});
    Tensor *x = input_f32(t, b->pixels, 4, (int64_t[]){b->B, b->height, b->width, 3});
    x = reshape(t, conv(t, x, &p->patches, gather(t, of_patches, each), ACT_NONE), 2, (int64_t[]){b->B, N * p->C});
    if (p->cls) {
        Tensor *first = add(t, reshape(t, p->cls, 2, (int64_t[]){1, p->C}), rows(t, positions, 0, 1));
        x = concat(t, gather(t, first, each), x);
    }
    return reshape(t, x, 2, (int64_t[]){r->total, p->C});
}
