/* tools/study/command.c: sapor report RUN for a folder that `sapor run` wrote. */
// flags: -Os
#include "tools/report/report.h"
#include "tools/study/study.h"

/* Refuses the options of pages about run folders: they have no meaning here. */
static bool check_options(const Context *c, Error *e)
{
    static const char *const TRAIN_OPTIONS[] = {"items", "text-column", "pictures", "stages", "ops"};
    if (c->arg_count != 1)
        return fail(e, SP_USAGE,
                    "report: %s is a folder of `sapor run`; a page is about one such folder, or about run "
                    "folders of `sapor train`",
                    c->args[0]);
    for (size_t i = 0; i < COUNT(TRAIN_OPTIONS); i++)
        if (option_given(c, TRAIN_OPTIONS[i]))
            return fail(e, SP_USAGE, "report: --%s is for run folders of `sapor train`; %s is a folder of `sapor run`",
                        TRAIN_OPTIONS[i], c->args[0]);
    return true;
}

/* Checks that the file is not empty. SQLite would turn an empty file into a ledger, but a report must not change its
 * input. */
static bool has_content(const char *path, Error *e)
{
    Map m;
    if (!map_open(&m, path, e))
        return false;
    bool empty = m.bytes == 0;
    map_close(&m);
    return !empty || fail(e, SP_FORMAT, "%s: is empty; `sapor run` writes it", path);
}

bool report_study(Context *c, const ReportConfig *r, Error *e)
{
    StudyView v;
    StudyPageConfig page = {
        .title = option_text(c, "title"), .out = r->out, .tables = option_text(c, "tables"), .c = c, .heap = c->heap};
    if (!check_options(c, e))
        return false;
    const char *folder = c->args[0], *path = path_join(c->arena, folder, STUDY_LEDGER, e);
    Ledger *l = path && has_content(path, e) ? ledger_open(path, e) : NULL;
    bool ok = l && study_view(&v, l, c->arena, e) && view_tests(&v, folder, true, true, &page.untested, c->arena, e) &&
              report_page_write(&v, &page, e);
    ledger_close(l);
    return ok;
}
