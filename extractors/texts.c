/* extractors/texts.c: encodes texts: tokenises them, makes batches by length, and returns results in the order of the
 * texts. */
#include "extractors/loading.h"

#include <stdlib.h>

/* The approximate share of a batch per thread. It is chosen for the caches only: the bits of a row do not depend on the
 * other rows. The widest activations of MiniLM for 128 tokens fit into the L2 cache, and each weight that is fetched is
 * used for all these tokens. */
enum { TOKENS_EACH = 128 };

/* TEXTS_EACH: texts that are tokenised between two callbacks. TEXTS_AHEAD: batches in progress on a device other than
 * the CPU, so that the device does not wait for the host between batches. */
enum { TEXTS_EACH = 256, TEXTS_AHEAD = 4 };

/* ---- tokens ---------------------------------------------------------------------------------- */

/* The prompt joined with a text, in memory that is reused. */
typedef struct Joined {
    char *p;
    size_t room;
} Joined;

static bool join_prompt(Joined *j, Text prompt, Text *text, Arena *a, Error *e)
{
    size_t n;
    if (!size_add(prompt.n, text->n, &n))
        return fail_memory(e, SIZE_MAX, "a text");
    while (j->room < n || !j->p)
        if (!(j->p = arena_grow(a, j->p, j->room, &j->room, 1, e)))
            return false;
    memcpy(j->p, prompt.p, prompt.n);
    if (text->n)
        memcpy(j->p + prompt.n, text->p, text->n);
    *text = (Text){j->p, n};
    return true;
}

static bool tokenize_one(const Call *c, Text text, TokenIds *ids, bool *cut, Joined *joined, Arena *a, Error *e)
{
    const Encoder *en = c->encoder;
    size_t start = ids->count;
    if (en->text.prompt.n && !join_prompt(joined, en->text.prompt, &text, a, e))
        return false;
    if (!tokenize(en->text.tokenizer, text, (size_t)c->max_tokens, ids, a, e))
        return false;
    if (ids->count == start)
        return fail(e, SP_FORMAT, "has no tokens");
    if ((int64_t)(ids->count - start) <= sentence_left_out(c))
        return fail(e, SP_FORMAT, "has only tokens of the prompt, which pooling leaves out");
    for (size_t j = start; en->text.vocabulary && j < ids->count; j++)
        if (ids->ids[j] >= en->text.vocabulary) {
            Text piece = token_text(en->text.tokenizer, ids->ids[j]);
            return fail(e, SP_FORMAT,
                        "token '%.*s' has id %d, the model has %lld tokens: is the tokenizer of another model?",
                        (int)MIN(piece.n, (size_t)50), piece.p, (int)ids->ids[j], (long long)en->text.vocabulary);
        }
    *cut = ids->truncated;
    return true;
}

bool call_tokenize(const Call *c, Tape *t, const Text *texts, size_t n, TokenLists *out, Results *r, Arena *a, Error *e)
{
    Trace *trace = tape_device(t)->trace;
    double begun = trace_begin(trace);
    Joined joined = {0};
    if (c->modality != MODALITY_TEXT)
        return fail(e, SP_USAGE, "this call is for images, not for texts");
    if (n > INT32_MAX)
        return fail(e, SP_USAGE, "%zu inputs are too many for one call", n);
    *out = (TokenLists){.n = n, .start = NEW(a, size_t, n + 1, e), .cut = NEW(a, bool, n, e)};
    if (!out->start || !out->cut)
        return false;
    for (size_t i = 0; i < n; i++) {
        Error why = {0};
        if (i % TEXTS_EACH == TEXTS_EACH - 1 && !call_goes_on(c, 0, n, e))
            return false;
        if (!tokenize_one(c, texts[i], &out->ids, &out->cut[i], &joined, a, &why)) {
            out->ids.count = out->start[i];
            r->refused++;
            if (!input_failed(r, i, "text", &why, e))
                return false;
        }
        out->start[i + 1] = out->ids.count;
    }
    trace_end(trace, begun, "tokenize", 0, 4.0 * (double)out->ids.count);
    return true;
}

/* ---- batches --------------------------------------------------------------------------------- */

typedef struct TextRun {
    Batches batches;
    const TokenLists *tokens;
    uint32_t *order;     /* texts sorted by length, the longest first */
    const uint32_t *end; /* the end of `order` */
    int32_t *ids, *positions;
} TextRun;

/* Makes one batch of the texts which[0 : B]. The run's arrays must have room for these texts. The tokens of a text have
 * the positions first_position, first_position + 1, ... If first_position is above 0, first_position - 1 is the id of
 * the padding token. A padding token inside a text gets this same number as its position, and the next token continues
 * the count as if the padding token were not there. */
static TextBatch make_batch(const TextRun *r, const uint32_t *which, size_t B)
{
    const TokenLists *tokens = r->tokens;
    int32_t first = r->batches.call->encoder->text.first_position, padding = first - 1;
    int32_t at = 0, *offsets = r->batches.now->offsets;
    for (size_t i = 0; i < B; i++) {
        size_t from = tokens->start[which[i]], to = tokens->start[which[i] + 1];
        int32_t position = first;
        offsets[i] = at;
        for (size_t j = from; j < to; j++, at++) {
            r->ids[at] = tokens->ids.ids[j];
            r->positions[at] = padding >= 0 && r->ids[at] == padding ? padding : position++;
        }
    }
    offsets[B] = at;
    return (TextBatch){
        .ragged = {.B = (int64_t)B, .total = at, .offsets = offsets}, .ids = r->ids, .positions = r->positions};
}

static bool infer_texts(Batches *b, const uint32_t *which, size_t B, Error *e)
{
    TextBatch batch = make_batch((TextRun *)b, which, B);
    return call_infer(b->call, b->tape, &batch, NULL, b->now->results, e);
}

static InputRows rows_of_text(const Batches *b, size_t output, size_t i, uint32_t text)
{
    const TextRun *r = (const TextRun *)b;
    const CallOutput *o = &b->call->outputs[output];
    size_t D = (size_t)o->floats, start = r->tokens->start[text], T = r->tokens->start[text + 1] - start;
    float *from = b->now->results[output].to, *to = b->to->out[output];
    if (o->per_token)
        return (InputRows){from + (size_t)b->now->offsets[i] * D, to + start * D, T * D};
    return (InputRows){from + i * D, to + text * D, D};
}

typedef struct Length {
    size_t tokens;
    uint32_t text;
} Length;

static int longest_first(const void *a, const void *b)
{
    const Length *x = a, *y = b;
    return x->tokens != y->tokens ? (x->tokens < y->tokens ? 1 : -1) : (x->text > y->text) - (x->text < y->text);
}

/* Sorts the texts that have tokens into r->order. Fills the rows of the other texts with zeros. */
static bool sort_texts(TextRun *r, size_t *sorted, Arena *a, Error *e)
{
    const TokenLists *tokens = r->tokens;
    Length *length = NEW(a, Length, tokens->n, e);
    size_t n = 0;
    if (!length || !(r->order = NEW(a, uint32_t, tokens->n, e)))
        return false;
    for (size_t i = 0; i < tokens->n; i++) {
        size_t T = tokens->start[i + 1] - tokens->start[i];
        if (T)
            length[n++] = (Length){T, (uint32_t)i};
        for (size_t k = 0; !T && k < r->batches.call->count; k++) {
            const CallOutput *o = &r->batches.call->outputs[k];
            if (!o->per_token)
                memset(r->batches.to->out[k] + i * (size_t)o->floats, 0, (size_t)o->floats * sizeof(float));
        }
    }
    if (n)
        qsort(length, n, sizeof *length, longest_first);
    for (size_t i = 0; i < n; i++)
        r->order[i] = length[i].text;
    *sorted = n;
    return true;
}

static bool text_goes_on(const Batches *b, const uint32_t *end, Error *e)
{
    const TextRun *r = (const TextRun *)b;
    return call_goes_on(b->call, r->tokens->n - (size_t)(r->end - end), r->tokens->n, e);
}

static bool run_texts(TextRun *r, Arena *a, Error *e)
{
    const TokenLists *tokens = r->tokens;
    size_t n = 0, longest = 0, most = TOKENS_EACH * (size_t)pool_threads(tape_device(r->batches.tape)->pool);
    if (!sort_texts(r, &n, a, e))
        return false;
    if (n)
        longest = tokens->start[r->order[0] + 1] - tokens->start[r->order[0]];
    r->end = r->order + n;
    r->ids = NEW(a, int32_t, MAX(most, longest), e);
    r->positions = NEW(a, int32_t, MAX(most, longest), e);
    if (!r->ids || !r->positions ||
        !batches_room(&r->batches, TEXTS_AHEAD, MIN(MAX(most, longest), n), MAX(most, longest), a, e))
        return false;
    for (size_t i = 0, B; i < n; i += B) {
        size_t total = 0;
        for (B = 0; i + B < n; B++) {
            size_t T = tokens->start[r->order[i + B] + 1] - tokens->start[r->order[i + B]];
            if (B && total + T > most)
                break;
            total += T;
        }
        if (!batch_run(&r->batches, r->order + i, B, e))
            return false;
    }
    return batches_end(&r->batches, e);
}

bool encode_tokens(const Call *c, Tape *t, const TokenLists *tokens, Results *results, Error *e)
{
    Batches batches = {.call = c,
                       .tape = t,
                       .to = results,
                       .what = "text",
                       .infer = infer_texts,
                       .rows = rows_of_text,
                       .goes_on = text_goes_on};
    TextRun r = {.batches = batches, .tokens = tokens};
    Arena *a = tokens->n ? tape_arena(t, 1, e) : NULL;
    if (!a)
        return tokens->n == 0;
    bool ok = run_texts(&r, a, e);
    infer_arrive(t, NULL, &(Error){0}); /* the arena will be reused */
    return ok;
}

bool encode_texts(const Call *c, Tape *t, const Text *texts, size_t n, Results *r, Error *e)
{
    TokenLists tokens = {0};
    for (size_t k = 0; k < c->count; k++)
        if (c->outputs[k].per_token)
            return fail(e, SP_USAGE, "rows per token: their number is known after call_tokenize; use encode_tokens");
    Arena *a = tape_arena(t, 0, e);
    return a && call_tokenize(c, t, texts, n, &tokens, r, a, e) && encode_tokens(c, t, &tokens, r, e);
}
