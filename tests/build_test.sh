#!/bin/bash
# tests/build_test.sh: the symbols and sizes of the libraries, and rules for the tree. Speaks TAP; $BUILD is the build
# to check.
BUILD=${BUILD:-build}
n=0
check() { # NAME PROBLEM: the problem is shown; none is a pass
    n=$((n + 1))
    [ -z "$2" ] && echo "ok $n - $1" && return
    echo "not ok $n - $1"
    echo "$2" | head -n 20 | sed 's/^/# /'
}
check libsapor_so_exports_the_api "$([ "$(nm -D --defined-only "$BUILD/libsapor.so" | grep -c ' T sp_')" = "$(grep -cE '^SP_API' sapor.h)" ] || echo "not every function of sapor.h is there")"
check libsapor_so_exports_only_sp "$(nm -D --defined-only "$BUILD/libsapor.so" | awk '$3 !~ /^(sp_|__|mangle_path|_init$|_fini$)/ {print $3}')"
check libsapor_a_defines_only_sp "$(nm --defined-only --extern-only "$BUILD/libsapor.a" | awk 'NF == 3 && $3 !~ /^(sp_|__|mangle_path)/ {print $3}')"
check libsapor_so_has_its_name "$(readelf -d "$BUILD/libsapor.so" | grep -q 'SONAME.*\[libsapor.so.0\]' || echo "no SONAME libsapor.so.0")"
if [ "$BUILD" = build ]; then # others carry a sanitizer or counters
    check library_never_exits_or_prints "$(nm -D --undefined-only "$BUILD/libsapor.so" | grep -oE ' (exit|_exit|abort|printf|puts|putchar|perror)(@.*)?$')"
    for f in sapor libsapor.so; do
        strip -o "$BUILD/stripped" "$BUILD/$f"
        size=$(stat -c %s "$BUILD/stripped")
        check "stripped_$f" "$([ "$size" -lt 2500000 ] || echo "$f: $size bytes stripped, 2,500,000 at most")"
    done
    rm -f "$BUILD/stripped"
fi
if [ "$BUILD" = build ]; then # a program that has only the header and a library, in both languages
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    awk 'BEGIN { for (u = 0; u < 12; u++) for (k = 0; k < 4; k++) printf "u%d\ti%d\n", u, (u * 3 + k * 5) % 16 }' >"$out/train.tsv"
    ${EMULATOR:-} "$BUILD/tests/draw_models" "$out/drawn"
    "$BUILD/sapor" train MostPop --train "$out/train.tsv" --out "$out/run" --quiet >"$out/log" 2>&1
    # the static library needs the symbols that the shared library lists
    needs=$(readelf -d "$BUILD/libsapor.so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/-l:\1/p' | grep -v 'ld-linux')
    unpacked=$(ls -d build/deps/root/usr/lib/*/ 2>/dev/null | sed 's/\(.*\)/-L\1 -Wl,-rpath,\1/')
    for language in c c++; do
        standard=$([ $language = c ] && echo c11 || echo c++17)
        for library in so a; do
            if ! echo 'int main() { return 0; }' | ${CC:-cc} -x $language - -o "$out/probe" 2>/dev/null; then
                n=$((n + 1))
                echo "ok $n - embed_${language}_${library} # SKIP ${CC:-cc} compiles no $language"
                continue
            fi
            ln -sf "$PWD/$BUILD/libsapor.so" "$out/libsapor.so.0"
            for program in embed embed_recommend; do
                [ $program = embed ] && set -- "$out/drawn/encoders/bert" "$out/drawn/encoders/resnet_basic" tests/golden/images/RGB.png ||
                    set -- "$out/run" u3
                ${CC:-cc} -x $language -std=$standard -Wall -Wextra -Werror -pedantic -pthread -D_POSIX_C_SOURCE=200809L -I. tests/$program.c -x none \
                    -o "$out/embed" "$BUILD/libsapor.$library" $unpacked \
                    $([ $library = a ] && echo $needs) >"$out/log" 2>&1 &&
                    LD_LIBRARY_PATH=$out${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$out/embed" "$@" >>"$out/log" 2>&1
                check ${program}_${language}_${library} "$([ $? = 0 ] || { cat "$out/log"; echo "did not compile, or did not run"; })"
            done
        done
    done
fi
case $BUILD in
*minimal*) # static; with musl, small
    check sapor_is_static "$(readelf -d "$BUILD/sapor" | grep NEEDED)"
    check libsapor_so_needs_libc_only "$(readelf -d "$BUILD/libsapor.so" | grep NEEDED | grep -vE '\[(libc|libm|libgcc_s|ld-).*\]')"
    limit=1200000
    readelf -n "$BUILD/sapor" | grep -q GNU_ABI_TAG && limit=2200000 # glibc
    size=$(stat -c %s "$BUILD/sapor")
    check sapor_under_${limit}_bytes "$([ "$size" -lt $limit ] || echo "sapor: $size bytes")"
    ;;
esac
if [ "$BUILD" = build ]; then # what must be there is looked for before anything is compiled, and named by its package
    stops() { # PACKAGE HOW-TO-GET-IT MAKE-ARGUMENT ...: the problem, if make does not stop
        local package=$1 how=$2 here
        shift 2
        here=$(mktemp -d)
        env -u MAKEFLAGS -u PKG_CONFIG_PATH "${MAKE:-make}" -s BUILD="$here/b" "$@" "$here/b/sapor" >"$here/log" 2>&1 && echo "make $*: went through"
        grep -q "a package is missing: $package " "$here/log" && grep -q "$how" "$here/log" || { echo "make $*:"; cat "$here/log"; }
        find "$here/b" -name '*.o' 2>/dev/null
        [ ! -e "$here/called" ] || echo "make $*: the compiler was called"
        rm -rf "$here"
    }
    cross=$(mktemp -d)
    # A compiler for another machine that answers questions but cannot compile.
    printf '#!/bin/sh\ncase $* in\n-dumpmachine | -print-multiarch) echo aarch64-linux-gnu ;;\n*) echo compiled >&2; exit 1 ;;\nesac\n' >"$cross/aarch64-linux-gnu-gcc"
    chmod +x "$cross/aarch64-linux-gnu-gcc"
    dry() { # MAKE-ARGUMENT ...: the problem, if make would stop
        env -u MAKEFLAGS -u PKG_CONFIG_PATH "${MAKE:-make}" -n BUILD=/nowhere "$@" /nowhere/sapor 2>&1 | grep 'a package is missing'
    }
    check make_needs_no_library "$(dry PKG_CONFIG=false)"
    check make_minimal_without_stb_image_stops "$(stops libstb-dev '`make deps MINIMAL=1` gets it' MINIMAL=1 CC=cc STB_ROOTS=/nowhere)"
    check make_for_another_machine_needs_no_library "$(dry CC="$cross/aarch64-linux-gnu-gcc" PKG_CONFIG_LIBDIR=/nowhere)"
    rm -rf "$cross"
    # Packages unpacked under a folder are found there, whatever variables make exports to $(shell).
    unpacked=$(mktemp -d)
    mkdir -p "$unpacked/usr/lib/$(${CC:-cc} -print-multiarch)/pkgconfig"
    printf 'Name: libwebp\nDescription: none\nVersion: 9\nLibs: -lwebp-unpacked\n' >"$unpacked/usr/lib/$(${CC:-cc} -print-multiarch)/pkgconfig/libwebp.pc"
    check make_finds_unpacked_packages "$(env -u MAKEFLAGS -u PKG_CONFIG_PATH "${MAKE:-make}" -pn DEPS_ROOT="$unpacked" help 2>/dev/null | grep -q '^DEP_LIBS :=.*-lwebp-unpacked' || echo 'not found')"
    rm -rf "$unpacked"
    flags() { # MAKE-ARGUMENT ...: of the libraries that make found
        env -u MAKEFLAGS "${MAKE:-make}" -pn "$@" help 2>&1 | grep -E '^(DEP_LIBS|FEATURES) :=|unknown'
    }
    check make_without_libraries "$(flags WITHOUT='oniguruma libpng' | grep -oE -- '-lonig|-lpng[0-9]*|HAVE_(ONIGURUMA|PNG)')"
    check make_names_an_unknown_library "$(flags WITHOUT='libpng curl' | grep -q 'WITHOUT: unknown library curl; choose from libjpeg ' || echo 'it does not')"
    # Products of 128 bits by halves, as on a processor without them, give the same hashes.
    for wide in '' '-U__SIZEOF_INT128__ -D__uint128_t=none'; do
        printf '%s\n' '#include "base/hash.c"' 'int main(void) { uint64_t h = 1; for (size_t n = 0; n < 4096; n++) h = hash_bytes(&h, n % 9 > 8 ? 8 : n % 9, h ^ ~n);' \
            'printf("%016llx\n", (unsigned long long)h); return 0; }' | ${CC:-cc} $wide -x c -std=c11 -D_GNU_SOURCE -I. - -o "$BUILD/hash_halves" 2>&1 && "$BUILD/hash_halves"
    done >"$BUILD/hash_halves.log" 2>&1
    check hashes_without_128_bits "$([ "$(sort -u "$BUILD/hash_halves.log" | wc -l)" = 1 ] && [ "$(wc -l <"$BUILD/hash_halves.log")" = 2 ] || cat "$BUILD/hash_halves.log")"
    rm -f "$BUILD/hash_halves" "$BUILD/hash_halves.log"
fi
# ---- the tree: the folders that a folder may include -------------------------------------------------------------------
upwards() { # FOLDER WHAT-IT-MAY-NOT-INCLUDE
    grep -nE "^#include \"($2)/" -r "$1" --include=*.c --include=*.h --include=*.cu 2>/dev/null
}
check uses_go_downwards_only "$(
    upwards base 'kernels|weights|tokenizers|nn|extractors|recsys|tools'
    upwards kernels 'weights|tokenizers|nn|extractors|recsys|tools'
    upwards weights 'kernels|tokenizers|nn|extractors|recsys|tools'
    upwards tokenizers 'kernels|weights|nn|extractors|recsys|tools'
    upwards nn 'tokenizers|extractors|recsys|tools'
    upwards extractors 'recsys|tools'
    upwards recsys 'tools'
)"
includes() { # FOLDER ...: "file includes header" for each header of ours
    grep -rE '^ *# *include "' "$@" --include=*.c --include=*.h --include=*.cu | sed -E 's/^([^:]*):.*include "([^"]*)".*/\1 includes \2/'
}
product='sapor.c sapor_calls.c sapor_objects.h sapor.h base kernels weights tokenizers nn extractors recsys tools'
private() { # FOLDER: who includes a header of it from elsewhere in the product
    includes $product | grep " includes $1/" | grep -v "^$1/"
}
check rooms_of_extractors "$(
    includes extractors/media | grep -vE ' includes (base|extractors/media)/'
    private extractors/models
)"
check rooms_of_recsys "$(
    upwards recsys/data 'recsys/models|recsys/metrics|recsys/train|recsys/search|recsys/protocols'
    upwards recsys/models 'recsys/metrics|recsys/train|recsys/search|recsys/protocols'
    upwards recsys/metrics 'recsys/models|recsys/train|recsys/search|recsys/protocols'
    upwards recsys/train 'recsys/models|recsys/search|recsys/protocols'
    upwards recsys/search 'recsys/models|recsys/metrics|recsys/protocols'
    upwards recsys/protocols 'recsys/models|recsys/metrics|recsys/train'
    private recsys/models
    private recsys/metrics | grep -v '^recsys/train/'
)"
check rooms_of_kernels "$(includes $product tests bench examples | grep ' includes kernels/cpu/gemm/' | grep -v '^kernels/cpu/')"
# A folder of tools/ does not include another. Each exception has a reason. An exception that is not needed any more is
# an error.
tools_exceptions='
tools/bench/bench_extract.c includes tools/ducho/extract.h      bench extract times what extract does
tools/bench/bench_input.c includes tools/demo/demo.h            without a model, bench takes the encoders of the demo
tools/bench/bench_plot.c includes tools/report/page.h           bench plot draws with the charts of the page
tools/demo/demo.c includes tools/ducho/extract.h                the demo reads its table of texts as extract does
tools/demo/demo.c includes tools/report/report.h                the demo ends with a report page
tools/report/report.c includes tools/ducho/extract.h            the page reads titles as extract reads texts
tools/run/benchmark.c includes tools/demo/demo.h                a benchmark may name the encoders of the demo
tools/run/benchmark.h includes tools/ducho/extract.h            a benchmark extracts features as extract does
tools/study/command.c includes tools/report/report.h            report takes folders of runs and of studies
tools/study/study.h includes tools/report/page.h                both pages have the same style and charts
tools/report/report_figures.c includes tools/bench/peak.h       the page has a roofline
tools/command/options.c includes tools/bench/counters.h         --profile shows hardware counters
tools/command/options.c includes tools/bench/peak.h             --profile compares with the peak
'
check rooms_of_tools "$(
    for room in tools/*/; do includes "${room%/}" | grep -E ' includes tools/[a-z]+/' | grep -v " includes $room"; done | sort >"$BUILD/rooms"
    awk 'NF { print $1, $2, $3 }' <<<"$tools_exceptions" | sort | diff - "$BUILD/rooms" |
        sed -n 's/^> //p; s/^< \(.*\)/an exception that is not needed: \1/p'
    rm -f "$BUILD/rooms"
)"
# Only extractors/registry.c names the encoders, and only recsys/registry.c the recommenders. The symbols of the objects
# are checked.
find $product -name '*.c' | sed "s,^,$BUILD/,; s/c$/o/" | xargs ls 2>/dev/null | xargs nm -A >"$BUILD/symbols"
users() { # FOLDER: "object symbol" for each object elsewhere in the product that needs a symbol of FOLDER
    awk -v mine="$BUILD/$1/" '
        { file = substr($1, 1, index($1, ":") - 1); inside = index(file, mine) == 1 }
        inside && $(NF - 1) ~ /^[BDRT]$/ { defined[$NF] = 1 }
        !inside && $(NF - 1) == "U" { needs[file " " $NF] = $NF }
        END { for (n in needs) if (needs[n] in defined) print n }' "$BUILD/symbols"
}
check encoders_are_used_by_the_registry_only "$(users extractors/models | grep -v "/extractors/registry.o ")"
check recommenders_are_used_by_the_registry_only "$(users recsys/models | grep -v "/recsys/registry.o ")"
rm -f "$BUILD/symbols"
check files_of_models_are_recommenders "$(grep -L '^const Recommender recommender_' recsys/models/*.c)$(grep -l '^const Recommender recommender_' recsys/models/shared/*)"

# ---- the tree: sizes, and lines of flags -----------------------------------------------------------------------------------
check folders_have_at_most_twenty_source_files "$(find $product bench examples tests \( -name '*.[ch]' -o -name '*.cu' \) -printf '%h\n' |
    grep -vE '(^tests|/models|/cases|/fuzz|/golden)$' | sort | uniq -c | awk '$1 > 20 { print $2 ": " $1 " source files, 20 at most" }')"
check source_files_have_at_most_600_lines "$(find $product bench examples tests \( -name '*.[ch]' -o -name '*.cu' \) -exec wc -l {} + |
    awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines, 600 at most" }')"
# A line of flags in another form or place would have no effect: only kernels have levels, and other rules build the
# tests.
check lines_of_flags_are_read "$({
    grep -rnE '(^|[^"])// *flags' $product bench examples tests --include=*.[ch] --include=*.cu | grep -vE '^[^:]*:[0-9]+:// flags( [a-z0-9]+)?: -[^ ].*$'
    grep -rE '^// flags' examples tests --include=*.[ch] | grep -v '^tests/cases/'
    grep -rE '^// flags' $product bench --include=*.h
    grep -rE '^// flags [a-z0-9]+:' $product bench --include=*.c | grep -vE '^kernels/cpu/[^:]*:// flags (baseline|avx2|avx512): '
} | sed 's/$/   (is not read)/')"
check commands_of_sources_are_json "$(
    env -u MAKEFLAGS "${MAKE:-make}" -s CFLAGS='-DQUOTED="a \"b\""' commands_json >"$BUILD/commands.json" 2>&1
    [ "$(grep -cE '^\{"directory": "([^"\\]|\\.)*", "file": "[^"\\]*", "command": "([^"\\]|\\.)*"\},?$' "$BUILD/commands.json")" = "$(($(wc -l <"$BUILD/commands.json") - 2))" ] || echo 'lines of another shape'
    [ "$(sed -n '1p;$p' "$BUILD/commands.json" | tr -d '\n')" = '[]' ] || echo 'no list'
    [ "$(grep -c '},$' "$BUILD/commands.json")" = "$(($(wc -l <"$BUILD/commands.json") - 3))" ] || echo 'commas'
    for f in sapor.c base/*.c kernels/cpu/*.c kernels/cpu/gemm/*.c extractors/models/*.c tools/*.c tests/*_test.c; do
        grep -q "\"file\": \"$f\"" "$BUILD/commands.json" || echo "$f is missing"
    done
    grep -q '"kernels/cpu/gemm/tile.c", "command": ".* -O3 .*-DQUOTED=' "$BUILD/commands.json" || echo "the file's own flags, or CFLAGS, are missing"
    ! command -v python3 >/dev/null || python3 -m json.tool "$BUILD/commands.json" /dev/null || echo 'no JSON'
    rm -f "$BUILD/commands.json"
)"
echo "1..$n"
