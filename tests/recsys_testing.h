/* tests/recsys_testing.h: a folder for the tests of one program, and files put into it. */
#ifndef SAPOR_RECSYS_TESTING_H
#define SAPOR_RECSYS_TESTING_H

#include "tests/testing.h"

static char dir[256];

static int make_dir(void **state)
{
    (void)state;
    test_folder(dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    test_folder_remove(dir);
    return 0;
}

/* Writes a file into the folder; the path stays valid until the eighth call after. */
static const char *put_bytes(const char *name, const void *bytes, size_t n)
{
    static char path[8][600];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    test_write(dir, name, (Text){bytes, n});
    return p;
}

static const char *put(const char *name, const char *text)
{
    return put_bytes(name, text, strlen(text));
}

#endif
