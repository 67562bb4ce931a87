# Martlet. The verbs are those of CONTRIBUTING.md; every one sees to what it needs first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

SWIFT ?= swift
DEBUG_FLAGS := --explicit-target-dependency-import-check error
RELEASE_FLAGS := -c release --static-swift-stdlib
SWIFT_SOURCES := $(wildcard Sources Tests Plugins Package.swift)

# The crash reporter of a sanitized or fuzzed process waits on itself for ever.
export SWIFT_BACKTRACE := enable=no

.PHONY: build demo test bench lint fuzz image unit counts deps clean

# Seconds that each fuzz target runs.
FUZZ_SECONDS ?= 20

build: deps
	$(SWIFT) build $(RELEASE_FLAGS) --product martlet
	@echo "built .build/release/martlet"

deps:
	@.ci/deps build

lint:
	$(SWIFT) format lint --strict --recursive --parallel $(SWIFT_SOURCES)
	@echo "lint: clean"

# One test at a time: many wait for the kernel or for peers, and the pool has two threads.
unit: deps
	@.ci/deps test
	$(SWIFT) build --build-tests $(DEBUG_FLAGS)
	$(SWIFT) test $(DEBUG_FLAGS) --disable-xctest --no-parallel 2>&1 | tee .build/unit.log
	@if grep -E '^[^A-Za-z]+ (Test|Suite) .* skipped' .build/unit.log; then \
	    echo "unit: a skipped test is a failure" >&2; exit 1; fi

counts: build
	@.ci/deps test
	python3 Tests/Benchmarks/counts.py
	python3 Tests/Benchmarks/streaming.py

fuzz: deps
	Tests/Fuzz/run $(FUZZ_SECONDS)

demo: build
	@.ci/deps test
	deploy/demo/run

bench: build
	@.ci/deps bench
	python3 Tests/Benchmarks/bench.py

image: build
	@.ci/deps image
	deploy/image

test: lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory fuzz
	@$(MAKE) --no-print-directory counts
	@DEMO_ONCE=1 $(MAKE) --no-print-directory demo
	@echo "make test: every step passed"

clean:
	$(SWIFT) package clean
	rm -rf .build-fuzz bench-out
