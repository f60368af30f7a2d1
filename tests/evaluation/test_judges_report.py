"""The judges' part of the report and the judges' page: complete, escaped, honest where there is no interval."""

import re

import pytest

from evaluation.report.judges_page import render_judges_page
from evaluation.report.judging_sections import Judging
from evaluation.report.render import render_run_report
from evaluation.report.sections import Judge, LabelAccuracy
from evaluation.report.summary import RunSummary
from tests.evaluation.run_example import HOSTILE, example_summary


def judging(name="judge A"):
    other = "simulated judge B"
    way = {"n": 300, "num_clusters": 210, "ci95": (0.85, 0.93)}
    return {
        "round": "round_2",
        "weighting": "measured",
        "calibration": "Log-odds are divided by a temperature.",
        "judges": [
            {
                "name": name,
                "simulated": False,
                "tier": 0,
                "used": True,
                "weight": 1.25,
                "position_bias": 0.031,
                "position_bias_ci95": (0.01, 0.05),
                "length_bias": -0.02,
                "ece": 0.12,
                "usd_per_pair": 0.0012,
                "prompt_tokens_per_pair": 1234.4,
                "cached_rate": 0.81,
                "num_calls": 600,
                "statuses": {"refused": 7},
            },
            {"name": other, "simulated": True, "tier": 1, "used": False, "weight": 0.0},
        ],
        "reliability": [
            {
                "name": "panel",
                "n": 300,
                "ece": 0.03,
                "ece_by_chance": 0.05,
                "points": [(0.7, 0.72, 100), (0.9, 0.91, 200)],
            },
            {"name": name, "n": 300, "ece": 0.1, "points": [(1.0, 0.85, 300)]},
        ],
        "slices": [{"dimension": "task_category", "part": HOSTILE, "judges": {name: (0.9, 80, (0.8, 0.95))}}],
        "pairs": [{"first": name, "second": other, "agreement": 0.77, "error_correlation": -0.1, "n": 280}],
        "panel": [
            {"name": "weighted panel", "accuracy": 0.9, **way},
            {"name": "plain majority", "accuracy": 0.8, "difference": 0.1, "difference_ci95": (0.06, 0.14), **way},
        ],
        "silver": [{"name": "weighted panel", "accuracy": 0.91, "n": 12, "num_clusters": 11}],
        "guidance": [{"name": "retrieved examples", "accuracy": 0.92, **way}],
        "guidance_note": "The judges are simulated.",
        "spend": [
            {
                "batch": "round_0",
                "usd": {name: 3.5, other: 0.25},
                "num_pairs": 600,
                "num_undecided": 40,
                "calls_spared": 2964,
                "usd_spared": 59.28,
                "over_budget": 4,
                "no_verdict": {f"{name}: refused": 3},
            }
        ],
        "drift": [{"judge": name, "before": 0.9, "now": 0.7, "difference": -0.2, "n": 60, "drifted": True}],
    }


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_report_says_what_judges_are_worth_and_cost():
    page = render_run_report(RunSummary.model_validate(example_summary() | {"judging": judging()}))
    text = text_of(page)
    for seen in (
        "+3.1",
        "−2.0",
        "1 234",
        "81.0 %",
        "refused 7",
        "2 964",
        "$59.28",
        "$3.75",
        "+6.0 to +14.0",
    ):
        assert seen in text, seen
    # Eleven prompts give no interval.
    assert text.count("under 20 prompts") > text_of(
        render_run_report(RunSummary.model_validate(example_summary()))
    ).count("under 20 prompts")
    # Reliability of the panel and of judges, two biases, agreement and errors.
    plain = render_run_report(RunSummary.model_validate(example_summary()))
    assert page.count("<svg") == plain.count("<svg") + 6
    assert not re.search(r"#0102[0-9a-f]{2}", page)


@pytest.mark.parametrize("name", [HOSTILE, "judge A"])
def test_names_are_text_whatever_they_hold(name):
    page = render_run_report(RunSummary.model_validate(example_summary() | {"judging": judging(name)}))
    assert HOSTILE not in page
    assert "<script" not in page


def test_a_summary_without_judging_still_reads():
    assert RunSummary.model_validate(example_summary()).judging is None


def test_the_page_compares_ways_of_guidance():
    ways = {
        "judge A": {
            way: LabelAccuracy(n=230, accuracy=share, ci95=(share - 0.05, share + 0.05), num_clusters=160)
            for way, share in (("none", 0.7), ("random", 0.72), ("retrieved", 0.8))
        }
    }
    differences = {"judge A": {("retrieved", "none"): (0.1, (0.04, 0.16)), ("random", "none"): (0.02, None)}}
    judges = (Judge(name="judge A", simulated=False, n=230, accuracy=0.8, used=True, why="Used: it is good."),)
    page = render_judges_page("sample", "retrieved", judges, Judging.model_validate(judging()), ways, differences)
    text = text_of(page)
    for seen in ("Measured with retrieved examples", "+10.0", "+4.0 to +16.0", "72.0 %", "Used: it is good."):
        assert seen in text, seen
    assert "Simulated judges" not in text
    alone = {"judge A": {"none": ways["judge A"]["none"]}}
    one = text_of(render_judges_page("sample", "none", judges, Judging.model_validate(judging()), alone, {}))
    assert "Measured with no examples" in one
    assert "side by side" not in one
