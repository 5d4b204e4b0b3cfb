# `make` builds sapor, libsapor.a and libsapor.so; `make help` lists the other jobs.
# Switches: CC=clang  DEBUG=1  SANITIZE=address,undefined  TRAP=1  COVERAGE=1  MINIMAL=1  CUDA=1  WERROR=1 (CI)  CFLAGS=  LDFLAGS=
#   WITHOUT="oniguruma libwebp": installed libraries that the build does not use, by their names in pkg-config
# This file has the switches, their defaults and the list of sources. The files in mk/ have the rules:
#   libs.mk     libraries, found by pkg-config; packages (make deps)
#   build.mk    objects, libraries, the command, tests
#   install.mk  make install, make uninstall
#   dev.mk      tests, demos, benchmarks, fuzzing, lint
#   cuda.mk     CUDA=1: the plug-in for GPUs
#   emu.mk      the same sources for the emulator of the tests
DEBUG ?= 0
SANITIZE ?=
TRAP ?= 0
COVERAGE ?= 0
MINIMAL ?= 0
WITHOUT ?=
CUDA ?= 0
WERROR ?= $(if $(CI),1,0)
on = $(filter 1,$(1))
comma := ,
CC ?= cc
# MINIMAL is one static file. If musl-gcc is installed, it links musl: 1.2 MB. glibc alone would add 0.8 MB.
ifeq ($(origin CC)$(call on,$(MINIMAL)),default1)
CC := $(or $(shell command -v musl-gcc),cc)
endif
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
CROSS := $(filter-out $(shell uname -m),$(MACHINE))
TOOLS := $(if $(CROSS),$(shell $(CC) -dumpmachine)-)
# Each kind of build has its own folder, so that no kind overwrites another.
BUILD ?= build$(if $(SANITIZE),/$(if $(filter thread,$(SANITIZE)),thread,sanitized))$(if $(call on,$(COVERAGE)),/coverage)$(if $(call on,$(MINIMAL)),/minimal)$(if $(strip $(WITHOUT)),/without)$(if $(call on,$(DEBUG)),/debug)$(CROSS:%=/%)

# ---- flags -----------------------------------------------------------------------------------------------------------
# Every file is compiled with -O2. A line in the file adds flags, also another -O: see own_flags in mk/build.mk.
# -g1 (lines and functions, no variables) is enough for sanitizers and CI, and saves a fifth of the compile time.
OPT = $(if $(call on,$(DEBUG) $(COVERAGE)),-O0,$(if $(SANITIZE),-O1,$(if $(call on,$(MINIMAL)),-Os,-O2))) $(if $(SANITIZE)$(CI),-g1,-g)
WARN = -Wall -Wextra -Wpointer-arith $(if $(call on,$(WERROR)),-Werror)
# With TRAP=1 an undefined operation ends the program by SIGILL, without a message; ASAN_OPTIONS=handle_sigill=2 shows its file and line. The
# messages are nine of ten globals of a program, and the address sanitizer registers each global at each start.
SAN = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer $(if $(call on,$(TRAP)),-fsanitize-undefined-trap-on-error)) $(if $(call on,$(COVERAGE)),--coverage -fprofile-update=atomic)
# -ffp-contract=off: no compiler fuses a multiplication and an addition. Kernels call fma explicitly.
BASE_CFLAGS = -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) $(SAN) -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections -pthread -I. -MMD -MP
# The kernel sources are compiled once for each level of instructions; kernels/dispatch.c names the levels.
LEVELS = baseline
ifeq ($(MACHINE),x86_64)
LEVELS = baseline avx2 $(if $(call on,$(MINIMAL)),,avx512)
FLAGS_avx2 = -mavx2 -mfma -mf16c
ifneq ($(SANITIZE),) # sanitized builds run here only: they have the levels of this machine
LEVELS := $(filter $(LEVELS),baseline $(shell grep -owE -m 1 'avx2|avx512dq' /proc/cpuinfo | sed 's/dq//'))
endif
FLAGS_avx512 = -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512
endif

# ---- sources: a new .c file in one of these folders is found automatically -----------------------------------------------
FOLDERS = base weights tokenizers tokenizers/classes tokenizers/models tokenizers/sentencepiece nn nn/ops extractors extractors/media extractors/models recsys recsys/data recsys/data/prepare recsys/metrics recsys/models recsys/models/shared recsys/protocols recsys/search recsys/train kernels
# MINIMAL has no YAML and no SQLite: it leaves out the files of `run`
LIB_SRC := $(wildcard sapor*.c $(addsuffix /*.c,$(filter-out $(if $(call on,$(MINIMAL)),recsys/protocols),$(FOLDERS))))
CPU_SRC := $(wildcard kernels/cpu/*.c kernels/cpu/*/*.c)
CUDA_SRC := $(wildcard kernels/cuda/*.cu kernels/cuda/*/*.cu)
# MINIMAL trains one run at a time (tools/train/train.c). It does not train the encoders of the demo (tools/demo/demo.h), does not draw data
# (tools/bench/bench.h), writes no pages of studies, and has no prepare, run and compare (tools/main.c).
NOT_MINIMAL = $(wildcard $(addprefix tools/,compare/*.c prepare/*.c run/*.c study/*.c train/many*.c)) tools/demo/demo_encoder.c $(addprefix tools/bench/,core.c $(addprefix bench_,data.c gpu.c plot.c steps.c table.c))
TOOL_SRC := $(filter-out $(if $(call on,$(MINIMAL)),$(NOT_MINIMAL)),$(wildcard tools/*.c tools/*/*.c))
CASE_SRC := $(wildcard tests/cases/*.c tests/far/*.c) tests/drawn.c
TEST_SRC := $(wildcard tests/*_test.c)
LADDERS := $(patsubst bench/ladder/%/main.c,%,$(wildcard bench/ladder/*/main.c))
LADDER_SRC := $(wildcard bench/ladder/*.c bench/ladder/*/*.c)

#: make              sapor, libsapor.a, libsapor.so
all: sapor libsapor.a libsapor.so
include mk/libs.mk mk/emu.mk mk/build.mk mk/cuda.mk mk/dev.mk mk/install.mk
help:
	@sed -n 's/^#: //p' Makefile mk/cuda.mk mk/dev.mk mk/install.mk mk/libs.mk mk/build.mk
.PHONY: all help FORCE
