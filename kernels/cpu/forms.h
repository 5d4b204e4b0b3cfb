/* kernels/cpu/forms.h: the forms of packed weights (gemm/narrow.h). A caller asks for a type. BF16 and INT8 have
 * several forms, and FN(pack_form) takes the best one of the processor. Tests and peaks name a form: what takes a Pack
 * takes these, too. */
#ifndef SAPOR_FORMS_H
#define SAPOR_FORMS_H

#include "kernels/kernels.h"

/* WIDE is multiplied as float32. DOTS and AMX round A to the type, too, and sum products by pairs (BF16) or by fours
 * (INT8, exact), AMX 16 of them at once. AMX is Intel's matrix unit; INT8_AMX has INT8_DOTS's bits. F32 and F16 have
 * one form, themselves. */
#define PACK_BF16_WIDE ((Pack)(PACK_COUNT + 0))
#define PACK_BF16_DOTS ((Pack)(PACK_COUNT + 1))
#define PACK_BF16_AMX  ((Pack)(PACK_COUNT + 2))
#define PACK_INT8_DOTS ((Pack)(PACK_COUNT + 3))
#define PACK_INT8_AMX  ((Pack)(PACK_COUNT + 4))
enum { PACK_FORMS = PACK_COUNT + 5 };

#endif
