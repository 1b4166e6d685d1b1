# Two commands: `make book` renders the book, `make test` checks everything. Both set up .venv if it is missing or stale.

PYTHON ?= python3
BIN := .venv/bin
RUN ?= default
JOBS ?= 2
PYTEST := $(BIN)/pytest -n $(JOBS) --dist worksteal
NUMERICAL := $(patsubst %,tests/test_%.py,cannon training hard_pixels label_errors inference continuum fisher \
  diagnostics reference spectra validation)
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export TQDM_DISABLE := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
unexport PYTHONDONTWRITEBYTECODE  # hundreds of processes start, and each would compile the library anew

.PHONY: help book test quick generic setup lint types twins unit numbers browser sync bench clean

help:
	@echo "make book    run all chapters on the simulated survey and render them into _build/html"
	@echo "make test    lint, types, tests, numbers of the chapters (nbval), pages in a browser"
	@echo "make quick   lint, types and the library's unit tests, in about two minutes"
	@echo "make lint | types | twins | unit | numbers | browser   one part of 'make test'"
	@echo "make generic the numerical tests, and the chapters, with the kernels of another processor"
	@echo "make sync    write the notebook twins of the chapters from their text"
	@echo "make bench   measure speed and memory"
	@echo "make clean   remove rendered pages and caches (not the runs, not .venv)"

setup:
	@PYTHON="$(PYTHON)" sh .ci/environment

book: setup
	@echo "== chapters: run $(RUN)"
	@$(BIN)/labeltransfer run $(RUN) --resume
	@echo "== pages"
	@$(BIN)/labeltransfer build $(RUN)

lint: setup
	@echo "== lint, format"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@echo "== types"
	@$(BIN)/mypy

twins: setup
	@echo "== twins"
	@$(BIN)/labeltransfer sync --check

quick: lint types
	@echo "== unit tests of the library"
	@$(PYTEST) tests -m "not book and not slow" --durations=5

unit: setup
	@echo "== unit, property, oracle and statistical tests"
	@$(PYTEST) tests --ignore=tests/browser --durations=5

# nbval executes the chapters and compares their numbers with the accepted ones; the pages show what it executed.
numbers: setup
	@echo "== numbers of the chapters (nbval)"
	@$(BIN)/labeltransfer run default --resume --check

browser: setup
	@echo "== pages, in a browser"
	@$(BIN)/labeltransfer build default
	@$(PYTEST) tests/browser -rs --durations=5

test: lint types twins unit numbers browser
	@echo "== all tests passed"

generic: setup
	@echo "== numerical tests with other kernels"
	@.ci/other_kernels $(PYTEST) $(NUMERICAL)
	@echo "== numbers of the chapters with other kernels"
	@runs=$$(mktemp -d); LABELTRANSFER_RUNS=$$runs .ci/other_kernels $(BIN)/labeltransfer run default --check; \
	 status=$$?; rm -rf $$runs; exit $$status

sync: setup
	@$(BIN)/labeltransfer sync

bench: setup
	@for one in startup run read_spectra simulate; do \
	   echo "== $$one"; $(BIN)/python benchmarks/$$one.py || exit 1; done

clean:
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
