/* tests/draw_models.c: build/tests/draw_models FOLDER draws the tiny models of tests/golden into a folder, for tests
 * that are scripts. Run it in the root of the repository. */
#include "tests/drawn.h"

int main(int argc, char **argv)
{
    Error e = {0};
    if (argc == 2 && draw_models("tests/golden", argv[1], &e))
        return 0;
    fprintf(stderr, "draw_models: %s\n", argc == 2 ? e.message : "expected a folder");
    return 1;
}
