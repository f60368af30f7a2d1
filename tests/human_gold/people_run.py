"""A run whose people are real, small: a lake with pairs in the pool, a desk, and short ways to answer."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from sqlalchemy import Engine

from assets.contracts import from_rows
from assets.human_gold.collecting import open_desk
from assets.human_gold.desk.accounts import Accounts
from assets.human_gold.desk.adjudication import Adjudication
from assets.human_gold.desk.answering import Desk
from assets.human_gold.desk.views import Answer
from assets.human_gold.sending import send_batch
from assets.human_gold.tasks import make_tasks
from assets.identity import identify_pair
from assets.settings import REPOSITORY
from assets.workspace import Workspace


def page_workspace(folder: Path, **people) -> Workspace:
    value = yaml.safe_load((REPOSITORY / "configs" / "sample.yaml").read_text("utf-8"))
    value |= {
        "catalogue": str(REPOSITORY / "configs" / "sources" / "sample.yaml"),
        "people": {"provider": "page", **people},
    }
    path = folder / "page.yaml"
    path.write_text(yaml.safe_dump(value), "utf-8")
    return Workspace(path, folder / "home")


@dataclass
class PeopleRun:
    workspace: Workspace
    engine: Engine
    pairs: list[str] = field(default_factory=list)
    _keys: itertools.count = field(default_factory=itertools.count)

    @property
    def lake(self):
        return self.workspace.lake

    def fill(self, num_pairs: int = 6) -> None:
        rows = []
        for n in range(num_pairs):
            prompt, one, two = f"What is {n} + {n}?", f"{2 * n}", f"{2 * n + 1}, I think"
            ids = identify_pair([("user", prompt)], one, two)
            first, second = (two, one) if ids.swapped else (one, two)
            rows.append(
                {
                    "pair_id": ids.pair_id,
                    "prompt_id": ids.prompt_id,
                    "prompt_cluster_id": ids.prompt_id,
                    "source": "sums",
                    "source_row": n,
                    "prompt": [{"role": "user", "content": prompt}],
                    "response_1": first,
                    "response_2": second,
                    "label_origin": "human",
                    "meta": "{}",
                    "stage": 1,
                    "source_verdict": "1",
                    "task_category": "math",
                    "objectivity": "objective",
                    "controversiality": "low",
                    "desired_attributes": "The right sum.",
                    "annotation_guideline": "Add up.",
                    "writer": "rules",
                    "writer_version": "1",
                }
            )
        self.pairs = [row["pair_id"] for row in rows]
        for table, partition in (
            ("pairs", {"source": "sums"}),
            ("candidate_pool", {}),
            ("attributes", {"source": "sums"}),
        ):
            names = from_rows([], table).schema.names
            self.lake.publish(table, from_rows([{k: r[k] for k in names if k in r} for r in rows], table), partition)

    def ask(self, *, votes: int = 1, round_name: str = "round_0", pairs: list[str] | None = None) -> None:
        """Publish tasks for whoever comes next and send them to the desk."""
        batch = make_tasks(
            pairs if pairs is not None else self.pairs,
            None,
            votes_per_pair=votes,
            round_name=round_name,
            seed=self.workspace.settings.seed,
        )
        self.lake.publish("annotation_tasks", batch.table, {"round": round_name})
        send_batch(self.workspace, self.engine, round_name)

    def person(self, name: str, role: str = "annotator"):
        accounts = Accounts(self.engine)
        if accounts.person(name) is None:
            accounts.accept_invitation(accounts.invite(name, role, by=None), f"a long password of {name[::-1]}")
        return accounts.person(name)

    def answer(self, name: str, verdict: str = "left", num: int = 1, **more) -> list[str]:
        """The person answers their next tasks; returns the keys."""
        desk, person, keys = Desk(self.engine), self.person(name), []
        for _ in range(num):
            task = desk.next_task(person)
            assert task is not None
            desk.answer(person, self._answer(task.key, verdict, task.revision, **more))
            keys.append(task.key)
        return keys

    def correct(self, name: str, key: str, verdict: str) -> None:
        desk, person = Desk(self.engine), self.person(name)
        desk.answer(person, self._answer(key, verdict, desk.shown(person, key).revision))

    def decide(self, name: str, verdict: str) -> None:
        adjudication, person = Adjudication(self.engine), self.person(name, "adjudicator")
        case = adjudication.next_case(person)
        assert case is not None
        adjudication.decide(person, self._answer(case.pair.key, verdict, case.pair.revision, comment="because"))

    def _answer(self, key: str, verdict: str, revision: int, **more) -> Answer:
        strength = "clearly" if verdict in ("left", "right") else None
        values = {"active_seconds": 12.5, "guideline_version": "math 1", "reasons": ("correctness",)} | more
        return Answer(key, f"client-key-{next(self._keys)}", verdict, strength, revision=revision, **values)


def people_run(folder: Path, **people):
    """A context manager: the run, with its desk open."""
    workspace = page_workspace(folder, **people)
    workspace.make_home()
    return _Opened(workspace)


class _Opened:
    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._desk = workspace, open_desk(workspace)

    def __enter__(self) -> PeopleRun:
        return PeopleRun(self._workspace, self._desk.__enter__())

    def __exit__(self, *error) -> None:
        self._desk.__exit__(*error)
