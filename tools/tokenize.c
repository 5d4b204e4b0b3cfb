/* tools/tokenize.c: sapor tokenize MODEL [FILE]. */
#include "tools/tools.h"

const Option tokenize_options[] = {
    {"tokens", 0, NULL, "print the tokens instead of their ids"},
    {"max-length", 0, "N", "at most N ids per text, special tokens included (default: no limit)"},
    {NULL, 0, NULL, NULL},
};

static void print_ids(const Context *c, const Tokenizer *t, const TokenIds *ids, bool pieces)
{
    if (c->json)
        printf("{\"ids\":[");
    for (size_t i = 0; i < ids->count && (c->json || !pieces); i++)
        printf("%s%d", i == 0 ? "" : c->json ? "," : " ", (int)ids->ids[i]);
    if (c->json && pieces)
        printf("],\"tokens\":[");
    for (size_t i = 0; i < ids->count && pieces; i++) {
        Text piece = token_text(t, ids->ids[i]);
        fputs(i == 0 ? "" : c->json ? "," : " ", stdout);
        if (c->json)
            json_print_string(stdout, piece);
        else
            fwrite(piece.p, 1, piece.n, stdout);
    }
    fputs(c->json ? "]}\n" : "\n", stdout);
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
        print_ids(c, t, &ids, pieces);
        if (ferror(stdout))
            return output_whole(e);
        arena_rewind(c->arena, mark);
    }
    return true;
}
