/* recsys/search/ledger_check.c: checks of a file before SQLite opens it. */
// flags: -Os
#include "recsys/search/ledger.h"

#ifdef HAVE_SQLITE3

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Checks the journal. SQLite rolls back the contents of a journal next to the file. If the journal ends with the name
 * of a super-journal (a file that several databases share), SQLite also removes the file of this name. Our journals
 * never end with a name, so a journal that does is an error. */
static bool check_journal(const char *path, Error *e)
{
    static const unsigned char MAGIC[] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    char journal[PATH_MAX + 16]; /* SQLite resolves links first */
    unsigned char end[sizeof MAGIC];
    struct stat st;
    if (!realpath(path, journal))
        return true;
    strcat(journal, "-journal");
    if (lstat(journal, &st) != 0)
        return true;
    if (!S_ISREG(st.st_mode))
        return fail(e, SP_FORMAT, "%s: is not a regular file; remove it", journal);
    int fd = open(journal, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) /* a journal of another process may have been removed in the meantime */
        return errno == ENOENT || fail(e, SP_IO, "%s: cannot open: %s", journal, strerror(errno));
    bool has_name = fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof end &&
                    pread(fd, end, sizeof end, st.st_size - (off_t)sizeof end) == (ssize_t)sizeof end &&
                    memcmp(end, MAGIC, sizeof MAGIC) == 0;
    close(fd);
    return !has_name || fail(e, SP_FORMAT, "%s: is not a journal of sapor run; remove it", journal);
}

bool ledger_check(const char *path, Error *e)
{
    static const char MAGIC[] = "SQLite format 3"; /* including its NUL */
    /* the size of the header, and the place of two bytes in it, which are 2 if the file has a write-ahead log */
    enum { HEADER = 100, JOURNAL_AT = 18 };
    Map m;
    if (!file_exists(path) && !folder_exists(path))
        return true;
    if (!map_open(&m, path, e))
        return false;
    const unsigned char *head = m.data;
    bool ok = m.bytes == 0 || (m.bytes >= HEADER && memcmp(m.data, MAGIC, sizeof MAGIC) == 0) ||
              fail(e, SP_FORMAT, "%s: is not a ledger of sapor run (no SQLite file)", path);
    if (ok && m.bytes && (head[JOURNAL_AT] > 1 || head[JOURNAL_AT + 1] > 1))
        ok = fail(e, SP_FORMAT,
                  "%s: another program has given this ledger a write-ahead log; PRAGMA journal_mode=DELETE takes it "
                  "away",
                  path);
    map_close(&m);
    return ok && check_journal(path, e);
}

#endif
