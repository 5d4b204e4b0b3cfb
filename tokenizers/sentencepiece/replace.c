/* tokenizers/sentencepiece/replace.c: normalisers and decoders that replace, add or remove characters: Replace, Strip,
 * Nmt, Prepend, and the decoders ByteFallback and Fuse. */
#include "tokenizers/pipeline.h"

enum { ASCII = 0x80 };
enum { MAX_PATTERN = 256 }; /* bytes; the time per byte of text grows with the pattern */

/* ---- Replace --------------------------------------------------------------------------------- */

/* the regular expressions " {2,}" and "\\s+", which have their own code */
typedef enum Run { RUN_NONE, RUN_BLANKS, RUN_SPACES } Run;

typedef struct Replace {
    Text pattern, content;
    Run run;
    const Regex *regex; /* another regular expression */
    const char *path;
} Replace;

static bool parse_replace(Load *l, const Json *j, const void **settings)
{
    const Json *pattern = json_get(j, "pattern"), *content = json_get(j, "content"),
               *text = json_get(pattern, "String"), *expression = json_get(pattern, "Regex");
    Replace *s = NEW(l->a, Replace, 1, l->e);
    if (!s)
        return false;
    *settings = s;
    if (!content || content->type != JSON_STRING || !(text || expression) ||
        (text ? text : expression)->type != JSON_STRING)
        return fail(l->e, SP_FORMAT, "%s:%u: Replace: expected a pattern, String or Regex, and content", l->path,
                    (unsigned)j->line);
    Run run = text                                 ? RUN_NONE
              : text_is(expression->text, " {2,}") ? RUN_BLANKS
              : text_is(expression->text, "\\s+")  ? RUN_SPACES
                                                   : RUN_NONE;
    *s = (Replace){.pattern = text ? text->text : TEXT(" "), .content = content->text, .run = run, .path = l->path};
    if (!text && !run && !(s->regex = regex_new(l, expression->text, (unsigned)j->line)))
        return false;
    return (s->pattern.n && s->pattern.n <= MAX_PATTERN) ||
           fail(l->e, SP_UNSUPPORTED, "%s:%u: Replace: a pattern of %zu bytes; 1 to %d are supported", l->path,
                (unsigned)j->line, s->pattern.n, MAX_PATTERN);
}

/* Returns the number of bytes of a match at the beginning of p[0, n); 0: there is none. */
static size_t match(const Replace *s, const char *p, size_t n)
{
    size_t end = 0;
    if (s->run == RUN_NONE)
        return n >= s->pattern.n && !memcmp(p, s->pattern.p, s->pattern.n) ? s->pattern.n : 0;
    if (s->run == RUN_BLANKS) {
        while (end < n && p[end] == ' ')
            end++;
        return end > 1 ? end : 0;
    }
    for (size_t length; end < n; end += length)
        if (unicode_kind(next_code(p + end, n - end, &length)) != CODE_SPACE)
            break;
    return end;
}

/* Returns the position of the next possible match, from `at` on; t.n: there is none. A single blank that is replaced by
 * a blank is skipped. */
static size_t next_match(const Replace *s, Text t, size_t at)
{
    if (s->run == RUN_NONE) {
        const char *p = at < t.n ? memchr(t.p + at, s->pattern.p[0], t.n - at) : NULL;
        return p ? (size_t)(p - t.p) : t.n;
    }
    bool blank = s->run == RUN_BLANKS || text_is(s->content, " ");
    for (; at < t.n; at++) {
        unsigned char c = (unsigned char)t.p[at], next = at + 1 < t.n ? (unsigned char)t.p[at + 1] : ASCII;
        if (c == ' ' ? !blank || next <= ' ' || next >= ASCII : s->run == RUN_SPACES && (c < ' ' || c >= ASCII))
            break;
    }
    return at;
}

/* State of a replacement. The whole replacement gets the position of the last character that it replaces. */
typedef struct Replacing {
    const Replace *s;
    Work *w;
    size_t done; /* bytes of the text that are done */
} Replacing;

static bool put_content(const Replace *s, Work *w, uint32_t from)
{
    for (size_t i = 0, length; i < s->content.n; i += length)
        if (!work_put(w, next_code(s->content.p + i, s->content.n - i, &length), from))
            return false;
    return true;
}

/* Writes the replacement of a match. If the match is empty, the replacement gets the position of the character before
 * it. */
static bool replace_match(void *to, size_t begin, size_t end)
{
    Replacing *r = to;
    Work *w = r->w;
    uint32_t from = !w->traced || !w->text.n ? 0 : w->text.from[end ? end - 1 : 0];
    if (begin > r->done && !work_copy(w, r->done, begin))
        return false;
    r->done = end;
    return put_content(r->s, w, from);
}

static bool replace_matches(const Replace *s, Work *w)
{
    Replacing r = {s, w, 0};
    if (!regex_each(s->regex, (Text){w->text.p, w->text.n}, &w->regex, replace_match, &r, w->e) ||
        (r.done < w->text.n && !work_copy(w, r.done, w->text.n)))
        return false;
    work_swap(w);
    return true;
}

static bool normalize_replace(const void *settings, Work *w)
{
    const Replace *s = settings;
    if (s->regex)
        return replace_matches(s, w);
    for (WorkCode c = {0};;) {
        size_t begin = next_match(s, (Text){w->text.p, w->text.n}, c.end);
        if (begin > c.end && !work_copy(w, c.end, begin))
            return false;
        c.end = begin;
        if (!work_next(w, &c))
            break;
        size_t end = c.at + match(s, w->text.p + c.at, w->text.n - c.at);
        if (end == c.at) {
            if (!work_put(w, c.code, c.from))
                return false;
            continue;
        }
        while (c.end < end)
            work_next(w, &c);
        if (!put_content(s, w, c.from))
            return false;
    }
    work_swap(w);
    return true;
}

static bool token_grows(const Replace *s, Error *e)
{
    return fail(e, SP_UNSUPPORTED, "%s: its decoders make a token more than %d times as long", s->path, MOST_GROWTH);
}

typedef struct Decoding {
    const Replace *s;
    Text token;
    size_t done, most;
    TokenBytes out;
    Arena *a;
    Error *e;
} Decoding;

static bool decode_part(Decoding *d, Text part)
{
    if (part.n > d->most - MIN(d->most, d->out.n))
        return token_grows(d->s, d->e);
    if (!token_bytes_room(&d->out, d->out.n + part.n + 1, d->a, d->e))
        return false;
    memcpy(d->out.p + d->out.n, part.p, part.n);
    d->out.n += part.n;
    return true;
}

static bool decode_match(void *to, size_t begin, size_t end)
{
    Decoding *d = to;
    Text before = {d->token.p + d->done, begin - d->done};
    d->done = end;
    return decode_part(d, before) && decode_part(d, d->s->content);
}

static bool decode_matches(const Replace *s, TokenBytes *token, Arena *a, Error *e)
{
    Decoding d = {.s = s, .token = {token->p, token->n}, .most = token->most, .a = a, .e = e};
    if (!regex_each(s->regex, d.token, token->time, decode_match, &d, e) ||
        !decode_part(&d, (Text){d.token.p + d.done, d.token.n - d.done}))
        return false;
    token->p = d.out.p;
    token->n = d.out.n;
    token->room = d.out.room;
    return true;
}

static bool decode_replace(const void *settings, bool first, TokenBytes *token, Arena *a, Error *e)
{
    const Replace *s = settings;
    (void)first;
    if (s->regex)
        return decode_matches(s, token, a, e);
    size_t n = 0, written = 0, length;
    for (size_t i = 0; i < token->n; i += length ? length : 1) {
        length = match(s, token->p + i, token->n - i);
        n += length ? s->content.n : 1;
    }
    if (n > token->most)
        return token_grows(s, e);
    if (!token_bytes_room(token, token->n + n, a, e))
        return false;
    char *to = token->p + token->n; /* the output is after the input in the buffer */
    for (size_t i = 0; i < token->n; i += length ? length : 1) {
        length = match(s, token->p + i, token->n - i);
        Text put = length ? s->content : (Text){token->p + i, 1};
        memcpy(to + written, put.p, put.n);
        written += put.n;
    }
    memmove(token->p, to, written);
    token->n = written;
    return true;
}

const StageKind normalizer_replace = {.name = "Replace", .parse = parse_replace, .normalize = normalize_replace};
const StageKind decoder_replace = {.name = "Replace", .parse = parse_replace, .decode = decode_replace};

/* ---- Strip ----------------------------------------------------------------------------------- */

typedef struct Strip {
    bool left, right;
} Strip;

static bool parse_strip(Load *l, const Json *j, const void **settings)
{
    const Json *left = json_get(j, "strip_left"), *right = json_get(j, "strip_right");
    Strip *s = NEW(l->a, Strip, 1, l->e);
    if (!s)
        return false;
    *settings = s;
    if (!left || left->type != JSON_BOOL || !right || right->type != JSON_BOOL)
        return fail(l->e, SP_FORMAT, "%s:%u: normalizer Strip: expected strip_left and strip_right", l->path,
                    (unsigned)j->line);
    *s = (Strip){left->boolean, right->boolean};
    return true;
}

static bool normalize_strip(const void *settings, Work *w)
{
    const Strip *s = settings;
    size_t begin = SIZE_MAX, end = 0;
    for (WorkCode c = {0}; work_next(w, &c);) {
        if (is_space(w->t, c.code))
            continue;
        begin = MIN(begin, c.at);
        end = c.end;
    }
    for (WorkCode c = {0}; work_next(w, &c);)
        if ((!s->left || c.at >= begin) && (!s->right || c.at < end) && !work_put(w, c.code, c.from))
            return false;
    work_swap(w);
    return true;
}

const StageKind normalizer_strip = {.name = "Strip", .parse = parse_strip, .normalize = normalize_strip};

typedef struct StripDecoder {
    uint32_t content;
    int64_t start, stop; /* largest numbers of characters to remove at the beginning and at the end */
} StripDecoder;

static bool parse_strip_decoder(Load *l, const Json *j, const void **settings)
{
    const Json *content = json_get(j, "content"), *start = json_get(j, "start"), *stop = json_get(j, "stop");
    StripDecoder *s = NEW(l->a, StripDecoder, 1, l->e);
    size_t length = 0;
    if (!s)
        return false;
    *settings = s;
    if (content && content->type == JSON_STRING)
        length = utf8_decode(content->text.p, content->text.n, &s->content);
    return (length && length == content->text.n && start && json_i64(start, &s->start) && s->start >= 0 && stop &&
            json_i64(stop, &s->stop) && s->stop >= 0) ||
           fail(l->e, SP_FORMAT, "%s:%u: decoder Strip: expected a character as content, start and stop", l->path,
                (unsigned)j->line);
}

static bool decode_strip(const void *settings, bool first, TokenBytes *token, Arena *a, Error *e)
{
    const StripDecoder *s = settings;
    char mark[4];
    size_t n = utf8_encode(s->content, mark), begin = 0, end = token->n;
    (void)first, (void)a, (void)e;
    for (int64_t i = 0; i < s->start && end - begin >= n && !memcmp(token->p + begin, mark, n); i++)
        begin += n;
    for (int64_t i = 0; i < s->stop && end - begin >= n && !memcmp(token->p + end - n, mark, n); i++)
        end -= n;
    token->n = end - begin;
    memmove(token->p, token->p + begin, token->n);
    return true;
}

const StageKind decoder_strip = {.name = "Strip", .parse = parse_strip_decoder, .decode = decode_strip};

bool strip_decoder_leads(const Stage *stage)
{
    const StripDecoder *s = stage->settings;
    return stage->kind == &decoder_strip && s->start <= 1 && !s->stop;
}

/* ---- Nmt, Prepend ---------------------------------------------------------------------------- */

static bool normalize_nmt(const void *settings, Work *w)
{
    (void)settings;
    for (WorkCode c = {0}; work_next(w, &c);) {
        uint32_t k = c.code;
        bool gone = (k >= 1 && k <= 8) || k == 0xb || (k >= 0xe && k <= 0x1f) || k == 0x7f || k == 0x8f || k == 0x9f;
        bool blank = k == 9 || k == 0xa || k == 0xc || k == 0xd || k == 0x1680 || (k >= 0x200b && k <= 0x200f) ||
                     k == 0x2028 || k == 0x2029 || k == 0x2581 || k == 0xfeff || k == 0xfffd;
        if (!gone && !work_put(w, blank ? ' ' : k, c.from))
            return false;
    }
    work_swap(w);
    return true;
}

const StageKind normalizer_nmt = {.name = "Nmt", .normalize = normalize_nmt};

static bool parse_prepend(Load *l, const Json *j, const void **settings)
{
    const Json *prepend = json_get(j, "prepend");
    if (!prepend || prepend->type != JSON_STRING || !prepend->text.n || prepend->text.n > MAX_PATTERN)
        return fail(l->e, SP_FORMAT, "%s:%u: normalizer Prepend: expected 1 to %d bytes as prepend", l->path,
                    (unsigned)j->line, MAX_PATTERN);
    *settings = &prepend->text;
    return true;
}

/* The inserted text gets the position of the first character. */
static bool normalize_prepend(const void *settings, Work *w)
{
    Text prepend = *(const Text *)settings;
    WorkCode c = {0};
    if (!work_next(w, &c))
        return true;
    for (size_t i = 0, length; i < prepend.n; i += length)
        if (!work_put(w, next_code(prepend.p + i, prepend.n - i, &length), c.from))
            return false;
    if (!work_copy(w, 0, w->text.n))
        return false;
    work_swap(w);
    return true;
}

const StageKind normalizer_prepend = {.name = "Prepend", .parse = parse_prepend, .normalize = normalize_prepend};

/* ---- ByteFallback, Fuse ---------------------------------------------------------------------- */

/* They join tokens, which decoders.c does. */
const StageKind decoder_byte_fallback = {.name = "ByteFallback", .joins = JOIN_BYTES};
const StageKind decoder_fuse = {.name = "Fuse", .joins = JOIN_ALL};
