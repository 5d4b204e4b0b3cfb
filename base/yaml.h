/* base/yaml.h: reads a YAML file as a small tree. Every node has its line and column. */
#ifndef SAPOR_YAML_H
#define SAPOR_YAML_H

#include "base/base.h"

typedef enum YamlType { YAML_TEXT, YAML_LIST, YAML_MAP } YamlType;
typedef struct Yaml Yaml;
struct Yaml {
    YamlType type;
    Text text;   /* YAML_TEXT; NUL-terminated */
    bool quoted; /* "3" is a text, 3 a number */
    Text key;    /* inside a map; NUL-terminated */
    size_t count;
    Yaml *first, *next; /* the first child; the next child of the same parent */
    const char *where;  /* "file:line:column" of the value, or --key.path of the command line */
};
/* Parses one document. Anchors and aliases are supported: an alias shares the children of its anchor. Tags and
 * duplicate keys are errors. Limits: depth 32, 1000 keys per map, 20,000 values. Returns NULL on failure:
 * "file:line:column: what". Memory: 20 MB + 8 bytes per byte of source, libyaml's memory included. An alias copies
 * nothing. Time: linear. */
#ifdef HAVE_YAML
Yaml *yaml_parse(Arena *a, Text source, const char *name, Error *e);
#else /* always NULL, so that the compiler removes the code that uses a tree; MINIMAL is 20 KB smaller */
static inline Yaml *yaml_parse(Arena *a, Text source, const char *name, Error *e)
{
    (void)a;
    (void)source;
#ifdef SAPOR_MINIMAL
    fail(e, SP_UNSUPPORTED, "%s: this build has no libyaml; build without MINIMAL=1", name);
#else
    fail(e, SP_UNSUPPORTED, "%s: this build has no libyaml; install it (libyaml-dev) and build again", name);
#endif
    return NULL;
}
#endif
Yaml *yaml_get(const Yaml *map, const char *key); /* NULL if missing */
/* As PyYAML reads plain words: null, ~ and an empty value are null; true, yes, on and their opposites are booleans. All
 * four return false if `y` is NULL or quoted. */
bool yaml_is_null(const Yaml *y);
bool yaml_bool(const Yaml *y, bool *value);
bool yaml_i64(const Yaml *y, int64_t *value);
bool yaml_f64(const Yaml *y, double *value);
/* Replaces the value at "a.b.c" by `value`, which is YAML: a word, a number, [a, list]; an empty `value` is an empty
 * text. Missing maps of the path are made. A number in the path is an index of a list. If a key of the file contains
 * dots, the path finds it too: in "a.b.c", "b.c" may be one key. */
bool yaml_override(Yaml *root, Text path, Text value, Arena *a, Error *e);

#endif
