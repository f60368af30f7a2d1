"""Qualification: what a round knows of its judges, as it is kept: each one's measures, the panel they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import pyarrow as pa

from assets.llm_annotated.asking import requests_table
from assets.llm_annotated.calibration import Reliability
from assets.llm_annotated.judge_measures import JudgePair
from assets.llm_annotated.judge_slices import Slice
from assets.llm_annotated.panel import PanelModel
from assets.llm_annotated.panel_measures import PanelMeasures


@dataclass(frozen=True)
class JudgeQualification:
    """One judge on gold dev.

    Attributes:
        judge, judge_version, simulated: as in its label events.
        tier: of the cascade.
        num_gold: gold pairs asked about; num_answered of them brought any verdict.
        num_labels: of these, pairs on which the judge has a side: what accuracy is measured on.
        num_clusters: prompt clusters of these.
        accuracy: share of `num_labels` that agree with gold; None without any.
        interval: 95 % (`judge_measures.wilson_interval`); None over too few clusters.
        position_bias: share of calls that chose the response shown first, minus 0.5; None for one order only.
        position_bias_interval: 95 %.
        length_bias: share of sides with the longer response, less gold's own share; None where lengths are not known.
        length_bias_interval: 95 %; None over too few clusters.
        self_consistency: equal verdicts among repetitions of the same call; None without any.
        order_consistency: equal verdicts of the two display orders; None for one order only.
        reliability: the judge's confidence, the share of its votes, against the share that is right.
        slices: accuracy on parts of gold dev.
        statuses: calls without a verdict, by reason.
        num_calls, usd: what the qualification cost.
        usd_per_pair: of a pair asked about.
        prompt_tokens_per_pair, completion_tokens_per_pair: None where no model ran.
        cached_rate: share of prompt tokens that the server had in its cache.
        weight: log-odds the judge counts with when all used judges answer; 0 when it is not used.
        weight_from: "measured", "equal" (as configured), "assumed" (too few labels) or "not_used".
        used: whether the judge annotates.
        flags: see `bar`.
        why: the reason for `used`, in a sentence.
    """

    judge: str
    judge_version: str
    simulated: bool
    tier: int
    num_gold: int
    num_answered: int
    num_labels: int
    num_clusters: int
    accuracy: float | None
    interval: tuple[float, float] | None
    position_bias: float | None
    position_bias_interval: tuple[float, float] | None
    length_bias: float | None
    length_bias_interval: tuple[float, float] | None
    self_consistency: float | None
    order_consistency: float | None
    reliability: Reliability
    slices: tuple[Slice, ...]
    statuses: Mapping[str, int]
    num_calls: int
    usd: float
    usd_per_pair: float
    prompt_tokens_per_pair: float | None
    completion_tokens_per_pair: float | None
    cached_rate: float | None
    weight: float
    weight_from: str
    used: bool
    flags: tuple[str, ...]
    why: str

    @classmethod
    def from_dict(cls, stored: dict) -> JudgeQualification:
        """Back from a manifest."""
        return cls(
            **stored
            | {
                "reliability": Reliability.from_dict(stored["reliability"]),
                "slices": tuple(Slice(**one) for one in stored["slices"]),
                "flags": tuple(stored["flags"]),
            }
        )


@dataclass(frozen=True)
class Qualification:
    """All judges on gold dev.

    Attributes:
        judges: in the order given.
        pairs: agreement and shared errors, for every two judges.
        panel: what the used judges' verdicts are merged with.
        measures: what the merged verdicts are worth; None where no judge is used.
        requests: contract `judge_requests`: the calls that were made; empty when read back from a manifest.
    """

    judges: tuple[JudgeQualification, ...]
    pairs: tuple[JudgePair, ...]
    panel: PanelModel
    measures: PanelMeasures | None
    requests: pa.Table = field(compare=False)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every judge that is used, by name, when all of them answer."""
        return {j.judge: j.weight for j in self.judges if j.used}

    @property
    def weighting(self) -> str:
        """How the weights came about: measured, equal (too few labels, or configured), mixed, or none (no judge)."""
        kinds = {"equal" if j.weight_from == "assumed" else j.weight_from for j in self.judges if j.used}
        if not kinds:
            return "none"
        return "mixed" if len(kinds) > 1 else kinds.pop()

    @property
    def calibration(self) -> str:
        """One sentence: what was done about the panel's confidence."""
        if not self.panel.accuracies:
            return "No judge is used, so there is no confidence."
        if not self.panel.temperatures:
            return "Not calibrated: voting.calibrate is off."
        if not any(self.panel.num_labels.values()):
            return "Not calibrated: gold dev has too few pairs with a verdict, so temperatures stay at 1."
        fitted = "; ".join(
            f"tier {tier}: {value:.2f} on {self.panel.num_labels.get(tier, 0)} labels"
            if self.panel.num_labels.get(tier)
            else f"tier {tier}: {value:.2f}, too few labels of its own"
            for tier, value in sorted(self.panel.temperatures.items())
        )
        return f"Log-odds are divided by a temperature fitted on gold dev ({fitted})."

    def rows(self) -> list[dict]:
        """Rows of the contract `judge_qualification`."""
        same = (
            *("judge", "judge_version", "simulated", "tier", "num_labels", "accuracy", "position_bias", "length_bias"),
            *("self_consistency", "order_consistency", "num_calls", "usd", "weight", "used", "why"),
        )
        return [
            {name: getattr(j, name) for name in same}
            | {
                "low": j.interval[0] if j.interval else None,
                "high": j.interval[1] if j.interval else None,
                "ece": j.reliability.ece,
            }
            for j in self.judges
        ]

    def as_dict(self) -> dict:
        """Plain form for manifests and reports."""
        return {
            "weighting": self.weighting,
            "calibration": self.calibration,
            "judges": [asdict(judge) for judge in self.judges],
            "pairs": [asdict(pair) for pair in self.pairs],
            "panel": self.panel.as_dict(),
            "measures": self.measures.as_dict() if self.measures else None,
        }

    @classmethod
    def from_dict(cls, stored: dict) -> Qualification:
        """Back from a manifest, without the requests."""
        return cls(
            tuple(JudgeQualification.from_dict(one) for one in stored["judges"]),
            tuple(JudgePair(**one) for one in stored["pairs"]),
            PanelModel.from_dict(stored["panel"]),
            PanelMeasures.from_dict(stored["measures"]) if stored["measures"] else None,
            requests_table([]),
        )
