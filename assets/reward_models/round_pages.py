"""Round pages of the report: what a round's model got wrong, what was retrieved, who was asked and what it cost."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pyarrow.compute as pc

from assets.filtered_mixture.retrieval import num_neighbours
from assets.human_gold.agreement import measure_agreement
from assets.human_gold.roster import pairs_for_people
from assets.lake import Lake
from assets.llm_annotated.gold_dev import qualification_batch
from assets.llm_annotated.spend import spent_by_batch
from assets.pool import clusters_of, known_truth, texts_of
from assets.reward_models.stage_sections import loop_accuracy
from assets.workspace import Workspace
from evaluation.intervals import estimate_accuracy
from evaluation.report import round_sections as s
from evaluation.report.sections import LabelAccuracy

_IN_WORDS = {"1": "response 1", "2": "response 2"}
# Queries shown, the model's worst first, and neighbours of each; characters of a text.
_NUM_QUERIES, _NUM_NEIGHBOURS, _CHARS = 4, 3, 280


def round_pages(workspace: Workspace) -> tuple[s.RoundPage, ...]:
    """Every round that has selected its pairs."""
    lake, names = workspace.lake, workspace.settings.round_names
    truth, clusters, spent = known_truth(lake), clusters_of(lake), spent_by_batch(lake, names)
    return tuple(
        _page(workspace, name, names[at - 1] if at else None, truth, clusters, spent)
        for at, name in enumerate(names)
        if lake.manifests("retrieved_pairs", round=name)
    )


def _page(
    workspace: Workspace,
    name: str,
    before: str | None,
    truth: Mapping[str, str],
    clusters: Mapping[str, str],
    spent: Mapping[str, float],
) -> s.RoundPage:
    lake, settings = workspace.lake, workspace.settings
    manifest = lake.manifests("retrieved_pairs", round=name)[0]
    retrieved = lake.read("retrieved_pairs", round=name).to_pylist()
    probability = {} if before is None else _query_probabilities(lake, name, before)
    similarities = Counter(_tenth(r["similarity"]) for r in retrieved if r["similarity"] is not None)
    panel = _panel(lake, name)
    earned = Counter(num_neighbours(p, settings.rounds.k_max) for p in probability.values())
    return s.RoundPage(
        name=name,
        retrieval="seed" if before is None else settings.rounds.retrieval,
        dev=loop_accuracy(lake, name, before, "dev", settings.seed),
        holdout=loop_accuracy(lake, name, before, "holdout", settings.seed),
        num_queries=len(probability),
        num_wrong=sum(p <= 0.5 for p in probability.values()),
        queries_excluded_since=manifest.info.get("queries_excluded_since", 0),
        earned={f"k = {k}": earned[k] for k in sorted(earned, reverse=True)},
        similarities={tenth: similarities[tenth] for tenth in sorted(similarities)},
        reasons=dict(Counter(r["reason"] for r in retrieved).most_common()),
        dropped=manifest.info["counts"]["dropped"],
        slices=_slices(lake, probability),
        queries=_queries(lake, name, probability, retrieved, settings.rounds.k_max, panel),
        people=_people(lake, name, clusters, settings.seed),
        judges=_judges(lake, name, panel),
        new_silver=_new_silver(lake, name, before, truth, settings.seed),
        judge_calls=len(lake.read("judge_requests", ["pair_id"], batch=name)),
        usd=round(spent[name], 6),
        usd_qualification=round(spent[qualification_batch(name)], 6),
    )


def _query_probabilities(lake: Lake, name: str, before: str) -> dict[str, float]:
    """The loop model's probability of the gold side, by gold train pair that has one."""
    gold = lake.read("gold", ["pair_id", "verdict"], pc.field("split") == "train", as_of_round=before).to_pylist()
    side = {row["pair_id"]: row["verdict"] for row in gold if row["verdict"] in ("1", "2")}
    scores = lake.read("gold_scores", ["pair_id", "probability_1"], round=name).to_pylist()
    return {
        r["pair_id"]: r["probability_1"] if side[r["pair_id"]] == "1" else 1 - r["probability_1"]
        for r in scores
        if r["pair_id"] in side
    }


def _slices(lake: Lake, probability: Mapping[str, float]) -> tuple[s.Slice, ...]:
    of = dict(zip(*(c.to_pylist() for c in lake.read("attributes", ["pair_id", "task_category"]).columns), strict=True))
    queries: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for pair, p in probability.items():
        category = of.get(pair) or "no attributes"
        queries[category] += 1
        wrong[category] += p <= 0.5
    return tuple(s.Slice(name=n, queries=num, wrong=wrong[n]) for n, num in queries.most_common())


def _queries(
    lake: Lake,
    name: str,
    probability: Mapping[str, float],
    retrieved: Sequence[Mapping],
    k_max: int,
    panel: Mapping[str, Mapping],
) -> tuple[s.Query, ...]:
    """The worst queries that brought anything, with the nearest of what they brought."""
    brought: dict[str, list[Mapping]] = defaultdict(list)
    for row in retrieved:
        if row["query_pair_id"] is not None:
            brought[row["query_pair_id"]].append(row)
    worst = sorted(brought.keys() & probability.keys(), key=lambda pair: (probability[pair], pair))[:_NUM_QUERIES]
    near = {q: sorted(brought[q], key=lambda r: (-r["similarity"], r["pair_id"]))[:_NUM_NEIGHBOURS] for q in worst}
    shown = [*worst, *(row["pair_id"] for rows in near.values() for row in rows)]
    texts = texts_of(lake, shown, ("prompt", "response_1", "response_2"))
    asked_people = pairs_for_people(lake, name)
    gold = {r["pair_id"]: r["verdict"] for r in lake.read("gold", ["pair_id", "verdict"], as_of_round=name).to_pylist()}
    found = []
    for query in worst:
        text, chosen = texts[query], gold.get(query, "1")
        found.append(
            s.Query(
                pair_id=query,
                probability=probability[query],
                k=num_neighbours(probability[query], k_max),
                prompt=_short(_last_turn(text["prompt"])),
                chosen=_short(text["response_2" if chosen == "2" else "response_1"]),
                rejected=_short(text["response_1" if chosen == "2" else "response_2"]),
                neighbours=tuple(
                    s.Neighbour(
                        pair_id=row["pair_id"],
                        similarity=row["similarity"],
                        prompt=_short(_last_turn(texts[row["pair_id"]]["prompt"])),
                        asked="people" if row["pair_id"] in asked_people else "judges",
                        verdict=(
                            gold.get(row["pair_id"], "none yet")
                            if row["pair_id"] in asked_people
                            else panel.get(row["pair_id"], {}).get("verdict", "none")
                        ),
                    )
                    for row in near[query]
                ),
            )
        )
    return tuple(found)


def _people(lake: Lake, name: str, clusters: Mapping[str, str], seed: int) -> s.RoundPeople | None:
    events = lake.read("label_events", kind="person", batch=name)
    if not len(events):
        return None
    # The interval over all rounds stands in the people's section.
    found = measure_agreement(events, clusters, seed=seed, num_bootstrap=1)
    return s.RoundPeople(pairs=found.num_pairs, labels=found.num_labels, alpha=found.alpha, raw=found.raw_rate)


def _panel(lake: Lake, name: str) -> dict[str, Mapping]:
    """The panel's event of every pair of the round; the last one of a pair counts."""
    events = lake.read(
        "label_events", ["pair_id", "verdict", "evidence"], pc.field("labeller") == "panel", kind="judge", batch=name
    )
    return {row["pair_id"]: row for row in events.to_pylist()}


def _judges(lake: Lake, name: str, panel: Mapping[str, Mapping]) -> s.RoundJudges | None:
    manifests = lake.manifests("label_events", kind="judge", batch=name)
    if not manifests:
        return None
    counts = manifests[0].info["counts"]
    said = [json.loads(row["evidence"]) for row in panel.values()]
    # One judge always agrees with itself.
    known = [one["agreement"] for one in said if one["num_judges"] > 1 and one["agreement"] is not None]
    return s.RoundJudges(
        pairs=counts["rows_in"],
        verdicts=dict(Counter(_IN_WORDS.get(row["verdict"], row["verdict"]) for row in panel.values()).most_common()),
        dropped=counts["dropped"],
        agreement=sum(known) / len(known) if known else None,
    )


def _new_silver(lake: Lake, name: str, before: str | None, truth: Mapping[str, str], seed: int) -> LabelAccuracy | None:
    """Silver that this round added, against the truth."""
    columns = ["pair_id", "verdict", "prompt_cluster_id"]
    old = set() if before is None else set(lake.read("silver", ["pair_id"], as_of_round=before)["pair_id"].to_pylist())
    rows = [r for r in lake.read("silver", columns, as_of_round=name).to_pylist() if r["pair_id"] not in old]
    rows = [r for r in rows if truth.get(r["pair_id"]) in ("1", "2")]
    if not rows:
        return None
    right = [float(r["verdict"] == truth[r["pair_id"]]) for r in rows]
    return LabelAccuracy.of(estimate_accuracy(right, [r["prompt_cluster_id"] for r in rows], seed=seed))


def _last_turn(prompt: Sequence[Mapping]) -> str:
    return prompt[-1]["content"] if prompt else ""


def _short(text: str) -> str:
    """The beginning of a text, on one line.

    >>> _short("a\\n b")
    'a b'
    """
    words = " ".join(text[: 4 * _CHARS].split())
    return words if len(words) <= _CHARS else words[: _CHARS - 1] + "…"


def _tenth(similarity: float) -> str:
    """The tenth that a similarity lies in, by its lower end.

    >>> _tenth(0.87), _tenth(1.0), _tenth(-0.05)
    ('0.8', '0.9', '-0.1')
    """
    return f"{min(int((similarity + 1 + 1e-9) * 10) - 10, 9) / 10:.1f}"
