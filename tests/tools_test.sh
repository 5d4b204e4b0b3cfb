#!/bin/sh
# tests/tools_test.sh: the built command with right and with wrong input. Speaks TAP; $BUILD is the folder of the build.
# A wrong call must end with the stated exit status, with one line on standard error that begins with "sapor: ", and
# without writing a file.
test=tools
. "$(dirname "$0")/shell.sh"

says() { # PATTERN NAME: a line of the last output matches
    grep -q -- "$1" out
    ok $? "$2"
}

# ---- the frame -----------------------------------------------------------------------------------------------------------
wrong 2 'unknown command "evaluat"; did you mean "evaluate"' 'a misspelt command' evaluat
wrong 2 'unknown command "Encode"; did you mean "encode"' 'a command in other case' Encode
wrong 2 'unknown command "xyzzy"; .*--help' 'an unknown command' xyzzy
wrong 2 'unknown option --thraeds; did you mean --threads' 'a misspelt option' info --thraeds 2
wrong 2 'unknown option -Z' 'an unknown letter' info -Z
wrong 2 'unknown option --epochs; write a setting of a recommender as --set epochs=VALUE' 'a setting as an option' train BPRMF --epochs 3
wrong 2 'write a setting of a recommender as --set learning_rate=VALUE' 'an accepted name of a setting as an option' train BPRMF --learning_rate 1
wrong 2 '"f.npy" is not NAME=PATH, such as visual=' 'features without a name' train VBPR --train t.tsv --features f.npy
wrong 2 '"0" is not a whole number from 1' 'threads out of range' info --threads 0
wrong 2 '"2x" is not a whole number' 'a number with a tail' info --threads 2x
wrong 2 'a value is missing' 'an option without its value' info --threads
wrong 2 'takes no value' 'a switch with a value' info --json=1
wrong 2 'one argument too many' 'an argument too many' info now
wrong 1 'cuda' 'a device that is not in this build' info --device cuda
wrong 1 'cublas' 'a BLAS that is not in this build' info --blas cublas
wrong 2 'is not a number of bytes' 'an impossible memory limit' info --max-memory lots
wrong 2 'an argument is missing' 'an argument missing' split
right 'help' --help
right 'version' --version
for command in $("$sapor" --help | sed -n 's/^  \([a-z][a-z]*\)  *.*/\1/p'); do
    right "$command --help" "$command" --help
    says "sapor $command" "$command --help has an example"
    [ "$(wc -L <out)" -le 100 ]
    ok $? "$command --help takes 100 columns"
done
right 'info' info --json
says '"level":' 'info names the level'
right 'info --kernels' info --kernels --threads 1
[ "$(wc -L <out)" -le 100 ] && ! grep -q "$(printf '\t')" out
ok $? 'info --kernels is 100 columns wide, without tabs'
says '^gemm  *197x768x768, weights  *packed [1-9][0-9]*x[1-9]' 'which way a product goes'
says '^conv  *56x56x64, 3x3x64  *winograd 4,3 ' 'which way a convolution goes'
says '^conv  *56x56x64, 1x1x256  *1x1: gemm ' 'a 1 x 1 convolution is a product'
right 'info --kernels --json' info --kernels --json
says '"variants":.{"kernel":"gemm","shape":".*","variant":".*","why":' 'the same for programs'

# ---- data ----------------------------------------------------------------------------------------------------------------
tab=$(printf '\t')
i=0
while [ $i -lt 30 ]; do
    for j in 0 1 2 3 4 5; do echo "u$i${tab}i$(((i * 7 + j * 5) % 40))${tab}5${tab}$((i + j))"; done
    i=$((i + 1))
done >ratings.tsv
wrong 2 'v4 has fixed shares' 'shares with v4' split ratings.tsv --out parts --strategy v4 --test-ratio 0.3
right 'split' split ratings.tsv --out parts --test-ratio 0.2 --validation-ratio 0.1 --json
says '"train":.*"val":.*"test":' 'split counts its parts'
cat parts/train.tsv parts/val.tsv parts/test.tsv | sort >together
sort ratings.tsv | cmp -s - together
ok $? 'split keeps every line'
wrong 2 'out DIR (output folder) is missing' 'split without --out' split ratings.tsv
wrong 1 'absent.tsv' 'split of a file that is not there' split absent.tsv --out other
wrong 2 '"1.5" is not a number from 0 to 1' 'a share above 1' split ratings.tsv --out other --test-ratio 1.5
wrong 2 'choose one of random' 'an unknown strategy' split ratings.tsv --out other --strategy rnd
printf 'u1\ti1\t5\nu2\n' >broken.tsv
wrong 1 'broken.tsv:2' 'a malformed line is named' split broken.tsv --out other

awk -F'\t' '{print $1 "\t" $2 "\t" 100 - NR}' parts/test.tsv >recs.tsv
right 'evaluate' evaluate recs.tsv --test parts/test.tsv --train parts/train.tsv --json --cutoffs 20 --metrics Recall,HR
says '"HR@20":1[,}]' 'a perfect list hits always'
printf 'u1\ti1\thigh\n' >words.tsv
wrong 1 'words.tsv:1.*high' 'a score that is no number' evaluate words.tsv --test parts/test.tsv
printf 'u1\ti1\n' >two.tsv
wrong 1 'two.tsv:1.*three columns' 'a line of two columns' evaluate two.tsv --test parts/test.tsv
printf 'u1\ti1\t1\nu1\ti2\t2\nu1\ti1\t3\n' >twice.tsv
wrong 1 'twice.tsv:3.*line 1' 'an item twice' evaluate twice.tsv --test parts/test.tsv
: >empty.tsv
wrong 1 'holds no recommendations' 'no recommendation at all' evaluate empty.tsv --test parts/test.tsv
wrong 2 'test F (test interactions) is missing' 'evaluate without --test' evaluate recs.tsv
wrong 2 'Recal' 'an unknown metric' evaluate recs.tsv --test parts/test.tsv --metrics Recal
wrong 2 'cutoffs' 'a cutoff of nothing' evaluate recs.tsv --test parts/test.tsv --cutoffs 0

# ---- recommenders --------------------------------------------------------------------------------------------------------
right 'train' train BPRMF --train parts/train.tsv --valid parts/val.tsv --test parts/test.tsv --set epochs=2 --set validation_rate=1 --out run --json
says '^{"event":"result","model":"BPRMF","best_epoch":[12],"valid":{.*},"test":{.*},"epoch_seconds":.*,"eval_seconds":.*,"peak_rss_bytes":' 'train ends with the result'
right 'recommend' recommend run -k 5 -o best.tsv
right 'recommend some users' recommend run -k 3 --users u1,u2
[ "$(grep -c . out)" = 6 ]
ok $? 'three items for each of two users'
right 'evaluate what was recommended' evaluate best.tsv --train parts/train.tsv --test parts/test.tsv --cutoffs 5
wrong 2 'did you mean "BPRMF"' 'a misspelt recommender' train BPRM --train parts/train.tsv
wrong 2 'train F (training interactions) is missing' 'train without --train' train BPRMF
wrong 1 'absent.tsv' 'training data that are not there' train BPRMF --train absent.tsv --out other
wrong 1 'broken.tsv:2' 'a malformed line of training data' train BPRMF --train broken.tsv --out other
wrong 2 'unknown setting epoks' 'an unknown setting' train BPRMF --train parts/train.tsv --set epoks=3 --out other
wrong 2 '"epochs" is not KEY=VALUE, such as' 'a setting without a value' train BPRMF --train parts/train.tsv --set epochs --out other
wrong 2 'needs features' 'features missing' train VBPR --train parts/train.tsv --out other
wrong 2 'unknown setting typo' 'settings are checked before features' train VBPR --train parts/train.tsv --set typo=1 --out other
wrong 1 'nowhere' 'features that are not there' train VBPR --train parts/train.tsv --features visual=nowhere --out other
wrong 1 'absent' 'a run folder that is not there' recommend absent
wrong 1 'parts' 'a folder that holds nothing trained' recommend parts -o other.tsv
wrong 2 'nobody' 'an unknown user' recommend run --users nobody -o other.tsv

# ---- wrong input: exit status | words of the message | name | command; each leaves the folder unchanged -----------------------
npy() { # FILE SHAPE NUMBERS [LAST]: a NumPy file of ones, float32; LAST: the last number's bytes
    printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': $2, }" >"$1"
    awk -v n="$3" 'BEGIN { for (i = 0; i < n; i++) printf "o" }' | sed 's/o/\x00\x00\x80\x3f/g' >>"$1"
    [ -z "${4:-}" ] || printf "$4" >>"$1"
}
table() {
    while IFS='|' read -r expected said title call; do
        case $call$has_yaml in
        ?) ;;
        extract*0) skip "$title" 'this build has no libyaml' ;;
        *) eval "wrong $expected \"\$said\" \"\$title\" $call" ;;
        esac
    done
}
has_yaml=1
if "$sapor" info | grep -q '^ *libyaml *not in'; then
    has_yaml=0
    printf 'a: b\n' >some.yml
    wrong 1 'some.yml: .*libyaml' 'extract without libyaml' extract some.yml
fi
mkdir -p bad/folder bad/folder.tsv bad/folder.npy bad/data/pictures bad/data/junk bad/mixed
cut -f 1-3 ratings.tsv | sed 's/u//; s/i//' >numbers.tsv
: >bad/empty
printf 'hello\n' >bad/file
head -c 2000 "$binary" >bad/binary
for end in tsv npy safetensors pth yml txt json; do cp bad/binary bad/binary.$end; cp bad/empty bad/empty.$end; done
printf 'u1\ti1\t5\nu\351\ti2\t4\n' >bad/latin.tsv
printf 'u1\ti1\t5\nu\000 2\ti2\t4\n' >bad/nul.tsv
printf 'u1 i1 5\nu2 i2\n' >bad/spaces.tsv
printf 'u1\ti1\tgood\n' >bad/rating.tsv
printf 'u1\ti1\tnan\n' >bad/nan.tsv
printf '\ti1\t5\n' >bad/nouser.tsv
printf 'u1\t\t5\n' >bad/noitem.tsv
printf 'u1\ti1\t5\tnoon\n' >bad/time.tsv
printf 'user\titem\trating\n' >bad/header.tsv
printf 'userID\titemID\tx_label\n1\t1\t9\n' >bad/label.inter
printf '0 -1 2\n' >bad/lightgcn.txt
printf 'a red bag\nbl\377e\n' >bad/latin.txt
printf 'a red bag\nblue\n' >texts.txt
npy bad/ok.npy '(40, 2)' 80
npy bad/few.npy '(20, 2)' 40
npy bad/short.npy '(40, 2)' 79
npy bad/long.npy '(40, 2)' 81
npy bad/huge.npy '(4611686018427387904, 4611686018427387904)' 2
npy bad/minus.npy '(-40, 2)' 80
npy bad/flat.npy '(80,)' 80
right 'train with filled and replaced features' train VBPR --train numbers.tsv --features v=bad/few.npy,t=bad/ok.npy --set epochs=2 --missing-features mean --knock v --mode shuffle --json
says '"features":\[{"name":"v","columns":2,"missing":20,"filled_with":"mean","knocked":"shuffle"},{"name":"t","columns":2}\]' 'the number of items that were filled, and the knock-out'
right 'a run with a knock-out' train VBPR --train numbers.tsv --test numbers.tsv --features v=bad/few.npy,t=bad/ok.npy --set epochs=2 --missing-features zero --knock v --mode noise --out knocked
right 'a run with a knock-out is resumed' train VBPR --train numbers.tsv --test numbers.tsv --features v=bad/few.npy,t=bad/ok.npy --set epochs=2 --missing-features zero --knock v --mode noise --out knocked
wrong 2 'there "mode": "noise", here "mode": "mean"' 'another mode of the knock-out' train VBPR --train numbers.tsv --test numbers.tsv --features v=bad/few.npy,t=bad/ok.npy --set epochs=2 --missing-features zero --knock v --mode mean --out knocked
right 'recommend of a run with a knock-out' recommend knocked -k 3
right 'report of a run with a knock-out' report knocked -o knocked.html
grep -q 'v (noise), t' knocked.html
ok $? 'the page says what is knocked out'
right 'train without items that lack features' train VBPR --train numbers.tsv --features v=bad/few.npy --set epochs=2 --missing-features drop --json
says '"item_without_features":[1-9].*"items_dropped":20' 'the number of items and rows that were left out'
npy bad/narrow.npy '(40, 0)' 0
npy bad/nan.npy '(40, 2)' 79 '\000\000\300\177'
npy bad/twice.npy '(2, 2)' 4
printf 'i1\ni1\n' >bad/twice.ids.txt
npy bad/names.npy '(2, 2)' 4
printf 'i1\n' >bad/names.ids.txt
npy bad/lines.npy '(2, 2)' 4
printf '1\n2\n' >bad/lines.ids.txt
i=0
while [ $i -lt 40 ]; do npy bad/mixed/i$i.npy '(1, 2)' 2; i=$((i + 1)); done
npy bad/mixed/i7.npy '(1, 3)' 3
printf '\377\377\377\377\377\377\377\017{}' >bad/long.safetensors
printf '\066\000\000\000\000\000\000\000{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}}12345678' >bad/span.safetensors
printf 'item\ttext\n1\ta bag\n2\ta hat\n' >bad/data/t.tsv
printf 'item\ttext\n1\ta bag\n2\n' >bad/data/cells.tsv
printf 'item\ttext\n../../out\ta bag\n' >bad/data/escape.tsv
printf 'item\ttext\n1\t"a bag\n' >bad/data/quote.tsv
printf 'item\ttext\n1\tcaf\351\n' >bad/data/latin.tsv
printf 'junk' >bad/data/junk/1.png
texts_yaml() { # FILE SED: a configuration that works, but for what SED changes
    cat <<END | sed "$2" >"bad/$1.yml"
dataset_path: bad/data
textual:
  items:
    input_path: t.tsv
    output_path: o
    item_column: item
    text_column: text
    model:
      - { model_name: word-statistics, backend: sentence_transformers, output_layers: 1 }
END
}
texts_yaml works ''
texts_yaml key 's/text_column/text_colum/'
texts_yaml missing '/output_path/d'
texts_yaml again '$a dataset_path: x'
texts_yaml tab 's/^  items/\titems/'
texts_yaml backend 's/sentence_transformers/tensorflow/'
texts_yaml batch 's/layers: 1/layers: 1, batch_size: 0/'
texts_yaml model 's/word-statistics/nowhere/'
texts_yaml pictures 's/word-statistics/colour-statistics/'
texts_yaml column 's/text_column: text/text_column: words/'
texts_yaml later 's/^textual/audio/'
for name in cells escape quote latin absent; do texts_yaml $name "s/t.tsv/$name.tsv/"; done
texts_yaml folder 's/t.tsv/junk/'
texts_yaml outfile 's/output_path: o/output_path: t.tsv/'
printf 'dataset_path: bad/data\nvisual:\n  items:\n    input_path: t.tsv\n    output_path: o\n    model:\n      - { model_name: colour-statistics, backend: torch, output_layers: avgpool, reshape: [32, 32] }\n' >bad/visual.yml
sed 's/\[32, 32\]/[0, 32]/' bad/visual.yml >bad/reshape.yml
sed 's/\[32, 32\]/[16384, 16384]/' bad/visual.yml >bad/large.yml
printf 'a: &a [*a]\n' >bad/cycle.yml
printf '%2000s\n' '' | sed 's/ /[/g; s/^/a: /' >bad/deep.yml
table <<'END'
2|value is empty|an empty value|split ratings.tsv --out ""
2|argument 1 is empty|an empty argument|split "" --out other
1|nowhere/x|a trace that cannot be written|split ratings.tsv --out other --trace nowhere/x
1|--max-memory 16K: out of memory|over the memory limit|split ratings.tsv --out other --max-memory 16K
2|seed|a seed below 0|split ratings.tsv --out other --seed -1
2|seed below 4294967296|a seed too large for a split|split ratings.tsv --out other --seed 4294967296
2|test-ratio|a share that is no number|split ratings.tsv --out other --test-ratio nan
2|less than 1|nothing left to train on|split ratings.tsv --out other --test-ratio 1
2|leave-n|a count too large for any integer|split ratings.tsv --out other --leave-n 99999999999999999999
2|no training rows|a core that nobody belongs to|split ratings.tsv --out other --k-core 1000
1|is a file, a folder is expected|an output folder that is a file|split ratings.tsv --out bad/file/x
1|/proc/x|an output folder that cannot be made|split ratings.tsv --out /proc/x
1|is a folder, a [a-z ]*file is expected|a folder in place of ratings|split bad/folder.tsv --out other
1|holds no interactions|empty ratings|split bad/empty --out other
1|holds no interactions|ratings of a header alone|split bad/header.tsv --out other
1|binary:[0-9]*: holds a NUL byte|a binary file as ratings|split bad/binary --out other
1|nul.tsv:2: holds a NUL byte|a NUL byte in ratings|split bad/nul.tsv --out other
1|latin.tsv:2: is not valid UTF-8|ratings that are not UTF-8|split bad/latin.tsv --out other
1|spaces.tsv:1: .*tabs or commas|rows of several lengths between spaces|split bad/spaces.tsv --out other
1|rating.tsv:1: the rating|a rating in words|split bad/rating.tsv --out other
1|nan.tsv:1: the rating|a rating that is no number|split bad/nan.tsv --out other
1|nouser.tsv:1: the user id is empty|an empty user id|split bad/nouser.tsv --out other
1|noitem.tsv:1: the item id is empty|an empty item id|split bad/noitem.tsv --out other
1|time.tsv:1: the time|a time in words|split bad/time.tsv --out other --strategy temporal
1|label.inter:2: x_label|an x_label that there is not|train BPRMF --train bad/label.inter --out other
1|lightgcn.txt:1|an item below 0 in LightGCN text|train BPRMF --train bad/lightgcn.txt --out other
1|must name the columns|RecBole files without their header|train BPRMF --train ratings.tsv --format recbole --out other
1|bad/empty: holds no interactions|an empty validation file|train BPRMF --train parts/train.tsv --valid bad/empty --out other
1|is a file, a folder is expected|a run folder that is a file|train BPRMF --train parts/train.tsv --out bad/file
2|other settings or data|a run folder of other settings|train BPRMF --train parts/train.tsv --set epochs=3 --out run
2|epochs=-1: must be at least 1|a setting below its range|train BPRMF --train parts/train.tsv --set epochs=-1 --out other
2|lr=nan|a setting that is no number|train BPRMF --train parts/train.tsv --set lr=nan --out other
2|batch_size=1e9|a setting that is no whole number|train BPRMF --train parts/train.tsv --set batch_size=1e9 --out other
2|is not NAME=PATH, such as|a feature without a name|train VBPR --train numbers.tsv --features =bad/ok.npy --out other
2|--mode mean: --knock NAME is missing|a mode without a knock-out|train VBPR --train numbers.tsv --features v=bad/few.npy --mode mean --out other
2|--mode: unknown value "loud"; choose one of noise, zero, one, mean, shuffle|an unknown mode|train VBPR --train numbers.tsv --features v=bad/few.npy --knock v --mode loud --out other
2|--knock: --features has no modality "audio"|a knock-out of what is not there|train VBPR --train numbers.tsv --features v=bad/few.npy --knock v,audio --out other
2|--knock both: --features is missing|a knock-out without features|train BPRMF --train numbers.tsv --knock both --out other
2|--missing-features drop: --features is missing|what to do without features, of no features|train BPRMF --train numbers.tsv --missing-features drop --out other
2|--missing-features: unknown value "fill"|an unknown way to fill|train VBPR --train numbers.tsv --features v=bad/few.npy --missing-features fill --out other
2|with protocol mmrec items keep their numbers|dropped items under mmrec|train VBPR --train numbers.tsv --features v=bad/few.npy --missing-features drop --protocol mmrec --out other
2|given twice|a feature given twice|train VBPR --train numbers.tsv --features v=bad/ok.npy,v=bad/ok.npy --out other
1|not a row number.*ok.ids.txt|features by number, items by name|train VBPR --train ratings.tsv --features v=bad/ok.npy --out other
1|20 of 40 items have no features|too few rows|train VBPR --train numbers.tsv --features v=bad/few.npy --out other
1|short.npy: .*truncated|a truncated array|train VBPR --train numbers.tsv --features v=bad/short.npy --out other
1|long.npy|an array with bytes behind it|train VBPR --train numbers.tsv --features v=bad/long.npy --out other
1|huge.npy|a shape of more bytes than there are|train VBPR --train numbers.tsv --features v=bad/huge.npy --out other
1|minus.npy: the shape|a shape below 0|train VBPR --train numbers.tsv --features v=bad/minus.npy --out other
1|has 1 dimensions|features without columns|train VBPR --train numbers.tsv --features v=bad/flat.npy --out other
1|narrow.npy: its rows have no numbers|features of no numbers|train VBPR --train numbers.tsv --features v=bad/narrow.npy --out other
1|item 39 contain nan in column 1|a NaN among features|train VBPR --train numbers.tsv --features v=bad/nan.npy --out other
1|twice.ids.txt:2.*line 1|a row name twice|train VBPR --train ratings.tsv --features v=bad/twice.npy --out other
1|40 of 40 items have no features.*the first row is '1'|rows named by their lines|train VBPR --train ratings.tsv --features v=bad/lines.npy --out other
1|names.ids.txt: names 1 rows|fewer names than rows|train VBPR --train ratings.tsv --features v=bad/names.npy --out other
1|i7.npy: has 3 columns|rows of different lengths|train VBPR --train ratings.tsv --features v=bad/mixed --out other
1|has no <item id>.npy for any of the 40 items|a folder without features|train VBPR --train ratings.tsv --features v=bad/folder --out other
1|not a NumPy|no array at all|train VBPR --train numbers.tsv --features v=bad/binary.npy --out other
1|not a NumPy|an empty file for an array|train VBPR --train numbers.tsv --features v=bad/empty.npy --out other
1|absent: is not a run folder|recommend from nothing|recommend absent -o other.tsv
2|no user in|a list of no users|recommend run --users , -o other.tsv
1|binary:[0-9]*: holds a NUL|a binary file of users|recommend run --users bad/binary -o other.tsv
2|from 1 to 2147483647|no recommendation at all|recommend run -k 0 -o other.tsv
1|is a folder, a file is expected|recommendations into a folder|recommend run -o bad/folder
1|nowhere/x: cannot create|recommendations into a missing folder|recommend run -o nowhere/x
1|binary:[0-9]*: holds a NUL|binary recommendations|evaluate bad/binary --test parts/test.tsv
1|latin.tsv:2: is not valid UTF-8|recommendations that are not UTF-8|evaluate bad/latin.tsv --test parts/test.tsv
1|nan.tsv:1: the score|a score of nan|evaluate bad/nan.tsv --test parts/test.tsv
1|noitem.tsv:1: the item id is empty|a recommendation of nothing|evaluate bad/noitem.tsv --test parts/test.tsv
2|--cutoffs: 10 is given twice|a cutoff twice|evaluate recs.tsv --test parts/test.tsv --cutoffs 10,10
2|--metrics: Recall is given twice|a metric twice|evaluate recs.tsv --test parts/test.tsv --metrics Recall,Recall
1|torchvision's .resnet18(weights="DEFAULT").|a model of torchvision that is not there|encode resnet18 texts.txt -o other.npy
1|no model absent; tried|a model that is not there|encode absent texts.txt -o other.npy
1|did you mean "word-statistics"|a model misspelt|encode word-statistic texts.txt -o other.npy
1|folder: contains no model|a folder that is no model|encode bad/folder texts.txt -o other.npy
1|not a safetensors file or a torch file|a weights file that is none|encode bad/file texts.txt -o other.npy
1|safetensors|an empty weights file|encode bad/empty.safetensors texts.txt -o other.npy
1|the header says|a header longer than any file|encode bad/long.safetensors texts.txt -o other.npy
1|tensor a: shape|a tensor that does not fit its bytes|encode bad/span.safetensors texts.txt -o other.npy
1|binary.pth|a torch file that is none|encode bad/binary.pth texts.txt -o other.npy
1|latin.txt:2: is not valid UTF-8|texts that are not UTF-8|encode word-statistics bad/latin.txt -o other.npy
1|is empty; one text per line|no texts at all|encode word-statistics bad/empty.txt -o other.npy
1|no such file or folder; to encode a text itself, use INPUT - (standard input)|an input that is not there|encode colour-statistics absent.png -o other.npy
1|holds no image|a folder without pictures|encode colour-statistics bad/folder -o other.npy
1|1.png: is not a JPEG, PNG or WebP|a picture that is none|encode colour-statistics bad/data/junk -o other.npy
1|the header has no column "id" (.*text|a column that is not there|encode word-statistics bad/data/t.tsv --id-column id --text-column text -o other.npy
2|t.tsv: a table needs --id-column|a table without its columns|encode word-statistics bad/data/t.tsv -o other.npy
2|supports images only|texts for a model of pictures|encode colour-statistics texts.txt -o other.npy
2|does not support this option|a layer that statistics do not have|encode word-statistics texts.txt -o other.npy --layer x
2|from 1 to 65536|a batch of nothing|encode word-statistics texts.txt -o other.npy --batch 0
2|does not support this option|a type that statistics do not have|encode word-statistics texts.txt -o other.npy --dtype bf16
2|does not support this option|convolutions that statistics do not have|encode colour-statistics bad/folder -o other.npy --winograd 6
2|does not support this option|pixels that statistics do not have|encode colour-statistics bad/folder -o other.npy --resize torchvision
2|pil, torchvision|a library that there is not|encode word-statistics texts.txt -o other.npy --resize opencv
2|4, 6|squares that there are not|encode word-statistics texts.txt -o other.npy --winograd 5
2|int8|a type that there is not|encode word-statistics texts.txt -o other.npy --dtype f64
1|folder.npy: is a folder|features into a folder|encode word-statistics texts.txt -o bad/folder.npy
1|nowhere/x.npy: cannot create|features into a missing folder|encode word-statistics texts.txt -o nowhere/x.npy
1|contains no tokenizer (tokenizer.json|a folder without a tokenizer|tokenize bad/folder texts.txt
1|binary.json:1|a tokenizer.json that is none|tokenize bad/binary.json texts.txt
1|empty.txt: is empty|an empty vocabulary|tokenize bad/empty.txt texts.txt
1|holds no .yml|a folder without a configuration|extract bad/folder
1|empty.yml: is empty|an empty configuration|extract bad/empty.yml
1|binary.yml|a binary configuration|extract bad/binary.yml
1|key.yml:7.*did you mean "text_column"|a misspelt key|extract bad/key.yml
1|missing.yml:4.*"output_path" is missing|a missing key|extract bad/missing.yml
1|again.yml:10.*duplicate key|a key twice|extract bad/again.yml
1|tab.yml:3|a tab in YAML|extract bad/tab.yml
1|cycle.yml:1|YAML that holds itself|extract bad/cycle.yml
1|nested too deeply|YAML without end|extract bad/deep.yml
1|backend.yml:9.*"tensorflow" is not supported|a backend that there is not|extract bad/backend.yml
1|batch.yml:9.*batch_size|a batch size of 0|extract bad/batch.yml
1|model.yml:9:9: no model nowhere|a model that is nowhere|extract bad/model.yml
1|colour-statistics does not support texts|a model of the other modality|extract bad/pictures.yml
1|no column "words"|a column that is not there|extract bad/column.yml
1|audio is not supported yet|a modality that is not there yet|extract bad/later.yml
1|cells.tsv:3: has 1 columns|a row too short|extract bad/cells.yml
1|cannot be a file name|an id that leads out of the folder|extract bad/escape.yml
1|never closed|a quote without end|extract bad/quote.yml
1|latin.tsv:2: is not valid UTF-8|a table that is not UTF-8|extract bad/latin.yml
1|absent.tsv|a table that is not there|extract bad/absent.yml
1|is a folder, a [a-z ]*file is expected|a folder for a table|extract bad/folder.yml
1|is a file, a folder is expected|a file where features should go|extract bad/outfile.yml
1|is a file, a folder is expected|a table for a folder of pictures|extract bad/visual.yml
1|reshape: .*from 1 to 16384|a size of 0|extract bad/reshape.yml
1|are more than|a size beyond memory|extract bad/large.yml
2|--shard|a shard that there is not|extract bad/works.yml --shard 3/2
1|unknown key "nope"|an override of nothing|extract bad/works.yml --textual.items.nope=3
2|not an index of the list|an override beyond the list|extract bad/works.yml --textual.items.model.7.batch_size=3
2|write it as|an override without its value|extract bad/works.yml --textual.items.model.0.batch_size
2|did you mean --dataset_path|a misspelt override|extract bad/works.yml --dataset_pth=x
1|is a file, a folder is expected|a demo into a file|demo --out bad/file
2|unknown model "nope"|a model that nobody lists|models nope
END
if [ $has_yaml = 1 ]; then
    right 'extract by word statistics' extract bad/works.yml --json
    says '"made":2,"skipped":0' 'both texts are new'
    right 'extract again' extract bad/works.yml --json
    says '"made":0,"skipped":2' 'nothing is made twice'
fi
right 'recommend to one user named twice' recommend run -k 3 --users u1,u1
[ "$(grep -c . out)" = 3 ]
ok $? 'a user named twice is one user'
"$sapor" models >/dev/full 2>err
[ $? = 1 ] && grep -q '^sapor: standard output: cannot write' err
ok $? 'a full disk behind standard output'

# ---- profile and trace ---------------------------------------------------------------------------------------------------
mkdir some
for name in L P RGB RGBA LA; do cp "$root/tests/golden/images/$name.png" some; done
wrong 2 'resize torchvision is for images' 'pixels for a model of texts' encode "$root/share/encoders/demo/text" texts.txt -o other.npy --resize torchvision
wrong 1 'does not support --winograd' 'squares for a model of texts' encode "$root/share/encoders/demo/text" texts.txt -o other.npy --winograd 6
wrong 1 'does not support --winograd' 'squares for a model without them' encode "$root/share/encoders/demo/vision" some -o other.npy --winograd 6
right 'encode with a profile' encode "$root/share/encoders/demo/vision" some -o seen.npy --profile --quiet
[ "$(wc -L <err)" -le 100 ] && grep -q '^op .* calls .*ms .*GFLOP/s .*GB/s .*% of peak .*MB$' err && grep -q '^decode ' err &&
    grep -q '^open model ' err && grep -q '^hardware counters: ' err
ok $? 'a profile has every column, in 100, and says what counters there are'
right 'bench with a trace' bench gemm --shape 197x768x3072 --seconds 0.2 --threads 2 --trace trace.json
grep -q '"thread_name".*"worker 1"' trace.json && grep -q '"cat":"tasks"' trace.json && grep -q '"cat":"wait"' trace.json
ok $? 'a trace shows threads, their tasks and waits'
printf 'a red  bag\n\ncaf\303\251\n' >words.txt
right 'tokenize with offsets' tokenize "$root/tests/golden/tokenizer/classes/t5" words.txt --offsets --json
says '"offsets":\[\[0,1\],' 'the characters of a token'
right 'tokenize' tokenize "$root/tests/golden/tokenizer/classes/t5" words.txt
cp out ids.txt
right 'tokenize --decode' tokenize "$root/tests/golden/tokenizer/classes/t5" ids.txt --decode
says '^a red bag$' 'ids become the text'
sed 's/"truncation": null, "padding": null/"truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0}, "padding": {"strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": 3, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}/' \
    "$root/tests/golden/tokenizer/bert.json" >limits.json
printf 'the of and to in\nthe\n' >two.txt
right 'tokenize --as-file' tokenize limits.json two.txt --as-file --tokens
printf '[PAD] [PAD] [CLS] the of [SEP]\n[PAD] [PAD] [PAD] [CLS] the [SEP]\n' | cmp -s - out
ok $? 'texts are truncated and padded as tokenizer.json states'
right 'tokenize without --as-file' tokenize limits.json two.txt --tokens
printf '[CLS] the of and to in [SEP]\n[CLS] the [SEP]\n' | cmp -s - out
ok $? 'texts are neither truncated nor padded'
wrong 2 'takes the length from tokenizer.json' 'tokenize --as-file --max-length' tokenize limits.json two.txt --as-file --max-length 5
wrong 2 'decode reads ids' 'tokenize --decode --tokens' tokenize "$root/tests/golden/tokenizer/classes/t5" ids.txt --decode --tokens
wrong 1 'words.txt:1: expected ids from 0 to' 'tokenize --decode of a text' tokenize "$root/tests/golden/tokenizer/classes/t5" words.txt --decode
for i in 1 2 3; do cat "$root/CONTRIBUTING.md" "$root/docs/recipes.md" "$root/docs/formats.md"; done >many.txt
for threads in 1 3; do "$sapor" tokenize "$root/share/encoders/demo/text" many.txt --threads $threads >many.$threads; done
cmp -s many.1 many.3 && [ "$(wc -l <many.3)" -eq "$(wc -l <many.txt)" ]
ok $? 'tokenize prints the same for any number of threads'
right 'tokenize with a profile' tokenize "$root/share/encoders/demo/text" "$root/README.md" --profile --json
says '{"event":"profile","op":"tokenize","calls":1,' 'a command without ops is one itself'
says '{"event":"counters",' 'counters in JSON'

# ---- bench ---------------------------------------------------------------------------------------------------------------
right 'bench' bench gemm --shape 1x768x768 --seconds 0.001 --threads 1 --json
says '"bench":"gemm","shape":"1x768x768","dtype":"f32","threads":1,"level":".*"variant":".*"spread":.*"share_of_peak":' 'bench prints the agreed fields'
cp out bench.json
right 'bench of a shape of one'"'"'s own' bench gemm --shape 3x5x7 --seconds 0.001 --threads 1
says '3x5x7 .*packed' 'a product that is not in the list'
[ "$(wc -L <out)" -le 100 ]
ok $? 'a table of 100 columns'
right 'bench of a narrow product' bench gemm --shape 1x768x768 --dtype bf16 --seconds 0.001 --threads 1 --json
says '"shape":"1x768x768","dtype":"bf16"' 'and its type'
right 'bench of wider squares' bench conv --shape 28x28x128-3x3 --winograd 6 --seconds 0.001 --threads 1 --json
says '-s1-w6".*"variant":"winograd 6,3"' 'and its variant'
wrong 2 'no shape of bench gemm contains "3x5y7"' 'a shape that is none' bench gemm --shape 3x5y7 --seconds 0.001
wrong 2 'choose one of peak' 'an unknown bench' bench speed
wrong 2 'name the model' 'a bench without its model' bench train
wrong 2 'one argument too many' 'a bench with an argument too many' bench peak LightGCN
right 'bench peak' bench peak --seconds 0.001 --threads 1 --json
says '"bench":"peak","shape":"baseline","dtype":"f32".*"gflops":' 'peak has a loop for every level'
says '"shape":"read-256MiB"' 'and memory'
case $(uname -m)${EMULATOR:+ emulated} in
x86_64) says '"per_cycle":' 'the clock is measured' ;;
*) skip 'the clock is measured' 'not on this processor, or there is none' ;;
esac
sed 's/"ms_min":[^,]*/"ms_min":1e9/' bench.json >slow.json
sed 's/"ms_min":[^,]*/"ms_min":1e-9/' bench.json >fast.json
right 'bench against a slow run' bench gemm --shape 1x768x768 --seconds 0.001 --threads 1 --against slow.json
says '0 slower, 1 faster, 0 with no difference; 0 not in that file' 'what got faster'
wrong 1 '1 of 1 measurements are slower than in fast.json, by more than 5%' 'bench against a fast run' \
    bench gemm --shape 1x768x768 --seconds 0.001 --threads 1 --against fast.json
grep -q '  slower         gemm      1x768x768' out
ok $? 'what got slower'
echo '{"bench":"gemm"}' >bad.json
wrong 1 'bad.json:1: a line of `sapor bench --json` has' 'bench against another file' bench gemm --against bad.json
echo '{"bench":"gemm",' >bad.json
wrong 1 'bad.json:1:1:' 'bench against a line that is cut' bench gemm --against bad.json
echo '{"bench":1,"shape":2,"dtype":3,"ms_min":"4"}' >bad.json
wrong 1 'bad.json:1: a line of' 'bench against lines of other types' bench gemm --against bad.json
printf '[]\n\n7\n' >bad.json
wrong 1 'bad.json: contains no measurements' 'bench against no figures' bench gemm --against bad.json
wrong 1 'absent.json' 'bench against a file that is not there' bench gemm --against absent.json
right 'bench tokenizer' bench tokenizer "$root/share/encoders/demo/text" --seconds 0.001 --threads 1 --json
says '"bench":"tokenizer".*"mbs":.*"items_per_second":' 'tokens and bytes a second'
says '"bench":"tokenizer-open","shape":"WordPiece-open-.*"items_per_second":' 'how fast a tokenizer is opened'
says '"bench":"tokenizer-uncached","shape":"WordPiece-.*-tokens"' 'tokens a second without the cache of words'
right 'bench tokenizer of texts' bench tokenizer "$root/share/encoders/demo/text" --texts many.txt --seconds 0.001 --threads 1 --json
right 'bench image' bench image "$root/tests/golden/images/P.png" --seconds 0.001 --threads 1 --json
says '"bench":"image","shape":"whole-.*"mbs":.*"items_per_second":' 'pictures and bytes a second'
mkdir empty.d
wrong 2 'holds no image' 'bench image of a folder without any' bench image empty.d
awk 'BEGIN { for (u = 0; u < 40; u++) for (k = 0; k < 6; k++) printf "u%d\ti%d\n", u, (u * 3 + k * 5) % 30 }' >pairs.tsv
right 'bench train' bench train VBPR --pairs pairs.tsv --set batch_size=64 --seconds 0.001 --threads 1 --json
says '"bench":"train","shape":"VBPR-40x30-240".*"gflops":.*"outside_kernels":' 'an epoch, and what of it is outside of kernels'
wrong 2 'unknown recommender "VPBR"' 'bench train of none' bench train VPBR

echo "1..$number"
