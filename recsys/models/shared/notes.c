/* recsys/models/shared/notes.c: notes of a model about its work, and progress of long work that the user can end. */
// flags: -Os
#include "recsys/models/models.h"

#include <stdarg.h>

#include "recsys/training.h"

bool model_note(const Model *m, Error *e, const char *format, ...)
{
    if (!m->tell)
        return true;
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int n = vsnprintf(NULL, 0, format, list);
    char *text = n >= 0 ? NEW(m->arena, char, (size_t)n + 1, e) : NULL;
    if (text)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(list);
    return text && m->tell(m->tell_arg, &(TrainEvent){.kind = TRAIN_NOTE, .note = text}, e);
}

bool model_made(const Model *m, int64_t made, int64_t parts, Error *e)
{
    return !m->tell ||
           m->tell(m->tell_arg, &(TrainEvent){.kind = TRAIN_MAKE, .made = MIN(made, parts), .parts = parts}, e);
}

typedef struct Chunk {
    PoolTask *task;
    void *arg;
    size_t first;
} Chunk;

static void run_task(void *arg, size_t task, int worker)
{
    const Chunk *c = arg;
    c->task(c->arg, c->first + task, worker);
}

/* The number of tasks per call is chosen so that a call takes 50 to 200 ms, if the tasks are short enough. */
bool model_tasks(const Model *m, size_t tasks, PoolTask *task, void *arg, int64_t before, int64_t parts, Error *e)
{
    Pool *p = store_device(m->store)->pool;
    size_t threads = (size_t)pool_threads(p), now = m->tell ? threads : tasks;
    for (Chunk c = {task, arg, 0}; c.first < tasks;) {
        size_t n = MIN(now, tasks - c.first);
        double begun = now_seconds();
        pool_run(p, n, run_task, &c);
        c.first += n;
        double seconds = now_seconds() - begun;
        now = seconds < 0.05 ? now * 2 : seconds > 0.2 ? MAX(now / 2, threads) : now;
        if (!model_made(m, before + (int64_t)c.first, parts, e))
            return false;
    }
    return true;
}
