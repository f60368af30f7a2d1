"""The bar: whether what was measured of a judge lets it annotate, and the sentence that says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.weighing import ASSUMED_ACCURACY

# Flags that keep a judge from being used.
STOPPING = frozenset(
    {
        "mostly_failed",
        "names_the_first_shown",
        "names_the_last_shown",
        "constant_verdict",
        "mostly_undecided",
        "below_bar",
    }
)

NOT_ITS_FAULT = frozenset({"no_record", "no_truth", "suspected_injection"})
"""Statuses that say nothing about a judge: what it replays does not hold the pair, or the pair is not shown to it."""

# So many equal verdicts on gold that holds both sides happen to a judge of 75 % less than once in a thousand times.
_NUM_CONSTANT = 10
# A judge that names one place in so many of its calls does not read.
_ONE_PLACE = 0.98
# A bias is flagged when it is this large and its 95 % interval excludes 0.
_NOTABLE_BIAS = 0.05

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Seen:
    """What the bar looks at.

    Attributes:
        num_answered: gold pairs with any verdict; num_failed: pairs without one, unless that is not the judge's fault.
        statuses: failed calls by reason.
        sides: number of pairs by side the judge gave ("1", "2").
        gold_has_both: whether gold names both sides among them.
        num_first_shown, num_sided_calls: calls that named the response shown first, of those with a side; both 0
            where only one order was asked.
        accuracy: on the pairs with a side; None without any.
        position_bias, length_bias: value and 95 % interval.
    """

    num_answered: int
    num_failed: int
    statuses: Mapping[str, int]
    sides: Mapping[str, int]
    gold_has_both: bool
    num_first_shown: int
    num_sided_calls: int
    accuracy: float | None
    position_bias: tuple[float, Interval] | None
    length_bias: tuple[float, Interval] | None

    @property
    def num_sided(self) -> int:
        """Pairs with a side."""
        return sum(self.sides.values())


def flags_of(seen: Seen, voting: VotingSettings) -> tuple[str, ...]:
    """Everything notable of a judge; it is used when none of these is in `STOPPING`."""
    flags = []
    if seen.num_failed and seen.num_failed >= seen.num_answered:
        flags.append("mostly_failed")
    if seen.num_sided_calls >= 2 * _NUM_CONSTANT:
        share = seen.num_first_shown / seen.num_sided_calls
        if max(share, 1 - share) >= _ONE_PLACE:
            flags.append("names_the_first_shown" if share > 0.5 else "names_the_last_shown")
    if seen.num_sided >= _NUM_CONSTANT and len(seen.sides) == 1 and seen.gold_has_both:
        flags.append("constant_verdict")
    enough = voting.min_labels_to_qualify
    if seen.num_sided < enough:
        mute = seen.num_answered >= enough and seen.num_sided < seen.num_answered / 2
        flags.append("mostly_undecided" if mute else "too_few_labels")
    elif seen.accuracy is not None and seen.accuracy < voting.min_accuracy:
        flags.append("below_bar")
    flags += [
        name
        for name, bias in (("position_bias", seen.position_bias), ("length_bias", seen.length_bias))
        if bias and bias[1] and abs(bias[0]) >= _NOTABLE_BIAS and not bias[1][0] <= 0 <= bias[1][1]
    ]
    return tuple(flags)


def is_used(flags: tuple[str, ...]) -> bool:
    """Whether no flag stops the judge."""
    return not STOPPING & set(flags)


def why(flags: tuple[str, ...], seen: Seen, voting: VotingSettings) -> str:
    """One sentence, or two: whether the judge is used, and the reason."""
    share = "none" if seen.accuracy is None else f"{seen.accuracy:.3f}"
    if "mostly_failed" in flags:
        reasons = ", ".join(f"{name} {n}" for name, n in sorted(seen.statuses.items(), key=lambda x: (-x[1], x[0])))
        return (
            f"Not used: {seen.num_failed} of {seen.num_failed + seen.num_answered} gold pairs got no verdict from it "
            f"(calls: {reasons})."
        )
    for flag, place, num in (
        ("names_the_first_shown", "first", seen.num_first_shown),
        ("names_the_last_shown", "second", seen.num_sided_calls - seen.num_first_shown),
    ):
        if flag in flags:
            return (
                f"Not used: it names the response shown {place} in {num} of {seen.num_sided_calls} calls, whichever "
                f"that is."
            )
    if "constant_verdict" in flags:
        return f"Not used: it says {next(iter(seen.sides))!r} on all {seen.num_sided} pairs, and gold says both."
    if "mostly_undecided" in flags:
        return (
            f"Not used: it has a side on {seen.num_sided} of {seen.num_answered} answered gold pairs, less than half "
            f"and fewer than {voting.min_labels_to_qualify}."
        )
    if "below_bar" in flags:
        return f"Not used: accuracy {share} on {seen.num_sided} labels is below the bar of {voting.min_accuracy:g}."
    if "too_few_labels" in flags:
        return (
            f"Used at an assumed accuracy of {ASSUMED_ACCURACY:g}: it has a side on {seen.num_sided} gold pairs, "
            f"fewer than {voting.min_labels_to_qualify}."
        )
    notes = ""
    if "position_bias" in flags and seen.position_bias:
        notes += f" It prefers the response shown {'first' if seen.position_bias[0] > 0 else 'second'}."
    if "length_bias" in flags and seen.length_bias:
        notes += f" It prefers the {'longer' if seen.length_bias[0] > 0 else 'shorter'} response."
    return f"Used: accuracy {share} on {seen.num_sided} labels reaches the bar of {voting.min_accuracy:g}.{notes}"
