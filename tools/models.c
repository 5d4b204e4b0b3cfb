/* tools/models.c: sapor models [NAME]. */
// flags: -Os
#include "tools/features.h"

const Option models_options[] = {
    {NULL, 0, NULL, NULL},
};

static const char *modalities(unsigned m)
{
    return m == (MODALITY_IMAGE | MODALITY_TEXT) ? "image, text" : m == MODALITY_IMAGE ? "image" : "text";
}

/* Encoders and statistics in one list. The statistics come last. */
typedef struct Entry {
    const char *name, *about, *checked; /* checked may be NULL */
    unsigned modalities;
} Entry;

static size_t entry_count(void)
{
    return encoder_kind_count() + statistics_count();
}

static Entry entry_at(size_t i)
{
    if (i < encoder_kind_count()) {
        const EncoderKind *k = encoder_kind_at(i);
        return (Entry){k->name, k->about, k->checked, k->modalities};
    }
    const Statistics *s = statistics_at(i - encoder_kind_count());
    return (Entry){s->name, s->about, NULL, s->modality};
}

static void json_encoder(const Entry *k)
{
    JsonWriter w = json_record(stdout, "encoder", k->name);
    json_array(&w, "modalities");
    if (k->modalities & MODALITY_IMAGE)
        json_put_string(&w, NULL, "image");
    if (k->modalities & MODALITY_TEXT)
        json_put_string(&w, NULL, "text");
    json_end(&w);
    json_put_string(&w, "about", k->about);
    if (k->checked)
        json_put_string(&w, "checked", k->checked);
    json_finish(&w);
}

/* Returns setting i of a recommender: first its own settings, then the common ones whose defaults it does not change.
 * NULL after the last. */
static const Setting *setting_at(const Recommender *r, size_t i)
{
    for (const Setting *s = r->settings; s && s->key; s++)
        if (i-- == 0)
            return s;
    for (const Setting *s = common_settings; s->key; s++) {
        bool changed = false;
        for (const Setting *o = r->settings; o && o->key; o++)
            changed = changed || strcmp(o->key, s->key) == 0;
        if (!changed && i-- == 0)
            return s;
    }
    return NULL;
}

/* Returns the names that are accepted for a setting in addition to its own: "learning_rate, reg_weight (variant
 * mmrec)". */
static const char *accepted_names(const Setting *s, Arena *a, Error *e)
{
    static const char *const where[] = {"", " (variant mmrec)", " (protocol mmrec)"};
    const char *names = "";
    for (const Alias *x = s->aliases; names && x && x->name; x++)
        if (x->use != ALIAS_REFUSED)
            names = arena_printf(a, e, "%s%s%s%s", names, *names ? ", " : "", x->name, where[x->use]);
    return names;
}

static void json_recommender(const Recommender *r)
{
    JsonWriter w = json_record(stdout, "recommender", r->name);
    json_put_string(&w, "paper", r->paper);
    json_put_bool(&w, "needs_features", r->needs_features);
    json_array(&w, "settings");
    const Setting *s;
    for (size_t k = 0; (s = setting_at(r, k)); k++) {
        json_object(&w, NULL);
        json_members(&w, "key %s elliot %s mmrec %s about %s", s->key, s->elliot, s->mmrec, s->about);
        json_array(&w, "also");
        for (const Alias *x = s->aliases; x && x->name; x++)
            if (x->use != ALIAS_REFUSED)
                json_put_string(&w, NULL, x->name);
        json_end(&w);
        json_end(&w);
    }
    json_end(&w);
    if (r->paper_settings)
        json_put_string(&w, "variant_paper", r->paper_settings);
    if (r->alias)
        json_put_string(&w, "also", r->alias);
    json_finish(&w);
}

static bool print_recommender(const Context *c, const Recommender *r, Error *e)
{
    size_t n = 0;
    const Setting *s;
    printf("%s%s%s%s\n", r->name, r->alias ? ", also " : "", r->alias ? r->alias : "",
           r->needs_features ? "; needs --features" : "");
    print_wrapped(stdout, r->paper, 0);
    while (setting_at(r, n))
        n++;
    const char **cells = NEW(c->arena, const char *, 5 * (n + 1), e);
    if (!cells)
        return false;
    memcpy(cells, (const char *const[]){"--set", "elliot", "mmrec", "also accepted", "meaning"}, 5 * sizeof *cells);
    for (size_t i = 0; (s = setting_at(r, i)); i++) {
        const char *names = accepted_names(s, c->arena, e);
        if (!names)
            return false;
        memcpy(cells + 5 * (i + 1), (const char *const[]){s->key, s->elliot, s->mmrec, *names ? names : "-", s->about},
               5 * sizeof *cells);
    }
    if (!table_print(stdout, cells, n + 1, 5, "lwwww", c->arena, e))
        return false;
    const char *of_paper = arena_printf(c->arena, e, "Defaults with variant=paper: %s; the others are elliot's.",
                                        r->paper_settings ? r->paper_settings : "");
    if (r->paper_settings && of_paper)
        print_wrapped(stdout, of_paper, 0);
    return of_paper != NULL;
}

static void print_encoder(const Entry *k)
{
    int at = printf("%s: ", k->name);
    printf("reads %s\n%*s", modalities(k->modalities), at, "");
    print_wrapped(stdout, k->about, at);
    if (k->checked)
        printf("%*schecked against %s, the largest difference\n", at, "", k->checked);
}

static bool print_all(const Context *c, Error *e)
{
    size_t encoders = entry_count(), recommenders = recommender_count();
    const char **cells = NEW(c->arena, const char *, 4 * (1 + encoders + recommenders), e);
    if (!cells)
        return false;
    memcpy(cells, (const char *const[]){"encoder", "input", "models", "checked against: largest difference"},
           4 * sizeof *cells);
    for (size_t i = 0; i < encoders; i++) {
        Entry k = entry_at(i);
        memcpy(cells + 4 * (i + 1),
               (const char *const[]){k.name, modalities(k.modalities), k.about, k.checked ? k.checked : "-"},
               4 * sizeof *cells);
    }
    if (!table_print(stdout, cells, encoders + 1, 4, "llww", c->arena, e))
        return false;
    printf("\n");
    memcpy(cells, (const char *const[]){"recommender", "features", "paper"}, 3 * sizeof *cells);
    for (size_t i = 0; i < recommenders; i++) {
        const Recommender *r = recommender_at(i);
        const char *name = r->alias ? arena_printf(c->arena, e, "%s, %s", r->name, r->alias) : r->name;
        if (!name)
            return false;
        memcpy(cells + 3 * (i + 1), (const char *const[]){name, r->needs_features ? "yes" : "-", r->paper},
               3 * sizeof *cells);
    }
    return table_print(stdout, cells, recommenders + 1, 3, "llw", c->arena, e);
}

/* Sets the error for an unknown name, with similar names. `what` begins the message: "train: unknown recommender". */
static bool unknown_name(const Context *c, const char *what, const char *name, bool encoders, Error *e)
{
    size_t n = 0;
    const char **names = NEW(c->arena, const char *, entry_count() + 2 * recommender_count(), e);
    if (!names)
        return false;
    for (size_t i = 0; encoders && i < entry_count(); i++)
        names[n++] = entry_at(i).name;
    for (size_t i = 0; i < recommender_count(); i++) {
        names[n++] = recommender_at(i)->name;
        if (recommender_at(i)->alias)
            names[n++] = recommender_at(i)->alias;
    }
    const char *near = near_words(name, names, n, c->arena);
    return near ? fail(e, SP_USAGE, "%s \"%s\"; did you mean %s?", what, name, near)
                : fail(e, SP_USAGE, "%s \"%s\"; `sapor models` lists them", what, name);
}

bool unknown_recommender(const Context *c, const char *command, const char *name, Error *e)
{
    const char *what = arena_printf(c->arena, e, "%s: unknown recommender", command);
    return what && unknown_name(c, what, name, false, e);
}

bool models_command(Context *c, Error *e)
{
    const char *name = c->arg_count ? c->args[0] : NULL;
    if (!name && !c->json)
        return print_all(c, e);
    bool found = !name;
    for (size_t i = 0; i < entry_count(); i++) {
        Entry k = entry_at(i);
        if (name && strcmp(name, k.name) != 0)
            continue;
        found = true;
        if (c->json)
            json_encoder(&k);
        else
            print_encoder(&k);
    }
    for (size_t i = 0; i < recommender_count(); i++) {
        const Recommender *r = recommender_at(i);
        if (name && r != recommender_find(name))
            continue;
        found = true;
        if (c->json)
            json_recommender(r);
        else if (!print_recommender(c, r, e))
            return false;
    }
    return found || unknown_name(c, "unknown model", name, true, e);
}
