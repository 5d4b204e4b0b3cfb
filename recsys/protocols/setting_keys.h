/* recsys/protocols/setting_keys.h: settings of recommenders as keys of a configuration: which keys there are, values as
 * texts, and each value checked by settings_make with its line. */
#ifndef SAPOR_SETTING_KEYS_H
#define SAPOR_SETTING_KEYS_H

#include "recsys/protocols/keys.h"

typedef struct SettingList { /* "key=value", in k's arena; grows */
    const char **at;
    size_t count, room;
} SettingList;
/* Rows for keys_check of all settings of `kind` and of their names in other systems; those of how a study evaluates
 * (metrics, cutoffs, validation_metric) are left out. rows has room for setting_rows_most. */
size_t setting_rows_most(const Recommender *kind);
bool setting_rows(const Keys *k, const Recommender *kind, KeyRow *rows, size_t *count);
/* A value as a text: a list as "[0.96, 50]". NULL: refused, or out of memory. */
const char *setting_text(const Keys *k, const char *key, const Yaml *y);
bool setting_add(const Keys *k, SettingList *s, const char *key, const char *value);
/* The value y of `key`, the last setting of s, with those before it; or the error with its line. */
bool setting_check(const Keys *k, const SettingList *s, const Recommender *kind, Protocol p, const char *key,
                   const Yaml *y);
/* One key that is searched: each value is checked with the settings s. y: a list of values, or one. */
bool setting_dimension(const Keys *k, SettingList *s, const Recommender *kind, Protocol p, Dimension *d,
                       const char *key, const Yaml *y);
/* The error for a name that no recommender has, with all that there are. */
bool recommender_refuse(const Keys *k, const char *where, const char *name);

#endif
