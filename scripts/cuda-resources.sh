#!/bin/bash
# scripts/cuda-resources.sh: resources of the CUDA kernels, from the logs next to their objects (scripts/nvcc.sh):
#   scripts/cuda-resources.sh table VERSION LOG ...             docs/kernels/cuda-resources.md (make cuda-resources)
#   scripts/cuda-resources.sh sass NAME ARCH FOLDERS LOG ...    the machine code of the kernels with NAME in their names (make cuda-sass)
#   scripts/cuda-resources.sh facts LOG ...                     one line per kernel and card, separated by tabs: file, kernel, symbol, card, threads
#       per block (0: no __launch_bounds__), registers, bytes of static shared memory, 1 if it uses dynamic shared memory, bytes of local
#       memory, bytes of spill stores, bytes of spill loads, occupancy in % (-: unknown)
set -u
LC_ALL=C
export LC_ALL

# Shortens the names of kernels: without the type of the result and the parameters.
readable() {
    { c++filt 2>/dev/null || cat; } | awk '{
        sub(/^void /, "")
        gsub(/\(anonymous namespace\)::|&?_INTERNAL_[A-Za-z_0-9]*::/, "")
        while (match($0, /&?\(?[A-Za-z_][A-Za-z_0-9]*\([^()]*\)\)/)) { # a function as an argument of a template
            name = substr($0, RSTART, RLENGTH)
            gsub(/^&?\(?|\(.*/, "", name)
            $0 = substr($0, 1, RSTART - 1) name substr($0, RSTART + RLENGTH)
        }
        for (depth = i = 0; ++i <= length($0);) {
            c = substr($0, i, 1)
            depth += (c == "<") - (c == ">")
            if (c == "(" && depth == 0)
                break
        }
        print substr($0, 1, i - 1)
    }'
}

facts() { # LOG ...
    local names
    names=$(mktemp) || exit 1
    sed -n 's/^ptx: \([^ ]*\) .*/\1/p' "$@" | sort -u >"$names"
    paste "$names" <(readable <"$names") | awk -F '\t' -v OFS='\t' '
        function least(a, b) { return a < b ? a : b }
        # CUDA C++ Programming Guide, Compute Capabilities, "Technical Specifications per Compute Capability", 8.0 and 9.0. Per
        # multiprocessor: 64 warps, 32 blocks, 65536 registers, 164 and 228 KB of shared memory, of which the system takes 1 KB per block.
        # Registers are allocated in units of 256 per warp, for four warps together; shared memory in units of 128 bytes.
        function occupancy(card, threads, registers, shared,    warps, blocks) {
            if (!threads)
                return "-"
            warps = int((threads + 31) / 32)
            blocks = least(32, int(64 / warps))
            blocks = least(blocks, int(int(65536 / (int((registers * 32 + 255) / 256) * 256) / 4) * 4 / warps))
            blocks = least(blocks, int((card == "sm_80" ? 164 : 228) * 1024 / (int((shared + 1024 + 127) / 128) * 128)))
            return int(blocks * warps * 100 / 64 + 0.5)
        }
        function number(after,    text) { # the number before these words
            text = $0
            return match(text, "[0-9]+ " after) ? substr(text, RSTART, RLENGTH) + 0 : 0
        }
        NR == FNR && FILENAME == "-" { name[$1] = $2; next }
        FNR == 1 { file = FILENAME; sub(/.*kernels\/cuda\//, "", file); sub(/log$/, "cu", file); symbol = "" }
        /Compiling entry function/ { split($0, word, "\047"); symbol = word[2]; card = word[4]; local = stores = loads = 0; next }
        /bytes stack frame/ && expected == symbol { local = number("bytes stack"); stores = number("bytes spill stores"); loads = number("bytes spill loads") }
        /Function properties for/ { expected = $0; sub(/.* /, "", expected) }
        /Used [0-9]+ registers/ && symbol != "" {
            row[++rows] = file OFS symbol
            about[rows] = card OFS number("registers") OFS number("bytes smem") OFS local OFS stores OFS loads
            symbol = ""
        }
        /^ptx: / { split($0, word, " "); threads[file OFS word[2]] = word[3]; dynamic[file OFS word[2]] = word[4] }
        END {
            for (i = 1; i <= rows; i++) {
                split(row[i], key, OFS)
                split(about[i], a, OFS)
                t = threads[row[i]] + 0
                print key[1], name[key[2]], key[2], a[1], t, a[2], a[3], dynamic[row[i]] + 0, a[4], a[5], a[6], occupancy(a[1], t, a[2], a[3])
            }
        }' - "$@" | sort -t "$(printf '\t')" -k1,2 -k4,4
    rm -f "$names"
}

table() { # VERSION LOG ...
    local version=$1
    shift
    cat <<END
# Resources of the CUDA kernels

Written by \`make cuda-resources\` with nvcc $version on $(date -u +%Y-%m-%d). Nothing here is measured on a
card: ptxas reports it when it compiles for the A100 (sm_80) and the H100 (sm_90a). Where the two
differ, both are given: sm_80 / sm_90a.

- threads: the most in a block, from the kernel's \`__launch_bounds__\`; ? where it has none.
- registers: of a thread; 255 at most.
- shared: bytes of static shared memory of a block; + where the launch adds dynamic shared memory.
- spills: bytes of registers that are stored to memory and loaded again, as stores + loads; 0 where
  all values stay in registers. local: bytes of arrays in memory of a thread.
- occupancy: the share of a multiprocessor's 64 warps that can be resident at once, in %. The limits
  are 65536 registers, 32 blocks, and 164 KB (sm_80) or 228 KB (sm_90a) of shared memory, of which
  the system takes 1 KB per block (CUDA C++ Programming Guide, Technical Specifications per Compute
  Capability). Dynamic shared memory is not counted: with + it is the most that is possible.

END
    facts "$@" | awk -F '\t' '
        function pair(a, b) { return a == b ? a : a " / " b }
        function spills(s, l, m) { return (s + l ? s " + " l : 0) (m > 0 && !(s + l) ? ", local " m : "") }
        function flush(    rest) {
            if (key == "")
                return
            kernels++
            if (file != headed)
                rows = rows "\n## " file "\n\n| kernel | threads | registers | shared | spills | occupancy |\n|---|---|---|---|---|---|\n"
            headed = file
            rest = (threads ? threads : "?") " | " pair(registers["sm_80"], registers["sm_90a"]) " | " pair(shared["sm_80"], shared["sm_90a"]) plus " | " \
                pair(spill["sm_80"], spill["sm_90a"]) " | " pair(share["sm_80"], share["sm_90a"]) " |\n"
            rows = rows "| `" name "` |" (length(name) + length(rest) > 94 ? " | | | | |\n| | " : " ") rest
            if (has_spills) { spilled++; spilling = spilling "- `" name "`\n" }
            if (has_local) { local++; in_memory = in_memory "- `" name "`\n" }
            if (!threads) { unbounded++; without = without "- `" name "`\n" }
        }
        function total(what, count, list) { printf "%s: %d of %d%s\n\n", what, count, kernels, list == "" ? "" : "\n\n" substr(list, 1, length(list) - 1) }
        $1 FS $3 != key { flush(); key = $1 FS $3; file = $1; name = $2; threads = $5; plus = $8 ? " +" : ""; has_spills = has_local = 0 }
        { registers[$4] = $6; shared[$4] = $7; spill[$4] = spills($10, $11, $9); share[$4] = $12 }
        $10 + $11 { has_spills = 1 }
        $9 && !($10 + $11) { has_local = 1 }
        END {
            flush()
            total("Kernels with spills", spilled, spilling)
            total("Kernels with arrays in local memory", local, in_memory)
            total("Kernels without `__launch_bounds__`", unbounded, without)
            printf "%s", substr(rows, 2)
        }'
}

sass() { # NAME ARCH FOLDERS LOG ...
    local name=$1 arch=$2 folders=$3 found symbols file
    shift 3
    PATH=$PATH:$folders
    if ! command -v cuobjdump >/dev/null || ! command -v nvdisasm >/dev/null; then
        echo 'cuda-sass: no cuobjdump and nvdisasm: `make deps CUDA=1` gets them' >&2
        exit 1
    fi
    found=$(facts "$@" | awk -F '\t' -v name="$name" -v arch="$arch" 'index($2, name) && (arch == "" || $4 == arch)')
    if [ -z "$found" ]; then
        echo "cuda-sass: no kernel has $name in its name${arch:+, for $arch}; docs/kernels/cuda-resources.md lists them" >&2
        exit 1
    fi
    awk -F '\t' '{ printf "%s: %s, %s: %s registers, %d bytes of shared memory%s, %s, %s threads, occupancy %s %%\n", $1, $2, $4, $6, $7,
        $8 ? " and dynamic" : "", $10 + $11 ? "spills: " $10 " bytes stored, " $11 " loaded" : "no spills", $5 ? $5 : "unknown", $12 }' <<<"$found"
    for log in "$@"; do
        file=${log##*kernels/cuda/}
        file=${file%log}cu
        symbols=$(awk -F '\t' -v file="$file" '$1 == file { print $3 }' <<<"$found" | sort -u)
        [ -z "$symbols" ] || cuobjdump -sass ${arch:+-arch $arch} "${log%log}o" | awk -v all="$symbols" '
            BEGIN { n = split(all, list, "\n"); for (i = 1; i <= n; i++) is[list[i]] = 1 }
            /code for sm_/ { card = $NF }
            /Function : / { shown = $NF in is; if (shown) print "\n---- " card }
            /^Fatbin / { shown = 0 }
            # Removes the hexadecimal codes of the instructions.
            shown && !/^ +\/\* 0x[0-9a-f]+ \*\/$/ { sub(/ +\/\* 0x[0-9a-f]+ \*\/$/, ""); print }' | c++filt
    done
    return 0 # also where a pager was closed
}

mode=$1
shift
case $mode in
table | sass | facts) "$mode" "$@" ;;
*) sed -n '2,7p' "$0" >&2; exit 2 ;;
esac
