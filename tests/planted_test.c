/* tests/planted_test.c: recommenders learn groups of users and items that are planted in the data. */
#include "recsys/training.h"

#include "tests/testing.h"

enum { GROUPS = 3, MEMBERS = 24, PER_GROUP = 16, TRAINED = 10 };

/* Makes users who like the items of their group: 10 of 16 are in the train part, and the other six must be recommended
 * first. */
static void planted(DataSet *d, Arena *a)
{
    Error e = {0};
    *d = (DataSet){.U = GROUPS * MEMBERS, .I = GROUPS * PER_GROUP, .arena = a};
    Pairs *part[] = {&d->train, &d->test};
    for (int p = 0; p < 2; p++) {
        part[p]->start = NEW(a, int64_t, d->U + 1, &e);
        part[p]->item = NEW(a, int32_t, d->U * PER_GROUP, &e);
    }
    for (int64_t u = 0; u < d->U; u++) {
        bool known[PER_GROUP] = {false}, taken[PER_GROUP] = {false};
        int32_t picked[TRAINED];
        draw_subset((Draw){6, DRAW_TEST, 0}, (uint64_t)u * PER_GROUP, PER_GROUP, TRAINED, picked, taken);
        for (int i = 0; i < TRAINED; i++)
            known[picked[i]] = true;
        for (int i = 0; i < PER_GROUP; i++)
            part[!known[i]]->item[part[!known[i]]->count++] = (int32_t)(u / MEMBERS * PER_GROUP + i);
        for (int p = 0; p < 2; p++)
            part[p]->start[u + 1] = part[p]->count;
    }
}

/* The contrastive loss has a small weight, because it separates the users of a group. */
static void groups_are_learned(void **state)
{
    (void)state;
    Error e = {0};
    Device d;
    Arena *a = arena_new(NULL, 0);
    assert_ok(device_open(&d, NULL, 2, NULL, NULL, &e), e);
    static const struct {
        const char *model, *variant, *more;
    } cases[] = {
        {"SGL", "variant=elliot", "sampling=ed"},   {"SGL", "variant=paper", "sampling=rw"},
        {"SGL", "variant=elliot", "sampling=nd"},   {"SimGCL", "variant=elliot", "reg_cl=0.01"},
        {"SimGCL", "variant=paper", "reg_cl=0.01"}, {"DGCF", "variant=elliot", "intents=4"},
        {"DGCF", "variant=paper", "intents=8"},     {"BPRMF", "variant=paper", "lr=0.05"},
        {"LightGCN", "variant=paper", "l_w=1e-4"},  {"NGCF", "variant=paper", "n_layers=2"},
    };
    DataSet data;
    planted(&data, a);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *set[] = {cases[i].variant, "epochs=20", "validation_rate=20",         "batch_size=64", "lr=0.01",
                             "metrics=Recall", "cutoffs=6", "validation_metric=Recall@6", cases[i].more};
        TrainConfig c = {.model = cases[i].model, .given = &data, .set = set, .set_count = COUNT(set), .seed = 3};
        TrainResult r;
        assert_ok(train_run(&d, &c, &r, a, &e), e);
        double recall = score_of(&r.test, "Recall", 6);
        printf("  %-8s %-14s %-14s Recall@6 %.3f\n", cases[i].model, cases[i].variant, cases[i].more, recall);
        assert_true(recall > 0.9); /* a random order has .16 */
    }
    arena_free(a);
    device_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(groups_are_learned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
