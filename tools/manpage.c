/* manpage.c: the rows of main.c as a page for man(1), in roff. `make` writes build/sapor.1 with it. */
#include "tools/tools.h"

/* Text that roff takes as it is: what is special is escaped, and no line begins with a dot or a quote. */
static void put(FILE *to, const char *text)
{
    static const char SPECIAL[] = "\\-'`^~\"", *const ESCAPED[] = {"\\(rs", "\\-",   "\\(aq", "\\(ga",
                                                                   "\\(ha", "\\(ti", "\\(dq"};
    for (const char *p = text; *p; p++) {
        const char *at = strchr(SPECIAL, *p);
        if (*p == '.' && (p == text || p[-1] == '\n'))
            fputs("\\&", to);
        if (at)
            fputs(ESCAPED[at - SPECIAL], to);
        else
            fputc(*p, to);
    }
}

static void put_options(FILE *to, const Option *options)
{
    for (const Option *o = options; o && o->name; o++) {
        fputs(".TP\n\\fB", to);
        if (o->letter)
            fprintf(to, "\\-%c\\fR, \\fB", o->letter);
        fputs("\\-\\-", to);
        put(to, o->name);
        fputs("\\fR", to);
        if (o->value) {
            fputs(" \\fI", to);
            put(to, o->value);
            fputs("\\fR", to);
        }
        fputc('\n', to);
        put(to, o->about);
        fputc('\n', to);
    }
}

void manual_page(const Command *commands, size_t count, FILE *to)
{
    fputs(".TH SAPOR 1 2026-11-21 \"sapor " SAPOR_VERSION "\"\n.SH NAME\nsapor \\- " SAPOR_SUMMARY "\n.SH SYNOPSIS\n"
          "\\fBsapor\\fR \\fICOMMAND\\fR [arguments] [options]\n.SH COMMANDS\n",
          to);
    for (const Command *k = commands; k < commands + count; k++) {
        fputs(".SS ", to);
        put(to, k->name);
        fputs(*k->arguments ? " " : "", to);
        put(to, k->arguments);
        fputs(k->overrides ? " [\\-\\-key.path=value ...]\n" : "\n", to);
        put(to, k->summary);
        fputs(".\n", to);
        if (k->more) {
            put(to, k->more);
            fputc('\n', to);
        }
        put_options(to, k->options);
        fputs(".PP\nExample:\n.PP\n.RS\n.nf\n", to);
        put(to, k->example);
        fputs("\n.fi\n.RE\n", to);
    }
    fputs(".SH OPTIONS EVERYWHERE\n", to);
    put_options(to, COMMON_OPTIONS);
    fputs(".SH EXIT STATUS\n" EXIT_STATUS "\n", to);
}
