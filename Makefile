# SPDX-License-Identifier: MIT
# uring_rt and urt. `make help` lists the targets.

CC      ?= cc
CXX     ?= c++
CLANG   ?= clang
PREFIX  ?= /usr/local
DESTDIR ?=
LIBDIR  ?= $(PREFIX)/lib
MANDIR  ?= $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
UNITDIR ?= $(PREFIX)/lib/systemd/system
VERSION := 0.1.0
SAN     ?=
STATIC  ?=
V       ?= 0
BTF     ?= /sys/kernel/btf/vmlinux

# ARCH=aarch64 builds for another processor, with Debian's cross compiler and the
# libraries of that architecture, or those in SYSROOT.
ARCH    := $(shell uname -m)
CROSS   := $(filter-out $(shell uname -m),$(ARCH))
SYSROOT ?=

ifeq ($(origin CC),default)
CC := $(CROSS:%=%-linux-gnu-g)cc $(SYSROOT:%=--sysroot=%)
endif
ifeq ($(origin CXX),default)
CXX := $(if $(findstring clang,$(CC)),clang++,$(if $(CROSS),$(CROSS)-linux-gnu-g++ $(SYSROOT:%=--sysroot=%),c++))
endif
ifneq ($(CROSS),)
BTF := /nonexistent
export PKG_CONFIG_LIBDIR := $(SYSROOT)/usr/lib/$(CROSS)-linux-gnu/pkgconfig
export PKG_CONFIG_SYSROOT_DIR := $(SYSROOT)
export SYSROOT
endif

# One directory per variant, so that variants do not rebuild each other's objects.
VARIANT := $(if $(SAN),$(SAN),release)$(CROSS:%=-%)
B       := build/$(VARIANT)
G       := build/gen$(CROSS:%=-%)

ifeq ($(V),0)
Q    := @
say   = @printf '  %-7s %s\n' '$(1)' '$(2)'
else
Q    :=
say   = @:
endif

BPFARCH := $(if $(filter aarch64,$(ARCH)),arm64,x86)

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wno-unused-parameter $(if $(filter 1,$(WERROR)),-Werror)
OPT      := $(if $(SAN),-O1,-O2) -g
CFLAGS   ?=
# A frame touches each of its pages on the way down, so it cannot step over a
# stack's guard. FORTIFY is left out if it does not work, or if CFLAGS sets it.
HARDEN   := -fPIE -fstack-clash-protection -fstack-protector \
            $(if $(SAN)$(filter -O0,$(CFLAGS))$(findstring _FORTIFY_SOURCE,$(CFLAGS)),,\
            -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
ALL_CFLAGS := -std=gnu17 $(OPT) $(WARN) $(HARDEN) -fvisibility=hidden \
            -fno-omit-frame-pointer -D_FILE_OFFSET_BITS=64 \
            -ffile-prefix-map=$(CURDIR)=. \
            $(if $(SAN),-fsanitize=$(SAN)) $(CFLAGS)
ALL_LDFLAGS := -Wl,-z,relro,-z,now -Wl,-z,noexecstack \
            $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
# For programs with the static library: profilers look for this symbol.
EXPORT   := -Wl,--export-dynamic-symbol=otel_thread_ctx_v1

LIB_SRC  := $(filter-out uring_rt/examples/% uring_rt/tls/% uring_rt/sim/%,$(wildcard uring_rt/*/*.c)) $(wildcard uring_rt/exec/arch/$(ARCH)/*.S)
TOOL_SRC := $(wildcard tools/*.c tools/*/*.c tools/*/*/*.c)
# Programs that the tests run, and all other sources of the tests.
PROBES   := probe leaker goliar rings announcer
TEST_SRC := $(filter-out $(PROBES:%=tests/tools/%.c),$(wildcard $(foreach d,lib runtime tools,tests/$d/*.c)))
FORMAT_SRC := $(wildcard uring_rt/*.h uring_rt/*/*.[ch] uring_rt/exec/arch/*/*.h \
            bpf/*.[ch] $(foreach d,tools tests,$d/*.[ch] $d/*/*.[ch] $d/*/*/*.[ch]))

# The sources that each fuzz target is built from.
FUZZ         := http answer json address stream control assert pages symbols unwind report
FUZZ_http    := tools/service/http.c tools/lib/burn.c
FUZZ_answer  := tools/load/http.c
FUZZ_json    := tools/lib/json_tree.c
FUZZ_address := uring_rt/net/address.c
FUZZ_stream  := uring_rt/net/stream.c uring_rt/base/sys.c
FUZZ_text    := tools/lib/text.c tools/lib/tool.c tools/lib/proc.c
FUZZ_control := tools/stat/control.c $(FUZZ_text)
FUZZ_pages   := $(addprefix tools/measure/,held.c trace_find.c trace_pages.c user_stats.c pages.c reader.c remote.c) \
                uring_rt/base/share.c uring_rt/base/trace.c uring_rt/base/sys.c uring_rt/base/memory.c \
                tools/lib/launch.c $(FUZZ_text)
FUZZ_assert  := tools/stat/assert.c tools/stat/baseline.c tools/lib/json_tree.c tools/stat/figure_table.c tools/stat/figures.c tools/lib/names.c \
                tools/measure/counter.c tools/measure/counter_read.c tools/measure/user_map.c tools/measure/bpf_setup.c tools/lib/privileges.c $(FUZZ_pages)
FUZZ_symbols := tools/measure/symbols.c tools/measure/demangle.c tools/lib/give_up.c $(FUZZ_text)
FUZZ_unwind  := tools/measure/unwind.c tools/measure/cfi.c
FUZZ_report  := $(addprefix tools/record/,report.c report_print.c report_request.c report_path.c \
                report_slices.c report_slow.c timeline_read.c) tools/lib/embed.c \
                tools/lib/options.c tools/lib/help.c \
                $(G)/perfetto.pb-c.c $(FUZZ_text)
FUZZ_SRC     := $(foreach t,$(FUZZ),$(FUZZ_$t))

LIB_OBJ  := $(patsubst %,$(B)/%.o,$(basename $(LIB_SRC)))
PIC_OBJ  := $(patsubst %,$(B)/pic/%.o,$(basename $(LIB_SRC)))
TOOL_OBJ := $(patsubst %.c,$(B)/%.o,$(TOOL_SRC)) $(B)/perfetto.pb-c.o $(B)/embedded.o
# Files that the command carries inside itself (tools/lib/embed.h).
EMBED    := $(wildcard $(foreach x,js cjs go py java rs css html,tools/*/*.$x tools/*/*/*.$x))
TEST_OBJ := $(patsubst %.c,$(B)/%.o,$(TEST_SRC))
# Without a C++ compiler or without Go, the program in that language is left out,
# and its tests are skipped.
TESTS    := $(B)/tests/urt_test $(PROBES:%=$(B)/tests/%) $(B)/tests/servers $(B)/tests/unsimulated $(B)/tests/simulated \
            $(B)/tests/random $(if $(SAN),,$(B)/tests/leaker_asan) \
            $(if $(shell command -v $(firstword $(CXX))),$(B)/tests/cxx) \
            $(if $(SAN),,$(if $(shell command -v go),$(B)/tests/goroutines))

TOOL_LIBS := -luring -lbpf -lelf -lz -lprotobuf-c -lpthread -ldl -lm
# `make static` also links the libraries that these libraries need.
ifeq ($(STATIC),1)
TOOL_LIBS += $(shell pkg-config --static --libs libbpf libelf)
endif

# The second library is built if OpenSSL 3 is there; HAVE_TLS= leaves it out.
HAVE_TLS ?= $(shell pkg-config --exists 'openssl >= 3' && echo 1)
TLS_SRC  := $(if $(HAVE_TLS),$(wildcard uring_rt/tls/*.c))
TLS_A    := $(if $(HAVE_TLS),$(B)/liburing_rt_tls.a)
TLS_SO   := $(if $(HAVE_TLS),$(B)/liburing_rt_tls.so)
TLS_LIBS := $(if $(HAVE_TLS),$(shell pkg-config --libs openssl))
# The command has TLS, too (urt load, the model coroutine-tls), unless it is static.
URT_TLS  := $(if $(filter 1,$(STATIC)),,$(HAVE_TLS))
TOOL_LIBS += $(if $(URT_TLS),$(TLS_LIBS))

EXAMPLES := $(patsubst uring_rt/examples/%.c,%,$(shell grep $(if $(HAVE_TLS),-l '',-L '<urt_tls.h>') \
            uring_rt/examples/*.c))

LIB_A  := $(B)/liburing_rt.a
LIB_SO := $(B)/liburing_rt.so
# The simulator: a library that `urt sim` carries inside itself and preloads.
SIM_SRC := $(wildcard uring_rt/sim/*.c)
SIM_SO  := $(B)/liburt_sim.so
URT    := $(B)/urt

BPFTOOL := $(firstword $(foreach t,bpftool /usr/sbin/bpftool \
            $(wildcard /usr/lib/linux-tools*/*/bpftool /usr/lib/linux-tools-*/bpftool),\
            $(shell $(t) version >/dev/null 2>&1 && echo $(t))))
# If bpftool is too old for the kernel's BTF (Ubuntu 22.04), the BTF is not used.
HAVE_BTF := $(and $(wildcard $(BTF)),$(BPFTOOL),\
            $(shell $(BPFTOOL) btf dump file $(BTF) 2>/dev/null | head -c 1))

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:

##@ Building
all: $(LIB_A) $(LIB_SO) $(TLS_A) $(TLS_SO) $(URT) ## the libraries and the command urt

examples: $(EXAMPLES:%=$(B)/examples/%) ## the programs in uring_rt/examples

static: ## the command urt as one file that needs no library: build/static/urt
	$(Q)$(MAKE) -s B=build/static G=build/gen-static BTF=/nonexistent STATIC=1 build/static/urt

deps: ## install what is needed (as root), or say what is missing
	$(Q)sh tools/deps.sh minimal

peers: $(URT) ## install the languages of the other models, and build those
	$(Q)sh tools/deps.sh
	$(Q)$(URT) serve --build

# Reports a missing package once, before the compiler does so a hundred times.
$(G)/.deps:
	$(Q)mkdir -p $(G)
	$(Q)for f in liburing.h bpf/libbpf.h protobuf-c/protobuf-c.h; do \
	  echo "#include <$$f>" | $(CC) -E - >/dev/null 2>&1 || { \
	    echo "$$f is missing: run 'make deps' as root" >&2; exit 1; }; done
	$(Q)command -v $(CLANG) >/dev/null || { \
	    echo "clang is missing: run 'make deps' as root" >&2; exit 1; }
	$(Q)command -v protoc-c >/dev/null || { \
	    echo "protoc-c is missing: run 'make deps' as root" >&2; exit 1; }
	$(Q)test -n "$(BPFTOOL)" || { \
	    echo "bpftool is missing: run 'make deps' as root" >&2; exit 1; }
	$(Q)touch $@

##@ Running
demo: all ## the experiment: all models, one workload; DEMO="--connections 64 ..."
	$(Q)$(URT) demo $(DEMO)

results: all ## RESULTS.md and README's picture: a full run (half an hour), or JSON=OLD.json
	$(Q)mkdir -p build/results
ifdef JSON
	$(Q)$(URT) demo --from $(JSON) --report build/results $(DEMO)
else
	$(Q)$(URT) serve --build
	$(Q)$(URT) demo --full --resume build/results/part.json --report build/results $(DEMO)
	$(Q)rm build/results/part.json
endif
	$(Q)cp build/results/waiting.svg tools/demo/waiting.svg
	$(Q){ cat build/results/report.md; printf '\n%s\n' \
	    'Written by `make results`, with no figure typed by hand. [How the figures were checked](CHECKS.md).'; } \
	    >tools/demo/RESULTS.md

bench: all ## the runtime's micro-benchmarks; BENCH="--runs 5 ..."
	$(Q)$(URT) bench $(BENCH)

##@ Checking
tests: $(if $(SAN),$(TLS_A) $(URT),all) examples $(TESTS) ## the test suites, built and not run
test: tests check-floors ## the test suites; TEST=name runs one
	$(Q)cd $(B) && CK_RUN_SUITE='$(TEST)' tests/urt_test

test-kernel: tests ## the suites on other kernels, in qemu: SUITES, KERNELS, ARCH
	$(Q)ARCH=$(ARCH) sh tests/kernel/run.sh $(B)

stress: $(TESTS) ## the runtime at random, with a new seed each time; SECONDS=60
	$(Q)cd $(B) && end=$$(($$(date +%s) + $(or $(SECONDS),60))); n=0; \
	while [ $$(date +%s) -lt $$end ]; do \
	  for suite in late stress blocking; do \
	    CK_RUN_SUITE=$$suite URT_STRESS_SECONDS=2 tests/urt_test || exit 1; \
	  done; n=$$((n + 1)); done; echo "$$n rounds of each, nothing lost"

fuzz-targets: $(FUZZ:%=build/fuzz/%_fuzz)
fuzz: fuzz-targets ## parsers under any bytes, with ASan; SECONDS=10 each, SEED=n
	$(Q)for t in $(FUZZ); do \
	  build/fuzz/$${t}_fuzz tests/fuzz/corpus/$$t $(or $(SECONDS),10) $(SEED) || exit 1; done

format: ## format the sources with clang-format
	$(Q)clang-format -i $(FORMAT_SRC)

check-format: ## fail where the sources are not formatted
	$(Q)clang-format --dry-run -Werror $(FORMAT_SRC)

check-floors: ## fail where a file of uring_rt or tools includes one above it
	$(Q)sh tests/lib/check_floors.sh

explore: build/explore/explore ## every interleaving of the runtime's protocols; EXPLORE="--list"
	$(Q)build/explore/explore $(EXPLORE)

include tests/explore/explore.mk

##@ Installing
# The shell gets the directories as variables, so that a directory with a blank stays
# one word.
$(foreach v,DESTDIR PREFIX LIBDIR MANDIR BASHDIR ZSHDIR FISHDIR UNITDIR,\
  $(eval install uninstall: export $v := $(value $v)))
# The variable, quoted as the replacement of a sed command.
put = $$(printf %s "$$$1" | sed 's/[&|\\]/\\&/g')

PC := $(filter-out $(if $(HAVE_TLS),,%_tls.pc.in),$(wildcard uring_rt/*.pc.in))
install: all ## into $(DESTDIR)$(PREFIX)
	$(Q)install -d "$$DESTDIR$$PREFIX/include" "$$DESTDIR$$PREFIX/bin" \
	  "$$DESTDIR$$PREFIX/share/uring_rt" "$$DESTDIR$$LIBDIR/pkgconfig" \
	  "$$DESTDIR$$LIBDIR/cmake/uring_rt" \
	  "$$DESTDIR$$UNITDIR" "$$DESTDIR$$MANDIR/man1" "$$DESTDIR$$MANDIR/man3" \
	  "$$DESTDIR$$BASHDIR" "$$DESTDIR$$ZSHDIR" "$$DESTDIR$$FISHDIR"
	$(Q)install -m 644 uring_rt/urt.h $(if $(HAVE_TLS),uring_rt/urt_tls.h) \
	  "$$DESTDIR$$PREFIX/include/"
	$(Q)install -m 644 $(LIB_A) $(TLS_A) "$$DESTDIR$$LIBDIR/"
	$(Q)for l in $(notdir $(basename $(LIB_SO) $(TLS_SO))); do \
	  install -m 755 $(B)/$$l.so "$$DESTDIR$$LIBDIR/$$l.so.$(VERSION)" && \
	  ln -sf $$l.so.$(VERSION) "$$DESTDIR$$LIBDIR/$$l.so.0" && \
	  ln -sf $$l.so.0 "$$DESTDIR$$LIBDIR/$$l.so" || exit 1; done
	$(Q)for f in $(patsubst uring_rt/%.pc.in,pkgconfig/%.pc,$(PC)) \
	  $(patsubst uring_rt/%.in,cmake/uring_rt/%,$(wildcard uring_rt/*.cmake.in)); do \
	  sed -e "s|@PREFIX@|$(call put,PREFIX)|" -e "s|@LIBDIR@|$(call put,LIBDIR)|" \
	  -e 's|@VERSION@|$(VERSION)|' uring_rt/$${f##*/}.in \
	  >"$$DESTDIR$$LIBDIR/$$f" || exit 1; done
	$(Q)install -m 755 $(URT) "$$DESTDIR$$PREFIX/bin/"
	$(Q)install -m 644 uring_rt/gdb.py tools/export/dashboard.json tools/packaging/seccomp.json \
	  "$$DESTDIR$$PREFIX/share/uring_rt/"
	$(Q)sed "s|/usr/bin/urt|$(call put,PREFIX)/bin/urt|" tools/export/urt-export.service \
	  >"$$DESTDIR$$UNITDIR/urt-export.service"
	$(Q)$(URT) help --man >"$$DESTDIR$$MANDIR/man1/urt.1"
	$(Q)for c in environment $$($(URT) help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do \
	  $(URT) help --man $$c >"$$DESTDIR$$MANDIR/man1/urt-$$c.1" || exit 1; done
	$(Q)for h in uring_rt/urt.h $(if $(HAVE_TLS),uring_rt/urt_tls.h); do \
	  awk -v "dir=$$DESTDIR$$MANDIR/man3" -f tools/man3.awk $$h || exit 1; done
	$(Q)$(URT) help --bash >"$$DESTDIR$$BASHDIR/urt"
	$(Q)$(URT) help --zsh >"$$DESTDIR$$ZSHDIR/_urt"
	$(Q)$(URT) help --fish >"$$DESTDIR$$FISHDIR/urt.fish"
	$(Q)[ -n "$$DESTDIR" ] || ldconfig 2>/dev/null || :

uninstall: ## what install put there
	$(Q)rm -f "$$DESTDIR$$PREFIX/include/urt.h" \
	  "$$DESTDIR$$PREFIX/include/urt_tls.h" "$$DESTDIR$$PREFIX/bin/urt" \
	  "$$DESTDIR$$LIBDIR"/liburing_rt.* "$$DESTDIR$$LIBDIR"/liburing_rt_tls.* "$$DESTDIR$$LIBDIR"/pkgconfig/uring_rt*.pc \
	  "$$DESTDIR$$PREFIX/share/uring_rt/gdb.py" \
	  "$$DESTDIR$$PREFIX/share/uring_rt/dashboard.json" \
	  "$$DESTDIR$$PREFIX/share/uring_rt/seccomp.json" \
	  "$$DESTDIR$$MANDIR/man1/urt.1" "$$DESTDIR$$MANDIR"/man1/urt-*.1 \
	  "$$DESTDIR$$MANDIR"/man3/uring_rt*.3 "$$DESTDIR$$MANDIR"/man3/urt_*.3 \
	  "$$DESTDIR$$BASHDIR/urt" "$$DESTDIR$$ZSHDIR/_urt" \
	  "$$DESTDIR$$FISHDIR/urt.fish" "$$DESTDIR$$UNITDIR/urt-export.service"
	$(Q)rmdir "$$DESTDIR$$PREFIX/share/uring_rt" 2>/dev/null || :
	$(Q)rm -rf "$$DESTDIR$$LIBDIR/cmake/uring_rt"

##@ Packages
version: ## the version, which stands nowhere else
	@echo $(VERSION)

deb: ## Debian packages, in build/packages/deb
	$(Q)sh tools/packaging/build.sh deb $(VERSION)

rpm: ## RPM packages, in build/packages/rpm
	$(Q)sh tools/packaging/build.sh rpm $(VERSION)

clean: ## all that was built
	$(Q)rm -rf build

help: ## this text
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile
	@printf '\nVariables: SAN=address|thread  WERROR=1  V=1  CC=...  PREFIX=...  DESTDIR=...\n'

# ---- rules -----------------------------------------------------------------

$(B)/%.o: %.c | $(G)/.deps
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/%.o: %.S | $(G)/.deps
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(B)/pic/%.o: %.c | $(G)/.deps
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -MMD -MP -c -o $@ $<

# Other programs read these thread-local variables: TLS descriptors, if supported.
ifeq ($(ARCH),x86_64)
$(B)/pic/uring_rt/sched/context.o: ALL_CFLAGS += $(shell echo 'int x;' | \
  $(CC) -mtls-dialect=gnu2 -c -x c - -o /dev/null 2>/dev/null && echo -mtls-dialect=gnu2)
endif

$(B)/pic/%.o: %.S | $(G)/.deps
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Stacks are switched by hand, and a shadow stack would not follow. One object
# that is not marked for shadow stacks keeps them off in the whole program.
SWITCHES := uring_rt/sched/sched.o tests/runtime/exec_test.o
ifeq ($(ARCH),x86_64)
$(SWITCHES:%=$(B)/%) $(SWITCHES:%=$(B)/pic/%): ALL_CFLAGS += -fcf-protection=none
endif

$(LIB_A): $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

$(LIB_SO): $(PIC_OBJ) uring_rt/uring_rt.map
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,liburing_rt.so.0 \
	  -Wl,--version-script=uring_rt/uring_rt.map -o $@ $(PIC_OBJ) \
	  -ldl -lpthread

# Never sanitized: a sanitizer would have to be loaded before it.
$(SIM_SO): $(SIM_SRC) $(wildcard uring_rt/sim/*.h) uring_rt/ring/abi.h
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -fsanitize=% -D_FILE_OFFSET_BITS=64 -D_FORTIFY_SOURCE%,$(ALL_CFLAGS)) \
	  -fPIC -fexceptions -shared -Wl,-soname,liburt_sim.so -o $@ $(SIM_SRC) -ldl -lpthread

$(B)/tools/sim/run.o: $(SIM_SO)
$(B)/tools/sim/run.o: ALL_CFLAGS += -DURT_SIM_LIBRARY='"$(SIM_SO)"'

$(B)/liburing_rt_tls.a: $(TLS_SRC:%.c=$(B)/%.o)
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

$(B)/liburing_rt_tls.so: $(TLS_SRC:%.c=$(B)/pic/%.o) $(LIB_SO) uring_rt/uring_rt.map
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,liburing_rt_tls.so.0 \
	  -Wl,--version-script=uring_rt/uring_rt.map -o $@ $(filter %.o %.so,$^) \
	  $(TLS_LIBS) -lpthread

# The examples that need the second library.
TLS_EXAMPLES := $(patsubst uring_rt/examples/%.c,$(B)/examples/%,\
  $(shell grep -l '<urt_tls.h>' uring_rt/examples/*.c))
$(TLS_EXAMPLES): EXAMPLE_LIBS := $(TLS_A) $(TLS_LIBS)
$(TLS_EXAMPLES): $(TLS_A)

$(B)/examples/redis: uring_rt/examples/resp.h
$(B)/examples/%: uring_rt/examples/%.c uring_rt/urt.h uring_rt/urt_tls.h $(LIB_A)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -pie -Iuring_rt -o $@ $< \
	  $(filter %_tls.a,$(EXAMPLE_LIBS)) $(LIB_A) \
	  $(filter-out %_tls.a,$(EXAMPLE_LIBS)) $(EXPORT) -lpthread -ldl

# Written when it changes, so that `make` after OpenSSL was installed compiles these.
ifneq ($(shell cat $(B)/tls.list 2>/dev/null),$(or $(URT_TLS),no))
$(shell mkdir -p $(B) && echo '$(or $(URT_TLS),no)' >$(B)/tls.list)
endif
$(patsubst %.c,$(B)/%.o,$(shell grep -l URT_HAVE_TLS tools/*/*.c tests/*/*.c)): $(B)/tls.list

$(URT): $(TOOL_OBJ) $(if $(URT_TLS),$(TLS_A)) $(LIB_A)
	$(call say,LD,$@)
ifeq ($(STATIC),1)
	$(Q)$(CC) $(ALL_LDFLAGS) -static-pie -s -Wl,-Map=$@.map -o $@ $^ $(TOOL_LIBS) 2>$@.log || \
	  { cat $@.log >&2; exit 1; }
else
	$(Q)$(CC) $(ALL_LDFLAGS) -pie -rdynamic -o $@ $^ $(TOOL_LIBS)
endif

# Written when the list differs, so that a new or deleted file changes the table.
ifneq ($(shell cat $(G)/embedded.list 2>/dev/null),$(EMBED))
$(shell mkdir -p $(G) && echo '$(EMBED)' >$(G)/embedded.list)
endif

$(G)/embedded.c: $(G)/embedded.list
	$(Q){ echo '#include "../../tools/lib/embed.h"'; n=0; for f in $(EMBED); do \
	  printf 'extern const char f%d[], f%d_end[];\n' $$n $$n; \
	  printf '__asm__(".section .rodata\\nf%d: .incbin \"%s\"\\nf%d_end: .byte 0\\n.previous");\n' \
	    $$n $$f $$n; n=$$((n + 1)); done; \
	  echo 'const struct embedded embedded_files[] = {'; n=0; for f in $(EMBED); do \
	  printf '\t{ "%s", f%d, f%d_end },\n' $${f#tools/} $$n $$n; n=$$((n + 1)); done; \
	  echo '	{ 0 },'; echo '};'; } >$@

$(B)/embedded.o: $(G)/embedded.c $(EMBED)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(G)/vmlinux.h: | $(G)/.deps
	$(call say,BTF,$@)
	$(Q)$(BPFTOOL) btf dump file $(BTF) format c >$@

# v3 has atomic additions that return a value, since Linux 5.12.
$(G)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) \
              $(if $(HAVE_BTF),$(G)/vmlinux.h) | $(G)/.deps
	$(call say,BPF,$<)
	$(Q)$(CLANG) -g -O2 -ffile-prefix-map=$(CURDIR)=. -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPFARCH) -Wall -Werror \
	  -Wno-unknown-warning-option -Wno-missing-declarations \
	  $(if $(HAVE_BTF),-I$(G),-DURT_NO_BTF) $(if $(NO_ASSIST),-DURT_OLD_LIBBPF) -c -o $@ $<

$(G)/%.skel.h: $(G)/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf >$@ 2>$@.log || \
	  { cat $@.log >&2; exit 1; }

# A light skeleton is a program that makes the calls of bpf(2), for the library, which
# has no libbpf.
$(G)/%.lskel.h: $(G)/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton -L $< name $*_bpf >$@ 2>$@.log || \
	  { cat $@.log >&2; exit 1; }

# Names of system calls, from this machine's headers.
$(G)/syscall_names.h: | $(G)/.deps
	$(Q)echo '#include <sys/syscall.h>' | $(CC) -E -dM - | \
	  sed -n 's/^#define __NR_\([a-z0-9_]*\) .*/[__NR_\1] = "\1",/p' | \
	  grep -v -e '\[__NR_syscalls\]' -e arch_specific | sort >$@

# The names for 32-bit programs; empty if the machine has no such table.
$(G)/syscall_names_32.h: | $(G)/.deps
	$(Q)echo '#include <asm/unistd_32.h>' | $(CC) -E -dM - 2>/dev/null | \
	  sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9]*\)$$/[\2] = "\1",/p' | \
	  sort >$@

build/fuzz/%_fuzz: tests/fuzz/%_fuzz.c tests/fuzz/fuzz.h $(FUZZ_SRC) \
                   $(G)/count.skel.h $(G)/syscall_names.h $(G)/syscall_names_32.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -O1 -fsanitize=address,undefined \
	  -fno-sanitize-recover=all -I$(G) -Ibpf -o $@ $< $(FUZZ_$*) \
	  -lbpf -lelf -lz -lprotobuf-c -lm

# Encodes and decodes timelines.
$(G)/perfetto.pb-c.c: tools/record/perfetto.proto | $(G)/.deps
	$(Q)protoc-c --c_out=$(G) -Itools/record $<

$(G)/perfetto.pb-c.h: $(G)/perfetto.pb-c.c ;

$(B)/perfetto.pb-c.o: $(G)/perfetto.pb-c.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

ASSIST_OBJ := $(B)/uring_rt/base/assist.o $(B)/pic/uring_rt/base/assist.o
# Ubuntu 22.04's libbpf 0.5 and its bpftool make no light skeletons of such programs.
NO_ASSIST := $(shell pkg-config --max-version=0.99 libbpf 2>/dev/null && echo 1)
$(ASSIST_OBJ): $(if $(NO_ASSIST),,$(G)/assist.lskel.h)
$(ASSIST_OBJ): ALL_CFLAGS += -I$(G) $(if $(NO_ASSIST),-DURT_NO_ASSIST)
$(addprefix $(B)/tools/measure/,counter.o counter_read.o user_map.o): $(G)/count.skel.h
$(B)/tools/record/kernel_events.o: $(G)/record.skel.h
$(B)/tools/profile/sample.o: $(G)/profile.skel.h
$(B)/tools/export/collect.o: $(G)/export.skel.h
$(B)/tools/measure/registers.o: $(G)/registers.skel.h
$(patsubst %.c,$(B)/%.o,$(wildcard tools/record/*.c)): \
  $(G)/perfetto.pb-c.h
$(B)/tools/lib/names.o: $(G)/syscall_names.h $(G)/syscall_names_32.h
# The strong stack protector is only for the command: in the runtime it would slow down
# each call that waits, because the waiter is in the call's frame.
$(B)/tools/%.o: ALL_CFLAGS += -fstack-protector-strong -I$(G) -Ibpf -DURT_VERSION='"$(VERSION)"' \
  $(if $(filter 1,$(STATIC)),-DURT_STATIC) $(if $(URT_TLS),-DURT_HAVE_TLS)

$(B)/tests/%.o: ALL_CFLAGS += -Ibpf $(shell pkg-config --cflags check 2>/dev/null) $(if $(HAVE_TLS),-DURT_HAVE_TLS)

# Sanitized builds are compiled so often that compiling fast matters more.
ifneq ($(SAN),)
$(B)/tools/%.o $(B)/tests/tools/%.o: ALL_CFLAGS += -O0
endif

# The tests may call anything of the command but its main().
$(B)/tests/urt_test: $(TEST_OBJ) $(filter-out $(B)/tools/main.o,$(TOOL_OBJ)) $(TLS_A) $(LIB_A)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -pie -rdynamic -o $@ $^ \
	  $(shell pkg-config --libs check 2>/dev/null || echo -lcheck) -ljansson -lutil \
	  $(TOOL_LIBS) $(TLS_LIBS)

$(PROBES:%=$(B)/tests/%): $(B)/tests/%: $(B)/tests/tools/%.o $(LIB_A)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(EXPORT) -luring -lpthread -ldl

# With AddressSanitizer's allocator, if the compiler has it.
$(B)/tests/leaker_asan: tests/tools/leaker.c $(LIB_A)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=address $(ALL_LDFLAGS) -pie -o $@ $^ \
	  -luring -lpthread -ldl 2>$@.log || echo "$@ is left out: $@.log"

$(B)/tests/goroutines: tests/tools/goroutines.go
	$(call say,GO,$@)
	$(Q)GO111MODULE=off GOFLAGS= GOTOOLCHAIN=local GOENV=off CGO_ENABLED=0 \
	  HOME=$${HOME:-$(CURDIR)/build} go build -o $@ $< >$@.log 2>&1 || \
	  echo "$@ is left out: $@.log"

# Programs for the simulator.
$(B)/tests/servers $(B)/tests/unsimulated $(B)/tests/simulated $(B)/tests/random: $(B)/tests/%: $(B)/tests/sim/%.o $(LIB_A)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ \
	  $(shell pkg-config --libs check 2>/dev/null || echo -lcheck) -lpthread -ldl

$(B)/tests/cxx: tests/runtime/cxx.cpp uring_rt/urt.h $(LIB_A)
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 $(OPT) -Wall -Wextra $(if $(filter 1,$(WERROR)),-Werror) \
	  $(if $(SAN),-fsanitize=$(SAN)) -o $@ $< $(LIB_A) $(ALL_LDFLAGS) -lpthread -ldl

-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)

.PHONY: all examples static deps peers demo results deb rpm version bench tests test test-kernel stress fuzz fuzz-targets format check-format \
        check-floors explore install uninstall clean help
.SECONDARY:
