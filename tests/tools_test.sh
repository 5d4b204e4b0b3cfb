#!/bin/sh
# tests/tools_test.sh: the built command on right and on wrong input. Speaks TAP; $BUILD is the folder of the build.
# A wrong call must end with the stated exit status, one line on standard error that begins with "sapor: ", and nothing written.
set -u
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.." || exit 1
sapor=$PWD/${BUILD:-build}/sapor
case ${BUILD:-} in /*) sapor=$BUILD/sapor ;; esac
work=$(mktemp -d "${TMPDIR:-/tmp}/sapor-tools-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0

ok() { # STATUS NAME
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

skip() { # NAME REASON
    number=$((number + 1))
    echo "skipped: $2"
    echo "ok $number - $1 # SKIP $2"
}

right() { # NAME COMMAND...: exit 0, its output in ./out
    name=$1
    shift
    "$sapor" "$@" >out 2>err
    status=$?
    [ $status = 0 ] || sed "s/^/# /" err
    ok $status "$name"
}

wrong() { # STATUS PATTERN NAME COMMAND...: the error matches PATTERN; files of the folder stay as they were
    wanted=$1 pattern=$2 name=$3
    shift 3
    find . ! -name out ! -name err ! -name list.\* | sort >list.before
    "$sapor" "$@" >out 2>err </dev/null
    status=$?
    find . ! -name out ! -name err ! -name list.\* | sort >list.after
    bad=0
    [ $status = "$wanted" ] || { bad=1; echo "# exit status $status, not $wanted"; }
    [ "$(grep -c . err)" = 1 ] || { bad=1; echo "# not one line:"; }
    grep -q '^sapor: ' err || bad=1
    grep -q -- "$pattern" err || { bad=1; echo "# does not match $pattern:"; }
    cmp -s list.before list.after || { bad=1; echo "# files appeared or went:"; diff list.before list.after | sed 's/^/# /'; }
    [ $bad = 0 ] || sed 's/^/# /' err
    ok $bad "$name"
}

says() { # PATTERN NAME: the last output matches
    grep -q -- "$1" out
    ok $? "$2"
}

# ---- the frame -----------------------------------------------------------------------------------------------------------
wrong 2 'no command "evaluat"; did you mean "evaluate"' 'a misspelt command' evaluat
wrong 2 'no command "xyzzy"; .*--help' 'an unknown command' xyzzy
wrong 2 'no option --thraeds; did you mean --threads' 'a misspelt option' info --thraeds 2
wrong 2 'no option -Z' 'an unknown letter' info -Z
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
done
right 'info' info --json
says '"level":' 'info names the level'
right 'info --kernels' info --kernels

# ---- data ----------------------------------------------------------------------------------------------------------------
tab=$(printf '\t')
i=0
while [ $i -lt 30 ]; do
    for j in 0 1 2 3 4 5; do echo "u$i${tab}i$(((i * 7 + j * 5) % 40))${tab}5${tab}$((i + j))"; done
    i=$((i + 1))
done >ratings.tsv
right 'split' split ratings.tsv --out parts --test-ratio 0.2 --validation-ratio 0.1 --json
says '"train":.*"val":.*"test":' 'split counts its parts'
cat parts/train.tsv parts/val.tsv parts/test.tsv | sort >together
sort ratings.tsv | cmp -s - together
ok $? 'split keeps every line'
wrong 2 'out DIR is missing' 'split without --out' split ratings.tsv
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
wrong 1 'holds no recommendation' 'no recommendation at all' evaluate empty.tsv --test parts/test.tsv
wrong 2 'test F is missing' 'evaluate without --test' evaluate recs.tsv
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
wrong 2 'train F is missing' 'train without --train' train BPRMF
wrong 1 'absent.tsv' 'training data that are not there' train BPRMF --train absent.tsv --out other
wrong 1 'broken.tsv:2' 'a malformed line of training data' train BPRMF --train broken.tsv --out other
wrong 2 'no setting is called epoks' 'an unknown setting' train BPRMF --train parts/train.tsv --set epoks=3 --out other
wrong 2 'NAME=VALUE' 'a setting without a value' train BPRMF --train parts/train.tsv --set epochs --out other
wrong 2 'needs features' 'features missing' train VBPR --train parts/train.tsv --out other
wrong 1 'nowhere' 'features that are not there' train VBPR --train parts/train.tsv --features visual=nowhere --out other
wrong 1 'absent' 'a trained folder that is not there' recommend absent
wrong 1 'parts' 'a folder that holds nothing trained' recommend parts -o other.tsv
wrong 2 'nobody' 'an unknown user' recommend run --users nobody -o other.tsv

# ---- bench ---------------------------------------------------------------------------------------------------------------
right 'bench' bench gemm --shape 1x768x768 --seconds 0.001 --threads 1 --json
says '"bench":"gemm","shape":"1x768x768","dtype":"f32","threads":1,"variant":".*"share_of_peak":' 'bench prints the agreed fields'
wrong 2 'choose one of peak' 'an unknown bench' bench speed

echo "1..$number"
