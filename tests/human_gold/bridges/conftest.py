"""A desk with a round of tasks, for both bridges."""

from datetime import UTC, datetime, timedelta

import pytest

from assets.human_gold.desk.accounts import Accounts
from assets.human_gold.desk.answering import Desk
from assets.human_gold.desk.batches import Item, Task, push_batch
from assets.human_gold.desk.database import open_database
from assets.human_gold.desk.delivery import answers_since

START = datetime(2025, 3, 1, tzinfo=UTC)
ATTRIBUTES = {
    "task_category": "math",
    "objectivity": "objective",
    "controversiality": "low",
    "desired_attributes": "Right.",
    "annotation_guideline": "Check it.",
    "writer": "keyword_rules",
    "writer_version": "1",
}
HIDDEN = {"source_verdict": "2", "judges": [{"judge": "secret judge", "verdict": "1"}]}


def item(pair_id, first="first of {}", second="second of {}", prompt=None):
    return Item(
        pair_id,
        "secret source",
        prompt or [{"role": "user", "content": f"question {pair_id}"}],
        first.replace("{}", pair_id),
        second.replace("{}", pair_id),
        ATTRIBUTES,
        HIDDEN,
    )


class Round:
    """The desk with its people, at a clock that the test turns."""

    def __init__(self, url):
        self.engine = open_database(url)
        self.at = START
        self.accounts = Accounts(self.engine, self.clock)
        self.people = {}
        for handle in ("ada", "bo"):
            # Who works in another tool need never sign in here.
            self.accounts.invite(handle, "annotator", by=None)
            self.people[handle] = self.accounts.person(handle)
        self.desk = Desk(self.engine, self.clock)

    def clock(self):
        return self.at

    def later(self, **delta):
        self.at += timedelta(**delta)

    def push(self, items, tasks, round_name="round_0", seed=7):
        return push_batch(self.engine, round_name, seed, items, tasks, {}, self.clock)

    def answers(self, round_name="round_0"):
        return answers_since(self.engine, round_name, 0)


@pytest.fixture
def desk_round(tmp_path):
    at = Round(f"sqlite:///{tmp_path}/desk.sqlite")
    yield at
    at.engine.dispose()


def reserved(*pairs, people=("ada", "bo"), **more):
    return [Task(f"{pair}-{handle}", pair, handle=handle, **more) for pair in pairs for handle in people]
