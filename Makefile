# One Makefile. `make` builds sapor, libsapor.a and libsapor.so; `make test`, `make demo`, `make help`.
# Switches: CC=clang  DEBUG=1  SANITIZE=address,undefined  MINIMAL=1  WERROR=1 (CI)
DEBUG ?= 0
SANITIZE ?=
MINIMAL ?= 0
CUDA ?= 0
WERROR ?= $(if $(CI),1,0)
BUILD ?= build$(if $(SANITIZE),/sanitized)$(if $(filter 1,$(MINIMAL)),/minimal)

CC ?= cc
WARN = -Wall -Wextra $(if $(filter 1,$(WERROR)),-Werror)
OPT = $(if $(filter 1,$(DEBUG)),-O0,-O2) -g
SAN = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
# -ffp-contract=off: what the source says is what is computed, the same on every compiler; kernels ask for fma by name.
BASE_CFLAGS = -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) $(SAN) -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -pthread -I. -MMD -MP

# Libraries, each found by pkg-config and optional unless MINIMAL forbids it. build/deps holds packages unpacked by `make deps`.
DEPS_ROOT = $(CURDIR)/build/deps/root
export PKG_CONFIG_PATH := $(DEPS_ROOT)/usr/lib/$(shell uname -m)-linux-gnu/pkgconfig:$(DEPS_ROOT)/usr/share/pkgconfig:$(PKG_CONFIG_PATH)
PKGS = libutf8proc $(if $(filter 1,$(MINIMAL)),,libjpeg libpng libwebp yaml-0.1 libxxhash zlib)
have = $(shell pkg-config --exists $(1) && echo 1)
LIBS_FOUND := $(foreach p,$(PKGS),$(if $(call have,$(p)),$(p)))
DEP_CFLAGS := $(shell pkg-config --cflags $(LIBS_FOUND)) $(if $(wildcard $(DEPS_ROOT)/usr/include),-isystem $(DEPS_ROOT)/usr/include)
DEP_LIBS := $(shell pkg-config --libs $(LIBS_FOUND)) -lm
FEATURES := $(foreach p,$(LIBS_FOUND),-DHAVE_$(shell echo $(p) | sed 's/^lib//; s/-0.1//; s/.*/\U&/')) $(if $(filter 1,$(MINIMAL)),-DSAPOR_MINIMAL)

FOLDERS = base weights tokenizers nn extractors recsys recsys/models kernels
LIB_SRC := $(wildcard $(addsuffix /*.c,$(FOLDERS)))
CPU_SRC := $(wildcard kernels/cpu/*.c)
TOOL_SRC := $(wildcard tools/*.c)
# The same kernel sources once a level of instructions; kernels/dispatch.c names the levels.
MACHINE := $(shell $(CC) -dumpmachine | cut -d- -f1)
ifeq ($(MACHINE),x86_64)
LEVELS = baseline avx2 avx512
FLAGS_avx2 = -mavx2 -mfma -mf16c
FLAGS_avx512 = -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512
else
LEVELS = baseline
endif
LIB_OBJ = $(LIB_SRC:%.c=$(BUILD)/%.o) $(foreach l,$(LEVELS),$(CPU_SRC:kernels/cpu/%.c=$(BUILD)/kernels/$(l)/%.o))
TOOL_OBJ = $(TOOL_SRC:%.c=$(BUILD)/%.o)
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/*_test.c))

all: sapor libsapor.a libsapor.so
help:
	@sed -n 's/^#: //p' Makefile
#: make              sapor, libsapor.a, libsapor.so
#: make test         the test suite, then again under address and undefined-behaviour sanitizers

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(DEP_CFLAGS) $(FEATURES) $(CFLAGS) -c $< -o $@
define level_rule
$(BUILD)/kernels/$(1)/%.o: kernels/cpu/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(BASE_CFLAGS) -O3 $$(FLAGS_$(1)) -DLEVEL=$(1) -DLEVEL_$(1) $$(CFLAGS) -c $$< -o $$@
endef
$(foreach l,$(LEVELS),$(eval $(call level_rule,$(l))))

$(BUILD)/libsapor.a: $(LIB_OBJ)
	rm -f $@ && ar rcs $@ $^
sapor: $(BUILD)/sapor
	cp $< $@
$(BUILD)/sapor: $(TOOL_OBJ) $(BUILD)/libsapor.a
	$(CC) $(SAN) -pthread -o $@ $(TOOL_OBJ) $(BUILD)/libsapor.a $(DEP_LIBS) $(LDFLAGS)
libsapor.a: $(BUILD)/libsapor.a
	cp $< $@
libsapor.so: $(LIB_OBJ)
	$(CC) $(SAN) -shared -Wl,-soname,libsapor.so.0 -pthread -o $@ $^ $(DEP_LIBS) $(LDFLAGS)

$(BUILD)/tests/%: tests/%.c $(BUILD)/libsapor.a
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(DEP_CFLAGS) $(FEATURES) $(CFLAGS) $< $(BUILD)/libsapor.a -o $@ $(DEP_LIBS) -lcmocka $(LDFLAGS)
tests: $(TESTS)

clean:
	rm -rf build/kernels build/base build/sanitized build/minimal build/tests $(addprefix build/,$(FOLDERS) tools) build/libsapor.a sapor libsapor.a libsapor.so
.PHONY: all help tests clean
-include $(LIB_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(TESTS:=.d)
