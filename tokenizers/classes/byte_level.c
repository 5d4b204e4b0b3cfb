/* tokenizers/classes/byte_level.c: a tokenizer from vocab.json and merges.txt, as transformers builds it. */
// flags: -Os
#include "tokenizers/pipeline.h"

/* What the classes of transformers make of the two files. CLIP's also puts a blank where white space is, before Split
 * takes all white space out: that changes nothing and is left out here. */
typedef struct ByteClass {
    const char *name, *model_type, *unknown; /* unknown: of the model */
    const char *bos, *eos, *unk, *sep, *pad, *cls, *mask;
    const char *first, *last; /* special tokens around a text, by their keys */
    bool nfc, lower;
    bool no_regex;                /* ByteLevel does not split */
    bool again;                   /* special tokens lose the flags that the file has for them */
    const char *pattern, *suffix; /* pattern: of Split; NULL: GPT-2's */
    SplitRule rule;
} ByteClass;

#define END "<|endoftext|>"
static const ByteClass BYTE_CLASSES[] = {
    {.name = "GPT2Tokenizer", .model_type = "gpt2", .bos = END, .eos = END, .unk = END},
    {.name = "RobertaTokenizer",
     .model_type = "roberta",
     .bos = "<s>",
     .eos = "</s>",
     .unk = "<unk>",
     .sep = "</s>",
     .pad = "<pad>",
     .cls = "<s>",
     .mask = "<mask>",
     .first = "cls_token",
     .last = "sep_token"},
    {.name = "CLIPTokenizer",
     .model_type = "clip",
     .unknown = END,
     .bos = "<|startoftext|>",
     .eos = END,
     .unk = END,
     .pad = END,
     .first = "bos_token",
     .last = "eos_token",
     .nfc = true,
     .lower = true,
     .pattern = PATTERN_CLIP_SPECIAL PATTERN_CLIP,
     .suffix = "</w>",
     .rule = SPLIT_REMOVED},
    {.name = "Qwen2Tokenizer",
     .model_type = "qwen2",
     .eos = END,
     .unk = END,
     .pad = END,
     .nfc = true,
     .no_regex = true,
     .again = true,
     .pattern = PATTERN_QWEN2,
     .rule = SPLIT_ISOLATED},
};

/* By tokenizer_class of tokenizer_config.json, or model_type of config.json. */
static const ByteClass *byte_class(Load *l)
{
    Text class, model;
    if (!load_class(l, &class, &model))
        return NULL;
    for (size_t i = 0; i < COUNT(BYTE_CLASSES); i++)
        if (text_is(class, BYTE_CLASSES[i].name) || text_is(model, BYTE_CLASSES[i].model_type))
            return &BYTE_CLASSES[i];
    fail(l->e, SP_UNSUPPORTED,
         "%s: vocab.json and merges.txt: expected GPT2Tokenizer, RobertaTokenizer, CLIPTokenizer or Qwen2Tokenizer as "
         "tokenizer_class of tokenizer_config.json%s%.*s",
         l->folder, class.n ? ", found " : "", NAME(class));
    return NULL;
}

static bool read_merges(Load *l, const char *path, Bpe *m, Text source)
{
    Text row;
    for (unsigned line = 1; text_line(&source, &row); line++)
        if (!bpe_merge_line(l, m, row, path, line))
            return false;
    return true;
}

static bool load_merges(Load *l, const ByteClass *class)
{
    const Json *config = l->config;
    const char *merges = l->second;
    Tokenizer *t = l->t;
    Text source;
    const Json *vocab = load_file_json(l, l->path);
    if (!vocab || !load_source(l, merges, &source))
        return false;
    if (vocab->type != JSON_OBJECT || !vocab->count)
        return fail(l->e, SP_FORMAT, "%s: expected an object of tokens and their ids", l->path);
    size_t lines = 1, bad_at;
    for (size_t i = 0; i < source.n; i++)
        lines += source.p[i] == '\n';
    if (!utf8_valid(source, &bad_at))
        return fail(l->e, SP_FORMAT, "%s: byte %zu is not UTF-8: not a list of merges", merges, bad_at);
    BpeSettings settings = {0};
    if (class->unknown)
        settings.unknown = text_of(class->unknown);
    if (class->suffix)
        settings.suffix = text_of(class->suffix);
    const Json *unk = json_get(config, "unk_token"), *content = json_get(unk, "content");
    if (class->unknown && unk && (unk->type == JSON_STRING || (content && content->type == JSON_STRING)))
        settings.unknown = content ? content->text : unk->text;
    Bpe *m = read_vocabulary(l, vocab) ? bpe_new(l, &settings, lines) : NULL;
    if (!m || !read_merges(l, merges, m, source))
        return false;
    t->model = m;
    t->prefix_space = !class->lower && json_is_true(json_get(config, "add_prefix_space"));
    const void *level = byte_level_new(l, t->prefix_space, !class->no_regex);
    Pattern *pattern = class->pattern ? pattern_new(l, text_of(class->pattern)) : NULL;
    if (!level || (class->pattern && !pattern))
        return false;
    if (pattern) {
        pattern->rule = class->rule;
        pattern->invert = class->rule == SPLIT_REMOVED;
        t->pre_tokenizers.list[t->pre_tokenizers.count++] = (Stage){&pre_tokenizer_split, pattern};
    }
    t->pre_tokenizers.list[t->pre_tokenizers.count++] = (Stage){&pre_tokenizer_byte_level, level};
    if (class->nfc)
        t->normalizers.list[t->normalizers.count++] = (Stage){&normalizer_nfc, NULL};
    if (class->lower)
        t->normalizers.list[t->normalizers.count++] = (Stage){&normalizer_lowercase, NULL};
    t->decoders = (Stages){.list = {{&decoder_byte_level, NULL}}, .count = 1};
    return true;
}

bool load_vocab_json(Load *l)
{
    const Json *config = l->config;
    const ByteClass *c = byte_class(l);
    if (!c)
        return false;
    if (json_is_true(json_get(config, "add_bos_token")) || json_is_true(json_get(config, "add_eos_token")))
        return fail(l->e, SP_UNSUPPORTED, "%s: add_bos_token and add_eos_token are supported in tokenizer.json only",
                    l->folder);
    if (!load_added(l, json_get(config, "added_tokens_decoder")) || !load_merges(l, c))
        return false;
    const struct {
        const char *name, *fallback;
    } specials[] = {{"bos_token", c->bos}, {"eos_token", c->eos}, {"unk_token", c->unk},  {"sep_token", c->sep},
                    {"pad_token", c->pad}, {"cls_token", c->cls}, {"mask_token", c->mask}};
    Text ends[2] = {{0}};
    for (size_t i = 0; i < COUNT(specials); i++) {
        Text text;
        if (!load_named(l, specials[i].name, specials[i].fallback, c->again, &text))
            return false;
        if (c->first && !strcmp(specials[i].name, c->first))
            ends[0] = text;
        if (c->last && !strcmp(specials[i].name, c->last))
            ends[1] = text;
    }
    int32_t first, last;
    if (!c->first)
        return load_finish(l);
    const Json *trims = json_get(config, "trim_offsets");
    l->t->trims = !c->lower && (is_absent(trims) || json_is_true(trims));
    return load_special_id(l, ends[0], &first) && load_special_id(l, ends[1], &last) &&
           template_around(l, first, last, 2, 0) && load_finish(l);
}
