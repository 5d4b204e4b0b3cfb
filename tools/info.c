/* tools/info.c: sapor info [--kernels]. */
// flags: -Os
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernels/list.h"
#include "tools/bench/peak.h"
#include "tools/tools.h"

const Option info_options[] = {
    {"kernels", 0, NULL, "show the chosen kernel variants with reasons, and the measured peak speeds"},
    {NULL, 0, NULL, NULL},
};

typedef struct Library {
    const char *name, *what_for;
    bool in;
} Library;

static const Library LIBRARIES[] = {
#ifdef HAVE_JPEG
    {"libjpeg", "JPEG images", true},
#else
    {"libjpeg", "JPEG images", false},
#endif
#ifdef HAVE_PNG
    {"libpng", "PNG images", true},
#else
    {"libpng", "PNG images", false},
#endif
#if (!defined(HAVE_JPEG) || !defined(HAVE_PNG)) && (__has_include(<stb/stb_image.h>) || __has_include(<stb_image.h>))
    {"stb_image", "JPEG and PNG images without libjpeg or libpng", true},
#endif
#ifdef HAVE_WEBP
    {"libwebp", "WebP images", true},
#else
    {"libwebp", "WebP images", false},
#endif
#ifdef HAVE_YAML
    {"libyaml", "sapor extract, sapor run", true},
#else
    {"libyaml", "sapor extract, sapor run", false},
#endif
#ifdef HAVE_XXHASH
    {"xxhash", "hashes of files", true},
#else
    {"xxhash", "hashes of files", false},
#endif
#ifdef HAVE_SQLITE3
    {"sqlite", "sapor run", true},
#else
    {"sqlite", "sapor run", false},
#endif
#ifdef HAVE_ZLIB
    {"zlib", "compressed torch archives, gzip", true},
#else
    {"zlib", "compressed torch archives, gzip", false},
#endif
#ifdef HAVE_ONIGURUMA
    {"oniguruma", "other regular expressions of tokenizers", true},
#else
    {"oniguruma", "other regular expressions of tokenizers", false},
#endif
};

/* The names of the kernels, in the order of the table; the table itself has no names. */
#define NAME(member) #member,
static const char *const KERNELS[] = {KERNEL_LIST(NAME)};

/* Returns the name of the processor from /proc/cpuinfo ("model name"), otherwise the machine's name from uname. */
static const char *cpu_name(Context *c, const struct utsname *u)
{
    Error ignored = {0};
    Text rest = {0}, line, key;
    if (file_exists("/proc/cpuinfo") && file_read(&rest, c->arena, "/proc/cpuinfo", 16 << 20, &ignored))
        while (text_line(&rest, &line))
            if (text_next(&line, ':', &key) && text_is(text_trim(key), "model name"))
                return arena_strndup(c->arena, text_trim(line).p, text_trim(line).n, &ignored);
    return u->machine;
}

static const char *compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

/* variants of kernels, as the table reports them for typical shapes */

typedef struct Choice {
    const char *kernel, *shape;
    Way way;
} Choice;

static const struct {
    const char *shape;
    /* C [M, N] = A [M, K] B. b_row: 0: B is packed weights; 1: B is stored as [N, K]; otherwise as [K, N] */
    int64_t M, N, K, b_row;
} PRODUCTS[] = {
    {"197x768x768, weights", 197, 768, 768, 0},   {"1x768x768, weights", 1, 768, 768, 0},
    {"1x768x768, B [K,N]", 1, 768, 768, 768},     {"1x768x768, B [N,K]", 1, 768, 768, 1},
    {"197x768x768, B [K,N]", 197, 768, 768, 768}, {"2048x7050x64, B [N,K]", 2048, 7050, 64, 1},
};
/* H: height and width; C, O: input and output channels; k: height and width of the kernel. */
static const struct {
    const char *shape;
    int64_t H, C, O, k, stride, groups;
} CONVOLUTIONS[] = {
    {"224x224x3, 7x7x64 /2", 224, 3, 64, 7, 2, 1},      {"56x56x64, 3x3x64", 56, 64, 64, 3, 1, 1},
    {"56x56x64, 1x1x256", 56, 64, 256, 1, 1, 1},        {"56x56x256, 1x1x512 /2", 56, 256, 512, 1, 2, 1},
    {"28x28x128, 3x3x128 /2", 28, 128, 128, 3, 2, 1},   {"7x7x512, 3x3x512", 7, 512, 512, 3, 1, 1},
    {"112x112x96, 3x3 of each", 112, 96, 96, 3, 1, 96},
};
static const struct {
    const char *shape;
    Pack pack;
} NARROW[] = {{"f16 weights", PACK_F16}, {"bf16 weights", PACK_BF16}, {"int8 weights", PACK_INT8}};
/* B sequences of T tokens, H heads of D numbers. */
static const struct {
    const char *shape;
    int64_t B, T, H, D;
} ATTENTIONS[] = {{"1 text of 128, 12x32", 1, 128, 12, 32}, {"16 texts of 512, 12x64", 16, 512, 12, 64}};
/* The k best of I items for each of B users; vectors have D numbers. */
static const struct {
    const char *shape;
    int64_t B, I, D, k;
} RANKINGS[] = {{"2048x7050x64, best 50", 2048, 7050, 64, 50}, {"256x7050x768, best 10", 256, 7050, 768, 10}};
enum { CHOICES = COUNT(PRODUCTS) + COUNT(CONVOLUTIONS) + COUNT(NARROW) + COUNT(ATTENTIONS) + COUNT(RANKINGS) };

/* Fills the list with the variants that the kernel table would use. No kernel runs: (float *)64 is only an aligned
 * pointer that is not NULL. */
static void list_choices(const Device *d, Choice list[CHOICES])
{
    const Kernels *k = d->k;
    const Run run = {0}; /* a run with one thread */
    for (size_t i = 0; i < COUNT(NARROW); i++, list++) {
        Gemm g = {.M = 128,
                  .N = 768,
                  .K = 768,
                  .a_row = 768,
                  .a_col = 1,
                  .packed = (float *)64,
                  .pack = NARROW[i].pack,
                  .C = (float *)64,
                  .ldc = 768,
                  .alpha = 1};
        list->kernel = "gemm";
        list->shape = NARROW[i].shape;
        list->way = k->gemm_packs(g.pack) ? k->gemm_way(&run, &g)
                                          : (Way){"not available", "not supported by the processor or by this level"};
    }
    for (size_t i = 0; i < COUNT(PRODUCTS); i++, list++) {
        Gemm g = {
            .M = PRODUCTS[i].M, .N = PRODUCTS[i].N, .K = PRODUCTS[i].K, .a_row = PRODUCTS[i].K, .a_col = 1, .alpha = 1};
        g.C = (float *)64;
        g.ldc = g.N;
        g.packed = PRODUCTS[i].b_row ? NULL : g.C;
        g.b_row = PRODUCTS[i].b_row;
        g.b_col = g.b_row == 1 ? g.K : 1;
        list->kernel = "gemm";
        list->shape = PRODUCTS[i].shape;
        list->way = k->gemm_way(&run, &g);
    }
    for (size_t i = 0; i < COUNT(CONVOLUTIONS); i++, list++) {
        int64_t size = CONVOLUTIONS[i].k, pad = size / 2;
        Conv c = {.B = 1,
                  .H = CONVOLUTIONS[i].H,
                  .W = CONVOLUTIONS[i].H,
                  .C = CONVOLUTIONS[i].C,
                  .O = CONVOLUTIONS[i].O,
                  .kh = size,
                  .kw = size,
                  .stride = CONVOLUTIONS[i].stride,
                  .groups = CONVOLUTIONS[i].groups,
                  .top = pad,
                  .left = pad,
                  .bottom = pad,
                  .right = pad};
        list->kernel = "conv";
        list->shape = CONVOLUTIONS[i].shape;
        list->way = k->conv_way(&run, &c);
    }
    for (size_t i = 0; i < COUNT(ATTENTIONS); i++, list++) {
        const Attention a = {
            .B = ATTENTIONS[i].B, .H = ATTENTIONS[i].H, .D = ATTENTIONS[i].D, .q_longest = ATTENTIONS[i].T};
        *list = (Choice){"attention", ATTENTIONS[i].shape, k->attention_way(&run, &a)};
    }
    for (size_t i = 0; i < COUNT(RANKINGS); i++, list++)
        *list = (Choice){"topk", RANKINGS[i].shape,
                         k->topk_way(&run, RANKINGS[i].B, RANKINGS[i].I, RANKINGS[i].D, RANKINGS[i].k)};
}

/* Returns the bandwidth of reads from memory in GB/s; 0 if 128 MB cannot be allocated. */
static double memory_gbs(Context *c, const Device *d)
{
    enum { BYTES = 1 << 27 };
    float *data = heap_alloc(c->heap, BYTES);
    double gbs = 0;
    if (data) {
        memset(data, 0, BYTES);
        gbs = peak_read_gbs(d->k->level, data, BYTES, d->pool, 0.05);
        heap_free(c->heap, data, BYTES);
    }
    return gbs;
}

static void kernels_text(Context *c, const Device *d)
{
    Choice list[CHOICES];
    list_choices(d, list);
    printf("\nkernels    %s: %s\n", d->k->level,
           getenv("SAPOR_CPU") ? "chosen by SAPOR_CPU"
                               : "the best level of this processor and build (SAPOR_CPU= chooses another)");
    printf("           %s\n", d->k->about);
    printf("peaks      %d thread%s:", pool_threads(d->pool), pool_threads(d->pool) == 1 ? "" : "s");
    for (size_t i = 0; i < peak_count(); i++) {
        Peak p = peak_measure(i, d->pool, 0);
        bool amx = text_ends(text_of(p.instruction), "tmm");
        if (strcmp(p.level, d->k->level) != 0 || (amx && !p.here))
            continue;
        printf("%s %s%s", strcmp(p.dtype, "f32") == 0 ? "" : ",", amx ? "amx " : "", p.dtype);
        if (p.here)
            printf(" %.0f", peak_measure(i, d->pool, 0.03).gflops);
        else
            printf(" not available");
    }
    printf(" GFLOP/s\n           memory %.1f GB/s\n\n%-9s %-23s %-14s %s\n", memory_gbs(c, d), "kernel", "shape",
           "variant", "why");
    for (size_t i = 0; i < CHOICES; i++)
        printf("%-9s %-23s %-14s %s\n", list[i].kernel, list[i].shape, list[i].way.name, list[i].way.why);
    printf("\nkernels with one variant for all shapes:\n");
    for (size_t i = 0, at = 0; i < COUNT(KERNELS); i++) {
        Text name = text_of(KERNELS[i]);
        if (text_is(name, "gemm") || text_is(name, "conv") || text_is(name, "attention") || text_is(name, "topk") ||
            text_is(name, "supports") || text_ends(name, "_work") || text_ends(name, "_bytes") ||
            text_ends(name, "_packs") || text_ends(name, "_way"))
            continue;
        at += name.n + 2;
        printf("%s%s%s", at == name.n + 2 ? "  " : at > 98 ? ",\n  " : ", ", KERNELS[i], "");
        at = at > 98 ? name.n + 2 : at;
    }
    putchar('\n');
}

static void info_json(const Device *d, const char *cpu, const struct utsname *u, bool kernels)
{
    const Kernels *k = d->k;
    const char *names[8], *why[8];
    bool usable[8];
    size_t levels = kernels_levels(names, usable, why);
    JsonWriter w = json_record(stdout, "version", SAPOR_VERSION);
    json_members(&w, "cpu %s system %s machine %s threads %lld memory_bytes %lld compiler %s level %s", cpu ? cpu : "",
                 u->sysname, u->machine, (long long)pool_threads(d->pool),
                 (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE), compiler(), k->level);
    json_array(&w, "levels");
    for (size_t i = 0; i < levels; i++) {
        json_object(&w, NULL);
        json_put_string(&w, "name", names[i]);
        json_put_bool(&w, "usable", usable[i]);
        json_put_string(&w, "why", why[i] ? why[i] : "");
        json_end(&w);
    }
    json_end(&w);
    json_object(&w, "libraries");
    for (size_t i = 0; i < COUNT(LIBRARIES); i++)
        json_put_bool(&w, LIBRARIES[i].name, LIBRARIES[i].in);
    json_end(&w);
    if (kernels) {
        json_object(&w, "kernels");
        for (size_t i = 0; i < COUNT(KERNELS); i++)
            json_put_string(&w, KERNELS[i], k->level);
        json_end(&w);
        Choice list[CHOICES];
        list_choices(d, list);
        json_array(&w, "variants");
        for (size_t i = 0; i < CHOICES; i++) {
            json_object(&w, NULL);
            json_members(&w, "kernel %s shape %s variant %s why %s", list[i].kernel, list[i].shape, list[i].way.name,
                         list[i].way.why);
            json_end(&w);
        }
    }
    json_finish(&w);
}

static void show_gpu(const Context *c, const Device *d)
{
#ifdef SAPOR_MINIMAL
    (void)c, (void)d;
    printf("%-10s cpu\n", "devices");
#else
    /* --device may have opened the plug-in already, or failed to open it */
    OpenPlugin o = {.k = device_is_host(d) ? NULL : d->k};
    Error why = d->why_cpu;
    if (o.k || (why.code == SP_OK && plugin_open(&o, "", c->heap, &why)))
        printf("%-10s cpu, cuda: %s\n", "devices", o.k->about);
    else
        printf("%-10s cpu (%s)\n", "devices", why.message);
    plugin_close(&o);
#endif
}

bool info_command(Context *c, Error *e)
{
    const Device *d = context_device(c, e);
    struct utsname u = {0};
    if (!d)
        return false;
    uname(&u);
    const char *cpu = cpu_name(c, &u), *names[8], *why[8];
    bool usable[8], kernels = option_given(c, "kernels");
    if (c->json) {
        info_json(d, cpu, &u, kernels);
        return true;
    }
    size_t levels = kernels_levels(names, usable, why);
    printf("sapor      " SAPOR_VERSION ", built with %s\n", compiler());
    printf("system     %s %s, %s\n", u.sysname, u.release, u.machine);
    printf("processor  %s, %d threads used\n", cpu, pool_threads(d->pool));
    printf("memory     %.1f GiB\n", (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30));
    for (size_t i = 0; i < levels; i++)
        printf("%-10s %-9s %s%s\n", i ? "" : "levels", names[i], usable[i] ? "usable" : why[i],
               strcmp(names[i], d->k->level) == 0 ? ", chosen" : "");
    for (size_t i = 0; i < COUNT(LIBRARIES); i++)
        printf("%-10s %-9s %s (%s)\n", i ? "" : "libraries", LIBRARIES[i].name,
               LIBRARIES[i].in ? "available" : "not in this build", LIBRARIES[i].what_for);
    show_gpu(c, d);
    if (kernels)
        kernels_text(c, d);
    return true;
}
