# mk/install.mk: make install, make uninstall.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
VERSION := $(shell sed -n 's/.*define SAPOR_VERSION *"\(.*\)"/\1/p' sapor.h)
# The command writes its man page and its completions. A cross-compiled command cannot run here, so they are left out.
PAGES = $(if $(CROSS),,$(addprefix $(BUILD)/share/,$(PAGE_man) $(PAGE_bash) $(PAGE_zsh)))
PAGE_man = man/man1/sapor.1
PAGE_bash = bash-completion/completions/sapor
PAGE_zsh = zsh/site-functions/_sapor
INSTALLED = $(PREFIX)/bin/sapor $(PREFIX)/include/sapor.h $(addprefix $(LIBDIR)/,libsapor.a libsapor.so.$(VERSION) $(SONAME) libsapor.so pkgconfig/sapor.pc $(if $(call on,$(CUDA)),libsapor_cuda.so)) $(PAGES:$(BUILD)/%=$(PREFIX)/%)
$(BUILD)/share/$(PAGE_man): private OPTION = --man
$(BUILD)/share/$(PAGE_bash): private OPTION = --bash-completion
$(BUILD)/share/$(PAGE_zsh): private OPTION = --zsh-completion
$(PAGES): $(BUILD)/sapor
	@mkdir -p $(@D)
	$< help $(OPTION) >$@ || { rm -f $@; false; }
# The libraries that a program with libsapor.a also links: for MINIMAL those of the command, otherwise those of pkg-config --static.
PRIVATE_LIBS = $(if $(call on,$(MINIMAL)),$(filter-out -Wl%,$(DEP_LIBS)),$(if $(UNPACKED),-L$(DEPS_LIB)) $(if $(API_LIBS),$(shell $(PKG_CONFIG) --static --libs $(API_LIBS))) -lm)
API_LIBS = $(filter-out sqlite3,$(PRODUCT_LIBS))
#: make install      sapor, libraries, sapor.h, sapor.pc, man page, completions; PREFIX=/usr/local  LIBDIR=$PREFIX/lib  DESTDIR=
install: $(addprefix $(BUILD)/,sapor libsapor.a libsapor.so $(if $(call on,$(CUDA)),libsapor_cuda.so)) $(PAGES)
	install -d $(sort $(dir $(addprefix $(DESTDIR),$(INSTALLED))))
	install -m 755 $(BUILD)/sapor $(DESTDIR)$(PREFIX)/bin
	install -m 644 sapor.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(BUILD)/libsapor.a $(DESTDIR)$(LIBDIR)
	install -m 755 $(BUILD)/libsapor.so $(DESTDIR)$(LIBDIR)/libsapor.so.$(VERSION)
	ln -sf libsapor.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libsapor.so
	$(if $(call on,$(CUDA)),install -m 755 $(BUILD)/libsapor_cuda.so $(DESTDIR)$(LIBDIR))
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: sapor' 'Description: Multimodal recommendation: encoders of texts and images, graph recommenders' 'Version: $(VERSION)' \
	    'Cflags: -I$${prefix}/include' 'Libs: -L$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR)) -lsapor' 'Libs.private: $(PRIVATE_LIBS) -pthread' >$(DESTDIR)$(LIBDIR)/pkgconfig/sapor.pc
	(cd share/encoders && find demo -type f) | while read -r f; do install -D -m 644 "share/encoders/$$f" "$(DESTDIR)$(PREFIX)/share/sapor/encoders/$$f" || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/share/sapor/benchmarks
	install -m 644 share/benchmarks/*.yml $(DESTDIR)$(PREFIX)/share/sapor/benchmarks
	$(foreach p,$(PAGES),install -m 644 $p $(DESTDIR)$(PREFIX)/$(p:$(BUILD)/%=%) &&) true
	@PATH=$$PATH:/usr/sbin:/sbin; if ldconfig -vNX 2>/dev/null | grep -q '^$(LIBDIR):'; \
	    then echo 'Programs that link libsapor.so find it after ldconfig (as root, once).'; \
	    else echo 'Programs that link libsapor.so find it with LD_LIBRARY_PATH=$(LIBDIR)'; fi; \
	    pkg-config --variable pc_path pkg-config 2>/dev/null | tr : '\n' | grep -qx '$(LIBDIR)/pkgconfig' || echo 'pkg-config finds it with PKG_CONFIG_PATH=$(LIBDIR)/pkgconfig'
#: make uninstall    removes the installed files; with the same PREFIX, LIBDIR and DESTDIR
uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rm -rf $(DESTDIR)$(PREFIX)/share/sapor
.PHONY: install uninstall
