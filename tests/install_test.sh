#!/bin/bash
# tests/install_test.sh: the examples, built by pkg-config against an installed copy, give the results of the command.
# Speaks TAP. $BUILD is the build to install; $EMULATOR runs cross-compiled programs.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
with=("BUILD=$BUILD") linked=()
case $BUILD in
build) cc=${CC:-cc} ;;
build/minimal | build/minimal-glibc | build/minimal/aarch64)
    case $BUILD in
    build/minimal) cc=$(command -v musl-gcc) || cc=cc ;; # the same name as in the Makefile: another name would rebuild everything while tests run
    build/minimal-glibc) cc=cc ;;
    *) cc=aarch64-linux-gnu-gcc ;;
    esac
    with+=(MINIMAL=1 "CC=$cc") linked=(-static)
    ;;
*)
    printf '%s\n' "skipped: programs that link this build ($BUILD) need its flags" "ok 1 - install # SKIP" 1..1
    exit 0
    ;;
esac
work=$(mktemp -d "${TMPDIR:-/tmp}/sapor-install-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
number=0

ok() { # STATUS NAME: on a failure, prints $work/log
    number=$((number + 1))
    if [ "$1" = 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        head -n 20 "$work/log" | sed 's/^/# /'
    fi
}

check() { # NAME COMMAND ...
    local name=$1
    shift
    "$@" >"$work/log" 2>&1
    ok $? "$name"
}

run() { ${EMULATOR:-} "$@"; }

root=$work/sapor
check install "${MAKE:-make}" -s "${with[@]}" PREFIX="$root" install
if [ ! -e "$root/lib/pkgconfig/sapor.pc" ]; then
    echo 1..1
    exit 1
fi
grep -q "^Programs that link libsapor.so find it with LD_LIBRARY_PATH=$root/lib$" "$work/log" &&
    grep -q "^pkg-config finds it with PKG_CONFIG_PATH=$root/lib/pkgconfig$" "$work/log"
ok $? install_says_what_the_loader_needs
check links test "$(readlink "$root/lib/libsapor.so")" = libsapor.so.0 -a -e "$root/lib/libsapor.so.0"
export PKG_CONFIG_PATH=$root/lib/pkgconfig LD_LIBRARY_PATH=$root/lib
check version test "$(pkg-config --modversion sapor)" = "$(run "$root/bin/sapor" --version | sed 's/[^ ]* //; s/ .*//')"

page=$root/share/man/man1/sapor.1
if [ "$BUILD" = build/minimal/aarch64 ]; then
    echo "skipped: the man page: the command that writes it is for another machine"
else
    # Each line of every --help as roff prints it; line breaks may differ.
    sed 's/\\f[BIR]//g; s/\\&//g; s/\\-/-/g; s/\\(ga/`/g; s/\\(aq/'"'"'/g; s/\\(ha/^/g; s/\\(ti/~/g; s/\\(dq/"/g; s/\\(rs/\\/g' "$page" >"$work/page"
    for command in $("$root/bin/sapor" help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
        sed -n "/^\.SS $command/,/^\.S[SH]/p; /COMMON OPTIONS/,\$p" "$work/page" | sed '/^\.[A-Z]/d' | tr -s ' \n' ' ' >"$work/section"
        "$root/bin/sapor" "$command" --help | sed -E "/^(usage|options .*|common options|exit status|example|$command):/d; s/^ +//; s/ [\\]$//; s/^((-., )?--[^ ]+( [^ ]+)?) +/\1\n/" |
            while read -r line; do grep -qF -e "$line" "$work/section" || [ -z "$line" ] || echo "$command: $line"; done
    done >"$work/log" 2>&1
    [ ! -s "$work/log" ] && [ "$(grep -c '^\.SS' "$page")" -ge 12 ]
    ok $? manual_says_what_help_says
    for shell in bash zsh; do
        place=$root/share/$([ $shell = bash ] && echo bash-completion/completions/sapor || echo zsh/site-functions/_sapor)
        "$root/bin/sapor" help --$shell-completion 2>&1 | cmp - "$place" >"$work/log" 2>&1
        ok $? completions_of_$shell
    done
    for lint in "groff -ww -man -Tascii" "mandoc -T lint -W warning"; do
        name=manual_${lint%% *}
        if command -v "${lint%% *}" >/dev/null; then
            $lint "$page" 2>"$work/log" >"$work/shown" || cat "$work/shown" >>"$work/log"
            [ ! -s "$work/log" ]
            ok $? "$name"
        else
            number=$((number + 1))
            echo "ok $number - $name # SKIP skipped: there is no ${lint%% *} here"
        fi
    done
fi

for example in examples/*.c; do
    # Compiled as the first lines of the example say, with strict warnings: a public header must not cause a warning.
    said=$(sed -n 's/^ \*     cc [a-z_]*\.c -o [a-z_]* \(.*\)/\1/p' "$example")
    check "$example" eval "$cc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror $example -o $work/$(basename "$example" .c)" \
        "${linked[0]:+-static} ${said/pkg-config/pkg-config ${linked[0]:+--static}}"
done
if command -v c++ >/dev/null; then
    printf '%s\n' '#include <sapor.h>' 'int main() { sp_error e = {}; return sp_version() && e.code == SP_OK ? 0 : 1; }' >"$work/header.cpp"
    check cplusplus c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags sapor) -fsyntax-only "$work/header.cpp"
    if [ -z "${linked[*]}" ]; then
        check cplusplus_links c++ "$work/header.cpp" -o "$work/header" $(pkg-config --cflags --libs sapor)
        check cplusplus_runs "$work/header"
    fi
else
    echo "skipped: no C++ compiler"
fi
if [ -z "${linked[*]}" ]; then
    check static_archive "$cc" examples/recommend.c -o "$work/static" "$root/lib/libsapor.a" -I"$root/include" \
        $(sed -n 's/^Libs.private: //p' "$root/lib/pkgconfig/sapor.pc") ${LDFLAGS:-}
    # Linked as sapor.h says. A library needed by a library is included, as libsharpyuv for libwebp from 1.3 on.
    links_statically() { echo 'int main(void) { return 0; }' | "$cc" -static -x c - -o "$work/probe" "$@" 2>/dev/null; }
    others=$(sed -n 's/^Libs.private: //p' "$root/lib/pkgconfig/sapor.pc") lacking= without=$work/without
    for word in $others; do
        case $word in -l*) links_statically $(printf '%s\n' $others | grep '^-L') "$word" || lacking+=${lacking:+ }$word ;; esac
    done
    if [ "$lacking" = -lonig ]; then # Debian's Oniguruma has no archive: a build without it, of the same objects but for the files that use it
        echo "skipped: a static link with Oniguruma: there is no libonig.a here"
        mkdir "$without"
        for room in base weights tokenizers nn extractors recsys kernels tools; do cp -rs "$PWD/$BUILD/$room" "$without"; done
        cp -s "$PWD/$BUILD"/sapor*.o "$without"
        for source in $(grep -rl HAVE_ONIGURUMA --include=*.c base weights tokenizers nn extractors recsys tools sapor*.c); do rm "$without/${source%.c}.o"; done
        check install_without_oniguruma env -u MAKEFLAGS "${MAKE:-make}" -s "${with[@]}" BUILD="$without" WITHOUT=oniguruma -o "$without/flags" PREFIX="$work/plain" install
        "$work/plain/bin/sapor" info 2>&1 | tee "$work/log" | grep -q 'oniguruma *not in this build'
        ok $? info_says_without_oniguruma
        lacking= others=$work/plain/lib/pkgconfig
    else
        others=$root/lib/pkgconfig
    fi
    if [ -z "$lacking" ] && links_statically; then
        check linked_statically "$cc" -static examples/recommend.c -o "$work/static" $(PKG_CONFIG_PATH=$others pkg-config --static --cflags --libs sapor)
        [ ! -e "$work/static" ] || check needs_no_library test -z "$(readelf -d "$work/static" | grep NEEDED)"
    else
        number=$((number + 1))
        echo "ok $number - linked_statically # SKIP skipped: $cc cannot link statically here${lacking:+ with $lacking}"
    fi
    mkdir -p "$work/behind"
    if pkg-config --exists libwebp; then
        webp=$(pkg-config --variable=pcfiledir libwebp)/libwebp.pc
        { grep -v '^Libs.private' "$webp"; echo 'Libs.private: -lbehind-webp'; } >"$work/behind/libwebp.pc"
        env -u MAKEFLAGS PKG_CONFIG_PATH="$work/behind:$PKG_CONFIG_PATH" "${MAKE:-make}" -s "${with[@]}" DESTDIR="$work/behind" PREFIX=/usr install >"$work/log" 2>&1
        check what_libraries_need_is_named grep -q '^Libs.private:.* -lbehind-webp ' "$work/behind/usr/lib/pkgconfig/sapor.pc"
    fi
fi

golden=$PWD/tests/golden
run "$BUILD/tests/draw_models" "$work/drawn" >"$work/log" 2>&1
ok $? draw_models
cd "$work" || exit 1
# The similarity of a sentence to itself is 1; that to others follows from the vectors of the command.
run ./embed_sentence "$work/drawn/encoders/bert" "the red shirt" "the red shirt" "blue leathers" >embedded 2>log
ok $? embed_sentence
check embed_sentence_itself test "$(grep -c '^1.0000  the red shirt$' embedded)" = 2 -a "$(wc -l <embedded)" = 3
run ./embed_sentence nowhere "the red shirt" >out 2>err
ok $((! ($? == 1 && $(grep -c . err) == 1))) embed_sentence_without_a_model

run ./image_batch "$work/drawn/encoders/resnet_basic" layer2 "$golden/images/RGB.png" "$golden/make_images.py" >batch 2>log
ok $? image_batch
check image_batch_says_why grep -q 'make_images.py: SP_FORMAT: .*is not a JPEG' batch
check image_batch_has_outputs test "$(grep -c '^avgpool  *vector of 16, usual$' batch)" = 1 -a "$(grep -c 'RGB.png: 392 floats' batch)" = 1

for u in 1 2 3 4 5 6 7 8; do
    for i in 1 2 3 4; do printf 'user%d\titem%d\n' $u $(((u * 3 + i * i) % 11)); done
done >train.tsv
run "$root/bin/sapor" train BPRMF --train train.tsv --set epochs=2 --out run --quiet >log 2>&1
ok $? train
run "$root/bin/sapor" recommend run -k 3 -o all.tsv --quiet >log 2>&1
ok $? sapor_recommend
run ./recommend run user3 3 >out 2>log
ok $? recommend
awk '$1 == "user3" {print $2}' all.tsv >wanted
cut -f 1 out >got
check recommend_as_the_command diff got wanted
run ./recommend run nobody 3 >out 2>err
ok $((! ($? == 1 && $(grep -c . err) == 1))) recommend_for_nobody

# Two tastes: users who like items of the lower half are recommended others of the lower half.
run ./train_arrays LightGCN >out 2>said
ok $? train_arrays
check train_arrays_says_how_good grep -q '^Recall@5 0\.[0-9]*, nDCG@5 0\.[0-9]*$' out
check train_arrays_knows_tastes awk '/^who likes/ {for (i = 7; i <= NF; i++) n += $i < 30; lists++} END {exit !(lists == 1 && n >= 4)}' out
check train_arrays_reports grep -q '^epoch 20: loss ' said
run ./train_arrays nothing >out 2>err
ok $((! ($? == 1 && $(grep -c . err) == 1))) train_arrays_of_nothing

mkdir -p classes/one classes/two classes/three
cp "$golden/images/RGB.png" classes/one
cp "$golden/images/L.png" classes/two
cp "$golden/images/baseline.jpg" "$golden/images/progressive.jpg" classes/three
: >"classes/not a folder"
for i in 1 2 3 4 5 6 7 8; do echo classes/one/RGB.png; echo classes/two/L.png; echo absent.png; done >paths
run ./classify_stream "$work/drawn/encoders/resnet_basic" classes 1 <paths >alone 2>err
ok $? classify_stream
run ./classify_stream "$work/drawn/encoders/resnet_basic" classes 4 <paths 2>log | sort >together
sort alone | cmp - together >log 2>&1
ok $? classify_stream_by_four_threads
check classes_are_right test "$(grep -cE '^classes/(one/RGB.png.one|two/L.png.two).1\.0000$' alone)" = 16
check pictures_that_are_not_there test "$(grep -c 'absent.png' err)" = 8
cd "$OLDPWD" || exit 1
check uninstall "${MAKE:-make}" -s "${with[@]}" PREFIX="$root" uninstall
check nothing_is_left test -z "$(find "$root" ! -type d)"
check staged "${MAKE:-make}" -s "${with[@]}" DESTDIR="$work/stage" PREFIX=/usr LIBDIR=/usr/lib/abc install
check staged_in_its_place test "$(find "$work/stage" ! -type d | wc -l)" -ge 7 -a -L "$work/stage/usr/lib/abc/libsapor.so"
check staged_names_no_stage grep -qx 'Libs: -L${prefix}/lib/abc -lsapor' "$work/stage/usr/lib/abc/pkgconfig/sapor.pc"
check unstaged "${MAKE:-make}" -s "${with[@]}" DESTDIR="$work/stage" PREFIX=/usr LIBDIR=/usr/lib/abc uninstall
check nothing_is_staged test -z "$(find "$work/stage" ! -type d)"
echo "1..$number"
