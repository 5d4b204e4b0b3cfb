/* tokenizers/bpe.c: byte pair encoding (Sennrich et al. 2016): the pair of the lowest rank is merged first, of equal
 * pairs the one on the left. As Hugging Face's BPE without dropout: prefix, suffix, byte fallback, fused unknowns. */
#include "tokenizers/pipeline.h"

enum { SHORT = 40 };        /* pieces of a word up to which the lowest rank is searched for */
enum { LOW_CODES = 0x250 }; /* characters whose ids are in a table: those of byte-level words are among them */

typedef struct Merge { /* open addressing; id -1: empty */
    uint32_t a, b, rank;
    int32_t id;
} Merge;

struct Bpe {
    const char *path;
    const Text *pieces; /* t->pieces */
    int32_t *slots;     /* pieces by hash; -1: empty */
    Merge *merges;
    int32_t *made; /* [merges]: the piece that a merge makes */
    uint32_t slot_mask, merge_mask;
    uint64_t seed; /* an address: a file cannot be prepared to collide */
    BpeSettings set;
    uint32_t count;               /* of merges so far */
    int32_t unknown_id;           /* -1: not in the vocabulary */
    int32_t low[2][2][LOW_CODES]; /* [first][last]; -1: not in the vocabulary */
    int32_t bytes[256];           /* of byte fallback */
    int32_t letters[2][256];      /* of ByteLevel: [last]; -1: not in the vocabulary */
    char letter_text[256][2];     /* the second byte 0: it has one */
    WholeFlag *known;             /* [pieces]: a word that is this piece is not split */
    bool grows;                   /* every merge makes a piece that is longer than both */
};

/* ---- pieces and merges by hash --------------------------------------------------------------- */

static int32_t piece_find(const void *model, Text piece)
{
    const Bpe *m = model;
    for (uint32_t i = (uint32_t)hash_bytes(piece.p, piece.n, m->seed) & m->slot_mask;; i = (i + 1) & m->slot_mask) {
        int32_t id = m->slots[i];
        if (id < 0 || text_equal(m->pieces[id], piece))
            return id;
    }
}

static inline uint32_t pair_hash(const Bpe *m, uint32_t a, uint32_t b)
{
    uint64_t h = (((uint64_t)a << 32 | b) ^ m->seed) * 0x9E3779B97F4A7C15ULL;
    return (uint32_t)((h ^ h >> 29) * 0xBF58476D1CE4E5B9ULL >> 32);
}

/* The place of a pair, or an empty one. */
static inline Merge *merge_at(const Bpe *m, uint32_t a, uint32_t b)
{
    for (uint32_t i = pair_hash(m, a, b) & m->merge_mask;; i = (i + 1) & m->merge_mask) {
        Merge *x = &m->merges[i];
        if (x->id < 0 || (x->a == a && x->b == b))
            return x;
    }
}

/* ---- a word ---------------------------------------------------------------------------------- */

typedef struct Symbol {
    int32_t id;
    uint32_t length; /* bytes of the word; 0: merged into the one before it */
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

/* The id of a character with what is put around it. */
static int32_t character_id(const Bpe *m, const char *p, size_t n, bool first, bool last)
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
    return piece_find(m, (Text){text, length});
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

/* The characters of a word. Hugging Face adds unknown ones late, behind the bytes of a fallback, and leaves them out
 * where the file names no unknown token: the ends of tokens then count the bytes of what is there. */
static bool begin_word(const Bpe *m, Text word, Symbols *s, Error *e)
{
    size_t unknown = 0; /* bytes that wait */
    for (size_t at = 0, n; at < word.n; at += n) {
        uint32_t c = next_code(word.p + at, word.n - at, &n);
        bool first = !at, last = at + n == word.n;
        int32_t id = c < LOW_CODES ? m->low[first][last][c] : character_id(m, word.p + at, n, first, last);
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

/* The lowest rank by search, again and again. */
static void merge_short(const Bpe *m, Symbols *s)
{
    Merge found[SHORT];
    Symbol *list = s->list;
    uint32_t n = s->count;
    for (uint32_t i = 0; i + 1 < n; i++)
        found[i] = *merge_at(m, (uint32_t)list[i].id, (uint32_t)list[i + 1].id);
    for (;;) {
        uint32_t best = 0, rank = UINT32_MAX;
        for (uint32_t i = 0; i + 1 < n; i++)
            if (found[i].rank < rank) {
                rank = found[i].rank;
                best = i;
            }
        if (rank == UINT32_MAX)
            break;
        list[best].id = found[best].id;
        list[best].length += list[best + 1].length;
        n--;
        for (uint32_t i = best + 1; i < n; i++) {
            list[i] = list[i + 1];
            found[i - 1] = found[i];
        }
        if (best)
            found[best - 1] = *merge_at(m, (uint32_t)list[best - 1].id, (uint32_t)list[best].id);
        if (best + 1 < n)
            found[best] = *merge_at(m, (uint32_t)list[best].id, (uint32_t)list[best + 1].id);
    }
    s->count = n;
}

typedef struct Candidates { /* a heap of pairs that may be merged: rank << 32 | place */
    uint64_t *list;
    size_t count;
} Candidates;

static void push(Candidates *h, const Bpe *m, const Symbol *list, uint32_t a, uint32_t b)
{
    const Merge *merge = merge_at(m, (uint32_t)list[a].id, (uint32_t)list[b].id);
    if (merge->id < 0)
        return;
    uint64_t c = (uint64_t)merge->rank << 32 | a;
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

/* By a heap: n log n. A candidate counts while the pair at its place still makes its piece. */
static bool merge_long(const Bpe *m, Symbols *s, Arena *a, Error *e)
{
    uint32_t n = s->count;
    Candidates h = {NEW(a, uint64_t, 2 * (size_t)n, e), 0}; /* a merge takes one away and adds two at most */
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
        if (!left->length || next >= n || merge_at(m, (uint32_t)left->id, (uint32_t)list[next].id)->id != id)
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

/* `list` with room for n more: what is allocated behind it can be given back. */
static void *more(void *list, size_t count, size_t *room, size_t n, size_t size, Arena *a, Error *e)
{
    if (*room - count >= n)
        return list;
    size_t wanted = MAX(count + n, 2 * *room);
    void *grown = arena_alloc(a, wanted, size, e);
    *room = grown ? wanted : *room;
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

/* Into `room` tokens at most. */
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

/* Memory besides the ids: 32 bytes for a character of a long word, until its end. */
static bool run(const void *model, Text word, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    const Bpe *m = model;
    size_t room = word.n; /* bytes of a fallback, or characters */
    if (room > SHORT && !m->set.fallback) {
        room = 0;
        for (size_t at = 0, n; at < word.n; at += n, room++)
            next_code(word.p + at, word.n - at, &n);
    }
    if (!reserve(ids, ends, room, a, e))
        return false;
    int32_t id = m->set.whole ? piece_find(m, word) : -1;
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

/* ---- a word of bytes ------------------------------------------------------------------------- */

enum { MOST_WHOLE = 64 }; /* bytes of a word that is looked up as a piece */

/* The piece that all of a word is, in the letters of ByteLevel: -1: none. */
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
        n += 1 + (letter[1] != 0);
    }
    if (m->set.suffix.n)
        memcpy(text + n, m->set.suffix.p, m->set.suffix.n);
    *piece = piece_find(m, (Text){text, n + m->set.suffix.n});
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

static bool run_bytes(const void *model, Text word, TokenIds *ids, Arena *a, Error *e)
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

/* ---- the model ------------------------------------------------------------------------------- */

static bool build_pieces(Load *l, Bpe *m)
{
    Tokenizer *t = l->t;
    size_t slots = 64;
    while (slots < l->distinct + l->distinct / 2)
        slots *= 2;
    m->slots = NEW(l->a, int32_t, slots, l->e);
    m->known = NEW(l->a, WholeFlag, t->ids, l->e);
    if (!m->slots || !m->known)
        return false;
    memset(m->slots, 0xff, slots * sizeof *m->slots);
    m->slot_mask = (uint32_t)(slots - 1);
    for (int64_t id = 0; id < t->ids; id++) {
        Text piece = t->pieces[id];
        if (!piece.p)
            continue;
        uint32_t i = (uint32_t)hash_bytes(piece.p, piece.n, m->seed) & m->slot_mask;
        while (m->slots[i] >= 0 && !text_equal(t->pieces[m->slots[i]], piece)) /* of equal ones the last one counts */
            i = (i + 1) & m->slot_mask;
        if (m->slots[i] >= 0 && l->keys)
            return duplicate_piece(l, piece);
        m->slots[i] = (int32_t)id;
    }
    for (uint32_t c = 0; c < LOW_CODES; c++) {
        char p[4];
        size_t n = utf8_encode(c, p);
        for (int k = 0; k < 4; k++)
            m->low[k / 2][k % 2][c] = character_id(m, p, n, k / 2, k % 2);
    }
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        m->bytes[b] = piece_find(m, (Text){name, (size_t)snprintf(name, sizeof name, "<0x%02X>", b)});
        size_t n = utf8_encode(byte_level_code((unsigned char)b), name);
        m->letter_text[b][0] = name[0];
        m->letter_text[b][1] = (char)(n > 1 ? name[1] : 0);
        for (int last = 0; last < 2; last++)
            m->letters[last][b] = character_id(m, name, n, true, last);
    }
    m->unknown_id = m->set.unknown.p ? piece_find(m, m->set.unknown) : -1;
    return true;
}

static Bpe *new_pieces(Load *l, const BpeSettings *settings)
{
    Bpe *m = NEW(l->a, Bpe, 1, l->e);
    if (!m)
        return NULL;
    *m = (Bpe){.path = l->t->path, .pieces = l->t->pieces, .set = *settings, .grows = true};
    m->seed = hash_bytes("pieces", 6, (uint64_t)(uintptr_t)m);
    l->t->kind = &model_bpe;
    return build_pieces(l, m) ? m : NULL;
}

/* Room for so many merges of so many ranks. */
static bool new_merges(Load *l, Bpe *m, size_t merges, size_t ranks)
{
    size_t slots = 64;
    if (merges > 2 * (size_t)MAX_TOKENS)
        return fail(l->e, SP_UNSUPPORTED, "%s: %zu merges; at most %d are supported", l->path, merges, 2 * MAX_TOKENS);
    while (slots < merges + merges / 2)
        slots *= 2;
    m->merges = NEW(l->a, Merge, slots, l->e);
    m->made = NEW(l->a, int32_t, ranks + 1, l->e);
    if (!m->merges || !m->made)
        return false;
    memset(m->merges, 0xff, slots * sizeof *m->merges);
    m->merge_mask = (uint32_t)(slots - 1);
    return true;
}

Bpe *bpe_new(Load *l, const BpeSettings *settings, size_t merges)
{
    Bpe *m = new_pieces(l, settings);
    return m && new_merges(l, m, merges, merges) ? m : NULL;
}

/* The cuts of a piece into two others, the shortest left part first; returns how many. `apart`: each has a rank of its
 * own, else all have that of the piece. Only counted while there is no room for merges. */
static size_t cut_piece(Bpe *m, int32_t id, bool apart)
{
    Text piece = m->pieces[id];
    size_t count = 0;
    for (size_t at = 0, length; at < piece.n; at += length) {
        next_code(piece.p + at, piece.n - at, &length);
        int32_t left = at ? piece_find(m, (Text){piece.p, at}) : -1,
                right = left < 0 ? -1 : piece_find(m, (Text){piece.p + at, piece.n - at});
        if (right < 0)
            continue;
        count++;
        if (!m->merges)
            continue;
        uint32_t rank = apart ? m->count++ : (uint32_t)id;
        *merge_at(m, (uint32_t)left, (uint32_t)right) = (Merge){(uint32_t)left, (uint32_t)right, rank, id};
        m->made[rank] = id;
    }
    return count;
}

Bpe *bpe_from_pieces(Load *l, const BpeSettings *settings, bool apart)
{
    Bpe *m = new_pieces(l, settings);
    size_t merges = 0;
    for (int pass = 0; pass < 2 && m; pass++) {
        if (pass && !new_merges(l, m, merges, MAX(merges, (size_t)l->t->ids)))
            return NULL;
        for (int32_t id = 0; id < l->t->ids; id++)
            if (m->pieces[id].p && piece_find(m, m->pieces[id]) == id)
                merges += cut_piece(m, id, apart);
    }
    return m;
}

bool bpe_merge(Load *l, Bpe *m, Text left, Text right, const char *path, unsigned line)
{
    int32_t a = piece_find(m, left), b = piece_find(m, right), id = -1;
    if (a >= 0 && b >= 0 && right.n >= m->set.prefix.n) {
        Text rest = {right.p + m->set.prefix.n, right.n - m->set.prefix.n};
        ArenaMark mark = arena_mark(l->a);
        char *both = NEW(l->a, char, left.n + rest.n + 1, l->e);
        if (!both)
            return false;
        memcpy(both, left.p, left.n);
        memcpy(both + left.n, rest.p, rest.n);
        id = piece_find(m, (Text){both, left.n + rest.n});
        arena_rewind(l->a, mark);
    }
    if (id < 0)
        return fail(l->e, SP_FORMAT, "%s:%u: the merge '%.*s' '%.*s' has or makes a token that the vocabulary lacks",
                    path, line, NAME(left), NAME(right));
    m->grows &= left.n && right.n > m->set.prefix.n;
    *merge_at(m, (uint32_t)a, (uint32_t)b) = (Merge){(uint32_t)a, (uint32_t)b, m->count, id};
    m->made[m->count++] = id;
    return true;
}

bool bpe_merge_line(Load *l, Bpe *m, Text row, const char *path, unsigned line)
{
    Text rest = row, left, right;
    if (text_starts(row, "#version"))
        return true;
    if (!text_next(&rest, ' ', &left) || !text_next(&rest, ' ', &right) || text_next(&rest, ' ', &rest))
        return fail(l->e, SP_FORMAT, "%s:%u: expected a merge of two tokens, found '%.*s'", path, line, NAME(row));
    return bpe_merge(l, m, left, right, path, line);
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static bool read_text(Load *l, const Json *model, const char *key, size_t most, Text *out)
{
    const Json *j = json_get(model, key);
    *out = (Text){NULL, 0};
    if (is_absent(j))
        return true;
    if (j->type != JSON_STRING)
        return fail(l->e, SP_FORMAT, "%s:%u: %s of the BPE model: expected a string or null", l->path,
                    (unsigned)j->line, key);
    if (j->text.n > most)
        return fail(l->e, SP_UNSUPPORTED, "%s:%u: %s of %zu bytes; at most %zu are supported", l->path,
                    (unsigned)j->line, key, j->text.n, most);
    *out = j->text;
    return true;
}

static bool read_switch(Load *l, const Json *model, const char *key, bool *out)
{
    const Json *j = json_get(model, key);
    *out = json_is_true(j);
    return is_absent(j) || j->type == JSON_BOOL ||
           fail(l->e, SP_FORMAT, "%s:%u: %s of the BPE model: expected true or false", l->path, (unsigned)j->line, key);
}

static bool read_settings(Load *l, const Json *j, BpeSettings *s)
{
    const Json *dropout = json_get(j, "dropout");
    if (!read_text(l, j, "unk_token", MAX_ADDED_BYTES, &s->unknown) ||
        !read_text(l, j, "continuing_subword_prefix", MAX_AFFIX, &s->prefix) ||
        !read_text(l, j, "end_of_word_suffix", MAX_AFFIX, &s->suffix) || !read_switch(l, j, "fuse_unk", &s->fuse) ||
        !read_switch(l, j, "byte_fallback", &s->fallback) || !read_switch(l, j, "ignore_merges", &s->whole))
        return false;
    if (!is_absent(dropout) && (dropout->type != JSON_NUMBER || dropout->number != 0))
        return fail(l->e, SP_UNSUPPORTED, "%s:%u: dropout of the BPE model is not supported; set it to null", l->path,
                    (unsigned)dropout->line);
    return !s->fallback || (!s->prefix.n && !s->suffix.n) ||
           fail(l->e, SP_UNSUPPORTED,
                "%s:%u: byte_fallback with continuing_subword_prefix or end_of_word_suffix is not supported", l->path,
                (unsigned)j->line);
}

static bool read_merge(Load *l, Bpe *m, const Json *j)
{
    const Json *left = j->type == JSON_ARRAY && j->count == 2 ? j->first : NULL, *right = left ? left->next : NULL;
    unsigned line = j->line;
    if (j->type == JSON_STRING)
        return bpe_merge_line(l, m, j->text, l->path, line);
    if (!left || left->type != JSON_STRING || right->type != JSON_STRING)
        return fail(l->e, SP_FORMAT, "%s:%u: expected a merge as \"a b\" or [\"a\", \"b\"]", l->path, line);
    return bpe_merge(l, m, left->text, right->text, l->path, line);
}

static bool parse(Load *l, const Json *j, const void **model)
{
    const Json *vocab = json_get(j, "vocab"), *merges = json_get(j, "merges");
    BpeSettings settings;
    if (!vocab || vocab->type != JSON_OBJECT || !merges || merges->type != JSON_ARRAY)
        return fail(l->e, SP_FORMAT, "%s: expected vocab and merges in the BPE model", l->path);
    if (!read_settings(l, j, &settings) || !read_vocabulary(l, vocab))
        return false;
    Bpe *m = bpe_new(l, &settings, merges->count);
    JsonItems *items = m ? json_items(merges, l->a, l->e) : NULL;
    bool ok = items != NULL;
    for (const Json *x; ok && (x = json_next(items));)
        ok = read_merge(l, m, x);
    json_items_free(items);
    *model = m;
    return ok && !l->e->code;
}

const ModelKind model_bpe = {
    .name = "BPE", .mark = "merges", .parse = parse, .run = run, .find = piece_find, .run_bytes = run_bytes};
