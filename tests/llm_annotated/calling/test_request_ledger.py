"""The request ledger by itself: claims, settlements, spend, several processes, damaged and full files."""

import sqlite3
import subprocess
import sys
import threading

import pytest

from assets.errors import SynprefError
from assets.llm_annotated.calling.claims import Bounds, Claim, Settlement
from assets.llm_annotated.calling.request_ledger import RequestLedger
from assets.llm_annotated.chat import ChatReply
from assets.llm_annotated.judging import OK
from assets.settings import REPOSITORY

NOTHING = Bounds()


def claim(key: str, worst_nano: int = 100, batch: str = "round_1") -> Claim:
    return Claim(key, "model", batch, "pair", worst_nano)


def settled(key: str, status: str = OK, cost: int = 0, in_doubt: int = 0, **reply) -> Settlement:
    return Settlement(key, ChatReply(key, status, **reply), cost, in_doubt)


def states(answers) -> list[str]:
    return [answer.state for answer in answers]


def nano(usd: float) -> int:
    return round(usd * 1e9)


def test_a_claim_is_answered_once_it_is_settled(ledger):
    reply = ChatReply("a", OK, 'the "text"\n😀\0', {"1": -0.5, "2": -1.0}, 10, 4, 2, 7e-9)
    assert states(ledger.write(claims=[claim("a")])) == ["yours"]
    assert ledger.lookup(["a"]) == {}
    ledger.write([Settlement("a", reply, 7)])
    assert ledger.lookup(["a", "b"]) == {"a": reply}
    answer = ledger.write(claims=[claim("a")])[0]
    assert (answer.state, answer.reply) == ("answered", reply)


@pytest.mark.parametrize("status", ["timeout", "rate_limited", "server_failed", "connection_failed", "http_401"])
def test_what_may_fare_better_later_can_be_claimed_again(ledger, status):
    ledger.write(claims=[claim("a")])
    ledger.write([settled("a", status)])
    assert ledger.lookup(["a"]) == {}
    assert states(ledger.write(claims=[claim("a")])) == ["yours"]


@pytest.mark.parametrize(
    "status", [OK, "refused", "cut_off", "malformed_reply", "empty_reply", "reply_too_long", "prompt_too_long"]
)
def test_what_was_answered_is_never_claimed_again(ledger, status):
    ledger.write(claims=[claim("a")])
    ledger.write([settled("a", status)])
    assert states(ledger.write(claims=[claim("a")])) == ["answered"]


def test_spend_is_kept_by_batch(ledger):
    ledger.write(claims=[claim("a", 50), claim("b", 60), claim("c", 70, batch="round_2")])
    assert nano(ledger.reserved_usd()) == 180
    ledger.write([settled("a", cost=20), settled("b", "timeout", in_doubt=60)])
    assert nano(ledger.spent_usd("round_1")) == 80
    assert nano(ledger.in_doubt_usd("round_1")) == 60
    assert nano(ledger.reserved_usd("round_2")) == 70
    assert nano(ledger.spent_usd()) == 80


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (NOTHING, ["yours"] * 4),
        (Bounds(total_nano=400), ["yours"] * 4),
        (Bounds(total_nano=399), ["yours", "yours", "yours", "wait"]),
        (Bounds(total_nano=150), ["yours", "wait", "wait", "wait"]),
        (Bounds(total_nano=99), ["over_budget"] * 4),
        (Bounds(total_nano=0), ["over_budget"] * 4),
        (Bounds(batch_nano=200), ["yours", "yours", "wait", "wait"]),
        (Bounds(total_nano=300, batch_nano=200), ["yours", "yours", "wait", "wait"]),
    ],
    ids=str,
)
def test_claims_beyond_a_bound_wait_or_end(ledger, bounds, expected):
    assert states(ledger.write(claims=[claim(key) for key in "abcd"], bounds=bounds)) == expected


def test_nothing_overtakes_a_claim_without_room(ledger):
    answers = ledger.write(claims=[claim("a", 100), claim("b", 300), claim("c", 10)], bounds=Bounds(total_nano=350))
    assert states(answers) == ["yours", "wait", "wait"]


def test_free_calls_fit_into_an_empty_budget(ledger):
    assert states(ledger.write(claims=[claim("a", 0)], bounds=Bounds(0, 0))) == ["yours"]


def test_a_batch_does_not_spend_the_bound_of_another(ledger):
    bounds = Bounds(batch_nano=100)
    assert states(ledger.write(claims=[claim("a"), claim("b", batch="round_2")], bounds=bounds)) == ["yours", "yours"]


def test_a_key_twice_in_one_group_is_claimed_once(ledger):
    assert states(ledger.write(claims=[claim("a"), claim("a")])) == ["yours", "busy"]
    assert nano(ledger.reserved_usd()) == 100


def test_a_settlement_without_a_claim_changes_nothing(ledger):
    ledger.write(claims=[claim("a")])
    with pytest.raises(SynprefError, match="without having been claimed"):
        ledger.write([settled("a"), settled("b")])
    assert ledger.lookup(["a"]) == {}
    with pytest.raises(SynprefError, match="cost more than was reserved"):
        ledger.write([settled("a", cost=101)])
    ledger.write([settled("a", cost=100)])
    with pytest.raises(SynprefError, match="without having been claimed"):
        ledger.write([settled("a", cost=100)])
    assert nano(ledger.spent_usd()) == 100


def test_replies_that_nobody_claimed_are_stored_once(ledger):
    replies = [
        ChatReply("a", OK, "text", {"1": -0.1}, 5, 2, 1, 3e-9),
        ChatReply("b", "cut_off", "half", cost_usd=4e-9),
        ChatReply("c", "timeout"),
    ]
    for _ in range(2):
        ledger.store(replies, fingerprint="model", subjects={"a": "pair"}, batch="round_1")
        assert ledger.lookup("abc") == {"a": replies[0], "b": replies[1]}
        assert nano(ledger.spent_usd("round_1")) == 7
    ledger.store([ChatReply("c", OK, "at last", cost_usd=2e-9)], fingerprint="model", subjects={}, batch="round_2")
    assert ledger.lookup("c")["c"].text == "at last"
    assert nano(ledger.spent_usd()) == 9


def test_two_ledgers_on_one_file_do_not_claim_the_same(tmp_path):
    with RequestLedger(tmp_path / "l.sqlite") as one, RequestLedger(tmp_path / "l.sqlite") as two:
        assert states(one.write(claims=[claim("a")])) == ["yours"]
        assert states(two.write(claims=[claim("a"), claim("b")])) == ["busy", "yours"]
        # The other lives: what it sent is not in doubt.
        assert two.recover() == 0
        with pytest.raises(SynprefError, match="without having been claimed"):
            two.write([settled("a")])
        one.write([settled("a")])
        assert states(two.write(claims=[claim("a")])) == ["answered"]


def test_the_bound_holds_for_all_processes_together(tmp_path):
    bounds = Bounds(total_nano=1000)
    won = []

    def work(number: int) -> None:
        with RequestLedger(tmp_path / "l.sqlite") as ledger:
            for n in range(30):
                key = f"{number} {n}"
                if states(ledger.write(claims=[claim(key)], bounds=bounds)) == ["yours"]:
                    won.append(key)
                    ledger.write([settled(key, cost=50)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with RequestLedger(tmp_path / "l.sqlite") as ledger:
        assert nano(ledger.spent_usd()) == 50 * len(won) <= 1000
    # Reservations of the others can stop a claim early, by at most one call each.
    assert len(won) >= 15


DIES = """
import os, signal, sys
from pathlib import Path
from assets.llm_annotated.calling.claims import Claim, Settlement
from assets.llm_annotated.calling.request_ledger import RequestLedger
from assets.llm_annotated.chat import ChatReply
ledger = RequestLedger(Path(sys.argv[1]))
ledger.write(claims=[Claim(key, "model", "round_1", "", 100) for key in "abc"])
ledger.write([Settlement("a", ChatReply("a", "ok", "text"), 30)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_sent_is_in_doubt(tmp_path):
    path = tmp_path / "l.sqlite"
    subprocess.run([sys.executable, "-c", DIES, str(path)], cwd=REPOSITORY, check=False)
    with RequestLedger(path) as ledger:
        assert ledger.count_statuses() == {"in_doubt": 2, OK: 1}
        assert [nano(usd) for usd in (ledger.spent_usd(), ledger.in_doubt_usd(), ledger.reserved_usd())] == [
            230,
            200,
            0,
        ]
        assert ledger.lookup("abc").keys() == {"a"}
        # Asked again, it counts twice: both may have been paid.
        assert states(ledger.write(claims=[claim("b")])) == ["yours"]
        ledger.write([settled("b", cost=40)])
        assert nano(ledger.spent_usd()) == 270
    assert list((tmp_path / "l.sqlite.owners").iterdir()) == []


def test_what_is_left_at_closing_is_in_doubt(tmp_path):
    with RequestLedger(tmp_path / "l.sqlite") as ledger:
        ledger.write(claims=[claim("a")])
    with RequestLedger(tmp_path / "l.sqlite") as ledger:
        assert ledger.count_statuses() == {"in_doubt": 1}


def test_a_file_that_is_no_ledger_is_refused_and_kept(tmp_path):
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"not a database, and long enough to be looked at " * 100)
    before = path.read_bytes()
    with pytest.raises(SynprefError, match="cannot be used"):
        RequestLedger(path)
    assert path.read_bytes() == before


def test_a_ledger_of_a_newer_program_is_refused(tmp_path):
    path = tmp_path / "l.sqlite"
    RequestLedger(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(SynprefError, match="version 9"):
        RequestLedger(path)


def test_a_full_disk_loses_nothing_that_was_recorded(ledger):
    ledger.write(claims=[claim("a"), claim("b")])
    ledger.write([settled("a", text="kept")])
    pages = ledger._database.execute("PRAGMA page_count").fetchone()[0]
    ledger._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SynprefError, match="full"):
        ledger.write([settled("b", text="x" * 1_000_000)])
    assert ledger.lookup(["a"])["a"].text == "kept"
    ledger._database.execute(f"PRAGMA max_page_count = {pages + 1000}")
    ledger.write([settled("b", text="x" * 1_000_000)])
    assert len(ledger.lookup(["b"])["b"].text) == 1_000_000


def test_only_its_owner_may_read_the_ledger(ledger):
    for file in ledger.path.parent.glob("requests.sqlite*"):
        if file.is_file():
            assert file.stat().st_mode & 0o077 == 0
