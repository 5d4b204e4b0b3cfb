/* tests/formats_test.c: tables by RFC 4180; layouts of interactions that are given, found or refused. */
#include "recsys/data/data.h"

#include "tests/recsys_testing.h"

/* ---- tables ---------------------------------------------------------------------------------- */

/* Checks the rows of a table, written as "line:field|field;". loose, trim: settings of Table. */
static void check_table(Text content, char separator, bool loose, bool trim, const char *expected)
{
    char text[1600] = "";
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Table t = table_open(content, separator, "t", a), again = table_open(content, separator, "t", a);
    t.loose = again.loose = loose;
    t.trim = again.trim = trim;
    size_t raw = 0;
    while (table_next(&t, &e)) {
        assert_true(table_skip(&again, &e));
        assert_int_equal(again.line, t.line);
        assert_true(text_equal(again.raw, t.raw));
        raw += t.raw.n;
        snprintf(text + strlen(text), sizeof text - strlen(text), "%zu:", t.line);
        for (size_t i = 0; i < t.count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s", i ? "|" : "", (int)t.field[i].n,
                     t.field[i].p);
        snprintf(text + strlen(text), sizeof text - strlen(text), ";");
    }
    assert_true(raw <= content.n);
    if (e.code)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s", e.message);
    assert_string_equal(text, expected);
    arena_free(a);
}

static void rows_of_fields(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char separator;
        bool loose, trim;
        const char *expected;
    } cases[] = {
        {"a,b\n\nc,\r\n,d", ',', false, false, "1:a|b;3:c|;4:|d;"},
        {"\"a,b\",\"c\"\"d\"\n\"e\nf\",g\r\nh,i\n", ',', false, false, "1:a,b|c\"d;2:e\nf|g;4:h|i;"},
        {"\"a\tb\"\tc\n\"\"\"\"\t\"\"\n", '\t', false, false, "1:a\tb|c;2:\"|;"},
        {"\"a;b\";c\n", ';', false, false, "1:a;b|c;"},
        {"\"a::b\"::c:d::\n", ':', false, false, "1:a::b|c:d|;"},
        {" a , \"b \" ,c\r\n  \n\"d\"", ',', false, true, "1:a|b |c;3:d;"},
        {"a  b c\n\n d\te \n", ' ', false, true, "1:a|b|c;3:d|e;"},
        {"\"a\" b\n", ' ', false, true, "1:\"a\"|b;"},
        {"say \"hi\",b\"\n", ',', false, false, "1:say \"hi\"|b\";"},
        {"\"a\",\"b\"\r\n\"c\",\"d\"\r\n", ',', false, false, "1:a|b;2:c|d;"},
        {"\"a\"b,c\n", ',', false, false,
         "t:1: \"b\" follows a closing double quote; a quote inside a field is written \"\""},
        {"\"a\"b,\"c\" d\r\n", ',', true, false, "1:ab|c d;"},
        {"a,b\nc,\"d\ne\n", ',', false, false, "1:a|b;t:2: a field opens a double quote that is never closed"},
        {"\"\"", ',', false, false, "1:;"},
        {"a,\"\"", ',', false, false, "1:a|;"},
        {"\"Weird Al\"\nb,c\n", 0, false, false, "1:\"Weird Al\";2:b,c;"},
        {"", ',', false, false, ""},
        {"\r\n\n", ',', false, false, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_table(text_of(cases[i].text), cases[i].separator, cases[i].loose, cases[i].trim, cases[i].expected);
    /* one row with many fields and a quote: time and memory are in proportion to its size */
    enum { BYTES = 1 << 20 };
    char *many = malloc(BYTES);
    assert_non_null(many);
    memset(many, ',', BYTES);
    many[0] = many[1] = '"';
    Error e = {0};
    Arena *a = arena_new(NULL, 64 << 20);
    Table t = table_open((Text){many, BYTES}, ',', "t", a);
    assert_false(table_next(&t, &e) && t.count > MOST_FIELDS);
    t = table_open((Text){many, BYTES / 2}, ',', "t", a);
    error_clear(&e);
    assert_true(table_next(&t, &e));
    assert_int_equal(t.count, BYTES / 2 - 1);
    arena_free(a);
    free(many);
}

/* ---- interactions ---------------------------------------------------------------------------- */

/* Checks the result, "format cut columns: user item rating time; ...", or the error. */
static void check_ratings(const char *content, Format f, const char *columns, char separator, const char *expected)
{
    char text[1024];
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Ratings r;
    Layout layout = {columns, separator};
    if (ratings_read_as(&r, put("r", content), f, &layout, a, &e) && ratings_sure(&r, &e)) {
        snprintf(text, sizeof text, "%s (%s):", format_words(r.format, r.separator), r.columns);
        for (size_t i = 0; i < r.count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), " %s %s %g %lld;",
                     text_index_at(r.users, r.user[i]).p, text_index_at(r.items, r.item[i]).p,
                     r.rating ? (double)r.rating[i] : 1, r.time ? (long long)r.time[i] : 0);
        assert_string_equal(text, expected);
    } else if (!strstr(e.message, expected)) {
        fail_msg("%s: wanted \"%s\", got \"%s\"", content, expected, e.message);
    }
    arena_free(a);
}

static void blanks_and_lists(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        Format format;
        const char *expected;
    } cases[] = {
        {"1 10 4 881250949\n1 11 3 881250950\n2 10 5 881250951\n", FORMAT_AUTO,
         "space-separated table (user, item, rating, time): 1 10 4 881250949; 1 11 3 881250950; 2 10 5 881250951;"},
        {"u1 i1 4.5\nu2  i2 3\n", FORMAT_AUTO, "space-separated table (user, item, rating): u1 i1 4.5 0; u2 i2 3 0;"},
        {"u1 i1\nu2 i2\n", FORMAT_AUTO, "space-separated table (user, item): u1 i1 1 0; u2 i2 1 0;"},
        {"0 4 2\n1\n3 7 1\n", FORMAT_AUTO, "LightGCN text (user, items): 0 4 1 0; 0 2 1 0; 3 7 1 0; 3 1 1 0;"},
        {"0 4\n1 5\n", FORMAT_AUTO, "LightGCN text (user, items): 0 4 1 0; 1 5 1 0;"},
        {"0 4 2\n1 5 3\n", FORMAT_AUTO,
         "may be LightGCN text (user item item ...) or a space-separated table (user item rating)"},
        {"0 4 2 7\n1 5 3 7\n", FORMAT_AUTO, "(user item rating time): choose with --format lightgcn or --format tsv"},
        {"0 4 2\n1 5 3\n", FORMAT_LIGHTGCN, "LightGCN text (user, items): 0 4 1 0; 0 2 1 0; 1 5 1 0; 1 3 1 0;"},
        {"0 4 2\n1 5 3\n", FORMAT_TSV, "space-separated table (user, item, rating): 0 4 2 0; 1 5 3 0;"},
        {"user item rating\n0 4 2\n1 5 3\n", FORMAT_AUTO,
         "space-separated table (user, item, rating): 0 4 2 0; 1 5 3 0;"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_ratings(cases[i].text, cases[i].format, NULL, 0, cases[i].expected);
}

static void names_of_columns(void **state)
{
    (void)state;
    static const struct {
        const char *text, *columns, *expected;
    } cases[] = {
        /* column names of public data sets */
        {"u_id,i_id\n1,2\n", NULL, "(u_id, i_id): 1 2 1 0;"},
        {"review_id,user_id,business_id,stars,date\nr,u,b,4,2018-07-07 22:09:11\n", NULL,
         "(user_id, business_id, stars, date): u b 4 1531001351;"},                                     /* Yelp */
        {"user_id,recipe_id,date,rating,review\nu,r,2003-02-17,5,\"Good,\nvery \"\"good\"\"\"\n", NULL, /* Food.com */
         "(user_id, recipe_id, rating, date): u r 5 1045440000;"},
        {"user_id,book_id,is_read,rating,is_reviewed\n0,948,1,5,0\n", NULL,
         "(user_id, book_id, rating): 0 948 5 0;"},                                          /* Goodreads */
        {"userID\tartistID\tweight\n2\t51\t13883\n", NULL, "(userID, artistID): 2 51 1 0;"}, /* Last.fm */
        {"\"User-ID\";\"ISBN\";\"Book-Rating\"\n\"276725\";\"034545104X\";\"0\"\n", NULL,    /* Book-Crossing */
         "semicolon-separated table (User-ID, ISBN, Book-Rating): 276725 034545104X 0 0;"},
        {"reviewerID,asin,reviewerName,overall,unixReviewTime,reviewTime\nA,B,\"Doe, J\",5,1252800000,\"09 13, "
         "2009\"\n",
         NULL, "(reviewerID, asin, overall, unixReviewTime): A B 5 1252800000;"},
        {"user_id,parent_asin,rating,timestamp\nA,B,5.0,1588687728923\n", NULL,
         "(user_id, parent_asin, rating, timestamp): A B 5 1588687728923;"},
        {"user_id,video_id,play_duration,time,date,timestamp,watch_ratio\n0,3,1,x,20200705,1593878903.4,1.3\n",
         NULL, /* KuaiRec */
         "(user_id, video_id, timestamp): 0 3 1 1593878903;"},
        {"user,track\nu,t\n", NULL, "(user, track): u t 1 0;"},
        {"user_id:token\titem_id:token\tlabel:float\nu\ti\t1\n", NULL,
         "RecBole .inter (user_id:token, item_id:token, label:float): u i 1 0;"},
        {"user,artist,track\nu,a,t\n", NULL,
         "r:1: both \"artist\" and \"track\" may be the item column; choose with --columns"},
        {"rating,asin,parent_asin,user_id\n5,a,b,u\n", NULL, "both \"asin\" and \"parent_asin\" may be the item"},
        {"rating,asin,parent_asin,user_id\n5,a,b,u\n", "user_id,parent_asin,rating",
         "(user_id, parent_asin, rating): u b 5 0;"},
        /* unknown names */
        {"reader_nr,novel\nu1,i1\nu2,i2\n", NULL,
         "r:1: the first line may name the columns or be an interaction: choose with --columns "
         "reader_nr,novel (names) or --columns user,item (an interaction)"},
        {"one,two\n1,2\n3,4\n", NULL, "the first line may name the columns"},
        {"c1,c2\n1,2\n3,4\n", NULL, "the first line may name the columns"},
        {"user_id,novel_x9\nu1,i1\nu2,i2\n", NULL, "the first line may name the columns"},
        {"reader_nr,novel\nu1,i1\nu2,i2\n", "reader_nr,novel", "(reader_nr, novel): u1 i1 1 0; u2 i2 1 0;"},
        {"reader_nr,novel\nu1,i1\n", "user,item", "(user, item): reader_nr novel 1 0; u1 i1 1 0;"},
        {"ann,dune\nann,emma\nbob,emma\n", NULL, "(user, item): ann dune 1 0; ann emma 1 0; bob emma 1 0;"},
        {"reader,novel,points\nu1,i1,3\n", NULL,
         "the rating is not a number: 'points'; if the first line names the columns, --columns must "
         "say which: reader,novel,points"},
        {"a,b,c,d,e\n", NULL, "has 5 columns; a file without column names"},
        {"u1,x,y,i1,4\nu2,x,y,i2,5\n", "user,-,-,item,rating", "(user, item, rating): u1 i1 4 0; u2 i2 5 0;"},
        {"196\t2010-10-17T01:48:53Z\t39.7\t-104.9\t88847\n", "user,time,-,-,item",
         "(user, item, time): 196 88847 1 1287280133;"},
        {"u1,i1,4\n", "user,item", "r:1: has 3 columns; --columns user,item names 2"},
        {"u1,i1,4\n", "user,book,rating",
         "--columns user,book,rating: not all of these names are in the first line (u1,i1,4)"},
        {"userID,itemID,x_label\n1,2,0\n", "userID,itemID", "MMRec .inter (userID, itemID, x_label): 1 2 1 0;"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char expected[400] = "";
        snprintf(expected, sizeof expected, "%s%s",
                 *cases[i].expected != '('     ? ""
                 : strchr(cases[i].text, '\t') ? "tab-separated table "
                                               : "comma-separated table ",
                 cases[i].expected);
        check_ratings(cases[i].text, FORMAT_AUTO, cases[i].columns, 0, expected);
    }
}

/* Checks that every name in the list of docs/formats.md is recognised with the meaning that the page states. */
static void names_that_the_page_lists(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        Role role;
    } rows[] = {{"| user |", ROLE_USER},
                {"| item |", ROLE_ITEM},
                {"| rating |", ROLE_RATING},
                {"| time |", ROLE_TIME},
                {"| x_label |", ROLE_PART}};
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Text rest, line, word;
    size_t names = 0;
    assert_ok(file_read(&rest, a, "docs/formats.md", 0, &e), e);
    while (text_line(&rest, &line))
        for (size_t k = 0; k < COUNT(rows); k++) {
            bool inside = false;
            for (Text cells = line; text_starts(line, rows[k].row) && text_next(&cells, '`', &word); inside = !inside) {
                Columns c;
                Text field[] = {rows[k].role == ROLE_USER ? word : TEXT("user"),
                                rows[k].role == ROLE_ITEM ? word : TEXT("item"), word};
                if (!inside)
                    continue;
                if (!columns_find(&c, field, rows[k].role < ROLE_RATING ? 2 : 3, NULL, "", 1, &e) || !c.header ||
                    c.at[rows[k].role] != MIN((int)rows[k].role, 2))
                    fail_msg("%.*s is not known as %s", (int)word.n, word.p, rows[k].row);
                names++;
            }
        }
    assert_true(names > 120);
    arena_free(a);
}

static void separators(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char separator;
        const char *expected;
    } cases[] = {
        {"1::1193::5::978300760\n", 0, "table separated by :: (user, item, rating, time): 1 1193 5 978300760;"},
        {"UserID::MovieID::Rating\n1::1193::5\n", 0, "table separated by :: (UserID, MovieID, Rating): 1 1193 5 0;"},
        {"1;1193;5\n", 0, "semicolon-separated table (user, item, rating): 1 1193 5 0;"},
        {"u;i;3,5\n", 0, "r:1: the separator may be \",\" or \";\": choose with --separator"},
        {"u;i;3,5\n", ';', "the rating is not a number: '3,5'"},
        {"u1,a::b,5\n", 0, "the separator may be \"::\" or \",\""},
        {"u1,a::b,5\n", ',', "comma-separated table (user, item, rating): u1 a::b 5 0;"},
        {"u1,\"a::b;c\",5\n", 0, "comma-separated table (user, item, rating): u1 a::b;c 5 0;"},
        {"user;item;note\nu;i;a, b\n", 0, "semicolon-separated table (user, item): u i 1 0;"},
        {"{\"user_id\":\"u\",\"item_id\":\"i\"}\n", 0, "is JSON; a table"},
        {"[\n{\"user\":1}]\n", 0, "is JSON"},
        {"{u1}\t%i1\t5\n", 0, "tab-separated table (user, item, rating): {u1} %i1 5 0;"},
        {"1:\n1488844,3,2005-09-06\n", 0, "is Netflix Prize text"},
        {"%%MatrixMarket matrix\n1 1 5\n", 0, "is Matrix Market text"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_ratings(cases[i].text, FORMAT_AUTO, NULL, cases[i].separator, cases[i].expected);
    char separator = 0;
    assert_true(layout_separator("colons", &separator) && separator == ':' && layout_separator("\t", &separator) &&
                separator == '\t');
    assert_false(layout_separator("pipe", &separator));
}

static void times_and_dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } cases[] = {
        {"881250949", 881250949},
        {"12.9", 12},
        {"1970-01-01", 0},
        {"2000-02-29", 951782400},
        {"1969-12-31", -86400},
        {"2005-09-06 12:30", 1126009800},
        {"2005-09-06T12:30:05Z", 1126009805},
        {"2005-09-06T12:30:05.250+02:00", 1126002605},
        {"2005-13-06", -1},
        {"2005-09", -1},
        {"2004-02-29", 1078012800},
        {"2004-12-31", 1104451200},
        {"2005-02-29", -1}, /* a day that does not exist */
        {"2005-09-31", -1},
        {"2005-09-06 24:30", -1},
        {"09 13, 2009", -1},
        {"2005-09-06x", -1},
        {"2005-09-06T12", -1},
        {"", -1},
        {"noon", -1},
        {"2005-09-06T12:30:05.", 1126009805},
        {"2005-09-06T-1:30", -1},
        {"2005-09-06T12:30+", -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t seconds = -1;
        if (!time_parse(text_of(cases[i].text), &seconds))
            seconds = -1;
        if (seconds != cases[i].seconds)
            fail_msg("%s: %lld", cases[i].text, (long long)seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_fields),   cmocka_unit_test(blanks_and_lists),
        cmocka_unit_test(names_of_columns), cmocka_unit_test(names_that_the_page_lists),
        cmocka_unit_test(separators),       cmocka_unit_test(times_and_dates),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
