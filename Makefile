# make run: everything, from raw data to a registered model. make help lists the rest.
# The interpreter for .venv; one that will do is looked for when none is named.
PYTHON ?=
BIN := .venv/bin
DATA ?= real
ifneq ($(filter run,$(MAKECMDGOALS)),)
$(if $(filter real synthetic,$(DATA)),,$(error DATA=$(DATA): expected real or synthetic))
endif
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --quiet
SYNTHETIC := .state/synthetic
QUICK := tests/unit tests/contract $(addprefix tests/integration/test_,another_dataset.py prepare.py quality.py git.py)

# Without compiled bytecode every process starts two to four times slower; the others point to code and
# repositories that are not this folder's.
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH PYTHONSAFEPATH GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE
export UV_CACHE_DIR ?= $(CURDIR)/.venv/cache
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup tools lock repository run quick test coverage notebook up down demo bench check format bill vulnerabilities clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 17

setup: ## the virtual environment with what running needs
	@sh setup.sh requirements.lock "$(PYTHON)"

tools: ## and with what testing needs; the targets below see to both
	@sh setup.sh requirements-dev.lock "$(PYTHON)"

lock: setup ## bring the lists in step with pyproject.toml: one resolution, of which running and serving need parts
	$(COMPILE) --extra dev --output-file requirements-dev.lock
	$(COMPILE) --extra flows --extra s3 --extra setup --constraints requirements-dev.lock --output-file requirements.lock
	$(COMPILE) --extra serve --constraints requirements-dev.lock --output-file requirements-serve.lock

repository:
	@git rev-parse --show-toplevel > /dev/null || { echo "error: these files must be in a git repository; if they are in none, type: git init && git add --all && git commit --message 'As downloaded'" >&2; exit 1; }

run: repository setup ## fetch, validate, prepare, train, evaluate, export, register (DATA=synthetic: on drawn images, in .state/synthetic)
ifeq ($(DATA),synthetic)
	mkdir -p $(SYNTHETIC)
	git ls-files -z --cached --others --exclude-standard -- ':!data.dvc' ':!dvc.lock' | tar --null -T - -cf - | tar -xf - -C $(SYNTHETIC)
	test -d $(SYNTHETIC)/.git || git init --quiet $(SYNTHETIC)
	cd $(SYNTHETIC) && env -u FASHION_HOME MLFLOW_TRACKING_URI=sqlite:///.state/mlflow.db \
		FASHION_PREDICTIONS_URL=sqlite:///.state/predictions.db python -m flows.training --synthetic --reason synthetic
else
	python -m flows.training
endif

quick: check ## what a change needs first: the checks, unit and contract tests, every stage once
	pytest $(QUICK)

test: tools ## all tests
	pytest

coverage: tools ## all tests with the line coverage of src and flows: at least 95 %
	coverage erase
	PYTHONPATH="$(CURDIR)/tests/recorder" pytest
	coverage combine --quiet
	coverage report

notebook: tools ## JupyterLab with notebooks/fashion.ipynb; Ctrl-C ends it
	@bash -c 'source $(BIN)/activate && jupyter lab --LabApp.news_url=None notebooks/fashion.ipynb'

up: setup ## Prefect, MLflow and a worker, with the deployments; Ctrl-C ends them
	@python -m flows.services up

down: setup ## end from elsewhere what `make up` started
	@python -m flows.services down

demo: setup ## the closed loop, in ten minutes on two cores: drift sets in, alarm, retraining, accuracy back; draws .state/demo/demo.svg
	python -m benchmarks.demo

bench: setup ## measure what the README quotes; writes benchmarks/main_job.json and .md
	python -m benchmarks.main_job

check: tools ## format, lint, types, layers
	ruff format --check
	ruff check
	mypy
	lint-imports

format: tools ## format the code
	ruff format
	ruff check --fix

bill: tools ## the bill of materials of what running needs, in CycloneDX: .state/bill.json; needs no network
	python .ci/bill.py

vulnerabilities: bill ## and which of it has known vulnerabilities; needs the network, and fails where nobody could be asked
	python .ci/vulnerabilities.py

clean: ## remove the environment, the artifacts and the caches; data/ and .state/ (registry, runs) stay
	rm -rf .venv artifacts .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
