/* recsys/protocols/mmrec_models.c: converts keys of model/<M>.yaml of MMRec's recommenders to settings; keys in
 * `hyper_parameters` become dimensions. */
// flags: -Os
#include "recsys/protocols/mmrec.h"
#include "recsys/protocols/setting_keys.h"

/* Keys of published model files that are no settings here, and how MMRec's code uses them. */
typedef enum How {
    HOW_IDLE,    /* the code does not use it */
    HOW_FACTORS, /* the value must be embedding_size */
    HOW_LAYERS,  /* a list of length n_ui_layers; each value must be embedding_size */
    HOW_EQUAL    /* a list of equal numbers; here a single number */
} How;
typedef struct Special {
    const char *model, *key; /* model: name for recommender_find */
    How how;
    const char *about; /* text of the note, for HOW_IDLE */
} Special;
static const Special SPECIAL[] = {
    {"BM3", "feat_embed_dim", HOW_IDLE, "no effect, as in MMRec: projected features are as long as embeddings"},
    {"FREEDOM", "feat_embed_dim", HOW_FACTORS, NULL},
    {"FREEDOM", "weight_size", HOW_IDLE, "no effect, as in MMRec: n_ui_layers counts the layers"},
    {"FREEDOM", "lambda_coeff", HOW_IDLE, "no effect, as in MMRec, whose FREEDOM does not use it"},
    {"MGCN", "lambda_coeff", HOW_IDLE, "no effect, as in MMRec, whose MGCN does not use it"},
    {"GRCN", "n_layers", HOW_IDLE, "no effect, as in MMRec, where the routings change nothing"},
    {"MMGCN", "n_layers", HOW_IDLE, "no effect, as in MMRec, whose code has three layers"},
    {"LATTICE", "weight_size", HOW_LAYERS, NULL},
    {"LATTICE", "mess_dropout", HOW_EQUAL, NULL},
};

static const Special *special(const Mmrec *x, Text key)
{
    for (size_t i = 0; i < COUNT(SPECIAL); i++)
        if (!strcmp(SPECIAL[i].model, x->kind->name) && text_is(key, SPECIAL[i].key))
            return &SPECIAL[i];
    return NULL;
}

bool mmrec_rows(const Mmrec *x, const KeyRow *common, size_t common_count, KeyRow **rows, size_t *count)
{
    size_t room = COUNT(SPECIAL) + common_count + setting_rows_most(x->kind);
    KeyRow *list = *rows = NEW(x->k.arena, KeyRow, room, x->k.e);
    if (!list)
        return false;
    *count = 0;
    for (size_t i = 0; i < COUNT(SPECIAL); i++)
        if (!strcmp(SPECIAL[i].model, x->kind->name))
            list[(*count)++] =
                (KeyRow){SPECIAL[i].key, SPECIAL[i].how == HOW_IDLE ? KEY_IDLE : KEY_READ, SPECIAL[i].about};
    memcpy(list + *count, common, common_count * sizeof *common);
    *count += common_count;
    return setting_rows(&x->k, x->kind, list, count);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Returns the number of a list of equal numbers, or NULL. */
static const char *one_of_equal(const Yaml *y)
{
    if (y->type == YAML_TEXT)
        return y->text.p;
    for (const Yaml *v = y->first; v; v = v->next)
        if (v->type != YAML_TEXT || !text_equal(v->text, y->first->text))
            return NULL;
    return y->first ? y->first->text.p : NULL;
}

static bool is_factors(const Mmrec *x, const Yaml *y)
{
    const Yaml *size = key_get(&x->k, "embedding_size");
    double a, b;
    return y->type == YAML_TEXT && size && size->type == YAML_TEXT && text_f64(y->text, &a) &&
           text_f64(size->text, &b) && a == b;
}

static bool add_special(const Mmrec *x, SettingList *s, const Special *p, const Yaml *y)
{
    if (p->how == HOW_IDLE)
        return true;
    if (p->how == HOW_FACTORS)
        return is_factors(x, y) || key_refuse(&x->k, p->key, y, "the value of embedding_size");
    if (p->how == HOW_EQUAL) {
        const char *one = one_of_equal(y);
        if (!one)
            return key_refuse(&x->k, p->key, y, "a list of equal numbers, one per layer");
        return setting_add(&x->k, s, p->key, one) && setting_check(&x->k, s, x->kind, PROTOCOL_MMREC, p->key, y);
    }
    if (y->type != YAML_LIST || y->count == 0)
        return key_refuse(&x->k, p->key, y, "a list of the layers' widths");
    for (const Yaml *v = y->first; v; v = v->next)
        if (!is_factors(x, v))
            return key_refuse(&x->k, p->key, v, "the value of embedding_size for each layer");
    const char *layers = arena_printf(x->k.arena, x->k.e, "%zu", y->count);
    return layers && setting_add(&x->k, s, "n_ui_layers", layers) &&
           setting_check(&x->k, s, x->kind, PROTOCOL_MMREC, p->key, y);
}

/* [1.0, N] is a constant learning rate for every N. */
static bool is_constant_rate(Text key, const Yaml *y)
{
    double factor;
    return text_is(key, "learning_rate_scheduler") && y->type == YAML_LIST && y->count == 2 &&
           y->first->type == YAML_TEXT && text_f64(y->first->text, &factor) && factor == 1;
}

static bool has_factors(const Mmrec *x)
{
    for (const Setting *s = x->kind->settings; s && s->key; s++)
        if (!strcmp(s->key, "factors"))
            return true;
    return false;
}

/* Reports whether a key that has a value is a setting of the training of a model. Other keys say how the study runs. */
static bool is_setting(const Mmrec *x, const Yaml *y)
{
    if (yaml_is_null(y) || (text_is(y->key, "embedding_size") && !has_factors(x) && mmrec_published(x, y)))
        return false;
    return special(x, y->key) || !mmrec_common_key(y->key);
}

/* Returns the entry of hyper_parameters that names the key; NULL: the key does not vary. */
static const Yaml *searched(const Mmrec *x, Text key)
{
    const Yaml *hyper = key_get(&x->k, "hyper_parameters");
    for (const Yaml *y = hyper ? hyper->first : NULL; y; y = y->next)
        if (text_equal(y->text, key))
            return y;
    return NULL;
}

/* Adds the settings that do not vary. */
static bool fixed_settings(const Mmrec *x, SettingList *s)
{
    if (x->mirror && !setting_add(&x->k, s, "mg", "true"))
        return false;
    for (const Yaml *y = x->k.map->first; y; y = y->next) {
        const Special *p = special(x, y->key);
        if (!is_setting(x, y) || searched(x, y->key))
            continue;
        if (p) {
            if (!add_special(x, s, p, y))
                return false;
            continue;
        }
        if (is_constant_rate(y->key, y)) {
            if (!setting_add(&x->k, s, "lr_decay", "1.0"))
                return false;
            continue;
        }
        if (y->type == YAML_LIST && !text_is(y->key, "learning_rate_scheduler"))
            return key_refuse(&x->k, y->key.p, y, "one value, or a list if hyper_parameters contains %s", y->key.p);
        const char *value = setting_text(&x->k, y->key.p, y);
        if (!value || !setting_add(&x->k, s, y->key.p, value) ||
            !setting_check(&x->k, s, x->kind, PROTOCOL_MMREC, y->key.p, y))
            return false;
    }
    return true;
}

/* Makes a dimension from one key of hyper_parameters, and checks each value. */
static bool add_dimension(const Mmrec *x, SettingList *fixed, const Yaml *name, Dimension *d)
{
    const Yaml *y = key_get(&x->k, name->text.p);
    const Special *p = special(x, name->text);
    if (!y)
        return fail(
            x->k.e, SP_FORMAT,
            "%s: hyper_parameters: found %.60s, which has no value; allowed is a key with a value or a list of values",
            name->where, name->text.p);
    if (!is_setting(x, y) || (p && p->how != HOW_IDLE && p->how != HOW_EQUAL))
        return fail(x->k.e, SP_FORMAT, "%s: hyper_parameters: found %.60s; allowed is seed or a setting of %s",
                    name->where, name->text.p, x->kind->name);
    if (p && p->how == HOW_IDLE)
        return true;
    return setting_dimension(&x->k, fixed, x->kind, PROTOCOL_MMREC, d, name->text.p, y);
}

static bool read_seeds(const Mmrec *x, StudyModel *m)
{
    const int64_t *given = NULL;
    if (!key_i64s(&x->k, "seed", 0, INT64_MAX, &given, &m->seed_count))
        return false;
    if (!m->seed_count)
        return key_missing(&x->k, "seed", "a list of whole numbers");
    uint64_t *seeds = NEW(x->k.arena, uint64_t, m->seed_count, x->k.e);
    for (size_t i = 0; seeds && i < m->seed_count; i++)
        seeds[i] = (uint64_t)given[i];
    m->seeds = seeds;
    return seeds && (m->seed_count == 1 ||
                     keys_note(&x->k, key_get(&x->k, "seed"),
                               "seed: the mean over the seeds chooses the best combination; MMRec takes each seed as "
                               "a combination of its own"));
}

bool mmrec_model(const Mmrec *x, StudyModel *m)
{
    SettingList fixed = {0};
    const Yaml *hyper = key_get(&x->k, "hyper_parameters");
    Dimension *dims = NEW(x->k.arena, Dimension, hyper ? hyper->count + 1 : 1, x->k.e);
    *m = (StudyModel){.name = x->model, .kind = x->kind, .search = SEARCH_GRID, .dims = dims};
    if (!dims || !fixed_settings(x, &fixed) || !read_seeds(x, m))
        return false;
    for (const Yaml *y = hyper ? hyper->first : NULL; y; y = y->next) {
        const Special *p = special(x, y->text);
        if (text_is(y->text, "seed"))
            continue;
        if (!add_dimension(x, &fixed, y, &dims[m->dim_count]))
            return false;
        if (!p || p->how != HOW_IDLE) /* a key without effect makes no further points */
            m->dim_count++;
    }
    m->set = fixed.at;
    m->set_count = fixed.count;
    return true;
}
