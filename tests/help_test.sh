#!/bin/bash
# tests/help_test.sh: the texts made from the rows of the command's table (help, manual page, completions), and --quiet,
# which prints results only. Speaks TAP; $BUILD is the folder of the build.
test=help
. "$(dirname "$0")/shell.sh"
check() { # NAME PROBLEM: passes if the text PROBLEM is empty; otherwise prints it
    number=$((number + 1))
    [ -z "$2" ] && echo "ok $number - $1" && return
    echo "not ok $number - $1"
    echo "$2" | head -n 20 | sed 's/^/# /'
}
commands=$("$sapor" --help | sed -n 's/^  \([a-z][a-z]*\)  *.*/\1/p')
everywhere="threads device blas seed json trace profile max-memory quiet help"

# ---- options of every command ------------------------------------------------------------------------------------------------
shown() { "$sapor" "$1" --help | sed -n '/^common options/,/^example/p' | grep -cE '^  (-., |    )--'; }
check 'a short help where little applies' "$(n=$(shown models); [ "$n" -le 3 ] || echo "models --help shows $n common options")"
check 'all of them where all apply' "$(n=$(shown train); [ "$n" = 10 ] || echo "train --help shows $n common options")"
check 'each is shown, or said to do nothing' "$(for c in $commands; do
    "$sapor" "$c" --help >"$c.help"
    for o in $everywhere; do grep -qE -- "--$o( |,|\.|$)" "$c.help" || echo "$c: --$o"; done
done)"
check 'what does nothing is accepted' "$("$sapor" models --threads 1 --device cpu --blas own --seed 3 --profile --trace t.json --max-memory 1G -q 2>&1 >/dev/null |
    grep '^sapor: ')"

options() { sed -nE 's/^  (-., |    )(--[a-z_-]+).*/\2/p' "$1.help"; }

# ---- completion --------------------------------------------------------------------------------------------------------------
touch file.tsv
mkdir folder
"$sapor" help --bash-completion >sapor.bash || exit 1
. ./sapor.bash || exit 1
offers() { # EXPECTED WORD ...: checks what bash offers for the last word against a pattern
    local expected=$1 got
    shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _sapor
    got=${COMPREPLY[*]}
    case $got in $expected) ;; *) echo "$*: \"$got\", not \"$expected\"" ;; esac
}
check 'bash: commands' "$(offers train sapor tr; offers '*evaluate*help*' sapor ''; offers split sapor help s)"
check 'bash: every command and option' "$(for c in $commands; do
    offers "$c" sapor "$c"
    for o in $(options "$c"); do offers "*$o*" sapor "$c" "$o"; done
done)"
check 'bash: options that do nothing are not offered' "$(offers '' sapor models --thr)"
check 'bash: values that a row names' "$(offers 'elliot mmrec' sapor train LATTICE --protocol ''
    offers mmrec sapor train LATTICE --protocol = m
    offers 'elliot mmrec' sapor train LATTICE --protocol =
    offers 'random temporal leave-n-out v4 global-time' sapor split x --strategy ''
    offers 'f32 f16 bf16 int8' sapor encode x --dtype ''
    offers 'cls mean max model none' sapor encode x --pool ''
    offers 'f32 f16 bf16 int8' sapor bench gemm --dtype ''
    offers 'pil torchvision' sapor encode x --resize ''
    offers 'cpu cuda auto' sapor info --device '')"
check 'bash: names that a command takes' "$(offers 'LightGCN LATTICE' sapor train L; offers gemm sapor bench g; offers vit sapor models vi)"
check 'bash: files and folders' "$(offers file.tsv sapor train LATTICE --train fi; offers folder sapor split x --out f
    offers '' sapor train LATTICE --seed f; offers file.tsv sapor evaluate fi; offers '' sapor info f)"
"$sapor" help --zsh-completion >_sapor || exit 1
check 'zsh: every command and option' "$(for c in $commands; do
    grep -q "^        '$c:" _sapor || echo "$c"
    sed -n "/^    $c)/,/;;$/p" _sapor >part
    for o in $(options "$c"); do grep -qF -- "$o" part || echo "$c: $o"; done
done; grep -q "'--protocol=\[.*\]:P:(elliot mmrec)'" _sapor || echo "values of --protocol")"
if command -v zsh >/dev/null; then
    check 'zsh: it parses' "$(zsh -n _sapor 2>&1)"
else
    skip 'zsh: it parses' 'there is no zsh here'
fi

# ---- the manual page -----------------------------------------------------------------------------------------------------------
"$sapor" help --man >page || exit 1
sed 's/\\f[BIR]//g; s/\\-/-/g' page | sed -n '/^\.SH ENVIRONMENT/,/^\.SH FILES/p' >environment
check 'manual: its sections' "$(for s in NAME SYNOPSIS COMMANDS 'COMMON OPTIONS' 'EXIT STATUS' ENVIRONMENT FILES; do grep -qx "\.SH $s" page || echo "no $s"; done)"
check 'manual: every variable that is read' "$(cd "$root" && grep -ohE '(getenv|variable)\("[A-Z_]+"\)' base weights tokenizers kernels nn extractors recsys tools sapor*.c -r --include=*.c |
    grep -oE '[A-Z_]+' | sort -u | while read -r name; do grep -qw "$name" "$work/environment" || echo "$name"; done)"
check 'manual: each exit status' "$(for s in 0 1 2; do sed -n '/^\.SH EXIT STATUS/,/^\.SH ENV/p' page | grep -qx "\\\\fB$s\\\\fR" || echo "$s"; done)"

# ---- quiet -------------------------------------------------------------------------------------------------------------------------
awk 'BEGIN { for (u = 0; u < 30; u++) for (k = 0; k < 6; k++) printf "u%d\ti%d\t5\t%d\n", u, (u * 7 + k * 5) % 40, u + k }' >ratings.tsv
printf 'a red bag\nblue\n' >texts.txt
no_prepare=$("$sapor" prepare ratings.tsv --out prepared0 2>&1 | grep MINIMAL)
quiet() { # LINES COMMAND ...: nothing on standard error, and LINES lines of results
    local lines=$1
    shift
    "$sapor" "$@" --quiet >out 2>err || echo "$*: exit status $?"
    sed "s/^/$1: /" err
    [ "$lines" = any ] || [ "$(grep -c . out)" = "$lines" ] || { echo "$1: not $lines lines:"; cat out; }
}
check 'quiet: results only' "$([ -n "$no_prepare" ] || quiet 0 prepare ratings.tsv --recipe mmrec --k-core 1 --out prepared1
    quiet 0 split ratings.tsv --out parts --test-ratio 0.2
    quiet 2 train BPRMF --train parts/train.tsv --test parts/test.tsv --set epochs=2 --out run
    quiet 0 train BPRMF --train parts/train.tsv --set epochs=2
    quiet 0 recommend run -k 3 -o recs.tsv
    quiet 6 recommend run -k 3 --users u1,u2
    quiet any evaluate recs.tsv --test parts/test.tsv
    quiet 0 encode word-statistics texts.txt -o texts.npy
    quiet 2 tokenize "$root/share/encoders/demo/text" texts.txt
    quiet 0 report run -o page.html
    case $sapor in *minimal*) ;; *) quiet any compare run run ;; esac
    quiet any models
    quiet any info
    quiet any bench gemm --shape 1x8x8 --seconds 0.001 --threads 1)"
check 'loud: what quiet leaves out' "$("$sapor" split ratings.tsv --out parts2 --test-ratio 0.2 2>&1 | grep -q . || echo 'split says nothing'
    "$sapor" train BPRMF --train parts/train.tsv --test parts/test.tsv --set epochs=2 2>/dev/null | grep -q 'last epoch 2' || echo 'train names no epoch')"
check "docs/formats.md has every event and key of --json" "$({
    "$sapor" split ratings.tsv --out parts3 --test-ratio 0.2 --k-core 2 --json -q
    "$sapor" prepare ratings.tsv --recipe ducho --out prepared --json -q
    "$sapor" train BPR --train parts/train.tsv --valid parts/test.tsv --test parts/test.tsv --set epochs=1 --json -q --profile
    "$sapor" evaluate recs.tsv --test parts/test.tsv --train parts/train.tsv --json -q
    "$sapor" recommend run -k 1 --users u1 --json -q
    "$sapor" recommend run -k 1 -o recs1.tsv --json -q
    "$sapor" encode word-statistics texts.txt -o texts.npy --json -q
    "$sapor" nearest texts.npy --id 1 --json -q
    "$sapor" tokenize "$root/share/encoders/demo/text" texts.txt --json --tokens
    "$sapor" report run -o page.html --json
    case $sapor in *minimal*) ;; *) mkdir -p seeds && cp -r run seeds/seed-1 && cp -r run seeds/seed-2 && "$sapor" compare run seeds --json -q ;; esac
} >lines
    grep -oE '"[a-z_]+":' lines | tr -d '":' | sort -u | grep -vxE 'event|lr|instructions|cycles|cache_.*' | while read -r key; do
        grep -qE "[\`.]$key[\`.]" "$root/docs/formats.md" || echo "key $key"
    done
    { grep -rhoE 'event\\":\\"[a-z]+' "$root/tools" "$root/recsys" --include=*.c | grep -oE '[a-z]+$'; grep -oE '"event":"[a-z]+' lines | grep -oE '[a-z]+$'; } |
        sort -u | while read -r event; do grep -q "^| \`$event\` |" "$root/docs/formats.md" || echo "event $event"; done)"
# The script of the MovieLens demo takes its figures from this line by an expression, which must match.
figure=$(sed -n "s/^ *users_and_recall='\(.*\)'$/\1/p" "$root/scripts/demo-movielens.sh")
check "demo-movielens: it finds the figures in evaluate's JSON" "$([ -n "$figure" ] || echo 'no expression in scripts/demo-movielens.sh'
    "$sapor" evaluate recs.tsv --test parts/test.tsv --train parts/train.tsv --few 5 --metrics Recall --cutoffs 20 --json --quiet |
        tee line | sed -n "$figure" | grep -qxE '[1-9][0-9]* [0-9.e-]+' || cat line)"
check 'models: at most 100 columns, with the names of other systems' "$(for m in BPRMF VBPR LATTICE NGCF LightGCN ItemKNN Random MostPop resnet; do
    "$sapor" models $m
done >pages; "$sapor" models >>pages; awk 'length > 100' pages
    for name in learning_rate train_batch_size topk knn_k BPR; do grep -qw $name pages || echo "no $name"; done
    "$sapor" models LATTICE | awk '$1 == "metrics" { getline next_line; exit !(next_line ~ /^ +Precision, +nDCG,$/) }' || echo 'a long cell is not wrapped')"
check 'report: JSON' "$("$sapor" report run -o page.html --json 2>&1 | grep -qx '{"event":"result","page":"page.html"}' || echo 'no result line')"
echo "1..$number"
