/* tests/fuzz/json_fuzz.c: The JSON reader, and back: what was read and written again reads the same. */
#include "tests/fuzz/fuzz.h"

static size_t walk(const Json *j)
{
    size_t n = 1;
    for (const Json *k = j->first; k; k = k->next) {
        REQUIRE(j->type == JSON_ARRAY || j->type == JSON_OBJECT);
        n += walk(k);
    }
    return n;
}

static void write_back(const Json *j, Arena *a)
{
    char *text = NULL;
    size_t n = 0;
    Error e = {0};
    FILE *to = open_memstream(&text, &n);
    REQUIRE(to);
    JsonWriter w = {.to = to};
    json_put_text(&w, NULL, j->text);
    json_finish(&w);
    fclose(to);
    const Json *again = json_parse(a, (Text){text, n}, "again", &e);
    REQUIRE(again && text_equal(again->text, j->text));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e = {0};
    Arena *a = arena_new(fuzz_heap(size), 0);
    const Json *j = json_parse(a, (Text){(const char *)data, size}, "fuzz.json", &e);
    check_end(j != NULL, &e);
    if (j)
        REQUIRE(walk(j) <= size);
    if (j && j->type == JSON_STRING)
        write_back(j, a);
    arena_free(a);
    return 0;
}
