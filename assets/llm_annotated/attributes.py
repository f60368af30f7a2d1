"""Attributes: the 5-tuple of every pair, here by keyword rules that need no model.

Paper, preference attributes (method, section 2). The rules read the conversation and never the responses; a row
says in `writer` that rules wrote it. They are a stand-in for an LLM, not a rival: they know English only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from assets.accounting import StageCounts
from assets.chance import rank_key
from assets.contracts import conform, contract_of
from assets.guidelines import load_guidelines
from assets.identity import digest

_CUES = Path(__file__).with_name("cues.yaml")
_WORD = re.compile(r"c\+\+|[\w']+")
_DIGITS = re.compile(r"\d+")
_STRONG, _WEAK = 3, 1
# A last turn shorter than this ("Yes, please.") says too little: the user's earlier turns are read with it.
_TELLING_CHARS = 60
# A prompt with so many numbers and a question about an amount is a sum, whatever else it mentions.
_NUMBERS_OF_A_SUM = 2

_USUALLY_OBJECTIVE = frozenset(
    {"information seeking", "coding & debugging", "math", "reasoning", "data analysis", "editing"}
)
# A word like "kill" or "drug" in a program or a sum is its subject matter, not a dispute.
_RARELY_CONTROVERSIAL = frozenset({"coding & debugging", "math", "data analysis"})


@dataclass(frozen=True)
class PromptAttributes:
    """What the rules make of one conversation; values of `assets.contracts`."""

    task_category: str
    objectivity: str
    controversiality: str
    constraints: tuple[str, ...] = ()


class _Matcher:
    """Finds which of many words and phrases a text holds; a phrase is looked for only when its first word is there."""

    def __init__(self, phrases: Mapping[str, Sequence[tuple[str, int]]]) -> None:
        self.words: dict[str, Sequence[tuple[str, int]]] = {}
        self.phrases: dict[str, list[tuple[str, Sequence[tuple[str, int]]]]] = {}
        for phrase, means in phrases.items():
            first, *rest = phrase.split()
            if rest:
                self.phrases.setdefault(first, []).append((f" {phrase} ", means))
            else:
                self.words[phrase] = means

    def scores(self, words: set[str], folded: str) -> Counter[str]:
        """Sum of weights per meaning; each word or phrase counts once."""
        found: Counter[str] = Counter()
        for word in words & self.words.keys():
            for name, weight in self.words[word]:
                found[name] += weight
        for first in words & self.phrases.keys():
            for phrase, means in self.phrases[first]:
                if phrase in folded:
                    for name, weight in means:
                        found[name] += weight
        return found


@dataclass(frozen=True)
class _Rules:
    categories: Sequence[str]
    matcher: _Matcher
    marks: Mapping[str, Sequence[str]]
    version: str


@cache
def _rules() -> _Rules:
    text = _CUES.read_text("utf-8")
    cues = yaml.safe_load(text)
    means: dict[str, list[tuple[str, int]]] = {}

    def add(phrases: Iterable[str], name: str, weight: int) -> None:
        for phrase in phrases:
            means.setdefault(phrase, []).append((name, weight))

    for category, strengths in cues["categories"].items():
        add(strengths["strong"], category, _STRONG)
        add(strengths["weak"], category, _WEAK)
    for name in ("objective", "subjective"):
        add(cues[name], name, 1)
    for level, phrases in cues["controversiality"].items():
        add(phrases, level, 1)
    for constraint, phrases in cues["constraints"].items():
        add(phrases, f"constraint {constraint}", 1)
    return _Rules(tuple(cues["categories"]), _Matcher(means), cues["marks"], digest("cues", text)[:8])


def describe_prompt(turns: Sequence[Mapping[str, str]]) -> PromptAttributes:
    """Category, objectivity, controversiality and fixed constraints of a conversation.

    >>> found = describe_prompt([{"role": "user", "content": "Write a Python function that reverses a string."}])
    >>> found.task_category, found.objectivity, found.controversiality
    ('coding & debugging', 'objective', 'low')
    """
    return describe_text(telling_text(turns))


def telling_text(turns: Sequence[Mapping[str, str]]) -> str:
    """The last user turn, with the earlier ones before it when it is short; with no user turn, every turn."""
    asked = [t["content"] or "" for t in turns if t["role"] == "user"] or [t["content"] or "" for t in turns]
    if not asked or len(asked[-1]) >= _TELLING_CHARS:
        return asked[-1] if asked else ""
    return "\n".join(asked)


def describe_text(text: str) -> PromptAttributes:
    """The same from a text."""
    rules = _rules()
    in_order = _WORD.findall(text.lower().replace("’", "'"))
    words = set(in_order)
    scores = rules.matcher.scores(words, f" {' '.join(in_order)} ")
    for category, marks in rules.marks.items():
        scores[category] += _STRONG * sum(mark in text for mark in marks)
    if "how" in words and words & {"many", "much"} and len(_DIGITS.findall(text)) >= _NUMBERS_OF_A_SUM:
        scores["math"] += _STRONG
    category = max(rules.categories, key=lambda name: scores[name])
    if scores[category] == 0:
        category = "information seeking" if text.rstrip().endswith(("?", "？")) else "other"
    return PromptAttributes(
        task_category=category,
        objectivity=_objectivity(category, scores),
        controversiality=_controversiality(category, scores),
        constraints=tuple(
            name.removeprefix("constraint ") for name in sorted(scores) if name.startswith("constraint ")
        ),
    )


def _objectivity(category: str, scores: Mapping[str, int]) -> str:
    if scores["subjective"] != scores["objective"]:
        return "subjective" if scores["subjective"] > scores["objective"] else "objective"
    return "objective" if category in _USUALLY_OBJECTIVE else "subjective"


def _controversiality(category: str, scores: Mapping[str, int]) -> str:
    if category in _RARELY_CONTROVERSIAL:
        return "medium" if scores["high"] > 1 else "low"
    # Several touchy subjects at once divide people as one grave subject does.
    if scores["high"] or scores["medium"] >= 4:
        return "high"
    return "medium" if scores["medium"] else "low"


class KeywordAttributes:
    """Writes attributes by keyword rules."""

    writer = "keyword_rules"

    @property
    def version(self) -> str:
        """Changes with the rules' words, with any guideline's short text and with the rules themselves."""
        return f"1-{_rules().version}-{load_guidelines().short_version}"

    def write(self, pairs: pa.Table) -> pa.Table:
        """Attributes of every pair.

        Args:
            pairs: columns pair_id, prompt_id and prompt (`contracts.TURNS`); each prompt is read once.

        Returns:
            Contract `attributes`, one row per pair id, in order of pair id.
        """
        prompt_of = dict(zip(pairs["pair_id"].to_pylist(), pairs["prompt_id"].to_pylist(), strict=True))
        described: dict[str, tuple[str, ...]] = {}
        # One conversation at a time: texts can be long, and most are shared by many pairs.
        for prompt_id, row in zip(pairs["prompt_id"].to_pylist(), _rows(pairs["prompt"]), strict=True):
            if prompt_id not in described:
                described[prompt_id] = _five(describe_prompt(row.as_py() or []))
        rows = [(pair, *described[prompt_of[pair]]) for pair in sorted(prompt_of)]
        columns = list(zip(*rows, strict=True)) if rows else [()] * 6
        n = len(rows)
        table = pa.table(
            {
                "pair_id": pa.array(columns[0], pa.string()),
                "writer": pa.array([self.writer] * n, pa.string()),
                "writer_version": pa.array([self.version] * n, pa.string()),
                "task_category": pa.array(columns[1], pa.string()),
                "objectivity": pa.array(columns[2], pa.string()),
                "controversiality": pa.array(columns[3], pa.string()),
                "desired_attributes": pa.array(columns[4], pa.string()),
                "annotation_guideline": pa.array(columns[5], pa.string()),
                "edited_by": pa.nulls(n, pa.string()),
            },
            schema=contract_of("attributes").schema,
        )
        return conform(table, "attributes")


def write_attributes(pairs: pa.Table, *, max_pairs: int) -> tuple[pa.Table, StageCounts]:
    """Attributes of a source's pairs within a budget; when it is too small, pairs are drawn by hash.

    Args:
        pairs: columns pair_id, prompt_id and prompt; a pair that several rows hold is one pair.
        max_pairs: pairs that get attributes, at most. A pair without them cannot be retrieved.

    Returns:
        Contract `attributes` in order of pair id, and the counts: rows in, pairs out; dropped `repeated_pair`
        and `over_budget`.
    """
    num_rows, ids = len(pairs), sorted(set(pairs["pair_id"].to_pylist()))
    chosen = ids
    if len(ids) > max_pairs:
        chosen = sorted(sorted(ids, key=lambda pair: rank_key("attributes", pair))[:max_pairs])
        pairs = pairs.filter(pc.is_in(pairs["pair_id"], value_set=pa.array(chosen, pa.string())))
    dropped = {"repeated_pair": num_rows - len(ids), "over_budget": len(ids) - len(chosen)}
    counts = StageCounts(num_rows, len(chosen), {reason: n for reason, n in dropped.items() if n})
    return KeywordAttributes().write(pairs), counts


def _rows(column: pa.ChunkedArray) -> Iterable[pa.Scalar]:
    for chunk in column.chunks:
        yield from chunk


@cache
def _texts(found: PromptAttributes) -> tuple[str, str]:
    which = (found.task_category, found.objectivity, found.controversiality)
    guidelines = load_guidelines()
    return guidelines.desired(*which, found.constraints), guidelines.short(*which)


def _five(found: PromptAttributes) -> tuple[str, ...]:
    return (found.task_category, found.objectivity, found.controversiality, *_texts(found))


def rule_attributes(turns: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The five fields of one conversation by the rules."""
    names = ("task_category", "objectivity", "controversiality", "desired_attributes", "annotation_guideline")
    return dict(zip(names, _five(describe_prompt(turns)), strict=True))
