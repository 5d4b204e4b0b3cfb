# mk/build.mk: objects, libraries, the command, tests. $(BUILD)/ has the same folders as the tree; kernels/cpu/NAME.c becomes kernels/LEVEL/NAME.o.
LIB_OBJ = $(LIB_SRC:%.c=$(BUILD)/%.o) $(foreach l,$(LEVELS),$(CPU_SRC:kernels/cpu/%.c=$(BUILD)/kernels/$(l)/%.o))
# Only the command has searches and configurations of other systems. The libraries therefore do not need SQLite.
API_OBJ = $(filter-out $(BUILD)/recsys/search/% $(BUILD)/recsys/protocols/%,$(LIB_OBJ))
TOOL_OBJ = $(TOOL_SRC:%.c=$(BUILD)/%.o)
COMMAND_OBJ = $(filter-out $(BUILD)/tools/main.o,$(TOOL_OBJ))
TESTS := $(if $(findstring musl-gcc,$(CC)),,$(TEST_SRC:tests/%.c=$(BUILD)/tests/%))
COMPILE = $(CC) $(BASE_CFLAGS) $(DEP_CFLAGS) $(FEATURES) $(CFLAGS)
LINK = $(CC) $(SAN) -pthread $(LDFLAGS) -Wl,--gc-sections

# ---- flags of one file -------------------------------------------------------------------------------------------------
# A line in the file has them: `// flags: -O3`; for one level of instructions `// flags avx512: -mavx512vnni`. The lines of levels are read
# only if there are several levels. Builds at -O0 or -O1 ignore an -O in a line. MINIMAL uses -O2 instead of -O3, and ignores -Os.
own_flags = $$(sed -n '$(call own_opt,$(2)) s,^// flags: ,,p; $(if $(and $(2),$(word 2,$(LEVELS))),s$(comma)^// flags $(2): $(comma)$(comma)p)' $(1))
own_opt = $(if $(filter -O2,$(OPT)),,$(if $(filter -Os,$(OPT)),s/-O3/-O2/; s/-Os//;,$(if $(call tiles,$(1)),/-O3/!s/-O[0-9a-z]*//; s/-O3/$(TILE_OPT)/;,s/-O[0-9a-z]*//;)))
tiles = $(and $(filter -O1,$(OPT)),$(1),$(filter $(lastword $(LEVELS)),$(1)))
# With sanitizers, kernels with -O3 use -O2 at the best level: at -O1 the accumulators of a tile stay in memory, and train_test takes 2.7 times
# as long. A check of use after scope keeps them in memory, too: the other levels have it.
TILE_OPT = -O2 $(if $(word 2,$(LEVELS)),-fno-sanitize-address-use-after-scope)
# MINIMAL uses -Oz if the compiler has it (gcc 12, clang): still smaller. The kernels keep -Os.
OZ := $(if $(call on,$(MINIMAL)),$(shell $(CC) -Oz -E -x c /dev/null >/dev/null 2>&1 && echo -Oz))
FILE_FLAGS = $(BASE_CFLAGS) $(DEP_CFLAGS) $(FEATURES) $(if $(filter -Os,$(OPT)),$(OZ))
level_flags = $(BASE_CFLAGS) $(FLAGS_$(1)) -DLEVEL=$(1) -DLEVEL_$(1) $(filter -DSAPOR_MINIMAL,$(FEATURES))
# Steps of a ladder are compiled for this machine, and the compiler may fuse a b + c.
STEP_FLAGS = $(BASE_CFLAGS) $(DEP_CFLAGS) $(FEATURES) $(if $(filter -O2 -Os,$(OPT)),-O3) $(if $(CROSS),,-march=native) -ffp-contract=fast

# ---- stamps: files that change when the flags or the list of objects change; their dependents are then rebuilt ---------
quoted = '$(subst ','\'',$(1))'
stamp = @mkdir -p $(@D); printf '%s\n' $(call quoted,$(1)) | cmp -s - $@ || printf '%s\n' $(call quoted,$(1)) > $@
$(BUILD)/flags: FORCE
	$(if $(call on,$(CUDA)),$(need_nvcc))
	@$(if $(strip $(REQUIRED)),echo 'make: nothing was compiled: a package is missing: $(strip $(REQUIRED)) (its name in Debian and Ubuntu)' >&2; \
	    echo 'make: `make deps MINIMAL=1` gets it' >&2; false)
	$(call stamp,$(CC) $(FILE_FLAGS) $(foreach l,$(LEVELS),$(FLAGS_$(l))) $(CFLAGS))
$(BUILD)/objects: FORCE
	$(call stamp,$(LIB_OBJ) $(TOOL_OBJ) $(LINK) $(DEP_LIBS))

# ---- objects -----------------------------------------------------------------------------------------------------------
$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(FILE_FLAGS) $(call own_flags,$<) $(CFLAGS) -c $< -o $@
# stb_image adds 0 to NULL. In damaged JPEGs it shifts by 32, and discards the result.
$(BUILD)/extractors/media/image_stb.o: private SAN += $(if $(SANITIZE),-fno-sanitize=pointer-overflow$(comma)nonnull-attribute$(comma)shift)
# With sanitizers the command is compiled at -O0, which saves more time than the tests of the command lose. A benchmark keeps -O1.
$(if $(SANITIZE),$(filter-out $(BUILD)/tools/bench/%,$(TOOL_OBJ)) $(patsubst %.c,$(BUILD)/%.o,$(filter recsys/search/% recsys/protocols/%,$(LIB_SRC)))): private OPT += -O0
$(BUILD)/kernels/dispatch.o: private SAN += $(LEVELS:%=-DHAS_%)
# A static command has a fixed address, and its own objects are in no library. Without -fpic their code is smaller.
$(if $(findstring musl-gcc,$(CC)),$(TOOL_OBJ)): private OZ += -fno-pic
define level_rule
$(BUILD)/kernels/$(1)/%.o: kernels/cpu/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(CC) $$(call level_flags,$(1)) $$(call own_flags,$$<,$(1)) $$(CFLAGS) -c $$< -o $$@
endef
$(foreach l,$(LEVELS),$(eval $(call level_rule,$(l))))
$(BUILD)/bench/ladder/%.o: bench/ladder/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(STEP_FLAGS) $(call own_flags,$<) $(CFLAGS) -c $< -o $@

# ---- sapor and the libraries: sapor and the tests see every function; the libraries export sp_* only -------------------
$(BUILD)/internal.a: $(LIB_OBJ) $(BUILD)/objects
	rm -f $@ && $(TOOLS)ar rcs $@ $(LIB_OBJ)
$(BUILD)/sapor: $(TOOL_OBJ) $(BUILD)/internal.a
	$(LINK) $(STATIC) -o $@ $^ $(DEP_LIBS)
$(BUILD)/libsapor.a: $(API_OBJ) $(BUILD)/objects
	$(TOOLS)ld -r -o $(BUILD)/libsapor.o $(API_OBJ) && $(TOOLS)objcopy --localize-hidden $(BUILD)/libsapor.o
	rm -f $@ && $(TOOLS)ar rcs $@ $(BUILD)/libsapor.o
SONAME = libsapor.so.0
$(BUILD)/libsapor.so: $(API_OBJ) $(BUILD)/objects
	$(LINK) -shared -Wl,-soname,$(SONAME) -o $@ $(API_OBJ) $(DEP_LIBS)
sapor libsapor.a libsapor.so: %: $(BUILD)/% FORCE
	@cmp -s $< $@ || { rm -f $@ && cp $< $@; }

# ---- tests, ladders ------------------------------------------------------------------------------------------------------
# The cases of the kernels (tests/kernels_test.c and far_test.c run them), the far device, and drawn models.
$(BUILD)/cases.a: $(CASE_SRC:%.c=$(BUILD)/%.o)
	rm -f $@ && $(TOOLS)ar rcs $@ $^
# The command without its main, for tests of the readers in tools/.
$(BUILD)/commands.a: $(COMMAND_OBJ) $(BUILD)/objects
	rm -f $@ && $(TOOLS)ar rcs $@ $(COMMAND_OBJ)
TEST_LIBS = $(BUILD)/cases.a $(BUILD)/commands.a $(BUILD)/internal.a
# Tests are compiled faster: with sanitizers at -O0 (half of the time), otherwise at -O1, which still warns of variables without a value. The code
# that they test is in the archives.
TEST_OPT = $(if $(SANITIZE),-O0,$(if $(filter -O2,$(OPT)),-O1))
$(BUILD)/tests/%: tests/%.c $(TEST_LIBS)
	@mkdir -p $(@D)
	$(COMPILE) $(TEST_OPT) $(LDFLAGS) $< $(TEST_LIBS) -o $@ $(DEP_LIBS) $$($(PKG_CONFIG) --libs cmocka)
# Draws models for the tests that are scripts.
$(BUILD)/tests/draw_models: $(BUILD)/tests/draw_models.o $(BUILD)/tests/drawn.o $(BUILD)/internal.a
	@mkdir -p $(@D)
	$(LINK) $(if $(findstring musl-gcc,$(CC)),$(STATIC)) -o $@ $^ $(DEP_LIBS)
# With SAPOR_TEST_DEVICE=far, a test or tests/far_sapor opens the far device (tests/far/far.h) instead of the CPU.
# gold, if it is installed, links a test in a third of the time.
GOLD := $(if $(or $(CROSS),$(call on,$(MINIMAL))),,$(if $(shell command -v ld.gold),-fuse-ld=gold))
# A sanitized program has tables of 500,000 addresses. At a fixed address they need no relocation: the program starts in 19 ms instead of 26.
$(TESTS) $(addprefix $(BUILD)/,sapor tests/far_sapor tests/draw_models): private override LDFLAGS += $(if $(findstring address,$(SANITIZE)),-no-pie)
$(TESTS) $(BUILD)/tests/far_sapor: private override LDFLAGS += -Wl,--wrap=device_open,--undefined=__wrap_device_open $(GOLD)
$(BUILD)/tests/far_sapor: $(BUILD)/tools/main.o $(TEST_LIBS)
	@mkdir -p $(@D)
	$(LINK) $(if $(findstring musl-gcc,$(CC)),$(STATIC)) -o $@ $^ $(DEP_LIBS)
# tests/faults.h has a replacement for each of these functions.
FAULTS = open fdopendir mmap read write fsync flock rename unlink mkdir readdir malloc calloc realloc free pthread_create \
	arena_new arena_alloc arena_strndup arena_grow heap_alloc
$(BUILD)/tests/faults_test: private override LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(FAULTS))
$(BUILD)/tests/faults_test: tests/faults.h tests/faults_subjects.h
define ladder_rule
$(BUILD)/ladder/$(1): $(patsubst %.c,$(BUILD)/%.o,$(sort $(filter-out %/main.c,$(wildcard bench/ladder/$(1)/*.c))) bench/ladder/$(1)/main.c bench/ladder/ladder.c) $(BUILD)/commands.a $(BUILD)/internal.a
	@mkdir -p $$(@D)
	$$(LINK) -o $$@ $$^ $$(DEP_LIBS)
endef
$(foreach l,$(LADDERS),$(eval $(call ladder_rule,$(l))))
tests: $(TESTS) $(if $(and $(TESTS),$(HAVE_CXX),$(if $(SANITIZE)$(call on,$(COVERAGE)),,yes)),$(EMU)/libsapor_cuda.so $(EMU)/self_test $(EMU)/gemm_test $(EMU)/gemm_ladder) $(if $(TESTS),$(BUILD)/tests/far_sapor $(LADDERS:%=$(BUILD)/ladder/%)) $(addprefix $(BUILD)/,sapor libsapor.a libsapor.so tests/draw_models)
$(BUILD)/fuzz/%: tests/fuzz/%_fuzz.c tests/fuzz/fuzz.h $(BUILD)/tests/drawn.o $(BUILD)/commands.a $(BUILD)/internal.a
	@mkdir -p $(@D)
	$(COMPILE) -fsanitize=fuzzer $< $(BUILD)/tests/drawn.o $(BUILD)/commands.a $(BUILD)/internal.a -o $@ $(DEP_LIBS)
#: make clean        removes all built files; packages under build/deps stay
clean:
	find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true
	rm -f sapor libsapor.a libsapor.so libsapor_cuda.so compile_commands.json
.PHONY: tests clean
-include $(LIB_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(TESTS:=.d) $(CASE_SRC:%.c=$(BUILD)/%.d) $(BUILD)/tests/draw_models.d $(LADDER_SRC:%.c=$(BUILD)/%.d)
