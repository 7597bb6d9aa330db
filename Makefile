# Everyday verbs. Any Python from 3.11 on: make setup PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test test-slow check docs bench gallery clean
.DELETE_ON_ERROR:

help:  ## what each verb does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.development  ## the environment for development, in .venv

demo: $(VENV)/.runtime  ## the environment with run-time packages only, then a budget to a trained network
	$(BIN)/budgetnet solve digits --macs 2M --time 100s

# One computing thread a process: two processes with more would fight over the cores.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/.development  ## the quick tests, in two processes
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" --durations=25

test-slow: export OMP_NUM_THREADS := 1
test-slow: $(VENV)/.development  ## the tests that take more than about seven seconds each, or repeat a quick one's check
	$(BIN)/python -m pytest -m slow --timeout 3600

check: $(VENV)/.development  ## lint, format, types, layers, every snippet of the docs, known advisories
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python docs/check_snippets.py
	$(BIN)/python docs/check_advisories.py

docs: $(VENV)/.docs  ## the site of docs/ and the docstrings, in build/site; a broken link or cross-reference ends it
	$(BIN)/python -m sphinx -n -W --keep-going -q -d build/doctrees docs build/site
	@echo "open build/site/index.html"

bench: $(VENV)/.development  ## the speeds that are promised, measured here
	$(BIN)/python -m bench

gallery: $(VENV)/.development  ## a gallery of all pictures on the embedded digits, in runs/gallery/docs, in about ten minutes
	$(BIN)/python -m bench.gallery

clean:  ## remove the environment and the caches, never runs/
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .pytest_cache .ruff_cache

# Stamps: made again only when what they install has changed.
$(VENV)/.runtime: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "budgetnet needs Python 3.11 or newer, as in: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.development: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@
