# Two commands on a fresh machine: `make study`, `make test`. Both build .venv first.
# `make check` is for the inner loop: lint, types and the tests that are fast and need no PyTorch.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Test processes: one per core, of one thread each. A file's tests share a process: what one has made, the next uses.
WORKERS ?= auto
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
# Files that import neither PyTorch nor librosa: importing them alone takes longer than these tests.
FAST := tests/test_*.py tests/audio tests/cli/test_fetch.py tests/cli/test_models.py \
	tests/datasets/splits/test_asked.py tests/datasets/splits/test_drawn.py tests/datasets/test_corpus.py \
	tests/datasets/test_mel_npz.py tests/datasets/test_table.py tests/evaluation tests/features tests/inference

.PHONY: study test check lint bench figures format mutants clean

study: $(VENV)/train.done
	$(BIN)/ostinato study studies/gtzan.toml --out runs/gtzan

test: $(VENV)/dev.done
	$(PYTEST) --cov --cov-report=term

check: lint
	$(PYTEST) -m "not slow" $(FAST)

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

# Tables of the documentation, from studies/results/: CONTRIBUTING.md says how a result gets there.
figures: $(VENV)/train.done
	$(BIN)/python scripts/fill_figures.py

# A sample of 200 small faults, planted one at a time: half an hour on two cores. Not in CI.
mutants: $(VENV)/mutants.done
	OMP_NUM_THREADS=1 $(BIN)/python scripts/mutants.py

clean:
	rm -rf $(VENV) .mutants .pytest_cache .mypy_cache .ruff_cache .coverage*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Ostinato needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/train.done: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[train]'
	@touch $@

$(VENV)/mutants.done: $(VENV)/dev.done
	$(PIP_INSTALL) -e '.[mutants]'
	@touch $@

$(VENV)/dev.done: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/train.done
