"""Loss: values by hand, margins in float32, calibration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from training.loss import bradley_terry, fit_temperature
from training.recipe import LossSettings


@pytest.mark.parametrize(
    ("chosen", "rejected", "expected"),
    [
        (0.0, 0.0, math.log(2)),
        (2.0, 1.0, math.log(1 + math.exp(-1))),
        (1.0, 2.0, math.log(1 + math.exp(1))),
        (100.0, -100.0, 0.0),
        # No overflow: the loss of a margin of -200 is 200.
        (-100.0, 100.0, 200.0),
    ],
)
def test_the_loss_has_the_values_of_its_formula(chosen, rejected, expected):
    assert bradley_terry(torch.tensor([chosen]), torch.tensor([rejected])).item() == pytest.approx(expected, abs=1e-6)


def test_margins_are_taken_in_float32():
    # 20 + 1/16 has no bfloat16 neighbour closer than 1/8; the difference of the stored values must be exact.
    chosen, rejected = torch.tensor([20.125], dtype=torch.bfloat16), torch.tensor([20.0], dtype=torch.bfloat16)
    loss = bradley_terry(chosen, rejected)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log1p(math.exp(-0.125)), rel=1e-6)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("settings", "expected", "gradient"),
    [
        # chosen 1.5, rejected 0.5: d = 1. The gradient is of the loss by the chosen score, then by the rejected one.
        ({}, -math.log(sigmoid(1)), (-sigmoid(-1), sigmoid(-1))),
        ({"margin": 2.0}, -math.log(sigmoid(-1)), (-sigmoid(1), sigmoid(1))),
        (
            {"label_smoothing": 0.25},
            -0.75 * math.log(sigmoid(1)) - 0.25 * math.log(sigmoid(-1)),
            (-0.75 * sigmoid(-1) + 0.25 * sigmoid(1), 0.75 * sigmoid(-1) - 0.25 * sigmoid(1)),
        ),
        # A wrong label is the other side's lead, of which the same margin is asked.
        (
            {"label_smoothing": 0.25, "margin": 2.0},
            -0.75 * math.log(sigmoid(-1)) - 0.25 * math.log(sigmoid(-3)),
            (-0.75 * sigmoid(1) + 0.25 * sigmoid(3), 0.75 * sigmoid(1) - 0.25 * sigmoid(3)),
        ),
        ({"centring": 0.1}, -math.log(sigmoid(1)) + 0.1 * 4, (-sigmoid(-1) + 0.4, sigmoid(-1) + 0.4)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_options_have_the_values_and_gradients_of_their_formulas(settings, expected, gradient, dtype):
    # 1.5 and 0.5 are exact in bfloat16; only the gradients, which have the scores' type, are rounded.
    chosen = torch.tensor([1.5], dtype=dtype, requires_grad=True)
    rejected = torch.tensor([0.5], dtype=dtype, requires_grad=True)
    loss = bradley_terry(chosen, rejected, LossSettings(**settings))
    assert (loss.dtype, loss.shape) == (torch.float32, (1,))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.sum().backward()
    tolerance = 1e-5 if dtype == torch.float32 else 4e-3
    assert (chosen.grad.item(), rejected.grad.item()) == pytest.approx(gradient, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("settings", [{}, {"margin": 1.0}, {"label_smoothing": 0.1}, {"centring": 0.01}])
def test_the_gradient_is_the_slope_of_the_loss(settings):
    scores = torch.tensor([0.3, -0.7, 2.0, 1.0], dtype=torch.float32, requires_grad=True)

    def loss_of(values):
        return bradley_terry(values[0::2], values[1::2], LossSettings(**settings)).sum()

    loss_of(scores).backward()
    step = 1e-2
    for at in range(4):
        moved = [scores.detach().clone() for _ in range(2)]
        moved[0][at] += step
        moved[1][at] -= step
        slope = (loss_of(moved[0]) - loss_of(moved[1])).item() / (2 * step)
        assert scores.grad[at].item() == pytest.approx(slope, abs=1e-3)


def test_smoothing_moves_cost_between_a_pair_and_its_exchange_and_adds_none():
    # With smoothing e, a pair and its exchange cost together what they cost without it.
    chosen, rejected = torch.tensor([1.0, -2.0]), torch.tensor([0.2, 3.0])

    def both(settings):
        return bradley_terry(chosen, rejected, settings) + bradley_terry(rejected, chosen, settings)

    torch.testing.assert_close(both(LossSettings(label_smoothing=0.3)), both(LossSettings()))


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_score_that_is_not_finite_is_not_hidden_by_options(bad):
    settings = LossSettings(margin=1.0, label_smoothing=0.1, centring=0.1)
    assert not torch.isfinite(bradley_terry(torch.tensor([bad]), torch.tensor([0.0]), settings)).item()


@pytest.mark.parametrize(("num_right", "num_wrong"), [(30, 10), (22, 18), (99, 1)])
def test_temperature_makes_the_stated_probability_the_observed_share(num_right, num_wrong):
    temperature = fit_temperature(np.array([3.0] * num_right + [-3.0] * num_wrong))
    assert 1 / (1 + math.exp(-3 / temperature)) == pytest.approx(num_right / (num_right + num_wrong), abs=1e-6)


@pytest.mark.parametrize("margins", [[1e9] * 40, [-1e9] * 40, [0.0] * 40])
def test_temperature_stays_finite_where_no_best_one_exists(margins):
    assert 0 < fit_temperature(np.array(margins)) <= 20.0001


def test_too_few_dev_pairs_fit_no_temperature():
    assert fit_temperature(np.ones(19)) is None
    assert fit_temperature(np.ones(20)) is not None
