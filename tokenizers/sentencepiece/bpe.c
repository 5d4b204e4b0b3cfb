/* tokenizers/sentencepiece/bpe.c: BPE of a SentencePiece model (bpe_model.cc). Of all neighbours that together are a
 * piece, the pair with the highest score is merged first; equal scores from left to right. It uses a heap of pairs:
 * time n log n. */
#include "tokenizers/sentencepiece/sentencepiece.h"

typedef struct Symbol { /* bytes [begin, end) of the word; end 0: it was merged into the symbol before it */
    uint32_t begin, end;
    uint32_t before, after; /* indices of the neighbours; NONE: there is none */
    /* a user-defined piece, which is never merged */
    bool user_defined;
} Symbol;

typedef struct Pair { /* two neighbours that together are a piece of `n` bytes */
    float score;
    uint32_t left, right, n;
} Pair;

typedef struct Merger {
    const Pieces *m;
    Text word;
    Symbol *symbols;
    Pair *heap; /* at most one pair per two neighbours at first, and two more per merge */
    size_t count;
} Merger;

static const uint32_t NONE = UINT32_MAX;

static bool comes_first(const Pair *a, const Pair *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static void push(Merger *g, Pair pair)
{
    size_t at = g->count++;
    for (; at && comes_first(&pair, &g->heap[(at - 1) / 2]); at = (at - 1) / 2)
        g->heap[at] = g->heap[(at - 1) / 2];
    g->heap[at] = pair;
}

static Pair pop(Merger *g)
{
    Pair top = g->heap[0], last = g->heap[--g->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < g->count; at = child) {
        if (child + 1 < g->count && comes_first(&g->heap[child + 1], &g->heap[child]))
            child++;
        if (!comes_first(&g->heap[child], &last))
            break;
        g->heap[at] = g->heap[child];
    }
    g->heap[at] = last;
    return top;
}

/* Adds the pair of two neighbours if both together are a piece. */
static void push_if_piece(Merger *g, uint32_t left, uint32_t right)
{
    if (left == NONE || right == NONE || g->symbols[left].user_defined || g->symbols[right].user_defined)
        return;
    uint32_t begin = g->symbols[left].begin, n = g->symbols[right].end - begin;
    int32_t id = n > MAX_PIECE ? -1 : trie_find(&g->m->trie, (Text){g->word.p + begin, n});
    if (id >= 0)
        push(g, (Pair){(float)g->m->scores[id], left, right, n});
}

/* Splits the word into characters and user-defined pieces. Returns the number of symbols. */
static uint32_t cut(Merger *g)
{
    uint32_t count = 0;
    for (size_t at = 0, length; at < g->word.n; at += length) {
        bool user_defined = false;
        uint32_t node = 0;
        next_code(g->word.p + at, g->word.n - at, &length);
        for (size_t i = at; i < g->word.n && g->m->whole.nodes; i++) {
            if (!(node = trie_step(&g->m->whole, node, (uint8_t)g->word.p[i])))
                break;
            if (g->m->whole.nodes[node].id >= 0) {
                length = i + 1 - at;
                user_defined = true;
            }
        }
        g->symbols[count] =
            (Symbol){(uint32_t)at, (uint32_t)(at + length), count ? count - 1 : NONE, count + 1, user_defined};
        count++;
    }
    g->symbols[count - 1].after = NONE;
    return count;
}

static void merge(Merger *g)
{
    while (g->count) {
        Pair p = pop(g);
        Symbol *left = &g->symbols[p.left], *right = &g->symbols[p.right];
        if (!left->end || !right->end || right->end - left->begin != p.n || left->after != p.right)
            continue;
        left->end = right->end;
        left->after = right->after;
        right->end = 0;
        if (left->after != NONE)
            g->symbols[left->after].before = p.left;
        push_if_piece(g, left->before, p.left);
        push_if_piece(g, p.left, left->after);
    }
}

static bool put_symbols(const Merger *g, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    for (uint32_t i = 0, next; i != NONE; i = next) {
        Symbol s = g->symbols[i];
        int32_t id = trie_find(&g->m->trie, (Text){g->word.p + s.begin, s.end - s.begin});
        next = s.after;
        while (id < 0 && next != NONE &&
               trie_find(&g->m->trie, (Text){g->word.p + g->symbols[next].begin,
                                             g->symbols[next].end - g->symbols[next].begin}) < 0) {
            s.end = g->symbols[next].end;
            next = g->symbols[next].after;
        }
        if (id < 0 ? !put_unknown(g->m, g->word, s.begin, s.end, ids, ends, a, e)
                   : !put_token(id, s.end, ids, ends, a, e))
            return false;
    }
    return true;
}

static bool run(const void *model, Text word, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    Merger g = {.m = model, .word = word};
    size_t each = sizeof *g.symbols + 3 * sizeof *g.heap, bytes;
    char *block = size_mul(word.n, each, &bytes) ? heap_alloc(arena_heap(a), bytes) : NULL;
    if (!block)
        return fail_memory(e, word.n, "the symbols of a word");
    g.symbols = (Symbol *)(void *)block;
    g.heap = (Pair *)(void *)(block + word.n * sizeof *g.symbols);
    uint32_t count = cut(&g);
    for (uint32_t i = 1; i < count; i++)
        push_if_piece(&g, i - 1, i);
    merge(&g);
    bool ok = put_symbols(&g, ids, ends, a, e);
    heap_free(arena_heap(a), block, bytes);
    return ok;
}

static int32_t find_piece(const void *model, Text piece)
{
    return trie_find(&((const Pieces *)model)->trie, piece);
}

const ModelKind model_scored_bpe = {.name = "BPE", .run = run, .find = find_piece};
