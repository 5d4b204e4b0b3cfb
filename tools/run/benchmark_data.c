/* tools/run/benchmark_data.c: the data sets of a benchmark: interactions (to be split, or in parts), images, texts and
 * existing features. A missing file is no error: nothing is trained for the cells (see benchmark.h) of this data set,
 * and tables say why. */
// flags: -Os
#include "tools/run/benchmark.h"

static const KeyRow DATA[] = {
    {"name", KEY_READ, NULL},  {"folder", KEY_READ, NULL},    {"interactions", KEY_READ, NULL},
    {"split", KEY_READ, NULL}, {"train", KEY_READ, NULL},     {"validation", KEY_READ, NULL},
    {"test", KEY_READ, NULL},  {"format", KEY_READ, NULL},    {"columns", KEY_READ, NULL},
    {"items", KEY_READ, NULL}, {"separator", KEY_READ, NULL}, {"images", KEY_READ, NULL},
    {"gaps", KEY_READ, NULL},  {"features", KEY_READ, NULL},  {"absent", KEY_READ, NULL},
};
static const KeyRow SPLIT[] = {
    {"strategy", KEY_READ, NULL}, {"test_ratio", KEY_READ, NULL}, {"validation_ratio", KEY_READ, NULL},
    {"seed", KEY_READ, NULL},     {"k_core", KEY_READ, NULL},     {"leave_n", KEY_READ, NULL},
};
static const KeyRow ITEMS[] = {{"table", KEY_READ, NULL}, {"id", KEY_READ, NULL}, {"text", KEY_READ, NULL}};

const char *benchmark_missing(const Benchmark *b, const BenchData *d, const char *path)
{
    return d->why ? arena_printf(b->k.arena, b->k.e, "%s (%s is not there)", d->why, path)
                  : arena_printf(b->k.arena, b->k.e, "%s is not there", path);
}

/* Reads a path of the data set. *to stays NULL if the key is missing. */
static bool read_path(const Keys *k, const char *folder, const char *key, const char **to)
{
    const char *text = NULL;
    return key_text(k, key, &text) && (!text || (*to = path_join(k->arena, folder, text, k->e)));
}

/* Reads the keys `format`, `separator` and `columns`. Their values are those of the options with these names. */
static bool read_layout(const Keys *k, DataConfig *c)
{
    const char *format = NULL, *cut = NULL;
    if (!key_text(k, "format", &format) || !key_text(k, "separator", &cut) ||
        !key_text(k, "columns", &c->layout.columns))
        return false;
    if (format && (int)(c->format = format_find(format)) < 0)
        return key_refuse(k, "format", key_get(k, "format"), "auto, tsv, csv, inter, recbole or lightgcn");
    return !cut || layout_separator(cut, &c->layout.separator) ||
           key_refuse(k, "separator", key_get(k, "separator"), "tab, comma, semicolon, colons or blank");
}

static bool read_split(const Keys *data, BenchData *d)
{
    static const char *const STRATEGIES[] = {"random", "temporal", "leave-n-out"};
    Keys k;
    size_t strategy = SPLIT_RANDOM;
    int64_t seed = 42;
    SplitConfig *c = &d->split;
    *c = (SplitConfig){.test_ratio = 0.2,
                       .validation_ratio = 0.1,
                       .format = d->config.format,
                       .layout = d->config.layout,
                       .heap = arena_heap(data->arena)};
    if (!keys_map(&k, data, "split") || !KEYS_CHECK(&k, SPLIT) ||
        !key_word(&k, "strategy", STRATEGIES, COUNT(STRATEGIES), &strategy) ||
        !key_f64(&k, "test_ratio", 0, 1, &c->test_ratio) ||
        !key_f64(&k, "validation_ratio", 0, 1, &c->validation_ratio) || !key_i64(&k, "seed", 0, UINT32_MAX, &seed) ||
        !key_i64(&k, "k_core", 0, INT32_MAX, &c->k_core) || !key_i64(&k, "leave_n", 0, INT32_MAX, &c->leave_n))
        return false;
    if (!k.map)
        return key_missing(data, "split",
                           "a map: {strategy: random, test_ratio: 0.2, validation_ratio: 0.1, seed: 42}");
    if (strategy == SPLIT_LEAVE_N_OUT && !c->leave_n)
        return key_missing(&k, "leave_n", "a whole number of at least 1");
    c->strategy = strategy;
    c->seed = (uint32_t)seed;
    return true;
}

static bool read_items(const Keys *data, BenchData *d)
{
    Keys k;
    if (!keys_map(&k, data, "items") || !KEYS_CHECK(&k, ITEMS) || !read_path(&k, d->folder, "table", &d->table) ||
        !key_text(&k, "id", &d->id) || !key_text(&k, "text", &d->text))
        return false;
    if (k.map && (!d->table || !d->id || !d->text))
        return key_missing(&k, d->table ? d->id ? "text" : "id" : "table",
                           "a table with a header, the column of the ids and that of the texts");
    return true;
}

/* Reads interactions that Sapor splits, or the paths of the parts. Notes which files are missing. */
static bool read_interactions(const Benchmark *b, const Keys *k, BenchData *d)
{
    DataConfig *c = &d->config;
    if (!read_layout(k, c) || !read_path(k, d->folder, "interactions", &d->interactions) ||
        !read_path(k, d->folder, "train", &c->train) || !read_path(k, d->folder, "validation", &c->valid) ||
        !read_path(k, d->folder, "test", &c->test))
        return false;
    bool has_parts = c->train || c->valid || c->test;
    if ((d->interactions != NULL) == has_parts)
        return has_parts ? key_refuse(k, "interactions", key_get(k, "interactions"),
                                      "either interactions with split, or train, validation and test")
                         : key_missing(k, "interactions", "a file to split; or train, validation and test");
    if (has_parts && !c->train)
        return key_missing(k, "train", "a file");
    if (has_parts && key_get(k, "split"))
        return key_refuse(k, "split", key_get(k, "split"), "nothing where train, validation and test are given");
    if (d->interactions && !read_split(k, d))
        return false;
    const char *files[] = {d->interactions, c->train, c->valid, c->test};
    for (size_t i = 0; i < COUNT(files) && !d->absent; i++)
        if (files[i] && !file_exists(files[i]) && !(d->absent = benchmark_missing(b, d, files[i])))
            return false;
    return true;
}

static bool read_data(Benchmark *b, const Keys *k, BenchData *d)
{
    size_t gaps = b->protocol == PROTOCOL_MMREC ? GAPS_ERROR : GAPS_DROP;
    const char *folder = "";
    if (!KEYS_CHECK(k, DATA) || !key_text(k, "name", &d->name) || !key_text(k, "folder", &folder) ||
        !key_text(k, "absent", &d->why) || !key_word(k, "gaps", gap_names, GAPS_COUNT, &gaps) ||
        !keys_map(&d->features, k, "features"))
        return false;
    if (!d->name)
        return key_missing(k, "name", "a name of the data set");
    for (const BenchData *other = b->data; other < d; other++)
        if (!strcmp(other->name, d->name))
            return key_refuse(k, "name", key_get(k, "name"), "a name that no other data set has");
    if (!(d->folder = *folder ? path_join(k->arena, b->folder, folder, k->e) : b->folder))
        return false;
    d->config.gaps = (Gaps)gaps;
    d->config.protocol = b->protocol;
    return read_interactions(b, k, d) && read_path(k, d->folder, "images", &d->images) && read_items(k, d);
}

bool benchmark_data(Benchmark *b)
{
    const Yaml *list = key_get(&b->k, "data");
    if (!list || list->type != YAML_LIST || !list->count)
        return list ? key_refuse(&b->k, "data", list, "a list of data sets")
                    : key_missing(&b->k, "data", "a list of data sets");
    if (!(b->data = NEW(b->k.arena, BenchData, list->count, b->k.e)))
        return false;
    for (const Yaml *y = list->first; y; y = y->next) {
        Keys k;
        const char *name = arena_printf(b->k.arena, b->k.e, "data[%zu]", b->data_count);
        if (!name || !keys_of(&k, &b->k, y, name))
            return false;
        if (!k.map)
            return key_refuse(&b->k, name, y, "a map of keys and values");
        if (!read_data(b, &k, &b->data[b->data_count]))
            return false;
        b->data_count++;
    }
    return true;
}

/* ---- splits ---------------------------------------------------------------------------------- */

/* Returns the folder of the split. Its name contains a hash (32 bits) of the file and of the options of the split, so
 * that different splits do not share files. */
static const char *split_folder(const Benchmark *b, const BenchData *d)
{
    Map m;
    const SplitConfig *c = &d->split;
    if (!map_open(&m, d->interactions, b->k.e))
        return NULL;
    uint64_t hash = hash_bytes(m.data, m.bytes, 0);
    map_close(&m);
    const char *how =
        arena_printf(b->k.arena, b->k.e, "%d %.17g %.17g %lld %lld %u %d %s %d", (int)c->strategy, c->test_ratio,
                     c->validation_ratio, (long long)c->leave_n, (long long)c->k_core, c->seed, (int)c->format,
                     c->layout.columns ? c->layout.columns : "", c->layout.separator);
    const char *name = how ? benchmark_file_name(b, d->name, NULL, NULL) : NULL;
    return name ? arena_printf(b->k.arena, b->k.e, "%s/data/%s-%08x", b->out, name,
                               (unsigned)hash_bytes(how, strlen(how), hash))
                : NULL;
}

bool benchmark_split(Benchmark *b, BenchData *d)
{
    static const char *const NAMES[] = {"train.tsv", "val.tsv", "test.tsv"};
    const char **parts[] = {&d->config.train, &d->config.valid, &d->config.test};
    size_t counts[3];
    if (!d->interactions || d->absent)
        return true;
    const char *folder = split_folder(b, d), *train = folder ? path_join(b->k.arena, folder, NAMES[0], b->k.e) : NULL;
    if (!train) /* train.tsv is renamed last: if it exists, the split is complete */
        return false;
    if (!file_exists(train) && !split_file(d->interactions, folder, &d->split, counts, b->k.e))
        return false;
    for (size_t i = 0; i < COUNT(parts); i++) {
        const char *path = path_join(b->k.arena, folder, NAMES[i], b->k.e);
        if (!path)
            return false;
        *parts[i] = file_exists(path) ? path : NULL;
    }
    /* the parts are tables with the columns of the file; for LightGCN the columns are user and item */
    if (d->config.format == FORMAT_LIGHTGCN)
        d->config.format = FORMAT_TSV;
    return true;
}
