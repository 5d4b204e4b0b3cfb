/* tests/drawn.c: the tiny models of tests/golden: numbers are drawn, other files are copied. */
#include "tests/drawn.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "weights/weights.h"

#define GOLDEN "tests/golden"
/* folders that have models */
static const char *const FOLDERS[] = {"encoders", "gradients", "layers", "sentence", "towers"};

/* ---- one file -------------------------------------------------------------------------------- */

typedef struct Row { /* a line of a list of tensors */
    Text name, drawn_as;
    DType type;
    int dims;
    int64_t shape[MAX_DIMS], count;
    float centre, limit;
} Row;

static uint32_t fnv(uint32_t hash, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * 0x01000193;
    return hash;
}

static bool row_read(Row *r, Text line)
{
    Text part[6] = {{0}}, length;
    size_t n = 0;
    double centre, limit;
    while (n < COUNT(part) && text_next(&line, '\t', &part[n]))
        n++;
    if (n < 4 || !text_f64(part[2], &centre) || !text_f64(part[3], &limit))
        return false;
    *r = (Row){.name = part[0],
               .drawn_as = part[4].n ? part[4] : part[0],
               .count = 1,
               .centre = (float)centre,
               .limit = (float)limit};
    for (Text rest = part[1]; rest.n && text_next(&rest, ',', &length); r->count *= r->shape[r->dims++])
        if (r->dims == MAX_DIMS || !text_i64(length, &r->shape[r->dims]))
            return false;
    r->type = text_is(part[5], "F16") ? F16 : text_is(part[5], "I64") ? I64 : F32;
    return part[5].n == 0 || r->type != F32;
}

/* Rounds |x| < 2 to the nearest F16 number, ties to even. */
static uint16_t to_f16(float x)
{
    float size = fabsf(x), step = 0x1p-10f;
    int exponent = 15;
    for (float least = 1; exponent > 1 && size < least; least /= 2, exponent--)
        step /= 2;
    return (uint16_t)((x < 0 ? 0x8000 : 0) + ((exponent - 1) << 10) + (int)nearbyintf(size / step));
}

static bool put_numbers(SafetensorsOut *out, const Row *r, uint64_t seed, uint32_t *sum, Error *e)
{
    Draw d = {seed, DRAW_TEST, fnv(0x811c9dc5, r->drawn_as.p, r->drawn_as.n)};
    uint32_t words[4];
    for (int64_t i = 0; i < r->count; i++) {
        if (i % 4 == 0)
            draw4(d, (uint64_t)i / 4, 0, words);
        float x = r->centre + r->limit * ((float)(words[i % 4] >> 8) * 0x1p-23f - 1);
        uint16_t half = r->type == F16 ? to_f16(x) : 0;
        int64_t whole = (int64_t)r->centre;
        const void *data = r->type == F16 ? (const void *)&half : r->type == I64 ? (const void *)&whole : &x;
        *sum = fnv(*sum, data, dtype_bytes(r->type));
        if (!safetensors_data(out, data, dtype_bytes(r->type), e))
            return false;
    }
    return true;
}

static bool write_tensors(SafetensorsOut *out, Text rest, const char *list, Arena *a, Error *e)
{
    Text line, words[4] = {{0}};
    int64_t seed = 0;
    uint32_t sum = 0x811c9dc5;
    size_t n = 0;
    if (text_line(&rest, &line))
        while (n < COUNT(words) && text_next(&line, ' ', &words[n]))
            n++;
    if (n != 4 || !text_i64(words[1], &seed))
        return fail(e, SP_FORMAT, "%s:1: expected seed SEED sum SUM", list);
    for (int pass = 0; pass < 2; pass++) {
        n = 1;
        for (Text left = rest; text_line(&left, &line);) {
            Row r;
            n++;
            if (!row_read(&r, line))
                return fail(e, SP_FORMAT, "%s:%zu: expected name, lengths, centre, limit", list, n);
            const char *name = arena_strndup(a, r.name.p, r.name.n, e);
            if (!name || !(pass ? put_numbers(out, &r, (uint64_t)seed, &sum, e)
                                : safetensors_declare(out, name, r.type, r.dims, r.shape, e)))
                return false;
        }
    }
    const char *found = arena_printf(a, e, "%08x", sum);
    if (found && !text_is(words[3], found))
        return fail(e, SP_FORMAT, "%s: the numbers are not those of tests/golden/drawn.py: their sum is %s", list,
                    found);
    return found != NULL;
}

static bool draw_file(const char *list, const char *path, Arena *a, Error *e)
{
    Text text;
    SafetensorsOut *out = file_read(&text, a, list, 0, e) ? safetensors_open(path, NULL, e) : NULL;
    if (out && !write_tensors(out, text, list, a, e)) {
        safetensors_discard(out);
        out = NULL;
    }
    Out *file = out ? safetensors_finish(out, e) : NULL;
    if (file)
        out_unsynced(file);
    return file && out_commit(file, e);
}

/* ---- the folders ----------------------------------------------------------------------------- */

static bool copy_file(const char *from, const char *to, Arena *a, Error *e)
{
    Text bytes;
    Out *out = file_read(&bytes, a, from, 0, e) ? out_open(to, NULL, e) : NULL;
    if (out && !out_write(out, bytes.p, bytes.n, e)) {
        out_discard(out);
        out = NULL;
    }
    if (out)
        out_unsynced(out);
    return out && out_commit(out, e);
}

static bool copy_folder(const char *from, const char *to, Arena *a, Error *e)
{
    static const char LIST[] = ".drawn";
    FolderEntry *entries;
    size_t n;
    bool ok = folder_make(to, e) && folder_list(&entries, &n, a, from, e);
    for (size_t i = 0; ok && i < n; i++) {
        const char *source = path_join(a, from, entries[i].name, e), *target = path_join(a, to, entries[i].name, e);
        if (!source || !target)
            return false;
        if (entries[i].is_folder) {
            ok = copy_folder(source, target, a, e);
        } else if (text_ends(text_of(target), LIST)) {
            target = arena_printf(a, e, "%.*s.safetensors", (int)(strlen(target) - strlen(LIST)), target);
            ok = target && draw_file(source, target, a, e);
        } else {
            ok = copy_file(source, target, a, e);
        }
    }
    return ok;
}

bool draw_models(const char *golden, const char *to, Error *e)
{
    Arena *a = arena_new(NULL, 0);
    bool ok = a != NULL;
    for (size_t i = 0; ok && i < COUNT(FOLDERS); i++) {
        const char *source = path_join(a, golden, FOLDERS[i], e), *target = path_join(a, to, FOLDERS[i], e);
        ok = source && target && copy_folder(source, target, a, e);
    }
    arena_free(a);
    return ok;
}

/* ---- the copy of a test ---------------------------------------------------------------------- */

static char root[256];
static pid_t owner;

static void remove_folder(const char *path, Arena *a)
{
    Error e = {0};
    FolderEntry *entries;
    size_t n = 0;
    if (!folder_list(&entries, &n, a, path, &e))
        return;
    for (size_t i = 0; i < n; i++) {
        const char *name = path_join(a, path, entries[i].name, &e);
        if (name && entries[i].is_folder)
            remove_folder(name, a);
        else if (name)
            unlink(name);
    }
    rmdir(path);
}

static void remove_root(void)
{
    if (getpid() != owner) /* the process is a child of the test */
        return;
    Arena *a = arena_new(NULL, 0);
    remove_folder(root, a);
    arena_free(a);
}

const char *drawn(const char *path)
{
    static char paths[64][512];
    static size_t turn;
    size_t n = strlen(GOLDEN);
    if (strncmp(path, GOLDEN, n) != 0)
        return path;
    if (!root[0]) {
        Error e = {0};
        const char *temporary = getenv("TMPDIR");
        snprintf(root, sizeof root, "%s/sapor-drawn-XXXXXX", temporary && *temporary ? temporary : "/tmp");
        owner = getpid();
        if (!mkdtemp(root) || atexit(remove_root) != 0 || !draw_models(GOLDEN, root, &e)) {
            fprintf(stderr, "%s: %s\n", root, e.message);
            exit(1);
        }
    }
    char *to = paths[turn++ % COUNT(paths)];
    snprintf(to, sizeof paths[0], "%s%s", root, path + n);
    return to;
}
