/* recsys/protocols/keys.h: the keys of a configuration. Each key of a map is read; or it has no effect, and a note says
 * why; or it is an error "file:line:column: map.key: found X; allowed is Y". */
#ifndef SAPOR_KEYS_H
#define SAPOR_KEYS_H

#include "recsys/protocols/protocols.h"

typedef enum KeyUse {
    KEY_READ,   /* the caller reads the key */
    KEY_IDLE,   /* the key has no effect here; `about` is the reason, for a note */
    KEY_REFUSED /* the key is refused; `about` says what is allowed */
} KeyUse;
typedef struct KeyRow {
    const char *key;
    KeyUse use;
    const char *about; /* NULL for KEY_READ */
} KeyRow;
/* One map of a configuration, and what is needed to report its keys. */
typedef struct Keys {
    const Yaml *map;  /* NULL: the map is absent, so it has no keys */
    const char *path; /* path of the map: "experiment.data_config"; "" for the whole file */
    ProtocolNote *note;
    void *arg;
    Arena *arena;
    Error *e;
} Keys;

/* Applies the overrides of the command line to a tree. */
bool keys_override(Yaml *root, const ProtocolConfig *c, Arena *a, Error *e);
/* Opens the whole tree with the overrides of c. It must be a map. */
bool keys_root(Keys *k, const Yaml *source, const ProtocolConfig *c, Arena *a, Error *e);
/* Opens the map under `key`. An absent or empty map has no keys. Another kind of value is an error. */
bool keys_map(Keys *sub, const Keys *k, const char *key);
/* Opens a map that is a value, such as an entry of a list. name: the last part of its path in messages,
 * "prefiltering[0]". */
bool keys_of(Keys *sub, const Keys *k, const Yaml *value, const char *name);
/* Checks that every key of the map is in `rows`. If not, the error names the allowed keys, the most similar first. Keys
 * of KEY_IDLE give a note, keys of KEY_REFUSED an error. A key without a value (null) counts as absent, as in key_get.
 */
bool keys_check(const Keys *k, const KeyRow *rows, size_t n);
#define KEYS_CHECK(k, rows) keys_check(k, rows, COUNT(rows))

const Yaml *key_get(const Keys *k, const char *key); /* NULL if it is absent or null */
/* Reports "file:line:column: map.key: found X; allowed is Y". y: the refused value; key NULL: the map itself. Returns
 * false. */
bool key_refuse(const Keys *k, const char *key, const Yaml *y, const char *allowed, ...) PRINTF_LIKE(4, 5);
bool key_missing(const Keys *k, const char *key, const char *allowed); /* the same for a required key that is absent */
bool keys_note(const Keys *k, const Yaml *y, const char *format, ...) PRINTF_LIKE(3, 4); /* false: memory ran out */

/* Readers. If the key is absent, *value does not change. min, max: bounds of the value; both are allowed. */
bool key_text(const Keys *k, const char *key, const char **value);
bool key_bool(const Keys *k, const char *key, bool *value);
bool key_i64(const Keys *k, const char *key, int64_t min, int64_t max, int64_t *value);
bool key_f64(const Keys *k, const char *key, double min, double max, double *value);
/* Reads one of `words`, in exactly the same spelling. */
bool key_word(const Keys *k, const char *key, const char *const *words, size_t n, size_t *value);
/* Read a list of texts or a single text; a list of whole numbers or a single one. *count does not change if the key is
 * absent. */
bool key_texts(const Keys *k, const char *key, const char *const **value, size_t *count);
bool key_i64s(const Keys *k, const char *key, int64_t min, int64_t max, const int64_t **value, size_t *count);
/* Reads metrics, as in EvalConfig, and cutoffs: at least one of each. If keys are absent, the values do not change. */
bool key_measures(const Keys *k, const char *metrics, const char *cutoffs, EvalConfig *c);
/* Reads "Recall@20": one of the metrics at one of the cutoffs. *metric becomes the name of its figure. */
bool key_measure(const Keys *k, const char *key, const EvalConfig *c, const char **metric, int64_t *cutoff);

/* Reads a Python literal of a tuple or a list of words or numbers, "('visual', 'textual')" or "(0.1,0.9)", as texts
 * without quotes; or a YAML list. Returns false without an error if it is something else. */
bool key_tuple(const Keys *k, const Yaml *y, const char *const **value, size_t *count);
/* Describes a value of the file for messages: "abc", a list of 3 values, a map of the keys a and b. */
const char *key_found(const Keys *k, const Yaml *y);
/* Makes "a, b or c" from words. */
const char *key_words(const Keys *k, const char *const *words, size_t n);

#endif
