/* tools/bench/bench_encoder.c: measures a complete encoder, from texts or images to features. */
// flags: -Os
#include <math.h>

#include "tools/bench/bench.h"

typedef struct EncoderRun {
    const Call *call;
    Tape *tape;
    const Text *texts;
    const ImageInput *images;
    size_t n;
    float *out;
    Error error;
} EncoderRun;

static void encoder_body(void *arg)
{
    EncoderRun *r = arg;
    Results to = {.out = &r->out};
    if (r->texts)
        encode_texts(r->call, r->tape, r->texts, r->n, &to, &r->error);
    else
        encode_images(r->call, r->tape, r->images, r->n, &to, &r->error);
}

/* Counts the operations and bytes of one run with a tape that has a trace. */
static bool count_work(Bench *b, EncoderRun *r, Figure *f, Error *e)
{
    Device counting = *b->d;
    const TraceTotal *total;
    Tape *tape = r->tape;
    bool ok = (counting.trace = trace_new(b->c->heap, false, e)) && (r->tape = tape_new(&counting, false, e));
    if (ok)
        encoder_body(r);
    for (size_t i = 0, n = trace_totals(counting.trace, &total); i < n; i++) {
        f->flops += total[i].flops;
        f->bytes += total[i].bytes;
    }
    if (r->tape != tape)
        tape_free(r->tape);
    trace_free(counting.trace);
    r->tape = tape;
    return ok;
}

/* Measures the encoder. If `features` is not NULL, writes the features of the inputs there, [batch, D], instead. */
static bool measure_encoder(Bench *b, const Call *call, int64_t batch, int64_t tokens, float *features, Error *e)
{
    const Encoder *en = call->encoder;
    bool texts = call->modality == MODALITY_TEXT;
    int64_t D = call->outputs[0].floats;
    EncoderRun r = {
        .call = call, .n = (size_t)batch, .tape = tape_new(b->d, false, e), .out = NEW(b->arena, float, batch *D, e)};
    Text *list = NEW(b->arena, Text, batch, e);
    ImageInput *images = NEW(b->arena, ImageInput, batch, e);
    bool ok = r.tape && r.out && list && images;
    int64_t width = call->preset.width, height = call->preset.height, pixels = 3 * width * height;
    unsigned char *noise = texts || !ok ? NULL : NEW(b->arena, unsigned char, pixels, e);
    for (int64_t i = 0; noise && i < pixels; i++)
        noise[i] = (unsigned char)draw_below((Draw){1, DRAW_TEST, 0}, (uint64_t)i, 256);
    for (int64_t i = 0; ok && i < batch; i++) {
        list[i] = texts ? bench_text(b, tokens, (size_t)i, e) : (Text){0};
        images[i].pixels = (Image){.width = width, .height = height, .pixels = noise};
        ok = texts ? list[i].p != NULL : noise != NULL;
    }
    r.texts = texts ? list : NULL;
    r.images = images;
    char shape[80];
    if (texts)
        snprintf(shape, sizeof shape, "%s-B%lld-T%lld", en->kind->name, (long long)batch, (long long)tokens);
    else
        snprintf(shape, sizeof shape, "%s-B%lld-%lldx%lld%s", en->kind->name, (long long)batch, (long long)width,
                 (long long)height, en->options.winograd ? "-w6" : "");
    Figure f = {"encoder", shape, .dtype = pack_name(en->options.dtype), .items = (double)batch};
    if (ok && features) {
        encoder_body(&r);
        memcpy(features, r.out, (size_t)(batch * D) * sizeof *features);
    } else {
        ok = ok && count_work(b, &r, &f, e) && !r.error.code && bench_measure(b, &f, encoder_body, &r, e);
    }
    ok = ok && !r.error.code;
    if (r.error.code)
        *e = r.error;
    tape_free(r.tape);
    return ok;
}

/* Opens a model and creates the call that is timed, with the model's usual output. */
static Encoder *open_encoder(Bench *b, const char *model, const EncoderOptions *o, int64_t tokens, Call **call,
                             Error *e)
{
    Encoder *en = encoder_open(b->d, model, o, e);
    unsigned tower = !en || !(en->towers & MODALITY_TEXT) ? MODALITY_IMAGE : MODALITY_TEXT;
    CallOptions options = {.max_tokens = tower == MODALITY_TEXT ? tokens : 0};
    if (en && (*call = call_new(en, tower, &options, b->arena, e)))
        return en;
    encoder_close(en);
    return NULL;
}

/* Prints how much --dtype and --winograd change the features, compared with the defaults for the same inputs. */
static bool check_cost(Bench *b, const char *model, EncoderOptions o, const Call *call, int64_t batch, int64_t tokens,
                       Error *e)
{
    int64_t D = call->outputs[0].floats;
    Call *plain = NULL;
    const char *dtype = pack_name(o.dtype);
    float *got = NEW(b->arena, float, batch *D, e), *expected = NEW(b->arena, float, batch *D, e);
    int winograd = o.winograd ? o.winograd : 4;
    o.dtype = PACK_F32;
    o.winograd = 0;
    Encoder *exact = got && expected ? open_encoder(b, model, &o, tokens, &plain, e) : NULL;
    bool ok = exact && measure_encoder(b, call, batch, tokens, got, e) &&
              measure_encoder(b, plain, batch, tokens, expected, e);
    encoder_close(exact);
    double worst = 2, mean = 0, most = 0;
    for (int64_t i = 0; ok && i < batch; i++) {
        double ab = 0, aa = 0, bb = 0, largest = 0, apart = 0;
        for (int64_t k = i * D; k < (i + 1) * D; k++) {
            ab += (double)got[k] * expected[k];
            aa += (double)got[k] * got[k];
            bb += (double)expected[k] * expected[k];
            largest = fmax(largest, fabs((double)expected[k]));
            apart = fmax(apart, fabs((double)got[k] - expected[k]));
        }
        double cosine = aa * bb > 0 ? ab / sqrt(aa * bb) : aa == bb;
        worst = fmin(worst, cosine);
        mean += cosine / (double)batch;
        most = fmax(most, largest > 0 ? apart / largest : apart);
    }
    if (ok && b->c->json) {
        JsonWriter w = json_record(stdout, "bench", "check");
        json_members(&w, "dtype %s winograd %lld inputs %lld cosine_min %.6f cosine_mean %.6f max_difference %.3g",
                     dtype, (long long)winograd, (long long)batch, worst, mean, most);
        json_finish(&w);
    } else if (ok) {
        printf("check      %s%s against f32, %lld inputs: cosine >= %.6f, mean %.6f; |a-b| <= %.2g max|b|\n", dtype,
               winograd == 6 ? "-w6" : "", (long long)batch, worst, mean, most);
    }
    return ok;
}

bool bench_encoder(Bench *b, const char *model, Error *e)
{
    int64_t batch = 1, tokens = 128;
    EncoderOptions o = {.arch = option_text(b->c, "arch"), .outputs = (const char *const[]){NULL}, .output_count = 1};
    Call *call = NULL;
    if (!option_i64(b->c, "batch", 1, 4096, &batch, e) || !option_i64(b->c, "tokens", 2, 8192, &tokens, e) ||
        !option_dtype(b->c, &o.dtype, e) || !option_winograd(b->c, &o.winograd, e))
        return false;
    bench_release(b);
    Encoder *en = open_encoder(b, model, &o, tokens, &call, e);
    bool ok = en && measure_encoder(b, call, batch, tokens, NULL, e);
    if (ok && option_given(b->c, "check"))
        ok = check_cost(b, model, o, call, batch, tokens, e);
    encoder_close(en);
    return ok;
}
