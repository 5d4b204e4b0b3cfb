#!/bin/bash
# tests/style.sh [FILE ...]: the rules of style and the words of CONTRIBUTING.md, checked in the whole tree or in some files (paths from
# the root). Prints FILE:LINE: RULE: what to write instead; exit status 1 when something is found. It needs find, sort and awk.
# No mark in a line excepts it from a rule. Some files are excepted:
#   bench/ladder/                   banner: `make ladder` prints the first comment of a step
#   tokenizers/unicode_tables.h     width: a program wrote this table
#   kernels/, bench/, tests/cases/  const: it states what a loop may treat as constant
set -u
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.." || exit 1
tree() { # every file that is checked
    find . \( -name build -o -name '.?*' -o -name golden -o -name results \) -prune -o -type f \
        \( -name '*.[ch]' -o -name '*.cu' -o -name '*.sh' -o -name '*.py' -o -name '*.md' -o -name Makefile -o -name '*.mk' \) -print | sed 's,^\./,,' | sort
}
known=$(mktemp) || exit 1
trap 'rm -f "$known"' EXIT
tree >"$known"
files=()
if [ $# -gt 0 ]; then
    files=("$@")
else
    while read -r file; do files+=("$file"); done <"$known"
fi

awk '
function report(line, rule, text) {
    print file ":" line ": " rule ": " text
    found = 1
}

# Splits a line of C into code (empty literals, comments as a blank), literals, and comment.
function scan(s,    c) {
    code = literals = comment = ""
    if (!in_comment && s !~ /["\047\/]/) {
        code = s
        return
    }
    while (s != "") {
        if (in_comment) {
            if (!match(s, /\*\//)) {
                comment = comment " " s
                return
            }
            comment = comment " " substr(s, 1, RSTART - 1)
            s = substr(s, RSTART + 2)
            in_comment = 0
            continue
        }
        if (!match(s, /["\047\/]/)) {
            code = code s
            return
        }
        code = code substr(s, 1, RSTART - 1)
        c = substr(s, RSTART, 1)
        s = substr(s, RSTART)
        if (substr(s, 1, 2) == "/*") {
            in_comment = 1
            code = code " "
            s = substr(s, 3)
        } else if (substr(s, 1, 2) == "//") {
            comment = comment " " substr(s, 3)
            slashes = 1
            return
        } else if (c == "/") {
            code = code c
            s = substr(s, 2)
        } else if (c == "\"" ? match(s, /^"([^\\"]|\\.)*"/) : match(s, /^\047([^\\\047]|\\.)*\047/)) {
            code = code c c
            if (c == "\"")
                literals = literals substr(s, 2, RLENGTH - 2)
            s = substr(s, RLENGTH + 1)
        } else {
            code = code s
            return
        }
    }
}

# Searches a text for the words of the glossary. A phrase may begin on the line before.
function words(text, kind,    i, all, start) {
    text = tolower(text)
    gsub(/\\[a-z]|%[-+ 0-9.*#]*[hlz]*[a-z]/, " ", text)
    gsub(/[.;:!?]+([ )]|$)/, " . ", text) # a phrase does not go over the end of a sentence
    gsub(/[^a-z0-9_.\047]+/, " ", text)
    text = " " text " "
    gsub(/  +/, " ", text)
    start = 1
    all = text
    if (before_kind == kind && before_line == FNR - 1) {
        start = length(before)
        all = before substr(text, 2)
    }
    before = text
    before_kind = kind
    before_line = FNR
    if (all !~ any_phrase)
        return
    for (i = 1; i <= phrases; i++)
        if (match(all, " " phrase[i] " ") && RSTART + RLENGTH - 1 > start)
            report(FNR, "word", "\"" phrase[i] "\": write \"" instead[i] "\" (CONTRIBUTING.md, Glossary)")
}

# Reports whether lines a to b are one simple statement. A line that ends in ")" may be a macro without a semicolon.
function is_simple(a, b,    i) {
    if (a > b || L[a] ~ /^[ \t]*(if|for|while|do|switch|else|case|default|UNROLL|[{}#])/ || L[b] !~ /;$/)
        return 0
    for (i = a; i <= b; i++)
        if (L[i] == "" || has_comment[i] || (i < b && L[i] ~ /[;{}:)]$/))
            return 0
    return 1
}

# Returns the line on which the parentheses that open on line i are closed.
function head_end(i,    open, text) {
    for (open = 0; i <= lines; i++) {
        text = L[i]
        open += gsub(/\(/, "", text) - gsub(/\)/, "", text)
        if (open <= 0)
            return i
    }
    return lines
}

function braces(    i, h, c, from, margin, all) {
    for (i = 1; i <= lines; i++) {
        if (L[i] ~ /^[ \t]*else .*[{]$|^[ \t]*else if|} else/) {
            h = L[i] ~ /else if/ ? head_end(i) : i
            if ((L[i] ~ /} else/) != (L[h] ~ /[{]$/))
                report(i, "braces", "all branches of a chain have braces where one needs them")
        }
        if (L[i] !~ /^[ \t]*(if|for|while) \(/ || of_macro[i])
            continue
        match(L[i], /^[ \t]*/)
        margin = substr(L[i], 1, RLENGTH)
        from = i
        for (all = 1; L[h = head_end(from)] ~ /[{]$/; from = c) {
            for (c = h + 1; c <= lines && index(L[c], margin "}") != 1; c++)
                ;
            all = all && h == from && !has_comment[h] && is_simple(h + 1, c - 1)
            if (L[c] !~ /} else/) {
                if (all)
                    report(i, "braces", "a body of one simple statement has none")
                break
            }
        }
    }
}

function end_of_file() {
    if (is_c)
        braces()
    lines = 0
}

# A macro that applies its parameter to a list of names.
function list_macro(text, line,    parameter, uses) {
    if (!match(text, /^#define [A-Za-z_0-9]+\([A-Za-z_0-9]+\)/))
        return
    parameter = substr(text, 9, RLENGTH - 9)
    text = substr(text, RSTART + RLENGTH)
    sub(/^.*\(/, "", parameter)
    uses = gsub("[^A-Za-z_0-9]" parameter "\\([a-z_][a-z_][a-z_0-9]+\\)", "", text)
    if (uses > 1 && parameter != "LINE")
        report(line, "list", "a macro that lists names calls its parameter LINE, as KERNEL_LIST(LINE)")
}

FNR == 1 {
    end_of_file()
    before_kind = ""
    file = FILENAME
    in_comment = glossary = in_macro = 0
    is_c = part == "files" && file ~ /\.([ch]|cu)$/
    is_ladder = file ~ /^bench\/ladder\//
    spoken = file ~ /^(base|kernels|weights|tokenizers|nn|extractors|recsys|tools|examples)\/|^sapor\.c$/
}
part == "known" {
    exists[$0] = 1
    next
}
part == "words" {
    if (/^## /)
        glossary = $0 == "## Glossary"
    if (!glossary || !/^\| [^-]/ || split($0, cell, / *\| */) < 5)
        next
    n = split(cell[4], quoted, "`")
    for (i = 2; i <= n; i += 2) {
        phrase[++phrases] = tolower(quoted[i])
        instead[phrases] = cell[2]
        any_phrase = any_phrase (phrases > 1 ? "|" : " (") tolower(quoted[i])
    }
    next
}
!closed {
    any_phrase = phrases ? any_phrase ") " : "^$"
    closed = 1
}

file ~ /\.md$/ {
    if (/^## /)
        glossary = file == "CONTRIBUTING.md" && $0 == "## Glossary"
    if (!glossary)
        words($0, "text")
    next
}
file ~ /\.(sh|py|mk)$|(^|\/)Makefile$/ {
    if (file ~ /^scripts\//)
        words($0, "text")
    else if (match($0, /(^|[ \t])#/))
        words(substr($0, RSTART), "text")
    next
}

# What follows is C.
FNR == 1 && !is_ladder && index($0, "/* " file ": ") != 1 { report(1, "banner", "/* " file ": what it is") }
{
    if (/^#include "/) {
        split($0, quoted, "\"")
        if (!(quoted[2] in exists))
            report(FNR, "include", "the path from the root, as #include \"base/base.h\"")
    }
    if (length($0) > 120 && file != "tokenizers/unicode_tables.h") {
        text = $0
        gsub(/[\200-\277]/, "", text)
        if (length(text) > 120)
            report(FNR, "width", "at most 120 columns; this line has " length(text))
    }
    if (/^[ \t]*\/\* ?[-=*#~_][-=*#~_][-=*#~_]/ || /[-=#~_][-=#~_][-=#~_] ?\*\/$/)
        if (!/^\/\* ---- [^ -].* ----+ \*\/$/ || length($0) < 100 || (length($0) > 100 && !/ ---- \*\/$/))
            report(FNR, "ruler", "/* ---- title ---- ... ---- */ at the margin, filled to 100 columns")
    was_open = in_comment
    slashes = 0
    scan($0)
    if (spoken && literals != "" && !/^#include/)
        words(literals, "text")
    if (comment != "")
        words(comment, "comment")
    if (slashes && !/^\/\/ flags[a-z0-9 ]*: /)
        report(FNR, "comment", "/* a comment */ instead of // a comment")
    if (in_comment && !was_open && code ~ /[^ \t]/)
        report(FNR, "comment", "a comment after code ends on its line; put a longer one above")
    if (code ~ /[^ \t]/ && !was_open && /\*\/,$/)
        report(FNR, "comment", "a comment after a member comes after its comma")
    continued = code ~ /\\$/
    sub(/[ \t]*\\$/, "", code)
    sub(/[ \t]+$/, "", code)
    if (comment != "" && !was_open && !in_comment && code ~ /[;{]$/ && lines && L[lines] ~ /,$/ && !has_comment[lines]) {
        text = code
        sub(/^[ \t]+/, "", text)
        if (text !~ /^[.{]/ && L[lines] !~ /^[ \t]*[?:]/ && length(L[lines]) + 1 + length(text) <= 120)
            report(FNR, "comment", "without this comment the code fits in one line; it goes above")
    }
    L[++lines] = code
    has_comment[lines] = comment != "" || was_open
    of_macro[lines] = in_macro

    text = code
    while (match(text, /sizeof ?\([^()]*\)/)) {
        inner = substr(text, RSTART, RLENGTH - 1)
        text = substr(text, RSTART + RLENGTH)
        sub(/^sizeof ?\(/, "", inner)
        if (inner !~ /^(const )?(void|bool|char|int|short|long|unsigned|signed|float|double|struct|union|[a-z_0-9]+_t|[A-Z]|[A-Z][A-Za-z0-9_]*[a-z][A-Za-z0-9_]*)([ *[]|$)/ || inner ~ /[.>]/)
            report(FNR, "sizeof", "sizeof " inner ": only types have parentheses")
    }
    if (code ~ /^[ \t]+const (int|unsigned|size_t|u?int[0-9]+_t|float|double|bool|char) [A-Za-z_0-9]+ =/ && file !~ /^(kernels|bench|tests\/cases)\//)
        report(FNR, "const", "no const on a local number")
    if (code ~ /^const (Recommender|EncoderKind|Family) [a-z_0-9]+ =/ && code !~ /^const (Recommender recommender|EncoderKind encoder|Family family)_/)
        report(FNR, "list", "the name is TYPE_NAME: recommender_bprmf, encoder_bert, family_gemm")
    if (in_macro || code ~ /^#define /) {
        macro_line = in_macro ? macro_line : FNR
        macro = in_macro ? macro " " code : code
        in_macro = continued
        if (!in_macro)
            list_macro(macro " ", macro_line)
    }
}
END {
    end_of_file()
    exit found
}
' part=known "$known" part=words CONTRIBUTING.md part=files "${files[@]}"
