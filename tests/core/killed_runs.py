"""Kills a write at each of its file operations in turn; run as a script, it leaves one lake per kill for the test.

`python killed_runs.py TASK BASE OUT`: BASE is a lake, copied to OUT/0, OUT/1, ...; in copy n the task is killed
(SIGKILL) just before its n-th open for writing, rename or removal inside the lake. The last copy was not killed.
"""

import os
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from assets.contracts import from_rows
from assets.lake import Lake
from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.ingest import ingest_source

CREATED_AT = datetime(2025, 1, 1, tzinfo=UTC)


def letters(*rows: int):
    return from_rows(
        [{"source": "s", "file": "f", "source_row": n, "reason": "r", "detail": "", "row_hash": str(n)} for n in rows],
        "dead_letters",
    )


def event(name: str) -> dict:
    return {
        "event_id": name,
        "pair_id": f"pair of {name}",
        "labeller_kind": "person",
        "labeller": "ada",
        "labeller_version": "1",
        "simulated": True,
        "verdict": "1",
        "round": "round_0",
        "created_at": CREATED_AT,
        "evidence": "{}",
    }


def publish(lake: Lake) -> None:
    lake.publish("dead_letters", letters(3, 4, 5), {"source": "s"})


def append(lake: Lake) -> None:
    rows = from_rows([event("b"), event("c")], "label_events")
    lake.append_events("label_events", rows, {"kind": "person", "batch": "round_0"})


def ingest(lake: Lake) -> None:
    source = lake.root.parent.parent / "source.jsonl"
    entry = SourceEntry(name="s", paths=(str(source),), licence="MIT", label_origin="human")
    ingest_source(entry, lake, seed=1, created_at=CREATED_AT)


TASKS = {"publish": publish, "append": append, "ingest": ingest}


def kill_before_operation(number: int, root: Path) -> None:
    seen = 0

    def hook(name: str, args: tuple) -> None:
        nonlocal seen
        if name not in ("open", "os.rename", "os.remove") or not str(args[0]).startswith(str(root)):
            return
        seen += 1
        if seen > number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    # Arrow imports pandas at its first conversion: once here rather than in every child.
    letters(1)
    from_rows([event("a")], "label_events")
    task, base, out = TASKS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
    for number in range(1000):
        root = out / str(number)
        shutil.copytree(base, root)
        child = os.fork()
        if child == 0:
            kill_before_operation(number, root)
            task(Lake(root))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))
    sys.exit("the task never came to its end")


if __name__ == "__main__":
    main()
