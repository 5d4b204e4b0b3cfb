/* tests/weights_testing.h: shared by the tests of weights/: a folder for all tests of a program, files in it, expected
 * errors. */
#ifndef SAPOR_WEIGHTS_TESTING_H
#define SAPOR_WEIGHTS_TESTING_H

#include "weights/weights.h" /* before cmocka, which has a macro named fail */

#include "tests/testing.h"

static char folder[256];

static inline int make_folder(void **state)
{
    (void)state;
    test_folder(folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    test_folder_remove(folder);
    return 0;
}

/* Returns the path of a file in the folder. The last four paths are valid. */
static inline const char *at(const char *name)
{
    static char path[4][512];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static inline void put(const char *name, const void *data, size_t n)
{
    test_write(folder, name, (Text){data, n});
}

/* Checks that opening the file fails with an error of one line that contains `why`. */
static inline void must_fail(const char *path, const char *why)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Weights *w = weights_open(path, a, &e);
    if (w || !strstr(e.message, why) || strchr(e.message, '\n'))
        fail_msg("%s: expected \"%s\", got \"%s\"", path, why, w ? "success" : e.message);
    arena_free(a);
}

#endif
