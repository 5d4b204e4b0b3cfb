/* nn/lists.c: lists of integers: ids, offsets, patterns of graphs. The host makes them and keeps its copy, so no op
 * reads a list back from a device.
 *
 * On the CPU, kernels read the host's copy. On other devices, a list has a place in a block of device memory that
 * mirrors a block of host memory. lists_send copies what was added since the last call: all lists in one upload. A step
 * needs one upload if its lists are made before its first op that computes. */
#include "nn/tape.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static bool add_block(Tape *t, size_t bytes)
{
    ListMemory *m = &t->lists;
    if (!tape_grow(t, (void **)&m->blocks, m->count, &m->room, sizeof *m->blocks))
        return false;
    ListBlock b = {.bytes = MAX(bytes, MAX((size_t)1 << 20, m->total))};
    b.host = heap_alloc(t->heap, b.bytes);
    b.device = b.host ? t->k->alloc(&t->run, t->heap, b.bytes) : NULL;
    if (!b.device) {
        if (b.host)
            heap_free(t->heap, b.host, b.bytes);
        return device_fail_memory(t->k, &t->run, b.bytes, "a step's lists", &t->error);
    }
    m->total += b.bytes;
    m->blocks[m->count++] = b;
    return true;
}

static void free_blocks(Tape *t)
{
    ListMemory *m = &t->lists;
    while (m->count > 0) {
        ListBlock *b = &m->blocks[--m->count];
        t->k->free(&t->run, t->heap, b->device, b->bytes);
        heap_free(t->heap, b->host, b->bytes);
    }
}

void lists_reset(Tape *t)
{
    ListMemory *m = &t->lists;
    if (m->count > 1) { /* the next list gets one block of the total size */
        free_blocks(t);
    } else if (m->count == 1) {
        m->blocks[0].used = m->blocks[0].sent = 0;
        m->total = m->blocks[0].bytes;
    }
    t->same_count = 0;
}

void lists_free(Tape *t)
{
    free_blocks(t);
    if (t->lists.blocks)
        heap_free(t->heap, t->lists.blocks, t->lists.room * sizeof *t->lists.blocks);
}

void *list_alloc(Tape *t, int64_t count, size_t size)
{
    size_t bytes;
    if (!size_mul((size_t)MAX(count, 1), size, &bytes) || bytes > PTRDIFF_MAX)
        return tape_fail(t, SP_MEMORY, "a step's lists do not fit in memory"), NULL;
    if (t->host_memory)
        return step_alloc(t, bytes);
    ListMemory *m = &t->lists;
    bytes = aligned_bytes(bytes);
    if (t->error.code != SP_OK ||
        ((!m->count || m->blocks[m->count - 1].bytes - m->blocks[m->count - 1].used < bytes) && !add_block(t, bytes)))
        return NULL;
    ListBlock *b = &m->blocks[m->count - 1];
    void *p = b->host + b->used;
    b->used += bytes;
    return p;
}

void list_trim(Tape *t, void *host, size_t bytes, size_t left)
{
    size_t whole = aligned_bytes(bytes), rest = left ? aligned_bytes(left) : 0;
    if (!host || rest >= whole)
        return;
    if (t->host_memory) {
        step_release(t, (char *)host + rest, whole - rest);
        return;
    }
    ListBlock *b = &t->lists.blocks[t->lists.count - 1];
    if ((unsigned char *)host + whole == b->host + b->used && b->sent <= b->used - (whole - rest))
        b->used -= whole - rest;
}

void *list_device(Tape *t, const void *host)
{
    if (t->host_memory || !host)
        return (void *)host;
    for (size_t i = 0; i < t->lists.count; i++) {
        ListBlock *b = &t->lists.blocks[i];
        const unsigned char *p = host;
        if (p >= b->host && p < b->host + b->bytes)
            return b->device + (p - b->host);
    }
    return NULL;
}

void lists_send(Tape *t)
{
    for (size_t i = 0; i < t->lists.count && t->error.code == SP_OK; i++) {
        ListBlock *b = &t->lists.blocks[i];
        if (b->sent < b->used)
            t->k->upload(&t->run, b->device + b->sent, b->host + b->sent, b->used - b->sent);
        b->sent = b->used;
    }
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* Sorts ids [n] (>= 0) by radix sort: unique [n], start [n+1], order [n]. Group s has the positions of unique[s], in
 * ascending order: order[start[s]] .. order[start[s + 1] - 1]. Returns the number of unique ids. scratch [4 n] */
static int64_t sort_ids(int64_t n, const int32_t *ids, int32_t *unique, int64_t *start, int32_t *order,
                        int32_t *scratch)
{
    enum { DIGIT = 11, DIGITS = 1 << DIGIT };
    int32_t *key = scratch, *place = scratch + n, *next_key = scratch + 2 * n, *next_place = scratch + 3 * n, top = 0;
    for (int64_t i = 0; i < n; i++) {
        key[i] = ids[i];
        place[i] = (int32_t)i;
        top = MAX(top, ids[i]);
    }
    for (int shift = 0; shift < 31 && top >> shift > 0; shift += DIGIT) {
        int32_t at[DIGITS] = {0}, sum = 0;
        for (int64_t i = 0; i < n; i++)
            at[key[i] >> shift & (DIGITS - 1)]++;
        for (int d = 0; d < DIGITS; d++) {
            int32_t count = at[d];
            at[d] = sum;
            sum += count;
        }
        for (int64_t i = 0; i < n; i++) {
            int32_t to = at[key[i] >> shift & (DIGITS - 1)]++;
            next_key[to] = key[i];
            next_place[to] = place[i];
        }
        int32_t *swap = key;
        key = next_key;
        next_key = swap;
        swap = place;
        place = next_place;
        next_place = swap;
    }
    int64_t groups = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || key[i] != key[i - 1]) {
            unique[groups] = key[i];
            start[groups++] = i;
        }
        order[i] = place[i];
    }
    start[groups] = n;
    return groups;
}

static Groups *groups_new(Tape *t, int64_t count, int32_t *unique, int32_t *order, int64_t *start)
{
    Groups *g = tape_scratch(t, 1, sizeof *g);
    if (!g || !unique || !order || !start)
        return NULL;
    *g = (Groups){.count = count, .host = {unique, order, start}};
    g->device = (GroupLists){list_device(t, unique), list_device(t, order), list_device(t, start)};
    return g;
}

const Groups *list_group(Tape *t, int64_t n, const int32_t *ids)
{
    int32_t *scratch = tape_scratch(t, 4 * n, sizeof *scratch), *unique = list_alloc(t, n, sizeof *unique),
            *order = list_alloc(t, n, sizeof *order);
    int64_t *start = list_alloc(t, n + 1, sizeof *start);
    Groups *g = scratch ? groups_new(t, 0, unique, order, start) : NULL;
    if (!g || !ids)
        return NULL;
    g->count = sort_ids(n, ids, unique, start, order, scratch);
    g->distinct = g->count == n && (n == 0 || memcmp(ids, unique, (size_t)n * sizeof *ids) == 0);
    return g;
}

const Groups *ids_groups(Tape *t, const Tensor *ids)
{
    Node *n = ids->id >= 0 ? t->nodes[ids->id] : NULL;
    if (n && n->groups)
        return n->groups;
    const Groups *g = list_group(t, ids->count, tape_host(t, ids));
    if (n)
        n->groups = g;
    return g;
}

/* Makes at least n + 1 numbers 0, 1, 2, ... in t->same_order and t->same_start (tape.h). Returns false if memory ran
 * out. */
static bool same_lists(Tape *t, int64_t n)
{
    if (t->same_count > n)
        return true;
    int64_t room = MAX(n + 1, 2 * t->same_count);
    t->same_order = list_alloc(t, room, sizeof *t->same_order);
    t->same_start = list_alloc(t, room, sizeof *t->same_start);
    t->same_count = t->same_order && t->same_start ? room : 0;
    for (int64_t i = 0; i < t->same_count; i++) {
        t->same_order[i] = (int32_t)i;
        t->same_start[i] = i;
    }
    return t->same_count > 0;
}

Tensor *list_ascending(Tape *t, Tensor *ids)
{
    if (!t->training || t->error.code != SP_OK || !same_lists(t, ids->count))
        return ids;
    Node *n = t->nodes[ids->id];
    Groups *g = groups_new(t, ids->count, (int32_t *)(uintptr_t)n->host, t->same_order, t->same_start);
    if (g)
        g->distinct = true;
    n->groups = g;
    return ids;
}

Tensor *list_renumbered(Tape *t, Tensor *ids, const Groups *of)
{
    int64_t n = ids->count;
    int32_t *unique = t->error.code == SP_OK && t->training ? list_alloc(t, of->count, sizeof *unique) : NULL;
    if (!unique)
        return ids;
    const int32_t *now = tape_host(t, ids);
    for (int64_t s = 0; s < of->count; s++)
        unique[s] = now[of->host.order[of->host.start[s]]];
    Groups *g =
        groups_new(t, of->count, unique, (int32_t *)(uintptr_t)of->host.order, (int64_t *)(uintptr_t)of->host.start);
    if (g)
        g->distinct = g->count == n && (n == 0 || memcmp(now, unique, (size_t)n * sizeof *now) == 0);
    t->nodes[ids->id]->groups = g;
    return ids;
}

/* ---- tensors --------------------------------------------------------------------------------- */

const void *tape_host(Tape *t, const Tensor *x)
{
    const void *host = x->id < 0 ? ((const Stored *)x)->host : ((const Node *)x)->host;
    if (!host && t->error.code == SP_OK)
        tape_fail(t, SP_USAGE, "a list was computed on the device: the host cannot read it");
    return host;
}

void ids_together(Tape *t, int lists, Tensor *const *ids)
{
    IdSet *set = t->training ? tape_scratch(t, 1, sizeof *set) : NULL;
    Tensor **member = set ? tape_scratch(t, lists, sizeof *member) : NULL;
    int64_t n = 0;
    for (int i = 0; i < lists && member; i++) {
        int32_t lo, hi;
        if (!ids[i])
            return;
        tape_range(member[i] = ids[i], &lo, &hi);
        n += ids[i]->count;
        if (ids[i]->id < 0 || lo < 0)
            return;
    }
    int32_t *all = member ? tape_scratch(t, n, sizeof *all) : NULL;
    n = 0;
    for (int i = 0; i < lists && all; n += ids[i]->count, i++) {
        const int32_t *host = tape_host(t, ids[i]);
        if (!host)
            return;
        memcpy(all + n, host, (size_t)ids[i]->count * sizeof *all);
    }
    const Groups *groups = all ? list_group(t, n, all) : NULL;
    for (int i = 0; i < lists && groups; i++)
        t->nodes[ids[i]->id]->set = set;
    if (groups)
        *set = (IdSet){lists, member, groups};
}

bool input_ids(Tape *t, int lists, const int32_t *const *host, int64_t n, Tensor **out)
{
    int32_t lo = 0, hi;
    for (int i = 0; i < lists; i++) {
        out[i] = input_i32(t, host[i], n);
        if (t->training && t->error.code == SP_OK)
            tape_range(out[i], &lo, &hi);
        if (t->training && t->error.code == SP_OK && lo >= 0)
            ids_groups(t, out[i]);
    }
    if (lists > 1)
        ids_together(t, lists, out);
    return t->error.code == SP_OK;
}
