/* tests/fuzz/json_fuzz.c: the JSON reader, with and without folding, and the writer: a string that is read,
 * written and read again is the same. */
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

static bool same_json(const Json *a, const Json *b)
{
    Error e = {0};
    REQUIRE(a->type == b->type &&
            text_equal(a->text.p && !a->folded ? a->text : TEXT(""), b->text.p ? b->text : TEXT("")));
    REQUIRE(a->count == b->count && text_equal(a->key.p ? a->key : TEXT(""), b->key.p ? b->key : TEXT("")));
    Arena *arena = arena_new(NULL, 0);
    JsonItems *items = json_items(a, arena, &e);
    const Json *child = b->first, *own;
    for (; (own = json_next(items)) && child; child = child->next)
        same_json(own, child);
    REQUIRE(!own && !child && !e.code);
    json_items_free(items);
    arena_free(arena);
    return true;
}

/* Checks that a folded container reads the same as the tree without folding. */
static void fold_again(Text source, const Json *whole)
{
    static const char *const KEYS[] = {"a", "vocab", NULL};
    Error e = {0};
    Arena *a = arena_new(fuzz_heap(source.n), 0);
    const Json *j = json_parse_folded(a, source, "folded.json", KEYS, &e);
    check_end(j != NULL, &e);
    if (whole)
        REQUIRE(j && same_json(j, whole));
    if (j && j->type == JSON_OBJECT && !whole)
        for (const Json *k = j->first; k; k = k->next) {
            JsonItems *items = json_items(k, a, &e);
            while (items && json_next(items))
                ;
            json_items_free(items);
            error_clear(&e);
        }
    arena_free(a);
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
    fold_again((Text){(const char *)data, size}, j);
    if (j && j->type == JSON_STRING)
        write_back(j, a);
    arena_free(a);
    return 0;
}
