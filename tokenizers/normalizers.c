/* tokenizers/normalizers.c: a text on its way through the stages, and the normalisers. */
#include "tokenizers/pipeline.h"

/* ---- the text -------------------------------------------------------------------------------- */

static bool make_room(Work *w, Normal *text, size_t more)
{
    if (text->room - text->n >= more)
        return true;
    size_t room = MAX(2 * text->room, text->n + more);
    char *p = NEW(w->a, char, room, w->e);
    uint32_t *from = w->traced ? NEW(w->a, uint32_t, room, w->e) : NULL;
    if (!p || (w->traced && !from))
        return false;
    if (text->n) {
        memcpy(p, text->p, text->n);
        if (from)
            memcpy(from, text->from, text->n * sizeof *from);
    }
    text->p = p;
    text->from = from;
    text->room = room;
    return true;
}

bool work_put(Work *w, uint32_t c, uint32_t from)
{
    Normal *text = &w->other;
    if (!make_room(w, text, text->n ? 4 : w->text.n + 4))
        return false;
    size_t length = utf8_encode(c, text->p + text->n);
    for (size_t i = 0; w->traced && i < length; i++)
        text->from[text->n + i] = from;
    text->n += length;
    return true;
}

bool work_next(const Work *w, WorkCode *c)
{
    c->at = c->end;
    if (c->at == w->text.n)
        return false;
    size_t length;
    c->code = next_code(w->text.p + c->at, w->text.n - c->at, &length);
    c->end += length;
    c->from = w->traced ? w->text.from[c->at] : 0;
    return true;
}

void work_swap(Work *w)
{
    Normal read = w->text;
    w->text = w->other;
    w->other = read;
    w->other.n = 0;
}

bool work_begin(Work *w, Text text, size_t begin, size_t end)
{
    w->words.count = w->next.count = w->other.n = 0;
    w->text.n = end - begin; /* the room that the first character asks for */
    for (size_t i = begin, length; i < end; i += length)
        if (!work_put(w, next_code(text.p + i, end - i, &length), (uint32_t)i))
            return false;
    work_swap(w);
    return true;
}

/* ---- normal forms ---------------------------------------------------------------------------- */

/* Hugging Face's rule for places: the characters of the result take those of the source in their order. One that stands
 * for a source character has its place; an extra one has the place of the one before it. Canonical order moves
 * characters, but not the places. */
typedef struct Cursor {
    WorkCode source;
    uint32_t from;
} Cursor;

static bool put_formed(Work *w, Cursor *at, uint32_t c, bool extra)
{
    if (!extra) {
        work_next(w, &at->source);
        at->from = at->source.from;
    }
    return work_put(w, c, at->from);
}

/* Characters with a class that wait: sorted by class, stably, one pass per class (Unicode 3.11, D109). */
static bool put_waiting(Work *w, Cursor *at)
{
    if (!w->waiting.count)
        return true;
    bool present[256] = {false};
    for (size_t i = 0; i < w->waiting.count; i++)
        present[w->waiting.list[i].class] = true;
    for (int class = 0; class < 256; class ++)
        for (size_t i = 0; present[class] && i < w->waiting.count; i++)
            if (w->waiting.list[i].class == class &&
                !put_formed(w, at, w->waiting.list[i].code, w->waiting.list[i].extra))
                return false;
    w->waiting.count = 0;
    return true;
}

bool normal_form_d(Work *w)
{
    Cursor at = {0};
    for (WorkCode c = {0}; work_next(w, &c);) {
        uint32_t parts[4] = {c.code};
        int n = flags_of(w->t, c.code) & U_KNOWN ? unicode_decompose(c.code, parts) : 1;
        for (int i = 0; i < n; i++) {
            int class = flags_of(w->t, parts[i]) & U_KNOWN ? unicode_class(parts[i]) & 255 : 0;
            if (!class) {
                if (!put_waiting(w, &at) || !put_formed(w, &at, parts[i], i > 0))
                    return false;
                continue;
            }
            Waiting *grown = arena_grow(w->a, w->waiting.list, w->waiting.count, &w->waiting.room, sizeof *grown, w->e);
            if (!grown)
                return false;
            w->waiting.list = grown;
            w->waiting.list[w->waiting.count++] = (Waiting){parts[i], (uint8_t) class, i > 0};
        }
    }
    if (!put_waiting(w, &at))
        return false;
    work_swap(w);
    return true;
}

bool normal_lower(Work *w)
{
    for (WorkCode c = {0}; work_next(w, &c);) {
        bool upper = flags_of(w->t, c.code) & U_UPPER;
        if (!work_put(w, upper ? unicode_lower(c.code) : c.code, c.from) ||
            (c.code == 0x130 && !work_put(w, 0x307, c.from)))
            return false;
    }
    work_swap(w);
    return true;
}
