/* tests/fuzz/ledger_fuzz.c: imports into a ledger. The input is an exported TSV; if the first byte is odd, it is a
 * ledger with changed bytes: two bytes give the place, the third the value. The imported rows are exported, and the
 * export is imported into a second ledger. */
#include "tests/fuzz/fuzz.h"

#include "recsys/search/search.h"

#define FOLDER "/dev/shm/sapor-fuzz-ledger"

static void check_export(Ledger *l, int64_t added)
{
    Error e = {0};
    int64_t again = -1;
    Ledger *second = ledger_open(":memory:", &e);
    REQUIRE(second && ledger_export(l, FOLDER ".tsv", &e));
    REQUIRE(ledger_import(second, FOLDER ".tsv", &again, &e));
    REQUIRE(again <= added);
    ledger_close(second);
}

static void read_it(const char *path)
{
    Error e = {0};
    TrialRow *rows;
    StudyView v;
    size_t n;
    Arena *a = arena_new(NULL, 0);
    Ledger *l = ledger_open(path, &e);
    bool ok = l && ledger_rows(l, &rows, &n, a, &e) && study_view(&v, l, a, &e);
    check_end(ok, &e);
    ledger_close(l);
    arena_free(a);
}

/* Makes a ledger with one row, in the smallest file that SQLite writes. */
static size_t make_ledger(uint8_t *bytes, size_t most)
{
    Error e = {0};
    TrialRow row = {.data = "d",
                    .setting = "",
                    .fold = "",
                    .model = "m",
                    .point = "lr=0.1",
                    .key = "0123456789abcdef0123456789abcdef",
                    .state = TRIAL_DONE,
                    .message = "",
                    .settings = "{\"lr\":\"0.1\"}",
                    .valid = "{\"Recall@5\":0.5}",
                    .test = "{}",
                    .history = "",
                    .worker = "w"};
    StudyData data = {.name = "d", .setting = "", .fold = ""};
    uint64_t seed = 0;
    StudyModel model = {.name = "m", .kind = recommender_at(0), .seeds = &seed, .seed_count = 1};
    Study s = {.name = "s", .system = "mmrec", .data = &data, .data_count = 1, .models = &model, .model_count = 1};
    s.metric = "Recall";
    s.cutoff = 5;
    unlink(FOLDER ".first");
    Ledger *l = ledger_open(FOLDER ".first", &e);
    REQUIRE(l && ledger_put(l, &row, &e) && ledger_put_study(l, &s, &e));
    ledger_close(l);
    int fd = open(FOLDER ".first", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, bytes, most);
    REQUIRE(n > 0 && (size_t)n < most);
    close(fd);
    return (size_t)n;
}

static void put_changed(const char *path, const uint8_t *data, size_t size)
{
    static uint8_t first[1 << 16], changed[1 << 16];
    static size_t bytes;
    if (!bytes)
        bytes = make_ledger(first, sizeof first);
    memcpy(changed, first, bytes);
    for (size_t i = 0; i + 2 < size; i += 3)
        changed[(data[i] | (size_t)data[i + 1] << 8) % bytes] = data[i + 2];
    put_file(path, changed, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    Error e = {0};
    int64_t added;
    const char *path = FOLDER ".sqlite";
    unlink(path);
    unlink(FOLDER ".sqlite-journal");
    if (data[0] & 1) {
        put_changed(path, data + 1, size - 1);
        read_it(path);
    } else {
        put_file(path, data + 1, size - 1);
    }
    Ledger *l = ledger_open(":memory:", &e);
    bool ok = l && ledger_import(l, path, &added, &e);
    check_end(ok, &e);
    if (ok)
        check_export(l, added);
    ledger_close(l);
    return 0;
}
