"""Accounts: invitations, passwords, sessions, roles, and how many failed sign-ins are borne."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from assets.human_gold.desk.accounts import Accounts
from assets.human_gold.desk.batches import Task
from assets.human_gold.desk.database import reading
from assets.human_gold.desk.passwords import Passwords, check_password, is_common
from assets.human_gold.desk.schema import InvitationRow, PersonRow, SessionRow
from assets.human_gold.desk.views import DeskError, InvitationRefused, NotAllowed, SignInRefused, TooManyAttempts
from tests.human_gold.desk.working import PASSWORD, check_invariants


def refusals(accounts, handle, password, address, times):
    """What so many sign-ins raise."""
    names = []
    for _ in range(times):
        try:
            accounts.sign_in(handle, password, address=address)
            names.append("in")
        except (SignInRefused, TooManyAttempts) as error:
            names.append(type(error).__name__)
    return names


def test_an_invitation_is_used_once(accounts, office):
    token = accounts.invite("ada", "annotator", by=None, display_name="Ada L.")
    assert accounts.invitation(token).display_name == "Ada L."
    person = accounts.accept_invitation(token, PASSWORD)
    assert (person.handle, person.role, person.active, person.simulated) == ("ada", "annotator", True, False)
    for again in (lambda: accounts.invitation(token), lambda: accounts.accept_invitation(token, "another pass phrase")):
        with pytest.raises(InvitationRefused):
            again()
    assert accounts.sign_in("ada", PASSWORD, address="a").person == person


def test_an_account_that_was_not_accepted_cannot_sign_in(accounts):
    accounts.invite("ada", "annotator", by=None)
    assert refusals(accounts, "ada", "", "a", 1) == ["SignInRefused"]
    assert refusals(accounts, "ada", PASSWORD, "a", 1) == ["SignInRefused"]


@pytest.mark.parametrize(("days", "served"), [(6.9, True), (7.1, False)])
def test_an_invitation_expires(accounts, clock, days, served):
    token = accounts.invite("ada", "annotator", by=None)
    clock.turn(days=days)
    if served:
        assert accounts.accept_invitation(token, PASSWORD).handle == "ada"
    else:
        with pytest.raises(InvitationRefused, match="too old"):
            accounts.accept_invitation(token, PASSWORD)


def test_a_second_invitation_replaces_the_first(accounts):
    first = accounts.invite("ada", "annotator", by=None)
    second = accounts.invite("ADA", "adjudicator", by=None)
    with pytest.raises(InvitationRefused):
        accounts.invitation(first)
    assert accounts.accept_invitation(second, PASSWORD).role == "adjudicator"
    assert [person.handle for person in accounts.people()] == ["ada"]


def test_a_link_for_an_account_in_use_sets_a_new_password_and_ends_its_sessions(accounts, office):
    office.person("ada")
    before = accounts.sign_in("ada", PASSWORD, address="a")
    with pytest.raises(DeskError, match="is annotator already"):
        accounts.invite("ada", "manager", by=None)
    token = accounts.invite("ada", "annotator", by=None)
    assert accounts.session(before.token) is not None
    accounts.accept_invitation(token, "five bold herons")
    assert accounts.session(before.token) is None
    assert refusals(accounts, "ada", PASSWORD, "a", 1) == ["SignInRefused"]
    assert accounts.sign_in("ada", "five bold herons", address="a").person.handle == "ada"


def test_two_who_open_one_link_at_once_make_one_password(accounts):
    token = accounts.invite("ada", "annotator", by=None)
    taken, refused = [], []

    def accept(password):
        try:
            accounts.accept_invitation(token, password)
            taken.append(password)
        except InvitationRefused:
            refused.append(password)

    threads = [threading.Thread(target=accept, args=(f"pass phrase {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 5)
    assert accounts.sign_in("ada", taken[0], address="a").person.handle == "ada"


@pytest.mark.parametrize(
    ("handle", "simulated", "message"),
    [
        ("", False, "1 to 100"),
        ("   ", False, "1 to 100"),
        ("x" * 101, False, "1 to 100"),
        ("a\nb", False, "1 to 100"),
        ("a\u202eb", False, "1 to 100"),
        ("a\ud800", False, "1 to 100"),
        ("simulated ada", False, "begin with"),
        ("ada", True, "begin with"),
    ],
)
def test_names_that_cannot_be(accounts, handle, simulated, message):
    with pytest.raises(DeskError, match=message):
        accounts.invite(handle, "annotator", by=None, simulated=simulated)
    assert accounts.people() == []


@pytest.mark.parametrize("handle", ["ada", "Ada Łoś", "A2SUAM1J3GNN3B", "ada@example.org", "x" * 100])
def test_names_that_can_be(accounts, handle):
    accounts.accept_invitation(accounts.invite(f" {handle} ", "annotator", by=None), PASSWORD)
    assert accounts.sign_in(handle, PASSWORD, address="a").person.handle == handle


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("", "fewer than 10"),
        ("short one", "fewer than 10"),
        ("x" * 1_001, "more than 1000"),
        ("ada.lovelace", "is the name"),
        ("ADA.lovelace", "is the name"),
        ("password123", "commonest"),
        ("Password2025!", "commonest"),
        ("passwordpassword", "commonest"),
        ("aaaaaaaaaaaa", "commonest"),
        ("1234567890", "commonest"),
        ("0987654321", "commonest"),
        ("qwertyuiop", "commonest"),
        ("1q2w3e4r5t", "commonest"),
    ],
)
def test_weak_passwords_are_refused_and_the_link_serves_again(accounts, password, message):
    token = accounts.invite("ada.lovelace", "annotator", by=None)
    with pytest.raises(InvitationRefused, match=message):
        accounts.accept_invitation(token, password)
    assert accounts.accept_invitation(token, PASSWORD).handle == "ada.lovelace"


@pytest.mark.parametrize("password", ["three mild oxen", "tr0ub4dor&3x", "пароль-длинный", "x" * 500 + "y" * 100 + "z"])
def test_good_passwords_pass(password):
    check_password(password, "ada")
    assert not is_common(password)


def test_passwords_and_tokens_are_kept_as_hashes_only(accounts, office, engine):
    office.person("ada")
    invitation, session = accounts.invite("bo", "annotator", by=None), accounts.sign_in("ada", PASSWORD, address="a")
    with reading(engine) as rows:
        assert rows.scalar(select(PersonRow.password_hash).where(PersonRow.handle == "ada")).startswith("$argon2id$")
        kept = {*rows.scalars(select(InvitationRow.token_hash)), *rows.scalars(select(SessionRow.token_hash))}
    assert not {invitation, session.token} & kept
    log = repr(accounts.audit_log())
    assert not any(secret in log for secret in (PASSWORD, invitation, session.token, session.csrf_token))


def test_the_default_hash_is_the_librarys_and_a_password_is_one_on_every_keyboard():
    passwords = Passwords()
    kept = passwords.hash("cafe\u0301 au lait")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.matches("caf\u00e9 au lait", kept)
    assert not passwords.matches("cafe au lait", kept)
    assert not passwords.matches("cafe au lait", None)


def test_a_hash_of_other_costs_is_made_anew_at_the_next_sign_in(engine, clock, accounts, office):
    office.person("ada")
    Accounts(engine, clock, Passwords()).sign_in("ada", PASSWORD, address="a")
    with reading(engine) as rows:
        assert "m=65536" in rows.scalar(select(PersonRow.password_hash))
    assert Accounts(engine, clock, Passwords()).sign_in("ada", PASSWORD, address="a").person.handle == "ada"


@pytest.mark.parametrize("handle", ["ada", "nobody", "waiting", "gone", "odd\x00name", "\ud800"])
def test_a_refusal_does_not_tell_whether_the_name_exists(accounts, office, handle):
    office.person("ada")
    office.person("gone")
    accounts.deactivate("gone", by=None)
    accounts.invite("waiting", "annotator", by=None)
    with pytest.raises(SignInRefused) as caught:
        accounts.sign_in(handle, "not the password", address="a")
    assert str(caught.value) == "Name or password is wrong. What to do: try again, or ask a manager for a new link."
    # The limit is the same for names that nobody has.
    assert refusals(accounts, handle, "no", "a", 5) == ["SignInRefused"] * 4 + ["TooManyAttempts"]


def test_every_refusal_verifies_one_hash(accounts, office, monkeypatch):
    """An account that does not exist takes as long as one that does: both verify a hash of the same costs."""
    verified = []
    hasher = accounts._passwords._hasher
    accounts._passwords._hasher = type(
        "Counting", (), {"verify": lambda _, kept, given: verified.append(kept) or hasher.verify(kept, given)}
    )()
    office_names = ["nobody", "waiting"]
    accounts.invite("waiting", "annotator", by=None)
    for name in office_names:
        refusals(accounts, name, "not the password", "a", 1)
    accounts._passwords._hasher = hasher
    assert len(verified) == 2
    assert all(kept.startswith("$argon2id$") for kept in verified)


def test_five_failures_of_a_name_from_an_address_are_borne(accounts, office, clock):
    office.person("ada")
    assert refusals(accounts, "ada", "no", "a", 5) == ["SignInRefused"] * 5
    # Then not even the right password, from there; other addresses and names are free.
    assert refusals(accounts, "ADA ", PASSWORD, "a", 1) == ["TooManyAttempts"]
    assert refusals(accounts, "ada", PASSWORD, "b", 1) == ["in"]
    office.person("bo")
    assert refusals(accounts, "bo", PASSWORD, "a", 1) == ["in"]
    clock.turn(minutes=14)
    with pytest.raises(TooManyAttempts) as caught:
        accounts.sign_in("ada", PASSWORD, address="a")
    assert caught.value.retry_after_s == 60
    clock.turn(minutes=1, seconds=1)
    assert refusals(accounts, "ada", PASSWORD, "a", 1) == ["in"]


def test_a_success_forgives_the_failures_before(accounts, office):
    office.person("ada")
    assert refusals(accounts, "ada", "no", "a", 4) == ["SignInRefused"] * 4
    assert refusals(accounts, "ada", PASSWORD, "a", 1) == ["in"]
    assert refusals(accounts, "ada", "no", "a", 6) == ["SignInRefused"] * 5 + ["TooManyAttempts"]


def test_fifty_failures_from_an_address_are_borne(accounts, office):
    office.person("ada")
    got = [refusals(accounts, f"name {n}", "no", "a", 1)[0] for n in range(51)]
    assert got == ["SignInRefused"] * 50 + ["TooManyAttempts"]
    assert refusals(accounts, "ada", PASSWORD, "a", 1) == ["TooManyAttempts"]
    assert refusals(accounts, "ada", PASSWORD, "b", 1) == ["in"]


def test_many_who_sign_in_from_one_office_are_no_failures(accounts, office):
    office.person("ada")
    assert refusals(accounts, "ada", PASSWORD, "a", 60) == ["in"] * 60


def test_attempts_at_the_same_time_are_all_counted(accounts, office):
    office.person("ada")
    got = []
    threads = [threading.Thread(target=lambda: got.extend(refusals(accounts, "ada", "no", "a", 1))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["SignInRefused"] * 5 + ["TooManyAttempts"] * 7


def test_a_name_that_nobody_has_is_not_written_down(accounts):
    refusals(accounts, "my secret password", "x", "a", 1)
    (attempt,) = accounts.audit_log()
    assert attempt["action"] == "sign_in_attempt"
    assert "secret" not in repr(attempt)


@pytest.mark.parametrize(
    ("hours", "uses", "alive"),
    [(11.9, 1, True), (12.1, 1, False), (11, 60, True), (11, 66, False)],
    ids=["in use", "idle", "used for 27 days", "older than 30 days"],
)
def test_a_session_lives_while_it_is_used_and_thirty_days_at_most(accounts, office, clock, hours, uses, alive):
    office.person("ada")
    token = accounts.sign_in("ada", PASSWORD, address="a").token
    for _ in range(uses):
        clock.turn(hours=hours)
        found = accounts.session(token)
    assert (found is not None) is alive


def test_a_looked_up_session_tells_no_secret_and_keeps_its_csrf_token(accounts, office):
    office.person("ada")
    opened = accounts.sign_in("ada", PASSWORD, address="a")
    found = accounts.session(opened.token)
    assert (found.person, found.csrf_token, found.token) == (opened.person, opened.csrf_token, "")
    assert accounts.session("another") is None
    assert accounts.session("\ud800") is None


def test_signing_out_ends_one_session_or_all(accounts, office):
    person = office.person("ada")
    one, two, three = (accounts.sign_in("ada", PASSWORD, address="a").token for _ in range(3))
    accounts.sign_out(one)
    assert [accounts.session(token) is not None for token in (one, two, three)] == [False, True, True]
    accounts.sign_out_everywhere(person)
    assert [accounts.session(token) is not None for token in (one, two, three)] == [False, False, False]
    accounts.sign_out(one)


def test_a_deactivated_person_is_out_at_once_and_comes_back(accounts, office):
    ada = office.person("ada")
    token = accounts.sign_in("ada", PASSWORD, address="a").token
    invitation = accounts.invite("ada", "annotator", by=None)
    accounts.deactivate("ada", by=None)
    assert accounts.session(token) is None
    assert refusals(accounts, "ada", PASSWORD, "a", 1) == ["SignInRefused"]
    with pytest.raises(InvitationRefused):
        accounts.invitation(invitation)
    with pytest.raises(DeskError, match="not active"):
        accounts.invite("ada", "annotator", by=None)
    with pytest.raises(NotAllowed):
        office.desk.next_task(ada)
    accounts.activate("ada", by=None)
    assert accounts.session(token) is None
    assert refusals(accounts, "ada", PASSWORD, "a", 1) == ["in"]


def test_deactivation_gives_tasks_to_others(office, accounts, engine):
    ada, bo = office.person("ada"), office.person("bo")
    office.push(
        Task("pool", "p0"),
        Task("reserved", "p1", handle="ada", left_response=1),
        Task("known", "p2", "known_answer", handle="ada", known_verdict="1"),
        Task("answered", "p3", handle="ada"),
        Task("repeat", "p3", "repeat", handle="ada", after_num_answers=0),
    )
    assert office.desk.next_task(ada).key == "reserved"
    office.desk.shown(ada, "answered")
    office.answer(ada, "answered")
    office.desk.next_task(ada, skip=["reserved", "known", "repeat"])
    accounts.deactivate("ada", by=None)
    check_invariants(engine)
    after = {task.task_id: (task.status, task.person_id, task.left_response) for task in office.tasks()}
    assert after["answered"][:2] == ("answered", ada.person_id)
    assert after["repeat"][:2] == ("withdrawn", ada.person_id)
    assert [after[key] for key in ("pool", "reserved", "known")] == [("open", None, None)] * 3
    assert sorted(office.work(bo)) == ["known", "pool", "reserved"]


def test_the_last_manager_stays(accounts, office):
    office.person("ada", "manager")
    accounts.invite("bo", "manager", by=None)
    for remove in (lambda: accounts.deactivate("ada", by=None), lambda: accounts.set_role("ada", "annotator", by=None)):
        with pytest.raises(DeskError, match="last manager"):
            remove()
    office.person("cy", "manager")
    assert accounts.set_role("ada", "adjudicator", by=None).role == "adjudicator"
    with pytest.raises(DeskError, match="last manager"):
        accounts.deactivate("cy", by=None)


@pytest.mark.parametrize("role", ["annotator", "adjudicator"])
def test_only_managers_change_accounts(accounts, office, role):
    office.person("boss", "manager")
    office.person("bo")
    person = office.person("ada", role)
    for act in (
        lambda: accounts.invite("new", "annotator", by=person),
        lambda: accounts.invite("bo", "annotator", by=person),
        lambda: accounts.set_role("ada", "manager", by=person),
        lambda: accounts.deactivate("bo", by=person),
        lambda: accounts.activate("bo", by=person),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert accounts.person("new") is None
    assert accounts.person("ada").role == role


def test_a_manager_who_was_set_down_is_none_from_then_on(accounts, office):
    office.person("boss", "manager")
    former = office.person("former", "manager")
    accounts.set_role("former", "annotator", by=None)
    # `former` still says manager: the database is asked.
    assert former.role == "manager"
    with pytest.raises(NotAllowed):
        accounts.invite("new", "manager", by=former)


@pytest.mark.parametrize("act", ["set_role", "deactivate", "activate"])
def test_an_unknown_name_is_said(accounts, act):
    more = ("annotator",) if act == "set_role" else ()
    with pytest.raises(DeskError, match="no account 'nobody'"):
        getattr(accounts, act)("nobody", *more, None)
    with pytest.raises(DeskError, match="no role 'king'"):
        accounts.invite("ada", "king", by=None)


def test_changing_the_password_asks_for_the_old_one_and_ends_other_sessions(accounts, office):
    ada = office.person("ada")
    here, there = (accounts.sign_in("ada", PASSWORD, address="a").token for _ in range(2))
    with pytest.raises(SignInRefused):
        accounts.change_password(ada, "not the old one", "five bold herons", address="a")
    with pytest.raises(InvitationRefused):
        accounts.change_password(ada, PASSWORD, "short", address="a")
    accounts.change_password(ada, PASSWORD, "five bold herons", address="a", keep=here)
    assert accounts.session(here) is not None
    assert accounts.session(there) is None
    assert refusals(accounts, "ada", PASSWORD, "a", 1) == ["SignInRefused"]
    assert refusals(accounts, "ada", "five bold herons", "a", 1) == ["in"]


def test_a_clock_that_goes_back_leaves_no_session_without_end(accounts, office, clock):
    office.person("ada")
    clock.turn(days=365)
    token = accounts.sign_in("ada", PASSWORD, address="a").token
    clock.turn(days=-365)
    assert accounts.session(token) is not None
    clock.turn(hours=13)
    assert accounts.session(token) is None


def test_a_clock_that_goes_back_an_hour_locks_nobody_out(accounts, office, clock):
    office.person("ada")
    refusals(accounts, "ada", "no", "a", 5)
    clock.turn(hours=-1)
    assert refusals(accounts, "ada", PASSWORD, "a", 1) == ["in"]


def test_the_audit_log_says_who_did_what(accounts, office, clock):
    boss = office.person("boss", "manager")
    accounts.invite("ada", "annotator", by=boss)
    accounts.sign_in("boss", PASSWORD, address="10.0.0.7")
    accounts.record(boss, "imported", "round_0", {"num": 3}, "10.0.0.7")
    log = accounts.audit_log()
    assert [(row["handle"], row["action"], row["subject"]) for row in log] == [
        ("boss", "imported", "round_0"),
        ("boss", "signed_in", "boss"),
        (None, "sign_in_attempt", "boss"),
        ("boss", "invited", "ada"),
        ("boss", "invitation_accepted", "boss"),
        (None, "invited", "boss"),
    ]
    assert (log[0]["detail"], log[0]["address"], log[0]["at"]) == ({"num": 3}, "10.0.0.7", clock())
    assert accounts.audit_log(limit=2, before_id=log[1]["audit_id"]) == log[2:4]


def test_an_expired_session_is_cleared_away(accounts, office, clock, engine):
    office.person("ada")
    accounts.sign_in("ada", PASSWORD, address="a")
    clock.time += timedelta(days=2)
    accounts.sign_in("ada", PASSWORD, address="a")
    with reading(engine) as rows:
        assert len(rows.scalars(select(SessionRow)).all()) == 1
