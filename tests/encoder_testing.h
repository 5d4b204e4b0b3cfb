/* tests/encoder_testing.h: opens an encoder together with the one call that a test makes. Include it before cmocka
 * (tests/testing.h). */
#ifndef SAPOR_ENCODER_TESTING_H
#define SAPOR_ENCODER_TESTING_H

#include <stdlib.h>

#include "extractors/extractors.h"
#include "tests/drawn.h"

#ifdef SAPOR_MINIMAL /* MINIMAL does not train encoders */
#define QUERY_ADAPTERS NULL
#else
#define QUERY_ADAPTERS "query"
#endif

/* options of the encoder and of its one call, which has one output; 0 and NULL are the defaults */
typedef struct TestOptions {
    /* of the call; only the tower of this modality is opened. 0: all available towers are opened, and the call is of
     * the text tower, or of the image tower if the encoder has no text tower */
    unsigned modality;
    const char *arch, *layer;
    Pooling pool;
    int normalize;
    int64_t max_tokens;
    const Preset *preset;
    Pack dtype;
    int winograd;
    const char *adapters;
} TestOptions;
typedef struct OpenModel {
    Encoder *en;
    Call *call;
    size_t D; /* floats per row */
} OpenModel;

/* Opens the towers and weights that the options `w` name, and makes the call. A path in tests/golden is read from the
 * copy that drawn() makes; any other path is used unchanged. The call is in the arena. On failure `en` is NULL. */
static inline OpenModel open_encoder(const Device *d, const char *path, const TestOptions *w, Arena *a, Error *e)
{
    OpenModel o = {0};
    EncoderOptions options = {.arch = w->arch,
                              .towers = w->modality,
                              .outputs = &w->layer,
                              .output_count = 1,
                              .dtype = w->dtype,
                              .winograd = w->winograd,
                              .train = {.adapters = w->adapters}};
    OutputOptions output = {.name = w->layer, .pool = w->pool, .normalize = w->normalize};
    CallOptions call = {.outputs = &output, .output_count = 1, .max_tokens = w->max_tokens, .preset = w->preset};
    if (!(o.en = encoder_open(d, drawn(path), &options, e)))
        return o;
    unsigned tower = w->modality ? w->modality : o.en->towers & MODALITY_TEXT ? MODALITY_TEXT : MODALITY_IMAGE;
    if ((o.call = call_new(o.en, tower, &call, a, e))) {
        o.D = (size_t)o.call->outputs[0].floats;
        return o;
    }
    encoder_close(o.en);
    return (OpenModel){0};
}

static inline bool encode_some_texts(const OpenModel *o, Tape *t, const Text *texts, size_t n, float *out, Error *e)
{
    return encode_texts(o->call, t, texts, n, &(Results){.out = &out}, e);
}

static inline bool encode_some_images(const OpenModel *o, Tape *t, const Image *images, size_t n, float *out, Error *e)
{
    ImageInput *list = calloc(n + 1, sizeof *list);
    for (size_t i = 0; list && i < n; i++)
        list[i].pixels = images[i];
    bool ok = list ? encode_images(o->call, t, list, n, &(Results){.out = &out}, e) : fail_memory(e, n, "a test");
    free(list);
    return ok;
}

#endif
