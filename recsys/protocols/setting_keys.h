/* recsys/protocols/setting_keys.h: the settings of a recommender as keys of a configuration. These functions list the
 * keys, convert the values to texts, and check each value by settings_make. An error names the line of the value. */
#ifndef SAPOR_SETTING_KEYS_H
#define SAPOR_SETTING_KEYS_H

#include "recsys/protocols/keys.h"

typedef struct SettingList { /* [count] "key=value", in the arena of k; grows */
    const char **at;
    size_t count, room;
} SettingList;
/* Lists rows for keys_check: all settings of `kind` and their names in other systems, except those of evaluation
 * (metrics, cutoffs, validation_metric). `rows` must have space for setting_rows_most. */
size_t setting_rows_most(const Recommender *kind);
bool setting_rows(const Keys *k, const Recommender *kind, KeyRow *rows, size_t *count);
/* Converts a value to a text; a list becomes "[0.96, 50]". NULL: refused, or memory ran out. */
const char *setting_text(const Keys *k, const char *key, const Yaml *y);
bool setting_add(const Keys *k, SettingList *s, const char *key, const char *value);
/* Checks the value y of `key`, which is the last setting of s, together with the earlier ones. The error has its line.
 */
bool setting_check(const Keys *k, const SettingList *s, const Recommender *kind, Protocol p, const char *key,
                   const Yaml *y);
/* Makes a dimension from a key with values to search. Each value is checked together with the settings s. y: a list of
 * values, or one value. */
bool setting_dimension(const Keys *k, SettingList *s, const Recommender *kind, Protocol p, Dimension *d,
                       const char *key, const Yaml *y);
/* Reports that no recommender has this name, and lists all recommenders. */
bool recommender_refuse(const Keys *k, const char *where, const char *name);

#endif
