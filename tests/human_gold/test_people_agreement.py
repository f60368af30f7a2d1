"""Agreement: alpha against published values, each person against the others, intervals by prompt."""

from datetime import UTC, datetime

import numpy as np
import pytest

from assets.contracts import from_rows
from assets.human_gold.agreement import (
    MIN_CLUSTERS,
    agreement_by_slice,
    krippendorff_alpha,
    last_verdicts,
    measure_agreement,
)
from assets.label_events import label_event

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def events(*rows):
    """(pair, person, verdict[, round[, kind]]) with `seq` as given in order."""
    built = []
    for seq, (pair, person, verdict, *rest) in enumerate(rows):
        round_name = rest[0] if rest else "round_0"
        kind = rest[1] if len(rest) > 1 else "person"
        event = label_event(
            pair_id=pair,
            kind=kind,
            labeller=person,
            version="1",
            verdict=verdict,
            round_name=round_name,
            delivery=str(seq),
            created_at=NOW,
        )
        built.append(event | {"seq": seq})
    return from_rows(built, "label_events")


def many(n, wrong_of, persons=("a", "b", "c")):
    """n pairs labelled by all; person x errs on pair i when wrong_of(x, i)."""
    return events(*((f"p{i}", x, "2" if wrong_of(x, i) else "1") for i in range(n) for x in persons))


def measure(table, clusters=None, **more):
    return measure_agreement(table, clusters or {}, seed=1, num_bootstrap=300, **more)


def test_alpha_of_a_worked_example():
    # Two coders, ten units, binary (Krippendorff, "Computing Krippendorff's Alpha-Reliability", section A): 0.095.
    one, two = "0100000010", "1110010000"
    table = events(
        *((f"u{i}", "A", "12"[int(v)]) for i, v in enumerate(one)),
        *((f"u{i}", "B", "12"[int(v)]) for i, v in enumerate(two)),
    )
    found = measure(table)
    assert found.alpha == pytest.approx(0.095, abs=0.001)
    assert found.raw_rate == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("counts", "alpha"),
    [
        ([[3, 0, 0], [0, 3, 0]], 1.0),
        ([[3, 0, 0], [3, 0, 0]], None),
        ([[1, 0, 0], [0, 1, 0]], None),
        ([], None),
    ],
)
def test_alpha_at_the_edges(counts, alpha):
    assert krippendorff_alpha(np.array(counts, dtype=int).reshape(-1, 3)) == alpha


def test_only_the_last_verdict_of_a_person_counts_and_only_people_count():
    table = events(
        ("p", "a", "2", "round_10"),
        ("p", "a", "1", "round_9"),
        ("p", "b", "1"),
        ("p", "b", "tie"),
        ("p", "gpt", "2", "round_0", "judge"),
        ("p", "crowd", "2", "seed", "source"),
    )
    assert last_verdicts(table) == {"p": {"a": "2", "b": "tie"}}


def test_a_person_is_compared_with_the_majority_of_the_others():
    table = events(
        ("p1", "a", "1"), ("p1", "b", "1"), ("p1", "c", "2"),
        ("p2", "a", "1"), ("p2", "b", "2"), ("p2", "c", "2"),
        ("p3", "a", "tie"), ("p3", "b", "undecided"), ("p3", "c", "tie"),
        ("p4", "a", "1"),
    )  # fmt: skip
    people = {p.person: p for p in measure(table).people}
    # p1 and p2 leave two of the three without a majority of others; p3 leaves b out of the comparison.
    assert (people["a"].num_labels, people["a"].num_compared, people["a"].agreement_rate) == (4, 2, 0.5)
    assert (people["b"].num_labels, people["b"].num_undecided, people["b"].num_compared) == (3, 1, 0)
    assert people["b"].agreement_rate is None
    assert people["c"].agreement_rate == pytest.approx(0.5)


def test_undecided_is_no_value():
    found = measure(events(("p", "a", "1"), ("p", "b", "undecided"), ("q", "a", "undecided")))
    assert (found.num_pairs, found.num_overlapping, found.num_labels, found.num_undecided) == (2, 0, 3, 2)
    assert found.alpha is None
    assert found.raw_rate is None


def test_nothing_labelled_is_no_agreement():
    found = measure(events())
    assert (found.num_pairs, found.alpha, found.interval, found.people) == (0, None, None, ())
    assert found.rows()[-1]["person"] == "all together"


@pytest.mark.parametrize(("num_clusters", "printed"), [(MIN_CLUSTERS - 1, False), (MIN_CLUSTERS, True)])
def test_no_interval_over_too_few_prompts(num_clusters, printed):
    table = many(200, lambda x, i: i % 2 != (x == "a" and i % 5 == 0))
    found = measure(table, {f"p{i}": f"c{i % num_clusters}" for i in range(200)})
    assert found.num_clusters == num_clusters
    assert (found.interval is not None) == printed


def test_the_interval_covers_alpha_and_is_wider_when_prompts_repeat():
    rng = np.random.default_rng(0)
    noisy = rng.random((3, 300)) < np.repeat(rng.random(30), 10) * 0.6
    table = many(300, lambda x, i: (i % 2 == 0) != noisy["abc".index(x), i])
    own = measure(table)
    shared = measure(table, {f"p{i}": f"c{i // 10}" for i in range(300)})
    assert own.alpha == shared.alpha
    for found in (own, shared):
        assert found.interval[0] < found.alpha < found.interval[1]
    width = [found.interval[1] - found.interval[0] for found in (own, shared)]
    assert width[1] > 1.1 * width[0]


def test_the_bootstrap_computes_the_same_alpha_as_the_library():
    rng = np.random.default_rng(1)
    table = many(60, lambda x, i: rng.random() < 0.4)
    # Every cluster holds the same verdicts, so any resample of clusters is the same table.
    copies = events(
        *(
            (f"{copy}-{pair}", person, verdict)
            for copy in range(25)
            for pair, by in last_verdicts(table).items()
            for person, verdict in by.items()
        )
    )
    found = measure(copies, {p: p.split("-")[0] for p in last_verdicts(copies)})
    assert found.interval == pytest.approx((found.alpha, found.alpha), abs=1e-9)


def test_slices_hold_their_own_pairs():
    table = many(40, lambda x, i: i >= 20 and x == "a")
    slices = {f"p{i}": "math" if i < 20 else "editing" for i in range(39)}
    found = agreement_by_slice(table, {}, slices, seed=1, num_bootstrap=50)
    assert {name: a.num_pairs for name, a in found.items()} == {"(none)": 1, "editing": 19, "math": 20}
    assert found["math"].raw_rate == 1.0
    assert found["editing"].raw_rate == pytest.approx(1 / 3)


def test_the_table_has_a_row_per_person_and_one_for_all():
    rows = measure(many(30, lambda x, i: x == "a" and i < 9)).rows()
    assert [r["person"] for r in rows] == ["a", "b", "c", "all together"]
    assert len({tuple(r) for r in rows}) == 1
    assert rows[0]["agreement_rate"] == pytest.approx(0.7)


def test_the_plot_is_an_image():
    plot = measure(many(30, lambda x, i: x == "a" and i < 9)).per_person_plot()
    assert plot.startswith("![Agreement with the majority of the others](data:image/png;base64,")
