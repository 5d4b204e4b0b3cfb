#!/bin/sh
# tests/data_test.sh: how commands read interactions and recommendations, and their messages. Speaks TAP; $BUILD is the
# folder of the build.
test=data
. "$(dirname "$0")/shell.sh"
number=0

ok() { # STATUS NAME
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else
        echo "not ok $number - $2"
        sed 's/^/# /' out err
    fi
}

right() { # NAME PATTERN COMMAND...: exit 0 and a line of out or err that matches
    name=$1 pattern=$2
    shift 2
    "$sapor" "$@" >out 2>err </dev/null && cat out err | grep -q -- "$pattern"
    ok $? "$name"
}

wrong() { # NAME PATTERN COMMAND...: exit 1 or 2, one line on standard error that matches, nothing written
    name=$1 pattern=$2
    shift 2
    rm -rf made
    "$sapor" "$@" >out 2>err </dev/null
    status=$?
    [ $status = 1 ] || [ $status = 2 ]
    bad=$?
    [ "$(grep -c . err)" = 1 ] && grep -q -- "$pattern" err && [ ! -e made ] && [ $bad = 0 ]
    ok $? "$name"
}

# ---- how a file is read, in split, train and evaluate --------------------------------------------------------------------------------
printf '1 10 4 100\n1 11 3 101\n2 10 5 102\n2 12 5 103\n' >blanks.txt
right 'a space-separated table' 'blanks.txt: space-separated table (user, item, rating, time), 2 users, 3 items, 4 interactions, density 66.7%' \
    split blanks.txt --out parts --strategy temporal --leave-n 1
[ "$(cat parts/test.tsv)" = "$(printf '1 11 3 101\n2 12 5 103')" ]
ok $? 'its times are times'
printf '1 10 4\n2 11 3\n' >either.txt
for command in 'split either.txt --out made' 'train MostPop --train either.txt --out made' 'evaluate recs.tsv --test either.txt'; do
    wrong "${command%% *}: LightGCN text or a table" 'either.txt: may be LightGCN text .* or a space-separated table .*--format lightgcn or --format tsv' $command
done
right 'told to be LightGCN text' 'LightGCN text (user, items), 2 users, 4 items, density 50%, train 4' train MostPop --train either.txt --format lightgcn
right 'told to be a table' 'space-separated table (user, item, rating), 2 users, 2 items, density 50%, train 2' train MostPop --train either.txt --format tsv
printf 'reader,novel\nann,dune\nbob,emma\nbob,dune\n' >names.csv
for command in 'split names.csv --out made' 'train MostPop --train names.csv --out made' 'evaluate recs.tsv --test names.csv'; do
    wrong "${command%% *}: a header of unknown names" 'names.csv:1: .*--columns reader,novel (names) or --columns user,item (an interaction)' $command
done
right 'its columns told' '"columns":"reader, novel","users":2,"items":2,' train MostPop --train names.csv --columns reader,novel --out run --quiet --json
right 'a run knows them' '"user":"ann","item":"emma"' recommend run -k 1 --json
wrong 'one column told' '"reader" is one name' train MostPop --train names.csv --columns reader
wrong 'a separator that there is not' 'choose one of tab, comma' train MostPop --train names.csv --separator pipe
wrong 'columns of LightGCN text' 'this format has no columns; remove --columns' train MostPop --train either.txt --format lightgcn --columns a,b
printf 'u;a;3,5\nu;b;4,5\n' >comma.csv
wrong 'two separators' 'comma.csv:1: the separator may be "," or ";": choose with --separator' train MostPop --train comma.csv
right 'one of them told' 'comma-separated table (user, item)' train MostPop --train comma.csv --separator comma
printf '1::10::4::100\n1::11::3::101\n' >ml.dat
right 'MovieLens text' 'table separated by :: (user, item, rating, time), 1 users, 2 items' train MostPop --train ml.dat
printf '\037\213\010\000\000\000\000\000\002\003\053\065\324\311\064\324\061\341\052\065\322\311\064\322\061\345\002\000\254\171\303\011\020\000\000\000' >broken.gz
if "$sapor" info | grep -q '^ *zlib *not in'; then
    wrong 'gzip without zlib' 'this build has no zlib' train MostPop --train broken.gz
else
    wrong 'damaged gzip' 'broken.gz: the gzip data are' train MostPop --train broken.gz
fi

# ---- messages about the data ------------------------------------------------------------------------------------------------------------
printf 'u\ta\t5\nu\tb\t5\nv\ta\t4\nv\ta\t4\n' >train.tsv
printf 'u\tc\t5\nv\tb\t4\nz\ta\t1\n' >test.tsv
printf 'u\ta\t1\nv\tb\t1\n' >recs.tsv
said='2 users, 2 items, density 75%, train 4, test 3; left out: 1 train rows whose user and item occur again later, 1 test rows whose user is not in train; counted as missed: 1 test rows whose item is not in train'
right 'train says what it read' "^data: tab-separated table (user, item, rating), $said\$" train MostPop --train train.tsv --test test.tsv
right 'evaluate too' "^data: .*$said\$" evaluate recs.tsv --train train.tsv --test test.tsv
right 'and programs' '^{"event":"data","format":"tsv",.*"users":2,"items":2,.*"test":{"rows":3,"left_out":{"user_not_in_train":1,' \
    evaluate recs.tsv --train train.tsv --test test.tsv --json
right 'split says what the core leaves out' '1 users, 1 items, 2 interactions, density 100%; left out by the 2-core: 2 of 4 rows; repeated pairs, kept: 1' \
    split train.tsv --out parts2 --k-core 2 --leave-n 1
right 'and programs' '^{"event":"data",.*"rows":2,.*"left_out":{"core":2},"repeated":1}' split train.tsv --out parts2 --k-core 2 --leave-n 1 --json
"$sapor" train MostPop --train train.tsv --test test.tsv --quiet >out 2>err && ! grep -q . err && ! grep -q data: out
ok $? 'quiet is quiet'

# ---- the rule of ids -----
# An id is written into files with one id per line, and into tables.
printf 'user,item\nann,dune\n"bob\njr",emma\ncid,dune\n' >lines.csv
printf 'user,item\nann,dune\nbob,"em\tma"\ncid,dune\n' >tabs.csv
printf 'user,item\nann,dune\nbob,dune\n' >plain.csv
for command in 'split lines.csv --out made' 'train MostPop --train lines.csv --out made'; do
    wrong "${command%% *}: a line end in an id" 'lines.csv:3: the id .* holds a line end; rename it' $command
done
for command in 'split tabs.csv --out made' 'train MostPop --train tabs.csv --out made' 'train MostPop --train plain.csv --test tabs.csv --out made'; do
    wrong "${command%% *}: a tab in an id" 'tabs.csv:3: the id .* holds a tab; rename it' $command
done

# ---- evaluate ---------------------------------------------------------------------------------------------------------------------------
printf 'userID\titemID\tx_label\n0\t0\t0\n1\t0\t0\n0\t1\t2\n0\t2\t2\n1\t1\t2\n2\t1\t2\n' >d.inter
printf '0\t1\t2\n0\t2\t1\n' >half.tsv
right 'an .inter as truth' '^warning: 1 of 2 users with test items have no list: each counts as 0 (mmrec)$' \
    evaluate half.tsv --test d.inter --protocol mmrec --cutoffs 2 --metrics Recall --json
right 'users without a list count under mmrec' '"users":2,"without_list":1,"lines_of_unknown_users":0,"Recall@2":0.5}' \
    evaluate half.tsv --test d.inter --protocol mmrec --cutoffs 2 --metrics Recall --json
right 'and not under elliot' '"users":1,"without_list":1,"lines_of_unknown_users":0,"Recall@2":1}' evaluate half.tsv --test d.inter --cutoffs 2 --metrics Recall --json
right 'which is said too' 'warning: 1 of 2 users with test items have no list: they are skipped (elliot)' evaluate half.tsv --test d.inter
right 'the file named twice' '"Recall@2":0.5}' evaluate half.tsv --train d.inter --test d.inter --protocol mmrec --cutoffs 2 --metrics Recall --json
mkfifo pipe
cat d.inter >pipe &
right 'a pipe is read once' '"users":1,"without_list":1,"lines_of_unknown_users":0,"Recall@2":1}' evaluate half.tsv --test pipe --cutoffs 2 --metrics Recall --json
kill $! 2>/dev/null
printf 'userID\titemID\tx_label\n0\t0\t0\n' >only.inter
wrong 'an .inter without test rows' 'only.inter: holds no test rows' evaluate half.tsv --test only.inter
printf 'id\ttop_0\ttop_1\n0\t1\t2\n1\t1\t2\n' >top.csv
right 'lists as MMRec writes them' '"users":2,"without_list":0,"lines_of_unknown_users":0,"Recall@2":1}' \
    evaluate top.csv --test d.inter --protocol mmrec --cutoffs 2 --metrics Recall --json
printf 'user,item,score\n1,1,.5\n0,1,.5\n0,2,.25\n' >recs.csv
right 'commas and a header' '"users":2,"without_list":0,"lines_of_unknown_users":0,"Recall@2":1}' \
    evaluate recs.csv --test d.inter --protocol mmrec --cutoffs 2 --metrics Recall --json
printf 'user_id:token\titem_id:token\nx\tB7\ny\tB2\nx\tB2\n' >r.train.inter
printf 'user_id:token\titem_id:token\ny\tB7\n' >r.test.inter
right 'tokens of RecBole under mmrec' 'RecBole .inter (user_id:token, item_id:token), 2 users, 2 items' \
    train MostPop --train r.train.inter --test r.test.inter --protocol mmrec --out tokens
right 'and what is recommended to them' '^{"user":"y","item":"B7"' recommend tokens --users y -k 1 --json

# ---- users by name ------------------------------------------------------------------------------------------------------------------------
printf 'user,item\n"Doe ""A""",x\n"Roe, B",y\n"Roe, B",z\n' >quoted.csv
"$sapor" train MostPop --train quoted.csv --out quoted --quiet >out 2>err
right 'users in quotes' '"user":"Roe, B"' recommend quoted --users '"Roe, B","Doe ""A"""' -k 1 --json
[ "$(grep -c . out)" = 2 ] && grep -q '"user":"Doe \\"A\\""' out
ok $? 'and quotes in them'
printf 'Doe "A"\n' >users.txt
right 'a list of users, an id a line' '"user":"Doe \\"A\\"","item":"[yz]"' recommend quoted --users users.txt -k 1 --json
echo "1..$number"
