/* recsys/models/models.h: what the recommenders share. Registry: one line a model in recsys/registry.c. */
#ifndef SAPOR_MODELS_H
#define SAPOR_MODELS_H

#include <float.h>

#include "recsys/recsys.h"

/* Whether the setting `variant` says mmrec, not elliot (recipes.md 7). The default follows the protocol. */
bool is_mmrec(const Model *m);
enum { MOST_LAYERS = 1000 };
/* Rows that several tables of settings have; S is the recommender's struct, with the member that the row names. */
#define VARIANT_SETTING                                                                                                \
    {                                                                                                                  \
        "variant", "elliot", "mmrec", "the recipe to follow: elliot or mmrec",                                         \
            WORD_OF(CommonSettings, variant, protocol_names), 0, 0, NULL                                               \
    }
#define FACTORS_SETTING(S)                                                                                             \
    {                                                                                                                  \
        "factors", "64", "64", "length D of the embeddings", I64_OF(S, factors), 1, INT32_MAX,                         \
            ALIASES({"embedding_size", NULL, ALIAS_SAME, 0})                                                           \
    }
/* reg_weight is MMRec's; Elliot's l_w weighs halves of squares. */
#define L_W_SETTING(S, elliot, mmrec)                                                                                  \
    {                                                                                                                  \
        "l_w", elliot, mmrec, "weight of the regularisation", F64_OF(S, l_w), 0, FLT_MAX,                              \
            ALIASES({"reg_weight", REG_WEIGHT_INSTEAD, ALIAS_VARIANT_MMREC, 0})                                        \
    }
#define REG_WEIGHT_INSTEAD                                                                                             \
    "set variant=mmrec, whose recipe has this setting, or set l_w, the weight in the recipe of variant elliot"

/* l_w as each system means it, on the batch's rows x[0..n): elliot and LATTICE, l_w/2 sum of squares / B; MMRec's
 * EmbLoss, l_w sum of Frobenius norms / B. Returns loss + that. */
Tensor *add_l2(Tape *t, Tensor *loss, double l_w, int n, Tensor *const *x, int64_t B);
Tensor *add_norms(Tape *t, Tensor *loss, double l_w, int n, Tensor *const *x, int64_t B);

/* A data set's features as a constant [I, D]: a view, not a copy, where the file allows. */
Tensor *feature_tensor(Model *m, const Feature *f, Error *e);

#endif
