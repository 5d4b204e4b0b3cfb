/* recsys/settings.c: hyper-parameters as key=value. They are checked with the tables that declare them, and parsed once
 * into the recommender's struct. */
// flags: -Os
#include "recsys/recsys.h"

#include <float.h>
#include <math.h>

const Alias lr_decay_aliases[] = {
    {"learning_rate_scheduler", "set lr_decay, the factor per 50 epochs: [0.96, 50] is lr_decay=0.96", ALIAS_SAME, 0},
    {"lr_sched", "set lr_decay, the factor per 50 epochs: (0.96,50) is lr_decay=0.96", ALIAS_SAME, 0},
    {0}};
static const char *const zero_grads[] = {[ZERO_GRAD_NONE] = "none", [ZERO_GRAD_ZEROS] = "zeros"};
const Setting common_settings[] = {
    {"lr", "0.001", "0.001", "learning rate", F64_OF(CommonSettings, lr), 0, FLT_MAX,
     ALIASES({"learning_rate", NULL, ALIAS_SAME, 0})},
    {"lr_decay", "1.0", "1.0", "the learning rate changes by this factor per 50 epochs",
     F64_OF(CommonSettings, lr_decay), 0, FLT_MAX, lr_decay_aliases},
    {"weight_decay", "0.0", "0.0", "weight of the L2 penalty in Adam's gradients", F64_OF(CommonSettings, weight_decay),
     0, FLT_MAX, NULL},
    {"zero_grad", "none", "zeros",
     "parameters that a step does not use: none (they do not change) or zeros (Adam's momentum moves them); "
     "default by variant",
     WORD_OF(CommonSettings, zero_grad, zero_grads), 0, 0, NULL},
    {"mg", "false", "false", "Mirror Gradient: some batches take a second step, towards a higher loss",
     BOOL_OF(CommonSettings, mg), 0, 0, NULL},
    {"alpha1", "1.0", "1.0", "mg: weight of the loss in the first step of such a batch", F64_OF(CommonSettings, alpha1),
     0, FLT_MAX, NULL},
    {"alpha2", "0.2", "0.2", "mg: weight of the loss in the second step", F64_OF(CommonSettings, alpha2), 0, FLT_MAX,
     NULL},
    {"beta", "3", "3", "mg: every beta-th batch of an epoch takes two steps, beginning with the first",
     I64_OF(CommonSettings, beta), 1, INT32_MAX, NULL},
    {"batch_size", "1024", "2048", "samples per training step", I64_OF(CommonSettings, batch_size), 1, INT32_MAX,
     ALIASES({"train_batch_size", NULL, ALIAS_SAME, 0})},
    {"epochs", "200", "1000", "maximum number of epochs", I64_OF(CommonSettings, epochs), 1, INT32_MAX, NULL},
    {"validation_rate", "10", "1", "epochs between evaluations", I64_OF(CommonSettings, validation_rate), 1, INT32_MAX,
     ALIASES({"eval_step", NULL, ALIAS_SAME, 0})},
    {"validation_metric", "Recall@20", "Recall@20", "metric that chooses the best epoch",
     TEXT_OF(CommonSettings, validation_metric), 0, 0, ALIASES({"valid_metric", NULL, ALIAS_SAME, 0})},
    {"patience", "0", "20",
     "stop after this many evaluations in a row without improvement (mmrec: one more); 0: no early stopping",
     I64_OF(CommonSettings, patience), 0, INT32_MAX,
     ALIASES({"stopping_step",
              "set patience: stopping_step=N, N at least 1, is patience=N with protocol mmrec and patience=N+1 with "
              "protocol elliot",
              ALIAS_PROTOCOL_MMREC, 1},
             {"early_stopping", "set patience=N for early_stopping: {patience: N}", ALIAS_REFUSED, 0})},
    {"metrics", "Recall,Precision,nDCG,HR", "Recall,nDCG,Precision,MAP", "metrics to compute",
     TEXTS_OF(CommonSettings, metrics), 0, 0, ALIASES({"simple_metrics", NULL, ALIAS_SAME, 0})},
    {"cutoffs", "20", "5,10,20,50", "list lengths to evaluate", I64S_OF(CommonSettings, cutoffs), 0, 0,
     ALIASES({"topk", NULL, ALIAS_SAME, 0},
             {"top_k", "set cutoffs: the largest cutoff is the length of the lists", ALIAS_REFUSED, 0})},
#ifndef SAPOR_MINIMAL
    {"relevance_threshold", "0", "0", "elliot: items of valid and test with a lower rating are not relevant",
     F64_OF(CommonSettings, relevance_threshold), -1e6, 1e6, NULL},
    {"negatives", "none", "none",
     "sampled evaluation: rank a user's items of valid or test among N drawn items, uniN (N drawn per item), or "
     "the items of FILE or VALID,TEST; none: among all items",
     TEXTS_OF(CommonSettings, negatives), 0, 0, NULL},
#endif
    {"checkpoint_seconds", "60", "60", "minimum seconds between checkpoints (0: after every epoch)",
     I64_OF(CommonSettings, checkpoint_seconds), 0, INT32_MAX, NULL},
    {0},
};

/* Names of settings of other systems that are no settings here, and the advice what to do instead. */
static const struct {
    const char *names, *instead;
} not_settings[] = {
    {"seed random_seed", "use --seed N instead"},
    {"gpu gpu_id use_gpu backend", "use --device instead"},
    {"worker state reproducibility show_progress verbose eval_batch_size log_wandb wandb_project loss_decimal_place "
     "metric_decimal_place",
     "it does not change the result: leave it out"},
    {"shuffle", "the recommender's recipe determines its batches: leave it out"},
    {"enable_amp enable_scaler", "training always uses float32: leave it out"},
    {"learner", "the recipe determines it, Adam but for variant paper of BPRMF: leave it out"},
    {"clip_grad_norm", "gradients are never clipped: leave it out"},
    {"training_neg_sample_num train_neg_sample_args use_neg_sampling use_full_sampling NEG_PREFIX",
     "the recipe determines it: one negative, drawn uniformly for each positive, or none (BM3): leave it out"},
#ifdef SAPOR_MINIMAL
    {"relevance_threshold negatives negative_sampling repeatable", "this build does not have it (MINIMAL=1)"},
#else
    {"negative_sampling repeatable", "set negatives=N to rank a user's items among N drawn ones; else leave it out"},
#endif
    {"eval_args splitting prefiltering", "split the data with `sapor split`"},
    {"data_path data_config dataset dataset_path inter_file_name inter_splitting_label field_separator USER_ID_FIELD "
     "ITEM_ID_FIELD TIME_FIELD",
     "use --train, --valid, --test and --format instead"},
    {"filter_out_cod_start_users", "users without a train row are always skipped: leave it out"},
    {"modalities loaders side_information align_side_with_train is_multimodal_model vision_feature_file "
     "text_feature_file",
     "use --features instead"},
    {"comb_mod", "the recipe determines how modalities are combined: leave it out"},
    {"normalize", "graphs are always normalised, as with normalize=True: leave it out"},
    {"binarize", "for ItemKNN set implicit=true; for nDCG without ratings use the metric nDCGRendle2020"},
    {"valid_metric_bigger", "for every metric a larger value is better: leave it out"},
    {"monitor mode min_delta rel_delta baseline",
     "early stopping uses only validation_metric; with min_delta or rel_delta Elliot stops at evaluation patience + 1: "
     "leave it out"},
    {"optimize_internal_loss", "validation_metric chooses the best epoch: leave it out"},
    {"hyper_parameters hyper_opt_alg hyper_max_evals", "give several values to try: --set lr=0.001,0.01"},
    {"checkpoint_dir restore save_weights save_recs save_recommended_topk recommend_topk save_dataset save_dataloaders "
     "dataset_save_path dataloaders_save_path",
     "use --out DIR, which saves the run, and --save-recs K, which writes its lists"},
    {"l_b l_e factors_d bias_regularization user_regularization positive_item_regularization "
     "negative_item_regularization "
     "update_users update_items update_bias update_negative_item_factors n_fold",
     "it is a setting of Elliot's built-in recommenders; Sapor follows Elliot's external models"},
    {"req_training", "the recommender determines it: leave it out"},
    {"variant", "this recommender has one recipe: leave it out"},
    {"max_txt_len max_img_size vocab_size type_vocab_size hidden_size pad_token_id max_position_embeddings "
     "layer_norm_eps hidden_dropout_prob user_graph_dict_file",
     "no recommender here reads it: leave it out"},
    {"complex_metrics paired_ttest wilcoxon_test transform require_pow use_raw_features end2end",
     "it is not supported"},
};

typedef struct Entry {
    const Setting *declared;
    const char *value;
    const char *given; /* the name under which it was given; NULL: the default */
} Entry;
/* the settings of a recommender with their values as texts (CommonSettings.written) */
typedef struct Written {
    size_t count;
    Entry *entries;
} Written;

static Entry *find(const Written *s, Text key)
{
    for (size_t i = 0; i < s->count; i++)
        if (text_is(key, s->entries[i].declared->key))
            return &s->entries[i];
    return NULL;
}

static const Alias *alias_in(const Alias *list, Text name)
{
    for (; list && list->name; list++)
        if (text_is(name, list->name))
            return list;
    return NULL;
}

/* Finds the setting that has this alias; *alias is NULL if there is none. */
static Entry *find_alias(const Written *s, Text name, const Alias **alias)
{
    for (size_t i = 0; i < s->count; i++)
        if ((*alias = alias_in(s->entries[i].declared->aliases, name)))
            return &s->entries[i];
    return NULL;
}

/* If `name` is one of the names in not_settings, returns the advice of its row; otherwise NULL. */
static const char *instead_of(Text name)
{
    for (size_t i = 0; i < COUNT(not_settings); i++)
        for (Text rest = text_of(not_settings[i].names), one; text_next(&rest, ' ', &one);)
            if (text_equal(one, name))
                return not_settings[i].instead;
    return NULL;
}

static bool parse_word(const Setting *d, const char *value, int *to, Arena *a, Error *e)
{
    const Member *m = &d->member;
    const char *known = "";
    for (size_t i = 0; i < m->word_count && known; i++) {
        if (!m->words[i])
            continue;
        *to = (int)i;
        if (!strcmp(value, m->words[i]))
            return true;
        known = arena_printf(a, e, "%s%s%s", known, !i ? "" : i + 1 < m->word_count ? ", " : " or ", m->words[i]);
    }
    return known && fail(e, SP_USAGE, "setting %s=%s: %s is expected", d->key, value, known);
}

static size_t count_parts(const char *list)
{
    size_t n = 0;
    for (Text rest = text_of(list), part; text_next(&rest, ',', &part);)
        n++;
    return n;
}

static bool parse_i64s(const Setting *d, const char *value, I64List *to, Arena *a, Error *e)
{
    int64_t *at = NEW(a, int64_t, count_parts(value), e);
    *to = (I64List){at, 0};
    for (Text rest = text_of(value), part; at && text_next(&rest, ',', &part);)
        if (!text_i64(text_trim(part), &at[to->count++]))
            return fail(e, SP_USAGE,
                        "setting %s=%.60s: \"%.*s\" is not a whole number; a list such as 10,20 is expected", d->key,
                        value, (int)MIN(part.n, (size_t)40), part.p);
    return at != NULL;
}

static bool parse_texts(const char *value, TextList *to, Arena *a, Error *e)
{
    const char **at = NEW(a, const char *, count_parts(value), e);
    *to = (TextList){at, 0};
    for (Text rest = text_of(value), part; at && text_next(&rest, ',', &part);)
        if (!(at[to->count++] = arena_strndup(a, text_trim(part).p, text_trim(part).n, e)))
            return false;
    return at != NULL;
}

/* `number` is compared with the lower limit. `rounded`, the number in the precision in which the models compute, is
 * compared with the upper limit. */
static bool in_bounds(const Setting *d, const char *value, double number, double rounded, Error *e)
{
    if (number < d->least)
        return fail(e, SP_USAGE, "setting %s=%s: must be at least %g", d->key, value, d->least);
    if (rounded <= d->most)
        return true;
    return d->most == BELOW_ONE ? fail(e, SP_USAGE, "setting %s=%s: must be below 1", d->key, value)
                                : fail(e, SP_USAGE, "setting %s=%s: must be at most %.10g", d->key, value, d->most);
}

/* Refuses a list such as [0.1, 0.1]. MMRec's files have such lists for two reasons: a number per layer, where Sapor has
 * one number for all, and several values to try. The message proposes the first number of the list. */
static bool refuse_list(const Setting *d, const char *value, Error *e)
{
    if (*value != '[' && *value != '(')
        return true;
    Text rest = text_of(value + 1), first;
    double number;
    text_next(&rest, ',', &first);
    while (first.n && strchr("]) ", first.p[first.n - 1]))
        first.n--;
    first = text_trim(first);
    return text_f64(first, &number)
               ? fail(e, SP_USAGE, "setting %s=%.60s: is a list; Sapor uses one number: set %s=%.*s", d->key, value,
                      d->key, (int)first.n, first.p)
               : fail(e, SP_USAGE, "setting %s=%.60s: a list; one number is expected", d->key, value);
}

static bool parse_number(const Setting *d, const char *usual, const char *value, double *to, Error *e)
{
    if (!refuse_list(d, value, e))
        return false;
    if (!text_f64(text_of(value), to) || !isfinite(*to))
        return fail(e, SP_USAGE, "setting %s=%s: a number is expected (such as %s)", d->key, value, usual);
    if (!isfinite((float)*to)) /* models compute in float32 */
        return fail(e, SP_USAGE, "setting %s=%s: is too large: at most 3e38 is expected", d->key, value);
    return in_bounds(d, value, *to, (double)(float)*to, e);
}

static bool parse_value(const Setting *d, Protocol p, const char *value, CommonSettings *s, Arena *a, Error *e)
{
    const char *usual = p == PROTOCOL_ELLIOT ? d->elliot : d->mmrec;
    void *to = (char *)s + d->member.at;
    int64_t whole;
    switch (d->member.kind) {
    case SETTING_I64:
        if (!refuse_list(d, value, e))
            return false;
        if (!text_i64(text_of(value), &whole))
            return fail(e, SP_USAGE, "setting %s=%s: a whole number is expected (such as %s)", d->key, value, usual);
        *(int64_t *)to = whole;
        return in_bounds(d, value, (double)whole, (double)whole, e);
    case SETTING_F64: return parse_number(d, usual, value, to, e);
    case SETTING_BOOL:
        *(bool *)to = !strcmp(value, "true");
        return *(bool *)to || !strcmp(value, "false") ||
               fail(e, SP_USAGE, "setting %s=%s: true or false is expected", d->key, value);
    case SETTING_WORD: return parse_word(d, value, to, a, e);
    case SETTING_I64S: return parse_i64s(d, value, to, a, e);
    case SETTING_TEXTS: return parse_texts(value, to, a, e);
    case SETTING_TEXT: break;
    }
    *(const char **)to = value;
    return true;
}

/* Adds the settings of a table with their defaults. A setting that an earlier table has too is replaced. */
static void add_defaults(Written *s, const Setting *table, Variant v)
{
    for (const Setting *d = table; d && d->key; d++) {
        Entry *existing = find(s, text_of(d->key));
        *(existing ? existing : &s->entries[s->count++]) = (Entry){d, v == VARIANT_MMREC ? d->mmrec : d->elliot, NULL};
    }
}

/* Returns the variant that `set` names, else that of the protocol. A model's defaults depend on it. */
static Variant variant_given(Protocol p, const char *const *set, size_t set_count)
{
    static const char *const words[VARIANT_COUNT] = {"variant=elliot", "variant=mmrec", "variant=paper"};
    Variant variant = (Variant)p;
    for (size_t i = 0; i < set_count; i++)
        for (int v = 0; v < VARIANT_COUNT; v++)
            variant = !strcmp(set[i], words[v]) ? (Variant)v : variant;
    return variant;
}

/* Sets the defaults of variant paper: "key=value", separated by blanks. */
static bool add_paper(Written *s, const Recommender *kind, Arena *a, Error *e)
{
    Text rest = kind->paper_settings ? text_of(kind->paper_settings) : (Text){0}, value, key;
    while (text_next(&rest, ' ', &value)) {
        text_next(&value, '=', &key);
        Entry *entry = find(s, key);
        if (!entry)
            return fail(e, SP_USAGE, "%s has no setting %.*s, named in its paper_settings", kind->name, (int)key.n,
                        key.p);
        if (!(entry->value = arena_strndup(a, value.p, value.n, e)))
            return false;
    }
    return true;
}

static bool unknown_key(const Written *s, Text key, Arena *a, Error *e)
{
    const char **keys = NEW(a, const char *, s->count, e), *known = "";
    const char *name = arena_strndup(a, key.p, key.n, e);
    for (size_t i = 0; i < s->count && keys && known; i++) {
        keys[i] = s->entries[i].declared->key;
        known = arena_printf(a, e, "%s%s%s", known, i ? ", " : "", keys[i]);
    }
    if (!keys || !name || !known)
        return false;
    const char *near = near_words(name, keys, s->count, a);
    return near ? fail(e, SP_USAGE, "unknown setting %s; did you mean %s?", name, near)
                : fail(e, SP_USAGE, "unknown setting %s; choose one of %s", name, known);
}

/* Removes what YAML and Python write around a list: "[5, 10]", "['Recall']". True becomes true. */
static void plain_value(const Setting *d, char *value)
{
    bool list = d->member.kind == SETTING_I64S || d->member.kind == SETTING_TEXTS || !strcmp(d->key, "lr_decay");
    char *to = value;
    for (const char *from = value; list && *from; from++)
        if (!strchr("[]()'\" ", *from))
            *to++ = *from;
    if (list)
        *to = 0;
    if (!strcmp(value, "True") || !strcmp(value, "False"))
        *value = *value == 'T' ? 't' : 'f';
}

/* Reports whether the value of an alias has the same meaning for the setting. The aliases of lr_decay have a factor and
 * a number of epochs, "0.96,50" (plain_value has removed brackets). The epochs must be 50; only the factor stays in
 * `value`. */
static bool alias_holds(const Alias *a, Protocol p, Variant variant, char *value)
{
    double number;
    bool same = a->use == ALIAS_SAME || (a->use == ALIAS_PROTOCOL_MMREC && p == PROTOCOL_MMREC) ||
                (a->use == ALIAS_VARIANT_MMREC && variant == VARIANT_MMREC);
    if (same && alias_in(lr_decay_aliases, text_of(a->name))) {
        char *comma = strchr(value, ',');
        same = comma && text_f64(text_of(comma + 1), &number) && number == 50;
        if (same)
            *comma = 0;
    }
    return same && (a->least == 0 || !text_f64(text_of(value), &number) || number >= a->least);
}

static bool set_one(CommonSettings *values, Written *s, Protocol p, Variant variant, const char *given, Arena *a,
                    Error *e)
{
    Text value = text_of(given), key;
    if (!strchr(given, '='))
        return fail(e, SP_USAGE, "setting '%s': key=value is expected", given);
    text_next(&value, '=', &key);
    const Alias *alias = NULL;
    Entry *entry = find(s, key);
    if (!entry)
        entry = find_alias(s, key, &alias);
    if (!entry && instead_of(key))
        return fail(e, SP_USAGE, "setting %s is not accepted: %s", given, instead_of(key));
    if (!entry)
        return unknown_key(s, key, a, e);
    const char *name = arena_strndup(a, key.p, key.n, e);
    char *copy = arena_strndup(a, value.p, value.n, e);
    if (!name || !copy)
        return false;
    plain_value(entry->declared, copy);
    if (alias && !alias_holds(alias, p, variant, copy))
        return fail(e, SP_USAGE, "setting %s is not accepted: %s", given, alias->instead);
    if (entry->given && strcmp(entry->given, name) != 0)
        return fail(e, SP_USAGE, "%s and %s are the same setting: give one of them", entry->given, name);
    entry->given = name;
    entry->value = copy;
    return parse_value(entry->declared, p, copy, values, a, e);
}

const CommonSettings *settings_make(const Recommender *kind, Protocol p, const char *const *set, size_t set_count,
                                    Arena *a, Error *e)
{
    size_t most = COUNT(common_settings);
    for (const Setting *d = kind->settings; d && d->key; d++)
        most++;
    Written *s = NEW(a, Written, 1, e);
    size_t size = MAX(kind->settings_size, sizeof(CommonSettings));
    CommonSettings *values = arena_alloc(a, 1, size, e);
    if (!s || !values || !(s->entries = NEW(a, Entry, most, e)))
        return NULL;
    values->written = s;
    values->variant = (int)p;
    Variant variant = variant_given(p, set, set_count);
    add_defaults(s, common_settings, (Variant)p);
    /* zero_grad belongs to the recipe (variant), not to the protocol */
    find(s, TEXT("zero_grad"))->value = variant == VARIANT_MMREC ? "zeros" : "none";
    add_defaults(s, kind->settings, variant);
    if (variant == VARIANT_PAPER && !add_paper(s, kind, a, e))
        return NULL;
    for (size_t i = 0; i < s->count; i++) {
        const Setting *d = s->entries[i].declared;
        if (d->member.at >= size) {
            fail(e, SP_USAGE, "%s: setting %s is not in a struct of settings_size %zu", kind->name, d->key,
                 kind->settings_size);
            return NULL;
        }
        if (!parse_value(d, p, s->entries[i].value, values, a, e))
            return NULL;
    }
    for (size_t i = 0; i < set_count; i++)
        if (!set_one(values, s, p, variant, set[i], a, e))
            return NULL;
    return values;
}

/* Finds a setting by its key or by an alias, which is then *alias. Keys of both tables are compared before any alias.
 */
static const Setting *setting_named(const Recommender *kind, Text name, const Alias **alias)
{
    const Setting *const tables[] = {kind->settings, common_settings};
    *alias = NULL;
    for (size_t t = 0; t < COUNT(tables); t++)
        for (const Setting *d = tables[t]; d && d->key; d++)
            if (text_is(name, d->key))
                return d;
    for (size_t t = 0; t < COUNT(tables); t++)
        for (const Setting *d = tables[t]; d && d->key; d++)
            if ((*alias = alias_in(d->aliases, name)))
                return d;
    return NULL;
}

Commas setting_commas(const Recommender *kind, Text name)
{
    const Alias *alias;
    const Setting *d = setting_named(kind, name, &alias);
    if (!d || d->member.kind == SETTING_TEXT || (alias && alias_in(lr_decay_aliases, name)))
        return COMMAS_OWN;
    return d->member.kind == SETTING_I64S || d->member.kind == SETTING_TEXTS ? COMMAS_LIST : COMMAS_CHOICES;
}

size_t settings_count(const CommonSettings *s)
{
    return s->written->count;
}

const char *settings_key(const CommonSettings *s, size_t i)
{
    return s->written->entries[i].declared->key;
}

const char *settings_value(const CommonSettings *s, size_t i)
{
    return s->written->entries[i].value;
}

const char *settings_alias(const CommonSettings *s, size_t i)
{
    const Entry *entry = &s->written->entries[i];
    return entry->given && strcmp(entry->given, entry->declared->key) != 0 ? entry->given : NULL;
}

const char *settings_text(const CommonSettings *s, size_t member)
{
    size_t i = 0;
    while (i + 1 < s->written->count && s->written->entries[i].declared->member.at != member)
        i++;
    return settings_value(s, i);
}
