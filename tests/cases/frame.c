/* tests/cases/frame.c: runs a case: guarded buffers, comparison, finite differences. */
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/kernel_cases.h"

#define POINTER_TO(name) &family_##name,
const Family *const kernel_families[] = {KERNEL_FAMILIES(POINTER_TO) KERNEL_VARIANTS(POINTER_TO)
#ifndef SAPOR_MINIMAL
                                             KERNEL_TRAINING_FAMILIES(POINTER_TO)
#endif
};
const size_t kernel_family_count = COUNT(kernel_families);

/* A member of the table that is in no list does not compile. */
#define MEMBER(name) sizeof(((Kernels *)0)->name) +
_Static_assert(KERNEL_FAMILIES(MEMBER) KERNEL_TRAINING_FAMILIES(MEMBER) KERNEL_COMPANIONS(MEMBER)
                       KERNEL_MEMORY(MEMBER) 0 == sizeof(Kernels) - offsetof(Kernels, alloc),
               "a member of Kernels has no case: name it in tests/kernel_cases.h and write its family");

/* NaN as a float: it shows numbers that were not written, and reads of numbers that must not be read */
enum { FILLER = 0xff };

/* ---- buffers --------------------------------------------------------------------------------- */

/* A heap of whole pages. The page after each allocation is inaccessible. The page before it is made inaccessible by the
 * caller, because heap_alloc keeps a byte there. If the size is a multiple of a page, the result of heap_alloc is
 * exactly the pages between the two. */
static void *guard_resize(void *user, void *p, size_t old, size_t size)
{
    (void)user;
    enum { HEAP_ALIGN = 64 };
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (p) {
        munmap((char *)p + HEAP_ALIGN - page, old - HEAP_ALIGN + 2 * page);
        return NULL;
    }
    const size_t inside = size - HEAP_ALIGN;
    char *pages = mmap(NULL, inside + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    mprotect(pages + page + inside, page, PROT_NONE);
    return pages + page - HEAP_ALIGN;
}
static const Heap guards = {.resize = guard_resize};

static bool on_host(const Job *j)
{
    return strcmp(j->k->device, "cpu") == 0;
}

static void guard_before(const Buffer *b, int protection)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    mprotect(b->device_block - page, page, protection);
}

/* Adds a buffer to the job. If it cannot, it clears j->ok and returns a buffer without memory. */
static Buffer *new_buffer(Job *j, const char *name, Role role, char type, size_t size, size_t count)
{
    static Buffer unusable;
    if (!j->ok || j->n == CASE_BUFFERS) {
        j->ok = false;
        return &unusable;
    }
    const bool whole = role == ROLE_WORK || type == 'b';
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = size * count,
                 gap = j->place == AT_ODD && !whole && (j->seed >> j->n & 1) ? size : 0,
                 inside = size_round_up(MAX(bytes + gap, (size_t)1), page);
    Buffer *b = &j->b[j->n];
    *b = (Buffer){.name = name, .role = role, .type = type, .count = count, .size = size, .block_bytes = inside};
    b->device_block = j->k->alloc(&j->run, &guards, inside);
    b->block = !b->device_block ? NULL : on_host(j) ? b->device_block : malloc(inside);
    if (!b->block) {
        j->ok = false;
        return &unusable;
    }
    j->n++;
    memset(b->block, FILLER, inside);
    if (on_host(j))
        guard_before(b, PROT_NONE);
    else /* a result of `make` is fetched together with the bytes round it */
        j->k->upload(&j->run, b->device_block, b->block, inside);
    const size_t at = j->place == AT_FRONT && bytes ? 0 : inside - gap - size_round_up(bytes, whole ? 64 : size);
    b->data = b->block + at;
    b->device = b->device_block + at;
    b->before = malloc(bytes + 1);
    b->exact = type == 'f' ? malloc(count * sizeof(double) + 1) : NULL;
    b->expected = type == 'i' || type == 'l' ? malloc(count * sizeof(int32_t) + 1) : NULL;
    j->ok = b->before && (type != 'f' || b->exact) && (type == 'f' || type == 'b' || b->expected);
    return b;
}

double *case_rounding(Job *j, int buffer)
{
    Buffer *b = &j->b[buffer];
    b->rounding = b->rounding ? b->rounding : calloc(b->count + 1, sizeof *b->rounding);
    if (!b->rounding)
        abort();
    return b->rounding;
}

void case_send(Job *j, int buffer)
{
    const Buffer *b = &j->b[buffer];
    if (j->ok && b->block != b->device_block)
        j->k->upload(&j->run, b->device_block, b->block, b->block_bytes);
}

void case_fetch(Job *j, int buffer)
{
    const Buffer *b = &j->b[buffer];
    if (j->ok && b->block != b->device_block)
        j->k->download(&j->run, b->block, b->device_block, b->block_bytes);
}

uint32_t case_draw(Job *j, uint64_t index, uint32_t below)
{
    return draw_below((Draw){j->seed, DRAW_TEST, (uint32_t)j->n}, index, below);
}

double case_uniform(Job *j, uint64_t index)
{
    return (double)draw_uniform((Draw){j->seed, DRAW_TEST, (uint32_t)j->n}, index);
}

void case_set(Job *j, int buffer)
{
    const Buffer *b = &j->b[buffer];
    for (size_t i = 0; b->type == 'f' && i < b->count; i++)
        b->exact[i] = (double)((float *)b->data)[i];
}

float *case_f32(Job *j, const char *name, Role role, int64_t count)
{
    Buffer *b = new_buffer(j, name, role, 'f', sizeof(float), (size_t)count);
    float *data = b->data;
    if (j->ok && (role == ROLE_IN || role == ROLE_INOUT)) {
        for (int64_t i = 0; i < count; i++)
            data[i] = (float)(3.0 * case_uniform(j, (uint64_t)i) - 1.5);
        case_set(j, j->n - 1);
    }
    return data;
}

int32_t *case_i32(Job *j, const char *name, Role role, int64_t count)
{
    return new_buffer(j, name, role, 'i', sizeof(int32_t), (size_t)count)->data;
}

int64_t *case_i64(Job *j, const char *name, Role role, int64_t count)
{
    return new_buffer(j, name, role, 'l', sizeof(int64_t), (size_t)count)->data;
}

void *case_bytes(Job *j, const char *name, Role role, size_t bytes)
{
    return new_buffer(j, name, role, 'b', 1, bytes)->data;
}

void case_work(Job *j, size_t bytes)
{
    j->run.work = new_buffer(j, "work", ROLE_WORK, 'b', 1, bytes)->device;
    j->run.work_bytes = bytes;
}

bool job_open(Job *j, const Family *f, const Case *c, const Kernels *k, void *context, Place place)
{
    *j = (Job){.k = k, .run = {.context = context}, .place = place, .ok = true};
    j->seed = hash_bytes(f->kernel, strlen(f->kernel), 1) ^ hash_bytes(c->n, sizeof c->n, 2);
    f->make(j, c);
    for (int i = 0; j->ok && i < j->n; i++)
        memcpy(j->b[i].before, j->b[i].data, j->b[i].count * j->b[i].size);
    for (int i = 0; i < j->n; i++)
        case_send(j, i);
    if (!j->ok)
        job_close(j);
    return j->ok;
}

void job_close(Job *j)
{
    for (int i = 0; i < j->n; i++) {
        Buffer *b = &j->b[i];
        if (on_host(j))
            guard_before(b, PROT_READ | PROT_WRITE);
        else
            free(b->block);
        j->k->free(&j->run, &guards, b->device_block, b->block_bytes);
        free(j->b[i].before);
        free(j->b[i].exact);
        free(j->b[i].rounding);
        free(j->b[i].expected);
    }
    j->n = 0;
}

static void call(Job *j, const Family *f, const Case *c)
{
    f->call(j, c);
    for (int i = 0; i < j->n; i++)
        case_fetch(j, i);
}

void case_name(char text[160], const Family *f, const Case *c)
{
    size_t n = (size_t)snprintf(text, 160, "%s", f->kernel);
    Text rest = text_of(f->names), letter;
    for (int i = 0; i < CASE_SIZES && n < 140 && text_next(&rest, ' ', &letter); i++)
        n += (size_t)snprintf(text + n, 160 - n, " %.*s=%lld", (int)MIN(letter.n, (size_t)20), letter.p,
                              (long long)c->n[i]);
}

/* ---- comparison ------------------------------------------------------------------------------ */

/* Checks that no byte outside of the buffers was written, and no byte of an input. shared: the number of an input that
 * is in the same memory as an output, so that it may be written; -1: none. */
static bool untouched(const Job *j, int shared, char why[512])
{
    for (int i = 0; i < j->n; i++) {
        const Buffer *b = &j->b[i];
        const unsigned char *p = b->block, *end = b->block + b->block_bytes;
        const unsigned char *data = b->data;
        const size_t bytes = b->count * b->size;
        for (; p < end; p++) {
            p += p == data ? bytes : 0;
            if (p < end && *p != FILLER) {
                snprintf(why, 512, "%s: byte %td outside of it was written", b->name, p - data);
                return false;
            }
        }
        if (b->role == ROLE_IN && i != shared && memcmp(b->data, b->before, bytes) != 0) {
            snprintf(why, 512, "%s: an input was written", b->name);
            return false;
        }
    }
    return true;
}

/* Checks that the outputs of two jobs have the same bits. Outputs that b leaves out are skipped. `how` says what
 * differs between the two calls. */
static bool same_bits(const Job *a, const Job *b, const char *how, char why[512])
{
    for (int i = 0; i < a->n; i++) {
        const Buffer *x = &a->b[i], *y = &b->b[i];
        if (y->device && (x->role == ROLE_OUT || x->role == ROLE_INOUT) && x->count > 0 &&
            memcmp(x->data, y->data, x->count * x->size) != 0) {
            size_t at = 0;
            while (memcmp((char *)x->data + at * x->size, (char *)y->data + at * x->size, x->size) == 0)
                at++;
            snprintf(why, 512, "%s[%zu]: other bits %s", x->name, at, how);
            return false;
        }
    }
    return true;
}

/* Checks one number by the tolerance of the family. */
static bool near(const Family *f, const Buffer *b, size_t i, double got, double expected, char why[512])
{
    const double tolerance = f->tolerance > 0 ? f->tolerance : 1e-5, rounding = b->rounding ? b->rounding[i] : 0;
    if (got == expected || (isnan(got) && isnan(expected)) ||
        fabs(got - expected) <= tolerance * (1.0 + fabs(expected)) + rounding)
        return true;
    snprintf(why, 512, "%s[%zu] is %.9g, expected %.9g", b->name, i, got, expected);
    return false;
}

static bool as_expected(const Family *f, const Job *j, char why[512])
{
    for (int i = 0; i < j->n; i++) {
        const Buffer *b = &j->b[i];
        for (size_t at = 0; (b->role == ROLE_OUT || b->role == ROLE_INOUT) && at < b->count; at++) {
            if (b->type == 'f') {
                if (!near(f, b, at, (double)((float *)b->data)[at], b->exact[at], why))
                    return false;
            } else if (b->type != 'b') {
                const int64_t got = b->type == 'i' ? ((int32_t *)b->data)[at] : ((int64_t *)b->data)[at];
                if (got != b->expected[at]) {
                    snprintf(why, 512, "%s[%zu] is %lld, expected %d", b->name, at, (long long)got, b->expected[at]);
                    return false;
                }
            }
        }
    }
    return true;
}

/* Compares with central differences of the loss at up to 48 places of each input. With h = 1e-5 in double precision,
 * they have about nine correct digits. */
static bool as_differences(const Family *f, const Job *j, const Case *s, char why[512])
{
    for (int g = 0; g < f->by_count; g++) {
        const Buffer *x = &j->b[f->by[g][0]], *d = &j->b[f->by[g][1]];
        const size_t step = x->count / 48 + 1;
        for (size_t i = 0; i < x->count; i += step) {
            const double value = x->exact[i], h = 1e-5;
            x->exact[i] = value + h;
            const double above = f->loss(j, s);
            x->exact[i] = value - h;
            const double below = f->loss(j, s);
            x->exact[i] = value;
            const double base = d->role == ROLE_INOUT ? (double)((float *)d->before)[i] : 0.0;
            if (!near(f, d, i, (double)((float *)d->data)[i], base + (above - below) / (2 * h), why))
                return false;
        }
    }
    return true;
}

bool case_check(const Family *f, const Case *c, const Kernels *k, void *const contexts[3], char why[512])
{
    Job one, other;
    snprintf(why, 512, "out of memory");
    if (!job_open(&one, f, c, k, contexts[0], AT_END))
        return false;
    call(&one, f, c);
    bool ok = untouched(&one, -1, why);
    for (int i = 0; ok && i < 2 + f->in_place_count + f->optional_count; i++) {
        const int pairs = 2 + f->in_place_count, *pair = i >= 2 && i < pairs ? f->in_place[i - 2] : NULL;
        char how[64];
        ok = job_open(&other, f, c, k, contexts[i < 2 ? i + 1 : 0], i == 0 ? AT_FRONT : i == 1 ? AT_ODD : AT_END);
        if (!ok)
            break;
        Buffer output;
        if (pair) {
            output = other.b[pair[0]];
            other.b[pair[0]].data = other.b[pair[1]].data;
            other.b[pair[0]].device = other.b[pair[1]].device;
            snprintf(how, sizeof how, "in place of %s", other.b[pair[1]].name);
        } else if (i >= pairs) {
            Buffer *left_out = &other.b[f->optional[i - pairs]];
            left_out->device = NULL;
            snprintf(how, sizeof how, "without %s", left_out->name);
        } else {
            snprintf(how, sizeof how, "in context %d, with another alignment", i + 1);
        }
        call(&other, f, c);
        ok = same_bits(&one, &other, how, why);
        if (pair)
            other.b[pair[0]] = output;
        ok = ok && untouched(&other, pair ? pair[1] : -1, why);
        job_close(&other);
    }
    if (ok && f->reference) {
        f->reference(&one, c);
        ok = as_expected(f, &one, why);
    }
    if (ok && f->loss)
        ok = as_differences(f, &one, c, why);
    job_close(&one);
    return ok;
}

bool case_check_near(const Family *f, const Case *c, const Kernels *k, void *context, int bits, char why[512])
{
    Job one, again;
    Family rounded = *f;
    if (bits < 23) /* the numbers are of order 1 */
        rounded.tolerance = MAX(f->tolerance, ldexp(2, -bits));
    snprintf(why, 512, "out of memory");
    if (!job_open(&one, f, c, k, context, AT_END))
        return false;
    bool ok = job_open(&again, f, c, k, context, AT_END);
    if (ok) {
        call(&one, f, c);
        call(&again, f, c);
        ok = untouched(&one, -1, why) && same_bits(&one, &again, "when it is called again", why);
        job_close(&again);
    }
    if (ok && f->reference) {
        f->reference(&one, c);
        for (int i = 0; i < one.n; i++)
            for (size_t at = 0; one.b[i].rounding && at < one.b[i].count; at++)
                one.b[i].rounding[at] = ldexp(one.b[i].rounding[at], 24 - bits);
        ok = as_expected(&rounded, &one, why);
    }
    ok = ok && (!f->loss || as_differences(&rounded, &one, c, why));
    job_close(&one);
    return ok;
}

bool case_same(const Family *f, const Case *c, const Kernels *a, const Kernels *b, void *context, char why[512])
{
    Job one, other;
    snprintf(why, 512, "out of memory");
    if (!job_open(&one, f, c, a, context, AT_END))
        return false;
    bool ok = job_open(&other, f, c, b, context, AT_END);
    if (ok) {
        call(&one, f, c);
        call(&other, f, c);
        ok = same_bits(&one, &other, "on the other device", why) && untouched(&other, -1, why);
        job_close(&other);
    }
    job_close(&one);
    return ok;
}
