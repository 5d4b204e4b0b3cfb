/* tests/fuzz/benchmark_fuzz.c: the file of a benchmark: every key. The data that it names are missing. */
#include "tests/fuzz/fuzz.h"

#include "tools/run/benchmark.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char out[64];
    Error e = {0};
    Study s;
    Arena *a = arena_new(fuzz_heap(size), 0);
    if (!*out) {
        snprintf(out, sizeof out, "/tmp/sapor-fuzz-XXXXXX");
        REQUIRE(mkdtemp(out));
    }
    Yaml *root = yaml_parse(a, (Text){(const char *)data, size}, "fuzz.yml", &e);
    check_end(root != NULL, &e);
    if (root) {
        ProtocolConfig c = {.path = "/nowhere/fuzz.yml", .out = out};
        bool ok = benchmark_read(&s, &c, root, NULL, a, &e);
        check_end(ok, &e);
    }
    arena_free(a);
    return 0;
}
