/* recsys/train/sampler.c: draws the events of an epoch as the systems do (recipes.md 4.1), but from counters. The
 * numbers of event n are a function of (seed, epoch, n) only. They do not depend on the thread that draws them, and an
 * interrupted epoch is drawn again with the same numbers. */
#include "recsys/train/train.h"

struct Sampler {
    const DataSet *data;
    Sampling how;
    uint64_t seed;
    int64_t batch, events;               /* samples per batch and per epoch */
    int64_t user_count, candidate_count; /* lengths of `users` and `candidates` */
    int32_t *users;                      /* users with a train pair and a possible negative */
    int32_t *candidates;                 /* items that occur in train, in ascending order */
    int32_t *edge_user;                  /* if draws_edges: the user of each train pair */
    int32_t *edges;                      /* train pairs that may be drawn */
    uint32_t *order;                     /* if every_edge: order of the edges in the epoch */
    uint64_t *scratch;                   /* [2 events] */
    bool *taken;                         /* if distinct_users: [user_count] scratch of draw_subset */
    int32_t *user, *positive, *negative; /* [events] the samples of the epoch */
    int64_t epoch;
};

enum { CHUNK = 8192 };

static bool every_edge(Sampling how)
{
    return how == SAMPLE_EVERY_EDGE || how == SAMPLE_EVERY_EDGE_REPEATED || how == SAMPLE_EVERY_EDGE_NO_NEGATIVE;
}

static bool draws_edges(Sampling how)
{
    return every_edge(how) || how == SAMPLE_UNIFORM_EDGE;
}

static bool distinct_users(Sampling how)
{
    return how == SAMPLE_DISTINCT_USERS || how == SAMPLE_DISTINCT_USERS_FULL;
}

static bool list_candidates(Sampler *s, Arena *a, Error *e)
{
    const Pairs *train = &s->data->train;
    unsigned char *seen = NEW(a, unsigned char, s->data->I + 1, e);
    s->candidates = NEW(a, int32_t, s->data->I + 1, e);
    if (!seen || !s->candidates)
        return false;
    for (int64_t i = 0; i < train->count; i++)
        seen[train->item[i]] = 1;
    for (int64_t i = 0; i < s->data->I; i++)
        if (seen[i])
            s->candidates[s->candidate_count++] = (int32_t)i;
    return true;
}

static bool list_users(Sampler *s, Arena *a, Error *e)
{
    const Pairs *train = &s->data->train;
    bool negatives = s->how != SAMPLE_EVERY_EDGE_NO_NEGATIVE;
    s->users = NEW(a, int32_t, s->data->U + 1, e);
    if (draws_edges(s->how) &&
        (!(s->edges = NEW(a, int32_t, train->count + 1, e)) || !(s->edge_user = NEW(a, int32_t, train->count + 1, e))))
        return false;
    if (!s->users)
        return false;
    s->events = 0;
    for (int64_t u = 0; u < s->data->U; u++) {
        int64_t n = train->start[u + 1] - train->start[u];
        if (n == 0 || (negatives && n >= s->candidate_count))
            continue;
        s->users[s->user_count++] = (int32_t)u;
        for (int64_t i = train->start[u]; draws_edges(s->how) && i < train->start[u + 1]; i++) {
            s->edge_user[i] = (int32_t)u;
            s->edges[s->events++] = (int32_t)i;
        }
    }
    if (!draws_edges(s->how))
        s->events = train->count;
    return s->user_count > 0 ||
           fail(e, SP_FORMAT, "every user of the train part has all items, so no negative can be drawn");
}

Sampler *sampler_new(const DataSet *d, Sampling how, int64_t batch_size, uint64_t seed, Arena *a, Error *e)
{
    Sampler *s = NEW(a, Sampler, 1, e);
    if (!s)
        return NULL;
    *s = (Sampler){.data = d, .how = how, .seed = seed, .batch = batch_size};
    if (how == SAMPLE_NONE)
        return s;
    if (d->train.count > INT32_MAX) {
        fail(e, SP_UNSUPPORTED, "%lld train pairs: at most %d can be sampled", (long long)d->train.count, INT32_MAX);
        return NULL;
    }
    if (!list_candidates(s, a, e) || !list_users(s, a, e))
        return NULL;
    if (distinct_users(how))
        s->batch = MIN(batch_size, s->user_count); /* a batch cannot have more distinct users than exist */
    if (how == SAMPLE_DISTINCT_USERS_FULL && s->batch > 0)
        s->events = (s->events + s->batch - 1) / s->batch * s->batch;
    s->user = NEW(a, int32_t, s->events, e);
    s->positive = NEW(a, int32_t, s->events, e);
    s->negative = NEW(a, int32_t, s->events, e);
    if (every_edge(how)) {
        s->order = NEW(a, uint32_t, s->events, e);
        s->scratch = NEW(a, uint64_t, 2 * s->events, e);
    }
    s->taken = distinct_users(how) ? NEW(a, bool, s->user_count, e) : NULL;
    return e->code == SP_OK ? s : NULL;
}

int64_t sampler_batches(const Sampler *s)
{
    return s->how == SAMPLE_NONE ? 0 : (s->events + s->batch - 1) / s->batch;
}

static Draw draw_of(const Sampler *s, Purpose purpose)
{
    return (Draw){s->seed, purpose, (uint32_t)s->epoch};
}

static int32_t draw_negative(const Sampler *s, int32_t user, uint64_t event)
{
    Draw d = draw_of(s, DRAW_NEGATIVE);
    for (uint64_t attempt = 0;; attempt++) {
        int32_t item = s->candidates[draw_below(d, event | attempt << 32, (uint32_t)s->candidate_count)];
        if (pairs_find(&s->data->train, user, item) < 0)
            return item;
    }
}

static void draw_chunk(void *arg, size_t task, int worker)
{
    (void)worker;
    Sampler *s = arg;
    const Pairs *train = &s->data->train;
    int64_t end = MIN((int64_t)(task + 1) * CHUNK, s->events);
    for (int64_t n = (int64_t)task * CHUNK; n < end; n++) {
        if (draws_edges(s->how)) {
            uint32_t k =
                s->order ? s->order[n] : draw_below(draw_of(s, DRAW_POSITIVE), (uint64_t)n, (uint32_t)s->events);
            int32_t edge = s->edges[k];
            s->user[n] = s->edge_user[edge];
            s->positive[n] = train->item[edge];
        } else {
            if (s->how == SAMPLE_UNIFORM_USER)
                s->user[n] = s->users[draw_below(draw_of(s, DRAW_USER), (uint64_t)n, (uint32_t)s->user_count)];
            int64_t first = train->start[s->user[n]], count = train->start[s->user[n] + 1] - first;
            s->positive[n] = train->item[first + draw_below(draw_of(s, DRAW_POSITIVE), (uint64_t)n, (uint32_t)count)];
        }
        if (s->how != SAMPLE_EVERY_EDGE_NO_NEGATIVE)
            s->negative[n] = draw_negative(s, s->user[n], (uint64_t)n);
    }
}

static void draw_distinct_users(Sampler *s)
{
    for (int64_t b = 0; b < sampler_batches(s); b++) {
        int64_t first = b * s->batch, n = MIN(s->batch, s->events - first);
        int32_t *user = s->user + first;
        draw_subset(draw_of(s, DRAW_USER), (uint64_t)first, (uint32_t)s->user_count, (uint32_t)n, user, s->taken);
        for (int64_t i = 0; i < n; i++)
            user[i] = s->users[user[i]];
    }
}

void sampler_epoch(Sampler *s, Pool *pool, int64_t epoch)
{
    if (s->how == SAMPLE_NONE)
        return;
    s->epoch = s->how == SAMPLE_EVERY_EDGE_REPEATED ? 0 : epoch;
    if (every_edge(s->how)) {
        for (int64_t i = 0; i < s->events; i++)
            s->order[i] = (uint32_t)i;
        draw_shuffle(draw_of(s, DRAW_SHUFFLE), s->order, (size_t)s->events, s->scratch);
    }
    if (distinct_users(s->how))
        draw_distinct_users(s);
    pool_run(pool, (size_t)((s->events + CHUNK - 1) / CHUNK), draw_chunk, s);
}

int64_t sampler_batch(const Sampler *s, int64_t b, const int32_t **users, const int32_t **positives,
                      const int32_t **negatives)
{
    int64_t first = b * s->batch;
    *users = s->user + first;
    *positives = s->positive + first;
    *negatives = s->how == SAMPLE_EVERY_EDGE_NO_NEGATIVE ? NULL : s->negative + first;
    return MIN(s->batch, s->events - first);
}

bool batch_inputs(Tape *t, Batch *b)
{
    Tensor *items[2] = {NULL};
    input_ids(t, 1, &b->users, b->B, &b->user);
    bool ok = input_ids(t, b->negatives ? 2 : 1, (const int32_t *const[]){b->positives, b->negatives}, b->B, items);
    b->pos = items[0];
    b->neg = items[1];
    return ok;
}
