/* recsys/protocols/elliot.c: converts an Elliot YAML to a study. The schema is that of Elliot 0.3.1
 * (elliot/namespace/namespace_model.py). docs/recipes.md lists the differences. */
// flags: -Os
#include "recsys/protocols/elliot.h"

#include <ctype.h>

enum { LONGEST_PATH = 4096 };
static const char VERSION[] = "0.3.1";

/* ---- paths ----------------------------------------------------------------------------------- */

/* Computes os.path.normpath: removes "." and ".." by name only. */
static const char *normal_path(const char *path, Arena *a, Error *e)
{
    size_t n = strlen(path), used = 0;
    char *out = arena_alloc(a, n + 2, 1, e);
    bool rooted = *path == '/';
    if (!out)
        return NULL;
    if (rooted)
        out[used++] = '/';
    size_t base = used;
    for (Text rest = text_of(path), part; text_next(&rest, '/', &part);) {
        if (part.n == 0 || text_is(part, "."))
            continue;
        size_t last = used; /* start of the last part */
        while (last > base && out[last - 1] != '/')
            last--;
        bool up = used - last == 2 && !strncmp(out + last, "..", 2);
        if (text_is(part, "..") && used > base && !up) {
            used = last > base ? last - 1 : base;
            continue;
        }
        if (text_is(part, "..") && rooted && used == base)
            continue;
        if (used > base)
            out[used++] = '/';
        memcpy(out + used, part.p, part.n);
        used += part.n;
    }
    if (used == 0)
        out[used++] = '.';
    out[used] = 0;
    return out;
}

/* Reports whether Elliot takes a text for a path: it begins with a dot, or a part of it matches Elliot's regular
 * expression [\D][\w-]+\.[\w-]+. */
static bool looks_like_path(const char *text)
{
    if (*text == '.')
        return true;
    for (const char *dot = strchr(text, '.'); dot; dot = strchr(dot + 1, '.')) {
        const char *p = dot;
        while (p > text &&
               (isalnum((unsigned char)p[-1]) || p[-1] == '_' || p[-1] == '-' || (unsigned char)p[-1] > 127))
            p--;
        bool after = isalnum((unsigned char)dot[1]) || dot[1] == '_' || dot[1] == '-' || (unsigned char)dot[1] > 127;
        /* All characters from p to dot match [\w-]. A match is a character that is no digit, then at least one of these
         * characters, then the dot. The first character may be the one before p or a later one. */
        for (const char *first = p > text ? p - 1 : p; after && first + 1 < dot; first++)
            if (!isdigit((unsigned char)*first))
                return true;
    }
    return false;
}

/* Applies str.format(dataset) to a path: {0} and {} are the data set, {{ and }} are braces. */
static const char *with_dataset(const Keys *k, const char *key, const Yaml *y, const char *dataset)
{
    const char *p = y->text.p, *end = p + y->text.n, *out = "";
    while (p < end && out) {
        const char *stop = p;
        while (stop < end && *stop != '{' && *stop != '}')
            stop++;
        size_t left = (size_t)(end - stop);
        out = arena_printf(k->arena, k->e, "%s%.*s", out, (int)(stop - p), p);
        if (!out || stop == end)
            return out;
        size_t skip = left >= 2 && stop[0] == stop[1]                 ? 2
                      : left >= 3 && !strncmp(stop, "{0}", 3)         ? 3
                      : left >= 2 && stop[0] == '{' && stop[1] == '}' ? 2
                                                                      : 0;
        if (!skip) {
            key_refuse(k, key, y, "a path, in which {0} stands for the data set and {{ and }} for braces");
            return NULL;
        }
        bool name = stop[0] == '{' && stop[1] != '{';
        out = name ? arena_printf(k->arena, k->e, "%s%s", out, dataset)
                   : arena_printf(k->arena, k->e, "%s%c", out, *stop);
        p = stop + skip;
    }
    return out;
}

const char *elliot_path(const Elliot *x, const Keys *k, const char *key, const Yaml *y)
{
    if (y->type != YAML_TEXT || y->text.n == 0 || y->text.n > LONGEST_PATH) {
        key_refuse(k, key, y, "a path of at most %d bytes", LONGEST_PATH);
        return NULL;
    }
    const char *path = with_dataset(k, key, y, x->dataset);
    if (path && *path != '/' && looks_like_path(path))
        path = arena_printf(k->arena, k->e, "%s/%s", x->folder, path);
    return path ? normal_path(path, k->arena, k->e) : NULL;
}

/* Reads a folder of results. A given folder is relative to the working directory, as in Elliot; the default is next to
 * the configuration's folder. */
static bool read_folder(const Elliot *x, const char *out, const char *key, const char *usual, const char **folder)
{
    const Keys *k = &x->experiment;
    Arena *a = k->arena;
    const Yaml *y = key_get(k, key);
    if (out) {
        Text base = path_base(usual);
        return (!y || keys_note(k, y, "experiment.%s: not read, as --out says where files go", key)) &&
               (*folder = path_join(a, out, base.p, k->e));
    }
    if (y && (y->type != YAML_TEXT || y->text.n == 0 || y->text.n > LONGEST_PATH))
        return key_refuse(k, key, y, "a folder, a path of at most %d bytes", LONGEST_PATH);
    const char *path = y && !strcmp(key, "path_log_folder") ? elliot_path(x, k, key, y)
                       : y                                  ? with_dataset(k, key, y, x->dataset)
                                                            : arena_printf(a, k->e, "%s/../%s", x->folder, usual);
    return path && (*folder = normal_path(path, a, k->e));
}

static bool read_folders(Study *s, Elliot *x, const ProtocolConfig *c, Arena *a, Error *e)
{
    const char *results = arena_printf(a, e, "results/%s/", x->dataset), *recs, *weights, *performance;
    if (!results || !(recs = arena_printf(a, e, "%srecs", results)) ||
        !(weights = arena_printf(a, e, "%sweights", results)) ||
        !(performance = arena_printf(a, e, "%sperformance", results)))
        return false;
    const char *usual = c->out ? NULL : arena_printf(a, e, "%s/../%s", x->folder, results);
    s->out = c->out ? c->out : usual ? normal_path(usual, a, e) : NULL;
    return s->out && read_folder(x, c->out, "path_output_rec_result", recs, &x->recs) &&
           read_folder(x, c->out, "path_output_rec_weight", weights, &x->weights) &&
           read_folder(x, c->out, "path_output_rec_performance", performance, &x->performance) &&
           read_folder(x, c->out, "path_log_folder", "log", &x->log) && (x->splits = path_join(a, s->out, "splits", e));
}

/* ---- the experiment -------------------------------------------------------------------------- */

static const KeyRow experiment_rows[] = {
    {"dataset", KEY_READ, NULL},
    {"data_config", KEY_READ, NULL},
    {"prefiltering", KEY_READ, NULL},
    {"splitting", KEY_READ, NULL},
    {"binarize", KEY_READ, NULL},
    {"random_seed", KEY_READ, NULL},
    {"top_k", KEY_READ, NULL},
    {"evaluation", KEY_READ, NULL},
    {"models", KEY_READ, NULL},
    {"print_results_as_triplets", KEY_READ, NULL},
    {"path_output_rec_result", KEY_READ, NULL},
    {"path_output_rec_weight", KEY_READ, NULL},
    {"path_output_rec_performance", KEY_READ, NULL},
    {"path_log_folder", KEY_READ, NULL},
    {"version", KEY_READ, NULL},
    {"align_side_with_train", KEY_READ, NULL},
    {"negative_sampling", KEY_READ, NULL},
    {"backend", KEY_IDLE, "recommenders need no other library"},
    {"gpu", KEY_IDLE, "--device says where to compute"},
    {"external_models_path", KEY_IDLE, "the recommenders are built in"},
    {"external_posthoc_path", KEY_IDLE, "Elliot 0.3.1 does not use it"},
    {"path_logger_config", KEY_IDLE, "log lines have one form"},
    {"config_test", KEY_IDLE, "the configuration is always checked before anything runs"},
    {"dataloader", KEY_IDLE, "data_config.dataloader is read"},
};

static bool read_dataset(Elliot *x)
{
    const Keys *k = &x->experiment;
    static const char allowed[] = "the name of the data set, without slashes";
    const Yaml *y = key_get(k, "dataset");
    if (!y)
        return key_missing(k, "dataset", allowed);
    if (y->type != YAML_TEXT || y->text.n > 200 || id_problem(y->text) || strchr(y->text.p, '/') ||
        text_is(y->text, ".") || text_is(y->text, ".."))
        return key_refuse(k, "dataset", y, "%s", allowed);
    x->dataset = y->text.p;
    return true;
}

static bool read_version(const Keys *k)
{
    const Yaml *y = key_get(k, "version");
    return !y || (y->type == YAML_TEXT && text_is(y->text, VERSION)) ||
           key_refuse(k, "version", y, "%s: Elliot stops at another version, too", VERSION);
}

static bool read_scalars(Elliot *x)
{
    const Keys *k = &x->experiment;
    bool align = true;
    x->seed = 42;
    if (!key_get(k, "top_k"))
        return key_missing(k, "top_k", "a whole number of at least 1, the length of the lists");
    return read_version(k) && key_i64(k, "random_seed", 0, UINT32_MAX, &x->seed) &&
           key_i64(k, "top_k", 1, LONGEST_CUTOFF, &x->top_k) && key_bool(k, "binarize", &x->binarize) &&
           key_bool(k, "print_results_as_triplets", &x->triplets) && key_bool(k, "align_side_with_train", &align) &&
           (align || key_refuse(k, "align_side_with_train", key_get(k, "align_side_with_train"),
                                "True: features are those of the items in train"));
}

/* ---- notes ----------------------------------------------------------------------------------- */

/* Collects notes. If several notes differ only in position and key, the first is kept. Notes are passed on when
 * everything is read, so that an error is one line. */
typedef struct Notes {
    const char **lines;
    size_t count, room;
    Arena *arena;
} Notes;

/* Returns a note without its position and key: "test.yml:3:4: experiment.gpu: ..." */
static const char *about_of(const char *line)
{
    const char *about = strstr(line, ": ");
    return about && strstr(about + 2, ": ") ? strstr(about + 2, ": ") : line;
}

static void note_once(void *arg, const char *line)
{
    Notes *n = arg;
    Error e = {0};
    for (size_t i = 0; i < n->count; i++)
        if (!strcmp(about_of(n->lines[i]), about_of(line)))
            return;
    void *more = arena_grow(n->arena, n->lines, n->count, &n->room, sizeof *n->lines, &e);
    if (more) {
        n->lines = more;
        n->lines[n->count] = arena_strndup(n->arena, line, strlen(line), &e);
        n->count += e.code == SP_OK;
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Sets the part that chooses the best point, and the tests of significance. Without a validation part, Elliot chooses
 * by the test part. With folds there are no tests of significance. */
static bool choose_select(Study *s, const Elliot *x)
{
    const Keys *k = &x->experiment;
    s->select = SELECT_VALID;
    if (!s->data[0].config.valid) {
        s->select = SELECT_TEST;
        if (!keys_note(k, NULL,
                       "%s: no validation part: the test part chooses the best point, as with Elliot, so its figures "
                       "are too high",
                       x->path))
            return false;
    }
    if (s->data_count == 1 || !(s->t_test || s->wilcoxon))
        return true;
    s->t_test = s->wilcoxon = false;
    return keys_note(k, NULL, "%s: no tests of significance, as there are folds", x->path);
}

static bool read_all(Study *s, Elliot *x, const ProtocolConfig *c, const Keys *root, Arena *a, Error *e)
{
    static const KeyRow top[] = {{"experiment", KEY_READ, NULL}};
    if (!KEYS_CHECK(root, top) || !keys_map(&x->experiment, root, "experiment"))
        return false;
    if (!x->experiment.map)
        return key_missing(root, "experiment", "a map");
    if (!KEYS_CHECK(&x->experiment, experiment_rows) || !read_dataset(x) || !read_scalars(x) ||
        !read_folders(s, x, c, a, e) || !elliot_evaluation(s, x))
        return false;
    s->name = x->dataset;
    return elliot_data_begin(x, a, e) && elliot_models(s, x, a, e) && elliot_data_end(s, x, e) &&
           elliot_batches(s, x, a, e) && choose_select(s, x);
}

bool elliot_read(Study *s, const ProtocolConfig *c, const Yaml *root, Arena *a, Error *e)
{
    Elliot *x = NEW(a, Elliot, 1, e);
    Notes *notes = NEW(a, Notes, 1, e);
    Text base = path_base(c->path);
    Keys k;
    if (!x || !notes)
        return false;
    notes->arena = a;
    *s = (Study){.system = "elliot", .source = c->path, .own = x};
    x->path = c->path;
    x->folder = base.p == c->path ? "." : arena_strndup(a, c->path, (size_t)(base.p - c->path), e);
    if (!x->folder || !keys_root(&k, root, c, a, e))
        return false;
    if (k.note) {
        k.note = note_once;
        k.arg = notes;
    }
    bool ok = read_all(s, x, c, &k, a, e);
    x->experiment.note = x->data.note = NULL; /* the caller's memory may become invalid */
    for (size_t i = 0; ok && i < notes->count; i++)
        c->note(c->arg, notes->lines[i]);
    return ok;
}
