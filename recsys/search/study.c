/* recsys/search/study.c: the trials of a study, and which one is next.
 *
 * Every trial has a slot. The state of a slot is in the ledger and in the locks of trials/, because the processes that
 * work on one ledger do not communicate. No connection to the ledger stays open between calls, because the caller
 * forks. */
// flags: -Os
#include "recsys/search/study.h"

#include <math.h>

typedef struct PlannedGroup { /* a data set with its folds, and a model */
    size_t data, folds;       /* index of the data set of the first fold; number of folds */
    const StudyModel *model;
    Points *points; /* shared by all groups of a model, except with TPE */
    size_t most;    /* largest number of points */
    size_t first;   /* its first slot; slots are ordered by fold, number, seed; the seed changes fastest */
    bool in_share;  /* with TPE: the group is in the share of this process */
} PlannedGroup;
typedef enum SlotState {
    SLOT_OTHER, /* not in this process's share */
    SLOT_FREE,  /* study_next has not returned it */
    SLOT_GIVEN, /* returned by study_next */
    SLOT_OVER,  /* returned by study_next, and its process has ended */
    SLOT_DONE,  /* the ledger has the trial as done */
    SLOT_FAILED
} SlotState;
struct StudyRun {
    const Study *study;
    Arena *arena, *scratch;
    const char *ledger, *trials;
    DataHash *hashes; /* [data_count] */
    PlannedGroup *groups;
    size_t group_count;
    unsigned char *slots; /* [slot_count] values of SlotState */
    size_t slot_count;
    size_t cursor; /* no slot before this one is free */
};

/* ---- the plan -------------------------------------------------------------------------------- */

/* Returns the number of folds; folds of one data set and setting are consecutive. */
static size_t folds_from(const Study *s, size_t first)
{
    size_t n = 1;
    while (first + n < s->data_count && !strcmp(s->data[first].name, s->data[first + n].name) &&
           !strcmp(s->data[first].setting, s->data[first + n].setting))
        n++;
    return n;
}

static bool plan_groups(StudyRun *r, Error *e)
{
    const Study *s = r->study;
    /* the points of each model; all data sets share them, except with TPE */
    Points **shared = NEW(r->arena, Points *, s->model_count, e);
    if (!shared || !(r->groups = NEW(r->arena, PlannedGroup, s->data_count * s->model_count, e)))
        return false;
    for (size_t d = 0, folds; d < s->data_count; d += folds) {
        folds = folds_from(s, d);
        for (size_t i = 0; !s->data[d].absent && i < s->model_count; i++) {
            const StudyModel *m = &s->models[i];
            if (r->group_count == GROUPS_MOST)
                return fail(e, SP_USAGE, "a study has at most %d data sets x settings x models; try fewer",
                            GROUPS_MOST);
            PlannedGroup *g = &r->groups[r->group_count++];
            *g = (PlannedGroup){.data = d, .folds = folds, .model = m, .first = r->slot_count};
            g->points = m->search == SEARCH_TPE ? NULL : shared[i];
            if (!m->seed_count)
                return fail(e, SP_USAGE, "%s: no seed is given", m->name);
            if (!points_most(m, &g->most, e) || (!g->points && !(g->points = points_first(m, g->most, r->arena, e))))
                return false;
            shared[i] = g->points;
            if (m->search != SEARCH_TPE)
                g->most = g->points->count;
            if (g->most * folds * m->seed_count > TRIALS_MOST - r->slot_count)
                return fail(e, SP_USAGE, "%s: a study has at most %d trials; try fewer points", m->name, TRIALS_MOST);
            r->slot_count += g->most * folds * m->seed_count;
        }
    }
    return true;
}

/* Makes the slots, and gives them to the shares in turn. A group with TPE is given to one share. */
static bool share_slots(StudyRun *r, TrialShare share, Error *e)
{
    int64_t turn = 0;
    if (!(r->slots = NEW(r->arena, unsigned char, r->slot_count, e)))
        return false;
    for (size_t i = 0; i < r->group_count; i++) {
        PlannedGroup *g = &r->groups[i];
        size_t n = g->most * g->folds * g->model->seed_count;
        bool whole = g->model->search == SEARCH_TPE;
        g->in_share = turn % share.of == share.worker;
        for (size_t k = 0; k < n; k++) {
            bool in_share = turn % share.of == share.worker;
            r->slots[g->first + k] = in_share ? SLOT_FREE : SLOT_OTHER;
            turn += !whole;
        }
        turn += whole;
    }
    return true;
}

/* ---- slots ----------------------------------------------------------------------------------- */

static PlannedGroup *group_of(StudyRun *r, size_t slot)
{
    size_t low = 0, high = r->group_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (r->groups[middle].first <= slot)
            low = middle;
        else
            high = middle;
    }
    return &r->groups[low];
}

/* Returns false if the point of this slot is not known yet. */
static bool trial_at(StudyRun *r, size_t slot, Trial *t)
{
    const PlannedGroup *g = group_of(r, slot);
    size_t seeds = g->model->seed_count, within = slot - g->first;
    size_t number = within / seeds % g->most, fold = within / seeds / g->most;
    if (number >= g->points->count)
        return false;
    *t = (Trial){&r->study->data[g->data + fold], g->model, g->points->values[number], (int64_t)number,
                 g->model->seeds[within % seeds]};
    return true;
}

static size_t slot_of(StudyRun *r, const Trial *t)
{
    size_t data = (size_t)(t->data - r->study->data);
    for (size_t i = 0; i < r->group_count; i++) {
        const PlannedGroup *g = &r->groups[i];
        if (g->model != t->model || data < g->data || data >= g->data + g->folds)
            continue;
        for (size_t k = 0; k < t->model->seed_count; k++)
            if (t->model->seeds[k] == t->seed)
                return g->first + ((data - g->data) * g->most + (size_t)t->number) * t->model->seed_count + k;
    }
    return SIZE_MAX;
}

/* Returns the ledger's row of a trial if it has the same settings and data. *key: the key of the trial. */
static bool find_row(StudyRun *r, Ledger *l, const Trial *t, TrialRow *row, bool *found, char key[KEY_BYTES], Arena *a,
                     Error *e)
{
    TrialPlan plan;
    if (!trial_plan(&plan, r->study, t, a, e) || !trial_key(key, &plan, t, &r->hashes[t->data - r->study->data], a, e))
        return false;
    TrialRow which = trial_row(&plan, t, key, TRIAL_OPEN);
    if (!ledger_get(l, &which, row, found, a, e))
        return false;
    *found = *found && !strcmp(row->key, key);
    return true;
}

bool study_row(StudyRun *r, const Trial *t, TrialRow *row, bool *found, Arena *a, Error *e)
{
    char key[KEY_BYTES];
    Ledger *l = ledger_open(r->ledger, e);
    bool ok = l && find_row(r, l, t, row, found, key, a, e);
    ledger_close(l);
    return ok;
}

/* Sets *locked if another process is training the trial with this key. Returns false on an error. */
static bool is_locked(StudyRun *r, const char *key, bool *locked, Error *e)
{
    FolderLock lock = {-1};
    bool taken = true;
    const char *name = arena_printf(r->scratch, e, "%s.lock", key);
    const char *path = name ? path_join(r->scratch, r->trials, name, e) : NULL;
    bool ok = path && (!file_exists(path) || lock_take(&lock, r->trials, name, &taken, e));
    *locked = ok && !taken;
    lock_drop(&lock, r->trials, name);
    return ok;
}

/* Finds the state of a slot in the ledger and in the locks. *running: a process trains the trial. */
static bool look_up(StudyRun *r, Ledger *l, size_t slot, const Trial *t, bool *running, Error *e)
{
    char key[KEY_BYTES];
    TrialRow row;
    bool found = false;
    ArenaMark mark = arena_mark(r->scratch);
    bool ok = find_row(r, l, t, &row, &found, key, r->scratch, e);
    *running = false;
    if (ok && found && (row.state == TRIAL_DONE || row.state == TRIAL_FAILED)) {
        r->slots[slot] = row.state == TRIAL_DONE ? SLOT_DONE : SLOT_FAILED;
        if (row.number != t->number) { /* the grid was different when it was trained */
            row.number = t->number;
            ok = ledger_put(l, &row, e);
        }
    } else {
        ok = ok && is_locked(r, key, running, e);
    }
    arena_rewind(r->scratch, mark);
    return ok;
}

/* ---- TPE ------------------------------------------------------------------------------------- */

/* Returns the mean over folds and seeds of one point; NaN if a trial failed. *finished: all trials of the point are
 * finished. */
static bool point_figure(StudyRun *r, Ledger *l, const PlannedGroup *g, size_t number, double *figure, bool *finished,
                         Error *e)
{
    size_t seeds = g->model->seed_count;
    double sum = 0;
    *finished = true;
    for (size_t k = 0; k < g->folds * seeds; k++) {
        Trial t;
        TrialRow row;
        bool found = false;
        char key[KEY_BYTES];
        size_t slot = g->first + (k / seeds * g->most + number) * seeds + k % seeds;
        if (!trial_at(r, slot, &t) || !find_row(r, l, &t, &row, &found, key, r->scratch, e))
            return false;
        *finished = *finished && found && (row.state == TRIAL_DONE || row.state == TRIAL_FAILED);
        sum += found ? row_figure(&row, r->study, r->scratch) : (double)NAN;
    }
    *figure = sum / (double)(g->folds * seeds);
    return true;
}

/* Proposes the points that follow from the results so far. */
static bool propose(StudyRun *r, Ledger *l, const PlannedGroup *g, Error *e)
{
    Points *p = g->points;
    ArenaMark mark = arena_mark(r->scratch);
    bool ok = true, finished = true;
    while (ok && p->count < g->most && !p->ended) {
        /* the figures of the points in order, up to the first point with an unfinished trial */
        for (; ok && p->known < p->count && finished; p->known += finished)
            ok = point_figure(r, l, g, p->known, &p->figures[p->known], &finished, e);
        if (!ok || !finished)
            break;
        TpeResult *results = NEW(r->scratch, TpeResult, p->count, e);
        for (size_t i = 0; results && i < p->count; i++)
            results[i] = (TpeResult){p->values[i], p->figures[i]};
        ok = results && points_draw(p, g->model, results, r->arena, e);
    }
    arena_rewind(r->scratch, mark);
    return ok;
}

static bool propose_all(StudyRun *r, Ledger *l, bool others, Error *e)
{
    bool ok = true;
    for (size_t i = 0; ok && i < r->group_count; i++)
        if (r->groups[i].model->search == SEARCH_TPE && (r->groups[i].in_share || others))
            ok = propose(r, l, &r->groups[i], e);
    return ok;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Hashes the pairs, and optionally the features. If data cannot be read, the hash is 0; their trials fail with the
 * reason. */
static bool hash_data(StudyRun *r, const DataConfig *c, bool features, DataHash *h, Error *e)
{
    Arena *a = arena_new(arena_heap(r->arena), 0);
    DataSet d = {0};
    DataConfig config = *c;
    Error why = {0};
    config.knock.count = 0;
    config.feature_count = features ? c->feature_count : 0;
    config.gaps = features ? c->gaps : GAPS_ERROR;
    if (!a)
        return fail_memory(e, 1, "an arena");
    if (dataset_load(&d, &config, a, &why))
        data_hash(h, &d);
    dataset_close(&d);
    arena_free(a);
    return true;
}

/* Computes the hashes of all data sets. Features are read if a model needs them, or if they decide which items are kept
 * (GAPS_DROP); then the pairs are those without dropped items. */
static bool hash_all(StudyRun *r, Error *e)
{
    const Study *s = r->study;
    bool needed = false, ok = (r->hashes = NEW(r->arena, DataHash, s->data_count, e)) != NULL;
    for (size_t i = 0; i < s->model_count; i++)
        needed = needed || s->models[i].kind->needs_features;
    for (size_t i = 0; ok && i < s->data_count; i++) {
        const DataConfig *c = &s->data[i].config;
        DataHash *h = &r->hashes[i], pairs = {0};
        bool drops = c->gaps == GAPS_DROP;
        if (s->data[i].absent)
            continue;
        ok = (!(needed || drops) || hash_data(r, c, true, h, e)) && (drops || hash_data(r, c, false, &pairs, e));
        if (!drops)
            memcpy(h->pairs, pairs.pairs, sizeof h->pairs);
    }
    return ok;
}

/* Checks that the model accepts every known point. */
static bool check_points(StudyRun *r, Error *e)
{
    bool ok = true;
    for (size_t i = 0; ok && i < r->group_count; i++) {
        const PlannedGroup *g = &r->groups[i];
        for (size_t n = 0; ok && !g->points->checked && n < g->points->count; n++) {
            ArenaMark mark = arena_mark(r->scratch);
            Trial t;
            TrialPlan plan;
            trial_at(r, g->first + n * g->model->seed_count, &t);
            ok = trial_plan(&plan, r->study, &t, r->scratch, e);
            arena_rewind(r->scratch, mark);
        }
        g->points->checked = true;
    }
    return ok;
}

StudyRun *study_open(const Study *s, TrialShare share, Arena *a, Error *e)
{
    StudyRun *r = NEW(a, StudyRun, 1, e);
    if (!r)
        return NULL;
    *r = (StudyRun){.study = s, .arena = a, .scratch = arena_new(arena_heap(a), 0)};
    bool ok = r->scratch || fail_memory(e, 1, "an arena");
    if (share.of < 1 || share.worker < 0 || share.worker >= share.of)
        ok = fail(e, SP_USAGE, "worker %lld of %lld: there are workers 0 to %lld", (long long)share.worker,
                  (long long)share.of, (long long)share.of - 1);
    ok = ok && (r->ledger = study_ledger(s, a, e)) && (r->trials = study_trials(s, a, e)) && plan_groups(r, e) &&
         share_slots(r, share, e) && check_points(r, e) && hash_all(r, e) && folder_make(s->out, e);
    Ledger *l = ok ? ledger_open(r->ledger, e) : NULL;
    ok = l && ledger_put_study(l, s, e);
    ledger_close(l);
    if (ok)
        return r;
    study_close(r);
    return NULL;
}

void study_close(StudyRun *r)
{
    if (r)
        arena_free(r->scratch);
}

/* ---- the next trial -------------------------------------------------------------------------- */

/* Counts the trials. others: also those of other shares. */
static bool count_slots(StudyRun *r, StudyCounts *c, bool others, Error *e)
{
    Ledger *l = ledger_open(r->ledger, e);
    bool ok = l && propose_all(r, l, others, e);
    *c = (StudyCounts){0};
    for (size_t i = 0; ok && i < r->slot_count; i++) {
        Trial t;
        SlotState before = (SlotState)r->slots[i];
        bool running = false, known = trial_at(r, i, &t);
        if ((before == SLOT_OTHER && !others) || (!known && group_of(r, i)->points->ended))
            continue;
        ok = !known || before == SLOT_DONE || before == SLOT_FAILED || look_up(r, l, i, &t, &running, e);
        c->all++;
        c->running += running;
        c->done += r->slots[i] == SLOT_DONE;
        c->failed += r->slots[i] == SLOT_FAILED;
        if (before == SLOT_OTHER)
            r->slots[i] = SLOT_OTHER;
    }
    ledger_close(l);
    return ok;
}

bool study_counts(StudyRun *r, StudyCounts *c, Error *e)
{
    return count_slots(r, c, false, e);
}

bool study_counts_all(StudyRun *r, StudyCounts *c, Error *e)
{
    return count_slots(r, c, true, e);
}

/* Finds the first slot in this state whose trial can be trained now. */
static bool next_of(StudyRun *r, Ledger *l, size_t from, SlotState state, Trial *t, bool *found, Error *e)
{
    for (size_t i = from; i < r->slot_count; i++) {
        bool running = false;
        if (r->slots[i] != state || !trial_at(r, i, t))
            continue;
        if (!look_up(r, l, i, t, &running, e))
            return false;
        if (r->slots[i] == state && !running) {
            r->slots[i] = SLOT_GIVEN;
            *found = true;
            return true;
        }
    }
    return true;
}

bool study_next(StudyRun *r, Trial *t, bool *found, Error *e)
{
    *found = false;
    while (r->cursor < r->slot_count && r->slots[r->cursor] != SLOT_FREE)
        r->cursor++;
    Ledger *l = ledger_open(r->ledger, e);
    bool ok = l && propose_all(r, l, false, e) && next_of(r, l, r->cursor, SLOT_FREE, t, found, e);
    ok = ok && (*found || next_of(r, l, 0, SLOT_OVER, t, found, e));
    ledger_close(l);
    return ok;
}

void study_over(StudyRun *r, const Trial *t)
{
    size_t slot = slot_of(r, t);
    if (slot < r->slot_count && r->slots[slot] == SLOT_GIVEN)
        r->slots[slot] = SLOT_OVER;
}

/* Changes the row of a trial to this state. With `failed`, the row must be failed; otherwise it must be unfinished. */
static bool change_row(StudyRun *r, Ledger *l, const Trial *t, bool failed, TrialState to, const char *message,
                       Error *e)
{
    TrialRow row;
    TrialPlan plan;
    bool found = false;
    char key[KEY_BYTES];
    ArenaMark mark = arena_mark(r->scratch);
    bool ok = find_row(r, l, t, &row, &found, key, r->scratch, e) && trial_plan(&plan, r->study, t, r->scratch, e);
    bool has_failed = found && row.state == TRIAL_FAILED, is_done = found && row.state == TRIAL_DONE;
    if (ok && has_failed == failed && !is_done) {
        if (!found)
            row = trial_row(&plan, t, key, to);
        row.state = to;
        row.message = message;
        ok = ledger_put(l, &row, e);
    }
    arena_rewind(r->scratch, mark);
    return ok;
}

bool study_retry(StudyRun *r, Error *e)
{
    Ledger *l = ledger_open(r->ledger, e);
    bool ok = l && propose_all(r, l, false, e);
    for (size_t i = 0; ok && i < r->slot_count; i++) {
        Trial t;
        if (r->slots[i] == SLOT_OTHER || !trial_at(r, i, &t))
            continue;
        ok = change_row(r, l, &t, true, TRIAL_OPEN, "", e);
        r->slots[i] = r->slots[i] == SLOT_FAILED ? SLOT_FREE : r->slots[i];
    }
    for (size_t i = 0; i < r->group_count; i++)
        r->groups[i].points->known = 0;
    r->cursor = 0;
    ledger_close(l);
    return ok;
}

bool study_died(StudyRun *r, const Trial *t, const char *message, Error *e)
{
    Ledger *l = ledger_open(r->ledger, e);
    bool ok = l && change_row(r, l, t, false, TRIAL_FAILED, message, e);
    ledger_close(l);
    return ok;
}
