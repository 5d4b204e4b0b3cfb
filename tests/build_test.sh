#!/bin/bash
# What the libraries show and weigh, and what the tree may not hold. TAP on standard output; $BUILD is the build to look at.
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
    size=0
    for f in sapor libsapor.so; do
        strip -o "$BUILD/stripped" "$BUILD/$f"
        size=$((size + $(stat -c %s "$BUILD/stripped")))
    done
    rm -f "$BUILD/stripped"
    check stripped_under_2_mb "$([ $size -lt 2000000 ] || echo "sapor and libsapor.so: $size bytes stripped")"
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
upwards() { # FOLDER WHAT-IT-MAY-NOT-INCLUDE
    grep -nE "^#include \"($2)/" -r "$1" --include=*.c --include=*.h 2>/dev/null
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
echo "1..$n"
