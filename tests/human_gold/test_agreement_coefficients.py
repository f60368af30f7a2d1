"""Coefficients against tables computed by hand, and the intervals around them."""

import numpy as np
import pytest

from assets.human_gold.agreement import coefficients as c
from assets.human_gold.agreement.between import agreement_of
from assets.human_gold.agreement.pairs_of_people import measure_pairs_of_people
from assets.human_gold.agreement.resampling import MIN_CLUSTERS, resampled_sums, share_of, sums_by_cluster
from benchmarks.planted_crowds import answers


def votes(table, clusters=None):
    """Rows are pairs, columns people: "12t u." is 1, 2, tie, undecided or nothing."""
    cells = [(n, m, "12tu".index(v)) for n, row in enumerate(table) for m, v in enumerate(row) if v != "."]
    pair, person, verdict = np.array(cells).T if cells else np.zeros((3, 0), dtype=int)
    return answers(pair, person, verdict, len(table), max(map(len, table), default=0), clusters)


def test_cohens_kappa_of_a_table_by_hand():
    # The first says (rows), the second says (columns):
    #          1    2  tie | sum
    #   1     20    5    0 |  25      equal: 20 + 15 + 3 = 38 of 50, 0.76
    #   2      4   15    1 |  20      by chance: (25 * 25 + 20 * 21 + 5 * 4) / 2500 = 1065 / 2500 = 0.426
    #   tie    1    1    3 |   5      kappa = (0.76 - 0.426) / (1 - 0.426) = 0.334 / 0.574
    #   sum   25   21    4 |  50
    cells = {"11": 20, "12": 5, "21": 4, "22": 15, "2t": 1, "t1": 1, "t2": 1, "tt": 3}
    found = measure_pairs_of_people(
        votes([cell for cell, n in cells.items() for _ in range(n)]), seed=1, num_bootstrap=200
    )
    (pair,) = found.pairs
    assert (pair.num_shared, pair.num_clusters) == (50, 50)
    assert pair.raw_rate == pytest.approx(0.76)
    assert pair.kappa == pytest.approx(0.334 / 0.574)
    assert pair.table == ((20, 5, 0), (4, 15, 1), (1, 1, 3))
    assert pair.interval[0] < pair.kappa < pair.interval[1]
    assert pair.raw_interval[0] < 0.76 < pair.raw_interval[1]


def test_fleiss_kappa_of_a_table_by_hand():
    # Pairs by (1, 2, tie), four raters:   agreement of the pair
    #   (4, 0, 0)                          1
    #   (2, 2, 0)                          (2 + 2) / 12 = 1/3
    #   (0, 3, 1)                          6 / 12 = 1/2
    #   (1, 1, 2)                          2 / 12 = 1/6       mean 1/2
    # Shares: 7/16, 6/16, 3/16: by chance (49 + 36 + 9) / 256 = 94/256. kappa = (1/2 - 94/256) / (1 - 94/256) = 34/162.
    found = agreement_of(votes(["1111", "1122", "222t", "12tt"]), seed=1, num_bootstrap=50)
    assert found.fleiss == pytest.approx(34 / 162)
    assert (found.fleiss_num_raters, found.fleiss_num_pairs, found.num_overlapping) == (4, 4, 4)


def test_alpha_of_a_table_by_hand():
    # Equal ordered pairs of votes over (votes - 1): 111: 6/2 = 3, 12: 0, 2t2: 2/2 = 1; so 4, of 8 votes.
    # Votes 1: 4, 2: 3, tie: 1. Unequal by chance: (64 - 16 - 9 - 1) / 7 = 38/7. alpha = 1 - (8 - 4) / (38 / 7) = 10/38.
    table = votes(["111", "12.", "2t2", "1..", "u1.", "uu."])
    found = agreement_of(table, seed=1, num_bootstrap=50)
    assert found.alpha == pytest.approx(10 / 38)
    assert float(c.alpha(c.unit_sums(table.counts()[:, :3]).sum(axis=0))) == pytest.approx(10 / 38)
    # Equal pairs of votes: 3 of 3, 0 of 1, 1 of 3.
    assert found.raw_rate == pytest.approx(4 / 7)
    assert (found.num_pairs, found.num_overlapping, found.num_labels) == (6, 3, 13)
    assert (found.num_undecided, found.undecided_rate) == (3, pytest.approx(3 / 13))


def test_fleiss_takes_the_commonest_number_of_raters_and_says_so():
    found = agreement_of(votes(["111.", "122.", "222.", "12..", "1111", "2u22"]), seed=1, num_bootstrap=50)
    # "2u22" has three decided ones.
    assert (found.fleiss_num_raters, found.fleiss_num_pairs, found.num_overlapping) == (3, 4, 6)
    assert c.fleiss_raters(np.array([[1, 1, 0], [2, 1, 0]])) == 3
    assert c.fleiss_raters(np.array([[1, 0, 0]])) is None


@pytest.mark.parametrize(
    ("table", "raw", "alpha", "fleiss"),
    [
        (["1.", ".2"], None, None, None),  # no overlap
        (["11", "22", "tt"], 1.0, 1.0, 1.0),
        (["11", "11"], 1.0, None, None),  # one value only
        (["1", "2"], None, None, None),  # one person
        (["12"], 0.0, 0.0, -1.0),  # one pair: alpha corrects for the small sample
        (["uu", "u1"], None, None, None),
        ([], None, None, None),
    ],
)
def test_edges(table, raw, alpha, fleiss):
    found = agreement_of(votes(table), seed=1, num_bootstrap=50)
    assert (found.raw_rate, found.alpha, found.fleiss) == (raw, alpha, fleiss)
    assert found.interval is found.raw_interval is found.fleiss_interval is None


def test_pairs_of_people_with_little_in_common_are_counted_not_shown():
    table = ["11."] * (MIN_CLUSTERS - 1) + ["12."] + ["1.1"] * 3
    found = measure_pairs_of_people(votes(table), seed=1, num_bootstrap=50)
    assert [(p.first[-1], p.second[-1], p.num_shared) for p in found.pairs] == [("0", "1", MIN_CLUSTERS)]
    assert found.num_left_out == 1


def test_equal_verdicts_throughout_have_no_kappa():
    (pair,) = measure_pairs_of_people(votes(["11"] * 30), seed=1, num_bootstrap=50).pairs
    assert (pair.raw_rate, pair.kappa, pair.interval, pair.raw_interval) == (1.0, None, None, (1.0, 1.0))


def test_resamples_of_kinds_have_the_moments_of_resamples_of_clusters():
    rng = np.random.default_rng(0)
    sums = rng.integers(0, 3, (200, 2)).astype(float)
    drawn = resampled_sums(sums, 1, 20_000)
    assert drawn.mean(axis=0) == pytest.approx(sums.sum(axis=0), rel=0.005)
    assert np.cov(drawn.T) == pytest.approx(200 * np.cov(sums.T, bias=True), rel=0.05, abs=2)
    assert np.array_equal(resampled_sums(sums, 1, 50), resampled_sums(sums, 1, 50))


def test_sums_by_cluster_add_up():
    found = sums_by_cluster(np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([7, 2, 7]))
    assert found.tolist() == [[3, 4], [6, 8]]


def test_every_interval_asks_for_enough_clusters():
    table = ["11", "12", "22", "tt", "t1"] * 40
    for num, given in ((MIN_CLUSTERS - 1, False), (MIN_CLUSTERS, True)):
        found = agreement_of(votes(table, np.arange(200) % num), seed=1, num_bootstrap=200)
        assert found.num_clusters == num
        assert [i is not None for i in (found.interval, found.raw_interval, found.fleiss_interval)] == [given] * 3
        if given:
            assert found.raw_interval[0] < found.raw_rate < found.raw_interval[1]
            assert found.fleiss_interval[0] < found.fleiss < found.fleiss_interval[1]


def test_a_share_of_alike_answers_is_less_sure():
    rng = np.random.default_rng(2)
    by_prompt = rng.random(60) < 0.7
    hits, clusters = np.repeat(by_prompt, 5), np.repeat(np.arange(60), 5)
    alike, apart = share_of(hits, clusters), share_of(hits, np.arange(300))
    assert (alike.hits, alike.num, alike.num_clusters, apart.num_clusters) == (hits.sum(), 300, 60, 300)
    width = [s.interval[1] - s.interval[0] for s in (alike, apart)]
    # Five equal answers are worth one: the width grows by the root of five.
    assert width[0] == pytest.approx(np.sqrt(5) * width[1], rel=0.06)


def test_a_share_of_all_keeps_a_width():
    found = share_of(np.ones(100, dtype=bool), np.repeat(np.arange(25), 4))
    assert found.interval[1] == pytest.approx(1.0)
    assert found.interval[0] == pytest.approx(1 - 2.064**2 / (25 + 2.064**2), abs=0.001)
    assert share_of(np.ones(100, dtype=bool), np.arange(100) % 19).interval is None
    assert share_of(np.zeros(0, dtype=bool), np.zeros(0)).rate is None


def test_shares_cover_the_truth_where_prompts_differ():
    rng, covered = np.random.default_rng(3), 0
    for _ in range(200):
        rates = rng.beta(6, 2, 40)
        clusters = np.repeat(np.arange(40), rng.integers(1, 9, 40))
        low, high = share_of(rng.random(len(clusters)) < rates[clusters], clusters).interval
        covered += low <= 0.75 <= high
    assert covered >= 182
