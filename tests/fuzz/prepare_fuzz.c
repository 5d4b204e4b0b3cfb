/* tests/fuzz/prepare_fuzz.c: published files. The first byte chooses whether the rest is reviews or metadata, and the
 * settings of the preparation. All steps run except the last one, which writes the files. */
#include "tests/fuzz/fuzz.h"

#include "recsys/data/prepare/prepare.h"

/* Reviews whose items the metadata may describe. */
static const char *fixed_reviews(void)
{
    static const char TEXT_OF[] = "{\"reviewerID\": \"u\", \"asin\": \"a\", \"overall\": 4.0, \"unixReviewTime\": 3}\n"
                                  "{\"reviewerID\": \"v\", \"asin\": \"b\", \"overall\": 4.5, \"unixReviewTime\": 5}\n"
                                  "{\"reviewerID\": \"v\", \"asin\": \"1\", \"overall\": 4.5, \"unixReviewTime\": 5}\n";
    static char path[64];
    if (!path[0]) {
        int fd = memfd_create("reviews", MFD_CLOEXEC);
        REQUIRE(fd >= 0 && write(fd, TEXT_OF, sizeof TEXT_OF - 1) == (ssize_t)(sizeof TEXT_OF - 1));
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    return path;
}

static void check_rows(const Preparation *p)
{
    const Ratings *r = &p->r;
    int64_t users = text_index_count(r->users), items = text_index_count(r->items);
    for (size_t i = 0; i < r->count; i++) {
        REQUIRE(r->user[i] >= 0 && r->user[i] < users && r->item[i] >= 0 && r->item[i] < items);
        REQUIRE(!p->part || (p->part[i] >= 0 && p->part[i] < 3 && p->order[i] < r->count));
        REQUIRE(!p->user_number || (p->user_number[r->user[i]] >= 0 && p->user_number[r->user[i]] < users));
        REQUIRE(!p->item_number || (p->item_number[r->item[i]] >= 0 && p->item_number[r->item[i]] < items));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t way = data[0];
    const char *path = as_file(data + 1, size - 1), *source = way & 1 ? fixed_reviews() : path;
    PrepareConfig c = {.sources = &source, .source_count = 1, .heap = fuzz_heap(size), .out = "never"};
    prepare_preset(&c, (Recipe)(way >> 1 & 3) % RECIPE_COUNT);
    c.meta = way & 1 ? path : NULL;
    c.skip_broken = way & 8;
    c.amazon = way & 16;
    if (way & 32)
        c.unique = UNIQUE_PAIR;
    if (way & 64)
        c.user_core = c.item_core = 1;
    if (c.splits && way & 128)
        c.split.strategy = SPLIT_GLOBAL_TIME;
    Error e = {0};
    Preparation p = {.c = &c, .arena = arena_new(c.heap, 0), .scratch = arena_new(c.heap, 0)};
    bool ok = p.arena && p.scratch && prepare_read(&p, &e) && prepare_unique(&p, &e) && prepare_items(&p, &e) &&
              prepare_filter(&p, &e) && prepare_core(&p, &e) && prepare_number(&p, &e) && prepare_split(&p, &e);
    check_end(ok, &e);
    if (ok)
        check_rows(&p);
    arena_free(p.scratch);
    arena_free(p.arena);
    return 0;
}
