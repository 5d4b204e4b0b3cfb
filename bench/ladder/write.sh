#!/bin/bash
# bench/ladder/write.sh PAGE: copies a ladder's table from standard input to standard error and writes it into PAGE, between
# "<!-- ladder: MACHINE -->" and "<!-- ladder end -->". The table of a new machine is put after the tables of the others.
# If a step is wrong, the page is not changed.
set -eu
page=$1
table=$(tee /dev/stderr)
machine=${table%%), *}')'
case $table in *'| WRONG |'* | '') echo "$page: not written" >&2; exit 1 ;; esac
grep -q '^<!-- ladder end -->$' "$page" || { echo "$page: there is no line <!-- ladder end -->" >&2; exit 1; }
MACHINE=$machine TABLE=$table awk '
    function put() { print "<!-- ladder: " ENVIRON["MACHINE"] " -->\n" ENVIRON["TABLE"] "\n\n<!-- ladder end -->"; done = 1 }
    FNR == NR { if ($0 == "<!-- ladder end -->") last = FNR; if ($0 == "<!-- ladder: " ENVIRON["MACHINE"] " -->") known = 1; next }
    $0 == "<!-- ladder: " ENVIRON["MACHINE"] " -->" { inside = 1; put(); next }
    inside { inside = $0 != "<!-- ladder end -->"; next }
    { print }
    FNR == last && !known { print ""; put() }
' "$page" "$page" >"$page.new"
mv "$page.new" "$page"
