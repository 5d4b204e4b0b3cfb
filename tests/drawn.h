/* tests/drawn.h: the tiny models of tests/golden, whose weights are not committed.
 *
 * NAME.drawn is a list of tensors; NAME.safetensors is made from it, with the same bits here and in
 * tests/golden/drawn.py, which writes the lists. The first line is "seed SEED sum SUM": SUM, in hexadecimal, is the
 * 32-bit FNV-1a hash of all numbers as they lie in the file. A line a tensor follows, with tabs: name, lengths
 * ("8,3,7,7"; empty: one number), centre, limit; and, where they differ, the name by which it is drawn, then the type
 * (F32). Number i is centre + limit u: u in [-1, 1) has 24 bits from word i % 4 of draw4 at index i / 4, with the seed,
 * DRAW_TEST and the hash of the name as epoch. F16 is rounded to the nearest; I64 is the centre. */
#ifndef SAPOR_DRAWN_H
#define SAPOR_DRAWN_H

#include "base/base.h"

/* The path of a file or folder of tests/golden in a copy with all models, in a temporary folder that is made by the
 * first call and removed when the program ends. A path elsewhere is given back. The last 64 paths stay valid. The
 * program ends where a copy cannot be made. */
const char *drawn(const char *path);
/* Copies the folders of GOLDEN that hold models into the folder `to`. */
bool draw_models(const char *golden, const char *to, Error *e);

#endif
