# Martlet. The verbs are those of CONTRIBUTING.md; every one sees to what it needs first.

SWIFT ?= swift
DEBUG_FLAGS := --explicit-target-dependency-import-check error
RELEASE_FLAGS := -c release --static-swift-stdlib
SWIFT_SOURCES := $(wildcard Sources Tests Plugins Package.swift)

# The crash reporter of a sanitized or fuzzed process waits on itself for ever.
export SWIFT_BACKTRACE := enable=no

.PHONY: build test lint unit deps clean

build: deps
	$(SWIFT) build $(RELEASE_FLAGS) --product martlet
	@echo "built .build/release/martlet"

deps:
	@.ci/deps build

lint:
	$(SWIFT) format lint --strict --recursive --parallel $(SWIFT_SOURCES)
	@echo "lint: clean"

unit: deps
	@.ci/deps test
	$(SWIFT) build --build-tests $(DEBUG_FLAGS)
	$(SWIFT) test $(DEBUG_FLAGS) --disable-xctest

test: lint unit build
	@echo "make test: every step passed"

clean:
	$(SWIFT) package clean
	rm -rf .build-fuzz bench-out
