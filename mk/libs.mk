# mk/libs.mk: finds libraries by pkg-config. Each is optional, and WITHOUT leaves some out. MINIMAL uses stb_image only.
# The folder into which `make deps` unpacks packages:
DEPS_ROOT = $(CURDIR)/build/deps/root
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null || $(CC) -dumpmachine)
DEPS_LIB = $(DEPS_ROOT)/usr/lib/$(MULTIARCH)
UNPACKED := $(wildcard $(DEPS_ROOT)/usr/include)
export PKG_CONFIG_PATH := $(DEPS_LIB)/pkgconfig:$(DEPS_ROOT)/usr/share/pkgconfig:$(PKG_CONFIG_PATH)
# PKG_CONFIG_PATH is passed again, because before make 4.4 $(shell) has the environment that make was called with.
PKG_CONFIG := PKG_CONFIG_PATH=$(PKG_CONFIG_PATH) $(if $(CROSS),PKG_CONFIG_LIBDIR=$(or $(PKG_CONFIG_LIBDIR),/usr/lib/$(MULTIARCH)/pkgconfig)) $(or $(shell command -v pkg-config),LD_LIBRARY_PATH=$(DEPS_LIB) $(DEPS_ROOT)/usr/bin/pkgconf)
KNOWN_PKGS = libjpeg libpng libwebp yaml-0.1 libxxhash zlib oniguruma sqlite3
$(foreach p,$(filter-out $(KNOWN_PKGS),$(WITHOUT)),$(error WITHOUT: unknown library $(p); choose from $(KNOWN_PKGS)))
PKGS = $(if $(call on,$(MINIMAL)),,$(filter-out $(WITHOUT),$(KNOWN_PKGS)))
LIBS_FOUND := $(foreach p,$(PKGS) cmocka,$(shell $(PKG_CONFIG) --exists $(p) 2>/dev/null && echo $(p)))
MISSING := $(filter-out $(LIBS_FOUND),$(PKGS) cmocka)
MINIMAL_DEPS = libstb-dev musl-tools
MORE_DEPS = $(if $(call on,$(MINIMAL)),$(MINIMAL_DEPS))
STB_ROOTS = /usr /usr/local $(DEPS_ROOT)/usr
ifeq ($(call on,$(MINIMAL))$(foreach r,$(STB_ROOTS),$(wildcard $r/include/stb/stb_image.h $r/include/stb_image.h)),1)
MISSING += stb_image
endif
# REQUIRED: missing packages that the build needs, by their names in Debian.
REQUIRED := $(if $(filter stb_image,$(MISSING)),libstb-dev)
PRODUCT_LIBS := $(filter-out cmocka,$(LIBS_FOUND))
DEP_CFLAGS := $(if $(PRODUCT_LIBS),$(shell $(PKG_CONFIG) --cflags $(PRODUCT_LIBS))) $(if $(UNPACKED),-isystem $(DEPS_ROOT)/usr/include)
DEP_LIBS := -Wl,--as-needed $(if $(UNPACKED),-L$(DEPS_LIB) -Wl$(comma)-rpath$(comma)$(DEPS_LIB)) $(if $(PRODUCT_LIBS),$(shell $(PKG_CONFIG) --libs $(PRODUCT_LIBS))) -lm
ifeq ($(call on,$(MINIMAL)),1) # for stb_image.h: cross compilers and musl-gcc do not search the folders of this system
DEP_CFLAGS += -idirafter /usr/include
# noseparate-code: no padding between the segments of a static file
STATIC = -static $(if $(call on,$(DEBUG)),,-s) -Wl,-z,noseparate-code
endif
FEATURES := $(foreach p,$(PRODUCT_LIBS),-DHAVE_$(shell echo $(p) | sed 's/^lib//; s/-0.1//; s/.*/\U&/')) $(if $(call on,$(MINIMAL)),-DSAPOR_MINIMAL)

#: make deps         installs the needed packages (as root or in CI), otherwise unpacks them under build/deps; with CUDA=1 also nvcc (BLAS=0: without cuBLAS and cuDNN)
BLAS ?= 1
deps:
	@scripts/deps.sh "$(DEPS_ROOT)" $(MORE_DEPS)
	$(if $(call on,$(CUDA)),@BLAS="$(BLAS)" scripts/deps-cuda.sh "$(DEPS_CUDA)" "$(SYSTEM_NVCC)")
#: make check-deps   as root: installs what check-all also needs: clang, clang-format, clang-tidy, cppcheck, gcovr, qemu, libraries for arm64
check-deps:
	@[ "$$(id -u)" = 0 ] && command -v dpkg >/dev/null || { echo "check-deps: installs packages: needs root, and Debian or Ubuntu"; exit 1; }
	@scripts/deps.sh "$(DEPS_ROOT)" $(MINIMAL_DEPS) clang libclang-rt-dev clang-format clang-tidy cppcheck gcovr qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	dpkg --add-architecture arm64
	@scripts/deps.sh "$(DEPS_ROOT)" libcmocka-dev:arm64 || { dpkg --remove-architecture arm64; echo "check-deps: this system has no packages for arm64 (Ubuntu: ports.ubuntu.com); aarch64 will be skipped"; }
have-deps:
	@$(if $(MISSING),echo "missing: $(MISSING)"; scripts/deps.sh "$(DEPS_ROOT)" $(MORE_DEPS) || echo "continuing without them")
.PHONY: deps check-deps have-deps
