/* kernels/cuda/memory.cu: one arena for all contexts of the process. cudaMalloc and cudaFree wait for the whole device
 * and take up to a millisecond, so large pieces are taken, cut into blocks and kept.
 *
 * Blocks are in a list by address; a free block joins its free neighbours. The smallest free block that is large enough
 * is taken. A freed block may still be used by work that its context has called: the same context may take it at once,
 * since its work is done in order; another one waits for the first's stream. While a step of the first is captured, its
 * work is not in the stream yet, and a wait for a stream that is captured would spoil the capture: then the block is
 * left to it. */
#include "kernels/cuda/context.h"

#include <pthread.h>

typedef struct Block {
    char *at;
    size_t bytes; /* a multiple of ALIGN */
    bool is_free, begins_piece;
    const Cuda *user; /* whose work may still use a free block; NULL: nobody's */
    struct Block *next, *before;
} Block;

static struct {
    Block *first;
    size_t taken, in_use; /* from the device; of that, in blocks that are not free */
    pthread_mutex_t lock;
} arena = {NULL, 0, 0, PTHREAD_MUTEX_INITIALIZER};

enum { ALIGN = 256 };
#define PIECE_BYTES ((size_t)64 << 20)

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

static void join_next(Block *b)
{
    Block *gone = b->next;
    if (!gone || !b->is_free || !gone->is_free || gone->begins_piece)
        return;
    if (b->user != gone->user && b->user && gone->user)
        return; /* the work of two contexts: joined when one of them has ended */
    b->user = b->user ? b->user : gone->user;
    b->bytes += gone->bytes;
    b->next = gone->next;
    if (b->next)
        b->next->before = b;
    heap_free(NULL, gone, sizeof *gone);
}

/* Whether the work that may use a free block is in a stream, or is c's own */
static bool can_wait(const Cuda *c, const Block *b)
{
    return !b->user || b->user == c || !b->user->stepping;
}

/* The smallest that fits: one that the context freed itself, or that nobody uses, before another context's. */
static Block *find(const Cuda *c, size_t bytes)
{
    Block *own = NULL, *others = NULL;
    for (Block *b = arena.first; b; b = b->next) {
        if (!b->is_free || b->bytes < bytes || !can_wait(c, b))
            continue;
        Block **best = !b->user || b->user == c ? &own : &others;
        if (!*best || b->bytes < (*best)->bytes)
            *best = b;
    }
    return own ? own : others;
}

/* A new piece from the device: PIECE_BYTES, or what is asked where that is more, or does fit while PIECE_BYTES do
 * not */
static Block *take_piece(Cuda *c, size_t bytes)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        const size_t size = attempt == 0 ? MAX(bytes, PIECE_BYTES) : bytes;
        void *p = NULL;
        const cudaError_t code = cudaMalloc(&p, size);
        if (code == cudaErrorMemoryAllocation) {
            (void)cudaGetLastError(); /* it is no failure of what is called next */
            continue;
        }
        if (!cuda_worked(c, code, "memory")) /* the device is lost, by a kernel that was called before */
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

/* Pieces that are wholly free go back to the device: before a piece is taken that did not fit. c has no step. */
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
        cuda_flush(c); /* what it has freed in the step may be given back, too, once its work is in the stream */
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
        do { /* as long as there is one to join */
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
    *available += arena.taken - arena.in_use;
    pthread_mutex_unlock(&arena.lock);
}
