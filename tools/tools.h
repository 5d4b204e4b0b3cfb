/* tools/tools.h: shared declarations of the `sapor` command. Each subcommand has its own file; main.c has the table of
 * commands.
 *
 * A row of that table has the name of a command, a summary, its options, an example that works, and the function that
 * runs the command. --help, the parsing of options and the suggestions for misspelt options are generated from the row.
 */
#ifndef SAPOR_TOOLS_H
#define SAPOR_TOOLS_H

#include "extractors/extractors.h"
#include "recsys/trained.h"

typedef struct Option {
    const char *name;  /* "batch" for --batch; NULL ends a table */
    char letter;       /* 'o' for -o; 0: none */
    const char *value; /* "N", "FILE"; NULL: a switch */
    /* one line, with the default. If it begins with "a, b or c", these are the values (option_words) */
    const char *about;
} Option;

typedef struct Context Context;
typedef struct Command {
    const char *name, *summary;
    const char *arguments;  /* as in the usage line: "MODEL INPUT... -o OUT.npy" */
    const char *details;    /* further text of --help, or NULL */
    const char *example;    /* a command line that works */
    const Option *options;  /* NULL: only the common options */
    int min_args, max_args; /* max_args -1: any number */
    bool overrides;         /* accepts --key.path=value */
    bool (*run)(Context *c, Error *e);
} Command;

/* One run of a command: its arguments and the values of the common options. */
struct Context {
    const Command *command;
    const char *const *args;
    size_t arg_count;
    const char *const *overrides; /* "key.path=value", without the dashes */
    size_t override_count;
    bool json, quiet;
    uint64_t seed;
    FILE *progress;     /* standard error; NULL with --quiet */
    int64_t max_memory; /* 0: no limit */
    Arena *arena;       /* is valid until the end of the run */
    const Heap *heap;
    struct Parsed *parsed; /* what only command/options.c uses */
};

/* Returns the last value of an option on the command line. NULL: the option is not given. */
const char *option_text(const Context *c, const char *name);
bool option_given(const Context *c, const char *name);
/* Returns all values of an option that may be repeated, in order. Each value is split at `sep` (0: not split). *list is
 * in the context's arena. *count is 0 if the option is not given. */
bool option_list(const Context *c, const char *name, char sep, const char *const **list, size_t *count, Error *e);
/* Reads the value as a number from `low` to `high`. The whole value must be a number. If the option is not given,
 * *value keeps its default. */
bool option_i64(const Context *c, const char *name, int64_t low, int64_t high, int64_t *value, Error *e);
bool option_f64(const Context *c, const char *name, double low, double high, double *value, Error *e);
/* Writes the index of the option's value in the `count` words to *value. If the option is not given, *value keeps its
 * default. */
bool option_choice(const Context *c, const char *name, const char *const *words, size_t count, int *value, Error *e);
/* Prints what was read, what is left out, and why: one line to `text`, one object {"event":"data",...} to `json`.
 * Either may be NULL (events.c). */
void print_dataset(const DataSet *d, FILE *text, FILE *json);
void print_split(void *arg, const SplitSource *s); /* SplitConfig.visit */
/* Prints the events of train_run (events.c). */
typedef struct TrainPrinter {
    const char *model;    /* as it was named in the command */
    FILE *text, *summary; /* progress, and a line about the data; NULL: not printed */
    FILE *json;           /* one object per line: the data, epochs, then the result; NULL: not printed */
    const char *label;    /* of the progress; NULL: the recommender's name */
    /* not the first training of the command: lines that are the same for all its trainings are not printed again */
    bool again;
    Progress progress;
    bool data, started; /* the data are printed; the progress bar was started */
} TrainPrinter;
bool train_print(void *printer, const TrainEvent *event, Error *e); /* a TrainVisit */
/* Must be called after train_run, also if train_run failed. */
void train_print_end(TrainPrinter *p);
/* With glibc: from this call on, freed blocks of 512 KiB or more are returned to the system (train/train.c). */
void train_memory(void);
/* Trains `t` once for each seed of --seeds (default: t's own seed) and each point of the grid in t's settings
 * (tools/train/many.c). save_recs: items per user; 0: none. */
bool train_many(Context *c, const TrainConfig *t, int64_t save_recs, Error *e);
/* Writes DIR/recs.tsv for all users, as `recommend DIR -o` does (recommend.c). */
bool save_recommendations(Context *c, const char *dir, int64_t k, Error *e);
/* Sets the error of `command` for an unknown recommender, with similar names (models.c). */
bool unknown_recommender(const Context *c, const char *command, const char *name, Error *e);

/* Fails with SP_USAGE if the output `path` of `option` is a file that the command reads, or if --out and --trace name
 * the same file (inputs.c). --out and --trace are checked before a command runs. The command checks the paths that it
 * derives from them. */
bool output_check(Context *c, const char *option, const char *path, Error *e);

/* Returns the device with the kernels, threads and trace of the common options. The first call creates it. */
const Device *context_device(Context *c, Error *e);
/* Returns what --device and --blas request, as a name for device_open in another process. NULL: neither is given. */
const char *context_device_name(const Context *c);
/* Makes the trace count ops as with --profile, but print nothing. Must be called before context_device. */
void context_keep_totals(Context *c);
/* Runs `command` with its arguments argv[0 .. argc-1] (argv[0] is the name of the command). Returns the exit status. */
int command_run(const Command *command, int argc, char **argv);
void command_help(const Command *k, FILE *to); /* in help.c, like the next three */
/* Reports whether a common option has an effect in this command. All common options are accepted. */
bool common_applies(const Command *k, const Option *common);
/* Prints `before` and a line with the common options that have no effect. Prints nothing if there are none. */
void print_ignored_options(const Command *k, const char *before, FILE *to);
/* Writes the values that an option's text lists. Returns their number; 0: none, or more than `room`. */
size_t option_words(const Option *o, Text *words, size_t room);
/* Print all commands and options, in roff (manpage.c) and for the shells (completion.c). */
void manual_page(const Command *commands, size_t count, FILE *to);
void bash_completion(const Command *commands, size_t count, FILE *to);
void zsh_completion(const Command *commands, size_t count, FILE *to);
/* Must be the first call of main. Opens descriptors 0 to 2 if they are closed, and installs signal handlers that remove
 * temporary files (process.c). */
void process_begin(void);
/* Flushes standard output. Returns false if something could not be written. A command with long output calls it
 * repeatedly. */
bool output_flush(Error *e);
#define SAPOR_SUMMARY "multimodal recommendation, from images and texts to Recall@20"
#define EXIT_STATUS   "0 success, 1 failure, 2 wrong usage"
extern const Option COMMON_OPTIONS[];
/* Prints "sapor: message" on standard error. Returns the exit status of the error code. */
int report_error(const Error *e);
bool is_colourful(FILE *to); /* a terminal with colours */

/* Allocates cells [rows, cols] for table_print, and an alignment: 'l' for the first column, 'r' for the others. */
bool table_cells(const char ***cells, char **align, size_t rows, size_t cols, Arena *a, Error *e);
/* Prints a table of rows x cols texts. The first row is the heading. `align` has one letter per column:
 *
 * - 'l' left, 'r' right (numbers): as wide as needed
 * - 'w' left, wrapped after blanks and commas: as narrow as its longest word; the last column may use the line up to
 *   100 columns */
bool table_print(FILE *to, const char *const *cells, size_t rows, size_t cols, const char *align, Arena *a, Error *e);

/* Prints text in lines of at most 100 columns and ends the last line. Line ends of the text count as blanks. The caller
 * has printed `at` columns of the first line; the other lines are indented by `at` blanks (help.c). */
void print_wrapped(FILE *to, const char *text, int at);

/* Reads a text file, or standard input if path is "-", and decodes it with text_decode. */
bool text_file_read(Text *out, Arena *a, const char *path, Error *e);

/* The options of every command that reads interactions. `files` is a string that the help of --format begins with: more
 * formats of this command ("amazon, "), the files that the format is for ("format of --test and --train: "), or "". */
#define FORMAT_LINKED(link, name, format, words) link name
#define FORMAT_OPTIONS(files)                                                                                          \
    {"format", 0, "K", files FORMAT_NAMES(FORMAT_LINKED) " (default auto)"},                                           \
        {"separator", 0, "C", "column separator: tab, comma, semicolon, colons (::) or blank (default: detected)"},    \
    {                                                                                                                  \
        "columns", 0, "U,I[,R[,T]]", "names of the user, item, rating and time columns (default: detected)"            \
    }
/* Read FORMAT_OPTIONS and --protocol (data_options.c). */
bool read_format(const Context *c, Format *f, Layout *layout, Error *e);
bool read_protocol(const Context *c, Protocol *p, Error *e);
/* Prints a table of metrics: Recall@10, ... It has one row per label; with more than 16 metrics, one column per label
 * (data_options.c). */
bool show_scores(FILE *to, Context *c, const char *const *labels, const Scores *const *scores, size_t n, Error *e);

/* Commands, one file each. */
bool encode_command(Context *c, Error *e);
bool nearest_command(Context *c, Error *e);
bool tokenize_command(Context *c, Error *e);
bool split_command(Context *c, Error *e);
bool prepare_command(Context *c, Error *e);
bool extract_command(Context *c, Error *e);
bool train_command(Context *c, Error *e);
bool run_command(Context *c, Error *e);
bool recommend_command(Context *c, Error *e);
bool evaluate_command(Context *c, Error *e);
bool compare_command(Context *c, Error *e);
bool bench_command(Context *c, Error *e);
size_t bench_job_count(void); /* values of the first argument of `bench` */
const char *bench_job_name(size_t i);
bool demo_command(Context *c, Error *e);
bool report_command(Context *c, Error *e);
bool models_command(Context *c, Error *e);
bool info_command(Context *c, Error *e);

#endif
