/* nn/device.c: a device: the table of kernels, its context, and the threads of the host. */
#include "nn/tape.h"

#include <stdlib.h>

static bool open_cpu(Device *d, Text level, Error *e)
{
    if (!(d->k = kernels_cpu(level.n ? level.p : NULL, e)))
        return false;
    d->context = d->pool;
    return true;
}

#ifdef SAPOR_MINIMAL /* MINIMAL has the CPU only */
static bool open_named(Device *d, const char *name, Text kind, Text rest, Error *e)
{
    return text_is(kind, "cpu") || text_is(kind, "auto")
               ? open_cpu(d, rest, e)
               : fail(e, SP_UNSUPPORTED, "device %s: is not in this build (MINIMAL=1); expected cpu", name);
}
#else
static bool open_plugin(Device *d, Text options, Error *e)
{
    if (!plugin_open(&d->plugin, options.n ? options.p : "", d->heap, e))
        return false;
    d->k = d->plugin.k;
    d->context = d->plugin.context;
    return true;
}

static bool open_named(Device *d, const char *name, Text kind, Text rest, Error *e)
{
    if (text_is(kind, "cpu"))
        return open_cpu(d, rest, e);
    if (text_is(kind, "cuda"))
        return open_plugin(d, rest, e);
    if (text_is(kind, "auto"))
        return open_plugin(d, rest, &d->why_cpu) || open_cpu(d, (Text){0}, e);
    return fail(e, SP_USAGE, "device %s: is unknown; expected cpu, cpu:LEVEL, cuda, cuda:OPTIONS or auto", name);
}
#endif

bool device_open(Device *d, const char *name, int threads, const Heap *heap, Trace *trace, Error *e)
{
    const char *given = name ? name : getenv("SAPOR_DEVICE");
    Text rest = text_of(given && *given ? given : "cpu"), kind;
    *d = (Device){.heap = heap, .trace = trace};
    if (!(d->pool = pool_new(heap, threads, e)))
        return false;
    pool_trace(d->pool, trace);
    bool ok = text_next(&rest, ':', &kind) && open_named(d, given, kind, rest, e);
    if (!ok)
        device_close(d);
    return ok;
}

void device_close(Device *d)
{
#ifndef SAPOR_MINIMAL
    plugin_close(&d->plugin);
#endif
    pool_free(d->pool);
    *d = (Device){0};
}

Run device_run(const Device *d)
{
    return (Run){.context = d->context, .trace = d->trace};
}

bool device_is_host(const Device *d)
{
    return strcmp(d->k->device, "cpu") == 0;
}

bool device_check(const Device *d, Error *e)
{
    const Run run = device_run(d);
    return d->k->check(&run, e);
}

#ifndef SAPOR_MINIMAL
bool device_fail_memory(const Kernels *k, const Run *run, size_t bytes, const char *what, Error *e)
{
    size_t available, total;
    if (!k->check(run, e))
        return false; /* the cause is not missing memory */
    k->memory(run, &available, &total);
    return total ? fail(e, SP_MEMORY, "out of memory on the device: %s needs %zu bytes; %zu of %zu are available", what,
                        bytes, available, total)
                 : fail_memory(e, bytes, what);
}
#endif
