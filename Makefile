# Two commands on a fresh machine: `make study`, `make test`. Both build .venv first.
# `make check` is for the inner loop: lint, types and the tests that are fast and need no PyTorch.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Test processes: one per core, of one thread each. A file's tests share a process: what one has made, the next uses.
# The order is that of tests/conftest.py: what takes long begins.
WORKERS ?= auto
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Files that import neither PyTorch nor librosa: importing them alone takes longer than these tests.
FAST := tests/test_*.py tests/audio tests/cli/test_fetch.py tests/cli/test_models.py \
	tests/datasets/splits/test_asked.py tests/datasets/splits/test_drawn.py tests/datasets/test_corpus.py \
	tests/datasets/test_mel_npz.py tests/datasets/test_table.py tests/evaluation tests/features tests/inference

# Without what only one system or one version has: a browser, beets, Keras.
PORTABLE := tests/audio tests/features tests/evaluation tests/inference tests/tagging tests/datasets tests/training
TESTING := pytest pytest-timeout pytest-xdist hypothesis httpx librosa
LOWEST := .venv-lowest

.PHONY: study test check lint bench figures pictures notebooks docs format mutants test-lowest dist sbom clean

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

# Tables of the documentation, from studies/results/: docs/contribute/figures.md says how a result gets there.
figures: $(VENV)/train.done
	$(BIN)/python scripts/fill_figures.py

# Pictures of docs/understand: a sound made by arithmetic, through every stage.
pictures: $(VENV)/train.done
	$(BIN)/python scripts/pictures.py

# Runs the notebooks at full settings, and stores them with what they show. They use the runs of `make study`.
notebooks: $(VENV)/dev.done
	$(BIN)/python scripts/run_notebooks.py

# The documentation as a site, in site/: it is searched without a server's help, and asks no other host for anything.
docs: $(VENV)/dev.done
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "site/index.html: python -m http.server --directory site"

# A sample of 200 small faults, planted one at a time: half an hour on two cores. Not in CI.
mutants: $(VENV)/mutants.done
	OMP_NUM_THREADS=1 $(BIN)/python scripts/mutants.py

# sdist and wheel in dist/, built from the tag, checked, and tried in clean environments of every Python that is here.
dist: $(VENV)/release.done
	$(BIN)/python scripts/build_dist.py
	$(BIN)/python scripts/smoke.py dist/*.whl dist/*.tar.gz

# What a release brings with it, as CycloneDX beside the wheel, and whether any of it is known to be vulnerable.
sbom: $(VENV)/release.done
	$(BIN)/python scripts/sbom.py dist/*.whl

# The fast tests on the lowest version of each package that pyproject.toml allows; PyTorch stays as it is pinned.
test-lowest:
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps torch
	$(LOWEST)/bin/python -m pip freeze | grep ^torch== > $(LOWEST)/torch.txt
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		-c $(LOWEST)/torch.txt -e '.[all]'
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python -c $(LOWEST)/torch.txt $(TESTING)
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(PORTABLE)

clean:
	rm -rf $(VENV) $(LOWEST) dist site .mutants .pytest_cache .mypy_cache .ruff_cache .coverage*

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

$(VENV)/release.done: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[release]'
	@touch $@

$(VENV)/dev.done: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/train.done
