/* tools/command/completion.c: completions for bash and zsh, made from the rows of main.c: commands, options, and the
 * values that a row lists. */
// flags: -Os
#include "tools/tools.h"

enum { WORDS = 16 }; /* the most words that a value is completed with */
/* What the value of an option is: nothing that can be completed, one of several words, a file, a folder. */
typedef enum Kind { KIND_NONE, KIND_WORDS, KIND_FILE, KIND_FOLDER } Kind;

/* Returns the kind of an option's value. KIND_WORDS: its text lists the values; they are written to words [*n].
 * Otherwise, the name of the value (Option.value: "FILE", "DIR", "OUT.npy") says whether it is a file or a folder. */
static Kind kind_of(const Option *o, Text *words, size_t *n)
{
    static const char *const FILES[] = {"F", "FILE", "U"};
    *n = option_words(o, words, WORDS);
    if (*n)
        return KIND_WORDS;
    if (!o->value)
        return KIND_NONE;
    for (size_t i = 0; i < COUNT(FILES); i++)
        if (strcmp(o->value, FILES[i]) == 0)
            return KIND_FILE;
    return strcmp(o->value, "DIR") == 0                      ? KIND_FOLDER
           : strchr(o->value, '.') && !strchr(o->value, ',') ? KIND_FILE
                                                             : KIND_NONE;
}

/* Reports whether put_names prints names for the first argument of a command. */
static bool has_names(const Command *k)
{
    static const char *const NAMED[] = {"train", "models", "bench"};
    for (size_t i = 0; i < COUNT(NAMED); i++)
        if (strcmp(k->name, NAMED[i]) == 0)
            return true;
    return false;
}

/* Prints the names that the first argument of a command can have, each after a blank. */
static void put_names(const Command *k, FILE *to)
{
    bool recommenders = strcmp(k->name, "train") == 0 || strcmp(k->name, "models") == 0;
    for (size_t i = 0; recommenders && i < recommender_count(); i++)
        fprintf(to, " %s", recommender_at(i)->name);
    for (size_t i = 0; strcmp(k->name, "models") == 0 && i < encoder_kind_count(); i++)
        fprintf(to, " %s", encoder_kind_at(i)->name);
    for (size_t i = 0; strcmp(k->name, "bench") == 0 && i < bench_job_count(); i++)
        fprintf(to, " %s", bench_job_name(i));
}

static void put_words(const Text *words, size_t n, FILE *to)
{
    for (size_t i = 0; i < n; i++)
        fprintf(to, "%s%.*s", i ? " " : "", (int)words[i].n, words[i].p);
}

/* ---- bash ------------------------------------------------------------------------------------ */

static void bash_values(const Option *options, FILE *to)
{
    Text words[WORDS];
    for (const Option *o = options; o && o->name; o++) {
        size_t n;
        Kind kind = kind_of(o, words, &n);
        if (!o->value)
            continue;
        fprintf(to, "        --%s", o->name);
        if (o->letter)
            fprintf(to, " | -%c", o->letter);
        fprintf(to, ") kind=%s",
                kind == KIND_WORDS    ? "words words='"
                : kind == KIND_FILE   ? "file"
                : kind == KIND_FOLDER ? "folder"
                                      : "none");
        put_words(words, n, to);
        fprintf(to, "%s ;;\n", kind == KIND_WORDS ? "'" : "");
    }
}

static void bash_options(const Option *options, const Command *k, FILE *to)
{
    for (const Option *o = options; o && o->name; o++) {
        if (k && !common_applies(k, o))
            continue;
        fprintf(to, " --%s", o->name);
        if (o->letter)
            fprintf(to, " -%c", o->letter);
    }
}

void bash_completion(const Command *commands, size_t count, FILE *to)
{
    fputs("# bash completion of sapor " SAPOR_VERSION "; `sapor help --bash-completion` writes it.\n_sapor()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} kind= words= options=\n"
          "    COMPREPLY=()\n"
          "    if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
          "    if ((COMP_CWORD == 1)); then\n        COMPREPLY=($(compgen -W '",
          to);
    for (const Command *k = commands; k < commands + count; k++)
        fprintf(to, "%s ", k->name);
    fputs("help --help --version' -- \"$cur\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n", to);
    for (const Command *k = commands; k < commands + count; k++) {
        fprintf(to, "    %s)\n        options='", k->name);
        bash_options(k->options, NULL, to);
        bash_options(COMMON_OPTIONS, k, to);
        fprintf(to, "'\n        kind=%s\n", *k->arguments ? "file" : "none");
        if (has_names(k)) {
            fputs("        [[ $COMP_CWORD == 2 && $cur != -* ]] && kind=words words='", to);
            put_names(k, to);
            fputs("'\n", to);
        }
        fputs("        case $prev in\n", to);
        bash_values(k->options, to);
        fputs("        esac ;;\n", to);
    }
    fputs("    help) ((COMP_CWORD == 2)) && kind=words words='", to);
    for (const Command *k = commands; k < commands + count; k++)
        fprintf(to, "%s ", k->name);
    fputs("' ;;\n    esac\n    case $prev in\n", to);
    bash_values(COMMON_OPTIONS, to);
    fputs("    esac\n"
          "    if [[ $kind != words && $cur == -* ]]; then words=$options kind=words; fi\n"
          "    [[ -z $words ]] || COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "    case $kind in\n"
          "    file) compopt -o filenames 2>/dev/null; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "
          "\"$cur\") "
          ";;\n"
          "    folder) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
          "    esac\n}\ncomplete -F _sapor sapor\n",
          to);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

/* Prints text for the inside of single quotes. Each character of `special` gets a backslash. */
static void zsh_text(const char *text, const char *special, FILE *to)
{
    for (; *text; text++) {
        if (strchr(special, *text))
            fputc('\\', to);
        fputs(*text == '\'' ? "'\\''" : (char[]){*text, 0}, to);
    }
}

static void zsh_options(const Option *options, const Command *k, FILE *to)
{
    Text words[WORDS];
    for (const Option *o = options; o && o->name; o++) {
        size_t n;
        Kind kind = kind_of(o, words, &n);
        if (k && !common_applies(k, o))
            continue;
        for (int letter = 0; letter < (o->letter ? 2 : 1); letter++) {
            fputs(" \\\n            '", to);
            if (o->letter)
                fprintf(to, "(-%c --%s)", o->letter, o->name);
            else if (strstr(o->about, "may be repeated"))
                fputc('*', to);
            if (letter)
                fprintf(to, "-%c%s[", o->letter, o->value ? "+" : "");
            else
                fprintf(to, "--%s%s[", o->name, o->value ? "=" : "");
            zsh_text(o->about, "[]\\", to);
            fputc(']', to);
            if (o->value) {
                fputc(':', to);
                zsh_text(o->value, ":\\", to);
                fputs(kind == KIND_WORDS    ? ":("
                      : kind == KIND_FILE   ? ":_files"
                      : kind == KIND_FOLDER ? ":_files -/"
                                            : ": ",
                      to);
                put_words(words, n, to);
                fputs(kind == KIND_WORDS ? ")" : "", to);
            }
            fputc('\'', to);
        }
    }
}

void zsh_completion(const Command *commands, size_t count, FILE *to)
{
    fputs("#compdef sapor\n# zsh completion of sapor " SAPOR_VERSION
          "; `sapor help --zsh-completion` writes it.\n_sapor()\n{\n"
          "    local -a commands=(\n",
          to);
    for (const Command *k = commands; k < commands + count; k++) {
        fprintf(to, "        '%s:", k->name);
        zsh_text(k->summary, ":\\", to);
        fputs("'\n", to);
    }
    fputs("        'help:lists the commands, or shows the help of one'\n    )\n    if ((CURRENT == 2)); then\n        "
          "_describe "
          "command commands\n        return\n    fi\n"
          "    local command=$words[2]\n    shift words\n    ((CURRENT--))\n    case $command in\n"
          "    help) ((CURRENT == 2)) && _describe command commands ;;\n",
          to);
    for (const Command *k = commands; k < commands + count; k++) {
        fprintf(to, "    %s)\n        _arguments -s", k->name);
        zsh_options(k->options, NULL, to);
        zsh_options(COMMON_OPTIONS, k, to);
        if (has_names(k)) {
            fputs(" \\\n            '1: :(", to);
            put_names(k, to);
            fputs(")'", to);
        }
        fputs(*k->arguments ? " \\\n            '*: :_files' ;;\n" : " ;;\n", to);
    }
    fputs("    esac\n}\n_sapor \"$@\"\n", to);
}
