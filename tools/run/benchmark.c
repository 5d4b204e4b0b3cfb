/* tools/run/benchmark.c: makes a study from the file of a benchmark: data sets x settings of extractors (and
 * knock-outs), each with every recommender. */
// flags: -Os
#include "tools/run/benchmark.h"

#include <unistd.h>

#include "tools/demo/demo.h"

static const KeyRow TOP[] = {{"benchmark", KEY_READ, NULL}};
static const KeyRow ROWS[] = {
    {"name", KEY_READ, NULL},   {"out", KEY_READ, NULL},        {"protocol", KEY_READ, NULL},
    {"data", KEY_READ, NULL},   {"seeds", KEY_READ, NULL},      {"settings", KEY_READ, NULL},
    {"models", KEY_READ, NULL}, {"evaluation", KEY_READ, NULL}, {"knock", KEY_READ, NULL},
};
static const KeyRow SETTING[] = {{"name", KEY_READ, NULL},
                                 {"visual", KEY_READ, NULL},
                                 {"textual", KEY_READ, NULL},
                                 {"visual_textual", KEY_READ, NULL},
                                 {"features", KEY_READ, NULL}};
static const KeyRow PART[] = {
    {"model", KEY_READ, NULL},      {"layer", KEY_READ, NULL},
    {"backend", KEY_READ, NULL},    {"reshape", KEY_READ, NULL},
    {"batch_size", KEY_READ, NULL}, {"preprocessing", KEY_READ, NULL},
    {"mean", KEY_READ, NULL},       {"std", KEY_READ, NULL},
    {"clear_text", KEY_READ, NULL}, {"fusion", KEY_REFUSED, "nothing: recommenders take each modality by itself"},
};
static const KeyRow FEATURES[] = {{"visual", KEY_READ, NULL}, {"textual", KEY_READ, NULL}};
static const KeyRow KNOCK[] = {{"modality", KEY_READ, NULL}, {"mode", KEY_READ, NULL}, {"seed", KEY_READ, NULL}};
static const KeyRow EVALUATION[] = {{"cutoffs", KEY_READ, NULL},
                                    {"metrics", KEY_READ, NULL},
                                    {"metric", KEY_READ, NULL},
                                    {"select", KEY_READ, NULL},
                                    {"tests", KEY_READ, NULL}};
enum { MOST_CELLS = 100 * 1000 };
static const char PREPARE_LOCK[] = ".sapor.lock"; /* the lock of the folder OUT/data */
static const char *const SIDES[] = {"visual", "textual"};

/* ---- names ----------------------------------------------------------------------------------- */

/* Returns a file name. Letters and digits stay, and "_", "." and "-" after the first character; a run of other
 * characters becomes one hyphen. If a character was replaced, at most 80 characters are kept, and a hash (32 bits) of
 * the whole name follows, so that different names have different file names. */
const char *benchmark_file_name(const Benchmark *b, const char *data, const char *setting, const char *part)
{
    const char *whole = !setting ? data : arena_printf(b->k.arena, b->k.e, "%s-%s-%s", data, setting, part);
    char *name = whole ? arena_strndup(b->k.arena, whole, strlen(whole), b->k.e) : NULL, *to = name;
    bool changed = false;
    for (const char *p = name; p && *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                     (strchr("_.-", *p) && p != name);
        if (plain)
            *to++ = *p;
        else if (to == name || to[-1] != '-')
            *to++ = '-';
        changed = changed || !plain;
    }
    if (name)
        *to = 0;
    return name && changed
               ? arena_printf(b->k.arena, b->k.e, "%.80s-%08x", name, (unsigned)hash_bytes(whole, strlen(whole), 0))
               : name;
}

/* ---- settings of extractors ------------------------------------------------------------------ */

/* Finds an encoder. "demo/vision" and "demo/text" are the encoders that the project ships. */
static bool find_encoder(const Benchmark *b, const Keys *k, BenchPart *p)
{
    Error why = {0};
    if (!key_text(k, "model", &p->encoder))
        return false;
    if (!(p->label = p->encoder))
        return key_missing(k, "model", "the name of an encoder");
    if (text_starts(text_of(p->encoder), "demo/")) {
        const char *path = demo_encoder(p->encoder + 5, b->k.arena, b->k.e);
        if (!path && b->k.e->code)
            return false;
        if (path) {
            p->encoder = path;
            return true;
        }
    }
    if (statistics_find(p->encoder) || model_find(p->encoder, b->k.arena, &why))
        return true;
    return (p->missing = arena_printf(b->k.arena, b->k.e, "the encoder %s is not there", p->encoder)) != NULL;
}

static bool read_part(const Benchmark *b, const Keys *setting, const char *name, BenchSetting *s)
{
    Keys k;
    Extraction *list;
    size_t count;
    if (!keys_map(&k, setting, name))
        return false;
    if (!k.map)
        return true;
    BenchPart *p = &s->parts[s->part_count++];
    *p = (BenchPart){.name = name, .at = k.map};
    const Yaml *layer = key_get(&k, "layer");
    if (!KEYS_CHECK(&k, PART) || !find_encoder(b, &k, p))
        return false;
    if (layer && layer->type == YAML_LIST && strcmp(name, "visual_textual") != 0)
        return key_refuse(&k, "layer", layer, "one layer");
    Yaml *tree = benchmark_tree(b, p, NULL); /* reports errors as Ducho's reader does, with the lines of the keys */
    return tree && extraction_plan(&list, &count, tree, b->k.arena, b->k.e);
}

static bool read_setting(const Benchmark *b, const Keys *k, BenchSetting *s)
{
    if (!KEYS_CHECK(k, SETTING) || !key_text(k, "name", &s->name) || !keys_map(&s->features, k, "features") ||
        !KEYS_CHECK(&s->features, FEATURES))
        return false;
    if (!s->name)
        return key_missing(k, "name", "a name of the setting");
    for (const BenchSetting *other = b->settings; other < s; other++)
        if (!strcmp(other->name, s->name))
            return key_refuse(k, "name", key_get(k, "name"), "a name that no other setting has");
    if (!read_part(b, k, "visual", s) || !read_part(b, k, "textual", s))
        return false;
    size_t apart = s->part_count;
    if (!read_part(b, k, "visual_textual", s))
        return false;
    if (s->part_count > apart && apart > 0)
        return key_refuse(k, "visual_textual", key_get(k, "visual_textual"), "visual and textual, or visual_textual");
    return !(s->part_count && s->features.map) ||
           key_refuse(k, "features", key_get(k, "features"), "encoders, or ready features");
}

/* Calls `read` with the keys of each entry of a list. Result i is list + i * size. */
static bool each(const Benchmark *b, const char *key, size_t *count, void *list, size_t size,
                 bool (*read)(const Benchmark *b, const Keys *k, void *one))
{
    const Yaml *y = key_get(&b->k, key);
    *count = 0;
    for (y = y ? y->first : NULL; y; y = y->next, ++*count) {
        Keys k;
        const char *name = arena_printf(b->k.arena, b->k.e, "%s[%zu]", key, *count);
        if (!name || !keys_of(&k, &b->k, y, name))
            return false;
        if (!k.map)
            return key_refuse(&b->k, name, y, "a map of keys and values");
        if (!read(b, &k, (char *)list + *count * size))
            return false;
    }
    return true;
}

static bool one_setting(const Benchmark *b, const Keys *k, void *one)
{
    return read_setting(b, k, one);
}

/* Reads the settings. If the key is missing, there is one setting, without features. */
static bool read_settings(Benchmark *b)
{
    const Yaml *list = key_get(&b->k, "settings");
    size_t n = list ? list->count : 1;
    if (list && (list->type != YAML_LIST || !n))
        return key_refuse(&b->k, "settings", list, "a list of settings of extractors");
    if (!(b->settings = NEW(b->k.arena, BenchSetting, n, b->k.e)))
        return false;
    if (list)
        return each(b, "settings", &b->setting_count, b->settings, sizeof *b->settings, one_setting);
    b->settings[0].name = "";
    b->setting_count = 1;
    return true;
}

/* ---- knock-outs ------------------------------------------------------------------------------ */

static bool one_knock(const Benchmark *b, const Keys *k, void *one)
{
    BenchKnock *x = one;
    size_t which = 0, mode = 0;
    int64_t seed = 42;
    if (!KEYS_CHECK(k, KNOCK) || !key_word(k, "modality", knock_modalities, KNOCK_MODALITIES, &which) ||
        !key_word(k, "mode", knock_modes, KNOCK_MODES, &mode) || !key_i64(k, "seed", 0, INT64_MAX, &seed))
        return false;
    if (!key_get(k, "modality") || !key_get(k, "mode"))
        return key_missing(k, key_get(k, "modality") ? "mode" : "modality",
                           key_get(k, "modality") ? "noise, zero, one, mean or shuffle" : "visual, textual or both");
    x->knock = (Knock){&knock_modalities[which], 1, (KnockMode)mode, (uint64_t)seed};
    if (!(x->name = arena_printf(b->k.arena, k->e, "%s %s", knock_modalities[which], knock_modes[mode])))
        return false;
    for (const BenchKnock *other = b->knocks; other < x; other++)
        if (!strcmp(other->name, x->name))
            return key_refuse(k, "mode", key_get(k, "mode"), "a knock-out other than %s, which is already in the list",
                              x->name);
    return true;
}

static bool read_knocks(Benchmark *b)
{
    const Yaml *list = key_get(&b->k, "knock");
    if (list && list->type != YAML_LIST)
        return key_refuse(&b->k, "knock", list, "a list of {modality: both, mode: noise}");
    return (b->knocks = NEW(b->k.arena, BenchKnock, list ? list->count + 1 : 1, b->k.e)) &&
           each(b, "knock", &b->knock_count, b->knocks, sizeof *b->knocks, one_knock);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static bool read_measures(const Keys *k, const Benchmark *b, Study *s)
{
    static const char *const ELLIOT[] = {"Recall", "Precision", "nDCG", "HR"}, *const MMREC[] = {"Recall", "nDCG",
                                                                                                 "Precision", "MAP"};
    static const int64_t CUTOFFS[] = {20};
    s->eval = (EvalConfig){.metrics = b->protocol == PROTOCOL_MMREC ? MMREC : ELLIOT,
                           .metric_count = COUNT(ELLIOT),
                           .cutoffs = CUTOFFS,
                           .cutoff_count = COUNT(CUTOFFS)};
    if (!key_measures(k, "metrics", "cutoffs", &s->eval) ||
        !measures_name(&s->eval, text_of(s->eval.metrics[0]), &s->metric, k->arena, k->e))
        return false;
    s->cutoff = s->eval.cutoffs[0];
    return key_measure(k, "metric", &s->eval, &s->metric, &s->cutoff);
}

static bool read_evaluation(const Benchmark *b, Study *s)
{
    Keys k;
    size_t select = SELECT_VALID, n = 0;
    const char *const *tests = NULL;
    if (!keys_map(&k, &b->k, "evaluation") || !KEYS_CHECK(&k, EVALUATION) || !read_measures(&k, b, s) ||
        !key_word(&k, "select", study_selects, COUNT(study_selects), &select) || !key_texts(&k, "tests", &tests, &n))
        return false;
    s->select = (StudySelect)select;
    for (size_t i = 0; i < n; i++) {
        bool t = !strcmp(tests[i], "paired_ttest"), w = !strcmp(tests[i], "wilcoxon");
        if (!t && !w)
            return fail(k.e, SP_FORMAT,
                        "%s: benchmark.evaluation.tests: found %.60s; allowed is paired_ttest or wilcoxon",
                        key_get(&k, "tests")->where, tests[i]);
        s->t_test = s->t_test || t;
        s->wilcoxon = s->wilcoxon || w;
    }
    return true;
}

/* ---- cells ----------------------------------------------------------------------------------- */

/* Replaces every {0} in the text by the name. {0} inside the name stays. */
static const char *replaced(const Benchmark *b, const char *text, const char *name)
{
    const char *all = "", *at;
    for (; all && (at = strstr(text, "{0}")); text = at + 3)
        all = arena_printf(b->k.arena, b->k.e, "%s%.*s%s", all, (int)(at - text), text, name);
    return all ? arena_printf(b->k.arena, b->k.e, "%s%s", all, text) : NULL;
}

/* Adds the existing features of the data set or of the setting to the cell (see benchmark.h). If a file is missing,
 * nothing is trained for this cell, and its `absent` says why. */
static bool ready_features(const Benchmark *b, const BenchData *d, const Keys *k, const char *folder, StudyData *cell)
{
    const char **list = NEW(b->k.arena, const char *, COUNT(SIDES), b->k.e);
    cell->config.features = list;
    if (!list || !KEYS_CHECK(k, FEATURES))
        return false;
    for (size_t i = 0; i < COUNT(SIDES); i++) {
        const char *text = NULL, *path = NULL;
        if (!key_text(k, SIDES[i], &text))
            return false;
        if (!text)
            continue;
        if (!(text = replaced(b, text, d->name)) || !(path = path_join(b->k.arena, folder, text, b->k.e)))
            return false;
        if (!file_exists(path) && !folder_exists(path) && !cell->absent &&
            !(cell->absent = benchmark_missing(b, d, path)))
            return false;
        if (!(list[cell->config.feature_count++] = arena_printf(b->k.arena, b->k.e, "%s=%s", SIDES[i], path)))
            return false;
    }
    return true;
}

/* Checks whether the encoders of the setting and their inputs exist. If not, the reason becomes the cell's `absent`. */
static bool check_parts(const Benchmark *b, const BenchData *d, const BenchSetting *s, StudyData *cell)
{
    for (size_t i = 0; i < s->part_count && !cell->absent; i++) {
        const BenchPart *p = &s->parts[i];
        bool images = strcmp(p->name, "textual") != 0, texts = strcmp(p->name, "visual") != 0;
        if (images && !d->images)
            cell->absent = d->why ? d->why : "the data set has no images";
        else if (images && !folder_exists(d->images))
            cell->absent = benchmark_missing(b, d, d->images);
        else if (texts && !d->table)
            cell->absent = d->why ? d->why : "the data set has no texts";
        else if (texts && !file_exists(d->table))
            cell->absent = benchmark_missing(b, d, d->table);
        else if (p->missing)
            cell->absent = p->missing;
    }
    if (s->part_count && !cell->absent && !b->context)
        cell->absent = "its features are not extracted";
    return b->k.e->code == SP_OK;
}

static bool make_cell(Benchmark *b, const BenchData *d, const BenchSetting *s, StudyData *cell)
{
    Keys of_data;
    *cell = (StudyData){.name = d->name, .setting = s->name, .fold = "", .absent = d->absent, .config = d->config};
    if (!keys_map(&of_data, &d->features, s->name))
        return false;
    if (of_data.map)
        return ready_features(b, d, &of_data, d->folder, cell);
    if (s->features.map)
        return ready_features(b, d, &s->features, b->folder, cell);
    if (!s->part_count && *s->name)
        cell->absent = cell->absent ? cell->absent : d->why ? d->why : "the data set has no features of this setting";
    return check_parts(b, d, s, cell) && (cell->absent || !s->part_count || benchmark_extract(b, d, s, cell));
}

/* Checks that the names in the `features` of a data set are names of settings. */
static bool check_ready(const Benchmark *b)
{
    KeyRow *rows = NEW(b->k.arena, KeyRow, b->setting_count, b->k.e);
    for (size_t i = 0; rows && i < b->setting_count; i++)
        rows[i] = (KeyRow){b->settings[i].name, KEY_READ, NULL};
    for (size_t i = 0; rows && i < b->data_count; i++)
        if (!keys_check(&b->data[i].features, rows, b->setting_count))
            return false;
    return rows != NULL;
}

static bool make_cells(Benchmark *b, Study *s)
{
    /* each of these lists has at most 20,000 entries */
    size_t variants = 1 + b->knock_count, count = b->data_count * b->setting_count * variants;
    if (count > MOST_CELLS)
        return fail(b->k.e, SP_USAGE, "%s: %zu data sets x %zu settings x %zu variants are more than %d, the limit",
                    b->k.map->where, b->data_count, b->setting_count, variants, MOST_CELLS);
    StudyData *cells = NEW(b->k.arena, StudyData, count, b->k.e);
    s->data = cells;
    for (size_t i = 0; cells && i < b->data_count; i++) {
        if (!benchmark_split(b, &b->data[i]))
            return false;
        for (size_t j = 0; j < b->setting_count; j++) {
            StudyData *first = &cells[s->data_count];
            if (!make_cell(b, &b->data[i], &b->settings[j], first))
                return false;
            for (size_t k = 0; k < b->knock_count; k++) {
                first[1 + k] = *first;
                first[1 + k].config.knock = b->knocks[k].knock;
                if (!(first[1 + k].setting = arena_printf(b->k.arena, b->k.e, "%s%s%s", first->setting,
                                                          *first->setting ? ", " : "", b->knocks[k].name)))
                    return false;
            }
            s->data_count += variants;
        }
    }
    return cells != NULL;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Waits for the lock. One worker prepares at a time; the other workers then find its files. Returns false on an error.
 */
static bool wait_lock(const Benchmark *b, FolderLock *lock, const char *folder)
{
    for (bool printed = false, taken = false;; printed = true) {
        if (!lock_take(lock, folder, PREPARE_LOCK, &taken, b->k.e) || taken)
            return taken;
        if (!printed && !keys_note(&b->k, NULL, "%s: another worker prepares the data: this one waits", folder))
            return false;
        sleep(1);
    }
}

static bool prepare(Benchmark *b, Study *s)
{
    FolderLock lock = {-1};
    const char *folder = path_join(b->k.arena, b->out, "data", b->k.e);
    if (!folder || !folder_make(folder, b->k.e) || !wait_lock(b, &lock, folder))
        return false;
    bool ok = make_cells(b, s);
    lock_drop(&lock, folder, PREPARE_LOCK);
    return ok;
}

bool benchmark_read(Study *s, const ProtocolConfig *c, const Yaml *root, Context *ctx, Arena *a, Error *e)
{
    Keys top;
    Benchmark b = {.context = ctx, .folder = strchr(c->path, '/') ? path_folder(c->path, a, e) : ""};
    size_t protocol = PROTOCOL_ELLIOT;
    const char *name = "benchmark", *out = NULL;
    StudyModel *models;
    if (!b.folder || !keys_root(&top, root, c, a, e) || !KEYS_CHECK(&top, TOP) || !keys_map(&b.k, &top, "benchmark"))
        return false;
    if (!b.k.map)
        return key_missing(&top, "benchmark", "a map of keys and values");
    if (!KEYS_CHECK(&b.k, ROWS) || !key_text(&b.k, "name", &name) || !key_text(&b.k, "out", &out) ||
        !key_word(&b.k, "protocol", protocol_names, COUNT(protocol_names), &protocol))
        return false;
    b.protocol = (Protocol)protocol;
    b.out = c->out ? c->out : path_join(a, b.folder, out ? out : "results", e);
    *s = (Study){.name = name, .system = "benchmark", .source = c->path, .out = b.out};
    if (!b.out || !benchmark_data(&b) || !read_settings(&b) || !check_ready(&b) || !read_knocks(&b) ||
        !read_evaluation(&b, s) || !benchmark_models(&b, &models, &s->model_count))
        return false;
    s->models = models;
    return prepare(&b, s);
}
