/* examples/recommend.c: Prints the recommendations for one user, best first.
 *
 *     cc recommend.c -o recommend $(pkg-config --cflags --libs sapor)
 *     sapor train BPRMF --train ratings.tsv --out run
 *     ./recommend run USER 10
 */
#include <stdio.h>
#include <stdlib.h>

#include <sapor.h>

int main(int argc, char **argv)
{
    size_t k = argc > 3 ? strtoul(argv[3], NULL, 10) : 10, count = 0;
    if (argc < 3 || argc > 4 || k < 1 || k > 100000) {
        fprintf(stderr, "usage: %s RUN_FOLDER USER [K]\n", argv[0]);
        return 2;
    }
    sp_error e = {0};
    sp_recommender *model = sp_recommender_open(argv[1], 0, NULL, &e);
    sp_recommendation *best = malloc(k * sizeof *best);
    bool ok = model && best && sp_recommend(model, argv[2], k, best, &count, &e);
    if (!ok)
        fprintf(stderr, "%s: %s\n", argv[0], e.code ? e.message : "out of memory");
    for (size_t i = 0; ok && i < count; i++)
        printf("%s\t%.6g\n", best[i].item, best[i].score);
    free(best);
    sp_recommender_close(model); /* the items' ids are valid until here */
    return ok ? 0 : 1;
}
