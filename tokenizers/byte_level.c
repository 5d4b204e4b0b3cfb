/* tokenizers/byte_level.c: ByteLevel, as in GPT-2: every byte is replaced by a printable character, so that a
 * vocabulary of 256 characters has a piece for any text. */
#include "tokenizers/pipeline.h"

/* Reports whether a byte stays the Latin-1 character of its value. The others become characters from U+0100 on, in
 * their order. */
static bool is_printed(uint32_t b)
{
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xff && b != 0xad);
}

enum { MOVED = 0x100, MOVED_END = MOVED + 68 };

/* The bytes 0x00 to 0x20, 0x7f to 0xa0 and 0xad are replaced, in this order. */
uint32_t byte_level_code(unsigned char b)
{
    uint32_t moved = b <= 0x20 ? b : b <= 0xa0 ? b - 0x7fu + 0x21 : MOVED_END - MOVED - 1;
    return is_printed(b) ? b : MOVED + moved;
}

/* ---- pre-tokeniser --------------------------------------------------------------------------- */

typedef struct ByteLevel {
    bool prefix_space;
    const Pattern *pattern; /* NULL: use_regex is false */
    uint16_t codes[256];
} ByteLevel;

/* Inserts a blank before every word that does not begin with one. */
static bool put_blanks(Work *w)
{
    bool any = false;
    for (size_t i = 0; i < w->words.count && !any; i++)
        any = w->words.list[i].id < 0 && w->text.p[w->words.list[i].begin] != ' ';
    if (!any)
        return true;
    for (size_t i = 0; i < w->words.count; i++) {
        Word word = w->words.list[i];
        size_t begin = w->other.n;
        WorkCode c = {.end = word.begin};
        while (c.end < word.end && work_next(w, &c)) {
            bool puts = c.at == word.begin && word.id < 0 && c.code != ' ';
            if ((puts && !work_put(w, ' ', c.from)) || !work_put(w, c.code, c.from))
                return false;
        }
        if (!work_word(w, begin, w->other.n, word.id))
            return false;
    }
    work_swap(w);
    work_swap_words(w);
    return true;
}

static bool put_bytes(const ByteLevel *s, Work *w)
{
    for (size_t i = 0; i < w->words.count; i++) {
        Word word = w->words.list[i];
        size_t begin = w->other.n;
        WorkCode c = {.end = word.begin};
        while (c.end < word.end && work_next(w, &c)) {
            if (word.id >= 0 && !work_put(w, c.code, c.from))
                return false;
            for (size_t k = c.at; word.id < 0 && k < c.end; k++)
                if (!work_put(w, s->codes[(unsigned char)w->text.p[k]], c.from))
                    return false;
        }
        if (!work_word(w, begin, w->other.n, word.id))
            return false;
    }
    work_swap(w);
    work_swap_words(w);
    return true;
}

static bool split(const void *settings, Work *w)
{
    const ByteLevel *s = settings;
    return (!s->prefix_space || put_blanks(w)) && (!s->pattern || pattern_split(s->pattern, w)) &&
           ((w->t->bytes && !w->traced) || put_bytes(s, w));
}

static bool read_switches(Load *l, const Json *j, const char *section, bool *prefix_space, bool *trims)
{
    const Json *prefix = json_get(j, "add_prefix_space"), *trim = json_get(j, "trim_offsets"),
               *regex = json_get(j, "use_regex");
    *prefix_space = json_is_true(prefix);
    *trims = json_is_true(trim);
    return (prefix && prefix->type == JSON_BOOL && trim && trim->type == JSON_BOOL &&
            (!regex || regex->type == JSON_BOOL)) ||
           fail(l->e, SP_FORMAT,
                "%s:%u: %s ByteLevel: expected true or false as add_prefix_space, trim_offsets and use_regex", l->path,
                (unsigned)j->line, section);
}

const void *byte_level_new(Load *l, bool prefix_space, bool pattern)
{
    ByteLevel *s = NEW(l->a, ByteLevel, 1, l->e);
    if (!s || (pattern && !(s->pattern = pattern_new(l, TEXT(PATTERN_GPT2)))))
        return NULL;
    s->prefix_space = prefix_space;
    for (int b = 0; b < 256; b++)
        s->codes[b] = (uint16_t)byte_level_code((unsigned char)b);
    return s;
}

void byte_level_prepare(Tokenizer *t)
{
    const Stages *p = &t->pre_tokenizers;
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++)
        count += p->list[i].kind == &pre_tokenizer_byte_level;
    t->bytes = count == 1 && p->list[p->count - 1].kind == &pre_tokenizer_byte_level && t->kind == &model_bpe &&
               bpe_has_bytes(t->model);
}

static bool parse(Load *l, const Json *j, const void **settings)
{
    bool prefix_space, trims;
    const Json *regex = json_get(j, "use_regex");
    return read_switches(l, j, "pre_tokenizer", &prefix_space, &trims) &&
           (*settings = byte_level_new(l, prefix_space, !regex || regex->boolean)) != NULL;
}

const StageKind pre_tokenizer_byte_level = {.name = "ByteLevel", .parse = parse, .split = split};

/* ---- post-processor -------------------------------------------------------------------------- */

static bool parse_post(Load *l, const Json *j, const void **settings)
{
    (void)settings;
    bool trims;
    if (!read_switches(l, j, "post_processor", &l->t->prefix_space, &trims))
        return false;
    l->t->trims = trims;
    return true;
}

const StageKind post_processor_byte_level = {
    .name = "ByteLevel", .parse = parse_post, .no_template = true, .trims = true};

/* ---- decoder --------------------------------------------------------------------------------- */

/* A token with a character that stands for no byte is decoded as its own bytes. */
static bool decode(const void *settings, bool first, TokenBytes *token, Arena *a, Error *e)
{
    (void)settings, (void)first, (void)a, (void)e;
    size_t length;
    for (size_t i = 0; i < token->n; i += length) {
        uint32_t c = next_code(token->p + i, token->n - i, &length);
        if (!(c < MOVED ? is_printed(c) : c < MOVED_END))
            return true;
    }
    size_t n = 0;
    for (size_t i = 0; i < token->n; i += length) {
        uint32_t c = next_code(token->p + i, token->n - i, &length), k = c - MOVED;
        if (c >= MOVED) /* 0x00 to 0x20, 0x7f to 0xa0, 0xad */
            c = k <= 0x20 ? k : k < MOVED_END - MOVED - 1 ? k - 0x21 + 0x7f : 0xad;
        token->p[n++] = (char)c;
    }
    token->n = n;
    return true;
}

const StageKind decoder_byte_level = {.name = "ByteLevel", .decode = decode, .partial = true};
