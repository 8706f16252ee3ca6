# The front door. Each target works on a fresh Debian 12 or 13, as root or with sudo; the work is
# done by meson and by the scripts in tools/ and bench/, which can also be called directly.
.DEFAULT_GOAL := help
.PHONY: help run test test-all build bench fuzz crash-long sim-long soak bench-spool asan vm-test format check clean packages

PYTHON := /usr/bin/python3

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what is missing, build, start the demo gateway and send a few messages through it
	@tools/install build run
	@TARGETS=cli/postern tools/build
	@tools/demo

test: ## install what is missing, build, and run what must pass, in a quarter of an hour; CI=true: all
	@tools/install build run test
	@tools/test

test-all: ## and the sanitizers' stages, guests with kernel TLS, and every fuzzer for a moment
	@tools/install build run test
	@tools/test --all

build: ## install what is missing and build; the binary is build/cli/postern
	@tools/install build
	@tools/build

bench: ## all benches: other servers, limits, scaling... (docs/BENCHMARKS.md); BENCH=quick, SAVE=docs
	@tools/install build run test bench
	@tools/build build-bench --buildtype=release
	@bench/all $(if $(filter quick,$(BENCH)),--quick) $(if $(SAVE),--save $(SAVE))

bench-spool: ## measure the spool against a file for each message, and against the disk itself
	@tools/install build run test
	@tools/build build-bench --buildtype=release
	@bench/spool

fuzz: ## run every fuzzer for FUZZ_SECONDS (60) each
	@tools/install build test
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} tools/test fuzz

crash-long: ## cut the power CRASH_CUTS (2000000) times on the simulated disk: about half an hour
	@tools/install build test
	@tools/build
	@ninja -C build tests/crash/crash_test
	@build/tests/crash/crash_test --cuts $${CRASH_CUTS:-2000000}

sim-long: ## SIM_HISTORIES (100000) histories of the whole gateway in virtual time, from SIM_SEED on
	@tools/install build test
	@tools/build
	@ninja -C build tests/sim/sim
	@build/tests/sim/sim --progress --jobs $$(nproc) --seed $${SIM_SEED:-$$(date +%s)} \
		--histories $${SIM_HISTORIES:-100000}

soak: ## SOAK_SECONDS (3600) of mail with kills, reloads, full disks and a flapping next hop at once
	@tools/install build run test
	@tools/build build-bench --buildtype=release
	@bench/soak

asan: ## unit and all system tests under the address and undefined-behaviour sanitizers
	@tools/install build run test
	@ASAN_ROWS=$${ASAN_ROWS:-1} tools/test asan asan-system

vm-test: ## what wants kernel TLS, in guests that have it: kernels 6.1, 6.12 and the newest
	@tools/install build run test
	@tools/test vm

format: ## run clang-format over every C file
	@tools/install test
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

check: ## the house rules only: arrows, sizes, banned calls, headers, format
	@tools/install test
	@tools/check

packages: ## install everything that any target needs
	@tools/install build run test

clean: ## delete every build tree (fetched peers included)
	rm -rf build build-*
