/* tests/faults_subjects.h: the subjects of tests/faults_test.c: every reader and writer, and commands. Each subject
 * returns a digest of its result. */
#ifndef SAPOR_FAULTS_SUBJECTS_H
#define SAPOR_FAULTS_SUBJECTS_H

#include "tools/ducho/extract.h"
#include "tools/recommendations.h"

#include "tests/encoder_testing.h"

#include "tests/faults.h"

static char root[256], out[300];
static Device device;

typedef struct Subject {
    const char *name;
    bool (*run)(uint64_t *digest, Error *e);
    bool writes; /* writes into the folder `out`, which is part of the result */
} Subject;

static const char *in(const char *name)
{
    static char path[8][600];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", root, name);
    return p;
}

static void mix(uint64_t *digest, const void *data, size_t n)
{
    *digest = hash_bytes(data, n, *digest);
}

/* ---- readers --------------------------------------------------------------------------------- */

#define GOLDEN "tests/golden/"

static bool read_weights(const char *path, uint64_t *digest, Error *e)
{
    Arena *a = arena_new(NULL, 0);
    Weights *w = a ? weights_open(path, a, e) : NULL;
    for (size_t i = 0; w && i < weights_count(w); i++)
        mix(digest, weights_at(w, i)->data, (size_t)weights_at(w, i)->count * dtype_bytes(weights_at(w, i)->type));
    bool ok = w || (!a && fail_memory(e, 1, "an arena"));
    weights_close(w);
    arena_free(a);
    return ok;
}

static bool safetensors(uint64_t *digest, Error *e)
{
    return read_weights(drawn(GOLDEN "encoders/bert/model.safetensors"), digest, e);
}

static bool sharded(uint64_t *digest, Error *e)
{
    return read_weights(in("sharded"), digest, e);
}

static bool torch_zip(uint64_t *digest, Error *e)
{
    return read_weights(GOLDEN "torch/types.zip.pt", digest, e);
}

#ifdef HAVE_ZLIB
static bool torch_deflated(uint64_t *digest, Error *e)
{
    return read_weights(GOLDEN "torch/tree.deflated.pt", digest, e);
}
#endif

static bool torch_legacy(uint64_t *digest, Error *e)
{
    return read_weights(GOLDEN "torch/tree.legacy.pt", digest, e) &&
           read_weights(GOLDEN "layers/module.pt", digest, e); /* a pickled module */
}

/* Defines a reader. The body is called with an arena that is freed at the end. */
#define READER(name)                                                                                                   \
    static bool name##_in(Arena *a, uint64_t *digest, Error *e);                                                       \
    static bool name(uint64_t *digest, Error *e)                                                                       \
    {                                                                                                                  \
        Arena *a = arena_new(NULL, 0);                                                                                 \
        bool ok = a ? name##_in(a, digest, e) : fail_memory(e, 1, "an arena");                                         \
        arena_free(a);                                                                                                 \
        return ok;                                                                                                     \
    }                                                                                                                  \
    static bool name##_in(Arena *a, uint64_t *digest, Error *e)

#include "tests/faults_images.h"

READER(npy)
{
    Npy n;
    if (!npy_open(&n, in("visual.npy"), a, e))
        return false;
    mix(digest, n.array.data, (size_t)n.array.count * 4);
    npy_close(&n);
    return true;
}

READER(json)
{
    Text text;
    const Json *j =
        file_read(&text, a, GOLDEN "tokenizer/cases.json", 1 << 20, e) ? json_parse(a, text, "cases.json", e) : NULL;
    for (const Json *k = j ? j->first : NULL; k; k = k->next)
        mix(digest, json_get(k, "text")->text.p, json_get(k, "text")->text.n);
    return j != NULL;
}

#include "tests/faults_tokenizers.h"

static bool load_data(const DataConfig *c, Arena *a, uint64_t *digest, Error *e)
{
    DataSet d;
    if (!dataset_load(&d, c, a, e))
        return false;
    mix(digest, d.train.item, (size_t)d.train.count * sizeof *d.train.item);
    for (size_t i = 0; i < d.feature_count; i++)
        mix(digest, d.features[i].data, (size_t)(d.I * d.features[i].D) * sizeof(float));
    dataset_close(&d);
    return true;
}

static bool data(const char *train, Protocol p, const char *features, Arena *a, uint64_t *digest, Error *e)
{
    DataConfig c = {.train = train, .protocol = p, .features = &features, .feature_count = features != NULL};
    return load_data(&c, a, digest, e);
}

READER(tsv)
{
    return data(in("train.tsv"), PROTOCOL_ELLIOT, NULL, a, digest, e);
}

READER(csv)
{
    return data(in("train.csv"), PROTOCOL_ELLIOT, NULL, a, digest, e);
}

READER(quoted_csv)
{
    return data(in("quoted.csv"), PROTOCOL_ELLIOT, NULL, a, digest, e);
}

READER(two_separators)
{
    return data(in("separators.csv"), PROTOCOL_ELLIOT, NULL, a, digest, e);
}

READER(blanks)
{
    return data(in("blanks.txt"), PROTOCOL_ELLIOT, NULL, a, digest, e);
}

#ifdef HAVE_ZLIB
READER(gzip)
{
    return data(in("train.csv.gz"), PROTOCOL_ELLIOT, NULL, a, digest, e);
}
#endif

READER(tokens_of_recbole)
{
    return data(in("recbole.inter"), PROTOCOL_MMREC, NULL, a, digest, e);
}

READER(recommendations)
{
    DataSet d;
    Recs r = {0};
    DataConfig c = {.train = in("train.tsv")};
    if (!dataset_load(&d, &c, a, e) || !recommendations_read(&r, in("recs.csv"), &d, a, e))
        return false;
    for (size_t i = 0; i < r.count; i++)
        mix(digest, (const int32_t[]){r.list[i].user, r.list[i].item}, 8);
    return true;
}

READER(inter)
{
    return data(in("data.inter"), PROTOCOL_MMREC, NULL, a, digest, e);
}

READER(recbole)
{
    return data(in("recbole.inter"), PROTOCOL_ELLIOT, NULL, a, digest, e);
}

READER(lightgcn)
{
    return data(in("lightgcn.txt"), PROTOCOL_ELLIOT, NULL, a, digest, e);
}

READER(features_of_rows)
{
    const char *spec = arena_printf(a, e, "visual=%s", in("visual.npy"));
    return spec && data(in("train.tsv"), PROTOCOL_ELLIOT, spec, a, digest, e);
}

READER(features_in_fortran_order)
{
    const char *spec = arena_printf(a, e, "visual=%s", in("fortran.npy"));
    return spec && data(in("train.tsv"), PROTOCOL_ELLIOT, spec, a, digest, e);
}

READER(features_of_cut_names)
{
    const char *spec = arena_printf(a, e, "visual=%s", in("items"));
    return spec && data(in("dots.tsv"), PROTOCOL_ELLIOT, spec, a, digest, e);
}

READER(features_of_files)
{
    const char *spec = arena_printf(a, e, "visual=%s", in("items"));
    return spec && data(in("train.tsv"), PROTOCOL_ELLIOT, spec, a, digest, e);
}

/* Drops the items without features, and replaces the features of the others. */
READER(features_replaced)
{
    static const char *const names[] = {"both"};
    const char *spec = arena_printf(a, e, "visual=%s", in("items"));
    DataConfig c = {.train = in("train.tsv"),
                    .features = &spec,
                    .feature_count = 1,
                    .gaps = GAPS_DROP,
                    .knock = {names, 1, KNOCK_MEAN, 1}};
    return spec && load_data(&c, a, digest, e);
}

READER(neighbours)
{
    const char *spec = arena_printf(a, e, "visual=%s", in("visual.npy"));
    DataConfig c = {.train = in("train.tsv"), .features = &spec, .feature_count = 1};
    int32_t near[9 * 2];
    int64_t few;
    DataSet d;
    if (!spec || !dataset_load(&d, &c, a, e))
        return false;
    bool ok = neighbour_file_read(near, &d, d.features, in("near.npy"), 2, &few, a, e);
    if (ok)
        mix(digest, near, sizeof near);
    dataset_close(&d);
    return ok;
}

READER(nearest)
{
    static const char *const PATHS[] = {"visual.npy", "items"};
    bool ok = true;
    for (size_t i = 0; ok && i < COUNT(PATHS); i++) {
        FeatureTable t;
        int32_t ids[3];
        float similarity[3];
        int64_t zeros;
        const char *path = arena_printf(a, e, "%s", in(PATHS[i]));
        if (!path || !feature_table_open(&t, path, a, e))
            return false;
        float *query = NEW(a, float, t.rows.shape[1], e);
        if ((ok = query != NULL)) {
            array_f32(&t.rows, 0, t.rows.shape[1], query);
            ok = feature_table_nearest(&t, &device, query, 0, COUNT(ids), ids, similarity, &zeros, e);
            mix(digest, ids, ok ? sizeof ids : 0);
        }
        feature_table_close(&t);
    }
    return ok;
}

#include "tests/faults_studies.h"

READER(table)
{
    Input *rows;
    size_t n;
    if (!table_read(&rows, &n, in("texts.tsv"), "id", "text", a, e))
        return false;
    mix(digest, rows[n - 1].text.p, rows[n - 1].text.n);
    return true;
}

static bool encode(const char *model, const char *image, uint64_t *digest, Error *e)
{
    Arena *a = arena_new(NULL, 0);
    const TestOptions wish = {.adapters = image ? NULL : QUERY_ADAPTERS};
    OpenModel m = a ? open_encoder(&device, model, &wish, a, e) : (OpenModel){0};
    size_t weights = m.en ? store_bytes(m.en->store) : 0;
    Tape *t = m.en ? tape_new(&device, false, e) : NULL;
    float *row = t ? NEW(a, float, m.D, e) : NULL;
    ImageInput input = {.path = image};
    Results to = {.out = &row};
    bool ok = row && (image ? encode_images(m.call, t, &input, 1, &to, e)
                            : encode_texts(m.call, t, &TEXT("a red leather bag"), 1, &to, e));
    if (ok)
        mix(digest, row, m.D * sizeof *row);
    mix(digest, &weights, sizeof weights);
    if (!a)
        fail_memory(e, 1, "an arena");
    tape_free(t);
    encoder_close(m.en);
    arena_free(a);
    return ok;
}

static bool encode_text(uint64_t *digest, Error *e)
{
    return encode(drawn(GOLDEN "encoders/bert"), NULL, digest, e);
}

static bool encode_image(uint64_t *digest, Error *e)
{
    return encode(drawn(GOLDEN "encoders/resnet_basic"), GOLDEN "images/RGB.png", digest, e);
}

static bool mix_list(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    (void)e;
    mix(arg, user.p, user.n);
    for (int64_t i = 0; i < k; i++)
        mix(arg, items[i].p, items[i].n);
    mix(arg, scores, (size_t)k * sizeof *scores);
    return true;
}

static bool recommend(uint64_t *digest, Error *e)
{
    Trained *t = trained_open(&device, in("trained"), false, e);
    bool ok = t && trained_recommend(t, NULL, 0, 3, mix_list, digest, e);
    trained_close(t);
    return ok;
}

/* ---- writers --------------------------------------------------------------------------------- */

static const char *out_path(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", out, name);
    return path;
}

static bool write_safetensors(uint64_t *digest, Error *e)
{
    (void)digest;
    static const float x[50000] = {1, 2, 3};
    SafetensorsOut *s = folder_make(out, e) ? safetensors_open(out_path("x.safetensors"), NULL, e) : NULL;
    bool ok = s && safetensors_meta(s, "a", "b", e) &&
              safetensors_declare(s, "x", F32, 1, (const int64_t[]){COUNT(x)}, e) &&
              safetensors_data(s, x, sizeof x, e);
    if (ok)
        return safetensors_commit(s, e);
    safetensors_discard(s);
    return false;
}

static bool write_npy(uint64_t *digest, Error *e)
{
    (void)digest;
    static const float x[50000] = {1, 2, 3};
    return folder_make(out, e) && npy_write_f32(out_path("x.npy"), 2, (const int64_t[]){100, 500}, x, NULL, e);
}

static bool split(uint64_t *digest, Error *e)
{
    size_t counts[3];
    SplitConfig c = {.strategy = SPLIT_RANDOM, .test_ratio = 0.3, .seed = 1};
    bool ok = split_file(in("train.tsv"), out, &c, counts, e);
    if (ok)
        mix(digest, counts, sizeof counts);
    return ok;
}

#include "tests/faults_prepare.h"

static bool train_into(const char *folder, Error *e)
{
    static const char *const SET[] = {"epochs=2", "factors=4", "batch_size=16", "validation_rate=1",
                                      "checkpoint_seconds=0"};
    char train[300];
    snprintf(train, sizeof train, "%s", in("train.tsv"));
    TrainResult r;
    TrainConfig c = {.model = "BPRMF",
                     .data = {.train = train, .valid = train, .test = train},
                     .set = SET,
                     .set_count = COUNT(SET),
                     .out = folder,
                     .seed = 1};
    Arena *a = arena_new(NULL, 0);
    bool ok = a ? train_run(&device, &c, &r, a, e) : fail_memory(e, 1, "an arena");
    arena_free(a);
    return ok;
}

static bool train(uint64_t *digest, Error *e)
{
    (void)digest;
    return train_into(out, e);
}

#include "tests/faults_recommend.h"

/* ---- commands -------------------------------------------------------------------------------- */

extern const Option extract_options[], encode_options[], train_options[], recommend_options[];

/* Runs a command. Its one line on standard error becomes the error. */
static bool command(const Command *k, int argc, const char *const *words, Error *e)
{
    char *argv[16];
    char message[2048];
    fflush(stdout);
    int saved[2] = {dup(1), dup(2)}, output = memfd_create("stdout", MFD_CLOEXEC),
        file = memfd_create("stderr", MFD_CLOEXEC);
    assert_true(argc < 16 && saved[0] >= 0 && saved[1] >= 0 && output >= 0 && file >= 0);
    for (int i = 0; i < argc; i++)
        argv[i] = (char *)(uintptr_t)words[i];
    argv[argc] = NULL;
    dup2(output, 1);
    dup2(file, 2);
    int status = command_run(k, argc, argv);
    fflush(stdout);
    dup2(saved[0], 1);
    dup2(saved[1], 2);
    ssize_t n = pread(file, message, sizeof message - 1, 0);
    close(saved[0]);
    close(saved[1]);
    close(output);
    close(file);
    message[MAX(n, 0)] = '\0';
    if (status == 0 && n == 0)
        return true;
    if (status != 1 || strncmp(message, "sapor: ", 7) != 0 || strchr(message, '\n') != message + n - 1)
        fail_msg("%s: status %d, said \"%s\"", words[0], status, message);
    message[n - 1] = '\0';
    return (fail)(e, SP_IO, "%s", message + 7);
}

#ifdef HAVE_YAML
static bool extract(uint64_t *digest, Error *e)
{
    (void)digest;
    static const Command EXTRACT = {"extract", "", "", NULL, "", extract_options, 1, 1, true, extract_command};
    const char *words[] = {"extract", in("c.yml"), "--strict", "--quiet", "--threads", "1"};
    return command(&EXTRACT, COUNT(words), words, e);
}
#endif

static const Command ENCODE = {"encode", "", "", NULL, "", encode_options, 2, -1, false, encode_command};

static bool encode_two(const char *first, const char *second, Error *e)
{
    char to[400];
    snprintf(to, sizeof to, "%s", out_path("x.npy"));
    const char *words[] = {"encode", "colour-statistics", first,     second,      "-o",
                           to,       "--strict",          "--quiet", "--threads", "2"};
    return folder_make(out, e) && command(&ENCODE, COUNT(words), words, e);
}

static bool encode_files(uint64_t *digest, Error *e)
{
    (void)digest;
    return encode_two(GOLDEN "images/RGB.png", GOLDEN "images/grey.jpg", e);
}

static bool encode_swapped(uint64_t *digest, Error *e)
{
    (void)digest;
    return encode_two(GOLDEN "images/grey.jpg", GOLDEN "images/RGB.png", e);
}

/* Encodes a table of three rows. One of the rows is not valid UTF-8: it is listed in missing_t.tsv, and at the end the
 * number of rows in the header of t.npy is changed from 3 to 2. */
static bool encode_table(uint64_t *digest, Error *e)
{
    (void)digest;
    char table[300], to[400];
    snprintf(table, sizeof table, "%s", in("latin.tsv"));
    snprintf(to, sizeof to, "%s", out_path("t.npy"));
    const char *words[] = {"encode", "word-statistics", table, "--id-column", "id", "--text-column", "text", "-o",
                           to,       "--quiet"};
    return folder_make(out, e) && command(&ENCODE, COUNT(words), words, e);
}

static bool train_command_line(uint64_t *digest, Error *e)
{
    (void)digest;
    static const Command TRAIN = {"train", "", "", NULL, "", train_options, 1, 1, false, train_command};
    char train[300], features[400];
    snprintf(train, sizeof train, "%s", in("train.tsv"));
    snprintf(features, sizeof features, "visual=%s", in("visual.npy"));
    const char *words[] = {"train",    "VBPR",  "--train", train,     "--features", features, "--set",
                           "epochs=1", "--out", out,       "--quiet", "--threads",  "1"};
    return command(&TRAIN, COUNT(words), words, e);
}

static bool recommend_command_line(uint64_t *digest, Error *e)
{
    (void)digest;
    static const Command RECOMMEND = {"recommend", "", "", NULL, "", recommend_options, 1, 1, false, recommend_command};
    char from[300];
    snprintf(from, sizeof from, "%s", in("trained"));
    const char *words[] = {"recommend",          from,      "--users",   "3,1,3", "-k", "4", "-o",
                           out_path("recs.tsv"), "--quiet", "--threads", "1"};
    return folder_make(out, e) && command(&RECOMMEND, COUNT(words), words, e);
}

static const Subject SUBJECTS[] = {
    {"safetensors", safetensors, false},
    {"safetensors index", sharded, false},
    {"torch archive", torch_zip, false},
#ifdef HAVE_ZLIB
    {"torch archive, deflated", torch_deflated, false},
#endif
    {"torch stream", torch_legacy, false},
    {"npy", npy, false},
    {"JSON", json, false},
    {"tokenizer.json", tokenizer_json, false},
    {"tokenizer of pairs", tokenizer_pairs, false},
    {"tokenizer of byte pairs", tokenizer_bpe, false},
    {"tokenizer folder", tokenizer_folder, false},
    {"tokenizer Unigram", tokenizer_unigram, false},
    {"tokenizer Unigram .model", tokenizer_unigram_model, false},
    {"tokenizer BPE .model", tokenizer_bpe_model, false},
    {"tokenizer T5 folder", tokenizer_class_t5, false},
    {"tokenizer Llama folder", tokenizer_class_llama, false},
    {"tokenizer ranks", tokenizer_ranks, false},
    {"tokenizer CLIP list", tokenizer_clip_list, false},
#ifdef HAVE_ZLIB
    {"tokenizer CLIP list, packed", tokenizer_clip_packed, false},
#endif
#ifdef HAVE_ONIGURUMA
    {"tokenizer regular expressions", tokenizer_regex, false},
#endif
    {"TSV", tsv, false},
    {"CSV", csv, false},
    {"CSV, quoted", quoted_csv, false},
    {"CSV, two separators", two_separators, false},
    {"a space-separated table", blanks, false},
#ifdef HAVE_ZLIB
    {"gzip", gzip, false},
#endif
    {"RecBole tokens under mmrec", tokens_of_recbole, false},
    {"recommendations", recommendations, false},
    {"figures by user", figures_by_user, false},
    {"MMRec .inter", inter, false},
    {"RecBole .inter", recbole, false},
    {"LightGCN", lightgcn, false},
    {"features, one npy", features_of_rows, false},
    {"features, Fortran order", features_in_fortran_order, false},
    {"features, names cut at a dot", features_of_cut_names, false},
    {"features, a folder", features_of_files, false},
    {"features, replaced", features_replaced, false},
    {"neighbours of items", neighbours, false},
    {"nearest rows", nearest, false},
#ifdef HAVE_YAML
    {"YAML", yaml, false},
    {"MMRec's configuration", mmrec_study, false},
    {"benchmark", benchmark_study, true},
#endif
#ifdef HAVE_SQLITE3
    {"exported trials", exported_trials, false},
#endif
    {"table of texts", table, false},
    {"JPEG", jpeg, false},
    {"PNG", png, false},
#ifdef HAVE_WEBP
    {"WebP", webp, false},
#endif
    {"image processor", image_processor, false},
    {"encode a text", encode_text, false},
    {"encode a picture", encode_image, false},
    {"recommend", recommend, false},
    {"train and ask in memory", arrays_in_memory, false},
    {"write safetensors", write_safetensors, true},
    {"write npy", write_npy, true},
    {"split", split, true},
    {"prepare", prepare, true},
    {"train", train, true},
    {"train arrays into a folder", arrays_into_a_folder, true},
    {"sapor encode", encode_files, true},
    {"sapor encode, a table", encode_table, true},
    {"sapor train", train_command_line, true},
    {"sapor recommend", recommend_command_line, true},
#ifdef HAVE_YAML
    {"sapor extract", extract, true},
#endif
};

#endif
