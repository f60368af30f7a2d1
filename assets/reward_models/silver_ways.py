"""Ways to silver: what the judges' labels are worth merged otherwise, or given without examples, against the truth.

The truth is one that a sample knows; reports read it, and nobody upstream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from assets.llm_annotated.annotate import annotate_pairs
from assets.llm_annotated.cascade import plans_of
from assets.llm_annotated.gold_dev import read_gold_dev, verdicts_in_requests
from assets.llm_annotated.guidance import guide, published_qualification
from assets.llm_annotated.opening import open_judges
from assets.llm_annotated.panel import PanelModel, signed_log_odds
from assets.llm_annotated.panel_measures import Compared, compare_ways
from assets.llm_annotated.qualifying import qualify
from assets.llm_annotated.votes import SIDES, JudgeVerdict
from assets.pool import clusters_of, known_truth
from assets.workspace import Workspace
from evaluation.intervals import compare_paired, estimate_accuracy

_SIMULATED_NOTE = (
    "The judges are simulated: how much examples help them is a setting of the simulation (guidance_gain). This shows "
    "that the machinery brings each pair's examples to the judges, and nothing about what examples do for a language "
    "model. Leading sides, undecided pairs included; gold dev weighs each panel anew."
)
_COSTS_NOTE = "Not compared here, since it costs money: synpref judges qualify --guidance compare."


@dataclass(frozen=True)
class Ways:
    """Ways of getting labels, on the same pairs."""

    compared: tuple[Compared, ...]
    num_pairs: int
    num_clusters: int


def measure(workspace: Workspace, gold_round: str) -> tuple[Ways, Ways, str]:
    """Ways of merging, and ways of guidance, on the pairs that judges labelled in the rounds; and a note on the latter.

    Args:
        gold_round: whose qualification merges.
    """
    lake, settings = workspace.lake, workspace.settings
    nothing, truth = Ways((), 0, 0), known_truth(lake)
    given: dict[str, dict[str, JudgeVerdict]] = {}
    for name in settings.round_names:
        for judge, by_pair in verdicts_in_requests(lake.read("judge_requests", batch=name)).items():
            for pair, verdict in by_pair.items():
                given.setdefault(pair, {})[judge] = verdict
    model = published_qualification(lake, gold_round).panel
    known = {
        pair: {name: verdict for name, verdict in sorted(of_pair.items()) if name in model.accuracies}
        for pair, of_pair in sorted(given.items())
        if truth.get(pair) in SIDES
    }
    known = {pair: of_pair for pair, of_pair in known.items() if of_pair}
    if not known:
        return nothing, nothing, ""
    cluster_of = clusters_of(lake)
    clusters = [cluster_of.get(pair, pair) for pair in known]
    compared = compare_ways(dict.fromkeys(known, model), known, truth, clusters)
    # What was asked is the cascade's already: "the cascade" of it is the same.
    silver = Ways(tuple(c for c in compared if c.name != "cascade"), len(known), len(set(clusters)))
    if any(judge.provider != "simulated" for judge in settings.judges):
        return silver, nothing, _COSTS_NOTE
    return silver, _guidance(workspace, gold_round, known, truth, clusters), _SIMULATED_NOTE


def _guidance(
    workspace: Workspace,
    gold_round: str,
    known: Mapping[str, object],
    truth: Mapping[str, str],
    clusters: list[str],
) -> Ways:
    """Simulated judges asked about the same pairs with the configured examples and without any."""
    lake, settings = workspace.lake, workspace.settings
    dev, plans = read_gold_dev(lake, gold_round), plans_of(settings.judges)
    values: dict[str, list[float]] = {}
    for way in dict.fromkeys((settings.voting.guidance, "none")):
        shown = {
            name: guide(workspace, pairs, gold_round, guidance=way)
            for name, pairs in (("dev", dev["pair_id"].to_pylist()), ("pairs", list(known)))
        }
        with open_judges(workspace, gold_round) as judges:
            found = qualify(judges, dev, settings.voting, examples=shown["dev"], plans=plans)
            result = annotate_pairs(
                list(known),
                judges,
                found,
                settings.voting,
                batch="comparison",
                created_at=datetime.fromtimestamp(0, UTC),
                examples=shown["pairs"],
                plans=plans,
            )
        verdicts = verdicts_in_requests(result.requests)
        right = []
        for pair in known:
            given = {name: of_judge[pair] for name, of_judge in verdicts.items() if pair in of_judge}
            right.append(_leading_right(found.panel, given, truth[pair]))
        values["no examples" if way == "none" else f"{way} examples"] = right
    first = next(iter(values))
    compared = []
    for name, right in values.items():
        estimate = estimate_accuracy(right, clusters, seed=0)
        against = compare_paired(values[first], right, clusters, seed=0).difference
        assert estimate.value is not None
        mine = name == first
        compared.append(
            Compared(
                name, estimate.value, estimate.ci95, None if mine else against.value, None if mine else against.ci95
            )
        )
    return Ways(tuple(compared), len(known), len(set(clusters)))


def _leading_right(panel: PanelModel, given: Mapping[str, JudgeVerdict], side: str) -> float:
    margin = signed_log_odds(panel, given, side)
    return 0.5 if margin == 0 else float(margin > 0)
