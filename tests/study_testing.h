/* tests/study_testing.h: shared by tests of searches: a small study, rows of a ledger. */
#ifndef SAPOR_STUDY_TESTING_H
#define SAPOR_STUDY_TESTING_H

#include "tests/run_testing.h"

#include "recsys/search/search.h"

/* A temporary folder with small data, and a study of two models. The grid of each model has four points, and each point
 * has two seeds. */
typedef struct StudyFixture {
    Arena *arena;
    Device device;
    char folder[256], train[300], test[300], out[300];
    StudyData data;
    StudyModel models[2];
    Study study;
} StudyFixture;

static inline void study_fixture(StudyFixture *b)
{
    static const char *const FACTORS[] = {"4", "8"}, *const RATES[] = {"0.01", "0.001"};
    static const Dimension DIMS[] = {{.key = "factors", .values = FACTORS, .count = 2},
                                     {.key = "lr", .values = RATES, .count = 2}};
    static const char *const SET[] = {"epochs=4", "validation_rate=2", "checkpoint_seconds=0"};
    static const uint64_t SEEDS[] = {1, UINT64_MAX};
    static const char *const METRICS[] = {"Recall", "nDCG"};
    static const int64_t CUTOFFS[] = {3, 5};
    static const char *const NAMES[] = {"BPRMF", "external.LightGCN"};
    Error e = {0};
    *b = (StudyFixture){.arena = arena_new(NULL, 0)};
    assert_ok(device_open(&b->device, NULL, 1, NULL, NULL, &e), e);
    test_folder(b->folder);
    snprintf(b->train, sizeof b->train, "%s/train.tsv", b->folder);
    snprintf(b->test, sizeof b->test, "%s/test.tsv", b->folder);
    snprintf(b->out, sizeof b->out, "%s/out", b->folder);
    write_data(b->train, 0, 3);
    write_data(b->test, 3, 1);
    b->data = (StudyData){.name = "toy", .setting = "", .fold = ""};
    b->data.config = (DataConfig){.train = b->train, .valid = b->test, .test = b->test};
    for (size_t i = 0; i < 2; i++)
        b->models[i] = (StudyModel){.name = NAMES[i],
                                    .kind = recommender_find(NAMES[i]),
                                    .set = SET,
                                    .set_count = COUNT(SET),
                                    .dims = DIMS,
                                    .dim_count = 2,
                                    .seeds = SEEDS,
                                    .seed_count = 2};
    b->study = (Study){.name = "toys",
                       .system = "benchmark",
                       .source = "toys.yml",
                       .out = b->out,
                       .data = &b->data,
                       .data_count = 1,
                       .models = b->models,
                       .model_count = 2,
                       .eval = {METRICS, 2, CUTOFFS, 2},
                       .metric = "Recall",
                       .cutoff = 5};
}

static inline void study_fixture_end(StudyFixture *b)
{
    test_folder_remove(b->folder);
    device_close(&b->device);
    arena_free(b->arena);
}

/* Trains the remaining trials of a share in this process. Returns the number of trials. */
static inline int study_all(StudyFixture *b, TrialShare share)
{
    Error e = {0};
    Trial t;
    TrialRow row;
    TrialOutcome outcome;
    bool found = true;
    int n = 0;
    StudyRun *r = study_open(&b->study, share, b->arena, &e);
    assert_ok(r, e);
    while (found) {
        assert_ok(study_next(r, &t, &found, &e), e);
        if (!found)
            break;
        assert_ok(study_trial(&b->device, &b->study, &t, NULL, NULL, &outcome, &row, b->arena, &e), e);
        assert_int_not_equal(outcome, OUTCOME_BUSY);
        study_over(r, &t);
        n++;
    }
    study_close(r);
    return n;
}

static inline Ledger *study_ledger_of(StudyFixture *b)
{
    Error e = {0};
    char path[400];
    snprintf(path, sizeof path, "%s/ledger.sqlite", b->out);
    Ledger *l = ledger_open(path, &e);
    assert_ok(l, e);
    return l;
}

#endif
