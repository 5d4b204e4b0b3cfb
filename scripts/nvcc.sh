#!/bin/sh
# scripts/nvcc.sh NAME COMMAND ...: runs nvcc for one object, NAME.o. Writes to NAME.log the output of ptxas for each kernel, its number of
# threads per block and whether it uses dynamic shared memory (from the PTX). Prints the other messages of nvcc. scripts/cuda-resources.sh
# reads the logs.
set -u
name=$1
shift
rm -rf "$name.keep" "$name.log"
mkdir "$name.keep" || exit 1
"$@" -Xptxas -v -keep -keep-dir "$name.keep" 2>"$name.keep/said"
status=$?
facts='^ptxas info +: ([0-9]+ bytes gmem|Compiling entry function|Function properties|Used [0-9]+ registers|Compile time)|^ +[0-9]+ bytes stack frame'
grep -Ev "$facts" "$name.keep/said" >&2
if [ $status = 0 ]; then
    {
        grep -E "$facts" "$name.keep/said"
        # The number of threads does not depend on the card: the first PTX file is read.
        awk '/^\.extern \.shared/ { sub(/\[.*/, ""); dynamic[$NF] = 1 }
            /^(\.[a-z]+ )*\.entry / { sub(/\(.*/, ""); entry = $NF; threads[entry] = 0 }
            /^\.maxntid/ { split($0, n, /[ ,]+/); threads[entry] = n[2] * n[3] * n[4] }
            /^\.(visible |weak )?\.?func/ { entry = "" }
            entry != "" && /^\t/ { for (d in dynamic) if (match($0, "[ ,[]" d "[^A-Za-z0-9_$]")) uses[entry] = 1 }
            END { for (e in threads) print "ptx: " e " " threads[e] " " uses[e] + 0 }' "$(ls "$name.keep"/*.ptx | head -n 1)"
    } >"$name.log"
fi
rm -rf "$name.keep"
exit $status
