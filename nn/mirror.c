/* nn/mirror.c: makes host arrays available to kernels for one call: the arrays themselves on the CPU, copies on other
 * devices. */
#include "nn/tape.h"

static void *mirror(Mirror *m, void *host, size_t bytes, bool in, Error *e)
{
    if (device_is_host(m->d))
        return host;
    Run run = device_run(m->d);
    void *device = m->d->k->alloc(&run, m->d->heap, MAX(bytes, (size_t)1));
    if (!device) {
        device_fail_memory(m->d->k, &run, bytes, "a copy on the device", e);
        return NULL;
    }
    if (in)
        m->d->k->upload(&run, device, host, bytes);
    m->part[m->count++] = (MirrorPart){device, in ? NULL : host, bytes};
    return device;
}

const void *mirror_in(Mirror *m, const void *host, size_t bytes, Error *e)
{
    return mirror(m, (void *)host, bytes, true, e);
}

void *mirror_out(Mirror *m, void *host, size_t bytes, Error *e)
{
    return mirror(m, host, bytes, false, e);
}

void mirror_close(Mirror *m)
{
    Run run = device_run(m->d);
    while (m->count > 0) {
        MirrorPart *p = &m->part[--m->count];
        if (p->back)
            m->d->k->download(&run, p->back, p->device, p->bytes);
        m->d->k->free(&run, m->d->heap, p->device, MAX(p->bytes, (size_t)1));
    }
}
