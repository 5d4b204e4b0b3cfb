/* tools/report/page.c: the frame of an HTML page: head, style sheet, escapes, end. */
// flags: -Os
#include "tools/report/page.h"

#include <stdarg.h>

void put(Page *p, const char *format, ...)
{
    char small[1024], *text = small;
    va_list args;
    if (!p->out)
        return;
    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n >= (int)sizeof small) {
        text = heap_alloc(p->heap, (size_t)n + 1);
        if (text) {
            va_start(args, format);
            vsnprintf(text, (size_t)n + 1, format, args);
            va_end(args);
        } else {
            fail_memory(p->e, (size_t)n + 1, "a page");
        }
    }
    if (n < 0 || !text || !out_write(p->out, text, (size_t)n, p->e)) {
        out_discard(p->out);
        p->out = NULL;
    }
    if (text && text != small)
        heap_free(p->heap, text, (size_t)n + 1);
}

void put_text(Page *p, Text text)
{
    for (size_t i = 0, run = 0, n; i <= text.n; i += n) {
        uint32_t code = 0;
        n = i < text.n ? utf8_decode(text.p + i, text.n - i, &code) : 1;
        const char *as = i == text.n                 ? ""
                         : n == 0                    ? "\xEF\xBF\xBD"
                         : code < ' ' || code == 127 ? " "
                         : code == '<'               ? "&lt;"
                         : code == '>'               ? "&gt;"
                         : code == '&'               ? "&amp;"
                         : code == '"'               ? "&quot;"
                                                     : NULL;
        n = MAX(n, (size_t)1);
        if (!as)
            continue;
        put(p, "%.*s%s", (int)(i - run), text.p + run, as);
        run = i + n;
    }
}

static const char STYLE[] =
    ":root{color-scheme:light "
    "dark;--bg:#fff;--fg:#1c2330;--soft:#5d6878;--line:#d9dee6;--card:#f5f7fa;--good:#1a7f37;" CHART_PALETTE "}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161d;--fg:#e6eaf0;--soft:#9aa6b5;--line:#2c3542;--card:#1a2029;--"
    "good:#"
    "56d364;"
    "--c0:#6ea8fe;--c1:#ff922b;--c2:#69db7c;--c3:#da77f2;--c4:#ffd43b;--c5:#3bc9db;--c6:#f783ac;--c7:#adb5bd}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:68rem;padding:1rem 1rem "
    "4rem;background:var(--bg);color:var(--fg);"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:1rem 0 .3rem}h2{font-size:1.2rem;margin:2.2rem 0 "
    ".5rem}h3{font-size:1rem;margin:1rem 0 .3rem}\n"
    "p{margin:.4rem 0;max-width:46rem}.soft{color:var(--soft)}small{color:var(--soft)}\n"
    /* A table that is wider than the screen scrolls, and its first column stays. A shadow shows that there is more. */
    ".wide{overflow-x:auto;background:linear-gradient(90deg,var(--bg) 40%,transparent) 0 0/3rem 100% no-repeat "
    "local,linear-gradient(270deg,var(--bg) 40%,transparent) 100% 0/3rem 100% no-repeat local,"
    "linear-gradient(90deg,var(--line),transparent) 0 0/.8rem 100% no-repeat scroll,"
    "linear-gradient(270deg,var(--line),transparent) 100% 0/.8rem 100% no-repeat scroll}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;min-width:24rem}"
    "th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}th{color:var(--soft);font-weight:600}tr.best "
    "td{font-weight:600}\n"
    ".cards{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr))}"
    ".card{background:var(--card);border-radius:.6rem;padding:.8rem 1rem;overflow:hidden}.card h3{margin-top:0}\n"
    ".row{display:flex;gap:.6rem;align-items:center;margin:.25rem 0}.row b{flex:0 0 "
    "5.2rem;font-size:.85rem;font-weight:600;overflow-wrap:anywhere}"
    ".list{align-items:baseline;margin:.6rem 0}.row "
    "ol{display:flex;flex-wrap:wrap;gap:.3rem;margin:0;padding:0;list-style:none}\n"
    ".pic{width:48px;height:60px;background:center/contain no-repeat;border-radius:4px;border:2px solid transparent}"
    ".title{border:1px solid var(--line);border-radius:4px;padding:0 .4rem;font-size:.8rem;overflow-wrap:anywhere}"
    ".pic.hit,.title.hit{border-color:var(--good)}.title.hit{color:var(--good);font-weight:600}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.85rem;margin:.3rem 0}.legend "
    "span::before{content:'';display:inline-block;"
    "width:.75em;height:.75em;border-radius:2px;margin-right:.35em;background:var(--k)}\n"
    "svg{width:100%;height:auto;max-width:46rem;display:block}svg.narrow{display:none}svg "
    "text{fill:var(--soft);font:12px "
    "system-ui,sans-serif}svg .axis{stroke:var(--line)}"
    "svg .mark{fill:var(--fg)}.l{text-align:left}\n"
    "@media(max-width:40rem){svg{display:none}svg.narrow{display:block}.row{display:block}.row ol{gap:.3rem 1.6%}"
    ".pic{width:min(48px,15%)}table{min-width:0}th,td{padding:.3rem .2rem;font-size:.8rem}th{white-space:normal}"
    "th:first-child,td:first-child{position:sticky;left:0;background:var(--bg)}td:first-child{white-space:normal}"
    "td:first-child[data-more]::after{content:attr(data-more);display:block;font-weight:400;color:var(--soft)}"
    "td.more,th.more{display:none}}\n";

bool page_open(Page *p, const char *path, const char *title, const char *style, const Heap *heap, Error *e)
{
    *p = (Page){.out = out_open(path, heap, e), .heap = heap, .e = e};
    put(p, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
           "content=\"width=device-width,initial-scale=1\">\n<title>");
    put_text(p, text_of(title));
    put(p, "</title>\n<style>\n%s%s</style></head>\n<body>\n", STYLE, style);
    return p->out != NULL;
}

bool page_close(Page *p)
{
    put(p, "</body></html>\n");
    Out *out = p->out;
    p->out = NULL;
    return out && out_commit(out, p->e);
}
