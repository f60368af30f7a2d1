"""Round budget: which of a batch's targets the judges can still be paid for, from what the lake says was spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from assets.chance import simulated_name
from assets.llm_annotated.affording import Afforded, afforded, limit_of_round, usd_of_pairs
from assets.llm_annotated.gold_dev import qualification_batch
from assets.llm_annotated.judges import RecordedJudge
from assets.llm_annotated.spend import spent_by_batch
from assets.workspace import Workspace


def within_budget(
    workspace: Workspace, batch: str, targets: Sequence[str], used: Collection[str]
) -> tuple[Afforded, float | None]:
    """The targets that the budget reaches, and the limit in US dollars that applied (None: no bound).

    Args:
        batch: a round or `stage_2`, to which the bound of a round does not apply.
        targets: the most wanted first.
        used: labeller names of the judges that qualified.
    """
    settings, lake = workspace.settings, workspace.lake
    rounds = settings.round_names
    is_round = batch in rounds
    earlier = rounds[: rounds.index(batch)] if is_round else rounds
    spent = spent_by_batch(lake, rounds)
    before = sum(spent[name] + spent[qualification_batch(name)] for name in earlier)
    budget = settings.budget if is_round else settings.budget.model_copy(update={"max_usd_per_round": None})
    limit = limit_of_round(budget, spent[qualification_batch(batch)] if is_round else 0.0, before)
    names = {j.name: simulated_name(j.name) if j.provider == "simulated" else j.name for j in settings.judges}
    configured = {name for name, labeller in names.items() if labeller in used}
    return afforded(targets, _usd_of(workspace, targets, configured), limit), limit


def estimate_usd(workspace: Workspace, pairs: Sequence[str]) -> float:
    """Most that judging the pairs can cost, US dollars, were every judge to qualify and none of the pairs go to people.

    Language models are not in it: what their calls cost depends on their prompts.
    """
    return sum(_usd_of(workspace, pairs, {judge.name for judge in workspace.settings.judges}).values())


def _usd_of(workspace: Workspace, pairs: Sequence[str], used: Collection[str]) -> dict[str, float]:
    settings, lake = workspace.settings, workspace.lake
    recorded = lake.read("recorded_verdicts") if any(j.provider == "recorded" for j in settings.judges) else None
    num_recorded = {
        j.name: Counter({p: len(r) for p, r in RecordedJudge(j.name, recorded, tuple(j.labellers)).records.items()})
        for j in settings.judges
        if recorded is not None and j.provider == "recorded" and j.usd_per_call
    }
    return usd_of_pairs(pairs, settings.judges, settings.voting, used, num_recorded)
