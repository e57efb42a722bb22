# The two commands are `make train` and `make test`. Every target first installs what it needs into .venv.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help train test test-all lint format docs install lock wheel clean

# The interpreter that .venv is made from: the first of these that runs and is new enough (locks were made with 3.11).
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# cpu or gpu: which engine and which torch are installed.
VARIANT ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
# Where `make train` runs; see conf/cluster/.
CLUSTER ?= $(if $(filter gpu,$(VARIANT)),single_gpu,local)
# Test processes at a time; each folder that shares Ray, engines or a sandbox is tested by one (tests/conftest.py).
JOBS ?= 2
# More arguments, for example: make train ARGS='model=tiny reward=outcome'.
ARGS ?=

VENV := .venv
STAMP := $(VENV)/.installed-$(VARIANT)
SOURCES := requirements/$(VARIANT).lock pyproject.toml setup.cfg setup.py tools/install.py

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

train: install ## install, then run the whole recipe on this machine: label, sft, prm, ppo, evaluate
	$(VENV)/bin/python -m prl_ray.train +cluster=$(CLUSTER) $(ARGS)

test: install lint ## ruff, mypy, and the tests that are not slow
	$(VENV)/bin/python -m pytest -n $(JOBS) -m "not (slow or cluster or browser or families)" $(ARGS)

test-all: install lint ## ruff, mypy and all tests, the slowest listed: what continuous integration runs
	$(VENV)/bin/python -m pytest -n $(JOBS) --durations=60 --durations-min=5 $(ARGS)

lint: install ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: install ## let ruff rewrite what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: install ## write the generated pages, then build the documentation into build/site
	$(VENV)/bin/python benchmarks/readme_tables.py
	$(VENV)/bin/python tools/config_reference.py
	$(VENV)/bin/python -m sphinx -W --keep-going -n -q docs build/site
	@echo "open build/site/index.html"

install: $(STAMP) ## everything into .venv, at the locked versions

$(STAMP): $(SOURCES)
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed and none was found (or give PYTHON=...)" >&2; exit 1; }
	$(PYTHON) tools/install.py --variant $(VARIANT) --venv $(VENV)
	@touch $@

lock: install ## resolve the dependencies of pyproject.toml anew into requirements/
	$(VENV)/bin/python tools/lock.py

wheel: install ## a wheel with the configs inside, in dist/
	$(VENV)/bin/python -m build --wheel --no-isolation

clean: ## remove .venv and all build outputs; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
