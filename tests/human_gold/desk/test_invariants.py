"""Whatever people do, in whatever order: what must hold of the desk holds, and nothing that was sent is lost."""

import shutil

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from assets.human_gold.desk.accounts import Accounts
from assets.human_gold.desk.adjudication import open_cases
from assets.human_gold.desk.batches import Task, withdraw
from assets.human_gold.desk.database import open_database
from assets.human_gold.desk.schema import AnswerRow, Base, CaseRow, DecisionRow
from assets.human_gold.desk.views import AlreadyAnswered, NotAllowed, Withdrawn
from tests.human_gold.desk.working import Clock, Office, check_invariants

HANDLES = ("ada", "bo", "cy")
PAIRS = [f"p{n}" for n in range(4)]

people = st.sampled_from(HANDLES)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("work"), people, st.integers(1, 3)),
        st.tuples(st.just("ask"), people, st.booleans()),
        st.tuples(st.just("answer"), people, st.sampled_from(["left", "right", "tie", "undecided"])),
        st.tuples(st.just("correct"), people, st.sampled_from(["left", "tie"])),
        st.tuples(st.just("old window"), people),
        st.tuples(st.just("release"), people),
        st.tuples(st.just("draft"), people),
        st.tuples(st.just("wait"), st.sampled_from([-60, 30, 130])),
        st.tuples(st.just("push"), st.integers(0, 2), st.integers(1, 4)),
        st.tuples(st.just("withdraw"), st.sampled_from(PAIRS)),
        st.tuples(st.just("leave"), people),
        st.tuples(st.just("return"), people),
        st.tuples(st.just("cases")),
        st.tuples(st.just("decide"), st.sampled_from(["left", "tie"])),
    ),
    min_size=15,
    max_size=50,
)


def batch(kind, num_pairs):
    """Lists of one round that differ: more votes, reserved tasks, repeats."""
    for place, pair in enumerate(PAIRS[:num_pairs]):
        yield Task(f"{pair}-0", pair, priority=place)
        yield Task(f"{pair}-1", pair, priority=10 - place)
        if kind >= 1:
            yield Task(f"{pair}-again", pair, "repeat", after_num_answers=place % 3, priority=0)
        if kind == 2:
            yield Task(f"{pair}-ada", pair, handle="ada", priority=5)


class Day:
    """A day at the desk: does one action after the other and remembers what was sent."""

    def __init__(self, office):
        self.office, self.sent, self.on_screen = office, [], {}
        self.people = {handle: office.person(handle) for handle in HANDLES}
        self.judge = office.person("judge", "adjudicator")

    def send(self, handle, key, verdict, revision):
        form = self.office.form(key, verdict, revision=revision)
        try:
            receipt = self.office.desk.answer(self.people[handle], form)
            assert receipt.revision == revision
        except (AlreadyAnswered, Withdrawn):
            pass
        except NotAllowed:
            return
        self.sent.append(form.client_key)

    def act(self, name, *given):
        office, handle = self.office, given[0] if given else None
        person, key = self.people.get(handle), self.on_screen.get(handle)
        try:
            if name == "ask":
                shown = office.desk.next_task(person, skip=[key] if key and given[1] else ())
                self.on_screen[handle] = shown and shown.key
            elif name == "work":
                for key in office.work(person, most=given[1]):
                    self.sent.append(self.office.last_sent[key])
            elif name == "answer" and key:
                self.send(handle, key, given[1], 0)
            elif name == "correct" and (past := office.desk.history(person)):
                self.send(handle, past[-1].key, given[1], past[-1].num_revisions)
            elif name == "old window" and (past := office.desk.history(person)):
                self.send(handle, past[len(past) // 2].key, "tie", 0)
            elif name == "release" and key:
                office.desk.release(person, key)
            elif name == "draft" and key:
                office.desk.save_draft(person, key, {"comment": "x"})
            elif name == "wait":
                office.clock.turn(minutes=given[0])
            elif name == "push":
                active = office.accounts.person("ada").active
                office.push(*(task for task in batch(*given) if active or task.handle is None))
            elif name == "withdraw":
                withdraw(office.engine, pair_ids=[given[0]], by=None, why="", clock=office.clock)
            elif name in ("leave", "return"):
                getattr(office.accounts, "deactivate" if name == "leave" else "activate")(handle, by=None)
            elif name == "cases":
                open_cases(office.engine, "no_majority", office.clock)
            elif name == "decide" and (case := office.adjudication.next_case(self.judge)):
                form = office.form(case.pair.key, given[0], revision=case.pair.revision)
                office.adjudication.decide(self.judge, form)
        except NotAllowed:
            pass


@given(actions=actions)
@settings(
    max_examples=6,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_people_do(actions, database, request, tmp_path_factory, cheap_passwords):
    if database == "sqlite":
        path = tmp_path_factory.mktemp("day") / "desk.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        engine = open_database(f"sqlite:///{path}")
    else:
        engine = open_database(request.getfixturevalue("postgresql_tables"))
        with engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY CASCADE"))
    clock = Clock()
    office = Office(engine, clock, Accounts(engine, clock, cheap_passwords))
    day = Day(office)
    office.push(*batch(1, 3))
    for action in actions:
        day.act(*action)
        check_invariants(engine)
    # Nothing that was sent is lost: it is stored, or kept in the audit log.
    stored = [row.client_key for row in office.rows(AnswerRow)]
    kept = [
        row["detail"]["answer"]["client_key"]
        for row in office.accounts.audit_log(10_000)
        if row["action"] == "answer_refused"
    ]
    assert sorted(stored + kept) == sorted(day.sent)
    # A case is decided by exactly those that say so.
    decided = {row.case_id for row in office.rows(DecisionRow)}
    assert decided == {row.case_id for row in office.rows(CaseRow) if row.status == "decided"}
    # What progress promises is what comes.
    for person in day.people.values():
        if office.accounts.person(person.handle).active:
            promised = office.desk.progress(person).mine_left
            done = office.work(person)
            again = {task.task_id for task in office.tasks() if task.purpose == "repeat"}
            # Leases of others that run out meanwhile, and repeats that come due, only add to it.
            assert len([key for key in done if key not in again]) >= promised - len(again & set(done))
    check_invariants(engine)
    engine.dispose()
