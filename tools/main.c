/* tools/main.c: the table of commands. Adding one: a file with its function and options, a row here. */
#include <locale.h>

#include "tools/tools.h"

extern const Option extract_options[], encode_options[], tokenize_options[], split_options[], train_options[],
    recommend_options[], evaluate_options[], models_options[], info_options[], bench_options[], demo_options[],
    report_options[], nearest_options[];

static const Command COMMANDS[] = {
    {"extract", "images and texts to features, as a Ducho configuration says", "CONFIG.yml",
     "Writes dataset_path/output_path/backend/model/layer/<item>.npy, each float32 (1, D). What is there already and "
     "was "
     "made by the\n"
     "same settings from the same input is not made again. --key.path=value overrides the configuration (a number "
     "walks "
     "into a list).\n"
     "What cannot be read is listed in model/missing_<layer>.tsv; the rest is done.",
     "sapor extract config.yml --dataset_path=data --visual.items.model.0.batch_size=32", extract_options, 1, 1, true,
     extract_command},
    {"encode", "images and texts to features, by one encoder", "MODEL INPUT... -o OUT.npy",
     "MODEL is a folder, a weights file, a name that is looked up ($SAPOR_MODELS, the Hugging Face and torch caches), "
     "or "
     "one of the\n"
     "statistics of `sapor models`. INPUT is images, folders of images (sorted by name), a .txt file or - "
     "(standard "
     "input)\n"
     "with one text a line, or with --id-column and --text-column a table. What has an id and cannot be read has no "
     "row: "
     "it is\n"
     "listed in missing_OUT.tsv. An id is UTF-8 without control characters, and none comes twice.",
     "sapor encode models/all-MiniLM-L6-v2 titles.txt -o titles.npy", encode_options, 2, -1, false, encode_command},
    {"nearest", "the most alike rows of features", "FEATURES (--id ID | --query TEXT|IMAGE --model MODEL)",
     "FEATURES is an .npy (its row names in .ids.txt beside it, else row numbers) or a folder of <id>.npy, as encode "
     "and\n"
     "extract write them. Alike by cosine, best first; of equal rows the first. Rows of zeros are left out.",
     "sapor nearest titles.npy --query 'a red leather bag' --model models/all-MiniLM-L6-v2 -k 5", nearest_options, 1, 1,
     false, nearest_command},
    {"tokenize", "texts to token ids, as the model's own tokenizer gives them", "MODEL [FILE]",
     "Reads FILE, or standard input, one text a line; prints one line of ids for each.",
     "echo 'a red leather bag' | sapor tokenize models/all-MiniLM-L6-v2 --tokens", tokenize_options, 1, 2, false,
     tokenize_command},
    {"split", "cuts a rating file into train.tsv, val.tsv and test.tsv", "RATINGS.tsv --out DIR",
     "Lines keep their order and their bytes. The random strategy draws as Elliot does (NumPy's MT19937).",
     "sapor split reviews.tsv --out data --test-ratio 0.2 --validation-ratio 0.1 --seed 42", split_options, 1, 1, false,
     split_command},
    {"train", "trains a recommender and measures it", "MODEL --train F [--valid F] [--test F]",
     "MODEL is a recommender of `sapor models`. F is a table of user, item[, rating[, time]] between tabs or commas, "
     "or a\n"
     "file of MMRec, RecBole or LightGCN. DIR is the run folder, for `sapor recommend` and `sapor report`.",
     "sapor train LATTICE --train train.tsv --valid val.tsv --test test.tsv --features visual=img.npy,textual=txt.npy "
     "--out "
     "run",
     train_options, 1, 1, false, train_command},
    {"recommend", "the best items for users, from a run folder", "RUN",
     "RUN is a folder that `sapor train --out` wrote. Items that a user has in the train part are not recommended.",
     "sapor recommend run --users u1,u2 -k 10", recommend_options, 1, 1, false, recommend_command},
    {"evaluate", "measures any system's recommendations", "RECS.tsv --test F",
     "RECS.tsv has user, item, score between tabs or commas, as `sapor recommend -o` writes it, or MMRec's top-k "
     "columns;\n"
     "a user's items count by falling score.",
     "sapor evaluate recs.tsv --test test.tsv --train train.tsv --metrics Recall,nDCG --cutoffs 10,20",
     evaluate_options, 1, 1, false, evaluate_command},
    {"models", "lists encoders and recommenders; with a NAME, its settings", "[NAME]", NULL, "sapor models LATTICE",
     models_options, 0, 1, false, models_command},
    {"info", "what this machine has, and which kernels were chosen and why", "", NULL, "sapor info --kernels",
     info_options, 0, 0, false, info_command},
    {"bench", "how fast, as a share of what the machine can do at most", "[WHAT [MODEL]]",
     "WHAT: peak, gemm, conv, attention, norm, spmm, topk, optimizer, tokenizer [MODEL], image [FILE or FOLDER],\n"
     "encoder MODEL, train MODEL (a recommender); nothing: all that need no MODEL. `of peak`: the share of what\n"
     "arithmetic, or memory (m), allows here at most. With --against: exit status 1 where something got slower.",
     "sapor bench gemm --threads 1 --json", bench_options, 0, 2, false, bench_command},
    {"report", "a page about finished runs, to look at", "RUN...",
     "RUN is a run folder, which `sapor train --out` wrote; all of the same data, with a test part.",
     "sapor report out/demo/LATTICE out/demo/VBPR --items out/demo/items.tsv --pictures out/demo/pictures -o "
     "report.html",
     report_options, 1, -1, false, report_command},
    {"demo", "the tour: a small catalogue drawn, encoded, learnt and compared", "", NULL, "sapor demo", demo_options, 0,
     0, false, demo_command},
};

/* What `sapor help` prints of all rows; `make install` puts it where man and the shells look. */
static const struct {
    const char *option;
    void (*print)(const Command *commands, size_t count, FILE *to);
} PAGES[] = {{"--man", manual_page}, {"--bash-completion", bash_completion}, {"--zsh-completion", zsh_completion}};

static void print_overview(FILE *to)
{
    const char *bold = is_colourful(to) ? "\033[1m" : "", *plain = is_colourful(to) ? "\033[0m" : "";
    fprintf(to,
            "sapor " SAPOR_VERSION ": " SAPOR_SUMMARY ".\n\n"
            "usage: %ssapor COMMAND [arguments] [options]%s\n\n",
            bold, plain);
    for (size_t i = 0; i < COUNT(COMMANDS); i++)
        fprintf(to, "  %s%-10s%s %s\n", bold, COMMANDS[i].name, plain, COMMANDS[i].summary);
    fprintf(
        to,
        "\n`sapor COMMAND --help` shows a command's options and an example; `sapor --version` (-V) the version.\n"
        "`sapor help --man`, `--bash-completion` and `--zsh-completion` write what `make install` puts in place.\n");
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

/* The exit status of what only printed. */
static int printed(void)
{
    Error e = {0};
    return output_whole(&e) ? 0 : report_error(&e);
}

int main(int argc, char **argv)
{
    process_begin();
    setlocale(LC_CTYPE, ""); /* numbers stay in the C locale */
    if (argc < 2) {
        print_overview(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("sapor " SAPOR_VERSION);
        return printed();
    }
    bool help = strcmp(name, "help") == 0;
    if ((help && argc == 2) || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_overview(stdout);
        return printed();
    }
    for (size_t i = 0; help && i < COUNT(PAGES); i++)
        if (strcmp(argv[2], PAGES[i].option) == 0) {
            PAGES[i].print(COMMANDS, COUNT(COMMANDS), stdout);
            return printed();
        }
    const Command *command = find_command(help ? argv[2] : name);
    if (!command)
        return unknown_command(help ? argv[2] : name);
    if (help) {
        command_help(command, stdout);
        return printed();
    }
    return command_run(command, argc - 1, argv + 1);
}
