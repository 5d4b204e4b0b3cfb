/* tests/folder_testing.h: compares two folders, for tests of runs. */
#ifndef SAPOR_FOLDER_TESTING_H
#define SAPOR_FOLDER_TESTING_H

#include "tests/testing.h"

/* Checks that two folders have files of the same names with the same bytes. */
static inline void assert_same_folders(Arena *a, const char *x, const char *y)
{
    Error e = {0};
    FolderEntry *ex, *ey;
    size_t nx = 0, ny = 0;
    assert_true(folder_list(&ex, &nx, a, x, &e) && folder_list(&ey, &ny, a, y, &e));
    assert_int_equal(nx, ny);
    for (size_t i = 0; i < nx; i++) {
        Text tx, ty;
        assert_string_equal(ex[i].name, ey[i].name);
        assert_true(file_read(&tx, a, path_join(a, x, ex[i].name, &e), 0, &e));
        assert_true(file_read(&ty, a, path_join(a, y, ey[i].name, &e), 0, &e));
        if (!text_equal(tx, ty))
            fail_msg("%s differs between %s and %s", ex[i].name, x, y);
    }
}

#endif
