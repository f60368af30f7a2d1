"""Small lakes for the dbt layers, and one parsed project for the whole session."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assets.contracts import TABLES, from_rows
from assets.identity import identify_pair, prompt_cluster_key
from assets.label_events import label_event
from assets.lake import Lake
from orchestration.dbt_layers import DbtLayerResult, ensure_manifest, run_dbt_layer

NOW = datetime(2025, 1, 1, tzinfo=UTC)
INPUTS = {
    "source_label_events": ("label_events", {"kind": "source"}),
    "person_label_events": ("label_events", {"kind": "person"}),
    "judge_label_events": ("label_events", {"kind": "judge"}),
    "stage_2_label_events": ("label_events", {"kind": "judge", "batch": "stage_2"}),
    "pair_scores_best": ("pair_scores", {"model": "best"}),
    "pair_scores_gold": ("pair_scores", {"model": "gold"}),
}


class SmallLake(Lake):
    """A lake with short ways to fill it."""

    def files_for_dbt(self) -> dict[str, list[str]]:
        names = {t: (t, {}) for t in TABLES} | INPUTS
        return {n: [str(f) for f in self.readable_files(t, **where)] for n, (t, where) in names.items()}

    def add_source(self, source: str, rows: list[dict], *, labels: list[dict] | None = None) -> list[str]:
        """Rows have prompt (text or turns), a, b, label (of a: a, b, tie, ...), origin, problem; returns pair ids."""
        pairs, events = [], []
        for number, row in enumerate(rows):
            prompt = row.get("prompt", "What is it?")
            turns = prompt if isinstance(prompt, list) else [("user", prompt)]
            one, two = row.get("a", "yes"), row.get("b", "no")
            ids = identify_pair(turns, one, two)
            first, second = (two, one) if ids.swapped else (one, two)
            pairs.append(
                {
                    "pair_id": ids.pair_id,
                    "prompt_id": ids.prompt_id,
                    "prompt_cluster_id": prompt_cluster_key(turns),
                    "source": source,
                    "source_row": number,
                    "prompt": [{"role": role, "content": content} for role, content in turns],
                    "response_1": first,
                    "response_2": second,
                    "label_origin": row.get("origin", "llm"),
                    "num_chars_prompt": sum(len(c) for _, c in turns),
                    "num_chars_1": len(first),
                    "num_chars_2": len(second),
                    "problem": row.get("problem"),
                    "meta": "{}",
                }
            )
            if label := row.get("label"):
                sides = {"a": "2" if ids.swapped else "1", "b": "1" if ids.swapped else "2"}
                events.append(
                    event(
                        ids.pair_id,
                        sides.get(label, label),
                        kind="source",
                        labeller=source,
                        round_name="source",
                        delivery=str(number),
                        evidence={"source_row": number},
                    )
                )
        self.publish("pairs", from_rows(pairs, "pairs"), {"source": source})
        events += labels or []
        self.append_events("label_events", from_rows(events, "label_events"), {"kind": "source", "batch": source})
        return [p["pair_id"] for p in pairs]

    def add_events(self, kind: str, batch: str, events: list[dict]) -> None:
        self.append_events("label_events", from_rows(events, "label_events"), {"kind": kind, "batch": batch})

    def add_benchmark(self, name: str, prompts: list[str]) -> None:
        rows = [
            {
                "benchmark": name,
                "item_id": f"{name}-{number}",
                "prompt_id": identify_pair([("user", prompt)], "x", "y").prompt_id,
                "prompt": [{"role": "user", "content": prompt}],
                "responses": ["x", "y"],
                "correct": [0],
            }
            for number, prompt in enumerate(prompts)
        ]
        self.publish("benchmark_items", from_rows(rows, "benchmark_items"), {"benchmark": name})

    def publish_rows(self, table: str, rows: list[dict], partition: dict | None = None) -> None:
        self.publish(table, from_rows(rows, table), partition)


def event(
    pair_id: str, verdict: str, *, kind: str, labeller: str, round_name: str, delivery: str = "d", **more
) -> dict:
    return label_event(
        pair_id=pair_id,
        kind=kind,
        labeller=labeller,
        version="v",
        verdict=verdict,
        round_name=round_name,
        delivery=delivery,
        created_at=NOW,
        **more,
    )


def panel_event(pair_id: str, verdict: str, round_name: str, delivery: str = "d", confidence: float = 0.9) -> dict:
    return event(
        pair_id,
        verdict,
        kind="judge",
        labeller="panel",
        round_name=round_name,
        delivery=delivery,
        confidence=confidence,
        evidence={"num_judges": 2, "agreement": 0.5},
    )


def pool_row(pair_id: str, **columns) -> dict:
    """A row of candidate_pool, of the wild pool unless told otherwise."""
    return {
        "pair_id": pair_id,
        "prompt_id": f"prompt-{pair_id}",
        "prompt_cluster_id": f"cluster-{pair_id}",
        "source": "s",
        "source_row": 0,
        "label_origin": "llm",
        "stage": 2,
        "source_verdict": "1",
        "conflict": False,
        "num_sources": 1,
    } | columns


def split_row(pair_id: str, split: str = "train", *, usable: bool = True) -> dict:
    return {
        "prompt_id": f"prompt-{pair_id}",
        "prompt_cluster_id": f"cluster-{pair_id}",
        "split": split,
        "assigned_seq": 0,
        "usable": usable,
    }


@pytest.fixture(scope="session")
def dbt_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the parsed project, apart from every other process's."""
    target = tmp_path_factory.mktemp("dbt_target")
    ensure_manifest(target)
    return target


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    # A quote and braces in the home folder's name are nobody's fault.
    return SmallLake(tmp_path / "it's {home}" / "lake")


@pytest.fixture
def run_layer(lake: SmallLake, dbt_target: Path, tmp_path: Path) -> Callable[..., DbtLayerResult]:
    def run(select: str, **variables) -> DbtLayerResult:
        out = lake.root.parent / "out" / select.replace(":", "_") / str(len(variables))
        return run_dbt_layer(
            select, lake.files_for_dbt(), out, lake.root.parent / "work.duckdb", variables, target=dbt_target
        )

    return run
