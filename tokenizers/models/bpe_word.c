/* tokenizers/models/bpe_word.c: tokenizes a word by byte pair encoding (Sennrich et al. 2016). The pair of the lowest
 * rank is merged first; of equal pairs, the leftmost one. The details follow Hugging Face's BPE without dropout:
 * prefix, suffix, byte fallback, fused unknown characters. */
#include "tokenizers/models/bpe.h"

enum { SHORT = 40 }; /* in words of at most this number of pieces, the lowest rank is found by linear search */

/* ---- characters ------------------------------------------------------------------------------ */

typedef struct Symbol {
    int32_t id;
    uint32_t length; /* bytes in the word; 0: it was merged into the symbol before it */
    uint32_t previous, next;
} Symbol;

typedef struct Symbols {
    Symbol *list;
    uint32_t count;
} Symbols;

static void add(Symbols *s, int32_t id, size_t length)
{
    s->list[s->count] = (Symbol){id, (uint32_t)length, s->count - 1, s->count + 1};
    s->count++;
}

int32_t bpe_character(const Bpe *m, const char *p, size_t n, bool first, bool last)
{
    char text[4 + 2 * MAX_AFFIX];
    size_t length = 0;
    if (!first && m->set.prefix.n) {
        memcpy(text, m->set.prefix.p, m->set.prefix.n);
        length = m->set.prefix.n;
    }
    memcpy(text + length, p, n);
    length += n;
    if (last && m->set.suffix.n) {
        memcpy(text + length, m->set.suffix.p, m->set.suffix.n);
        length += m->set.suffix.n;
    }
    return bpe_find(m, (Text){text, length});
}

static bool add_bytes(const Bpe *m, Symbols *s, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (m->bytes[(unsigned char)p[i]] < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        add(s, m->bytes[(unsigned char)p[i]], 1);
    return true;
}

/* Makes the symbols of a word. An unknown character is treated as in Hugging Face:
 *
 * - The unknown token is not added immediately. It is added at the next known character, at the end of the word, or
 *   (without `fuse`) at the next unknown character. With `fuse`, one token is added for all of them.
 * - Byte tokens (`fallback`) of a character in between are added immediately, so they come before the unknown token.
 * - If the file names no unknown token, nothing is added.
 *
 * The ends of tokens count only the bytes of symbols that are added. */
static bool begin_word(const Bpe *m, Text word, Symbols *s, Error *e)
{
    size_t unknown = 0; /* bytes of unknown characters that are not added yet */
    for (size_t at = 0, n; at < word.n; at += n) {
        uint32_t c = next_code(word.p + at, word.n - at, &n);
        bool first = !at, last = at + n == word.n;
        int32_t id = c < LOW_CODES ? m->low[first][last][c] : bpe_character(m, word.p + at, n, first, last);
        if (id >= 0) {
            if (unknown)
                add(s, m->unknown_id, unknown);
            unknown = 0;
            add(s, id, n);
            continue;
        }
        if ((m->set.fallback && add_bytes(m, s, word.p + at, n)) || !m->set.unknown.p)
            continue;
        if (m->unknown_id < 0)
            return fail(e, SP_FORMAT, "%s: unk_token '%.*s' is missing from the vocabulary, and the text needs it",
                        m->path, NAME(m->set.unknown));
        if (unknown && !m->set.fuse) {
            add(s, m->unknown_id, unknown);
            unknown = 0;
        }
        unknown += n;
    }
    if (unknown)
        add(s, m->unknown_id, unknown);
    return true;
}

/* Merges by linear search for the lowest rank. This is correct only if m->grows, for at most SHORT symbols. */
static void merge_short(const Bpe *m, Symbols *s)
{
    uint32_t ranks[SHORT];
    Symbol *list = s->list;
    uint32_t n = s->count;
    for (uint32_t i = 0; i + 1 < n; i++)
        ranks[i] = rank_of(m, list[i].id, list[i + 1].id);
    for (;;) {
        uint32_t best = 0, rank = NO_RANK;
        for (uint32_t i = 0; i + 1 < n; i++)
            if (ranks[i] < rank) {
                rank = ranks[i];
                best = i;
            }
        if (rank == NO_RANK)
            break;
        list[best].id = m->made[rank];
        list[best].length += list[best + 1].length;
        n--;
        for (uint32_t i = best + 1; i < n; i++) {
            list[i] = list[i + 1];
            ranks[i - 1] = ranks[i];
        }
        if (best)
            ranks[best - 1] = rank_of(m, list[best - 1].id, list[best].id);
        if (best + 1 < n)
            ranks[best] = rank_of(m, list[best].id, list[best + 1].id);
    }
    s->count = n;
}

typedef struct Candidates { /* a heap of possible merges: rank << 32 | position */
    uint64_t *list;
    size_t count;
} Candidates;

/* Adds the pair of neighbours a and b, if it is a merge. */
static void push(Candidates *h, const Bpe *m, const Symbol *list, uint32_t a, uint32_t b)
{
    uint32_t rank = rank_of(m, list[a].id, list[b].id);
    if (rank == NO_RANK)
        return;
    uint64_t c = (uint64_t)rank << 32 | a;
    size_t i = h->count++;
    for (; i && c < h->list[(i - 1) / 2]; i = (i - 1) / 2)
        h->list[i] = h->list[(i - 1) / 2];
    h->list[i] = c;
}

static uint64_t pop(Candidates *h)
{
    uint64_t top = h->list[0], last = h->list[--h->count];
    size_t i = 0;
    for (size_t child = 1; child < h->count; child = 2 * i + 1) {
        child += child + 1 < h->count && h->list[child + 1] < h->list[child];
        if (h->list[child] >= last)
            break;
        h->list[i] = h->list[child];
        i = child;
    }
    h->list[i] = last;
    return top;
}

/* Merges with a heap: time n log n. A candidate is valid if the pair at its position still makes its piece. */
static bool merge_long(const Bpe *m, Symbols *s, Arena *a, Error *e)
{
    uint32_t n = s->count;
    Candidates h = {NEW(a, uint64_t, 2 * (size_t)n, e), 0}; /* a merge removes one pair and adds at most two */
    Symbol *list = s->list;
    if (!h.list)
        return false;
    for (uint32_t i = 0; i + 1 < n; i++)
        push(&h, m, list, i, i + 1);
    while (h.count) {
        uint64_t c = pop(&h);
        uint32_t at = (uint32_t)c, next = list[at].next;
        int32_t id = m->made[c >> 32];
        Symbol *left = &list[at];
        if (!left->length || next >= n)
            continue;
        uint32_t rank = rank_of(m, left->id, list[next].id);
        if (rank == NO_RANK || m->made[rank] != id)
            continue;
        left->id = id;
        left->length += list[next].length;
        left->next = list[next].next;
        list[next].length = 0;
        if (left->next < n)
            list[left->next].previous = at;
        if (left->previous < n)
            push(&h, m, list, left->previous, at);
        if (left->next < n)
            push(&h, m, list, at, left->next);
    }
    s->count = 0;
    for (uint32_t i = 0; i < n; i++)
        if (list[i].length)
            list[s->count++] = list[i];
    return true;
}

/* Returns `list` with space for n more elements, or NULL. Callers reserve memory before arena_mark, so that
 * arena_rewind frees scratch only, and not the list. */
static void *more(void *list, size_t count, size_t *room, size_t n, size_t size, Arena *a, Error *e)
{
    if (*room - count >= n)
        return list;
    size_t new_room = MAX(count + n, 2 * *room);
    void *grown = arena_alloc(a, new_room, size, e);
    *room = grown ? new_room : *room;
    return grown && count ? memcpy(grown, list, count * size) : grown;
}

static bool reserve(TokenIds *ids, TokenEnds *ends, size_t n, Arena *a, Error *e)
{
    int32_t *more_ids = more(ids->ids, ids->count, &ids->capacity, n, sizeof *more_ids, a, e);
    ids->ids = more_ids ? more_ids : ids->ids;
    if (!more_ids || !ends)
        return more_ids;
    size_t *more_ends = more(ends->list, ends->count, &ends->room, n, sizeof *more_ends, a, e);
    ends->list = more_ends ? more_ends : ends->list;
    return more_ends;
}

static bool merge_word(const Bpe *m, Symbols *s, Arena *a, Error *e)
{
    if (m->grows && s->count <= SHORT)
        merge_short(m, s);
    else if (s->count > 1)
        return merge_long(m, s, a, e);
    return true;
}

/* Tokenizes a word that has at most `room` tokens; ids and ends have space for them. */
static bool split_word(const Bpe *m, Text word, size_t room, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    Symbol few[SHORT];
    Symbols s = {few, 0};
    if (room > SHORT && !(s.list = NEW(a, Symbol, room, e)))
        return false;
    if (!begin_word(m, word, &s, e))
        return false;
    if (!merge_word(m, &s, a, e))
        return false;
    for (size_t i = 0, end = 0; i < s.count; i++) {
        end += s.list[i].length;
        ids->ids[ids->count++] = s.list[i].id;
        if (ends)
            ends->list[ends->count++] = end;
    }
    return true;
}

/* Memory in addition to the ids: for a word of more than SHORT characters, 32 bytes per character (per byte, with byte
 * fallback), freed at the end. */
bool bpe_run(const void *model, Text word, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    const Bpe *m = model;
    size_t room = word.n; /* tokens of a word: bytes of a fallback, or characters */
    if (room > SHORT && !m->set.fallback) {
        room = 0;
        for (size_t at = 0, n; at < word.n; at += n, room++)
            next_code(word.p + at, word.n - at, &n);
    }
    if (!reserve(ids, ends, room, a, e))
        return false;
    int32_t id = m->set.whole ? bpe_find(m, word) : -1;
    if (id >= 0) {
        ids->ids[ids->count++] = id;
        if (ends)
            ends->list[ends->count++] = word.n;
        return true;
    }
    ArenaMark mark = arena_mark(a);
    bool ok = split_word(m, word, room, ids, ends, a, e);
    arena_rewind(a, mark);
    return ok;
}

static bool is_mark(Text word, size_t at)
{
    return word.n - at >= sizeof MARK - 1 && !memcmp(word.p + at, MARK, sizeof MARK - 1);
}

/* Returns the end of a part of the word. A part ends before each MARK that follows another character. If m->marked, no
 * merge has a right piece that begins with MARK and a left piece that ends with another character. So no merge joins
 * two parts, and the merges of one part do not change the pairs of another part or their order by rank and position.
 * Each part can be tokenized separately. MARK is a piece, so fused unknown characters end before it. */
size_t bpe_part_end(const void *model, Text word, size_t at)
{
    const Bpe *m = model;
    size_t mark = sizeof MARK - 1;
    for (size_t i = at + 1; m->marked && i < word.n; i++) {
        const char *found = memchr(word.p + i, (unsigned char)MARK[0], word.n - i);
        if (!found)
            break;
        i = (size_t)(found - word.p);
        if (is_mark(word, i) && (i < at + mark || !is_mark(word, i - mark)))
            return i;
    }
    return word.n;
}

/* ---- words of plain bytes -------------------------------------------------------------------- */

enum { MOST_WHOLE = 64 }; /* largest number of bytes of a word that is searched as a piece */

/* Finds the piece that equals the word in letters of ByteLevel. Sets *piece to its id, or to -1 if there is no such
 * piece. Returns false if memory runs out; *piece is then unchanged. */
static bool find_whole(const Bpe *m, Text word, int32_t *piece, Arena *a, Error *e)
{
    char few[2 * MOST_WHOLE + MAX_AFFIX], *text = few;
    size_t n = 0;
    if (word.n > MOST_WHOLE && !(text = NEW(a, char, 2 * word.n + MAX_AFFIX, e)))
        return false;
    for (size_t i = 0; i < word.n; i++) {
        const char *letter = m->letter_text[(unsigned char)word.p[i]];
        text[n] = letter[0];
        text[n + 1] = letter[1];
        n += letter[1] ? 2 : 1;
    }
    if (m->set.suffix.n)
        memcpy(text + n, m->set.suffix.p, m->set.suffix.n);
    *piece = bpe_find(m, (Text){text, n + m->set.suffix.n});
    return true;
}

static bool split_bytes(const Bpe *m, Text word, int32_t piece, TokenIds *ids, Arena *a, Error *e)
{
    Symbol few[SHORT];
    Symbols s = {few, 0};
    if (word.n > SHORT && !(s.list = NEW(a, Symbol, word.n, e)))
        return false;
    for (size_t i = 0; i < word.n; i++)
        add(&s, m->letters[i + 1 == word.n][(unsigned char)word.p[i]], 1);
    if (!merge_word(m, &s, a, e))
        return false;
    if (piece >= 0 && s.count == 1 && s.list[0].id == piece)
        whole_set(&m->known[piece]);
    for (size_t i = 0; i < s.count; i++)
        ids->ids[ids->count++] = s.list[i].id;
    return true;
}

bool bpe_run_bytes(const void *model, Text word, TokenIds *ids, Arena *a, Error *e)
{
    const Bpe *m = model;
    if (!reserve(ids, NULL, word.n, a, e))
        return false;
    ArenaMark mark = arena_mark(a);
    int32_t piece = -1;
    bool ok = (word.n > MOST_WHOLE && !m->set.whole) || find_whole(m, word, &piece, a, e);
    if (piece >= 0 && (m->set.whole || whole_get(&m->known[piece])))
        ids->ids[ids->count++] = piece;
    else
        ok = ok && split_bytes(m, word, piece, ids, a, e);
    arena_rewind(a, mark);
    return ok;
}

bool bpe_has_bytes(const Bpe *m)
{
    bool all = !m->set.prefix.n && !(m->set.whole && m->set.suffix.n);
    for (int i = 0; i < 512; i++)
        all &= m->letters[i / 256][i % 256] >= 0;
    return all;
}
