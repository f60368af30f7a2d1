"""Loss: values by hand, margins in float32, calibration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from training.loss import bradley_terry, fit_temperature


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
