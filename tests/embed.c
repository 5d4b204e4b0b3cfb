/* tests/embed.c: a program that sees only sapor.h and a library, as one outside the tree does. tests/build_test.sh
 * compiles it as C and as C++, against libsapor.so and libsapor.a, and runs it: embed TEXT_MODEL IMAGE_MODEL IMAGE
 * RUN USER. Exit 0 when all is as the header says. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sapor.h"

static int failures = 0;
#define CHECK(x) ((x) ? (void)0 : (void)(failures++, fprintf(stderr, "embed.c:%d: not so: %s\n", __LINE__, #x)))

/* An allocator that counts, and so knows at the end whether all came back. */
typedef struct Meter {
    pthread_mutex_t lock;
    size_t bytes, calls;
} Meter;

static void *metered(void *user, void *p, size_t old_bytes, size_t new_bytes)
{
    Meter *m = (Meter *)user;
    void *q = NULL;
    if (new_bytes)
        q = realloc(p, new_bytes);
    else
        free(p);
    if (q || !new_bytes) {
        pthread_mutex_lock(&m->lock);
        m->bytes += new_bytes - old_bytes;
        m->calls++;
        pthread_mutex_unlock(&m->lock);
    }
    return q;
}

static const char *const TEXTS[] = {"a red leather bag", "a brass lamp"};

/* One of two threads: the same encoder, a session of its own. */
typedef struct Task {
    const sp_encoder *encoder;
    float *out;
    bool ok;
} Task;

static void *encode(void *arg)
{
    Task *t = (Task *)arg;
    sp_error e;
    sp_session *s = sp_session_open(1, NULL, &e);
    t->ok = s && sp_encode_texts(t->encoder, s, TEXTS, 2, t->out, &e);
    sp_session_close(s);
    return NULL;
}

static void check_texts(const char *model, const sp_allocator *memory)
{
    sp_error e;
    sp_session *s = sp_session_open(2, memory, &e);
    sp_encoder *m = sp_encoder_open(model, memory, &e);
    CHECK(s && m && e.code == SP_OK && e.message[0] == '\0');
    CHECK(sp_encoder_reads_texts(m) && !sp_encoder_reads_images(m));
    size_t D = sp_encoder_features(m);
    CHECK(D > 0);
    if (s && m && D) {
        float *both = (float *)malloc(2 * D * sizeof *both), *one = (float *)malloc(D * sizeof *one);
        float *shared = (float *)malloc(4 * D * sizeof *shared);
        Task tasks[2] = {{m, shared, false}, {m, shared + 2 * D, false}};
        pthread_t threads[2];
        CHECK(sp_encode_texts(m, s, TEXTS, 2, both, &e));
        CHECK(sp_encode_texts(m, s, TEXTS + 1, 1, one, &e));
        CHECK(memcmp(both + D, one, D * sizeof *one) == 0); /* whatever else is in the call */
        for (int i = 0; i < 2; i++)
            CHECK(pthread_create(&threads[i], NULL, encode, &tasks[i]) == 0);
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        CHECK(tasks[0].ok && tasks[1].ok);
        CHECK(memcmp(shared, both, 2 * D * sizeof *both) == 0 &&
              memcmp(shared + 2 * D, both, 2 * D * sizeof *both) == 0);
        CHECK(sp_encode_texts(m, s, TEXTS, 0, NULL, &e));
        CHECK(!sp_encode_image(m, s, "x", 1, one, &e) && e.code == SP_USAGE); /* it does not read images */
        CHECK(sp_encode_texts(m, s, TEXTS, 1, one, &e) && e.code == SP_OK);   /* an error does not stick */
        free(both);
        free(one);
        free(shared);
    }
    sp_encoder_close(m);
    sp_session_close(s);
}

static void check_images(const char *model, const char *path, const sp_allocator *memory)
{
    sp_error e;
    sp_session *s = sp_session_open(1, memory, &e);
    sp_encoder *m = sp_encoder_open(model, memory, &e);
    size_t D = sp_encoder_features(m);
    CHECK(s && m && D > 0 && sp_encoder_reads_images(m));
    FILE *f = fopen(path, "rb");
    static char data[1 << 20];
    size_t bytes = f ? fread(data, 1, sizeof data, f) : 0;
    if (f)
        fclose(f);
    CHECK(bytes > 0);
    if (s && m && D) {
        const char *absent = "absent.png";
        float *a = (float *)malloc(D * sizeof *a), *b = (float *)malloc(D * sizeof *b);
        static const unsigned char grey[3 * 8 * 8] = {0};
        CHECK(sp_encode_image_files(m, s, &path, 1, a, &e));
        CHECK(sp_encode_image(m, s, data, bytes, b, &e));
        CHECK(memcmp(a, b, D * sizeof *a) == 0);
        CHECK(sp_encode_pixels(m, s, grey, 8, 8, b, &e));
        CHECK(!sp_encode_pixels(m, s, grey, 0, 8, b, &e) && e.code == SP_USAGE);
        CHECK(!sp_encode_image_files(m, s, &absent, 1, a, &e) && e.code == SP_IO && strstr(e.message, "absent.png"));
        CHECK(!sp_encode_image(m, s, data, bytes / 2, a, &e) && e.code == SP_FORMAT);
        free(a);
        free(b);
    }
    sp_encoder_close(m);
    sp_session_close(s);
}

static void check_tokens(const char *model, const sp_allocator *memory)
{
    sp_error e;
    sp_tokenizer *t = sp_tokenizer_open(model, memory, &e);
    size_t count = 0, again = 0;
    int32_t ids[64], few[2];
    CHECK(t != NULL);
    if (!t)
        return;
    CHECK(sp_tokenize(t, TEXTS[0], strlen(TEXTS[0]), 0, NULL, 0, &count, &e)); /* how many? */
    CHECK(count > 2 && count <= 64);
    CHECK(sp_tokenize(t, TEXTS[0], strlen(TEXTS[0]), 0, ids, 64, &again, &e) && again == count);
    CHECK(sp_tokenize(t, TEXTS[0], strlen(TEXTS[0]), 0, few, 2, &again, &e) && again == count && few[0] == ids[0] &&
          few[1] == ids[1]);
    CHECK(sp_tokenize(t, TEXTS[0], strlen(TEXTS[0]), 3, ids, 64, &again, &e) && again == 3);
    CHECK(!sp_tokenize(t, TEXTS[0], strlen(TEXTS[0]), 1, ids, 64, &again, &e) && e.code == SP_USAGE && again == 0);
    sp_tokenizer_close(t);
}

static void check_recommender(const char *folder, const char *user, const sp_allocator *memory)
{
    sp_error e;
    sp_recommender *r = sp_recommender_open(folder, 1, memory, &e);
    sp_recommendation best[3];
    size_t count = 0;
    CHECK(r != NULL);
    if (!r)
        return;
    CHECK(sp_recommend(r, user, 3, best, &count, &e) && count == 3);
    for (size_t i = 0; i < count; i++)
        CHECK(best[i].item[0] && (i == 0 || best[i].score <= best[i - 1].score));
    CHECK(!sp_recommend(r, "nobody", 3, best, &count, &e) && count == 0 && strstr(e.message, "nobody"));
    CHECK(!sp_recommend(r, user, 0, best, &count, &e) && e.code == SP_USAGE);
    sp_recommender_close(r);
}

int main(int argc, char **argv)
{
    sp_error e;
    Meter meter = {PTHREAD_MUTEX_INITIALIZER, 0, 0};
    sp_allocator memory = {metered, &meter};
    if (argc != 6)
        return 2;
    CHECK(strcmp(sp_version(), SAPOR_VERSION) == 0);
    check_texts(argv[1], &memory);
    check_images(argv[2], argv[3], &memory);
    check_tokens(argv[1], &memory);
    check_recommender(argv[4], argv[5], &memory);
    CHECK(meter.calls > 0 && meter.bytes == 0);
    CHECK(!sp_encoder_open("absent/model", NULL, &e) && e.code == SP_IO && strchr(e.message, '\n') == NULL);
    CHECK(!sp_tokenizer_open("absent", NULL, &e) && e.code == SP_IO);
    CHECK(!sp_recommender_open("absent", 1, NULL, &e) && e.code == SP_IO);
    CHECK(!sp_session_open(-1, NULL, &e) && e.code == SP_USAGE);
    sp_session_close(NULL);
    sp_encoder_close(NULL);
    sp_tokenizer_close(NULL);
    sp_recommender_close(NULL);
    CHECK(sp_encoder_features(NULL) == 0);
    return failures ? 1 : 0;
}
