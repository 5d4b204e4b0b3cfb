/* tests/base_files_test.c: files and folders are read, written completely or not at all, and locked. */
#include "tests/testing.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void write_text(const char *path, const char *text)
{
    Error e = {0};
    Out *o = out_open(path, NULL, &e);
    assert_ok(o && out_write(o, text, strlen(text), &e), e);
    assert_ok(out_commit(o, &e), e);
}

static void files_are_read_and_mapped(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/a.txt", folder);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text t;
    Map m;
    write_text(path, "hello\n");
    assert_ok(file_read(&t, a, path, 6, &e), e);
    assert_string_equal(t.p, "hello\n");
    assert_false(file_read(&t, a, path, 5, &e));
    assert_error(e, SP_FORMAT, "larger than 5 bytes");
    assert_ok(map_open(&m, path, &e), e);
    assert_int_equal(m.bytes, 6);
    assert_memory_equal(m.data, "hello\n", 6);
    map_close(&m);
    map_close(&m);
    write_text(path, "");
    assert_ok(map_open(&m, path, &e) && m.bytes == 0 && m.data, e);
    assert_ok(file_read(&t, a, path, 0, &e) && t.n == 0, e);
    assert_false(map_open(&m, folder, &e));
    assert_error(e, SP_IO, "is a folder");
    assert_false(file_read(&t, a, folder, 0, &e));
    assert_error(e, SP_IO, "is a folder");
    assert_false(map_open(&m, "/dev/null", &e));
    assert_error(e, SP_IO, "is a device, a regular file is expected");
    snprintf(path, sizeof path, "%s/none", folder);
    assert_false(file_read(&t, a, path, 0, &e));
    assert_error(e, SP_IO, "cannot open: No such file");
    assert_ok(file_read(&t, a, "/proc/self/status", 0, &e) && t.n > 100, e); /* a file that states the size 0 */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char big[50000];
    memset(big, 'x', sizeof big);
    assert_int_equal(write(ends[1], big, sizeof big), sizeof big);
    close(ends[1]);
    FILE *in = fdopen(ends[0], "rb");
    assert_ok(input_read(&t, a, in, "standard input", 0, &e) && t.n == sizeof big && t.p[t.n] == '\0', e);
    fclose(in);
    arena_free(a);
    test_folder_remove(folder);
}

#define TEN(x)    x x x x x x x x x x
#define LONG_NAME TEN(TEN("abc")) /* 300 bytes: too long for every file system */

static void folders_are_made_and_listed(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    snprintf(path, sizeof path, "%s/x//y/", folder);
    assert_ok(folder_make(path, &e) && folder_make(path, &e) && folder_make("/", &e), e);
    assert_true(folder_exists(path) && !file_exists(path));
    static const char *const names[] = {"b.txt", "B.txt", "a10", "a2", ".hidden"};
    for (size_t i = 0; i < COUNT(names); i++)
        write_text(path_join(a, folder, names[i], &e), "");
    snprintf(path, sizeof path, "%s/link", folder);
    assert_int_equal(symlink("x", path), 0);
    FolderEntry *entries;
    size_t n;
    assert_ok(folder_list(&entries, &n, a, folder, &e), e);
    static const char *const sorted[] = {".hidden", "B.txt", "a10", "a2", "b.txt", "link", "x"};
    assert_int_equal(n, COUNT(sorted));
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(entries[i].name, sorted[i]);
        assert_int_equal(entries[i].is_folder, i >= 5);
    }
    unlink(path);
    snprintf(path, sizeof path, "%s/b.txt/z", folder);
    assert_false(folder_make(path, &e));
    assert_error(e, SP_IO, "is a file, a folder is expected");
    /* no folder remains after the failure */
    assert_false(folder_make(path_join(a, folder, "x/new/newer/" LONG_NAME "/last", &e), &e));
    assert_error(e, SP_IO, "cannot make the folder");
    assert_false(folder_exists(path_join(a, folder, "x/new", &e)));
    assert_true(folder_exists(path_join(a, folder, "x/y", &e)));
    assert_false(folder_list(&entries, &n, a, path, &e));
    assert_error(e, SP_IO, "cannot list the folder");
    assert_string_equal(path_join(a, "a/", "b", &e), "a/b");
    assert_string_equal(path_join(a, "a", "b", &e), "a/b");
    assert_string_equal(path_join(a, "", "b", &e), "b");
    assert_string_equal(path_join(a, "a", "/b", &e), "/b");
    assert_true(text_is(path_base("a/b.c"), "b.c") && text_is(path_base("b"), "b") && path_base("a/").n == 0);
    snprintf(path, sizeof path, "%s/x", folder);
    test_folder_remove(path);
    arena_free(a);
    test_folder_remove(folder);
}

static size_t entries_in(const char *folder)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    FolderEntry *entries;
    size_t n = 0;
    assert_ok(folder_list(&entries, &n, a, folder, &e), e);
    arena_free(a);
    return n;
}

static void outputs_appear_whole_or_not(void **state)
{
    (void)state;
    char folder[256], path[300], link[300], stale[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/out.bin", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    snprintf(stale, sizeof stale, "%s/.out.bin.tmp", folder);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text t;
    write_text(path, "old");
    TestHeap heap;
    test_heap(&heap, 0);
    Out *o = out_open(path, &heap.heap, &e);
    char *big = arena_alloc(a, 300000, 1, &e);
    memset(big, 'z', 300000);
    assert_ok(out_printf(o, &e, "%d,%s;", 5, "x") && out_write(o, big, 300000, &e) && out_write(o, NULL, 0, &e), e);
    big[99999] = '\0';
    assert_ok(out_printf(o, &e, "%s|", big), e);
    assert_ok(file_read(&t, a, path, 0, &e) && text_is(t, "old"), e);
    Out *second = out_open(path, NULL, &e);
    assert_null(second);
    assert_error(e, SP_IO, "is being written by another");
    assert_ok(out_commit(o, &e), e);
    assert_int_equal(heap.live, 0);
    assert_ok(file_read(&t, a, path, 0, &e), e);
    assert_int_equal(t.n, 4 + 300000 + 100000);
    assert_true(text_starts(t, "5,x;zzz") && text_ends(t, "zz|"));
    o = out_open(path, NULL, &e);
    assert_ok(out_printf(o, &e, "half"), e);
    out_discard(o);
    out_discard(NULL);
    assert_int_equal(entries_in(folder), 1);
    assert_int_equal(symlink("out.bin", link), 0);
    write_text(link, "through");
    struct stat st;
    assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    assert_ok(file_read(&t, a, path, 0, &e) && text_is(t, "through"), e);
    unlink(path); /* a link without a target: the target is made */
    write_text(link, "again");
    assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    assert_ok(file_read(&t, a, path, 0, &e) && text_is(t, "again"), e);
    unlink(link);
    assert_int_equal(symlink("link", link), 0);
    assert_null(out_open(link, NULL, &e));
    assert_error(e, SP_IO, "is a link to itself; remove it");
    unlink(link);
    assert_int_equal(symlink("no/folder", link), 0);
    assert_null(out_open(link, NULL, &e));
    assert_error(e, SP_IO, "cannot create");
    unlink(link);
    assert_int_equal(symlink(path, link), 0);
    pid_t child = fork(); /* the child ends while it writes; the next writer removes its temporary file */
    if (child == 0) {
        o = out_open(path, NULL, &e);
        out_write(o, big, 300000, &e);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    assert_true(file_exists(stale));
    write_text(path, "after");
    assert_false(file_exists(stale));
    assert_ok(file_read(&t, a, path, 0, &e) && text_is(t, "after"), e);
    arena_free(a);
    test_folder_remove(folder);
}

static void outputs_report_failures(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    Error e = {0};
    snprintf(path, sizeof path, "%s/none/x", folder);
    assert_null(out_open(path, NULL, &e));
    assert_error(e, SP_IO, "none/x: cannot create: No such file");
    assert_null(out_open(folder, NULL, &e));
    assert_error(e, SP_IO, "is a folder");
    snprintf(path, sizeof path, "%s/none/", folder);
    assert_null(out_open(path, NULL, &e));
    assert_error(e, SP_IO, "names a folder");
    Out *o = out_open("/dev/full", NULL, &e);
    if (o) {
        char big[70000] = {0};
        assert_false(out_write(o, big, sizeof big, &e));
        assert_error(e, SP_IO, "/dev/full: cannot write: No space left");
        assert_false(out_printf(o, &e, "x"));
        assert_error(e, SP_IO, "No space left");
        assert_false(out_write(o, "x", 1, &e));
        error_clear(&e);
        assert_false(out_commit(o, &e));
        assert_error(e, SP_IO, "No space left");
    }
    o = out_open("/dev/null", NULL, &e);
    assert_ok(o && out_printf(o, &e, "gone") && out_commit(o, &e), e);
    struct stat st;
    assert_true(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    snprintf(path, sizeof path, "%s/lost", folder);
    o = out_open(path, NULL, &e);
    rmdir(folder);
    char temporary[320];
    snprintf(temporary, sizeof temporary, "%s/.lost.tmp", folder);
    unlink(temporary);
    assert_false(out_commit(o, &e));
    assert_error(e, SP_IO, "cannot rename");
    test_folder_remove(folder);
}

/* Descriptors 0 to 2 are the caller's, even if they are closed. Checks that no file gets one of them: text printed to
 * standard output would go into the file. */
static void descriptors_are_three_or_more(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/x", folder);
    Error e = {0};
    fflush(stdout);
    int saved = dup(0), descriptor[3], n = 0;
    assert_true(saved > 2 && close(0) == 0);
    Out *o = out_open(path, NULL, &e);
    descriptor[n++] = open("/dev/null", O_RDONLY); /* still the lowest free descriptor */
    bool ok = o && out_printf(o, &e, "kept") && out_commit(o, &e);
    close(0);
    FolderLock lock;
    ok = ok && folder_lock(&lock, folder, &e);
    descriptor[n++] = open("/dev/null", O_RDONLY);
    folder_unlock(&lock);
    close(0);
    descriptor[n++] = descriptor_open(path, O_RDONLY, 0);
    dup2(saved, 0);
    close(saved);
    assert_ok(ok, e);
    assert_true(descriptor[0] == 0 && descriptor[1] == 0 && descriptor[2] > 2);
    close(descriptor[2]);
    test_folder_remove(folder);
}

static void pipes_and_devices_are_not_waited_for(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/pipe", folder);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text t;
    Map m;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(file_read(&t, a, path, 0, &e));
    assert_error(e, SP_IO, "pipe: is a pipe, a regular file is expected");
    assert_false(map_open(&m, path, &e));
    assert_error(e, SP_IO, "is a pipe");
    assert_false(map_read(&m, a, path, &e));
    assert_error(e, SP_IO, "is a pipe");
    FolderEntry *entries;
    size_t n;
    assert_false(folder_list(&entries, &n, a, path, &e));
    assert_error(e, SP_IO, "is a file, a folder is expected");
    static const char *const endless[] = {"/dev/zero", "/dev/urandom", "/dev/full"};
    for (size_t i = 0; i < COUNT(endless); i++) {
        assert_false(stream_read(&t, a, endless[i], 0, &e));
        assert_error(e, SP_IO, "is a device; expected a file or a pipe");
    }
    assert_ok(stream_read(&t, a, "/dev/null", 0, &e) && t.n == 0, e);
    assert_false(stream_read(&t, a, folder, 0, &e));
    assert_error(e, SP_IO, "is a folder");
    int ends[2];
    for (int k = 0; k < 2; k++) { /* a text longer than its limit; a NUL byte ends a stream */
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], k ? "12\0" : "12345678", k ? 3 : 8), k ? 3 : 8);
        if (!k)
            close(ends[1]);
        FILE *in = fdopen(ends[0], "rb");
        assert_true(input_read(&t, a, in, "standard input", 7, &e) == (k == 1));
        if (k)
            assert_true(t.n == 3 && t.p[2] == '\0');
        else
            assert_error(e, SP_FORMAT, "standard input: is larger than 7 bytes");
        fclose(in);
        if (k)
            close(ends[1]);
    }
    arena_free(a);
    test_folder_remove(folder);
}

/* Checks that an existing file with the name of a temporary file is not overwritten. */
static void temporary_files_are_new(void **state)
{
    (void)state;
    char folder[256], path[300], temporary[300], other[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/x", folder);
    snprintf(temporary, sizeof temporary, "%s/.x.tmp", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text t;
    write_text(other, "precious");
    assert_int_equal(link(other, temporary), 0);
    write_text(path, "new");
    assert_ok(file_read(&t, a, other, 0, &e) && text_is(t, "precious"), e);
    assert_ok(file_read(&t, a, path, 0, &e) && text_is(t, "new"), e);
    assert_int_equal(symlink("other", temporary), 0);
    assert_null(out_open(path, NULL, &e));
    assert_error(e, SP_IO, ".x.tmp: is a link with the name of a temporary file");
    unlink(temporary);
    assert_int_equal(mkdir(temporary, 0700), 0);
    assert_null(out_open(path, NULL, &e));
    assert_error(e, SP_IO, ".x.tmp: has the name of a temporary file");
    rmdir(temporary);
    assert_ok(file_read(&t, a, other, 0, &e) && text_is(t, "precious"), e);
    snprintf(temporary, sizeof temporary, "%s/.sapor.lock", folder);
    snprintf(other, sizeof other, "%s/absent", folder);
    assert_int_equal(symlink("absent", temporary), 0);
    FolderLock lock;
    assert_false(folder_lock(&lock, folder, &e));
    assert_error(e, SP_IO, ".sapor.lock: is not a regular file");
    assert_false(file_exists(other));
    arena_free(a);
    test_folder_remove(folder);
}

/* The numbers of calls that add a file to the command's list of temporary files, and that remove one. Signal handlers
 * read this list, so signals must be blocked during a change of the list. */
static int added, removed;
static void note_temporary(const char *path, bool is_there)
{
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    assert_true(sigismember(&now, SIGTERM) && sigismember(&now, SIGINT) && sigismember(&now, SIGHUP));
    assert_false(sigismember(&now, SIGBUS));
    assert_true(text_ends(text_of(path), "/.x.tmp"));
    *(is_there ? &added : &removed) += 1;
}

static void temporary_files_are_listed_while_they_are_there(void **state)
{
    (void)state;
    static const FileHooks HOOKS = {.temporary = note_temporary};
    const FileHooks *before = file_hooks;
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/x", folder);
    Error e = {0};
    sigset_t now;
    file_hooks = &HOOKS;
    for (int i = 0; i < 2; i++) {
        Out *o = out_open(path, NULL, &e);
        assert_ok(o, e);
        assert_true(added == i + 1 && removed == i);
        if (i)
            out_discard(o);
        else
            assert_ok(out_commit(o, &e), e);
        assert_int_equal(removed, i + 1);
        pthread_sigmask(SIG_BLOCK, NULL, &now);
        assert_false(sigismember(&now, SIGTERM));
    }
    file_hooks = before;
    test_folder_remove(folder);
}

static void inputs_are_not_outputs(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    FileSet *s = file_set_new(a, &e);
    const char *in = path_join(a, folder, "in", &e), *hard = path_join(a, folder, "hard", &e),
               *soft = path_join(a, folder, "soft", &e), *free_name = path_join(a, folder, "free", &e);
    write_text(in, "x");
    assert_true(link(in, hard) == 0 && symlink("in", soft) == 0);
    assert_ok(file_set_check(s, in, &e), e);
    assert_ok(file_set_add(s, in, &e) && file_set_add(s, free_name, &e) && file_set_add(s, "/dev/null", &e) &&
                  file_set_add(s, folder, &e),
              e);
    const char *const same[] = {in, hard, soft};
    for (size_t i = 0; i < COUNT(same); i++) {
        assert_false(file_set_check(s, same[i], &e));
        assert_error(e, SP_USAGE, i ? "is the same file as the input" : "is an input too");
    }
    assert_ok(file_set_check(s, free_name, &e) && file_set_check(s, "/dev/null", &e) && file_set_check(s, folder, &e),
              e);
    arena_free(a);
    test_folder_remove(folder);
}

static void folders_are_locked(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
    Error e = {0};
    FolderLock first, second;
    assert_ok(folder_lock(&first, folder, &e), e);
    assert_false(folder_lock(&second, folder, &e));
    assert_error(e, SP_IO, "another run is writing to this folder");
    folder_unlock(&second);
    folder_unlock(&first);
    assert_ok(folder_lock(&second, folder, &e), e);
    folder_unlock(&second);
    test_folder_remove(folder);
    assert_false(folder_lock(&second, folder, &e));
    assert_error(e, SP_IO, "cannot lock the folder");
}

static void locks_have_names(void **state)
{
    (void)state;
    char folder[256], path[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/a.lock", folder);
    Error e = {0};
    FolderLock first, second, other;
    bool taken;
    assert_ok(lock_take(&first, folder, "a.lock", &taken, &e) && taken, e);
    assert_ok(lock_take(&second, folder, "a.lock", &taken, &e) && !taken && second.fd == -1, e);
    assert_ok(lock_take(&other, folder, "b.lock", &taken, &e) && taken, e);
    lock_drop(&first, folder, "a.lock");
    assert_false(file_exists(path));
    assert_ok(lock_take(&second, folder, "a.lock", &taken, &e) && taken, e);
    /* a lock is void if its file was removed and made again by another process */
    assert_int_equal(unlink(path), 0);
    assert_ok(lock_take(&first, folder, "a.lock", &taken, &e) && taken, e);
    folder_unlock(&second);
    lock_drop(&first, folder, "a.lock");
    lock_drop(&other, folder, "b.lock");
    test_folder_remove(folder);
    assert_false(lock_take(&first, folder, "a.lock", &taken, &e));
    assert_error(e, SP_IO, "cannot lock the folder");
}

static void groups_share_a_folder(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
    Error e = {0};
    FolderLock a, b, c;
    int64_t most = INT64_C(1) << 62;
    assert_ok(folder_join(&a, folder, 7, &e), e);
    assert_ok(folder_join(&b, folder, 7, &e), e);
    for (size_t i = 0; i < 4; i++) {
        assert_false(folder_join(&c, folder, (const int64_t[]){6, 8, 1, most}[i], &e));
        assert_error(e, SP_IO, "another run is writing to this folder");
    }
    folder_unlock(&a);
    assert_false(folder_join(&a, folder, 6, &e));
    assert_error(e, SP_IO, "another run is writing to this folder");
    folder_unlock(&b);
    assert_ok(folder_join(&a, folder, most, &e), e);
    assert_false(folder_join(&b, folder, 7, &e));
    assert_error(e, SP_IO, "another run is writing to this folder");
    folder_unlock(&a);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_and_mapped),
        cmocka_unit_test(folders_are_made_and_listed),
        cmocka_unit_test(outputs_appear_whole_or_not),
        cmocka_unit_test(outputs_report_failures),
        cmocka_unit_test(descriptors_are_three_or_more),
        cmocka_unit_test(pipes_and_devices_are_not_waited_for),
        cmocka_unit_test(temporary_files_are_new),
        cmocka_unit_test(temporary_files_are_listed_while_they_are_there),
        cmocka_unit_test(inputs_are_not_outputs),
        cmocka_unit_test(folders_are_locked),
        cmocka_unit_test(locks_have_names),
        cmocka_unit_test(groups_share_a_folder),
    };
    return cmocka_run_group_tests_name("base_files", tests, NULL, NULL);
}
