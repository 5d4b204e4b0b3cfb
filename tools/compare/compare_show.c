/* tools/compare/compare_show.c: prints tables, CSV and JSON. */
// flags: -Os
#include "tools/compare/compare.h"

#include <math.h>

enum { COLUMNS = 100 }; /* the largest width of a table */

static size_t column_of(const ComparedRun *run, const char *metric)
{
    return (size_t)text_index_find(run->figures.numbers, text_of(metric));
}

/* ---- the runs -------------------------------------------------------------------------------- */

static bool is_best(const Compare *x, size_t run, size_t m)
{
    double mean = x->run[run].mean[column_of(&x->run[run], x->metric[m])];
    for (size_t i = 0; i < x->runs; i++)
        if (x->run[i].mean[column_of(&x->run[i], x->metric[m])] > mean)
            return false;
    return true;
}

static const char *mean_cell(const Compare *x, size_t run, size_t m, Error *e)
{
    const ComparedRun *r = &x->run[run];
    size_t f = column_of(r, x->metric[m]);
    const char *mark = is_best(x, run, m) ? "*" : " ";
    if (isnan(r->deviation[f]))
        return arena_printf(x->c->arena, e, "%.4f%s", r->mean[f], mark);
    return arena_printf(x->c->arena, e, "%.4f (%.4f)%s", r->mean[f], r->deviation[f], mark);
}

/* Prints one table with all metrics that fit, from `first` on. Returns their number, 0 on failure. */
static size_t show_some(const Compare *x, const char *const *cell, size_t first, Error *e)
{
    size_t rows = x->runs + 1, fit = 0, width = MOST_LABEL + 9;
    for (; first + fit < x->metrics; fit++) {
        size_t widest = 0;
        for (size_t r = 0; r < rows; r++)
            widest = MAX(widest, strlen(cell[r * x->metrics + first + fit]));
        width += widest + 2;
        if (fit && width > COLUMNS)
            break;
    }
    const char **cells;
    char *align;
    if (!table_cells(&cells, &align, rows, fit + 2, x->c->arena, e))
        return 0;
    for (size_t r = 0; r < rows; r++) {
        const char **row = cells + r * (fit + 2);
        row[0] = r ? x->run[r - 1].label : "run";
        row[1] = r ? arena_printf(x->c->arena, e, "%lld", (long long)text_index_count(x->run[r - 1].figures.users))
                   : "users";
        memcpy(row + 2, cell + r * x->metrics + first, fit * sizeof *row);
    }
    return e->code == SP_OK && table_print(stdout, cells, rows, fit + 2, align, x->c->arena, e) ? fit : 0;
}

static bool show_runs(const Compare *x, Error *e)
{
    const char **cell = NEW(x->c->arena, const char *, (x->runs + 1) * x->metrics, e);
    bool seeds = false;
    for (size_t m = 0; cell && m < x->metrics; m++) {
        cell[m] = arena_printf(x->c->arena, e, "%s ", x->metric[m]);
        for (size_t r = 0; r < x->runs; r++)
            cell[(r + 1) * x->metrics + m] = mean_cell(x, r, m, e);
    }
    if (e->code)
        return false;
    for (size_t m = 0, fit = 0; m < x->metrics; m += fit)
        if (!(fit = show_some(x, cell, m, e)))
            return false;
    fputs("*: the largest of its column\n", stdout);
    for (size_t r = 0; r < x->runs; r++) {
        if (strcmp(x->run[r].path, x->run[r].label) && !strncmp(x->run[r].label, "run ", 4))
            printf("%s: %s\n", x->run[r].label, x->run[r].path);
        seeds = seeds || x->run[r].seeds > 1;
    }
    for (size_t r = 0; r < x->runs; r++)
        if (x->run[r].seeds > 1)
            printf("%s: means over %zu seeds, also per user\n", x->run[r].label, x->run[r].seeds);
    if (seeds)
        fputs("in brackets: the sample standard deviation over the seeds\n", stdout);
    return true;
}

/* ---- the pairs ------------------------------------------------------------------------------- */

static const char *p_cell(const Compare *x, double p, const char *mark, Error *e)
{
    return isnan(p) ? "- " : arena_printf(x->c->arena, e, "%.2g%s", p, mark);
}

/* Writes the columns of one test: p, and the adjusted p with a mark. */
static void put_p(const Compare *x, const char **cell, double p, double holm, Error *e)
{
    cell[0] = p_cell(x, p, "", e);
    cell[1] = p_cell(x, holm, is_significant(x, holm) ? "*" : " ", e);
}

static bool show_metric(const Compare *x, size_t m, Error *e)
{
    size_t t = 2, w = x->t ? 5 : 2, cols = x->w ? w + 2 : w;
    const char **cells;
    char *align;
    if (!table_cells(&cells, &align, x->pairs + 1, cols, x->c->arena, e))
        return false;
    cells[0] = x->metric[m];
    cells[1] = "difference";
    if (x->t) {
        cells[t] = "t";
        cells[t + 1] = "p of t";
        cells[t + 2] = "Holm ";
    }
    if (x->w) {
        cells[w] = "p of W";
        cells[w + 1] = "Holm ";
    }
    for (size_t i = 0; i < x->pairs; i++) {
        const ComparedPair *p = &x->pair[m * x->pairs + i];
        const char **row = cells + (i + 1) * cols;
        row[0] = arena_printf(x->c->arena, e, "%s - %s", x->run[p->a].label, x->run[p->b].label);
        row[1] = arena_printf(x->c->arena, e, "%+.4f", p->mean_a - p->mean_b);
        if (x->t) {
            row[t] = isnan(p->t.statistic) ? "-" : arena_printf(x->c->arena, e, "%.4g", p->t.statistic);
            put_p(x, row + t + 1, p->t.p, p->t_holm, e);
        }
        if (x->w)
            put_p(x, row + w, p->w.p, p->w_holm, e);
    }
    putchar('\n');
    return e->code == SP_OK && table_print(stdout, cells, x->pairs + 1, cols, align, x->c->arena, e);
}

static void show_legend(const Compare *x)
{
    const ComparedPair *first = x->pair;
    char text[600];
    bool same = true;
    for (size_t i = 0; i < x->pairs; i++) {
        const ComparedPair *p = &x->pair[i];
        const ComparedRun *a = &x->run[p->a], *b = &x->run[p->b];
        int64_t of_a = text_index_count(a->figures.users), of_b = text_index_count(b->figures.users);
        same = same && p->users == first->users;
        if (p->users != of_a || p->users != of_b)
            printf("%s - %s: %lld common users, of %lld and %lld\n", a->label, b->label, (long long)p->users,
                   (long long)of_a, (long long)of_b);
    }
    int n = snprintf(text, sizeof text, "%s%s%s, over the users of both runs", x->t ? "t: paired t test" : "",
                     x->t && x->w ? "; " : "", x->w ? "W: Wilcoxon's signed-rank test" : "");
    if (same)
        n += snprintf(text + n, sizeof text - (size_t)n, " (%lld)", (long long)first->users);
    snprintf(text + n, sizeof text - (size_t)n,
             "; two-sided p. Holm: p adjusted for a family: the %zu pair%s of one metric. *: significant, below %g. -: "
             "no difference to test.",
             x->pairs, x->pairs == 1 ? "" : "s", x->alpha);
    putchar('\n');
    print_wrapped(stdout, text, 0);
}

bool compare_show(Compare *x, Error *e)
{
    if (!show_runs(x, e))
        return false;
    for (size_t m = 0; m < x->metrics; m++)
        if (!show_metric(x, m, e))
            return false;
    show_legend(x);
    return true;
}

/* ---- CSV and JSON ---------------------------------------------------------------------------- */

static void csv_text(const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++)
        fputs(*text == '"' ? "\"\"" : (char[2]){*text, 0}, stdout);
    putchar('"');
}

/* Prints a number; a value that is not a number becomes an empty cell. */
static void csv_number(double x)
{
    if (isnan(x))
        putchar(',');
    else
        printf(",%.17g", x);
}

static void csv_test(const Compare *x, const PairedTest *t, double holm)
{
    csv_number(t->statistic);
    csv_number(t->p);
    csv_number(holm);
    printf(",%s", is_significant(x, holm) ? "true" : "false");
}

bool compare_csv(const Compare *x, Error *e)
{
    printf("metric,run_a,run_b,users,mean_a,mean_b,difference%s%s\n", x->t ? ",t,t_p,t_holm,t_significant" : "",
           x->w ? ",w,w_p,w_holm,w_significant" : "");
    for (size_t i = 0; i < x->metrics * x->pairs; i++) {
        const ComparedPair *p = &x->pair[i];
        csv_text(x->metric[i / x->pairs]);
        putchar(',');
        csv_text(x->run[p->a].path);
        putchar(',');
        csv_text(x->run[p->b].path);
        printf(",%lld", (long long)p->users);
        csv_number(p->mean_a);
        csv_number(p->mean_b);
        csv_number(p->mean_a - p->mean_b);
        if (x->t)
            csv_test(x, &p->t, p->t_holm);
        if (x->w)
            csv_test(x, &p->w, p->w_holm);
        putchar('\n');
    }
    return output_flush(e);
}

static void json_run(const Compare *x, const ComparedRun *run)
{
    JsonWriter w = json_record(stdout, "event", "run");
    json_put_string(&w, "run", run->path);
    if (run->model)
        json_put_string(&w, "model", run->model);
    json_put_i64(&w, "users", text_index_count(run->figures.users));
    if (run->seeds)
        json_put_i64(&w, "seeds", (int64_t)run->seeds);
    for (int of = 0; of < (run->seeds > 1 ? 2 : 1); of++) {
        json_object(&w, of ? "deviation" : "mean");
        for (size_t m = 0; m < x->metrics; m++)
            json_put_number(&w, x->metric[m], "%.17g", (of ? run->deviation : run->mean)[column_of(run, x->metric[m])]);
        json_end(&w);
    }
    json_finish(&w);
}

static void json_pair(const Compare *x, const char *metric, const ComparedPair *p)
{
    JsonWriter w = json_record(stdout, "event", "pair");
    json_put_string(&w, "metric", metric);
    json_put_string(&w, "run_a", x->run[p->a].path);
    json_put_string(&w, "run_b", x->run[p->b].path);
    json_members(&w, "users %lld mean_a %.17g mean_b %.17g difference %.17g", (long long)p->users, p->mean_a, p->mean_b,
                 p->mean_a - p->mean_b);
    if (x->t) {
        json_members(&w, "t %.17g t_p %.17g t_holm %.17g", p->t.statistic, p->t.p, p->t_holm);
        json_put_bool(&w, "t_significant", is_significant(x, p->t_holm));
    }
    if (x->w) {
        json_members(&w, "w %.17g w_p %.17g w_holm %.17g", p->w.statistic, p->w.p, p->w_holm);
        json_put_bool(&w, "w_significant", is_significant(x, p->w_holm));
    }
    json_finish(&w);
}

bool compare_json(const Compare *x, Error *e)
{
    for (size_t i = 0; i < x->runs; i++)
        json_run(x, &x->run[i]);
    for (size_t i = 0; i < x->metrics * x->pairs; i++)
        json_pair(x, x->metric[i / x->pairs], &x->pair[i]);
    return output_flush(e);
}
