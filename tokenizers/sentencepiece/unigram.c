/* tokenizers/sentencepiece/unigram.c: Unigram (Kudo 2018): of all ways to split a word into pieces, the one with the
 * highest sum of scores. The Viterbi algorithm finds it, with a trie of the pieces. Scores, ties and unknown characters
 * are as in Hugging Face's tokenizers (models/unigram/model.rs); for a model file as in sentencepiece
 * (unigram_model.cc). */
#include <math.h>

#include "tokenizers/sentencepiece/sentencepiece.h"

enum { FEW = 128 }; /* bytes; the table of a shorter word is on the stack */
static const double UNKNOWN_PENALTY = 10;

/* ---- the best pieces of a word --------------------------------------------------------------- */

typedef struct Best { /* the best split of the bytes up to here */
    double score;
    uint32_t begin; /* start of its last piece */
    int32_t id;     /* id of its last piece; -1: no split exists */
} Best;

/* Replaces *to if the score of the new split is higher; of equal scores, the first one stays. */
static inline void better(const Pieces *m, Best *to, double score, size_t begin, int32_t id)
{
    score = m->plain ? (double)(float)score : score;
    if (to->id < 0 || score > to->score)
        *to = (Best){score, (uint32_t)begin, id};
}

/* Computes best[0 .. n], the best split of the bytes before each position. For a word that is known to be one piece,
 * only best[n] is complete. Returns false if a character has no piece and the model has no unknown piece. */
static bool find_best(const Pieces *m, Text word, Best *best)
{
    for (size_t i = 0; i <= word.n; i++)
        best[i] = (Best){.id = -1};
    for (size_t at = 0, length; at < word.n; at += length) {
        double till_here = best[at].score;
        bool single = false;
        next_code(word.p + at, word.n - at, &length);
        uint32_t node = 0;
        for (size_t i = at; i < word.n; i++) {
            if (!(node = trie_step(&m->trie, node, (uint8_t)word.p[i])))
                break;
            int32_t id = m->trie.nodes[node].id;
            if (id < 0)
                continue;
            better(m, &best[i + 1], m->scores[id] + till_here, at, id);
            single |= i + 1 == at + length;
        }
        int32_t piece = at ? -1 : best[word.n].id;
        if (piece >= 0 && m->known && whole_get(&m->known[piece]))
            return true;
        if (single)
            continue;
        if (m->unknown < 0)
            return false;
        better(m, &best[at + length], m->unknown_score + till_here, at, m->unknown);
    }
    Best last = best[word.n];
    if (m->known && !last.begin && last.id != m->unknown)
        whole_set(&m->known[last.id]);
    return true;
}

bool put_token(int32_t id, size_t end, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    return ids_push(ids, id, a, e) && (!ends || ends_push(ends, end, a, e));
}

/* Appends a byte token for each byte begin .. end - 1. All of these tokens get the same end, `end`. */
static bool put_bytes(const Pieces *m, Text word, size_t begin, size_t end, TokenIds *ids, TokenEnds *ends, Arena *a,
                      Error *e)
{
    for (size_t i = begin; i < end; i++)
        if (!put_token(m->bytes[(uint8_t)word.p[i]], end, ids, ends, a, e))
            return false;
    return true;
}

bool put_unknown(const Pieces *m, Text word, size_t begin, size_t end, TokenIds *ids, TokenEnds *ends, Arena *a,
                 Error *e)
{
    int32_t id = m->plain ? -1 : trie_find(&m->trie, (Text){word.p + begin, end - begin});
    bool fall_back = id < 0 && m->byte_fallback;
    for (size_t i = begin; i < end && fall_back; i++)
        fall_back = m->bytes[(uint8_t)word.p[i]] >= 0;
    if (!fall_back)
        return put_token(id < 0 ? m->unknown : id, end, ids, ends, a, e);
    for (size_t at = begin, length; m->plain && at < end; at += length) {
        next_code(word.p + at, end - at, &length);
        if (!put_bytes(m, word, at, at + length, ids, ends, a, e))
            return false;
    }
    return m->plain || put_bytes(m, word, begin, end, ids, ends, a, e);
}

/* Appends the tokens of the best split. First follows it backwards and reverses it in place: best[begin].begin becomes
 * the end of the piece at `begin`. */
static bool put_best(const Pieces *m, Text word, Best *best, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    size_t next;
    Best last = best[word.n];
    for (size_t end = word.n; end > 0;) {
        size_t begin = last.begin;
        Best before = best[begin];
        best[begin] = (Best){0, (uint32_t)end, last.id};
        last = before;
        end = begin;
    }
    for (size_t at = 0; at < word.n; at = next) {
        int32_t id = best[at].id;
        next = best[at].begin;
        while (id == m->unknown && next < word.n && best[next].id == id)
            next = best[next].begin;
        if (id == m->unknown ? !put_unknown(m, word, at, next, ids, ends, a, e) : !put_token(id, next, ids, ends, a, e))
            return false;
    }
    return true;
}

static bool run(const void *model, Text word, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    const Pieces *m = model;
    Best few[FEW + 1], *best = few;
    size_t bytes = 0;
    if (word.n > FEW && (!size_mul(word.n + 1, sizeof *best, &bytes) || !(best = heap_alloc(arena_heap(a), bytes))))
        return fail_memory(e, word.n, "the cuts of a word");
    bool ok =
        find_best(m, word, best) ||
        fail(e, SP_FORMAT, "%s: the model has no unk_id, and the text has a character that is in no piece", m->path);
    ok = ok && put_best(m, word, best, ids, ends, a, e);
    if (best != few)
        heap_free(arena_heap(a), best, bytes);
    return ok;
}

static int32_t find_piece(const void *model, Text piece)
{
    return trie_find(&((const Pieces *)model)->trie, piece);
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

/* Finds byte pieces by their names, as Hugging Face does: "<0x41>". */
static void find_bytes(Pieces *m)
{
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        m->bytes[i] = trie_find(&m->trie, text_of(name));
    }
}

/* Returns the nearest double of 10^n, n >= 0. */
static double power_of_ten(int64_t n)
{
    double power = 1;
    if (n <= 22) { /* exact in double */
        while (n--)
            power *= 10;
    } else {
        char text[24];
        text_f64((Text){text, (size_t)snprintf(text, sizeof text, "1e%lld", (long long)n)}, &power);
    }
    return power;
}

/* Reads a score as Hugging Face does. Its JSON reader (serde_json without float_roundtrip) takes the digits that fit in
 * 64 bits, and divides by a power of ten. The result is sometimes wrong in the last bit, and ties between sums depend
 * on it. */
static double score_of(Text number)
{
    uint64_t digits = 0;
    int64_t exponent = 0, power = 0;
    bool point = false, full = false;
    size_t i = 0;
    for (; i < number.n && (number.p[i] | 0x20) != 'e'; i++) {
        char c = number.p[i];
        point |= c == '.';
        if (c < '0' || c > '9')
            continue;
        full |= digits > (UINT64_MAX - (uint64_t)(c - '0')) / 10;
        if (!full)
            digits = digits * 10 + (uint64_t)(c - '0');
        exponent += full && !point ? 1 : !full && point ? -1 : 0;
    }
    if (i < number.n)
        text_i64((Text){number.p + i + 1, number.n - i - 1}, &power);
    exponent += MAX(MIN(power, (int64_t)9999), (int64_t)-9999);
    double value = (double)digits;
    for (; exponent < -308; exponent += 308)
        value /= 1e308;
    value = exponent < 0 ? value / power_of_ten(-exponent) : value * power_of_ten(exponent);
    return number.p[0] == '-' ? -value : value;
}

static bool read_piece(Load *l, const Json *vocab, const Json *j, double *scores)
{
    Tokenizer *t = l->t;
    const Json *score = j->type == JSON_ARRAY && j->count == 2 ? j->first->next : NULL;
    unsigned line = j->line;
    if (!score || j->first->type != JSON_STRING || score->type != JSON_NUMBER)
        return fail(l->e, SP_FORMAT, "%s:%u: expected a piece and its score in the vocab of the Unigram model", l->path,
                    line);
    Text piece = j->first->text;
    if (piece.n > MAX_PIECE)
        return fail(l->e, SP_UNSUPPORTED, "%s:%u: a piece of %zu bytes; at most %d are supported", l->path, line,
                    piece.n, MAX_PIECE);
    double value = score_of(score->text);
    if (!isfinite(value))
        return fail(l->e, SP_FORMAT, "%s:%u: the score of '%.*s' is too large", l->path, line, NAME(piece));
    scores[t->ids] = value;
    t->pieces[t->ids] = piece;
    return keep_text(l, vocab, &t->pieces[t->ids++]);
}

static bool read_pieces(Load *l, const Json *vocab, double *scores)
{
    JsonItems *items = json_items(vocab, l->a, l->e);
    bool ok = items != NULL;
    for (const Json *j; ok && (j = json_next(items));)
        ok = read_piece(l, vocab, j, scores);
    json_items_free(items);
    return ok && !l->e->code;
}

bool unigram_new(Load *l, const double *scores, int32_t unknown, bool byte_fallback)
{
    Tokenizer *t = l->t;
    Pieces *m = NEW(l->a, Pieces, 1, l->e);
    double lowest = INFINITY;
    if (!m)
        return false;
    for (int64_t id = 0; id < t->ids; id++)
        lowest = MIN(lowest, scores[id]);
    *m = (Pieces){.path = t->path,
                  .scores = scores,
                  .unknown_score = lowest - UNKNOWN_PENALTY,
                  .unknown = unknown,
                  .byte_fallback = byte_fallback};
    l->distinct = (size_t)t->ids;
    if (!trie_build(&m->trie, t->pieces, l->distinct, NULL, l->a, l->e))
        return false;
    find_bytes(m);
    if (!(m->known = NEW(l->a, WholeFlag, t->ids, l->e)))
        return false;
    t->kind = &model_unigram;
    t->model = m;
    return true;
}

static bool parse(Load *l, const Json *j, const void **model)
{
    const Json *vocab = json_get(j, "vocab"), *unknown = json_get(j, "unk_id"), *bytes = json_get(j, "byte_fallback");
    int64_t id = -1;
    if (!vocab || vocab->type != JSON_ARRAY || !vocab->count || (bytes && bytes->type != JSON_BOOL))
        return fail(l->e, SP_FORMAT, "%s: expected vocab, unk_id and byte_fallback in the Unigram model", l->path);
    if (!is_absent(unknown) && (!json_i64(unknown, &id) || id < 0 || (uint64_t)id >= vocab->count))
        return fail(l->e, SP_FORMAT, "%s:%u: the unk_id of the Unigram model is not a number below %zu", l->path,
                    (unsigned)unknown->line, vocab->count);
    double *scores = pieces_new(l, vocab->count) ? NEW(l->a, double, vocab->count, l->e) : NULL;
    if (!scores || !read_pieces(l, vocab, scores) || !unigram_new(l, scores, (int32_t)id, json_is_true(bytes)))
        return false;
    *model = l->t->model;
    return true;
}

const ModelKind model_unigram = {.name = "Unigram", .mark = "unk_id", .parse = parse, .run = run, .find = find_piece};
