/* recsys/metrics/metrics.c: the table of metrics, and the parser of metrics with parameters. */
// flags: -Os
#include "recsys/metrics/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#define ALL_SYSTEMS ELLIOT | MMREC | RECBOLE, "elliot mmrec recbole"
#define RANKED      MMREC | RECBOLE, "mmrec recbole"
#define OF_ELLIOT   ELLIOT, "elliot"
#define OF_MMREC    MMREC, "mmrec"
#define OF_RECBOLE  RECBOLE, "recbole"
#define CLUSTERS    "clustering_name= clustering_file=FILE"
#define USER_GROUPS "user_clustering_name= user_clustering_file=FILE"
#define ITEM_GROUPS "item_clustering_name= item_clustering_file=FILE"
/* A row of the table: name, systems, the systems in words, needs, group, description, parameters, then the functions
 * that compute it. ROW_OF first expands a macro such as OF_ELLIOT to two arguments. */
#define ROW(name, systems, words, needs, group, about, parameters, ...)                                                \
    {                                                                                                                  \
        {name, HELP_TEXT(about), HELP_TEXT(group), HELP_TEXT(words), parameters, needs}, systems, __VA_ARGS__          \
    }
#define HELP_TEXT(text) (ALL_METRICS ? (text) : "") /* shown by show_metrics only, so MINIMAL leaves it out */
#define ROW_OF(...)     ROW(__VA_ARGS__)
#define WHOLE_SCORES    METRIC_WHOLE | METRIC_SCORES

static const Row ROWS[] = {
    ROW_OF("Recall", ALL_SYSTEMS, 0, "accuracy", "relevant items in the list / relevant items", "", .figure = recall),
    ROW_OF("Precision", ALL_SYSTEMS, 0, "accuracy", "relevant items in the list / cutoff", "", .figure = precision),
    ROW_OF("nDCG", OF_ELLIOT, METRIC_GAINS, "accuracy",
           "discounted gain / highest possible one; gain of an item: 2^(rating-threshold+1)-1", "",
           .figure = ndcg_graded),
    ROW_OF("nDCG", RANKED, 0, "accuracy", "the same with gain 1", "", .figure = ndcg_binary),
    ROW_OF("HR", ALL_SYSTEMS, 0, "accuracy", "1 if the list has a relevant item (also named Hit)", "",
           .figure = hit_rate),
    ROW_OF("MRR", ALL_SYSTEMS, 0, "accuracy", "1 / rank of the first relevant item", "", .figure = reciprocal_rank),
    ROW_OF("MAP", OF_ELLIOT, 0, "accuracy", "mean of Precision@1..cutoff", "", .figure = mean_precision),
    ROW_OF("MAP", RANKED, 0, "accuracy", "average precision", "", .figure = average_precision),
    ROW_OF("MAR", OF_ELLIOT, 0, "accuracy", "mean of Recall@1..cutoff", "", .figure = mean_recall),
    ROW_OF("F1", OF_ELLIOT, 0, "accuracy", "harmonic mean of Precision and Recall", "", .figure = f1),
    ROW_OF("nDCGRendle2020", OF_ELLIOT, 0, "accuracy", "nDCG with gain 1", "", .figure = ndcg_binary),
    ROW_OF("AP", 0, "", 0, "accuracy", "average precision", "", .figure = average_precision),
#ifndef SAPOR_MINIMAL
    ROW_OF("Recall2", OF_MMREC, 0, "accuracy", "relevant items in all lists / relevant items of all users", "",
           .begin = two_sums_begin, .add = pooled_recall_add, .end = ratio_end),
    ROW_OF("DSC", OF_ELLIOT, 0, "accuracy", "F-beta of two metrics", "beta=1 metric_0=Precision metric_1=Recall",
           .figure = f_beta, .begin = f_beta_begin),
    ROW_OF("ExtendedF1", OF_ELLIOT, 0, "accuracy", "harmonic mean of two metrics", "metric_0=METRIC metric_1=METRIC",
           .figure = f_beta, .begin = f_beta_begin, .label = {"ExtendedF1_m0:", "-m1:"}),
    ROW_OF("AUC", OF_ELLIOT, METRIC_TRAIN | METRIC_WHOLE, "accuracy",
           "share of irrelevant items below a hit: mean over the hits of all users", "", .begin = two_sums_begin,
           .add = pooled_auc_add, .end = ratio_end),
    ROW_OF("GAUC", OF_ELLIOT, METRIC_TRAIN | METRIC_WHOLE, "accuracy",
           "sum of these shares / the user's relevant items", "", .figure = group_auc),
    ROW_OF("GAUC", OF_RECBOLE, METRIC_WHOLE, "accuracy", "mean of users' AUC, weighted by their relevant items", "",
           .begin = two_sums_begin, .add = weighted_auc_add, .end = ratio_end),
    ROW_OF("LAUC", OF_ELLIOT, METRIC_TRAIN, "accuracy", "such a sum over the list / min(cutoff, relevant items)", "",
           .figure = limited_auc),

    ROW_OF("MAE", OF_ELLIOT, WHOLE_SCORES, "rating", "mean of |score - rating| over relevant items", "",
           .figure = absolute_error, .begin = two_sums_begin, .add = absolute_error_add, .end = ratio_end),
    ROW_OF("MSE", OF_ELLIOT, WHOLE_SCORES, "rating", "mean of (score - rating)^2 over relevant items", "",
           .figure = squared_error, .begin = two_sums_begin, .add = squared_error_add, .end = ratio_end),
    ROW_OF("RMSE", OF_ELLIOT, WHOLE_SCORES, "rating", "root of MSE", "", .figure = root_squared_error,
           .begin = two_sums_begin, .add = squared_error_add, .end = root_ratio_end),

    ROW_OF("ItemCoverage", OF_ELLIOT, METRIC_LISTED_ITEMS, "coverage", "number of different items in all lists", "",
           .all_users = true, .begin = count_begin, .end = coverage_end),
    ROW_OF("ItemCoverage", OF_RECBOLE, METRIC_CATALOGUE, "coverage", "the same / items", "", .all_users = true,
           .begin = count_begin, .end = coverage_share_end),
    ROW_OF("UserCoverage", OF_ELLIOT, 0, "coverage", "number of users with a list", "", .all_users = true,
           .add = users_add, .end = sum_end),
    ROW_OF("UserCoverageAtN", OF_ELLIOT, 0, "coverage", "number of users with cutoff or more items in their list", "",
           .all_users = true, .add = full_lists_add, .end = sum_end),
    ROW_OF("NumRetrieved", OF_ELLIOT, 0, "coverage", "length of the list", "", .figure = list_length),

    ROW_OF("Gini", OF_ELLIOT, METRIC_CATALOGUE, "diversity", "1 - Gini index of how often items are listed", "",
           .all_users = true, .begin = sorted_begin, .end = gini_end),
    ROW_OF("GiniIndex", OF_RECBOLE, METRIC_CATALOGUE, "diversity", "Gini index of how often items are listed", "",
           .all_users = true, .begin = sorted_begin, .end = inequality_end),
    ROW_OF("SEntropy", OF_ELLIOT, METRIC_LISTED_ITEMS, "diversity",
           "mean over users of the mean of -log2(share of an item in all lists)", "", .all_users = true,
           .begin = entropy_begin, .add = entropy_add, .end = entropy_end),
    ROW_OF("ShannonEntropy", OF_RECBOLE, METRIC_LISTED_ITEMS, "diversity",
           "sum of -p ln(p) over different listed items / their number", "", .all_users = true, .begin = count_begin,
           .end = natural_entropy_end),
    ROW_OF("SRecall", OF_ELLIOT, METRIC_TRAIN | METRIC_FILE, "diversity",
           "features of relevant items in the list / features of all items", "feature_data=FILE",
           .figure = feature_recall, .begin = features_begin),

    ROW_OF("EFD", OF_ELLIOT, METRIC_TRAIN, "novelty",
           "discounted mean of -log2(share of train); items that are not relevant count 0", "", .figure = novelty,
           .begin = efd_begin),
    ROW_OF("ExtendedEFD", OF_ELLIOT, METRIC_TRAIN | METRIC_GAINS, "novelty",
           "the same; relevance=discounted: with gains", "relevance=binary", .figure = novelty, .begin = efd_begin),
    ROW_OF("EPC", OF_ELLIOT, METRIC_TRAIN, "novelty",
           "discounted mean of 1 - share of train users; items that are not relevant count 0", "", .figure = novelty,
           .begin = epc_begin),
    ROW_OF("ExtendedEPC", OF_ELLIOT, METRIC_TRAIN | METRIC_GAINS, "novelty",
           "the same; relevance=discounted: with gains", "relevance=binary", .figure = novelty, .begin = epc_begin),

    ROW_OF("ARP", OF_ELLIOT, METRIC_TRAIN, "popularity", "mean number of train users of the listed items", "",
           .all_users = true, .figure = mean_popularity, .begin = popularity_begin),
    ROW_OF("AveragePopularity", OF_RECBOLE, METRIC_TRAIN, "popularity", "sum of these numbers / cutoff", "",
           .all_users = true, .figure = popularity_per_rank, .begin = popularity_begin),
    ROW_OF("APLT", OF_ELLIOT, METRIC_TRAIN, "popularity",
           "share of the list outside the most popular items, which have 80 % of train", "", .all_users = true,
           .figure = tail_share, .begin = tail_begin),
    ROW_OF("ACLT", OF_ELLIOT, METRIC_TRAIN, "popularity", "number of such items in the list", "", .all_users = true,
           .figure = tail_count, .begin = tail_begin),
    ROW_OF("TailPercentage", OF_RECBOLE, METRIC_TRAIN, "popularity",
           "items of the least popular tenth (tail_ratio above 1: with at most that number of train users) / cutoff",
           "tail_ratio=0.1", .all_users = true, .figure = tail_per_rank, .begin = least_popular_begin),
    ROW_OF("PopRSP", OF_ELLIOT, METRIC_TRAIN, "popularity",
           "listed share of popular and of other items: deviation / mean", "", .all_users = true,
           .begin = head_tail_begin, .add = parity_add, .end = spread_end),
    ROW_OF("PopREO", OF_ELLIOT, METRIC_TRAIN, "popularity", "the same among relevant items", "",
           .begin = head_tail_begin, .add = opportunity_add, .end = spread_end),
    ROW_OF("ExtendedPopRSP", OF_ELLIOT, METRIC_TRAIN, "popularity",
           "PopRSP where popular items have pop_ratio of train", "pop_ratio=0.8", .all_users = true,
           .begin = head_tail_begin, .add = parity_add, .end = spread_end),
    ROW_OF("ExtendedPopREO", OF_ELLIOT, METRIC_TRAIN, "popularity",
           "PopREO where popular items have pop_ratio of train", "pop_ratio=0.8", .begin = head_tail_begin,
           .add = opportunity_add, .end = spread_end),

    ROW_OF("RSP", OF_ELLIOT, METRIC_TRAIN | METRIC_FILE, "groups",
           "listed share of each cluster of items, and their deviation / mean", CLUSTERS, .all_users = true,
           .label = {"RSP_items:"}, .begin = item_groups_begin, .add = parity_add, .end = shares_end),
    ROW_OF("REO", OF_ELLIOT, METRIC_TRAIN | METRIC_FILE, "groups", "the same among relevant items", CLUSTERS,
           .label = {"REO_items:"}, .begin = item_groups_begin, .add = opportunity_add, .end = shares_end),
    ROW_OF("UserMADrating", OF_ELLIOT, METRIC_TRAIN | METRIC_SCORES | METRIC_FILE, "groups",
           "mean difference between clusters of users in mean score", CLUSTERS, .label = {"UserMADrating_"},
           .inner = true, .figure = mean_score, .begin = user_difference_begin, .add = user_groups_add,
           .end = user_difference_end),
    ROW_OF("UserMADranking", OF_ELLIOT, METRIC_TRAIN | METRIC_GAINS | METRIC_FILE, "groups",
           "mean difference between clusters of users in nDCG", CLUSTERS, .label = {"UserMADranking_"}, .inner = true,
           .figure = ndcg_graded, .begin = user_difference_begin, .add = user_groups_add, .end = user_difference_end),
    ROW_OF("ItemMADrating", OF_ELLIOT, METRIC_TRAIN | METRIC_SCORES | METRIC_FILE, "groups",
           "mean difference between clusters of items in mean score (0 if no hit)", CLUSTERS,
           .label = {"ItemMADrating_"}, .begin = item_difference_begin, .add = item_score_add,
           .end = item_difference_end),
    ROW_OF("ItemMADranking", OF_ELLIOT, METRIC_TRAIN | METRIC_GAINS | METRIC_FILE, "groups",
           "mean difference between clusters of items in mean gain", CLUSTERS, .label = {"ItemMADranking_"},
           .begin = item_difference_begin, .add = item_gain_add, .end = item_difference_end),
    ROW_OF("BiasDisparityBR", OF_ELLIOT, METRIC_TRAIN, "groups",
           "share of a cluster of items in the lists of a cluster of users / its share of the items",
           USER_GROUPS " " ITEM_GROUPS, .all_users = true, .label = {"BiasDisparityBR_users:", "_items:"},
           .begin = disparity_begin, .add = disparity_add, .end = disparity_lists_end),
    ROW_OF("BiasDisparityBS", OF_ELLIOT, METRIC_TRAIN, "groups", "the same in train", USER_GROUPS " " ITEM_GROUPS,
           .all_users = true, .label = {"BiasDisparityBS_users:", "_items:"}, .begin = disparity_begin,
           .add = disparity_add, .end = disparity_train_end),
    ROW_OF("BiasDisparityBD", OF_ELLIOT, METRIC_TRAIN, "groups", "(BR - BS) / BS", USER_GROUPS " " ITEM_GROUPS,
           .all_users = true, .label = {"BiasDisparityBD_users:", "_items:"}, .begin = disparity_begin,
           .add = disparity_add, .end = disparity_change_end),
    ROW_OF("clustered_nDCG", OF_ELLIOT, METRIC_TRAIN | METRIC_GAINS | METRIC_FILE, "groups",
           "nDCG of each cluster of users", USER_GROUPS, .label = {"nDCG_users:"}, .inner = true, .figure = ndcg_graded,
           .begin = user_groups_begin, .add = user_groups_add, .end = user_groups_end),
    ROW_OF("clustered_Recall", OF_ELLIOT, METRIC_TRAIN | METRIC_FILE, "groups", "Recall of each cluster of users",
           USER_GROUPS, .label = {"Recall_users:"}, .inner = true, .figure = recall, .begin = user_groups_begin,
           .add = user_groups_add, .end = user_groups_end),
    ROW_OF("clustered_APLT", OF_ELLIOT, METRIC_TRAIN | METRIC_FILE, "groups", "APLT of each cluster of users",
           USER_GROUPS, .all_users = true, .label = {"APLT_users:"}, .inner = true, .figure = group_tail_share,
           .begin = user_groups_tail_begin, .add = user_groups_add, .end = user_groups_end),
    ROW_OF("clustered_GiniIndex", OF_ELLIOT, METRIC_TRAIN | METRIC_FILE, "groups", "Gini of each cluster of users",
           USER_GROUPS, .all_users = true, .label = {"Gini_users:"}, .begin = group_gini_begin, .add = group_gini_add,
           .end = group_gini_end),
#endif
};

size_t metric_count(void)
{
    return COUNT(ROWS);
}

const Metric *metric_at(size_t i)
{
    return &ROWS[i].metric;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool same_name(Text a, const char *name)
{
    return a.p && name && a.n == strlen(name) && !strncasecmp(a.p, name, a.n);
}

/* Removes a prefix such as "recbole." from a name and returns the system. Returns 0 if there is no such prefix. *word:
 * the prefix, or "". */
static int take_system(Text *name, const char **word)
{
    static const char *const WORDS[] = {"elliot.", "mmrec.", "recbole."};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(WORDS[i]);
        if (name->n > n && !strncasecmp(name->p, WORDS[i], n)) {
            *name = (Text){name->p + n, name->n - n};
            *word = WORDS[i];
            return 1 << i;
        }
    }
    *word = "";
    return 0;
}

const Row *row_find(Text name, Protocol p)
{
    /* by protocol: the systems in the order in which they are tried; 0: rows of any system */
    static const int ORDER[2][4] = {{ELLIOT, RECBOLE, MMREC, 0}, {MMREC, RECBOLE, ELLIOT, 0}};
    const char *word;
    int system = take_system(&name, &word);
    if (same_name(name, "Hit")) /* name in RecBole */
        name = TEXT("HR");
    for (int k = 0; k < 4; k++)
        for (size_t i = 0; i < COUNT(ROWS); i++)
            if (same_name(name, ROWS[i].metric.name) &&
                (system ? ROWS[i].systems & system : !ORDER[p][k] || ROWS[i].systems & ORDER[p][k]))
                return &ROWS[i];
    return NULL;
}

int metric_find(const char *name)
{
    Text rest = text_of(name), first = {0};
    text_next(&rest, ':', &first);
    const Row *row = row_find(first, PROTOCOL_ELLIOT);
    return row ? (int)(row - ROWS) : -1;
}

bool metric_unknown(const char *where, const char *name, Arena *a, Error *e)
{
#ifdef SAPOR_MINIMAL
    (void)a;
    return fail(e, SP_USAGE, "%sunknown metric '%.60s'; this build has the metrics of hits and ranks alone (MINIMAL=1)",
                where, name);
#else
    const char *names[COUNT(ROWS)];
    for (size_t i = 0; i < COUNT(ROWS); i++)
        names[i] = ROWS[i].metric.name;
    const char *near = near_words(name, names, COUNT(ROWS), a);
    return fail(e, SP_USAGE, "%sunknown metric '%.60s'; %s%s%s`sapor evaluate --metrics help` lists them", where, name,
                near ? "did you mean " : "", near ? near : "", near ? "? " : "");
#endif
}

/* ---- parameters ------------------------------------------------------------------------------ */

#ifdef SAPOR_MINIMAL
/* MINIMAL has no parameters: returns all of *rest, which becomes empty. */
static Text next_part(Text *rest)
{
    Text all = *rest;
    *rest = (Text){0};
    return all;
}
#else
static const char *const PARAMETER_NAMES[PARAMETERS] = {"beta",
                                                        "metric_0",
                                                        "metric_1",
                                                        "pop_ratio",
                                                        "tail_ratio",
                                                        "relevance",
                                                        "feature_data",
                                                        "clustering_name",
                                                        "clustering_file",
                                                        "user_clustering_name",
                                                        "user_clustering_file",
                                                        "item_clustering_name",
                                                        "item_clustering_file"};

/* Returns the parameter if the text begins with "key=" of a parameter; else PARAMETERS. */
static Parameter parameter_of(Text at)
{
    Parameter p = 0;
    for (; p < PARAMETERS; p++) {
        size_t n = strlen(PARAMETER_NAMES[p]);
        if (at.n > n && at.p[n] == '=' && !memcmp(at.p, PARAMETER_NAMES[p], n))
            break;
    }
    return p;
}

/* Splits *rest at the first colon that is followed by the name of a parameter and '='. Returns the text before the
 * colon. *rest becomes the text after the colon. Without such a colon, returns all of *rest, which becomes empty. */
static Text next_part(Text *rest)
{
    Text all = *rest;
    for (size_t i = 0; i < all.n; i++) {
        Text behind = {all.p + i + 1, all.n - i - 1};
        if (all.p[i] == ':' && parameter_of(behind) < PARAMETERS) {
            *rest = behind;
            return (Text){all.p, i};
        }
    }
    *rest = (Text){0};
    return all;
}

static bool has_parameter(const Metric *m, Parameter p)
{
    for (Text rest = text_of(m->parameters), word; text_next(&rest, ' ', &word);)
        if (parameter_of(word) == p)
            return true;
    return false;
}

/* Sets u->number to the value of a parameter, which must be from `min` to `max`, or to its default. */
static bool read_number(Use *u, Parameter p, double min, double max, double default_value, Error *e)
{
    u->number = default_value;
    return !u->value[p] || (text_f64(text_of(u->value[p]), &u->number) && u->number >= min && u->number <= max) ||
           fail(e, SP_USAGE, "metrics: %s: %s=%.40s: a number from %g to %g is expected", u->row->metric.name,
                PARAMETER_NAMES[p], u->value[p], min, max);
}

/* Reads the metrics that another metric combines (metric_0, metric_1). */
static bool read_parts(Use *u, Protocol p, Arena *a, Error *e)
{
    static const char *const DEFAULTS[] = {"Precision", "Recall"};
    bool required = u->row->label[0] != NULL;
    for (int i = 0; i < 2; i++) {
        const char *name = u->value[P_METRIC_0 + i];
        if (!name && required)
            return fail(e, SP_USAGE, "metrics: %s: metric_%d is missing; write %s:metric_0=Precision:metric_1=Recall",
                        u->row->metric.name, i, u->row->metric.name);
        name = name ? name : DEFAULTS[i];
        const Row *row = row_find(text_of(name), p);
        if (!row)
            return metric_unknown("metrics: ", name, a, e);
        if (!row->figure || row->inner || row->end || *row->metric.parameters)
            return fail(e, SP_USAGE, "metrics: %s: metric_%d=%s: is not a mean of users' values", u->row->metric.name,
                        i, row->metric.name);
        if (!(u->part[i] = NEW(a, Use, 1, e)))
            return false;
        *u->part[i] = (Use){.row = row, .name = row->metric.name, .state = u->state};
    }
    return true;
}

static bool check_values(Use *u, Protocol p, Arena *a, Error *e)
{
    const Metric *m = &u->row->metric;
    const char *relevance = u->value[P_RELEVANCE];
    for (int i = P_FEATURE_DATA; i < PARAMETERS; i++) {
        const char *value = u->value[i];
        bool is_name = strstr(PARAMETER_NAMES[i], "_name") != NULL;
        if (!value && !is_name && m->needs & METRIC_FILE && has_parameter(m, (Parameter)i))
            return fail(e, SP_USAGE, "metrics: %s: %s is missing; write %s:%s=FILE", m->name, PARAMETER_NAMES[i],
                        m->name, PARAMETER_NAMES[i]);
        if (value && is_name && (strlen(value) > 64 || (*value && id_problem(text_of(value)))))
            return fail(e, SP_USAGE, "metrics: %s: %s: at most 64 bytes without control characters are expected",
                        m->name, PARAMETER_NAMES[i]);
    }
    if (relevance && strcmp(relevance, "binary") != 0 && strcmp(relevance, "discounted") != 0)
        return fail(e, SP_USAGE, "metrics: %s: relevance=%.40s: binary or discounted is expected", m->name, relevance);
    if (has_parameter(m, P_METRIC_0) && !read_parts(u, p, a, e))
        return false;
    if (u->value[P_TAIL_RATIO] || has_parameter(m, P_TAIL_RATIO))
        return read_number(u, P_TAIL_RATIO, 1e-9, INT32_MAX, 0.1, e);
    if (has_parameter(m, P_POP_RATIO))
        return read_number(u, P_POP_RATIO, 0, 1, 0.8, e);
    return read_number(u, P_BETA, 0, 1e6, 1, e);
}

static const char *given(const Use *u, Parameter p)
{
    return u->value[p] ? u->value[p] : "";
}

static const char *full_name(const Use *u, const char *system, Arena *a, Error *e)
{
    const char *const *label = u->row->label;
    if (!label[0])
        return arena_printf(a, e, "%s%s", system, u->row->metric.name);
    if (u->part[0])
        return arena_printf(a, e, "%s%s%s%s%s", system, label[0], u->part[0]->name, label[1], u->part[1]->name);
    const char *first = *given(u, P_CLUSTERING_NAME) ? given(u, P_CLUSTERING_NAME) : given(u, P_USER_CLUSTERING_NAME);
    return arena_printf(a, e, "%s%s%s%s%s", system, label[0], first, label[1] ? label[1] : "",
                        label[1] ? given(u, P_ITEM_CLUSTERING_NAME) : "");
}

static bool read_value(Use *u, Text part, Arena *a, Error *e)
{
    Parameter p = parameter_of(part);
    size_t n = strlen(PARAMETER_NAMES[p]) + 1;
    const Metric *m = &u->row->metric;
    if (!has_parameter(m, p))
        return fail(e, SP_USAGE, "metrics: %s has no parameter %s%s%s", m->name, PARAMETER_NAMES[p],
                    *m->parameters ? "; it has " : "", m->parameters);
    if (u->value[p])
        return fail(e, SP_USAGE, "metrics: %s: %s is given twice", m->name, PARAMETER_NAMES[p]);
    return (u->value[p] = arena_strndup(a, part.p + n, part.n - n, e)) != NULL;
}
#endif

bool use_read(Use *u, const char *text, Protocol p, Arena *a, Error *e)
{
    Text rest = text_of(text), name = next_part(&rest), bare = name;
    const char *system;
    if (!(u->row = row_find(name, p)))
        return metric_unknown("metrics: ", text, a, e);
    take_system(&bare, &system);
#ifdef SAPOR_MINIMAL
    u->name = *system ? arena_printf(a, e, "%s%s", system, u->row->metric.name) : u->row->metric.name;
    return u->name != NULL;
#else
    while (rest.n)
        if (!read_value(u, next_part(&rest), a, e))
            return false;
    return check_values(u, p, a, e) && (u->name = full_name(u, system, a, e)) != NULL;
#endif
}

/* ---- configurations -------------------------------------------------------------------------- */

static int compare_up(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool check_cutoffs(const EvalConfig *c, Arena *a, Error *e)
{
    if (c->cutoff_count > MANY_CUTOFFS)
        return fail(e, SP_USAGE, "cutoffs: %zu are given, at most %d are supported", c->cutoff_count, MANY_CUTOFFS);
    int64_t *sorted = NEW(a, int64_t, c->cutoff_count, e);
    for (size_t i = 0; sorted && i < c->cutoff_count; i++) {
        sorted[i] = c->cutoffs[i];
        if (sorted[i] < 1 || sorted[i] > LONGEST_CUTOFF)
            return fail(e, SP_USAGE, "cutoffs: %lld is not a whole number from 1 to %d", (long long)sorted[i],
                        LONGEST_CUTOFF);
    }
    if (!sorted)
        return false;
    qsort(sorted, c->cutoff_count, sizeof *sorted, compare_up);
    for (size_t i = 1; i < c->cutoff_count; i++)
        if (sorted[i] == sorted[i - 1])
            return fail(e, SP_USAGE, "cutoffs: %lld is given twice", (long long)sorted[i]);
    return true;
}

bool measures_check(const EvalConfig *c, Arena *a, Error *e)
{
    TextIndex *names = text_index_new(a, e);
    for (size_t m = 0; names && m < c->metric_count; m++) {
        Use u = {0};
        if (!use_read(&u, c->metrics[m], PROTOCOL_ELLIOT, a, e))
            return false;
        int64_t at = text_index_add(names, text_of(u.name), e);
        if (at >= 0 && at < (int64_t)m)
            return fail(e, SP_USAGE, "metrics: %s is given twice", u.name);
    }
    return e->code == SP_OK && check_cutoffs(c, a, e);
}

#ifdef SAPOR_MINIMAL
/* MINIMAL has no groups. */
bool metrics_expand(const char *const **names, size_t *count, Protocol p, Arena *a, Error *e)
{
    (void)names, (void)count, (void)p, (void)a, (void)e;
    return true;
}
#else
/* Reports whether the metric of this row is one of those that replace the group name `word`. "all" means every group.
 * Never included are metrics that need a file, metrics with a label (Row.label), and rows that protocol p does not use.
 * For "all", metrics that need scores or whole lists are not included either. */
static bool in_group(const Row *r, const char *word, Protocol p)
{
    bool all = !strcasecmp(word, "all");
    unsigned without = METRIC_FILE | (all ? METRIC_SCORES | METRIC_WHOLE : 0);
    return (all || !strcasecmp(word, r->metric.group)) && !(r->metric.needs & without) && !r->label[0] &&
           row_find(text_of(r->metric.name), p) == r;
}

bool metrics_expand(const char *const **names, size_t *count, Protocol p, Arena *a, Error *e)
{
    const char **list = NULL;
    size_t n = 0, room = 0;
    for (size_t m = 0; m < *count; m++) {
        const char *word = (*names)[m];
        bool is_group = false;
        for (size_t i = 0; i <= COUNT(ROWS); i++) {
            bool last = i == COUNT(ROWS), take = last ? !is_group : in_group(&ROWS[i], word, p);
            if (!take)
                continue;
            if (n == room && !(list = arena_grow(a, list, n, &room, sizeof *list, e)))
                return false;
            list[n++] = last ? word : ROWS[i].metric.name;
            is_group = true;
        }
    }
    *names = list;
    *count = n;
    return true;
}
#endif

bool measures_name(const EvalConfig *c, Text name, const char **figure, Arena *a, Error *e)
{
    const Row *row = row_find(name, PROTOCOL_ELLIOT);
    for (size_t m = 0; m < c->metric_count; m++) {
        Use u = {0};
        if (!use_read(&u, c->metrics[m], PROTOCOL_ELLIOT, a, e))
            return false;
        *figure = u.name;
        if (same_name(name, u.name) || (row && !row->label[0] && text_is(text_of(u.name), row->metric.name)))
            return true;
    }
    return false;
}

#ifndef SAPOR_MINIMAL
bool metric_file(Text *rest, Text *path)
{
    while (rest->n) {
        Text part = next_part(rest);
        Parameter p = parameter_of(part);
        if (p < PARAMETERS && (p == P_FEATURE_DATA || strstr(PARAMETER_NAMES[p], "_file"))) {
            size_t n = strlen(PARAMETER_NAMES[p]) + 1;
            *path = (Text){part.p + n, part.n - n};
            return true;
        }
    }
    return false;
}
#endif

unsigned measures_needs(const EvalConfig *c, Protocol p)
{
    unsigned needs = 0;
    for (size_t m = 0; m < c->metric_count; m++) {
        Text rest = text_of(c->metrics[m]), name = next_part(&rest);
        const Row *row = row_find(name, p);
        needs |= row ? row->metric.needs : 0;
#ifndef SAPOR_MINIMAL
        while (rest.n) {
            Text part = next_part(&rest);
            Parameter key = parameter_of(part);
            size_t n = sizeof "metric_0"; /* length of "metric_0=" */
            row = key == P_METRIC_0 || key == P_METRIC_1 ? row_find((Text){part.p + n, part.n - n}, p) : NULL;
            needs |= row ? row->metric.needs : 0;
        }
#endif
    }
    return needs;
}
