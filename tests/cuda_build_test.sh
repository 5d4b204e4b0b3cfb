#!/bin/bash
# tests/cuda_build_test.sh: tests the build of the CUDA plug-in: how nvcc is found, what `make deps CUDA=1` unpacks (from the test's own pip),
# and how the resources of kernels are read. If nvcc is available, it also compiles one file. With SAPOR_TEST_CUDA=1 (check-all) it builds the
# whole plug-in instead and checks that there is no warning, what the plug-in exports, and that no kernel spills. Writes TAP; $BUILD is the
# folder of the build.
test=cuda-build
. "$(dirname "$0")/shell.sh"
failed=0
check() { # NAME PROBLEM: passes if PROBLEM is empty, otherwise shows it
    number=$((number + 1))
    [ -z "$2" ] && echo "ok $number - $1" && return
    failed=1
    echo "not ok $number - $1"
    echo "$2" | head -n 20 | sed 's/^/# /'
}
case ${BUILD:-build} in /*) built=${BUILD} ;; *) built=$root/${BUILD:-build} ;; esac
cd "$root" || exit 1
unset NVCC CUDA_HOME # set by the caller
make() { env -u MAKEFLAGS -u MAKELEVEL "${MAKE:-make}" "$@"; }
found() { make -n BUILD=/nowhere CUDA=1 DEPS_CUDA="$work/deps" "$@" /nowhere/cuda-flags 2>&1 | sed -n "s/.*printf '%s.n' '\([^ ]*\) .*/\1/p"; } # nvcc

# ---- which nvcc ----------------------------------------------------------------------------------------------------------------
nvcc() { # FOLDER VERSION: a compiler that only prints its version; it writes a file when it is called
    mkdir -p "$1"
    printf '#!/bin/sh\n: >"%s/called"\ncase $* in *--version*) echo "Cuda compilation tools, release %s, V%s.1" ;; esac\n' "$work" "$2" "$2" >"$1/nvcc"
    chmod +x "$1/nvcc"
}
clean_path= # PATH without folders that have nvcc
for folder in ${PATH//:/ }; do [ -x "$folder/nvcc" ] || clean_path=$clean_path:$folder; done
clean_path=${clean_path#:}
mkdir "$work/none" "$work/b"
check without_nvcc_make_stops "$(
    PATH=$clean_path make -j2 -s BUILD="$work/b" CUDA=1 CUDA_HOME="$work/none" DEPS_CUDA="$work/none" >"$work/log" 2>&1 && echo 'make CUDA=1: went through'
    [ "$(wc -l <"$work/log")" = 1 ] && grep -q '`make deps CUDA=1` gets one' "$work/log" || { echo 'not one line that says what to do:'; cat "$work/log"; }
    find "$work/b" -name '*.o'
)"
nvcc "$work/old" 11.8
nvcc "$work/path" 12.4
nvcc "$work/home/bin" 13.0
nvcc "$work/deps/bin" 13.1
check nvcc_is_that_in_path "$(n=$(PATH=$work/path:$clean_path found CUDA_HOME="$work/home"); [ "$n" = "$work/path/nvcc" ] || echo "$n")"
check nvcc_is_that_of_cuda_home "$(n=$(PATH=$work/old:$clean_path found CUDA_HOME="$work/home"); [ "$n" = "$work/home/bin/nvcc" ] || echo "$n")"
check nvcc_is_that_of_make_deps "$(n=$(PATH=$clean_path found CUDA_HOME="$work/none"); [ "$n" = "$work/deps/bin/nvcc" ] || echo "$n")"
check nvcc_is_what_is_given "$(n=$(PATH=$work/path:$clean_path found NVCC="$work/old/nvcc"); [ "$n" = "$work/old/nvcc" ] || echo "$n")"
rm -f "$work/called"
PATH=$work/path:$clean_path make -n CUDA_HOME="$work/home" all tests install help >/dev/null 2>&1
check other_builds_do_not_look_for_nvcc "$([ ! -e "$work/called" ] || echo 'nvcc was called without CUDA=1')"
check minimal_has_no_plug_in "$(make -n CUDA=1 MINIMAL=1 2>&1 | grep -q 'CUDA=1: MINIMAL=1 makes one static file' || echo 'make CUDA=1 MINIMAL=1: went through')"

# ---- make deps CUDA=1 ----------------------------------------------------------------------------------------------------------
# A python3 whose pip downloads only the name of a package, and which unpacks it as a folder with a file of that name.
mkdir "$work/python"
cat >"$work/python/python3" <<'END'
#!/bin/sh
case $* in
"-m pip --version") ;;
"-m pip download "*) for p; do :; done; [ "$p" != "${BROKEN:-}" ] || exit 1; echo "$p" >>"$ASKED"; while [ "$1" != -d ]; do shift; done; echo "$p" >"$2/$p.whl" ;;
"-m zipfile -e "*) mkdir -p "$5/nvidia/cu13/bin" "$5/nvidia/cu13/lib" && cp "$4" "$5/nvidia/cu13/bin/" ;;
*) exit 1 ;;
esac
END
chmod +x "$work/python/python3"
deps() { PATH=$work/python:$clean_path ASKED=$work/asked scripts/deps-cuda.sh "$work/unpacked" "$@" >"$work/log" 2>&1; }
check deps_says_the_size_and_pins_versions "$(
    deps || echo 'failed'
    [ "$(sed -n '1s/^deps: CUDA by pip: [0-9]* MB to download, [0-9]* MB unpacked under .*/size/p' "$work/log")" = size ] || sed -n 1p "$work/log"
    grep -vE '^nvidia-[a-z0-9-]+==[0-9.]+$' "$work/asked"
    for p in nvidia-cuda-nvcc nvidia-nvvm nvidia-cuda-crt nvidia-cuda-runtime nvidia-cuda-cccl nvidia-cublas nvidia-cudnn-cu13; do
        grep -q "^$p==" "$work/asked" || echo "$p was not downloaded"
    done
    find "$work/unpacked/bin" -type f ! -perm -u+x
    [ -d "$work/unpacked/lib64/" ] || echo 'no lib64'
    ls -d "$work/unpacked/wheel" "$work/unpacked.part" 2>/dev/null
)"
check deps_downloads_once "$(: >"$work/asked"; deps; cat "$work/asked")"
check deps_can_leave_out_cublas "$(BLAS=0 deps; grep -E 'cublas|cudnn' "$work/asked"; [ -s "$work/asked" ] || echo 'nothing was downloaded')"
check deps_leaves_nothing_half_done "$(BROKEN=nvidia-cuda-nvcc==13.0.88 deps && echo 'went through'; ls -d "$work/unpacked.part" 2>/dev/null)"
check deps_keeps_the_compiler_of_the_system "$(: >"$work/asked"; : >"$work/home/bin/cuobjdump"; chmod +x "$work/home/bin/cuobjdump"
    deps "$work/home/bin/nvcc" || echo 'failed'; cat "$work/asked")"

# ---- resources -----------------------------------------------------------------------------------------------------------------
mkdir -p "$work/kernels/cuda/rows"
log=$work/kernels/cuda/rows/norm.log
ptxas() { # SYMBOL THREADS DYNAMIC REGISTERS SHARED LOCAL STORES LOADS
    for card in sm_80 sm_90a; do
        printf "ptxas info    : Compiling entry function '%s' for '%s'\nptxas info    : Function properties for %s\n" "$1" $card "$1"
        printf '    %d bytes stack frame, %d bytes spill stores, %d bytes spill loads\n' "$6" "$7" "$8"
        printf 'ptxas info    : Used %d registers, used 1 barriers%s\nptxas info    : Compile time = 2.538 ms\n' "$4" "${5:+, $5 bytes smem}, 376 bytes cmem[0]"
    done
    echo "ptx: $1 $2 $3"
}
{
    ptxas _Z5plainPf 256 0 32 '' 0 0 0
    ptxas _Z4tileIfLi64ELb1EEvPT_PKS0_l 256 1 128 34816 0 0 0
    ptxas _Z5spillPf 1024 0 64 '' 760 888 884
    ptxas _Z6threadPf 96 0 41 15000 0 0 0
    ptxas _Z7unknownPf 0 0 20 '' 16 0 0
} >"$log"
# Occupancies as cuda_occupancy.h of CUDA 13.0 computes them.
scripts/cuda-resources.sh facts "$log" | cut -f 1,2,4-12 >"$work/facts"
check facts_of_kernels "$(printf 'rows/norm.cu\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n' \
    plain sm_80 256 32 0 0 0 0 0 100 plain sm_90a 256 32 0 0 0 0 0 100 \
    spill sm_80 1024 64 0 0 760 888 884 50 spill sm_90a 1024 64 0 0 760 888 884 50 \
    thread sm_80 96 41 15000 0 0 0 0 47 thread sm_90a 96 41 15000 0 0 0 0 61 \
    'tile<float, 64, true>' sm_80 256 128 34816 1 0 0 0 25 'tile<float, 64, true>' sm_90a 256 128 34816 1 0 0 0 25 \
    unknown sm_80 0 20 0 0 16 0 0 - unknown sm_90a 0 20 0 0 16 0 0 - | diff - "$work/facts")"
scripts/cuda-resources.sh table 13.0.88 "$log" >"$work/table.md"
check table_of_kernels "$(
    awk 'length > 100 { print FNR ": " length " columns" }' "$work/table.md"
    for line in '## rows/norm.cu' '| `tile<float, 64, true>` | 256 | 128 | 34816 + | 0 | 25 |' '| `spill` | 1024 | 64 | 0 | 888 + 884 | 50 |' \
        '| `unknown` | ? | 20 | 0 | 0, local 16 | - |' 'Kernels with spills: 1 of 5' 'Kernels with arrays in local memory: 1 of 5' 'Kernels without `__launch_bounds__`: 1 of 5' '- `spill`' '- `unknown`'; do
        grep -qxF -e "$line" "$work/table.md" || echo "no line $line"
    done
)"
check sass_without_cuobjdump "$(PATH=$work/none:/usr/bin:/bin scripts/cuda-resources.sh sass tile '' "$work/none" "$log" 2>&1 | grep -qx 'cuda-sass: no cuobjdump and nvdisasm: `make deps CUDA=1` gets them' ||
    [ -x /usr/bin/cuobjdump ] || echo 'no line that says so')"

# ---- with nvcc -----------------------------------------------------------------------------------------------------------------
rm -rf "$work/b" && mkdir "$work/b"
compile() { make -s -j"$(nproc)" BUILD="$work/b" CUDA=1 WERROR=1 "$@" >"$work/log" 2>&1 || echo 'make failed'; cat "$work/log"; }
if [ -z "$(make -n BUILD=/nowhere CUDA=1 /nowhere/cuda-flags 2>/dev/null)" ]; then
    skip plug_in "no nvcc"
elif [ "$built" != "$root/build" ]; then
    skip plug_in "nvcc compiles the same in every build: only the plain build runs this"
elif [ "${SAPOR_TEST_CUDA:-0}" != 1 ]; then
    check one_file_compiles "$(compile "$work/b/kernels/cuda/elementwise.o")"
    skip plug_in "takes minutes: SAPOR_TEST_CUDA=1 or make check-all builds the whole plug-in"
else
    # The C library is built already.
    cp "$built/internal.a" "$work/b/"
    check plug_in_builds_without_a_warning "$(compile -o "$work/b/internal.a" "$work/b/libsapor_cuda.so")"
    library=$work/b/libsapor_cuda.so
    check plug_in_exports_sapor_cuda_only "$(nm -D --defined-only "$library" 2>&1 | awk '{ print $3 }' | diff - <(echo sapor_cuda))"
    check plug_in_needs_libc_only "$(readelf -d "$library" | grep NEEDED | grep -vE '\[(libc|libm|libdl|librt|libpthread|ld-).*\]')"
    find "$work/b/kernels/cuda" -name '*.log' -exec scripts/cuda-resources.sh facts {} + >"$work/facts"
    # Kernels that may spill or have an array in local memory, each with the reason:
    may_spill='
layer_norm_back_kernel<4, 1, 32, 1>      ptxas uses 8 bytes for sm_80 and reports that they are not a spill
'
    check no_kernel_spills "$([ -s "$work/facts" ] || echo 'no kernels'
        awk -F '\t' -v all="$may_spill" '$9 + $10 + $11 && !index(all, "\n" $2 " ") {
            print $1 ": " $2 " for " $4 ": " $9 " bytes of local memory, " $10 " stored, " $11 " loaded by spills" }' "$work/facts")"
    check kernels_have_launch_bounds "$(awk -F '\t' '!$5 { print $1 ": " $2 " has no __launch_bounds__" }' "$work/facts" | sort -u)"
fi
echo "1..$number"
exit $failed
