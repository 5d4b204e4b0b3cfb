/* extractors/hf_files.c: settings of a Hugging Face folder: sentence-transformers' modules.json with the files that it
 * names. */
// flags: -Os
#include "extractors/loading.h"

/* Limits of a file; and of a pipeline, which usually has three modules. Each file is read once for each module that
 * names it; json_parse states its memory. */
enum { MAX_JSON = 1 << 16, MAX_MODULES = 16 };

static bool bad_value(Error *e, const char *path, const Json *j, const char *what)
{
    return fail(e, SP_FORMAT, "%s:%u:%u: %s", path, j->line, j->column, what);
}

const Json *folder_json(const Files *f, const char *name, JsonType type, const char **path, Arena *a, Error *e)
{
    Text text;
    *path = files_path(f, name, a, e);
    if (!*path || !files_read(&text, a, f, name, MAX_JSON, e))
        return NULL;
    const Json *j = json_parse(a, text, *path, e);
    if (!j || j->type == type)
        return j;
    bad_value(e, *path, j, type == JSON_ARRAY ? "expected a list" : "expected an object");
    return NULL;
}

/* ---- modules.json ---------------------------------------------------------------------------- */

/* "1_Pooling/config.json" of a module's folder inside the model's, which may be "". */
static const char *inside(const char *where, const char *name, Arena *a, Error *e)
{
    return *where ? path_join(a, where, name, e) : name;
}

/* where: the folder of the module inside the model's, "" or "1_Pooling". */
static bool read_pooling(TextTower *t, const Files *folder, const char *where, Arena *a, Error *e)
{
    static const struct {
        const char *key, *mode;
        Pooling pool;
    } known[] = {{"pooling_mode_cls_token", "cls", POOL_CLS},
                 {"pooling_mode_mean_tokens", "mean", POOL_MEAN},
                 {"pooling_mode_max_tokens", "max", POOL_MAX}};
    static const char *const unknown[] = {"pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens",
                                          "pooling_mode_lasttoken"};
    const char *path, *name = inside(where, "config.json", a, e);
    const Json *config = name ? folder_json(folder, name, JSON_OBJECT, &path, a, e) : NULL,
               *mode = json_get(config, "pooling_mode");
    int found = 0;
    if (!config) /* or it is damaged: then its own error is kept */
        return fail(e, SP_IO, "%s/%s: is missing, but modules.json names it; fetch the whole folder of the model",
                    folder->folder, name ? name : "config.json");
    for (size_t i = 0; i < COUNT(known); i++)
        if (mode ? mode->type == JSON_STRING && text_is(mode->text, known[i].mode)
                 : json_is_true(json_get(config, known[i].key))) {
            t->pool = known[i].pool;
            found++;
        }
    for (size_t i = 0; !mode && i < COUNT(unknown); i++)
        found += json_is_true(json_get(config, unknown[i])) ? 2 : 0;
    if (found == 1)
        return true;
    t->pool = POOL_MODEL; /* a call that chooses its own can do without */
    t->no_pool = arena_printf(a, e, "%s: expected exactly one pooling: cls, mean or max; choose it with --pool", path);
    return t->no_pool != NULL;
}

bool modules_from_folder(TextTower *t, const Files *folder, int64_t *max_seq_length, Arena *a, Error *e)
{
    const char *path;
    const Json *modules = folder_json(folder, "modules.json", JSON_ARRAY, &path, a, e);
    *max_seq_length = 0;
    if (!modules)
        return e->code == SP_OK;
    if (modules->count > MAX_MODULES)
        return fail(e, SP_UNSUPPORTED, "%s:%u:%u: %zu modules; at most %d are supported", path, modules->line,
                    modules->column, modules->count, MAX_MODULES);
    for (const Json *m = modules->first; m; m = m->next) {
        const Json *type = json_get(m, "type"), *place = json_get(m, "path");
        const char *where = json_cstring(place);
        if (!type || type->type != JSON_STRING || !where || where[0] == '/' || strstr(where, ".."))
            return bad_value(e, path, m, "expected a module with a type and a path inside the folder");
        if (text_ends(type->text, "Transformer")) {
            const char *name = where, *file = inside(where, "sentence_bert_config.json", a, e);
            const Json *config = file ? folder_json(folder, file, JSON_OBJECT, &name, a, e) : NULL,
                       *n = json_get(config, "max_seq_length");
            if (e->code != SP_OK)
                return false;
            if (n && n->type != JSON_NULL && (!json_i64(n, max_seq_length) || *max_seq_length < 1))
                return bad_value(e, name, n, "max_seq_length: expected a whole number above 0");
        } else if (text_ends(type->text, "Pooling")) {
            if (t->pool == POOL_MODEL && !t->no_pool && !read_pooling(t, folder, where, a, e))
                return false;
        } else if (text_ends(type->text, "Normalize")) {
            t->normalize = true;
        } else {
            return fail(e, SP_UNSUPPORTED, "%s:%u:%u: modules of type %.*s are not supported", path, m->line, m->column,
                        (int)MIN(type->text.n, (size_t)100), type->text.p);
        }
    }
    return true;
}
