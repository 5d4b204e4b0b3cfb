/* tools/demo/demo.h: the parts of `sapor demo`. */
#ifndef SAPOR_DEMO_H
#define SAPOR_DEMO_H

#include "tools/tools.h"

/* Draws images and descriptions, trains an image encoder and a text encoder on them, and writes FOLDER/vision and
 * FOLDER/text (demo_encoder.c). */
#ifndef SAPOR_MINIMAL
bool demo_encoder_train(Context *c, const char *folder, Error *e);
#else /* 14 KB that an embedded device does not need */
static inline bool demo_encoder_train(Context *c, const char *folder, Error *e)
{
    (void)c;
    return fail(e, SP_UNSUPPORTED, "%s: this build does not train encoders; build without MINIMAL=1", folder);
}
#endif

/* Returns the folder of an encoder of the demo, "vision" or "text". It is searched in share/encoders/demo next to the
 * program and in its parent folder, and where `make install` puts it. NULL: the folder is missing, or memory ran out.
 */
const char *demo_encoder(const char *which, Arena *a, Error *e);

#endif
