# tests/hostile/places.sh: the places where a command reads or writes a file, and hostile replacements for them. Read by
# case.sh.

# Sets `where` to the name of a file that a command reads, and `call` to the command. All other files are valid copies.
place() { # NAME
    where=r.tsv
    case $1 in
    ratings) call=(split r.tsv --out made -q) ;;
    reviews) where=r.json call=(prepare r.json --out made -q) ;;
    metadata) where=m.json call=(prepare "$D/ratings.tsv" --meta m.json --out made -q) ;;
    train) call=(train MostPop --train r.tsv --out made -q) ;;
    valid) call=(train MostPop --train "$D/parts/train.tsv" --valid r.tsv --out made -q) ;;
    test) call=(train MostPop --train "$D/parts/train.tsv" --test r.tsv --out made -q) ;;
    inter) where=r.inter call=(train MostPop --train r.inter --protocol mmrec --out made -q) ;;
    recs) call=(evaluate r.tsv --test "$D/parts/test.tsv" -q) ;;
    truth) call=(evaluate "$D/recs.tsv" --test r.tsv -q) ;;
    known) call=(evaluate "$D/recs.tsv" --test "$D/parts/test.tsv" --train r.tsv -q) ;;
    users) where=users.txt call=(recommend "$D/run" --users users.txt -o made.tsv -q) ;;
    texts) where=t.txt call=(encode word-statistics t.txt -o made.npy -q) ;;
    lines) where=t.txt call=(tokenize "$E/text" t.txt -q) ;;
    picture) where=p.png call=(encode colour-statistics p.png -o made.npy -q) ;;
    array) where=f.npy call=(train VBPR --train "$D/parts/train.tsv" --features visual=f.npy --set epochs=1 --out made -q) ;;
    ids) take words.npy && rm words.ids.txt && where=words.ids.txt &&
        call=(train VBPR --train "$D/parts/train.tsv" --features visual=words.npy --set epochs=1 --out made -q) ;;
    feature) mkdir f && where=f/i01.npy call=(train VBPR --train "$D/parts/train.tsv" --features visual=f --set epochs=1 --out made -q) ;;
    safetensors) where=m.safetensors call=(encode m.safetensors "$D/pictures" --arch resnet -o made.npy -q) ;;
    torch) where=m.pth call=(encode m.pth "$D/pictures" --arch resnet -o made.npy -q) ;;
    npy-model) where=m.npy call=(encode m.npy "$D/pictures" -o made.npy -q) ;;
    text/*) cp -r "$E/text" m && where=m/${1#text/} && rm -f "$where" && call=(encode m "$D/texts.txt" -o made.npy -q) ;;
    vision/*) cp -r "$E/vision" m && where=m/${1#vision/} && rm -f "$where" && call=(encode m "$D/pictures" -o made.npy -q) ;;
    pooling) cp -r "$E/text" m && where=m/1_Pooling/config.json && rm "$where" && call=(encode m "$D/texts.txt" -o made.npy -q) ;;
    vocab) where=vocab.txt call=(tokenize vocab.txt "$D/texts.txt" -q) ;;
    tokenizer) where=tokenizer.json call=(tokenize tokenizer.json "$D/texts.txt" -q) ;;
    yaml) needs yaml && where=c.yml && call=(extract c.yml -q) ;;
    table) needs yaml && take texts.yml && where=items.tsv call=(extract texts.yml -q) ;;
    in-folder) needs yaml && take pictures.yml pictures && where=pictures/p.png call=(extract pictures.yml -q) ;;
    in-pictures) take pictures && where=pictures/p.png call=(encode colour-statistics pictures -o made.npy -q) ;;
    run/history.tsv | run/result.json) take run && where=$1 && rm "$where" && call=(report run -o made.html -q) ;;
    run/checkpoint.safetensors) take run && where=$1 && rm "$where" && call=(train BPRMF --train "$D/parts/train.tsv" --valid "$D/parts/val.tsv" \
        --test "$D/parts/test.tsv" --set epochs=4 --set validation_rate=2 --set factors=8 --set batch_size=64 --out run -q) ;;
    run/by_user.tsv) take run && where=$1 && rm "$where" && call=(compare run "$D/run" -q) ;;
    run/*) take run && where=$1 && rm "$where" && call=(recommend run -o made.tsv -q) ;;
    titles) where=items.tsv call=(report "$D/run" --items items.tsv -o made.html -q) ;;
    figures) where=f.tsv call=(compare f.tsv "$D/run" -q) ;;
    stages) where=s.tsv call=(report "$D/run" --stages s.tsv -o made.html -q) ;;
    ops) rules+=(memory=off) && where=ops.json call=(report "$D/run" --ops ops.json -o made.html -q) ;;
    against) rules+=(memory=off) && where=old.json call=(bench gemm --shape 3x5x7 --seconds 0.001 --threads 1 --against old.json -q) ;;
    pairs) rules+=(memory=off) && where=r.tsv call=(bench spmm --pairs r.tsv --seconds 0.001 --threads 1 -q) ;;
    points) where=points.tsv call=(bench plot points.tsv --out made.svg -q) ;;
    steps) rules+=(memory=off) && where=r.tsv call=(bench train BPRMF --pairs r.tsv --steps 2 --set batch_size=4 --threads 1 -q) ;;
    *) echo "no place is called $1" ;;
    esac
}
thing() { # KIND PATH: makes something that is not a file of valid data
    case $1 in
    pipe) mkfifo "$2" ;;
    socket) mf socket "$2" ;;
    zero) ln -s /dev/zero "$2" ;;
    random) ln -s /dev/urandom "$2" ;;
    null) ln -s /dev/null "$2" ;;
    full) ln -s /dev/full "$2" ;;
    memory) ln -s /proc/self/mem "$2" ;;
    folder) mkdir "$2" ;;
    loop) ln -s "$(basename "$2")" "$2" ;;
    dangling) ln -s nowhere "$2" ;;
    forbidden) : >"$2" && chmod 000 "$2" ;;
    empty) : >"$2" ;;
    sparse) truncate -s 1T "$2" ;;
    binary) head -c 3000 "$HOSTILE_SAPOR" >"$2" ;;
    gzip) gzip -c "$D/ratings.tsv" >"$2" ;;
    html) put "$2" '<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head>\n<body>u1\ti1\t5</body></html>\n' ;;
    lfs) put "$2" 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n' ;;
    utf16) { printf '\377\376' && printf 'u1\ti1\t5\n' | sed 's/./&\x00/g' | tr -d '\n' && printf '\n\0'; } >"$2" ;;
    esac
}
reads() { # PLACE KIND: runs the command of a place whose file is replaced by a thing
    place "$1"
    [ -n "${call[*]}" ] || return
    thing "$2" "$where"
    sapor "${call[@]}"
    clean
}
# Runs a command that writes PATH.
writes() { # COMMAND PATH
    case $1 in
    split) sapor split "$D/ratings.tsv" --out "$2" -q ;;
    train) sapor train MostPop --train "$D/parts/train.tsv" --out "$2" -q ;;
    encode) sapor encode word-statistics "$D/texts.txt" -o "$2" -q ;;
    recommend) sapor recommend "$D/run" -k 5 -o "$2" -q ;;
    report) sapor report "$D/run" -o "$2" -q ;;
    trace) sapor tokenize "$E/text" "$D/texts.txt" --trace "$2" -q ;;
    demo) sapor demo --out "$2" -q ;;
    data) sapor bench data --interactions 1000 --out "$2" -q ;;
    extract) needs yaml && sapor extract "$D/texts.yml" --dataset_path="$D" --textual.items.output_path="$2" -q ;;
    esac
    clean
}
plain_writes() { # COMMAND PATH: as `writes`; temporary files, which the case made, may stay
    clean() { :; }
    writes "$@"
}
valid_writes() { # COMMAND: writes made or made.* (extract: out); the result is not compared
    case $1 in
    split) sapor split "$D/ratings.tsv" --out made -q ;;
    train) sapor train BPRMF --train "$D/parts/train.tsv" --test "$D/parts/test.tsv" --set epochs=2 --set factors=64 --out made -q ;;
    encode) sapor encode word-statistics "$D/texts.txt" -o made.npy -q ;;
    recommend) sapor recommend "$D/run" -o made.tsv -q ;;
    report) sapor report "$D/run" -o made.html -q ;;
    extract) cp "$D/texts.yml" "$D/items.tsv" . && sapor extract texts.yml -q ;;
    esac
    clean
}
sapor_ready() { # ARGUMENT ...
    quietly "$@"
}
rows_match() { # FILE.npy: has one name per row; names are distinct and plain (names_plain)
    local rows names
    rows=$(head -c 128 "$1" | tr -d '\0' | sed -n "s/.*'shape': (\([0-9]*\),.*/\1/p")
    names=$(wc -l <"${1%.npy}.ids.txt")
    [ "$rows" = "$names" ] || echo "$rows rows and $names names"
    [ "$(sort -u "${1%.npy}.ids.txt" | wc -l)" = "$names" ] || echo "a name stands for two rows"
    is 'a name is plain UTF-8' names_plain "${1%.npy}.ids.txt"
}
names_plain() { # FILE: is UTF-8 without tabs and carriage returns
    iconv -f UTF-8 -t UTF-8 "$1" >/dev/null && ! grep -q "[$tab$cr]" "$1"
}
manifests_plain() { # every manifest is UTF-8 with three columns per row
    local file
    while IFS= read -r -d '' file; do
        iconv -f UTF-8 -t UTF-8 "$file" >/dev/null && awk -F'\t' 'NF != 3 { exit 1 }' "$file" || return 1
    done < <(find . -type f -name 'manifest*' -print0)
}
one_set() { # made/ has all parts of the old split, all parts of a new split, or no part
    local f n=0
    [ -e made/train.tsv ] || [ -e made/val.tsv ] || [ -e made/test.tsv ] || return 0
    for f in train val test; do cmp -s made/$f.tsv old/$f.tsv && n=$((n + 1)); done
    [ $n = 3 ] && return
    sort made/train.tsv made/val.tsv made/test.tsv 2>/dev/null | cmp -s - <(sort "$D/ratings.tsv") || echo "made holds parts of two sets: $(wc -l made/*.tsv 2>/dev/null | tr -s ' \n' ' ')"
}
parts_are_whole() { # the rows of train and test together are those of the ratings, or both files are missing
    [ -e made/train.tsv ] || [ -e made/test.tsv ] || return 0
    sort made/train.tsv made/test.tsv 2>/dev/null | cmp -s - <(sort "$D/ratings.tsv") || echo "train and test do not belong together: $(wc -l made/*.tsv | tr -s ' \n' ' ')"
}
at_once() { # COMMAND: runs it twice at the same time. Each run succeeds, or its error says that another run writes. Then a run alone is valid.
    local rules=(${rules[@]+"${rules[@]}"}) one two
    (valid "$1" >"$case_log.one") &
    one=$!
    local case_log=$case_log.second
    (valid "$1" >"$case_log.two")
    wait $one
    # The contents are compared later, when both commands have ended.
    grep -hv ' differs from \|features differ' "${case_log%.second}.one" "$case_log.two"
    case_log=$case_log.third
    rules=(status=0 'left=*')
    valid "$1"
    clean
}
shrinking() { # WHAT: truncates a file of some MB while a command reads it; eight runs, each truncated at another time
    local ms file call=()
    case $1 in
    weights) cp -r "$E/vision" m && file=m/model.safetensors call=(encode m many -o x.npy -q) && mkdir many &&
        for ms in {1..60}; do cp "$D/pictures/RGB.png" many/$ms.png; done ;;
    vocabulary) cp -r "$E/text" m && mf bytes m/vocab.txt $'word%d\n' 300000 && printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n' >>m/vocab.txt &&
        file=m/vocab.txt call=(tokenize m "$D/texts.txt" -q) ;;
    vectors) mf bytes r.tsv $'u%d\ti1\t5\nv%d\ti2\t5\n' 20000 && quietly train BPRMF --train r.tsv --set epochs=1 --set factors=128 --out run &&
        file=run/user.npy call=(recommend run -k 2 -o x.tsv -q) ;;
    texts) mf bytes t.txt $'a red bag of leather %d\n' 60000 && file=t.txt call=(encode word-statistics t.txt -o x.npy -q) ;;
    ratings) mf bytes r.tsv $'u%d\ti1\t5\nu1\tj%d\t5\n' 100000 && file=r.tsv call=(split r.tsv --out made -q) ;;
    recs) mf bytes r.tsv $'u01\ti%d\t5\n' 200000 && file=r.tsv call=(evaluate r.tsv --test "$D/parts/test.tsv" -q) ;;
    array) mf npy f.npy 1 "{'descr': '<f4', 'fortran_order': False, 'shape': (60, 60000), }" 14400000 && cp "$D/words.ids.txt" f.ids.txt &&
        file=f.npy call=(train VBPR --train "$D/parts/train.tsv" --features visual=f.npy --set epochs=1 -q) ;;
    picture) mf png p.png 4000 4000 8 2 && file=p.png call=(encode colour-statistics p.png p.png p.png p.png p.png -o x.npy -q) ;;
    torch) mf bytes b $'%d 67890123456789' 1000000 && mf zip m.pth archive/data.pkl store b && file=m.pth call=(encode m.pth "$D/pictures" --arch resnet -o x.npy -q) ;;
    esac
    cp "$file" whole
    for ms in 2 5 9 14 20 30 45 70; do
        cp whole "$file"
        sapor "${call[@]}" >"$case_log.broken" &
        sleep "$(printf '0.%03d' $ms)"
        truncate -s 200 "$file"
        wait $!
        cat "$case_log.broken"
        clean
        rm -rf x.npy x.ids.txt x.tsv made
    done
}
valid_maybe() { # COMMAND: as `valid`, but an error of one line is right too
    local text
    text=$(valid "$1")
    if [ -e "$case_log.out" ] && grep -q '^sapor: ' "$case_log.err"; then
        text=$(grep -v ' differs from \|features differ\|^not so: ' <<<"$text")
    fi
    [ -z "$text" ] || echo "$text"
    clean
}
