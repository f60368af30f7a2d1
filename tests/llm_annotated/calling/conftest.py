"""A real local server with OpenAI's routes, and models that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.llm_annotated.calling.budget import Budget
from assets.llm_annotated.calling.endpoint import EndpointModel
from assets.llm_annotated.calling.pacing import Patience
from assets.llm_annotated.calling.request_ledger import RequestLedger
from assets.llm_annotated.chat import ChatRequest
from assets.llm_annotated.settings import BudgetSettings, LanguageModelSettings
from benchmarks.openai_process import LocalServer, local_server

HASTY = Patience(first_wait_s=0.02, most_wait_s=0.1, most_retry_after_s=5.0)
PRICES = {"usd_per_million_prompt_tokens": 1.0, "usd_per_million_completion_tokens": 4.0}

MakeModel = Callable[..., EndpointModel]


def asked(*texts: str, seed: int = 0, **others: Any) -> list[ChatRequest]:
    """One request per text."""
    return [ChatRequest(({"role": "user", "content": text},), seed, **others) for text in texts]


@pytest.fixture(scope="session")
def running_server() -> Iterator[LocalServer]:
    with local_server() as server:
        yield server


@pytest.fixture
def server(running_server: LocalServer) -> LocalServer:
    running_server.control(
        delay_s=0,
        refuse=[],
        max_at_once=0,
        fail_all=0,
        prefix_cache=False,
        most_at_once=0,
        num_received=0,
        num_answered=0,
    )
    return running_server


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[RequestLedger]:
    with RequestLedger(tmp_path / "requests" / "requests.sqlite") as opened:
        yield opened


@pytest.fixture
def model(server: LocalServer, ledger: RequestLedger) -> MakeModel:
    """Makes models of the local server; arguments are settings, `budget`, and those of `EndpointModel`."""

    def make(
        *,
        budget: BudgetSettings | None = None,
        weights_fingerprint: str = "",
        patience: Patience = HASTY,
        **settings: Any,
    ) -> EndpointModel:
        defaults = {"model": "local", "base_url": server.base_url, "timeout_s": 5.0, "max_tries": 3, **PRICES}
        return EndpointModel(
            LanguageModelSettings(**(defaults | settings)),
            ledger,
            Budget(budget or BudgetSettings(), ledger),
            weights_fingerprint=weights_fingerprint,
            patience=patience,
        )

    return make
