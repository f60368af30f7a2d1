"""vLLM: language models that the pipeline serves itself, as a server on loopback or in offline batches.

vLLM lives in an environment of its own (`make vllm-env`); nothing here imports it but `offline_runner.py`, which runs
inside that environment.
"""
