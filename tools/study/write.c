/* tools/study/write.c: writes a table as HTML, CSV, LaTeX and Markdown. Every text is escaped for its format. */
// flags: -Os
#include "tools/study/study.h"

#include <stdlib.h>

const char *const sheet_ends[SHEET_FORMATS] = {".csv", ".tex", ".md"};

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* ---- HTML ------------------------------------------------------------------------------------ */

static void html_cell(Page *p, const Sheet *s, const Cell *c, size_t column)
{
    static const char *const BEFORE[] = {"", "<b>", "<u>"}, *const BEHIND[] = {"", "</b>", "</u>"};
    const Column *col = &s->columns[column];
    put(p, "<td");
    if (column == 0)
        for (size_t i = 1; i < s->cols; i++)
            if (s->columns[i].more && c[i].text && strcmp(c[i].text, "-") != 0) {
                put(p, " data-more=\"");
                put_text(p, text_of(c[i].text));
                put(p, "\"");
            }
    if (col->align == 'l' || col->more || c[column].shade)
        put(p, " class=\"%s%s%s%.0d\"", col->align == 'l' ? "l " : "", col->more ? "more " : "",
            c[column].shade < 0   ? "n"
            : c[column].shade > 0 ? "s"
                                  : "",
            abs(c[column].shade));
    put(p, ">%s", BEFORE[c[column].mark]);
    put_text(p, text_of(or_empty(c[column].text)));
    put(p, "%s", BEHIND[c[column].mark]);
    if (c[column].spread) {
        put(p, " <small>\xC2\xB1");
        put_text(p, text_of(c[column].spread));
        put(p, "</small>");
    }
    if (c[column].note)
        put(p, "<sup>%zu</sup>", c[column].note);
    put(p, "</td>");
}

void sheet_html(Page *p, const Sheet *s, size_t from, size_t rows)
{
    put(p, "<div class=\"wide\"><table%s%s%s>\n<thead><tr>", s->class ? " class=\"" : "", or_empty(s->class),
        s->class ? "\"" : "");
    for (size_t i = 0; i < s->cols; i++) {
        bool left = s->columns[i].align == 'l', more = s->columns[i].more;
        put(p, "<th scope=\"col\"%s>", left && more ? " class=\"l more\"" : left ? " class=\"l\"" : "");
        put_text(p, text_of(s->columns[i].head));
        put(p, "</th>");
    }
    put(p, "</tr></thead>\n<tbody>");
    for (size_t r = from; r < from + rows; r++) {
        put(p, r > from && s->begins[r] ? "<tr class=\"begin\">" : "<tr>");
        for (size_t i = 0; i < s->cols; i++)
            html_cell(p, s, s->cells + r * s->cols, i);
        put(p, "</tr>\n");
    }
    put(p, "</tbody></table></div>\n");
    if (s->note_count)
        put(p, "<p class=\"notes\">");
    for (size_t i = 0; i < s->note_count; i++) {
        put(p, "%s<sup>%zu</sup> ", i ? "<br>" : "", i + 1);
        put_text(p, text_of(s->notes[i]));
    }
    put(p, s->note_count ? "</p>\n" : "");
}

/* ---- text of other formats ------------------------------------------------------------------- */

/* Returns the text that replaces a character, or NULL: the character itself. */
typedef const char *Escape(uint32_t code, uint32_t before);

static void put_escaped(Page *p, const char *text, Escape *escape)
{
    uint32_t before = 0, code = 0;
    size_t run = 0, n = strlen(text);
    for (size_t i = 0, step; i <= n; i += step, before = code) {
        step = i < n ? utf8_decode(text + i, n - i, &code) : 1;
        const char *as = i == n ? "" : step == 0 ? "\xEF\xBF\xBD" : escape(code, before);
        step = MAX(step, (size_t)1);
        if (!as)
            continue;
        put(p, "%.*s%s", (int)(i - run), text + run, as);
        run = i + step;
    }
}

static bool is_control(uint32_t code)
{
    return code < ' ' || code == 127;
}

static const char *escape_csv(uint32_t code, uint32_t before)
{
    (void)before;
    return code == '"' ? "\"\"" : NULL;
}

/* Writes a field as in RFC 4180: in quotes if it contains a separator, a quote or a control character, or begins or
 * ends with a blank. */
static void csv_field(Page *p, const char *text)
{
    size_t n = strlen(text);
    bool quoted = n && (text[0] == ' ' || text[n - 1] == ' ');
    for (size_t i = 0; i < n; i++)
        quoted |= text[i] == ',' || text[i] == '"' || is_control((unsigned char)text[i]);
    put(p, quoted ? "\"" : "");
    put_escaped(p, text, escape_csv);
    put(p, quoted ? "\"" : "");
}

static const char *escape_latex(uint32_t code, uint32_t before)
{
    static const struct {
        uint32_t code;
        const char *as;
    } SPECIAL[] = {{'\\', "\\textbackslash{}"},
                   {'{', "\\{"},
                   {'}', "\\}"},
                   {'$', "\\$"},
                   {'&', "\\&"},
                   {'#', "\\#"},
                   {'%', "\\%"},
                   {'_', "\\_"},
                   {'^', "\\textasciicircum{}"},
                   {'~', "\\textasciitilde{}"},
                   {'<', "\\textless{}"},
                   {'>', "\\textgreater{}"},
                   {'|', "\\textbar{}"},
                   {'"', "\\textquotedbl{}"},
                   {'[', "{[}"}, /* after \\, these two characters would be read as an argument */
                   {'*', "{*}"},
                   {0x2191, "$\\uparrow$"},
                   {0x2193, "$\\downarrow$"}};
    for (size_t i = 0; i < COUNT(SPECIAL); i++)
        if (code == SPECIAL[i].code)
            return SPECIAL[i].as;
    if (is_control(code))
        return " ";
    if (code == before &&
        /* LaTeX joins two of these into another character */
        (code == '-' || code == '`' || code == '\'' || code == ','))
        return code == '-' ? "{}-" : code == '`' ? "{}`" : code == '\'' ? "{}'" : "{},";
    return NULL;
}

static const char *escape_markdown(uint32_t code, uint32_t before)
{
    static const char SPECIAL[] = "\\`*_{}[]<>|~$&!#";
    static const char AS[] = "\\\\\0\\`\0\\*\0\\_\0\\{\0\\}\0\\[\0\\]\0\\<\0\\>\0\\|\0\\~\0\\$\0\\&\0\\!\0\\#";
    (void)before;
    const char *at = code && code < 128 ? strchr(SPECIAL, (int)code) : NULL;
    return at ? AS + 3 * (at - SPECIAL) : is_control(code) ? " " : NULL;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Writes Cell.exact instead of the text: numbers with nine digits. Deviations and footnotes have separate columns. */
static void write_csv(Page *p, const Sheet *s)
{
    for (size_t r = 0; r <= s->rows; r++) {
        const Cell *row = r ? s->cells + (r - 1) * s->cols : NULL;
        size_t note = 0;
        for (size_t i = 0; i < s->cols; i++) {
            const Column *col = &s->columns[i];
            put(p, i ? "," : "");
            if (row)
                csv_field(p, row[i].exact ? row[i].exact : or_empty(row[i].text));
            else
                csv_field(p, col->head);
            if (col->spread && row) {
                put(p, ",");
                csv_field(p, or_empty(row[i].spread));
            } else if (col->spread) {
                put(p, ",");
                csv_field(p, or_empty(arena_printf(s->arena, s->e, "%s deviation", col->head)));
            }
            note = row && row[i].note && !note ? row[i].note : note;
        }
        if (s->note_count) {
            put(p, ",");
            csv_field(p, !row ? "note" : note ? s->notes[note - 1] : "");
        }
        put(p, "\n");
    }
}

static void latex_cell(Page *p, const Cell *c)
{
    static const char *const BEFORE[] = {"", "\\textbf{", "\\underline{"};
    put(p, "%s", BEFORE[c->mark]);
    put_escaped(p, or_empty(c->text), escape_latex);
    put(p, c->mark ? "}" : "");
    if (c->spread)
        put(p, " {\\scriptsize$\\pm$%s}", c->spread);
    if (c->note)
        put(p, "\\textsuperscript{%zu}", c->note);
}

/* Writes LaTeX for the packages booktabs and graphicx. A name that is the same as in the row above is left out. */
static void write_latex(Page *p, const Sheet *s)
{
    put(p, "%% \\usepackage{booktabs,graphicx} and \\usepackage[T1]{fontenc}\n\\begin{table}\n\\centering\n\\caption{");
    put_escaped(p, s->title, escape_latex);
    put(p, "}\n\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%%\n\\begin{tabular}{");
    for (size_t i = 0; i < s->cols; i++)
        put(p, "%c", s->columns[i].align);
    put(p, "}\n\\toprule\n");
    for (size_t i = 0; i < s->cols; i++) {
        put(p, i ? " & " : "");
        put_escaped(p, s->columns[i].head, escape_latex);
    }
    put(p, " \\\\\n\\midrule\n");
    for (size_t r = 0; r < s->rows; r++) {
        const Cell *row = s->cells + r * s->cols, *above = row - s->cols;
        put(p, r && s->begins[r] ? "\\midrule\n" : "");
        for (size_t i = 0; i < s->cols; i++) {
            bool repeated = i == 0 && r && !s->begins[r] && row->text && above->text && !strcmp(row->text, above->text);
            put(p, i ? " & " : "");
            if (!repeated)
                latex_cell(p, &row[i]);
        }
        put(p, " \\\\\n");
    }
    put(p, "\\bottomrule\n\\end{tabular}}\n");
    for (size_t i = 0; i < s->note_count; i++) {
        put(p, "\\par\\footnotesize\\textsuperscript{%zu} ", i + 1);
        put_escaped(p, s->notes[i], escape_latex);
        put(p, "\n");
    }
    put(p, "\\end{table}\n");
}

static void write_markdown(Page *p, const Sheet *s)
{
    static const char *const AROUND[] = {"", "**", "<u>"}, *const BEHIND[] = {"", "**", "</u>"};
    put(p, "**");
    put_escaped(p, s->title, escape_markdown);
    put(p, "**\n\n|");
    for (size_t i = 0; i < s->cols; i++) {
        put(p, " ");
        put_escaped(p, s->columns[i].head, escape_markdown);
        put(p, " |");
    }
    put(p, "\n|");
    for (size_t i = 0; i < s->cols; i++)
        put(p, s->columns[i].align == 'l' ? " --- |" : " ---: |");
    for (size_t r = 0; r < s->rows; r++) {
        put(p, "\n|");
        for (size_t i = 0; i < s->cols; i++) {
            const Cell *c = &s->cells[r * s->cols + i];
            put(p, " %s", AROUND[c->mark]);
            put_escaped(p, or_empty(c->text), escape_markdown);
            put(p, "%s", BEHIND[c->mark]);
            if (c->spread)
                put(p, " \xC2\xB1 %s", c->spread);
            if (c->note)
                put(p, " <sup>%zu</sup>", c->note);
            put(p, " |");
        }
    }
    put(p, "\n");
    for (size_t i = 0; i < s->note_count; i++) {
        put(p, "\n<sup>%zu</sup> ", i + 1);
        put_escaped(p, s->notes[i], escape_markdown);
        put(p, i + 1 < s->note_count ? "  " : "\n");
    }
}

void sheet_file(Page *p, const Sheet *s, int format)
{
    static void (*const WRITE[SHEET_FORMATS])(Page *, const Sheet *) = {write_csv, write_latex, write_markdown};
    WRITE[format](p, s);
}
