/* recsys/settings.c: hyper-parameters as key=value, checked against the tables that declare them. */
#include "recsys.h"

#include <math.h>

const Setting common_settings[] = {
    {"lr", "0.001", "0.001", "learning rate of Adam", 0},
    {"lr_decay", "1.0", "1.0", "factor on the learning rate in 50 epochs", 0},
    {"weight_decay", "0.0", "0.0", "L2 added to the gradients by the optimiser", 0},
    {"batch_size", "1024", "2048", "triples in a training step", 1},
    {"epochs", "200", "1000", "epochs at most", 0},
    {"validation_rate", "10", "1", "epochs between evaluations", 1},
    {"validation_metric", "Recall@20", "Recall@20", "what the best epoch is chosen by", 0},
    {"patience", "0", "20",
     "evaluations in a row without improvement: elliot stops at this many, mmrec at one more (0: no early stop)", 0},
    {"metrics", "Recall,Precision,nDCG,HR", "Recall,nDCG,Precision,MAP", "what is measured", 0},
    {"cutoffs", "20", "5,10,20,50", "lengths of the lists that are measured", 0},
    {"checkpoint_seconds", "60", "60", "least time between checkpoints (0: after every epoch)", 0},
    {0},
};

typedef struct Entry {
    const Setting *declared;
    const char *value;
} Entry;
struct Settings {
    size_t count;
    Entry *entries;
};

static Entry *find(const Settings *s, Text key)
{
    for (size_t i = 0; i < s->count; i++)
        if (text_is(key, s->entries[i].declared->key))
            return &s->entries[i];
    return NULL;
}

static bool is_whole(const char *text)
{
    int64_t ignored;
    return text_i64(text_of(text), &ignored);
}

static bool is_number(const char *text)
{
    double ignored;
    return text_f64(text_of(text), &ignored);
}

/* The value must be of the default's kind. "cutoffs" is a list whose default may look like a number: words are checked by who reads them. */
static bool check_value(const Setting *d, Protocol p, const char *value, Error *e)
{
    const char *usual = p == PROTOCOL_ELLIOT ? d->elliot : d->mmrec;
    bool list = !strcmp(d->key, "cutoffs");
    double number = 0;
    if (!list && is_whole(usual) && !is_whole(value))
        return fail(e, SP_USAGE, "setting %s=%s: a whole number is wanted (such as %s)", d->key, value, usual);
    if (!list && is_number(usual) && (!text_f64(text_of(value), &number) || !isfinite(number)))
        return fail(e, SP_USAGE, "setting %s=%s: a number is wanted (such as %s)", d->key, value, usual);
    if (!list && is_number(usual) && number < d->least)
        return fail(e, SP_USAGE, "setting %s=%s: must be at least %g", d->key, value, d->least);
    if (!strcmp(d->key, "variant") && strcmp(value, "elliot") && strcmp(value, "mmrec"))
        return fail(e, SP_USAGE, "setting variant=%s: elliot or mmrec is wanted", value);
    bool flag = !strcmp(usual, "true") || !strcmp(usual, "false");
    if (flag && strcmp(value, "true") && strcmp(value, "false"))
        return fail(e, SP_USAGE, "setting %s=%s: true or false is wanted", d->key, value);
    return true;
}

static void add_defaults(Settings *s, const Setting *table, Protocol p)
{
    for (const Setting *d = table; d && d->key; d++) {
        Entry *there = find(s, text_of(d->key));
        *(there ? there : &s->entries[s->count++]) = (Entry){d, p == PROTOCOL_ELLIOT ? d->elliot : d->mmrec};
    }
}

/* A model's own defaults go with the variant, where one is asked for. */
static Protocol variant_asked(Protocol p, const char *const *set, size_t set_count)
{
    for (size_t i = 0; i < set_count; i++)
        p = !strcmp(set[i], "variant=mmrec") ? PROTOCOL_MMREC : !strcmp(set[i], "variant=elliot") ? PROTOCOL_ELLIOT : p;
    return p;
}

static bool unknown_key(const Settings *s, Text key, Arena *a, Error *e)
{
    const char *known = "";
    for (size_t i = 0; i < s->count && known; i++)
        known = arena_printf(a, e, "%s%s%s", known, i ? ", " : "", s->entries[i].declared->key);
    return known && fail(e, SP_USAGE, "no setting is called %.*s; there are %s", (int)key.n, key.p, known);
}

Settings *settings_make(const Setting *own, Protocol p, const char *const *set, size_t set_count, Arena *a, Error *e)
{
    size_t most = COUNT(common_settings);
    for (const Setting *d = own; d && d->key; d++)
        most++;
    Settings *s = NEW(a, Settings, 1, e);
    if (!s || !(s->entries = NEW(a, Entry, most, e)))
        return NULL;
    add_defaults(s, common_settings, p);
    add_defaults(s, own, variant_asked(p, set, set_count));
    for (size_t i = 0; i < set_count; i++) {
        Text value = text_of(set[i]), key;
        if (!strchr(set[i], '=')) {
            fail(e, SP_USAGE, "setting '%s': key=value is wanted", set[i]);
            return NULL;
        }
        text_next(&value, '=', &key);
        Entry *entry = find(s, key);
        if (!entry) {
            unknown_key(s, key, a, e);
            return NULL;
        }
        const char *copy = arena_strndup(a, value.p, value.n, e);
        if (!copy || !check_value(entry->declared, p, copy, e))
            return NULL;
        entry->value = copy;
    }
    return s;
}

size_t settings_count(const Settings *s)
{
    return s->count;
}

const char *settings_key(const Settings *s, size_t i)
{
    return s->entries[i].declared->key;
}

const char *settings_value(const Settings *s, size_t i)
{
    return s->entries[i].value;
}

const char *setting_text(const Settings *s, const char *key)
{
    const Entry *entry = find(s, text_of(key));
    return entry ? entry->value : "";
}

double setting_f64(const Settings *s, const char *key)
{
    double value = 0;
    return text_f64(text_of(setting_text(s, key)), &value) ? value : 0;
}

int64_t setting_i64(const Settings *s, const char *key)
{
    int64_t value = 0;
    return text_i64(text_of(setting_text(s, key)), &value) ? value : 0;
}

bool setting_bool(const Settings *s, const char *key)
{
    return !strcmp(setting_text(s, key), "true");
}
