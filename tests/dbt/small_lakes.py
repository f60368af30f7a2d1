"""Small lakes for the dbt layers, with short ways to fill them."""

from datetime import UTC, datetime

from assets.contracts import TABLES, from_rows
from assets.identity import identify_pair
from assets.label_events import label_event
from assets.lake import Lake

NOW = datetime(2025, 1, 1, tzinfo=UTC)
INPUTS = {
    "source_label_events": ("label_events", {"kind": "source"}),
    "person_label_events": ("label_events", {"kind": "person"}),
    "crowd_label_events": ("label_events", {"kind": "crowd_model"}),
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
        """Rows have prompt (text or turns), a, b, label (of a), agreement, origin, problem; returns pair ids."""
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
                        source_row=number,
                        confidence=row.get("agreement"),
                    )
                )
        self.publish("pairs", from_rows(pairs, "pairs"), {"source": source})
        events += labels or []
        self.append_events("label_events", from_rows(events, "label_events"), {"kind": "source", "batch": source})
        return [p["pair_id"] for p in pairs]

    def add_events(self, kind: str, batch: str, events: list[dict]) -> None:
        self.append_events("label_events", from_rows(events, "label_events"), {"kind": kind, "batch": batch})

    def add_hits(self, source: str, benchmark: str, hits: list[dict]) -> None:
        """Hits of a source's rows on a benchmark: pair_id, source_row, and what differs from an n-gram of prompts."""
        usual = {"text": "prompt", "item_id": "item", "benchmark_text": "prompt", "kind": "13gram"}
        rows = [{**usual, "num_shared_ngrams": 9, "span": "thirteen words", **hit} for hit in hits]
        where = {"source": source, "benchmark": benchmark}
        self.publish("contamination_hits", from_rows([r | where for r in rows], "contamination_hits"), where)

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
