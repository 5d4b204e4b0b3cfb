/* info.c: sapor info [--kernels]. */
#include <sys/utsname.h>
#include <unistd.h>

#include "kernels/cpu/cpu.h"
#include "tools/tools.h"

const Option info_options[] = {
    {"kernels", 0, NULL, "every kernel and the level that serves it here"},
    {NULL, 0, NULL, NULL},
};

typedef struct Library {
    const char *name, *what_for;
    bool in;
} Library;

static const Library LIBRARIES[] = {
#ifdef HAVE_UTF8PROC
    {"utf8proc", "Unicode in tokenizers", true},
#else
    {"utf8proc", "Unicode in tokenizers", false},
#endif
#ifdef HAVE_JPEG
    {"libjpeg", "JPEG pictures", true},
#else
    {"libjpeg", "JPEG pictures", false},
#endif
#ifdef HAVE_PNG
    {"libpng", "PNG pictures", true},
#else
    {"libpng", "PNG pictures", false},
#endif
#if (!defined(HAVE_JPEG) || !defined(HAVE_PNG)) && (__has_include(<stb/stb_image.h>) || __has_include(<stb_image.h>))
    {"stb_image", "JPEG and PNG pictures in their place", true},
#endif
#ifdef HAVE_WEBP
    {"libwebp", "WebP pictures", true},
#else
    {"libwebp", "WebP pictures", false},
#endif
#ifdef HAVE_YAML
    {"libyaml", "sapor extract", true},
#else
    {"libyaml", "sapor extract", false},
#endif
#ifdef HAVE_XXHASH
    {"xxhash", "hashes of files", true},
#else
    {"xxhash", "hashes of files", false},
#endif
#ifdef HAVE_ZLIB
    {"zlib", "compressed torch archives", true},
#else
    {"zlib", "compressed torch archives", false},
#endif
};

/* Kernels by name and place in the table; the table has no names of its own. */
#define NAME(member) #member,
static const char *const KERNELS[] = {KERNEL_LIST(NAME)};

/* The processor's name from /proc/cpuinfo ("model name"), else the machine's from uname. */
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

static void info_json(const Kernels *k, const char *cpu, const struct utsname *u, int threads, bool kernels)
{
    const char *names[8], *why[8];
    bool usable[8];
    size_t levels = kernels_levels(names, usable, why);
    printf("{\"version\":\"" SAPOR_VERSION "\",\"cpu\":");
    json_print_string(stdout, text_of(cpu ? cpu : ""));
    printf(",\"system\":");
    json_print_string(stdout, text_of(u->sysname));
    printf(",\"machine\":");
    json_print_string(stdout, text_of(u->machine));
    printf(",\"threads\":%d,\"memory_bytes\":%lld,\"compiler\":", threads,
           (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    json_print_string(stdout, text_of(compiler()));
    printf(",\"level\":\"%s\",\"levels\":[", k->level);
    for (size_t i = 0; i < levels; i++) {
        printf("%s{\"name\":\"%s\",\"usable\":%s,\"why\":", i ? "," : "", names[i], usable[i] ? "true" : "false");
        json_print_string(stdout, text_of(why[i] ? why[i] : ""));
        printf("}");
    }
    printf("],\"libraries\":{");
    for (size_t i = 0; i < COUNT(LIBRARIES); i++)
        printf("%s\"%s\":%s", i ? "," : "", LIBRARIES[i].name, LIBRARIES[i].in ? "true" : "false");
    printf("}");
    if (kernels) {
        printf(",\"kernels\":{");
        for (size_t i = 0; i < COUNT(KERNELS); i++)
            printf("%s\"%s\":\"%s\"", i ? "," : "", KERNELS[i], k->level);
        printf("}");
    }
    printf("}\n");
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
        info_json(d->k, cpu, &u, pool_threads(d->pool), kernels);
        return true;
    }
    size_t levels = kernels_levels(names, usable, why);
    printf("sapor      " SAPOR_VERSION ", built with %s\n", compiler());
    printf("system     %s %s, %s\n", u.sysname, u.release, u.machine);
    printf("processor  %s, %d threads lent\n", cpu, pool_threads(d->pool));
    printf("memory     %.1f GiB\n", (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30));
    for (size_t i = 0; i < levels; i++)
        printf("%-10s %-9s %s%s\n", i ? "" : "levels", names[i], usable[i] ? "usable" : why[i],
               strcmp(names[i], d->k->level) == 0 ? ", chosen" : "");
    for (size_t i = 0; i < COUNT(LIBRARIES); i++)
        printf("%-10s %-9s %s (%s)\n", i ? "" : "libraries", LIBRARIES[i].name, LIBRARIES[i].in ? "in" : "not in this build",
               LIBRARIES[i].what_for);
    printf("%-10s cpu (cuda is not in this build)\n", "devices");
    if (kernels) {
        printf("\nkernels: one source for all levels; the best level that the processor has serves every kernel (SAPOR_CPU= "
               "forces another)\n");
        for (size_t i = 0; i < COUNT(KERNELS); i++)
            printf("  %-20s %s%s", KERNELS[i], d->k->level, (i + 1) % 3 && i + 1 < COUNT(KERNELS) ? "\t" : "\n");
    }
    return true;
}
