/* recsys/data/columns.c: finds which columns of a table of interactions are the user, the item, the rating and the
 * time. docs/formats.md has the table of names. */
#include "recsys/data/data.h"

#include <math.h>

/* Names in lower case, without '_', '-', '.' and blanks. There are groups of names; an earlier group is preferred: a
 * column of ids before one of names. Within a group, two different columns for users or items are an error; for ratings
 * and times, the name that is first here is used. */
static const char *const KNOWN[ROLES] = {
    [ROLE_USER] =
        "userid user uid reviewerid customerid memberid visitorid steamid accountid personid playerid readerid "
        "listenerid buyerid "
        "| username reviewer reviewername reviewprofilename profilename customer member visitor person player "
        "reader listener "
        "viewer buyer authorid author sessionid session nickname",
    [ROLE_ITEM] =
        "itemid item iid asin parentasin productid movieid businessid recipeid bookid artistid trackid songid gameid "
        "appid "
        "newsid articleid videoid animeid beerid beerbeerid poiid venueid locationid placeid gmapid restaurantid "
        "hotelid "
        "postid courseid eventid goodsid skuid adid workid showid "
        "| product movie business recipe book isbn artist track song game app news article video anime beer poi venue "
        "location place restaurant hotel post course event sku "
        "| title itemname productname moviename movietitle gametitle booktitle artistname trackname songname beername",
    [ROLE_RATING] = ("rating ratings stars starrating overall score reviewoverall bookrating reviewscore reviewrating "
                     /* in parentheses, because clang warns about two strings in a list otherwise */
                     "userrating label"),
    [ROLE_TIME] =
        "timestamp unixtimestamp unixreviewtime time datetime date createdat reviewdate ratingdate ratedat reviewtime",
    [ROLE_PART] = "xlabel",
};
const char *const role_names[ROLES] = {"user", "item", "rating", "time", "x_label"};

/* Writes a name in the form of KNOWN. Returns its length, or 0 if it is too long to be one of them. */
static size_t plain_name(Text name, char out[24])
{
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (c == '_' || c == '-' || c == ' ' || c == '.')
            continue;
        if (n == 23)
            return 0;
        out[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return n;
}

/* Returns the index of a name in a list, from 0 (each "|" counts too), or -1 if the name is not in the list. *group:
 * the number of the name's group, from 0. */
static int find_known(const char *list, Text name, int *group)
{
    char plain[24];
    size_t n = plain_name(name, plain);
    int at = 0;
    *group = 0;
    for (Text rest = text_of(list), word; n && text_next(&rest, ' ', &word); at++) {
        if (text_is(word, "|"))
            ++*group;
        else if (text_equal(word, (Text){plain, n}))
            return at;
    }
    return -1;
}

const char *fields_text(const Text *field, size_t n, char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (size_t i = 0; i < MIN(n, (size_t)4) && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, "%s%.*s", i ? "," : "", (int)MIN(field[i].n, (size_t)40),
                                 field[i].p);
    if (n > 4 && used < size)
        snprintf(buffer + used, size - used, ",...");
    return buffer;
}

/* Returns a column name without RecBole's type: "user_id" of "user_id:token". Sets *typed if there is a type. */
static Text without_type(Text name, bool *typed)
{
    const char *colon = name.n ? memchr(name.p, ':', name.n) : NULL;
    *typed = *typed || colon;
    return colon ? (Text){name.p, (size_t)(colon - name.p)} : name;
}

int column_place(const char *list, Text name)
{
    int group;
    bool typed = false;
    return find_known(list, without_type(name, &typed), &group);
}

/* Sets c->at[role] to the column that fits the role best (see KNOWN), if there is one. Returns another column that fits
 * a user or an item equally well, or 0. */
static size_t find_role(Columns *c, Role role, const Text *field, size_t n)
{
    int best = 0, best_group = 0;
    size_t second = 0;
    bool typed = false;
    for (size_t i = 0; i < n; i++) {
        int group, place = find_known(KNOWN[role], without_type(field[i], &typed), &group);
        if (place < 0)
            continue;
        bool ordered = role == ROLE_RATING || role == ROLE_TIME;
        if (c->at[role] == NO_COLUMN || (ordered ? place < best : group < best_group)) {
            c->at[role] = (int)i;
            best = place;
            best_group = group;
            second = 0;
        } else if (!ordered && role != ROLE_PART && group == best_group) {
            second = i;
        }
    }
    c->typed = c->typed || typed;
    return second;
}

/* Finds the columns by the names in `given`: user, item[, rating[, time]]. Returns true if the first row has all of
 * them. */
static bool given_names(Columns *c, const Text *field, size_t n, const char *given)
{
    int role = ROLE_USER;
    for (Text rest = text_of(given), word; text_next(&rest, ',', &word); role++) {
        if (role == ROLE_PART)
            return false;
        for (size_t i = 0; i < n && c->at[role] == NO_COLUMN; i++) {
            Text name = without_type(field[i], &c->typed);
            if (word.n && (text_equal(field[i], word) || (name.n == word.n && !strncasecmp(name.p, word.p, word.n))))
                c->at[role] = (int)i;
        }
        if (c->at[role] == NO_COLUMN)
            return false;
    }
    return role > ROLE_ITEM;
}

/* Reads `given` as a list of roles, one per column in the file's order. *count: the number of columns in the list. */
static bool given_places(Columns *c, const char *given, int *count)
{
    *count = 0;
    for (Text rest = text_of(given), word; text_next(&rest, ',', &word); ++*count) {
        int role = 0;
        while (role < ROLES && !text_is(word, role_names[role]))
            role++;
        if (text_is(word, "-"))
            continue;
        if (role == ROLES || c->at[role] != NO_COLUMN)
            return false;
        c->at[role] = *count;
    }
    return c->at[ROLE_USER] != NO_COLUMN && c->at[ROLE_ITEM] != NO_COLUMN;
}

bool columns_find(Columns *c, const Text *field, size_t n, const char *given, const char *path, size_t line, Error *e)
{
    static const Columns NONE = {.at = {NO_COLUMN, NO_COLUMN, NO_COLUMN, NO_COLUMN, NO_COLUMN}};
    enum { MOST = 4096 };
    char names[256];
    if (n > MOST)
        return fail(e, SP_FORMAT, "%s:%zu: has %zu columns; at most %d are read", path, line, n, MOST);
    *c = NONE;
    c->count = (int)n;
    if (given) {
        c->given = true;
        if (given_names(c, field, n, given)) {
            c->header = true;
            int group;
            for (size_t i = 0; i < n; i++)
                if (find_known(KNOWN[ROLE_PART], field[i], &group) >= 0)
                    c->at[ROLE_PART] = (int)i;
            return true;
        }
        int count;
        *c = (Columns){.count = (int)n, .given = true};
        memcpy(c->at, NONE.at, sizeof c->at);
        if (!given_places(c, given, &count))
            return fail(e, SP_FORMAT,
                        "%s:%zu: --columns %s: not all of these names are in the first line (%s); for a file without "
                        "column names, give user, item, rating, time or - for each column",
                        path, line, given, fields_text(field, n, names, sizeof names));
        if (count != (int)n)
            return fail(e, SP_FORMAT, "%s:%zu: has %zu column%s; --columns %s names %d", path, line, n,
                        n == 1 ? "" : "s", given, count);
        return true;
    }
    size_t second[ROLES];
    for (int role = 0; role < ROLES; role++)
        second[role] = find_role(c, (Role)role, field, n);
    c->header = c->at[ROLE_USER] != NO_COLUMN && c->at[ROLE_ITEM] != NO_COLUMN;
    for (int role = ROLE_USER; c->header && role <= ROLE_ITEM; role++)
        if (second[role]) {
            Text a = field[c->at[role]], b = field[second[role]];
            return fail(e, SP_FORMAT,
                        "%s:%zu: both \"%.*s\" and \"%.*s\" may be the %s column; choose with --columns "
                        "USER,ITEM[,RATING[,TIME]]",
                        path, line, (int)MIN(a.n, (size_t)40), a.p, (int)MIN(b.n, (size_t)40), b.p, role_names[role]);
        }
    if (c->header)
        return true;
    c->half_header = c->at[ROLE_USER] != NO_COLUMN || c->at[ROLE_ITEM] != NO_COLUMN;
    c->at[ROLE_USER] = 0;
    c->at[ROLE_ITEM] = 1;
    c->at[ROLE_RATING] = n > 2 ? 2 : NO_COLUMN;
    c->at[ROLE_TIME] = n > 3 ? 3 : NO_COLUMN;
    c->at[ROLE_PART] = NO_COLUMN;
    return true;
}

bool recommendations_header(const Text *field, size_t n, int at[3])
{
    static const char SCORES[] =
        "score scores prediction predictions pred predictedrating predictedscore estimate est value relevance";
    Columns c = {0};
    Error ignored = {0};
    if (!columns_find(&c, field, n, NULL, "", 0, &ignored) || !c.header)
        return false;
    at[0] = c.at[ROLE_USER];
    at[1] = c.at[ROLE_ITEM];
    at[2] = c.at[ROLE_RATING];
    for (size_t i = 0; i < n; i++) {
        int group;
        bool typed = false;
        if (find_known(SCORES, without_type(field[i], &typed), &group) >= 0)
            at[2] = (int)i;
    }
    return true;
}

/* ---- times ----------------------------------------------------------------------------------- */

/* Parses `digits` decimal digits at the start of *t, followed by the character `end` unless it is 0, and removes them
 * from *t. */
static bool take_digits(Text *t, size_t digits, char end, int64_t *value)
{
    if (t->n < digits + (end != 0) || !text_i64((Text){t->p, digits}, value) || *t->p == '-' || *t->p == '+' ||
        (end && t->p[digits] != end))
        return false;
    *t = (Text){t->p + digits + (end != 0), t->n - digits - (end != 0)};
    return true;
}

/* Returns the days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that a leap
 * day is the last day of its year; `before` is the number of days before the month. 719468 days are between 0000-03-01
 * and 1970-01-01. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t leap_days = year / 4 - year / 100 + year / 400, before = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5;
    return year * 365 + leap_days + before + day - 1 - 719468;
}

static bool date_parse(Text t, int64_t *seconds)
{
    int64_t year, month, day, hour = 0, minute = 0, second = 0, zone_hour = 0, zone_minute = 0;
    if (!take_digits(&t, 4, '-', &year) || !take_digits(&t, 2, '-', &month) || !take_digits(&t, 2, 0, &day) ||
        month < 1 || month > 12 || day < 1 ||
        days_of(year, month, day) >= days_of(year + month / 12, month % 12 + 1, 1))
        return false;
    if (t.n) {
        if (*t.p != 'T' && *t.p != ' ')
            return false;
        t = (Text){t.p + 1, t.n - 1};
        if (!take_digits(&t, 2, ':', &hour) || !take_digits(&t, 2, 0, &minute) || hour > 23 || minute > 59)
            return false;
        if (t.n && *t.p == ':') {
            t = (Text){t.p + 1, t.n - 1};
            if (!take_digits(&t, 2, 0, &second) || second > 60)
                return false;
            if (t.n && *t.p == '.')
                do
                    t = (Text){t.p + 1, t.n - 1};
                while (t.n && *t.p >= '0' && *t.p <= '9');
        }
    }
    int sign = t.n && *t.p == '-' ? -1 : 1;
    if (t.n && (*t.p == '+' || *t.p == '-')) {
        t = (Text){t.p + 1, t.n - 1};
        if (!take_digits(&t, 2, 0, &zone_hour))
            return false;
        if (t.n && *t.p == ':')
            t = (Text){t.p + 1, t.n - 1};
        if (t.n && !take_digits(&t, 2, 0, &zone_minute))
            return false;
    } else if (text_is(t, "Z") || text_is(t, " UTC")) {
        t.n = 0;
    }
    *seconds = days_of(year, month, day) * 86400 + (hour - sign * zone_hour) * 3600 +
               (minute - sign * zone_minute) * 60 + second;
    return t.n == 0;
}

bool time_parse(Text text, int64_t *seconds)
{
    double real;
    if (text_i64(text, seconds))
        return true;
    if (text_f64(text, &real) && fabs(real) < 0x1p62) {
        *seconds = (int64_t)floor(real);
        return true;
    }
    return date_parse(text, seconds);
}
