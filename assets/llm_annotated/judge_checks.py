"""Judge checks: what must hold of a round's judges, each a sentence with what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assets.llm_annotated.bar import NOT_ITS_FAULT
from assets.llm_annotated.drift import Drift
from assets.llm_annotated.qualification import JudgeQualification, Qualification

CHECKS = {
    "a_judge_is_used": "At least one configured judge reaches the bar on gold dev: without one, a round labels nothing",
    "judges_are_weighed_on_gold": "Every used judge was measured on enough gold dev to be weighed by it",
    "judges_answer": "No judge fails on more than a tenth of its calls; judges without a record of a pair do not fail",
    "judges_are_calibrated": "The panel's confidence says how often it is right, as far as gold dev can tell",
    "no_judge_drifts": "No judge became worse than the setting allows since the round before, beyond chance",
    "no_used_judge_prefers_a_place": "No used judge prefers the response shown first, or second",
    "no_used_judge_prefers_length": "No used judge prefers the longer response, or the shorter, more than gold does",
    "no_judge_alone_beats_the_panel": "No judge alone is more right on gold dev than the weighted panel, beyond chance",
}
"""By name, what each says. The first stops the round where it fails, the others warn."""

_MAX_FAILED = 0.1


@dataclass(frozen=True)
class CheckResult:
    """One check: its name, whether it holds, and what was seen."""

    name: str
    passed: bool
    seen: str


def check_judges(found: Qualification, drifts: Sequence[Drift], *, num_configured: int) -> tuple[CheckResult, ...]:
    """All of `CHECKS`, in their order.

    Args:
        num_configured: a run that configures no judge wants none, and passes.
    """
    used = [judge for judge in found.judges if judge.used]
    not_used = "; ".join(f"{judge.judge}: {judge.why}" for judge in found.judges if not judge.used)
    names = ", ".join(judge.judge for judge in used)
    return (
        CheckResult(
            "a_judge_is_used",
            bool(used) or not num_configured,
            (f"used: {names}. " if used else "no judge is used. " if num_configured else "none is configured.")
            + not_used,
        ),
        _of_judges(
            "judges_are_weighed_on_gold",
            [f"{judge.judge}: {judge.why}" for judge in used if judge.weight_from == "assumed"],
            f"weights: {found.weighting}",
        ),
        _of_judges(
            "judges_answer",
            [
                f"{judge.judge}: {_num_failed(judge)} of {judge.num_calls} calls"
                for judge in found.judges
                if _num_failed(judge) > _MAX_FAILED * judge.num_calls
            ],
            f"{sum(map(_num_failed, found.judges))} of {sum(j.num_calls for j in found.judges)} calls failed",
        ),
        _calibrated(found),
        _of_judges(
            "no_judge_drifts",
            [
                f"{one.judge}: {one.before:.3f} before, {one.now:.3f} now on {one.num_labels} labels"
                for one in drifts
                if one.drifted
            ],
            f"{len(drifts)} judges compared with the round before" if drifts else "there is no round before",
        ),
        *(
            _of_judges(
                name,
                [f"{judge.judge}: {getattr(judge, bias):+.3f}" for judge in used if bias in judge.flags],
                "none among the used judges",
            )
            for name, bias in (
                ("no_used_judge_prefers_a_place", "position_bias"),
                ("no_used_judge_prefers_length", "length_bias"),
            )
        ),
        _panel_is_best(found),
    )


def _num_failed(judge: JudgeQualification) -> int:
    return sum(n for status, n in judge.statuses.items() if status not in NOT_ITS_FAULT)


def _of_judges(name: str, against: Sequence[str], otherwise: str) -> CheckResult:
    return CheckResult(name, not against, "; ".join(against) or otherwise)


def _calibrated(found: Qualification) -> CheckResult:
    if found.measures is None or found.measures.calibrated.ece is None:
        return CheckResult("judges_are_calibrated", True, "no verdict of a used judge on gold dev to tell by")
    seen = found.measures.calibrated
    return CheckResult(
        "judges_are_calibrated",
        seen.is_calibrated,
        f"ECE {seen.ece:.3f} on {seen.num} gold pairs; chance alone stays below {seen.ece_by_chance:.3f}. "
        f"Before the temperature: {found.measures.raw.ece:.3f}. {found.calibration}",
    )


def _panel_is_best(found: Qualification) -> CheckResult:
    name = "no_judge_alone_beats_the_panel"
    single = (
        next((c for c in found.measures.compared if c.name == "best single judge"), None) if found.measures else None
    )
    if single is None or single.difference is None:
        return CheckResult(name, True, "no judge answered every pair")
    worse = single.difference_interval is not None and single.difference_interval[1] < 0
    interval = (
        f", 95 % interval {single.difference_interval[0]:+.3f} to {single.difference_interval[1]:+.3f}"
        if single.difference_interval
        else ", too few prompts for an interval"
    )
    return CheckResult(name, not worse, f"panel less best single judge: {single.difference:+.3f}{interval}")
