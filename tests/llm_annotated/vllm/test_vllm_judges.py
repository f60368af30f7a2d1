"""Attributes and judges of a configuration, by a language model on a vLLM server that the run starts itself."""

import pytest
import yaml

from assets.contracts import CONTROVERSIALITY, OBJECTIVITY, TASK_CATEGORIES, from_rows
from assets.llm_annotated.asking import ask
from assets.llm_annotated.attribute_writing import attributes_of_source
from assets.llm_annotated.calling.opening import open_budget
from assets.llm_annotated.gold_dev import qualification_batch
from assets.llm_annotated.guidance import published_qualification
from assets.llm_annotated.opening import open_judges
from assets.llm_annotated.publishing import publish_qualification
from assets.settings import REPOSITORY
from assets.workspace import Workspace
from tests.human_gold.people_run import PeopleRun

pytestmark = pytest.mark.integration

# Few: without AVX-512 a CPU takes seconds for each prompt.
NUM_PAIRS, NUM_TRAIN, NUM_DEV = 12, 2, 10


@pytest.fixture(scope="module")
def run(tmp_path_factory, real_settings):
    """Sums, the right answer beside a wrong one; people's gold for all of them."""
    folder = tmp_path_factory.mktemp("run")
    model = real_settings(max_context_tokens=4096, temperature=0.0).model_dump(mode="json")
    value = yaml.safe_load((REPOSITORY / "configs" / "sample.yaml").read_text("utf-8"))
    value |= {
        "catalogue": str(REPOSITORY / "configs" / "sources" / "sample.yaml"),
        "people": {"provider": "page"},
        "attributes": {"provider": "llm", "max_pairs": 2, "llm": model},
        "judges": [{"name": "one token", "provider": "llm", "verdict": "choice", "llm": model}],
        "voting": {"votes_per_order": 1, "num_examples": 1, "min_labels_to_qualify": 10},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(value), "utf-8")
    made = PeopleRun(Workspace(folder / "run.yaml", folder / "home"), None)
    made.workspace.make_home()
    made.fill(NUM_PAIRS)
    rows = {row["pair_id"]: row for row in made.lake.read("pairs").to_pylist()}
    gold = [
        {
            "as_of_round": "round_0",
            "pair_id": pair,
            "prompt_id": rows[pair]["prompt_id"],
            "prompt_cluster_id": rows[pair]["prompt_id"],
            "split": "train" if n < NUM_TRAIN else "dev",
            "verdict": "2" if "I think" in rows[pair]["response_1"] else "1",
        }
        for n, pair in enumerate(made.pairs)
    ]
    made.lake.publish("gold", from_rows(gold, "gold"), {"as_of_round": "round_0"})
    return made


def test_attributes_are_written(run):
    written = attributes_of_source(run.workspace, "sums")
    assert written.num_requests >= 2
    # What a small model gets wrong is repaired once, then counted; nothing is made up.
    assert written.counts.rows_in == NUM_PAIRS
    for row in written.table.to_pylist():
        assert row["task_category"] in TASK_CATEGORIES
        assert row["objectivity"] in OBJECTIVITY
        assert row["controversiality"] in CONTROVERSIALITY
        assert "smollm2" in row["writer"].lower()


def test_a_small_model_is_measured_and_refused(run):
    publish_qualification(run.workspace, "round_0", "")
    (judge,) = published_qualification(run.lake, "round_0").judges
    assert (judge.num_gold, judge.num_calls) == (NUM_DEV, 2 * NUM_DEV)
    assert not judge.used, judge.why
    assert judge.why.startswith("Not used: ")
    assert judge.prompt_tokens_per_pair > 1_000
    # Guideline and examples come first, so that both orders and all pairs share them.
    assert judge.cached_rate > 0.5
    requests = run.lake.read("judge_requests", batch=qualification_batch("round_0")).to_pylist()
    assert {row["status"] for row in requests} == {"ok"}
    assert all(0 < row["probability_first"] < 1 for row in requests)


def test_what_was_asked_is_not_asked_again(run):
    with open_budget(run.workspace.settings.budget, run.workspace.home) as budget:
        before = budget.ledger.count_statuses()
    dev = run.pairs[NUM_TRAIN : NUM_TRAIN + 2]
    with open_judges(run.workspace, "round_0") as judges:
        examples = {pair: (run.pairs[0],) for pair in dev}
        first = [ask(judge, dev, votes_per_order=1, batch="again", examples=examples) for judge in judges]
        second = [ask(judge, dev, votes_per_order=1, batch="again", examples=examples) for judge in judges]
    assert [one.votes for one in first] == [one.votes for one in second]
    with open_budget(run.workspace.settings.budget, run.workspace.home) as budget:
        asked = sum(budget.ledger.count_statuses().values()) - sum(before.values())
    assert asked <= 2 * len(dev)
