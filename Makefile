# The bank on one machine. `make` alone lists the targets; every target installs what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo up down status logs test quick check gen golden
.PHONY: simulate chaos chaos-saga fuzz bugs bench bench-long conformance

# The first Python 3.11+ that runs; a version manager's shim in PATH may fail. The distribution's
# Python comes first, because it is built with profile-guided optimisation. Version managers mostly
# compile Python without it, and the bank then uses a tenth more CPU.
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

demo: setup ## Show logins and transfers on the running bank (ARGS="--scene login" for one scene)
	@$(PYTHON) -m sandbox.demo $(ARGS)

up: setup ## Start the whole bank, or the parts that are not running
	@$(PYTHON) -m sandbox.stack up

down: setup ## Drain and stop everything; data stays in .bp
	@$(PYTHON) -m sandbox.stack down

status: setup ## Show each process: its state, and the reason when it is down
	@$(PYTHON) -m sandbox.stack status

logs: ## Follow every process's log (NAME=payments for one)
	@cd $${BP_HOME:-.bp}/logs; \
	test -z "$(NAME)" -o -f "$(NAME).log" || { echo "No log of $(NAME). The logs are:" *.log >&2; exit 1; }; \
	tail -n 20 -F $(or $(NAME),*).log

# Two lanes run in parallel: the tests that use the session's stack with the quick tests, and all
# others. tests/conftest.py decides the lane of a test, and each worker runs one. The classic style
# shows no percentages: xdist would take one lane for the total.
LANES := -n 2 --dist each -o console_output_style=classic

test: setup-dev ## Run all tests on real stores, with coverage (ARGS="tests/unit -k saga" for some)
	@$(PYTHON) -m coverage erase
	@COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml $(PYTHON) -m pytest $(or $(ARGS),$(LANES))
	@$(PYTHON) -m coverage combine -q
	@$(PYTHON) -m coverage report $(if $(ARGS),--fail-under=0)

quick: setup-dev ## Run the tests that need no running part (architecture, unit, golden) and the type check
	@$(PYTHON) -m pytest tests/architecture tests/unit tests/golden
	@$(PYTHON) -m tools.check types

check: setup-dev ## Check style, types, imports and contracts; fails when generated files differ
	@$(PYTHON) -m tools.check $(ARGS)

gen: setup-dev ## Generate gen/, docs/openapi.json, diagrams and each schema.sql from proto/, code and migrations
	@$(PYTHON) -m tools.check.generate

golden: setup-dev ## Rewrite the golden files from the code; review the diff
	@BP_GOLDEN_WRITE=1 $(PYTHON) -m pytest tests/golden

simulate: setup ## Simulate a million transfers under every fault (ARGS="--seed 7")
	@$(PYTHON) -m lab.simulator --transfers 1000000 $(ARGS)

chaos: setup ## Run twenty random fault schedules on a separate bank (ARGS="--seed 7" for one)
	@$(PYTHON) -m lab.chaos $(ARGS)

chaos-saga: setup-dev ## Test every commit of the saga under every fault; two minutes, part of `test`
	@$(PYTHON) -m pytest tests/chaos/every_commit $(ARGS)

bugs: setup-dev ## Reintroduce known bugs in a copy and check that tests find them (ARGS="put NAME" keeps the copy)
	@$(PYTHON) -m tools.bugs $(or $(ARGS),check --quick)

bench: setup ## Measure the bank for 15 minutes into .bp/reports/bench.json (ARGS=--quick: one minute)
	@$(PYTHON) -m lab.bench $(ARGS)

bench-long: setup ## As `bench`, with 10 million transfers and half an hour of steady load
	@$(PYTHON) -m lab.bench --long $(ARGS)

fuzz: setup-dev ## Send 5,000 hostile requests and 1,000 random mesh configurations, then run the judge (ARGS="--seed 7", "--only configs")
	@$(PYTHON) -m lab.fuzz $(ARGS)

conformance: setup-dev ## Compare the mesh with a real Istio (docs/conformance.md); the first time builds for 25 minutes
	@$(PYTHON) -m lab.conformance $(ARGS)
