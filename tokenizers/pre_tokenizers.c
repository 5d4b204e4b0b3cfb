/* tokenizers/pre_tokenizers.c: splits a normalised text into words. */
#include "tokenizers/pipeline.h"

bool work_word(Work *w, size_t begin, size_t end, int32_t id)
{
    if (begin == end)
        return true;
    Word *grown = arena_grow(w->a, w->next.list, w->next.count, &w->next.room, sizeof *grown, w->e);
    if (!grown)
        return false;
    w->next.list = grown;
    w->next.list[w->next.count++] = (Word){(uint32_t)begin, (uint32_t)end, id};
    return true;
}

void work_swap_words(Work *w)
{
    Words read = w->words;
    w->words = w->next;
    w->next = read;
    w->next.count = 0;
}

bool is_space(const Tokenizer *t, uint32_t c)
{
    return flags_of(t, c) & U_SPACE;
}

bool is_punctuation(const Tokenizer *t, uint32_t c)
{
    return flags_of(t, c) & U_PUNCT;
}

static bool split_one(Work *w, Word word, const void *how, SplitPart *part, SplitRule rule)
{
    size_t first = w->next.count;
    bool matched = false; /* whether the part before this one is a match */
    Text text = {w->text.p + word.begin, word.end - word.begin};
    for (size_t at = 0, end; at < text.n; at = end) {
        bool match;
        end = part(how, w->t, text, at, &match);
        if (split_joins(rule, match, matched) && w->next.count > first)
            w->next.list[w->next.count - 1].end = (uint32_t)(word.begin + end);
        else if ((!match || rule != SPLIT_REMOVED) && !work_word(w, word.begin + at, word.begin + end, -1))
            return false;
        matched = match;
    }
    return true;
}

bool split_parts(Work *w, const void *how, SplitPart *part, SplitRule rule)
{
    for (size_t i = 0; i < w->words.count; i++) {
        Word word = w->words.list[i];
        if (word.id >= 0 ? !work_word(w, word.begin, word.end, word.id) : !split_one(w, word, how, part, rule))
            return false;
    }
    work_swap_words(w);
    return true;
}

/* A struct, because ISO C cannot convert a function pointer to the void pointer that SplitPart receives. */
typedef struct Accepts {
    bool (*is)(const Tokenizer *t, uint32_t c);
} Accepts;

/* Every character that `is` accepts is a match. The text between two matches is a part. */
static size_t part_of_characters(const void *how, const Tokenizer *t, Text text, size_t at, bool *match)
{
    const Accepts *a = how;
    size_t length;
    *match = a->is(t, next_code(text.p + at, text.n - at, &length));
    for (at += length; !*match && at < text.n; at += length)
        if (a->is(t, next_code(text.p + at, text.n - at, &length)))
            break;
    return at;
}

bool split_where(Work *w, bool (*is)(const Tokenizer *t, uint32_t c), SplitRule rule)
{
    return split_parts(w, &(Accepts){is}, part_of_characters, rule);
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static bool whitespace_split(const void *settings, Work *w)
{
    (void)settings;
    return split_where(w, is_space, SPLIT_REMOVED);
}

const StageKind pre_tokenizer_whitespace_split = {.name = "WhitespaceSplit", .split = whitespace_split};

/* Returns 0 for white space, 1 for a character of \w, 2 for any other character. */
static int class_of(const Tokenizer *t, uint32_t c)
{
    return unicode_is_word(c) ? 1 : is_space(t, c) ? 0 : 2;
}

/* Splits by the regular expression \w+|[^\w\s]+ */
static bool whitespace(const void *settings, Work *w)
{
    (void)settings;
    for (size_t i = 0; i < w->words.count; i++) {
        Word word = w->words.list[i];
        if (word.id >= 0 && !work_word(w, word.begin, word.end, word.id))
            return false;
        int last = 0;
        size_t begin = word.begin;
        for (size_t at = word.begin, length; word.id < 0 && at <= word.end; at += length) {
            bool ends = at == word.end;
            length = 1;
            int class = ends ? 0 : class_of(w->t, next_code(w->text.p + at, word.end - at, &length));
            if (class == last && !ends)
                continue;
            if (last && !work_word(w, begin, at, -1))
                return false;
            begin = at;
            last = class;
        }
    }
    work_swap_words(w);
    return true;
}

const StageKind pre_tokenizer_whitespace = {.name = "Whitespace", .split = whitespace};

typedef struct RuleSetting {
    SplitRule rule;
} RuleSetting;

bool read_split_rule(Load *l, const Json *j, const char *name, SplitRule *rule)
{
    static const char *const NAMES[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const Json *behavior = json_get(j, "behavior");
    for (size_t i = 0; i < COUNT(NAMES); i++)
        if (json_is_text(behavior, NAMES[i])) {
            *rule = (SplitRule)i;
            return true;
        }
    return fail(l->e, SP_FORMAT,
                "%s:%u: pre_tokenizer %s: expected Removed, Isolated, MergedWithPrevious, MergedWithNext or "
                "Contiguous as its behavior",
                l->path, (unsigned)j->line, name);
}

static bool parse_punctuation(Load *l, const Json *j, const void **settings)
{
    RuleSetting *s = NEW(l->a, RuleSetting, 1, l->e);
    if (!s)
        return false;
    *settings = s;
    s->rule = SPLIT_ISOLATED;
    return !json_get(j, "behavior") || read_split_rule(l, j, "Punctuation", &s->rule);
}

static bool punctuation(const void *settings, Work *w)
{
    return split_where(w, is_punctuation, ((const RuleSetting *)settings)->rule);
}

const StageKind pre_tokenizer_punctuation = {.name = "Punctuation", .parse = parse_punctuation, .split = punctuation};

static bool parse_digits(Load *l, const Json *j, const void **settings)
{
    const Json *individual = json_get(j, "individual_digits");
    RuleSetting *s = NEW(l->a, RuleSetting, 1, l->e);
    if (!s)
        return false;
    *settings = s;
    s->rule = json_is_true(individual) ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
    return (individual && individual->type == JSON_BOOL) ||
           fail(l->e, SP_FORMAT, "%s:%u: pre_tokenizer Digits: expected true or false as its individual_digits",
                l->path, (unsigned)j->line);
}

static bool is_number(const Tokenizer *t, uint32_t c)
{
    (void)t;
    return unicode_is_number(c);
}

static bool digits(const void *settings, Work *w)
{
    return split_where(w, is_number, ((const RuleSetting *)settings)->rule);
}

const StageKind pre_tokenizer_digits = {.name = "Digits", .parse = parse_digits, .split = digits};
