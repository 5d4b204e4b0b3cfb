/* tokenizers/stages.c: the kinds of stages, and the sections of tokenizer.json that name them. A new kind is a const
 * struct in a file of tokenizers/ and a line here. */
// flags: -Os
#include "tokenizers/pipeline.h"

/* clang-format off */
#define NORMALIZER_LIST(LINE)       \
    LINE(normalizer_bert)           \
    LINE(normalizer_nfd)            \
    LINE(normalizer_nfc)            \
    LINE(normalizer_nfkd)           \
    LINE(normalizer_nfkc)           \
    LINE(normalizer_lowercase)      \
    LINE(normalizer_strip_accents)  \
    LINE(normalizer_precompiled)    \
    LINE(normalizer_nmt)            \
    LINE(normalizer_replace)        \
    LINE(normalizer_prepend)        \
    LINE(normalizer_strip)          \
    /* add new lines above this one */
#define PRE_TOKENIZER_LIST(LINE)    \
    LINE(pre_tokenizer_bert)        \
    LINE(pre_tokenizer_whitespace)  \
    LINE(pre_tokenizer_whitespace_split) \
    LINE(pre_tokenizer_punctuation) \
    LINE(pre_tokenizer_digits)      \
    LINE(pre_tokenizer_split)       \
    LINE(pre_tokenizer_byte_level)  \
    LINE(pre_tokenizer_metaspace)   \
    /* add new lines above this one */
#define POST_PROCESSOR_LIST(LINE)   \
    LINE(post_processor_template)   \
    LINE(post_processor_bert)       \
    LINE(post_processor_roberta)    \
    LINE(post_processor_byte_level) \
    /* add new lines above this one */
#define DECODER_LIST(LINE)          \
    LINE(decoder_wordpiece)         \
    LINE(decoder_bpe)               \
    LINE(decoder_byte_level)        \
    LINE(decoder_metaspace)         \
    LINE(decoder_replace)           \
    LINE(decoder_strip)             \
    LINE(decoder_fuse)              \
    LINE(decoder_byte_fallback)     \
    /* add new lines above this one */
#define MODEL_LIST(LINE)            \
    LINE(model_bpe)                 \
    LINE(model_wordpiece)           \
    LINE(model_unigram)             \
    /* add new lines above this one */
/* clang-format on */

#define DECLARE(name)       extern const StageKind name;
#define DECLARE_MODEL(name) extern const ModelKind name;
#define ENTRY(name)         &name,
NORMALIZER_LIST(DECLARE)
PRE_TOKENIZER_LIST(DECLARE)
POST_PROCESSOR_LIST(DECLARE)
DECODER_LIST(DECLARE)
MODEL_LIST(DECLARE_MODEL)
static const StageKind *const normalizers[] = {NORMALIZER_LIST(ENTRY) NULL};
static const StageKind *const pre_tokenizers[] = {PRE_TOKENIZER_LIST(ENTRY) NULL};
static const StageKind *const post_processors[] = {POST_PROCESSOR_LIST(ENTRY) NULL};
static const StageKind *const decoders[] = {DECODER_LIST(ENTRY) NULL};
static const ModelKind *const models[] = {MODEL_LIST(ENTRY)};

typedef struct Section {
    const char *name;
    const char *members; /* key of the list in a Sequence */
    const StageKind *const *kinds;
} Section;

static bool has_type(const Json *j, const char *type)
{
    const Json *t = json_get(j, "type");
    return json_is_text(t, type);
}

/* Reports an unsupported kind. `known` is a list of names, as ", A, B". */
static bool unsupported(Load *l, const char *section, const Json *j, const char *known)
{
    const Json *type = json_get(j, "type");
    Text name = type && type->type == JSON_STRING ? type->text : TEXT("(no type)");
    return fail(l->e, SP_UNSUPPORTED, "%s:%u: %s %.*s is not supported (supported: %s)", l->path,
                j ? (unsigned)j->line : 0u, section, NAME(name), known + 2);
}

static bool read_stages(Load *l, const Json *j, const Section *section, Stages *out)
{
    if (has_type(j, "Sequence")) {
        const Json *list = json_get(j, section->members);
        if (!list || list->type != JSON_ARRAY || !list->count)
            return fail(l->e, SP_FORMAT, "%s:%u: %s Sequence has no %s", l->path, (unsigned)j->line, section->name,
                        section->members);
        for (const Json *k = list->first; k; k = k->next)
            if (!read_stages(l, k, section, out))
                return false;
        return true;
    }
    char *known = arena_printf(l->a, l->e, "%s", "");
    for (const StageKind *const *k = section->kinds; *k && known; k++) {
        if (has_type(j, (*k)->name)) {
            Stage stage = {*k, NULL};
            if (out->count == MAX_STAGES)
                return fail(l->e, SP_UNSUPPORTED, "%s:%u: %s: more than %d in a Sequence are not supported", l->path,
                            (unsigned)j->line, section->name, MAX_STAGES);
            if ((*k)->parse && !(*k)->parse(l, j, &stage.settings))
                return false;
            out->list[out->count++] = stage;
            return true;
        }
        known = arena_printf(l->a, l->e, "%s, %s", known, (*k)->name);
    }
    return known && unsupported(l, section->name, j, known);
}

bool read_normalizers(Load *l, const Json *j, Stages *out)
{
    return is_absent(j) || read_stages(l, j, &(Section){"normalizer", "normalizers", normalizers}, out);
}

bool read_pre_tokenizers(Load *l, const Json *j, Stages *out)
{
    return is_absent(j) || read_stages(l, j, &(Section){"pre_tokenizer", "pretokenizers", pre_tokenizers}, out);
}

/* Reads the post-processors. At most one of them may set the template: a second one would have to add its tokens around
 * those of the first. ByteLevel sets only how positions are trimmed. It may come before a post-processor that does not
 * set this too: Hugging Face trims before it adds special tokens. */
bool read_post_processors(Load *l, const Json *j)
{
    Stages done = {.count = 0};
    if (is_absent(j))
        return true;
    if (!read_stages(l, j, &(Section){"post_processor", "processors", post_processors}, &done))
        return false;
    bool trims_first = done.count == 2 && done.list[0].kind->no_template && !done.list[1].kind->trims;
    return done.count == 1 || trims_first ||
           fail(l->e, SP_UNSUPPORTED,
                "%s:%u: post_processor: %zu in a Sequence; one is supported, or ByteLevel and one that does not trim",
                l->path, (unsigned)j->line, done.count);
}

/* Reads the decoders. A decoder is called `late` here if it gives bytes instead of text, or if it treats the last token
 * differently. decoders.c processes the text token by token. It cannot do this in some orders, which are errors:
 *
 * - any decoder after a late one;
 * - a late decoder or a second ByteFallback after ByteFallback;
 * - after Fuse, a decoder that changes more than the beginning of the text. */
bool read_decoders(Load *l, const Json *j, Stages *out)
{
    if (!is_absent(j) && !read_stages(l, j, &(Section){"decoder", "decoders", decoders}, out))
        return false;
    bool bytes = false, fused = false, ended = false;
    for (size_t i = 0; i < out->count; i++) {
        const StageKind *kind = out->list[i].kind;
        bool late = kind->partial || kind->decode_last;
        if (ended || (bytes && (kind->joins == JOIN_BYTES || late)) ||
            (fused && !kind->joins && !strip_decoder_leads(&out->list[i])))
            return fail(l->e, SP_UNSUPPORTED, "%s:%u: decoder: %s cannot follow the decoders before it", l->path,
                        (unsigned)j->line, kind->name);
        bytes |= kind->joins == JOIN_BYTES;
        fused |= kind->joins == JOIN_ALL;
        ended |= late;
    }
    return true;
}

bool read_model(Load *l, const Json *j)
{
    char *known = arena_printf(l->a, l->e, "%s", "");
    for (size_t i = 0; i < COUNT(models) && known; i++) {
        if (has_type(j, models[i]->name) || (!json_get(j, "type") && json_get(j, models[i]->mark))) {
            l->t->kind = models[i];
            return models[i]->parse(l, j, &l->t->model);
        }
        known = arena_printf(l->a, l->e, "%s, %s", known, models[i]->name);
    }
    return known && unsupported(l, "model", j, known);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

bool pieces_new(Load *l, size_t ids)
{
    enum { NAMED = 16 }; /* more than the number of special tokens that the files next to a vocab.txt can name */
    if (ids > MAX_TOKENS)
        return fail(l->e, SP_UNSUPPORTED, "%s: more than %d tokens are not supported", l->path, MAX_TOKENS);
    return (l->t->pieces = NEW(l->a, Text, ids + l->added_count + NAMED, l->e)) != NULL;
}

bool keep_text(Load *l, const Json *list, Text *text)
{
    enum { BLOCK = 1 << 16 };
    if (!list->folded)
        return true;
    if (l->kept_left < text->n) {
        l->kept_left = MAX(text->n, (size_t)BLOCK);
        if (!(l->kept = NEW(l->a, char, l->kept_left, l->e)))
            return false;
    }
    memcpy(l->kept, text->p, text->n);
    text->p = l->kept;
    l->kept += text->n;
    l->kept_left -= text->n;
    return true;
}

bool duplicate_piece(Load *l, Text piece)
{
    return fail(l->e, SP_FORMAT, "%s:%u: duplicate token '%.*s' in the vocabulary", l->path,
                (unsigned)l->vocabulary_line, NAME(piece));
}

/* Reads one token of the vocabulary. Ids may have gaps, but they are limited, so that a short file cannot request much
 * memory. `room`: the capacity of t->pieces, which grows as needed. */
static bool read_piece(Load *l, const Json *vocab, const Json *j, size_t *room)
{
    Tokenizer *t = l->t;
    int64_t id, most = MIN(2 * ((int64_t)vocab->count + 32768), (int64_t)MAX_TOKENS);
    if (!json_i64(j, &id))
        return fail(l->e, SP_FORMAT, "%s:%u: token '%.*s' has no id", l->path, (unsigned)j->line, NAME(j->key));
    if (id < 0 || id >= most)
        return fail(l->e, SP_FORMAT, "%s: token id %lld is out of range for %zu tokens", l->path, (long long)id,
                    vocab->count);
    if ((size_t)id >= *room) {
        const Text *old = t->pieces;
        *room = (size_t)MIN(MAX(id + 1, 2 * (int64_t)*room), most);
        if (!pieces_new(l, *room))
            return false;
        memcpy(t->pieces, old, (size_t)t->ids * sizeof *old);
    }
    Text *piece = &t->pieces[id];
    if (piece->p)
        return fail(l->e, SP_FORMAT, "%s:%u: tokens '%.*s' and '%.*s' have the same id", l->path, (unsigned)j->line,
                    NAME(*piece), NAME(j->key));
    *piece = j->key;
    t->ids = MAX(t->ids, id + 1);
    return keep_text(l, vocab, piece);
}

bool read_vocabulary(Load *l, const Json *vocab)
{
    size_t room = vocab->count;
    l->distinct = vocab->count;
    l->vocabulary_line = vocab->line;
    JsonItems *items = pieces_new(l, room) ? json_items(vocab, l->a, l->e) : NULL;
    bool ok = items != NULL;
    for (const Json *j; ok && (j = json_next(items));)
        ok = read_piece(l, vocab, j, &room);
    json_items_free(items);
    return ok && !l->e->code;
}
