"""Round budget: which of a batch's targets the judges can still be paid for, from what the lake says was spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow.compute as pc

from assets.chance import simulated_name
from assets.lake import Lake
from assets.llm_annotated.affording import Afforded, afforded, limit_of_round, usd_of_pairs
from assets.llm_annotated.judges import RecordedJudge
from assets.llm_annotated.qualification import Qualification
from assets.workspace import Workspace


def within_budget(
    workspace: Workspace, batch: str, targets: Sequence[str], qualification: Qualification
) -> tuple[Afforded, float | None]:
    """The targets that the budget reaches, and the limit in US dollars that applied (None: no bound).

    Args:
        batch: a round or `stage_2`, to which the bound of a round does not apply.
        targets: the most wanted first.
    """
    settings, lake = workspace.settings, workspace.lake
    rounds = settings.round_names
    is_round = batch in rounds
    earlier = rounds[: rounds.index(batch)] if is_round else rounds
    before = sum(_spent(lake, name) + _spent(lake, f"qualification-{name}") for name in earlier)
    budget = settings.budget if is_round else settings.budget.model_copy(update={"max_usd_per_round": None})
    limit = limit_of_round(budget, _spent(lake, f"qualification-{batch}") if is_round else 0.0, before)
    names = {j.name: simulated_name(j.name) if j.provider == "simulated" else j.name for j in settings.judges}
    used = {name for name, labeller in names.items() if labeller in qualification.weights}
    recorded = lake.read("recorded_verdicts") if any(j.provider == "recorded" for j in settings.judges) else None
    num_recorded = {
        j.name: Counter({p: len(r) for p, r in RecordedJudge(j.name, recorded, tuple(j.labellers)).records.items()})
        for j in settings.judges
        if recorded is not None and j.provider == "recorded" and j.usd_per_call
    }
    usd = usd_of_pairs(targets, settings.judges, settings.voting, used, num_recorded)
    return afforded(targets, usd, limit), limit


def _spent(lake: Lake, batch: str) -> float:
    return pc.sum(lake.read("judge_requests", ["cost_usd"], batch=batch)["cost_usd"]).as_py() or 0.0
