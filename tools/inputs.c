/* tools/inputs.c: checks that an output does not replace an input: a file of the command line, or a file that is read
 * from a folder of the command line. Such a folder may also have outputs of earlier runs. Therefore only known names of
 * inputs count. */
// flags: -Os
#include "tools/features.h"

/* Reports whether this is a file name of models or of finished runs. */
static bool is_input_name(const char *name)
{
    static const char *const NAMES[] = {"modules.json",
                                        "preprocessor_config.json",
                                        "sentence_bert_config.json",
                                        "special_tokens_map.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "vocab.txt",
                                        "config.json",
                                        "model.safetensors.index.json",
                                        "pytorch_model.bin.index.json",
                                        "history.tsv",
                                        "item.ids.txt",
                                        "item.npy",
                                        "ledger.sqlite",
                                        "result.json",
                                        "user.ids.txt",
                                        "user.npy"};
    static const char *const ENDS[] = {".safetensors", ".bin", ".pth", ".pt", ".model"};
    for (size_t i = 0; i < COUNT(NAMES); i++)
        if (strcmp(name, NAMES[i]) == 0)
            return true;
    for (size_t i = 0; i < COUNT(ENDS); i++)
        if (text_ends(text_of(name), ENDS[i]))
            return true;
    return is_image_name(name);
}

static bool add_path(FileSet *s, const char *path, int depth, Arena *a, Error *e);

/* Adds the data files of a run, which recommend and report read again. */
static bool add_data_of_run(FileSet *s, const char *dir, Arena *a, Error *e)
{
    Error ignored = {0};
    RunConfig run;
    if (!run_config_read(&run, dir, a, &ignored))
        return true; /* the folder is no run, or the command that reads it fails with the reason */
    const DataConfig *data = &run.train.data;
    const char *const paths[] = {data->train, data->valid, data->test};
    for (size_t i = 0; i < COUNT(paths); i++)
        if (paths[i] && !file_set_add(s, paths[i], e))
            return false;
    for (size_t i = 0; i < data->feature_count; i++)
        if (!add_path(s, strchr(data->features[i], '=') + 1, 1, a, e))
            return false;
    return true;
}

/* Adds a file, and for an .npy the file of its row names. */
static bool add_file(FileSet *s, const char *path, Arena *a, Error *e)
{
    const char *ids = text_ends(text_of(path), ".npy") ? npy_ids_path(path, a, e) : path;
    return ids && file_set_add(s, path, e) && (ids == path || file_set_add(s, ids, e));
}

/* Adds a file, or the files that are read from a folder. depth 0: a path of the command line; the files of its
 * subfolders are added too. 1: a folder of features; every .npy is added. 2: a subfolder. Deeper folders are
 * skipped. */
static bool add_path(FileSet *s, const char *path, int depth, Arena *a, Error *e)
{
    FolderEntry *entries;
    size_t n;
    Error ignored = {0};
    if (!folder_exists(path))
        return add_file(s, path, a, e);
    if (!folder_list(&entries, &n, a, path, &ignored))
        return true; /* the command that reads it fails with the reason */
    for (size_t i = 0; i < n; i++) {
        const char *name = entries[i].name, *inside = path_join(a, path, name, e);
        if (!inside)
            return false;
        bool counts =
            entries[i].is_folder ? depth == 0 : is_input_name(name) || (depth == 1 && text_ends(text_of(name), ".npy"));
        if (counts && !add_path(s, inside, depth + 2, a, e))
            return false;
        if (depth == 0 && strcmp(name, "config.json") == 0 && !add_data_of_run(s, path, a, e))
            return false;
    }
    return true;
}

/* Adds a value of the command line: a path, a list of paths, or NAME=PATH. Other values are skipped. */
static bool add_value(FileSet *s, const char *value, Arena *a, Error *e)
{
    Text rest = text_of(value), part;
    if (!add_path(s, value, 0, a, e))
        return false;
    while (text_next(&rest, ',', &part)) {
        const char *equals = part.n ? memchr(part.p, '=', part.n) : NULL, *from = equals ? equals + 1 : part.p;
        const char *path = arena_strndup(a, from, (size_t)(part.p + part.n - from), e);
        if (!path || !add_path(s, path, equals != NULL, a, e))
            return false;
    }
    return true;
}

bool output_check(Context *c, const char *option, const char *path, Error *e)
{
    static const char *const OUTPUTS[] = {"out", "trace"};
    for (size_t i = 0; i < COUNT(OUTPUTS); i++) {
        const char *other = strcmp(OUTPUTS[i], option) ? option_text(c, OUTPUTS[i]) : NULL;
        if (other && strcmp(other, path) == 0)
            return fail(e, SP_USAGE, "%s: --out and --trace name the same file; choose two files", path);
    }
    if (!file_exists(path))
        return true;
    Arena *a = arena_new(c->heap, 0);
    FileSet *s = a ? file_set_new(a, e) : NULL;
    bool ok = s || fail_memory(e, 1, "the list of inputs");
    for (size_t i = 0; ok && i < c->arg_count; i++) {
        Error ignored = {0};
        const char *found = i || file_exists(c->args[i]) ? NULL : model_find(c->args[i], a, &ignored);
        bool features = strcmp(c->command->name, "nearest") == 0;
        ok = add_value(s, c->args[i], a, e) && (!found || add_path(s, found, 0, a, e)) &&
             (!features || add_path(s, c->args[i], 1, a, e));
    }
    const Option *tables[2] = {c->command->options, COMMON_OPTIONS};
    for (size_t t = 0; t < 2; t++)
        for (const Option *o = tables[t]; ok && o && o->name; o++) {
            const char *const *values;
            size_t n = 0;
            ok = !o->value || strcmp(o->name, option) == 0 || option_list(c, o->name, 0, &values, &n, e);
            for (size_t i = 0; ok && i < n; i++)
                ok = add_value(s, values[i], a, e);
        }
    ok = ok && file_set_check(s, path, e);
    arena_free(a);
    return ok;
}
