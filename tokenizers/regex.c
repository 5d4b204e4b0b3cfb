/* tokenizers/regex.c: any regular expression of Split and Replace, with Oniguruma, as in Hugging Face's library. A
 * build without Oniguruma refuses them. */
// flags: -Os
#include "tokenizers/pipeline.h"

#ifdef HAVE_ONIGURUMA
#include <oniguruma.h>
#include <pthread.h>
#include <time.h>

/* Limits. STEPS bounds a search: its start positions times the bytes of the text, because each start may read the text
 * to its end; and the steps back (retries). STACK: entries of the match stack. MAX_EXPRESSION: bytes. The processor
 * time of all words of a text is limited too; it is read once per SEARCHES searches. So MOST_SECONDS is below the limit
 * that regex_each states. */
enum { STEPS = 4 << 20, STACK = 1 << 20, MAX_EXPRESSION = 4096, SEARCHES = 16 };
/* If n groups each call a group twice, Oniguruma needs 2^n steps before it matches anything. */
enum { MAX_CALLS = 16 };
static const double MOST_SECONDS = 2, SECONDS_PER_BYTE = 2e-6;

struct Regex {
    const char *path;
    Text text;
    regex_t *compiled;
};

static void initialize(void)
{
    OnigEncoding utf8[] = {ONIG_ENCODING_UTF8};
    onig_initialize(utf8, 1);
}

static void end_regex(void *compiled)
{
    onig_free(compiled);
}

const Regex *regex_new(Load *l, Text text, unsigned line)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    Regex *r = NEW(l->a, Regex, 1, l->e);
    OnigErrorInfo info;
    if (!r)
        return NULL;
    if (text.n > MAX_EXPRESSION) {
        fail(l->e, SP_UNSUPPORTED, "%s:%u: a regular expression of %zu bytes; at most %d are supported", l->path, line,
             text.n, MAX_EXPRESSION);
        return NULL;
    }
    size_t calls = 0;
    for (size_t i = 0; i + 1 < text.n; i += text.p[i] == '\\' ? 2 : 1) {
        if (text.p[i] == '\\' && text.p[i + 1] == 'G') {
            fail(l->e, SP_UNSUPPORTED, "%s:%u: a regular expression with \\G is not supported", l->path, line);
            return NULL;
        }
        calls += text.p[i] == '\\' && text.p[i + 1] == 'g';
    }
    if (calls > MAX_CALLS) {
        fail(l->e, SP_UNSUPPORTED, "%s:%u: a regular expression with \\g %zu times; at most %d are supported", l->path,
             line, calls, MAX_CALLS);
        return NULL;
    }
    pthread_once(&once, initialize);
    const OnigUChar *p = (const OnigUChar *)text.p;
    int status =
        onig_new(&r->compiled, p, p + text.n, ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
    if (status == ONIGERR_MEMORY) {
        fail_memory(l->e, text.n, "a regular expression");
        return NULL;
    }
    if (status != ONIG_NORMAL) {
        OnigUChar why[ONIG_MAX_ERROR_MESSAGE_LEN];
        onig_error_code_to_str(why, status, &info);
        fail(l->e, SP_FORMAT, "%s:%u: the regular expression '%.*s': %s", l->path, line, NAME(text), (const char *)why);
        return NULL;
    }
    r->path = l->path;
    r->text = text;
    if (arena_at_end(l->a, end_regex, r->compiled, l->e))
        return r;
    onig_free(r->compiled);
    return NULL;
}

typedef struct Search {
    const Regex *r;
    Text text;
    OnigRegion *region;
    OnigMatchParam *limits;
    size_t at;   /* where the next search starts */
    size_t last; /* end of the last match; SIZE_MAX: none */
    RegexTime *time;
    double begun;
} Search;

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool too_slow(const Search *s, Error *e)
{
    return fail(e, SP_UNSUPPORTED, "%s: the regular expression '%.*s' takes too many steps on a text of %zu bytes",
                s->r->path, NAME(s->r->text), s->time->bytes);
}

/* Searches once from s->at on. *status: the position of the match, or ONIG_MISMATCH. */
static bool search(Search *s, int *status, Error *e)
{
    const OnigUChar *begin = (const OnigUChar *)s->text.p, *end = begin + s->text.n;
    size_t most = STEPS / (s->text.n + 1) + 1;
    *status = ONIG_MISMATCH;
    for (size_t at = s->at, range; *status == ONIG_MISMATCH; at = range) {
        range = MIN(at + most, s->text.n);
        while (range < s->text.n && ((unsigned char)s->text.p[range] & 0xc0) == 0x80)
            range++;
        if (++s->time->searches % SEARCHES == 0 && s->time->seconds + processor_seconds() - s->begun >
                                                       MOST_SECONDS + SECONDS_PER_BYTE * (double)s->time->bytes)
            return too_slow(s, e);
        *status = onig_search_with_param(s->r->compiled, begin, end, begin + at, begin + range, s->region,
                                         ONIG_OPTION_NONE, s->limits);
        if (range == s->text.n)
            break;
    }
    if (*status == ONIGERR_MEMORY)
        return fail_memory(e, s->text.n, "matching a regular expression");
    return *status >= ONIG_MISMATCH || too_slow(s, e);
}

/* Finds the next match, as rust-onig's find_iter: an empty match does not directly follow another match. */
static bool next_match(Search *s, bool *found, Error *e)
{
    for (*found = false; s->at <= s->text.n;) {
        int status;
        if (!search(s, &status, e))
            return false;
        if (status == ONIG_MISMATCH)
            break;
        size_t begin = (size_t)s->region->beg[0], end = (size_t)s->region->end[0], length = 1;
        s->at = end;
        *found = begin != end || end != s->last;
        if (*found) {
            s->last = end;
            return true;
        }
        if (end < s->text.n)
            next_code(s->text.p + end, s->text.n - end, &length);
        s->at = end + length;
    }
    s->at = SIZE_MAX;
    return true;
}

static bool each_match(Search *s, RegexMatch *match, void *to, Error *e)
{
    for (bool found;;) {
        if (!next_match(s, &found, e))
            return false;
        if (!found)
            return true;
        if (!match(to, (size_t)s->region->beg[0], (size_t)s->region->end[0]))
            return false;
    }
}

bool regex_each(const Regex *r, Text text, RegexTime *time, RegexMatch *match, void *to, Error *e)
{
    Search s = {.r = r,
                .text = text,
                .region = onig_region_new(),
                .limits = onig_new_match_param(),
                .last = SIZE_MAX,
                .time = time,
                .begun = processor_seconds()};
    bool ok = s.region && s.limits;
    if (ok) {
        onig_set_retry_limit_in_match_of_match_param(s.limits, STEPS);
        onig_set_retry_limit_in_search_of_match_param(s.limits, STEPS);
        onig_set_match_stack_limit_size_of_match_param(s.limits, STACK);
        ok = each_match(&s, match, to, e);
    } else {
        fail_memory(e, text.n, "matching a regular expression");
    }
    time->seconds += processor_seconds() - s.begun;
    if (s.region)
        onig_region_free(s.region, 1);
    if (s.limits)
        onig_free_match_param(s.limits);
    return ok;
}
#else

const Regex *regex_new(Load *l, Text text, unsigned line)
{
    fail(l->e, SP_UNSUPPORTED,
         "%s:%u: the regular expression '%.*s' is not supported: this build has no Oniguruma (without it those of "
         "GPT-2, "
         "CLIP and Qwen2 are)",
         l->path, line, NAME(text));
    return NULL;
}

bool regex_each(const Regex *r, Text text, RegexTime *time, RegexMatch *match, void *to, Error *e)
{
    (void)r, (void)time, (void)match, (void)to;
    return fail(e, SP_UNSUPPORTED, "a text of %zu bytes: this build has no Oniguruma", text.n);
}
#endif

/* ---- Split ----------------------------------------------------------------------------------- */

typedef struct Cutter {
    Work *w;
    size_t base; /* position of the text in the normalised text */
    SplitRule rule;
    /* matched: the part before is a match (after `invert`); waits: [begin, end) is not written yet */
    bool invert, matched, waits;
    size_t begin, end; /* the part that waits; it may be empty */
    size_t last;       /* end of the last match */
} Cutter;

static bool put_part(Cutter *c)
{
    bool waits = c->waits;
    c->waits = false;
    return !waits || work_word(c->w, c->base + c->begin, c->base + c->end, -1);
}

static bool cut_part(Cutter *c, size_t begin, size_t end, bool match)
{
    match = match != c->invert;
    bool joins = c->waits && split_joins(c->rule, match, c->matched);
    c->matched = match;
    if (joins) {
        c->end = end;
        return true;
    }
    if (!put_part(c))
        return false;
    c->waits = !match || c->rule != SPLIT_REMOVED;
    c->begin = begin;
    c->end = end;
    return true;
}

static bool cut_match(void *to, size_t begin, size_t end)
{
    Cutter *c = to;
    size_t last = c->last;
    c->last = end;
    return (begin == last || cut_part(c, last, begin, false)) && cut_part(c, begin, end, true);
}

bool regex_split(const Regex *r, bool invert, SplitRule rule, Work *w)
{
    for (size_t i = 0; i < w->words.count; i++) {
        Word word = w->words.list[i];
        if (word.id >= 0) {
            if (!work_word(w, word.begin, word.end, word.id))
                return false;
            continue;
        }
        Cutter c = {.w = w, .base = word.begin, .rule = rule, .invert = invert};
        Text text = {w->text.p + word.begin, word.end - word.begin};
        if (!regex_each(r, text, &w->regex, cut_match, &c, w->e) ||
            (c.last < text.n && !cut_part(&c, c.last, text.n, false)) || !put_part(&c))
            return false;
    }
    work_swap_words(w);
    return true;
}
