/* tests/catalogue_test.c: the demo's catalogue is drawn without a sync of each file, because syncs are slow. Other
 * files are still synced. */
#include "tools/demo/catalogue.h" /* before cmocka, which has a macro named fail */

#include <unistd.h>

#include "tests/testing.h"

static int syncs;

int fsync(int fd) /* replaces the system's fsync */
{
    (void)fd;
    syncs++;
    return 0;
}

static void catalogue_is_not_synced(void **state)
{
    (void)state;
    Error e = {0};
    char folder[256], path[512];
    size_t interactions = 0;
    test_folder(folder);
    syncs = 0;
    assert_ok(catalogue_draw(folder, &interactions, NULL, NULL, &e), e);
    assert_int_equal(syncs, 0);
    assert_true(interactions > 0);
    snprintf(path, sizeof path, "%s/pictures/i%03d.png", folder, CATALOGUE_ITEMS - 1);
    assert_true(file_exists(path));
    snprintf(path, sizeof path, "%s/other.txt", folder);
    Out *o = out_open(path, NULL, &e);
    assert_ok(o && out_printf(o, &e, "a") && out_commit(o, &e), e);
    assert_int_equal(syncs, 2); /* the file, and its folder */
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(catalogue_is_not_synced)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
