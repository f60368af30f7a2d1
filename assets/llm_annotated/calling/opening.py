"""Opening a language model by its settings, and closing what was started for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assets.llm_annotated.calling.budget import Budget
from assets.llm_annotated.calling.endpoint import EndpointModel
from assets.llm_annotated.calling.request_ledger import RequestLedger
from assets.llm_annotated.chat import ChatModel
from assets.llm_annotated.settings import BudgetSettings, LanguageModelSettings


def ledger_path(home: Path) -> Path:
    """Where the request ledger of a home folder lies."""
    return home / "requests" / "requests.sqlite"


@contextmanager
def open_budget(settings: BudgetSettings, home: Path) -> Iterator[Budget]:
    """The budget with the ledger of a home folder, which is closed afterwards."""
    with RequestLedger(ledger_path(home)) as ledger:
        yield Budget(settings, ledger)


@contextmanager
def open_chat_model(settings: LanguageModelSettings, home: Path, budget: Budget) -> Iterator[ChatModel]:
    """The model; a vLLM server that it needs runs until the block ends.

    Raises:
        SynprefError: a key is missing, or vLLM cannot be started.
    """
    # Imported where they are needed: most runs start no vLLM.
    if settings.server == "vllm_server":
        from assets.vllm.serving import running_server

        with running_server(settings, home) as server:
            yield EndpointModel(
                settings,
                budget.ledger,
                budget,
                base_url=server.base_url,
                api_key=server.api_key,
                weights_fingerprint=server.fingerprint,
            )
    elif settings.server == "vllm_offline":
        from assets.llm_annotated.vllm.offline import OfflineModel

        yield OfflineModel(settings, budget.ledger, home)
    else:
        yield EndpointModel(settings, budget.ledger, budget)
