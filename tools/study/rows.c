/* tools/study/rows.c: groups in the order of the tables, knock-outs and the rows they are compared with, numbers and
 * names for readers. */
// flags: -Os
#include "tools/study/study.h"

#include <math.h>
#include <stdlib.h>

const char *report_text(StudyPage *s, const char *format, ...)
{
    char small[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : arena_alloc(s->a, (size_t)n + 1, 1, s->e);
    if (!text)
        return "";
    if (n < (int)sizeof small) {
        memcpy(text, small, (size_t)n + 1);
        return text;
    }
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

/* ---- figures --------------------------------------------------------------------------------- */

const GroupPoint *report_best(const Group *g)
{
    return g->best >= 0 && (size_t)g->best < g->count ? &g->points[g->best] : NULL;
}

double report_figure(const StudyPage *s, const GroupPoint *p, size_t figure)
{
    const double *values = !p ? NULL : s->on_test ? p->test : p->valid;
    return values && figure < s->v->figure_count ? values[figure] : NAN;
}

double report_metric(const StudyPage *s, const GroupPoint *p)
{
    const double *values = !p ? NULL : s->v->select == SELECT_TEST ? p->test : p->valid;
    double value = values && s->metric < s->v->figure_count ? values[s->metric] : NAN;
    return isnan(value) ? report_figure(s, p, s->metric) : value;
}

const char *report_number(StudyPage *s, double value, size_t figure)
{
    int decimals = figure < s->v->figure_count ? s->decimals[figure] : 4;
    return isfinite(value) ? report_text(s, "%.*f", decimals, value) : "-";
}

Cell report_cell(StudyPage *s, int decimals, double value)
{
    Cell c = {.text = "-", .exact = ""};
    if (!isfinite(value))
        return c;
    c.text = report_text(s, "%.*f", decimals, value);
    c.exact = report_text(s, "%.9g", value);
    return c;
}

/* Figures beyond accuracy follow Elliot (docs/recipes.md 6). Neither direction is better for mean popularity (ARP,
 * AveragePopularity) and for figures of how the recommendations spread over the items (Gini, GiniIndex,
 * NumRetrieved). */
bool report_direction(const char *figure, bool *lower)
{
    static const char *const LOWER[] = {"PopREO", "PopRSP", "REO", "RSP", "MAE", "MSE", "RMSE"},
                             *const NEITHER[] = {"ARP", "AveragePopularity", "Gini", "GiniIndex", "NumRetrieved"};
    size_t n = strcspn(figure, "@");
    *lower = false;
    for (size_t i = 0; i < COUNT(NEITHER); i++)
        if (text_is((Text){figure, n}, NEITHER[i]))
            return false;
    for (size_t i = 0; i < COUNT(LOWER); i++)
        *lower |= text_is((Text){figure, n}, LOWER[i]);
    return true;
}

const char *report_duration(StudyPage *s, double seconds)
{
    if (!(seconds >= 0) || !isfinite(seconds))
        return "-";
    if (seconds < 9.95)
        return report_text(s, "%.1f s", seconds);
    if (seconds < 59.5)
        return report_text(s, "%.0f s", seconds);
    double minutes = floor(seconds / 60 + 0.5);
    if (minutes < 60)
        return report_text(s, "%.0f min", minutes);
    return report_text(s, "%.0f h %.0f min", floor(minutes / 60), fmod(minutes, 60));
}

/* Chooses the decimals of each figure: the larger the largest value, the fewer decimals. Shares have four. */
static bool choose_decimals(StudyPage *s)
{
    const StudyView *v = s->v;
    s->metric = v->figure_count;
    if (!(s->decimals = NEW(s->a, int, v->figure_count, s->e)))
        return false;
    for (size_t g = 0; g < v->group_count; g++) {
        const GroupPoint *p = report_best(&v->groups[g]);
        for (size_t f = 0; p && p->test && f < v->figure_count; f++)
            s->on_test |= isfinite(p->test[f]);
    }
    for (size_t f = 0; f < v->figure_count; f++) {
        double most = 0;
        for (size_t g = 0; g < v->group_count; g++)
            most = fmax(most, fabs(report_figure(s, report_best(&v->groups[g]), f))); /* fmax ignores NaN */
        s->decimals[f] = most < 10 ? 4 : most < 1000 ? 2 : 0;
        if (v->metric && strcmp(v->figures[f], v->metric) == 0)
            s->metric = f;
    }
    return true;
}

/* ---- groups in order ------------------------------------------------------------------------- */

static TextIndex *index_of(const char *const *names, size_t count, StudyPage *s)
{
    TextIndex *ix = text_index_new(s->a, s->e);
    for (size_t i = 0; ix && i < count; i++)
        if (text_index_add(ix, text_of(names[i]), s->e) < 0)
            return NULL;
    return ix;
}

static int by_place(const void *a, const void *b)
{
    const StudyRow *x = a, *y = b;
    const size_t left[] = {x->data, x->model, x->setting}, right[] = {y->data, y->model, y->setting};
    for (size_t i = 0; i < COUNT(left); i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return (x->group > y->group) - (x->group < y->group);
}

static bool find_places(StudyPage *s)
{
    const StudyView *v = s->v;
    TextIndex *data = index_of(v->data, v->data_count, s), *settings = index_of(v->settings, v->setting_count, s),
              *models = index_of(v->models, v->model_count, s);
    if (!data || !settings || !models)
        return false;
    for (size_t g = 0; g < v->group_count; g++) {
        const Group *group = &v->groups[g];
        int64_t d = text_index_find(data, text_of(group->data)), m = text_index_find(models, text_of(group->model)),
                t = text_index_find(settings, text_of(group->setting));
        if (d < 0 || m < 0 || t < 0)
            return fail(s->e, SP_FORMAT, "a group of %s, %s, %s is not in the lists of its study", group->data,
                        group->setting, group->model);
        s->rows[g] = (StudyRow){.group = group, .data = (size_t)d, .model = (size_t)m, .setting = (size_t)t};
        s->first[d + 1]++;
        s->has_extractors |= *group->setting != 0;
    }
    for (size_t d = 0; d < v->data_count; d++)
        s->first[d + 1] += s->first[d];
    qsort(s->rows, v->group_count, sizeof *s->rows, by_place);
    return true;
}

/* Reports whether two groups have the same trials: a model without features is trained once, and its rows are copied to
 * every setting. */
static bool is_same(const Group *a, const Group *b)
{
    const GroupPoint *x = report_best(a), *y = report_best(b);
    if (!x || !y || x->finished != y->finished || !x->finished)
        return false;
    for (size_t i = 0; i < x->finished; i++)
        if (strcmp(x->rows[i]->key, y->rows[i]->key) != 0)
            return false;
    return true;
}

/* Returns "both noise" of the setting "CLIP, both noise", which is how a benchmark names its knock-outs, and sets *base
 * to "CLIP". NULL: another setting. */
static const char *benchmark_knock(const char *setting, Text *base)
{
    const char *name = setting;
    for (const char *comma = setting; (comma = strstr(comma, ", ")); comma++)
        name = comma + 2;
    *base = (Text){setting, name > setting ? (size_t)(name - setting) - 2 : 0};
    for (size_t i = 0; i < KNOCK_MODALITIES; i++) {
        const char *which = knock_modalities[i];
        size_t n = strlen(which);
        for (size_t m = 0; m < KNOCK_MODES; m++)
            if (!strncmp(name, which, n) && name[n] == ' ' && !strcmp(name + n + 1, knock_modes[m]))
                return name;
    }
    return NULL;
}

static void set_base(StudyPage *s, size_t begin, size_t end, size_t at, Text base, const char *knocked)
{
    for (size_t i = begin; i < end; i++)
        if (i != at && text_is(base, s->rows[i].group->setting)) {
            s->rows[at].base = i;
            s->rows[at].knocked = knocked;
        }
}

/* Finds the row that a knock-out is compared with: for "CLIP without visual (noise)", or "CLIP, visual noise", the
 * setting "CLIP" of the same model. */
static void find_base(StudyPage *s, size_t begin, size_t end, size_t at)
{
    static const char WITHOUT[] = "without ";
    StudyRow *r = &s->rows[at];
    const char *setting = r->group->setting;
    r->base = at;
    for (const char *w = strstr(setting, WITHOUT); w; w = strstr(w + 1, WITHOUT)) {
        if (w > setting && w[-1] != ' ')
            continue;
        Text base = {setting, w > setting ? (size_t)(w - setting) - 1 : 0};
        set_base(s, begin, end, at, base, w + sizeof WITHOUT - 1);
    }
    Text base;
    const char *name = benchmark_knock(setting, &base);
    if (name)
        set_base(s, begin, end, at, base, name);
}

/* The rows begin .. end - 1 of one model on one data set.
 *
 * - first_result: the first row with a result; `begin` if there is none
 * - results: number of rows with a result
 * - same: all results are of the same trials */
typedef struct Family {
    size_t begin, end, first_result, results;
    bool same;
} Family;

static Family family_of(const StudyPage *s, size_t begin)
{
    Family f = {.begin = begin, .end = report_family_end(s, begin), .first_result = begin, .same = true};
    for (size_t i = begin; i < f.end; i++)
        if (report_best(s->rows[i].group)) {
            f.first_result = f.results++ ? f.first_result : i;
            f.same = f.same && is_same(s->rows[f.first_result].group, s->rows[i].group);
        }
    return f;
}

/* Finds the models whose trials are the same in all settings of each data set. */
static bool find_alike(StudyPage *s, bool **alike)
{
    bool *differs = NEW(s->a, bool, s->v->model_count + 1, s->e);
    Family f;
    if (!differs || !(*alike = NEW(s->a, bool, s->v->model_count + 1, s->e)))
        return false;
    for (size_t begin = 0; begin < s->v->group_count; begin = f.end) {
        f = family_of(s, begin);
        (*alike)[s->rows[begin].model] |= f.same && f.results > 1;
        differs[s->rows[begin].model] |= !f.same;
    }
    for (size_t m = 0; m < s->v->model_count; m++)
        (*alike)[m] = (*alike)[m] && !differs[m];
    return true;
}

static void name_family(StudyPage *s, const Family *f, bool alike)
{
    bool begun = false;
    for (size_t i = f->begin; i < f->end; i++) {
        StudyRow *r = &s->rows[i];
        const char *model = s->models[r->model];
        find_base(s, f->begin, f->end, i);
        r->alike = alike;
        r->shown = alike ? i == f->first_result : r->base == i;
        r->begins = r->shown && !begun;
        begun |= r->shown;
        r->extractors = alike || !*r->group->setting ? "-" : r->group->setting;
        r->name = alike || !*r->group->setting ? model : report_text(s, "%s, %s", model, r->group->setting);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Names the models. Elliot calls a model of another folder external.NAME. */
static bool name_models(StudyPage *s)
{
    static const char EXTERNAL[] = "external.";
    const StudyView *v = s->v;
    TextIndex *short_names = text_index_new(s->a, s->e);
    if (!short_names || !(s->models = NEW(s->a, const char *, v->model_count, s->e)))
        return false;
    for (size_t m = 0; m < v->model_count; m++) {
        bool is_external = text_starts(text_of(v->models[m]), EXTERNAL) && v->models[m][sizeof EXTERNAL - 1];
        s->models[m] = v->models[m] + (is_external ? sizeof EXTERNAL - 1 : 0);
        if (text_index_add(short_names, text_of(s->models[m]), s->e) < 0)
            return false;
    }
    if (text_index_count(short_names) != (int64_t)v->model_count) /* two models would have the same name */
        memcpy(s->models, v->models, v->model_count * sizeof *s->models);
    return true;
}

/* Names the files of each data set by its name. Letters, digits and "._-" stay ("." and "-" not at the beginning),
 * another byte becomes "_"; at most 64 bytes are used. If an earlier data set has the same file name, a number follows.
 */
static bool name_files(StudyPage *s)
{
    enum { MOST = 64 };
    const StudyView *v = s->v;
    TextIndex *known = text_index_new(s->a, s->e);
    int *last = NEW(s->a, int, v->data_count, s->e); /* [data_count]: the last number that was tried for a name */
    if (!known || !last || !(s->files = NEW(s->a, const char *, v->data_count, s->e)))
        return false;
    for (size_t d = 0; d < v->data_count; d++) {
        char name[MOST + 1] = "data";
        size_t n = strlen(v->data[d]);
        for (size_t i = 0; i < n && i < MOST; i++) {
            char c = v->data[d][i];
            bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      (i && (c == '.' || c == '-')) || c == '_';
            name[i] = ok ? c : '_';
            name[i + 1] = 0;
        }
        s->files[d] = report_text(s, "%s", name);
        for (int64_t base = text_index_find(known, text_of(name)); text_index_find(known, text_of(s->files[d])) >= 0;) {
            last[base] = MAX(last[base], 1) + 1;
            s->files[d] = report_text(s, "%s-%d", name, last[base]);
        }
        if (s->e->code != SP_OK || text_index_add(known, text_of(s->files[d]), s->e) < 0)
            return false;
    }
    return true;
}

/* ---- trials ---------------------------------------------------------------------------------- */

static const char *point_key(StudyPage *s, const char *data, const char *setting, const char *model, const char *point)
{
    return report_text(s, "%s\t%s\t%s\t%s", data, setting, model, point);
}

static bool index_points(StudyPage *s)
{
    s->points = text_index_new(s->a, s->e);
    for (size_t g = 0; s->points && g < s->v->group_count; g++) {
        const Group *group = &s->v->groups[g];
        for (size_t i = 0; i < group->count; i++) {
            const char *key = point_key(s, group->data, group->setting, group->model, group->points[i].point);
            if (text_index_add(s->points, text_of(key), s->e) < 0)
                return false;
        }
    }
    return s->points != NULL;
}

bool report_has(StudyPage *s, const TrialRow *row)
{
    ArenaMark mark = arena_mark(s->a);
    const char *key = point_key(s, row->data, row->setting, row->model, row->point);
    bool found = text_index_find(s->points, text_of(key)) >= 0;
    arena_rewind(s->a, mark);
    return found;
}

size_t report_planned(const Group *g, size_t *finished)
{
    size_t trials = 0;
    *finished = 0;
    for (size_t i = 0; i < g->count; i++) {
        trials += g->points[i].trials;
        *finished += g->points[i].finished;
    }
    return MAX(trials, g->planned);
}

bool report_rows(StudyPage *s)
{
    const StudyView *v = s->v;
    bool *alike;
    Family f;
    s->rows = NEW(s->a, StudyRow, v->group_count + 1, s->e);
    s->first = NEW(s->a, size_t, v->data_count + 1, s->e);
    if (!s->rows || !s->first || !choose_decimals(s) || !find_places(s) || !name_models(s) || !name_files(s) ||
        !index_points(s) || !find_alike(s, &alike))
        return false;
    for (size_t begin = 0; begin < v->group_count; begin = f.end) {
        f = family_of(s, begin);
        name_family(s, &f, alike[s->rows[begin].model]);
    }
    return s->e->code == SP_OK;
}

/* shared by the sections */

int report_colour(const StudyRow *r)
{
    return r->alike ? CHART_COLOURS - 1 : (int)(r->setting % (CHART_COLOURS - 1));
}

void report_legend(StudyPage *s)
{
    size_t n = s->v->setting_count;
    Series *list = NEW(s->a, Series, n + 1, s->e);
    bool *shown = NEW(s->a, bool, n + 1, s->e);
    size_t count = 0;
    if (!list || !shown || !s->has_extractors)
        return;
    for (size_t i = 0; i < s->v->group_count; i++) {
        const StudyRow *r = &s->rows[i];
        if (r->shown && report_best(r->group))
            shown[r->alike ? n : r->setting] = true;
    }
    for (size_t i = 0; i <= n; i++)
        if (shown[i])
            list[count++] = (Series){.name = i == n               ? "without features"
                                             : *s->v->settings[i] ? s->v->settings[i]
                                                                  : "-",
                                     .colour = i == n ? CHART_COLOURS - 1 : (int)(i % (CHART_COLOURS - 1))};
    put_legend(&s->page, list, count);
}

void report_name_columns(StudyPage *s, Sheet *t)
{
    sheet_column(t, "model", 'l');
    if (s->has_extractors && s->e->code == SP_OK)
        t->columns[sheet_column(t, "extractors", 'l')].more = true;
}

Cell *report_name_cells(StudyPage *s, Cell *row, const StudyRow *r)
{
    row->text = s->models[r->model];
    if (s->has_extractors)
        (++row)->text = r->extractors;
    return row + 1;
}

Sheet report_sheet(StudyPage *s, const StudyRow *r, const char *what)
{
    return sheet_new(r ? report_text(s, "%s-%s", s->files[r->data], what) : what,
                     r ? report_text(s, "%s: %s", s->v->data[r->data], what) : what, s->a, s->e);
}

static void write_files(StudyPage *s, const Sheet *t)
{
    for (int i = 0; s->e->code == SP_OK && i < SHEET_FORMATS; i++) {
        const char *path = path_join(s->a, s->tables, report_text(s, "%s%s", t->file, sheet_ends[i]), s->e);
        if (!path || (s->c && !output_check(s->c, "tables", path, s->e)))
            return;
        Page p = {.out = out_open(path, s->page.heap, s->e), .heap = s->page.heap, .e = s->e};
        if (!p.out)
            return;
        out_unsynced(p.out);
        sheet_file(&p, t, i);
        if (p.out)
            out_commit(p.out, s->e);
    }
}

void report_show(StudyPage *s, const Sheet *t, size_t most)
{
    if (s->e->code != SP_OK)
        return;
    if (most && t->rows)
        sheet_html(&s->page, t, 0, MIN(t->rows, most));
    if (most && t->rows > most)
        put(&s->page, "<p class=\"soft\">The first %zu of %zu rows.</p>\n", most, t->rows);
    if (s->tables)
        write_files(s, t);
}

void report_card(StudyPage *s, bool *open, const char *title)
{
    put(&s->page, "%s<div class=\"card\"><h4>", *open ? "" : "<div class=\"cards small\">\n");
    *open = true;
    put_text(&s->page, text_of(title));
    put(&s->page, "</h4>");
}

void report_heading(StudyPage *s, size_t d)
{
    put(&s->page, "<h3>");
    put_text(&s->page, text_of(s->v->data[d]));
    put(&s->page, "</h3>\n");
}

size_t report_family_end(const StudyPage *s, size_t begin)
{
    size_t end = begin + 1;
    while (end < s->first[s->rows[begin].data + 1] && s->rows[end].model == s->rows[begin].model)
        end++;
    return end;
}
