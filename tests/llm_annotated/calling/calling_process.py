"""A process that asks a server a list of questions and says, reply by reply, what it got; made to be killed.

python -m tests.llm_annotated.calling.calling_process BASE_URL LEDGER NUMBER [MAX_USD]
"""

import sys
from pathlib import Path

from assets.llm_annotated.calling.budget import Budget
from assets.llm_annotated.calling.endpoint import EndpointModel
from assets.llm_annotated.calling.pacing import Patience
from assets.llm_annotated.calling.request_ledger import RequestLedger
from assets.llm_annotated.settings import BudgetSettings, LanguageModelSettings
from tests.llm_annotated.calling.conftest import PRICES, asked


def questions(number: int):
    return asked(*[f"question {n}" for n in range(number)])


def main() -> None:
    base_url, path, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    budget = BudgetSettings(max_usd=float(sys.argv[4]) if len(sys.argv) > 4 else None)
    settings = LanguageModelSettings(model="local", base_url=base_url, concurrency=16, **PRICES)
    with RequestLedger(path) as ledger:
        model = EndpointModel(settings, ledger, Budget(budget, ledger), patience=Patience(first_wait_s=0.05))
        # In portions: what a portion returned is acknowledged.
        for start in range(0, number, 20):
            for reply in model.complete(questions(number)[start : start + 20], batch="round_1"):
                print(reply.key, reply.status, flush=True)


if __name__ == "__main__":
    main()
