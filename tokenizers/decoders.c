/* tokenizers/decoders.c: ids back to a text. */
#include "tokenizers/pipeline.h"

bool token_bytes_room(TokenBytes *b, size_t n, Arena *a, Error *e)
{
    if (n <= b->room)
        return true;
    size_t room = MAX(MAX(n, 2 * b->room), (size_t)64);
    char *p = NEW(a, char, room, e);
    if (!p)
        return false;
    if (b->n)
        memcpy(p, b->p, b->n);
    b->p = p;
    b->room = room;
    return true;
}

/* Replaces `from` by `to` in p[0, n), in place, and returns the new length. `to` must not be longer than `from`. */
static size_t replace_all(char *p, size_t n, Text from, Text to)
{
    size_t kept = 0;
    for (size_t i = 0; p && i < n;) {
        bool found = n - i >= from.n && !memcmp(p + i, from.p, from.n);
        Text next = found ? to : (Text){p + i, 1};
        if (next.n)
            memmove(p + kept, next.p, next.n);
        kept += next.n;
        i += found ? from.n : 1;
    }
    return kept;
}

/* Applies the replacements one after the other, in place: each makes the text shorter. If `do_not` is true,
 * " do not" also becomes " don't"; the cleanup of transformers has no such replacement. */
static size_t clean_up(char *p, size_t n, bool do_not)
{
    static const char *const PAIRS[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                           {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                           {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < COUNT(PAIRS); i++)
        if (do_not || !text_is(TEXT(" do not"), PAIRS[i][0]))
            n = replace_all(p, n, text_of(PAIRS[i][0]), text_of(PAIRS[i][1]));
    return n;
}

/* ---- WordPiece ------------------------------------------------------------------------------- */

const DecoderWordPiece decoder_wordpiece_default = {{"##", 2}, true};

static bool parse_wordpiece(Load *l, const Json *j, const void **settings)
{
    const Json *prefix = json_get(j, "prefix"), *cleanup = json_get(j, "cleanup");
    DecoderWordPiece *s = NEW(l->a, DecoderWordPiece, 1, l->e);
    if (!s)
        return false;
    if (!prefix || prefix->type != JSON_STRING || !cleanup || cleanup->type != JSON_BOOL)
        return fail(l->e, SP_FORMAT, "%s:%u: expected prefix and cleanup in the WordPiece decoder", l->path,
                    (unsigned)j->line);
    *s = (DecoderWordPiece){prefix->text, cleanup->boolean};
    *settings = s;
    return true;
}

static bool decode_wordpiece(const void *settings, bool first, TokenBytes *token, Arena *a, Error *e)
{
    const DecoderWordPiece *s = settings;
    if (!first && token->n >= s->prefix.n && !memcmp(token->p, s->prefix.p, s->prefix.n)) {
        token->n -= s->prefix.n;
        memmove(token->p, token->p + s->prefix.n, token->n);
    } else if (!first) {
        if (!token_bytes_room(token, token->n + 1, a, e))
            return false;
        memmove(token->p + 1, token->p, token->n++);
        token->p[0] = ' ';
    }
    if (s->cleanup)
        token->n = clean_up(token->p, token->n, true);
    return true;
}

const StageKind decoder_wordpiece = {.name = "WordPiece", .parse = parse_wordpiece, .decode = decode_wordpiece};

/* ---- BPEDecoder ------------------------------------------------------------------------------ */

static bool parse_bpe(Load *l, const Json *j, const void **settings)
{
    const Json *suffix = json_get(j, "suffix");
    if (!suffix || suffix->type != JSON_STRING || !suffix->text.n || suffix->text.n > MAX_AFFIX)
        return fail(l->e, SP_FORMAT, "%s:%u: decoder BPEDecoder: expected 1 to %d bytes as suffix", l->path,
                    (unsigned)j->line, MAX_AFFIX);
    *settings = &suffix->text;
    return true;
}

static bool decode_bpe(const void *settings, bool first, TokenBytes *token, Arena *a, Error *e)
{
    (void)first, (void)a, (void)e;
    token->n = replace_all(token->p, token->n, *(const Text *)settings, TEXT(" "));
    return true;
}

static void decode_bpe_last(const void *settings, TokenBytes *token)
{
    token->n = replace_all(token->p, token->n, *(const Text *)settings, TEXT(""));
}

const StageKind decoder_bpe = {
    .name = "BPEDecoder", .parse = parse_bpe, .decode = decode_bpe, .decode_last = decode_bpe_last};

/* ---- incomplete characters ------------------------------------------------------------------- */

static TokenBytes held_bytes(const TokenStream *s)
{
    return (TokenBytes){.p = s->held, .n = s->held_count, .room = s->held_room};
}

/* Converts the held bytes, followed by the token, to UTF-8 in *token. Malformed bytes become U+FFFD, as in Rust's
 * from_utf8_lossy. An incomplete character at the end is held for the next token, unless the text ends here (`ends`).
 */
static bool complete(TokenStream *s, TokenBytes *token, bool ends, Arena *a, Error *e)
{
    size_t held = s->held_count, n = held + token->n, written = 0;
    TokenBytes waiting = held_bytes(s);
    /* the input is at the end of the buffer, the output at its beginning */
    if (!token_bytes_room(token, 3 * n, a, e) || !token_bytes_room(&waiting, 4, a, e))
        return false;
    s->held = waiting.p;
    s->held_room = waiting.room;
    char *in = token->p + 2 * n;
    if (token->n)
        memmove(in + held, token->p, token->n);
    memcpy(in, s->held, held);
    s->held_count = 0;
    for (size_t i = 0, length; i < n; i += length) {
        uint32_t c;
        bool open = false;
        length = utf8_decode(in + i, n - i, &c);
        if (length) {
            memmove(token->p + written, in + i, length);
            written += length;
            continue;
        }
        length = unicode_part(in + i, n - i, &open);
        if (open && !ends) {
            memcpy(s->held, in + i, length);
            s->held_count = length;
        } else {
            written += utf8_encode(0xfffd, token->p + written);
        }
    }
    token->n = written;
    return true;
}

/* ---- decoding -------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Returns the byte of "<0x41>", or of "<0x+1>", which Rust also reads as a number. -1: another token. */
static int byte_of(const TokenBytes *t)
{
    if (t->n != 6 || memcmp(t->p, "<0x", 3) != 0 || t->p[5] != '>')
        return -1;
    int high = t->p[3] == '+' ? 0 : hex_value(t->p[3]), low = hex_value(t->p[4]);
    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

static bool append(TokenBytes *to, Text text, Arena *a, Error *e)
{
    if (!token_bytes_room(to, to->n + text.n, a, e))
        return false;
    if (text.n)
        memcpy(to->p + to->n, text.p, text.n);
    to->n += text.n;
    return true;
}

static bool joins_bytes(const StageKind *kind)
{
    return kind->joins == JOIN_BYTES || kind->joins == JOIN_CHARACTERS;
}

static bool is_partial(const TokenStream *s)
{
    const Stages *d = &s->tokenizer->decoders;
    return d->count && d->list[d->count - 1].kind->partial;
}

/* Returns the decoder that treats the last token differently, or NULL. */
static const Stage *waiting_stage(const TokenStream *s)
{
    const Stages *d = &s->tokenizer->decoders;
    const Stage *last = d->count ? &d->list[d->count - 1] : NULL;
    return last && last->kind->decode_last ? last : NULL;
}

/* Holds the token until the next one; *token becomes the token that was held. */
static bool wait_for_next(TokenStream *s, TokenBytes *token, Arena *a, Error *e)
{
    TokenBytes held = held_bytes(s), next = *token;
    if (!token_bytes_room(&held, 1, a, e))
        return false;
    *token = (TokenBytes){held.p, held.n, held.room, next.most, next.time};
    s->held = next.p;
    s->held_count = next.n;
    s->held_room = next.room;
    return true;
}

static bool decode_held(TokenStream *s, size_t stage, TokenBytes *out, Arena *a, Error *e);

/* Decodes a token with the decoders from `stage` on, and appends the text to `out`. A byte token is held instead. */
static bool decode_from(TokenStream *s, size_t stage, TokenBytes *token, TokenBytes *out, Arena *a, Error *e)
{
    const Stages *d = &s->tokenizer->decoders;
    bool fused = false;
    for (size_t i = 0; i < d->count; i++) {
        const Stage *k = &d->list[i];
        int byte = joins_bytes(k->kind) && i >= stage ? byte_of(token) : -1;
        bool first = !(s->begun >> i & 1);
        fused |= k->kind->joins == JOIN_ALL;
        if (byte >= 0) {
            TokenBytes held = held_bytes(s);
            char c = (char)(uint8_t)byte;
            bool ok = append(&held, (Text){&c, 1}, a, e);
            s->held = held.p;
            s->held_count = held.n;
            s->held_room = held.room;
            return ok;
        }
        if (i >= stage && joins_bytes(k->kind) && s->held_count && !decode_held(s, i + 1, out, a, e))
            return false;
        if (i < stage || k->kind->joins || (fused && !first))
            continue;
        bool had_text = token->n > 0;
        if (k->kind->decode_last && !wait_for_next(s, token, a, e))
            return false;
        if (!k->kind->decode(k->settings, first, token, a, e))
            return false;
        if (k->kind->leads ? token->n > 0 : !fused || had_text)
            s->begun |= 1u << i;
    }
    return (!is_partial(s) || complete(s, token, false, a, e)) && append(out, (Text){token->p, token->n}, a, e);
}

static size_t most_decoded(Text token)
{
    return MOST_GROWTH * token.n + MOST_MORE_DECODED;
}

/* Decodes the bytes that decoder number `stage` - 1 has held, with the decoders from `stage` on. */
static bool decode_held(TokenStream *s, size_t stage, TokenBytes *out, Arena *a, Error *e)
{
    Text held = {s->held, s->held_count};
    TokenBytes token = {.most = most_decoded(held), .time = &s->regex};
    size_t bad_at, length;
    bool each_byte = !utf8_valid(held, &bad_at) && s->tokenizer->decoders.list[stage - 1].kind->joins == JOIN_BYTES;
    s->held_count = 0;
    for (size_t i = 0; i < held.n; i += length) {
        uint32_t code = 0xfffd;
        char c[4];
        length = each_byte ? 0 : utf8_decode(held.p + i, held.n - i, &code);
        code = length ? code : 0xfffd;
        length = MAX(length, (size_t)1); /* malformed: one U+FFFD per byte, as in sentencepiece */
        if (!append(&token, (Text){c, utf8_encode(code, c)}, a, e))
            return false;
        if (!each_byte && i + length < held.n)
            continue;
        if (!decode_from(s, stage, &token, out, a, e))
            return false;
        token.n = 0;
    }
    return true;
}

bool token_stream_next(TokenStream *s, int32_t id, Text *part, Arena *a, Error *e)
{
    const Tokenizer *t = s->tokenizer;
    *part = TEXT("");
    if (t->no_decoder.code) {
        *e = t->no_decoder;
        return false;
    }
    if (id < 0 || id >= t->ids || !t->pieces[id].p)
        return true;
    AddedText shown = t->shown_of[id] ? t->shown[t->shown_of[id] - 1] : (AddedText){t->pieces[id], false};
    if (shown.hidden && !s->keep_special)
        return true;
    TokenBytes token = {.p = s->token, .room = s->token_room, .most = most_decoded(shown.text), .time = &s->regex},
               out = {.p = s->p, .room = s->room};
    s->regex.bytes += shown.text.n;
    bool separated = s->any && !t->decoders.count; /* without a decoder, tokens are separated by blanks */
    bool ok = append(&token, separated ? TEXT(" ") : TEXT(""), a, e) && append(&token, shown.text, a, e) &&
              decode_from(s, 0, &token, &out, a, e);
    s->any = true;
    s->token = token.p;
    s->token_room = token.room;
    s->p = out.p;
    s->room = out.room;
    *part = (Text){out.p ? out.p : "", ok ? out.n : 0};
    return ok;
}

bool token_stream_end(TokenStream *s, Text *part, Arena *a, Error *e)
{
    const Stages *d = &s->tokenizer->decoders;
    TokenBytes token = {.p = s->p, .room = s->room};
    const Stage *waiting = waiting_stage(s);
    size_t joiner = 0; /* the decoder that holds byte tokens */
    bool ok;
    *part = TEXT("");
    if (!s->held_count)
        return true;
    while (joiner < d->count && !joins_bytes(d->list[joiner].kind))
        joiner++;
    if (waiting) {
        ok = append(&token, (Text){s->held, s->held_count}, a, e);
        if (ok)
            waiting->kind->decode_last(waiting->settings, &token);
    } else if (is_partial(s) || joiner == d->count) {
        ok = complete(s, &token, true, a, e);
    } else {
        ok = decode_held(s, joiner + 1, &token, a, e);
    }
    s->held_count = 0;
    s->p = token.p;
    s->room = token.room;
    *part = (Text){token.p, ok ? token.n : 0};
    return ok;
}

/* Reports whether Python's str.strip removes the character. */
static bool is_stripped(uint32_t c)
{
    return unicode_flags(c) & U_SPACE || (c >= 0x1c && c <= 0x1f);
}

static Text strip(Text t)
{
    size_t length;
    while (t.n && is_stripped(next_code(t.p, t.n, &length)))
        t = (Text){t.p + length, t.n - length};
    while (t.n && is_stripped(next_code(t.p + t.n - code_length_before(t.p, t.n), t.n, &length)))
        t.n -= length;
    return t;
}

bool detokenize(const Tokenizer *t, const int32_t *ids, size_t count, const DecodeOptions *options, Text *out, Arena *a,
                Error *e)
{
    TokenStream s = {.tokenizer = t, .keep_special = options->keep_special};
    TokenBytes all = {0};
    Text part;
    for (size_t i = 0; i <= count; i++)
        if (!(i < count ? token_stream_next(&s, ids[i], &part, a, e) : token_stream_end(&s, &part, a, e)) ||
            !append(&all, part, a, e))
            return false;
    *out = (Text){all.p ? all.p : "", all.n};
    if (t->word_end.n && all.n)
        *out = strip((Text){all.p, replace_all(all.p, all.n, t->word_end, TEXT(" "))});
    if (options->clean_up && out->n)
        out->n = clean_up(all.p + (out->p - all.p), out->n, false);
    return true;
}
