/* encode.c: sapor encode MODEL INPUT... -o OUT.npy. */
#include "tools/features.h"

const Option encode_options[] = {
    {"out", 'o', "OUT.npy", "float32 [N, D], rows in the order given; row names go to OUT.ids.txt"},
    {"pool", 0, "P", "cls, mean, max, model or none (every token a row); default: as the model says"},
    {"normalize", 0, NULL, "rows of length 1, whatever the model says"},
    {"layer", 0, "NAME", "which output (default: the model's own)"},
    {"arch", 0, "NAME", "take a bare weights file for this architecture (`sapor models` lists them)"},
    {"batch", 0, "N", "inputs at a time (default 16)"},
    {"dtype", 0, "T", "f32 (default), f16, bf16 or int8: fewer bits, for transformers and ResNet"},
    {"winograd", 0, "N", "3x3 convolutions by squares of 4 (default) or 6: quicker on large pictures, coarser"},
    {NULL, 0, NULL, NULL},
};

typedef struct Inputs {
    Input *list;
    size_t count, room;
} Inputs;

static bool add_input(Inputs *in, Arena *a, Input one, Error *e)
{
    if (in->count == in->room && !(in->list = arena_grow(a, in->list, in->count, &in->room, sizeof *in->list, e)))
        return false;
    in->list[in->count++] = one;
    return true;
}

/* A picture's row is named by its file, without folder and last ending. */
static bool add_picture(Inputs *in, Arena *a, const char *path, Error *e)
{
    Text base = path_base(path);
    size_t n = base.n;
    while (n > 0 && base.p[n - 1] != '.')
        n--;
    const char *name = arena_strndup(a, base.p, n > 1 ? n - 1 : base.n, e);
    return name && add_input(in, a, (Input){.name = name, .picture = path}, e);
}

static bool add_folder(Inputs *in, Arena *a, const char *folder, Error *e)
{
    FolderEntry *entries;
    size_t n, before = in->count;
    if (!folder_list(&entries, &n, a, folder, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (entries[i].is_folder || !is_picture_name(entries[i].name))
            continue;
        const char *path = path_join(a, folder, entries[i].name, e);
        if (!path || !add_picture(in, a, path, e))
            return false;
    }
    return in->count > before || fail(e, SP_IO, "%s: holds no picture (.jpg, .jpeg, .png, .webp)", folder);
}

/* A text's row is named by its line, from 1. */
static bool add_texts(Inputs *in, Arena *a, const char *path, Error *e)
{
    Text rest, line;
    size_t number = 0, before = in->count;
    if (!text_file_read(&rest, a, path, e))
        return false;
    while (text_line(&rest, &line)) {
        const char *name = arena_printf(a, e, "%zu", ++number);
        if (!name || !add_input(in, a, (Input){.name = name, .text = line}, e))
            return false;
    }
    return in->count > before || fail(e, SP_FORMAT, "%s: is empty; one text a line is wanted", path);
}

static bool collect(Inputs *in, const Context *c, Error *e)
{
    for (size_t i = 1; i < c->arg_count; i++) {
        const char *path = c->args[i];
        bool ok = folder_exists(path)                ? add_folder(in, c->arena, path, e)
                  : text_ends(text_of(path), ".txt") ? add_texts(in, c->arena, path, e)
                  : file_exists(path)                ? add_picture(in, c->arena, path, e)
                                                     : fail(e, SP_IO, "%s: there is no such file or folder", path);
        if (!ok)
            return false;
    }
    return true;
}

/* --pool none: a row for every token, named LINE:TOKEN. How many there are is known at the end only, so they wait in memory. */
static bool encode_tokens(Context *c, const Extractor *x, const Inputs *in, const char *out, int64_t *rows, Error *e)
{
    const Device *d = context_device(c, e);
    Tape *t = d && x->encoder ? tape_new(d, false, e) : NULL;
    if (!x->encoder)
        return fail(e, SP_USAGE, "--pool none: these statistics have no tokens");
    if (!t)
        return false;
    float **states = NEW(c->arena, float *, in->count, e);
    int64_t *tokens = NEW(c->arena, int64_t, in->count, e), total = 0;
    const char **names = NULL;
    size_t name_room = 0;
    bool ok = states && tokens;
    Progress p;
    progress_start(&p, c->progress, "encode", "items", (double)in->count);
    for (size_t i = 0; ok && i < in->count; i++) {
        if (in->list[i].picture)
            ok = fail(e, SP_USAGE, "%s: --pool none is for texts", in->list[i].picture);
        ok = ok && encode_hidden(x->encoder, t, in->list[i].text, &states[i], &tokens[i], c->arena, e);
        for (int64_t k = 0; ok && k < tokens[i]; k++, total++) {
            names =
                (size_t)total < name_room ? names : arena_grow(c->arena, names, (size_t)total, &name_room, sizeof *names, e);
            ok = names && (names[total] = arena_printf(c->arena, e, "%s:%lld", in->list[i].name, (long long)k));
        }
        progress_step(&p, (double)(i + 1), NULL);
    }
    tape_free(t);
    if (ok)
        progress_end(&p, NULL);
    NpyOut *npy = ok ? npy_create(out, F32, 2, (int64_t[]){total, x->features}, c->heap, e) : NULL;
    for (size_t i = 0; npy && i < in->count; i++)
        if (!npy_data(npy, states[i], (size_t)(tokens[i] * x->features) * sizeof **states, e)) {
            npy_discard(npy);
            return false;
        }
    *rows = total;
    return npy && features_commit(c, npy, out, names, (size_t)total, e);
}

bool encode_command(Context *c, Error *e)
{
    static const char *const POOLS[] = {"model", "cls", "mean", "max", "none"};
    static const Pooling POOL_CODES[] = {POOL_MODEL, POOL_CLS, POOL_MEAN, POOL_MAX, POOL_NONE};
    int pool = 0;
    Pack dtype = PACK_F32;
    int winograd = 0;
    int64_t batch = 16;
    const char *out = option_text(c, "out");
    if (!out)
        return fail(e, SP_USAGE, "encode: -o OUT.npy is missing: where the features go");
    if (!option_choice(c, "pool", POOLS, COUNT(POOLS), &pool, e) || !option_dtype(c, &dtype, e) ||
        !option_winograd(c, &winograd, e) || !option_i64(c, "batch", 1, 1 << 16, &batch, e))
        return false;
    EncoderOptions o = {.arch = option_text(c, "arch"),
                        .pool = POOL_CODES[pool],
                        .normalize = option_given(c, "normalize") ? 1 : -1,
                        .layer = option_text(c, "layer"),
                        .dtype = dtype,
                        .winograd = winograd};
    Extractor x;
    Inputs in = {0};
    double begun = now_seconds();
    static const char *const CHOICES[] = {"pool", "normalize", "layer", "arch", "dtype", "winograd"};
    for (size_t i = 0; i < COUNT(CHOICES) && statistics_find(c->args[0]); i++)
        if (option_given(c, CHOICES[i]))
            return fail(e, SP_USAGE, "--%s: %s has no such choice; leave it out", CHOICES[i], c->args[0]);
    const char *ids = features_ids_path(out, c->arena, e);
    if (!ids || !output_check(c, "out", ids, e) || !collect(&in, c, e) || !extractor_open(&x, c, c->args[0], &o, e))
        return false;
    int64_t rows = (int64_t)in.count, features = x.features;
    double loaded = now_seconds();
    bool ok = o.pool == POOL_NONE ? encode_tokens(c, &x, &in, out, &rows, e)
                                  : features_write(c, &x, in.list, in.count, (size_t)batch, "encode", out, e);
    extractor_close(&x);
    double seconds = now_seconds() - loaded;
    if (ok && c->json)
        printf("{\"event\":\"result\",\"inputs\":%zu,\"rows\":%lld,\"features\":%lld,\"load_seconds\":%.4f,\"seconds\":%.4f,"
               "\"items_per_second\":%.2f,\"peak_rss_bytes\":%zu}\n",
               in.count, (long long)rows, (long long)features, loaded - begun, seconds, (double)in.count / seconds,
               peak_rss_bytes());
    return ok;
}
