/* tokenizers/added.c: added and special tokens, found in a text before it is split: leftmost, then longest. */
#include "tokenizers/private.h"

#include <stdlib.h>

static int by_byte_and_length(const void *a, const void *b)
{
    const Added *x = *(const Added *const *)a, *y = *(const Added *const *)b;
    unsigned char i = (unsigned char)x->content.p[0], j = (unsigned char)y->content.p[0];
    if (i != j)
        return i < j ? -1 : 1;
    if (x->content.n != y->content.n)
        return x->content.n > y->content.n ? -1 : 1;
    return x < y ? -1 : x > y;
}

bool added_build(AddedSet *set, const Added *tokens, size_t count, bool normalized, Arena *a, Error *e)
{
    const Added **order = NEW(a, const Added *, count + 1, e);
    set->tokens = NEW(a, Added, count + 1, e);
    if (!order || !set->tokens)
        return false;
    for (size_t i = 0; i < count; i++)
        if (tokens[i].normalized == normalized && tokens[i].content.n)
            order[set->count++] = &tokens[i];
    qsort(order, set->count, sizeof *order, by_byte_and_length);
    for (size_t i = 0; i < set->count; i++) {
        set->tokens[i] = *order[i];
        set->first[(unsigned char)order[i]->content.p[0] + 1]++;
    }
    for (int b = 0; b < 256; b++)
        set->first[b + 1] += set->first[b];
    return true;
}

static uint32_t code_before(const char *p, size_t n)
{
    size_t back = 1, length;
    while (back < 4 && back < n && ((unsigned char)p[n - back] & 0xc0) == 0x80)
        back++;
    uint32_t c = next_code(p + n - back, back, &length);
    return length == back ? c : 0xfffd;
}

/* How many bytes of white space end p[0, n), not going below `least`. */
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
    while (set->count && scan->found < t.n) {
        unsigned char b = (unsigned char)t.p[scan->found];
        const Added *hit = NULL;
        for (uint32_t i = set->first[b]; i < set->first[b + 1] && !hit; i++)
            if (set->tokens[i].content.n <= t.n - scan->found &&
                !memcmp(set->tokens[i].content.p, t.p + scan->found, set->tokens[i].content.n))
                hit = &set->tokens[i];
        if (!hit) {
            scan->found++;
            continue;
        }
        size_t begin = scan->found, end = begin + hit->content.n;
        scan->found = end; /* a refused match is passed over whole */
        if (hit->single_word && !stands_alone(t, begin, end))
            continue;
        if (hit->lstrip)
            begin -= begin > scan->at ? spaces_before(t.p, begin, scan->at) : 0;
        if (hit->rstrip)
            end += spaces_after(t.p + end, t.n - end);
        *gap = (Text){t.p + scan->at, begin > scan->at ? begin - scan->at : 0};
        *id = hit->id;
        scan->at = MAX(end, scan->at);
        return true;
    }
    *gap = (Text){t.p + scan->at, t.n - scan->at};
    *id = -1;
    scan->done = true;
    return true;
}
