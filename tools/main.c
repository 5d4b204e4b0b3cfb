/* main.c: the table of commands. Adding one: a file with its function and options, a row here. */
#include <locale.h>

#include "tools/tools.h"

extern const Option split_options[],
    evaluate_options[], info_options[], bench_options[];

static const Command COMMANDS[] = {
    {"split", "cuts a rating file into train.tsv, val.tsv and test.tsv", "RATINGS.tsv --out DIR",
     "Lines keep their order and their bytes. The random strategy draws as Elliot does (NumPy's MT19937).",
     "sapor split reviews.tsv --out data --test-ratio 0.2 --validation-ratio 0.1 --seed 42", split_options, 1, 1, false, split_command},
    {"evaluate", "measures any system's recommendations", "RECS.tsv --test F",
     "RECS.tsv has user, item, score by tabs; a user's items count by falling score.",
     "sapor evaluate recs.tsv --test test.tsv --train train.tsv --metrics Recall,nDCG --cutoffs 10,20", evaluate_options, 1, 1, false,
     evaluate_command},
    {"info", "what this machine has, and which kernels were chosen and why", "", NULL, "sapor info --kernels", info_options, 0, 0, false,
     info_command},
    {"bench", "how fast, as a share of what the machine can do at most", "[WHAT [MODEL]]",
     "WHAT: peak, gemm, conv, attention, norm, spmm, topk, optimizer, or encoder MODEL; nothing: all but encoder.",
     "sapor bench gemm --threads 1 --json", bench_options, 0, 2, false, bench_command},
};

static void print_overview(FILE *to)
{
    const char *bold = is_colourful(to) ? "\033[1m" : "", *plain = is_colourful(to) ? "\033[0m" : "";
    fprintf(to,
            "sapor " SAPOR_VERSION ": multimodal recommendation, from a photo and a sentence to Recall@20.\n\n"
            "usage: %ssapor COMMAND [arguments] [options]%s\n\n",
            bold, plain);
    for (size_t i = 0; i < COUNT(COMMANDS); i++)
        fprintf(to, "  %s%-10s%s %s\n", bold, COMMANDS[i].name, plain, COMMANDS[i].summary);
    fprintf(to, "\n`sapor COMMAND --help` shows a command's options and an example.\n");
}

static const Command *find_command(const char *name)
{
    for (size_t i = 0; i < COUNT(COMMANDS); i++)
        if (strcmp(COMMANDS[i].name, name) == 0)
            return &COMMANDS[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    Error e = {0};
    const char *words[COUNT(COMMANDS)];
    for (size_t i = 0; i < COUNT(COMMANDS); i++)
        words[i] = COMMANDS[i].name;
    Arena *a = arena_new(NULL, 0);
    const char *near = a ? nearest_word(name, words, COUNT(COMMANDS), a) : NULL;
    if (near)
        fail(&e, SP_USAGE, "there is no command \"%s\"; did you mean \"%s\"?", name, near);
    else
        fail(&e, SP_USAGE, "there is no command \"%s\"; `sapor --help` lists them", name);
    arena_free(a);
    return report_error(&e);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* numbers stay in the C locale */
    if (argc < 2) {
        print_overview(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        puts("sapor " SAPOR_VERSION);
        return 0;
    }
    bool help = strcmp(name, "help") == 0;
    if ((help && argc == 2) || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_overview(stdout);
        return 0;
    }
    const Command *command = find_command(help ? argv[2] : name);
    if (!command)
        return unknown_command(help ? argv[2] : name);
    if (help) {
        command_help(command, stdout);
        return 0;
    }
    return command_run(command, argc - 1, argv + 1);
}
