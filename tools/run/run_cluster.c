/* tools/run/run_cluster.c: workers of a cluster: the share of this process, and a file for sbatch. */
// flags: -Os
#include <stdlib.h>
#include <unistd.h>

#include "tools/run/run.h"

enum { WORKERS_MOST = 100 * 1000, WORKERS_USUAL = 8 };

/* ---- the share ------------------------------------------------------------------------------- */

static bool number_from(const char *name, int64_t *value)
{
    const char *text = getenv(name);
    return text && text_i64(text_of(text), value) && *value >= 0;
}

/* Reads the share from the variables of Slurm's job arrays, Open MPI, or MPICH and its relatives. */
static bool share_from_system(TrialShare *s, Error *e)
{
    static const char *const NAMES[][2] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, {"PMI_RANK", "PMI_SIZE"}};
    int64_t first = 0;
    if (number_from("SLURM_ARRAY_TASK_ID", &s->worker) && number_from("SLURM_ARRAY_TASK_COUNT", &s->of)) {
        number_from("SLURM_ARRAY_TASK_MIN", &first);
        s->worker -= first;
        return true;
    }
    for (size_t i = 0; i < COUNT(NAMES); i++)
        if (number_from(NAMES[i][0], &s->worker) && number_from(NAMES[i][1], &s->of))
            return true;
    return fail(e, SP_USAGE,
                "--worker auto: the variables of Slurm (SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT) or mpirun "
                "(OMPI_COMM_WORLD_RANK, PMI_RANK) are not set; give --worker I/N");
}

bool read_share(const Context *c, TrialShare *share, Error *e)
{
    const char *given = option_text(c, "worker");
    *share = (TrialShare){0, 1};
    if (!given)
        return true;
    Text rest = text_of(given), first;
    bool is_auto = !strcmp(given, "auto"),
         ok = text_next(&rest, '/', &first) && text_i64(first, &share->worker) && rest.p && text_i64(rest, &share->of);
    if (is_auto && !share_from_system(share, e))
        return false;
    if (!is_auto && !ok)
        return fail(e, SP_USAGE, "--worker: \"%s\": I/N, such as 0/4, or auto is expected", given);
    return (share->of >= 1 && share->of <= WORKERS_MOST && share->worker < share->of && share->worker >= 0) ||
           fail(e, SP_USAGE, "--worker %s: worker %lld of %lld: workers are numbered from 0 to N - 1", given,
                (long long)share->worker, (long long)share->of);
}

/* ---- the file for sbatch --------------------------------------------------------------------- */

/* Prints a word, quoted for the shell. */
static void put_quoted(const char *word)
{
    static const char PLAIN[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,=:@+%";
    if (*word && strspn(word, PLAIN) == strlen(word)) {
        printf(" %s", word);
        return;
    }
    printf(" '");
    for (; *word; word++)
        printf(*word == '\'' ? "'\\''" : "%c", *word);
    printf("'");
}

static void put_option(const Context *c, const char *name)
{
    const char *value = option_text(c, name);
    if (value) {
        printf(" --%s", name);
        put_quoted(value);
    }
}

bool print_sbatch(const Context *c, const TrialShare *share, Error *e)
{
    static const char *const PASSED[] = {"out", "jobs", "model", "dataset", "select"};
    char program[4096] = "sapor", folder[4096];
    const char *threads = option_text(c, "threads");
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : (ssize_t)strlen("sapor")] = 0;
    if (!getcwd(folder, sizeof folder))
        return fail(e, SP_IO, "the current folder has no name");
    int64_t workers = share->of > 1 ? share->of : WORKERS_USUAL;
    printf("#!/bin/bash\n"
           "# sbatch FILE: a job array whose tasks work on one ledger. If the time limit ends a task, submit FILE\n"
           "# again: the task continues where it stopped. The last task that ends writes the results. If the\n"
           "# nodes share no file system, give each task its own --out and join the ledgers: sapor run CONFIG --out\n"
           "# FOLDER --ledger A/ledger.sqlite --ledger B/ledger.sqlite\n"
           "#SBATCH --job-name=sapor-run\n#SBATCH --array=0-%lld\n#SBATCH --ntasks=1\n#SBATCH --cpus-per-task=%s\n"
           "#SBATCH --time=02:00:00\n#SBATCH --requeue\n#SBATCH --output=sapor-run-%%A_%%a.log\n\ncd",
           (long long)(workers - 1), threads ? threads : "4");
    put_quoted(folder);
    printf(" || exit 1\nexec");
    put_quoted(program);
    printf(" run");
    put_quoted(c->args[0]);
    for (size_t i = 0; i < COUNT(PASSED); i++)
        put_option(c, PASSED[i]);
    const char *const *set;
    size_t sets;
    if (!option_list(c, "set", 0, &set, &sets, e))
        return false;
    for (size_t i = 0; i < sets; i++) {
        printf(" --set");
        put_quoted(set[i]);
    }
    if (option_given(c, "retry"))
        printf(" --retry");
    for (size_t i = 0; i < c->override_count; i++) {
        const char *word = arena_printf(c->arena, e, "--%s", c->overrides[i]);
        if (!word)
            return false;
        put_quoted(word);
    }
    printf(" --worker auto --threads \"$SLURM_CPUS_PER_TASK\"\n");
    return true;
}
