/* recsys/train/history.c: writes and reads history.tsv, which has a line per evaluation. */
// flags: -Os
#include "recsys/train/train.h"

#include <math.h>

bool history_add(History *h, const char *text, Arena *a, Error *e)
{
    size_t n = strlen(text);
    while (h->bytes + n + 1 > h->room)
        if (!(h->text = arena_grow(a, h->text, h->room, &h->room, 1, e)))
            return false;
    memcpy(h->text + h->bytes, text, n + 1);
    h->bytes += n;
    return true;
}

static bool add_header(History *h, const Evaluation *v, Arena *a, Error *e)
{
    const Scores *part[] = {&v->valid, &v->test};
    const char *names[] = {"valid", "test"};
    bool ok = history_add(h, "epoch\tloss", a, e);
    for (size_t p = 0; p < COUNT(part); p++)
        for (size_t i = 0; ok && part[p]->mean && i < part[p]->metrics * part[p]->cutoffs; i++) {
            char text[SCORE_NAME_BYTES + 8], name[SCORE_NAME_BYTES];
            snprintf(text, sizeof text, "\t%s %s", names[p], score_name(part[p], i, name, sizeof name));
            ok = history_add(h, text, a, e);
        }
    return ok && history_add(h, "\n", a, e);
}

bool history_note(History *h, int64_t epoch, double loss, const Evaluation *v, Arena *a, Error *e)
{
    const Scores *part[] = {&v->valid, &v->test};
    char text[64];
    snprintf(text, sizeof text, "%lld\t%.9g", (long long)epoch, loss);
    bool ok = (h->bytes || add_header(h, v, a, e)) && history_add(h, text, a, e);
    for (size_t p = 0; p < COUNT(part); p++)
        for (size_t i = 0; ok && part[p]->mean && i < part[p]->metrics * part[p]->cutoffs; i++) {
            snprintf(text, sizeof text, "\t%.9g", part[p]->mean[i]);
            ok = history_add(h, text, a, e);
        }
    return ok && history_add(h, "\n", a, e);
}

bool history_read(Text rest, const char *path, const char *column, HistoryVisit *visit, void *arg, Error *e)
{
    Text line, cell;
    size_t columns = 0, selected = 0, number = 1;
    double before = -1;
    if (!text_line(&rest, &line))
        return true;
    for (Text header = line; text_next(&header, '\t', &cell); columns++)
        if (columns && !selected && column && text_is(cell, column))
            selected = columns;
    if (columns < 2 || !text_starts(line, "epoch\tloss"))
        return fail(e, SP_FORMAT, "%s:1: does not begin with the columns epoch and loss; train again", path);
    while (text_line(&rest, &line)) {
        double epoch = 0, figure = NAN, value;
        size_t at = 0;
        number++;
        for (Text left = line; text_next(&left, '\t', &cell); at++) {
            if (!text_f64(cell, &value) || (!isfinite(value) && at < 2)) /* a figure may be nan: 0 / 0 */
                return fail(e, SP_FORMAT, "%s:%zu: column %zu: \"%.*s\" is not a number; train again", path, number,
                            at + 1, (int)MIN(cell.n, (size_t)40), cell.p);
            epoch = at == 0 ? value : epoch;
            figure = at == selected ? value : figure;
        }
        if (at != columns)
            return fail(e, SP_FORMAT, "%s:%zu: has %zu columns, the first line names %zu; train again", path, number,
                        at, columns);
        if (epoch <= before || epoch != floor(epoch))
            return fail(e, SP_FORMAT, "%s:%zu: epoch %g does not follow epoch %g; train again", path, number, epoch,
                        before);
        before = epoch;
        if (selected && visit && !isnan(figure) && !visit(arg, epoch, figure, e))
            return false;
    }
    return true;
}
