/* tools/ducho/extract.c: sapor extract CONFIG.yml: reads a configuration of Ducho and writes its folders of .npy files
 * (recipes.md 9.3).
 *
 * Resuming: OUTPUT/.sapor/<key>/manifest.tsv has one line per finished item: id, hash of its input, hash of its
 * features. The key is a hash of the settings and the model files. An item is skipped if its line matches its present
 * input and its present file. The whole manifest is rewritten every few seconds; after a kill, items without a line are
 * computed again.
 *
 * An item that cannot be read does not stop the others. It is listed with its reason in
 * OUTPUT/backend/model/missing_<layer>.tsv, and the next run tries it again. */
// flags: -Os
#include "tools/ducho/extract.h"

#include <stdlib.h>

const Option extract_options[] = {
    {"shard", 0, "I/N",
     "process only every Nth item, starting with the Ith: 1/4, 2/4, ... divide the work among processes"},
    {"dataset_path", 0, "DIR", "replaces dataset_path of the configuration"},
    {"strict", 0, NULL, "exit status 1 if an item cannot be read; the other items are still processed"},
    {NULL, 0, NULL, NULL},
};

typedef struct Shard {
    int64_t index, count; /* index from 0 */
} Shard;

/* Hashes of an item's input and of its features. */
typedef struct Done {
    uint64_t input, output;
} Done;

typedef struct Extracting {
    Context *c;
    const Extraction *x;
    Arena *arena;
    const char *state;    /* OUTPUT/.sapor/<key> */
    const char *manifest; /* this process's */
    TextIndex *ids;       /* of finished items */
    Done *done;           /* by their number */
    size_t room;
    Input *items;     /* still to do */
    uint64_t *inputs; /* their hashes */
    size_t count;
    UnreadableList unreadable;
    size_t skipped;      /* items with unchanged features */
    const char *missing; /* the list of unreadable items */
    Error *strict;       /* with --strict: the first error, reported at the end */
    int64_t features;
    double noted; /* when the manifest was written */
    FeatureSource source;
    bool opened; /* the source */
} Extracting;

/* ---- settings as a number -------------------------------------------------------------------- */

static bool hash_file(uint64_t *h, const char *path, Error *e)
{
    Map m;
    if (!map_open(&m, path, e))
        return false;
    *h = hash_bytes(m.data, m.bytes, *h);
    map_close(&m);
    return true;
}

static bool is_model_file(const char *name)
{
    static const char *const ENDS[] = {".json", ".txt", ".model", ".safetensors", ".bin", ".pth", ".pt"};
    for (size_t i = 0; i < COUNT(ENDS); i++)
        if (text_ends(text_of(name), ENDS[i]))
            return true;
    return false;
}

/* The bytes of a model: its file, or its folder's configurations and weights and the JSON of folders inside. */
static bool hash_model(uint64_t *h, const char *path, int depth, Arena *a, Error *e)
{
    FolderEntry *entries;
    size_t n;
    if (!folder_exists(path))
        return hash_file(h, path, e);
    if (!folder_list(&entries, &n, a, path, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *inside = path_join(a, path, entries[i].name, e);
        bool wanted = entries[i].is_folder ? depth == 0
                      : depth == 0         ? is_model_file(entries[i].name)
                                           : text_ends(text_of(entries[i].name), ".json");
        if (!inside || (wanted && !hash_model(h, inside, depth + 1, a, e)))
            return false;
    }
    return true;
}

static bool hash_settings(uint64_t *h, const Extraction *x, const char *model, Arena *a, Error *e)
{
    const char *text = arena_printf(a, e, "sapor extract 1|%u|%s|%s|%d|%lldx%lld|%d|%.9g %.9g %.9g|%.9g %.9g %.9g",
                                    x->modality, x->backend, x->layer, x->clear_text, (long long)x->reshape[0],
                                    (long long)x->reshape[1], x->scale, (double)x->mean[0], (double)x->mean[1],
                                    (double)x->mean[2], (double)x->std[0], (double)x->std[1], (double)x->std[2]);
    *h = text ? hash_bytes(text, strlen(text), 0) : 0;
    if (text && statistics_find(x->model))
        *h = hash_bytes(x->model, strlen(x->model), *h);
    return text && (statistics_find(x->model) || hash_model(h, model, 0, a, e));
}

/* ---- the manifest ---------------------------------------------------------------------------- */

static bool note_done(Extracting *w, Text id, Done d, Error *e)
{
    Done *done = arena_grow(w->arena, w->done, (size_t)text_index_count(w->ids), &w->room, sizeof *w->done, e);
    if (!done)
        return false;
    w->done = done;
    int64_t number = text_index_add(w->ids, id, e);
    if (number < 0)
        return false;
    done[number] = d;
    return true;
}

static bool read_hash(Text t, uint64_t *h)
{
    *h = 0;
    for (size_t i = 0; i < t.n; i++) {
        const char *digits = "0123456789abcdef", *at = t.p[i] ? strchr(digits, t.p[i]) : NULL;
        if (!at)
            return false;
        *h = *h << 4 | (uint64_t)(at - digits);
    }
    return t.n == 16;
}

/* Every shard's manifest counts. A line that cannot be read is an item not done. */
static bool read_manifests(Extracting *w, Error *e)
{
    FolderEntry *entries;
    size_t n;
    if (!folder_list(&entries, &n, w->arena, w->state, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        Text rest, line;
        if (entries[i].is_folder || !text_starts(text_of(entries[i].name), "manifest") ||
            !text_ends(text_of(entries[i].name), ".tsv"))
            continue;
        const char *path = path_join(w->arena, w->state, entries[i].name, e);
        if (!path || !file_read(&rest, w->arena, path, 0, e))
            return false;
        while (text_line(&rest, &line)) {
            Text id, in, out;
            Done d;
            if (text_next(&line, '\t', &id) && text_next(&line, '\t', &in) && text_next(&line, '\t', &out) &&
                read_hash(in, &d.input) && read_hash(out, &d.output) && !note_done(w, id, d, e))
                return false;
        }
    }
    return true;
}

typedef struct Line {
    const char *id;
    Done done;
} Line;

static int by_id(const void *a, const void *b)
{
    return strcmp(((const Line *)a)->id, ((const Line *)b)->id);
}

/* Sorted by id: the same bytes whatever was done first. */
static bool write_manifest(Extracting *w, Error *e)
{
    Arena *scratch = arena_new(w->c->heap, 0);
    size_t n = (size_t)text_index_count(w->ids);
    Line *lines = scratch ? NEW(scratch, Line, n, e) : NULL;
    Out *o = lines ? out_open(w->manifest, w->c->heap, e) : NULL;
    for (size_t i = 0; lines && i < n; i++)
        lines[i] = (Line){text_index_at(w->ids, (int64_t)i).p, w->done[i]};
    if (lines && n)
        qsort(lines, n, sizeof *lines, by_id);
    bool ok = lines && o;
    if (!scratch)
        fail_memory(e, 1, "a manifest");
    for (size_t i = 0; ok && i < n; i++)
        ok = out_printf(o, e, "%s\t%016llx\t%016llx\n", lines[i].id, (unsigned long long)lines[i].done.input,
                        (unsigned long long)lines[i].done.output);
    arena_free(scratch);
    w->noted = now_seconds();
    if (ok)
        return out_commit(o, e);
    out_discard(o);
    return false;
}

/* ---- one extraction -------------------------------------------------------------------------- */

static const char *feature_path(const Extracting *w, Arena *a, const char *id, Error *e)
{
    return arena_printf(a, e, "%s/%s.npy", w->x->folder, id);
}

/* Whether the item's file is there and is what the manifest says. */
static bool is_done(const Extracting *w, const Input *in, uint64_t input, Arena *scratch)
{
    int64_t number = text_index_find(w->ids, text_of(in->name));
    Error ignored = {0};
    Npy npy;
    if (number < 0 || w->done[number].input != input)
        return false;
    const char *path = feature_path(w, scratch, in->name, &ignored);
    if (!path || !file_exists(path) || !npy_open(&npy, path, scratch, &ignored))
        return false;
    const Array *a = &npy.array;
    bool same = a->type == F32 && a->dims == 2 && a->shape[0] == 1 &&
                hash_bytes(a->data, (size_t)a->count * sizeof(float), 0) == w->done[number].output;
    npy_close(&npy);
    return same;
}

/* Keeps those of the shard's items that are still to do; counts those whose features are there, notes those that cannot
 * be read. */
static bool choose_items(Extracting *w, Shard s, Error *e)
{
    size_t kept = 0;
    Arena *scratch = arena_new(w->c->heap, 0);
    FileSet *read = file_set_new(w->arena, e);
    bool ok = (w->inputs = NEW(w->arena, uint64_t, w->count, e)) != NULL && scratch && read &&
              file_set_add(read, w->c->args[0], e) && file_set_add(read, w->x->input, e);
    for (size_t i = 0; ok && i < w->count; i++)
        ok = !w->items[i].image || file_set_add(read, w->items[i].image, e);
    ok = ok && file_set_lacks(read, w->missing, e);
    for (size_t i = 0; ok && i < w->count; i++) {
        const Input *in = &w->items[i];
        Error why = {0};
        uint64_t h = 0;
        if ((int64_t)(i % (size_t)s.count) != s.index)
            continue;
        if (input_problem(in))
            fail(&why, SP_FORMAT, "%s", input_problem(in));
        else if (in->image)
            hash_file(&h, in->image, &why);
        else
            h = hash_bytes(in->text.p, in->text.n, 0);
        if (why.code) {
            ok = unreadable_add(&w->unreadable, in, &why, w->arena, e);
        } else if (is_done(w, in, h, scratch)) {
            w->skipped++;
        } else {
            const char *path = ok ? feature_path(w, scratch, in->name, e) : NULL;
            ok = path && file_set_lacks(read, path, e);
            w->inputs[kept] = h;
            w->items[kept++] = *in;
        }
        arena_rewind(scratch, (ArenaMark){0});
    }
    w->count = kept;
    arena_free(scratch);
    return ok || (e->code == SP_OK ? fail_memory(e, 1, "the list of items") : false);
}

static bool write_features(void *arg, size_t first, size_t n, const float *rows, Error *e)
{
    Extracting *w = arg;
    ArenaMark mark = arena_mark(w->c->arena);
    for (size_t i = 0; i < n; i++) {
        const Input *in = &w->items[first + i];
        const float *row = rows + (int64_t)i * w->features;
        const char *path = feature_path(w, w->c->arena, in->name, e);
        if (!path || !npy_write_f32(path, 2, (int64_t[]){1, w->features}, row, w->c->heap, e) ||
            !note_done(w, text_of(in->name),
                       (Done){w->inputs[first + i], hash_bytes(row, (size_t)w->features * sizeof *row, 0)}, e))
            return false;
    }
    arena_rewind(w->c->arena, mark);
    return now_seconds() - w->noted < 5 || write_manifest(w, e);
}

/* What Ducho does to an image before a torch model: resized to `reshape`, or kept as it is. */
static Preset torch_preset(const Extraction *x)
{
    Preset p = {.fit = FIT_SQUASH, .width = x->reshape[0], .height = x->reshape[1], .how = {.filter = FILTER_BICUBIC}};
    p.scale = x->scale == SCALE_ZSCORE ? SCALE_ZSCORE : x->scale == SCALE_MINMAX ? SCALE_MINMAX : SCALE_UNIT;
    memcpy(p.mean, x->mean, sizeof p.mean);
    memcpy(p.std, x->std, sizeof p.std);
    if (p.width == 0) /* images keep their sizes; each gets its own */
        p.width = p.height = 224;
    return p;
}

static bool open_model(Extracting *w, const char *model, Error *e)
{
    const Extraction *x = w->x;
    bool torch = strcmp(x->backend, "torch") == 0;
    Preset preset = torch_preset(x);
    OutputOptions output = {0};
    CallOptions call = {.outputs = &output, .output_count = 1};
    if (strcmp(x->backend, "sentence_transformers") != 0) /* whose output_layers is only a folder's name */
        output.name = x->layer;
    if (torch) {
        call.preset = &preset;
        call.keep_size = x->reshape[0] == 0;
    } else {
        call.reshape_width = x->reshape[0];
        call.reshape_height = x->reshape[1];
    }
    if (!feature_source_open(&w->source, w->c, model, x->modality, &(EncoderOptions){0}, &call, e)) {
        error_prefix(e, "%s: ", x->where);
        return false;
    }
    w->opened = true;
    if (!(w->source.modalities & x->modality)) {
        feature_source_close(&w->source);
        return fail(e, SP_FORMAT, "%s: %s does not support %s", x->where, x->model,
                    x->modality == MODALITY_IMAGE ? "images" : "texts");
    }
    w->features = w->source.features;
    return true;
}

static bool encode_rest(Extracting *w, Error *e)
{
    const Extraction *x = w->x;
    const char *label =
        arena_printf(w->arena, e, "%.*s/%s", (int)path_base(x->model).n, path_base(x->model).p, x->layer);
    bool ok = label && extract_features(w->c, &w->source, w->items, w->count, (size_t)x->batch, label, write_features,
                                        w, &w->unreadable, e);
    Error later = {0}; /* what was done is noted even when the run fails */
    bool noted = write_manifest(w, ok ? e : &later);
    return ok && noted;
}

/* Lists the items that could not be read. Features that such an item has from an earlier input are removed: they are
 * not its own now. */
static bool list_unreadable(const Extracting *w, size_t all, Error *e)
{
    const Context *c = w->c;
    const UnreadableList *u = &w->unreadable;
    if (all && u->count == all) /* perhaps the disk is at fault: nothing is changed */
        return unreadable_fail(u, all, e);
    for (size_t i = 0; i < u->count; i++) {
        const char *path = feature_path(w, w->arena, u->list[i].id, e);
        if (!path || !file_remove(path, e))
            return false;
    }
    if (!unreadable_write(u, w->missing, c->heap, e))
        return false;
    if (u->count && option_given(c, "strict")) {
        char place[sizeof e->message];
        unreadable_place(&u->list[0], place, sizeof place);
        fail(w->strict, SP_FORMAT, "%s: %s; %zu of %zu items could not be read, %s lists them", place,
             u->list[0].reason, u->count, all, w->missing);
    } else {
        unreadable_warn(u, all, w->missing, c->progress);
    }
    return true;
}

static void report(const Extracting *w, size_t made, double seconds)
{
    const Context *c = w->c;
    if (c->json) {
        JsonWriter j = json_record(stdout, "event", "extraction");
        json_members(&j, "model %s layer %s output %s made %zu skipped %zu missing %zu seconds %.2f peak_rss_bytes %zu",
                     w->x->model, w->x->layer, w->x->folder, made, w->skipped, w->unreadable.count, seconds,
                     peak_rss_bytes());
        json_finish(&j);
        fflush(stdout);
    } else if (c->progress) {
        fprintf(c->progress, "%s: %zu made, %zu skipped (unchanged), %.2f s\n", w->x->folder, made, w->skipped,
                seconds);
    }
}

/* OUTPUT/backend/model/missing_<layer>.tsv; a shard has a list of its own. */
static const char *missing_path(const Extraction *x, Shard s, Arena *a, Error *e)
{
    Text layer = path_base(x->folder);
    int before = (int)(layer.p - x->folder);
    return s.count == 1 ? arena_printf(a, e, "%.*smissing_%s.tsv", before, x->folder, layer.p)
                        : arena_printf(a, e, "%.*smissing_%s-%lld-of-%lld.tsv", before, x->folder, layer.p,
                                       (long long)s.index + 1, (long long)s.count);
}

/* False where not one text is UTF-8: nothing is made then, not even a folder. */
static bool any_readable(const Extracting *w, Error *e)
{
    for (size_t i = 0; i < w->count; i++)
        if (!input_problem(&w->items[i]))
            return true;
    Error why = {0};
    UnreadableList u = {0};
    for (size_t i = 0; i < w->count; i++) {
        error_clear(&why);
        fail(&why, SP_FORMAT, "%s", input_problem(&w->items[i]));
        if (!unreadable_add(&u, &w->items[i], &why, w->arena, e))
            return false;
    }
    return unreadable_fail(&u, w->count, e);
}

static bool run_extraction(Context *c, const Extraction *x, Shard s, Error *strict, Arena *a, Error *e)
{
    Extracting w = {.c = c, .x = x, .arena = a, .ids = text_index_new(a, e), .strict = strict};
    double begun = now_seconds();
    size_t made = 0;
    uint64_t key;
    FolderLock group, lock;
    const char *model = !w.ids ? NULL : statistics_find(x->model) ? x->model : model_find(x->model, a, e);
    if (!model) {
        error_prefix(e, "%s: ", x->where);
        return false;
    }
    if (!extraction_items(&w.items, &w.count, x, c->progress, a, e) || !any_readable(&w, e) ||
        !hash_settings(&key, x, model, a, e) ||
        !(w.state = arena_printf(a, e, "%s/.sapor/%s-%016llx", x->output, x->backend, (unsigned long long)key)))
        return false;
    /* One run at a time writes a folder of features, whatever its settings; the shards I/N of one setting and one N
     * share it. */
    const char *place = x->folder + strlen(x->output);
    const char *all =
        arena_printf(a, e, "%s/.sapor/%016llx", x->output, (unsigned long long)hash_bytes(place, strlen(place), 0));
    const char *own = !all ? NULL
                      : s.count == 1
                          ? all
                          : arena_printf(a, e, "%s/%lld-of-%lld", all, (long long)s.index + 1, (long long)s.count);
    int64_t sharing = (int64_t)(hash_bytes(&s.count, sizeof s.count, key) >> 2) + 1;
    w.manifest = s.count == 1 ? arena_printf(a, e, "%s/manifest.tsv", w.state)
                              : arena_printf(a, e, "%s/manifest-%lld-of-%lld.tsv", w.state, (long long)s.index + 1,
                                             (long long)s.count);
    w.missing = missing_path(x, s, a, e);
    if (!own || !w.manifest || !w.missing ||
        (!folder_exists(own) && !open_model(&w, model, e))) /* an unsupported model creates no folder */
        return false;
    bool ok = folder_make(w.state, e) && folder_make(own, e) && folder_make(x->folder, e) &&
              folder_join(&group, all, sharing, e);
    if (ok) {
        ok = folder_lock(&lock, own, e);
        if (ok) {
            ok = read_manifests(&w, e) && choose_items(&w, s, e);
            size_t items = w.skipped + w.unreadable.count + w.count, early = w.unreadable.count;
            ok = ok && (w.count == 0 || ((w.opened || open_model(&w, model, e)) && encode_rest(&w, e))) &&
                 list_unreadable(&w, items, e);
            made = w.count - (w.unreadable.count - early);
            folder_unlock(&lock);
        }
        folder_unlock(&group);
    }
    feature_source_close(&w.source);
    if (ok)
        report(&w, made, now_seconds() - begun);
    return ok;
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool read_shard(const Context *c, Shard *s, Error *e)
{
    const char *given = option_text(c, "shard");
    Text rest = text_of(given ? given : "1/1"), first = rest, none;
    *s = (Shard){0, 1};
    if (!text_next(&rest, '/', &first) || !text_next(&rest, '/', &none) || rest.p || !text_i64(first, &s->index) ||
        !text_i64(none, &s->count) || s->index < 1 || s->index > s->count || s->count > 1 << 20)
        return fail(e, SP_USAGE, "--shard: \"%s\" is not I/N, such as 1/4, with I from 1 to N", given);
    s->index--;
    return true;
}

/* As in Ducho: for a folder, the first .yml or .yaml file in it. */
static const char *find_config(const char *path, Arena *a, Error *e)
{
    FolderEntry *entries;
    size_t n;
    if (!folder_exists(path))
        return path;
    if (!folder_list(&entries, &n, a, path, e))
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (!entries[i].is_folder &&
            (text_ends(text_of(entries[i].name), ".yml") || text_ends(text_of(entries[i].name), ".yaml")))
            return path_join(a, path, entries[i].name, e);
    fail(e, SP_IO, "%s: holds no .yml or .yaml file", path);
    return NULL;
}

bool extract_command(Context *c, Error *e)
{
    Shard s;
    Text source;
    Extraction *list;
    Error strict = {0};
    size_t count;
    const char *path = find_config(c->args[0], c->arena, e), *root = option_text(c, "dataset_path");
    if (!path || !read_shard(c, &s, e) || !stream_read(&source, c->arena, path, 16 << 20, e))
        return false;
    Yaml *tree = yaml_parse(c->arena, source, path, e);
    if (!tree || (root && !yaml_override(tree, TEXT("dataset_path"), text_of(root), c->arena, e)))
        return false;
    for (size_t i = 0; i < c->override_count; i++) {
        Text value = text_of(c->overrides[i]), key;
        text_next(&value, '=', &key);
        if (!yaml_override(tree, key, value, c->arena, e))
            return false;
    }
    if (!extraction_plan(&list, &count, tree, c->arena, e))
        return false;
    const Yaml *gpu = yaml_get(tree, "gpu list") ? yaml_get(tree, "gpu list") : yaml_get(tree, "gpu_list");
    if (c->progress && gpu && !text_is(gpu->text, "-1"))
        fprintf(c->progress, "%s: \"%s\" has no effect: this build computes on the CPU\n", gpu->where, gpu->key.p);
    for (size_t i = 0; i < count; i++) {
        Arena *a = arena_new(c->heap, 0);
        bool ok = a ? run_extraction(c, &list[i], s, &strict, a, e) : fail_memory(e, 1, "an extraction");
        arena_free(a);
        if (!ok)
            return false;
    }
    if (strict.code)
        *e = strict;
    return strict.code == SP_OK;
}
