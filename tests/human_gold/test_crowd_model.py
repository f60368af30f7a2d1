"""The crowd model: planted confusions, symmetry, calibration, bad people."""

from dataclasses import replace

import numpy as np
import pytest

from assets.human_gold.agreement.crowd import fit_crowd, leaders
from benchmarks.crowd_models import by_majority, swapped
from benchmarks.planted_crowds import Plan, answers, plant

PLAN = Plan(20, 800, 3)


@pytest.fixture(scope="module")
def worlds():
    """Twenty made-up crowds with what the model finds in each."""
    found = []
    for seed in range(20):
        crowd = plant(replace(PLAN, special=("always_1", "adversary") if seed % 2 else ()), seed)
        found.append((crowd, fit_crowd(crowd.votes)))
    return found


def right_rate(posterior, truth):
    best = posterior > posterior.max(axis=1, keepdims=True) - 1e-6
    return (best[np.arange(len(truth)), truth] / best.sum(axis=1)).mean()


def test_planted_confusions_lie_within_their_intervals(worlds):
    covered = {name: [] for name in ("right", "wrong_side", "missed", "tie_seen", "accuracy")}
    for crowd, found in worlds[::2]:
        for n, person in enumerate(found.people):
            right, wrong, missed = crowd.sided[n]
            truth = {"right": right, "wrong_side": wrong, "missed": missed, "tie_seen": crowd.tie[n]}
            truth["accuracy"] = (1 - PLAN.tie_rate) * right + PLAN.tie_rate * crowd.tie[n]
            for name, value in truth.items():
                estimate = getattr(person, name)
                assert 0 <= estimate.low < estimate.value < estimate.high <= 1
                covered[name].append(estimate.low <= value <= estimate.high)
    rates = {name: np.mean(hits) for name, hits in covered.items()}
    # A person sees a dozen ties, and each only probably is one: their interval is the hardest.
    assert rates.pop("tie_seen") >= 0.8
    assert min(rates.values()) >= 0.88, rates


def test_intervals_are_not_so_wide_that_they_cover_anything(worlds):
    widths = [p.accuracy.high - p.accuracy.low for _, found in worlds for p in found.people]
    assert np.median(widths) < 0.25


def test_the_model_beats_the_majority_where_people_differ(worlds):
    ours = [right_rate(found.posterior, crowd.truth) for crowd, found in worlds]
    majority = [right_rate(by_majority(crowd.votes), crowd.truth) for crowd, _ in worlds]
    difference = np.array(ours) - majority
    assert difference.mean() > 0.01
    # Never worse by more than chance has in one crowd of 800 pairs.
    assert difference.min() > -0.01


def test_it_equals_the_majority_where_people_are_alike():
    crowd = plant(Plan(10, 1_000, 3, tie_rate=0.05, sided=(800.0, 150.0, 50.0), tie=(800.0, 200.0)), 1)
    found = fit_crowd(crowd.votes)
    assert right_rate(found.posterior, crowd.truth) >= right_rate(by_majority(crowd.votes), crowd.truth) - 0.005


def test_probabilities_are_what_they_say(worlds):
    confidence = np.concatenate([found.posterior.max(axis=1) for _, found in worlds])
    right = np.concatenate([found.posterior.argmax(axis=1) == crowd.truth for crowd, found in worlds])
    assert abs(confidence.mean() - right.mean()) < 0.015
    for low, high in ((0.4, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 0.97), (0.97, 1.0)):
        inside = (confidence >= low) & (confidence < high)
        assert inside.sum() > 300
        assert confidence[inside].mean() == pytest.approx(right[inside].mean(), abs=0.045), (low, high)


def test_swapping_the_sides_of_any_pairs_swaps_their_posteriors_and_nothing_else():
    votes = plant(Plan(15, 400, 3, special=("always_1",)), 4).votes
    found = fit_crowd(votes)
    for pairs in (np.ones(400, dtype=bool), np.random.default_rng(0).random(400) < 0.5):
        other = fit_crowd(swapped(votes, pairs))
        expected = np.where(pairs[:, None], found.posterior[:, [1, 0, 2]], found.posterior)
        assert other.posterior == pytest.approx(expected, abs=1e-9)
        for one, two in zip(found.people, other.people, strict=True):
            assert one.matrix() == pytest.approx(two.matrix(), abs=1e-9)


def test_names_of_people_and_order_of_rows_do_not_matter():
    votes = plant(PLAN, 5).votes
    found = fit_crowd(votes)
    rng = np.random.default_rng(1)
    new_code = rng.permutation(20)
    renamed = replace(votes, person=new_code[votes.person]).where(rng.permutation(len(votes)))
    other = fit_crowd(renamed)
    assert other.posterior == pytest.approx(found.posterior, abs=1e-9)
    for n, person in enumerate(found.people):
        assert other.people[new_code[n]].matrix() == pytest.approx(person.matrix(), abs=1e-9)
        assert other.people[new_code[n]].accuracy.low == pytest.approx(person.accuracy.low, abs=1e-9)


def test_the_same_votes_give_the_same_bits():
    votes = plant(PLAN, 6).votes
    assert np.array_equal(fit_crowd(votes).posterior, fit_crowd(votes).posterior)


def test_who_always_says_1_weighs_nothing_and_an_adversary_is_inverted(worlds):
    honest = np.median([p.weight for _, found in worlds[1::2] for p in found.people[:-2]])
    always_1 = [found.people[-2] for _, found in worlds[1::2]]
    adversaries = [found.people[-1] for _, found in worlds[1::2]]
    assert np.mean([p.weight for p in always_1]) < 0.3 * honest
    assert max(p.weight for p in always_1) < 0.6 * honest
    assert not any(p.worse_than_chance for p in always_1)
    assert max(p.weight for p in adversaries) < -0.5
    assert all(p.worse_than_chance for p in adversaries)
    assert not any(p.worse_than_chance for _, found in worlds[::2] for p in found.people)


def test_a_person_with_three_labels_is_not_believed_to_be_perfect():
    # Five people on 300 pairs, right on 95, 90, 80, 80 and 70 %, and one who gave three votes, all right.
    rng, truth = np.random.default_rng(0), np.random.default_rng(1).integers(0, 2, 300)
    right = [rng.random(300) < rate for rate in (0.95, 0.9, 0.8, 0.8, 0.7)]
    pair = np.concatenate([np.tile(np.arange(300), 5), [0, 1, 2]])
    person = np.repeat(np.arange(6), [300] * 5 + [3])
    verdict = np.concatenate([*(np.where(r, truth, 1 - truth) for r in right), truth[:3]])
    *others, few = fit_crowd(answers(pair, person, verdict, 300, 6)).people
    assert few.num_votes == 3
    # Three right of three would be 1; what is known of all people says otherwise.
    assert others[3].accuracy.value < few.accuracy.value < others[1].accuracy.value
    assert few.weight < others[1].weight
    assert few.accuracy.high - few.accuracy.low > 2 * (others[1].accuracy.high - others[1].accuracy.low)


def test_contested_pairs_on_which_nobody_says_tie_are_no_ties():
    # Six pairs of ten are hard: people are right on 60 % of them, on 97 % of the others; one vote in thirty is a tie.
    rng = np.random.default_rng(0)
    truth, hard = rng.integers(0, 2, 1_500), rng.random(1_500) < 0.6
    pair, person = np.repeat(np.arange(1_500), 5), np.tile(np.arange(5), 1_500)
    right = rng.random(7_500) < np.where(hard, 0.6, 0.97)[pair]
    verdict = np.where(rng.random(7_500) < 0.03, 2, np.where(right, truth[pair], 1 - truth[pair]))
    votes = answers(pair, person, verdict, 1_500, 5)
    found = fit_crowd(votes)
    assert (leaders(found.posterior) == 2).mean() < 0.02
    assert right_rate(found.posterior, truth) >= right_rate(by_majority(votes), truth) - 0.005


def test_undecided_votes_carry_nothing_unless_they_are_more_than_half():
    # Persons 3 and 4 have one vote each, on pair 3, and differ.
    pair, person = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4]), np.array([0, 1, 2, 0, 1, 2, 0, 1, 3, 4, 0])
    verdict = np.array([0, 0, 3, 0, 3, 3, 1, 3, 0, 1, 3])
    found = fit_crowd(answers(pair, person, verdict, 5, 5))
    rows = found.rows()
    assert [r["verdict"] for r in rows] == ["1", None, "2", None, None]
    assert [r["why_not"] for r in rows] == [None, "people_undecided", None, "people_disagree", "people_undecided"]
    assert [r["num_undecided"] for r in rows] == [1, 2, 1, 0, 1]
    assert found.verdicts() == ["1", "undecided", "2", None, "undecided"]
    # Without the undecided votes the posteriors are the same.
    decided = verdict < 3
    alone = fit_crowd(answers(pair[decided], person[decided], verdict[decided], 5, 5))
    assert alone.posterior == pytest.approx(found.posterior[:4], abs=1e-9)


@pytest.mark.parametrize("verdicts", [[], [0], [3], [2], [0, 1]])
def test_little_is_no_error(verdicts):
    found = fit_crowd(answers(np.zeros(len(verdicts), int), np.arange(len(verdicts)), np.array(verdicts, int), 1, 2))
    assert found.converged
    assert len(found.rows()) == (1 if verdicts else 0)
    assert np.isfinite(found.posterior).all()


def test_leave_one_out_is_the_posterior_without_the_vote():
    votes = plant(Plan(10, 300, 3), 7).votes
    found = fit_crowd(votes)
    n = 12
    without = fit_crowd(votes.where(np.arange(len(votes)) != found.vote_rows[n]))
    assert found.leave_one_out[n] == pytest.approx(without.posterior[found.pair_of_vote[n]], abs=0.03)


def test_leaders_of_nothing():
    assert leaders(np.zeros((0, 3))).tolist() == []
