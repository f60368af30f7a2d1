"""Generating the sample: the same seed gives the same files, byte for byte.

| file | holds |
|---|---|
| SOURCE.jsonl | one per source of sources.py, each in a layout of its own, and handwritten.jsonl |
| sample_bench.parquet | the sample's benchmark, truly labelled, in the pair layout |
| truth.parquet | source, source_row (the line, from 0), verdict on the first response as given, planted, detail |
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assets.raw_pairs.sample import planting
from assets.raw_pairs.sample.drawing import PromptRegister, can_contaminate, draw_question
from assets.raw_pairs.sample.overlap import all_ngrams
from assets.raw_pairs.sample.question import Question
from assets.raw_pairs.sample.rows import SampleRow, true_row
from assets.raw_pairs.sample.sources import HANDWRITTEN, SOURCES, SourcePlan
from assets.raw_pairs.sample.writing import LAYOUTS, as_messages

NUM_BENCHMARK_ITEMS = 260
NUM_PAIRS_OF_A_PROMPT = (1, 1, 1, 1, 2, 2, 3)
"""Pairs on one prompt are drawn from here."""

_HANDWRITTEN_FILE = Path(__file__).with_name("handwritten.jsonl")
_TRUTH_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("source_row", pa.int64()),
        ("verdict", pa.string()),
        ("planted", pa.string()),
        ("detail", pa.string()),
    ]
)


@dataclass(frozen=True)
class SampleSummary:
    """What was written.

    Attributes:
        seed: the seed.
        lines: source to lines of its file, unreadable ones included.
        planted: source to kind to number of rows.
        categories: category to number of pairs, nothing planted on them or label errors only.
        num_benchmark_items: items of sample_bench.
        num_prompts_redrawn: prompts thrown away because they were taken or overlapped with the benchmark.
    """

    seed: int
    lines: Mapping[str, int]
    planted: Mapping[str, Mapping[str, int]]
    categories: Mapping[str, int]
    num_benchmark_items: int
    num_prompts_redrawn: int

    def as_dict(self) -> dict[str, Any]:
        """Plain form for metadata."""
        return asdict(self)


def generate_sample(seed: int, out: Path) -> SampleSummary:
    """Write the sample's files into a folder, which is made if it is not there.

    Args:
        seed: decides everything but the handwritten pairs.
        out: folder; files of the same names are replaced.
    """
    out.mkdir(parents=True, exist_ok=True)
    register = PromptRegister()
    benchmark = [draw_question(_rng(seed, f"bench {n}"), register) for n in range(NUM_BENCHMARK_ITEMS)]
    register.forbidden = all_ngrams(question.turns[-1][1] for question in benchmark)
    items = _write_benchmark(_rng(seed, "bench"), benchmark, out / "sample_bench.parquet")
    usable = {item: q for item, q in zip(items, benchmark, strict=True) if can_contaminate(q)}
    # No item contaminates twice, or a pair would be repeated without being planted as a repetition.
    num_wanted = sum(plan.planted.get("contamination", 0) for plan in SOURCES)
    targets = _rng(seed, "contamination").sample(sorted(usable), num_wanted)
    rows: dict[str, list[SampleRow | str]] = {}
    for plan in SOURCES:
        own = {item: usable[item] for item in (targets.pop() for _ in range(plan.planted.get("contamination", 0)))}
        rows[plan.name] = source_rows(_rng(seed, plan.name), plan, register, own, rows)
    truth: list[dict[str, Any]] = []
    lines: dict[str, int] = {}
    places = {id(row): f"{name} row {number}" for name, some in rows.items() for number, row in enumerate(some)}
    for plan in SOURCES:
        lines[plan.name] = _write_source(plan, rows[plan.name], out / f"{plan.name}.jsonl", places, truth)
    lines[HANDWRITTEN] = _copy_handwritten(out, truth)
    pq.write_table(pa.Table.from_pylist(truth, schema=_TRUTH_SCHEMA), out / "truth.parquet")
    planted: dict[str, Counter[str]] = {name: Counter() for name in lines}
    for record in truth:
        planted[record["source"]][record["planted"]] += 1
    made = [row for source in rows.values() for row in source if isinstance(row, SampleRow) and row.original is None]
    return SampleSummary(
        seed=seed,
        lines=lines,
        planted={name: dict(sorted(kinds.items())) for name, kinds in planted.items()},
        categories=dict(sorted(Counter(row.category for row in made).items())),
        num_benchmark_items=len(items),
        num_prompts_redrawn=register.num_redrawn,
    )


def source_rows(
    rng: Random,
    plan: SourcePlan,
    register: PromptRegister,
    targets: Mapping[str, Question],
    earlier: Mapping[str, Sequence[SampleRow | str]],
) -> list[SampleRow | str]:
    """Rows of one source in random order; a text stands for an unreadable line of that kind.

    Args:
        targets: benchmark item to question, each contaminated once.
        earlier: rows of the sources before this one.
    """

    def question() -> Question:
        return draw_question(rng, register, small_talk_rate=plan.small_talk_rate)

    def pairs(num: int) -> list[SampleRow]:
        drawn: list[SampleRow] = []
        while len(drawn) < num:
            asked = question()
            sides = list(zip(asked.good, asked.bad, strict=False))[: rng.choice(NUM_PAIRS_OF_A_PROMPT)]
            drawn += [true_row(rng, asked, good, bad) for good, bad in sides]
        return drawn[:num]

    def num(kind: str) -> int:
        return plan.planted.get(kind, 0)

    own = plan.label(rng, pairs(plan.num_pairs))
    rows: list[SampleRow | str] = list(own)
    sound = planting.sound_rows(own)
    borrowed = planting.sound_rows(
        [
            row
            for name in plan.borrows_from
            for row in earlier[name]
            if isinstance(row, SampleRow) and len(row.turns) == 1
        ]
    )
    rng.shuffle(sound)
    rng.shuffle(borrowed)
    taken = iter(sound)
    lent = iter(borrowed)
    for _ in range(num("role_swap")):
        rows.append(planting.role_swap(rng, next(taken)))
    for _ in range(num("contradiction")):
        rows.append(planting.contradiction(rng, next(lent)))
    for number in range(num("duplicate")):
        across = bool(plan.borrows_from) and number % 2 == 1
        rows.append(planting.duplicate(rng, next(lent if across else taken)))
    for number in range(num("near_duplicate")):
        across = bool(plan.borrows_from) and number % 2 == 1
        rows.append(planting.near_duplicate(rng, next(lent if across else taken)))
    while sum(isinstance(row, SampleRow) and row.planted == "tie" for row in rows) < num("tie"):
        tied = planting.tie(question())
        rows += [tied] if tied is not None else []
    rows += [planting.empty_text(rng, row) for row in pairs(num("empty_text"))]
    rows += [planting.equal_responses(rng, row) for row in pairs(num("equal_responses"))]
    rows += [planting.contaminated(rng, item, question) for item, question in targets.items()]
    rng.shuffle(rows)
    kinds = list(LAYOUTS[plan.layout].unreadable)
    for number in range(num("unreadable")):
        # Behind the first rows, by which a reader tells the layout.
        rows.insert(rng.randrange(len(rows) // 10, len(rows)), kinds[number % len(kinds)])
    return rows


def _rng(seed: int, purpose: str) -> Random:
    """A generator of its own for each purpose."""
    return Random(f"synpref sample {seed} {purpose}")


def _write_benchmark(rng: Random, questions: Sequence[Question], path: Path) -> list[str]:
    item_ids = [f"sample_bench_{number:04d}" for number in range(len(questions))]
    records = []
    for item_id, question in zip(item_ids, questions, strict=True):
        row = true_row(rng, question, question.good[0], question.bad[0])
        records.append(
            {
                "item_id": item_id,
                "subset": question.category,
                "prompt": json.dumps(as_messages(question.turns), ensure_ascii=False),
                "response_a": row.first,
                "response_b": row.second,
                "preferred": row.truth,
            }
        )
    pq.write_table(pa.Table.from_pylist(records), path)
    return item_ids


def _write_source(
    plan: SourcePlan, rows: Sequence[SampleRow | str], path: Path, places: Mapping[int, str], truth: list[dict]
) -> int:
    layout = LAYOUTS[plan.layout]
    lines = []
    for number, row in enumerate(rows):
        record: dict[str, Any] = {"source": plan.name, "source_row": number}
        if isinstance(row, str):
            lines.append(layout.unreadable[row])
            record |= {"verdict": None, "planted": "unreadable", "detail": row}
        else:
            written = layout.oriented(row)
            lines.append(layout.line(written))
            detail = row.detail
            if row.original is not None:
                detail = f"of {places[id(row.original)]}" + (f", {detail}" if detail else "")
            record |= {"verdict": written.truth, "planted": row.planted, "detail": detail}
        truth.append(record)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return len(lines)


def _copy_handwritten(out: Path, truth: list[dict]) -> int:
    data = _HANDWRITTEN_FILE.read_bytes()
    (out / _HANDWRITTEN_FILE.name).write_bytes(data)
    rows = [json.loads(line) for line in data.splitlines()]
    for number, row in enumerate(rows):
        record = {"source": HANDWRITTEN, "source_row": number, "verdict": row["preferred"]}
        truth.append(record | {"planted": "none", "detail": "written by hand"})
    return len(rows)
