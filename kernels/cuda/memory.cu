/* kernels/cuda/memory.cu: one arena of device memory for all contexts of the process. cudaMalloc and cudaFree wait for
 * the whole device and take up to a millisecond. The arena therefore allocates large pieces and divides them into
 * blocks. It keeps the pieces until the device has no memory for a new one.
 *
 * The blocks are in a list, sorted by address. A freed block is joined with its free neighbours. An allocation takes
 * the smallest free block that is large enough and needs no wait, or else the smallest one that needs a wait.
 *
 * Work that was called earlier may still use a freed block. The context that freed it may take it again immediately, as
 * its work is done in order. Another context first waits for the stream of that context. If that stream is being
 * captured, the work is not in the stream yet, and waiting for it would end the capture with an error. In that case
 * another context does not take the block. */
#include "kernels/cuda/context.h"

#include <pthread.h>

typedef struct Block {
    char *at;
    size_t bytes;               /* a multiple of ALIGN */
    bool is_free, begins_piece; /* begins_piece: `at` is the result of a cudaMalloc */
    const Cuda *user;           /* the context that freed this block and whose work may still use it; NULL: none */
    struct Block *next, *before;
} Block;

static struct {
    Block *first;
    size_t taken, in_use; /* bytes from cudaMalloc; bytes in blocks that are not free */
    pthread_mutex_t lock;
} arena = {NULL, 0, 0, PTHREAD_MUTEX_INITIALIZER};

enum { ALIGN = 256 };
#define PIECE_BYTES ((size_t)64 << 20)

/* Adds a free block to the list, between `before` and `next` (NULL: none). Returns NULL if memory ran out. */
static Block *insert(Block *before, Block *next, char *at, size_t bytes)
{
    Block *b = (Block *)heap_alloc(NULL, sizeof *b);
    if (!b)
        return NULL;
    *b = {at, bytes, true, false, NULL, next, before};
    *(before ? &before->next : &arena.first) = b;
    if (next)
        next->before = b;
    return b;
}

/* Joins block b with the next block, if both are free and in the same piece. */
static void join_next(Block *b)
{
    Block *gone = b->next;
    if (!gone || !b->is_free || !gone->is_free || gone->begins_piece)
        return;
    if (b->user != gone->user && b->user && gone->user)
        return; /* Two contexts may still use the blocks, so they stay apart. */
    b->user = b->user ? b->user : gone->user;
    b->bytes += gone->bytes;
    b->next = gone->next;
    if (b->next)
        b->next->before = b;
    heap_free(NULL, gone, sizeof *gone);
}

/* Reports whether context c may take free block b: either no other context uses it, or the work of that context is in
 * its stream, so that c can wait for it. */
static bool can_wait(const Cuda *c, const Block *b)
{
    return !b->user || b->user == c || !b->user->stepping;
}

/* Returns the smallest free block that is large enough, or NULL. A block that needs no wait is preferred: c freed it,
 * or no context uses it. */
static Block *find(const Cuda *c, size_t bytes)
{
    Block *ready = NULL, *waits = NULL;
    for (Block *b = arena.first; b; b = b->next) {
        if (!b->is_free || b->bytes < bytes || !can_wait(c, b))
            continue;
        Block **best = !b->user || b->user == c ? &ready : &waits;
        if (!*best || b->bytes < (*best)->bytes)
            *best = b;
    }
    return ready ? ready : waits;
}

/* Allocates a new piece from the device: PIECE_BYTES, or `bytes` if that is more. If PIECE_BYTES do not fit, only
 * `bytes` are allocated. Returns the piece as one free block, or NULL. */
static Block *take_piece(Cuda *c, size_t bytes)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        const size_t size = attempt == 0 ? MAX(bytes, PIECE_BYTES) : bytes;
        void *p = NULL;
        const cudaError_t code = cudaMalloc(&p, size);
        if (code == cudaErrorMemoryAllocation) {
            (void)cudaGetLastError(); /* The error must not be reported after the next call. */
            continue;
        }
        if (!cuda_worked(c, code, "memory")) /* The device failed in an earlier kernel. */
            return NULL;
        Block *before = NULL, *next = arena.first;
        for (; next && next->at < (char *)p; next = next->next)
            before = next;
        Block *b = insert(before, next, (char *)p, size);
        if (!b) {
            cudaFree(p);
            return NULL;
        }
        MEMORY_HIDE(c->stream, p, size);
        b->begins_piece = true;
        if (next)
            next->begins_piece = true;
        arena.taken += size;
        return b;
    }
    return NULL;
}

/* Gives the pieces that are completely free back to the device, after a new piece did not fit. Must not be called in a
 * step. */
static void give_back(const Cuda *c)
{
    for (Block *b = arena.first, *next; b; b = next) {
        next = b->next;
        if (!b->is_free || !b->begins_piece || (next && !next->begins_piece) || !can_wait(c, b))
            continue;
        if (b->user)
            (void)cudaStreamSynchronize(b->user->stream);
        (void)cudaFree(b->at);
        arena.taken -= b->bytes;
        *(b->before ? &b->before->next : &arena.first) = next;
        if (next)
            next->before = b->before;
        heap_free(NULL, b, sizeof *b);
    }
}

void *cuda_alloc(const Run *run, const Heap *heap, size_t bytes)
{
    (void)heap;
    Cuda *c = (Cuda *)run->context;
    if (bytes > (size_t)-1 - ALIGN - MEMORY_GAP - PIECE_BYTES)
        return NULL;
    const size_t size = size_round_up(MAX(bytes, (size_t)1) + MEMORY_GAP, ALIGN);
    pthread_mutex_lock(&arena.lock);
    Block *b = find(c, size);
    if (!b && !(b = take_piece(c, size))) {
        pthread_mutex_unlock(&arena.lock);
        /* After the flush, give_back may also free the blocks that the context freed during the step: their work is in
         * the stream. */
        cuda_flush(c);
        pthread_mutex_lock(&arena.lock);
        give_back(c);
        if (!(b = find(c, size)))
            b = take_piece(c, size);
    }
    if (b && b->bytes > size) {
        Block *rest = insert(b, b->next, b->at + size, b->bytes - size);
        if (rest) {
            rest->user = b->user;
            b->bytes = size;
        }
    }
    const Cuda *other = NULL;
    if (b) {
        other = b->user != c ? b->user : NULL;
        b->is_free = false;
        arena.in_use += b->bytes;
        if (other)
            (void)cudaStreamSynchronize(other->stream);
        MEMORY_SHOW(c->stream, b->at, MAX(bytes, (size_t)1));
    }
    pthread_mutex_unlock(&arena.lock);
    return b ? b->at : NULL;
}

void cuda_free(const Run *run, const Heap *heap, void *p, size_t bytes)
{
    (void)heap, (void)bytes;
    if (!p)
        return;
    pthread_mutex_lock(&arena.lock);
    Block *b = arena.first;
    while (b && b->at != p)
        b = b->next;
    if (b && !b->is_free) {
        MEMORY_HIDE(cuda_stream(run), b->at, b->bytes);
        arena.in_use -= b->bytes;
        b->is_free = true;
        b->user = (const Cuda *)run->context;
        join_next(b);
        if (b->before)
            join_next(b->before);
    }
    pthread_mutex_unlock(&arena.lock);
}

void cuda_memory_stepping(Cuda *c, bool stepping)
{
    pthread_mutex_lock(&arena.lock);
    c->stepping = stepping;
    pthread_mutex_unlock(&arena.lock);
}

void cuda_memory_forget(Cuda *c)
{
    pthread_mutex_lock(&arena.lock);
    for (Block *b = arena.first; b; b = b->next) {
        if (b->user == c)
            b->user = NULL;
    }
    for (Block *b = arena.first; b; b = b->next) {
        const Block *next;
        do { /* until no neighbour was joined */
            next = b->next;
            join_next(b);
        } while (b->next != next);
    }
    pthread_mutex_unlock(&arena.lock);
}

void cuda_memory(const Run *run, size_t *available, size_t *total)
{
    (void)run;
    if (cudaMemGetInfo(available, total) != cudaSuccess) {
        (void)cudaGetLastError();
        *available = *total = 0;
        return;
    }
    pthread_mutex_lock(&arena.lock);
    /* CUDA counts all blocks of the arena as used, also those that are free */
    *available += arena.taken - arena.in_use;
    pthread_mutex_unlock(&arena.lock);
}
