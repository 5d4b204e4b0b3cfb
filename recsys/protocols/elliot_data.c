/* recsys/protocols/elliot_data.c: data_config, prefiltering and splitting of an Elliot configuration. The parts are
 * files as Elliot's save_on_disk writes them: FOLDER/<i>/test.tsv, FOLDER/<i>/<j>/train.tsv and val.tsv. */
// flags: -Os
#include "recsys/protocols/elliot.h"

enum { MOST_DATA = 10000 };

/* ---- side_information ------------------------------------------------------------------------ */

typedef struct Side {
    const char *loader, *key, *modality;
} Side;
static const Side sides[] = {{"VisualAttribute", "visual_features", "visual"},
                             {"TextualAttribute", "textual_features", "textual"},
                             {"AudioAttribute", "audio_features", "audio"}};
#define LOADERS "VisualAttribute, TextualAttribute or AudioAttribute"

static const Side *side_of(const Yaml *y)
{
    for (size_t i = 0; y && y->type == YAML_TEXT && i < COUNT(sides); i++)
        if (text_is(y->text, sides[i].loader))
            return &sides[i];
    return NULL;
}

/* Checks that the file `path` of a key exists. folder: a folder is allowed too. */
static bool check_exists(const Keys *k, const char *key, const char *path, bool folder)
{
    if (folder ? folder_exists(path) || file_exists(path) : file_exists(path))
        return true;
    const char *name = arena_printf(k->arena, k->e, "%s.%s", k->path, key);
    return name && fail(k->e, SP_IO,
                        "%s: %s: found %s, which is not there; allowed is %s (as in Elliot, a path without a dot is "
                        "relative to the current folder, a path with a dot to the folder of the configuration)",
                        key_get(k, key)->where, name, path, folder ? "a folder of .npy files" : "a file");
}

/* Reads one loader: its features as "name=path". */
static bool read_side(const Elliot *x, const Keys *side, const Side **which, const char **spec)
{
    static const char unsupported[] = "no value: Sapor reads only the loader's folder of features";
    const Yaml *loader = key_get(side, "dataloader");
    const Side *is = *which = side_of(loader);
    if (!is)
        return loader ? key_refuse(side, "dataloader", loader, LOADERS) : key_missing(side, "dataloader", LOADERS);
    const KeyRow rows[] = {{"dataloader", KEY_READ, NULL},
                           {is->key, KEY_READ, NULL},
                           {"visual_pca_features", KEY_REFUSED, unsupported},
                           {"visual_feat_map_features", KEY_REFUSED, unsupported},
                           {"images_src_folder", KEY_REFUSED, unsupported},
                           {"output_image_size", KEY_REFUSED, unsupported}};
    const Yaml *y = KEYS_CHECK(side, rows) ? key_get(side, is->key) : NULL;
    if (!y)
        return side->e->code == SP_OK && key_missing(side, is->key, "a folder of .npy files");
    const char *path = elliot_path(x, side, is->key, y);
    return path && check_exists(side, is->key, path, true) &&
           (*spec = arena_printf(side->arena, side->e, "%s=%s", is->modality, path));
}

static bool read_sides(Elliot *x, const Keys *data, DataConfig *c, Arena *a, Error *e)
{
    const Yaml *y = key_get(data, "side_information");
    size_t n = y && y->type == YAML_LIST ? y->count : 0;
    if (y && y->type != YAML_LIST)
        return key_refuse(data, "side_information", y, "a list of loaders: " LOADERS);
    const char **spec = NEW(a, const char *, n + 1, e), **modality = NEW(a, const char *, n + 1, e);
    const char **loader = NEW(a, const char *, n + 1, e);
    if (!spec || !modality || !loader)
        return false;
    const Yaml *entry = n ? y->first : NULL;
    for (size_t i = 0; i < n; i++, entry = entry->next) {
        Keys side;
        const Side *is;
        const char *name = arena_printf(a, e, "side_information[%zu]", i);
        if (!name || !keys_of(&side, data, entry, name) || !read_side(x, &side, &is, &spec[i]))
            return false;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(loader[k], is->loader))
                return key_refuse(&side, "dataloader", key_get(&side, "dataloader"), "each loader once");
        modality[i] = is->modality;
        loader[i] = is->loader;
    }
    x->modalities = modality;
    x->loaders = loader;
    x->modality_count = n;
    c->features = n ? spec : NULL;
    c->feature_count = n;
    c->gaps = n ? GAPS_DROP : GAPS_ERROR;
    return true;
}

/* ---- the folder of the parts ----------------------------------------------------------------- */

static bool is_index(const char *name)
{
    int64_t number;
    return text_i64(text_of(name), &number) && number >= 0 && *name != '+';
}

static bool is_part(const char *name, bool inner)
{
    return !strcmp(name, "train.tsv") || !strcmp(name, inner ? "val.tsv" : "test.tsv");
}

/* Checks that a folder contains only parts of a split with these folds. A missing or empty folder is valid too.
 * Anything else in the folder is an error: Elliot deletes the folder with all its contents; here nothing is deleted.
 *
 * `depth` of the folder: 0: save_folder; 1: its <i>; 2: its <i>/<j>. */
static bool check_only_parts(const char *path, int depth, const int64_t folds[2], bool nested, Arena *a, Error *e)
{
    static const char what[] = "Elliot deletes save_folder first, which Sapor does not: remove it, or name another";
    FolderEntry *entry;
    size_t n;
    if (!folder_exists(path))
        return true;
    if (!folder_list(&entry, &n, a, path, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *inner = path_join(a, path, entry[i].name, e);
        int64_t index = -1;
        if (!inner)
            return false;
        if (entry[i].is_folder && depth < 2 && is_index(entry[i].name)) {
            text_i64(text_of(entry[i].name), &index);
            if (index < folds[depth] && (depth == 0 || nested)) {
                if (!check_only_parts(inner, depth + 1, folds, nested, a, e))
                    return false;
                continue;
            }
            return fail(e, SP_IO, "%s: is of an earlier split with other folds. %s", inner, what);
        }
        bool part = !entry[i].is_folder && depth > 0 && is_part(entry[i].name, depth == 2) &&
                    (depth == 2 || !nested || strcmp(entry[i].name, "train.tsv") != 0);
        if (!part)
            return fail(e, SP_IO, "%s: is not of a split of this configuration. %s", inner, what);
    }
    return true;
}

typedef struct Cutting {
    Study *study;
    Elliot *x;
    const char *folder;
    const DataConfig *config; /* common to all data sets, without files */
    StudyData *data;
    ElliotSource source;
    ElliotSplit test, valid;
    bool nested;       /* train is split again, into train and validation */
    const Yaml *where; /* the map `splitting` */
    Error *e;
} Cutting;

/* Adds the data set of test fold i and validation fold j to the study; j is not used without validation folds. */
static bool add_data(Cutting *c, const char *train, const char *valid, const char *test, int64_t i, int64_t j)
{
    Study *s = c->study;
    Arena *a = c->x->experiment.arena;
    int64_t inner = c->nested ? c->valid.folds : 1;
    const char *fold = c->test.folds > 1 && inner > 1 ? arena_printf(a, c->e, "%lld.%lld", (long long)i, (long long)j)
                       : c->test.folds > 1            ? arena_printf(a, c->e, "%lld", (long long)i)
                       : inner > 1                    ? arena_printf(a, c->e, "0.%lld", (long long)j)
                                                      : "";
    if (!fold)
        return false;
    StudyData *d = &c->data[s->data_count++];
    *d = (StudyData){.name = c->x->dataset, .setting = "", .fold = fold, .config = *c->config};
    d->config.train = train;
    d->config.valid = valid;
    d->config.test = test;
    return true;
}

/* Makes the folder of FOLDER/<i>[/<j>]/NAME, and returns the path. j -1: without <j>. */
static const char *part_path(const Cutting *c, int64_t i, int64_t j, const char *name)
{
    Arena *a = c->x->experiment.arena;
    const char *folder = j < 0 ? arena_printf(a, c->e, "%s/%lld", c->folder, (long long)i)
                               : arena_printf(a, c->e, "%s/%lld/%lld", c->folder, (long long)i, (long long)j);
    return folder && folder_make(folder, c->e) ? path_join(a, folder, name, c->e) : NULL;
}

static bool write_part(const Cutting *c, const char *path, const ElliotRows *rows)
{
    if (rows->count == 0)
        return fail(c->e, SP_FORMAT,
                    "%s: experiment.splitting: leaves no rows for %s; allowed is a split of which each part "
                    "has rows",
                    c->where->where, path);
    return elliot_write_rows(&c->source, path, rows, c->e);
}

/* Writes the parts of test fold i: its test part, and the train part with its validation folds. */
static bool cut_one(Cutting *c, const ElliotRows *rows, const uint8_t *flag, int64_t i, Mt19937 *random)
{
    Arena *a = c->source.arena;
    Error *e = c->e;
    ElliotRows train, test, inner, valid;
    const char *test_path = part_path(c, i, -1, "test.tsv");
    if (!test_path || !elliot_part(&test, rows, flag, 1, a, e) || !write_part(c, test_path, &test) ||
        !elliot_part(&train, rows, flag, 0, a, e))
        return false;
    if (!c->nested) {
        const char *path = part_path(c, i, -1, "train.tsv");
        return path && write_part(c, path, &train) && add_data(c, path, NULL, test_path, i, -1);
    }
    uint8_t *cut = arena_alloc(a, (size_t)c->valid.folds, train.count + 1, e);
    if (!cut || !elliot_cut(&c->source, &c->valid, &train, random, cut, e))
        return false;
    for (int64_t j = 0; j < c->valid.folds; j++) {
        ArenaMark mark = arena_mark(a);
        const uint8_t *fold = cut + (size_t)j * train.count; /* the flags of fold j */
        const char *train_path = part_path(c, i, j, "train.tsv"), *valid_path = part_path(c, i, j, "val.tsv");
        if (!train_path || !valid_path || !elliot_part(&inner, &train, fold, 0, a, e) ||
            !elliot_part(&valid, &train, fold, 1, a, e) || !write_part(c, train_path, &inner) ||
            !write_part(c, valid_path, &valid) || !add_data(c, train_path, valid_path, test_path, i, j))
            return false;
        arena_rewind(a, mark);
    }
    return true;
}

static bool cut_all(Cutting *c, const ElliotRows *rows)
{
    Arena *a = c->source.arena;
    Mt19937 random;
    uint8_t *flag = arena_alloc(a, (size_t)c->test.folds, rows->count + 1, c->e);
    int64_t folds[2] = {c->test.folds, c->nested ? c->valid.folds : 0};
    mt_seed(&random, (uint32_t)c->x->seed); /* seeded once: the draws of validation follow those of test */
    bool ok = flag && check_only_parts(c->folder, 0, folds, c->nested, a, c->e) &&
              elliot_cut(&c->source, &c->test, rows, &random, flag, c->e);
    for (int64_t i = 0; ok && i < c->test.folds; i++) {
        ArenaMark mark = arena_mark(a);
        ok = cut_one(c, rows, flag + (size_t)i * rows->count, i, &random);
        arena_rewind(a, mark);
    }
    return ok;
}

/* Removes the rows of items without features. As in Elliot, this is done before the prefilters. */
static bool drop_items(const Cutting *c, ElliotRows *rows)
{
    const Ratings *r = c->source.ratings;
    int64_t items = text_index_count(r->items);
    bool *lacks = NEW(c->source.arena, bool, items + 1, c->e);
    Arena *scratch = arena_new(arena_heap(c->source.arena), 0);
    bool ok = lacks && (scratch || fail_memory(c->e, 4096, "features"));
    for (size_t f = 0; ok && f < c->config->feature_count; f++)
        ok = feature_lacks(c->config->features[f], r->items, items, lacks, scratch, c->e);
    arena_free(scratch);
    size_t n = 0;
    for (size_t i = 0; ok && i < rows->count; i++)
        if (!lacks[r->item[rows->row[i]]])
            rows->row[n++] = rows->row[i];
    rows->count = n;
    return ok;
}

/* Sets c->folder, where the parts are written: save_folder if save_on_disk is True, else OUT/splits. */
static bool read_saving(Cutting *c, const Keys *splitting)
{
    const Yaml *y = key_get(splitting, "save_folder");
    bool save = false;
    if (!key_bool(splitting, "save_on_disk", &save))
        return false;
    c->folder = c->x->splits;
    if (save && !y)
        return key_missing(splitting, "save_folder", "a folder, as save_on_disk is True");
    if (!save && y &&
        !keys_note(splitting, y, "%s.save_folder: save_on_disk is not True, so the parts are written to %s",
                   splitting->path, c->folder))
        return false;
    return !save || (c->folder = elliot_path(c->x, splitting, "save_folder", y));
}

static bool read_splitting(Cutting *c)
{
    static const KeyRow rows[] = {{"save_on_disk", KEY_READ, NULL},
                                  {"save_folder", KEY_READ, NULL},
                                  {"test_splitting", KEY_READ, NULL},
                                  {"validation_splitting", KEY_READ, NULL}};
    Keys k;
    if (!keys_map(&k, &c->x->experiment, "splitting") || !KEYS_CHECK(&k, rows))
        return false;
    if (!k.map)
        return key_missing(&c->x->experiment, "splitting", "a map with test_splitting (for strategy: dataset)");
    c->where = k.map;
    if (!key_get(&k, "test_splitting"))
        return key_missing(&k, "test_splitting", "a map with a strategy");
    c->nested = key_get(&k, "validation_splitting") != NULL;
    if (!read_saving(c, &k) || !elliot_split(&c->test, &k, "test_splitting", c->source.ratings) ||
        (c->nested && !elliot_split(&c->valid, &k, "validation_splitting", c->source.ratings)))
        return false;
    int64_t all = c->test.folds * (c->nested ? c->valid.folds : 1);
    if (all > MOST_DATA)
        return key_refuse(&k, "validation_splitting", key_get(&k, "validation_splitting"), "at most %d folds in all",
                          MOST_DATA);
    c->data = NEW(c->x->experiment.arena, StudyData, all, c->e);
    c->study->data = c->data;
    return c->data != NULL;
}

static bool split_source(Cutting *c, const ElliotFilter *filters, size_t count, const char *path)
{
    ElliotRows rows;
    if (!elliot_source(&c->source, path, c->x->binarize, c->source.arena, c->e) || !read_splitting(c) ||
        !elliot_rows_all(&rows, &c->source, c->e) || !drop_items(c, &rows))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!elliot_filter(&c->source, &filters[i], &rows, c->e))
            return false;
    if (rows.count == 0)
        return fail(c->e, SP_FORMAT,
                    "%s: experiment.prefiltering: leaves no rows of %s; allowed is a filter that leaves some",
                    (count ? key_get(&c->x->experiment, "prefiltering") : c->where)->where, path);
    return cut_all(c, &rows);
}

/* ---- strategies ------------------------------------------------------------------------------ */

static bool need_path(const Elliot *x, const Keys *data, const char *key, const char **path)
{
    const Yaml *y = key_get(data, key);
    if (!y)
        return key_missing(data, key, "a file");
    return (*path = elliot_path(x, data, key, y)) && check_exists(data, key, *path, false);
}

static bool strategy_dataset(Cutting *c, const Keys *data)
{
    ElliotFilter *filters = NULL;
    size_t count = 0;
    const char *path = NULL;
    if (!need_path(c->x, data, "dataset_path", &path) || !elliot_filters(c->x, &filters, &count, data->arena, c->e))
        return false;
    Arena *scratch = arena_new(arena_heap(data->arena), 0);
    if (!scratch)
        return fail_memory(c->e, 4096, "splitting");
    c->source.arena = scratch;
    bool ok = split_source(c, filters, count, path);
    arena_free(scratch);
    c->source = (ElliotSource){0};
    return ok;
}

/* Writes a copy of the file *path with ratings of 1, for `binarize`. *path becomes the path of the copy. */
static bool binary_copy(const Cutting *c, const char **path, int64_t j, const char *name)
{
    Arena *scratch = arena_new(arena_heap(c->x->experiment.arena), 0);
    ElliotSource source = {0};
    ElliotRows rows = {0};
    const char *copy = part_path(c, 0, j, name);
    if (!scratch)
        return fail_memory(c->e, 4096, "binarize");
    bool ok = copy && elliot_source(&source, *path, true, scratch, c->e) && elliot_rows_all(&rows, &source, c->e) &&
              elliot_write_rows(&source, copy, &rows, c->e);
    arena_free(scratch);
    *path = copy;
    return ok;
}

static bool strategy_fixed(Cutting *c, const Keys *data)
{
    const char *train = NULL, *valid = NULL, *test = NULL;
    bool has = key_get(data, "validation_path") != NULL;
    if (!need_path(c->x, data, "train_path", &train) || !need_path(c->x, data, "test_path", &test) ||
        (has && !need_path(c->x, data, "validation_path", &valid)))
        return false;
    int64_t folds[2] = {1, has};
    c->folder = c->x->splits;
    if (c->x->binarize &&
        (!check_only_parts(c->folder, 0, folds, has, data->arena, c->e) || !binary_copy(c, &test, -1, "test.tsv") ||
         !binary_copy(c, &train, has ? 0 : -1, "train.tsv") || (has && !binary_copy(c, &valid, 0, "val.tsv"))))
        return false;
    c->test.folds = c->valid.folds = 1;
    return (c->study->data = c->data = NEW(data->arena, StudyData, 1, c->e)) && add_data(c, train, valid, test, 0, 0);
}

/* Counts the folders "0", "1", ... of a folder; a missing number is an error. *count 0: there is none. */
static bool count_folders(const char *path, int64_t *count, Arena *a, Error *e)
{
    FolderEntry *entry;
    size_t n;
    if (!folder_list(&entry, &n, a, path, e))
        return false;
    *count = 0;
    for (size_t i = 0; i < n; i++)
        *count += entry[i].is_folder && is_index(entry[i].name);
    for (int64_t i = 0; i < *count; i++) {
        const char *inner = arena_printf(a, e, "%s/%lld", path, (long long)i);
        if (!inner || !folder_exists(inner))
            return inner && fail(e, SP_FORMAT, "%s: is missing; folds are the folders 0, 1, ... of %s", inner, path);
    }
    return true;
}

/* Adds the data set of test fold i and validation fold j, which the files of `folder` have. */
static bool add_folder(Cutting *c, const char *folder, const char *test, int64_t i, int64_t j)
{
    Arena *a = c->x->experiment.arena;
    const char *train = path_join(a, folder, "train.tsv", c->e), *valid = NULL;
    if (c->nested && !(valid = path_join(a, folder, "val.tsv", c->e)))
        return false;
    const char *missing = !train ? NULL : !file_exists(train) ? train : valid && !file_exists(valid) ? valid : "";
    if (missing && *missing)
        return fail(c->e, SP_IO, "%s: is missing; a folder of parts has train.tsv%s", missing,
                    valid ? " and val.tsv" : "");
    if (c->study->data_count == MOST_DATA)
        return fail(c->e, SP_FORMAT, "%s: more than %d folds, the limit", folder, MOST_DATA);
    return missing && add_data(c, train, valid, test, i, j);
}

static bool strategy_hierarchy(Cutting *c, const Keys *data)
{
    Arena *a = data->arena;
    const Yaml *y = key_get(data, "root_folder");
    const char *root = y ? elliot_path(c->x, data, "root_folder", y) : NULL;
    static const char allowed[] = "a folder of <i>/test.tsv, <i>/<j>/train.tsv and <i>/<j>/val.tsv";
    if (!root)
        return c->e->code == SP_OK && key_missing(data, "root_folder", allowed);
    if (!folder_exists(root))
        return key_refuse(data, "root_folder", y, "%s", allowed);
    if (!count_folders(root, &c->test.folds, a, c->e))
        return false;
    if (c->test.folds == 0)
        return key_refuse(data, "root_folder", y, "%s; it has no folder 0", allowed);
    if (!(c->study->data = c->data = NEW(a, StudyData, MOST_DATA, c->e)))
        return false;
    for (int64_t i = 0; i < c->test.folds; i++) {
        const char *folder = arena_printf(a, c->e, "%s/%lld", root, (long long)i);
        const char *test = folder ? path_join(a, folder, "test.tsv", c->e) : NULL;
        if (!test || !count_folders(folder, &c->valid.folds, a, c->e))
            return false;
        if (!file_exists(test))
            return fail(c->e, SP_IO, "%s: is missing; allowed is %s", test, allowed);
        c->nested = c->valid.folds > 0;
        if (!c->nested && !add_folder(c, folder, test, i, -1))
            return false;
        for (int64_t j = 0; j < c->valid.folds; j++) {
            const char *inner = arena_printf(a, c->e, "%s/%lld", folder, (long long)j);
            if (!inner || !add_folder(c, inner, test, i, j))
                return false;
        }
    }
    return !c->x->binarize || keys_note(&c->x->experiment, key_get(&c->x->experiment, "binarize"),
                                        "experiment.binarize: has no effect with strategy hierarchy, as with Elliot");
}

/* Notes keys of data_config that only other strategies read. */
static bool note_others(const Keys *data, size_t strategy)
{
    static const char *const keys[] = {"dataset_path", "train_path", "validation_path", "test_path", "root_folder"};
    static const size_t of[] = {0, 1, 1, 1, 2};
    for (size_t i = 0; i < COUNT(keys); i++)
        if (of[i] != strategy && key_get(data, keys[i]) &&
            !keys_note(data, key_get(data, keys[i]), "%s.%s: unused by this strategy", data->path, keys[i]))
            return false;
    return true;
}

/* Notes keys of `experiment` that have no effect with the strategies fixed and hierarchy: data are split already. */
static bool note_unsplit(const Keys *experiment)
{
    static const char *const keys[] = {"prefiltering", "splitting"};
    for (size_t i = 0; i < COUNT(keys); i++)
        if (key_get(experiment, keys[i]) && !keys_note(experiment, key_get(experiment, keys[i]),
                                                       "experiment.%s: is used only by strategy 'dataset'", keys[i]))
            return false;
    return true;
}

bool elliot_data_begin(Elliot *x, Arena *a, Error *e)
{
    static const char *const strategies[] = {"dataset", "fixed", "hierarchy"}, *const loaders[] = {"DataSetLoader"};
    static const KeyRow rows[] = {{"strategy", KEY_READ, NULL},         {"dataset_path", KEY_READ, NULL},
                                  {"train_path", KEY_READ, NULL},       {"validation_path", KEY_READ, NULL},
                                  {"test_path", KEY_READ, NULL},        {"root_folder", KEY_READ, NULL},
                                  {"side_information", KEY_READ, NULL}, {"dataloader", KEY_READ, NULL}};
    Keys *data = &x->data;
    size_t loader;
    x->strategy = COUNT(strategies);
    x->config = (DataConfig){.format = FORMAT_TSV, .layout = {.separator = '\t'}, .protocol = PROTOCOL_ELLIOT};
    if (!keys_map(data, &x->experiment, "data_config"))
        return false;
    if (!data->map)
        return key_missing(&x->experiment, "data_config", "a map with a strategy");
    if (!KEYS_CHECK(data, rows) || !key_word(data, "strategy", strategies, COUNT(strategies), &x->strategy) ||
        !key_word(data, "dataloader", loaders, COUNT(loaders), &loader))
        return false;
    if (x->strategy == COUNT(strategies))
        return key_missing(data, "strategy", "dataset, fixed or hierarchy");
    return read_sides(x, data, &x->config, a, e) && note_others(data, x->strategy) &&
           (x->strategy == 0 || note_unsplit(&x->experiment));
}

bool elliot_data_end(Study *s, Elliot *x, Error *e)
{
    Cutting c = {.study = s, .x = x, .config = &x->config, .e = e};
    return x->strategy == 0   ? strategy_dataset(&c, &x->data)
           : x->strategy == 1 ? strategy_fixed(&c, &x->data)
                              : strategy_hierarchy(&c, &x->data);
}

bool elliot_sizes(Elliot *x, const Study *s, Arena *a, Error *e)
{
    if (x->train_count)
        return true;
    x->pairs = NEW(a, int64_t, s->data_count, e);
    x->users = NEW(a, int64_t, s->data_count, e);
    x->items = NEW(a, int64_t, s->data_count, e);
    bool ok = x->pairs && x->users && x->items;
    for (size_t i = 0; ok && i < s->data_count; i++) {
        DataConfig c = s->data[i].config;
        c.valid = c.test = NULL;
        DataSet d;
        Arena *scratch = arena_new(arena_heap(a), 0);
        if (!scratch)
            return fail_memory(e, 4096, "counting users");
        if ((ok = dataset_load(&d, &c, scratch, e))) {
            x->pairs[i] = d.train.count;
            x->users[i] = d.U;
            x->items[i] = d.I;
            dataset_close(&d);
        }
        arena_free(scratch);
    }
    x->train_count = ok ? s->data_count : 0;
    return ok;
}
