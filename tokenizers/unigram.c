/* tokenizers/unigram.c: Unigram (Kudo 2018): of all ways to cut a word into pieces, the one with the highest sum of
 * scores, found by Viterbi over a trie of the pieces. Scores, ties and unknown characters as in Hugging Face's
 * tokenizers (models/unigram/model.rs). */
#include <math.h>
#include <stdlib.h>

#include "tokenizers/pipeline.h"

enum { MAX_PIECE = 1024 }; /* bytes: the time for a byte of text grows with the longest piece */
enum { FEW = 128 };        /* bytes of a word whose table is on the stack */
static const double UNKNOWN_PENALTY = 10;

/* The children of a node are one stretch of nodes, in the order of their bytes. */
typedef struct TrieNode {
    uint32_t first; /* child */
    int32_t id;     /* of the piece that ends here; -1: none */
    uint16_t count; /* of children */
    uint8_t byte;   /* of the edge to this node */
} TrieNode;

typedef struct Unigram {
    const char *path;
    TrieNode *nodes;
    const double *scores; /* [ids] */
    double unknown_score;
    int32_t unknown;    /* -1: none */
    int32_t bytes[256]; /* of byte fallback; -1: no such piece */
    bool byte_fallback;
    uint32_t at_root[256]; /* node of each first byte; 0: none */
} Unigram;

/* ---- the trie -------------------------------------------------------------------------------- */

typedef struct TrieText {
    Text text;
    int32_t id;
} TrieText;

typedef struct TrieRange { /* of the sorted texts that begin with the bytes of a node */
    uint32_t begin, end, depth;
} TrieRange;

static int by_text(const void *a, const void *b)
{
    const TrieText *x = a, *y = b;
    int order = memcmp(x->text.p, y->text.p, MIN(x->text.n, y->text.n));
    if (!order)
        order = (x->text.n > y->text.n) - (x->text.n < y->text.n);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

static size_t shared_bytes(Text a, Text b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

/* Level by level: the nodes after `made` are those whose children are not there yet. */
static void grow_trie(TrieNode *nodes, const TrieText *sorted, TrieRange *ranges)
{
    uint32_t made = 1;
    for (uint32_t i = 0; i < made; i++) {
        TrieRange r = ranges[i];
        nodes[i].id = -1;
        nodes[i].first = made;
        nodes[i].count = 0;
        for (; r.begin < r.end && sorted[r.begin].text.n == r.depth; r.begin++)
            nodes[i].id = r.depth ? sorted[r.begin].id : -1; /* of equal pieces the last one counts */
        while (r.begin < r.end) {
            char byte = sorted[r.begin].text.p[r.depth];
            uint32_t end = r.begin + 1;
            while (end < r.end && sorted[end].text.p[r.depth] == byte)
                end++;
            nodes[made].byte = (uint8_t)byte;
            ranges[made++] = (TrieRange){r.begin, end, r.depth + 1};
            nodes[i].count++;
            r.begin = end;
        }
    }
}

static bool build_trie(Load *l, Unigram *m)
{
    const Tokenizer *t = l->t;
    const Heap *heap = arena_heap(l->a);
    size_t n = 0, count = 1, sorted_bytes, range_bytes;
    TrieText *sorted = size_mul((size_t)t->ids, sizeof *sorted, &sorted_bytes) ? heap_alloc(heap, sorted_bytes) : NULL;
    if (!sorted)
        return fail_memory(l->e, (size_t)t->ids, "the pieces of a Unigram model");
    for (int64_t i = 0; i < t->ids; i++)
        sorted[n++] = (TrieText){t->pieces[i], (int32_t)i};
    qsort(sorted, n, sizeof *sorted, by_text);
    for (size_t i = 0; i < n; i++)
        count += sorted[i].text.n - (i ? shared_bytes(sorted[i - 1].text, sorted[i].text) : 0);
    TrieRange *ranges = NULL;
    if (count >= UINT32_MAX || !size_mul(count, sizeof *ranges, &range_bytes) ||
        !(ranges = heap_alloc(heap, range_bytes)))
        fail_memory(l->e, count, "the trie of a Unigram model");
    m->nodes = ranges ? NEW(l->a, TrieNode, count, l->e) : NULL;
    if (m->nodes) {
        ranges[0] = (TrieRange){0, (uint32_t)n, 0};
        grow_trie(m->nodes, sorted, ranges);
        for (uint32_t i = 0; i < m->nodes[0].count; i++)
            m->at_root[m->nodes[m->nodes[0].first + i].byte] = m->nodes[0].first + i;
    }
    if (ranges)
        heap_free(heap, ranges, range_bytes);
    heap_free(heap, sorted, sorted_bytes);
    return m->nodes != NULL;
}

/* The child of a node by a byte; 0: none. */
static inline uint32_t trie_step(const Unigram *m, uint32_t node, uint8_t byte)
{
    if (!node)
        return m->at_root[byte];
    uint32_t low = m->nodes[node].first, end = low + m->nodes[node].count, high = end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (m->nodes[middle].byte < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && m->nodes[low].byte == byte ? low : 0;
}

static int32_t find(const void *model, Text piece)
{
    const Unigram *m = model;
    uint32_t node = 0;
    for (size_t i = 0; i < piece.n; i++)
        if (!(node = trie_step(m, node, (uint8_t)piece.p[i])))
            return -1;
    return m->nodes[node].id;
}

/* ---- the best pieces of a word --------------------------------------------------------------- */

typedef struct Best { /* of all ways to cut the bytes up to here */
    double score;
    uint32_t begin; /* of its last piece */
    int32_t id;     /* of that; -1: no way was found */
} Best;

static inline void better(Best *to, double score, size_t begin, int32_t id)
{
    if (to->id < 0 || score > to->score)
        *to = (Best){score, (uint32_t)begin, id};
}

/* best[0 .. n]. False where a character has no piece and the model no unknown one. */
static bool find_best(const Unigram *m, Text word, Best *best)
{
    for (size_t i = 0; i <= word.n; i++)
        best[i].id = -1;
    best[0].score = 0;
    for (size_t at = 0, length; at < word.n; at += length) {
        double till_here = best[at].score;
        bool single = false;
        next_code(word.p + at, word.n - at, &length);
        uint32_t node = 0;
        for (size_t i = at; i < word.n; i++) {
            if (!(node = trie_step(m, node, (uint8_t)word.p[i])))
                break;
            int32_t id = m->nodes[node].id;
            if (id < 0)
                continue;
            better(&best[i + 1], m->scores[id] + till_here, at, id);
            single |= i + 1 == at + length;
        }
        if (single)
            continue;
        if (m->unknown < 0)
            return false;
        better(&best[at + length], m->unknown_score + till_here, at, m->unknown);
    }
    return true;
}

static bool put_token(int32_t id, size_t end, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    return ids_push(ids, id, a, e) && (!ends || ends_push(ends, end, a, e));
}

/* Unknown characters in a row are one token. Fused they may be a piece: then they are that. */
static bool put_unknown(const Unigram *m, Text word, size_t begin, size_t end, TokenIds *ids, TokenEnds *ends, Arena *a,
                        Error *e)
{
    int32_t id = find(m, (Text){word.p + begin, end - begin});
    bool fall_back = id < 0 && m->byte_fallback;
    for (size_t i = begin; i < end && fall_back; i++)
        fall_back = m->bytes[(uint8_t)word.p[i]] >= 0;
    if (!fall_back)
        return put_token(id < 0 ? m->unknown : id, end, ids, ends, a, e);
    for (size_t i = begin; i < end; i++) /* each has the place of all of them */
        if (!put_token(m->bytes[(uint8_t)word.p[i]], end, ids, ends, a, e))
            return false;
    return true;
}

/* Follows the best way back, and turns it round in place: best[begin].begin becomes the end of the piece there. */
static bool put_best(const Unigram *m, Text word, Best *best, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    size_t next = word.n;
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
    const Unigram *m = model;
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

/* ---- tokenizer.json -------------------------------------------------------------------------- */

/* Hugging Face looks byte pieces up by their names: "<0x41>". */
static void find_bytes(Unigram *m)
{
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        m->bytes[i] = find(m, text_of(name));
    }
}

static bool read_pieces(Load *l, const Json *vocab, double *scores, double *lowest)
{
    Tokenizer *t = l->t;
    *lowest = INFINITY;
    for (const Json *j = vocab->first; j; j = j->next) {
        const Json *score = j->type == JSON_ARRAY && j->count == 2 ? j->first->next : NULL;
        if (!score || j->first->type != JSON_STRING || score->type != JSON_NUMBER || !isfinite(score->number))
            return fail(l->e, SP_FORMAT, "%s:%u: expected a piece and its score in the vocab of the Unigram model",
                        l->path, (unsigned)j->line);
        if (j->first->text.n > MAX_PIECE)
            return fail(l->e, SP_UNSUPPORTED, "%s:%u: a piece of %zu bytes; at most %d are supported", l->path,
                        (unsigned)j->line, j->first->text.n, MAX_PIECE);
        t->pieces[t->ids] = j->first->text;
        scores[t->ids++] = score->number;
        *lowest = MIN(*lowest, score->number);
    }
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
    if (!pieces_new(l, vocab->count))
        return false;
    Unigram *m = NEW(l->a, Unigram, 1, l->e);
    double *scores = NEW(l->a, double, vocab->count, l->e), lowest;
    if (!m || !scores || !read_pieces(l, vocab, scores, &lowest))
        return false;
    *m = (Unigram){.path = l->t->path,
                   .scores = scores,
                   .unknown_score = lowest - UNKNOWN_PENALTY,
                   .unknown = (int32_t)id,
                   .byte_fallback = json_is_true(bytes)};
    l->distinct = vocab->count;
    if (!build_trie(l, m))
        return false;
    find_bytes(m);
    *model = m;
    return true;
}

const ModelKind model_unigram = {.name = "Unigram", .mark = "unk_id", .parse = parse, .run = run, .find = find};
