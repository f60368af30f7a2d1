"""The annotation desk: what asking and answering take with many tasks, and with many people at once.

    python -m benchmarks.annotation_desk --tasks 1000 100000 --out desk.json
    python -m benchmarks.annotation_desk --tasks 100000 --url postgresql://USER@HOST/EMPTY_DATABASE

Every pair is asked of two people and has about 4 KB of text. One person answers `--answers` tasks in a row, so that the
first that many open tasks are pairs they had; times of the first and the last 500 are told apart. Then `--people`
threads answer at once. Times are of calls, in milliseconds; nothing is drawn into a page. SQLite waits for the disk
with each write: the share that is the disk's is measured by itself (`fsync_ms`).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from argon2 import PasswordHasher
from sqlalchemy import Engine

from assets.human_gold.desk.accounts import Accounts
from assets.human_gold.desk.adjudication import open_cases
from assets.human_gold.desk.answering import Desk
from assets.human_gold.desk.batches import Item, Task, batch_progress, push_batch
from assets.human_gold.desk.database import open_database
from assets.human_gold.desk.delivery import answers_since, last_ids
from assets.human_gold.desk.passwords import Passwords
from assets.human_gold.desk.views import Answer, Person

_WORDS = ["a", "pair", "shares", "its", "prompt", "and", "each", "response", "continues", "it"]
_STRETCH = 500


def measure(url: str, num_tasks: int, num_answers: int, num_people: int, answers_each: int) -> dict:
    """Fill an empty database with so many tasks and work on it."""
    engine = open_database(url)
    people = _people(engine, num_people + 1)
    items, tasks = _batch(num_tasks)
    figures: dict = {"tasks": num_tasks, "database": engine.dialect.name, "load_before": round(os.getloadavg()[0], 2)}
    figures["push_s"] = _seconds(lambda: push_batch(engine, "round_0", 7, items, tasks, {}))
    figures["push_again_s"] = _seconds(lambda: push_batch(engine, "round_0", 7, items, tasks, {}))
    times = _work(engine, people[0], min(num_answers, num_tasks // 2))
    for name, values in times.items():
        figures[f"{name}_first_ms"] = _spread(values[:_STRETCH])
        figures[f"{name}_last_ms"] = _spread(values[-_STRETCH:])
    figures["at_once"] = _together(engine, people[1:], min(answers_each, num_tasks // (4 * num_people)))
    figures["open_cases_s"] = _seconds(lambda: open_cases(engine, "no_majority"))
    figures["last_ids_ms"] = round(1e3 * _seconds(lambda: last_ids(engine), digits=6), 2)
    figures["batch_progress_ms"] = round(1e3 * _seconds(lambda: batch_progress(engine), digits=6), 2)
    figures["answers_since_1000_s"] = _seconds(lambda: answers_since(engine, "round_0", 0, limit=1000))
    engine.dispose()
    return figures


def _people(engine: Engine, num: int) -> list[Person]:
    # Hashing is not what is measured here.
    accounts = Accounts(engine, passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)))
    return [
        accounts.accept_invitation(
            accounts.invite(f"simulated {i}", "annotator", by=None, simulated=True), f"three mild oxen {i}"
        )
        for i in range(num)
    ]


def _batch(num_tasks: int) -> tuple[list[Item], list[Task]]:
    text = (" ".join(_WORDS * 40))[:1_900]
    pairs = [f"{i:032x}" for i in range(num_tasks // 2)]
    items = [
        Item(
            pair,
            "benchmark",
            [{"role": "user", "content": f"{pair} {text[:400]}"}],
            f"one {text}",
            f"two {text}",
            {"task_category": "other", "writer": "benchmark"},
            {"source_verdict": "1", "judges": []},
        )
        for pair in pairs
    ]
    tasks = [Task(f"{slot}{pair[1:]}", pair) for pair in pairs for slot in (1, 2)]
    return items, tasks


def _work(engine: Engine, person: Person, num: int) -> dict[str, list[float]]:
    desk = Desk(engine)
    times: dict[str, list[float]] = {"next_task": [], "answer": [], "progress": []}
    for _ in range(num):
        started = time.perf_counter()
        shown = desk.next_task(person)
        asked = time.perf_counter()
        assert shown is not None
        answer = Answer(shown.key, f"{person.person_id}-{shown.key}", "left", "clearly", active_seconds=4.0)
        desk.answer(person, answer)
        answered = time.perf_counter()
        desk.progress(person)
        ended = time.perf_counter()
        for name, seconds in zip(times, (asked - started, answered - asked, ended - answered), strict=True):
            times[name].append(1e3 * seconds)
    return times


def _together(engine: Engine, people: Sequence[Person], num: int) -> dict:
    done: list[dict[str, list[float]]] = []
    failed: list[str] = []

    def work(person: Person) -> None:
        try:
            done.append(_work(engine, person, num))
        except Exception as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=work, args=(person,)) for person in people]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - started
    figures: dict = {"people": len(people), "answers_per_s": round(len(done) * num / wall), "failed": failed}
    for name in ("next_task", "answer", "progress"):
        figures[f"{name}_ms"] = _spread([value for times in done for value in times[name]])
    return figures


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 2) for share in (50, 95, 99)} if values else {}


def _seconds(act: Callable[[], object], digits: int = 2) -> float:
    started = time.perf_counter()
    act()
    return round(time.perf_counter() - started, digits)


def _fsync_ms(folder: Path) -> float:
    """Median time in which the disk takes one page."""
    times = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            times.append(1e3 * _seconds(lambda: os.fsync(file.fileno()), digits=6))
    return round(float(np.median(times)), 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.annotation_desk", description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--answers", type=int, default=10_000, help="that one person gives in a row")
    parser.add_argument("--people", type=int, default=20, help="who answer at once")
    parser.add_argument("--answers-each", type=int, default=50, help="that each of them gives")
    parser.add_argument("--url", help="of an empty database, for one number of tasks; else SQLite in --folder")
    parser.add_argument("--folder", type=Path, help="where SQLite's files go; by default a temporary folder")
    parser.add_argument("--out", type=Path, help="where the figures go as JSON")
    chosen = parser.parse_args(arguments)
    results = []
    for num_tasks in chosen.tasks:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            url = chosen.url or f"sqlite:///{folder}/desk.db"
            results.append(measure(url, num_tasks, chosen.answers, chosen.people, chosen.answers_each))
            results[-1]["fsync_ms"] = _fsync_ms(Path(folder))
        print(json.dumps(results[-1], indent=1), flush=True)
    if chosen.out:
        chosen.out.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
