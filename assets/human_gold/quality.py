"""Quality of people's labels as the run shows it: metadata and checks in Dagster, sections of the manager's page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from assets.human_gold.agreement import HumanQuality, measure_quality
from assets.human_gold.agreement.charts import charts_of
from assets.human_gold.crowd_labels import events_of_rounds
from assets.pool import clusters_of, pool_with_splits
from assets.workspace import Workspace

TITLES = {
    "people": "People",
    "slices": "Agreement by slice",
    "pairs_of_people": "Pairs of people (Cohen's kappa)",
    "confusions": "How each person errs (crowd model)",
    "drift": "Change over time",
    "weeks": "Labels by week",
}
_PLOTS = {
    "people": ("agreement_with_others", "self_agreement", "known_answers", "sides", "pace"),
    "slices": ("alpha_by_slice",),
    "pairs_of_people": ("kappa",),
    "confusions": ("crowd_accuracy", "crowd_confusion"),
    "drift": ("drift",),
    "weeks": ("labels_per_week",),
}
_DATA_URI = re.compile(r"\((data:image/[^)]+)\)")


def quality_of_people(workspace: Workspace, round_name: str | None = None) -> HumanQuality:
    """How far the labels of all rounds up to one can be believed; of all rounds without one."""
    settings, lake = workspace.settings, workspace.lake
    names = settings.round_names
    rounds = names if round_name is None else names[: names.index(round_name) + 1]
    events = events_of_rounds(lake, "person", rounds)
    asked = set(events["pair_id"].to_pylist())
    pool = [row for row in pool_with_splits(lake).to_pylist() if row["pair_id"] in asked]
    kinds = {
        "category": "task_category",
        "objectivity": "objectivity",
        "controversiality": "controversiality",
        "source": "source",
    }
    slices = {
        kind: {row["pair_id"]: row[column] for row in pool if row[column] is not None} for kind, column in kinds.items()
    }
    return measure_quality(events, clusters_of(lake), slices, seed=settings.seed)


def sections_for_managers(workspace: Workspace) -> Mapping[str, tuple[Sequence[Mapping], Sequence[str]]]:
    """Tables and plots of the manager's page, by title: what has reached the ledger."""
    quality = quality_of_people(workspace)
    charts, tables = charts_of(quality), quality.tables()
    sections: dict[str, tuple[Sequence[Mapping], Sequence[str]]] = {}
    if warnings := quality.warnings():
        sections["To look at"] = ([{"what": warning} for warning in warnings], [])
    for name, title in TITLES.items():
        plots = [uri for plot in _PLOTS[name] if plot in charts for uri in _DATA_URI.findall(charts[plot])]
        if tables[name]:
            sections[title] = (tables[name], plots)
    return sections
