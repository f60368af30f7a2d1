"""How many requests may be on their way, and when to stop: rules by themselves, on a clock of the test's own."""

import pytest

from assets.llm_annotated.calling.outcomes import Outcome, read_failure, retry_after_s
from assets.llm_annotated.calling.pacing import Pacing, Patience
from assets.llm_annotated.calling.progress import CallProgress
from assets.llm_annotated.judging import OK

GOOD = Outcome(OK, "counted")
CROWDED = Outcome("rate_limited", again=True, crowded=True)
BROKEN = Outcome("server_failed", again=True, cause="status 500")
LOCKED = Outcome("http_401", hopeless=True, cause="status 401")
PATIENCE = Patience(first_wait_s=1, most_wait_s=8, failures_in_a_row=4, hopeless_in_a_row=3)


def pacing(concurrency: int = 32, max_tries: int = 3) -> Pacing:
    return Pacing(concurrency, max_tries, PATIENCE)


def test_too_much_halves_the_limit_once_for_what_was_sent_together():
    one = pacing()
    for _ in range(3):
        one.record(CROWDED, sent_at=1.0, now=2.0)
    assert one.limit == 16
    one.record(CROWDED, sent_at=2.5, now=3.0)
    assert one.limit == 8


def test_the_limit_grows_by_one_for_as_many_successes_and_stays_within_its_bounds():
    one = pacing()
    for now in range(20):
        one.record(CROWDED, sent_at=now + 0.5, now=now + 1.0)
        one.record(GOOD, sent_at=now + 0.5, now=now + 1.0)
    assert 1 <= one.limit <= 2.1
    before = one.limit
    one.record(GOOD, 30, 30)
    assert one.limit == pytest.approx(before + 1 / before)
    for _ in range(5000):
        one.record(GOOD, 30, 30)
    assert one.limit == 32


def test_slots_are_what_the_limit_leaves():
    assert [pacing().slots(0, running) for running in (0, 20, 32, 40)] == [32, 12, 0, 0]


def test_the_circuit_opens_and_one_probe_at_a_time_goes_out():
    one = pacing()
    for now in range(4):
        one.record(BROKEN, sent_at=0.0, now=float(now))
    assert one.slots(3.5, 0) == 0
    assert [one.slots(4.0, running) for running in (0, 1)] == [1, 0]
    # Those that were on their way when it opened are no probes.
    for _ in range(10):
        one.record(BROKEN, sent_at=0.0, now=3.5)
    assert not one.given_up
    one.record(GOOD, sent_at=4.0, now=4.5)
    assert one.slots(4.5, 0) == 32


def test_the_rest_is_given_up_after_failed_probes_and_the_next_batch_gets_one():
    one = pacing()
    for _ in range(4):
        one.record(BROKEN, sent_at=0.0, now=0.0)
    for now in (10.0, 20.0, 30.0):
        assert not one.given_up
        one.record(BROKEN, sent_at=now, now=now)
    assert one.given_up
    assert one.cause == "status 500"
    assert one.slots(1000.0, 0) == 0

    one.begin(1000.0)
    assert one.slots(1000.0, 0) == 1
    one.record(BROKEN, 1000.0, 1000.0)
    assert one.given_up
    one.begin(2000.0)
    one.record(GOOD, 2000.0, 2000.0)
    assert one.slots(2000.0, 0) > 1


def test_a_success_between_failures_keeps_the_circuit_closed():
    one = pacing()
    for _ in range(50):
        for _ in range(3):
            one.record(BROKEN, 0.0, 0.0)
        one.record(GOOD, 0.0, 0.0)
    assert one.slots(0.0, 0) == 32


def test_a_hopeless_server_is_given_up_without_probes():
    one = pacing()
    for _ in range(3):
        assert not one.given_up
        one.record(LOCKED, 0.0, 0.0)
    assert one.given_up


def test_everybody_waits_when_the_server_asks_to_be_left_alone():
    one = pacing()
    one.record(Outcome("rate_limited", again=True, wait_s=7.0), 0.0, 1.0)
    assert [one.slots(now, 0) for now in (7.9, 8.0)] == [0, 32]
    one.begin(2.0)
    assert one.slots(7.9, 0) == 0


@pytest.mark.parametrize("num_tries", range(1, 12))
def test_waits_grow_to_a_bound_and_differ_between_requests(num_tries):
    waits = {PATIENCE.wait_s(f"key {n}", num_tries, None) for n in range(100)}
    bound = min(8, 2 ** (num_tries - 1))
    assert len(waits) == 100
    assert all(bound / 2 <= wait <= bound for wait in waits)
    assert PATIENCE.wait_s("key", num_tries, 5.0) == PATIENCE.wait_s("key", num_tries, None) + 5.0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "inf"}, float("inf")),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 99 Foo 2026"}, None),
        ({"retry-after": "Mon, 05 Jan 2026 10:00:07 GMT", "date": "Mon, 05 Jan 2026 10:00:00 GMT"}, 7.0),
        ({"retry-after": "Mon, 05 Jan 2026 09:00:00 GMT", "date": "Mon, 05 Jan 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 05 Jan 2026 10:00:07 -0000", "date": "Mon, 05 Jan 2026 10:00:00 GMT"}, 7.0),
    ],
)
def test_retry_after(headers, expected):
    assert retry_after_s(headers) == expected


@pytest.mark.parametrize(
    ("code", "body", "status", "charge", "again", "hopeless"),
    [
        (429, b"", "rate_limited", "none", True, False),
        (429, b'{"error": {"code": "insufficient_quota"}}', "rate_limited", "none", False, True),
        (500, b"<html>", "server_failed", "none", True, False),
        (502, b"", "server_failed", "unknown", True, False),
        (503, b"[]", "server_failed", "none", True, False),
        (504, b"7", "server_failed", "unknown", True, False),
        (408, b"null", "http_408", "unknown", True, False),
        (404, b"\xff\xfe", "http_404", "none", False, True),
        (400, b'{"error": "text"}', "http_400", "none", False, False),
        (400, b'{"message": "the model\'s maximum context length is 8"}', "prompt_too_long", "none", False, False),
        (422, b'{"detail": [{"loc": ["body", "x"]}]}', "http_422", "none", False, False),
    ],
)
def test_failures(code, body, status, charge, again, hopeless):
    outcome = read_failure(code, {}, body)
    assert (outcome.status, outcome.charge, outcome.again, outcome.hopeless) == (status, charge, again, hopeless)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"error": {"message": "no", "param": "logprobs"}}', "logprobs"),
        (b'{"error": {"message": "Unsupported: top_logprobs above 5"}}', "top_logprobs"),
        (b'{"error": {"message": "bad", "param": "response_format.json_schema"}}', "response_format"),
        (b'{"detail": [{"loc": ["body", "structured_outputs"], "msg": "Extra inputs"}]}', "structured_outputs"),
        (b'{"error": {"message": "seed is not allowed"}}', None),
    ],
)
def test_a_field_is_left_out_only_if_it_was_sent_and_is_named(body, field):
    sent = {"logprobs": 0, "top_logprobs": 0, "structured_outputs": 0, "response_format": 0}
    assert read_failure(400, {}, body, sent).field == field


def test_progress_as_a_line():
    with CallProgress("judge, round_1", 5000, 1000) as progress:
        progress.move(200, 0.5, 64)
        assert progress.line(10.0, 0.5) == "  judge, round_1: 1,200 of 5,000 calls, 20.0/s, $0.5000, 190 s left"
        assert progress.line(0.0, 0.5).endswith("time left unknown")
