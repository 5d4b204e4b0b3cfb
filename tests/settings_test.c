/* tests/settings_test.c: settings under the names of MMRec, RecBole and Elliot. A setting with the same meaning is
 * accepted; others are refused, and the error says which setting to use. Also values parsed into typed structs, and
 * other names of recommenders. */
#include "recsys/recsys.h"

#include "tests/testing.h"

#include <strings.h>

#define ELLIOT PROTOCOL_ELLIOT
#define MMREC  PROTOCOL_MMREC

static const CommonSettings *make(const char *model, Protocol p, const char *words, Arena *a, Error *e)
{
    const char *set[8];
    size_t n = 0;
    for (Text rest = text_of(words), word; text_next(&rest, ';', &word);)
        set[n++] = arena_strndup(a, word.p, word.n, e);
    return settings_make(recommender_find(model), p, set, n, a, e);
}

static void names_that_mean_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        Protocol p;
        const char *set, *key, *value, *alias;
    } cases[] = {
        {"BPR", ELLIOT, "learning_rate=0.01", "lr", "0.01", "learning_rate"},
        {"BPR", ELLIOT, "lr=0.01", "lr", "0.01", NULL},
        {"BPR", MMREC, "reg_weight=0.1", "l_w", "0.1", "reg_weight"},
        {"BPR", ELLIOT, "reg_weight=0.1;variant=mmrec", "l_w", "0.1", "reg_weight"},
        {"VBPR", MMREC, "embedding_size=32", "factors", "32", "embedding_size"},
        {"LightGCN", MMREC, "reg_weight=1e-4", "l_w", "1e-4", "reg_weight"},
        {"LATTICE", MMREC, "feat_embed_dim=48", "factors_multimod", "48", "feat_embed_dim"},
        {"LATTICE", MMREC, "knn_k=7", "top_k", "7", "knn_k"},
        {"LATTICE", ELLIOT, "knn_k=7", "top_k", "7", "knn_k"},
        {"LATTICE", ELLIOT, "top_k=7", "top_k", "7", NULL},
        {"FREEDOM", ELLIOT, "reg_weight=0.1", "l_w", "0.1", "reg_weight"},
        {"FREEDOM", MMREC, "dropout=0.9", "drop", "0.9", "dropout"},
        {"FREEDOM", MMREC, "n_mm_layers=2", "n_layers", "2", "n_mm_layers"},
        {"LATTICE", MMREC, "lambda_coeff=0.5", "l_m", "0.5", "lambda_coeff"},
        {"LATTICE", MMREC, "learning_rate_scheduler=[0.9, 50]", "lr_decay", "0.9", "learning_rate_scheduler"},
        {"GRCN", MMREC, "latent_embedding=48", "factors_multimod", "48", "latent_embedding"},
        {"MMGCN", ELLIOT, "num_layers=4", "n_layers", "4", "num_layers"},
        {"MMGCN", ELLIOT, "reg_weight=0.5", "l_w", "0.5", "reg_weight"},
        {"BPR", MMREC, "learning_rate_scheduler=0.9,50", "lr_decay", "0.9", "learning_rate_scheduler"},
        {"BM3", ELLIOT, "lr_sched=(1.0,50)", "lr_decay", "1.0", "lr_sched"},
        {"ItemKNN", ELLIOT, "k=100", "neighbors", "100", "k"},
        {"SGL", MMREC, "ssl_tau=0.5", "ssl_temp", "0.5", "ssl_tau"},
        {"DGCF", ELLIOT, "n_factors=8", "intents", "8", "n_factors"},
        {"DGCF", MMREC, "cor_weight=0.1", "l_w_ind", "0.1", "cor_weight"},
        {"ItemKNN", ELLIOT, "implicit=True", "implicit", "true", NULL},
        {"UserKNN", ELLIOT, "k=100", "neighbors", "100", "k"},
        {"AttributeItemKNN", MMREC, "k=100", "neighbors", "100", "k"},
        {"EASE", ELLIOT, "reg_weight=250.0", "l2_norm", "250.0", "reg_weight"},
        {"BPR", MMREC, "train_batch_size=512", "batch_size", "512", "train_batch_size"},
        {"BPR", MMREC, "stopping_step=5", "patience", "5", "stopping_step"},
        {"BPR", MMREC, "eval_step=2", "validation_rate", "2", "eval_step"},
        {"BPR", MMREC, "valid_metric=NDCG@10", "validation_metric", "NDCG@10", "valid_metric"},
        {"BPR", MMREC, "topk=[5, 10]", "cutoffs", "5,10", "topk"},
        {"BPR", MMREC, "metrics=[\"Recall\", \"NDCG\"]", "metrics", "Recall,NDCG", NULL},
        {"BPR", ELLIOT, "simple_metrics=[Recall, nDCG]", "metrics", "Recall,nDCG", "simple_metrics"},
    };
    Arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        const CommonSettings *s = make(cases[i].model, cases[i].p, cases[i].set, a, &e);
        if (!s)
            fail_msg("%s: %s", cases[i].set, e.message);
        for (size_t k = 0; k < settings_count(s); k++) {
            bool given = !strcmp(settings_key(s, k), cases[i].key);
            const char *alias = given ? cases[i].alias : NULL;
            if (given)
                assert_string_equal(settings_value(s, k), cases[i].value);
            if (!alias)
                assert_null(settings_alias(s, k));
            else
                assert_string_equal(settings_alias(s, k), alias);
        }
    }
    arena_free(a);
}

static void names_that_do_not(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        Protocol p;
        const char *set, *why;
    } cases[] = {
        {"BPR", ELLIOT, "reg_weight=0.1", "set variant=mmrec"},
        {"BPR", MMREC, "reg_weight=0.1;variant=elliot", "or set l_w"},
        {"NGCF", MMREC, "reg_weight=0.1", "set l_w"},
        {"NGCF", ELLIOT, "hidden_size_list=[64, 64, 64]", "weight_size=64 n_layers=3"},
        {"LATTICE", MMREC, "weight_size=[64, 64]", "set n_ui_layers"},
        {"NGCFM", ELLIOT, "weight_size=64", "set factors"},
        {"NGCFM", MMREC, "reg_weight=1", "set l_w"},
        {"GRCN", MMREC, "n_layers=3", "set num_layers"},
        {"GRCN", ELLIOT, "reg_weight=1", "set variant=mmrec"},
        {"MMGCN", ELLIOT, "has_id=true", "leave it out"},
        {"LATTICE", MMREC, "cf_model=gcn", "cf_model=gcn: lightgcn, ngcf or mf is expected"},
        {"FREEDOM", ELLIOT, "mw=(0.1,0.9)", "set mm_image_weight"},
        {"BM3", ELLIOT, "l_w=0.1", "set reg_weight"},
        {"BM3", MMREC, "use_neg_sampling=False", "or none (BM3)"},
        {"BM3", ELLIOT, "variant=mmrec", "one recipe"},
        {"BPR", ELLIOT, "stopping_step=5", "patience=N+1"},
        {"BPR", MMREC, "stopping_step=0", "N at least 1"},
        {"BPR", ELLIOT, "early_stopping={patience: 5}", "set patience=N"},
        {"BPR", ELLIOT, "top_k=20", "set cutoffs"},
        {"BPR", MMREC, "learning_rate_scheduler=[0.96, 10]", "set lr_decay"},
        {"BPR", MMREC, "learning_rate_scheduler=0.96", "set lr_decay"},
        {"FREEDOM", ELLIOT, "lr_sched=(0.96,10)", "set lr_decay"},
        {"BPR", MMREC, "seed=999", "use --seed N instead"},
        {"BPR", MMREC, "learner=sgd", "Adam"},
        {"LightGCN", ELLIOT, "normalize=True", "leave it out"},
        {"ItemKNN", ELLIOT, "row_weights=[1, 2]", "ratings have no weights"},
        {"UserKNN", ELLIOT, "knn_method=user", "ItemKNN compares items, UserKNN users"},
        {"ItemKNN", ELLIOT, "asymmetric_alpha=1.5", "asymmetric_alpha=1.5: must be at most 1"},
        {"EASER", ELLIOT, "neighborhood=100", "Elliot reads it and does not use it"},
        {"AttributeItemKNN", ELLIOT, "loader=ItemAttributes", "by --features"},
        {"AttributeItemKNN", ELLIOT, "similarity=pearson", "cosine, dot, euclidean, manhattan, jaccard or dice"},
        {"BPR", ELLIOT, "lr=0.1;learning_rate=0.2", "lr and learning_rate are the same setting"},
        {"BPR", MMREC, "train_batch_size=2;batch_size=2", "train_batch_size and batch_size are the same setting"},
        {"BPR", MMREC, "learning_rate=fast", "a number"},
        {"BPR", MMREC, "embedding_size=0", "factors=0: must be at least 1"},
        {"BPR", MMREC, "knn_k=7", "unknown setting knn_k"},
        {"ItemKNN", MMREC, "embedding_size=7", "unknown setting embedding_size; choose one of lr, "},
        {"BPR", MMREC, "epoch=3", "unknown setting epoch; did you mean \"epochs\"?"},
        {"LATTICE", MMREC, "l_x=3", "unknown setting l_x; did you mean \"l_m\" or \"l_w\"?"},
        {"ItemKNN", MMREC, "similarity=euclid", "similarity=euclid: cosine, dot, euclidean, manhattan, "},
        {"ItemKNN", MMREC, "implicit=yes", "implicit=yes: true or false is expected"},
        {"VBPR", MMREC, "variant=paper", "variant=paper: elliot or mmrec is expected"},
        {"BPR", MMREC, "variant=other", "variant=other: elliot, mmrec or paper is expected"},
        {"SGL", MMREC, "variant=mmrec", "variant=mmrec: elliot or paper is expected"},
        {"BPR", MMREC, "reg_weight=0.1;variant=paper", "or set l_w"},
        {"SGL", MMREC, "reg_weight=0.1", "set l_w"},
        {"SGL", MMREC, "type=ED", "set sampling"},
        {"DGCF", MMREC, "reg_weight=0.1", "set l_w_bpr"},
        {"NGCF", ELLIOT, "node_dropout=1.0", "node_dropout=1.0: must be below 1"},
        {"NGCF", ELLIOT, "message_dropout=1.5", "must be below 1"},
        {"NGCF", ELLIOT, "message_dropout=0.99999999", "must be below 1"}, /* it is 1 in float32 */
        {"NGCF", ELLIOT, "n_layers=1001", "n_layers=1001: must be at most 1000"},
        {"BPR", MMREC, "batch_size=2147483648", "must be at most 2147483647"},
        {"BPR", MMREC, "epochs=2.5", "epochs=2.5: a whole number is expected (such as 1000)"},
        {"BPR", MMREC, "lr=nan", "lr=nan: a number is expected (such as 0.001)"},
        {"BPR", MMREC, "lr=", "lr=: a number is expected (such as 0.001)"},
        {"BPR", MMREC, "epochs=", "epochs=: a whole number is expected"},
        {"BPR", MMREC, "lr=-1", "lr=-1: must be at least 0"},
        {"LATTICE", MMREC, "mess_dropout=[0.1, 0.1]",
         "mess_dropout=[0.1, 0.1]: is a list; Sapor uses one number: set mess_dropout=0.1"},
        {"NGCF", MMREC, "message_dropout=(0.25)", "is a list; Sapor uses one number: set message_dropout=0.25"},
        {"LATTICE", MMREC, "n_layers=[ 2, 3]", "is a list; Sapor uses one number: set n_layers=2"},
        {"LATTICE", MMREC, "mess_dropout=[]", "mess_dropout=[]: a list; one number is expected"},
        {"LATTICE", MMREC, "mess_dropout=[x", "a list; one number is expected"},
        {"BPR", MMREC, "cutoffs=10,x", "cutoffs=10,x: \"x\" is not a whole number"},
    };
    Arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        if (make(cases[i].model, cases[i].p, cases[i].set, a, &e))
            fail_msg("%s is accepted", cases[i].set);
        assert_int_equal(e.code, SP_USAGE);
        if (!strstr(e.message, cases[i].why))
            fail_msg("%s: '%s' does not say '%s'", cases[i].set, e.message, cases[i].why);
    }
    arena_free(a);
}

/* The recommender of this test, with a setting of each kind. */
typedef struct KindSettings {
    CommonSettings common;
    int64_t count;
    double rate;
    bool flag;
    int word;
    const char *text;
    I64List sizes;
    TextList names;
} KindSettings;
static const char *const words[] = {"first", "second", "third"};
static const Setting kind_settings[] = {
    {"lr", "0.5", "0.25", "a default of its own", F64_OF(KindSettings, common.lr), 0, 1, NULL},
    {"count", "3", "4", "", I64_OF(KindSettings, count), -1, 9, NULL},
    {"rate", "0.5", "1.5", "", F64_OF(KindSettings, rate), 0, 2, NULL},
    {"flag", "true", "false", "", BOOL_OF(KindSettings, flag), 0, 0, NULL},
    {"word", "first", "third", "", WORD_OF(KindSettings, word, words), 0, 0, NULL},
    {"text", "a", "b", "", TEXT_OF(KindSettings, text), 0, 0, NULL},
    {"sizes", "64", "64,32", "", I64S_OF(KindSettings, sizes), 0, 0, NULL},
    {"names", "x", "y,z", "", TEXTS_OF(KindSettings, names), 0, 0, NULL},
    {0},
};

static void values_are_parsed_once(void **state)
{
    (void)state;
    static const Recommender kind = {.name = "Kinds", .settings = kind_settings, .settings_size = sizeof(KindSettings)};
    static const char *const set[] = {"count=-1", "rate=2",         "flag=True",    "word=second",
                                      "text=c d", "sizes=[1, 2,3]", "names=p, 'q'", "epochs=7"};
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    const KindSettings *s = (const KindSettings *)settings_make(&kind, MMREC, NULL, 0, a, &e);
    assert_ok(s, e);
    assert_true(s->common.lr == 0.25 && s->count == 4 && s->rate == 1.5 && !s->flag && s->word == 2);
    assert_true(s->common.epochs == 1000 && s->common.variant == PROTOCOL_MMREC && s->common.lr_decay == 1);
    assert_string_equal(s->text, "b");
    assert_true(s->sizes.count == 2 && s->sizes.at[0] == 64 && s->sizes.at[1] == 32);
    assert_true(s->names.count == 2 && !strcmp(s->names.at[1], "z"));
    s = (const KindSettings *)settings_make(&kind, ELLIOT, set, COUNT(set), a, &e);
    assert_ok(s, e);
    assert_true(s->common.lr == 0.5 && s->count == -1 && s->rate == 2 && s->flag && s->word == 1);
    assert_true(s->common.epochs == 7 && s->common.variant == PROTOCOL_ELLIOT);
    assert_string_equal(s->text, "c d");
    assert_true(s->sizes.count == 3 && s->sizes.at[2] == 3 && s->names.count == 2 && !strcmp(s->names.at[1], "q"));
    assert_string_equal(settings_text(&s->common, offsetof(KindSettings, sizes)), "1,2,3");
    static const struct {
        const char *set, *why;
    } wrong[] = {{"count=10", "setting count=10: must be at most 9"},
                 {"count=-2", "setting count=-2: must be at least -1"},
                 {"rate=2.5", "setting rate=2.5: must be at most 2"},
                 {"word=fourth", "setting word=fourth: first, second or third is expected"},
                 {"lr=2", "setting lr=2: must be at most 1"}};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        Error refused = {0};
        assert_null(settings_make(&kind, ELLIOT, &wrong[i].set, 1, a, &refused));
        assert_error(refused, SP_USAGE, wrong[i].why);
    }
    static const Recommender forgotten = {.name = "Forgotten", .settings = kind_settings};
    Error refused = {0};
    assert_null(settings_make(&forgotten, ELLIOT, NULL, 0, a, &refused));
    assert_error(refused, SP_USAGE, "Forgotten: setting count is not in a struct of settings_size 0");
    arena_free(a);
}

/* Checks that variant paper has the defaults of elliot, except those of paper_settings, and that a given value replaces
 * a default. */
static void defaults_of_the_paper(void **state)
{
    (void)state;
    static const struct {
        const char *set, *key, *value;
    } cases[] = {
        {"variant=paper", "lr", "0.05"},       {"variant=paper", "l_w", "0.0025"}, {"variant=paper", "factors", "64"},
        {"variant=paper;lr=0.5", "lr", "0.5"}, {"variant=elliot", "lr", "0.001"},  {"variant=mmrec", "l_w", "1e-2"},
        {"variant=paper", "batch_size", "1"},  {"variant=paper", "cutoffs", "20"},
    };
    Arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        const CommonSettings *s = make("BPRMF", ELLIOT, cases[i].set, a, &e);
        assert_ok(s, e);
        for (size_t k = 0; k < settings_count(s); k++)
            if (!strcmp(settings_key(s, k), cases[i].key))
                assert_string_equal(settings_value(s, k), cases[i].value);
    }
    static const Recommender wrong = {.name = "Wrong",
                                      .settings = kind_settings,
                                      .settings_size = sizeof(KindSettings),
                                      .paper_settings = "counts=1"};
    static const char *const set[] = {"variant=paper"};
    Error e = {0};
    assert_null(settings_make(&wrong, ELLIOT, set, 1, a, &e));
    assert_error(e, SP_USAGE, "Wrong has no setting counts, named in its paper_settings");
    arena_free(a);
}

/* Checks every name in the systems' own configurations (overall.yaml and the models' files of MMRec and RecBole, the
 * documentation of Elliot): it is accepted, or refused with advice, and never unknown. */
static void no_name_is_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *model, *names;
    } cases[] = {
        {"BPR",
         "gpu_id use_gpu seed data_path inter_splitting_label filter_out_cod_start_users is_multimodal_model "
         "checkpoint_dir "
         "save_recommended_topk recommend_topk embedding_size weight_decay req_training epochs stopping_step "
         "train_batch_size learner learning_rate learning_rate_scheduler eval_step training_neg_sample_num "
         "use_neg_sampling use_full_sampling NEG_PREFIX USER_ID_FIELD ITEM_ID_FIELD TIME_FIELD field_separator metrics "
         "topk valid_metric eval_batch_size use_raw_features end2end hyper_parameters reg_weight clip_grad_norm "
         "max_txt_len max_img_size vocab_size type_vocab_size hidden_size pad_token_id max_position_embeddings "
         "layer_norm_eps hidden_dropout_prob user_graph_dict_file inter_file_name vision_feature_file "
         "text_feature_file"},
        {"BPR",
         "worker state reproducibility show_progress save_dataset dataset_save_path save_dataloaders "
         "dataloaders_save_path log_wandb wandb_project shuffle train_neg_sample_args loss_decimal_place require_pow "
         "enable_amp enable_scaler transform eval_args repeatable valid_metric_bigger metric_decimal_place"},
        {"BPR",
         "backend dataset data_config side_information prefiltering splitting negative_sampling binarize random_seed "
         "align_side_with_train top_k cutoffs simple_metrics complex_metrics relevance_threshold paired_ttest "
         "wilcoxon_test gpu hyper_opt_alg hyper_max_evals verbose save_weights save_recs validation_rate "
         "validation_metric restore optimize_internal_loss batch_size early_stopping lr l_w l_b factors"},
        {"VBPR", "modalities loaders comb_mod embedding_size reg_weight factors lr l_w"},
        {"LATTICE",
         "embedding_size feat_embed_dim weight_size lambda_coeff reg_weight cf_model mess_dropout n_layers knn_k "
         "n_ui_layers top_k l_m factors_multimod modalities loaders"},
        {"FREEDOM",
         "embedding_size feat_embed_dim weight_size lambda_coeff reg_weight n_mm_layers n_ui_layers knn_k "
         "mm_image_weight dropout lr factors l_w n_layers top_k factors_multimod modalities loaders mw drop lr_sched"},
        {"BM3", "embedding_size feat_embed_dim n_layers dropout reg_weight cl_weight use_neg_sampling multimod_factors "
                "modalities loaders lr_sched"},
        {"MGCN",
         "embedding_size n_ui_layers n_layers learning_rate_scheduler lambda_coeff reg_weight knn_k learning_rate "
         "cl_loss"},
        {"LightGCN", "embedding_size n_layers reg_weight normalize"},
        {"NGCF",
         "embedding_size hidden_size_list node_dropout message_dropout reg_weight weight_size n_layers normalize"},
        {"NGCF-M", "n_layers factors weight_size node_dropout message_dropout modalities loaders normalize l_w lr"},
        {"GRCN", "num_layers num_routings factors factors_multimod aggregation weight_mode pruning has_act fusion_mode "
                 "modalities loaders embedding_size latent_embedding n_layers reg_weight lr l_w"},
        {"MMGCN",
         "factors num_layers factors_multimod modalities loaders aggregation concatenation has_id embedding_size "
         "n_layers reg_weight l_w"},
        {"SGL", "embedding_size type n_layers ssl_tau reg_weight ssl_weight drop_ratio ssl_temp ssl_reg ssl_ratio "
                "sampling l_w"},
        {"SimGCL", "factors l_w reg_cl n_layers normalize eps"},
        {"DGCF", "embedding_size n_factors n_iterations n_layers reg_weight cor_weight l_w_bpr l_w_ind intents "
                 "routing_iterations"},
        {"ItemKNN",
         "k shrink knn_method neighbors similarity implementation implicit normalize asymmetric_alpha tversky_alpha "
         "tversky_beta row_weights"},
        {"UserKNN",
         "neighbors similarity implementation implicit normalize shrink asymmetric_alpha tversky_alpha tversky_beta "
         "row_weights"},
        {"AttributeItemKNN", "neighbors similarity implicit loader"},
        {"EASE", "neighborhood l2_norm reg_weight"},
    };
    Arena *a = arena_new(NULL, 0);
    for (size_t i = 0; i < COUNT(cases); i++)
        for (Text rest = text_of(cases[i].names), name; text_next(&rest, ' ', &name);) {
            Error e = {0};
            const char *set = arena_printf(a, &e, "%.*s=x", (int)name.n, name.p);
            if (!make(cases[i].model, MMREC, set, a, &e) && strstr(e.message, "unknown setting"))
                fail_msg("%s: %s", cases[i].model, e.message);
        }
    arena_free(a);
}

/* Checks that a name means one setting of a recommender, and that it is not the key of another setting of the same
 * recommender. */
static void no_name_stands_for_two(void **state)
{
    (void)state;
    for (size_t r = 0; r < recommender_count(); r++) {
        const Recommender *kind = recommender_at(r);
        const Setting *all[64];
        size_t n = 0;
        for (const Setting *s = kind->settings; s && s->key; s++)
            all[n++] = s;
        for (const Setting *s = common_settings; s->key; s++) {
            bool own = false;
            for (const Setting *o = kind->settings; o && o->key; o++)
                own = own || !strcmp(o->key, s->key);
            if (!own)
                all[n++] = s;
        }
        for (size_t i = 0; i < n; i++)
            for (const Alias *x = all[i]->aliases; x && x->name; x++)
                for (size_t k = 0; k < n; k++) {
                    assert_true(x->use == ALIAS_REFUSED || strcmp(x->name, all[k]->key) != 0);
                    for (const Alias *y = all[k]->aliases; y && y->name; y++)
                        assert_true(x == y || strcmp(x->name, y->name) != 0);
                }
    }
}

static const Setting *common_of(const char *key)
{
    const Setting *s = common_settings;
    while (s->key && strcmp(s->key, key) != 0)
        s++;
    return s->key ? s : NULL;
}

/* Checks what the author of a new recommender may forget: a function that a run calls; a member of its struct for each
 * setting; a member that two settings share; defaults within the bounds under each protocol and variant. */
static void recommenders_are_complete(void **state)
{
    (void)state;
    Arena *a = arena_new(NULL, 0);
    for (size_t r = 0; r < recommender_count(); r++) {
        const Recommender *kind = recommender_at(r);
        const Setting *variant = NULL;
        assert_true(kind->name && kind->paper && kind->sampling && kind->init);
        assert_true((kind->represent != NULL) != (kind->score != NULL));
        assert_true(!kind->loss || !kind->step);
        assert_true((kind->arrays != NULL) == (kind->restore != NULL) && (kind->score || !kind->arrays));
        for (const Setting *s = kind->settings; s && s->key; s++) {
            const Setting *common = common_of(s->key);
            variant = !strcmp(s->key, "variant") ? s : variant;
            assert_true(s->elliot && s->mmrec && s->about && s->about[0]);
            if (common && s->member.at != common->member.at)
                fail_msg("%s: setting %s is not the member that trains with it", kind->name, s->key);
            for (const Setting *o = kind->settings; o < s; o++)
                if (!strcmp(o->key, s->key) || o->member.at == s->member.at)
                    fail_msg("%s: settings %s and %s have one key or one member", kind->name, o->key, s->key);
        }
        static const char *const variants[VARIANT_COUNT] = {"variant=elliot", "variant=mmrec", "variant=paper"};
        for (Protocol p = ELLIOT; p <= MMREC; p++)
            for (int v = 0; v <= VARIANT_COUNT; v++) {
                Error e = {0};
                bool known = variant && v < (int)variant->member.word_count && variant->member.words[v];
                const Model m = {.kind = kind,
                                 .settings = settings_make(kind, p, &variants[v % VARIANT_COUNT], known, a, &e)};
                assert_ok(m.settings, e);
                assert_true(!known || ((const CommonSettings *)m.settings)->variant == v);
                assert_true(kind->loss || kind->step || kind->sampling(&m) == SAMPLE_NONE);
            }
        assert_true(!kind->paper_settings || (variant && variant->member.word_count > VARIANT_PAPER));
    }
    arena_free(a);
}

static void recommenders_under_other_names(void **state)
{
    (void)state;
    assert_string_equal(recommender_find("BPR")->name, "BPRMF");
    assert_string_equal(recommender_find("bpr")->name, "BPRMF");
    assert_string_equal(recommender_find("Pop")->name, "MostPop");
    assert_string_equal(recommender_find("external.VBPR")->name, "VBPR");
    assert_null(recommender_find("external."));
    assert_null(recommender_find("BP"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_mean_the_same),  cmocka_unit_test(names_that_do_not),
        cmocka_unit_test(values_are_parsed_once),    cmocka_unit_test(defaults_of_the_paper),
        cmocka_unit_test(no_name_is_unknown),        cmocka_unit_test(no_name_stands_for_two),
        cmocka_unit_test(recommenders_are_complete), cmocka_unit_test(recommenders_under_other_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
