/* extractors/registry.c: the list of encoders. A new encoder needs a file in extractors/models/ and a line here. A test
 * program may define these two functions with its own list; then this file is not linked. */
#include "extractors/extractors.h"

/* clang-format off */
#define ENCODER_LIST(LINE)          \
    LINE(bert)                      \
    LINE(distilbert)                \
    LINE(mpnet)                     \
    LINE(vit)                       \
    LINE(resnet)                    \
    LINE(efficientnet_lite)         \
    LINE(clip)                      \
    LINE(roberta)                   \
    LINE(efficientnet)              \
    LINE(altclip)                   \
    LINE(align)                     \
    /* new lines above this one */
/* clang-format on */

#define DECLARE(name) extern const EncoderKind encoder_##name;
#define ENTRY(name)   &encoder_##name,
ENCODER_LIST(DECLARE)
static const EncoderKind *const kinds[] = {ENCODER_LIST(ENTRY)};

size_t encoder_kind_count(void)
{
    return COUNT(kinds);
}

const EncoderKind *encoder_kind_at(size_t i)
{
    return i < COUNT(kinds) ? kinds[i] : NULL;
}
