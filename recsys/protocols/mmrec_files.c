/* recsys/protocols/mmrec_files.c: writes what MMRec writes at the end of a search: its log (src/utils/quick_start.py
 * and src/common/trainer.py) and its table of recommendations (src/utils/topk_evaluator.py).
 *
 * The combinations are in MMRec's order: the first seed with every point, then the next seed. Epochs are numbered from
 * 0, as in MMRec. Losses are means over batches; MMRec logs sums. */
// flags: -Os
#include "recsys/protocols/elliot.h"
#include "recsys/protocols/mmrec.h"

#include <math.h>
#include <time.h>

#define BLOCKS "\xe2\x96\x88\xe2\x96\x88" /* two full blocks */

typedef struct Log {
    Out *out;
    const Study *s;
    const StudyView *v;
    const StudyModel *model;
    const Group *group;
    const char **order; /* figures in MMRec's order: "Recall@5", ... */
    size_t figures;
    char stamp[64], file_time[64];
    Arena *arena;
    Error *e;
} Log;

/* ---- texts ----------------------------------------------------------------------------------- */

/* Makes "Tue 24 Nov 2026 23:12:01" and "Nov-24-2026-23-12-01", in English in every locale. */
static void set_times(Log *l, int64_t now)
{
    static const char *const DAYS[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}, *const MONTHS[] = {
                                                                                             "Jan", "Feb", "Mar",
                                                                                             "Apr", "May", "Jun",
                                                                                             "Jul", "Aug", "Sep",
                                                                                             "Oct", "Nov", "Dec"};
    struct tm t = {0};
    time_t seconds = (time_t)now;
    if (!localtime_r(&seconds, &t))
        memset(&t, 0, sizeof t);
    const char *day = DAYS[t.tm_wday % 7], *month = MONTHS[t.tm_mon % 12];
    int year = 1900 + t.tm_year;
    snprintf(l->stamp, sizeof l->stamp, "%s %02d %s %d %02d:%02d:%02d", day, t.tm_mday, month, year, t.tm_hour,
             t.tm_min, t.tm_sec);
    snprintf(l->file_time, sizeof l->file_time, "%s-%02d-%d-%02d-%02d-%02d", month, t.tm_mday, year, t.tm_hour,
             t.tm_min, t.tm_sec);
}

/* Formats a value as Python's repr: 0.00001 is 1e-05, 2 is 2, 2.0 is 2.0; a word has quotes, except True and False. */
static void python_value(const char *text, char *out, size_t size)
{
    int64_t whole;
    double number;
    if (text_i64(text_of(text), &whole)) {
        snprintf(out, size, "%lld", (long long)whole);
        return;
    }
    if (!text_f64(text_of(text), &number) || !isfinite(number)) {
        bool plain = *text == '[' || !strcmp(text, "True") || !strcmp(text, "False");
        snprintf(out, size, plain ? "%.80s" : "'%.80s'", text);
        return;
    }
    char buffer[32];
    snprintf(out, size, "%s", python_float(number, buffer));
}

static void line(Log *l, const char *format, ...) PRINTF_LIKE(2, 3);
static void line(Log *l, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(NULL, 0, format, list);
    va_end(list);
    ArenaMark mark = arena_mark(l->arena);
    char *text = n >= 0 ? NEW(l->arena, char, n + 1, l->e) : NULL;
    if (!text)
        return;
    va_start(list, format);
    vsnprintf(text, (size_t)n + 1, format, list);
    va_end(list);
    out_printf(l->out, l->e, "%s INFO %s\n", l->stamp, text);
    arena_rewind(l->arena, mark);
}

/* Makes "recall@5: 0.0123 ..." from a JSON object of figures. */
static const char *figures_text(Log *l, const char *json)
{
    const Json *object = json_parse(l->arena, text_of(json), "ledger", l->e), *j;
    const char *text = "";
    for (size_t i = 0; object && text && i < l->figures; i++) {
        const char *name = arena_lower(l->arena, l->order[i], strlen(l->order[i]), l->e);
        if (name && (j = json_get(object, l->order[i])) && j->type == JSON_NUMBER)
            text = arena_printf(l->arena, l->e, "%s%s: %.04f    ", text, name, j->number);
        else if (!name)
            text = NULL;
    }
    return object && text ? text : "";
}

/* Makes "['seed', 'lr']=(999, 0.001)": the keys and values of a combination. */
static const char *parameters(Log *l, const GroupPoint *p, uint64_t seed)
{
    const char *keys = "['seed'", *values = arena_printf(l->arena, l->e, "(%llu", (unsigned long long)seed);
    size_t below = 1;
    for (size_t i = 0; i < l->model->dim_count; i++)
        below *= l->model->dims[i].count;
    for (size_t i = 0, at = (size_t)p->number; i < l->model->dim_count && keys && values; i++) {
        const Dimension *d = &l->model->dims[i];
        char text[128];
        below /= d->count;
        python_value(d->values[at / below % d->count], text, sizeof text);
        keys = arena_printf(l->arena, l->e, "%s, '%s'", keys, d->key);
        values = arena_printf(l->arena, l->e, "%s, %s", values, text);
    }
    return keys && values ? arena_printf(l->arena, l->e, "%s]=%s%s)", keys, values, l->model->dim_count ? "" : ",")
                          : "";
}

/* ---- combinations ---------------------------------------------------------------------------- */

/* Returns a figure from a line of history.tsv; NaN if there is none. */
static double history_figure(const Text *cells, const Text *names, size_t n, const char *part, const char *figure)
{
    for (size_t i = 0; i < n; i++) {
        Text rest = names[i], first;
        double value;
        if (text_next(&rest, ' ', &first) && text_is(first, part) && text_is(rest, figure) &&
            text_f64(cells[i], &value))
            return value;
    }
    return NAN;
}

static const char *history_text(Log *l, const Text *cells, const Text *names, size_t n, const char *part)
{
    const char *text = "";
    for (size_t i = 0; i < l->figures && text; i++) {
        const char *name = arena_lower(l->arena, l->order[i], strlen(l->order[i]), l->e);
        double value = history_figure(cells, names, n, part, l->order[i]);
        text = name ? arena_printf(l->arena, l->e, "%s%s: %.04f    ", text, name, value) : NULL;
    }
    return text ? text : "";
}

static size_t cells_of(Text row, Text *cells, size_t room)
{
    size_t n = 0;
    for (Text cell; n < room && text_next(&row, '\t', &cell);)
        cells[n++] = cell;
    return n;
}

/* Writes the lines of each evaluated epoch. */
static bool write_epochs(Log *l, const TrialRow *r)
{
    Text rest = text_of(r->history), row, header;
    double best = -1;
    if (!text_line(&rest, &header))
        return true;
    size_t room = 2 + 2 * l->figures;
    Text *names = NEW(l->arena, Text, room, l->e), *cells = NEW(l->arena, Text, room, l->e);
    const char *chosen = names && cells ? l->v->metric : NULL;
    size_t columns = chosen ? cells_of(header, names, room) : 0;
    while (chosen && text_line(&rest, &row) && row.n) {
        int64_t epoch = 0;
        double loss = NAN;
        size_t n = MIN(columns, cells_of(row, cells, room));
        if (n < 2 || !text_i64(cells[0], &epoch))
            continue;
        text_f64(cells[1], &loss);
        double score = rint(1e4 * history_figure(cells, names, n, "valid", chosen)) / 1e4; /* rounded as in MMRec */
        line(l, "epoch %lld training [time: %.2fs, train loss: %.4f]", (long long)epoch - 1, r->epoch_seconds, loss);
        line(l, "epoch %lld evaluating [time: %.2fs, valid_score: %f]", (long long)epoch - 1, r->eval_seconds, score);
        line(l, "valid result: \n%s", history_text(l, cells, names, n, "valid"));
        line(l, "test result: \n%s", history_text(l, cells, names, n, "test"));
        if (score > best) {
            best = score;
            line(l, BLOCKS " %s--Best validation results updated!!!", l->model->name);
        }
    }
    line(l, "+++++Finished training, best eval result in epoch %lld", (long long)r->best_epoch - 1);
    return l->e->code == SP_OK;
}

static const TrialRow *row_of(const GroupPoint *p, uint64_t seed)
{
    for (size_t i = 0; i < p->finished; i++)
        if (p->rows[i]->seed == seed)
            return p->rows[i];
    return NULL;
}

static double chosen_figure(Log *l, const TrialRow *r)
{
    const Json *j = json_parse(l->arena, text_of(l->s->select == SELECT_TEST ? r->test : r->valid), "ledger", l->e);
    j = j ? json_get(j, l->v->metric) : NULL;
    return j && j->type == JSON_NUMBER ? j->number : NAN;
}

typedef struct Combination {
    const TrialRow *row; /* NULL: it has no figures */
    const char *parameters, *valid, *test;
} Combination;

/* Writes the lines of all combinations. list [*count] receives them; *best: index of the best one so far. */
static bool write_combinations(Log *l, Combination *list, size_t *count, size_t *best)
{
    double most = -1;
    size_t all = l->group->count * l->model->seed_count;
    *count = 0;
    for (size_t k = 0; k < l->model->seed_count; k++)
        for (size_t i = 0; i < l->group->count; i++) {
            const GroupPoint *p = &l->group->points[i];
            Combination *c = &list[*count];
            c->row = row_of(p, l->model->seeds[k]);
            c->parameters = parameters(l, p, l->model->seeds[k]);
            line(l, "=========%zu/%zu: Parameters:%s=======", ++*count, all, c->parameters);
            if (!c->row || c->row->state != TRIAL_DONE) {
                line(l, "failed: %s", c->row ? c->row->message : "it was not run");
                c->row = NULL;
                continue;
            }
            c->valid = figures_text(l, c->row->valid);
            c->test = figures_text(l, c->row->test);
            if (!write_epochs(l, c->row))
                return false;
            double figure = chosen_figure(l, c->row);
            if (figure > most) {
                most = figure;
                *best = *count - 1;
            }
            line(l, "best valid result: %s", c->valid);
            line(l, "test result: %s", c->test);
            if (list[*best].row)
                line(l, BLOCKS BLOCKS "Current BEST" BLOCKS BLOCKS ":\nParameters: %s,\nValid: %s,\nTest: %s\n\n\n",
                     list[*best].parameters, list[*best].valid, list[*best].test);
        }
    return l->e->code == SP_OK;
}

static bool write_log(Log *l, const char *path, size_t *best)
{
    Combination *list = NEW(l->arena, Combination, l->group->count * l->model->seed_count + 1, l->e);
    size_t count = 0;
    if (!list || !(l->out = out_open(path, arena_heap(l->arena), l->e)))
        return false;
    line(l, BLOCKS "Dir: \t%s\n", l->s->out);
    line(l, "\nmodel=%s\ndataset=%s\nvalid_metric=%s\nselect=%s\n", l->model->name, l->s->name, l->v->metric,
         study_selects[l->s->select]);
    for (size_t i = 0; i < l->model->set_count; i++)
        line(l, "%s", l->model->set[i]);
    line(l, "\n\n=================================\n\n");
    if (!write_combinations(l, list, &count, best)) {
        out_discard(l->out);
        return false;
    }
    line(l, "\n============All Over=====================");
    for (size_t i = 0; i < count; i++)
        if (list[i].row)
            line(l, "Parameters: %s,\n best valid: %s,\n best test: %s", list[i].parameters, list[i].valid,
                 list[i].test);
    line(l, "\n\n" BLOCKS BLOCKS BLOCKS BLOCKS " BEST " BLOCKS BLOCKS BLOCKS BLOCKS);
    if (count && list[*best].row)
        line(l, "\tParameters: %s,\nValid: %s,\nTest: %s\n\n", list[*best].parameters, list[*best].valid,
             list[*best].test);
    if (l->e->code == SP_OK)
        return out_commit(l->out, l->e);
    out_discard(l->out);
    return false;
}

/* ---- recommendations ------------------------------------------------------------------------- */

/* Converts the file of study_recs (lines of user, item and score) to MMRec's table: id, top_0, top_1, ... */
static bool write_table(Log *l, const char *from, const char *path, int64_t k)
{
    Text content, user = {0};
    if (!file_read(&content, l->arena, from, 0, l->e))
        return false;
    Table t = table_open(content, '\t', from, l->arena);
    if (!(l->out = out_open(path, arena_heap(l->arena), l->e)))
        return false;
    bool ok = out_printf(l->out, l->e, "id");
    for (int64_t i = 0; ok && i < k; i++)
        ok = out_printf(l->out, l->e, "\ttop_%lld", (long long)i);
    while (ok && table_next(&t, l->e)) {
        if (t.count < 2) {
            ok = fail(l->e, SP_FORMAT, "%s:%zu: user, item and score are expected", from, t.line);
        } else if (!text_equal(user, t.field[0])) {
            char *copy = arena_strndup(l->arena, t.field[0].p, t.field[0].n, l->e);
            user = (Text){copy, t.field[0].n};
            ok = copy && out_printf(l->out, l->e, "\n%.*s", (int)user.n, user.p);
        }
        ok = ok && out_printf(l->out, l->e, "\t%.*s", (int)t.field[1].n, t.field[1].p);
    }
    ok = ok && l->e->code == SP_OK && out_printf(l->out, l->e, "\n");
    if (ok)
        return out_commit(l->out, l->e);
    out_discard(l->out);
    return false;
}

static bool write_recommendations(Log *l, const GroupPoint *p, size_t best)
{
    const TrialRow *r = p ? row_of(p, l->model->seeds[0]) : NULL;
    const char *from = NULL;
    if (!r || l->model->save_recs == 0)
        return true;
    if (!study_recs(l->s, r, l->model->save_recs, &from, l->arena, l->e))
        return false;
    if (!from)
        return true;
    const char *folder = path_join(l->arena, l->s->out, "recommend_topk", l->e);
    const char *path = folder ? arena_printf(l->arena, l->e, "%s/%s-%s-idx%zu-top%lld-%s.csv", folder, l->model->name,
                                             l->s->name, best, (long long)l->model->save_recs, l->file_time)
                              : NULL;
    return path && folder_make(folder, l->e) && write_table(l, from, path, l->model->save_recs);
}

bool mmrec_write(const Study *s, const StudyView *v, int64_t now, Arena *a, Error *e)
{
    Log l = {.s = s, .v = v, .arena = a, .e = e};
    size_t best = 0;
    set_times(&l, now);
    if (s->model_count != 1 || v->group_count != 1)
        return fail(e, SP_USAGE, "%s: a study of MMRec has one model and one data set", s->source);
    l.model = &s->models[0];
    l.group = &v->groups[0];
    l.order = v->figures;
    l.figures = v->figure_count;
    const char *folder = path_join(a, s->out, "log", e);
    const char *path =
        folder ? arena_printf(a, e, "%s/%s-%s-%s.log", folder, l.model->name, s->name, l.file_time) : NULL;
    return path && folder_make(folder, e) && write_log(&l, path, &best) &&
           write_recommendations(&l, l.group->best >= 0 ? &l.group->points[l.group->best] : NULL,
                                 l.group->best >= 0 ? (size_t)l.group->points[l.group->best].number : 0);
}
