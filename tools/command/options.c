/* tools/command/options.c: reads options and makes contexts. Everything comes from the command's row in main.c. */
// flags: -Os
#include <getopt.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/bench/counters.h"
#include "tools/bench/peak.h"
#include "tools/tools.h"

const Option COMMON_OPTIONS[] = {
    {"threads", 0, "N", "number of threads (default: all processors that the process may use)"},
    {"device", 0, "D", "cpu, cuda or auto: a GPU if usable, else cpu (default $SAPOR_DEVICE, else cpu)"},
    {"blas", 0, "B", "own (Sapor's kernels), cublas, cudnn or all: for GPUs (default own)"},
    {"seed", 0, "N", "seed of the random numbers (default 42)"},
    {"json", 0, NULL, "print JSON lines on standard output; progress goes to standard error"},
    {"trace", 0, "FILE", "write a trace file for Chrome or Perfetto"},
    {"profile", 0, NULL, "print the time of each op at the end, on standard error; with --json as JSON lines"},
    {"max-memory", 0, "BYTES", "fail instead of using more memory than this (suffix K, M or G)"},
    {"quiet", 'q', NULL, "print results and errors only"},
    {"help", 'h', NULL, "show this page"},
    {NULL, 0, NULL, NULL},
};

typedef struct Given {
    const Option *option;
    const char *value;
} Given;

/* The heap of --max-memory. */
typedef struct Limit {
    size_t most; /* bytes; 0: no limit */
    atomic_size_t used;
} Limit;
/* State of a run that commands do not access. */
struct Parsed {
    Given *given;
    size_t given_count, given_room;
    Limit limit;
    Heap heap;
    Device device;
    Trace *trace; /* the trace of the device */
    bool has_device;
    int64_t threads;      /* 0: the default of device_open */
    char device_name[64]; /* "": the default device */
    bool profile, totals; /* --profile; context_keep_totals was called */
    const char *trace_path;
    double begun; /* now_seconds() at the start */
    Counters counters;
};

static void *limited_resize(void *user, void *p, size_t old_bytes, size_t new_bytes)
{
    Limit *l = user;
    if (new_bytes > old_bytes) {
        size_t more = new_bytes - old_bytes;
        if (atomic_fetch_add(&l->used, more) + more > l->most && l->most) {
            atomic_fetch_sub(&l->used, more);
            return NULL;
        }
    }
    if (new_bytes == 0) {
        free(p);
        atomic_fetch_sub(&l->used, old_bytes);
        return NULL;
    }
    void *q = realloc(p, new_bytes);
    if (!q && new_bytes > old_bytes)
        atomic_fetch_sub(&l->used, new_bytes - old_bytes);
    else if (q && new_bytes < old_bytes)
        atomic_fetch_sub(&l->used, old_bytes - new_bytes);
    return q;
}

bool is_colourful(FILE *to)
{
    const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
    return isatty(fileno(to)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int report_error(const Error *e)
{
    const char *red = is_colourful(stderr) ? "\033[1;31m" : "", *plain = is_colourful(stderr) ? "\033[0m" : "";
    fflush(stdout);
    /* the message overwrites a progress line */
    fprintf(stderr, "%s%ssapor:%s %s\n", isatty(fileno(stderr)) ? "\r\033[K" : "", red, plain, e->message);
    return e->code == SP_USAGE ? 2 : 1;
}

/* ---- options read ---------------------------------------------------------------------------- */

bool option_given(const Context *c, const char *name)
{
    for (size_t i = 0; i < c->parsed->given_count; i++)
        if (strcmp(c->parsed->given[i].option->name, name) == 0)
            return true;
    return false;
}

const char *option_text(const Context *c, const char *name)
{
    for (size_t i = c->parsed->given_count; i-- > 0;)
        if (strcmp(c->parsed->given[i].option->name, name) == 0)
            return c->parsed->given[i].value;
    return NULL;
}

bool option_list(const Context *c, const char *name, char sep, const char *const **list, size_t *count, Error *e)
{
    size_t room = 0, n = 0;
    const char **items = NULL;
    for (size_t i = 0; i < c->parsed->given_count; i++) {
        if (strcmp(c->parsed->given[i].option->name, name) != 0)
            continue;
        Text rest = text_of(c->parsed->given[i].value), part = rest;
        while (sep ? text_next(&rest, sep, &part) : true) {
            items = n < room ? items : arena_grow(c->arena, items, n, &room, sizeof *items, e);
            if (!items || !(items[n] = arena_strndup(c->arena, part.p, part.n, e)))
                return false;
            if (!*items[n++])
                return fail(e, SP_USAGE, "--%s: \"%s\" has an empty part", name, c->parsed->given[i].value);
            if (!sep)
                break;
        }
    }
    *list = items;
    *count = n;
    return true;
}

bool option_i64(const Context *c, const char *name, int64_t low, int64_t high, int64_t *value, Error *e)
{
    const char *text = option_text(c, name);
    int64_t v = 0;
    if (!text)
        return true;
    if (!text_i64(text_of(text), &v) || v < low || v > high) {
        if (high == INT64_MAX)
            return fail(e, SP_USAGE, "--%s: \"%s\" is not a whole number of at least %lld", name, text, (long long)low);
        return fail(e, SP_USAGE, "--%s: \"%s\" is not a whole number from %lld to %lld", name, text, (long long)low,
                    (long long)high);
    }
    *value = v;
    return true;
}

bool option_f64(const Context *c, const char *name, double low, double high, double *value, Error *e)
{
    const char *text = option_text(c, name);
    double v = 0;
    if (!text)
        return true;
    if (!text_f64(text_of(text), &v) || !(v >= low && v <= high))
        return fail(e, SP_USAGE, "--%s: \"%s\" is not a number from %g to %g", name, text, low, high);
    *value = v;
    return true;
}

bool option_choice(const Context *c, const char *name, const char *const *words, size_t count, int *value, Error *e)
{
    const char *text = option_text(c, name);
    if (!text)
        return true;
    size_t all = 1;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], text) == 0) {
            *value = (int)i;
            return true;
        }
        all += strlen(words[i]) + 2;
    }
    char *list = arena_alloc(c->arena, all, 1, e);
    if (!list)
        return false;
    for (size_t i = 0; i < count; i++)
        strcat(strcat(list, i ? ", " : ""), words[i]);
    return fail(e, SP_USAGE, "--%s: unknown value \"%s\"; choose one of %s", name, text, list);
}

static bool option_bytes(const Context *c, const char *name, int64_t *value, Error *e)
{
    const char *text = option_text(c, name);
    if (!text)
        return true;
    Text t = text_of(text);
    size_t shift = 0, product = 0;
    static const char UNITS[] = "KMG";
    const char *unit = t.n ? strchr(UNITS, t.p[t.n - 1]) : NULL;
    if (unit && *unit) {
        shift = 10 * (size_t)(unit - UNITS + 1);
        t.n--;
    }
    int64_t v = 0;
    if (!text_i64(t, &v) || v <= 0 || (uint64_t)v > SIZE_MAX / 2 ||
        !size_mul((size_t)v, (size_t)1 << shift, &product) || product > SIZE_MAX / 2)
        return fail(e, SP_USAGE, "--%s: \"%s\" is not a number of bytes, such as 800000000 or 2G", name, text);
    *value = (int64_t)product;
    return true;
}

/* Lists the names of all options of this command, for suggestions. */
static bool option_names(const Command *k, const char *const **names, size_t *count, Arena *a, Error *e)
{
    size_t n = 0, room = 0;
    const char **list = NULL;
    const Option *tables[2] = {k->options, COMMON_OPTIONS};
    for (size_t t = 0; t < 2; t++)
        for (const Option *o = tables[t]; o && o->name; o++) {
            list = n < room ? list : arena_grow(a, list, n, &room, sizeof *list, e);
            if (!list)
                return false;
            list[n++] = o->name;
        }
    *names = list;
    *count = n;
    return true;
}

static bool option_exists(const Command *k, const char *name)
{
    const Option *o = k->options;
    while (o && o->name && strcmp(o->name, name) != 0)
        o++;
    return o && o->name;
}

/* Reports whether this is a setting of at least one recommender: its key, or one of its aliases. */
static bool is_setting(const char *name)
{
    for (size_t i = 0; i <= recommender_count(); i++)
        for (const Setting *s = i ? recommender_at(i - 1)->settings : common_settings; s && s->key; s++) {
            const Alias *x = s->aliases;
            while (x && x->name && strcmp(x->name, name) != 0)
                x++;
            if (strcmp(s->key, name) == 0 || (x && x->name))
                return true;
        }
    return false;
}

static bool unknown_option(const Context *c, const char *given, Error *e)
{
    const char *const *names = NULL;
    size_t count = 0, length = strcspn(given, "=");
    char *name = arena_strndup(c->arena, given, length, e);
    if (!name || !option_names(c->command, &names, &count, c->arena, e))
        return false;
    const char *bare = name + strspn(name, "-");
    const char *near = name[0] == '-' && name[1] == '-' ? nearest_word(bare, names, count, c->arena) : NULL;
    if (option_exists(c->command, "set") && is_setting(bare))
        return fail(e, SP_USAGE, "%s: unknown option %s; write a setting of a recommender as --set %s=VALUE",
                    c->command->name, name, bare);
    if (near)
        return fail(e, SP_USAGE, "%s: unknown option %s; did you mean --%s?", c->command->name, name, near);
    return fail(e, SP_USAGE, "%s: unknown option %s; `sapor %s --help` lists the options", c->command->name, name,
                c->command->name);
}

/* Sets the error for the option at which getopt_long stopped. `code` is its result ('?' or ':'), `at` the last
 * word that it read. */
static bool bad_option(const Context *c, int code, const char *at, Error *e)
{
    char letter[3] = {'-', (char)optopt, 0};
    bool is_letter = optopt > 0 && optopt < 256;
    if (code == ':')
        return fail(e, SP_USAGE, "%s: a value is missing; see `sapor %s --help`", is_letter ? letter : at,
                    c->command->name);
    if (is_letter)
        return unknown_option(c, letter, e);
    if (optopt)
        return fail(e, SP_USAGE, "%s: this option takes no value", at);
    return unknown_option(c, at, e); /* unknown, or the beginning of several options */
}

/* Moves --key.path=value from argv to the overrides and reduces *argc. --key.path without a value is an error. The
 * words after -- are arguments and stay. */
static bool take_overrides(Context *c, int *argc, char **argv, Error *e)
{
    const char **list = NEW(c->arena, const char *, *argc, e);
    int kept = 1;
    if (!list)
        return false;
    for (int i = 1; i < *argc; i++) {
        const char *a = argv[i], *equals = strchr(a, '='), *dot = strchr(a, '.');
        if (strcmp(a, "--") == 0) {
            while (i < *argc)
                argv[kept++] = argv[i++];
            break;
        }
        if (strncmp(a, "--", 2) == 0 && dot && (!equals || dot < equals)) {
            if (!equals)
                return fail(e, SP_USAGE, "%s: write it as %s=value", a, a);
            list[c->override_count++] = a + 2;
        } else {
            argv[kept++] = argv[i];
        }
    }
    c->overrides = list;
    *argc = kept;
    return true;
}

/* Parses argv by the tables of the command and of the common options. The values stay text; read_common and the command
 * convert them. */
static bool read_options(Context *c, int argc, char **argv, Error *e)
{
    const Option *tables[2] = {COMMON_OPTIONS, c->command->options};
    struct Parsed *p = c->parsed;
    size_t n = 0, letters = 1;
    if (c->command->overrides && !take_overrides(c, &argc, argv, e))
        return false;
    for (size_t t = 0; t < 2; t++)
        for (const Option *o = tables[t]; o && o->name; o++)
            n++;
    struct option *longs = NEW(c->arena, struct option, n + 1, e);
    const Option **by_number = NEW(c->arena, const Option *, n, e);
    char *shorts = arena_alloc(c->arena, 2 * n + 2, 1, e);
    if (!longs || !by_number || !shorts)
        return false;
    shorts[0] = ':';
    n = 0;
    for (size_t t = 0; t < 2; t++)
        for (const Option *o = tables[t]; o && o->name; o++) {
            longs[n] = (struct option){o->name, o->value ? required_argument : no_argument, NULL, 256 + (int)n};
            by_number[n++] = o;
            if (o->letter)
                shorts[letters++] = o->letter;
            if (o->letter && o->value)
                shorts[letters++] = ':';
        }
    opterr = 0;
    optind = 1;
    int code;
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const Option *o = code >= 256 ? by_number[code - 256] : NULL;
        for (size_t i = 0; i < n && !o && code != '?' && code != ':'; i++)
            if (by_number[i]->letter == code)
                o = by_number[i];
        if (!o)
            return bad_option(c, code, argv[optind - 1], e);
        if (p->given_count == p->given_room &&
            !(p->given = arena_grow(c->arena, p->given, p->given_count, &p->given_room, sizeof *p->given, e)))
            return false;
        p->given[p->given_count++] = (Given){o, o->value ? optarg : ""};
        if (o->value && !*optarg)
            return fail(e, SP_USAGE, "--%s: the value is empty; see `sapor %s --help`", o->name, c->command->name);
    }
    c->args = (const char *const *)argv + optind;
    c->arg_count = (size_t)(argc - optind);
    for (size_t i = 0; i < c->arg_count; i++)
        if (!*c->args[i])
            return fail(e, SP_USAGE, "%s: argument %zu is empty; usage: sapor %s %s", c->command->name, i + 1,
                        c->command->name, c->command->arguments);
    return true;
}

/* Joins --device and --blas into one name of a device: "cuda:cublas". */
static bool read_device(Context *c, Error *e)
{
    static const char *const DEVICES[] = {"cpu", "auto", "cuda"}, *const BLAS[] = {"own", "cublas", "cudnn", "all"},
                             *const WORDS[] = {"", "cublas", "cudnn", "cublas,cudnn"};
    struct Parsed *p = c->parsed;
    const char *name = option_text(c, "device");
    bool detailed = name && (!strncmp(name, "cpu:", 4) || !strncmp(name, "cuda:", 5));
    int device = 0, blas = 0;
    if ((!detailed && !option_choice(c, "device", DEVICES, COUNT(DEVICES), &device, e)) ||
        !option_choice(c, "blas", BLAS, COUNT(BLAS), &blas, e))
        return false;
    if (blas && (!name || !strncmp(name, "cpu", 3)))
        return fail(e, SP_UNSUPPORTED, "--blas %s: computes on GPUs only; use it with --device cuda", BLAS[blas]);
    int n = snprintf(p->device_name, sizeof p->device_name, "%s%s%s", name ? name : "",
                     !blas      ? ""
                     : detailed ? ","
                                : ":",
                     WORDS[blas]);
    return (size_t)n < sizeof p->device_name || fail(e, SP_USAGE, "--device %s: is too long", name);
}

/* Reads the common options, and checks the number of arguments and the outputs. */
static bool read_common(Context *c, Error *e)
{
    struct Parsed *p = c->parsed;
    int64_t seed = 42;
    if (!option_i64(c, "threads", 1, 4096, &p->threads, e) || !read_device(c, e) ||
        !option_i64(c, "seed", 0, INT64_MAX, &seed, e) || !option_bytes(c, "max-memory", &c->max_memory, e))
        return false;
    c->seed = (uint64_t)seed;
    c->json = option_given(c, "json");
    c->quiet = option_given(c, "quiet");
    c->progress = c->quiet ? NULL : stderr;
    p->profile = option_given(c, "profile");
    p->trace_path = option_text(c, "trace");
    p->limit.most = (size_t)c->max_memory;
    const Command *k = c->command;
    if (c->arg_count < (size_t)k->min_args)
        return fail(e, SP_USAGE, "%s: an argument is missing; usage: sapor %s %s", k->name, k->name, k->arguments);
    if (k->max_args >= 0 && c->arg_count > (size_t)k->max_args)
        return fail(e, SP_USAGE, "%s: \"%s\" is one argument too many; usage: sapor %s%s%s", k->name,
                    c->args[k->max_args], k->name, *k->arguments ? " " : "", k->arguments);
    const char *out = option_text(c, "out");
    if ((out && !output_check(c, "out", out, e)) || (p->trace_path && !output_check(c, "trace", p->trace_path, e)))
        return false;
    /* The trace file is opened and discarded now: if it cannot be written, the command fails before a long run. */
    Out *trace = p->trace_path ? out_open(p->trace_path, c->heap, e) : NULL;
    out_discard(trace);
    return trace || !p->trace_path;
}

void context_keep_totals(Context *c)
{
    c->parsed->totals = true;
}

const char *context_device_name(const Context *c)
{
    return c->parsed->device_name[0] ? c->parsed->device_name : NULL;
}

const Device *context_device(Context *c, Error *e)
{
    struct Parsed *p = c->parsed;
    if (p->has_device)
        return &p->device;
    if (p->profile)
        counters_open(&p->counters); /* opened before there are threads: threads inherit the counters */
    if ((p->profile || p->trace_path || p->totals) && !p->trace &&
        !(p->trace = trace_new(c->heap, p->trace_path != NULL, e)))
        return NULL;
    if (!device_open(&p->device, p->device_name[0] ? p->device_name : NULL, (int)p->threads, c->heap, p->trace, e))
        return NULL;
    if (p->device.why_cpu.code != SP_OK && !c->quiet)
        fprintf(stderr, "the CPU is used: %s\n", p->device.why_cpu.message);
    p->has_device = true;
    return &p->device;
}

static void show_counters(const Counters *k, bool any, bool json)
{
    if (json) {
        JsonWriter w = json_record(stdout, "event", "counters");
        for (int i = 0; i < COUNTERS; i++)
            if (k->value[i] > 0)
                json_put_number(&w, counter_names[i], "%.0f", k->value[i]);
        if (!any)
            json_put_string(&w, "not_here", counters_why(k));
        json_finish(&w);
    } else if (any) {
        fprintf(stderr, "hardware counters:");
        for (int i = 0; i < COUNTERS; i++)
            if (k->value[i] > 0)
                fprintf(stderr, "%s %s %.4g", i ? "," : "", counter_names[i], k->value[i]);
        if (k->value[0] > 0 && k->value[1] > 0)
            fprintf(stderr, "; %.2f instructions per cycle", k->value[0] / k->value[1]);
        fputc('\n', stderr);
    } else {
        fprintf(stderr, "hardware counters: not available: %s\n", counters_why(k));
    }
}

/* Prints the profile: a table on standard error, or with --json one object per op after the objects of the command. The
 * peak is that of --dtype if this option is given and the machine supports the type; otherwise that of f32. */
static void show_profile(const Context *c)
{
    const Device *d = &c->parsed->device;
    const char *dtype = option_text(c, "dtype");
    const TraceTotal *total;
    size_t n = trace_totals(d->trace, &total);
    bool json = c->json;
    double peak = dtype ? peak_gflops(d->k->level, dtype, d->pool, 0.05) : 0;
    if (peak == 0)
        peak = peak_gflops(d->k->level, dtype = "f32", d->pool, 0.05);
    if (!json) {
        trace_table(d->trace, stderr, peak);
        fprintf(stderr, "peak: %.1f GFLOP/s of %s, %s, %d thread%s\n", peak, dtype, d->k->level, pool_threads(d->pool),
                pool_threads(d->pool) == 1 ? "" : "s");
    }
    for (size_t i = 0; json && i < n; i++) {
        JsonWriter w = json_record(stdout, "event", "profile");
        json_members(&w, "op %s calls %lld seconds %.9g flops %.17g bytes %.17g", total[i].op,
                     (long long)total[i].calls, total[i].seconds, total[i].flops, total[i].bytes);
        json_finish(&w);
    }
}

/* Ends a command: prints the profile, writes the trace and flushes standard output. */
static bool finish(Context *c, Error *e)
{
    struct Parsed *p = c->parsed;
    if ((p->profile || p->trace_path) && !context_device(c, e))
        return false;
    const TraceTotal *totals;
    if (p->device.trace && trace_totals(p->device.trace, &totals) == 0) /* a command without ops counts as one op */
        trace_end(p->device.trace, p->begun, c->command->name, 0, 0);
    if (p->device.trace && p->profile) {
        pool_trace(p->device.pool, NULL); /* the trace must not include the measurement of the peak */
        bool counted = counters_read(&p->counters);
        show_profile(c);
        show_counters(&p->counters, counted, c->json);
    }
    if (p->device.trace && p->trace_path && !trace_write(p->device.trace, p->trace_path, e))
        return false;
    return output_flush(e);
}

int command_run(const Command *command, int argc, char **argv)
{
    Error e = {0};
    struct Parsed p = {.heap = {limited_resize, NULL}, .begun = now_seconds()};
    p.heap.user = &p.limit;
    Context c = {.command = command, .heap = &p.heap, .parsed = &p, .arena = arena_new(&p.heap, 0)};
    int status = 0;
    if (!c.arena) {
        fail_memory(&e, 1, "the command line");
    } else if (read_options(&c, argc, argv, &e) && option_given(&c, "help")) {
        command_help(command, stdout);
        output_flush(&e);
    } else if (!e.code && read_common(&c, &e) && command->run(&c, &e)) {
        finish(&c, &e);
    }
    if (e.code == SP_MEMORY && c.max_memory)
        error_prefix(&e, "--max-memory %s: ", option_text(&c, "max-memory"));
    if (e.code)
        status = report_error(&e);
    device_close(&p.device);
    trace_free(p.trace);
    arena_free(c.arena);
    return status;
}
