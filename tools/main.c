/* tools/main.c: the table of commands. A new command is a file with its function and options, and a row here. */
#include <locale.h>

#include "tools/tools.h"

extern const Option extract_options[], encode_options[], tokenize_options[], split_options[], train_options[],
    recommend_options[], evaluate_options[], models_options[], info_options[], bench_options[], demo_options[],
    report_options[], nearest_options[], compare_options[], prepare_options[], run_options[];

#ifdef SAPOR_MINIMAL /* MINIMAL does not have these commands and texts */
#define LEFT_OUT    "prepare", "run", "compare"
#define WHOLE(text) ""
#else
#define WHOLE(text) text
#endif

static const Command COMMANDS[] = {
    {"extract", "computes features of images and texts from a Ducho configuration", "CONFIG.yml",
     "Writes the features of each item to dataset_path/output_path/backend/model/layer/<item>.npy,\n"
     "float32 (1, D) or (1, C, H, W). Items with unchanged settings and input are skipped. --key.path=value\n"
     "overrides a key of the configuration; a number in the path is an index into a list. Items that\n"
     "cannot be read are listed in model/missing_<layer>.tsv; the other items are processed. Each image\n"
     "is decoded once for all models. The section visual_textual joins the image and the text with the\n"
     "same id; with `compat: ducho`, image n and text n.",
     "sapor extract config.yml --dataset_path=data --visual.items.model.0.batch_size=32", extract_options, 1, 1, true,
     extract_command},
    {"encode", "computes features of images and texts with one encoder", "MODEL INPUT... (-o OUT.npy | --score)",
     "MODEL is a folder, a weights file, a model name, or an encoder without weights (see `sapor models`).\n"
     "A name is looked up in $SAPOR_MODELS and in the caches of Hugging Face and torch. INPUT is an\n"
     "image, a folder of images (sorted by name), or a .txt file with one text per line. `-` is\n"
     "standard input: one text per line, or a table. A table needs --id-column and --text-column. An input\n"
     "that cannot be read gets no row and is listed in missing_OUT.tsv if it has an id; else the command\n"
     "fails. Ids are unique UTF-8 without control characters. --score takes images and texts and prints a\n"
     "table: image, text, probability, logit.",
     "sapor encode models/all-MiniLM-L6-v2 titles.txt -o titles.npy", encode_options, 2, -1, false, encode_command},
    {"nearest", "finds the most similar rows of features", "FEATURES (--id ID | --query TEXT|IMAGE --model MODEL)",
     "FEATURES is an .npy or a folder of <id>.npy, as encode and extract write them. The ids of the rows\n"
     "of an .npy are in .ids.txt; without that file, rows are numbered from 0. The similarity is the cosine.\n"
     "The most similar rows come first; rows with the same similarity are ordered by number. Rows of zeros\n"
     "are skipped.",
     "sapor nearest titles.npy --query 'a red leather bag' --model models/all-MiniLM-L6-v2 -k 5", nearest_options, 1, 1,
     false, nearest_command},
    {"tokenize", "converts texts to token ids with the tokenizer of a model", "MODEL [FILE]",
     "Reads one text per line from FILE or standard input; prints one line of ids per text. MODEL is a folder\n"
     "or one of its files: tokenizer.json, vocab.txt, vocab.json with merges.txt, a SentencePiece .model (Unigram\n"
     "or BPE), qwen.tiktoken or CLIP's bpe_simple_vocab_16e6.txt.gz.\n"
     "Like AutoTokenizer of transformers, tokenize does not truncate or pad. --as-file applies the truncation\n"
     "and padding of tokenizer.json; ids are then padded to the longest text of FILE, or to a fixed length.\n"
     "--decode reads lines of ids.",
     "echo 'a red leather bag' | sapor tokenize models/all-MiniLM-L6-v2 --tokens", tokenize_options, 1, 2, false,
     tokenize_command},
#ifndef SAPOR_MINIMAL
    {"prepare", "makes interactions, items and splits from published raw files", "SOURCE... --out DIR",
     "SOURCE is a file of interactions: Amazon reviews or ratings, MovieLens (u.data, ratings.dat,\n"
     "ratings.csv), RecBole .inter, LightGCN text, any table; several files are read as one. Nothing is downloaded.\n"
     "--meta is a file of items: Amazon metadata, MovieLens (u.item, movies.dat, movies.csv), RecBole .item,\n"
     "any table with column names. JSON and the Python dicts of Amazon 2014 are read line by line, also gzip.\n"
     "--recipe ducho does what Ducho's prepare_dataset.py does and splits as Elliot does; --recipe mmrec does what\n"
     "MMRec's notebooks do. Other options change single steps. docs/formats.md describes the files in DIR.\n"
     "A build with MINIMAL=1 does not have this command.",
     "sapor prepare reviews_Baby_5.json.gz --meta meta_Baby.json.gz --recipe ducho --out baby", prepare_options, 1, -1,
     false, prepare_command},
#endif
    {"split", "splits interactions into train.tsv, val.tsv and test.tsv", "RATINGS.tsv --out DIR",
     "Lines are copied unchanged and in the same order. The random strategy uses the random numbers of\n"
     "Elliot (NumPy's MT19937).",
     "sapor split reviews.tsv --out data --test-ratio 0.2 --validation-ratio 0.1 --seed 42", split_options, 1, 1, false,
     split_command},
    {"train", "trains a recommender and evaluates it", "MODEL --train F [--valid F] [--test F]",
     "MODEL is a recommender of `sapor models`. F is a table of user, item[, rating[, time]] separated by\n"
     "tabs or commas, or a file of MMRec, RecBole or LightGCN. --out DIR is the run folder, which\n"
     "`sapor recommend` and `sapor report` read." WHOLE(
         "\n`--seeds 1,2,3` trains once with each seed. `--set lr=0.001,0.01 --set l_w=1e-5,1e-2` trains each\n"
         "of the four combinations and reports the best one. DIR then has a run folder for each run, trials.tsv and\n"
         "summary.json (docs/formats.md)."),
     "sapor train LATTICE --train train.tsv --valid val.tsv --test test.tsv --features visual=img.npy,textual=txt.npy "
     "--out run",
     train_options, 1, 1, false, train_command},
#ifndef SAPOR_MINIMAL
    {"run", "runs a configuration: data, search, training, tests, result files", "CONFIG.yml",
     "CONFIG.yml is an experiment of Elliot (key experiment), a benchmark (key benchmark), a configuration\n"
     "of MMRec, or a folder with MMRec's configs/. --key.path=value overrides a key. Every trial is a row of\n"
     "OUT/ledger.sqlite. A stopped run continues; a finished trial is never repeated.\n"
     "Several processes may work on one folder at the same time. Results are written when all trials are finished.",
     "sapor run config.yml --out out/search --jobs 2 --export trials.tsv", run_options, 1, 1, true, run_command},
#endif
    {"recommend", "recommends items to users with a trained model", "RUN",
     "RUN is a run folder of `sapor train --out`. Training items of a user are not recommended to that user.",
     "sapor recommend run --users u1,u2 -k 10", recommend_options, 1, 1, false, recommend_command},
    {"evaluate", "evaluates the recommendations of any system", "RECS.tsv --test F",
     "RECS.tsv has the columns user, item, score, separated by tabs or commas, as `sapor recommend -o`\n"
     "writes it. A table of MMRec (id, top_0, top_1, ...) is accepted too. The items of a user are\n"
     "ranked by score, highest first.",
     "sapor evaluate recs.tsv --test test.tsv --train train.tsv --metrics Recall,nDCG --cutoffs 10,20",
     evaluate_options, 0, 1, false, evaluate_command},
#ifndef SAPOR_MINIMAL
    {"compare", "compares runs, with tests of significance", "RUN RUN...",
     "RUN is a run folder of `sapor train --out`, a folder of several seeds (`--seeds`: means over the seeds), or\n"
     "a file of figures by user: by_user.tsv of a run folder, or the output of `sapor evaluate --by-user`. Each\n"
     "pair of runs is tested with a paired t test and with Wilcoxon's signed-rank test, over the users that both\n"
     "have. Holm's method adjusts p over all pairs of one metric.",
     "sapor compare out/demo/LATTICE out/demo/VBPR out/demo/BPRMF --metrics Recall@20,nDCG@20", compare_options, 2, -1,
     false, compare_command},
#endif
    {"models", "lists encoders and recommenders, or the settings of one", "[NAME]", NULL, "sapor models LATTICE",
     models_options, 0, 1, false, models_command},
    {"info", "shows the machine, the build and the chosen kernels", "", NULL, "sapor info --kernels", info_options, 0,
     0, false, info_command},
    {"bench", "measures speed and compares it with the peak of the machine", "[WHAT [MODEL]]",
     "WHAT is peak, gemm, conv, attention, norm, spmm, topk, optimizer, tokenizer [MODEL],\n"
     "image [FILE or FOLDER], encoder MODEL, train MODEL (a recommender), extract CONFIG.yml (seconds of\n"
     "each model of a Ducho configuration by batch size, 1 to 64; images are decoded, nothing is written),\n"
     "data (makes random interactions and features) or plot POINTS.tsv (draws a chart: the columns are\n"
     "name of a line, x, y; the header names the axes).\n"
     "Without WHAT, all from peak to image are measured. The column `of peak` is the share of the\n"
     "peak of arithmetic, or of memory if marked m. With --against, the exit status is 1 if a\n"
     "measurement is slower.",
     "sapor bench gemm --threads 1 --json", bench_options, 0, 2, false, bench_command},
    {"report", "writes an HTML page about finished runs", "RUN...",
     "RUN is a run folder of `sapor train --out`. All runs must use the same data and have a test part." WHOLE(
         "\nOr RUN is one folder of `sapor run`, finished or not: the page has the tables of figures (best bold,\n"
         "second underlined), learning curves, the effect of each hyper-parameter, time and memory, significance,\n"
         "knock-outs (how figures change if a modality's features are replaced by noise, constants or the\n"
         "features of other items) and failed trials. --tables writes each table as .csv, .tex and .md."),
     "sapor report out/demo/LATTICE out/demo/VBPR --items out/demo/items.tsv --pictures out/demo/pictures -o "
     "report.html",
     report_options, 1, -1, false, report_command},
    {"demo", "runs all steps on a small synthetic catalogue", "", NULL, "sapor demo", demo_options, 0, 0, false,
     demo_command},
};

/* The files that `sapor help` prints. `make install` installs them for man and the shells. */
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
    fprintf(to, "\n`sapor COMMAND --help` shows the options of a command and an example.\n"
                "`sapor --version` (-V) shows the version.\n"
                "`sapor help --man`, `--bash-completion` and `--zsh-completion` print the man page and completions.\n");
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
#ifdef LEFT_OUT
    static const char *const left_out[] = {LEFT_OUT};
    for (size_t i = 0; i < COUNT(left_out); i++)
        if (strcmp(name, left_out[i]) == 0) {
            fail(&e, SP_UNSUPPORTED, "this build has no %s; build without MINIMAL=1", name);
            return report_error(&e);
        }
#endif
    const char *words[COUNT(COMMANDS)];
    for (size_t i = 0; i < COUNT(COMMANDS); i++)
        words[i] = COMMANDS[i].name;
    Arena *a = arena_new(NULL, 0);
    const char *near = a ? nearest_word(name, words, COUNT(COMMANDS), a) : NULL;
    if (near)
        fail(&e, SP_USAGE, "unknown command \"%s\"; did you mean \"%s\"?", name, near);
    else
        fail(&e, SP_USAGE, "unknown command \"%s\"; `sapor --help` lists the commands", name);
    arena_free(a);
    return report_error(&e);
}

/* Returns the exit status of a command that only prints. */
static int printed(void)
{
    Error e = {0};
    return output_flush(&e) ? 0 : report_error(&e);
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
