/* tools/run/benchmark_extract.c: computes the features that a benchmark lacks. Each data set and encoder has a Ducho
 * configuration, OUT/extract/DATA-SETTING-PART.yml. The function of `sapor extract` runs it in a separate process, so
 * that the time and the memory are those of one encoder. Ducho's folders are OUT/features/DATA/...: settings with the
 * same encoder share a folder, and existing features are not computed again. */
// flags: -Os
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/run/benchmark.h"

/* ---- Ducho's configuration ------------------------------------------------------------------- */

static Yaml *add_node(const Benchmark *b, Yaml *map, const char *key, YamlType type, const char *text)
{
    Yaml *y = NEW(b->k.arena, Yaml, 1, b->k.e), **end = &map->first;
    if (!y)
        return NULL;
    while (*end)
        end = &(*end)->next;
    *y = (Yaml){.type = type, .key = text_of(key), .where = map->where, .quoted = true};
    if (text)
        y->text = text_of(text);
    *end = y;
    map->count++;
    return y;
}

/* Adds the keys of a part, with Ducho's names. */
static bool add_model(const Benchmark *b, Yaml *items, const BenchPart *p)
{
    static const char *const NAMES[][2] = {{"model", "model_name"}, {"layer", "output_layers"}};
    Yaml *model = add_node(b, items, "model", YAML_MAP, NULL);
    if (!model)
        return false;
    model->where = p->at->where;
    for (const Yaml *y = p->at->first; y; y = y->next) {
        Yaml *copy = add_node(b, model, y->key.p, y->type, NULL);
        if (!copy)
            return false;
        const Yaml *next = copy->next;
        *copy = *y;
        copy->next = (Yaml *)next;
        for (size_t i = 0; i < COUNT(NAMES); i++)
            if (text_is(y->key, NAMES[i][0]))
                copy->key = text_of(NAMES[i][1]);
        if (text_is(y->key, "model"))
            copy->text = text_of(p->encoder);
    }
    return true;
}

static bool add_paths(const Benchmark *b, Yaml *items, const char *part, const char *key, const char *image,
                      const char *text)
{
    bool both = strcmp(part, "visual_textual") == 0;
    if (!both)
        return add_node(b, items, key, YAML_TEXT, strcmp(part, "visual") == 0 ? image : text) != NULL;
    Yaml *map = add_node(b, items, key, YAML_MAP, NULL);
    return map && add_node(b, map, "visual", YAML_TEXT, image) && add_node(b, map, "textual", YAML_TEXT, text);
}

Yaml *benchmark_tree(const Benchmark *b, const BenchPart *p, const BenchData *d)
{
    const char *name = d ? benchmark_file_name(b, d->name, NULL, NULL) : "data", *visual, *textual;
    Yaml *root = NEW(b->k.arena, Yaml, 1, b->k.e), *part, *items;
    if (!root || !name || !(visual = arena_printf(b->k.arena, b->k.e, "%s/features/%s/visual", b->out, name)) ||
        !(textual = arena_printf(b->k.arena, b->k.e, "%s/features/%s/textual", b->out, name)))
        return NULL;
    *root = (Yaml){.type = YAML_MAP, .where = p->at->where};
    /* relative paths start in the current folder, like those of the benchmark's file */
    if (!add_node(b, root, "dataset_path", YAML_TEXT, ".") || !(part = add_node(b, root, p->name, YAML_MAP, NULL)) ||
        !(items = add_node(b, part, "items", YAML_MAP, NULL)) ||
        !add_paths(b, items, p->name, "input_path", d && d->images ? d->images : "images",
                   d && d->table ? d->table : "items.tsv") ||
        !add_paths(b, items, p->name, "output_path", visual, textual))
        return NULL;
    if (strcmp(p->name, "visual") != 0 &&
        (!add_node(b, items, "item_column", YAML_TEXT, d && d->id ? d->id : "id") ||
         !add_node(b, items, "text_column", YAML_TEXT, d && d->text ? d->text : "text")))
        return NULL;
    return add_model(b, items, p) ? root : NULL;
}

/* Writes JSON, which is also YAML. Numbers and truth values have no quotes. */
static void put(JsonWriter *w, const Yaml *y, bool in_list)
{
    const char *key = in_list ? NULL : y->key.p;
    double number;
    bool truth;
    if (y->type == YAML_TEXT) {
        if (yaml_f64(y, &number))
            json_put_number(w, key, "%s", y->text.p);
        else if (yaml_bool(y, &truth))
            json_put_bool(w, key, truth);
        else if (yaml_is_null(y))
            json_put_string(w, key, NULL);
        else
            json_put_text(w, key, y->text);
        return;
    }
    if (y->type == YAML_LIST)
        json_array(w, key);
    else
        json_object(w, key);
    for (const Yaml *v = y->first; v; v = v->next)
        put(w, v, y->type == YAML_LIST);
    json_end(w);
}

static bool write_tree(const Benchmark *b, const Yaml *root, const char *path)
{
    Out *o = out_open(path, arena_heap(b->k.arena), b->k.e);
    if (!o)
        return false;
    JsonWriter w = {.out = o, .spaced = true};
    json_object(&w, NULL);
    json_lines(&w, 2);
    for (const Yaml *y = root->first; y; y = y->next)
        put(&w, y, false);
    json_finish(&w);
    return out_commit(o, b->k.e);
}

/* ---- the process ----------------------------------------------------------------------------- */

extern const Option extract_options[];
typedef struct Outcome {
    int status; /* exit status of the process, or 128 + the signal that ended it */
    double seconds;
    int64_t peak_bytes;
} Outcome;

/* Runs the child process; never returns. Events are written to `events`, messages to standard error. */
static void child(const Benchmark *b, const char *config, const char *events)
{
    static const Command EXTRACT = {.name = "extract",
                                    .arguments = "CONFIG.yml",
                                    .options = extract_options,
                                    .min_args = 1,
                                    .max_args = 1,
                                    .run = extract_command};
    static const char *const PASSED[] = {"threads", "max-memory"};
    const char *words[4 + 2 * COUNT(PASSED)] = {"extract", config, "--json", b->context->quiet ? "--quiet" : "--json"};
    int count = 4, fd = descriptor_open(events, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666);
    for (size_t i = 0; i < COUNT(PASSED); i++)
        if (option_given(b->context, PASSED[i])) {
            words[count++] = i ? "--max-memory" : "--threads";
            words[count++] = option_text(b->context, PASSED[i]);
        }
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
        _exit(126);
    int status = command_run(&EXTRACT, count, (char **)words);
    fflush(NULL);
    _exit(status);
}

static bool run_child(const Benchmark *b, const char *config, const char *events, Outcome *o)
{
    struct rusage use = {0};
    int status = 0;
    double begun = now_seconds();
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return fail_system(b->k.e, config, "start a process", errno);
    if (pid == 0)
        child(b, config, events);
    while (wait4(pid, &status, 0, &use) < 0)
        if (errno != EINTR)
            return fail_system(b->k.e, config, "wait for a process", errno);
    *o = (Outcome){WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), now_seconds() - begun,
                   (int64_t)use.ru_maxrss * 1024};
    return true;
}

/* ---- results --------------------------------------------------------------------------------- */

/* Reads how many items the last extraction made and skipped, from its first folder. */
static bool read_events(const Benchmark *b, const char *events, int64_t *made, int64_t *skipped)
{
    Text content, line;
    *made = *skipped = 0;
    if (!file_read(&content, b->k.arena, events, (size_t)16 << 20, b->k.e))
        return false;
    while (text_line(&content, &line)) {
        const Json *j = line.n ? json_parse(b->k.arena, line, events, b->k.e) : NULL;
        if (line.n && !j)
            return false;
        if (!json_is_text(json_get(j, "event"), "extraction"))
            continue;
        json_i64(json_get(j, "made"), made);
        json_i64(json_get(j, "skipped"), skipped);
        return true;
    }
    return true;
}

/* Reads D, the last axis, from the first features of a folder; 0: the folder has no features. */
static bool width_of(const Benchmark *b, const char *folder, int64_t *width)
{
    FolderEntry *entries;
    size_t n;
    Npy npy;
    *width = 0;
    if (!folder_list(&entries, &n, b->k.arena, folder, b->k.e))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *path = path_join(b->k.arena, folder, entries[i].name, b->k.e);
        if (!path)
            return false;
        if (entries[i].is_folder || !text_ends(text_of(path), ".npy"))
            continue;
        if (!npy_open(&npy, path, b->k.arena, b->k.e))
            return false;
        *width = npy.array.dims ? npy.array.shape[npy.array.dims - 1] : 0;
        npy_close(&npy);
        return true;
    }
    return true;
}

/* Finds the ledger's row of this data set and encoder, preferably of this setting. NULL: there is no row. */
static bool known_row(const Benchmark *b, Ledger *ledger, const ExtractionRow *like, const ExtractionRow **row)
{
    ExtractionRow *rows;
    size_t n;
    *row = NULL;
    if (!ledger_extractions(ledger, &rows, &n, b->k.arena, b->k.e))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].data, like->data) != 0 || strcmp(rows[i].modality, like->modality) != 0 ||
            strcmp(rows[i].model, like->model) != 0)
            continue;
        bool same = strcmp(rows[i].setting, like->setting) == 0;
        if (same || !*row)
            *row = &rows[i];
        if (same)
            break;
    }
    return true;
}

/* Records a row. If no item was made, the time is that of an earlier run, or of another setting with the same encoder.
 */
static bool put_row(const Benchmark *b, Ledger *ledger, ExtractionRow row, int64_t made)
{
    const ExtractionRow *old = NULL;
    if (!known_row(b, ledger, &row, &old))
        return false;
    if (old && !made && strcmp(old->setting, row.setting) == 0)
        return true;
    if (old && !made) {
        row.seconds = old->seconds;
        row.peak_bytes = old->peak_bytes;
    } else if (old && strcmp(old->setting, row.setting) == 0) { /* another part of the same extraction */
        row.seconds += old->seconds;
        row.peak_bytes = MAX(row.peak_bytes, old->peak_bytes);
    }
    return ledger_put_extraction(ledger, &row, b->k.e);
}

static bool record(const Benchmark *b, ExtractionRow row, int64_t made)
{
    const char *path = path_join(b->k.arena, b->out, "ledger.sqlite", b->k.e);
    /* opened only now: no process may start while the ledger is open */
    Ledger *ledger = path ? ledger_open(path, b->k.e) : NULL;
    bool ok = ledger && put_row(b, ledger, row, made);
    ledger_close(ledger);
    return ok;
}

/* ---- one part -------------------------------------------------------------------------------- */

static bool add_features(const Benchmark *b, const Extraction *x, StudyData *cell)
{
    const char **list = (const char **)cell->config.features;
    for (size_t i = 0; i < x->count; i++) {
        const char *name = x->folders[i].modality == MODALITY_IMAGE ? "visual" : "textual";
        if (!(list[cell->config.feature_count++] = arena_printf(b->k.arena, b->k.e, "%s=%s", name, x->folders[i].path)))
            return false;
    }
    return true;
}

static bool print_part(const Benchmark *b, const BenchData *d, const BenchSetting *s, const BenchPart *p)
{
    if (b->context->progress)
        fprintf(b->context->progress, "Features of %s, %s: %s, %s\n", d->name, s->name, p->name, p->label);
    return true;
}

static bool extract_part(const Benchmark *b, const BenchData *d, const BenchSetting *s, const BenchPart *p,
                         StudyData *cell)
{
    Extraction *list;
    size_t count;
    Outcome o = {0};
    int64_t made, skipped;
    ExtractionRow row = {.data = d->name, .setting = s->name, .modality = p->name, .model = p->label};
    Yaml *tree = benchmark_tree(b, p, d);
    const char *name = tree ? benchmark_file_name(b, d->name, s->name, p->name) : NULL;
    const char *config = name ? arena_printf(b->k.arena, b->k.e, "%s/extract/%s.yml", b->out, name) : NULL,
               *events = name ? arena_printf(b->k.arena, b->k.e, "%s/extract/%s.json", b->out, name) : NULL;
    if (!config || !events || !extraction_plan(&list, &count, tree, b->k.arena, b->k.e) ||
        !write_tree(b, tree, config) || !print_part(b, d, s, p) || !run_child(b, config, events, &o))
        return false;
    if (o.status != 0)
        return (cell->absent = arena_printf(b->k.arena, b->k.e,
                                            "its features were not extracted: exit status %d; see `sapor extract %s`",
                                            o.status, config)) != NULL;
    row.seconds = o.seconds;
    row.peak_bytes = o.peak_bytes;
    if (!read_events(b, events, &made, &skipped) || !width_of(b, list->folders->path, &row.width))
        return false;
    row.items = made + skipped;
    return record(b, row, made) && add_features(b, list, cell);
}

bool benchmark_extract(Benchmark *b, const BenchData *d, const BenchSetting *s, StudyData *cell)
{
    const char *folder = path_join(b->k.arena, b->out, "extract", b->k.e);
    const char **list = NEW(b->k.arena, const char *, 2 * BENCH_PARTS, b->k.e);
    if (!folder || !list || !folder_make(folder, b->k.e))
        return false;
    cell->config.features = list;
    cell->config.feature_count = 0;
    for (size_t i = 0; i < s->part_count && !cell->absent; i++)
        if (!extract_part(b, d, s, &s->parts[i], cell))
            return false;
    return true;
}
