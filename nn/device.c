/* nn/device.c: what computes: a table of kernels, where it computes, and the threads of the host beside it. */
#include "nn/tape.h"

bool device_open(Device *d, const char *name, int threads, const Heap *heap, Trace *trace, Error *e)
{
    Text rest = text_of(name ? name : "cpu"), kind;
    *d = (Device){.heap = heap, .trace = trace};
    if (!text_next(&rest, ':', &kind) || !text_is(kind, "cpu"))
        return fail(e, SP_USAGE, "device %s: is not available; expected cpu, or cpu:LEVEL (`sapor info` lists levels)",
                    name);
    if (!(d->k = kernels_cpu(rest.n ? rest.p : NULL, e)) || !(d->pool = pool_new(heap, threads, e)))
        return false;
    d->context = d->pool;
    pool_trace(d->pool, trace);
    return true;
}

void device_close(Device *d)
{
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
