/* recsys/train/run_files.c: writes the folder of a run. Every file is complete or absent. A run that was killed
 * continues from its last checkpoint and ends with the same bytes. */
// flags: -Os
#include "recsys/train/train.h"

#include <stdlib.h>

static const char *const WRITTEN[] = {"config.json",  "checkpoint.safetensors", "user.npy",    "item.npy",
                                      "user.ids.txt", "item.ids.txt",           "result.json", "seen.safetensors",
                                      "history.tsv",  "model.safetensors",      "by_user.tsv"};

static const char *in_folder(const Trainer *t, const char *name, Error *e)
{
    return path_join(t->scratch, t->config->out, name, e);
}

/* files_hash: as Model.files_hash */
static uint64_t hash_data(const DataSet *d, uint64_t files_hash)
{
    uint64_t h = features_hash(d, hash_bytes, pairs_hash(d, hash_bytes));
    return files_hash ? hash_bytes(&files_hash, sizeof files_hash, h) : h;
}

/* Writes config.json. The same run gives the same bytes: run_open compares them. */
static void print_description(FILE *f, const void *trainer)
{
    const Trainer *t = trainer;
    const DataConfig *c = &t->config->data;
    JsonWriter w = {.to = f, .spaced = true};
    json_object(&w, NULL);
    json_lines(&w, 2);
    json_members(&w, "sapor %s model %s protocol %s", SAPOR_VERSION, t->model.kind->name,
                 protocol_names[t->data.protocol]);
    json_put_number(&w, "seed", "%llu", (unsigned long long)t->config->seed);
    json_members(&w, "train %s valid %s test %s format %s", c->train, c->valid, c->test, format_name(c->format));
    if (c->layout.columns) /* absent if not given, as in runs of older versions */
        json_put_string(&w, "columns", c->layout.columns);
    if (c->layout.separator)
        json_put_string(&w, "separator", c->layout.separator == ':' ? "::" : (char[2]){c->layout.separator, 0});
    json_array(&w, "features");
    for (size_t i = 0; i < c->feature_count; i++)
        json_put_string(&w, NULL, c->features[i]);
    json_end(&w);
    if (c->gaps != GAPS_ERROR) /* absent if not given, as above */
        json_put_string(&w, "missing_features", gap_names[c->gaps]);
    if (c->knock.count) {
        json_array(&w, "knock");
        for (size_t i = 0; i < c->knock.count; i++)
            json_put_string(&w, NULL, c->knock.names[i]);
        json_end(&w);
        json_put_string(&w, "mode", knock_modes[c->knock.mode]);
    }
    json_object(&w, "data");
    json_members(&w, "users %lld items %lld train %lld valid %lld test %lld", (long long)t->data.U,
                 (long long)t->data.I, (long long)t->data.train.count, (long long)t->data.valid.count,
                 (long long)t->data.test.count);
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)hash_data(&t->data, t->model.files_hash));
    json_put_string(&w, "hash", hash);
    json_end(&w);
    json_object(&w, "settings");
    json_lines(&w, 4);
    for (size_t i = 0; i < settings_count(t->settings); i++)
        json_put_string(&w, settings_key(t->settings, i), settings_value(t->settings, i));
    json_finish(&w);
}

const char *run_describe(const Trainer *t, Error *e)
{
    return arena_written(print_description, t, t->arena, e);
}

static Out *write_text(const char *path, const char *text, Error *e)
{
    Out *o = path ? out_open(path, NULL, e) : NULL;
    if (o && out_write(o, text, strlen(text), e))
        return o;
    out_discard(o);
    return NULL;
}

/* Adds the files of a feature. `path` is an .npy with its row names, or a folder of .npy. */
static bool add_feature(FileSet *s, const char *path, Arena *a, Error *e)
{
    FolderEntry *entries;
    size_t n = 0;
    if (!folder_exists(path)) {
        const char *ids = npy_ids_path(path, a, e);
        return ids && file_set_add(s, path, e) && file_set_add(s, ids, e);
    }
    bool ok = folder_list(&entries, &n, a, path, e);
    for (size_t i = 0; ok && i < n; i++) {
        const char *file = path_join(a, path, entries[i].name, e);
        ok = file && file_set_add(s, file, e);
    }
    return ok;
}

/* Checks that config.json can contain a path as text; the data are found again by this text. */
static bool check_path(const char *path, Error *e)
{
    size_t at;
    return !path || utf8_valid(text_of(path), &at) ||
           fail(e, SP_USAGE, "%s: this path is not valid UTF-8, so config.json cannot hold it; rename the file", path);
}

bool run_check_outputs(const Trainer *t, Error *e)
{
    const DataConfig *c = &t->config->data;
    const char *const path[] = {c->train, c->valid, c->test};
    const char *out[COUNT(WRITTEN)];
    ArenaMark mark = arena_mark(t->scratch);
    FileSet *s = file_set_new(t->scratch, e);
    bool ok = s != NULL, some = false;
    for (size_t i = 0; ok && i < COUNT(path); i++)
        ok = check_path(path[i], e);
    for (size_t i = 0; ok && i < c->feature_count; i++)
        ok = check_path(c->features[i], e);
    for (size_t i = 0; ok && i < COUNT(WRITTEN); i++) {
        ok = (out[i] = in_folder(t, WRITTEN[i], e)) != NULL;
        some = some || (ok && file_exists(out[i]));
    }
    for (size_t i = 0; ok && some && i < COUNT(path); i++)
        ok = !path[i] || file_set_add(s, path[i], e);
    for (size_t i = 0; ok && some && i < c->feature_count; i++) {
        const char *equals = strchr(c->features[i], '=');
        ok = !equals || add_feature(s, equals + 1, t->scratch, e);
    }
    for (size_t i = 0; ok && some && i < COUNT(WRITTEN); i++)
        ok = file_set_check(s, out[i], e);
    arena_rewind(t->scratch, mark);
    return ok;
}

bool run_checkpoint(Trainer *t, Error *e)
{
    const char *path = in_folder(t, "checkpoint.safetensors", e);
    bool ok = path && checkpoint_save(path, &t->model, &t->state, t->scratch, e);
    t->checkpointed = now_seconds();
    return ok;
}

/* config.json is the first file that a run writes. A folder without config.json must not contain the other files:
 * otherwise the next start of this run would load the checkpoint of another run. */
static bool check_leftovers(const Trainer *t, Error *e)
{
    for (size_t i = 0; i < COUNT(WRITTEN); i++) {
        const char *path = in_folder(t, WRITTEN[i], e);
        if (!path)
            return false;
        if (file_exists(path))
            return fail(e, SP_USAGE,
                        "%s: has the name of a run's file, but the folder has no config.json; choose another folder or "
                        "remove this file",
                        path);
    }
    return true;
}

/* Checks the ids. The hash in config.json covers only numbers; the ids are in their own files from the first evaluation
 * on. */
static bool check_ids(const Trainer *t, const char *name, const TextIndex *ids, int64_t n, Error *e)
{
    ArenaMark mark = arena_mark(t->scratch);
    const char *path = in_folder(t, name, e);
    Text rest = {NULL, 0}, line = {NULL, 0};
    bool ok = path && (!file_exists(path) || file_read(&rest, t->scratch, path, 0, e));
    for (int64_t i = 0; ok && rest.p && i < n; i++)
        if (!text_line(&rest, &line) || !text_equal(line, text_index_at(ids, i)))
            ok = fail(e, SP_USAGE,
                      "%s:%lld: the data have another id here: this folder was made by a run with other data; choose "
                      "another folder or remove this one",
                      path, (long long)i + 1);
    arena_rewind(t->scratch, mark);
    return ok;
}

/* The files that recommendations need; run_write_best writes them. */
bool run_find_missing(const char *dir, const Recommender *kind, const char **missing, Arena *a, Error *e)
{
    const char *const needed[] = {kind->represent ? "user.npy"
                                  : kind->arrays  ? "model.safetensors"
                                                  : NULL,
                                  kind->represent ? "item.npy" : NULL, "user.ids.txt", "item.ids.txt",
                                  "seen.safetensors"};
    *missing = NULL;
    for (size_t i = 0; i < COUNT(needed) && !*missing; i++) {
        const char *path = needed[i] ? path_join(a, dir, needed[i], e) : NULL;
        if (needed[i] && !path)
            return false;
        *missing = path && !file_exists(path) ? path : NULL;
    }
    return true;
}

static Text value_of_line(Text line)
{
    enum { SHOWN = 100 };
    line = text_trim(line);
    line.n -= line.n && line.p[line.n - 1] == ',';
    return (Text){line.p, MIN(line.n, (size_t)SHOWN)};
}

/* Fails because config.json differs from what this run would write. The message names the first line that differs. */
static bool other_run(const char *path, Text existing, Text now, Error *e)
{
    Text was = TEXT(""), is = TEXT("");
    size_t number = 0;
    do {
        number++;
        was = is = TEXT("");
    } while (text_line(&existing, &was) + text_line(&now, &is) > 0 && text_equal(was, is));
    was = value_of_line(was);
    is = value_of_line(is);
    return fail(e, SP_USAGE,
                "%s:%zu: a run with other settings or data made this folder (there %.*s, here %.*s); choose another "
                "folder or remove this one",
                path, number, (int)was.n, was.p, (int)is.n, is.p);
}

bool run_open(Trainer *t, Error *e)
{
    const char *description = run_describe(t, e);
    const char *path = in_folder(t, "config.json", e), *checkpoint = in_folder(t, "checkpoint.safetensors", e);
    const char *result = in_folder(t, "result.json", e);
    if (!description || !path || !checkpoint || !result)
        return false;
    if (!file_exists(path)) {
        Out *o = check_leftovers(t, e) ? write_text(path, description, e) : NULL;
        return o && out_commit(o, e);
    }
    Text existing;
    if (!file_read(&existing, t->scratch, path, 1 << 20, e))
        return false;
    if (!text_equal(existing, text_of(description)))
        return other_run(path, existing, text_of(description), e);
    if (!check_ids(t, "user.ids.txt", t->data.users, t->data.U, e) ||
        !check_ids(t, "item.ids.txt", t->data.items, t->data.I, e))
        return false;
    int64_t last = MAX(t->settings->epochs, (int64_t)1);
    if (file_exists(checkpoint) &&
        !checkpoint_load(checkpoint, &t->model, &t->measures.eval, last, &t->state, t->arena, t->scratch, e))
        return false;
    /* result.json means that the run has finished. The run continues now, so the file is removed before the vectors
     * change. */
    return t->state.finished || file_remove(result, e);
}

/* ---- results --------------------------------------------------------------------------------- */

static Out *write_ids(const Trainer *t, const char *name, const TextIndex *ids, int64_t n, Error *e)
{
    const char *path = in_folder(t, name, e);
    Out *o = path ? out_open(path, t->device->heap, e) : NULL;
    bool ok = o != NULL;
    for (int64_t i = 0; ok && i < n; i++) {
        Text id = text_index_at(ids, i);
        ok = out_write(o, id.p, id.n, e) && out_write(o, "\n", 1, e);
    }
    if (ok)
        return o;
    out_discard(o);
    return NULL;
}

static Out *write_tensor(const Trainer *t, const char *name, const Tensor *x, Error *e)
{
    const char *path = in_folder(t, name, e);
    float *host = NEW(t->scratch, float, x->count, e);
    if (!path || !host)
        return NULL;
    tensor_read(t->device, x, 0, x->count, host);
    NpyOut *n = npy_create(path, F32, 2, (int64_t[]){rows_of(x), cols_of(x)}, t->device->heap, e);
    if (n && npy_data(n, host, (size_t)x->count * sizeof *host, e))
        return npy_finish(n, e);
    npy_discard(n);
    return NULL;
}

static Out *write_seen(const Trainer *t, Error *e)
{
    const Pairs *p = &t->data.train;
    const char *path = in_folder(t, "seen.safetensors", e);
    SafetensorsOut *o = path ? safetensors_open(path, t->device->heap, e) : NULL;
    bool ok = o && safetensors_declare(o, "start", I64, 1, (int64_t[]){t->data.U + 1}, e) &&
              safetensors_declare(o, "item", I32, 1, (int64_t[]){p->count}, e) &&
              safetensors_data(o, p->start, (size_t)(t->data.U + 1) * sizeof *p->start, e) &&
              safetensors_data(o, p->item, (size_t)p->count * sizeof *p->item, e);
    if (ok)
        return safetensors_finish(o, e);
    safetensors_discard(o);
    return NULL;
}

/* Writes the arrays that recommendations need in addition to vectors and train pairs. */
static Out *write_arrays(const Trainer *t, const Array *x, size_t n, Error *e)
{
    const char *path = in_folder(t, "model.safetensors", e);
    SafetensorsOut *o = path ? safetensors_open(path, t->device->heap, e) : NULL;
    bool ok = o != NULL;
    for (size_t i = 0; ok && i < n; i++)
        ok = safetensors_declare(o, x[i].name.p, x[i].type, x[i].dims, x[i].shape, e);
    for (size_t i = 0; ok && i < n; i++)
        ok = safetensors_data(o, x[i].data, (size_t)x[i].count * dtype_bytes(x[i].type), e);
    if (ok)
        return safetensors_finish(o, e);
    safetensors_discard(o);
    return NULL;
}

static Out *write_by_user(const Trainer *t, const Scores *s, Error *e)
{
    const char *path = in_folder(t, "by_user.tsv", e);
    return path ? by_user_write(path, s, t->data.users, t->device->heap, e) : NULL;
}

bool run_write_best(Trainer *t, const Evaluation *v, Error *e)
{
    ArenaMark mark = arena_mark(t->scratch);
    /* user.npy or model.safetensors shows that the other files exist: it is removed first and written last */
    Out *set[7] = {NULL};
    const Scores *by_user = evaluation_by_user(v);
    const Array *list = NULL;
    size_t n = 0;
    bool ok = model_arrays(&t->model, &list, &n, t->scratch, e) && (set[4] = write_seen(t, e)) &&
              (set[3] = write_ids(t, "item.ids.txt", t->data.items, t->data.I, e)) &&
              (set[2] = write_ids(t, "user.ids.txt", t->data.users, t->data.U, e));
    if (ok && v->users)
        ok = (set[1] = write_tensor(t, "item.npy", v->items, e)) && (set[0] = write_tensor(t, "user.npy", v->users, e));
    if (ok && n)
        ok = (set[v->users ? 5 : 0] = write_arrays(t, list, n, e));
    if (RUNS_HAVE_BY_USER && ok && by_user)
        ok = (set[6] = write_by_user(t, by_user, e));
    if (ok)
        ok = out_commit_set(set, COUNT(set), e);
    else
        for (size_t i = 0; i < COUNT(set); i++)
            out_discard(set[i]);
    arena_rewind(t->scratch, mark);
    return ok;
}

static void put_scores(JsonWriter *w, const char *part, const Scores *s)
{
    char name[SCORE_NAME_BYTES];
    json_object(w, part);
    for (size_t i = 0; s->mean && i < s->metrics * s->cutoffs; i++)
        json_put_number(w, score_name(s, i, name, sizeof name), "%.9g", s->mean[i]);
    json_end(w);
}

void scores_json(JsonWriter *w, const Scores *valid, const Scores *test)
{
    put_scores(w, "valid", valid);
    put_scores(w, "test", test);
}

/* Writes the part of the data that by_user.tsv is about, and the hash of its truth. */
static void put_evaluated_part(JsonWriter *w, const DataSet *d)
{
    char hash[17];
    if (!RUNS_HAVE_BY_USER || (!d->test.start && !d->valid.start))
        return;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)truth_hash(d, d->test.start ? &d->test : &d->valid));
    json_members(w, "judged_by %s truth_hash %s", d->test.start ? "test" : "valid", hash);
}

bool run_write_result(const Trainer *t, Error *e)
{
    char *text = NULL;
    size_t bytes = 0;
    const char *missing;
    if (!run_find_missing(t->config->out, t->model.kind, &missing, t->scratch, e))
        return false;
    if (missing)
        return fail(
            e, SP_IO,
            "%s: is missing, and the run is past the epoch that wrote it; remove checkpoint.safetensors to train "
            "from the start",
            missing);
    FILE *f = open_memstream(&text, &bytes);
    if (!f)
        return fail_memory(e, 4096, "a run's result");
    JsonWriter w = json_record(f, "model", t->model.kind->name);
    json_members(&w, "best_epoch %lld epochs %lld", (long long)t->state.stopping.best_epoch, (long long)t->state.epoch);
    scores_json(&w, &t->state.valid, &t->state.test);
    put_evaluated_part(&w, &t->data);
    json_finish(&w);
    bool ok = fclose(f) == 0 || fail_memory(e, 4096, "a run's result");
    Out *set[2] = {NULL}; /* result.json is set[0], which appears last: it shows that the run has finished */
    ok = ok && (set[0] = write_text(in_folder(t, "result.json", e), text, e)) &&
         (set[1] = write_text(in_folder(t, "history.tsv", e), t->state.history.text ? t->state.history.text : "", e));
    free(text);
    if (ok)
        return out_commit_set(set, COUNT(set), e);
    out_discard(set[0]);
    return false;
}
