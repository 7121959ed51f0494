# Weir: `make run` boots the main job in an emulator, `make test` passes the tests. See README.md.

export RUSTUP_TOOLCHAIN := $(shell sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
# build-std and the loader's stages need unstable flags of a stable toolchain. One environment for all
# calls of cargo: changing it would build everything again.
export RUSTC_BOOTSTRAP := 1
export CARGO_UNSTABLE_JSON_TARGET_SPEC := true
# The loader's build script runs cargo; in one target folder it would wait for itself for ever.
unexport CARGO_TARGET_DIR

STD := -Zbuild-std=core,alloc,compiler_builtins -Zbuild-std-features=compiler-builtins-mem
# What runs on bare metal is optimised as a whole: Weir takes 5 to 11 % fewer instructions for a frame. The tools of the host
# would gain nothing, and take longer to link.
WHOLE := --config 'profile.release.lto="fat"'
BARE := --release --target x86_64-hv.json $(STD) $(WHOLE)
EFI := --release --target x86_64-unknown-uefi $(STD)
# boot is checked and tested as it is used, since the loader takes minutes to build for each profile.
HOST := --workspace --exclude weir --exclude weir-uefi --exclude weir-bzimage --exclude micro --exclude boot
# Lints that tests are exempt from.
TEST_CASTS := $(addprefix -A clippy::cast_,possible_truncation sign_loss possible_wrap lossless)
CONFIG ?= boot/examples/one-guest.toml
# Which emulator, where the choice is not left to the tools: see docs/emulators.md.
export ACCEL
KERNEL := target/x86_64-hv/release/weir
STAGE := target/x86_64-unknown-uefi/release/weir-uefi.efi
BIOS_STAGE := target/x86_64-hv/release/weir-bzimage
BOOT := target/release/boot
IMAGES := target/images
DENY_VERSION := 0.20.2
DENY := target/tools/bin/cargo-deny
# ADVISORIES=1 asks the advisory database as well, which takes a way to GitHub.
DENY_CHECKS := --all-features $(if $(ADVISORIES),,--offline) check $(if $(ADVISORIES),advisories) licenses bans sources

.PHONY: help setup kernel stage micro boot traffic guest disk build image run host-test end-to-end one bench host-bench figures test nested check \
	lint docs deny clean

help:
	@echo 'make run      boot CONFIG ($(CONFIG)) in an emulator, its console here; Ctrl-] then ? prints keys'
	@echo 'make test     all tests: host, then emulated machines'
	@echo '              ACCEL= chooses the emulator: kvm, qemu-svm, bochs-vtx, bochs-svm (a list for make test)'
	@echo 'make one      the end-to-end test TEST=NAME (or a part of the name), with its console; without TEST, all names'
	@echo '              GDB=1 stops its machine at the first instruction and prints how to attach a debugger'
	@echo 'make check    format, rules of tests/house, lints, documentation, host tests'
	@echo "make bench    Weir's costs in instructions, also in docs/figures.txt; BENCH=GROUP prints some of them"
	@echo 'make host-bench  times the crates that frames pass on this host; BENCH=NAME some of them'
	@echo 'make figures  copies docs/figures.txt, which make bench writes, into docs/performance.md'
	@echo 'make nested   the end-to-end tests under nested KVM, in emulated machines of both vendors: an hour or more'
	@echo '              VENDOR=svm or vtx, TEST=: parts of the names of tests'
	@echo 'make deny     licences, origin and duplicates of the packages used; builds cargo-deny first, which takes minutes'
	@echo 'make image    BIOS and UEFI disk images and files for network boot of CONFIG in $(IMAGES)'
	@echo 'make disk     the guest of boot/examples/disk.toml, whose root is a disk on the network: see docs/disks.md'
	@echo 'make setup    what the others need; they call it themselves'
	@echo 'make clean    remove everything built or downloaded'

setup:
	@sh boot/setup.sh

kernel: setup
	@cargo build -q -p weir $(BARE)

stage: setup
	@cargo build -q -p weir-uefi $(EFI)
	@cargo build -q -p weir-bzimage $(BARE)

micro: setup
	@cargo build -q -p micro $(BARE)

boot: setup
	@cargo build -q --release -p boot

traffic: setup
	@RUSTFLAGS='-C target-feature=+crt-static -C strip=symbols' cargo build -q --release -p end-to-end --bin weir-traffic \
		--target x86_64-unknown-linux-gnu

guest: traffic
	@sh guest-images/linux/build.sh target/guest/linux target/x86_64-unknown-linux-gnu/release/weir-traffic

disk: guest
	@sh guest-images/disk/build.sh target/guest/disk target/guest/linux

build: kernel stage micro boot guest

image: kernel stage boot guest
	@$(BOOT) image $(CONFIG) --kernel $(KERNEL) --stage $(STAGE) --bios-stage $(BIOS_STAGE) --out $(IMAGES)

run: kernel boot guest
	@$(BOOT) image $(CONFIG) --kernel $(KERNEL) --out $(IMAGES) --bios
	@cargo run -q --release -p end-to-end --bin run -- $(IMAGES) --config $(CONFIG)

host-test: setup
	@cargo test -q $(HOST)
	@cargo test -q --release -p boot
	@cargo test -q -p micro --lib
	@cargo test -q -p weir

end-to-end: build
	@cargo test -q --release -p end-to-end --test end_to_end

# On the fastest backend, unless ACCEL names others.
one: $(if $(TEST),build,setup) $(if $(findstring a_guests_disk,$(TEST)),disk)
	@ACCEL="$${ACCEL:-$(if $(TEST),fastest)}" WEIR_SHOW_CONSOLE=1 $(if $(filter-out 0,$(GDB)),WEIR_DEBUG=1) \
		cargo test -q --release -p end-to-end --test end_to_end -- $(or $(TEST),--list)

bench: kernel micro boot guest
	@cargo run -q --release -p end-to-end --bin bench -- $(BENCH)

# Of the host's time, for comparing two states of the code on one quiet machine: nothing asserts on it.
host-bench: setup
	@cargo bench -q -p path -p nic -p vnic --bench '*' -- $(BENCH)

figures: setup
	@cargo run -q -p house -- --write-figures

test: build
	@sh tests/run.sh

# The programs are linked statically, since the emulated machine has Debian 12's libraries.
nested: build
	@RUSTFLAGS='-C target-feature=+crt-static' cargo build -q --release -p boot --target x86_64-unknown-linux-gnu
	@RUSTFLAGS='-C target-feature=+crt-static' cargo test --no-run --release -p end-to-end --test end_to_end \
		--target x86_64-unknown-linux-gnu 2>&1 | sed -n 's/^ *Executable.*(\(.*\))$$/\1/p' >target/nested-suite
	@sh tests/nested/build.sh target/nested "$$(cat target/nested-suite)"
	@for vendor in $(or $(VENDOR),svm vtx); do sh tests/nested/nested.sh target/nested $$vendor $(TEST) || exit 1; done

# Packages are looked at as well where the tool is there already.
check: lint host-test
	@if [ -x $(DENY) ]; then $(DENY) $(DENY_CHECKS); else echo 'packages not checked: make deny builds the tool'; fi

lint: setup
	@cargo fmt --all --check
	@cargo run -q -p house
	@cargo clippy -q $(HOST) -- -D warnings
	@cargo clippy -q $(HOST) --all-targets -- -D warnings $(TEST_CASTS)
	@cargo clippy -q -p end-to-end --test end_to_end -- -D warnings $(TEST_CASTS)
	@cargo clippy -q --release -p boot -- -D warnings
	@cargo clippy -q --release -p boot --all-targets -- -D warnings $(TEST_CASTS)
	@cargo clippy -q -p weir $(BARE) -- -D warnings
	@cargo clippy -q -p weir-uefi $(EFI) -- -D warnings
	@cargo clippy -q -p weir-bzimage $(BARE) -- -D warnings
	@cargo clippy -q -p micro $(BARE) -- -D warnings
	@$(MAKE) -s docs

docs: setup
	@RUSTDOCFLAGS='-D warnings' cargo doc -q --no-deps $(HOST)
	@RUSTDOCFLAGS='-D warnings' cargo doc -q --no-deps --release -p boot
	@RUSTDOCFLAGS='-D warnings' cargo doc -q --no-deps -p micro --lib
	@RUSTDOCFLAGS='-D warnings' cargo doc -q --no-deps -p weir --document-private-items

deny: setup
	@[ -x $(DENY) ] || cargo install -q cargo-deny --locked --version $(DENY_VERSION) --no-default-features --root target/tools \
		--target-dir target/tools/build
	@$(DENY) $(DENY_CHECKS)

clean:
	rm -rf target
