# The commands of the README. Each installs what it needs first.
PYTHON ?= python3.11
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake

.PHONY: help demo test test-browser test-cluster test-faults check docs-check doctor setup clean
help:
	@echo "make demo    set up, then build the demo avatar and its table (minutes, no GPU)"
	@echo "make test    set up, then run the tests"
	@echo "make test-browser  set up, then run player, viewer, report and index in Chromium, if there is one"
	@echo "make test-cluster  set up, then run jobs on a real Slurm that the tests start (as root)"
	@echo "make test-faults  set up, then run every reproduced fault, the slow ones too"
	@echo "make check   set up, then lint, types, import contract, workflow lint"
	@echo "make docs-check  list the tables of docs/ that are older than the code they measure"
	@echo "make doctor  set up, then check that this machine has what a run needs"
	@echo "make setup   only set up: .venv from requirements.lock"
	@echo "make clean   remove .venv and caches; captures/ and results/ stay"

demo: setup
	$(SNAKEMAKE) --cores all demo
	$(SNAKEMAKE) --cores all tables

test: setup
	$(BIN)/pytest -n 2 --dist loadfile

test-browser: setup
	$(BIN)/pytest -n 0 -s tests/browser

test-cluster: setup
	$(BIN)/pytest -n 0 -s tests/cluster

docs-check: setup
	$(BIN)/python -m benchmarks.report

test-faults: setup
	$(BIN)/pytest -n 2 --dist loadfile -m fault tests

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(SNAKEMAKE) --lint
	$(BIN)/python -m benchmarks.architecture
	$(BIN)/python -m tests.mirror

doctor: setup
	$(BIN)/python -m pipeline.doctor

setup: .venv/.complete

# torch goes first and alone: resolved together with the rest, pip may take a larger build of it.
.venv/.complete: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: $(PYTHON) is missing: apt-get install -y python3.11 python3.11-venv" >&2; exit 2; }
	@$(PYTHON) -c 'import ctypes; [ctypes.CDLL(n) for n in ("libGL.so.1", "libglib-2.0.so.0")]' \
	  2>/dev/null || { \
	  echo "error: libGL or libglib is missing: apt-get install -y libgl1 libglib2.0-0" >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^torch==' requirements.lock)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/pip check
	$(BIN)/python -c 'from avatar.render.cpu import warm_up; warm_up()'  # compiles its kernels
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
