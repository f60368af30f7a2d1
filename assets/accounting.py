"""Row accounting: every row that goes into a stage comes out or is dropped under a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from assets.errors import SynprefError


@dataclass(frozen=True)
class StageCounts:
    """What became of the rows of one stage.

    Attributes:
        rows_in: rows the stage was given.
        rows_out: rows that go on.
        dropped: rows that do not, by reason.

    Raises:
        SynprefError: the three do not add up, which is always a defect of the stage.

    >>> StageCounts(5, 3, {"empty_response": 2}).num_dropped
    2
    """

    rows_in: int
    rows_out: int
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rows_in != self.rows_out + self.num_dropped:
            raise SynprefError(
                f"A stage lost count of its rows: {self.rows_in} in, {self.rows_out} out, "
                f"{self.num_dropped} dropped ({dict(self.dropped)}).",
                kept="nothing of this stage was published",
                todo="report this as a defect",
            )

    @property
    def num_dropped(self) -> int:
        """Rows dropped, all reasons together."""
        return sum(self.dropped.values())

    def __add__(self, other: StageCounts) -> StageCounts:
        dropped = Counter(self.dropped)
        dropped.update(other.dropped)
        return StageCounts(self.rows_in + other.rows_in, self.rows_out + other.rows_out, dict(sorted(dropped.items())))

    def as_dict(self) -> dict:
        """Plain form for manifests and reports; reasons in alphabetical order."""
        return {"rows_in": self.rows_in, "rows_out": self.rows_out, "dropped": dict(sorted(self.dropped.items()))}

    @classmethod
    def from_dict(cls, value: Mapping) -> StageCounts:
        """Inverse of `as_dict`."""
        return cls(value["rows_in"], value["rows_out"], dict(value["dropped"]))


def with_dropped(counts: StageCounts, reason: str, num: int) -> StageCounts:
    """The counts of a stage before which rows were already dropped for a reason.

    >>> with_dropped(StageCounts(2, 2), "over_budget", 3).as_dict()
    {'rows_in': 5, 'rows_out': 2, 'dropped': {'over_budget': 3}}
    """
    return counts + StageCounts(num, 0, {reason: num}) if num else counts
