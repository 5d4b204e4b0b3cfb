/* tools/bench/bench_data.c: draws random data of any size: interactions with known tastes in three parts, and features.
 *
 * Items are divided into random groups, twice: the first division decides the first kind of features, the second
 * division the second kind. A user has a favourite group in each division. Of five items of a user, two are drawn from
 * one favourite group, two from the other, and one from all items. The probability of an item is proportional to its
 * popularity 1 / (rank + 40) (Zipf-Mandelbrot): the most popular of a million items gets a quarter of a percent of all
 * draws. So the train pairs show which other items a user likes, and the features of each modality have information
 * that the other modality does not have. In addition, every item is given to one user, who may not like it, so that the
 * train part has all items.
 *
 * The order of numbers has no meaning: ids are independent of popularity, groups and tastes. A graph whose neighbours
 * have close numbers would be faster than a real graph. Every draw is a function of the seed and of the user or the
 * item, so the bytes are the same for any number of threads. Memory: 16 bytes per item, 20 more per item at the
 * beginning, 8 per user, and a bit per item and thread. */
// flags: -ffp-contract=off
#include "tools/bench/bench.h"

enum { DIVISIONS = 2, OF_A_FAVOURITE = 2, ONE_IN = DIVISIONS * OF_A_FAVOURITE + 1 };
enum { MOST_ITEMS = 100000000, MOST_USERS = 1000000000, HEAD = 40, TENTH = 10 };
enum { TRAIN, VALID, TEST, PARTS };

/* The purpose of each stream of draws: the epoch of its Draw. Streams of features have the number of the modality in
 * the higher bits. */
enum { FOR_RANK, FOR_GROUP, FOR_DEGREE = FOR_GROUP + DIVISIONS, FOR_FAVOURITE, FOR_CHOICE, FOR_SIZE, FOR_PART };
enum { FOR_AXIS = 16, FOR_CENTRE, FOR_PLACE, FOR_NOISE };

typedef struct Sizes {
    int64_t users, items, interactions, least; /* least: per user */
} Sizes;
typedef struct World {
    Sizes n;
    uint64_t seed;
    uint32_t groups;
    int64_t *start; /* [users + 1]: the start of each user's interactions */
    struct {
        int32_t *order;  /* [items], sorted by group */
        uint32_t *sum;   /* [items + 1]: the sum of the popularity of all earlier items in `order` */
        uint32_t *first; /* [groups + 1]: the start of each group in `order` */
    } by[DIVISIONS];
} World;

static Draw stream(const World *w, uint32_t what)
{
    return (Draw){w->seed, DRAW_BENCH, what};
}

static uint32_t group_of(const World *w, int division, int64_t item)
{
    return draw_below(stream(w, FOR_GROUP + (uint32_t)division), (uint64_t)item, w->groups);
}

/* Returns n x / 2^32, rounded down. x / 2^32 is a share in [0, 1). */
static uint32_t share(uint32_t x, uint32_t n)
{
    return (uint32_t)((uint64_t)x * n >> 32);
}

/* ---- items ----------------------------------------------------------------------------------- */

/* Returns the popularity. The sum over 10^8 items is below 2^31 + 10^8. */
static uint32_t popularity(uint32_t rank)
{
    return (1u << 27) / (rank + HEAD) + 1;
}

static bool divide_items(World *w, int division, const uint32_t *rank, Arena *a, Error *e)
{
    int64_t I = w->n.items;
    int32_t *order = w->by[division].order = NEW(a, int32_t, I, e);
    uint32_t *sum = w->by[division].sum = NEW(a, uint32_t, I + 1, e);
    uint32_t *first = w->by[division].first = NEW(a, uint32_t, w->groups + 1, e);
    if (!order || !sum || !first)
        return false;
    first++; /* shifted by one: while the groups are filled, first[g] is the next place of group g */
    for (int64_t i = 0; i < I; i++)
        first[group_of(w, division, i)]++;
    for (uint32_t g = 0, before = 0; g < w->groups; g++) {
        uint32_t n = first[g];
        first[g] = before;
        before += n;
    }
    for (int64_t i = 0; i < I; i++)
        order[first[group_of(w, division, i)]++] = (int32_t)i;
    for (int64_t p = 0; p < I; p++)
        sum[p + 1] = sum[p] + popularity(rank[order[p]]);
    return true;
}

static bool make_items(World *w, Arena *a, Error *e)
{
    size_t I = (size_t)w->n.items;
    while ((int64_t)(w->groups + 1) * (w->groups + 1) <= w->n.items)
        w->groups++; /* the square root of the number of items */
    Arena *scratch = arena_new(arena_heap(a), 0);
    uint32_t *rank = scratch ? NEW(scratch, uint32_t, I, e) : NULL;
    uint64_t *keys = rank ? NEW(scratch, uint64_t, 2 * I, e) : NULL;
    bool ok = keys || (!scratch && fail_memory(e, 20 * I, "items"));
    for (size_t i = 0; ok && i < I; i++)
        rank[i] = (uint32_t)i;
    if (ok)
        draw_shuffle(stream(w, FOR_RANK), rank, I, keys);
    for (int division = 0; ok && division < DIVISIONS; division++)
        ok = divide_items(w, division, rank, a, e);
    arena_free(scratch);
    return ok;
}

/* Draws a place from `low` to `high` - 1 of a division's order. The probability of a place is proportional to its
 * popularity. x is a random number of 32 bits: the place is the one at which the sum of the popularity, from `low` on,
 * exceeds x / 2^32 of the sum over all these places. */
static uint32_t find_place(const World *w, int division, uint32_t low, uint32_t high, uint32_t x)
{
    const uint32_t *sum = w->by[division].sum;
    uint32_t at = sum[low] + share(x, sum[high] - sum[low]);
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (sum[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* ---- users ----------------------------------------------------------------------------------- */

/* Returns the largest number of items of a user: half of all items, so that an item that the user does not have is
 * found quickly. */
static int64_t most_of(const Sizes *n)
{
    return n->items / 2;
}

/* Draws the number of interactions of each user: `least`, and a share of the rest that is proportional to the square of
 * an exponential draw. A few users have a hundred times the mean. */
static bool make_users(World *w, Arena *a, Error *e)
{
    const Sizes *n = &w->n;
    int64_t *start = w->start = NEW(a, int64_t, n->users + 1, e), surplus = 0, most = most_of(n);
    if (!start)
        return false;
    int64_t spare = n->interactions - n->users * n->least, total = 0, before = 0, sum = 0;
    for (int pass = 0; pass < 2; pass++) {
        sum = 0;
        for (int64_t u = 0; u < n->users; u++) {
            uint32_t x[4];
            draw4(stream(w, FOR_DEGREE), (uint64_t)u, 0, x);
            double t = -own_log(((double)x[0] + 1) * 0x1p-32);
            sum += (int64_t)(t * t * 65536) + 1;
            if (pass == 0)
                continue;
            int64_t upto = (int64_t)((double)sum / (double)total * (double)spare), degree = n->least + upto - before;
            before = upto;
            start[u + 1] = MIN(degree, most);
            surplus += degree - start[u + 1];
        }
        total = sum;
    }
    /* what is above the maximum of a user goes to all users in equal parts, and then to the first users with room */
    for (int pass = 0; pass < 2 && surplus; pass++) {
        int64_t each = pass ? surplus : div_up(surplus, n->users);
        for (int64_t u = 0; u < n->users && surplus; u++) {
            int64_t more = MIN(MIN(each, surplus), most - start[u + 1]);
            start[u + 1] += more;
            surplus -= more;
        }
    }
    for (int64_t u = 0; u < n->users; u++)
        start[u + 1] += start[u];
    return true;
}

/* Returns the number of items that are given away before a user. `interactions`: the number of interactions of the
 * users before. */
static int64_t given_before(const World *w, int64_t interactions)
{
    return interactions * w->n.items / w->n.interactions;
}

static bool take(uint64_t *taken, int32_t item)
{
    uint64_t bit = (uint64_t)1 << (item % 64);
    bool is_new = !(taken[item / 64] & bit);
    taken[item / 64] |= bit;
    return is_new;
}

typedef struct Block { /* users that are drawn together */
    const World *w;
    int64_t first, count;
    /* from start[first] on, for the users from `first` on: the train, validation and test items of each */
    int32_t *item;
    int32_t (*held)[2]; /* [count]: the numbers of items in validation and test */
    uint64_t **taken;   /* [threads]: a bit per item; all are 0 between users */
} Block;

/* Swaps random items of a user to the end, for validation and test: a tenth each, rounded at random. The items that
 * were given to the user come first and stay in the train part. At least one item stays. */
static void hold_out(const World *w, int64_t user, int32_t *item, int64_t n, int64_t given, int32_t held[2])
{
    uint32_t x[4];
    draw4(stream(w, FOR_SIZE), (uint64_t)user, 0, x);
    int64_t room = n - MAX(given, (int64_t)1);
    for (int k = 1; k >= 0; k--) {
        held[k] = (int32_t)MIN((n + share(x[k], TENTH)) / TENTH, room);
        room -= held[k];
    }
    for (int64_t i = n - 1; i >= n - held[0] - held[1]; i--) {
        draw4(stream(w, FOR_PART), (uint64_t)user << 32 | (uint64_t)i, 0, x);
        int64_t other = given + share(x[0], (uint32_t)(i + 1 - given));
        int32_t swap = item[i];
        item[i] = item[other];
        item[other] = swap;
    }
}

static void draw_user(const Block *b, int64_t user, uint64_t *taken)
{
    /* TRIES: draws of one item as this file's first comment says. If all are duplicates, as many draws from all items
     * by popularity follow, and then draws with equal probabilities. */
    enum { TRIES = 8 };
    const World *w = b->w;
    int64_t at = w->start[user], n = w->start[user + 1] - at, given = 0;
    int32_t *item = b->item + (at - w->start[b->first]);
    uint32_t x[4], low[DIVISIONS + 1] = {0}, high[DIVISIONS + 1], all = (uint32_t)w->n.items;
    for (int64_t i = given_before(w, at); i < given_before(w, at + n); i++)
        take(taken, item[given++] = w->by[0].order[i]);
    for (int d = 0; d < DIVISIONS; d++) {
        draw4(stream(w, FOR_FAVOURITE), (uint64_t)user * DIVISIONS + (uint64_t)d, 0, x);
        uint32_t g = group_of(w, d, w->by[d].order[find_place(w, d, 0, all, x[0])]);
        low[d] = w->by[d].first[g];
        high[d] = w->by[d].first[g + 1];
    }
    high[DIVISIONS] = all;
    uint64_t event = (uint64_t)user << 32;
    for (int64_t i = given, tries = 0; i < n; event++) {
        draw4(stream(w, FOR_CHOICE), event, 0, x);
        uint32_t from = tries < TRIES ? share(x[0], ONE_IN) / OF_A_FAVOURITE : DIVISIONS;
        int d = from < DIVISIONS ? (int)from : 0;
        uint32_t place = tries < 2 * TRIES ? find_place(w, d, low[from], high[from], x[1]) : share(x[1], all);
        item[i] = w->by[d].order[place];
        tries++;
        if (take(taken, item[i])) {
            i++;
            tries = 0;
        }
    }
    for (int64_t i = 0; i < n; i++)
        taken[item[i] / 64] = 0;
    hold_out(w, user, item, n, given, b->held[user - b->first]);
}

enum { USERS_PER_TASK = 64, USERS_PER_BLOCK = 1 << 14 };

static void draw_users(void *arg, size_t task, int worker)
{
    const Block *b = arg;
    int64_t end = MIN((int64_t)(task + 1) * USERS_PER_TASK, b->count);
    for (int64_t i = (int64_t)task * USERS_PER_TASK; i < end; i++)
        draw_user(b, b->first + i, b->taken[worker]);
}

/* ---- writing of interactions ----------------------------------------------------------------- */

static size_t put_digits(char *to, int64_t number)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    for (size_t i = 0; i < n; i++)
        to[i] = digits[n - 1 - i];
    return n;
}

static bool write_rows(Out *o, int64_t user, const int32_t *item, int64_t n, Error *e)
{
    char line[64];
    size_t before = put_digits(line, user);
    line[before++] = '\t';
    for (int64_t i = 0; i < n; i++) {
        size_t end = before + put_digits(line + before, item[i]);
        line[end++] = '\n';
        if (!out_write(o, line, end, e))
            return false;
    }
    return true;
}

static bool write_block(const Block *b, Out *const out[PARTS], int64_t counts[PARTS], Error *e)
{
    const int64_t *start = b->w->start;
    for (int64_t i = 0; i < b->count; i++) {
        int64_t user = b->first + i, n = start[user + 1] - start[user];
        const int32_t *item = b->item + (start[user] - start[b->first]);
        int64_t part[PARTS] = {n - b->held[i][0] - b->held[i][1], b->held[i][0], b->held[i][1]};
        for (int p = 0; p < PARTS; item += part[p++]) {
            counts[p] += part[p];
            if (!write_rows(out[p], user, item, part[p], e))
                return false;
        }
    }
    return true;
}

static bool write_interactions(Bench *bench, const World *w, Out *const out[PARTS], int64_t counts[PARTS], Error *e)
{
    size_t threads = (size_t)pool_threads(bench->d->pool), longest = 0;
    for (int64_t u = 0; u < w->n.users; u += USERS_PER_BLOCK)
        longest = MAX(longest, (size_t)(w->start[MIN(u + USERS_PER_BLOCK, w->n.users)] - w->start[u]));
    Block b = {.w = w, .item = NEW(bench->arena, int32_t, longest, e)};
    b.held = arena_alloc(bench->arena, USERS_PER_BLOCK, sizeof *b.held, e);
    b.taken = NEW(bench->arena, uint64_t *, threads, e);
    if (!b.item || !b.held || !b.taken)
        return false;
    for (size_t t = 0; t < threads; t++)
        if (!(b.taken[t] = NEW(bench->arena, uint64_t, w->n.items / 64 + 1, e)))
            return false;
    bool ok = true;
    for (int p = 0; ok && p < PARTS; p++)
        ok = out_write(out[p], "user_id\titem_id\n", 16, e);
    Progress progress;
    progress_start(&progress, bench->c->progress, "draw", "interactions", (double)w->n.interactions);
    for (; ok && b.first < w->n.users; b.first += b.count) {
        b.count = MIN(USERS_PER_BLOCK, w->n.users - b.first);
        pool_run(bench->d->pool, (size_t)div_up(b.count, USERS_PER_TASK), draw_users, &b);
        ok = write_block(&b, out, counts, e);
        progress_step(&progress, (double)w->start[b.first + b.count], NULL);
    }
    progress_end(&progress, NULL);
    return ok;
}

/* ---- features -------------------------------------------------------------------------------- */

/* As with real encoders, items of a group have similar features, and few directions matter. The features of an item are
 * the centre of its group, plus its own place, plus a little noise. Centre and place are normal draws in AXES
 * dimensions, which are then mapped to D dimensions. */
enum { AXES = 16, ITEMS_PER_TASK = 64 };
#define PLACE 0.6f
#define NOISE 0.1f

typedef struct Modality {
    Text name;
    int64_t D;
} Modality;
typedef struct Rows { /* items whose features are drawn together */
    const World *w;
    uint32_t modality;
    int64_t D, first, count;
    const float *axis; /* [AXES, D] */
    float *out;        /* [count, D] */
} Rows;

static void draw_rows(void *arg, size_t task, int worker)
{
    (void)worker;
    const Rows *r = arg;
    Draw centre = stream(r->w, r->modality << 8 | FOR_CENTRE), place = stream(r->w, r->modality << 8 | FOR_PLACE),
         noise = stream(r->w, r->modality << 8 | FOR_NOISE);
    int64_t end = MIN((int64_t)(task + 1) * ITEMS_PER_TASK, r->count);
    for (int64_t i = (int64_t)task * ITEMS_PER_TASK; i < end; i++) {
        uint64_t item = (uint64_t)(r->first + i);
        uint64_t group = group_of(r->w, (int)(r->modality % DIVISIONS), (int64_t)item);
        float *x = r->out + i * r->D;
        for (int64_t d = 0; d < r->D; d += 4) {
            uint32_t four[4];
            draw4(noise, item << 20 | (uint64_t)d, 0, four);
            for (int64_t k = 0; k < 4 && d + k < r->D; k++)
                x[d + k] = NOISE * ((float)(four[k] >> 8) * 0x1p-23f - 1);
        }
        for (uint64_t q = 0; q < AXES; q++) {
            float at = draw_normal(centre, AXES * group + q) + PLACE * draw_normal(place, AXES * item + q);
            const float *axis = r->axis + (int64_t)q * r->D;
            for (int64_t d = 0; d < r->D; d++)
                x[d] += at * axis[d];
        }
    }
}

static NpyOut *write_features(Bench *b, const World *w, const Modality *m, uint32_t number, const char *path, Error *e)
{
    int64_t rows = MIN(MAX((int64_t)(1 << 20) / m->D, (int64_t)ITEMS_PER_TASK), w->n.items);
    Rows r = {.w = w, .modality = number, .D = m->D};
    ArenaMark mark = arena_mark(b->arena);
    float *axis = NEW(b->arena, float, AXES * m->D, e);
    r.out = NEW(b->arena, float, rows * m->D, e);
    if (!axis || !r.out)
        return NULL;
    for (int64_t i = 0; i < AXES * m->D; i++)
        axis[i] = draw_normal(stream(w, number << 8 | FOR_AXIS), (uint64_t)i) / 4; /* the square root of AXES */
    r.axis = axis;
    NpyOut *out = npy_create(path, F32, 2, (int64_t[]){w->n.items, m->D}, b->c->heap, e);
    Progress progress;
    bool ok = out != NULL;
    progress_start(&progress, b->c->progress, "draw", "features", (double)w->n.items);
    for (; ok && r.first < w->n.items; r.first += r.count) {
        r.count = MIN(rows, w->n.items - r.first);
        pool_run(b->d->pool, (size_t)div_up(r.count, ITEMS_PER_TASK), draw_rows, &r);
        ok = npy_data(out, r.out, (size_t)(r.count * m->D) * sizeof *r.out, e);
        progress_step(&progress, (double)(r.first + r.count), NULL);
    }
    progress_end(&progress, NULL);
    arena_rewind(b->arena, mark);
    if (ok)
        return out;
    npy_discard(out);
    return NULL;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* Reads NAME=WIDTH of each feature. The name becomes a file name. */
static bool read_features(Bench *b, Modality **list, size_t *count, Error *e)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    enum { WIDEST = 65536, LONGEST = 60 };
    const char *const *given;
    if (!option_list(b->c, "features", ',', &given, count, e) || !(*list = NEW(b->arena, Modality, *count, e)))
        return false;
    for (size_t i = 0; i < *count; i++) {
        Modality *m = &(*list)[i];
        Text width = text_of(given[i]);
        size_t length = strspn(given[i], LETTERS);
        m->name = (Text){given[i], length};
        if (!length || length > LONGEST || given[i][length] != '=' || !text_next(&width, '=', &(Text){0}) ||
            !text_i64(width, &m->D) || m->D < 1 || m->D > WIDEST)
            return fail(e, SP_USAGE,
                        "--features: \"%s\" is not NAME=WIDTH, such as visual=4096: a name has at most %d letters, "
                        "digits, _ and -; a width is from 1 to %d",
                        given[i], LONGEST, WIDEST);
        for (size_t k = 0; k < i; k++)
            if (text_equal((*list)[k].name, m->name))
                return fail(e, SP_USAGE, "--features: \"%.*s\" is a duplicate name", (int)length, m->name.p);
    }
    return true;
}

static bool check_sizes(const Sizes *n, Error *e)
{
    if (n->users * n->least > n->interactions)
        return fail(e, SP_USAGE, "--interactions: %lld users with %lld each (--least) have %lld; %lld are too few",
                    (long long)n->users, (long long)n->least, (long long)(n->users * n->least),
                    (long long)n->interactions);
    if (n->items > n->interactions / 2)
        return fail(e, SP_USAGE, "--items: %lld are too many for %lld interactions; at most half as many are possible",
                    (long long)n->items, (long long)n->interactions);
    if (n->least > most_of(n))
        return fail(e, SP_USAGE, "--least: %lld is more than half of the items, which a user has at most: %lld",
                    (long long)n->least, (long long)most_of(n));
    if (div_up(n->interactions, n->users) > most_of(n))
        return fail(e, SP_USAGE,
                    "--interactions: %lld are too many for %lld users and %lld items: a user has at most half of the "
                    "items",
                    (long long)n->interactions, (long long)n->users, (long long)n->items);
    return true;
}

static void print_data(const Bench *b, const World *w, const char *folder, const int64_t counts[PARTS],
                       const Modality *m, size_t modalities)
{
    const Sizes *n = &w->n;
    if (b->c->json) {
        JsonWriter j = json_record(stdout, "event", "result");
        json_members(&j, "users %lld items %lld interactions %lld train %lld val %lld test %lld groups %lld",
                     (long long)n->users, (long long)n->items, (long long)n->interactions, (long long)counts[TRAIN],
                     (long long)counts[VALID], (long long)counts[TEST], (long long)w->groups);
        json_finish(&j);
    } else if (!b->c->quiet) {
        fprintf(stderr, "%s: %lld users, %lld items, %lld rows for training, %lld for validation, %lld for testing",
                folder, (long long)n->users, (long long)n->items, (long long)counts[TRAIN], (long long)counts[VALID],
                (long long)counts[TEST]);
        for (size_t i = 0; i < modalities; i++)
            fprintf(stderr, "; %.*s.npy [%lld, %lld]", (int)m[i].name.n, m[i].name.p, (long long)n->items,
                    (long long)m[i].D);
        fputc('\n', stderr);
    }
}

/* Draws all data into files that get their final names later: set [PARTS + modalities]; NULL: not begun. */
static bool fill_set(Bench *b, World *w, const char *folder, const Modality *m, size_t modalities, Out **set,
                     int64_t counts[PARTS], Error *e)
{
    static const char *const NAMES[PARTS] = {"train.tsv", "val.tsv", "test.tsv"};
    if (!make_items(w, b->arena, e) || !make_users(w, b->arena, e))
        return false;
    for (int p = 0; p < PARTS; p++) {
        const char *path = path_join(b->arena, folder, NAMES[p], e);
        if (!path || !(set[p] = out_open(path, b->c->heap, e)))
            return false;
    }
    if (!write_interactions(b, w, set, counts, e))
        return false;
    for (size_t i = 0; i < modalities; i++) {
        const char *path = arena_printf(b->arena, e, "%s/%.*s.npy", folder, (int)m[i].name.n, m[i].name.p);
        NpyOut *npy = path ? write_features(b, w, &m[i], (uint32_t)i, path, e) : NULL;
        if (!npy || !(set[PARTS + i] = npy_finish(npy, e)))
            return false;
    }
    return true;
}

bool bench_data(Bench *b, const char *what, Error *e)
{
    (void)what;
    const char *folder = option_text(b->c, "out");
    World w = {.n = {.interactions = 1000000, .least = 5}, .seed = b->c->seed, .groups = 1};
    Sizes *n = &w.n;
    Modality *m;
    size_t modalities;
    int64_t counts[PARTS] = {0};
    if (!folder)
        return fail(e, SP_USAGE, "bench data: --out DIR (output folder) is missing");
    if (!option_i64(b->c, "interactions", 4, INT32_MAX, &n->interactions, e))
        return false;
    n->users = MAX(n->interactions / 10, (int64_t)1);
    n->items = MAX(n->interactions / 20, (int64_t)2);
    if (!option_i64(b->c, "users", 1, MOST_USERS, &n->users, e) ||
        !option_i64(b->c, "items", 2, MOST_ITEMS, &n->items, e) ||
        !option_i64(b->c, "least", 1, MOST_ITEMS, &n->least, e) || !check_sizes(n, e) ||
        !read_features(b, &m, &modalities, e))
        return false;
    Out **set = NEW(b->arena, Out *, PARTS + modalities, e);
    FolderLock lock;
    if (!set || !folder_make(folder, e) || !folder_lock(&lock, folder, e))
        return false;
    bool ok = fill_set(b, &w, folder, m, modalities, set, counts, e);
    if (ok)
        ok = out_commit_set(set, PARTS + modalities, e);
    else
        for (size_t i = 0; i < PARTS + modalities; i++)
            out_discard(set[i]);
    folder_unlock(&lock);
    if (ok)
        print_data(b, &w, folder, counts, m, modalities);
    return ok;
}
