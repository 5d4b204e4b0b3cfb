# mk/emu.mk: builds the CUDA sources for the emulator (tests/cuda_emu): a plug-in that needs only g++. Without a C++ compiler it is not built,
# and its tests are skipped.
EMU_SRC := $(wildcard tests/cuda_emu/*.cc)
EMU = $(BUILD)/cuda_emu
# The compiler inserts a call of the emulator before each memory access of a .cu file. -O1: -O0 has more accesses, and -O2 copies loops, which
# takes longer to compile.
EMU_FLAGS = -std=c++20 -g1 $(WARN) -fPIC -fvisibility=hidden -ffp-contract=off -fno-exceptions -Wno-unknown-pragmas -Wno-deprecated-enum-enum-conversion -DSAPOR_CUDA_EMU -Itests/cuda_emu -I. -MMD -MP
EMU_CU = -x c++ $(EMU_FLAGS) -O1 -fsanitize=thread --param tsan-instrument-func-entry-exit=0 $(CXXFLAGS)
HAVE_CXX := $(shell command -v $(firstword $(CXX)) 2>/dev/null)
$(EMU)/%.o: %.cu $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) $(EMU_CU) -c $< -o $@
$(EMU)/%.o: tests/cuda_emu/%.cc $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) $(EMU_FLAGS) -O2 $(CXXFLAGS) -c $< -o $@
# Libraries for GPUs cannot be emulated.
EMU_OBJ = $(patsubst %.cu,$(EMU)/%.o,$(filter-out kernels/cuda/libs/%,$(CUDA_SRC))) $(EMU_SRC:tests/cuda_emu/%.cc=$(EMU)/%.o)
$(EMU)/libsapor_cuda.so: $(EMU_OBJ) $(BUILD)/internal.a
	$(CXX) -shared $(LDFLAGS) -Wl,--gc-sections -o $@ $^ -ldl -pthread -lm
# The plug-in with a seeded fault (tests/cuda_emu/mutants.sh): MUTANT is a folder with the changed file, UNIT the source that is compiled again.
ifneq ($(MUTANT),)
$(MUTANT)/libsapor_cuda.so: $(EMU)/libsapor_cuda.so FORCE
	$(CXX) -I$(MUTANT) $(EMU_CU) -c $(firstword $(wildcard $(MUTANT)/$(UNIT)) $(UNIT)) -o $(MUTANT)/unit.o
	$(CXX) -shared $(LDFLAGS) -Wl,--gc-sections -o $@ $(filter-out $(EMU)/$(UNIT:.cu=.o),$(EMU_OBJ)) $(MUTANT)/unit.o $(BUILD)/internal.a -ldl -pthread -lm
endif
$(EMU)/self_test: $(EMU)/tests/cuda_emu/self_test.o $(EMU_SRC:tests/cuda_emu/%.cc=$(EMU)/%.o) $(BUILD)/internal.a
	$(CXX) $(LDFLAGS) -o $@ $^ -ldl -pthread -lm
EMU_GEMM = $(patsubst %.cu,$(EMU)/%.o,$(wildcard kernels/cuda/gemm/*.cu))
EMU_GEMM_LADDER = $(patsubst %.cu,$(EMU)/%.o,$(wildcard bench/ladder/cuda_gemm/*.cu))
$(EMU)/gemm_test: $(EMU)/tests/cuda_emu/gemm_test.o
$(EMU)/gemm_ladder: $(EMU_GEMM_LADDER)
$(EMU)/gemm_test $(EMU)/gemm_ladder: $(EMU_GEMM) $(EMU_SRC:tests/cuda_emu/%.cc=$(EMU)/%.o) $(BUILD)/internal.a
	$(CXX) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -ldl -pthread -lm
-include $(EMU)/tests/cuda_emu/self_test.d $(EMU)/tests/cuda_emu/gemm_test.d $(EMU_GEMM_LADDER:.o=.d) $(EMU_OBJ:.o=.d)
