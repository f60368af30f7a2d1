"""Rated rows: one response a row, consecutive rows of one prompt together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.raw_pairs.layouts import recognise
from assets.raw_pairs.outcomes import outcomes_of, whole_prompts
from assets.raw_pairs.readers import Block, RawRow
from assets.raw_pairs.rows import DeadLetter
from tests.raw_pairs.parsing_example import ENTRY

OTHERS = {"correctness": 3, "coherence": 4, "complexity": 1, "verbosity": 1}


def rows_of(*given):
    """One row a response: prompt, response and helpfulness; None is a row that cannot be read."""
    rows = []
    for number, one in enumerate(given):
        value = one and {"prompt": one[0], "response": one[1], "helpfulness": one[2]} | OTHERS
        rows.append(RawRow(number, value, "" if value else "bad"))
    return rows


def outcomes(rows, **settings):
    """Numbers of the rows of every outcome, and its pairs or the reason of its dead letters."""
    entry = ENTRY.model_copy(update=settings)
    values = [row.value for row in rows if row.value]
    layout = recognise(list(values[0]), values, overrides=entry.columns, score_weights=entry.score_weights)
    assert layout.name == "rated_rows"
    found = []
    for outcome in outcomes_of(layout, rows, entry):
        numbers = [row.number for row in outcome.rows]
        if isinstance(outcome.result, DeadLetter):
            found.append((numbers, outcome.result.reason))
        else:
            found.append((numbers, [(p.response_a, p.response_b, p.verdict, p.margin) for p in outcome.result.pairs]))
    return found


def test_consecutive_rows_of_a_prompt_make_pairs():
    rows = rows_of(("Hi", "A", 4), ("Hi", "B", 1), ("Ho", "C", 2), ("Ho", "D", 2), ("Hi", "E", 0))
    assert outcomes(rows) == [
        ([0, 1], [("A", "B", "a", 3.0)]),
        ([2, 3], [("C", "D", "tie", 0.0)]),
        ([4], "too_few_completions"),
    ]


def test_three_rows_of_a_prompt_and_a_cap():
    rows = rows_of(("Hi", "A", 4), ("Hi", "B", 1), ("Hi", "C", 2))
    assert outcomes(rows, max_pairs_per_prompt=1) == [([0, 1, 2], [("A", "B", "a", 3.0)])]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (None, "unreadable_row"),
        (("Hi", None, 1), "missing_field"),
        (("Hi", "C", None), "unknown_label"),
        (("Hi", "C", "good"), "unknown_label"),
    ],
)
def test_a_bad_row_among_those_of_a_prompt_costs_itself(bad, reason):
    found = outcomes(rows_of(("Hi", "A", 4), bad, ("Hi", "B", 1)))
    assert found == [([1], reason), ([0, 2], [("A", "B", "a", 3.0)])]


def test_the_score_can_be_stated():
    rows = rows_of(("Hi", "A", 4), ("Hi", "B", 1))
    rows[1].value["verbosity"] = 5
    assert outcomes(rows, columns={"score": "verbosity"})[0][1][0][2:] == ("b", 4.0)
    assert outcomes(rows, score_weights={"helpfulness": 1, "verbosity": -0.5})[0][1][0][2:] == ("a", 5.0)


@given(st.lists(st.sampled_from(["Hi", "Ho", None]), max_size=12), st.integers(1, 4))
def test_blocks_are_cut_between_prompts(prompts, size):
    rows = rows_of(*(p and (p, str(n), n) for n, p in enumerate(prompts)))
    layout = recognise(["prompt", "response", "helpfulness", "coherence"], [{"helpfulness": 1, "coherence": 1}])
    cut = [Block(n, min(n + size, len(rows)), tuple(rows[n : n + size]), size, 0.5) for n in range(0, len(rows), size)]
    blocks = list(whole_prompts(cut, layout))
    assert [row for block in blocks for row in block.rows] == rows
    assert [block.first for block in blocks[1:]] == [block.end for block in blocks[:-1]]
    in_blocks = [[r.number for r in o.rows] for b in blocks for o in outcomes_of(layout, b.rows, ENTRY)]
    assert in_blocks == [[r.number for r in o.rows] for o in outcomes_of(layout, rows, ENTRY)]


def test_a_prompt_of_many_rows_is_taken_a_hundred_at_a_time():
    found = outcomes(rows_of(*[("Hi", str(n), n % 5) for n in range(102)]), max_pairs_per_prompt=1)
    assert [len(numbers) for numbers, _ in found] == [100, 2]


def test_they_are_ingested_and_accounted_for(bench):
    given = [("Hi", "A", 4), ("Hi", "B", 1), ("Ho", "C", 2)]
    report = bench.ingest([row.value for row in rows_of(*given)], max_pairs_per_prompt=1)
    assert report.counts.as_dict() == {"rows_in": 3, "rows_out": 2, "dropped": {"too_few_completions": 1}}
    assert (report.num_pairs, report.score_rules) == (1, {"s.jsonl": "helpfulness"})
    assert [row["source_row"] for row in bench.rows("dead_letters")] == [2]


def test_pairs_left_out_are_in_the_report(bench):
    report = bench.ingest([{"prompt": "Hi", "ranking": ["A", "B", "C"]}], max_pairs_per_prompt=2)
    assert (report.num_pairs, report.left_out) == (2, {"beyond_max_pairs_per_prompt": 1})
