/* tools/demo.h: the parts of `sapor demo`. */
#ifndef SAPOR_DEMO_H
#define SAPOR_DEMO_H

#include "tools/tools.h"

/* Draws pictures and descriptions, trains a picture and a text encoder on them and writes FOLDER/vision and FOLDER/text (demo_encoder.c). */
bool demo_encoder_train(Context *c, const char *folder, Error *e);

#endif
