/* extractors/texts.c: texts to features: tokens, batches by length, results in the order of the texts. */
#include "extractors/loading.h"

#include <stdlib.h>

/* A thread's share of a batch, about. Chosen for caches only, as no row's bits depend on its neighbours: the widest
 * activations of MiniLM for 128 tokens still fit the second level, and a fetched weight is used for all of them. */
enum { TOKENS_EACH = 128 };

/* ---- tokens ---------------------------------------------------------------------------------- */

static bool tokenize_one(const Call *c, Text text, TokenIds *ids, bool *cut, Arena *a, Error *e)
{
    const Encoder *en = c->encoder;
    size_t start = ids->count;
    if (!tokenize(en->text.tokenizer, text, (size_t)c->max_tokens, ids, a, e))
        return false;
    if (ids->count == start)
        return fail(e, SP_FORMAT, "has no tokens");
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
    if (c->modality != MODALITY_TEXT)
        return fail(e, SP_USAGE, "this call is for images, not for texts");
    if (n > INT32_MAX)
        return fail(e, SP_USAGE, "%zu inputs are too many for one call", n);
    *out = (TokenLists){.n = n, .start = NEW(a, size_t, n + 1, e), .cut = NEW(a, bool, n, e)};
    if (!out->start || !out->cut)
        return false;
    for (size_t i = 0; i < n; i++) {
        Error why = {0};
        if (!tokenize_one(c, texts[i], &out->ids, &out->cut[i], a, &why)) {
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
    const Call *call;
    Tape *tape;
    const TokenLists *tokens;
    Results *to;
    uint32_t *order; /* texts by length, the longest first */
    int32_t *offsets, *ids, *positions;
    Inferred *results; /* [call's outputs]: with memory for a batch */
} TextRun;

/* Texts which[0 : B] as one batch; the run's arrays have room for them. */
static TextBatch make_batch(const TextRun *r, const uint32_t *which, size_t B)
{
    const TokenLists *tokens = r->tokens;
    int32_t first = r->call->encoder->text.first_position, padding = first - 1;
    int32_t at = 0;
    int64_t longest = 0;
    for (size_t i = 0; i < B; i++) {
        size_t from = tokens->start[which[i]], to = tokens->start[which[i] + 1];
        int32_t position = first;
        r->offsets[i] = at;
        longest = MAX(longest, (int64_t)(to - from));
        for (size_t j = from; j < to; j++, at++) {
            r->ids[at] = tokens->ids.ids[j];
            r->positions[at] = padding >= 0 && r->ids[at] == padding ? padding : position++;
        }
    }
    r->offsets[B] = at;
    return (TextBatch){.ragged = {.B = (int64_t)B, .total = at, .longest = longest, .offsets = r->offsets},
                       .ids = r->ids,
                       .positions = r->positions};
}

/* The rows of text i of the batch, from a batch's results or in the caller's memory, and how many floats they have. */
typedef struct TextRows {
    float *from, *to;
    size_t count;
} TextRows;

static TextRows rows_of_text(const TextRun *r, size_t output, size_t i, uint32_t text)
{
    const CallOutput *o = &r->call->outputs[output];
    size_t D = (size_t)o->floats, start = r->tokens->start[text], T = r->tokens->start[text + 1] - start;
    float *from = r->results[output].to;
    if (o->per_token)
        return (TextRows){from + (size_t)r->offsets[i] * D, r->to->out[output] + start * D, T * D};
    return (TextRows){from + i * D, r->to->out[output] + text * D, D};
}

static bool failed(const TextRun *r, uint32_t text, const Error *why, Error *e)
{
    r->to->refused++;
    return input_failed(r->to, text, "text", why, e);
}

static bool keep_rows(const TextRun *r, size_t i, uint32_t text, Error *e)
{
    Error why = {0};
    for (size_t k = 0; k < r->call->count; k++) {
        TextRows rows = rows_of_text(r, k, i, text);
        if (!check_finite(r->call->encoder, rows.from, rows.count, &why))
            return failed(r, text, &why, e);
    }
    for (size_t k = 0; k < r->call->count; k++) {
        TextRows rows = rows_of_text(r, k, i, text);
        memcpy(rows.to, rows.from, rows.count * sizeof *rows.to);
    }
    return true;
}

/* Texts that fail together are tried one by one, as a row does not depend on its neighbours. */
static bool run_batch(const TextRun *r, const uint32_t *which, size_t B, Error *e)
{
    Error why = {0};
    TextBatch batch = make_batch(r, which, B);
    if (!call_infer(r->call, r->tape, &batch, NULL, r->results, &why)) {
        if (!r->to->status || why.code == SP_MEMORY)
            return fail(e, why.code, "%s", why.message);
        for (size_t i = 0; B > 1 && i < B; i++)
            if (!run_batch(r, which + i, 1, e))
                return false;
        return B > 1 || failed(r, which[0], &why, e);
    }
    for (size_t i = 0; i < B; i++)
        if (!keep_rows(r, i, which[i], e))
            return false;
    return true;
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

/* The texts that have tokens, sorted into r->order; the rows of the others become zeros. */
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
        for (size_t k = 0; k < r->call->count; k++) {
            const CallOutput *o = &r->call->outputs[k];
            if (!o->per_token)
                memset(r->to->out[k] + i * (size_t)o->floats, 0, (size_t)o->floats * sizeof(float));
        }
    }
    if (n)
        qsort(length, n, sizeof *length, longest_first);
    for (size_t i = 0; i < n; i++)
        r->order[i] = length[i].text;
    *sorted = n;
    return true;
}

/* Memory for batches of at most `tokens` tokens of at most n texts. */
static bool batch_room(TextRun *r, size_t tokens, size_t n, Arena *a, Error *e)
{
    const Call *c = r->call;
    r->offsets = NEW(a, int32_t, MIN(tokens, n) + 1, e);
    r->ids = NEW(a, int32_t, tokens, e);
    r->positions = NEW(a, int32_t, tokens, e);
    r->results = NEW(a, Inferred, c->count, e);
    if (!r->offsets || !r->ids || !r->positions || !r->results)
        return false;
    for (size_t k = 0; k < c->count; k++) {
        size_t D = (size_t)c->outputs[k].floats, rows = c->outputs[k].per_token ? tokens : MIN(tokens, n);
        if (!(r->results[k].to = arena_alloc(a, rows, D * sizeof(float), e)))
            return false;
        r->results[k].room = rows * D;
    }
    return true;
}

bool encode_tokens(const Call *c, Tape *t, const TokenLists *tokens, Results *results, Error *e)
{
    TextRun r = {.call = c, .tape = t, .tokens = tokens, .to = results};
    Arena *a = tokens->n ? tape_arena(t, 1, e) : NULL;
    size_t n = 0, longest = 0, most = TOKENS_EACH * (size_t)pool_threads(tape_device(t)->pool);
    if (!a)
        return tokens->n == 0;
    if (!sort_texts(&r, &n, a, e))
        return false;
    if (n)
        longest = tokens->start[r.order[0] + 1] - tokens->start[r.order[0]];
    if (!batch_room(&r, MAX(most, longest), n, a, e))
        return false;
    for (size_t i = 0, B; i < n; i += B) {
        size_t total = 0;
        for (B = 0; i + B < n; B++) {
            size_t T = tokens->start[r.order[i + B] + 1] - tokens->start[r.order[i + B]];
            if (B && total + T > most)
                break;
            total += T;
        }
        if (!run_batch(&r, r.order + i, B, e) || !call_goes_on(c, i + B, n, e))
            return false;
    }
    return true;
}

bool encode_texts(const Call *c, Tape *t, const Text *texts, size_t n, Results *r, Error *e)
{
    TokenLists tokens;
    for (size_t k = 0; k < c->count; k++)
        if (c->outputs[k].per_token)
            return fail(e, SP_USAGE, "rows per token: their number is known after call_tokenize; use encode_tokens");
    Arena *a = tape_arena(t, 0, e);
    return a && call_tokenize(c, t, texts, n, &tokens, r, a, e) && encode_tokens(c, t, &tokens, r, e);
}
