/* extractors/registry.c: the encoders there are. A new one: its file, and its name here. */
#include "extractors/extractors.h"

#define ENCODERS(X)                                                                                                    \
    X(bert)                                                                                                            \
    X(distilbert)                                                                                                      \
    X(mpnet)                                                                                                           \
    X(vit)                                                                                                             \
    X(resnet)                                                                                                          \
    X(efficientnet_lite)

#define DECLARE(name) extern const EncoderKind name##_kind;
#define ENTRY(name)   &name##_kind,
ENCODERS(DECLARE)
static const EncoderKind *const kinds[] = {ENCODERS(ENTRY)};

size_t encoder_kind_count(void)
{
    return COUNT(kinds);
}

const EncoderKind *encoder_kind_at(size_t i)
{
    return i < COUNT(kinds) ? kinds[i] : NULL;
}
