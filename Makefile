# Every target performs the set-up that it needs and skips finished steps. `make` lists the targets. All generated files
# are in build/.

SIZE ?= small
SEED ?= 0
PROTOCOL ?= temporal
RECIPE ?= fast
PORT ?= 8080
WORKERS ?= 2
# name=value parameters of the training pipeline, as in PARAMS="gate=warn"
PARAMS ?=

PY := .venv/bin/python
SIMULATED := build/data/simulated-$(SIZE)
DATASET ?= $(SIMULATED)
PACKAGES := feature_repo inference components pipelines monitoring

# Recipes read the dataset from the environment, so that the shell does not interpret the name of the folder.
export DATASET

# OpenMP threads sleep while they wait, so that other processes can use the cores.
export OMP_WAIT_POLICY ?= PASSIVE
export KUBEREC_VALIDATION_PYTHON ?= $(CURDIR)/.venv-validation/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup dataset run serve refresh drift evaluate simulate compile images render test test-long lint format clean

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

setup:  ## create both environments, .venv and .venv-validation; every target calls it
	@.ci/setup validation

# The dataset of this call. The default dataset is simulated if it does not exist.
dataset: setup
	@[ "$$DATASET" != "$(SIMULATED)" ] || [ -e $(SIMULATED)/dataset.toml ] || $(MAKE) --no-print-directory simulate

run: dataset  ## train, serve and print one feed [DATASET=dir PARAMS="gate=warn"]
	@$(PY) -m pipelines.run --dataset "$$DATASET" $(PARAMS)

serve: dataset  ## serve the current bundle until interrupted [DATASET=dir PORT=8080 CLOCK=request]
	@$(PY) -m pipelines.serve --dataset "$$DATASET" --port $(PORT) $(if $(CLOCK),--clock $(CLOCK))

refresh: dataset  ## update the online features from dataset and log, without training [DATASET=dir]
	@$(PY) -m pipelines.refresh --dataset "$$DATASET"

drift: dataset  ## compare requests since the last run with the drift reference [DATASET=dir PARAMS="gate=warn"]
	@$(PY) -m pipelines.drift --dataset "$$DATASET" $(PARAMS)

evaluate: dataset  ## compare the recommender with baselines [DATASET=dir PROTOCOL=temporal|rolling|leave-one-out RECIPE=fast]
	@$(PY) -m pipelines.evaluate --dataset "$$DATASET" --protocol $(PROTOCOL) --recipe $(RECIPE)

simulate: setup  ## write the simulated marketplace [SIZE=tiny|small|large|dense|news SEED=0]
	@$(PY) -m components.marketplace --size $(SIZE) --seed $(SEED) --out $(SIMULATED)

compile: setup  ## compile the pipelines for a cluster into build/pipelines/
	@$(PY) -m pipelines.compile

images: setup  ## build the images with docker or buildah [PUSH=1]
	@.ci/images

render: setup  ## render the manifests for a cluster into build/manifests/
	@.ci/render

test:  ## run all tests except the long tests [ARGS="tests/inference -k filter"]
	@.ci/setup validation serving
	@.ci/install-servers
	@$(PY) -m pytest -q -m "not long" -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=10 $(ARGS)

test-long:  ## run only the long tests
	@.ci/setup validation serving
	@.ci/install-servers
	@$(PY) -m pytest -q -m long --timeout=3600 --durations=10 $(ARGS)

lint:  ## check formatting, lint rules, types, import rules and plain language
	@.ci/setup
	@.venv/bin/ruff format --check --quiet . .ci/check-language
	@.venv/bin/ruff check --quiet . .ci/check-language
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache
	@$(PY) .ci/check-language

format:  ## apply the fixes of formatter and linter
	@.ci/setup
	@.venv/bin/ruff check --quiet --fix . .ci/check-language
	@.venv/bin/ruff format --quiet . .ci/check-language

clean:  ## remove all generated files except the environments
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
