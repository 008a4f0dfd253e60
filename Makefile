# Every command a person needs. Each does its own set-up first: in a fresh clone, `make run` or `make test` is enough.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

# Nothing of the caller's own Python may leak into .venv, and a byte-code cache makes every start faster.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONDONTWRITEBYTECODE PIP_REQUIRE_VIRTUALENV PIP_USER PIP_TARGET
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := .venv/bin
# -P keeps the current directory off the path of tools, so that no file here can stand in for a library.
PIP := $(BIN)/python -P -m pip
# Plain pip rather than `uv pip sync`: it reads the pip.conf by which a machine reaches its package index, and uv does
# not. It costs about 20 s for the daemon and 45 s for everything, once, where uv would take 6 s.
INSTALL := $(PIP) install --quiet --require-hashes --no-deps --requirement
PYTEST := $(BIN)/python -m pytest
# The JavaScript client of tests/clients and what it depends on.
NODE := tests/clients/node/node_modules

.PHONY: help
help:  ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: .venv/run.stamp  ## install the locked dependencies and byokd itself into .venv

.PHONY: run
run: setup  ## start the daemon on its own local KMS with a small fleet, and watch it
	@exec $(BIN)/byokd --config config/byokd.dev.toml run

.PHONY: test
test: check $(NODE)/.stamp  ## format, lint, types, contracts, house rules and every test
	scripts/system-packages openssl=openssl systemd-analyze=systemd
	$(PYTEST) -n 2 --dist worksteal --ignore tests/meta

.PHONY: test-fast
test-fast: check  ## the same without the rings that start processes or run long
	$(PYTEST) -n 2 --ignore tests/meta --ignore tests/clients --ignore tests/e2e \
		--ignore tests/sim --ignore tests/systemd

.PHONY: check
check: .venv/dev.stamp  ## what reads the code without running it
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -q tests/meta

# An option with its value, also an empty one, which the command then refuses; nothing where nobody said anything.
given = $(if $(filter-out undefined,$(origin $(1))),$(2) "$($(1))")

.PHONY: sim
sim: SEED ?= 1
sim: .venv/dev.stamp  ## simulate a world: SEED=123, part of it: EVENTS=4,7, many: SEED=1 UNTIL=50; on real parts: REAL=1
	$(BIN)/python -m tests.sim "$(SEED)" $(call given,UNTIL,--until) $(call given,EVENTS,--events) $(if $(REAL),--real)

.PHONY: soak
soak: .venv/dev.stamp  ## the tests marked soak: fresh worlds for an hour, planted bugs, long histories
	$(PYTEST) -n 2 -m soak

.PHONY: bench
bench: .venv/bench.stamp  ## print the numbers that byokd promises, with machine and versions; PARTS="sim lanes" for some
	@exec $(BIN)/python -m bench $(PARTS)

.PHONY: docs
docs: .venv/dev.stamp  ## write into the pages what is read from the code
	$(BIN)/python -m tests.localkms.rules

.PHONY: fmt
fmt: .venv/dev.stamp  ## format the code and repair what lint can repair
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

# Annotated with who needs what, without the name of the index that answered: every machine has its own.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --group build $(UPGRADE) pyproject.toml

.PHONY: lock
lock: .venv/dev.stamp  ## resolve the dependencies again (UPGRADE=--upgrade takes newer ones)
	$(LOCK) --all-extras --group dev --output-file requirements/dev.lock
	$(LOCK) --constraint requirements/dev.lock --output-file requirements/run.lock
	$(LOCK) --constraint requirements/dev.lock --all-extras --group dev --group bench --output-file requirements/bench.lock
	scripts/system-packages node=nodejs npm=npm
	npm update --prefix $(dir $(NODE)) --package-lock-only --omit-lockfile-registry-resolved --loglevel=error

.PHONY: clean
clean:  ## remove .venv and every cache
	rm -rf .venv $(NODE) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Without a log of its own in the home directory, and without asking anybody about audits, funds and updates.
$(NODE)/.stamp: tests/clients/node/package.json tests/clients/node/package-lock.json
	scripts/system-packages node=nodejs npm=npm
	npm ci --prefix tests/clients/node --loglevel=error --ignore-scripts --no-audit --no-fund --no-update-notifier --logs-max=0
	@touch $@

# Stamps make set-up a no-op until a lock or the project's metadata changes.
.venv/bench.stamp: .venv/dev.stamp requirements/bench.lock
	$(INSTALL) requirements/bench.lock
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.lock
	$(INSTALL) requirements/dev.lock
	@touch $@

.venv/run.stamp: requirements/run.lock pyproject.toml scripts/python
	@python="$$(scripts/python $(PYTHON))"; $(PIP) --version >/dev/null 2>&1 || "$$python" -m venv --clear .venv
	$(INSTALL) requirements/run.lock
	@$(PIP) install --quiet --no-deps --no-index --no-build-isolation --editable .
	@touch $@
