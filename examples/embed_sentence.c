/* examples/embed_sentence.c: Turns sentences into vectors and prints the cosine of the first vector with each of the
 * vectors.
 *
 *     cc embed_sentence.c -o embed_sentence $(pkg-config --cflags --libs sapor) -lm
 *     ./embed_sentence all-MiniLM-L6-v2 "a red bag" "a crimson purse" "a brass lamp" */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <sapor.h>

static double dot(const float *a, const float *b, size_t D)
{
    double sum = 0;
    for (size_t i = 0; i < D; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL SENTENCE ...\n", argv[0]);
        return 2;
    }
    const char *const *sentences = (const char *const *)argv + 2;
    size_t n = (size_t)argc - 2;
    sp_error e = {0};
    sp_session *session = sp_session_open(0, NULL, &e); /* all processors */
    sp_encoder *model = session ? sp_encoder_open(argv[1], NULL, &e) : NULL;
    size_t D = sp_encoder_features(model);
    float *vectors = model ? malloc(n * D * sizeof *vectors) : NULL; /* [n, D] */
    bool ok = vectors && sp_encode_texts(model, session, sentences, n, vectors, &e);
    if (!ok)
        fprintf(stderr, "%s: %s\n", argv[0], e.code ? e.message : "out of memory");
    for (size_t i = 0; ok && i < n; i++) {
        const float *v = vectors + i * D;
        printf("%.4f  %s\n", dot(vectors, v, D) / sqrt(dot(vectors, vectors, D) * dot(v, v, D)), sentences[i]);
    }
    free(vectors);
    sp_encoder_close(model);
    sp_session_close(session);
    return ok ? 0 : 1;
}
