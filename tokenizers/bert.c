/* tokenizers/bert.c: BertNormalizer and BertPreTokenizer of Hugging Face tokenizers. In one pass and in this order:
 * clean_text, spaces around Chinese characters, NFD without marks, lower case. Then words are split at white space and
 * punctuation. */
#include "tokenizers/pipeline.h"

typedef struct Sink {
    const Tokenizer *t;
    char *out;
    size_t n;
    /* For canonical order: the characters with a combining class other than 0 since the last starter (class 0) begin at
     * out[run]. Marks that are dropped immediately are not among them; removing some does not change the order of the
     * others. */
    size_t run;
    /* highest class in the run; 0: the run is empty */
    int last_class;
    /* the run is not sorted by class */
    bool disorder;
} Sink;

/* Restores canonical order (Unicode 3.11, D109): a stable sort of out[run..n) by combining class, with one pass per
 * class. */
static bool sort_run(Sink *s, Arena *a, Error *e)
{
    size_t bytes = s->n - s->run;
    char *copy = arena_strndup(a, s->out + s->run, bytes, e);
    if (!copy)
        return false;
    s->n = s->run;
    bool present[256] = {false};
    uint32_t c;
    for (size_t i = 0; i < bytes; i += utf8_decode(copy + i, bytes - i, &c)) {
        utf8_decode(copy + i, bytes - i, &c);
        present[unicode_class(c) & 255] = true;
    }
    for (int class = 0; class < 256; class ++)
        for (size_t i = 0, length; present[class] && i < bytes; i += length) {
            length = utf8_decode(copy + i, bytes - i, &c);
            if ((unicode_class(c) & 255) != class)
                continue;
            memcpy(s->out + s->n, copy + i, length);
            s->n += length;
        }
    s->disorder = false;
    return true;
}

static void put(Sink *s, uint32_t c, uint8_t flags)
{
    if (s->t->bert.lower && flags & U_UPPER) {
        s->n += utf8_encode(unicode_lower(c), s->out + s->n);
        if (c == 0x130)
            s->n += utf8_encode(0x307, s->out + s->n);
    } else {
        s->n += utf8_encode(c, s->out + s->n);
    }
}

/* Appends one code point in NFD, and drops marks. */
static bool put_decomposed(Sink *s, uint32_t c, uint8_t flags, Arena *a, Error *e)
{
    uint32_t parts[UNICODE_PARTS] = {c};
    int n = flags & U_NFD ? unicode_decompose(c, false, parts) : 1;
    for (int i = 0; i < n; i++) {
        uint8_t f = flags_of(s->t, parts[i]);
        int class = f & U_NFD ? unicode_class(parts[i]) : 0;
        if (!class) {
            if (s->disorder && !sort_run(s, a, e))
                return false;
            s->last_class = 0;
        }
        if (f & U_MARK)
            continue;
        if (class) {
            if (!s->last_class)
                s->run = s->n;
            s->disorder |= class < s->last_class;
            s->last_class = MAX(class, s->last_class);
        }
        put(s, parts[i], f);
    }
    return true;
}

bool bert_normalize(const Tokenizer *t, Text text, char *out, size_t *n, Arena *a, Error *e)
{
    if (!t->bert.on) {
        for (size_t i = 0, length; i < text.n; i += length)
            *n += utf8_encode(next_code(text.p + i, text.n - i, &length), out + *n);
        return true;
    }
    Sink s = {.t = t, .out = out};
    for (size_t i = 0, length; i < text.n; i += length) {
        unsigned char b = (unsigned char)text.p[i];
        if (b < 128) {
            length = 1;
            if (t->ascii[b] < 0)
                continue;
            if (s.disorder && !sort_run(&s, a, e))
                return false;
            s.last_class = 0;
            s.out[s.n++] = (char)t->ascii[b];
            continue;
        }
        uint32_t c = next_code(text.p + i, text.n - i, &length);
        uint8_t flags = flags_of(t, c);
        if (t->bert.clean && flags & U_DROP)
            continue;
        if (t->bert.clean && flags & U_CLEAN) {
            c = ' ';
            flags = 0;
        }
        bool pad = t->bert.chinese && flags & U_CHINESE;
        if (!t->bert.strip) {
            if (pad)
                s.out[s.n++] = ' ';
            put(&s, c, flags);
        } else if ((pad && !put_decomposed(&s, ' ', 0, a, e)) || !put_decomposed(&s, c, flags, a, e)) {
            return false;
        }
        if (pad) /* c has combining class 0, so no run of marks is open: the blank needs no put_decomposed */
            s.out[s.n++] = ' ';
    }
    if (s.disorder && !sort_run(&s, a, e))
        return false;
    *n = s.n;
    return true;
}

bool bert_next_word(const Tokenizer *t, Text *rest, Text *word)
{
    const char *p = rest->p;
    size_t n = rest->n, i = 0, begin = 0;
    while (i < n) {
        size_t length = 1;
        unsigned char b = (unsigned char)p[i];
        uint8_t flags = b < 128 ? t->plane[b] : flags_of(t, next_code(p + i, n - i, &length));
        if (flags & (U_SPACE | U_PUNCT)) {
            if (i > begin)
                break; /* the word before this character is complete; the character itself is the next word */
            if (flags & U_PUNCT) {
                i += length;
                break;
            }
            begin = i + length;
        }
        i += length;
    }
    *word = (Text){p + begin, i - begin};
    *rest = (Text){p + i, n - i};
    return i > begin;
}

/* ---- the same as stages ---------------------------------------------------------------------- */

static bool parse_normalizer(Load *l, const Json *j, const void **settings)
{
    BertSwitches *s = NEW(l->a, BertSwitches, 1, l->e);
    const Json *strip = json_get(j, "strip_accents");
    if (!s)
        return false;
    *s = (BertSwitches){.on = true,
                        .clean = json_is_true(json_get(j, "clean_text")),
                        .chinese = json_is_true(json_get(j, "handle_chinese_chars")),
                        .lower = json_is_true(json_get(j, "lowercase"))};
    s->strip = is_absent(strip) ? s->lower : json_is_true(strip);
    *settings = s;
    return true;
}

static bool clean(Work *w)
{
    for (WorkCode c = {0}; work_next(w, &c);) {
        uint8_t flags = flags_of(w->t, c.code);
        if (!(flags & U_DROP) && !work_put(w, flags & U_CLEAN ? ' ' : c.code, c.from))
            return false;
    }
    work_swap(w);
    return true;
}

static bool pad_chinese(Work *w)
{
    for (WorkCode c = {0}; work_next(w, &c);) {
        bool pad = flags_of(w->t, c.code) & U_CHINESE;
        if ((pad && !work_put(w, ' ', c.from)) || !work_put(w, c.code, c.from) || (pad && !work_put(w, ' ', c.from)))
            return false;
    }
    work_swap(w);
    return true;
}

static bool drop_marks(Work *w)
{
    for (WorkCode c = {0}; work_next(w, &c);)
        if (!(flags_of(w->t, c.code) & U_MARK) && !work_put(w, c.code, c.from))
            return false;
    work_swap(w);
    return true;
}

static bool normalize(const void *settings, Work *w)
{
    const BertSwitches *s = settings;
    return (!s->clean || clean(w)) && (!s->chinese || pad_chinese(w)) &&
           (!s->strip || (normal_form(w, false, false) && drop_marks(w))) && (!s->lower || normal_lower(w));
}

const StageKind normalizer_bert = {.name = "BertNormalizer", .parse = parse_normalizer, .normalize = normalize};

static bool split(const void *settings, Work *w)
{
    (void)settings;
    return split_where(w, is_space, SPLIT_REMOVED) && split_where(w, is_punctuation, SPLIT_ISOLATED);
}

const StageKind pre_tokenizer_bert = {.name = "BertPreTokenizer", .split = split};

void bert_prepare(Tokenizer *t)
{
    const Stages *n = &t->normalizers, *p = &t->pre_tokenizers;
    t->fused = n->count <= 1 && (!n->count || n->list[0].kind == &normalizer_bert) && p->count == 1 &&
               p->list[0].kind == &pre_tokenizer_bert && t->kind == &model_wordpiece;
    t->bert = t->fused && n->count ? *(const BertSwitches *)n->list[0].settings : (BertSwitches){0};
    for (int c = 0; c < 128; c++) {
        uint8_t f = t->plane[c];
        t->ascii[c] = (int16_t)(t->bert.clean && f & U_DROP    ? -1
                                : t->bert.clean && f & U_CLEAN ? ' '
                                : t->bert.lower && f & U_UPPER ? (int)unicode_lower((uint32_t)c)
                                                               : c);
    }
}
