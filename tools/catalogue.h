/* tools/catalogue.h: the small catalogue that `sapor demo` draws: pictures, descriptions, users with known tastes. All of it is synthetic. */
#ifndef SAPOR_CATALOGUE_H
#define SAPOR_CATALOGUE_H

#include "base/base.h"

/* The generator's numbers, fixed once. Figures of the demo mean something only while nobody tunes them. */
enum {
    CATALOGUE_ITEMS = 360,
    CATALOGUE_USERS = 800,
    CATALOGUE_SIDE = 64,   /* of a picture, pixels */
    CATALOGUE_FEWEST = 5,  /* interactions of a user */
    CATALOGUE_MOST = 13,
    CATALOGUE_SEED = 20250101
};
#define CATALOGUE_TASTE 2.2      /* how much tastes count against popularity and chance */
#define CATALOGUE_POPULARITY 0.6 /* deviation of the items' popularity */

/* Writes FOLDER/pictures/<item>.png, items.tsv (item, title, description), interactions.tsv (user, item, rating, time) and README.txt.
 * The bytes depend on the numbers above alone. *interactions: how many. */
bool catalogue_draw(const char *folder, size_t *interactions, FILE *progress, const Heap *heap, Error *e);
/* RGB, 8 bits, stored without compression: needs no library and gives the same bytes everywhere. */
bool png_write(const char *path, int32_t width, int32_t height, const unsigned char *rgb, const Heap *heap, Error *e);

#endif
