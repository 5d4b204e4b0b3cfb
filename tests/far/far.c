/* tests/far/far.c: the far device: memory, checks, counts, and a wrapper round every entry of the CPU's table. */
#include "tests/far/far.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/far/entries.h"

/* Every member of the table has a line in entries.h. */
#define MEMBER(name, ...) sizeof(((Kernels *)0)->name) +
_Static_assert(FAR_ENTRIES(MEMBER) FAR_UNWRAPPED(MEMBER)
                       FAR_MEMORY(MEMBER) 0 == sizeof(Kernels) - offsetof(Kernels, alloc),
               "a member of Kernels is unknown to the far device: add its line to tests/far/entries.h");

enum { FILLER = 0xff };
#define RESERVED ((size_t)4 << 30) /* bytes of addresses, not of memory */

/* A copy that download_later made: `arrive` writes it to the host's memory. */
typedef struct FarCopy {
    void *host, *kept; /* kept: the numbers, in a copy on the heap */
    size_t bytes;
    const void *context;
    struct FarCopy *next; /* the next call of download_later */
} FarCopy;

typedef struct FarBlock {
    size_t first, pages;   /* in pages; the last page stays inaccessible */
    size_t bytes;          /* as requested */
    struct FarBlock *next; /* sorted in ascending order */
} FarBlock;

static struct {
    const Kernels *cpu;
    Kernels table;
    int file;
    size_t page;
    unsigned char *device, *open; /* two addresses of one memory; `device` is always inaccessible */
    FarBlock *blocks;
    FarCopy *downloads_waiting;
    uint64_t live;
    pthread_mutex_t lock;
    _Atomic uint64_t kernels, uploads, upload_bytes, downloads, download_bytes, copies, allocations, host_pointers;
    char first[160];
} far = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- memory ---------------------------------------------------------------------------------- */

static _Noreturn void die(const char *what)
{
    perror(what);
    abort();
}

static void must(bool ok, const char *what)
{
    if (!ok)
        die(what);
}

static void *far_alloc(const Run *run, const Heap *heap, size_t bytes)
{
    (void)run, (void)heap;
    size_t pages = (MAX(bytes, (size_t)1) + far.page - 1) / far.page + 1, first = 0;
    FarBlock *b = malloc(sizeof *b);
    if (!b || pages > RESERVED / far.page) {
        free(b);
        return NULL;
    }
    pthread_mutex_lock(&far.lock);
    FarBlock **at = &far.blocks;
    while (*at && (*at)->first - first < pages) {
        first = (*at)->first + (*at)->pages;
        at = &(*at)->next;
    }
    bool fits = first + pages <= RESERVED / far.page;
    if (fits) {
        *b = (FarBlock){first, pages, bytes, *at};
        *at = b;
        far.live += bytes;
    }
    pthread_mutex_unlock(&far.lock);
    if (!fits) {
        free(b);
        return NULL;
    }
    unsigned char *open = far.open + first * far.page;
    must(mprotect(open, (pages - 1) * far.page, PROT_READ | PROT_WRITE) == 0, "mprotect");
    memset(open, FILLER, (pages - 1) * far.page);
    far.allocations++;
    return far.device + first * far.page;
}

static void far_free(const Run *run, const Heap *heap, void *p, size_t bytes)
{
    (void)run, (void)heap;
    if (!p)
        return;
    pthread_mutex_lock(&far.lock);
    FarBlock **at = &far.blocks;
    while (*at && far.device + (*at)->first * far.page != p)
        at = &(*at)->next;
    FarBlock *b = *at;
    if (!b || b->bytes != bytes)
        die("free: not an allocation of the far device, or of another size");
    unsigned char *open = far.open + b->first * far.page;
    must(mprotect(open, (b->pages - 1) * far.page, PROT_NONE) == 0, "mprotect");
    must(fallocate(far.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(b->first * far.page),
                   (off_t)(b->pages * far.page)) == 0,
         "fallocate");
    *at = b->next;
    far.live -= b->bytes;
    pthread_mutex_unlock(&far.lock);
    free(b);
}

static bool is_device(const void *p)
{
    return (const unsigned char *)p >= far.device && (const unsigned char *)p < far.device + RESERVED;
}

/* Returns the accessible address of a device pointer. A pointer that is not the device's is counted and returned
 * unchanged. */
static void *open_address(const char *entry, const char *argument, const void *p)
{
    if (!p)
        return NULL;
    if (is_device(p))
        return far.open + ((const unsigned char *)p - far.device);
    pthread_mutex_lock(&far.lock);
    if (!far.host_pointers)
        snprintf(far.first, sizeof far.first, "%s: %s", entry, argument);
    pthread_mutex_unlock(&far.lock);
    far.host_pointers++;
    return (void *)p;
}

#define DEV(p)  ((__typeof__(p))open_address(entry, #p, p))
#define MOVE(p) ((p) = open_address(entry, #p, p))

static void far_upload(const Run *run, void *device, const void *host, size_t bytes)
{
    const char *entry = "upload";
    if (!bytes)
        return;
    far.uploads++;
    far.upload_bytes += bytes;
    must(!is_device(host), "upload: both sides are the device's");
    far.cpu->upload(run, DEV(device), host, bytes);
}

static void far_download(const Run *run, void *host, const void *device, size_t bytes)
{
    const char *entry = "download";
    if (!bytes)
        return;
    far.downloads++;
    far.download_bytes += bytes;
    must(!is_device(host), "download: both sides are the device's");
    far.cpu->download(run, host, DEV(device), bytes);
}

/* Numbers that have not arrived yet are NaN. */
static void far_download_later(const Run *run, void *host, const void *device, size_t bytes)
{
    if (!bytes)
        return;
    FarCopy *c = malloc(sizeof *c);
    must(c && (c->kept = malloc(bytes)), "malloc");
    c->host = host;
    c->bytes = bytes;
    c->context = run->context;
    c->next = NULL;
    far_download(run, c->kept, device, bytes);
    memset(host, FILLER, bytes);
    pthread_mutex_lock(&far.lock);
    FarCopy **end = &far.downloads_waiting;
    while (*end)
        end = &(*end)->next;
    *end = c;
    pthread_mutex_unlock(&far.lock);
}

static void far_arrive(const Run *run, const void *host)
{
    pthread_mutex_lock(&far.lock);
    const FarCopy *last = NULL;
    for (const FarCopy *c = far.downloads_waiting; c; c = c->next)
        if (c->context == run->context && (!host || c->host == host))
            last = c;
    for (FarCopy **at = &far.downloads_waiting; last;) {
        FarCopy *c = *at;
        if (c->context != run->context) {
            at = &c->next;
            continue;
        }
        if (c == last)
            last = NULL;
        *at = c->next;
        memcpy(c->host, c->kept, c->bytes);
        free(c->kept);
        free(c);
    }
    pthread_mutex_unlock(&far.lock);
}

static void far_copy(const Run *run, void *to, const void *from, size_t bytes)
{
    const char *entry = "copy";
    if (!bytes)
        return;
    far.copies++;
    far.cpu->copy(run, DEV(to), DEV(from), bytes);
}

static void far_zero(const Run *run, void *p, size_t bytes)
{
    const char *entry = "zero";
    if (bytes)
        far.cpu->zero(run, DEV(p), bytes);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static Run open_run(const char *entry, const Run *run)
{
    Run r = *run;
    if (r.work_bytes)
        MOVE(r.work);
    return r;
}

static Gemm open_gemm(const char *entry, const Gemm *given)
{
    Gemm g = *given;
    MOVE(g.A);
    if (g.packed)
        g.B = NULL;
    MOVE(g.B);
    MOVE(g.packed);
    MOVE(g.C);
    MOVE(g.bias);
    MOVE(g.residual);
    return g;
}

static Conv open_conv(const char *entry, const Conv *given)
{
    Conv c = *given;
    MOVE(c.x);
    MOVE(c.packed);
    MOVE(c.y);
    MOVE(c.bias);
    MOVE(c.residual);
    return c;
}

static ConvBack open_conv_back(const char *entry, const ConvBack *given)
{
    ConvBack c = *given;
    c.forward = open_conv(entry, &given->forward);
    MOVE(c.weights);
    MOVE(c.dy);
    MOVE(c.dx);
    MOVE(c.dweights);
    return c;
}

static BatchNorm open_batch_norm(const char *entry, const BatchNorm *given)
{
    BatchNorm b = *given;
    MOVE(b.x);
    MOVE(b.gamma);
    MOVE(b.beta);
    MOVE(b.running_mean);
    MOVE(b.running_var);
    MOVE(b.y);
    MOVE(b.mean);
    MOVE(b.rstd);
    return b;
}

static BatchNormBack open_batch_norm_back(const char *entry, const BatchNormBack *given)
{
    BatchNormBack b = *given;
    b.forward = open_batch_norm(entry, &given->forward);
    MOVE(b.dy);
    MOVE(b.dx);
    MOVE(b.dgamma);
    MOVE(b.dbeta);
    return b;
}

static Attention open_attention(const char *entry, const Attention *given)
{
    Attention a = *given;
    MOVE(a.q_offsets);
    MOVE(a.k_offsets);
    MOVE(a.q);
    MOVE(a.k);
    MOVE(a.v);
    MOVE(a.out);
    MOVE(a.relative);
    MOVE(a.lse);
    return a;
}

static AttentionBack open_attention_back(const char *entry, const AttentionBack *given)
{
    AttentionBack a = *given;
    a.forward = open_attention(entry, &given->forward);
    MOVE(a.dout);
    MOVE(a.dq);
    MOVE(a.dk);
    MOVE(a.dv);
    MOVE(a.drelative);
    return a;
}

static Sparse open_sparse(const char *entry, const Sparse *given)
{
    Sparse s = *given;
    MOVE(s.start);
    MOVE(s.col);
    MOVE(s.val);
    MOVE(s.val_index);
    MOVE(s.row_scale);
    MOVE(s.col_scale);
    must(s.entries == s.start[s.rows], "Sparse: entries is not what start ends with");
    return s;
}

static Exclude open_exclude(const char *entry, const Exclude *given)
{
    Exclude x = *given;
    MOVE(x.start);
    MOVE(x.item);
    MOVE(x.row);
    return x;
}

enum { BPR_PARTS = 16 };
static const BprPart *open_bpr(const char *entry, int parts, const BprPart *given, BprPart *part)
{
    must(parts <= BPR_PARTS, "bpr: more parts than the far device copies");
    for (int i = 0; i < parts; i++) {
        part[i] = given[i];
        for (int j = 0; j < 3; j++) {
            MOVE(part[i].x[j]);
            MOVE(part[i].dx[j]);
        }
    }
    return part;
}

#define OPENED(Type, open, given) (&(Type[]){open(entry, given)}[0])
#define RUN(run)                  OPENED(Run, open_run, run)
#define GEMM(g)                   OPENED(Gemm, open_gemm, g)
#define CONV(c)                   OPENED(Conv, open_conv, c)
#define CONV_BACK(c)              OPENED(ConvBack, open_conv_back, c)
#define BATCH_NORM(b)             OPENED(BatchNorm, open_batch_norm, b)
#define BATCH_NORM_BACK(b)        OPENED(BatchNormBack, open_batch_norm_back, b)
#define ATTENTION(a)              OPENED(Attention, open_attention, a)
#define ATTENTION_BACK(a)         OPENED(AttentionBack, open_attention_back, a)
#define SPARSE(s)                 OPENED(Sparse, open_sparse, s)
#define EXCLUDE(x)                ((x) ? OPENED(Exclude, open_exclude, x) : NULL)
#define BPR(parts, part)          open_bpr(entry, parts, part, (BprPart[BPR_PARTS]){{0}})

/* ---- the table ------------------------------------------------------------------------------- */

#define WRAPPER(name, parameters, arguments)                                                                           \
    static void far_##name parameters                                                                                  \
    {                                                                                                                  \
        const char *entry = #name;                                                                                     \
        far.kernels++;                                                                                                 \
        far.cpu->name arguments;                                                                                       \
    }
FAR_ENTRIES(WRAPPER)

#define WRAPPED(name, ...) far.table.name = far.cpu->name ? far_##name : NULL; /* MINIMAL leaves some out */
#define UNWRAPPED(name)    far.table.name = far.cpu->name;

void far_device(Device *d)
{
    if (!far.open) {
        far.page = (size_t)sysconf(_SC_PAGESIZE);
        far.file = memfd_create("far", MFD_CLOEXEC);
        must(far.file >= 0 && ftruncate(far.file, (off_t)RESERVED) == 0, "memfd_create");
        far.device = mmap(NULL, RESERVED, PROT_NONE, MAP_SHARED | MAP_NORESERVE, far.file, 0);
        far.open = mmap(NULL, RESERVED, PROT_NONE, MAP_SHARED | MAP_NORESERVE, far.file, 0);
        must(far.device != MAP_FAILED && far.open != MAP_FAILED, "mmap");
    }
    far.cpu = d->k;
    far.table = *d->k;
    far.table.device = "far";
    FAR_ENTRIES(WRAPPED)
    FAR_UNWRAPPED(UNWRAPPED)
    FAR_MEMORY(WRAPPED)
    d->k = &far.table;
}

static void at_end(void)
{
    if (!far.host_pointers)
        return;
    fprintf(stderr, "far device: %llu arguments of kernels were pointers of the host; the first: %s\n",
            (unsigned long long)far.host_pointers, far.first);
    _exit(1);
}

/* Every test program is linked with --wrap=device_open. */
bool __real_device_open(Device *d, const char *name, int threads, const Heap *heap, Trace *trace, Error *e);
bool __wrap_device_open(Device *d, const char *name, int threads, const Heap *heap, Trace *trace, Error *e);
bool __wrap_device_open(Device *d, const char *name, int threads, const Heap *heap, Trace *trace, Error *e)
{
    static bool counted;
    const char *device = getenv("SAPOR_TEST_DEVICE");
    if (!__real_device_open(d, name, threads, heap, trace, e))
        return false;
    if (!device || strcmp(device, "far") != 0)
        return true;
    far_device(d);
    if (!counted)
        atexit(at_end);
    counted = true;
    return true;
}

/* ---- counts ---------------------------------------------------------------------------------- */

void far_reset(void)
{
    far.kernels = far.uploads = far.upload_bytes = far.downloads = far.download_bytes = far.copies = 0;
    far.allocations = far.host_pointers = 0;
    far.first[0] = '\0';
}

FarCounts far_counts(void)
{
    FarCounts c = {far.kernels,     far.uploads,        far.upload_bytes,
                   far.downloads,   far.download_bytes, far.copies,
                   far.allocations, far.host_pointers,  {0}};
    memcpy(c.first, far.first, sizeof c.first);
    return c;
}

uint64_t far_live_bytes(void)
{
    return far.live;
}
