/* tokenizers/sentencepiece/plain.c: the normaliser of the library sentencepiece (normalizer.cc), and its decoder
 * (sentencepiece_processor.cc). */
#include "tokenizers/sentencepiece/sentencepiece.h"

static const uint32_t MARK = 0x2581; /* stands for a blank */

/* Returns the number of bytes of the next part of the text, and its normal form in *to: the longest user-defined piece,
 * unchanged; else the replacement of the longest rule; else one character. */
static size_t next_part(const PlainText *s, Text text, size_t at, Text *to)
{
    const char *p = text.p + at;
    size_t n = text.n - at, length = 0;
    uint32_t node = 0;
    for (size_t i = 0; s->has_whole && i < n && (node = trie_step(&s->whole, node, (uint8_t)p[i])); i++)
        if (s->whole.nodes[node].id >= 0)
            length = i + 1;
    if (!length && (length = charsmap_find(&s->map, p, n, true, to)))
        return length;
    if (!length)
        next_code(p, n, &length);
    *to = (Text){p, length};
    return length;
}

static bool put_mark(const PlainText *s, Work *w, uint32_t from)
{
    return work_put(w, s->escapes ? MARK : ' ', from);
}

static void drop_marks(const PlainText *s, Work *w)
{
    char mark[4];
    size_t n = utf8_encode(s->escapes ? MARK : ' ', mark);
    while (w->other.n >= n && !memcmp(w->other.p + w->other.n - n, mark, n))
        w->other.n -= n;
}

static bool normalize(const void *settings, Work *w)
{
    const PlainText *s = settings;
    Text text = {w->text.p, w->text.n}, part;
    size_t at = 0, length;
    bool trims = s->trims;
    uint32_t from = 0;
    while (trims && at < text.n) {
        length = next_part(s, text, at, &part);
        if (!text_is(part, " "))
            break;
        at += length;
    }
    bool empty = at == text.n;
    if (!empty && w->traced)
        from = w->text.from[at];
    if (!empty && s->prefix && !s->suffix && !put_mark(s, w, from))
        return false;
    for (; at < text.n; at += length) {
        length = next_part(s, text, at, &part);
        from = w->traced ? w->text.from[at] : 0;
        while (trims && part.n && part.p[0] == ' ')
            part = (Text){part.p + 1, part.n - 1};
        if (!part.n)
            continue;
        for (size_t i = 0, used; i < part.n; i += used) {
            uint32_t code = next_code(part.p + i, part.n - i, &used);
            if (code == ' ' ? !put_mark(s, w, from) : !work_put(w, code, from))
                return false;
        }
        trims = s->trims && part.p[part.n - 1] == ' ';
    }
    if (s->trims)
        drop_marks(s, w);
    if (!empty && s->prefix && s->suffix && !put_mark(s, w, from))
        return false;
    work_swap(w);
    return true;
}

const StageKind normalizer_plain = {.name = "sentencepiece", .normalize = normalize};

/* Replaces marks by blanks. If `settings` is not NULL, a mark at the beginning of the text is removed. */
static bool decode(const void *settings, bool first, TokenBytes *token, Arena *a, Error *e)
{
    size_t n = token->n, kept = 0;
    (void)a, (void)e;
    for (size_t i = 0, length; i < n; i += length) {
        bool mark = next_code(token->p + i, n - i, &length) == MARK;
        if (mark && !i && first && settings)
            continue;
        if (mark)
            token->p[kept] = ' ';
        else
            memmove(token->p + kept, token->p + i, length);
        kept += mark ? 1 : length;
    }
    token->n = kept;
    return true;
}

const StageKind decoder_plain = {.name = "sentencepiece", .decode = decode};
const StageKind decoder_plain_trims = {.name = "sentencepiece", .leads = true, .decode = decode};
const StageKind decoder_plain_bytes = {.name = "sentencepiece", .joins = JOIN_CHARACTERS};
