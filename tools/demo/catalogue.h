/* tools/demo/catalogue.h: the small catalogue that `sapor demo` draws: images, descriptions, users with known tastes.
 * All of it is synthetic. */
#ifndef SAPOR_CATALOGUE_H
#define SAPOR_CATALOGUE_H

#include "base/base.h"

/* The generator's numbers, fixed once. Figures of the demo mean something only while nobody tunes them. */
enum {
    CATALOGUE_ITEMS = 360,
    CATALOGUE_USERS = 800,
    CATALOGUE_SIDE = 64,  /* of an image, pixels */
    CATALOGUE_FEWEST = 5, /* interactions of a user */
    CATALOGUE_MOST = 13,
    CATALOGUE_SEED = 20250101,
    CATALOGUE_KINDS = 6, /* what an image shows: a kind of thing in a colour with a pattern */
    CATALOGUE_HUES = 8,
    CATALOGUE_PATTERNS = 4
};
#define CATALOGUE_TASTE      2.2 /* how much tastes count against popularity and chance */
#define CATALOGUE_POPULARITY 0.6 /* deviation of the items' popularity */

/* Writes FOLDER/pictures/<item>.png, items.tsv (item, title, description), interactions.tsv (user, item, rating, time),
 * extract.yml and, as the first, README.txt.
 * The bytes depend on the numbers above alone, and every call writes all of them: nothing is synced. *interactions: how
 * many. */
bool catalogue_draw(const char *folder, size_t *interactions, FILE *progress, const Heap *heap, Error *e);
/* Refuses a folder that holds files, but no README.txt of a catalogue: they might be replaced. */
bool catalogue_may_fill(const char *folder, Arena *a, Error *e);

/* One item of a catalogue: number i of a seed. Its material and adjective are in its texts only. */
typedef struct Thing {
    int kind, hue, pattern, material, adjective;
} Thing;
typedef enum ThingText { THING_TITLE, THING_DESCRIPTION } ThingText;
enum { THING_TEXT = 160 }; /* bytes of a text, NUL included, are fewer */
void thing_draw(Thing *t, uint64_t seed, uint64_t i);
/* Its image [CATALOGUE_SIDE, CATALOGUE_SIDE, 3]; seed and item decide place, size, light and noise. */
void thing_image(const Thing *t, uint64_t seed, uint64_t item, unsigned char *rgb);
void thing_describe(const Thing *t, ThingText what, char text[THING_TEXT]);

/* RGB, 8 bits, stored without compression: needs no library and gives the same bytes everywhere. Not synced. */
bool png_write(const char *path, int32_t width, int32_t height, const unsigned char *rgb, const Heap *heap, Error *e);

#endif
