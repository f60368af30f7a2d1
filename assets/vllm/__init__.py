"""vLLM's environment, and servers in it that the pipeline starts, shares and ends: for judges and for scoring.

vLLM lives in an environment of its own (`make vllm-env`); nothing here imports it.
"""
