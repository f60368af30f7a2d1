"""Judges and attribute writers of a configuration, through the real client and a real local server."""

import pytest
import yaml

from assets.contracts import from_rows
from assets.llm_annotated.asking import ask, requests_table
from assets.llm_annotated.attribute_writing import attributes_of_source
from assets.llm_annotated.opening import open_judges
from assets.llm_annotated.usage import usage_rows
from assets.settings import REPOSITORY
from assets.workspace import Workspace
from tests.human_gold.people_run import PeopleRun

pytest.importorskip("assets.llm_annotated.calling.opening")
local_server = pytest.importorskip("benchmarks.openai_process").local_server

NUM_PAIRS, NUM_GOLD = 30, 10


@pytest.fixture(scope="module")
def server():
    with local_server("--rule", "tests.llm_annotated.server_rules:reads") as running:
        running.control(prefix_cache=True)
        yield running


@pytest.fixture
def run(tmp_path, server):
    model = {"model": "m", "base_url": server.base_url, "usd_per_million_prompt_tokens": 1.0}
    value = yaml.safe_load((REPOSITORY / "configs" / "sample.yaml").read_text("utf-8"))
    value |= {
        "catalogue": str(REPOSITORY / "configs" / "sources" / "sample.yaml"),
        "people": {"provider": "page"},
        "attributes": {"provider": "llm", "llm": model},
        "judges": [
            {"name": "brief", "provider": "llm", "llm": model, "verdict": "choice"},
            {"name": "thorough", "provider": "llm", "llm": model, "reasoning": True},
        ],
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(value), "utf-8")
    made = PeopleRun(Workspace(tmp_path / "run.yaml", tmp_path / "home"), None)
    made.workspace.make_home()
    made.fill(NUM_PAIRS)
    return made


def test_attributes_are_written_repaired_and_never_paid_for_twice(run, server):
    before = server.seen()["num_received"]
    written = attributes_of_source(run.workspace, "sums")
    assert (written.counts.rows_out, written.num_requests, written.num_repairs) == (NUM_PAIRS, 2 * NUM_PAIRS, NUM_PAIRS)
    assert written.complete
    assert written.usd > 0
    assert server.seen()["num_received"] == before + 2 * NUM_PAIRS
    again = attributes_of_source(run.workspace, "sums")
    assert again.table.equals(written.table)
    assert server.seen()["num_received"] == before + 2 * NUM_PAIRS


def test_judges_read_and_are_asked_each_call_once(run, server):
    gold = [
        {"as_of_round": "round_0", "pair_id": p, "split": "train", "verdict": "12"[n % 2]}
        for n, p in enumerate(run.pairs[:NUM_GOLD])
    ]
    run.lake.publish("gold", from_rows(gold, "gold"), {"as_of_round": "round_0"})
    targets = run.pairs[NUM_GOLD:]
    examples = {p: tuple(run.pairs[:8] if n % 2 else run.pairs[2:NUM_GOLD]) for n, p in enumerate(targets)}
    rows = {row["pair_id"]: row for row in run.lake.read("pairs").to_pylist()}
    before = server.seen()["num_received"]
    for _ in range(2):
        with open_judges(run.workspace, "round_0") as judges:
            asked = [ask(j, targets, votes_per_order=2, batch="round_0", examples=examples) for j in judges]
        assert server.seen()["num_received"] == before + 2 * 4 * len(targets)
        for one in asked:
            for pair, votes in one.votes.items():
                longer = "1" if len(rows[pair]["response_1"]) > len(rows[pair]["response_2"]) else "2"
                assert {vote.verdict for vote in votes} == {longer}
        for usage in usage_rows(requests_table(asked)):
            assert usage["answered"] == usage["calls"] == 4 * len(targets)
            assert usage["fewer_examples"] == 0
            assert usage["prefix_hit_rate"] > 0.7
    brief = asked[0].requests[0]
    assert 0 < brief["probability_first"] < 1
    assert asked[1].requests[0]["probability_first"] is None
