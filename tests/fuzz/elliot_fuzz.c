/* tests/fuzz/elliot_fuzz.c: Elliot's configurations: from YAML to a study, with its files on the disk. Files are in a
 * folder of this target: an input with a slash or with ".." is skipped. */
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>

#include "recsys/protocols/protocols.h"

static bool stays_here(const Yaml *y)
{
    if (y->type == YAML_TEXT)
        return !memchr(y->text.p, '/', y->text.n) && !strstr(y->text.p, "..");
    for (const Yaml *child = y->first; child; child = child->next)
        if (!stays_here(child))
            return false;
    return true;
}

static void remove_tree(const char *path)
{
    Error e = {0};
    FolderEntry *entry;
    size_t n = 0;
    Arena *a = arena_new(NULL, 0);
    if (folder_exists(path) && folder_list(&entry, &n, a, path, &e))
        for (size_t i = 0; i < n; i++) {
            const char *inner = path_join(a, path, entry[i].name, &e);
            if (entry[i].is_folder)
                remove_tree(inner);
            else
                unlink(inner);
        }
    rmdir(path);
    arena_free(a);
}

static char folder[] = "/tmp/elliot-fuzz-XXXXXX";

static void leave(void)
{
    remove_tree(folder);
}

static void enter(void)
{
    static const char
        rows[] = "1\t1\t5\t1\n1\t2\t3\t2\n1\t3\t1\t3\n2\t1\t4\t1\n2\t2\t2\t5\n2\t3\t5\t9\n3\t1\t1\t2\n3\t3\t2\t4\n",
        npy[] = "\x93NUMPY\1\0\x46\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }          \n\0\0\x80?";
    REQUIRE(mkdtemp(folder) && chdir(folder) == 0 && atexit(leave) == 0);
    REQUIRE(mkdir("f.f", 0700) == 0 && mkdir("h", 0700) == 0 && mkdir("h/0", 0700) == 0 && mkdir("h/0/0", 0700) == 0);
    static const char *const parts[] = {"d.tsv", "h/0/test.tsv", "h/0/0/train.tsv", "h/0/0/val.tsv"};
    for (size_t i = 0; i < COUNT(parts); i++)
        put_file(parts[i], (const uint8_t *)rows, sizeof rows - 1);
    put_file("f.f/1.npy", (const uint8_t *)npy, sizeof npy - 1);
    put_file("f.f/2.npy", (const uint8_t *)npy, sizeof npy - 1);
}

static void no_note(void *arg, const char *line)
{
    (void)arg;
    REQUIRE(*line && !strchr(line, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int before = -1; /* the fuzzer's own folder: the paths of its corpus are relative */
    Error e = {0};
    Study s;
    if (before < 0) {
        before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        enter();
    } else {
        REQUIRE(chdir(folder) == 0);
    }
    Arena *a = arena_new(fuzz_heap(size), 0);
    Yaml *root = yaml_parse(a, (Text){(const char *)data, size}, "fuzz.yml", &e);
    if (root && stays_here(root)) {
        bool ok = elliot_read(&s, &(ProtocolConfig){.path = "fuzz.yml", .out = "out", .note = no_note}, root, a, &e);
        check_end(ok, &e);
        REQUIRE(!ok || (s.data_count && s.model_count && s.metric));
        remove_tree("out");
        remove_tree("s.s");
    }
    arena_free(a);
    REQUIRE(fchdir(before) == 0);
    return 0;
}
