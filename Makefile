# sidestack: `make help` lists the targets and the variables.

B         ?= build
LWIP_SRC  ?= build/lwip
PREFIX    ?= /usr/local
BINDIR     = $(PREFIX)/bin
LIBDIR     = $(PREFIX)/lib/sidestack
MANDIR     = $(PREFIX)/share/man
COMPLETION = $(PREFIX)/share/bash-completion/completions
VERSION    = 0.1.0

# ---- What each artefact is made of ----

INTERCEPT = service/control_path.c $(sort $(wildcard intercept/*.c intercept/names/*.c))
STACK     = $(sort $(wildcard stack/*.c stack/*/*.c))
SERVICE   = $(sort $(wildcard service/*.c) $(filter-out service/tool/%,$(wildcard service/*/*.c)))
TOOL      = service/control_path.c $(sort $(wildcard service/tool/*.c))
LWIP      = $(addprefix core/, def.c inet_chksum.c init.c ip.c mem.c memp.c netif.c pbuf.c stats.c tcp.c \
              tcp_in.c tcp_out.c udp.c) netif/ethernet.c \
            $(addprefix core/ipv4/, dhcp.c etharp.c icmp.c igmp.c ip4.c ip4_addr.c ip4_frag.c) \
            $(addprefix core/ipv6/, ethip6.c icmp6.c inet6.c ip6.c ip6_addr.c ip6_frag.c mld6.c nd6.c)
# The files that hold main(): no part of what the unit tests link.
SERVICE_MAIN = service/sidestackd.c
TOOL_MAIN    = service/tool/sidestack.c
SERVICE_LIBS = -lpcap -linih -lcares -lseccomp -lcap-ng -lm
# All the C that is ours, once.
SOURCES      = $(sort $(INTERCEPT) $(STACK) $(SERVICE) $(TOOL))
HELPERS      = capture top metrics
HELPER_MAINS = $(HELPERS:%=service/tool/main_%.c)

# ---- How ----

ifeq ($(origin CC),default)
CC = gcc
endif
COMMA     = ,
OPT      ?= -O2 -g
WARN      = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
HARDEN    = -fstack-protector-strong -D_FORTIFY_SOURCE=2
LINK      = -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
# One object serves the library, the daemon and the tests, so all are position-independent.
BASE      = -std=gnu17 -D_GNU_SOURCE -fPIC -fvisibility=hidden $(OPT) $(HARDEN) $(SANITIZE)
INCLUDE   = -I. -Istack -I$(LWIP_SRC)/src/include
DEFINE    = -DSIDESTACK_VERSION='"$(VERSION)"'

# SAN=1: with the address and undefined-behaviour sanitizers, in a directory of its own.
ifeq ($(SAN),1)
override B := $(B)/asan
OPT        = -O1 -g -fno-omit-frame-pointer
HARDEN     = -fstack-protector-strong
SANITIZE   = -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif

# TSAN=1: with the thread sanitizer (tests/checks/tsan.sh, tsan_service.sh).
ifeq ($(TSAN),1)
override B := $(B)/tsan
OPT        = -O1 -g -fno-omit-frame-pointer
HARDEN     =
SANITIZE   = -fsanitize=thread
endif

# FUZZ=1: with the sanitizers of SAN=1 for clang's libFuzzer; FUZZ=afl: for AFL++, in build/afl. To clang's address sanitizer belongs no macro; block.c
# asks for gcc's.
ifneq ($(FUZZ),)
override B := $(B)/$(if $(filter afl,$(FUZZ)),afl,fuzz)
override CC := $(if $(filter afl,$(FUZZ)),AFL_QUIET=1 afl-clang-fast,clang)
OPT        = -O1 -g -fno-omit-frame-pointer
HARDEN     =
SANITIZE   = -fsanitize=address,undefined$(if $(filter afl,$(FUZZ)),,$(COMMA)fuzzer-no-link) -fno-sanitize-recover=undefined -D__SANITIZE_ADDRESS__
endif

# COVERAGE=1: lines are counted, by clang, in files that all processes share: tests/coverage/counters.c, which belongs to each program and library.
ifeq ($(COVERAGE),1)
override B := $(B)/coverage
override CC := clang
OPT        = -O1 -g
COUNT      = -fprofile-instr-generate -fcoverage-mapping -mllvm -runtime-counter-relocation
COUNTERS   = $(B)/counters.o
endif

# The stack and lwIP call each other.
GROUP      = $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group

MAKEFLAGS += --no-builtin-rules
CORES := $(shell nproc)
Q = $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

objects = $(patsubst %.c,$(B)/obj/%.o,$(1))
ARTEFACTS = $(B)/libintercept.so $(B)/sidestackd $(B)/sidestack $(HELPERS:%=$(B)/sidestack-%)

all: $(ARTEFACTS) ## libintercept.so, sidestackd and sidestack (the default)

# The soname is the one by which libc looks for a module of name "sidestack" (intercept/names/names_config.c).
$(B)/libintercept.so: $(call objects,$(INTERCEPT)) intercept/exports.map
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE) $(LINK) $(if $(SANITIZE),,-Wl,-z,defs) -shared -Wl,-soname,libnss_sidestack.so.2 \
	    -Wl,--version-script=intercept/exports.map -o $@ $(filter %.o,$^)

$(B)/sidestackd: $(call objects,$(SERVICE_MAIN)) $(B)/libservice.a $(B)/libstack.a $(B)/liblwip.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE) $(LINK) -pie -o $@ $(GROUP) $(SERVICE_LIBS)

$(B)/sidestack: $(call objects,$(TOOL_MAIN)) $(B)/libtool.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE) $(LINK) -pie -o $@ $^ -ljansson -lm

# Subcommands with libraries that the others are better off without.
$(B)/sidestack-capture: HELPER_LIBS = -lpcap
$(B)/sidestack-top: HELPER_LIBS = -lncursesw -ltinfo
$(B)/sidestack-metrics: HELPER_LIBS = -lmicrohttpd -lpthread
$(HELPERS:%=$(B)/sidestack-%): $(B)/sidestack-%: $(B)/obj/service/tool/main_%.o $(B)/libtool.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE) $(LINK) -pie -o $@ $^ -ljansson $(HELPER_LIBS)

$(B)/libintercept.a: $(call objects,$(INTERCEPT))
$(B)/libstack.a: $(call objects,$(STACK))
$(B)/libservice.a: $(call objects,$(filter-out $(SERVICE_MAIN),$(SERVICE)))
$(B)/libtool.a: $(call objects,$(filter-out $(TOOL_MAIN) $(HELPER_MAINS),$(TOOL)))
$(B)/liblwip.a: $(patsubst %.c,$(B)/obj/lwip/%.o,$(LWIP))
$(B)/lib%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rc $@ $^

$(B)/obj/%.o: %.c $(B)/flags | $(LWIP_SRC)/src
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(WARN) $(INCLUDE) $(DEFINE) -MMD -MP -c -o $@ $<

# What is counted. The counters, with the parts of clang's library that they need, are one object.
$(call objects,$(SOURCES)): private BASE += $(COUNT)
$(ARTEFACTS): $(COUNTERS)
$(B)/counters.o: $(B)/obj/tests/coverage/counters.o
	$(call say,LINK,$@)
	$(Q)$(CC) -r -nostdlib -o $@ $< $(shell $(CC) -print-resource-dir)/lib/linux/libclang_rt.profile-$(shell uname -m).a
$(B)/obj/tests/coverage/counters.o: private DEFINE += -DCOVERAGE_DIRECTORY='"$(abspath $(B))/profile"'

# lwIP is not ours to clean: without our warnings. It shifts a byte into the sign of an int (timestamps in tcp_in.c).
$(B)/obj/lwip/%.o: $(LWIP_SRC)/src/%.c $(B)/flags | $(LWIP_SRC)/src
	$(call say,CC,lwip/$*.c)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(if $(SANITIZE),-fno-sanitize=shift) -w $(INCLUDE) -MMD -MP -c -o $@ $<
# Before they are fetched, make has to be told how they come to be there.
$(addprefix $(LWIP_SRC)/src/,$(LWIP)): | $(LWIP_SRC)/src ;
build/lwip/src:
	$(Q)scripts/fetch-lwip build/lwip

# Rewritten when the compiler or the flags change, so that everything is built again.
FLAGS = $(CC) $(BASE) $(WARN) $(INCLUDE) $(DEFINE)
ifneq ($(file <$(B)/flags),$(FLAGS))
.PHONY: $(B)/flags
endif
$(B)/flags:
	$(shell mkdir -p $(B))$(file >$@,$(FLAGS))

# ---- Tests ----
# tests/unit/test_PART_*.c is a program with PART (stack, service, intercept, tool) linked in; the files there that are
# not called test_* are helpers, linked into each. tests/platform and tests/oracle: one program a file but for helpers;
# the oracle's peer is a program without them.

UNIT_TESTS    = $(basename $(notdir $(wildcard tests/unit/test_*.c)))
SEGMENTS      = script.c script_segment.c script_load.c packet.c
UNIT_HELPERS  = $(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)) \
                $(addprefix tests/segments/,$(SEGMENTS) host_stack.c)
UNIT_PROGRAMS = $(addprefix $(B)/unit/,$(UNIT_TESTS))

unit: $(UNIT_PROGRAMS)
$(B)/libunit.a: $(call objects,$(UNIT_HELPERS))
$(filter $(B)/unit/test_stack%,$(UNIT_PROGRAMS)): $(B)/libstack.a $(B)/liblwip.a
$(filter $(B)/unit/test_service%,$(UNIT_PROGRAMS)): $(B)/libservice.a $(B)/libstack.a $(B)/liblwip.a
$(filter $(B)/unit/test_intercept%,$(UNIT_PROGRAMS)): $(B)/libintercept.a
$(filter $(B)/unit/test_tool%,$(UNIT_PROGRAMS)): $(B)/libtool.a
$(B)/unit/test_stack_short: private LINK_TEST = $(addprefix -Wl$(COMMA)--wrap=,malloc calloc realloc _mark_point)
$(B)/bench/many: $(B)/libstack.a $(B)/liblwip.a
$(B)/unit/test_service_relay: private LINK_TEST = -Wl,--wrap=block_get
$(UNIT_PROGRAMS) $(B)/bench/many: $(B)/%: $(B)/obj/tests/%.o $(B)/libunit.a $(COUNTERS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(LINK_TEST) -pie -o $@ $< -Wl,--start-group $(filter-out $<,$^) -Wl,--end-group -lcheck -lsubunit -lm -lrt -lpthread $(SERVICE_LIBS) -ljansson -lncursesw -ltinfo -lmicrohttpd

PLATFORM_HELPERS  = tests/platform/platform.c tests/poll_bits.c
PLATFORM_SOURCES  = $(filter-out $(PLATFORM_HELPERS),$(wildcard tests/platform/*.c))
PLATFORM_PROGRAMS = $(patsubst tests/%.c,$(B)/%,$(PLATFORM_SOURCES))
ORACLE_PEER       = $(wildcard tests/oracle/peer*.c)
ORACLE_HELPERS    = $(wildcard tests/oracle/oracle*.c) tests/poll_bits.c
ORACLE_SOURCES    = $(filter-out $(ORACLE_PEER) $(ORACLE_HELPERS),$(wildcard tests/oracle/*.c))
ORACLE_PROGRAMS   = $(patsubst tests/%.c,$(B)/%,$(ORACLE_SOURCES))

platform: $(PLATFORM_PROGRAMS)
$(PLATFORM_PROGRAMS): $(call objects,$(PLATFORM_HELPERS))
oracle: $(ORACLE_PROGRAMS) $(B)/oracle/peer
$(ORACLE_PROGRAMS): $(call objects,$(ORACLE_HELPERS))
$(B)/oracle/peer: $(call objects,$(filter-out tests/oracle/peer.c,$(ORACLE_PEER)))
$(PLATFORM_PROGRAMS) $(ORACLE_PROGRAMS) $(B)/oracle/peer $(B)/bench/traffic $(B)/bench/bound $(B)/bench/impair $(B)/bench/holder: $(B)/%: $(B)/obj/tests/%.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) -pie -o $@ $^

$(B)/bench/impair: $(B)/libstack.a $(B)/liblwip.a $(COUNTERS)

$(B)/bench/traffic: $(call objects,tests/bench/traffic_serve.c tests/bench/traffic_udp.c)
$(B)/bench/bound: $(call objects,tests/bench/bound_wire.c tests/bench/bound_tcp.c tests/bench/bound_udp.c)

# tests/segments: crafted segments, put to our stack by tests/unit/test_stack_segments.c, and to the kernel by this.
$(B)/segments/kernel: $(call objects,$(addprefix tests/segments/,kernel.c host_kernel.c $(SEGMENTS)))
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) -pie -o $@ $^

# tests/faults: what is preloaded to make calls fail, and a program that they fail in. Without sanitizers, whatever they are loaded into.
FAULTS = $(addprefix $(B)/faults/,shim_memory.so shim_calls.so program)
$(B)/faults/shim_calls.so: tests/faults/shim_files.c tests/faults/shim_threads.c
$(B)/faults/shim_%.so: tests/faults/shim_%.c tests/faults/shim.c tests/faults/shim.h $(B)/flags
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -fPIC -fvisibility=hidden -fno-builtin -O2 -g $(WARN) -shared -o $@ $(filter %.c,$^) -lgcc_s
$(B)/faults/program: $(wildcard tests/faults/program*.c) tests/faults/program.h service/protocol.h $(B)/flags
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -O2 -g $(WARN) -I. -o $@ $(filter %.c,$^)

# tests/fuzz: fuzz_PART_*.c is a target, with PART linked in; the files there that are not called fuzz_* are helpers. With FUZZ=1 the
# targets are programs of libFuzzer, with FUZZ=afl of AFL++ (`make fuzz`), without it they replay files: tests/run gives them what tests/fuzz/corpus has.
FUZZ_TARGETS  = $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.c)))
# What AFL++ is for: the library, which has a stranger's process to lose.
AFL_TARGETS   = $(filter fuzz_intercept%,$(or $(TARGETS),$(FUZZ_TARGETS)))
FUZZ_PROGRAMS = $(addprefix $(B)/fuzz/,$(FUZZ_TARGETS))
FUZZ_HELPERS  = tests/fuzz/fuzz.c tests/fuzz/hostile_service.c tests/fuzz/live_service.c $(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c))

fuzzers: $(FUZZ_PROGRAMS)
afl-fuzzers: $(AFL_TARGETS:%=$(B)/fuzz/%)
$(B)/libfuzz.a: $(call objects,$(FUZZ_HELPERS))
$(filter $(B)/fuzz/fuzz_stack%,$(FUZZ_PROGRAMS)): $(B)/libstack.a $(B)/liblwip.a
$(filter $(B)/fuzz/fuzz_service%,$(FUZZ_PROGRAMS)): $(B)/libservice.a $(B)/libstack.a $(B)/liblwip.a
$(filter $(B)/fuzz/fuzz_intercept%,$(FUZZ_PROGRAMS)): $(B)/libintercept.a
$(filter $(B)/fuzz/fuzz_tool%,$(FUZZ_PROGRAMS)): $(B)/libtool.a
$(FUZZ_PROGRAMS): $(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(B)/libfuzz.a $(COUNTERS) $(if $(FUZZ),,$(B)/obj/tests/fuzz/replay.o)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(if $(FUZZ),-fsanitize=fuzzer) -pie -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) \
	    -Wl,--end-group $(SERVICE_LIBS) -ljansson

# tests/lwip: lwIP's own unit tests, with lwIP's sources once more, by the options of tests/lwip/lwipopts.h. It has its parts that ours replace, too.
LWIP_TEST_PARTS = $(addprefix test/unit/, core/test_def.c core/test_mem.c core/test_netif.c core/test_pbuf.c dhcp/test_dhcp.c \
                    etharp/test_etharp.c ip4/test_ip4.c ip6/test_ip6.c tcp/tcp_helper.c tcp/test_tcp.c tcp/test_tcp_oos.c \
                    tcp/test_tcp_state.c udp/test_udp.c) \
                  $(addprefix src/,$(LWIP) core/raw.c core/timeouts.c core/ipv4/acd.c core/ipv6/dhcp6.c)
$(B)/lwip_test/%.o: $(LWIP_SRC)/%.c $(B)/flags tests/lwip/lwipopts.h stack/lwipopts.h | $(LWIP_SRC)/src
	$(call say,CC,lwip/$*.c)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(if $(SANITIZE),-fno-sanitize=shift) -w -Itests/lwip $(INCLUDE) -I$(LWIP_SRC)/test/unit -c -o $@ $<
$(B)/lwip_test/test_lwip.o: tests/lwip/test_lwip.c $(B)/flags tests/lwip/lwipopts.h stack/lwipopts.h | $(LWIP_SRC)/src
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(WARN) -Itests/lwip $(INCLUDE) -I$(LWIP_SRC)/test/unit -c -o $@ $<
$(B)/unit/lwip: $(B)/lwip_test/test_lwip.o $(LWIP_TEST_PARTS:%.c=$(B)/lwip_test/%.o) $(B)/obj/stack/small.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) -pie -o $@ $^ -lcheck -lsubunit -lm -lrt -lpthread
# Before they are fetched, make has to be told how they come to be there.
$(addprefix $(LWIP_SRC)/,$(filter test/%,$(LWIP_TEST_PARTS)) $(addprefix src/core/,raw.c timeouts.c ipv4/acd.c ipv6/dhcp6.c)): | $(LWIP_SRC)/src ;
unit: $(B)/unit/lwip

# For scripts that want to know a list of this file.
print-%:
	@echo $($*)

tests: unit platform oracle $(FAULTS) $(B)/segments/kernel $(B)/bench/traffic $(B)/bench/bound $(B)/bench/impair $(B)/bench/holder $(B)/bench/many ## the test programs

# The order is: packages, every build, then the tests.
check: ## everything, from the packages on; JOBS=N tests at a time (processors + 1)
	scripts/install-packages build demo deb test analyse
	$(MAKE) -j$(CORES) all tests
	$(MAKE) -j$(CORES) SAN=1 all unit fuzzers
	$(MAKE) -j$(CORES) TSAN=1 build/tsan/libintercept.so build/tsan/sidestackd
	$(MAKE) -j$(CORES) CC=clang B=$(B)/clang all tests
	tests/run

# With the calls of the service that fail (make faults), as these are the error paths.
coverage: ## how many lines those tests reach, in build/coverage; TESTS='unit/ nginx': by these as well, beside what ran before
	scripts/install-packages build demo test coverage
	$(MAKE) -j$(CORES) all tests
	$(MAKE) -j$(CORES) COVERAGE=1 all unit fuzzers
	$(if $(TESTS),,rm -rf build/coverage/profile)
	mkdir -p -m 777 build/coverage/profile
	COVERAGE=1 tests/run $(TESTS); status=$$?; $(if $(TESTS),,COVERAGE=1 tests/faults/run $(COVERED_FAULTS) || status=$$?;) \
	    tests/coverage/report && exit $$status
COVERED_FAULTS = $(foreach kind,0 1 2,start:$(kind) serve:$(kind))

soak: ## an hour of random programs, kills and trouble: no byte lost, nothing left over; TIME=seconds, SEED=N, KINDS='wrk_close idle': only this work
	scripts/install-packages build demo test
	$(MAKE) -j$(CORES) all $(B)/bench/holder
	tests/soak/run $(or $(TIME),3600) $(SEED)

# What depends on the kernel most.
VM_TESTS = 'platform/*' 'segments/*' unit/service_pair unit/service_sandbox unit/stack_wire oracle/accept oracle/flags oracle/descriptors apps/curl apps/wires

check-vm: ## some tests on Debian's own kernel, in a virtual machine; TESTS='unit/* apps/nginx': these
	scripts/install-packages build demo test vm
	$(MAKE) -j$(CORES) all tests
	$(MAKE) -j$(CORES) SAN=1 unit
	scripts/vm -t 3000 env JOBS=2 tests/run $(or $(TESTS),$(VM_TESTS))

fuzz: ## every fuzz target with the sanitizers, in turn, for TIME seconds each (60), the library's by AFL++ as well; TARGETS='fuzz_stack_frames': only these
	scripts/install-packages build fuzz
	$(MAKE) -j$(CORES) FUZZ=1 fuzzers
	$(MAKE) -j$(CORES) FUZZ=afl afl-fuzzers
	tests/fuzz/run $(or $(TIME),60) $(TARGETS)

valgrind: ## real programs on the stack, and the service, under valgrind; PROGRAMS='curl nginx': only these
	scripts/install-packages build demo test
	$(MAKE) -j$(CORES) all
	tests/valgrind/run $(PROGRAMS)

faults: ## each call site of the service and of the library fails once, in each way; RUNS='serve:0 sweep-library:1': only these (tests/faults/run)
	scripts/install-packages build demo test
	$(MAKE) -j$(CORES) all $(FAULTS)
	$(MAKE) -j$(CORES) SAN=1 all
	tests/faults/run $(RUNS)

# ---- Static analysis ----
# Each tool sees one source at a time and leaves a stamp when it has nothing to say, so that a second run looks at what changed.
# scripts/cppcheck-suppressions and .clang-tidy say what is not asked for.

CPPCHECK = cppcheck -q --std=c11 --enable=warning,portability,performance --library=posix,gnu --inline-suppr --error-exitcode=1 \
               --suppressions-list=scripts/cppcheck-suppressions -D__linux__ -D__$(shell uname -m)__ -D_GNU_SOURCE $(INCLUDE) $(DEFINE) \
               $(addprefix --include=,$(firstword $(wildcard /usr/include/*/sys/queue.h /usr/include/sys/queue.h)))

# TIDY=shallow: functions by themselves, in a tenth of the time (`make check`).
CLANG_TIDY = clang-tidy --quiet
TIDY_MODE  = $(if $(filter shallow,$(TIDY)),-Xclang -analyzer-config -Xclang mode=shallow)

# gcc 12 loses sight of memory that goes to a list, or is known by a pointer into its middle, and of what memset() and the kernel write: the
# leaks and uninitialised values that it finds are none, and others look for those (-Wall, clang-tidy, the sanitizers, valgrind). What it
# finds must not depend on where it was loaded, hence setarch.
GCC_ANALYZER = setarch -R gcc $(BASE) $(WARN) $(INCLUDE) $(DEFINE) -fanalyzer -Wno-analyzer-malloc-leak \
                   -Wno-analyzer-use-of-uninitialized-value

analyse: ## cppcheck, clang-tidy and gcc -fanalyzer over each source
	scripts/install-packages build analyse
	$(Q)$(MAKE) --no-print-directory -k -j$(CORES) analyse-cppcheck analyse-gcc analyse-tidy
analyse-cppcheck: $(SOURCES:%.c=$(B)/analyse/%.cppcheck)
analyse-gcc: $(SOURCES:%.c=$(B)/analyse/%.gcc)
analyse-tidy: $(SOURCES:%.c=$(B)/analyse/%.$(if $(TIDY_MODE),shallow,tidy))

$(B)/analyse/%.cppcheck: %.c scripts/cppcheck-suppressions Makefile | $(LWIP_SRC)/src
	$(call say,CPPCHECK,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(INCLUDE) $(DEFINE) -MM -MP -MT $@ -MF $@.d $<
	$(Q)$(CPPCHECK) $< && touch $@

$(B)/analyse/%.gcc: %.c Makefile | $(LWIP_SRC)/src
	$(call say,ANALYZE,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(GCC_ANALYZER) -MMD -MP -MT $@ -MF $@.d -S -o /dev/null $<
	$(Q)touch $@

# It counts on stderr the warnings that it doesn't show.
define tidy
	$(call say,TIDY,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(INCLUDE) $(DEFINE) -MM -MP -MT $@ -MF $@.d $<
	$(Q)$(CLANG_TIDY) $< -- -std=gnu17 -D_GNU_SOURCE -O2 $(INCLUDE) $(DEFINE) $(TIDY_MODE) 2>$@.log || { cat $@.log >&2; exit 1; }
	$(Q)touch $@
endef
$(B)/analyse/%.tidy: %.c .clang-tidy Makefile | $(LWIP_SRC)/src
	$(tidy)
$(B)/analyse/%.shallow: %.c .clang-tidy Makefile | $(LWIP_SRC)/src
	$(tidy)

demo: ## an unmodified curl and nginx on a stack of their own, with a summary
	scripts/install-packages build demo
	$(MAKE) -j$(CORES) all
	scripts/demo

demo-user: all ## the same with no privilege at all: libslirp is the way out; needs libvdeplug-slirp
	scripts/demo-user

demo-machines: all ## one network of stacks over three machines (namespaces), by VXLAN
	scripts/demo-machines

bench: ## speed against the kernel's stack and others; QUICK=1: the main rows; ROWS='bulk nginx': only these
	scripts/install-packages build demo test bench
	$(MAKE) -j$(CORES) all $(B)/bench/traffic $(B)/bench/bound
	tests/bench/run $(ROWS)

bench-scale: ## what connections cost by how many there are, against the kernel's; QUICK=1: up to 10 000; COUNTS='10 1000': so many
	scripts/install-packages build demo test bench vm
	$(MAKE) -j$(CORES) all $(B)/bench/holder $(B)/bench/many
	tests/bench/scale $(COUNTS)
	$(B)/bench/many $(or $(COUNTS),10 1000 10000 50000 100000)

bench-wan: ## throughput over bad networks against the kernel's; QUICK=1: a few points
	scripts/install-packages build demo test
	$(MAKE) -j$(CORES) all $(B)/bench/traffic $(B)/bench/impair
	tests/bench/wan

suites: ## other people's test suites, on the kernel and here; SUITES='cpython tcl': only these
	scripts/install-packages build demo suites
	$(MAKE) -j$(CORES) all
	tests/suites/run $(SUITES)

# ---- Installing ----

install: all ## to PREFIX (/usr/local), under DESTDIR
	$(Q)$(MAKE) --no-print-directory install-files
install-files:
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)
	install -m 755 $(B)/sidestackd $(B)/sidestack $(DESTDIR)$(BINDIR)
	install -m 644 $(B)/libintercept.so $(DESTDIR)$(LIBDIR)
	install -m 755 $(HELPERS:%=$(B)/sidestack-%) $(DESTDIR)$(LIBDIR)
	install -D -m 644 -t $(DESTDIR)$(COMPLETION) scripts/completion/sidestack
	ln -sf sidestack $(DESTDIR)$(COMPLETION)/sidestackd
	for page in docs/man/*; do install -D -m 644 -t $(DESTDIR)$(MANDIR)/man$${page##*.} $$page; done

uninstall: ## what install put there
	rm -f $(DESTDIR)$(BINDIR)/sidestackd $(DESTDIR)$(BINDIR)/sidestack $(DESTDIR)$(LIBDIR)/libintercept.so \
	    $(HELPERS:%=$(DESTDIR)$(LIBDIR)/sidestack-%)
	rm -f $(addprefix $(DESTDIR)$(COMPLETION)/,sidestack sidestackd)
	for page in docs/man/*; do rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done
	-rmdir $(DESTDIR)$(LIBDIR)

deb: ## the Debian package, in build/deb
	scripts/install-packages build deb
	$(MAKE) -j$(CORES) all
	scripts/deb/build $(B) $(VERSION)

# clean keeps the lwIP that was fetched, so that what follows needs no network; distclean removes that as well.
clean: ## all that was built
	$(Q)if [ -d $(B) ]; then find $(B) -mindepth 1 -maxdepth 1 ! -name lwip ! -name cache -exec rm -rf {} +; fi
distclean: ## the fetched lwIP as well
	$(Q)rm -rf build

help: ## this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12
	@printf '%s\n' '' 'CC=clang    another compiler' 'V=1         show each command' 'B=DIR       build in DIR' \
	    'LWIP_SRC=D  the lwIP that you have (D holds src/core)' 'SAN=1       with sanitizers, in build/asan'

.DELETE_ON_ERROR:
.PHONY: all unit platform oracle fuzzers afl-fuzzers tests check check-vm coverage soak fuzz faults valgrind analyse analyse-cppcheck analyse-gcc analyse-tidy demo demo-user demo-machines bench bench-scale bench-wan suites deb install install-files \
    uninstall clean distclean help

DEPENDENCIES = $(wildcard $(B)/obj $(B)/analyse)
-include $(if $(DEPENDENCIES),$(shell find $(DEPENDENCIES) -name '*.d'))
