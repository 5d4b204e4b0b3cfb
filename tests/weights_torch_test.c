/* tests/weights_torch_test.c: valid and malformed torch files. The goldens are from tests/golden/make_weights.py. This
 * script also calls `weights_torch_test FILE`, and compares every tensor on standard output with torch's. */
#include "tests/weights_testing.h"

#define GOLDEN "tests/golden/torch/"

static void torch_goldens(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text expect, line, column[5];
    assert_true(file_read(&expect, a, GOLDEN "expect.txt", 0, &e));
    FolderEntry *entries;
    size_t files, checked = 0;
    assert_true(folder_list(&entries, &files, a, "tests/golden/torch", &e));
    for (size_t i = 0; i < files; i++) {
        Text file = text_of(entries[i].name), what = file;
        if (!text_ends(file, ".pt"))
            continue;
        what.n = strcspn(what.p, ".");
        Weights *w = weights_open(arena_printf(a, &e, GOLDEN "%s", entries[i].name), a, &e);
#ifndef HAVE_ZLIB
        if (!w && e.code == SP_UNSUPPORTED && strstr(entries[i].name, "deflated")) {
            printf("# skipped: %s: this build has no zlib\n", entries[i].name);
            error_clear(&e);
            continue;
        }
#endif
        if (!w)
            fail_msg("%s", e.message);
        size_t n = 0;
        for (Text rest = expect; text_line(&rest, &line);) {
            for (int k = 0; k < 5; k++)
                if (!text_next(&line, '\t', &column[k]))
                    column[k] = TEXT("");
            if (!text_equal(column[0], what))
                continue;
            const Array *t = weights_at(w, n++);
            char shape[200] = "", *hex = NEW(a, char, 2 * (size_t)t->count * dtype_bytes(t->type) + 1, &e);
            for (int d = 0; d < t->dims; d++)
                snprintf(shape + strlen(shape), 20, "%s%d", d ? "," : "", (int)t->shape[d]);
            for (size_t b = 0; b < (size_t)t->count * dtype_bytes(t->type); b++)
                snprintf(hex + 2 * b, 3, "%02x", ((const unsigned char *)t->data)[b]);
            if (!text_equal(t->name, column[1]) || !text_is(column[2], dtype_name(t->type)) ||
                !text_is(column[3], shape) || !text_is(column[4], hex))
                fail_msg("%s: tensor %s differs", entries[i].name, t->name.p);
            checked++;
        }
        assert_int_equal(n, weights_count(w));
        weights_close(w);
    }
    assert_true(checked > 50);
    arena_free(a);
}

typedef struct Bytes {
    unsigned char data[4096];
    size_t n;
} Bytes;

static void add(Bytes *b, const void *data, size_t n)
{
    assert_true(b->n + n <= sizeof b->data);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void add_number(Bytes *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)(i < 8 ? v >> 8 * i : 0);
        add(b, &byte, 1);
    }
}

typedef struct Member {
    const char *name;
    const void *data;
    size_t n;
} Member;

/* Writes a zip archive of stored members. */
static void put_zip(const char *archive, const Member *members, size_t count)
{
    Bytes b = {.n = 0}, directory = {.n = 0};
    for (size_t i = 0; i < count; i++) {
        uint64_t offset = b.n, name = strlen(members[i].name);
        for (int central = 0; central < 2; central++) {
            Bytes *to = central ? &directory : &b;
            add_number(to, central ? 0x02014b50 : 0x04034b50, 4);
            add_number(to, 0, central ? 4 : 2); /* versions */
            add_number(to, 0, 12);              /* flags, method, time, checksum */
            add_number(to, members[i].n, 4);
            add_number(to, members[i].n, 4);
            add_number(to, name, 2);
            add_number(to, 0, central ? 12 : 2); /* extra; comment, disk, attributes */
            if (central)
                add_number(to, offset, 4);
            add(to, members[i].name, name);
        }
        add(&b, members[i].data, members[i].n);
    }
    uint64_t start = b.n;
    add(&b, directory.data, directory.n);
    add_number(&b, 0x06054b50, 4);
    add_number(&b, 0, 4);
    add_number(&b, count, 2);
    add_number(&b, count, 2);
    add_number(&b, directory.n, 4);
    add_number(&b, start, 4);
    add_number(&b, 0, 2);
    put(archive, b.data, b.n);
}

#define STORAGE(type, key, length) "(U\7storagectorch\n" type "\nU\1" key "U\3cpuK" length "tQ"
#define REBUILD(storage, offset, size, stride)                                                                         \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage "K" offset size stride "\x89Nt"                                     \
    "R"
#define FLOATS(offset, size, stride) "}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), offset, size, stride) "s."
#define PICKLE(text, why)                                                                                              \
    {                                                                                                                  \
        text, sizeof text - 1, why                                                                                     \
    }
#define PAIR(a, b) "(K" a "K" b "t"

/* A data.pkl next to a storage "0" of four floats. */
static const struct {
    const char *pickle;
    size_t n;
    const char *why; /* NULL: opening succeeds */
} PICKLES[] = {
    PICKLE(FLOATS("\0", PAIR("\2", "\2"), PAIR("\2", "\1")), NULL),
    PICKLE(FLOATS("\1", PAIR("\3", "\1"), PAIR("\1", "\1")), NULL),
    PICKLE(FLOATS("\0", PAIR("\2", "\2"), PAIR("\0", "\0")), NULL),
    PICKLE(FLOATS("\0", ")", ")"), NULL),
    PICKLE(FLOATS("\4", PAIR("\0", "\2"), PAIR("\2", "\1")), NULL),
    PICKLE("\x80\2" FLOATS("\0", ")", ")"), NULL),
    /* cycles, and calls that must not be made */
    PICKLE("}q\0U\4selfh\0sU\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.", NULL),
    PICKLE("}U\3bomcos\nsystem\n(U\4exittRsU\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.",
           NULL),
    PICKLE("cmodel\nThing\n)\x81}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "sb.", NULL),
    PICKLE("(imodel\nThing\n}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "sb.", NULL),
    PICKLE("((cmodel\nThing\noU\1xt}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.", NULL),
    /* malformed tensors */
    PICKLE(FLOATS("\0", PAIR("\3", "\2"), PAIR("\2", "\1")), "tensor a: reaches beyond its storage of 4"),
    PICKLE(FLOATS("\1", PAIR("\2", "\2"), PAIR("\2", "\1")), "tensor a: reaches beyond"),
    PICKLE(FLOATS("\4", ")", ")"), "tensor a: reaches beyond"),
    PICKLE(FLOATS("\0", "(K\2t", "(\x8a\10\377\377\377\377\377\377\377\177t"), "tensor a: reaches beyond"),
    PICKLE(FLOATS("\0", "(K\2t", "(J\377\377\377\377t"), "invalid storage"),
    PICKLE(FLOATS("\0", "(J\377\377\377\377t", "(K\1t"), "invalid storage"),
    PICKLE(FLOATS("\0", "(\x8a\10\0\0\0\0\0\0\0\100K\7t", "(K\0K\0t"), "tensor a: its size overflows"),
    PICKLE(FLOATS("\0", "(J\0\0\0\100t", "(K\0t"), "too large for a file of this size"),
    PICKLE(FLOATS("\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", ")"), "at most 8 dimensions"),
    PICKLE(FLOATS("\0", "(K\2t", ")"), "invalid storage"),
    PICKLE(FLOATS("\0", "N", "N"), "invalid storage"),
    PICKLE("}U\1a" REBUILD(STORAGE("FloatStorage", "9", "\4"), "\0", ")", ")") "s.", "storage x/data/9 is missing"),
    PICKLE("}U\1a" REBUILD(STORAGE("ComplexFloatStorage", "0", "\4"), "\0", ")", ")") "s.",
           "type ComplexFloatStorage is not"),
    PICKLE("}U\1a" REBUILD("N", "\0", ")", ")") "s.", "tensor a: invalid storage"),
    PICKLE("}U\1a" REBUILD("K\1Q", "\0", ")", ")") "s.", "tensor a: invalid storage"),
    PICKLE("}U\3a\0b" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.", "NUL"),
    PICKLE("}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")",
                           ")") "sU\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.",
           "tensor a: duplicate name"),
    PICKLE("}.", "contains no tensors"),
    PICKLE("N.", "contains no tensors"),
    PICKLE("(t.", "contains no tensors"),
    PICKLE("(1.", "empty stack"),
    PICKLE("cos\nsystem\n(U\4exittR.", "contains no tensors"),
    PICKLE("]q\0h\0a.", "contains no tensors"),
    /* the pickle machine */
    PICKLE("", "truncated?"),
    PICKLE("}", "truncated?"),
    PICKLE(".", "empty stack"),
    PICKLE("s.", "empty stack"),
    PICKLE("K\1K\2s.", "empty stack"),
    PICKLE("N(0(s.", "empty stack"),
    PICKLE("N(R.", "empty stack"),
    PICKLE("\x85.", "empty stack"),
    PICKLE("2.", "empty stack"),
    PICKLE("q\0.", "empty stack"),
    PICKLE("b.", "empty stack"),
    PICKLE("Q.", "empty stack"),
    PICKLE("t.", "a mark is missing"),
    PICKLE("1.", "a mark is missing"),
    PICKLE("]e.", "a mark is missing"),
    PICKLE("(K\1d.", "key has no value"),
    PICKLE("}(K\1u.", "items are added to a value"),
    PICKLE("]K\1K\2s.", "items are added to a value"),
    PICKLE("}K\1a.", "items are added to a value"),
    PICKLE("K\1K\2a.", "items are added to a value"),
    PICKLE("h\0.", "unknown memo number"),
    PICKLE("Nq\5h\4.", "a memo number is out of range"),
    PICKLE("Nr\377\377\377\377.", "a memo number is out of range"),
    PICKLE("Np-1\n.", "invalid memo number"),
    PICKLE("Npx\n.", "invalid memo number"),
    PICKLE("X\377\377\377\377a.", "truncated?"),
    PICKLE("\x8d\377\377\377\377\377\377\377\377a.", "truncated?"),
    PICKLE("\x8b\377\377\377\377a.", "truncated?"),
    PICKLE("U\5a.", "truncated?"),
    PICKLE("cos", "a line has no end"),
    PICKLE("K\1K\2\x93.", "a class name is not a string"),
    PICKLE("Fx\n.", "invalid number"),
    PICKLE("Sx\n.", "a string has no quotes"),
    PICKLE("(o.", "an object has no class"),
    PICKLE("\x80\6N.", "protocols above 5"),
    PICKLE("\x82\1.", "opcode 0x82"),
    PICKLE("Pid\n.", "opcode 0x50"),
    PICKLE("\x97.", "opcode 0x97"),
    PICKLE("\377.", "opcode 0xff"),
};

static void torch_pickles(void **state)
{
    (void)state;
    const float floats[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < COUNT(PICKLES); i++) {
        const Member members[] = {{"x/data.pkl", PICKLES[i].pickle, PICKLES[i].n}, {"x/data/0", floats, sizeof floats}};
        put_zip("x.pt", members, 2);
        if (PICKLES[i].why) {
            must_fail(at("x.pt"), PICKLES[i].why);
            continue;
        }
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Weights *w = weights_open(at("x.pt"), a, &e);
        if (!w || weights_count(w) != 1 || !text_ends(weights_at(w, 0)->name, "a"))
            fail_msg("pickle %zu: %s", i, w ? weights_at(w, 0)->name.p : e.message);
        weights_close(w);
        arena_free(a);
    }
}

/* Tests lists of lists: each list is twice in the next, which gives 2^60 paths through 60 lists; and 100,000 lists,
 * each in the next. */
static void torch_bombs(void **state)
{
    (void)state;
    Bytes b = {.n = 0};
    add(&b, "]", 1);
    for (int i = 0; i < 60; i++)
        add(&b, "2\x86", 2);
    add(&b, ".", 1);
    put_zip("x.pt", &(Member){"x/data.pkl", b.data, b.n}, 1);
    must_fail(at("x.pt"), "too many nested values");
    size_t n = 300;
    b.n = 0;
    for (size_t i = 0; i < n; i++)
        add(&b, "]", 1);
    for (size_t i = 1; i < n; i++)
        add(&b, "a", 1);
    add(&b, ".", 1);
    put_zip("x.pt", &(Member){"x/data.pkl", b.data, b.n}, 1);
    must_fail(at("x.pt"), "more than 256 levels of nesting");
}

static void torch_archives(void **state)
{
    (void)state;
    const char pickle[] = FLOATS("\0", "(K\4t", "(K\1t");
    const float floats[4] = {1, 2, 3, 4};
    const Member good[] = {
        {"x/data.pkl", pickle, sizeof pickle - 1}, {"x/data/0", floats, 16}, {"x/byteorder", "little", 6}};
    put_zip("x.pt", good, 3);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text whole;
    assert_true(file_read(&whole, a, at("x.pt"), 0, &e));
    Weights *w = weights_open(at("x.pt"), a, &e);
    if (!w)
        fail_msg("%s", e.message);
    assert_memory_equal(weights_need(w, &e, "a", 1, 4)->data, floats, 16);
    weights_close(w);
    /* truncated anywhere, and every byte of the directory set to 255: an error or success, but never a crash */
    for (size_t n = 4; n < whole.n; n++) {
        put("y.pt", whole.p, n);
        must_fail(at("y.pt"), "y.pt: ");
    }
    for (size_t i = 4; i < whole.n; i++) {
        char *copy = arena_strndup(a, whole.p, whole.n, &e);
        copy[i] = (char)255;
        put("y.pt", copy, whole.n);
        Error why = {0};
        Arena *b = arena_new(NULL, 0);
        weights_close(weights_open(at("y.pt"), b, &why));
        arena_free(b);
    }
    const Member big[] = {good[0], good[1], {"x/byteorder", "big", 3}};
    put_zip("x.pt", big, 3);
    must_fail(at("x.pt"), "big-endian");
    const Member twice[] = {good[0], good[1], good[1]};
    put_zip("x.pt", twice, 3);
    must_fail(at("x.pt"), "duplicate entry x/data/0");
    put_zip("x.pt", good + 1, 1);
    must_fail(at("x.pt"), "without data.pkl");
    const Member brief[] = {good[0], {"x/data/0", floats, 15}};
    put_zip("x.pt", brief, 2);
    must_fail(at("x.pt"), "tensor a: reaches beyond its storage of 3");
    arena_free(a);
}

static void torch_legacy(void **state)
{
    (void)state;
#define MAGIC  "\x80\2\x8a\12\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define SYSTEM "}U\15little_endian\x88s."
#define OBJECT FLOATS("\0", "(K\4t", "(K\1t")
#define KEYS   "]U\0010a."
    static const struct {
        const char *text;
        size_t n;
        const char *why;
    } table[] = {
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT KEYS "\4\0\0\0\0\0\0\0"
                     "0123456789abcdef",
               NULL),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT KEYS "\4\0\0\0\0\0\0\0"
                     "0123456789abcde",
               "storage 0 is incomplete"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT KEYS "\4\0\0", "storage 0 is incomplete"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT KEYS "\377\377\377\377\377\377\377\377", "storage 0 is incomplete"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT KEYS "\3\0\0\0\0\0\0\0"
                     "0123456789abcdef",
               "reaches beyond its storage of 3"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT "].", "storage 0 is missing"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT "N.", "the list of its storages is missing"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT "]K\0a.", "storage 0 of its list is unknown"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT "]U\0011a.", "storage 0 of its list is unknown"),
        PICKLE(MAGIC "M\351\3." SYSTEM OBJECT "](U\0010U\0010e.\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
               "storage 1 of its list"),
        PICKLE(MAGIC "M\351\3." SYSTEM, "truncated?"),
        PICKLE(MAGIC "M\350\3." SYSTEM OBJECT KEYS, "this version of the legacy torch format is not supported"),
        PICKLE(MAGIC "M\351\3."
                     "}U\15little_endian\x89s." OBJECT KEYS,
               "big-endian"),
        PICKLE(MAGIC "M\351\3."
                     "}." OBJECT KEYS,
               "big-endian"),
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        put("x.pth", table[i].text, table[i].n);
        if (table[i].why) {
            must_fail(at("x.pth"), table[i].why);
            continue;
        }
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Weights *w = weights_open(at("x.pth"), a, &e);
        if (!w)
            fail_msg("%s", e.message);
        assert_memory_equal(weights_need(w, &e, "a", 1, 4)->data, "0123456789abcdef", 16);
        weights_close(w);
        arena_free(a);
    }
}

/* A module with its class, its tensor `a` and the rest of its state. */
#define MODULE(class, inside, state) "c" class "\n)\x81}(U\13_parameters}" inside "U\10_modules}" state "ub"
#define TENSOR_A                     "U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s"

/* Checks classes and settings of the modules of a pickled model. An unknown setting is not an error, because another
 * kind of model may have it. */
static void torch_modules(void **state)
{
    static const struct {
        const char *pickle;
        size_t n;
        size_t modules;
        const char *class;
        int64_t stride, padding;
        double eps;
    } cases[] = {
#define CASE(text, modules, class, stride, padding, eps) {text, sizeof text - 1, modules, class, stride, padding, eps}
        CASE(MODULE("m\nNet", TENSOR_A, "") ".", 1, "m.Net", SETTING_ABSENT, SETTING_ABSENT, -1),
        CASE(MODULE("m\nNet", TENSOR_A, "U\6stride(K\2K\2tU\7paddingK\3U\3epsG\77\360\0\0\0\0\0\0") ".", 1, "m.Net", 2,
             3, 1),
        CASE(MODULE("m\nNet", TENSOR_A, "U\6stride(K\2K\3tU\7paddingU\4sameU\3epsK\1") ".", 1, "m.Net", SETTING_OTHER,
             SETTING_OTHER, -1),
        CASE(MODULE("m\nNet", TENSOR_A, "U\6stride(K\2tU\7padding(K\1K\1K\1t") ".", 1, "m.Net", 2, SETTING_OTHER, -1),
        CASE(MODULE("m\nNet", TENSOR_A, "U\6strideJ\377\377\377\377U\7padding)") ".", 1, "m.Net", SETTING_OTHER,
             SETTING_OTHER, -1),
        CASE(MODULE("m\nNet", TENSOR_A, "U\6stride\x8a\11\1\1\1\1\1\1\1\1\1U\7padding]") ".", 1, "m.Net", SETTING_OTHER,
             SETTING_OTHER, -1),
        /* a module in a module, a module in itself, and a class that is not a module's */
        CASE("cm\nNet\n)\x81}(U\13_parameters}U\10_modules}U\1x" MODULE("n\nPart", TENSOR_A, "") "sub.", 2, "m.Net",
             SETTING_ABSENT, SETTING_ABSENT, -1),
        CASE("cm\nNet\n)\x81q\1}(U\13_parameters}" TENSOR_A "U\10_modules}U\1xh\1sub.", 1, "m.Net", SETTING_ABSENT,
             SETTING_ABSENT, -1),
        CASE("K\7)\x81}(U\13_parameters}" TENSOR_A "ub.", 1, "?", SETTING_ABSENT, SETTING_ABSENT, -1),
        CASE("}U\1a" REBUILD(STORAGE("FloatStorage", "0", "\4"), "\0", ")", ")") "s.", 0, "", 0, 0, 0),
    };
    (void)state;
    const float floats[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const Member members[] = {{"x/data.pkl", cases[i].pickle, cases[i].n}, {"x/data/0", floats, sizeof floats}};
        put_zip("x.pt", members, 2);
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Weights *w = weights_open(at("x.pt"), a, &e);
        if (!w || weights_count(w) != 1 || weights_module_count(w) != cases[i].modules)
            fail_msg("module %zu: %s, %zu modules", i, e.message, w ? weights_module_count(w) : 0);
        const PickledModule *m = weights_module_at(w, 0);
        if (m && (!text_is(m->class, cases[i].class) || m->stride != cases[i].stride ||
                  m->padding != cases[i].padding || m->eps != cases[i].eps || m->dilation != SETTING_ABSENT))
            fail_msg("module %zu: class %s, stride %lld, padding %lld", i, m->class.p, (long long)m->stride,
                     (long long)m->padding);
        assert_null(weights_module_at(w, cases[i].modules));
        weights_close(w);
        arena_free(a);
    }
}

/* Checks that two modules of one name are refused: the settings of one would be used for the other. */
static void torch_module_twice(void **state)
{
    static const char TWICE[] = "}(K\0" MODULE("m\nNet", "", "") "U\0010" MODULE("m\nNet", TENSOR_A, "") "u.";
    const float floats[4] = {1, 2, 3, 4};
    const Member members[] = {{"x/data.pkl", TWICE, sizeof TWICE - 1}, {"x/data/0", floats, sizeof floats}};
    (void)state;
    put_zip("x.pt", members, 2);
    must_fail(at("x.pt"), "module 0: duplicate name");
}

/* Checks dictionaries that each have the previous one twice: a million paths to one module are too many for a file of
 * this size. */
static void torch_module_bombs(void **state)
{
    static const char HEAD[] = "cm\nNet\n)\x81}U\13_parameters}sbq\0";
    (void)state;
    Bytes b = {.n = 0};
    add(&b, HEAD, sizeof HEAD - 1);
    for (char i = 0; i < 20; i++) {
        const char level[] = {'0', '}', '(', 'U', 1, 'a', 'h', i, 'U', 1, 'b', 'h', i, 'u', 'q', (char)(i + 1)};
        add(&b, level, sizeof level);
    }
    add(&b, ".", 1);
    put_zip("x.pt", &(Member){"x/data.pkl", b.data, b.n}, 1);
    must_fail(at("x.pt"), "too large for a file of this size");
}

/* Writes a line with name, type and shape, then the bytes, for every tensor. */
static int dump(const char *path)
{
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Weights *w = weights_open(path, a, &e);
    for (size_t i = 0; w && i < weights_count(w); i++) {
        const Array *t = weights_at(w, i);
        printf("%s\t%s", t->name.p, dtype_name(t->type));
        for (int d = 0; d < t->dims; d++)
            printf("\t%lld", (long long)t->shape[d]);
        printf("\n");
        fwrite(t->data, dtype_bytes(t->type), (size_t)t->count, stdout);
    }
    fprintf(stderr, "%s\n", e.message);
    weights_close(w);
    arena_free(a);
    return e.code != SP_OK;
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return dump(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch_goldens),      cmocka_unit_test(torch_pickles),      cmocka_unit_test(torch_bombs),
        cmocka_unit_test(torch_archives),     cmocka_unit_test(torch_legacy),       cmocka_unit_test(torch_modules),
        cmocka_unit_test(torch_module_bombs), cmocka_unit_test(torch_module_twice),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
