/* recsys/search/row.c: the columns of a trial, their bounds, and the order of trials. */
// flags: -Os
#include "recsys/search/ledger.h"

#include <math.h>
#include <stdlib.h>

const char *const trial_states[4] = {"open", "running", "done", "failed"};
const char *const study_selects[2] = {"valid", "test"};

enum {
    NAME_MOST = 1000,
    POINT_MOST = 1 << 14,
    MESSAGE_MOST = 4096,
    OBJECT_MOST = 1 << 20,  /* enough for a thousand cutoffs of thirty metrics */
    HISTORY_MOST = 1 << 24, /* enough for ten figures of 100,000 epochs */
    KEY_DIGITS = 32
};

#define TEXT_COLUMN(member, kind, most, exported)                                                                      \
    {                                                                                                                  \
#member, kind, offsetof(TrialRow, member), most, exported                                                      \
    }
#define NUMBER_COLUMN(member, kind, exported)                                                                          \
    {                                                                                                                  \
#member, kind, offsetof(TrialRow, member), 0, exported                                                         \
    }
const Column trial_columns[TRIAL_COLUMNS] = {
    TEXT_COLUMN(data, COLUMN_NAME, NAME_MOST, true),
    TEXT_COLUMN(setting, COLUMN_NAME, NAME_MOST, true),
    TEXT_COLUMN(fold, COLUMN_NAME, NAME_MOST, true),
    TEXT_COLUMN(model, COLUMN_NAME, NAME_MOST, true),
    TEXT_COLUMN(point, COLUMN_NAME, POINT_MOST, true),
    NUMBER_COLUMN(seed, COLUMN_U64, true),
    NUMBER_COLUMN(number, COLUMN_I64, true),
    TEXT_COLUMN(key, COLUMN_NAME, KEY_DIGITS, true),
    NUMBER_COLUMN(state, COLUMN_STATE, true),
    TEXT_COLUMN(message, COLUMN_NAME, MESSAGE_MOST, true),
    TEXT_COLUMN(settings, COLUMN_JSON, OBJECT_MOST, true),
    NUMBER_COLUMN(best_epoch, COLUMN_I64, true),
    NUMBER_COLUMN(epochs, COLUMN_I64, true),
    TEXT_COLUMN(valid, COLUMN_JSON, OBJECT_MOST, true),
    TEXT_COLUMN(test, COLUMN_JSON, OBJECT_MOST, true),
    TEXT_COLUMN(history, COLUMN_TEXT, HISTORY_MOST, true),
    TEXT_COLUMN(worker, COLUMN_NAME, NAME_MOST, false),
    NUMBER_COLUMN(started, COLUMN_I64, false),
    NUMBER_COLUMN(seconds, COLUMN_REAL, false),
    NUMBER_COLUMN(epoch_seconds, COLUMN_REAL, false),
    NUMBER_COLUMN(eval_seconds, COLUMN_REAL, false),
    NUMBER_COLUMN(peak_bytes, COLUMN_I64, false),
};

/* ---- bounds ---------------------------------------------------------------------------------- */

static bool has_control(Text t)
{
    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char)t.p[i] < 0x20 || t.p[i] == 0x7f)
            return true;
    return false;
}

/* Checks an object whose values all have one type; numbers must be finite. */
static bool is_object(Text text, JsonType of, const char *where, Error *e)
{
    Arena *scratch = arena_new(NULL, 0);
    const Json *j = scratch ? json_parse(scratch, text, where, e) : NULL;
    bool ok = j != NULL;
    if (!scratch)
        ok = fail_memory(e, 1, "an arena");
    else if (j && j->type != JSON_OBJECT)
        ok = fail(e, SP_FORMAT, "%s: is not a JSON object", where);
    for (const Json *value = ok ? j->first : NULL; ok && value; value = value->next)
        if (value->type != of || (of == JSON_NUMBER && !isfinite(value->number)))
            ok = fail(e, SP_FORMAT, "%s: the value of %.*s is not a %s", where, (int)MIN(value->key.n, (size_t)40),
                      value->key.p, of == JSON_NUMBER ? "number" : "text");
    arena_free(scratch);
    return ok;
}

/* Checks the content of a value (JSON, history), not only its bytes and its length. An import uses it. */
static bool check_deep(const Column *c, Text value, const char *where, Error *e)
{
    char place[200];
    snprintf(place, sizeof place, "%.150s: column %s", where, c->name);
    if (c->kind == COLUMN_TEXT)
        return history_read(value, place, NULL, NULL, NULL, e);
    return c->kind != COLUMN_JSON ||
           is_object(value, c->at == offsetof(TrialRow, settings) ? JSON_STRING : JSON_NUMBER, place, e);
}

static bool check_text(const Column *c, const char *value, bool deep, const char *where, Error *e)
{
    size_t at;
    Text t = text_of(value ? value : "");
    if (t.n > c->most)
        return fail(e, SP_FORMAT, "%s: column %s: has %zu bytes, at most %zu are allowed", where, c->name, t.n,
                    c->most);
    if (!utf8_valid(t, &at))
        return fail(e, SP_FORMAT, "%s: column %s: byte %zu is not UTF-8", where, c->name, at + 1);
    if (c->kind == COLUMN_NAME && has_control(t))
        return fail(e, SP_FORMAT, "%s: column %s: contains a control character", where, c->name);
    return !deep || check_deep(c, t, where, e);
}

static bool check_number(const Column *c, const TrialRow *row, const char *where, Error *e)
{
    const void *at = column_of(c, row);
    if (c->kind == COLUMN_I64 && *(const int64_t *)at < 0)
        return fail(e, SP_FORMAT, "%s: column %s: %lld is below 0", where, c->name, (long long)*(const int64_t *)at);
    if (c->kind == COLUMN_REAL && !(isfinite(*(const double *)at) && *(const double *)at >= 0))
        return fail(e, SP_FORMAT, "%s: column %s: %g is not a time", where, c->name, *(const double *)at);
    if (c->kind == COLUMN_STATE && (unsigned)row->state >= COUNT(trial_states))
        return fail(e, SP_FORMAT, "%s: column %s: %d is no state", where, c->name, (int)row->state);
    return true;
}

static bool is_key(const char *key)
{
    return strlen(key) == KEY_DIGITS && strspn(key, "0123456789abcdef") == KEY_DIGITS;
}

bool row_check(const TrialRow *row, bool deep, const char *where, Error *e)
{
    for (size_t i = 0; i < TRIAL_COLUMNS; i++) {
        const Column *c = &trial_columns[i];
        if (!(column_is_text(c) ? check_text(c, *(const char **)column_of(c, row), deep, where, e)
                                : check_number(c, row, where, e)))
            return false;
    }
    if (!is_key(row->key))
        return fail(e, SP_FORMAT, "%s: column key: is not %d hexadecimal digits", where, KEY_DIGITS);
    if (!*row->data || !*row->model)
        return fail(e, SP_FORMAT, "%s: column %s: is empty", where, *row->data ? "model" : "data");
    if (row->best_epoch > row->epochs)
        return fail(e, SP_FORMAT, "%s: column best_epoch: %lld is above the %lld epochs", where,
                    (long long)row->best_epoch, (long long)row->epochs);
    return true;
}

bool extraction_check(const ExtractionRow *x, const char *where, Error *e)
{
    static const Column NAME = {"extraction", COLUMN_NAME, 0, NAME_MOST, false};
    const char *const texts[] = {x->data, x->setting, x->modality, x->model};
    for (size_t i = 0; i < COUNT(texts); i++)
        if (!check_text(&NAME, texts[i], false, where, e))
            return false;
    return (x->items >= 0 && x->width >= 0 && x->peak_bytes >= 0 && isfinite(x->seconds) && x->seconds >= 0) ||
           fail(e, SP_FORMAT, "%s: an extraction has a number below 0", where);
}

const char *row_name(const TrialRow *row, Arena *a, Error *e)
{
    return arena_printf(a, e, "%s%s%s%s%s/%s%s%.200s seed %llu", row->data, *row->setting ? "/" : "", row->setting,
                        *row->fold ? "/" : "", row->fold, row->model, *row->point ? " " : "", row->point,
                        (unsigned long long)row->seed);
}

/* ---- order ----------------------------------------------------------------------------------- */

int row_compare(const TrialRow *a, const TrialRow *b)
{
    const char *const x[] = {a->data, a->setting, a->fold, a->model, a->point};
    const char *const y[] = {b->data, b->setting, b->fold, b->model, b->point};
    for (size_t i = 0; i < COUNT(x); i++) {
        int order = strcmp(x[i], y[i]);
        if (order)
            return order;
    }
    return (a->seed > b->seed) - (a->seed < b->seed);
}

typedef struct Ranked {
    TrialRow row;
    size_t part[3], seed; /* positions in the study, as `rank` sets them; SIZE_MAX: not in the study */
} Ranked;

static int by_rank(const void *x, const void *y)
{
    const Ranked *a = x, *b = y;
    const char *const p[] = {a->row.data, a->row.setting, a->row.fold, a->row.model};
    const char *const q[] = {b->row.data, b->row.setting, b->row.fold, b->row.model};
    for (size_t i = 0; i < COUNT(p); i++) {
        size_t m = i == 3 ? a->part[2] : a->part[MIN(i, (size_t)1)],
               n = i == 3 ? b->part[2] : b->part[MIN(i, (size_t)1)];
        int order = m != n ? (m < n ? -1 : 1) : strcmp(p[i], q[i]);
        if (order)
            return order;
    }
    if (a->row.number != b->row.number)
        return a->row.number < b->row.number ? -1 : 1;
    if (a->seed != b->seed)
        return a->seed < b->seed ? -1 : 1;
    return row_compare(&a->row, &b->row);
}

/* Sets part[0] for the data set's name, [1] for data set, setting and fold together, [2] for the model, and `seed` for
 * the seed in the model's list. */
static void rank(Ranked *r, const Study *s)
{
    r->part[0] = r->part[1] = r->part[2] = r->seed = SIZE_MAX;
    for (size_t i = s->data_count; i-- > 0;) {
        const StudyData *d = &s->data[i];
        if (strcmp(d->name, r->row.data) != 0)
            continue;
        r->part[0] = i;
        if (!strcmp(d->setting, r->row.setting) && !strcmp(d->fold, r->row.fold))
            r->part[1] = i;
    }
    for (size_t i = 0; i < s->model_count; i++)
        if (!strcmp(s->models[i].name, r->row.model)) {
            r->part[2] = i;
            for (size_t k = s->models[i].seed_count; k-- > 0;)
                if (s->models[i].seeds[k] == r->row.seed)
                    r->seed = k;
        }
}

bool rows_sort(TrialRow *rows, size_t n, const Study *s, Arena *a, Error *e)
{
    static const Study NONE;
    Ranked *list = NEW(a, Ranked, n, e);
    if (!list)
        return false;
    for (size_t i = 0; i < n; i++) {
        list[i].row = rows[i];
        rank(&list[i], s ? s : &NONE);
    }
    if (n)
        qsort(list, n, sizeof *list, by_rank);
    for (size_t i = 0; i < n; i++)
        rows[i] = list[i].row;
    return true;
}
