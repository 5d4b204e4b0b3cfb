/* tools/tokenize.c: sapor tokenize MODEL [FILE]. */
#include "tools/tools.h"

const Option tokenize_options[] = {
    {"tokens", 0, NULL, "print the tokens instead of their ids"},
    {"offsets", 0, NULL, "print ID:BEGIN:END, the characters of the text that a token comes from"},
    {"decode", 0, NULL, "read lines of ids and print their texts, without special tokens"},
    {"max-length", 0, "N", "at most N ids per text, special tokens included (default: no limit)"},
    {NULL, 0, NULL, NULL},
};

typedef struct Shown {
    bool pieces, places, json;
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

static bool tokenize_line(const Tokenizer *t, Text line, size_t most, Shown f, Arena *a, Error *e)
{
    TokenList list = {0};
    TokenIds ids = {0};
    if (f.places ? !tokenize_texts(t, &line, 1, &(TokenOptions){.max_length = most}, &list, a, e) ||
                       !token_code_points(&list, 0, line, a, e)
                 : !tokenize(t, line, most, &ids, a, e))
        return false;
    if (!f.places)
        list = (TokenList){.ids = ids.ids, .count = ids.count};
    (f.json ? print_json : print_line)(t, &list, f);
    return true;
}

/* A line of ids to their text. */
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

bool tokenize_command(Context *c, Error *e)
{
    int64_t most = 0;
    bool decode = option_given(c, "decode");
    Shown f = {option_given(c, "tokens"), option_given(c, "offsets"), c->json};
    if (!option_i64(c, "max-length", 1, INT64_MAX, &most, e))
        return false;
    if (decode && (f.pieces || f.places || most))
        return fail(e, SP_USAGE, "--decode reads ids: --tokens, --offsets and --max-length are for texts");
    const char *path = model_find(c->args[0], c->arena, e), *file = c->arg_count == 2 ? c->args[1] : "-";
    Tokenizer *t = path ? tokenizer_load(path, c->arena, e) : NULL;
    Text rest = {0}, line;
    if (!t || !text_file_read(&rest, c->arena, file, e))
        return false;
    if (strcmp(file, "-") == 0)
        file = "standard input";
    ArenaMark mark = arena_mark(c->arena);
    for (size_t number = 1; text_line(&rest, &line); number++) {
        if (decode ? !decode_line(t, line, file, number, c->json, c->arena, e)
                   : !tokenize_line(t, line, (size_t)most, f, c->arena, e))
            return false;
        if (ferror(stdout))
            return output_whole(e);
        arena_rewind(c->arena, mark);
    }
    return true;
}
