# Two commands on a fresh machine: `make study`, `make test`. Both build .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: study test lint bench format clean

study: $(VENV)/train.done
	$(BIN)/ostinato study studies/gtzan.toml --out runs/gtzan

test: $(VENV)/dev.done
	$(BIN)/python -m pytest --cov --cov-report=term

lint: $(VENV)/dev.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/dev.done
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/dev.done
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/audit.py
	$(BIN)/python benchmarks/levels.py
	$(BIN)/python benchmarks/models.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .coverage*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Ostinato needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/train.done: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[train]'
	@touch $@

$(VENV)/dev.done: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/train.done
