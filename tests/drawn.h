/* tests/drawn.h: the tiny models of tests/golden, whose weights are not committed.
 *
 * NAME.drawn is a list of tensors. NAME.safetensors is made from it, with the same bits here and in
 * tests/golden/drawn.py, which writes the lists. The first line of the list is "seed SEED sum SUM". SUM, in
 * hexadecimal, is the 32-bit FNV-1a hash of the bytes of all numbers of NAME.safetensors. Then there is one line per
 * tensor, with tabs: name, lengths ("8,3,7,7"; empty: one number), centre, limit. Two more fields may follow: the name
 * by which the tensor is drawn (missing or empty: its name), and the type F16 or I64 (missing: F32).
 *
 *   number i = centre + limit u
 *
 * u in [-1, 1) has 24 bits. They are from word i % 4 of draw4(d, i / 4, 0). The members of d are the seed, DRAW_TEST as
 * `purpose`, and the hash of the name as `epoch`. F16 is rounded to the nearest number. An I64 number is the centre. */
#ifndef SAPOR_DRAWN_H
#define SAPOR_DRAWN_H

#include "base/base.h"

/* Returns the path of a file or folder of tests/golden in a copy that has all models. The copy is a temporary folder
 * that the first call makes; it is removed when the program ends. A path outside of tests/golden is returned unchanged.
 * The last 64 paths are valid. If the copy cannot be made, the program ends. */
const char *drawn(const char *path);
/* Makes the folder `to`: a copy of the folders of `golden` that contain models, with a NAME.safetensors instead of each
 * NAME.drawn. */
bool draw_models(const char *golden, const char *to, Error *e);

#endif
