#!/bin/sh
# tests/far_programs_test.sh: runs test programs on the far device, whose memory the host cannot access
# (tests/far/far.h). Their checks must hold there too, and no kernel may get a pointer of the host. FAR=all runs all
# programs that compute on a device of device_open; otherwise only the recipes are run. Speaks TAP; $BUILD is the folder
# of the build.
test=far-programs
. "$(dirname "$0")/shell.sh"
build=$(dirname "$binary")
programs=recipes_test
[ "${FAR:-}" = all ] &&
    programs="recipes_test nn_test nn_graph_test nn_subgraph_test nn_ops_test nn_optim_test recsys_models_test recsys_data_test train_test encoders_test encoder_errors_test towers_test"
for program in $programs; do
    [ -x "$build/tests/$program" ] || { skip "$program on the far device" "this build has no test programs in C"; continue; }
    (cd "$root" && SAPOR_TEST_DEVICE=far ${EMULATOR:-} "$build/tests/$program") >out 2>&1
    status=$?
    [ $status = 0 ] || tail -n 20 out | sed 's/^/# /'
    ok $status "$program on the far device"
done
for patch in "$root"/tests/far/leaks/*.patch; do # what leaks.sh applies still fits
    patch -d "$root" -p1 --dry-run -s <"$patch" >out 2>&1
    ok $? "$(basename "$patch") applies"
done
echo "1..$number"
