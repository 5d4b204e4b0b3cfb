/* tools/demo/demo.h: the parts of `sapor demo`. */
#ifndef SAPOR_DEMO_H
#define SAPOR_DEMO_H

#include "tools/tools.h"

/* Draws images and descriptions, trains an image and a text encoder on them and writes FOLDER/vision and FOLDER/text
 * (demo_encoder.c). */
#ifndef SAPOR_MINIMAL
bool demo_encoder_train(Context *c, const char *folder, Error *e);
#else /* 14 KB that an embedded device has no use for */
static inline bool demo_encoder_train(Context *c, const char *folder, Error *e)
{
    (void)c;
    return fail(e, SP_UNSUPPORTED, "%s: this build does not train encoders; build without MINIMAL=1", folder);
}
#endif

/* The folder of one of that pair, "vision" or "text", as the project ships it: beside the program, or where `make
 * install` puts it. NULL where it is not there. */
const char *demo_encoder(const char *which, Arena *a, Error *e);

#endif
