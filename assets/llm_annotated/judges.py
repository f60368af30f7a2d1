"""Judges: the recorded judge, and the judges that a configuration names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from assets.contracts import VERDICTS
from assets.errors import ConfigError
from assets.llm_annotated.judging import Judge, JudgeCall, JudgeReply
from assets.llm_annotated.settings import JudgeSettings
from assets.llm_annotated.simulated_judge import SimulatedJudge

__all__ = ["Judge", "RecordedJudge", "SimulatedJudge", "make_judges"]


@dataclass(frozen=True)
class RecordedJudge:
    """A judge whose verdicts came with a source's rows and are replayed; what is not on record it cannot say.

    Attributes:
        name: under which the verdicts count.
        recorded: contract `recorded_verdicts`; only role "judge" is read.
        labellers: those replayed under this name; empty means all.
        usd_per_call: what each replayed call is counted at.
    """

    name: str
    recorded: pa.Table
    labellers: Collection[str] = ()
    usd_per_call: float = 0.0
    simulated: bool = field(default=False, init=False)

    @property
    def version(self) -> str:
        """Whose verdicts are replayed."""
        return f"recorded-1 {' + '.join(sorted(self.labellers)) or 'all labellers'}"

    @cached_property
    def records(self) -> dict[str, list[tuple[int, str]]]:
        """By pair: (first_shown, verdict) in order of source, row and position; a repeated row counts once."""
        rows = [
            row
            for row in self.recorded.to_pylist()
            if row["role"] == "judge" and (not self.labellers or row["labeller"] in self.labellers)
        ]
        rows.sort(key=lambda r: (r["source"], r["source_row"], r["labeller"], r["position"]))
        found: dict[str, dict[tuple, tuple[int, str]]] = {}
        for row in rows:
            verdict = (row["first_shown"] or 0, row["verdict"])
            same = (row["source"], row["labeller"], row["position"], *verdict)
            found.setdefault(row["pair_id"], {}).setdefault(same, verdict)
        return {pair: list(verdicts.values()) for pair, verdicts in found.items()}

    @property
    def pair_ids(self) -> frozenset[str]:
        """Pairs that this judge can answer for."""
        return frozenset(self.records)

    def plan(self, pair_id: str, votes_per_order: int) -> Sequence[tuple[int, int]]:
        """One call per verdict on record, in the order it was recorded in; one call where there is none."""
        seen = {0: 0, 1: 0, 2: 0}
        calls = []
        for first_shown, _ in self.records.get(pair_id, ()):
            calls.append((first_shown, seen[first_shown]))
            seen[first_shown] += 1
        return calls or [(0, 0)]

    def answer(self, calls: Sequence[JudgeCall], *, batch: str = "") -> list[JudgeReply]:
        """The verdicts on record; `no_record` for a pair, an order or a repetition without one."""
        replies = []
        for call in calls:
            in_order = [v for first, v in self.records.get(call.pair_id, ()) if first == call.first_shown]
            if call.vote >= len(in_order):
                replies.append(JudgeReply(None, "no_record"))
            elif in_order[call.vote] not in VERDICTS:
                replies.append(JudgeReply(None, "unknown_verdict"))
            else:
                replies.append(JudgeReply(in_order[call.vote], cost_usd=self.usd_per_call))
        return replies

    def estimate_usd(self, calls: Sequence[JudgeCall]) -> float:
        """What the calls are counted at; nothing is paid to anybody."""
        return len(calls) * self.usd_per_call


def make_judges(
    settings: Sequence[JudgeSettings],
    *,
    truth: Mapping[str, str],
    recorded: pa.Table,
    seed: int,
    category_of: Mapping[str, str] | None = None,
    llm: Callable[[JudgeSettings], Judge] | None = None,
) -> tuple[Judge, ...]:
    """The judges that a configuration names.

    Args:
        settings: one per judge.
        truth: the right verdict by pair, for simulated judges.
        recorded: contract `recorded_verdicts`, for recorded judges.
        seed: the run's.
        category_of: task category by pair, for simulated judges that examples help.
        llm: makes the judges that are language models.

    Raises:
        ConfigError: a simulated judge where no truth is known, or a language model where none can be made.
    """
    judges: list[Judge] = []
    for one in settings:
        if one.provider == "recorded":
            judges.append(RecordedJudge(one.name, recorded, tuple(one.labellers), one.usd_per_call))
            continue
        if one.provider == "llm":
            if llm is None:
                raise ConfigError(f"The judge {one.name!r} is a language model, and none is open.", where="judges")
            judges.append(llm(one))
            continue
        if not truth or one.accuracy is None:
            raise ConfigError(
                f"The simulated judge {one.name!r} needs a sample whose truth is known.",
                where="judges",
                todo="use provider recorded for real data",
            )
        judges.append(
            SimulatedJudge(
                one.name,
                one.accuracy,
                truth,
                seed,
                position_bias=one.position_bias,
                error_correlation=one.error_correlation,
                call_noise=one.call_noise,
                usd_per_call=one.usd_per_call,
                guidance_gain=one.guidance_gain,
                category_of=category_of or {},
            )
        )
    return tuple(judges)
