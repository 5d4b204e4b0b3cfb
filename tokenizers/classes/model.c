/* tokenizers/classes/model.c: makes a tokenizer from a SentencePiece .model as the classes of transformers do: with
 * other ids than the file, Hugging Face's Unigram or BPE, and special tokens. */
// flags: -Os
#include "tokenizers/sentencepiece/sentencepiece.h"

typedef struct ModelClass ModelClass;
typedef enum Special { BOS, EOS, UNK, SEP, PAD, CLS, MASK, SPECIALS } Special;
typedef bool ModelStages(Load *l, const ModelFile *m);

struct ModelClass {
    const char *name, *model_types; /* model_types: a list of values of model_type, each between blanks */
    const char *special[SPECIALS];
    /* - `before`: `before_count` special tokens that the class puts before the pieces of the file
     * - `after`: a special token that the class puts after these pieces; SPECIALS: none */
    Special before[4], after;
    size_t before_count, replaced; /* the tokens in `before` replace the first `replaced` pieces of the file */
    int unknown;                   /* id of the unknown piece, for Unigram */
    Special first, last;           /* the special tokens before and after a text; SPECIALS: none */
    /* arguments of template_around. If `between` is 0, template_ends is used instead. It then adds `first` if
     * add_bos_token is true, and `last` if add_eos_token is true */
    size_t between;
    int second_type;
    /* number of tokens <extra_id_N>. If it is above 0, and the configuration has extra_ids, then extra_ids is used
     * instead */
    int64_t extra;
    bool merges; /* true: BPE */
    /* for BPE. true: the unknown piece and the byte fallback are as in the file. false: there is no unknown piece, and
     * the byte fallback is always used */
    bool as_file;
    ModelStages *stages;
};

/* ---- stages ---------------------------------------------------------------------------------- */

typedef bool ReadStages(Load *l, const Json *j, Stages *out);

/* Makes stages from a text in the form of tokenizer.json. */
static bool stages_of(Load *l, ReadStages *read, const char *json, Stages *out)
{
    const Json *j = json ? json_parse(l->a, text_of(json), l->path, l->e) : NULL;
    return j && read(l, j, out);
}

static void add_charsmap(Load *l, const ModelFile *m)
{
    Stages *s = &l->t->normalizers;
    if (m->text->map.units)
        s->list[s->count++] = (Stage){&normalizer_precompiled, &m->text->map};
}

static const char *metaspace(Load *l, const char *scheme, bool split)
{
    return arena_printf(
        l->a, l->e, "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"%s\",\"split\":%s}",
        scheme, split ? "true" : "false");
}

static bool adds_prefix(const Load *l)
{
    const Json *j = json_get(l->config, "add_prefix_space");
    return is_absent(j) || json_is_true(j);
}

/* Sets the pre-tokenizers WhitespaceSplit and Metaspace, and the decoder Metaspace. */
static bool set_words(Load *l, const char *scheme)
{
    const char *mark = metaspace(l, scheme, true);
    const char *both = mark ? arena_printf(l->a, l->e,
                                           "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
                                           "%s]}",
                                           mark)
                            : NULL;
    return both && stages_of(l, read_pre_tokenizers, both, &l->t->pre_tokenizers) &&
           stages_of(l, read_decoders, mark, &l->t->decoders);
}

static bool stages_t5(Load *l, const ModelFile *m)
{
    add_charsmap(l, m);
    return set_words(l, "always");
}

static bool stages_xlmr(Load *l, const ModelFile *m)
{
    add_charsmap(l, m);
    return set_words(l, adds_prefix(l) ? "always" : "never");
}

static bool stages_albert(Load *l, const ModelFile *m)
{
    const Json *lower = json_get(l->config, "do_lower_case");
    bool accents = json_is_true(json_get(l->config, "keep_accents"));
    const char *json = arena_printf(
        l->a, l->e,
        "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"``\"},"
        "\"content\":\"\\\"\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\"''\"},\"content\":\"\\\"\"}%s%s]}",
        accents ? "" : ",{\"type\":\"NFKD\"},{\"type\":\"StripAccents\"}",
        is_absent(lower) || json_is_true(lower) ? ",{\"type\":\"Lowercase\"}" : "");
    return stages_of(l, read_normalizers, json, &l->t->normalizers) && stages_xlmr(l, m);
}

#define MARK_TO_BLANK "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xe2\x96\x81\"},\"content\":\" \"}"
#define BYTES_TO_TEXT ",{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}"
static bool blanks_decoder(Load *l, const char *more)
{
    const char *json = arena_printf(l->a, l->e, "{\"type\":\"Sequence\",\"decoders\":[" MARK_TO_BLANK "%s]}", more);
    return stages_of(l, read_decoders, json, &l->t->decoders);
}

static bool stages_plain(Load *l, const ModelFile *m)
{
    add_charsmap(l, m);
    return stages_of(l, read_normalizers,
                     "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}",
                     &l->t->normalizers) &&
           blanks_decoder(l, m->pieces->byte_fallback ? BYTES_TO_TEXT : "");
}

static bool stages_llama(Load *l, const ModelFile *m)
{
    bool prefix = adds_prefix(l), legacy = json_is_true(json_get(l->config, "legacy"));
    (void)m;
    return stages_of(l, read_pre_tokenizers,
                     metaspace(l,
                               !prefix  ? "never"
                               : legacy ? "always"
                                        : "first",
                               false),
                     &l->t->pre_tokenizers) &&
           blanks_decoder(l, prefix ? BYTES_TO_TEXT ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}"
                                    : BYTES_TO_TEXT);
}

/* ---- classes --------------------------------------------------------------------------------- */

static const ModelClass CLASSES[] = {
    {.name = "XLMRobertaTokenizer",
     .model_types = " xlm-roberta xmod altclip trocr gte jina_embeddings_v3 metaclip_2 ",
     .special = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
     .before = {BOS, PAD, EOS, UNK},
     .before_count = 4,
     .replaced = 3,
     .after = MASK,
     .unknown = 3,
     .first = BOS,
     .last = EOS,
     .between = 2,
     .stages = stages_xlmr},
    {.name = "T5Tokenizer",
     .model_types = " t5 mt5 switch_transformers musicgen musicgen_melody ",
     .special = {[EOS] = "</s>", [UNK] = "<unk>", [PAD] = "<pad>"},
     .after = SPECIALS,
     .unknown = 2,
     .first = SPECIALS,
     .last = EOS,
     .between = 1,
     .extra = 100,
     .stages = stages_t5},
    {.name = "AlbertTokenizer",
     .model_types = " albert yoso ",
     .special = {"[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"},
     .after = SPECIALS,
     .unknown = 1,
     .first = CLS,
     .last = SEP,
     .between = 1,
     .second_type = 1,
     .stages = stages_albert},
    {.name = "LlamaTokenizer",
     .model_types = " idefics idefics2 ",
     .special = {"<s>", "</s>", "<unk>"},
     .after = SPECIALS,
     .first = BOS,
     .last = EOS,
     .merges = true,
     .stages = stages_llama},
    {.name = "TokenizersBackend",
     .model_types = " llama ",
     .special = {"<s>", "</s>", "<unk>"},
     .after = SPECIALS,
     .first = BOS,
     .last = EOS,
     .merges = true,
     .as_file = true,
     .stages = stages_plain},
};

/* Reports whether `type` is in the list `types`, in which each name is between blanks. */
static bool names_type(const char *types, Text type)
{
    for (const char *p = types + 1; type.n && *p; p += strcspn(p, " ") + 1)
        if (strcspn(p, " ") == type.n && !memcmp(p, type.p, type.n))
            return true;
    return false;
}

/* Finds the class of the tokenizer. Sets *class to NULL if no file names a class or a model_type. */
static bool find_class(Load *l, const ModelClass **class)
{
    Text name, type;
    *class = NULL;
    if (!load_class(l, &name, &type))
        return false;
    for (size_t i = 0; i < COUNT(CLASSES) && !*class; i++)
        if (text_is(name, CLASSES[i].name) || names_type(CLASSES[i].model_types, type))
            *class = &CLASSES[i];
    if (*class || (!name.n && !type.n))
        return true;
    char *known = arena_printf(l->a, l->e, "%s", CLASSES[0].name);
    for (size_t i = 1; i + 1 < COUNT(CLASSES) && known; i++)
        known = arena_printf(l->a, l->e, "%s%s%s", known, i + 2 < COUNT(CLASSES) ? ", " : " or ", CLASSES[i].name);
    if (!known)
        return false;
    if (!name.n)
        return fail(l->e, SP_UNSUPPORTED,
                    "%s: model_type %.*s of config.json names no tokenizer; expected %s as tokenizer_class of "
                    "tokenizer_config.json",
                    l->path, NAME(type), known);
    return fail(l->e, SP_UNSUPPORTED,
                "%s: tokenizer_class %.*s is not supported with a SentencePiece .model: expected %s", l->path,
                NAME(name), known);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

typedef struct Given { /* the pieces of the file, and <extra_id_0>, ... */
    const Text *pieces, *extra;
    size_t count, extra_count;
} Given;

enum { MAX_EXTRA = 10000 };

static bool read_extra(Load *l, const ModelClass *c, Given *g)
{
    const Json *extra_ids = json_get(l->config, "extra_ids");
    int64_t n = c->extra;
    if (c->extra && !is_absent(extra_ids) && (!json_i64(extra_ids, &n) || n < 0 || n > MAX_EXTRA))
        return fail(l->e, SP_FORMAT, "%s: extra_ids of tokenizer_config.json: expected a number of 0 to %d", l->path,
                    MAX_EXTRA);
    Text *extra = NEW(l->a, Text, n + 1, l->e);
    g->extra = extra;
    while (extra && g->extra_count < (size_t)n) {
        char *name = arena_printf(l->a, l->e, "<extra_id_%zu>", g->extra_count);
        if (!name)
            return false;
        extra[g->extra_count++] = text_of(name);
    }
    return extra != NULL;
}

/* Makes the list of pieces, and the model from it. The order of the pieces is: `before`, the pieces of the file,
 * `after`, the extra ids. */
static bool lay_pieces(Load *l, const ModelClass *c, const ModelFile *m, const Given *g, const Text special[SPECIALS])
{
    Tokenizer *t = l->t;
    size_t room = g->count + c->before_count + 1 + g->extra_count, n = 0;
    if (g->count < c->replaced)
        return fail(l->e, SP_FORMAT, "%s: %zu pieces; %s expects at least %zu", l->path, g->count, c->name,
                    c->replaced);
    double *scores = NEW(l->a, double, room, l->e);
    if (!scores || !pieces_new(l, room))
        return false;
    for (size_t i = 0; i < c->before_count; i++)
        t->pieces[n++] = special[c->before[i]];
    for (size_t i = c->replaced; i < g->count; i++, n++) {
        t->pieces[n] = g->pieces[i];
        scores[n] = m->scores[i];
    }
    if (c->after != SPECIALS)
        t->pieces[n++] = special[c->after];
    for (size_t i = g->extra_count; i-- > 0;)
        t->pieces[n++] = g->extra[i];
    t->ids = (int64_t)n;
    if (c->merges) {
        BpeSettings set = {.fuse = true, .fallback = !c->as_file || m->pieces->byte_fallback};
        if (c->as_file && m->pieces->unknown >= 0)
            set.unknown = g->pieces[m->pieces->unknown];
        l->distinct = (size_t)t->ids;
        return (t->model = bpe_from_pieces(l, &set, true)) != NULL;
    }
    return t->ids > c->unknown ? unigram_new(l, scores, c->unknown, false)
                               : fail(l->e, SP_FORMAT, "%s: %zu pieces, and %s expects the unknown one as number %d",
                                      l->path, g->count, c->name, c->unknown);
}

/* ---- special tokens -------------------------------------------------------------------------- */

/* Adds a special token. `seen`: contents of the added tokens so far. */
static bool add_special(Load *l, TextIndex *seen, Text content, bool special)
{
    int64_t count = text_index_count(seen), number = text_index_add(seen, content, l->e);
    return number >= 0 && (number < count || add_token(l, (Added){.content = content, .special = special}, l->path, 0));
}

/* Adds the special tokens that the configuration lists. Without a list, adds the control and user-defined pieces of the
 * file and the extra ids. */
static bool add_more(Load *l, const ModelFile *m, const Given *g)
{
    const Json *list = json_get(l->config, "extra_special_tokens");
    if (is_absent(list) || list->type != JSON_ARRAY)
        list = json_get(l->config, "additional_special_tokens");
    bool listed = list && list->type == JSON_ARRAY;
    TextIndex *seen = text_index_new(l->a, l->e);
    if (!seen)
        return false;
    for (size_t i = 0; i < l->added_count; i++)
        if (text_index_add(seen, l->added[i].content, l->e) < 0)
            return false;
    for (const Json *j = listed ? list->first : NULL; j; j = j->next) {
        const Json *content = j->type == JSON_OBJECT ? json_get(j, "content") : j;
        if (!content || content->type != JSON_STRING)
            return fail(l->e, SP_FORMAT, "%s: a special token of tokenizer_config.json is no string", l->path);
        if (!add_special(l, seen, content->text, true))
            return false;
    }
    for (size_t i = 0; i < g->count && !listed; i++)
        if ((m->hidden[i] || m->whole[i]) && !add_special(l, seen, g->pieces[i], m->hidden[i]))
            return false;
    for (size_t i = 0; i < g->extra_count && !listed; i++)
        if (!add_special(l, seen, g->extra[i], true))
            return false;
    return true;
}

/* Sets the templates: the special tokens around one text and two. */
static bool around(Load *l, const ModelClass *c, const Text special[SPECIALS])
{
    bool first = c->first != SPECIALS, last = true;
    int32_t ids[2] = {-1, -1};
    if (!c->between) {
        first = special[BOS].n && json_is_true(json_get(l->config, "add_bos_token"));
        last = special[EOS].n && json_is_true(json_get(l->config, "add_eos_token"));
    }
    if ((first && !load_special_id(l, special[c->first], &ids[0])) ||
        (last && !load_special_id(l, special[c->last], &ids[1])))
        return false;
    return c->between ? template_around(l, ids[0], ids[1], c->between, c->second_type)
                      : template_ends(l, ids[0], ids[1]);
}

static bool load_as(Load *l, const ModelClass *c, const ModelFile *m)
{
    static const char *const KEYS[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
    Given g = {.pieces = l->t->pieces, .count = (size_t)l->t->ids};
    Text special[SPECIALS];
    if (!read_extra(l, c, &g))
        return false;
    if (!load_added(l, json_get(l->config, "added_tokens_decoder")))
        return false;
    for (size_t i = 0; i < SPECIALS; i++)
        if (!load_named(l, KEYS[i], c->special[i], false, &special[i]))
            return false;
    for (size_t i = 0; i < c->before_count; i++)
        if (!special[c->before[i]].n)
            return fail(l->e, SP_FORMAT, "%s: %s expects a %s", l->path, c->name, KEYS[c->before[i]]);
    if (c->after != SPECIALS && !special[c->after].n)
        return fail(l->e, SP_FORMAT, "%s: %s expects a %s", l->path, c->name, KEYS[c->after]);
    return add_more(l, m, &g) && lay_pieces(l, c, m, &g, special) && c->stages(l, m) && around(l, c, special) &&
           load_finish(l);
}

bool load_model(Load *l)
{
    Text source;
    const ModelClass *class;
    if (!find_class(l, &class))
        return false;
    ModelFile *m = load_source(l, l->path, &source) ? model_file_read(l, source) : NULL;
    return m && (class ? load_as(l, class, m) : model_file_plain(l, m));
}
