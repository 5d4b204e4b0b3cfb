/* tools/tokenize.c: sapor tokenize MODEL [FILE]. */
#include "tools/tools.h"

const Option tokenize_options[] = {
    {"tokens", 0, NULL, "print the tokens instead of their ids"},
    {"offsets", 0, NULL, "print ID:BEGIN:END, the characters of the text that a token comes from"},
    {"decode", 0, NULL, "read lines of ids and print their texts, without special tokens"},
    {"max-length", 0, "N", "at most N ids per text, special tokens included (default: no limit)"},
    {"as-file", 0, NULL, "truncate and pad as tokenizer.json states, like Tokenizer.from_file of Hugging Face"},
    {NULL, 0, NULL, NULL},
};

typedef struct Shown {
    bool pieces, places, json; /* --tokens, --offsets, --json */
} Shown;

static void print_json(const Tokenizer *t, const TokenList *list, Shown f)
{
    JsonWriter w = {.to = stdout};
    json_object(&w, NULL);
    json_array(&w, "ids");
    for (size_t i = 0; i < list->count; i++)
        json_put_i64(&w, NULL, list->ids[i]);
    json_end(&w);
    if (f.pieces) {
        json_array(&w, "tokens");
        for (size_t i = 0; i < list->count; i++)
            json_put_text(&w, NULL, token_text(t, list->ids[i]));
        json_end(&w);
    }
    if (f.places) {
        json_array(&w, "offsets");
        for (size_t i = 0; i < list->count; i++) {
            json_array(&w, NULL);
            json_put_i64(&w, NULL, (int64_t)list->places[i].begin);
            json_put_i64(&w, NULL, (int64_t)list->places[i].end);
            json_end(&w);
        }
        json_end(&w);
    }
    json_finish(&w);
}

static void print_line(const Tokenizer *t, const TokenList *list, Shown f)
{
    for (size_t i = 0; i < list->count; i++) {
        Text piece = f.pieces ? token_text(t, list->ids[i]) : (Text){0};
        fputs(i ? " " : "", stdout);
        if (f.pieces)
            fwrite(piece.p, 1, piece.n, stdout);
        else
            printf("%d", (int)list->ids[i]);
        if (f.places)
            printf(":%zu:%zu", list->places[i].begin, list->places[i].end);
    }
    putchar('\n');
}

/* Prints the text of a line of ids. */
static bool decode_line(const Tokenizer *t, Text line, const char *path, size_t number, bool json, Arena *a, Error *e)
{
    int32_t *ids = NEW(a, int32_t, line.n / 2 + 1, e);
    Text rest = text_trim(line), word, text;
    size_t n = 0;
    if (!ids)
        return false;
    while (rest.n && text_next(&rest, ' ', &word)) {
        int64_t id;
        if (!word.n)
            continue;
        if (!text_i64(word, &id) || id < 0 || id >= tokenizer_vocabulary(t))
            return fail(e, SP_FORMAT, "%s:%zu: expected ids from 0 to %lld, found '%.*s'", path, number,
                        (long long)tokenizer_vocabulary(t) - 1, (int)MIN(word.n, (size_t)40), word.p);
        ids[n++] = (int32_t)id;
    }
    if (!detokenize(t, ids, n, &(DecodeOptions){0}, &text, a, e))
        return false;
    if (json) {
        JsonWriter w = {.to = stdout};
        json_object(&w, NULL);
        json_put_text(&w, "text", text);
        json_finish(&w);
    } else {
        fwrite(text.p, 1, text.n, stdout);
        putchar('\n');
    }
    return true;
}

static bool decode_all(Context *c, const Tokenizer *t, Text rest, const char *file, Error *e)
{
    Text line;
    ArenaMark mark = arena_mark(c->arena);
    for (size_t number = 1; text_line(&rest, &line); number++) {
        if (!decode_line(t, line, file, number, c->json, c->arena, e))
            return false;
        if (ferror(stdout))
            return output_flush(e);
        arena_rewind(c->arena, mark);
    }
    return true;
}

/* all threads tokenize lines; the lines are printed in order */

enum { EACH = 32, TASKS = 16 }; /* lines per task; tasks per batch */

typedef struct LineBatch {
    const Tokenizer *t;
    bool as_file; /* false: as `tokenize` without --as-file */
    TokenOptions options;
    const TokenPadding *padding; /* NULL: none */
    size_t count;
    Shown shown;
    Text lines[EACH * TASKS];
    TokenList lists[EACH * TASKS];
    Error errors[EACH * TASKS];
    Arena **arenas; /* one per worker */
} LineBatch;

static bool tokenize_line(const LineBatch *b, Text line, TokenList *out, Arena *a, Error *e)
{
    TokenIds ids = {0};
    if (b->shown.places || b->as_file)
        return tokenize_texts(b->t, &line, 1, &b->options, out, a, e) &&
               (!b->shown.places || token_code_points(out, 0, line, a, e)) &&
               (!b->padding || pad_tokens(out, 1, b->padding, a, e));
    bool ok = tokenize(b->t, line, b->options.max_length, &ids, a, e);
    *out = (TokenList){.ids = ids.ids, .count = ids.count};
    return ok;
}

static void tokenize_lines(void *arg, size_t task, int worker)
{
    LineBatch *b = arg;
    for (size_t i = task * EACH; i < MIN(b->count, (task + 1) * EACH); i++)
        tokenize_line(b, b->lines[i], &b->lists[i], b->arenas[worker], &b->errors[i]);
}

/* Handles the tokens of one line. Called in the order of the lines, up to the first line that cannot be tokenized. */
typedef bool LineUse(const LineBatch *b, const TokenList *list, void *to, Error *e);

static bool print_list(const LineBatch *b, const TokenList *list, void *to, Error *e)
{
    (void)to;
    (b->shown.json ? print_json : print_line)(b->t, list, b->shown);
    return !ferror(stdout) || output_flush(e);
}

static bool find_longest(const LineBatch *b, const TokenList *list, void *to, Error *e)
{
    size_t *longest = to;
    (void)b, (void)e;
    *longest = MAX(*longest, list->count);
    return true;
}

static bool tokenize_all(LineBatch *b, Text rest, Pool *pool, LineUse *use, void *to, Error *e)
{
    while (rest.n) {
        for (b->count = 0; b->count < COUNT(b->lines) && text_line(&rest, &b->lines[b->count]);)
            b->count++;
        for (int i = 0; i < pool_threads(pool); i++)
            arena_rewind(b->arenas[i], (ArenaMark){0});
        pool_run(pool, (b->count + EACH - 1) / EACH, tokenize_lines, b);
        for (size_t i = 0; i < b->count; i++) {
            if (b->errors[i].code)
                *e = b->errors[i];
            if (b->errors[i].code || !use(b, &b->lists[i], to, e))
                return false;
        }
    }
    return true;
}

/* Tokenizes and prints all lines. With --as-file and a tokenizer.json that pads, lines are padded to its fixed length;
 * without a fixed length, to the longest line, which a first pass finds. */
static bool tokenize_padded(LineBatch *b, Text all, Pool *pool, Error *e)
{
    const TokenPadding *padding = b->as_file ? tokenizer_padding(b->t) : NULL;
    TokenPadding known = padding ? *padding : (TokenPadding){0};
    if (padding && !known.length && !tokenize_all(b, all, pool, find_longest, &known.length, e))
        return false;
    b->padding = known.length ? &known : NULL;
    return tokenize_all(b, all, pool, print_list, NULL, e);
}

static bool tokenize_file(Context *c, const Tokenizer *t, Text all, size_t most, Shown shown, Error *e)
{
    const Device *d = context_device(c, e);
    LineBatch *b = d ? NEW(c->arena, LineBatch, 1, e) : NULL;
    bool ok = b && (b->arenas = NEW(c->arena, Arena *, pool_threads(d->pool), e));
    for (int i = 0; ok && i < pool_threads(d->pool); i++)
        ok = (b->arenas[i] = arena_new(c->heap, 0)) || fail_memory(e, 1, "a thread");
    if (ok) {
        b->t = t;
        b->as_file = option_given(c, "as-file");
        b->options = b->as_file ? tokenizer_truncation(t)
                                : (TokenOptions){.max_length = most, .from_left = tokenizer_from_left(t)};
        b->options.ids_only = !shown.places;
        b->shown = shown;
        ok = tokenize_padded(b, all, d->pool, e);
    }
    for (int i = 0; b && b->arenas && i < pool_threads(d->pool); i++)
        arena_free(b->arenas[i]);
    return ok;
}

bool tokenize_command(Context *c, Error *e)
{
    int64_t most = 0;
    bool decode = option_given(c, "decode"), as_file = option_given(c, "as-file");
    Shown f = {option_given(c, "tokens"), option_given(c, "offsets"), c->json};
    if (!option_i64(c, "max-length", 1, INT64_MAX, &most, e))
        return false;
    if (decode && (f.pieces || f.places || most || as_file))
        return fail(e, SP_USAGE, "--decode reads ids: --tokens, --offsets, --max-length and --as-file are for texts");
    if (most && as_file)
        return fail(e, SP_USAGE, "--as-file takes the length from tokenizer.json: remove --max-length");
    const char *path = model_find(c->args[0], c->arena, e), *file = c->arg_count == 2 ? c->args[1] : "-";
    Tokenizer *t = path ? tokenizer_load(path, c->arena, e) : NULL;
    Text all = {0};
    if (!t || !text_file_read(&all, c->arena, file, e))
        return false;
    if (strcmp(file, "-") == 0)
        file = "standard input";
    return decode ? decode_all(c, t, all, file, e) : tokenize_file(c, t, all, (size_t)most, f, e);
}
