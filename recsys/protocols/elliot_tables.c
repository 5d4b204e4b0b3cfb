/* recsys/protocols/elliot_tables.c: Elliot's recommenders: their parameters in the order in which Elliot's names of
 * models have them, the defaults of Elliot's code, and Sapor's settings. Sources: external/models/ of
 * sisinflab/Ducho-meets-Elliot; DGCF: sisinflab/Graph-RSs-Reproducibility; MGCN: sisinflab/Graph-Missing-Modalities;
 * the others: elliot/recommender/. */
// flags: -Os
#include "recsys/protocols/elliot.h"

#include <strings.h>

/* Keys that many recommenders have. */
#define LR(usual)                                                                                                      \
    {                                                                                                                  \
        "lr", "lr", usual, PARAM_FLOAT, "lr", NULL                                                                     \
    }
#define INT(key, usual)                                                                                                \
    {                                                                                                                  \
        key, key, usual, PARAM_INT, key, NULL                                                                          \
    }
#define FLOAT(key, usual)                                                                                              \
    {                                                                                                                  \
        key, key, usual, PARAM_FLOAT, key, NULL                                                                        \
    }
#define MODALITIES                                                                                                     \
    {                                                                                                                  \
        "modalities", "modalites", "('visual','textual')", PARAM_MODALITIES, NULL, NULL                                \
    } /* spelling of Elliot's code */
#define LOADERS                                                                                                        \
    {                                                                                                                  \
        "loaders", "loads", "('VisualAttribute','TextualAttribute')", PARAM_LOADERS, NULL, NULL                        \
    }
#define NORMALIZE                                                                                                      \
    {                                                                                                                  \
        "normalize", "normalize", "True", PARAM_BOOL, NULL, "True"                                                     \
    }
#define SCHEDULE                                                                                                       \
    {                                                                                                                  \
        "lr_sched", "lr_sched", "(0.96,50)", PARAM_SCHEDULE, "lr_decay", NULL                                          \
    }
#define AS_FACTORS(key)                                                                                                \
    {                                                                                                                  \
        key, key, "64", PARAM_INT, NULL, "=factors"                                                                    \
    }
#define END                                                                                                            \
    {                                                                                                                  \
        0                                                                                                              \
    }

static const ElliotParam bprmf[] = {INT("factors", "10"), LR("0.001"), FLOAT("l_w", "0.1"), END};
static const ElliotParam vbpr[] = {INT("factors", "10"),
                                   LR("0.001"),
                                   {"comb_mod", "comb_mod", "concat", PARAM_TEXT, NULL, "concat"},
                                   MODALITIES,
                                   FLOAT("l_w", "0.1"),
                                   LOADERS,
                                   END};
static const ElliotParam lightgcn[] = {
    LR("0.0005"), INT("factors", "64"), FLOAT("l_w", "0.01"), INT("n_layers", "1"), NORMALIZE, END};
static const ElliotParam ngcf[] = {LR("0.0005"),
                                   INT("factors", "64"),
                                   FLOAT("l_w", "0.01"),
                                   INT("n_layers", "3"),
                                   INT("weight_size", "64"),
                                   FLOAT("node_dropout", "0.0"),
                                   FLOAT("message_dropout", "0.5"),
                                   NORMALIZE,
                                   END};
static const ElliotParam ngcfm[] = {LR("0.0005"),
                                    INT("factors", "64"),
                                    FLOAT("l_w", "0.01"),
                                    INT("n_layers", "3"),
                                    MODALITIES,
                                    AS_FACTORS("weight_size"),
                                    FLOAT("node_dropout", "0.0"),
                                    FLOAT("message_dropout", "0.5"),
                                    NORMALIZE,
                                    {"aggregation", "aggregation", "concat", PARAM_TEXT, NULL, "concat"},
                                    LOADERS,
                                    END};
static const ElliotParam sgl[] = {LR("0.0005"),
                                  INT("factors", "64"),
                                  FLOAT("l_w", "0.01"),
                                  INT("n_layers", "1"),
                                  FLOAT("ssl_temp", "0.2"),
                                  FLOAT("ssl_reg", "0.1"),
                                  FLOAT("ssl_ratio", "0.1"),
                                  {"sampling", "sampling", "nd", PARAM_TEXT, "sampling", NULL},
                                  END};
static const ElliotParam simgcl[] = {LR("0.0005"),         INT("factors", "64"),
                                     FLOAT("l_w", "0.01"), FLOAT("reg_cl", "0.01"),
                                     INT("n_layers", "1"), NORMALIZE,
                                     FLOAT("eps", "0.2"),  END};
static const ElliotParam grcn[] = {
    LR("0.0005"),
    INT("factors", "64"),
    FLOAT("l_w", "0.01"),
    INT("num_layers", "3"),
    INT("num_routings", "10"),
    INT("factors_multimod", "64"),
    MODALITIES,
    {"aggregation", "aggr", "concat", PARAM_TEXT, NULL, NULL}, /* Elliot's code does not use it */
    {"weight_mode", "w_mod", "max", PARAM_TEXT, "weight_mode", NULL},
    {"pruning", "prun", "True", PARAM_BOOL, "pruning", NULL},
    {"has_act", "act", "False", PARAM_BOOL, "has_act", NULL},
    {"fusion_mode", "f_mod", "concat", PARAM_TEXT, "fusion_mode", NULL},
    LOADERS,
    END};
static const ElliotParam lattice[] = {LR("0.0005"),
                                      INT("factors", "64"),
                                      FLOAT("l_w", "0.01"),
                                      INT("n_layers", "1"),
                                      INT("n_ui_layers", "3"),
                                      INT("top_k", "100"),
                                      INT("factors_multimod", "64"),
                                      MODALITIES,
                                      FLOAT("l_m", "0.1"),
                                      LOADERS,
                                      END};
static const ElliotParam bm3[] = {LR("0.0005"),
                                  INT("factors", "64"),
                                  AS_FACTORS("multimod_factors"),
                                  FLOAT("reg_weight", "0.01"),
                                  FLOAT("cl_weight", "0.01"),
                                  FLOAT("dropout", "0.1"),
                                  MODALITIES,
                                  INT("n_layers", "1"),
                                  LOADERS,
                                  SCHEDULE,
                                  END};
static const ElliotParam freedom[] = {LR("0.0005"),
                                      INT("factors", "64"),
                                      FLOAT("l_w", "0.01"),
                                      INT("n_layers", "1"),
                                      INT("n_ui_layers", "3"),
                                      INT("top_k", "100"),
                                      AS_FACTORS("factors_multimod"),
                                      MODALITIES,
                                      {"mw", "mw", "(0.1,0.9)", PARAM_WEIGHTS, "mm_image_weight", NULL},
                                      FLOAT("drop", "0.1"),
                                      SCHEDULE,
                                      LOADERS,
                                      END};
static const ElliotParam mmgcn[] = {
    LR("0.0005"),
    INT("factors", "64"),
    FLOAT("l_w", "0.01"),
    {"num_layers", "num_layers", "2", PARAM_INT, "n_layers", NULL},
    {"factors_multimod", "factors_multimod", "(256, None)", PARAM_FIRST, "factors_multimod", NULL},
    MODALITIES,
    {"aggregation", "aggregation", "mean", PARAM_TEXT, NULL, "mean"},
    {"concatenation", "concatenation", "True", PARAM_BOOL, NULL, "True"},
    {"has_id", "has_id", "True", PARAM_BOOL, NULL, "True"},
    LOADERS,
    END};
static const ElliotParam dgcf[] = {
    LR("0.0005"),         INT("factors", "64"), FLOAT("l_w_bpr", "0.01"),       FLOAT("l_w_ind", "0.01"),
    INT("n_layers", "3"), INT("intents", "16"), INT("routing_iterations", "2"), END};
static const ElliotParam mgcn[] = {LR("0.0005"),
                                   INT("factors", "64"),
                                   {"l_w", "l_w", "0.01", PARAM_FLOAT, "reg_weight", NULL},
                                   {"c_l", "c_l", "0.01", PARAM_FLOAT, "cl_loss", NULL},
                                   INT("n_layers", "1"),
                                   INT("n_ui_layers", "3"),
                                   {"top_k", "top_k", "100", PARAM_INT, "knn_k", NULL},
                                   MODALITIES,
                                   SCHEDULE,
                                   LOADERS,
                                   END};
/* parameters that the standard implementation ignores are set only with aiolli: elliot_models.c */
static const ElliotParam knn[] = {{"neighbors", "nn", "40", PARAM_INT, "neighbors", NULL},
                                  {"similarity", "sim", "cosine", PARAM_RAW, "similarity", NULL},
                                  {"implementation", "imp", "standard", PARAM_RAW, "implementation", NULL},
                                  {"implicit", "bin", "False", PARAM_RAW, "implicit", NULL},
                                  {"shrink", "shrink", "0", PARAM_RAW, "shrink", NULL},
                                  {"normalize", "norm", "True", PARAM_RAW, "normalize", NULL},
                                  {"asymmetric_alpha", "asymalpha", "False", PARAM_BLANK, "asymmetric_alpha", NULL},
                                  {"tversky_alpha", "tvalpha", "False", PARAM_BLANK, "tversky_alpha", NULL},
                                  {"tversky_beta", "tvbeta", "False", PARAM_BLANK, "tversky_beta", NULL},
                                  {"row_weights", "rweights", "null", PARAM_BLANK, NULL, "None"},
                                  END};
static const ElliotParam easer[] = {{"neighborhood", "neighborhood", "-1", PARAM_INT, NULL, NULL}, /* not used */
                                    FLOAT("l2_norm", "1000.0"),
                                    END};
static const ElliotParam random_params[] = {{"random_seed", "seed", "42", PARAM_INT, NULL, NULL}, END};
static const ElliotParam no_params[] = {END};

static const ElliotKind kinds[] = {
    {"VBPR", BATCH_PAIRS, vbpr, "uses images alone, with biases", true},
    {"NGCFM", BATCH_USERS, ngcfm, NULL, true},
    {"GRCN", BATCH_USERS, grcn, NULL, true},
    {"LATTICE", BATCH_USERS, lattice, NULL, true},
    {"BM3", BATCH_USERS, bm3, NULL, true},
    {"FREEDOM", BATCH_USERS, freedom, NULL, true},
    {"MMGCN", BATCH_USERS, mmgcn, NULL, true},
    {"MGCN", BATCH_USERS, mgcn, NULL, true},
    {"BPRMF", BATCH_PAIRS, bprmf, "has biases and other regularisation", true},
    {"NGCF", BATCH_USERS, ngcf, "is another implementation", true},
    {"DGCF", BATCH_USERS, dgcf, NULL, true},
    {"LightGCN", BATCH_USERS, lightgcn, "is another implementation", true},
    {"SGL", BATCH_USERS, sgl, NULL, true},
    {"SimGCL", BATCH_USERS, simgcl, NULL, true},
    {"ItemKNN", BATCH_NONE, knn, NULL, false},
    {"UserKNN", BATCH_NONE, knn, NULL, false},
    {"EASER", BATCH_NONE, easer, NULL, false},
    {"MostPop", BATCH_NONE, no_params, NULL, false},
    {"Random", BATCH_NONE, random_params, NULL, false},
};

const ElliotParam *elliot_param(const ElliotKind *kind, size_t i)
{
    static const ElliotParam base[PARAM_OWN] = {
        [PARAM_EPOCHS] = {"epochs", "e", "2", PARAM_INT, "epochs", NULL},
        [PARAM_BATCH] = {"batch_size", "bs", "-1", PARAM_INT, "batch_size", NULL}};
    const ElliotParam *p = i < PARAM_OWN ? &base[i] : &kind->params[i - PARAM_OWN];
    return p->key ? p : NULL;
}

const ElliotKind *elliot_kind(const char *name)
{
    static const char prefix[] = "external.";
    bool external = !strncmp(name, prefix, sizeof prefix - 1);
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (!strcmp(name + (external ? sizeof prefix - 1 : 0), kinds[i].name) &&
            (external ? kinds[i].external : !kinds[i].external || kinds[i].core_difference))
            return &kinds[i];
    return NULL;
}

size_t elliot_kind_names(const char *names[ELLIOT_KINDS], Arena *a, Error *e)
{
    _Static_assert(COUNT(kinds) == ELLIOT_KINDS, "ELLIOT_KINDS");
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (!(names[i] = arena_printf(a, e, "%s%s", kinds[i].external ? "external." : "", kinds[i].name)))
            return 0;
    return COUNT(kinds);
}
