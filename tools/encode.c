/* tools/encode.c: sapor encode MODEL INPUT... -o OUT.npy.
 *
 * The id of an image is its file name without the extension. The id of a row of a table is in --id-column. The id of a
 * line of a text file is its number. --ids replaces the ids of images and lines. Ids go to OUT.ids.txt.
 *
 * If an input cannot be read, it has no row and is listed in missing_OUT.tsv. But if only its position identifies the
 * input (a line without --ids; every input if the output is standard output), the first such failure ends the command.
 */
// flags: -Os
#include <math.h>

#include "tools/ducho/extract.h"

const Option encode_options[] = {
    {"out", 'o', "OUT.npy",
     "output file: float32 [N, D], rows in input order, ids in OUT.ids.txt; -: standard output, no ids"},
    {"id-column", 0, "C", "INPUT is a table (.tsv, .csv, -) with a header; C is its column of ids"},
    {"text-column", 0, "C", "the column of texts in that table"},
    {"ids", 0, "FILE", "file with the ids of texts and images: one per line, in input order"},
    {"strict", 0, NULL, "stop at the first input that cannot be read, even if it has an id"},
    {"pool", 0, "P", "cls, mean, max, model (its own pooling, the default) or none (one row per token)"},
    {"normalize", 0, NULL, "scale every row to length 1, even if the model does not"},
    {"layer", 0, "NAME", "output layer (default: the layer that is usual for the model)"},
    {"arch", 0, "NAME", "architecture of a weights file without config.json (`sapor models` lists them)"},
    {"batch", 0, "N", "inputs per batch (default 16)"},
    {"dtype", 0, "T",
     "f32 (default), f16, bf16 or int8: number type of the weights; for transformer models and ResNet"},
    {"score", 0, NULL, "for each image, print the probability and the logit of each text; for CLIP, ALIGN, AltCLIP"},
    {"winograd", 0, "N",
     "tile of Winograd 3x3 convolutions: 4 (default) or 6; 6 is faster on large images, less accurate"},
    OPTION_RESIZE,
    {NULL, 0, NULL, NULL},
};

typedef struct Inputs {
    Input *list;
    size_t count, room;
    size_t lines; /* number of lines of all text files so far */
    bool named;   /* the ids are written to OUT.ids.txt; false: the output is standard output */
} Inputs;

/* Makes room for n more inputs. The caller counts the rows of a large table first, so that the list is not copied as it
 * grows. */
static bool add_room(Inputs *in, Arena *a, size_t n, Error *e)
{
    if (n <= in->room - in->count)
        return true;
    Input *list = NEW(a, Input, in->count + n, e);
    if (!list)
        return false;
    if (in->count)
        memcpy(list, in->list, in->count * sizeof *list);
    in->list = list;
    in->room = in->count + n;
    return true;
}

static bool add_input(Inputs *in, Arena *a, Input one, Error *e)
{
    if (in->count == in->room && !(in->list = arena_grow(a, in->list, in->count, &in->room, sizeof *in->list, e)))
        return false;
    in->list[in->count++] = one;
    return true;
}

/* Adds an image. The id of its row is the file name without the extension. */
static bool add_image(Inputs *in, Arena *a, const char *path, Error *e)
{
    const char *name = file_stem(path, a, e);
    return name && add_input(in, a, (Input){.name = name, .image = path}, e);
}

static bool add_folder(Inputs *in, Arena *a, const char *folder, Error *e)
{
    FolderEntry *entries;
    size_t n, before = in->count;
    if (!folder_list(&entries, &n, a, folder, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (entries[i].is_folder || !is_image_name(entries[i].name))
            continue;
        const char *path = path_join(a, folder, entries[i].name, e);
        if (!path || !add_image(in, a, path, e))
            return false;
    }
    return in->count > before || fail(e, SP_IO, "%s: holds no image (.jpg, .jpeg, .png, .webp)", folder);
}

/* Adds the lines of a text file. The id of a text is its line number over all text files, from 1. */
static bool add_texts(Inputs *in, Arena *a, const char *path, Error *e)
{
    Text rest, line;
    size_t number = 0, before = in->count;
    if (!text_file_read(&rest, a, path, e))
        return false;
    if (strcmp(path, "-") == 0)
        path = "standard input";
    size_t most = 1;
    for (const char *p = rest.p, *end = p + rest.n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        most++;
    if (!add_room(in, a, most, e))
        return false;
    while (text_line(&rest, &line)) {
        const char *name = arena_printf(a, e, "%zu", ++in->lines);
        Input one = {.name = name, .text = line, .source = path, .line = (uint32_t)++number, .by_position = true};
        if (!name || !add_input(in, a, one, e))
            return false;
    }
    return in->count > before || fail(e, SP_FORMAT, "%s: is empty; one text per line is expected", path);
}

static bool add_table(Inputs *in, Arena *a, const char *path, const char *const columns[2], Error *e)
{
    Input *rows;
    size_t n;
    if (folder_exists(path) || is_image_name(path))
        return fail(e, SP_USAGE, "%s: is not a table (.tsv, .csv); --id-column needs one", path);
    if (!table_rows(&rows, &n, path, columns[0], columns[1], a, e))
        return false;
    if (in->count == 0) { /* the usual case: no copy */
        *in = (Inputs){.list = rows, .count = n, .room = n, .lines = in->lines, .named = in->named};
        return true;
    }
    if (!add_room(in, a, n, e))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!add_input(in, a, rows[i], e))
            return false;
    return true;
}

static bool is_table_name(const char *path)
{
    return text_ends(text_of(path), ".tsv") || text_ends(text_of(path), ".csv");
}

static bool add_argument(Inputs *in, Arena *a, const char *path, Error *e)
{
    if (folder_exists(path))
        return add_folder(in, a, path, e);
    if (strcmp(path, "-") == 0 || text_ends(text_of(path), ".txt"))
        return add_texts(in, a, path, e);
    if (!file_exists(path))
        return fail(e, SP_IO, "%s: no such file or folder; to encode a text itself, use INPUT - (standard input)",
                    path);
    if (is_table_name(path))
        return fail(e, SP_USAGE, "%s: a table needs --id-column and --text-column", path);
    return add_image(in, a, path, e);
}

/* Reads --ids: line i is the id of input i, which is an image or a line of a text file. */
static bool read_ids(Inputs *in, Arena *a, const char *path, Error *e)
{
    Text rest, line;
    size_t n = 0;
    if (!text_file_read(&rest, a, path, e))
        return false;
    for (; text_line(&rest, &line); n++) {
        if (!id_check(line, path, n + 1, e))
            return false;
        if (n >= in->count)
            continue;
        Input *one = &in->list[n];
        if (!(one->name = arena_strndup(a, line.p, line.n, e)))
            return false;
        one->by_position = false;
    }
    return n == in->count || fail(e, SP_SHAPE, "%s: has %zu ids, but there are %zu inputs", path, n, in->count);
}

/* Returns the place of the id of input i, for messages: "ids.txt:3", "a.jpg" or "titles.txt:3". */
static const char *id_place(const Inputs *in, size_t i, const char *ids, Arena *a, Error *e)
{
    const Input *one = &in->list[i];
    return ids          ? arena_printf(a, e, "%s:%zu", ids, i + 1)
           : one->image ? one->image
                        : arena_printf(a, e, "%s:%u", one->source, one->line);
}

/* Checks that the ids for OUT.ids.txt are valid (id_check) and unique. */
static bool check_ids(const Inputs *in, const char *ids, Arena *a, Error *e)
{
    TextIndex *seen = text_index_new(a, e);
    for (size_t i = 0; seen && i < in->count; i++) {
        const Input *one = &in->list[i];
        if (one->image && !ids && !id_check(text_of(one->name), one->image, 0, e))
            return false;
        int64_t number = text_index_add(seen, text_of(one->name), e);
        if (number < 0)
            return false;
        if (number == (int64_t)i)
            continue;
        const char *here = id_place(in, i, ids, a, e), *there = id_place(in, (size_t)number, ids, a, e);
        return here && there &&
               fail(e, SP_FORMAT, "%s: duplicate id \"%.60s\", first used at %s; give each row its own id (--ids FILE)",
                    here, one->name, there);
    }
    return seen != NULL;
}

static bool collect(Inputs *in, const Context *c, Error *e)
{
    const char *columns[2] = {option_text(c, "id-column"), option_text(c, "text-column")}, *ids = option_text(c, "ids");
    bool table = columns[0] || columns[1];
    size_t readers = ids && strcmp(ids, "-") == 0; /* number of inputs that read standard input */
    if (table && (!columns[0] || !columns[1]))
        return fail(e, SP_USAGE, "--%s is missing: a table needs --id-column and --text-column",
                    columns[0] ? "text-column" : "id-column");
    if (table && ids)
        return fail(e, SP_USAGE, "--ids: a table has its ids in --id-column; remove one of them");
    for (size_t i = 1; i < c->arg_count; i++)
        readers += strcmp(c->args[i], "-") == 0;
    if (readers > 1)
        return fail(e, SP_USAGE, "-: standard input can be read only once; use - for one input");
    for (size_t i = 1; i < c->arg_count; i++) {
        if (!(table ? add_table(in, c->arena, c->args[i], columns, e) : add_argument(in, c->arena, c->args[i], e)))
            return false;
    }
    if (ids && !read_ids(in, c->arena, ids, e))
        return false;
    for (size_t i = 0; i < in->count && !in->named; i++)
        in->list[i].by_position = true;
    return !in->named || check_ids(in, ids, c->arena, e);
}

/* Returns the path of missing_OUT.tsv, in the folder of OUT.npy. */
static const char *missing_path(const char *out, Arena *a, Error *e)
{
    Text base = path_base(out);
    int before = (int)(base.p - out), n = (int)base.n - (text_ends(base, ".npy") ? 4 : 0);
    return arena_printf(a, e, "%.*smissing_%.*s.tsv", before, out, n, base.p);
}

/* --pool none: one row per token, with the id ID:TOKEN (TOKEN from 0). The rows stay in memory until their number is
 * known. */
typedef struct TokenRows {
    float **states;     /* [inputs]: the rows of each input, [tokens, D] */
    int64_t *tokens;    /* [inputs]: number of tokens */
    const char **names; /* [total]: the ids of the rows */
    size_t room;
    int64_t total;
} TokenRows;

/* Encodes one text to *states [*tokens, D], one row per token. If the text has no row, `why` has the error. */
static bool encode_text_tokens(const Call *call, Tape *t, Text text, float **states, int64_t *tokens, Arena *a,
                               Error *why)
{
    TokenLists lists;
    Results r = {.out = states};
    if (!call_tokenize(call, t, &text, 1, &lists, &r, a, why))
        return false;
    *tokens = (int64_t)lists.start[1];
    *states = NEW(a, float, *tokens * call->outputs[0].floats, why);
    return *states && encode_tokens(call, t, &lists, &r, why);
}

static bool name_tokens(TokenRows *rows, const Input *in, int64_t n, Arena *a, Error *e)
{
    for (int64_t k = 0; k < n; k++, rows->total++) {
        if ((size_t)rows->total == rows->room &&
            !(rows->names = arena_grow(a, rows->names, (size_t)rows->total, &rows->room, sizeof *rows->names, e)))
            return false;
        if (!(rows->names[rows->total] = arena_printf(a, e, "%s:%lld", in->name, (long long)k)))
            return false;
    }
    return true;
}

static bool compute_tokens(Context *c, const FeatureSource *x, const Inputs *in, Tape *t, TokenRows *rows,
                           UnreadableList *unreadable, Error *e)
{
    Progress p;
    progress_start(&p, c->progress, "encode", "items", (double)in->count);
    for (size_t i = 0; i < in->count; i++) {
        const Input *one = &in->list[i];
        Error why = {0};
        if (one->image)
            return fail(e, SP_USAGE, "%s: --pool none supports texts only", one->image);
        if (input_problem(one))
            fail(&why, SP_FORMAT, "%s", input_problem(one));
        else
            encode_text_tokens(x->texts, t, one->text, &rows->states[i], &rows->tokens[i], c->arena, &why);
        if (why.code) {
            bool ends = one->by_position || why.code == SP_MEMORY || why.code == SP_USAGE;
            rows->tokens[i] = 0;
            if (!unreadable_add(ends ? NULL : unreadable, one, &why, c->arena, e))
                return false;
        }
        if (!name_tokens(rows, one, rows->tokens[i], c->arena, e))
            return false;
        progress_step(&p, (double)(i + 1), NULL);
    }
    if (rows->total == 0)
        return unreadable_fail(unreadable, in->count, e);
    progress_end(&p, NULL);
    return true;
}

static bool encode_tokens_to(Context *c, const FeatureSource *x, const Inputs *in, const char *out, int64_t *total,
                             UnreadableList *unreadable, Error *e)
{
    const Device *d = context_device(c, e);
    if (!x->encoder)
        return fail(e, SP_USAGE, "--pool none: statistics have no tokens");
    if (!x->texts)
        return x->encoder->kind->modalities & MODALITY_TEXT
                   ? fail(e, SP_USAGE, "--pool none: supports texts only; these inputs are images")
                   : fail(e, SP_USAGE, "--pool none: supports texts only; %s models encode images",
                          x->encoder->kind->name);
    Tape *t = d ? tape_new(d, false, e) : NULL;
    TokenRows rows = {.states = NEW(c->arena, float *, in->count, e), .tokens = NEW(c->arena, int64_t, in->count, e)};
    bool ok = t && rows.states && rows.tokens && compute_tokens(c, x, in, t, &rows, unreadable, e);
    tape_free(t);
    NpyOut *npy = ok ? npy_create(out, F32, 2, (int64_t[]){rows.total, x->features}, c->heap, e) : NULL;
    for (size_t i = 0; npy && i < in->count; i++)
        if (!npy_data(npy, rows.states[i], (size_t)(rows.tokens[i] * x->features) * sizeof(float), e)) {
            npy_discard(npy);
            return false;
        }
    *total = rows.total;
    return npy && features_commit(c, npy, out, rows.names, (size_t)rows.total, e);
}

/* Returns the towers that the inputs need, as MODALITY_ flags. */
static unsigned towers_of(const Inputs *in)
{
    unsigned towers = 0;
    for (size_t i = 0; i < in->count; i++)
        towers |= in->list[i].image ? MODALITY_IMAGE : MODALITY_TEXT;
    return towers;
}

/* ---- scores ---------------------------------------------------------------------------------- */

/* The inputs of one modality and their rows of features, in the order of the command line. */
typedef struct Rows {
    Input *list;
    size_t count, features;
    float *out; /* [count, features] */
} Rows;

static bool keep_scored(void *arg, size_t first, size_t n, const float *rows, Error *e)
{
    Rows *r = arg;
    (void)e;
    memcpy(r->out + first * r->features, rows, n * r->features * sizeof *rows);
    return true;
}

static bool encode_rows(Context *c, const FeatureSource *x, Rows *r, size_t batch, const char *label, Error *e)
{
    size_t floats;
    r->features = (size_t)x->features;
    if (!size_mul(r->count, r->features, &floats))
        return fail_memory(e, SIZE_MAX, label);
    return (r->out = NEW(c->arena, float, floats, e)) &&
           extract_features(c, x, r->list, r->count, batch, label, keep_scored, r, NULL, e);
}

/* Prints a text as one field: control characters become spaces. */
static void print_text(Text text)
{
    for (size_t i = 0; i < text.n; i++)
        putchar((unsigned char)text.p[i] < ' ' || text.p[i] == 127 ? ' ' : text.p[i]);
}

static void print_score(const Context *c, const Input *image, const Input *text, double probability, double logit)
{
    if (c->json) {
        JsonWriter w = {.to = stdout};
        json_object(&w, NULL);
        json_put_string(&w, "image", image->image);
        json_put_text(&w, "text", text->text);
        json_put_number(&w, "probability", "%.9g", probability);
        json_put_number(&w, "logit", "%.9g", logit);
        json_finish(&w);
        return;
    }
    print_text(text_of(image->image));
    putchar('\t');
    print_text(text->text);
    printf("\t%.6f\t%.6g\n", probability, logit);
}

/* Prints the logits of one image, and their softmax over all texts. */
static bool score_image(const Context *c, const Rows *images, size_t i, const Rows *texts, double scale, double *logits,
                        Error *e)
{
    const float *a = images->out + i * images->features;
    double largest = -INFINITY, sum = 0;
    for (size_t j = 0; j < texts->count; j++) {
        const float *b = texts->out + j * texts->features;
        double dot = 0;
        for (size_t d = 0; d < texts->features; d++)
            dot += (double)a[d] * b[d];
        logits[j] = scale * dot;
        largest = MAX(largest, logits[j]);
    }
    for (size_t j = 0; j < texts->count; j++)
        sum += exp(logits[j] - largest);
    for (size_t j = 0; j < texts->count; j++)
        print_score(c, &images->list[i], &texts->list[j], exp(logits[j] - largest) / sum, logits[j]);
    return !ferror(stdout) || output_flush(e);
}

static bool encode_scores(Context *c, const EncoderOptions *o, size_t batch, Error *e)
{
    static const char *const UNSUPPORTED[] = {"out", "layer", "pool", "normalize", "ids", "id-column", "text-column"};
    FeatureSource x;
    Inputs in = {0};
    for (size_t i = 0; i < COUNT(UNSUPPORTED); i++)
        if (option_given(c, UNSUPPORTED[i]))
            return fail(e, SP_USAGE, "--%s: --score does not support this option; remove it", UNSUPPORTED[i]);
    if (!collect(&in, c, e))
        return false;
    Rows images = {.list = NEW(c->arena, Input, in.count, e)}, texts = {.list = NEW(c->arena, Input, in.count, e)};
    if (!images.list || !texts.list)
        return false;
    for (size_t i = 0; i < in.count; i++) {
        Rows *to = in.list[i].image ? &images : &texts;
        to->list[to->count++] = in.list[i];
    }
    if (!images.count || !texts.count)
        return fail(e, SP_USAGE, "--score: no %s among the inputs; give images and a .txt file with a text per line",
                    images.count ? "text" : "image");
    if (!feature_source_open(&x, c, c->args[0], MODALITY_IMAGE | MODALITY_TEXT, o, &(CallOptions){0}, e))
        return false;
    double scale = x.encoder ? x.encoder->logit_scale : 0, *logits = NEW(c->arena, double, texts.count, e);
    bool ok = logits != NULL;
    if (ok && !(fabs(scale) > 0 && isfinite(scale)))
        ok =
            fail(e, SP_USAGE, "%s: does not compare images with texts; --score needs a model as CLIP, ALIGN or AltCLIP",
                 c->args[0]);
    ok = ok && encode_rows(c, &x, &images, batch, "images", e) && encode_rows(c, &x, &texts, batch, "texts", e);
    if (ok && !c->json)
        printf("image\ttext\tprobability\tlogit\n");
    for (size_t i = 0; ok && i < images.count; i++)
        ok = score_image(c, &images, i, &texts, scale, logits, e);
    feature_source_close(&x);
    return ok;
}

bool encode_command(Context *c, Error *e)
{
    static const char *const POOLS[] = {"model", "cls", "mean", "max", "none"};
    static const Pooling POOL_CODES[] = {POOL_MODEL, POOL_CLS, POOL_MEAN, POOL_MAX, POOL_NONE};
    int pool = 0;
    Pack dtype = PACK_F32;
    int winograd = 0;
    Resizer resizer = RESIZE_PILLOW;
    int64_t batch = 16;
    UnreadableList list = {0}, *unreadable = option_given(c, "strict") ? NULL : &list;
    const char *out = option_text(c, "out");
    bool score = option_given(c, "score");
    if (!out && !score)
        return fail(e, SP_USAGE, "encode: -o OUT.npy (output file) is missing");
    bool to_stdout = !out || strcmp(out, "-") == 0;
    if (out && to_stdout && c->json)
        return fail(e, SP_USAGE, "-o -: --json writes to standard output too; remove one of them");
    const char *missing = to_stdout ? NULL : missing_path(out, c->arena, e);
    if (!to_stdout && (!missing || !output_check(c, "out", missing, e)))
        return false;
    if (!option_choice(c, "pool", POOLS, COUNT(POOLS), &pool, e) || !option_dtype(c, &dtype, e) ||
        !option_winograd(c, &winograd, e) || !option_resize(c, &resizer, e) ||
        !option_i64(c, "batch", 1, 1 << 16, &batch, e))
        return false;
    EncoderOptions o = {.arch = option_text(c, "arch"), .dtype = dtype, .winograd = winograd, .resizer = resizer};
    if (score)
        return encode_scores(c, &o, (size_t)batch, e);
    OutputOptions output = {
        .name = option_text(c, "layer"), .pool = POOL_CODES[pool], .normalize = option_given(c, "normalize")};
    CallOptions call = {.outputs = &output, .output_count = 1};
    FeatureSource x;
    Inputs in = {.named = !to_stdout};
    double begun = now_seconds();
    static const char *const MODEL_OPTIONS[] = {"pool", "normalize", "layer", "arch", "dtype", "winograd", "resize"};
    for (size_t i = 0; i < COUNT(MODEL_OPTIONS) && statistics_find(c->args[0]); i++)
        if (option_given(c, MODEL_OPTIONS[i]))
            return fail(e, SP_USAGE, "--%s: %s does not support this option; remove it", MODEL_OPTIONS[i], c->args[0]);
    const char *ids = npy_ids_path(out, c->arena, e);
    if (!ids || !output_check(c, "out", ids, e) || (missing && !output_check(c, "out", missing, e)) ||
        !collect(&in, c, e) || !feature_source_open(&x, c, c->args[0], towers_of(&in), &o, &call, e))
        return false;
    int64_t rows = (int64_t)in.count, features = x.features;
    double loaded = now_seconds();
    bool ok = output.pool == POOL_NONE
                  ? encode_tokens_to(c, &x, &in, out, &rows, unreadable, e)
                  : features_write(c, &x, in.list, in.count, (size_t)batch, "encode", out, unreadable, e);
    if (output.pool != POOL_NONE)
        rows -= (int64_t)list.count;
    feature_source_close(&x);
    double seconds = now_seconds() - loaded;
    ok = ok && (!missing || unreadable_write(&list, missing, c->heap, e));
    if (ok)
        unreadable_warn(&list, in.count, missing, c->progress);
    if (ok && c->json) {
        JsonWriter w = json_record(stdout, "event", "result");
        json_members(&w, "inputs %zu rows %lld missing %zu features %lld load_seconds %.4f", in.count, (long long)rows,
                     list.count, (long long)features, loaded - begun);
        json_members(&w, "seconds %.4f items_per_second %.2f peak_rss_bytes %zu", seconds, (double)in.count / seconds,
                     peak_rss_bytes());
        json_finish(&w);
    }
    return ok;
}
