# One way to do each thing; CI calls these targets and nothing else.
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(wildcard plugins/*/pyproject.toml)

export PYTHONDONTWRITEBYTECODE :=# or each of the many processes of the tests compiles the project anew

.PHONY: help install format lint types test tests demo leaderboard docs

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.venv/.installed: pyproject.toml constraints.txt baselines/pyproject.toml $(PLUGINS)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]" -e baselines $(foreach p,$(PLUGINS),-e $(dir $p))
	touch $@

install: .venv/.installed  ## harness, baselines, plugins and tools into .venv, on the tested versions (PyTorch among them)

format: install  ## rewrite every file in the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install  ## format and lint rules hold
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install  ## pyright finds no error in the three parts
	$(BIN)/pyright

test: install  ## every check that CI runs (15 minutes on two cores of an AMD EPYC)
	$(MAKE) --no-print-directory --jobs 2 lint types tests
	$(BIN)/i2i-bench leaderboard --check
	$(BIN)/i2i-bench ablate --check
	$(BIN)/i2i-bench validate-results

tests: install
	$(BIN)/python -m pytest -n 3 --dist worksteal

demo: install  ## train AttentionGAN and CycleGAN on stripes, print the leaderboard (4 to 5 minutes)
	$(BIN)/i2i-bench run --jobs 2 --model attentiongan --model cyclegan --task stripes --preset small --results runs/demo/results --runs runs/demo
	$(BIN)/i2i-bench leaderboard --results runs/demo/results
	@echo "Figures: runs/demo/stripes/*/seed0/*.png"

leaderboard: install  ## write results/README.md from the records
	$(BIN)/i2i-bench leaderboard --write

docs: install  ## write build/docs: tutorial, commands, tasks, protocols, API; a warning is an error
	$(BIN)/python docs/reference.py
	$(BIN)/python -m sphinx -W --keep-going -q docs build/docs
	@echo "build/docs/index.html"
