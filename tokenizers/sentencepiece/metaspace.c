/* tokenizers/sentencepiece/metaspace.c: Metaspace: a visible mark replaces each blank. The pre-tokeniser and the
 * decoder. */
#include "tokenizers/pipeline.h"

typedef enum Prepend { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER } Prepend;

typedef struct Metaspace {
    uint32_t mark;
    char lead; /* first byte of the mark */
    /* whether a mark is inserted before a word without one: always, only at the beginning of the text, or never */
    Prepend prepend;
    bool split; /* a word begins at each mark */
} Metaspace;

static bool parse(Load *l, const Json *j, const void **settings)
{
    static const char *const NAMES[] = {"always", "first", "never"};
    const Json *mark = json_get(j, "replacement"), *prepend = json_get(j, "prepend_scheme"),
               *split = json_get(j, "split"), *prefix = json_get(j, "add_prefix_space");
    Metaspace *s = NEW(l->a, Metaspace, 1, l->e);
    size_t length = 0, scheme = 0;
    if (!s)
        return false;
    *settings = s;
    if (mark && mark->type == JSON_STRING)
        length = utf8_decode(mark->text.p, mark->text.n, &s->mark);
    if (!length || length != mark->text.n)
        return fail(l->e, SP_FORMAT, "%s:%u: Metaspace: expected one character as its replacement", l->path,
                    (unsigned)j->line);
    while (prepend && scheme < COUNT(NAMES) && !json_is_text(prepend, NAMES[scheme]))
        scheme++;
    if (scheme == COUNT(NAMES))
        return fail(l->e, SP_FORMAT, "%s:%u: Metaspace: expected always, first or never as its prepend_scheme", l->path,
                    (unsigned)j->line);
    if ((!is_absent(split) && split->type != JSON_BOOL) || (!is_absent(prefix) && prefix->type != JSON_BOOL))
        return fail(l->e, SP_FORMAT, "%s:%u: Metaspace: expected true or false as its split and add_prefix_space",
                    l->path, (unsigned)j->line);
    s->lead = mark->text.p[0];
    s->prepend = (Prepend)scheme;
    s->split = is_absent(split) || split->boolean;
    if (!is_absent(prefix) && !prefix->boolean && s->prepend != PREPEND_NEVER)
        return fail(l->e, SP_FORMAT, "%s:%u: Metaspace: add_prefix_space is false, and prepend_scheme is not never",
                    l->path, (unsigned)j->line);
    return true;
}

static bool parse_split(Load *l, const Json *j, const void **settings)
{
    if (!parse(l, j, settings))
        return false;
    l->t->traced |= ((const Metaspace *)*settings)->prepend == PREPEND_FIRST;
    return true;
}

/* Copies a word to the text `other`, with marks, and appends the words that it is split into to the list `next`. */
static bool copy_word(const Metaspace *s, Work *w, Word word)
{
    WorkCode c = {.end = word.begin};
    size_t begin = w->other.n;
    if (word.id >= 0)
        return work_copy(w, word.begin, word.end) && work_word(w, begin, w->other.n, word.id);
    while (c.end < word.end && work_next(w, &c)) {
        uint32_t code = c.code == ' ' ? s->mark : c.code;
        if (c.at == word.begin && code != s->mark &&
            (s->prepend == PREPEND_ALWAYS || (s->prepend == PREPEND_FIRST && !c.from)) && !work_put(w, s->mark, c.from))
            return false;
        if (code == s->mark && s->split) {
            if (!work_word(w, begin, w->other.n, -1))
                return false;
            begin = w->other.n;
        }
        size_t at = c.end; /* copies the following characters, up to one that may be a mark */
        while (at < word.end && w->text.p[at] != ' ' && w->text.p[at] != s->lead)
            at++;
        if (!work_put(w, code, c.from) || !work_copy(w, c.end, at))
            return false;
        c.end = at;
    }
    return work_word(w, begin, w->other.n, -1);
}

static bool split(const void *settings, Work *w)
{
    for (size_t i = 0; i < w->words.count; i++)
        if (!copy_word(settings, w, w->words.list[i]))
            return false;
    work_swap(w);
    work_swap_words(w);
    return true;
}

const StageKind pre_tokenizer_metaspace = {.name = "Metaspace", .parse = parse_split, .split = split};

/* Replaces marks by blanks. Marks of the first token are removed, unless the stage inserts none. */
static bool decode(const void *settings, bool first, TokenBytes *token, Arena *a, Error *e)
{
    const Metaspace *s = settings;
    size_t n = token->n, kept = 0;
    (void)a, (void)e;
    for (size_t i = 0, length; i < n; i += length) {
        bool mark = next_code(token->p + i, n - i, &length) == s->mark;
        if (!mark) {
            memmove(token->p + kept, token->p + i, length);
            kept += length;
        } else if (!first || s->prepend == PREPEND_NEVER) {
            token->p[kept++] = ' ';
        }
    }
    token->n = kept;
    return true;
}

const StageKind decoder_metaspace = {.name = "Metaspace", .parse = parse, .decode = decode};
