/* tokenizers/pipeline.c: runs all stages on one text or two, and computes the position of each token. */
#include "tokenizers/pipeline.h"

/* ---- one text -------------------------------------------------------------------------------- */

/* A token with its position in bytes of the source text. word: its number in the text. */
typedef struct Found {
    size_t begin, end;
    int64_t word;
    int32_t id;
    uint32_t lead, trail; /* characters of white space at both ends of the token, if the tokenizer trims */
} Found;

/* The tokens of one text while its stages run. word: number of the next word. */
typedef struct Tokens {
    Text text;
    TokenIds *plain; /* if not NULL: only ids, until there are more than `limit` */
    size_t limit;
    Found *found; /* otherwise: [count], at most `keep` of `total` */
    size_t count, room, keep, total;
    int64_t word;
} Tokens;

/* Returns the end of the character that begins at `from`. */
static size_t end_of(Text text, uint32_t from)
{
    size_t length;
    next_code(text.p + from, text.n - from, &length);
    return from + length;
}

static bool is_trimmed(const Tokenizer *t, uint32_t c)
{
    return c == 0x120 || is_space(t, c); /* U+0120 is the blank of byte-level tokens */
}

static void count_white(const Tokenizer *t, Text value, Found *f)
{
    bool inside = false;
    for (size_t i = 0, length; i < value.n; i += length) {
        bool white = is_trimmed(t, next_code(value.p + i, value.n - i, &length));
        inside |= !white;
        f->lead += white && !inside;
        f->trail = white ? f->trail + 1 : 0;
    }
}

/* Counts a token of the bytes [begin, end) of the text, and adds it if there are fewer than out->keep. `value` is the
 * token's text in Hugging Face's library. */
static bool found_push(Work *w, Tokens *out, int32_t id, size_t begin, size_t end, Text value)
{
    if (out->total++ >= out->keep)
        return true;
    Found *grown = arena_grow(w->a, out->found, out->count, &out->room, sizeof *grown, w->e);
    if (!grown)
        return false;
    out->found = grown;
    Found *f = &out->found[out->count++];
    *f = (Found){.begin = begin, .end = end, .word = out->word, .id = id};
    if (w->t->trims)
        count_white(w->t, value, f);
    return true;
}

/* Appends the ids of a part of a word to `out`: from the cache, or from the model. */
static bool part_ids(Work *w, Text part, TokenIds *out)
{
    const Tokenizer *t = w->t;
    uint64_t hash;
    const CachedWord *met = word_cache_find(t->cache, part, &hash);
    size_t before = out->count;
    bool ok = true;
    for (size_t i = 0; met && ok && i < met->count; i++)
        ok = ids_push(out, met->ids[i], w->a, w->e);
    if (met)
        return ok;
    if (!(t->bytes && !w->traced ? t->kind->run_bytes(t->model, part, out, w->a, w->e)
                                 : t->kind->run(t->model, part, out, NULL, w->a, w->e)))
        return false;
    word_cache_add(t->cache, part, hash, out->ids + before, out->count - before);
    return true;
}

/* Adds the tokens of a part of a word with their positions. `from`: source positions of its bytes. `ids` is scratch. A
 * token begins where the token before it ends, unless both have the same end: then they have the same position. */
static bool part_places(Work *w, Text part, const uint32_t *from, Tokens *out, TokenIds *ids)
{
    const Tokenizer *t = w->t;
    ids->count = w->ends.count = 0;
    if (!t->kind->run(t->model, part, ids, &w->ends, w->a, w->e))
        return false;
    for (size_t i = 0, begin = 0; i < ids->count; i++) {
        if (i && w->ends.list[i] > w->ends.list[i - 1])
            begin = w->ends.list[i - 1];
        if (!found_push(w, out, ids->ids[i], from[begin], end_of(out->text, from[w->ends.list[i] - 1]),
                        token_text(t, ids->ids[i])))
            return false;
    }
    return true;
}

static bool enough(const Tokens *out)
{
    return out->plain && out->plain->count > out->limit;
}

static bool word_tokens(Work *w, Word word, Tokens *out, TokenIds *ids)
{
    const Tokenizer *t = w->t;
    Text text = {w->text.p + word.begin, word.end - word.begin};
    const uint32_t *from = w->traced ? w->text.from + word.begin : NULL;
    if (word.id >= 0 && out->plain)
        return ids_push(out->plain, word.id, w->a, w->e);
    if (word.id >= 0)
        return from && found_push(w, out, word.id, from[0], end_of(out->text, from[text.n - 1]), text);
    bool parts = t->kind->part_end && (w->traced || !t->bytes);
    for (size_t at = 0, end; at < text.n && !enough(out); at = end) {
        end = parts ? t->kind->part_end(t->model, text, at) : text.n;
        Text part = {text.p + at, end - at};
        if (out->plain ? !part_ids(w, part, out->plain) : !part_places(w, part, from + at, out, ids))
            return false;
    }
    return true;
}

/* Splits a normal form at added tokens; they and the text between them become words. */
static bool cut_added(Work *w)
{
    AddedScan scan = {.text = {w->text.p, w->text.n}};
    Text gap;
    int32_t id;
    while (added_next(&w->t->normal, &scan, &gap, &id)) {
        size_t begin = (size_t)(gap.p - w->text.p);
        if (!work_word(w, begin, begin + gap.n, -1) || (id >= 0 && !work_word(w, scan.begin, scan.end, id)))
            return false;
    }
    work_swap_words(w);
    return true;
}

static bool normalize(Work *w)
{
    const Stages *s = &w->t->normalizers;
    for (size_t i = 0; i < s->count; i++)
        if (!s->list[i].kind->normalize(s->list[i].settings, w))
            return false;
    return true;
}

/* Runs the stages on bytes [begin, end) of the text, which are between added tokens of t->raw. `ids` is scratch. */
static bool run_stages(Work *w, size_t begin, size_t end, Tokens *out, TokenIds *ids)
{
    const Tokenizer *t = w->t;
    if (begin == end)
        return true;
    if (!work_begin(w, out->text, begin, end))
        return false;
    if (!normalize(w) || !cut_added(w))
        return false;
    for (size_t i = 0; i < t->pre_tokenizers.count; i++)
        if (!t->pre_tokenizers.list[i].kind->split(t->pre_tokenizers.list[i].settings, w))
            return false;
    for (size_t i = 0; i < w->words.count && !enough(out); i++, out->word++)
        if (!word_tokens(w, w->words.list[i], out, ids))
            return false;
    return true;
}

static bool run_text(Work *w, Tokens *out)
{
    const Tokenizer *t = w->t;
    TokenIds ids = {0};
    AddedScan scan = {.text = out->text};
    Text gap;
    int32_t id;
    if (out->text.n >= UINT32_MAX)
        return fail(w->e, SP_UNSUPPORTED, "%s: a text of %zu bytes; less than 4 GB is supported", t->path, out->text.n);
    while (!enough(out) && added_next(&t->raw, &scan, &gap, &id)) {
        size_t begin = (size_t)(gap.p - out->text.p);
        if (!run_stages(w, begin, begin + gap.n, out, &ids))
            return false;
        if (id < 0)
            continue;
        Text value = {out->text.p + scan.begin, scan.end - scan.begin};
        if (out->plain ? !ids_push(out->plain, id, w->a, w->e) : !found_push(w, out, id, scan.begin, scan.end, value))
            return false;
        out->word++;
    }
    return true;
}

static bool run_whole(const Tokenizer *t, Tokens *out, Arena *a, Error *e)
{
    Work w = {.t = t, .a = a, .e = e, .traced = !out->plain || t->traced};
    bool ok = run_text(&w, out);
    work_end(&w);
    return ok;
}

bool pipeline_stages(const Tokenizer *t, Text text, size_t limit, TokenIds *out, Arena *a, Error *e)
{
    Tokens tokens = {.text = text, .plain = out, .limit = limit};
    return run_whole(t, &tokens, a, e);
}

bool pipeline_normalize(Work *w, Text text, Text *out)
{
    if (!work_begin(w, text, 0, text.n) || !normalize(w))
        return false;
    *out = (Text){arena_strndup(w->a, w->text.p ? w->text.p : "", w->text.n, w->e), w->text.n};
    return out->p != NULL;
}

/* ---- one text or two ------------------------------------------------------------------------- */

/* RobertaProcessing's trim_offsets: removes the white space at both ends of a token from its position. `index`: number
 * of the token among the tokens of its text that are kept. */
static void trim(const Tokenizer *t, Text text, Found *f, size_t index)
{
    /* A single blank at the beginning is assumed to be inserted by the tokenizer. It has no byte in the text. */
    bool inserted = t->prefix_space && f->lead == 1 && (!index || !f->begin);
    for (uint32_t i = inserted ? f->lead : 0; i < f->lead && f->begin < f->end; i++)
        f->begin = end_of(text, (uint32_t)f->begin);
    size_t end = f->end;
    uint32_t back = 0;
    for (; back < f->trail && end > 0; back++)
        end -= code_length_before(text.p, end);
    if (back == f->trail)
        f->end = MAX(end, f->begin);
}

/* Computes how many tokens of each text are kept, by Hugging Face's rules. special: number of special tokens; total[i]:
 * number of tokens of text i. */
static bool cut_texts(const Tokenizer *t, const TokenOptions *o, size_t n, size_t special, const size_t total[2],
                      size_t keep[2], Error *e)
{
    keep[0] = total[0];
    keep[1] = total[1];
    size_t most = o->max_length - special, over = total[0] + total[1] - MIN(most, total[0] + total[1]);
    if (!o->max_length || !over)
        return true;
    if (!most) {
        keep[0] = keep[1] = 0;
    } else if (o->cut != CUT_LONGEST) {
        size_t which = o->cut == CUT_SECOND;
        if (which >= n || total[which] <= over)
            return fail(e, SP_USAGE, "%s: %zu tokens cannot be taken from the %s text, which has %zu", t->path, over,
                        which ? "second" : "first", total[which]);
        keep[which] -= over;
    } else if (n == 1) {
        keep[0] = most;
    } else {
        size_t longer = total[1] >= total[0], shorter = !longer;
        keep[longer] = total[shorter] > most ? total[shorter] : MAX(total[shorter], most - total[shorter]);
        if (keep[shorter] + keep[longer] > most) {
            keep[shorter] = most / 2;
            keep[longer] = most - most / 2;
        }
    }
    return true;
}

/* Writes the parts of the template in order. Of text i, keep[i] tokens are written: the last ones if o->from_left, else
 * the first ones. */
static bool fill(const Tokenizer *t, const Template *template, const TokenOptions *o, const Tokens texts[2],
                 const TokenIds plain[2], const size_t keep[2], TokenList *out, Arena *a, Error *e)
{
    size_t room = keep[0] + keep[1] + template->special;
    out->ids = NEW(a, int32_t, room + 1, e);
    out->places = o->ids_only ? NULL : NEW(a, TokenPlace, room + 1, e);
    if (!out->ids || (!o->ids_only && !out->places))
        return false;
    for (size_t i = 0; i < template->count; i++) {
        const TemplatePart *part = &template->parts[i];
        for (size_t k = 0; part->text < 0 && !o->bare && k < part->count; k++) {
            if (out->places)
                out->places[out->count] = (TokenPlace){.word = -1, .type = part->type, .special = true};
            out->ids[out->count++] = part->ids[k];
        }
        if (part->text < 0)
            continue;
        const Tokens *text = &texts[part->text];
        size_t had = o->ids_only ? plain[part->text].count : text->count, kept = keep[part->text];
        for (size_t k = 0, from = o->from_left ? had - kept : 0; k < kept; k++) {
            if (o->ids_only) {
                out->ids[out->count++] = plain[part->text].ids[from + k];
                continue;
            }
            Found f = text->found[from + k];
            if (t->trims)
                trim(t, text->text, &f, k);
            out->places[out->count] = (TokenPlace){
                .begin = f.begin, .end = f.end, .word = f.word, .type = part->type, .text = (uint8_t)part->text};
            out->ids[out->count++] = f.id;
        }
    }
    return true;
}

bool tokenize_texts(const Tokenizer *t, const Text *texts, size_t n, const TokenOptions *options, TokenList *out,
                    Arena *a, Error *e)
{
    const Template *template = n == 2 ? &t->two : &t->one;
    size_t special = options->bare ? 0 : template->special, total[2] = {0}, keep[2];
    Tokens tokens[2] = {{.text = TEXT("")}};
    TokenIds plain[2] = {{0}};
    *out = (TokenList){0};
    if (n < 1 || n > 2)
        return fail(e, SP_USAGE, "%s: %zu texts; one or two are expected", t->path, n);
    if (!template->count)
        return fail(e, SP_UNSUPPORTED, "%s: its post_processor has no template for two texts", t->path);
    if (!max_length_fits(t, options->max_length, special, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        tokens[i] = (Tokens){.text = texts[i],
                             .plain = options->ids_only ? &plain[i] : NULL,
                             .limit = SIZE_MAX,
                             .keep = options->max_length && !options->from_left ? options->max_length : SIZE_MAX};
        if (options->ids_only && t->fused ? !pipeline_fused(t, texts[i], SIZE_MAX, &plain[i], a, e)
                                          : !run_whole(t, &tokens[i], a, e))
            return false;
        total[i] = options->ids_only ? plain[i].count : tokens[i].total;
    }
    if (!cut_texts(t, options, n, special, total, keep, e) ||
        !fill(t, template, options, tokens, plain, keep, out, a, e))
        return false;
    out->total = total[0] + total[1] + special;
    out->truncated = out->count < out->total;
    return true;
}

bool token_code_points(TokenList *list, int number, Text text, Arena *a, Error *e)
{
    size_t *points = NEW(a, size_t, text.n + 1, e), count = 0;
    if (!points)
        return false;
    for (size_t i = 0, length; i < text.n; i += length, count++) {
        next_code(text.p + i, text.n - i, &length);
        for (size_t k = 0; k < length; k++)
            points[i + k] = count;
    }
    points[text.n] = count;
    for (size_t i = 0; i < list->count; i++) {
        TokenPlace *p = &list->places[i];
        if (p->special || p->text != number)
            continue;
        p->begin = points[p->begin];
        p->end = points[p->end];
    }
    return true;
}
