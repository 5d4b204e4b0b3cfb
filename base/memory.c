/* base/memory.c: checked sizes, aligned heap memory, arenas. */
#include "base/base.h"

#include <stdlib.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
/* Under the address sanitizer, unused memory of an arena is poisoned, and a gap follows every allocation. An overrun
 * inside a block is therefore reported like one on the heap. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define HIDE(p, n) __asan_poison_memory_region((p), (n))
#define SHOW(p, n) __asan_unpoison_memory_region((p), (n))
enum { GAP = 16, TEXT_ALIGN = 16 };
#else
#define HIDE(p, n) ((void)(p), (void)(n))
#define SHOW(p, n) ((void)(p), (void)(n))
enum { GAP = 0, TEXT_ALIGN = 1 };
#endif

static const struct {
    const char *name;
    size_t bytes;
} TYPES[] = {[F32] = {"F32", 4}, [F64] = {"F64", 8}, [F16] = {"F16", 2}, [BF16] = {"BF16", 2}, [I64] = {"I64", 8},
             [I32] = {"I32", 4}, [I16] = {"I16", 2}, [I8] = {"I8", 1},   [U8] = {"U8", 1},     [BOOL8] = {"BOOL", 1}};

size_t dtype_bytes(DType t)
{
    return TYPES[t].bytes;
}

const char *dtype_name(DType t)
{
    return TYPES[t].name;
}

enum { ALIGN = 64, FIRST_BLOCK = 4096, LARGEST_STEP = 1 << 20 };

bool size_mul(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

bool size_add(size_t a, size_t b, size_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

/* Requests large pages for a large block. Then only about one page fault in a hundred remains, and there are fewer TLB
 * misses. The system may ignore the request. */
static void advise_large_pages(unsigned char *raw, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    enum { PAGE = 2 << 20 };
    size_t skip = (PAGE - (uintptr_t)raw % PAGE) % PAGE;
    if (bytes >= 2 * PAGE)
        (void)madvise(raw + skip, (bytes - skip) / PAGE * PAGE, MADV_HUGEPAGE);
#else
    (void)raw, (void)bytes;
#endif
}

/* A caller's heap aligns memory for C types only. Therefore 64 bytes more are allocated, and the result is moved by 1
 * to 64 bytes, to a multiple of 64. The byte before the result contains this distance. */
void *heap_alloc(const Heap *heap, size_t bytes)
{
    size_t whole;
    if (!size_add(bytes, ALIGN, &whole))
        return NULL;
    unsigned char *raw = heap ? heap->resize(heap->user, NULL, 0, whole) : malloc(whole);
    if (!raw)
        return NULL;
    advise_large_pages(raw, whole);
    size_t shift = ALIGN - (uintptr_t)raw % ALIGN;
    raw[shift - 1] = (unsigned char)shift;
    return raw + shift;
}

void heap_free(const Heap *heap, void *p, size_t bytes)
{
    if (!p)
        return;
    unsigned char *moved = p, *raw = moved - moved[-1];
    if (heap)
        heap->resize(heap->user, raw, bytes + ALIGN, 0);
    else
        free(raw);
}

void memory_hide(const void *p, size_t bytes)
{
    HIDE(p, bytes);
}

void memory_show(const void *p, size_t bytes)
{
    SHOW(p, bytes);
}

/* The memory of a block follows its header. The header fills one cache line. */
typedef struct Block {
    struct Block *next;
    size_t bytes; /* after the header */
    char pad[ALIGN - sizeof(void *) - sizeof(size_t)];
} Block;

typedef struct AtEnd AtEnd;
struct AtEnd {
    void (*end)(void *p);
    void *p;
    const Block *block; /* the position in the arena after this entry: a rewind to an earlier position calls `end` */
    size_t used;
    AtEnd *next;
};

struct Arena {
    const Heap *heap;
    AtEnd *ends; /* the newest first */
    Heap copy;
    size_t max_bytes, bytes;
    Block *first, *current; /* current NULL: nothing is in use. The blocks after it are empty and are reused */
    size_t used;            /* of current */
    bool full;
};

Arena *arena_new(const Heap *heap, size_t max_bytes)
{
    Arena *a = heap_alloc(heap, sizeof *a);
    if (!a)
        return NULL;
    memset(a, 0, sizeof *a);
    if (heap) {
        a->copy = *heap;
        a->heap = &a->copy;
    }
    a->max_bytes = max_bytes;
    return a;
}

/* Returns the offset, at or after `used`, where `bytes` fit in block b; SIZE_MAX if they do not fit. */
static size_t place(const Block *b, size_t used, size_t bytes, size_t align)
{
    size_t at = (used + align - 1) & ~(align - 1);
    return at <= b->bytes && bytes <= b->bytes - at ? at : SIZE_MAX;
}

/* Returns an empty block with room for `bytes`: the first kept block that is large enough, otherwise a new block. The
 * block is linked after the current block. */
static Block *next_block(Arena *a, size_t bytes, size_t align, Error *e)
{
    Block **after = a->current ? &a->current->next : &a->first, *b;
    for (Block **link = after; (b = *link) != NULL; link = &b->next) {
        if (place(b, 0, bytes, align) == SIZE_MAX)
            continue;
        *link = b->next;
        b->next = *after;
        return *after = b;
    }
    size_t room = a->max_bytes ? a->max_bytes - a->bytes : SIZE_MAX;
    if (room < sizeof(Block) || bytes > room - sizeof(Block)) {
        a->full = true;
        fail(e, SP_MEMORY, "out of memory: %zu more bytes would exceed the limit of %zu", bytes, a->max_bytes);
        return NULL;
    }
    size_t step = MIN(MAX(a->bytes, (size_t)FIRST_BLOCK), (size_t)LARGEST_STEP) - sizeof(Block);
    size_t body = MIN(MAX(bytes, step), room - sizeof(Block)), whole;
    b = size_add(body, sizeof(Block), &whole) ? heap_alloc(a->heap, whole) : NULL;
    if (!b) {
        fail_memory(e, bytes, "an arena");
        return NULL;
    }
    b->bytes = body;
    HIDE(b + 1, body);
    b->next = *after;
    a->bytes += whole;
    return *after = b;
}

static void *alloc(Arena *a, size_t bytes, size_t align, Error *e)
{
    size_t whole;
    if (!size_add(bytes, GAP, &whole)) {
        fail_memory(e, bytes, "an arena");
        return NULL;
    }
    Block *b = a->current;
    size_t at = b ? place(b, a->used, whole, align) : SIZE_MAX;
    if (at == SIZE_MAX) {
        b = next_block(a, whole, align, e);
        if (!b)
            return NULL;
        at = 0;
    }
    char *p = (char *)(b + 1) + at;
    a->current = b;
    a->used = at + MAX(whole, (size_t)1); /* 0 bytes get a distinct address too */
    SHOW(p, bytes);
    return memset(p, 0, bytes);
}

void *arena_alloc(Arena *a, size_t count, size_t size, Error *e)
{
    size_t bytes;
    if (!size_mul(count, size, &bytes)) {
        fail(e, SP_MEMORY, "out of memory: %zu items of %zu bytes exceed the address space", count, size);
        return NULL;
    }
    return alloc(a, bytes, bytes + GAP < ALIGN ? 16 : ALIGN, e);
}

char *arena_strndup(Arena *a, const char *text, size_t length, Error *e)
{
    size_t bytes;
    char *copy = alloc(a, size_add(length, 1, &bytes) ? bytes : SIZE_MAX, TEXT_ALIGN, e);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

char *arena_lower(Arena *a, const char *text, size_t length, Error *e)
{
    char *copy = arena_strndup(a, text, length, e);
    for (size_t i = 0; copy && i < length; i++)
        copy[i] = (char)(copy[i] >= 'A' && copy[i] <= 'Z' ? copy[i] - 'A' + 'a' : copy[i]);
    return copy;
}

char *arena_printf(Arena *a, Error *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : alloc(a, (size_t)n + 1, TEXT_ALIGN, e);
    if (!text) {
        fail(e, SP_FORMAT, "a text cannot be formatted");
        return NULL;
    }
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

char *arena_written(PutText *put, const void *what, Arena *a, Error *e)
{
    char *text = NULL, *copy = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    if (f)
        put(f, what);
    if (!f || fclose(f) != 0)
        fail_memory(e, 4096, "a text");
    else
        copy = arena_strndup(a, text, bytes, e);
    free(text);
    return copy;
}

void *arena_grow(Arena *a, void *items, size_t count, size_t *capacity, size_t size, Error *e)
{
    if (count < *capacity)
        return items;
    size_t larger;
    if (!size_mul(MAX(*capacity, (size_t)8), 2, &larger))
        larger = SIZE_MAX;
    void *grown = arena_alloc(a, larger, size, e);
    if (!grown)
        return NULL;
    if (count)
        memcpy(grown, items, count * size);
    *capacity = larger;
    return grown;
}

ArenaMark arena_mark(const Arena *a)
{
    return (ArenaMark){a->current, a->used};
}

bool arena_at_end(Arena *a, void (*end)(void *p), void *p, Error *e)
{
    AtEnd *x = NEW(a, AtEnd, 1, e);
    if (!x)
        return false;
    *x = (AtEnd){end, p, a->current, a->used, a->ends};
    a->ends = x;
    return true;
}

/* Calls the `end` functions of all entries after the mark. */
static void end_after(Arena *a, ArenaMark mark)
{
    for (AtEnd *x = a->ends; x; x = a->ends) {
        /* An entry is before the mark in two cases: the mark's block follows the entry's block (then the loop finds it,
         * and b is not NULL), or both are in one block, and the mark is not lower than the entry. */
        const Block *b = x->block == mark.block ? NULL : x->block;
        while (b && b != mark.block)
            b = b->next;
        if (b || (x->block == mark.block && mark.used >= x->used))
            return;
        a->ends = x->next;
        x->end(x->p);
    }
}

void arena_rewind(Arena *a, ArenaMark mark)
{
    end_after(a, mark);
#ifdef __SANITIZE_ADDRESS__ /* memory after the mark is unused again */
    size_t from = mark.block ? mark.used : 0;
    for (Block *b = mark.block ? mark.block : a->first; b; b = b->next, from = 0)
        HIDE((char *)(b + 1) + from, b->bytes - from);
#endif
    a->current = mark.block;
    a->used = mark.used;
}

static void free_blocks(Arena *a)
{
    for (Block *b = a->first, *next; b; b = next) {
        next = b->next;
        SHOW(b + 1, b->bytes);
        heap_free(a->heap, b, b->bytes + sizeof(Block));
    }
    a->first = NULL;
    a->bytes = 0;
}

void arena_trim(Arena *a, size_t keep)
{
    arena_rewind(a, (ArenaMark){0});
    if (a->bytes > keep)
        free_blocks(a);
}

size_t arena_bytes(const Arena *a)
{
    return a->bytes;
}

bool arena_full(const Arena *a)
{
    return a->full;
}

const Heap *arena_heap(const Arena *a)
{
    return a->heap;
}

void arena_free(Arena *a)
{
    if (!a)
        return;
    end_after(a, (ArenaMark){0});
    free_blocks(a);
    Heap copy = a->copy;
    heap_free(a->heap ? &copy : NULL, a, sizeof *a);
}
