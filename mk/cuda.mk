# mk/cuda.mk: with CUDA=1, builds libsapor_cuda.so, the plug-in for GPUs, from kernels/cuda. Other builds do not search for nvcc.
CUDA_OBJ = $(CUDA_SRC:%.cu=$(BUILD)/%.o)
ifeq ($(call on,$(CUDA)),1)
ifeq ($(call on,$(MINIMAL)),1)
$(error CUDA=1: MINIMAL=1 makes one static file, which cannot load a plug-in)
endif
all: libsapor_cuda.so
endif

# ---- nvcc: the first of version 12 or 13 in PATH, in CUDA_HOME, unpacked by make deps CUDA=1; or NVCC= ---------------------------
CUDA_HOME ?= /usr/local/cuda
DEPS_CUDA = $(CURDIR)/build/deps/cuda
find_nvcc = $(shell for nvcc in $(1); do [ -x "$$nvcc" ] && "$$nvcc" --version 2>/dev/null | grep -Eq 'release 1[23]\.' && echo "$$nvcc" && break; done)
# Each variable is computed once, when a recipe first reads it. SYSTEM_NVCC= (empty) ignores the nvcc of the system.
SYSTEM_NVCC = $(eval SYSTEM_NVCC := $$(call find_nvcc,"$$$$(command -v nvcc)" $(CUDA_HOME)/bin/nvcc))$(SYSTEM_NVCC)
ifeq ($(origin NVCC),undefined)
NVCC = $(eval NVCC := $$(or $$(SYSTEM_NVCC),$$(call find_nvcc,$(DEPS_CUDA)/bin/nvcc)))$(NVCC)
endif
NO_NVCC = CUDA=1: no nvcc of CUDA 12 or 13 in PATH, in $(CUDA_HOME)/bin or in build/deps/cuda: `make deps CUDA=1` gets one
need_nvcc = $(if $(NVCC),,$(error $(NO_NVCC)))
NVCC_VERSION = $(eval NVCC_VERSION := $$(shell $(NVCC) --version | sed -n 's/.*release.*, V//p'))$(NVCC_VERSION)

# ---- flags -----------------------------------------------------------------------------------------------------------------
# Code for the A100 (sm_80; it also runs on the other cards of compute capability 8) and the H100 (sm_90a); PTX for later cards.
CUDA_ARCH = -gencode arch=compute_80,code=[sm_80,compute_80] -gencode arch=compute_90a,code=sm_90a
# The code is compressed to a quarter. -fmad=false is like -ffp-contract=off in Makefile. Unlike C, C++ warns of members that a designated initializer omits.
CUDA_HOST = -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -fno-exceptions -fno-rtti -Wall -Wextra -Wpointer-arith -Wno-missing-field-initializers
CUDA_FLAGS = -std=c++20 -Xfatbin -compress-all $(if $(call on,$(DEBUG)),-O0 -g -G,-O3 -lineinfo) -fmad=false $(CUDA_ARCH) $(if $(call on,$(WERROR)),-Werror all-warnings) \
	$(addprefix -Xcompiler ,$(CUDA_HOST) $(if $(call on,$(WERROR)),-Werror)) -I. $(CUDA_FEATURES) $(NVCCFLAGS)
# -DHAVE_CUBLAS -DHAVE_CUDNN: libraries whose headers nvcc finds
has_header = "\#if __has_include(<$(1)>)" "found -DHAVE_$(2)" "\#endif"
CUDA_FEATURES = $(eval CUDA_FEATURES := $$(shell printf '%s\n' $(call has_header,cublas_v2.h,CUBLAS) $(call has_header,cudnn.h,CUDNN) | \
	$(NVCC) -x c++ -E - 2>/dev/null | sed -n 's/^found //p'))$(CUDA_FEATURES)
# The host code of .cu files is not sanitized. Sanitized objects of the library use the sanitizer of the program that loads the plug-in.
# The plug-in searches cuBLAS and cuDNN in the toolkit that it was built with (rpath).
CUDA_LIBS = $(foreach l,cublas cudnn,$(dir $(firstword $(wildcard $(foreach d,lib64 lib,$(dir $(lastword $(NVCC)))../$d/lib$l.so*)))))
CUDA_LINK = -shared -cudart static -nodlink $(addprefix -Xcompiler ,$(filter --coverage,$(SAN)) -static-libgcc -static-libstdc++) \
	$(addprefix -Xlinker ,--gc-sections --exclude-libs=ALL $(if $(SANITIZE),,-z defs) $(sort $(foreach d,$(realpath $(CUDA_LIBS)),-rpath=$d)))
$(BUILD)/cuda-flags: FORCE
	$(need_nvcc)$(call stamp,$(NVCC) $(NVCC_VERSION) $(CUDA_FLAGS) $(CUDA_LINK))
$(BUILD)/cuda-objects: FORCE
	$(call stamp,$(CUDA_OBJ))

# ---- the plug-in: it exports sapor_cuda, and contains the objects of the library that it needs -----------------------------
# The log of an object has the output of ptxas for each kernel; the targets below read it. A line `// flags: ...` adds flags, as in C.
$(BUILD)/kernels/cuda/%.o: kernels/cuda/%.cu $(BUILD)/cuda-flags scripts/nvcc.sh
	@mkdir -p $(@D)
	scripts/nvcc.sh $(@:.o=) $(NVCC) $(CUDA_FLAGS) $(call own_flags,$<) -MMD -MP -MF $(@:.o=.d) -c $< -o $@
$(BUILD)/libsapor_cuda.so: $(CUDA_OBJ) $(BUILD)/internal.a $(BUILD)/cuda-flags $(BUILD)/cuda-objects
	$(NVCC) $(CUDA_LINK) -o $@ $(CUDA_OBJ) $(BUILD)/internal.a
libsapor_cuda.so: %: $(BUILD)/% FORCE
	@cmp -s $< $@ || { rm -f $@ && cp $< $@; }
-include $(CUDA_OBJ:.o=.d)

#: make CUDA=1       also libsapor_cuda.so, the plug-in for GPUs; `make deps CUDA=1` downloads nvcc if the system has none (NVCC= CUDA_HOME=)
#: make cuda-sass    KERNEL=gemm: machine code of the kernels with gemm in their names, after their registers, shared memory and spills (ARCH=sm_80)
ARCH ?=
cuda-sass: $(CUDA_OBJ)
	@scripts/cuda-resources.sh sass "$(KERNEL)" "$(ARCH)" "$(dir $(lastword $(NVCC))):$(DEPS_CUDA)/bin" $(CUDA_OBJ:.o=.log)
#: make cuda-resources  docs/kernels/cuda-resources.md: registers, shared memory, spills and occupancy of every kernel
cuda-resources: $(CUDA_OBJ)
	@scripts/cuda-resources.sh table "$(NVCC_VERSION)" $(CUDA_OBJ:.o=.log) >$(BUILD)/cuda-resources.md
	@cp $(BUILD)/cuda-resources.md docs/kernels/cuda-resources.md && grep '^Kernels with' $(BUILD)/cuda-resources.md
#: make cuda-ladder  the steps of docs/kernels/cuda-gemm.md, each checked and timed on the first card
CUDA_GEMM_LADDER = $(patsubst %.cu,$(BUILD)/%.o,$(sort $(wildcard bench/ladder/cuda_gemm/*.cu)))
$(BUILD)/bench/ladder/cuda_gemm/%.o: bench/ladder/cuda_gemm/%.cu $(BUILD)/cuda-flags scripts/nvcc.sh
	@mkdir -p $(@D)
	scripts/nvcc.sh $(@:.o=) $(NVCC) $(CUDA_FLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@
$(BUILD)/ladder/cuda_gemm: $(CUDA_GEMM_LADDER) $(filter $(BUILD)/kernels/cuda/gemm/%,$(CUDA_OBJ)) $(BUILD)/internal.a
	@mkdir -p $(@D)
	$(NVCC) -cudart static -o $@ $^
cuda-ladder: $(BUILD)/ladder/cuda_gemm
	@$<
-include $(CUDA_GEMM_LADDER:.o=.d)
.PHONY: cuda-sass cuda-resources cuda-ladder
