/* tokenizers/classes/tiktoken.c: ranks of tiktoken (one line of base64 and a rank per token), as in the first Qwen
 * models (tokenization_qwen.py of Qwen/Qwen-7B): NFC, Qwen's pattern, and special tokens after the last rank. */
// flags: -Os
#include "tokenizers/pipeline.h"

enum { MAX_RANK_BYTES = 1024 }; /* bytes of a token; the time per byte of the file grows with it */
enum { EXTRAS = 205 };          /* number of <|extra_0|>, <|extra_1|>, ... */

static bool is_qwen(Load *l, bool *qwen)
{
    Text class, type, name = path_base(l->path);
    if (!load_class(l, &class, &type))
        return false;
    *qwen = text_starts(name, "qwen") || text_starts(name, "Qwen") || text_is(class, "QWenTokenizer") ||
            text_is(type, "qwen");
    return true;
}

/* Reads a line: the token into `out`, as letters of ByteLevel, and its rank. */
static bool read_rank(Load *l, Text row, unsigned line, char *out, Text *piece, int64_t *rank)
{
    char bytes[MAX_RANK_BYTES];
    Text rest = row, token, number;
    size_t n = 0, length = 0;
    if (!text_next(&rest, ' ', &token) || !text_next(&rest, ' ', &number) || rest.n || !text_i64(number, rank) ||
        token.n / 4 * 3 > sizeof bytes || !base64_decode(token, bytes, &n) || !n)
        return fail(l->e, SP_FORMAT, "%s:%u: expected a token of 1 to %d bytes in base64, a blank and its rank",
                    l->path, line, MAX_RANK_BYTES);
    for (size_t i = 0; i < n; i++)
        length += utf8_encode(byte_level_code((unsigned char)bytes[i]), out + length);
    *piece = (Text){out, length};
    return true;
}

static bool read_ranks(Load *l)
{
    Tokenizer *t = l->t;
    Text source, row;
    size_t lines = 1;
    if (!load_source(l, l->path, &source))
        return false;
    for (size_t i = 0; i < source.n; i++)
        lines += source.p[i] == '\n';
    /* 4 characters of base64 are 3 bytes, which become at most 2 bytes each */
    char *out = NEW(l->a, char, 2 * source.n + 1, l->e);
    if (!out || !pieces_new(l, lines + EXTRAS + 3))
        return false;
    for (unsigned line = 1; text_line(&source, &row); line++) {
        Text piece = {0};
        int64_t rank = -1;
        if (!row.n)
            continue;
        if (!read_rank(l, row, line, out, &piece, &rank))
            return false;
        if (rank < 0 || rank >= (int64_t)lines || t->pieces[rank].p)
            return fail(l->e, SP_FORMAT, "%s:%u: rank %lld is a duplicate, or out of range", l->path, line,
                        (long long)rank);
        t->pieces[rank] = piece;
        out += piece.n;
        t->ids++;
    }
    l->distinct = (size_t)t->ids;
    for (int64_t i = 0; i < t->ids; i++)
        if (!t->pieces[i].p)
            return fail(l->e, SP_FORMAT, "%s: rank %lld is missing", l->path, (long long)i);
    return t->ids || fail(l->e, SP_FORMAT, "%s: is empty", l->path);
}

/* Adds the special tokens. They are searched in the normalised text, as in Qwen. */
static bool add_special_tokens(Load *l)
{
    static const char *const FIRST[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    for (size_t i = 0; i < COUNT(FIRST) + EXTRAS; i++) {
        Text text = i < COUNT(FIRST) ? text_of(FIRST[i]) : (Text){0};
        char *extra = text.p ? NULL : arena_printf(l->a, l->e, "<|extra_%zu|>", i - COUNT(FIRST));
        if (!text.p && !extra)
            return false;
        if (!add_token(l, (Added){.content = text.p ? text : text_of(extra), .special = true, .normalized = true},
                       l->path, 0))
            return false;
    }
    return true;
}

static bool has_bytes(const Load *l)
{
    char p[4] = {0};
    for (int b = 0; b < 256; b++)
        if (model_bpe.find(l->t->model, (Text){p, utf8_encode(byte_level_code((unsigned char)b), p)}) < 0)
            return fail(l->e, SP_FORMAT, "%s: the byte 0x%02x has no rank", l->path, (unsigned)b);
    return true;
}

bool load_tiktoken(Load *l)
{
    Tokenizer *t = l->t;
    bool qwen;
    if (!is_qwen(l, &qwen))
        return false;
    if (!qwen)
        return fail(l->e, SP_UNSUPPORTED,
                    "%s: ranks do not say how a text is split; those of Qwen are supported (qwen.tiktoken, or "
                    "model_type qwen in config.json)",
                    l->path);
    if (!add_special_tokens(l) || !read_ranks(l))
        return false;
    const void *level = byte_level_new(l, false, false);
    Pattern *pattern = pattern_new(l, TEXT(PATTERN_QWEN2));
    if (!level || !pattern || !(t->model = bpe_from_pieces(l, &(BpeSettings){.whole = true}, false)) || !has_bytes(l))
        return false;
    t->normalizers = (Stages){.list = {{&normalizer_nfc, NULL}}, .count = 1};
    t->pre_tokenizers =
        (Stages){.list = {{&pre_tokenizer_split, pattern}, {&pre_tokenizer_byte_level, level}}, .count = 2};
    t->decoders = (Stages){.list = {{&decoder_byte_level, NULL}}, .count = 1};
    return load_finish(l);
}
