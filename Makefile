# Needs make and a Python ≥ 3.11, nothing else. `make PYTHON=python3.12 test` picks another interpreter,
# `make VENV=/elsewhere test` another environment, `make N=0 test` runs the tests in one process.

PYTHON ?= python3
VENV ?= .venv
N ?= 3
MARKS ?= not stress and not thorough
PYTEST_ARGS ?=
DEMO_ARGS ?= --for 60 --keep .pgsnow
PARTS ?=
STRESS_ARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.pgsnow-ready
SOURCES := src backend tests conftest.py $(wildcard .ci/*.py benchmarks)

# Every test program would compile all that it imports again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test suite thorough check format docs stress live connectors bench lock clean

help:
	@echo "make demo    a real Postgres under live writes, synced into the Snowflake emulator, compared at the end"
	@echo "make test    check, then the whole test suite, and the CPU minutes of both"
	@echo "make thorough  the tests that are too slow for every change"
	@echo "make check   linters, types, layers"
	@echo "make format  format and sort imports"
	@echo "make docs    the documentation as a site, in site/"
	@echo "make stress  the long randomised runs against concurrent writers; make stress MINUTES=60: the whole system, for so long"
	@echo "make live    what the emulator stands in for, asked of the Snowflake account in SNOWFLAKE_* (docs/live-suite.md)"
	@echo "make connectors  the cases of make live, asked of the emulator with the oldest and newest connectors"
	@echo "make bench   pgsnow and other tools measured, docs/benchmarks.md filled (PARTS=jobs for some)"
	@echo "make lock    resolve the dependencies again into requirements.lock"
	@echo "make clean   remove what these commands made"

demo: $(READY)
	$(BIN)/pgsnow demo $(DEMO_ARGS)

test: $(READY)
	@$(BIN)/python .ci/cpu_minutes.py $(MAKE) --no-print-directory check suite

suite: $(READY)
	$(BIN)/python -m pytest -n $(N) --dist worksteal -m "$(MARKS)" $(PYTEST_ARGS)

thorough: $(READY)
	$(BIN)/python -m pytest -n $(N) --dist worksteal -m thorough $(PYTEST_ARGS)

check: $(READY)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --clean
	@echo "Open site/index.html, or serve it: $(BIN)/python -m http.server --directory site"

stress: $(READY)
ifdef MINUTES
	$(BIN)/python -m tests.stress.system --minutes $(MINUTES) $(STRESS_ARGS)
else
	$(BIN)/python -m pytest -n 0 -s -m stress --timeout 0 $(PYTEST_ARGS)
	$(BIN)/python -m pytest -n $(N) --hypothesis-profile thorough -m "hypothesis and not stress" --timeout 0
endif

live: $(READY)
	@$(BIN)/python -m tests.live

connectors: $(READY)
	$(BIN)/python -m tests.live.connectors

bench: $(READY)
	$(BIN)/python -m benchmarks $(PARTS)

lock: $(READY)
	$(BIN)/uv lock --upgrade
	$(BIN)/uv export --quiet --all-extras --all-groups --no-hashes --no-header --no-annotate --no-emit-project -o requirements.lock

clean:
	rm -rf $(READY) .pgsnow dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -f $(VENV)/.pgsnow-made ]; then rm -rf $(VENV); fi

# The environment is made once; the stamp is older than the lock after a pull, and then it is brought up to date.
$(READY): requirements.lock pyproject.toml
	@sh .ci/venv $(PYTHON) $(VENV)
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock -e .
	@touch $@
