/* tools/ducho/targets.c: finds which features of a folder are finished, and which must be computed.
 *
 * A run resumes by ROOT/.sapor/<key>/manifest.tsv. It has one line per finished item: id, hash of its input, hash of
 * its features. The key is a hash of the settings and the model files. An item is skipped if its line matches its
 * present input and its present file. The whole manifest is rewritten every few seconds; after a kill, items without a
 * line are computed again.
 *
 * An item that cannot be read does not stop the others. It is listed with its reason in
 * ROOT/backend/model/missing_<layer>.tsv, and the next run tries it again. */
// flags: -Os
#include <stdlib.h>

#include "tools/ducho/round.h"

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

/* Hashes the files of a model: its weights file, or the configurations and weights of its folder and the JSON files of
 * the folders inside. */
static bool hash_folder(uint64_t *h, const char *path, int depth, Arena *a, Error *e)
{
    FolderEntry *entries;
    size_t n;
    if (!folder_exists(path))
        return hash_file(h, path, e);
    if (!folder_list(&entries, &n, a, path, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *inside = path_join(a, path, entries[i].name, e);
        bool hashed = entries[i].is_folder ? depth == 0
                      : depth == 0         ? is_model_file(entries[i].name)
                                           : text_ends(text_of(entries[i].name), ".json");
        if (!inside || (hashed && !hash_folder(h, inside, depth + 1, a, e)))
            return false;
    }
    return true;
}

bool model_hash(uint64_t *h, const char *path, Arena *a, Error *e)
{
    *h = hash_bytes(path, statistics_find(path) ? strlen(path) : 0, 0);
    return statistics_find(path) || hash_folder(h, path, 0, a, e);
}

/* Hashes the settings, without the root folder: a catalogue may be moved. */
static bool hash_settings(Target *t, uint64_t model, Arena *a, Error *e)
{
    const Extraction *x = t->job->x;
    const char *text =
        arena_printf(a, e, "sapor extract 2|%s|%u|%s|%s|%d|%d|%lldx%lld|%d|%.9g %.9g %.9g|%.9g %.9g %.9g",
                     t->x->path + strlen(t->x->root), t->x->modality, t->x->image ? t->x->image : "",
                     t->x->text ? t->x->text : "", x->clear_text, t->x->modality & MODALITY_IMAGE ? (int)x->resizer : 0,
                     (long long)x->reshape[0], (long long)x->reshape[1], x->scale, (double)x->mean[0],
                     (double)x->mean[1], (double)x->mean[2], (double)x->std[0], (double)x->std[1], (double)x->std[2]);
    t->key = text ? hash_bytes(text, strlen(text), model) : 0;
    return text != NULL;
}

/* Returns ROOT/backend/model/missing_<layer>.tsv; each shard has its own list. */
static const char *missing_path(const FeatureFolder *x, Shard s, Arena *a, Error *e)
{
    int before = (int)(path_base(x->path).p - x->path);
    return s.count == 1 ? arena_printf(a, e, "%.*smissing_%s.tsv", before, x->path, x->layer)
                        : arena_printf(a, e, "%.*smissing_%s-%lld-of-%lld.tsv", before, x->path, x->layer,
                                       (long long)s.index + 1, (long long)s.count);
}

bool target_paths(Target *t, uint64_t model, Shard s, Arena *a, Error *e)
{
    const FeatureFolder *x = t->x;
    const char *place = x->path + strlen(x->root);
    if (!(t->ids = text_index_new(a, e)) || !hash_settings(t, model, a, e))
        return false;
    t->state = arena_printf(a, e, "%s/.sapor/%s-%016llx", x->root, t->job->x->backend, (unsigned long long)t->key);
    t->shared_lock =
        arena_printf(a, e, "%s/.sapor/%016llx", x->root, (unsigned long long)hash_bytes(place, strlen(place), 0));
    if (!t->state || !t->shared_lock)
        return false;
    long long index = (long long)s.index + 1, count = (long long)s.count;
    t->shard_lock = s.count == 1 ? t->shared_lock : arena_printf(a, e, "%s/%lld-of-%lld", t->shared_lock, index, count);
    t->manifest = s.count == 1 ? arena_printf(a, e, "%s/manifest.tsv", t->state)
                               : arena_printf(a, e, "%s/manifest-%lld-of-%lld.tsv", t->state, index, count);
    t->missing = missing_path(x, s, a, e);
    return t->shard_lock && t->manifest && t->missing;
}

/* ---- the manifest ---------------------------------------------------------------------------- */

static bool note_done(Target *t, Text id, Done d, Arena *a, Error *e)
{
    Done *done = arena_grow(a, t->done, (size_t)text_index_count(t->ids), &t->room, sizeof *t->done, e);
    if (!done)
        return false;
    t->done = done;
    int64_t number = text_index_add(t->ids, id, e);
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

/* Reads the manifests of all shards. If a line cannot be read, its item counts as not done. */
static bool read_manifests(Target *t, Arena *a, Error *e)
{
    FolderEntry *entries;
    size_t n;
    if (!folder_list(&entries, &n, a, t->state, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        Text rest, line;
        if (entries[i].is_folder || !text_starts(text_of(entries[i].name), "manifest") ||
            !text_ends(text_of(entries[i].name), ".tsv"))
            continue;
        const char *path = path_join(a, t->state, entries[i].name, e);
        if (!path || !file_read(&rest, a, path, 0, e))
            return false;
        while (text_line(&rest, &line)) {
            Text id, in, out;
            Done d;
            if (text_next(&line, '\t', &id) && text_next(&line, '\t', &in) && text_next(&line, '\t', &out) &&
                read_hash(in, &d.input) && read_hash(out, &d.output) && !note_done(t, id, d, a, e))
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

/* Lines are sorted by id, so the bytes do not depend on the order of the work. */
bool target_manifest(Target *t, const Context *c, Error *e)
{
    Arena *scratch = arena_new(c->heap, 0);
    size_t n = (size_t)text_index_count(t->ids);
    Line *lines = scratch ? NEW(scratch, Line, n, e) : NULL;
    Out *o = lines ? out_open(t->manifest, c->heap, e) : NULL;
    for (size_t i = 0; lines && i < n; i++)
        lines[i] = (Line){text_index_at(t->ids, (int64_t)i).p, t->done[i]};
    if (lines && n)
        qsort(lines, n, sizeof *lines, by_id);
    bool ok = lines && o;
    if (!scratch)
        fail_memory(e, 1, "a manifest");
    for (size_t i = 0; ok && i < n; i++)
        ok = out_printf(o, e, "%s\t%016llx\t%016llx\n", lines[i].id, (unsigned long long)lines[i].done.input,
                        (unsigned long long)lines[i].done.output);
    arena_free(scratch);
    t->noted = now_seconds();
    if (ok)
        return out_commit(o, e);
    out_discard(o);
    return false;
}

/* ---- items ----------------------------------------------------------------------------------- */

static const char *feature_path(const Target *t, Arena *a, const char *id, Error *e)
{
    return arena_printf(a, e, "%s/%s.npy", t->x->path, id);
}

uint64_t target_input(const Target *t, const Round *r, size_t i)
{
    uint64_t h = 0;
    if (t->x->modality & MODALITY_IMAGE)
        h = r->hashes[i];
    if (t->x->modality & MODALITY_TEXT)
        h = hash_bytes(t->job->texts[i].text.p, t->job->texts[i].text.n, h);
    return h;
}

/* Returns why the target cannot have features of input i, as far as it is known before the computation; or NULL. */
static const char *known_problem(const Target *t, const Round *r, size_t i)
{
    const Input *text = t->job->texts ? &t->job->texts[i] : NULL;
    if (t->job->x->images && text && !text->source)
        return "has no text";
    if ((t->x->modality & MODALITY_IMAGE) && r->problems[i])
        return r->problems[i];
    return (t->x->modality & MODALITY_TEXT) ? input_problem(text) : NULL;
}

static bool note_problem(Target *t, const Input *in, const char *problem, Arena *a, Error *e)
{
    Error why = {0};
    fail(&why, SP_FORMAT, "%s", problem);
    return unreadable_add(&t->unreadable, in, &why, a, e);
}

/* Reports whether the item's file exists and matches the manifest. */
static bool is_done(const Target *t, const Input *in, uint64_t input, Arena *scratch)
{
    int64_t number = text_index_find(t->ids, text_of(in->name));
    Error ignored = {0};
    Npy npy;
    if (number < 0 || t->done[number].input != input)
        return false;
    const char *path = feature_path(t, scratch, in->name, &ignored);
    if (!path || !file_exists(path) || !npy_open(&npy, path, scratch, &ignored))
        return false;
    const Array *a = &npy.array;
    bool same = a->type == F32 && a->dims >= 2 && a->shape[0] == 1 &&
                hash_bytes(a->data, (size_t)a->count * sizeof(float), 0) == t->done[number].output;
    npy_close(&npy);
    return same;
}

static bool in_shard(size_t i, Shard s)
{
    return (int64_t)(i % (size_t)s.count) == s.index;
}

/* Selects the items of the shard that must be computed. Counts items whose features exist, and lists items that cannot
 * be read. */
static bool choose_items(Target *t, const Round *r, Arena *scratch, Error *e)
{
    const Extraction *x = t->job->x;
    FileSet *read = file_set_new(r->arena, e);
    bool ok = (t->todo = NEW(r->arena, bool, r->n, e)) && read && file_set_add(read, r->c->args[0], e) &&
              (!x->images || file_set_add(read, x->images, e)) && (!x->texts || file_set_add(read, x->texts, e));
    for (size_t i = 0; ok && i < r->n; i++)
        ok = !r->inputs[i].image || file_set_add(read, r->inputs[i].image, e);
    ok = ok && file_set_check(read, t->missing, e);
    for (size_t i = 0; ok && i < r->n; i++) {
        bool text = t->x->modality == MODALITY_TEXT && t->job->texts[i].source;
        const Input *in = text ? &t->job->texts[i] : &r->inputs[i];
        const char *problem = in_shard(i, r->shard) ? known_problem(t, r, i) : NULL;
        if (!in_shard(i, r->shard))
            continue;
        t->items++;
        if (problem) {
            ok = note_problem(t, in, problem, r->arena, e);
        } else if (is_done(t, in, target_input(t, r, i), scratch)) {
            t->skipped++;
        } else {
            const char *path = feature_path(t, scratch, in->name, e);
            ok = path && file_set_check(read, path, e);
            t->todo[i] = true;
            t->left++;
        }
        arena_rewind(scratch, (ArenaMark){0});
    }
    for (size_t i = 0; ok && i < t->job->alone_count; i++)
        if (in_shard(i, r->shard)) {
            t->items++;
            ok = note_problem(t, &t->job->alone[i], "has no image", r->arena, e);
        }
    return ok;
}

bool target_begin(Target *t, const Round *r, Error *e)
{
    /* Only one run at a time may write a folder of features, whatever its settings. An exception are shards I/N with
     * the same settings and the same N. */
    int64_t sharing = (int64_t)(hash_bytes(&r->shard.count, sizeof r->shard.count, t->key) >> 2) + 1;
    if (!folder_make(t->state, e) || !folder_make(t->shard_lock, e) || !folder_make(t->x->path, e) ||
        !folder_join(&t->group, t->shared_lock, sharing, e))
        return false;
    if (!folder_lock(&t->lock, t->shard_lock, e)) {
        folder_unlock(&t->group);
        return false;
    }
    t->locked = true;
    Arena *scratch = arena_new(r->c->heap, 0);
    bool ok = scratch ? read_manifests(t, r->arena, e) && choose_items(t, r, scratch, e)
                      : fail_memory(e, 1, "the list of items");
    arena_free(scratch);
    return ok;
}

void target_end(Target *t)
{
    if (t->locked) {
        folder_unlock(&t->lock);
        folder_unlock(&t->group);
    }
    t->locked = false;
}

bool target_write(Target *t, const Round *r, size_t i, const float *row, Error *e)
{
    const Context *c = r->c;
    const char *id = r->inputs[i].name;
    ArenaMark mark = arena_mark(c->arena);
    const char *path = feature_path(t, c->arena, id, e);
    Done d = {target_input(t, r, i), hash_bytes(row, (size_t)t->floats * sizeof *row, 0)};
    bool ok =
        path && npy_write_f32(path, t->dims, t->shape, row, c->heap, e) && note_done(t, text_of(id), d, r->arena, e);
    arena_rewind(c->arena, mark);
    t->made += ok;
    return ok && (now_seconds() - t->noted < 5 || target_manifest(t, c, e));
}

/* Returns N for "missing_LAYER-I-of-N.tsv", 1 for "missing_LAYER.tsv", and 0 for another name. */
static int64_t shards_of_list(Text name, const char *layer)
{
    Text start = TEXT("missing_"), rest = name, part[4] = {{NULL, 0}};
    int64_t index, count;
    size_t before = start.n + strlen(layer);
    if (!text_starts(name, start.p) || !text_ends(name, ".tsv") || name.n < before + 4 ||
        memcmp(name.p + start.n, layer, before - start.n) != 0)
        return 0;
    rest = (Text){name.p + before, name.n - before - 4};
    if (rest.n == 0)
        return 1;
    for (int i = 0; i < 4; i++)
        if (!text_next(&rest, '-', &part[i]))
            return 0;
    return part[0].n == 0 && text_i64(part[1], &index) && text_is(part[2], "of") && text_i64(part[3], &count) ? count
                                                                                                              : 0;
}

/* Removes the lists of shards after a run of all items, because the items were tried again. */
static bool drop_lists(const Target *t, const Context *c, Arena *a, Error *e)
{
    Text name = path_base(t->missing);
    const char *folder = arena_strndup(a, t->missing, (size_t)(name.p - t->missing), e);
    UnreadableList empty = {0};
    FolderEntry *entries;
    size_t n = 0;
    bool all = shards_of_list(name, t->x->layer) == 1, ok = folder && (!all || folder_list(&entries, &n, a, folder, e));
    for (size_t i = 0; ok && i < n; i++) {
        if (entries[i].is_folder || shards_of_list(text_of(entries[i].name), t->x->layer) < 2)
            continue;
        const char *path = path_join(a, folder, entries[i].name, e);
        ok = path && unreadable_write(&empty, path, c->heap, e);
    }
    return ok;
}

bool target_missing(Target *t, const Context *c, Arena *a, Error *strict, Error *e)
{
    const UnreadableList *u = &t->unreadable;
    if (t->items && u->count == t->items) /* the disk may be faulty, so nothing is changed */
        return unreadable_fail(u, t->items, e);
    for (size_t i = 0; i < u->count; i++) {
        const char *path = feature_path(t, a, u->list[i].id, e);
        if (!path || !file_remove(path, e))
            return false;
    }
    if (!unreadable_write(u, t->missing, c->heap, e) || !drop_lists(t, c, a, e))
        return false;
    if (u->count && option_given(c, "strict")) {
        char place[sizeof e->message];
        unreadable_place(&u->list[0], place, sizeof place);
        fail(strict, SP_FORMAT, "%s: %s; %zu of %zu items could not be read, %s lists them", place, u->list[0].reason,
             u->count, t->items, t->missing);
    } else {
        unreadable_warn(u, t->items, t->missing, c->progress);
    }
    return true;
}

bool target_single(const Target *t, const Round *r, Error *e)
{
    Context *c = r->c;
    const char *out = arena_printf(r->arena, e, "%s.npy", t->x->path);
    const char **names = NEW(r->arena, const char *, r->n, e);
    Arena *scratch = arena_new(c->heap, 0);
    NpyOut *npy = NULL;
    size_t rows = 0;
    int64_t width = 0;
    bool ok = out && names && (scratch || fail_memory(e, 1, "features"));
    for (size_t i = 0; ok && i < r->n; i++) {
        Npy one;
        const char *id = r->inputs[i].name, *path = feature_path(t, scratch, id, e);
        if (path && text_index_find(t->ids, text_of(id)) >= 0 && file_exists(path) &&
            (ok = npy_open(&one, path, scratch, e))) {
            const Array *a = &one.array;
            width = npy ? width : a->count;
            if (a->type != F32 || a->dims != 2 || a->count != width)
                ok = fail(e, SP_SHAPE, "%s: --single needs rows of one length; this layer has feature maps", path);
            ok = ok && (npy || (npy = npy_create(out, F32, 2, (int64_t[]){(int64_t)r->n, width}, c->heap, e))) &&
                 npy_data(npy, a->data, (size_t)width * sizeof(float), e);
            names[rows++] = id;
            npy_close(&one);
        }
        ok = ok && path;
        arena_rewind(scratch, (ArenaMark){0});
    }
    arena_free(scratch);
    if (ok && npy && (rows == r->n || npy_rows(npy, (int64_t)rows, e)))
        return features_commit(c, npy, out, names, rows, e);
    if (npy)
        npy_discard(npy);
    return ok && !npy;
}
