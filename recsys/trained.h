/* recsys/trained.h: what a training run learned, and what it answers. */
#ifndef SAPOR_TRAINED_H
#define SAPOR_TRAINED_H

#include "recsys/training.h"

/* What train_run learned, opened to recommend from: a folder that it wrote, or its TrainConfig.keep. Immutable: any
 * number of threads may ask. A run that has not finished is refused, unless `unfinished`: then its best epoch so far
 * answers. */
Trained *trained_open(const Device *d, const char *dir, bool unfinished, Error *e);
Trained *trained_new(const Device *d, Error *e); /* for TrainConfig.keep */
void trained_close(Trained *t);
/* Top k for users (NULL: all), fewer where the items end; an unknown user is SP_USAGE. `visit` is called once per user
 * in order, with k item ids and scores. */
typedef bool RecommendVisit(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e);
bool trained_recommend(Trained *t, const Text *users, size_t n, int64_t k, RecommendVisit *visit, void *arg, Error *e);

/* Answers by number, as sapor.h describes them (answer.c). `d` computes: its threads, its memory for scratch. */
void trained_describe(const Trained *t, sp_recommender_info *info);
const TextIndex *trained_ids(const Trained *t, bool items, int64_t *count);
bool trained_rank(const Trained *t, const Device *d, const int32_t *users, size_t n, size_t k,
                  const sp_recommend_options *o, int32_t *top, float *scores, Error *e);
bool trained_rank_new(const Trained *t, const Device *d, const sp_liked *users, size_t n, size_t k,
                      const sp_recommend_options *o, int32_t *top, float *scores, Error *e);
bool trained_similar(const Trained *t, const Device *d, const int32_t *items, size_t n, size_t k,
                     const sp_recommend_options *o, int32_t *top, float *scores, Error *e);
bool trained_scores(const Trained *t, const Device *d, const int32_t *users, const int32_t *items, size_t n,
                    float *scores, Error *e);
bool trained_vectors(const Trained *t, bool items, const int32_t *numbers, size_t n, float *out, Error *e);
bool trained_fold_users(const Trained *t, const Device *d, const sp_liked *users, size_t n, float *out, Error *e);
/* tape: of an inference on a device that reads the same memory as the one that t was opened on. */
bool trained_fold_items(const Trained *t, Tape *tape, const sp_feature *features, size_t feature_count, size_t n,
                        float *out, Error *e);
/* Figures [metrics, cutoffs] by `truth`, in the arena. */
bool trained_evaluate(const Trained *t, const Device *d, const sp_interactions *truth, const EvalConfig *c,
                      const sp_recommend_options *o, Scores *s, Arena *a, Error *e);

#endif
