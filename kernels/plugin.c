/* kernels/plugin.c: finds and loads the plug-in of a device. */
// flags: -Os
#include "kernels/kernels.h"

#include <stdlib.h>

#ifndef SAPOR_MINIMAL /* a static program cannot load plug-ins */
#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

#define PLUGIN "libsapor_cuda.so"

/* Loads the library. Returns NULL and sets *e if it cannot be loaded. If $SAPOR_CUDA is set and not empty, only this
 * path is used. Otherwise the library is searched in the program's folder, in ../lib relative to it, and where the
 * system searches for libraries. */
static void *load(Error *e)
{
    const char *given = getenv("SAPOR_CUDA");
    if (given && *given) {
        void *library = dlopen(given, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            fail(e, SP_UNSUPPORTED, "device cuda: SAPOR_CUDA=%s: %s", given, dlerror());
        return library;
    }
    char path[PATH_MAX + 32];
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    path[MAX(n, 0)] = '\0';
    char *slash = strrchr(path, '/'), *end = slash ? slash + 1 : path;
    static const char *const places[] = {PLUGIN, "../lib/" PLUGIN};
    for (size_t i = 0; slash && i < COUNT(places); i++) {
        memcpy(end, places[i], strlen(places[i]) + 1);
        if (access(path, R_OK) != 0)
            continue;
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            fail(e, SP_UNSUPPORTED, "device cuda: %s", dlerror());
        return library;
    }
    void *library = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail(e, SP_UNSUPPORTED, "device cuda: " PLUGIN " was not found; `make CUDA=1` builds it");
    return library;
}

bool plugin_open(OpenPlugin *o, const char *options, const Heap *heap, Error *e)
{
    *o = (OpenPlugin){.library = load(e)};
    if (!o->library)
        return false;
    o->plugin = dlsym(o->library, "sapor_cuda");
    if (!o->plugin || o->plugin->bytes != sizeof(Plugin) || o->plugin->version != KERNELS_VERSION)
        fail(e, SP_UNSUPPORTED,
             "device cuda: " PLUGIN " is of another version of Sapor; build it again with `make CUDA=1`");
    else if ((o->k = o->plugin->open(options, heap, &o->context, e)) && o->k->bytes == sizeof(Kernels) &&
             o->k->version == KERNELS_VERSION)
        return true;
    else if (o->k)
        fail(e, SP_UNSUPPORTED, "device cuda: the table of " PLUGIN " has another size; build it again");
    plugin_close(o);
    return false;
}

/* The library stays loaded: the CUDA runtime has functions that are called at the end of the program. */
void plugin_close(OpenPlugin *o)
{
    if (o->plugin && o->context)
        o->plugin->close(o->context);
    *o = (OpenPlugin){0};
}
#endif
