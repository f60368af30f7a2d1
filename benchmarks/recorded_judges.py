"""Recorded judges of real language models, qualified against each other and against the votes of crowds.

    python -m benchmarks.recorded_judges [--data ../shared/data/pool] [--out recorded_judges.json]

No recorded judge overlaps with people, so language models are measured against other language models: agreement, not
accuracy. The verdict that a source's label was made from is never evidence: where a label is the reference, only other
verdicts are judged by it. Crowd votes replayed as a judge are measured against the people's votes that were held back.
Intervals resample prompts (or are Wilson's with their design effect); none over fewer than 20.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import pyarrow.parquet as pq

from assets.contracts import from_rows
from assets.llm_annotated.judge_slices import PairFacts
from assets.llm_annotated.judges import RecordedJudge
from assets.llm_annotated.qualification import JudgeQualification
from assets.llm_annotated.qualifying import qualify
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import SIDES, merge_votes
from assets.raw_pairs.catalogue import load_catalogue
from assets.raw_pairs.recorded import CROWD_JUDGE, Vote, share_votes
from assets.raw_pairs.rows import ParsedPair
from assets.raw_pairs.source_entry import SourceEntry
from assets.settings import REPOSITORY
from assets.workspace import Workspace, data_folder
from evaluation.intervals import Estimate, estimate_accuracy

VOTING = VotingSettings(votes_per_order=1, calibrate=False)
SIDE = {"a": "1", "b": "2", "tie": "tie", "undecided": "undecided"}
NULL_MODEL = "NullModel"


def read(folder: Path, name: str) -> list[dict]:
    """Rows of a pool file, with their meta decoded and a cluster by prompt."""
    rows = pq.read_table(folder / f"{name}.parquet").to_pylist()
    for row in rows:
        row["meta"] = json.loads(row["meta"])
        row["cluster"] = hashlib.sha256(row["prompt"].encode()).hexdigest()[:16]
    return rows


def shared(entry: SourceEntry, row: Mapping):
    """A row's votes as the pipeline shares them out among source, people and judges."""
    pair = ParsedPair((), "", "", row["preferred"], label_origin=row["label_origin"])
    return share_votes(entry, {**row, "meta": json.dumps(row["meta"])}, pair)


def recorded(rows: Iterable[tuple[str, Vote]]):
    """Contract `recorded_verdicts` of votes by pair; canonical side 1 is the file's response a."""
    return from_rows(
        [
            {
                "pair_id": pair,
                "source": "pool",
                "source_row": at,
                "role": "judge",
                "labeller": vote.labeller,
                "first_shown": {"a": 1, "b": 2}.get(vote.first_shown or "", 0),
                "position": vote.position,
                "verdict": SIDE[vote.verdict],
            }
            for at, (pair, vote) in enumerate(rows)
        ],
        "recorded_verdicts",
    )


def reference(rows: Sequence[Mapping], side_of: Mapping[str, str]):
    """Contract `gold` in name only: what the judges are measured against. Pairs without a side are left out."""
    return from_rows(
        [
            {
                "as_of_round": "recorded",
                "pair_id": row["pair_id"],
                "prompt_id": row["cluster"],
                "prompt_cluster_id": row["cluster"],
                "split": "dev",
                "verdict": side_of[row["pair_id"]],
                "confidence": 1.0,
                "num_votes": 1,
                "agreement": 1.0,
            }
            for row in {row["pair_id"]: row for row in rows}.values()
            if side_of.get(row["pair_id"]) in SIDES
        ],
        "gold",
    )


def facts(rows: Sequence[Mapping]) -> dict[str, PairFacts]:
    """Which response is longer."""

    def longer(row: Mapping) -> str | None:
        a, b = len(row["response_a"]), len(row["response_b"])
        return None if a == b else "1" if a > b else "2"

    return {row["pair_id"]: PairFacts(longer=longer(row)) for row in rows}


def row_of(judged: str, against: str, one: JudgeQualification) -> dict:
    """What a qualification says, in one line of the results."""
    return {
        "judge": judged,
        "against": against,
        "pairs": one.num_gold,
        "sides": one.num_labels,
        "prompts": one.num_clusters,
        "agreement": one.accuracy,
        "ci95": one.interval,
        "position_bias": one.position_bias,
        "position_bias_ci95": one.position_bias_interval,
        "order_consistency": one.order_consistency,
        "length_bias": one.length_bias,
        "length_bias_ci95": one.length_bias_interval,
        "flags": list(one.flags),
    }


def share(hits: Sequence[bool], clusters: Sequence[str]) -> dict:
    """A share with its interval, labels and prompts."""
    found: Estimate = estimate_accuracy([float(hit) for hit in hits], list(clusters), seed=0)
    return {"share": found.value, "ci95": found.ci95, "n": found.n, "prompts": found.num_clusters}


def cherry(folder: Path) -> list[dict]:
    """GPT-4 and GPT-3.5 in both orders: against each other, and one order against both."""
    rows, votes = read(folder, "cherry_llm_reviews"), []
    for row in rows:
        first = row["meta"]["orig_first"]
        other = {"a": "b", "b": "a"}[first]
        for place, (judge, order, _, _, verdict) in enumerate(row["meta"]["votes_orig"]):
            side = {"1": first, "2": other}.get(str(verdict), "tie")
            shown = first if order == "as shown" else other
            for name in (judge, f"{judge} {order}"):
                votes.append((row["pair_id"], Vote(name, place, side, shown)))
    table = recorded(votes)
    judges = {name: RecordedJudge(name, table, [name]) for name in dict.fromkeys(vote.labeller for _, vote in votes)}
    found = []
    for judge in ("gpt-4", "gpt-3.5"):
        other = {"gpt-4": "gpt-3.5", "gpt-3.5": "gpt-4"}[judge]
        sides = {p: v.verdict for p, v in _merged(judges[other]).items()}
        names = [judge, f"{judge} as shown", f"{judge} reversed"]
        done = qualify([judges[name] for name in names], reference(rows, sides), VOTING, facts=facts(rows))
        for name, one in zip(names, done.judges, strict=True):
            row = row_of(name, f"{other}, both orders", one)
            if name != judge:
                # One order alone: the two models keep their places, so place and model cannot be told apart.
                row |= {"position_bias": None, "position_bias_ci95": None, "flags": []}
            found.append(row)
    return found


def _merged(judge: RecordedJudge) -> dict:
    from assets.llm_annotated.votes import Vote as Answer

    return {
        pair: merge_votes([Answer(first, n, verdict) for n, (first, verdict) in enumerate(given)])
        for pair, given in judge.records.items()
    }


def alpaca(folder: Path, entry: SourceEntry) -> tuple[list[dict], list[dict]]:
    """Judges of alpaca_eval: every two on the pairs both saw; and those that did not make the label, against it."""
    rows = read(folder, "alpaca_eval")
    by_judge: dict[str, dict[str, Vote]] = defaultdict(dict)
    not_label: list[tuple[str, Vote]] = []
    label: dict[str, str] = {}
    for row in rows:
        votes = shared(entry, row)
        label[row["pair_id"]] = SIDE.get(votes.verdict or "", "")
        for vote in (*((votes.made_by,) if votes.made_by else ()), *votes.judges):
            by_judge[vote.labeller][row["pair_id"]] = vote
        not_label += [(row["pair_id"], vote) for vote in votes.judges]
    found = []
    for a, b in combinations(sorted(by_judge), 2):
        both = by_judge[a].keys() & by_judge[b].keys()
        if both:
            judge = RecordedJudge(a, recorded((p, by_judge[a][p]) for p in sorted(both)), [a])
            gold = reference(
                [r for r in rows if r["pair_id"] in both], {p: SIDE[by_judge[b][p].verdict] or "" for p in both}
            )
            found.append(row_of(a, b, qualify([judge], gold, VOTING, facts=facts(rows)).judges[0]))
    table = recorded(not_label)
    seen = {pair for pair, _ in not_label}
    judges = [RecordedJudge(name, table, [name]) for name in sorted({vote.labeller for _, vote in not_label})]
    gold = reference([r for r in rows if r["pair_id"] in seen], label)
    done = qualify(judges, gold, VOTING, facts=facts(rows))
    found += [row_of(one.judge, "the source's label, made by another judge", one) for one in done.judges]
    return found, null_model(rows, by_judge)


def null_model(rows: Sequence[Mapping], by_judge: Mapping[str, Mapping[str, Vote]]) -> list[dict]:
    """How often the garbage of an answer that was made to fool judges wins."""
    pairs = {row["pair_id"]: row for row in rows if NULL_MODEL in (row["model_a"], row["model_b"])}
    found = []

    def add(name: str, verdicts: Mapping[str, str]) -> None:
        garbage = {p: "a" if pairs[p]["model_a"] == NULL_MODEL else "b" for p in verdicts}
        sided = [p for p in sorted(verdicts) if verdicts[p] in ("a", "b")]
        hits = [verdicts[p] == garbage[p] for p in sided]
        found.append(
            {"judge": name, "ties": len(verdicts) - len(sided), **share(hits, [pairs[p]["cluster"] for p in sided])}
        )

    for name, votes in sorted(by_judge.items()):
        if here := {p: votes[p].verdict for p in votes.keys() & pairs.keys()}:
            add(name, here)
    add("the source's label", {p: row["preferred"] or "tie" for p, row in pairs.items()})
    panel = {}
    for pair in pairs:
        sides = Counter(votes[pair].verdict for votes in by_judge.values() if pair in votes)
        if sum(sides.values()) >= 2:
            (side, num), *rest = sides.most_common()
            panel[pair] = side if not rest or rest[0][1] < num else "tie"
    if panel:
        add("plain majority of two judges or more", panel)
    return found


def one_order(folder: Path) -> list[dict]:
    """GPT-4 in one order (vicuna_blog_eval) and GPT-4's single grades (arena_bench_v1): place and length.

    A model keeps its place in vicuna_blog_eval, so that the first place's share mixes place with which model is better.
    """
    found = []
    for name in ("vicuna_blog_eval", "arena_bench_v1"):
        rows = [row for row in read(folder, name) if row["preferred"] in ("a", "b")]
        clusters = [row["cluster"] for row in rows]
        first = share([row["preferred"] == row["meta"]["orig_first"] for row in rows], clusters)
        longer = [row for row in rows if len(row["response_a"]) != len(row["response_b"])]
        long = share(
            [(row["preferred"] == "a") == (len(row["response_a"]) > len(row["response_b"])) for row in longer],
            [row["cluster"] for row in longer],
        )
        found.append({"source": name, "first_in_file_wins": first, "longer_wins": long})
    return found


def crowds(folder: Path, entries: Mapping[str, SourceEntry]) -> list[dict]:
    """The crowd's votes that play a judge, against the majority of the people's votes; ties of people are left out."""
    found = []
    for name in ("ukpconvarg1", "simpeval"):
        rows, judge_votes = read(folder, name), []
        people: dict[str, str] = {}
        for row in rows:
            votes = shared(entries[name], row)
            counted = Counter(vote.verdict for vote in votes.people)
            (side, num), *rest = counted.most_common() or [("tie", 0)]
            people[row["pair_id"]] = (SIDE[side] or "") if not rest or rest[0][1] < num else "tie"
            judge_votes += [(row["pair_id"], vote) for vote in votes.judges]
        judge = RecordedJudge(CROWD_JUDGE, recorded(judge_votes))
        done = qualify([judge], reference(rows, people), VOTING, facts=facts(rows)).judges[0]
        found.append({"source": name, **row_of(CROWD_JUDGE, "majority of the people's votes", done)})
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print one line each and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args(arguments)
    folder = options.data or data_folder() / "pool"
    workspace = Workspace(REPOSITORY / "configs" / "real.yaml")
    entries = {entry.name: entry for entry in load_catalogue(workspace.catalogue_path, workspace)}
    agreement, fooled = alpaca(folder, entries["alpaca_eval"])
    results = {
        "cherry_llm_reviews": cherry(folder),
        "alpaca_eval": agreement,
        "null_model": fooled,
        "one_order": one_order(folder),
        "crowds": crowds(folder, entries),
    }
    for group, rows in results.items():
        print(f"--- {group}")
        for row in rows:
            print("  " + ", ".join(f"{key} {_short(value)}" for key, value in row.items() if value not in (None, [])))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    return 0


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_short, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} {_short(v)}" for k, v in value.items()) + "}"
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
