/* tests/faults_test.c: every reader, writer and command with failing system calls. For each subject:
 * - allocation number 1, 2, ... is refused;
 * - file call number 1, 2, ... fails;
 * - the disk is full from some byte on;
 * - calls are interrupted, and reads and writes are short;
 * - the process is killed before its change number 1, 2, ... to a file.
 *
 * A run that succeeds must have the result of an undisturbed run. A run that fails gives an error of one line, leaks
 * nothing and leaves no partial file. Then the subject is run again without faults, and must give the same bytes.
 * FAULTS=all tries each place. The default tries the first places and a decreasing share of the later ones. */
#include "tests/faults_subjects.h"

#include <errno.h>
#include <ftw.h>
#include <sys/wait.h>

/* ---- required properties --------------------------------------------------------------------- */

/* Adds the names and bytes of everything in a folder to the digest. A temporary file in the folder is a failure. */
static void mix_folder(const char *path, uint64_t *digest)
{
    Error e = {0};
    FolderEntry *entries;
    size_t n;
    Arena *a = arena_new(NULL, 0);
    if (folder_exists(path) && !folder_list(&entries, &n, a, path, &e))
        fail_msg("%s", e.message);
    for (size_t i = 0; folder_exists(path) && i < n; i++) {
        const char *name = path_join(a, path, entries[i].name, &e);
        Text bytes;
        mix(digest, entries[i].name, strlen(entries[i].name));
        if (text_ends(text_of(name), ".tmp"))
            fail_msg("%s was left behind", name);
        if (entries[i].is_folder)
            mix_folder(name, digest);
        else if (file_read(&bytes, a, name, 0, &e))
            mix(digest, bytes.p, bytes.n);
    }
    arena_free(a);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    return remove(path);
}

/* Removes the folder `out`. It is not removed by rm, because this is done before each of thousands of runs. */
static void remove_out(void)
{
    if (nftw(out, remove_entry, 16, FTW_DEPTH | FTW_PHYS))
        assert_int_equal(errno, ENOENT);
}

/* Runs the subject without faults. Returns the digest of its result. */
static uint64_t undisturbed(const Subject *s)
{
    uint64_t digest = 0;
    Error e = {0};
    if (!s->run(&digest, &e))
        fail_msg("%s, undisturbed: %s", s->name, e.message);
    if (s->writes)
        mix_folder(out, &digest);
    return digest;
}

/* Runs the subject with a fault armed. Returns whether the fault occurred. */
static bool disturbed(const Subject *s, FaultKind kind, size_t at, uint64_t expected)
{
    uint64_t digest = 0;
    Error e = {0};
    fault_arm(kind, at);
    bool ok = s->run(&digest, &e);
    size_t calls = fault_disarm(), left = live.count;
    live_forget();
    if (left)
        fail_msg("%s, fault %d at %zu: %zu allocations were not freed", s->name, (int)kind, at, left);
    if (ok != (e.code == SP_OK) || (!ok && (!e.message[0] || strchr(e.message, '\n'))))
        fail_msg("%s, fault %d at %zu: ended %s with \"%s\"", s->name, (int)kind, at, ok ? "well" : "badly", e.message);
    if (!ok && (kind == FAULT_INTERRUPT || kind == FAULT_SHORT || calls < at))
        fail_msg("%s, fault %d at %zu: %s", s->name, (int)kind, at, e.message);
    if (s->writes)
        mix_folder(out, &digest);
    if (ok && digest != expected)
        fail_msg("%s, fault %d at %zu: ended well with other results", s->name, (int)kind, at);
    return calls >= at;
}

/* Returns the place that is tried after `at`: the next one, or with larger places a later one (FAULTS=all: always the
 * next). */
static size_t following(size_t at)
{
    const char *all = getenv("FAULTS");
    return at + 1 + (all && !strcmp(all, "all") ? 0 : at / 24);
}

static void at_each_place(FaultKind kind)
{
    for (size_t i = 0; i < COUNT(SUBJECTS); i++) {
        const Subject *s = &SUBJECTS[i];
        size_t tries = 0;
        bool came = true;
        if (kind == FAULT_FULL && !s->writes)
            continue;
        remove_out();
        uint64_t expected = undisturbed(s);
        for (size_t at = 1; came; at = following(at), tries++) {
            remove_out();
            came = disturbed(s, kind, at, expected);
            if (undisturbed(s) != expected) /* over the files that the disturbed run left */
                fail_msg("%s, fault %d at %zu: other results when run again", s->name, (int)kind, at);
        }
        printf("# %s: %zu places\n", s->name, tries - 1);
    }
}

static void refused_memory(void **state)
{
    (void)state;
    at_each_place(FAULT_MEMORY);
}

static void refused_pieces(void **state)
{
    (void)state;
    at_each_place(FAULT_ARENA);
}

static void failing_files(void **state)
{
    (void)state;
    at_each_place(FAULT_ERROR);
}

static void a_full_disk(void **state)
{
    (void)state;
    at_each_place(FAULT_FULL);
}

/* Checks that interrupted and short calls cost only time. */
static void interrupted_and_short_calls(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SUBJECTS); i++) {
        remove_out();
        uint64_t expected = undisturbed(&SUBJECTS[i]);
        for (int k = 0; k < 2; k++) {
            remove_out();
            disturbed(&SUBJECTS[i], k ? FAULT_SHORT : FAULT_INTERRUPT, 0, expected);
        }
    }
}

/* Checks that the old file stays until the new file is complete. */
static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SUBJECTS); i++) {
        const Subject *s = &SUBJECTS[i];
        if (s->run != write_npy && s->run != write_safetensors && s->run != encode_files)
            continue;
        remove_out();
        uint64_t expected = undisturbed(s), still = 0;
        for (size_t at = 1; disturbed(s, FAULT_FULL, at, expected); at++) {
            still = 0;
            mix_folder(out, &still);
            uint64_t before = 0;
            undisturbed(s);
            mix_folder(out, &before);
            assert_true(still == before);
        }
    }
}

/* Runs the function in a process that is killed before its change number `at` to a file. Returns whether it was killed.
 */
static bool dies(const char *name, bool (*run)(uint64_t *digest, Error *e), size_t at)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        uint64_t digest = 0;
        Error e = {0};
        fault_arm(FAULT_KILL, at);
        _exit(run(&digest, &e) ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        fail_msg("%s failed in a child that was to die at %zu", name, at);
    return !WIFEXITED(status);
}

/* Kills a run before each change to a file and runs it again: the bytes are those of an undisturbed run. */
static void kills(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(SUBJECTS); i++) {
        const Subject *s = &SUBJECTS[i];
        size_t tries = 0;
        if (!s->writes)
            continue;
        remove_out();
        uint64_t expected = undisturbed(s);
        for (size_t at = 1;; at = following(at), tries++) {
            remove_out();
            bool died = dies(s->name, s->run, at);
            if (undisturbed(s) != expected)
                fail_msg("%s: other results after a kill at %zu", s->name, at);
            if (!died)
                break;
        }
        printf("# %s: %zu kills\n", s->name, tries);
    }
}

/* Returns a digest of the two files that `encode` writes. It is 0 if there is no .npy, because names alone have no
 * meaning. */
static uint64_t pair_digest(void)
{
    Error e = {0};
    uint64_t digest = 1;
    Text bytes[2];
    Arena *a = arena_new(NULL, 0);
    if (!file_exists(out_path("x.npy"))) {
        digest = 0;
    } else {
        assert_ok(file_read(&bytes[0], a, out_path("x.npy"), 0, &e) &&
                      file_read(&bytes[1], a, out_path("x.ids.txt"), 0, &e),
                  e);
        for (size_t i = 0; i < 2; i++)
            mix(&digest, bytes[i].p, bytes[i].n);
    }
    arena_free(a);
    return digest;
}

/* Kills a run before each change while it replaces features and names. Checks that no .npy is next to the names of
 * another one. */
static void names_belong_to_their_features(void **state)
{
    (void)state;
    Error e = {0};
    uint64_t none = 0;
    remove_out();
    assert_ok(encode_swapped(&none, &e), e);
    uint64_t after = pair_digest();
    assert_ok(encode_files(&none, &e), e);
    uint64_t before = pair_digest();
    assert_true(before != after);
    for (size_t at = 1; dies("encode", encode_swapped, at); at++) {
        uint64_t now = pair_digest();
        if (now && now != before && now != after)
            fail_msg("killed at %zu: the names are not those of the features", at);
        assert_ok(encode_files(&none, &e), e);
    }
    assert_true(pair_digest() == after);
}

/* Returns a digest of the three parts in `out`. It is 0 if train.tsv is missing: then there is no split. */
static uint64_t parts_digest(void)
{
    static const char *const NAMES[] = {"train.tsv", "val.tsv", "test.tsv"};
    Error e = {0};
    uint64_t digest = 1;
    Text bytes;
    Arena *a = arena_new(NULL, 0);
    if (!file_exists(out_path("train.tsv")))
        digest = 0;
    for (size_t i = 0; i < COUNT(NAMES) && digest; i++) {
        assert_ok(file_read(&bytes, a, out_path(NAMES[i]), 0, &e), e);
        mix(&digest, bytes.p, bytes.n);
    }
    arena_free(a);
    return digest;
}

static bool split_seeded(uint32_t seed, Error *e)
{
    size_t counts[3];
    SplitConfig c = {.strategy = SPLIT_RANDOM, .test_ratio = 0.3, .validation_ratio = 0.3, .seed = seed};
    return split_file(in("train.tsv"), out, &c, counts, e);
}

static bool split_again(uint64_t *digest, Error *e)
{
    (void)digest;
    return split_seeded(2, e);
}

/* A split that replaces another one fails, or is killed, at each step. Checks that the folder has the old parts, the
 * new parts, or none. */
static void parts_belong_together(void **state)
{
    (void)state;
    static const FaultKind FAILURES[] = {FAULT_ERROR, FAULT_FULL, FAULT_MEMORY, FAULT_ARENA};
    Error e = {0};
    uint64_t none = 0, now;
    remove_out();
    assert_ok(split_again(&none, &e), e);
    uint64_t after = parts_digest();
    assert_ok(split_seeded(1, &e), e);
    uint64_t before = parts_digest();
    assert_true(before != after && before && after);
    size_t seen[3] = {0};
    for (size_t at = 1; dies("split", split_again, at); at++) {
        now = parts_digest();
        if (now && now != before && now != after)
            fail_msg("killed at %zu: parts of two splits", at);
        seen[now == before ? 0 : now == after ? 1 : 2]++;
        assert_ok(split_seeded(1, &e), e);
    }
    assert_true(seen[0] > 0 && seen[2] > 0);
    assert_ok(split_seeded(1, &e), e);
    for (size_t k = 0; k < COUNT(FAILURES); k++)
        for (size_t at = 1, calls = at; calls >= at; at++) {
            Error why = {0};
            fault_arm(FAILURES[k], at);
            bool ok = split_again(&none, &why);
            calls = fault_disarm();
            live_forget();
            now = parts_digest();
            if (ok ? now != after : now && now != before && now != after)
                fail_msg("fault %d at %zu: parts of two splits", (int)FAILURES[k], at);
            if (!ok && !now && (file_exists(out_path("val.tsv")) || file_exists(out_path("test.tsv"))))
                fail_msg("fault %d at %zu: some parts are left", (int)FAILURES[k], at);
            assert_ok(split_seeded(1, &e), e);
        }
}

/* ---- input files ----------------------------------------------------------------------------- */

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void put_shard(const char *name, const char *tensor)
{
    Error e = {0};
    const float x[4] = {1, 2, 3, 4};
    SafetensorsOut *s = safetensors_open(in(name), NULL, &e);
    assert_true(s && safetensors_declare(s, tensor, F32, 1, (const int64_t[]){4}, &e) &&
                safetensors_data(s, x, sizeof x, &e));
    assert_ok(safetensors_commit(s, &e), e);
}

static void put_fortran(const char *name, int rows, int columns, const float *x)
{
    char header[128];
    FILE *f = fopen(in(name), "wb");
    assert_non_null(f);
    memset(header, ' ', sizeof header);
    int n = snprintf(header + 10, sizeof header - 10, "{'descr': '<f4', 'fortran_order': True, 'shape': (%d, %d), }",
                     rows, columns);
    memcpy(header, "\x93NUMPY\1\0\x76\0", 10);
    header[10 + n] = ' ';
    fwrite(header, 1, sizeof header, f);
    fwrite(x, sizeof *x, (size_t)(rows * columns), f);
    fclose(f);
}

/* Writes "a,x,1\nb,y,2\n" in a stored block. */
static void put_gzip(const char *name)
{
    static const char CONTENT[] = "a,x,1\nb,y,2\n";
    unsigned n = sizeof CONTENT - 1;
    uint32_t sum = ~0u;
    FILE *f = fopen(in(name), "wb");
    assert_non_null(f);
    fwrite("\x1f\x8b\x08\0\0\0\0\0\0\x03\x01", 1, 11, f);
    fwrite((const uint16_t[]){(uint16_t)n, (uint16_t)~n}, 2, 2, f);
    fwrite(CONTENT, 1, n, f);
    for (unsigned i = 0; i < n; i++) {
        sum ^= (unsigned char)CONTENT[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
    }
    fwrite((const uint32_t[]){~sum, n}, 4, 2, f);
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    enum { USERS = 12, ITEMS = 9, D = 3 };
    Error e = {0};
    float x[ITEMS * D];
    char text[4096], *p = text;
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* a sync costs nothing there */
    test_folder(root);
    snprintf(out, sizeof out, "%s/out", root);
    assert_ok(device_open(&device, NULL, 1, NULL, NULL, &e), e);
    for (int u = 0; u < USERS; u++)
        for (int j = 0; j < 4; j++)
            p += sprintf(p, "%d\t%d\t%d\t%d\n", u, (u + j * j) % ITEMS, 1 + j, u * j);
    put("train.tsv", text);
    put("reviews.json", "{\"reviewerID\": \"u\", \"asin\": \"a\", \"overall\": 4.0, \"unixReviewTime\": 3}\n"
                        "{\"reviewerID\": \"u\", \"asin\": \"b\", \"overall\": 4.5, \"unixReviewTime\": 5}\n"
                        "{\"reviewerID\": \"u\", \"asin\": \"b\", \"overall\": 4.5, \"unixReviewTime\": 6}\n"
                        "{\"reviewerID\": \"v\", \"asin\": \"a\", \"overall\": 4.5, \"unixReviewTime\": 5}\n"
                        "{\"reviewerID\": \"v\", \"asin\": \"b\", \"overall\": 4.5, \"unixReviewTime\": 7}\n");
    put("meta.py", "{'asin': 'a', 'description': u'\\xe9', 'imUrl': 'y', 'categories': [['c', 'd']]}\n");
    put("train.csv", "user,item,rating\n\"a\",x,1\nb,y,2\nb,x,3\n");
    put("quoted.csv", "user,item,note\n\"a \"\"b\"\"\",\"x,y\",\"one\ntwo\"\nb,y,\nb,x,\n");
    put("separators.csv", "user;item;note\na;x;b, c\nb;y;\n");
    put("blanks.txt", "1 2 5\n1 3 4\n2 3 1\n");
    put("dots.tsv", "1\t1.a\n1\t2.b\n2\t3\n");
    put("recs.csv", "item;user;score\n1;\"0\";2\n2;0;3\n");
    put("by_user.tsv", "user\tRecall@20\tnDCG@20\na\t0\t0.5\n\"b \"\"c\"\t1\t0.25\nd\t0.1\t1\n");
    put("data.inter", "userID\titemID\tx_label\n0\t0\t0\n0\t1\t1\n1\t2\t0\n1\t0\t2\n");
    put("recbole.inter", "user_id:token\titem_id:token\nu\ti\nv\tj\n");
    put("lightgcn.txt", "0 1 2\n1 0\n");
    put("latin.tsv", "id\ttext\na\ta red bag\nb\tcaf\xe9\nc\ta lamp\n");
    put("trials.tsv",
        "data\tsetting\tfold\tmodel\tpoint\tseed\tnumber\tkey\tstate\tmessage\tsettings\tbest_epoch\tepochs\tvalid\t"
        "test\thistory\nd\ts\t\tm\tlr=0.1\t1\t0\t0123456789abcdef0123456789abcdef\tdone\t\t{\"lr\":\"0.1\"}\t2\t2\t"
        "{\"Recall@5\":0.1}\t{}\tepoch\\tloss\\n2\\t0.5\\n\n");
    put("texts.tsv", "id\ttext\na\ta red bag\nb\t\"a \"\"brass\"\"\nlamp\"\n");
    for (int i = 0; i < ITEMS * D; i++)
        x[i] = (float)i;
    assert_ok(npy_write_f32(in("visual.npy"), 2, (const int64_t[]){ITEMS, D}, x, NULL, &e), e);
    int32_t near[ITEMS * 2];
    for (int i = 0; i < ITEMS * 2; i++)
        near[i] = (i / 2 + i % 2 + 1) % ITEMS;
    NpyOut *n = npy_create(in("near.npy"), I32, 2, (const int64_t[]){ITEMS, 2}, NULL, &e);
    assert_ok(n && npy_data(n, near, sizeof near, &e) && npy_commit(n, &e), e);
    put_fortran("fortran.npy", ITEMS, D, x);
    put_gzip("train.csv.gz");
    assert_ok(folder_make(in("items"), &e) && folder_make(in("sharded"), &e) && folder_make(in("pictures"), &e), e);
    for (int i = 0; i < ITEMS; i++) {
        char name[32];
        snprintf(name, sizeof name, "items/%d.npy", i);
        assert_ok(npy_write_f32(in(name), 2, (const int64_t[]){1, D}, x + (ptrdiff_t)i * D, NULL, &e), e);
    }
    put("sharded/model.safetensors.index.json",
        "{\"weight_map\": {\"a\": \"m-1.safetensors\", \"b\": \"m-2.safetensors\"}}");
    put_shard("sharded/m-1.safetensors", "a");
    put_shard("sharded/m-2.safetensors", "b");
    static const char *const PICTURES[] = {"RGB.png", "grey.jpg"};
    for (size_t i = 0; i < COUNT(PICTURES); i++) {
        char from[400], to[400], here[200];
        snprintf(from, sizeof from, "%s/" GOLDEN "images/%s", getcwd(here, sizeof here) ? here : ".", PICTURES[i]);
        snprintf(to, sizeof to, "%s/pictures/%s", root, PICTURES[i]);
        assert_int_equal(symlink(from, to), 0);
    }
    snprintf(text, sizeof text,
             "dataset_path: %s\nvisual:\n  items: {input_path: pictures, output_path: out, model: [{model_name: "
             "colour-statistics, backend: torch, "
             "output_layers: avgpool, reshape: [8, 8]}]}\ntextual:\n  items: {input_path: texts.tsv, output_path: out, "
             "item_column: id, text_column: "
             "text, model: [{model_name: %s, backend: sentence_transformers}]}\n",
             root, drawn(GOLDEN "encoders/bert"));
    put("c.yml", text);
    assert_ok(train_into(in("trained"), &e), e);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_close(&device);
    char line[400];
    device_close(&device);
    snprintf(line, sizeof line, "rm -rf '%s'", root);
    return system(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* These tests fork. A fork is slower if a sanitizer holds much memory, so they come first. */
        cmocka_unit_test(kills),
        cmocka_unit_test(names_belong_to_their_features),
        cmocka_unit_test(parts_belong_together),
        cmocka_unit_test(refused_memory),
        cmocka_unit_test(refused_pieces),
        cmocka_unit_test(failing_files),
        cmocka_unit_test(interrupted_and_short_calls),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
