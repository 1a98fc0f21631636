# netp: every target works from a clean clone with Go and git; `make help` lists them.
SHELL := /bin/bash -o pipefail
GO ?= go
export CGO_ENABLED ?= 0
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The race detector needs a C compiler; without one the tests run without it.
RACE := $(shell command -v gcc > /dev/null && echo -race)
# One package brings up whole deployments again and again: more than the ten minutes that are usual.
TEST_FLAGS := -timeout 40m $(RACE)
TEST_ENV := $(if $(RACE),CGO_ENABLED=1)
# In CI: one line a package, and at the end what failed with what it printed, and nothing else.
SUMMED = $(GO) tool gotestsum --format pkgname --jsonfile .test
NONE_SKIPPED = ! grep -h '"Action":"skip".*"Test":' .test-*.json || { echo 'tests were skipped: install what they name'; exit 1; }
# Simulations and thousands of small suites, in one goroutine each: a race detector finds nothing there. In the lab it would
# slow down the emulator, whose times are measured.
PLAIN := ./testsuites/bench/... ./testsuites/conformance ./testsuites/lab/...
RACED = $(filter-out $(shell $(GO) list $(PLAIN) ./testsuites/interop/...),$(shell $(GO) list ./...))
CLOCKS := ./agent/clock ./agent/engine/... ./testsuites/interop/truth
SINKS := jsonl influxdb webhook postgres
SUITES := testsuites/quickstart $(wildcard testsuites/examples/*)

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 14

build: ## build ./netp
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o netp ./cmd/netp

plugins: ## build the bundled sinks, ./netp-sink-*, beside ./netp
	@for p in $(SINKS); do $(GO) build -trimpath -ldflags '-s -w' -o netp-sink-$$p ./plugins/$$p || exit 1; done

test: ## run all tests, with the race detector where there is a C compiler; with CI=true a skipped test is a failure
ifeq ($(CI),true)
	$(TEST_ENV) $(SUMMED)-raced.json -- $(TEST_FLAGS) $(RACED)
	$(SUMMED)-plain.json -- $(PLAIN)
	@$(NONE_SKIPPED)
else
	$(TEST_ENV) $(GO) test $(TEST_FLAGS) $(RACED)
	$(GO) test $(PLAIN)
endif

clocks: ## the tests with clocks that are wrong, which only a build with the tag netptest can have
	$(GO) vet -tags netptest $(CLOCKS)
ifeq ($(CI),true)
	$(SUMMED)-clocks.json -- -tags netptest -run 'Fault|Step|Answers' $(CLOCKS)
	@$(NONE_SKIPPED)
else
	$(GO) test -tags netptest -run 'Fault|Step|Answers' $(CLOCKS)
endif

check: fmt vet lint test clocks examples cross ## what CI runs

fmt: ## every file is gofmt'ed and every suite canonical
	@out=$$(gofmt -l .); test -z "$$out" || { echo "gofmt needed:"; echo "$$out"; exit 1; }
	$(GO) run ./cmd/netp fmt -check -recursive testsuites/quickstart testsuites/examples

vet: ## go vet
	$(GO) vet ./...

lint: ## staticcheck
	$(GO) tool staticcheck ./...

examples: ## validate and plan the quickstart and every example
	@for s in $(SUITES); do echo "== $$s"; \
	  $(GO) run ./cmd/netp validate $$s && $(GO) run ./cmd/netp plan -no-color $$s > /dev/null || exit 1; done

interop: ## compare netp's figures with ping, fping, irtt, iperf3 and a capture, side by side
	@for p in rtt udp tcp; do $(GO) run ./testsuites/interop/$$p || exit 1; done

truth: ## compare netp's figures, and other programs', with what truly happened on the path; as root, for twenty minutes
	$(GO) run -tags netptest ./testsuites/interop/truth

bench: ## netp beside the tools it replaces (IPERF3=PATH takes another iperf3), large plans, and how often verdicts are wrong
	@for p in speed plan judgement; do $(GO) run -trimpath -ldflags '-s -w' ./testsuites/bench/$$p || exit 1; done

cross: ## build for the other platforms
	@for p in linux/arm64 darwin/arm64 windows/amd64; do echo "== $$p"; \
	  GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -o /dev/null ./cmd/netp || exit 1; done

clean: ## remove what was built
	rm -rf netp netp-sink-* dist .test-*.json

.PHONY: help build plugins test check fmt vet lint clocks examples interop truth bench cross clean
