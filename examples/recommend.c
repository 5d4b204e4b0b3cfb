/* examples/recommend.c: Prints the recommendations for one user, the best first.
 *
 *     cc recommend.c -o recommend $(pkg-config --cflags --libs sapor)
 *     sapor train BPRMF --train ratings.tsv --out run
 *     ./recommend run USER 10 */
#include <stdio.h>
#include <stdlib.h>

#include <sapor.h>

int main(int argc, char **argv)
{
    size_t k = argc > 3 ? strtoul(argv[3], NULL, 10) : 10;
    if (argc < 3 || argc > 4 || k < 1 || k > 100000) {
        fprintf(stderr, "usage: %s RUN_FOLDER USER [K]\n", argv[0]);
        return 2;
    }
    sp_error e = {0};
    sp_session *session = sp_session_open(0, NULL, &e); /* all processors */
    sp_recommender *model = session ? sp_recommender_open(argv[1], NULL, &e) : NULL;
    int32_t *best = malloc(k * sizeof *best), user = sp_recommender_number(model, SP_USERS, argv[2]);
    float *scores = malloc(k * sizeof *scores);
    if (model && user < 0)
        fprintf(stderr, "%s: unknown user %s\n", argv[0], argv[2]);
    bool ok = model && best && scores && user >= 0 && sp_recommend(model, session, &user, 1, k, NULL, best, scores, &e);
    if (!ok && (!model || user >= 0))
        fprintf(stderr, "%s: %s\n", argv[0], e.code ? e.message : "out of memory");
    for (size_t i = 0; ok && i < k && best[i] >= 0; i++)
        printf("%s\t%.6g\n", sp_recommender_id(model, SP_ITEMS, best[i]), scores[i]);
    free(best);
    free(scores);
    sp_recommender_close(model);
    sp_session_close(session);
    return ok ? 0 : 1;
}
