PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: setup check test bench quickstart cli-docs clean

setup:            ## a virtual environment with everything the tests need
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -e ".[test]"

check:            ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test:             ## the whole suite, offline
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

quickstart:       ## teacher -> rows -> student -> report on the sample data
	HF_HUB_OFFLINE=1 $(BIN)/python -m finetune recipes/quickstart.yaml

bench:            ## every measurement, one after the other; results in bench/results
	for script in $$(grep -l '^#!' bench/*.py); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

cli-docs:         ## docs/cli.md from --help, docs/recipe.md from the schema
	@$(BIN)/python -m recipes keys > docs/recipe.md
	@(echo "# Commands"; for layer in recipes synth finetune 'finetune preview' 'finetune ask' 'finetune merge' 'finetune export' rag 'rag index' 'rag search' 'rag chat' 'rag serve' eval; do \
	  printf '\n## python -m %s\n\n```\n' "$$layer"; COLUMNS=100 $(BIN)/python -m $$layer --help; echo '```'; done) > docs/cli.md

clean:
	rm -rf runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache
