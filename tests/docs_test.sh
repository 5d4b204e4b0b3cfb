#!/bin/bash
# tests/docs_test.sh: runs every command in README.md and docs/: the blocks fenced as ```sh, from top to bottom, each
# page in an empty folder of its own, with the sapor of the build. Lines that call make are not run; their targets must
# exist. Also checks that linked pages exist, that files, tests and functions named in docs/reading-path.md exist, and
# that docs/results.md has the figures of docs/results/. Speaks TAP; $BUILD is the folder of the build.
set -u
cd "$(dirname "$0")/.."
root=$PWD
build=$root/${BUILD:-build}
pages=(README.md docs/*.md)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
number=0 failed=0
result() { # STATUS NAME [FILE]: prints the result of a check; FILE explains a failure
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else
        failed=1
        echo "not ok $number - $2"
        [ $# -lt 3 ] || tail -n 15 "$3" | sed 's/^/# /'
    fi
}

blocks_of() { # KIND PAGE: prints the lines of the blocks that are fenced as ```KIND
    awk -v fence='```'"$1" '/^```/ { inside = !inside && $0 == fence; next } inside' "$2"
}

echo "1..$((2 * ${#pages[@]} + 7))"
for page in "${pages[@]}"; do
    name=$(basename "$page" .md)
    mkdir -p "$scratch/$name/bin"
    ln -s "$build/sapor" "$scratch/$name/bin/sapor"
    blocks_of sh "$page" | grep -vE '^(make|sudo make|git|cd)( |$)' >"$scratch/$name/commands"
    if [ "$build" != "$root/build" ] && [ -s "$scratch/$name/commands" ]; then
        number=$((number + 1))
        echo "ok $number - commands of $page # SKIP run by the plain build, with $(grep -c . "$scratch/$name/commands") lines"
    else
        (cd "$scratch/$name" && PATH=$scratch/$name/bin:$PATH bash -eu commands) >"$scratch/$name/log" 2>&1
        result $? "commands of $page" "$scratch/$name/log"
    fi
    : >"$scratch/$name/missing"
    if [ -s "$scratch/$name/log" ]; then # the output that the page shows was printed
        sed 's/^ *//; s/ *$//' "$scratch/$name/log" >"$scratch/$name/printed"
        blocks_of text "$page" | sed 's/^ *//; s/ *$//' | grep -avxFf "$scratch/$name/printed" |
            sed 's/^/not printed: /' >>"$scratch/$name/missing"
    fi
    blocks_of sh "$page" | sed -nE 's/^(sudo )?make ([a-z-]+).*/\2/p' | while read -r target; do
        grep -qE "^([a-zA-Z -]* )?$target( [a-z -]+)?:" Makefile mk/*.mk || echo "no target $target" >>"$scratch/$name/missing"
    done
    for file in $(grep -oE '\b(base|kernels|weights|tokenizers|nn|extractors|recsys|tools|tests|docs|scripts|bench|examples)/[A-Za-z0-9_/.-]+\.(c|h|md|sh|py)\b' "$page" | sort -u); do
        [ -e "$file" ] || echo "no file $file" >>"$scratch/$name/missing"
    done
    [ ! -s "$scratch/$name/missing" ]
    result $? "targets, files and output named in $page" "$scratch/$name/missing"
done

: >"$scratch/missing"
for name in $(grep -oE '`[a-z0-9]+(_[a-z0-9]+)+`' docs/reading-path.md | tr -d '`' | sort -u); do
    grep -rqw "$name" --include='*.c' . || echo "nothing is called $name" >>"$scratch/missing"
done
[ ! -s "$scratch/missing" ]
result $? "names in docs/reading-path.md" "$scratch/missing"

awk 'length > 120 { print "README.md:" FNR ": " length " columns" } END { if (FNR > 140) print "README.md has " FNR " lines: move some to docs/" }' README.md >"$scratch/wide"
for page in README.md docs/*.md; do # pages that are linked
    for link in $(grep -oE '\]\([A-Za-z0-9_./-]+' "$page" | cut -c 3-); do
        [ -e "$(dirname "$page")/$link" ] || echo "$page: no $link" >>"$scratch/wide"
    done
done
[ ! -s "$scratch/wide" ]
result $? "README is short, with lines of at most 120 columns; links of all pages lead somewhere" "$scratch/wide"

# The tables of names equal those of the code, in both directions: columns of interactions, and settings of other
# systems.
words() { grep -oE '[A-Za-z_-]*[A-Za-z][A-Za-z_-]*' | tr 'A-Z' 'a-z' | tr -d '_-' | sort -u; }
sed -n '/^### Names of columns/,/^Counts/p' docs/formats.md | grep '^| [a-z]' | grep -oE '`[^`]*`' | words >"$scratch/documented"
sed -n '/KNOWN\[ROLES\] = {/,/^};/p' recsys/data/columns.c | grep -oE '"[^"]*"' | words >"$scratch/known"
diff "$scratch/known" "$scratch/documented" >"$scratch/names"
sed -n '/^## 8 /,/^## 9 /p' docs/recipes.md >"$scratch/section"
for model in $(${EMULATOR:-} "$build/sapor" models --json | sed -n 's/^{"recommender":"\([^"]*\)".*/\1/p'); do
    if ! grep -qE "^### 7\.[0-9]+ $model\$" docs/recipes.md; then # the second step of CONTRIBUTING.md, Add a recommender
        echo "# docs/recipes.md has no section of $model yet"
        continue
    fi
    ${EMULATOR:-} "$build/sapor" models "$model" --json | grep -oE '"also":\["[^]]*\]' | cut -d : -f 2 | words | while read -r name; do
        tr -d '_' <"$scratch/section" | grep -qw "$name" || echo "docs/recipes.md 8 has no $name of $model" >>"$scratch/names"
    done
done
[ -s "$scratch/known" ] && [ ! -s "$scratch/names" ]
result $? "names of columns in docs/formats.md, names of settings in docs/recipes.md" "$scratch/names"

# The complete recommender of CONTRIBUTING compiles without a warning, and the names next to it exist.
sed -n '/^## Add a recommender/,/^## Add an encoder/p' CONTRIBUTING.md >"$scratch/recommender"
blocks_of c "$scratch/recommender" >"$scratch/example.c"
grep -q '^const Recommender recommender_example' "$scratch/example.c" || echo 'CONTRIBUTING has no example' >"$scratch/compiled"
${CC:-cc} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -fsyntax-only "$scratch/example.c" >>"$scratch/compiled" 2>&1
for name in $(grep -v '^[ /]' "$scratch/recommender" | grep -oE '`[a-z0-9]+(_[a-z0-9]+)+`' | tr -d '`' | sort -u); do
    grep -rqw "$name" --include='*.[ch]' recsys nn base tests || echo "nothing is called $name" >>"$scratch/compiled"
done
[ ! -s "$scratch/compiled" ]
result $? "the recommender in CONTRIBUTING compiles" "$scratch/compiled"

# Sections of docs/recipes.md that comments cite must exist: "recipes.md 4.1" or "recipes.md 6.2, 6.3".
everywhere() { # GREP-OPTIONS...: in all sources and pages
    grep "$@" --include='*.[ch]' --include='*.md' --include='*.sh' --include='*.py' --include=Makefile --include='*.mk' \
        --exclude-dir=build --exclude-dir=.git .
}
everywhere -rnE '\b(DE|EN|M) [0-9]|shared/ref[e]rence|ducho-elliot[.]md' >"$scratch/cited"
[ ! -s "$scratch/cited" ]
result $? "nothing cites notes outside of the repository" "$scratch/cited"
: >"$scratch/missing"
everywhere -rhoE 'recipes\.md`? [0-9]+(\.[0-9]+)?((,| and| to) [0-9]+(\.[0-9]+)?)*' | grep -oE '[0-9]+(\.[0-9]+)?' | sort -u >"$scratch/sections"
while read -r section; do
    grep -qE "^##+ $section " docs/recipes.md || echo "docs/recipes.md has no section $section" >>"$scratch/missing"
done <"$scratch/sections"
[ -s "$scratch/sections" ] && [ ! -s "$scratch/missing" ]
result $? "sections of docs/recipes.md that are cited" "$scratch/missing"

# A copy of docs/results.md without its tables gets the same tables from docs/results/*.tsv.
awk '/^<!-- results end/ { inside = 0 } !inside { print } /^<!-- results: / { inside = 1 }' docs/results.md >"$scratch/results.md"
{ ! cmp -s docs/results.md "$scratch/results.md" && RESULTS=docs/results sh scripts/results.sh "$scratch/results.md" &&
    diff docs/results.md "$scratch/results.md"; } >"$scratch/tables" 2>&1
result $? "docs/results.md has the tables of docs/results/*.tsv (if not, run scripts/results.sh)" "$scratch/tables"
exit $failed
