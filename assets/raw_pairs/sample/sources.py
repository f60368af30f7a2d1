"""The sample's sources: how many pairs each has, how it labels them, in which layout, and what is planted in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from assets.raw_pairs.sample.rows import Labelling, randomly_wrong, systematically_wrong


@dataclass(frozen=True)
class SourcePlan:
    """One source.

    Attributes:
        name: the catalogue's name; the file is NAME.jsonl.
        layout: key of `writing.LAYOUTS`.
        num_pairs: pairs on prompts of its own; what is planted comes on top.
        label: how it labels.
        planted: kind to number of rows, besides label errors.
        borrows_from: sources drawn earlier whose pairs it repeats (duplicates) and contradicts.
        small_talk_rate: share of prompts with an exchange before the question; the layout must hold turns.
    """

    name: str
    layout: str
    num_pairs: int
    label: Labelling
    planted: Mapping[str, int] = field(default_factory=dict)
    borrows_from: tuple[str, ...] = ()
    small_talk_rate: float = 0.0


SOURCES: tuple[SourcePlan, ...] = (
    SourcePlan(
        "sample_people",
        "two_responses",
        2300,
        randomly_wrong(0.20, "crowd_error", "one crowd vote"),
        {
            "duplicate": 30,
            "near_duplicate": 20,
            "role_swap": 20,
            "tie": 50,
            "empty_text": 10,
            "equal_responses": 4,
            "contamination": 25,
            "unreadable": 6,
        },
    ),
    SourcePlan(
        "sample_clean_synthetic",
        "chosen_rejected_text",
        500,
        randomly_wrong(0.03, "uniform_error", "slip"),
        {
            "duplicate": 15,
            "near_duplicate": 10,
            "empty_text": 6,
            "equal_responses": 2,
            "contamination": 15,
            "unreadable": 4,
        },
    ),
    SourcePlan(
        "sample_uniform",
        "chosen_rejected_messages",
        850,
        randomly_wrong(0.25, "uniform_error", "random"),
        {
            "duplicate": 40,
            "near_duplicate": 20,
            "role_swap": 25,
            "contradiction": 30,
            "empty_text": 12,
            "equal_responses": 4,
            "contamination": 30,
            "unreadable": 6,
        },
        borrows_from=("sample_people", "sample_clean_synthetic"),
        small_talk_rate=0.06,
    ),
    SourcePlan(
        "sample_systematic",
        "ratings",
        850,
        systematically_wrong,
        {
            "duplicate": 30,
            "near_duplicate": 20,
            "contradiction": 25,
            "tie": 40,
            "empty_text": 10,
            "equal_responses": 4,
            "contamination": 20,
            "unreadable": 6,
        },
        borrows_from=("sample_uniform", "sample_clean_synthetic"),
    ),
)
HANDWRITTEN = "handwritten"
"""Pairs written by hand, copied as they are; their label is their truth."""
