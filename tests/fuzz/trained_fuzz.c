/* tests/fuzz/trained_fuzz.c: a trained folder, of a model with vectors or without, with one replaced file: the first
 * byte chooses the file. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>

#include "recsys/trained.h"

enum { MOST = 32 };
static char folder[64], names[MOST][96];
static size_t files;
static Map originals[MOST];
static Device device;

static void remove_folder(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        perror(command);
}

/* Trains on a small data set. Every file in the folder of the run can be replaced. */
static void train(void)
{
    static const char TRAIN[] = "0\t0\n0\t1\n1\t1\n1\t2\n2\t0\n2\t3\n3\t3\n3\t2\n";
    static const char *const SET[] = {"epochs=1", "factors=4", "batch_size=4"};
    static const char *const MODELS[] = {"BPRMF", "ItemKNN"};
    char train[100], out[100], path[200];
    Error e = {0};
    snprintf(folder, sizeof folder, "/dev/shm/sapor-fuzz-XXXXXX");
    REQUIRE(mkdtemp(folder));
    atexit(remove_folder);
    snprintf(train, sizeof train, "%s/train.tsv", folder);
    put_file(train, (const uint8_t *)TRAIN, sizeof TRAIN - 1);
    REQUIRE(device_open(&device, NULL, 1, NULL, NULL, &e));
    for (size_t m = 0; m < COUNT(MODELS); m++) {
        TrainResult r;
        FolderEntry *entries;
        size_t n;
        Arena *a = arena_new(NULL, 0);
        snprintf(out, sizeof out, "%s/%s", folder, MODELS[m]);
        TrainConfig c = {.model = MODELS[m],
                         .data = {.train = train},
                         .set = SET,
                         .set_count = m ? 0 : COUNT(SET),
                         .out = out,
                         .seed = 1};
        REQUIRE(train_run(&device, &c, &r, a, &e));
        REQUIRE(folder_list(&entries, &n, a, out, &e));
        for (size_t i = 0; i < n && files < MOST; i++) {
            snprintf(names[files], sizeof names[0], "%s/%s", MODELS[m], entries[i].name);
            snprintf(path, sizeof path, "%s/%s", folder, names[files]);
            REQUIRE(map_open(&originals[files], path, &e));
            unlink(path); /* the map keeps its bytes */
            put_file(path, originals[files].data, originals[files].bytes);
            files++;
        }
        arena_free(a);
    }
}

static bool check_list(void *arg, Text user, int64_t k, const Text *items, const float *scores, Error *e)
{
    (void)arg;
    (void)e;
    REQUIRE(user.n < 1 << 20 && k <= 3);
    for (int64_t i = 0; i < k; i++)
        REQUIRE((items[i].n == 0 || items[i].p) && (i == 0 || !(scores[i] > scores[i - 1])));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (!files)
        train();
    char run[200], path[200];
    size_t which = data[0] % files;
    snprintf(run, sizeof run, "%s/%.*s", folder, (int)strcspn(names[which], "/"), names[which]);
    snprintf(path, sizeof path, "%s/%s", folder, names[which]);
    put_file(path, data + 1, size - 1);
    Error e = {0};
    Trained *t = trained_open(&device, run, false, &e);
    check_end(t != NULL, &e);
    if (t) {
        bool ok = trained_recommend(t, NULL, 0, 3, check_list, NULL, &e);
        check_end(ok, &e);
    }
    trained_close(t);
    put_file(path, originals[which].data, originals[which].bytes);
    return 0;
}
