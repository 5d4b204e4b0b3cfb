/* nn/step.c: the memory of a step: allocates and frees pieces of it, and frees tensors that no later op reads. The
 * address sanitizer reports code that reads freed memory. */
#include "nn/tape.h"

bool tape_grow(Tape *t, void **list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return true;
    size_t more = MAX((size_t)64, 2 * *room);
    void *p = heap_alloc(t->heap, more * size);
    if (!p)
        return fail_memory(&t->error, more * size, "a tape");
    if (*list) {
        memcpy(p, *list, count * size);
        heap_free(t->heap, *list, *room * size);
    }
    *list = p;
    *room = more;
    return true;
}

Arena *tape_arena(Tape *t, int number, Error *e)
{
    while (t->arena_count <= (size_t)number) {
        if (!tape_grow(t, (void **)&t->arenas, t->arena_count, &t->arena_room, sizeof *t->arenas) ||
            !(t->arenas[t->arena_count] = arena_new(t->heap, 0))) {
            fail_memory(e, sizeof *t->arenas, "a tape");
            return NULL;
        }
        t->arena_count++;
    }
    arena_rewind(t->arenas[number], (ArenaMark){0});
    return t->arenas[number];
}

static void free_list(const Heap *heap, void *p, size_t room, size_t size)
{
    if (p)
        heap_free(heap, p, room * size);
}

/* Marks memory of a step as unused for the address sanitizer, which knows host memory only. */
static void hide(const Tape *t, void *p, size_t bytes)
{
    if (t->host_memory)
        memory_hide(p, bytes);
}

static void *show(const Tape *t, void *p, size_t bytes)
{
    if (t->host_memory)
        memory_show(p, bytes);
    return p;
}

static void free_blocks(Tape *t)
{
    for (size_t i = 0; i < t->step.block_count; i++)
        show(t, t->step.blocks[i].p, t->step.blocks[i].bytes);
    for (size_t i = 0; i < t->step.block_count; i++)
        t->k->free(&t->run, t->heap, t->step.blocks[i].p, t->step.blocks[i].bytes);
    t->step.block_count = 0;
}

void step_reset(Tape *t)
{
    StepMemory *m = &t->step;
    if (m->block_count > 1) { /* one block of the total size plus a reserve, because graphs grow and shrink a little */
        size_t bytes = aligned_bytes((m->used_before + m->used) / 32 * 33);
        free_blocks(t);
        unsigned char *p = t->k->alloc(&t->run, t->heap, bytes);
        if (p)
            m->blocks[m->block_count++] = (Piece){p, bytes};
    }
    if (m->block_count)
        hide(t, m->blocks[0].p, m->blocks[0].bytes);
    m->used = m->used_before = m->spare_count = 0;
}

void step_free(Tape *t)
{
    free_blocks(t);
    if (t->run.work)
        t->k->free(&t->run, t->heap, t->run.work, t->run.work_bytes);
    free_list(t->heap, t->step.blocks, t->step.block_room, sizeof *t->step.blocks);
    free_list(t->heap, t->step.spare, t->step.spare_room, sizeof *t->step.spare);
    while (t->arena_count)
        arena_free(t->arenas[--t->arena_count]);
    free_list(t->heap, t->arenas, t->arena_room, sizeof *t->arenas);
}

void *step_alloc(Tape *t, size_t bytes)
{
    StepMemory *m = &t->step;
    if (t->error.code != SP_OK)
        return NULL;
    bytes = aligned_bytes(bytes);
    size_t best = m->spare_count; /* the smallest freed piece that is large enough */
    for (size_t i = 0; i < m->spare_count; i++)
        if (m->spare[i].bytes >= bytes && (best == m->spare_count || m->spare[i].bytes < m->spare[best].bytes))
            best = i;
    if (best < m->spare_count) {
        Piece *s = &m->spare[best];
        void *p = s->p;
        s->p += bytes;
        s->bytes -= bytes;
        if (!s->bytes)
            *s = m->spare[--m->spare_count];
        return show(t, p, bytes);
    }
    if (!m->block_count || m->blocks[m->block_count - 1].bytes - m->used < bytes) {
        if (!tape_grow(t, (void **)&m->blocks, m->block_count, &m->block_room, sizeof *m->blocks))
            return NULL;
        size_t size = MAX(bytes, MAX((size_t)1 << 18, m->used_before / 2));
        unsigned char *p = t->k->alloc(&t->run, t->heap, size);
        if (!p) {
            device_fail_memory(t->k, &t->run, size, "a step's tensors", &t->error);
            return NULL;
        }
        m->used_before += m->used;
        m->used = 0;
        m->blocks[m->block_count++] = (Piece){p, size};
        hide(t, p, size);
    }
    void *p = m->blocks[m->block_count - 1].p + m->used;
    m->used += bytes;
    return show(t, p, bytes);
}

void step_release(Tape *t, void *p, size_t bytes)
{
    StepMemory *m = &t->step;
    Piece own = {p, aligned_bytes(bytes)};
    if (p)
        hide(t, p, own.bytes);
    for (size_t i = 0; p && i < m->spare_count;) { /* merges the piece with the pieces before and after it */
        Piece s = m->spare[i];
        if (s.p + s.bytes != own.p && own.p + own.bytes != s.p) {
            i++;
            continue;
        }
        own = (Piece){MIN(s.p, own.p), s.bytes + own.bytes};
        m->spare[i] = m->spare[--m->spare_count];
    }
    /* if the list cannot grow, the piece is unused until the reset */
    if (p && tape_grow(t, (void **)&m->spare, m->spare_count, &m->spare_room, sizeof *m->spare))
        m->spare[m->spare_count++] = own;
}

float *step_floats(Tape *t, int64_t n)
{
    return step_alloc(t, (size_t)n * sizeof(float));
}

void step_release_floats(Tape *t, float *p, int64_t n)
{
    step_release(t, p, (size_t)n * sizeof(float));
}

bool tape_work(Tape *t, size_t bytes)
{
    if (bytes <= t->run.work_bytes)
        return true;
    if (t->run.work)
        t->k->free(&t->run, t->heap, t->run.work, t->run.work_bytes);
    t->run.work_bytes = 0;
    if (!(t->run.work = t->k->alloc(&t->run, t->heap, bytes)))
        return device_fail_memory(t->k, &t->run, bytes, "workspace", &t->error);
    t->run.work_bytes = bytes;
    return true;
}

void *tape_scratch(Tape *t, int64_t count, size_t size)
{
    return t->error.code == SP_OK ? arena_alloc(t->meta, (size_t)MAX(count, 1), size, &t->error) : NULL;
}

/* ---- tensors that no later op reads ---------------------------------------------------------- */

void tape_pin(Tape *t, const Tensor *x)
{
    if (x && x->id >= 0)
        t->nodes[x->id]->pinned = true;
}

static Node *view_root(Node *n)
{
    while (n && n->view)
        n = n->base;
    return n;
}

void node_release(Tape *t, Node *n)
{
    if (!n->view && !n->dropped && n->out.data && (!n->host || t->host_memory))
        step_release(t, n->out.data, (size_t)n->out.count * dtype_bytes(n->out.type));
    n->dropped = true;
}

int64_t tape_mark(const Tape *t)
{
    return (int64_t)t->count;
}

void tape_drop(Tape *t, int64_t mark, int n_keep, Tensor *const *keep)
{
    bool *needed = t->mode == MODE_EAGER ? tape_scratch(t, (int64_t)t->count, sizeof *needed) : NULL;
    if (!needed)
        return;
    for (int i = 0; i < n_keep; i++)
        if (keep[i] && keep[i]->id >= 0)
            needed[view_root(t->nodes[keep[i]->id])->out.id] = true;
    for (int64_t i = mark; i < (int64_t)t->count; i++) {
        Node *n = t->nodes[i], *own = view_root(n);
        if (own && (n->pinned || (n->out.needs_grad && !has_bit(n->unread, RESULT))))
            needed[own->out.id] = true;
        for (int j = 0; n->out.needs_grad && j < n->inputs; j++) {
            Node *in = n->in[j] && n->in[j]->id >= 0 ? view_root(t->nodes[n->in[j]->id]) : NULL;
            if (in && (j >= RESULT || !has_bit(n->unread, j)))
                needed[in->out.id] = true;
        }
    }
    for (int64_t i = mark; i < (int64_t)t->count; i++) {
        Node *own = view_root(t->nodes[i]);
        if (!own || needed[own->out.id])
            continue;
        if (t->nodes[i]->view)
            t->nodes[i]->dropped = true;
        else
            node_release(t, own);
    }
}
