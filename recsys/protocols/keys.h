/* recsys/protocols/keys.h: the keys of a configuration. Each key of a map is read, is known to have no effect (a note
 * says why), or is an error "file:line:column: map.key: found X; allowed is Y". */
#ifndef SAPOR_KEYS_H
#define SAPOR_KEYS_H

#include "recsys/protocols/protocols.h"

typedef enum KeyUse {
    KEY_READ,   /* the caller reads it */
    KEY_IDLE,   /* it has no effect here: `about` says why, in a note */
    KEY_REFUSED /* `about` says what to do instead: "allowed is ..." */
} KeyUse;
typedef struct KeyRow {
    const char *key;
    KeyUse use;
    const char *about; /* KEY_READ: NULL */
} KeyRow;
/* One map of a configuration, and what is needed to report its keys. */
typedef struct Keys {
    const Yaml *map;  /* NULL: the map is absent and has no keys */
    const char *path; /* "experiment.data_config"; "" at the top */
    ProtocolNote *note;
    void *arg;
    Arena *arena;
    Error *e;
} Keys;

/* Overrides of the command line, laid over a tree. */
bool keys_override(Yaml *root, const ProtocolConfig *c, Arena *a, Error *e);
/* The whole tree with the overrides of c. It must be a map. */
bool keys_root(Keys *k, const Yaml *source, const ProtocolConfig *c, Arena *a, Error *e);
/* The map under `key`; an absent or empty one has no keys. Another kind of value is an error. */
bool keys_map(Keys *sub, const Keys *k, const char *key);
/* The same of a value, as an entry of a list; name: its last part in messages, "prefiltering[0]". */
bool keys_of(Keys *sub, const Keys *k, const Yaml *value, const char *name);
/* Every key of the map must be in `rows`, or the error names those that are allowed, the nearest first. Idle ones give
 * a note, refused ones an error. A key without a value (null) counts as absent, as it does for key_get. */
bool keys_check(const Keys *k, const KeyRow *rows, size_t n);
#define KEYS_CHECK(k, rows) keys_check(k, rows, COUNT(rows))

const Yaml *key_get(const Keys *k, const char *key); /* NULL where it is absent or null */
/* "file:line:column: map.key: found X; allowed is Y". y: the value that is refused; key NULL: the map itself. Returns
 * false. */
bool key_refuse(const Keys *k, const char *key, const Yaml *y, const char *allowed, ...) PRINTF_LIKE(4, 5);
bool key_missing(const Keys *k, const char *key, const char *allowed); /* the same where a key must be there */
bool keys_note(const Keys *k, const Yaml *y, const char *format, ...) PRINTF_LIKE(3, 4); /* false: out of memory */

/* Readers. An absent key leaves *value as it is. */
bool key_text(const Keys *k, const char *key, const char **value);
bool key_bool(const Keys *k, const char *key, bool *value);
bool key_i64(const Keys *k, const char *key, int64_t least, int64_t most, int64_t *value);
bool key_f64(const Keys *k, const char *key, double least, double most, double *value);
/* One of `words`, exactly as they are written. */
bool key_word(const Keys *k, const char *key, const char *const *words, size_t n, size_t *value);
/* A list of texts or one text; of whole numbers or one. *count stays as it is where the key is absent. */
bool key_texts(const Keys *k, const char *key, const char *const **value, size_t *count);
bool key_i64s(const Keys *k, const char *key, int64_t least, int64_t most, const int64_t **value, size_t *count);
/* Metrics, as EvalConfig has them, and cutoffs: one of each at least. Absent keys leave what there is. */
bool key_measures(const Keys *k, const char *metrics, const char *cutoffs, EvalConfig *c);
/* "Recall@20": one of the metrics at one of the cutoffs; the metric becomes the name of its figure. */
bool key_measure(const Keys *k, const char *key, const EvalConfig *c, const char **metric, int64_t *cutoff);

/* A Python literal of a tuple or a list of words or numbers, "('visual', 'textual')" or "(0.1,0.9)", as texts without
 * quotes; a YAML list likewise. false without an error: it is none. */
bool key_tuple(const Keys *k, const Yaml *y, const char *const **value, size_t *count);
/* What stands in the file, for messages: "abc", a list of 3 values, a map of the keys a and b. */
const char *key_found(const Keys *k, const Yaml *y);
/* "a, b or c"; with quotes false as they are. */
const char *key_words(const Keys *k, const char *const *words, size_t n);

#endif
