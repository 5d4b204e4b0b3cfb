/* tokenizers/classes/byte_level.c: makes a tokenizer from vocab.json and merges.txt, or from CLIP's list of merges, as
 * transformers does. */
// flags: -Os
#include "tokenizers/pipeline.h"

/* What a class of transformers makes of the two files. NULL: no such token. CLIP's class also replaces white space by a
 * blank, before Split removes all white space. This has no effect and is left out here. */
typedef struct ByteClass {
    const char *name, *model_type, *unknown; /* unknown: the unknown token of the BPE model */
    const char *bos, *eos, *unk, *sep, *pad, *cls, *mask;
    const char *first, *last; /* keys (in the files) of the special tokens around a text; NULL: no special tokens */
    bool nfc, lower;
    bool no_regex; /* ByteLevel does not split words */
    /* the class adds its special tokens once more, with the flag `special` only; this replaces the flags of the file */
    bool again;
    /* pattern: of a Split before ByteLevel; NULL: only ByteLevel splits. suffix: end_of_word_suffix */
    const char *pattern, *suffix;
    SplitRule rule;
} ByteClass;

#define END "<|endoftext|>"
enum { CLIP_CLASS = 2 };
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
    [CLIP_CLASS] = {.name = "CLIPTokenizer",
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

/* Finds the class by tokenizer_class of tokenizer_config.json, or by model_type of config.json. */
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

/* ---- vocabulary and merges ------------------------------------------------------------------- */

static BpeSettings settings_of(const Load *l, const ByteClass *class)
{
    const Json *unk = json_get(l->config, "unk_token"), *content = json_get(unk, "content");
    BpeSettings s = {0};
    if (class->unknown)
        s.unknown = text_of(class->unknown);
    if (class->suffix)
        s.suffix = text_of(class->suffix);
    if (class->unknown && unk && (unk->type == JSON_STRING || (content && content->type == JSON_STRING)))
        s.unknown = content ? content->text : unk->text;
    return s;
}

/* Returns the number of lines, or one more: capacity for a list of lines. */
static size_t lines_of(Text source)
{
    size_t lines = 1;
    for (size_t i = 0; i < source.n; i++)
        lines += source.p[i] == '\n';
    return lines;
}

/* Reads vocab.json and merges.txt. */
static Bpe *read_pair(Load *l, const ByteClass *class)
{
    Text source, row;
    size_t bad_at;
    const Json *vocab = load_file_json(l, l->path);
    if (!vocab || !load_source(l, l->second, &source))
        return NULL;
    if (vocab->type != JSON_OBJECT || !vocab->count)
        fail(l->e, SP_FORMAT, "%s: expected an object of tokens and their ids", l->path);
    else if (!utf8_valid(source, &bad_at))
        fail(l->e, SP_FORMAT, "%s: byte %zu is not UTF-8: not a list of merges", l->second, bad_at);
    BpeSettings settings = settings_of(l, class);
    Bpe *m = !l->e->code && read_vocabulary(l, vocab) ? bpe_new(l, &settings, lines_of(source)) : NULL;
    for (unsigned line = 1; m && text_line(&source, &row); line++)
        if (!bpe_merge_line(l, m, row, l->second, line))
            return NULL;
    return m;
}

/* The vocabulary of OpenAI's simple_tokenizer.py: 256 bytes, the same at the end of a word, the results of the merges
 * in order, the special tokens. The first line of the file is a title. Merges after the last one that CLIP uses are
 * ignored. */
enum { CLIP_MERGES = 49152 - 256 - 2 };

static char *put_code(char *to, uint32_t code, const char *suffix)
{
    to += utf8_encode(code, to);
    memcpy(to, suffix, strlen(suffix));
    return to + strlen(suffix);
}

/* Writes the first 512 pieces of CLIP's vocabulary: the letters of all bytes, then the same letters with the suffix.
 * `to` has space for 8 bytes per piece. */
static void clip_bytes(Load *l, const ByteClass *class, char *to)
{
    Tokenizer *t = l->t;
    for (int last = 0; last < 2; last++)
        for (int moved = 0; moved < 2; moved++) /* bytes that stay themselves come first */
            for (int b = 0; b < 256; b++) {
                uint32_t code = byte_level_code((unsigned char)b);
                if ((code != (uint32_t)b) != moved)
                    continue;
                char *begin = to;
                to = put_code(to, code, last ? class->suffix : "");
                t->pieces[t->ids++] = (Text){begin, (size_t)(to - begin)};
            }
}

/* Reads CLIP's list of merges: makes the vocabulary from the list, then the model. NULL: an error. */
static Bpe *read_list(Load *l, const ByteClass *class)
{
    enum { BYTES = 512 * 8, MOST = CLIP_MERGES };
    Tokenizer *t = l->t;
    Text source, row, left, right;
    if (!load_source(l, l->path, &source) || !text_decode(&source, l->path, l->a, l->e))
        return NULL;
    size_t lines = MIN(lines_of(source), (size_t)MOST + 1), room = 0;
    char *bytes = NEW(l->a, char, BYTES, l->e);
    if (!bytes || !pieces_new(l, 512 + lines + 2))
        return NULL;
    clip_bytes(l, class, bytes);
    Text rest = source;
    for (size_t i = 0; i < lines && text_line(&rest, &row); i++)
        room += row.n;
    char *to = NEW(l->a, char, room + 1, l->e);
    rest = source;
    text_line(&rest, &row);
    for (unsigned line = 2; to && line <= lines && text_line(&rest, &row); line++) {
        if (!text_next(&row, ' ', &left) || !text_next(&row, ' ', &right) || !left.n || !right.n || row.n) {
            fail(l->e, SP_FORMAT, "%s:%u: expected a merge of two tokens", l->path, line);
            return NULL;
        }
        t->pieces[t->ids++] = (Text){to, left.n + right.n};
        memcpy(to, left.p, left.n);
        memcpy(to + left.n, right.p, right.n);
        to += left.n + right.n;
    }
    t->pieces[t->ids++] = text_of(class->bos);
    t->pieces[t->ids++] = text_of(class->eos);
    l->distinct = (size_t)t->ids;
    BpeSettings settings = settings_of(l, class);
    Bpe *m = to ? bpe_new(l, &settings, lines) : NULL;
    text_line(&source, &row);
    for (unsigned line = 2; m && line <= lines && text_line(&source, &row); line++)
        if (!bpe_merge_line(l, m, row, l->path, line))
            return NULL;
    return m;
}

/* ---- stages ---------------------------------------------------------------------------------- */

static bool set_stages(Load *l, const ByteClass *class)
{
    Tokenizer *t = l->t;
    t->prefix_space = !class->lower && json_is_true(json_get(l->config, "add_prefix_space"));
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
    if (class->suffix) /* CLIPTokenizer changes the result of its decoder */
        t->word_end = text_of(class->suffix);
    return true;
}

static bool load_as(Load *l, const ByteClass *c, Bpe *(*read)(Load *l, const ByteClass *class))
{
    const Json *config = l->config;
    if (json_is_true(json_get(config, "add_bos_token")) || json_is_true(json_get(config, "add_eos_token")))
        return fail(l->e, SP_UNSUPPORTED, "%s: add_bos_token and add_eos_token are supported in tokenizer.json only",
                    l->folder);
    if (!load_added(l, json_get(config, "added_tokens_decoder")) || !(l->t->model = read(l, c)) || !set_stages(l, c))
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

bool load_vocab_json(Load *l)
{
    const ByteClass *c = byte_class(l);
    return c && load_as(l, c, read_pair);
}

bool load_clip_merges(Load *l)
{
    return load_as(l, &BYTE_CLASSES[CLIP_CLASS], read_list);
}
