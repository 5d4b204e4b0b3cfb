/* base/yaml.h: a YAML file as a small tree whose every node knows its line and column. */
#ifndef SAPOR_YAML_H
#define SAPOR_YAML_H

#include "base/base.h"

typedef enum YamlType { YAML_TEXT, YAML_LIST, YAML_MAP } YamlType;
typedef struct Yaml Yaml;
struct Yaml {
    YamlType type;
    Text text;   /* YAML_TEXT; NUL-terminated behind its end */
    bool quoted; /* "3" is a text, 3 a number */
    Text key;    /* inside a map; NUL-terminated */
    size_t count;
    Yaml *first, *next; /* children */
    const char *where;  /* "file:line:column" of the value, or the command line's --key.path */
};
/* One document; anchors and aliases are followed (an alias shares its anchor's children), tags are refused, duplicate
 * keys are errors, depth at most 32, 1000 keys of a map, 20,000 values. NULL on failure: "file:line:column: what".
 * Memory: 20 MB + 8 bytes for a byte of source, with libyaml's own; an alias shares and copies nothing. Time:
 * linear. */
#ifdef HAVE_YAML
Yaml *yaml_parse(Arena *a, Text source, const char *name, Error *e);
#else /* always NULL: the compiler then leaves out the code that uses a tree, 20 KB of MINIMAL */
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
Yaml *yaml_get(const Yaml *map, const char *key); /* NULL when absent */
/* As PyYAML reads plain words: null, ~ and nothing; true, yes, on and their opposites; numbers. */
bool yaml_is_null(const Yaml *y);
bool yaml_bool(const Yaml *y, bool *value);
bool yaml_i64(const Yaml *y, int64_t *value);
bool yaml_f64(const Yaml *y, double *value);
/* The value at "a.b.c" becomes `value` (itself YAML: a word, a number, [a, list]). Maps on the way are made; a number
 * walks into a list; a key that is there may have dots. */
bool yaml_override(Yaml *root, Text path, Text value, Arena *a, Error *e);

#endif
