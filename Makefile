# Two commands: `make train` and `make test`. Both install what they need into .venv first.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help train test test-all lint format install lock wheel clean

# The interpreter that .venv is made from: the first of these that runs and is new enough (locks were made with 3.11).
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# cpu or gpu: which engine and which torch are installed.
VARIANT ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
# Where `make train` runs; see conf/cluster/.
CLUSTER ?= $(if $(filter gpu,$(VARIANT)),single_gpu,local)
# More words for the command line, e.g. make train ARGS='model=tiny reward=outcome'.
ARGS ?=

VENV := .venv
STAMP := $(VENV)/.installed-$(VARIANT)
SOURCES := requirements/$(VARIANT).lock pyproject.toml setup.cfg setup.py tools/install.py

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

train: install ## install, then run the whole recipe on this machine: label, sft, reward, ppo, evaluate
	$(VENV)/bin/python -m prl_ray.train +cluster=$(CLUSTER) $(ARGS)

test: install lint ## install, then ruff, mypy and the tests that are not slow
	$(VENV)/bin/python -m pytest -m "not (slow or cluster or browser or families)" $(ARGS)

test-all: install lint ## the same with every test, as continuous integration runs them
	$(VENV)/bin/python -m pytest $(ARGS)

lint: install ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: install ## let ruff rewrite what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

install: $(STAMP) ## everything into .venv, at the locked versions

$(STAMP): $(SOURCES)
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed and none was found (or give PYTHON=...)" >&2; exit 1; }
	$(PYTHON) tools/install.py --variant $(VARIANT) --venv $(VENV)
	@touch $@

lock: install ## resolve the dependencies of pyproject.toml anew into requirements/
	$(VENV)/bin/python tools/lock.py

wheel: install ## a wheel with the configs inside, in dist/
	$(VENV)/bin/python -m build --wheel --no-isolation

clean: ## remove .venv and everything that was built; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
