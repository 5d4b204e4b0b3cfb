/* tokenizers/normalizers.c: the text between stages, and the normalisers. */
#include "tokenizers/pipeline.h"

/* ---- the text between stages ----------------------------------------------------------------- */

static void release(const Work *w, Normal *text)
{
    if (text->room)
        heap_free(arena_heap(w->a), text->from ? (void *)text->from : text->p, text->bytes);
    *text = (Normal){0};
}

static bool grows(const Work *w)
{
    return fail(w->e, SP_UNSUPPORTED, "%s: its normalizers make a text more than %d times as long", w->t->path,
                MOST_GROWTH);
}

/* Reports whether n bytes, and the bytes made of earlier stretches, exceed the limit. */
static bool is_too_much(const Work *w, size_t n)
{
    return w->made + n > (uint64_t)MOST_GROWTH * w->given + MOST_MORE || n > UINT32_MAX - MOST_MORE;
}

/* Allocates from the heap, not from the arena, so that outgrown memory is freed. */
static bool make_room(Work *w, Normal *text, size_t more)
{
    if (text->room - text->n >= more)
        return true;
    if (is_too_much(w, text->n))
        return grows(w);
    size_t room = MAX(text->room + text->room / 2, text->n + more), each = w->traced ? 1 + sizeof *text->from : 1,
           bytes;
    char *block = size_mul(room, each, &bytes) ? heap_alloc(arena_heap(w->a), bytes) : NULL;
    if (!block)
        return fail_memory(w->e, room, "the normal form of a text");
    Normal grown = {block, NULL, text->n, room, bytes};
    if (w->traced) { /* `from` comes first, where it is aligned */
        grown.from = (uint32_t *)(void *)block;
        grown.p = block + room * sizeof *grown.from;
    }
    if (text->n) {
        memcpy(grown.p, text->p, text->n);
        if (w->traced)
            memcpy(grown.from, text->from, text->n * sizeof *text->from);
    }
    release(w, text);
    *text = grown;
    return true;
}

void work_end(Work *w)
{
    release(w, &w->text);
    release(w, &w->other);
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

bool work_copy(Work *w, size_t begin, size_t end)
{
    Normal *to = &w->other;
    size_t n = end - begin;
    if (!make_room(w, to, to->n ? n : MAX(n, w->text.n + 4)))
        return false;
    memcpy(to->p + to->n, w->text.p + begin, n);
    if (w->traced)
        memcpy(to->from + to->n, w->text.from + begin, n * sizeof *to->from);
    to->n += n;
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
    w->largest = MAX(w->largest, w->text.n);
}

bool work_begin(Work *w, Text text, size_t begin, size_t end)
{
    w->words.count = w->next.count = w->other.n = 0;
    /* make_room checks the limit only when it allocates. It did not check if an earlier stretch had left enough memory.
     * So the limit is checked here. */
    w->made += w->largest;
    w->largest = 0;
    if (is_too_much(w, 0))
        return grows(w);
    w->given += end - begin;
    w->regex.bytes = w->given;
    w->text.n = end - begin; /* work_put allocates this number of bytes when it writes the first character */
    if (!w->traced && utf8_valid((Text){text.p + begin, end - begin}, NULL)) {
        if (!make_room(w, &w->other, w->text.n))
            return false;
        memcpy(w->other.p, text.p + begin, w->text.n);
        w->other.n = w->text.n;
        work_swap(w);
        return true;
    }
    for (size_t i = begin, length; i < end; i += length)
        if (!work_put(w, next_code(text.p + i, end - i, &length), (uint32_t)i))
            return false;
    work_swap(w);
    /* Allocates memory for an empty text too, so that w->text.p is not NULL when stages read it. */
    return w->other.p || make_room(w, &w->other, end - begin);
}

/* Returns the end of the run of bytes below `limit` that begins at `at`. */
static size_t run_below(const Work *w, size_t at, unsigned char limit)
{
    while (at < w->text.n && (unsigned char)w->text.p[at] < limit)
        at++;
    return at;
}

/* Limits for run_below: bytes below ASCII are ASCII characters; bytes below MARKS, the first byte of U+0300 in UTF-8,
 * are characters below U+0300, of which none is a combining mark. */
enum { ASCII = 0x80, MARKS = 0xcc };

/* ---- normal forms ---------------------------------------------------------------------------- */

/* Hugging Face's rule for positions: a character of the result replaces some characters of the source, in order, and
 * gets the position of the first of them. A character that replaces none gets the position of the last one that was
 * replaced. Canonical order moves characters, but not these counts: `replaces` is the count. */
typedef struct Former {
    Work *w;
    bool compose;
    WorkCode source;
    uint32_t last;  /* position of the last character that was replaced */
    bool has_first; /* `first` is a starter that may be composed with following characters */
    Formed first;
    int last_class; /* combining class of the last character in w->held; 0: w->held is empty */
} Former;

static bool put_formed(Former *f, Formed c)
{
    uint32_t from = f->last;
    for (int i = 0; i < c.replaces; i++) {
        work_next(f->w, &f->source);
        f->last = f->source.from;
        from = i ? from : f->last;
    }
    return work_put(f->w, c.code, from);
}

static bool push_formed(Work *w, FormedList *list, Formed c)
{
    Formed *grown = arena_grow(w->a, list->items, list->count, &list->room, sizeof *grown, w->e);
    if (!grown)
        return false;
    list->items = grown;
    list->items[list->count++] = c;
    return true;
}

/* Writes the starter, and the held characters, which could not be composed with it. */
static bool put_composed(Former *f)
{
    FormedList *held = &f->w->held;
    bool ok = !f->has_first || put_formed(f, f->first);
    for (size_t i = 0; i < held->count && ok; i++)
        ok = put_formed(f, held->items[i]);
    held->count = 0;
    f->has_first = false;
    f->last_class = 0;
    return ok;
}

/* Processes the next character in canonical order (Unicode 3.11, D117). */
static bool form(Former *f, Formed c)
{
    if (!f->compose || (!f->has_first && c.class))
        return put_formed(f, c);
    if (f->has_first && (!f->last_class || f->last_class < c.class)) {
        uint32_t both = unicode_compose(f->first.code, c.code);
        if (both) {
            f->first.code = both;
            f->first.replaces += c.replaces;
            return true;
        }
    }
    if (f->has_first && c.class) {
        f->last_class = c.class;
        return push_formed(f->w, &f->w->held, c);
    }
    if (!put_composed(f))
        return false;
    f->has_first = true;
    f->first = c;
    return true;
}

/* Processes the waiting characters, stably sorted by combining class, with one pass per class (Unicode 3.11, D109). */
static bool form_waiting(Former *f)
{
    FormedList *waiting = &f->w->waiting;
    bool present[256] = {false};
    if (!waiting->count)
        return true;
    for (size_t i = 0; i < waiting->count; i++)
        present[waiting->items[i].class] = true;
    for (int class = 0; class < 256; class ++)
        for (size_t i = 0; present[class] && i < waiting->count; i++)
            if (waiting->items[i].class == class && !form(f, waiting->items[i]))
                return false;
    waiting->count = 0;
    return true;
}

/* Copies a run of characters that do not change and are not composed with earlier characters. The last one is not
 * copied, because it may be composed with what follows. *at: on entry the start of the run, on return the start of the
 * last character. */
static bool copy_plain(Former *f, size_t *at, unsigned char limit)
{
    Work *w = f->w;
    size_t end = run_below(w, *at, limit);
    end -= end > *at ? code_length_before(w->text.p + *at, end - *at) : 0;
    if (end == *at)
        return true;
    if (!form_waiting(f) || !put_composed(f) || !work_copy(w, *at, end))
        return false;
    f->source.end = *at = end;
    f->last = w->traced ? w->text.from[end - 1] : 0;
    return true;
}

bool normal_form(Work *w, bool compatible, bool compose)
{
    Former f = {.w = w, .compose = compose};
    unsigned char limit = compatible || !compose ? ASCII : MARKS;
    for (WorkCode c = {0};;) {
        if (!copy_plain(&f, &c.end, limit))
            return false;
        if (!work_next(w, &c))
            break;
        uint32_t parts[UNICODE_PARTS] = {c.code};
        bool plain = compatible ? c.code < 0xa0 : !(flags_of(w->t, c.code) & U_NFD);
        int n = plain ? 1 : unicode_decompose(c.code, compatible, parts);
        for (int i = 0; i < n; i++) {
            Formed part = {.code = parts[i], .replaces = !i};
            if (flags_of(w->t, parts[i]) & U_NFD)
                part.class = (uint8_t)unicode_class(parts[i]);
            if (part.class ? !push_formed(w, &w->waiting, part) : !form_waiting(&f) || !form(&f, part))
                return false;
        }
    }
    if (!form_waiting(&f) || !put_composed(&f))
        return false;
    work_swap(w);
    return true;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

bool normal_lower(Work *w)
{
    for (WorkCode c = {0};;) {
        size_t end = run_below(w, c.end, ASCII);
        if (end > c.end && !work_copy(w, c.end, end))
            return false;
        for (char *p = w->other.p + w->other.n - (end - c.end); c.end < end; c.end++, p++)
            *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
        if (!work_next(w, &c))
            break;
        bool upper = flags_of(w->t, c.code) & U_UPPER;
        /* the lower case of U+0130 (I with a dot) has two characters: i and U+0307 */
        if (!work_put(w, upper ? unicode_lower(c.code) : c.code, c.from) ||
            (c.code == 0x130 && !work_put(w, 0x307, c.from)))
            return false;
    }
    work_swap(w);
    return true;
}

static bool nfd(const void *settings, Work *w)
{
    (void)settings;
    return normal_form(w, false, false);
}

static bool nfc(const void *settings, Work *w)
{
    (void)settings;
    return normal_form(w, false, true);
}

static bool nfkd(const void *settings, Work *w)
{
    (void)settings;
    return normal_form(w, true, false);
}

static bool nfkc(const void *settings, Work *w)
{
    (void)settings;
    return normal_form(w, true, true);
}

static bool lowercase(const void *settings, Work *w)
{
    (void)settings;
    return normal_lower(w);
}

static bool strip_accents(const void *settings, Work *w)
{
    (void)settings;
    for (WorkCode c = {0};;) {
        size_t end = run_below(w, c.end, MARKS);
        if (end > c.end && !work_copy(w, c.end, end))
            return false;
        c.end = end;
        if (!work_next(w, &c))
            break;
        if (!unicode_is_mark(c.code) && !work_put(w, c.code, c.from))
            return false;
    }
    work_swap(w);
    return true;
}

const StageKind normalizer_nfd = {.name = "NFD", .normalize = nfd};
const StageKind normalizer_nfc = {.name = "NFC", .normalize = nfc};
const StageKind normalizer_nfkd = {.name = "NFKD", .normalize = nfkd};
const StageKind normalizer_nfkc = {.name = "NFKC", .normalize = nfkc};
const StageKind normalizer_lowercase = {.name = "Lowercase", .normalize = lowercase};
const StageKind normalizer_strip_accents = {.name = "StripAccents", .normalize = strip_accents};
