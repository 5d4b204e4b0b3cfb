/* tests/cuda_emu/fibers.cc: runs a launch: the threads of a block as fibers, barriers, and operations of a warp. */
#include "tests/cuda_emu/emu.h"

#include <float.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

Emu emu;

static Fiber *fibers;    /* [EMU_MOST_THREADS] */
static void *main_stack; /* the stack pointer of the host's thread while a fiber runs */

/* ---- switching ------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* Saves the registers that a call must preserve and the stack pointer in `*from`. Continues the fiber `to` where it
 * stopped. */
extern "C" void emu_switch(void **from, void *to);
asm(".text\n"
    ".type emu_switch, @function\n"
    "emu_switch:\n"
    "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
    "    ret\n");
#elif defined(__aarch64__)
extern "C" void emu_switch(void **from, void *to);
asm(".text\n"
    "emu_switch:\n"
    "    sub sp, sp, #160\n"
    "    stp x19, x20, [sp, #0]\n    stp x21, x22, [sp, #16]\n    stp x23, x24, [sp, #32]\n"
    "    stp x25, x26, [sp, #48]\n    stp x27, x28, [sp, #64]\n    stp x29, x30, [sp, #80]\n"
    "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n    stp d12, d13, [sp, #128]\n"
    "    stp d14, d15, [sp, #144]\n"
    "    mov x9, sp\n    str x9, [x0]\n    mov sp, x1\n"
    "    ldp x19, x20, [sp, #0]\n    ldp x21, x22, [sp, #16]\n    ldp x23, x24, [sp, #32]\n"
    "    ldp x25, x26, [sp, #48]\n    ldp x27, x28, [sp, #64]\n    ldp x29, x30, [sp, #80]\n"
    "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n    ldp d12, d13, [sp, #128]\n"
    "    ldp d14, d15, [sp, #144]\n"
    "    add sp, sp, #160\n    ret\n");
#else
#error "the emulator switches fibers on x86-64 and aarch64 only"
#endif

static void to_scheduler(void)
{
    emu_switch(&emu.fiber->stack_pointer, main_stack);
}

static void fiber_main(void)
{
    emu.launch->kernel->run();
    if (emu.fiber->copy_count > 0)
        emu_fault("the kernel ended without a wait for its cp_async");
    emu.fiber->state = FIBER_DONE;
    to_scheduler();
    abort(); /* a fiber that has ended is never continued */
}

static void fiber_begin(Fiber *f)
{
    uint64_t *top = (uint64_t *)(f->stack + EMU_STACK);
#if defined(__x86_64__)
    *--top = 0; /* the stack is as after a call: 8 bytes below a multiple of 16 */
    *--top = (uint64_t)fiber_main;
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
#else
    top -= 20;
    memset(top, 0, 20 * sizeof *top);
    top[11] = (uint64_t)fiber_main;
#endif
    f->stack_pointer = top;
    f->state = FIBER_READY;
    f->copy_count = f->group = 0;
}

static void continue_fiber(Fiber *f)
{
    emu.fiber = f;
    emu.inside = true;
    emu_switch(&main_stack, f->stack_pointer);
    emu.inside = false;
}

bool emu_in_fiber(const void *p)
{
    return (const Fiber *)p >= fibers && (const Fiber *)p < fibers + EMU_MOST_THREADS;
}

/* ---- faults ---------------------------------------------------------------------------------- */

static bool stopped; /* the launch ended with a fault */

void emu_fault(const char *format, ...)
{
    const bool inside = emu.inside;
    emu.inside = false;
    char what[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (emu.faults++ == 0) {
        if (inside) {
            const EmuThread *t = &emu.fiber->at;
            snprintf(emu.first, sizeof emu.first, "%s, block (%u,%u,%u), thread (%u,%u,%u): %s", emu.launch->name,
                     t->block.x, t->block.y, t->block.z, t->thread.x, t->thread.y, t->thread.z, what);
        } else {
            snprintf(emu.first, sizeof emu.first, "%s", what);
        }
        if (getenv("EMU_VERBOSE"))
            fprintf(stderr, "emulator: %s\n", emu.first);
    }
    stopped = true;
    if (inside) {
        emu.fiber->state = FIBER_DONE;
        to_scheduler();
    }
}

int emu_faults(void)
{
    return emu.faults;
}

const char *emu_first_fault(void)
{
    return emu.first;
}

void emu_order(uint64_t order)
{
    emu.order = order;
}

EmuCounts emu_counts(void)
{
    return emu.counts;
}

/* ---- barriers -------------------------------------------------------------------------------- */

const EmuThread *emu_thread(void)
{
    return &emu.fiber->at;
}

void emu_barrier(const char *file, int line)
{
    Fiber *f = emu.fiber;
    f->state = FIBER_BARRIER;
    f->file = file;
    f->line = line;
    to_scheduler();
}

void emu_thread_fence(void)
{
}

/* Called if no thread of the block can run. If all threads wait at the same barrier, they go on. Otherwise the barrier
 * is divergent: a fault. */
static void release_barrier(void)
{
    const Fiber *waits = NULL, *other = NULL;
    for (int i = 0; i < emu.threads && !waits; i++)
        waits = fibers[i].state == FIBER_BARRIER ? &fibers[i] : NULL;
    for (int i = 0; i < emu.threads && !other; i++) {
        const Fiber *f = &fibers[i];
        const bool here = f->state == FIBER_BARRIER && f->line == waits->line && strcmp(f->file, waits->file) == 0;
        other = here ? NULL : f;
    }
    if (other) {
        char where[300];
        if (other->state == FIBER_BARRIER)
            snprintf(where, sizeof where, "waits at %s:%d", other->file, other->line);
        else
            snprintf(where, sizeof where, "%s",
                     other->state == FIBER_DONE ? "has ended" : "waits for other lanes of its warp");
        emu_fault("%s: divergent barrier: thread %d of block (%u,%u,%u) waits at %s:%d, thread %d %s", emu.launch->name,
                  waits->number, waits->at.block.x, waits->at.block.y, waits->at.block.z, waits->file, waits->line,
                  other->number, where);
        return;
    }
    emu.barriers++;
    for (int i = 0; i < emu.threads; i++)
        fibers[i].state = FIBER_READY;
}

/* ---- operations of a warp -------------------------------------------------------------------- */

static float bf16_value(uint32_t bits)
{
    return bits_f32(bits << 16);
}

/* Returns element [line, k] of A, or [k, line] of B, from the fragments of the lanes (kernels/cuda/ptx.h). */
static double mma_element(EmuMma kind, const Fiber *warp, bool of_b, int line, int k)
{
    const int per = kind == EMU_MMA_S8 ? 4 : kind == EMU_MMA_TF32 ? 1 : 2, half = 4 * per;
    const int lane = (line % 8) * 4 + k % half / per, reg = of_b ? k / half : line / 8 + 2 * (k / half);
    const uint32_t *r = (const uint32_t *)(of_b ? warp[lane].b : warp[lane].a);
    const uint32_t word = r[reg];
    switch (kind) {
    case EMU_MMA_S8: return (double)(int8_t)(word >> 8 * (k % 4) & 0xff);
    case EMU_MMA_TF32: return (double)bits_f32(word & ~0x1fffu);
    case EMU_MMA_BF16: return (double)bf16_value(word >> 16 * (k % 2) & 0xffff);
    default: return (double)emu_f16_to_f32((uint16_t)(word >> 16 * (k % 2) & 0xffff));
    }
}

/* Returns c + the sum of n products, added as a card adds them. The exact products are aligned to the largest exponent
 * of all terms and truncated to EXTRA bits more than a float has. Their sum is truncated to a float. Nothing is rounded
 * to the nearest, so long sums of terms with equal signs are too small. 8 products at a time (4 of tf32) and one extra
 * bit are about what an A100 does (Fasi, Higham, Mikaitis & Pranesh 2021, "Numerical behavior of NVIDIA tensor cores");
 * other cards keep more bits. */
static float mma_sum(float c, const double *product, int n)
{
    enum { EXTRA = 1 };
    int most = c != 0.0f ? ilogb(c) : INT_MIN;
    double exact = c;
    for (int k = 0; k < n; k++) {
        exact += product[k];
        most = product[k] != 0.0 && ilogb(product[k]) > most ? ilogb(product[k]) : most;
    }
    if (!(fabs(exact) <= FLT_MAX) || most == INT_MIN)
        return (float)exact;
    double unit = ldexp(1.0, (most > -126 ? most : -126) - 23 - EXTRA);
    double sum = trunc((double)c / unit);
    for (int k = 0; k < n; k++)
        sum += trunc(product[k] / unit);
    sum *= unit;
    float nearest = (float)sum;
    return fabs((double)nearest) > fabs(sum) ? nextafterf(nearest, 0.0f) : nearest;
}

static void mma(EmuMma kind, Fiber *warp)
{
    const int K = kind == EMU_MMA_S8 ? 32 : kind == EMU_MMA_TF32 ? 8 : 16;
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 8; j++) {
            void *c = warp[i % 8 * 4 + j / 2].c;
            const int at = j % 2 + 2 * (i / 8);
            double product[32], whole = kind == EMU_MMA_S8 ? (double)((int32_t *)c)[at] : 0.0;
            for (int k = 0; k < K; k++) {
                product[k] = mma_element(kind, warp, false, i, k) * mma_element(kind, warp, true, j, k);
                whole += product[k];
            }
            if (kind == EMU_MMA_S8) {
                ((int32_t *)c)[at] = (int32_t)whole;
                continue;
            }
            float sum = ((float *)c)[at];
            for (int k = 0; k < K; k += K / 2)
                sum = mma_sum(sum, product + k, K / 2);
            ((float *)c)[at] = sum;
        }
    }
}

static void ldmatrix(Fiber *warp, bool transposed)
{
    for (int l = 0; l < EMU_WARP; l++) {
        emu.fiber = &warp[l]; /* the lane that gave the address makes the read */
        if ((uintptr_t)warp[l].a % 16 != 0)
            emu_fault("ldmatrix: a row is not aligned to 16 bytes");
        emu_access(warp[l].a, 16, false, false, __builtin_return_address(0));
    }
    for (int l = 0; l < EMU_WARP; l++) {
        for (int m = 0; m < 4; m++) {
            uint32_t word = 0;
            for (int h = 0; h < 2; h++) {
                const int row = transposed ? 2 * (l % 4) + h : l / 4, col = transposed ? l / 4 : 2 * (l % 4) + h;
                word |= (uint32_t)((const uint16_t *)warp[8 * m + row].a)[col] << 16 * h;
            }
            ((uint32_t *)warp[l].c)[m] = word;
        }
    }
}

static void shuffle(Fiber *warp, uint32_t mask)
{
    for (int l = 0; l < EMU_WARP; l++) {
        Fiber *f = &warp[l];
        if (!(mask >> l & 1))
            continue;
        const int base = l / f->width * f->width;
        int from = l;
        switch (f->kind) {
        case EMU_SHFL: from = base + (f->which & (f->width - 1)); break;
        case EMU_SHFL_XOR: from = (l ^ f->which) < base + f->width ? l ^ f->which : l; break;
        case EMU_SHFL_UP: from = l - f->which >= base ? l - f->which : l; break;
        default: from = l + f->which < base + f->width ? l + f->which : l;
        }
        if (!(mask >> from & 1)) {
            emu.fiber = f;
            emu_fault("a shuffle reads lane %d, which is not in its mask %08x", from, mask);
        }
        f->result = warp[from].value;
    }
}

/* Computes an operation of a warp. Called by the last lane of the mask. */
static void complete(Fiber *warp, Fiber *last)
{
    const uint32_t mask = last->mask;
    if (last->op == OP_SHUFFLE) {
        shuffle(warp, mask);
    } else if (last->op == OP_BALLOT) {
        uint64_t vote = 0;
        for (int l = 0; l < EMU_WARP; l++)
            vote |= mask >> l & 1 && warp[l].value ? (uint64_t)1 << l : 0;
        for (int l = 0; l < EMU_WARP; l++)
            warp[l].result = vote;
    } else if (last->op == OP_MMA) {
        mma((EmuMma)last->kind, warp);
    } else if (last->op == OP_LDMATRIX) {
        ldmatrix(warp, last->kind != 0);
    } else if (mask == 0xffffffffu) {
        /* __syncwarp of all lanes: accesses before it are ordered before accesses after it */
        emu.syncs[last->number / EMU_WARP]++;
    }
    emu.fiber = last;
    for (int l = 0; l < EMU_WARP; l++)
        if (mask >> l & 1)
            warp[l].state = FIBER_READY;
}

static uint64_t warp_operation(WarpOp op, int kind, uint32_t mask)
{
    Fiber *f = emu.fiber, *warp = fibers + f->number / EMU_WARP * EMU_WARP;
    const int lane = f->number % EMU_WARP;
    emu.inside = false;
    if (!(mask >> lane & 1)) {
        emu.inside = true;
        emu_fault("lane %d is not in the mask %08x of its own operation", lane, mask);
    }
    if (emu.threads % EMU_WARP != 0) {
        emu.inside = true;
        emu_fault("an operation of a warp in a block of %d threads, which is not a multiple of 32", emu.threads);
    }
    f->op = op;
    f->kind = kind;
    f->mask = mask;
    f->state = FIBER_WARP;
    bool all = true;
    for (int l = 0; all && l < EMU_WARP; l++)
        all = !(mask >> l & 1) ||
              (warp[l].state == FIBER_WARP && warp[l].op == op && warp[l].kind == kind && warp[l].mask == mask);
    emu.inside = true;
    if (all)
        complete(warp, f);
    else
        to_scheduler();
    return f->result;
}

void emu_warp_barrier(uint32_t mask)
{
    warp_operation(OP_SYNC, 0, mask);
}

uint64_t emu_shuffle(EmuShuffle kind, uint32_t mask, uint64_t value, int which, int width)
{
    emu.fiber->value = value;
    emu.fiber->which = which;
    emu.fiber->width = width;
    return warp_operation(OP_SHUFFLE, kind, mask);
}

uint32_t emu_ballot(uint32_t mask, int predicate)
{
    emu.fiber->value = predicate != 0;
    return (uint32_t)warp_operation(OP_BALLOT, 0, mask);
}

void emu_mma(EmuMma kind, void *c, const uint32_t *a, const uint32_t *b)
{
    emu.fiber->a = a;
    emu.fiber->b = b;
    emu.fiber->c = c;
    warp_operation(OP_MMA, kind, 0xffffffffu);
}

void emu_ldmatrix(uint32_t *r, const void *row, bool transposed)
{
    emu.fiber->a = row;
    emu.fiber->c = r;
    warp_operation(OP_LDMATRIX, transposed, 0xffffffffu);
}

/* asynchronous copies */

/* The emulator makes the copy when it is waited for. A card may make it at any earlier time. So a read before the wait
 * is a read of unwritten memory, and if others read the destination before, there must be a barrier before the copy
 * begins. */
void emu_cp_async(void *shared, const void *global, int bytes, int valid)
{
    Fiber *f = emu.fiber;
    if ((uintptr_t)shared % (uintptr_t)bytes || (uintptr_t)global % (uintptr_t)bytes)
        emu_fault("cp_async%d: an address is not aligned to %d bytes", bytes, bytes);
    if (valid < 0 || valid > bytes)
        emu_fault("cp_async%d: %d valid bytes", bytes, valid);
    if (f->copy_count == EMU_COPIES)
        emu_fault("more than %d cp_async that were not waited for", EMU_COPIES);
    emu_write_begins(shared, (size_t)bytes, __builtin_return_address(0));
    f->copies[f->copy_count++] = {shared, global, bytes, valid, f->group};
}

void emu_cp_commit(void)
{
    emu.fiber->group++;
}

void emu_cp_wait(int pending)
{
    Fiber *f = emu.fiber;
    int kept = 0;
    for (int i = 0; i < f->copy_count; i++) {
        const CopyAsync *c = &f->copies[i];
        if (c->group >= f->group - pending) {
            f->copies[kept++] = *c;
            continue;
        }
        if (c->valid > 0)
            emu_access(c->global, (size_t)c->valid, false, false, __builtin_return_address(0));
        emu_access(c->shared, (size_t)c->bytes, true, false, __builtin_return_address(0));
        memset(c->shared, 0, (size_t)c->bytes);
        memcpy(c->shared, c->global, (size_t)c->valid);
    }
    f->copy_count = kept;
}

/* ---- the scheduler --------------------------------------------------------------------------- */

static void make_fibers(void)
{
    if (fibers)
        return;
    fibers = (Fiber *)calloc(EMU_MOST_THREADS, sizeof *fibers);
    unsigned char *stacks = (unsigned char *)mmap(NULL, (size_t)EMU_MOST_THREADS * EMU_STACK, PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!fibers || stacks == MAP_FAILED)
        abort();
    for (int i = 0; i < EMU_MOST_THREADS; i++)
        fibers[i].stack = stacks + (size_t)i * EMU_STACK;
}

/* Returns the i-th of n numbers in the order of this launch: ascending or descending, from some number on,
 * with a wrap-around. */
static uint32_t in_order(uint32_t i, uint32_t n)
{
    const uint64_t drawn = emu.order ? emu.order - 1 : emu.launch->number * 2654435761u >> 5;
    const uint32_t from = (uint32_t)((drawn / 2 + i) % n);
    return drawn % 2 ? n - 1 - from : from;
}

static void run_block(const Launch *l, uint32_t number)
{
    const uint3 block = {number % l->grid.x, number / l->grid.x % l->grid.y, number / l->grid.x / l->grid.y};
    emu.block = number + 1;
    emu.barriers = 0;
    memset(emu.syncs, 0, sizeof emu.syncs);
    emu_block_begins(l);
    for (int i = 0; i < emu.threads; i++) {
        const unsigned t = (unsigned)i;
        fiber_begin(&fibers[i]);
        fibers[i].number = i;
        fibers[i].at = {
            {t % l->block.x, t / l->block.x % l->block.y, t / l->block.x / l->block.y}, block, l->block, l->grid};
    }
    for (int done = 0; done < emu.threads && !stopped;) {
        bool moved = false;
        done = 0;
        for (int i = 0; i < emu.threads && !stopped; i++) {
            Fiber *f = &fibers[in_order((uint32_t)i, (uint32_t)emu.threads)];
            if (f->state == FIBER_READY) {
                continue_fiber(f);
                moved = true;
            }
        }
        int waits = 0;
        const Fiber *alone = NULL;
        for (int i = 0; i < emu.threads; i++) {
            done += fibers[i].state == FIBER_DONE;
            waits += fibers[i].state == FIBER_BARRIER;
            moved |= fibers[i].state == FIBER_READY;
            alone = fibers[i].state == FIBER_WARP ? &fibers[i] : alone;
        }
        if (stopped || done == emu.threads || (moved && waits < emu.threads))
            continue;
        if (waits > 0)
            release_barrier();
        else
            emu_fault("%s: thread %d of block (%u,%u,%u) waits for lanes of mask %08x that do not reach the operation",
                      l->name, alone->number, block.x, block.y, block.z, alone->mask);
    }
}

void emu_run(const Launch *l)
{
    make_fibers();
    emu.launch = l;
    emu.threads = (int)(l->block.x * l->block.y * l->block.z);
    stopped = false;
    emu.counts.launches++;
    const uint64_t blocks = (uint64_t)l->grid.x * l->grid.y * l->grid.z;
    for (uint64_t b = 0; b < blocks && !stopped; b++)
        run_block(l, in_order((uint32_t)b, (uint32_t)blocks));
    emu.launch = NULL;
}
