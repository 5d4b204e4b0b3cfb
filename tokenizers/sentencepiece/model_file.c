/* tokenizers/sentencepiece/model_file.c: a SentencePiece .model: a protocol buffer (sentencepiece_model.proto), which
 * is parsed field by field with bounds; and the tokenizer that the library sentencepiece makes of it. */
// flags: -Os
#include <float.h>
#include <math.h>

#include "tokenizers/sentencepiece/sentencepiece.h"

/* ---- protocol buffers ------------------------------------------------------------------------ */

enum { WIRE_NUMBER = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef struct Field {
    uint64_t number, value; /* value: the varint of WIRE_NUMBER, or the bits of WIRE_32 */
    int wire;
    Text bytes; /* content of WIRE_BYTES */
} Field;

/* Reads a varint: 7 bits per byte, the lowest first; the highest bit of a byte says that more follow. */
static bool read_number(Text *from, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && from->n; shift += 7) {
        uint8_t byte = (uint8_t)*from->p++;
        from->n--;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* Reads the next field of a message. Returns false at the end; if the bytes are no message, it also returns false, and
 * from->p is NULL. */
static bool next_field(Text *from, Field *f)
{
    uint64_t key, n = 0;
    *f = (Field){.wire = -1};
    if (!from->n)
        return false;
    bool ok = read_number(from, &key);
    f->number = key >> 3;
    f->wire = (int)(key & 7);
    if (ok && f->wire == WIRE_NUMBER) {
        ok = read_number(from, &f->value);
    } else if (ok) {
        n = f->wire == WIRE_64 ? 8 : 4;
        ok = f->wire == WIRE_64 || f->wire == WIRE_32 || (f->wire == WIRE_BYTES && read_number(from, &n));
        ok = ok && n <= from->n;
    }
    if (!ok) {
        *from = (Text){NULL, 0};
        return false;
    }
    f->bytes = (Text){from->p, (size_t)n};
    for (size_t i = 0; f->wire == WIRE_32 && i < 4; i++)
        f->value |= (uint64_t)(uint8_t)from->p[i] << 8 * i;
    from->p += n;
    from->n -= (size_t)n;
    return true;
}

static bool is_bytes(const Field *f, uint64_t number)
{
    return f->number == number && f->wire == WIRE_BYTES;
}

static bool is_number(const Field *f, uint64_t number)
{
    return f->number == number && f->wire == WIRE_NUMBER;
}

static bool broken(Load *l, const char *what)
{
    return fail(l->e, SP_FORMAT, "%s: %s: not the file of a SentencePiece model, or cut short", l->path, what);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

typedef enum PieceType {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN,
    PIECE_CONTROL,
    PIECE_USER,
    PIECE_UNUSED,
    PIECE_BYTE
} PieceType;

typedef struct Reading {
    Load *l;
    Pieces *m;
    PlainText *text;
    ModelFile *file;
} Reading;

static bool read_piece(Reading *r, Text message)
{
    Load *l = r->l;
    int64_t id = l->t->ids++;
    Text piece = {NULL, 0};
    float score = 0;
    uint64_t type = PIECE_NORMAL;
    size_t bad_at;
    for (Field f; next_field(&message, &f);) {
        uint32_t bits = (uint32_t)f.value;
        if (is_bytes(&f, 1))
            piece = f.bytes;
        else if (f.number == 2 && f.wire == WIRE_32)
            memcpy(&score, &bits, sizeof score);
        else if (is_number(&f, 3))
            type = f.value;
    }
    if (!message.p)
        return broken(l, "a piece");
    if (!piece.n || piece.n > MAX_PIECE || !utf8_valid(piece, &bad_at) || !isfinite(score) || type < PIECE_NORMAL ||
        type > PIECE_BYTE)
        return fail(l->e, SP_FORMAT, "%s: piece %lld: expected 1 to %d bytes of UTF-8, a finite score and a known type",
                    l->path, (long long)id, MAX_PIECE);
    l->t->pieces[id] = piece;
    r->file->scores[id] = (double)score;
    r->file->found[id] = type == PIECE_NORMAL || type == PIECE_USER;
    r->file->whole[id] = type == PIECE_USER;
    r->file->wholes += type == PIECE_USER;
    r->file->hidden[id] = type == PIECE_CONTROL;
    if (type == PIECE_UNUSED)
        r->file->unused = id;
    if (type == PIECE_UNKNOWN) {
        if (r->m->unknown >= 0)
            return fail(l->e, SP_FORMAT, "%s: piece %lld: a second unknown piece", l->path, (long long)id);
        r->m->unknown = (int32_t)id;
    }
    if (type == PIECE_BYTE) {
        char name[8];
        unsigned byte = 0;
        for (; byte < 256; byte++) {
            snprintf(name, sizeof name, "<0x%02X>", byte);
            if (text_is(piece, name))
                break;
        }
        if (byte == 256 || r->m->bytes[byte] >= 0)
            return fail(l->e, SP_FORMAT, "%s: piece %lld: expected one of <0x00> to <0xFF>, once", l->path,
                        (long long)id);
        r->m->bytes[byte] = (int32_t)id;
        r->file->byte_pieces++;
    }
    return true;
}

/* Computes the scores that the library uses, and builds the tries. An unknown character has the lowest score minus 10.
 * In a Unigram model, a user-defined piece of n bytes has the score n * highest - 0.1. lowest, highest: of the normal
 * pieces. */
static bool finish_pieces(Load *l, ModelFile *file)
{
    Pieces *m = file->pieces;
    PlainText *text = file->text;
    double lowest = (double)FLT_MAX, highest = (double)FLT_MIN;
    if (file->unused >= 0 && file->kind == 2)
        return fail(l->e, SP_UNSUPPORTED, "%s: piece %lld: a BPE model with unused pieces is not supported", l->path,
                    (long long)file->unused);
    if (m->unknown < 0)
        return fail(l->e, SP_FORMAT, "%s: no unknown piece", l->path);
    if (m->byte_fallback && file->byte_pieces != 256)
        return fail(l->e, SP_FORMAT, "%s: byte_fallback with %zu of 256 bytes as pieces", l->path, file->byte_pieces);
    for (int64_t i = 0; i < l->t->ids; i++) {
        if (!file->found[i] || file->whole[i])
            continue;
        lowest = MIN(lowest, file->scores[i]);
        highest = MAX(highest, file->scores[i]);
    }
    m->unknown_score = (double)(float)(lowest - 10);
    for (int64_t i = 0; i < l->t->ids; i++)
        if (file->whole[i] && file->kind == 1)
            file->scores[i] = (double)((float)l->t->pieces[i].n * (float)highest) - 0.1;
    size_t n = (size_t)l->t->ids;
    l->distinct = n;
    if (!(m->known = NEW(l->a, WholeFlag, n, l->e)) || !trie_build(&m->trie, l->t->pieces, n, file->found, l->a, l->e))
        return false;
    text->has_whole = file->wholes > 0;
    if (file->wholes && !trie_build(&text->whole, l->t->pieces, n, file->whole, l->a, l->e))
        return false;
    m->whole = text->whole;
    return true;
}

/* ---- the other messages ---------------------------------------------------------------------- */

static bool read_trainer(Reading *r, Text message)
{
    for (Field f; next_field(&message, &f);) {
        if (is_number(&f, 3))
            r->file->kind = f.value;
        else if (is_number(&f, 24))
            r->text->suffix = f.value;
        else if (is_number(&f, 35))
            r->m->byte_fallback = f.value;
        else if (is_bytes(&f, 44))
            r->file->unknown_text = f.bytes;
    }
    size_t bad_at;
    if (!message.p || !utf8_valid(r->file->unknown_text, &bad_at))
        return broken(r->l, "trainer_spec");
    return r->file->kind == 1 || r->file->kind == 2 ||
           fail(r->l->e, SP_UNSUPPORTED, "%s: model_type %llu is not supported (1 Unigram and 2 BPE are)", r->l->path,
                (unsigned long long)r->file->kind);
}

static bool read_normalizer(Reading *r, Text message)
{
    Text map = {NULL, 0};
    for (Field f; next_field(&message, &f);) {
        if (is_bytes(&f, 2))
            map = f.bytes;
        else if (is_number(&f, 3))
            r->text->prefix = f.value;
        else if (is_number(&f, 4))
            r->text->trims = f.value;
        else if (is_number(&f, 5))
            r->text->escapes = f.value;
    }
    if (!message.p)
        return broken(r->l, "normalizer_spec");
    return !map.n || charsmap_read(&r->text->map, map, r->l, 0);
}

/* Counts the pieces, and reads the settings of the trainer, which must be known before the pieces are read. */
static bool read_settings(Reading *r, Text bytes, size_t *pieces)
{
    for (Field f; next_field(&bytes, &f);) {
        *pieces += is_bytes(&f, 1);
        if ((is_bytes(&f, 2) && !read_trainer(r, f.bytes)) || (is_bytes(&f, 3) && !read_normalizer(r, f.bytes)))
            return false;
    }
    return bytes.p ? *pieces > 0 || broken(r->l, "no pieces") : broken(r->l, "a field");
}

ModelFile *model_file_read(Load *l, Text bytes)
{
    Reading r = {.l = l,
                 .m = NEW(l->a, Pieces, 1, l->e),
                 .text = NEW(l->a, PlainText, 1, l->e),
                 .file = NEW(l->a, ModelFile, 1, l->e)};
    size_t n = 0;
    if (!r.m || !r.text || !r.file)
        return NULL;
    *r.m = (Pieces){.path = l->t->path, .unknown = -1, .plain = true};
    *r.text = (PlainText){.prefix = true, .trims = true, .escapes = true};
    *r.file =
        (ModelFile){.pieces = r.m, .text = r.text, .kind = 1, .unused = -1, .unknown_text = TEXT(" \xe2\x81\x87 ")};
    memset(r.m->bytes, 0xff, sizeof r.m->bytes);
    if (!read_settings(&r, bytes, &n) || !pieces_new(l, n))
        return NULL;
    r.file->scores = NEW(l->a, double, n, l->e);
    r.file->found = NEW(l->a, bool, n, l->e);
    r.file->whole = NEW(l->a, bool, n, l->e);
    r.file->hidden = NEW(l->a, bool, n, l->e);
    if (!r.file->scores || !r.file->found || !r.file->whole || !r.file->hidden)
        return NULL;
    r.m->scores = r.file->scores;
    for (Field f; next_field(&bytes, &f);)
        if (is_bytes(&f, 1) && !read_piece(&r, f.bytes))
            return NULL;
    return r.file;
}

bool model_file_plain(Load *l, ModelFile *m)
{
    Tokenizer *t = l->t;
    const PlainText *text = m->text;
    t->kind = m->kind == 1 ? &model_unigram : &model_scored_bpe;
    t->model = m->pieces;
    t->normalizers = (Stages){.list = {{&normalizer_plain, text}}, .count = 1};
    bool strips = text->prefix || text->trims;
    const StageKind *decoder = text->trims ? &decoder_plain_trims : &decoder_plain;
    Stages *d = &t->decoders;
    if (m->pieces->byte_fallback)
        d->list[d->count++] = (Stage){&decoder_plain_bytes, NULL};
    d->list[d->count++] = (Stage){decoder, strips ? text : NULL};
    if (!finish_pieces(l, m) || !load_finish(l))
        return false;
    AddedText *shown = NEW(l->a, AddedText, 2, l->e);
    uint32_t *shown_of = NEW(l->a, uint32_t, t->ids, l->e);
    if (!shown || !shown_of)
        return false;
    shown[0] = (AddedText){TEXT(""), true};
    shown[1] = (AddedText){m->unknown_text, false};
    for (int64_t i = 0; i < t->ids; i++)
        shown_of[i] = m->hidden[i] ? 1 : i == m->pieces->unknown ? 2 : 0;
    t->shown = shown;
    t->shown_of = shown_of;
    return true;
}
