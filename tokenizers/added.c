/* tokenizers/added.c: finds added and special tokens in a text before it is split: the leftmost match, then the
 * longest. */
#include "tokenizers/pipeline.h"

#include <stdlib.h>

static int by_content(const void *a, const void *b)
{
    const Added *x = *(const Added *const *)a, *y = *(const Added *const *)b;
    int order = text_compare(x->content, y->content);
    return order ? order : x < y ? -1 : x > y;
}

static bool begins_with(Text t, Text start)
{
    return start.n <= t.n && !memcmp(t.p, start.p, start.n);
}

bool added_build(AddedSet *set, const Added *tokens, size_t count, bool normalized, Arena *a, Error *e)
{
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < count; i++)
        n += tokens[i].normalized == normalized && tokens[i].content.n;
    const Added **order = NEW(a, const Added *, n + 1, e);
    set->tokens = NEW(a, Added, n + 1, e);
    set->nodes = NEW(a, AddedNode, n + 1, e);
    if (!order || !set->tokens || !set->nodes)
        return false;
    n = 0;
    for (size_t i = 0; i < count; i++)
        if (tokens[i].normalized == normalized && tokens[i].content.n)
            order[n++] = &tokens[i];
    qsort(order, n, sizeof *order, by_content);
    for (size_t i = 0; i < n; i++) {
        if (kept && text_equal(set->tokens[kept - 1].content, order[i]->content))
            continue;
        /* in sorted order, the parent of a token is the token before it, or one of its ancestors */
        uint32_t parent = (uint32_t)kept;
        while (parent && !begins_with(order[i]->content, set->tokens[parent - 1].content))
            parent = set->nodes[parent].parent;
        /* If the jump of the parent and the jump after it cover the same number of levels, the new jump covers both.
         * Otherwise it leads to the parent. The lengths of the jumps are those of a skew-binary list (Myers 1983). */
        uint32_t jump = set->nodes[parent].jump;
        bool far = set->nodes[parent].depth - set->nodes[jump].depth ==
                   set->nodes[jump].depth - set->nodes[set->nodes[jump].jump].depth;
        set->tokens[kept++] = *order[i];
        set->nodes[kept] = (AddedNode){parent, far ? set->nodes[jump].jump : parent, set->nodes[parent].depth + 1};
        set->first[(unsigned char)order[i]->content.p[0] + 1]++;
    }
    set->count = kept;
    for (int b = 0; b < 256; b++)
        set->first[b + 1] += set->first[b];
    return true;
}

/* Returns how many leading bytes p and q have in common, of n; the first `from` are known to be equal. It compares
 * eight bytes at a time, because hostile tokens may share hundreds of bytes. */
static size_t common(const char *p, const char *q, size_t from, size_t n)
{
    uint64_t x, y;
    for (; n - from >= 8; from += 8) {
        memcpy(&x, p + from, 8);
        memcpy(&y, q + from, 8);
        if (x != y)
            break;
    }
    while (from < n && p[from] == q[from])
        from++;
    return from;
}

/* Returns the longest token that is a prefix of t (t is not empty); NULL if there is none. A binary search among the
 * tokens with the same first byte finds the last token that is not after t. Every prefix of t is this token or one of
 * its ancestors. Time: log n comparisons of at most MAX_ADDED_BYTES, also of normal forms. */
static const Added *longest_token(const AddedSet *set, Text t)
{
    unsigned char b = (unsigned char)t.p[0];
    uint32_t low = set->first[b], high = set->first[b + 1];
    size_t below = 0, above = 0; /* number of bytes that t shares with the tokens at both ends of the search */
    if (low == high)
        return NULL;
    uint32_t start = low;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        Text token = set->tokens[middle].content;
        size_t same = common(token.p, t.p, MIN(below, above), MIN(token.n, t.n));
        if (same == token.n || (same < t.n && (unsigned char)token.p[same] < (unsigned char)t.p[same])) {
            low = middle + 1;
            below = same;
        } else {
            high = middle;
            above = same;
        }
    }
    /* the last comparison to the left was with token low - 1: it shares `below` bytes with t */
    uint32_t node = low > start ? low : 0;
    while (node && set->tokens[node - 1].content.n > below) {
        uint32_t jump = set->nodes[node].jump;
        node = jump && set->tokens[jump - 1].content.n > below ? jump : set->nodes[node].parent;
    }
    return node ? &set->tokens[node - 1] : NULL;
}

/* Returns the character at the end of p[0, n), n > 0. Invalid UTF-8 gives U+FFFD. */
static uint32_t code_before(const char *p, size_t n)
{
    size_t back = code_length_before(p, n), length;
    return next_code(p + n - back, back, &length);
}

/* Returns how many bytes of white space are at the end of p[0, n), without going below position `least`. */
static size_t spaces_before(const char *p, size_t n, size_t least)
{
    size_t end = n;
    char bytes[4];
    while (n > least) {
        uint32_t c = code_before(p, n);
        if (!(unicode_flags(c) & U_SPACE))
            break;
        n -= utf8_encode(c, bytes);
    }
    return end - MAX(n, least);
}

static size_t spaces_after(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        size_t length;
        uint32_t c = next_code(p + i, n - i, &length);
        if (!(unicode_flags(c) & U_SPACE))
            break;
        i += length;
    }
    return i;
}

/* Reports whether bytes [begin, end) of t are not next to a character of \w (single_word). */
static bool stands_alone(Text t, size_t begin, size_t end)
{
    size_t length;
    return !(begin && unicode_is_word(code_before(t.p, begin))) &&
           !(end < t.n && unicode_is_word(next_code(t.p + end, t.n - end, &length)));
}

bool added_next(const AddedSet *set, AddedScan *scan, Text *gap, int32_t *id)
{
    if (scan->done)
        return false;
    Text t = scan->text;
    while (set->count && scan->search_at < t.n) {
        unsigned char b = (unsigned char)t.p[scan->search_at];
        if (set->first[b] == set->first[b + 1]) {
            scan->search_at++;
            continue;
        }
        const Added *hit = longest_token(set, (Text){t.p + scan->search_at, t.n - scan->search_at});
        if (!hit) {
            scan->search_at++;
            continue;
        }
        size_t begin = scan->search_at, end = begin + hit->content.n;
        scan->search_at = end; /* a match that does not count is skipped completely */
        if (hit->single_word && !stands_alone(t, begin, end))
            continue;
        if (hit->lstrip) /* takes the white space before the token, unless the last token has taken it */
            begin = begin > scan->at ? begin - spaces_before(t.p, begin, scan->at) : MIN(scan->at, end);
        /* the white space after the token may contain tokens, each of which takes the same white space */
        if (hit->rstrip) {
            if (end < scan->white || end > scan->white_end) {
                scan->white = end;
                scan->white_end = end + spaces_after(t.p + end, t.n - end);
            }
            end = scan->white_end;
        }
        *gap = (Text){t.p + scan->at, begin > scan->at ? begin - scan->at : 0};
        *id = hit->id;
        scan->begin = begin;
        scan->end = end;
        scan->at = MAX(end, scan->at);
        return true;
    }
    *gap = (Text){t.p + scan->at, t.n - scan->at};
    *id = -1;
    scan->done = true;
    return true;
}
