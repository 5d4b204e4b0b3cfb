/* tests/fuzz/yaml_fuzz.c: Ducho's configurations: the tree, an override, the plan. */
#include "tests/fuzz/fuzz.h"

#include "tools/ducho/extract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error e = {0};
    Extraction *list;
    size_t n;
    Arena *a = arena_new(fuzz_heap(size), 0);
    Yaml *root = yaml_parse(a, (Text){(const char *)data, size}, "fuzz.yml", &e);
    check_end(root != NULL, &e);
    if (root) {
        yaml_override(root, TEXT("visual.items.model.0.batch_size"), TEXT("4"), a, &e);
        error_clear(&e);
        bool ok = extraction_plan(&list, &n, root, a, &e);
        check_end(ok, &e);
        REQUIRE(!ok || n > 0);
    }
    arena_free(a);
    return 0;
}
