/* tests/fuzz/recommendations_fuzz.c: lists of recommendations, evaluated with a small data set. */
#include "tests/fuzz/fuzz.h"

#include "tools/recommendations.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e = {0};
    Recs r = {0};
    Arena *a = arena_new(NULL, (size_t)256 << 20);
    DataSet d = {.U = 2, .I = 2, .users = text_index_new(a, &e), .items = text_index_new(a, &e), .arena = a};
    REQUIRE(d.users && d.items && text_index_add(d.users, TEXT("0"), &e) == 0 &&
            text_index_add(d.users, TEXT("u"), &e) == 1);
    bool ok = recommendations_read(&r, as_file(data, size), &d, a, &e);
    check_end(ok, &e);
    for (size_t i = 0; ok && i < r.count; i++)
        REQUIRE(r.list[i].user >= 0 && r.list[i].user < d.U && r.list[i].item >= 0 &&
                r.list[i].item < text_index_count(d.items) &&
                (i == 0 || r.list[i].user > r.list[i - 1].user ||
                 (r.list[i].user == r.list[i - 1].user && r.list[i].score <= r.list[i - 1].score)));
    arena_free(a);
    return 0;
}
