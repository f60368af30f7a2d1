"""Verdicts: a judge's reply becomes a verdict in terms of the candidates, or the reason why it is none.

Nothing is guessed: a reply that does not say exactly what was asked for has a status of its own and no verdict.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from assets.llm_annotated.prompting.judge_prompt import VerdictKind
from assets.llm_annotated.prompting.reading import ReplyProblem, read_object, why_not

CHOICES = ("1", "2", "tie")
VERDICTS = (*CHOICES, "undecided")

# Least probability a candidate is credited with: log-probabilities are rounded, and none is 0.
_FLOOR = 1e-6
_MARK = re.compile(r"[\s*_#>`]*verdict[\s*_`]*[:：][\s*_`]*(.*?)[\s*_`]*\.?[\s*_`]*\Z", re.IGNORECASE)
_MARKED = {"candidate 1": "1", "candidate 2": "2", "1": "1", "2": "2", "tie": "tie", "undecided": "undecided"}
_NAN = frozenset({"nan", "none", "null", "n/a"})
_BOTH = re.compile(r"\bboth\b|\b1\b.*\b2\b|\b2\b.*\b1\b")


@dataclass(frozen=True)
class ParsedVerdict:
    """What a reply says.

    Attributes:
        verdict: "1" (Candidate 1), "2", "tie" or "undecided".
        probability_first: of Candidate 1 against Candidate 2; None without log-probabilities.
        log_probability: of the verdict's first token.
    """

    verdict: str
    probability_first: float | None = None
    log_probability: float | None = None


def schema_of(reasoning: bool) -> Mapping:
    """JSON schema of a verdict; with the reasoning before it, since what is written first decides."""
    properties: dict[str, Mapping] = {"reasoning": {"type": "string"}} if reasoning else {}
    properties["verdict"] = {"type": "string", "enum": list(VERDICTS)}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def parse_verdict(reply: str, kind: VerdictKind, log_probabilities: Mapping[str, float] | None = None) -> ParsedVerdict:
    """The verdict of a reply.

    Args:
        log_probabilities: of the first token's likeliest candidates; read for `choice` alone, where the first token is
            the verdict.

    Raises:
        ReplyProblem: there is none. Reasons: empty_reply, no_verdict, both_verdicts, unknown_verdict, nan, refused,
            other_language, not_at_the_end (text goes on after the verdict), and those of `reading.read_object`.
    """
    if not reply.strip():
        raise ReplyProblem("empty_reply")
    if kind == "json_schema":
        return ParsedVerdict(_of_object(reply))
    if kind == "text":
        return ParsedVerdict(_of_text(reply))
    said = reply.strip()
    verdict = said if said in CHOICES else _named(said)
    if verdict not in CHOICES:
        raise ReplyProblem("unknown_verdict")
    return ParsedVerdict(verdict, *_probabilities(verdict, log_probabilities or {}))


def _of_object(reply: str) -> str:
    try:
        found = read_object(reply)
    except ReplyProblem as problem:
        raise ReplyProblem("both_verdicts" if problem.reason == "doubled_key" else problem.reason) from None
    if "verdict" not in found:
        raise ReplyProblem("no_verdict")
    value = found["verdict"]
    if isinstance(value, str):
        return _named(value)
    if value is None:
        raise ReplyProblem("nan")
    raise ReplyProblem("both_verdicts" if isinstance(value, list) and len(value) > 1 else "unknown_verdict")


def _of_text(reply: str) -> str:
    lines = [line for line in reply.splitlines() if line.strip()]
    marked = [(at, found[1]) for at, line in enumerate(lines) if (found := _MARK.match(line))]
    if not marked:
        raise ReplyProblem(why_not(reply.strip(), "no_verdict"))
    verdicts = {_named(said) for _, said in marked}
    if len(verdicts) > 1:
        raise ReplyProblem("both_verdicts")
    if marked[-1][0] != len(lines) - 1:
        raise ReplyProblem("not_at_the_end")
    return verdicts.pop()


def _named(said: str) -> str:
    """The verdict of its name, as the prompt names it.

    Raises:
        ReplyProblem: nan, both_verdicts, refused, other_language or unknown_verdict.
    """
    folded = " ".join(said.lower().split())
    if folded in _MARKED:
        return _MARKED[folded]
    if not folded:
        raise ReplyProblem("no_verdict")
    if folded in _NAN:
        raise ReplyProblem("nan")
    if _BOTH.search(folded):
        raise ReplyProblem("both_verdicts")
    raise ReplyProblem(why_not(said, "unknown_verdict"))


def _probabilities(verdict: str, log_probabilities: Mapping[str, float]) -> tuple[float | None, float | None]:
    """(probability of Candidate 1 against 2, log-probability of the verdict) from the first token's candidates.

    Tokens that differ in white space are one. A candidate that is not among the likeliest has no more than the
    unlikeliest of them, and no more than what these leave.
    """
    known = {
        token: math.exp(value)
        for token, value in log_probabilities.items()
        if isinstance(value, int | float) and math.isfinite(value) and value <= 1e-3
    }
    if not known:
        return None, None
    of = {
        name: sum(p for token, p in known.items() if token.strip() and name.startswith(token.strip().lower()))
        for name in CHOICES
    }
    log_probability = math.log(min(1.0, of[verdict])) if of[verdict] else None
    if not of["1"] and not of["2"]:
        return None, log_probability
    rest = min(min(known.values()), max(0.0, 1 - sum(known.values())))
    first, second = (max(of[name] or rest, _FLOOR) for name in ("1", "2"))
    return first / (first + second), log_probability
