# The bank on one machine. `make` alone prints what there is; every target sets up what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo up down status logs test quick check gen golden
.PHONY: simulate chaos chaos-saga fuzz bench bench-long

# The first Python 3.11+ that really runs (shims of version managers may be in PATH and fail). The
# distribution's own comes first: it is built with profiles, what a version manager compiles is
# mostly not, and the bank's Python then costs a tenth more CPU.
SYSTEM_PYTHON ?= $(shell for p in .venv/bin/python /usr/bin/python3 python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
PYTHON := .venv/bin/python
export PYTHONPATH := $(CURDIR):$(CURDIR)/gen

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[36mmake %-10s\033[0m %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## Check the machine, make .venv, copy Kafka's jars (quick when done)
	@test -n "$(SYSTEM_PYTHON)" || { echo "Missing: Python 3.11 or newer. Debian: sudo apt-get install -y python3 python3-venv openjdk-17-jre-headless maven make" >&2; exit 1; }
	@$(SYSTEM_PYTHON) sandbox/stack/setup.py run

setup-dev: setup ## The same, with the tools of `test` and `check`
	@$(SYSTEM_PYTHON) sandbox/stack/setup.py dev

demo: setup ## The story of a transfer, told by the running bank (exit code says whether it held)
	@$(PYTHON) -m sandbox.demo

up: setup ## Start the whole bank, or find what runs
	@$(PYTHON) -m sandbox.stack up

down: setup ## Drain and stop everything; data stays in .bp
	@$(PYTHON) -m sandbox.stack down

status: setup ## What runs, since when, and why not
	@$(PYTHON) -m sandbox.stack status

logs: ## Follow every process's log (NAME=payments for one)
	@tail -n 20 -F $${BP_HOME:-.bp}/logs/$(or $(NAME),*).log

# Two lanes side by side: the tests that use the session's stack, and all others. Each worker keeps
# the tests of its lane, which follows from their fixtures (tests/conftest.py). No percentages: xdist
# would count one lane for the whole.
LANES := -n 2 --dist each -o console_output_style=classic

test: setup-dev ## All tests, on real parts, with coverage (ARGS="tests/unit -k saga" for some)
	@$(PYTHON) -m coverage erase
	@COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml $(PYTHON) -m pytest $(or $(ARGS),$(LANES))
	@$(PYTHON) -m coverage combine -q
	@$(PYTHON) -m coverage report $(if $(ARGS),--fail-under=0)

quick: setup-dev ## The tests that start nothing (architecture, unit, golden), and the type check
	@$(PYTHON) -m pytest tests/architecture tests/unit tests/golden
	@$(PYTHON) -m tools.check types

check: setup-dev ## Style, types, imports, contracts; fails when generated files differ
	@$(PYTHON) -m tools.check $(ARGS)

gen: setup-dev ## Generate gen/, docs/openapi.json, diagrams and each schema.sql from proto/, code and migrations
	@$(PYTHON) -m tools.check.generate

golden: setup-dev ## Keep what today's code writes; review the difference
	@BP_GOLDEN_WRITE=1 $(PYTHON) -m pytest tests/golden

simulate: setup ## Live through a million simulated transfers under every fault (ARGS="--seed 7")
	@$(PYTHON) -m lab.simulator --transfers 1000000 $(ARGS)

chaos: setup ## Twenty schedules of faults by chance on a bank of its own (ARGS="--seed 7" for one)
	@$(PYTHON) -m lab.chaos $(ARGS)

chaos-saga: setup-dev ## Every commit of the saga under every fault, and shared commits: two minutes (part of `test`)
	@$(PYTHON) -m pytest tests/chaos/every_commit $(ARGS)

bench: setup ## Measure the bank in a quarter of an hour into .bp/reports/bench.json (ARGS=--quick: a minute)
	@$(PYTHON) -m lab.bench $(ARGS)

bench-long: setup ## The same with 10 million transfers, and half an hour of steady load
	@$(PYTHON) -m lab.bench --long $(ARGS)

fuzz: setup-dev ## Hostile input: 5,000 cases at the gateway, every RPC, then the judge (ARGS="--seed 7")
	@$(PYTHON) -m lab.fuzz $(ARGS)
