"""Attribute section of the report: how much of the written attributes people left as they were."""

from __future__ import annotations

from assets.llm_annotated.attribute_edits import NOBODY_EDITED, people_events, share_rows, unchanged_shares
from assets.pool import clusters_of
from assets.workspace import Workspace
from evaluation.report import summary as s

_COLUMNS = ("field", "pairs", "left unchanged", "low", "high")


def tables(workspace: Workspace) -> tuple[s.ExtraTable, ...]:
    """Share of gold pairs whose field people left unchanged, with 95 % intervals; nothing where there is no gold."""
    lake, settings = workspace.lake, workspace.settings
    gold = set(lake.read("gold", ["pair_id"], as_of_round=settings.round_names[-1])["pair_id"].to_pylist())
    if not gold:
        return ()
    writers = sorted(set(lake.read("attributes", ["writer"])["writer"].to_pylist()))
    shares = unchanged_shares(people_events(lake, settings.round_names), clusters_of(lake), gold)
    note = f"Attributes were written by {', '.join(writers) or 'nobody'}; {NOBODY_EDITED}."
    if shares:
        note = (
            f"Of gold pairs that people labelled with the form before them; written by {', '.join(writers)}. "
            "Intervals are 95 %, clustered by prompt. The paper's people left 96.2 % of categories, 87.4 % of "
            "objectivity and 90.6 % of controversiality."
        )
    rows = tuple(tuple(row[column] for column in _COLUMNS) for row in share_rows(shares))
    return (s.ExtraTable(title="Attributes that people left unchanged", note=note, columns=_COLUMNS, rows=rows),)
