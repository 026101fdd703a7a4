# Two commands for a fresh machine: `make demo` and `make test`. Both set up .venv/ themselves.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup demo test lint clean

help:
	@echo "make demo   set up, probe the embedded generator, write runs/demo/report.html"
	@echo "make test   set up, run all the tests"
	@echo "make lint   set up, ruff and mypy"
	@echo "make clean  remove the environment and the demo's run folder"

setup: $(READY)

$(READY): pyproject.toml setup.py constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "higan_fast needs Python 3.11 or newer"'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --editable '.[dev]'
	touch $(READY)

demo: setup
	$(BIN)/higan-fast demo --out runs/demo

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv runs/demo
