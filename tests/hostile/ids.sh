# tests/hostile/ids.sh: makes tables and checks ids, for tables.cases. Read by case.sh.
run_ids() { # PART COLUMN TABLE: if there is a run in made/, its ids of PART (user or item) are those in a column of the table
    [ -e made ] || return 0
    cut -f "$2" "$D/$3.tsv" | sort -u | cmp -s - <(sort -u "made/$1.ids.txt") ||
        echo "the run has other ${1}s than the table: $(sort -u "made/$1.ids.txt" | head -n 3 | tr '\n' ' ' | cut -c 1-60)..."
}
run_items() { # TABLE
    run_ids item 2 "$1"
    run_ids user 1 "$1"
}
run_users() { # TABLE
    run_ids user 1 "$1"
}
items_known() { # TABLE: if there are parts in made/, they have each row of r.txt once, unchanged, and training on them finds no other items
    [ -e made ] || return 0
    cat made/*.tsv | sort | cmp -s - <(sort r.txt) || echo 'the parts are not the rows of the input'
    cp -r made again
    "$HOSTILE_SAPOR" train MostPop --train again/train.tsv --out run --quiet >"$case_log.again" 2>&1 </dev/null || return 0
    cut -f 2 "$D/$1.tsv" | sort -u | comm -13 - <(sort -u run/item.ids.txt) | grep -q . && echo 'what split wrote is read with other items'
}
csv_with() { # FIELD: writes r.csv with one more user; FIELD is the user's id as a CSV field
    awk -F'\t' 'BEGIN { print "user,item,rating" } { print $1 "," $2 "," $3 }' "$D/ratings.tsv" >r.csv
    for i in 01 02 03 04 05; do printf '%s,i%s,5\n' "$1" $i; done >>r.csv
}
run_has_user() { # ID: if there is a run in made/, it has this user
    [ ! -e made ] || grep -qxF -- "$1" made/user.ids.txt || echo "no user is called $1: $(tail -n 1 made/user.ids.txt)"
}
ids_plain() { # FOLDER: id files of a run are UTF-8, without empty lines, tabs, CR and duplicates; one id per user or item
    local part rows
    for part in user item; do
        names_plain "$1/$part.ids.txt" || echo "$part.ids.txt has a tab, a carriage return or no UTF-8"
        [ "$(sort "$1/$part.ids.txt" | uniq -d | wc -l)" = 0 ] || echo "$part.ids.txt has a name twice"
        ! grep -qx '' "$1/$part.ids.txt" || echo "$part.ids.txt has an empty name"
        rows=$(grep -o "\"${part}s\": [0-9]*" "$1/config.json" | grep -o '[0-9]*$')
        [ "$rows" = "$(wc -l <"$1/$part.ids.txt")" ] || echo "$part.ids.txt has $(wc -l <"$1/$part.ids.txt") lines, the data $rows"
    done
}
finds_all() { # an evaluation either refuses its files with an error, or finds every item
    grep -q '^sapor: ' "$case_log.err" || grep -q '"HR@1":1[,}]' "$case_log.out" || echo "the ids do not meet: $(head -c 100 "$case_log.out")"
}
same_figures() { # the printed figures are those of the valid data
    grep -o '"figures":.*\|"Recall@.*' "$case_log.out" | cmp -s - <(grep -o '"figures":.*\|"Recall@.*' "$D/figures.json") || echo "other figures: $(head -c 150 "$case_log.out")"
}
few() { # WHAT: writes r.tsv with few users, items or rows
    case $1 in
    one-user) awk 'BEGIN { for (i = 0; i < 20; i++) printf "u1\ti%02d\t5\t%d\n", i, i }' ;;
    one-item) awk 'BEGIN { for (i = 0; i < 20; i++) printf "u%d\ti01\t5\t%d\n", i, i }' ;;
    one-row) printf 'u1\ti01\t5\t1\n' ;;
    every-item) awk 'BEGIN { for (u = 0; u < 5; u++) for (i = 0; i < 10; i++) printf "u%d\ti%02d\t5\t%d\n", u, i, i }' ;;
    pairs) awk 'BEGIN { for (u = 0; u < 20; u++) printf "u%d\ti%02d\t5\t%d\n", u, u, u }' ;;
    esac >r.tsv
}
no_nan() { # FILE: has no nan and no inf
    ! grep -qiE 'nan|inf' "$1" || echo "$1 has $(grep -iE 'nan|inf' "$1" | head -n 1)"
}
whole_split() { # the parts in made/ together are r.tsv
    cat made/*.tsv | sort | cmp -s - <(sort r.tsv)
}
integers() { # replaces ids by numbers: u01 by 1, i02 by 2
    sed 's/[ui]0*\([0-9]\)/\1/g'
}
