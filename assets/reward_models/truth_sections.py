"""Truth sections of the report: what was planted, what was found, and how right the labels of each stage are."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from assets.lake import Lake
from assets.pool import known_truth
from assets.workspace import Workspace
from evaluation.intervals import estimate_accuracy
from evaluation.report import summary as s

LABEL_ERRORS = ("uniform_error", "systematic_error", "crowd_error")


def label_accuracy(workspace: Workspace) -> dict[str, s.LabelAccuracy | None]:
    """Share of labels that agree with the truth: of sources, silver, and the pairs stage 2 kept and flipped."""
    lake, last = workspace.lake, workspace.settings.round_names[-1]
    truth = known_truth(lake)
    if not truth:
        return dict.fromkeys(s.LABEL_STAGES)
    pool = lake.read("candidate_pool", ["pair_id", "prompt_cluster_id", "source_verdict"])
    cluster = dict(zip(pool["pair_id"].to_pylist(), pool["prompt_cluster_id"].to_pylist(), strict=True))
    decisions = lake.read("decisions", ["pair_id", "decision", "chosen"])
    decided: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in decisions.to_pylist():
        decided["flipped" if row["decision"] == "flipped" else "kept"].append((row["pair_id"], str(row["chosen"])))
    silver = lake.read("silver", ["pair_id", "verdict"], as_of_round=last)
    labels = {
        "source_labels": zip(pool["pair_id"].to_pylist(), pool["source_verdict"].to_pylist(), strict=True),
        "silver": zip(silver["pair_id"].to_pylist(), silver["verdict"].to_pylist(), strict=True),
        "kept": decided["kept"],
        "flipped": decided["flipped"],
    }

    def measure(rows: Iterable[tuple[str, str | None]]) -> s.LabelAccuracy | None:
        known = [(p, v == truth[p]) for p, v in rows if v in ("1", "2") and truth.get(p) in ("1", "2")]
        if not known:
            return None
        estimate = estimate_accuracy(
            [float(right) for _, right in known], [cluster.get(p, p) for p, _ in known], seed=workspace.settings.seed
        )
        return s.LabelAccuracy.of(estimate)

    return {name: measure(rows) for name, rows in labels.items()}


def planted_and_found(lake: Lake, mixture: pa.Table) -> tuple[s.Planted, ...]:
    """For everything the sample planted: how many rows or pairs, and how many of them were found."""
    truth = lake.read("sample_truth").to_pylist()
    planted: dict[str, list[dict]] = defaultdict(list)
    for row in truth:
        if row["planted"] and row["planted"] != "none":
            planted[row["planted"]].append(row)
    excluded: dict[str, Counter[str]] = defaultdict(Counter)
    for row in lake.read("exclusions", ["pair_id", "reason"]).to_pylist():
        excluded[row["reason"]][row["pair_id"]] += 1
    conflicts = set(lake.read("conflicts", ["pair_id"])["pair_id"].to_pylist())
    chosen = dict(zip(mixture["pair_id"].to_pylist(), map(str, mixture["chosen"].to_pylist()), strict=True))
    num_letters = len(lake.read("dead_letters", ["source"]))
    pool = lake.read("candidate_pool", ["pair_id", "source_verdict"])
    verdicts = dict(zip(pool["pair_id"].to_pylist(), pool["source_verdict"].to_pylist(), strict=True))
    clusters = lake.read("pair_clusters", ["pair_id", "pair_cluster_id"])
    cluster_of = dict(zip(clusters["pair_id"].to_pylist(), clusters["pair_cluster_id"].to_pylist(), strict=True))
    num_of_cluster = Counter(cluster_of[pair] for pair in verdicts.keys() & cluster_of.keys())

    def under(*reasons: str) -> Callable[[dict], bool]:
        return lambda row: any(excluded[reason][row["pair_id"]] for reason in reasons)

    def one_of_its_cluster_stays(row: dict) -> bool:
        return row["pair_id"] in cluster_of and num_of_cluster[cluster_of[row["pair_id"]]] <= 1

    def not_taught_wrong(row: dict) -> bool:
        """The mixture does not hold the pair with the wrong response chosen."""
        return chosen.get(row["pair_id"]) in (None, row["verdict"])

    rules: dict[str, tuple[Callable[[dict], bool], str]] = {
        "uniform_error": (not_taught_wrong, "not in the mixture with the wrong response chosen"),
        "systematic_error": (not_taught_wrong, "not in the mixture with the wrong response chosen"),
        "crowd_error": (not_taught_wrong, "not in the mixture with the wrong response chosen"),
        "duplicate": (under("duplicate", "duplicate_role_swapped"), "excluded as a duplicate"),
        "near_duplicate": (one_of_its_cluster_stays, "clustered, and at most one of the cluster in the pool"),
        "role_swap": (lambda row: row["pair_id"] in conflicts, "recorded as a label conflict"),
        "contradiction": (lambda row: row["pair_id"] in conflicts, "recorded as a label conflict"),
        "empty_text": (under("empty_prompt", "empty_response"), "excluded as empty"),
        "equal_responses": (under("equal_responses"), "excluded as equal"),
        "contamination": (under("contaminated"), "excluded with benchmark, item and span"),
        "tie": (lambda row: row["pair_id"] not in chosen, "trains nothing"),
    }
    found = []
    for kind, rows in sorted(planted.items()):
        if kind == "unreadable":
            found.append(s.Planted(kind=kind, planted=len(rows), found=min(len(rows), num_letters), how="dead letters"))
            continue
        if kind not in rules:
            found.append(s.Planted(kind=kind, planted=len(rows), found=0, how="no stage looks for it"))
            continue
        rule, how = rules[kind]
        if kind in LABEL_ERRORS:
            # Only pairs that reach the pool with the wrong label can be taught wrong.
            rows = [r for r in rows if verdicts.get(r["pair_id"]) in ("1", "2")]
        found.append(s.Planted(kind=kind, planted=len(rows), found=sum(map(rule, rows)), how=how))
    return tuple(found)


def tables(lake: Lake) -> tuple[s.ExtraTable, ...]:
    """Further tables: label accuracy by source where truth is known, contamination by benchmark."""
    truth = known_truth(lake)
    pool = lake.read("candidate_pool", ["pair_id", "source", "source_verdict"]).to_pylist()
    right: dict[str, list[bool]] = defaultdict(list)
    for row in pool:
        if row["source_verdict"] in ("1", "2") and truth.get(row["pair_id"]) in ("1", "2"):
            right[row["source"]].append(row["source_verdict"] == truth[row["pair_id"]])
    found = []
    if right:
        found.append(
            s.ExtraTable(
                title="Source labels against the known truth",
                columns=("source", "pairs", "share right"),
                rows=tuple((name, len(v), round(sum(v) / len(v), 4)) for name, v in sorted(right.items())),
            )
        )
    contaminated = lake.read("exclusions", ["source", "detail"], filters=pc.field("reason") == "contaminated")
    by_place = Counter((row["source"], *worst_hit(row["detail"])) for row in contaminated.to_pylist())
    if by_place:
        found.append(
            s.ExtraTable(
                title="Contamination",
                note="Rows excluded since one of their texts touches a benchmark, by their worst hit; all hits are in "
                "the table contamination_hits.",
                columns=("source", "benchmark", "texts that meet", "kind", "rows"),
                rows=tuple((*place, n) for place, n in sorted(by_place.items())),
            )
        )
    return tuple(found)


def worst_hit(detail: str) -> tuple[str, str, str]:
    """Benchmark, texts that meet and kind, from the detail of a contamination exclusion.

    >>> worst_hit('{"benchmark": "bench", "text": "response_2", "benchmark_text": "prompt", "kind": "13gram"}')
    ('bench', 'response with benchmark prompt', '13gram')
    """
    hit = json.loads(detail)
    ours = "prompt" if hit["text"] == "prompt" else "response"
    return hit["benchmark"], f"{ours} with benchmark {hit['benchmark_text']}", hit["kind"]
