/* tokenizers/models/wordpiece.c: WordPiece, greedy longest match first (Wu et al. 2016; Devlin et al. 2018). */
#include "tokenizers/pipeline.h"

static const uint64_t PRIME = 0x9E3779B97F4A7C15ULL;
enum { LONGEST_MATCH = 4 * MAX_WORD }; /* bytes */

static inline uint64_t hash_step(uint64_t h, char byte)
{
    return (h ^ (unsigned char)byte) * PRIME;
}

/* Returns the id of the piece whose text after the first `cut` bytes is p[0, n); `cut` is 0, or the length of the
 * prefix, which the piece must have. h: hash of p[0, n). -1: there is none. */
static inline int32_t slot_find(const WordPiece *m, uint64_t h, const char *p, size_t n, size_t cut)
{
    uint32_t tag = (uint32_t)(h >> 32);
    for (uint32_t i = ((uint32_t)h ^ tag) & m->slot_mask;; i = (i + 1) & m->slot_mask) {
        const Slot *s = &m->slots[i];
        if (s->id < 0)
            return -1;
        if (s->tag != tag)
            continue;
        const Text *piece = &m->pieces[s->id];
        if (piece->n == n + cut && !memcmp(piece->p + cut, p, n) && (!cut || !memcmp(piece->p, m->prefix.p, cut)))
            return s->id;
    }
}

static uint64_t hash_of(const WordPiece *m, Text piece, bool continues)
{
    uint64_t h = m->seed[continues];
    for (size_t i = 0; i < piece.n; i++)
        h = hash_step(h, piece.p[i]);
    return h;
}

static int32_t piece_find(const void *model, Text piece)
{
    const WordPiece *m = model;
    return slot_find(m, hash_of(m, piece, false), piece.p, piece.n, 0);
}

/* Stores a piece, or the rest of a piece after the prefix (`continues`). Returns false if this text is already stored.
 */
static bool slot_put(WordPiece *m, int32_t id, bool continues)
{
    Text piece = m->pieces[id];
    size_t cut = continues ? m->prefix.n : 0;
    Text rest = {piece.p + cut, piece.n - cut};
    uint64_t h = hash_of(m, rest, continues);
    if (slot_find(m, h, rest.p, rest.n, cut) >= 0)
        return false;
    uint32_t tag = (uint32_t)(h >> 32), i = ((uint32_t)h ^ tag) & m->slot_mask;
    while (m->slots[i].id >= 0)
        i = (i + 1) & m->slot_mask;
    m->slots[i] = (Slot){.tag = tag, .id = id};
    m->longest[continues] = MAX(m->longest[continues], rest.n);
    return true;
}

static bool continues_word(const WordPiece *m, Text piece)
{
    return piece.n >= m->prefix.n && !memcmp(piece.p, m->prefix.p, m->prefix.n);
}

WordPiece *wordpiece_new(Load *l, Text prefix, size_t max_word)
{
    Tokenizer *t = l->t;
    WordPiece *m = NEW(l->a, WordPiece, 1, l->e);
    size_t slots = 1024, entries = 0;
    if (!m)
        return NULL;
    *m = (WordPiece){.path = t->path, .pieces = t->pieces, .prefix = prefix, .unknown = -1, .max_word = max_word};
    for (int64_t i = 0; i < t->ids; i++)
        if (t->pieces[i].p)
            entries += continues_word(m, t->pieces[i]) ? 2 : 1;
    while (slots < entries + entries / 2)
        slots *= 2;
    m->seed[0] = hash_bytes("begins", 6, (uint64_t)(uintptr_t)m);
    m->seed[1] = hash_bytes("continues", 9, (uint64_t)(uintptr_t)m);
    m->slot_mask = (uint32_t)(slots - 1);
    m->slots = NEW(l->a, Slot, slots, l->e);
    if (!m->slots)
        return NULL;
    memset(m->slots, 0xff, slots * sizeof *m->slots);
    l->distinct = 0;
    for (int64_t i = t->ids; i-- > 0;) { /* of equal lines in a vocab.txt, the last one counts */
        Text piece = t->pieces[i];
        if (!piece.p)
            continue;
        if (!slot_put(m, (int32_t)i, false)) {
            if (l->vocabulary_line && !duplicate_piece(l, piece))
                return NULL;
            t->pieces[i].p = NULL;
            continue;
        }
        l->distinct++;
        if (continues_word(m, piece))
            slot_put(m, (int32_t)i, true);
    }
    t->kind = &model_wordpiece;
    t->model = m;
    return m;
}

bool ids_push(TokenIds *out, int32_t id, Arena *a, Error *e)
{
    if (out->count == out->capacity) {
        int32_t *grown = arena_grow(a, out->ids, out->count, &out->capacity, sizeof *grown, e);
        if (!grown)
            return false;
        out->ids = grown;
    }
    out->ids[out->count++] = id;
    return true;
}

/* Returns the id of the longest piece that p[0, n) begins with, and its number of bytes in *used (without the prefix).
 * `continues`: only pieces that continue a word. -1: there is none. */
static int32_t longest_match(const WordPiece *m, const char *p, size_t n, bool continues, size_t *used)
{
    uint64_t hashes[LONGEST_MATCH];
    size_t window = MIN(MIN(n, m->longest[continues]), (size_t)LONGEST_MATCH), cut = continues ? m->prefix.n : 0;
    uint64_t h = m->seed[continues];
    for (size_t i = 0; i < window; i++)
        hashes[i] = h = hash_step(h, p[i]);
    for (size_t i = window; i > 0; i--) {
        if (i < n && ((unsigned char)p[i] & 0xc0) == 0x80)
            continue; /* a position inside a character */
        int32_t id = slot_find(m, hashes[i - 1], p, i, cut);
        if (id >= 0) {
            *used = i;
            return id;
        }
    }
    return -1;
}

bool ends_push(TokenEnds *ends, size_t end, Arena *a, Error *e)
{
    size_t *grown = arena_grow(a, ends->list, ends->count, &ends->room, sizeof *grown, e);
    if (!grown)
        return false;
    ends->list = grown;
    ends->list[ends->count++] = end;
    return true;
}

/* Splits a word. A word of more than max_word characters, or with a part that no piece covers, becomes one unknown
 * token. The function is inlined twice: the copy for the single pass has no code for `ends`. */
static inline __attribute__((always_inline)) bool split_word(const WordPiece *m, Text word, TokenIds *out,
                                                             TokenEnds *ends, Arena *a, Error *e)
{
    size_t begin = out->count, first_end = ends ? ends->count : 0, characters = word.n;
    if (characters > m->max_word) {
        characters = 0;
        for (size_t i = 0; i < word.n; i++)
            characters += ((unsigned char)word.p[i] & 0xc0) != 0x80;
    }
    for (size_t at = 0, used = 0; at < word.n; at += used) {
        int32_t id = characters > m->max_word ? -1 : longest_match(m, word.p + at, word.n - at, at > 0, &used);
        if (id < 0) {
            out->count = begin;
            if (m->unknown < 0)
                return fail(e, SP_FORMAT,
                            "%s: the vocabulary has no token for unknown words, and the text has such a word", m->path);
            if (ends) {
                ends->count = first_end;
                if (!ends_push(ends, word.n, a, e))
                    return false;
            }
            return ids_push(out, m->unknown, a, e);
        }
        if (!ids_push(out, id, a, e) || (ends && !ends_push(ends, at + used, a, e)))
            return false;
    }
    return true;
}

bool wordpiece_word(const WordPiece *m, Text word, TokenIds *out, Arena *a, Error *e)
{
    return split_word(m, word, out, NULL, a, e);
}

static bool run(const void *model, Text word, TokenIds *ids, TokenEnds *ends, Arena *a, Error *e)
{
    return ends ? split_word(model, word, ids, ends, a, e) : split_word(model, word, ids, NULL, a, e);
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static bool parse(Load *l, const Json *j, const void **model)
{
    const Json *vocab = json_get(j, "vocab"), *prefix = json_get(j, "continuing_subword_prefix");
    const Json *unknown = json_get(j, "unk_token"), *longest = json_get(j, "max_input_chars_per_word");
    int64_t characters = 100;
    if (!vocab || vocab->type != JSON_OBJECT || !vocab->count || !unknown || unknown->type != JSON_STRING ||
        (prefix && prefix->type != JSON_STRING) || (longest && !json_i64(longest, &characters)))
        return fail(l->e, SP_FORMAT,
                    "%s: expected vocab, unk_token and continuing_subword_prefix in the WordPiece model", l->path);
    if (unknown->text.n > MAX_ADDED_BYTES || (prefix && prefix->text.n > MAX_AFFIX))
        return fail(l->e, SP_UNSUPPORTED,
                    "%s: unk_token or continuing_subword_prefix of the WordPiece model is too long; at most %d and %d "
                    "bytes are supported",
                    l->path, MAX_ADDED_BYTES, MAX_AFFIX);
    if (characters < 0 || characters > MAX_WORD)
        return fail(l->e, SP_UNSUPPORTED, "%s: max_input_chars_per_word is %lld; at most %d is supported", l->path,
                    (long long)characters, MAX_WORD);
    if (!read_vocabulary(l, vocab))
        return false;
    WordPiece *m = wordpiece_new(l, prefix ? prefix->text : TEXT("##"), (size_t)characters);
    if (!m)
        return false;
    m->unknown = piece_find(m, unknown->text);
    *model = m;
    return true;
}

const ModelKind model_wordpiece = {
    .name = "WordPiece", .mark = "continuing_subword_prefix", .parse = parse, .run = run, .find = piece_find};
