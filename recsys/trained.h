/* recsys/trained.h: the result of a training run, and the questions that it answers. */
#ifndef SAPOR_TRAINED_H
#define SAPOR_TRAINED_H

#include "recsys/training.h"

/* Opens a folder that train_run wrote, for recommendations. trained_new makes an empty result that train_run fills
 * (TrainConfig.keep). The result is immutable: any number of threads may use it. A run that has not finished is
 * refused, unless `unfinished` is true: then the best epoch so far is used. */
Trained *trained_open(const Device *d, const char *dir, bool unfinished, Error *e);
Trained *trained_new(const Device *d, Error *e);
void trained_close(Trained *t);
/* Calls `visit` once per user, in order, with the ids and scores of the best k items, or fewer if there are fewer
 * items. `users` NULL: all users. An unknown user is SP_USAGE. */
typedef bool RecommendVisit(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e);
bool trained_recommend(Trained *t, const Text *users, size_t n, int64_t k, RecommendVisit *visit, void *arg, Error *e);

/* The functions below answer by number, as sapor.h describes (answer.c). `d` is the device that computes: it gives the
 * threads and the memory for scratch. */
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
/* These two compute the vectors of users and items that were not in the training data (sapor.h: sp_new_user_vectors,
 * sp_new_item_vectors). */
bool trained_new_user_vectors(const Trained *t, const Device *d, const sp_liked *users, size_t n, float *out, Error *e);
/* `tape`: an inference tape on a device that reads the same memory as the device on which t was opened. */
bool trained_new_item_vectors(const Trained *t, Tape *tape, const sp_feature *features, size_t feature_count, size_t n,
                              float *out, Error *e);
/* Computes figures [metrics, cutoffs] with `truth`. They are in the arena `a`. */
bool trained_evaluate(const Trained *t, const Device *d, const sp_interactions *truth, const EvalConfig *c,
                      const sp_recommend_options *o, Scores *s, Arena *a, Error *e);

#endif
