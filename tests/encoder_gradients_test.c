/* tests/encoder_gradients_test.c: gradients of every weight of tiny encoders equal those of float64 PyTorch
 * (tests/golden/make_gradients.py). The models are loaded by their own definitions, with all weights trained. */
#include <math.h>
#include <stdlib.h>

#include "extractors/loading.h" /* before cmocka, which has a macro named fail */

#include "tests/device_testing.h"

#define GOLDEN    "tests/golden/"
#define GRADIENTS GOLDEN "gradients/"

static int set_up(void **state)
{
    return bench_open(state, 2);
}

static float *floats_of(TestBench *b, const Array *a)
{
    float *x = NEW(b->a, float, a->count, &b->e);
    assert_non_null(x);
    array_f32(a, 0, a->count, x);
    return x;
}

static int32_t *ids_of(TestBench *b, const Array *a)
{
    int64_t *wide = NEW(b->a, int64_t, a->count, &b->e);
    int32_t *ids = NEW(b->a, int32_t, a->count, &b->e);
    assert_true(wide && ids);
    array_i64(a, 0, a->count, wide);
    for (int64_t i = 0; i < a->count; i++)
        ids[i] = (int32_t)wide[i];
    return ids;
}

static double largest_of(const float *x, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)x[i]));
    return largest;
}

/* Checks that gradients are within 1e-4 of the largest magnitude. Some gradients are 0 except for float64's rounding
 * (the bias of a key adds the same number to all scores of a query). These are within 1e-6 of the largest gradient of
 * all tensors. */
static void assert_near(const char *name, const float *x, const float *expected, int64_t count, double of_all)
{
    double worst = 0, largest = largest_of(expected, count);
    for (int64_t i = 0; i < count; i++)
        worst = fmax(worst, isnan(x[i]) ? INFINITY : fabs((double)x[i] - (double)expected[i]));
    if (largest < 1e-12 * of_all)
        largest = 1e-2 * of_all;
    if (getenv("VERBOSE"))
        print_message("%s: %g\n", name, largest > 0 ? worst / largest : worst);
    if (!(worst <= 1e-4 * largest))
        fail_msg("%s: off by %g, the largest is %g", name, worst, largest);
}

/* Runs the encoder on the input of the golden files. Returns the sum of its outputs times the fixed weights of these
 * files. */
static Tensor *loss_of(TestBench *b, Encoder *en, const Weights *w, const Weights *inputs, Tape *t)
{
    const Array *pixels = weights_find(inputs, "pixels"), *offsets = weights_find(w, "offsets");
    TextBatch texts = {0};
    ImageBatch images = {0};
    if (pixels) {
        images = (ImageBatch){pixels->shape[0], pixels->shape[1], pixels->shape[2], floats_of(b, pixels)};
    } else {
        const Array *ids = weights_find(w, "ids");
        int64_t B = offsets->count - 1;
        const int32_t *start = ids_of(b, offsets);
        int32_t *positions = NEW(b->a, int32_t, ids->count, &b->e);
        assert_non_null(positions);
        texts = (TextBatch){.ragged = {.B = B, .total = ids->count, .offsets = start}, ids_of(b, ids), positions};
        for (int64_t i = 0; i < B; i++)
            for (int32_t at = start[i]; at < start[i + 1]; at++)
                positions[at] = en->text.first_position + at - start[i];
    }
    bool *requested = NEW(b->a, bool, en->output_count, &b->e);
    Tensor **out = NEW(b->a, Tensor *, en->output_count, &b->e), *loss = NULL;
    assert_true(requested && out);
    const Array **by = NEW(b->a, const Array *, en->output_count, &b->e);
    for (size_t i = 0; i < weights_count(inputs); i++) {
        const Array *one = weights_at(inputs, i);
        if (!text_starts(one->name, "by."))
            continue;
        int number = output_find(en, pixels ? MODALITY_IMAGE : MODALITY_TEXT, one->name.p + strlen("by."));
        assert_true(number >= 0);
        requested[number] = true;
        by[number] = one;
    }
    Pass pass = {.texts = &texts,
                 .images = &images,
                 .outputs = en->output_count,
                 .table = en->outputs,
                 .requested = requested,
                 .out = out};
    (pixels ? en->kind->forward_image : en->kind->forward_text)(t, en->model, &pass);
    for (size_t i = 0; i < en->output_count; i++) {
        if (!requested[i])
            continue;
        assert_ok(tape_ok(t, &b->e), b->e);
        assert_int_equal(out[i]->count, by[i]->count);
        Tensor *one = sum(t, mul(t, out[i], input_f32(t, floats_of(b, by[i]), out[i]->dims, out[i]->shape)));
        loss = loss ? add(t, loss, one) : one;
    }
    return loss;
}

/* Compares the loss, every gradient and, with batch norm in training mode (`batch`), the running statistics with the
 * golden files of `expected`. tower: which of two towers; 0: the model has one tower. */
static void check_model(TestBench *b, const char *model, const char *expected, unsigned tower, bool batch)
{
    char path[256];
    snprintf(path, sizeof path, GRADIENTS "%s.expected.safetensors", expected);
    Weights *w = weights_open(path, b->a, &b->e);
    assert_ok(w != NULL, b->e);
    snprintf(path, sizeof path, GRADIENTS "%s.inputs.safetensors", expected);
    Weights *inputs = weights_open(drawn(path), b->a, &b->e);
    assert_ok(inputs != NULL, b->e);
    EncoderOptions options = {.towers = tower, .train = {.weights = "*", .batch_norm = batch}};
    Encoder *en = encoder_open(&b->d, drawn(model), &options, &b->e);
    assert_ok(en != NULL, b->e);
    Tape *t = tape_new(&b->d, true, &b->e);
    assert_non_null(t);
    Tensor *loss = loss_of(b, en, w, inputs, t);
    assert_ok(backward(t, loss, &b->e), b->e);
    float value;
    tensor_read(&b->d, loss, 0, 1, &value);
    assert_near("loss", &value, floats_of(b, weights_find(w, "loss")), 1, 0);
    size_t compared = 0;
    double of_all = 0;
    for (size_t i = 0; i < weights_count(w); i++) {
        const Array *one = weights_at(w, i);
        if (text_starts(one->name, "grad."))
            of_all = fmax(of_all, largest_of(floats_of(b, one), one->count));
    }
    for (size_t i = 0; i < weights_count(w); i++) {
        const Array *one = weights_at(w, i);
        bool running = text_starts(one->name, "running.");
        if (!running && !text_starts(one->name, "grad."))
            continue;
        const Tensor *x = store_find(en->store, strchr(one->name.p, '.') + 1);
        if (!x || (!x->param && !running))
            fail_msg("%s: is not trained", one->name.p);
        assert_int_equal(x->count, one->count);
        float *got = NEW(b->a, float, x->count, &b->e);
        assert_non_null(got);
        if (running)
            tensor_read(&b->d, x, 0, x->count, got);
        else
            assert_ok(tensor_grad(t, x, got, &b->e), b->e);
        assert_near(one->name.p, got, floats_of(b, one), x->count, of_all);
        compared += !running;
    }
    size_t trained = 0;
    for (size_t i = 0; i < store_count(en->store); i++)
        trained += store_at(en->store, i)->param != NULL;
    assert_int_equal(compared, trained);
    tape_free(t);
    encoder_close(en);
    weights_close(w);
    weights_close(inputs);
}

static void bert(void **state)
{
    check_model(*state, GOLDEN "encoders/bert", "bert", 0, false);
}
static void mpnet(void **state)
{
    check_model(*state, GOLDEN "encoders/mpnet", "mpnet", 0, false);
}
static void xlm_roberta(void **state)
{
    check_model(*state, GOLDEN "encoders/xlm_roberta", "xlm_roberta", 0, false);
}
static void vit(void **state)
{
    check_model(*state, GOLDEN "encoders/vit_modules", "vit", 0, false);
}
static void efficientnet(void **state)
{
    check_model(*state, GOLDEN "encoders/efficientnet", "efficientnet", 0, false);
}
static void altclip(void **state)
{
    check_model(*state, GOLDEN "encoders/altclip", "altclip_text", MODALITY_TEXT, false);
    check_model(*state, GOLDEN "encoders/altclip", "altclip_image", MODALITY_IMAGE, false);
}
static void align(void **state)
{
    check_model(*state, GOLDEN "encoders/align", "align_text", MODALITY_TEXT, false);
    check_model(*state, GOLDEN "encoders/align", "align_image", MODALITY_IMAGE, false);
}
static void resnet18(void **state)
{
    check_model(*state, GRADIENTS "resnet18.safetensors", "resnet18", 0, false);
}
static void resnet18_normalised_by_the_batch(void **state)
{
    check_model(*state, GRADIENTS "resnet18.safetensors", "resnet18_batch", 0, true);
}

int main(void)
{
#ifdef SAPOR_MINIMAL
    printf("skipped: MINIMAL trains no encoders\n");
    return 0;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bert),  cmocka_unit_test(mpnet),        cmocka_unit_test(xlm_roberta),
        cmocka_unit_test(vit),   cmocka_unit_test(efficientnet), cmocka_unit_test(altclip),
        cmocka_unit_test(align), cmocka_unit_test(resnet18),     cmocka_unit_test(resnet18_normalised_by_the_batch)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
