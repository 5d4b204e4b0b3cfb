/* tests/elliot_testing.h: reads an Elliot configuration in a temporary folder. */
#ifndef SAPOR_ELLIOT_TESTING_H
#define SAPOR_ELLIOT_TESTING_H

#include "recsys/protocols/elliot.h"

#include "tests/recsys_testing.h"

enum { NOTES = 8000 };
/* the lines that elliot_read reported, one per line */
static char notes[NOTES];
static void keep_note(void *arg, const char *line)
{
    (void)arg;
    size_t n = strlen(notes);
    snprintf(notes + n, NOTES - n, "%s\n", line);
}

/* Writes the text as config/test.yml of the folder and reads it. `out` NULL: the output paths are those of the
 * configuration. */
static inline bool read_elliot(Study *s, const char *yaml, const char *out, Arena *a, Error *e)
{
    char path[600];
    Error folder_error = {0};
    snprintf(path, sizeof path, "%s/config", dir);
    assert_true(folder_make(path, &folder_error));
    const char *config = put("config/test.yml", yaml);
    notes[0] = 0;
    ProtocolConfig c = {.path = config, .out = out, .note = keep_note};
    Yaml *root = yaml_parse(a, text_of(yaml), "test.yml", e);
    return root && elliot_read(s, &c, root, a, e);
}

/* Writes a file and makes its folders. */
static inline void put_file(const char *name, const char *text)
{
    char path[600];
    Error e = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    assert_true(folder_make(path, &e));
    put(name, text);
}

static inline const char *in_dir(Arena *a, const char *name)
{
    Error e = {0};
    return path_join(a, dir, name, &e);
}

static inline void assert_file(Arena *a, const char *path, const char *expected)
{
    Error e = {0};
    Text content;
    assert_ok(file_read(&content, a, path, 0, &e), e);
    if (strcmp(content.p, expected) != 0)
        fail_msg("%s is\n%s\nbut expected is\n%s", path, content.p, expected);
}

#endif
