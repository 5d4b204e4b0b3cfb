/* recsys/search/grid.c: lists of values for some settings, their product, and the names of its points. */
// flags: -Os
#include "recsys/search/grid.h"

#include <math.h>

/* ---- the product ----------------------------------------------------------------------------- */

bool grid_points(const Dimension *dims, size_t n, int64_t *points, Error *e)
{
    *points = 1;
    for (size_t i = 0; i < n; i++) {
        if (!dims[i].count)
            return fail(e, SP_USAGE, "setting %s: has no values", dims[i].key);
        if (dims[i].count > GRID_MOST / (size_t)*points)
            return fail(e, SP_USAGE, "setting %s: with its %zu values there are more than %d combinations; try fewer",
                        dims[i].key, dims[i].count, GRID_MOST);
        *points *= (int64_t)dims[i].count;
    }
    return true;
}

void grid_point(const Dimension *dims, size_t n, int64_t point, const char **values)
{
    for (size_t i = n; i-- > 0;) {
        int64_t count = (int64_t)dims[i].count;
        values[i] = dims[i].values[point % count];
        point /= count;
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

const char *point_value(const char *value, Arena *a, Error *e)
{
    enum { FEWEST = 6, MOST = 17 };
    int64_t whole;
    double number, back = NAN;
    char text[40];
    if (!strcmp(value, "True") || !strcmp(value, "False"))
        return *value == 'T' ? "true" : "false";
    if (text_i64(text_of(value), &whole))
        return arena_printf(a, e, "%lld", (long long)whole);
    if (!text_f64(text_of(value), &number) || !isfinite(number))
        return value;
    for (int digits = FEWEST; digits <= MOST && back != number; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        text_f64(text_of(text), &back);
    }
    return arena_strndup(a, text, strlen(text), e);
}

const char *point_name(const Dimension *dims, size_t n, const char *const *values, char between, Arena *a, Error *e)
{
    const char *name = "";
    for (size_t i = 0; i < n && name; i++) {
        const char *value = point_value(values[i], a, e);
        name = value ? arena_printf(a, e, "%s%.*s%s=%s", name, i > 0, &between, dims[i].key, value) : NULL;
    }
    return name;
}

const char *point_folder(const Dimension *dims, size_t n, const char *const *values, Arena *a, Error *e)
{
    enum { LONGEST = 120, HASH = 9 };
    static const char SAFE[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=,.+-_@";
    const char *name = point_name(dims, n, values, ',', a, e);
    if (!name)
        return NULL;
    size_t length = strlen(name), kept = MIN(length, (size_t)LONGEST);
    bool changed = length > LONGEST;
    char safe[LONGEST + 1] = {0};
    for (size_t i = 0; i < kept; i++) {
        bool fits = strchr(SAFE, name[i]) != NULL;
        safe[i] = fits ? name[i] : '_';
        changed = changed || !fits;
    }
    if (!changed)
        return name;
    safe[MIN(kept, (size_t)(LONGEST - HASH))] = 0;
    return arena_printf(a, e, "%s-%08x", safe, (unsigned)draw_name(name));
}

/* ---- texts of settings ----------------------------------------------------------------------- */

/* Removes the next value, up to a comma outside of brackets, from *rest. Returns false if there is none. After the last
 * value, rest->p is NULL. */
static bool next_value(Text *rest, Text *value)
{
    int open = 0;
    size_t n = 0;
    if (!rest->p)
        return false;
    for (; n < rest->n && (open > 0 || rest->p[n] != ','); n++)
        open += !!strchr("[({", rest->p[n]) - !!strchr("])}", rest->p[n]);
    *value = text_trim((Text){rest->p, n});
    *rest = n < rest->n ? (Text){rest->p + n + 1, rest->n - n - 1} : (Text){NULL, 0};
    return true;
}

static size_t count_values(Text rest)
{
    size_t n = 0;
    for (Text value; next_value(&rest, &value);)
        n++;
    return n;
}

/* Reports whether a text "key=value" has several values to try. */
static bool varies(const Recommender *kind, const char *set)
{
    Text value = text_of(set), key;
    return text_next(&value, '=', &key) && value.p && setting_commas(kind, key) == COMMAS_CHOICES &&
           count_values(value) > 1;
}

/* Adds the dimension of a text "key=value,value". */
static bool add_dimension(Grid *g, const char *set, Arena *a, Error *e)
{
    Text rest = text_of(set), key, value;
    text_next(&rest, '=', &key);
    size_t n = 0, most = count_values(rest);
    const char **values = NEW(a, const char *, most, e), **spelt = NEW(a, const char *, most, e);
    const char *name = arena_strndup(a, key.p, key.n, e);
    if (!values || !spelt || !name)
        return false;
    TextIndex *seen = text_index_new(a, e);
    for (; seen && next_value(&rest, &value); n++) {
        if (!value.n)
            return fail(e, SP_USAGE, "setting %.100s: a value between commas is empty", set);
        if (!(values[n] = arena_strndup(a, value.p, value.n, e)) || !(spelt[n] = point_value(values[n], a, e)))
            return false;
        int64_t at = text_index_add(seen, text_of(spelt[n]), e);
        if (at >= 0 && at < (int64_t)n)
            return fail(e, SP_USAGE, "setting %.100s: the value %s is given twice", set, spelt[n]);
    }
    if (e->code)
        return false;
    g->dims[g->dim_count++] = (Dimension){.key = name, .distribution = DIST_CHOICE, .values = values, .count = n};
    return true;
}

static bool has_key(const char *set, Text key)
{
    return !strncmp(set, key.p, key.n) && set[key.n] == '=';
}

bool grid_read(Grid *g, const Recommender *kind, const char *const *set, size_t n, Arena *a, Error *e)
{
    *g = (Grid){.fixed = NEW(a, const char *, n, e), .dims = NEW(a, Dimension, n, e)};
    if (!g->fixed || !g->dims)
        return false;
    for (size_t i = 0; i < n; i++) {
        Text value = text_of(set[i]), key;
        text_next(&value, '=', &key);
        bool again = false;
        for (size_t k = i + 1; k < n && !again; k++)
            again = value.p && has_key(set[k], key);
        if (again)
            continue;
        if (varies(kind, set[i])) {
            if (!add_dimension(g, set[i], a, e))
                return false;
            continue;
        }
        Text rest = value, first;
        if (value.p && setting_commas(kind, key) == COMMAS_LIST && next_value(&rest, &first) && rest.p &&
            text_starts(first, "["))
            return fail(e, SP_USAGE,
                        "setting %.100s: several lists: a grid tries values of settings that take one value; give one "
                        "list",
                        set[i]);
        g->fixed[g->fixed_count++] = set[i];
    }
    return grid_points(g->dims, g->dim_count, &g->points, e);
}

bool grid_set(const Grid *g, int64_t point, const char *const **set, size_t *n, Arena *a, Error *e)
{
    const char **texts = NEW(a, const char *, g->fixed_count + g->dim_count, e);
    const char **values = NEW(a, const char *, g->dim_count, e);
    if (!texts || !values)
        return false;
    grid_point(g->dims, g->dim_count, point, values);
    for (*n = 0; *n < g->fixed_count; ++*n)
        texts[*n] = g->fixed[*n];
    for (size_t i = 0; i < g->dim_count; i++)
        if (!(texts[(*n)++] = arena_printf(a, e, "%s=%s", g->dims[i].key, values[i])))
            return false;
    *set = texts;
    return true;
}
