/* tools/command/manpage.c: prints the rows of main.c as a page for man(1), in roff. `make` writes build/sapor.1 with
 * it. */
// flags: -Os
#include "tools/tools.h"

/* Escapes the special characters of roff. No line begins with a dot or a quote. */
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

typedef struct Entry {
    const char *name, *about;
} Entry;

static const Entry EXITS[] = {
    {"0", "success"},
    {"1", "failure: one line on standard error names the problem"},
    {"2", "wrong usage: an unknown command, option or value, or a missing argument"},
};

/* Every environment variable that the command reads. tests/help_test.sh searches this list for each getenv of the
 * sources. */
static const Entry ENVIRONMENT[] = {
    {"SAPOR_DEVICE", "device if --device is not given: cpu, cuda or auto; the library reads it too"},
    {"SAPOR_CUDA",
     "path of the CUDA plug-in, libsapor_cuda.so; default: next to the program, ../lib, the system's folders"},
    {"SAPOR_CPU", "instruction level: baseline (on ARM: NEON, the only level), avx2 or avx512; default: the best one"},
    {"SAPOR_MODELS", "folder of models, searched before the caches; the name resnet50 finds resnet50-11ad3fa6.pth"},
    {"HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE", "folder of models from the Hugging Face hub; default: $HF_HOME/hub"},
    {"HF_HOME", "folder of Hugging Face; default: $XDG_CACHE_HOME/huggingface"},
    {"TORCH_HOME", "folder of torch, with hub/checkpoints; default: $XDG_CACHE_HOME/torch"},
    {"XDG_CACHE_HOME", "folder of all caches; default: $HOME/.cache"},
    {"HOME", "home folder; contains .cache if no other variable names the caches"},
    {"NO_COLOR", "if not empty, no colours on a terminal"},
    {"TERM", "if its value is dumb, no colours on a terminal"},
    {"LC_ALL, LC_CTYPE, LANG", "character set of the terminal"},
};

static const Entry FILES[] = {
    {"$SAPOR_MODELS/MODEL",
     "a model: a Hugging Face folder (config.json, model.safetensors, tokenizer.json) or a weights file"},
    {"~/.cache/huggingface/hub/models--ORG--NAME/snapshots/COMMIT", "a model from `hf download` (huggingface-cli)"},
    {"~/.cache/torch/hub/checkpoints/NAME-HASH.pth", "a model from torchvision"},
    {"PREFIX/share/sapor/encoders/demo", "the two encoders of sapor demo; looked up relative to the command"},
    {"OUT.npy, OUT.ids.txt", "output of encode: float32 [N, D], and the id of each row"},
    {"missing_OUT.tsv; missing_LAYER.tsv in the model's folder", "inputs that could not be read: id and reason"},
    {"RUN/config.json, result.json, history.tsv",
     "output of train --out: every setting, the final metrics, the metrics after each evaluated epoch"},
    {"RUN/user.npy, item.npy, user.ids.txt, item.ids.txt", "vectors of a trained model and the ids of their rows"},
    {"RUN/checkpoint.safetensors, seen.safetensors", "state of a stopped run; the training items of each user"},
    {".NAME.tmp", "incomplete file; renamed to NAME when complete"},
    {".sapor.lock", "locked while a run writes to the folder"},
};

static void put_entries(FILE *to, const char *heading, const Entry *list, size_t n)
{
    fprintf(to, ".SH %s\n", heading);
    for (size_t i = 0; i < n; i++) {
        fputs(".TP\n\\fB", to);
        put(to, list[i].name);
        fputs("\\fR\n", to);
        put(to, list[i].about);
        fputc('\n', to);
    }
}

void manual_page(const Command *commands, size_t count, FILE *to)
{
    fputs(".TH SAPOR 1 2026-11-23 \"sapor " SAPOR_VERSION "\"\n.SH NAME\nsapor \\- " SAPOR_SUMMARY "\n.SH SYNOPSIS\n"
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
        if (k->details) {
            put(to, k->details);
            fputc('\n', to);
        }
        put_options(to, k->options);
        print_ignored_options(k, ".PP\n", to);
        fputs(".PP\nExample:\n.PP\n.RS\n.nf\n", to);
        put(to, k->example);
        fputs("\n.fi\n.RE\n", to);
    }
    fputs(".SH COMMON OPTIONS\n", to);
    put_options(to, COMMON_OPTIONS);
    put_entries(to, "EXIT STATUS", EXITS, COUNT(EXITS));
    put_entries(to, "ENVIRONMENT", ENVIRONMENT, COUNT(ENVIRONMENT));
    put_entries(to, "FILES", FILES, COUNT(FILES));
}
