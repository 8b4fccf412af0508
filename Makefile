# make run: everything, from raw data to a registered model. make help lists the rest.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
DATA ?= real
SYNTHETIC := .state/synthetic
QUICK := tests/unit tests/contract $(addprefix tests/integration/test_,another_dataset.py prepare.py quality.py git.py)

# Without compiled bytecode every process starts two to four times slower.
unexport PYTHONDONTWRITEBYTECODE
export UV_CACHE_DIR ?= $(CURDIR)/.venv/cache
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup lock run quick test up down demo bench check format clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: .venv/.installed ## the virtual environment with the locked dependencies

.venv/.installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 to 3.13 found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-cache-dir --disable-pip-version-check "$$(sed -n 's/^\(uv==[^ ;]*\).*/\1/p' requirements.lock)"
	VIRTUAL_ENV=.venv $(BIN)/uv pip sync --compile-bytecode --require-hashes requirements.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --no-deps --no-build-isolation --editable .
	cat activate.sh >> $(BIN)/activate
	@mkdir -p .state
	@touch $@

lock: ## bring requirements.lock in step with pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra s3 --universal --python-version 3.11 --generate-hashes \
		--no-header --quiet --output-file requirements.lock

run: setup ## fetch, validate, prepare, train, evaluate, export, register (DATA=synthetic: on drawn images, in .state/synthetic)
ifeq ($(DATA),synthetic)
	@git rev-parse --show-toplevel > /dev/null || { echo "error: these files must be in a git repository; if they are in none, type: git init && git add --all && git commit --message 'As downloaded'" >&2; exit 1; }
	mkdir -p $(SYNTHETIC)
	git ls-files -z --cached --others --exclude-standard -- ':!data.dvc' ':!dvc.lock' | tar --null -T - -cf - | tar -xf - -C $(SYNTHETIC)
	test -d $(SYNTHETIC)/.git || git init --quiet $(SYNTHETIC)
	cd $(SYNTHETIC) && env -u FASHION_HOME MLFLOW_TRACKING_URI=sqlite:///.state/mlflow.db \
		python -m flows.training --synthetic --reason synthetic
else
	python -m flows.training
endif

quick: check ## what a change needs first: the checks, unit and contract tests, every stage once
	pytest $(QUICK)

test: setup ## all tests
	pytest

up: setup ## Prefect, MLflow and a worker, with the deployments; Ctrl-C ends them
	@python -m flows.services up

down: setup ## end from elsewhere what `make up` started
	@python -m flows.services down

demo: setup ## the closed loop, in ten minutes on two cores: drift sets in, alarm, retraining, accuracy back; draws .state/demo/demo.svg
	python -m benchmarks.demo

bench: setup ## measure what the README quotes; writes benchmarks/main_job.json and .md
	python -m benchmarks.main_job

check: setup ## format, lint, types, layers
	ruff format --check
	ruff check
	mypy
	lint-imports

format: setup ## format the code
	ruff format
	ruff check --fix

clean: ## remove the environment, the artifacts and the caches; data/ and .state/ (registry, runs) stay
	rm -rf .venv artifacts .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
