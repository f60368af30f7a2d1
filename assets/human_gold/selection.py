"""Selection: which pairs people are asked about, in the seed round and in the rounds after it.

Nothing here reads a label of a person: what is selected depends on the pool, attributes, judges and the model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from assets.accounting import StageCounts
from assets.chance import rank_key
from assets.contracts import SPLITS
from assets.errors import ConfigError, ContractError

SEED_SCHEMA = pa.schema([("pair_id", pa.string()), ("split", pa.string()), ("asked", pa.string())])
OFFERED_SCHEMA = pa.schema(
    [
        ("pair_id", pa.string()),
        ("judge_verdict", pa.string()),
        ("judge_confidence", pa.float64()),
        ("probability_1", pa.float64()),
        ("objectivity", pa.string()),
        ("controversiality", pa.string()),
    ]
)
PEOPLE_SCHEMA = pa.schema([("pair_id", pa.string()), ("reason", pa.string()), ("disagreement", pa.float64())])

_SEED_COLUMNS = ("pair_id", "prompt_cluster_id", "source", "stage", "split", "usable", "objectivity")
_LATER_COLUMNS = ("pair_id", "judge_verdict", "judge_confidence", "probability_1", "objectivity")
# A side on which judges and model differ comes first, then what could not be compared, then agreement.
_REASON_ORDER = ("judges_and_model_disagree", "judges_undecided", "not_compared", "judges_and_model_agree")


@dataclass(frozen=True)
class Selection:
    """Pairs selected, and what became of every pair offered.

    Attributes:
        table: `SEED_SCHEMA` or `PEOPLE_SCHEMA`, in order of pair id.
        counts: pairs offered in, selected out, dropped by reason.
    """

    table: pa.Table
    counts: StageCounts


def select_seed(
    pool: pa.Table,
    *,
    people_budget: Mapping[str, int],
    judged_budget: int,
    seed: int,
    people_can_answer: Collection[str] | None = None,
    judges_can_answer: Collection[str] | None = None,
    always_people: Collection[str] = (),
) -> Selection:
    """Choose the seed round's pairs: for people by split, and further train pairs for judges alone.

    Each split's budget is shared out over the sources in proportion to their pairs (largest remainder), and
    within a source over its prompts, one pair of each prompt before a second of any. In train, objective pairs
    of low controversy come first (paper, human verification); dev and holdout measure, so they stay a fair
    draw of the pool.

    Args:
        pool: columns pair_id, prompt_cluster_id, source, stage, split (null: none), usable, objectivity and
            controversiality (null: no attributes). Further columns are ignored.
        people_budget: pairs by split, `always_people` not counted.
        judged_budget: pairs of the train split that go to judges alone.
        seed: of the draw.
        people_can_answer: pairs for which a person's verdict can be had; None means all (not for recorded people).
        judges_can_answer: the same of judges.
        always_people: pairs that people see whatever the budget, such as those written by hand.

    Returns:
        Rows with `asked` "people" or "judges". Dropped reasons: not_stage_1, no_split, split_conflict,
        nobody_can_answer, over_budget.
    """
    if unknown := sorted(set(people_budget) - set(SPLITS)):
        raise ConfigError(f"There is no split named {unknown[0]!r}.", where="rounds.seed_people")
    rows = _rows(pool, _SEED_COLUMNS)
    dropped: Counter[str] = Counter()
    usable = []
    for row in rows:
        if reason := _why_unusable(row):
            dropped[reason] += 1
        else:
            usable.append(row)

    always = set(always_people)
    chosen: dict[str, tuple[str, str]] = {
        r["pair_id"]: (r["split"], "people") for r in usable if r["pair_id"] in always
    }
    for split in SPLITS:
        offered = [
            r
            for r in usable
            if r["split"] == split and r["pair_id"] not in chosen and _in(r["pair_id"], people_can_answer)
        ]
        taken = _stratified(offered, people_budget.get(split, 0), seed, objective_first=split == "train")
        chosen |= {pair: (split, "people") for pair in taken}
    offered = [
        r
        for r in usable
        if r["split"] == "train" and r["pair_id"] not in chosen and _in(r["pair_id"], judges_can_answer)
    ]
    chosen |= {pair: ("train", "judges") for pair in _stratified(offered, judged_budget, seed, objective_first=True)}

    for row in usable:
        if row["pair_id"] not in chosen:
            answerable = _in(row["pair_id"], people_can_answer) or (
                row["split"] == "train" and _in(row["pair_id"], judges_can_answer)
            )
            dropped["over_budget" if answerable else "nobody_can_answer"] += 1
    table = [{"pair_id": p, "split": split, "asked": asked} for p, (split, asked) in sorted(chosen.items())]
    return Selection(
        pa.Table.from_pylist(table, schema=SEED_SCHEMA),
        StageCounts(len(rows), len(table), dict(sorted(dropped.items()))),
    )


def select_for_people(
    retrieved: pa.Table,
    *,
    budget: int,
    seed: int,
    people_can_answer: Collection[str] | None = None,
) -> Selection:
    """Choose which retrieved pairs go to people, by `in_order_of_priority`.

    The disagreement is |p_judges - p_model|; a tie of the judges reads as 0.5.

    Args:
        retrieved: columns pair_id, judge_verdict and judge_confidence (null: no panel verdict), probability_1
            (the model's, of response 1; null: not scored), objectivity, controversiality.
        budget: the round's human budget, in pairs.
        seed: of the draw.
        people_can_answer: pairs for which a person's verdict can be had; None means all.

    Returns:
        Rows with the reason and the disagreement (null where it could not be computed). Dropped reasons:
        nobody_can_answer, over_budget.
    """
    rows = _rows(retrieved, _LATER_COLUMNS)
    compared = []
    for row in rows:
        if not _in(row["pair_id"], people_can_answer):
            continue
        reason, disagreement = compare_with_model(row["judge_verdict"], row["judge_confidence"], row["probability_1"])
        compared.append(row | {"reason": reason, "disagreement": disagreement})
    ranked = in_order_of_priority(compared, seed)
    taken = [{name: row[name] for name in PEOPLE_SCHEMA.names} for row in ranked[:budget]]
    taken.sort(key=lambda row: row["pair_id"])
    dropped = {"nobody_can_answer": len(rows) - len(ranked), "over_budget": len(ranked) - len(taken)}
    return Selection(
        pa.Table.from_pylist(taken, schema=PEOPLE_SCHEMA),
        StageCounts(len(rows), len(taken), {reason: n for reason, n in dropped.items() if n}),
    )


def in_order_of_priority(rows: Iterable[Mapping], seed: int) -> list[Mapping]:
    """Pairs in the order in which people are to see them.

    Objective pairs of low controversy first (paper, human verification); then pairs on whose side judges and reward
    model differ, pairs the judges could not decide, pairs that could not be compared, the rest; within each by the
    size of the disagreement, or the model's doubt where there is nothing to compare; then by hash.

    Args:
        rows: with pair_id, objectivity, controversiality and reason; disagreement and probability_1 where known. A
            reason that compares nothing, such as the seed's, reads as not compared.
    """

    def key(row: Mapping) -> tuple:
        reason = row["reason"] if row["reason"] in _REASON_ORDER else "not_compared"
        disagreement = row.get("disagreement")
        return (
            not _is_easy(row),
            _REASON_ORDER.index(reason),
            # Without judges to compare with, the model's own doubt decides.
            -(_doubt(row.get("probability_1")) if disagreement is None else disagreement),
            rank_key(seed, "people", row["pair_id"]),
        )

    return sorted(rows, key=key)


def compare_with_model(
    verdict: str | None, confidence: float | None, probability_1: float | None
) -> tuple[str, float | None]:
    """How judges and reward model stand to each other on one pair: a reason of `select_for_people`, and how far apart.

    >>> compare_with_model("1", 0.9, 0.2), compare_with_model("undecided", 0.55, 0.6)
    (('judges_and_model_disagree', 0.7), ('judges_undecided', 0.1))
    """
    if verdict is None or probability_1 is None:
        return ("judges_undecided" if verdict in ("tie", "undecided") else "not_compared"), None
    if verdict in ("tie", "undecided"):
        return "judges_undecided", round(abs(0.5 - probability_1), 12)
    sure = 1.0 if confidence is None else confidence
    p_judges = sure if verdict == "1" else 1 - sure
    same_side = (probability_1 > 0.5) == (verdict == "1") and probability_1 != 0.5
    reason = "judges_and_model_agree" if same_side else "judges_and_model_disagree"
    return reason, round(abs(p_judges - probability_1), 12)


def share_out(total: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Share a budget out in proportion to sizes, by largest remainder; no stratum gets more than it has.

    >>> share_out(10, {"a": 70, "b": 20, "c": 10}), share_out(10, {"a": 3, "b": 4})
    ({'a': 7, 'b': 2, 'c': 1}, {'a': 3, 'b': 4})
    """
    everything = sum(sizes.values())
    if total >= everything:
        return dict(sizes)
    exact = {name: total * size / everything for name, size in sizes.items()}
    shares = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(sizes, key=lambda name: (shares[name] - exact[name], name))
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def _stratified(rows: Sequence[dict], budget: int, seed: int, *, objective_first: bool) -> list[str]:
    by_source: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        by_source[row["source"]].append(row)
    shares = share_out(budget, {source: len(found) for source, found in sorted(by_source.items())})
    taken: list[str] = []
    for source, found in by_source.items():
        found.sort(key=lambda row: rank_key(seed, "seed", row["pair_id"]))
        nth_of_prompt: Counter[tuple[str, bool]] = Counter()
        ranked = []
        for place, row in enumerate(found):
            late = objective_first and not _is_easy(row)
            prompt = (row["prompt_cluster_id"], late)
            ranked.append((late, nth_of_prompt[prompt], place, row["pair_id"]))
            nth_of_prompt[prompt] += 1
        taken += [pair for *_, pair in sorted(ranked)[: shares[source]]]
    return taken


def _why_unusable(row: Mapping) -> str | None:
    if row["stage"] != 1:
        return "not_stage_1"
    if row["split"] is None:
        return "no_split"
    return None if row["usable"] else "split_conflict"


def _doubt(probability: float | None) -> float:
    """0.5 where the model is at a loss, 0 where it is sure or was not asked."""
    return 0.0 if probability is None else 0.5 - abs(probability - 0.5)


def _is_easy(row: Mapping) -> bool:
    return row["objectivity"] == "objective" and row["controversiality"] == "low"


def _in(pair: str, allowed: Collection[str] | None) -> bool:
    return allowed is None or pair in allowed


def _rows(table: pa.Table, columns: Sequence[str]) -> list[dict]:
    names = [*columns, "controversiality"]
    if missing := [name for name in names if name not in table.schema.names]:
        raise ContractError(f"The table to select from lacks the columns {missing}.", todo="join them before selecting")
    return table.select(names).to_pylist()
