/* examples/classify_stream.c: Reads paths of images from standard input and prints the class of each image: the class
 * with the nearest centre. The classes are the folders in CLASSES: CLASSES/shoes/1.jpg, CLASSES/bags/7.png, ... Several
 * threads share one model; each has its own session.
 *
 *     cc classify_stream.c -o classify_stream $(pkg-config --cflags --libs sapor) -lm -pthread
 *     find inbox -name '*.jpg' | ./classify_stream resnet50.pth CLASSES 4
 *
 * Prints path, class and cosine of each image when it is done. An image that cannot be read is reported on standard
 * error and skipped. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sapor.h>

enum { MAX_CLASSES = 256, MAX_THREADS = 64 };

/* Shared by the threads, which only read it. Standard input and output have their own locks. */
typedef struct Classifier {
    sp_encoder *model;
    size_t D, classes;
    char names[MAX_CLASSES][NAME_MAX + 1];
    float *centres; /* [MAX_CLASSES, D], each of length 1 */
} Classifier;

/* Scales x to length 1. A vector of zeros does not change. */
static void normalize(float *x, size_t D)
{
    double squares = 0;
    for (size_t i = 0; i < D; i++)
        squares += (double)x[i] * x[i];
    for (size_t i = 0; squares > 0 && i < D; i++)
        x[i] = (float)(x[i] / sqrt(squares));
}

static bool encode(const Classifier *c, sp_session *s, const char *path, float *x)
{
    sp_error e = {0};
    if (!sp_encode_image_files(c->model, s, &path, 1, x, &e)) {
        fprintf(stderr, "%s\n", e.message);
        return false;
    }
    normalize(x, c->D);
    return true;
}

/* Computes the centre of a class from the images of a folder. Returns false if no image can be read. x [D] is scratch.
 */
static bool learn_class(Classifier *c, sp_session *s, const char *folder, float *x)
{
    float *centre = c->centres + c->classes * c->D;
    size_t n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *f; d && (f = readdir(d));) {
        char path[4096];
        if (f->d_name[0] == '.' || snprintf(path, sizeof path, "%s/%s", folder, f->d_name) >= (int)sizeof path)
            continue;
        if (encode(c, s, path, x)) {
            for (size_t i = 0; i < c->D; i++)
                centre[i] += x[i];
            n++;
        }
    }
    if (d)
        closedir(d);
    normalize(centre, c->D);
    return n > 0;
}

static bool learn(Classifier *c, const char *folder)
{
    sp_error e = {0};
    sp_session *s = sp_session_open(0, NULL, &e);
    float *x = malloc(c->D * sizeof *x);
    DIR *d = opendir(folder);
    c->centres = calloc(MAX_CLASSES * c->D, sizeof *c->centres);
    for (struct dirent *f; s && x && c->centres && d && c->classes < MAX_CLASSES && (f = readdir(d));) {
        char path[4096];
        if (f->d_name[0] == '.' || snprintf(path, sizeof path, "%s/%s", folder, f->d_name) >= (int)sizeof path)
            continue;
        if (learn_class(c, s, path, x))
            snprintf(c->names[c->classes++], sizeof *c->names, "%s", f->d_name);
    }
    if (d)
        closedir(d);
    free(x);
    sp_session_close(s);
    return c->classes > 0;
}

static void *work(void *arg)
{
    const Classifier *c = arg;
    sp_error e = {0};
    sp_session *s = sp_session_open(1, NULL, &e); /* one thread: the images are encoded in parallel */
    float *x = malloc(c->D * sizeof *x);
    char *path = NULL;
    size_t room = 0;
    while (s && x && getline(&path, &room, stdin) > 0) {
        path[strcspn(path, "\r\n")] = '\0';
        if (!encode(c, s, path, x))
            continue;
        size_t best = 0;
        double highest = -2;
        for (size_t k = 0; k < c->classes; k++) {
            double cosine = 0;
            for (size_t i = 0; i < c->D; i++)
                cosine += (double)x[i] * c->centres[k * c->D + i];
            if (cosine > highest) {
                highest = cosine;
                best = k;
            }
        }
        printf("%s\t%s\t%.4f\n", path, c->names[best], highest);
    }
    if (!s)
        fprintf(stderr, "%s\n", e.message);
    free(path);
    free(x);
    sp_session_close(s);
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 3 ? atoi(argv[3]) : 2, started = 0;
    if (argc < 3 || argc > 4 || threads < 1 || threads > MAX_THREADS) {
        fprintf(stderr, "usage: %s MODEL CLASSES [THREADS] < PATHS\n", argv[0]);
        return 2;
    }
    sp_error e = {0};
    Classifier c = {.model = sp_encoder_open(argv[1], NULL, &e)};
    c.D = sp_encoder_features(c.model);
    if (!c.model) {
        fprintf(stderr, "%s: %s\n", argv[0], e.message);
    } else if (!learn(&c, argv[2])) {
        fprintf(stderr, "%s: no folder of images in %s\n", argv[0], argv[2]);
    } else {
        pthread_t thread[MAX_THREADS];
        while (started < threads && pthread_create(&thread[started], NULL, work, &c) == 0)
            started++;
        for (int i = 0; i < started; i++)
            pthread_join(thread[i], NULL);
    }
    free(c.centres);
    sp_encoder_close(c.model);
    return started ? 0 : 1;
}
