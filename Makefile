# Each target builds what it needs in .venv; a second call skips whatever is up to date.
#   make demo    install, then train and test a model in about two minutes
#   make test    install, then run the tests
#   make lint    ruff and mypy
# Another Python: make PYTHON=python3.12 test. More options for pytest: make test PYTEST="-m 'not slow'".

PYTHON ?= python3
PYTEST ?=
DEMO ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DELETE_ON_ERROR:
.PHONY: demo test lint format clean

demo: $(VENV)/demo.stamp
	$(BIN)/anybyte demo $(DEMO)

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n auto $(PYTEST)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("anybyte needs Python 3.11 or newer: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[demo]'
	touch $@

# The development extra includes the demo's, so its stamp covers both.
$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	touch $@ $(VENV)/demo.stamp
