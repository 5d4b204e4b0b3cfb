/* tools/demo/catalogue.h: the small synthetic catalogue that `sapor demo` draws: images, descriptions, and users with
 * known tastes. */
#ifndef SAPOR_CATALOGUE_H
#define SAPOR_CATALOGUE_H

#include "base/base.h"

/* The sizes of the catalogue. They are fixed: figures of the demo mean something only if these sizes are never tuned.
 */
enum {
    CATALOGUE_ITEMS = 360,
    CATALOGUE_USERS = 800,
    CATALOGUE_SIDE = 64,  /* width and height of an image, in pixels */
    CATALOGUE_FEWEST = 5, /* smallest number of interactions of a user */
    CATALOGUE_MOST = 13,  /* largest number of interactions of a user */
    CATALOGUE_SEED = 20250101,
    CATALOGUE_KINDS = 6, /* an image shows a kind of thing, in a colour and with a pattern */
    CATALOGUE_HUES = 8,
    CATALOGUE_PATTERNS = 4
};
#define CATALOGUE_TASTE      2.2 /* weight of the tastes, against popularity and chance */
#define CATALOGUE_POPULARITY 0.6 /* standard deviation of the items' popularity */

/* Writes README.txt first, then FOLDER/pictures/<item>.png, items.tsv (item, title, description), interactions.tsv
 * (user, item, rating, time) and extract.yml. The bytes depend only on the numbers above, and every call writes all
 * files again: therefore the files are not synced. *interactions: number of interactions. */
bool catalogue_draw(const char *folder, size_t *interactions, FILE *progress, const Heap *heap, Error *e);
/* Fails if the folder contains files, but no README.txt of a catalogue: these files could be replaced. */
bool catalogue_may_fill(const char *folder, Arena *a, Error *e);

/* One item of a catalogue: item number i of a seed. Only its texts contain the material and the adjective. */
typedef struct Thing {
    int kind, hue, pattern, material, adjective;
} Thing;
typedef enum ThingText { THING_TITLE, THING_DESCRIPTION } ThingText;
enum { THING_TEXT = 160 }; /* size of a text buffer, with the final NUL */
void thing_draw(Thing *t, uint64_t seed, uint64_t i);
/* Draws the image [CATALOGUE_SIDE, CATALOGUE_SIDE, 3]. Seed and item determine position, size, light and noise. */
void thing_image(const Thing *t, uint64_t seed, uint64_t item, unsigned char *rgb);
void thing_describe(const Thing *t, ThingText what, char text[THING_TEXT]);

/* Writes RGB, 8 bits, without compression. The function needs no library and writes the same bytes on every machine.
 * The file is not synced. */
bool png_write(const char *path, int32_t width, int32_t height, const unsigned char *rgb, const Heap *heap, Error *e);

#endif
