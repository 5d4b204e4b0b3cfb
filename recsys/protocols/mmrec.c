/* recsys/protocols/mmrec.c: converts MMRec's configuration (enoche/MMRec, src/utils/configurator.py) to a study
 * (recipes.md 11).
 *
 * The files are overall.yaml, dataset/<D>.yaml, model/<M>.yaml, mg.yaml with `mg: True`, then a file of the user and
 * the overrides of the command line. If several have a key, the last one counts. The lists `hyper_parameters` are
 * joined. Their keys have lists of values, and every combination is trained. */
// flags: -Os
#include "recsys/protocols/mmrec.h"
#include "recsys/protocols/setting_keys.h"

#define PUBLISHED "MMRec's defaults"

/* The values of MMRec's overall.yaml, used for a file without configs/ next to it. */
static const char OVERALL[] = "gpu_id: 0\nuse_gpu: True\nseed: [999]\n"
                              "data_path: '../data/'\ninter_splitting_label: 'x_label'\n"
                              "filter_out_cod_start_users: True\nis_multimodal_model: True\n"
                              "checkpoint_dir: 'saved'\nsave_recommended_topk: True\n"
                              "recommend_topk: 'recommend_topk/'\nembedding_size: 64\nweight_decay: 0.0\n"
                              "req_training: True\nepochs: 1000\nstopping_step: 20\ntrain_batch_size: 2048\n"
                              "learner: adam\nlearning_rate: 0.001\nlearning_rate_scheduler: [1.0, 50]\n"
                              "eval_step: 1\ntraining_neg_sample_num: 1\nuse_neg_sampling: True\n"
                              "use_full_sampling: False\nNEG_PREFIX: neg__\nUSER_ID_FIELD: user_id:token\n"
                              "ITEM_ID_FIELD: item_id:token\nTIME_FIELD: timestamp:float\n"
                              "field_separator: \"\\t\"\nmetrics: [Recall, NDCG, Precision, MAP]\n"
                              "topk: [5, 10, 20, 50]\nvalid_metric: Recall@20\neval_batch_size: 4096\n"
                              "use_raw_features: False\nmax_txt_len: 32\nmax_img_size: 256\nvocab_size: 30522\n"
                              "type_vocab_size: 2\nhidden_size: 4\npad_token_id: 0\n"
                              "max_position_embeddings: 512\nlayer_norm_eps: 1e-12\nhidden_dropout_prob: 0.1\n"
                              "end2end: False\nhyper_parameters: [seed]\n";
/* The common part of its data set files, and mg.yaml. */
static const char DATASET[] = "USER_ID_FIELD: userID\nITEM_ID_FIELD: itemID\nTIME_FIELD: timestamp\n"
                              "filter_out_cod_start_users: True\nvision_feature_file: 'image_feat.npy'\n"
                              "text_feature_file: 'text_feat.npy'\nuser_graph_dict_file: 'user_graph_dict.npy'\n"
                              "field_separator: \"\\t\"\n",
                  MIRROR[] = "alpha1: [1.0]\nalpha2: [0.1, 0.2, 0.3]\nbeta: [3]\n"
                             "hyper_parameters: [alpha1, alpha2, beta]\n";

#define NO_EFFECT_RAW "no effect: raw images and texts are not read"
static const KeyRow COMMON[] = {
    {"model", KEY_READ, NULL},
    {"dataset", KEY_READ, NULL},
    {"mg", KEY_READ, NULL}, /* in MMRec, mg is an argument of quick_start */
    {"select", KEY_READ, NULL},
    {"seed", KEY_READ, NULL},
    {"hyper_parameters", KEY_READ, NULL},
    {"data_path", KEY_READ, NULL},
    {"inter_file_name", KEY_READ, NULL},
    {"inter_splitting_label", KEY_READ, NULL},
    {"filter_out_cod_start_users", KEY_READ, NULL},
    {"is_multimodal_model", KEY_READ, NULL},
    {"vision_feature_file", KEY_READ, NULL},
    {"text_feature_file", KEY_READ, NULL},
    {"USER_ID_FIELD", KEY_READ, NULL},
    {"ITEM_ID_FIELD", KEY_READ, NULL},
    {"field_separator", KEY_READ, NULL},
    {"learner", KEY_READ, NULL},
    {"req_training", KEY_READ, NULL},
    {"use_neg_sampling", KEY_READ, NULL},
    {"use_full_sampling", KEY_READ, NULL},
    {"use_raw_features", KEY_READ, NULL},
    {"end2end", KEY_READ, NULL},
    {"metrics", KEY_READ, NULL},
    {"topk", KEY_READ, NULL},
    {"valid_metric", KEY_READ, NULL},
    {"save_recommended_topk", KEY_READ, NULL},
    {"recommend_topk", KEY_IDLE, "no effect: recommendations are written to OUT/recommend_topk"},
    {"gpu_id", KEY_IDLE, "no effect: --device says where to compute"},
    {"use_gpu", KEY_IDLE, "no effect: --device says where to compute"},
    {"checkpoint_dir", KEY_IDLE, "no effect: checkpoints are in OUT/trials"},
    {"training_neg_sample_num", KEY_IDLE, "no effect, as in MMRec: a positive has one negative"},
    {"NEG_PREFIX", KEY_IDLE, "no effect"},
    {"TIME_FIELD", KEY_IDLE, "no effect, as in MMRec: times are not read"},
    {"RATING_FIELD", KEY_IDLE, "no effect, as in MMRec: ratings are not read"},
    {"eval_batch_size", KEY_IDLE, "no effect on the figures"},
    {"state", KEY_IDLE, "no effect: the log has the level INFO"},
    {"user_graph_dict_file", KEY_IDLE, "no effect: no recommender here reads it"},
    {"item_graph_dict_file", KEY_IDLE, "no effect: no recommender here reads it"},
    {"max_txt_len", KEY_IDLE, NO_EFFECT_RAW},
    {"max_img_size", KEY_IDLE, NO_EFFECT_RAW},
    {"vocab_size", KEY_IDLE, NO_EFFECT_RAW},
    {"type_vocab_size", KEY_IDLE, NO_EFFECT_RAW},
    {"hidden_size", KEY_IDLE, NO_EFFECT_RAW},
    {"pad_token_id", KEY_IDLE, NO_EFFECT_RAW},
    {"max_position_embeddings", KEY_IDLE, NO_EFFECT_RAW},
    {"layer_norm_eps", KEY_IDLE, NO_EFFECT_RAW},
    {"hidden_dropout_prob", KEY_IDLE, NO_EFFECT_RAW},
    {"clip_grad_norm", KEY_REFUSED, "nothing: gradients are never clipped"},
};

bool mmrec_common_key(Text key)
{
    for (size_t i = 0; i < COUNT(COMMON); i++)
        if (text_is(key, COMMON[i].key))
            return true;
    return false;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Merges one file after the other: a later value replaces an earlier one; the lists hyper_parameters are joined. */
typedef struct Merged {
    Yaml *root;
    Yaml **end, **hyper_end; /* where the next child is appended */
    Yaml *hyper;
} Merged;

static Yaml *append(Yaml *map, Yaml ***end, const Yaml *child, Arena *a, Error *e)
{
    Yaml *copy = NEW(a, Yaml, 1, e);
    if (!copy)
        return NULL;
    *copy = *child;
    copy->next = NULL;
    **end = copy;
    *end = &copy->next;
    map->count++;
    return copy;
}

static bool merge_hyper(Merged *m, const Mmrec *x, const Yaml *y)
{
    const Yaml *entry = y->type == YAML_LIST ? y->first : yaml_is_null(y) ? NULL : y;
    if (!m->hyper) {
        Yaml list = {.type = YAML_LIST, .key = y->key, .where = y->where};
        if (!(m->hyper = append(m->root, &m->end, &list, x->k.arena, x->k.e)))
            return false;
        m->hyper_end = &m->hyper->first;
    }
    for (; entry; entry = y->type == YAML_LIST ? entry->next : NULL) {
        if (entry->type != YAML_TEXT || entry->text.n == 0)
            return key_refuse(&x->k, "hyper_parameters", entry, "a list of keys");
        bool known = false;
        for (const Yaml *old = m->hyper->first; old; old = old->next)
            known = known || text_equal(old->text, entry->text);
        if (!known && !append(m->hyper, &m->hyper_end, entry, x->k.arena, x->k.e))
            return false;
    }
    return true;
}

static bool merge(Merged *m, Mmrec *x, const Yaml *layer)
{
    Keys top = x->k;
    if (layer->type == YAML_TEXT && yaml_is_null(layer))
        return true;
    if (layer->type != YAML_MAP)
        return key_refuse(&top, NULL, layer, "a map of keys and values");
    for (const Yaml *y = layer->first; y; y = y->next) {
        Yaml *old = yaml_get(m->root, y->key.p);
        if (text_is(y->key, "hyper_parameters")) {
            if (!merge_hyper(m, x, y))
                return false;
        } else if (old) {
            Yaml *next = old->next;
            *old = *y;
            old->next = next;
        } else if (!append(m->root, &m->end, y, x->k.arena, x->k.e)) {
            return false;
        }
    }
    return true;
}

static bool merge_file(Merged *m, Mmrec *x, const char *path)
{
    Text source;
    Yaml *layer = NULL;
    return file_read(&source, x->k.arena, path, (size_t)16 << 20, x->k.e) &&
           (layer = yaml_parse(x->k.arena, source, path, x->k.e)) && merge(m, x, layer);
}

static bool merge_text(Merged *m, Mmrec *x, const char *text, const char *name)
{
    Yaml *layer = yaml_parse(x->k.arena, text_of(text), name, x->k.e);
    return layer && merge(m, x, layer);
}

/* Merges the file `part` of configs/. If it is missing, merges `published`, YAML with MMRec's published values (NULL:
 * nothing), with a note if configs/ exists. */
static bool merge_part(Merged *m, Mmrec *x, const char *part, const char *published)
{
    const char *path = x->configs ? path_join(x->k.arena, x->configs, part, x->k.e) : NULL;
    if (path && file_exists(path))
        return merge_file(m, x, path);
    if (x->k.e->code || (path && !keys_note(&x->k, NULL, "%s: is missing: the defaults are used", path)))
        return false;
    return !published || merge_text(m, x, published, PUBLISHED);
}

/* Sets x->configs to FOLDER/NAME, and x->base to the folder above, if FOLDER/NAME has overall.yaml. name: "configs" or
 * a path that ends so. */
static bool configs_in(Mmrec *x, const char *folder, const char *name, bool *found)
{
    const char *configs = path_join(x->k.arena, folder, name, x->k.e);
    const char *overall = configs ? path_join(x->k.arena, configs, "overall.yaml", x->k.e) : NULL;
    if (!(*found = overall && file_exists(overall)))
        return overall != NULL;
    x->configs = configs;
    Text base = {configs, strlen(configs) - strlen("/configs")};
    return (x->base = arena_strndup(x->k.arena, base.p, base.n, x->k.e)) != NULL;
}

static bool find_configs(Mmrec *x, const char *path)
{
    bool is_folder = folder_exists(path), found = false;
    const char *folder = is_folder ? path : path_folder(path, x->k.arena, x->k.e);
    if (!folder || !configs_in(x, folder, "configs", &found) ||
        (!found && !configs_in(x, folder, "src/configs", &found)))
        return false;
    if (!found && !is_folder) /* the file itself is in configs/ */
        x->base = folder;
    if (!found && is_folder)
        return fail(x->k.e, SP_IO,
                    "%s: has no configs/overall.yaml and no src/configs/overall.yaml; MMRec has one of them", path);
    return true;
}

/* Returns the name of the model or data set: from the last override, else `given`, else from the file. */
static const char *name_of(const Mmrec *x, const ProtocolConfig *c, const Yaml *file, const char *key,
                           const char *given)
{
    size_t n = strlen(key);
    for (size_t i = c->override_count; i-- > 0;)
        if (!strncmp(c->overrides[i], key, n) && c->overrides[i][n] == '=')
            return c->overrides[i] + n + 1;
    const Yaml *y = yaml_get(file, key);
    if (given)
        return given;
    if (y && y->type == YAML_TEXT && y->text.n && !yaml_is_null(y))
        return y->text.p;
    fail(x->k.e, SP_USAGE, "%s: %s: found nothing; allowed is the name of a %s: give it with --%s", c->path, key,
         *key == 'm' ? "model" : "data set", key);
    return NULL;
}

/* A name is a part of a path, so it must not contain a folder. */
static bool plain_name(const Mmrec *x, const ProtocolConfig *c, const char *key, const char *name)
{
    return (!strchr(name, '/') && name[0] != '.') ||
           fail(x->k.e, SP_USAGE, "%s: %s: found %.60s; allowed is a name without a folder", c->path, key, name);
}

/* Reports whether the key is true: the last override counts, else the file. */
static bool is_true(const ProtocolConfig *c, const Yaml *file, const char *key)
{
    Yaml given = {.type = YAML_TEXT};
    const Yaml *y = yaml_get(file, key);
    bool value = false;
    for (size_t i = 0; i < c->override_count; i++) {
        Text rest = text_of(c->overrides[i]), name;
        text_next(&rest, '=', &name);
        if (text_is(name, key)) {
            given.text = rest;
            y = &given;
        }
    }
    return y && yaml_bool(y, &value) && value;
}

static bool read_files(Mmrec *x, const ProtocolConfig *c)
{
    Arena *a = x->k.arena;
    Yaml *file = NULL;
    Text source;
    Merged m = {.root = NEW(a, Yaml, 1, x->k.e)};
    if (!m.root || !find_configs(x, c->path) || !(x->published[0] = yaml_parse(a, TEXT(OVERALL), PUBLISHED, x->k.e)) ||
        !(x->published[1] = yaml_parse(a, TEXT(DATASET), PUBLISHED, x->k.e)))
        return false;
    if (!folder_exists(c->path) &&
        (!file_read(&source, a, c->path, (size_t)16 << 20, x->k.e) || !(file = yaml_parse(a, source, c->path, x->k.e))))
        return false;
    *m.root = (Yaml){.type = YAML_MAP, .where = c->path};
    m.end = &m.root->first;
    x->model = name_of(x, c, file, "model", c->model);
    x->dataset = x->model ? name_of(x, c, file, "dataset", c->dataset) : NULL;
    if (!x->dataset || !plain_name(x, c, "model", x->model) || !plain_name(x, c, "dataset", x->dataset))
        return false;
    const char *dataset = arena_printf(a, x->k.e, "dataset/%s.yaml", x->dataset),
               *model = arena_printf(a, x->k.e, "model/%s.yaml", x->model),
               *own = arena_printf(a, x->k.e, "%sinter_file_name: '%s.inter'\n", DATASET, x->dataset);
    x->mirror = is_true(c, file, "mg");
    if (!dataset || !model || !own || !merge_part(&m, x, "overall.yaml", OVERALL) || !merge_part(&m, x, dataset, own) ||
        !merge_part(&m, x, model, NULL) || (x->mirror && !merge_part(&m, x, "mg.yaml", MIRROR)) ||
        (file && !merge(&m, x, file)) || !keys_override(m.root, c, a, x->k.e))
        return false;
    x->k.map = m.root;
    return true;
}

/* ---- keys ------------------------------------------------------------------------------------ */

bool mmrec_published(const Mmrec *x, const Yaml *y)
{
    for (size_t i = 0; i < COUNT(x->published); i++) {
        const Yaml *usual = yaml_get(x->published[i], y->key.p);
        if (usual && usual->type == YAML_TEXT && y->type == YAML_TEXT && text_equal(usual->text, y->text))
            return true;
    }
    return false;
}

/* Checks every key. A key without effect gives a note if its value differs from the published one. */
static bool check_keys(const Mmrec *x)
{
    KeyRow *rows;
    size_t n;
    Keys k = x->k;
    Yaml changed = {.type = YAML_MAP, .where = x->k.map->where};
    Yaml **end = &changed.first; /* `changed`: the keys whose values are not MMRec's own */
    for (const Yaml *y = x->k.map->first; y; y = y->next)
        if (!mmrec_published(x, y) && strncmp(y->where, PUBLISHED, strlen(PUBLISHED)) != 0 &&
            !append(&changed, &end, y, k.arena, k.e))
            return false;
    k.map = &changed;
    return mmrec_rows(x, COMMON, COUNT(COMMON), &rows, &n) && keys_check(&k, rows, n);
}

/* Checks a key with a fixed value. */
static bool must_be(const Mmrec *x, const char *key, bool expected, const char *why)
{
    bool value = expected;
    return key_bool(&x->k, key, &value) && (value == expected || key_refuse(&x->k, key, key_get(&x->k, key), "%s: %s",
                                                                            expected ? "True" : "False", why));
}

static bool fixed_keys(const Mmrec *x)
{
    static const char *const ADAM[] = {"adam", "Adam"}, *const LABEL[] = {"x_label"};
    size_t word = 0;
    bool mirror = false, pairs = !strcmp(x->kind->name, "BM3"); /* MMRec's BM3 ignores the negatives that it is given */
    return key_bool(&x->k, "mg", &mirror) && key_word(&x->k, "learner", ADAM, COUNT(ADAM), &word) &&
           key_word(&x->k, "inter_splitting_label", LABEL, COUNT(LABEL), &word) &&
           must_be(x, "filter_out_cod_start_users", true, "users without a train row are never evaluated") &&
           must_be(x, "use_full_sampling", false, "an epoch goes through the train pairs") &&
           must_be(x, "use_raw_features", false, "features are files of vectors") &&
           must_be(x, "end2end", false, "features are files of vectors") &&
           must_be(x, "req_training", true, "this recommender is trained") &&
           (pairs || must_be(x, "use_neg_sampling", true, "this recommender draws negatives"));
}

/* ---- data ------------------------------------------------------------------------------------ */

/* Returns data_path/dataset/NAME. A data_path of the command line is relative to the current folder, another one to
 * x->base, the folder that has configs/. */
static const char *data_file(const Mmrec *x, const char *name)
{
    const Yaml *root = key_get(&x->k, "data_path");
    const char *path = root && root->type == YAML_TEXT ? root->text.p : "../data/";
    bool here = path[0] == '/' || (root && text_starts(text_of(root->where), "--"));
    const char *folder = here ? path : path_join(x->k.arena, x->base, path, x->k.e);
    const char *own = folder ? path_join(x->k.arena, folder, x->dataset, x->k.e) : NULL;
    return own ? path_join(x->k.arena, own, name, x->k.e) : NULL;
}

static bool read_features(const Mmrec *x, DataConfig *d)
{
    static const struct {
        const char *key, *name;
    } FILES[] = {{"vision_feature_file", "visual"}, {"text_feature_file", "textual"}};
    bool uses = true;
    const char **list = NEW(x->k.arena, const char *, COUNT(FILES), x->k.e), *last = NULL;
    const Yaml *at = key_get(&x->k, "is_multimodal_model");
    if (!list || !key_bool(&x->k, "is_multimodal_model", &uses))
        return false;
    if (!uses && x->kind->needs_features)
        return key_refuse(&x->k, "is_multimodal_model", at, "True: %s needs features", x->kind->name);
    d->features = list;
    for (size_t i = 0; uses && x->kind->needs_features && i < COUNT(FILES); i++) {
        const char *name = NULL, *path = NULL;
        if (!key_text(&x->k, FILES[i].key, &name) || (name && !(path = data_file(x, name))))
            return false;
        if (path && file_exists(path)) {
            if (!(list[d->feature_count++] = arena_printf(x->k.arena, x->k.e, "%s=%s", FILES[i].name, path)))
                return false;
        } else if (path) {
            last = path;
            if (!keys_note(&x->k, key_get(&x->k, FILES[i].key), "%s: is not there: %s has no %s features", path,
                           x->dataset, FILES[i].name))
                return false;
        }
    }
    if (x->kind->needs_features && !d->feature_count)
        return fail(x->k.e, SP_IO, "%s: is not there, and %s needs features: vision_feature_file or text_feature_file",
                    last ? last : x->dataset, x->kind->name);
    return true;
}

static bool read_data(const Mmrec *x, StudyData *d)
{
    const char *name = NULL, *user = NULL, *item = NULL, *cut = "\t", *path;
    const Yaml *file = key_get(&x->k, "inter_file_name");
    if (!key_text(&x->k, "inter_file_name", &name) || !key_text(&x->k, "USER_ID_FIELD", &user) ||
        !key_text(&x->k, "ITEM_ID_FIELD", &item) || !key_text(&x->k, "field_separator", &cut))
        return false;
    if (!name)
        return key_missing(&x->k, "inter_file_name", "the name of a file in data_path/dataset");
    if (!(path = data_file(x, name)))
        return false;
    if (!file_exists(path))
        return key_refuse(&x->k, "inter_file_name", file, "a file: %s is not there", path);
    if (strcmp(cut, "\t") != 0 && strcmp(cut, ",") != 0 && strcmp(cut, ";") != 0)
        return key_refuse(&x->k, "field_separator", key_get(&x->k, "field_separator"), "a tab, a comma or a semicolon");
    *d = (StudyData){.name = x->dataset, .setting = "", .fold = ""};
    d->config = (DataConfig){.train = path, .format = FORMAT_INTER, .protocol = PROTOCOL_MMREC};
    d->config.layout.separator = cut[0];
    if (user && item && !(d->config.layout.columns = arena_printf(x->k.arena, x->k.e, "%s,%s", user, item)))
        return false;
    return read_features(x, &d->config);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static bool read_measures(const Mmrec *x, Study *s)
{
    if (!key_measures(&x->k, "metrics", "topk", &s->eval))
        return false;
    s->cutoff = 20;
    if (!key_get(&x->k, "valid_metric"))
        return key_missing(&x->k, "valid_metric", "a metric of `metrics` at a cutoff of `topk`: Recall@20");
    return key_measure(&x->k, "valid_metric", &s->eval, &s->metric, &s->cutoff);
}

static bool read_select(const Mmrec *x, Study *s)
{
    size_t word = SELECT_VALID;
    if (!key_word(&x->k, "select", study_selects, COUNT(study_selects), &word))
        return false;
    s->select = (StudySelect)word;
    return key_get(&x->k, "select") ||
           keys_note(&x->k, NULL,
                     "select: the best combination is chosen by the validation part; MMRec itself chooses by the test "
                     "part: that is select=test");
}

/* ---- the study ------------------------------------------------------------------------------- */

static bool find_model(Mmrec *x, const ProtocolConfig *c)
{
    return (x->kind = recommender_find(x->model)) || recommender_refuse(&x->k, c->path, x->model);
}

bool mmrec_read(Study *s, const ProtocolConfig *c, Arena *a, Error *e)
{
    Mmrec x = {.k = {.path = "", .note = c->note, .arg = c->arg, .arena = a, .e = e}};
    StudyData *data = NEW(a, StudyData, 1, e);
    StudyModel *model = NEW(a, StudyModel, 1, e);
    bool save = true;
    if (!data || !model || !read_files(&x, c) || !find_model(&x, c) || !check_keys(&x) || !fixed_keys(&x))
        return false;
    *s = (Study){.name = x.dataset, .system = "mmrec", .source = c->path};
    if (!read_measures(&x, s) || !read_select(&x, s) || !mmrec_model(&x, model) ||
        !key_bool(&x.k, "save_recommended_topk", &save) || !read_data(&x, data))
        return false;
    for (size_t i = 0; save && i < s->eval.cutoff_count; i++)
        model->save_recs = MAX(model->save_recs, s->eval.cutoffs[i]);
    s->data = data;
    s->data_count = 1;
    s->models = model;
    s->model_count = 1;
    s->out = c->out ? c->out : arena_printf(a, e, "%s/results/%s-%s", x.base, x.model, x.dataset);
    return s->out != NULL;
}
