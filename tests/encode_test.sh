#!/bin/sh
# tests/encode_test.sh: encode and extract with inputs that cannot be read and with invalid ids, and encode as a filter.
# Speaks TAP; $BUILD is the folder of the build.
test=encode
. "$(dirname "$0")/shell.sh"
draw_models
images=$root/tests/golden/images
tab=$(printf '\t')

same() { # NAME FILE LINE...: the file has exactly these lines
    name=$1 file=$2
    shift 2
    printf '%s\n' "$@" >list.expected
    cmp -s list.expected "$file"
    status=$?
    [ $status = 0 ] || diff list.expected "$file" | sed 's/^/# /'
    ok $status "$name"
}

rows() { # FILE: prints the number of rows in the header of an .npy
    head -c 128 "$1" | sed -n "s/.*'shape': (\([0-9]*\), [0-9]*), }.*/\1/p"
}

# ---- inputs that cannot be read ----------------------------------------------------------------------------------------------
mkdir pictures good
for name in a b d e; do cp "$images/RGB.png" pictures/$name.png; done
cp pictures/* good
head -c 60 "$images/RGB.png" >pictures/b.png
printf 'junk' >pictures/c.jpg
right 'encode goes on where pictures cannot be read' encode colour-statistics pictures -o some.npy --quiet --json
grep -q '"inputs":5,"rows":3,"missing":2,' out
ok $? 'and counts them'
same 'rows have the other ids' some.ids.txt a d e
[ "$(rows some.npy)" = 3 ] && [ "$(wc -c <some.npy)" = $((128 + 3 * 118 * 4)) ]
ok $? 'and the header has their number'
cut -f 1 missing_some.tsv >list.ids
same 'what is missing is listed' list.ids id b c
grep -q "^c${tab}is not a JPEG, PNG or WebP image" missing_some.tsv && [ ! -s err ]
ok $? 'with its reason; --quiet says nothing'
right 'the same with a warning' encode colour-statistics pictures -o some.npy
grep -q '^sapor: warning: 2 of 5 inputs could not be read.*missing_some.tsv' err
ok $? 'one line of warning'
"$sapor" encode colour-statistics good -o whole.npy --quiet
for row in 0 2 3; do
    at=$((128 + row * 472)) to=$((128 + (row > 0 ? row - 1 : 0) * 472))
    tail -c +$((at + 1)) whole.npy | head -c 472 >list.one
    tail -c +$((to + 1)) some.npy | head -c 472 | cmp -s - list.one || echo "# row $row differs"
done >list.differ
[ ! -s list.differ ]
ok $? 'rows are those of a run without damage'
right 'through an encoder' encode "$root/share/encoders/demo/vision" pictures -o vision.npy --batch 2 --quiet
same 'a batch around a damaged picture' vision.ids.txt a d e
rm pictures/b.png pictures/c.jpg
right 'encode when all can be read' encode colour-statistics pictures -o some.npy --quiet
[ ! -e missing_some.tsv ]
ok $? 'no list is left of an earlier run'
cp "$images/RGB.png" pictures/x.png
printf 'junk' >pictures/y.png
wrong 1 'pictures/y.png: is not a JPEG' 'encode --strict stops' encode colour-statistics pictures -o other.npy --quiet --strict
wrong 1 'pictures/y.png: is not a JPEG' 'a single picture that cannot be read' encode colour-statistics pictures/y.png -o other.npy --quiet
mkdir junk
printf 'junk' >junk/1.png
printf 'junk' >junk/2.png
wrong 1 'junk/1.png: .*none of the 2 inputs could be read' 'nothing could be read' encode colour-statistics junk -o other.npy --quiet
wrong 1 'pictures/y.png' 'standard output has rows by position: encode stops' encode colour-statistics pictures -o - --quiet
printf 'a lamp\nbl\377e\n' >latin.txt
wrong 1 'latin.txt:2: is not valid UTF-8' 'lines without ids: encode stops' encode word-statistics latin.txt -o other.npy --quiet

# ---- tables and ids ------------------------------------------------------------------------------------------------------------
printf 'id\ttitle\nx\ta lamp\ny\tcaf\351\n"z ""1"""\t"a ""red"" bag\n"\n' >titles.tsv
right 'encode a table' encode word-statistics titles.tsv --id-column id --text-column title -o titles.npy --quiet
same 'ids of a table, quotes read' titles.ids.txt x 'z "1"'
same 'a text that is not UTF-8 is listed' missing_titles.tsv "id${tab}reason" "y${tab}is not valid UTF-8; convert it (iconv -t UTF-8)"
printf 'title,id\r\na lamp,x\r\n"a ""red"" bag\n",z\r\n' >titles.csv
right 'encode a CSV' encode word-statistics titles.csv --id-column id --text-column title -o csv.npy --quiet
same 'ids of a CSV' csv.ids.txt x z
cmp -s titles.npy csv.npy
ok $? 'the same rows from TSV and CSV'
printf 'a lamp\na bag\n' >lines.txt
printf 'i7\ni8\n' >ids.txt
right 'encode with --ids' encode word-statistics lines.txt --ids ids.txt -o lines.npy --quiet
same 'ids of --ids' lines.ids.txt i7 i8
right 'texts of two files' encode word-statistics lines.txt lines.txt -o twice.npy --quiet
same 'are numbered through' twice.ids.txt 1 2 3 4
printf 'user\titem\n1\ti7\n1\ti8\n2\ti7\n' >train.tsv
right 'features with ids can be trained on' train VBPR --train train.tsv --features textual=lines.npy --set epochs=1 --out run --quiet
printf 'i7\ni7\n' >repeat.txt
printf 'i7\ni8\ni9\n' >more.txt
printf 'i7\ni\t8\n' >tabbed.txt
printf 'id\ttitle\nx\ta\nx\tb\n' >repeat.tsv
printf 'id\ttitle\n"x\ny"\ta\n' >ended.tsv
printf 'id\ttitle\nx\033[2J\ta\n' >control.tsv
newline=$(printf 'a\nb')
latin=$(printf 'a\351')
mkdir n l r
cp "$images/RGB.png" "n/$newline.png"
cp "$images/RGB.png" "l/$latin.png" 2>/dev/null || latin=
cp "$images/RGB.png" r/1.png
cp "$images/RGB.png" r/1.jpg
table() {
    while IFS='|' read -r expected said title call; do
        eval "wrong $expected \"\$said\" \"\$title\" $call --quiet"
    done
}
table <<'END'
1|repeat.txt:2: duplicate id "i7", first used at repeat.txt:1|an id twice in --ids|encode word-statistics lines.txt --ids repeat.txt -o other.npy
1|has 3 ids, but there are 2 inputs|too many ids|encode word-statistics lines.txt --ids more.txt -o other.npy
1|tabbed.txt:2: the id .* holds a tab|an id with a tab|encode word-statistics lines.txt --ids tabbed.txt -o other.npy
1|repeat.tsv:3: duplicate id "x", first used at repeat.tsv:2|an id twice in a table|encode word-statistics repeat.tsv --id-column id --text-column title -o other.npy
1|ended.tsv:2: the id .* holds a line end|an id of two lines|encode word-statistics ended.tsv --id-column id --text-column title -o other.npy
1|control.tsv:2: the id .* holds a control character|an id with an escape sequence|encode word-statistics control.tsv --id-column id --text-column title -o other.npy
1|the id "a?b" holds a line end|a picture with a line end in its name|encode colour-statistics n -o other.npy
1|r/1.png: duplicate id "1", first used at r/1.jpg|two pictures of one name|encode colour-statistics r -o other.npy
1|no column "words"|a column that is not there|encode word-statistics titles.tsv --id-column id --text-column words -o other.npy
2|text-column is missing|half of the columns|encode word-statistics titles.tsv --id-column id -o other.npy
2|a table needs --id-column|a table without its columns|encode word-statistics titles.tsv -o other.npy
2|remove one of them|ids from two places|encode word-statistics titles.tsv --id-column id --text-column title --ids ids.txt -o other.npy
2|is not a table|a folder for a table|encode word-statistics pictures --id-column id --text-column title -o other.npy
2|read only once|standard input twice|encode word-statistics - - -o other.npy
2|remove one of them|-o - with --json|encode word-statistics lines.txt -o - --json
1|standard input: is empty|nothing on standard input|encode word-statistics - -o -
END
if [ -n "$latin" ]; then
    wrong 1 'l/.*is not valid UTF-8' 'a picture whose name is not UTF-8' encode colour-statistics l -o other.npy --quiet
fi

# ---- a filter ------------------------------------------------------------------------------------------------------------------
"$sapor" encode word-statistics - -o - <lines.txt >piped.npy 2>err
[ $? = 0 ] && cmp -s piped.npy lines.npy
ok $? 'encode from standard input to standard output'
"$sapor" encode word-statistics lines.txt -o - 2>err | cmp -s - lines.npy
ok $? 'to a pipe'
"$sapor" encode word-statistics - --id-column id --text-column title -o t.npy --quiet <titles.tsv && cmp -s t.npy titles.npy
ok $? 'a table from standard input'
if [ -w /dev/full ]; then
    "$sapor" encode word-statistics lines.txt -o - --quiet >/dev/full 2>err
    [ $? = 1 ] && grep -q '^sapor: standard output: cannot write: No space left' err
    ok $? 'standard output that is full'
fi

# ---- --score -----------------------------------------------------------------------------------------------------------------
clip=$drawn/encoders/clip
head -n 3 "$root/tests/golden/encoders/texts.txt" >labels.txt
right 'probabilities of texts for images' encode "$clip" "$images/RGB.png" "$images/grey.jpg" labels.txt --score --quiet
[ "$(head -n 1 out)" = "image${tab}text${tab}probability${tab}logit" ] && [ "$(wc -l <out)" = 7 ]
ok $? 'a row for each image and text'
sed 1d out | awk -F '\t' '{ p[$1] += $3; e[$1] += exp($4); last[$1] = exp($4) / $3 }
    END { for (i in p) { n++; if (p[i] < 0.99999 || p[i] > 1.00001 || last[i] / e[i] < 0.999 || last[i] / e[i] > 1.001) bad = 1 }; exit bad || n != 2 }'
ok $? "an image's probabilities are the softmax of its logits"
right 'the same as JSON' encode "$clip" "$images/RGB.png" labels.txt --score --quiet --json
grep -q '"text":"the red shirt","probability":0.*"logit":' out && [ "$(wc -l <out)" = 3 ]
ok $? 'one object per image and text'
wrong 2 'no image among the inputs' 'scores of texts alone' encode "$clip" labels.txt --score
wrong 2 'no text among the inputs' 'scores of images alone' encode "$clip" "$images/RGB.png" --score
wrong 2 'does not compare images with texts' 'scores of a model of texts' encode "$drawn/encoders/bert" "$images/RGB.png" labels.txt --score
wrong 2 '--layer: --score does not support' 'scores of another layer' encode "$clip" "$images/RGB.png" labels.txt --score --layer pooler_output
printf 'junk' >junk.png
wrong 1 'junk.png: is not a JPEG' 'scores of an image that cannot be read' encode "$clip" junk.png labels.txt --score

# ---- extract ---------------------------------------------------------------------------------------------------------------------
if "$sapor" info | grep -q '^ *libyaml *not in'; then
    echo "1..$number"
    exit
fi
rm -rf pictures/*
for name in a b c; do cp "$images/RGB.png" pictures/$name.png; done
printf 'junk' >pictures/b.png
cat >c.yml <<END
dataset_path: .
visual: {items: {input_path: pictures, output_path: o, model: [{model_name: colour-statistics, backend: torch, output_layers: avgpool}]}}
textual: {items: {input_path: titles.tsv, output_path: o, item_column: id, text_column: title, model: [{model_name: word-statistics, backend: transformers}]}}
END
sed '/^visual/d' c.yml >text.yml
right 'extract goes on where items cannot be read' extract c.yml --json --quiet
[ "$(grep -c '"made":2,"skipped":0,"missing":1,' out)" = 2 ]
ok $? 'and counts them'
list=o/torch/colour-statistics/missing_avgpool.tsv
same 'the list of a folder of pictures' $list "id${tab}reason" "b${tab}is not a JPEG, PNG or WebP image; convert it to one of these"
same 'the list of a table' o/transformers/word-statistics/missing_pooler_output.tsv "id${tab}reason" \
    "y${tab}is not valid UTF-8; convert it (iconv -t UTF-8)"
[ "$(ls o/torch/colour-statistics/avgpool)" = "$(printf 'a.npy\nc.npy')" ]
ok $? 'features of the others'
right 'extract again with a warning' extract c.yml
grep -q '^sapor: warning: 1 of 3 inputs could not be read.*missing_avgpool.tsv' err && grep -q '0 made, 2 skipped (unchanged)' err
ok $? 'the item is tried again'
wrong 1 'pictures/b.png: is not a JPEG.*1 of 3 items could not be read' 'extract --strict' extract c.yml --strict --quiet
cp "$images/grey.jpg" pictures/b.png
right 'extract when the picture is whole' extract c.yml --json --quiet
grep -q '"made":1,"skipped":2,"missing":0,' out && [ -e o/torch/colour-statistics/avgpool/b.npy ] && [ ! -e $list ]
ok $? 'the item is made, and no list is left'
head -c 60 "$images/RGB.png" >pictures/b.png
right 'extract when it is damaged later' extract c.yml --quiet
[ ! -e o/torch/colour-statistics/avgpool/b.npy ] && [ -e $list ]
ok $? 'no features of the earlier picture are left'
for name in a b c; do printf 'junk' >pictures/$name.png; done
wrong 1 'none of the 3 inputs could be read' 'extract of nothing that can be read' extract c.yml --quiet
printf 'id\ttitle\n"a\tb"\ta lamp\n' >titles.tsv
wrong 1 'titles.tsv:2: the id .* holds a tab' 'extract of an id with a tab' extract text.yml --quiet
cp "$images/RGB.png" "pictures/$newline.png"
wrong 1 'the id "a?b" holds a line end' 'extract of a picture with a line end in its name' extract c.yml --quiet

echo "1..$number"
