/* tokenizers/models/bpe.c: the model of byte pair encoding: pieces and merges of tokenizer.json and of other files.
 * tokenizers/models/bpe_word.c tokenizes words. */
#include "tokenizers/models/bpe.h"

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
        /* of equal pieces, the last one counts */
        while (m->slots[i] >= 0 && !text_equal(t->pieces[m->slots[i]], piece))
            i = (i + 1) & m->slot_mask;
        if (m->slots[i] >= 0 && l->vocabulary_line)
            return duplicate_piece(l, piece);
        m->slots[i] = (int32_t)id;
    }
    for (uint32_t c = 0; c < LOW_CODES; c++) {
        char p[4];
        size_t n = utf8_encode(c, p);
        for (int k = 0; k < 4; k++)
            m->low[k / 2][k % 2][c] = bpe_character(m, p, n, k / 2, k % 2);
    }
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        m->bytes[b] = bpe_find(m, (Text){name, (size_t)snprintf(name, sizeof name, "<0x%02X>", b)});
        size_t n = utf8_encode(byte_level_code((unsigned char)b), name);
        m->letter_text[b][0] = name[0];
        m->letter_text[b][1] = (char)(n > 1 ? name[1] : 0);
        for (int last = 0; last < 2; last++)
            m->letters[last][b] = bpe_character(m, name, n, true, last);
    }
    m->unknown_id = m->set.unknown.p ? bpe_find(m, m->set.unknown) : -1;
    /* Words may be split before MARK only under these conditions (bpe_part_end), among others:
     *
     * - MARK is a piece. Otherwise MARK would be an unknown character, and a split before it would separate unknown
     *   characters that are fused into one token.
     * - The file names an unknown token. Otherwise unknown characters are left out and are not counted in the ends of
     *   tokens, so a split would change the ends.
     *
     * add_merge clears the flag if a merge forbids the split. */
    m->marked = m->set.unknown.n && !text_ends(m->set.unknown, MARK) && !m->set.prefix.n && !m->set.suffix.n &&
                !m->set.whole && bpe_find(m, text_of(MARK)) >= 0;
    return true;
}

/* Adds the merge of the pieces `left` and `right`, with the texts a and b, into the piece `id`. Clears m->grows and
 * m->marked if the merge makes them false. */
static void add_merge(Bpe *m, int32_t left, Text a, int32_t right, Text b, uint32_t rank, int32_t id)
{
    m->grows &= a.n && b.n > m->set.prefix.n;
    m->marked = m->marked && (!text_starts(b, MARK) || text_ends(a, MARK));
    *merge_at(m, left, right) = merge_of(left, right, rank);
    m->made[rank] = id;
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

/* Allocates a table for this number of merges, and m->made for this number of ranks. */
static bool new_merges(Load *l, Bpe *m, size_t merges, size_t ranks)
{
    size_t slots = 64;
    if (merges > NO_RANK)
        return fail(l->e, SP_UNSUPPORTED, "%s: %zu merges; at most %d are supported", l->path, merges, NO_RANK);
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

/* Adds each split of a piece into two pieces as a merge, beginning with the shortest left part. Returns the number of
 * these merges. own_ranks: each merge has its own rank; otherwise all have the piece's id as their rank. If the memory
 * for merges is not allocated yet, the function only counts. */
static size_t cut_piece(Bpe *m, int32_t id, bool own_ranks)
{
    Text piece = m->pieces[id];
    size_t count = 0;
    for (size_t at = 0, length; at < piece.n; at += length) {
        next_code(piece.p + at, piece.n - at, &length);
        int32_t left = at ? bpe_find(m, (Text){piece.p, at}) : -1,
                right = left < 0 ? -1 : bpe_find(m, (Text){piece.p + at, piece.n - at});
        if (right < 0)
            continue;
        count++;
        if (!m->merges)
            continue;
        uint32_t rank = own_ranks ? m->count++ : (uint32_t)id;
        add_merge(m, left, (Text){piece.p, at}, right, (Text){piece.p + at, piece.n - at}, rank, id);
    }
    return count;
}

Bpe *bpe_from_pieces(Load *l, const BpeSettings *settings, bool own_ranks)
{
    Bpe *m = new_pieces(l, settings);
    size_t merges = 0;
    for (int pass = 0; pass < 2 && m; pass++) {
        if (pass && !new_merges(l, m, merges, MAX(merges, (size_t)l->t->ids)))
            return NULL;
        for (int32_t id = 0; id < l->t->ids; id++)
            if (m->pieces[id].p && bpe_find(m, m->pieces[id]) == id)
                merges += cut_piece(m, id, own_ranks);
    }
    return m;
}

bool bpe_merge(Load *l, Bpe *m, Text left, Text right, const char *path, unsigned line)
{
    int32_t a = bpe_find(m, left), b = bpe_find(m, right), id = -1;
    if (a >= 0 && b >= 0 && right.n >= m->set.prefix.n) {
        Text rest = {right.p + m->set.prefix.n, right.n - m->set.prefix.n};
        ArenaMark mark = arena_mark(l->a);
        char *both = NEW(l->a, char, left.n + rest.n + 1, l->e);
        if (!both)
            return false;
        memcpy(both, left.p, left.n);
        memcpy(both + left.n, rest.p, rest.n);
        id = bpe_find(m, (Text){both, left.n + rest.n});
        arena_rewind(l->a, mark);
    }
    if (id < 0)
        return fail(l->e, SP_FORMAT, "%s:%u: the merge '%.*s' '%.*s' has or makes a token that the vocabulary lacks",
                    path, line, NAME(left), NAME(right));
    add_merge(m, a, left, b, right, m->count++, id);
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

static int32_t find(const void *model, Text piece)
{
    return bpe_find(model, piece);
}

const ModelKind model_bpe = {.name = "BPE",
                             .mark = "merges",
                             .parse = parse,
                             .run = bpe_run,
                             .find = find,
                             .run_bytes = bpe_run_bytes,
                             .part_end = bpe_part_end};
