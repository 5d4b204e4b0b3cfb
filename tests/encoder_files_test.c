/* tests/encoder_files_test.c: models whose config.json does not fit the tensors, and models with a tensor that is
 * missing or has another shape. They are made from the tiny models of tests/golden/encoders. Each ends in an error of
 * one line that names the cause. */
#include "extractors/extractors.h" /* before cmocka, which has a macro named fail */

#include "tests/device_testing.h"

#define ENCODERS "tests/golden/encoders/"

static int set_up(void **state)
{
    return bench_open(state, 1);
}

/* Copies the folder of a tiny model with config.json and the tensors, without the files of sentence-transformers. */
static void copy_model(TestBench *b, const char *model, const char *folder)
{
    static const char *const files[] = {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json",
                                        "preprocessor_config.json"};
    for (size_t i = 0; i < COUNT(files); i++) {
        const char *from = drawn(arena_printf(b->a, &b->e, ENCODERS "%s/%s", model, files[i]));
        Text bytes;
        if (!file_exists(from))
            continue;
        assert_ok(file_read(&bytes, b->a, from, 0, &b->e), b->e);
        test_write(folder, files[i], bytes);
    }
}

/* Checks that each kind has all members that the other files read. */
static void kinds_are_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < encoder_kind_count(); i++) {
        const EncoderKind *k = encoder_kind_at(i);
        bool image = k->modalities & MODALITY_IMAGE, text = k->modalities & MODALITY_TEXT;
        if (!k->name || !k->about || !k->checked || !k->matches || !k->load || !(image || text))
            fail_msg("kind %zu of the registry: name, about, checked, matches, load or modalities is missing", i);
        if (image != (k->forward_image != NULL) || text != (k->forward_text != NULL))
            fail_msg("%s: forward_image and forward_text do not fit the modalities", k->name);
        if (image && !(k->usual && k->usual->width > 0 && k->usual->height > 0))
            fail_msg("%s: usual, the preset of its images, is missing or has no width and height", k->name);
        if (image && k->usual->fit == FIT_SHORT_SIDE && k->usual->resize < 1)
            fail_msg("%s: usual has no resize", k->name);
    }
}

#define CLIP_HEADS  "\"vision_config\": {\"num_attention_heads\": 2, \"num_hidden_layers\": 2}"
#define CLIP_IMAGES "\"projection_dim\": 6, " CLIP_HEADS
#define TWO         "\"num_attention_heads\": 2, \"num_hidden_layers\": 2"
#define ALTCLIP_IMAGES                                                                                                 \
    "\"projection_dim\": 6, \"vision_config\": {\"num_attention_heads\": 2, \"num_hidden_layers\": 1}"
#define SIXTEEN "1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, "
#define STAGES  "\"num_block_repeats\": [1, 1, 1], \"depth_coefficient\": 1.1"

/* Opens a model's tensors with other settings: each ends in an error of one line, whatever the settings are. */
static void hostile_settings_fail_in_one_line(void **state)
{
    static const struct {
        const char *model, *config, *why;
    } cases[] = {
        {"distilbert", "{\"n_heads\": 0, \"n_layers\": 2}", "0 heads"},
        {"distilbert", "{\"n_heads\": -2, \"n_layers\": 2}", "-2 heads"},
        {"distilbert", "{\"n_heads\": 3, \"n_layers\": 2}", "3 heads"},
        {"distilbert", "{\"n_heads\": 9007199254740991, \"n_layers\": 2}", "9007199254740991 heads"},
        {"distilbert", "{\"n_heads\": 2, \"n_layers\": 0}", "0 layers"},
        {"distilbert", "{\"n_heads\": 2}", "6 layers"},
        {"distilbert", "{\"n_heads\": 1e300}", "n_heads: expected a whole number"},
        {"distilbert", "{\"n_heads\": 2, \"n_layers\": 2, \"activation\": \"mish\"}", "activation: expected gelu"},
        {"distilbert", "{}", "6 layers and 12 heads"},
        {"vit", "{\"num_attention_heads\": 0, \"num_hidden_layers\": 2}", "0 heads"},
        {"vit", "{\"num_attention_heads\": 3, \"num_hidden_layers\": 2}", "3 heads"},
        {"vit", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 3}", "3 layers"},
        {"vit", "{\"num_attention_heads\": 2, \"num_hidden_layers\": -9007199254740991}", "-9007199254740991 layers"},
        {"vit", "{\"image_size\": 4}", "images of 4 x 4 in patches of 8 x 8"},
        {"vit", "{\"image_size\": 0}", "images of 0 x 0"},
        {"vit", "{\"image_size\": -32}", "images of -32 x -32"},
        {"vit", "{\"image_size\": 9007199254740991}", "do not fit its 16 positions"},
        {"vit", "{\"image_size\": [128, 9007199254740991]}", "do not fit its 16 positions"},
        {"vit", "{\"image_size\": [32]}", "image_size: expected"},
        {"vit", "{\"image_size\": \"32\"}", "image_size: expected"},
        {"vit", "{\"image_size\": 1e300}", "image_size: expected"},
        {"vit", "{\"image_size\": 40}", "do not fit its 16 positions"},
        {"vit", "{\"image_size\": [16, 64]}", "expected images of 64 x 16, not 32 x 32"},
        {"vit", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2, \"layer_norm_eps\": -1}",
         "epsilon from 0 to 1"},
        {"vit", "{\"layer_norm_eps\": \"tiny\"}", "layer_norm_eps: expected"},
        {"vit", "{\"hidden_act\": 7}", "hidden_act: expected gelu"},
        {"vit", "{\"pooler_act\": false}", "pooler_act: expected gelu"},
        {"vit", "{\"model_type\": \"vit_mae\"}",
         "config.json states vit_mae, which is not supported (supported: bert, "},
        {"vit_pooler", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2, \"image_size\": [24, 40]}",
         "query.bias"},
        {"vit_pooler", "{\"num_attention_heads\": 2, \"num_hidden_layers\": 2}", "do not fit its 15 positions"},
        {"clip", "{\"model_type\": \"clip\"}", "12 layers and 12 heads (vision_config of config.json, or"},
        {"clip", "{" CLIP_IMAGES ", \"text_config\": {\"num_hidden_layers\": 2}}",
         "2 layers and 8 heads (text_config of config.json, or"},
        {"clip", "{" CLIP_IMAGES ", \"text_config\": {\"eos_token_id\": -1}}",
         "text_config.eos_token_id: expected the id"},
        {"clip", "{" CLIP_IMAGES ", \"text_config_dict\": {\"eos_token_id\": [3]}}",
         "text_config_dict.eos_token_id: expected a whole number"},
        {"clip", "{\"vision_config\": {\"num_attention_heads\": 2, \"num_hidden_layers\": 2}}",
         "visual_projection.weight: has shape [6, 8], expected [512, 8]"},
        {"clip", "{\"projection_dim\": -6, " CLIP_HEADS "}", "projection_dim: expected a number above 0"},
        {"clip", "{\"projection_dim\": [6], " CLIP_HEADS "}", "projection_dim: expected a whole number"},
        {"clip", "{\"projection_dim\": 6, \"vision_config_dict\": {}, " CLIP_HEADS "}",
         "12 layers and 12 heads (vision_config_dict of config.json, or"},
        {"altclip", "{" ALTCLIP_IMAGES ", \"text_config\": {}}", "24 layers and 16 heads (text_config of config.json"},
        {"altclip", "{" ALTCLIP_IMAGES ", \"text_config\": {\"project_dim\": 0}}",
         "text_config.project_dim: expected a number above 0"},
        {"altclip", "{" ALTCLIP_IMAGES ", \"text_config\": {" TWO ", \"pad_token_id\": -1}}",
         "text_config.pad_token_id: expected the id"},
        {"altclip", "{" ALTCLIP_IMAGES ", \"text_config\": {" TWO ", \"project_dim\": 11}}",
         "text_projection.weight: has shape [6, 10], expected [6, 11]"},
        {"altclip", "{\"vision_config\": 1}", "vision_config: expected an object"},
        {"align", "{}", "the tensors have 6 blocks of images; vision_config of config.json"},
        {"align", "{\"vision_config\": {\"num_block_repeats\": [1, 1]}}", "the tensors have 6 blocks"},
        {"align", "{\"vision_config\": {\"num_block_repeats\": [1, 1, 1, 1]}}", "the tensors have 6 blocks"},
        {"align", "{\"vision_config\": {\"num_block_repeats\": [6, 0], \"depth_coefficient\": 1}}", "have 6 blocks"},
        {"align", "{\"vision_config\": {\"depth_coefficient\": 1e300}}", "the tensors have 6 blocks"},
        {"align", "{\"vision_config\": {\"depth_coefficient\": -1}}", "the tensors have 6 blocks"},
        {"align", "{\"vision_config\": {\"num_block_repeats\": 6}}", "num_block_repeats: expected a list"},
        {"align", "{\"vision_config\": {" STAGES ", \"strides\": [1, 2]}}", "strides: expected a list"},
        {"align", "{\"vision_config\": {" STAGES ", \"strides\": [1, 2, 3]}}", "strides: expected a list of 1 and 2"},
        {"align", "{\"vision_config\": {" STAGES ", \"strides\": [1, 2, 2e18]}}", "strides: expected a list"},
        {"align", "{\"vision_config\": {" STAGES ", \"pooling_type\": \"max\"}}", "pooling_type: expected mean"},
        {"align", "{\"vision_config\": {" STAGES ", \"hidden_act\": \"mish\"}}", "vision_config.hidden_act: expected"},
        {"align", "{\"vision_config\": {" STAGES ", \"batch_norm_eps\": \"x\"}}", "batch_norm_eps: expected a number"},
        {"efficientnet_hf", "{}", "the tensors have 8 blocks of images; config.json (num_block_repeats"},
        {"efficientnet_hf", "{\"num_block_repeats\": [1, 1, 1, 1, 1, 1, 1, 1], \"depth_coefficient\": 1}",
         "strides: expected a list of 1 and 2 for each stage"},
        {"efficientnet_hf",
         "{\"num_block_repeats\": [1, 1, 1, 1], \"depth_coefficient\": 1.1, \"strides\": [1, 2, 0, 1]}",
         "strides: expected a list of 1 and 2"},
        {"efficientnet_hf", "{\"num_block_repeats\": [" SIXTEEN SIXTEEN SIXTEEN SIXTEEN "1]}", "at most 64 stages"},
        {"efficientnet_hf", "{\"num_block_repeats\": [8], \"depth_coefficient\": 1, \"pooling_type\": \"max\"}",
         "pooling_type: expected mean"},
        {"efficientnet_hf", "{\"num_block_repeats\": [8], \"depth_coefficient\": 1}", "channels, the block before it"},
        {"efficientnet_hf", "{\"model_type\": \"align\"}", "are not those of a align"},
        {"align", "{\"vision_config\": {\"num_block_repeats\": [3, 1, 2], \"depth_coefficient\": 1}}",
         "has 6 channels, the block before it 4"},
        {"align", "{\"projection_dim\": 7, \"vision_config\": {" STAGES "}, \"text_config\": {" TWO "}}",
         "text_projection.weight: has shape [6, 8], expected [7, 8]"},
        {"align", "{\"projection_dim\": 0, \"vision_config\": {" STAGES "}, \"text_config\": {" TWO "}}",
         "projection_dim: expected a number above 0"},
        {"roberta", "{\"num_attention_heads\": 3, \"num_hidden_layers\": 2}", "2 layers and 3 heads"},
        {"roberta", "{\"pad_token_id\": -1}", "pad_token_id: expected the id of a token"},
        {"roberta", "{\"pad_token_id\": 2147483647}", "pad_token_id: expected the id of a token"},
        {"roberta", "{\"pad_token_id\": 2147483646}", "36 positions are too few"},
        {"roberta", "{\"pad_token_id\": 35}", "36 positions are too few"},
        {"roberta", "{\"pad_token_id\": [1]}", "pad_token_id: expected a whole number"},
        {"xlm_roberta", "{\"model_type\": \"xlm-roberta-xl\"}", "states xlm-roberta-xl, which is not supported"},
    };
    TestBench *b = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char folder[256];
        test_folder(folder);
        copy_model(b, cases[i].model, folder);
        test_write(folder, "config.json", (Text){cases[i].config, strlen(cases[i].config)});
        Encoder *en = encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e);
        if (en)
            fail_msg("%s opens", cases[i].config);
        assert_null(strchr(b->e.message, '\n'));
        assert_error(b->e, b->e.code, cases[i].why);
        test_folder_remove(folder);
    }
}

/* Writes a model's tensors except number `except`, which is missing, or has one more row, of zeros. Returns the name of
 * this tensor. */
static const char *write_except(TestBench *b, const Weights *w, const char *folder, size_t except, bool longer)
{
    const char *path = path_join(b->a, folder, "model.safetensors", &b->e);
    SafetensorsOut *out = safetensors_open(path, NULL, &b->e);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < weights_count(w); i++) {
            Array x = *weights_at(w, i);
            size_t bytes = (size_t)x.count * dtype_bytes(x.type);
            if (i == except && !longer)
                continue;
            if (i == except) {
                size_t more = bytes / (size_t)x.shape[0];
                char *data = NEW(b->a, char, bytes + more, &b->e);
                memcpy(data, x.data, bytes);
                bytes += more;
                x.data = data;
                x.shape[0]++;
            }
            assert_ok(pass ? safetensors_data(out, x.data, bytes, &b->e)
                           : safetensors_declare(out, x.name.p, x.type, x.dims, x.shape, &b->e),
                      b->e);
        }
    Out *file = safetensors_finish(out, &b->e);
    assert_ok(file != NULL, b->e);
    out_unsynced(file); /* unsynced, because there are many files */
    assert_ok(out_commit(file, &b->e), b->e);
    return weights_at(w, except)->name.p;
}

/* Reports whether the message has one line that names the layer of the tensor x, or another cause. Another cause is
 * possible in these cases:
 *
 * - The layers are counted by this tensor.
 * - The architecture is recognised by this tensor.
 * - The width of the model is read from the length of this tensor. Then a longer tensor is valid, and the error names
 *   the next tensor, whose shape does not fit. */
static bool one_line_about(const Array *x, bool longer, const char *message)
{
    static const char *const otherwise[] = {"no known architecture", "are not those of a", "1 layers and ",
                                            "2 layers and ", "has no layer"};
    const char *tensor = x->name.p, *end = strrchr(tensor, '.'), *begin = end;
    char layer[128], width[128];
    while (begin > tensor && begin[-1] != '.')
        begin--;
    snprintf(layer, sizeof layer, "%.*s", (int)(end - begin), begin);
    bool named = strstr(message, layer) != NULL;
    for (size_t i = 0; i < COUNT(otherwise); i++)
        named |= strstr(message, otherwise[i]) != NULL;
    snprintf(width, sizeof width, "has shape [%lld], expected [%lld]", (long long)x->shape[0],
             (long long)x->shape[0] + 1);
    named |= longer && strstr(message, width);
    return named && !strchr(message, '\n');
}

/* Removes each tensor in turn, then makes it one row too long: the error names the tensor, unless the requested output
 * does not need it. */
static void missing_tensors_are_named(void **state)
{
    static const struct {
        const char *model, *layer;
        const char *unneeded; /* part of the names of tensors that the requested output does not need */
        const char *tables;   /* part of the names of tensors for which another number of rows is valid */
    } cases[] = {{"distilbert", NULL, NULL, "_embeddings.weight"},
                 {"distilbert_prefixed", NULL, "vocab_transform", "_embeddings.weight"},
                 {"vit", NULL, "classifier", NULL},
                 {"vit", "logits", NULL, NULL},
                 {"vit_pooler", NULL, "pooler", NULL},
                 {"vit_modules", "pooler_output", NULL, NULL},
                 {"clip", NULL, NULL, "text_model.embeddings"},
                 {"roberta", NULL, "lm_head", "_embeddings.weight"},
                 {"xlm_roberta", NULL, "pooler", "_embeddings.weight"},
                 {"efficientnet", "classifier.1", NULL, NULL},
                 {"altclip", NULL, NULL, "_embeddings.weight"},
                 {"align", NULL, "pooler", "_embeddings.weight"},
                 {"efficientnet_hf", "logits", NULL, NULL}};
    TestBench *b = *state;
    char folder[256], from[512];
    for (size_t c = 0; c < COUNT(cases); c++) {
        test_folder(folder);
        copy_model(b, cases[c].model, folder);
        snprintf(from, sizeof from, ENCODERS "%s", cases[c].model);
        Weights *w = weights_open(drawn(from), b->a, &b->e);
        assert_non_null(w);
        for (size_t i = 0; i < 2 * weights_count(w); i++) {
            if (i % 2 && weights_at(w, i / 2)->dims == 0) /* a single number has no rows */
                continue;
            const char *name = write_except(b, w, folder, i / 2, i % 2);
            EncoderOptions o = {.outputs = &cases[c].layer, .output_count = 1};
            Encoder *en = encoder_open(&b->d, folder, &o, &b->e);
            bool unneeded = (cases[c].unneeded && strstr(name, cases[c].unneeded)) ||
                            (i % 2 && cases[c].tables && strstr(name, cases[c].tables));
            if (!en == unneeded)
                fail_msg("%s with%s %s: %s", from, i % 2 ? " a longer" : "out", name, en ? "opens" : b->e.message);
            if (!en && !one_line_about(weights_at(w, i / 2), i % 2, b->e.message))
                fail_msg("%s: %s", name, b->e.message);
            error_clear(&b->e);
            encoder_close(en);
        }
        weights_close(w);
        test_folder_remove(folder);
    }
}

/* Makes kernels whose name ends in `cut` 1 x 1. Some architectures pad by half a kernel less one, which must not be
 * negative: these models are refused. */
static void small_kernels_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"align", "embeddings.convolution.weight"},
        {"align", "depthwise_conv.depthwise_conv.weight"},
    };
    TestBench *b = *state;
    char folder[256], from[512];
    for (size_t c = 0; c < COUNT(cases); c++) {
        test_folder(folder);
        copy_model(b, cases[c][0], folder);
        snprintf(from, sizeof from, ENCODERS "%s", cases[c][0]);
        Weights *w = weights_open(drawn(from), b->a, &b->e);
        assert_ok(w != NULL, b->e);
        SafetensorsOut *out = safetensors_open(path_join(b->a, folder, "model.safetensors", &b->e), NULL, &b->e);
        for (int pass = 0; pass < 2; pass++)
            for (size_t i = 0; i < weights_count(w); i++) {
                Array x = *weights_at(w, i);
                if (text_ends(x.name, cases[c][1]))
                    x.shape[2] = x.shape[3] = 1;
                x.count = 1;
                for (int d = 0; d < x.dims; d++)
                    x.count *= x.shape[d];
                assert_ok(pass ? safetensors_data(out, x.data, (size_t)x.count * dtype_bytes(x.type), &b->e)
                               : safetensors_declare(out, x.name.p, x.type, x.dims, x.shape, &b->e),
                          b->e);
            }
        assert_ok(safetensors_commit(out, &b->e), b->e);
        assert_null(encoder_open(&b->d, folder, &(EncoderOptions){0}, &b->e));
        assert_error(b->e, SP_UNSUPPORTED, "a kernel of 1 x 1 with stride 2 is not supported");
        weights_close(w);
        test_folder_remove(folder);
    }
}

/* Reports whether a kind's list of model types has this type. */
static bool lists_type(const EncoderKind *k, const char *type)
{
    Text rest = k->model_type ? text_of(k->model_type) : (Text){0}, part;
    while (k->model_type && text_next(&rest, ' ', &part))
        if (text_is(part, type))
            return true;
    return false;
}

/* Checks that a model has one kind, whatever the order of the kinds is: only one kind lists the model_type of
 * config.json, and only one kind matches the tensors by the most facts. */
static void one_kind_claims_a_model(void **state)
{
    TestBench *b = *state;
    FolderEntry *entries;
    size_t n, kinds = encoder_kind_count();
    bool *seen = NEW(b->a, bool, kinds, &b->e);
    assert_ok(folder_list(&entries, &n, b->a, drawn(ENCODERS), &b->e), b->e);
    for (size_t i = 0; i < n; i++) {
        const char *path = path_join(b->a, drawn(ENCODERS), entries[i].name, &b->e);
        const char *config = path_join(b->a, path, "config.json", &b->e);
        ModelSource s = {.path = path, .folder = entries[i].is_folder ? path : NULL};
        const EncoderKind *by_tensors = NULL;
        Text text;
        int most = 0, claims = 0;
        if (text_ends(path_base(path), ".txt"))
            continue;
        assert_ok((s.weights = weights_open(path, b->a, &b->e)), b->e);
        for (size_t k = 0; k < kinds; k++) {
            int facts = encoder_kind_at(k)->matches(&s);
            claims = facts > most ? 1 : claims + (facts == most && facts > 0);
            by_tensors = facts > most ? encoder_kind_at(k) : by_tensors;
            most = MAX(most, facts);
        }
        if (claims != !strstr(path, "expected"))
            fail_msg("%s: the tensors match %d kinds by %d facts each", path, claims, most);
        for (size_t k = 0; k < kinds; k++)
            seen[k] |= encoder_kind_at(k) == by_tensors;
        if (file_exists(config)) {
            assert_ok(file_read(&text, b->a, config, 0, &b->e), b->e);
            assert_ok((s.config = json_parse(b->a, text, config, &b->e)), b->e);
            assert_ptr_equal(encoder_kind_of(&s, b->a, &b->e), by_tensors);
        }
        weights_close((Weights *)s.weights);
    }
    for (size_t k = 0; k < kinds; k++) {
        Text rest = text_of(encoder_kind_at(k)->model_type ? encoder_kind_at(k)->model_type : ""), type;
        if (!seen[k])
            fail_msg("%s: " ENCODERS " has no sample of this kind; tests/golden/make_encoders.py makes them",
                     encoder_kind_at(k)->name);
        while (rest.n && text_next(&rest, ' ', &type)) {
            const char *name = arena_strndup(b->a, type.p, type.n, &b->e);
            for (size_t other = 0; other < kinds; other++)
                if (other != k && lists_type(encoder_kind_at(other), name))
                    fail_msg("%s: model_type of %s and of %s", name, encoder_kind_at(k)->name,
                             encoder_kind_at(other)->name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_complete),        cmocka_unit_test(hostile_settings_fail_in_one_line),
        cmocka_unit_test(missing_tensors_are_named), cmocka_unit_test(small_kernels_are_refused),
        cmocka_unit_test(one_kind_claims_a_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
