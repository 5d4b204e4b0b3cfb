#!/bin/bash
# tests/style_test.sh: tests/style.sh finds each broken rule of style and each word that the glossary of CONTRIBUTING.md refuses, at its
# line, and nothing in code that keeps the rules; the tree keeps them. Speaks TAP.
test=style
. "$(dirname "$0")/shell.sh"
number=0 failed=0
ok() { # STATUS NAME: on a failure, prints ./out
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else
        failed=1
        echo "not ok $number - $2"
        head -n 20 out | sed 's/^/# /'
    fi
}
mkdir -p tree/tests/cases tree/base tree/nn tree/docs tree/scripts tree/bench/ladder tree/tokenizers
cp "$root/tests/style.sh" tree/tests/
cp "$root/CONTRIBUTING.md" tree/
echo '/* base/base.h: for includes. */' >tree/base/base.h

check() { # FILE: its content is standard input, without a first line where it is C; the result in ./out and $status
    case $1 in *.[ch]) echo "/* $1: a test. */" ;; esac >"tree/$1"
    cat >>"tree/$1"
    tree/tests/style.sh "$1" >out 2>&1
    status=$?
    rm "tree/$1"
}
broken() { # RULE LINE FILE: exactly this is found
    check "$3"
    [ $status = 1 ] && [ "$(wc -l <out)" = 1 ] && grep -q "^$3:$2: $1: ." out
    ok $? "$1: $3:$2 is found"
}
clean() { # NAME FILE: nothing is found
    check "$2"
    [ $status = 0 ] && [ ! -s out ]
    ok $? "$1"
}
repeat() { printf "%$2s" '' | tr ' ' "$1"; } # CHARACTER COUNT

# banner
echo '#include <stdio.h>' >tree/nn/a.c
tree/tests/style.sh nn/a.c >out 2>&1
grep -q '^nn/a.c:1: banner: ' out
ok $? 'banner: nn/a.c:1 is found'
mv tree/nn/a.c tree/bench/ladder/a.c
tree/tests/style.sh bench/ladder/a.c >out 2>&1
ok $? 'banner: not in bench/ladder'
rm tree/bench/ladder/a.c

# include
broken include 3 nn/a.c <<'END'
#include "base/base.h"
#include "base.h"
END

# width
broken width 2 nn/a.c <<<"int a[] = {$(repeat 1 108)};"
clean 'width: 120 columns, counted in characters' nn/a.c <<<"int a[] = {$(repeat 1 107)};
/* $(repeat é 60 | sed 's/./é/g') $(repeat a 53) */"
clean 'width: not in the table that a program wrote' tokenizers/unicode_tables.h <<<"int a[] = {$(repeat 1 112)};"

# sizeof
broken sizeof 2 nn/a.c <<<'size_t a = sizeof(b->c) * sizeof(Tensor);'
broken sizeof 2 nn/a.c <<<'size_t a = sizeof (b);'
broken sizeof 2 nn/a.c <<<'size_t a = sizeof(*b);'
broken sizeof 2 nn/a.c <<<'size_t a = sizeof(PATH);'
clean 'sizeof: of types, of expressions, in comments and strings' nn/a.c <<'END'
size_t a = sizeof *b + sizeof b->c[0] + sizeof(float) + sizeof(const Json *) + sizeof(int32_t[4]) + sizeof(T);
const char *text = "sizeof(a)"; /* sizeof(a) */
END

# braces
broken braces 4 nn/a.c <<'END'
void f(int a)
{
    if (a) {
        g(a);
    }
}
END
broken braces 4 nn/a.c <<'END'
void f(int a)
{
    for (int i = 0; i < a; i++) {
        g("a text that is so long that the statement needs two lines: { and } and ; are in it",
          i);
    }
}
END
broken braces 4 nn/a.c <<'END'
void f(int a)
{
    if (a) {
        g(a);
    } else if (b) {
        h(a);
    } else {
        i(a);
    }
}
END
broken braces 6 nn/a.c <<'END'
void f(int a)
{
    if (a)
        g(a);
    else {
        g(a);
        h(a);
    }
}
END
broken braces 7 nn/a.c <<'END'
void f(int a)
{
    if (a) {
        g(a);
        h(a);
    } else
        g(a);
}
END
clean 'braces: where they are needed' nn/a.c <<'END'
#define EACH(f)                                                                                                        \
    for (int i = 0; i < n; i++) {                                                                                      \
        f(i);                                                                                                          \
    }
void f(int a)
{
    if (a) {
        g(a);
        h(a);
    } else {
        g(a);
    }
    for (int i = 0; i < a; i++) {
        if (a)
            g(a);
    }
    while (a) { /* a comment */
        a = g(a);
    }
    if (a) {
        /* a comment */
        g(a);
    }
    if (a) {
        ROWS(a)
        g(a);
    }
    do {
        g(a);
    } while (a);
    if (a)
        g(a);
    else
        h(a);
}
END

# ruler
ruler="/* ---- a title $(repeat - 81) */"
broken ruler 2 nn/a.c <<<"${ruler/----------/---------}"
broken ruler 2 nn/a.c <<<'/* ==== a title ==== */'
broken ruler 2 nn/a.c <<<"    $ruler"
broken ruler 2 nn/a.c <<<'/* --------------------'
clean 'ruler: of 100 columns, or of a long title' nn/a.c <<<"$ruler
/* ---- $(repeat a 100) ---- */
/* --name: an option */"

# comment
broken comment 2 nn/a.c <<<'int a; // b'
broken comment 2 nn/a.c <<'END'
int a; /* a comment that
        * goes on */
END
broken comment 2 nn/a.c <<<'enum { A /* the first */,
       B };'
broken comment 3 nn/a.c <<'END'
bool some_name_of_a_function(int64_t a,
                             Error *e); /* a comment that is too long to come after the declaration */
END
clean 'comment: behind code, above, and flags of the file' nn/a.c <<'END'
// flags: -O3
// flags avx512: -mavx512vnni
int a; /* b */
/* A comment of
 * two lines */
bool some_name_of_a_function(int64_t a, int64_t b_is_a_longer_name, int64_t c_is_a_longer_name, int64_t a_name,
                             Error *e); /* a comment */
END

# list
broken list 2 nn/a.c <<'END'
#define MODEL_LIST(X) \
    X(random)         \
    X(bprmf)
END
broken list 2 nn/a.c <<<'const Recommender bprmf = {0};'
broken list 2 nn/a.c <<<'const EncoderKind bert_kind = {0};'
broken list 2 nn/a.c <<<'const Family gemm_family = {0};'
clean 'list: LINE, TYPE_NAME, other macros' nn/a.c <<'END'
#define MODEL_LIST(LINE) \
    LINE(random)         \
    LINE(bprmf)
#define TO_2(X) X(1) X(2)
#define BOTH(f) (f(a) + f(b))
const Recommender recommender_bprmf = {0};
const EncoderKind encoder_bert = {0};
const Family family_gemm = {0};
END

# const
broken const 4 nn/a.c <<'END'
int f(int a)
{
    const int64_t b = a;
    return (int)b;
}
END
clean 'const: of pointers, tables and in the kernels' nn/a.c <<'END'
static const int a = 1;
int f(void)
{
    static const int b = 2;
    const char *c = "";
    const int32_t d[] = {1};
    return a + b + *c + d[0];
}
END
clean 'const: of the cases of kernels' tests/cases/a.c <<'END'
int f(int a)
{
    const int b = a;
    return b;
}
END

# word: each phrase of the glossary, in a string, on a page, in a script and in the Makefile's help
awk '/^## / { inside = $0 == "## Glossary" } inside && /^\| [^-]/ { n = split($0, cell, / *\| */); m = split(cell[4], q, "`"); for (i = 2; i <= m; i += 2) print q[i] }' \
    "$root/CONTRIBUTING.md" >phrases
[ "$(wc -l <phrases)" -gt 30 ]
ok $? 'the glossary has words that are not used'
each() { # FILE BEFORE AFTER FIRST-LINE: each phrase is found at its line, and nothing else is
    while read -r phrase; do printf '%s%s%s\n' "$2" "$phrase" "$3"; done <phrases >content
    check "$1" <content
    awk -v file="$1" -v line="$4" '{ print file ":" line++ ": word: \"" $0 "\": write" }' phrases >expected
    sed 's/": write .*/": write/' out | diff expected - >difference && [ $status = 1 ]
    ok $? "word: each is found in $1"
}
each nn/a.c 'const char *a = "%s: x ' ', y\n";' 2
each docs/a.md '| x ' '. Y' 1
each scripts/a.sh 'echo "x: ' ', y"' 1
each Makefile '#: x ' ' y' 1
each tests/a.sh 'ls # x ' ' y' 1
each bench/a.py '# x ' ' y' 1
tr 'a-z' 'A-Z' <phrases >upper
while read -r phrase; do printf 'X %s\n' "$phrase"; done <upper >content
check docs/a.md <content
[ "$(cut -d : -f 2 out | sort -nu | wc -l)" = "$(wc -l <phrases)" ]
ok $? 'word: in capitals'
broken word 3 nn/a.c <<'END'
const char *a = "instead: in place"
                " of it";
END
broken word 2 docs/a.md <<'END'
used in
place of it
END
broken word 2 nn/a.c <<<'int a; /* a tensor is lent */'
clean 'word: not in identifiers, in parts of words, in tests, in a row of the glossary' nn/a.c <<'END'
#include "base/base.h"
int lives, wants(int seldom);
const char *a = "movielives unwanted sooner lent_out";
END
clean 'word: not in strings of tests' tests/a.c <<<'const char *a = "seldom";'

# The tree
"$root/tests/style.sh" >out 2>&1
ok $? 'the tree keeps the rules'
echo "1..$number"
exit $failed
