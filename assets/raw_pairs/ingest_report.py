"""Ingest report: what became of a source, as its manifest keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from assets.accounting import StageCounts


@dataclass(frozen=True)
class IngestReport:
    """What became of a source.

    Attributes:
        revision: hash of the files' hashes or versions, or the hub's commit.
        layouts: file to layout.
        counts: rows of the files in, rows that made pairs out, the rest by reason.
        num_pairs: rows of `pairs` (a ranking makes several of one row).
        left_out: pairs that rows of several completions could have made, by reason (see `completions.pairs_of`).
        score_rules: file to how ratings make a completion's score, where it has such.
        problems: pairs that are none, by problem; they are in `pairs` and dbt excludes them.
        verdicts: labels by verdict, `none` for a pair without one.
        recorded: recorded verdicts by role.
        num_label_makers_left_out: judges' verdicts not recorded since a label of the same pair was made from them.
        num_planted_errors: labels inverted on purpose.
        num_contradicting_truths: pairs whose truth is left out since rows contradict each other on it.
        num_rows_kept: rows of `counts` that were read before and taken over, since only later ones are new.
        unchanged: nothing was read, since the published partitions were made from the same files and settings.
    """

    source: str
    revision: str
    layouts: Mapping[str, str]
    counts: StageCounts
    num_pairs: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    score_rules: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, int] = field(default_factory=dict)
    verdicts: Mapping[str, int] = field(default_factory=dict)
    recorded: Mapping[str, int] = field(default_factory=dict)
    num_label_makers_left_out: int = 0
    num_planted_errors: int = 0
    num_contradicting_truths: int = 0
    num_rows_kept: int = 0
    unchanged: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain form for the manifest."""
        return {**asdict(self), "counts": self.counts.as_dict()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> IngestReport:
        """Inverse of `as_dict`."""
        return cls(**{**value, "counts": StageCounts.from_dict(value["counts"])})

    def after(self, before: IngestReport) -> IngestReport:
        """The report of the rows that `before` reports on and of these, which follow them."""
        return replace(
            self,
            layouts={**before.layouts, **self.layouts},
            score_rules={**before.score_rules, **self.score_rules},
            counts=before.counts + self.counts,
            num_pairs=before.num_pairs + self.num_pairs,
            left_out=_sum(before.left_out, self.left_out),
            problems=_sum(before.problems, self.problems),
            verdicts=_sum(before.verdicts, self.verdicts),
            recorded=_sum(before.recorded, self.recorded),
            num_rows_kept=before.counts.rows_in,
        )


def _sum(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(one) + Counter(two)).items()))
