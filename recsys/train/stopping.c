/* recsys/train/stopping.c: the best epoch so far, and when training stops (recipes.md 5.3). */
// flags: -Os
#include "recsys/train/train.h"

#include <math.h>

/* Elliot and MMRec keep the first of equal figures. MMRec compares figures rounded to four decimals.
 *
 * Without a validation part, Sapor chooses the last epoch. Elliot itself chooses the epoch that is best in the test
 * part, so its test figure is then too high. */
bool stopping_note(Stopping *s, int64_t epoch, double figure, double loss)
{
    s->done = s->validates && loss == 0 && s->rules == PROTOCOL_ELLIOT;
    if (s->rules == PROTOCOL_MMREC)
        figure = nearbyint(figure * 1e4) / 1e4;
    bool better = !s->validates || figure > s->best, as_good = figure == s->best;
    s->unimproved = better || (as_good && s->rules == PROTOCOL_ELLIOT) ? 0 : s->unimproved + 1;
    s->best = better ? figure : s->best;
    s->best_epoch = better ? epoch : s->best_epoch;
    return better;
}

/* Elliot stops when `patience` evaluations in a row were below the best one. It also stops if the loss of an evaluated
 * epoch is 0. MMRec stops one evaluation later, and counts an equal figure as no improvement. If patience is 0, neither
 * stops early. */
bool stopping_due(const Stopping *s)
{
    return s->patience > 0 && (s->done || s->unimproved >= s->patience + (s->rules == PROTOCOL_MMREC));
}
