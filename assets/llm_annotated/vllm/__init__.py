"""vLLM: language models that answer in offline batches, in vLLM's environment; servers are in `assets/vllm/`.

Nothing here imports vLLM but `offline_runner.py`, which runs inside that environment.
"""
