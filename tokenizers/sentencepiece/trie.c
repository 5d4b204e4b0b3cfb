/* tokenizers/sentencepiece/trie.c: a trie of pieces. */
#include <stdlib.h>

#include "tokenizers/sentencepiece/sentencepiece.h"

typedef struct TrieText {
    Text text;
    int32_t id;
} TrieText;

typedef struct TrieRange { /* the range of the sorted texts that begin with the bytes of a node */
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

/* Adds nodes level by level. Nodes [i, made) exist, but have no children yet. ranges [nodes]: the first one is given.
 */
static void grow(TrieNode *nodes, const TrieText *sorted, TrieRange *ranges)
{
    uint32_t made = 1;
    for (uint32_t i = 0; i < made; i++) {
        TrieRange r = ranges[i];
        nodes[i].id = -1;
        nodes[i].first = made;
        nodes[i].count = 0;
        for (; r.begin < r.end && sorted[r.begin].text.n == r.depth; r.begin++)
            nodes[i].id = r.depth ? sorted[r.begin].id : -1;
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

/* a node with more children than MANY gets a table; all tables have at most MOST_BYTES bytes per node, plus 64 KB */
enum { MANY = 4, MOST_BYTES = 4 };

/* Makes tables for the root and for nodes with more than MANY children, in breadth-first order, until the memory for
 * tables is used up. */
static bool make_tables(Trie *t, size_t nodes, Arena *a, Error *e)
{
    size_t most = 64 + nodes * MOST_BYTES / sizeof(TrieTable), count = 0;
    for (size_t i = 0; i < nodes && count < most; i++)
        count += !i || t->nodes[i].count > MANY;
    if (!(t->tables = NEW(a, TrieTable, count, e)))
        return false;
    uint32_t made = 0;
    for (size_t i = 0; made < count; i++) {
        TrieNode *node = &t->nodes[i];
        if (i && node->count <= MANY)
            continue;
        for (uint32_t k = node->first; k < node->first + node->count; k++)
            t->tables[made][t->nodes[k].byte] = k;
        node->first = made++;
        node->count = TRIE_TABLE;
    }
    return true;
}

bool trie_build(Trie *t, const Text *pieces, size_t n, const bool *in, Arena *a, Error *e)
{
    const Heap *heap = arena_heap(a);
    size_t kept = 0, count = 1, sorted_bytes, range_bytes;
    TrieText *sorted = size_mul(n + 1, sizeof *sorted, &sorted_bytes) ? heap_alloc(heap, sorted_bytes) : NULL;
    if (!sorted)
        return fail_memory(e, n, "the pieces of a tokenizer");
    for (size_t i = 0; i < n; i++)
        if (!in || in[i])
            sorted[kept++] = (TrieText){pieces[i], (int32_t)i};
    qsort(sorted, kept, sizeof *sorted, by_text);
    for (size_t i = 0; i < kept; i++)
        count += sorted[i].text.n - (i ? shared_bytes(sorted[i - 1].text, sorted[i].text) : 0);
    TrieRange *ranges = NULL;
    if (count >= UINT32_MAX || !size_mul(count, sizeof *ranges, &range_bytes) ||
        !(ranges = heap_alloc(heap, range_bytes)))
        fail_memory(e, count, "the trie of a tokenizer");
    t->nodes = ranges ? NEW(a, TrieNode, count, e) : NULL;
    if (t->nodes) {
        ranges[0] = (TrieRange){0, (uint32_t)kept, 0};
        grow(t->nodes, sorted, ranges);
    }
    if (ranges)
        heap_free(heap, ranges, range_bytes);
    heap_free(heap, sorted, sorted_bytes);
    return t->nodes && make_tables(t, count, a, e);
}

int32_t trie_find(const Trie *t, Text piece)
{
    uint32_t node = 0;
    for (size_t i = 0; i < piece.n; i++)
        if (!(node = trie_step(t, node, (uint8_t)piece.p[i])))
            return -1;
    return t->nodes[node].id;
}
