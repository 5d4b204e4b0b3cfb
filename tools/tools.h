/* tools/tools.h: what the files of the `sapor` command share. One file a subcommand; main.c holds the table of
 * commands.
 *
 * A command is a row of that table: its name, one line about it, its options, an example that works and the function
 * that runs it. --help, the reading of options and the suggestions for misspelt ones are made from the row. */
#ifndef SAPOR_TOOLS_H
#define SAPOR_TOOLS_H

#include "extractors/extractors.h"
#include "recsys/recsys.h"

typedef struct Option {
    const char *name;  /* "batch" for --batch; NULL ends a table */
    char letter;       /* 'o' for -o; 0: none */
    const char *value; /* "N", "FILE"; NULL: a switch */
    /* one line, with the default. Where it begins with "a, b or c", these are the values (option_words) */
    const char *about;
} Option;

typedef struct Context Context;
typedef struct Command {
    const char *name, *summary;
    const char *arguments; /* as in the usage line: "MODEL INPUT... -o OUT.npy" */
    const char *more;      /* further lines of --help, or NULL */
    const char *example;   /* a command line that works */
    const Option *options; /* NULL: only the common ones */
    int least, most;       /* how many arguments; most -1: any number */
    bool overrides;        /* takes --key.path=value */
    bool (*run)(Context *c, Error *e);
} Command;

/* One run of a command: its arguments and what the common options say. */
struct Context {
    const Command *command;
    const char *const *args;
    size_t arg_count;
    const char *const *overrides; /* "key.path=value", the dashes taken off */
    size_t override_count;
    bool json, quiet;
    uint64_t seed;
    FILE *progress;     /* standard error, or NULL with --quiet */
    int64_t max_memory; /* 0: no limit */
    Arena *arena;       /* lives as long as the run */
    const Heap *heap;
    struct Parsed *parsed;
};

/* The last value given for an option, or NULL. */
const char *option_text(const Context *c, const char *name);
bool option_given(const Context *c, const char *name);
/* All values of an option that may be repeated, each cut at `sep` (0: not cut), in order; *list is in the context's
 * arena. */
bool option_list(const Context *c, const char *name, char sep, const char *const **list, size_t *count, Error *e);
/* The whole text as a number from low to high; *value keeps its default where the option is not given. */
bool option_i64(const Context *c, const char *name, int64_t low, int64_t high, int64_t *value, Error *e);
bool option_f64(const Context *c, const char *name, double low, double high, double *value, Error *e);
/* One of `count` words: its number. */
bool option_choice(const Context *c, const char *name, const char *const *words, size_t count, int *value, Error *e);
/* The word of a list that is nearest to a misspelt one in any case, or NULL where none is near. */
const char *nearest_word(const char *word, const char *const *words, size_t count, Arena *a);

/* All words that are near, nearest first, for a message: "A", "B" or "C". NULL where none is near. */
const char *near_words(const char *word, const char *const *words, size_t count, Arena *a);
/* An error of `command`: there is no such recommender, and which ones are near (models.c). */
bool unknown_recommender(const Context *c, const char *command, const char *name, Error *e);

/* Refuses to write `path`, named by `option`, where it is one of the files that the command reads: SP_USAGE (inputs.c).
 * What --out and --trace say is checked before a command runs; it checks other names that follow from them itself. */
bool output_check(Context *c, const char *option, const char *path, Error *e);

/* Kernels, threads and trace as the common options ask; made at the first call. */
const Device *context_device(Context *c, Error *e);
/* Called before context_device: its trace counts what runs, as with --profile, but nothing is shown. */
void context_keep_totals(Context *c);
/* Runs `command` with its arguments argv[0 .. argc-1] (the command's own name is argv[0]); returns the exit status. */
int command_run(const Command *command, int argc, char **argv);
void command_help(const Command *k, FILE *to); /* help.c, with the three below */
/* Whether a common option does something in this command; all are accepted. */
bool common_applies(const Command *k, const Option *common);
/* A line of those that do nothing, behind `before`; nothing where all do something. */
void put_idle(const Command *k, const char *before, FILE *to);
/* The values that an option's line names; 0 where it names none, or more than `room`. */
size_t option_words(const Option *o, Text *words, size_t room);
/* All commands and what every command takes, in roff (manpage.c) and for the shells (completion.c). */
void manual_page(const Command *commands, size_t count, FILE *to);
void bash_completion(const Command *commands, size_t count, FILE *to);
void zsh_completion(const Command *commands, size_t count, FILE *to);
/* The first call of main: descriptors 0 to 2 are open from then on, and signals leave no temporary file behind
 * (process.c). */
void process_begin(void);
/* Whether all that was printed on standard output has arrived. A command that prints for long asks now and then. */
bool output_whole(Error *e);
#define SAPOR_SUMMARY "multimodal recommendation, from a photo and a sentence to Recall@20"
#define EXIT_STATUS   "0 done, 1 failed, 2 wrong usage"
extern const Option COMMON_OPTIONS[];
/* Prints "sapor: message" on standard error and returns the exit status that goes with the code. */
int report_error(const Error *e);
bool is_colourful(FILE *to); /* a terminal that wants colours */

/* A table of texts: rows x cols cells, the first row is the heading. align has a letter for each column: 'l' left, 'r'
 * right (numbers), as wide as needed; 'w' left and wrapped behind blanks and commas, as narrow as its longest word, or
 * up to 100 columns where it is the last. */
bool table_print(FILE *to, const char *const *cells, size_t rows, size_t cols, const char *align, Arena *a, Error *e);

/* Words and a line end, in lines of 100 columns; the first begins behind `at` columns that are there already, the
 * others behind as many blanks (help.c). */
void print_filled(FILE *to, const char *text, int at);

/* A file of text, or standard input where path is "-", as text_decode leaves it. */
bool text_file_read(Text *out, Arena *a, const char *path, Error *e);

/* Options of every command that reads interactions; "format" is the command's own words. */
#define FORMAT_LINKED(link, name, format, words) link name
#define FORMAT_OPTIONS(files)                                                                                          \
    {"format", 0, "K", files FORMAT_NAMES(FORMAT_LINKED) " (default auto)"},                                           \
        {"separator", 0, "C", "between columns: tab, comma, semicolon, colons (::) or blank (default: found)"},        \
    {                                                                                                                  \
        "columns", 0, "U,I[,R[,T]]", "names of the columns of users, items, ratings, times (default: found)"           \
    }
/* FORMAT_OPTIONS and --protocol (data_options.c). */
bool read_format(const Context *c, Format *f, Layout *layout, Error *e);
bool read_protocol(const Context *c, Protocol *p, Error *e);
/* A row of figures for each label: Recall@10, ... (data_options.c) */
bool show_scores(FILE *to, Context *c, const char *const *labels, const Scores *const *scores, size_t n, Error *e);

/* Commands, one file each. */
bool encode_command(Context *c, Error *e);
bool nearest_command(Context *c, Error *e);
bool tokenize_command(Context *c, Error *e);
bool split_command(Context *c, Error *e);
bool extract_command(Context *c, Error *e);
bool train_command(Context *c, Error *e);
bool recommend_command(Context *c, Error *e);
bool evaluate_command(Context *c, Error *e);
bool bench_command(Context *c, Error *e);
size_t bench_job_count(void); /* what `bench` takes as its first argument */
const char *bench_job_name(size_t i);
bool demo_command(Context *c, Error *e);
bool report_command(Context *c, Error *e);
bool models_command(Context *c, Error *e);
bool info_command(Context *c, Error *e);

#endif
