/* tools/command/help.c: prints the --help page of a command. The man page and the completions also use its
 * functions about options. */
// flags: -Os
#include "tools/tools.h"

void print_wrapped(FILE *to, const char *text, int at)
{
    enum { COLUMNS = 100 };
    int column = at;
    while (*text) {
        int n = (int)strcspn(text, " \n");
        bool breaks = column > at && column + 1 + n > COLUMNS;
        if (breaks)
            fprintf(to, "\n%*s", at, "");
        fprintf(to, "%s%.*s", breaks || column == at ? "" : " ", n, text);
        column = (breaks ? at : column + (column > at)) + n;
        text += n;
        text += strspn(text, " \n");
    }
    fputc('\n', to);
}

static void print_option(FILE *to, const Option *o, const char *bold, const char *plain)
{
    char left[64];
    int n = snprintf(left, sizeof left, "%s%c%s--%s %s", o->letter ? "-" : "", o->letter ? o->letter : ' ',
                     o->letter ? ", " : "   ", o->name, o->value ? o->value : "");
    fprintf(to, "  %s%s%s%*s ", bold, left, plain, n < 22 ? 22 - n : 0, "");
    print_wrapped(to, o->about, MAX(n, 22) + 3);
}

/* Returns the common options that have no effect in a command, each between blanks. They are accepted, because scripts
 * may pass them to every command, but they are not shown. */
static const char *ignored_options(const Command *k)
{
    static const char *const IGNORED[][2] = {
        {"extract", " seed "},
        {"encode", " seed "},
        {"nearest", " seed "},
        {"tokenize", " device blas seed quiet "},
        {"split", " threads device blas "},
        {"run", " seed trace profile "},
        {"recommend", " seed "},
        {"evaluate", " threads device blas seed "},
        {"compare", " threads device blas seed "},
        {"models", " threads device blas seed trace profile max-memory quiet "},
        {"info", " blas seed trace profile max-memory quiet "},
        {"report", " seed "},
    };
    for (size_t i = 0; i < COUNT(IGNORED); i++)
        if (strcmp(IGNORED[i][0], k->name) == 0)
            return IGNORED[i][1];
    return "";
}

bool common_applies(const Command *k, const Option *common)
{
    const char *idle = ignored_options(k), *at = strstr(idle, common->name);
    return !at || at[-1] != ' ' || at[strlen(common->name)] != ' ';
}

void print_ignored_options(const Command *k, const char *before, FILE *to)
{
    if (!*ignored_options(k))
        return;
    int column = 51; /* the length of the text below; lines have at most 100 columns */
    const char *between = "";
    fprintf(to, "%sThese options are accepted and have no effect here:", before);
    for (const Option *o = COMMON_OPTIONS; o->name; o++)
        if (!common_applies(k, o)) {
            int n = (int)strlen(o->name) + 4;
            fprintf(to, "%s%s--%s", between, column + n > 99 ? "\n" : " ", o->name);
            column = column + n > 99 ? n : column + n;
            between = ",";
        }
    fputs(".\n", to);
}

/* Reads "a, b (what b is) or c": words, which may have notes in parentheses, with commas between them and "or" before
 * the last. After the last word comes the end, ':', ';' or a note. */
size_t option_words(const Option *o, Text *words, size_t room)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const char *p = o->about;
    size_t n = 0;
    for (bool last = false; n < room; n++) {
        size_t length = strspn(p, LETTERS);
        const char *note;
        if (!o->value || length == 0)
            return 0;
        words[n] = (Text){p, length};
        p += length;
        if (p[0] == ' ' && p[1] == '(' && (note = strchr(p, ')')))
            p = note + 1;
        if (last)
            return *p == '\0' || *p == ':' || *p == ';' ? n + 1 : 0;
        last = strncmp(p, " or ", 4) == 0;
        if (!last && strncmp(p, ", ", 2) != 0)
            return 0;
        p += last ? 4 : 2;
    }
    return 0;
}

void command_help(const Command *k, FILE *to)
{
    bool colour = is_colourful(to);
    const char *bold = colour ? "\033[1m" : "", *plain = colour ? "\033[0m" : "";
    fprintf(to, "usage: %ssapor %s%s%s%s%s [options]\n\n%s: %s.\n", bold, k->name, plain, *k->arguments ? " " : "",
            k->arguments, k->overrides ? " [--key.path=value ...]" : "", k->name, k->summary);
    if (k->details)
        print_wrapped(to, k->details, 0);
    if (k->options && k->options->name)
        fprintf(to, "\noptions of %s:\n", k->name);
    for (const Option *o = k->options; o && o->name; o++)
        print_option(to, o, bold, plain);
    fprintf(to, "\ncommon options:\n");
    for (const Option *o = COMMON_OPTIONS; o->name; o++)
        if (common_applies(k, o))
            print_option(to, o, bold, plain);
    print_ignored_options(k, "", to);
    size_t cut = strlen(k->example);
    if (cut > 98) /* a backslash continues the command line */
        for (cut = 95; cut > 0 && k->example[cut] != ' ';)
            cut--;
    fprintf(to, "\nexample:\n  %.*s", (int)cut, k->example);
    fprintf(to, k->example[cut] ? " \\\n     %s" : "%s", k->example + cut);
    fprintf(to, "\n\nexit status: " EXIT_STATUS "\n");
}
