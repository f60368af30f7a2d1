"""Panels: who outvotes whom, tiers, temperatures, and confidence that is what it says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.llm_annotated.calibration import Reliability, fit_temperature, measure_reliability
from assets.llm_annotated.judges import SimulatedJudge
from assets.llm_annotated.panel import PanelModel, cross_fit, fit_panel
from assets.llm_annotated.qualifying import qualify
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import Vote, merge_votes
from assets.llm_annotated.weighing import ASSUMED_ACCURACY, log_odds, weigh


def says(side, share=1.0):
    """A judge's verdict with this share of its votes behind it."""
    p = share if side == "1" else 1 - share
    return merge_votes([Vote(1, 0, side, p), Vote(2, 0, side, p)])


def correlations(strong_with_weak, weak_with_weak, num_weak=5):
    found = {frozenset(("strong", f"weak {n}")): strong_with_weak for n in range(num_weak)}
    return found | {
        frozenset((f"weak {a}", f"weak {b}")): weak_with_weak for a in range(num_weak) for b in range(num_weak) if a < b
    }


@pytest.mark.parametrize("shared", [0.0, 0.2, 0.5, 0.7])
@pytest.mark.parametrize(("strong", "weak"), [(0.9, 0.65), (0.85, 0.65), (0.8, 0.6)])
def test_five_weak_judges_that_repeat_each_other_do_not_outvote_a_strong_one(strong, weak, shared):
    weights = weigh({"strong": strong} | {f"weak {n}": weak for n in range(5)}, correlations(shared, 0.8))
    assert weights["strong"] > sum(weights.values()) - weights["strong"]
    # Sharing their errors hardly makes it doubt itself.
    assert weights["strong"] > 0.9 * log_odds(strong)


def test_five_judges_that_err_independently_do_outvote_a_strong_one():
    weights = weigh({"strong": 0.9} | {f"weak {n}": 0.65 for n in range(5)}, correlations(0.0, 0.0))
    assert weights["strong"] < sum(weights.values()) - weights["strong"]


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0.05, 0.95), min_size=1),
    st.lists(st.floats(-1, 1), min_size=15, max_size=15),
)
def test_weights_are_never_negative_nor_more_than_a_judge_alone_would_have(accuracies, values):
    pairs = [frozenset((a, b)) for a in "abcdef" for b in "abcdef" if a < b]
    weights = weigh(accuracies, dict(zip(pairs, values, strict=True)))
    assert weights.keys() == accuracies.keys()
    for name, accuracy in accuracies.items():
        assert 0 <= weights[name] <= max(0.0, log_odds(accuracy)) + 1e-3
    assert weigh(dict(reversed(accuracies.items())), dict(zip(pairs, values, strict=True))) == weights


def test_a_judge_without_a_side_takes_nothing_away_from_the_others():
    model = PanelModel({"a": 0.8, "b": 0.8}, {frozenset("ab"): 1.0})
    together = model.merge({"a": says("1"), "b": says("1")})
    alone = model.merge({"a": says("1"), "b": says("1", 0.5)})
    assert alone.confidence == pytest.approx(0.8, abs=1e-5)
    assert together.confidence == pytest.approx(0.8, abs=1e-5)


def test_soft_votes_count_by_how_sure_the_model_was():
    model = PanelModel({"a": 0.8})
    sure, unsure = (model.merge({"a": says("1", share)}).confidence for share in (0.99, 0.6))
    assert unsure < 0.6 < 0.78 < sure
    # Both say Candidate 1 in either order, one of them hardly: the log-probabilities break the tie.
    assert merge_votes([Vote(1, 0, "1", 0.95), Vote(2, 0, "2", 0.45)]).verdict == "1"
    assert merge_votes([Vote(1, 0, "1"), Vote(2, 0, "2")]).verdict == "undecided"


# --- tiers ---


def test_the_next_tier_speaks_only_where_the_panel_is_undecided():
    model = PanelModel({"cheap": 0.7, "dear": 0.95}, {}, {"cheap": 0, "dear": 1}, min_confidence=0.65)
    contradiction = {"cheap": says("1"), "dear": says("2")}
    verdict, tier = model.walk(contradiction)
    assert (verdict.verdict, tier) == ("1", 0)
    verdict, tier = model.walk({"cheap": says("1", 0.6), "dear": says("2")})
    assert (verdict.verdict, tier) == ("2", 1)
    # A tier that gave nothing leaves the pair to the next.
    assert model.walk({"dear": says("2")})[1] == 1
    with pytest.raises(ValueError, match="none of its own"):
        model.walk({})


def test_a_model_survives_the_manifest():
    model = PanelModel({"a": 0.8, "b": 0.7}, {frozenset("ab"): 0.3}, {"a": 0, "b": 1}, {0: 1.2, 1: 0.9}, {0: 40}, 0.7)
    assert PanelModel.from_dict(model.as_dict()) == model


def test_equal_weights_by_configuration_ignore_what_was_measured(truth_of, gold_of):
    truth = truth_of(300)
    judges = [SimulatedJudge("a", 0.95, truth, 1), SimulatedJudge("b", 0.7, truth, 1)]
    found = qualify(judges, gold_of(truth), VotingSettings(weights="equal"))
    assert set(found.panel.accuracies.values()) == {ASSUMED_ACCURACY}
    assert len(set(found.weights.values())) == 1
    assert found.weighting == "equal"
    assert {j.weight_from for j in found.judges} == {"equal"}
    assert qualify(judges, gold_of(truth), VotingSettings()).weighting == "measured"


# --- calibration ---


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_planted_temperature_is_found(temperature):
    rng = np.random.default_rng(3)
    true_odds = rng.normal(1.0, 1.5, 4_000)
    right = rng.random(4_000) < 1 / (1 + np.exp(-np.abs(true_odds)))
    margins = np.where(right, 1, -1) * np.abs(true_odds) * temperature
    assert fit_temperature(margins) == pytest.approx(temperature, rel=0.12)


@pytest.mark.parametrize("margins", [[], [0.0, 0.0], [2.0] * 50, [-1.0] * 50])
def test_a_temperature_stays_finite_whatever_gold_says(margins):
    found = fit_temperature(margins)
    assert 0.05 < found < 50
    if not any(margins):
        assert found == 1.0


def test_reliability_of_a_sure_judge_that_is_right_half_the_time():
    found = measure_reliability([1.0] * 100, [True, False] * 50)
    assert found.ece == pytest.approx(0.5)
    assert not found.is_calibrated
    (only,) = found.bins
    assert (only.low, only.high, only.num, only.accuracy) == (0.95, 1.0, 100, 0.5)
    assert measure_reliability([], []) == Reliability(0, None, None, ())


def test_chance_alone_does_not_fail_a_calibrated_judge():
    rng, passed = np.random.default_rng(5), 0
    for _ in range(60):
        sure = rng.uniform(0.5, 1, 80)
        passed += measure_reliability(sure, rng.random(80) < sure).is_calibrated
    # 95 % of them by construction; 60 runs stray by 5 %.
    assert passed >= 51


def test_the_panel_is_surer_than_it_should_be_without_its_temperature(truth_of, gold_of):
    """Three judges whose shared errors nobody has measured: equal weights, and confidence that gold dev corrects."""
    truth = truth_of(600)
    judges = [SimulatedJudge(n, 0.7, truth, 1, error_correlation=0.9) for n in "abc"]
    found = qualify(judges, gold_of(truth), VotingSettings(weights="equal"))
    assert found.panel.temperatures[0] > 1.2
    assert found.measures.calibrated.ece < found.measures.raw.ece
    assert found.measures.calibrated.is_calibrated
    assert not found.measures.raw.is_calibrated
    off = qualify(judges, gold_of(truth), VotingSettings(weights="equal", calibrate=False))
    assert off.panel.temperatures == {}
    assert "voting.calibrate is off" in off.calibration


def test_nothing_is_measured_on_what_it_was_fitted_on(truth_of):
    truth = truth_of(100)
    cluster_of = {pair: f"prompt {n // 4}" for n, pair in enumerate(truth)}
    verdicts = {"a": {pair: says(side) for pair, side in truth.items()}}
    seen = []

    def fit(rest):
        seen.append(set(rest))
        return fit_panel(verdicts, rest, VotingSettings(), measured=["a"])

    folds = cross_fit(fit, truth, cluster_of, 5)
    assert sorted(pair for _, inside in folds for pair in inside) == sorted(truth)
    for rest, (_, inside) in zip(seen, folds, strict=True):
        assert not {cluster_of[p] for p in rest} & {cluster_of[p] for p in inside}
        assert len(rest) + len(inside) == len(truth)


def test_a_temperature_of_a_later_tier_is_fitted_on_the_pairs_that_reach_it(truth_of):
    truth = truth_of(400)
    # The cheap judge is undecided on every other pair; the dear one is right on nine of ten.
    cheap = {p: says(side, 1.0 if n % 4 < 2 else 0.5) for n, (p, side) in enumerate(truth.items())}
    dear = {p: says(side if n % 10 else "21"[int(side) - 1]) for n, (p, side) in enumerate(truth.items())}
    model = fit_panel(
        {"cheap": cheap, "dear": dear},
        truth,
        VotingSettings(),
        measured=["cheap", "dear"],
        tiers={"cheap": 0, "dear": 1},
    )
    assert model.num_labels == {0: 400, 1: 200}
    # Pairs that only the dear judge decides: the confidence is its accuracy.
    merged, tier = model.walk({"cheap": says("1", 0.5), "dear": says("1")})
    assert tier == 1
    assert merged.confidence == pytest.approx(0.9, abs=0.03)
    assert math.isclose(model.walk({"cheap": says("1"), "dear": says("2")})[0].confidence, 0.99, abs_tol=0.02)
