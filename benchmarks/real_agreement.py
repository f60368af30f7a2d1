"""How far the crowds of real sources agree, and whether a crowd model beats their majority.

    synpref run --config configs/real.yaml --to candidate_pool
    python -m benchmarks.real_agreement --config configs/real.yaml --out real_agreement.json

Reads the lake of a run that holds `ukpconvarg1` and `simpeval`. Two sets of votes per source: those that the run gives
to people (`recorded_verdicts`, role person), and all of the crowd's votes as people: the one the source's label was
made from, the people's, and those that a judge replays. A vote's rater is the name in the source's row. Names of
`simpeval` are places in a list, not people: its figures by rater are by place, and `places` says how far places differ.

Nobody knows the truth here, so aggregates are measured by what they say of a vote that they have not seen: one decided
vote a pair is held out by chance, the others are aggregated, and the aggregate is compared with the held-out vote.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from assets.chance import uniform
from assets.contracts import from_rows
from assets.human_gold.agreement.between import agreement_of
from assets.human_gold.agreement.crowd import fit_crowd, leaders
from assets.human_gold.agreement.pairs_of_people import measure_pairs_of_people
from assets.human_gold.agreement.quality import summarise
from assets.human_gold.agreement.resampling import bootstrap_interval, resampled_sums, sums_by_cluster
from assets.human_gold.agreement.votes import Answers, read_answers
from assets.label_events import label_event
from assets.lake import Lake
from assets.workspace import Workspace

SOURCES = ("ukpconvarg1", "simpeval")
SEED = 20250702


def clusters_of(lake: Lake, source: str) -> dict[str, str]:
    """Prompt cluster by pair id; of a prompt without a split, the prompt itself."""
    splits = lake.read("prompt_splits", columns=["prompt_id", "prompt_cluster_id"]).to_pylist()
    cluster = {row["prompt_id"]: row["prompt_cluster_id"] for row in splits}
    pairs = lake.read("pairs", columns=["pair_id", "prompt_id"], source=source).to_pylist()
    return {row["pair_id"]: cluster.get(row["prompt_id"]) or row["prompt_id"] for row in pairs}


def votes_of(lake: Lake, source: str, only_people: bool) -> pa.Table:
    """Votes of a source's crowd as label events of people."""
    names = _raters(lake, source)
    found = [
        (row["pair_id"], row["source_row"], row["position"], row["verdict"])
        for row in lake.read("recorded_verdicts", source=source).to_pylist()
        if row["role"] == "person" or not only_people
    ]
    if not only_people:
        labels = lake.read("label_events", kind="source", batch=source).to_pylist()
        found += [(row["pair_id"], row["source_row"], 0, row["verdict"]) for row in labels]
    rows = []
    for seq, (pair, row, position, verdict) in enumerate(sorted(found)):
        event = label_event(
            pair_id=pair,
            kind="person",
            labeller=names[row, position],
            version="recorded",
            verdict=verdict,
            round_name=source,
            delivery=f"{row}:{position}",
            created_at=datetime(1970, 1, 1, tzinfo=UTC),
        )
        rows.append(event | {"seq": seq})
    return from_rows(rows, "label_events")


def measure(lake: Lake, source: str, only_people: bool) -> dict:
    """Agreement, the crowd model's summary and the held-out comparison of one set of votes."""
    started = time.perf_counter()
    labels = read_answers(votes_of(lake, source, only_people), clusters_of(lake, source)).labels
    read_s = time.perf_counter() - started
    found = agreement_of(labels, seed=SEED, num_bootstrap=1_000, with_people=False)
    crowd = fit_crowd(labels)
    pairs = measure_pairs_of_people(labels, seed=SEED, num_bootstrap=200)
    kappas = [pair.kappa for pair in pairs.pairs if pair.kappa is not None]
    num_labels = np.bincount(labels.person)
    return {
        "source": source,
        "votes": "role person" if only_people else "all of the crowd",
        **{name: value for name, value in found.as_dict().items() if name != "people"},
        "num_raters": len(num_labels),
        "labels_per_rater": [int(x) for x in np.quantile(num_labels, [0.0, 0.5, 0.9, 1.0])],
        "pairs_of_raters": len(pairs.pairs),
        "pairs_of_raters_left_out": pairs.num_left_out,
        "kappa_median": float(np.median(kappas)) if kappas else None,
        "crowd": summarise(crowd, labels).__dict__,
        "held_out": held_out(labels),
        "read_s": round(read_s, 1),
        "measure_s": round(time.perf_counter() - started - read_s, 1),
    }


def held_out(labels: Answers) -> dict:
    """Majority and crowd model against one vote a pair that neither has seen.

    A pair counts where two or more decided votes are left. An aggregate that leaves two verdicts equal is right by
    chance. The interval is of the difference, over resamples of prompt clusters.
    """
    decided = np.flatnonzero(labels.decided)
    keys = np.array([uniform(SEED, labels.pair_ids[labels.pair[n]], labels.people[labels.person[n]]) for n in decided])
    order = np.lexsort((keys, labels.pair[decided]))
    _, first = np.unique(labels.pair[decided][order], return_index=True)
    out = decided[order[first]]
    num_votes = np.bincount(labels.pair[decided], minlength=len(labels.pair_ids))
    out = out[num_votes[labels.pair[out]] >= 3]
    if not len(out):
        return {"num_pairs": 0}
    kept = np.ones(len(labels), dtype=bool)
    kept[out] = False
    rest = labels.where(kept)
    crowd = fit_crowd(rest)
    row_of = {pair: n for n, pair in enumerate(crowd.pair_ids)}
    rows = np.array([row_of[labels.pair_ids[pair]] for pair in labels.pair[out]])
    truth = labels.verdict[out]
    counts = rest.counts()[labels.pair[out], :3].astype(float)
    hits = np.stack([_chance_of(counts, truth), _chance_of(crowd.posterior[rows], truth)], axis=1)
    clusters = labels.cluster[out]
    sums = sums_by_cluster(np.column_stack([hits[:, 1] - hits[:, 0], np.ones(len(hits))]), clusters)
    interval = None
    if len(sums) >= 20:
        interval = bootstrap_interval(resampled_sums(sums, SEED, 2_000), lambda s: s[..., 0] / s[..., 1])
    differ = (leaders(counts) != leaders(crowd.posterior[rows])) & (leaders(counts) >= 0)
    return {
        "num_pairs": len(out),
        "majority": float(hits[:, 0].mean()),
        "crowd": float(hits[:, 1].mean()),
        "difference": float((hits[:, 1] - hits[:, 0]).mean()),
        "interval": interval,
        "num_differ": int(differ.sum()),
        "majority_where_they_differ": float(hits[differ, 0].mean()) if differ.any() else None,
        "crowd_where_they_differ": float(hits[differ, 1].mean()) if differ.any() else None,
    }


def places(lake: Lake, source: str) -> list[dict]:
    """Of a source whose raters are places: how each place rates against the mean of its row's, by number of raters."""
    clusters = clusters_of(lake, source)
    rows: dict[int, list[tuple[str, np.ndarray]]] = {}
    for row in lake.read("pairs", columns=["pair_id", "meta"], source=source).to_pylist():
        ratings = json.loads(row["meta"])["meta"].get("ratings_orig")
        if ratings:
            mean = np.mean(np.array(ratings, dtype=float), axis=0)
            rows.setdefault(len(mean), []).append((clusters[row["pair_id"]], mean - mean.mean()))
    found = []
    for num, items in sorted(rows.items()):
        values = np.array([value for _, value in items])
        sums = sums_by_cluster(
            np.column_stack([values, np.ones(len(values))]), np.unique([c for c, _ in items], return_inverse=True)[1]
        )
        for place in range(num):
            drawn = resampled_sums(sums[:, [place, num]], SEED, 1_000)
            interval = bootstrap_interval(drawn, lambda s: s[..., 0] / s[..., 1]) if len(sums) >= 20 else None
            found.append(
                {"raters": num, "place": place + 1, "above_row": float(values[:, place].mean()), "ci": interval}
            )
    return found


def _chance_of(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    best = scores > scores.max(axis=1, keepdims=True) - 1e-6
    return best[np.arange(len(truth)), truth] / best.sum(axis=1)


def _raters(lake: Lake, source: str) -> Mapping[tuple[int, int], str]:
    """Name of the rater of each vote, by row of the source and position in its list."""
    names = {}
    for row in lake.read("pairs", columns=["source_row", "meta"], source=source).to_pylist():
        votes = json.loads(row["meta"])["meta"].get("votes_orig") or []
        for position, vote in enumerate(votes):
            # The first of three and the first of five are hardly one person.
            name = vote[0] if isinstance(vote, list) else f"place {position + 1} of {len(votes)}"
            names[row["source_row"], position] = f"{source}:{name}"
    return names


def table(rows: Sequence[dict]) -> str:
    """The measurements as a Markdown table."""

    def cell(value: float | None, interval: Sequence[float] | None) -> str:
        if value is None:
            return "-"
        return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")

    lines = [
        "| source, votes | raters | pairs (overlapping) | clusters | raw | alpha | Fleiss (raters, pairs) "
        "| held-out vote: majority | crowd model | difference |",
        "|" + "---|" * 10,
    ]
    for row in rows:
        out = row["held_out"]
        cells = [
            f"{row['source']}, {row['votes']}",
            f"{row['num_raters']:,}",
            f"{row['num_pairs']:,} ({row['num_overlapping']:,})",
            str(row["num_clusters"]),
            cell(row["raw_rate"], row["raw_interval"]),
            cell(row["alpha"], row["interval"]),
            cell(row["fleiss"], row["fleiss_interval"]) + f" ({row['fleiss_num_raters']}, {row['fleiss_num_pairs']:,})",
            cell(out["majority"], None) if out["num_pairs"] else "-",
            cell(out["crowd"], None) if out["num_pairs"] else "-",
            cell(out["difference"], out["interval"]) if out["num_pairs"] else "-",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_agreement", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    lake = Workspace(given.config).lake
    rows = [measure(lake, source, only_people) for source in SOURCES for only_people in (True, False)]
    by_place = places(lake, "simpeval")
    print(table(rows))
    print(json.dumps(by_place))
    if given.out:
        given.out.write_text(json.dumps({"sources": rows, "simpeval_places": by_place}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
