/* kernels/act.c: finds activation functions by name, and reports what their backward passes need. */
#include "kernels/act.h"

bool act_find(Text name, Act *act)
{
#define ACT_NAMES(NAME, names, ...) names,
    static const char *const list[] = {ACT_LIST(ACT_NAMES)};
#undef ACT_NAMES
    for (size_t i = 0; i < COUNT(list); i++) {
        Text rest = text_of(list[i]), one;
        while (text_next(&rest, ',', &one)) {
            if (name.n > 0 && text_equal(text_trim(one), name)) {
                *act = (Act)i;
                return true;
            }
        }
    }
    return false;
}

Text act_names(void)
{
#define ACT_NAMES(NAME, names, ...) names
    static const char list[] = ACT_LIST(ACT_NAMES);
#undef ACT_NAMES
    return (Text){list, sizeof list - sizeof ", "};
}

bool act_from_result(Act act, float param)
{
#define ACT_FROM_RESULT(NAME, names, from_result, ...) [ACT_##NAME] = (from_result),
    const bool list[] = {ACT_LIST(ACT_FROM_RESULT)};
#undef ACT_FROM_RESULT
    return list[act];
}
