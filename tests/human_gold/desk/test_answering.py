"""Asking and answering: who gets what, what becomes of answers, and leases."""

import multiprocessing
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from assets.human_gold.desk.answering import LEASE, Desk
from assets.human_gold.desk.batches import Task, batch_progress, withdraw
from assets.human_gold.desk.database import open_database, reading
from assets.human_gold.desk.own_tasks import MAX_HELD
from assets.human_gold.desk.schema import AnswerRow, DraftRow, TaskRow
from assets.human_gold.desk.sides import draw_left
from assets.human_gold.desk.views import AlreadyAnswered, InvalidAnswer, NotAllowed, Withdrawn
from tests.human_gold.desk.working import check_invariants


@pytest.fixture
def ada(office):
    return office.person("ada")


@pytest.fixture
def bo(office):
    return office.person("bo")


def test_what_comes_first(office, ada):
    office.push(
        Task("pool, first", "p0", priority=0),
        Task("reserved, late", "p1", handle="ada", priority=9),
        Task("reserved, early", "p2", handle="ada", priority=5),
        Task("pool, later", "p3", priority=1),
    )
    office.desk.next_task(ada)
    office.desk.release(ada, "reserved, early")
    assert office.work(ada) == ["reserved, late", "pool, first", "pool, later", "reserved, early"]


def test_the_task_that_is_held_comes_again_until_it_is_answered(office, ada):
    office.push_pairs(3)
    assert [office.desk.next_task(ada).key for _ in range(3)] == ["t0-0"] * 3
    # The page loads ahead what comes after the one it shows.
    assert [office.desk.next_task(ada, skip=["t0-0"]).key for _ in range(2)] == ["t1-0"] * 2
    assert office.desk.next_task(ada).key == "t0-0"
    office.answer(ada, "t0-0")
    assert office.desk.next_task(ada).key == "t1-0"


def test_nothing_tells_the_page_the_canonical_order(office, ada):
    office.push(Task("t", "p0", "known_answer", known_verdict="1", reason="judges disagree"))
    shown = office.desk.next_task(ada)
    assert set(vars(shown)) == {
        *("key", "pair_id", "round_name", "conversation", "left", "right", "attributes", "due", "draft", "revision")
    }
    assert "source_verdict" not in repr(shown)
    assert "known" not in repr(shown)


def test_sides_are_drawn_for_the_person_and_recorded(office, ada, bo):
    office.push_pairs(40, votes=2)
    for person in (ada, bo):
        while (shown := office.desk.next_task(person)) is not None:
            first = shown.left.startswith("one")
            assert first == (draw_left(7, shown.pair_id, person.handle) == 1)
            office.answer(person, shown.key, "left")
    with reading(office.engine) as session:
        rows = session.execute(
            select(AnswerRow.verdict, TaskRow.left_response).join(TaskRow, TaskRow.task_id == AnswerRow.task_id)
        ).all()
    assert len(rows) == 80
    assert all(verdict == str(left) for verdict, left in rows)
    assert {verdict for verdict, _ in rows} == {"1", "2"}


def test_a_side_that_the_batch_gives_is_kept(office, ada):
    office.push(*(Task(f"t{n}", f"p{n}", left_response=2) for n in range(8)))
    while (shown := office.desk.next_task(ada)) is not None:
        assert shown.left.startswith("two")
        office.answer(ada, shown.key)


def test_nobody_gets_a_pair_twice(office, ada, bo):
    office.push_pairs(3, votes=2)
    office.push(
        Task("again", "p0", priority=98),
        Task("known", "p1", "known_answer", known_verdict="1", priority=99),
        round_name="round_1",
    )
    assert office.work(ada) == ["t0-0", "t1-0", "t2-0"]
    assert office.desk.next_task(ada) is None
    assert office.work(bo) == ["t0-1", "t1-1", "t2-1"]
    assert office.work(office.person("cy")) == ["again", "known"]
    check_invariants(office.engine)


def test_many_who_ask_at_once_get_different_tasks(office):
    people = [office.person(f"person {n}") for n in range(20)]
    office.push_pairs(60, votes=3)
    got, failed = [], []

    def work(person):
        try:
            got.extend((person.handle, key) for key in office.work(person, most=6))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(got) == 120
    assert len({key for _, key in got}) == 120
    check_invariants(office.engine)
    assert batch_progress(office.engine)[0]["num_answered"] == 120


def _take_all(url, handle, barrier, gotten):
    from assets.human_gold.desk.accounts import Accounts
    from tests.human_gold.desk.working import Clock, Office

    engine = open_database(url)
    clock = Clock()
    accounts = Accounts(engine, clock)
    office = Office(engine, clock, accounts)
    person = accounts.person(handle)
    barrier.wait(120)
    keys = []
    while (shown := office.desk.next_task(person)) is not None:
        keys.append(shown.key)
        office.answer(person, shown.key, client_key=f"{handle} answers {shown.key}")
    gotten.put((handle, keys))
    engine.dispose()


def test_processes_that_ask_at_once_get_different_tasks(office):
    handles = ["ada", "bo", "cy"]
    for handle in handles:
        office.person(handle)
    office.push_pairs(30, votes=2)
    spawn = multiprocessing.get_context("spawn")
    barrier, gotten = spawn.Barrier(len(handles)), spawn.Queue()
    url = office.engine.url.render_as_string(hide_password=False)
    workers = [spawn.Process(target=_take_all, args=(url, handle, barrier, gotten)) for handle in handles]
    for worker in workers:
        worker.start()
    taken = dict(gotten.get(timeout=240) for _ in workers)
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    keys = [key for some in taken.values() for key in some]
    assert len(keys) == len(set(keys)) == 60
    check_invariants(office.engine)


def test_two_windows_that_ask_at_once_are_asked_the_same(office, ada):
    office.push_pairs(20)
    got = []
    threads = [threading.Thread(target=lambda: got.append(office.desk.next_task(ada).key)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(got) == {"t0-0"}


def test_an_answer_that_is_sent_again_adds_nothing(office, ada):
    office.push_pairs(2)
    office.desk.next_task(ada)
    form = office.form("t0-0", "right", comment="because")
    first = office.desk.answer(ada, form)
    assert (first.revision, first.repeated) == (0, False)
    for _ in range(3):
        again = office.desk.answer(ada, form)
        assert (again.key, again.revision, again.repeated) == ("t0-0", 0, True)
    # Also after a correction, and at the same time.
    office.answer(ada, "t0-0", "tie", revision=1)
    got = []
    threads = [threading.Thread(target=lambda: got.append(office.desk.answer(ada, form))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(receipt.revision, receipt.repeated) for receipt in got} == {(0, True)}
    assert [row.revision for row in office.rows(AnswerRow)] == [0, 1]
    assert office.refused() == []


def test_the_same_key_for_the_first_time_from_many_at_once_is_stored_once(office, ada):
    office.push_pairs(1)
    office.desk.next_task(ada)
    form, got = office.form("t0-0"), []
    threads = [threading.Thread(target=lambda: got.append(office.desk.answer(ada, form).repeated)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] + [True] * 7
    assert len(office.rows(AnswerRow)) == 1


def test_a_client_key_serves_one_answer(office, ada, bo):
    office.push_pairs(2)
    for person, key in ((ada, "t0-0"), (bo, "t1-0")):
        assert office.desk.next_task(person).key == key
    office.answer(ada, "t0-0", client_key="the same key")
    with pytest.raises(InvalidAnswer, match="another answer"):
        office.answer(bo, "t1-0", client_key="the same key")
    assert office.task("t1-0").status == "claimed"


def test_two_windows_answer_one_task(office, ada):
    office.push_pairs(1)
    office.desk.next_task(ada)
    office.answer(ada, "t0-0", "left", comment="first window")
    second = office.form("t0-0", "right", comment="second window")
    for _ in range(2):
        with pytest.raises(AlreadyAnswered, match="newest revision is 0"):
            office.desk.answer(ada, second)
    (stored,) = office.rows(AnswerRow)
    assert (stored.shown_verdict, stored.comment) == ("left", "first window")
    # Kept once, though it was sent twice.
    (refused,) = office.refused()
    assert refused["why"] == "AlreadyAnswered"
    assert (refused["answer"]["verdict"], refused["answer"]["comment"]) == ("right", "second window")
    # Shown again, the page knows the newer revision, and can answer after it.
    shown = office.desk.shown(ada, "t0-0")
    assert (shown.revision, shown.draft["comment"]) == (1, "first window")
    assert office.answer(ada, "t0-0", "right", revision=shown.revision).revision == 1


def test_windows_that_answer_at_the_same_time_store_one(office, ada):
    office.push_pairs(1)
    office.desk.next_task(ada)
    got = []

    def answer(number):
        try:
            office.answer(ada, "t0-0", comment=f"window {number}")
            got.append("stored")
        except AlreadyAnswered:
            got.append("refused")

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["refused"] * 7 + ["stored"]
    kept = {entry["answer"]["comment"] for entry in office.refused()} | {row.comment for row in office.rows(AnswerRow)}
    assert kept == {f"window {number}" for number in range(8)}
    check_invariants(office.engine)


def test_corrections_are_appended(office, ada):
    office.push_pairs(1)
    office.desk.next_task(ada)
    for revision, verdict in enumerate(("left", "tie", "right", "undecided")):
        assert office.answer(ada, "t0-0", verdict, revision=revision).revision == revision
    assert [row.shown_verdict for row in office.rows(AnswerRow)] == ["left", "tie", "right", "undecided"]
    (past,) = office.desk.history(ada)
    assert (past.verdict, past.strength, past.num_revisions) == ("undecided", None, 4)
    assert office.desk.progress(ada).mine_done == 1
    check_invariants(office.engine)


def test_a_task_that_is_withdrawn_while_it_is_open(office, ada):
    office.push_pairs(2)
    office.desk.next_task(ada)
    withdraw(office.engine, task_ids=["t0-0"], by=None, why="leaked", clock=office.clock)
    with pytest.raises(Withdrawn):
        office.desk.shown(ada, "t0-0")
    with pytest.raises(Withdrawn) as caught:
        office.answer(ada, "t0-0", comment="all this work")
    assert "audit log" in caught.value.kept
    assert office.rows(AnswerRow) == []
    (refused,) = office.refused()
    assert (refused["why"], refused["answer"]["comment"]) == ("Withdrawn", "all this work")
    assert office.desk.next_task(ada).key == "t1-0"
    check_invariants(office.engine)


def test_an_answer_given_before_the_withdrawal_stays_and_may_be_corrected(office, ada):
    office.push_pairs(1)
    office.desk.next_task(ada)
    office.answer(ada, "t0-0")
    assert withdraw(office.engine, pair_ids=["p0"], by=None, why="", clock=office.clock) == 0
    assert office.answer(ada, "t0-0", "tie", revision=1).revision == 1


@pytest.mark.parametrize("key", ["t0-0", "t1-0", "nothing", "case-1", "", "x" * 100, "\x00", "' OR 1=1 --"])
def test_other_peoples_tasks_are_nobodys_business(office, ada, bo, key):
    office.push_pairs(2)
    office.desk.next_task(bo)
    key = key.replace("\x00", "") if office.engine.dialect.name == "postgresql" else key
    for act in (
        lambda: office.desk.shown(ada, key),
        lambda: office.answer(ada, key),
        lambda: office.desk.save_draft(ada, key, {}),
        lambda: office.desk.release(ada, key),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert office.rows(AnswerRow) == []
    assert office.rows(DraftRow) == []


def test_what_was_never_shown_cannot_be_answered(office, ada):
    office.push(Task("mine", "p0", handle="ada"))
    with pytest.raises(NotAllowed, match="not shown"):
        office.answer(ada, "mine")
    office.desk.shown(ada, "mine")
    assert office.answer(ada, "mine").revision == 0


def test_leases_run_out(office, ada, bo):
    office.push_pairs(2)
    assert office.desk.next_task(ada).key == "t0-0"
    office.clock.turn(hours=2)
    assert office.desk.next_task(bo).key == "t1-0"
    office.desk.release(bo, "t1-0")
    office.clock.turn(seconds=1)
    assert office.desk.next_task(bo).key == "t0-0"
    with pytest.raises(NotAllowed):
        office.desk.shown(ada, "t0-0")
    with pytest.raises(Withdrawn, match="given to somebody else"):
        office.answer(ada, "t0-0", comment="late")
    assert office.refused()[0]["answer"]["comment"] == "late"
    check_invariants(office.engine)


def test_who_comes_back_late_keeps_the_task_if_nobody_else_asked(office, ada):
    office.push_pairs(1)
    office.desk.next_task(ada)
    office.desk.save_draft(ada, "t0-0", {"comment": "half"})
    office.clock.turn(days=3)
    shown = office.desk.next_task(ada)
    assert (shown.key, shown.draft) == ("t0-0", {"comment": "half"})
    office.clock.turn(days=3)
    assert office.answer(ada, "t0-0").revision == 0


def test_a_late_answer_counts_if_the_task_is_still_free(office, ada, bo):
    office.push_pairs(2)
    left = office.desk.next_task(ada).left
    office.clock.turn(hours=3)
    # Bo's question ends Ada's lease; Bo takes another task.
    office.desk.next_task(bo)
    office.answer(bo, "t0-0")
    assert office.desk.next_task(bo).key == "t1-0"
    office.clock.turn(hours=3)
    assert office.desk.next_task(ada).key == "t1-0"
    check_invariants(office.engine)
    office.clock.turn(hours=3)
    office.desk.release(ada, "t1-0")
    with pytest.raises(Withdrawn):
        office.answer(ada, "t0-0")
    with pytest.raises(Withdrawn):
        office.answer(bo, "t1-0")
    assert left.endswith("p0")


def test_a_late_answer_takes_back_what_lies_in_the_pool(office, ada, bo):
    office.push(Task("reserved", "p9", handle="bo", priority=9), Task("t", "p0", priority=0))
    shown = office.desk.next_task(ada)
    office.clock.turn(hours=3)
    # Bo has work of their own; the next who looks into the pool ends the lease without taking the task.
    office.answer(bo, office.desk.next_task(bo).key)
    cy = office.person("cy")
    assert office.desk.next_task(cy, skip=["t"]) is None
    assert office.task("t").person_id is None
    check_invariants(office.engine)
    office.answer(ada, "t", "left")
    given = office.rows(AnswerRow)[-1]
    assert (given.verdict == "1") == shown.left.startswith("one")
    check_invariants(office.engine)


def test_asking_and_writing_keep_the_lease_alive(office, ada, bo):
    office.push_pairs(1)
    office.desk.next_task(ada)
    for step in range(6):
        office.clock.turn(hours=1.5)
        if step % 2:
            office.desk.next_task(ada)
        else:
            office.desk.save_draft(ada, "t0-0", {"step": step})
        assert office.desk.next_task(bo) is None


def test_a_reserved_task_waits_for_its_person(office, ada, bo):
    office.push(Task("mine", "p0", handle="ada"))
    assert office.desk.next_task(ada).key == "mine"
    office.clock.turn(days=9)
    assert office.desk.next_task(bo) is None
    assert office.task("mine").status == "open"
    assert office.answer(ada, "mine").revision == 0


def test_what_is_put_off_comes_last_and_then_to_others(office, ada, bo):
    office.push_pairs(3)
    office.desk.next_task(ada)
    office.desk.save_draft(ada, "t0-0", {"comment": "hard"})
    office.desk.release(ada, "t0-0")
    assert office.desk.next_task(ada).key == "t1-0"
    office.desk.release(ada, "t1-0")
    assert office.work(ada, most=2) == ["t2-0", "t0-0"]
    check_invariants(office.engine)
    office.clock.turn(hours=3)
    assert office.work(bo) == ["t1-0"]
    with pytest.raises(NotAllowed, match="not answered"):
        office.desk.release(ada, "t2-0")


def test_drafts_are_the_persons_own_and_end_with_the_answer(office, ada, bo):
    office.push_pairs(1)
    office.desk.next_task(ada)
    office.desk.save_draft(ada, "t0-0", {"comment": "one"})
    office.desk.save_draft(ada, "t0-0", {"comment": "two \x00", "verdict": "left"})
    assert office.desk.next_task(ada).draft == {"comment": "two \u2400", "verdict": "left"}
    office.clock.turn(hours=3)
    assert office.desk.next_task(bo).draft is None
    office.answer(bo, "t0-0", comment="mine")
    assert office.desk.shown(bo, "t0-0").draft["comment"] == "mine"
    assert [draft.person_id for draft in office.rows(DraftRow)] == [ada.person_id]


def test_nobody_hoards(office, ada):
    office.push_pairs(MAX_HELD + 5)
    held = []
    for _ in range(MAX_HELD):
        held.append(office.desk.next_task(ada, skip=held).key)
    with pytest.raises(NotAllowed, match=f"hold {MAX_HELD} tasks"):
        office.desk.next_task(ada, skip=held)
    assert office.desk.next_task(ada).key == held[0]
    office.desk.release(ada, held[0])
    assert office.desk.next_task(ada, skip=held) is not None


def test_a_skipped_task_of_the_pool_is_not_lost(office, ada):
    office.push_pairs(3)
    assert office.desk.next_task(ada, skip=["t0-0", "t1-0"]).key == "t2-0"
    check_invariants(office.engine)
    office.answer(ada, "t2-0")
    assert office.work(ada) == ["t0-0", "t1-0"]


def test_tasks_that_come_later_are_found_wherever_they_stand(office, ada):
    first = [Task("b", "p1", priority=10)]
    office.push(*first)
    assert office.work(ada) == ["b"]
    assert office.desk.next_task(ada) is None
    office.push(*first, Task("a", "p0", priority=5), Task("c", "p2", priority=15))
    check_invariants(office.engine)
    assert office.work(ada) == ["a", "c"]


def test_a_repeat_comes_back_to_who_answered_after_enough_others(office, ada, bo):
    office.push(
        Task("original", "p0", priority=0),
        Task("again", "p0", "repeat", after_num_answers=3, priority=0),
        *(Task(f"t{n}", f"p{n}", priority=n) for n in range(1, 6)),
    )
    assert office.work(ada, most=4) == ["original", "t1", "t2", "t3"]
    assert office.desk.progress(ada).mine_left == 3
    shown = office.desk.next_task(ada)
    assert (shown.key, shown.pair_id) == ("again", "p0")
    assert (shown.left.startswith("one")) == (draw_left(7, "p0", "ada", "left again") == 1)
    # Blind: neither the first answer nor its draft is shown.
    assert (shown.draft, shown.revision) == (None, 0)
    office.answer(ada, "again")
    assert office.work(bo) == ["t4", "t5"]
    check_invariants(office.engine)


def test_a_repeat_that_is_not_due_is_not_shown(office, ada):
    office.push(Task("original", "p0"), Task("again", "p0", "repeat", after_num_answers=2), Task("t1", "p1"))
    assert office.work(ada) == ["original", "t1"]
    assert office.desk.next_task(ada) is None
    assert office.desk.progress(ada).mine_left == 0
    for act in (lambda: office.desk.shown(ada, "again"), lambda: office.answer(ada, "again")):
        with pytest.raises(NotAllowed):
            act()
    # Another round makes it due.
    office.push(Task("t2", "p2"), round_name="round_1")
    assert office.work(ada) == ["t2", "again"]


def test_corrections_do_not_bring_a_repeat_nearer(office, ada):
    office.push(Task("original", "p0"), Task("again", "p0", "repeat", after_num_answers=1))
    office.work(ada)
    office.answer(ada, "original", "tie", revision=1)
    office.answer(ada, "original", "left", revision=2)
    assert office.desk.next_task(ada) is None


def test_repeats_go_one_to_each(office, ada, bo):
    office.push(
        *(Task(f"label {n}", "p0") for n in range(2)),
        *(Task(f"again {n}", "p0", "repeat", after_num_answers=0) for n in range(2)),
    )
    assert [office.work(person) for person in (ada, bo)] == [["label 0", "again 0"], ["label 1", "again 1"]]


def test_a_repeat_for_a_person_waits_for_their_own_answer(office, ada, bo):
    office.push(
        Task("of bo", "p0", handle="bo"),
        Task("of ada", "p0", handle="ada", priority=9),
        Task("again", "p0", "repeat", handle="ada", priority=1),
    )
    assert office.work(bo) == ["of bo"]
    assert office.work(ada) == ["of ada", "again"]


def test_a_repeat_that_is_pushed_after_the_answer_counts_from_it(office, ada):
    labels = [Task(f"t{n}", f"p{n}") for n in range(4)]
    office.push(*labels)
    office.work(ada, most=3)
    office.push(*labels, Task("again", "p0", "repeat", after_num_answers=3))
    assert office.task("again").shown_after == 1 + 3
    assert office.work(ada) == ["t3", "again"]


def test_hidden_labels_are_told_after_a_label_only(office, ada):
    revealing = Desk(office.engine, office.clock, reveal=True)
    office.push(
        Task("label", "p0", left_response=2),
        Task("again", "p0", "repeat", left_response=2),
        Task("known", "p1", "known_answer", known_verdict="1", left_response=2),
    )
    told = {}
    while (shown := revealing.next_task(ada)) is not None:
        told[shown.key] = revealing.answer(ada, office.form(shown.key)).revealed
    assert told == {
        "label": {"source_verdict": "right", "judges": [{"judge": "j", "verdict": "left"}]},
        "again": None,
        "known": None,
    }
    office.push(Task("quiet", "p5"), round_name="round_1")
    office.desk.next_task(ada)
    assert office.answer(ada, "quiet").revealed is None


def test_the_history_is_ones_own_and_newest_first(office, ada, bo):
    office.push_pairs(5, votes=2)
    done = office.work(ada)
    office.work(bo)
    office.answer(ada, done[0], "tie", revision=1)
    entries = office.desk.history(ada)
    assert [entry.key for entry in entries] == done[::-1]
    assert (entries[-1].verdict, entries[-1].num_revisions) == ("tie", 2)
    assert entries[0].beginning == "question p4"
    assert [entry.key for entry in office.desk.history(ada, limit=2, before=done[3])] == [done[2], done[1]]
    # One of another person's is no place of one's own list.
    assert office.desk.history(ada, before="t0-1") == []


def test_progress_counts(office, ada, bo):
    office.push_pairs(6, votes=2)
    office.push(Task("mine", "p9", handle="ada"), round_name="round_1")
    assert (office.desk.progress(ada).mine_left, office.desk.progress(bo).mine_left) == (7, 6)
    for seconds in (10, 20, 30, 40):
        office.answer(ada, office.desk.next_task(ada).key, active_seconds=seconds)
    assert office.desk.progress(ada).median_seconds is None
    office.clock.turn(days=1)
    office.answer(ada, office.desk.next_task(ada).key, active_seconds=90)
    got = office.desk.progress(ada)
    assert (got.mine_done, got.mine_today, got.mine_left, got.median_seconds) == (5, 1, 2, 30)
    assert (got.all_done, got.all_left) == (5, 8)
    assert office.desk.progress(bo).mine_left == 6
    # Exactly as many as come: what is left of pairs they had is not theirs to answer.
    assert len(office.work(ada)) == 2
    assert office.desk.progress(ada).mine_left == 0


def test_a_clock_that_goes_back_changes_no_order_and_no_lease(office, ada, bo):
    office.push_pairs(4)
    office.answer(ada, office.desk.next_task(ada).key)
    held = office.desk.next_task(ada).key
    office.clock.turn(hours=-1)
    assert office.desk.next_task(bo).key not in ("t0-0", held)
    office.answer(ada, held, "right")
    office.answer(ada, held, "tie", revision=1)
    assert [entry.key for entry in office.desk.history(ada)] == [held, "t0-0"]
    assert office.desk.history(ada)[0].verdict == "tie"
    assert office.desk.shown(ada, held).revision == 2
    assert office.desk.shown(ada, held).draft["verdict"] == "tie"
    times = {row.answer_id: row.answered_at for row in office.rows(AnswerRow)}
    assert times[min(times)] > times[max(times)]
    office.clock.turn(hours=1)
    assert office.desk.next_task(bo) is not None
    check_invariants(office.engine)


def test_a_lease_from_a_clock_that_was_ahead_ends(office, ada, bo):
    """A claim of a time to come does not hold a task longer than the clock was wrong and a lease."""
    office.push_pairs(1)
    office.clock.turn(hours=1)
    office.desk.next_task(ada)
    office.clock.turn(hours=-1)
    assert office.desk.next_task(bo) is None
    office.clock.time += LEASE + timedelta(hours=1, seconds=1)
    assert office.desk.next_task(bo).key == "t0-0"


def test_a_page_that_is_loaded_again_writes_nothing(office, ada):
    office.push_pairs(1)
    office.desk.next_task(ada)
    with reading(office.engine) as session:
        before = session.scalar(select(TaskRow.claimed_at))
    office.clock.turn(minutes=20)
    office.desk.next_task(ada)
    with reading(office.engine) as session:
        assert session.scalar(select(TaskRow.claimed_at)) == before
