/* tests/formats_test.c: tables by RFC 4180, layouts of interactions that are told, found or refused, gzip, arrays in Fortran order. */
#include "recsys/private.h"
#include "tools/extract.h"
#include "tools/recommendations.h"

#include "testing.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

static char dir[256];

static int make_dir(void **state)
{
    (void)state;
    test_folder(dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    test_folder_remove(dir);
    return 0;
}

static const char *put_bytes(const char *name, const void *bytes, size_t n)
{
    static char path[8][600];
    static int turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    FILE *f = fopen(p, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    return p;
}

static const char *put(const char *name, const char *text)
{
    return put_bytes(name, text, strlen(text));
}

/* ---- tables -------------------------------------------------------------------------------------------------------------- */

/* The rows as "line:field|field;" */
static void check_table(Text content, char cut, bool loose, bool trim, const char *expected)
{
    char text[1600] = "";
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Table t = table_open(content, cut, "t", a), again = table_open(content, cut, "t", a);
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
        char cut;
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
         "t:1: \"b\" stands behind a closing double quote; a quote inside a field is written \"\""},
        {"\"a\"b,\"c\" d\r\n", ',', true, false, "1:ab|c d;"},
        {"a,b\nc,\"d\ne\n", ',', false, false, "1:a|b;t:2: a field opens a double quote that is never closed"},
        {"\"\"", ',', false, false, "1:;"},
        {"a,\"\"", ',', false, false, "1:a|;"},
        {"\"Weird Al\"\nb,c\n", 0, false, false, "1:\"Weird Al\";2:b,c;"},
        {"", ',', false, false, ""},
        {"\r\n\n", ',', false, false, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_table(text_of(cases[i].text), cases[i].cut, cases[i].loose, cases[i].trim, cases[i].expected);
    /* one row of many fields and a quote: time and memory stay in proportion */
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

/* ---- interactions ------------------------------------------------------------------------------------------------------- */

/* "format cut columns: user item rating time; ..." or the error. */
static void check_ratings(const char *content, Format f, const char *columns, char cut, const char *expected)
{
    char text[1024];
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Ratings r;
    Layout layout = {columns, cut};
    if (ratings_read_as(&r, put("r", content), f, &layout, a, &e) && ratings_sure(&r, &e)) {
        snprintf(text, sizeof text, "%s (%s):", format_words(r.format, r.cut), r.columns);
        for (size_t i = 0; i < r.count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), " %.*s %.*s %g %lld;", (int)r.user[i].n, r.user[i].p,
                     (int)r.item[i].n, r.item[i].p, r.rating[i], r.time ? (long long)r.time[i] : 0);
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
         "table between blanks (user, item, rating, time): 1 10 4 881250949; 1 11 3 881250950; 2 10 5 881250951;"},
        {"u1 i1 4.5\nu2  i2 3\n", FORMAT_AUTO, "table between blanks (user, item, rating): u1 i1 4.5 0; u2 i2 3 0;"},
        {"u1 i1\nu2 i2\n", FORMAT_AUTO, "table between blanks (user, item): u1 i1 1 0; u2 i2 1 0;"},
        {"0 4 2\n1\n3 7 1\n", FORMAT_AUTO, "LightGCN text (user, items): 0 4 1 0; 0 2 1 0; 3 7 1 0; 3 1 1 0;"},
        {"0 4\n1 5\n", FORMAT_AUTO, "LightGCN text (user, items): 0 4 1 0; 1 5 1 0;"},
        {"0 4 2\n1 5 3\n", FORMAT_AUTO,
         "may be LightGCN text (user item item ...) or a table between blanks (user item rating)"},
        {"0 4 2 7\n1 5 3 7\n", FORMAT_AUTO, "(user item rating time): choose by --format lightgcn or --format tsv"},
        {"0 4 2\n1 5 3\n", FORMAT_LIGHTGCN, "LightGCN text (user, items): 0 4 1 0; 0 2 1 0; 1 5 1 0; 1 3 1 0;"},
        {"0 4 2\n1 5 3\n", FORMAT_TSV, "table between blanks (user, item, rating): 0 4 2 0; 1 5 3 0;"},
        {"user item rating\n0 4 2\n1 5 3\n", FORMAT_AUTO, "table between blanks (user, item, rating): 0 4 2 0; 1 5 3 0;"},
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
        /* names of public data sets */
        {"u_id,i_id\n1,2\n", NULL, "(u_id, i_id): 1 2 1 0;"},
        {"review_id,user_id,business_id,stars,date\nr,u,b,4,2018-07-07 22:09:11\n", NULL,
         "(user_id, business_id, stars, date): u b 4 1531001351;"},                                     /* Yelp */
        {"user_id,recipe_id,date,rating,review\nu,r,2003-02-17,5,\"Good,\nvery \"\"good\"\"\"\n", NULL, /* Food.com */
         "(user_id, recipe_id, rating, date): u r 5 1045440000;"},
        {"user_id,book_id,is_read,rating,is_reviewed\n0,948,1,5,0\n", NULL,
         "(user_id, book_id, rating): 0 948 5 0;"},                                          /* Goodreads */
        {"userID\tartistID\tweight\n2\t51\t13883\n", NULL, "(userID, artistID): 2 51 1 0;"}, /* Last.fm */
        {"\"User-ID\";\"ISBN\";\"Book-Rating\"\n\"276725\";\"034545104X\";\"0\"\n", NULL,    /* Book-Crossing */
         "table between semicolons (User-ID, ISBN, Book-Rating): 276725 034545104X 0 0;"},
        {"reviewerID,asin,reviewerName,overall,unixReviewTime,reviewTime\nA,B,\"Doe, J\",5,1252800000,\"09 13, 2009\"\n",
         NULL, "(reviewerID, asin, overall, unixReviewTime): A B 5 1252800000;"},
        {"user_id,parent_asin,rating,timestamp\nA,B,5.0,1588687728923\n", NULL,
         "(user_id, parent_asin, rating, timestamp): A B 5 1588687728923;"},
        {"user_id,video_id,play_duration,time,date,timestamp,watch_ratio\n0,3,1,x,20200705,1593878903.4,1.3\n",
         NULL, /* KuaiRec */
         "(user_id, video_id, timestamp): 0 3 1 1593878903;"},
        {"user,track\nu,t\n", NULL, "(user, track): u t 1 0;"},
        {"user_id:token\titem_id:token\tlabel:float\nu\ti\t1\n", NULL,
         "RecBole .inter (user_id:token, item_id:token, label:float): u i 1 0;"},
        {"user,artist,track\nu,a,t\n", NULL, "r:1: both \"artist\" and \"track\" may be the item; choose by --columns"},
        {"rating,asin,parent_asin,user_id\n5,a,b,u\n", NULL, "both \"asin\" and \"parent_asin\" may be the item"},
        {"rating,asin,parent_asin,user_id\n5,a,b,u\n", "user_id,parent_asin,rating",
         "(user_id, parent_asin, rating): u b 5 0;"},
        /* names that are not known */
        {"reader_nr,novel\nu1,i1\nu2,i2\n", NULL,
         "r:1: the first line may name the columns or be an interaction: choose by --columns "
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
        {"u1,i1,4\n", "user,item", "r:1: has 3 columns; --columns user,item tells of 2"},
        {"u1,i1,4\n", "user,book,rating", "--columns user,book,rating are not all among them"},
        {"userID,itemID,x_label\n1,2,0\n", "userID,itemID", "MMRec .inter (userID, itemID, x_label): 1 2 1 0;"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char expected[400] = "";
        snprintf(expected, sizeof expected, "%s%s",
                 *cases[i].expected != '('     ? ""
                 : strchr(cases[i].text, '\t') ? "table between tabs "
                                               : "table between commas ",
                 cases[i].expected);
        check_ratings(cases[i].text, FORMAT_AUTO, cases[i].columns, 0, expected);
    }
}

/* Every name that docs/formats.md lists is known as what it says. */
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
        char cut;
        const char *expected;
    } cases[] = {
        {"1::1193::5::978300760\n", 0, "table between :: (user, item, rating, time): 1 1193 5 978300760;"},
        {"UserID::MovieID::Rating\n1::1193::5\n", 0, "table between :: (UserID, MovieID, Rating): 1 1193 5 0;"},
        {"1;1193;5\n", 0, "table between semicolons (user, item, rating): 1 1193 5 0;"},
        {"u;i;3,5\n", 0, "r:1: may be cut at \",\" or at \";\": choose by --separator"},
        {"u;i;3,5\n", ';', "the rating is not a number: '3,5'"},
        {"u1,a::b,5\n", 0, "may be cut at \"::\" or at \",\""},
        {"u1,a::b,5\n", ',', "table between commas (user, item, rating): u1 a::b 5 0;"},
        {"u1,\"a::b;c\",5\n", 0, "table between commas (user, item, rating): u1 a::b;c 5 0;"},
        {"user;item;note\nu;i;a, b\n", 0, "table between semicolons (user, item): u i 1 0;"},
        {"{\"user_id\":\"u\",\"item_id\":\"i\"}\n", 0, "is JSON; a table"},
        {"1:\n1488844,3,2005-09-06\n", 0, "is Netflix Prize text"},
        {"%%MatrixMarket matrix\n1 1 5\n", 0, "is Matrix Market or KONECT text"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_ratings(cases[i].text, FORMAT_AUTO, NULL, cases[i].cut, cases[i].expected);
    char cut = 0;
    assert_true(layout_separator("colons", &cut) && cut == ':' && layout_separator("\t", &cut) && cut == '\t');
    assert_false(layout_separator("pipe", &cut));
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

/* ---- RFC 4180 in each place: interactions, splits, texts, row names, recommendations ------------------------------------------ */

static bool load(DataSet *d, Arena *a, Protocol p, const char *train, const char *test, const char *spec, Error *e)
{
    const char *specs[] = {spec};
    DataConfig c = {.train = train, .test = test, .protocol = p, .features = specs, .feature_count = spec != NULL};
    return dataset_load(d, &c, a, e);
}

static void quoted_fields_everywhere(void **state)
{
    (void)state;
    static const char RATINGS[] =
        "user_id,item_id,note\n\"Doe \"\"A\"\"\",\"a,b\",\"two\nlines\"\nRoe,\"a,b\",x\nRoe,c,\"\"\n";
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    char spec[700], out[300], text[320];
    Text made;
    /* interactions, joined with texts and row names */
    assert_ok(npy_write_f32(put("n.npy", ""), 2, (int64_t[]){2, 1}, (float[]){7, 8}, NULL, &e), e);
    put("n.ids.txt", "c\na,b\n"); /* a line is an id as it stands */
    snprintf(spec, sizeof spec, "visual=%s/n.npy", dir);
    assert_ok(load(&d, a, PROTOCOL_ELLIOT, put("r.csv", RATINGS), NULL, spec, &e), e);
    int64_t doe = text_index_find(d.users, TEXT("Doe \"A\"")), ab = text_index_find(d.items, TEXT("a,b"));
    assert_true(doe == 0 && ab >= 0 && d.I == 2 && d.U == 2);
    assert_true(d.features[0].data[ab] == 8);
    /* recommendations */
    Recs r = {0};
    assert_ok(recommendations_read(&r, put("recs.csv", "\"Doe \"\"A\"\"\",\"a,b\",1\nRoe,c,2\n"), &d, a, &e), e);
    assert_true(r.count == 2 && r.list[0].user == doe && r.list[0].item == ab);
    memset(&r, 0, sizeof r);
    assert_ok(recommendations_read(&r, put("recs.tsv", "\"Doe \"\"A\"\"\"\t\"a,b\"\t1\n"), &d, a, &e), e);
    assert_true(r.count == 1 && r.list[0].user == doe && r.list[0].item == ab);
    dataset_close(&d);
    /* texts */
    Input *rows;
    size_t n;
    assert_ok(
        table_read(&rows, &n, put("t.csv", "\"id\",text\n\"a,b\",\"so \"\"red\"\"\nor, blue\"\n"), "id", "text", a, &e), e);
    assert_true(n == 1 && !strcmp(rows[0].name, "a,b") && text_is(rows[0].text, "so \"red\"\nor, blue"));
    /* a split keeps the rows byte for byte, line ends inside quotes too */
    size_t counts[3];
    snprintf(out, sizeof out, "%s/parts", dir);
    SplitConfig c = {.strategy = SPLIT_LEAVE_N_OUT, .leave_n = 1, .seed = 1};
    assert_ok(split_file(put("r.csv", RATINGS), out, &c, counts, &e), e);
    assert_true(counts[0] == 1 && counts[2] == 2);
    snprintf(text, sizeof text, "%s/test.tsv", out);
    assert_ok(file_read(&made, a, text, 0, &e), e);
    assert_non_null(strstr(made.p, "\"Doe \"\"A\"\"\",\"a,b\",\"two\nlines\"\n"));
    assert_true(text_starts(made, "user_id,item_id,note\n"));
    arena_free(a);
}

/* ---- data sets ------------------------------------------------------------------------------------------------------------ */

static void recbole_tokens_under_mmrec(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    assert_ok(load(&d, a, PROTOCOL_MMREC, put("a.inter", "user_id:token\titem_id:token\nx\tB7\ny\tB2\nx\tB2\n"),
                   put("b.inter", "user_id:token\titem_id:token\ny\tB9\nx\tB7\n"), NULL, &e),
              e);
    assert_true(d.U == 2 && d.I == 3); /* B9 is of the data set, as MMRec counts items over all rows */
    assert_true(text_is(text_index_at(d.users, 1), "y") && text_is(text_index_at(d.items, 0), "B7") &&
                text_is(text_index_at(d.items, 2), "B9"));
    assert_int_equal(d.counted[2].unknown, 1);
    /* whole numbers stay what they are */
    assert_ok(load(&d, a, PROTOCOL_MMREC, put("a.inter", "user_id:token\titem_id:token\n3\t5\n"), NULL, NULL, &e), e);
    assert_true(d.U == 4 && d.I == 6);
    assert_false(load(&d, a, PROTOCOL_MMREC, put("a.tsv", "x\tB7\ny\tB2\n"), NULL, NULL, &e));
    assert_error(e, SP_FORMAT, "user id 'x' is not a whole number");
    arena_free(a);
}

static void what_is_left_out_is_counted(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    assert_ok(load(&d, a, PROTOCOL_ELLIOT, put("a.tsv", "u\ti\t5\nu\ti\t4\nv\tj\t3\n"),
                   put("b.tsv", "u\tj\t5\nz\ti\t4\nv\tk\t3\n"), NULL, &e),
              e);
    assert_true(d.counted[0].rows == 3 && d.counted[0].repeated == 1 && d.counted[2].rows == 3 && d.counted[2].cold == 1 &&
                d.counted[2].unknown == 1);
    char *text = NULL, *json = NULL;
    size_t n;
    FILE *t = open_memstream(&text, &n), *j = open_memstream(&json, &n);
    dataset_describe(&d, t, j);
    fclose(t);
    fclose(j);
    assert_string_equal(
        text,
        "data: table between tabs (user, item, rating), 2 users, 2 items, density 50%, train 3, test 3; left out: 1 train "
        "rows that a later row repeats, 1 test rows whose user is not in train; counted as missed: 1 test rows whose "
        "item is not in train\n");
    assert_non_null(json_parse(a, text_of(json), "json", &e));
    assert_non_null(strstr(json, "\"users\":2,\"items\":2,\"density\":0.5,\"train\":{\"rows\":3,"));
    free(text);
    free(json);
    arena_free(a);
}

static void labels_split_one_file(void **state)
{
    (void)state;
    static const char INTER[] = "userID\titemID\tx_label\n0\t1\t0\n0\t2\t1\n0\t0\t2\n1\t2\t0\n";
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    const char *path = put("a.inter", INTER);
    assert_ok(load(&d, a, PROTOCOL_MMREC, path, path, NULL, &e), e);
    assert_true(d.train.count == 2 && d.valid.count == 1 && d.test.count == 1);
    assert_false(load(&d, a, PROTOCOL_MMREC, put("t.tsv", "0\t1\n"), path, NULL, &e)); /* its train rows are no test rows */
    assert_error(e, SP_USAGE, "a.inter: splits itself by its x_label column");
    error_clear(&e);
    assert_ok(
        load(&d, a, PROTOCOL_MMREC, put("t.tsv", "0\t1\n"), put("b.inter", "userID\titemID\tx_label\n0\t2\t2\n"), NULL, &e),
        e);
    arena_free(a);
}

/* A first row of a user that train has is no header. */
static void a_test_row_in_doubt(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    const char *train = put("t.tsv", "ann\tdune\nann\temma\nbob\temma\n");
    assert_ok(load(&d, a, PROTOCOL_ELLIOT, train, put("u.tsv", "bob\tdune\nann\tivanhoe\n"), NULL, &e), e);
    assert_false(load(&d, a, PROTOCOL_ELLIOT, train, put("u.tsv", "reader\tnovel\nbob\tdune\n"), NULL, &e));
    assert_error(e, SP_FORMAT, "u.tsv:1: the first line may name the columns");
    arena_free(a);
}

/* ---- recommendations -------------------------------------------------------------------------------------------------------- */

static void recommendations(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected; /* "user item score; ..." in the order of the lists, or the error */
    } cases[] = {
        {"0\t1\t.5\n0\t2\t.7\n", "0 2 0.7; 0 1 0.5; "},
        {"user,item,score\n0,1,.5\n0,2,.7\n", "0 2 0.7; 0 1 0.5; "},
        {"item_id;user_id;prediction\n1;0;.5\n2;0;.7\n", "0 2 0.7; 0 1 0.5; "},
        {"userId,movieId\n0,1\n0,2\n", "0 1 -2; 0 2 -3; "},
        {"0,1,.5\n", "0 1 0.5; "},
        {"0::1::.5\n", "0 1 0.5; "},
        {"id\ttop_0\ttop_1\n0\t2\t1\n1\t0\t2\n", "0 2 -1; 0 1 -2; 1 0 -1; 1 2 -2; "}, /* MMRec's file */
        {"id\ttop_0\ttop_1\n0\t2\n", ":2: has 2 columns, the header has 3"},
        {"0,1,.5\n0,2\n", ":2: has 2 columns; three columns are expected"},
        {"0 1\n", ":1: has 2 columns; three columns are expected"},
        {"user,item,score\n0,1,x\n", ":2: the score \"x\" is not a number"},
        {"a,b,c\n0,1,3\n", ":1: the score \"c\" is not a number; a header has the names user, item, score"},
        {"user,item,score\n", "holds no recommendation"},
        {"id\ttop_0\n9\t1\n", "none of its users is in the data"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        DataSet d;
        Recs r = {0};
        char text[300] = "";
        assert_ok(load(&d, a, PROTOCOL_MMREC, put("t.tsv", "0\t1\n1\t2\n"), NULL, NULL, &e), e);
        if (recommendations_read(&r, put("recs", cases[i].text), &d, a, &e))
            for (size_t k = 0; k < r.count; k++)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%d %d %g; ", r.list[k].user, r.list[k].item,
                         r.list[k].score);
        if (e.code ? !strstr(e.message, cases[i].expected) : strcmp(text, cases[i].expected))
            fail_msg("%s: wanted \"%s\", got \"%s%s\"", cases[i].text, cases[i].expected, text, e.message);
        arena_free(a);
    }
}

/* ---- packed files, arrays and Ducho's names -------------------------------------------------------------------------------- */

static void gzip_files(void **state)
{
    (void)state;
#ifdef HAVE_ZLIB
    enum { BOMB = 96 << 20 };
    static const char TABLE[] = "u1,i1,4\nu2,i2,5\n";
    unsigned char *packed = malloc(1 << 20), *zeros = calloc(1 << 20, 1);
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    Ratings r;
    assert_true(packed && zeros);
    z_stream s = {0};
    assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    s.next_in = (unsigned char *)(uintptr_t)TABLE;
    s.avail_in = sizeof TABLE - 1;
    s.next_out = packed;
    s.avail_out = 1 << 20;
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    size_t n = s.total_out;
    assert_ok(ratings_read(&r, put_bytes("r.csv.gz", packed, n), FORMAT_AUTO, a, &e), e);
    assert_true(r.count == 2 && text_is(r.item[1], "i2"));
    memcpy(packed + n, packed, n); /* two members, and padding */
    memset(packed + 2 * n, 0, 512);
    assert_ok(ratings_read(&r, put_bytes("r.csv.gz", packed, 2 * n + 512), FORMAT_AUTO, a, &e), e);
    assert_int_equal(r.count, 4);
    static const struct {
        size_t keep, spoil;
        const char *why;
    } cases[] = {{10, 0, "truncated"}, {0, 12, "damaged"}, {1, 0, "truncated"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char kept = packed[cases[i].spoil];
        packed[cases[i].spoil] ^= cases[i].spoil ? 0xff : 0;
        assert_false(ratings_read(&r, put_bytes("bad.gz", packed, n - cases[i].keep), FORMAT_AUTO, a, &e));
        assert_error(e, SP_FORMAT, cases[i].why);
        error_clear(&e);
        packed[cases[i].spoil] = kept;
    }
    memcpy(packed + n, "tail", 4);
    assert_false(ratings_read(&r, put_bytes("bad.gz", packed, n + 4), FORMAT_AUTO, a, &e));
    assert_error(e, SP_FORMAT, "bytes that are not gzip follow");
    error_clear(&e);
    arena_free(a);
    /* a bomb: 96 MB of zeros in 94 KB, refused in little memory */
    deflateReset(&s);
    s.next_out = packed;
    s.avail_out = 1 << 20;
    for (size_t done = 0; done < BOMB; done += 1 << 20) {
        s.next_in = zeros;
        s.avail_in = 1 << 20;
        assert_int_equal(deflate(&s, done + (1 << 20) == BOMB ? Z_FINISH : Z_NO_FLUSH),
                         done + (1 << 20) == BOMB ? Z_STREAM_END : Z_OK);
    }
    n = s.total_out;
    deflateEnd(&s);
    a = arena_new(NULL, 64 << 20);
    assert_false(ratings_read(&r, put_bytes("bomb.gz", packed, n), FORMAT_AUTO, a, &e));
    assert_error(e, SP_FORMAT, "the gzip file unpacks to more than");
    free(zeros);
    free(packed);
    arena_free(a);
#else
    puts("skipped: this build has no zlib");
    skip();
#endif
}

static void foreign_files_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } cases[] = {
        {"PK\3\4\0\0", 6, "is a zip archive (.zip, .npz or .xlsx), text is expected"},
        {"\x28\xb5\x2f\xfd\0", 5, "is a Zstandard file"},
        {"PAR1\0", 5, "is a Parquet file"},
        {"\xff\xfeu\0", 4, "is UTF-16 text"},
        {"\x93NUMPY\1\0", 8, "is a NumPy .npy file"},
        {"a\0b", 3, "holds a NUL byte: not a text file"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Ratings r;
        assert_false(ratings_read(&r, put_bytes("x", cases[i].bytes, cases[i].n), FORMAT_AUTO, a, &e));
        assert_error(e, SP_FORMAT, cases[i].why);
        arena_free(a);
    }
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } arrays[] = {
        {"", 0, "x.npy: is empty, not a NumPy .npy file"},
        {"PK\3\4\0\0", 6, "is a zip archive (.zip, .npz or .xlsx), not a NumPy .npy file; of an .npz, save the one array"},
        {"\x93NUMPY\1\0", 8, "header is truncated"},
        {"text", 4, "x.npy: not a NumPy .npy file"},
    };
    for (size_t i = 0; i < COUNT(arrays); i++) {
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Npy n;
        assert_false(npy_open(&n, put_bytes("x.npy", arrays[i].bytes, arrays[i].n), a, &e));
        assert_error(e, SP_FORMAT, arrays[i].why);
        arena_free(a);
    }
}

static void fortran_order(void **state)
{
    (void)state;
    static const struct {
        const char *shape;
        float expected[6];
    } cases[] = {
        {"(2, 3)", {0, 2, 4, 1, 3, 5}}, {"(3, 2)", {0, 3, 1, 4, 2, 5}},    {"(1, 6)", {0, 1, 2, 3, 4, 5}},
        {"(6,)", {0, 1, 2, 3, 4, 5}},   {"(3, 1, 2)", {0, 3, 1, 4, 2, 5}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char bytes[128 + 24];
        float values[6] = {0, 1, 2, 3, 4, 5}, got[6];
        int n = snprintf(bytes, sizeof bytes, "%cNUMPY%c%c%c%c{'descr': '<f4', 'fortran_order': True, 'shape': %s, }", 0x93,
                         1, 0, 118, 0, cases[i].shape);
        memcpy(bytes, "\x93NUMPY\1\0\x76\0", 10);
        memset(bytes + n, ' ', sizeof bytes - (size_t)n);
        memcpy(bytes + 128, values, sizeof values);
        Error e = {0};
        Arena *a = arena_new(NULL, 0);
        Npy npy;
        assert_ok(npy_open(&npy, put_bytes("f.npy", bytes, sizeof bytes), a, &e), e);
        array_f32(&npy.array, 0, 6, got);
        assert_memory_equal(got, cases[i].expected, sizeof got);
        npy_close(&npy);
        arena_free(a);
    }
}

static void put_item(const char *name, float value)
{
    char file[100];
    Error e = {0};
    snprintf(file, sizeof file, "items/%s.npy", name);
    assert_ok(npy_write_f32(put(file, ""), 2, (int64_t[]){1, 1}, &value, NULL, &e), e);
}

static void names_cut_at_the_first_dot(void **state)
{
    (void)state;
    Error e = {0};
    Arena *a = arena_new(NULL, 0);
    DataSet d;
    char spec[700];
    snprintf(spec, sizeof spec, "%s/items", dir);
    assert_ok(folder_make(spec, &e), e);
    snprintf(spec, sizeof spec, "visual=%s/items", dir);
    put_item("B00", 7); /* Ducho's file for B00.1.jpg */
    put_item("C1.5", 8);
    put_item("D", 9);
    const char *train = put("t.tsv", "u\tB00.1\nu\tC1.5\nv\tD\n");
    assert_ok(load(&d, a, PROTOCOL_ELLIOT, train, NULL, spec, &e), e);
    assert_true(d.features[0].data[text_index_find(d.items, TEXT("B00.1"))] == 7);
    assert_true(d.features[0].data[text_index_find(d.items, TEXT("C1.5"))] == 8);
    dataset_close(&d);
    static const char *const shared[] = {"u\tB00.1\nu\tB00.2\n", "u\tB00\nu\tB00.2\n", "u\tB00.2\nu\tB00\n"};
    for (size_t i = 0; i < COUNT(shared); i++) {
        assert_false(load(&d, a, PROTOCOL_ELLIOT, put("t.tsv", shared[i]), NULL, spec, &e));
        assert_error(e, SP_FORMAT, "items/B00.npy: may be of item B00");
        error_clear(&e);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_fields),
        cmocka_unit_test(blanks_and_lists),
        cmocka_unit_test(names_of_columns),
        cmocka_unit_test(names_that_the_page_lists),
        cmocka_unit_test(separators),
        cmocka_unit_test(times_and_dates),
        cmocka_unit_test(quoted_fields_everywhere),
        cmocka_unit_test(recbole_tokens_under_mmrec),
        cmocka_unit_test(what_is_left_out_is_counted),
        cmocka_unit_test(labels_split_one_file),
        cmocka_unit_test(a_test_row_in_doubt),
        cmocka_unit_test(recommendations),
        cmocka_unit_test(gzip_files),
        cmocka_unit_test(foreign_files_are_named),
        cmocka_unit_test(fortran_order),
        cmocka_unit_test(names_cut_at_the_first_dot),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
