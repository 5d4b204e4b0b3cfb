#!/bin/bash
# tests/run.sh normal|sanitized|minimal|thread|FOLDER ...: builds and runs the test programs (FOLDER: an existing
# build). $EMULATOR, for example "qemu-aarch64", is put before each program; then kills and pages of documentation are
# left out. Each program speaks TAP. Failed tests are shown with their output, skipped ones with their reason. The last
# lines are the failed tests again, and the totals: "N passed, N failed, N skipped". The exit status is 1 if a test
# failed.
set -u
cd "$(dirname "$0")/.."
make=${MAKE:-make}
jobs=$(nproc 2>/dev/null || echo 2)
# These need the longest time and start first, so that no processor is idle at the end.
slow='train_test kernels_test docs_test.sh faults_test cuda_test tools_test.sh run_test.sh far_test api_train_test cuda_overlap_test
cuda_models_test cuda_build_test.sh bench_gpu_test.sh resources_test install_test.sh table_bounds_test image_bounds_test steady_test demo_test.sh
process_test.sh crash_test.sh ducho_test.sh encoder_files_test edges_test extractors_test guard_test.sh style_test.sh'
passed=0 failed=0 skipped=0
failures= # one line per failed test; a log of CI may lack its middle, so the end repeats them
export EMULATOR=${EMULATOR:-}

run_program() { # PROGRAM LOG: the output and exit status into LOG
    local emulator=$EMULATOR
    case $1 in *.sh) emulator= ;; esac # these put it before what they run
    CMOCKA_MESSAGE_OUTPUT=TAP timeout "${TEST_TIMEOUT:-300}" $emulator "$1" >"$2" 2>&1
    echo "exit status $?" >>"$2"
}

count() { # PROGRAM LOG LABEL
    local ok bad skip planned status
    skip=$(grep -cE '^(not )?ok [0-9]+.*# SKIP' "$2") # cmocka says "not ok" of what it skipped
    ok=$(grep -E '^ok [0-9]+' "$2" | grep -vc '# SKIP')
    bad=$(grep -E '^not ok [0-9]+' "$2" | grep -vc '# SKIP')
    planned=$(sed -nE 's/^1\.\.([0-9]+).*/\1/p' "$2" | awk '{n += $1} END {print n + 0}')
    status=$(sed -n '$s/^exit status //p' "$2")
    if [ $((ok + bad + skip)) -lt "$planned" ]; then
        bad=$((planned - ok - skip)) # it died before the rest
    elif [ "$status" != 0 ] && [ "$bad" = 0 ]; then
        bad=1 # a leak, or death at the end
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    printf '%-12s %-28s %4d passed' "$3" "$(basename "$1")" "$ok"
    [ "$bad" = 0 ] || printf ', %d FAILED' "$bad"
    [ "$skip" = 0 ] || printf ', %d skipped' "$skip"
    echo
    if [ "$bad" != 0 ]; then
        grep -vE '^ok [0-9]+' "$2" | head -n 60 | sed 's/^/    /'
        ! grep -q 'AddressSanitizer: ILL' "$2" || echo '    ILL is an undefined operation: a build without TRAP=1 says which (CONTRIBUTING.md, Test)'
        [ "$status" != 124 ] || echo "    ran longer than ${TEST_TIMEOUT:-300} s"
        failures+="failed: $3 $(basename "$1"), exit status $status"$'\n'
        failures+=$(grep -E -B 1 '^not ok [0-9]+' "$2" | grep -v '# SKIP' | head -n 20 | sed 's/^/    /' && echo .)
        failures=${failures%.}
    elif [ "$skip" != 0 ]; then
        if [ "$skip" -le 8 ]; then grep -E '# SKIP|skipped: ' "$2" | awk '!seen[$0]++'; else grep -o 'skipped: .*' "$2" | sort | uniq -c; fi | sed 's/^/    /'
    fi
}

run_all() { # LABEL BUILD: the programs in BUILD, and the scripts, which find it in $BUILD
    local logs=$2/tests/logs test
    mkdir -p "$logs"
    for test in tests/*_test.c; do
        test=$2/tests/$(basename "$test" .c)
        [ -x "$test" ] && echo "$test"
    done >"$logs/list"
    if [ -n "$EMULATOR" ]; then
        printf 'tests/%s_test.sh\n' build install tools
    else
        ls tests/*_test.sh
    fi >>"$logs/list"
    export -f run_program
    # One more than the number of processors: some programs wait for a disk, or sleep.
    awk -v slow="$slow" 'BEGIN { n = split(slow, name); for (i = 1; i <= n; i++) rank[name[i]] = n - i + 1 }
        { file = $0; sub(".*/", "", file); print rank[file] + 0, $0 }' "$logs/list" | sort -s -k 1,1nr | cut -d ' ' -f 2- |
        BUILD=$2 xargs -P "$((jobs + 1))" -I{} bash -c 'run_program "$1" "$2/$(basename "$1").log"' _ {} "$logs"
    while read -r test; do
        count "$test" "$logs/$(basename "$test").log" "$1"
    done <"$logs/list"
}

build() { # LABEL BUILD [make argument ...]: false when it did not build
    local label=$1 folder=$2 log
    shift 2
    log=$(mktemp)
    if ! "$make" -s -j"$jobs" BUILD="$folder" "$@" tests >"$log" 2>&1; then
        grep -E 'error|Error|undefined' "$log" | head -n 20
        echo "$label: the build failed"
        failures+="failed: $label: the build"$'\n'
        failed=$((failed + 1))
        rm -f "$log"
        return 1
    fi
    grep -E 'warning' "$log" | head -n 10
    rm -f "$log"
}

# Reports whether a sanitized program can run here, and whether leaks can be found (not under a tracer).
sanitizer_works() { # FOLDER SANITIZER
    local folder=$1/probe
    mkdir -p "$folder"
    echo 'int main(void) { return 0; }' >"$folder/probe.c"
    "${CC:-cc}" -fsanitize="$2" "$folder/probe.c" -o "$folder/probe" 2>"$folder/log" && ASAN_OPTIONS=detect_leaks=0 "$folder/probe" 2>>"$folder/log"
}

for what in "$@"; do
    case $what in
    normal) build normal build && run_all normal build ;;
    sanitized)
        if ! sanitizer_works build/sanitized address,undefined; then
            echo "sanitized    skipped: the sanitizers do not work here: $(head -n 1 build/sanitized/probe/log)"
            skipped=$((skipped + 1))
        elif build sanitized build/sanitized SANITIZE=address,undefined TRAP=1; then
            leaks=1
            build/sanitized/probe/probe >/dev/null 2>&1 || { leaks=0; echo "sanitized    leaks are not looked for: the leak sanitizer cannot run here"; }
            # The fake stacks of use-after-return do not align 64-byte vectors. The sanitizer reports a crash, and an
            # undefined operation (SIGILL), not cmocka.
            export ASAN_OPTIONS=detect_leaks=$leaks:abort_on_error=0:detect_stack_use_after_return=0:allow_user_segv_handler=0:handle_sigill=2
            export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
            run_all sanitized build/sanitized
            unset ASAN_OPTIONS UBSAN_OPTIONS
        fi
        ;;
    thread) # data races: what shares a pool, a model or a session between threads
        if ! sanitizer_works build/thread thread; then
            echo "thread       skipped: the thread sanitizer does not work here: $(head -n 1 build/thread/probe/log)"
            skipped=$((skipped + 1))
        else
            build thread build/thread SANITIZE=thread && TEST_TIMEOUT=1200 run_all thread build/thread
        fi
        ;;
    minimal) # by musl for the size; Debian has cmocka for glibc only
        build minimal build/minimal MINIMAL=1 && run_all minimal build/minimal
        if [ ! -x build/minimal/tests/json_test ]; then
            echo "minimal      test programs in C are built on glibc: musl-gcc has no cmocka here"
            build minimal-glibc build/minimal-glibc MINIMAL=1 CC=cc && run_all minimal-glibc build/minimal-glibc
        fi
        ;;
    *) run_all "${LABEL:-$(basename "$what")}" "$what" ;;
    esac
done
printf %s "$failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
