/* tests/fuzz/mmrec_fuzz.c: a configuration of MMRec in one file: every key. The data that it names are missing. */
#include "tests/fuzz/fuzz.h"

#include "recsys/protocols/protocols.h"

static void note(void *arg, const char *line)
{
    REQUIRE(arg && !strchr(line, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const MODELS[] = {"BM3", "LATTICE", "GRCN", "FREEDOM"};
    Error e = {0};
    Study s;
    Arena *a = arena_new(fuzz_heap(size), 0);
    ProtocolConfig c = {
        .path = as_file(data, size), .model = MODELS[size % COUNT(MODELS)], .dataset = "none", .note = note, .arg = &s};
    bool ok = mmrec_read(&s, &c, a, &e);
    check_end(ok, &e);
    arena_free(a);
    return 0;
}
