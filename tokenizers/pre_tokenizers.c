/* tokenizers/pre_tokenizers.c: a normalised text into words. */
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

/* Every character that `is` accepts is a part, and so is every stretch between two of them. */
static bool split_one(Work *w, Word word, bool (*is)(const Tokenizer *t, uint32_t c), SplitRule rule)
{
    const char *p = w->text.p;
    size_t first = w->next.count;
    bool matched = false; /* the part before this one is a match */
    for (size_t at = word.begin, end, length; at < word.end; at = end) {
        bool match = is(w->t, next_code(p + at, word.end - at, &length));
        end = at + length;
        while (!match && end < word.end && !is(w->t, next_code(p + end, word.end - end, &length)))
            end += length;
        bool joins = rule == SPLIT_CONTIGUOUS  ? match == matched
                     : rule == SPLIT_WITH_LAST ? match && !matched
                     : rule == SPLIT_WITH_NEXT ? !match && matched
                                               : false;
        if (joins && w->next.count > first)
            w->next.list[w->next.count - 1].end = (uint32_t)end;
        else if ((!match || rule != SPLIT_REMOVED) && !work_word(w, at, end, -1))
            return false;
        matched = match;
    }
    return true;
}

bool split_where(Work *w, bool (*is)(const Tokenizer *t, uint32_t c), SplitRule rule)
{
    for (size_t i = 0; i < w->words.count; i++) {
        Word word = w->words.list[i];
        if (word.id >= 0 ? !work_word(w, word.begin, word.end, word.id) : !split_one(w, word, is, rule))
            return false;
    }
    work_swap_words(w);
    return true;
}
