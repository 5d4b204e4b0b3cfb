/* recsys/protocols/setting_keys.c: settings of recommenders as keys of a configuration. */
// flags: -Os
#include "recsys/protocols/setting_keys.h"

/* ---- rows ------------------------------------------------------------------------------------ */

static size_t count_table(const Setting *table)
{
    size_t n = 0;
    for (const Setting *s = table; s && s->key; s++) {
        n++;
        for (const Alias *a = s->aliases; a && a->name; a++)
            n++;
    }
    return n;
}

size_t setting_rows_most(const Recommender *kind)
{
    return count_table(kind->settings) + count_table(common_settings);
}

/* Reports whether a setting is about evaluation: all trials of a study have the same value. */
static bool is_evaluation(const Setting *s)
{
    static const size_t MEMBERS[] = {offsetof(CommonSettings, validation_metric), offsetof(CommonSettings, metrics),
                                     offsetof(CommonSettings, cutoffs)};
    for (size_t i = 0; i < COUNT(MEMBERS); i++)
        if (s->member.at == MEMBERS[i])
            return true;
    return false;
}

static bool add_table(const Keys *k, const Setting *table, KeyRow *rows, size_t *n)
{
    for (const Setting *s = table; s && s->key; s++) {
        if (is_evaluation(s))
            continue;
        rows[(*n)++] = (KeyRow){s->key, KEY_READ, NULL};
        for (const Alias *a = s->aliases; a && a->name; a++) {
            bool refused = a->use == ALIAS_REFUSED;
            const char *about = refused ? arena_printf(k->arena, k->e, "nothing: %s", a->instead) : NULL;
            if (refused && !about)
                return false;
            rows[(*n)++] = (KeyRow){a->name, refused ? KEY_REFUSED : KEY_READ, about};
        }
    }
    return true;
}

bool setting_rows(const Keys *k, const Recommender *kind, KeyRow *rows, size_t *count)
{
    return add_table(k, kind->settings, rows, count) && add_table(k, common_settings, rows, count);
}

/* ---- values ---------------------------------------------------------------------------------- */

const char *setting_text(const Keys *k, const char *key, const Yaml *y)
{
    if (y->type == YAML_TEXT && y->text.n)
        return y->text.p;
    const char *text = y->type == YAML_LIST ? "[" : NULL;
    for (const Yaml *v = y->first; v && text; v = v->next) {
        if (v->type != YAML_TEXT)
            text = NULL;
        else if (!(text = arena_printf(k->arena, k->e, "%s%s%s", text, v == y->first ? "" : ", ", v->text.p)))
            return NULL;
    }
    if (text)
        return arena_printf(k->arena, k->e, "%s]", text);
    key_refuse(k, key, y, "a number, a word or a list of them");
    return NULL;
}

bool setting_add(const Keys *k, SettingList *s, const char *key, const char *value)
{
    return (s->at = arena_grow(k->arena, s->at, s->count, &s->room, sizeof *s->at, k->e)) &&
           (s->at[s->count++] = arena_printf(k->arena, k->e, "%s=%s", key, value));
}

bool setting_check(const Keys *k, const SettingList *s, const Recommender *kind, Protocol p, const char *key,
                   const Yaml *y)
{
    Error why = {0};
    ArenaMark mark = arena_mark(k->arena);
    bool ok = settings_make(kind, p, s->at, s->count, k->arena, &why) != NULL;
    arena_rewind(k->arena, mark);
    if (ok)
        return true;
    if (why.code == SP_MEMORY)
        return fail(k->e, why.code, "%s", why.message);
    Text rest = text_of(why.message), head; /* the message is "setting lr=abc: a number is expected" */
    bool cut = text_starts(rest, "setting ") && strchr(why.message, ':') && text_next(&rest, ':', &head);
    return key_refuse(k, key, y, "what Sapor accepts: %s", cut ? text_trim(rest).p : why.message);
}

bool setting_dimension(const Keys *k, SettingList *s, const Recommender *kind, Protocol p, Dimension *d,
                       const char *key, const Yaml *y)
{
    const Yaml *v = y->type == YAML_LIST ? y->first : y;
    *d = (Dimension){.key = key, .distribution = DIST_CHOICE, .count = y->type == YAML_LIST ? y->count : 1};
    const char **values = NEW(k->arena, const char *, d->count, k->e);
    if (!d->count)
        return key_refuse(k, key, y, "a list of values");
    for (size_t i = 0; values && i < d->count; i++, v = v->next) {
        size_t before = s->count;
        if (!(values[i] = setting_text(k, key, v)) || !setting_add(k, s, key, values[i]) ||
            !setting_check(k, s, kind, p, key, v))
            return false;
        s->count = before;
    }
    d->values = values;
    return values != NULL;
}

bool recommender_refuse(const Keys *k, const char *where, const char *name)
{
    const char **names = NEW(k->arena, const char *, recommender_count(), k->e);
    for (size_t i = 0; names && i < recommender_count(); i++)
        names[i] = recommender_at(i)->name;
    const char *all = names ? key_words(k, names, recommender_count()) : NULL;
    return all &&
           fail(k->e, SP_USAGE, "%s: model: found %.60s; allowed is a recommender of Sapor: %s", where, name, all);
}
