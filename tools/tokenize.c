/* tools/tokenize.c: sapor tokenize MODEL [FILE]. */
#include "tools/tools.h"

const Option tokenize_options[] = {
    {"tokens", 0, NULL, "print the tokens instead of their ids"},
    {"max-length", 0, "N", "at most N ids per text, special tokens included (default: no limit)"},
    {NULL, 0, NULL, NULL},
};

static void print_json(const Tokenizer *t, const TokenIds *ids, bool pieces)
{
    JsonWriter w = {.to = stdout};
    json_object(&w, NULL);
    json_array(&w, "ids");
    for (size_t i = 0; i < ids->count; i++)
        json_put_i64(&w, NULL, ids->ids[i]);
    json_end(&w);
    if (pieces)
        json_array(&w, "tokens");
    for (size_t i = 0; i < ids->count && pieces; i++)
        json_put_text(&w, NULL, token_text(t, ids->ids[i]));
    json_finish(&w);
}

static void print_ids(const Tokenizer *t, const TokenIds *ids, bool pieces)
{
    for (size_t i = 0; i < ids->count; i++) {
        Text piece = pieces ? token_text(t, ids->ids[i]) : (Text){0};
        fputs(i ? " " : "", stdout);
        if (pieces)
            fwrite(piece.p, 1, piece.n, stdout);
        else
            printf("%d", (int)ids->ids[i]);
    }
    putchar('\n');
}

bool tokenize_command(Context *c, Error *e)
{
    int64_t most = 0;
    bool pieces = option_given(c, "tokens");
    if (!option_i64(c, "max-length", 1, INT64_MAX, &most, e))
        return false;
    const char *path = model_find(c->args[0], c->arena, e);
    Tokenizer *t = path ? tokenizer_load(path, c->arena, e) : NULL;
    Text rest = {0}, line;
    if (!t)
        return false;
    if (!text_file_read(&rest, c->arena, c->arg_count == 2 ? c->args[1] : "-", e))
        return false;
    ArenaMark mark = arena_mark(c->arena);
    while (text_line(&rest, &line)) {
        TokenIds ids = {0};
        if (!tokenize(t, line, (size_t)most, &ids, c->arena, e))
            return false;
        (c->json ? print_json : print_ids)(t, &ids, pieces);
        if (ferror(stdout))
            return output_whole(e);
        arena_rewind(c->arena, mark);
    }
    return true;
}
