"""The budget: whatever a server replies, the spend stays within the bounds, and what is bought is what fits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.llm_annotated.calling.claims import Bounds, Claim, Settlement
from assets.llm_annotated.calling.prices import (
    cannot_fit,
    most_prompt_tokens,
    nano_of,
    price_nano,
    worst_price_nano,
)
from assets.llm_annotated.calling.request_ledger import RequestLedger
from assets.llm_annotated.chat import ChatReply, ChatRequest
from assets.llm_annotated.judging import OK
from assets.llm_annotated.settings import BudgetSettings, LanguageModelSettings
from benchmarks.openai_replies import order
from tests.llm_annotated.calling.conftest import asked

PRICED = LanguageModelSettings(
    model="m",
    base_url="http://127.0.0.1:1/v1",
    usd_per_million_prompt_tokens=0.15,
    usd_per_million_cached_tokens=0.075,
    usd_per_million_completion_tokens=0.6,
    max_completion_tokens=100,
)

# --- prices ---


@pytest.mark.parametrize(
    ("prompt", "cached", "completion", "usd"),
    [(0, 0, 0, 0.0), (1_000_000, 0, 0, 0.15), (1_000_000, 1_000_000, 0, 0.075), (1000, 400, 50, 0.00015)],
)
def test_prices(prompt, cached, completion, usd):
    assert math.isclose(price_nano(PRICED, prompt, cached, completion), nano_of(usd), abs_tol=1)


@given(st.text(), st.integers(0, 100), st.floats(0, 1))
def test_no_count_within_the_limits_costs_more_than_the_worst(text, completion, share_cached):
    request = ChatRequest(({"role": "user", "content": text},), 0)
    prompt = most_prompt_tokens(request)
    assert price_nano(PRICED, prompt, round(prompt * share_cached), completion) <= worst_price_nano(PRICED, request)


@pytest.mark.parametrize("text", ["plain", "Größe", "日本語", "😀", "\ufdfa" * 10, "\ud800", "㌀"])
def test_a_prompt_has_no_more_tokens_than_bytes(text):
    """U+FDFA becomes 18 characters under NFKC, as some tokenizers normalise."""
    import unicodedata

    request = ChatRequest(({"role": "user", "content": text},), 0)
    normalised = unicodedata.normalize("NFKC", text).encode("utf-8", "surrogatepass")
    assert most_prompt_tokens(request) >= max(len(normalised), len(text.encode("utf-8", "surrogatepass")))


def test_schema_and_choices_count_as_prompt():
    plain, schema, choices = (
        most_prompt_tokens(request)
        for request in (*asked("x"), *asked("x", json_schema={"type": "object"}), *asked("x", choices=("one", "two")))
    )
    assert (schema - plain, choices - plain) == (len('{"type":"object"}'), 6)


def test_a_cache_that_costs_more_is_the_worst():
    dear = PRICED.model_copy(update={"usd_per_million_cached_tokens": 0.3})
    request = asked("x" * 1000)[0]
    assert worst_price_nano(dear, request) == price_nano(dear, p := most_prompt_tokens(request), p, 100)


def test_only_what_fits_no_context_is_too_long():
    small = PRICED.model_copy(update={"max_context_tokens": 10})
    assert [cannot_fit(small, request) for request in asked("x" * 320, "x" * 321)] == [False, True]


# --- the ledger under any sequence of replies ---

Ending = st.tuples(st.sampled_from(["ok", "timeout", "rate_limited", "malformed_reply", "killed"]), st.floats(0, 1))


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60), st.sampled_from(["r1", "r2"]), Ending), max_size=60),
    st.integers(0, 300),
    st.integers(0, 200),
    st.integers(1, 5),
)
def test_spend_and_reservations_never_exceed_a_bound(tmp_path_factory, calls, total, per_batch, at_once):
    path = tmp_path_factory.mktemp("ledger") / "l.sqlite"
    bounds, running = Bounds(total, per_batch), []
    with RequestLedger(path) as ledger:
        ledger._database.execute("PRAGMA synchronous = OFF")

        def settle_one() -> None:
            key, worst, (status, share) = running.pop(0)
            cost = round(worst * share)
            if status == "killed":
                ledger.abandon([key])
                return
            charged = {"ok": (cost, 0), "timeout": (0, worst), "rate_limited": (0, 0), "malformed_reply": (worst, 0)}
            ledger.write([Settlement(key, ChatReply(key, status), *charged[status])])

        def check() -> None:
            for batch, bound in ((None, total), ("r1", per_batch), ("r2", per_batch)):
                committed = ledger.spent_usd(batch) + ledger.reserved_usd(batch)
                assert round(committed * 1e9) <= bound

        for number, worst, batch, ending in calls:
            if len(running) == at_once:
                settle_one()
            key = f"k{number}"
            if ledger.write(claims=[Claim(key, "m", batch, "", worst)], bounds=bounds)[0].state == "yours":
                running.append((key, worst, ending))
            check()
        while running:
            settle_one()
            check()
        assert ledger.reserved_usd() == 0


# --- through a real server ---


@pytest.mark.parametrize("at_once", [1, 8, 64])
def test_exactly_the_calls_that_fit_are_made(model, server, at_once):
    """However many are on their way at once, what is bought is what one call after another would have bought."""
    requests = asked(*[f"question {n} " + "x" * (n % 7) * 50 for n in range(80)])
    free = model(concurrency=1)
    costs = [nano_of(reply.cost_usd) for reply in free.complete(requests, batch="free")]
    prices = free.settings
    bound, spent, expected = nano_of(0.0042), 0, 0
    for request, cost in zip(requests, costs, strict=True):
        if spent + worst_price_nano(prices, request) > bound:
            break
        spent, expected = spent + cost, expected + 1
    assert 20 < expected < 80

    # Another revision is another model: nothing of it is in the ledger.
    budget = BudgetSettings(max_usd_per_round=bound / 1e9)
    bounded = model(budget=budget, concurrency=at_once, revision=str(at_once))
    replies = bounded.complete(requests, batch="bounded")
    assert [reply.status for reply in replies] == [OK] * expected + ["over_budget"] * (80 - expected)
    assert nano_of(sum(reply.cost_usd for reply in replies)) == spent
    assert server.seen()["num_received"] == 80 + expected


def test_the_next_run_with_more_money_buys_the_rest_only(model, server):
    requests = asked(*[f"question {n}" for n in range(40)])
    first = model(budget=BudgetSettings(max_usd=0.003)).complete(requests, batch="b")
    num_bought = sum(reply.status == OK for reply in first)
    assert 0 < num_bought < 40
    again = model(budget=BudgetSettings(max_usd=0.003)).complete(requests, batch="b")
    assert again == first
    assert server.seen()["num_received"] == num_bought
    rest = model(budget=BudgetSettings(max_usd=1.0)).complete(requests, batch="b")
    assert {reply.status for reply in rest} == {OK}
    assert server.seen()["num_received"] == 40


def test_an_empty_budget_makes_no_call(model, server):
    replies = model(budget=BudgetSettings(max_usd=0.0)).complete(asked("a", "b"), batch="b")
    assert [reply.status for reply in replies] == ["over_budget"] * 2
    assert server.seen()["num_received"] == 0


def test_estimate_is_an_upper_bound_of_what_is_not_bought_yet(model):
    asking, requests = model(), asked(*[f"question {n}" for n in range(10)])
    before = asking.estimate_usd(requests * 2)
    cost = sum(reply.cost_usd for reply in asking.complete(requests[:5], batch="b"))
    assert cost <= before / 2
    assert math.isclose(asking.estimate_usd(requests), before / 2)
    asking.complete(requests, batch="b")
    assert asking.estimate_usd(requests) == 0


FAULTS = ["reset", "cut", "html", "truncated", "empty", "long", "missing_choices", "null_content", "hang"]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_may_have_been_paid_counts(model, ledger, fault):
    """A reply that does not say what it cost counts at its highest price, each time it was asked for."""
    budget = BudgetSettings(max_usd=0.0081)
    asking = model(budget=budget, timeout_s=0.3, max_tries=9, concurrency=2)
    texts = [order(fault, times=50) + str(n) for n in range(6)]
    asking.complete(asked(*texts), batch="b")
    assert 0 < ledger.spent_usd() <= 0.0081
    assert ledger.reserved_usd() == 0


def test_refusals_are_free(model, ledger):
    texts = [order("status", code=code) for code in (429, 500, 503, 400, 401)]
    model(max_tries=2).complete(asked(*texts), batch="b")
    assert ledger.spent_usd() == 0


def test_counts_that_cannot_be_cost_no_more_than_was_reserved(model, ledger, caplog):
    huge = order("replace", reply={"usage": {"prompt_tokens": 10**9, "completion_tokens": 10**9}})
    replies = model(budget=BudgetSettings(max_usd=0.01)).complete(asked(huge, huge + "again"), batch="b")
    assert [reply.status for reply in replies] == [OK, OK]
    assert ledger.spent_usd() <= 0.01
    assert len([record for record in caplog.records if "more than the request allows" in record.message]) == 1
