"""The annotation page under load: 20 people at once on 100,000 tasks, first in peace, then killed again and again.

`python -m benchmarks.annotation_load [--kill]`. People think for two seconds in the mean, which is several times faster
than real ones (paper: ten seconds to five minutes a pair).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from assets.human_gold.desk.database import open_database
from assets.human_gold.desk.delivery import answers_since
from assets.workspace import Workspace
from benchmarks.annotators import Annotator, PageProcess, fill_desk, make_people, work_together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--votes", type=int, default=2)
    parser.add_argument("--chars", type=int, default=4_000)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--think", type=float, default=2.0)
    parser.add_argument("--kill", action="store_true", help="kill the server every two to six seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), options), indent=1))


def measure(folder: Path, options: argparse.Namespace) -> dict:
    """One run: latencies, and what became of every answer."""
    config = page_config(folder)
    environment = os.environ | {"SYNPREF_HOME": str(folder / "home")}
    workspace = Workspace(config, folder / "home")
    engine = open_database(workspace.annotation_url)
    started = time.perf_counter()
    fill_desk(engine, num_pairs=options.pairs, votes_per_pair=options.votes, num_chars=options.chars)
    filled_s = time.perf_counter() - started
    passwords = make_people(engine, [f"person {n}" for n in range(options.people)])
    page = PageProcess(config, environment)
    page.start()
    stop = threading.Event()
    people = [Annotator(page.address, name, word, options.think, stop) for name, word in passwords.items()]
    kills = [0]
    killer = threading.Thread(target=_kill_now_and_then, args=(page, stop, kills), daemon=True)
    try:
        if options.kill:
            killer.start()
        work_together(people, options.seconds)
        if options.kill:
            killer.join()
    finally:
        stop.set()
        page.kill()
    found = {
        "people": options.people,
        "tasks": options.pairs * options.votes,
        "push_s": round(filled_s, 1),
        "seconds": options.seconds,
        "kills": kills[0],
        **account(engine, people),
    }
    for kind in ("next", "answer"):
        taken = np.array([s for person in people for s in person.seconds[kind]]) * 1000
        found[f"{kind}_ms"] = {f"p{q}": round(float(np.percentile(taken, q)), 1) for q in (50, 95, 99)}
    engine.dispose()
    return found


def account(engine, people: list[Annotator]) -> dict[str, int]:
    """Acknowledged answers against stored ones."""
    stored: dict[str, list[str]] = {}
    for row in answers_since(engine, "round_0", 0):
        stored.setdefault(row["task_id"], []).append(row["shown_verdict"])
    acknowledged = {key: verdict for person in people for key, verdict in person.acknowledged.items()}
    return {
        "acknowledged": len(acknowledged),
        "stored": sum(map(len, stored.values())),
        "lost": sum(stored.get(key, [None])[0] != verdict for key, verdict in acknowledged.items()),
        "doubled": sum(len(verdicts) > 1 for verdicts in stored.values()),
        "sent_again": sum(person.num_sent_again for person in people),
    }


def page_config(folder: Path) -> Path:
    """A configuration whose people are real, beside a catalogue of nothing."""
    import yaml

    from assets.settings import REPOSITORY

    text = (REPOSITORY / "configs" / "sample.yaml").read_text("utf-8")
    values = yaml.safe_load(text)
    values["people"] = {"provider": "page"}
    values["catalogue"] = str(REPOSITORY / "configs" / "sources" / "sample.yaml")
    path = folder / "page.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


def _kill_now_and_then(page: PageProcess, stop: threading.Event, kills: list[int]) -> None:
    drawn = random.Random(1)
    while not stop.wait(drawn.uniform(2, 6)):
        page.kill()
        kills[0] += 1
        page.start()


if __name__ == "__main__":
    main()
