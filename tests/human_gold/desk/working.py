"""Working at a desk in tests: people, batches, answers, and what must hold of the database at any time."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import func, select

from assets.human_gold.desk.adjudication import Adjudication
from assets.human_gold.desk.answering import Desk
from assets.human_gold.desk.batches import Item, Task, batch_progress, push_batch
from assets.human_gold.desk.database import reading
from assets.human_gold.desk.schema import AnswerRow, BatchRow, CaseRow, StandingRow, TaskRow
from assets.human_gold.desk.tallies import in_pool, tally
from assets.human_gold.desk.views import Answer

PASSWORD = "three mild oxen"


class Clock:
    """A clock that stands still until it is turned."""

    def __init__(self):
        self.time = datetime(2025, 3, 1, 9, 0, tzinfo=UTC)

    def __call__(self):
        return self.time

    def turn(self, **by):
        self.time += timedelta(**by)


def item(pair, **fields):
    given = {
        "source": "sample",
        "prompt": [{"role": "user", "content": f"question {pair}"}],
        "response_1": f"one of {pair}",
        "response_2": f"two of {pair}",
        "attributes": {
            "task_category": "math",
            "objectivity": "objective",
            "controversiality": "low",
            "desired_attributes": "correct",
            "annotation_guideline": "check the sum",
            "writer": "keywords",
        },
        "hidden": {"source_verdict": "1", "judges": [{"judge": "j", "verdict": "2"}]},
    }
    return Item(pair, **{**given, **fields})


class Office:
    """People at one desk."""

    def __init__(self, engine, clock, accounts):
        self.engine, self.clock, self.accounts = engine, clock, accounts
        self.desk = Desk(engine, clock, reveal=False)
        self.adjudication = Adjudication(engine, clock)
        self._numbers = count()
        self.last_sent = {}

    def person(self, handle, role="annotator"):
        return self.accounts.accept_invitation(self.accounts.invite(handle, role, by=None), PASSWORD)

    def push(self, *tasks, round_name="round_0", seed=7, **fields):
        pairs = sorted({task.pair_id for task in tasks})
        items = [item(pair, **fields) for pair in pairs]
        return push_batch(self.engine, round_name, seed, items, list(tasks), {}, self.clock)

    def push_pairs(self, num_pairs, votes=1, **more):
        return self.push(*(Task(f"t{p}-{v}", f"p{p}") for p in range(num_pairs) for v in range(votes)), **more)

    def form(self, key, verdict="left", **fields):
        fields.setdefault("client_key", f"client key {next(self._numbers)}")
        self.last_sent[key] = fields["client_key"]
        fields.setdefault("strength", "clearly" if verdict in ("left", "right") else None)
        return Answer(key, verdict=verdict, **fields)

    def answer(self, person, key, verdict="left", **fields):
        return self.desk.answer(person, self.form(key, verdict, **fields))

    def answer_as(self, person, key, canonical, **fields):
        """Answer with a verdict in canonical order, whatever side was drawn."""
        left = next(t.left_response for t in self.tasks() if t.task_id == key)
        verdict = canonical if canonical not in "12" else "left" if canonical == str(left) else "right"
        return self.answer(person, key, verdict, **fields)

    def work(self, person, most=1_000):
        """Answer what comes; the keys in order."""
        done = []
        while len(done) < most and (shown := self.desk.next_task(person)) is not None:
            self.answer(person, shown.key)
            done.append(shown.key)
        return done

    def rows(self, table):
        with reading(self.engine) as session:
            return list(session.scalars(select(table)))

    def tasks(self):
        return self.rows(TaskRow)

    def task(self, key):
        return next(task for task in self.tasks() if task.task_id == key)

    def refused(self):
        return [row["detail"] for row in self.accounts.audit_log() if row["action"] == "answer_refused"]


def check_invariants(engine):
    """What must hold of the database whenever nobody writes."""
    with reading(engine) as session:
        tasks = list(session.scalars(select(TaskRow)))
        answers = list(session.scalars(select(AnswerRow).order_by(AnswerRow.answer_id)))
        counted = tally(tasks)
        for batch in session.scalars(select(BatchRow)):
            for name in (
                "num_open",
                "num_pairs_in_pool",
                "num_claimed",
                "num_answered",
                "num_withdrawn",
                "num_repeats_left",
            ):
                assert getattr(batch, name) == counted["round", batch.round_name, name], name
        for standing in session.scalars(select(StandingRow)):
            for name in ("num_answered", "num_waiting", "num_blocked"):
                assert getattr(standing, name) == counted["person", standing.person_id, name], name
            place = (standing.after_priority, standing.after_task)
            had = {task.pair_id for task in tasks if task.person_id == standing.person_id}
            free = [task for task in tasks if in_pool(task) and task.pair_id not in had]
            assert all((task.priority, task.task_id) > place for task in free), "a task lies behind the search"
        cases = session.execute(
            select(CaseRow.pair_id, CaseRow.round_name, func.count()).group_by(CaseRow.pair_id, CaseRow.round_name)
        )
        assert all(num == 1 for *_, num in cases)
    by_task = {task.task_id: task for task in tasks}
    revisions = Counter()
    for given in answers:
        # Revisions count up from 0 in the order of ids, and one person gives them all.
        assert given.revision == revisions[given.task_id]
        revisions[given.task_id] += 1
        assert given.person_id == by_task[given.task_id].person_id
    assert {task.task_id for task in tasks if task.status == "answered"} == set(revisions)
    for task in tasks:
        assert (task.claimed_at is not None) or task.status != "claimed"
        assert task.status != "claimed" or task.person_id is not None
        assert task.left_response in (1, 2) or task.status in ("open", "withdrawn")
    # No person has a pair twice, but as a repeat.
    firsts = Counter((task.person_id, task.pair_id) for task in tasks if task.person_id and task.purpose != "repeat")
    assert all(times == 1 for times in firsts.values())
    for row in batch_progress(engine):
        assert row["num_tasks"] == sum(task.round_name == row["round_name"] for task in tasks)
