/* tools/study/page.c: the page about a study: its style, and its sections in order. */
// flags: -Os
#include "tools/study/study.h"

static const char STYLE[] =
    "dl.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(7rem,1fr));gap:.6rem;margin:1rem 0}"
    ".facts div{background:var(--card);border-radius:.6rem;padding:.5rem .8rem}.facts "
    "dt{color:var(--soft);font-size:.8rem}.facts "
    "dd{margin:0;font-size:1.15rem;font-weight:600;overflow-wrap:anywhere}\n"
    "nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.8rem 0;font-size:.9rem}a{color:var(--c0)}"
    "h1,h3,h4,p{overflow-wrap:anywhere}h4{margin:0 0 .3rem;font-size:.9rem;overflow-wrap:anywhere}"
    ".cards.small{grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr))}svg.small{display:block}"
    ".cards+.wide{margin-top:.8rem}\n"
    "td u{text-underline-offset:.2em}td small{font-size:.75em}sup{font-size:.7em;line-height:0;color:var(--soft)}"
    ".notes{font-size:.85rem;color:var(--soft)}tr.begin td{border-top:2px solid var(--line)}"
    "table.groups tbody tr:not(.begin):not(:first-child) td:first-child{color:var(--soft)}"
    "table.failed td:nth-child(n+4){white-space:normal;overflow-wrap:anywhere;min-width:14rem}\n"
    "table.matrix{min-width:0;font-size:.8rem}table.matrix td{border:1px solid var(--line);padding:.25rem .3rem}"
    "table.matrix th{text-align:center}table.matrix th:first-child{text-align:left}"
    "table.matrix td:first-child{border-left:0;padding-left:0;min-width:6rem}"
    ".s1{background:rgba(46,160,67,.15)}.s2{background:rgba(46,160,67,.3)}.s3{background:rgba(46,160,67,.5)}"
    ".n1{background:rgba(230,120,30,.15)}.n2{background:rgba(230,120,30,.3)}.n3{background:rgba(230,120,30,.5)}"
    ".shades{font-size:.8rem}.shades span{padding:.15rem .4rem;border-radius:.2rem;white-space:nowrap}\n"
    "details{margin:.8rem 0}summary{cursor:pointer;color:var(--c0)}\n"
    "@media(max-width:40rem){dl.facts{grid-template-columns:repeat(2,1fr)}table.matrix td{padding:.2rem .3rem;"
    "font-size:.72rem}}\n"
    "@media print{:root{color-scheme:light}body{max-width:none;padding:0;font-size:10pt}nav{display:none}"
    ".wide{overflow:visible;background:none}table{font-size:8pt}th,td{padding:.15rem .3rem}"
    ".card,tr{break-inside:avoid}h2,h3,h4{break-after:avoid}"
    "table.matrix td,table.matrix th{font-size:5pt;padding:.05rem}"
    ".cards.small{grid-template-columns:repeat(3,1fr)}*{print-color-adjust:exact}}\n";

static void put_head(StudyPage *s, const char *title)
{
    bool failed = false;
    for (size_t i = 0; i < s->v->row_count; i++)
        failed |= s->v->rows[i].state == TRIAL_FAILED;
    const struct {
        const char *id, *title;
        bool shown;
    } LINKS[] = {{"best", "Best results", true},
                 {"accuracy", "Accuracy", true},
                 {"curves", "Learning curves", true},
                 {"effects", "Hyper-parameters", true},
                 {"costs", "Time and memory", true},
                 {"significance", "Significance", report_has_significance(s)},
                 {"knocks", "Knock-outs", report_has_knocks(s)},
                 {"failed", "Failed trials", failed}};
    Page *p = &s->page;
    put(p, "<h1>");
    put_text(p, text_of(title));
    put(p, "</h1>\n<nav>");
    for (size_t i = 0; i < COUNT(LINKS); i++)
        if (LINKS[i].shown)
            put(p, "<a href=\"#%s\">%s</a> ", LINKS[i].id, LINKS[i].title);
    put(p, "</nav>\n");
}

static void put_sections(StudyPage *s)
{
    static void (*const SECTIONS[])(StudyPage *) = {report_summary, report_accuracy, report_curves,
                                                    report_effects, report_costs,    report_significance,
                                                    report_knocks,  report_failures};
    for (size_t i = 0; i < COUNT(SECTIONS) && s->e->code == SP_OK; i++)
        SECTIONS[i](s);
    put(&s->page, "<p><small>Written by sapor " SAPOR_VERSION ".</small></p>\n");
}

bool report_page_write(const StudyView *v, const StudyPageConfig *c, Error *e)
{
    StudyPage s = {.v = v, .tables = c->tables, .untested = c->untested, .c = c->c, .e = e};
    const char *title = c->title ? c->title : v->name && *v->name ? v->name : "A study of recommenders";
    if (!(s.a = arena_new(c->heap, 0)))
        return fail_memory(e, 1, "a report");
    bool ok = report_rows(&s) && (!c->tables || folder_make(c->tables, e)) &&
              page_open(&s.page, c->out, title, STYLE, c->heap, e);
    if (ok) {
        put_head(&s, title);
        put_sections(&s);
        ok = e->code == SP_OK;
        if (!ok && s.page.out)
            out_discard(s.page.out);
        ok = ok && page_close(&s.page);
    }
    arena_free(s.a);
    return ok;
}
