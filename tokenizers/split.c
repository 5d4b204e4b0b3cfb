/* tokenizers/split.c: Split: splits words at the matches of a pattern. The regular expressions of GPT-2, CLIP and Qwen2
 * are recognised by their text and matched by hand-written code; \p{L}, \p{N} and \s are unicode_kind. */
#include "tokenizers/pipeline.h"

static inline CodeKind kind_at(const Pattern *p, Text text, size_t at, uint32_t *c, size_t *length)
{
    *c = next_code(text.p + at, text.n - at, length);
    return *c < LOW_KINDS ? (CodeKind)p->low[*c] : unicode_kind(*c);
}

/* Returns the end of the run of characters of this kind that begins at `at`. */
static size_t run_end(const Pattern *p, Text text, size_t at, CodeKind kind)
{
    uint32_t c;
    for (size_t length; at < text.n && kind_at(p, text, at, &c, &length) == kind;)
        at += length;
    return at;
}

/* Matches 's 't 're 've 'm 'll 'd. `any`: in upper and lower case; s has a third form, U+017F. Returns 0 if there is
 * none at `at`. */
static size_t contraction(Text text, size_t at, bool any)
{
    static const char *const ENDS[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (text.p[at++] != '\'')
        return 0;
    if (any && text.n - at >= 2 && !memcmp(text.p + at, "\xc5\xbf", 2))
        return at + 2;
    for (size_t i = 0; i < COUNT(ENDS); i++) {
        const char *end = ENDS[i];
        size_t n = 0;
        while (end[n] && at + n < text.n && (text.p[at + n] == end[n] || (any && text.p[at + n] == end[n] - 32)))
            n++;
        if (!end[n])
            return at + n;
    }
    return 0;
}

/* Matches \s+(?!\S)|\s+ in white space [at, end), and returns the end of the match. The last character is not matched,
 * because a blank belongs to the word after it, unless it is the only one or the text ends. */
static size_t white_end(Text text, size_t at, size_t end)
{
    size_t last = end - code_length_before(text.p + at, end - at);
    return end == text.n || last == at ? end : last;
}

static bool is_line_end(uint32_t c)
{
    return c == '\r' || c == '\n';
}

/* Matches ` ?` before a run: returns the position after the blank if a run of letters, of numbers or of other
 * characters follows it, and sets *kind to the kind of that run. Otherwise, returns `at`. */
static size_t skip_blank(const Pattern *p, Text text, size_t at, CodeKind *kind)
{
    uint32_t c;
    size_t length;
    CodeKind next = CODE_SPACE;
    if (text.p[at] == ' ' && at + 1 < text.n)
        next = kind_at(p, text, at + 1, &c, &length);
    if (next == CODE_SPACE)
        return at;
    *kind = next;
    return at + 1;
}

static size_t match_gpt2(const Pattern *p, Text text, size_t at)
{
    uint32_t c;
    size_t length, end = contraction(text, at, false);
    if (end)
        return end;
    CodeKind kind = kind_at(p, text, at, &c, &length);
    size_t begin = skip_blank(p, text, at, &kind);
    end = run_end(p, text, begin, kind);
    return kind == CODE_SPACE ? white_end(text, at, end) : end;
}

static size_t match_clip(const Pattern *p, Text text, size_t at)
{
    uint32_t c;
    size_t length, end = contraction(text, at, false);
    if (end)
        return end;
    CodeKind kind = kind_at(p, text, at, &c, &length);
    return kind == CODE_SPACE ? 0 : kind == CODE_NUMBER ? at + length : run_end(p, text, at, kind);
}

static size_t match_clip_special(const Pattern *p, Text text, size_t at)
{
    static const char *const TOKENS[] = {"<|startoftext|>", "<|endoftext|>"};
    for (size_t i = 0; i < COUNT(TOKENS); i++)
        if (text_starts((Text){text.p + at, text.n - at}, TOKENS[i]))
            return at + strlen(TOKENS[i]);
    return match_clip(p, text, at);
}

/* Matches PATTERN_QWEN2. White space that contains line ends is matched up to the last line end. */
static size_t match_qwen2(const Pattern *p, Text text, size_t at)
{
    uint32_t c, next;
    size_t length, end = contraction(text, at, true);
    if (end)
        return end;
    CodeKind kind = kind_at(p, text, at, &c, &length);
    bool leads = kind != CODE_LETTER && kind != CODE_NUMBER && !is_line_end(c) && at + length < text.n;
    if (kind == CODE_LETTER || (leads && kind_at(p, text, at + length, &next, &end) == CODE_LETTER))
        return run_end(p, text, at + length, CODE_LETTER);
    if (kind == CODE_NUMBER)
        return at + length;
    CodeKind run = kind;
    size_t begin = skip_blank(p, text, at, &run);
    if (run == CODE_OTHER) {
        end = run_end(p, text, begin, CODE_OTHER);
        while (end < text.n && is_line_end((unsigned char)text.p[end]))
            end++;
        return end;
    }
    end = run_end(p, text, at, CODE_SPACE);
    for (size_t i = end; i > at; i--)
        if (is_line_end((unsigned char)text.p[i - 1]))
            return i;
    return white_end(text, at, end);
}

static size_t match_literal(const Pattern *p, Text text, size_t at)
{
    bool here = text.n - at >= p->literal.n && !memcmp(text.p + at, p->literal.p, p->literal.n);
    return here ? at + p->literal.n : 0;
}

/* The SplitPart of a pattern: returns the end of the part that begins at `at`, which is a match or the text up to the
 * next match. */
static size_t pattern_part(const void *how, const Tokenizer *t, Text text, size_t at, bool *match)
{
    (void)t;
    const Pattern *p = how;
    size_t end = p->match(p, text, at);
    *match = !p->invert == !!end;
    if (end)
        return end;
    size_t length;
    for (end = at; end < text.n && (end == at || !p->match(p, text, end)); end += length)
        next_code(text.p + end, text.n - end, &length);
    return end;
}

bool pattern_split(const Pattern *p, Work *w)
{
    return p->regex ? regex_split(p->regex, p->invert, p->rule, w) : split_parts(w, p, pattern_part, p->rule);
}

/* ---- settings -------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    PatternMatch *match;
} PATTERNS[] = {
    {PATTERN_GPT2, match_gpt2},
    {PATTERN_CLIP, match_clip},
    {PATTERN_CLIP_SPECIAL PATTERN_CLIP, match_clip_special},
    {PATTERN_QWEN2, match_qwen2},
};

static Pattern *new_pattern(Load *l, PatternMatch *match)
{
    Pattern *p = NEW(l->a, Pattern, 1, l->e);
    if (!p)
        return NULL;
    p->match = match;
    p->rule = SPLIT_ISOLATED;
    for (uint32_t c = 0; c < LOW_KINDS; c++)
        p->low[c] = (uint8_t)unicode_kind(c);
    return p;
}

static PatternMatch *find_pattern(Text text)
{
    for (size_t i = 0; i < COUNT(PATTERNS); i++)
        if (text_is(text, PATTERNS[i].text))
            return PATTERNS[i].match;
    return NULL;
}

Pattern *pattern_new(Load *l, Text text)
{
    return new_pattern(l, find_pattern(text));
}

static bool parse(Load *l, const Json *j, const void **settings)
{
    const Json *pattern = json_get(j, "pattern"), *regex = json_get(pattern, "Regex"),
               *literal = json_get(pattern, "String"), *text = regex ? regex : literal, *invert = json_get(j, "invert");
    if (!text || text->type != JSON_STRING || !text->text.n || !invert || invert->type != JSON_BOOL)
        return fail(l->e, SP_FORMAT, "%s:%u: expected a pattern (Regex or String), behavior and invert in Split",
                    l->path, (unsigned)j->line);
    PatternMatch *match = regex ? find_pattern(text->text) : match_literal;
    const Regex *other = match ? NULL : regex_new(l, text->text, (unsigned)j->line);
    if (!match && !other)
        return false;
    if (match && text->text.n > MAX_ADDED_BYTES)
        return fail(l->e, SP_UNSUPPORTED,
                    "%s:%u: pre_tokenizer Split: a pattern of %zu bytes; at most %d are supported", l->path,
                    (unsigned)j->line, text->text.n, MAX_ADDED_BYTES);
    Pattern *p = new_pattern(l, match);
    if (!p)
        return false;
    p->literal = text->text;
    p->regex = other;
    p->invert = invert->boolean;
    *settings = p;
    return read_split_rule(l, j, "Split", &p->rule);
}

static bool split(const void *settings, Work *w)
{
    return pattern_split(settings, w);
}

const StageKind pre_tokenizer_split = {.name = "Split", .parse = parse, .split = split};
