# make                  optimised build: build/coordd, build/coordctl
# make run | make test  install what is missing, build, serve | run every test
# make VARIANT=asan     another build: release debug asan tsan fuzz cov older
# make help             every target
#
# Sources, tests and programs are found by folder: adding a file edits no list. Each variant has
# its own folder, so sanitized and plain objects never mix.
VARIANT ?= release
BUILD   := build/$(VARIANT)
PREFIX  ?= /usr/local
SHARE    = $(DESTDIR)$(PREFIX)/share
MANUAL   = cmd/coordd/packaging/manual.sh
Q       := $(if $(V),,@)
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.DEFAULT_GOAL := all

ifeq ($(origin CC),default)
CC := gcc
endif
PKG_CONFIG   ?= pkg-config
INSTALL_DEPS := cmd/coordd/packaging/install-deps.sh
PKGS         := libuv sqlite3 jansson libnghttp2 libprotobuf-c libssl libcrypto ldns
CTL_PKGS     := libedit
TEST_PKGS    := check

OPT_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
# A build that knows one feature level less: what upgrades are tried from.
OPT_older   := $(OPT_release) -DFEATURE_LEVEL=1
OPT_debug   := -O1 -g3
OPT_asan    := -O1 -g3 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan    := -O1 -g3 -fsanitize=thread -fno-omit-frame-pointer
OPT_fuzz    := -O1 -g3 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
OPT_cov     := -O0 -g3 --coverage
OPT         := $(OPT_$(VARIANT))
$(if $(OPT),,$(error unknown VARIANT '$(VARIANT)': release debug asan tsan fuzz cov older))
ifeq ($(VARIANT),fuzz)
CC := clang
endif

# --- libraries ------------------------------------------------------------------------------
# Targets that install what is missing, or need no library, skip the check. Those that install
# first then call make again for the real work, and that call checks.
SELF_SUFFICIENT := deps run test unit sim demo-search mutants cluster faults compat bench bench-failover bench-locks bench-peers bench-growth bench-shards soak fuzz cov lint format clean help
ifneq ($(filter-out $(SELF_SUFFICIENT),$(or $(MAKECMDGOALS),all)),)
$(if $(shell command -v $(PKG_CONFIG)),,$(error no $(PKG_CONFIG) -- run 'make deps', or see docs/building.md))
MISSING := $(shell $(PKG_CONFIG) --print-errors --exists $(PKGS) $(CTL_PKGS) $(TEST_PKGS) 2>&1)
$(if $(MISSING),$(error $(MISSING) -- run 'make deps', or see docs/building.md))
HASH := \#
# Asked twice, of pkg-config and of the header the compiler sees, as these can differ.
RAFT_PC := $(shell $(PKG_CONFIG) --modversion raft 2>/dev/null || echo none)
RAFT_H  := $(shell printf '%s\n' '$(HASH)include <raft.h>' \
    'raft_h RAFT_VERSION_MAJOR RAFT_VERSION_MINOR RAFT_VERSION_RELEASE' | \
    $(CC) -E -P $(shell $(PKG_CONFIG) --cflags raft 2>/dev/null) - 2>/dev/null | \
    sed -n 's/^raft_h \([0-9]*\) \([0-9]*\) \([0-9]*\)$$/\1.\2.\3/p')
ifneq ($(RAFT_PC) $(RAFT_H),0.22.1 0.22.1)
$(error coord needs libraft 0.22.1 exactly, found: $(RAFT_PC) (raft.h: $(or $(RAFT_H),none)). Version 0.15.0 loses \
acknowledged writes, and other versions change who owns the memory handed over, so none of them \
will do. Run 'make deps' to install the right one, or see docs/building.md)
endif
endif
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags raft $(PKGS) $(CTL_PKGS) $(TEST_PKGS) 2>/dev/null)
# libraft is named as a file, so that its code and not its soname ends up in coordd.
RAFT_LIBS  := $(shell $(PKG_CONFIG) --libs-only-L raft 2>/dev/null) -l:libraft.a
PKG_LIBS   := $(RAFT_LIBS) $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null) -lpthread -lm
# What a program is linked with besides.
LIBS_coordctl := $(shell $(PKG_CONFIG) --libs $(CTL_PKGS) 2>/dev/null)
TEST_LIBS  := $(shell $(PKG_CONFIG) --libs $(TEST_PKGS) 2>/dev/null)

# --- flags ----------------------------------------------------------------------------------
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wformat=2 -Wundef -Wcast-qual -Wwrite-strings -Wimplicit-fallthrough -Wvla
ifeq ($(findstring clang,$(CC)),)
# Messages that do not fit their buffer are cut on purpose, and which of these gcc notices depends
# on how far it happens to inline.
WARN += -Wno-format-truncation
else
# clang also looks at what macros of system headers do, and reads no "fall through".
WARN += -Wno-cast-qual -Wno-implicit-fallthrough
endif
# -iquote, never -I: our raft/ must not shadow libraft's own <raft/...> headers.
CPPFLAGS_ALL := -std=c17 -D_POSIX_C_SOURCE=200809L -iquote . -iquote $(BUILD)/gen -MMD -MP $(CPPFLAGS)
CFLAGS_ALL   := $(OPT) $(WARN) $(WERROR) $(PKG_CFLAGS) $(CFLAGS)
LDFLAGS_ALL  := $(OPT) $(LDFLAGS)

# --- what there is --------------------------------------------------------------------------
MODULES  := base lease plan recipes store watch raft net client cmd/coordctl/load cmd/coordctl/text
PROGRAMS := $(patsubst cmd/%/main.c,%,$(wildcard cmd/*/main.c))
src  = $(shell find $(1) -name '*.c' 2>/dev/null | LC_ALL=C sort)
objs = $(patsubst %.c,$(BUILD)/%.o,$(1))
GEN       := $(BUILD)/gen
PROTO     := $(shell cd proto 2>/dev/null && find . -name '*.proto' | sed 's,^\./,,' | LC_ALL=C sort)
PROTO_OBJ := $(PROTO:%.proto=$(GEN)/%.pb-c.o)
DESC_OBJ  := $(if $(PROTO),$(GEN)/proto/descriptors.o)
CORE      := $(BUILD)/core.a
CORE_OBJ  := $(call objs,$(call src,$(MODULES))) $(PROTO_OBJ) $(DESC_OBJ)
HEADERS   := client core nodes sessions watches grants backup locks elections barriers counters acls discovery shards streams methods uv # as installed
LIBCOORD  := $(BUILD)/libcoord.a
LIB_OBJ   := $(call objs,$(call src,base client) $(wildcard net/http2.c net/block_meter.c net/grpc/frame.c)) $(PROTO_OBJ)
# The number grows with whatever a program that was linked before cannot live with.
SONAME    := libcoord.so.0
SHARED    := $(if $(filter release debug,$(VARIANT)),$(BUILD)/$(SONAME))
PURE_OBJ  := $(call objs,$(call src,store lease plan recipes))
UNIT      := $(patsubst %.c,$(BUILD)/%,$(call src,tests/unit))
FUZZ      := $(patsubst %.c,$(BUILD)/%,$(if $(TARGETS),$(TARGETS:%=tests/fuzz/fuzz_%.c),$(call src,tests/fuzz)))
BENCH     := $(patsubst %.c,$(BUILD)/%,$(call src,tests/bench))
CLUSTER   := $(patsubst %.c,$(BUILD)/%,$(call src,tests/cluster))
FAULTS    := $(addprefix $(BUILD)/tests/faults/,clients/clients network/switch network/proxy preload.so)
SUPPORT   := $(BUILD)/support.a
SIM_SRC   := $(call src,tests/sim)
SIM       := $(if $(SIM_SRC),$(BUILD)/tests/sim/sim)
BINS      := $(PROGRAMS:%=$(BUILD)/%)
scripts    = $(shell find $(1) -maxdepth 1 -perm -u+x \( -name '*.sh' -o -name '*.py' \) 2>/dev/null | LC_ALL=C sort)

.PHONY: all programs links deps run test unit sim demo-search mutants cluster faults compat bench bench-failover bench-locks bench-peers bench-growth bench-shards soak fuzz cov lint \
        format install deb clean help FORCE do-test do-unit do-sim do-cluster do-faults do-compat \
        do-bench do-bench-failover do-bench-locks do-bench-peers do-bench-growth do-bench-shards do-soak do-fuzz do-cov do-lint
all: programs links $(SHARED) ## build the daemon, the command line client and libcoord
programs: $(BINS) $(LIBCOORD)
links: programs
	$(Q)for p in $(PROGRAMS); do ln -sfn $(VARIANT)/$$p build/$$p; done

# --- compiling ------------------------------------------------------------------------------
$(BUILD)/%.o: %.c | $(PROTO_OBJ:.o=.h)
	@echo "  CC    $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -c -o $@ $<

# Generated code is built without our warnings and never committed. Its headers call themselves
# system headers, as their initialiser macros cast const away where they are used. An RPC may have a
# name that C keeps for itself.
$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: proto/%.proto
	@echo "  PROTO $<"
	@mkdir -p $(@D)
	$(Q)protoc-c --proto_path=proto --c_out=$(GEN) $<
	$(Q)sed -i -e '1i #pragma GCC system_header' -e 's/(\*register)/(*register_)/' $(GEN)/$*.pb-c.h
$(GEN)/%.o: $(GEN)/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c17 $(OPT) -iquote . -iquote $(GEN) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

# Every message and service description in one FileDescriptorSet, for gRPC reflection.
$(GEN)/proto/all.protoset: $(PROTO:%=proto/%)
	@mkdir -p $(@D)
	$(Q)protoc --proto_path=proto --include_imports --descriptor_set_out=$@ $(PROTO)
$(GEN)/proto/descriptors.c: $(GEN)/proto/all.protoset
	@echo "  DESC  $@"
	$(Q){ echo '#include "proto/descriptors.h"'; \
	    echo 'const unsigned char coord_descriptors[] = {'; \
	    od -An -v -tu1 $< | sed 's/  *\([0-9][0-9]*\)/\1,/g'; \
	    echo '};'; \
	    echo 'const unsigned long coord_descriptors_size = sizeof coord_descriptors;'; } > $@

# Archives also depend on the list of their members, so that a deleted source leaves them.
define archive
$(1).list: FORCE
	@mkdir -p $$(@D); echo '$(2)' | cmp -s - $$@ || echo '$(2)' > $$@
$(1): $(2) $(1).list
	@echo "  AR    $$@"
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(eval $(call archive,$(CORE),$(CORE_OBJ)))
$(eval $(call archive,$(BUILD)/libcoord-parts.a,$(LIB_OBJ)))
$(eval $(call archive,$(SUPPORT),$(call objs,$(call src,tests/support))))

# libcoord is a guest: one object with just what it needs, and no names in it but those of $(HEADERS).
CLIENT_OBJ := $(call objs,$(call src,client))
$(LIBCOORD): $(CLIENT_OBJ) $(BUILD)/libcoord-parts.a
	@echo "  AR    $@"
	$(Q)$(CC) $(OPT) -r -nostdlib -o $(BUILD)/libcoord.o $^
	$(Q)objcopy --wildcard --keep-global-symbol='coord_[a-z]*' $(BUILD)/libcoord.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(BUILD)/libcoord.o

# The shared one is compiled apart, as it can be loaded anywhere, and shows what $(HEADERS) say.
PIC_OBJ := $(patsubst $(BUILD)/%,$(BUILD)/pic/%,$(LIB_OBJ))
LIBCOORD_LIBS = $(shell $(PKG_CONFIG) --libs libnghttp2 libprotobuf-c libssl libcrypto)
$(BUILD)/pic/%.o: %.c | $(PROTO_OBJ:.o=.h)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -fPIC -fvisibility=hidden -c -o $@ $<
$(BUILD)/pic/gen/%.o: $(GEN)/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c17 $(OPT) -fPIC -fvisibility=hidden -iquote . -iquote $(GEN) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<
$(eval $(call archive,$(BUILD)/libcoord-pic.a,$(PIC_OBJ)))
$(BUILD)/$(SONAME): $(patsubst $(BUILD)/%,$(BUILD)/pic/%,$(CLIENT_OBJ)) $(BUILD)/libcoord-pic.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -Wl,-soname,$(SONAME) -Wl,-z,defs -o $@ $^ $(LIBCOORD_LIBS)

define program
$(BUILD)/$(1): $(filter-out $(CORE_OBJ),$(call objs,$(call src,cmd/$(1)))) $(CORE)
	@echo "  LINK  $$@"
	$$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ $$(PKG_LIBS) $$(LIBS_$(1))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# Version stamp: rewritten only when the text changes, seen by one object only.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo unknown)
$(BUILD)/version.stamp: FORCE
	@mkdir -p $(@D); echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@
$(BUILD)/base/version.o $(BUILD)/pic/base/version.o: CPPFLAGS_ALL += -DCOORD_VERSION='"$(VERSION)"'
$(BUILD)/base/version.o $(BUILD)/pic/base/version.o: $(BUILD)/version.stamp

# --- tests ----------------------------------------------------------------------------------
# Every test program ends with the line "N passed, M failed"; tests/run.sh adds these up.
SEED         ?= 1
SEEDS        ?= 2000
FUZZ_SECONDS ?= 30
ROUNDS       ?= 20
SECONDS      ?= 8
TEST_LOGS    := $(BUILD)/test-logs
TEST_ENV     := CK_DEFAULT_TIMEOUT=60 COORD_BUILD=$(BUILD) COORDD=$(BUILD)/coordd COORDCTL=$(BUILD)/coordctl VARIANT=$(VARIANT)
# Two halves, for two cores.
SIM_HALF     := $(shell echo $$(( $(SEEDS) / 2 )))
SIM_RUNS      = $(if $(SIM),$(if $(filter-out 0,$(SIM_HALF)),'$(SIM) --seed $(SEED) --seeds $(SIM_HALF)') \
    '$(SIM) --seed $(shell echo $$(( $(SEED) + $(SIM_HALF) ))) --seeds $(shell echo $$(( $(SEEDS) - $(SIM_HALF) )))')

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(SUPPORT) $(CORE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) $(TEST_LIBS)
$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(SUPPORT) $(CORE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) $(TEST_LIBS)
$(BUILD)/tests/fuzz/fuzz_config: $(call objs,$(wildcard cmd/coordd/config*.c))
# Nodes over the simulator's disk, network and clock.
$(addprefix $(BUILD)/tests/fuzz/fuzz_,server peer): $(call objs,$(addprefix tests/sim/,cluster.c sim_disk.c sim_env.c sim_net.c world.c))
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(SUPPORT) $(CORE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^) $(PKG_LIBS) $(TEST_LIBS)
$(BUILD)/tests/cluster/%: $(BUILD)/tests/cluster/%.o $(LIBCOORD)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS)
# What fault rounds are made with: clients, the network, and what is loaded into coordd.
$(BUILD)/tests/faults/clients/clients: $(call objs,$(call src,tests/faults/clients)) $(CORE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS)
$(addprefix $(BUILD)/tests/faults/network/,switch proxy): %: %.o $(BUILD)/tests/faults/network/links.o $(CORE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS)
$(BUILD)/tests/faults/preload.so: tests/faults/preload.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(WARN) -Wno-pedantic $(WERROR) $(CFLAGS) -O2 -g -fPIC -shared -o $@ $< -ldl
$(BUILD)/tests/sim/sim: $(call objs,$(SIM_SRC)) $(SUPPORT) $(CORE)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) $(TEST_LIBS)
# The simulator with bug MUTANT of base/mutant.h planted: MUTANT_SOURCES are compiled with it, and
# what they define keeps the archive's own members out.
.PHONY: sim-mutant
sim-mutant: $(SIM)
	@mkdir -p build/mutant/$(MUTANT)
	$(Q)$(CC) $(CPPFLAGS_ALL) -DMUTANT=$(MUTANT) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o build/mutant/$(MUTANT)/sim \
	    $(MUTANT_SOURCES) $(call objs,$(SIM_SRC)) $(SUPPORT) $(CORE) $(PKG_LIBS) $(TEST_LIBS)

# Likewise unit test MUTANT_TEST: $(BUILD)/tests/unit/MUTANT_TEST is made with it planted.
.PHONY: unit-mutant
unit-mutant: $(BUILD)/tests/unit/$(MUTANT_TEST)
	@mkdir -p build/mutant/$(MUTANT)
	$(Q)$(CC) $(CPPFLAGS_ALL) -DMUTANT=$(MUTANT) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o build/mutant/$(MUTANT)/unit \
	    $(MUTANT_SOURCES) $(BUILD)/tests/unit/$(MUTANT_TEST).o $(SUPPORT) $(CORE) $(PKG_LIBS) $(TEST_LIBS)

# The real work of the targets below, on every core unless the caller said how many.
SUBMAKE = $(MAKE) $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

deps: ## install the Debian packages that are missing; changes nothing when none is
	$(Q)$(INSTALL_DEPS) --check >/dev/null 2>&1 || $(INSTALL_DEPS)
run: deps ## install what is missing, build, start one node in the foreground
	$(Q)$(SUBMAKE) all
	$(Q)exec build/coordd $(ARGS)
test: deps ## install what is missing, build, run unit, simulation and cluster tests
	$(Q)$(SUBMAKE) do-test
unit: deps ## one Check program per source file
	$(Q)$(SUBMAKE) do-unit
sim: deps ## SEEDS simulated clusters from SEED on
	$(Q)$(SUBMAKE) do-sim
cluster: deps ## real processes, killed and cut off
	$(Q)$(SUBMAKE) do-cluster
faults: ## ROUNDS rounds of SECONDS of real faults from SEED on, and what checkers say
	$(Q)$(INSTALL_DEPS) --check --faults >/dev/null 2>&1 || $(INSTALL_DEPS) --faults
	$(Q)$(SUBMAKE) do-faults
demo-search: deps ## a search cluster on a shard map, of which members and nodes are killed
	$(Q)$(SUBMAKE) all
	$(Q)$(TEST_ENV) tests/cluster/demo_search.py
mutants: deps ## planted bugs, each of which the simulator must catch
	$(Q)tests/sim/mutants.sh
compat: ## foreign gRPC and ZooKeeper clients; TARGET=zookeeper: the latter at ZooKeeper itself
	$(Q)$(INSTALL_DEPS) --check --compat >/dev/null 2>&1 || $(INSTALL_DEPS) --compat
	$(Q)$(SUBMAKE) do-compat
bench: ## throughput, latency, watches, sessions, memory, failover; JSON lines
	$(Q)$(INSTALL_DEPS) --check --bench >/dev/null 2>&1 || $(INSTALL_DEPS) --bench
	$(Q)$(SUBMAKE) do-bench
bench-failover: ## FAILOVERS=100 times kill -9 of a leader: how long until the next write
	$(Q)$(SUBMAKE) do-bench-failover
bench-locks: ## pairs of acquire and release, hand-over of one lock; JSON lines
	$(Q)$(SUBMAKE) do-bench-locks
bench-peers: ## coord, etcd and ZooKeeper side by side; QUICK=1: a few minutes; into OUT=build/peers
	$(Q)$(INSTALL_DEPS) --check --bench >/dev/null 2>&1 || $(INSTALL_DEPS) --bench
	$(Q)$(SUBMAKE) do-bench-peers
bench-growth: ## what a request costs with more members, nodes, watches, sessions, larger values
	$(Q)$(SUBMAKE) do-bench-growth
bench-shards: ## a large shard map: plans, what subscribers are sent, failover; QUICK=1: a smaller one
	$(Q)$(SUBMAKE) do-bench-shards
soak: ## three nodes under varied load for HOURS: what grows that should not
	$(Q)$(SUBMAKE) do-soak
fuzz: ## decoders under libFuzzer for FUZZ_SECONDS each; TARGETS="http store": these only
	$(Q)$(INSTALL_DEPS) --check --fuzz >/dev/null 2>&1 || $(INSTALL_DEPS) --fuzz
	$(Q)$(SUBMAKE) VARIANT=fuzz do-fuzz
cov: deps ## line coverage of unit tests and simulation, per file
	$(Q)$(SUBMAKE) VARIANT=cov do-cov

# Only the optimised build moves build/coordd, so testing a sanitized one leaves it alone.
do-test: $(if $(filter release,$(VARIANT)),all,programs) $(UNIT) $(SIM) $(CLUSTER) $(FAULTS)
	$(Q)$(TEST_ENV) tests/run.sh $(TEST_LOGS) $(UNIT) $(SIM_RUNS) -- $(call scripts,tests/cluster tests/faults)
do-unit: $(UNIT)
	$(Q)$(TEST_ENV) tests/run.sh $(TEST_LOGS) $(UNIT) --
do-sim: $(SIM)
	$(Q)$(or $(SIM),$(error there is no tests/sim)) --seed $(SEED) --seeds $(SEEDS) --jobs $(shell nproc)
do-cluster: programs $(CLUSTER) $(FAULTS)
	$(Q)$(TEST_ENV) tests/run.sh $(TEST_LOGS) -- $(call scripts,tests/cluster tests/faults)
do-faults: programs $(FAULTS)
	$(Q)$(TEST_ENV) ROUNDS=$(ROUNDS) SECONDS=$(SECONDS) SEED=$(SEED) python3 tests/faults/run.py
# What is expected of coord as of ZooKeeper is proven there with TARGET=zookeeper. Clients start slowly
# on a busy machine: all that is waited for may take some times longer.
do-compat: $(if $(filter zookeeper,$(TARGET)),,programs)
	$(Q)$(TEST_ENV) TARGET=$(TARGET) PATIENCE=$(or $(PATIENCE),3) tests/run.sh $(TEST_LOGS) -- $(if $(filter zookeeper,$(TARGET)), \
	    $(filter-out %/cross.py %/differential.py,$(call scripts,tests/compat/zookeeper)), \
	    $(call scripts,tests/compat) $(call scripts,tests/compat/zookeeper))
do-bench: programs $(BENCH)
	$(Q)$(TEST_ENV) tests/bench/run.py
do-bench-failover: programs
	$(Q)$(TEST_ENV) tests/bench/failover.py $(or $(FAILOVERS),100)
do-bench-locks: programs
	$(Q)$(TEST_ENV) tests/bench/run.py lock
do-bench-peers: programs
	$(Q)$(TEST_ENV) QUICK=$(QUICK) tests/bench/peers.py --out $(or $(OUT),build/peers) $(PARTS)
do-bench-growth: programs $(BUILD)/tests/bench/session_load
	$(Q)$(TEST_ENV) QUICK=$(QUICK) tests/bench/growth.py --out $(or $(OUT),build/growth.md) $(PARTS)
do-bench-shards: all $(BUILD)/tests/bench/plan_bench
	$(Q)$(TEST_ENV) QUICK=$(QUICK) tests/bench/shards.py
do-soak: programs
	$(Q)$(TEST_ENV) tests/bench/soak.py --hours $(or $(HOURS),1) --out $(or $(OUT),$(BUILD)/soak.jsonl)
do-fuzz: $(FUZZ)
	$(Q)$(TEST_ENV) tests/run.sh $(TEST_LOGS) $(FUZZ:%='tests/fuzz/run.sh % $(FUZZ_SECONDS)') --
do-cov: $(UNIT) $(SIM)
	$(Q)find $(BUILD) -name '*.gcda' -delete
	$(Q)$(TEST_ENV) tests/run.sh $(TEST_LOGS) $(UNIT) $(SIM_RUNS) --
	$(Q)find $(MODULES:%=$(BUILD)/%) -name '*.gcda' 2>/dev/null | xargs -r gcov -n -r 2>/dev/null | \
	    awk -F"'" '/^File/ { f = $$2 } /^Lines/ { print f, $$0 }' | sort

# --- care -----------------------------------------------------------------------------------
lint: ## layers, fences, purity, headers, static analysis, scripts, house style
	$(Q)$(INSTALL_DEPS) --check --lint >/dev/null 2>&1 || $(INSTALL_DEPS) --lint
	$(Q)$(SUBMAKE) VARIANT=release do-lint
do-lint: $(PURE_OBJ) $(PROTO_OBJ:.o=.h)
	$(Q)status=0; \
	tests/lint/layers.sh || status=1; \
	tests/lint/pure.sh $(PURE_OBJ) || status=1; \
	tests/lint/headers.sh $(CC) $(filter-out -MMD -MP -O% -D_FORTIFY%,$(CPPFLAGS_ALL) $(CFLAGS_ALL)) -Werror || status=1; \
	tests/lint/text.sh || status=1; \
	tests/lint/outcomes.sh || status=1; \
	tests/lint/analyse.sh || status=1; \
	exit $$status
	@echo "  LINT  ok"
format: ## rewrite sources with clang-format
	$(Q)git ls-files '*.[ch]' | xargs -r clang-format -i
install: all ## install under $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/coord
	install -m 755 $(BINS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(LIBCOORD) $(DESTDIR)$(PREFIX)/lib
	$(if $(SHARED),install -m 755 $(SHARED) $(DESTDIR)$(PREFIX)/lib)
	$(if $(SHARED),ln -sfn $(SONAME) $(DESTDIR)$(PREFIX)/lib/libcoord.so)
	install -m 644 $(HEADERS:%=client/%.h) $(DESTDIR)$(PREFIX)/include/coord
	@printf '%s\n' 'prefix=$(PREFIX)' 'Name: coord' 'Description: C client of coord' \
	    'Version: $(VERSION)' '$(if $(SHARED),Requires.private,Requires): libnghttp2 libprotobuf-c libssl libcrypto' \
	    'Libs: -L$${prefix}/lib -lcoord' 'Cflags: -I$${prefix}/include' \
	    >$(DESTDIR)$(PREFIX)/lib/pkgconfig/coord.pc
	install -D -m 644 cmd/coordctl/packaging/completion.bash $(SHARE)/bash-completion/completions/coordctl
	install -D -m 644 cmd/coordctl/packaging/completion.zsh $(SHARE)/zsh/vendor-completions/_coordctl
	install -D -m 644 cmd/coordctl/packaging/completion.fish $(SHARE)/fish/vendor_completions.d/coordctl.fish
	install -d $(SHARE)/man/man1 $(SHARE)/man/man3 $(SHARE)/man/man8 $(SHARE)/doc/coord
	$(MANUAL) cmd/coordd/packaging/coordd.8.in $(BUILD)/coordd '$(VERSION)' >$(SHARE)/man/man8/coordd.8
	$(MANUAL) cmd/coordctl/packaging/coordctl.1.in $(BUILD)/coordctl '$(VERSION)' >$(SHARE)/man/man1/coordctl.1
	$(MANUAL) client/libcoord.3.in - '$(VERSION)' >$(SHARE)/man/man3/libcoord.3
	cd docs && find . -type f ! -name .gitignore -exec install -D -m 644 {} $(abspath $(SHARE))/doc/coord/{} \;
deb: all ## Debian packages into build/deb
	$(Q)cmd/coordd/packaging/deb.sh build/deb '$(VERSION)'
clean: ## remove every build
	rm -rf build
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "%-15s %s\n",$$1,$$2}' $(MAKEFILE_LIST)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
