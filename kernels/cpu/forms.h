/* kernels/cpu/forms.h: the forms of packed weights (gemm/narrow.h). A caller gives a type. BF16 and INT8 have several
 * forms, and FN(pack_form) selects the best form for the processor. Tests and peak measurements name a form: functions
 * that take a Pack also take these forms. */
#ifndef SAPOR_FORMS_H
#define SAPOR_FORMS_H

#include "kernels/kernels.h"

/* F32 and F16 have one form each. The forms of BF16 and INT8:
 * - WIDE is multiplied as float32.
 * - DOTS rounds A to the type, too, and adds the products of two numbers (BF16), or the exact products of four
 *   (INT8). These two or four numbers are called a unit (gemm/narrow.h).
 * - AMX does the same on Intel's matrix unit, for 16 units at a time. INT8_AMX gives the bits that INT8_DOTS
 *   gives at the same level. */
#define PACK_BF16_WIDE ((Pack)(PACK_COUNT + 0))
#define PACK_BF16_DOTS ((Pack)(PACK_COUNT + 1))
#define PACK_BF16_AMX  ((Pack)(PACK_COUNT + 2))
#define PACK_INT8_DOTS ((Pack)(PACK_COUNT + 3))
#define PACK_INT8_AMX  ((Pack)(PACK_COUNT + 4))
enum { PACK_FORMS = PACK_COUNT + 5 };

#endif
