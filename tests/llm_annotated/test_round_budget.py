"""Round budget: what the lake says was spent bounds what a batch may still ask."""

import pytest
import yaml

from assets.contracts import from_rows
from assets.llm_annotated.round_budget import estimate_usd, within_budget
from assets.settings import REPOSITORY, read_yaml
from assets.workspace import Workspace

PAIRS = [f"p{n:02d}" for n in range(20)]
# 2 orders x 3 votes x $0.01 of the judge that qualified.
USD_PER_PAIR = 0.06


def workspace(tmp_path, **budget) -> Workspace:
    value = read_yaml(REPOSITORY / "configs" / "sample.yaml")
    value["budget"] = budget
    value["judges"] = [
        {"name": "good", "provider": "simulated", "accuracy": 0.9, "usd_per_call": 0.01},
        {"name": "bad", "provider": "simulated", "accuracy": 0.5, "usd_per_call": 1.0},
    ]
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(value), "utf-8")
    made = Workspace(path, tmp_path)
    for batch, usd in (("qualification-round_0", 0.3), ("round_0", 0.5), ("qualification-round_1", 0.2)):
        rows = [{"request_hash": f"{batch} {n}", "cost_usd": usd / 2} for n in range(2)]
        made.lake.append_events("judge_requests", from_rows(rows, "judge_requests"), {"batch": batch})
    return made


@pytest.mark.parametrize(
    ("batch", "budget", "limit", "num"),
    [
        ("round_1", {}, None, 20),
        # The round's own qualification, 0.20, is taken off.
        ("round_1", {"max_usd_per_round": 0.8}, 0.6, 10),
        # And in all, 0.80 of the round before.
        ("round_1", {"max_usd": 1.24}, 0.24, 4),
        ("round_1", {"max_usd": 1.24, "max_usd_per_round": 0.26}, 0.06, 1),
        ("round_1", {"max_usd": 0.1}, 0.0, 0),
        # What a later round has spent is no matter of an earlier one that is made again.
        ("round_0", {"max_usd": 0.9}, 0.6, 10),
        # Stage 2 is no round; all rounds came before it.
        ("stage_2", {"max_usd": 1.3, "max_usd_per_round": 0.0}, 0.3, 5),
    ],
)
def test_targets_within_what_is_left(tmp_path, batch, budget, limit, num):
    made = workspace(tmp_path, **budget)
    within, found = within_budget(made, batch, PAIRS, {"simulated good"})
    assert found == (None if limit is None else pytest.approx(limit))
    assert list(within.targets) == PAIRS[:num]
    assert list(within.over_budget) == PAIRS[num:]
    assert within.usd == pytest.approx(num * USD_PER_PAIR)


def test_the_estimate_before_a_round_reckons_with_every_judge(tmp_path):
    assert estimate_usd(workspace(tmp_path), PAIRS) == pytest.approx(20 * 6 * 1.01)
