# What people and the CI run. Every target works from a clean clone.
.PHONY: help demo run test test-long test-system mutations mutants fuzz lint bench soak programs generated deb install tarball

# release, or dev for a package to try.
PROFILE ?= release
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
# The same commit gives the same package: its date and its name are the commit's, and no path of this machine is left in.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
COMMIT := $(shell git describe --always --abbrev=10 --exclude '*' --dirty=x 2>/dev/null)
# Where cargo builds. Asked for only by the targets that need it.
TARGET = $(eval TARGET := $(or $(CARGO_TARGET_DIR),$(shell cargo metadata --no-deps --format-version 1 2>/dev/null | \
	sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'),target))$(TARGET)
OUT = $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# The packages of the three programs; without the tests' own.
PACKAGES := -p orch-api -p orch-worker
# cargo-deb takes these from the checkout, wherever cargo builds.
GENERATED := target/generated
PROGRAMS := orch-api orch-worker orchctl
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
TARBALL := orch-$(VERSION)-linux-$(shell uname -m)

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## The whole product on this machine, with a scripted agent
	cargo build $(PACKAGES) --bins
	'$(TARGET)/debug/orchctl' demo

run: ## Both processes with your configuration
	cargo build $(PACKAGES) --bins
	'$(TARGET)/debug/orchctl' up

# The tests wait about as much as they compute: three for each core of a small machine.
test: export RUST_TEST_THREADS ?= 6
test: ## Every test of the workspace
	tests/needs.sh
	tests/run.sh cargo test --workspace

test-long: ## The whole crash matrix, random rounds and other tests of minutes
	tests/needs.sh long
	tests/run.sh cargo test --workspace -- --ignored

test-system: ## The package on a booted Debian of its own (root; debootstrap, systemd-nspawn)
	tests/system/run.sh

mutations: ## Breaks each rule of tests/mutations/list.toml, and sees its test fail (ONLY="words" for some)
	cargo run --quiet -p orch-tests --bin orch-mutations -- $(ONLY)

mutants: ## Changes the rules at random, and lists what no test notices (MINUTES=30 JOBS=1)
	tests/mutants.sh

fuzz: ## Mutated inputs for every parser of outside text (MINUTES=10 TARGETS="commands names" SEED=1)
	cargo run -p orch-tests --bin orch-fuzz -- $(TARGETS) --out '$(TARGET)/fuzz' $(if $(SEED),--seed $(SEED)) \
		--seconds $$(( $(or $(MINUTES),10) * 60 ))

bench: ## The figures of docs/PERFORMANCE.md on this machine (FIGURES="intake claims" for some)
	cargo build --release $(PACKAGES) -p orch-tests --bins
	'$(TARGET)/release/orch-bench' $(FIGURES) --json '$(TARGET)/bench/figures.json'

soak: ## Half an hour of webhooks and agents; nothing may grow (MINUTES=2 for a look)
	cargo build --release $(PACKAGES) -p orch-tests --bins
	'$(TARGET)/release/orch-bench' soak --soak-minutes $(or $(MINUTES),30) --json '$(TARGET)/bench/soak.json'

lint: ## Formatting and clippy; warnings are errors
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings

# A trial build keeps the flags of everyday builds, so that it is done in a moment.
ifneq ($(PROFILE),dev)
programs: export RUSTFLAGS := --remap-path-prefix=$(CURDIR)=/orch --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
programs: export ORCH_BUILD_COMMIT := $(COMMIT)
endif
programs:
	cargo build --locked --profile $(PROFILE) $(PACKAGES) --bins

generated: programs
	rm -rf $(GENERATED)
	mkdir -p $(GENERATED)/bash $(GENERATED)/zsh $(GENERATED)/fish
	$(OUT)/orchctl generate $(GENERATED)
	$(OUT)/orch-api --generate $(GENERATED)
	for name in $(PROGRAMS); do \
		mv $(GENERATED)/$$name.bash $(GENERATED)/bash/$$name && \
		mv $(GENERATED)/_$$name $(GENERATED)/zsh/ && mv $(GENERATED)/$$name.fish $(GENERATED)/fish/ || exit 1; \
	done
	sed 's/@VERSION@/$(VERSION)-1/; s/@DATE@/'"$$(date -u -R -d @$(or $(SOURCE_DATE_EPOCH),0))"'/' systemd/debian/changelog.in \
		> $(GENERATED)/changelog.Debian

deb: generated ## A Debian package, in target/debian (cargo install cargo-deb --locked)
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) cargo deb -p orch-worker --no-build --profile $(PROFILE) --strip $(DEB_OPTIONS)

install: ## Programs, units and pages, without a package: make install PREFIX=/usr/local
	@test -x $(OUT)/orchctl -a -d $(GENERATED)/bash || { echo "run \`make generated\` first (not as root)"; exit 1; }
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/systemd/system lib/sysusers.d lib/tmpfiles.d share/man/man1 \
		share/man/man8 share/doc/orch share/bash-completion/completions share/zsh/site-functions \
		share/fish/vendor_completions.d)
	install -m 755 $(addprefix $(OUT)/,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/bin/
	for unit in systemd/*.service systemd/*.socket systemd/*.target systemd/*.slice; do \
		sed 's|/usr/bin/|$(PREFIX)/bin/|; s|/etc/orch|$(SYSCONFDIR)/orch|' "$$unit" \
			> "$(DESTDIR)$(PREFIX)/lib/systemd/system/$$(basename "$$unit")" || exit 1; \
	done
	install -m 644 systemd/orch.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/orch.conf
	sed 's|/etc/orch|$(SYSCONFDIR)/orch|' systemd/orch.tmpfiles > $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/orch.conf
	install -m 644 README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE docs/*.md systemd/orch.toml $(DESTDIR)$(PREFIX)/share/doc/orch/
	install -m 644 $(GENERATED)/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 $(GENERATED)/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 $(GENERATED)/bash/* $(DESTDIR)$(PREFIX)/share/bash-completion/completions/
	install -m 644 $(GENERATED)/zsh/* $(DESTDIR)$(PREFIX)/share/zsh/site-functions/
	install -m 644 $(GENERATED)/fish/* $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/
	install -d -m 750 $(DESTDIR)$(SYSCONFDIR)/orch
	test -e $(DESTDIR)$(SYSCONFDIR)/orch/orch.toml || install -m 640 systemd/orch.toml $(DESTDIR)$(SYSCONFDIR)/orch/

# No more than the C library is asked of the machine that it is unpacked on. The configuration is not in it, as an example
# only: unpacking must not overwrite one.
tarball: generated ## The same for machines without a compiler, in target/: unpacked in /, INSTALL.md says how
	rm -rf target/tarball
	$(MAKE) --no-print-directory install PROFILE=$(PROFILE) PREFIX=/usr/local DESTDIR=target/tarball > /dev/null
	rm -r target/tarball/etc
	strip $(addprefix target/tarball/usr/local/bin/,$(PROGRAMS))
	tar --sort=name --mtime=@$(or $(SOURCE_DATE_EPOCH),0) --owner=0 --group=0 --numeric-owner --mode=go-w \
		-C target/tarball -c usr | gzip -9n > target/$(TARBALL).tar.gz
	rm -r target/tarball
	@echo target/$(TARBALL).tar.gz
