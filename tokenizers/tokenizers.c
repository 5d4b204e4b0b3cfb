/* tokenizers/tokenizers.c: properties of a tokenizer, and texts to ids in the fastest way. */
#include "tokenizers/pipeline.h"

const char *tokenizer_kind(const Tokenizer *t)
{
    return t->kind->name;
}

int64_t tokenizer_vocabulary(const Tokenizer *t)
{
    return t->ids;
}

int64_t tokenizer_max_length(const Tokenizer *t)
{
    return t->max_length;
}

void tokenizer_no_cache(Tokenizer *t)
{
    t->cache = NULL;
}

Text token_text(const Tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->ids && t->pieces[id].p ? t->pieces[id] : TEXT("");
}

int32_t token_id(const Tokenizer *t, Text piece)
{
    for (size_t i = 0; i < t->added_count; i++)
        if (text_equal(t->added[i].content, piece))
            return t->added[i].id;
    return t->kind->find(t->model, piece);
}

/* ---- the single pass ------------------------------------------------------------------------- */

/* Appends the words of a normalised text, until there are more than `limit` tokens. */
static bool split_words(const Tokenizer *t, Text text, size_t limit, TokenIds *out, Arena *a, Error *e)
{
    Text word;
    while (out->count <= limit && bert_next_word(t, &text, &word))
        if (!wordpiece_word(t->model, word, out, a, e))
            return false;
    return true;
}

/* Processes a stretch of raw text between added tokens. */
static bool split_normal(const Tokenizer *t, Text text, size_t limit, TokenIds *out, Arena *a, Error *e)
{
    char small[4096], *normal = small;
    if (text.n > (SIZE_MAX - NORMAL_ROOM(0)) / 4) /* possible only with 32-bit sizes */
        return fail_memory(e, SIZE_MAX, "the normal form of a text");
    if (NORMAL_ROOM(text.n) > sizeof small && !(normal = NEW(a, char, NORMAL_ROOM(text.n), e)))
        return false;
    AddedScan scan = {.text = {normal, 0}};
    if (!bert_normalize(t, text, normal, &scan.text.n, a, e))
        return false;
    Text gap;
    int32_t id;
    while (out->count <= limit && added_next(&t->normal, &scan, &gap, &id))
        if (!split_words(t, gap, limit, out, a, e) || (id >= 0 && !ids_push(out, id, a, e)))
            return false;
    return true;
}

bool pipeline_fused(const Tokenizer *t, Text text, size_t limit, TokenIds *out, Arena *a, Error *e)
{
    AddedScan scan = {.text = text};
    Text gap;
    int32_t id;
    while (out->count <= limit && added_next(&t->raw, &scan, &gap, &id))
        if (!split_normal(t, gap, limit, out, a, e) || (id >= 0 && !ids_push(out, id, a, e)))
            return false;
    return true;
}

/* ---- one text to ids ------------------------------------------------------------------------- */

bool max_length_fits(const Tokenizer *t, size_t max_length, size_t special, Error *e)
{
    return !max_length || max_length >= special ||
           fail(e, SP_USAGE, "%s: a maximum length of %zu tokens is too short for the %zu special tokens", t->path,
                max_length, special);
}

bool tokenize(const Tokenizer *t, Text text, size_t max_length, TokenIds *out, Arena *a, Error *e)
{
    size_t around = t->before_count + t->after_count, limit = SIZE_MAX, begin;
    bool from_left = max_length && t->from_left;
    if (!max_length_fits(t, max_length, around, e))
        return false;
    for (size_t i = 0; i < t->before_count; i++)
        if (!ids_push(out, t->before[i], a, e))
            return false;
    begin = out->count;
    if (max_length)
        limit = begin + max_length - around;
    if (!(t->fused ? pipeline_fused : pipeline_stages)(t, text, from_left ? SIZE_MAX : limit, out, a, e))
        return false;
    out->truncated = out->count > limit;
    if (from_left && out->truncated)
        memmove(out->ids + begin, out->ids + out->count - (limit - begin), (limit - begin) * sizeof *out->ids);
    out->count = MIN(out->count, limit);
    for (size_t i = 0; i < t->after_count; i++)
        if (!ids_push(out, t->after[i], a, e))
            return false;
    return true;
}
